/*
 * A stand-in for libvirt.so.0: the calls that the engine makes, on VMs that are files (world.h).
 * Whatever libvirtd would do is done by the caller's own process, under a lock, so that it is done
 * wholly or not at all. Texts and codes are those of libvirt 9.0, in the language of language.h.
 *
 * The file faults says what goes wrong, a line each:
 *
 *     CALL NTH before|after ACTION
 *
 * CALL is open, list, lookup, xml, state, attach, detach, reset, reboot, attach-defined,
 * detach-defined, mark, watch, or any, which counts them all; NTH a number, counted over all
 * processes, or a span "2-5" or "2-", or "*". "before" is before it had any effect, "after" when it
 * has.
 *
 *     fail DOMAIN CODE TEXT   the call fails (virErrorDomain, virErrorNumber)
 *     lose                    the daemon restarts: all connections are lost, this one too
 *     wait GATE               waits until someone opens the FIFO GATE to read, and another time
 *                             until someone opens it to write
 *     forget                  (before attach) the daemon is killed in the middle of it, restarts
 *                             and does not know the device, which the VM's qemu has
 *     forget-early            the same, but qemu does not have it yet
 *     forget-earliest         the same, and the device is not bound to a driver yet
 *     mute                    the daemon never answers, and no signal but SIGKILL ends the call
 *     linger                  the daemon goes on although the caller may die
 *     deaf                    the guest does nothing, and libvirt says that it worked
 *     refuse                  (before detach) the guest says that it keeps the device
 *     drop                    (after attach) the guest gives the device back
 */
#include "tests/fake/definition.h"
#include "tests/fake/killer.h"
#include "tests/fake/language.h"
#include "tests/fake/world.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct _virConnect {
    long daemon; /* the start of the daemon that it is to */
    bool told;   /* the caller knows that it is lost */
    int socket;
};

struct _virDomain {
    virConnectPtr connection;
    char name[256];
    char uuid[VIR_UUID_STRING_BUFLEN];
    unsigned id; /* when it was looked up */
};

enum { JOB_MS = 30000, JOB_STEP_NS = 2000000, FAULTS = 16 };

/* ---- errors ---- */

static char error_text[1024];
static virError error_now;

__attribute__((format(printf, 3, 4))) static int fail(int domain, int code, const char *format,
                                                      ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(error_text, sizeof error_text, format, values);
    va_end(values);
    language_translate(error_text);
    error_now =
        (virError){.domain = domain, .code = code, .message = error_text, .level = VIR_ERR_ERROR};
    return -1;
}

virErrorPtr virGetLastError(void) {
    return error_now.code ? &error_now : NULL;
}

void virResetLastError(void) {
    error_now = (virError){0};
}

void virSetErrorFunc(void *data, virErrorFunc handler) {
    (void)data, (void)handler;
}

int virInitialize(void) {
    return 0;
}

enum { VERSION_OF_LIBVIRT = 9000000 };

/* NOLINTNEXTLINE(readability-non-const-parameter): libvirt's own */
int virGetVersion(unsigned long *version, const char *type, unsigned long *type_version) {
    (void)type, (void)type_version;
    *version = VERSION_OF_LIBVIRT;
    return 0;
}

int virConnectGetLibVersion(virConnectPtr connection, unsigned long *version) {
    (void)connection;
    *version = VERSION_OF_LIBVIRT;
    return 0;
}

char *virConnectGetURI(virConnectPtr connection) {
    (void)connection;
    return strdup("qemu:///system");
}

/* ---- a call ---- */

struct call {
    const char *name, *vm;
    const char *device; /* its XML, or NULL */
    char faults[FAULTS][256];
    size_t fault_count;
    bool over;   /* it has been done, or failed */
    int status;  /* then */
    int job;     /* the lock of the VM's job */
    int results; /* of the daemon that goes on: where its caller waits; else -1 */
    bool left;   /* to that daemon */
    struct rlimit files, size;
};

/* The daemon has limits of its own. */
static void raise_limit(int what, struct rlimit *before) {
    getrlimit(what, before);
    struct rlimit more = {before->rlim_max, before->rlim_max};
    setrlimit(what, &more);
}

static unsigned long count(const char *name) {
    char path[WORLD_PATH], text[32];
    char *old = world_read(world_path(path, "counts/%s", name));
    unsigned long number = (old ? strtoul(old, NULL, 10) : 0) + 1;
    free(old);
    snprintf(text, sizeof text, "%lu", number);
    world_write(path, text);
    return number;
}

static bool is_nth(const char *span, unsigned long n) {
    char *end;
    unsigned long first = strtoul(span, &end, 10), last = *end != '-' ? first
                                                          : end[1]    ? strtoul(end + 1, NULL, 10)
                                                                      : ULONG_MAX;
    return *span == '*' || (n >= first && n <= last);
}

/* Those of this very call, of which `count` says which it is. */
static void find_faults(struct call *call) {
    char path[WORLD_PATH], *rest;
    char *text = world_read(world_path(path, "faults"));
    if (!text)
        return;
    unsigned long n = count(call->name), all = count("any");
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[32], span[32];
        int at = 0;
        /* NOLINTNEXTLINE(cert-err34-c): words only */
        if (sscanf(line, "%31s %31s %n", name, span, &at) != 2 || call->fault_count == FAULTS ||
            !((strcmp(name, call->name) == 0 && is_nth(span, n)) ||
              (strcmp(name, "any") == 0 && is_nth(span, all))))
            continue;
        snprintf(call->faults[call->fault_count++], sizeof *call->faults, "%s", line + at);
    }
    free(text);
}

static long daemon_now(void) {
    char path[WORLD_PATH];
    char *text = world_read(world_path(path, "daemon"));
    long number = text ? strtol(text, NULL, 10) : 0;
    free(text);
    return number;
}

static void restart_daemon(void) {
    char path[WORLD_PATH], text[32];
    snprintf(text, sizeof text, "%ld", daemon_now() + 1);
    world_write(world_path(path, "daemon"), text);
}

static void settle(struct call *call, int status) {
    call->over = true;
    call->status = status;
}

static bool is_alive(virConnectPtr connection) {
    return connection->daemon == daemon_now();
}

/* What the first call and the later ones on a lost connection get. */
static int lost(virConnectPtr connection, bool sent) {
    bool told = connection->told;
    connection->told = true;
    if (told)
        return fail(VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR,
                    "internal error: client socket is closed");
    if (sent)
        return fail(VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR,
                    "End of file while reading data: Input/output error");
    return fail(VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR, "Cannot write data: Broken pipe");
}

/* ---- the VM's XML ---- */

/* -1: it does not run. */
static unsigned id_of(const char *xml) {
    const char *root = strstr(xml, "<domain"), *end = root ? strchr(root, '>') : NULL;
    const char *id = root ? strstr(root, " id='") : NULL;
    return id && id < end ? (unsigned)strtoul(id + strlen(" id='"), NULL, 10) : (unsigned)-1;
}

static bool runs(const char *xml) {
    return id_of(xml) != (unsigned)-1;
}

/* Each event of a VM is a line "KIND VM ALIAS" in the file events, which only grows. */
static void tell(const char *kind, const char *vm, const char *alias) {
    char path[WORLD_PATH], line[512];
    int size = snprintf(line, sizeof line, "%s %s %s\n", kind, vm, alias);
    int fd = open(world_path(path, "events"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    (void)!write(fd, line, (size_t)size);
    close(fd);
}

/* ---- what a device needs to go ---- */

struct search {
    const struct elements_one *device;
    const char *own_name; /* of the VM that it is to go to; NULL: any counts */
    char holder[256];
};

static bool holds(void *context, const char *name, char *xml) {
    struct search *search = context;
    struct elements_one found;
    char *end;
    if (!runs(xml) || (search->own_name && strcmp(name, search->own_name) == 0) ||
        !elements_find(xml, search->device, elements_collides, &end, &found))
        return false;
    snprintf(search->holder, sizeof search->holder, "%s", name);
    return true;
}

static int in_use(const struct elements_one *device, const char *holder) {
    char message[ELEMENTS_MESSAGE];
    int code;
    elements_in_use(device, holder, message, &code);
    return fail(VIR_FROM_QEMU, code, "%s", message);
}

struct member {
    const char *address, *vm;
};

/* Fails when a member of the group is another VM's, or the host's. */
static bool keeps_group(void *context, const char *address) {
    const struct member *own = context;
    struct elements_one device = {.kind = ELEMENTS_PCI};
    struct search search = {.device = &device, .own_name = own->vm};
    char driver[64];
    if (strcmp(address, own->address) == 0 || !world_driver(address, driver))
        return false;
    snprintf(device.name, sizeof device.name, "%s", address);
    if (world_vms(holds, &search)) {
        in_use(&device, search.holder);
        return true;
    }
    if (!*driver || strcmp(driver, "vfio-pci") == 0)
        return false;
    fail(VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR,
         "internal error: unable to execute QEMU command 'device_add': vfio %s: group is not "
         "viable\nPlease ensure all devices within the iommu_group are bound to their vfio bus "
         "driver.",
         own->address);
    return true;
}

static unsigned number_of(const char *tag, const char *name) {
    char value[32];
    return (unsigned)strtoul(usb_ports_attribute(tag, name, value), NULL, 0);
}

/* The number of the first root port that nothing sits on; 0: none. */
static unsigned free_port(const char *xml) {
    for (const char *port = xml; (port = strstr(port, "model='pcie-root-port'")); port++) {
        const char *start = port;
        char taken[64];
        while (*start != '<')
            start--;
        unsigned index = number_of(start, "index");
        snprintf(taken, sizeof taken, "<address type='pci' domain='0x0000' bus='0x%02x'", index);
        if (index && !strstr(xml, taken))
            return index;
    }
    return 0;
}

/* libvirt gives the device the same id again. */
static bool is_lost(const struct call *call, const struct elements_one *device) {
    char path[WORLD_PATH];
    char *vm = world_read(world_path(path, "lost/%s", device->name));
    bool is = vm && strcmp(vm, call->vm) == 0;
    free(vm);
    return is;
}

/* The file counted/ADDRESS names a VM that libvirt counts the device as in use by, although its XML
 * does not have it. Only the failed attach of a device that is not on the host ends that. */
static bool is_counted(const struct elements_one *device, bool is_on_host) {
    char path[WORLD_PATH];
    char *vm = world_read(world_path(path, "counted/%s", device->name));
    bool is = vm && is_on_host;
    if (is)
        in_use(device, vm);
    else if (vm)
        unlink(path);
    free(vm);
    return is;
}

static int check_pci(const struct call *call, const char *xml, const struct elements_one *device) {
    struct member member = {device->name, call->vm};
    char driver[64];
    bool is_on_host = world_driver(device->name, driver);
    if (is_counted(device, is_on_host))
        return -1;
    if (!is_on_host)
        return fail(VIR_FROM_NONE, VIR_ERR_INTERNAL_ERROR,
                    "An error occurred, but the cause is unknown");
    if (world_group(device->name, keeps_group, &member))
        return -1;
    if (is_lost(call, device))
        return fail(VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR,
                    "internal error: unable to execute QEMU command 'device_add': Duplicate device "
                    "ID 'hostdev0' for device");
    if (!free_port(xml))
        return fail(VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR,
                    "internal error: No more available PCI slots");
    return 0;
}

static int check_usb_port(const struct call *call, const char *xml) {
    char port[64], message[192];
    unsigned bus;
    if (usb_ports_assign(xml, call->device, &bus, port, message))
        return 0;
    return fail(VIR_FROM_DOMAIN,
                strncmp(message, "XML", 3) ? VIR_ERR_INTERNAL_ERROR : VIR_ERR_XML_ERROR, "%s",
                message);
}

static int check_usb(const struct elements_one *device) {
    char path[WORLD_PATH];
    world_path(path, "usb/%u-%u", device->bus, device->number);
    if (device->bus && access(path, F_OK) != 0)
        return fail(VIR_FROM_NONE, VIR_ERR_INTERNAL_ERROR,
                    "internal error: Did not find USB device %04x:%04x bus:%u device:%u",
                    device->vendor, device->product, device->bus, device->number);
    return 0;
}

/* What is known by a file of the host. */
static int check_file(const struct elements_one *device) {
    char path[WORLD_PATH];
    bool is_path = *device->name == '/';
    const char *bus = device->kind == ELEMENTS_SCSI ? "scsi" : "mdev";
    if (is_path)
        world_path(path, "host%s", device->name);
    else
        world_path(path, "host/sys/bus/%s/devices/%s", bus, device->name);
    if (*device->name && access(path, F_OK) == 0)
        return 0;
    if (device->kind == ELEMENTS_DISK)
        return fail(VIR_FROM_STORAGE, VIR_ERR_SYSTEM_ERROR,
                    "Cannot access storage file '%s': No such file or directory", device->name);
    if (device->kind == ELEMENTS_SCSI)
        return fail(VIR_FROM_NONE, VIR_ERR_SYSTEM_ERROR,
                    "SCSI device '%s': could not access /sys/bus/scsi/devices/%s/scsi_generic: No "
                    "such file or directory",
                    device->name, device->name);
    if (device->kind == ELEMENTS_MDEV)
        return fail(VIR_FROM_NONE, VIR_ERR_DEVICE_MISSING,
                    "device not found: mediated device '%s' not found", device->name);
    return fail(VIR_FROM_QEMU, VIR_ERR_SYSTEM_ERROR,
                "Unable to access %s: No such file or directory", device->name);
}

static int check_attach(const struct call *call, const char *xml,
                        const struct elements_one *device) {
    struct search search = {.device = device};
    char message[ELEMENTS_MESSAGE];
    int code;
    if (!elements_check(xml, device, message, &code))
        return fail(VIR_FROM_QEMU, code, "%s", message);
    if (world_vms(holds, &search))
        return in_use(device, search.holder);
    if (elements_is_pci(device))
        return check_pci(call, xml, device);
    if (elements_needs_usb_port(device) && check_usb_port(call, xml) != 0)
        return -1;
    if (elements_needs_pci_slot(device) && !free_port(xml))
        return fail(VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR,
                    "internal error: No more available PCI slots");
    if (device->kind == ELEMENTS_CONTROLLER)
        return 0;
    return device->kind == ELEMENTS_USB ? check_usb(device) : check_file(device);
}

/* The VM's XML with the device in it, for the caller to free. */
static char *with_device(const char *xml, const char *element, const struct elements_one *device) {
    const char *devices_end = strstr(xml, "</devices>");
    char address[160] = "", port[64] = "", message[192], *text;
    unsigned bus = 0;
    if (elements_needs_pci_slot(device)) {
        snprintf(address, sizeof address,
                 "<address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' function='0x0'/>",
                 free_port(xml));
    } else if (elements_needs_usb_port(device)) {
        usb_ports_assign(xml, element, &bus, port, message);
        snprintf(address, sizeof address, "<address type='usb' bus='%u' port='%s'/>", bus, port);
    }
    char *placed = elements_placed(xml, element, device, NULL, address);
    if (!placed ||
        asprintf(&text, "%.*s%s%s", (int)(devices_end - xml), xml, placed, devices_end) < 0)
        abort();
    free(placed);
    return text;
}

/* ---- effects ---- */

/* The XML of the VM when it runs; else NULL and an error. The caller frees it. */
static char *running_vm(const char *vm) {
    char path[WORLD_PATH];
    char *xml = world_read(world_path(path, "vms/%s.xml", vm));
    if (xml && runs(xml))
        return xml;
    if (xml)
        fail(VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID,
             "Requested operation is not valid: domain is not running");
    else
        fail(VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN,
             "Domain not found: no domain with matching name '%s'", vm);
    free(xml);
    return NULL;
}

/* What it finds on vfio-pci, it leaves there. */
static void take_from_host(const struct elements_one *device) {
    char path[WORLD_PATH], driver[64];
    if (world_driver(device->name, driver) && strcmp(driver, "vfio-pci") == 0)
        world_write(world_path(path, "vfio/%s", device->name), "");
    world_bind(device->name, "vfio-pci");
}

/* NOLINTNEXTLINE(readability-non-const-parameter): as the others */
static int begin_attach(const struct call *call, char *xml, const struct elements_one *device) {
    (void)call;
    if (check_attach(call, xml, device) != 0)
        return -1;
    if (elements_is_pci(device)) {
        world_override(device->name, "vfio-pci");
        world_bind(device->name, "");
    }
    return 0;
}

static int half_attach(const struct call *call, char *xml, const struct elements_one *device) {
    int status = begin_attach(call, xml, device);
    if (status == 0 && elements_is_pci(device))
        world_bind(device->name, "vfio-pci");
    return status;
}

static int lose_device(const struct call *call, char *xml, const struct elements_one *device) {
    char path[WORLD_PATH];
    int status = half_attach(call, xml, device);
    if (status == 0 && elements_is_pci(device))
        world_write(world_path(path, "lost/%s", device->name), call->vm);
    return status;
}

static int attach(const struct call *call, char *xml, const struct elements_one *device) {
    char path[WORLD_PATH];
    if (check_attach(call, xml, device) != 0)
        return -1;
    char *text = with_device(xml, call->device, device);
    world_write(world_path(path, "vms/%s.xml", call->vm), text);
    free(text);
    if (elements_is_pci(device))
        take_from_host(device);
    return 0;
}

static int detach(const struct call *call, char *xml, const struct elements_one *device) {
    char path[WORLD_PATH], *end;
    struct elements_one found;
    char *start = elements_find(xml, device, elements_detaches, &end, &found);
    if (!start)
        return fail(VIR_FROM_QEMU, VIR_ERR_DEVICE_MISSING,
                    "device not found: host device %s not found",
                    device->kind == ELEMENTS_DISK ? device->place : device->name);
    memmove(start, end, strlen(end) + 1);
    world_write(world_path(path, "vms/%s.xml", call->vm), xml);
    if (elements_is_pci(&found))
        world_bind_native(found.name);
    tell("removed", call->vm, found.alias);
    return 0;
}

/* The guest says that it keeps it: libvirt's answer to the call came before. */
static int refuse(const struct call *call, char *xml, const struct elements_one *device) {
    char *end;
    struct elements_one found;
    if (!elements_find(xml, device, elements_detaches, &end, &found))
        return -1;
    tell("refused", call->vm, found.alias);
    return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): as the others */
static int restart_guest(const struct call *call, char *xml, const struct elements_one *device) {
    (void)call, (void)xml, (void)device;
    return 0;
}

typedef int vm_effect(const struct call *call, char *xml, const struct elements_one *device);

/* Does it in one step, as others see it. */
static int affect(const struct call *call, vm_effect *effect) {
    struct elements_one device;
    int lock = world_lock("lock"), status = -1;
    char *xml = running_vm(call->vm);
    if (xml && call->device && !elements_read(call->device, &device))
        fail(VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, "XML error: not a host device");
    else if (xml)
        status = effect(call, xml, &device);
    free(xml);
    world_unlock(lock);
    return status;
}

/* ---- faults ---- */

/* Twice: it is here; it goes on. */
static void wait_at(const char *gate) {
    char path[WORLD_PATH], byte;
    world_path(path, "%s", gate);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    (void)!read(fd, &byte, 1);
    close(fd);
}

/* The parent stays the caller and waits for the result; the child is the daemon. */
static void leave_to_daemon(struct call *call) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        setsid();
        call->results = ends[1];
        return;
    }
    close(ends[1]);
    bool whole = read(ends[0], &call->status, sizeof call->status) == sizeof call->status &&
                 read(ends[0], &error_now, sizeof error_now) == sizeof error_now &&
                 read(ends[0], error_text, sizeof error_text) == sizeof error_text;
    if (!whole)
        abort();
    close(ends[0]);
    waitpid(child, NULL, 0);
    call->left = true;
    settle(call, call->status);
}

/* A client of libvirt restarts what a signal interrupts. */
__attribute__((noreturn)) static void be_mute(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (;;)
        pause();
}

static void fail_as_told(struct call *call, const char *words) {
    char *end;
    int domain = (int)strtol(words, &end, 10), code = (int)strtol(end, &end, 10);
    settle(call, fail(domain, code, "%s", end + strspn(end, " ")));
}

static void go_wrong(struct call *call, virConnectPtr connection, const char *action, bool after) {
    size_t word = strcspn(action, " ");
    const char *rest = action[word] ? action + word + 1 : "";
    if (strncmp(action, "wait", word) == 0) {
        wait_at(rest);
    } else if (strncmp(action, "mute", word) == 0) {
        be_mute();
    } else if (strncmp(action, "fail", word) == 0) {
        fail_as_told(call, rest);
    } else if (strncmp(action, "lose", word) == 0) {
        restart_daemon();
        settle(call, lost(connection, after));
    } else if (strncmp(action, "forget", 6) == 0) {
        affect(call, strcmp(action, "forget") == 0         ? lose_device
                     : strcmp(action, "forget-early") == 0 ? half_attach
                                                           : begin_attach);
        restart_daemon();
        settle(call, lost(connection, true));
    } else if (strncmp(action, "deaf", word) == 0) {
        settle(call, 0);
    } else if (strncmp(action, "refuse", word) == 0) {
        settle(call, affect(call, refuse));
    } else if (strncmp(action, "drop", word) == 0) {
        affect(call, detach);
    } else if (strncmp(action, "linger", word) == 0) {
        leave_to_daemon(call);
    } else {
        fprintf(stderr, "the stand-in for libvirt: no such fault: %s\n", action);
        abort();
    }
}

static void go_through(struct call *call, virConnectPtr connection, const char *when) {
    size_t length = strlen(when);
    for (size_t i = 0; i < call->fault_count; i++)
        if (strncmp(call->faults[i], when, length) == 0 && (!call->over || *when == 'a'))
            go_wrong(call, connection, call->faults[i] + length + 1, *when == 'a');
}

/* ---- begin and end of a call ---- */

static void begin(struct call *call, virConnectPtr connection, const char *name, const char *vm) {
    killer_step ? killer_step(name) : (void)0;
    killer_pause ? killer_pause(true) : (void)0;
    *call = (struct call){.name = name, .vm = vm, .job = -1, .results = -1};
    virResetLastError();
    raise_limit(RLIMIT_NOFILE, &call->files);
    raise_limit(RLIMIT_FSIZE, &call->size);
    int lock = world_lock("lock");
    find_faults(call);
    world_unlock(lock);
    if (connection && !is_alive(connection))
        settle(call, lost(connection, false));
}

static void put_result(const struct call *call) {
    char path[WORLD_PATH], line[2048], device[ELEMENTS_NAME + 1] = "";
    struct elements_one read;
    if (call->device && elements_read(call->device, &read))
        snprintf(device, sizeof device, " %s", read.name);
    int size = snprintf(line, sizeof line, "%s%s%s%s: %s\n", call->name, call->vm ? " " : "",
                        call->vm ? call->vm : "", device, call->status < 0 ? error_text : "done");
    int fd = open(world_path(path, "calls"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    (void)!write(fd, line, (size_t)size);
    close(fd);
}

/* The daemon that went on without its caller, who may be gone. */
__attribute__((noreturn)) static void end_daemon(const struct call *call) {
    signal(SIGPIPE, SIG_IGN);
    (void)!write(call->results, &call->status, sizeof call->status);
    (void)!write(call->results, &error_now, sizeof error_now);
    (void)!write(call->results, error_text, sizeof error_text);
    _exit(0);
}

static int end(struct call *call, virConnectPtr connection) {
    if (!call->left && call->status == 0)
        go_through(call, connection, "after");
    if (!call->left)
        put_result(call);
    world_unlock(call->job);
    if (call->results >= 0)
        end_daemon(call);
    setrlimit(RLIMIT_NOFILE, &call->files);
    setrlimit(RLIMIT_FSIZE, &call->size);
    killer_pause ? killer_pause(false) : (void)0;
    return call->status;
}

/* Returns true when the call is still to be done. */
static bool go_ahead(struct call *call, virConnectPtr connection) {
    if (!call->over)
        go_through(call, connection, "before");
    return !call->over;
}

/* ---- connections ---- */

/* A client of libvirt needs descriptors, the daemon none of the caller's. */
static int open_socket(void) {
    int ends[2];
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0 && pipe2(ends, O_CLOEXEC) == 0) {
        close(ends[0]);
        close(ends[1]);
        return fd;
    }
    fail(VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR, "Failed to create socket: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connect_daemon(virConnectPtr connection) {
    connection->daemon = daemon_now();
    if (connection->daemon == 0)
        return fail(VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR,
                    "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Connection "
                    "refused");
    return 0;
}

virConnectPtr virConnectOpen(const char *uri) {
    struct call call;
    virConnectPtr connection = calloc(1, sizeof *connection);
    int fd = open_socket();
    (void)uri;
    if (!connection || fd < 0) {
        free(connection);
        return NULL;
    }
    connection->socket = fd;
    begin(&call, NULL, "open", NULL);
    if (go_ahead(&call, connection))
        settle(&call, connect_daemon(connection));
    if (end(&call, connection) == 0)
        return connection;
    close(fd);
    free(connection);
    return NULL;
}

int virConnectClose(virConnectPtr connection) {
    close(connection->socket);
    free(connection);
    return 0;
}

/* ---- VMs ---- */

struct lookup {
    const char *tag, *wanted; /* NULL: all */
    bool only_running;
    virConnectPtr connection;
    virDomainPtr *found;
    int count;
};

static bool is_wanted(const struct lookup *lookup, const char *xml) {
    size_t length = lookup->wanted ? strlen(lookup->wanted) : 0;
    const char *text = lookup->wanted ? strstr(xml, lookup->tag) : NULL;
    if (lookup->only_running && !runs(xml))
        return false;
    if (!lookup->wanted)
        return true;
    text = text ? text + strlen(lookup->tag) : "";
    return strncasecmp(text, lookup->wanted, length) == 0 && text[length] == '<';
}

static bool look(void *context, const char *name, char *xml) {
    struct lookup *lookup = context;
    if (!is_wanted(lookup, xml))
        return false;
    virDomainPtr domain = calloc(1, sizeof *domain);
    lookup->found = realloc(lookup->found, (size_t)(lookup->count + 2) * sizeof(*lookup->found));
    if (!domain || !lookup->found)
        abort();
    domain->connection = lookup->connection;
    domain->id = id_of(xml);
    snprintf(domain->name, sizeof domain->name, "%s", name);
    const char *uuid = strstr(xml, "<uuid>");
    snprintf(domain->uuid, sizeof domain->uuid, "%.36s", uuid ? uuid + strlen("<uuid>") : "");
    lookup->found[lookup->count++] = domain;
    return lookup->wanted != NULL;
}

static int look_up(struct lookup *lookup) {
    world_vms(look, lookup);
    if (lookup->wanted && lookup->count == 0)
        return fail(VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN,
                    "Domain not found: no domain with matching %s '%s'",
                    strcmp(lookup->tag, "<uuid>") == 0 ? "uuid" : "name", lookup->wanted);
    return 0;
}

static virDomainPtr find_one(struct lookup *lookup) {
    struct call call;
    virDomainPtr domain = NULL;
    begin(&call, lookup->connection, "lookup", lookup->wanted);
    if (go_ahead(&call, lookup->connection))
        settle(&call, look_up(lookup));
    if (end(&call, lookup->connection) == 0)
        domain = lookup->found[0];
    else if (lookup->count > 0)
        free(lookup->found[0]);
    free(lookup->found);
    return domain;
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char *uuid) {
    struct lookup lookup = {.tag = "<uuid>", .wanted = uuid, .connection = connection};
    if (strlen(uuid) == VIR_UUID_STRING_BUFLEN - 1)
        return find_one(&lookup);
    fail(VIR_FROM_NONE, VIR_ERR_INVALID_ARG,
         "invalid argument: uuidstr in virDomainLookupByUUIDString must be a valid UUID");
    return NULL;
}

virDomainPtr virDomainLookupByName(virConnectPtr connection, const char *name) {
    struct lookup lookup = {.tag = "<name>", .wanted = name, .connection = connection};
    return find_one(&lookup);
}

int virConnectListAllDomains(virConnectPtr connection, virDomainPtr **domains, unsigned int flags) {
    struct call call;
    struct lookup lookup = {.only_running = flags & VIR_CONNECT_LIST_DOMAINS_ACTIVE,
                            .connection = connection,
                            .found = calloc(1, sizeof(virDomainPtr))};
    begin(&call, connection, "list", NULL);
    if (go_ahead(&call, connection))
        settle(&call, look_up(&lookup));
    if (end(&call, connection) == 0) {
        *domains = lookup.found;
        return lookup.count;
    }
    while (lookup.count > 0)
        free(lookup.found[--lookup.count]);
    free(lookup.found);
    return -1;
}

int virDomainFree(virDomainPtr domain) {
    free(domain);
    return 0;
}

int virDomainGetUUIDString(virDomainPtr domain, char *text) {
    snprintf(text, VIR_UUID_STRING_BUFLEN, "%s", domain->uuid);
    return 0;
}

unsigned virDomainGetID(virDomainPtr domain) {
    return domain->id;
}

/* The file of a VM's definition: its XML when it is shut off, or a transient VM. */
static char *definition_path(char path[WORLD_PATH], const char *vm) {
    char *xml = world_read(world_path(path, "vms/%s.xml", vm));
    bool is_running = xml && runs(xml);
    free(xml);
    world_path(path, "definitions/%s.xml", vm);
    return is_running && access(path, F_OK) == 0 ? path : world_path(path, "vms/%s.xml", vm);
}

/* As libvirt waits for the job of the VM before it gives its XML. */
static bool is_busy(const char *vm) {
    static const struct timespec pause = {.tv_nsec = JOB_STEP_NS};
    char path[WORLD_PATH];
    const char *file = world_path(path, "busy/%s", vm);
    for (long left = JOB_MS * 1000000L / JOB_STEP_NS; access(file, F_OK) == 0; left--) {
        char *text = world_read(file);
        bool waits = text && strcmp(text, "wait") == 0 && left > 0;
        free(text);
        if (!waits)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags) {
    char path[WORLD_PATH], *xml = NULL;
    struct call call;
    begin(&call, domain->connection, "xml", domain->name);
    if (!call.over && is_busy(domain->name))
        settle(&call, fail(VIR_FROM_QEMU, VIR_ERR_OPERATION_TIMEOUT,
                           "Timed out during operation: cannot acquire state change lock (held by "
                           "monitor=remoteDispatchDomainAttachDeviceFlags)"));
    if (go_ahead(&call, domain->connection)) {
        xml = flags & VIR_DOMAIN_XML_INACTIVE
                  ? world_read(definition_path(path, domain->name))
                  : world_read(world_path(path, "vms/%s.xml", domain->name));
        settle(&call, xml ? 0
                          : fail(VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN,
                                 "Domain not found: no domain with matching uuid '%s' (%s)",
                                 domain->uuid, domain->name));
    }
    if (end(&call, domain->connection) == 0)
        return xml;
    free(xml);
    return NULL;
}

/* A VM of that XML, which is none of `vms/`, is neither. */
static bool is_active(const char *vm) {
    char path[WORLD_PATH];
    char *xml = world_read(world_path(path, "vms/%s.xml", vm));
    bool is = xml && runs(xml);
    free(xml);
    return is;
}

static bool is_persistent(const char *vm) {
    char path[WORLD_PATH];
    return !is_active(vm) || access(world_path(path, "definitions/%s.xml", vm), F_OK) == 0;
}

static int ask(virDomainPtr domain, const char *name, bool (*is)(const char *vm)) {
    struct call call;
    int answer = 0;
    begin(&call, domain->connection, name, domain->name);
    if (go_ahead(&call, domain->connection)) {
        answer = is(domain->name);
        settle(&call, 0);
    }
    return end(&call, domain->connection) == 0 ? answer : -1;
}

static bool is_saved(const char *vm) {
    char path[WORLD_PATH];
    return access(world_path(path, "saved/%s", vm), F_OK) == 0;
}

int virDomainIsActive(virDomainPtr domain) {
    return ask(domain, "active", is_active);
}

int virDomainIsPersistent(virDomainPtr domain) {
    return ask(domain, "persistent", is_persistent);
}

int virDomainHasManagedSaveImage(virDomainPtr domain, unsigned int flags) {
    (void)flags;
    return ask(domain, "saved", is_saved);
}

/* False: it is as usual. */
static bool read_state(const char *vm, int *state, int *reason) {
    char path[WORLD_PATH];
    char *text = world_read(world_path(path, "states/%s", vm));
    /* NOLINTNEXTLINE(cert-err34-c): numbers of a test */
    bool is = text && sscanf(text, "%d %d", state, reason) == 2;
    free(text);
    return is;
}

static int get_state(const char *vm, int *state, int *reason) {
    char path[WORLD_PATH];
    if (read_state(vm, state, reason))
        return 0;
    char *xml = world_read(world_path(path, "vms/%s.xml", vm));
    if (!xml)
        return fail(VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN, "Domain not found: no domain called '%s'",
                    vm);
    *state = runs(xml) ? VIR_DOMAIN_RUNNING : VIR_DOMAIN_SHUTOFF;
    *reason = VIR_DOMAIN_RUNNING_BOOTED;
    free(xml);
    return 0;
}

int virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags) {
    struct call call;
    (void)flags;
    begin(&call, domain->connection, "state", domain->name);
    if (go_ahead(&call, domain->connection))
        settle(&call, get_state(domain->name, state, reason));
    return end(&call, domain->connection);
}

/* ---- what changes a VM ---- */

/* Its memory is on its way: libvirt has a job that lets no other change it. */
static bool is_migrating(const char *vm) {
    int state, reason;
    return read_state(vm, &state, &reason) && state == VIR_DOMAIN_PAUSED &&
           reason == VIR_DOMAIN_PAUSED_MIGRATION;
}

/* The VM's job, which one call at a time may have. */
static void take_job(struct call *call) {
    static const struct timespec pause = {.tv_nsec = JOB_STEP_NS};
    const char *limit = getenv("FAKE_JOB_MS");
    char path[WORLD_PATH];
    long left = (limit ? strtol(limit, NULL, 10) : JOB_MS) * 1000000 / JOB_STEP_NS;
    call->job = open(world_path(path, "job.%s", call->vm), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (is_migrating(call->vm) || flock(call->job, LOCK_EX | LOCK_NB) != 0) {
        if (left-- <= 0) {
            settle(call, fail(VIR_FROM_QEMU, VIR_ERR_OPERATION_TIMEOUT,
                              "Timed out during operation: cannot acquire state change lock (held "
                              "by monitor=remoteDispatchDomainAttachDeviceFlags)"));
            return;
        }
        nanosleep(&pause, NULL);
    }
}

static int change(virDomainPtr domain, const char *name, const char *device, vm_effect *effect) {
    struct call call;
    begin(&call, domain->connection, name, domain->name);
    call.device = device;
    if (!call.over)
        take_job(&call);
    if (go_ahead(&call, domain->connection))
        settle(&call, affect(&call, effect));
    return end(&call, domain->connection);
}

typedef char *definition_effect(const char *xml, const char *element,
                                struct definition_failure *failure);

static char *put_mark(const char *xml, const char *element, struct definition_failure *failure) {
    (void)failure;
    return definition_set_metadata(xml, element, "vr", "urn:virt-rules:defined:1");
}

/* In one step, as others see it. */
static int redefine(const char *vm, const char *element, definition_effect *effect) {
    char path[WORLD_PATH];
    struct definition_failure failure;
    int lock = world_lock("lock"), status = -1;
    char *xml = is_persistent(vm) ? world_read(definition_path(path, vm)) : NULL;
    char *text = xml ? effect(xml, element, &failure) : NULL;
    if (!xml)
        fail(VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID,
             "Requested operation is not valid: transient domains do not have any persistent "
             "config");
    else if (!text)
        fail(VIR_FROM_QEMU, failure.code, "%s", failure.message);
    else
        status = 0;
    if (text)
        world_write(path, text);
    free(text);
    free(xml);
    world_unlock(lock);
    return status;
}

static int change_definition(virDomainPtr domain, const char *name, const char *element,
                             definition_effect *effect) {
    struct call call;
    begin(&call, domain->connection, name, domain->name);
    call.device = element;
    if (!call.over)
        take_job(&call);
    if (go_ahead(&call, domain->connection))
        settle(&call, redefine(domain->name, element, effect));
    return end(&call, domain->connection);
}

int virDomainAttachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags) {
    if (flags == VIR_DOMAIN_AFFECT_CONFIG)
        return change_definition(domain, "attach-defined", xml, definition_attach);
    return change(domain, "attach", xml, attach);
}

int virDomainDetachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags) {
    if (flags == VIR_DOMAIN_AFFECT_CONFIG)
        return change_definition(domain, "detach-defined", xml, definition_detach);
    return change(domain, "detach", xml, detach);
}

int virDomainSetMetadata(virDomainPtr domain, int type, const char *metadata, const char *key,
                         const char *uri, unsigned int flags) {
    bool is_ours = type == VIR_DOMAIN_METADATA_ELEMENT && (!metadata || !strcmp(key, "vr")) &&
                   !strcmp(uri, "urn:virt-rules:defined:1") && flags == VIR_DOMAIN_AFFECT_CONFIG;
    if (!is_ours)
        return fail(VIR_FROM_QEMU, VIR_ERR_INVALID_ARG, "invalid argument: not our metadata");
    return change_definition(domain, "mark", metadata, put_mark);
}

int virDomainReset(virDomainPtr domain, unsigned int flags) {
    (void)flags;
    return change(domain, "reset", NULL, restart_guest);
}

int virDomainReboot(virDomainPtr domain, unsigned int flags) {
    (void)flags;
    return change(domain, "reboot", NULL, restart_guest);
}

/* ---- events ---- */

enum { CALLBACKS = 16, TIMERS = 16, TURN_NS = 1000000 };

static struct callback {
    virConnectPtr connection; /* NULL: free */
    char vm[256];
    int event;
    virConnectDomainEventGenericCallback function;
    void *data;
} callbacks[CALLBACKS];

static struct timer {
    virEventTimeoutCallback function; /* NULL: free */
    int64_t due;                      /* milliseconds; -1: never */
    void *data;
} timers[TIMERS];

static bool has_loop;
static size_t told; /* bytes of the file events */

int virEventRegisterDefaultImpl(void) {
    has_loop = true;
    return 0;
}

/* As the caller sees time. */
static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int virEventAddTimeout(int milliseconds, virEventTimeoutCallback function, void *data,
                       virFreeCallback free_data) {
    (void)free_data;
    for (int i = 0; has_loop && i < TIMERS; i++)
        if (!timers[i].function) {
            timers[i] =
                (struct timer){function, milliseconds < 0 ? -1 : now_ms() + milliseconds, data};
            return i;
        }
    return fail(VIR_FROM_EVENT, VIR_ERR_NO_SUPPORT, "no event loop");
}

int virEventRemoveTimeout(int timer) {
    timers[timer].function = NULL;
    return 0;
}

int virConnectIsAlive(virConnectPtr connection) {
    return is_alive(connection);
}

static size_t events_size(void) {
    char path[WORLD_PATH];
    struct stat events;
    return stat(world_path(path, "events"), &events) == 0 ? (size_t)events.st_size : 0;
}

static int listen_to(const struct callback *callback) {
    bool first = true;
    for (int i = 0; i < CALLBACKS; i++)
        first = first && !callbacks[i].connection;
    if (first)
        told = events_size();
    for (int i = 0; i < CALLBACKS; i++)
        if (!callbacks[i].connection) {
            callbacks[i] = *callback;
            return i;
        }
    return fail(VIR_FROM_REMOTE, VIR_ERR_INTERNAL_ERROR, "too many callbacks");
}

int virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain, int event,
                                     virConnectDomainEventGenericCallback function, void *data,
                                     virFreeCallback free_data) {
    struct callback callback = {
        .connection = connection, .event = event, .function = function, .data = data};
    struct call call;
    (void)free_data;
    snprintf(callback.vm, sizeof callback.vm, "%s", domain->name);
    begin(&call, connection, "watch", domain->name);
    if (go_ahead(&call, connection))
        settle(&call, listen_to(&callback));
    if (call.status >= 0) {
        int number = call.status;
        call.status = 0;
        return end(&call, connection) == 0 ? number : -1;
    }
    return end(&call, connection);
}

int virConnectDomainEventDeregisterAny(virConnectPtr connection, int number) {
    (void)connection;
    callbacks[number].connection = NULL;
    return 0;
}

static void dispatch(const struct callback *callback, const char *kind, const char *alias) {
    /* Each kind of event has a type of its own. */
    void (*function)(void) = (void (*)(void))callback->function;
    bool removed = callback->event == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED;
    bool refused = callback->event == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED;
    if (callback->event == VIR_DOMAIN_EVENT_ID_LIFECYCLE && strcmp(kind, "stopped") == 0)
        ((virConnectDomainEventCallback)function)(callback->connection, NULL,
                                                  VIR_DOMAIN_EVENT_STOPPED, 0, callback->data);
    if (callback->event == VIR_DOMAIN_EVENT_ID_LIFECYCLE && strcmp(kind, "resumed") == 0)
        ((virConnectDomainEventCallback)function)(callback->connection, NULL,
                                                  VIR_DOMAIN_EVENT_RESUMED, 0, callback->data);
    if ((removed && strcmp(kind, "removed") == 0) || (refused && strcmp(kind, "refused") == 0))
        ((virConnectDomainEventDeviceRemovedCallback)function)(callback->connection, NULL, alias,
                                                               callback->data);
}

static void dispatch_line(const char *line) {
    char kind[32], vm[256], alias[64] = "";
    /* NOLINTNEXTLINE(cert-err34-c): words only */
    if (sscanf(line, "%31s %255s %63s", kind, vm, alias) < 2)
        return;
    for (int i = 0; i < CALLBACKS; i++)
        if (callbacks[i].connection && strcmp(callbacks[i].vm, vm) == 0 &&
            is_alive(callbacks[i].connection))
            dispatch(&callbacks[i], kind, alias);
}

/* Returns whether there was anything. */
static bool dispatch_events(void) {
    char path[WORLD_PATH], *rest;
    size_t size = events_size();
    if (size <= told)
        return false;
    char *text = world_read(world_path(path, "events"));
    text[size] = '\0';
    for (char *line = strtok_r(text + told, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        dispatch_line(line);
    told = size;
    free(text);
    return true;
}

static bool fire_timers(void) {
    bool fired = false;
    for (int i = 0; i < TIMERS; i++)
        if (timers[i].function && timers[i].due >= 0 && timers[i].due <= now_ms()) {
            timers[i].due = -1;
            timers[i].function(i, timers[i].data);
            fired = true;
        }
    return fired;
}

static bool is_one_lost(void) {
    for (int i = 0; i < CALLBACKS; i++)
        if (callbacks[i].connection && !is_alive(callbacks[i].connection))
            return true;
    return false;
}

int virEventRunDefaultImpl(void) {
    static const struct timespec turn = {.tv_nsec = TURN_NS};
    killer_step ? killer_step("events") : (void)0;
    while (!dispatch_events() && !fire_timers() && !is_one_lost()) {
        killer_pause ? killer_pause(true) : (void)0;
        nanosleep(&turn, NULL);
        killer_pause ? killer_pause(false) : (void)0;
        killer_waited ? killer_waited(turn.tv_nsec) : (void)0;
    }
    return 0;
}
