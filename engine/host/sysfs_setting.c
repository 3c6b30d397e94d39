#include "engine/host/sysfs_setting.h"

#include "engine/host/driver.h"
#include "engine/host/place.h"
#include "engine/host/tree.h"
#include "engine/system/deadline.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONSOLES "sys/class/vtconsole"
#define FRAMEBUFFERS "sys/class/graphics"

/* --- reading */

/* Sets errno also where the kernel has no such file. */
static char *sysfs_setting_read_tree(const struct tree *tree, const struct setting *setting) {
    const char *slash = strrchr(setting->path, '/');
    if (setting->kind != SETTING_FRAMEBUFFER) {
        char *directory = memory_strndup(setting->path, (size_t)(slash - setting->path));
        char *text = tree_attribute(tree, directory, slash + 1);
        free(directory);
        return text;
    }
    int directory = tree_directory(tree, setting->path);
    char *driver = directory < 0 ? NULL : tree_link_name(tree, setting->path, "driver");
    if (directory >= 0)
        close(directory);
    return driver || directory < 0 ? driver : memory_strdup("");
}

char *sysfs_setting_read(const struct host_source *source, const struct setting *setting) {
    struct tree tree;
    char *text = tree_open(&tree, source->root) ? sysfs_setting_read_tree(&tree, setting) : NULL;
    int error = errno;
    tree_close(&tree);
    errno = error;
    return text;
}

/* --- writing */

/* By the driver's name and that of the device, as for a PCI device. */
static int sysfs_setting_bind(const struct host_source *source, const struct setting *setting) {
    char *now = sysfs_setting_read(source, setting);
    if (!now)
        return ENODEV;
    bool is_bound = *now, is_wanted = *setting->value;
    int status = 0;
    if (is_bound != is_wanted) {
        char *path = memory_printf("sys/bus/platform/drivers/%s/%s",
                                   is_wanted ? setting->value : now, is_wanted ? "bind" : "unbind");
        status = driver_write_in_time(source->root, path, strrchr(setting->path, '/') + 1);
        free(path);
    }
    free(now);
    return status;
}

static void sysfs_setting_fail(const struct setting *setting, int status, struct failure *failure) {
    char *owner = setting_owner(setting);
    const char *reason = status == ETIMEDOUT ? "the kernel is still at it" : strerror(status);
    switch (setting->kind) {
    case SETTING_CONSOLE:
        failure_set(failure, "the kernel did not %s the console %s%s%s",
                    strcmp(setting->value, "0") ? "bind" : "unbind", owner, status ? ": " : "",
                    status ? reason : "");
        failure_hint(failure, "a program shows graphics on a virtual terminal, or the kernel was "
                              "built without VT_HW_CONSOLE_BINDING: stop the display manager, or "
                              "take the console off the card on the kernel's command line, "
                              "'fbcon=map:9'");
        break;
    case SETTING_FRAMEBUFFER:
        failure_set(failure, "the framebuffer %s could not be %s: %s", owner,
                    *setting->value ? "bound to its driver" : "unbound from its driver", reason);
        failure_hint(failure, "see dmesg");
        break;
    case SETTING_POWER:
    case SETTING_D3COLD:
    case SETTING_RESET_METHOD:
        failure_set(failure, "'%s' could not be written to /%s: %s", setting->value, setting->path,
                    reason);
        failure_hint(failure,
                     setting->kind == SETTING_RESET_METHOD && status == EINVAL
                         ? "the device has no such reset method: /%s lists those it has"
                         : "see dmesg, and /%s",
                     setting->path);
        break;
    }
    free(owner);
}

/* The kernel takes what is written to a console's file also when it does nothing. */
static bool sysfs_setting_is(const struct host_source *source, const struct setting *setting) {
    char *now = sysfs_setting_read(source, setting);
    bool is = now && !strcmp(now, setting->value);
    free(now);
    return is;
}

int sysfs_setting_write(const struct host_source *source, const struct setting *setting,
                        struct failure *failure) {
    int status = setting->kind == SETTING_FRAMEBUFFER
                     ? sysfs_setting_bind(source, setting)
                     : driver_write_in_time(source->root, setting->path,
                                            *setting->value ? setting->value : "\n");
    if (!status && (setting->kind != SETTING_CONSOLE || sysfs_setting_is(source, setting)))
        return 0;
    sysfs_setting_fail(setting, status, failure);
    errno = status;
    return -1;
}

/* --- the text console on a framebuffer */

/* The kernel has one console for all framebuffers, "(M) frame buffer device", and has it only while
 * there is a framebuffer. */
bool sysfs_setting_find_console(const struct host_source *source, struct setting *console) {
    struct tree tree;
    bool found = false;
    if (!tree_open(&tree, source->root)) {
        tree_close(&tree);
        return false;
    }
    struct names names = tree_list(&tree, CONSOLES);
    for (size_t i = 0; i < names.count && !found; i++) {
        char *directory = memory_printf(CONSOLES "/%s", names.items[i]);
        char *name = tree_attribute(&tree, directory, "name");
        char *bind = tree_attribute(&tree, directory, "bind");
        found = name && bind && strstr(name, "frame buffer");
        if (found)
            *console = (struct setting){SETTING_CONSOLE, memory_printf("%s/bind", directory), bind};
        else
            free(bind);
        free(name);
        free(directory);
    }
    tree_finish_names(&names);
    tree_close(&tree);
    return found;
}

/* Also that of a driver which DRM has; not that of the firmware, which since Linux 6.9 is below the
 * card too. */
bool sysfs_setting_has_framebuffer(const struct host *host, const struct device *device) {
    struct tree tree;
    bool found = false;
    if (!tree_open(&tree, host->root)) {
        tree_close(&tree);
        return false;
    }
    struct names names = tree_list(&tree, FRAMEBUFFERS);
    for (size_t i = 0; i < names.count && !found; i++)
        for (int through_device = 0; through_device < 2 && !found; through_device++) {
            char *link = memory_printf(FRAMEBUFFERS "/%s%s", names.items[i],
                                       through_device ? "/device" : "");
            char *path = tree_has(&tree, link) ? tree_resolve(&tree, link) : NULL;
            found = path && place_nearest(host, path) == device && !strstr(path, "-framebuffer.");
            free(path);
            free(link);
        }
    tree_finish_names(&names);
    tree_close(&tree);
    return found;
}
