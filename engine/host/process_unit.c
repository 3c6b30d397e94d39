#include "engine/host/process_unit.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

/* Of the only hierarchy of version 2, "0::/system.slice/x", or of systemd's own of version 1,
 * "1:name=systemd:/...". */
char *process_unit_group(const struct tree *tree, const char *home) {
    static const char v2[] = "0::", v1[] = ":name=systemd:";
    char *path = memory_printf("%s/cgroup", home), *group = NULL;
    char *text = tree_read(tree, path), *rest = text;
    for (const char *line; rest && (line = text_next_line(&rest));) {
        const char *own = text_starts_with(line, v2) ? line + strlen(v2) : strstr(line, v1);
        if (!own)
            continue;
        if (*own == ':')
            own += strlen(v1);
        if (!group || strcmp(group, "/") == 0) {
            free(group);
            group = memory_strdup(own);
        }
    }
    free(text);
    free(path);
    return group;
}

/* "gdm.service" of "/system.slice/gdm.service/sub", or NULL. */
static char *process_unit_of(const char *group) {
    char *copy = memory_strdup(group ? group : ""), *rest = copy, *unit = NULL;
    for (const char *part; !unit && (part = strsep(&rest, "/"));)
        if ((text_ends_with(part, ".service") || text_ends_with(part, ".scope")) &&
            strcmp(part, "init.scope") != 0)
            unit = memory_strdup(part);
    free(copy);
    return unit;
}

/* "gdm.service", which starts the sessions on the display; NULL: there is none. */
static char *process_unit_display_manager(const struct tree *tree) {
    char *name = tree_link_name(tree, "etc/systemd/system", "display-manager.service");
    if (name && text_ends_with(name, ".service"))
        return name;
    free(name);
    return NULL;
}

char *process_unit_stop(const struct tree *tree, const char *process, bool is_desktop) {
    static const char session[] = "session-", user[] = "user@";
    char *home = memory_printf("proc/%s", process);
    char *group = process_unit_group(tree, home), *unit = process_unit_of(group);
    bool is_session = unit && text_starts_with(unit, session),
         is_user = unit && text_starts_with(unit, user);
    /* logind opens the card for the session. */
    bool is_logind = unit && strcmp(unit, "systemd-logind.service") == 0;
    char *manager = is_desktop && (is_session || is_user || is_logind)
                        ? process_unit_display_manager(tree)
                        : NULL;
    char *command;
    if (manager)
        command = memory_printf("systemctl stop %s", manager);
    else if (is_session || is_user)
        command = memory_printf("loginctl terminate-%s %.*s", is_session ? "session" : "user",
                                (int)strcspn(unit + strlen(is_session ? session : user), "."),
                                unit + strlen(is_session ? session : user));
    else if (unit && !is_logind)
        command = memory_printf("systemctl stop %s", unit);
    else
        command = memory_printf("kill %s", process);
    free(manager);
    free(unit);
    free(group);
    free(home);
    return command;
}
