#include "engine/libvirt/libvirt_errors.h"

#include "engine/host/architecture.h"

#include <ctype.h>
#include <string.h>

enum { ANY = -1 };

#define HINT_GROUP                                                                                 \
    "another device of its IOMMU group is still bound to a host driver: assign the whole group "   \
    "('with group'), or move the card to another slot"
#define HINT_PORT                                                                                  \
    "the VM has no free port: shut it down, add <controller type='pci' model='pcie-root-port'/> "  \
    "with 'virsh edit', start it"
#define HINT_IOMMU ARCHITECTURE_OWN_IOMMU
#define HINT_VFIO "load vfio-pci ('modprobe vfio-pci'), and " ARCHITECTURE_OWN_IOMMU
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
    "the daemon translates its messages, so virt-rules has no advice for this one: set LC_ALL=C "  \
    "for it ('systemctl edit libvirtd', Environment=LC_ALL=C)"
#define HINT_UNKNOWN                                                                               \
    "see 'journalctl -u libvirtd -u virtqemud', and the VM's log in /var/log/libvirt/qemu/"
#define HINT_JOB "another job of the VM is running: see 'virsh domjobinfo VM'"
#define HINT_BLOCK_JOB "a copy or a backup of that disk runs: see 'virsh blockjob VM DISK'"
#define HINT_ENDED "the VM's qemu ended: see /var/log/libvirt/qemu/"
#define HINT_LOST                                                                                  \
    "libvirt has lost track of a device that the VM has, for example because its daemon was "      \
    "killed during an attach: shut the VM down and start it again"
#define HINT_ADDRESS "another device has taken that address in the guest: run 'virt-rules apply VM'"
#define HINT_VFIO_BUSY                                                                             \
    "another program has the IOMMU group open, or access was denied: 'fuser -v /dev/vfio/*', "     \
    "and see dmesg for denials"
#define HINT_GRAB "'grab' needs libvirt 10.4: leave it out of the rule, or upgrade libvirt"
#define HINT_UNSUPPORTED                                                                           \
    "this libvirt, or the VM's qemu, cannot do that: newer ones may; see 'virt-rules doctor'"
#define HINT_REJECTED                                                                              \
    "libvirt rejects the device as the rule and the VM's XML are: see 'virsh dumpxml VM'"
#define HINT_DENIED "run it as root; if it was, the daemon's access rules (polkit) deny it"

static const struct libvirt_errors_meaning {
    int domain, code;
    const char *text; /* NULL: any */
    enum virt_error_kind kind;
    const char *hint;
} meanings[] = {
#define ROW(domain, code, text, kind, hint, origin) {domain, code, text, kind, hint},
#include "engine/libvirt/libvirt_errors.def"
#undef ROW
};

static bool libvirt_errors_matches(const struct libvirt_errors_meaning *meaning, int domain,
                                   int code, const char *message) {
    return (meaning->domain == ANY || meaning->domain == domain) &&
           (meaning->code == ANY || meaning->code == code) &&
           (!meaning->text || strcasestr(message, meaning->text));
}

/* English needs ASCII only. Names of VMs and devices may have other characters, which is harmless:
 * only a hint depends on it. */
static bool libvirt_errors_is_translated(const char *message) {
    while (*message && isascii((unsigned char)*message))
        message++;
    return *message;
}

void libvirt_errors_set(struct virt_error *error, int domain, int code, const char *message) {
    size_t i = 0, count = sizeof meanings / sizeof *meanings;
    if (!message)
        message = "libvirt gave no reason";
    while (i < count && !libvirt_errors_matches(&meanings[i], domain, code, message))
        i++;
    if (i < count)
        virt_error_set(error, meanings[i].kind, meanings[i].hint, "%s", message);
    else
        virt_error_set(error, VIRT_TRANSIENT,
                       libvirt_errors_is_translated(message) ? HINT_TRANSLATED : HINT_UNKNOWN, "%s",
                       message);
    error->is_unknown = i == count;
    error->code = code;
}

int libvirt_errors_last(const struct libvirt_api *api, struct virt_error *error) {
    virErrorPtr last = api->last_error();
    libvirt_errors_set(error, last ? last->domain : 0, last ? last->code : 0,
                       last ? last->message : NULL);
    api->reset_last_error();
    return -1;
}
