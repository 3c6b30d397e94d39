/* virt-rules plan: what an event would do. The plan is the one that a run executes. */
#include "engine/command.h"

#include "engine/others.h"
#include "engine/plan.h"
#include "engine/plan_print.h"
#include "engine/virt.h"
#include "lexer/text.h"
#include "parser/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DOMAIN_XML_LIMIT = 64 * 1024 * 1024 };

struct plan_options {
    const struct command *command;
    const char *vm, *event_word;
    const char *rules, *sysroot, *domain_xml;
    bool xml, json;
    enum event_name event;
};

/* What is known of VMs: the one of the plan, and who else may have a device. */
struct vms {
    struct domain domain;
    struct others others;
};

static char *read_xml(const char *path, size_t *size) {
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *text = in ? command_read_all(in, DOMAIN_XML_LIMIT, size) : NULL;
    int error = errno;
    if (in && in != stdin)
        fclose(in);
    errno = error;
    return text;
}

static int parse_xml(struct domain *domain, const char *path, const char *xml, size_t size) {
    char error[512];
    if (domain_parse(domain, xml, size, error, sizeof error) == 0)
        return EXIT_FINE;
    char *message = memory_printf("%s: %s", path, error);
    int status = command_fail(message, NULL);
    free(message);
    return status;
}

static int domain_from_file(const struct plan_options *options, struct domain *domain) {
    size_t size = 0;
    char *xml = read_xml(options->domain_xml, &size);
    if (!xml) {
        char *message = memory_printf("%s: %s", options->domain_xml, strerror(errno));
        int status = command_fail(message, "--domain-xml takes what 'virsh dumpxml VM' prints");
        free(message);
        return status;
    }
    int status = parse_xml(domain, options->domain_xml, xml, size);
    free(xml);
    if (status == EXIT_FINE && !domain_is_called(domain, options->vm)) {
        status = command_usage(options->command, "%s is of VM '%s', not of '%s'",
                               options->domain_xml, domain_label(domain), options->vm);
        domain_finish(domain);
    }
    return status;
}

static int vms_from_libvirt(const struct plan_options *options, struct virt *virt,
                            struct vms *vms) {
    struct virt_error error;
    char *xml = NULL;
    if (virt->ops->domain_xml(virt, options->vm, &xml, &error) < 0)
        return command_fail(error.message, error.hint);
    int status = parse_xml(&vms->domain, options->vm, xml, strlen(xml));
    free(xml);
    if (status == EXIT_FINE && others_load(&vms->others, virt, vms->domain.uuid, &error) < 0)
        fprintf(stderr, "virt-rules: what other VMs have is not known: %s\n", error.message);
    return status;
}

static int known_by_name(const struct plan_options *options, struct domain *domain) {
    return domain_from_name(domain, options->vm) == 0 ? EXIT_FINE
                                                      : command_fail("out of memory", NULL);
}

/*
 * The VM as libvirt has it. A tree of another host has no libvirt, and a host where libvirt does
 * not answer can still be planned for: then all that is known of the VM is what was typed.
 */
static int find_vms(const struct plan_options *options, struct vms *vms) {
    struct virt *virt = NULL;
    struct virt_error error;
    *vms = (struct vms){0};
    if (options->domain_xml)
        return domain_from_file(options, &vms->domain);
    if (options->sysroot)
        return known_by_name(options, &vms->domain);
    if (virt_libvirt_open(&virt, NULL, &error) == 0) {
        int status = vms_from_libvirt(options, virt, vms);
        virt_close(virt);
        return status;
    }
    fprintf(stderr,
            "virt-rules: libvirt does not answer, so all that is known of the VM is that it is "
            "called '%s': %s\n",
            options->vm, error.message);
    if (*error.hint)
        fprintf(stderr, "  hint: %s\n", error.hint);
    return known_by_name(options, &vms->domain);
}

static int print_plan(const struct plan_options *options, const struct plan_request *request) {
    struct plan plan;
    plan_init(&plan, request);
    if (options->json)
        text_print_json(stdout, plan_json(&plan));
    else
        plan_print(&plan, stdout, options->xml, command_colour(stdout));
    bool refused = plan_count(&plan, PLAN_REFUSED) > 0;
    plan_finish(&plan);
    return refused ? EXIT_PROBLEM : EXIT_FINE;
}

static int plan_vm(const struct plan_options *options, const struct vms *vms) {
    char error[512];
    struct host host;
    struct ruleset ruleset;
    struct program program;
    struct event event = {options->event, &vms->domain};
    if (host_init(&host, options->sysroot, error, sizeof error) < 0)
        return command_fail(error, "--sysroot takes a directory that holds sys/ and proc/");
    ruleset_init(&ruleset);
    ruleset_add_directory(&ruleset, rules_directory(options->rules));
    ruleset_load(&ruleset, NULL);
    bool wrong = command_report(&ruleset);
    program_init(&program, &ruleset);
    int status = print_plan(options, &(struct plan_request){.program = &program,
                                                            .event = &event,
                                                            .host = &host,
                                                            .others = vms->others.list,
                                                            .other_count = vms->others.count});
    program_finish(&program);
    ruleset_finish(&ruleset);
    host_finish(&host);
    return wrong ? EXIT_PROBLEM : status;
}

static int unknown_event(const struct plan_options *options) {
    struct suggestion suggestion = {.word = options->event_word};
    for (enum event_name event = 0; event < EVENT_COUNT; event++)
        suggest(&suggestion, event_text(event));
    if (suggestion.best)
        return command_usage(options->command, "unknown event '%s'; did you mean '%s'?",
                             options->event_word, suggestion.best);
    return command_usage(options->command,
                         "unknown event '%s'; the events are prepare, start, "
                         "started, stopped, release, migrate, restore, "
                         "reconnect, plugged and unplugged",
                         options->event_word);
}

int command_plan(const struct command *command, int argc, char **argv) {
    struct plan_options options = {.command = command};
    const struct command_option table[] = {
        {.name = "rules", .value = &options.rules},
        {.name = "sysroot", .value = &options.sysroot},
        {.name = "domain-xml", .value = &options.domain_xml},
        {.name = "xml", .flag = &options.xml},
        {.name = "json", .flag = &options.json},
        {0},
    };
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    if (argc - first != 2)
        return command_usage(command, argc - first < 2 ? "a VM and an event are needed"
                                                       : "too many words: one VM, one event");
    options.vm = argv[first];
    if (!*options.vm)
        return command_usage(command, "a VM's name cannot be empty");
    options.event_word = argv[first + 1];
    options.event = event_from_text(options.event_word);
    if (options.event == EVENT_COUNT)
        return unknown_event(&options);
    struct vms vms;
    status = find_vms(&options, &vms);
    if (status != EXIT_FINE)
        return status;
    status = plan_vm(&options, &vms);
    others_finish(&vms.others);
    domain_finish(&vms.domain);
    return status;
}
