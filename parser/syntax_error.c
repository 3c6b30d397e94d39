#include "parser/syntax_error.h"

#include "lexer/character.h"
#include "lexer/text.h"
#include "parser/glob.h"
#include "parser/suggest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- what was expected, in the words of the language rather than of the grammar */

enum { PHRASES = TOKEN_COUNT + 4 };

struct phrases {
    char *list[PHRASES];
    size_t count;
};

static void syntax_error_say(struct phrases *phrases, const char *format, const char *text) {
    phrases->list[phrases->count++] = memory_printf(format, text);
}

/* Words and numbers are expected in many places: what else is expected says which one it is. */
static void syntax_error_say_categories(struct phrases *phrases, bool expected[TOKEN_COUNT]) {
    static const enum token criteria[] = {
        TOKEN_WORD,
        TOKEN_NOT,
#define CRITERION(name, ...) TOKEN_##name,
#define BUS(name, ...) TOKEN_##name,
#include "lexer/words.def"
    };
    bool further = expected[TOKEN_OR];
    if (expected[TOKEN_CLASS] && !further)
        syntax_error_say(phrases, "%s", "a device");
    if (expected[TOKEN_CLASS])
        for (size_t i = 0; i < sizeof criteria / sizeof *criteria; i++)
            expected[criteria[i]] = false;
    else if (expected[TOKEN_ANY] && expected[TOKEN_STRING])
        syntax_error_say(phrases, "%s", "a VM");
    else if (expected[TOKEN_EVENT])
        syntax_error_say(phrases, "%s", "an event");
    else
        return;
    if (!further)
        expected[TOKEN_ANY] = expected[TOKEN_ALL] = expected[TOKEN_STRING] = false;
    expected[TOKEN_EVENT] = expected[TOKEN_WORD] = expected[TOKEN_NUMBER] = false;
}

/* What a word after a keyword is called. */
static const char *syntax_error_word_after(enum token previous) {
    for (enum option_kind kind = 0; kind < OPTION_COUNT; kind++)
        if (syntax_option(kind)->first == previous && syntax_option(kind)->value == VALUE_DURATION)
            return "a duration (5s)";
    if (previous == TOKEN_BUS)
        return "a bus (virtio)";
    if (previous == TOKEN_METHOD)
        return "a reset method (flr)";
    for (int kind = 0; kind < CRITERION_COUNT; kind++)
        if (syntax_criterion(kind)->keyword == previous && syntax_criterion(kind)->example)
            return syntax_criterion(kind)->example;
    return "a word";
}

/* A criterion whose value is a word, with quotes or without. */
static bool syntax_error_is_text(enum token keyword) {
    return keyword == TOKEN_DRIVER || keyword == TOKEN_PORT;
}

static void syntax_error_say_tokens(struct phrases *phrases, const bool expected[TOKEN_COUNT],
                                    enum token previous, bool boot) {
    if (expected[TOKEN_WORD] && expected[TOKEN_NUMBER])
        syntax_error_say(phrases, "%s", syntax_error_word_after(previous));
    else if (expected[TOKEN_WORD])
        syntax_error_say(phrases, "%s", "a name");
    else if (expected[TOKEN_NUMBER])
        syntax_error_say(phrases, "%s", scanner_token_text(TOKEN_NUMBER));
    if (expected[TOKEN_STRING] && !syntax_error_is_text(previous))
        syntax_error_say(phrases, "%s", scanner_token_text(TOKEN_STRING));
    for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
        if (expected[token])
            syntax_error_say(phrases, "'%s'", scanner_token_text(token));
    if (boot)
        syntax_error_say(phrases, "'%s'", scanner_event_text(EVENT_BOOT));
    for (enum token token = TOKEN_COMMA; token <= TOKEN_CLOSE; token++)
        if (expected[token])
            syntax_error_say(phrases, "%s", scanner_token_text(token));
    if (expected[TOKEN_NEWLINE])
        syntax_error_say(phrases, "%s", scanner_token_text(TOKEN_NEWLINE));
}

static char *syntax_error_join(struct phrases *phrases) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < phrases->count; i++) {
        text_list(&text, i + 1 == phrases->count, " or ", "%s", phrases->list[i]);
        free(phrases->list[i]);
    }
    return text;
}

static bool syntax_error_expects_argument(const struct syntax_error *error) {
    return error->expected[TOKEN_STRING] && error->expected[TOKEN_NUMBER] &&
           error->expected[TOKEN_OPTIONAL];
}

/* The options that are for other verbs or backends than the action's. */
static void syntax_error_leave_out_options(bool expected[TOKEN_COUNT], enum verb verb,
                                           enum backend backend) {
    bool other[TOKEN_COUNT] = {false}, fits[TOKEN_COUNT] = {false};
    for (enum option_kind kind = 0; kind < OPTION_COUNT; kind++) {
        const struct option_row *row = syntax_option(kind);
        bool is_for = row->verbs & 1U << verb &&
                      (!row->backends || !backend || row->backends & 1U << backend);
        (is_for ? fits : other)[row->first] = true;
    }
    for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
        expected[token] &= fits[token] || !other[token];
}

/* A verb of VMs in a rule of the host, and the other way round. */
static bool syntax_error_is_other_verb(enum token token, bool of_host) {
    for (enum verb verb = 0; verb < VERB_COUNT; verb++)
        if (syntax_verb(verb)->keyword == token)
            return !(syntax_verb(verb)->events & (of_host ? AT_BOOT : AT_ANY & ~AT_BOOT));
    return false;
}

static char *syntax_error_describe_expected(const struct syntax_error *error) {
    bool expected[TOKEN_COUNT];
    memcpy(expected, error->expected, sizeof expected);
    struct phrases phrases = {.count = 0};
    if (syntax_error_expects_argument(error)) /* the options, which 'run' has none of */
        for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
            expected[token] = false;
    if (expected[TOKEN_OPTIONAL])
        syntax_error_leave_out_options(expected, error->verb, error->backend);
    for (enum token token = TOKEN_KEYWORD; expected[TOKEN_RUN] && token < TOKEN_COUNT; token++)
        expected[token] &= !syntax_error_is_other_verb(token, error->of_host);
    if (expected[TOKEN_ON] || (expected[TOKEN_RUN] && expected[TOKEN_CLOSE])) /* a line's start */
        expected[TOKEN_NEWLINE] = false;
    syntax_error_say_categories(&phrases, expected);
    if (error->previous.token == TOKEN_STOP) /* one 'wait' is enough */
        expected[TOKEN_WAIT] = false;
    syntax_error_say_tokens(&phrases, expected, error->previous.token,
                            error->expects_boot && error->verb == VERB_ATTACH);
    return syntax_error_join(&phrases);
}

/* NULL for tokens that are their own text. */
static const char *syntax_error_text_of(const struct seen_token *seen) {
    switch (seen->token) {
    case TOKEN_EVENT:
        return scanner_event_text(seen->value.event);
    case TOKEN_WORD:
    case TOKEN_NUMBER:
    case TOKEN_STRING:
        return seen->value.text;
    default:
        return NULL;
    }
}

static char *syntax_error_describe_token(const struct seen_token *found) {
    const char *text = syntax_error_text_of(found);
    if (found->token == TOKEN_STRING)
        return memory_printf("\"%s\"", text);
    if (text || found->token >= TOKEN_KEYWORD)
        return memory_printf("'%s'", text ? text : scanner_token_text(found->token));
    return memory_strdup(scanner_token_text(found->token));
}

/* --- hints */

static const char NO_SEMICOLON[] =
    "There is no ';': every action has its own line in a block, between '{' and '}'";
static const char SEPARATE[] = "separate them with ','";
static const char TWO_LINES[] =
    "write 'or' between two ways to find one device; two devices are two lines";
static const char A_DEFINITION[] = "a definition is: device NAME is 1ac1:089a";
static const char ROM_VALUE[] = "write 'rom off', or the absolute path of a file in quotes";
static const char NO_MANNER[] = "leave it out: a definition says which device it is, and the rule "
                                "that uses it how it is attached";
static const char NO_ARGUMENT[] =
    "an action has its own line; as an argument the word is written in quotes: \"%s\"";
static const char ONE_LINE[] = "write one statement or action per line";

static void syntax_error_hint_events(struct diagnostic *diagnostic,
                                     const struct syntax_error *error) {
    unsigned events = AT_ANY & ~AT_BOOT;
    if (error && error->of_host) {
        diagnostic_hint(diagnostic, "the host has one event: on host %s",
                        scanner_event_text(EVENT_BOOT));
        return;
    }
    char *names = memory_strdup("");
    for (enum event_name event = 0; events; event++) {
        if (!(events & 1U << event))
            continue;
        events &= ~(1U << event);
        text_list(&names, !events, " and ", "%s", scanner_event_text(event));
    }
    diagnostic_hint(diagnostic, "the events are %s", names);
    free(names);
}

/* The word that was found, or "". */
static const char *syntax_error_word(const struct syntax_error *error) {
    const char *text = syntax_error_text_of(&error->found);
    return text ? text : scanner_token_text(error->found.token);
}

static bool syntax_error_is_one_of(const char *word, const char *const *list) {
    while (*list && strcmp(word, *list) != 0)
        list++;
    return *list != NULL;
}

static bool syntax_error_expects_only(const struct syntax_error *error, enum token token) {
    for (enum token other = 0; other < TOKEN_COUNT; other++)
        if (error->expected[other] != (other == token))
            return false;
    return true;
}

static bool syntax_error_is_and(const char *text) {
    return text && (!strcmp(text, "and") || !strcmp(text, "&") || !strcmp(text, "+"));
}

/* NULL: no word that is expected here is near. */
static const char *syntax_error_nearest_keyword(const struct syntax_error *error) {
    struct suggestion suggestion = {.word = syntax_error_text_of(&error->found)};
    for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
        if (error->expected[token])
            suggest(&suggestion, scanner_token_text(token));
    if (error->expected[TOKEN_EVENT])
        for (enum event_name event = 0; event < EVENT_COUNT; event++)
            suggest(&suggestion, scanner_event_text(event));
    return suggestion.best;
}

/* --- hints: conditions on the word that was found, or on what is around it */

static bool syntax_error_lacks_comma(const struct syntax_error *error) {
    bool or_vm = error->found.token == TOKEN_OR && !error->expected[TOKEN_OR];
    return (error->expected[TOKEN_COMMA] &&
            (syntax_error_is_and(syntax_error_text_of(&error->found)) || or_vm)) ||
           (error->expected[TOKEN_EVENT] && error->found.token == TOKEN_STRING && !error->of_host);
}

/* "never attach 1ac1:089a to vm Home Assistant": a word where a list of VMs goes on or ends. */
static bool syntax_error_follows_vm(const struct syntax_error *error) {
    for (enum token token = 0; token < TOKEN_COUNT; token++)
        if (error->expected[token] != (token == TOKEN_COMMA || token == TOKEN_NEWLINE))
            return false;
    return !syntax_error_is_and(syntax_error_text_of(&error->found)) &&
           (error->found.token == TOKEN_WORD || error->found.token == TOKEN_NUMBER ||
            error->found.token == TOKEN_STRING);
}

/* "on vm C# started {": the rest of the line is a comment. */
static bool syntax_error_is_in_comment(const struct syntax_error *error) {
    return error->found.token == TOKEN_NEWLINE && error->previous.token != TOKEN_NEWLINE &&
           error->source->text[error->previous.span.end] == '#';
}

static bool syntax_error_has_semicolon(const struct syntax_error *error) {
    return strchr(syntax_error_word(error), ';') && error->previous.token != TOKEN_NEWLINE;
}

static bool syntax_error_is_foreign_comment(const struct syntax_error *error) {
    const char *text = syntax_error_word(error);
    return !strncmp(text, "//", 2) || !strncmp(text, "--", 2) || *text == ';';
}

static bool syntax_error_is_near(const struct syntax_error *error) {
    return syntax_error_nearest_keyword(error) != NULL;
}

static bool syntax_error_is_not_empty(const struct syntax_error *error) {
    return *syntax_error_word(error) != 0;
}

/* "1ac1:089a", "03:00.0", "coral": without the quotes it is a device, or may be one's name. */
static bool syntax_error_is_quoted_device(const struct syntax_error *error) {
    const char *word = syntax_error_word(error);
    return *word && !strpbrk(word, " \t\"\\#,{}");
}

static bool syntax_error_is_scsi(const struct syntax_error *error) {
    return value_is_scsi(syntax_error_word(error));
}

static bool syntax_error_is_dev(const struct syntax_error *error) {
    return !strncmp(syntax_error_word(error), "/dev/", 5);
}

static bool syntax_error_is_event(const struct syntax_error *error) {
    return scanner_event_from_text(syntax_error_word(error)) < EVENT_COUNT;
}

static bool syntax_error_is_host_event(const struct syntax_error *error) {
    return scanner_event_from_text(syntax_error_word(error)) == EVENT_BOOT;
}

/* What begins a block in other languages. */
static bool syntax_error_is_foreign_open(const struct syntax_error *error) {
    static const char *const words[] = {"(", "[", "do", "begin", ":", "=>", "->", NULL};
    return syntax_error_is_one_of(syntax_error_word(error), words);
}

static bool syntax_error_begins_with_never(const struct syntax_error *error) {
    return !strncasecmp(syntax_error_word(error), "never", 5);
}

static bool syntax_error_begins_with_digit(const struct syntax_error *error) {
    return isdigit((unsigned char)*syntax_error_word(error));
}

static bool syntax_error_begins_with_quote(const struct syntax_error *error) {
    const char *text = syntax_error_text_of(&error->found);
    return text && *text && strchr("'`", *text);
}

/* "to vfio-pci" */
static bool syntax_error_is_vfio_driver(const struct syntax_error *error) {
    const char *word = syntax_error_word(error);
    return !strcmp(word, "vfio-pci") || !strcmp(word, "vfio_pci");
}

static bool syntax_error_is_bind(const struct syntax_error *error) {
    return error->of_host && error->verb == VERB_BIND && error->expected[TOKEN_COMMA];
}

static bool syntax_error_is_require(const struct syntax_error *error) {
    return error->verb == VERB_REQUIRE;
}

static bool syntax_error_is_detach(const struct syntax_error *error) {
    return error->verb == VERB_DETACH;
}

static bool syntax_error_is_create(const struct syntax_error *error) {
    return error->of_host && error->verb == VERB_CREATE;
}

static bool syntax_error_is_host_rule(const struct syntax_error *error) {
    return error->of_host;
}

/* "bind 10de:2484 to vfio", without its event */
static bool syntax_error_begins_host_rule(const struct syntax_error *error) {
    static const char *const words[] = {"host", "boot", "bind", "create", NULL};
    return syntax_error_is_one_of(syntax_error_word(error), words);
}

/* "Bus 001 Device 003", as lsusb prints it */
static bool syntax_error_is_lsusb(const struct syntax_error *error) {
    const char *text = syntax_error_text_of(&error->previous);
    return text && (!strcasecmp(text, "bus") || !strcasecmp(text, "device")) &&
           syntax_error_begins_with_digit(error);
}

static bool syntax_error_is_and_word(const struct syntax_error *error) {
    return syntax_error_is_and(syntax_error_word(error));
}

/* Neither a word nor a '{'. */
static bool syntax_error_is_other(const struct syntax_error *error) {
    return !syntax_error_text_of(&error->found) && error->found.token != TOKEN_OPEN;
}

static bool syntax_error_is_not_open(const struct syntax_error *error) {
    return error->found.token != TOKEN_OPEN;
}

/* "as mdev "TYPE" uuid" */
static bool syntax_error_is_second_instance(const struct syntax_error *error) {
    return error->backend == BACKEND_MDEV &&
           syntax_field_from_text(syntax_error_word(error)) == FIELD_UUID;
}

/* --- hints: those that a format alone cannot give */

static void syntax_error_hint_comment(struct diagnostic *diagnostic,
                                      const struct syntax_error *error) {
    const char *text = error->source->text;
    struct span word = error->previous.span;
    size_t length = word.end - word.start + strcspn(text + word.end, " \t\r\n,{}\"");
    diagnostic_hint(diagnostic,
                    "'#' begins a comment; a word with a '#' in it is written in quotes: \"%.*s\"",
                    (int)length, text + word.start);
}

static void syntax_error_hint_semicolon(struct diagnostic *diagnostic,
                                        const struct syntax_error *error) {
    const char *near = syntax_error_nearest_keyword(error);
    diagnostic_hint(diagnostic, "%s%s%s%s", near ? "did you mean '" : "", near ? near : "",
                    near ? "'? " : "", NO_SEMICOLON);
}

static void syntax_error_hint_near(struct diagnostic *diagnostic,
                                   const struct syntax_error *error) {
    diagnostic_hint(diagnostic, "did you mean '%s'?", syntax_error_nearest_keyword(error));
}

/* Words up to the end of the line or to the next VM may be one name; words beside quotes are not.
 */
static void syntax_error_hint_after_vm(struct diagnostic *diagnostic,
                                       const struct syntax_error *error) {
    const char *text = error->source->text, *name = text + error->previous.span.start;
    size_t length = strcspn(name, "\r\n,#\"\\{}");
    while (length && strchr(" \t", name[length - 1]))
        length--;
    bool is_name = error->previous.token != TOKEN_STRING && error->found.token != TOKEN_STRING &&
                   name + length >= text + error->found.span.end;
    if (is_name)
        diagnostic_hint(diagnostic, "a name with a space in it is written in quotes: \"%.*s\"",
                        (int)length, name);
    else
        diagnostic_hint(diagnostic, "%s", SEPARATE);
}

/* "boot-display", "bootdisplay": an option of two words, written as one; NULL: none. */
static const char *syntax_error_joined_option(const struct syntax_error *error) {
    for (enum option_kind kind = 0; kind < OPTION_COUNT; kind++) {
        const char *text = syntax_option(kind)->text, *word = syntax_error_word(error);
        const char *space = strchr(text, ' ');
        size_t length = space ? (size_t)(space - text) : 0;
        if (!length || strncasecmp(word, text, length) != 0)
            continue;
        word += length;
        word += *word == '-' || *word == '_';
        if (!strcasecmp(word, space + 1))
            return text;
    }
    return NULL;
}

static bool syntax_error_is_joined_option(const struct syntax_error *error) {
    return syntax_error_joined_option(error) != NULL;
}

static void syntax_error_hint_joined_option(struct diagnostic *diagnostic,
                                            const struct syntax_error *error) {
    diagnostic_hint(diagnostic, "did you mean '%s'?", syntax_error_joined_option(error));
}

/* The next word on the line; `length` is 0 at its end. */
static const char *syntax_error_next_word(const struct syntax_error *error, size_t *length) {
    const char *word = error->source->text + error->found.span.end;
    word += strspn(word, " \t");
    *length = strcspn(word, " \t\r\n,{}#\"");
    return word;
}

/* "device 3", as lsusb prints it */
static bool syntax_error_precedes_number(const struct syntax_error *error) {
    size_t length = 0;
    return isdigit((unsigned char)*syntax_error_next_word(error, &length)) && length <= 3;
}

static bool syntax_error_is_option_word(const char *word) {
    for (enum option_kind kind = 0; kind < OPTION_COUNT; kind++) {
        const char *text = syntax_option(kind)->text;
        size_t length = strcspn(text, " ");
        if (length && length == strlen(word) && !memcmp(word, text, length))
            return true;
    }
    return false;
}

/* "as vfio and 10de:22ba", "as vfio, sound as vfio", "as vfio 10de:22ba" */
static bool syntax_error_goes_on_with_device(const struct syntax_error *error) {
    size_t length = 0;
    const char *next = syntax_error_next_word(error, &length), *found = syntax_error_word(error);
    char *word = memory_strndup(next, length);
    bool is_glue = error->found.token != TOKEN_WORD || syntax_error_is_and(found);
    bool goes_on = is_glue ? length && !syntax_error_is_option_word(word)
                           : strchr(found, ':') || !strcmp(word, "as");
    free(word);
    return error->verb == VERB_ATTACH && goes_on;
}

/* "attach 0300", "attach 8086 1521", "attach 2 8086:1521" */
static void syntax_error_hint_number(struct diagnostic *diagnostic,
                                     const struct syntax_error *error) {
    const char *word = syntax_error_word(error);
    size_t length = 0, digits = strlen(word);
    const char *next = syntax_error_next_word(error, &length);
    if (digits == 4 && length == 4 && strspn(next, "0123456789abcdefABCDEF") >= 4)
        diagnostic_hint(diagnostic, "did you mean '%s:%.4s'?", word, next);
    else if (digits == 8)
        diagnostic_hint(diagnostic, "did you mean '%.4s:%s'?", word, word + 4);
    else if (*word == '0' && (digits == 2 || digits == 4 || digits == 6))
        diagnostic_hint(diagnostic, "did you mean 'class %s'?", word);
    else if (error->expected[TOKEN_ANY])
        diagnostic_hint(diagnostic, "did you mean 'any %s'?", word);
    else if (error->previous.token == TOKEN_ALL)
        diagnostic_hint(diagnostic,
                        "'all' has no number: 'any %s' takes that many, 'all' every one", word);
    else
        diagnostic_hint(diagnostic, "%s", VALUE_A_DEVICE);
}

/* "attach vfio 1ac1:089a" */
static void syntax_error_hint_backend(struct diagnostic *diagnostic,
                                      const struct syntax_error *error) {
    const char *word = syntax_error_word(error);
    size_t length = 0;
    const char *next = syntax_error_next_word(error, &length);
    if (length && memcmp(next, "as", 2) != 0)
        diagnostic_hint(diagnostic, "leave it out here: attach %.*s as %s", (int)length, next,
                        word);
    else
        diagnostic_hint(diagnostic, "the device comes first: attach 1ac1:089a as %s", word);
}

/* "'vfio' for PCI devices, 'usb' for USB devices" */
static void syntax_error_hint_backends(struct diagnostic *diagnostic,
                                       const struct syntax_error *error) {
    bool after_device = error->expected[TOKEN_AS];
    char *text = memory_strdup(after_device ? "say how: " : "");
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++)
        memory_append(&text, "%s'%s%s' for %s", backend > BACKEND_NONE + 1 ? ", " : "",
                      after_device ? "as " : "", syntax_backend_text(backend),
                      syntax_backend(backend)->devices);
    diagnostic_hint(diagnostic, "%s", text);
    free(text);
}

static bool syntax_error_hint_quotes(struct diagnostic *diagnostic, const struct source *source,
                                     uint32_t start);

static void syntax_error_hint_quote(struct diagnostic *diagnostic,
                                    const struct syntax_error *error) {
    if (!syntax_error_hint_quotes(diagnostic, error->source, error->found.span.start))
        diagnostic_hint(diagnostic, "quotes are '\"'");
}

/* "attach 1ac1:089a mac ...": an option before 'as' */
static void syntax_error_hint_option(struct diagnostic *diagnostic,
                                     const struct syntax_error *error) {
    char *backends = syntax_option_backends(error->found.token);
    diagnostic_hint(diagnostic, "'%s' follows %s", syntax_error_word(error), backends);
    free(backends);
}

/* Names of other tools for the ways to attach a device, and what to write instead. */
static const char *syntax_error_backend_of_synonym(const char *text) {
    static const char *const synonyms[][2] = {
        {"nic", "net"},
        {"network", "net"},
        {"interface", "net"},
        {"ethernet", "net"},
        {"vf", "net"},
        {"sriov", "net"},
        {"sr-iov", "net"},
        {"block", "disk"},
        {"blk", "disk"},
        {"hdd", "disk"},
        {"ssd", "disk"},
        {"nvme", "disk"},
        {"drive", "disk"},
        {"storage", "disk"},
        {"volume", "disk"},
        {"lun", "scsi"},
        {"tape", "scsi"},
        {"changer", "scsi"},
        {"tty", "serial"},
        {"com", "serial"},
        {"uart", "serial"},
        {"modem", "serial"},
        {"console", "serial"},
        {"port", "serial"},
        {"evdev", "input grab"},
        {"keyboard", "input"},
        {"mouse", "input"},
        {"hid", "input"},
        {"passthrough", "input"},
        {"pci", "vfio"},
        {"pcie", "vfio"},
        {"vfio-pci", "vfio"},
        {"vfio_pci", "vfio"},
        {"vgpu", "mdev \"TYPE\""},
        {"mediated", "mdev \"TYPE\""},
    };
    for (size_t i = 0; text && i < sizeof synonyms / sizeof *synonyms; i++)
        if (!strcasecmp(text, synonyms[i][0]))
            return synonyms[i][1];
    return NULL;
}

static bool syntax_error_is_other_backend(const struct syntax_error *error) {
    const char *word = syntax_error_word(error);
    return !strcasecmp(word, "hostdev") || syntax_error_backend_of_synonym(word);
}

static void syntax_error_hint_other_backend(struct diagnostic *diagnostic,
                                            const struct syntax_error *error) {
    const char *meant = syntax_error_backend_of_synonym(syntax_error_word(error));
    if (meant)
        diagnostic_hint(diagnostic, "did you mean 'as %s'?", meant);
    else
        diagnostic_hint(diagnostic, "a PCI device is attached 'as vfio', a USB device 'as usb'");
}

/* --- hints: the table */

/* Kinds of tokens, beside the tokens themselves. */
enum { ANY_KEYWORD = TOKEN_COUNT, ANY_OPTION, ANY_BACKEND, ANY_QUANTIFIER };

/* The first row whose conditions are all met gives the hint; what is not set in a row is met. */
struct hint {
    enum token only; /* nothing else is expected */
    enum token expected, and, without;
    int found, after; /* a token or a kind of tokens; `after` is the one before it */
    bool (*when)(const struct syntax_error *error);
    const char *text; /* '%s' is the word that was found; NULL without `hint`: there is no hint */
    void (*hint)(struct diagnostic *diagnostic, const struct syntax_error *error);
};

static const char OPTIONS_APART[] = "separate options with spaces; every action has its own line";
static const char AFTER_AS[] =
    "several devices come before 'as', separated with ',': attach DEVICE, "
    "DEVICE as vfio; another action has its own line";
#define NO_OPTION "options are for 'attach': leave '%s' out"
static const char LSUSB[] = "lsusb's bus and device change at each plugging in: write the ID that "
                            "it shows (1a6e:089a), or the port (port 1-1)";
static const char WITHOUT_GROUP[] =
    "leave it out: 'bind' binds each device that it names; name those of the group too";

#define VM .expected = TOKEN_ANY, .and = TOKEN_STRING, .without = TOKEN_CLASS
#define DEVICE .expected = TOKEN_CLASS, .without = TOKEN_OR
#define NAME .only = TOKEN_WORD
#define ACTION .expected = TOKEN_OPEN
#define STATEMENT .expected = TOKEN_ON, .and = TOKEN_NEVER
#define MANNER .expected = TOKEN_AS
#define CONDITION .expected = TOKEN_OR
#define GUARDED CONDITION, .and = TOKEN_TO
#define ARGUMENT                                                                                   \
    .expected = TOKEN_STRING, .and = TOKEN_NUMBER, .when = syntax_error_expects_argument
#define TEXT .expected = TOKEN_STRING
#define BOUND .expected = TOKEN_VFIO, .and = TOKEN_DRIVER, .after = TOKEN_TO
#define BINDS .expected = TOKEN_OR, .and = TOKEN_TO, .when = syntax_error_is_bind
#define OPTIONS .expected = TOKEN_OPTIONAL

static const struct hint hints[] = {
    {BOUND, .when = syntax_error_is_vfio_driver, .text = "did you mean 'to vfio'?"},
    {.expected = TOKEN_VFIO,
     .when = syntax_error_is_other_backend,
     .hint = syntax_error_hint_other_backend},
    {.when = syntax_error_is_in_comment, .hint = syntax_error_hint_comment},
    {.found = TOKEN_WORD, .when = syntax_error_has_semicolon, .hint = syntax_error_hint_semicolon},
    {.found = TOKEN_WORD,
     .when = syntax_error_is_foreign_comment,
     .text = "a comment begins with '#'"},
    {.found = TOKEN_CLOSE, .text = "unmatched '}'"},
    {.when = syntax_error_follows_vm, .hint = syntax_error_hint_after_vm},
    {.when = syntax_error_lacks_comma, .text = SEPARATE},
    {OPTIONS, .found = TOKEN_WORD, .when = syntax_error_is_joined_option,
     .hint = syntax_error_hint_joined_option},
    {.found = TOKEN_WORD, .when = syntax_error_is_near, .hint = syntax_error_hint_near},

    {VM, .found = TOKEN_EVENT, .after = TOKEN_COMMA,
     .text = "remove the ',' before the event; a VM named '%s' is written in quotes: \"%s\""},
    {VM, .found = TOKEN_EVENT,
     .text = "the VM's name comes first, 'any' for every VM; a VM named '%s' is written in quotes: "
             "\"%s\""},
    {VM, .found = TOKEN_ALL,
     .text = "did you mean 'any'? A VM named '%s' is written in quotes: \"%s\""},
    {VM, .found = ANY_KEYWORD, .text = "a VM named '%s' is written in quotes: \"%s\""},
    {VM, .text = "name it, or write 'any' for every VM"},

    {DEVICE, .after = TOKEN_OF, .found = TOKEN_VF,
     .text = "a virtual function has none itself: name the device that it is a function of"},
    {DEVICE, .after = TOKEN_OF, .found = ANY_QUANTIFIER,
     .text = "'%s' comes before the whole device: %s vf of 8086:1572"},
    {DEVICE, .after = TOKEN_OF, .found = TOKEN_AS,
     .text = "the device that has the virtual functions comes here: vf of 8086:1572"},
    {DEVICE, .after = TOKEN_OF, .found = TOKEN_NEWLINE,
     .text = "the device that has the virtual functions comes here: vf of 8086:1572"},
    {DEVICE, .found = TOKEN_NUMBER, .hint = syntax_error_hint_number},
    {DEVICE, .after = TOKEN_NOT, .found = TOKEN_NOT, .text = "write one 'not', or leave both out"},
    {DEVICE, .after = TOKEN_NOT, .found = ANY_QUANTIFIER,
     .text = "'%s' comes before the whole device: %s usb not class 09"},
    {DEVICE, .after = TOKEN_NOT, .text = "a condition or a name follows 'not': not class 09"},
    {DEVICE, .found = ANY_QUANTIFIER, .after = ANY_QUANTIFIER,
     .text = "'any' takes the first free one, 'all' every one: write one of the two"},
    {DEVICE, .found = ANY_QUANTIFIER,
     .text = "leave it out: only 'attach' and 'detach' in a rule take 'any' and 'all'"},
    {DEVICE, .found = TOKEN_STRING, .when = syntax_error_is_scsi,
     .text = "a SCSI device is written: scsi \"%s\""},
    {DEVICE, .found = TOKEN_STRING, .when = syntax_error_is_dev, .text = VALUE_NO_FILE},
    {DEVICE, .found = TOKEN_STRING, .when = syntax_error_is_quoted_device,
     .text = "leave out the quotes: %s"},
    {DEVICE, .found = TOKEN_STRING,
     .text = "a device is named by its id, not by its product name: 'virt-rules devices' shows the "
             "words for each device"},
    {DEVICE, .found = TOKEN_DEVICE, .when = syntax_error_precedes_number, .text = LSUSB},
    {DEVICE, .found = TOKEN_DEVICE, .text = "leave out 'device': attach 1ac1:089a as vfio"},
    {DEVICE, .found = ANY_BACKEND, .hint = syntax_error_hint_backend},
    {DEVICE, .text = VALUE_A_DEVICE},

    {.expected = TOKEN_EVENT, .hint = syntax_error_hint_events},
    {.expected = TOKEN_HOST,
     .and = TOKEN_VM,
     .found = TOKEN_EVENT,
     .when = syntax_error_is_host_event,
     .text = "did you mean 'on host %s'? A VM's rule is: on vm NAME started"},
    {.expected = TOKEN_HOST,
     .and = TOKEN_VM,
     .found = TOKEN_EVENT,
     .text = "the host's own event is: on host boot; a rule of a VM is: on vm NAME %s"},
    {.expected = TOKEN_HOST,
     .and = TOKEN_VM,
     .text = "'vm' comes before a VM's name: vm frigate; the host's own rules are: on host boot"},
    {.only = TOKEN_VM, .text = "'vm' comes before a VM's name: vm frigate"},
    {.only = TOKEN_ATTACH,
     .text = "a guard is: never attach DEVICE, or never attach DEVICE to vm NAME"},
    {NAME, .found = TOKEN_STRING, .text = "a device's name has no quotes"},
    {NAME, .found = TOKEN_IS, .text = A_DEFINITION},
    {NAME, .found = TOKEN_NEWLINE, .text = A_DEFINITION},
    {NAME, .text = "'%s' has another meaning: use another name"},
    {.only = TOKEN_IS, .text = A_DEFINITION},
    {.only = TOKEN_METHOD, .found = TOKEN_WORD, .text = "did you mean 'reset method %s'?"},
    {.only = TOKEN_METHOD, .found = TOKEN_BUS, .text = "did you mean 'reset method %s'?"},
    {.only = TOKEN_METHOD,
     .text = "did you mean 'then reset'? How the device is reset is said by 'reset method flr'"},
    {.only = TOKEN_STOP, .text = "the VM does not start if the program fails: wait 20s or stop"},
    {.expected = TOKEN_DISPLAY,
     .and = TOKEN_ORDER,
     .found = TOKEN_NUMBER,
     .text = "did you mean 'boot order %s'?"},
    {.expected = TOKEN_DISPLAY,
     .and = TOKEN_ORDER,
     .text = "write 'boot order 1' for a device that the VM boots from, or 'boot display' for the "
             "host's own display"},
    {.only = TOKEN_RESET,
     .text = "write: guest reset on, guest reset off or guest reset "
             "uninitialized"},
    {.only = TOKEN_PORT, .text = "a hub is found by its port: below port 1-1"},
    {BOUND, .found = TOKEN_WORD, .text = "did you mean 'to driver %s'?"},
    {BOUND, .found = TOKEN_STRING, .when = syntax_error_is_not_empty,
     .text = "did you mean 'to driver \"%s\"'?"},
    {BOUND, .text = "a device is bound to VFIO for VMs, or to a driver of the host: bind DEVICE to "
                    "vfio, or bind DEVICE to driver pci-stub"},
    {.expected = TOKEN_VFIO, .hint = syntax_error_hint_backends},

    {ACTION, .when = syntax_error_is_event, .text = "separate events with ',': started, %s"},
    {ACTION, .when = syntax_error_is_foreign_open,
     .text = "a block is between '{' and '}', one action a line"},
    {ACTION, .when = syntax_error_is_host_rule,
     .text = "say what to do: bind DEVICE to vfio, create 4 vf of DEVICE, run \"/PROGRAM\", or a "
             "block of these between '{' and '}'"},
    {ACTION,
     .text =
         "say what to do: attach DEVICE as vfio, detach DEVICE, run \"/PROGRAM\", or a block of "
         "these between '{' and '}'"},
    {STATEMENT, .when = syntax_error_begins_with_never, .text = "did you mean 'never attach'?"},
    {STATEMENT, .when = syntax_error_begins_host_rule,
     .text = "a rule of the host is: on host boot bind DEVICE to vfio, or on host boot create 4 vf "
             "of DEVICE"},
    {STATEMENT, .text = "a rule is: on vm NAME EVENT attach DEVICE as vfio"},
    {.expected = TOKEN_NUMBER,
     .without = TOKEN_STRING,
     .found = TOKEN_STRING,
     .when = syntax_error_is_not_empty,
     .text = "leave out the quotes: %s"},

    {BINDS, .found = TOKEN_WITH, .text = WITHOUT_GROUP},
    {BINDS, .found = ANY_BACKEND, .text = "did you mean 'to %s'?"},
    {BINDS, .found = ANY_OPTION, .text = NO_OPTION},
    {BINDS, .found = TOKEN_EVENT, .text = NO_OPTION},
    {BINDS, .found = TOKEN_AS, .text = "did you mean 'to'? A device is attached by a rule of a VM"},
    {BINDS, .found = TOKEN_NEWLINE,
     .text = "say to what: bind DEVICE to vfio, or bind DEVICE to driver pci-stub"},
    {CONDITION, .after = TOKEN_WORD, .when = syntax_error_is_lsusb, .text = LSUSB},
    {CONDITION, .and = TOKEN_COMMA, .found = TOKEN_WORD,
     .text = "separate two devices with ',', two names of one with 'or'"},
    {CONDITION, .found = TOKEN_WORD, .text = TWO_LINES},
    {CONDITION, .found = TOKEN_LIKE,
     .text = "say which text: serial like \"...\", product like \"...\" or manufacturer like "
             "\"...\""},
    {CONDITION, .found = TOKEN_STRING, .when = syntax_error_is_not_empty,
     .text = "say which text it is: serial, product or manufacturer \"%s\""},
    {MANNER, .found = TOKEN_NEWLINE, .hint = syntax_error_hint_backends},
    {MANNER, .found = ANY_BACKEND, .text = "did you mean 'as %s'?"},
    {MANNER, .found = TOKEN_TO, .text = "did you mean 'as'?"},
    {MANNER, .found = TOKEN_IS, .text = "did you mean 'as'?"},
    {MANNER, .found = TOKEN_GROUP, .text = "did you mean 'with group'?"},
    {MANNER, .found = TOKEN_BUS, .when = syntax_error_precedes_number, .text = LSUSB},
    {MANNER, .found = TOKEN_STOP,
     .text = "'or stop' is for 'run': run \"/PROGRAM\" wait 20s or stop"},
    {MANNER, .found = ANY_OPTION, .hint = syntax_error_hint_option},
    {MANNER, .found = TOKEN_EVENT, .when = syntax_error_is_require,
     .text = "'boot display' and 'boot order' belong to the rule that attaches the device: on vm "
             "NAME started attach DEVICE as vfio ..."},
    {MANNER, .found = TOKEN_EVENT, .when = syntax_error_is_detach, .text = NO_OPTION},
    {MANNER, .found = TOKEN_EVENT, .when = syntax_error_is_host_event,
     .text = "'boot display' and 'boot order' follow 'as vfio'"},
    {MANNER, .text = NULL},
    {GUARDED, .found = TOKEN_ON, .text = "did you mean 'to'?"},
    {GUARDED, .found = TOKEN_VM, .text = "did you mean 'to vm'?"},
    {GUARDED, .found = TOKEN_AS, .text = "leave it out: a 'never' forbids every way"},
    {GUARDED, .found = TOKEN_WITH, .text = "leave it out: a 'never' forbids every way"},
    {GUARDED, .found = ANY_OPTION, .text = "leave it out: a 'never' forbids every way"},
    {GUARDED, .found = TOKEN_EVENT,
     .text = "leave it out: a 'never' forbids every way, and holds at every event"},
    {CONDITION, .found = TOKEN_COMMA,
     .text = "'or' separates two ways to find one device; several devices are several lines"},
    {CONDITION, .found = TOKEN_AS, .text = NO_MANNER},
    {CONDITION, .found = TOKEN_WITH, .text = NO_MANNER},
    {CONDITION, .found = ANY_KEYWORD, .text = ONE_LINE},
    {CONDITION, .text = NULL},

    {OPTIONS, .when = syntax_error_goes_on_with_device, .found = TOKEN_WORD, .text = AFTER_AS},
    {OPTIONS, .when = syntax_error_goes_on_with_device, .found = TOKEN_COMMA, .text = AFTER_AS},
    {OPTIONS, .when = syntax_error_goes_on_with_device, .found = TOKEN_OR, .text = AFTER_AS},
    {.expected = TOKEN_WITHIN,
     .found = TOKEN_WORD,
     .when = syntax_error_begins_with_digit,
     .text = "did you mean 'within %s'?"},
    {ARGUMENT, .found = TOKEN_OR,
     .text = "say how long libvirt waits: run \"/PROGRAM\" wait 20s or stop; as an argument the "
             "word is written in quotes: \"%s\""},
    {ARGUMENT, .found = ANY_KEYWORD, .text = NO_ARGUMENT},
    {ARGUMENT, .found = TOKEN_EVENT, .text = NO_ARGUMENT},
    {TEXT, .and = TOKEN_OFF, .found = ANY_KEYWORD, .text = ROM_VALUE},
    {TEXT, .after = TOKEN_PRODUCT, .when = syntax_error_is_other,
     .text = "what the device calls itself comes here, in quotes: product \"HD Pro Webcam C920\""},
    {TEXT, .after = TOKEN_MANUFACTURER, .when = syntax_error_is_other,
     .text = "the maker's name comes here, in quotes: manufacturer \"Logitech\""},
    {TEXT, .after = TOKEN_LIKE, .when = syntax_error_is_other,
     .text = "a glob comes here, in quotes: like \"C9*\""},
    {TEXT, .after = TOKEN_SERIAL, .when = syntax_error_is_other,
     .text = "the serial number comes here, in quotes: serial \"DE00212E7B\""},
    {TEXT, .after = TOKEN_DRIVER, .found = ANY_KEYWORD,
     .text = "a driver with that name is written in quotes: driver \"%s\""},
    {TEXT, .and = TOKEN_NUMBER, .after = TOKEN_DRIVER, .text = "'lspci -k' shows it"},
    {TEXT, .and = TOKEN_NUMBER, .after = TOKEN_PORT, .text = "'virt-rules devices' shows it"},
    {TEXT, .after = TOKEN_RUN, .found = ANY_KEYWORD,
     .text = "the program comes here, in quotes: run \"/PROGRAM\""},
    {TEXT, .after = TOKEN_MDEV, .found = TOKEN_WORD, .text = "write it in quotes: as mdev \"%s\""},
    {TEXT, .after = TOKEN_MDEV,
     .text = "a type comes here, as 'virt-rules devices --all' lists them: as mdev \"nvidia-63\"; "
             "or an "
             "instance that exists: as mdev uuid \"8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e\""},
    {TEXT, .after = TOKEN_MAC, .when = syntax_error_is_other,
     .text = "the address comes here, in quotes: mac \"52:54:00:12:34:56\""},
    {TEXT, .and = TOKEN_OFF, .found = TOKEN_NEWLINE, .text = ROM_VALUE},
    {TEXT, .found = TOKEN_NEWLINE, .text = "write it in quotes: \"...\""},
    {TEXT, .when = syntax_error_begins_with_quote, .hint = syntax_error_hint_quote},
    {TEXT, .when = syntax_error_is_not_open, .text = "write it in quotes: \"%s\""},

    {.expected = TOKEN_WORD,
     .after = TOKEN_AT,
     .text = "the address comes here, as 'virt-rules devices' shows it: at 0000:03:00.0"},
    {.expected = TOKEN_WORD,
     .after = TOKEN_CLASS,
     .text = "the number of the class comes here: class 03 (displays), class 02 (network), class "
             "0c03 (USB controllers)"},
    {.expected = TOKEN_WORD,
     .after = TOKEN_INTERFACE,
     .text = "the number of the class comes here: interface 03 (input), interface 0e (cameras)"},
    {.expected = TOKEN_WORD,
     .after = TOKEN_SUBSYSTEM,
     .text = "the id of the card's maker comes here, as 'virt-rules devices --all' shows it: "
             "subsystem 1462:3909"},
    {.expected = TOKEN_WORD,
     .without = TOKEN_STRING,
     .after = TOKEN_PORT,
     .text = "the hub's port comes here, as 'virt-rules devices --all' shows it: below port 1-1"},

    {.only = TOKEN_NUMBER, .after = TOKEN_CREATE, .text = "say how many: create 4 vf of 8086:1572"},
    {.only = TOKEN_VF, .text = "it is written: create 4 vf of 8086:1572"},
    {.expected = TOKEN_OF,
     .when = syntax_error_is_create,
     .text = "it is written: create 4 vf of 8086:1572"},
    {.expected = TOKEN_OF, .text = "a virtual function is: vf of 8086:1572, or vf 3 of 8086:1572"},
    {.only = TOKEN_NUMBER,
     .after = TOKEN_VLAN,
     .text = "the number of the VLAN comes here, from 1 to 4094: vlan 10"},
    {.after = TOKEN_BUS,
     .found = TOKEN_STRING,
     .when = syntax_error_is_not_empty,
     .text = "leave out the quotes: bus %s"},
    {.after = TOKEN_BUS, .text = "the disk's bus in the VM comes here: bus virtio, scsi or usb"},
    {.only = TOKEN_NUMBER,
     .after = TOKEN_CONTROLLER,
     .text = "the index of a <controller type='usb'> of the VM comes here: controller 1"},
    {.only = TOKEN_NUMBER,
     .after = TOKEN_PORTS,
     .text = "say how many root ports the VM gets: ports 2"},
    {.only = TOKEN_NUMBER,
     .after = TOKEN_ORDER,
     .text = "the place in the boot order comes here: boot order 1"},
    {.after = TOKEN_METHOD,
     .found = TOKEN_STRING,
     .when = syntax_error_is_not_empty,
     .text = "leave out the quotes: reset method %s"},
    {.after = TOKEN_METHOD,
     .text = "the method comes here, as the device's file reset_method in /sys/bus/pci/devices has "
             "them: reset method flr"},
    {.after = TOKEN_WAIT, .text = "say how long libvirt waits for the program: wait 20s or stop"},
    {.expected = TOKEN_UNINITIALIZED,
     .found = TOKEN_STRING,
     .when = syntax_error_is_not_empty,
     .text = "leave out the quotes: %s"},
    {.expected = TOKEN_UNINITIALIZED,
     .text = "whether a reset in the guest resets the device: guest reset off"},
    {OPTIONS, .found = TOKEN_WORD, .when = syntax_error_is_second_instance,
     .text = "a type makes a mediated device, and '%s' names one that exists: leave one of them "
             "out"},
    {OPTIONS, .found = TOKEN_AS, .when = syntax_error_is_host_rule,
     .text = "leave it out: a device is attached by a rule of a VM"},
    {OPTIONS, .found = TOKEN_WITH, .when = syntax_error_is_host_rule, .text = WITHOUT_GROUP},
    {OPTIONS, .found = TOKEN_COMMA, .text = OPTIONS_APART},
    {OPTIONS, .found = TOKEN_WORD, .when = syntax_error_is_and_word, .text = OPTIONS_APART},
    {OPTIONS, .found = TOKEN_WITH, .when = syntax_error_is_detach,
     .text = "'detach' takes neither: leave out 'as' and 'with group'"},
    {OPTIONS, .found = TOKEN_WITH, .text = "'with group' comes before 'as'"},
    {.expected = TOKEN_THEN, .found = TOKEN_RESET, .text = "did you mean 'then %s'?"},
    {.expected = TOKEN_THEN, .found = TOKEN_REBOOT, .text = "did you mean 'then %s'?"},
    {.expected = TOKEN_ROM, .found = TOKEN_OFF, .text = "did you mean 'rom off'?"},
    {OPTIONS, .found = TOKEN_ORDER, .text = "did you mean 'boot order'?"},
    {OPTIONS, .found = TOKEN_DISPLAY, .text = "did you mean 'boot display'?"},
    {OPTIONS, .found = TOKEN_METHOD, .text = "did you mean 'reset method'?"},
    {OPTIONS, .found = TOKEN_OR, .text = "'or stop' follows 'wait': wait 20s or stop"},
    {OPTIONS, .found = TOKEN_GROUP, .text = "'with group' comes before 'as'"},
    {.expected = TOKEN_NEWLINE,
     .found = TOKEN_OPEN,
     .text = "a block follows the events of a rule"},
    {.expected = TOKEN_NEWLINE, .found = ANY_KEYWORD, .text = ONE_LINE},
};

/* `wanted` 0: any token. TOKEN_END itself is never asked for. */
static bool syntax_error_is_token(enum token token, int wanted) {
    switch (wanted) {
    case 0:
        return true;
    case ANY_KEYWORD:
        return token >= TOKEN_KEYWORD;
    case ANY_OPTION:
        return syntax_is_option(token);
    case ANY_BACKEND:
        return syntax_is_backend(token);
    case ANY_QUANTIFIER:
        return token == TOKEN_ANY || token == TOKEN_ALL;
    default:
        return token == (enum token)wanted;
    }
}

static void syntax_error_hint(struct diagnostic *diagnostic, const struct syntax_error *error) {
    const char *word = syntax_error_word(error);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        const struct hint *hint = &hints[i];
        if ((hint->only && !syntax_error_expects_only(error, hint->only)) ||
            (hint->expected && !error->expected[hint->expected]) ||
            (hint->and &&!error->expected[hint->and ]) ||
            (hint->without && error->expected[hint->without]) ||
            !syntax_error_is_token(error->found.token, hint->found) ||
            !syntax_error_is_token(error->previous.token, hint->after) ||
            (hint->when && !hint->when(error)))
            continue;
        if (hint->hint)
            hint->hint(diagnostic, error);
        else if (hint->text)
            diagnostic_hint(diagnostic, hint->text, word, word);
        return;
    }
}

/* --- a mistyped keyword where a device may be is taken for a name; what follows shows it */

static const char *syntax_error_mistyped(const struct syntax_error *error) {
    struct suggestion suggestion = {.word = syntax_error_text_of(&error->previous)};
    if (error->previous.token != TOKEN_WORD || !error->expected[TOKEN_OR])
        return NULL;
    if (syntax_is_backend(error->found.token))
        suggest(&suggestion, scanner_token_text(TOKEN_AS));
    else if (error->found.token == TOKEN_GROUP)
        suggest(&suggestion, scanner_token_text(TOKEN_WITH));
    else if (error->found.token == TOKEN_STRING || error->found.token == TOKEN_LIKE ||
             error->found.token == TOKEN_NUMBER)
        for (int kind = 0; kind < CRITERION_COUNT; kind++)
            if (syntax_criterion(kind)->keyword != TOKEN_END)
                suggest(&suggestion, scanner_token_text(syntax_criterion(kind)->keyword));
    return suggestion.best;
}

static struct diagnostic *syntax_error_syntax(struct parse_context *context, struct span span,
                                              const char *text) {
    return diagnostic_add(context->diagnostics, context->source, span, CHECK_SYNTAX, "%s", text);
}

void syntax_error_open_block(struct parse_context *context, const struct seen_token *found,
                             struct span open) {
    char *text = syntax_error_describe_token(found);
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, found->span, CHECK_SYNTAX,
                       "a block is still open at %s", text);
    free(text);
    diagnostic_hint(diagnostic, "close it with '}' on a line of its own");
    diagnostic_note(diagnostic, context->source, open, "the block begins here");
}

/* 'Home Assistant', as the source has it from its first quote on: the name in plain quotes. */
static bool syntax_error_hint_quotes(struct diagnostic *diagnostic, const struct source *source,
                                     uint32_t start) {
    const char *name = source->text + start + 1, *end = name;
    while (*end && !strchr("'`\"\n", *end))
        end++;
    if (end == name || (*end != '\'' && *end != '`'))
        return false;
    diagnostic_hint(diagnostic, "quotes are '\"': \"%.*s\"", (int)(end - name), name);
    return true;
}

void syntax_error_wrong_quotes(struct parse_context *context, struct span span) {
    struct diagnostic *diagnostic =
        syntax_error_syntax(context, span, "only '\"' begins a quoted word");
    if (!syntax_error_hint_quotes(diagnostic, context->source, span.start))
        diagnostic_hint(diagnostic,
                        "write \"...\", also around a name that begins with such a quote");
}

void syntax_error_odd_name(struct parse_context *context, struct span span, const char *text) {
    const char *lower = value_lower_case(text);
    size_t length = strlen(text);
    if (value_has_open_bracket(text))
        diagnostic_hint(syntax_error_syntax(context, span, "a '[' without a ']'"),
                        "a name that has a '[' in it is written in quotes: \"%s\"", text);
    else if (glob_is_void(text))
        diagnostic_hint(syntax_error_syntax(context, span, "a '[...]' that no character matches"),
                        "a range goes up: [a-z]; a class is one of [[:alpha:]], [[:digit:]] and "
                        "the like; a name that "
                        "has a '[' in it is written in quotes: \"%s\"",
                        text);
    else if (lower)
        diagnostic_hint(syntax_error_syntax(context, span, "keywords are lower case"),
                        "did you mean '%s'? A VM with that name is written in quotes: \"%s\"",
                        lower, text);
    else if (length > 1 && text[length - 1] == ':')
        diagnostic_hint(syntax_error_syntax(context, span, "a name that ends with ':'"),
                        "did you mean '%.*s'? A VM with that name is written in quotes: \"%s\"",
                        (int)length - 1, text, text);
    else if (length > 1 && text[length - 1] == ';')
        diagnostic_hint(syntax_error_syntax(context, span, "a name that ends with ';'"),
                        "There is no ';': VMs are separated by ','; a VM with that name is "
                        "written in quotes: \"%s\"",
                        text);
}

/* "titel", "UUID"; a VM may well be called "Game Server", which is as near to 'name'. */
static const char *syntax_error_nearly_field(const char *word) {
    for (enum word_field field = FIELD_ANY + 1; field < FIELD_COUNT; field++) {
        struct suggestion suggestion = {.word = word};
        suggest(&suggestion, syntax_field_text(field));
        if (!strcasecmp(word, syntax_field_text(field)) ||
            (field != FIELD_NAME && suggestion.best && suggestion.distance == 1))
            return syntax_field_text(field);
    }
    return NULL;
}

bool syntax_error_hint_vm_words(struct diagnostic *diagnostic, const char *words, size_t length) {
    static const char *const nots[] = {"!", "not", "but", "except", "without", NULL};
    static const char *const separators[] = {"|", "||", "&", "&&", "+", "/", ";", NULL};
    char *text = memory_strndup(words, length), *rest = NULL;
    char *first = strtok_r(text, " \t", &rest),
         *second = first ? strtok_r(NULL, " \t", &rest) : NULL;
    const char *field = second && !syntax_error_is_one_of(second, separators)
                            ? syntax_error_nearly_field(first)
                            : NULL;
    bool said = true;
    if (!second)
        said = false;
    else if (syntax_error_is_one_of(first, nots) || syntax_error_is_one_of(second, nots))
        diagnostic_hint(diagnostic, "there is no 'not': list the VMs that you mean");
    else if (syntax_error_is_one_of(second, separators) || character_has_wide_separator(first) ||
             character_has_wide_separator(second))
        diagnostic_hint(diagnostic, "%s", SEPARATE);
    else if (!strcmp(second, "=") || !strcmp(first, "="))
        diagnostic_hint(diagnostic, "leave out the '='");
    else if (field && strcmp(first, field) != 0)
        diagnostic_hint(diagnostic, "did you mean '%s'?", field);
    else
        said = false;
    free(text);
    return said;
}

/* "never attach gpu to vm Home Assistant" */
void syntax_error_hint_guarded_words(struct diagnostic *diagnostic, const struct seen_token *found,
                                     const char *words, size_t length) {
    if (found->token == TOKEN_EVENT)
        diagnostic_hint(diagnostic, "leave it out: a 'never' holds at every event");
    else if (!syntax_error_hint_vm_words(diagnostic, words, length))
        diagnostic_hint(diagnostic, "a name with a space in it is written in quotes: \"%.*s\"",
                        (int)length, words);
}

void syntax_error_bad_uuid(struct parse_context *context, struct span span, const char *text) {
    struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                   CHECK_BAD_UUID, "'%s' is not a UUID", text);
    diagnostic->fixed = true;
    if (strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32)
        diagnostic_hint(diagnostic, "did you mean '%.8s-%.4s-%.4s-%.4s-%.12s'?", text, text + 8,
                        text + 12, text + 16, text + 20);
    else
        diagnostic_hint(diagnostic, "write it as 'virsh list --all --uuid' does: "
                                    "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e");
}

void syntax_error_port_bus(struct parse_context *context, struct span span, enum token bus) {
    const char *text = scanner_token_text(bus);
    diagnostic_cover(context->diagnostics, context->source, span, (struct span){0, 0});
    struct diagnostic *diagnostic = syntax_error_syntax(context, span, "");
    diagnostic->cause = true;
    diagnostic_message(diagnostic, "'%s' is not an option", text);
    if (bus == TOKEN_USB)
        diagnostic_hint(diagnostic,
                        "leave it out; 'as serial pci' is the other kind of serial port");
    else
        diagnostic_hint(diagnostic, "a disk's bus is written: as disk bus %s", text);
}

void syntax_error_joined_never(struct parse_context *context, struct span backslash) {
    diagnostic_hint(
        syntax_error_syntax(context, backslash, "this backslash joins the next line, a 'never'"),
        "remove the backslash: a 'never' is a statement of its own");
}

bool syntax_error_is_shell_operator(const char *text) {
    static const char *const words[] = {";",  "&", "&&", "|",    "||", ">",
                                        ">>", "<", "//", "2>&1", NULL};
    return syntax_error_is_one_of(text, words);
}

void syntax_error_shell_word(struct parse_context *context, struct span span, const char *text) {
    if (!syntax_error_is_shell_operator(text))
        return;
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, span, CHECK_SYNTAX,
                       "'%s' has no meaning here: no shell reads the command", text);
    if (*text == ';')
        diagnostic_hint(diagnostic, "%s", NO_SEMICOLON);
    else if (*text == '/')
        diagnostic_hint(diagnostic, "a comment begins with '#'");
    else
        diagnostic_hint(diagnostic, "write a script; an argument is written in quotes: \"%s\"",
                        text);
}

void syntax_error_report(struct parse_context *context, const struct syntax_error *error) {
    if (error->found.token == TOKEN_CLOSE && error->expected[TOKEN_ON]) {
        diagnostic_hint(syntax_error_syntax(context, error->found.span, "a '}' without a '{'"),
                        "a block is: on vm NAME EVENT { ... }");
        return;
    }
    const char *meant = syntax_error_mistyped(error);
    if (meant) {
        diagnostic_hint(diagnostic_add(context->diagnostics, context->source, error->previous.span,
                                       CHECK_SYNTAX, "expected '%s', found '%s'", meant,
                                       syntax_error_text_of(&error->previous)),
                        "did you mean '%s'?", meant);
        return;
    }
    char *expected = syntax_error_describe_expected(error);
    char *found = syntax_error_describe_token(&error->found);
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, error->found.span, CHECK_SYNTAX,
                       "expected %s, found %s", expected, found);
    free(expected);
    free(found);
    syntax_error_hint(diagnostic, error);
}

/* Names of other tools for events. */
static const char *syntax_error_event_of_synonym(const char *text) {
    static const char *const synonyms[][2] = {
        {"stop", "stopped"},      {"shutdown", "stopped"},  {"shutoff", "stopped"},
        {"running", "started"},   {"define", "defined"},    {"plug", "plugged"},
        {"hotplug", "plugged"},   {"add", "plugged"},       {"added", "plugged"},
        {"attached", "plugged"},  {"unplug", "unplugged"},  {"remove", "unplugged"},
        {"removed", "unplugged"}, {"detached", "unplugged"}};
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (!strcmp(text, synonyms[i][0]))
            return synonyms[i][1];
    return NULL;
}

bool syntax_error_is_nearly_event(const char *text) {
    struct suggestion suggestion = {.word = text};
    for (enum event_name event = 0; event < EVENT_COUNT; event++)
        suggest(&suggestion, scanner_event_text(event));
    return suggestion.best || syntax_error_event_of_synonym(text) || syntax_error_is_and(text);
}

bool syntax_error_mistyped_word(struct parse_context *context, struct span span, const char *text,
                                const enum token *tokens, size_t count) {
    struct suggestion suggestion = {.word = text};
    for (size_t i = 0; i < count; i++)
        suggest(&suggestion, scanner_token_text(tokens[i]));
    if (!suggestion.best)
        return false;
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, span, CHECK_SYNTAX,
                       "expected '%s', found '%s'", suggestion.best, text);
    diagnostic->cause = true;
    diagnostic_hint(diagnostic, "did you mean '%s'?", suggestion.best);
    return true;
}

bool syntax_error_unknown_event(struct parse_context *context, struct span span, const char *text) {
    struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                   CHECK_UNKNOWN_EVENT, "unknown event '%s'", text);
    struct suggestion suggestion = {.word = text};
    /* From the last to the first: 'started' is meant more often than 'start', which is as near. */
    for (enum event_name event = EVENT_COUNT; event-- > 0;)
        suggest(&suggestion, scanner_event_text(event));
    if (syntax_error_event_of_synonym(text))
        suggestion.best = syntax_error_event_of_synonym(text);
    if (!strncmp(text, "//", 2))
        diagnostic_hint(diagnostic, "a comment begins with '#'");
    else if (strchr(text, ';'))
        diagnostic_hint(diagnostic, "%s", NO_SEMICOLON);
    else if (character_has_wide_separator(text))
        diagnostic_hint(diagnostic, "write a plain ',' between two events");
    else if (syntax_error_is_and(text))
        diagnostic_hint(diagnostic, "%s", SEPARATE);
    else if (suggestion.best)
        diagnostic_hint(diagnostic, "did you mean '%s'?", suggestion.best);
    else
        syntax_error_hint_events(diagnostic, NULL);
    return suggestion.best || syntax_error_is_and(text);
}

/* "on host booted", "on host frigate started". */
void syntax_error_unknown_host_event(struct parse_context *context, struct span span,
                                     const char *text) {
    static const char *const synonyms[] = {"boots", "booted", "booting", "start",    "startup",
                                           "up",    "reboot", "poweron", "power-on", NULL};
    struct suggestion suggestion = {.word = text};
    suggest(&suggestion, scanner_event_text(EVENT_BOOT));
    struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                   CHECK_UNKNOWN_EVENT, "unknown event '%s'", text);
    if (suggestion.best || syntax_error_is_one_of(text, synonyms))
        diagnostic_hint(diagnostic, "did you mean '%s'?", scanner_event_text(EVENT_BOOT));
    else
        diagnostic_hint(diagnostic, "the host has one event: on host boot; a rule of a VM is: on "
                                    "vm NAME EVENT");
}
