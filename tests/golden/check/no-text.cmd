# One error says that a file is no text, and not one for each of its bytes.
printf 'on vm a started run "/x"\n' | iconv -t UTF-16LE >utf16.rules
printf '\376\377' | cat - utf16.rules >marked.rules
head -c 500 /dev/zero >zeros.rules
virt-rules check utf16.rules marked.rules zeros.rules
