/* The short list of `devices`, and the lines that it shares with the detail. */
#include "engine/command/devices_view.h"

#include "engine/host/architecture.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_INDENT = 2, RULE_INDENT = 6, TEXT_INDENT = 16 };

/* --- lines */

/* One line after `indent` columns, wrapped, with safe characters. */
__attribute__((format(printf, 4, 5))) static void
devices_list_line(FILE *out, struct terminal terminal, size_t indent, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *words = memory_vprintf(format, arguments);
    va_end(arguments);
    terminal_print_line(out, terminal, indent, "", words);
    free(words);
}

/* The bytes of a rule up to its next blank or newline outside quotes. */
static size_t devices_list_rule_word(const char *text) {
    bool is_quoted = false;
    size_t i = 0;
    for (; text[i] && (is_quoted || (text[i] != ' ' && text[i] != '\n')); i++) {
        if (text[i] == '\\' && is_quoted && text[i + 1])
            i++;
        else if (text[i] == '"')
            is_quoted = !is_quoted;
    }
    return i;
}

/* One line, up to its newline. Returns what follows. */
static const char *devices_list_rule_line(FILE *out, struct terminal terminal, size_t indent,
                                          const char *rule) {
    const size_t more = 4, mark = 2; /* " \" */
    size_t column = indent;
    bool is_first = true;
    const char *word = rule;
    fprintf(out, "%*s", (int)indent, "");
    while (*word && *word != '\n') {
        size_t length = devices_list_rule_word(word), width = text_width(word, length);
        bool is_last = word[length] != ' ';
        if (!is_first && terminal.width &&
            column + 1 + width + (is_last ? 0 : mark) > terminal.width) {
            fprintf(out, " \\\n%*s", (int)(indent + more), "");
            column = indent + more;
        } else if (!is_first) {
            putc(' ', out);
            column++;
        }
        text_print(out, word, length);
        column += width;
        is_first = false;
        word += length;
        word += strspn(word, " ");
    }
    putc('\n', out);
    return word + (*word == '\n');
}

void devices_list_rule(FILE *out, struct terminal terminal, size_t indent, const char *rule) {
    while (*rule)
        rule = devices_list_rule_line(out, terminal, indent, rule);
}

/* --- what there is to say of a device */

/* "1-3 Logitech USB Keyboard, 1-4 ...". The caller frees it. */
static char *devices_list_names(const struct inventory *inventory, const size_t *rows,
                                size_t count) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < count; i++)
        memory_append(&text, "%s%s %s", i ? ", " : "", inventory->rows[rows[i]].device->address,
                      inventory->rows[rows[i]].device->name);
    return text;
}

void devices_list_notes(FILE *out, const struct devices_view *view, const struct inventory_row *row,
                        size_t indent) {
    const struct inventory *inventory = view->inventory;
    struct terminal terminal = view->terminal;
    if (row->behind_count) {
        char *names = devices_list_names(inventory, row->behind, row->behind_count);
        devices_list_line(out, terminal, indent, "with it go: %s", names);
        free(names);
    }
    if (row->suggested.with_group && row->companion_count) {
        char *names = devices_list_names(inventory, row->companions, row->companion_count);
        devices_list_line(out, terminal, indent, "with it go (IOMMU group %d): %s",
                          row->device->iommu_group, names);
        free(names);
    }
    if (row->warning) {
        fputs(terminal_paint(terminal, TERMINAL_YELLOW), out);
        devices_list_line(out, terminal, indent, "warning: %s", row->warning);
        fputs(terminal_paint(terminal, TERMINAL_PLAIN), out);
    }
    char *holder = inventory_holder_text(row);
    if (holder)
        devices_list_line(out, terminal, indent, "%s", holder);
    free(holder);
    for (size_t i = 0; i < row->rule_count; i++) {
        char *text = inventory_rule_text(&row->rules[i]);
        devices_list_line(out, terminal, indent, "%s", text);
        free(text);
    }
}

/* "0000:05:00.0  Intel ... (eth2)", without a newline. */
static void devices_list_head(FILE *line, const struct devices_view *view,
                              const struct inventory_row *row) {
    bool is_free = row->state == INVENTORY_FREE;
    fprintf(line, "%*s%-*s ", PLACE_INDENT, "", TEXT_INDENT - PLACE_INDENT - 1,
            row->device->address);
    fputs(terminal_paint(view->terminal, is_free ? TERMINAL_BOLD : ""), line);
    text_print_string(line, row->device->name);
    fputs(terminal_paint(view->terminal, is_free ? TERMINAL_PLAIN : ""), line);
    char *interfaces = inventory_interfaces_text(row);
    if (interfaces) {
        fputs(" (", line);
        text_print_string(line, interfaces);
        putc(')', line);
    }
    free(interfaces);
}

/* The rule, and what there is to say of it. */
static void devices_list_suggested(FILE *out, const struct devices_view *view,
                                   const struct inventory_row *row) {
    fputs(terminal_paint(view->terminal, TERMINAL_GREEN), out);
    devices_list_rule(out, view->terminal, RULE_INDENT, row->suggested.text);
    fputs(terminal_paint(view->terminal, TERMINAL_PLAIN), out);
    devices_list_notes(out, view, row, RULE_INDENT);
}

static void devices_list_free_device(FILE *out, const struct devices_view *view,
                                     const struct inventory_row *row) {
    char *text = NULL;
    size_t size = 0;
    FILE *line = memory_stream(&text, &size);
    devices_list_head(line, view, row);
    putc('\n', line);
    terminal_wrap_stream(out, view->terminal, TEXT_INDENT, line, &text);
    devices_list_suggested(out, view, row);
}

/* One line: what it is and why it cannot be assigned. */
static void devices_list_other_device(FILE *out, const struct devices_view *view,
                                      const struct inventory_row *row) {
    const struct verdict *verdict = &row->suggested.verdict;
    char *text = NULL;
    size_t size = 0;
    FILE *line = memory_stream(&text, &size);
    devices_list_head(line, view, row);
    if (verdict->refusal) {
        fputs(": ", line);
        text_print_string(line, verdict->message);
    }
    putc('\n', line);
    terminal_wrap_stream(out, view->terminal, TEXT_INDENT, line, &text);
    if (view->has_words && verdict->refusal && verdict->hint)
        devices_list_line(out, view->terminal, RULE_INDENT, "hint: %s", verdict->hint);
    if (row->suggested.gives_display)
        devices_list_suggested(out, view, row);
    else if (view->has_words && row->suggested.text)
        devices_list_rule(out, view->terminal, RULE_INDENT, row->suggested.text);
}

/* --- the list */

static void devices_list_section(FILE *out, const struct devices_view *view,
                                 enum inventory_state state, const char *title) {
    bool is_first = true;
    for (size_t i = 0; i < view->inventory->count; i++) {
        const struct inventory_row *row = &view->inventory->rows[i];
        if (!view->shown[i] || row->state != state)
            continue;
        if (is_first) {
            fputs(terminal_paint(view->terminal, TERMINAL_BOLD), out);
            devices_list_line(out, view->terminal, 0, "%s", title);
            fputs(terminal_paint(view->terminal, TERMINAL_PLAIN), out);
        }
        is_first = false;
        if (state == INVENTORY_FREE)
            devices_list_free_device(out, view, row);
        else
            devices_list_other_device(out, view, row);
    }
    if (!is_first)
        putc('\n', out);
}

/* What is missing on the host for all of its PCI devices. */
static void devices_list_lacks(FILE *out, const struct devices_view *view) {
    const struct host *host = view->inventory->host;
    if (host->lacks_names)
        devices_list_line(out, view->terminal, 0,
                          "The names of PCI devices are missing, as there is no list of them: "
                          "install the package 'pci.ids' or 'hwdata', or put a copy of pci.ids "
                          "into /usr/local/share.");
    if (!host->has_iommu)
        devices_list_line(out, view->terminal, 0,
                          "The host has no active IOMMU, so no PCI device can be assigned as vfio "
                          "or net: %s.",
                          architecture_iommu(architecture_of(host->root)));
}

void devices_list_end(FILE *out, const struct devices_view *view, bool counts) {
    size_t count[INVENTORY_INTERNAL + 1] = {0};
    devices_list_lacks(out, view);
    for (size_t i = 0; i < view->inventory->count; i++)
        count[view->inventory->rows[i].state] += view->shown[i];
    if (!counts)
        return;
    char *text =
        memory_printf("%zu can be assigned, %zu %s in use", count[INVENTORY_FREE],
                      count[INVENTORY_IN_USE], count[INVENTORY_IN_USE] == 1 ? "is" : "are");
    if (count[INVENTORY_REFUSED])
        memory_append(&text, ", %zu cannot be assigned", count[INVENTORY_REFUSED]);
    if (count[INVENTORY_INTERNAL] && !view->has_words)
        memory_append(&text, ", %zu %s not shown (--all)", count[INVENTORY_INTERNAL],
                      count[INVENTORY_INTERNAL] == 1 ? "bridge or chipset device"
                                                     : "bridges and chipset devices");
    devices_list_line(out, view->terminal, 0, "%s", text);
    free(text);
}

void devices_list(FILE *out, const struct devices_view *view) {
    devices_list_section(out, view, INVENTORY_FREE,
                         "Can be assigned, by this rule (" SUGGEST_RULE_VM " is the VM):");
    devices_list_section(out, view, INVENTORY_IN_USE, "In use:");
    devices_list_section(out, view, INVENTORY_REFUSED, "Cannot be assigned:");
    if (view->has_words)
        devices_list_section(out, view, INVENTORY_INTERNAL, "Bridges and chipset:");
    devices_list_end(out, view, true);
}
