#include "engine/doctor/doctor.h"

#include "engine/state/journal.h"
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
    condition_function *look;
} conditions[] = {
    {"user", condition_user},
    {"iommu", condition_iommu},
    {"vfio-pci", condition_vfio_pci},
    {"groups", condition_groups},
    {"remapping", condition_remapping},
    {"libvirt", condition_libvirt},
    {"hook", condition_hook},
    {"engine", condition_engine},
    {"hook-known", condition_hook_known},
    {"security", condition_security},
    {"synology", condition_synology},
    {"state", condition_state},
    {"old-setup", condition_old_setup},
    {"rules", condition_rules},
    {"vms", condition_vms},
    {"files", condition_files},
    {"ports", condition_ports},
    {"plugged", condition_plugged},
    {"idle-d3", condition_idle_d3},
    {"devices", condition_devices},
};

void doctor_examine(struct doctor *doctor, struct findings *findings) {
    *findings = (struct findings){0};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        findings->name = conditions[i].name;
        conditions[i].look(doctor, findings);
    }
}

/* --- findings */

static void add(struct findings *findings, enum doctor_state state, const char *format,
                va_list arguments) {
    findings->list = memory_grow(findings->list, findings->count, sizeof *findings->list);
    findings->list[findings->count++] = (struct finding){
        .name = findings->name, .state = state, .message = memory_vprintf(format, arguments)};
}

void doctor_ok(struct findings *findings, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(findings, DOCTOR_OK, format, arguments);
    va_end(arguments);
}

void doctor_warning(struct findings *findings, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(findings, DOCTOR_WARNING, format, arguments);
    va_end(arguments);
}

void doctor_failed(struct findings *findings, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(findings, DOCTOR_FAILED, format, arguments);
    va_end(arguments);
}

void doctor_hint(struct findings *findings, const char *format, ...) {
    va_list arguments;
    struct finding *last = &findings->list[findings->count - 1];
    va_start(arguments, format);
    free(last->hint);
    last->hint = memory_vprintf(format, arguments);
    va_end(arguments);
}

void findings_finish(struct findings *findings) {
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->list[i].message);
        free(findings->list[i].hint);
    }
    free(findings->list);
    *findings = (struct findings){0};
}

size_t findings_count(const struct findings *findings, enum doctor_state state) {
    size_t count = 0;
    for (size_t i = 0; i < findings->count; i++)
        count += findings->list[i].state == state;
    return count;
}

/* --- what people and programs read */

static const struct {
    const char *word, *colour;
} states[] = {
    [DOCTOR_OK] = {"ok", "\033[32m"},
    [DOCTOR_WARNING] = {"warning", "\033[33m"},
    [DOCTOR_FAILED] = {"failed", "\033[31m"},
};

static void print_finding(const struct finding *finding, FILE *out, bool colour) {
    const char *word = states[finding->state].word;
    fprintf(out, "%s%s%s%*s %-13s ", colour ? states[finding->state].colour : "", word,
            colour ? "\033[0m" : "", (int)(8 - strlen(word)), "", finding->name);
    text_print_string(out, finding->message);
    if (finding->hint) {
        fputs("\n         hint: ", out);
        text_print_string(out, finding->hint);
    }
    putc('\n', out);
}

void findings_print(const struct findings *findings, FILE *out, bool colour) {
    size_t warnings = findings_count(findings, DOCTOR_WARNING);
    for (size_t i = 0; i < findings->count; i++)
        print_finding(&findings->list[i], out, colour);
    fprintf(out, "%zu ok, %zu warning%s, %zu failed\n", findings_count(findings, DOCTOR_OK),
            warnings, warnings == 1 ? "" : "s", findings_count(findings, DOCTOR_FAILED));
}

struct json_object *findings_json(const struct findings *findings) {
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

/* --- what several conditions ask */

bool doctor_wants(const struct doctor *doctor, enum backend backend) {
    for (size_t i = 0; i < doctor->program->rule_count; i++)
        for (const struct action *action = doctor->program->rules[i]->actions; action;
             action = action->next)
            if (action->verb == VERB_ATTACH && action->backend == backend)
                return true;
    return false;
}

bool doctor_wants_usb_only(const struct doctor *doctor) {
    return doctor_wants(doctor, BACKEND_USB) && !doctor_wants(doctor, BACKEND_VFIO);
}

bool text_ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

/* The path when that file is it; else NULL. */
static char *judge_file(const struct tree *tree, const char *directory, const char *name,
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
                found = judge_file(tree, *directories, files.items[i], is, context);
        names_finish(&files);
    }
    return found;
}

/* --- the state directory */

static void read_file_system(struct state_facts *facts, const char *directory) {
    struct statvfs space;
    if (statvfs(directory, &space) < 0) {
        facts->error = errno;
        return;
    }
    facts->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    facts->has_free_files = space.f_files == 0 || space.f_favail > 0; /* btrfs counts none */
    facts->is_writable = access(directory, W_OK | X_OK) == 0;
}

static void read_log(struct state_facts *facts, const char *directory) {
    struct stat status;
    char *path = memory_printf("%s/virt-rules.log", directory);
    bool exists = lstat(path, &status) == 0;
    facts->is_log_usable = !exists || S_ISREG(status.st_mode);
    facts->log_time = exists && S_ISREG(status.st_mode) ? status.st_mtime : 0;
    free(path);
}

/* Cuts the path to the directory above; false at the top. */
static bool go_up(char *path) {
    char *slash = strrchr(path, '/');
    if (!strcmp(path, "/") || !strcmp(path, "."))
        return false;
    if (slash)
        slash[slash == path] = '\0';
    else if (*path)
        memcpy(path, ".", 2);
    return *path;
}

void state_facts_read(struct state_facts *facts, const char *state) {
    struct stat status;
    char *path = memory_strdup(state);
    bool found = stat(path, &status) == 0;
    *facts = (struct state_facts){.exists = found, .is_log_usable = true};
    while (!found && (errno == ENOENT || errno == ENOTDIR) && go_up(path))
        found = stat(path, &status) == 0;
    facts->error = found ? 0 : errno;
    facts->is_directory = found && S_ISDIR(status.st_mode);
    facts->is_shared = facts->exists && !source_is_trusted(status.st_uid, status.st_mode);
    if (found)
        read_file_system(facts, path);
    if (facts->exists)
        read_log(facts, path);
    free(path);
}
