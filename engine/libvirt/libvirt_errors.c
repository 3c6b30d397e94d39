#include "engine/libvirt/libvirt_errors.h"

#include <ctype.h>
#include <string.h>

enum { ANY = -1 };

#define HINT_GROUP                                                                                 \
    "another device of its IOMMU group is still bound to a host driver: assign the whole group "   \
    "('with group'), or move the card to another slot"
#define HINT_PORT                                                                                  \
    "the VM has no free port: shut it down, add <controller type='pci' model='pcie-root-port'/> "  \
    "with 'virsh edit', start it"
#define HINT_IOMMU                                                                                 \
    "turn on the IOMMU: VT-d or AMD-Vi in the firmware, and intel_iommu=on (Intel) on the "        \
    "kernel's command line"
#define HINT_VFIO                                                                                  \
    "load vfio-pci ('modprobe vfio-pci') and turn on the IOMMU: VT-d or AMD-Vi in the firmware, "  \
    "intel_iommu=on (Intel) on the kernel's command line"
#define HINT_RMRR                                                                                  \
    "see dmesg. RMRR: the firmware reserves memory for the device; turn that off in the "          \
    "firmware, or "                                                                                \
    "use another slot. No interrupt remapping: update the firmware"
#define HINT_RESET                                                                                 \
    "libvirt cannot reset it alone: assign all functions of the card together ('with group')"
#define HINT_USB_PORTS                                                                             \
    "the VM has no free USB port: shut it down, add <controller type='usb' model='qemu-xhci' "     \
    "ports='15'/> with 'virsh edit', start it"
#define HINT_USB_ADDRESS "another device has that USB port in the guest: run 'virt-rules apply VM'"
#define HINT_USB_GONE "it was unplugged, or plugged in again under another number or ID: see lsusb"
#define HINT_USB_OPEN                                                                              \
    "qemu cannot open the device: it was unplugged, or access was denied: see lsusb, and dmesg "   \
    "for denials"
#define HINT_USB_NODE                                                                              \
    "its node in /dev/bus/usb was not there, or udev changed it at the same time: see lsusb, and " \
    "'udevadm info' of that node"
#define HINT_USB_SYSFS                                                                             \
    "a USB device was plugged or unplugged while libvirt read them all: see lsusb, and dmesg for " \
    "one that connects again and again"
#define HINT_PCI_GONE "it was removed, or the kernel had not set it up: see lspci and dmesg"
#define HINT_MEMORY "the VM's memory cannot be locked: raise <memtune><hard_limit>, or see dmesg"
#define HINT_NODE                                                                                  \
    "its node was not there, or access was denied: it was unplugged, or udev or the guest before " \
    "had not finished with it; see dmesg, also for denials"
#define HINT_RACE "another change of the VM was faster: see 'virsh dumpxml VM'"
#define HINT_EXCLUSIVE                                                                             \
    "a program of the host or another VM has it open: 'fuser -v' of its node in /dev says which"
#define HINT_VF                                                                                    \
    "the driver of the physical function refuses that: see dmesg, and try 'ip link set dev PF vf " \
    "N mac MAC' with the card's interface for PF"
#define HINT_PF                                                                                    \
    "libvirt sets MAC address and VLAN by the card's own interface, the physical function's: it "  \
    "must be bound to its host driver, and up ('ip link set dev PF up')"
#define HINT_TRANSLATED                                                                            \
    "the daemon translates its messages, so virt-rules cannot interpret them: set LC_ALL=C for "   \
    "it "                                                                                          \
    "('systemctl edit libvirtd', Environment=LC_ALL=C)"

/* Messages of libvirt 0.10 to 12, which its daemon may translate, and of qemu, which never does.
 * The first row that matches counts; `text` is a part of the message, in upper or lower case. */
static const struct libvirt_errors_meaning {
    int domain, code;
    const char *text; /* NULL: any */
    enum virt_error_kind kind;
    const char *hint;
} meanings[] = {
    {ANY, VIR_ERR_OPERATION_TIMEOUT, NULL, VIRT_TRANSIENT,
     "another job of the VM is running: see 'virsh domjobinfo VM'"},
    {ANY, ANY, "state change lock", VIRT_TRANSIENT,
     "another job of the VM is running: see 'virsh domjobinfo VM'"},
    {ANY, VIR_ERR_NO_DOMAIN, NULL, VIRT_NO_DOMAIN, "'virsh list --all --title' lists the VMs"},
    {ANY, VIR_ERR_AUTH_FAILED, NULL, VIRT_UNREACHABLE, "run it as root"},
    {ANY, VIR_ERR_AUTH_CANCELLED, NULL, VIRT_UNREACHABLE, "run it as root"},
    {ANY, VIR_ERR_AUTH_UNAVAILABLE, NULL, VIRT_UNREACHABLE, "run it as root"},
    {VIR_FROM_RPC, ANY, "too many open files", VIRT_UNREACHABLE,
     "raise the limit on open files: ulimit -n"},
    {VIR_FROM_RPC, ANY, "permission denied", VIRT_UNREACHABLE, "run it as root"},
    {VIR_FROM_RPC, ANY, NULL, VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    {ANY, VIR_ERR_RPC, NULL, VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    {ANY, VIR_ERR_NO_CONNECT, NULL, VIRT_UNREACHABLE,
     "is the connection URI right, and the hypervisor's driver installed?"},
    {ANY, VIR_ERR_INVALID_CONN, NULL, VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    {ANY, ANY, "client socket is closed", VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    {ANY, ANY, "end of file while reading data", VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    {ANY, ANY, "cannot recv data", VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    {ANY, ANY, "cannot write data", VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    {ANY, ANY, "failed to connect socket", VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    {ANY, ANY, "keepalive timeout", VIRT_UNREACHABLE, LIBVIRT_ERRORS_CONNECTION},
    /*
     * What another change of the VM has taken since the plan was made: the next plan chooses
     * another target, or finds that the VM has the device. libvirt's src/conf/domain_conf.c and
     * src/qemu/qemu_hotplug.c.
     */
    {ANY, ANY, "duplicated for disk sources", VIRT_TRANSIENT, HINT_RACE},
    {ANY, ANY, "already contains a disk with that address", VIRT_TRANSIENT, HINT_RACE},
    {ANY, ANY, "non unique alias", VIRT_TRANSIENT, HINT_RACE},
    {ANY, ANY, "chardev already exists", VIRT_TRANSIENT, HINT_RACE},
    {ANY, VIR_ERR_OPERATION_FAILED, "target vd", VIRT_TRANSIENT, HINT_RACE},
    {ANY, VIR_ERR_OPERATION_FAILED, "target sd", VIRT_TRANSIENT, HINT_RACE},
    {ANY, VIR_ERR_OPERATION_FAILED, "target scsi:", VIRT_TRANSIENT, HINT_RACE}, /* a controller */
    {ANY, VIR_ERR_OPERATION_INVALID, "is in use", VIRT_BUSY,
     "a VM has it, or another device of its IOMMU group: detach it there first"},
    {ANY, VIR_ERR_OPERATION_FAILED, "already exists", VIRT_BUSY, "the VM has it already"},
    {ANY, ANY, "domain is not running", VIRT_NOT_RUNNING, "start the VM first"},
    {ANY, ANY, "domain is no longer running", VIRT_NOT_RUNNING, "the VM stopped meanwhile"},
    {ANY, ANY, "inactive domain", VIRT_NOT_RUNNING, "start the VM first"},
    {ANY, ANY, "guest unexpectedly quit", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "unexpectedly closed the monitor", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "end of file from qemu monitor", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "unable to read from monitor", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "unable to write to monitor", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "duplicate device id", VIRT_FAILED,
     "libvirt has lost track of a device that the VM has, for example because its daemon was "
     "killed during an attach: shut the VM down and start it again"},
    {ANY, ANY, "is not viable", VIRT_FAILED, HINT_GROUP},
    {ANY, ANY, "error getting device from group", VIRT_FAILED, HINT_GROUP},
    {ANY, ANY, "lacking acs", VIRT_FAILED,
     "the switch above it lets devices reach each other past the IOMMU: move the card to a slot "
     "that is connected to the CPU"},
    {ANY, ANY, "no more available pci", VIRT_FAILED, HINT_PORT},
    {ANY, ANY, "no pci buses available", VIRT_FAILED,
     "the VM's machine type has no PCI: it needs another one, q35 or pc"},
    {ANY, ANY, "support hotplug", VIRT_FAILED, HINT_PORT}, /* of libvirt, and qemu's "...ging" */
    {ANY, ANY, "double use of pci address", VIRT_FAILED,
     "another device has taken that address in the guest: run 'virt-rules apply VM'"},
    {ANY, ANY, "already occupied by", VIRT_FAILED,
     "another device has taken that address in the guest: run 'virt-rules apply VM'"},
    {ANY, ANY, "support passthrough of host pci", VIRT_FAILED, HINT_IOMMU},
    {ANY, ANY, "device assignment is not supported by the host", VIRT_FAILED, HINT_VFIO},
    {ANY, ANY, "support vfio", VIRT_FAILED, HINT_VFIO},
    {ANY, ANY, "set iommu for container", VIRT_FAILED, HINT_RMRR}, /* VFIO_SET_IOMMU failed */
    {ANY, ANY, "vfio_set_iommu", VIRT_FAILED, HINT_RMRR},
    {ANY, ANY, "ineligible for iommu domain", VIRT_FAILED, HINT_RMRR},
    {ANY, ANY, "error attaching to ioasid", VIRT_FAILED, HINT_RMRR}, /* of IOMMUFD */
    {ANY, ANY, "failed to open /dev/vfio", VIRT_FAILED,
     "another program has the IOMMU group open, or access was denied: 'fuser -v /dev/vfio/*', "
     "and see dmesg for denials"},
    {ANY, ANY, "could not open '/dev/vfio", VIRT_FAILED,
     "another program has the IOMMU group open, or access was denied: 'fuser -v /dev/vfio/*', "
     "and see dmesg for denials"},
    {ANY, ANY, "no flr, pm reset or bus reset", VIRT_FAILED, HINT_RESET},
    {ANY, ANY, "not doing bus reset", VIRT_FAILED, HINT_RESET},
    {ANY, ANY, "unable to reset pci device", VIRT_FAILED, HINT_RESET},
    {ANY, ANY, "no usb bus", VIRT_FAILED,
     "the VM has no USB controller: shut it down, add <controller type='usb' model='qemu-xhci'/> "
     "with 'virsh edit', start it"},
    {ANY, ANY, "no free usb ports", VIRT_FAILED, HINT_USB_PORTS},
    {ANY, ANY, "bus with no free ports", VIRT_FAILED, HINT_USB_PORTS},
    {ANY, ANY, "speed mismatch trying to attach", VIRT_FAILED,
     "the VM's USB controller is too old for the device: use <controller type='usb' "
     "model='qemu-xhci'/>"},
    {ANY, ANY, "usb-host' is not a valid device model", VIRT_FAILED,
     "this qemu was built without libusb: install the package that has its USB devices"},
    {ANY, ANY, "failed to init libusb", VIRT_FAILED,
     "qemu cannot start libusb: see /var/log/libvirt/qemu/, and dmesg for denials"},
    {ANY, ANY, "not found (in use?)", VIRT_FAILED, HINT_USB_ADDRESS},
    /* libvirt's src/conf/domain_addr.c: the VM's XML has changed since it was read. */
    {ANY, ANY, "duplicate usb address", VIRT_FAILED, HINT_USB_ADDRESS},
    {ANY, ANY, "in usb address bus", VIRT_FAILED, HINT_USB_ADDRESS}, /* no such port, no such hub */
    {ANY, ANY, "no controller with that index", VIRT_FAILED,
     "the VM has lost that USB controller: run 'virt-rules apply VM'"},
    {ANY, ANY, "guestreset", VIRT_FAILED,
     "this qemu is too old for 'guest reset': leave it out of the rule, or install a newer qemu"},
    {ANY, ANY, "multiple usb devices", VIRT_FAILED,
     "several devices have that ID: select one by its 'port' or 'serial'"},
    /*
     * A device that has just come, or connects again: libvirt reads sysfs and works on the node
     * when the kernel, udev or qemu's libusb are not done with it. The next plan knows whether the
     * device is still there.
     *
     * qemu (hw/usb/host-libusb.c), 1.5 to 11: libusb's list lacks it, by bus and device number.
     * What libusb_open() itself says, NO_DEVICE, BUSY or ACCESS, is in qemu's log only.
     */
    {ANY, ANY, "failed to find host usb device", VIRT_TRANSIENT, HINT_USB_GONE},
    {ANY, ANY, "failed to open host usb device", VIRT_TRANSIENT, HINT_USB_OPEN},
    /* By the node, since qemu 5.1: "failed to open /dev/bus/usb/...", since 9 "Could not open". */
    {ANY, ANY, "failed to open /dev/bus/usb/", VIRT_TRANSIENT, HINT_USB_OPEN},
    {ANY, ANY, "could not open '/dev/bus/usb/", VIRT_TRANSIENT, HINT_USB_OPEN},
    /* libvirt's src/util/virusb.c, in sysfs: to 11, and since 12. */
    {ANY, ANY, "did not find usb device", VIRT_TRANSIENT, HINT_USB_GONE},
    {ANY, ANY, "did not find matching usb", VIRT_TRANSIENT, HINT_USB_GONE},
    /* The same file reads all devices to find one: "Failed to open file '...'", "Failed to read
     * file", "Could not parse usb file" of any of them. Translated, the path stays. */
    {ANY, ANY, "/sys/bus/usb/devices/", VIRT_TRANSIENT, HINT_USB_SYSFS},
    /* Every step on the node names it, in every language: "Unable to access", "Unable to stat",
     * "Unable to get ACLs on", "Unable to create device", "Failed to chown device" (namespace),
     * "Path '...' is not accessible" (cgroup), "unable to set user and group to", "unable to stat",
     * "unable to set security context" (labels). */
    {ANY, ANY, "/dev/bus/usb/", VIRT_TRANSIENT, HINT_USB_NODE},
    /* What else virusb.c says when it finds no device, in the languages of its translations: they
     * keep "USB". */
    {VIR_FROM_NONE, VIR_ERR_INTERNAL_ERROR, "usb", VIRT_TRANSIENT, HINT_USB_GONE},
    /* libvirt's src/util/virpci.c, 7 to 12. */
    {ANY, ANY, "not found: could not access", VIRT_TRANSIENT, HINT_PCI_GONE},
    {ANY, ANY, "failed to read product/vendor id for", VIRT_TRANSIENT, HINT_PCI_GONE},
    {ANY, ANY, "failed to open config space file", VIRT_TRANSIENT, HINT_PCI_GONE},
    /* src/hypervisor/virhostdev.c: of another VM whose driver or name it does not know. */
    {ANY, VIR_ERR_OPERATION_INVALID, "is already in use", VIRT_BUSY,
     "a VM has it: detach it there first"},
    {ANY, ANY, "non-endpoint pci", VIRT_FAILED,
     "a bridge cannot be assigned: name the device behind it"},
    /*
     * Disks and SCSI devices: qemu's block/file-posix.c and hw/scsi, libvirt's src/util/virscsi.c.
     * A lock of another qemu is on the node, by whatever path that has it.
     */
    {ANY, ANY, "is another process using the image", VIRT_BUSY, HINT_EXCLUSIVE},
    {ANY, ANY, "write\" lock", VIRT_BUSY, HINT_EXCLUSIVE},
    {ANY, ANY, "no medium found", VIRT_FAILED,
     "there is no medium in it: insert one, then run 'virt-rules apply VM'"},
    {ANY, ANY, "read-only file system", VIRT_FAILED,
     "it is write-protected: write 'readonly' after 'as disk'"},
    {ANY, ANY, "block node is read-only", VIRT_FAILED,
     "it is write-protected: write 'readonly' after 'as disk'"},
    {ANY, ANY, "cannot be hotplugged", VIRT_FAILED,
     "a disk can be plugged into a running VM on the buses virtio, scsi and usb"},
    {ANY, ANY, "already in active block job", VIRT_TRANSIENT,
     "a copy or a backup of that disk runs: see 'virsh blockjob VM DISK'"},
    {ANY, ANY, "scsi generic interface too old", VIRT_FAILED,
     "it is not a SCSI generic device: is the module sg loaded? 'modprobe sg'"},
    {ANY, ANY, "could not access /sys/bus/scsi", VIRT_TRANSIENT,
     "it left the host, or the kernel had not set it up: see 'lsscsi -g', and 'modprobe sg'"},
    {ANY, ANY, "/sys/bus/scsi/devices/", VIRT_TRANSIENT,
     "it left the host, or the kernel had not set it up: see 'lsscsi -g', and 'modprobe sg'"},
    /* Serial ports and event nodes: qemu's chardev/char-serial.c, hw/input/virtio-input-host.c. */
    {ANY, ANY, "failed to get exclusive access", VIRT_BUSY, HINT_EXCLUSIVE},
    {ANY, ANY, "is not an evdev device", VIRT_FAILED,
     "that node takes no input: see 'virt-rules devices'"},
    {ANY, ANY, "input device on bus 'none' cannot be hot plugged", VIRT_FAILED,
     "'grab' needs libvirt 10.4: leave it out of the rule, or upgrade libvirt"},
    {ANY, ANY, "input device on bus 'default' cannot be hot plugged", VIRT_FAILED,
     "'grab' needs libvirt 10.4: leave it out of the rule, or upgrade libvirt"},
    {ANY, ANY, "unsupported address type for character device", VIRT_FAILED,
     "a serial port can be plugged into a running VM as usb-serial or pci-serial alone"},
    /* Mediated devices: libvirt's src/util/virmdev.c, qemu's hw/vfio. The next plan makes an
     * instance that is gone. */
    {ANY, VIR_ERR_DEVICE_MISSING, "mediated device", VIRT_TRANSIENT,
     "the instance is gone from the host: see /sys/bus/mdev/devices and dmesg"},
    {ANY, ANY, "no iommu_group found", VIRT_FAILED,
     "the instance's driver gives it no IOMMU group: see dmesg"},
    {ANY, ANY, "device api", VIRT_FAILED,
     "libvirt does not know what the instance's driver makes: upgrade libvirt"},
    /* Virtual functions: libvirt's src/hypervisor/virhostdev.c, src/util/virnetdev.c. */
    {ANY, ANY, "sr-iov virtual functions only", VIRT_FAILED,
     "'as net' hands over virtual functions: write 'vf of' that card in the rule, or 'as vfio'"},
    {ANY, ANY, "pf is not online", VIRT_FAILED, HINT_PF},
    {ANY, ANY, "has no network device name", VIRT_FAILED, HINT_PF},
    {ANY, ANY, "cannot set interface vlanid", VIRT_FAILED, HINT_VF},
    {ANY, ANY, "cannot set interface mac", VIRT_FAILED, HINT_VF},
    {ANY, ANY, "multiple devices matching mac", VIRT_FAILED,
     "two interfaces of the VM have that MAC address: give the rule another one with 'mac'"},
    {ANY, ANY, "apparmor profile", VIRT_FAILED,
     "AppArmor keeps the VM from the device: see 'journalctl -t virt-aa-helper', and dmesg"},
    {ANY, ANY, "is not a valid device model", VIRT_FAILED,
     "this qemu was built without that kind of device, or has it in a package of its own"},
    {ANY, ANY, "guest is busy", VIRT_TRANSIENT, "the guest is still working on that slot"},
    {ANY, ANY, "already in the process of unplug", VIRT_TRANSIENT,
     "the guest was asked to release it, and has not answered yet"},
    {ANY, ANY, "rejected by the guest", VIRT_REFUSED,
     "stop its use in the guest, or shut the VM down"},
    {ANY, ANY, "cause is unknown", VIRT_FAILED,
     "the device is probably gone from its address: see 'virt-rules devices'"},
    {ANY, ANY, "failed to bind", VIRT_FAILED,
     "is vfio-pci loaded? 'modprobe vfio-pci', then see dmesg"},
    {ANY, ANY, "vfio_map_dma", VIRT_FAILED, HINT_MEMORY},
    {ANY, ANY, "vfio_container_dma_map", VIRT_FAILED, HINT_MEMORY},
    {ANY, ANY, "memory listener initialization failed", VIRT_FAILED, HINT_MEMORY},
    {ANY, ANY, "limit locked memory", VIRT_FAILED, HINT_MEMORY},
    {ANY, ANY, "/dev/vfio", VIRT_FAILED,
     "access to the IOMMU group's node was denied, or it is gone: see dmesg"},
    {ANY, ANY, "could not open '/dev/", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "cannot access storage file '/dev/", VIRT_TRANSIENT, HINT_NODE},
    /* Every step on the node of a disk, a port or an event node names it, in every language. */
    {ANY, ANY, "/dev/disk/by-", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/serial/by-", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/input/", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/tty", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/nvme", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/sd", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/sg", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/sr", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/st", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, "/dev/nst", VIRT_TRANSIENT, HINT_NODE},
    {ANY, ANY, NULL, VIRT_FAILED, ""},
};

static bool libvirt_errors_matches(const struct libvirt_errors_meaning *meaning, int domain,
                                   int code, const char *message) {
    return (meaning->domain == ANY || meaning->domain == domain) &&
           (meaning->code == ANY || meaning->code == code) &&
           (!meaning->text || strcasestr(message, meaning->text));
}

bool libvirt_errors_is_translated(const char *message) {
    while (*message && isascii((unsigned char)*message))
        message++;
    return *message;
}

void libvirt_errors_set(struct virt_error *error, int domain, int code, const char *message) {
    const struct libvirt_errors_meaning *meaning = meanings;
    if (!message)
        message = "libvirt gave no reason";
    while (!libvirt_errors_matches(meaning, domain, code, message))
        meaning++;
    bool is_unknown = !*meaning->hint && libvirt_errors_is_translated(message);
    virt_error_set(error, meaning->kind, is_unknown ? HINT_TRANSLATED : meaning->hint, "%s",
                   message);
    error->code = code;
}

int libvirt_errors_last(const struct libvirt_api *api, struct virt_error *error) {
    virErrorPtr last = api->last_error();
    libvirt_errors_set(error, last ? last->domain : 0, last ? last->code : 0,
                       last ? last->message : NULL);
    api->reset_last_error();
    return -1;
}
