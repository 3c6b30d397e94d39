#include "parser/doubt.h"

#include "parser/print.h"
#include "parser/resolve.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BUDGET = 256 }; /* criteria in one text; with more it says: every device */
static const uint32_t NO_PLACE = UINT32_MAX; /* a reason without an error of its own */

struct doubt_search {
    struct syntax *syntax;
    struct diagnostics *diagnostics;
    size_t *errors; /* numbers of the errors in `diagnostics`, by file and place */
    size_t count;
    const struct source *refused; /* the last of which doubt_refusal() was asked, and its answer */
    struct diagnostic *refusal;
};

/* --- where the errors are */

static const struct diagnostics *sorted;

static int doubt_by_place(const void *left, const void *right) {
    const struct diagnostic *a = &sorted->list[*(const size_t *)left];
    const struct diagnostic *b = &sorted->list[*(const size_t *)right];
    if (a->source != b->source)
        return a->source->number < b->source->number ? -1 : 1;
    return a->span.start < b->span.start ? -1 : a->span.start > b->span.start;
}

static void doubt_find_errors(struct doubt_search *doubts) {
    for (size_t i = 0; i < doubts->diagnostics->count; i++)
        if (doubts->diagnostics->list[i].severity == SEVERITY_ERROR &&
            !doubts->diagnostics->list[i].whole_file) {
            doubts->errors = memory_grow(doubts->errors, doubts->count, sizeof *doubts->errors);
            doubts->errors[doubts->count++] = i;
        }
    sorted = doubts->diagnostics;
    if (doubts->count)
        qsort(doubts->errors, doubts->count, sizeof *doubts->errors, doubt_by_place);
}

static const struct diagnostic *doubt_error_at(const struct doubt_search *doubts, size_t index) {
    return &doubts->diagnostics->list[doubts->errors[index]];
}

/* The first error of the file at or behind that offset, as an index into `errors`. */
static size_t doubt_first_error(const struct doubt_search *doubts, const struct source *source,
                                uint32_t offset) {
    size_t low = 0, high = doubts->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct diagnostic *one = doubt_error_at(doubts, middle);
        bool before =
            one->source != source ? one->source->number < source->number : one->span.start < offset;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool doubt_is_in(const struct doubt_search *doubts, size_t index,
                        const struct source *source, struct span span) {
    return index < doubts->count && doubt_error_at(doubts, index)->source == source &&
           doubt_error_at(doubts, index)->span.start < span.end;
}

/* --- criteria that were not understood */

static void doubt_make_unread(struct doubt_search *doubts, const struct source *source,
                              struct criterion *criterion, struct span span) {
    bool whole = span.end > span.start && span.end <= source->size;
    criterion->kind = CRITERION_UNREAD;
    criterion->resolved = false;
    criterion->text = whole ? scanner_intern(&doubts->syntax->texts, source->text + span.start,
                                             span.end - span.start)
                            : "";
}

static struct criterion *doubt_unread_device(struct doubt_search *doubts,
                                             const struct source *source, struct span span) {
    struct criterion *device = memory_arena_alloc(&doubts->syntax->arena, sizeof *device);
    device->span = span;
    device->alternative = device->incomplete = true;
    doubt_make_unread(doubts, source, device, span);
    return device;
}

/* With an error outside of all criteria nothing of the device is certain. */
static void doubt_mark_error(struct doubt_search *doubts, const struct source *source,
                             struct criterion *criteria, const struct diagnostic *error) {
    struct criterion *alternative = criteria, *one = criteria;
    for (; one && one->span.end <= error->span.start; one = one->next)
        alternative = one->next && one->next->alternative ? one->next : alternative;
    if (!one || error->span.start < one->span.start) {
        criteria->next = NULL;
        doubt_make_unread(doubts, source, criteria, criteria->span);
    } else if (error->check == CHECK_IMPOSSIBLE_DEVICE) {
        alternative->either = true;
    } else if (one->kind == CRITERION_VF && error->span.start >= one->parent->span.start) {
        doubt_mark_error(doubts, source, one->parent, error); /* still no more than a VF */
    } else if (one->kind != CRITERION_UNREAD) {
        doubt_make_unread(doubts, source, one, one->span);
    }
}

/* Without a keyword before it: an id, an address or a name. */
static bool doubt_is_bare(const struct source *source, const struct criterion *criterion) {
    const char *text = source->text + criterion->span.start;
    size_t length = strcspn(text, " \t\r\n\\");
    if (criterion->negated || criterion->kind == CRITERION_BUS)
        return false;
    if (criterion->span.start + length >= criterion->span.end)
        return true;
    for (int kind = 0; kind < CRITERION_COUNT; kind++) {
        const struct criterion_row *row = syntax_criterion(kind);
        if (row->keyword != TOKEN_END && !strncmp(text, row->text, length) && !row->text[length])
            return false;
    }
    return true;
}

/* Two bare words side by side, one of them not understood, may be two devices. */
static void doubt_part_devices(const struct source *source, struct criterion *criteria) {
    struct criterion *alternative = criteria;
    size_t bare = 0, unread = 0;
    for (struct criterion *one = criteria; one; one = one->next) {
        if (one->alternative) {
            alternative = one;
            bare = unread = 0;
        }
        bare += doubt_is_bare(source, one);
        unread += one->kind == CRITERION_UNREAD && doubt_is_bare(source, one);
        alternative->either |= bare > 1 && unread > 0;
    }
}

static void doubt_mark_names(struct doubt_search *doubts, const struct source *source,
                             struct criterion *criteria) {
    for (struct criterion *one = criteria; one; one = one->next)
        if (one->kind == CRITERION_VF)
            doubt_mark_names(doubts, source, one->parent);
        else if (one->kind == CRITERION_NAME && !one->resolved)
            doubt_make_unread(doubts, source, one, one->span);
}

/* `end` is that of the device's words. */
static void doubt_mark_device(struct doubt_search *doubts, const struct source *source,
                              struct criterion *criteria, uint32_t end) {
    struct span span = {criteria->span.start, end};
    for (size_t i = doubt_first_error(doubts, source, span.start);
         doubt_is_in(doubts, i, source, span); i++)
        doubt_mark_error(doubts, source, criteria, doubt_error_at(doubts, i));
    doubt_mark_names(doubts, source, criteria);
    doubt_part_devices(source, criteria);
}

/* --- the error that is the reason */

static uint32_t doubt_reason_of(struct doubt_search *doubts, struct definition *definition);

/* The number of the first error there, from 1; 0: none. */
static uint32_t doubt_error_in(const struct doubt_search *doubts, const struct source *source,
                               struct span span) {
    size_t index = doubt_first_error(doubts, source, span.start);
    return doubt_is_in(doubts, index, source, span) ? (uint32_t)index + 1 : 0;
}

static uint32_t doubt_reason_of_name(struct doubt_search *doubts, const struct source *source,
                                     const struct criterion *name) {
    const struct definition *list[DOUBT_CANDIDATES];
    size_t count = resolve_candidates(name->definition, source, list, DOUBT_CANDIDATES);
    uint32_t reason = 0;
    for (size_t i = 0; i < count && count > 1 && !reason; i++)
        reason = doubt_error_in(doubts, list[i]->source, list[i]->name_span);
    for (size_t i = 0; i < count && !reason; i++)
        reason = doubt_reason_of(doubts, (struct definition *)(uintptr_t)list[i]);
    return reason ? reason : count > 1 ? NO_PLACE : 0;
}

/* Why the criteria are not sure; 0: they are. */
static uint32_t doubt_reason_of_device(struct doubt_search *doubts, const struct source *source,
                                       const struct criterion *criteria, struct span span) {
    uint32_t reason = doubt_error_in(doubts, source, span);
    bool unread = false;
    for (const struct criterion *one = criteria; one && !reason; one = one->next) {
        unread |= one->kind == CRITERION_UNREAD;
        if (one->kind == CRITERION_VF)
            reason = doubt_reason_of_device(doubts, source, one->parent, one->span);
        if (one->kind == CRITERION_NAME)
            reason = doubt_reason_of_name(doubts, source, one);
    }
    return reason ? reason : unread ? NO_PLACE : 0;
}

/* A circle is cut: what closes it is a name without a definition. */
static uint32_t doubt_reason_of(struct doubt_search *doubts, struct definition *definition) {
    if (!definition->looked_at) {
        definition->looked_at = true;
        struct span device = {definition->device->span.start, definition->span.end};
        definition->reason =
            doubt_reason_of_device(doubts, definition->source, definition->device, device);
    }
    return definition->reason;
}

/* Of a file that is refused only that one error is reported. */
static struct diagnostic *doubt_refusal(struct doubt_search *doubts, const struct source *source) {
    if (doubts->refused == source)
        return doubts->refusal;
    doubts->refused = source;
    doubts->refusal = NULL;
    for (size_t i = 0; i < doubts->diagnostics->count && !doubts->refusal; i++)
        if (doubts->diagnostics->list[i].source == source && doubts->diagnostics->list[i].fixed)
            doubts->refusal = &doubts->diagnostics->list[i];
    return doubts->refusal;
}

/* The last error that begins before the guard ends, else the first of its file. */
static uint32_t doubt_error_near(const struct doubt_search *doubts, const struct guard *guard) {
    size_t index = doubt_first_error(doubts, guard->source, guard->span.end);
    if (index && doubt_is_in(doubts, index - 1, guard->source, guard->span))
        return (uint32_t)index;
    return doubt_error_in(doubts, guard->source, (struct span){0, UINT32_MAX});
}

static struct diagnostic *doubt_shown(struct doubt_search *doubts, const struct guard *guard,
                                      uint32_t reason) {
    if (guard->source->refused)
        return doubt_refusal(doubts, guard->source);
    if (!reason || reason == NO_PLACE)
        reason = doubt_error_near(doubts, guard);
    return reason ? &doubts->diagnostics->list[doubts->errors[reason - 1]] : NULL;
}

/* --- guards */

static uint32_t doubt_end_of(const struct criterion *criteria) {
    while (criteria->next)
        criteria = criteria->next;
    return criteria->span.end;
}

/* An error behind the device is one in the list of VMs, if there is one. */
static void doubt_mark_guard(struct doubt_search *doubts, struct guard *guard) {
    uint32_t device_end = doubt_end_of(guard->device);
    struct span rest = {device_end, guard->span.end};
    bool lost_vms = guard->vms && doubt_error_in(doubts, guard->source, rest);
    uint32_t end = guard->vms || guard->doubtful ? device_end : guard->span.end;
    doubt_mark_device(doubts, guard->source, guard->device, end);
    guard->doubtful |= lost_vms;
    if (lost_vms)
        guard->vms = NULL;
}

static void doubt_note_guard(struct doubt_search *doubts, struct guard *guard) {
    /* At its first character an error is about the block that it ends. */
    struct span span = {guard->span.start + 1, guard->span.end};
    uint32_t reason = doubt_reason_of_device(doubts, guard->source, guard->device, span);
    if (!reason && !guard->doubtful)
        return;
    guard->doubtful = true;
    struct diagnostic *diagnostic = doubt_shown(doubts, guard, reason);
    char *forbids = doubt_forbids(guard);
    if (diagnostic)
        diagnostic_note(diagnostic, guard->source, guard->span,
                        "until this is corrected, this 'never' forbids %s", forbids);
    free(forbids);
}

void doubt_mark(struct syntax *syntax, struct diagnostics *diagnostics) {
    struct doubt_search doubts = {.syntax = syntax, .diagnostics = diagnostics};
    doubt_find_errors(&doubts);
    if (doubts.count && syntax->guards) {
        for (struct definition *one = syntax->definitions; one; one = one->next) {
            if (!one->device)
                one->device = doubt_unread_device(&doubts, one->source, one->span);
            doubt_mark_device(&doubts, one->source, one->device, one->span.end);
        }
        for (struct guard *guard = syntax->guards; guard; guard = guard->next)
            doubt_mark_guard(&doubts, guard);
        /* In the order in which their names were resolved, so that the stack stays shallow. */
        for (struct definition *one = syntax->definitions; one; one = one->next)
            doubt_reason_of(&doubts, one);
        for (struct guard *guard = syntax->guards; guard; guard = guard->next)
            doubt_note_guard(&doubts, guard);
    }
    free(doubts.errors);
}

bool doubt_is_sure(const struct source *source, const struct criterion *name) {
    const struct definition *list[2];
    return name->resolved && !name->definition->reason &&
           resolve_candidates(name->definition, source, list, 2) == 1;
}

/* --- what a guard forbids, in words */

static char *doubt_device_text(const struct source *source, const struct criterion *criteria,
                               size_t *budget);

/* Both texts in one; frees `more`. NULL, as `more` may be: every device. */
static char *doubt_join(char *text, const char *glue, char *more) {
    if (more) {
        memory_append(&text, "%s%s", glue, more);
    } else {
        free(text);
        text = NULL;
    }
    free(more);
    return text;
}

/* NULL: every device. */
static char *doubt_name_text(const struct source *source, const struct criterion *name,
                             size_t *budget) {
    const struct definition *list[DOUBT_CANDIDATES];
    size_t count = resolve_candidates(name->definition, source, list, DOUBT_CANDIDATES);
    if (name->negated)
        return doubt_is_sure(source, name) ? print_criterion_text(name) : NULL;
    char *text = count < DOUBT_CANDIDATES ? memory_strdup("") : NULL;
    for (size_t i = 0; i < count && text; i++) {
        char *one = doubt_device_text(list[i]->source, list[i]->device, budget);
        text = doubt_join(text, i ? " or " : "", one);
    }
    if (text && strstr(text, " or ")) {
        char *whole = memory_printf("(%s)", text);
        free(text);
        text = whole;
    }
    return text;
}

static char *doubt_one_text(const struct source *source, const struct criterion *criterion,
                            size_t *budget) {
    if (criterion->kind == CRITERION_UNREAD || !*budget)
        return NULL;
    *budget -= 1;
    return criterion->kind == CRITERION_NAME ? doubt_name_text(source, criterion, budget)
                                             : print_criterion_text(criterion);
}

/* The conditions of one alternative that were understood; `next` gets the next alternative. */
static char *doubt_alternative_text(const struct source *source, const struct criterion *first,
                                    size_t *budget, const struct criterion **next) {
    const struct criterion *one = first;
    char *text = NULL;
    bool everything = false;
    do {
        char *condition = doubt_one_text(source, one, budget);
        everything |= !condition && first->either;
        if (condition && text)
            text = doubt_join(text, first->either ? " or " : " ", condition);
        else if (condition)
            text = condition;
        one = one->next;
    } while (one && !one->alternative);
    *next = one;
    if (everything) {
        free(text);
        text = NULL;
    }
    return text;
}

static char *doubt_device_text(const struct source *source, const struct criterion *criteria,
                               size_t *budget) {
    char *text = memory_strdup("");
    for (const struct criterion *one = criteria; one && text;) {
        char *alternative = doubt_alternative_text(source, one, budget, &one);
        text = doubt_join(text, *text ? " or " : "", alternative);
    }
    return text;
}

char *doubt_forbids(const struct guard *guard) {
    size_t budget = TEXT_BUDGET, size = 0;
    char *device = doubt_device_text(guard->source, guard->device, &budget), *text = NULL;
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "every device%s%s to ", device ? " that is " : "", device ? device : "");
    if (guard->vms)
        print_words(out, guard->vms, ", ");
    else
        fputs("every VM", out);
    memory_stream_close(out, &text);
    free(device);
    return text;
}
