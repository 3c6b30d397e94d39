# CR LF, a byte order mark, trailing blanks, no last newline, CR LF behind a backslash: all fine.
printf '\357\273\277on vm a started run "/x"  \t\r\n\r\n# comment\r\non vm b started \\ \t\r\n  run "/x"\r\n   ' | virt-rules check -; echo "status $?"
printf 'on vm a started run "/x"' | virt-rules check -; echo "status $?"
printf 'on vm a started run "/x" \\' | virt-rules check -; echo "status $?"
printf '\357\273\277' | virt-rules check -; echo "status $?"
printf '' | virt-rules check -; echo "status $?"
# The places are right all the same.
printf '\357\273\277onn vm a started run "/x"\r\non vm a strated run "/x"\r\non vm a started\r\non vm a started run "/x\r\n' | virt-rules check -
