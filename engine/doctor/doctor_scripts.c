/*
 * Scripts of an older set-up that do by hand what rules do. libvirt runs those of its hooks
 * directory; a common one there runs whatever lies in qemu.d/VM/OPERATION/SUBOPERATION/, so that
 * directory is searched at any depth, and the scripts that its scripts name are read as well. The
 * device is often named in a file that the script sources.
 */
#include "engine/doctor/doctor.h"

#include "engine/rules/match.h"
#include "lexer/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_LIMIT = 1024 * 1024, FILES_MAX = 2000, DEPTH_MAX = 16 };

/* What a script does, a bit each. */
enum old {
    OLD_NEW_ID = 1,
    OLD_ATTACH = 2,
    OLD_UNLOAD = 4,
    OLD_DRIVER = 8,
    OLD_CALLS = 16, /* counts in a hook alone */
    OLD_BOOT = OLD_NEW_ID | OLD_ATTACH | OLD_UNLOAD | OLD_DRIVER,
    OLD_HOOK = OLD_BOOT | OLD_CALLS,
};

/* Virtual Machine Manager's own file unloads modules with good reason. */
static const struct {
    const char *path;
    enum { FILE_ALONE, DIRECTORY, TREE } extent;
    enum old kinds;
} old_places[] = {
    {"etc/libvirt/hooks", TREE, OLD_HOOK},
    {"usr/local/libvirt/hooks", TREE, OLD_HOOK},
    {"usr/local/libvirt", DIRECTORY, OLD_BOOT},
    {"usr/local/etc/rc.d", DIRECTORY, OLD_BOOT},
    {"etc/rc.local", FILE_ALONE, OLD_BOOT},
    {"etc/rc.d/rc.local", FILE_ALONE, OLD_BOOT},
    {"etc/crontab", FILE_ALONE, OLD_BOOT},
    {"etc/systemd/system", DIRECTORY, OLD_BOOT},
    {"var/packages/Virtualization/conf/systemd/insert_libvirtd_ko.sh", FILE_ALONE,
     OLD_NEW_ID | OLD_ATTACH},
};

struct file_id {
    dev_t device;
    ino_t inode;
};

struct doctor_scripts_search {
    const struct doctor *doctor;
    struct doctor_findings *findings;
    struct file_id *seen; /* files and directories: links may lead to one twice, or in a circle */
    size_t seen_count;
    bool is_cut;
};

/* A file that is read; a line ends in a NUL once it is its turn. */
struct script {
    const struct doctor_scripts_search *search;
    const char *path;
    enum old kinds;
    char *text; /* as it was read, and the files that it sources after it */
    /* What is found: a clause for each kind, with its first line. */
    enum old found;
    size_t first_line;
    char *message;
};

/* --- words of a line */

static bool doctor_scripts_is_word_character(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* The word in the line, alone or at the end of a path; NULL: it is not there. */
static const char *doctor_scripts_find_word(const char *line, const char *word) {
    size_t length = strlen(word);
    for (const char *at = line; (at = strstr(at, word)); at += length)
        if ((at == line || !doctor_scripts_is_word_character(at[-1])) &&
            !doctor_scripts_is_word_character(at[length]))
            return at;
    return NULL;
}

/* Ends the line where a comment begins. */
static void doctor_scripts_cut_comment(char *line) {
    char quote = '\0';
    for (char *at = line; *at; at++) {
        if (*at == '\\' && at[1] && quote != '\'')
            at++;
        else if (quote && *at == quote)
            quote = '\0';
        else if (!quote && (*at == '\'' || *at == '"'))
            quote = *at;
        else if (!quote && *at == '#' && (at == line || isspace((unsigned char)at[-1])))
            *at = '\0';
        if (!*at)
            break;
    }
}

/* The word at `at` is only printed: "echo start virsh". */
static bool doctor_scripts_is_printed(const char *line, const char *at) {
    static const char *const printers[] = {"echo ", "printf ", "logger "};
    const char *start = line + strspn(line, " \t");
    for (size_t i = 0; i < sizeof printers / sizeof *printers; i++)
        if (!strncmp(start, printers[i], strlen(printers[i]))) {
            size_t before = (size_t)(at - start);
            return strcspn(start, ";&|`(") >= before;
        }
    return false;
}

/* libvirt does not wait for what runs in a unit of its own, or later, or apart from its files. */
static bool doctor_scripts_is_detached(const char *line) {
    size_t length = strlen(line);
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    bool behind = length > 1 && line[length - 1] == '&' && line[length - 2] != '&';
    return doctor_scripts_find_word(line, "systemd-run") || strstr(line, "at now") ||
           (behind && strchr(line, '>'));
}

/* --- the devices that a line names */

/* At no other character of a number or name. */
static const char *doctor_scripts_find_name(const char *text, const char *name) {
    size_t length = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at++)
        if ((at == text || !isalnum((unsigned char)at[-1])) &&
            !isalnum((unsigned char)at[length]) && at[length] != '.')
            return at;
    return NULL;
}

/* An address without its domain, and not the end of one in another domain. */
static bool doctor_scripts_find_short_name(const char *text, const char *name) {
    for (const char *at = text; (at = doctor_scripts_find_name(at, name)); at++)
        if (at == text || at[-1] != ':')
            return true;
    return false;
}

/* "0000:01:00.0", as libvirt's "pci_0000_01_00_0", or without the domain; a USB port as sysfs
 * writes it. */
static bool doctor_scripts_names_device(const char *text, const struct device *device) {
    if (doctor_scripts_find_name(text, device->address))
        return true;
    if (device->bus == BUS_USB)
        return false;
    if (!strncmp(device->address, "0000:", 5) &&
        doctor_scripts_find_short_name(text, device->address + 5))
        return true;
    char *name = memory_printf("pci_%s", device->address);
    for (char *at = name; *at; at++)
        if (*at == ':' || *at == '.')
            *at = '_';
    bool found = strstr(text, name);
    free(name);
    return found;
}

static bool doctor_scripts_is_hex_at(const char *text, const char *shape) {
    for (; *shape; shape++, text++)
        if (*shape == 'h' ? !isxdigit((unsigned char)*text) : *text != *shape)
            return false;
    return true;
}

/* Some PCI address, or a USB port in a path of sysfs. */
static bool doctor_scripts_names_any_device(const char *text) {
    for (const char *at = text; *at; at++)
        if (doctor_scripts_is_hex_at(at, "hh:hh.h") || doctor_scripts_is_hex_at(at, "hh_hh_h") ||
            (isdigit((unsigned char)at[0]) && at[1] == '-' && isdigit((unsigned char)at[2])))
            return true;
    return false;
}

static bool doctor_scripts_is_wanted(const struct doctor *doctor, const struct device *device) {
    for (size_t i = 0; i < doctor->program->rule_count; i++)
        for (const struct action *action = doctor->program->rules[i]->actions; action;
             action = action->next)
            for (const struct target *target = action->verb == VERB_ATTACH ? action->targets : NULL;
                 target; target = target->next)
                for (size_t n = 0; n < doctor->host->count; n++) {
                    const struct device *other = &doctor->host->devices[n];
                    bool goes_along = action->with_group && device->iommu_group >= 0 &&
                                      other->iommu_group == device->iommu_group;
                    if ((other == device || goes_along) && match_device(target->device, other))
                        return true;
                }
    return false;
}

static const struct device *doctor_scripts_find_wanted(const struct doctor *doctor,
                                                       const char *text) {
    for (size_t i = 0; doctor->host && i < doctor->host->count; i++) {
        const struct device *device = &doctor->host->devices[i];
        if (doctor_scripts_names_device(text, device) && doctor_scripts_is_wanted(doctor, device))
            return device;
    }
    return NULL;
}

/* --- what a line does */

/* modprobe -r vfio, modprobe --remove -f vfio_pci, rmmod vfio */
static bool doctor_scripts_unloads_vfio(const char *line) {
    const char *at = doctor_scripts_find_word(line, "modprobe");
    if (!at) {
        at = doctor_scripts_find_word(line, "rmmod");
        return at && !doctor_scripts_is_printed(line, at) && strstr(at, "vfio");
    }
    const char *module = strstr(at, "vfio");
    bool removes = false;
    for (const char *option = at; (option = strstr(option, " -")) && !removes; option++) {
        size_t length = strcspn(option + 1, " \t");
        removes = option[2] == '-' ? !strncmp(option + 1, "--remove", length)
                                   : (bool)memchr(option + 1, 'r', length);
    }
    return module && removes && !doctor_scripts_is_printed(line, at);
}

#define DRIVERCTL "driverctl"

/* The file of sysfs by which the line takes a device from its driver or gives it one, or the tool
 * that does so. NULL: none. */
static const char *doctor_scripts_written_file(const char *line) {
    static const char *const files[] = {"unbind", "bind", "driver_override", "remove"};
    const char *tool = doctor_scripts_find_word(line, "driverctl");
    if (tool && !doctor_scripts_is_printed(line, tool) &&
        (strstr(tool, "set-override") || strstr(tool, "unset-override")))
        return DRIVERCTL;
    if (!strstr(line, "bus/pci") && !strstr(line, "bus/usb") && !strstr(line, "sys/devices/"))
        return NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *at = doctor_scripts_find_word(line, files[i]);
        if (at && at > line && at[-1] == '/' &&
            (strchr(line, '>') || doctor_scripts_find_word(line, "tee")))
            return files[i];
    }
    return NULL;
}

/* What the line does to a device that a rule wants; in a hook also to one that it does not name.
 * The caller frees the text. */
static char *doctor_scripts_judge_driver(const struct script *script, const char *line) {
    const struct doctor *doctor = script->search->doctor;
    const char *file = doctor_scripts_written_file(line);
    if (!file)
        return NULL;
    bool names = doctor_scripts_names_any_device(line);
    const char *text = names ? line : script->text;
    const struct device *device = doctor_scripts_find_wanted(doctor, text);
    if (!strcmp(file, DRIVERCTL))
        return device ? memory_printf(DRIVERCTL " moves %s, which a rule attaches, also at boot",
                                      device->address)
                      : NULL;
    if (device)
        return memory_printf("writes %s: it moves %s, which a rule attaches", file,
                             device->address);
    if (doctor->host && doctor_scripts_names_any_device(text))
        return NULL; /* of others */
    if (!(script->kinds & OLD_CALLS))
        return NULL;
    return memory_printf("writes %s: it may move a device that a rule attaches", file);
}

/* virsh's command, behind its options; NULL: none. */
static char *doctor_scripts_virsh_command(const char *at) {
    at += strlen("virsh");
    while (*at) {
        at += strspn(at, " \t\"',");
        size_t length = strcspn(at, " \t\"',;|&)`");
        if (!length)
            return NULL;
        if (islower((unsigned char)*at) && !memchr(at, ':', length))
            return memory_strndup(at, length < 40 ? length : 40);
        at += length;
    }
    return NULL;
}

/* "calls virsh nodedev-detach, which a hook must not do", with the device where a rule wants it; at
 * boot libvirt can be called, and only that device counts. */
static char *doctor_scripts_judge_virsh(const struct script *script, const char *line,
                                        enum old *kind) {
    const struct doctor *doctor = script->search->doctor;
    const char *at = doctor_scripts_find_word(line, "virsh");
    if (!at || doctor_scripts_is_printed(line, at))
        return NULL;
    char *command = doctor_scripts_virsh_command(at), *why = NULL;
    const char *name = command ? command : "";
    bool attaches = !strcmp(name, "attach-device") || !strcmp(name, "detach-device");
    const struct device *device =
        strncmp(name, "nodedev-", 8) != 0
            ? NULL
            : doctor_scripts_find_wanted(
                  doctor, doctor_scripts_names_any_device(line) ? line : script->text);
    if (attaches || (script->kinds & OLD_CALLS && !doctor_scripts_is_detached(line))) {
        *kind = attaches ? OLD_ATTACH : OLD_CALLS;
        why = memory_printf("calls virsh%s%s, which a hook must not do%s%s", *name ? " " : "", name,
                            device ? "; a rule attaches " : "", device ? device->address : "");
    } else if (device) {
        *kind = OLD_DRIVER;
        why = memory_printf("calls virsh %s for %s, which a rule attaches", name, device->address);
    }
    free(command);
    return why;
}

static char *doctor_scripts_judge_line(const struct script *script, const char *line,
                                       enum old *kind) {
    char *why;
    if (strstr(line, "/new_id")) {
        *kind = OLD_NEW_ID;
        return memory_strdup("writes new_id, which binds every device with that id");
    }
    if (doctor_scripts_unloads_vfio(line)) {
        *kind = OLD_UNLOAD;
        return memory_strdup("unloads vfio, which other VMs may use");
    }
    if ((why = doctor_scripts_judge_virsh(script, line, kind)))
        return why;
    if (strstr(line, "libvirt.open")) {
        *kind = OLD_CALLS;
        return memory_strdup("calls libvirt, which a hook must not do");
    }
    *kind = OLD_DRIVER;
    return doctor_scripts_judge_driver(script, line);
}

/* --- a script */

static void doctor_scripts_note(struct script *script, enum old kind, size_t line, char *why) {
    if (script->found & kind || !(script->kinds & kind)) {
        free(why);
        return;
    }
    char *before = script->message;
    script->message = before ? memory_printf("%s; line %zu %s", before, line, why) : why;
    if (before) {
        free(before);
        free(why);
    } else {
        script->first_line = line;
    }
    script->found |= kind;
}

static void doctor_scripts_report(const struct script *script, struct doctor_findings *findings) {
    if (!script->found)
        return;
    doctor_warning(findings, "/%s:%zu %s", script->path, script->first_line, script->message);
    if (script->found & OLD_CALLS)
        doctor_hint(findings, "remove it once a rule does its work; libvirt waits for its hooks, "
                              "and a hook that calls libvirt waits for libvirt");
    else
        doctor_hint(findings,
                    "remove it once a rule does its work; otherwise both move the device");
}

/* Whether it is seen for the first time. */
static bool doctor_scripts_is_new(struct doctor_scripts_search *search, const struct stat *status) {
    for (size_t i = 0; i < search->seen_count; i++)
        if (search->seen[i].device == status->st_dev && search->seen[i].inode == status->st_ino)
            return false;
    if (search->seen_count >= FILES_MAX) {
        search->is_cut = true;
        return false;
    }
    search->seen = memory_grow(search->seen, search->seen_count, sizeof *search->seen);
    search->seen[search->seen_count++] = (struct file_id){status->st_dev, status->st_ino};
    return true;
}

static void doctor_scripts_judge_path(struct doctor_scripts_search *search, const char *path,
                                      enum old kinds, unsigned depth);

/* The scripts that a hook calls by their paths. */
static void doctor_scripts_judge_called(struct doctor_scripts_search *search, const char *line,
                                        unsigned depth) {
    static const char ends[] = " \t\"'`;|&()<>=";
    for (const char *at = strchr(line, '/'); at; at = strchr(at, '/')) {
        size_t length = strcspn(at, ends);
        if (at == line || strchr(ends, at[-1])) {
            char *path = memory_strndup(at + strspn(at, "/"), length - strspn(at, "/"));
            size_t size = 0;
            bool is_kernels = !strncmp(path, "sys/", 4) || !strncmp(path, "proc/", 5) ||
                              !strncmp(path, "dev/", 4);
            char *start = is_kernels ? NULL : tree_load(&search->doctor->tree, path, 2, &size);
            if (start && size == 2 && !strcmp(start, "#!"))
                doctor_scripts_judge_path(search, path, OLD_HOOK, depth + 1);
            free(start);
            free(path);
        }
        at += length;
    }
}

/* The path that the line sources, without its slash, or NULL; the caller frees it. */
static char *doctor_scripts_sourced_path(const char *line) {
    line += strspn(line, " \t");
    if (strncmp(line, "source ", 7) != 0 && strncmp(line, ". ", 2) != 0)
        return NULL;
    line += strcspn(line, " ");
    line += strspn(line, " \t\"'");
    return *line == '/' ? memory_strndup(line + 1, strcspn(line + 1, " \t\"';&|")) : NULL;
}

static void doctor_scripts_add_sourced(const struct doctor_scripts_search *search, char **text) {
    char *lines = memory_strdup(*text), *rest = lines;
    for (char *line; (line = text_next_line(&rest));) {
        size_t size;
        char *path = doctor_scripts_sourced_path(line);
        char *sourced = path ? tree_load(&search->doctor->tree, path, FILE_LIMIT, &size) : NULL;
        if (sourced)
            memory_append(text, "\n%s", sourced);
        free(sourced);
        free(path);
    }
    free(lines);
}

static void doctor_scripts_report_unreadable(const struct doctor_scripts_search *search,
                                             const char *path) {
    doctor_warning(search->findings, "/%s cannot be read: what it does with devices is not known",
                   path);
    doctor_hint(search->findings, "%s",
                search->doctor->is_root
                    ? "read it, and remove what rules do now"
                    : "libvirt runs its hooks as root: run 'sudo virt-rules doctor'");
}

static void doctor_scripts_judge_text(struct doctor_scripts_search *search, const char *path,
                                      enum old kinds, unsigned depth) {
    size_t size = 0, number = 0;
    char *text = tree_load(&search->doctor->tree, path, FILE_LIMIT, &size);
    bool is_text = text && !memchr(text, '\0', size); /* else a program */
    char *lines = is_text ? memory_strdup(text) : NULL, *rest = lines;
    if (!text)
        doctor_scripts_report_unreadable(search, path);
    if (is_text)
        doctor_scripts_add_sourced(search, &text);
    struct script script = {.search = search, .path = path, .kinds = kinds, .text = text};
    for (char *line; (line = text_next_line(&rest));) {
        enum old kind = 0;
        number++;
        doctor_scripts_cut_comment(line);
        char *why = doctor_scripts_judge_line(&script, line, &kind);
        if (why)
            doctor_scripts_note(&script, kind, number, why);
    }
    doctor_scripts_report(&script, search->findings);
    free(lines);
    rest = lines = is_text && kinds & OLD_CALLS ? memory_strdup(text) : NULL;
    for (char *line; (line = text_next_line(&rest));) {
        doctor_scripts_cut_comment(line);
        doctor_scripts_judge_called(search, line, depth);
        char *sourced = doctor_scripts_sourced_path(line); /* it needs no "#!" */
        if (sourced)
            doctor_scripts_judge_path(search, sourced, OLD_HOOK, depth + 1);
        free(sourced);
    }
    free(lines);
    free(script.message);
    free(text);
}

static bool doctor_scripts_is_document(const char *path) { /* our README speaks of such scripts */
    static const char *const endings[] = {".md", ".txt", ".log"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (text_ends_with(path, endings[i]))
            return true;
    return false;
}

static void doctor_scripts_judge_directory(struct doctor_scripts_search *search,
                                           const char *directory, enum old kinds, bool deep,
                                           unsigned depth) {
    struct names names = tree_list(&search->doctor->tree, directory);
    struct stat own;
    int open = tree_directory(&search->doctor->tree, directory);
    if (open >= 0)
        close(open);
    else if (tree_stat(&search->doctor->tree, directory, &own) && S_ISDIR(own.st_mode))
        doctor_scripts_report_unreadable(search, directory);
    for (size_t i = 0; i < names.count; i++) {
        struct stat status;
        char *path = memory_printf("%s/%s", directory, names.items[i]);
        bool exists = tree_stat(&search->doctor->tree, path, &status);
        if (exists && !doctor_scripts_is_document(path) && (deep || S_ISREG(status.st_mode)))
            doctor_scripts_judge_path(search, path, kinds, depth + 1);
        free(path);
    }
    tree_finish_names(&names);
}

static void doctor_scripts_judge_path(struct doctor_scripts_search *search, const char *path,
                                      enum old kinds, unsigned depth) {
    struct stat status;
    if (depth > DEPTH_MAX)
        search->is_cut = true;
    else if (!tree_stat(&search->doctor->tree, path, &status) ||
             !doctor_scripts_is_new(search, &status))
        return;
    else if (S_ISDIR(status.st_mode))
        doctor_scripts_judge_directory(search, path, kinds, true, depth);
    else if (S_ISREG(status.st_mode))
        doctor_scripts_judge_text(search, path, kinds, depth);
}

void doctor_scripts_old_setup(struct doctor *doctor, struct doctor_findings *findings) {
    size_t before = findings->count;
    struct doctor_scripts_search search = {.doctor = doctor, .findings = findings};
    for (size_t i = 0; i < sizeof old_places / sizeof *old_places; i++)
        if (old_places[i].extent == DIRECTORY)
            doctor_scripts_judge_directory(&search, old_places[i].path, old_places[i].kinds, false,
                                           0);
        else
            doctor_scripts_judge_path(&search, old_places[i].path, old_places[i].kinds, 0);
    if (search.is_cut) {
        doctor_warning(findings, "the hooks directory has more files than doctor reads (%d)",
                       FILES_MAX);
        doctor_hint(
            findings,
            "search it for scripts that unload vfio, write to drivers in sysfs or call virsh");
    }
    if (findings->count == before)
        doctor_ok(findings, "no script of an older set-up is left in the usual places");
    free(search.seen);
}
