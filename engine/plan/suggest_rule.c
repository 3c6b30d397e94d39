#include "engine/plan/suggest_rule.h"

#include "engine/backend/backend_window.h"
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
    if (backend->backend != BACKEND_MDEV)
        return memory_strdup(syntax_backend_text(backend->backend));
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "%s ", syntax_backend_text(backend->backend));
    print_string(out, type                      ? type->name
                      : device->mdev_type_count ? device->mdev_types[0].name
                                                : "TYPE");
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
                                               const struct backend_options *options,
                                               const struct device **member) {
    const struct host *host = judge->host;
    for (size_t i = 0; i < host->count; i++) {
        *member = &host->devices[i];
        if (*member != device && !judge_is_group_member(device, *member))
            continue;
        struct verdict verdict = judge_device(judge, *member, backend, options, true);
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
    bool is_of_display = member != device && member->is_display;
    if ((group->refusal == REFUSED_HOST_USE && !is_of_display) || group->refusal == REFUSED_HELD)
        return;
    struct verdict verdict =
        member == device
            ? verdict_copy(group)
            : verdict_refuse(
                  REFUSED_GROUP,
                  memory_printf("IOMMU group %d also holds %s (%s), which cannot go "
                                "with it: %s",
                                device->iommu_group, member->address, member->name, group->message),
                  is_of_display ? memory_printf("it goes together with that one: see 'virt-rules "
                                                "devices %s'",
                                                member->address)
                                : memory_copy(group->hint));
    verdict_finish(&suggested->verdict);
    suggested->verdict = verdict;
}

/* --- a graphics card */

/* A card that only computes needs no firmware, but may need more addresses than a port has. */
static bool suggest_rule_is_graphics(const struct device *device) {
    enum { CLASS_3D = 0x0302 };
    return device_is_graphics_card(device) &&
           (device->class_code >> 8 != CLASS_3D || !backend_window_is_enough(device));
}

/* The guest's firmware starts a graphics card only if it finds it when it boots. Its sound goes the
 * same way, and so does what is in its group. */
static bool suggest_rule_is_for_firmware(const struct suggested_rule *suggested,
                                         const struct host *host, const struct device *device) {
    enum { CLASS_MULTIMEDIA = 0x04 };
    bool is_sound = device->class_code >> 16 == CLASS_MULTIMEDIA, is = false;
    if (suggested->backend->backend != BACKEND_VFIO)
        return false;
    if (suggest_rule_is_graphics(device))
        return true;
    for (size_t i = 0; (is_sound || suggested->with_group) && !is && i < host->count; i++) {
        const struct device *other = &host->devices[i];
        is = suggest_rule_is_graphics(other) &&
             ((is_sound && device_is_same_slot(device, other)) ||
              (suggested->with_group && judge_is_group_member(device, other)));
    }
    return is;
}

/* With which of the others of its group can it go, if the host gives up its display? Of a
 * definition, whose VM does not start as long as a program has the card open. */
static void suggest_rule_give_display(struct suggested_rule *suggested, struct judge *judge,
                                      const struct device *device, bool may_define) {
    static const struct action_option boot_display = {.kind = OPTION_BOOT_DISPLAY};
    const struct backend_options options = {.list = &boot_display};
    judge->is_definition = judge->is_required = may_define;
    struct verdict verdict = judge_device(judge, device, suggested->backend, &options, false);
    bool with_group = verdict.refusal == REFUSED_GROUP;
    if (with_group) {
        const struct device *member;
        verdict_finish(&verdict);
        verdict = suggest_rule_judge_group(judge, device, suggested->backend, &options, &member);
    }
    judge->is_definition = judge->is_required = false;
    suggested->gives_display = !verdict.refusal;
    suggested->with_group = with_group && !verdict.refusal;
    if (verdict.refusal) {
        verdict_finish(&suggested->verdict);
        suggested->verdict = verdict;
    }
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
    const char *group = suggested->with_group ? " with group" : "";
    suggested->text = memory_printf(
        "on vm %s %s%s attach %s%s as %s%s%s", name, scanner_event_text(suggested->event),
        suggest_rule_is_plugged(device) ? ", plugged" : "", words, group, backend,
        suggested->gives_display ? " boot display" : "", suggested->resets ? " then reset" : "");
    if (suggested->event == EVENT_DEFINED)
        memory_append(&suggested->text, "\non vm %s prepare require %s%s", name, words, group);
    free(words);
    free(backend);
    free(name);
}

struct suggested_rule suggest_rule(struct judge *judge, const struct selector *selector,
                                   const struct device *device, const char *vm, bool may_define) {
    struct suggested_rule suggested = {.event = EVENT_STARTED};
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
        struct verdict group =
            suggest_rule_judge_group(judge, device, suggested.backend, NULL, &member);
        suggested.with_group = !group.refusal;
        if (group.refusal)
            suggest_rule_explain_group(&suggested, device, member, &group);
        verdict_finish(&group);
    }
    if (suggested.verdict.refusal == REFUSED_HOST_USE && device->is_display &&
        suggested.backend->backend == BACKEND_VFIO)
        suggest_rule_give_display(&suggested, judge, device, may_define);
    if (suggested.verdict.refusal && !suggested.with_group && !suggested.gives_display)
        return suggested;
    if (suggest_rule_is_for_firmware(&suggested, judge->host, device)) {
        suggested.event = may_define ? EVENT_DEFINED : EVENT_STARTED;
        suggested.resets = !may_define;
    }
    suggest_rule_write(&suggested, selector, device, vm);
    return suggested;
}

void suggest_rule_finish(struct suggested_rule *suggested) {
    free(suggested->text);
    verdict_finish(&suggested->verdict);
    *suggested = (struct suggested_rule){0};
}
