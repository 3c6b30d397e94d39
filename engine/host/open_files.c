#include "engine/host/open_files.h"

#include "engine/host/guards.h"
#include "engine/host/place.h"
#include "engine/host/process_unit.h"
#include "engine/system/process.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LIBVIRT "run/libvirt/qemu"

enum { PROCESSES_NAMED = 3, STATUS_FILE_LIMIT = 1024 * 1024 };

/* A device file, so that each is looked up once. */
struct file {
    char *name;   /* below /dev */
    char *number; /* NULL: unknown */
    struct device_set devices;
};

struct files {
    struct usage *usage;
    const struct tree *tree;
    struct file *list;
    size_t count;
    struct names vms; /* the ids of the processes of libvirt's VMs */
    bool knows_vms;
    open_files_visitor *visit;
    void *context;
};

struct process {
    const char *id;
    char *program; /* NULL: not read yet, and so are: */
    bool is_vm, is_observer;
};

/* ---- Which files and processes count ---- */

static bool open_files_is_one_of(const char *name, const char *const *names) {
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names;
}

/* Every process has some of these open, or they are of no device. */
static bool open_files_is_of_no_device(const char *name) {
    static const char *const names[] = {"null", "zero",    "full",      "random", "urandom",
                                        "tty",  "ptmx",    "console",   "kmsg",   "fuse",
                                        "kvm",  "net/tun", "vfio/vfio", NULL};
    return open_files_is_one_of(name, names) || text_starts_with(name, "pts/") ||
           text_starts_with(name, "shm/");
}

/* A keyboard, mouse or joystick can be unplugged while its file is open, and a desktop has all of
 * them open, as it has the mixer of each sound card. A sound card that plays is another thing. */
static bool open_files_is_harmless(const char *name) {
    static const char *const names[] = {"snd/seq", "snd/timer", NULL};
    static const char mixer[] = "controlC";
    const char *last = text_base_name(name);
    return text_starts_with(name, "input/") || open_files_is_one_of(name, names) ||
           (text_starts_with(last, mixer) && isdigit((unsigned char)last[strlen(mixer)]));
}

/* udev and mdev open each new device for a moment, and multipathd watches every disk. */
static bool open_files_is_observer(const char *program) {
    static const char *const names[] = {"systemd-udevd", "(udev-worker)", "udevd", "udevadm",
                                        "mdev",          "multipathd",    NULL};
    return open_files_is_one_of(program, names);
}

/* The programs that the rules of udev and mdev run for a new device (ata_id, v4l_id, blkid) mostly
 * do so, too; but such a rule can also run a daemon that stays. */
static bool open_files_is_of_observer(const struct files *files, const char *process) {
    pid_t parent = process_parent(files->tree->root, (pid_t)strtol(process, NULL, 10));
    char *home = parent ? memory_printf("proc/%d", (int)parent) : NULL;
    char *program = home ? tree_attribute(files->tree, home, "comm") : NULL;
    bool is_observer = program && open_files_is_observer(program);
    free(program);
    free(home);
    return is_observer;
}

/* What libvirt's VMs have open is known from their XML; any other qemu is a program like others. */
static bool open_files_is_vm(const struct files *files, const struct process *process) {
    if (!text_starts_with(process->program, "qemu") && !text_starts_with(process->program, "kvm"))
        return false;
    for (size_t i = 0; i < files->vms.count; i++)
        if (strcmp(files->vms.items[i], process->id) == 0)
            return true;
    return !files->knows_vms;
}

static void open_files_add_vm(struct files *files, const char *digits) {
    size_t length = strspn(digits, "0123456789");
    files->vms.items = memory_grow(files->vms.items, files->vms.count, sizeof *files->vms.items);
    files->vms.items[files->vms.count++] = memory_strndup(digits, length);
}

/* libvirt keeps NAME.pid and NAME.xml, `<domstatus state='running' ... pid='4242'>`, of each. */
static void open_files_read_vms(struct files *files) {
    static const char key[] = " pid='", ending[] = ".pid";
    struct names names = tree_list(files->tree, LIBVIRT);

    files->knows_vms = tree_has(files->tree, LIBVIRT);
    for (size_t i = 0; i < names.count; i++) {
        char *path = memory_printf(LIBVIRT "/%s", names.items[i]);
        size_t size = 0, length = strlen(path);
        bool is_pid = strcmp(path + length - strlen(ending), ending) == 0;
        char *text = tree_load(files->tree, path, STATUS_FILE_LIMIT, &size);
        const char *pid = text && !is_pid ? strstr(text, key) : NULL;
        if (text && is_pid)
            open_files_add_vm(files, text);
        if (pid)
            open_files_add_vm(files, pid + strlen(key));
        free(text);
        free(path);
    }
    tree_finish_names(&names);
}

/* ---- Who has which file open ---- */

static struct file *open_files_get_file(struct files *files, const char *name, const char *number,
                                        bool is_block) {
    const struct host *host = files->usage->host;

    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->list[i].name, name) == 0 &&
            (!number || strcmp(files->list[i].number, number) == 0))
            return &files->list[i];
    files->list = memory_grow(files->list, files->count, sizeof *files->list);
    struct file *file = &files->list[files->count++];
    *file = (struct file){.name = memory_strdup(name), .number = memory_copy(number)};
    if (number) {
        place_of_number(&file->devices, host, files->tree, name, number, is_block);
    } else {
        char *path = memory_printf("/dev/%s", name);
        place_of_file(&file->devices, host, files->tree, path);
        free(path);
    }
    return file;
}

/* Most processes have no file of a device open, and who they are does not matter. */
static void open_files_identify(const struct files *files, struct process *process) {
    if (process->program)
        return;
    char *home = memory_printf("proc/%s", process->id);
    process->program = tree_attribute(files->tree, home, "comm");
    if (!process->program)
        process->program = memory_strdup("a program");
    process->is_vm = open_files_is_vm(files, process);
    process->is_observer = open_files_is_observer(process->program);
    free(home);
}

static void open_files_note(struct files *files, struct process *process, const char *entry,
                            const char *name, const char *number, bool is_block) {
    bool is_assigned = text_starts_with(name, "vfio/") || text_starts_with(name, "bus/usb/");

    if (open_files_is_of_no_device(name))
        return;
    open_files_identify(files, process);
    if (process->is_observer || (process->is_vm ? is_assigned : open_files_is_harmless(name)))
        return;
    const struct file *file = open_files_get_file(files, name, number, is_block);
    if (!file->devices.count)
        return;
    const struct open_file open = {.process = process->id,
                                   .program = process->program,
                                   .entry = entry,
                                   .is_vm = process->is_vm,
                                   .is_of_observer = open_files_is_of_observer(files, process->id),
                                   .name = name,
                                   .number = number,
                                   .is_block = is_block,
                                   .devices = &file->devices};
    files->visit(files->context, &open);
}

/* A file of the running system is known by its number, whatever its name is in a container. */
static void open_files_note_number(struct files *files, struct process *process, const char *entry,
                                   const char *target, bool is_block, unsigned high, unsigned low) {
    static const char dev[] = "/dev/";
    const char *below = strstr(target, dev);
    char *name = memory_strdup(below ? below + strlen(dev) : text_base_name(target));
    char *number = memory_printf("%u:%u", high, low);
    char *deleted = strstr(name, " (deleted)");

    if (deleted)
        *deleted = '\0';
    open_files_note(files, process, entry, name, number, is_block);
    free(number);
    free(name);
}

/* Must not wait for the server of a network file system. */
static void open_files_look_at_file(struct files *files, struct process *process, int directory,
                                    const char *entry, const char *target) {
#ifdef STATX_TYPE
    struct statx status;
    if (statx(directory, entry, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &status) == 0 &&
        (S_ISCHR(status.stx_mode) || S_ISBLK(status.stx_mode)))
        open_files_note_number(files, process, entry, target, S_ISBLK(status.stx_mode),
                               status.stx_rdev_major, status.stx_rdev_minor);
#else
    struct stat status;
    if (strstr(target, "/dev/") && fstatat(directory, entry, &status, 0) == 0 &&
        (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)))
        open_files_note_number(files, process, entry, target, S_ISBLK(status.st_mode),
                               major(status.st_rdev), minor(status.st_rdev));
#endif
}

/* A file in a copy of a host is known by the name that the link has. */
static void open_files_look_at_link(struct files *files, struct process *process,
                                    const char *entry) {
    static const char dev[] = "dev/";
    char *link = memory_printf("proc/%s/fd/%s", process->id, entry);
    char *path = tree_resolve(files->tree, link);
    if (path && text_starts_with(path, dev))
        open_files_note(files, process, entry, path + strlen(dev), NULL, false);
    free(path);
    free(link);
}

static void open_files_look_at_process(struct files *files, const char *id) {
    char *path = memory_printf("proc/%s/fd", id), target[PATH_MAX];
    struct process process = {.id = id};
    int directory = tree_directory(files->tree, path);
    struct names entries = tree_list_at(files->tree, directory, path);

    for (size_t i = 0; i < entries.count && !process.is_observer; i++) {
        ssize_t size = readlinkat(directory, entries.items[i], target, sizeof target - 1);
        if (size <= 0)
            continue;
        target[size] = '\0';
        if (*files->tree->root)
            open_files_look_at_link(files, &process, entries.items[i]);
        else if (*target == '/')
            open_files_look_at_file(files, &process, directory, entries.items[i], target);
    }
    if (directory >= 0)
        close(directory);
    tree_finish_names(&entries);
    free(process.program);
    free(path);
}

/* A copy of a host may have no process; the running system has at least the first. */
static void open_files_read_processes(struct files *files) {
    struct names names = tree_list(files->tree, "proc");
    bool is_live = *files->tree->root == '\0', sees_first = false;
    pid_t own = is_live ? getpid() : 0;
    uint32_t id = 0;

    for (size_t i = 0; i < names.count; i++) {
        sees_first |= strcmp(names.items[i], "1") == 0;
        if (text_parse_decimal(names.items[i], UINT32_MAX, &id) && (pid_t)id != own)
            open_files_look_at_process(files, names.items[i]);
    }
    if (!names.count || (is_live && !sees_first))
        usage_note_missing(files->usage, is_live && names.count ? "proc/1" : "proc");
    tree_finish_names(&names);
}

void open_files_each(struct usage *usage, open_files_visitor *visit, void *context) {
    struct files files = {.usage = usage, .tree = usage->tree, .visit = visit, .context = context};

    open_files_read_vms(&files);
    open_files_read_processes(&files);
    for (size_t i = 0; i < files.count; i++) {
        free(files.list[i].name);
        free(files.list[i].number);
        device_set_finish(&files.list[i].devices);
    }
    free(files.list);
    tree_finish_names(&files.vms);
}

/* ---- Sentences ---- */

/* The processes that have files of one device open. */
struct users {
    char *text; /* "Xorg (process 4242: /dev/dri/card0), ..." */
    char *last; /* the process that came last */
    size_t count;
    bool may_stay; /* one of them is not a program of udev or mdev */
    struct user {
        char *process;
        bool is_desktop; /* it draws on the display, or opened it for who does */
    } named[PROCESSES_NAMED];
};

/* By the index of the device. */
struct all_users {
    struct users *host, *vm;
};

/* The file by which a card's display is set up, which only desktops open. */
static bool open_files_is_desktop(const struct open_file *file) {
    static const char *const programs[] = {"Xorg", "X", "gnome-shell", "kwin_wayland", NULL};
    const char *name = file->name;
    return text_starts_with(name, "dri/card") || text_starts_with(name, "nvidia-modeset") ||
           (text_starts_with(name, "fb") && isdigit((unsigned char)name[2])) ||
           open_files_is_one_of(file->program, programs);
}

static void open_files_add_user(struct users *users, const struct open_file *file) {
    bool is_same = users->last && strcmp(users->last, file->process) == 0;
    char *text = users->text, *longer = NULL;

    users->may_stay |= !file->is_of_observer;
    if (!is_same) {
        free(users->last);
        users->last = memory_strdup(file->process);
        if (users->count++ < PROCESSES_NAMED)
            users->named[users->count - 1].process = memory_strdup(file->process);
    }
    if (users->count > PROCESSES_NAMED)
        return;
    users->named[users->count - 1].is_desktop |= open_files_is_desktop(file);
    if (!is_same)
        longer = memory_printf("%s%s%s (process %s: /dev/%s)", text ? text : "", text ? ", " : "",
                               file->program, file->process, file->name);
    else if (!strstr(strrchr(text, '('), file->name))
        longer = memory_printf("%.*s, /dev/%s)", (int)strlen(text) - 1, text, file->name);
    if (longer) {
        free(text);
        users->text = longer;
    }
}

static void open_files_note_users(void *context, const struct open_file *file) {
    struct all_users *all = context;
    struct users *users = file->is_vm ? all->vm : all->host;
    for (size_t i = 0; i < file->devices->count; i++)
        open_files_add_user(&users[file->devices->items[i]], file);
}

/* "'systemctl stop gdm.service', 'kill 4242'", each once. */
static char *open_files_stop_text(const struct tree *tree, const struct users *users) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < PROCESSES_NAMED && i < users->count; i++) {
        const struct user *user = &users->named[i];
        char *command = process_unit_stop(tree, user->process, user->is_desktop);
        char *quoted = memory_printf("'%s'", command);
        if (!strstr(text, quoted))
            memory_append(&text, "%s%s", *text ? ", " : "", quoted);
        free(quoted);
        free(command);
    }
    return text;
}

/* Ends the users. NULL: there is none. */
static char *open_files_users_text(struct users *users) {
    char *text = users->text;
    if (users->count > PROCESSES_NAMED) {
        text = memory_printf("%s and %zu more", users->text, users->count - PROCESSES_NAMED);
        free(users->text);
    }
    free(users->last);
    for (size_t i = 0; i < PROCESSES_NAMED; i++)
        free(users->named[i].process);
    return text;
}

void open_files_find_usage(struct usage *usage) {
    size_t count = usage->host->count;
    struct all_users all = {memory_zalloc((count + 1) * sizeof *all.host),
                            memory_zalloc((count + 1) * sizeof *all.vm)};

    struct tree tree = *usage->tree;
    tree.faults = NULL; /* a hint that lacks something does not make the use unknown */
    open_files_each(usage, open_files_note_users, &all);
    for (size_t i = 0; i < count; i++) {
        char *stop = open_files_stop_text(&tree, &all.host[i]);
        char *text = open_files_users_text(&all.host[i]);
        if (text)
            usage_add(usage, i, USE_PROCESS, stop, "uses it in %s", text);
        free(text);
        free(stop);
        usage->host->devices[i].is_probed = all.host[i].count && !all.host[i].may_stay;
        usage->host->devices[i].vm_use = open_files_users_text(&all.vm[i]);
    }
    free(all.host);
    free(all.vm);
}
