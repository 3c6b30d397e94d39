/*
 * The rule that gives a device of the host to a VM: whole lines, to be copied or written into a
 * file. `devices` prints them and `add` writes them. Nothing here has side effects.
 */
#ifndef ENGINE_SUGGEST_RULE_H
#define ENGINE_SUGGEST_RULE_H

#include "engine/plan/judge.h"
#include "engine/plan/selector.h"

/* What stands for the VM where none is given; it is a placeholder to be replaced. */
#define SUGGEST_RULE_VM "NAME"

struct suggested_rule {
    /* "on vm NAME started attach 1ac1:089a as vfio"; NULL: there is none. It selects this device
     * only, tomorrow too; `check` has nothing against it, and the plan of `event` attaches this
     * device, with_group also those of its IOMMU group. At `defined` a second line requires the
     * device when the VM starts; no newline is at the end. */
    char *text;
    enum event_name event; /* EVENT_STARTED; EVENT_DEFINED: of what the guest's firmware starts */
    /* The first by which the device can go, or that can present it; NULL: none can. */
    const struct backend_type *backend;
    bool with_group;    /* the rule has 'with group' */
    bool gives_display; /* it has 'boot display': the host's console is on the device */
    bool resets;        /* it has 'then reset' */
    /* Whether the device can go without the others of its group, and while the host's console is on
     * it; REFUSED_NOT: it can. It says why there is no rule. */
    struct verdict verdict;
};

/* By the first backend that can attach it now, else with its IOMMU group, or as the display that
 * the host gives up. `vm` is the VM's name, title or UUID; NULL: SUGGEST_RULE_VM. `may_define`: the
 * VM has a definition that lasts. suggest_rule_finish() ends it. */
struct suggested_rule suggest_rule(struct judge *judge, const struct selector *selector,
                                   const struct device *device, const char *vm, bool may_define);
void suggest_rule_finish(struct suggested_rule *suggested);

/* Whether the device can go to a VM now by that backend, in which case the caller need not end the
 * verdict. */
struct verdict suggest_rule_judge(struct judge *judge, const struct device *device,
                                  const struct backend_type *backend);

/* What follows 'as': "usb", "mdev \"nvidia-63\"". The caller frees it. */
char *suggest_rule_backend_text(const struct backend_type *backend, const struct device *device);

/* The name of a VM as a rule has it: frigate, "Home Assistant". The caller frees it. */
char *suggest_rule_vm_text(const char *vm);

#endif
