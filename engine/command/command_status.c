/* virt-rules status: which VM has which device now, which it lacks and why. */
#include "engine/command/command.h"

#include "engine/command/plan_context.h"
#include "engine/libvirt/domain_list.h"
#include "engine/plan/status.h"
#include "engine/state/log_read.h"
#include "engine/state/log_write.h"
#include "engine/state/pending.h"
#include "lexer/text.h"
#include "parser/suggest.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char GREEN[] = "\033[32m", YELLOW[] = "\033[33m", RED[] = "\033[31m",
                  BOLD[] = "\033[1m", PLAIN[] = "\033[0m";

struct view {
    struct command_line line;
    const char *vm;                /* as typed; NULL: every VM */
    unsigned long libvirt_version; /* 0: not known */
    char *note; /* libvirt does not answer: which VMs there are is not known; else NULL */
    struct host host;
    struct domain_list vms;
    struct command_rules rules;
};

/* --- text */

enum column { VM, DEVICE, RULE, STATE, SINCE, COLUMNS };

struct table {
    size_t widths[COLUMNS];
    bool colour, terminal;
    bool rule_below; /* too wide for a terminal otherwise */
};

/* The texts of a row, which the caller frees. */
struct cells {
    char *text[COLUMNS];
};

static char *command_status_clean(const char *text) {
    char *copy = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&copy, &size);
    text_print_string(out, text ? text : "-");
    memory_stream_close(out, &copy);
    return copy;
}

/* As plan writes it, with libvirt's name where the title alone would mean two VMs. */
static char *command_status_vm_text(const struct status_vm *vm) {
    char *text = vm->shares_label
                     ? memory_printf("%s (%s)", domain_label(vm->domain), vm->domain->name)
                     : memory_strdup(domain_label(vm->domain));
    char *cleaned = command_status_clean(text);
    free(text);
    return cleaned;
}

static struct cells command_status_cells_of(const struct status_vm *vm,
                                            const struct status_row *row) {
    struct cells cells;
    char *device = status_device_text(row), *rule = status_rule_text(row);
    char *since = row->since ? log_read_time_text(row->since) : NULL;
    cells.text[VM] = command_status_vm_text(vm);
    cells.text[DEVICE] = command_status_clean(device ? device : row->wanted);
    cells.text[RULE] = command_status_clean(rule);
    cells.text[STATE] = command_status_clean(status_state_name(row->state));
    cells.text[SINCE] = command_status_clean(since);
    free(device);
    free(rule);
    free(since);
    return cells;
}

static void command_status_cells_finish(struct cells *cells) {
    for (size_t i = 0; i < COLUMNS; i++)
        free(cells->text[i]);
}

static void command_status_widen(struct table *table, const struct cells *cells) {
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t width = text_width(cells->text[i], strlen(cells->text[i]));
        if (width > table->widths[i])
            table->widths[i] = width;
    }
}

static size_t command_status_terminal_width(void) {
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static const struct cells HEAD = {
    {(char *)"VM", (char *)"DEVICE", (char *)"RULE", (char *)"STATE", (char *)"SINCE"}};

static struct table command_status_measure(const struct status *status) {
    struct table table = {.colour = command_colour(stdout), .terminal = isatty(STDOUT_FILENO)};
    size_t sum = 0;
    command_status_widen(&table, &HEAD);
    for (size_t i = 0; i < status->count; i++)
        for (size_t j = 0; j < status->vms[i].count; j++) {
            struct cells cells = command_status_cells_of(&status->vms[i], &status->vms[i].rows[j]);
            command_status_widen(&table, &cells);
            command_status_cells_finish(&cells);
        }
    for (size_t i = 0; i < COLUMNS; i++)
        sum += table.widths[i] + 2;
    table.rule_below = table.terminal && sum - 2 > command_status_terminal_width();
    return table;
}

static const char *command_status_colour_of(const struct status_row *row) {
    switch (row->state) {
    case STATE_ATTACHED:
        return GREEN;
    case STATE_OFF:
        return "";
    case STATE_WAITING:
    case STATE_ATTACHING:
    case STATE_DETACHING:
    case STATE_PARKED:
        return YELLOW;
    case STATE_ABSENT:
        return row->optional ? YELLOW : RED;
    default:
        return RED;
    }
}

/* Without blanks at the end of the line. */
static void command_status_print_cells(const struct table *table, const struct cells *cells,
                                       const char *colour, bool more) {
    for (size_t i = 0; i < COLUMNS; i++) {
        const char *text = cells->text[i];
        bool painted = table->colour && *colour && (i == STATE || colour == BOLD);
        size_t used = text_width(text, strlen(text));
        if (i == RULE && table->rule_below)
            continue;
        printf("%s%s%s", painted ? colour : "", text, painted ? PLAIN : "");
        if (i + 1 < COLUMNS || more)
            printf("%*s", (int)(table->widths[i] - used + 2), "");
    }
}

static void command_status_print_below(const char *name, const char *text) {
    if (!text)
        return;
    printf("    %s", name);
    text_print_string(stdout, text);
    putchar('\n');
}

static void command_status_print_row(const struct table *table, const struct status_vm *vm,
                                     const struct status_row *row) {
    struct cells cells = command_status_cells_of(vm, row);
    command_status_print_cells(table, &cells, command_status_colour_of(row),
                               !table->terminal && row->error);
    if (!table->terminal && row->error) {
        text_print_string(stdout, row->error);
        fputs(row->hint ? "; hint: " : "", stdout);
        text_print_string(stdout, row->hint ? row->hint : "");
    }
    putchar('\n');
    if (table->rule_below && row->rule)
        command_status_print_below("rule ", cells.text[RULE]);
    if (table->terminal) {
        command_status_print_below("", row->error);
        command_status_print_below("hint: ", row->hint);
    }
    command_status_cells_finish(&cells);
}

static size_t command_status_count_rows(const struct status *status) {
    size_t count = 0;
    for (size_t i = 0; i < status->count; i++)
        count += status->vms[i].count;
    return count;
}

/* --- unfinished calls of libvirt */

/* Its engine has ended and its call has taken effect: the next engine removes it. */
static bool command_status_is_settled(const struct pending_call *call,
                                      const struct domain *domain) {
    bool has = false;
    for (size_t i = 0; domain && i < domain->hostdev_count; i++)
        has |= !strcmp(domain->hostdevs[i].address, call->device);
    return domain && !pending_is_running(call) && strcmp(call->device, "-") != 0 &&
           has == !strcmp(call->verb, "attach");
}

static void command_status_print_call(const char *vm, const struct pending_call *call) {
    char *since = log_read_time_text(call->since);
    bool runs = pending_is_running(call);
    fputs("VM ", stdout);
    text_print_string(stdout, vm);
    printf(": %s", call->verb);
    if (strcmp(call->device, "-") != 0) {
        fputs(" of ", stdout);
        text_print_string(stdout, call->device);
    }
    printf(" since ");
    text_print_string(stdout, since);
    printf(runs ? ", by process %d\n" : ": libvirt has not answered, process %d has ended\n",
           (int)call->process);
    free(since);
}

static struct json_object *command_status_call_json(const struct pending_call *call) {
    struct json_object *object = text_json_object();
    text_put_json(object, "call", call->verb);
    text_put_json(object, "device", strcmp(call->device, "-") != 0 ? call->device : NULL);
    text_put_json(object, "since", call->since);
    text_json_add(object, "process", text_json_number(call->process));
    text_json_add(object, "running", text_json_boolean(pending_is_running(call)));
    return object;
}

/* Prints those of a VM, or adds them to `object` as "calls" when there are any. */
static void command_status_show_calls(const struct view *view, const char *uuid, const char *label,
                                      const struct domain *domain, struct json_object *object) {
    size_t count;
    struct pending_call *calls =
        pending_load(log_write_state_directory(view->line.state), uuid, &count);
    struct json_object *list = text_json_array();
    for (size_t i = 0; i < count; i++)
        if (command_status_is_settled(&calls[i], domain))
            continue;
        else if (object)
            text_json_append(list, command_status_call_json(&calls[i]));
        else
            command_status_print_call(label, &calls[i]);
    if (object && json_object_array_length(list))
        text_json_add(object, "calls", list);
    else
        json_object_put(list);
    free(calls);
}

/* Without libvirt: the unfinished calls of every VM. */
static void command_status_show_all_calls(const struct view *view, struct json_object *vms) {
    size_t count;
    char **all = pending_all(log_write_state_directory(view->line.state), &count);
    for (size_t i = 0; i < count; i++) {
        struct json_object *object = vms ? text_json_object() : NULL;
        if (object) {
            text_put_json(object, "uuid", all[i]);
            text_json_append(vms, object);
        }
        command_status_show_calls(view, all[i], all[i], NULL, object);
        free(all[i]);
    }
    free((void *)all);
}

/* --- parked VMs */

static void command_status_print_parked(const struct status_vm *vm) {
    const char *since = vm->vm_state.parked_since;
    if (!since)
        return;
    char *label = command_status_vm_text(vm), *time = log_read_time_text(since);
    printf("VM %s: parked since ", label);
    text_print_string(stdout, time);
    puts("; 'virt-rules unpark VM' ends that");
    free(label);
    free(time);
}

/* --- text, all of it */

static void command_status_print_nothing(const struct view *view, const struct status *status) {
    if (!view->vm && !view->line.domain_xml) {
        puts("No running VM has a device, and no rule wants one.");
        for (size_t i = 0; i < status->count; i++)
            command_status_print_parked(&status->vms[i]);
        return;
    }
    const struct status_vm *vm = &status->vms[0];
    fputs("VM ", stdout);
    text_print_string(stdout, domain_label(vm->domain));
    puts(vm->running ? " has no device, and no rule wants one."
                     : " is not running, and no rule wants a device for it.");
    command_status_print_parked(vm);
}

static void command_status_print_text(const struct view *view, const struct status *status) {
    struct table table = command_status_measure(status);
    if (view->note && !status->count) {
        command_status_show_all_calls(view, NULL);
        return;
    }
    if (!command_status_count_rows(status)) {
        command_status_print_nothing(view, status);
        return;
    }
    command_status_print_cells(&table, &HEAD, BOLD, !table.terminal);
    puts(table.terminal ? "" : "LAST ERROR");
    for (size_t i = 0; i < status->count; i++)
        for (size_t j = 0; j < status->vms[i].count; j++)
            command_status_print_row(&table, &status->vms[i], &status->vms[i].rows[j]);
    for (size_t i = 0; i < status->count; i++) {
        const struct domain *domain = status->vms[i].domain;
        command_status_print_parked(&status->vms[i]);
        if (status->vms[i].running)
            command_status_show_calls(view, domain_key(domain), domain_label(domain), domain, NULL);
    }
}

/* --- JSON */

static struct json_object *command_status_device_json(const struct status_row *row) {
    const struct device *device = row->device;
    const struct domain_hostdev *hostdev = row->hostdev;
    if (!device && !hostdev)
        return NULL;
    struct json_object *object = text_json_object();
    struct device_id no = device ? device->id : hostdev->id;
    char id[16];
    snprintf(id, sizeof id, "%04x:%04x", no.vendor, no.device);
    const char *address = device ? device->address : *hostdev->address ? hostdev->address : NULL;
    text_put_json(object, "bus", device_bus(device ? device->bus : hostdev->bus)->name);
    text_put_json(object, "address", address);
    text_put_json(object, "id", no.vendor ? id : NULL);
    text_put_json(object, "name", device ? device->name : NULL);
    text_put_json(object, "driver", device ? device->driver : NULL);
    command_put_number(object, "iommu_group", device ? device->iommu_group : -1);
    return object;
}

static struct json_object *command_status_rule_json(const struct status_row *row) {
    if (!row->rule)
        return NULL;
    struct json_object *object = text_json_object();
    text_put_json(object, "path", row->rule->source->path);
    text_json_add(object, "line", text_json_number((int64_t)program_line(row->rule, row->action)));
    return object;
}

static struct json_object *command_status_row_json(const struct status_row *row) {
    struct json_object *object = text_json_object();
    text_json_add(object, "device", command_status_device_json(row));
    text_put_json(object, "wanted", row->wanted);
    text_json_add(object, "rule", command_status_rule_json(row));
    text_json_add(object, "optional", text_json_boolean(row->optional));
    text_put_json(object, "state", status_state_name(row->state));
    text_put_json(object, "since", row->since);
    text_put_json(object, "reason", row->refusal ? verdict_name(row->refusal) : NULL);
    text_put_json(object, "error", row->error);
    text_put_json(object, "hint", row->hint);
    return object;
}

static struct json_object *command_status_vm_json(const struct view *view,
                                                  const struct status_vm *vm) {
    struct json_object *object = text_json_object(), *rows = text_json_array();
    for (size_t i = 0; i < vm->count; i++)
        text_json_append(rows, command_status_row_json(&vm->rows[i]));
    text_put_json(object, "vm", domain_label(vm->domain));
    text_put_json(object, "name", vm->domain->name);
    text_put_json(object, "title", vm->domain->title);
    text_put_json(object, "uuid", vm->domain->uuid);
    text_json_add(object, "running", text_json_boolean(vm->running));
    text_json_add(object, "parked", text_json_boolean(vm->vm_state.parked_since != NULL));
    text_put_json(object, "parked_since", vm->vm_state.parked_since);
    text_json_add(object, "devices", rows);
    if (vm->running)
        command_status_show_calls(view, domain_key(vm->domain), NULL, vm->domain, object);
    return object;
}

static void command_status_print_json(const struct view *view, const struct status *status) {
    struct json_object *object = text_json_object(), *vms = text_json_array();
    for (size_t i = 0; i < status->count; i++)
        text_json_append(vms, command_status_vm_json(view, &status->vms[i]));
    if (view->note && !status->count)
        command_status_show_all_calls(view, vms);
    text_json_add(object, "vms", vms);
    text_json_add(object, "problems", text_json_number((int64_t)status_problems(status)));
    command_print_json(object, view->note);
}

/* --- all of it */

static int command_status_load_domain(struct view *view) {
    struct domain domain;
    int status = plan_context_read_domain(&view->line, &domain, view->vm);
    if (status != EXIT_FINE)
        return status;
    view->vms.list = memory_grow(NULL, 0, sizeof domain);
    view->vms.list[view->vms.count++] = domain;
    return EXIT_FINE;
}

static int command_status_unknown_vm(const struct view *view) {
    struct suggestion suggestion = {.word = view->vm};
    for (size_t i = 0; i < view->vms.count; i++) {
        suggest(&suggestion, view->vms.list[i].name);
        if (view->vms.list[i].title)
            suggest(&suggestion, view->vms.list[i].title);
    }
    char *message = memory_printf("libvirt has no VM '%s'", view->vm);
    char *hint = suggestion.best ? memory_printf("did you mean '%s'?", suggestion.best)
                                 : memory_strdup("see 'virsh list --all --title'");
    int status = command_fail(message, hint);
    free(message);
    free(hint);
    return status;
}

/* Replaces the name on the command line by the VM's key. */
static int command_status_find_vm(struct view *view) {
    const struct domain *first, *second;
    size_t index = domain_pick(view->vms.list, view->vms.count, view->vm, &first, &second);
    if (second)
        return command_two_vms(view->vm, first, second);
    if (index == view->vms.count)
        return command_status_unknown_vm(view);
    view->vm = domain_key(&view->vms.list[index]);
    return EXIT_FINE;
}

/* Without libvirt, its status files still show the running VMs, and the state directory the
 * unfinished calls. */
static void command_status_go_on_without(struct view *view, const struct virt_error *error) {
    command_fail(error->failure.message, error->failure.hint); /* only said */
    view->note = command_libvirt_note(error);
    struct domain_list running;
    domain_list_running_in(&running, view->line.sysroot ? view->line.sysroot : "", NULL);
    for (size_t i = 0; i < running.count; i++) {
        if (running.list[i].unreadable) {
            domain_finish(&running.list[i]);
            continue;
        }
        view->vms.list = memory_grow(view->vms.list, view->vms.count, sizeof *view->vms.list);
        view->vms.list[view->vms.count++] = running.list[i];
    }
    free(running.list);
}

static int command_status_load_vms(struct view *view) {
    struct virt *virt = NULL;
    struct virt_error error;
    int status = EXIT_FINE;
    if (view->line.domain_xml)
        return command_status_load_domain(view);
    if (virt_asker_connect(&virt, NULL, &error) < 0 ||
        domain_list_all(&view->vms, virt, &error) < 0) {
        command_status_go_on_without(view, &error);
    } else {
        view->libvirt_version = virt_version(virt);
        if (view->vm)
            status = command_status_find_vm(view);
    }
    virt_close(virt);
    return status;
}

/* Notes in the state directory that could not be used. */
static void command_status_report_ignored(const struct status *status) {
    for (size_t i = 0; i < status->count; i++) {
        if (status->vms[i].vm_state.ignored)
            fprintf(stderr, "virt-rules: %s; times and failures may be missing\n",
                    status->vms[i].vm_state.ignored);
        if (status->vms[i].calls_ignored)
            fprintf(stderr, "virt-rules: %s; unfinished libvirt calls may be missing\n",
                    status->vms[i].calls_ignored);
    }
}

static int command_status_show(struct view *view) {
    struct status status;
    command_load_rules(&view->line, &view->rules);
    status_init(&status,
                &(struct status_request){
                    .program = &view->rules.program,
                    .host = &view->host,
                    .domains = view->vms.list,
                    .domain_count = view->vms.count,
                    .vm = view->line.domain_xml && !view->vm ? view->vms.list[0].name : view->vm,
                    .state = log_write_state_directory(view->line.state),
                    .libvirt_version = view->libvirt_version});
    command_status_report_ignored(&status);
    if (view->line.json)
        command_status_print_json(view, &status);
    else
        command_status_print_text(view, &status);
    if (!view->line.json && view->rules.have_errors)
        puts("Rule files with an error were left out.");
    bool problem = view->note || view->rules.have_errors || status_problems(&status) > 0;
    status_finish(&status);
    command_finish_rules(&view->rules);
    return problem ? EXIT_PROBLEM : EXIT_FINE;
}

static int command_status_load_and_show(struct view *view) {
    int status = command_status_load_vms(view);
    if (status == EXIT_FINE &&
        (status = command_load_host(&view->line, &view->host)) == EXIT_FINE) {
        status = command_status_show(view);
        host_finish(&view->host);
    }
    domain_list_finish(&view->vms);
    free(view->note);
    return status;
}

static int command_status_run(const struct command *command, int argc, char **argv) {
    struct view view = {0};
    int status;
    if (!command_parse(&view.line, command, argc, argv, &status))
        return status;
    if (view.line.word_count > 1)
        return command_usage(command,
                             "too many arguments: give one VM (in quotes if its name has a space)");
    if (command_has_empty_word(&view.line))
        return EXIT_USAGE;
    view.vm = view.line.words[0];
    return command_status_load_and_show(&view);
}

static const struct command_option command_status_options[] = {
    OPTION_RULES, OPTION_STATE, OPTION_SYSROOT, OPTION_DOMAIN_XML, OPTION_JSON, {0},
};

const struct command command_status_row = {
    .name = "status",
    .operands = "[VM]",
    .summary = "Show which VM has which device now, and which devices are missing.",
    .notes = "VM is a name, title or UUID. Without it: all running VMs, and others that a rule\n"
             "names. libvirt is asked for VMs unless --domain-xml is given.\n"
             "Exit 1: a running VM lacks a device that a rule wants without 'optional'.\n",
    .options = command_status_options,
    .run = command_status_run,
};
