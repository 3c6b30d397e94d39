#include "engine/command/plan_context.h"
#include "engine/host/source_sysfs.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/model/address.h"
#include "engine/model/device.h"

#include "engine/host/uevent.h"
#include "engine/libvirt/domain_list.h"
#include "engine/libvirt/virt.h"
#include "parser/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DOMAIN_XML_LIMIT = 64 * 1024 * 1024 };

static char *plan_context_read_xml(const char *path, size_t *size) {
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *text = in ? command_read_all(in, DOMAIN_XML_LIMIT, size) : NULL;
    int error = errno;
    if (in && in != stdin)
        fclose(in);
    errno = error;
    return text;
}

static int plan_context_parse_xml(struct domain *domain, const char *path, const char *xml,
                                  size_t size) {
    struct failure failure;
    if (domain_xml_parse(domain, xml, size, &failure) == 0)
        return EXIT_FINE;
    char *message = memory_printf("%s: %s", path, failure.message);
    int status = command_fail(message, NULL);
    free(message);
    return status;
}

int plan_context_read_domain(const struct command *command, struct domain *domain, const char *path,
                             const char *vm) {
    size_t size = 0;
    char *xml = plan_context_read_xml(path, &size);
    if (!xml) {
        char *message = memory_printf("%s: %s", path, strerror(errno));
        int status = command_fail(message, "--domain-xml takes what 'virsh dumpxml VM' prints");
        free(message);
        return status;
    }
    int status = plan_context_parse_xml(domain, path, xml, size);
    free(xml);
    if (status == EXIT_FINE && vm && !domain_is_called(domain, vm)) {
        status =
            command_usage(command, "%s is of VM '%s', not of '%s'", path, domain_label(domain), vm);
        domain_finish(domain);
    }
    return status;
}

/* All that is known of the VM is what was typed. */
static int plan_context_known_by_name(struct plan_context *inquiry) {
    domain_from_name(&inquiry->domain, inquiry->vm);
    return EXIT_FINE;
}

/* A host where libvirt does not answer can still be planned for: its files tell of running VMs. */
static int plan_context_go_on_without(struct plan_context *inquiry,
                                      const struct virt_error *error) {
    domain_list_running_in(&inquiry->others, "", NULL);
    bool found = domain_list_take(&inquiry->others, inquiry->vm, &inquiry->domain);
    fprintf(stderr,
            "virt-rules: libvirt does not answer, so all that is known of the VM is %s'%s': %s\n",
            found ? "what libvirt's file says of " : "that it is called ", inquiry->vm,
            virt_error_reason(error));
    if (*error->failure.hint)
        fprintf(stderr, "  hint: %s\n", error->failure.hint);
    inquiry->note = command_libvirt_note(error);
    return found ? EXIT_FINE : plan_context_known_by_name(inquiry);
}

static int plan_context_ask_libvirt(struct plan_context *inquiry, struct virt *virt) {
    struct virt_error error;
    char *xml = NULL;
    if (virt->ops->domain_xml(virt, inquiry->vm, &xml, &error) < 0)
        return error.kind == VIRT_SILENT || error.kind == VIRT_UNREACHABLE
                   ? plan_context_go_on_without(inquiry, &error)
                   : command_fail(error.failure.message, error.failure.hint);
    int status = plan_context_parse_xml(&inquiry->domain, inquiry->vm, xml, strlen(xml));
    free(xml);
    if (status == EXIT_FINE &&
        domain_list_running(&inquiry->others, virt, inquiry->domain.uuid, &error) < 0) {
        fprintf(stderr, "virt-rules: what other VMs have is not known: %s\n",
                error.failure.message);
        inquiry->note = command_libvirt_note(&error);
        domain_list_running_in(&inquiry->others, "", &inquiry->domain);
    } else if (status == EXIT_FINE && domain_list_all(&inquiry->vms, virt, &error) < 0) {
        fprintf(stderr, "virt-rules: what other VMs are called is not known: %s\n",
                error.failure.message);
        inquiry->note = command_libvirt_note(&error);
    }
    return status;
}

/* A copy of a host has libvirt's files of the VMs that ran there, and its definitions. */
static int plan_context_vms_from_tree_of(struct plan_context *inquiry) {
    const struct domain *first, *second;
    struct domain_list *vms = &inquiry->vms;
    size_t index = domain_pick(vms->list, vms->count, inquiry->vm, &first, &second);
    if (second)
        return command_two_vms(inquiry->vm, first, second);
    domain_list_running_in(&inquiry->others, inquiry->sysroot, NULL);
    if (index == vms->count)
        return plan_context_known_by_name(inquiry);
    if (!domain_list_take(&inquiry->others, domain_key(&vms->list[index]), &inquiry->domain)) {
        struct domain_list again;
        domain_list_all_in(&again, inquiry->sysroot);
        domain_list_take(&(struct domain_list){again.list, again.count},
                         domain_key(&vms->list[index]), &inquiry->domain);
        again.count--;
        domain_list_finish(&again);
    }
    return EXIT_FINE;
}

static int plan_context_vms_from_files(struct plan_context *inquiry) {
    if (inquiry->sysroot)
        domain_list_all_in(&inquiry->vms, inquiry->sysroot);
    if (!inquiry->domain_xml)
        return plan_context_vms_from_tree_of(inquiry);
    int status = plan_context_read_domain(inquiry->command, &inquiry->domain, inquiry->domain_xml,
                                          inquiry->vm);
    if (status == EXIT_FINE && inquiry->sysroot)
        domain_list_running_in(&inquiry->others, inquiry->sysroot, &inquiry->domain);
    return status;
}

/* The VM as libvirt has it. A tree of another host has no libvirt. */
static int plan_context_find_vms(struct plan_context *inquiry) {
    struct virt *virt = NULL;
    struct virt_error error;
    if (inquiry->domain_xml || inquiry->sysroot)
        return plan_context_vms_from_files(inquiry);
    if (virt_asker_connect(&virt, NULL, &error) == 0) {
        int status = plan_context_ask_libvirt(inquiry, virt);
        virt_close(virt);
        return status;
    }
    return plan_context_go_on_without(inquiry, &error);
}

static int plan_context_unknown_event(const struct plan_context *inquiry) {
    struct suggestion suggestion = {.word = inquiry->event_word};
    /* From the last on, as the parser does: 'started' is meant more often than 'start'. */
    for (enum event_name event = EVENT_COUNT; event-- > 0;)
        suggest(&suggestion, scanner_event_text(event));
    if (suggestion.best)
        return command_usage(inquiry->command, "unknown event '%s'; did you mean '%s'?",
                             inquiry->event_word, suggestion.best);
    return command_usage(inquiry->command,
                         "unknown event '%s'; the events are prepare, start, "
                         "started, stopped, release, migrate, restore, "
                         "reconnect, plugged and unplugged",
                         inquiry->event_word);
}

static int plan_context_name_event(struct plan_context *inquiry) {
    if (!*inquiry->vm)
        return command_usage(inquiry->command, "a VM's name cannot be empty");
    inquiry->event.name = scanner_event_from_text(inquiry->event_word);
    inquiry->event.domain = &inquiry->domain;
    return inquiry->event.name == EVENT_COUNT ? plan_context_unknown_event(inquiry) : EXIT_FINE;
}

static int plan_context_load_host(struct plan_context *inquiry) {
    struct host_source source = source_sysfs(inquiry->sysroot);
    struct failure failure;
    if (source.load(&source, &inquiry->host, &failure) == 0)
        return EXIT_FINE;
    domain_list_finish(&inquiry->others);
    domain_finish(&inquiry->domain);
    free(inquiry->note);
    return command_fail(failure.message, "--sysroot takes a directory that holds sys/ and proc/");
}

/* A device as people name it: an address ("03:00.0"), a USB port ("1-1.4") or an id ("1ac1:089a").
 */
static bool plan_context_is_called(const struct device *device, const char *text) {
    char address[64], id[16];
    snprintf(id, sizeof id, "%04x:%04x", device->id.vendor, device->id.device);
    return !strcmp(device->address, text) || !strcasecmp(id, text) ||
           (address_normalise(text, address, sizeof address) && !strcmp(device->address, address));
}

static void plan_context_find_devices(struct plan_context *inquiry) {
    for (size_t i = 0; i < inquiry->host.count; i++) {
        const struct device *device = &inquiry->host.devices[i];
        if (!plan_context_is_called(device, inquiry->device_word))
            continue;
        inquiry->devices =
            memory_grow((void *)inquiry->devices, inquiry->device_count, sizeof *inquiry->devices);
        inquiry->devices[inquiry->device_count++] = device;
    }
}

/* What has gone is known by the word alone: its id, or where it was. */
static bool plan_context_name_gone_device(struct plan_context *inquiry) {
    char address[64] = "";
    struct device_id id = {0};
    const char *word = inquiry->device_word;
    bool is_address = address_normalise(word, address, sizeof address);
    bool is_id = device_id_parse(word, &id);
    if (!is_address && !is_id)
        return false;
    inquiry->gone = (struct device){.bus = strchr(address, ':') ? BUS_PCI : BUS_USB,
                                    .address = memory_strdup(address),
                                    .id = id,
                                    .name = memory_strdup("(gone from the host)"),
                                    .iommu_group = -1,
                                    .numa_node = -1};
    inquiry->event.device = &inquiry->gone;
    return true;
}

static int plan_context_unknown_device(const struct plan_context *inquiry) {
    char *message = memory_printf("the host has no device '%s'", inquiry->device_word);
    int status = command_fail(message, "name it by its address (03:00.0), USB port (1-1.4) or id "
                                       "(1ac1:089a): see 'virt-rules devices'");
    free(message);
    return status;
}

static int plan_context_name_device(struct plan_context *inquiry) {
    bool came = inquiry->event.name == EVENT_PLUGGED, went = inquiry->event.name == EVENT_UNPLUGGED;
    if (!inquiry->device_word)
        return EXIT_FINE;
    plan_context_find_devices(inquiry);
    if (inquiry->device_count == 1 && (came || went))
        inquiry->event.device = inquiry->devices[0];
    if (inquiry->device_count || (went && plan_context_name_gone_device(inquiry)))
        return EXIT_FINE;
    return plan_context_unknown_device(inquiry);
}

static void plan_context_load_rules(struct plan_context *inquiry) {
    ruleset_init(&inquiry->ruleset);
    ruleset_add_directory(&inquiry->ruleset, ruleset_directory(inquiry->rules));
    ruleset_load(&inquiry->ruleset, NULL);
    inquiry->broken_rules = command_report(&inquiry->ruleset);
    program_init(&inquiry->program, &inquiry->ruleset);
}

/* Where nobody knows the host's VMs, what is assumed is said. */
static void plan_context_name_vms(struct plan_context *inquiry) {
    inquiry->event.vms = inquiry->vms.list;
    inquiry->event.vm_count = inquiry->vms.count;
    const struct word *unsure =
        inquiry->vms.list ? NULL : match_unsure(&inquiry->program, &inquiry->event);
    if (unsure)
        fprintf(stderr,
                "virt-rules: the VMs of the host are not known: it is assumed that '%s' in the "
                "rules means this VM alone\n",
                unsure->text);
}

int plan_context_init(struct plan_context *inquiry) {
    int status = plan_context_name_event(inquiry);
    if (status == EXIT_FINE)
        status = plan_context_find_vms(inquiry);
    if (status == EXIT_FINE)
        status = plan_context_load_host(inquiry);
    if (status != EXIT_FINE) {
        domain_list_finish(&inquiry->vms);
        return status;
    }
    plan_context_load_rules(inquiry);
    plan_context_name_vms(inquiry);
    status = plan_context_name_device(inquiry);
    if (status != EXIT_FINE) {
        plan_context_finish(inquiry);
        return status;
    }
    inquiry->request = (struct plan_request){.program = &inquiry->program,
                                             .event = &inquiry->event,
                                             .host = &inquiry->host,
                                             .program_root = inquiry->host.root,
                                             .others = inquiry->others.list,
                                             .other_count = inquiry->others.count,
                                             .partial = inquiry->broken_rules};
    return EXIT_FINE;
}

void plan_context_finish(struct plan_context *inquiry) {
    free(inquiry->note);
    free((void *)inquiry->devices);
    free(inquiry->gone.address);
    free(inquiry->gone.name);
    program_finish(&inquiry->program);
    ruleset_finish(&inquiry->ruleset);
    host_finish(&inquiry->host);
    domain_list_finish(&inquiry->others);
    domain_list_finish(&inquiry->vms);
    domain_finish(&inquiry->domain);
}
