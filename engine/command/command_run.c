/* virt-rules run: what libvirt's hook starts, detached; standard input is the domain XML. */
#include "engine/command/command.h"
#include "engine/libvirt/domain_xml.h"

#include "engine/host/source_sysfs.h"
#include "engine/run/rule_errors.h"
#include "engine/run/run.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DOMAIN_XML_LIMIT = 64 * 1024 * 1024 };

struct run_options {
    const char *vm, *operation;
    const char *uuid; /* of the VM; NULL: not known */
    struct command_line line;
    struct log_writer *journal;
};

static int command_run_log_failure(const struct run_options *options, const char *message) {
    struct log_entry entry = {.vm = options->vm,
                              .uuid = options->uuid,
                              .event = options->operation,
                              .result = RESULT_FAILED,
                              .message = message};
    log_write_entry(options->journal, &entry);
    return EXIT_PROBLEM;
}

/* 0: as usual. */
static int command_run_boot_ms(void) {
    const char *text = getenv("VIRT_RULES_BOOT_MS");
    long number = text && *text ? strtol(text, NULL, 10) : 0;
    return number > 0 && number < INT_MAX ? (int)number : text && *text ? -1 : 0;
}

static int command_run_execute(const struct run_options *options, const struct event *event) {
    struct ruleset ruleset;
    struct program program;
    ruleset_init(&ruleset);
    ruleset_add_directory(&ruleset, ruleset_directory(options->line.rules));
    ruleset_load(&ruleset, NULL);
    bool wrong =
        rule_errors_log(options->journal, options->vm, options->uuid, options->operation, &ruleset);
    program_init(&program, &ruleset);
    struct host_source source = source_sysfs(options->line.sysroot);
    struct run_config config = {.program = &program,
                                .event = event,
                                .host_source = &source,
                                .state = log_write_state_directory(options->line.state),
                                .log = options->journal,
                                .clock = retry_clock(),
                                .boot_ms = command_run_boot_ms(),
                                .open_virt = virt_asker_connect};
    bool good = run_event(&config);
    program_finish(&program);
    ruleset_finish(&ruleset);
    return good && !wrong ? EXIT_FINE : EXIT_PROBLEM;
}

static int command_run_known_event(struct run_options *options, enum event_name name) {
    struct failure failure;
    size_t size = 0;
    struct domain domain;
    char *xml = command_read_all(stdin, DOMAIN_XML_LIMIT, &size);
    if (!xml) {
        char *message =
            memory_printf("the domain XML on standard input cannot be read: %s", strerror(errno));
        int status = command_run_log_failure(options, message);
        free(message);
        return status;
    }
    int status = domain_xml_parse(&domain, xml, size, &failure);
    free(xml);
    if (status < 0)
        return command_run_log_failure(options, failure.message);
    if (domain_is_called(&domain, options->vm)) {
        options->uuid = domain.uuid;
        status = command_run_execute(options, &(struct event){.name = name, .domain = &domain});
    } else {
        char *message = memory_printf("the domain XML describes VM '%s'; nothing is done",
                                      domain_label(&domain));
        status = command_run_log_failure(options, message);
        free(message);
    }
    domain_finish(&domain);
    return status;
}

/* libvirt's hook is also called when qemu, started by somebody else, is handed to libvirt (virsh
 * qemu-attach, until libvirt 6.2). There is no event for that, and nothing is wrong. */
static bool command_run_is_without_event(const char *operation) {
    return !strcmp(operation, "attach");
}

/* A newer libvirt may call the hook for more operations than this program knows. */
static int command_run_unknown_operation(const struct run_options *options) {
    char *message = memory_printf("unknown operation '%s'; nothing is done: is libvirt newer than "
                                  "this virt-rules?",
                                  options->operation);
    command_run_log_failure(options, message);
    free(message);
    return EXIT_USAGE;
}

/* The hook passes four arguments and no option. A VM may have the name "--help". */
static bool command_run_is_hook_call(int argc, char **argv) {
    return argc == 5 && *argv[1] == '-' && scanner_event_from_text(argv[2]) != EVENT_COUNT;
}

static int command_run_run(const struct command *command, int argc, char **argv) {
    struct run_options options = {.line = {.words = argv + 1, .word_count = argc - 1}};
    struct command_line *line = &options.line;
    int status = EXIT_FINE;
    if (!command_run_is_hook_call(argc, argv) && !command_parse(line, command, argc, argv, &status))
        return status;
    if (line->word_count < 2 || line->word_count > 4)
        return command_usage(command, "give a VM and an operation; libvirt's hook adds a "
                                      "suboperation and an extra argument");
    options.vm = line->words[0];
    options.operation = line->words[1];
    options.journal = log_write_open(line->state, isatty(STDERR_FILENO));
    if (!options.journal)
        return command_fail("out of memory", NULL);
    enum event_name event = scanner_event_from_text(options.operation);
    status = command_run_is_without_event(options.operation) ? EXIT_FINE
             : event == EVENT_COUNT ? command_run_unknown_operation(&options)
                                    : command_run_known_event(&options, event);
    log_write_close(options.journal);
    return status;
}

static const struct command_option command_run_options[] = {
    OPTION_RULES,
    OPTION_STATE,
    OPTION_SYSROOT,
    {0},
};

const struct command command_run_row = {
    .name = "run",
    .operands = "VM OPERATION [SUBOPERATION [EXTRA]]",
    .summary = "Handle an event of a VM; libvirt's hook calls it.",
    .notes = "Standard input is the VM's XML.\n",
    .options = command_run_options,
    .run = command_run_run,
};
