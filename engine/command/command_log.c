/* virt-rules log: what was done for the VMs, read from the log and followed as it grows. */
#include "engine/command/command.h"

#include "engine/model/domain.h"
#include "engine/state/log_read.h"
#include "lexer/text.h"
#include "parser/suggest.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const char GREEN[] = "\033[32m", YELLOW[] = "\033[33m", RED[] = "\033[31m",
                  PLAIN[] = "\033[0m";

enum {
    PART = 4096,           /* bytes that a writable pipe takes at once: PIPE_BUF */
    FULL_PAGE = 64 * 1024, /* of output, buffered while there is more to read */
    POLL_MS = 1000,        /* where inotify does not work */
};

struct log_view {
    struct command_line line;
    const char *vm;      /* as typed; NULL: every VM */
    char *uuid;          /* of the VM that is meant; NULL: not known yet */
    bool by_uuid;        /* it is what was typed */
    bool reported_other; /* another VM also had the name: that was reported */
    bool follow, colour;
    struct log_reader *reader;
    struct log_line *seen; /* one of each VM that is not asked for, to suggest its name */
    size_t seen_count;
    size_t shown;
    int signals; /* a descriptor; -1: they end the program by themselves */
    FILE *page;  /* output that is not written yet */
    char *text;
    size_t size;
};

/* --- one line */

static const char *command_log_colour_of(const char *result) {
    if (!strcmp(result, "failed") || !strcmp(result, "refused"))
        return RED;
    return !strcmp(result, "absent") ? YELLOW : GREEN;
}

static void command_log_print_cell(const struct log_view *log, const char *text, size_t width,
                                   const char *colour) {
    char *cell = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&cell, &size);
    text_escape(out, text ? text : "-", text ? strlen(text) : 1);
    memory_stream_close(out, &cell);
    size_t used = text_width(cell, size);
    bool painted = colour && log->colour;
    fprintf(log->page, "%s%s%s%*s  ", painted ? colour : "", cell, painted ? PLAIN : "",
            used < width ? (int)(width - used) : 0, "");
    free(cell);
}

static void command_log_print_entry(const struct log_view *log, const struct log_line *entry) {
    char *time = entry->time ? log_read_time_text(entry->time) : NULL;
    const char *message = entry->message ? entry->message : "-";
    command_log_print_cell(log, time, 19, NULL);
    command_log_print_cell(log, entry->vm, 14, NULL);
    command_log_print_cell(log, entry->event, 9, NULL);
    command_log_print_cell(log, entry->action, 6, NULL);
    command_log_print_cell(log, entry->device, 22, NULL);
    command_log_print_cell(log, entry->result, 8,
                           entry->result ? command_log_colour_of(entry->result) : NULL);
    text_escape(log->page, message, strlen(message));
    if (entry->rule) {
        fputs(" (", log->page);
        text_escape(log->page, entry->rule, strlen(entry->rule));
        putc(')', log->page);
    }
    putc('\n', log->page);
    free(time);
}

/* For a program every line is an object with the same keys. */
static void command_log_print_broken_json(const struct log_view *log, const char *line,
                                          size_t size) {
    static const char *const keys[] = {"time", "vm",     "event",   "action", "device",
                                       "rule", "result", "message", "uuid"};
    struct json_object *object = text_json_object();
    char *text = memory_zalloc(size + 1);
    memcpy(text, line, size);
    for (size_t i = 0; i < size; i++)
        if (!text[i])
            text[i] = '?'; /* a text ends there */
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        text_json_add(object, keys[i], NULL);
    text_put_json(object, "broken", text);
    fprintf(log->page, "%s\n", text_json_line(object));
    json_object_put(object);
    free(text);
}

static bool command_log_has_text(const char *line, size_t size, const char *text) {
    return text && memmem(line, size, text, strlen(text));
}

/* A line that a crash cut short may still be about the VM. */
static void command_log_print_broken(struct log_view *log, const char *line, size_t size) {
    if (!size || (log->vm && !command_log_has_text(line, size, log->vm) &&
                  !command_log_has_text(line, size, log->uuid)))
        return;
    log->shown++;
    if (log->line.json) {
        command_log_print_broken_json(log, line, size);
    } else {
        text_escape(log->page, line, size);
        putc('\n', log->page);
    }
}

static void command_log_keep_name(struct log_view *log, struct log_line *entry) {
    for (size_t i = 0; i < log->seen_count; i++)
        if (!strcmp(log->seen[i].vm, entry->vm)) {
            log_read_finish_line(entry);
            return;
        }
    log->seen = memory_grow(log->seen, log->seen_count, sizeof *log->seen);
    log->seen[log->seen_count++] = *entry;
}

/* --- which VM */

static bool command_log_is_called(const struct log_view *log, const struct log_line *entry) {
    return entry->vm && log->vm &&
           (!strcmp(entry->vm, log->vm) ||
            (log->by_uuid && log->uuid && !strcmp(entry->vm, log->uuid)));
}

/* The log has the VM's UUID and what people called it at that time. A name stands for the first VM
 * that had it; its lines under other titles count, too. Lines of older versions have no UUID. */
static bool command_log_is_wanted(struct log_view *log, const struct log_line *entry) {
    if (!log->vm)
        return true;
    if (entry->uuid && log->uuid && !strcmp(entry->uuid, log->uuid))
        return true;
    if (!entry->uuid || !command_log_is_called(log, entry) || log->by_uuid)
        return !entry->uuid && command_log_is_called(log, entry);
    if (!log->uuid) {
        log->uuid = memory_strdup(entry->uuid);
        return true;
    }
    if (!log->reported_other) {
        fputs("virt-rules: VM ", stderr);
        text_print_string(stderr, entry->uuid);
        fputs(" also had the name '", stderr);
        text_print_string(stderr, log->vm);
        fputs("'; its lines are left out\n", stderr);
    }
    log->reported_other = true;
    return false;
}

/* The VMs in the log that had the name. */
static void command_log_find_vms(const struct log_view *log, char ***uuids, size_t *count) {
    struct log_reader *reader = log_read_open(log->line.state, false);
    const char *line;
    size_t size;
    while (log_read_next(reader, &line, &size)) {
        struct log_line entry;
        if (!command_log_has_text(line, size, "\"uuid\"") || !log_read_parse(&entry, line, size))
            continue;
        size_t i = 0;
        while (i < *count && entry.uuid && strcmp((*uuids)[i], entry.uuid) != 0)
            i++;
        if (entry.uuid && command_log_is_called(log, &entry) && i == *count) {
            *uuids = memory_grow((void *)*uuids, *count, sizeof **uuids);
            (*uuids)[(*count)++] = memory_strdup(entry.uuid);
        }
        log_read_finish_line(&entry);
    }
    log_read_close(reader);
}

static int command_log_report_several(const struct log_view *log, char *const *uuids,
                                      size_t count) {
    char *list = memory_strdup(uuids[0]);
    for (size_t i = 1; i < count; i++) {
        char *longer = memory_printf("%s, %s", list, uuids[i]);
        free(list);
        list = longer;
    }
    int status = command_failf("use the UUID of one of them", "%zu VMs had the name '%s': %s",
                               count, log->vm, list);
    free(list);
    return status;
}

/* Finds the UUID for what was typed. */
static int command_log_choose_vm(struct log_view *log) {
    struct domain typed;
    char **uuids = NULL;
    size_t count = 0;
    int status = EXIT_FINE;
    if (!log->vm)
        return EXIT_FINE;
    domain_from_name(&typed, log->vm);
    if (typed.uuid) {
        log->uuid = memory_strdup(typed.uuid);
        log->by_uuid = true;
    } else {
        command_log_find_vms(log, &uuids, &count);
        if (count > 1)
            status = command_log_report_several(log, uuids, count);
        else if (count == 1)
            log->uuid = memory_strdup(uuids[0]);
    }
    for (size_t i = 0; i < count; i++)
        free(uuids[i]);
    free((void *)uuids);
    domain_finish(&typed);
    return status;
}

static void command_log_take_line(struct log_view *log, const char *line, size_t size) {
    struct log_line entry;
    if (!log_read_parse(&entry, line, size)) {
        command_log_print_broken(log, line, size);
        return;
    }
    if (!command_log_is_wanted(log, &entry)) {
        if (entry.vm)
            command_log_keep_name(log, &entry);
        else
            log_read_finish_line(&entry);
        return;
    }
    log->shown++;
    if (log->line.json)
        fprintf(log->page, "%.*s\n", (int)size, line);
    else
        command_log_print_entry(log, &entry);
    log_read_finish_line(&entry);
}

/* --- output: a pager that stopped reading must not delay a signal */

enum log_output { GOES_ON, ENDS_WELL, ENDS_BADLY };

static enum log_output command_log_write_part(const char **text, size_t *left) {
    ssize_t done = write(STDOUT_FILENO, *text, *left < PART ? *left : PART);
    if (done < 0)
        return errno == EINTR || errno == EAGAIN ? GOES_ON
               : errno == EPIPE                  ? ENDS_WELL
                                                 : ENDS_BADLY;
    *text += done;
    *left -= (size_t)done;
    return GOES_ON;
}

static enum log_output command_log_write_all(const struct log_view *log, const char *text,
                                             size_t left) {
    while (left) {
        struct pollfd ready[] = {{STDOUT_FILENO, POLLOUT, 0}, {log->signals, POLLIN, 0}};
        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            return ENDS_BADLY;
        if (ready[1].revents)
            return ENDS_WELL;
        enum log_output outcome = command_log_write_part(&text, &left);
        if (outcome != GOES_ON)
            return outcome;
    }
    return GOES_ON;
}

static void command_log_open_page(struct log_view *log) {
    log->page = memory_stream(&log->text, &log->size);
}

static enum log_output command_log_write_page(struct log_view *log) {
    memory_stream_close(log->page, &log->text);
    enum log_output outcome = command_log_write_all(log, log->text, log->size);
    int error = errno;
    free(log->text);
    command_log_open_page(log);
    errno = error;
    return outcome;
}

static enum log_output command_log_read_all(struct log_view *log) {
    const char *line;
    size_t size;
    while (log_read_next(log->reader, &line, &size)) {
        command_log_take_line(log, line, size);
        if (ftell(log->page) < FULL_PAGE)
            continue;
        enum log_output outcome = command_log_write_page(log);
        if (outcome != GOES_ON)
            return outcome;
    }
    return command_log_write_page(log);
}

/* --- waiting for more */

/* A descriptor that is readable when something in the directory changes, or -1. */
static int command_log_watch(const struct log_view *log) {
    int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notify >= 0 && inotify_add_watch(notify, log_read_directory(log->reader),
                                         IN_MODIFY | IN_CREATE | IN_MOVE | IN_DELETE_SELF |
                                             IN_MOVE_SELF | IN_ONLYDIR) >= 0)
        return notify;
    if (notify >= 0)
        close(notify);
    return -1;
}

/* Returns true when the directory itself was removed or replaced. */
static bool command_log_read_changes(int notify) {
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool gone = false;
    for (ssize_t size; (size = read(notify, buffer, sizeof buffer)) > 0;)
        for (ssize_t at = 0; at < size;) {
            struct inotify_event event;
            memcpy(&event, buffer + at, sizeof event);
            gone |= (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0;
            at += (ssize_t)sizeof event + (ssize_t)event.len;
        }
    return gone;
}

/* The reader may close the pipe while there is nothing to write. */
static enum log_output command_log_wait_for_more(const struct log_view *log, int notify) {
    struct pollfd ready[] = {{STDOUT_FILENO, 0, 0}, {log->signals, POLLIN, 0}, {notify, POLLIN, 0}};
    int count = poll(ready, 3, notify < 0 ? POLL_MS : -1);
    if (count < 0 && errno != EINTR)
        return ENDS_BADLY;
    return count > 0 && (ready[0].revents || ready[1].revents) ? ENDS_WELL : GOES_ON;
}

/* The watch is set up before the log is read, so that no line is missed in between. */
static enum log_output command_log_follow(struct log_view *log) {
    int notify = -1;
    enum log_output outcome = GOES_ON;
    while (outcome == GOES_ON) {
        if (notify < 0)
            notify = command_log_watch(log);
        outcome = command_log_read_all(log);
        if (outcome == GOES_ON)
            outcome = command_log_wait_for_more(log, notify);
        if (notify >= 0 && command_log_read_changes(notify)) {
            close(notify);
            notify = -1;
        }
    }
    if (notify >= 0)
        close(notify);
    return outcome;
}

static int command_log_catch_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* --- all of it */

static int command_log_report_failure(const struct log_view *log) {
    int error = log_read_error(log->reader);
    return command_failf(error == EACCES || error == EPERM ? "run as root" : NULL,
                         "the log %s cannot be read: %s", log_read_path(log->reader),
                         error == EINVAL ? "it is not a file" : strerror(error));
}

/* Reports on stderr why nothing was printed. */
static void command_log_report_nothing_there(const struct log_view *log) {
    struct suggestion suggestion = {.word = log->vm};
    if (!log_read_found(log->reader)) {
        fprintf(stderr,
                "virt-rules: there is no log yet: %s is created when a rule first does something "
                "for a VM%s\n",
                log_read_path(log->reader), log->follow ? "; waiting for it" : "");
        return;
    }
    if (!log->vm) {
        fprintf(stderr, "virt-rules: the log %s is empty%s\n", log_read_path(log->reader),
                log->follow ? "; waiting for more" : "");
        return;
    }
    for (size_t i = 0; i < log->seen_count; i++)
        suggest(&suggestion, log->seen[i].vm);
    fputs("virt-rules: the log has no line about VM '", stderr);
    text_print_string(stderr, log->vm);
    fputs(log->follow ? "'; waiting for it" : "'", stderr);
    if (suggestion.best) {
        fputs("; did you mean '", stderr);
        text_print_string(stderr, suggestion.best);
        fputs("'?", stderr);
    }
    putc('\n', stderr);
}

static int command_log_show(struct log_view *log) {
    enum log_output outcome = command_log_read_all(log);
    if (outcome == GOES_ON && log_read_error(log->reader) && (!log->shown || !log->follow))
        return command_log_report_failure(log);
    if (outcome == GOES_ON && !log->shown)
        command_log_report_nothing_there(log);
    if (outcome == GOES_ON && log->follow)
        outcome = command_log_follow(log);
    if (outcome != ENDS_BADLY)
        return EXIT_FINE;
    perror("virt-rules: standard output");
    return EXIT_PROBLEM;
}

static int command_log_read_and_print(struct log_view *log) {
    log->reader = log_read_open(log->line.state, log->follow);
    log->colour = !log->line.json && command_colour(stdout);
    log->signals = log->follow ? command_log_catch_signals() : -1;
    signal(SIGPIPE, SIG_IGN); /* a reader that closes the pipe is not an error */
    command_log_open_page(log);
    int status = command_log_choose_vm(log);
    if (status == EXIT_FINE)
        status = command_log_show(log);
    fclose(log->page);
    free(log->text);
    if (log->signals >= 0)
        close(log->signals);
    for (size_t i = 0; i < log->seen_count; i++)
        log_read_finish_line(&log->seen[i]);
    free(log->seen);
    free(log->uuid);
    log_read_close(log->reader);
    return status;
}

static int command_log_run(const struct command *command, int argc, char **argv) {
    struct log_view log = {0};
    int status;
    if (!command_parse(&log.line, command, argc, argv, &status))
        return status;
    if (log.line.word_count > 1)
        return command_usage(command,
                             "too many arguments: give one VM (in quotes if its name has a space)");
    if (command_has_empty_word(&log.line))
        return EXIT_USAGE;
    log.vm = log.line.words[0];
    return command_log_read_and_print(&log);
}

static const struct command_option command_log_options[] = {
    {.name = "follow",
     .help = "keep printing new lines until interrupted",
     .field = offsetof(struct log_view, follow)},
    {.name = "json",
     .help = "print the log's JSON objects, one per line",
     .field = offsetof(struct log_view, line.json)},
    OPTION_STATE,
    {0},
};

const struct command command_log_row = {
    .name = "log",
    .operands = "[VM]",
    .summary = "Show what was done for VMs.",
    .notes = "Without a VM: for all.\n",
    .options = command_log_options,
    .run = command_log_run,
};
