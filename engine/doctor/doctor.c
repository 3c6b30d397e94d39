#include "engine/doctor/doctor.h"

#include "engine/backend/backend.h"
#include "engine/state/log_write.h"
#include "lexer/terminal.h"
#include "lexer/text.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CONFIGURATION_LIMIT = 1024 * 1024 };

/* --- the table: in the order in which things must be right */

static const struct {
    const char *name;
    doctor_check *run;
} checks[] = {
    {"user", doctor_setup_user},
    {"kernel", doctor_kernel_version},
    {"iommu", doctor_kernel_iommu},
    {"vfio-pci", doctor_kernel_vfio_pci},
    {"groups", doctor_kernel_groups},
    {"remapping", doctor_kernel_remapping},
    {"conf", doctor_places_conf},
    {"library", doctor_places_library},
    {"socket", doctor_places_socket},
    {"libvirt", doctor_rules_libvirt},
    {"hook", doctor_hook_installed},
    {"engine", doctor_hook_engine},
    {"hook-known", doctor_hook_known},
    {"security", doctor_security_confinement},
    {"synology", doctor_setup_synology},
    {"state", doctor_setup_state},
    {"old-setup", doctor_scripts_old_setup},
    {"rules", doctor_rules_valid},
    {"vms", doctor_rules_vms},
    {"files", doctor_rules_files},
    {"ports", doctor_rules_ports},
    {"bars", doctor_rules_bars},
    {"plugged", doctor_setup_plugged},
    {"boot", doctor_setup_boot},
    {"parked", doctor_setup_parked},
    {"idle-d3", doctor_kernel_idle_d3},
    {"devices", doctor_rules_devices},
};

void doctor_examine(struct doctor *doctor, struct doctor_findings *findings) {
    *findings = (struct doctor_findings){0};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        findings->name = checks[i].name;
        checks[i].run(doctor, findings);
    }
}

/* --- findings */

static void doctor_add(struct doctor_findings *findings, enum doctor_state state,
                       const char *format, va_list arguments) {
    findings->list = memory_grow(findings->list, findings->count, sizeof *findings->list);
    findings->list[findings->count++] = (struct doctor_finding){
        .name = findings->name, .state = state, .message = memory_vprintf(format, arguments)};
}

void doctor_ok(struct doctor_findings *findings, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    doctor_add(findings, DOCTOR_OK, format, arguments);
    va_end(arguments);
}

void doctor_unknown(struct doctor_findings *findings, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    doctor_add(findings, DOCTOR_UNKNOWN, format, arguments);
    va_end(arguments);
}

void doctor_warning(struct doctor_findings *findings, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    doctor_add(findings, DOCTOR_WARNING, format, arguments);
    va_end(arguments);
}

void doctor_failed(struct doctor_findings *findings, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    doctor_add(findings, DOCTOR_FAILED, format, arguments);
    va_end(arguments);
}

void doctor_hint(struct doctor_findings *findings, const char *format, ...) {
    va_list arguments;
    struct doctor_finding *last = &findings->list[findings->count - 1];
    va_start(arguments, format);
    free(last->hint);
    last->hint = memory_vprintf(format, arguments);
    va_end(arguments);
}

void doctor_findings_finish(struct doctor_findings *findings) {
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->list[i].message);
        free(findings->list[i].hint);
    }
    free(findings->list);
    *findings = (struct doctor_findings){0};
}

size_t doctor_findings_count(const struct doctor_findings *findings, enum doctor_state state) {
    size_t count = 0;
    for (size_t i = 0; i < findings->count; i++)
        count += findings->list[i].state == state;
    return count;
}

/* --- what people and programs read */

static const struct {
    const char *word, *colour;
} states[] = {
    [DOCTOR_OK] = {"ok", TERMINAL_GREEN},
    [DOCTOR_UNKNOWN] = {"unknown", TERMINAL_CYAN},
    [DOCTOR_WARNING] = {"warning", TERMINAL_YELLOW},
    [DOCTOR_FAILED] = {"failed", TERMINAL_RED},
};

enum { MESSAGE_INDENT = 23, HINT_INDENT = 9 };

static void doctor_print_finding(const struct doctor_finding *finding, FILE *out,
                                 struct terminal terminal) {
    const char *word = states[finding->state].word;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = memory_stream(&text, &size);
    fprintf(stream, "%s%s%s%*s %-13s ", terminal_paint(terminal, states[finding->state].colour),
            word, terminal_paint(terminal, TERMINAL_PLAIN), (int)(8 - strlen(word)), "",
            finding->name);
    text_print_string(stream, finding->message);
    putc('\n', stream);
    terminal_wrap_stream(out, terminal, MESSAGE_INDENT, stream, &text);
    if (finding->hint)
        terminal_print_line(out, terminal, HINT_INDENT, terminal_hint(terminal), finding->hint);
}

static void doctor_print_state(const struct doctor_findings *findings, enum doctor_state state,
                               FILE *out, struct terminal terminal) {
    for (size_t i = 0; i < findings->count; i++)
        if (findings->list[i].state == state)
            doctor_print_finding(&findings->list[i], out, terminal);
}

static void doctor_print_fine(const struct doctor_findings *findings, FILE *out,
                              struct terminal terminal) {
    size_t fine = doctor_findings_count(findings, DOCTOR_OK);
    size_t unknown = doctor_findings_count(findings, DOCTOR_UNKNOWN);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = memory_stream(&text, &size);
    fprintf(stream, "%zu check%s fine", fine, fine == 1 ? " is" : "s are");
    if (unknown)
        fprintf(stream, ", and of %zu it is not known", unknown);
    fputs(" (virt-rules doctor --all shows them)\n", stream);
    terminal_wrap_stream(out, terminal, 0, stream, &text);
}

void doctor_findings_print(const struct doctor_findings *findings, FILE *out,
                           struct terminal terminal, bool all) {
    size_t warnings = doctor_findings_count(findings, DOCTOR_WARNING);
    doctor_print_state(findings, DOCTOR_FAILED, out, terminal);
    doctor_print_state(findings, DOCTOR_WARNING, out, terminal);
    if (!all) {
        doctor_print_fine(findings, out, terminal);
        return;
    }
    doctor_print_state(findings, DOCTOR_UNKNOWN, out, terminal);
    doctor_print_state(findings, DOCTOR_OK, out, terminal);
    fprintf(out, "%zu ok, %zu unknown, %zu warning%s, %zu failed\n",
            doctor_findings_count(findings, DOCTOR_OK),
            doctor_findings_count(findings, DOCTOR_UNKNOWN), warnings, warnings == 1 ? "" : "s",
            doctor_findings_count(findings, DOCTOR_FAILED));
}

struct json_object *doctor_findings_json(const struct doctor_findings *findings) {
    struct json_object *document = text_json_object(), *list = text_json_array();
    for (size_t i = 0; i < findings->count; i++) {
        struct json_object *object = text_json_object();
        text_put_json(object, "name", findings->list[i].name);
        text_put_json(object, "state", states[findings->list[i].state].word);
        text_put_json(object, "message", findings->list[i].message);
        text_put_json(object, "hint", findings->list[i].hint);
        text_json_append(list, object);
    }
    text_json_add(document, "conditions", list);
    return document;
}

/* --- what several checks need */

bool doctor_wants_bus(const struct doctor *doctor, enum bus bus) {
    for (size_t i = 0; i < doctor->program->rule_count; i++)
        for (const struct action *action = doctor->program->rules[i]->actions; action;
             action = action->next)
            if (action->verb == VERB_ATTACH && backend_has_bus(backend_type(action->backend), bus))
                return true;
    return false;
}

bool doctor_wants_usb_only(const struct doctor *doctor) {
    return doctor_wants_bus(doctor, BUS_USB) && !doctor_wants_bus(doctor, BUS_PCI);
}

enum doctor_need doctor_needs_iommu(const struct doctor *doctor) {
    enum doctor_need need = DOCTOR_NO_ATTACH;
    for (size_t i = 0; i < doctor->program->rule_count; i++)
        for (const struct action *action = doctor->program->rules[i]->actions; action;
             action = action->next) {
            if (action->verb != VERB_ATTACH)
                continue;
            if (backend_type(action->backend)->needs_iommu)
                return DOCTOR_NEEDS;
            need = DOCTOR_NEEDS_NOT;
        }
    return need;
}

/* The path when that file is it; else NULL. */
static char *doctor_judge_file(const struct tree *tree, const char *directory, const char *name,
                               text_judge *is, void *context) {
    size_t size;
    char *path = memory_printf("%s/%s", directory, name);
    char *text = tree_load(tree, path, CONFIGURATION_LIMIT, &size);
    bool found = text && is(context, text);
    free(text);
    if (found)
        return path;
    free(path);
    return NULL;
}

char *doctor_find_file(const struct tree *tree, const char *const *directories, const char *ending,
                       text_judge *is, void *context) {
    char *found = NULL;
    for (; !found && *directories; directories++) {
        struct names files = tree_list(tree, *directories);
        for (size_t i = 0; !found && i < files.count; i++)
            if (text_ends_with(files.items[i], ending))
                found = doctor_judge_file(tree, *directories, files.items[i], is, context);
        tree_finish_names(&files);
    }
    return found;
}

/* --- the state directory */

static void doctor_read_file_system(struct doctor_state_facts *facts, const char *directory) {
    struct statvfs space;
    if (statvfs(directory, &space) < 0) {
        facts->error = errno;
        return;
    }
    facts->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    facts->has_free_files = space.f_files == 0 || space.f_favail > 0; /* btrfs counts none */
    facts->is_writable = access(directory, W_OK | X_OK) == 0;
}

static void doctor_read_log(struct doctor_state_facts *facts, const char *directory) {
    struct stat status;
    char *path = memory_printf("%s/" LOG_WRITE_NAME, directory);
    bool exists = lstat(path, &status) == 0;
    facts->is_log_usable = !exists || S_ISREG(status.st_mode);
    facts->log_time = exists && S_ISREG(status.st_mode) ? status.st_mtime : 0;
    free(path);
}

/* Cuts the path to the directory above; false at the top. */
static bool doctor_go_up(char *path) {
    char *slash = strrchr(path, '/');
    if (!strcmp(path, "/") || !strcmp(path, "."))
        return false;
    if (slash)
        slash[slash == path] = '\0';
    else if (*path)
        memcpy(path, ".", 2);
    return *path;
}

void doctor_read_state_facts(struct doctor_state_facts *facts, const char *state) {
    struct stat status;
    char *path = memory_strdup(state);
    bool found = stat(path, &status) == 0;
    *facts = (struct doctor_state_facts){.exists = found, .is_log_usable = true};
    while (!found && (errno == ENOENT || errno == ENOTDIR) && doctor_go_up(path))
        found = stat(path, &status) == 0;
    facts->error = found ? 0 : errno;
    facts->is_directory = found && S_ISDIR(status.st_mode);
    facts->is_shared = facts->exists && !source_is_trusted(status.st_uid, status.st_mode);
    if (found)
        doctor_read_file_system(facts, path);
    if (facts->exists)
        doctor_read_log(facts, path);
    free(path);
}
