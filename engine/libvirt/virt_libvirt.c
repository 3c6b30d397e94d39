#include "engine/libvirt/virt_libvirt.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/libvirt/libvirt_errors.h"
#include "engine/libvirt/libvirt_events.h"
#include "engine/libvirt/libvirt_places.h"
#include "engine/model/definition_mark.h"
#include "engine/model/vm_names.h"
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
    if (error->is_unknown)
        failure_hint(&error->failure, "%s", LIBVIRT_ERRORS_CONNECTION);
    error->is_unknown = false;
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

/* Where the words of an error are not known, the VM is looked at: `otherwise` is what the error is
 * when the VM runs and libvirt says that the call is not valid now. */
static void virt_libvirt_look(const struct libvirt *self, const char *uuid,
                              enum virt_error_kind otherwise, struct virt_error *error) {
    if (!error->is_unknown)
        return;
    if (!virt_libvirt_is_running(self, uuid)) {
        error->kind = VIRT_NOT_RUNNING;
        error->is_unknown = false;
        failure_hint(&error->failure, "start the VM first");
    } else if (error->code == VIR_ERR_OPERATION_INVALID) {
        error->kind = otherwise;
    }
}

/* Returns 1 when it was read, 0 when the VM stopped meanwhile, -1 for an error. */
static int virt_libvirt_read_vm(struct libvirt *self, virDomainPtr domain, struct virt_domain *vm,
                                struct virt_error *error) {
    vm->xml = self->api.uuid(domain, vm->uuid) == 0 ? self->api.xml(domain, 0) : NULL;
    if (vm->xml)
        return 1;
    virt_libvirt_failed(self, error);
    virt_libvirt_look(self, vm->uuid, VIRT_TRANSIENT, error);
    return error->kind == VIRT_NO_DOMAIN || error->kind == VIRT_NOT_RUNNING ? 0 : -1;
}

/* What is known of the VMs when one is looked for by its title. */
struct titled {
    const char *title;
    virDomainPtr found; /* the first that has it */
    char *texts[2];     /* "'NAME' (UUID)" of the first two */
    int matches;
    struct domain *vms; /* all */
    size_t vm_count;
};

static void virt_libvirt_compare_title(struct titled *titled, virDomainPtr handle,
                                       const struct virt_domain *vm) {
    struct domain domain;

    if (domain_xml_parse(&domain, vm->xml, strlen(vm->xml), NULL) != 0)
        return;
    if (domain.title && strcmp(domain.title, titled->title) == 0) {
        if (titled->matches == 0)
            titled->found = handle;
        if (titled->matches < 2)
            titled->texts[titled->matches] = memory_printf("'%s' (%s)", domain.name, vm->uuid);
        titled->matches++;
    }
    titled->vms = memory_grow(titled->vms, titled->vm_count, sizeof *titled->vms);
    titled->vms[titled->vm_count++] = domain;
}

static int virt_libvirt_match_titles(struct libvirt *self, virDomainPtr *domains, int count,
                                     struct titled *titled, struct virt_error *error) {
    for (int i = 0; i < count; i++) {
        struct virt_domain vm;
        int status = virt_libvirt_read_vm(self, domains[i], &vm, error);

        if (status < 0)
            return -1;
        if (status > 0) {
            virt_libvirt_compare_title(titled, domains[i], &vm);
            free(vm.xml);
        }
    }
    return 0;
}

static void virt_libvirt_report_titles(const struct titled *titled, struct virt_error *error) {
    if (titled->matches > 1) {
        virt_error_set(error, VIRT_FAILED, "name it by its name or UUID, which stand there",
                       "%d VMs have the title '%s': %s and %s%s", titled->matches, titled->title,
                       titled->texts[0], titled->texts[1],
                       titled->matches > 2 ? " among them" : "");
        return;
    }
    char *hint = vm_names_hint(titled->title, titled->vms, titled->vm_count);
    virt_error_set(error, VIRT_NO_DOMAIN, hint, VM_NAMES_UNKNOWN, titled->title);
    free(hint);
}

/* Running or not, so that the message about a stopped VM is not "no such VM". */
static virDomainPtr virt_libvirt_find_by_title(struct libvirt *self, const char *title,
                                               struct virt_error *error) {
    virDomainPtr *domains = NULL;
    struct titled titled = {.title = title};
    int count = self->api.list_domains(self->connection, &domains, 0);

    if (count < 0) {
        virt_libvirt_failed(self, error);
        return NULL;
    }
    int status = virt_libvirt_match_titles(self, domains, count, &titled, error);
    if (status == 0 && titled.matches != 1)
        virt_libvirt_report_titles(&titled, error);
    virDomainPtr found = status == 0 && titled.matches == 1 ? titled.found : NULL;
    for (size_t i = 0; i < titled.vm_count; i++)
        domain_finish(&titled.vms[i]);
    free(titled.vms);
    free(titled.texts[0]);
    free(titled.texts[1]);
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
        virt_error_set(error, VIRT_NO_DOMAIN,
                       "name the VM by its name or title, or copy the UUID whole: "
                       "'virsh list --all --uuid'",
                       "no VM has the UUID or name '%s'", vm);
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

/* `flags` are of virConnectListAllDomainsFlags. */
static int virt_libvirt_list_vms(struct virt *virt, unsigned flags, struct virt_domain **vms,
                                 size_t *count, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);
    virDomainPtr *domains = NULL;

    *vms = NULL;
    *count = 0;
    if (virt_libvirt_connect(self, error) != 0)
        return -1;
    int found = self->api.list_domains(self->connection, &domains, flags);
    if (found < 0)
        return virt_libvirt_failed(self, error);
    *vms = memory_zalloc(((size_t)found + 1) * sizeof **vms);
    for (int i = 0; i < found; i++)
        *count += self->api.uuid(domains[i], (*vms)[*count].uuid) == 0;
    virt_libvirt_free_domains(self, domains, found, NULL);
    return 0;
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

/* The VM with that UUID, which the caller frees; NULL: with `error`. */
static virDomainPtr virt_libvirt_find_uuid(struct libvirt *self, const char *uuid,
                                           struct virt_error *error) {
    if (virt_libvirt_connect(self, error) != 0)
        return NULL;
    virDomainPtr domain = self->api.lookup_by_uuid(self->connection, uuid);
    if (!domain)
        virt_libvirt_failed(self, error);
    return domain;
}

static int virt_libvirt_read(struct virt *virt, struct virt_domain *vms, size_t count,
                             struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);

    for (size_t i = 0; i < count; i++) {
        virDomainPtr domain = virt_libvirt_find_uuid(self, vms[i].uuid, error);
        bool is_gone = domain ? virt_libvirt_read_vm(self, domain, &vms[i], error) == 0
                              : error->kind == VIRT_NO_DOMAIN;
        if (domain)
            self->api.free(domain);
        if (vms[i].xml || is_gone)
            continue;
        if (error->kind == VIRT_UNREACHABLE)
            return -1;
        vms[i].why = memory_strdup(error->failure.message);
    }
    return 0;
}

static int virt_libvirt_state(struct virt *virt, const char *uuid, int id, enum virt_state *state,
                              struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);
    int now = VIR_DOMAIN_NOSTATE, reason = 0, status;

    virDomainPtr domain = virt_libvirt_find_uuid(self, uuid, error);
    if (!domain)
        return -1;
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

/* Some drivers know no saved VMs: then there are none. */
static int virt_libvirt_read_definition(struct libvirt *self, virDomainPtr domain,
                                        struct virt_definition *definition,
                                        struct virt_error *error) {
    int running = self->api.is_active(domain), persistent = self->api.is_persistent(domain);

    if (running < 0 || persistent < 0 ||
        !(definition->xml = self->api.xml(domain, VIR_DOMAIN_XML_INACTIVE)))
        return virt_libvirt_failed(self, error);
    definition->is_running = running;
    definition->is_persistent = persistent;
    definition->is_saved = self->api.is_saved(domain, 0) == 1;
    return 0;
}

static int virt_libvirt_definition(struct virt *virt, const char *uuid,
                                   struct virt_definition *definition, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);

    *definition = (struct virt_definition){0};
    virDomainPtr domain = virt_libvirt_find_uuid(self, uuid, error);
    if (!domain)
        return -1;
    int status = virt_libvirt_read_definition(self, domain, definition, error);
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

static int virt_libvirt_call_attach_defined(const struct libvirt_api *api, virDomainPtr domain,
                                            const char *xml) {
    return api->attach(domain, xml, VIR_DOMAIN_AFFECT_CONFIG);
}

static int virt_libvirt_call_detach_defined(const struct libvirt_api *api, virDomainPtr domain,
                                            const char *xml) {
    return api->detach(domain, xml, VIR_DOMAIN_AFFECT_CONFIG);
}

/* libvirt takes away what it finds of the namespace, and adds prefix and namespace to `xml`. */
static int virt_libvirt_call_mark(const struct libvirt_api *api, virDomainPtr domain,
                                  const char *xml) {
    return api->set_metadata(domain, VIR_DOMAIN_METADATA_ELEMENT, xml,
                             xml ? DEFINITION_MARK_PREFIX : NULL, DEFINITION_MARK_URI,
                             VIR_DOMAIN_AFFECT_CONFIG);
}

static int virt_libvirt_change(struct virt *virt, const char *uuid, int id, virt_libvirt_call *step,
                               const char *xml, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);
    int status;

    virDomainPtr domain = virt_libvirt_find_uuid(self, uuid, error);
    if (!domain)
        return -1;
    if (virt_libvirt_was_restarted(self, domain, id))
        status = virt_libvirt_fail_restarted(error);
    else
        status = step(&self->api, domain, xml) == 0 ? 0 : virt_libvirt_failed(self, error);
    if (status < 0)
        virt_libvirt_look(self, uuid, step == virt_libvirt_call_attach ? VIRT_BUSY : VIRT_TRANSIENT,
                          error);
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

    /* Of a detach from a VM that runs, this code says that the guest or its machine keeps it: in
     * libvirt 7 to 12, src/qemu/qemu_hotplug.c. */
    if (status < 0 && error->is_unknown && error->code == VIR_ERR_OPERATION_FAILED)
        error->kind = VIRT_REFUSED;
    return status;
}

/* No VM has to run for these. */
static int virt_libvirt_redefine(struct virt *virt, const char *uuid, virt_libvirt_call *step,
                                 const char *xml, struct virt_error *error) {
    struct libvirt *self = virt_libvirt_self(virt);

    virDomainPtr domain = virt_libvirt_find_uuid(self, uuid, error);
    if (!domain)
        return -1;
    int status = step(&self->api, domain, xml) == 0 ? 0 : virt_libvirt_failed(self, error);
    self->api.free(domain);
    return status;
}

static int virt_libvirt_attach_defined(struct virt *virt, const char *uuid, const char *xml,
                                       struct virt_error *error) {
    return virt_libvirt_redefine(virt, uuid, virt_libvirt_call_attach_defined, xml, error);
}

static int virt_libvirt_detach_defined(struct virt *virt, const char *uuid, const char *xml,
                                       struct virt_error *error) {
    return virt_libvirt_redefine(virt, uuid, virt_libvirt_call_detach_defined, xml, error);
}

static int virt_libvirt_mark_defined(struct virt *virt, const char *uuid, const char *xml,
                                     struct virt_error *error) {
    return virt_libvirt_redefine(virt, uuid, virt_libvirt_call_mark, xml, error);
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
    .read = virt_libvirt_read,
    .state = virt_libvirt_state,
    .attach = virt_libvirt_attach,
    .detach = virt_libvirt_detach,
    .definition = virt_libvirt_definition,
    .attach_defined = virt_libvirt_attach_defined,
    .detach_defined = virt_libvirt_detach_defined,
    .mark_defined = virt_libvirt_mark_defined,
    .reset = virt_libvirt_reset,
    .reboot = virt_libvirt_reboot,
    .watch = virt_libvirt_watch,
    .wait = virt_libvirt_wait,
    .about = virt_libvirt_about,
    .close = virt_libvirt_close,
};

/* ---- public ---- */

/* The URIs that may be tried: what was asked for, or what is found. */
static void virt_libvirt_find_uris(struct libvirt_places *places) {
    struct tree tree;
    bool is_open = tree_open(&tree, "");
    libvirt_places_uris(places, &tree, layout_current());
    if (is_open)
        tree_close(&tree);
}

/* Says that no socket was found, unless somebody named the URI. Which were looked for, doctor says.
 */
static void virt_libvirt_explain(const struct libvirt_places *places, struct virt_error *error) {
    static const char none[] = "no socket of libvirt was found",
                      doctor[] = "the check 'socket' of 'virt-rules doctor' says where it was "
                                 "looked for";
    struct failure *failure = &error->failure, reported = *failure;
    if (!places->is_guess)
        return;
    if (strstr(reported.message, "No such file or directory")) {
        failure_set(failure, "%s", none);
        failure_hint(failure, "is libvirtd (or virtqemud) running? If it is, %s", doctor);
    } else {
        failure_set(failure, "%s; %s", reported.message, none);
        failure_hint(failure, "%s; %s", reported.hint, doctor);
    }
}

/* Connects to the first that answers; the error is of the first of all. */
static int virt_libvirt_connect_found(struct libvirt *self, struct virt_error *error) {
    struct libvirt_places places;
    struct virt_error later;
    int status = -1;
    virt_libvirt_find_uris(&places);
    for (size_t i = 0; status < 0 && i < places.count; i++) {
        const char *uri = places.list[i].name;
        if (conf_is_remote(uri, strlen(uri))) {
            status =
                virt_error_set(error, VIRT_UNREACHABLE, CONF_LOCAL_HINT,
                               "'%s' is the URI of another host (%s)", uri, places.list[i].why);
            break;
        }
        free(self->uri);
        self->uri = memory_strdup(uri);
        status = virt_libvirt_connect(self, i == 0 ? error : &later);
    }
    if (status < 0)
        virt_libvirt_explain(&places, error);
    libvirt_places_finish(&places);
    return status;
}

int virt_libvirt_create(struct virt **virt, const char *uri, const struct libvirt_api *api,
                        struct virt_error *error) {
    struct libvirt *self = memory_zalloc(sizeof *self);
    *virt = NULL;
    *self = (struct libvirt){.virt = {&operations}, .api = *api, .events.api = &self->api};
    self->uri = memory_copy(uri);
    if (api->initialize() != 0) {
        virt_libvirt_failed(self, error);
        error->kind = VIRT_UNREACHABLE;
    } else {
        api->set_error_function(NULL, virt_libvirt_ignore_error);
        virt_libvirt_survive_broken_pipe();
        int status =
            uri ? virt_libvirt_connect(self, error) : virt_libvirt_connect_found(self, error);
        if (status == 0)
            *virt = &self->virt;
    }
    if (!*virt)
        virt_libvirt_close(&self->virt);
    return *virt ? 0 : -1;
}

int virt_libvirt_open_from(struct virt **virt, const char *uri, const char *const *libraries,
                           struct virt_error *error) {
    struct libvirt_api api;
    size_t used;
    *virt = NULL;
    return libvirt_load_open(&api, libraries, &used, error)
               ? virt_libvirt_create(virt, uri, &api, error)
               : -1;
}

typedef void virt_libvirt_finder(struct libvirt_places *places, const struct tree *tree,
                                 const struct layout *layout);

/* Returns what libvirt_load_open() does of the places that `find` lists. `why`, for the caller to
 * free, says why the library was taken. */
static void *virt_libvirt_load_found(struct libvirt_api *api, virt_libvirt_finder *find, char **why,
                                     struct virt_error *error) {
    struct libvirt_places places;
    struct tree tree;
    size_t used;
    bool is_open = tree_open(&tree, "");
    find(&places, &tree, layout_current());
    if (is_open)
        tree_close(&tree);
    const char **names = memory_zalloc((places.count + 1) * sizeof *names);
    for (size_t i = 0; i < places.count; i++)
        names[i] = places.list[i].name;
    void *loaded = libvirt_load_open(api, names, &used, error);
    *why = loaded ? memory_strdup(places.list[used].why) : NULL;
    free((void *)names);
    libvirt_places_finish(&places);
    return loaded;
}

/* The daemon is asked only where no known place has the library: each event loads it. */
static void *virt_libvirt_load(struct libvirt_api *api, char **why, struct virt_error *error) {
    void *loaded = virt_libvirt_load_found(api, libvirt_places_known_libraries, why, error);
    return loaded ? loaded : virt_libvirt_load_found(api, libvirt_places_libraries, why, error);
}

int virt_libvirt_library(struct virt_library *library, struct virt_error *error) {
    struct libvirt_api api;
    Dl_info found;
    char *why;
    *library = (struct virt_library){0};
    void *loaded = virt_libvirt_load(&api, &why, error);
    if (!loaded)
        return -1;
    if (dladdr(dlsym(loaded, "virInitialize"), &found) && found.dli_fname)
        snprintf(library->path, sizeof library->path, "%s", found.dli_fname);
    snprintf(library->why, sizeof library->why, "%s", why);
    free(why);
    api.version(&library->version, NULL, NULL);
    return 0;
}

int virt_libvirt_open(struct virt **virt, const char *uri, struct virt_error *error) {
    struct libvirt_api api;
    char *why;
    *virt = NULL;
    if (!virt_libvirt_load(&api, &why, error))
        return -1;
    free(why);
    return virt_libvirt_create(virt, uri, &api, error);
}
