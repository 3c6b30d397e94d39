/* Settings in sysfs (engine/model/setting.h): see `read_setting` of struct host_source. */
#ifndef ENGINE_SYSFS_SETTING_H
#define ENGINE_SYSFS_SETTING_H

#include "engine/host/host.h"

char *sysfs_setting_read(const struct host_source *source, const struct setting *setting);
int sysfs_setting_write(const struct host_source *source, const struct setting *setting,
                        struct failure *failure);
bool sysfs_setting_find_console(const struct host_source *source, struct setting *console);
bool sysfs_setting_has_framebuffer(const struct host *host, const struct device *device);

#endif
