# Characters that look like others, or like nothing; the rest of the file is read all the same.
virt-rules check - <<'RULES'
on vm “Home Assistant” started run "/x"
on vm "Home Assistant” started run "/x"
on vm «a», ‘b’ started attach 10de:2484 as vfio
on vm 'Home Assistant' started run "/x"
on vm a started run '/usr/bin/notify now'
on vm a started attach '10de:2484' as vfio
on vm "東京" strated run "/x"
RULES
printf 'on\302\240vm a started run "/x"\non vm a\342\200\213 started run "/y"\n\342\200\251\n\303\274 \374\n' | virt-rules check -
printf 'on vm \357\273\277a started run "/x"\non vm "b\357\273\277" started run "/x" # \374\n' | virt-rules check -
printf 'on vm a\302\205 started run "/x"\n' | virt-rules check -
