#include "parser/disable.h"

#include "lexer/memory.h"
#include "lexer/scanner.h"

#include <stdlib.h>
#include <string.h>

static const char FIRST[] = "#disabled:", FURTHER[] = "#disabled+", CLOSER[] = "#disabled}";
enum { MARK_LENGTH = sizeof FIRST - 1 };

/* --- lines */

size_t disable_line_count(struct source *source) {
    source_position(source, 0); /* finds the lines */
    bool ends_open = source->lines[source->line_count - 1] < source->size;
    return source->line_count - !ends_open;
}

/* A line with its end. */
static struct span disable_line(const struct source *source, size_t line) {
    uint32_t start = line == 1 ? source_mark(source) : source->lines[line - 1];
    uint32_t end = line < source->line_count ? source->lines[line] : (uint32_t)source->size;
    return (struct span){start, end};
}

/* Where the text of the line begins. */
static uint32_t disable_skip_blanks(const struct source *source, struct span line) {
    uint32_t at = line.start;
    while (at < line.end && (source->text[at] == ' ' || source->text[at] == '\t'))
        at++;
    return at;
}

static bool disable_has_mark(const struct source *source, struct span line, const char *mark) {
    uint32_t at = disable_skip_blanks(source, line);
    return line.end - at >= MARK_LENGTH && !memcmp(source->text + at, mark, MARK_LENGTH);
}

static bool disable_has_any_mark(const struct source *source, struct span line) {
    return disable_has_mark(source, line, FIRST) || disable_has_mark(source, line, FURTHER);
}

/* "} #disabled}" */
static bool disable_is_closer(const struct source *source, struct span line) {
    uint32_t at = disable_skip_blanks(source, line);
    if (at == line.end || source->text[at] != '}')
        return false;
    line.start = at + 1;
    return disable_has_mark(source, line, CLOSER);
}

/* --- what a line belongs to */

static struct disable_part disable_part_of(const struct source *source, enum disable_state state,
                                           size_t first, size_t last) {
    return (struct disable_part){
        .state = state,
        .first = first,
        .last = last,
        .span = {disable_line(source, first).start, disable_line(source, last).end}};
}

static struct disable_part disable_find_disabled(struct source *source, size_t line) {
    size_t count = disable_line_count(source), first = line, last = line;
    while (first > 1 && !disable_has_mark(source, disable_line(source, first), FIRST) &&
           disable_has_any_mark(source, disable_line(source, first - 1)))
        first--;
    while (last < count && disable_has_mark(source, disable_line(source, last + 1), FURTHER))
        last++;
    struct disable_part part = disable_part_of(source, DISABLE_DISABLED, first, last);
    part.closes = last < count && disable_is_closer(source, disable_line(source, last + 1));
    if (part.closes)
        part.span.end = disable_line(source, last + 1).end;
    return part;
}

/* The tokens up to the end of a line that does not go on with '\'. */
struct token_line {
    size_t first, last;   /* lines */
    int depth;            /* of blocks, behind it */
    bool closes, is_bare; /* it has a '}'; nothing else */
};

/* Returns false at the end of the file. */
static bool disable_next_line(struct source *source, struct scanner *scanner, int depth,
                              struct token_line *line) {
    union token_value value;
    struct span span;
    *line = (struct token_line){.depth = depth, .is_bare = true};
    for (enum token token; (token = scanner_next(scanner, &value, &span)) != TOKEN_END;) {
        if (token == TOKEN_NEWLINE && line->first) {
            line->last = source_position(source, span.start).line;
            return true;
        }
        if (token == TOKEN_NEWLINE)
            continue;
        if (!line->first)
            line->first = source_position(source, span.start).line;
        line->depth += token == TOKEN_OPEN;
        if (token == TOKEN_CLOSE && line->depth)
            line->depth--;
        line->closes |= token == TOKEN_CLOSE;
        line->is_bare &= token == TOKEN_CLOSE;
    }
    return false;
}

/* Of a block its last line is looked for, too. */
static struct disable_part disable_find_active(struct source *source, struct scanner *scanner,
                                               size_t wanted) {
    struct token_line line;
    size_t block = 0, last = 0; /* the first line of the block, the last one so far */
    bool in_block = false;      /* the wanted line means the block */
    for (int depth = 0; disable_next_line(source, scanner, depth, &line); depth = line.depth) {
        bool is_wanted = line.first <= wanted && wanted <= line.last, is_head = !depth;
        last = line.last;
        if (is_head)
            block = line.first;
        if (is_wanted && !is_head && !line.is_bare) {
            struct disable_part part =
                disable_part_of(source, DISABLE_ACTIVE, line.first, line.last);
            part.closes = line.closes;
            return part;
        }
        in_block |= is_wanted;
        if (in_block && !line.depth)
            break;
        if (line.first > wanted && !in_block)
            return (struct disable_part){.state = DISABLE_NOTHING};
    }
    return in_block ? disable_part_of(source, DISABLE_ACTIVE, block, last)
                    : (struct disable_part){.state = DISABLE_NOTHING};
}

struct disable_part disable_find(struct source *source, size_t line) {
    if (!line || line > disable_line_count(source))
        return (struct disable_part){.state = DISABLE_NOTHING};
    if (disable_has_any_mark(source, disable_line(source, line)))
        return disable_find_disabled(source, line);
    struct arena arena = {0};
    struct interner texts = {.arena = &arena};
    struct diagnostics mistakes = {0}; /* of the file, which are not the question */
    struct scanner *scanner = scanner_create(source, &texts, &mistakes);
    struct disable_part part = disable_find_active(source, scanner, line);
    scanner_destroy(scanner);
    scanner_interner_finish(&texts);
    memory_arena_finish(&arena);
    diagnostic_finish_list(&mistakes);
    return part;
}

/* --- the text */

static void disable_put_line(FILE *out, const struct source *source, struct span line,
                             const char *mark) {
    uint32_t at = disable_skip_blanks(source, line);
    fwrite(source->text + line.start, 1, at - line.start, out);
    if (mark) {
        fprintf(out, "%s ", mark);
    } else {
        at += MARK_LENGTH;
        at += at < line.end && source->text[at] == ' ';
    }
    fwrite(source->text + at, 1, line.end - at, out);
}

/* The line without its end. */
static struct span disable_bare_line(const struct source *source, struct span line) {
    while (line.end > line.start && strchr("\r\n", source->text[line.end - 1]))
        line.end--;
    return line;
}

/* The action's end of line is behind the added line, and again behind the action without it. */
static void disable_put_last(FILE *out, const struct source *source,
                             const struct disable_part *part, const char *mark) {
    bool is_off = part->state == DISABLE_DISABLED;
    struct span line = disable_line(source, part->last), bare = disable_bare_line(source, line);
    struct span end = is_off ? disable_line(source, part->last + 1) : line;
    disable_put_line(out, source, bare, mark);
    if (!is_off)
        fprintf(out, "\n} %s", CLOSER);
    end.start = disable_bare_line(source, end).end;
    fwrite(source->text + end.start, 1, end.end - end.start, out);
}

char *disable_apply(struct source *source, const struct disable_part *part, size_t *size) {
    char *text = NULL;
    FILE *out = memory_stream(&text, size);
    fwrite(source->text, 1, part->span.start, out);
    for (size_t line = part->first; line <= part->last; line++) {
        const char *mark = part->state == DISABLE_DISABLED ? NULL
                           : line == part->first           ? FIRST
                                                           : FURTHER;
        if (line == part->last && part->closes)
            disable_put_last(out, source, part, mark);
        else
            disable_put_line(out, source, disable_line(source, line), mark);
    }
    fwrite(source->text + part->span.end, 1, source->size - part->span.end, out);
    memory_stream_close(out, &text);
    return text;
}

/* Puts the line without its indentation, its end and a '\' there. */
static void disable_put_words(FILE *out, const struct source *source, struct span line,
                              bool is_first) {
    uint32_t at = disable_skip_blanks(source, line);
    line = disable_bare_line(source, line);
    while (line.end > at && strchr(" \t", source->text[line.end - 1]))
        line.end--;
    if (line.end > at && source->text[line.end - 1] == '\\')
        line.end--;
    while (line.end > at && strchr(" \t", source->text[line.end - 1]))
        line.end--;
    if (line.end > at)
        fprintf(out, "%s%.*s", is_first ? "" : " ", (int)(line.end - at), source->text + at);
}

char *disable_statement(const struct source *source, const struct disable_part *part) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    for (size_t line = part->first; line <= part->last; line++) {
        struct span span = disable_line(source, line);
        if (part->state == DISABLE_DISABLED)
            span.start = disable_skip_blanks(source, span) + MARK_LENGTH;
        disable_put_words(out, source, span, line == part->first);
    }
    memory_stream_close(out, &text);
    return text;
}

char *disable_unmark(struct source *source) {
    char *text = NULL;
    for (size_t line = 1; line <= disable_line_count(source); line++) {
        struct span span = disable_line(source, line);
        bool has_mark = disable_has_any_mark(source, span);
        if (!has_mark && !disable_is_closer(source, span))
            continue;
        if (!text)
            text = memory_strndup(source->text, source->size);
        memset(text + disable_skip_blanks(source, span), ' ', has_mark ? MARK_LENGTH : 1);
    }
    return text;
}

/* Up to its '}' such a block has only comments and empty lines. */
bool disable_is_in_block(const struct source *source, struct span head) {
    const char *open = memchr(source->text + head.end, '{', source->size - head.end);
    uint32_t at = open ? (uint32_t)(open + 1 - source->text) : (uint32_t)source->size;
    while (at < source->size) {
        const char *feed = memchr(source->text + at, '\n', source->size - at);
        struct span line = {at, feed ? (uint32_t)(feed - source->text) : (uint32_t)source->size};
        uint32_t text = disable_skip_blanks(source, line);
        if (disable_has_any_mark(source, line))
            return true;
        if (text < line.end && source->text[text] != '#' && source->text[text] != '\r')
            return false;
        at = line.end + 1;
    }
    return false;
}
