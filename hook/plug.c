/*
 * What udev runs when a PCI or USB device is added or removed (90-virt-rules.rules): it hands
 * udev's properties of the device to the engine, as the environment of `virt-rules plug`, and
 * exits.
 *
 * What udev does, from the source of systemd 252 (src/udev/udev-event.c, udevd.c,
 * units/systemd-udevd.service); its udevd was tried alone, without systemd around it:
 * - The worker waits for the program's end, and other events of the device wait for the worker:
 *   hence the engine is started fully detached, as from libvirt's hook.
 * - When udevd has been idle for some seconds, it kills whatever is left in its control group
 *   (SIGKILL; udev(7): "detached or not"), in the middle of an attach: hence the control group is
 *   left, and that before the fork, for afterwards udev may have forgotten us. The root group is
 *   there on every host, and nothing needs to run that makes one, as a transient unit would.
 * - The unit lets it: the control groups stay writable. With the group, IPAddressDeny and the
 * device list are left behind. What a process keeps for life goes on to the engine and the programs
 * of its rules: the filter of system calls (no mount, no clock) and of address families (unix,
 *   netlink, inet stay), MemoryDenyWriteExecute, the smaller bounding set, and a mount namespace
 *   that sees the host's mounts but shows it none of its own. libvirt's client needs none of that.
 * - It writes its database before RUN programs are run, and from systemd 257 marks the device in it
 *   as being processed until they have ended: the engine waits for that, and udev not for the
 *   engine.
 * - A property may be anything that the device says of itself: hence a list of those that go on.
 * Where udev runs without systemd, there is no control group to leave and nothing is killed.
 */
#include "hook/launch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The installer recognizes the program by this text. */
__attribute__((used)) static const char marker[] = "@(#)virt-rules-plug " VERSION;

#define CGROUPS "/sys/fs/cgroup/"

static bool plug_enter(const char *procs) {
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    bool moved = fd >= 0 && write(fd, "0", 1) == 1;
    if (fd >= 0)
        close(fd);
    return moved;
}

/* cgroups(7): version 2 alone, its place beside version 1, and systemd's own hierarchy of version
 * 1. A container's root group may take no process: then a group beside udevd's. */
static void plug_leave_control_group(void) {
    bool unified = plug_enter(CGROUPS "cgroup.procs") || plug_enter(CGROUPS "unified/cgroup.procs");
    bool named = plug_enter(CGROUPS "systemd/cgroup.procs");
    if (unified || named)
        return;
    mkdir(CGROUPS "virt-rules", 0755);
    plug_enter(CGROUPS "virt-rules/cgroup.procs");
}

/* What the engine reads of the event, and its own settings. */
static const char *const passed_on[] = {"ACTION",
                                        "DEVPATH",
                                        "SUBSYSTEM",
                                        "DEVTYPE",
                                        "SEQNUM",
                                        "SYNTH_UUID",
                                        "PRODUCT",
                                        "TYPE",
                                        "BUSNUM",
                                        "DEVNUM",
                                        "ID_SERIAL_SHORT",
                                        "ID_USB_INTERFACES",
                                        "PCI_ID",
                                        "PCI_CLASS",
                                        "PCI_SUBSYS_ID",
                                        "PCI_SLOT_NAME",
                                        "PATH",
                                        "LD_LIBRARY_PATH",
                                        "LIBVIRT_DEFAULT_URI",
                                        "VIRT_RULES_DIR",
                                        "VIRT_RULES_STATE"};

enum { PASSED_ON = sizeof passed_on / sizeof *passed_on };

static const char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct plug_call {
    struct report_subject subject;
    char *environment[PASSED_ON + 2];
};

static char *plug_variable(const char *name) {
    size_t length = strlen(name);
    for (char **one = environ; *one; one++)
        if (!strncmp(*one, name, length) && (*one)[length] == '=')
            return *one;
    return NULL;
}

static void plug_choose_environment(struct plug_call *call) {
    size_t count = 0;
    for (size_t i = 0; i < PASSED_ON; i++)
        if ((call->environment[count] = plug_variable(passed_on[i])))
            count++;
    if (!plug_variable("PATH"))
        call->environment[count] = (char *)path;
}

_Noreturn static void plug_run_engine(void *context) {
    struct plug_call *call = context;
    static char plug[] = "plug";
    char *words[] = {launch_engine_path(), plug, NULL};
    launch_become_engine(&call->subject, words, call->environment);
}

static const char *plug_device_name(void) {
    const char *devpath = getenv("DEVPATH"), *slash = devpath ? strrchr(devpath, '/') : NULL;
    return slash ? slash + 1 : "-";
}

/* The installer tests whether the program can be executed; udev gives no word. */
static bool plug_asks_version(int argc, char **argv) {
    return argc == 2 && !strcmp(argv[1], "--version");
}

int main(int argc, char **argv) {
    if (plug_asks_version(argc, argv)) {
        puts(marker + strlen("@(#)"));
        return 0;
    }
    const char *action = getenv("ACTION");
    bool removed = action && !strcmp(action, "remove");
    struct plug_call call = {.subject = {.program = "virt-rules-plug",
                                         .event = removed ? "unplugged" : "plugged",
                                         .device = plug_device_name()}};
    close(STDIN_FILENO);
    launch_settle_descriptors(NULL);
    plug_leave_control_group();
    plug_choose_environment(&call);
    launch_detached(&call.subject, NULL, plug_run_engine, &call);
    _exit(0);
}
