/*
 * The grammar of rule files. Actions only build nodes; check.c finds what is wrong with a well-formed statement.
 * While a list grows it is a ring, of which the last node is kept: no rule is right-recursive, and the stack stays
 * shallow for any input.
 */
%code requires {
#include "parser/syntax.h"
#include "parser/syntax_error.h"

enum { LINE_HEAD = 3 }; /* tokens of a line that are remembered */

union parser_value {
    union token_value token;
    struct word *word;
    struct event_list *event;
    struct criterion *criterion;
    struct target *target;
    struct action_option *option;
    struct action *action;
    struct { enum quantifier kind; unsigned count; } quantifier;
    struct { enum backend backend; struct action_option *option; } manner;
    enum backend backend;
    int32_t number;
    bool flag;
    uint32_t milliseconds;
};

/* Where a token is in its statement, as the tokens before it say. */
enum place {
    PLACE_START,        /* the first of a line or of a block */
    PLACE_NAME,         /* of a definition */
    PLACE_VM,           /* where a VM's word begins */
    PLACE_FIELD,        /* 'name', 'title' or 'uuid' before it */
    PLACE_FIELD_VALUE,
    PLACE_AFTER_VM,
    PLACE_EVENTS,
    PLACE_DEVICE_FIRST, /* where a match begins, which a name of a device may do */
    PLACE_DEVICE,
    PLACE_VALUE,        /* of a criterion */
    PLACE_BACKEND,
    PLACE_OPTIONS,
    PLACE_OPTION_VALUE, /* a word: no keyword */
    PLACE_ARGUMENTS,
    PLACE_COUNT,        /* of a 'create', up to its device */
    PLACE_BOUND,        /* in a 'bind', after its 'to' */
    PLACE_DRIVER,       /* 'driver' before it */
    PLACE_ELSEWHERE
};

/* What one run of the parser works with. */
struct parser {
    struct parse_context values;
    struct scanner *scanner;
    struct span open_block;  /* the '{' that has no '}' yet */
    bool in_block;
    enum place place;        /* of the token that was read last */
    bool stray_block;        /* its '{' follows a mistake, and may be one itself */
    size_t open_missing;     /* the diagnostic (from 1) that the last rule lacks its action: what
                                follows may be its block */
    bool error_on_line;
    bool misread;            /* the scanner reported a mistake on it: its words may be wrong */
    bool has_open, has_action; /* it has a '{', an action */
    bool attaches;           /* the words are those of an 'attach' of a rule */
    enum verb verb;          /* the last one */
    bool of_host;            /* the last rule is one of the host */
    size_t line_errors;      /* diagnostics before it */
    bool headless;           /* lines of a block may follow whose head has an error */
    size_t unclosed;         /* blocks that a statement has ended, whose '}' may follow */
    bool quotes_on_line;     /* a shell's quotes were reported on it */
    bool odd_vm;             /* a name of a VM was: what follows may belong to it */
    enum backend backend;    /* the last one */
    bool incomplete;         /* the device that is being read */
    bool unread_number;      /* of the virtual function that is being read */
    bool begins_alternative; /* its next criterion */
    struct action_option **options_end; /* of the last action */
    struct seen_token previous, found; /* the token before the one looked at, and this one */
    struct seen_token head[LINE_HEAD]; /* how this line begins */
    size_t line_tokens;
    enum token unexpected;   /* the token of the last syntax error, and the one before it */
    enum token before_unexpected;
    struct span never;       /* a 'never' within the line; nothing: there is none */
    struct span vm;          /* the last VM of the rule, with the words after it that are not events */
    size_t stray_word;       /* the diagnostic (from 1) of such a word */
    enum { HOLD_NOTHING, HOLD_NEWLINE, HOLD_TOKEN, HOLD_JOINED } hold; /* what goes before the scanner's next */
    union parser_value held;
};
}

%code {
#include "lexer/character.h"
#include "parser/glob.h"
#include "parser/suggest.h"
#include "parser/word_check.h"

#include <string.h>
#include <strings.h>

static int yylex(union parser_value *value, struct span *span, struct parser *parser);
static void yyerror(const struct span *span, struct parser *parser, const char *message);

#define YYLLOC_DEFAULT(now, rhs, n)                                                                \
    do {                                                                                           \
        (now).start = (n) ? YYRHSLOC(rhs, 1).start : YYRHSLOC(rhs, 0).end;                         \
        (now).end = YYRHSLOC(rhs, n).end;                                                          \
    } while (0)

#define JOINED(from, to) ((struct span){(from).start, (to).end})

/* Rings: `last->next` is the first node. A NULL node is left out. */
#define RING(rules_node) ((rules_node) ? ((rules_node)->next = (rules_node)) : NULL)
#define APPEND(last, rules_node)                                                                         \
    (!(rules_node)   ? (last)                                                                            \
     : !(last) ? RING(rules_node)                                                                        \
               : ((rules_node)->next = (last)->next, (last)->next = (rules_node)))
#define OPENED(type, last) ((type *)rules_open_ring(last))

static void rules_leave_line(struct parser *parser);
static void rules_leave_definition(struct parser *parser);
static void rules_leave_action(struct parser *parser);

static void *rules_node(struct parser *parser, size_t size) {
    return memory_arena_alloc(&parser->values.syntax->arena, size);
}

/* The interned text of that span. */
static const char *rules_word_at(struct parser *parser, struct span span) {
    return scanner_intern(&parser->values.syntax->texts, parser->values.source->text + span.start,
                  span.end - span.start);
}

/* Every node begins with its `next`. */
static void *rules_open_ring(void *last) {
    struct ring { struct ring *next; } *end = last, *first;
    if (!end)
        return NULL;
    first = end->next;
    end->next = NULL;
    return first;
}

static struct word *rules_new_word(struct parser *parser, struct span span, enum word_kind kind, const char *text) {
    struct word *word = rules_node(parser, sizeof *word);
    word->text = text;
    word->span = span;
    word->kind = kind;
    word->hash = scanner_text_hash(text, strlen(text));
    return word;
}

/* With a shell's other quotes the word would name a VM that does not exist. */
static bool rules_report_quotes(struct parser *parser, struct span span, const char *text) {
    if (*text != '\'' && *text != '`')
        return false;
    if (!parser->quotes_on_line)
        syntax_error_wrong_quotes(&parser->values, span);
    return parser->quotes_on_line = true;
}

static struct word *rules_bare_argument(struct parser *parser, struct span span, const char *text) {
    if (!rules_report_quotes(parser, span, text))
        syntax_error_shell_word(&parser->values, span, text);
    return rules_new_word(parser, span, WORD_PLAIN, text);
}

/* A VM's name that may be a glob, or may not be meant as a name. */
static struct word *rules_bare_word(struct parser *parser, struct span span, const char *text) {
    if (word_check_is_everyday_name(text)) {
        struct word *word = rules_new_word(parser, span, WORD_PLAIN, text);
        word->everyday = true;
        return word;
    }
    size_t before = parser->values.diagnostics->count;
    if (!rules_report_quotes(parser, span, text))
        syntax_error_odd_name(&parser->values, span, text);
    parser->odd_vm |= parser->values.diagnostics->count > before;
    return rules_new_word(parser, span, value_is_glob(text) ? WORD_GLOB : WORD_PLAIN, text);
}

static void rules_set_field(struct parser *parser, struct word *word, const char *field, struct span span) {
    parser->vm = word->span;
    word->field = syntax_field_from_text(field);
    if (word->field == FIELD_UUID && !(word->kind == WORD_GLOB ? glob_meets_uuid(word->text) : syntax_is_uuid(word->text)))
        syntax_error_bad_uuid(&parser->values, word->span, word->text);
    word->span = span;
}

static struct diagnostic *rules_numbered(struct parser *parser, size_t number) {
    return &parser->values.diagnostics->list[number - 1];
}

/* "UUID 8a0e...": a field in capitals. */
static enum word_field rules_field_in_capitals(const char *words, size_t length) {
    for (enum word_field field = FIELD_ANY + 1; field < FIELD_COUNT; field++) {
        const char *text = syntax_field_text(field);
        size_t size = strlen(text);
        if (size < length && !strncasecmp(words, text, size) && strncmp(words, text, size) != 0 &&
            (words[size] == ' ' || words[size] == '\t'))
            return field;
    }
    return FIELD_ANY;
}

/* "on vm Home Assistant started": the words that are not events belong to the name. */
static void rules_hint_name_of_words(struct parser *parser) {
    const char *name = parser->values.source->text + parser->vm.start;
    size_t length = parser->vm.end - parser->vm.start;
    bool whole = rules_numbered(parser, parser->stray_word)->span.end <= parser->vm.end;
    enum word_field field = rules_field_in_capitals(name, length);
    if (whole && field != FIELD_ANY)
        diagnostic_hint(rules_numbered(parser, parser->stray_word), "did you mean '%s'?",
                        syntax_field_text(field));
    else if (syntax_error_hint_vm_words(rules_numbered(parser, parser->stray_word), name, length))
        return;
    else if (whole && !memchr(name, '\n', length) && !memchr(name, '"', length))
        diagnostic_hint(rules_numbered(parser, parser->stray_word),
                        "a name with a space in it is written in quotes: \"%.*s\"", (int)length, name);
}

static struct event_list *rules_new_event(struct parser *parser, struct span span, enum event_name event) {
    struct event_list *item = rules_node(parser, sizeof *item);
    item->span = span;
    item->event = event;
    if (parser->stray_word > parser->line_errors)
        rules_hint_name_of_words(parser);
    return item;
}

/* True when nothing but blanks is between the VM and the span: it may be a part of the VM's name. */
static bool rules_continues_name(const struct parser *parser, struct span span) {
    const char *text = parser->values.source->text + parser->vm.end;
    return parser->vm.end <= span.start && strspn(text, " \t") == span.start - parser->vm.end;
}

static void rules_unknown_event(struct parser *parser, struct span span, const char *text) {
    if (parser->of_host) {
        syntax_error_unknown_host_event(&parser->values, span, text);
        return;
    }
    bool stray = parser->stray_word > parser->line_errors;
    if (rules_continues_name(parser, span))
        parser->vm.end = span.end;
    if (parser->quotes_on_line || ((stray || parser->odd_vm) && !syntax_error_is_nearly_event(text)))
        return;
    if (!syntax_error_unknown_event(&parser->values, span, text))
        parser->stray_word = parser->values.diagnostics->count;
}

static void rules_make_unread(struct parser *parser, struct criterion *criterion) {
    criterion->kind = CRITERION_UNREAD;
    criterion->any_vendor = criterion->any_device = false;
    criterion->text = rules_word_at(parser, criterion->span);
    parser->incomplete = true;
}

static struct criterion *rules_new_criterion(struct parser *parser, struct span span, enum criterion_kind kind) {
    struct criterion *criterion = rules_node(parser, sizeof *criterion);
    criterion->span = span;
    criterion->kind = kind;
    return criterion;
}

static struct criterion *rules_read_criterion(struct parser *parser, struct span span, struct span value_span,
                                        enum criterion_kind kind, const char *text) {
    struct criterion *criterion = rules_new_criterion(parser, span, kind);
    value_reader *read = syntax_criterion(kind)->read;
    if (!(read ? read : value_criterion)(&parser->values, criterion, value_span, text))
        rules_make_unread(parser, criterion);
    return criterion;
}

/* Without the words that were not understood the device would match too much. */
static struct criterion *rules_open_device(struct parser *parser, struct criterion *last) {
    struct criterion *device = OPENED(struct criterion, last);
    if (device)
        device->incomplete = parser->incomplete;
    parser->incomplete = false;
    return device;
}

/* The physical function: its words are some of the device's. */
static struct criterion *rules_new_vf(struct parser *parser, struct span span, int32_t number, struct criterion *parent) {
    struct criterion *criterion = rules_new_criterion(parser, span, CRITERION_VF);
    criterion->number = number;
    criterion->parent = OPENED(struct criterion, parent);
    criterion->parent->incomplete = parser->incomplete;
    if (number < 0 && parser->unread_number)
        rules_make_unread(parser, criterion);
    parser->unread_number = false;
    return criterion;
}

/* A mistyped keyword that was taken for a name: other errors of the line are its consequences. */
static bool rules_report_mistyped(struct parser *parser, struct criterion *name, const enum token *tokens, size_t count) {
    if (parser->misread || !syntax_error_mistyped_word(&parser->values, name->span, name->text, tokens, count))
        return false;
    struct span rest = {name->span.start, name->span.end};
    while (rest.end < parser->values.source->size && parser->values.source->text[rest.end] != '\n')
        rest.end++;
    diagnostic_cover(parser->values.diagnostics, parser->values.source, rest, (struct span){0, 0});
    rules_make_unread(parser, name);
    return true;
}

/* "10de:* clas 03", "clas 0c03", "nay gpu" */
static void rules_find_mistyped(struct parser *parser, struct criterion *last, struct criterion *criterion) {
    static const enum token conditions[] = {
        TOKEN_NOT,
#define CRITERION(name, ...) TOKEN_##name,
#include "lexer/words.def"
    };
    static const enum token quantifiers[] = {TOKEN_ANY, TOKEN_ALL};
    bool in_rule = parser->head[0].token != TOKEN_NEVER && parser->head[0].token != TOKEN_DEVICE;
    if (last->kind == CRITERION_NAME && last->alternative && in_rule && criterion->kind == CRITERION_NAME &&
        rules_report_mistyped(parser, last, quantifiers, 2))
        return;
    if (last->kind == CRITERION_NAME && criterion->kind == CRITERION_UNREAD) {
        const enum token tokens[] = {value_token_of(criterion->text), TOKEN_INTERFACE};
        if (*tokens != TOKEN_END && rules_report_mistyped(parser, last, tokens, *tokens == TOKEN_CLASS ? 2 : 1))
            return;
    }
    if (criterion->kind == CRITERION_NAME && scanner_keyword_from_text(criterion->text) == TOKEN_END)
        rules_report_mistyped(parser, criterion, conditions, sizeof conditions / sizeof *conditions);
}

static struct criterion *rules_append_criterion(struct parser *parser, struct criterion *last,
                                          struct criterion *criterion) {
    if (last && !parser->begins_alternative)
        rules_find_mistyped(parser, last, criterion);
    if (last && !parser->begins_alternative && last->kind == CRITERION_UNREAD && criterion->kind == CRITERION_NAME)
        rules_make_unread(parser, criterion); /* "class VGA compatible controller" */
    criterion->alternative = parser->begins_alternative;
    parser->begins_alternative = false;
    return APPEND(last, criterion);
}

static struct criterion *rules_begin_alternative(struct parser *parser, struct criterion *last,
                                           struct criterion *criterion) {
    parser->begins_alternative = true;
    return rules_append_criterion(parser, last, criterion);
}

static struct criterion *rules_begin_parent(struct criterion *criterion) {
    criterion->alternative = true;
    return RING(criterion);
}

/* The device around it may be at the beginning of an alternative. */
static struct criterion *rules_append_parent(struct parser *parser, struct criterion *last,
                                             struct criterion *criterion) {
    bool begins = parser->begins_alternative;
    parser->begins_alternative = false;
    last = rules_append_criterion(parser, last, criterion);
    parser->begins_alternative = begins;
    return last;
}

static struct target *rules_new_target(struct parser *parser, struct span span, enum quantifier kind, unsigned count,
                                 struct criterion *device) {
    struct target *target = rules_node(parser, sizeof *target);
    target->span = span;
    target->quantifier = kind;
    target->count = count;
    target->device = rules_open_device(parser, device);
    return target;
}

static struct action_option *rules_new_option(struct parser *parser, struct span span, enum option_kind kind) {
    struct action_option *option = rules_node(parser, sizeof *option);
    option->span = span;
    option->kind = kind;
    return option;
}

static struct action_option *rules_read_text_option(struct parser *parser, struct span span, struct span value_span,
                                                    enum option_kind kind, const char *text) {
    struct action_option *option = rules_new_option(parser, span, kind);
    value_option_text(&parser->values, option, value_span, text);
    return option;
}

static struct action *rules_new_action(struct parser *parser, struct span span, enum verb verb) {
    struct action *action = rules_node(parser, sizeof *action);
    action->span = span;
    action->verb = verb;
    action->next = action;
    parser->options_end = &action->options;
    return action;
}

static struct action *rules_new_target_action(struct parser *parser, struct span span, enum verb verb,
                                              struct target *targets) {
    struct action *action = rules_new_action(parser, span, verb);
    action->targets = OPENED(struct target, targets);
    return action;
}

/* The options go on after the backend's value. */
static void rules_set_manner(struct parser *parser, struct action *action, enum backend backend,
                             struct action_option *option) {
    action->backend = backend;
    action->options = option;
    if (option)
        parser->options_end = &option->next;
}

static void rules_add_rule(struct parser *parser, struct span span, struct word *vms, struct event_list *events,
                     struct action *actions) {
    if (parser->values.source->refused)
        return;
    struct rule *rule = rules_node(parser, sizeof *rule);
    rule->source = parser->values.source;
    rule->span = span;
    rule->vms = OPENED(struct word, vms);
    rule->events = OPENED(struct event_list, events);
    rule->actions = OPENED(struct action, actions);
    *parser->values.syntax->rules_end = rule;
    parser->values.syntax->rules_end = &rule->next;
}

static struct guard *rules_add_guard(struct parser *parser, struct span span, struct criterion *device,
                               struct word *vms) {
    struct guard *guard = rules_node(parser, sizeof *guard);
    guard->source = parser->values.source;
    guard->span = span;
    guard->device = rules_open_device(parser, device);
    guard->vms = OPENED(struct word, vms);
    *parser->values.syntax->guards_end = guard;
    parser->values.syntax->guards_end = &guard->next;
    return guard;
}

/* Whether the error after the device of a guard cannot be a further device. */
static bool rules_ends_device(const struct parser *parser, struct span rest) {
    const char *text = parser->values.source->text + rest.start;
    enum token token = parser->unexpected;
    bool ends = token == TOKEN_NEWLINE || token == TOKEN_AS || token == TOKEN_ON || token == TOKEN_VM ||
                token == TOKEN_WITH || syntax_is_option(token);
    return ends && parser->before_unexpected != TOKEN_OR && !memchr(text, ',', rest.end - rest.start);
}

/* "1ac1:089a for vm a": without the names after a criterion, which are mistyped words. */
static struct criterion *rules_trim_names(struct criterion *last) {
    while (last->kind == CRITERION_NAME && !last->alternative) {
        struct criterion *before = last->next;
        while (before->next != last)
            before = before->next;
        before->next = last->next;
        last = before;
    }
    return last;
}

/* What follows "never attach"; messages begin with these two words. */
static struct span rules_behind_attach(const struct parser *parser, struct span span) {
    const char *text = parser->values.source->text, *attach = scanner_token_text(TOKEN_ATTACH);
    uint32_t start = span.start + (uint32_t)strcspn(text + span.start, " \t");
    start += (uint32_t)strspn(text + start, " \t");
    uint32_t end = start + (uint32_t)strcspn(text + start, " \t\r\n");
    if (end - start == strlen(attach) && !strncmp(text + start, attach, end - start))
        start = end + (uint32_t)strspn(text + end, " \t");
    return start < span.end ? (struct span){start, span.end} : span;
}

/* A guard with an error: what was not understood may mean every device and every VM. */
static void rules_add_doubtful_guard(struct parser *parser, struct span span, struct criterion *device) {
    if (!device) {
        device = rules_node(parser, sizeof *device);
        device->span = rules_behind_attach(parser, span);
        rules_make_unread(parser, device);
        device->alternative = true;
        device = RING(device);
    }
    rules_add_guard(parser, span, device, NULL)->doubtful = true;
}

static void rules_add_definition(struct parser *parser, struct span span, struct span name_span,
                           struct criterion *device) {
    struct definition *definition = rules_node(parser, sizeof *definition);
    definition->source = parser->values.source;
    definition->span = span;
    definition->name_span = name_span;
    definition->name = rules_word_at(parser, name_span);
    definition->device = rules_open_device(parser, device);
    *parser->values.syntax->definitions_end = definition;
    parser->values.syntax->definitions_end = &definition->next;
}

/* The uses of such a name are not reported again. */
static void rules_add_bad_name(struct parser *parser, const char *name) {
    struct syntax *syntax = parser->values.syntax;
    syntax->bad_names = memory_grow((void *)syntax->bad_names, syntax->bad_name_count, sizeof *syntax->bad_names);
    syntax->bad_names[syntax->bad_name_count++] = name;
}
}

%define api.pure full
%define api.token.raw
%define api.value.type {union parser_value}
%define api.location.type {struct span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%parse-param {struct parser *parser}
%lex-param {struct parser *parser}

%token END 0
%token NEWLINE COMMA OPEN CLOSE
%token <token> WORD NUMBER STRING EVENT
%token VM DEVICE IS NEVER TO ANY ALL ATTACH DETACH RUN WITH GROUP AS OR NOT LIKE BELOW PORT
%token ROM THEN RESET REBOOT GUEST VF OF
%token HOST REQUIRE BIND CREATE DISPLAY ORDER METHOD WAIT STOP
%token <token> ON OFF UNINITIALIZED SCSI MDEV
/* Each stands for all keywords of words.def that may be in the same place. */
%token <token> BACKEND BUS WORD_CRITERION STRING_CRITERION TEXT_CRITERION
%token <token> FLAG_OPTION DURATION_OPTION NUMBER_OPTION STRING_OPTION WORD_OPTION

%type <word> vm vms guarded argument arguments
%type <event> event events
%type <criterion> device criterion plain_criterion condition virtual_function parent
%type <number> vf_number
%type <target> target targets
%type <option> option
%type <action> action block_actions block last_action
%type <quantifier> quantifier
%type <manner> manner any_manner
%type <backend> backend any_backend
%type <flag> with_group
%type <milliseconds> duration
%type <token> lump text guest_reset

/* "name", "title" or "uuid" before a VM's word: not a keyword anywhere else. */
%token <token> FIELD
/* 'uuid' after 'as mdev', 'not' before 'vf of', a bus after a backend: what is around them says which they are. */
%token UUID NOT_VF
%token <token> PORT_BUS
/* 'boot' after 'as ...', which is an event elsewhere; what a device is bound to. */
%token BOOT TO_VFIO TO_DRIVER

/* All that follows 'vf of' up to the next 'vf of' or 'or' is the physical function's. */
%precedence PHYSICAL_FUNCTION
%precedence WORD NOT BUS SCSI WORD_CRITERION STRING_CRITERION TEXT_CRITERION PORT BELOW

%%

file: %empty
    | file NEWLINE
    | file definition
    | file rule
    | file block_rule NEWLINE
    | file guard
    | file error NEWLINE    { yyerrok; rules_leave_line(parser); }
    | file error block NEWLINE { yyerrok; rules_leave_line(parser); }
    ;

definition: DEVICE WORD IS device NEWLINE {
        bool named = value_name(&parser->values, @WORD, $WORD.text);
        parser->values.source->lost_names |= parser->misread || (!named && !value_lower_case($WORD.text));
        if (!named)
            rules_add_bad_name(parser, rules_word_at(parser, @WORD));
        else
            rules_add_definition(parser, JOINED(@DEVICE, @device), @WORD, $device);
    };

rule: ON VM vms events action NEWLINE {
        rules_add_rule(parser, JOINED(@ON, @action), $vms, $events, $action);
    }
    | ON HOST events action NEWLINE {
        rules_add_rule(parser, JOINED(@ON, @action), NULL, $events, $action);
    };

block_rule: ON VM vms events block {
        rules_add_rule(parser, JOINED(@ON, @events), $vms, $events, $block);
    }
    | ON HOST events block {
        rules_add_rule(parser, JOINED(@ON, @events), NULL, $events, $block);
    };

guard: NEVER ATTACH device guarded NEWLINE {
        rules_add_guard(parser, JOINED(@NEVER, @guarded), $device, $guarded);
    }
    | NEVER ATTACH device TO error NEWLINE {
        yyerrok;
        rules_add_doubtful_guard(parser, (struct span){@NEVER.start, @NEWLINE.start}, $device);
    }
    | NEVER ATTACH device error NEWLINE {
        yyerrok;
        rules_add_doubtful_guard(parser, (struct span){@NEVER.start, @NEWLINE.start},
                           rules_ends_device(parser, (struct span){@device.end, @NEWLINE.start}) ? rules_trim_names($device) : NULL);
    };

guarded: %empty             { $$ = NULL; }
    | TO VM vms             { $$ = $vms; }
    ;

vms: vm                     { $$ = RING($vm); }
    | vms[last] COMMA vm    { $$ = APPEND($last, $vm); }
    ;

vm: ANY                     { $$ = rules_new_word(parser, @$, WORD_ANY, "any"); }
    | WORD                  { $$ = rules_bare_word(parser, @$, $WORD.text); parser->vm = @$; }
    | NUMBER                { $$ = rules_bare_word(parser, @$, $NUMBER.text); parser->vm = @$; }
    | STRING                { $$ = rules_new_word(parser, @$, WORD_QUOTED, $STRING.text); parser->vm = @$; }
    | FIELD lump            {
        $$ = rules_bare_word(parser, @lump, $lump.text);
        rules_set_field(parser, $$, $FIELD.text, @$);
    }
    | FIELD STRING          {
        $$ = rules_new_word(parser, @STRING, WORD_QUOTED, $STRING.text);
        rules_set_field(parser, $$, $FIELD.text, @$);
    }
    ;

lump: WORD | NUMBER;

events: event               { $$ = RING($event); }
    | events[last] COMMA event { $$ = APPEND($last, $event); }
    ;

event: EVENT                { $$ = rules_new_event(parser, @$, $EVENT.event); }
    | lump                  { $$ = NULL; rules_unknown_event(parser, @$, $lump.text); }
    ;

block: OPEN {
        parser->open_block = @OPEN;
        parser->in_block = true;
        parser->stray_block = parser->error_on_line;
        if (parser->stray_block)
            rules_leave_definition(parser);
    }
       block_actions last_action CLOSE {
        $$ = APPEND($block_actions, $last_action);
        parser->in_block = false;
    };

block_actions: %empty       { $$ = NULL; }
    | block_actions[last] NEWLINE           { $$ = $last; }
    | block_actions[last] action NEWLINE    { $$ = APPEND($last, $action); }
    | block_actions[last] error NEWLINE     { $$ = $last; yyerrok; rules_leave_action(parser); }
    ;

last_action: %empty         { $$ = NULL; }
    | action
    | error                 { $$ = NULL; rules_leave_action(parser); }
    ;

action: ATTACH targets AS manner {
        $$ = rules_new_target_action(parser, @$, VERB_ATTACH, $targets);
        rules_set_manner(parser, $$, $manner.backend, $manner.option);
    }
    | ATTACH targets WITH GROUP AS manner {
        $$ = rules_new_target_action(parser, @$, VERB_ATTACH, $targets);
        $$->with_group = true;
        rules_set_manner(parser, $$, $manner.backend, $manner.option);
    }
    | DETACH targets with_group any_backend {
        $$ = rules_new_target_action(parser, @$, VERB_DETACH, $targets);
        $$->with_group = $with_group;
        $$->backend = $any_backend;
    }
    | REQUIRE targets with_group any_manner {
        $$ = rules_new_target_action(parser, @$, VERB_REQUIRE, $targets);
        $$->with_group = $with_group;
        rules_set_manner(parser, $$, $any_manner.backend, $any_manner.option);
    }
    | BIND targets TO TO_VFIO {
        $$ = rules_new_target_action(parser, @$, VERB_BIND, $targets);
        $$->driver = value_host_driver(&parser->values, @TO_VFIO, "vfio-pci");
    }
    | BIND targets TO TO_DRIVER text {
        $$ = rules_new_target_action(parser, @$, VERB_BIND, $targets);
        $$->driver = value_host_driver(&parser->values, @text, $text.text);
    }
    | CREATE NUMBER VF OF targets {
        $$ = rules_new_target_action(parser, @$, VERB_CREATE, $targets);
        value_vf_count(&parser->values, &$$->count, @NUMBER, $NUMBER.text);
    }
    | RUN STRING arguments {
        struct word *program = rules_new_word(parser, @STRING, WORD_QUOTED, $STRING.text);
        program->next = OPENED(struct word, $arguments);
        $$ = rules_new_action(parser, @$, VERB_RUN);
        $$->command = program;
    }
    | action[last] option {
        $$ = $last;
        $$->span = @$;
        *parser->options_end = $option;
        while (*parser->options_end)
            parser->options_end = &(*parser->options_end)->next;
    }
    ;

arguments: %empty           { $$ = NULL; }
    | arguments[last] argument { $$ = APPEND($last, $argument); }
    ;

argument: lump              { $$ = rules_bare_argument(parser, @$, $lump.text); }
    | STRING                { $$ = rules_new_word(parser, @$, WORD_QUOTED, $STRING.text); }
    ;

targets: target             { $$ = RING($target); }
    | targets[last] COMMA target { $$ = APPEND($last, $target); }
    ;

target: device              { $$ = rules_new_target(parser, @$, QUANTIFIER_ONE, 1, $device); }
    | quantifier device     { $$ = rules_new_target(parser, @$, $quantifier.kind, $quantifier.count, $device); }
    ;

quantifier: ALL             { $$.kind = QUANTIFIER_ALL; $$.count = 0; }
    | ANY                   { $$.kind = QUANTIFIER_ANY; $$.count = 1; }
    | ANY NUMBER            {
        $$.kind = QUANTIFIER_ANY;
        value_count(&parser->values, &$$.count, @NUMBER, $NUMBER.text);
    }
    ;

device: criterion           { $$ = rules_begin_alternative(parser, NULL, $criterion); }
    | device[last] criterion { $$ = rules_append_criterion(parser, $last, $criterion); }
    | device[last] OR criterion { $$ = rules_begin_alternative(parser, $last, $criterion); }
    ;

criterion: plain_criterion
    | virtual_function
    | NOT_VF virtual_function { $$ = $virtual_function; $$->negated = true; $$->span = @$; }
    ;

plain_criterion: condition
    | NOT condition         { $$ = $condition; $$->negated = true; $$->span = @$; }
    ;

virtual_function: VF OF parent %prec PHYSICAL_FUNCTION { $$ = rules_new_vf(parser, @$, -1, $parent); }
    | VF vf_number OF parent %prec PHYSICAL_FUNCTION { $$ = rules_new_vf(parser, @$, $vf_number, $parent); }
    ;

vf_number: NUMBER           {
        $$ = value_vf(&parser->values, @$, $NUMBER.text);
        parser->unread_number = $$ < 0;
    };

parent: plain_criterion     { $$ = rules_begin_parent($plain_criterion); }
    | parent[last] plain_criterion { $$ = rules_append_parent(parser, $last, $plain_criterion); }
    ;

condition: WORD             { $$ = rules_read_criterion(parser, @$, @WORD, CRITERION_ID, $WORD.text); }
    | BUS                   { $$ = rules_new_criterion(parser, @$, CRITERION_BUS); $$->bus = syntax_bus_of($BUS.keyword); }
    | WORD_CRITERION[key] lump {
        $$ = rules_read_criterion(parser, @$, @lump, syntax_criterion_of($key.keyword), $lump.text);
    }
    | TEXT_CRITERION[key] text {
        $$ = rules_read_criterion(parser, @$, @text, syntax_criterion_of($key.keyword), $text.text);
    }
    | STRING_CRITERION[key] STRING {
        $$ = rules_read_criterion(parser, @$, @STRING, syntax_criterion_of($key.keyword), $STRING.text);
    }
    | STRING_CRITERION[key] LIKE STRING {
        $$ = rules_read_criterion(parser, @$, @STRING, syntax_criterion_of($key.keyword), $STRING.text);
        $$->like = true;
    }
    | PORT text             { $$ = rules_read_criterion(parser, @$, @text, CRITERION_PORT, $text.text); }
    | SCSI                  { $$ = rules_new_criterion(parser, @$, CRITERION_BUS); $$->bus = syntax_bus_of(TOKEN_SCSI); }
    | SCSI STRING           { $$ = rules_read_criterion(parser, @$, @STRING, CRITERION_SCSI, $STRING.text); }
    | BELOW PORT lump       { $$ = rules_read_criterion(parser, @$, @lump, CRITERION_BELOW, $lump.text); }
    ;

text: lump | STRING;

with_group: %empty          { $$ = false; }
    | WITH GROUP            { $$ = true; }
    ;

any_backend: %empty         { $$ = BACKEND_NONE; }
    | AS backend            { $$ = $backend; }
    ;

any_manner: %empty          { $$.backend = BACKEND_NONE; $$.option = NULL; }
    | AS manner             { $$ = $manner; }
    ;

backend: BACKEND            { $$ = syntax_backend_of($BACKEND.keyword); }
    | MDEV                  { $$ = BACKEND_MDEV; }
    ;

manner: BACKEND             { $$.backend = syntax_backend_of($BACKEND.keyword); $$.option = NULL; }
    | MDEV STRING           {
        $$.backend = BACKEND_MDEV;
        $$.option = rules_read_text_option(parser, @STRING, @STRING, OPTION_MDEV_TYPE, $STRING.text);
    }
    | MDEV UUID STRING      {
        $$.backend = BACKEND_MDEV;
        $$.option = rules_read_text_option(parser, JOINED(@UUID, @STRING), @STRING, OPTION_MDEV_UUID, $STRING.text);
    }
    ;

option: FLAG_OPTION[key]    { $$ = rules_new_option(parser, @$, syntax_option_of($key.keyword)); }
    | DURATION_OPTION[key] duration {
        $$ = rules_new_option(parser, @$, syntax_option_of($key.keyword));
        $$->milliseconds = $duration;
    }
    | NUMBER_OPTION[key] NUMBER {
        $$ = rules_new_option(parser, @$, syntax_option_of($key.keyword));
        value_option_number(&parser->values, $$, @NUMBER, $NUMBER.text);
    }
    | STRING_OPTION[key] STRING {
        $$ = rules_read_text_option(parser, @$, @STRING, syntax_option_of($key.keyword), $STRING.text);
    }
    | WORD_OPTION[key] lump {
        $$ = rules_read_text_option(parser, @$, @lump, syntax_option_of($key.keyword), $lump.text);
    }
    | PORT_BUS              {
        $$ = rules_new_option(parser, @$, OPTION_SERIAL_PCI);
        if ($PORT_BUS.keyword != TOKEN_PCI)
            syntax_error_port_bus(&parser->values, @$, $PORT_BUS.keyword);
    }
    | GUEST RESET guest_reset {
        $$ = rules_new_option(parser, @$, OPTION_GUEST_RESET);
        $$->text = scanner_token_text($guest_reset.keyword);
    }
    | ROM OFF               { $$ = rules_new_option(parser, @$, OPTION_ROM_OFF); }
    | ROM STRING            { $$ = rules_new_option(parser, @$, OPTION_ROM_FILE); $$->text = $STRING.text; }
    | THEN RESET            { $$ = rules_new_option(parser, @$, OPTION_THEN_RESET); }
    | THEN REBOOT           { $$ = rules_new_option(parser, @$, OPTION_THEN_REBOOT); }
    | BOOT DISPLAY          { $$ = rules_new_option(parser, @$, OPTION_BOOT_DISPLAY); }
    | BOOT ORDER NUMBER     {
        $$ = rules_new_option(parser, @$, OPTION_BOOT_ORDER);
        value_option_number(&parser->values, $$, @NUMBER, $NUMBER.text);
    }
    | RESET METHOD lump     {
        $$ = rules_read_text_option(parser, @$, @lump, OPTION_RESET_METHOD, $lump.text);
    }
    | WAIT duration         {
        $$ = rules_new_option(parser, @$, OPTION_WAIT);
        $$->milliseconds = $duration;
    }
    | WAIT duration OR STOP {
        $$ = rules_new_option(parser, JOINED(@WAIT, @duration), OPTION_WAIT);
        $$->milliseconds = $duration;
        $$->next = rules_new_option(parser, JOINED(@OR, @STOP), OPTION_OR_STOP);
    }
    ;

guest_reset: ON | OFF | UNINITIALIZED;

duration: lump              { $$ = 1; value_duration(&parser->values, &$$, @$, $lump.text); }; /* 1: not read */

%%

/* The grammar's symbol of each token; several keywords may have the same. */
static const short symbols[] = {
#define X(name, text) [TOKEN_##name] = name,
    TOKENS(X)
#undef X
#define WORD_TOKEN(name, text, symbol) [TOKEN_##name] = symbol,
#include "lexer/words.def"
};

static bool rules_is_action(enum token token) {
    switch (token) {
#define VERB(name, ...) case TOKEN_##name:
#include "lexer/words.def"
        return true;
    default:
        return false;
    }
}

/* The head of a block without its '{', as the line had an error, or the '{' is in a comment. */
static bool rules_lost_its_block(const struct parser *parser) {
    enum token first = parser->head[0].token;
    return parser->line_tokens > 0 && !parser->in_block && !parser->has_open && !parser->has_action &&
           first != TOKEN_DEVICE && first != TOKEN_NEVER && first != TOKEN_CLOSE && first != TOKEN_NEWLINE &&
           parser->values.diagnostics->count > parser->line_errors;
}

/* What ends a block in other languages. */
static bool rules_is_foreign_close(const struct seen_token *seen) {
    static const char *const words[] = {")", "]", "end", "done", "fi"};
    for (size_t i = 0; seen->token == TOKEN_WORD && i < sizeof words / sizeof *words; i++)
        if (!strcmp(seen->value.text, words[i]))
            return true;
    return false;
}

static void rules_begin_line(struct parser *parser) {
    parser->headless = parser->headless || rules_lost_its_block(parser);
    parser->has_open = parser->has_action = parser->misread = false;
    parser->line_errors = parser->values.diagnostics->count;
    parser->line_tokens = 0;
    parser->error_on_line = false;
    parser->quotes_on_line = parser->odd_vm = false;
    parser->incomplete = false;
    parser->never = (struct span){0, 0};
}

static void rules_remember(struct parser *parser, enum token token, union token_value value,
                     struct span span) {
    if (parser->found.token == TOKEN_NEWLINE)
        rules_begin_line(parser);
    parser->previous = parser->found;
    parser->found = (struct seen_token){token, value, span};
    if (token == TOKEN_NEVER && parser->line_tokens > 0)
        parser->never = span;
    if (parser->line_tokens == 0 && token != TOKEN_NEWLINE && token != TOKEN_OPEN && token != TOKEN_CLOSE &&
        !rules_is_action(token) && !rules_is_foreign_close(&parser->found))
        parser->open_missing = parser->headless = 0;
    parser->has_open |= token == TOKEN_OPEN;
    parser->has_action |= rules_is_action(token);
    if (rules_is_action(token)) {
        parser->backend = BACKEND_NONE;
        parser->verb = syntax_verb_of(token);
    }
    if (parser->line_tokens == 1 && parser->previous.token == TOKEN_ON)
        parser->of_host = token == TOKEN_HOST;
    if (rules_is_action(token) || token == TOKEN_NEWLINE || token == TOKEN_OPEN)
        parser->attaches = token == TOKEN_ATTACH && parser->previous.token != TOKEN_NEVER;
    if (parser->line_tokens < LINE_HEAD)
        parser->head[parser->line_tokens++] = parser->found;
}

/* A block without its '}' ends where the next statement begins, so that one mistake is one error. */
static bool rules_ends_open_block(const struct parser *parser) {
    return parser->in_block && parser->line_tokens == 1 &&
           (parser->found.token == TOKEN_ON || parser->found.token == TOKEN_DEVICE ||
            parser->found.token == TOKEN_NEVER || parser->found.token == TOKEN_END);
}

/* A 'never' that the backslash at the end of the line before has joined to that line: it would be lost with
 * the line's error. Returns where the backslash is; UINT32_MAX: it is not such a 'never'. */
static uint32_t rules_joining_backslash(const struct parser *parser) {
    const char *text = parser->values.source->text;
    uint32_t at = parser->found.span.start;
    if (parser->found.token != TOKEN_NEVER || parser->line_tokens < 2)
        return UINT32_MAX;
    while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t'))
        at--;
    if (at == 0 || text[at - 1] != '\n')
        return UINT32_MAX;
    while (at > 0 && strchr(" \t\r\n", text[at - 1]))
        at--;
    return at > 0 && text[at - 1] == '\\' ? at - 1 : UINT32_MAX;
}

/* Such a 'never' begins a line of its own. */
static void rules_begin_joined_line(struct parser *parser) {
    rules_begin_line(parser);
    parser->open_missing = 0;
    parser->previous.token = TOKEN_NEWLINE;
    parser->head[parser->line_tokens++] = parser->found;
}

static int rules_close_block(struct parser *parser, const union parser_value *value, struct span *span) {
    parser->unclosed++;
    if (!parser->stray_block)
        syntax_error_open_block(&parser->values, &parser->found, parser->open_block);
    parser->hold = HOLD_NEWLINE;
    parser->held = *value;
    *span = (struct span){span->start, span->start};
    return CLOSE;
}

static int rules_held_token(struct parser *parser, union parser_value *value, struct span *span) {
    if (parser->hold == HOLD_JOINED) {
        rules_begin_joined_line(parser);
        *span = parser->found.span;
        if (rules_ends_open_block(parser))
            return rules_close_block(parser, &parser->held, span);
    }
    if (parser->hold == HOLD_NEWLINE) {
        parser->hold = HOLD_TOKEN;
        *span = (struct span){parser->found.span.start, parser->found.span.start};
        return NEWLINE;
    }
    parser->hold = HOLD_NOTHING;
    *value = parser->held;
    *span = parser->found.span;
    return symbols[parser->found.token];
}

static enum place rules_place_in_device(const struct parser *parser, enum token token) {
    bool quantity = token == TOKEN_ANY || token == TOKEN_ALL || (token == TOKEN_NUMBER && parser->previous.token == TOKEN_ANY);
    if (token == TOKEN_OR || token == TOKEN_COMMA || token == TOKEN_NOT || token == TOKEN_OF || quantity)
        return PLACE_DEVICE_FIRST;
    switch (token) {
#define CRITERION(name, ...) case TOKEN_##name:
#define LONG_CRITERION(...)
#include "lexer/words.def"
    case TOKEN_PORT:
    case TOKEN_BELOW:
    case TOKEN_LIKE:
        return PLACE_VALUE;
    default:
        return PLACE_DEVICE;
    }
}

/* An option whose value is a word: no keyword has a meaning there. */
static bool rules_takes_word(enum token token) {
    return symbols[token] == WORD_OPTION || token == TOKEN_METHOD;
}

/* Where the token after the one that was read last will be. */
static enum place rules_next_place(const struct parser *parser) {
    enum token token = parser->found.token;
    switch (token) {
    case TOKEN_NEWLINE:
    case TOKEN_OPEN:
    case TOKEN_CLOSE:
        return PLACE_START;
    case TOKEN_VM:
        return PLACE_VM;
    case TOKEN_HOST:
        return PLACE_EVENTS;
    case TOKEN_ATTACH:
    case TOKEN_DETACH:
    case TOKEN_REQUIRE:
    case TOKEN_BIND:
    case TOKEN_IS:
        return PLACE_DEVICE_FIRST;
    case TOKEN_CREATE:
        return PLACE_COUNT;
    case TOKEN_RUN:
        return PLACE_ARGUMENTS;
    case TOKEN_WAIT:
        return PLACE_OPTIONS;
    case TOKEN_AS:
        return PLACE_BACKEND;
    default:
        break;
    }
    switch (parser->place) {
    case PLACE_START:
        return token == TOKEN_DEVICE ? PLACE_NAME : PLACE_ELSEWHERE;
    case PLACE_FIELD:
        return PLACE_FIELD_VALUE;
    case PLACE_VM:
    case PLACE_FIELD_VALUE:
        return PLACE_AFTER_VM;
    case PLACE_AFTER_VM:
        return token == TOKEN_COMMA ? PLACE_VM : token == TOKEN_EVENT ? PLACE_EVENTS : PLACE_AFTER_VM;
    case PLACE_DEVICE_FIRST:
    case PLACE_DEVICE:
    case PLACE_VALUE:
        return token == TOKEN_TO && parser->verb == VERB_BIND && parser->has_action ? PLACE_BOUND : rules_place_in_device(parser, token);
    case PLACE_COUNT:
        return token == TOKEN_OF ? PLACE_DEVICE_FIRST : PLACE_COUNT;
    case PLACE_BOUND:
        return token == TOKEN_DRIVER ? PLACE_DRIVER : PLACE_OPTIONS;
    case PLACE_BACKEND:
    case PLACE_OPTION_VALUE:
    case PLACE_DRIVER:
        return PLACE_OPTIONS;
    case PLACE_OPTIONS:
        return rules_takes_word(token) ? PLACE_OPTION_VALUE : PLACE_OPTIONS;
    case PLACE_NAME:
        return PLACE_ELSEWHERE;
    case PLACE_EVENTS:
    case PLACE_ARGUMENTS:
    case PLACE_ELSEWHERE:
        break;
    }
    return parser->place;
}

/* --- keywords that are younger than rule files in use: see LATE in words.def */

/* What comes next on the line, blanks and joined lines aside. */
static const char *rules_next_text(const struct parser *parser, uint32_t at) {
    const char *text = parser->values.source->text + at;
    for (;;) {
        text += strspn(text, " \t");
        size_t end = *text == '\\' ? 1 + strspn(text + 1, " \t\r") : 0;
        if (!end || text[end] != '\n')
            return text;
        text += end + 1;
    }
}

/* The bare word that comes next; "": there is none. */
static const char *rules_next_word(struct parser *parser, uint32_t at) {
    const char *text = rules_next_text(parser, at);
    return scanner_intern(&parser->values.syntax->texts, text, strcspn(text, " \t\r\n,{}#\"\\"));
}

/* "vf of", "vf 3 of": its 'of', or the number before it. */
static bool rules_comes_of(struct parser *parser, uint32_t at) {
    const char *word = rules_next_word(parser, at);
    return scanner_keyword_from_text(word) == TOKEN_OF || (*word && !word[strspn(word, "0123456789")]);
}

/* Whether the value of a criterion comes next, and no further criterion or the end of the device. */
static bool rules_comes_value(struct parser *parser, enum token criterion, uint32_t at) {
    const char *word = rules_next_word(parser, at);
    if (criterion == TOKEN_VF)
        return rules_comes_of(parser, at);
    enum token keyword = scanner_keyword_from_text(word);
    if (criterion == TOKEN_DRIVER && (keyword == TOKEN_SCSI || keyword == TOKEN_VF))
        return true; /* a driver of that name: these keywords are the younger ones */
    if (keyword != TOKEN_END)
        return syntax_late(keyword) == LATE_NOTHING || (criterion == TOKEN_BELOW && keyword == TOKEN_PORT);
    return *rules_next_text(parser, at) == '"' || (*word && !strchr(word, ':'));
}

static bool rules_comes_condition(struct parser *parser, uint32_t at) {
    const char *word = rules_next_word(parser, at);
    enum token keyword = scanner_keyword_from_text(word);
    switch (keyword) {
#define CRITERION(name, ...) case TOKEN_##name:
#define LONG_CRITERION(...)
#define BUS(name, ...) case TOKEN_##name:
#include "lexer/words.def"
    case TOKEN_PORT:
    case TOKEN_BELOW:
    case TOKEN_VF:
    case TOKEN_NOT:
        return true;
    case TOKEN_END:
        return *word || *rules_next_text(parser, at) == '"';
    default: /* a name */
        return syntax_late(keyword) != LATE_NOT;
    }
}

/* Whether the device begins with the keyword; otherwise it is the name of a definition. */
static bool rules_begins_device(struct parser *parser, enum token token, uint32_t end) {
    switch (syntax_late(token)) {
    case LATE_ANYTHING:
        return true;
    case LATE_VALUE:
    case LATE_KEYWORD:
        return rules_comes_value(parser, token, end);
    case LATE_CONDITION:
        return rules_comes_condition(parser, end);
    case LATE_NOT:
    case LATE_NOTHING:
        break;
    }
    return false;
}

/* "wait 20s" at the end of the action, "wait 20s or stop". Elsewhere it is an argument, as it was before it became a
 * keyword. */
static bool rules_begins_wait(struct parser *parser, enum token token, uint32_t end) {
    const char *word = rules_next_word(parser, end);
    if (token != TOKEN_WAIT || scanner_keyword_from_text(word) == TOKEN_OR)
        return token == TOKEN_WAIT;
    end = (uint32_t)(rules_next_text(parser, end) - parser->values.source->text) + (uint32_t)strlen(word);
    const char *after = rules_next_text(parser, end);
    return *word && (scanner_keyword_from_text(rules_next_word(parser, end)) == TOKEN_OR ||
                     (value_has_unit(word) && strchr("\r\n#}", *after)));
}

/* Whether a keyword that is younger than rule files in use is a name here. */
static bool rules_is_name(struct parser *parser, enum token token, enum place place, uint32_t end) {
    switch (place) {
    case PLACE_NAME:
    case PLACE_VM:
    case PLACE_FIELD_VALUE:
        return true;
    case PLACE_ARGUMENTS:
        return !rules_begins_wait(parser, token, end);
    case PLACE_VALUE:
    case PLACE_DRIVER:
        return token != TOKEN_LIKE;
    case PLACE_START:
        return !rules_is_action(token);
    case PLACE_AFTER_VM:
    case PLACE_EVENTS:
        return token != TOKEN_EVENT && !rules_is_action(token);
    case PLACE_DEVICE_FIRST:
        return !rules_begins_device(parser, token, end);
    case PLACE_BACKEND:
    case PLACE_OPTIONS: /* a mistyped 'off' */
        return token == TOKEN_OF || token == TOKEN_VF;
    case PLACE_FIELD:
    case PLACE_DEVICE:
    case PLACE_OPTION_VALUE:
    case PLACE_COUNT:
    case PLACE_BOUND:
    case PLACE_ELSEWHERE:
        break;
    }
    return false;
}

/* The scanner's next token; a keyword that is a name where it is becomes a word. */
static enum token rules_next_token(struct parser *parser, union token_value *value, struct span *span) {
    enum token token = scanner_next(parser->scanner, value, span);
    parser->place = rules_next_place(parser);
    if (parser->place == PLACE_OPTION_VALUE && token >= TOKEN_KEYWORD) {
        value->text = scanner_token_text(token);
        return TOKEN_WORD;
    }
    bool is_late = token == TOKEN_EVENT ? syntax_is_late_event(value->event) : syntax_late(token) != LATE_NOT;
    if (!is_late || !rules_is_name(parser, token, parser->place, span->end))
        return token;
    value->text = token == TOKEN_EVENT ? scanner_event_text(value->event) : scanner_token_text(token);
    return TOKEN_WORD;
}

/* "name freed started", "name freed, b started": 'freed' is a VM; in "name freed attach" it is the event. */
static bool rules_is_vm_before(struct parser *parser, const char *event) {
    uint32_t end = (uint32_t)(rules_next_text(parser, parser->found.span.end) - parser->values.source->text) +
                   (uint32_t)strlen(event);
    const char *after = rules_next_text(parser, end);
    if (strchr("\r\n#", *after)) /* no event follows: the VMs of a 'never' */
        return true;
    if (*after != ',')
        return scanner_event_from_text(rules_next_word(parser, end)) < EVENT_COUNT;
    end = (uint32_t)(after - parser->values.source->text) + 1;
    return scanner_event_from_text(rules_next_word(parser, end)) == EVENT_COUNT;
}

/* Whether a word of a VM comes next: no event and no keyword, which is that alone. */
static bool rules_comes_vm(struct parser *parser) {
    uint32_t end = parser->found.span.end;
    const char *word = rules_next_word(parser, end);
    enum event_name event = scanner_event_from_text(word);
    enum token keyword = scanner_keyword_from_text(word);
    if (!*word)
        return *rules_next_text(parser, end) == '"';
    if (event < EVENT_COUNT)
        return syntax_is_late_event(event) && rules_is_vm_before(parser, word);
    return keyword == TOKEN_END || syntax_late(keyword) != LATE_NOT;
}

static bool rules_is_field(struct parser *parser) {
    const struct seen_token *found = &parser->found;
    return found->token == TOKEN_WORD && parser->place == PLACE_VM && syntax_field_from_text(found->value.text) &&
           rules_comes_vm(parser);
}

/* Neither a further target nor the value of a criterion. */
static bool rules_ends_targets(char next) {
    return next != ',' && next != '"';
}

/* "attach 1a6e:089a usb": with nothing but options after it the word says how, and 'as' is missing. */
static bool rules_lacks_as(struct parser *parser) {
    uint32_t end = parser->found.span.end;
    const char *word = rules_next_word(parser, end);
    return parser->place == PLACE_DEVICE && parser->attaches &&
           (*word ? syntax_is_option(scanner_keyword_from_text(word)) : rules_ends_targets(*rules_next_text(parser, end)));
}

/* "as mdev uuid" */
static bool rules_is_uuid(const struct parser *parser) {
    return parser->found.token == TOKEN_WORD && parser->previous.token == TOKEN_MDEV &&
           parser->place == PLACE_OPTIONS && syntax_field_from_text(parser->found.value.text) == FIELD_UUID;
}

/* "not vf of": the physical function before it ends here. */
static bool rules_is_not_vf(struct parser *parser) {
    if (parser->found.token != TOKEN_NOT)
        return false;
    uint32_t end = parser->found.span.end;
    const char *word = rules_next_word(parser, end);
    if (scanner_keyword_from_text(word) != TOKEN_VF)
        return false;
    end = (uint32_t)(rules_next_text(parser, end) - parser->values.source->text) + (uint32_t)strlen(word);
    return rules_comes_of(parser, end);
}

static int yylex(union parser_value *value, struct span *span, struct parser *parser) {
    if (parser->hold != HOLD_NOTHING)
        return rules_held_token(parser, value, span);
    size_t before = parser->values.diagnostics->count;
    enum token token = rules_next_token(parser, &value->token, span);
    rules_remember(parser, token, value->token, *span);
    if (parser->values.diagnostics->count > before)
        parser->error_on_line = parser->misread = true;
    uint32_t backslash = rules_joining_backslash(parser);
    if (backslash != UINT32_MAX) {
        syntax_error_joined_never(&parser->values, (struct span){backslash, backslash + 1});
        parser->error_on_line = true;
        parser->never = (struct span){0, 0};
        parser->hold = HOLD_JOINED;
        parser->held = *value;
        *span = (struct span){span->start, span->start};
        return NEWLINE;
    }
    if (rules_is_field(parser)) {
        parser->place = PLACE_FIELD;
        return FIELD;
    }
    if (syntax_is_backend(token) && (parser->place == PLACE_BACKEND || rules_lacks_as(parser))) {
        parser->backend = syntax_backend_of(token);
        return token == TOKEN_MDEV ? MDEV : BACKEND;
    }
    if (rules_is_uuid(parser))
        return UUID;
    if (parser->place == PLACE_OPTIONS && (symbols[token] == BUS || token == TOKEN_SCSI))
        return PORT_BUS;
    if (parser->place == PLACE_OPTIONS && token == TOKEN_EVENT && value->token.event == EVENT_BOOT)
        return BOOT;
    if (parser->place == PLACE_BOUND && (token == TOKEN_VFIO || token == TOKEN_DRIVER))
        return token == TOKEN_VFIO ? TO_VFIO : TO_DRIVER;
    if (rules_is_not_vf(parser))
        return NOT_VF;
    return rules_ends_open_block(parser) ? rules_close_block(parser, value, span) : symbols[token];
}

/* A 'never' within the line may be a statement of its own. */
static void rules_leave_action(struct parser *parser) {
    if (parser->never.end)
        rules_add_doubtful_guard(parser, (struct span){parser->never.start, parser->found.span.start}, NULL);
    parser->never = (struct span){0, 0};
}

static bool rules_is_nearly(struct parser *parser, const struct seen_token *seen, enum token token) {
    struct suggestion suggestion = {.word = rules_word_at(parser, seen->span)};
    suggest(&suggestion, scanner_token_text(token));
    return seen->token == token || suggestion.best || !strcasecmp(suggestion.word, scanner_token_text(token));
}

/* "nevr attach gpu", "NEVER ATTACH gpu", "neverattach gpu", "nevr gpu" */
static bool rules_is_nearly_never(struct parser *parser) {
    const struct seen_token *head = parser->head;
    const char *never = scanner_token_text(TOKEN_NEVER);
    if (parser->line_tokens < 1 || head[0].token != TOKEN_WORD)
        return false;
    struct suggestion suggestion = {.word = rules_word_at(parser, head[0].span)};
    suggest(&suggestion, never);
    return !strncasecmp(suggestion.word, never, strlen(never)) || (suggestion.best && suggestion.distance == 1) ||
           (suggestion.best && parser->line_tokens > 1 && rules_is_nearly(parser, &head[1], TOKEN_ATTACH));
}

/* "d = 1ac1:089a" */
static bool rules_is_equals(struct parser *parser, const struct seen_token *seen) {
    const char *text = seen->token == TOKEN_WORD ? rules_word_at(parser, seen->span) : "";
    return seen->token == TOKEN_IS || !strcmp(text, "=") || !strcmp(text, ":=");
}

/* A word, or a keyword that is younger than rule files in use: a device may have such a name. */
static bool rules_may_be_name(const struct seen_token *seen) {
    return seen->token == TOKEN_WORD || syntax_late(seen->token) != LATE_NOT;
}

/* A definition with an error still defines its name, so that its uses are not reported. If it is unclear which word
 * that is, no name of the file is reported as undefined. */
static void rules_leave_definition(struct parser *parser) {
    const struct seen_token *head = parser->head, *name = NULL;
    bool other = head[0].token == TOKEN_ON || head[0].token == TOKEN_NEVER || rules_is_action(head[0].token);
    bool is = false;
    for (size_t i = 0; i < parser->line_tokens; i++)
        is |= head[i].token == TOKEN_IS || head[i].token == TOKEN_DEVICE;
    if (parser->line_tokens > 1 && rules_may_be_name(&head[0]) && rules_is_equals(parser, &head[1]))
        name = &head[0];
    else if ((parser->line_tokens > 1 && head[0].token == TOKEN_DEVICE && rules_may_be_name(&head[1])) ||
             (parser->line_tokens == LINE_HEAD && rules_may_be_name(&head[1]) && rules_is_equals(parser, &head[2])))
        name = &head[1];
    else if (!other && parser->line_tokens == LINE_HEAD && head[1].token == TOKEN_DEVICE &&
             rules_may_be_name(&head[2]))
        name = &head[2];
    if (name)
        rules_add_definition(parser, name->span, name->span, NULL);
    parser->values.source->lost_names |=
        (parser->misread && !other) || (!name && (is || head[0].token == TOKEN_OPEN));
}

/* A definition or a 'never' with an error still counts: the first defines its name, the second forbids. */
static void rules_leave_line(struct parser *parser) {
    const struct seen_token *head = parser->head;
    if (head[0].token == TOKEN_NEVER || rules_is_nearly_never(parser))
        rules_add_doubtful_guard(parser, (struct span){head[0].span.start, parser->found.span.start}, NULL);
    else
        rules_leave_action(parser);
    rules_leave_definition(parser);
}

/* Only for the stack limit, which this grammar cannot reach; see yyreport_syntax_error(). */
static void yyerror(const struct span *span, struct parser *parser, const char *message) {
    diagnostic_add(parser->values.diagnostics, parser->values.source, *span, CHECK_SYNTAX, "%s", message);
}

static void rules_hint_stray_word(struct parser *parser) {
    if (parser->found.token == TOKEN_WORD && rules_continues_name(parser, parser->found.span))
        parser->vm.end = parser->found.span.end;
    if (parser->found.token == TOKEN_WORD || parser->found.token == TOKEN_EVENT)
        rules_hint_name_of_words(parser);
}

/* "never attach gpu to vm Home Assistant": all words up to a ',' or the end of the line. */
static void rules_hint_guarded(struct parser *parser, const struct syntax_error *error) {
    const char *text = parser->values.source->text;
    size_t end = parser->found.span.end + strcspn(text + parser->found.span.end, ",{}#\"\\\r\n");
    bool word = error->found.token == TOKEN_WORD || error->found.token == TOKEN_NUMBER || error->found.token == TOKEN_EVENT;
    if (parser->head[0].token != TOKEN_NEVER || !word || !error->expected[TOKEN_COMMA] || error->expected[TOKEN_OR] ||
        text[end] == '"' || text[parser->vm.start] == '"' || !rules_continues_name(parser, parser->found.span))
        return;
    while (text[end - 1] == ' ' || text[end - 1] == '\t')
        end--;
    syntax_error_hint_guarded_words(rules_numbered(parser, parser->values.diagnostics->count), &error->found, text + parser->vm.start,
                       end - parser->vm.start);
}

/* A line, or the '}', of a block whose head or whose end was reported. */
static bool rules_is_of_lost_block(struct parser *parser) {
    bool closes = parser->found.token == TOKEN_CLOSE || rules_is_foreign_close(&parser->found);
    if (parser->line_tokens != 1 || parser->in_block || !(closes || rules_is_action(parser->found.token)))
        return false;
    if (!parser->headless && closes && parser->unclosed) {
        parser->unclosed--;
        return true;
    }
    return parser->headless || parser->unclosed;
}

/* True for what only follows from a mistake that was reported: on the same line, or the lines of a block whose
 * '{' is missing. */
static bool rules_is_consequence(struct parser *parser) {
    const struct diagnostics *diagnostics = parser->values.diagnostics;
    const struct diagnostic *last = diagnostics->count ? &diagnostics->list[diagnostics->count - 1] : NULL;
    if (parser->open_missing && parser->line_tokens == 1) {
        diagnostic_hint(rules_numbered(parser, parser->open_missing),
                        "put '{' at the end of this line, then one action a line, then '}'");
        return true;
    }
    if (rules_is_of_lost_block(parser))
        return true;
    if (parser->error_on_line || !last || last->source != parser->values.source ||
        last->span.start <= parser->head[0].span.start)
        return parser->error_on_line;
    if (parser->stray_word == diagnostics->count)
        rules_hint_stray_word(parser);
    return true;
}

static int yyreport_syntax_error(const yypcontext_t *context, struct parser *parser) {
    yysymbol_kind_t expected[TOKEN_COUNT];
    struct syntax_error error = {.source = parser->values.source,
                                 .previous = parser->previous,
                                 .found = parser->found,
                                 .verb = parser->verb,
                                 .backend = parser->backend,
                                 .of_host = parser->of_host};
    parser->unexpected = parser->found.token;
    parser->before_unexpected = parser->previous.token;
    if (rules_is_consequence(parser))
        return 0;
    int count = yypcontext_expected_tokens(context, expected, TOKEN_COUNT);
    for (int i = 0; i < count; i++) {
        error.expects_boot |= (int)expected[i] == BOOT;
        for (enum token token = 0; token < TOKEN_COUNT; token++)
            error.expected[token] |= symbols[token] == (int)expected[i] ||
                                     ((int)expected[i] == BACKEND && syntax_is_backend(token)) ||
                                     ((int)expected[i] == TO_VFIO && token == TOKEN_VFIO) ||
                                     ((int)expected[i] == TO_DRIVER && token == TOKEN_DRIVER);
    }
    parser->error_on_line = true;
    parser->stray_block |=
        parser->in_block && (parser->has_open || (parser->line_tokens == 1 && rules_is_foreign_close(&parser->found)));
    parser->unclosed += parser->in_block ? error.found.token == TOKEN_CLOSE : error.previous.token == TOKEN_CLOSE;
    syntax_error_report(&parser->values, &error);
    rules_hint_guarded(parser, &error);
    if (error.found.token == TOKEN_NEWLINE && error.expected[TOKEN_OPEN])
        parser->open_missing = parser->values.diagnostics->count;
    return 0;
}

static bool rules_is_in_guard(const struct guard *guard, const struct source *source, uint32_t offset) {
    for (; guard; guard = guard->next)
        if (guard->source == source && guard->span.start <= offset && offset < guard->span.end)
            return true;
    return false;
}

/* A character that ends a line elsewhere, and here is an error: its length, or 0. In a comment U+2028 and U+2029
 * are allowed. */
static size_t rules_foreign_line_end(const struct parser *parser, const char *at) {
    const struct diagnostics *diagnostics = parser->values.diagnostics;
    uint32_t offset = (uint32_t)(at - parser->values.source->text);
    if (*at == '\r')
        return 1;
    if (strncmp(at, "\xe2\x80\xa8", 3) != 0 && strncmp(at, "\xe2\x80\xa9", 3) != 0)
        return 0;
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->list[i].source == parser->values.source && diagnostics->list[i].span.start <= offset &&
            offset < diagnostics->list[i].span.end)
            return 3;
    return 0;
}

/* Where lines end with CR alone, a comment goes on to the end of the file: an error, and a 'never' in it
 * still forbids. So does one after a line separator of a word processor. */
static void rules_find_hidden_guards(struct parser *parser) {
    const struct source *source = parser->values.source;
    static const char never[] = "never";
    const char *at = source->text;
    while (*(at += strcspn(at, "\r\xe2")) || at < source->text + source->size) {
        size_t length = *at ? rules_foreign_line_end(parser, at) : 0;
        at += length ? length : 1;
        if (!length)
            continue;
        at += strspn(at, "\r \t");
        uint32_t offset = (uint32_t)(at - source->text);
        if (strncmp(at, never, sizeof never - 1) != 0 || !strchr(" \t", at[sizeof never - 1]) ||
            rules_is_in_guard(parser->values.syntax->guards, source, offset))
            continue;
        rules_add_doubtful_guard(parser, (struct span){offset, offset + sizeof never - 1}, NULL);
    }
}

static void rules_report_binary(struct source *source, struct diagnostics *diagnostics) {
    source->guards_unknown = true;
    diagnostic_hint(diagnostic_add_file(diagnostics, source, CHECK_NUL_BYTE, "this is not text"),
                    "is it a rule file? Until it is text its 'never' lines are not in force");
}

/* An error about a byte that never occurs in text: a control character, or not UTF-8. */
static bool rules_has_strange_byte(const struct source *source, const struct diagnostics *diagnostics, size_t from) {
    for (size_t i = from; i < diagnostics->count; i++) {
        const struct diagnostic *one = &diagnostics->list[i];
        size_t left = source->size - one->span.start, length = 0;
        const char *at = source->text + one->span.start;
        if (one->check == CHECK_NUL_BYTE)
            return true;
        if (one->check != CHECK_CONTROL_CHARACTER || !left || *at == '\r')
            continue;
        character_at(at, left, &length);
        if (length == 1)
            return true;
    }
    return false;
}

/* `before`: the rules as they were before this file. Also one that was not understood: its line begins with the keyword, and
 * its own error says more. */
static bool rules_has_statement(const struct syntax *before, const struct source *source) {
    static const enum token keywords[] = {TOKEN_ON, TOKEN_DEVICE, TOKEN_NEVER};
    if (*before->guards_end || *before->definitions_end || *before->rules_end)
        return true;
    const char *end = source->text + source->size;
    for (const char *at = source->text + source_mark(source); at; at = memchr(at, '\n', (size_t)(end - at))) {
        at += strspn(at, "\r\n\t ");
        for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
            size_t length = strlen(scanner_token_text(keywords[i]));
            if (!strncmp(at, scanner_token_text(keywords[i]), length) && strchr(" \t\r\n\\", at[length]))
                return true;
        }
    }
    return false;
}

void syntax_parse(struct syntax *syntax, struct source *source, struct diagnostics *diagnostics) {
    size_t before = diagnostics->count;
    if (source_is_utf16(source)) {
        source->guards_unknown = true;
        diagnostic_hint(diagnostic_add_file(diagnostics, source, CHECK_NUL_BYTE, "this is UTF-16"),
                        "save the file as UTF-8; until then its 'never' lines are not in force");
        return;
    }
    if (source_is_binary(source)) {
        rules_report_binary(source, diagnostics);
        return;
    }
    struct syntax old = *syntax;
    struct parser parser = {.values = {source, diagnostics, syntax}, .found.token = TOKEN_NEWLINE};
    parser.scanner = scanner_create(source, &syntax->texts, diagnostics);
    yyparse(&parser);
    scanner_destroy(parser.scanner);
    rules_find_hidden_guards(&parser);
    if (rules_has_strange_byte(source, diagnostics, before) && !rules_has_statement(&old, source)) {
        for (size_t i = before; i < diagnostics->count; i++)
            diagnostics->list[i].cause = false;
        diagnostic_cover(diagnostics, source, (struct span){0, (uint32_t)source->size + 1}, (struct span){0, 0});
        rules_report_binary(source, diagnostics);
    }
    diagnostic_drop_consequences(diagnostics, before);
}
