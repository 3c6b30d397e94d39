#include "engine/command/rule_switch.h"

#include "engine/command/rule_change.h"
#include "engine/rules/match.h"
#include "engine/rules/rule_file.h"
#include "lexer/text.h"
#include "parser/disable.h"
#include "parser/resolve.h"
#include "parser/suggest.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEXT_INDENT = 6 };

static const char RULES[] = ".rules";

struct rule_switch {
    struct command_line line;
    bool off;
    const char *directory; /* of the rules */
    char *path;            /* of the file as it is called now */
    size_t at;             /* the line; 0: the whole file */
    bool is_disabled;      /* the whole file */
    struct source source;
    struct disable_part part;
    char *text;           /* the rule, on one line; NULL: the whole file */
    struct syntax syntax; /* of the source */
    char **guards;        /* what is turned off or on of these: the text of each 'never' */
    size_t guard_count;
    char **next; /* commands to go on with */
    size_t next_count;
    bool of_host; /* a rule of the host is among it */
    size_t errors_before;
};

const struct command_option rule_switch_options[] = {OPTION_RULES, OPTION_JSON, {0}};

/* --- which file and line */

/* Cuts ":LINE" off, or ":LINE:COLUMN" as 'check' prints it. Returns the line; 0: there is none. */
static uint32_t rule_switch_cut_line(char *word) {
    uint32_t line = 0, before = 0;
    char *colon = strrchr(word, ':');
    if (colon && !colon[1]) { /* "50.rules:3:", a line of check's copied */
        *colon = '\0';
        colon = strrchr(word, ':');
    }
    if (!colon || !text_parse_decimal(colon + 1, UINT32_MAX, &line))
        return 0;
    *colon = '\0';
    colon = strrchr(word, ':');
    if (!colon || !text_parse_decimal(colon + 1, UINT32_MAX, &before))
        return line;
    *colon = '\0';
    return before;
}

static bool rule_switch_is_there(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0;
}

/* The file of that name with or without its endings: the one that the command can change first. */
static bool rule_switch_try(struct rule_switch *change, const char *base) {
    static const char *const active_first[] = {"", ".rules", ".disabled", ".rules.disabled"};
    for (size_t i = 0; i < 4; i++) {
        const char *ending = active_first[change->off || change->at ? i : (i + 2) % 4];
        char *path = memory_printf("%s%s", base, ending);
        if (rule_switch_is_there(path)) {
            change->path = path;
            return true;
        }
        free(path);
    }
    return false;
}

static bool rule_switch_try_word(struct rule_switch *change, const char *word) {
    const char *slash = text_ends_with(change->directory, "/") ? "" : "/";
    if (strchr(word, '/'))
        return rule_switch_try(change, word);
    char *base = memory_printf("%s%s%s", change->directory, slash, word);
    bool found = rule_switch_try(change, base);
    free(base);
    /* A bare name of another directory, the one that the person is in. */
    return found || ((text_ends_with(word, RULES) || text_ends_with(word, RULE_FILE_DISABLED)) &&
                     rule_switch_try(change, word));
}

static int rule_switch_is_rule_file(const struct dirent *entry) {
    return *entry->d_name != '.' && (text_ends_with(entry->d_name, RULES) ||
                                     text_ends_with(entry->d_name, ".rules" RULE_FILE_DISABLED));
}

/* With the file that is nearest to the word, or the names of all. */
static int rule_switch_unknown_file(const struct rule_switch *change, const char *word) {
    struct dirent **entries = NULL;
    struct suggestion suggestion = {.word = word};
    char *names = memory_strdup(""), *hint;
    int count = scandir(change->directory, &entries, rule_switch_is_rule_file, alphasort);
    for (int i = 0; i < count; i++) {
        *strstr(entries[i]->d_name, RULES) = '\0';
        text_list(&names, i + 1 == count, " and ", "'%s'", entries[i]->d_name);
        suggest(&suggestion, entries[i]->d_name);
    }
    for (int i = 0; i < count && !suggestion.best; i++)
        if (strstr(entries[i]->d_name, word))
            suggestion.best = entries[i]->d_name;
    hint = suggestion.best ? memory_printf("did you mean '%s'?", suggestion.best)
           : count > 0     ? memory_printf("it has %s", names)
                           : memory_strdup("it has no rule file");
    int status = command_failf(hint, "no rule file '%s' in %s", word, change->directory);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free((void *)entries);
    free(names);
    free(hint);
    return status;
}

static int rule_switch_find_file(struct rule_switch *change) {
    char *word = memory_strdup(change->line.words[0]);
    int status = EXIT_FINE;
    if (!rule_switch_try_word(change, word)) {
        bool has_line = strchr(word, ':') != NULL;
        change->at = rule_switch_cut_line(word);
        if (!rule_switch_try_word(change, word))
            status = rule_switch_unknown_file(change, word);
        else if (has_line && !change->at)
            status =
                command_failf("lines count from 1", "'%s' names no line", change->line.words[0]);
    }
    free(word);
    return status;
}

/* A disabled file is known by its name; others that do not end in ".rules" are not rule files. */
static int rule_switch_check_name(struct rule_switch *change) {
    struct stat status;
    const char *name = text_base_name(change->path);
    change->is_disabled = text_ends_with(name, RULE_FILE_DISABLED);
    if (stat(change->path, &status) == 0 && S_ISDIR(status.st_mode))
        return command_failf("name one of its files", "%s is a directory", change->path);
    if (change->is_disabled || (text_ends_with(name, RULES) && *name != '.'))
        return EXIT_FINE;
    return command_failf("a rule file's name ends in '.rules' and does not begin with a dot; a "
                         "file with another name is not read",
                         "%s is not a rule file", change->path);
}

static void rule_switch_parse(struct rule_switch *change) {
    struct diagnostics mistakes = {0}; /* 'check' reports them */
    syntax_parse(&change->syntax, &change->source, &mistakes);
    resolve_names(&change->syntax, &mistakes);
    diagnostic_finish_list(&mistakes);
}

static int rule_switch_read(struct rule_switch *change) {
    struct failure failure;
    if (source_read(&change->source, change->path, TRUST_ANY, NULL, &failure) < 0)
        return command_failf(failure.hint, "%s %s", change->path, failure.message);
    rule_switch_parse(change);
    return EXIT_FINE;
}

static int rule_switch_find_part(struct rule_switch *change) {
    size_t count = disable_line_count(&change->source);
    if (change->at > count)
        return command_failf(NULL, "%s has only %zu line%s", change->path, count,
                             count == 1 ? "" : "s");
    change->part = disable_find(&change->source, change->at);
    if (change->part.state == DISABLE_NOTHING)
        return command_failf(change->off ? "name a line of the rule"
                                         : "'virt-rules disable' marks what it turns off with "
                                           "'#disabled:'; remove another '#' in an editor",
                             "line %zu of %s has no rule", change->at, change->path);
    change->text = disable_statement(&change->source, &change->part);
    return EXIT_FINE;
}

/* --- what it means for the VMs */

static void rule_switch_add(char ***list, size_t *count, char *text) {
    for (size_t i = 0; i < *count; i++)
        if (!strcmp((*list)[i], text)) {
            free(text);
            return;
        }
    *list = memory_grow((void *)*list, *count, sizeof **list);
    (*list)[(*count)++] = text;
}

static bool rule_switch_concerns(const struct rule_switch *change, struct span span) {
    return !change->at ||
           (change->part.span.start <= span.start && span.end <= change->part.span.end);
}

/* A definition keeps a device until the rules are applied to it, a running VM until somebody takes
 * it out; what is turned on is applied in both cases. */
static void rule_switch_look_at_action(struct rule_switch *change, const struct rule *rule,
                                       const struct action *action) {
    char *vm = rule_change_vm_word(rule->vms);
    bool is_only_defined = match_rule_names_event(rule, EVENT_DEFINED) && !rule->events->next;
    if (!change->off || match_rule_names_event(rule, EVENT_DEFINED))
        rule_switch_add(&change->next, &change->next_count,
                        memory_printf("virt-rules apply %s", vm));
    for (const struct target *target = action->targets; target; target = target->next) {
        char *device = rule_change_device_word(target);
        if (change->off && !is_only_defined)
            rule_switch_add(&change->next, &change->next_count,
                            memory_printf("virt-rules detach %s %s", vm, device));
        free(device);
    }
    free(vm);
}

static void rule_switch_look_at_rule(struct rule_switch *change, const struct rule *rule) {
    bool whole = rule_switch_concerns(change, rule->span);
    for (const struct action *action = rule->actions; action; action = action->next) {
        if (!whole && !rule_switch_concerns(change, action->span))
            continue;
        change->of_host |= !rule->vms;
        if (rule->vms && action->verb == VERB_ATTACH)
            rule_switch_look_at_action(change, rule, action);
    }
}

/* Of the text in which the rules are rules: a disabled line is one only when it is turned on. */
static void rule_switch_look(struct rule_switch *change) {
    for (const struct rule *rule = change->syntax.rules; rule; rule = rule->next)
        rule_switch_look_at_rule(change, rule);
    for (const struct guard *guard = change->syntax.guards; guard; guard = guard->next)
        if (rule_switch_concerns(change, guard->span))
            rule_switch_add(&change->guards, &change->guard_count,
                            program_text(guard->source, guard->span));
}

/* --- doing it */

/* Returns 0, 1 when the new name is taken, or -1. */
static int rule_switch_rename(struct rule_switch *change, struct failure *failure) {
    char *now = change->off ? memory_printf("%s" RULE_FILE_DISABLED, change->path)
                            : memory_strndup(change->path,
                                             strlen(change->path) - strlen(RULE_FILE_DISABLED));
    int result = rule_file_rename(change->path, now, failure);
    if (result > 0) {
        failure_set(failure, "%s is there already", now);
        failure_hint(failure, "compare the two, and remove or rename one");
    }
    if (result) {
        free(now);
        return -1;
    }
    free(change->path);
    change->path = now;
    return 0;
}

/* The rules of the text as it is now are those that were turned on. */
static int rule_switch_rewrite(struct rule_switch *change, struct failure *failure) {
    size_t size = 0;
    char *text = disable_apply(&change->source, &change->part, &size);
    int result = rule_file_replace(&change->source, text, size, failure);
    if (result == 0 && !change->off) {
        source_finish(&change->source);
        source_from_text(&change->source, change->path, text, size);
        syntax_finish(&change->syntax);
        syntax_init(&change->syntax);
        rule_switch_parse(change);
        change->part = disable_find(&change->source, change->part.first);
    }
    free(text);
    return result;
}

static bool rule_switch_is_in_directory(const struct rule_switch *change) {
    struct stat one, other;
    char *directory = rule_file_directory_of(change->path);
    bool same = stat(directory, &one) == 0 && stat(change->directory, &other) == 0 &&
                one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    free(directory);
    return same;
}

/* All rules of the directory; of a file elsewhere its own. */
static void rule_switch_load(const struct rule_switch *change, struct ruleset *ruleset) {
    ruleset_init(ruleset);
    if (rule_switch_is_in_directory(change))
        ruleset_add_directory(ruleset, change->directory);
    else if (!text_ends_with(change->path, RULE_FILE_DISABLED))
        ruleset_add_path(ruleset, change->path);
    ruleset_load(ruleset, NULL);
}

/* Without those of a file that is turned off. */
static size_t rule_switch_count_errors(const struct rule_switch *change) {
    struct ruleset ruleset;
    size_t errors = 0;
    rule_switch_load(change, &ruleset);
    for (size_t i = 0; i < ruleset.diagnostics.count; i++) {
        const struct diagnostic *one = &ruleset.diagnostics.list[i];
        errors += one->severity == SEVERITY_ERROR &&
                  (change->at || one->source->inode != change->source.inode);
    }
    ruleset_finish(&ruleset);
    return errors;
}

static bool rule_switch_is_done(const struct rule_switch *change) {
    bool is_off = change->at ? change->part.state == DISABLE_DISABLED : change->is_disabled;
    return is_off == change->off;
}

/* --- what is said */

static void rule_switch_say(FILE *out, const char *format, const char *text) {
    const char *place = strchr(format, '%');
    fprintf(out, "%.*s", (int)(place - format), format);
    text_print_string(out, text);
    fprintf(out, "%s\n", place + 2);
}

static void rule_switch_print_place(const struct rule_switch *change, FILE *out, const char *path) {
    text_print_string(out, path);
    if (change->at)
        fprintf(out, ":%zu", change->part.first);
}

static void rule_switch_print_result(const struct rule_switch *change, FILE *out,
                                     const char *before, bool changed) {
    fprintf(out, "%s%s ", changed ? "" : "already ", change->off ? "disabled" : "enabled");
    rule_switch_print_place(change, out, change->at || !changed ? change->path : before);
    fputs(": ", out);
    if (change->at)
        text_print_string(out, change->text);
    else if (!changed)
        fputs(change->off ? "its name ends in '.disabled', so it is not read" : "it is read", out);
    else
        rule_switch_say(out, change->off ? "it is %s now, and is not read" : "it is %s now",
                        change->path);
    if (change->at || !changed)
        putc('\n', out);
}

static void rule_switch_print_back(const struct rule_switch *change, FILE *out) {
    char *place = change->at ? memory_printf("%s:%zu", change->path, change->part.first)
                             : memory_strndup(change->path,
                                              strlen(change->path) - strlen(RULE_FILE_DISABLED));
    char *word = text_shell_operand(place);
    rule_switch_say(out, "  to turn it on again: virt-rules enable %s", word);
    free(word);
    free(place);
}

static void rule_switch_print_next(const struct rule_switch *change, FILE *out) {
    for (size_t i = 0; i < change->guard_count; i++)
        rule_switch_say(out, change->off ? "  no longer guarded: %s" : "  guarded again: %s",
                        change->guards[i]);
    if (change->of_host)
        fprintf(out, "%s\n",
                change->off ? "  the host keeps what its rules have set until it boots"
                            : "  a rule of the host counts when the host boots: virt-rules boot");
    if (change->next_count)
        fprintf(out, "%s\n",
                change->off ? "  VMs keep the devices that they have; to take them out:"
                            : "  VMs that run get their devices with:");
    for (size_t i = 0; i < change->next_count; i++)
        rule_switch_say(out, "    %s", change->next[i]);
    if (change->off)
        rule_switch_print_back(change, out);
}

/* In lines of the terminal's width. */
static void rule_switch_print(const struct rule_switch *change, const char *before, bool changed) {
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    rule_switch_print_result(change, out, before, changed);
    if (changed)
        rule_switch_print_next(change, out);
    terminal_wrap_stream(stdout, terminal_of(stdout), NEXT_INDENT, out, &text);
    fflush(stdout);
}

static struct json_object *rule_switch_json_list(char *const *texts, size_t count) {
    struct json_object *list = text_json_array();
    for (size_t i = 0; i < count; i++)
        text_json_append(list, text_json(texts[i]));
    return list;
}

static void rule_switch_print_json(const struct rule_switch *change, bool changed,
                                   const struct diagnostics *diagnostics) {
    struct json_object *document = text_json_object();
    text_put_json(document, "file", change->path);
    text_json_add(document, "line",
                  change->at ? text_json_number((int64_t)change->part.first) : NULL);
    text_put_json(document, "text", change->text);
    text_json_add(document, "disabled", text_json_boolean(change->off));
    text_json_add(document, "changed", text_json_boolean(changed));
    text_json_add(document, "guards", rule_switch_json_list(change->guards, change->guard_count));
    text_json_add(document, "next", rule_switch_json_list(change->next, change->next_count));
    text_json_add(document, "diagnostics", diagnostic_list_json(diagnostics));
    command_print_json(document, NULL);
}

/* What 'check' says of the rules as they are now: all that it finds when something is turned on;
 * when something is turned off, only if errors follow from that. */
static int rule_switch_report(const struct rule_switch *change, const char *before, bool changed) {
    struct ruleset ruleset;
    rule_switch_load(change, &ruleset);
    size_t errors = diagnostic_count_errors(&ruleset.diagnostics);
    bool is_worse = change->off ? errors > change->errors_before : errors > 0;
    if (change->line.json) {
        rule_switch_print_json(change, changed, &ruleset.diagnostics);
    } else {
        rule_switch_print(change, before, changed);
    }
    if (!change->line.json && (is_worse || !change->off))
        command_report(&ruleset);
    if (!change->line.json && is_worse && change->off)
        command_fail("other rules have an error without it, and their files count no longer",
                     "turn it on again, or correct them");
    else if (!change->line.json && !change->off && !errors &&
             !diagnostic_count_warnings(&ruleset.diagnostics))
        puts("  check: no mistake");
    ruleset_finish(&ruleset);
    return is_worse ? EXIT_PROBLEM : EXIT_FINE;
}

static int rule_switch_do(struct rule_switch *change) {
    struct failure failure;
    bool changed = !rule_switch_is_done(change);
    char *before = memory_strdup(change->path);
    int result = 0, status;
    change->errors_before = change->off ? rule_switch_count_errors(change) : 0;
    if (changed && change->off)
        rule_switch_look(change);
    if (changed)
        result = change->at ? rule_switch_rewrite(change, &failure)
                            : rule_switch_rename(change, &failure);
    if (changed && !change->off && result == 0)
        rule_switch_look(change);
    status = result < 0 ? command_fail(failure.message, failure.hint)
                        : rule_switch_report(change, before, changed);
    free(before);
    return status;
}

/* The file whose text is replaced may be behind a link. */
static bool rule_switch_is_allowed(const struct rule_switch *change, int argc, char **argv) {
    char *target = change->at ? realpath(change->path, NULL) : NULL;
    char *directory = rule_file_directory_of(target ? target : change->path);
    bool allowed = rule_change_is_allowed(&change->line, directory, argc, argv);
    free(directory);
    free(target);
    return allowed;
}

static int rule_switch_run_parsed(struct rule_switch *change, int argc, char **argv) {
    int status = rule_switch_find_file(change);
    if (status == EXIT_FINE)
        status = rule_switch_check_name(change);
    if (status == EXIT_FINE)
        status = rule_switch_read(change);
    if (status == EXIT_FINE && change->at)
        status = rule_switch_find_part(change);
    if (status != EXIT_FINE)
        return status;
    if (change->at && change->is_disabled && !change->off) {
        char *file = text_shell_operand(change->path);
        char *hint = memory_printf("first 'virt-rules enable %s'", file);
        command_failf(hint, "%s is disabled as a whole", change->path);
        free(hint);
        free(file);
        return EXIT_PROBLEM;
    }
    if (!rule_switch_is_done(change) && !rule_switch_is_allowed(change, argc, argv))
        return EXIT_PROBLEM;
    return rule_switch_do(change);
}

static void rule_switch_free(char **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free((void *)list);
}

int rule_switch_run(const struct command *command, int argc, char **argv, bool off) {
    struct rule_switch change = {.off = off};
    int status;
    if (!command_parse(&change.line, command, argc, argv, &status))
        return status;
    if (!change.line.word_count)
        return command_usage(command, "give a rule file, or FILE:LINE");
    if (change.line.word_count > 1)
        return command_usage(command, "too many arguments: give one file");
    if (command_has_empty_word(&change.line))
        return EXIT_USAGE;
    change.directory = ruleset_directory(change.line.rules);
    syntax_init(&change.syntax);
    status = rule_switch_run_parsed(&change, argc, argv);
    syntax_finish(&change.syntax);
    source_finish(&change.source);
    rule_switch_free(change.guards, change.guard_count);
    rule_switch_free(change.next, change.next_count);
    free(change.text);
    free(change.path);
    return status;
}
