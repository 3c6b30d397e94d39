#include "parser/syntax.h"

#include <ctype.h>
#include <stdlib.h>

void syntax_init(struct syntax *syntax) {
    *syntax = (struct syntax){0};
    syntax->texts.arena = &syntax->arena;
    syntax->rules_end = &syntax->rules;
    syntax->guards_end = &syntax->guards;
    syntax->definitions_end = &syntax->definitions;
}

void syntax_finish(struct syntax *syntax) {
    scanner_interner_finish(&syntax->texts);
    free((void *)syntax->bad_names);
    memory_arena_finish(&syntax->arena);
}

/* One character of a glob, also "[a-f]", of which each is a hex digit or a wildcard; 0: it is not.
 */
static size_t syntax_glob_digit(const char *text) {
    if (*text == '?' || *text == '*' || isxdigit((unsigned char)*text))
        return 1;
    if (*text != '[')
        return 0;
    const char *first = text + 1 + (text[1] == '!' || text[1] == '^');
    const char *end = *first ? strchr(first + 1, ']') : NULL;
    return end ? (size_t)(end - text) + 1 : 0;
}

static bool syntax_has_uuid_shape(const char *text, bool glob) {
    static const size_t groups[] = {8, 4, 4, 4, 12};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        size_t digits = 0, length;
        bool any = false;
        for (; (length = glob ? syntax_glob_digit(text) : !!isxdigit((unsigned char)*text));
             text += length) {
            any |= *text == '*';
            digits += *text != '*';
        }
        if (any ? digits > groups[i] : digits != groups[i])
            return false;
        if (i + 1 < sizeof groups / sizeof *groups && *text++ != '-')
            return false;
    }
    return !*text;
}

bool syntax_is_uuid(const char *text) {
    return syntax_has_uuid_shape(text, false);
}

bool syntax_is_uuid_glob(const char *text) {
    return syntax_has_uuid_shape(text, true);
}

const char *syntax_field_text(enum word_field field) {
    static const char *const texts[] = {"", "name", "title", "uuid"};
    return texts[field];
}

const char *syntax_criterion_text(enum criterion_kind kind) {
    static const char *const texts[] = {
        "name",      "id",   "at",     "class",
        "subsystem", "port", "serial", "words that were not understood"};
    return texts[kind];
}

const char *syntax_backend_text(enum backend backend) {
    static const char *const texts[] = {"", "vfio", "usb"};
    return texts[backend];
}

const char *syntax_verb_text(enum verb verb) {
    static const char *const texts[] = {"attach", "detach", "run"};
    return texts[verb];
}

static uint64_t syntax_id_bits(const struct criterion *one) {
    return (uint64_t)one->any_vendor << 33 | (uint64_t)one->any_device << 32 |
           (uint64_t)one->id.vendor << 16 | one->id.device;
}

uint64_t syntax_criterion_bits(const struct criterion *one) {
    switch ((enum criterion_kind)one->kind) {
    case CRITERION_ID:
    case CRITERION_SUBSYSTEM:
        return syntax_id_bits(one);
    case CRITERION_CLASS:
        return (uint64_t)one->class_prefix.digits << 32 | one->class_prefix.value;
    default:
        return (uint64_t)(uintptr_t)one->text;
    }
}

bool syntax_same_criterion(const struct criterion *a, const struct criterion *b) {
    return a->kind == b->kind && syntax_criterion_bits(a) == syntax_criterion_bits(b);
}
