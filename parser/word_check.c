#include "parser/word_check.h"

#include "lexer/character.h"
#include "lexer/text.h"
#include "lexer/utf8.h"
#include "parser/glob.h"
#include "parser/syntax_error.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { UUID_DIGITS = 32, UUID_LENGTH = 36 };

/* --- operators of other languages */

static bool word_check_is_wide_operator(uint32_t code) {
    static const uint32_t codes[] = {0xff01, 0xff04, 0xff08, 0xff09, 0xff0f,
                                     0xff1c, 0xff1d, 0xff1e, 0xff3e};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return true;
    return false;
}

static bool word_check_is_separator(const char *text, size_t length) {
    return length == 1 ? strchr("|;&", *text) != NULL
                       : character_is_wide_separator(utf8_code_point(text, length));
}

/* ".*x", "x$": of a regular expression. */
static bool word_check_find_pattern(const char *text, struct span *span) {
    size_t length = strlen(text);
    if (!strncmp(text, ".*", 2))
        *span = (struct span){0, 2};
    else if (length > 1 && text[length - 1] == '$')
        *span = (struct span){(uint32_t)length - 1, (uint32_t)length};
    else
        return false;
    return true;
}

/* Finds such an operator in a name and sets `span`. In a glob's brackets '!' and '^' are allowed.
 */
static bool word_check_find_operator(const char *text, struct span *span) {
    bool bracket = false;
    for (size_t at = 0, left = strlen(text), length; at < left; at += length) {
        character_at(text + at, left - at, &length);
        bracket = text[at] == '[' || (bracket && text[at] != ']');
        bool wide = length > 1 && word_check_is_wide_operator(utf8_code_point(text + at, length));
        *span = (struct span){(uint32_t)at, (uint32_t)(at + length)};
        if (!bracket && (wide || word_check_is_separator(text + at, length) ||
                         strchr("=<>", text[at]) || (at == 0 && strchr("!^/$(~%", text[at]))))
            return true;
    }
    return word_check_find_pattern(text, span);
}

/* "name:", "title=" and the like, which a name follows; its length, or 0. */
static size_t word_check_key_length(const char *text) {
    static const char *const keys[] = {"name", "title", "urn:uuid", "uuid", "vm", "domain"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t length = strlen(keys[i]);
        if (!strncasecmp(text, keys[i], length) && (text[length] == ':' || text[length] == '='))
            return length + 1 + strspn(text + length + 1, ":=");
    }
    return 0;
}

/* The names with ', ' instead of other separators. The caller frees the text. */
static char *word_check_separated(const char *text) {
    char *list = memory_resize(NULL, 2 * strlen(text) + 1, 1), *end = list;
    for (size_t at = 0, left = strlen(text), length; at < left; at += length) {
        character_at(text + at, left - at, &length);
        if (!word_check_is_separator(text + at, length)) {
            memcpy(end, text + at, length);
            end += length;
        } else if (end > list && end[-1] != ' ') {
            memcpy(end, ", ", 2);
            end += 2;
        }
    }
    *end = 0;
    return list;
}

/* What to write instead of "name=x" and the like. The caller frees it. */
static char *word_check_advise_field(const char *text, size_t key) {
    const char *name = text + key, *quote = value_is_glob(name) ? "" : "\"";
    struct span ignored;
    if (!*name || word_check_find_operator(name, &ignored))
        return memory_strdup("write the VM's name alone");
    if (!strncasecmp(text, "name", 4))
        return memory_printf("write: name %s", name);
    if (!strncasecmp(text, "title", 5))
        return memory_printf("write: title %s%s%s", quote, name, quote);
    if (!strncasecmp(text, "uuid", 4))
        return memory_printf("write: uuid %s", name);
    return memory_printf("write the name alone: %s", name);
}

static void word_check_hint_operator(struct diagnostic *diagnostic, const char *text,
                                     struct span span) {
    size_t key = word_check_key_length(text), length = strlen(text);
    char *names = word_check_separated(text), *advice = NULL;
    if (key)
        advice = word_check_advise_field(text, key);
    else if (word_check_is_separator(text + span.start, span.end - span.start))
        advice = memory_printf("separate VMs with ',': %s", names);
    else if (*text == '!')
        advice = memory_strdup("there is no 'not': list the VMs that you mean");
    else if (strchr("^/~", *text) || word_check_find_pattern(text, &span))
        advice = memory_strdup(
            "a name is compared as a whole, or as a glob (ha*), not as a regular expression");
    else if (strchr("$%", *text))
        advice = memory_strdup("no variable is expanded: write the VM's name");
    else if (strchr("<(", *text) && length > 2 && strchr(">)", text[length - 1]))
        advice = memory_printf("write the name alone: %.*s", (int)length - 2, text + 1);
    else
        advice = memory_strdup("write the VM's name alone");
    diagnostic_hint(diagnostic, "%s; a VM with that name is written in quotes: \"%s\"", advice,
                    text);
    free(advice);
    free(names);
}

static bool word_check_check_operators(struct diagnostics *diagnostics, struct source *source,
                                       const struct word *vm) {
    struct span span = {0, 0};
    size_t key = word_check_key_length(vm->text), length = strlen(vm->text);
    if (strchr(":;", vm->text[length - 1]) || (!key && !word_check_find_operator(vm->text, &span)))
        return false; /* with these at its end it is an error */
    if (key)
        span = (struct span){(uint32_t)key - 1, (uint32_t)key};
    struct diagnostic *diagnostic = diagnostic_add(
        diagnostics, source, vm->span, CHECK_FOREIGN_OPERATOR,
        vm->kind == WORD_GLOB ? "only VMs that match '%s' are meant: '%.*s' is not an operator"
                              : "only a VM called '%s' is meant: '%.*s' is not an operator",
        vm->text, (int)(span.end - span.start), vm->text + span.start);
    word_check_hint_operator(diagnostic, vm->text, span);
    return true;
}

/* --- UUIDs */

struct uuid_shape {
    size_t digits, dashes, others, length;
};

/* Of the dashes of word processors, too, and what files and systemd write instead. */
static bool word_check_is_dash(const char *text, size_t size) {
    uint32_t code = utf8_code_point(text, size);
    return size == 1 ? *text == '-' || *text == '_'
                     : (code >= 0x2010 && code <= 0x2015) || code == 0x2212;
}

static struct uuid_shape word_check_shape_of(const char *text) {
    struct uuid_shape shape = {.length = strlen(text)};
    for (size_t at = 0, size; at < shape.length; at += size) {
        character_at(text + at, shape.length - at, &size);
        if (isxdigit((unsigned char)text[at]))
            shape.digits++;
        else if (word_check_is_dash(text + at, size))
            shape.dashes++;
        else
            shape.others++;
    }
    return shape;
}

/* "8a0e7d2c-55b1-4c56-9d3e", with more digits or without: the beginning of one, cut off. */
static bool word_check_is_cut_uuid(const char *text) {
    static const char digits[] = "0123456789abcdefABCDEF";
    static const size_t groups[] = {8, 4, 4, 4};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        bool is_last = i + 1 == sizeof groups / sizeof *groups;
        if (strspn(text, digits) != groups[i])
            return false;
        text += groups[i];
        if (!*text && is_last)
            return true;
        if (*text++ != '-')
            return false;
    }
    return text[strspn(text, digits)] == '\0';
}

/* About 32 characters of which at most two are not hex digits: hardly ever a name. */
static bool word_check_is_nearly_uuid(const char *text) {
    struct uuid_shape shape = word_check_shape_of(text);
    size_t signs = shape.digits + shape.others;
    if (word_check_is_cut_uuid(text))
        return !syntax_is_uuid(text);
    if (signs < UUID_DIGITS - 2 || signs > UUID_DIGITS + 2 || shape.others > 2 || shape.dashes > 6)
        return false;
    return (shape.dashes >= 3 || signs == UUID_DIGITS || shape.others == 0) &&
           !syntax_is_uuid(text);
}

/* The 32 digits with the dashes where they belong, in lower case. The caller frees it. */
static char *word_check_corrected_uuid(const char *text) {
    char *corrected = memory_resize(NULL, UUID_LENGTH + 1, 1), *end = corrected;
    for (; *text; text++) {
        if (!isxdigit((unsigned char)*text))
            continue;
        if (end == corrected + 8 || end == corrected + 13 || end == corrected + 18 ||
            end == corrected + 23)
            *end++ = '-';
        *end++ = (char)tolower((unsigned char)*text);
    }
    *end = 0;
    return corrected;
}

static void word_check_check_uuid(struct diagnostics *diagnostics, struct source *source,
                                  const struct word *vm) {
    struct uuid_shape shape;
    if (vm->field || vm->kind == WORD_GLOB || strnlen(vm->text, 45) < 23 || strlen(vm->text) > 44 ||
        !word_check_is_nearly_uuid(vm->text))
        return;
    shape = word_check_shape_of(vm->text);
    struct diagnostic *diagnostic = diagnostic_add(
        diagnostics, source, vm->span, CHECK_BAD_UUID,
        "'%s' is nearly a UUID: only a VM with just this name or title is meant", vm->text);
    if (shape.digits == UUID_DIGITS && !shape.others) {
        char *corrected = word_check_corrected_uuid(vm->text);
        diagnostic_hint(diagnostic, "write it with its dashes: %s", corrected);
        free(corrected);
    } else if (shape.others)
        diagnostic_hint(
            diagnostic,
            "a UUID has hex digits (0 to 9, a to f) and dashes alone; 'virsh list --all "
            "--uuid' prints it");
    else
        diagnostic_hint(
            diagnostic,
            "a UUID has 32 hex digits (8-4-4-4-12), and this has %zu; 'virsh list --all "
            "--uuid' prints it",
            shape.digits);
}

/* --- invisible characters */

/* What is odd about the text, which the caller frees; NULL: nothing. */
static char *word_check_find_hidden(const char *text) {
    size_t length = strlen(text);
    if (*text == ' ')
        return memory_strdup("begins with a space");
    if (length && text[length - 1] == ' ')
        return memory_strdup("ends with a space");
    if (strstr(text, "  "))
        return memory_strdup("has two spaces in a row");
    for (size_t at = 0, size; at < length; at += size) {
        const char *name = NULL;
        enum character_kind kind = character_at(text + at, length - at, &size);
        uint32_t code = utf8_code_point(text + at, size);
        if (text[at] == '\t')
            return memory_strdup("has a tab in it");
        if (kind != CHARACTER_BLANK && kind != CHARACTER_JOINER && kind != CHARACTER_C1)
            continue;
        character_kind(code, &name);
        return memory_printf("has a %s (U+%04X) in it%s", name ? name : "control character", code,
                             kind == CHARACTER_BLANK ? ", not a plain space" : "");
    }
    return NULL;
}

static void word_check_check_hidden(struct diagnostics *diagnostics, struct source *source,
                                    struct span span, const char *text) {
    char *hidden = word_check_find_hidden(text);
    if (!hidden)
        return;
    diagnostic_hint(
        diagnostic_add(diagnostics, source, span, CHECK_HIDDEN_CHARACTER, "'%s' %s", text, hidden),
        "this is easily overlooked: write a plain space, or delete it; if it is intended: "
        "'virt-rules check --ignore hidden-character'");
    free(hidden);
}

/* Users with such a VM disable the check. */
static void word_check_check_quoted_glob(struct diagnostics *diagnostics, struct source *source,
                                         struct span span, const char *text) {
    if (value_is_glob(text))
        diagnostic_hint(
            diagnostic_add(diagnostics, source, span, CHECK_QUOTED_GLOB,
                           "in quotes this is not a glob: only a VM named exactly '%s' is meant",
                           text),
            "remove the quotes ('?' matches a space); if a VM has that name: "
            "'virt-rules check --ignore quoted-glob'");
}

bool word_check_is_everyday_name(const char *text) {
    while ((*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9') || *text == '-' ||
           *text == '_')
        text++;
    return !*text;
}

void word_check_vm(struct diagnostics *diagnostics, struct source *source, const struct word *vm) {
    if (vm->kind == WORD_ANY)
        return;
    if (!vm->everyday) {
        if (vm->field == FIELD_UUID && !syntax_is_uuid(vm->text))
            return; /* an error already, or a glob of UUIDs */
        if (vm->kind == WORD_QUOTED)
            word_check_check_quoted_glob(diagnostics, source, vm->span, vm->text);
        else if (word_check_check_operators(diagnostics, source, vm))
            return;
        word_check_check_hidden(diagnostics, source, vm->span, vm->text);
    }
    word_check_check_uuid(diagnostics, source, vm);
}

/* The '[' of a product's name is rarely meant as a wildcard, that of a serial number always. */
static bool word_check_looks_like_glob(const struct criterion *criterion) {
    return strpbrk(criterion->text, criterion->kind == CRITERION_SERIAL ? "*?[" : "*?") != NULL;
}

static void word_check_check_like(struct diagnostics *diagnostics, struct source *source,
                                  const struct criterion *criterion) {
    const char *text = criterion->text;
    if (value_has_open_bracket(text))
        diagnostic_hint(diagnostic_add(diagnostics, source, criterion->span, CHECK_SYNTAX,
                                       "a '[' without a ']'"),
                        "'[[]' matches a '['; '?' any character");
    else if (glob_is_void(text))
        diagnostic_hint(diagnostic_add(diagnostics, source, criterion->span, CHECK_SYNTAX,
                                       "a '[...]' that no character matches"),
                        "a range goes up: [a-z]; a class is one of [[:alpha:]], [[:digit:]] and "
                        "the like");
    else if (!value_is_glob(text))
        diagnostic_hint(diagnostic_add(diagnostics, source, criterion->span, CHECK_PLAIN_LIKE,
                                       "'like' without a wildcard: only '%s' itself is meant",
                                       text),
                        "for a part of the text write: like \"*%s*\"; else leave out 'like'", text);
}

void word_check_text(struct diagnostics *diagnostics, struct source *source,
                     const struct criterion *criterion) {
    const char *keyword = syntax_criterion(criterion->kind)->text, *text = criterion->text;
    if (criterion->like)
        word_check_check_like(diagnostics, source, criterion);
    else if (word_check_looks_like_glob(criterion))
        diagnostic_hint(diagnostic_add(diagnostics, source, criterion->span, CHECK_QUOTED_GLOB,
                                       "this is not a glob: only the %s '%s' itself is meant",
                                       keyword, text),
                        "for a glob write: %s like \"%s\"; if it is right: 'virt-rules check "
                        "--ignore quoted-glob'",
                        keyword, text);
    word_check_check_hidden(diagnostics, source, criterion->span, text);
}

bool word_check_is_clear_text(const char *text) {
    char *hidden = word_check_find_hidden(text);
    free(hidden);
    return !hidden && !value_is_glob(text);
}

/* --- commands */

void word_check_path(struct diagnostics *diagnostics, struct source *source, struct span span,
                     const char *text) {
    const char *base = text_base_name(text);
    if (*text != '/')
        diagnostic_hint(diagnostic_add(diagnostics, source, span, CHECK_RELATIVE_PATH,
                                       "'%s' is not an absolute path", text),
                        strcmp(text, "off") ? "begin it with '/': PATH is not searched"
                                            : "remove the quotes: rom off");
    else if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
        diagnostic_hint(diagnostic_add(diagnostics, source, span, CHECK_RELATIVE_PATH,
                                       "'%s' is a directory", text),
                        "give the path of a file");
    else
        word_check_check_hidden(diagnostics, source, span, text);
}

/* $NAME, ${NAME}, $1 in a bare word, $(command) or `command`, alone or with more around it. */
static bool word_check_has_expansion(const struct word *word) {
    const char *back = strchr(word->text, '`');
    if (back && strchr(back + 1, '`'))
        return true;
    for (const char *text = word->text; (text = strchr(text, '$')); text++) {
        const char *name = text + 1 + (text[1] == '{');
        if (*name == '_' || isalpha((unsigned char)*name) || (text[1] == '(' && strchr(text, ')')))
            return true;
        if (word->kind != WORD_QUOTED &&
            (isdigit((unsigned char)*name) || strchr("?@*#!$", *name)) && *name)
            return true;
    }
    return false;
}

/* >FILE, 2>&1, a;, a|b, *.txt, ~/x, unless they are quoted. */
static bool word_check_has_operator(const struct word *word) {
    const char *text = word->text;
    size_t length = strlen(text), digits = strspn(text, "0123456789");
    if (word->kind == WORD_QUOTED)
        return false;
    return (text[digits] && strchr("<>", text[digits])) || *text == '|' || *text == '&' ||
           !strncmp(text, "~/", 2) || !strcmp(text, "~") || text[length - 1] == ';' ||
           text[length - 1] == '&' || text[length - 1] == '|' || strpbrk(text, "*?") ||
           (strchr(text, '[') && !value_has_open_bracket(text));
}

/* These programs take a script as an argument, as others do after -c: operators in it are right. */
static bool word_check_reads_scripts(const char *program) {
    static const char *const names[] = {"awk", "gawk", "mawk", "perl",  "sed",
                                        "ssh", "jq",   "find", "expect"};
    const char *base = text_base_name(program);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(base, names[i]))
            return true;
    return false;
}

static bool word_check_is_script_option(const char *text) {
    size_t length = strlen(text);
    return (length > 1 && length < 6 && text[0] == '-' && text[1] != '-' &&
            text[length - 1] == 'c') ||
           !strcmp(text, "--command");
}

static void word_check_check_arguments(struct diagnostics *diagnostics, struct source *source,
                                       const struct word *program) {
    bool script = false;
    for (const struct word *last = program, *one = program->next; one;
         last = one, one = one->next) {
        script = word_check_reads_scripts(last->text) || (script && last == program);
        bool quote = one->kind != WORD_QUOTED &&
                     (strchr("'`", *one->text) || syntax_error_is_shell_operator(one->text));
        if (script || quote /* reported already */ || word_check_is_script_option(last->text) ||
            word_check_reads_scripts(program->text))
            continue;
        if (word_check_has_expansion(one))
            diagnostic_hint(diagnostic_add(diagnostics, source, one->span, CHECK_SHELL_VARIABLE,
                                           "no shell expands '%s'", one->text),
                            "the program finds VM and event in its environment: VIRT_RULES_VM, "
                            "VIRT_RULES_EVENT");
        else if (word_check_has_operator(one))
            diagnostic_hint(diagnostic_add(diagnostics, source, one->span, CHECK_SHELL_VARIABLE,
                                           "no shell reads '%s': the program gets it as it is",
                                           one->text),
                            "write a script, or run \"/bin/sh\" \"-c\" \"...\"; an argument that "
                            "is right as it is is written "
                            "in quotes: \"%s\"",
                            one->text);
    }
}

/* A path may have a blank in it; arguments have their own words. */
static bool word_check_has_arguments_in_program(const struct word *program) {
    const char *blank = strchr(program->text, ' ');
    if (*program->text != '/' || !blank)
        return false;
    return !program->next || strstr(blank, " -") || !strchr(blank, '/');
}

void word_check_command(struct diagnostics *diagnostics, struct source *source,
                        const struct word *program) {
    word_check_path(diagnostics, source, program->span, program->text);
    if (word_check_has_arguments_in_program(program))
        diagnostic_hint(diagnostic_add(diagnostics, source, program->span, CHECK_WORDS_IN_PROGRAM,
                                       "the program's name has a space in it"),
                        "no shell splits it: write each argument as a word of its own");
    word_check_check_arguments(diagnostics, source, program);
}
