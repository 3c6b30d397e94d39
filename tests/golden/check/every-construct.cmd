# Every production of the grammar, and nothing to say.
virt-rules check --strict - <<'RULES' && echo "status $?"
device coral is 1ac1:089a
device tpu is 1a6e:089a or 18d1:9302 serial "A \"quoted\" \\ one"
device nic is 8086:* class 0200 subsystem 8086:00a1 at 0000:03:00.?
device old is coral at 05:00.0 or at 0000:06:*.[01]
device stick is tpu port 1-1.4 or class 030000 10de:2204
on vm any started, reconnect attach old as vfio optional unmanaged within 500ms after 5s rom off then reboot
on vm 7, 2m, cafe, 4f0b1d1e-0000-4000-8000-00000000cafe, 1ac1:089a, "on", ha*, v?[12] started run "/x" bare 7 "quoted on"
on vm b plugged, unplugged {
    attach nic with group as vfio rom "/usr/share/gpu.rom"
    attach any coral, any 3 1234:5678, stick as usb within 2m

    detach all 1234:*, any tpu
    run "/y"
}
on vm c prepare, start, stopped, release, migrate, restore run "/z"
on vm d started { run "/x" }
device cam is product like "C9?? *" or manufacturer "Logitech" interface 0e01
device behind is below port 1-1 not class 09 not product like "* Hub" not cam
on vm f started, freed attach all behind, port "2-1.[2-4]", usb serial like "DE*" as usb controller 0 guest reset off take
on vm e started attach 1111:2222 as vfio then reset
never attach usb interface 0301 to vm f
never attach class 0106
never attach stick or coral to vm z
never attach at 00:1f.* to vm x, "y"
RULES
