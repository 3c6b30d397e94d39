/* Check: whether AppArmor and SELinux let the hook run the engine. */
#include "engine/doctor/doctor.h"

#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PROFILES "etc/apparmor.d/"

enum { PROFILE_LIMIT = 1024 * 1024, LABEL_SIZE = 256 };

/* --- AppArmor's globs and rules (apparmor.d(5)) */

static bool doctor_security_glob(const char *pattern, const char *text);

/* After the bracket that closes the one at `pattern`; NULL when none does. */
static const char *doctor_security_close_of(const char *pattern, char open, char close) {
    int depth = 0;
    for (; *pattern; pattern++) {
        if (*pattern == '\\' && pattern[1])
            pattern++;
        else if (*pattern == open)
            depth++;
        else if (*pattern == close && --depth == 0)
            return pattern + 1;
    }
    return NULL;
}

/* "{a,b}rest": some alternative with the rest. */
static bool doctor_security_glob_choice(const char *pattern, const char *rest, const char *text) {
    const char *start = pattern + 1;
    bool is = false;
    int depth = 0;
    for (const char *at = start; !is && at < rest; at++) {
        bool ends = at == rest - 1 || (*at == ',' && depth == 0);
        depth += *at == '{' ? 1 : *at == '}' ? -1 : 0;
        if (!ends)
            continue;
        char *one = memory_printf("%.*s%s", (int)(at - start), start, rest);
        is = doctor_security_glob(one, text);
        free(one);
        start = at + 1;
    }
    return is;
}

static bool doctor_security_glob_star(const char *pattern, const char *text) {
    bool deep = pattern[1] == '*';
    pattern += deep ? 2 : 1;
    for (;; text++) {
        if (doctor_security_glob(pattern, text))
            return true;
        if (!*text || (*text == '/' && !deep))
            return false;
    }
}

static bool doctor_security_in_set(const char *set, const char *end, char c) {
    bool excludes = *set == '^', is = false;
    for (set += excludes; set < end; set++) {
        bool range = set + 2 < end && set[1] == '-';
        is = is || (range ? c >= set[0] && c <= set[2] : c == *set);
        set += range ? 2 : 0;
    }
    return is != excludes;
}

static bool doctor_security_glob(const char *pattern, const char *text) {
    for (; *pattern; pattern++, text++) {
        const char *rest = *pattern == '{'   ? doctor_security_close_of(pattern, '{', '}')
                           : *pattern == '[' ? doctor_security_close_of(pattern, '[', ']')
                                             : NULL;
        if (*pattern == '{' && rest)
            return doctor_security_glob_choice(pattern, rest, text);
        if (*pattern == '*')
            return doctor_security_glob_star(pattern, text);
        if (!*text)
            return false;
        if (*pattern == '[' && rest) {
            if (!doctor_security_in_set(pattern + 1, rest - 1, *text))
                return false;
            pattern = rest - 1;
        } else if (*pattern == '?' ? *text == '/'
                                   : *(pattern += *pattern == '\\' && pattern[1]) != *text) {
            return false;
        }
    }
    return !*text;
}

/* The variables of tunables/global that stand for places of programs. */
static char *doctor_security_expand(const char *pattern) {
    static const char *const variables[][2] = {{"@{bin}", "/{,usr/}{,s}bin"},
                                               {"@{sbin}", "/{,usr/}sbin"}};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        size_t length = strlen(variables[i][0]);
        if (!strncmp(pattern, variables[i][0], length))
            return memory_printf("%s%s", variables[i][1], pattern + length);
    }
    return memory_strdup(pattern);
}

static bool doctor_security_is_path(const char *word) {
    return word && strchr("/\"@", *word);
}

static bool doctor_security_covers(char *word, const char *path) {
    size_t length = strlen(word);
    if (*word == '"') {
        word[length - (length > 1 && word[length - 1] == '"')] = '\0';
        word++;
    }
    char *pattern = doctor_security_expand(word);
    bool is = doctor_security_glob(pattern, path);
    free(pattern);
    return is;
}

/* A rule of one line: [audit] [deny] [owner] PATH PERMISSIONS, or the last two swapped. Returns 1
 * when it lets the path be run, -1 when it forbids that, 0 for all else. */
static int doctor_security_file_rule(char *line, const char *path) {
    bool deny = false;
    char *word, *rest = line;
    while ((word = text_next_field(&rest)) &&
           (!strcmp(word, "audit") || !strcmp(word, "owner") || !strcmp(word, "allow") ||
            !strcmp(word, "file") || !strcmp(word, "deny")))
        deny = deny || !strcmp(word, "deny");
    char *other = word ? text_next_field(&rest) : NULL;
    char *where = doctor_security_is_path(word)    ? word
                  : doctor_security_is_path(other) ? other
                                                   : NULL;
    const char *permissions = where == word ? other : word;
    if (!where || !permissions || !strchr(permissions, 'x') || !doctor_security_covers(where, path))
        return 0;
    return deny ? -1 : 1;
}

/* Without its comment, its comma and its blanks. */
static char *doctor_security_bare(char *line) {
    line += strspn(line, " \t");
    line[strcspn(line, "#")] = '\0';
    for (size_t length = strlen(line); length && strchr(" \t\r,", line[length - 1]);)
        line[--length] = '\0';
    return line;
}

bool doctor_security_apparmor_allows(const char *profile, const char *path) {
    char *copy = memory_strdup(profile), *rest = copy;
    int depth = 0, allowed = 0;
    for (char *line; allowed >= 0 && (line = text_next_line(&rest));) {
        line = doctor_security_bare(line);
        size_t length = strlen(line);
        if (length && line[length - 1] == '{')
            depth++;
        else if (*line == '}')
            depth--;
        else if (depth <= 1) { /* deeper is a profile of a child */
            int rule = doctor_security_file_rule(line, path);
            allowed = rule ? rule : allowed;
        }
    }
    free(copy);
    return allowed > 0;
}

/* --- AppArmor of this host */

/* The profile of the daemon and what is local to it, one after the other; its file in `name`.
 * NULL: there is none. */
static char *doctor_security_load_profile(const struct tree *tree, const char *daemon,
                                          char **name) {
    static const char *const formats[] = {"usr.sbin.", ""};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t size;
        *name = memory_printf("%s%s", formats[i], daemon);
        char *path = memory_printf(PROFILES "%s", *name);
        char *local = memory_printf(PROFILES "local/%s", *name);
        char *text = tree_load(tree, path, PROFILE_LIMIT, &size);
        char *more = tree_load(tree, local, PROFILE_LIMIT, &size);
        char *all = text ? memory_printf("%s\n%s", text, more ? more : "") : NULL;
        free(text), free(more), free(path), free(local);
        if (all)
            return all;
        free(*name);
    }
    *name = NULL;
    return NULL;
}

static void doctor_security_judge_profile(const struct tree *tree,
                                          const struct doctor_daemon *daemon,
                                          struct doctor_findings *findings) {
    char *name = NULL, *profile = doctor_security_load_profile(tree, daemon->name, &name);
    char *engine = doctor_hook_engine_path(tree);
    if (!profile) {
        doctor_warning(findings, "AppArmor confines %s (%s), and its profile is not in /" PROFILES,
                       daemon->name, daemon->label);
        doctor_hint(findings,
                    "if the log stays empty: 'dmesg | grep virt-rules' shows what was denied");
    } else if (doctor_security_apparmor_allows(profile, engine)) {
        doctor_ok(findings, "AppArmor confines %s, and lets it run %s", daemon->name, engine);
    } else {
        doctor_failed(findings, "AppArmor does not let %s run %s", daemon->name, engine);
        doctor_hint(findings,
                    "add '%s PUx,' to /" PROFILES "local/%s, then: apparmor_parser -r "
                    "/" PROFILES "%s",
                    engine, name, name);
    }
    free(engine);
    free(profile);
    free(name);
}

/* --- SELinux */

/* The context of a file; the caller frees it. */
static char *doctor_security_context_of(const struct tree *tree, const char *path) {
    char label[LABEL_SIZE], *resolved = tree_resolve(tree, path);
    char *full = memory_printf("%s/%s", tree->root, resolved ? resolved : "");
    ssize_t size = lgetxattr(full, "security.selinux", label, sizeof label - 1);
    free(full);
    free(resolved);
    label[size > 0 ? size : 0] = '\0';
    return memory_strdup(size > 0 ? label : "no label");
}

/* Fedora's policy (since 2024) has a switch for libvirt's hooks, off at first:
 * https://github.com/fedora-selinux/selinux-policy/pull/2195. "0 0": what is, and what will be. */
static bool doctor_security_hooks_are_off(const struct tree *tree) {
    char *text = tree_attribute(tree, "sys/fs/selinux/booleans", "virt_hooks_unconfined");
    bool are = text && *text == '0';
    free(text);
    return are;
}

static void doctor_security_judge_contexts(const struct tree *tree,
                                           const struct doctor_daemon *daemon,
                                           struct doctor_findings *findings) {
    char *engine = doctor_hook_engine_path(tree);
    char *context = doctor_security_context_of(tree, engine);
    if (strstr(daemon->label, ":unconfined_")) {
        doctor_ok(findings, "SELinux does not confine %s (%s)", daemon->name, daemon->label);
    } else if (doctor_security_hooks_are_off(tree)) {
        doctor_failed(findings, "SELinux confines %s (%s) and lets hooks do nothing", daemon->name,
                      daemon->label);
        doctor_hint(findings, "'setsebool -P virt_hooks_unconfined on', and 'restorecon -Rv "
                              "/etc/libvirt/hooks'");
    } else {
        doctor_warning(
            findings,
            "SELinux confines %s (%s); doctor cannot tell whether its policy lets it run %s "
            "(%s)",
            daemon->name, daemon->label, engine, context);
        doctor_hint(findings,
                    "'restorecon -Rv /etc/libvirt/hooks %s'; if the log stays empty "
                    "after a VM's start: 'ausearch -m avc -ts recent' shows what was denied, and "
                    "audit2allow makes a module that allows it",
                    engine);
    }
    free(context);
    free(engine);
}

/* --- both */

static bool doctor_security_selinux_enforces(const struct tree *tree) {
    char *text = tree_attribute(tree, "sys/fs/selinux", "enforce");
    bool is = text && !strcmp(text, "1");
    free(text);
    return is;
}

static bool doctor_security_apparmor_is_on(const struct tree *tree) {
    char *text = tree_attribute(tree, "sys/module/apparmor/parameters", "enabled");
    bool is = text && *text == 'Y';
    free(text);
    return is;
}

/* No daemon runs whose label would tell. */
static void doctor_security_judge_without_daemon(const struct tree *tree,
                                                 struct doctor_findings *findings) {
    if (doctor_security_apparmor_is_on(tree) || doctor_security_selinux_enforces(tree)) {
        doctor_warning(findings,
                       "not known: %s is on, and neither libvirtd nor virtqemud is running",
                       doctor_security_apparmor_is_on(tree) ? "AppArmor" : "SELinux");
        doctor_hint(findings, "start it, then run doctor again");
    } else {
        doctor_ok(findings, "no sign of AppArmor or SELinux");
    }
}

void doctor_security_confinement(struct doctor *doctor, struct doctor_findings *findings) {
    const struct tree *tree = &doctor->tree;
    struct doctor_daemon daemon = doctor_hook_daemon(tree);
    if (!daemon.pid)
        doctor_security_judge_without_daemon(tree, findings);
    else if (text_ends_with(daemon.label, " (enforce)"))
        doctor_security_judge_profile(tree, &daemon, findings);
    else if (doctor_security_selinux_enforces(tree) && strchr(daemon.label, ':'))
        doctor_security_judge_contexts(tree, &daemon, findings);
    else
        doctor_ok(findings, "neither AppArmor nor SELinux confines %s", daemon.name);
    free(daemon.label);
}
