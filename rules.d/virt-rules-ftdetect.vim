" Rule files of virt-rules(5). Vim already gives *.rules another file type, so setfiletype would do nothing.
autocmd BufRead,BufNewFile */libvirt/rules.d/*.rules set filetype=virt-rules
autocmd BufRead,BufNewFile */virt-rules/examples/*.rules set filetype=virt-rules
