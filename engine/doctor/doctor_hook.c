/* Checks from libvirt to the engine: the hook, and whether libvirt runs it. */
#include "engine/doctor/doctor.h"

#include "engine/libvirt/libvirt_places.h"
#include "engine/system/process.h"
#include "lexer/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A place of libvirt's hook for qemu that has our hook. */
struct hook_place {
    char *path;    /* without a leading slash */
    char *version; /* of our hook; NULL: another's */
    bool calls_us; /* another's that names our hook */
    struct stat status;
};

struct hook_places {
    struct hook_place *list; /* "hooks/qemu" first */
    size_t count;
};

#define HOOKS "etc/libvirt/hooks"

enum { PROGRAM_LIMIT = 64 * 1024 * 1024, EXECUTABLE = 0111, LIBVIRT_WITH_QEMU_D = 6005000 };

/* --- libvirt's daemon */

static int64_t doctor_hook_boot_time(const struct tree *tree) {
    char *text = tree_read(tree, "proc/stat");
    const char *line = text ? strstr(text, "\nbtime ") : NULL;
    int64_t seconds = line ? strtoll(line + strlen("\nbtime "), NULL, 10) : 0;
    free(text);
    return seconds;
}

static char *doctor_hook_security_label(const struct tree *tree, const char *directory) {
    static const char *const files[] = {"attr/apparmor/current", "attr/current"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *label = tree_attribute(tree, directory, files[i]);
        if (label && *label)
            return label;
        free(label);
    }
    return memory_strdup("");
}

static void doctor_hook_fill_daemon(const struct tree *tree, const char *directory,
                                    struct doctor_daemon *daemon) {
    int64_t boot = doctor_hook_boot_time(tree);
    unsigned long long ticks = process_started(tree->root, (pid_t)daemon->pid);
    long per_second = sysconf(_SC_CLK_TCK);
    bool is_known = boot > 0 && ticks && per_second > 0;
    char *name = tree_attribute(tree, directory, "comm");
    snprintf(daemon->name, sizeof daemon->name, "%s", name ? name : "");
    free(name);
    daemon->start = is_known ? boot + (int64_t)(ticks / (unsigned long long)per_second) : 0;
    daemon->label = doctor_hook_security_label(tree, directory);
}

struct doctor_daemon doctor_hook_daemon(const struct tree *tree) {
    struct names processes = tree_list(tree, "proc");
    struct doctor_daemon daemon = {0};
    for (size_t i = 0; !daemon.pid && i < processes.count; i++) {
        uint32_t pid = 0;
        char *directory = memory_printf("proc/%s", processes.items[i]);
        if (text_parse_decimal(processes.items[i], INT32_MAX, &pid) &&
            libvirt_places_is_daemon(tree, directory)) {
            daemon.pid = pid;
            doctor_hook_fill_daemon(tree, directory, &daemon);
        }
        free(directory);
    }
    tree_finish_names(&processes);
    return daemon;
}

/* --- the hook */

/* The version after our marker; see hook/hook.c. In two parts, or the engine would have it too. */
static char *doctor_hook_marked_version(const char *text, size_t size) {
    static const char mark[] = "@(#)", name[] = "virt-rules-hook ";
    const char *end = text + size;
    for (const char *at = text; (at = memmem(at, (size_t)(end - at), mark, strlen(mark)));) {
        at += strlen(mark);
        if ((size_t)(end - at) <= strlen(name) || memcmp(at, name, strlen(name)) != 0)
            continue;
        at += strlen(name);
        size_t length = 0;
        while (at + length < end && isgraph((unsigned char)at[length]))
            length++;
        return memory_strndup(at, length);
    }
    return NULL;
}

static bool doctor_hook_names_us(const char *text, size_t size) {
    static const char *const words[] = {"virt-rules-hook", "qemu.d/virt-rules", "virt-rules run"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (memmem(text, size, words[i], strlen(words[i])))
            return true;
    return false;
}

static void doctor_hook_add_place(const struct tree *tree, struct hook_places *places, char *path) {
    struct hook_place place = {.path = path};
    size_t size = 0;
    if (!tree_stat(tree, path, &place.status)) {
        free(path);
        return;
    }
    char *text = tree_load(tree, path, PROGRAM_LIMIT, &size);
    if (text) {
        place.version = doctor_hook_marked_version(text, size);
        place.calls_us = !place.version && doctor_hook_names_us(text, size);
    }
    free(text);
    places->list = memory_grow(places->list, places->count, sizeof *places->list);
    places->list[places->count++] = place;
}

static struct hook_places doctor_hook_find_places(const struct tree *tree) {
    struct hook_places places = {0};
    struct names extra = tree_list(tree, HOOKS "/qemu.d");
    doctor_hook_add_place(tree, &places, memory_strdup(HOOKS "/qemu"));
    for (size_t i = 0; i < extra.count; i++)
        doctor_hook_add_place(tree, &places, memory_printf(HOOKS "/qemu.d/%s", extra.items[i]));
    tree_finish_names(&extra);
    return places;
}

static void doctor_hook_finish_places(struct hook_places *places) {
    for (size_t i = 0; i < places->count; i++) {
        free(places->list[i].path);
        free(places->list[i].version);
    }
    free(places->list);
    *places = (struct hook_places){0};
}

static const struct hook_place *doctor_hook_find_place(const struct hook_places *places,
                                                       const char *path) {
    for (size_t i = 0; i < places->count; i++)
        if (!strcmp(places->list[i].path, path))
            return &places->list[i];
    return NULL;
}

/* The first that is ours; NULL: none. */
static const struct hook_place *doctor_hook_our_place(const struct hook_places *places,
                                                      size_t *count) {
    const struct hook_place *ours = NULL;
    *count = 0;
    for (size_t i = 0; i < places->count; i++)
        if (places->list[i].version) {
            ours = ours ? ours : &places->list[i];
            ++*count;
        }
    return ours;
}

static void doctor_hook_explain_no_hook(const struct hook_places *places,
                                        struct doctor_findings *findings) {
    const struct hook_place *main = doctor_hook_find_place(places, HOOKS "/qemu");
    if (main && main->calls_us) {
        doctor_ok(findings, "/%s belongs to another program, which calls the virt-rules hook",
                  main->path);
    } else if (main) {
        doctor_failed(findings, "/%s is %s; the virt-rules hook is not installed", main->path,
                      S_ISDIR(main->status.st_mode) ? "a directory" : "another program's");
        doctor_hint(findings, "'%s' installs the hook and keeps that", layout_installer());
    } else {
        doctor_failed(findings, "no hook is installed: there is no /" HOOKS "/qemu");
        doctor_hint(findings,
                    "install it with '%s'; without it nothing happens when a VM starts, and "
                    "nothing is logged",
                    layout_installer());
    }
}

/* "9.0.0" */
static char *doctor_hook_version_text(unsigned long version) {
    return memory_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

/* libvirt before 6.5 runs hooks/qemu alone. */
static bool doctor_hook_is_run(const struct doctor *doctor, const struct hook_places *places,
                               const struct hook_place *ours, struct doctor_findings *findings) {
    const struct hook_place *main = doctor_hook_find_place(places, HOOKS "/qemu");
    unsigned long version =
        doctor->libvirt.version ? doctor->libvirt.version : doctor->libvirt.library_version;
    if (ours == main || (main && main->calls_us) || !version || version >= LIBVIRT_WITH_QEMU_D)
        return true;
    char *text = doctor_hook_version_text(version);
    doctor_failed(findings,
                  "libvirt %s does not run /%s: only 6.5 and later run the hooks in qemu.d", text,
                  ours->path);
    doctor_hint(findings, main ? "make /" HOOKS
                                 "/qemu run qemu.d/virt-rules \"$@\" with the XML on stdin"
                               : "move it to /" HOOKS "/qemu");
    free(text);
    return false;
}

static void doctor_hook_judge_hook(const struct hook_place *ours,
                                   struct doctor_findings *findings) {
    if (!(ours->status.st_mode & EXECUTABLE)) {
        doctor_failed(findings, "/%s is not executable, so libvirt does not run it", ours->path);
        doctor_hint(findings, "chmod 755 /%s", ours->path);
    } else if (!source_is_trusted(ours->status.st_uid, ours->status.st_mode)) {
        doctor_failed(findings, "users other than root can change /%s, and libvirt runs it as root",
                      ours->path);
        doctor_hint(findings, "sudo chown root /%s; sudo chmod 755 /%s", ours->path, ours->path);
    } else if (strcmp(ours->version, VERSION) != 0) {
        doctor_warning(findings, "/%s has version %s, this program has version " VERSION,
                       ours->path, ours->version);
        doctor_hint(findings, "install both again: '%s'", layout_installer());
    } else {
        doctor_ok(findings, "/%s, version %s", ours->path, ours->version);
    }
}

/* All but the one that stays. */
static void doctor_hook_explain_repeated(const struct hook_places *places,
                                         const struct hook_place *ours,
                                         struct doctor_findings *findings) {
    char *others = memory_strdup("remove ");
    const char *separator = "";
    for (size_t i = 0; i < places->count; i++)
        if (places->list[i].version && &places->list[i] != ours) {
            char *longer = memory_printf("%s%s/%s", others, separator, places->list[i].path);
            free(others);
            others = longer;
            separator = ", ";
        }
    doctor_hint(findings, "%s", others);
    free(others);
}

/* Whether a rule is for an event of a VM, or may come to be. */
static bool doctor_hook_is_needed(const struct doctor *doctor) {
    for (size_t i = 0; i < doctor->program->rule_count; i++)
        for (const struct event_list *event = doctor->program->rules[i]->events; event;
             event = event->next)
            if (event->event != EVENT_BOOT)
                return true;
    return doctor->program->rule_count == 0 ||
           diagnostic_count_errors(&doctor->ruleset->diagnostics) > 0;
}

void doctor_hook_installed(struct doctor *doctor, struct doctor_findings *findings) {
    struct hook_places places = doctor_hook_find_places(&doctor->tree);
    size_t count;
    const struct hook_place *ours = doctor_hook_our_place(&places, &count);
    if (!ours && !doctor_hook_is_needed(doctor)) {
        doctor_ok(findings, "not needed: all rules are for the host's boot");
    } else if (!ours) {
        doctor_hook_explain_no_hook(&places, findings);
    } else if (count > 1) {
        doctor_warning(findings, "it is installed %zu times, so each event is handled %zu times",
                       count, count);
        doctor_hook_explain_repeated(&places, ours, findings);
    } else if (doctor_hook_is_run(doctor, &places, ours, findings)) {
        doctor_hook_judge_hook(ours, findings);
    }
    doctor_hook_finish_places(&places);
}

/* --- the engine that the hook starts */

char *doctor_hook_engine_path(const struct tree *tree) {
    char *named = tree_resolve(tree, HOOKS "/" LAYOUT_ENGINE_LINK);
    bool is_link = named && strcmp(named, HOOKS "/" LAYOUT_ENGINE_LINK) != 0;
    char *path = is_link ? memory_printf("/%s", named) : memory_strdup(BINDIR "/virt-rules");
    free(named);
    return path;
}

static bool doctor_hook_is_this_version(const struct tree *tree, const char *engine) {
    size_t size;
    char *text = tree_load(tree, engine, PROGRAM_LIMIT, &size);
    bool is = text && memmem(text, size, "virt-rules " VERSION, strlen("virt-rules " VERSION));
    free(text);
    return is;
}

static void doctor_hook_judge_engine(const struct tree *tree, const char *engine,
                                     struct doctor_findings *findings) {
    struct stat status;
    if (!tree_stat(tree, engine, &status)) {
        doctor_failed(findings, "%s, which the hook starts, does not exist", engine);
        doctor_hint(findings,
                    "'%s' installs it; until then all that is left of an event is the hook's line "
                    "'engine ... cannot be run' in the log and in syslog (virt-rules-hook)",
                    layout_installer());
    } else if (!S_ISREG(status.st_mode) || !(status.st_mode & EXECUTABLE)) {
        doctor_failed(findings, "%s, which the hook starts, is not an executable file", engine);
        doctor_hint(findings, "chmod 755 %s, or install it again", engine);
    } else if (!source_is_trusted(status.st_uid, status.st_mode)) {
        doctor_failed(findings, "users other than root can change %s, and it runs as root", engine);
        doctor_hint(findings, "sudo chown root %s; sudo chmod 755 %s", engine, engine);
    } else if (!doctor_hook_is_this_version(tree, engine)) {
        doctor_warning(findings, "%s, which the hook starts, has another version than this program",
                       engine);
        doctor_hint(findings, "this is " VERSION "; install it again: '%s'", layout_installer());
    } else {
        doctor_ok(findings, "the hook starts %s", engine);
    }
}

void doctor_hook_engine(struct doctor *doctor, struct doctor_findings *findings) {
    char *engine = doctor_hook_engine_path(&doctor->tree);
    doctor_hook_judge_engine(&doctor->tree, engine, findings);
    free(engine);
}

/* --- does libvirt run the hook? */

static char *doctor_hook_time_text(int64_t seconds) {
    char text[64] = "?";
    time_t time = (time_t)seconds;
    struct tm local;
    if (localtime_r(&time, &local))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    return memory_strdup(text);
}

/* libvirt looks for hooks at its start and at SIGHUP. A SIGHUP leaves no trace, but a logged event
 * shows that the hook runs. */
static void doctor_hook_judge_times(const struct doctor *doctor, const struct doctor_daemon *daemon,
                                    const struct hook_place *ours,
                                    struct doctor_findings *findings) {
    int64_t changed = (int64_t)ours->status.st_ctime;
    char *start = doctor_hook_time_text(daemon->start), *change = doctor_hook_time_text(changed);
    if (changed <= daemon->start) {
        doctor_ok(findings, "%s (process %u) started after the hook was installed", daemon->name,
                  daemon->pid);
    } else if (doctor->facts.log_time >= changed) {
        doctor_ok(findings, "the log has entries since the hook was installed");
    } else {
        doctor_warning(findings,
                       "%s (process %u) has been running since %s and the hook was changed at %s, "
                       "so libvirt may not run the hook yet",
                       daemon->name, daemon->pid, start, change);
        doctor_hint(findings,
                    "'kill -HUP %u' (or 'systemctl reload %s') makes it look for hooks and does "
                    "not affect VMs; this warning stays until the first event is logged",
                    daemon->pid, daemon->name);
    }
    free(start);
    free(change);
}

void doctor_hook_known(struct doctor *doctor, struct doctor_findings *findings) {
    struct hook_places places = doctor_hook_find_places(&doctor->tree);
    struct doctor_daemon daemon = doctor_hook_daemon(&doctor->tree);
    size_t count;
    const struct hook_place *ours = doctor_hook_our_place(&places, &count);
    if (!ours) {
        doctor_ok(findings, "not needed: the hook is not installed");
    } else if (!daemon.pid) {
        doctor_unknown(findings, "neither libvirtd nor virtqemud is running; it looks for hooks "
                                 "when it starts");
    } else if (!daemon.start) {
        doctor_warning(findings, "not known: /proc does not say when %s (process %u) started",
                       daemon.name, daemon.pid);
        doctor_hint(findings, "'kill -HUP %u' makes it look for hooks; this does not affect VMs",
                    daemon.pid);
    } else {
        doctor_hook_judge_times(doctor, &daemon, ours, findings);
    }
    free(daemon.label);
    doctor_hook_finish_places(&places);
}
