#include "engine/passable.h"

#include "parser/print.h"

#include <stdlib.h>
#include <string.h>

/* `on vm any started attach [at ADDRESS | port PORT] as [vfio | usb]`, made without text. */
struct passable passable_judge(const struct host *host, const struct host_device *device,
                               const struct passable_vms *vms) {
    bool usb = device->bus == BUS_USB;
    struct criterion place = {.kind = usb ? CRITERION_PORT : CRITERION_ADDRESS,
                              .text = device->address,
                              .alternative = true};
    struct target target = {.device = &place};
    struct action action = {
        .verb = VERB_ATTACH, .backend = usb ? BACKEND_USB : BACKEND_VFIO, .targets = &target};
    struct word any = {.text = "any", .kind = WORD_ANY};
    struct event_list started = {.event = EVENT_STARTED};
    char nothing[] = "";
    struct source source = {.text = nothing};
    struct rule rule = {.source = &source, .vms = &any, .events = &started, .actions = &action};
    const struct rule *rules[] = {&rule};
    struct program program = {.rules = rules, .rule_count = 1};
    struct passable passable = {.refusal = REFUSED_NOT};
    struct domain domain = {.name = memory_strdup("any"), .id = -1};
    struct event event = {.name = EVENT_STARTED, .domain = &domain};
    struct plan plan;
    plan_init(&plan, &(struct plan_request){.program = &program,
                                            .event = &event,
                                            .host = host,
                                            .others = vms->list,
                                            .other_count = vms->count,
                                            .holdings = vms->holdings});
    for (size_t i = 0; i < plan.count; i++)
        if (plan.entries[i].kind == PLAN_REFUSED && !passable.message)
            passable = (struct passable){
                .refusal = plan.entries[i].refusal,
                .message = memory_strdup(plan.entries[i].message),
                .hint = plan.entries[i].hint ? memory_strdup(plan.entries[i].hint) : NULL};
    plan_finish(&plan);
    free(domain.name);
    return passable;
}

struct passable passable_judge_in_group(const struct host *host,
                                        const struct host_device *const *group, size_t count,
                                        const struct host_device *device,
                                        const struct passable_vms *vms) {
    struct host part = *host; /* the planner looks at nothing else of it */
    size_t place = 0;
    part.devices = memory_resize(NULL, count, sizeof *part.devices);
    part.count = count;
    for (size_t i = 0; i < count; i++) {
        part.devices[i] = *group[i];
        place = group[i] == device ? i : place;
    }
    struct passable passable = passable_judge(&part, &part.devices[place], vms);
    free(part.devices);
    return passable;
}

void passable_finish(struct passable *passable) {
    free(passable->message);
    free(passable->hint);
}

static bool same_id(const struct host_device *a, const struct host_device *b) {
    return a->id.vendor == b->id.vendor && a->id.device == b->id.device;
}

static bool same_serial(const struct host_device *a, const struct host_device *b) {
    return a->serial && b->serial && !strcmp(a->serial, b->serial);
}

/* A serial that the language can write and that no twin has too. */
static bool serial_tells(const struct host *host, const struct host_device *device) {
    if (!device->serial || !*device->serial)
        return false;
    for (size_t i = 0; i < host->count; i++)
        if (&host->devices[i] != device && same_id(&host->devices[i], device) &&
            same_serial(&host->devices[i], device))
            return false;
    return true;
}

static bool id_tells(const struct host *host, const struct host_device *device) {
    for (size_t i = 0; i < host->count; i++)
        if (&host->devices[i] != device && same_id(&host->devices[i], device) &&
            host->devices[i].bus == device->bus)
            return false;
    return true;
}

static char *with_serial(const struct host_device *device) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "%04x:%04x serial ", device->id.vendor, device->id.device);
    print_string(out, device->serial);
    memory_stream_close(out, &text);
    return text;
}

char *passable_selector(const struct host *host, const struct host_device *device) {
    if (id_tells(host, device))
        return memory_printf("%04x:%04x", device->id.vendor, device->id.device);
    if (serial_tells(host, device))
        return with_serial(device);
    return memory_printf("%04x:%04x %s %s", device->id.vendor, device->id.device,
                         device->bus == BUS_USB ? "port" : "at", device->address);
}
