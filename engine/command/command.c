#include "engine/command/command.h"

#include "lexer/text.h"
#include "parser/suggest.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_LIMIT = 24, HELP = 1, FIRST = 256 };

int command_usage(const struct command *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *message = memory_vprintf(format, arguments);
    va_end(arguments);
    fprintf(stderr, "virt-rules %s: %s\nusage: virt-rules %s %s\n", command->name, message,
            command->name, command->usage);
    free(message);
    return EXIT_USAGE;
}

int command_fail(const char *message, const char *hint) {
    fprintf(stderr, "virt-rules: %s\n", message);
    if (hint && *hint)
        fprintf(stderr, "  hint: %s\n", hint);
    return EXIT_PROBLEM;
}

char *command_libvirt_note(const struct virt_error *error) {
    return memory_printf(VIRT_NO_ANSWER "%s", virt_error_reason(error));
}

void command_put_note(struct json_object *document, const char *note) {
    if (note)
        text_put_json(document, "note", note);
}

int command_two_vms(const char *word, const struct domain *first, const struct domain *second) {
    char *message = memory_printf("two VMs have the title '%s': '%s' (%s) and '%s' (%s)", word,
                                  first->name, first->uuid ? first->uuid : "no UUID", second->name,
                                  second->uuid ? second->uuid : "no UUID");
    int status = command_fail(message, "name it by its name or UUID");
    free(message);
    return status;
}

static void command_print_help(const struct command *command) {
    printf("virt-rules %s %s\n\n%s\n", command->name, command->usage, command->summary);
    if (*command->help)
        printf("\n%s", command->help);
}

/* Of the options that begin so: " '--strict' or '--sysroot'"; NULL when it is less than two. The
 * caller frees it. */
static char *command_begun_options(const struct command_option *options, const char *start) {
    size_t length = strcspn(start, "="), count = 0;
    char *list = memory_strdup("");
    for (; length && options->name; options++)
        if (!strncmp(options->name, start, length)) {
            char *longer = memory_printf("%s%s '--%s'", list, count++ ? " or" : "", options->name);
            free(list);
            list = longer;
        }
    if (count > 1)
        return list;
    free(list);
    return NULL;
}

/* getopt's own words lack the command and what is near. `found` and `optopt` are getopt's. */
static int command_unknown_option(const struct command *command,
                                  const struct command_option *options, const char *text,
                                  int found) {
    struct suggestion suggestion = {.word = text + strspn(text, "-")};
    if (found == ':')
        return command_usage(command, "option '%s' needs an argument", text);
    if (optopt == HELP || optopt >= FIRST)
        return command_usage(command, "option '%.*s' takes no argument", (int)strcspn(text, "="),
                             text);
    if (optopt)
        return command_usage(
            command, "unknown option '-%c'; '--' comes before a name that begins with '-'", optopt);
    char *several = command_begun_options(options, suggestion.word);
    if (several) {
        command_usage(command, "option '%s' may be%s", text, several);
        free(several);
        return EXIT_USAGE;
    }
    for (; options->name; options++)
        suggest(&suggestion, options->name);
    if (suggestion.best)
        return command_usage(command, "unknown option '%s'; did you mean '--%s'?", text,
                             suggestion.best);
    return command_usage(command, "unknown option '%s'", text);
}

/* An empty text is a variable that is not set: it must not mean this host, or the usual place. */
static int command_take_option(const struct command *command, const struct command_option *option,
                               const char *text) {
    if (option->flag)
        *option->flag = true;
    else if (option->value && !*text)
        return command_usage(command, "the argument of '--%s' is empty", option->name);
    else if (option->value)
        *option->value = text;
    else
        return option->take(option->context, text);
    return 0;
}

int command_options(const struct command *command, int argc, char **argv,
                    const struct command_option *options, int *status) {
    struct option longs[OPTION_LIMIT] = {{"help", no_argument, NULL, HELP}};
    for (int i = 0; options[i].name && i + 2 < OPTION_LIMIT; i++)
        longs[i + 1] = (struct option){
            options[i].name, options[i].flag ? no_argument : required_argument, NULL, FIRST + i};
    unsetenv("POSIXLY_CORRECT"); /* options behind names are options */
    optind = 0;
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
        *status = EXIT_FINE;
        if (found == 'h' || found == HELP) {
            command_print_help(command);
            return -1;
        }
        if (found < FIRST)
            *status = command_unknown_option(command, options, argv[optind - 1], found);
        else
            *status = command_take_option(command, &options[found - FIRST], optarg);
        if (*status)
            return -1;
    }
    return optind;
}

int command_refuse_rules(void *context, const char *text) {
    const struct command *command = context;
    (void)text;
    return command_usage(
        command, "unknown option '--rules'; name the directory as a word: virt-rules %s DIR",
        command->name);
}

bool command_has_empty_name(const struct command *command, char *const *words) {
    for (; *words; words++)
        if (!**words) {
            command_usage(command, "an empty file name");
            return true;
        }
    return false;
}

bool command_colour(FILE *out) {
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return !(no_colour && *no_colour) && !(terminal && !strcmp(terminal, "dumb")) &&
           isatty(fileno(out));
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
    diagnostic_print(&ruleset->diagnostics, stderr, command_colour(stderr));
    return diagnostic_count_errors(&ruleset->diagnostics) > 0;
}
