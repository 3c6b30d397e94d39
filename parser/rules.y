/*
 * The grammar of rule files. Actions only build nodes; what is wrong with a well-formed statement is found by
 * check.c. Lists are kept as a pointer to the last node of a ring while they grow, so that no rule recurses
 * to the right and the stack stays shallow whatever the input.
 */
%code requires {
#include "parser/syntax.h"

/* What one run of the parser works with. */
struct parser {
    struct parse_context values;
    struct scanner *scanner;
    struct span open_block;  /* the '{' that has no '}' yet */
    bool in_block;
    bool block_reported;     /* that its '}' is missing */
    bool error_on_line;
    const char *found;       /* text of the token looked at, when it has one */
    enum token found_token;
    struct span found_span;
};

union parser_value {
    union token_value token;
    struct word *word;
    struct event_list *event;
    struct criterion *criterion;
    struct target *target;
    struct action_option *option;
    struct action *action;
    struct { enum quantifier kind; unsigned count; } quantifier;
    enum backend backend;
    bool flag;
    uint32_t milliseconds;
};
}

%code {
#include "parser/syntax_error.h"

static int yylex(union parser_value *value, struct span *span, struct parser *parser);
static void yyerror(const struct span *span, struct parser *parser, const char *message);

#define YYLLOC_DEFAULT(now, rhs, n)                                                                \
    do {                                                                                           \
        (now).start = (n) ? YYRHSLOC(rhs, 1).start : YYRHSLOC(rhs, 0).end;                         \
        (now).end = YYRHSLOC(rhs, (n) ? (n) : 0).end;                                              \
    } while (0)

/* Rings: `last->next` is the first node. A NULL node, of something that could not be built, is left out. */
#define RING(node) ((node) ? ((node)->next = (node)) : NULL)
#define APPEND(last, node)                                                                         \
    (!(node)   ? (last)                                                                            \
     : !(last) ? RING(node)                                                                        \
               : ((node)->next = (last)->next, (last)->next = (node)))
#define OPENED(type, last) ((type *)open_ring(last))

static void *open_ring(void *last);
static void *node(struct parser *parser, size_t size);
static struct word *new_word(struct parser *parser, struct span span, enum word_kind kind, const char *text);
static struct word *bare_word(struct parser *parser, struct span span, const char *text);
static struct event_list *new_event(struct parser *parser, struct span span, enum event_name event);
static void unknown_event(struct parser *parser, struct span span, const char *text);
typedef bool value_reader(struct parse_context *, struct criterion *, struct span, const char *);
static struct criterion *new_criterion(struct parser *parser, struct span span, struct span value_span,
                                       value_reader *read, const char *text);
static struct criterion *text_criterion(struct parser *parser, struct span span, enum criterion_kind kind,
                                        const char *text);
static struct criterion *append_match(struct criterion *last, struct criterion *match);
static struct target *new_target(struct parser *parser, struct span span, enum quantifier kind, unsigned count,
                                 struct criterion *device);
static struct action_option *new_option(struct parser *parser, struct span span, enum option_kind kind);
static struct action *new_action(struct parser *parser, struct span span, enum verb verb,
                                 struct action_option *options);
static void add_rule(struct parser *parser, struct span span, struct word *vms, struct event_list *events,
                     struct action *actions, bool block);
static void add_guard(struct parser *parser, struct span span, struct criterion *device, struct word *vms);
static void add_definition(struct parser *parser, struct span span, struct span name_span, const char *name,
                           struct criterion *device);
}

%define api.pure full
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
%token ON VM DEVICE IS NEVER TO ANY ALL ATTACH DETACH RUN WITH GROUP AS VFIO USB OR AT CLASS SUBSYSTEM PORT
%token SERIAL OPTIONAL UNMANAGED WITHIN AFTER ROM OFF THEN RESET REBOOT

%type <word> vm vms guarded argument arguments
%type <event> event events
%type <criterion> device match criteria criterion
%type <target> target targets
%type <option> option options
%type <action> action block_actions block last_action
%type <quantifier> quantifier
%type <backend> backend any_backend
%type <flag> with_group
%type <milliseconds> duration
%type <token> lump

%%

file: %empty | file line;

line: NEWLINE
    | statement NEWLINE
    | error NEWLINE         { yyerrok; parser->error_on_line = false; }
    | error block NEWLINE   { yyerrok; parser->error_on_line = false; }
    ;

statement: definition | rule | guard;

definition: DEVICE WORD IS device {
        if (value_name(&parser->values, @WORD, $WORD.text))
            add_definition(parser, @$, @WORD, $WORD.text, $device);
    };

rule: ON VM vms events action {
        add_rule(parser, @$, $vms, $events, $action, false);
    }
    | ON VM vms events block {
        add_rule(parser, (struct span){@ON.start, @events.end}, $vms, $events, $block, true);
    }
    ;

guard: NEVER ATTACH device guarded { add_guard(parser, @$, $device, $guarded); };

guarded: %empty             { $$ = NULL; }
    | TO VM vms             { $$ = $vms; }
    ;

vms: vm                     { $$ = RING($vm); }
    | vms[last] COMMA vm    { $$ = APPEND($last, $vm); }
    ;

vm: ANY                     { $$ = new_word(parser, @$, WORD_ANY, "any"); }
    | lump                  { $$ = bare_word(parser, @$, $lump.text); }
    | STRING                { $$ = new_word(parser, @$, WORD_QUOTED, $STRING.text); }
    ;

lump: WORD | NUMBER;

events: event               { $$ = RING($event); }
    | events[last] COMMA event { $$ = APPEND($last, $event); }
    ;

event: EVENT                { $$ = new_event(parser, @$, $EVENT.event); }
    | lump                  { $$ = NULL; unknown_event(parser, @$, $lump.text); }
    ;

block: OPEN { parser->open_block = @OPEN; parser->in_block = true; parser->block_reported = false; }
       block_actions last_action CLOSE {
        $$ = APPEND($block_actions, $last_action);
        parser->in_block = false;
    };

block_actions: %empty       { $$ = NULL; }
    | block_actions[last] NEWLINE           { $$ = $last; }
    | block_actions[last] action NEWLINE    { $$ = APPEND($last, $action); }
    | block_actions[last] error NEWLINE     { $$ = $last; yyerrok; parser->error_on_line = false; }
    ;

last_action: %empty         { $$ = NULL; }
    | action
    | error                 { $$ = NULL; }
    ;

action: ATTACH targets with_group AS backend options {
        $$ = new_action(parser, @$, VERB_ATTACH, $options);
        $$->targets = OPENED(struct target, $targets);
        $$->with_group = $with_group;
        $$->backend = $backend;
    }
    | DETACH targets with_group any_backend options {
        $$ = new_action(parser, @$, VERB_DETACH, $options);
        $$->targets = OPENED(struct target, $targets);
        $$->with_group = $with_group;
        $$->backend = $any_backend;
    }
    | RUN STRING arguments options {
        struct word *program = new_word(parser, @STRING, WORD_QUOTED, $STRING.text);
        program->next = OPENED(struct word, $arguments);
        $$ = new_action(parser, @$, VERB_RUN, $options);
        $$->command = program;
    }
    ;

arguments: %empty           { $$ = NULL; }
    | arguments[last] argument { $$ = APPEND($last, $argument); }
    ;

argument: lump              { $$ = new_word(parser, @$, WORD_PLAIN, $lump.text); }
    | STRING                { $$ = new_word(parser, @$, WORD_QUOTED, $STRING.text); }
    ;

targets: target             { $$ = RING($target); }
    | targets[last] COMMA target { $$ = APPEND($last, $target); }
    ;

target: quantifier device {
        $$ = new_target(parser, @$, $quantifier.kind, $quantifier.count, $device);
    };

quantifier: %empty          { $$.kind = QUANTIFIER_ONE; $$.count = 1; }
    | ALL                   { $$.kind = QUANTIFIER_ALL; $$.count = 0; }
    | ANY                   { $$.kind = QUANTIFIER_ANY; $$.count = 1; }
    | ANY NUMBER            {
        $$.kind = QUANTIFIER_ANY;
        value_count(&parser->values, &$$.count, @NUMBER, $NUMBER.text);
    }
    ;

device: match
    | device[last] OR match { $$ = append_match($last, $match); }
    ;

match: criteria             { $$ = $criteria; if ($$) $$->next->alternative = true; };

criteria: criterion         { $$ = RING($criterion); }
    | criteria[last] criterion { $$ = APPEND($last, $criterion); }
    ;

criterion: WORD             { $$ = new_criterion(parser, @$, @WORD, value_criterion, $WORD.text); }
    | AT lump               { $$ = new_criterion(parser, @$, @lump, value_address, $lump.text); }
    | CLASS lump            { $$ = new_criterion(parser, @$, @lump, value_class, $lump.text); }
    | SUBSYSTEM lump        {
        $$ = new_criterion(parser, @$, @lump, value_id, $lump.text);
        if ($$)
            $$->kind = CRITERION_SUBSYSTEM;
    }
    | PORT lump             { $$ = new_criterion(parser, @$, @lump, value_port, $lump.text); }
    | SERIAL STRING         { $$ = text_criterion(parser, @$, CRITERION_SERIAL, $STRING.text); }
    ;

with_group: %empty          { $$ = false; }
    | WITH GROUP            { $$ = true; }
    ;

any_backend: %empty         { $$ = BACKEND_NONE; }
    | AS backend            { $$ = $backend; }
    ;

backend: VFIO               { $$ = BACKEND_VFIO; }
    | USB                   { $$ = BACKEND_USB; }
    ;

options: %empty             { $$ = NULL; }
    | options[last] option  { $$ = APPEND($last, $option); }
    ;

option: OPTIONAL            { $$ = new_option(parser, @$, OPTION_OPTIONAL); }
    | UNMANAGED             { $$ = new_option(parser, @$, OPTION_UNMANAGED); }
    | WITHIN duration       { $$ = new_option(parser, @$, OPTION_WITHIN); $$->milliseconds = $duration; }
    | AFTER duration        { $$ = new_option(parser, @$, OPTION_AFTER); $$->milliseconds = $duration; }
    | ROM OFF               { $$ = new_option(parser, @$, OPTION_ROM_OFF); }
    | ROM STRING            { $$ = new_option(parser, @$, OPTION_ROM_FILE); $$->text = $STRING.text; }
    | THEN RESET            { $$ = new_option(parser, @$, OPTION_THEN_RESET); }
    | THEN REBOOT           { $$ = new_option(parser, @$, OPTION_THEN_REBOOT); }
    ;

duration: lump              { $$ = 0; value_duration(&parser->values, &$$, @$, $lump.text); };

%%

static void *node(struct parser *parser, size_t size) {
    return arena_alloc(&parser->values.syntax->arena, size);
}

/* Every node begins with its `next`. */
static void *open_ring(void *last) {
    struct ring { struct ring *next; } *end = last, *first;
    if (!end)
        return NULL;
    first = end->next;
    end->next = NULL;
    return first;
}

static struct word *new_word(struct parser *parser, struct span span, enum word_kind kind, const char *text) {
    struct word *word = node(parser, sizeof *word);
    word->text = text;
    word->span = span;
    word->kind = kind;
    return word;
}

static struct word *bare_word(struct parser *parser, struct span span, const char *text) {
    return new_word(parser, span, is_glob(text) ? WORD_GLOB : WORD_PLAIN, text);
}

static struct event_list *new_event(struct parser *parser, struct span span, enum event_name event) {
    struct event_list *item = node(parser, sizeof *item);
    item->span = span;
    item->event = event;
    return item;
}

static void unknown_event(struct parser *parser, struct span span, const char *text) {
    report_unknown_event(&parser->values, span, text);
}

static struct criterion *new_criterion(struct parser *parser, struct span span, struct span value_span,
                                       value_reader *read, const char *text) {
    struct criterion *criterion = node(parser, sizeof *criterion);
    criterion->span = span;
    criterion->kind = CRITERION_ID;
    return read(&parser->values, criterion, value_span, text) ? criterion : NULL;
}

static struct criterion *text_criterion(struct parser *parser, struct span span, enum criterion_kind kind,
                                        const char *text) {
    struct criterion *criterion = node(parser, sizeof *criterion);
    criterion->span = span;
    criterion->kind = (uint8_t)kind;
    criterion->text = text;
    return criterion;
}

/* Joins two rings: all of `match` comes behind `last`. */
static struct criterion *append_match(struct criterion *last, struct criterion *match) {
    if (!last || !match)
        return last ? last : match;
    struct criterion *first = last->next;
    last->next = match->next;
    match->next = first;
    return match;
}

static struct target *new_target(struct parser *parser, struct span span, enum quantifier kind, unsigned count,
                                 struct criterion *device) {
    struct target *target = node(parser, sizeof *target);
    target->span = span;
    target->quantifier = kind;
    target->count = count & 0xffffff;
    target->device = OPENED(struct criterion, device);
    return target;
}

static struct action_option *new_option(struct parser *parser, struct span span, enum option_kind kind) {
    struct action_option *option = node(parser, sizeof *option);
    option->span = span;
    option->kind = kind;
    return option;
}

static struct action *new_action(struct parser *parser, struct span span, enum verb verb,
                                 struct action_option *options) {
    struct action *action = node(parser, sizeof *action);
    action->span = span;
    action->verb = verb;
    action->options = OPENED(struct action_option, options);
    action->next = action;
    return action;
}

static void add_rule(struct parser *parser, struct span span, struct word *vms, struct event_list *events,
                     struct action *actions, bool block) {
    struct rule *rule = node(parser, sizeof *rule);
    rule->source = parser->values.source;
    rule->span = span;
    rule->vms = OPENED(struct word, vms);
    rule->events = OPENED(struct event_list, events);
    rule->actions = OPENED(struct action, actions);
    rule->block = block;
    *parser->values.syntax->rules_end = rule;
    parser->values.syntax->rules_end = &rule->next;
}

static void add_guard(struct parser *parser, struct span span, struct criterion *device, struct word *vms) {
    struct guard *guard = node(parser, sizeof *guard);
    guard->source = parser->values.source;
    guard->span = span;
    guard->device = OPENED(struct criterion, device);
    guard->vms = OPENED(struct word, vms);
    *parser->values.syntax->guards_end = guard;
    parser->values.syntax->guards_end = &guard->next;
}

static void add_definition(struct parser *parser, struct span span, struct span name_span, const char *name,
                           struct criterion *device) {
    struct definition *definition = node(parser, sizeof *definition);
    definition->source = parser->values.source;
    definition->span = span;
    definition->name_span = name_span;
    definition->name = name;
    definition->device = OPENED(struct criterion, device);
    *parser->values.syntax->definitions_end = definition;
    parser->values.syntax->definitions_end = &definition->next;
}

/* Token codes of the scanner to those of the grammar; the same order, so that a missing one does not compile. */
static const short codes[] = {
#define X(name, text) [TOKEN_##name] = name,
    TOKENS(X)
#undef X
};

static int yylex(union parser_value *value, struct span *span, struct parser *parser) {
    enum token token = scanner_next(parser->scanner, &value->token, span);
    bool has_text = token == TOKEN_WORD || token == TOKEN_NUMBER || token == TOKEN_STRING;
    parser->found = has_text ? value->token.text : token == TOKEN_EVENT ? event_text(value->token.event) : NULL;
    parser->found_token = token;
    parser->found_span = *span;
    return codes[token];
}

/* Only for what is no syntax error: the stack limit, which this grammar cannot reach. */
static void yyerror(const struct span *span, struct parser *parser, const char *message) {
    diagnose(parser->values.diagnostics, parser->values.source, *span, "syntax", "%s", message);
}

static enum token token_of(yysymbol_kind_t symbol) {
    for (enum token token = 0; token < TOKEN_COUNT; token++)
        if (yytranslate[codes[token]] == symbol)
            return token;
    return TOKEN_COUNT;
}

static int yyreport_syntax_error(const yypcontext_t *context, struct parser *parser) {
    yysymbol_kind_t symbols[TOKEN_COUNT];
    int count = yypcontext_expected_tokens(context, symbols, TOKEN_COUNT);
    struct syntax_error error = {.found = parser->found_token,
                                 .found_text = parser->found,
                                 .span = *yypcontext_location(context),
                                 .in_block = parser->in_block,
                                 .open_block = parser->open_block};
    for (int i = 0; i < count; i++) {
        enum token token = token_of(symbols[i]);
        if (token < TOKEN_COUNT)
            error.expected[token] = true;
    }
    if (parser->error_on_line || (parser->in_block && parser->block_reported))
        return 0;
    parser->error_on_line = true;
    parser->block_reported = report_syntax_error(&parser->values, &error);
    return 0;
}

void parse_rules(struct syntax *syntax, struct source *source, struct diagnostics *diagnostics) {
    struct parser parser = {.values = {source, diagnostics, syntax}};
    parser.scanner = scanner_create(source, &syntax->texts, diagnostics);
    yyparse(&parser);
    scanner_destroy(parser.scanner);
}
