/* Checks of the kernel: its version, IOMMU, vfio-pci, interrupt remapping. */
#include "engine/doctor/doctor.h"

#include "engine/host/architecture.h"
#include "engine/host/iommu.h"
#include "engine/host/kernel_release.h"
#include "engine/plan/plan.h"
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

/* --- its version */

static void doctor_kernel_add_too_old(const struct doctor *doctor, struct doctor_findings *findings,
                                      const char *release) {
    static const char why[] = "before 3.16 it has no driver_override, by which one PCI device "
                              "alone is bound to vfio-pci";
    if (doctor_needs_iommu(doctor) == DOCTOR_NEEDS)
        doctor_failed(findings, "Linux %s is too old: %s", release, why);
    else
        doctor_warning(findings, "Linux %s is too old for PCI devices: %s", release, why);
}

void doctor_kernel_version(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    unsigned release = kernel_release(tree);
    char *text = tree_attribute(tree, "proc/sys/kernel", "osrelease");
    if (!release) {
        doctor_unknown(findings, "/proc/sys/kernel/osrelease does not show it");
    } else if (release >= KERNEL_RELEASE(4, 4)) {
        doctor_ok(findings, "Linux %s", text);
    } else if (release >= KERNEL_RELEASE_OVERRIDE) {
        doctor_warning(findings, "Linux %s: virt-rules was tried on Linux 4.4 and later only",
                       text);
        doctor_hint(findings, "update the host's system");
    } else {
        doctor_kernel_add_too_old(doctor, findings, text);
        doctor_hint(findings, KERNEL_RELEASE_HINT);
    }
    free(text);
}

/* --- IOMMU */

#define TABLES "sys/firmware/acpi/tables"
#define BOOT_WITH                                                                                  \
    " to the kernel's command line (Debian, Ubuntu: GRUB_CMDLINE_LINUX in /etc/default/grub, "     \
    "then "                                                                                        \
    "'update-grub') and reboot"

static bool doctor_kernel_is_virtual_machine(const struct tree *tree) {
    char *text = tree_read(tree, "proc/cpuinfo");
    char *vendor = tree_attribute(tree, "sys/class/dmi/id", "sys_vendor"); /* on arm64 too */
    bool is = (text && strstr(text, " hypervisor")) || (vendor && !strcmp(vendor, "QEMU"));
    free(vendor);
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

/* The firmware offers one, and the kernel made no group. Without an SMMU there is an IORT as well:
 * it describes interrupts too. */
static void doctor_kernel_explain_unused(const struct tree *tree, struct doctor_findings *findings,
                                         const char *table) {
    char *asked = doctor_kernel_command_line_word(tree, "intel_iommu=");
    bool is_arm = !strcmp(table, "IORT");
    doctor_failed(findings,
                  is_arm
                      ? "the firmware may have an IOMMU (ACPI table %s), but the kernel made "
                        "no group"
                      : "the firmware has an IOMMU (ACPI table %s), but the kernel made no group",
                  table);
    if (!strcmp(table, "DMAR") && !(asked && !strncmp(asked, "intel_iommu=on", 14)))
        doctor_hint(findings, "add intel_iommu=on" BOOT_WITH);
    else if (is_arm)
        doctor_hint(findings, "turn on the SMMU in the firmware's set-up; 'dmesg | grep -i -e "
                              "iommu -e smmu' says what the kernel found");
    else
        doctor_hint(findings, "'dmesg | grep -i -e iommu -e dmar -e amd-vi' says why");
    free(asked);
}

static void doctor_kernel_hint_missing(const struct tree *tree, struct doctor_findings *findings) {
    enum architecture architecture = architecture_of(tree->root);
    bool is_x86 = architecture == ARCHITECTURE_UNKNOWN || architecture == ARCHITECTURE_X86_64;
    if (doctor_kernel_is_virtual_machine(tree))
        doctor_hint(findings,
                    "this host is a VM: its own host must give it a virtual IOMMU (libvirt: "
                    "<iommu model='%s'/>)",
                    architecture == ARCHITECTURE_AARCH64 ? "smmuv3" : "intel");
    else if (is_x86)
        doctor_hint(findings,
                    "turn on VT-d (Intel) or AMD-Vi, IOMMU (AMD) in the firmware's set-up; on "
                    "Intel also add intel_iommu=on" BOOT_WITH);
    else
        doctor_hint(findings, "%s", architecture_iommu(architecture));
}

static void doctor_kernel_explain_missing(const struct tree *tree,
                                          struct doctor_findings *findings) {
    static const char *const tables[] = {"DMAR", "IVRS", "IORT", "RIMT", "VIOT"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char *path = memory_printf(TABLES "/%s", tables[i]);
        bool has = tree_has(tree, path);
        free(path);
        if (has) {
            doctor_kernel_explain_unused(tree, findings, tables[i]);
            return;
        }
    }
    enum architecture architecture = architecture_of(tree->root);
    if (!tree_has(tree, TABLES))
        doctor_failed(findings, "the kernel made no IOMMU group");
    else
        doctor_failed(findings, "the firmware offers no IOMMU (no ACPI table %s)",
                      architecture == ARCHITECTURE_AARCH64   ? "IORT"
                      : architecture == ARCHITECTURE_RISCV64 ? "RIMT"
                                                             : "DMAR or IVRS");
    doctor_kernel_hint_missing(tree, findings);
}

static void doctor_kernel_add_unneeded(const struct doctor *doctor,
                                       struct doctor_findings *findings) {
    doctor_ok(findings, doctor_wants_usb_only(doctor)
                            ? "not needed: rules attach USB devices only"
                            : "not needed: no rule attaches a device as vfio or net");
}

/* Where no rule attaches anything, none needs it yet. */
static void doctor_kernel_soften(const struct doctor *doctor, struct doctor_findings *findings,
                                 size_t first) {
    for (size_t i = first; i < findings->count && doctor_needs_iommu(doctor) == DOCTOR_NO_ATTACH;
         i++) {
        struct doctor_finding *finding = &findings->list[i];
        if (finding->state != DOCTOR_FAILED)
            continue;
        finding->state = DOCTOR_WARNING;
        memory_append(&finding->message, "; no rule needs it yet, and USB devices never do");
    }
}

void doctor_kernel_iommu(struct doctor *doctor, struct doctor_findings *findings) {
    size_t count = doctor_kernel_count_groups(&doctor->tree), before = findings->count;
    char *off = doctor_kernel_turned_off(&doctor->tree);
    if (count) {
        doctor_ok(findings, "the kernel made %zu IOMMU group%s", count, count == 1 ? "" : "s");
    } else if (doctor_needs_iommu(doctor) == DOCTOR_NEEDS_NOT) {
        doctor_kernel_add_unneeded(doctor, findings);
    } else if (off) {
        doctor_failed(findings, "the kernel's command line turns it off (%s)", off);
        doctor_hint(findings, "remove %s%s", off,
                    !strncmp(off, "intel", 5) ? " and add intel_iommu=on" BOOT_WITH
                                              : ", and reboot");
    } else {
        doctor_kernel_explain_missing(&doctor->tree, findings);
    }
    doctor_kernel_soften(doctor, findings, before);
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
        doctor_hint(findings,
                    "install the kernel package that has it (Debian: %s, not -cloud; Ubuntu: "
                    "linux-modules-extra)",
                    architecture_kernel_package(architecture_of(tree->root)));
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
    size_t before = findings->count;
    if (tree_has(tree, "sys/bus/pci/drivers/vfio-pci"))
        doctor_ok(findings, "loaded");
    else if (doctor_needs_iommu(doctor) == DOCTOR_NEEDS_NOT)
        doctor_kernel_add_unneeded(doctor, findings);
    else
        doctor_kernel_explain_vfio(tree, findings);
    doctor_kernel_soften(doctor, findings, before);
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
    size_t before = findings->count;
    if (doctor_needs_iommu(doctor) == DOCTOR_NEEDS_NOT) {
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
        doctor_unknown(findings, "/proc/interrupts does not show it on this host ('dmesg | grep "
                                 "-i remapping' may)");
    }
    doctor_kernel_soften(doctor, findings, before);
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

/* --- devices that sleep */

#define DISABLE_D3                                                                                 \
    "put 'options vfio-pci disable_idle_d3=1' into /etc/modprobe.d/vfio.conf, and reboot"

static const struct device_id coral = {0x1ac1, 0x089a};

/* A device of which people report that it does not always wake up from D3. */
struct doctor_kernel_sleeper {
    const struct device *device;
    const struct rule *rule;
    const struct action
        *action; /* that wants it as vfio, if possible without 'awake'; NULL: none */
};

static bool doctor_kernel_is_coral(const struct device *device) {
    return device_id_is(device->id, coral);
}

static bool doctor_kernel_may_oversleep(const struct device *device) {
    return device->bus == BUS_PCI && !device->is_bridge &&
           (doctor_kernel_is_coral(device) || device_is_graphics_card(device));
}

static bool doctor_kernel_is_target(const struct action *action, const struct device *device) {
    bool is = false;
    for (const struct target *target = action->targets; target && !is; target = target->next)
        is = match_device(target->device, device);
    return is;
}

static struct doctor_kernel_sleeper doctor_kernel_find_sleeper(const struct doctor *doctor,
                                                               const struct device *device) {
    struct doctor_kernel_sleeper sleeper = {.device = device};
    for (size_t i = 0; i < doctor->program->rule_count; i++) {
        const struct rule *rule = doctor->program->rules[i];
        for (const struct action *action = rule->actions; action; action = action->next) {
            bool is_better = !sleeper.action || plan_has_option(sleeper.action, OPTION_AWAKE);
            if (action->verb == VERB_ATTACH && action->backend == BACKEND_VFIO && is_better &&
                doctor_kernel_is_target(action, device)) {
                sleeper.rule = rule;
                sleeper.action = action;
            }
        }
    }
    return sleeper;
}

/* From Linux 5.19 on vfio-pci lets the kernel's runtime power management decide. */
static bool doctor_kernel_heeds_awake(const struct tree *tree) {
    return kernel_release(tree) >= KERNEL_RELEASE(5, 19);
}

static char *doctor_kernel_sleeper_hint(const struct doctor_kernel_sleeper *sleeper,
                                        const struct tree *tree, const char *release) {
    const char *sign = doctor_kernel_is_coral(sleeper->device)
                           ? "if the guest sees the Coral and its driver fails"
                           : "if its picture stays black from the second start of a VM on";
    if (doctor_kernel_heeds_awake(tree))
        return memory_printf(
            "write 'awake' after 'as vfio' in %s:%zu; if that is not enough: " DISABLE_D3,
            sleeper->rule->source->path, program_line(sleeper->rule, sleeper->action));
    if (plan_has_option(sleeper->action, OPTION_AWAKE))
        return memory_printf("%s: " DISABLE_D3 "; 'awake' cannot prevent it before Linux 5.19, and "
                             "this is %s",
                             sign, release ? release : "a kernel of unknown version");
    return memory_printf("%s: " DISABLE_D3, sign);
}

/* What is found on the way through the host's devices. */
struct doctor_kernel_sleepers {
    const struct doctor *doctor;
    struct doctor_findings *findings;
    const char *release;
    bool is_set, is_off; /* disable_idle_d3, in modprobe.d; and in effect */
    bool has_coral, warned_of_coral;
    size_t wanted; /* by rules */
};

/* It may sleep although a rule wants it. */
static void doctor_kernel_warn_of_sleeper(struct doctor_kernel_sleepers *all,
                                          const struct doctor_kernel_sleeper *sleeper) {
    const struct device *device = sleeper->device;
    if (!doctor_kernel_is_coral(device))
        doctor_warning(all->findings,
                       "vfio-pci lets the display %s (%s) sleep (D3) while it is unused; some do "
                       "not wake up, and the guest's driver fails",
                       device->address, device->name);
    else if (!all->warned_of_coral)
        doctor_warning(all->findings, "vfio-pci lets an unused Coral sleep (D3); some do not wake "
                                      "up, and the guest's driver fails");
    else
        return;
    all->warned_of_coral |= doctor_kernel_is_coral(device);
    char *hint = all->is_set
                     ? memory_strdup("reboot: modprobe.d has disable_idle_d3=1, which "
                                     "takes effect when vfio-pci is loaded")
                     : doctor_kernel_sleeper_hint(sleeper, &all->doctor->tree, all->release);
    doctor_hint(all->findings, "%s", hint);
    free(hint);
}

static void doctor_kernel_judge_sleeper(struct doctor_kernel_sleepers *all,
                                        const struct device *device) {
    struct doctor_kernel_sleeper sleeper = doctor_kernel_find_sleeper(all->doctor, device);
    if (!sleeper.action)
        return;
    all->wanted++;
    all->has_coral |= doctor_kernel_is_coral(device);
    bool is_awake = plan_has_option(sleeper.action, OPTION_AWAKE);
    if (!all->is_off && !(is_awake && doctor_kernel_heeds_awake(&all->doctor->tree)))
        doctor_kernel_warn_of_sleeper(all, &sleeper);
}

void doctor_kernel_idle_d3(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    char *release = tree_attribute(tree, "proc/sys/kernel", "osrelease");
    char value = doctor_kernel_parameter(tree, "vfio_pci", "disable_idle_d3");
    bool set = doctor_kernel_any_modprobe_line(tree, doctor_kernel_sets_idle_d3);
    size_t before = findings->count;
    struct doctor_kernel_sleepers all = {.doctor = doctor,
                                         .findings = findings,
                                         .release = release,
                                         .is_set = set,
                                         .is_off = value == 'Y' || (!value && set)};
    for (size_t i = 0; doctor->host && i < doctor->host->count; i++)
        if (doctor_kernel_may_oversleep(&doctor->host->devices[i]))
            doctor_kernel_judge_sleeper(&all, &doctor->host->devices[i]);
    char nowhere[] = "";
    const struct device absent = {.bus = BUS_PCI, .id = coral, .address = nowhere};
    if (!all.has_coral)
        doctor_kernel_judge_sleeper(&all, &absent);
    free(release);
    if (!all.wanted)
        doctor_ok(findings, "not needed: no rule wants a PCI Coral (1ac1:089a) or a display as "
                            "vfio");
    else if (all.is_off)
        doctor_ok(findings, "off: vfio-pci does not let an unused device sleep");
    else if (findings->count == before)
        doctor_ok(findings, "'awake' in the rules keeps each Coral and display out of D3");
}
