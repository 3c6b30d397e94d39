#include "engine/run/host_setting.h"

#include "engine/backend/backend.h"
#include "engine/host/driver.h"
#include "engine/plan/judge.h"
#include "engine/plan/plan_power.h"
#include "engine/plan/plan_settings.h"
#include "engine/run/restore_settings.h"
#include "engine/state/lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long a driver that the host has again may take to make its framebuffer. */
enum { HOST_SETTING_CONSOLE_LIMIT_MS = 10000 };

/* --- before the attach */

struct host_setting_work {
    const struct host_source *source;
    const char *state, *uuid; /* where it is noted */
    struct vm_state *vm_state;
    const struct device *device;
    bool is_changed; /* the state, which is to be saved */
    bool is_stuck;   /* the kernel did not make a setting; else it was not even asked */
};

/* A console or framebuffer that is gone need not be unbound, only PCI Express cards of newer
 * kernels know D3cold, and a kernel without power management lets no device sleep. */
static bool host_setting_may_lack(enum setting_kind kind) {
    return kind == SETTING_CONSOLE || kind == SETTING_FRAMEBUFFER || kind == SETTING_D3COLD ||
           kind == SETTING_POWER;
}

/* Adds to `todo`, in their order, what is not as wanted. The last VM with the device may have left
 * its own value, which is noted as what the host had before. */
static bool host_setting_note(struct host_setting_work *work, const struct setting_list *wanted,
                              struct setting_list *todo, struct failure *failure) {
    for (size_t i = 0; i < wanted->count; i++) {
        const struct setting *setting = &wanted->list[i];
        char *now = work->source->read_setting(work->source, setting);
        if (!now && !(errno == ENOENT && host_setting_may_lack(setting->kind))) {
            failure_set(failure, "/%s cannot be read: %s", setting->path, strerror(errno));
            failure_hint(failure, errno == ENOENT ? "the kernel or the device has no such setting"
                                                  : "'ls -l' and 'cat' show why");
            return false;
        }
        if (now && strcmp(now, setting->value) != 0) {
            const struct setting before = {setting->kind, setting->path, now};
            vm_state_note_setting(work->vm_state, work->device, &before, setting->value);
            setting_add(todo, setting->kind, setting->path, setting->value);
            work->is_changed = true;
        }
        free(now);
    }
    return true;
}

/* Whether the failure is this process's own, which could not even ask the kernel. */
static bool host_setting_is_own_fault(int error) {
    return error == ENOMEM || error == EAGAIN || error == EMFILE || error == ENFILE ||
           error == ECHILD;
}

static void host_setting_undo(const struct host_setting_work *work, const struct setting_list *done,
                              size_t count) {
    while (count-- > 0) {
        const struct vm_state_setting *noted =
            vm_state_find_setting(work->vm_state, done->list[count].path);
        if (noted)
            work->source->write_setting(work->source, &noted->setting, NULL);
    }
}

/* A setting that nobody could set back is not made: so the note comes first, on the disk. */
static bool host_setting_make(struct host_setting_work *work, const struct setting_list *wanted,
                              struct failure *failure) {
    struct setting_list todo = {.count = 0};
    work->is_changed |=
        vm_state_adopt_settings(work->vm_state, work->state, work->uuid, work->device);
    bool good = host_setting_note(work, wanted, &todo, failure);
    if (good && work->is_changed &&
        vm_state_save(work->vm_state, work->state, work->uuid, failure) < 0) {
        failure_hint(failure, "free space there: without a note nothing of the host is changed for "
                              "a VM");
        good = false;
    }
    for (size_t i = 0; i < todo.count && good; i++)
        if (work->source->write_setting(work->source, &todo.list[i], failure) < 0) {
            work->is_stuck = !host_setting_is_own_fault(errno);
            host_setting_undo(work, &todo, i + 1);
            good = false;
        }
    setting_finish(&todo);
    return good;
}

bool host_setting_prepare(struct run *run, const struct plan_entry *entry,
                          struct failure *failure) {
    struct vm_state state;
    bool good = true, gives_display = plan_has_option(entry->action, OPTION_BOOT_DISPLAY);
    /* Of a group, the rest leaves its drivers together with the first. */
    for (size_t i = 0; i < run->plan.count && good; i++) {
        const struct plan_entry *one = &run->plan.entries[i];
        bool is_meant = one == entry || (run_group_is_unit(entry) && run_group_is_same(entry, one));
        if (!is_meant || !one->device)
            continue;
        if (gives_display) /* a driver can be unbound from it then */
            device_give_up_display(&run->host.devices[one->device - run->host.devices]);
        if (one->device->bus != BUS_PCI && !one->settings.count)
            continue; /* nothing is changed for it */
        if (!run_log_load(run, &state))
            break;
        struct host_setting_work work = {
            &run->host.source, run->config->state, run_vm(run), &state, one->device, false, false};
        good = host_setting_make(&work, &one->settings, failure);
        vm_state_finish(&state);
    }
    return good;
}

static void host_setting_repeat_one(const struct host_source *source,
                                    const struct setting *setting) {
    char *now = setting->kind == SETTING_POWER ? source->read_setting(source, setting) : NULL;
    if (now && strcmp(now, setting->value) != 0)
        source->write_setting(source, setting, NULL);
    free(now);
}

void host_setting_repeat(struct run *run, const struct plan_entry *entry) {
    for (size_t i = 0; i < entry->settings.count; i++)
        host_setting_repeat_one(&run->host.source, &entry->settings.list[i]);
}

void host_setting_repeat_all(struct run *run) {
    const struct host_source *source = run->config->host_source;
    struct vm_state state;
    if (!vm_state_exists(run->config->state, run_vm(run)))
        return;
    vm_state_load(&state, run->config->state, run_vm(run));
    for (size_t i = 0; i < state.setting_count; i++) {
        const struct vm_state_setting *noted = &state.settings[i];
        const struct setting given = {noted->setting.kind, noted->setting.path, noted->given};
        host_setting_repeat_one(source, &given);
    }
    vm_state_finish(&state);
}

/* --- before a start of the VM, whose definition has the devices */

/* The target means the device, or with 'with group' another one of its group. */
static bool host_setting_means(const struct action *action, const struct target *target,
                               const struct host *host, const struct device *device) {
    if (match_device(target->device, device))
        return true;
    for (size_t i = 0; action->with_group && i < host->count; i++)
        if (judge_is_group_member(device, &host->devices[i]) &&
            match_device(target->device, &host->devices[i]))
            return true;
    return false;
}

/* A card that a program has open cannot leave its driver: libvirt would wait for that. */
static bool host_setting_is_free(const struct action *action, const struct device *device,
                                 struct failure *failure) {
    if (!plan_has_option(action, OPTION_BOOT_DISPLAY))
        return true;
    if (device->other_use) {
        failure_set(failure, "%s is needed, and the host %s", device->address, device->other_use);
        failure_hint(failure, "%s",
                     device->other_use_hint ? device->other_use_hint : "free it on the host first");
    } else if (device->obstacle == OBSTACLE_UNKNOWN_USE) {
        failure_set(failure, "%s is needed, and %s", device->address, device->obstacle_text);
        failure_hint(failure, "%s", device->obstacle_hint ? device->obstacle_hint : "see dmesg");
    }
    return !device->other_use && device->obstacle != OBSTACLE_UNKNOWN_USE;
}

/* What one action wants of one device of the definition. */
static enum host_setting_start host_setting_begin_device(struct host_setting_work *work,
                                                         const struct action *action,
                                                         const struct target *target,
                                                         struct failure *failure) {
    struct setting_list display = {.count = 0}, power = {.count = 0};
    const struct backend_options options = plan_backend_options(
        action, match_device(target->device, work->device) ? target : NULL, work->device);
    plan_settings_add(&display, action, work->device);
    plan_power_add(&power, work->device, &options);
    enum host_setting_start answer = HOST_SETTING_MADE;
    work->is_stuck = false;
    if (!host_setting_is_free(action, work->device, failure))
        answer = HOST_SETTING_REFUSED;
    else if (!host_setting_make(work, &display, failure))
        answer = work->is_stuck ? HOST_SETTING_REFUSED : HOST_SETTING_FAULT;
    else if (!host_setting_make(work, &power, failure))
        answer = HOST_SETTING_FAULT;
    setting_finish(&display);
    setting_finish(&power);
    return answer;
}

/* The devices that the target means and the definition has. A fault of one stops no other. */
static enum host_setting_start
host_setting_begin_target(struct host_setting_work *work, const struct run_config *config,
                          const struct host *host, const struct action_ref *ref,
                          struct plan_entry *refused, struct failure *failure) {
    const struct domain *domain = config->event->domain;
    enum host_setting_start answer = HOST_SETTING_MADE;
    for (size_t i = 0; i < host->count && answer != HOST_SETTING_REFUSED; i++) {
        work->device = &host->devices[i];
        if (!backend_hostdev_of(domain, work->device) ||
            !host_setting_means(ref->action, ref->target, host, work->device) ||
            match_guard(config->program, domain, work->device))
            continue;
        enum host_setting_start one =
            host_setting_begin_device(work, ref->action, ref->target, failure);
        if (one == HOST_SETTING_MADE)
            continue;
        answer = one;
        *refused = (struct plan_entry){.kind = PLAN_REFUSED,
                                       .refusal = REFUSED_HOST_USE,
                                       .rule = ref->rule,
                                       .action = ref->action,
                                       .target = ref->target,
                                       .device = work->device};
    }
    return answer;
}

static bool host_setting_is_wanted(const struct action *action) {
    return plan_has_option(action, OPTION_BOOT_DISPLAY) || plan_has_option(action, OPTION_AWAKE) ||
           plan_has_option(action, OPTION_RESET_METHOD);
}

struct action_list host_setting_of_definition(const struct program *program,
                                              const struct event *event) {
    struct event defined = *event;
    defined.name = EVENT_DEFINED;
    struct action_list actions = match_event(program, &defined);
    size_t count = 0;
    for (size_t i = 0; i < actions.count; i++)
        if (host_setting_is_wanted(actions.list[i].action))
            actions.list[count++] = actions.list[i];
    actions.count = count;
    return actions;
}

enum host_setting_start host_setting_begin_start(const struct run_config *config,
                                                 const struct host *host,
                                                 struct plan_entry *refused,
                                                 struct failure *failure) {
    const char *uuid = domain_key(config->event->domain);
    const struct vm_start start = {.id = -1, .seen = config->event->seen};
    struct vm_state state;
    struct action_list wanted = host_setting_of_definition(config->program, config->event);
    enum host_setting_start answer = HOST_SETTING_MADE;
    *refused = (struct plan_entry){.kind = PLAN_REFUSED};
    int lock = wanted.count ? lock_vm_within(config->state, uuid, HOST_SETTING_LOCK_MS, NULL) : -1;
    if (lock == LOCK_BUSY) {
        failure_set(failure, "another engine works on the VM");
        failure_hint(failure, "'virt-rules status' shows what it does");
        answer = HOST_SETTING_FAULT;
    } else if (wanted.count) {
        vm_state_load(&state, config->state, uuid);
        vm_state_begin(&state, &start);
        struct host_setting_work work = {&host->source, config->state, uuid, &state,
                                         NULL,          false,         false};
        for (size_t i = 0; i < wanted.count && answer != HOST_SETTING_REFUSED; i++) {
            struct action_ref ref = wanted.list[i];
            for (ref.target = ref.action->targets; ref.target && answer != HOST_SETTING_REFUSED;
                 ref.target = ref.target->next) {
                enum host_setting_start one =
                    host_setting_begin_target(&work, config, host, &ref, refused, failure);
                answer = one != HOST_SETTING_MADE ? one : answer;
            }
        }
        vm_state_finish(&state);
    }
    lock_release(lock);
    free(wanted.list);
    return answer;
}

/* --- afterwards */

static void host_setting_log(struct run *run, const struct device *device, enum result result,
                             const char *message, const char *hint) {
    if (device)
        run_log_device(run, device, result, message, hint);
    else
        run_log_event(run, result, message, hint);
}

/* Waits for the framebuffer that the card's driver makes, if it is bound to one. */
static bool host_setting_await_console(const struct run *run, const struct device *device,
                                       struct setting *console) {
    const struct host_source *source = &run->host.source;
    struct retry retry = retry_start_steady(run->config->clock, RETRY_FIRST_MS);
    bool found;
    while (!(found = source->find_console(source, console)) && device &&
           driver_host_has(&run->host, device) &&
           retry_sleep(&retry, HOST_SETTING_CONSOLE_LIMIT_MS))
        ;
    return found;
}

/* While there is no framebuffer the kernel has no such console, and gives the terminals to it by
 * itself when there is one again; it may then have another number. Returns true when nothing is
 * left to do. */
static bool host_setting_give_console_back(struct run *run, const struct device *device) {
    const struct host_source *source = &run->host.source;
    struct setting console;
    struct failure failure;
    if (!host_setting_await_console(run, device, &console)) {
        host_setting_log(run, device, RESULT_FAILED,
                         "the host has no framebuffer for its text console any more",
                         "the console is back when a driver of the card makes a framebuffer, or "
                         "after a reboot: until then use the network or a serial port");
        return true;
    }
    bool good = true;
    char *owner = setting_owner(&console);
    if (strcmp(console.value, "0") == 0) {
        const struct setting bound = {SETTING_CONSOLE, console.path, (char[]){"1"}};
        good = source->write_setting(source, &bound, &failure) == 0;
    }
    char *message = good ? memory_printf("the host's text console is back (%s)", owner)
                         : memory_strdup(failure.message);
    host_setting_log(run, device, good ? RESULT_DETACHED : RESULT_FAILED, message,
                     good ? NULL
                          : "when no program shows graphics on a terminal, 'virt-rules "
                            "apply' gives the console back");
    free(message);
    free(owner);
    free(console.path);
    free(console.value);
    return good;
}

/* Returns true when nothing is left to do. */
static bool host_setting_give_back(struct run *run, const struct vm_state_setting *noted,
                                   const struct device *device) {
    const struct host_source *source = &run->host.source;
    struct failure failure;
    if (noted->setting.kind == SETTING_CONSOLE)
        return host_setting_give_console_back(run, device);
    char *now = source->read_setting(source, &noted->setting);
    bool is_ours = now && !strcmp(now, noted->given), is_lost = !now && errno != ENOENT;
    free(now);
    /* The framebuffer of the card's own driver is where the firmware's was. */
    bool is_replaced = noted->setting.kind == SETTING_FRAMEBUFFER && device &&
                       source->has_framebuffer(&run->host, device);
    if (!is_lost && (!is_ours || is_replaced))
        return true;
    if (source->write_setting(source, &noted->setting, &failure) == 0)
        return true;
    host_setting_log(run, device, RESULT_FAILED, failure.message, failure.hint);
    return false;
}

/* It is still on the VM's driver: it will be given back first. */
static bool host_setting_waits_for_driver(const struct vm_state *state,
                                          const struct device *device) {
    return device && vm_state_find_unbound(state, device->address);
}

void host_setting_settle(struct run *run, const struct domain_list *vms, struct vm_state *state) {
    for (size_t i = state->setting_count; i-- > 0;) {
        const struct vm_state_setting *noted = &state->settings[i];
        const struct device *device = vm_state_find_noted(&run->host, &noted->device);
        char *others =
            vm_state_find_setting_in_others(run->config->state, run_vm(run), noted->setting.path);
        bool is_kept = !others && ((device && restore_settings_is_held(run, vms, device)) ||
                                   host_setting_waits_for_driver(state, device));
        if (others || (!is_kept && host_setting_give_back(run, noted, device)))
            vm_state_remove_setting(state, noted->setting.path);
        free(others);
    }
}
