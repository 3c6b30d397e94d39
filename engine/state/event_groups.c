#include "engine/state/event_groups.h"

#include "engine/state/log_write.h"
#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

/* libvirt's operations, in the order in which it reports them. */
static const struct {
    const char *event;
    enum event_phase phase;
    bool is_last;
} event_groups_phases[] = {
    {"prepare", EVENT_PHASE_START, false}, {"start", EVENT_PHASE_START, false},
    {"started", EVENT_PHASE_START, true},  {"stopped", EVENT_PHASE_STOP, false},
    {"release", EVENT_PHASE_STOP, true},
};

static enum event_phase event_groups_phase(const char *event, bool *is_last) {
    *is_last = true;
    for (size_t i = 0; i < sizeof event_groups_phases / sizeof *event_groups_phases; i++)
        if (!strcmp(event_groups_phases[i].event, event)) {
            *is_last = event_groups_phases[i].is_last;
            return event_groups_phases[i].phase;
        }
    return EVENT_PHASE_ALONE;
}

static void event_groups_free(struct event_group *group) {
    free(group->key);
    free(group->vm);
    free(group->name);
    free(group->device);
    free(group->events);
    free(group->event);
}

static struct event_group *event_groups_find(const struct event_groups *groups, const char *key) {
    for (size_t i = 0; key && i < groups->open_count; i++)
        if (!strcmp(groups->open[i].key, key))
            return &groups->open[i];
    return NULL;
}

static void event_groups_drop(struct event_groups *groups, struct event_group *group) {
    event_groups_free(group);
    *group = groups->open[--groups->open_count];
}

/* --- VMs whose start matched */

static size_t event_groups_find_matched(const struct event_groups *groups, const char *key) {
    size_t i = 0;
    while (i < groups->matched_count && strcmp(groups->matched[i], key) != 0)
        i++;
    return i;
}

static bool event_groups_has_matched(const struct event_groups *groups, const char *key) {
    return key && event_groups_find_matched(groups, key) < groups->matched_count;
}

static void event_groups_set_matched(struct event_groups *groups, const char *key, bool is) {
    size_t i = event_groups_find_matched(groups, key);
    if (is && i == groups->matched_count) {
        groups->matched =
            memory_grow((void *)groups->matched, groups->matched_count, sizeof *groups->matched);
        groups->matched[groups->matched_count++] = memory_strdup(key);
    } else if (!is && i < groups->matched_count) {
        free(groups->matched[i]);
        groups->matched[i] = groups->matched[--groups->matched_count];
    }
}

/* Most rules are for the start: that none is for the end of such a VM need not be said. */
static void event_groups_end(struct event_groups *groups, const struct event_group *group) {
    bool is_usual =
        group->phase == EVENT_PHASE_STOP && event_groups_has_matched(groups, group->key);
    if (!is_usual)
        groups->show(groups->context, group);
}

/* --- an event */

static struct event_group *event_groups_open(struct event_groups *groups, const char *key,
                                             const struct log_line *line, enum event_phase phase) {
    groups->open = memory_grow(groups->open, groups->open_count, sizeof *groups->open);
    struct event_group *group = &groups->open[groups->open_count++];
    *group = (struct event_group){.key = memory_copy(key),
                                  .vm = memory_copy(line->vm),
                                  .name = memory_copy(line->name),
                                  .device = memory_copy(line->device),
                                  .phase = phase};
    return group;
}

static void event_groups_add(struct event_group *group, const struct log_item *item) {
    if (group->events)
        memory_append(&group->events, ", %s", item->line.event);
    else
        group->events = memory_strdup(item->line.event);
    free(group->event);
    group->event = memory_strdup(item->line.event);
    group->when = item->when;
}

static void event_groups_take_unmatched(struct event_groups *groups, const struct log_item *item,
                                        const char *key, enum event_phase phase, bool is_last) {
    struct event_group *group = event_groups_find(groups, key);
    if (group && group->phase != phase) {
        event_groups_end(groups, group);
        event_groups_drop(groups, group);
        group = NULL;
    }
    if (!group)
        group = event_groups_open(groups, key, &item->line, phase);
    group->is_partial = phase == EVENT_PHASE_START && event_groups_has_matched(groups, key);
    event_groups_add(group, item);
    if (!is_last)
        return;
    event_groups_end(groups, group);
    event_groups_drop(groups, group);
    if (key && phase == EVENT_PHASE_STOP)
        event_groups_set_matched(groups, key, false);
}

void event_groups_take(struct event_groups *groups, const struct log_item *item) {
    const struct log_line *line = &item->line;
    const char *key = line->uuid ? line->uuid : line->vm;
    bool is_last, is_matched;
    if (!line->event || !line->result)
        return;
    is_matched = !strcmp(line->result, log_write_event_result_name(LOG_EVENT_MATCHED));
    if (!is_matched && strcmp(line->result, log_write_event_result_name(LOG_EVENT_UNMATCHED)) != 0)
        return; /* the log says it */
    enum event_phase phase = event_groups_phase(line->event, &is_last);
    bool is_first = !strcmp(line->event, event_groups_phases[0].event);
    if (key && phase == EVENT_PHASE_START && (is_matched || is_first))
        event_groups_set_matched(groups, key, is_matched);
    if (!is_matched) {
        event_groups_take_unmatched(groups, item, key, phase, is_last);
        return;
    }
    struct event_group *group = event_groups_find(groups, key);
    if (!group)
        return;
    if (group->phase != phase)
        event_groups_end(groups, group);
    event_groups_drop(groups, group);
}

void event_groups_flush(struct event_groups *groups) {
    for (size_t i = 0; i < groups->open_count; i++) {
        event_groups_end(groups, &groups->open[i]);
        event_groups_free(&groups->open[i]);
    }
    groups->open_count = 0;
}

void event_groups_finish(struct event_groups *groups) {
    for (size_t i = 0; i < groups->open_count; i++)
        event_groups_free(&groups->open[i]);
    for (size_t i = 0; i < groups->matched_count; i++)
        free(groups->matched[i]);
    free(groups->open);
    free((void *)groups->matched);
    *groups = (struct event_groups){0};
}
