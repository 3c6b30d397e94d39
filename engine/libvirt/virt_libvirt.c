#include "engine/libvirt/virt_libvirt.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/model/domain.h"
#include "lexer/memory.h"

#include <ctype.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SYNOLOGY "/var/packages/Virtualization/target"

enum { EVENT_KINDS = 3 };

/*
 * Events come on a connection of their own, which lives from one watch() to the next. With an event
 * loop libvirtd sends a connection "are you there?" every 5 s and closes it when 5 of them were not
 * answered; the answer comes from the loop, which runs in wait() only. A connection made before the
 * loop is registered is not asked: the engine may sleep for minutes between two calls. Another
 * connection costs two milliseconds, and only those who wait for a guest pay it.
 */
struct virt_libvirt_watcher {
    virConnectPtr connection;   /* NULL: nothing is watched, or libvirt cannot tell */
    int callbacks[EVENT_KINDS]; /* -1: the daemon does not know the event */
    struct virt_news *news;     /* came and was not asked for yet; the first `told` were */
    size_t count, told;
};

struct libvirt {
    struct virt virt;
    struct libvirt_api api;
    char *uri;
    virConnectPtr connection; /* NULL after it was lost: the next call makes it anew */
    struct virt_libvirt_watcher watcher;
};

/* ---- what an error means ---- */

enum { ANY = -1 };

#define HINT_CONNECTION                                                                            \
    "is libvirtd (or virtqemud) running? Try 'virsh -c qemu:///system list' as the same user"

#define HINT_GROUP                                                                                 \
    "another device of its IOMMU group is still on a host driver: pass the whole group ('with "    \
    "group'), or move the card to another slot"
#define HINT_PORT                                                                                  \
    "the VM has no free port: shut it down, add <controller type='pci' model='pcie-root-port'/> "  \
    "with 'virsh edit', start it"
#define HINT_IOMMU                                                                                 \
    "turn on the IOMMU: VT-d or AMD-Vi in the firmware, and intel_iommu=on (Intel) on the "        \
    "kernel's command line"
#define HINT_VFIO                                                                                  \
    "load vfio-pci ('modprobe vfio-pci') and turn on the IOMMU: VT-d or AMD-Vi in the firmware, "  \
    "intel_iommu=on (Intel) on the kernel's command line"
#define HINT_RMRR                                                                                  \
    "dmesg says why: with RMRR the firmware keeps memory of the device, turn that off there or "   \
    "use another slot; without interrupt remapping update the firmware"
#define HINT_RESET                                                                                 \
    "libvirt cannot reset it alone: pass all functions of the card together ('with group')"
#define HINT_USB_PORTS                                                                             \
    "the VM has no free USB port: shut it down, add <controller type='usb' model='qemu-xhci' "     \
    "ports='15'/> with 'virsh edit', start it"
#define HINT_USB_GONE "it was unplugged or came back with another number or id: see lsusb"
#define HINT_USB_OPEN                                                                              \
    "qemu cannot open the device: it was unplugged, or qemu may not: see lsusb, and dmesg for "    \
    "denials"
#define HINT_MEMORY "the VM's memory cannot be locked: raise <memtune><hard_limit>, or see dmesg"
#define HINT_TRANSLATED                                                                            \
    "the daemon translates its messages, so their meaning is not known here: set LC_ALL=C for it " \
    "('systemctl edit libvirtd', Environment=LC_ALL=C)"

/* Texts of libvirt 0.10 to 12 and of qemu, which never translates; libvirt's daemon does. The first
 * row that matches counts; `text` is a part of the message, in any case. */
static const struct virt_libvirt_meaning {
    int domain, code;
    const char *text; /* NULL: any */
    enum virt_error_kind failure;
    const char *hint;
} meanings[] = {
    {ANY, VIR_ERR_OPERATION_TIMEOUT, NULL, VIRT_PASSES,
     "something else works on the VM; 'virsh domjobinfo VM' shows what"},
    {ANY, ANY, "state change lock", VIRT_PASSES,
     "something else works on the VM; 'virsh domjobinfo VM' shows what"},
    {ANY, VIR_ERR_NO_DOMAIN, NULL, VIRT_NO_DOMAIN, "'virsh list --all --title' lists the VMs"},
    {ANY, VIR_ERR_AUTH_FAILED, NULL, VIRT_UNREACHABLE, "run it as root"},
    {ANY, VIR_ERR_AUTH_CANCELLED, NULL, VIRT_UNREACHABLE, "run it as root"},
    {ANY, VIR_ERR_AUTH_UNAVAILABLE, NULL, VIRT_UNREACHABLE, "run it as root"},
    {VIR_FROM_RPC, ANY, "too many open files", VIRT_UNREACHABLE,
     "raise the limit on open files: ulimit -n"},
    {VIR_FROM_RPC, ANY, "permission denied", VIRT_UNREACHABLE, "run it as root"},
    {VIR_FROM_RPC, ANY, NULL, VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, VIR_ERR_RPC, NULL, VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, VIR_ERR_NO_CONNECT, NULL, VIRT_UNREACHABLE,
     "is the connection URI right, and the hypervisor's driver installed?"},
    {ANY, VIR_ERR_INVALID_CONN, NULL, VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, ANY, "client socket is closed", VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, ANY, "end of file while reading data", VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, ANY, "cannot recv data", VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, ANY, "cannot write data", VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, ANY, "failed to connect socket", VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, ANY, "keepalive timeout", VIRT_UNREACHABLE, HINT_CONNECTION},
    {ANY, VIR_ERR_OPERATION_INVALID, "is in use", VIRT_HELD,
     "a VM has it, or another device of its IOMMU group: detach it there first"},
    {ANY, VIR_ERR_OPERATION_FAILED, "already exists", VIRT_HELD, "the VM has it already"},
    {ANY, ANY, "domain is not running", VIRT_NOT_RUNNING, "start the VM first"},
    {ANY, ANY, "domain is no longer running", VIRT_NOT_RUNNING, "the VM stopped meanwhile"},
    {ANY, ANY, "inactive domain", VIRT_NOT_RUNNING, "start the VM first"},
    {ANY, ANY, "guest unexpectedly quit", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "unexpectedly closed the monitor", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "end of file from qemu monitor", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "unable to read from monitor", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "unable to write to monitor", VIRT_NOT_RUNNING,
     "the VM's qemu ended: see /var/log/libvirt/qemu/"},
    {ANY, ANY, "duplicate device id", VIRT_FAILED,
     "libvirt lost sight of a device that the VM has, as when its daemon was killed in the middle "
     "of "
     "an attach: shut the VM down and start it again"},
    {ANY, ANY, "is not viable", VIRT_FAILED, HINT_GROUP},
    {ANY, ANY, "error getting device from group", VIRT_FAILED, HINT_GROUP},
    {ANY, ANY, "lacking acs", VIRT_FAILED,
     "the switch above it lets devices reach each other past the IOMMU: move the card to a slot of "
     "the processor's own"},
    {ANY, ANY, "no more available pci", VIRT_FAILED, HINT_PORT},
    {ANY, ANY, "no pci buses available", VIRT_FAILED,
     "the VM's machine type has no PCI: it needs another one, q35 or pc"},
    {ANY, ANY, "support hotplug", VIRT_FAILED, HINT_PORT}, /* of libvirt, and qemu's "...ging" */
    {ANY, ANY, "double use of pci address", VIRT_FAILED,
     "another device took that place in the guest meanwhile: 'virt-rules apply VM' plans again"},
    {ANY, ANY, "already occupied by", VIRT_FAILED,
     "another device took that place in the guest meanwhile: 'virt-rules apply VM' plans again"},
    {ANY, ANY, "support passthrough of host pci", VIRT_FAILED, HINT_IOMMU},
    {ANY, ANY, "device assignment is not supported by the host", VIRT_FAILED, HINT_VFIO},
    {ANY, ANY, "support vfio", VIRT_FAILED, HINT_VFIO},
    {ANY, ANY, "set iommu for container", VIRT_FAILED, HINT_RMRR}, /* VFIO_SET_IOMMU failed */
    {ANY, ANY, "vfio_set_iommu", VIRT_FAILED, HINT_RMRR},
    {ANY, ANY, "ineligible for iommu domain", VIRT_FAILED, HINT_RMRR},
    {ANY, ANY, "error attaching to ioasid", VIRT_FAILED, HINT_RMRR}, /* of IOMMUFD */
    {ANY, ANY, "failed to open /dev/vfio", VIRT_FAILED,
     "another program has the IOMMU group, or qemu may not open it: 'fuser -v /dev/vfio/*', and "
     "see dmesg for denials"},
    {ANY, ANY, "could not open '/dev/vfio", VIRT_FAILED,
     "another program has the IOMMU group, or qemu may not open it: 'fuser -v /dev/vfio/*', and "
     "see dmesg for denials"},
    {ANY, ANY, "no flr, pm reset or bus reset", VIRT_FAILED, HINT_RESET},
    {ANY, ANY, "not doing bus reset", VIRT_FAILED, HINT_RESET},
    {ANY, ANY, "unable to reset pci device", VIRT_FAILED, HINT_RESET},
    {ANY, ANY, "no usb bus", VIRT_FAILED,
     "the VM has no USB controller: shut it down, add <controller type='usb' model='qemu-xhci'/> "
     "with 'virsh edit', start it"},
    {ANY, ANY, "no free usb ports", VIRT_FAILED, HINT_USB_PORTS},
    {ANY, ANY, "bus with no free ports", VIRT_FAILED, HINT_USB_PORTS},
    {ANY, ANY, "speed mismatch trying to attach", VIRT_FAILED,
     "the VM's USB controller is too old for the device: use <controller type='usb' "
     "model='qemu-xhci'/>"},
    /* Each of the two may see a device later than the kernel shows it. */
    {ANY, ANY, "did not find usb device", VIRT_PASSES, HINT_USB_GONE},
    {ANY, ANY, "did not find matching usb", VIRT_PASSES, HINT_USB_GONE}, /* since 12 */
    {ANY, ANY, "failed to find host usb device", VIRT_PASSES, HINT_USB_GONE},
    {ANY, ANY, "failed to open host usb device", VIRT_PASSES, HINT_USB_OPEN},
    {ANY, ANY, "/dev/bus/usb/", VIRT_PASSES, HINT_USB_OPEN},
    {ANY, ANY, "multiple usb devices", VIRT_FAILED,
     "several devices have that id: say which by its 'port' or 'serial'"},
    {ANY, ANY, "non-endpoint pci", VIRT_FAILED,
     "a bridge cannot be passed: name the device behind it"},
    {ANY, ANY, "guest is busy", VIRT_PASSES,
     "the guest is at work on that slot, and has not finished yet"},
    {ANY, ANY, "already in the process of unplug", VIRT_PASSES,
     "the guest was asked to let it go, and has not answered yet"},
    {ANY, ANY, "rejected by the guest", VIRT_REFUSED,
     "stop its use in the guest, or shut the VM down"},
    {ANY, ANY, "cause is unknown", VIRT_FAILED,
     "most often the device's address is gone: see 'virt-rules devices'"},
    {ANY, ANY, "failed to bind", VIRT_FAILED,
     "is vfio-pci loaded? 'modprobe vfio-pci', then see dmesg"},
    {ANY, ANY, "vfio_map_dma", VIRT_FAILED, HINT_MEMORY},
    {ANY, ANY, "vfio_container_dma_map", VIRT_FAILED, HINT_MEMORY},
    {ANY, ANY, "memory listener initialization failed", VIRT_FAILED, HINT_MEMORY},
    {ANY, ANY, "limit locked memory", VIRT_FAILED, HINT_MEMORY},
    {ANY, ANY, NULL, VIRT_FAILED, ""},
};

static bool virt_libvirt_means(const struct virt_libvirt_meaning *meaning, int domain, int code,
                               const char *message) {
    return (meaning->domain == ANY || meaning->domain == domain) &&
           (meaning->code == ANY || meaning->code == code) &&
           (!meaning->text || strcasestr(message, meaning->text));
}

/* On one line and cut between two characters. */
static void virt_libvirt_put_message(struct virt_error *error, const char *message) {
    size_t length = strlen(message);

    if (length >= sizeof error->failure.message) {
        length = sizeof error->failure.message - 1;
        while (length > 0 && ((unsigned char)message[length] & 0xc0) == 0x80)
            length--;
    }
    for (size_t i = 0; i < length; i++) {
        char c = message[i];

        error->failure.message[i] = (char)(iscntrl((unsigned char)c) ? ' ' : c);
    }
    while (length > 0 && error->failure.message[length - 1] == ' ')
        length--;
    error->failure.message[length] = '\0';
}

/* English needs no other characters; names of VMs and devices may have them, which does not matter
 * to a hint. */
static bool virt_libvirt_is_translated(const char *message) {
    while (*message && isascii((unsigned char)*message))
        message++;
    return *message;
}

void virt_libvirt_error(struct virt_error *error, int domain, int code, const char *message) {
    const struct virt_libvirt_meaning *meaning = meanings;

    if (!message)
        message = "libvirt gave no reason";
    while (!virt_libvirt_means(meaning, domain, code, message))
        meaning++;
    error->kind = meaning->failure;
    error->code = code;
    virt_libvirt_put_message(error, message);
    snprintf(error->failure.hint, sizeof error->failure.hint, "%s",
             !*meaning->hint && virt_libvirt_is_translated(message) ? HINT_TRANSLATED
                                                                    : meaning->hint);
}

/* An error that is not libvirt's. */
__attribute__((format(printf, 4, 5))) static int virt_libvirt_fail(struct virt_error *error,
                                                                   enum virt_error_kind kind,
                                                                   const char *hint,
                                                                   const char *format, ...) {
    va_list arguments;
    char message[2048];

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    error->kind = kind;
    error->code = 0;
    virt_libvirt_put_message(error, message);
    snprintf(error->failure.hint, sizeof error->failure.hint, "%s", hint);
    return -1;
}

/* ---- the library ---- */

#define SYMBOL(name, member)                                                                       \
    { name, offsetof(struct libvirt_api, member) }

struct symbol {
    const char *name;
    size_t offset;
};

static const struct symbol symbols[] = {
    SYMBOL("virInitialize", initialize),
    SYMBOL("virSetErrorFunc", set_error_function),
    SYMBOL("virGetLastError", last_error),
    SYMBOL("virResetLastError", reset_last_error),
    SYMBOL("virConnectOpen", open),
    SYMBOL("virConnectClose", close),
    SYMBOL("virConnectListAllDomains", list_domains),
    SYMBOL("virDomainLookupByUUIDString", lookup_by_uuid),
    SYMBOL("virDomainLookupByName", lookup_by_name),
    SYMBOL("virDomainGetUUIDString", uuid),
    SYMBOL("virDomainGetID", id),
    SYMBOL("virDomainGetXMLDesc", xml),
    SYMBOL("virDomainAttachDeviceFlags", attach),
    SYMBOL("virDomainDetachDeviceFlags", detach),
    SYMBOL("virDomainReset", reset),
    SYMBOL("virDomainReboot", reboot),
    SYMBOL("virDomainFree", free),
    SYMBOL("virGetVersion", version),
    SYMBOL("virConnectGetLibVersion", daemon_version),
    SYMBOL("virConnectGetURI", connection_uri),
};

/* Nothing but wait() is less without them. */
static const struct symbol event_symbols[] = {
    SYMBOL("virConnectIsAlive", is_alive),
    SYMBOL("virConnectDomainEventRegisterAny", register_event),
    SYMBOL("virConnectDomainEventDeregisterAny", deregister_event),
    SYMBOL("virEventRegisterDefaultImpl", register_loop),
    SYMBOL("virEventRunDefaultImpl", run_loop),
    SYMBOL("virEventAddTimeout", add_timeout),
    SYMBOL("virEventRemoveTimeout", remove_timeout),
};

/* The library stays loaded to the end of the process: libvirt cannot be unloaded. */
static void *virt_libvirt_load(const char *const *libraries, struct virt_error *error) {
    char tried[1024] = "", why[512] = "";
    size_t length = 0;

    for (; *libraries; libraries++) {
        void *library = dlopen(*libraries, RTLD_NOW | RTLD_LOCAL);

        if (library)
            return library;
        /* A library that is there but does not load says more than the first that is not. */
        if (!*why || access(*libraries, F_OK) == 0)
            snprintf(why, sizeof why, "%s", dlerror());
        if (length < sizeof tried)
            length += (size_t)snprintf(tried + length, sizeof tried - length, "%s%s",
                                       length ? ", " : "", *libraries);
    }
    virt_libvirt_fail(
        error, VIRT_UNREACHABLE,
        "install libvirt (Debian: libvirt0; Synology: Virtual Machine Manager), or put its folder "
        "into LD_LIBRARY_PATH",
        "the libvirt library does not load: %s; tried %s", why, tried);
    return NULL;
}

static bool virt_libvirt_resolve_one(struct libvirt_api *api, void *library,
                                     const struct symbol *symbol) {
    void *address = dlsym(library, symbol->name);

    memcpy((char *)api + symbol->offset, &address, sizeof address);
    return address;
}

static int virt_libvirt_resolve(struct libvirt_api *api, void *library, struct virt_error *error) {
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!virt_libvirt_resolve_one(api, library, &symbols[i]))
            return virt_libvirt_fail(error, VIRT_UNREACHABLE, "libvirt 0.9.13 or newer is needed",
                                     "the libvirt library has no %s", symbols[i].name);
    for (size_t i = 0; i < sizeof event_symbols / sizeof *event_symbols; i++)
        virt_libvirt_resolve_one(api, library, &event_symbols[i]);
    return 0;
}

/* ---- the connection ---- */

static struct libvirt *virt_libvirt_of(struct virt *virt) {
    return (struct libvirt *)virt;
}

static void virt_libvirt_disconnect(struct libvirt *self) {
    if (self->connection)
        self->api.close(self->connection);
    self->connection = NULL;
}

/* What the call that has just failed says. Returns -1. */
static int virt_libvirt_explain(const struct libvirt *self, struct virt_error *error) {
    virErrorPtr last = self->api.last_error();

    virt_libvirt_error(error, last ? last->domain : 0, last ? last->code : 0,
                       last ? last->message : NULL);
    self->api.reset_last_error();
    return -1;
}

/* The same, and a lost connection is closed. */
static int virt_libvirt_failed(struct libvirt *self, struct virt_error *error) {
    virt_libvirt_explain(self, error);
    if (error->kind == VIRT_UNREACHABLE)
        virt_libvirt_disconnect(self);
    return -1;
}

/* Returns NULL with `error`. */
static virConnectPtr virt_libvirt_connect_to(const struct libvirt *self, struct virt_error *error) {
    virConnectPtr connection = self->api.open(self->uri);

    if (connection)
        return connection;
    virt_libvirt_explain(self, error);
    error->kind = VIRT_UNREACHABLE;
    if (!*error->failure.hint)
        snprintf(error->failure.hint, sizeof error->failure.hint, "%s", HINT_CONNECTION);
    return NULL;
}

static int virt_libvirt_connect_once(struct libvirt *self, struct virt_error *error) {
    if (!self->connection)
        self->connection = virt_libvirt_connect_to(self, error);
    return self->connection ? 0 : -1;
}

/* libvirt would print to stderr what we report ourselves. */
static void virt_libvirt_ignore_error(void *data, virErrorPtr error) {
    (void)data, (void)error;
}

static void virt_libvirt_ignore_signal(int number) {
    (void)number;
}

/* libvirt writes to its socket without MSG_NOSIGNAL: a daemon that dies would kill us. A handler,
 * and not SIG_IGN, is not inherited by programs that we start. */
static void virt_libvirt_survive_broken_pipe(void) {
    struct sigaction now,
        action = {.sa_handler = virt_libvirt_ignore_signal, .sa_flags = SA_RESTART};

    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        sigaction(SIGPIPE, &action, NULL);
}

/* ---- the operations ---- */

/* True when the lookup that has just failed failed because there is no such VM. */
static bool virt_libvirt_no_such_domain(const struct libvirt *self) {
    virErrorPtr last = self->api.last_error();

    return last && (last->code == VIR_ERR_NO_DOMAIN || last->code == VIR_ERR_INVALID_ARG);
}

static void virt_libvirt_free_domains(const struct libvirt *self, virDomainPtr *domains, int count,
                                      virDomainPtr but) {
    for (int i = 0; i < count; i++)
        if (domains[i] != but)
            self->api.free(domains[i]);
    free(domains);
}

/* Whether the VM with that UUID runs now: libvirt's handle of it knows only how it was. */
static bool virt_libvirt_runs_now(const struct libvirt *self, const char *uuid) {
    virDomainPtr domain = self->api.lookup_by_uuid(self->connection, uuid);
    bool runs = domain && self->api.id(domain) != (unsigned)-1;

    if (domain)
        self->api.free(domain);
    else
        self->api.reset_last_error();
    return runs;
}

/*
 * A daemon that translates its messages, or one of tomorrow, says in words that are not known here
 * what its code says coarsely; so the VM is looked at. To whom the device belongs the other VMs'
 * XML tells.
 */
static void virt_libvirt_look_behind(const struct libvirt *self, const char *uuid,
                                     enum virt_error_kind otherwise, struct virt_error *error) {
    if (error->kind != VIRT_FAILED || error->code != VIR_ERR_OPERATION_INVALID)
        return;
    if (virt_libvirt_runs_now(self, uuid)) {
        error->kind = otherwise;
        return;
    }
    error->kind = VIRT_NOT_RUNNING;
    snprintf(error->failure.hint, sizeof error->failure.hint, "start the VM first");
}

/* Returns 1 when it was read, 0 when the VM went away meanwhile, -1 for an error. */
static int virt_libvirt_read_vm(struct libvirt *self, virDomainPtr domain, struct virt_vm *vm,
                                struct virt_error *error) {
    vm->xml = self->api.uuid(domain, vm->uuid) == 0 ? self->api.xml(domain, 0) : NULL;
    if (vm->xml)
        return 1;
    virt_libvirt_failed(self, error);
    virt_libvirt_look_behind(self, vm->uuid, VIRT_FAILED, error);
    return error->kind == VIRT_NO_DOMAIN || error->kind == VIRT_NOT_RUNNING ? 0 : -1;
}

/* "'NAME' (UUID)" of a VM that has the title, for the caller to free; NULL: it has not. */
static char *virt_libvirt_if_titled(const struct virt_vm *vm, const char *title) {
    struct domain domain;
    char *text = NULL;

    if (domain_xml_parse(&domain, vm->xml, strlen(vm->xml), NULL) != 0)
        return NULL;
    if (domain.title && strcmp(domain.title, title) == 0)
        text = memory_printf("'%s' (%s)", domain.name, vm->uuid);
    domain_finish(&domain);
    return text;
}

/* Returns how many of the VMs have the title, the first of them in `found` and the first two in
 * words in `texts`, or -1. */
static int virt_libvirt_match_titles(struct libvirt *self, virDomainPtr *domains, int count,
                                     const char *title, virDomainPtr *found, char *texts[2],
                                     struct virt_error *error) {
    int matches = 0;

    for (int i = 0; i < count; i++) {
        struct virt_vm vm;
        int status = virt_libvirt_read_vm(self, domains[i], &vm, error);
        char *text = status > 0 ? virt_libvirt_if_titled(&vm, title) : NULL;

        if (status < 0)
            return -1;
        if (status > 0)
            free(vm.xml);
        if (text && matches == 0)
            *found = domains[i];
        if (!text)
            continue;
        if (matches < 2)
            texts[matches] = text;
        else
            free(text);
        matches++;
    }
    return matches;
}

#define WHICH_VMS "'virsh list --all --title' lists the VMs"

/* Running or not, so that the message about a stopped VM is not "no such VM". */
static virDomainPtr virt_libvirt_find_by_title(struct libvirt *self, const char *title,
                                               struct virt_error *error) {
    virDomainPtr *domains = NULL, found = NULL;
    char *texts[2] = {NULL, NULL};
    int count = self->api.list_domains(self->connection, &domains, 0), matches;

    if (count < 0) {
        virt_libvirt_failed(self, error);
        return NULL;
    }
    matches = virt_libvirt_match_titles(self, domains, count, title, &found, texts, error);
    if (matches == 0)
        virt_libvirt_fail(error, VIRT_NO_DOMAIN, WHICH_VMS,
                          "no VM has the UUID, name or title '%s'", title);
    if (matches > 1)
        virt_libvirt_fail(error, VIRT_FAILED,
                          "name it by its name or UUID: 'virsh list --all --title'",
                          "%d VMs have the title '%s': %s and %s%s", matches, title, texts[0],
                          texts[1], matches > 2 ? " among them" : "");
    if (matches != 1)
        found = NULL;
    free(texts[0]);
    free(texts[1]);
    virt_libvirt_free_domains(self, domains, count, found);
    return found;
}

static virDomainPtr virt_libvirt_find(struct libvirt *self, const char *vm,
                                      struct virt_error *error) {
    virDomainPtr domain = self->api.lookup_by_uuid(self->connection, vm);
    char uuid[DOMAIN_UUID_SIZE];

    if (!domain && virt_libvirt_no_such_domain(self))
        domain = self->api.lookup_by_name(self->connection, vm);
    if (domain)
        return domain;
    if (!virt_libvirt_no_such_domain(self))
        virt_libvirt_failed(self, error);
    else if (domain_uuid_parse(vm, uuid)) /* which means no title */
        virt_libvirt_fail(error, VIRT_NO_DOMAIN, WHICH_VMS, "no VM has the UUID or name '%s'", vm);
    else
        return virt_libvirt_find_by_title(self, vm, error);
    return NULL;
}

static int virt_libvirt_domain_xml(struct virt *virt, const char *vm, char **xml,
                                   struct virt_error *error) {
    struct libvirt *self = virt_libvirt_of(virt);
    virDomainPtr domain;

    *xml = NULL;
    if (virt_libvirt_connect_once(self, error) != 0 ||
        !(domain = virt_libvirt_find(self, vm, error)))
        return -1;
    *xml = self->api.xml(domain, 0);
    if (!*xml)
        virt_libvirt_failed(self, error);
    self->api.free(domain);
    return *xml ? 0 : -1;
}

/* The VMs that can be read, in `vms`, which has room for all. Returns how many, or -1. */
static int virt_libvirt_read_vms(struct libvirt *self, virDomainPtr *domains, int count,
                                 struct virt_vm *vms, struct virt_error *error) {
    int read = 0;

    for (int i = 0; i < count; i++) {
        int status = virt_libvirt_read_vm(self, domains[i], &vms[read], error);

        if (status < 0) {
            for (int j = 0; j < read; j++)
                free(vms[j].xml);
            return -1;
        }
        read += status;
    }
    return read;
}

/* `flags` are of virConnectListAllDomainsFlags. */
static int virt_libvirt_list_vms(struct virt *virt, unsigned flags, struct virt_vm **vms,
                                 size_t *count, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_of(virt);
    virDomainPtr *domains = NULL;
    int found, read = -1;

    *vms = NULL;
    *count = 0;
    if (virt_libvirt_connect_once(self, error) != 0)
        return -1;
    found = self->api.list_domains(self->connection, &domains, flags);
    if (found < 0)
        return virt_libvirt_failed(self, error);
    *vms = calloc((size_t)found + 1, sizeof **vms);
    if (*vms)
        read = virt_libvirt_read_vms(self, domains, found, *vms, error);
    else
        virt_libvirt_fail(error, VIRT_FAILED, "", "out of memory");
    virt_libvirt_free_domains(self, domains, found, NULL);
    if (read >= 0) {
        *count = (size_t)read;
        return 0;
    }
    free(*vms);
    *vms = NULL;
    return -1;
}

static int virt_libvirt_list(struct virt *virt, struct virt_vm **vms, size_t *count,
                             struct virt_error *error) {
    return virt_libvirt_list_vms(virt, VIR_CONNECT_LIST_DOMAINS_ACTIVE, vms, count, error);
}

static int virt_libvirt_list_all(struct virt *virt, struct virt_vm **vms, size_t *count,
                                 struct virt_error *error) {
    return virt_libvirt_list_vms(virt, 0, vms, count, error);
}

/* One step on one VM; `xml` is only for those that take it. */
typedef int vm_step(const struct libvirt_api *api, virDomainPtr domain, const char *xml);

/* Of a VM that does not run libvirt itself says so. */
static bool virt_libvirt_is_other_life(const struct libvirt *self, virDomainPtr domain, int id) {
    unsigned now = self->api.id(domain);

    return id >= 0 && now != (unsigned)id && now != (unsigned)-1;
}

static int virt_libvirt_step_attach(const struct libvirt_api *api, virDomainPtr domain,
                                    const char *xml) {
    return api->attach(domain, xml, VIR_DOMAIN_AFFECT_LIVE);
}

static int virt_libvirt_step_detach(const struct libvirt_api *api, virDomainPtr domain,
                                    const char *xml) {
    return api->detach(domain, xml, VIR_DOMAIN_AFFECT_LIVE);
}

static int virt_libvirt_step_reset(const struct libvirt_api *api, virDomainPtr domain,
                                   const char *xml) {
    (void)xml;
    return api->reset(domain, 0);
}

static int virt_libvirt_step_reboot(const struct libvirt_api *api, virDomainPtr domain,
                                    const char *xml) {
    (void)xml;
    return api->reboot(domain, VIR_DOMAIN_REBOOT_DEFAULT);
}

static int virt_libvirt_do_step(struct virt *virt, const char *uuid, int id, vm_step *step,
                                const char *xml, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_of(virt);
    virDomainPtr domain;
    int status;

    if (virt_libvirt_connect_once(self, error) != 0)
        return -1;
    domain = self->api.lookup_by_uuid(self->connection, uuid);
    if (!domain)
        return virt_libvirt_failed(self, error);
    if (virt_libvirt_is_other_life(self, domain, id))
        status = virt_libvirt_fail(error, VIRT_NOT_RUNNING, "", "the VM was started again since");
    else
        status = step(&self->api, domain, xml) == 0 ? 0 : virt_libvirt_failed(self, error);
    if (status < 0)
        virt_libvirt_look_behind(self, uuid,
                                 step == virt_libvirt_step_attach ? VIRT_HELD : VIRT_FAILED, error);
    self->api.free(domain);
    return status;
}

static int virt_libvirt_attach(struct virt *virt, const char *uuid, int id, const char *xml,
                               struct virt_error *error) {
    return virt_libvirt_do_step(virt, uuid, id, virt_libvirt_step_attach, xml, error);
}

static int virt_libvirt_detach(struct virt *virt, const char *uuid, int id, const char *xml,
                               struct virt_error *error) {
    int status = virt_libvirt_do_step(virt, uuid, id, virt_libvirt_step_detach, xml, error);

    /* The one thing that libvirt says so of a detach, in whatever language. */
    if (status < 0 && error->kind == VIRT_FAILED && error->code == VIR_ERR_OPERATION_FAILED &&
        virt_libvirt_is_translated(error->failure.message))
        error->kind = VIRT_REFUSED;
    return status;
}

static int virt_libvirt_reset(struct virt *virt, const char *uuid, int id,
                              struct virt_error *error) {
    return virt_libvirt_do_step(virt, uuid, id, virt_libvirt_step_reset, NULL, error);
}

static int virt_libvirt_reboot(struct virt *virt, const char *uuid, int id,
                               struct virt_error *error) {
    return virt_libvirt_do_step(virt, uuid, id, virt_libvirt_step_reboot, NULL, error);
}

/* ---- events ---- */

static bool virt_libvirt_has_events(const struct libvirt_api *api) {
    return api->is_alive && api->register_event && api->deregister_event && api->register_loop &&
           api->run_loop && api->add_timeout && api->remove_timeout;
}

static void virt_libvirt_note_time_over(int timer, void *over) {
    (void)timer;
    *(bool *)over = true;
}

/* A process has one loop for all connections, and only a timer says whether it is there. Returns
 * the timer, or -1. */
static int virt_libvirt_add_timer(const struct libvirt_api *api, int milliseconds, bool *over) {
    int timer = api->add_timeout(milliseconds, virt_libvirt_note_time_over, over, NULL);

    if (timer < 0 && api->register_loop() == 0)
        timer = api->add_timeout(milliseconds, virt_libvirt_note_time_over, over, NULL);
    api->reset_last_error();
    return timer;
}

/* Must be there before the connection is made that is to use it. */
static bool virt_libvirt_start_loop(const struct libvirt_api *api) {
    int timer = virt_libvirt_add_timer(api, -1, NULL);

    if (timer >= 0)
        api->remove_timeout(timer);
    return timer >= 0;
}

static bool virt_libvirt_has_news(const struct virt_libvirt_watcher *watcher) {
    return watcher->told < watcher->count;
}

/* Runs the loop until its time is over, there are news, or the connection is lost (NULL: for the
 * time alone). At least 1 ms: a timer that has fired already would leave no turn to the sockets.
 * Returns -1 when the loop does not work. */
static int virt_libvirt_run_loop(const struct libvirt *self, int milliseconds,
                                 virConnectPtr connection) {
    const struct libvirt_api *api = &self->api;
    bool over = false;
    int timer = virt_libvirt_add_timer(api, milliseconds > 0 ? milliseconds : 1, &over), status = 0;

    if (timer < 0)
        return -1;
    while (
        status == 0 && !over &&
        (!connection || (!virt_libvirt_has_news(&self->watcher) && api->is_alive(connection) == 1)))
        status = api->run_loop();
    api->remove_timeout(timer);
    return status;
}

static void virt_libvirt_add_news(struct virt_libvirt_watcher *watcher, enum virt_news_kind kind,
                                  const char *alias) {
    struct virt_news *news;

    watcher->news = memory_grow(watcher->news, watcher->count, sizeof *watcher->news);
    news = &watcher->news[watcher->count++];
    *news = (struct virt_news){.kind = kind};
    snprintf(news->alias, sizeof news->alias, "%s", alias ? alias : "");
}

/* A guest that crashed may be kept as it is, and a running VM whose definition is taken away runs
 * on: only this is the end. */
static void virt_libvirt_hear_lifecycle(virConnectPtr connection, virDomainPtr domain, int event,
                                        int detail, void *watcher) {
    (void)connection, (void)domain, (void)detail;
    if (event == VIR_DOMAIN_EVENT_STOPPED)
        virt_libvirt_add_news(watcher, VIRT_NEWS_STOPPED, NULL);
}

static void virt_libvirt_hear_removed(virConnectPtr connection, virDomainPtr domain,
                                      const char *alias, void *watcher) {
    (void)connection, (void)domain;
    virt_libvirt_add_news(watcher, VIRT_NEWS_REMOVED, alias);
}

static void virt_libvirt_hear_refused(virConnectPtr connection, virDomainPtr domain,
                                      const char *alias, void *watcher) {
    (void)connection, (void)domain;
    virt_libvirt_add_news(watcher, VIRT_NEWS_REFUSED, alias);
}

static void virt_libvirt_watch_nothing(struct libvirt *self) {
    struct virt_libvirt_watcher *watcher = &self->watcher;

    if (watcher->connection) {
        for (int i = 0; i < EVENT_KINDS; i++)
            if (watcher->callbacks[i] >= 0)
                self->api.deregister_event(watcher->connection, watcher->callbacks[i]);
        self->api.close(watcher->connection);
        virt_libvirt_run_loop(self, 1, NULL); /* which closes the socket */
        self->api.reset_last_error();
    }
    free(watcher->news);
    *watcher = (struct virt_libvirt_watcher){0};
}

/* An event that the daemon does not know does not come. */
static int virt_libvirt_listen_to(struct libvirt *self, virDomainPtr domain,
                                  struct virt_error *error) {
    static const struct {
        int id;
        void (*function)(void); /* each kind of event has a type of its own */
    } events[EVENT_KINDS] = {
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, (void (*)(void))virt_libvirt_hear_lifecycle},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, (void (*)(void))virt_libvirt_hear_removed},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, (void (*)(void))virt_libvirt_hear_refused},
    };
    struct virt_libvirt_watcher *watcher = &self->watcher;

    for (int i = 0; i < EVENT_KINDS; i++) {
        watcher->callbacks[i] = self->api.register_event(
            watcher->connection, domain, events[i].id,
            (virConnectDomainEventGenericCallback)events[i].function, watcher, NULL);
        if (watcher->callbacks[i] < 0 && virt_libvirt_explain(self, error) < 0 &&
            error->kind == VIRT_UNREACHABLE)
            return -1;
    }
    return 0;
}

static int virt_libvirt_watch_on(struct libvirt *self, const char *uuid, struct virt_error *error) {
    virDomainPtr domain = self->api.lookup_by_uuid(self->watcher.connection, uuid);
    int status;

    if (!domain)
        return virt_libvirt_explain(self, error);
    status = virt_libvirt_listen_to(self, domain, error);
    self->api.free(domain);
    return status;
}

static int virt_libvirt_watch(struct virt *virt, const char *uuid, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_of(virt);
    struct virt_libvirt_watcher *watcher = &self->watcher;

    virt_libvirt_watch_nothing(self);
    if (!virt_libvirt_has_events(&self->api) || !virt_libvirt_start_loop(&self->api))
        return 0;
    watcher->connection = virt_libvirt_connect_to(self, error);
    if (!watcher->connection)
        return -1;
    for (int i = 0; i < EVENT_KINDS; i++)
        watcher->callbacks[i] = -1;
    if (virt_libvirt_watch_on(self, uuid, error) == 0)
        return 0;
    virt_libvirt_watch_nothing(self);
    return -1;
}

static void virt_libvirt_sleep_for(int milliseconds) {
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000L};

    while (nanosleep(&left, &left) != 0)
        ;
}

static int virt_libvirt_wait(struct virt *virt, int timeout_ms, struct virt_news *news,
                             struct virt_error *error) {
    struct libvirt *self = virt_libvirt_of(virt);
    struct virt_libvirt_watcher *watcher = &self->watcher;
    bool broken, lost;

    *news = (struct virt_news){.kind = VIRT_NEWS_NONE};
    if (!watcher->connection) {
        virt_libvirt_sleep_for(timeout_ms);
        return 0;
    }
    broken = !virt_libvirt_has_news(watcher) &&
             virt_libvirt_run_loop(self, timeout_ms, watcher->connection) != 0;
    if (virt_libvirt_has_news(watcher)) {
        *news = watcher->news[watcher->told++];
        return 0;
    }
    lost = self->api.is_alive(watcher->connection) != 1;
    if (!broken && !lost)
        return 0;
    virt_libvirt_watch_nothing(self);
    return lost ? virt_libvirt_fail(error, VIRT_UNREACHABLE, HINT_CONNECTION,
                                    "libvirt closed the connection")
                : virt_libvirt_fail(error, VIRT_FAILED, "", "libvirt's event loop does not work");
}

static int virt_libvirt_about(struct virt *virt, struct virt_about *about,
                              struct virt_error *error) {
    struct libvirt *self = virt_libvirt_of(virt);

    *about = (struct virt_about){0};
    if (virt_libvirt_connect_once(self, error) != 0)
        return -1;
    char *uri = self->api.connection_uri(self->connection);
    if (!uri || self->api.daemon_version(self->connection, &about->version) != 0) {
        free(uri);
        return virt_libvirt_failed(self, error);
    }
    snprintf(about->uri, sizeof about->uri, "%s", uri);
    free(uri);
    return 0;
}

static void virt_libvirt_close(struct virt *virt) {
    struct libvirt *self = virt_libvirt_of(virt);

    virt_libvirt_watch_nothing(self);
    virt_libvirt_disconnect(self);
    free(self->uri);
    free(self);
}

static const struct virt_ops operations = {
    .domain_xml = virt_libvirt_domain_xml,
    .list = virt_libvirt_list,
    .list_all = virt_libvirt_list_all,
    .attach = virt_libvirt_attach,
    .detach = virt_libvirt_detach,
    .reset = virt_libvirt_reset,
    .reboot = virt_libvirt_reboot,
    .watch = virt_libvirt_watch,
    .wait = virt_libvirt_wait,
    .about = virt_libvirt_about,
    .close = virt_libvirt_close,
};

/* ---- public ---- */

static const char *virt_libvirt_default_uri(void) {
    const char *uri = getenv("LIBVIRT_DEFAULT_URI");

    return uri && *uri ? uri : "qemu:///system";
}

int virt_libvirt_create(struct virt **virt, const char *uri, const struct libvirt_api *api,
                        struct virt_error *error) {
    struct libvirt *self = calloc(1, sizeof *self);

    *virt = NULL;
    if (!self)
        return virt_libvirt_fail(error, VIRT_FAILED, "", "out of memory");
    *self = (struct libvirt){.virt = {&operations}, .api = *api};
    self->uri = strdup(uri ? uri : virt_libvirt_default_uri());
    if (!self->uri) {
        virt_libvirt_fail(error, VIRT_FAILED, "", "out of memory");
    } else if (api->initialize() != 0) {
        virt_libvirt_failed(self, error);
        error->kind = VIRT_UNREACHABLE;
    } else {
        api->set_error_function(NULL, virt_libvirt_ignore_error);
        virt_libvirt_survive_broken_pipe();
        if (virt_libvirt_connect_once(self, error) == 0)
            *virt = &self->virt;
    }
    if (!*virt)
        virt_libvirt_close(&self->virt);
    return *virt ? 0 : -1;
}

int virt_libvirt_open_from(struct virt **virt, const char *uri, const char *const *libraries,
                           struct virt_error *error) {
    struct libvirt_api api;
    void *library = virt_libvirt_load(libraries, error);

    *virt = NULL;
    if (!library || virt_libvirt_resolve(&api, library, error) != 0)
        return -1;
    return virt_libvirt_create(virt, uri, &api, error);
}

static const char *const libraries_of_hosts[] = {
    "libvirt.so.0",
    SYNOLOGY "/usr/local/lib/libvirt.so.0",
    SYNOLOGY "/usr/lib/libvirt.so.0",
    SYNOLOGY "/lib/libvirt.so.0",
    NULL,
};

int virt_libvirt_library(struct virt_library *library, struct virt_error *error) {
    struct libvirt_api api;
    void *loaded = virt_libvirt_load(libraries_of_hosts, error);
    Dl_info place;

    *library = (struct virt_library){0};
    if (!loaded || virt_libvirt_resolve(&api, loaded, error) != 0)
        return -1;
    if (dladdr(dlsym(loaded, "virInitialize"), &place) && place.dli_fname)
        snprintf(library->path, sizeof library->path, "%s", place.dli_fname);
    api.version(&library->version, NULL, NULL);
    return 0;
}

int virt_libvirt_open(struct virt **virt, const char *uri, struct virt_error *error) {
    return virt_libvirt_open_from(virt, uri, libraries_of_hosts, error);
}
