#include "parser/format.h"

#include "parser/print.h"
#include "parser/syntax.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 100, INDENT = 4 };

/* A token or a comment, in the order of the file. */
struct piece {
    struct span span;
    enum token token;
    bool comment;
    char *spelling; /* instead of the source's; NULL: unchanged */
};

struct formatter {
    const struct source *source;
    struct piece *pieces;
    size_t count;
    FILE *out;
    unsigned column; /* characters on the line so far */
    unsigned indent; /* of the line */
    bool in_block;
    bool line_begun;
    bool blank_pending; /* an empty line before the next one */
    bool blank_allowed; /* not at the start of the file or of a block */
};

/* --- pieces */

static void format_add_piece(struct formatter *formatter, struct piece piece) {
    formatter->pieces = memory_grow(formatter->pieces, formatter->count, sizeof *formatter->pieces);
    formatter->pieces[formatter->count++] = piece;
}

static int format_by_place(const void *left, const void *right) {
    const struct piece *a = left, *b = right;
    if (a->span.start != b->span.start)
        return a->span.start < b->span.start ? -1 : 1;
    return (a->token == TOKEN_NEWLINE) - (b->token == TOKEN_NEWLINE);
}

static void format_scan_pieces(struct formatter *formatter, struct source *source,
                               struct syntax *syntax) {
    struct diagnostics known = {0}; /* the parser has reported them */
    struct scanner *scanner = scanner_create(source, &syntax->texts, &known);
    union token_value value;
    struct span span;
    scanner_keep_comments(scanner);
    for (enum token token; (token = scanner_next(scanner, &value, &span)) != TOKEN_END;)
        format_add_piece(formatter, (struct piece){.span = span, .token = token});
    size_t comments = 0;
    const struct span *comment = scanner_comments(scanner, &comments);
    for (size_t i = 0; i < comments; i++)
        format_add_piece(formatter, (struct piece){.span = comment[i], .comment = true});
    scanner_destroy(scanner);
    diagnostic_finish_list(&known);
    if (formatter->count)
        qsort(formatter->pieces, formatter->count, sizeof *formatter->pieces, format_by_place);
}

/* The first piece at or after that place. */
static struct piece *format_piece_at(const struct formatter *formatter, uint32_t start) {
    size_t low = 0, high = formatter->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (formatter->pieces[middle].span.start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return &formatter->pieces[low];
}

/* Ids, addresses and classes in the lower case that lspci and lsusb have, an address with its
 * domain. */
static void format_spell_criteria(struct formatter *formatter, const struct criterion *criteria) {
    for (const struct criterion *one = criteria; one; one = one->next) {
        if (one->kind == CRITERION_VF)
            format_spell_criteria(formatter, one->parent);
        if (one->kind != CRITERION_ID && one->kind != CRITERION_ADDRESS &&
            one->kind != CRITERION_CLASS && one->kind != CRITERION_INTERFACE &&
            one->kind != CRITERION_SUBSYSTEM)
            continue;
        struct piece *value = format_piece_at(formatter, one->span.end) - 1;
        char *text = print_criterion_text(one);
        const char *space = strrchr(text, ' ');
        value->spelling = memory_strdup(space ? space + 1 : text);
        free(text);
    }
}

/* MAC addresses and UUIDs in lower case. */
static void format_spell_options(struct formatter *formatter, const struct action *action) {
    for (const struct action_option *one = action->options; one; one = one->next)
        if (one->kind == OPTION_MAC || one->kind == OPTION_MDEV_UUID) {
            struct piece *value = format_piece_at(formatter, one->span.end) - 1;
            free(value->spelling);
            value->spelling = memory_printf("\"%s\"", one->text);
        }
}

static void format_spell(struct formatter *formatter, const struct syntax *syntax) {
    for (const struct definition *one = syntax->definitions; one; one = one->next)
        format_spell_criteria(formatter, one->device);
    for (const struct guard *one = syntax->guards; one; one = one->next)
        format_spell_criteria(formatter, one->device);
    for (const struct rule *one = syntax->rules; one; one = one->next)
        for (const struct action *action = one->actions; action; action = action->next)
            if (action->verb != VERB_RUN) {
                format_spell_options(formatter, action);
                for (const struct target *target = action->targets; target; target = target->next)
                    format_spell_criteria(formatter, target->device);
            }
}

/* --- lines */

static void format_begin_line(struct formatter *formatter, bool closes) {
    if (formatter->blank_pending && formatter->blank_allowed && !closes)
        putc('\n', formatter->out);
    formatter->blank_pending = false;
    formatter->blank_allowed = true;
    formatter->indent = formatter->in_block && !closes ? INDENT : 0;
    formatter->column = formatter->indent;
    fprintf(formatter->out, "%*s", (int)formatter->indent, "");
    formatter->line_begun = true;
}

static void format_end_line(struct formatter *formatter) {
    if (formatter->line_begun)
        putc('\n', formatter->out);
    formatter->line_begun = false;
}

static size_t format_piece_text(const struct formatter *formatter, const struct piece *piece,
                                const char **text) {
    *text = piece->spelling ? piece->spelling : formatter->source->text + piece->span.start;
    size_t length = piece->spelling ? strlen(piece->spelling) : piece->span.end - piece->span.start;
    while (piece->comment && length && strchr(" \t\r", (*text)[length - 1]))
        length--;
    return length;
}

static void format_write_piece(struct formatter *formatter, const struct piece *piece, bool first) {
    const char *text = NULL;
    size_t length = format_piece_text(formatter, piece, &text);
    unsigned width = piece->spelling
                         ? (unsigned)length
                         : source_characters(formatter->source, piece->span.start, piece->span.end);
    bool glued = first || piece->token == TOKEN_COMMA;
    bool comma_next = !piece->comment && piece[1].token == TOKEN_COMMA && !piece[1].comment;
    if (!glued && !piece->comment && formatter->column + 1 + width + comma_next > WIDTH - 2) {
        fprintf(formatter->out, " \\\n%*s", (int)(formatter->indent + INDENT), "");
        formatter->column = formatter->indent + INDENT;
    } else if (!glued) {
        formatter->column += (unsigned)fprintf(formatter->out, piece->comment ? "  " : " ");
    }
    fwrite(text, 1, length, formatter->out);
    formatter->column += width;
}

static void format_write_one(struct formatter *formatter, const struct piece *piece) {
    bool closes = piece->token == TOKEN_CLOSE && !piece->comment;
    bool opens = piece->token == TOKEN_OPEN && !piece->comment;
    if (closes) {
        format_end_line(formatter);
        formatter->in_block = false;
    }
    bool first = !formatter->line_begun;
    if (first)
        format_begin_line(formatter, closes);
    format_write_piece(formatter, piece, first);
    formatter->in_block |= opens;
    if (opens)
        formatter->blank_allowed = false;
}

static void format_write_pieces(struct formatter *formatter) {
    bool opened = false;
    for (size_t i = 0; i < formatter->count; i++) {
        const struct piece *piece = &formatter->pieces[i];
        if (piece->token == TOKEN_NEWLINE && !piece->comment) {
            formatter->blank_pending |= !formatter->line_begun;
            format_end_line(formatter);
            opened = false;
            continue;
        }
        if (opened && !piece->comment)
            format_end_line(formatter); /* what follows '{' gets a line of its own */
        format_write_one(formatter, piece);
        opened = piece->token == TOKEN_OPEN && !piece->comment;
        if (opened)
            formatter->blank_pending = false;
    }
    format_end_line(formatter);
}

char *format_rules(struct source *source, struct diagnostics *diagnostics, size_t *size) {
    struct syntax syntax;
    size_t before = diagnostics->count;
    char *text = NULL;
    syntax_init(&syntax);
    syntax_parse(&syntax, source, diagnostics);
    if (diagnostics->count == before) {
        struct formatter formatter = {.source = source};
        format_scan_pieces(&formatter, source, &syntax);
        format_add_piece(&formatter,
                         (struct piece){.token = TOKEN_END}); /* so that each has a next one */
        formatter.count--;
        format_spell(&formatter, &syntax);
        formatter.out = memory_stream(&text, size);
        format_write_pieces(&formatter);
        memory_stream_close(formatter.out, &text);
        for (size_t i = 0; i < formatter.count; i++)
            free(formatter.pieces[i].spelling);
        free(formatter.pieces);
    }
    syntax_finish(&syntax);
    return text;
}
