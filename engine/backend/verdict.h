/*
 * Whether a device may go to a VM, and if not, why. A row of REFUSALS is one reason: its name in
 * the code, its name in --json (a contract), and the check of `check --host` that reports it
 * (CHECK_NONE: none, because it depends on more than the rule and the host).
 */
#ifndef ENGINE_VERDICT_H
#define ENGINE_VERDICT_H

#include "lexer/diagnostic.h"

#define REFUSALS(ROW)                                                                              \
    ROW(REFUSED_NOT, "none", CHECK_NONE) /* it may go */                                           \
    ROW(REFUSED_ABSENT, "absent", CHECK_DEVICE_ABSENT)                                             \
    ROW(REFUSED_AMBIGUOUS, "ambiguous", CHECK_DEVICE_AMBIGUOUS)                                    \
    ROW(REFUSED_TOO_FEW, "too-few", CHECK_DEVICE_ABSENT)                                           \
    ROW(REFUSED_NEVER, "never", CHECK_VOID_BY_NEVER)                                               \
    ROW(REFUSED_BUS, "wrong-bus", CHECK_DEVICE_UNPASSABLE)                                         \
    ROW(REFUSED_BACKEND, "wrong-backend", CHECK_DEVICE_UNPASSABLE)                                 \
    ROW(REFUSED_BRIDGE, "bridge", CHECK_DEVICE_UNPASSABLE)                                         \
    ROW(REFUSED_HOST_USE, "in-use-by-host", CHECK_DEVICE_UNPASSABLE)                               \
    ROW(REFUSED_UNKNOWN_USE, "unknown-use", CHECK_DEVICE_UNPASSABLE)                               \
    ROW(REFUSED_NO_ANSWER, "no-answer", CHECK_DEVICE_UNPASSABLE)                                   \
    ROW(REFUSED_DOMAIN, "pci-domain", CHECK_DEVICE_UNPASSABLE)                                     \
    ROW(REFUSED_FIRMWARE, "reserved-memory", CHECK_DEVICE_UNPASSABLE)                              \
    ROW(REFUSED_KERNEL, "kernel-refuses", CHECK_DEVICE_UNPASSABLE)                                 \
    ROW(REFUSED_RESET_METHOD, "no-reset-method", CHECK_DEVICE_UNPASSABLE)                          \
    ROW(REFUSED_HELD, "held", CHECK_NONE)                                                          \
    ROW(REFUSED_MOVED, "moved", CHECK_NONE)                                                        \
    ROW(REFUSED_NO_IOMMU, "no-iommu", CHECK_DEVICE_UNPASSABLE)                                     \
    ROW(REFUSED_GROUP, "group", CHECK_DEVICE_UNPASSABLE)                                           \
    ROW(REFUSED_NO_PORT, "no-port", CHECK_NONE)                                                    \
    ROW(REFUSED_MAC, "mac-in-use", CHECK_NONE)                                                     \
    ROW(REFUSED_LINK_DOWN, "link-down", CHECK_NONE)                                                \
    ROW(REFUSED_NO_USB, "no-usb", CHECK_NONE)                                                      \
    ROW(REFUSED_NO_USB_PORT, "no-usb-port", CHECK_NONE)                                            \
    ROW(REFUSED_NO_CONTROLLER, "no-controller", CHECK_NONE)                                        \
    ROW(REFUSED_NO_SCSI, "no-scsi", CHECK_NONE)                                                    \
    ROW(REFUSED_USB_SPEED, "usb-speed", CHECK_NONE)                                                \
    ROW(REFUSED_BOOT_ORDER, "boot-order", CHECK_NONE)                                              \
    ROW(REFUSED_TRUST, "trust", CHECK_NONE)                                                        \
    ROW(REFUSED_OLD_LIBVIRT, "libvirt-too-old", CHECK_NONE)                                        \
    ROW(REFUSED_DRIVER, "driver", CHECK_DEVICE_UNPASSABLE)                                         \
    ROW(REFUSED_NO_SRIOV, "no-sriov", CHECK_DEVICE_UNPASSABLE)                                     \
    ROW(REFUSED_EVENT, "wrong-event", CHECK_NONE)                                                  \
    ROW(REFUSED_PARKED, "parked", CHECK_NONE) /* the VM is */                                      \
    ROW(REFUSED_SAME_TITLE, "same-title", CHECK_NONE)                                              \
    ROW(REFUSED_PROGRAM, "unsafe-program", CHECK_NONE)

enum refusal {
#define VERDICT_NAME(name, json, check) name,
    REFUSALS(VERDICT_NAME)
#undef VERDICT_NAME
};

struct verdict {
    enum refusal refusal; /* REFUSED_NOT: it may go, and there are no texts */
    char *message;        /* what is wrong, one line; owned by whoever keeps the verdict */
    char *hint;           /* what to do */
};

/* The reason's name in --json. */
const char *verdict_name(enum refusal refusal);
/* The check of `check --host` that reports it, or CHECK_NONE. */
enum check verdict_check(enum refusal refusal);

/* Takes both texts. */
struct verdict verdict_refuse(enum refusal refusal, char *message, char *hint);
struct verdict verdict_copy(const struct verdict *verdict);
void verdict_finish(struct verdict *verdict);

#endif
