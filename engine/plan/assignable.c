#include "engine/plan/assignable.h"

#include "parser/print.h"

#include <stdlib.h>
#include <string.h>

/* `on vm any started attach [at ADDRESS | port PORT] as [vfio | usb]`, made without text. */
struct assignable assignable_judge(const struct host *host, const struct device *device,
                                   const struct assignable_vms *vms) {
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
    struct assignable passable = {.refusal = REFUSED_NOT};
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
            passable = (struct assignable){
                .refusal = plan.entries[i].refusal,
                .message = memory_strdup(plan.entries[i].message),
                .hint = plan.entries[i].hint ? memory_strdup(plan.entries[i].hint) : NULL};
    plan_finish(&plan);
    free(domain.name);
    return passable;
}

struct assignable assignable_judge_in_group(const struct host *host,
                                            const struct device *const *group, size_t count,
                                            const struct device *device,
                                            const struct assignable_vms *vms) {
    struct host part = *host; /* the planner looks at nothing else of it */
    size_t place = 0;
    part.devices = memory_resize(NULL, count, sizeof *part.devices);
    part.count = count;
    for (size_t i = 0; i < count; i++) {
        part.devices[i] = *group[i];
        place = group[i] == device ? i : place;
    }
    struct assignable passable = assignable_judge(&part, &part.devices[place], vms);
    free(part.devices);
    return passable;
}

void assignable_finish(struct assignable *passable) {
    free(passable->message);
    free(passable->hint);
}

static bool assignable_same_id(const struct device *a, const struct device *b) {
    return a->id.vendor == b->id.vendor && a->id.device == b->id.device;
}

static bool assignable_same_serial(const struct device *a, const struct device *b) {
    return a->serial && b->serial && !strcmp(a->serial, b->serial);
}

/* A serial that the language can write and that no twin has too. */
static bool assignable_serial_tells(const struct host *host, const struct device *device) {
    if (!device->serial || !*device->serial)
        return false;
    for (size_t i = 0; i < host->count; i++)
        if (&host->devices[i] != device && assignable_same_id(&host->devices[i], device) &&
            assignable_same_serial(&host->devices[i], device))
            return false;
    return true;
}

static bool assignable_id_tells(const struct host *host, const struct device *device) {
    for (size_t i = 0; i < host->count; i++)
        if (&host->devices[i] != device && assignable_same_id(&host->devices[i], device) &&
            host->devices[i].bus == device->bus)
            return false;
    return true;
}

static char *assignable_with_serial(const struct device *device) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "%04x:%04x serial ", device->id.vendor, device->id.device);
    print_string(out, device->serial);
    memory_stream_close(out, &text);
    return text;
}

char *assignable_selector(const struct host *host, const struct device *device) {
    if (assignable_id_tells(host, device))
        return memory_printf("%04x:%04x", device->id.vendor, device->id.device);
    if (assignable_serial_tells(host, device))
        return assignable_with_serial(device);
    return memory_printf("%04x:%04x %s %s", device->id.vendor, device->id.device,
                         device->bus == BUS_USB ? "port" : "at", device->address);
}
