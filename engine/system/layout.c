#include "engine/system/layout.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static void layout_put(char path[PATH_MAX],
                                                             const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= PATH_MAX)
        *path = '\0';
}

static bool layout_is_directory(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* --- the prefix */

bool layout_prefix_of(char prefix[PATH_MAX], const char *program) {
    layout_put(prefix, "%s", program);
    char *name = strrchr(prefix, '/'), *directory = NULL;
    if (name) {
        *name = '\0';
        directory = strrchr(prefix, '/');
    }
    if (!directory || (strcmp(directory, "/bin") != 0 && strcmp(directory, "/libexec") != 0))
        directory = prefix;
    *directory = '\0';
    return *prefix;
}

bool layout_prefix(char prefix[PATH_MAX]) {
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size > 0 ? size : 0] = '\0';
    return layout_prefix_of(prefix, program);
}

/* Only the archive may be below any directory, and its manifest is there. */
const char *layout_installer(void) {
    static char command[PATH_MAX];
    char prefix[PATH_MAX], manifest[PATH_MAX];
    layout_prefix(prefix);
    layout_put(manifest, "%s/installed", prefix);
    if (strncmp(INSTALLER, "sudo sh /", strlen("sudo sh /")) == 0 && access(manifest, F_OK) == 0)
        layout_put(command, "sudo sh %s/install.sh", prefix);
    else
        layout_put(command, "%s", INSTALLER);
    return command;
}

/* --- the rest */

static const char *layout_variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The rules where no option is given. */
static void layout_find_rules(struct layout *layout, const struct layout_request *request,
                              bool is_own) {
    const char *variable = layout_variable("VIRT_RULES_DIR");
    layout->rules_source = variable ? LAYOUT_ENVIRONMENT : is_own ? LAYOUT_PREFIX : LAYOUT_COMPILED;
    if (variable)
        layout_put(layout->rules, "%s", variable);
    else if (is_own)
        layout_put(layout->rules, "%s%s/rules.d", request->root, request->prefix);
    else
        layout_put(layout->rules, "%s%s", request->root, RULESDIR);
}

void layout_conf_beside(char file[PATH_MAX], const char *directory) {
    size_t length = strlen(directory);
    if (!length) {
        *file = '\0';
        return;
    }
    while (length > 1 && directory[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && directory[start - 1] != '/')
        start--;
    if (directory[length - 1] == '/' || (length - start == 1 && directory[start] == '.') ||
        (length - start == 2 && !memcmp(directory + start, "..", 2)))
        layout_put(file, "%.*s/../" CONF_NAME, (int)length, directory);
    else
        layout_put(file, "%.*s" CONF_NAME, (int)start, directory);
}

static void layout_find_file(struct layout *layout, const char *option) {
    char file[PATH_MAX];
    struct stat status;
    layout_conf_beside(layout->file, layout->rules);
    if (!option)
        return;
    layout_conf_beside(file, option);
    if (lstat(file, &status) == 0) /* doctor reports a link that leads nowhere */
        layout_put(layout->file, "%s", file);
}

static void layout_find_state(struct layout *layout, const struct layout_request *request,
                              bool is_own) {
    const char *variable = layout_variable("VIRT_RULES_STATE");
    const char *set = layout->conf.values[CONF_STATE];
    const char *named = request->state ? request->state : variable;
    layout->state_source = request->state ? LAYOUT_OPTION
                           : variable     ? LAYOUT_ENVIRONMENT
                           : *set         ? LAYOUT_CONF
                           : is_own       ? LAYOUT_PREFIX
                                          : LAYOUT_COMPILED;
    if (named)
        layout_put(layout->state, "%s", named);
    else if (!*set && is_own)
        layout_put(layout->state, "%s%s/state", request->root, request->prefix);
    else
        layout_put(layout->state, "%s%s", request->root, *set ? set : STATEDIR);
}

void layout_find(struct layout *layout, const struct layout_request *request) {
    char own[PATH_MAX];
    layout_put(own, "%s%s/rules.d", request->root, request->prefix);
    bool is_own = *request->prefix && layout_is_directory(own);
    *layout = (struct layout){0};
    layout_find_rules(layout, request, is_own);
    layout_find_file(layout, request->rules);
    conf_read(&layout->conf, layout->file);
    layout_find_state(layout, request, is_own);
    if (request->rules) {
        layout_put(layout->rules, "%s", request->rules);
        layout->rules_source = LAYOUT_OPTION;
    }
}

/* --- of this program */

static struct { const char *rules, *state; } layout_options;

const struct layout *layout_current(void) {
    static struct layout layout;
    static bool is_found;
    char prefix[PATH_MAX];
    if (is_found)
        return &layout;
    layout_prefix(prefix);
    layout_find(&layout, &(struct layout_request){.root = "",
                                                  .prefix = prefix,
                                                  .rules = layout_options.rules,
                                                  .state = layout_options.state});
    is_found = true;
    return &layout;
}

void layout_use(const char *rules, const char *state) {
    layout_options.rules = rules;
    layout_options.state = state;
}
