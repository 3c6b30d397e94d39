/* Conditions of what surrounds the engine: who asks, the state directory, what else is installed.
 */
#include "engine/doctor/doctor.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1024 * 1024 };

/* --- who asks */

void doctor_setup_user(struct doctor *doctor, struct doctor_findings *findings) {
    if (doctor->is_root) {
        doctor_ok(findings, "root, as the hook is");
    } else if (*doctor->tree.root) {
        doctor_ok(findings, "no matter: this is another host's tree");
    } else {
        doctor_warning(findings, "not root, as the hook is: some of what follows may be wrong");
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
                  facts->exists ? "can be written and has space" : "is made at the first event");
    }
}

void doctor_setup_state(struct doctor *doctor, struct doctor_findings *findings) {
    const struct doctor_state_facts *facts = &doctor->facts;
    if (facts->error) {
        doctor_failed(findings, "%s cannot be looked at: %s", doctor->state,
                      strerror(facts->error));
        doctor_hint(findings,
                    "log and lock are kept there: make it a directory that root can write");
    } else if (!facts->is_directory) {
        doctor_failed(findings, "%s is no directory, or lies below what is none", doctor->state);
        doctor_hint(findings, "move away what is there; the first event makes it anew");
    } else if (!facts->is_writable && !doctor->is_root) {
        doctor_warning(findings, "%s cannot be written by this user", doctor->state);
        doctor_hint(findings, "the hook is root: ask as root, 'sudo virt-rules doctor'");
    } else if (!facts->is_writable) {
        doctor_failed(findings, "%s cannot be written", doctor->state);
        doctor_hint(findings, "is its file system read-only? 'findmnt -T %s'", doctor->state);
    } else if (!facts->is_log_usable) {
        doctor_failed(findings, "%s/virt-rules.log is no regular file, so nothing is logged",
                      doctor->state);
        doctor_hint(findings, "move it away; the next event makes it anew");
    } else if (facts->is_shared) {
        doctor_warning(findings, "%s may be changed by others than root", doctor->state);
        doctor_hint(findings, "chown root %s; chmod 700 %s", doctor->state, doctor->state);
    } else {
        doctor_setup_judge_space(doctor, findings);
    }
}

/* --- the udev rule that tells of what is plugged */

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
        doctor_failed(findings, "/%s runs %s, which is no program", rule, program);
        doctor_hint(findings, "'" INSTALLER "' puts both there");
    } else if (tree_has(tree, "run") && !tree_has(tree, "run/udev")) {
        doctor_warning(findings, "/%s is there, but udev does not run (no /run/udev)", rule);
        doctor_hint(findings, "run 'virt-rules watch' as a service instead");
    } else {
        doctor_ok(findings, "/%s tells of what comes and goes", rule);
    }
}

void doctor_setup_plugged(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    char *program = NULL;
    unsigned watch = doctor_setup_find_watch(tree);
    char *rule = doctor_setup_find_udev_rule(tree, &program);
    if (!doctor_setup_any_event(doctor->program, EVENT_PLUGGED) &&
        !doctor_setup_any_event(doctor->program, EVENT_UNPLUGGED)) {
        doctor_ok(findings, "no matter: no rule is for plugged or unplugged");
    } else if (watch) {
        doctor_ok(findings, "'virt-rules watch' (process %u) tells of what comes and goes", watch);
    } else if (rule) {
        doctor_setup_judge_udev_rule(tree, rule, program, findings);
    } else {
        doctor_failed(findings, "rules are for plugged or unplugged, and nothing tells of that");
        doctor_hint(findings, "'" INSTALLER "' puts a udev rule in place; on a host without udev "
                              "run 'virt-rules watch' as a service");
    }
    free(rule);
    free(program);
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
    static const char *const libraries[] = {"usr/local/lib", "usr/lib", "lib", "usr/local/lib64",
                                            "usr/lib64",     "lib64",   NULL};
    char *virsh = doctor_setup_find_in_package(tree, programs, "virsh");
    char *qemu = doctor_setup_find_in_package(tree, programs, "qemu-system-x86_64");
    char *library = doctor_setup_find_in_package(tree, libraries, "libvirt.so.0");
    if (library) {
        doctor_ok(findings, "%s: /%s, virsh %s%s, qemu %s%s", versions, library, virsh ? "/" : "",
                  virsh ? virsh : "not found", qemu ? "/" : "", qemu ? qemu : "not found");
    } else {
        doctor_warning(findings, "%s: libvirt.so.0 is in none of the places that are known",
                       versions);
        doctor_hint(findings,
                    "'find /" PACKAGE "/target/ -name \"libvirt.so*\"', and put its folder "
                    "into LD_LIBRARY_PATH");
    }
    free(virsh);
    free(qemu);
    free(library);
}

static bool doctor_setup_names_us(void *context, char *text) {
    (void)context;
    return strstr(text, "virt-rules");
}

/* /etc/libvirt does not outlive a boot there. */
static void doctor_setup_judge_boot(const struct tree *tree, struct doctor_findings *findings) {
    static const char *const places[] = {
        "usr/local/etc/rc.d", "var/packages/Virtualization/conf/systemd",
        "usr/local/lib/systemd/system", "etc/systemd/system", NULL};
    char *file = doctor_find_file(tree, places, "", doctor_setup_names_us, NULL);
    if (file) {
        doctor_ok(findings, "/%s, which DSM runs at boot, is about virt-rules", file);
    } else {
        doctor_warning(findings,
                       "DSM makes /etc/libvirt anew at each boot, and nothing is seen that "
                       "puts the hook back");
        doctor_hint(findings,
                    "let a boot-up task of root (Control Panel, Task Scheduler) install it "
                    "again; if there is one, this line does not see it");
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
