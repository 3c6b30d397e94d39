/* virt-rules dump: the files in their order and the rules as the engine has them. */
#include "engine/command/command.h"

#include "engine/rules/program.h"
#include "lexer/text.h"
#include "parser/doubt.h"
#include "parser/print.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* Any of the three kinds of statement, and one action of a rule. */
struct statement {
    const struct source *source;
    size_t line;
    const char *kind; /* "rule", "never", "device" */
    char *text;
    char *forbids; /* of a `never` in doubt; NULL of all else */
};

struct dump {
    const struct ruleset *ruleset;
    struct statement *list;
    size_t count;
};

static void command_dump_add(struct dump *dump, struct source *source, struct span span,
                             const char *kind, char *text) {
    dump->list = memory_grow(dump->list, dump->count, sizeof *dump->list);
    struct statement *statement = &dump->list[dump->count++];
    statement->source = source;
    statement->line = source_position(source, span.start).line;
    statement->kind = kind;
    statement->text = text;
    statement->forbids = NULL;
}

/* Each action by itself, with the head of its rule: as they are matched. */
static void command_dump_add_rule(struct dump *dump, const struct rule *rule) {
    for (const struct action *action = rule->actions; action; action = action->next) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = memory_stream(&text, &size);
        print_head(out, rule);
        putc(' ', out);
        print_action(out, action, true);
        memory_stream_close(out, &text);
        command_dump_add(dump, rule->source, action->span, "rule", text);
    }
}

static void command_dump_add_guard(struct dump *dump, const struct guard *guard) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    print_guard(out, guard, true);
    memory_stream_close(out, &text);
    command_dump_add(dump, guard->source, guard->span, "never", text);
    if (guard->doubtful)
        dump->list[dump->count - 1].forbids = doubt_forbids(guard);
}

static int command_dump_by_place(const void *left, const void *right) {
    const struct statement *a = left, *b = right;
    if (a->source != b->source)
        return a->source->number < b->source->number ? -1 : 1;
    return a->line < b->line ? -1 : a->line > b->line;
}

static void command_dump_collect(struct dump *dump, const struct program *program) {
    for (size_t i = 0; i < program->rule_count; i++)
        command_dump_add_rule(dump, program->rules[i]);
    for (size_t i = 0; i < program->guard_count; i++)
        command_dump_add_guard(dump, program->guards[i]);
    if (dump->count)
        qsort(dump->list, dump->count, sizeof *dump->list, command_dump_by_place);
}

static void command_dump_print_doubt(const char *forbids) {
    if (!forbids)
        return;
    fputs(" # has an error: forbids ", stdout);
    text_print_string(stdout, forbids);
}

static void command_dump_print_text(const struct dump *dump) {
    for (size_t i = 0; i < dump->ruleset->count; i++) {
        const struct source *source = dump->ruleset->sources[i];
        printf("file %zu: ", i + 1);
        text_print_string(stdout, source->path);
        puts(source->broken ? " (left out: it has an error)" : "");
    }
    for (size_t i = 0; i < dump->count; i++) {
        text_print_string(stdout, dump->list[i].source->path);
        printf(":%zu: ", dump->list[i].line);
        text_print_string(stdout, dump->list[i].text);
        command_dump_print_doubt(dump->list[i].forbids);
        putchar('\n');
    }
    for (size_t i = 0; i < dump->ruleset->count; i++)
        if (dump->ruleset->sources[i]->guards_unknown) {
            text_print_string(stdout, dump->ruleset->sources[i]->path);
            puts(": # cannot be read: its 'never' lines are not in force");
        }
}

static struct json_object *command_dump_file_json(const struct source *source) {
    struct json_object *object = text_json_object();
    text_json_add(object, "path", text_json(source->path));
    text_json_add(object, "used", text_json_boolean(!source->broken));
    return object;
}

static struct json_object *command_dump_statement_json(const struct statement *statement) {
    struct json_object *object = text_json_object();
    text_json_add(object, "path", text_json(statement->source->path));
    text_json_add(object, "line", text_json_number((int64_t)statement->line));
    text_json_add(object, "kind", text_json(statement->kind));
    text_json_add(object, "text", text_json(statement->text));
    if (statement->forbids)
        text_json_add(object, "forbids", text_json(statement->forbids));
    return object;
}

static void command_dump_print_json(const struct dump *dump) {
    struct json_object *document = text_json_object();
    struct json_object *files = text_json_array(), *statements = text_json_array();
    for (size_t i = 0; i < dump->ruleset->count; i++)
        text_json_append(files, command_dump_file_json(dump->ruleset->sources[i]));
    for (size_t i = 0; i < dump->count; i++)
        text_json_append(statements, command_dump_statement_json(&dump->list[i]));
    text_json_add(document, "files", files);
    text_json_add(document, "statements", statements);
    text_print_json(stdout, document);
}

static int command_dump_run(const struct command *command, int argc, char **argv) {
    struct command_line line = {0};
    struct command_rules rules;
    int status;
    if (!command_parse(&line, command, argc, argv, &status))
        return status;
    if (line.word_count)
        return command_usage(command, "it takes no argument; name the directory with --rules");
    command_load_rules(&line, &rules);
    struct dump dump = {.ruleset = &rules.ruleset};
    command_dump_collect(&dump, &rules.program);
    if (line.json)
        command_dump_print_json(&dump);
    else
        command_dump_print_text(&dump);
    for (size_t i = 0; i < dump.count; i++) {
        free(dump.list[i].text);
        free(dump.list[i].forbids);
    }
    free(dump.list);
    command_finish_rules(&rules);
    return rules.have_errors ? EXIT_PROBLEM : EXIT_FINE;
}

static const struct command_option command_dump_options[] = {OPTION_RULES, OPTION_JSON, {0}};

const struct command command_dump_row = {
    .name = "dump",
    .operands = "",
    .summary = "Print the rule files and the rules as the engine reads them.",
    .notes = "",
    .options = command_dump_options,
    .run = command_dump_run,
};
