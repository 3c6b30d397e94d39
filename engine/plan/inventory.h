/*
 * The host as people look at it: each device with the rule that gives it to a VM or the reason why
 * there is none, where it is connected, what goes with it, and which VM or rule has it. The
 * `devices` command shows it as a list, a tree or a picture. Nothing here has side effects.
 */
#ifndef ENGINE_INVENTORY_H
#define ENGINE_INVENTORY_H

#include "engine/plan/suggest_rule.h"

enum inventory_state {
    INVENTORY_FREE,     /* a rule can give it to a VM now */
    INVENTORY_IN_USE,   /* of the host or of a VM */
    INVENTORY_REFUSED,  /* it cannot be assigned for another reason */
    INVENTORY_INTERNAL, /* a bridge or a hub, or a part of the chipset that no VM needs */
};

/* A rule that attaches the device, as far as its own conditions say. */
struct inventory_rule {
    const struct rule *rule;
    const struct action *action;
    bool can; /* the device can go to a VM by it, now or after another VM */
};

struct inventory_row {
    const struct device *device;
    enum inventory_state state;
    struct suggested_rule suggested;
    backend_set also; /* the other backends by which it can go to a VM now */
    size_t above;     /* the row of the device that it is connected to; SIZE_MAX: none */
    bool has_place;   /* `above` is known */
    /* The kernel's names of what it is for: "eno2"; "sda" and "sdb"; "ttyUSB0". */
    char **interfaces;
    size_t interface_count;
    /* Of a controller: the devices that leave the host with it, as row numbers. */
    size_t *behind;
    size_t behind_count;
    /* The other endpoints of its IOMMU group. */
    size_t *companions;
    size_t companion_count;
    /* The VM takes what people see of the host's console or type at it with: one line; NULL: it
     * does not. */
    char *warning;
    const struct held_device *held; /* the VM that has it or a part of it; NULL: none is known */
    struct inventory_rule *rules;
    size_t rule_count;
};

struct inventory {
    const struct host *host;
    const struct domain *vms; /* that run */
    size_t vm_count;
    struct inventory_row *rows; /* as the host has its devices */
    size_t count;
    bool may_define; /* definitions of VMs last on this host */
    struct judge judge;
    struct selector selector;
    struct holdings holdings;
};

/* All is borrowed and must last as long. `program` NULL: no rules are known. */
void inventory_init(struct inventory *inventory, const struct host *host,
                    const struct program *program, const struct domain *vms, size_t vm_count);
void inventory_finish(struct inventory *inventory);

/* Sets `above` of every row. Until then it is set of what is on USB or SCSI, and of all that such a
 * device is connected to. */
void inventory_find_places(struct inventory *inventory);

/* Whether each of the words is in what is known of the device, whatever the case: its name, id,
 * address, port, driver, class in words, serial number, interfaces, or the VM that has it. */
bool inventory_has_words(const struct inventory_row *row, char *const *words, int count);

/* The rows by bus and IOMMU group, within one as the host has them. The caller frees the list. */
const struct inventory_row **inventory_order(const struct inventory *inventory);

/* "eno2", "sda, sdb and 6 more"; NULL: it has none. The caller frees it. */
char *inventory_interfaces_text(const struct inventory_row *row);
/* "50-frigate.rules:1". The caller frees it. */
char *inventory_rule_place(const struct inventory_rule *rule);
/* The VMs of the rule as it has them: "frigate, \"Home Assistant\"". The caller frees it. */
char *inventory_rule_vms(const struct inventory_rule *rule);
/* "50-frigate.rules:1 attaches it to frigate"; "... names it for frigate" if it cannot. The caller
 * frees it. */
char *inventory_rule_text(const struct inventory_rule *rule);
/* "VM 'frigate' has it"; NULL: no VM has it. The caller frees it. */
char *inventory_holder_text(const struct inventory_row *row);

#endif
