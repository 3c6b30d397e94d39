/*
 * Whether a device may go to a VM, and if not, why. A row of REFUSALS is one reason: its name in
 * the code, its name in --json (a contract), and the check of `check --host` that reports it (NULL:
 * none, because it depends on more than the rule and the host).
 */
#ifndef ENGINE_VERDICT_H
#define ENGINE_VERDICT_H

#define REFUSALS(ROW)                                                                              \
    ROW(REFUSED_NOT, "none", NULL) /* it may go */                                                 \
    ROW(REFUSED_ABSENT, "absent", "device-absent")                                                 \
    ROW(REFUSED_AMBIGUOUS, "ambiguous", "device-ambiguous")                                        \
    ROW(REFUSED_TOO_FEW, "too-few", "device-absent")                                               \
    ROW(REFUSED_NEVER, "never", "void-by-never")                                                   \
    ROW(REFUSED_BUS, "wrong-bus", "device-unpassable")                                             \
    ROW(REFUSED_BRIDGE, "bridge", "device-unpassable")                                             \
    ROW(REFUSED_HOST_USE, "in-use-by-host", "device-unpassable")                                   \
    ROW(REFUSED_UNKNOWN_USE, "unknown-use", "device-unpassable")                                   \
    ROW(REFUSED_NO_ANSWER, "no-answer", "device-unpassable")                                       \
    ROW(REFUSED_DOMAIN, "pci-domain", "device-unpassable")                                         \
    ROW(REFUSED_FIRMWARE, "reserved-memory", "device-unpassable")                                  \
    ROW(REFUSED_KERNEL, "kernel-refuses", "device-unpassable")                                     \
    ROW(REFUSED_HELD, "held", NULL)                                                                \
    ROW(REFUSED_NO_IOMMU, "no-iommu", "device-unpassable")                                         \
    ROW(REFUSED_GROUP, "group", "device-unpassable")                                               \
    ROW(REFUSED_NO_PORT, "no-port", NULL)                                                          \
    ROW(REFUSED_NO_USB, "no-usb", NULL)                                                            \
    ROW(REFUSED_NO_USB_PORT, "no-usb-port", NULL)                                                  \
    ROW(REFUSED_EVENT, "wrong-event", NULL)                                                        \
    ROW(REFUSED_SAME_TITLE, "same-title", NULL)                                                    \
    ROW(REFUSED_PROGRAM, "unsafe-program", NULL)

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
/* The check of `check --host` that reports it, or NULL. */
const char *verdict_check(enum refusal refusal);

/* Takes both texts. */
struct verdict verdict_refuse(enum refusal refusal, char *message, char *hint);
struct verdict verdict_copy(const struct verdict *verdict);
void verdict_finish(struct verdict *verdict);

#endif
