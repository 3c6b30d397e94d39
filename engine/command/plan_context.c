#include "engine/command/plan_context.h"

#include "engine/host/names.h"
#include "engine/host/source_sysfs.h"
#include "engine/host/uevent.h"
#include "engine/libvirt/domain_list.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/libvirt/virt.h"
#include "engine/model/address.h"
#include "engine/model/device.h"
#include "engine/model/vm_names.h"
#include "engine/plan/plan_part.h"
#include "engine/state/log_write.h"
#include "engine/state/vm_state.h"
#include "lexer/text.h"
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
    return command_failf(NULL, "%s: %s", path, failure.message);
}

int plan_context_read_domain(const struct command_line *line, struct domain *domain,
                             const char *vm) {
    const char *path = line->domain_xml;
    size_t size = 0;
    char *xml = plan_context_read_xml(path, &size);
    if (!xml)
        return command_failf("--domain-xml takes what 'virsh dumpxml VM' prints", "%s: %s", path,
                             strerror(errno));
    int status = plan_context_parse_xml(domain, path, xml, size);
    free(xml);
    if (status == EXIT_FINE && vm && !domain_is_called(domain, vm)) {
        status = command_usage(line->command, "%s describes VM '%s', not '%s'", path,
                               domain_label(domain), vm);
        domain_finish(domain);
    }
    return status;
}

/* Only the name that was typed is known of the VM. */
static int plan_context_known_by_name(struct plan_context *context, const char *why) {
    domain_from_name(&context->domain, context->vm);
    context->event.name_only = why;
    return EXIT_FINE;
}

/* At `defined` the definition counts, also of a VM that runs: it is changed when that has stopped.
 */
static bool plan_context_wants_definition(const struct plan_context *context) {
    return context->event.name == EVENT_DEFINED;
}

/* Puts the definition in the place of what the VM has now. */
static void plan_context_set_definition(struct plan_context *context, struct domain *definition) {
    if (context->domain.id >= 0)
        fprintf(stderr,
                "virt-rules: VM '%s' is running: this is for its definition, which is changed when "
                "the VM has stopped\n",
                domain_label(&context->domain));
    domain_finish(&context->domain);
    context->domain = *definition;
}

static int plan_context_ask_definition(struct plan_context *context, struct virt *virt) {
    struct virt_definition xml = {0};
    struct virt_error error;
    struct domain definition;
    const char *label = domain_label(&context->domain);
    int status = EXIT_FINE;
    if (virt->ops->definition(virt, domain_key(&context->domain), &xml, &error) < 0)
        status = command_fail(error.failure.message, error.failure.hint);
    else if (!xml.is_persistent)
        status = command_failf("'virsh define' makes it persistent; or use 'started', which needs "
                               "no definition",
                               "VM '%s' is transient: it has no definition", label);
    else
        status = plan_context_parse_xml(&definition, label, xml.xml, strlen(xml.xml));
    if (status == EXIT_FINE && xml.is_saved && !xml.is_running)
        fprintf(stderr,
                "virt-rules: the memory of VM '%s' is saved ('virsh managedsave'): its definition "
                "is changed when it was started and has stopped again, or after 'virsh "
                "managedsave-remove'\n",
                label);
    if (status == EXIT_FINE)
        plan_context_set_definition(context, &definition);
    virt_definition_finish(&xml);
    return status;
}

/* From libvirt's file of it; a VM whose definition is not there has only its status file. */
static void plan_context_read_definition(struct plan_context *context, const char *root) {
    struct domain_list defined;
    struct domain definition;
    domain_list_defined_in(&defined, root);
    if (domain_list_take(&defined, domain_key(&context->domain), &definition))
        plan_context_set_definition(context, &definition);
    else
        fprintf(stderr,
                "virt-rules: no definition of VM '%s' can be read in %s/etc/libvirt/qemu: using "
                "what the running VM has\n",
                domain_label(&context->domain), root);
    domain_list_finish(&defined);
}

/* Without libvirt, its status files still show the running VMs. */
static int plan_context_go_on_without(struct plan_context *context,
                                      const struct virt_error *error) {
    domain_list_running_in(&context->others, "", NULL);
    bool found = domain_list_take(&context->others, context->vm, &context->domain);
    command_failf(error->failure.hint, "libvirt does not answer; %s '%s': %s",
                  found ? "using its status file of VM" : "nothing is known of the VM but the name",
                  context->vm, virt_error_reason(error));
    context->note = command_libvirt_note(error);
    if (found && plan_context_wants_definition(context))
        plan_context_read_definition(context, "");
    return found ? EXIT_FINE
                 : plan_context_known_by_name(context, "libvirt could not be asked for its VMs");
}

static int plan_context_ask_libvirt(struct plan_context *context, struct virt *virt) {
    struct virt_error error;
    char *xml = NULL;
    if (virt->ops->domain_xml(virt, context->vm, &xml, &error) < 0)
        return error.kind == VIRT_NO_REPLY || error.kind == VIRT_UNREACHABLE
                   ? plan_context_go_on_without(context, &error)
                   : command_fail(error.failure.message, error.failure.hint);
    int status = plan_context_parse_xml(&context->domain, context->vm, xml, strlen(xml));
    free(xml);
    if (status == EXIT_FINE && plan_context_wants_definition(context) &&
        (status = plan_context_ask_definition(context, virt)) != EXIT_FINE)
        domain_finish(&context->domain);
    if (status != EXIT_FINE)
        return status;
    context->libvirt_version = virt_version(virt);
    if (domain_list_running(&context->others, virt, context->domain.uuid, &error) < 0) {
        fprintf(stderr, "virt-rules: cannot tell which devices other VMs hold: %s\n",
                error.failure.message);
        context->note = command_libvirt_note(&error);
        domain_list_running_in(&context->others, "", &context->domain);
    } else if (domain_list_all(&context->vms, virt, &error) < 0) {
        fprintf(stderr, "virt-rules: cannot tell the names of other VMs: %s\n",
                error.failure.message);
        context->note = command_libvirt_note(&error);
    } else {
        command_complete_vms(&context->others, "", &context->note);
        command_complete_vms(&context->vms, "", NULL);
    }
    return EXIT_FINE;
}

/* A copy of a host need not have the VM, whose name may be wrong nevertheless. */
static void plan_context_suggest_vm(const struct plan_context *context) {
    if (!context->vms.count)
        return;
    char *message =
        memory_printf(VM_NAMES_UNKNOWN " there, so only its name is known", context->vm);
    char *hint = vm_names_hint(context->vm, context->vms.list, context->vms.count);
    command_fail(message, hint); /* only said */
    free(message);
    free(hint);
}

/* A copy of a host has libvirt's files of the VMs that ran there, and its definitions. */
static int plan_context_vms_from_tree_of(struct plan_context *context) {
    const struct domain *first, *second;
    struct domain_list *vms = &context->vms;
    size_t index = domain_pick(vms->list, vms->count, context->vm, &first, &second);
    if (second)
        return command_two_vms(context->vm, first, second);
    domain_list_running_in(&context->others, context->line->sysroot, NULL);
    if (index == vms->count) {
        plan_context_suggest_vm(context);
        return plan_context_known_by_name(context, vms->count ? "no VM there has the name typed"
                                                              : "the VMs there are not known");
    }
    if (!domain_list_take(&context->others, domain_key(&vms->list[index]), &context->domain)) {
        struct domain_list again;
        domain_list_all_in(&again, context->line->sysroot);
        domain_list_take(&(struct domain_list){again.list, again.count},
                         domain_key(&vms->list[index]), &context->domain);
        again.count--;
        domain_list_finish(&again);
    } else if (plan_context_wants_definition(context)) {
        plan_context_read_definition(context, context->line->sysroot);
    }
    return EXIT_FINE;
}

static int plan_context_vms_from_files(struct plan_context *context) {
    if (context->line->sysroot)
        domain_list_all_in(&context->vms, context->line->sysroot);
    if (!context->line->domain_xml)
        return plan_context_vms_from_tree_of(context);
    int status = plan_context_read_domain(context->line, &context->domain, context->vm);
    if (status == EXIT_FINE && plan_context_wants_definition(context) && context->domain.id >= 0) {
        char *name = text_shell_operand(context->domain.name);
        fprintf(stderr,
                "virt-rules: %s is of a running VM: 'virsh dumpxml --inactive %s' prints its "
                "definition\n",
                context->line->domain_xml, name);
        free(name);
    }
    if (status == EXIT_FINE && context->line->sysroot)
        domain_list_running_in(&context->others, context->line->sysroot, &context->domain);
    return status;
}

/* The VM as libvirt has it. A tree of another host has no libvirt. */
static int plan_context_find_vms(struct plan_context *context) {
    struct virt *virt = NULL;
    struct virt_error error;
    if (context->line->domain_xml || context->line->sysroot)
        return plan_context_vms_from_files(context);
    if (virt_asker_connect(&virt, NULL, &error) == 0) {
        int status = plan_context_ask_libvirt(context, virt);
        virt_close(virt);
        return status;
    }
    return plan_context_go_on_without(context, &error);
}

/* "virt-rules plan Home Assistant started" */
static int plan_context_unquoted_name(const struct command_line *line, int count) {
    char *quoted = command_quoted_line(line, count);
    int status = command_usage(line->command,
                               "'%s' is not an event; a name that has a space needs quotes: %s",
                               line->words[1], quoted);
    free(quoted);
    return status;
}

static int plan_context_unknown_event(const struct plan_context *context) {
    const struct command_line *line = context->line;
    for (int i = 2; i < line->word_count; i++)
        if (scanner_event_from_text(line->words[i]) != EVENT_COUNT)
            return plan_context_unquoted_name(line, i);

    struct suggestion suggestion = {.word = context->event_word};
    /* From the last on, as in the parser: 'started' is more common than 'start'. */
    for (enum event_name event = EVENT_BOOT; event-- > 0;)
        suggest(&suggestion, scanner_event_text(event));
    if (suggestion.best)
        return command_usage(context->line->command, "unknown event '%s'; did you mean '%s'?",
                             context->event_word, suggestion.best);
    char *names = memory_strdup(""), *name = command_join(line->words, 2);
    char *vm = text_shell_word(name);
    for (enum event_name event = 0; event < EVENT_BOOT; event++)
        text_list(&names, event + 1 == EVENT_BOOT, " and ", "%s", scanner_event_text(event));
    int status = command_usage(line->command,
                               "unknown event '%s'; the events are %s; a VM's name that has a "
                               "space needs quotes: %s",
                               context->event_word, names, vm);
    free(names);
    free(name);
    free(vm);
    return status;
}

int plan_context_use_definition(struct plan_context *context) {
    const struct command_line *line = context->line;
    const char *root = line->sysroot ? line->sysroot : "";
    bool runs = context->domain.id >= 0;
    struct virt *virt = NULL;
    struct virt_error error;
    int status = EXIT_FINE;
    context->event.name = EVENT_DEFINED;
    if (line->domain_xml)
        return EXIT_FINE;
    if (!line->sysroot && virt_asker_connect(&virt, NULL, &error) == 0)
        status = plan_context_ask_definition(context, virt);
    else if (runs)
        plan_context_read_definition(context, root);
    virt_close(virt);
    return status;
}

/* A VM that runs and has no file of its definition. */
static bool plan_context_lacks_file(const struct plan_context *context, const char *root) {
    struct domain_list defined;
    struct domain definition;
    domain_list_defined_in(&defined, root);
    bool has = domain_list_take(&defined, domain_key(&context->domain), &definition);
    if (has)
        domain_finish(&definition);
    domain_list_finish(&defined);
    return !has;
}

bool plan_context_is_transient(const struct plan_context *context) {
    const struct command_line *line = context->line;
    struct virt *virt = NULL;
    struct virt_error error;
    struct virt_definition xml = {0};
    if (line->domain_xml || context->domain.id < 0)
        return false;
    if (line->sysroot || virt_asker_connect(&virt, NULL, &error) < 0)
        return plan_context_lacks_file(context, line->sysroot ? line->sysroot : "");
    bool is = virt->ops->definition(virt, domain_key(&context->domain), &xml, &error) == 0 &&
              !xml.is_persistent;
    virt_definition_finish(&xml);
    virt_close(virt);
    return is;
}

static int plan_context_name_event(struct plan_context *context) {
    context->event.name = scanner_event_from_text(context->event_word);
    context->event.domain = &context->domain;
    if (context->event.name == EVENT_BOOT)
        return command_usage(context->line->command,
                             "'%s' is an event of the host, not of a VM; 'virt-rules boot "
                             "--dry-run' shows what is done",
                             context->event_word);
    return context->event.name == EVENT_COUNT ? plan_context_unknown_event(context) : EXIT_FINE;
}

bool plan_context_is_at(const struct device *device, const char *text) {
    char address[64];
    return !strcmp(device->address, text) ||
           (address_normalise(text, address, sizeof address) && !strcmp(device->address, address));
}

bool plan_context_is_called(const struct device *device, const char *text) {
    char id[16];
    snprintf(id, sizeof id, "%04x:%04x", device->id.vendor, device->id.device);
    return plan_context_is_at(device, text) || !strcasecmp(id, text);
}

static void plan_context_find_devices(struct plan_context *context) {
    for (size_t i = 0; i < context->host.count; i++) {
        const struct device *device = &context->host.devices[i];
        if (!plan_context_is_called(device, context->device_word))
            continue;
        context->devices =
            memory_grow((void *)context->devices, context->device_count, sizeof *context->devices);
        context->devices[context->device_count++] = device;
    }
}

/* A removed device is known only by what was typed: its id, or its address. */
static bool plan_context_name_gone_device(struct plan_context *context) {
    char address[64] = "";
    struct device_id id = {0};
    const char *word = context->device_word;
    bool is_address = address_normalise(word, address, sizeof address);
    bool is_id = device_id_parse(word, &id);
    if (!is_address && !is_id)
        return false;
    context->gone = (struct device){.bus = BUS_USB,
                                    .address = memory_strdup(address),
                                    .id = id,
                                    .name = memory_strdup("(unplugged)"),
                                    .iommu_group = -1,
                                    .numa_node = -1,
                                    .vf_number = -1,
                                    .scsi_type = SCSI_UNKNOWN};
    device_bus_of_address(address, &context->gone.bus);
    context->event.device = &context->gone;
    return true;
}

static int plan_context_unknown_device(const struct plan_context *context) {
    return command_failf("name it by its address (03:00.0, 3:0:0:0), USB port (1-1.4) or id "
                         "(1ac1:089a): see 'virt-rules devices'",
                         "the host has no device '%s'", context->device_word);
}

static int plan_context_name_device(struct plan_context *context) {
    bool came = context->event.name == EVENT_PLUGGED || context->event.name == EVENT_FREED,
         went = context->event.name == EVENT_UNPLUGGED;
    if (!context->device_word)
        return EXIT_FINE;
    plan_context_find_devices(context);
    if (context->device_count == 1 && (came || went))
        context->event.device = context->devices[0];
    if (context->device_count || (went && plan_context_name_gone_device(context)))
        return EXIT_FINE;
    return plan_context_unknown_device(context);
}

/* Without a list of the host's VMs, reports what is assumed. */
static void plan_context_name_vms(struct plan_context *context) {
    context->event.vms = context->vms.list;
    context->event.vm_count = context->vms.count;
    const struct word *unsure =
        context->vms.list ? NULL : match_ambiguous(&context->rules.program, &context->event);
    if (unsure)
        fprintf(stderr,
                "virt-rules: cannot tell which VMs the host has; assuming that '%s' in the rules "
                "means only this VM\n",
                unsure->text);
}

/* The state is of this host's VMs: it says nothing of one in a file or in a copy of a host. */
static bool plan_context_is_parked(const struct plan_context *context) {
    const struct domain *domain = &context->domain;
    if (context->line->domain_xml || context->line->sysroot || domain->id < 0)
        return false;
    const struct vm_start start = {.id = domain->id,
                                   .process = vm_state_process(NULL, domain->name)};
    return vm_state_is_parked(log_write_state_directory(NULL), domain_key(domain), &start);
}

/* VM [EVENT] [DEVICE]: without an event the VM has just started. */
static int plan_context_take_words(struct plan_context *context) {
    static const char STARTED[] = "started";
    const struct command_line *line = context->line;
    char address[64];
    struct device_id id;
    if (!line->word_count)
        return command_usage(line->command, "give a VM; without an event it is 'started'");
    if (command_has_empty_word(line))
        return EXIT_USAGE;
    context->vm = line->words[0];
    context->event_word = line->word_count > 1 ? line->words[1] : STARTED;
    bool is_device =
        line->word_count == 2 && (device_id_parse(line->words[1], &id) ||
                                  address_normalise(line->words[1], address, sizeof address));
    if (is_device) {
        context->event_word = STARTED;
        context->device_word = line->words[1];
    } else if (line->word_count > 2) {
        context->device_word = line->words[2];
    }
    int status = plan_context_name_event(context);
    if (status == EXIT_FINE && line->word_count > 3)
        status = command_usage(line->command,
                               "too many arguments: give one VM, one event and one device");
    return status;
}

/* A device that was named may be any. */
static int plan_context_load_host(struct plan_context *context, bool may_be_part) {
    struct host_source source = source_sysfs(context->line->sysroot);
    if (!may_be_part || context->device_word ||
        !plan_part_load(&context->rules.program, &context->event, &source, &context->host))
        return command_load_host(&source, &context->host);
    context->host.source.load_names(&context->host);
    names_complete(&context->host);
    return EXIT_FINE;
}

static bool plan_context_fill(struct plan_context *context, const struct command_line *line,
                              plan_context_loader *load, bool may_be_part, int *status) {
    *context = (struct plan_context){.line = line};
    *status = plan_context_take_words(context);
    if (*status == EXIT_FINE)
        *status = plan_context_find_vms(context);
    if (*status != EXIT_FINE) {
        domain_list_finish(&context->vms);
        return false;
    }
    load(line, &context->rules);
    plan_context_name_vms(context);
    *status = plan_context_load_host(context, may_be_part);
    if (*status == EXIT_FINE)
        *status = plan_context_name_device(context);
    if (*status != EXIT_FINE) {
        plan_context_finish(context);
        return false;
    }
    context->request = (struct plan_request){.program = &context->rules.program,
                                             .event = &context->event,
                                             .host = &context->host,
                                             .program_root = context->host.root,
                                             .others = context->others.list,
                                             .other_count = context->others.count,
                                             .partial = context->rules.have_errors,
                                             .parked = plan_context_is_parked(context),
                                             .libvirt_version = context->libvirt_version};
    return true;
}

bool plan_context_init(struct plan_context *context, const struct command_line *line, int *status) {
    return plan_context_fill(context, line, command_load_rules, false, status);
}

bool plan_context_init_with(struct plan_context *context, const struct command_line *line,
                            plan_context_loader *load, int *status) {
    return plan_context_fill(context, line, load, false, status);
}

bool plan_context_init_part(struct plan_context *context, const struct command_line *line,
                            int *status) {
    return plan_context_fill(context, line, command_load_rules, true, status);
}

int plan_context_read_whole(struct plan_context *context) {
    struct host_source source = source_sysfs(context->line->sysroot);
    host_finish(&context->host);
    int status = command_load_host(&source, &context->host);
    context->request.program_root = context->host.root;
    return status;
}

void plan_context_finish(struct plan_context *context) {
    free(context->note);
    free((void *)context->devices);
    free(context->gone.address);
    free(context->gone.name);
    command_finish_rules(&context->rules);
    host_finish(&context->host);
    domain_list_finish(&context->others);
    domain_list_finish(&context->vms);
    domain_finish(&context->domain);
}
