#include "engine/plan/suggest_rule.h"

#include "parser/print.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- the VM */

/* Letters, digits, '-', '_' and '.' mean themselves in a word; everything else is quoted, as are
 * keywords, events, and the fields that may be before a VM's name. */
static bool suggest_rule_is_bare(const char *vm) {
    char lower[32];
    size_t length = strlen(vm);
    for (size_t i = 0; i < length; i++) {
        unsigned char letter = (unsigned char)vm[i];
        if (letter >= 0x80 || (!isalnum(letter) && (!strchr("-_.", letter) || !i)))
            return false;
        if (i < sizeof lower)
            lower[i] = (char)tolower(letter);
    }
    if (!length || length >= sizeof lower)
        return length != 0;
    lower[length] = '\0';
    for (int field = FIELD_ANY + 1; field < FIELD_COUNT; field++)
        if (!strcmp(lower, syntax_field_text((enum word_field)field)))
            return false;
    return scanner_keyword_from_text(lower) == TOKEN_END &&
           scanner_event_from_text(lower) == EVENT_COUNT;
}

char *suggest_rule_vm_text(const char *vm) {
    char *text = NULL;
    size_t size = 0;
    if (suggest_rule_is_bare(vm))
        return memory_strdup(vm);
    FILE *out = memory_stream(&text, &size);
    print_string(out, vm);
    memory_stream_close(out, &text);
    return text;
}

/* --- the backend */

/* The first type of which one can be created now; NULL: none. */
static const struct device_mdev_type *suggest_rule_mdev_type(const struct device *device) {
    for (size_t i = 0; i < device->mdev_type_count; i++)
        if (device->mdev_types[i].available)
            return &device->mdev_types[i];
    return NULL;
}

char *suggest_rule_backend_text(const struct backend_type *backend, const struct device *device) {
    const struct device_mdev_type *type = suggest_rule_mdev_type(device);
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    fputs(syntax_backend_text(backend->backend), out);
    if (backend->backend == BACKEND_MDEV) {
        putc(' ', out);
        print_string(out, type                      ? type->name
                          : device->mdev_type_count ? device->mdev_types[0].name
                                                    : "TYPE");
    }
    memory_stream_close(out, &text);
    return text;
}

struct verdict suggest_rule_judge(struct judge *judge, const struct device *device,
                                  const struct backend_type *backend) {
    struct verdict verdict = judge_device(judge, device, backend, NULL, false);
    if (!verdict.refusal && backend->backend == BACKEND_MDEV && !suggest_rule_mdev_type(device))
        return verdict_refuse(
            REFUSED_TOO_FEW, memory_strdup("no further mediated device can be created on it"),
            memory_strdup("stop a VM that has one; or write 'as mdev uuid' with the UUID of one "
                          "that exists"));
    return verdict;
}

/* Why the devices of the group cannot go together: what is said of the first that cannot.
 * REFUSED_NOT: they can. */
static struct verdict suggest_rule_judge_group(struct judge *judge, const struct device *device,
                                               const struct backend_type *backend,
                                               const struct device **member) {
    const struct host *host = judge->host;
    for (size_t i = 0; i < host->count; i++) {
        *member = &host->devices[i];
        if (*member != device && !judge_is_group_member(device, *member))
            continue;
        struct verdict verdict = judge_device(judge, *member, backend, NULL, true);
        if (verdict.refusal)
            return verdict;
    }
    return (struct verdict){0};
}

/* Where a rule with it is refused, 'with group' must not be the advice. What the host or another VM
 * uses is said already. */
static void suggest_rule_explain_group(struct suggested_rule *suggested,
                                       const struct device *device, const struct device *member,
                                       const struct verdict *group) {
    if (group->refusal == REFUSED_HOST_USE || group->refusal == REFUSED_HELD)
        return;
    struct verdict verdict =
        member == device
            ? verdict_copy(group)
            : verdict_refuse(REFUSED_GROUP,
                             memory_printf("IOMMU group %d also holds %s (%s), which cannot go "
                                           "with it: %s",
                                           device->iommu_group, member->address, member->name,
                                           group->message),
                             memory_copy(group->hint));
    verdict_finish(&suggested->verdict);
    suggested->verdict = verdict;
}

/* --- the rule */

/* It may be added and removed while the VM runs. */
static bool suggest_rule_is_plugged(const struct device *device) {
    return device->bus == BUS_USB ||
           (device->bus == BUS_SCSI && device->above && device->above_bus == BUS_USB);
}

static void suggest_rule_write(struct suggested_rule *suggested, const struct selector *selector,
                               const struct device *device, const char *vm) {
    char *words = selector_text(selector, device);
    char *backend = suggest_rule_backend_text(suggested->backend, device);
    char *name = vm ? suggest_rule_vm_text(vm) : memory_strdup(SUGGEST_RULE_VM);
    suggested->action = memory_printf("attach %s%s as %s", words,
                                      suggested->with_group ? " with group" : "", backend);
    suggested->text = memory_printf(
        "on vm %s %s %s", name, suggest_rule_is_plugged(device) ? "started, plugged" : "started",
        suggested->action);
    free(words);
    free(backend);
    free(name);
}

struct suggested_rule suggest_rule(struct judge *judge, const struct selector *selector,
                                   const struct device *device, const char *vm) {
    struct suggested_rule suggested = {0};
    backend_set set = backend_presenting(judge->host, device);
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++) {
        const struct backend_type *type = backend_type(backend);
        if (!(set & 1U << backend))
            continue;
        struct verdict verdict = suggest_rule_judge(judge, device, type);
        if (suggested.backend && verdict.refusal) {
            verdict_finish(&verdict);
            continue;
        }
        verdict_finish(&suggested.verdict);
        suggested.backend = type;
        suggested.verdict = verdict;
        if (!verdict.refusal)
            break;
    }
    if (!suggested.backend) {
        suggested.verdict = judge_device(judge, device, backend_of_bus(device->bus), NULL, false);
        return suggested;
    }
    if (suggested.verdict.refusal == REFUSED_GROUP) {
        const struct device *member;
        struct verdict group = suggest_rule_judge_group(judge, device, suggested.backend, &member);
        suggested.with_group = !group.refusal;
        if (group.refusal)
            suggest_rule_explain_group(&suggested, device, member, &group);
        verdict_finish(&group);
    }
    if (!suggested.verdict.refusal || suggested.with_group)
        suggest_rule_write(&suggested, selector, device, vm);
    return suggested;
}

void suggest_rule_finish(struct suggested_rule *suggested) {
    free(suggested->text);
    free(suggested->action);
    verdict_finish(&suggested->verdict);
    *suggested = (struct suggested_rule){0};
}
