#include "engine/libvirt/libvirt_errors.h"
#include "engine/libvirt/virt_libvirt.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/model/domain.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct virt_error error;

/* ---- what libvirt's words mean ---- */

#define UNKNOWN "journalctl -u libvirtd"
#define TRANSLATED "LC_ALL=C"

static const struct {
    int domain, code;
    const char *message;
    enum virt_error_kind failure;
    const char *hint; /* a part of it */
} meanings[] = {
    {VIR_FROM_QEMU, 68,
     "Timed out during operation: cannot acquire state change lock (held by "
     "monitor=remoteDispatchDomainAttachDeviceFlags)",
     VIRT_TRANSIENT, "domjobinfo"},
    {VIR_FROM_QEMU, 1, "cannot acquire state change lock", VIRT_TRANSIENT, "domjobinfo"},
    {VIR_FROM_QEMU, 42, "Domain not found: no domain with matching uuid", VIRT_NO_DOMAIN,
     "virsh list"},
    {VIR_FROM_QEMU, 55,
     "Requested operation is not valid: PCI device 0000:01:00.0 is in use by driver QEMU, domain "
     "bare",
     VIRT_BUSY, "detach it there"},
    {VIR_FROM_QEMU, 55, "Requested operation is not valid: USB device 001:004 is in use", VIRT_BUSY,
     "detach it there"},
    {VIR_FROM_QEMU, 55, "Requested operation is not valid: domain is not running", VIRT_NOT_RUNNING,
     "start the VM"},
    {VIR_FROM_QEMU, 55, "Domain is not running", VIRT_NOT_RUNNING, "start the VM"},
    {VIR_FROM_QEMU, 55, "cannot attach device on inactive domain", VIRT_NOT_RUNNING,
     "start the VM"},
    {VIR_FROM_QEMU, 9, "operation failed: domain is no longer running", VIRT_NOT_RUNNING,
     "stopped"},
    {VIR_FROM_QEMU, 1, "internal error: End of file from qemu monitor", VIRT_NOT_RUNNING, "qemu"},
    {VIR_FROM_QEMU, 38, "Unable to read from monitor: Connection reset by peer", VIRT_NOT_RUNNING,
     "qemu"},
    {VIR_FROM_QEMU, 1, "internal error: qemu unexpectedly closed the monitor", VIRT_NOT_RUNNING,
     "qemu"},
    {VIR_FROM_RPC, 1, "internal error: client socket is closed", VIRT_UNREACHABLE, "libvirtd"},
    {VIR_FROM_RPC, 38, "End of file while reading data: Input/output error", VIRT_UNREACHABLE,
     "libvirtd"},
    {VIR_FROM_RPC, 38, "Cannot write data: Broken pipe", VIRT_UNREACHABLE, "libvirtd"},
    {VIR_FROM_RPC, 38, "Failed to connect socket to '/x': Permission denied", VIRT_UNREACHABLE,
     "root"},
    {VIR_FROM_RPC, 38, "Failed to create socket: Too many open files", VIRT_UNREACHABLE,
     "ulimit -n"},
    {VIR_FROM_RPC, 39, "Cannot encode", VIRT_UNREACHABLE, "libvirtd"},
    {VIR_FROM_NONE, 1, "internal error: received hangup / error event on socket; Cannot recv data",
     VIRT_UNREACHABLE, "libvirtd"},
    {VIR_FROM_POLKIT, 79, "authentication unavailable", VIRT_UNREACHABLE, "root"},
    {VIR_FROM_NONE, 5, "no connection driver available for x:///", VIRT_UNREACHABLE, "URI"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': vfio 0000:08:00.0: group 18 is "
     "not viable",
     VIRT_FAILED, "with group"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': Duplicate device ID 'hostdev0'",
     VIRT_FAILED, "shut the VM down"},
    {VIR_FROM_QEMU, 1, "internal error: No more available PCI slots", VIRT_FAILED,
     "pcie-root-port"},
    {VIR_FROM_QEMU, 67,
     "unsupported configuration: host doesn't support passthrough of host PCI devices", VIRT_FAILED,
     "intel_iommu=on"},
    {VIR_FROM_QEMU, 67, "host doesn't support VFIO PCI interface", VIRT_FAILED, "modprobe"},
    {VIR_FROM_NONE, 67,
     "unsupported configuration: Non-endpoint PCI devices cannot be assigned to "
     "guests",
     VIRT_FAILED, "behind"},
    {VIR_FROM_NONE, 1, "Domain has no USB bus support", VIRT_FAILED, "qemu-xhci"},
    {VIR_FROM_NONE, 1, "internal error: Did not find USB device 1a6e:089a", VIRT_TRANSIENT,
     "lsusb"},
    {VIR_FROM_NONE, 1, "internal error: Did not find USB device bus:1 device:9", VIRT_TRANSIENT,
     "lsusb"},
    {VIR_FROM_NONE, 1, "internal error: Did not find USB device 1a6e:089a bus:1 device:9",
     VIRT_TRANSIENT, "lsusb"},
    {VIR_FROM_NONE, 1,
     "internal error: Did not find matching USB device: vid:1a6e, pid:089a, bus:1, device:9, port:",
     VIRT_TRANSIENT, "lsusb"},
    {VIR_FROM_NONE, 1, "Interner Fehler: Konnte USB Einheit Bus:1 Einheit:9 nicht finden",
     VIRT_TRANSIENT, UNKNOWN},
    {VIR_FROM_NONE, 1, "USB \xe8\xa8\xad\xe5\x82\x99 bus:1 device:9", VIRT_TRANSIENT, TRANSLATED},
    {VIR_FROM_NONE, 1, "internal error: Could not parse usb file /sys/bus/usb/devices/1-4/devnum",
     VIRT_TRANSIENT, "dmesg"},
    {VIR_FROM_NONE, 38,
     "Failed to open file '/sys/bus/usb/devices/1-4/idVendor': No such file or directory",
     VIRT_TRANSIENT, "dmesg"},
    {VIR_FROM_NONE, 38, "Failed to read file '/sys/bus/usb/devices/1-4/devnum': No such device",
     VIRT_TRANSIENT, "dmesg"},
    {VIR_FROM_NONE, 38,
     "Konnte Datei '/sys/bus/usb/devices/1-4/idVendor' nicht oeffnen: Datei oder Verzeichnis nicht "
     "gefunden",
     VIRT_TRANSIENT, "dmesg"},
    {VIR_FROM_NONE, 38, "cannot open directory '/sys/bus/usb/devices': No such file or directory",
     VIRT_TRANSIENT, UNKNOWN},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': failed to find host usb device "
     "1:9",
     VIRT_TRANSIENT, "lsusb"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': failed to open host usb device "
     "1:9",
     VIRT_TRANSIENT, "denials"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': failed to open host usb device "
     "/dev/bus/usb/001/009",
     VIRT_TRANSIENT, "denials"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': failed to open "
     "/dev/bus/usb/001/009: No such file or directory",
     VIRT_TRANSIENT, "denials"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': failed to open "
     "/dev/bus/usb/001/009: Permission denied",
     VIRT_TRANSIENT, "denials"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': Could not open "
     "'/dev/bus/usb/001/009': No such device",
     VIRT_TRANSIENT, "denials"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': 'usb-host' is not a valid "
     "device model name",
     VIRT_FAILED, "libusb"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': failed to init libusb",
     VIRT_FAILED, "denials"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': usb port 1 (bus usb.0) not "
     "found (in use?)",
     VIRT_FAILED, "apply"},
    {VIR_FROM_SECURITY, 38, "unable to stat: /dev/bus/usb/001/009: No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_SECURITY, 38,
     "unable to set user and group to '64055:108' on '/dev/bus/usb/001/009': No such file or "
     "directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_NONE, 1,
     "internal error: child reported (status=125): unable to set user and group to '64055:108' on "
     "'/dev/bus/usb/001/009': No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_SECURITY, 38,
     "unable to set security context 'system_u:object_r:svirt_image_t:s0:c1,c2' on "
     "'/dev/bus/usb/001/009': No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_SECURITY, 38,
     "unable to get SELinux context of /dev/bus/usb/001/009: No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_SECURITY, 55,
     "Requested operation is not valid: Setting different DAC user or group on "
     "/dev/bus/usb/001/009 which is already in use",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_CGROUP, 38,
     "Path '/dev/bus/usb/001/009' is not accessible: No such file or directory", VIRT_TRANSIENT,
     "udevadm"},
    {VIR_FROM_QEMU, 38, "Unable to access /dev/bus/usb/001/009: No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_QEMU, 38, "Unable to stat: /dev/bus/usb/001/009: No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_QEMU, 38, "Unable to get ACLs on /dev/bus/usb/001/009: No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_QEMU, 38, "Unable to create device /dev/bus/usb/001/009: File exists", VIRT_TRANSIENT,
     "udevadm"},
    {VIR_FROM_QEMU, 38, "Failed to chown device /dev/bus/usb/001/009: No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_QEMU, 38,
     "Failed to set permissions for device /dev/bus/usb/001/009: No such file or directory",
     VIRT_TRANSIENT, "udevadm"},
    {VIR_FROM_NONE, 1,
     "internal error: Device 0000:03:00.0 not found: could not access "
     "/sys/bus/pci/devices/0000:03:00.0/config: No such file or directory",
     VIRT_TRANSIENT, "lspci"},
    {VIR_FROM_NONE, 1, "internal error: Failed to read product/vendor ID for 0000:03:00.0",
     VIRT_TRANSIENT, "lspci"},
    {VIR_FROM_NONE, 38,
     "Failed to open config space file '/sys/bus/pci/devices/0000:03:00.0/config': No such file or "
     "directory",
     VIRT_TRANSIENT, "lspci"},
    {VIR_FROM_NONE, 55, "Requested operation is not valid: USB device 001:009 is already in use",
     VIRT_BUSY, "detach it there"},
    {VIR_FROM_NONE, 1, "internal error: Failed to parse dir name 'x'", VIRT_TRANSIENT, UNKNOWN},
    {VIR_FROM_QEMU, 1,
     "internal error: usb redirection filter is not supported by this version of QEMU",
     VIRT_TRANSIENT, UNKNOWN},
    {VIR_FROM_NONE, 1, "internal error: No free USB ports", VIRT_FAILED, "ports='15'"},
    {VIR_FROM_NONE, 27,
     "XML error: USB bus 2 requested but no controller with that index is present", VIRT_FAILED,
     "apply"},
    {VIR_FROM_NONE, 27, "XML error: Duplicate USB address bus 0 port 1", VIRT_FAILED, "apply"},
    {VIR_FROM_NONE, 27, "XML error: port 9 out of range in USB address bus: 0 port: 9", VIRT_FAILED,
     "apply"},
    {VIR_FROM_NONE, 27, "XML error: there is no hub at port 2 in USB address bus: 0 port: 2.1",
     VIRT_FAILED, "apply"},
    {VIR_FROM_QEMU, 67,
     "unsupported configuration: guestReset is not supported with this version of QEMU",
     VIRT_FAILED, "guest reset"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': tried to attach usb device x to "
     "a bus with no free ports",
     VIRT_FAILED, "ports='15'"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': speed mismatch trying to attach "
     "usb device \"x\" (high speed) to bus \"usb.0\", port \"1\" (full speed)",
     VIRT_FAILED, "qemu-xhci"},
    {VIR_FROM_QEMU, 67,
     "unsupported configuration: VFIO PCI device assignment is not supported by the host",
     VIRT_FAILED, "modprobe"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': vfio 0000:03:00.0: failed to "
     "setup container for group 1: Failed to set iommu for container: Operation not permitted",
     VIRT_FAILED, "RMRR"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': vfio 0000:03:00.0: error "
     "getting "
     "device from group 1: No such device",
     VIRT_FAILED, "with group"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': vfio 0000:03:00.0: memory "
     "listener initialization failed: Region pc.ram: vfio_container_dma_map(0x1, 0x0, 0xc0000) = "
     "-12 (Cannot allocate memory)",
     VIRT_FAILED, "locked"},
    {VIR_FROM_NONE, 38,
     "cannot limit locked memory of process 12 to 9007199254740991: Operation not permitted",
     VIRT_FAILED, "hard_limit"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': vfio 0000:03:00.0: failed to "
     "open /dev/vfio/1: Device or resource busy",
     VIRT_FAILED, "fuser"},
    {VIR_FROM_NONE, 1,
     "internal error: Device 0000:03:00.0 is behind a switch lacking ACS and cannot be assigned",
     VIRT_FAILED, "move the card"},
    {VIR_FROM_NONE, 1,
     "internal error: Unable to reset PCI device 0000:03:00.0: internal error: Active 0000:03:00.1 "
     "devices on bus with 0000:03:00.0, not doing bus reset",
     VIRT_FAILED, "with group"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': Bus 'pcie.0' does not support "
     "hotplugging",
     VIRT_FAILED, "pcie-root-port"},
    {VIR_FROM_NONE, 27, "XML error: Attempted double use of PCI Address 0000:05:00.0", VIRT_FAILED,
     "apply"},
    {VIR_FROM_NONE, 27, "XML error: No PCI buses available", VIRT_FAILED, "q35"},
    {VIR_FROM_QEMU, 9, "operation failed: target pci device 0000:03:00.0 already exists", VIRT_BUSY,
     "already"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_del': Hot-unplug failed: guest is "
     "busy "
     "(power indicator blinking)",
     VIRT_TRANSIENT, "guest"},
    {VIR_FROM_QEMU, 1, "Interner Fehler: Keine weiteren PCI-Slots verf\xc3\xbcgbar", VIRT_TRANSIENT,
     TRANSLATED},
    {VIR_FROM_QEMU, 67, "nicht unterst\xc3\xbctzte Konfiguration", VIRT_FAILED, "newer"},
    {VIR_FROM_QEMU, 84, "nicht unterst\xc3\xbctzt", VIRT_FAILED, "newer"},
    {VIR_FROM_QEMU, 3, "this function is not supported by the connection driver", VIRT_FAILED,
     "newer"},
    {VIR_FROM_DOMAIN, 27, "XML-Fehler: doppelt", VIRT_FAILED, "dumpxml"},
    {VIR_FROM_QEMU, 29, "operation forbidden for read only access", VIRT_FAILED, "polkit"},
    {VIR_FROM_QEMU, 99, "Ger\xc3\xa4t nicht gefunden", VIRT_TRANSIENT, "dumpxml"},
    {VIR_FROM_QEMU, 87, "resource busy", VIRT_TRANSIENT, "domjobinfo"},
    {VIR_FROM_QEMU, 9,
     "operation failed: cannot acquire state change lock (held by monitor=x) due to max_queued "
     "limit",
     VIRT_TRANSIENT, "domjobinfo"},
    {VIR_FROM_NONE, 55,
     "Requested operation is not valid: Unmanaged PCI device 0000:03:00.0 must be manually "
     "detached from the host",
     VIRT_FAILED, "unmanaged"},
    {VIR_FROM_QEMU, 9,
     "operation failed: cannot hot unplug hostdev device with PCI guest address: 0000:00:02.0 - "
     "not allowed by controller",
     VIRT_FAILED, "shut the VM down"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': Duplicate ID 'hostdev0' for "
     "device",
     VIRT_FAILED, "shut the VM down"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': vfio 0000:03:00.0: [iommufd=22] "
     "error attach 0000:03:00.0 (35) to id=2: Invalid argument",
     VIRT_FAILED, "RMRR"},
    {VIR_FROM_NONE, 9, "Multiple USB devices for 627:1, use <address> to specify one", VIRT_FAILED,
     "serial"},
    {VIR_FROM_QEMU, 9, "operation failed: unplug of device was rejected by the guest", VIRT_REFUSED,
     "in the guest"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_del': Device hostdev0 is already in "
     "the process of unplug",
     VIRT_TRANSIENT, "asked"},
    {VIR_FROM_NONE, 1, "An error occurred, but the cause is unknown", VIRT_TRANSIENT, "address"},
    {VIR_FROM_QEMU, 55, "Requested operation is not valid: cannot do that", VIRT_TRANSIENT,
     UNKNOWN},
    {VIR_FROM_QEMU, 27, "XML error: PCI address 0000:00:02.0 is in use", VIRT_FAILED, "dumpxml"},
    {VIR_FROM_DOMAIN, 27, "XML error: target 'vdb' duplicated for disk sources '/a' and '/dev/sdb'",
     VIRT_TRANSIENT, "faster"},
    {VIR_FROM_QEMU, 9, "operation failed: target vdb already exists", VIRT_TRANSIENT, "faster"},
    {VIR_FROM_QEMU, 9, "operation failed: target scsi:0 already exists", VIRT_TRANSIENT, "faster"},
    {VIR_FROM_QEMU, 55,
     "Requested operation is not valid: Domain already contains a disk with that address",
     VIRT_TRANSIENT, "faster"},
    {VIR_FROM_DOMAIN, 67,
     "unsupported configuration: non unique alias detected: ua-virt-rules-serial-1-1-0",
     VIRT_TRANSIENT, "faster"},
    {VIR_FROM_QEMU, 55, "Requested operation is not valid: chardev already exists", VIRT_TRANSIENT,
     "faster"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'blockdev-add': Could not open "
     "'/dev/disk/by-id/usb-x': No medium found",
     VIRT_FAILED, "insert"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'blockdev-add': Could not open '/dev/sdb': "
     "Read-only file system",
     VIRT_FAILED, "readonly"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'blockdev-add': Could not open '/dev/sdb': "
     "Permission denied",
     VIRT_TRANSIENT, "denials"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': Failed to get \"write\" "
     "lock Is another process using the image [/dev/sdb]?",
     VIRT_BUSY, "fuser"},
    {VIR_FROM_STORAGE, 38,
     "Cannot access storage file '/dev/disk/by-id/usb-x': No such file or directory",
     VIRT_TRANSIENT, "node"},
    {VIR_FROM_QEMU, 84, "Operation not supported: disk bus 'sata' cannot be hotplugged.",
     VIRT_FAILED, "virtio"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'chardev-add': Could not open '/dev/ttyUSB0': "
     "No such file or directory",
     VIRT_TRANSIENT, "node"},
    {VIR_FROM_QEMU, 38, "Unable to access /dev/serial/by-id/usb-x: No such file or directory",
     VIRT_TRANSIENT, "node"},
    {VIR_FROM_QEMU, 38, "Unable to access /dev/input/event7: No such file or directory",
     VIRT_TRANSIENT, "node"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': /dev/input/event7: failed to "
     "get exclusive access: Device or resource busy",
     VIRT_BUSY, "fuser"},
    {VIR_FROM_QEMU, 84,
     "Operation not supported: input device on bus 'none' cannot be hot plugged.", VIRT_FAILED,
     "10.4"},
    {VIR_FROM_QEMU, 1,
     "internal error: unable to execute QEMU command 'device_add': 'virtio-input-host-pci' is not "
     "a valid device model name",
     VIRT_FAILED, "without"},
    {VIR_FROM_NONE, 55,
     "Requested operation is not valid: SCSI device 3:0:0:0 is already in use by other domain(s) "
     "as 'non-shareable'",
     VIRT_BUSY, "detach it there"},
    {VIR_FROM_NONE, 38,
     "SCSI device '3:0:0:0': could not access /sys/bus/scsi/devices/3:0:0:0/scsi_generic: No such "
     "file or directory",
     VIRT_TRANSIENT, "lsscsi"},
    {VIR_FROM_NONE, 55,
     "Requested operation is not valid: mediated device /sys/bus/mdev/devices/x is in use by "
     "driver QEMU, domain b",
     VIRT_BUSY, "detach it there"},
    {VIR_FROM_NONE, 99, "device not found: mediated device 'x' not found", VIRT_TRANSIENT,
     "instance"},
    {VIR_FROM_NONE, 67,
     "unsupported configuration: Interface type hostdev is currently supported on SR-IOV Virtual "
     "Functions only",
     VIRT_FAILED, "vf of"},
    {VIR_FROM_NONE, 1,
     "internal error: Unable to configure VF 3 of PF 'eth0' because the PF is not online. Please "
     "change host network config to put the PF online.",
     VIRT_FAILED, "set dev PF up"},
    {VIR_FROM_NONE, 38,
     "Cannot set interface MAC to 52:54:00:00:00:01 for ifname eth0 vf 3: Operation not permitted",
     VIRT_FAILED, "dmesg"},
    {VIR_FROM_SECURITY, 1, "internal error: cannot update AppArmor profile 'libvirt-x'",
     VIRT_FAILED, "virt-aa-helper"},
    {VIR_FROM_QEMU, 38, "Unable to access /dev/vfio/12: Permission denied", VIRT_FAILED, "denied"},
    {0, 0, NULL, VIRT_TRANSIENT, UNKNOWN},
};

/* A message that an earlier row takes would have that row's meaning. */
static void each_row_of_the_table_counts(void **state) {
    static const struct {
        int domain, code;
        const char *text;
        enum virt_error_kind kind;
        const char *hint;
    } rows[] = {
#define ANY (-1)
#define ROW(domain, code, text, kind, hint, origin) {domain, code, text, kind, #hint},
#include "engine/libvirt/libvirt_errors.def"
#undef ROW
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t first = 0;
        for (; first < i; first++)
            if ((rows[first].domain == ANY || rows[first].domain == rows[i].domain) &&
                (rows[first].code == ANY || rows[first].code == rows[i].code) &&
                (!rows[first].text || (rows[i].text && strstr(rows[i].text, rows[first].text))))
                break;
        if (first < i && strcmp(rows[first].hint, rows[i].hint) != 0)
            fail_msg("row %zu '%s' has all of row %zu '%s'", first + 1, rows[first].text, i + 1,
                     rows[i].text);
        for (const char *at = rows[i].text; at && *at; at++)
            if (*at >= 'A' && *at <= 'Z')
                fail_msg("'%s': rows are in lower case", rows[i].text);
    }
}

static void knows_what_errors_mean(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        const char *message = meanings[i].message;

        memset(&error, 'x', sizeof error);
        libvirt_errors_set(&error, meanings[i].domain, meanings[i].code, message);
        if (error.kind != meanings[i].failure)
            fail_msg("%d for: %s", error.kind, message);
        assert_int_equal(error.code, meanings[i].code);
        assert_string_equal(error.failure.message, message ? message : "libvirt gave no reason");
        const char *hint = meanings[i].hint;
        assert_int_equal(error.is_unknown, !strcmp(hint, UNKNOWN) || !strcmp(hint, TRANSLATED));
        if (!strstr(error.failure.hint, meanings[i].hint))
            fail_msg("the hint for '%s' is '%s'", message, error.failure.hint);
        assert_true(strlen(error.failure.hint) <
                    sizeof error.failure.hint - 1); /* none was cut off */
    }
}

static void puts_messages_on_one_line(void **state) {
    char message[2 * sizeof error.failure.message];

    (void)state;
    libvirt_errors_set(&error, 0, 1, "qemu said:\n\tone\r\ntwo\x1b[1m\n");
    assert_string_equal(error.failure.message, "qemu said:  one  two [1m");
    memset(message, 'a', sizeof message);
    memcpy(message + sizeof error.failure.message - 2, "\xc3\xbc", 2); /* the last byte that fits */
    message[sizeof message - 1] = '\0';
    libvirt_errors_set(&error, 0, 1, message);
    assert_int_equal(strlen(error.failure.message), sizeof error.failure.message - 2);
}

/* ---- a libvirt of functions ---- */

enum { DOMAINS = 4 };

struct happening {
    int event; /* virDomainEventID; LOSS: of the connection; OVER: the last */
    int detail;
    const char *alias;
};

enum { LOSS = -2, OVER = -1 };

/* libvirt's types are opaque: a domain is the address of one of these. */
struct fake_domain {
    const char *uuid, *name, *xml;
    bool runs, gone;
    int state, reason; /* virDomainState, and why */
};

static struct fake_domain domains[DOMAINS];

static struct {
    virError error; /* libvirt's last */
    char message[256];
    const char *fails;     /* the name of the call that fails */
    virError failure;      /* and with what */
    unsigned opened, open; /* connections made, and those not closed */
    int references;        /* of domains, not freed */
    char uri[64], calls[256];
    /* The event loop: each turn gives the next of `script`, then the timer fires. */
    bool loop, dead, loop_fails;
    virEventTimeoutCallback timer;
    void *timer_data;
    int timers, turns;
    struct {
        virConnectDomainEventGenericCallback function;
        void *data;
    } callbacks[VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED + 1];
    int callback_count, unknown_event;
    const struct happening *script;
} fake;

static void fake_set_error(int domain, int code, const char *message) {
    snprintf(fake.message, sizeof fake.message, "%s", message);
    fake.error = (virError){.domain = domain, .code = code, .message = fake.message};
}

static void fake_fail(const char *call, int domain, int code, const char *message) {
    fake.fails = call;
    fake.failure =
        (virError){.domain = domain, .code = code, .message = (char *)(uintptr_t)message};
}

static bool fails(const char *call) {
    if (!fake.fails || strcmp(fake.fails, call) != 0)
        return false;
    if (fake.failure.code)
        fake_set_error(fake.failure.domain, fake.failure.code, fake.failure.message);
    return true;
}

static int fake_initialize(void) {
    return fails("initialize") ? -1 : 0;
}

static void fake_set_error_function(void *data, virErrorFunc handler) {
    (void)data;
    handler(NULL, NULL);
}

static virErrorPtr fake_last_error(void) {
    return fake.error.code ? &fake.error : NULL;
}

static void fake_reset_last_error(void) {
    fake.error = (virError){0};
}

static virConnectPtr fake_open(const char *uri) {
    snprintf(fake.uri, sizeof fake.uri, "%s", uri);
    fake.opened++;
    if (fails("open"))
        return NULL;
    fake.open++;
    return (virConnectPtr)&fake;
}

static int fake_close(virConnectPtr connection) {
    assert_ptr_equal(connection, &fake);
    assert_true(fake.open > 0);
    fake.open--;
    return 0;
}

static virDomainPtr reference(struct fake_domain *domain) {
    fake.references++;
    return (virDomainPtr)domain;
}

static int fake_list(virConnectPtr connection, virDomainPtr **list, unsigned flags) {
    int count = 0;

    assert_ptr_equal(connection, &fake);
    if (fails("list"))
        return -1;
    *list = calloc(DOMAINS + 1, sizeof(virDomainPtr));
    assert_non_null(*list);
    for (size_t i = 0; i < DOMAINS; i++)
        if (domains[i].uuid && (domains[i].runs || !(flags & VIR_CONNECT_LIST_DOMAINS_ACTIVE)))
            (*list)[count++] = reference(&domains[i]);
    return count;
}

static virDomainPtr fake_by_uuid(virConnectPtr connection, const char *uuid) {
    assert_ptr_equal(connection, &fake);
    if (fails("by_uuid"))
        return NULL;
    for (size_t i = 0; i < DOMAINS; i++)
        if (domains[i].uuid && strcmp(domains[i].uuid, uuid) == 0)
            return reference(&domains[i]);
    if (strlen(uuid) == VIR_UUID_STRING_BUFLEN - 1)
        fake_set_error(VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN, "Domain not found");
    else
        fake_set_error(VIR_FROM_NONE, VIR_ERR_INVALID_ARG, "invalid argument: uuidstr");
    return NULL;
}

static virDomainPtr fake_by_name(virConnectPtr connection, const char *name) {
    assert_ptr_equal(connection, &fake);
    if (fails("by_name"))
        return NULL;
    for (size_t i = 0; i < DOMAINS; i++)
        if (domains[i].uuid && strcmp(domains[i].name, name) == 0)
            return reference(&domains[i]);
    fake_set_error(VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN, "Domain not found");
    return NULL;
}

static struct fake_domain *of(virDomainPtr domain) {
    return (struct fake_domain *)domain;
}

static int fake_uuid(virDomainPtr domain, char *uuid) {
    snprintf(uuid, VIR_UUID_STRING_BUFLEN, "%s", of(domain)->uuid);
    return 0;
}

/* Of a VM that does not run it is -1. */
static unsigned fake_id(virDomainPtr domain) {
    return of(domain)->runs ? 7 : (unsigned)-1;
}

/* What libvirt keeps of the VM, which is another text. */
static char *fake_definition(virDomainPtr domain) {
    char *xml = NULL;
    return asprintf(&xml, "definition of %s", of(domain)->name) < 0 ? NULL : xml;
}

static char *fake_xml(virDomainPtr domain, unsigned flags) {
    if (flags == VIR_DOMAIN_XML_INACTIVE && !fails("xml"))
        return fake_definition(domain);
    assert_true(flags == 0 || flags == VIR_DOMAIN_XML_INACTIVE);
    if (of(domain)->gone)
        fake_set_error(VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN, "Domain not found");
    return of(domain)->gone || fails("xml") ? NULL : strdup(of(domain)->xml);
}

static int fake_state(virDomainPtr domain, int *state, int *reason, unsigned flags) {
    assert_int_equal(flags, 0);
    *state = of(domain)->state;
    *reason = of(domain)->reason;
    return fails("state") ? -1 : 0;
}

static int call(const char *verb, virDomainPtr domain, const char *xml, unsigned flags) {
    size_t length = strlen(fake.calls);

    snprintf(fake.calls + length, sizeof fake.calls - length, "%s %s %s %u\n", verb,
             of(domain)->name, xml, flags);
    return fails(verb) ? -1 : 0;
}

static int fake_attach(virDomainPtr domain, const char *xml, unsigned flags) {
    return call("attach", domain, xml, flags);
}

static int fake_detach(virDomainPtr domain, const char *xml, unsigned flags) {
    return call("detach", domain, xml, flags);
}

static int fake_reset(virDomainPtr domain, unsigned flags) {
    return call("reset", domain, "-", flags);
}

static int fake_reboot(virDomainPtr domain, unsigned flags) {
    return call("reboot", domain, "-", flags);
}

static int fake_is_active(virDomainPtr domain) {
    return fails("is_active") ? -1 : of(domain)->runs;
}

static int fake_is_persistent(virDomainPtr domain) {
    return fails("is_persistent") ? -1 : strcmp(of(domain)->name, "twin") != 0;
}

static int fake_is_saved(virDomainPtr domain, unsigned flags) {
    assert_int_equal(flags, 0);
    return fails("is_saved") ? -1 : strcmp(of(domain)->name, "windows") == 0;
}

static int fake_set_metadata(virDomainPtr domain, int type, const char *metadata, const char *key,
                             const char *uri, unsigned flags) {
    char text[256];
    assert_int_equal(type, VIR_DOMAIN_METADATA_ELEMENT);
    snprintf(text, sizeof text, "%s %s %s", metadata ? metadata : "-", key ? key : "-", uri);
    return call("metadata", domain, text, flags);
}

static int fake_free(virDomainPtr domain) {
    assert_non_null(domain);
    fake.references--;
    return 0;
}

/* ---- its events ---- */

static int fake_is_alive(virConnectPtr connection) {
    assert_ptr_equal(connection, &fake);
    return !fake.dead;
}

static int fake_register_event(virConnectPtr connection, virDomainPtr domain, int event,
                               virConnectDomainEventGenericCallback function, void *data,
                               virFreeCallback free_data) {
    assert_ptr_equal(connection, &fake);
    assert_string_equal(of(domain)->name, "frigate");
    assert_true(fake.loop && !free_data && !fake.callbacks[event].function);
    if (event == fake.unknown_event)
        fake_set_error(VIR_FROM_REMOTE, VIR_ERR_INVALID_ARG, "unsupported event ID");
    if (event == fake.unknown_event || fails("register_event"))
        return -1;
    fake.callbacks[event].function = function;
    fake.callbacks[event].data = data;
    fake.callback_count++;
    return event;
}

static int fake_deregister_event(virConnectPtr connection, int event) {
    assert_ptr_equal(connection, &fake);
    assert_true(fake.callbacks[event].function && fake.open == 2);
    fake.callbacks[event].function = NULL;
    fake.callback_count--;
    return 0;
}

static int fake_register_loop(void) {
    assert_false(fake.loop); /* once a process */
    fake.loop = !fails("register_loop");
    return fake.loop ? 0 : -1;
}

static int fake_add_timeout(int milliseconds, virEventTimeoutCallback timer, void *data,
                            virFreeCallback free_data) {
    assert_true(milliseconds != 0 && !free_data && fake.timers == 0);
    if (!fake.loop)
        return -1;
    fake.timer = timer;
    fake.timer_data = data;
    fake.timers++;
    return 7;
}

static int fake_remove_timeout(int timer) {
    assert_int_equal(timer, 7);
    fake.timers--;
    return 0;
}

static void happen(const struct happening *happening) {
    int event = happening->event;
    virConnectDomainEventGenericCallback function =
        event < 0 ? NULL : fake.callbacks[event].function;

    if (event == LOSS)
        fake.dead = true;
    else if (event == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
        ((virConnectDomainEventCallback)(void (*)(void))function)(NULL, NULL, happening->detail, 0,
                                                                  fake.callbacks[event].data);
    else
        ((virConnectDomainEventDeviceRemovedCallback)(void (*)(void))function)(
            NULL, NULL, happening->alias, fake.callbacks[event].data);
}

static int fake_run_loop(void) {
    fake.turns++;
    if (fake.loop_fails)
        return -1;
    if (fake.open == 2 && fake.script && fake.script->event != OVER)
        happen(fake.script++);
    else
        fake.timer(7, fake.timer_data);
    return 0;
}

static int fake_daemon_version(virConnectPtr connection, unsigned long *version) {
    assert_ptr_equal(connection, &fake);
    *version = 9000000;
    return fails("daemon_version") ? -1 : 0;
}

static char *fake_connection_uri(virConnectPtr connection) {
    assert_ptr_equal(connection, &fake);
    return fails("connection_uri") ? NULL : strdup("fake:///");
}

static const struct libvirt_api api = {
    .initialize = fake_initialize,
    .set_error_function = fake_set_error_function,
    .last_error = fake_last_error,
    .reset_last_error = fake_reset_last_error,
    .open = fake_open,
    .close = fake_close,
    .list_domains = fake_list,
    .lookup_by_uuid = fake_by_uuid,
    .lookup_by_name = fake_by_name,
    .uuid = fake_uuid,
    .id = fake_id,
    .xml = fake_xml,
    .state = fake_state,
    .attach = fake_attach,
    .detach = fake_detach,
    .is_active = fake_is_active,
    .is_persistent = fake_is_persistent,
    .is_saved = fake_is_saved,
    .set_metadata = fake_set_metadata,
    .reset = fake_reset,
    .reboot = fake_reboot,
    .free = fake_free,
    .daemon_version = fake_daemon_version,
    .connection_uri = fake_connection_uri,
    .is_alive = fake_is_alive,
    .register_event = fake_register_event,
    .deregister_event = fake_deregister_event,
    .register_loop = fake_register_loop,
    .run_loop = fake_run_loop,
    .add_timeout = fake_add_timeout,
    .remove_timeout = fake_remove_timeout,
};

#define UUID1 "00000000-0000-4000-8000-000000000001"
#define UUID2 "00000000-0000-4000-8000-000000000002"
#define UUID3 "00000000-0000-4000-8000-000000000003"
#define UUID4 "00000000-0000-4000-8000-000000000004"
#define XML(name, title) "<domain><name>" name "</name><title>" title "</title></domain>"

static struct virt *virt;

static int open_fake(void **state) {
    static const struct fake_domain all[DOMAINS] = {
        {UUID1, "frigate", XML("frigate", "NVR"), true, false, 0, 0},
        {UUID2, UUID3, XML(UUID3, "Home Assistant"), true, false, 0, 0},
        {UUID3, "windows", XML("windows", "frigate"), false, false, 0, 0},
        {UUID4, "twin", XML("twin", "NVR"), true, false, 0, 0},
    };

    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.unknown_event = -1;
    memcpy(domains, all, sizeof domains);
    return virt_libvirt_create(&virt, "fake:///", &api, &error);
}

static int close_fake(void **state) {
    (void)state;
    virt_close(virt);
    return fake.open || fake.references || fake.timers || fake.callback_count;
}

static void assert_finds(const char *vm, size_t domain) {
    char *xml = NULL;

    assert_int_equal(virt->ops->domain_xml(virt, vm, &xml, &error), 0);
    assert_string_equal(xml, domains[domain].xml);
    free(xml);
}

static void assert_does_not_find(const char *vm, enum virt_error_kind failure, const char *words) {
    char unset, *xml = &unset;

    assert_int_equal(virt->ops->domain_xml(virt, vm, &xml, &error), -1);
    assert_null(xml);
    assert_int_equal(error.kind, failure);
    if (!strstr(error.failure.message, words))
        fail_msg("'%s'", error.failure.message);
}

static void finds_by_uuid_name_and_title(void **state) {
    (void)state;
    assert_finds(UUID1, 0);
    assert_finds("frigate", 0); /* a name wins over another's title */
    assert_finds(UUID3, 2);     /* and a UUID over another's name */
    assert_finds("Home Assistant", 1);
    domains[2].uuid = NULL;
    assert_finds(UUID3, 1);
    domains[0].gone = true;
    assert_finds("NVR", 3); /* the only one that is left */
}

static void says_what_it_does_not_find(void **state) {
    (void)state;
    assert_does_not_find("nobody", VIRT_NO_DOMAIN, "no VM has the UUID, name or title 'nobody'");
    assert_int_equal(error.code, 0);
    assert_does_not_find("", VIRT_NO_DOMAIN, "''");
    assert_does_not_find("home assistant", VIRT_NO_DOMAIN, "no VM");
    assert_does_not_find("NVR", VIRT_FAILED, "2 VMs have the title 'NVR'");
    domains[0].gone = true;
    assert_does_not_find("frigate", VIRT_NO_DOMAIN, "Domain not found");
}

static void lists_running_vms(void **state) {
    struct virt_domain *vms;
    size_t count;

    (void)state;
    fake_fail("xml", VIR_FROM_QEMU, VIR_ERR_OPERATION_TIMEOUT, "state change lock");
    assert_int_equal(virt->ops->list(virt, &vms, &count, &error), 0);
    fake.fails = NULL;
    assert_int_equal(count, 3);
    assert_string_equal(vms[0].uuid, UUID1);
    assert_string_equal(vms[1].uuid, UUID2);
    assert_string_equal(vms[2].uuid, UUID4);
    for (size_t i = 0; i < count; i++)
        assert_true(!vms[i].xml && !vms[i].why);
    domains[0].gone = true; /* stopped after it was listed */
    assert_int_equal(virt->ops->read(virt, vms, count, &error), 0);
    assert_true(!vms[0].xml && !vms[0].why);
    assert_string_equal(vms[1].xml, domains[1].xml);
    assert_string_equal(vms[2].uuid, UUID4);
    assert_non_null(vms[2].xml);
    virt_list_free(vms, count);
    struct virt_domain unknown = {.uuid = "00000000-0000-4000-8000-000000000099"};
    assert_int_equal(virt->ops->read(virt, &unknown, 1, &error), 0);
    assert_true(!unknown.xml && !unknown.why);
    for (size_t i = 0; i < DOMAINS; i++)
        domains[i].runs = false;
    assert_int_equal(virt->ops->list(virt, &vms, &count, &error), 0);
    assert_int_equal(count, 0);
    virt_list_free(vms, count);
    virt_list_free(NULL, 0);
}

static void acts_on_the_running_vm(void **state) {
    (void)state;
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), 0);
    assert_int_equal(virt->ops->detach(virt, UUID2, -1, "<b/>", &error), 0);
    assert_int_equal(virt->ops->reset(virt, UUID1, -1, &error), 0);
    assert_int_equal(virt->ops->reboot(virt, UUID1, -1, &error), 0);
    assert_string_equal(fake.calls, "attach frigate <a/> 1\n" /* VIR_DOMAIN_AFFECT_LIVE */
                                    "detach " UUID3 " <b/> 1\n"
                                    "reset frigate - 0\n"
                                    "reboot frigate - 0\n");
    assert_int_equal(fake.opened, 1);
    assert_string_equal(fake.uri, "fake:///");
}

static void reads_definitions(void **state) {
    struct virt_definition definition;
    (void)state;
    assert_int_equal(virt->ops->definition(virt, UUID1, &definition, &error), 0);
    assert_string_equal(definition.xml, "definition of frigate");
    assert_true(definition.is_running && definition.is_persistent && !definition.is_saved);
    virt_definition_finish(&definition);
    assert_null(definition.xml);
    assert_int_equal(virt->ops->definition(virt, UUID3, &definition, &error), 0);
    assert_true(!definition.is_running && definition.is_persistent && definition.is_saved);
    virt_definition_finish(&definition);
    assert_int_equal(virt->ops->definition(virt, UUID4, &definition, &error), 0);
    assert_true(definition.is_running && !definition.is_persistent);
    virt_definition_finish(&definition);
    fake_fail("is_saved", VIR_FROM_QEMU, VIR_ERR_NO_SUPPORT, "not supported");
    assert_int_equal(virt->ops->definition(virt, UUID3, &definition, &error), 0);
    assert_false(definition.is_saved);
    virt_definition_finish(&definition);
    for (size_t i = 0; i < 3; i++) {
        fake_fail((const char *[]){"is_active", "is_persistent", "xml"}[i], VIR_FROM_QEMU,
                  VIR_ERR_INTERNAL_ERROR, "no");
        assert_int_equal(virt->ops->definition(virt, UUID1, &definition, &error), -1);
        assert_int_equal(error.code, VIR_ERR_INTERNAL_ERROR);
    }
    fake_fail("", 0, 0, NULL);
    assert_int_equal(
        virt->ops->definition(virt, "00000000-0000-4000-8000-00000000000f", &definition, &error),
        -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
    assert_int_equal(fake.references, 0);
}

static void changes_definitions_alone(void **state) {
    (void)state;
    assert_int_equal(virt->ops->attach_defined(virt, UUID3, "<a/>", &error), 0);
    assert_int_equal(virt->ops->detach_defined(virt, UUID1, "<b/>", &error), 0);
    assert_int_equal(virt->ops->mark_defined(virt, UUID3, "<defined/>", &error), 0);
    assert_int_equal(virt->ops->mark_defined(virt, UUID3, NULL, &error), 0);
    assert_string_equal(fake.calls, "attach windows <a/> 2\n" /* VIR_DOMAIN_AFFECT_CONFIG */
                                    "detach frigate <b/> 2\n"
                                    "metadata windows <defined/> vr urn:virt-rules:defined:1 2\n"
                                    "metadata windows - - urn:virt-rules:defined:1 2\n");
    fake_fail("attach", VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID,
              "Requested operation is not valid: device is already in the domain configuration");
    assert_int_equal(virt->ops->attach_defined(virt, UUID3, "<a/>", &error), -1);
    assert_int_equal(error.code, VIR_ERR_OPERATION_INVALID);
    assert_int_equal(
        virt->ops->mark_defined(virt, "00000000-0000-4000-8000-00000000000f", NULL, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
}

static void another_life_is_left_alone(void **state) {
    (void)state;
    assert_int_equal(virt->ops->attach(virt, UUID1, 6, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    assert_string_equal(error.failure.message, "the VM has been started again since");
    assert_int_equal(virt->ops->detach(virt, UUID1, 8, "<a/>", &error), -1);
    assert_int_equal(virt->ops->reset(virt, UUID1, 0, &error), -1);
    assert_int_equal(virt->ops->reboot(virt, UUID1, 6, &error), -1);
    assert_string_equal(fake.calls, "");
    assert_int_equal(virt->ops->attach(virt, UUID1, 7, "<a/>", &error), 0);
    domains[0].runs = false;
    assert_int_equal(virt->ops->reset(virt, UUID1, 7, &error), 0); /* libvirt says why not */
    assert_string_equal(fake.calls, "attach frigate <a/> 1\nreset frigate - 0\n");
}

/* Numbers of libvirt's interface, which never change; they are written out here, as the engine may
 * be built with an older header. */
static void tells_how_the_vm_came_to_run(void **state) {
    enum { RUNNING = 1, BLOCKED = 2, PAUSED = 3, SHUTDOWN = 4, SHUTOFF = 5, CRASHED = 6 };
    static const struct {
        int state, reason;
        enum virt_state expected;
    } rows[] = {
        {RUNNING, 0, VIRT_STATE_STARTED},    {RUNNING, 1, VIRT_STATE_STARTED},  /* booted */
        {RUNNING, 2, VIRT_STATE_MIGRATED},   {RUNNING, 3, VIRT_STATE_MIGRATED}, /* restored */
        {RUNNING, 4, VIRT_STATE_MIGRATED},                                      /* from snapshot */
        {RUNNING, 5, VIRT_STATE_STARTED},                                       /* unpaused */
        {RUNNING, 6, VIRT_STATE_STARTED},    /* migration canceled */
        {RUNNING, 10, VIRT_STATE_MIGRATING}, /* post-copy */
        {RUNNING, 11, VIRT_STATE_MIGRATING}, /* which failed */
        {BLOCKED, 0, VIRT_STATE_STARTED},    {PAUSED, 1, VIRT_STATE_STARTED},    /* user */
        {PAUSED, 2, VIRT_STATE_MIGRATING},   {PAUSED, 3, VIRT_STATE_STARTED},    /* save */
        {PAUSED, 7, VIRT_STATE_MIGRATED},                                        /* from snapshot */
        {PAUSED, 11, VIRT_STATE_STARTED},                                        /* starting up */
        {PAUSED, 12, VIRT_STATE_MIGRATING},  {PAUSED, 13, VIRT_STATE_MIGRATING}, /* post-copy */
        {SHUTDOWN, 2, VIRT_STATE_STARTED},   {CRASHED, 2, VIRT_STATE_STARTED},
    };
    enum virt_state found;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        domains[0].state = rows[i].state;
        domains[0].reason = rows[i].reason;
        assert_int_equal(virt->ops->state(virt, UUID1, 7, &found, &error), 0);
        if (found != rows[i].expected)
            fail_msg("%d %d", rows[i].state, rows[i].reason);
    }
    assert_int_equal(virt->ops->state(virt, UUID1, 6, &found, &error), -1);
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    domains[0].state = SHUTOFF;
    assert_int_equal(virt->ops->state(virt, UUID1, 7, &found, &error), -1);
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    fake_fail("state", VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR, "no");
    assert_int_equal(virt->ops->state(virt, UUID1, 7, &found, &error), -1);
    assert_int_equal(error.kind, VIRT_TRANSIENT);
    fake.fails = NULL;
    assert_int_equal(
        virt->ops->state(virt, "00000000-0000-4000-8000-00000000000f", 7, &found, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
}

static void reports_failed_acts(void **state) {
    (void)state;
    fake_fail("attach", VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID, "PCI device X is in use");
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_BUSY);
    assert_int_equal(error.code, VIR_ERR_OPERATION_INVALID);
    fake_fail("attach", 0, 0, NULL);
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_string_equal(error.failure.message,
                        "libvirt gave no reason"); /* not the old one again */
    assert_int_equal(
        virt->ops->attach(virt, "00000000-0000-4000-8000-00000000000f", -1, "", &error), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
    assert_int_equal(fake.opened, 1);
}

/* The German words of libvirt say nothing here: its code and a look at the VM do. */
static void looks_where_the_words_are_not_known(void **state) {
    static const char not_running[] = "Die angeforderte Operation ist nicht g\xc3\xbcltig: Domain "
                                      "l\xc3\xa4uft nicht";
    struct virt_domain *vms;
    size_t count;

    (void)state;
    fake_fail("attach", VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID, "PCI-Ger\xc3\xa4t X ist belegt");
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_BUSY);
    domains[0].runs = false;
    fake_fail("attach", VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID, not_running);
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    assert_string_equal(error.failure.message, not_running);
    fake_fail("xml", VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID, not_running);
    assert_int_equal(virt->ops->list_all(virt, &vms, &count, &error), 0);
    assert_int_equal(virt->ops->read(virt, vms, count, &error), 0);
    for (size_t i = 0; i < count; i++) {
        assert_null(vms[i].xml);
        if (strcmp(vms[i].uuid, UUID2) == 0 || strcmp(vms[i].uuid, UUID4) == 0)
            assert_string_equal(vms[i].why, not_running);
        else
            assert_null(vms[i].why); /* it does not run */
    }
    virt_list_free(vms, count);
    domains[0].runs = true;
    fake_fail("detach", VIR_FROM_QEMU, VIR_ERR_OPERATION_FAILED, "vom Gast abgelehnt");
    assert_int_equal(virt->ops->detach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_REFUSED);
    assert_true(error.is_unknown);
    fake_fail("attach", VIR_FROM_QEMU, VIR_ERR_OPERATION_FAILED, "\xc3\xbc");
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_TRANSIENT);
    assert_true(error.is_unknown);
    domains[0].runs = false; /* whatever the code is */
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    fake_fail("detach", VIR_FROM_QEMU, VIR_ERR_OPERATION_FAILED, "vom Gast abgelehnt");
    assert_int_equal(virt->ops->detach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    assert_false(error.is_unknown);
    domains[0].runs = true;
    fake_fail("attach", VIR_FROM_NONE, VIR_ERR_OPERATION_INVALID,
              "Unmanaged PCI device X must be manually detached from the host");
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), -1);
    assert_int_equal(error.kind, VIRT_FAILED); /* these words are known */
}

static void connects_anew_after_a_loss(void **state) {
    struct virt_domain *vms;
    size_t count;

    (void)state;
    for (const char *const *lost = (const char *const[]){"by_uuid", "attach", NULL}; *lost;
         lost++) {
        fake_fail(*lost, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, "client socket is closed");
        assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), -1);
        assert_int_equal(error.kind, VIRT_UNREACHABLE);
        assert_int_equal(fake.open, 0);
        fake.fails = NULL;
        assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), 0);
        assert_int_equal(fake.open, 1);
    }
    assert_int_equal(fake.opened, 3);
    assert_int_equal(virt->ops->list(virt, &vms, &count, &error), 0);
    fake_fail("xml", VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR, "End of file while reading data");
    assert_int_equal(virt->ops->read(virt, vms, count, &error), -1);
    assert_int_equal(error.kind, VIRT_UNREACHABLE);
    virt_list_free(vms, count);
    fake_fail("open", VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR, "Failed to connect socket");
    assert_int_equal(virt->ops->list(virt, &vms, &count, &error), -1);
    assert_int_equal(virt->ops->reset(virt, UUID1, -1, &error), -1);
    assert_int_equal(error.kind, VIRT_UNREACHABLE);
    assert_does_not_find("frigate", VIRT_UNREACHABLE, "");
    assert_int_equal(fake.opened, 6); /* once a call */
    fake.fails = NULL;
    assert_finds("frigate", 0);
}

static void reports_a_loss_in_mid_lookup(void **state) {
    static const char *const lost[] = {"by_uuid", "by_name", "list", "xml"};

    (void)state;
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        fake_fail(lost[i], VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR, "Cannot recv data");
        assert_does_not_find("Home Assistant", VIRT_UNREACHABLE, "Cannot recv data");
        assert_int_equal(fake.open, 0);
    }
}

static void reports_that_it_cannot_start(void **state) {
    static const char *const failing[] = {"initialize", "open"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct virt *none = virt;

        memset(&fake, 0, sizeof fake);
        fake_fail(failing[i], VIR_FROM_NONE, VIR_ERR_INTERNAL_ERROR, "no");
        assert_int_equal(virt_libvirt_create(&none, NULL, &api, &error), -1);
        assert_null(none);
        assert_int_equal(error.kind, VIRT_UNREACHABLE);
    }
    assert_true(*error.failure.hint);
}

static void assert_uri(const char *uri, const char *expected) {
    memset(&fake, 0, sizeof fake);
    assert_int_equal(virt_libvirt_create(&virt, uri, &api, &error), 0);
    assert_string_equal(fake.uri, expected);
    virt_close(virt);
}

static void chooses_the_uri(void **state) {
    (void)state;
    assert_int_equal(unsetenv("LIBVIRT_DEFAULT_URI"), 0);
    assert_uri(NULL, "qemu:///system");
    assert_int_equal(setenv("LIBVIRT_DEFAULT_URI", "", 1), 0);
    assert_uri(NULL, "qemu:///system");
    assert_int_equal(setenv("LIBVIRT_DEFAULT_URI", "env:///", 1), 0);
    assert_uri(NULL, "env:///");
    assert_uri("own:///", "own:///");
    assert_int_equal(unsetenv("LIBVIRT_DEFAULT_URI"), 0);
    virt_close(NULL);
}

/* ---- events ---- */

static void assert_event(enum virt_event_kind kind, const char *alias) {
    struct virt_event event;

    memset(&event, 'x', sizeof event);
    assert_int_equal(virt->ops->wait(virt, 60000, &event, &error), 0);
    assert_int_equal(event.kind, kind);
    assert_string_equal(event.alias, alias);
}

static void assert_no_wait(enum virt_error_kind failure, const char *words) {
    struct virt_event event;

    assert_int_equal(virt->ops->wait(virt, 60000, &event, &error), -1);
    assert_int_equal(error.kind, failure);
    if (!strstr(error.failure.message, words))
        fail_msg("'%s'", error.failure.message);
}

static void hears_what_happens_to_the_vm(void **state) {
    static const struct happening script[] = {
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_SUSPENDED, NULL},
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_UNDEFINED, NULL},
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_RESUMED, NULL},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, 0, "hostdev3"},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, 0, "hostdev12"},
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_STOPPED, NULL},
        {OVER, 0, NULL},
    };

    (void)state;
    assert_int_equal(virt->ops->watch(virt, UUID1, &error), 0);
    assert_int_equal(fake.opened, 2); /* its own connection */
    assert_int_equal(virt->ops->wait(virt, 0, &(struct virt_event){0}, &error), 0);
    fake.script = script;
    assert_event(VIRT_EVENT_RESUMED, "");
    assert_event(VIRT_EVENT_REMOVED, "hostdev3");
    assert_event(VIRT_EVENT_REFUSED, "hostdev12");
    assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), 0);
    assert_int_equal(fake.opened, 2);
    assert_event(VIRT_EVENT_STOPPED, "");
    assert_event(VIRT_EVENT_NONE, "");
    assert_int_equal(virt->ops->watch(virt, UUID1, &error), 0);
    assert_int_equal(fake.open, 2);
    assert_int_equal(fake.callback_count, 3);
    fake.script = script;
    assert_int_equal(virt->ops->watch(virt, "none", &error), -1);
    assert_int_equal(fake.open, 1);
}

static void drops_older_events(void **state) {
    static const struct happening script[] = {{VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, 0, "hostdev1"},
                                              {OVER, 0, NULL}};

    (void)state;
    assert_int_equal(virt->ops->watch(virt, UUID1, &error), 0);
    happen(script);
    happen(script);
    assert_int_equal(virt->ops->watch(virt, UUID1, &error), 0);
    assert_event(VIRT_EVENT_NONE, "");
    happen(script);
    happen(script);
    fake.turns = 0;
    assert_event(VIRT_EVENT_REMOVED, "hostdev1");
    assert_event(VIRT_EVENT_REMOVED, "hostdev1");
    assert_int_equal(fake.turns, 0); /* they were there */
    assert_event(VIRT_EVENT_NONE, "");
}

static void does_without_an_event_that_is_not_known(void **state) {
    static const struct happening script[] = {{VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, 0, "hostdev1"},
                                              {OVER, 0, NULL}};

    (void)state;
    fake.unknown_event = VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED;
    assert_int_equal(virt->ops->watch(virt, UUID1, &error), 0);
    assert_int_equal(fake.callback_count, 2);
    fake.script = script;
    assert_event(VIRT_EVENT_REMOVED, "hostdev1");
    assert_null(fake_last_error());
}

static void reports_a_loss_while_it_waits(void **state) {
    static const struct happening script[] = {
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, 0, "hostdev1"}, {LOSS, 0, NULL}, {OVER, 0, NULL}};
    struct virt_event event;

    (void)state;
    assert_int_equal(virt->ops->watch(virt, UUID1, &error), 0);
    fake.script = script;
    assert_event(VIRT_EVENT_REMOVED, "hostdev1");
    fake.turns = 0;
    assert_no_wait(VIRT_UNREACHABLE, "closed the connection");
    assert_int_equal(fake.turns, 2); /* and one to close the socket */
    assert_int_equal(fake.open, 1);
    assert_int_equal(virt->ops->wait(virt, 1, &event, &error), 0);
    assert_int_equal(event.kind, VIRT_EVENT_NONE);
    fake.dead = false;
    assert_int_equal(virt->ops->watch(virt, UUID1, &error), 0);
    assert_int_equal(fake.open, 2);
    fake.loop_fails = true;
    fake.turns = 0;
    assert_no_wait(VIRT_FAILED, "event loop");
    assert_int_equal(fake.turns, 2);
}

static void reports_that_it_cannot_watch(void **state) {
    static const char *const failing[] = {"open", "by_uuid", "register_event"};

    (void)state;
    for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
        fake_fail(failing[i], VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR, "Cannot recv data");
        assert_int_equal(virt->ops->watch(virt, UUID1, &error), -1);
        assert_int_equal(error.kind, VIRT_UNREACHABLE);
        assert_int_equal(fake.open, 1);
        assert_null(fake_last_error());
    }
}

static int64_t now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void assert_sleeps(void) {
    struct virt_event event = {.kind = VIRT_EVENT_STOPPED};
    int64_t start = now_ms();

    assert_int_equal(virt->ops->watch(virt, UUID1, &error), 0);
    assert_int_equal(virt->ops->wait(virt, 20, &event, &error), 0);
    assert_int_equal(event.kind, VIRT_EVENT_NONE);
    assert_true(now_ms() - start >= 20);
    assert_int_equal(fake.open, 1);
}

static void works_with_a_library_without_events(void **state) {
    struct libvirt_api older[] = {api, api, api, api, api, api, api};

    (void)state;
    older[0].is_alive = NULL;
    older[1].register_event = NULL;
    older[2].deregister_event = NULL;
    older[3].register_loop = NULL;
    older[4].run_loop = NULL;
    older[5].add_timeout = NULL;
    older[6].remove_timeout = NULL;
    virt_close(virt);
    for (size_t i = 0; i < sizeof older / sizeof *older; i++) {
        assert_int_equal(virt_libvirt_create(&virt, "fake:///", &older[i], &error), 0);
        assert_sleeps();
        assert_int_equal(virt->ops->attach(virt, UUID1, -1, "<a/>", &error), 0);
        virt_close(virt);
    }
    assert_int_equal(virt_libvirt_create(&virt, "fake:///", &api, &error), 0);
    fake_fail("register_loop", 0, 0, NULL);
    assert_sleeps();
}

static void says_who_answers(void **state) {
    struct virt_about about;

    (void)state;
    assert_int_equal(virt->ops->about(virt, &about, &error), 0);
    assert_int_equal(about.version, 9000000);
    assert_string_equal(about.uri, "fake:///");
    fake_fail("daemon_version", VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR, "no version");
    assert_int_equal(virt->ops->about(virt, &about, &error), -1);
    assert_string_equal(error.failure.message, "no version");
    fake_fail("connection_uri", VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR, "no uri");
    assert_int_equal(virt->ops->about(virt, &about, &error), -1);
    assert_string_equal(error.failure.message, "no uri");
}

/* ---- the real library ---- */

static const char *const installed[] = {"libvirt.so.0", NULL};

static void says_which_libraries_it_tried(void **state) {
    static const char *const none[] = {"libnone.so.0", "/not/there/libvirt.so.0", NULL};
    static const char *const broken[] = {"libnone.so.0", "/etc/passwd", NULL};
    static const char *const other[] = {"libc.so.6", NULL};

    (void)state;
    assert_int_equal(virt_libvirt_open_from(&virt, NULL, none, &error), -1);
    assert_null(virt);
    assert_int_equal(error.kind, VIRT_UNREACHABLE);
    assert_int_equal(error.code, 0);
    assert_non_null(strstr(error.failure.message, "tried libnone.so.0, /not/there/libvirt.so.0"));
    assert_non_null(strstr(error.failure.message, "libnone.so.0: cannot open shared object"));
    assert_non_null(strstr(error.failure.hint, "install libvirt"));
    assert_int_equal(virt_libvirt_open_from(&virt, NULL, broken, &error), -1);
    assert_non_null(strstr(error.failure.message, "/etc/passwd: ")); /* the one that is there */
    assert_int_equal(virt_libvirt_open_from(&virt, NULL, other, &error), -1);
    assert_string_equal(error.failure.message, "the libvirt library has no virInitialize");
}

static void works_with_the_real_library(void **state) {
    struct domain domain;
    struct virt_domain *vms;
    size_t count;
    char *xml;

    (void)state;
    assert_int_equal(virt_libvirt_open_from(&virt, "test:///default", installed, &error), 0);
    assert_int_equal(virt->ops->list(virt, &vms, &count, &error), 0);
    assert_int_equal(count, 1);
    assert_int_equal(virt->ops->read(virt, vms, count, &error), 0);
    assert_int_equal(domain_xml_parse(&domain, vms[0].xml, strlen(vms[0].xml), &error.failure), 0);
    assert_string_equal(domain.name, "test");
    struct virt_library library;
    struct virt_about about;
    assert_int_equal(virt_asker_find_library(&library, &error), 0);
    assert_non_null(strstr(library.path, "/libvirt.so.0"));
    assert_int_equal(virt->ops->about(virt, &about, &error), 0);
    assert_int_equal(about.version, library.version); /* that driver has no daemon */
    assert_true(about.version >= 1000000);
    assert_string_equal(about.uri, "test:///default");
    assert_string_equal(domain.uuid, vms[0].uuid);
    assert_int_equal(domain.id, 1);
    assert_int_equal(virt->ops->domain_xml(virt, "test", &xml, &error), 0);
    assert_string_equal(xml, vms[0].xml);
    free(xml);
    assert_int_equal(virt->ops->domain_xml(virt, domain.uuid, &xml, &error), 0);
    free(xml);
    assert_does_not_find("nobody", VIRT_NO_DOMAIN, "nobody");
    assert_int_equal(virt->ops->attach(virt, vms[0].uuid, -1, "<hostdev/>", &error), -1);
    assert_int_equal(error.kind, VIRT_FAILED);
    /* the test driver attaches since libvirt 11, and this is not XML of a device */
    assert_true(error.code == VIR_ERR_NO_SUPPORT || error.code == VIR_ERR_XML_ERROR);
    assert_int_equal(virt->ops->reset(virt, UUID1, -1, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
    assert_int_equal(virt->ops->reboot(virt, vms[0].uuid, -1, &error), 0);
    domain_finish(&domain);
    virt_list_free(vms, count);
    virt_close(virt);
}

/* The test driver's VMs are the same on every connection of a process. */
static void act_on_test_vm(const char *function) {
    void *library = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL), *address;
    __typeof__(virConnectOpen) *open;
    __typeof__(virDomainLookupByName) *lookup;
    __typeof__(virDomainDestroy) *act; /* or another of that type */
    virConnectPtr connection;

    assert_non_null(library);
    address = dlsym(library, "virConnectOpen");
    memcpy((void *)&open, &address, sizeof address);
    address = dlsym(library, "virDomainLookupByName");
    memcpy((void *)&lookup, &address, sizeof address);
    address = dlsym(library, function);
    memcpy((void *)&act, &address, sizeof address);
    connection = open("test:///default");
    assert_non_null(connection);
    assert_int_equal(act(lookup(connection, "test")), 0);
}

static void hears_of_the_end_of_a_real_vm(void **state) {
    struct virt_event event;
    struct virt_domain *vms;
    size_t count;

    (void)state;
    assert_int_equal(virt_libvirt_open_from(&virt, "test:///default", installed, &error), 0);
    assert_int_equal(virt->ops->list(virt, &vms, &count, &error), 0);
    assert_int_equal(virt->ops->wait(virt, 1, &event, &error), 0);
    assert_int_equal(virt->ops->watch(virt, vms[0].uuid, &error), 0);
    assert_int_equal(virt->ops->wait(virt, 0, &event, &error), 0);
    assert_int_equal(event.kind, VIRT_EVENT_NONE);
    act_on_test_vm("virDomainSuspend");
    assert_int_equal(virt->ops->wait(virt, 20, &event, &error), 0);
    assert_int_equal(event.kind, VIRT_EVENT_NONE);
    act_on_test_vm("virDomainDestroy");
    assert_int_equal(virt->ops->wait(virt, 60000, &event, &error), 0);
    assert_int_equal(event.kind, VIRT_EVENT_STOPPED);
    assert_int_equal(virt->ops->wait(virt, 0, &event, &error), 0);
    assert_int_equal(event.kind, VIRT_EVENT_NONE);
    assert_int_equal(virt->ops->watch(virt, vms[0].uuid, &error), 0);
    assert_int_equal(virt->ops->watch(virt, UUID1, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
    virt_list_free(vms, count);
    virt_close(virt);
}

static void reports_that_nobody_listens(void **state) {
    static const char *const uris[] = {"qemu+unix:///system?socket=/not/there", "nonsense:///"};

    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        assert_int_equal(virt_libvirt_open_from(&virt, uris[i], installed, &error), -1);
        assert_int_equal(error.kind, VIRT_UNREACHABLE);
        assert_true(*error.failure.hint);
    }
}

/* ASan's interceptors of Sun RPC's XDR, which libvirt's client uses, call NULL when the library
 * that has it was loaded with dlopen. */
#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
enum { RPC_WORKS = 0 };
#else
enum { RPC_WORKS = 1 };
#endif

/* A daemon that dies while we talk to it: the socket closes at our first word. */
static void survives_a_daemon_that_dies(void **state) {
    char directory[] = "/tmp/test_virt.XXXXXX", uri[256];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status;
    struct sigaction action;
    pid_t daemon;

    (void)state;
    if (!RPC_WORKS) {
        close(listener);
        skip();
    }
    assert_non_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", directory);
    snprintf(uri, sizeof uri, "qemu+unix:///system?socket=%s", address.sun_path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    daemon = fork();
    assert_true(daemon >= 0);
    if (daemon == 0) {
        close(accept(listener, NULL, NULL));
        _exit(0);
    }
    close(listener);
    assert_int_equal(virt_libvirt_open_from(&virt, uri, installed, &error), -1);
    assert_int_equal(error.kind, VIRT_UNREACHABLE);
    assert_int_equal(waitpid(daemon, &status, 0), daemon);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
    assert_int_equal(raise(SIGPIPE), 0);
}

#define FAKE_TEST(test) cmocka_unit_test_setup_teardown(test, open_fake, close_fake)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_errors_mean),
        cmocka_unit_test(each_row_of_the_table_counts),
        cmocka_unit_test(puts_messages_on_one_line),
        FAKE_TEST(finds_by_uuid_name_and_title),
        FAKE_TEST(says_what_it_does_not_find),
        FAKE_TEST(lists_running_vms),
        FAKE_TEST(acts_on_the_running_vm),
        FAKE_TEST(reads_definitions),
        FAKE_TEST(changes_definitions_alone),
        FAKE_TEST(tells_how_the_vm_came_to_run),
        FAKE_TEST(another_life_is_left_alone),
        FAKE_TEST(reports_failed_acts),
        FAKE_TEST(looks_where_the_words_are_not_known),
        FAKE_TEST(connects_anew_after_a_loss),
        FAKE_TEST(reports_a_loss_in_mid_lookup),
        FAKE_TEST(hears_what_happens_to_the_vm),
        FAKE_TEST(drops_older_events),
        FAKE_TEST(does_without_an_event_that_is_not_known),
        FAKE_TEST(reports_a_loss_while_it_waits),
        FAKE_TEST(reports_that_it_cannot_watch),
        FAKE_TEST(works_with_a_library_without_events),
        FAKE_TEST(says_who_answers),
        cmocka_unit_test(reports_that_it_cannot_start),
        cmocka_unit_test(chooses_the_uri),
        cmocka_unit_test(says_which_libraries_it_tried),
        cmocka_unit_test(works_with_the_real_library),
        cmocka_unit_test(hears_of_the_end_of_a_real_vm),
        cmocka_unit_test(reports_that_nobody_listens),
        cmocka_unit_test(survives_a_daemon_that_dies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
