" Rule files of virt-rules(5). Vim itself takes any *.rules for something else, hence no setfiletype.
autocmd BufRead,BufNewFile */libvirt/rules.d/*.rules set filetype=virt-rules
autocmd BufRead,BufNewFile */virt-rules/examples/*.rules set filetype=virt-rules
