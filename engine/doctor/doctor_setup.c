/* Checks of the surroundings: the user, the state directory, udev, parked VMs, Synology's DSM. */
#include "engine/doctor/doctor.h"

#include "engine/host/architecture.h"
#include "engine/libvirt/libvirt_places.h"
#include "engine/state/boot_note.h"
#include "engine/state/log_read.h"
#include "engine/state/vm_state.h"
#include "engine/system/layout.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1024 * 1024 };

/* --- the user */

void doctor_setup_user(struct doctor *doctor, struct doctor_findings *findings) {
    if (doctor->is_root) {
        doctor_ok(findings, "root, like the hook");
    } else if (*doctor->tree.root) {
        doctor_ok(findings, "not needed: --sysroot is another host");
    } else {
        doctor_warning(
            findings, "this is not root, but the hook runs as root: some lines below may be wrong");
        doctor_hint(findings, "'sudo virt-rules doctor'");
    }
}

/* --- the state directory */

enum { MIB = 1024 * 1024, SPACE_NEEDED = 4 * MIB, SPACE_GOOD = 32 * MIB };

static void doctor_setup_judge_space(const struct doctor *doctor,
                                     struct doctor_findings *findings) {
    const struct doctor_state_facts *facts = &doctor->facts;
    unsigned long long free_mib = facts->free_bytes / MIB;
    if (facts->free_bytes < SPACE_NEEDED || !facts->has_free_files) {
        doctor_failed(findings, "%s: its file system is full (%llu MiB free%s)", doctor->state,
                      free_mib, facts->has_free_files ? "" : ", no file can be added");
        doctor_hint(findings, "free space there, or the log loses lines: 'df -h %s'",
                    doctor->state);
    } else if (facts->free_bytes < SPACE_GOOD) {
        doctor_warning(findings, "%s: its file system is nearly full (%llu MiB free)",
                       doctor->state, free_mib);
        doctor_hint(findings, "free space there: 'df -h %s'", doctor->state);
    } else {
        doctor_ok(findings, "%s %s", doctor->state,
                  facts->exists ? "is writable and has space"
                                : "will be created at the first event");
    }
}

void doctor_setup_state(struct doctor *doctor, struct doctor_findings *findings) {
    const struct doctor_state_facts *facts = &doctor->facts;
    if (facts->error) {
        doctor_failed(findings, "%s cannot be read: %s", doctor->state, strerror(facts->error));
        doctor_hint(findings,
                    "it holds the log and the locks: make it a directory that root can write to");
    } else if (!facts->is_directory) {
        doctor_failed(findings, "%s is not a directory, or is below a file", doctor->state);
        doctor_hint(findings, "move the file away; the next event creates the directory");
    } else if (!facts->is_writable && !doctor->is_root) {
        doctor_warning(findings, "this user cannot write to %s", doctor->state);
        doctor_hint(findings, "the hook runs as root: run 'sudo virt-rules doctor'");
    } else if (!facts->is_writable) {
        doctor_failed(findings, "cannot write to %s", doctor->state);
        doctor_hint(findings, "check whether its file system is read-only: 'findmnt -T %s'",
                    doctor->state);
    } else if (!facts->is_log_usable) {
        doctor_failed(findings, "%s/virt-rules.log is not a regular file, so nothing is logged",
                      doctor->state);
        doctor_hint(findings, "move it away; the next event creates a new log");
    } else if (facts->is_shared) {
        doctor_warning(findings, "users other than root can change %s", doctor->state);
        char *word = text_shell_operand(doctor->state);
        doctor_hint(findings, "sudo chown root %s; sudo chmod 700 %s", word, word);
        free(word);
    } else {
        doctor_setup_judge_space(doctor, findings);
    }
}

/* --- the udev rule that reports devices */

static bool doctor_setup_any_event(const struct program *program, enum event_name name) {
    for (size_t i = 0; i < program->rule_count; i++)
        for (const struct event_list *event = program->rules[i]->events; event; event = event->next)
            if (event->event == name)
                return true;
    return false;
}

/* The program that a udev rule of ours runs: RUN+="PROGRAM"; the caller frees it. NULL: none. */
static char *doctor_setup_program_of(const char *rule) {
    const char *run = rule;
    while ((run = strstr(run, "RUN+=\""))) {
        run += strlen("RUN+=\"");
        size_t length = strcspn(run, "\" \n");
        if (memmem(run, length, "virt-rules", strlen("virt-rules")))
            return memory_strndup(run, length);
    }
    return NULL;
}

static bool doctor_setup_runs_us(void *context, char *text) {
    char **program = context;
    *program = doctor_setup_program_of(text);
    return *program;
}

/* The udev rule file that runs a program of ours, and that; the caller frees both. NULL: none. */
static char *doctor_setup_find_udev_rule(const struct tree *tree, char **program) {
    static const char *const places[] = {"etc/udev/rules.d",           "run/udev/rules.d",
                                         "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d",
                                         "lib/udev/rules.d",           NULL};
    *program = NULL;
    return doctor_find_file(tree, places, ".rules", doctor_setup_runs_us, program);
}

/* Whether the process is `virt-rules watch`. */
static bool doctor_setup_is_watch(const struct tree *tree, const char *process) {
    size_t size = 0;
    char *path = memory_printf("proc/%s", process);
    char *name = tree_attribute(tree, path, "comm");
    free(path);
    path = memory_printf("proc/%s/cmdline", process);
    /* Of a process that hangs, reading the words may hang too: none but our own is asked. */
    char *words =
        name && !strcmp(name, "virt-rules") ? tree_load(tree, path, FILE_LIMIT, &size) : NULL;
    size_t first = words ? strlen(words) + 1 : 0;
    bool is = words && first < size && !strcmp(words + first, "watch");
    free(words);
    free(name);
    free(path);
    return is;
}

/* Its process, or 0. */
static unsigned doctor_setup_find_watch(const struct tree *tree) {
    struct names processes = tree_list(tree, "proc");
    uint32_t pid = 0, found = 0;
    for (size_t i = 0; !found && i < processes.count; i++)
        if (text_parse_decimal(processes.items[i], INT32_MAX, &pid) &&
            doctor_setup_is_watch(tree, processes.items[i]))
            found = pid;
    tree_finish_names(&processes);
    return found;
}

static bool doctor_setup_is_executable(const struct tree *tree, const char *path) {
    struct stat status;
    return tree_stat(tree, path, &status) && S_ISREG(status.st_mode) && (status.st_mode & 0111);
}

static void doctor_setup_judge_udev_rule(const struct tree *tree, const char *rule,
                                         const char *program, struct doctor_findings *findings) {
    if (!doctor_setup_is_executable(tree, program)) {
        doctor_failed(findings, "/%s runs %s, which is not an executable file", rule, program);
        doctor_hint(findings, "'%s' installs both", layout_installer());
    } else if (tree_has(tree, "run") && !tree_has(tree, "run/udev")) {
        doctor_warning(findings, "/%s exists, but udev is not running (no /run/udev)", rule);
        doctor_hint(findings, "run 'virt-rules watch' as a service instead");
    } else {
        doctor_ok(findings, "/%s reports added and removed devices", rule);
    }
}

void doctor_setup_plugged(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    char *program = NULL;
    unsigned watch = doctor_setup_find_watch(tree);
    char *rule = doctor_setup_find_udev_rule(tree, &program);
    if (!doctor_setup_any_event(doctor->program, EVENT_PLUGGED) &&
        !doctor_setup_any_event(doctor->program, EVENT_UNPLUGGED)) {
        doctor_ok(findings, "not needed: no rule uses plugged or unplugged");
    } else if (watch) {
        doctor_ok(findings, "'virt-rules watch' (process %u) reports added and removed devices",
                  watch);
    } else if (rule) {
        doctor_setup_judge_udev_rule(tree, rule, program, findings);
    } else {
        doctor_failed(
            findings,
            "rules use plugged or unplugged, but nothing reports added or removed devices");
        doctor_hint(findings,
                    "'%s' installs a udev rule; on a host without udev run 'virt-rules watch' as a "
                    "service",
                    layout_installer());
    }
    free(rule);
    free(program);
}

/* --- the rules of the host's boot */

/* Whether a line of a unit or of a boot script runs 'virt-rules boot', as install.sh --boot does.
 */
static bool doctor_setup_runs_boot(void *context, char *text) {
    (void)context;
    for (char *line; (line = strsep(&text, "\n"));)
        if (line[strspn(line, " \t")] != '#' &&
            (strstr(line, "virt-rules boot") || strstr(line, "install.sh --boot")))
            return true;
    return false;
}

/* The unit that is enabled, or the script that the host runs at boot; the caller frees it. */
static char *doctor_setup_find_boot(const struct tree *tree) {
    static const char *const enabled[] = {
        "etc/systemd/system/multi-user.target.wants", "etc/systemd/system/libvirtd.service.wants",
        "etc/systemd/system/basic.target.wants", "etc/systemd/system/sysinit.target.wants", NULL};
    static const char *const scripts[] = {"usr/local/etc/rc.d", "etc/local.d", "etc/rc.d",
                                          "boot/config",        "etc/init.d",  NULL};
    char *file = doctor_find_file(tree, enabled, ".service", doctor_setup_runs_boot, NULL);
    return file ? file : doctor_find_file(tree, scripts, "", doctor_setup_runs_boot, NULL);
}

/* How it went in this boot; the state is of the running host. */
static void doctor_setup_judge_boot_run(const struct doctor *doctor,
                                        struct doctor_findings *findings, const char *file) {
    char stamp[CLOCK_STAMP_SIZE];
    enum boot_note_result result = boot_note_read(doctor->state, doctor->tree.root, stamp);
    char *time = result ? log_read_time_text(stamp) : NULL;
    switch (result) {
    case BOOT_NOTE_NONE:
        doctor_ok(findings, "/%s runs 'virt-rules boot'%s", file,
                  *doctor->tree.root ? "" : "; it has not run since the host's boot");
        break;
    case BOOT_NOTE_RUNNING:
        doctor_ok(findings, "'virt-rules boot' is at work since %s", time);
        break;
    case BOOT_NOTE_GOOD:
        doctor_ok(findings, "'virt-rules boot' (/%s) did all that the rules want, %s", file, time);
        break;
    case BOOT_NOTE_INTERRUPTED:
        doctor_warning(findings, "'virt-rules boot' was ended at %s before it was done", time);
        doctor_hint(findings, "run it again: it goes on where it was; 'virt-rules log' shows what "
                              "it did");
        break;
    case BOOT_NOTE_PROBLEM:
        doctor_warning(findings, "'virt-rules boot' could not do all that the rules want, %s",
                       time);
        doctor_hint(findings, "'virt-rules log' says what, 'virt-rules boot --dry-run' what is "
                              "still to be done");
        break;
    }
    free(time);
}

void doctor_setup_boot(struct doctor *doctor, struct doctor_findings *findings) {
    if (!doctor_setup_any_event(doctor->program, EVENT_BOOT))
        return;
    char *file = doctor_setup_find_boot(&doctor->tree);
    if (file) {
        doctor_setup_judge_boot_run(doctor, findings, file);
    } else {
        doctor_failed(findings, "there are rules 'on host boot', and nothing was found that runs "
                                "'virt-rules boot' when the host boots");
        doctor_hint(findings,
                    "'systemctl enable virt-rules-boot.service'; '%s' installs it; on a host "
                    "without systemd run 'virt-rules boot' in a boot script, before libvirt starts",
                    layout_installer());
    }
    free(file);
}

/* --- parked VMs */

/* A file of the VM's state that cannot be read is reported: "cannot be read" is not "not parked".
 */
static void doctor_setup_judge_parked(const struct doctor *doctor, const struct domain *domain,
                                      struct doctor_findings *findings) {
    const struct vm_start start = {.id = domain->id,
                                   .process = vm_state_process(doctor->tree.root, domain->name)};
    const char *label = domain_label(domain);
    struct vm_state vm_state;
    bool exists = vm_state_load(&vm_state, doctor->state, domain_key(domain));
    if (vm_state.error) {
        doctor_unknown(findings, "whether VM '%s' is parked: %s", label, vm_state.ignored);
    } else if (exists && vm_state.parked_since && vm_state_is_same_start(&vm_state, &start)) {
        char *time = log_read_time_text(vm_state.parked_since);
        doctor_warning(findings, "VM '%s' is parked since %s: no rule attaches a device to it",
                       label, time);
        char *word = text_shell_operand(label);
        doctor_hint(findings, "'virt-rules unpark %s' ends that, and the rules apply again", word);
        free(word);
        free(time);
    }
    vm_state_finish(&vm_state);
}

void doctor_setup_parked(struct doctor *doctor, struct doctor_findings *findings) {
    const struct domain_list *vms = &doctor->libvirt.vms;
    size_t before = findings->count;
    if (!doctor->libvirt.vms_known) {
        doctor_unknown(findings, "whether a VM is parked");
        return;
    }
    for (size_t i = 0; i < vms->count; i++)
        if (vms->list[i].id >= 0)
            doctor_setup_judge_parked(doctor, &vms->list[i], findings);
    if (findings->count == before)
        doctor_ok(findings, "no VM is parked");
}

/* --- Synology's Virtual Machine Manager */

#define PACKAGE "var/packages/Virtualization"

/* The value of KEY="value" in a file of a package; NULL when there is none. */
static char *doctor_setup_package_value(const struct tree *tree, const char *path,
                                        const char *key) {
    size_t size, length = strlen(key);
    char *text = tree_load(tree, path, FILE_LIMIT, &size), *rest = text, *value = NULL;
    for (char *line; !value && (line = text_next_line(&rest));)
        if (!strncmp(line, key, length) && line[length] == '=') {
            line += length + 1;
            line += *line == '"';
            value = memory_strndup(line, strcspn(line, "\"\r"));
        }
    free(text);
    return value ? value : memory_strdup("of unknown version");
}

/* The first of the places below the package that is there; the caller frees it. NULL: none. */
static char *doctor_setup_find_in_package(const struct tree *tree, const char *const *directories,
                                          const char *name) {
    for (; *directories; directories++) {
        char *path = memory_printf(PACKAGE "/target/%s/%s", *directories, name);
        if (tree_has(tree, path))
            return path;
        free(path);
    }
    return NULL;
}

static void doctor_setup_judge_package(const struct tree *tree, const char *versions,
                                       struct doctor_findings *findings) {
    static const char *const programs[] = {"usr/local/bin", "usr/bin", "bin", NULL};
    char *virsh = doctor_setup_find_in_package(tree, programs, "virsh");
    char *name = memory_printf("qemu-system-%s", architecture_name(architecture_of(tree->root)));
    char *qemu = doctor_setup_find_in_package(tree, programs, name);
    char *library = libvirt_places_library_of(tree, "Synology");
    if (library) {
        doctor_ok(findings, "%s: %s, virsh %s%s, qemu %s%s", versions, library, virsh ? "/" : "",
                  virsh ? virsh : "not found", qemu ? "/" : "", qemu ? qemu : "not found");
    } else {
        doctor_warning(findings, "%s: libvirt.so.0 is in none of the usual directories", versions);
        doctor_hint(findings,
                    "'find /" PACKAGE
                    "/target/ -name \"libvirt.so*\"', and set library to it in virt-rules.conf");
    }
    free(virsh);
    free(name);
    free(qemu);
    free(library);
}

static bool doctor_setup_names_us(void *context, char *text) {
    (void)context;
    return strstr(text, "virt-rules");
}

/* DSM does not keep /etc/libvirt over a reboot. */
static void doctor_setup_judge_boot(const struct tree *tree, struct doctor_findings *findings) {
    static const char *const places[] = {
        "usr/local/etc/rc.d", "var/packages/Virtualization/conf/systemd",
        "usr/local/lib/systemd/system", "etc/systemd/system", NULL};
    char *file = doctor_find_file(tree, places, "", doctor_setup_names_us, NULL);
    if (file) {
        doctor_ok(findings, "/%s, which DSM runs at boot, names virt-rules", file);
    } else {
        doctor_warning(findings, "DSM creates /etc/libvirt again at each boot, and nothing was "
                                 "found that reinstalls the hook");
        doctor_hint(findings, "reinstall it in a boot-up task of root (Control Panel, Task "
                              "Scheduler); doctor cannot see such a task");
    }
    free(file);
}

void doctor_setup_synology(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    if (!tree_has(tree, PACKAGE))
        return;
    char *package = doctor_setup_package_value(tree, PACKAGE "/INFO", "version");
    char *system = doctor_setup_package_value(tree, "etc.defaults/VERSION", "productversion");
    char *versions = memory_printf("Virtual Machine Manager %s, DSM %s", package, system);
    doctor_setup_judge_package(tree, versions, findings);
    doctor_setup_judge_boot(tree, findings);
    free(versions);
    free(package);
    free(system);
}
