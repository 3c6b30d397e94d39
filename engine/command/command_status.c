/* virt-rules status: which VM has which device now, which it lacks and why. */
#include "engine/command/command.h"

#include "engine/command/plan_context.h"
#include "engine/command/status_wait.h"
#include "engine/host/source_sysfs.h"
#include "engine/libvirt/domain_list.h"
#include "engine/model/vm_names.h"
#include "engine/plan/status.h"
#include "engine/state/log_read.h"
#include "engine/state/log_write.h"
#include "engine/state/pending.h"
#include "lexer/terminal.h"
#include "lexer/text.h"
#include "parser/syntax.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct view {
    struct command_line line;
    const char *vm;                /* as typed; NULL: every VM */
    unsigned long libvirt_version; /* 0: not known */
    char *note; /* libvirt does not answer: which VMs there are is not known; else NULL */
    struct host host;
    struct domain_list vms;
    struct command_rules rules;
    bool waits, is_waiting; /* --wait; after the first look */
    uint32_t wait_ms;       /* 0: by the rules */
    struct status_wait wait;
    enum status_wait_verdict verdict;
};

/* --- text */

enum column { VM, DEVICE, RULE, STATE, SINCE, COLUMNS };

struct table {
    size_t widths[COLUMNS];
    struct terminal terminal;    /* with a width: what explains a row is below it */
    bool rule_below, name_below; /* too wide otherwise */
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

static struct cells command_status_cells_of(const struct table *table, const struct status_vm *vm,
                                            const struct status_row *row) {
    struct cells cells;
    const char *name = table->name_below ? NULL : status_device_name(row);
    char *device = status_device_text(row), *rule = status_rule_text(row);
    if (device && name)
        memory_append(&device, " %s", name);
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

static const struct cells HEAD = {
    {(char *)"VM", (char *)"DEVICE", (char *)"RULE", (char *)"STATE", (char *)"SINCE"}};

/* Sets the widths; returns whether the rows are too wide for the terminal. */
static bool command_status_measure(struct table *table, const struct status *status) {
    size_t sum = 0;
    memset(table->widths, 0, sizeof table->widths);
    command_status_widen(table, &HEAD);
    for (size_t i = 0; i < status->count; i++)
        for (size_t j = 0; j < status->vms[i].count; j++) {
            struct cells cells =
                command_status_cells_of(table, &status->vms[i], &status->vms[i].rows[j]);
            command_status_widen(table, &cells);
            command_status_cells_finish(&cells);
        }
    for (size_t i = 0; i < COLUMNS; i++)
        if (i != RULE || !table->rule_below)
            sum += table->widths[i] + 2;
    return table->terminal.width && sum - 2 > table->terminal.width;
}

/* On a narrow terminal the rule comes below the row, and then the device's name, too. */
static struct table command_status_lay_out(const struct status *status) {
    struct table table = {.terminal = terminal_of(stdout)};
    table.rule_below = command_status_measure(&table, status);
    if (table.rule_below && (table.name_below = command_status_measure(&table, status)))
        command_status_measure(&table, status);
    return table;
}

static const char *command_status_colour_of(const struct status_row *row) {
    switch (row->state) {
    case STATE_ATTACHED:
    case STATE_DEFINED:
        return TERMINAL_GREEN;
    case STATE_OFF:
        return "";
    case STATE_WAITING:
    case STATE_ATTACHING:
    case STATE_DETACHING:
    case STATE_PARKED:
    case STATE_DETACHED:
        return TERMINAL_YELLOW;
    case STATE_ABSENT:
        return row->optional ? TERMINAL_YELLOW : TERMINAL_RED;
    default:
        return TERMINAL_RED;
    }
}

/* Without blanks at the end of the line. */
static void command_status_print_cells(const struct table *table, const struct cells *cells,
                                       const char *colour, bool more) {
    for (size_t i = 0; i < COLUMNS; i++) {
        const char *text = cells->text[i];
        bool painted =
            table->terminal.colour && *colour && (i == STATE || !strcmp(colour, TERMINAL_BOLD));
        size_t used = text_width(text, strlen(text));
        if (i == RULE && table->rule_below)
            continue;
        printf("%s%s%s", painted ? colour : "", text, painted ? TERMINAL_PLAIN : "");
        if (i + 1 < COLUMNS || more)
            printf("%*s", (int)(table->widths[i] - used + 2), "");
    }
}

static void command_status_print_below(const struct table *table, const char *name,
                                       const char *text) {
    if (text)
        terminal_print_line(stdout, table->terminal, 4, name, text);
}

static void command_status_print_row(const struct table *table, const struct status_vm *vm,
                                     const struct status_row *row) {
    struct cells cells = command_status_cells_of(table, vm, row);
    command_status_print_cells(table, &cells, command_status_colour_of(row),
                               !table->terminal.width && row->error);
    if (!table->terminal.width && row->error) {
        text_print_string(stdout, row->error);
        fputs(row->hint ? "; hint: " : "", stdout);
        text_print_string(stdout, row->hint ? row->hint : "");
    }
    putchar('\n');
    if (table->name_below)
        command_status_print_below(table, "", status_device_name(row));
    if (table->rule_below && row->rule)
        command_status_print_below(table, "rule ", cells.text[RULE]);
    if (table->terminal.width) {
        command_status_print_below(table, "", row->error);
        command_status_print_below(table, terminal_hint(table->terminal), row->hint);
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

/* --- a start that a rule stopped */

static void command_status_print_stop(const struct status_vm *vm, struct terminal terminal) {
    const struct status_stop *stop = &vm->stop;
    if (!stop->message)
        return;
    char *label = command_status_vm_text(vm), *text = NULL;
    char *time = stop->time ? log_read_time_text(stop->time) : NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "VM %s: its start was stopped", label);
    if (time)
        fprintf(out, " at %s", time);
    fputs(": ", out);
    if (stop->device)
        fprintf(out, "%s: ", stop->device);
    text_print_string(out, stop->message);
    if (stop->rule) {
        fputs(" (", out);
        text_print_string(out, stop->rule);
        putc(')', out);
    }
    putc('\n', out);
    if (stop->hint) {
        fprintf(out, "    %s", terminal_hint(terminal));
        text_print_string(out, stop->hint);
        putc('\n', out);
    }
    terminal_wrap_stream(stdout, terminal, 6, out, &text);
    free(label);
    free(time);
}

static struct json_object *command_status_stop_json(const struct status_stop *stop) {
    if (!stop->message)
        return NULL;
    struct json_object *object = text_json_object();
    text_put_json(object, "time", stop->time);
    text_put_json(object, "device", stop->device);
    text_put_json(object, "rule", stop->rule);
    text_put_json(object, "error", stop->message);
    text_put_json(object, "hint", stop->hint);
    return object;
}

/* --- text, all of it */

static void command_status_print_nothing(const struct view *view, const struct status *status) {
    if (!view->vm && !view->line.domain_xml) {
        puts("No running VM has a device, and no rule wants one.");
        for (size_t i = 0; i < status->count; i++) {
            command_status_print_parked(&status->vms[i]);
            command_status_print_stop(&status->vms[i], terminal_of(stdout));
        }
        return;
    }
    const struct status_vm *vm = &status->vms[0];
    fputs("VM ", stdout);
    text_print_string(stdout, domain_label(vm->domain));
    puts(vm->running ? " has no device, and no rule wants one."
                     : " is not running, and no rule wants a device for it.");
    command_status_print_parked(vm);
    command_status_print_stop(vm, terminal_of(stdout));
}

static void command_status_print_text(const struct view *view, const struct status *status) {
    struct table table = command_status_lay_out(status);
    if (view->note && !status->count) {
        command_status_show_all_calls(view, NULL);
        return;
    }
    if (!command_status_count_rows(status)) {
        command_status_print_nothing(view, status);
        return;
    }
    command_status_print_cells(&table, &HEAD, TERMINAL_BOLD, !table.terminal.width);
    puts(table.terminal.width ? "" : "LAST ERROR");
    for (size_t i = 0; i < status->count; i++)
        for (size_t j = 0; j < status->vms[i].count; j++)
            command_status_print_row(&table, &status->vms[i], &status->vms[i].rows[j]);
    for (size_t i = 0; i < status->count; i++) {
        const struct domain *domain = status->vms[i].domain;
        command_status_print_parked(&status->vms[i]);
        command_status_print_stop(&status->vms[i], table.terminal);
        if (status->vms[i].running)
            command_status_show_calls(view, domain_key(domain), domain_label(domain), domain, NULL);
    }
}

/* A device may be missing for that reason. */
static void command_status_print_disabled(const struct view *view) {
    char *disabled = ruleset_disabled(ruleset_directory(view->line.rules));
    if (disabled) {
        fputs("Disabled rule files: ", stdout);
        text_print_string(stdout, disabled);
        putchar('\n');
    }
    free(disabled);
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
    text_json_add(object, "stopped", command_status_stop_json(&vm->stop));
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
    char *hint = vm_names_hint(view->vm, view->vms.list, view->vms.count);
    int status = command_failf(hint, VM_NAMES_UNKNOWN, view->vm);
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
        command_complete_vms(&view->vms, view->line.sysroot ? view->line.sysroot : "", &view->note);
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

static void command_status_make(const struct view *view, struct status *status) {
    status_init(status,
                &(struct status_request){
                    .program = &view->rules.program,
                    .host = &view->host,
                    .domains = view->vms.list,
                    .domain_count = view->vms.count,
                    .vm = view->line.domain_xml && !view->vm ? view->vms.list[0].name : view->vm,
                    .state = log_write_state_directory(view->line.state),
                    .partial = view->rules.have_errors,
                    .libvirt_version = view->libvirt_version});
}

static int command_status_show(struct view *view) {
    struct status status;
    command_status_make(view, &status);
    command_status_report_ignored(&status);
    if (view->line.json)
        command_status_print_json(view, &status);
    else
        command_status_print_text(view, &status);
    if (!view->line.json && view->rules.have_errors)
        puts("Rule files with an error were left out.");
    if (!view->line.json)
        command_status_print_disabled(view);
    bool problem = view->note || view->rules.have_errors || status_problems(&status) > 0;
    status_finish(&status);
    return problem ? EXIT_PROBLEM : EXIT_FINE;
}

/* Reads VMs and host, and does the work with them. */
static int command_status_read(struct view *view, int (*work)(struct view *view)) {
    struct host_source source = source_sysfs(view->line.sysroot);
    source.is_brief = true;
    source.leaves_out_resets = !program_has_option(&view->rules.program, OPTION_RESET_METHOD);
    int status = command_status_load_vms(view);
    if (status == EXIT_FINE && (status = command_load_host(&source, &view->host)) == EXIT_FINE) {
        status = work(view);
        host_finish(&view->host);
    }
    domain_list_finish(&view->vms);
    free(view->note);
    view->note = NULL;
    return status;
}

/* --- --wait */

static size_t command_status_count_wanted(const struct status_vm *vm) {
    size_t count = 0;
    for (size_t i = 0; i < vm->count; i++)
        count += vm->rows[i].rule && vm->rows[i].state == STATE_ATTACHED;
    return count;
}

static int command_status_report_wait(const struct view *view, const struct status *status) {
    const struct status_vm *vm = &status->vms[0];
    char *label = command_status_vm_text(vm);
    size_t count = command_status_count_wanted(vm);
    int result = EXIT_FINE;
    if (view->line.json)
        command_status_print_json(view, status);
    if (view->verdict != STATUS_WAIT_DONE)
        result = command_failf(view->wait.hint, "VM %s: %s", label, view->wait.message);
    else if (!view->line.json && !count)
        printf("no rule wants a device for VM %s\n", label);
    else if (!view->line.json)
        printf("VM %s has all that its rules want: %zu device%s\n", label, count,
               count == 1 ? "" : "s");
    free(label);
    return result;
}

static int command_status_judge(struct view *view) {
    struct status status;
    int result = EXIT_FINE;
    command_status_make(view, &status);
    view->verdict = status_wait_judge(&view->wait, &status.vms[0]);
    if (view->verdict != STATUS_WAIT_ON)
        result = command_status_report_wait(view, &status);
    status_finish(&status);
    return result;
}

/* Without libvirt nobody can tell. */
static int command_status_look(struct view *view) {
    return view->note ? EXIT_PROBLEM : command_status_judge(view);
}

static int command_status_wait(struct view *view) {
    const char *vm = view->vm;
    int result = EXIT_FINE;
    status_wait_open(&view->wait, log_write_state_directory(view->line.state),
                     view->line.sysroot ? view->line.sysroot : "", view->wait_ms);
    do {
        if (view->verdict == STATUS_WAIT_ON && view->is_waiting)
            status_wait_sleep(&view->wait);
        view->is_waiting = true;
        view->verdict = STATUS_WAIT_NEVER;
        view->vm = vm;
        status_wait_watch(&view->wait);
        result = command_status_read(view, command_status_look);
    } while (result == EXIT_FINE && view->verdict == STATUS_WAIT_ON);
    if (view->rules.have_errors && result == EXIT_FINE)
        result = EXIT_PROBLEM;
    status_wait_close(&view->wait);
    return result;
}

/* --- the command line */

static int command_status_read_options(struct view *view, const struct command *command) {
    const struct command_line *line = &view->line;
    uint32_t milliseconds;
    if (line->word_count == 2 && !view->waits && value_read_duration(&milliseconds, line->words[1]))
        return command_usage(command, "'%s' is how long --wait waits at most: give --wait, too",
                             line->words[1]);
    if (line->word_count > (view->waits ? 2 : 1))
        return command_too_many_vms(line, 0);
    if (command_has_empty_word(line))
        return EXIT_USAGE;
    view->vm = line->words[0];
    if (view->waits && !view->vm)
        return command_usage(command, "give the VM to wait for, and for how long at most: "
                                      "virt-rules status --wait frigate 2m");
    if (view->waits && line->domain_xml)
        return command_usage(command, "--wait asks libvirt about the VM: leave out --domain-xml");
    const char *time = view->waits ? line->words[1] : NULL;
    return time && !(view->wait_ms = command_read_wait(command, time)) ? EXIT_USAGE : EXIT_FINE;
}

static int command_status_run(const struct command *command, int argc, char **argv) {
    struct view view = {0};
    int status;
    if (!command_parse(&view.line, command, argc, argv, &status))
        return status;
    if ((status = command_status_read_options(&view, command)) != EXIT_FINE)
        return status;
    command_load_rules(&view.line, &view.rules);
    status =
        view.waits ? command_status_wait(&view) : command_status_read(&view, command_status_show);
    command_finish_rules(&view.rules);
    return status;
}

static const struct command_option command_status_options[] = {
    {.name = "wait",
     .help = "wait until the VM has all that its rules want, or it is certain that it will not; "
             "DURATION: at most so long",
     .field = offsetof(struct view, waits)},
    OPTION_RULES,
    OPTION_STATE,
    OPTION_SYSROOT,
    OPTION_DOMAIN_XML,
    OPTION_JSON,
    {0},
};

const struct command command_status_row = {
    .name = "status",
    .operands = "[VM [DURATION]]",
    .summary = "Show which VM has which device now, and which devices are missing.",
    .notes = "VM is a name, title or UUID. Without it: all running VMs, and others that a rule\n"
             "names. libvirt is asked for VMs unless --domain-xml is given.\n"
             "Exit 1: a running VM lacks a device that a rule wants without 'optional'; with\n"
             "--wait also if the VM is not running.\n",
    .options = command_status_options,
    .run = command_status_run,
};
