# What is dumped is read again as the same.
exec 2>/dev/null
mkdir d e && cp before-start.rules d && virt-rules dump --rules d
virt-rules dump --rules d | sed -n 's/^[^ ]*:[0-9]*: //p' >e/before-start.rules
virt-rules dump --rules e | sed 's/^[^ ]*:[0-9]*: //' >second
virt-rules dump --rules d | sed 's/^[^ ]*:[0-9]*: //' | diff - second | grep -v '^[<>] file 1'
virt-rules fmt - <before-start.rules | diff before-start.rules -
virt-rules dump --rules d --json | head -n 20
