/*
 * The only program of a VM with a real kernel (the lab's small Linux): it says on the first serial
 * port what this system sees of its hardware, a line each.
 *
 *     GUEST-BOOT                        the program has started
 *     GUEST boot pci 0000:01:00.0 1ac1:089a   there when it looked first
 *     GUEST-UP                          from here on it reports each uevent
 *     GUEST add usb 2-1 0627:0001 480   as the kernel says so, with the speed in Mbit/s
 *     GUEST remove usb 2-1 0627:0001
 *     GUEST reset usb 2-1               this program reset it
 *     GUEST add net eth0 52:54:00:12:34:56
 *     GUEST open ttyUSB0                a serial port on PCI or USB
 *     GUEST read ttyUSB0 hello          a line from it, to which it answers "guest read hello"
 *     GUEST open event2 QEMU USB Mouse  an event node, with the name of its device
 *     GUEST key event2 30 1             a key was pressed (1), is held (2), or was released (0)
 *     GUEST add scsi 2:0:0:1 type 1 scsi_debug   a SCSI device: 0 is a disk, 1 a tape, 8 a changer
 *     GUEST disk vda 16384 rw read "hello"    a disk of so many sectors, and the text at its start
 *     GUEST wrote vda                    it has written "guest" into the second sector
 *     GUEST kept vda: Read-only file system   or could not
 *
 * Coming and going themselves are the kernel's work: nothing here has to answer. With usb_resets=1
 * in the kernel's command line each USB device is reset after it was added, as some drivers do it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/input.h>
#include <linux/netlink.h>
#include <linux/usbdevice_fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

enum { EVENT_SIZE = 8192 };

/* The words of a uevent that matter; NULL where it has none. They point into its text. */
struct uevent {
    const char *action, *subsystem, *type, *path, *name, *pci_id, *product, *slot, *interface;
};

static void fail(const char *what) {
    printf("GUEST-FAILED %s: %s\n", what, strerror(errno));
    for (;;)
        pause();
}

static void read_word(struct uevent *event, const char *word) {
    const struct {
        const char *key;
        const char **value;
    } words[] = {{"ACTION=", &event->action},      {"SUBSYSTEM=", &event->subsystem},
                 {"DEVTYPE=", &event->type},       {"DEVPATH=", &event->path},
                 {"DEVNAME=", &event->name},       {"PRODUCT=", &event->product},
                 {"PCI_ID=", &event->pci_id},      {"PCI_SLOT_NAME=", &event->slot},
                 {"INTERFACE=", &event->interface}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(word, words[i].key, strlen(words[i].key)) == 0)
            *words[i].value = word + strlen(words[i].key);
}

/* "1AC1:89A" or "627/1/0": PCI and USB devices write their ids differently. */
static void tell_device(const char *action, const char *bus, const char *place, const char *id,
                        const char *speed) {
    char *rest;
    unsigned long vendor = strtoul(id, &rest, 16);
    unsigned long device = *rest ? strtoul(rest + 1, NULL, 16) : 0;
    printf("GUEST %s %s %s %04lx:%04lx%s\n", action, bus, place, vendor, device, speed);
}

static bool is_usb_device(const struct uevent *event) {
    return event->type && strcmp(event->type, "usb_device") == 0 && event->product && event->path;
}

/* " 480", or nothing when the device has gone. */
static void read_speed(const char *place, char speed[16]) {
    char path[512];
    snprintf(path, sizeof path, "/sys/bus/usb/devices/%s/speed", place);
    FILE *file = fopen(path, "re");
    speed[0] = ' ';
    if (!file || fscanf(file, "%14s", speed + 1) != 1)
        speed[0] = '\0';
    if (file)
        fclose(file);
}

static void tell_card(const char *action, const char *name) {
    char path[512], mac[32] = "gone";
    snprintf(path, sizeof path, "/sys/class/net/%s/address", name);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%31s", mac) != 1)
        strcpy(mac, "unknown");
    if (file)
        fclose(file);
    printf("GUEST %s net %s %s\n", action, name, mac);
}

/* A line of it at a time, until it is gone. */
static void read_tty(int tty, const char *name) {
    char line[256];
    struct termios settings;
    tcgetattr(tty, &settings);
    cfmakeraw(&settings);
    tcsetattr(tty, TCSANOW, &settings);
    printf("GUEST open %s\n", name);
    for (size_t length = 0; read(tty, line + length, 1) == 1; length++)
        if (line[length] == '\n' || length == sizeof line - 2) {
            line[length] = '\0';
            printf("GUEST read %s %s\n", name, line);
            dprintf(tty, "guest read %s\n", line);
            length = (size_t)-1;
        }
}

static void read_events(int node, const char *name) {
    struct input_event event;
    char device[128] = "";
    ioctl(node, EVIOCGNAME(sizeof device - 1), device);
    printf("GUEST open %s %s\n", name, device);
    while (read(node, &event, sizeof event) == sizeof event)
        if (event.type == EV_KEY)
            printf("GUEST key %s %u %d\n", name, event.code, event.value);
}

/* In a process of its own. The ports of the board are the console's, or nobody's. */
static void read_node(const char *sysfs, const char *name) {
    bool is_tty = strncmp(name, "tty", 3) == 0 && strstr(sysfs, "/pci");
    bool is_event = strncmp(name, "input/event", strlen("input/event")) == 0;
    char path[512];
    if ((!is_tty && !is_event) || fork() != 0)
        return;
    snprintf(path, sizeof path, "/dev/%s", name);
    int node = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (node >= 0 && is_tty)
        read_tty(node, name);
    else if (node >= 0)
        read_events(node, name + strlen("input/"));
    _exit(0);
}

/* A number or text of a file of sysfs, without the blanks at its end. */
static void read_attribute(const char *directory, const char *name, char text[64]) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(text, 64, file))
        strcpy(text, "gone");
    for (size_t length = strlen(text); length && strchr(" \n", text[length - 1]);)
        text[--length] = '\0';
    if (file)
        fclose(file);
}

static void tell_scsi(const char *action, const char *devpath) {
    char directory[400], type[64], model[64];
    snprintf(directory, sizeof directory, "/sys%s", devpath);
    read_attribute(directory, "type", type);
    read_attribute(directory, "model", model);
    printf("GUEST %s scsi %s type %s %s\n", action, strrchr(devpath, '/') + 1, type, model);
}

/* The host has written a line at the disk's start, and looks for ours in the second sector. */
static void try_disk(const char *name) {
    enum { SECTOR = 512 };
    static const char answer[SECTOR] = "guest\n";
    char path[256], size[64], readonly[64], text[SECTOR] = "";
    snprintf(path, sizeof path, "/sys/class/block/%s", name);
    read_attribute(path, "size", size);
    read_attribute(path, "ro", readonly);
    snprintf(path, sizeof path, "/dev/%s", name);
    int disk = open(path, O_RDONLY | O_CLOEXEC);
    if (disk < 0 || read(disk, text, sizeof text - 1) < 0)
        snprintf(text, sizeof text, "%s", strerror(errno));
    text[strcspn(text, "\n")] = '\0';
    close(disk);
    printf("GUEST disk %s %s %s read \"%s\"\n", name, size,
           strcmp(readonly, "0") == 0 ? "rw" : "ro", text);
    disk = open(path, O_WRONLY | O_CLOEXEC);
    if (disk >= 0 && pwrite(disk, answer, SECTOR, SECTOR) == SECTOR && fsync(disk) == 0)
        printf("GUEST wrote %s\n", name);
    else
        printf("GUEST kept %s: %s\n", name, strerror(errno));
    close(disk);
}

static void tell(const char *action, const struct uevent *event) {
    if (event->type && strcmp(event->type, "scsi_device") == 0)
        tell_scsi(action, event->path);
    if (event->type && strcmp(event->type, "disk") == 0 && event->name &&
        strcmp(action, "add") == 0)
        try_disk(event->name);
    else if (event->type && strcmp(event->type, "disk") == 0 && event->name)
        printf("GUEST %s disk %s\n", action, event->name);
    char speed[16];
    if (event->name && event->path && strcmp(action, "remove") != 0)
        read_node(event->path, event->name);
    if (event->interface && !strchr(event->interface, '/')) /* "3/0/1" is of USB */
        tell_card(action, event->interface);
    if (event->slot && event->pci_id)
        tell_device(action, "pci", event->slot, event->pci_id, "");
    if (is_usb_device(event)) {
        const char *place = strrchr(event->path, '/') + 1;
        read_speed(place, speed);
        tell_device(action, "usb", place, event->product, speed);
    }
}

static void reset(const struct uevent *event) {
    char path[512];
    snprintf(path, sizeof path, "/dev/%s", event->name);
    int device = open(path, O_WRONLY | O_CLOEXEC);
    if (device >= 0 && ioctl(device, USBDEVFS_RESET) == 0)
        printf("GUEST reset usb %s\n", strrchr(event->path, '/') + 1);
    close(device);
}

static void tell_file(const char *folder, const char *name) {
    char path[512], text[EVENT_SIZE];
    snprintf(path, sizeof path, "%s/%s/uevent", folder, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return; /* gone meanwhile */
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    path[strlen(path) - strlen("/uevent")] = '\0';
    char real[PATH_MAX];
    struct uevent event = {.path = realpath(path, real)};
    for (char *rest = text, *word; (word = strsep(&rest, "\n"));)
        read_word(&event, word);
    tell("boot", &event);
}

static void tell_folder(const char *folder) {
    DIR *directory = opendir(folder);
    if (!directory)
        fail(folder);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            tell_file(folder, entry->d_name);
    closedir(directory);
}

static void tell_message(char *text, size_t length) {
    struct uevent event = {0};
    text[length] = '\0';
    for (size_t at = 0; at < length; at += strlen(text + at) + 1)
        read_word(&event, text + at);
    if (event.action && event.subsystem &&
        (strcmp(event.action, "add") == 0 || strcmp(event.action, "remove") == 0))
        tell(event.action, &event);
    if (event.action && strcmp(event.action, "add") == 0 && is_usb_device(&event) && event.name &&
        getenv("usb_resets"))
        reset(&event);
}

static int listen_to_kernel(void) {
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int kernel = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    if (kernel < 0 || bind(kernel, (struct sockaddr *)&address, sizeof address) != 0)
        fail("netlink");
    return kernel;
}

static void tell_changes(int kernel) {
    char text[EVENT_SIZE];
    for (;;) {
        ssize_t length = recv(kernel, text, sizeof text - 1, 0);
        if (length > 0)
            tell_message(text, (size_t)length);
        else if (errno != ENOBUFS && errno != EINTR)
            fail("recv");
    }
}

static void load_modules(void) {
    char name[256];
    FILE *order = fopen(getenv("drivers") ? "/modules/drivers" : "/modules/order", "re");
    if (!order || chdir("/modules") != 0)
        fail("/modules/order");
    while (fscanf(order, "%255s", name) == 1) {
        int module = open(name, O_RDONLY | O_CLOEXEC);
        /* One that speeds something up, with what this processor lacks. */
        if (syscall(SYS_finit_module, module, "", 0) != 0 && errno != ENODEV)
            fail(name);
        close(module);
    }
    fclose(order);
}

static void open_console(void) {
    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/ttyS0", O_RDWR);
    for (int fd = 0; fd <= 2; fd++)
        dup2(console, fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

int main(void) {
    open_console();
    puts("GUEST-BOOT");
    mkdir("/sys", 0755);
    if (mount("sysfs", "/sys", "sysfs", 0, NULL) != 0)
        fail("/sys");
    signal(SIGCHLD, SIG_IGN); /* the processes of nodes that are gone */
    int kernel = listen_to_kernel();
    load_modules();
    tell_folder("/sys/bus/pci/devices");
    tell_folder("/sys/bus/usb/devices");
    tell_folder("/sys/class/tty");
    if (getenv("drivers"))
        tell_folder("/sys/class/input");
    puts("GUEST-UP");
    tell_changes(kernel);
}
