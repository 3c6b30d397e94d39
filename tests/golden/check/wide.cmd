# The line is clipped around the span, at its start, in its middle and at its end.
long=$(printf 'vm-number-%d, ' $(seq 40))
printf 'on vm %slast strated run "/x"\n' "$long" | virt-rules check -
printf 'on vm a strated run "/x"%s\n' "$(printf ' argument-%d' $(seq 40))" | virt-rules check -
printf 'on vm a started attach %s1ac1:89a, %s1ac1:089b as vfio\n' "$(printf '1ac1:%04d, ' $(seq 30))" "$(printf '1ac1:%04d, ' $(seq 40 70))" | virt-rules check -
printf 'on vm a %s run "/x"\n' "$(printf 'x%.0s' $(seq 1000))" | virt-rules check -
printf 'on vm a started attach %s as vfio\n' "$(printf 'é%.0s' $(seq 1000))" | virt-rules check -
