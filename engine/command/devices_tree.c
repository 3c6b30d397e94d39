/* The host as a map in text: each device below the one that it is connected to. */
#include "engine/command/devices_view.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

/* What is drawn before a device that has another one below it, before the last, and below each. */
struct branches {
    const char *one, *last, *below_one, *below_last;
};

static const struct branches devices_tree_utf8 = {"├─ ", "└─ ", "│  ", "   "};
static const struct branches devices_tree_ascii = {"|- ", "`- ", "|  ", "   "};

struct tree_print {
    FILE *out;
    const struct devices_view *view;
    const struct branches *branches;
    bool *drawn;          /* for each row: it or one below it is shown */
    size_t *first, *next; /* the rows below each, as chains; SIZE_MAX ends one */
};

/* The last one first, so that each chain is in the order of the rows. */
static void devices_tree_link(struct tree_print *print, size_t *roots) {
    const struct inventory *inventory = print->view->inventory;
    *roots = SIZE_MAX;
    for (size_t i = 0; i < inventory->count; i++)
        print->first[i] = SIZE_MAX;
    for (size_t i = inventory->count; i-- > 0;) {
        size_t above = inventory->rows[i].above;
        size_t *chain = above == SIZE_MAX ? roots : &print->first[above];
        print->next[i] = *chain;
        *chain = i;
    }
    for (size_t i = 0; i < inventory->count; i++) {
        size_t steps = 0;
        for (size_t row = i;
             print->view->shown[i] && row != SIZE_MAX && steps++ <= inventory->count;
             row = inventory->rows[row].above)
            print->drawn[row] = true;
    }
}

static size_t devices_tree_skip(const struct tree_print *print, size_t row) {
    while (row != SIZE_MAX && !print->drawn[row])
        row = print->next[row];
    return row;
}

/* "group 9, eth2". The caller frees it. */
static char *devices_tree_place(const struct inventory_row *row) {
    char *interfaces = inventory_interfaces_text(row), *text = memory_strdup("");
    if (row->device->iommu_group >= 0)
        memory_append(&text, "group %d", row->device->iommu_group);
    if (interfaces)
        memory_append(&text, "%s%s", *text ? ", " : "", interfaces);
    free(interfaces);
    return text;
}

static char *devices_tree_label(const struct inventory_row *row) {
    char *place = devices_tree_place(row), *holder = inventory_holder_text(row);
    char *text = memory_printf("%s %s%s%s%s", row->device->address, row->device->name,
                               *place ? " (" : "", place, *place ? ")" : "");
    if (holder)
        memory_append(&text, ": %s", holder);
    else if (row->state == INVENTORY_FREE)
        memory_append(&text, ": can be assigned%s",
                      row->suggested.with_group ? " with its group" : "");
    else if (row->state != INVENTORY_INTERNAL)
        memory_append(&text, ": %s", row->suggested.verdict.message);
    if (row->warning)
        memory_append(&text, "; warning: %s", row->warning);
    for (size_t i = 0; i < row->rule_count; i++) {
        char *rule = inventory_rule_text(&row->rules[i]);
        memory_append(&text, "; %s", rule);
        free(rule);
    }
    free(holder);
    free(place);
    return text;
}

static const char *devices_tree_colour(const struct devices_view *view,
                                       const struct inventory_row *row) {
    static const char *const colours[] = {[INVENTORY_FREE] = TERMINAL_GREEN,
                                          [INVENTORY_IN_USE] = "",
                                          [INVENTORY_REFUSED] = "",
                                          [INVENTORY_INTERNAL] = TERMINAL_DIM};
    return terminal_paint(view->terminal, row->held ? TERMINAL_CYAN : colours[row->state]);
}

/* Words with what is drawn at the left of each further line: terminal_wrap() has blanks there. */
static void devices_tree_wrap(const struct tree_print *print, const char *label, size_t column,
                              const char *left, const char *colour) {
    size_t width = print->view->terminal.width, start = text_width(left, strlen(left));
    const char *plain = *colour ? TERMINAL_PLAIN : "";
    bool is_first = true;
    fputs(colour, print->out);
    while (*label) {
        size_t length = strcspn(label, " "), columns = text_width(label, length);
        if (!is_first && width && column + 1 + columns > width && column > start) {
            fprintf(print->out, "%s\n%s%s", plain, left, colour);
            column = start;
        } else if (!is_first) {
            putc(' ', print->out);
            column++;
        }
        text_print(print->out, label, length);
        column += columns;
        is_first = false;
        label += length;
        label += strspn(label, " ");
    }
    fprintf(print->out, "%s\n", plain);
}

/* `left` is drawn before all that is below the same device. */
static void devices_tree_draw(struct tree_print *print, size_t row, const char *left) {
    for (row = devices_tree_skip(print, row); row != SIZE_MAX;) {
        const struct inventory_row *one = &print->view->inventory->rows[row];
        size_t next = devices_tree_skip(print, print->next[row]);
        size_t below = devices_tree_skip(print, print->first[row]);
        bool is_last = next == SIZE_MAX;
        const char *branch = is_last ? print->branches->last : print->branches->one;
        char *deeper = memory_printf(
            "%s%s", left, is_last ? print->branches->below_last : print->branches->below_one);
        char *more = memory_printf("%s%s", deeper,
                                   below == SIZE_MAX ? print->branches->below_last
                                                     : print->branches->below_one);
        char *label = devices_tree_label(one);
        fprintf(print->out, "%s%s", left, branch);
        devices_tree_wrap(print, label,
                          text_width(left, strlen(left)) + text_width(branch, strlen(branch)), more,
                          devices_tree_colour(print->view, one));
        devices_tree_draw(print, below, deeper);
        free(label);
        free(more);
        free(deeper);
        row = next;
    }
}

void devices_tree(FILE *out, const struct devices_view *view, bool utf8) {
    size_t count = view->inventory->count + 1, roots;
    struct tree_print print = {.out = out,
                               .view = view,
                               .branches = utf8 ? &devices_tree_utf8 : &devices_tree_ascii,
                               .drawn = memory_zalloc(count * sizeof(bool)),
                               .first = memory_zalloc(count * sizeof(size_t)),
                               .next = memory_zalloc(count * sizeof(size_t))};
    devices_tree_link(&print, &roots);
    fprintf(out, "%shost%s\n", terminal_paint(view->terminal, TERMINAL_BOLD),
            terminal_paint(view->terminal, TERMINAL_PLAIN));
    devices_tree_draw(&print, roots, "");
    devices_list_end(out, view, false);
    free(print.drawn);
    free(print.first);
    free(print.next);
}
