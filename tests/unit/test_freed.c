/* Devices that change hands: 'take' asks the guest of the VM that has one, and 'freed' goes to the
 * VMs that wait, in the order in which they were refused. */
#include "tests/unit/execute_world.h"

#include "engine/state/freed_note.h"
#include "engine/state/lock.h"
#include "engine/trigger/freed.h"

#include <signal.h>
#include <sys/resource.h>

#define VISERON "00000000-0000-4000-8000-000000000003"
#define TAKE_FIRST "on vm frigate started attach at 03:00.0 as vfio take\n"
#define WAIT_FOR_FIRST "on vm frigate, windows, viseron started, freed attach at 03:00.0 as vfio\n"

static int begin(void **state) {
    set_up(state);
    settled = false;
    double_virt_add(hypervisor, VISERON, "viseron", NULL);
    return 0;
}

static int end(void **state) {
    settled = false;
    return tear_down(state);
}

/* --- helpers */

static bool has(const char *uuid, const char *address) {
    struct device device = {SAMPLE_PCI("", 0x1ac1, 0x089a, 0)};
    struct domain domain;
    device.address = (char *)address;
    sample_domain(&domain, double_virt_xml(hypervisor, uuid));
    bool it_has = backend_hostdev_of(&domain, &device);
    domain_finish(&domain);
    return it_has;
}

static void load_state(struct vm_state *state, const char *uuid) {
    vm_state_load(state, state_path(""), uuid);
}

static const struct device_id TPU = {0x1ac1, 0x089a};

static bool is_dismissed(const char *uuid, const char *address) {
    struct vm_state state;
    load_state(&state, uuid);
    bool is = vm_state_has_dismissed(&state, address, TPU);
    vm_state_finish(&state);
    return is;
}

static uint64_t waits_since(const char *uuid, const char *address) {
    struct vm_state state;
    load_state(&state, uuid);
    uint64_t since = vm_state_refused_since(&state, address, TPU);
    vm_state_finish(&state);
    return since;
}

static const struct device first_tpu = {SAMPLE_PCI(FIRST, 0x1ac1, 0x089a, 0)};

static char *kept_state(void) {
    static char path[128];
    snprintf(path, sizeof path, "%s", state_path(""));
    return path;
}

static bool notify(const char *rules_text) {
    struct sample_rules rules;
    sample_rules_init(&rules, rules_text);
    struct log_writer *log = log_write_open(kept_state(), false);
    bool good = freed_notify(&(struct freed){.program = &rules.program,
                                             .host_source = &host_source,
                                             .state = kept_state(),
                                             .log = log,
                                             .clock = &hours.clock,
                                             .open_virt = open_double});
    log_write_close(log);
    sample_rules_finish(&rules);
    return good;
}

static void note_end(const char *rules_text, const char *xml, bool xml_counts) {
    struct sample_rules rules;
    struct domain domain;
    sample_rules_init(&rules, rules_text);
    sample_domain(&domain, xml);
    freed_note_end(&(struct freed){.program = &rules.program,
                                   .host_source = &host_source,
                                   .state = kept_state()},
                   &domain, xml_counts);
    domain_finish(&domain);
    sample_rules_finish(&rules);
}

static void refuse_since(const char *uuid, uint64_t since) {
    struct vm_state state;
    struct domain domain;
    sample_domain(&domain, double_virt_xml(hypervisor, uuid));
    struct vm_start start = {.id = domain.id, .seen = vm_state_now()};
    assert_true(vm_state_open(&state, kept_state(), uuid, &start));
    assert_true(vm_state_refuse(&state, FIRST, TPU, since));
    assert_int_equal(vm_state_save(&state, kept_state(), uuid, NULL), 0);
    vm_state_finish(&state);
    domain_finish(&domain);
}

/* The VMs that libvirt was asked to attach something to, in that order: "frigate viseron ". */
static const char *attached_to(void) {
    static char names[256];
    *names = '\0';
    for (const char *line = double_virt_calls(hypervisor); *line; line = strchr(line, '\n') + 1) {
        char name[64];
        /* NOLINTNEXTLINE(cert-err34-c): words only */
        if (sscanf(line, "attach %63s", name) == 1)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", name);
    }
    return names;
}

static bool called(const char *text) {
    return strstr(double_virt_calls(hypervisor), text);
}

/* --- take */

static void test_take(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    assert_true(run_at(EVENT_STARTED, TAKE_FIRST));
    assert_true(has(FRIGATE, FIRST));
    assert_false(has(WINDOWS, FIRST));
    assert_string_equal(results(), "detached detach " FIRST " 1ac1:089a\n" ATTACHED(FIRST));
    assert_message(0, "taken by VM 'NVR'");
    assert_string_equal(hours.slept, ""); /* nobody gets it in between */
    /* Its own engines leave it alone, and it is the next in the line. */
    assert_true(is_dismissed(WINDOWS, FIRST));
    assert_true(waits_since(WINDOWS, FIRST) > 0);
    assert_int_equal(waits_since(FRIGATE, FIRST), 0);
    assert_true(freed_note_exists(kept_state()));
    assert_true(notify(WAIT_FOR_FIRST));
    assert_false(freed_note_exists(kept_state()));
    assert_string_equal(attached_to(), "frigate ");
}

/* Only the start of a VM takes: nothing goes to and fro. */
static void test_take_at_its_start_alone(void **state) {
    static const char rules[] =
        "on vm frigate started, plugged, freed, reconnect attach at 03:00.0 "
        "as vfio take\n";
    static const enum event_name events[] = {EVENT_PLUGGED, EVENT_FREED, EVENT_RECONNECT};
    (void)state;
    give(WINDOWS, FIRST);
    for (size_t i = 0; i < 3; i++)
        run_at(events[i], rules);
    settled = true;
    assert_false(run_at(EVENT_STARTED, rules));
    assert_true(has(WINDOWS, FIRST));
    assert_false(called("detach"));
    assert_true(waits_since(FRIGATE, FIRST) > 0);
}

static void test_take_refused_by_guest(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    double_virt_refuse(hypervisor, WINDOWS, true);
    assert_false(run_at(EVENT_STARTED, TAKE_FIRST));
    assert_true(has(WINDOWS, FIRST));
    assert_string_equal(results(), REFUSED(FIRST));
    assert_message(0, "VM 'windows' has it, and the guest refuses to release the device");
    assert_false(is_dismissed(WINDOWS, FIRST));
    assert_int_equal(waits_since(WINDOWS, FIRST), 0);
    assert_true(waits_since(FRIGATE, FIRST) > 0);
    assert_false(freed_note_exists(kept_state()));
}

static void test_take_without_an_answer(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    double_virt_deaf(hypervisor, WINDOWS, true);
    int64_t start = hours.now;
    assert_false(run_at(EVENT_STARTED, TAKE_FIRST));
    assert_true(hours.now - start < INT64_C(3) * GUEST_REMOVAL_LIMIT_MS);
    assert_true(has(WINDOWS, FIRST));
    assert_string_equal(results(), REFUSED(FIRST));
    assert_message(0, "VM 'windows' has it, and the guest did not release the device");
    /* It may still release it: then whoever comes next finds that. */
    assert_true(freed_note_exists(kept_state()));
    assert_true(notify(WAIT_FOR_FIRST));
    assert_true(freed_note_exists(kept_state()));
    take(WINDOWS, FIRST);
    assert_true(notify(WAIT_FOR_FIRST));
    assert_true(has(FRIGATE, FIRST));
    assert_false(freed_note_exists(kept_state()));
}

static int foreign_lock;
static bool own_was_held;

static void let_go(void) {
    own_was_held = lock_vm_is_held(kept_state(), FRIGATE);
    lock_release(foreign_lock);
}

/* Another engine works on the other VM, and may wait for this one's lock: it is not waited for. */
static void test_take_while_the_other_vm_is_locked(void **state) {
    struct failure failure;
    (void)state;
    give(WINDOWS, FIRST);
    foreign_lock = lock_vm(kept_state(), WINDOWS, &failure);
    assert_true(foreign_lock >= 0);
    hours.at = hours.now + 5000;
    hours.then = let_go;
    assert_true(run_at(EVENT_STARTED, TAKE_FIRST));
    assert_false(own_was_held);
    assert_true(has(FRIGATE, FIRST));
}

static void test_take_while_it_is_locked_for_ever(void **state) {
    struct failure failure;
    (void)state;
    give(WINDOWS, FIRST);
    int lock = lock_vm(kept_state(), WINDOWS, &failure);
    assert_true(lock >= 0);
    assert_false(run_at(EVENT_STARTED, TAKE_FIRST));
    lock_release(lock);
    assert_true(has(WINDOWS, FIRST));
    assert_message(0, "another engine works on that VM");
    assert_false(called("detach"));
}

/* Nothing can be noted: that is reported, and not that another engine is there. */
static void test_take_without_a_lock(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    mkdir(kept_state(), 0700);
    FILE *out = fopen(state_path("/locks"), "we"); /* in place of the directory */
    assert_non_null(out);
    fclose(out);
    assert_false(run_at(EVENT_STARTED, TAKE_FIRST));
    assert_int_equal(unlink(state_path("/locks")), 0);
    assert_true(has(WINDOWS, FIRST));
    assert_message(0, "continuing without a lock");
    assert_message(1, "Not a directory");
    assert_false(called("detach"));
}

static void stop_windows(struct double_virt *double_virt, void *context) {
    (void)context;
    double_virt_stop(double_virt, WINDOWS);
}

/* Right before its guest is asked. The note stays: the taker may fail, and others wait. */
static void test_take_from_a_vm_that_stops(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, stop_windows, NULL);
    assert_true(run_at(EVENT_STARTED, TAKE_FIRST));
    assert_true(has(FRIGATE, FIRST));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_true(freed_note_exists(kept_state()));
}

/* Once a run: what another VM takes back stays there. */
static void take_back(struct double_virt *double_virt, void *context) {
    (void)double_virt, (void)context;
    give(WINDOWS, FIRST);
}

static void test_take_once(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    double_virt_before(hypervisor, DOUBLE_LIST, 2, take_back, NULL);
    assert_false(run_at(EVENT_STARTED, TAKE_FIRST));
    assert_true(has(WINDOWS, FIRST));
    const char *calls = double_virt_calls(hypervisor), *detach = strstr(calls, "detach windows");
    assert_non_null(detach);
    assert_null(strstr(detach + 1, "detach windows"));
    /* Its guest has released it once: nothing is waited for. */
    assert_true(notify(TAKE_FIRST));
    assert_false(freed_note_exists(kept_state()));
}

static void test_take_never(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    assert_false(run_at(EVENT_STARTED, "never attach 1ac1:* to vm frigate\n" TAKE_FIRST));
    assert_false(run_at(EVENT_STARTED, "on vm frigate started attach all 1ac1:* as usb take\n"));
    assert_true(has(WINDOWS, FIRST));
    assert_false(called("detach"));
}

/* What is on a device of another VM is not the device. */
static void test_take_nothing_with_something_behind_it(void **state) {
    static const char xml[] =
        "<domain type='kvm' id='4'><name>windows</name><devices><hostdev mode='subsystem' "
        "type='usb'><source><vendor id='0x1cf1'/><product id='0x0030'/><address bus='1' "
        "device='4'/></source></hostdev></devices></domain>";
    struct sample_rules rules;
    struct domain other;
    struct host host;
    struct plan plan;
    (void)state;
    sample_domain(&other, xml);
    sample_host(&host, "tests/hosts/usb");
    for (int behind = 0; behind < 2; behind++) {
        const struct event event = {.name = EVENT_STARTED, .domain = &told};
        sample_rules_init(&rules, behind ? "on vm frigate started attach at 00:15.0 as vfio take\n"
                                         : "on vm frigate started attach port 1-1.2 as usb take\n");
        plan_init(&plan, &(struct plan_request){.program = &rules.program,
                                                .event = &event,
                                                .host = &host,
                                                .others = &other,
                                                .other_count = 1});
        assert_int_equal(plan.count, 1);
        assert_int_equal(plan.entries[0].kind, behind ? PLAN_REFUSED : PLAN_STEP);
        assert_ptr_equal(plan.entries[0].take_from, behind ? NULL : &other);
        plan_finish(&plan);
        sample_rules_finish(&rules);
    }
    host_finish(&host);
    domain_finish(&other);
}

static void test_take_any(void **state) {
    static const char rule[] = "on vm frigate started attach any 1ac1:089a as vfio take\n";
    (void)state;
    give(WINDOWS, FIRST);
    assert_true(run_at(EVENT_STARTED, rule)); /* the free one */
    assert_true(has(WINDOWS, FIRST));
    assert_true(has(FRIGATE, SECOND));
    take(FRIGATE, SECOND);
    give(VISERON, SECOND);
    assert_true(run_at(EVENT_STARTED, rule));
    assert_true(has(FRIGATE, FIRST));
    assert_true(has(VISERON, SECOND));
    take(FRIGATE, FIRST);
    give(WINDOWS, FIRST);
    double_virt_refuse(hypervisor, WINDOWS, true);
    assert_true(run_at(EVENT_STARTED, rule)); /* the next one */
    assert_true(has(FRIGATE, SECOND));
}

static void one_group(void) {
    shell("cd %s/sys/devices && for t in $(find . -type d -name %s); do ln -sfn "
          "../../../../../../kernel/iommu_groups/15 \"$t/iommu_group\"; done",
          host_root, SECOND);
    set_driver(FIRST, "vfio-pci");
    set_driver(SECOND, "vfio-pci");
    give(WINDOWS, FIRST);
    give(WINDOWS, SECOND);
}

static bool may_split(const struct host *host) {
    (void)host;
    return true;
}

static bool may_not_split(const struct host *host) {
    (void)host;
    return false;
}

#define TAKE_GROUP "on vm frigate started attach at 03:00.0 with group as vfio take\n"

static void test_take_group(void **state) {
    (void)state;
    one_group();
    host_source.may_split_group = may_split;
    assert_true(run_at(EVENT_STARTED, TAKE_GROUP));
    assert_true(has(FRIGATE, FIRST) && has(FRIGATE, SECOND));
    assert_false(has(WINDOWS, FIRST) || has(WINDOWS, SECOND));
}

static void test_take_all_of_a_group_or_nothing(void **state) {
    (void)state;
    one_group();
    host_source.may_split_group = may_split;
    double_virt_fail(hypervisor, DOUBLE_DETACH, 2, VIRT_REFUSED, "no");
    assert_false(run_at(EVENT_STARTED, TAKE_GROUP));
    assert_true(has(WINDOWS, FIRST) && has(WINDOWS, SECOND));
    assert_false(has(FRIGATE, FIRST) || has(FRIGATE, SECOND));
    assert_message(1, "given back, because VM 'NVR' cannot get all of the group");
    assert_false(is_dismissed(WINDOWS, FIRST) || is_dismissed(WINDOWS, SECOND));
    assert_false(freed_note_exists(kept_state()));
}

static void test_take_no_group_of_an_old_kernel(void **state) {
    (void)state;
    one_group();
    host_source.may_split_group = may_not_split;
    assert_false(run_at(EVENT_STARTED, TAKE_GROUP));
    assert_false(called("detach"));
    assert_message(0, "Linux before 5.19 cannot split its IOMMU group");
}

/* What was taken and could not be attached is offered again, to the VM that had it too. */
static void test_take_and_fail(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_FAILED, "the card clings");
    assert_false(run_at(EVENT_STARTED, TAKE_FIRST));
    assert_false(has(FRIGATE, FIRST) || has(WINDOWS, FIRST));
    assert_true(notify("on vm windows freed attach at 03:00.0 as vfio\n"));
    assert_true(has(WINDOWS, FIRST));
    assert_false(is_dismissed(WINDOWS, FIRST));
    assert_int_equal(waits_since(WINDOWS, FIRST), 0);
}

/* --- freed */

static void test_order_of_refusals(void **state) {
    (void)state;
    refuse_since(WINDOWS, 20);
    refuse_since(VISERON, 10);
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    assert_true(notify(WAIT_FOR_FIRST));
    assert_true(has(VISERON, FIRST));
    assert_string_equal(attached_to(), "viseron ");
    assert_string_equal(results(), ATTACHED(FIRST) REFUSED(FIRST) REFUSED(FIRST));
    /* Its wait is over, and that of the others goes on from when they were refused first. */
    assert_int_equal(waits_since(VISERON, FIRST), 0);
    assert_int_equal(waits_since(WINDOWS, FIRST), 20);
    assert_true(waits_since(FRIGATE, FIRST) > 20);
    assert_false(freed_note_exists(kept_state()));
    take(VISERON, FIRST);
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    assert_true(notify(WAIT_FOR_FIRST));
    assert_true(has(WINDOWS, FIRST));
}

/* Without a refusal, in the order of the rules. */
static void test_order_of_rules(void **state) {
    (void)state;
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    assert_true(notify("on vm viseron freed attach at 03:00.0 as vfio\n" WAIT_FOR_FIRST));
    assert_true(has(VISERON, FIRST));
}

static void test_refused_at_its_start(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    assert_false(run_at(EVENT_STARTED, WAIT_FOR_FIRST));
    uint64_t since = waits_since(FRIGATE, FIRST);
    assert_true(since > 0);
    run_at(EVENT_FREED, WAIT_FOR_FIRST);
    assert_int_equal(waits_since(FRIGATE, FIRST), since); /* of the first refusal */
    assert_int_equal(waits_since(FRIGATE, SECOND), 0);
}

static void test_refused_with_any(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    give(WINDOWS, SECOND);
    assert_false(run_of("attach any 1ac1:089a as vfio"));
    assert_true(waits_since(FRIGATE, FIRST) > 0);
    assert_true(waits_since(FRIGATE, SECOND) > 0);
}

/* What the VM had at its end: by its XML, by its state, and what was parked. */
static void test_what_a_vm_had(void **state) {
    struct freed_note *notes;
    struct vm_state vm_state;
    size_t count;
    (void)state;
    give(WINDOWS, FIRST);
    note_end("on vm frigate started attach 1ac1:089a as vfio\n",
             double_virt_xml(hypervisor, WINDOWS), true);
    assert_false(freed_note_exists(kept_state())); /* no rule asks for it */
    note_end(WAIT_FOR_FIRST, double_virt_xml(hypervisor, WINDOWS), false);
    assert_false(freed_note_exists(kept_state()));
    note_end(WAIT_FOR_FIRST, double_virt_xml(hypervisor, WINDOWS), true);
    notes = freed_note_all(kept_state(), &count);
    assert_int_equal(count, 1);
    assert_string_equal(notes[0].address, FIRST);
    assert_string_equal(notes[0].from, WINDOWS);
    assert_true(notes[0].has_stopped);
    assert_false(notes[0].is_ready);
    freed_note_free(notes, count);
    assert_true(notify("on vm viseron freed attach at 03:00.0 as vfio\n"));
    assert_true(
        vm_state_open(&vm_state, kept_state(), FRIGATE, &(struct vm_start){.id = 7, .seen = 1}));
    struct device parked = {SAMPLE_PCI(FIRST, 0x1ac1, 0x089a, 0)};
    vm_state_park(&vm_state, "now");
    vm_state_add_parked(&vm_state, &parked, "apex");
    vm_state_note_result(&vm_state,
                         &(struct log_entry){.action = "attach",
                                             .device = SECOND " 1ac1:089a",
                                             .result = RESULT_ATTACHED,
                                             .message = ""},
                         "now");
    vm_state_note_result(&vm_state,
                         &(struct log_entry){.action = "detach",
                                             .device = "0000:00:14.0 8086:5aa8",
                                             .result = RESULT_DETACHED,
                                             .message = ""},
                         "now");
    assert_int_equal(vm_state_save(&vm_state, kept_state(), FRIGATE, NULL), 0);
    vm_state_finish(&vm_state);
    note_end(WAIT_FOR_FIRST, double_virt_xml(hypervisor, FRIGATE), false);
    notes = freed_note_all(kept_state(), &count);
    assert_int_equal(count, 2);
    assert_string_equal(notes[0].address, FIRST);
    assert_string_equal(notes[1].address, SECOND);
    freed_note_free(notes, count);
    notify("on vm viseron freed attach at 09:00.0 as vfio\n");
    assert_false(freed_note_exists(kept_state()));
    /* This engine is late, and the VM has been started again. */
    assert_true(vm_state_open(&vm_state, kept_state(), FRIGATE,
                              &(struct vm_start){.id = 8, .seen = vm_state_now() + 1000}));
    vm_state_note_result(&vm_state,
                         &(struct log_entry){.action = "attach",
                                             .device = SECOND " 1ac1:089a",
                                             .result = RESULT_ATTACHED,
                                             .message = ""},
                         "now");
    assert_int_equal(vm_state_save(&vm_state, kept_state(), FRIGATE, NULL), 0);
    vm_state_finish(&vm_state);
    note_end(WAIT_FOR_FIRST, double_virt_xml(hypervisor, FRIGATE), false);
    assert_false(freed_note_exists(kept_state()));
}

/* Who takes a device out by hand does not want it in there. */
static void test_not_to_the_vm_it_came_from(void **state) {
    (void)state;
    freed_note_write(kept_state(), &first_tpu, FRIGATE, NULL);
    assert_true(notify("on vm frigate freed attach at 03:00.0 as vfio\n"));
    assert_string_equal(attached_to(), "");
    assert_false(freed_note_exists(kept_state()));
}

static void test_not_to_a_vm_that_gave_it_up(void **state) {
    struct vm_state vm_state;
    (void)state;
    for (int parked = 0; parked < 2; parked++) {
        assert_true(vm_state_open(&vm_state, kept_state(), FRIGATE,
                                  &(struct vm_start){.id = 1, .seen = 1}));
        vm_state.id = -1;
        if (parked) {
            vm_state_readmit(&vm_state, FIRST);
            vm_state_park(&vm_state, "now");
        } else {
            vm_state_dismiss(&vm_state, FIRST, TPU);
        }
        assert_int_equal(vm_state_save(&vm_state, kept_state(), FRIGATE, NULL), 0);
        vm_state_finish(&vm_state);
        freed_note_write_stopped(kept_state(), &first_tpu, "gone");
        assert_true(notify("on vm frigate freed attach at 03:00.0 as vfio\n"));
        assert_string_equal(attached_to(), "");
    }
}

static void test_gone_or_taken_meanwhile(void **state) {
    (void)state;
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    set_present(FIRST, false);
    assert_true(notify(WAIT_FOR_FIRST));
    set_present(FIRST, true);
    assert_string_equal(double_virt_calls(hypervisor), "");
    assert_false(freed_note_exists(kept_state()));
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    give(VISERON, FIRST);
    assert_true(notify(WAIT_FOR_FIRST));
    freed_note_write_stopped(kept_state(), &first_tpu, VISERON); /* which has started again */
    assert_true(notify(WAIT_FOR_FIRST));
    assert_string_equal(attached_to(), "");
    assert_false(freed_note_exists(kept_state()));
}

/* The note stays for the next engine. */
static void test_no_libvirt(void **state) {
    (void)state;
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    refused_opens = 1;
    assert_false(notify(WAIT_FOR_FIRST));
    assert_true(freed_note_exists(kept_state()));
    assert_true(notify(WAIT_FOR_FIRST));
    assert_true(has(FRIGATE, FIRST));
}

/* In a process that ends before it has done what it noted. */
static void note_in_another_process(bool stopped, const char *taker) {
    pid_t child = fork();
    if (child == 0) {
        if (stopped)
            freed_note_write_stopped(kept_state(), &first_tpu, WINDOWS);
        else
            freed_note_write(kept_state(), &first_tpu, WINDOWS, taker);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_an_engine_was_killed(void **state) {
    (void)state;
    note_in_another_process(true, NULL);
    assert_true(notify(WAIT_FOR_FIRST));
    assert_true(has(FRIGATE, FIRST));
    take(FRIGATE, FIRST);
    /* The taker's comes first: its rule need not name 'freed'. */
    note_in_another_process(false, VISERON);
    assert_true(notify("on vm viseron started attach at 03:00.0 as vfio take\n"
                       "on vm frigate, windows freed attach at 03:00.0 as vfio\n"));
    assert_true(has(VISERON, FIRST));
    assert_false(freed_note_exists(kept_state()));
}

/* Neither it nor the VM that it took the device for is there any more: the VM that had it gets it.
 */
static void test_the_taker_is_gone(void **state) {
    struct vm_state vm_state;
    (void)state;
    assert_true(
        vm_state_open(&vm_state, kept_state(), WINDOWS, &(struct vm_start){.id = -1, .seen = 1}));
    vm_state_dismiss(&vm_state, FIRST, TPU);
    assert_int_equal(vm_state_save(&vm_state, kept_state(), WINDOWS, NULL), 0);
    vm_state_finish(&vm_state);
    note_in_another_process(false, "gone");
    assert_true(notify("on vm windows started, freed attach at 03:00.0 as vfio\n"));
    assert_true(has(WINDOWS, FIRST));
}

/* Another engine is at it: it is left to that one. */
static void test_an_engine_is_at_it(void **state) {
    int ends[2];
    char byte;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        freed_note_write(kept_state(), &first_tpu, WINDOWS, NULL);
        (void)!write(ends[1], "", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    freed_note_withdraw(kept_state(), &first_tpu); /* not this process's */
    assert_true(notify(WAIT_FOR_FIRST));
    assert_string_equal(attached_to(), "");
    assert_true(freed_note_exists(kept_state()));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(notify(WAIT_FOR_FIRST));
    assert_true(has(FRIGATE, FIRST));
    close(ends[0]);
    close(ends[1]);
}

/* Written again while the VMs are notified: that is not lost. */
static void test_freed_again_meanwhile(void **state) {
    struct freed_note *notes;
    size_t count;
    (void)state;
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    notes = freed_note_all(kept_state(), &count);
    assert_int_equal(count, 1);
    usleep(1000);
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    assert_false(freed_note_remove(kept_state(), &notes[0]));
    freed_note_free(notes, count);
    notes = freed_note_all(kept_state(), &count);
    assert_true(freed_note_remove(kept_state(), &notes[0]));
    freed_note_free(notes, count);
    assert_false(freed_note_exists(kept_state()));
}

static void limit_files(rlim_t size) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, size ? SIG_DFL : SIG_IGN);
}

/* The disk is full before the device is noted, or before its VM has released it. */
static void test_no_space_for_the_notes(void **state) {
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int before = 0; before < 2; before++) {
        if (before)
            limit_files(0);
        freed_note_write(kept_state(), &first_tpu, WINDOWS, NULL);
        limit_files(0);
        bool exists = freed_note_exists(kept_state());
        notify(WAIT_FOR_FIRST); /* whose result is that of the log, too */
        limit_files(limit.rlim_cur);
        assert_true(exists);
        assert_true(has(FRIGATE, FIRST));
        assert_false(freed_note_exists(kept_state()));
        take(FRIGATE, FIRST);
    }
    limit_files(0);
    freed_note_write(kept_state(), &first_tpu, WINDOWS, NULL);
    limit_files(limit.rlim_cur);
    freed_note_withdraw(kept_state(), &first_tpu);
    assert_false(freed_note_exists(kept_state()));
}

static void test_damaged_notes(void **state) {
    char path[256], text[4096];
    size_t count;
    (void)state;
    freed_note_write_stopped(kept_state(), &first_tpu, "gone");
    snprintf(path, sizeof path, "%s/freed/pci-" FIRST, kept_state());
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    size_t size = fread(text, 1, sizeof text, in);
    fclose(in);
    assert_true(size > 40);
    for (size_t i = 0; i < size; i++) {
        freed_note_write_stopped(kept_state(), &first_tpu, "gone");
        FILE *out = fopen(path, "we");
        assert_non_null(out);
        fwrite(text, 1, i, out);
        fputc(text[i] ^ 1, out);
        fwrite(text + i + 1, 1, size - i - 1, out);
        fclose(out);
        freed_note_free(freed_note_all(kept_state(), &count), 0);
        assert_int_equal(count, 0);
        assert_false(freed_note_exists(kept_state()));
    }
}

/* A rule's 'detach' frees it, and the VM that releases it does not get it back. */
static void test_freed_by_a_rule(void **state) {
    static const char rules[] = "on vm frigate started detach at 03:00.0\n" WAIT_FOR_FIRST;
    (void)state;
    give(FRIGATE, FIRST);
    assert_true(run_at(EVENT_STARTED, "on vm frigate started detach at 03:00.0\n"));
    assert_false(freed_note_exists(kept_state())); /* no rule asks for it */
    give(FRIGATE, FIRST);
    run_at(EVENT_STARTED, rules);
    assert_true(freed_note_exists(kept_state()));
    assert_true(notify(rules));
    assert_true(has(WINDOWS, FIRST));
    assert_false(freed_note_exists(kept_state()));
    take(WINDOWS, FIRST);
    give(FRIGATE, FIRST);
    double_virt_refuse(hypervisor, FRIGATE, true);
    assert_false(run_at(EVENT_STARTED, rules));
    assert_false(freed_note_exists(kept_state()));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_take, begin, end),
        cmocka_unit_test_setup_teardown(test_take_at_its_start_alone, begin, end),
        cmocka_unit_test_setup_teardown(test_take_refused_by_guest, begin, end),
        cmocka_unit_test_setup_teardown(test_take_without_an_answer, begin, end),
        cmocka_unit_test_setup_teardown(test_take_while_the_other_vm_is_locked, begin, end),
        cmocka_unit_test_setup_teardown(test_take_while_it_is_locked_for_ever, begin, end),
        cmocka_unit_test_setup_teardown(test_take_without_a_lock, begin, end),
        cmocka_unit_test_setup_teardown(test_take_from_a_vm_that_stops, begin, end),
        cmocka_unit_test_setup_teardown(test_take_once, begin, end),
        cmocka_unit_test_setup_teardown(test_take_never, begin, end),
        cmocka_unit_test_setup_teardown(test_take_nothing_with_something_behind_it, begin, end),
        cmocka_unit_test_setup_teardown(test_take_any, begin, end),
        cmocka_unit_test_setup_teardown(test_take_group, begin, end),
        cmocka_unit_test_setup_teardown(test_take_all_of_a_group_or_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_take_no_group_of_an_old_kernel, begin, end),
        cmocka_unit_test_setup_teardown(test_take_and_fail, begin, end),
        cmocka_unit_test_setup_teardown(test_order_of_refusals, begin, end),
        cmocka_unit_test_setup_teardown(test_order_of_rules, begin, end),
        cmocka_unit_test_setup_teardown(test_refused_at_its_start, begin, end),
        cmocka_unit_test_setup_teardown(test_refused_with_any, begin, end),
        cmocka_unit_test_setup_teardown(test_what_a_vm_had, begin, end),
        cmocka_unit_test_setup_teardown(test_not_to_the_vm_it_came_from, begin, end),
        cmocka_unit_test_setup_teardown(test_not_to_a_vm_that_gave_it_up, begin, end),
        cmocka_unit_test_setup_teardown(test_gone_or_taken_meanwhile, begin, end),
        cmocka_unit_test_setup_teardown(test_no_libvirt, begin, end),
        cmocka_unit_test_setup_teardown(test_an_engine_was_killed, begin, end),
        cmocka_unit_test_setup_teardown(test_the_taker_is_gone, begin, end),
        cmocka_unit_test_setup_teardown(test_an_engine_is_at_it, begin, end),
        cmocka_unit_test_setup_teardown(test_freed_again_meanwhile, begin, end),
        cmocka_unit_test_setup_teardown(test_no_space_for_the_notes, begin, end),
        cmocka_unit_test_setup_teardown(test_damaged_notes, begin, end),
        cmocka_unit_test_setup_teardown(test_freed_by_a_rule, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
