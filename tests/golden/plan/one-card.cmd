# Functions of one device share a slot, so that no other slot is advised.
mkdir card
printf 'on vm win started attach 10de:228b as vfio\n' >card/10-sound.rules
virt-rules plan win started --rules card --sysroot "$HOSTS/desktop"
