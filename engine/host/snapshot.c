/* What is copied here is what host_sysfs.c, host_disks.c, host_nics.c and host_bind.c read. */
#include "engine/host/snapshot.h"

#include "engine/host/anonymize.h"
#include "engine/host/block_path.h"
#include "engine/host/host.h"
#include "engine/host/mounts.h"
#include "engine/host/names.h"
#include "engine/host/open_files.h"
#include "engine/host/routes.h"
#include "engine/host/snapshot_domains.h"
#include "engine/host/source_sysfs.h"
#include "engine/host/tree.h"
#include "engine/host/usage.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/route.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONFIG_SIZE = 256, /* the header and the capabilities, without the extended ones */
    SOURCES_LIMIT = 16 * 1024 * 1024
};

struct recorder {
    struct tree from;
    struct host *host;
    int to;
    struct record *record;
    struct standins *standins;
    int error; /* errno of the first that could not be written */
    char *where;
};

static char *snapshot_join(const char *directory, const char *name) {
    return memory_printf("%s/%s", directory, name);
}

/* --- reading */

/* What is not there is no loss; what may not be read is. */
static void snapshot_count_failure(const struct recorder *recorder, int error) {
    if (error == EACCES || error == EPERM || error == EIO)
        recorder->record->skipped++;
}

static char *snapshot_read_text(const struct recorder *recorder, const char *path) {
    errno = 0;
    char *text = tree_read(&recorder->from, path);
    if (!text)
        snapshot_count_failure(recorder, errno);
    return text;
}

static char *snapshot_read_attribute(const struct recorder *recorder, const char *directory,
                                     const char *name) {
    int fd = tree_directory(&recorder->from, directory);
    errno = fd < 0 ? errno : 0;
    char *text = fd < 0 ? NULL : tree_directory_attribute(fd, name);
    if (!text)
        snapshot_count_failure(recorder, errno);
    if (fd >= 0)
        close(fd);
    return text;
}

static bool snapshot_is_directory(const struct recorder *recorder, const char *path) {
    int fd = tree_directory(&recorder->from, path);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* --- writing; paths are those of the source, hidden on the way */

static void snapshot_fail(struct recorder *recorder, const char *path) {
    if (recorder->error)
        return;
    recorder->error = errno;
    recorder->where = memory_strdup(path);
}

/* Makes the directories of a hidden path up to its last slash, or all. */
static void snapshot_make_directories(struct recorder *recorder, const char *path, bool all) {
    char *copy = memory_strdup(path);
    for (char *end = copy; *end && !recorder->error; end++) {
        end += strcspn(end, "/");
        char kept = *end;
        if (!kept && !all)
            break;
        *end = '\0';
        if (*copy && mkdirat(recorder->to, copy, 0755) != 0 && errno != EEXIST)
            snapshot_fail(recorder, copy);
        *end = kept;
        if (!kept)
            break;
    }
    free(copy);
}

static void snapshot_put_directory(struct recorder *recorder, const char *path) {
    char *hidden = anonymize_path(recorder->standins, path);
    snapshot_make_directories(recorder, hidden, true);
    free(hidden);
}

static bool snapshot_write_all(int fd, const char *bytes, size_t size) {
    while (size) {
        ssize_t done = write(fd, bytes, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

/* Of two ways to one file the first is enough. */
static void snapshot_put_bytes(struct recorder *recorder, const char *path, const char *bytes,
                               size_t size) {
    char *hidden = anonymize_path(recorder->standins, path);
    snapshot_make_directories(recorder, hidden, false);
    int fd = recorder->error ? -1
                             : openat(recorder->to, hidden,
                                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    bool good = fd >= 0 ? snapshot_write_all(fd, bytes, size) : errno == EEXIST;
    if (fd >= 0)
        good &= close(fd) == 0;
    if (!good)
        snapshot_fail(recorder, hidden);
    recorder->record->files += fd >= 0;
    free(hidden);
}

static void snapshot_put_text(struct recorder *recorder, const char *path, const char *text) {
    snapshot_put_bytes(recorder, path, text, strlen(text));
}

static void snapshot_put_line(struct recorder *recorder, const char *directory, const char *name,
                              const char *text) {
    char *path = snapshot_join(directory, name), *line = memory_printf("%s\n", text);
    snapshot_put_text(recorder, path, line);
    free(line);
    free(path);
}

/* "../../devices/x" from the place of the link to the target, both below one root. */
static char *snapshot_relative(const char *link, const char *target) {
    size_t common = 0;
    for (size_t i = 0; link[i] && link[i] == target[i]; i++)
        if (link[i] == '/')
            common = i + 1;
    char *path = memory_strdup("");
    for (const char *up = link + common; (up = strchr(up, '/')); up++) {
        char *longer = memory_printf("../%s", path);
        free(path);
        path = longer;
    }
    char *whole = memory_printf("%s%s", path, target + common);
    free(path);
    return whole;
}

static void snapshot_put_raw_link(struct recorder *recorder, const char *hidden,
                                  const char *target) {
    snapshot_make_directories(recorder, hidden, false);
    if (recorder->error)
        return;
    if (symlinkat(target, recorder->to, hidden) == 0)
        recorder->record->files++;
    else if (errno != EEXIST)
        snapshot_fail(recorder, hidden);
}

static void snapshot_put_link(struct recorder *recorder, const char *path, const char *target) {
    char *link = anonymize_path(recorder->standins, path);
    char *end = anonymize_path(recorder->standins, target);
    char *text = snapshot_relative(link, end);
    snapshot_put_raw_link(recorder, link, text);
    free(text);
    free(end);
    free(link);
}

/* --- copying */

/* A link, or the directory that some trees have in its place. */
static void snapshot_copy_link(struct recorder *recorder, const char *directory, const char *name) {
    char *path = snapshot_join(directory, name);
    char *parent = tree_resolve(&recorder->from, directory);
    char *own = parent ? snapshot_join(parent, name) : NULL;
    char *target = tree_resolve(&recorder->from, path);
    int fd = tree_directory(&recorder->from, directory);
    char *text = fd < 0 ? NULL : tree_directory_link_name(fd, name);
    if (own && target && text)
        snapshot_put_link(recorder, own, target);
    else if (own && snapshot_is_directory(recorder, path))
        snapshot_put_directory(recorder, own);
    if (fd >= 0)
        close(fd);
    free(text);
    free(target);
    free(own);
    free(parent);
    free(path);
}

static void snapshot_copy_links(struct recorder *recorder, const char *directory) {
    struct names names = tree_list(&recorder->from, directory);
    for (size_t i = 0; i < names.count; i++)
        snapshot_copy_link(recorder, directory, names.items[i]);
    tree_finish_names(&names);
}

static void snapshot_copy_links_below(struct recorder *recorder, const char *directory,
                                      const char *name) {
    char *path = snapshot_join(directory, name);
    snapshot_copy_links(recorder, path);
    free(path);
}

static void snapshot_copy_attribute(struct recorder *recorder, const char *directory,
                                    const char *name) {
    char *text = snapshot_read_attribute(recorder, directory, name);
    if (text)
        snapshot_put_line(recorder, directory, name, text);
    free(text);
}

static void snapshot_copy_attributes(struct recorder *recorder, const char *directory,
                                     const char *const *names) {
    for (; *names; names++)
        snapshot_copy_attribute(recorder, directory, *names);
}

/* The directory that an entry of a class stands for, where the entry is one; the caller frees it.
 */
static char *snapshot_copy_entry(struct recorder *recorder, const char *class, const char *name) {
    char *path = snapshot_join(class, name);
    char *place =
        snapshot_is_directory(recorder, path) ? tree_resolve(&recorder->from, path) : NULL;
    if (place) {
        snapshot_put_directory(recorder, place);
        snapshot_copy_link(recorder, class, name);
    }
    free(path);
    return place;
}

typedef void copier(struct recorder *recorder, const char *place, const char *name);

static void snapshot_copy_class(struct recorder *recorder, const char *class, copier *copy) {
    struct names names = tree_list(&recorder->from, class);
    if (snapshot_is_directory(recorder, class))
        snapshot_put_directory(recorder, class);
    for (size_t i = 0; i < names.count; i++) {
        char *place = snapshot_copy_entry(recorder, class, names.items[i]);
        if (place)
            copy(recorder, place, names.items[i]);
        free(place);
    }
    tree_finish_names(&names);
}

/* --- PCI and USB */

static void snapshot_copy_config(struct recorder *recorder, const char *place) {
    char bytes[CONFIG_SIZE];
    int directory = tree_directory(&recorder->from, place);
    int fd = directory < 0
                 ? -1
                 : openat(directory, "config", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (size < 0)
        snapshot_count_failure(recorder, errno);
    if (size > 0) {
        char *path = snapshot_join(place, "config");
        snapshot_put_bytes(recorder, path, bytes, (size_t)size);
        free(path);
    }
    if (fd >= 0)
        close(fd);
    if (directory >= 0)
        close(directory);
}

static void snapshot_copy_pci(struct recorder *recorder, const char *place, const char *name) {
    static const char *const attributes[] = {
        "vendor",   "device",       "subsystem_vendor", "subsystem_device", "class", "numa_node",
        "boot_vga", "reset_method", "power_state",      "sriov_numvfs",     NULL};
    (void)name;
    snapshot_copy_attributes(recorder, place, attributes);
    snapshot_copy_config(recorder, place);
    snapshot_copy_link(recorder, place, "driver");
    snapshot_copy_link(recorder, place, "iommu_group");
    snapshot_copy_link(recorder, place, "physfn");
}

static void snapshot_copy_serial(struct recorder *recorder, const char *place) {
    char *serial = snapshot_read_attribute(recorder, place, "serial");
    char *hidden = serial && *serial ? anonymize_serial(recorder->standins, serial) : NULL;
    if (hidden)
        snapshot_put_line(recorder, place, "serial", hidden);
    free(hidden);
    free(serial);
}

static void snapshot_copy_interface(struct recorder *recorder, const char *place) {
    static const char *const attributes[] = {"bInterfaceClass", "bInterfaceSubClass",
                                             "bInterfaceProtocol", NULL};
    snapshot_put_directory(recorder, place);
    snapshot_copy_attributes(recorder, place, attributes);
    snapshot_copy_link(recorder, place, "driver");
}

static void snapshot_copy_interfaces(struct recorder *recorder, const char *place,
                                     const char *name) {
    struct names files = tree_list(&recorder->from, place);
    for (size_t i = 0; i < files.count; i++) {
        char *path = snapshot_join(place, files.items[i]);
        if (text_starts_with(files.items[i], name) && files.items[i][strlen(name)] == ':' &&
            snapshot_is_directory(recorder, path))
            snapshot_copy_interface(recorder, path);
        free(path);
    }
    tree_finish_names(&files);
}

static void snapshot_copy_usb(struct recorder *recorder, const char *place, const char *name) {
    static const char *const attributes[] = {
        "idVendor", "idProduct",    "manufacturer",    "product",         "busnum",
        "devnum",   "bDeviceClass", "bDeviceSubClass", "bDeviceProtocol", NULL};
    if (strchr(name, ':')) {
        snapshot_copy_interface(recorder, place);
        return;
    }
    snapshot_copy_attributes(recorder, place, attributes);
    snapshot_copy_interfaces(recorder, place, name);
    if (!text_starts_with(name, "usb")) /* a root hub cannot be assigned */
        snapshot_copy_serial(recorder, place);
}

/* Of what may be a class of many files, those that some process has open: see host_files.c. */
static void snapshot_put_class_entry(struct recorder *recorder, const char *number) {
    char *link = memory_printf("sys/dev/char/%s", number);
    char *place = tree_has(&recorder->from, link) ? tree_resolve(&recorder->from, link) : NULL;
    char *class = place ? tree_link_name(&recorder->from, place, "subsystem") : NULL;
    if (class) {
        char *path = memory_printf("sys/class/%s/%s", class, strrchr(place, '/') + 1);
        snapshot_put_directory(recorder, place);
        snapshot_put_link(recorder, path, place);
        free(path);
    }
    free(class);
    free(place);
    free(link);
}

/* A tree has the files by their names only. */
static void snapshot_copy_class_entries(struct recorder *recorder, const char *name) {
    struct names classes = tree_list(&recorder->from, "sys/class");
    const char *last = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    for (size_t i = 0; i < classes.count; i++) {
        char *class = snapshot_join("sys/class", classes.items[i]);
        char *place = snapshot_copy_entry(recorder, class, last);
        if (place)
            snapshot_copy_link(recorder, place, "device");
        free(place);
        free(class);
    }
    tree_finish_names(&classes);
}

static void snapshot_open(void *context, const struct open_file *file) {
    struct recorder *recorder = context;
    char *home = snapshot_join("proc", file->process);
    char *name = anonymize_path(recorder->standins, file->name);
    char *target = snapshot_join("dev", name);
    char *link = memory_printf("%s/fd/%s", home, file->entry);
    snapshot_put_line(recorder, home, "comm", file->program);
    snapshot_put_link(recorder, link, target);
    if (file->number && !file->is_block)
        snapshot_put_class_entry(recorder, file->number);
    else if (!file->number)
        snapshot_copy_class_entries(recorder, file->name);
    if (file->is_vm) { /* a qemu that is not libvirt's is another thing */
        char *pid = memory_printf("run/libvirt/qemu/%s.pid", file->process);
        snapshot_put_text(recorder, pid, file->process);
        free(pid);
    }
    free(link);
    free(target);
    free(name);
    free(home);
}

static void snapshot_copy_nvidia(struct recorder *recorder) {
    static const char gpus[] = "proc/driver/nvidia/gpus", key[] = "Device Minor:";
    struct names names = tree_list(&recorder->from, gpus);
    for (size_t i = 0; i < names.count; i++) {
        char *path = memory_printf("%s/%s/information", gpus, names.items[i]);
        char *text = snapshot_read_text(recorder, path), *line = text ? strstr(text, key) : NULL;
        if (line) {
            line[strcspn(line, "\n")] = '\0';
            snapshot_put_text(recorder, path, line);
        }
        free(text);
        free(path);
    }
    tree_finish_names(&names);
}

static void snapshot_copy_open_files(struct recorder *recorder) {
    struct usage uses = {.host = recorder->host, .tree = &recorder->from};
    if (tree_has(&recorder->from, "run/libvirt/qemu"))
        snapshot_put_directory(recorder, "run/libvirt/qemu");
    if (tree_has(&recorder->from, "proc"))
        snapshot_put_directory(recorder, "proc");
    open_files_each(&uses, snapshot_open, recorder);
    snapshot_copy_nvidia(recorder);
}

/* --- the console */

typedef void line_writer(struct recorder *recorder, FILE *out, char *line);
static void snapshot_copy_lines(struct recorder *recorder, const char *path, line_writer *write,
                                void (*add)(struct recorder *recorder, FILE *out));

static void snapshot_copy_text_console(struct recorder *recorder, const char *place,
                                       const char *name) {
    static const char *const attributes[] = {"name", "bind", NULL};
    (void)name;
    snapshot_copy_attributes(recorder, place, attributes);
}

static void snapshot_copy_framebuffer(struct recorder *recorder, const char *place,
                                      const char *name) {
    if (text_starts_with(name, "fb"))
        snapshot_copy_link(recorder, place, "device");
}

/* A text whose lines begin with one of `starts`; nothing where there is no such file. */
static void snapshot_copy_lines_of(struct recorder *recorder, const char *path,
                                   const char *const *starts) {
    char *text = snapshot_read_text(recorder, path), *rest = text, *kept = memory_strdup("");
    for (char *line; rest && (line = text_next_line(&rest));)
        for (size_t i = 0; starts[i]; i++)
            if (*line && text_starts_with(line, starts[i])) {
                char *hidden = anonymize_path(recorder->standins, line);
                char *longer = memory_printf("%s%s\n", kept, hidden);
                free(hidden);
                free(kept);
                kept = longer;
            }
    if (text)
        snapshot_put_text(recorder, path, kept);
    free(kept);
    free(text);
}

/* Of the keys the first 32, which tell a keyboard. */
static void snapshot_write_input(struct recorder *recorder, FILE *out, char *line) {
    static const char sysfs[] = "S: Sysfs=", keys[] = "B: KEY=";
    if (text_starts_with(line, sysfs)) {
        char *hidden = anonymize_path(recorder->standins, line + strlen(sysfs));
        fprintf(out, "%s%s\n", sysfs, hidden);
        free(hidden);
    } else if (text_starts_with(line, keys)) {
        enum { DIGITS = 8 };
        const char *blank = strrchr(line + strlen(keys), ' ');
        const char *last = blank ? blank + 1 : line + strlen(keys);
        if (strlen(last) > DIGITS)
            last = line + strlen(line) - DIGITS;
        fprintf(out, "%s%s\n", keys, last);
    }
}

static void snapshot_copy_console(struct recorder *recorder) {
    static const char *const consoles[] = {"tty", NULL}, *const any[] = {"", NULL};
    snapshot_copy_class(recorder, "sys/class/graphics", snapshot_copy_framebuffer);
    snapshot_copy_class(recorder, "sys/class/vtconsole", snapshot_copy_text_console);
    snapshot_copy_lines_of(recorder, "proc/fb", any);
    snapshot_copy_lines_of(recorder, "proc/consoles", consoles);
    snapshot_copy_lines(recorder, "proc/bus/input/devices", snapshot_write_input, NULL);
}

/* --- what could not be read */

/* A link to itself cannot be read either. */
static void snapshot_put_unreadable(struct recorder *recorder, const char *path) {
    static const char namespaces[] = "/ns/";
    const char *space = strstr(path, namespaces); /* links, which are read without following them */
    char *copy = memory_printf("%.*s", space ? (int)(space - path) + 3 : (int)strlen(path), path);
    char *hidden = anonymize_path(recorder->standins, copy);
    const char *slash = strrchr(hidden, '/');
    snapshot_put_raw_link(recorder, hidden, slash ? slash + 1 : hidden);
    free(hidden);
    free(copy);
}

static void snapshot_put_faults(struct recorder *recorder) {
    const struct faults *faults = &recorder->host->faults;
    for (size_t i = 0; i < faults->count; i++)
        if (!tree_is_absence(faults->list[i].error))
            snapshot_put_unreadable(recorder, faults->list[i].path);
}

static void snapshot_copy_groups(struct recorder *recorder) {
    static const char groups[] = "sys/kernel/iommu_groups";
    struct names names = tree_list(&recorder->from, groups);
    for (size_t i = 0; i < names.count; i++) {
        char *group = snapshot_join(groups, names.items[i]);
        snapshot_put_directory(recorder, group);
        snapshot_copy_links_below(recorder, group, "devices");
        snapshot_copy_attribute(recorder, group, "reserved_regions");
        free(group);
    }
    tree_finish_names(&names);
}

/* --- block devices */

/* The block device of a path below /dev; NULL: none, or a ZFS pool, whose name is not the kernel's.
 */
static const struct node *snapshot_find_block(const struct recorder *recorder, const char *path) {
    const struct node *node = block_path_find(&recorder->host->block, &recorder->from, path);
    return node && !node->is_pool ? node : NULL;
}

/* The controllers of a disk with native multipath are links beside it. */
static void snapshot_copy_controllers(struct recorder *recorder, const char *place,
                                      const char *name) {
    struct names files = tree_list(&recorder->from, place);
    (void)name;
    for (size_t i = 0; i < files.count; i++) {
        uint32_t number;
        if (text_starts_with(files.items[i], "nvme") &&
            text_parse_decimal(files.items[i] + 4, UINT32_MAX, &number))
            snapshot_copy_link(recorder, place, files.items[i]);
    }
    tree_finish_names(&files);
}

static void snapshot_copy_subsystem(struct recorder *recorder, const char *place) {
    if (!strstr(place, "/nvme-subsys"))
        return;
    char *directory = memory_strndup(place, (size_t)(strrchr(place, '/') - place));
    snapshot_copy_controllers(recorder, directory, "");
    free(directory);
}

/* Of a partition's name only whether ZFS gave it. */
static void snapshot_copy_partition_name(struct recorder *recorder, const char *place) {
    static const char zfs[] = "PARTNAME=zfs-";
    char *text = snapshot_read_attribute(recorder, place, "uevent");
    const char *name = text ? strstr(text, zfs) : NULL;
    if (name && (name == text || name[-1] == '\n'))
        snapshot_put_line(recorder, place, "uevent", zfs);
    free(text);
}

static void snapshot_copy_label(struct recorder *recorder, const char *place) {
    char *label = tree_attribute(&recorder->from, place, "dm/name");
    char *hidden = label ? anonymize_words(recorder->standins, label) : NULL;
    if (hidden)
        snapshot_put_line(recorder, place, "dm/name", hidden);
    free(hidden);
    free(label);
}

static void snapshot_copy_block(struct recorder *recorder, const char *place, const char *name) {
    (void)name;
    snapshot_put_directory(recorder, place);
    snapshot_copy_attribute(recorder, place, "dev");
    snapshot_copy_partition_name(recorder, place);
    snapshot_copy_label(recorder, place);
    snapshot_copy_link(recorder, place, "device");
    snapshot_copy_links_below(recorder, place, "holders");
    snapshot_copy_links_below(recorder, place, "slaves");
    snapshot_copy_link(recorder, place, "bcache");
    snapshot_copy_subsystem(recorder, place);
}

static void snapshot_copy_disk(struct recorder *recorder, const char *place, const char *name) {
    struct names files = tree_list(&recorder->from, place);
    snapshot_copy_block(recorder, place, name);
    for (size_t i = 0; i < files.count; i++) {
        char *path = snapshot_join(place, files.items[i]);
        if (text_starts_with(files.items[i], name) && snapshot_is_directory(recorder, path))
            snapshot_copy_block(recorder, path, files.items[i]);
        free(path);
    }
    tree_finish_names(&files);
}

/* The kernel writes "cciss/c0d0" as "cciss!c0d0". */
static char *snapshot_device_name(const struct recorder *recorder, const struct node *block) {
    char *name = anonymize_name(recorder->standins, block->name);
    for (char *at = name; (at = strchr(at, '!'));)
        *at = '/';
    return name;
}

static void snapshot_copy_bcache(struct recorder *recorder) {
    static const char class[] = "sys/fs/bcache";
    struct names names = tree_list(&recorder->from, class);
    for (size_t i = 0; i < names.count; i++) {
        char *set = snapshot_join(class, names.items[i]);
        struct names files = tree_list(&recorder->from, set);
        for (size_t j = 0; j < files.count; j++)
            if (text_starts_with(files.items[j], "cache") ||
                text_starts_with(files.items[j], "bdev"))
                snapshot_copy_link(recorder, set, files.items[j]);
        tree_finish_names(&files);
        free(set);
    }
    tree_finish_names(&names);
}

/* Of a loop device's file, or what zram writes to, only a block device that it is. */
static void snapshot_copy_loops(struct recorder *recorder) {
    const struct node_list *blocks = &recorder->host->block.nodes;
    for (size_t i = 0; i < blocks->count; i++) {
        const struct node *block = blocks->items[i];
        char *place = snapshot_join("sys/class/block", block->name);
        bool is_loop = text_starts_with(block->name, "loop");
        const char *attribute = is_loop ? "loop/backing_file" : "backing_dev";
        char *file = is_loop || text_starts_with(block->name, "zram")
                         ? tree_attribute(&recorder->from, place, attribute)
                         : NULL;
        const struct node *lower = file ? snapshot_find_block(recorder, file) : NULL;
        char *resolved = lower ? tree_resolve(&recorder->from, place) : NULL;
        if (resolved) {
            char *hidden = snapshot_device_name(recorder, lower);
            char *path = memory_printf("/dev/%s", hidden);
            snapshot_put_line(recorder, resolved, attribute, path);
            free(path);
            free(hidden);
        }
        free(resolved);
        free(file);
        free(place);
    }
}

/* --- file systems */

static void snapshot_copy_btrfs(struct recorder *recorder) {
    static const char class[] = "sys/fs/btrfs";
    struct names names = tree_list(&recorder->from, class);
    for (size_t i = 0; i < names.count; i++) {
        char *system = snapshot_join(class, names.items[i]);
        snapshot_copy_links_below(recorder, system, "devices");
        free(system);
    }
    tree_finish_names(&names);
}

static void snapshot_copy_file_systems(struct recorder *recorder, const char *class) {
    struct names names = tree_list(&recorder->from, class);
    for (size_t i = 0; i < names.count; i++) {
        char *path = snapshot_join(class, names.items[i]);
        if (graph_find(&recorder->host->block, names.items[i]))
            snapshot_put_directory(recorder, path);
        free(path);
    }
    tree_finish_names(&names);
}

static void snapshot_copy_pools(struct recorder *recorder) {
    static const char pools[] = "proc/spl/kstat/zfs";
    struct names names = tree_list(&recorder->from, pools);
    if (tree_has(&recorder->from, "sys/module/zfs"))
        snapshot_put_directory(recorder, "sys/module/zfs");
    if (snapshot_is_directory(recorder, pools))
        snapshot_put_directory(recorder, pools);
    for (size_t i = 0; i < names.count; i++) {
        char *hidden = anonymize_words(recorder->standins, names.items[i]);
        char *from = snapshot_join(pools, names.items[i]), *to = snapshot_join(pools, hidden);
        if (snapshot_is_directory(recorder, from))
            snapshot_put_directory(recorder, to);
        free(to);
        free(from);
        free(hidden);
    }
    tree_finish_names(&names);
}

/* Of udev's record of a disk only whether it is of a ZFS pool, and of which. */
static void snapshot_copy_udev(struct recorder *recorder, const struct node *block) {
    static const char type[] = "E:ID_FS_TYPE=", label[] = "E:ID_FS_LABEL=";
    char *path = memory_printf("run/udev/data/b%s", block->number);
    char *text = snapshot_read_text(recorder, path), *rest = text, *kept = memory_strdup("");
    for (char *line; rest && (line = text_next_line(&rest));) {
        bool is_label = text_starts_with(line, label);
        if (!is_label && !text_starts_with(line, type))
            continue;
        char *hidden = is_label ? anonymize_words(recorder->standins, line + strlen(label)) : NULL;
        char *longer =
            memory_printf("%s%s%s\n", kept, is_label ? label : line, is_label ? hidden : "");
        free(hidden);
        free(kept);
        kept = longer;
    }
    if (strstr(kept, "=zfs_member\n"))
        snapshot_put_text(recorder, path, kept);
    else if (text_starts_with(kept, type) || strstr(kept, "\nE:ID_FS_TYPE="))
        snapshot_put_text(recorder, path, "E:ID_FS_TYPE=other\n");
    free(kept);
    free(text);
    free(path);
}

/* --- mounts and swaps */

static char *snapshot_escape(const char *text) {
    char *escaped = memory_zalloc(4 * strlen(text) + 1), *end = escaped;
    for (; *text; text++)
        if (strchr(" \t\n\\#", *text))
            end += sprintf(end, "\\%03o", (unsigned char)*text);
        else
            *end++ = *text;
    return escaped;
}

static char *snapshot_hide_point(const struct recorder *recorder, const char *point) {
    char *plain = memory_strdup(point);
    mounts_unescape(plain);
    char *hidden = anonymize_words(recorder->standins, plain);
    char *escaped = snapshot_escape(hidden);
    free(hidden);
    free(plain);
    return escaped;
}

/* The block devices of a source, "/dev/sda1:/dev/sdb1", or a pool's name; NULL: neither. */
static char *snapshot_hide_source(const struct recorder *recorder, const char *source,
                                  const char *type) {
    char *plain = memory_strdup(source), *rest = plain, *hidden = NULL;
    mounts_unescape(plain);
    if (!strcmp(type, "zfs")) {
        plain[strcspn(plain, "/")] = '\0';
        hidden = anonymize_words(recorder->standins, plain);
        rest = NULL;
    }
    for (const char *path; rest && (path = strsep(&rest, ":"));) {
        const struct node *block = snapshot_find_block(recorder, path);
        char *name = block ? snapshot_device_name(recorder, block) : NULL;
        char *longer =
            name ? memory_printf("%s%s/dev/%s", hidden ? hidden : "", hidden ? ":" : "", name)
                 : hidden;
        if (name)
            free(hidden);
        free(name);
        hidden = longer;
    }
    free(plain);
    return hidden;
}

/* What is on none of the host's block devices stays out. */
static void snapshot_put_mount(const struct recorder *recorder, FILE *out,
                               const struct mount *mount, unsigned number) {
    char *source = snapshot_hide_source(recorder, mount->source, mount->type);
    char *point = snapshot_hide_point(recorder, mount->point);
    bool is_known = mount->number && !text_starts_with(mount->number, "0:") &&
                    block_path_find_number(&recorder->host->block, &recorder->from, mount->number);
    if ((source || is_known) && mount->number)
        fprintf(out, "%u 1 %s %s %s rw - %s %s rw\n", number, mount->number,
                strcmp(mount->root, "/") != 0 ? "/x" : "/", point, mount->type,
                source ? source : "none");
    else if (source)
        fprintf(out, "%s %s %s rw 0 0\n", source, point, mount->type);
    free(point);
    free(source);
}

static bool snapshot_copy_mounts(struct recorder *recorder, const char *from, const char *to,
                                 bool (*split)(char *, struct mount *)) {
    char *text = snapshot_read_text(recorder, from), *rest = text, *kept = NULL;
    size_t size = 0;
    unsigned number = 20;
    FILE *out = memory_stream(&kept, &size);
    for (char *line; rest && (line = text_next_line(&rest));) {
        struct mount mount;
        if (split(line, &mount))
            snapshot_put_mount(recorder, out, &mount, number++);
    }
    memory_stream_close(out, &kept);
    if (text)
        snapshot_put_text(recorder, to, kept);
    free(kept);
    free(text);
    return text;
}

static char *snapshot_read_namespace(const struct recorder *recorder, const char *process) {
    char *directory = snapshot_join("proc", process);
    errno = 0;
    char *name = tree_link_name(&recorder->from, directory, "ns/mnt");
    if (!name)
        snapshot_count_failure(recorder, errno);
    free(directory);
    return name;
}

static void snapshot_copy_namespace(struct recorder *recorder, const char *process,
                                    const char *name) {
    char *info = memory_printf("proc/%s/mountinfo", process);
    char *link = memory_printf("proc/%s/ns/mnt", process);
    snapshot_copy_mounts(recorder, info, info, mounts_split_mountinfo);
    snapshot_put_raw_link(recorder, link, name);
    free(link);
    free(info);
}

static bool snapshot_contains(const struct names *names, const char *name) {
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->items[i], name))
            return true;
    return false;
}

static void snapshot_add_name(struct names *names, char *name) {
    names->items = memory_grow(names->items, names->count, sizeof *names->items);
    names->items[names->count++] = name;
}

/* One process for each mount namespace, the first that is read. */
static void snapshot_copy_namespaces(struct recorder *recorder, struct names *seen) {
    struct names processes = tree_list(&recorder->from, "proc");
    for (size_t i = 0; i < processes.count; i++) {
        uint32_t id;
        char *name = text_parse_decimal(processes.items[i], UINT32_MAX, &id)
                         ? snapshot_read_namespace(recorder, processes.items[i])
                         : NULL;
        if (!name || snapshot_contains(seen, name)) {
            free(name);
            continue;
        }
        snapshot_copy_namespace(recorder, processes.items[i], name);
        snapshot_add_name(seen, name);
    }
    tree_finish_names(&processes);
}

static void snapshot_copy_all_mounts(struct recorder *recorder) {
    struct names seen = {0};
    char *own = snapshot_read_namespace(recorder, "self");
    bool has_info = snapshot_copy_mounts(recorder, "proc/self/mountinfo", "proc/self/mountinfo",
                                         mounts_split_mountinfo);
    if (own) {
        snapshot_put_raw_link(recorder, "proc/self/ns/mnt", own);
        snapshot_add_name(&seen, own);
    } else {
        snapshot_copy_mounts(recorder, "proc/1/mountinfo", "proc/1/mountinfo",
                             mounts_split_mountinfo);
    }
    if (!has_info || !own)
        snapshot_copy_mounts(recorder, "proc/mounts", "proc/mounts", mounts_split_mounts);
    snapshot_copy_namespaces(recorder, &seen);
    tree_finish_names(&seen);
}

/* A file of lines, of which `write` keeps what it may; nothing when the source has no such file. */
static void snapshot_copy_lines(struct recorder *recorder, const char *path, line_writer *write,
                                void (*add)(struct recorder *recorder, FILE *out)) {
    char *text = snapshot_read_text(recorder, path), *rest = text, *kept = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&kept, &size);
    for (char *line; rest && (line = text_next_line(&rest));)
        write(recorder, out, line);
    if (add)
        add(recorder, out);
    memory_stream_close(out, &kept);
    if (text || size)
        snapshot_put_text(recorder, path, kept);
    free(kept);
    free(text);
}

static void snapshot_write_swap(struct recorder *recorder, FILE *out, char *line) {
    const char *path = text_next_field(&line);
    char *source = path ? snapshot_hide_source(recorder, path, "swap") : NULL;
    char *file = path && !source && *path == '/' ? snapshot_hide_point(recorder, path) : NULL;
    if (source || file)
        fprintf(out, "%s %s 0 0 -2\n", source ? source : file, source ? "partition" : "file");
    free(file);
    free(source);
}

/* A file of texts with paths of disks, of which nothing else is kept. */
static void snapshot_copy_sources(struct recorder *recorder, const char *path,
                                  const char *separators, const char *before) {
    size_t size = 0;
    char *bytes = tree_load(&recorder->from, path, SOURCES_LIMIT, &size), *kept = memory_strdup("");
    for (size_t i = 0; i < size; i++)
        if (strchr(separators, bytes[i]))
            bytes[i] = '\0';
    for (size_t i = 0, length = 0; i < size; i += length + 1) {
        length = strlen(bytes + i);
        const char *source = strstr(bytes + i, "/dev/");
        const struct node *block = source ? snapshot_find_block(recorder, source) : NULL;
        char *name = block ? snapshot_device_name(recorder, block) : NULL;
        char *longer = name ? memory_printf("%s%s/dev/%s\n", kept, before, name) : NULL;
        if (longer) {
            free(kept);
            kept = longer;
        }
        free(name);
    }
    if (bytes)
        snapshot_put_text(recorder, path, kept);
    free(kept);
    free(bytes);
}

static void snapshot_copy_drbd(struct recorder *recorder) {
    static const char directory[] = "etc/drbd.d";
    bool has_drbd = false;
    const struct node_list *blocks = &recorder->host->block.nodes;
    for (size_t i = 0; i < blocks->count; i++)
        has_drbd |= text_starts_with(blocks->items[i]->name, "drbd");
    struct names names = has_drbd ? tree_list(&recorder->from, directory) : (struct names){0};
    if (has_drbd)
        snapshot_copy_sources(recorder, "etc/drbd.conf", " \t\n;", "disk ");
    for (size_t i = 0; i < names.count; i++) {
        char *path = snapshot_join(directory, names.items[i]);
        snapshot_copy_sources(recorder, path, " \t\n;", "disk ");
        free(path);
    }
    tree_finish_names(&names);
}

/* "md0 : active raid1 sda1[0] sdb1[1](F)", or a line of Unraid's */
static void snapshot_write_array(struct recorder *recorder, FILE *out, char *line) {
    if (text_starts_with(line, "rdevName.") || text_starts_with(line, "diskName.") ||
        text_starts_with(line, "mdState="))
        fprintf(out, "%s\n", line);
    const char *name = text_next_field(&line), *field = name ? text_next_field(&line) : NULL;
    if (!field || strcmp(field, ":") != 0 || !text_starts_with(name, "md"))
        return;
    char *hidden = anonymize_name(recorder->standins, name);
    fprintf(out, "%s :", hidden);
    free(hidden);
    while ((field = text_next_field(&line))) {
        char *member = anonymize_name(recorder->standins, field);
        fprintf(out, " %s", member);
        free(member);
    }
    putc('\n', out);
}

/* --- network */

static void snapshot_copy_interface_names(struct recorder *recorder, const char *place) {
    char *text = snapshot_read_attribute(recorder, place, "bonding/slaves");
    char *hidden = text ? anonymize_name(recorder->standins, text) : NULL;
    if (hidden)
        snapshot_put_line(recorder, place, "bonding/slaves", hidden);
    free(hidden);
    free(text);
}

static void snapshot_copy_kind(struct recorder *recorder, const char *place) {
    static const char *const kinds[] = {"bridge", "bonding"};
    char *text = snapshot_read_attribute(recorder, place, "uevent");
    char *type = text ? strstr(text, "DEVTYPE=") : NULL;
    if (type) {
        type[strcspn(type, "\n")] = '\0';
        snapshot_put_line(recorder, place, "uevent", type);
    }
    free(text);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *path = snapshot_join(place, kinds[i]);
        if (tree_has(&recorder->from, path))
            snapshot_put_directory(recorder, path);
        free(path);
    }
}

static void snapshot_copy_nic(struct recorder *recorder, const char *place, const char *name) {
    static const char *const attributes[] = {"flags", "operstate", "ifindex", NULL};
    struct names files = tree_list(&recorder->from, place);
    (void)name;
    snapshot_copy_attributes(recorder, place, attributes);
    snapshot_copy_kind(recorder, place);
    snapshot_copy_interface_names(recorder, place);
    snapshot_copy_link(recorder, place, "device");
    snapshot_copy_link(recorder, place, "master");
    snapshot_copy_links_below(recorder, place, "brif");
    for (size_t i = 0; i < files.count; i++)
        if (text_starts_with(files.items[i], "upper_") ||
            text_starts_with(files.items[i], "lower_"))
            snapshot_copy_link(recorder, place, files.items[i]);
    tree_finish_names(&files);
}

/* Documentation's own addresses (RFC 5737, RFC 3849) stand for the host's. */
static const char *snapshot_network_of(uint32_t address) {
    address = ntohl(address);
    return address == 0 ? "0.0.0.0" : address >> 16 == 0xA9FE ? "169.254.0.0" : "192.0.2.0";
}

static void snapshot_put_route(const struct recorder *recorder, FILE *out, const char *name,
                               uint32_t destination, uint32_t flags, uint32_t mask) {
    char *hidden = anonymize_name(recorder->standins, name);
    fprintf(out, "%s\t%08X\t00000000\t%04X\t0\t0\t0\t%08X\t0\t0\t0\n", hidden,
            (unsigned)inet_addr(snapshot_network_of(destination)), flags, mask);
    free(hidden);
}

static size_t snapshot_split(char *line, char **fields, size_t most) {
    size_t count = 0;
    while (count < most && (fields[count] = text_next_field(&line)))
        count++;
    return count;
}

static void snapshot_write_route(struct recorder *recorder, FILE *out, char *line) {
    char *fields[8];
    uint32_t destination = 0, flags = 0, mask = 0;
    size_t count = snapshot_split(line, fields, 8);
    if (count < 4 || !text_parse_hex(fields[1], UINT32_MAX, &destination) ||
        !text_parse_hex(fields[3], UINT32_MAX, &flags))
        return;
    if (count == 8)
        text_parse_hex(fields[7], UINT32_MAX, &mask);
    snapshot_put_route(recorder, out, fields[0], destination, flags, mask);
}

/* A route of another table than the main one. */
struct other_route {
    struct recorder *recorder;
    FILE *out;
};

static void snapshot_add_route(void *context, const char *interface, bool is_default) {
    const struct other_route *other = context;
    snapshot_put_route(other->recorder, other->out, interface,
                       is_default ? 0 : inet_addr("192.0.2.0"), RTF_UP,
                       is_default ? 0 : UINT32_MAX);
}

/* The running kernel tells its IPv4 addresses and what other tables have otherwise; in a tree a
 * route stands for each. */
static void snapshot_add_addresses(struct recorder *recorder, FILE *out) {
    struct ifaddrs *all = NULL;
    struct other_route other = {recorder, out};
    if (!*recorder->from.root)
        routes_each(snapshot_add_route, &other);
    if (*recorder->from.root || getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        struct sockaddr_in address;
        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET)
            continue;
        memcpy(&address, one->ifa_addr, sizeof address);
        snapshot_put_route(recorder, out, one->ifa_name, address.sin_addr.s_addr, RTF_UP,
                           UINT32_MAX);
    }
    freeifaddrs(all);
}

static bool snapshot_is_zero(const char *digits) {
    return digits[strspn(digits, "0")] == '\0';
}

/* Only default routes count. */
static void snapshot_write_route6(struct recorder *recorder, FILE *out, char *line) {
    char *fields[10];
    if (snapshot_split(line, fields, 10) < 10 || !snapshot_is_zero(fields[0]) ||
        !snapshot_is_zero(fields[1]))
        return;
    char *hidden = anonymize_name(recorder->standins, fields[9]);
    fprintf(out, "%032d 00 %032d 00 %032d 00000000 00000000 00000000 %s %s\n", 0, 0, 0, fields[8],
            hidden);
    free(hidden);
}

static void snapshot_write_pppoe(struct recorder *recorder, FILE *out, char *line) {
    char *fields[3];
    if (snapshot_split(line, fields, 3) < 3)
        return;
    char *hidden = anonymize_name(recorder->standins, fields[2]);
    fprintf(out, "00000000 00:00:00:00:00:00 %s\n", hidden);
    free(hidden);
}

static void snapshot_write_packet(struct recorder *recorder, FILE *out, char *line) {
    char *fields[5];
    (void)recorder;
    if (snapshot_split(line, fields, 5) == 5)
        fprintf(out, "0 0 0 %s %s\n", fields[3], fields[4]);
}

static void snapshot_write_neighbour(struct recorder *recorder, FILE *out, char *line) {
    char *fields[6];
    if (snapshot_split(line, fields, 6) < 6)
        return;
    char *hidden = anonymize_name(recorder->standins, fields[5]);
    fprintf(out, "192.0.2.1 0x1 %s 00:00:00:00:00:00 * %s\n", fields[2], hidden);
    free(hidden);
}

/* One process for each network namespace but the own. */
static void snapshot_copy_network_namespaces(struct recorder *recorder) {
    char *own = tree_link_name(&recorder->from, "proc/self", "ns/net");
    struct names processes = tree_list(&recorder->from, "proc"), seen = {0};
    if (own)
        snapshot_put_raw_link(recorder, "proc/self/ns/net", own);
    for (size_t i = 0; i < processes.count; i++) {
        uint32_t id;
        char *home = snapshot_join("proc", processes.items[i]);
        char *name = text_parse_decimal(processes.items[i], UINT32_MAX, &id)
                         ? tree_link_name(&recorder->from, home, "ns/net")
                         : NULL;
        if (name && (!own || strcmp(name, own) != 0) && !snapshot_contains(&seen, name)) {
            char *link = snapshot_join(home, "ns/net");
            snapshot_put_raw_link(recorder, link, name);
            snapshot_add_name(&seen, memory_strdup(name));
            free(link);
        }
        free(name);
        free(home);
    }
    tree_finish_names(&seen);
    tree_finish_names(&processes);
    free(own);
}

static void snapshot_write_address6(struct recorder *recorder, FILE *out, char *line) {
    char *fields[6];
    if (snapshot_split(line, fields, 6) < 6)
        return;
    char *hidden = anonymize_name(recorder->standins, fields[5]);
    fprintf(out, "20010db8%024d 00 40 %s 00 %s\n", 0, fields[3], hidden);
    free(hidden);
}

/* --- running VMs */

static char *snapshot_domain_block_name(void *context, const char *path) {
    const struct recorder *recorder = context;
    const struct node *block = snapshot_find_block(recorder, path);
    return block ? snapshot_device_name(recorder, block) : NULL;
}

static void snapshot_put_domain_entry(void *context, const char *class, const char *name) {
    struct recorder *recorder = context;
    char *place = snapshot_copy_entry(recorder, class, name);
    if (place)
        snapshot_copy_link(recorder, place, "device");
    free(place);
}

static void snapshot_put_domain_text(void *context, const char *path, const char *text) {
    snapshot_put_text(context, path, text);
}

static void snapshot_miss_domain(void *context) {
    const struct recorder *recorder = context;
    recorder->record->skipped++;
}

/* Where a mediated device is tells its path. */
static void snapshot_copy_nothing(struct recorder *recorder, const char *place, const char *name) {
    (void)recorder, (void)place, (void)name;
}

static void snapshot_copy_domains(struct recorder *recorder) {
    const struct domain_recorder domains = {.context = recorder,
                                            .from = &recorder->from,
                                            .standins = recorder->standins,
                                            .block_name = snapshot_domain_block_name,
                                            .put_entry = snapshot_put_domain_entry,
                                            .put_text = snapshot_put_domain_text,
                                            .miss = snapshot_miss_domain};
    snapshot_domains_record(&domains);
    if (tree_has(&recorder->from, "dev")) /* what is not found there is gone */
        snapshot_put_directory(recorder, "dev");
    snapshot_copy_class(recorder, "sys/bus/mdev/devices", snapshot_copy_nothing);
}

/* --- the whole */

static void snapshot_copy_names(struct recorder *recorder, const struct host *host) {
    struct names_list *names = names_create(&recorder->from, host);
    char *text = names_list(names);
    if (*text) /* else the reader's own list will do */
        snapshot_put_text(recorder, "usr/share/misc/pci.ids", text);
    free(text);
    names_destroy(names);
}

/* "6.1.0" of "6.1.0-18-amd64": what somebody added may name them. */
static void snapshot_copy_release(struct recorder *recorder) {
    static const char path[] = "proc/sys/kernel/osrelease";
    char *text = snapshot_read_text(recorder, path);
    if (text) {
        text[strspn(text, "0123456789.")] = '\0';
        snapshot_put_line(recorder, "proc/sys/kernel", "osrelease", text);
    }
    free(text);
}

static void snapshot_copy_disks(struct recorder *recorder) {
    snapshot_copy_class(recorder, "sys/class/block", snapshot_copy_disk);
    snapshot_copy_class(recorder, "sys/block", snapshot_copy_disk);
    snapshot_copy_class(recorder, "sys/class/nvme-subsystem", snapshot_copy_controllers);
    snapshot_copy_links(recorder, "sys/dev/block");
    snapshot_copy_loops(recorder);
    snapshot_copy_lines(recorder, "proc/mdstat", snapshot_write_array, NULL);
    snapshot_copy_bcache(recorder);
    snapshot_copy_btrfs(recorder);
    snapshot_copy_file_systems(recorder, "sys/fs/ext4");
    snapshot_copy_file_systems(recorder, "sys/fs/xfs");
    snapshot_copy_file_systems(recorder, "sys/fs/f2fs");
    snapshot_copy_pools(recorder);
    snapshot_copy_all_mounts(recorder);
    if (mounts_has_no_swap(&recorder->from))
        snapshot_put_text(recorder, "proc/swaps", "");
    else
        snapshot_copy_lines(recorder, "proc/swaps", snapshot_write_swap, NULL);
    snapshot_copy_sources(recorder, "etc/zfs/zpool.cache", "", "");
    snapshot_copy_sources(recorder, "data/zfs/zpool.cache", "", "");
    snapshot_copy_drbd(recorder);
    const struct node_list *blocks = &recorder->host->block.nodes;
    for (size_t i = 0; i < blocks->count; i++)
        if (blocks->items[i]->number)
            snapshot_copy_udev(recorder, blocks->items[i]);
}

static void snapshot_copy_network(struct recorder *recorder) {
    snapshot_copy_class(recorder, "sys/class/net", snapshot_copy_nic);
    snapshot_copy_lines(recorder, "proc/net/route", snapshot_write_route, snapshot_add_addresses);
    snapshot_copy_lines(recorder, "proc/net/ipv6_route", snapshot_write_route6, NULL);
    snapshot_copy_lines(recorder, "proc/net/if_inet6", snapshot_write_address6, NULL);
    snapshot_copy_lines(recorder, "proc/net/arp", snapshot_write_neighbour, NULL);
    snapshot_copy_lines(recorder, "proc/net/pppoe", snapshot_write_pppoe, NULL);
    snapshot_copy_lines(recorder, "proc/net/packet", snapshot_write_packet, NULL);
    snapshot_copy_network_namespaces(recorder);
}

static void snapshot_copy_host(struct recorder *recorder, const struct host *host) {
    snapshot_copy_class(recorder, "sys/bus/pci/devices", snapshot_copy_pci);
    snapshot_copy_class(recorder, "sys/bus/usb/devices", snapshot_copy_usb);
    snapshot_copy_groups(recorder);
    snapshot_copy_attribute(recorder, "sys/module/vfio_pci/parameters", "disable_denylist");
    snapshot_copy_disks(recorder);
    snapshot_copy_network(recorder);
    snapshot_copy_open_files(recorder);
    snapshot_copy_console(recorder);
    snapshot_copy_domains(recorder);
    snapshot_copy_release(recorder);
    snapshot_copy_names(recorder, host);
    snapshot_put_faults(recorder);
}

/* The directory, new or empty; -1 with a message. */
static int snapshot_open_empty(const char *path, struct failure *failure) {
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        return failure_set(failure, "%s cannot be created: %s", path, strerror(errno));
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct tree here = {.root = "", .fd = AT_FDCWD};
    struct names names = tree_list(&here, path);
    if (fd < 0) {
        failure_set(failure, "%s cannot be opened: %s", path, strerror(errno));
    } else if (names.count) {
        failure_set(failure, "%s is not empty", path);
        failure_hint(failure, "name an empty directory, or one that does not exist yet");
        close(fd);
        fd = -1;
    }
    tree_finish_names(&names);
    return fd;
}

static void snapshot_finish(struct recorder *recorder) {
    free(recorder->where);
    anonymize_destroy(recorder->standins);
    tree_close(&recorder->from);
    close(recorder->to);
}

int snapshot_record(struct record *record, const char *root, const char *directory,
                    struct failure *failure) {
    const struct host_source source = source_sysfs(root);
    struct host host;
    struct faults faults = {0}; /* those of the host's own reading are recorded */
    *record = (struct record){0};
    if (source.load(&source, &host, failure) < 0)
        return -1;
    struct recorder recorder = {
        .to = snapshot_open_empty(directory, failure), .record = record, .host = &host};
    int status = recorder.to < 0 ? -1 : 0;
    if (status == 0 && !tree_open(&recorder.from, host.root)) {
        failure_set(failure, "cannot read the devices below %s: %s", host.root, strerror(errno));
        close(recorder.to);
        status = -1;
    }
    if (status < 0) {
        host_finish(&host);
        return -1;
    }
    recorder.from.faults = &faults;
    recorder.standins = anonymize_create();
    snapshot_copy_host(&recorder, &host);
    if (recorder.error) {
        status = failure_set(failure, "%s/%s cannot be written: %s", directory, recorder.where,
                             strerror(recorder.error));
    }
    snapshot_finish(&recorder);
    tree_finish_faults(&faults);
    host_finish(&host);
    return status;
}
