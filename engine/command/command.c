#include "engine/command/command.h"

#include "engine/host/names.h"
#include "engine/system/layout.h"
#include "lexer/text.h"
#include "parser/suggest.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPORTED = 3 }; /* diagnostics of a file that are printed whole before the answer */
enum { MESSAGE_INDENT = 4, HINT_INDENT = 8 };
enum { OPTION_LIMIT = 24, HELP = 1, FIRST = 256, HELP_COLUMNS = 80 };

/* --- help */

/* Puts the text after a space, or below the first argument if the line would be too long. */
static void command_add_to_usage(FILE *out, const char *text, int indent, int *column) {
    if (*column + (int)strlen(text) + 1 > HELP_COLUMNS) {
        fprintf(out, "\n%*s", indent, "");
        *column = indent;
    }
    *column += fprintf(out, " %s", text);
}

static void command_print_usage(const struct command *command, FILE *out) {
    int indent = fprintf(out, "usage: virt-rules %s", command->name), column = indent;
    if (*command->operands)
        command_add_to_usage(out, command->operands, indent, &column);
    for (const struct command_option *option = command->options; option->name; option++) {
        if (!option->help)
            continue;
        char *text = memory_printf("[--%s%s%s]", option->name, option->argument ? " " : "",
                                   option->argument ? option->argument : "");
        command_add_to_usage(out, text, indent, &column);
        free(text);
    }
    putc('\n', out);
}

static int command_option_width(const struct command_option *option) {
    return (int)(strlen("--") + strlen(option->name) +
                 (option->argument ? 1 + strlen(option->argument) : 0));
}

/* Prints the text from column `indent` to HELP_COLUMNS. */
static void command_print_words(const char *text, int indent) {
    int column = indent;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > HELP_COLUMNS) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        column += printf("%s%.*s", column > indent ? " " : "", length, text);
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void command_print_option(const struct command_option *option, int width) {
    printf("  --%s%s%s%*s  ", option->name, option->argument ? " " : "",
           option->argument ? option->argument : "", width - command_option_width(option), "");
    command_print_words(option->help, width + 4);
}

static void command_print_help(const struct command *command) {
    int width = 0;
    command_print_usage(command, stdout);
    printf("\n%s\n%s%s\n", command->summary, *command->notes ? "\n" : "", command->notes);
    for (const struct command_option *option = command->options; option->name; option++)
        if (option->help && command_option_width(option) > width)
            width = command_option_width(option);
    for (const struct command_option *option = command->options; option->name; option++)
        if (option->help)
            command_print_option(option, width);
}

/* --- messages */

void command_print_error(size_t indent, const char *start, const char *text) {
    char *line;
    size_t size;
    FILE *out = memory_stream(&line, &size);
    fputs(start, out);
    text_print_string(out, text);
    putc('\n', out);
    terminal_wrap_stream(stderr, terminal_of(stderr), indent, out, &line);
}

/* "virt-rules plan: " and the message. */
static void command_print_mistake(const struct command *command, const char *message) {
    char *start = memory_printf("virt-rules %s: ", command->name);
    command_print_error(MESSAGE_INDENT, start, message);
    free(start);
}

int command_usage(const struct command *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *message = memory_vprintf(format, arguments);
    va_end(arguments);
    command_print_mistake(command, message);
    command_print_usage(command, stderr);
    free(message);
    return EXIT_USAGE;
}

int command_fail(const char *message, const char *hint) {
    command_print_error(MESSAGE_INDENT, "virt-rules: ", message);
    if (hint && *hint) {
        char *start = memory_printf("  %s", terminal_hint(terminal_of(stderr)));
        command_print_error(HINT_INDENT, start, hint);
        free(start);
    }
    return EXIT_PROBLEM;
}

int command_failf(const char *hint, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *message = memory_vprintf(format, arguments);
    va_end(arguments);
    command_fail(message, hint);
    free(message);
    return EXIT_PROBLEM;
}

int command_two_vms(const char *title, const struct domain *first, const struct domain *second) {
    return command_failf("use its name or UUID",
                         "two VMs have the title '%s': '%s' (%s) and '%s' (%s)", title, first->name,
                         first->uuid ? first->uuid : "no UUID", second->name,
                         second->uuid ? second->uuid : "no UUID");
}

static void command_say_incomplete(const struct domain *vm, const char *name, char **note) {
    char *word = text_shell_operand(name);
    char *hint =
        memory_printf("see 'virsh domjobinfo %s', and try again when its job has ended", word);
    free(*note);
    *note = memory_printf("VM '%s' cannot be read: %s", name, vm->unreadable);
    command_fail(*note, hint);
    free(hint);
    free(word);
}

void command_complete_vms(struct domain_list *vms, const char *root, char **note) {
    struct domain_list files;
    domain_list_running_in(&files, root, NULL);
    for (size_t i = 0; i < vms->count; i++) {
        struct domain *vm = &vms->list[i], found;
        bool is_found = vm->is_unread && domain_list_take(&files, vm->uuid, &found);
        if (vm->is_unread && note)
            command_say_incomplete(vm, is_found ? found.name : vm->uuid, note);
        if (!is_found)
            continue;
        domain_finish(vm);
        *vm = found;
    }
    domain_list_finish(&files);
}

char *command_libvirt_note(const struct virt_error *error) {
    return memory_printf(VIRT_NO_ANSWER "%s", virt_error_reason(error));
}

int command_fail_virt(const struct virt_error *error, bool json) {
    if (json && (error->kind == VIRT_NO_REPLY || error->kind == VIRT_UNREACHABLE)) {
        struct json_object *document = text_json_object();
        char *note = command_libvirt_note(error);
        command_print_json(document, note);
        free(note);
    }
    return command_fail(error->failure.message, error->failure.hint);
}

void command_put_log_lines(struct json_object *array, char *lines) {
    for (char *line; (line = strsep(&lines, "\n"));) {
        struct json_object *entry = text_parse_json(line, strlen(line));
        if (entry)
            text_json_append(array, entry);
    }
}

void command_print_json(struct json_object *document, const char *note) {
    if (note)
        text_put_json(document, "note", note);
    text_print_json(stdout, document);
}

void command_put_number(struct json_object *object, const char *key, int number) {
    text_json_add(object, key, number < 0 ? NULL : text_json_number(number));
}

/* --- options */

/* The options that begin so, "'--strict' or '--sysroot'", which the caller frees; NULL when there
 * are fewer than two. */
static char *command_ambiguous_options(const struct command_option *options, const char *start) {
    size_t length = strcspn(start, "="), count = 0, size;
    char *list;
    FILE *out = memory_stream(&list, &size);
    for (; length && options->name; options++)
        if (!strncmp(options->name, start, length))
            fprintf(out, "%s'--%s'", count++ ? " or " : "", options->name);
    memory_stream_close(out, &list);
    if (count > 1)
        return list;
    free(list);
    return NULL;
}

/* One line: the usage has every option, among which the mistake is hard to see. */
__attribute__((format(printf, 2, 3))) static int command_wrong_option(const struct command *command,
                                                                      const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *message = memory_vprintf(format, arguments);
    va_end(arguments);
    memory_append(&message, "; 'virt-rules %s --help' lists the options", command->name);
    command_print_mistake(command, message);
    free(message);
    return EXIT_USAGE;
}

/* getopt's own messages have neither the command nor a suggestion. `found` and `optopt` are
 * getopt's. */
static int command_unknown_option(const struct command *command, const char *text, int found) {
    struct suggestion suggestion = {.word = text + strspn(text, "-")};
    if (found == ':')
        return command_wrong_option(command, "option '%s' needs an argument", text);
    if (optopt == HELP || optopt >= FIRST)
        return command_wrong_option(command, "option '%.*s' takes no argument",
                                    (int)strcspn(text, "="), text);
    if (optopt)
        return command_wrong_option(
            command, "unknown option '-%c'; put '--' before a name that begins with '-'", optopt);
    char *several = command_ambiguous_options(command->options, suggestion.word);
    if (several) {
        command_wrong_option(command, "option '%s' may be %s", text, several);
        free(several);
        return EXIT_USAGE;
    }
    for (const struct command_option *option = command->options; option->name; option++)
        suggest(&suggestion, option->name);
    if (suggestion.best)
        return command_wrong_option(command, "unknown option '%s'; did you mean '--%s'?", text,
                                    suggestion.best);
    return command_wrong_option(command, "unknown option '%s'", text);
}

static int command_take_option(struct command_line *line, const struct command_option *option,
                               const char *text) {
    void *field = (char *)line + option->field;
    if (option->take)
        return option->take(line, option, text);
    if (!option->argument)
        *(bool *)field = true;
    else if (!*text) /* an unset variable in a script; it must not mean the default directory */
        return command_usage(line->command, "the argument of '--%s' is empty", option->name);
    else
        *(const char **)field = text;
    return EXIT_FINE;
}

/* What getopt(3) is to know of the short forms. */
static void command_letters(const struct command_option *options, char letters[3 * OPTION_LIMIT]) {
    char *end = stpcpy(letters, ":h");
    for (; options->name; options++)
        if (options->letter) {
            *end++ = options->letter;
            end = stpcpy(end, options->argument ? ":" : "");
        }
}

/* getopt's number of the long form; what it found, unless that is the letter of an option. */
static int command_option_of_letter(const struct command_option *options, int found) {
    for (int i = 0; options[i].name; i++)
        if (options[i].letter && options[i].letter == found)
            return FIRST + i;
    return found;
}

bool command_parse(struct command_line *line, const struct command *command, int argc, char **argv,
                   int *status) {
    struct option longs[OPTION_LIMIT] = {{"help", no_argument, NULL, HELP}};
    const struct command_option *options = command->options;
    line->command = command;
    for (int i = 0; options[i].name && i + 2 < OPTION_LIMIT; i++)
        longs[i + 1] =
            (struct option){options[i].name, options[i].argument ? required_argument : no_argument,
                            NULL, FIRST + i};
    unsetenv("POSIXLY_CORRECT"); /* options after operands are options */
    optind = 0;
    opterr = 0;
    char letters[3 * OPTION_LIMIT];
    command_letters(options, letters);
    for (int found; (found = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        *status = EXIT_FINE;
        if (found == 'h' || found == HELP) {
            command_print_help(command);
            return false;
        }
        found = command_option_of_letter(options, found);
        if (found < FIRST)
            *status = command_unknown_option(command, argv[optind - 1], found);
        else
            *status = command_take_option(line, &options[found - FIRST], optarg);
        if (*status)
            return false;
    }
    line->words = argv + optind;
    line->word_count = argc - optind;
    layout_use(line->rules, line->state);
    return true;
}

int command_refuse_rules(struct command_line *line, const struct command_option *option,
                         const char *text) {
    (void)option;
    (void)text;
    return command_usage(line->command,
                         "unknown option '--rules'; name the directory without an option: "
                         "virt-rules %s DIR",
                         line->command->name);
}

bool command_has_empty_word(const struct command_line *line) {
    for (int i = 0; i < line->word_count; i++)
        if (!*line->words[i]) {
            command_usage(line->command, "argument %d is empty", i + 1);
            return true;
        }
    return false;
}

char *command_join(char *const *words, int count) {
    char *joined = memory_strdup("");
    for (int i = 0; i < count; i++)
        memory_append(&joined, "%s%s", i ? " " : "", words[i]);
    return joined;
}

char *command_quoted_line(const struct command_line *line, int count) {
    char *name = command_join(line->words, count), *word = text_shell_operand(name);
    char *rest = command_join(line->words + count, line->word_count - count);
    char *text =
        memory_printf("virt-rules %s %s%s%s", line->command->name, word, *rest ? " " : "", rest);
    free(word);
    free(name);
    free(rest);
    return text;
}

int command_too_many_vms(const struct command_line *line, int others) {
    char *quoted = command_quoted_line(line, line->word_count - others);
    int status = command_usage(line->command,
                               "too many arguments: give one VM; a name that has a space needs "
                               "quotes: %s",
                               quoted);
    free(quoted);
    return status;
}

bool command_has_one_vm(const struct command_line *line, int *status) {
    *status = EXIT_USAGE;
    if (!line->word_count)
        command_usage(line->command, "give a VM");
    else if (line->word_count > 1)
        command_too_many_vms(line, 0);
    else
        return !command_has_empty_word(line);
    return false;
}

uint32_t command_read_wait(const struct command *command, const char *text) {
    uint32_t milliseconds = 0;
    if (!value_read_duration(&milliseconds, text) || !milliseconds)
        command_usage(command, "'%s' is not a duration: write " DURATION_FORMS, text);
    return milliseconds;
}

/* --- what several commands read */

int command_load_host(const struct host_source *source, struct host *host) {
    struct failure failure;
    if (source->load(source, host, &failure) < 0)
        return command_fail(failure.message,
                            "--sysroot takes a directory that holds sys/ and proc/");
    names_complete(host);
    return EXIT_FINE;
}

/* Of a file with many mistakes only the first error, in a line: a person asked for something else,
 * and 'check' shows them. */
static void command_report_file(struct diagnostic *list, size_t count) {
    size_t first = 0;
    while (first + 1 < count && list[first].severity != SEVERITY_ERROR)
        first++;
    char *line = diagnostic_line(&list[first]), *path = text_shell_operand(list->source->path);
    memory_append(&line, " (and %zu more: 'virt-rules check %s')", count - 1, path);
    command_print_error(MESSAGE_INDENT, "", line);
    free(path);
    free(line);
}

static void command_report_some(const struct diagnostics *all) {
    for (size_t i = 0, end; i < all->count; i = end) {
        end = i + 1;
        while (end < all->count && all->list[end].source == all->list[i].source)
            end++;
        struct diagnostics file = {.list = all->list + i, .count = end - i};
        if (file.count > REPORTED)
            command_report_file(file.list, file.count);
        else
            diagnostic_print(&file, stderr, terminal_of(stderr));
    }
}

void command_load_rules_silently(const struct command_line *line, struct command_rules *rules) {
    program_load(&rules->program, &rules->ruleset, ruleset_directory(line->rules));
    rules->have_errors = diagnostic_count_errors(&rules->ruleset.diagnostics) > 0;
}

void command_load_rules(const struct command_line *line, struct command_rules *rules) {
    command_load_rules_silently(line, rules);
    command_report_some(&rules->ruleset.diagnostics);
}

void command_finish_rules(struct command_rules *rules) {
    program_finish(&rules->program);
    ruleset_finish(&rules->ruleset);
}

char *command_read_all(FILE *in, size_t limit, size_t *size) {
    size_t room = 65536;
    char *text = memory_resize(NULL, room, 1);
    *size = 0;
    for (size_t got; (got = fread(text + *size, 1, room - *size, in)) > 0;) {
        *size += got;
        if (*size == room)
            text = memory_resize(text, room *= 2, 1);
        if (*size > limit)
            break;
    }
    if (!ferror(in) && *size <= limit)
        return text;
    if (!ferror(in))
        errno = EFBIG;
    free(text);
    return NULL;
}

bool command_report(const struct ruleset *ruleset) {
    diagnostic_print(&ruleset->diagnostics, stderr, terminal_of(stderr));
    return diagnostic_count_errors(&ruleset->diagnostics) > 0;
}
