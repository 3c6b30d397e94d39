#include "engine/libvirt/virt_libvirt.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/libvirt/libvirt_errors.h"
#include "engine/libvirt/libvirt_events.h"
#include "lexer/memory.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct libvirt {
    struct virt virt;
    struct libvirt_api api;
    char *uri;
    virConnectPtr connection; /* NULL after it was lost: the next call connects again */
    struct libvirt_events events;
};

/* ---- the connection ---- */

static struct libvirt *virt_libvirt_self(struct virt *virt) {
    return (struct libvirt *)virt;
}

static void virt_libvirt_disconnect(struct libvirt *self) {
    if (self->connection)
        self->api.close(self->connection);
    self->connection = NULL;
}

/* The same, and a lost connection is closed. */
static int virt_libvirt_failed(struct libvirt *self, struct virt_error *error) {
    libvirt_errors_last(&self->api, error);
    if (error->kind == VIRT_UNREACHABLE)
        virt_libvirt_disconnect(self);
    return -1;
}

/* Returns NULL with `error`. */
static virConnectPtr virt_libvirt_open_connection(const struct libvirt *self,
                                                  struct virt_error *error) {
    virConnectPtr connection = self->api.open(self->uri);

    if (connection)
        return connection;
    libvirt_errors_last(&self->api, error);
    error->kind = VIRT_UNREACHABLE;
    if (!*error->failure.hint)
        failure_hint(&error->failure, "%s", LIBVIRT_ERRORS_CONNECTION);
    return NULL;
}

static int virt_libvirt_connect(struct libvirt *self, struct virt_error *error) {
    if (!self->connection)
        self->connection = virt_libvirt_open_connection(self, error);
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

/* Whether the last lookup failed because there is no such VM. */
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

/* Whether the VM with that UUID runs now: a handle of libvirt's is a snapshot. */
static bool virt_libvirt_is_running(const struct libvirt *self, const char *uuid) {
    virDomainPtr domain = self->api.lookup_by_uuid(self->connection, uuid);
    bool runs = domain && self->api.id(domain) != (unsigned)-1;

    if (domain)
        self->api.free(domain);
    else
        self->api.reset_last_error();
    return runs;
}

/*
 * A daemon that translates its messages, or a later version, may word an error in a way that
 * libvirt_errors.c does not know, and the code alone is too coarse: so ask whether the VM runs.
 */
static void virt_libvirt_check_running(const struct libvirt *self, const char *uuid,
                                       enum virt_error_kind otherwise, struct virt_error *error) {
    if (error->kind != VIRT_FAILED || error->code != VIR_ERR_OPERATION_INVALID)
        return;
    if (virt_libvirt_is_running(self, uuid)) {
        error->kind = otherwise;
        return;
    }
    error->kind = VIRT_NOT_RUNNING;
    failure_hint(&error->failure, "start the VM first");
}

/* Returns 1 when it was read, 0 when the VM stopped meanwhile, -1 for an error. */
static int virt_libvirt_read_vm(struct libvirt *self, virDomainPtr domain, struct virt_domain *vm,
                                struct virt_error *error) {
    vm->xml = self->api.uuid(domain, vm->uuid) == 0 ? self->api.xml(domain, 0) : NULL;
    if (vm->xml)
        return 1;
    virt_libvirt_failed(self, error);
    virt_libvirt_check_running(self, vm->uuid, VIRT_FAILED, error);
    return error->kind == VIRT_NO_DOMAIN || error->kind == VIRT_NOT_RUNNING ? 0 : -1;
}

/* "'NAME' (UUID)" of a VM that has the title, for the caller to free; NULL: it has not. */
static char *virt_libvirt_describe_titled(const struct virt_domain *vm, const char *title) {
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
        struct virt_domain vm;
        int status = virt_libvirt_read_vm(self, domains[i], &vm, error);
        char *text = status > 0 ? virt_libvirt_describe_titled(&vm, title) : NULL;

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
        virt_error_set(error, VIRT_NO_DOMAIN, WHICH_VMS, "no VM has the UUID, name or title '%s'",
                       title);
    if (matches > 1)
        virt_error_set(error, VIRT_FAILED,
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
        virt_error_set(error, VIRT_NO_DOMAIN, WHICH_VMS, "no VM has the UUID or name '%s'", vm);
    else
        return virt_libvirt_find_by_title(self, vm, error);
    return NULL;
}

static int virt_libvirt_domain_xml(struct virt *virt, const char *vm, char **xml,
                                   struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);
    virDomainPtr domain;

    *xml = NULL;
    if (virt_libvirt_connect(self, error) != 0 || !(domain = virt_libvirt_find(self, vm, error)))
        return -1;
    *xml = self->api.xml(domain, 0);
    if (!*xml)
        virt_libvirt_failed(self, error);
    self->api.free(domain);
    return *xml ? 0 : -1;
}

/* The VMs that can be read, in `vms`, which has room for all. Returns how many, or -1. */
static int virt_libvirt_read_vms(struct libvirt *self, virDomainPtr *domains, int count,
                                 struct virt_domain *vms, struct virt_error *error) {
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
static int virt_libvirt_list_vms(struct virt *virt, unsigned flags, struct virt_domain **vms,
                                 size_t *count, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);
    virDomainPtr *domains = NULL;
    int found, read;

    *vms = NULL;
    *count = 0;
    if (virt_libvirt_connect(self, error) != 0)
        return -1;
    found = self->api.list_domains(self->connection, &domains, flags);
    if (found < 0)
        return virt_libvirt_failed(self, error);
    *vms = memory_zalloc(((size_t)found + 1) * sizeof **vms);
    read = virt_libvirt_read_vms(self, domains, found, *vms, error);
    virt_libvirt_free_domains(self, domains, found, NULL);
    if (read >= 0) {
        *count = (size_t)read;
        return 0;
    }
    free(*vms);
    *vms = NULL;
    return -1;
}

static int virt_libvirt_list(struct virt *virt, struct virt_domain **vms, size_t *count,
                             struct virt_error *error) {
    return virt_libvirt_list_vms(virt, VIR_CONNECT_LIST_DOMAINS_ACTIVE, vms, count, error);
}

static int virt_libvirt_list_all(struct virt *virt, struct virt_domain **vms, size_t *count,
                                 struct virt_error *error) {
    return virt_libvirt_list_vms(virt, 0, vms, count, error);
}

/* For a VM that does not run, libvirt itself returns an error. */
static bool virt_libvirt_was_restarted(const struct libvirt *self, virDomainPtr domain, int id) {
    unsigned now = self->api.id(domain);

    return id >= 0 && now != (unsigned)id && now != (unsigned)-1;
}

static int virt_libvirt_fail_restarted(struct virt_error *error) {
    return virt_error_set(error, VIRT_NOT_RUNNING, "", "the VM has been started again since");
}

/*
 * From 0.9.2 to 12 libvirt sets these reasons: of an incoming migration, and of a restore, paused
 * (migration) from before its hook `started` until the VM runs or its job has ended; of a post-copy
 * migration the VM runs here while its job goes on. --suspend makes it paused (user).
 */
static enum virt_state virt_libvirt_state_of(int state, int reason) {
    enum { RUNNING_POSTCOPY_FAILED = 11 }; /* VIR_DOMAIN_, of 8.5.0 */
    if (state == VIR_DOMAIN_RUNNING)
        return reason == VIR_DOMAIN_RUNNING_POSTCOPY || reason == RUNNING_POSTCOPY_FAILED
                   ? VIRT_STATE_MIGRATING
               : reason == VIR_DOMAIN_RUNNING_MIGRATED || reason == VIR_DOMAIN_RUNNING_RESTORED ||
                       reason == VIR_DOMAIN_RUNNING_FROM_SNAPSHOT
                   ? VIRT_STATE_MIGRATED
                   : VIRT_STATE_STARTED;
    if (state == VIR_DOMAIN_PAUSED)
        return reason == VIR_DOMAIN_PAUSED_MIGRATION || reason == VIR_DOMAIN_PAUSED_POSTCOPY ||
                       reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED
                   ? VIRT_STATE_MIGRATING
               : reason == VIR_DOMAIN_PAUSED_FROM_SNAPSHOT ? VIRT_STATE_MIGRATED
                                                           : VIRT_STATE_STARTED;
    return VIRT_STATE_STARTED;
}

static int virt_libvirt_state(struct virt *virt, const char *uuid, int id, enum virt_state *state,
                              struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);
    int now = VIR_DOMAIN_NOSTATE, reason = 0, status;

    if (virt_libvirt_connect(self, error) != 0)
        return -1;
    virDomainPtr domain = self->api.lookup_by_uuid(self->connection, uuid);
    if (!domain)
        return virt_libvirt_failed(self, error);
    if (virt_libvirt_was_restarted(self, domain, id))
        status = virt_libvirt_fail_restarted(error);
    else if (self->api.state(domain, &now, &reason, 0) < 0)
        status = virt_libvirt_failed(self, error);
    else if (now == VIR_DOMAIN_SHUTOFF)
        status = virt_error_set(error, VIRT_NOT_RUNNING, "", "the VM has stopped");
    else
        status = 0;
    *state = virt_libvirt_state_of(now, reason);
    self->api.free(domain);
    return status;
}

/* One step on one VM; `xml` is only for those that take it. */
typedef int virt_libvirt_call(const struct libvirt_api *api, virDomainPtr domain, const char *xml);

static int virt_libvirt_call_attach(const struct libvirt_api *api, virDomainPtr domain,
                                    const char *xml) {
    return api->attach(domain, xml, VIR_DOMAIN_AFFECT_LIVE);
}

static int virt_libvirt_call_detach(const struct libvirt_api *api, virDomainPtr domain,
                                    const char *xml) {
    return api->detach(domain, xml, VIR_DOMAIN_AFFECT_LIVE);
}

static int virt_libvirt_call_reset(const struct libvirt_api *api, virDomainPtr domain,
                                   const char *xml) {
    (void)xml;
    return api->reset(domain, 0);
}

static int virt_libvirt_call_reboot(const struct libvirt_api *api, virDomainPtr domain,
                                    const char *xml) {
    (void)xml;
    return api->reboot(domain, VIR_DOMAIN_REBOOT_DEFAULT);
}

static int virt_libvirt_change(struct virt *virt, const char *uuid, int id, virt_libvirt_call *step,
                               const char *xml, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);
    virDomainPtr domain;
    int status;

    if (virt_libvirt_connect(self, error) != 0)
        return -1;
    domain = self->api.lookup_by_uuid(self->connection, uuid);
    if (!domain)
        return virt_libvirt_failed(self, error);
    if (virt_libvirt_was_restarted(self, domain, id))
        status = virt_libvirt_fail_restarted(error);
    else
        status = step(&self->api, domain, xml) == 0 ? 0 : virt_libvirt_failed(self, error);
    if (status < 0)
        virt_libvirt_check_running(
            self, uuid, step == virt_libvirt_call_attach ? VIRT_BUSY : VIRT_FAILED, error);
    self->api.free(domain);
    return status;
}

static int virt_libvirt_attach(struct virt *virt, const char *uuid, int id, const char *xml,
                               struct virt_error *error) {
    return virt_libvirt_change(virt, uuid, id, virt_libvirt_call_attach, xml, error);
}

static int virt_libvirt_detach(struct virt *virt, const char *uuid, int id, const char *xml,
                               struct virt_error *error) {
    int status = virt_libvirt_change(virt, uuid, id, virt_libvirt_call_detach, xml, error);

    /* In any language: of a detach, libvirt returns this code for a guest's refusal alone. */
    if (status < 0 && error->kind == VIRT_FAILED && error->code == VIR_ERR_OPERATION_FAILED &&
        libvirt_errors_is_translated(error->failure.message))
        error->kind = VIRT_REFUSED;
    return status;
}

static int virt_libvirt_reset(struct virt *virt, const char *uuid, int id,
                              struct virt_error *error) {
    return virt_libvirt_change(virt, uuid, id, virt_libvirt_call_reset, NULL, error);
}

static int virt_libvirt_reboot(struct virt *virt, const char *uuid, int id,
                               struct virt_error *error) {
    return virt_libvirt_change(virt, uuid, id, virt_libvirt_call_reboot, NULL, error);
}

static int virt_libvirt_watch(struct virt *virt, const char *uuid, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);
    libvirt_events_stop(&self->events);
    if (!libvirt_events_start(&self->events))
        return 0;
    virConnectPtr connection = virt_libvirt_open_connection(self, error);
    return connection ? libvirt_events_watch(&self->events, connection, uuid, error) : -1;
}

static int virt_libvirt_wait(struct virt *virt, int timeout_ms, struct virt_event *event,
                             struct virt_error *error) {
    return libvirt_events_wait(&virt_libvirt_self(virt)->events, timeout_ms, event, error);
}

static int virt_libvirt_about(struct virt *virt, struct virt_about *about,
                              struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);

    *about = (struct virt_about){0};
    if (virt_libvirt_connect(self, error) != 0)
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
    struct libvirt *self = virt_libvirt_self(virt);

    libvirt_events_stop(&self->events);
    virt_libvirt_disconnect(self);
    free(self->uri);
    free(self);
}

static const struct virt_ops operations = {
    .domain_xml = virt_libvirt_domain_xml,
    .list = virt_libvirt_list,
    .list_all = virt_libvirt_list_all,
    .state = virt_libvirt_state,
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
    struct libvirt *self = memory_zalloc(sizeof *self);
    *virt = NULL;
    *self = (struct libvirt){.virt = {&operations}, .api = *api, .events.api = &self->api};
    self->uri = memory_strdup(uri ? uri : virt_libvirt_default_uri());
    if (api->initialize() != 0) {
        virt_libvirt_failed(self, error);
        error->kind = VIRT_UNREACHABLE;
    } else {
        api->set_error_function(NULL, virt_libvirt_ignore_error);
        virt_libvirt_survive_broken_pipe();
        if (virt_libvirt_connect(self, error) == 0)
            *virt = &self->virt;
    }
    if (!*virt)
        virt_libvirt_close(&self->virt);
    return *virt ? 0 : -1;
}

int virt_libvirt_open_from(struct virt **virt, const char *uri, const char *const *libraries,
                           struct virt_error *error) {
    struct libvirt_api api;
    *virt = NULL;
    return libvirt_load_open(&api, libraries, error) ? virt_libvirt_create(virt, uri, &api, error)
                                                     : -1;
}

int virt_libvirt_library(struct virt_library *library, struct virt_error *error) {
    struct libvirt_api api;
    Dl_info place;
    *library = (struct virt_library){0};
    void *loaded = libvirt_load_open(&api, libvirt_load_places, error);
    if (!loaded)
        return -1;
    if (dladdr(dlsym(loaded, "virInitialize"), &place) && place.dli_fname)
        snprintf(library->path, sizeof library->path, "%s", place.dli_fname);
    api.version(&library->version, NULL, NULL);
    return 0;
}

int virt_libvirt_open(struct virt **virt, const char *uri, struct virt_error *error) {
    return virt_libvirt_open_from(virt, uri, libvirt_load_places, error);
}
