/* The device files that processes have open (/proc/PID/fd), and the devices that are behind them.
 */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/host/open_files.h"
#include "engine/host/usage.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#define LIBVIRT "run/libvirt/qemu"

enum { PROCESSES_NAMED = 3, STATUS_FILE_LIMIT = 1024 * 1024 };

/* A device file, and where it is. */
struct file {
    char *name;   /* below /dev: "dri/card1" */
    char *number; /* "226:1"; NULL in a tree of files, which has the name only */
    bool is_block;
    struct node *node; /* its devices */
    bool is_harmless;  /* a device may go while this file is open */
};

struct files {
    struct usage *uses;
    const struct tree *tree;
    struct graph graph; /* owns the nodes of `list` */
    struct file *list;
    size_t count;
    struct names classes; /* of sys/class, in a tree of files */
    struct names vms;     /* the processes of libvirt's VMs */
    bool knows_vms;
    files_visitor *visit;
    void *context;
};

static bool open_files_starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static const char *open_files_last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- Which devices a file is of ---- */

static void open_files_place_if(struct files *files, struct node *node,
                                bool (*is_wanted)(const struct device *device, const char *word),
                                const char *word) {
    for (size_t i = 0; i < files->uses->host->count; i++) {
        const struct device *device = &files->uses->host->devices[i];
        if (is_wanted(device, word))
            usage_place(files->uses, node, device->address);
    }
}

static bool open_files_has_driver(const struct device *device, const char *driver) {
    return device->driver && strcmp(device->driver, driver) == 0;
}

static bool open_files_is_in_group(const struct device *device, const char *group) {
    uint32_t number = 0;
    return device->bus == BUS_PCI && text_parse_decimal(group, INT32_MAX, &number) &&
           device->iommu_group == (int)number;
}

/* "BUS/DEVICE", with zeros in front. */
static bool open_files_has_usb_number(const struct device *device, const char *numbers) {
    char *end = NULL;
    unsigned long bus = strtoul(numbers, &end, 10);
    return device->bus == BUS_USB && *end == '/' && device->bus_number == bus &&
           device->device_number == strtoul(end + 1, NULL, 10);
}

static void open_files_place_at_path(struct files *files, struct node *node, const char *link) {
    char *path = tree_resolve(files->tree, link);
    if (path)
        usage_place(files->uses, node, path);
    free(path);
}

static void open_files_place_usb(struct files *files, struct node *node, const char *numbers) {
    for (size_t i = 0; i < files->uses->host->count; i++) {
        const struct device *device = &files->uses->host->devices[i];
        if (!open_files_has_usb_number(device, numbers))
            continue;
        char *link = memory_printf("sys/bus/usb/devices/%s", device->address);
        open_files_place_at_path(files, node, link);
        free(link);
    }
}

/* NVIDIA's own driver makes no entries in sysfs; it tells in procfs which card is which. */
static void open_files_place_nvidia(struct files *files, struct node *node, const char *number) {
    static const char gpus[] = "proc/driver/nvidia/gpus", key[] = "Device Minor:";
    struct names names = tree_list(files->tree, gpus);

    for (size_t i = 0; i < names.count; i++) {
        char *path = memory_printf("%s/%s/information", gpus, names.items[i]);
        char *text = tree_read(files->tree, path);
        const char *minor_number = text ? strstr(text, key) : NULL;
        if (minor_number &&
            strtoul(minor_number + strlen(key), NULL, 10) == strtoul(number, NULL, 10))
            usage_place(files->uses, node, names.items[i]);
        free(text);
        free(path);
    }
    tree_finish_names(&names);
    if (!node->device_count)
        open_files_place_if(files, node, open_files_has_driver, "nvidia");
}

/* The directory below /dev that a class has its files in tells two of one name apart. */
static bool open_files_may_be_of(const char *class, const char *name) {
    if (open_files_starts_with(name, "dri/"))
        return strcmp(class, "drm") == 0;
    if (open_files_starts_with(name, "snd/"))
        return strcmp(class, "sound") == 0;
    return true;
}

static void open_files_place_by_class(struct files *files, struct node *node, const char *name) {
    for (size_t i = 0; i < files->classes.count; i++) {
        const char *class = files->classes.items[i];
        if (!open_files_may_be_of(class, name))
            continue;
        char *link = memory_printf("sys/class/%s/%s", class, open_files_last_part(name));
        char *device = memory_printf("%s/device", link);
        if (tree_has(files->tree, link))
            open_files_place_at_path(files, node, link);
        if (!node->device_count && tree_has(files->tree, device))
            open_files_place_at_path(files, node, device);
        free(device);
        free(link);
    }
}

static void open_files_place_block(struct files *files, struct node *node,
                                   const struct file *file) {
    char *path = memory_printf("/dev/%s", file->name);
    const struct host *host = files->uses->host;
    const struct host_node *block =
        host_node_find(host, "block", file->number ? file->number : path);

    for (size_t i = 0; block && i < block->device_count; i++)
        usage_place(files->uses, node, host->devices[block->devices[i]].address);
    free(path);
}

static bool open_files_is_numbered(const char *name, const char *start) {
    return open_files_starts_with(name, start) && isdigit((unsigned char)name[strlen(start)]);
}

static void open_files_place_file(struct files *files, const struct file *file) {
    const char *name = file->name;
    struct node *node = file->node;

    if (open_files_is_numbered(name, "vfio/"))
        open_files_place_if(files, node, open_files_is_in_group, name + strlen("vfio/"));
    else if (open_files_starts_with(name, "vfio/noiommu-"))
        open_files_place_if(files, node, open_files_is_in_group, name + strlen("vfio/noiommu-"));
    else if (open_files_starts_with(name, "bus/usb/"))
        open_files_place_usb(files, node, name + strlen("bus/usb/"));
    else if (open_files_is_numbered(name, "nvidia"))
        open_files_place_nvidia(files, node, name + strlen("nvidia"));
    else if (strcmp(name, "kfd") == 0)
        open_files_place_if(files, node, open_files_has_driver, "amdgpu");
    else if (file->number && !file->is_block) {
        char *link = memory_printf("sys/dev/char/%s", file->number);
        if (tree_has(files->tree, link))
            open_files_place_at_path(files, node, link);
        free(link);
    } else {
        open_files_place_block(files, node, file);
        if (!node->device_count)
            open_files_place_by_class(files, node, name);
    }
}

/*
 * A keyboard, mouse or joystick goes as if it were unplugged, and a desktop has all of them open,
 * as it has the mixer of each sound card. A sound card that plays is another thing.
 */
static bool open_files_is_harmless(const char *name) {
    const char *last = open_files_last_part(name);
    return open_files_starts_with(name, "input/") || open_files_is_numbered(last, "controlC") ||
           strcmp(name, "snd/seq") == 0 || strcmp(name, "snd/timer") == 0;
}

static struct file *open_files_get_file(struct files *files, const char *name, const char *number,
                                        bool is_block) {
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->list[i].name, name) == 0 &&
            (!number || strcmp(files->list[i].number, number) == 0))
            return &files->list[i];
    char *key = memory_printf("%s %s", name, number ? number : "");
    files->list = memory_grow(files->list, files->count, sizeof *files->list);
    struct file *file = &files->list[files->count++];
    *file = (struct file){.name = memory_strdup(name),
                          .number = number ? memory_strdup(number) : NULL,
                          .is_block = is_block,
                          .node = graph_get(&files->graph, key),
                          .is_harmless = open_files_is_harmless(name)};
    open_files_place_file(files, file);
    free(key);
    return file;
}

/* ---- Who has it open ---- */

/* What every process has, and what is of no device. */
static bool open_files_is_of_no_device(const char *name) {
    static const char *const names[] = {"null", "zero",    "full", "random", "urandom", "tty",
                                        "ptmx", "console", "kmsg", "fuse",   "kvm",     "net/tun"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return open_files_starts_with(name, "pts/") || open_files_starts_with(name, "shm/") ||
           strcmp(name, "vfio/vfio") == 0;
}

/* udev and mdev look at each new device for a moment, and multipathd watches every disk. */
static bool open_files_is_observer(const char *program) {
    static const char *const names[] = {"systemd-udevd", "(udev-worker)", "udevd",
                                        "udevadm",       "mdev",          "multipathd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(program, names[i]) == 0)
            return true;
    return false;
}

static void open_files_note_vm(struct files *files, const char *digits) {
    size_t length = strspn(digits, "0123456789");
    files->vms.items = memory_grow(files->vms.items, files->vms.count, sizeof *files->vms.items);
    files->vms.items[files->vms.count++] = memory_strndup(digits, length);
}

/* libvirt keeps NAME.pid and NAME.xml, `<domstatus state='running' ... pid='4242'>`, of each. */
static void open_files_read_vms(struct files *files) {
    static const char key[] = " pid='";
    struct names names = tree_list(files->tree, LIBVIRT);

    files->knows_vms = tree_has(files->tree, LIBVIRT);
    for (size_t i = 0; i < names.count; i++) {
        char *path = memory_printf(LIBVIRT "/%s", names.items[i]);
        size_t size = 0, length = strlen(path);
        bool is_pid = length > 4 && strcmp(path + length - 4, ".pid") == 0;
        char *text = tree_load(files->tree, path, STATUS_FILE_LIMIT, &size);
        const char *pid = text && !is_pid ? strstr(text, key) : NULL;
        if (text && is_pid)
            open_files_note_vm(files, text);
        if (pid)
            open_files_note_vm(files, pid + strlen(key));
        free(text);
        free(path);
    }
    tree_finish_names(&names);
}

/* What libvirt's VMs have, their XML tells; any other qemu is a program as others are. */
static bool open_files_is_vm(const struct files *files, const char *process, const char *program) {
    if (!open_files_starts_with(program, "qemu") && !open_files_starts_with(program, "kvm"))
        return false;
    for (size_t i = 0; i < files->vms.count; i++)
        if (strcmp(files->vms.items[i], process) == 0)
            return true;
    return !files->knows_vms;
}

struct process {
    const char *id;
    char *program;
    bool is_vm;
};

static void open_files_note_open(struct files *files, const struct process *process,
                                 const char *entry, const char *name, const char *number,
                                 bool is_block) {
    if (open_files_is_of_no_device(name))
        return;
    const struct file *file = open_files_get_file(files, name, number, is_block);
    bool is_given =
        open_files_starts_with(name, "vfio/") || open_files_starts_with(name, "bus/usb/");
    if (!file->node->device_count || (process->is_vm && is_given) ||
        (!process->is_vm && file->is_harmless))
        return;
    const struct open_file open = {.process = process->id,
                                   .program = process->program,
                                   .entry = entry,
                                   .is_vm = process->is_vm,
                                   .name = name,
                                   .number = number,
                                   .is_block = is_block,
                                   .node = file->node};
    files->visit(files->context, &open);
}

static void open_files_note_number(struct files *files, const struct process *process,
                                   const char *entry, const char *target, mode_t mode,
                                   unsigned high, unsigned low) {
    static const char dev[] = "/dev/";
    char number[64];
    const char *name = strstr(target, dev);

    if (!S_ISCHR(mode) && !S_ISBLK(mode))
        return;
    snprintf(number, sizeof number, "%u:%u", high, low);
    char *copy = memory_strdup(name ? name + strlen(dev) : open_files_last_part(target));
    char *gone = strstr(copy, " (deleted)");
    if (gone)
        *gone = '\0';
    open_files_note_open(files, process, entry, copy, number, S_ISBLK(mode));
    free(copy);
}

/* A file of the running system is known by its number, whatever it is called in a container. That
 * a server of a network file system does not answer must not stop us. */
static void open_files_look_at_file(struct files *files, const struct process *process,
                                    int directory, const char *entry, const char *target) {
#ifdef STATX_TYPE
    struct statx status;
    if (statx(directory, entry, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &status) == 0)
        open_files_note_number(files, process, entry, target, status.stx_mode,
                               status.stx_rdev_major, status.stx_rdev_minor);
#else
    struct stat status;
    if (strstr(target, "/dev/") && fstatat(directory, entry, &status, 0) == 0)
        open_files_note_number(files, process, entry, target, status.st_mode, major(status.st_rdev),
                               minor(status.st_rdev));
#endif
}

/* A file of a tree is known by its name, to which a link leads. */
static void open_files_look_at_link(struct files *files, const struct process *process,
                                    const char *entry) {
    static const char dev[] = "dev/";
    char *link = memory_printf("proc/%s/fd/%s", process->id, entry);
    char *path = tree_resolve(files->tree, link);
    if (path && open_files_starts_with(path, dev))
        open_files_note_open(files, process, entry, path + strlen(dev), NULL, false);
    free(path);
    free(link);
}

static void open_files_read_process(struct files *files, const struct process *process,
                                    int directory, const struct names *entries) {
    char target[PATH_MAX];

    for (size_t i = 0; i < entries->count; i++) {
        ssize_t size = readlinkat(directory, entries->items[i], target, sizeof target - 1);
        if (size <= 0)
            continue;
        target[size] = '\0';
        if (*files->tree->root)
            open_files_look_at_link(files, process, entries->items[i]);
        else if (*target == '/')
            open_files_look_at_file(files, process, directory, entries->items[i], target);
    }
}

static void open_files_look_at_process(struct files *files, const char *id) {
    char *home = memory_printf("proc/%s", id), *path = memory_printf("%s/fd", home);
    struct process process = {.id = id, .program = tree_attribute(files->tree, home, "comm")};
    struct names entries = tree_list(files->tree, path);
    int directory = entries.count ? tree_directory(files->tree, path) : -1;

    if (!process.program)
        process.program = memory_strdup("a program");
    process.is_vm = open_files_is_vm(files, id, process.program);
    if (directory >= 0 && !open_files_is_observer(process.program))
        open_files_read_process(files, &process, directory, &entries);
    if (directory >= 0)
        close(directory);
    tree_finish_names(&entries);
    free(process.program);
    free(path);
    free(home);
}

/* Without /proc nothing tells; a tree of files may have no process. */
static void open_files_read_processes(struct files *files) {
    struct names names = tree_list(files->tree, "proc");
    bool is_live = *files->tree->root == '\0', sees_first = false;
    uint32_t id = 0;

    for (size_t i = 0; i < names.count; i++) {
        sees_first |= strcmp(names.items[i], "1") == 0;
        if (text_parse_decimal(names.items[i], UINT32_MAX, &id) &&
            !(is_live && (pid_t)id == getpid()))
            open_files_look_at_process(files, names.items[i]);
    }
    if (!names.count || (is_live && !sees_first))
        usage_miss(files->uses, is_live && names.count ? "proc/1" : "proc");
    tree_finish_names(&names);
}

void open_files_each(struct usage *uses, files_visitor *visit, void *context) {
    struct files files = {.uses = uses, .tree = uses->tree, .visit = visit, .context = context};

    if (*uses->tree->root)
        files.classes = tree_list(uses->tree, "sys/class");
    open_files_read_vms(&files);
    open_files_read_processes(&files);
    for (size_t i = 0; i < files.count; i++) {
        free(files.list[i].name);
        free(files.list[i].number);
    }
    free(files.list);
    tree_finish_names(&files.classes);
    tree_finish_names(&files.vms);
    graph_finish(&files.graph);
}

/* ---- Sentences ---- */

/* The processes that have files of one device open. */
struct users {
    char *text;
    char *last; /* the process that the text ends with */
    size_t count;
};

/* By the index of the device. */
struct all_users {
    struct users *host, *vm;
};

static void open_files_add_user(struct users *users, const char *process, const char *program,
                                const char *file) {
    bool is_same = users->last && strcmp(users->last, process) == 0;
    char *text = users->text, *longer = NULL;

    if (!is_same) {
        users->count++;
        free(users->last);
        users->last = memory_strdup(process);
    }
    if (users->count > PROCESSES_NAMED)
        return;
    if (!text)
        longer = memory_printf("%s (process %s: /dev/%s)", program, process, file);
    else if (!is_same)
        longer = memory_printf("%s, %s (process %s: /dev/%s)", text, program, process, file);
    else if (!strstr(strrchr(text, '('), file))
        longer = memory_printf("%.*s, /dev/%s)", (int)strlen(text) - 1, text, file);
    if (longer) {
        free(text);
        users->text = longer;
    }
}

static void open_files_note_users(void *context, const struct open_file *file) {
    struct all_users *all = context;
    struct users *users = file->is_vm ? all->vm : all->host;
    for (size_t i = 0; i < file->node->device_count; i++)
        open_files_add_user(&users[file->node->devices[i]], file->process, file->program,
                            file->name);
}

/* Ends the users. NULL: there is none. */
static char *open_files_users_text(struct users *users) {
    char *text = users->text;
    if (users->count > PROCESSES_NAMED) {
        text = memory_printf("%s and %zu more", users->text, users->count - PROCESSES_NAMED);
        free(users->text);
    }
    free(users->last);
    return text;
}

void open_files_find_usage(struct usage *uses) {
    size_t count = uses->host->count;
    struct all_users all = {memory_zalloc((count + 1) * sizeof *all.host),
                            memory_zalloc((count + 1) * sizeof *all.vm)};

    open_files_each(uses, open_files_note_users, &all);
    for (size_t i = 0; i < count; i++) {
        char *text = open_files_users_text(&all.host[i]);
        if (text)
            usage_add(uses, i, USE_PROCESS, memory_printf("uses it in %s", text));
        free(text);
        uses->host->devices[i].vm_use = open_files_users_text(&all.vm[i]);
    }
    free(all.host);
    free(all.vm);
}
