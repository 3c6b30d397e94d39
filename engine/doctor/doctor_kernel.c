/* Checks of the kernel: IOMMU, vfio-pci, interrupt remapping. */
#include "engine/doctor/doctor.h"

#include "engine/host/iommu.h"
#include "engine/rules/match.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

/* --- the kernel's command line and parameters */

/* The word of the command line that begins with `key` or is it; the last counts, as in the kernel.
 * The caller frees it. */
static char *doctor_kernel_command_line_word(const struct tree *tree, const char *key) {
    char *line = tree_attribute(tree, "proc", "cmdline"), *rest = line, *found = NULL;
    size_t length = strlen(key);
    for (char *word; (word = text_next_field(&rest));) {
        if (!strcmp(word, "--"))
            break;
        if (strncmp(word, key, length) != 0)
            continue;
        free(found);
        found = memory_strdup(word);
    }
    free(line);
    return found;
}

/* A boolean parameter of a module: 'Y', 'N', or 0 when it is not known. */
static char doctor_kernel_parameter(const struct tree *tree, const char *module, const char *name) {
    char *directory = memory_printf("sys/module/%s/parameters", module);
    char *text = tree_attribute(tree, directory, name);
    char value = '\0';
    if (text && *text)
        value = (char)(strchr("Yy1", *text) ? 'Y' : 'N');
    free(text);
    free(directory);
    return value;
}

static size_t doctor_kernel_count_groups(const struct tree *tree) {
    struct names groups = tree_list(tree, "sys/kernel/iommu_groups");
    size_t count = groups.count;
    tree_finish_names(&groups);
    return count;
}

/* --- IOMMU */

#define TABLES "sys/firmware/acpi/tables"
#define BOOT_WITH                                                                                  \
    " to the kernel's command line (Debian, Ubuntu: GRUB_CMDLINE_LINUX in /etc/default/grub, "     \
    "then "                                                                                        \
    "'update-grub') and reboot"

static bool doctor_kernel_is_virtual_machine(const struct tree *tree) {
    char *text = tree_read(tree, "proc/cpuinfo");
    bool is = text && strstr(text, " hypervisor");
    free(text);
    return is;
}

/* What the command line turns off. The caller frees it; NULL: nothing. */
static char *doctor_kernel_turned_off(const struct tree *tree) {
    static const char *const keys[] = {"intel_iommu=", "amd_iommu=", "iommu="};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char *word = doctor_kernel_command_line_word(tree, keys[i]);
        if (word && !strncmp(word + strlen(keys[i]), "off", 3))
            return word;
        free(word);
    }
    return NULL;
}

/* The firmware offers one, and the kernel made no group. */
static void doctor_kernel_explain_unused(const struct tree *tree, struct doctor_findings *findings,
                                         const char *table) {
    char *asked = doctor_kernel_command_line_word(tree, "intel_iommu=");
    doctor_failed(findings,
                  "the firmware has an IOMMU (ACPI table %s), but the kernel made no group", table);
    if (!strcmp(table, "DMAR") && !(asked && !strncmp(asked, "intel_iommu=on", 14)))
        doctor_hint(findings, "add intel_iommu=on" BOOT_WITH);
    else
        doctor_hint(findings, "'dmesg | grep -i -e iommu -e dmar -e amd-vi' says why");
    free(asked);
}

static void doctor_kernel_explain_missing(const struct tree *tree,
                                          struct doctor_findings *findings) {
    static const char *const tables[] = {"DMAR", "IVRS", "IORT", "VIOT"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char *path = memory_printf(TABLES "/%s", tables[i]);
        bool has = tree_has(tree, path);
        free(path);
        if (has) {
            doctor_kernel_explain_unused(tree, findings, tables[i]);
            return;
        }
    }
    doctor_failed(findings, tree_has(tree, TABLES)
                                ? "the firmware offers no IOMMU (no ACPI table DMAR or IVRS)"
                                : "the kernel made no IOMMU group");
    if (doctor_kernel_is_virtual_machine(tree))
        doctor_hint(findings, "this host is a VM: its own host must give it a virtual IOMMU "
                              "(libvirt: <iommu model='intel'/>)");
    else
        doctor_hint(findings,
                    "turn on VT-d (Intel) or AMD-Vi, IOMMU (AMD) in the firmware's set-up; on "
                    "Intel also add intel_iommu=on" BOOT_WITH);
}

static void doctor_kernel_add_unneeded(const struct doctor *doctor,
                                       struct doctor_findings *findings) {
    doctor_ok(findings, doctor_wants_usb_only(doctor)
                            ? "not needed: rules attach USB devices only"
                            : "not needed: no rule attaches a device as vfio or net");
}

void doctor_kernel_iommu(struct doctor *doctor, struct doctor_findings *findings) {
    size_t count = doctor_kernel_count_groups(&doctor->tree);
    char *off = doctor_kernel_turned_off(&doctor->tree);
    if (count) {
        doctor_ok(findings, "the kernel made %zu IOMMU group%s", count, count == 1 ? "" : "s");
    } else if (doctor_wants_no_iommu(doctor)) {
        doctor_kernel_add_unneeded(doctor, findings);
    } else if (off) {
        doctor_failed(findings, "the kernel's command line turns it off (%s)", off);
        doctor_hint(findings, "remove %s%s", off,
                    !strncmp(off, "intel", 5) ? " and add intel_iommu=on" BOOT_WITH
                                              : ", and reboot");
    } else {
        doctor_kernel_explain_missing(&doctor->tree, findings);
    }
    free(off);
}

/* --- vfio-pci */

/* A name in modules.dep or modules.builtin: ".../vfio-pci.ko[.xz]: ...". */
static bool doctor_kernel_list_has(const struct tree *tree, const char *directory, const char *file,
                                   bool *known) {
    char *path = memory_printf("%s/%s", directory, file), *text = tree_read(tree, path);
    char *rest = text;
    bool has = false;
    *known = *known || text;
    for (char *line; !has && (line = text_next_line(&rest));) {
        line[strcspn(line, ":")] = '\0';
        const char *name = strrchr(line, '/');
        name = name ? name + 1 : line;
        has = !strncmp(name, "vfio-pci.ko", 11) || !strncmp(name, "vfio_pci.ko", 11);
    }
    free(text);
    free(path);
    return has;
}

/* Whether the kernel's modules have it; `known` says whether there is any list of them. */
static bool doctor_kernel_is_loadable(const struct tree *tree, const char *release, bool *known) {
    static const char *const places[] = {"lib/modules", "usr/lib/modules",
                                         "run/booted-system/kernel-modules/lib/modules"};
    bool has = tree_has(tree, "lib/modules/vfio-pci.ko"); /* a NAS has them in one heap */
    *known = has;
    for (size_t i = 0; release && !has && i < sizeof places / sizeof *places; i++) {
        char *directory = memory_printf("%s/%s", places[i], release);
        has = doctor_kernel_list_has(tree, directory, "modules.dep", known) ||
              doctor_kernel_list_has(tree, directory, "modules.builtin", known);
        free(directory);
    }
    return has;
}

struct line_judge {
    bool (*is)(char *line);
};

static bool doctor_kernel_any_line(void *context, char *text) {
    const struct line_judge *judge = context;
    bool is = false;
    for (char *line; !is && (line = text_next_line(&text));)
        is = judge->is(line);
    return is;
}

/* Whether a line of modprobe.d is what is looked for; it may change the line. */
static bool doctor_kernel_any_modprobe_line(const struct tree *tree, bool (*is)(char *line)) {
    static const char *const places[] = {"etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d",
                                         "lib/modprobe.d", NULL};
    char *path =
        doctor_find_file(tree, places, ".conf", doctor_kernel_any_line, &(struct line_judge){is});
    bool found = path;
    free(path);
    return found;
}

static bool doctor_kernel_is_vfio_pci(const char *word) {
    return word && (!strcmp(word, "vfio-pci") || !strcmp(word, "vfio_pci"));
}

/* "blacklist vfio-pci", which libvirt's 'modprobe -b' heeds, or "install vfio-pci /bin/false". */
static bool doctor_kernel_forbids_vfio(char *line) {
    char *rest = line;
    const char *verb = text_next_field(&rest), *module = verb ? text_next_field(&rest) : NULL;
    if (!verb || !doctor_kernel_is_vfio_pci(module))
        return false;
    return !strcmp(verb, "blacklist") ||
           (!strcmp(verb, "install") && rest && (strstr(rest, "false") || strstr(rest, "true")));
}

static bool doctor_kernel_sets_idle_d3(char *line) {
    char *rest = line;
    const char *verb = text_next_field(&rest), *module = verb ? text_next_field(&rest) : NULL;
    if (!verb || strcmp(verb, "options") != 0 || !doctor_kernel_is_vfio_pci(module))
        return false;
    for (const char *word; (word = text_next_field(&rest));)
        if (!strcmp(word, "disable_idle_d3") || !strncmp(word, "disable_idle_d3=1", 17) ||
            !strncasecmp(word, "disable_idle_d3=y", 17))
            return true;
    return false;
}

static void doctor_kernel_explain_vfio(const struct tree *tree, struct doctor_findings *findings) {
    char *release = tree_attribute(tree, "proc/sys/kernel", "osrelease");
    char *disabled = tree_attribute(tree, "proc/sys/kernel", "modules_disabled");
    bool known = false, loadable = doctor_kernel_is_loadable(tree, release, &known);
    if (disabled && !strcmp(disabled, "1")) {
        doctor_failed(findings, "not loaded, and the kernel no longer loads modules");
        doctor_hint(findings, "load it before kernel.modules_disabled is set to 1: put vfio-pci "
                              "into /etc/modules-load.d/vfio.conf and reboot");
    } else if (doctor_kernel_any_modprobe_line(tree, doctor_kernel_forbids_vfio)) {
        doctor_failed(findings, "a file in modprobe.d prevents loading it");
        doctor_hint(findings, "'grep -r vfio /etc/modprobe.d' shows the line; remove it");
    } else if (loadable) {
        doctor_ok(findings, "not loaded now; libvirt loads it when it is needed");
    } else if (known) {
        doctor_failed(findings, "the kernel %s has no module vfio-pci", release ? release : "");
        doctor_hint(findings, "install the kernel package that has it (Debian: linux-image-amd64, "
                              "not -cloud; Ubuntu: linux-modules-extra)");
    } else if (tree_has(tree, "var/packages/Virtualization")) {
        doctor_warning(findings, "not loaded now; Virtual Machine Manager loads it");
        doctor_hint(findings, "start a VM, then run doctor again");
    } else {
        doctor_warning(findings,
                       "not loaded, and doctor cannot tell whether it can be: there is no list of "
                       "the kernel's modules (/lib/modules/%s/modules.dep)",
                       release ? release : "VERSION");
        doctor_hint(findings, "try 'modprobe vfio-pci', then run doctor again");
    }
    free(release);
    free(disabled);
}

void doctor_kernel_vfio_pci(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    if (tree_has(tree, "sys/bus/pci/drivers/vfio-pci"))
        doctor_ok(findings, "loaded");
    else if (doctor_wants_no_iommu(doctor))
        doctor_kernel_add_unneeded(doctor, findings);
    else
        doctor_kernel_explain_vfio(tree, findings);
}

/* --- interrupt remapping */

#define UNSAFE "allow_unsafe_interrupts"

/* From the names of the interrupt chips: remapped ones begin with "IR-". */
enum remapping { REMAPPING_UNKNOWN, REMAPPING_OFF, REMAPPING_ON };

static enum remapping doctor_kernel_read_remapping(const struct tree *tree) {
    char *text = tree_read(tree, "proc/interrupts");
    enum remapping remapping = REMAPPING_UNKNOWN;
    if (text && (strstr(text, " IR-IO-APIC") || strstr(text, " IR-PCI-MSI")))
        remapping = REMAPPING_ON;
    else if (text && strstr(text, " IO-APIC")) /* of x86 alone */
        remapping = REMAPPING_OFF;
    free(text);
    return remapping;
}

static void doctor_kernel_explain_no_remapping(const struct tree *tree,
                                               struct doctor_findings *findings) {
    char *off = doctor_kernel_command_line_word(tree, "intremap=off");
    char *old = doctor_kernel_command_line_word(tree, "nointremap");
    const char *word = off ? off : old;
    doctor_failed(findings, "off%s%s%s: without it the kernel gives no PCI device to a VM",
                  word ? " (" : "", word ? word : "", word ? " on the kernel's command line)" : "");
    if (word)
        doctor_hint(findings, "remove %s and reboot", word);
    else
        doctor_hint(findings,
                    "turn on VT-d or x2APIC in the firmware's set-up; if the hardware has none and "
                    "you trust the VMs: put 'options vfio_iommu_type1 " UNSAFE
                    "=1' into /etc/modprobe.d/vfio.conf, and reboot");
    free(off);
    free(old);
}

void doctor_kernel_remapping(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    char unsafe = doctor_kernel_parameter(tree, "vfio_iommu_type1", UNSAFE);
    enum remapping remapping = doctor_kernel_read_remapping(tree);
    if (doctor_wants_no_iommu(doctor)) {
        doctor_kernel_add_unneeded(doctor, findings);
    } else if (!doctor_kernel_count_groups(tree)) {
        doctor_ok(findings, "not needed: there is no IOMMU");
    } else if (unsafe == 'Y' && remapping != REMAPPING_ON) {
        doctor_warning(findings, "vfio works without it (" UNSAFE
                                 "): a VM with a PCI device can disturb the host");
        doctor_hint(findings, "remove " UNSAFE " from /etc/modprobe.d, unless the hardware has no "
                              "interrupt remapping and the VMs are trusted");
    } else if (remapping == REMAPPING_ON) {
        doctor_ok(findings, "on: /proc/interrupts has interrupts that begin with IR-");
    } else if (remapping == REMAPPING_OFF) {
        doctor_kernel_explain_no_remapping(tree, findings);
    } else {
        doctor_ok(findings,
                  "unknown: /proc/interrupts does not show it on this host ('dmesg | grep "
                  "-i remapping' may)");
    }
}

/* --- groups */

static bool doctor_kernel_is_wanted(const struct doctor *doctor, const struct device *device,
                                    bool *with_group) {
    bool wanted = false;
    for (size_t i = 0; i < doctor->program->rule_count; i++)
        for (const struct action *action = doctor->program->rules[i]->actions; action;
             action = action->next)
            for (const struct target *target =
                     action->verb == VERB_ATTACH && action->backend == BACKEND_VFIO
                         ? action->targets
                         : NULL;
                 target; target = target->next)
                if (match_device(target->device, device)) {
                    wanted = true;
                    *with_group = *with_group || action->with_group;
                }
    return wanted;
}

/* One line for a device that a rule wants and whose group keeps it from being passed. */
static void doctor_kernel_judge_group(const struct doctor *doctor, const struct device *device,
                                      struct doctor_findings *findings) {
    bool with_group = false;
    const struct device *other = iommu_group_blocker(doctor->host, device);
    if (!other || device->is_bridge || !doctor_kernel_is_wanted(doctor, device, &with_group) ||
        with_group)
        return;
    doctor_warning(findings, "%s shares group %d with %s (%s, host driver %s)", device->address,
                   device->iommu_group, other->address, other->name, other->driver);
    doctor_hint(findings,
                "only a whole group can be assigned: move the card to another slot, or write 'with "
                "group' in the rule if the host does not need the other devices");
}

static void doctor_kernel_judge_override(const struct tree *tree,
                                         struct doctor_findings *findings) {
    char *word = doctor_kernel_command_line_word(tree, "pcie_acs_override=");
    if (word) {
        doctor_warning(findings, "%s makes small groups that the hardware does not isolate", word);
        doctor_hint(findings, "assign such devices only to trusted VMs, or remove it");
    }
    free(word);
}

void doctor_kernel_groups(struct doctor *doctor, struct doctor_findings *findings) {
    size_t before = findings->count;
    if (!doctor->host || !doctor->host->has_iommu) {
        doctor_ok(findings, "none: there is no IOMMU");
        return;
    }
    for (size_t i = 0; i < doctor->host->count; i++)
        doctor_kernel_judge_group(doctor, &doctor->host->devices[i], findings);
    doctor_kernel_judge_override(&doctor->tree, findings);
    if (findings->count > before)
        return;
    doctor_ok(findings, "%s (%zu groups)",
              doctor_wants_bus(doctor, BUS_PCI) ? "rules say 'with group' where a device needs it"
                                                : "no rule wants a PCI device",
              doctor_kernel_count_groups(&doctor->tree));
}

/* --- sleeping Corals */

static const struct device_id coral = {0x1ac1, 0x089a};

static bool doctor_kernel_wants_coral(const struct doctor *doctor) {
    bool with_group = false;
    for (size_t i = 0; doctor->host && i < doctor->host->count; i++)
        if (doctor->host->devices[i].bus == BUS_PCI &&
            doctor->host->devices[i].id.vendor == coral.vendor &&
            doctor->host->devices[i].id.device == coral.device &&
            doctor_kernel_is_wanted(doctor, &doctor->host->devices[i], &with_group))
            return true;
    char nowhere[] = "";
    struct device absent = {.bus = BUS_PCI, .id = coral, .address = nowhere};
    return doctor_kernel_is_wanted(doctor, &absent, &with_group);
}

void doctor_kernel_idle_d3(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    char value = doctor_kernel_parameter(tree, "vfio_pci", "disable_idle_d3");
    bool set = doctor_kernel_any_modprobe_line(tree, doctor_kernel_sets_idle_d3);
    if (!doctor_kernel_wants_coral(doctor)) {
        doctor_ok(findings, "not needed: no rule wants a PCI Coral (1ac1:089a) as vfio");
    } else if (value == 'Y' || (!value && set)) {
        doctor_ok(findings, "off: vfio-pci does not let an unused Coral sleep");
    } else {
        doctor_warning(findings, "vfio-pci lets an unused Coral sleep (D3); some do not wake up, "
                                 "and the guest's driver fails");
        doctor_hint(findings,
                    set ? "reboot: modprobe.d has disable_idle_d3=1, which takes effect when "
                          "vfio-pci is loaded"
                        : "if the guest sees the Coral and its driver fails: put 'options vfio-pci "
                          "disable_idle_d3=1' into /etc/modprobe.d/vfio.conf, and reboot");
    }
}
