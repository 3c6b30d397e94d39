/* virt-rules log: what was done for the VMs, read from the log and followed as it grows. */
#include "engine/command/command.h"

#include "engine/model/domain.h"
#include "engine/plan/near_miss.h"
#include "engine/rules/match.h"
#include "engine/state/event_groups.h"
#include "engine/state/log_text.h"
#include "engine/state/log_write.h"
#include "engine/system/clock.h"
#include "engine/system/when.h"
#include "lexer/terminal.h"
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
#include <sys/stat.h>
#include <unistd.h>

enum {
    PART = 4096,           /* bytes that a writable pipe takes at once: PIPE_BUF */
    FULL_PAGE = 64 * 1024, /* of output, buffered while there is more to read */
    POLL_MS = 1000,        /* where inotify does not tell what changes */
    LINES_MAX = 1000000,   /* of -n */
    DATE_SIZE = 16,
};

/* What is printed of a line of the log, or of an event. */
struct log_shown {
    char *text;
    char date[DATE_SIZE]; /* for people at a terminal: above it, when it is another one than before;
                             else "" */
};

struct log_view {
    struct command_line line;
    const char *vm;      /* as typed; NULL: every VM */
    char *uuid;          /* of the VM that is meant; NULL: not known yet */
    bool by_uuid;        /* it is what was typed */
    bool reported_other; /* another VM also had the name: that was reported */
    bool follow;
    struct stat watched;                 /* the directory that changes are reported of */
    const char *since_word, *lines_word; /* as typed; NULL: not given */
    int64_t since;                       /* milliseconds since the Epoch */
    uint32_t lines;                      /* with -n: the last ones alone */
    struct terminal terminal;
    struct log_merge *merge;
    struct event_groups groups; /* unless for a program */
    struct command_rules rules; /* what an event nearly matched */
    bool has_rules;
    struct log_line *seen; /* one of each VM that is not asked for, to suggest its name */
    size_t seen_count;
    size_t shown;
    int64_t oldest_event;   /* of any VM that is kept; older ones were dropped; 0: none */
    int64_t before;         /* the newest line that is older than `since`; 0: none */
    bool was_called;        /* an event came for what is asked for */
    struct log_shown *last; /* with -n: a ring of `lines` + 1, until all is read */
    size_t last_count;      /* that were put there */
    char date[DATE_SIZE];   /* the last one that was printed */
    int signals;            /* a descriptor; -1: they end the program by themselves */
    FILE *page;             /* output that is not written yet */
    char *text;
    size_t size;
};

/* --- what is printed */

static void command_log_print_shown(struct log_view *log, const struct log_shown *shown) {
    if (*shown->date && strcmp(shown->date, log->date) != 0) {
        fprintf(log->page, "%s%s%s\n", terminal_paint(log->terminal, TERMINAL_BOLD), shown->date,
                terminal_paint(log->terminal, TERMINAL_PLAIN));
        memcpy(log->date, shown->date, sizeof log->date);
    }
    fputs(shown->text, log->page);
}

/* Takes the text. */
static void command_log_put(struct log_view *log, char *text, int64_t when) {
    struct log_shown shown = {.text = text};
    log->shown++;
    if (log->terminal.width && !log->line.json && when)
        when_date(when, shown.date);
    if (!log->last) {
        command_log_print_shown(log, &shown);
        free(text);
        return;
    }
    struct log_shown *place = &log->last[log->last_count++ % (log->lines + 1)];
    free(place->text);
    *place = shown;
}

/* All has been read: from here on lines are printed as they come. */
static void command_log_print_last(struct log_view *log) {
    size_t count = log->last_count < log->lines ? log->last_count : log->lines;
    for (size_t i = log->last_count - count; log->last && i < log->last_count; i++)
        command_log_print_shown(log, &log->last[i % (log->lines + 1)]);
    for (size_t i = 0; log->last && i <= log->lines; i++)
        free(log->last[i].text);
    free(log->last);
    log->last = NULL;
}

/* --- one line */

static void command_log_print_cell(const struct log_view *log, FILE *out, const char *text,
                                   size_t width, const char *colour) {
    char *cell = NULL;
    size_t size = 0;
    FILE *stream = memory_stream(&cell, &size);
    text_escape(stream, text ? text : "-", text ? strlen(text) : 1);
    memory_stream_close(stream, &cell);
    size_t used = text_width(cell, size);
    fprintf(out, "%s%s%s%*s  ", terminal_paint(log->terminal, colour), cell,
            *colour ? terminal_paint(log->terminal, TERMINAL_PLAIN) : "",
            used < width ? (int)(width - used) : 0, "");
    free(cell);
}

/* One line, for a file or a program such as grep(1). */
static void command_log_print_whole(const struct log_view *log, FILE *out,
                                    const struct log_line *entry) {
    char *time = entry->time ? log_read_time_text(entry->time) : NULL;
    const char *message = entry->message ? entry->message : "-";
    command_log_print_cell(log, out, time, 19, "");
    command_log_print_cell(log, out, entry->vm, 14, "");
    command_log_print_cell(log, out, entry->event, 9, "");
    command_log_print_cell(log, out, entry->action, 6, "");
    command_log_print_cell(log, out, entry->device, 22, "");
    command_log_print_cell(log, out, entry->result, 8,
                           entry->result ? log_text_colour(entry->result) : "");
    text_escape(out, message, strlen(message));
    if (entry->rule) {
        fputs(" (", out);
        text_escape(out, entry->rule, strlen(entry->rule));
        putc(')', out);
    }
    putc('\n', out);
    free(time);
}

static void command_log_print_entry(struct log_view *log, const struct log_line *entry,
                                    int64_t when) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    if (log->terminal.width)
        log_text_print(out, log->terminal, entry, true);
    else
        command_log_print_whole(log, out, entry);
    memory_stream_close(out, &text);
    command_log_put(log, text, when);
}

/* --- an event that no rule matched */

/* The rules are read when the first such event is shown: they are as they are now. */
static const struct command_rules *command_log_rules(struct log_view *log) {
    if (!log->has_rules)
        program_load(&log->rules.program, &log->rules.ruleset, ruleset_directory(log->line.rules));
    log->has_rules = true;
    return &log->rules;
}

/* At the end of a VM, its rule for the start is not worth a word. */
static bool command_log_is_near(const struct event_group *group, const struct near_misses *misses) {
    return misses->count &&
           !(group->phase == EVENT_PHASE_STOP && misses->list[0].kind == NEAR_MISS_EVENT);
}

/* What nearly matched, in the line, which borrows `message` and `rule`. */
static void command_log_add_near_miss(struct log_line *line, const struct near_miss *miss,
                                      char **message, char **rule) {
    char place[32] = "";
    if (miss->line)
        snprintf(place, sizeof place, ":%zu", miss->line);
    memory_append(message, ", nearest %s%s, which %s%s%s", text_base_name(miss->path), place,
                  miss->message, miss->hint ? "; " : "", miss->hint ? miss->hint : "");
    *rule = memory_printf("%s%s", miss->path, place);
    line->message = *message;
    line->rule = *rule;
    line->hint = miss->hint;
}

/* Of the rules as they are now, which may match it. */
static void command_log_add_now(struct log_view *log, const struct event_group *group,
                                struct log_line *line, char **message, char **rule,
                                struct near_misses *misses) {
    struct domain domain;
    const struct command_rules *rules = command_log_rules(log);
    struct event event = {.name = scanner_event_from_text(group->event), .domain = &domain};
    if (!group->vm || event.name == EVENT_COUNT)
        return;
    domain_from_name(&domain, group->name ? group->name : group->vm);
    if (group->name && strcmp(group->name, group->vm) != 0) {
        free(domain.title);
        domain.title = memory_strdup(group->vm);
    }
    struct action_list wanted = match_event(&rules->program, &event);
    if (wanted.count) {
        *rule = memory_printf("%s:%zu", wanted.list[0].rule->source->path,
                              program_line(wanted.list[0].rule, NULL));
        memory_append(message, "; a rule does now");
        line->message = *message;
        line->rule = *rule;
    } else {
        near_miss_find(misses, &rules->program, &event);
        near_miss_find_unread(misses, &rules->program, &event, ruleset_directory(log->line.rules));
        near_miss_sort(misses);
        if (command_log_is_near(group, misses))
            command_log_add_near_miss(line, &misses->list[0], message, rule);
    }
    free(wanted.list);
    domain_finish(&domain);
}

/* A rule for the preparation of a VM matched, and another one did not match what came after that:
 * it is worth a word when it was meant to. */
static bool command_log_is_about_more(const struct near_misses *misses) {
    return misses->count && misses->list[0].kind != NEAR_MISS_EVENT;
}

static void command_log_show_group(void *context, const struct event_group *group) {
    struct log_view *log = context;
    struct near_misses misses = {0};
    char *message = memory_strdup("no rule matched"), *rule = NULL;
    char time[2 * DATE_SIZE];
    when_stamp(group->when, time);
    struct log_line line = {.time = time,
                            .vm = group->vm,
                            .event = group->events,
                            .device = group->device,
                            .result = log_write_event_result_name(LOG_EVENT_UNMATCHED),
                            .message = message};
    command_log_add_now(log, group, &line, &message, &rule, &misses);
    if (!group->is_partial || command_log_is_about_more(&misses))
        command_log_print_entry(log, &line, group->when);
    near_miss_finish(&misses);
    free(message);
    free(rule);
}

/* For a program every line is an object with the same keys. */
static void command_log_print_broken_json(FILE *out, const char *line, size_t size) {
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
    fprintf(out, "%s\n", text_json_line(object));
    json_object_put(object);
    free(text);
}

static bool command_log_has_text(const char *line, size_t size, const char *text) {
    return text && memmem(line, size, text, strlen(text));
}

/* A line that a crash cut short may still be about the VM. */
static void command_log_print_broken(struct log_view *log, const struct log_item *item) {
    if (log->vm && !command_log_has_text(item->text, item->size, log->vm) &&
        !command_log_has_text(item->text, item->size, log->uuid))
        return;
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    if (log->line.json) {
        command_log_print_broken_json(out, item->text, item->size);
    } else {
        text_escape(out, item->text, item->size);
        putc('\n', out);
    }
    memory_stream_close(out, &text);
    command_log_put(log, text, item->when);
}

static void command_log_keep_name(struct log_view *log, const struct log_item *item) {
    struct log_line copy;
    for (size_t i = 0; i < log->seen_count; i++)
        if (!strcmp(log->seen[i].vm, item->line.vm))
            return;
    if (!log_read_parse(&copy, item->text, item->size))
        return;
    log->seen = memory_grow(log->seen, log->seen_count, sizeof *log->seen);
    log->seen[log->seen_count++] = copy;
}

/* --- which VM */

static bool command_log_is_called(const struct log_view *log, const struct log_line *entry) {
    return entry->vm && log->vm &&
           (!strcmp(entry->vm, log->vm) || (entry->name && !strcmp(entry->name, log->vm)) ||
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
    struct log_merge *merge = log_merge_open(log->line.state, false);
    struct log_item item;
    while (log_merge_next(merge, &item)) {
        const char *uuid = item.line.uuid;
        size_t i = 0;
        while (i < *count && uuid && strcmp((*uuids)[i], uuid) != 0)
            i++;
        if (uuid && command_log_is_called(log, &item.line) && i == *count) {
            *uuids = memory_grow((void *)*uuids, *count, sizeof **uuids);
            (*uuids)[(*count)++] = memory_strdup(uuid);
        }
    }
    log_merge_close(merge);
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

/* An event is a line of its own for a program alone. */
static void command_log_print_item(struct log_view *log, const struct log_item *item) {
    if (log->line.json)
        command_log_put(log, memory_printf("%.*s\n", (int)item->size, item->text), item->when);
    else if (item->is_event)
        event_groups_take(&log->groups, item);
    else
        command_log_print_entry(log, &item->line, item->when);
}

static void command_log_take_item(struct log_view *log, const struct log_item *item) {
    bool is_wanted = !item->is_broken && command_log_is_wanted(log, &item->line);
    if (item->is_event && !log->oldest_event)
        log->oldest_event = item->when;
    if (!item->is_broken && !is_wanted && item->line.vm)
        command_log_keep_name(log, item);
    if (item->when < log->since) {
        log->before = is_wanted ? item->when : log->before;
        return;
    }
    log->was_called |= is_wanted && item->is_event;
    if (item->is_broken)
        command_log_print_broken(log, item);
    else if (is_wanted)
        command_log_print_item(log, item);
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
    struct log_item item;
    while (log_merge_next(log->merge, &item)) {
        command_log_take_item(log, &item);
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
static int command_log_watch(struct log_view *log) {
    const char *directory = log_read_directory(log_merge_log(log->merge));
    int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notify >= 0 && stat(directory, &log->watched) == 0 &&
        inotify_add_watch(notify, directory,
                          IN_MODIFY | IN_CREATE | IN_MOVE | IN_DELETE | IN_DELETE_SELF |
                              IN_MOVE_SELF | IN_ONLYDIR) >= 0)
        return notify;
    if (notify >= 0)
        close(notify);
    return -1;
}

/* Whether it is still the directory at the path. */
static bool command_log_is_watched(const struct log_view *log) {
    struct stat now;
    return stat(log_read_directory(log_merge_log(log->merge)), &now) == 0 &&
           now.st_dev == log->watched.st_dev && now.st_ino == log->watched.st_ino;
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
static enum log_output command_log_wait_for_more(const struct log_view *log, int notify,
                                                 int limit_ms) {
    struct pollfd ready[] = {{STDOUT_FILENO, 0, 0}, {log->signals, POLLIN, 0}, {notify, POLLIN, 0}};
    int count = poll(ready, 3, limit_ms);
    if (count < 0 && errno != EINTR)
        return ENDS_BADLY;
    return count > 0 && (ready[0].revents || ready[1].revents) ? ENDS_WELL : GOES_ON;
}

static bool command_log_has_file(const struct log_view *log) {
    return access(log_read_path(log_merge_log(log->merge)), F_OK) == 0 ||
           access(log_read_path(log_merge_events(log->merge)), F_OK) == 0;
}

/* The watch is set up before the log is read, so that no line is missed in between. Without a file
 * the directory may be removed and made again; the kernel does not report that as long as one of
 * its files is open. */
static enum log_output command_log_follow(struct log_view *log) {
    int notify = -1;
    enum log_output outcome = GOES_ON;
    while (outcome == GOES_ON) {
        bool has_file = command_log_has_file(log);
        if (notify >= 0 && (!has_file || !command_log_is_watched(log))) {
            close(notify);
            notify = -1;
        }
        if (notify < 0)
            notify = command_log_watch(log);
        outcome = command_log_read_all(log);
        if (outcome == GOES_ON)
            outcome =
                command_log_wait_for_more(log, notify, has_file && notify >= 0 ? -1 : POLL_MS);
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

/* Why a file of it cannot be read, as errno; 0: each was read, or there is none. */
static int command_log_error(const struct log_view *log) {
    int error = log_read_error(log_merge_log(log->merge));
    return error ? error : log_read_error(log_merge_events(log->merge));
}

static int command_log_report_failure(const struct log_view *log) {
    int error = command_log_error(log);
    const struct log_reader *reader = log_read_error(log_merge_log(log->merge))
                                          ? log_merge_log(log->merge)
                                          : log_merge_events(log->merge);
    const char *hint = error == EACCES || error == EPERM ? "run as root"
                       : error == EINVAL ? "remove it: the next event makes a file of that name"
                                         : NULL;
    return command_failf(hint, "the log %s cannot be read: %s", log_read_path(reader),
                         error == EINVAL ? "it is not a file" : strerror(error));
}

/* Without any line libvirt has never called the hook. */
static void command_log_report_no_log(const struct log_view *log) {
    const struct log_reader *reader = log_merge_log(log->merge);
    bool found = log_read_found(reader) || log_read_found(log_merge_events(log->merge));
    if (found)
        fprintf(stderr, "virt-rules: the log %s is empty", log_read_path(reader));
    else
        fprintf(stderr, "virt-rules: there is no log yet: %s does not exist",
                log_read_path(reader));
    fprintf(stderr, ", so libvirt has not called the hook%s\n",
            log->follow ? "; waiting for more" : "");
}

static void command_log_report_nothing_since(const struct log_view *log) {
    char since_date[DATE_SIZE], since_time[DATE_SIZE], date[DATE_SIZE], time[DATE_SIZE];
    when_date(log->since, since_date);
    when_time(log->since, since_time);
    when_date(log->before, date);
    when_time(log->before, time);
    fprintf(stderr, "virt-rules: the log has nothing since %s %s", since_date, since_time);
    if (log->vm) {
        fputs(" about VM '", stderr);
        text_print_string(stderr, log->vm);
        putc('\'', stderr);
    }
    fprintf(stderr, "; the last line before that is of %s %s%s\n", date, time,
            log->follow ? "; waiting for more" : "");
}

static void command_log_report_no_line(const struct log_view *log) {
    struct suggestion suggestion = {.word = log->vm};
    for (size_t i = 0; i < log->seen_count; i++) {
        suggest(&suggestion, log->seen[i].vm);
        if (log->seen[i].name)
            suggest(&suggestion, log->seen[i].name);
    }
    fputs("virt-rules: the log has no line about VM '", stderr);
    text_print_string(stderr, log->vm);
    fputs(log->follow ? "'; waiting for it" : "'", stderr);
    if (suggestion.best) {
        fputs("; did you mean '", stderr);
        text_print_string(stderr, suggestion.best);
        fputs("'?\n", stderr);
    } else if (log->oldest_event) {
        char date[DATE_SIZE], time[DATE_SIZE];
        when_date(log->oldest_event, date);
        when_time(log->oldest_event, time);
        fprintf(stderr, ": libvirt has not called the hook for it since %s %s, the oldest event\n",
                date, time);
    } else {
        fputs(": nothing was done for it, and no event was kept\n", stderr);
    }
}

/* The hook was called and a rule matched, and yet there is no result. */
static void command_log_report_no_result(const struct log_view *log) {
    fputs("virt-rules: the hook was called and a rule matched, but there is no result yet\n",
          stderr);
    fprintf(stderr,
            "  hint: 'virt-rules status' shows what an engine does now; "
            "'virt-rules apply%s' does what is missing\n",
            log->vm ? " VM" : "");
}

/* Says on stderr why nothing was printed: the hook was not called, or it was. */
static void command_log_report_nothing(const struct log_view *log) {
    static const char hint[] = "  hint: 'virt-rules doctor' checks the hook\n";
    if (log->was_called) {
        command_log_report_no_result(log);
        return;
    }
    if (log->before) {
        command_log_report_nothing_since(log);
    } else if (log->vm && log->seen_count) {
        command_log_report_no_line(log);
        return;
    } else if (log->vm && log_read_found(log_merge_log(log->merge))) {
        command_log_report_no_line(log);
    } else {
        command_log_report_no_log(log);
    }
    fputs(hint, stderr);
}

static int command_log_show(struct log_view *log) {
    enum log_output outcome = command_log_read_all(log);
    if (outcome == GOES_ON && !log->follow)
        event_groups_flush(&log->groups);
    command_log_print_last(log);
    if (outcome == GOES_ON)
        outcome = command_log_write_page(log);
    if (outcome == GOES_ON && command_log_error(log)) {
        int status = command_log_report_failure(log);
        if (!log->shown || !log->follow)
            return status;
    }
    if (outcome == GOES_ON && !log->shown && !log->groups.open_count)
        command_log_report_nothing(log);
    if (outcome == GOES_ON && log->follow)
        outcome = command_log_follow(log);
    if (outcome != ENDS_BADLY)
        return EXIT_FINE;
    perror("virt-rules: standard output");
    return EXIT_PROBLEM;
}

static int command_log_read_and_print(struct log_view *log) {
    log->merge = log_merge_open(log->line.state, log->follow);
    log->groups = (struct event_groups){.show = command_log_show_group, .context = log};
    log->terminal = terminal_of(stdout);
    log->last = log->lines_word ? memory_zalloc((log->lines + 1) * sizeof *log->last) : NULL;
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
    event_groups_finish(&log->groups);
    if (log->has_rules)
        command_finish_rules(&log->rules);
    log_merge_close(log->merge);
    return status;
}

/* --- the command line */

static int command_log_read_options(struct log_view *log, const struct command *command) {
    if (log->line.word_count > 1)
        return command_too_many_vms(&log->line, 0);
    if (command_has_empty_word(&log->line))
        return EXIT_USAGE;
    if (log->since_word && !when_parse(log->since_word, clock_epoch(), &log->since))
        return command_usage(command, "'%s' is not a time that --since takes: " WHEN_EXAMPLES,
                             log->since_word);
    if (log->lines_word && (!text_parse_decimal(log->lines_word, LINES_MAX, &log->lines) ||
                            (!log->lines && !log->follow)))
        return command_usage(command, "'%s' is not a number of lines, such as 20", log->lines_word);
    log->vm = log->line.words[0];
    return EXIT_FINE;
}

static int command_log_run(const struct command *command, int argc, char **argv) {
    struct log_view log = {.signals = -1};
    int status;
    if (!command_parse(&log.line, command, argc, argv, &status))
        return status;
    status = command_log_read_options(&log, command);
    return status == EXIT_FINE ? command_log_read_and_print(&log) : status;
}

static const struct command_option command_log_options[] = {
    {.name = "since",
     .argument = "WHEN",
     .help = "what happened from then on: 10m, 2h, yesterday, 23:00, 2026-11-29, "
             "'2026-11-29 23:00'",
     .field = offsetof(struct log_view, since_word)},
    {.name = "lines",
     .letter = 'n',
     .argument = "N",
     .help = "the last N results alone; short: -n N",
     .field = offsetof(struct log_view, lines_word)},
    {.name = "follow",
     .help = "keep printing new lines until interrupted",
     .field = offsetof(struct log_view, follow)},
    {.name = "json",
     .help = "print the log's JSON objects, one per line; also of each event that came",
     .field = offsetof(struct log_view, line.json)},
    OPTION_RULES,
    OPTION_STATE,
    {0},
};

const struct command command_log_row = {
    .name = "log",
    .operands = "[VM]",
    .summary = "Show what was done for VMs, and which events no rule matched.",
    .notes = "Without a VM: for all.\n",
    .options = command_log_options,
    .run = command_log_run,
};
