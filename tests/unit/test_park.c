/* A VM that is parked: what goes out, what engines do meanwhile, and how it ends. */
#include "tests/unit/execute_world.h"

#include "engine/state/lock.h"
#include "engine/trigger/park.h"

#define BOTH "on vm frigate started attach all 1ac1:089a as vfio\n"
#define ONE "on vm frigate started attach at 03:00.0 as vfio\n"
#define OUT(ADDRESS) "detached - " ADDRESS " 1ac1:089a\n"
#define KEPT(ADDRESS) "failed - " ADDRESS " 1ac1:089a\n"

static struct virt_error error;
static const char *state_directory; /* NULL: a usual one */
static int wait_ms;

/* --- the kernel, as in the lab: the host gets no device of a group while a VM has another */

static void bind_to_vfio(struct double_virt *self, void *context) {
    (void)context;
    set_driver(strstr(double_virt_last_xml(self), "bus='0x03'") ? FIRST : SECOND, "vfio-pci");
}

static bool is_one_group, is_kept;

static void bind_to_host(struct double_virt *self, void *context) {
    bool is_first = strstr(double_virt_last_xml(self), "bus='0x03'");
    const char *other = is_first ? SECOND : FIRST;
    (void)context;
    if (is_kept)
        return;
    set_driver(is_first ? FIRST : SECOND,
               is_one_group && !strcmp(driver_of(other), "vfio-pci") ? "" : "apex");
}

static int probe(const struct host *host, const struct device *device, struct failure *failure) {
    (void)host, (void)failure;
    assert_string_equal(driver_of(device->address), "none");
    set_driver(device->address, "apex");
    return 0;
}

static int set_up_park(void **state) {
    set_up(state);
    set_driver(FIRST, "apex");
    set_driver(SECOND, "apex");
    host_source.probe = probe;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 0, bind_to_vfio, NULL);
    double_virt_before(hypervisor, DOUBLE_DETACH, 0, bind_to_host, NULL);
    state_directory = NULL;
    settled = is_one_group = is_kept = false;
    wait_ms = 0;
    came = NULL;
    return 0;
}

/* --- the commands */

struct parking {
    struct sample_rules rules;
    struct park_request request;
    struct park park;
    char *state;
};

static int begin(struct parking *parking, const char *text) {
    *parking = (struct parking){.state = memory_strdup(state_path(""))};
    const char *state = state_directory ? state_directory : parking->state;
    sample_rules_init(&parking->rules, text);
    parking->request = (struct park_request){.vm = {.virt = double_virt_port(hypervisor),
                                                    .host_source = &host_source,
                                                    .state = state,
                                                    .vm = "NVR",
                                                    .off_hint = "start it"},
                                             .state = state,
                                             .clock = &hours.clock,
                                             .log = log_write_open(parking->state, false),
                                             .program = &parking->rules.program,
                                             .wait_ms = wait_ms,
                                             .open_virt = open_double};
    return park_init(&parking->park, &parking->request, &error);
}

static void end(struct parking *parking) {
    log_write_close(parking->request.log);
    sample_rules_finish(&parking->rules);
    free(parking->state);
}

static bool park(const char *text) {
    struct parking parking;
    if (begin(&parking, text) != 0)
        fail_msg("%s", error.failure.message);
    bool good = park_execute(&parking.park);
    park_finish(&parking.park);
    end(&parking);
    return good;
}

static bool unpark(const char *text) {
    struct parking parking;
    if (begin(&parking, text) != 0)
        fail_msg("%s", error.failure.message);
    assert_true(park_is_parked(&parking.park));
    assert_true(park_end(&parking.park));
    settled = true;
    bool good = run_at(EVENT_STARTED, text); /* as apply does in another process */
    settled = false;
    good &= park_apply_other_events(&parking.park);
    park_forget(&parking.park);
    park_finish(&parking.park);
    end(&parking);
    return good;
}

static bool is_parked(void) {
    struct vm_start start = {.id = told.id};
    return vm_state_is_parked(state_path(""), FRIGATE, &start);
}

/* "0000:03:00.0 0000:04:00.0 ", of the VM's state. */
static const char *claims(void) {
    static char text[256];
    struct vm_state vm_state;
    *text = '\0';
    vm_state_load(&vm_state, state_path(""), FRIGATE);
    for (size_t i = 0; i < vm_state.parked_count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s ", vm_state.parked[i].address);
    }
    vm_state_finish(&vm_state);
    return text;
}

static bool has(const char *address) {
    struct device device = {SAMPLE_PCI("", 0x1ac1, 0x089a, 0)};
    struct domain domain;
    device.address = (char *)address;
    sample_domain(&domain, double_virt_xml(hypervisor, FRIGATE));
    bool found = backend_hostdev_of(&domain, &device);
    domain_finish(&domain);
    return found;
}

static void forget_log(void) {
    unlink(state_path("/virt-rules.log"));
}

static void attach(const char *text) {
    assert_true(run_at(EVENT_STARTED, text));
    forget_log();
    double_virt_forget_calls(hypervisor);
    *hours.slept = '\0';
}

/* --- what goes out */

static void what_rules_gave_goes_out(void **state) {
    (void)state;
    attach(BOTH);
    assert_true(park(BOTH));
    assert_string_equal(results(), OUT(FIRST) OUT(SECOND) "parked - -\n");
    assert_message(2, "2 devices are out, and it has none that a rule gave; 'virt-rules unpark "
                      "NVR' ends it");
    assert_true(is_parked());
    assert_string_equal(claims(), FIRST " " SECOND " ");
    assert_string_equal(driver_of(FIRST), "apex");
    assert_string_equal(driver_of(SECOND), "apex");
    assert_false(has_taken(FRIGATE)); /* nothing is left to give back */
    assert_string_equal(double_virt_calls(hypervisor),
                        "domain_xml NVR\ndomain_xml NVR\nwatch frigate\n"
                        "detach frigate " FIRST "\ndetach frigate " SECOND "\n"
                        "domain_xml " FRIGATE "\ndomain_xml " FRIGATE "\nwatch frigate\n");
}

static void what_no_rule_gave_stays(void **state) {
    (void)state;
    attach(ONE);
    give(FRIGATE, SECOND);
    assert_true(park(ONE));
    assert_string_equal(results(), OUT(FIRST) "parked - -\n");
    assert_message(1, "1 device is out; it still has " SECOND
                      " 1ac1:089a, which no rule gave it: libvirt may refuse to save or migrate "
                      "the VM; 'virt-rules detach NVR DEVICE'");
    assert_true(has(SECOND));
    assert_string_equal(claims(), FIRST " ");
}

/* A rule for the same device as something else would not have given it. */
static void a_rule_of_another_backend_did_not_give_it(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    assert_true(park("on vm frigate started attach 1ac1:089a as usb\n"));
    assert_string_equal(results(), "parked - -\n");
    assert_true(has(FIRST));
    assert_string_equal(claims(), "");
}

/* A rule of any event counts, and of any VM but another. */
static void rules_of_other_events_count(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    give(FRIGATE, SECOND);
    assert_true(park("on vm frigate plugged attach at 03:00.0 as vfio\n"
                     "on vm windows started attach at 04:00.0 as vfio\n"
                     "on vm frigate started detach at 04:00.0\n"));
    assert_string_equal(results(), OUT(FIRST) "parked - -\n");
}

/* It was attached by a rule that is no more. */
static void what_a_rule_gave_before_goes_out(void **state) {
    (void)state;
    attach(ONE);
    give(FRIGATE, SECOND);
    assert_true(park(""));
    assert_string_equal(results(), OUT(FIRST) "parked - -\n");
}

static void a_vm_without_devices_is_parked(void **state) {
    (void)state;
    assert_true(park(""));
    assert_string_equal(results(), "parked - -\n");
    assert_message(0, "0 devices are out, and it has none");
    assert_true(is_parked());
}

static void look_at_note(struct double_virt *self, void *seen) {
    (void)self;
    *(bool *)seen = is_parked() && !strcmp(claims(), FIRST " " SECOND " ");
}

/* Whoever is killed while the guest is asked has kept other engines from the VM. */
static void it_is_noted_before_the_guest_is_asked(void **state) {
    (void)state;
    bool seen = false;
    attach(BOTH);
    double_virt_before(hypervisor, DOUBLE_DETACH, 0, look_at_note, &seen);
    assert_true(park(BOTH));
    assert_true(seen);
}

static void what_cannot_be_noted_is_not_done(void **state) {
    (void)state;
    attach(BOTH);
    shell("mkdir %s/file && touch %s/file/vms", directory, directory);
    char *path = memory_printf("%s/file", directory);
    state_directory = path;
    assert_false(park(BOTH));
    free(path);
    assert_true(has(FIRST) && has(SECOND));
    assert_string_equal(results(), "failed - -\n");
    assert_message(0, "the VM is not parked");
    assert_null(strstr(double_virt_calls(hypervisor), "detach"));
}

static void says_when_the_vm_does_not_run(void **state) {
    (void)state;
    struct parking parking;
    double_virt_stop(hypervisor, FRIGATE);
    assert_int_equal(begin(&parking, BOTH), -1);
    assert_string_equal(error.failure.message, "VM 'NVR' is not running");
    assert_string_equal(error.failure.hint, "start it");
    assert_int_equal(error.kind, VIRT_NOT_RUNNING);
    end(&parking);
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

/* --- the guest */

static void take_second(struct double_virt *self, void *context) {
    (void)self, (void)context;
    take(FRIGATE, SECOND);
    set_driver(SECOND, "apex");
}

static void all_are_waited_for_together(void **state) {
    (void)state;
    attach(BOTH);
    is_kept = true;
    int64_t began = hours.now;
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_before(hypervisor, DOUBLE_WAIT, 2, take_second, NULL);
    wait_ms = 20000;
    assert_false(park(BOTH));
    assert_int_equal(hours.now - began, 20000);
    assert_string_equal(results(), KEPT(FIRST) OUT(SECOND) "failed - -\n");
    assert_message(0, "did not answer");
    assert_message(2, "it is parked, but still has " FIRST
                      " 1ac1:089a; 'virt-rules park NVR' asks its guest again; "
                      "'virt-rules unpark NVR' gives it back what is out");
    assert_true(is_parked());
    assert_string_equal(claims(), FIRST " " SECOND " ");
    assert_string_equal(driver_of(SECOND), "apex");
}

static void another_try_asks_for_the_rest(void **state) {
    (void)state;
    struct vm_state vm_state;
    attach(BOTH);
    is_kept = true;
    double_virt_refuse(hypervisor, FRIGATE, true);
    assert_false(park(BOTH));
    assert_string_equal(results(), KEPT(FIRST) KEPT(SECOND) "failed - -\n");
    assert_message(0, "the guest refuses to release the device");
    vm_state_load(&vm_state, state_path(""), FRIGATE);
    char *since = memory_strdup(vm_state.parked_since);
    vm_state_finish(&vm_state);
    forget_log();
    is_kept = false;
    double_virt_refuse(hypervisor, FRIGATE, false);
    assert_true(park(BOTH));
    assert_string_equal(results(), OUT(FIRST) OUT(SECOND) "parked - -\n");
    forget_log();
    assert_true(park(BOTH)); /* nothing is left to do */
    assert_string_equal(results(), "parked - -\n");
    assert_string_equal(claims(), FIRST " " SECOND " ");
    vm_state_load(&vm_state, state_path(""), FRIGATE);
    assert_string_equal(vm_state.parked_since, since);
    vm_state_finish(&vm_state);
    free(since);
}

static void what_passes_is_asked_again(void **state) {
    (void)state;
    attach(BOTH);
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_TRANSIENT, "state change lock");
    double_virt_fail(hypervisor, DOUBLE_DETACH, 3, VIRT_FAILED, "no way");
    assert_false(park(BOTH));
    assert_string_equal(hours.slept, "250 ");
    assert_string_equal(results(), OUT(FIRST) KEPT(SECOND) "failed - -\n");
}

static void a_libvirt_that_does_not_answer_is_asked_once(void **state) {
    (void)state;
    attach(BOTH);
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_NO_REPLY, "no answer");
    assert_false(park(BOTH));
    assert_string_equal(results(), KEPT(FIRST) "failed - -\n");
    assert_null(strstr(double_virt_calls(hypervisor), "detach frigate " SECOND));
    assert_true(is_parked());
}

static void stop_the_vm(struct double_virt *self, void *context) {
    (void)context;
    double_virt_stop(self, FRIGATE);
}

static void the_vm_stops_meanwhile(void **state) {
    (void)state;
    attach(BOTH);
    double_virt_deaf(hypervisor, FRIGATE, true);
    double_virt_before(hypervisor, DOUBLE_WAIT, 2, stop_the_vm, NULL);
    assert_false(park(BOTH));
    assert_string_equal(results(), "failed - -\n");
    assert_message(0, "the VM has stopped, so it is not parked any more");
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_false(is_parked());
    assert_string_equal(claims(), "");
}

static void the_vm_stops_before_it_is_asked(void **state) {
    (void)state;
    attach(BOTH);
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, stop_the_vm, NULL);
    assert_false(park(BOTH));
    assert_string_equal(results(), "failed - -\n");
    assert_message(0, "the VM has stopped, so it is not parked any more");
}

static void give_second(struct double_virt *self, void *context) {
    (void)context;
    give(FRIGATE, SECOND);
    double_virt_before(self, DOUBLE_DETACH, 1, bind_to_host, NULL);
}

/* libvirt was still at it when its engine was killed. */
static void what_comes_meanwhile_goes_too(void **state) {
    (void)state;
    attach(ONE);
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, give_second, NULL);
    assert_true(park(BOTH));
    assert_string_equal(results(), OUT(FIRST) OUT(SECOND) "parked - -\n");
    assert_string_equal(claims(), FIRST " " SECOND " ");
}

/* --- groups */

static void make_group(const char *kernel) {
    shell("cd %s/sys/bus/pci/devices && for i in 03 04; do ln -sfn /groups/99 "
          "0000:$i:00.0/iommu_group; done; mkdir -p %s/proc/sys/kernel",
          host_root, host_root);
    shell("echo %s >%s/proc/sys/kernel/osrelease", kernel, host_root);
    is_one_group = true;
}

#define GROUP "on vm frigate started attach at 03:00.0 with group as vfio\n"

static void a_group_goes_as_a_whole(void **state) {
    (void)state;
    make_group("6.1.0");
    give(FRIGATE, FIRST);
    give(FRIGATE, SECOND);
    struct vm_state vm_state = {.id = told.id};
    struct failure failure;
    note_taken(&vm_state, FIRST, "apex");
    note_taken(&vm_state, SECOND, "apex");
    set_driver(FIRST, "vfio-pci");
    set_driver(SECOND, "vfio-pci");
    assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
    assert_true(park(GROUP)); /* the second by its group alone */
    assert_string_equal(results(),
                        OUT(FIRST) OUT(SECOND) "detached - " FIRST " 1ac1:089a\nparked - -\n");
    assert_message(2, "bound to its host driver again");
    assert_string_equal(driver_of(FIRST), "apex");
    assert_string_equal(driver_of(SECOND), "apex");
    assert_false(has_taken(FRIGATE));
}

static void an_old_kernel_keeps_a_group(void **state) {
    (void)state;
    make_group("5.10.0");
    give(FRIGATE, FIRST);
    give(FRIGATE, SECOND);
    assert_false(park(GROUP));
    assert_string_equal(results(), "refused - " FIRST " 1ac1:089a\nrefused - " SECOND
                                   " 1ac1:089a\nfailed - -\n");
    assert_message(0, "Linux before 5.19 cannot split a group");
    assert_null(strstr(double_virt_calls(hypervisor), "detach"));
}

/* The guest released it after 'park' had given up. */
static void what_went_late_gets_its_driver(void **state) {
    (void)state;
    attach(ONE);
    is_kept = true;
    double_virt_deaf(hypervisor, FRIGATE, true);
    assert_false(park(ONE));
    take(FRIGATE, FIRST);
    set_driver(FIRST, "");
    assert_true(has_taken(FRIGATE));
    forget_log();
    assert_true(park(ONE));
    assert_string_equal(results(), OUT(FIRST) "parked - -\n");
    assert_message(0, "bound to its host driver again");
    assert_string_equal(driver_of(FIRST), "apex");
    assert_false(has_taken(FRIGATE));
}

/* --- what engines do meanwhile */

static void a_parked_vm_gets_nothing(void **state) {
    (void)state;
    assert_true(park(BOTH));
    forget_log();
    double_virt_forget_calls(hypervisor);
    settled = true; /* 'apply' */
    assert_true(run_at(EVENT_STARTED, BOTH ONE));
    settled = false;
    assert_string_equal(results(), "parked - -\n"); /* once */
    assert_message(0, "the VM is parked; 'virt-rules unpark VM'");
    assert_true(run_at(EVENT_RECONNECT, "on vm frigate reconnect attach all 1ac1:089a as vfio\n"));
    assert_true(run_at(EVENT_PLUGGED, "on vm frigate plugged attach any 1ac1:089a as vfio\n"));
    assert_string_equal(results(), "parked - -\nparked - -\nparked - -\n");
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
    assert_string_equal(driver_of(FIRST), "apex");
    assert_true(is_parked());
}

static void programs_and_detach_go_on(void **state) {
    (void)state;
    assert_true(park(""));
    give(FRIGATE, SECOND);
    forget_log();
    assert_true(run_at(EVENT_PLUGGED, "on vm frigate plugged {\n"
                                      "    attach at 03:00.0 as vfio\n"
                                      "    detach at 04:00.0\n"
                                      "    run \"/bin/true\"\n"
                                      "}\n"));
    assert_string_equal(results(), "parked - -\ndetached detach " SECOND " 1ac1:089a\nran run -\n");
    assert_false(has(FIRST));
}

static void park_and_bring_it(void) {
    assert_true(park(ONE));
    set_present(FIRST, true);
}

/* A run that waits for its device. */
static void a_run_under_way_sees_it(void **state) {
    (void)state;
    set_present(FIRST, false);
    hours.at = hours.now + 60000;
    hours.then = park_and_bring_it;
    assert_true(run_of("attach at 03:00.0 as vfio within 10m"));
    assert_string_equal(results(), "parked - -\nparked - -\n");
    assert_false(has(FIRST));
    assert_true(hours.now < hours.at + 60000); /* it does not wait on */
}

static void park_now(void) {
    assert_true(park(ONE));
}

/* A run that is to try again. */
static void a_retry_sees_it(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_TRANSIENT, "state change lock");
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 2, VIRT_TRANSIENT, "state change lock");
    hours.at = hours.now + 500;
    hours.then = park_now;
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), "parked - -\nparked - -\n");
    assert_false(has(FIRST));
}

/* A run that checks whether the guest keeps its device while it boots. */
static void the_look_after_the_boot_sees_it(void **state) {
    (void)state;
    boot_ms = 30000;
    hours.at = hours.now + 10000;
    hours.then = park_now;
    assert_true(run_of("attach at 03:00.0 as vfio"));
    boot_ms = -1;
    assert_string_equal(results(), ATTACHED(FIRST) OUT(FIRST) "parked - -\nparked - -\n");
    assert_false(has(FIRST));
}

static void the_next_start_is_not_parked(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = told.id + 1, .started = 1};
    struct failure failure;
    vm_state_park(&vm_state, "2026-11-22T11:00:00.000+01:00");
    assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
    assert_true(run_at(EVENT_STARTED, ONE));
    assert_string_equal(results(), ATTACHED(FIRST));
}

static void the_end_of_the_vm_ends_it(void **state) {
    (void)state;
    attach(ONE);
    assert_true(park(ONE));
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

/* --- how it ends */

static void unpark_applies_the_rules(void **state) {
    (void)state;
    attach(BOTH);
    assert_true(park(BOTH));
    forget_log();
    assert_true(unpark(BOTH));
    assert_string_equal(results(), "ran - -\n" ATTACHED(FIRST) ATTACHED(SECOND));
    assert_message(0, "the VM is not parked any more");
    assert_false(is_parked());
    assert_string_equal(claims(), "");
}

/* What 'apply' alone would not attach. */
static void unpark_applies_the_rules_of_other_events(void **state) {
    (void)state;
    static const char text[] = "on vm frigate started attach at 03:00.0 as vfio\n"
                               "on vm frigate plugged {\n"
                               "    attach at 04:00.0 as vfio\n"
                               "    run \"/bin/false\"\n"
                               "}\n";
    give(FRIGATE, SECOND);
    attach(text);
    assert_true(park(text));
    assert_false(has(FIRST) || has(SECOND));
    forget_log();
    assert_true(unpark(text));
    assert_string_equal(results(), "ran - -\n" ATTACHED(FIRST) ATTACHED(SECOND));
}

static void what_another_vm_got_stays_there(void **state) {
    (void)state;
    attach(BOTH);
    assert_true(park(BOTH));
    give(WINDOWS, FIRST);
    forget_log();
    assert_false(unpark(BOTH));
    assert_string_equal(results(), "ran - -\n" REFUSED(FIRST) ATTACHED(SECOND));
    assert_false(is_parked());
}

/* One that is killed before it has applied the rules. */
static void unpark_goes_on_where_another_was(void **state) {
    (void)state;
    struct parking parking;
    attach(BOTH);
    assert_true(park(BOTH));
    assert_int_equal(begin(&parking, BOTH), 0);
    assert_true(park_end(&parking.park));
    park_finish(&parking.park);
    end(&parking);
    assert_false(is_parked());
    assert_string_equal(claims(), FIRST " " SECOND " ");
    forget_log();
    assert_true(unpark(BOTH));
    assert_true(has(FIRST) && has(SECOND));
    assert_int_equal(begin(&parking, BOTH), 0);
    assert_false(park_is_parked(&parking.park));
    park_finish(&parking.park);
    end(&parking);
}

/* Parked again while the rules were being applied: the new mark stays. */
static void parked_again_meanwhile(void **state) {
    (void)state;
    struct parking parking;
    assert_true(park(ONE));
    assert_int_equal(begin(&parking, ONE), 0);
    assert_true(park_end(&parking.park));
    assert_true(park(ONE)); /* the lock is free */
    park_forget(&parking.park);
    park_finish(&parking.park);
    end(&parking);
    assert_true(is_parked());
}

/* --- showing it */

static char *show(const char *text, bool json, bool *possible) {
    struct parking parking;
    char *printed = NULL;
    size_t size;
    FILE *out = memory_stream(&printed, &size);
    assert_int_equal(begin(&parking, text), 0);
    *possible = park_print(&parking.park, out, json);
    park_finish(&parking.park);
    end(&parking);
    memory_stream_close(out, &printed);
    return printed;
}

static void shows_what_it_would_do(void **state) {
    (void)state;
    bool possible;
    attach(ONE);
    give(FRIGATE, SECOND);
    char *text = show(ONE, false, &possible);
    assert_true(possible);
    assert_non_null(strstr(text, "NVR: would be parked\nNVR: would detach " FIRST " 1ac1:089a "));
    assert_non_null(strstr(text, "(hostdev0)\nNVR: would leave " SECOND " 1ac1:089a "));
    assert_non_null(strstr(text, "(hostdev1): no rule gave it\n"));
    free(text);
    assert_true(has(FIRST));
    assert_false(is_parked());
    assert_true(park(""));
    text = show("", true, &possible);
    struct json_object *document = json_tokener_parse(text);
    assert_string_equal(field(document, "vm"), "NVR");
    assert_string_equal(field(document, "uuid"), FRIGATE);
    assert_string_equal(field(document, "parked"), "true");
    assert_non_null(strstr(field(document, "parked_since"), "T"));
    assert_string_equal(field(document, "devices"), "[ ]");
    assert_non_null(strstr(field(document, "other_devices"), "\"device\": \"" SECOND));
    json_object_put(document);
    free(text);
    text = show("", false, &possible);
    assert_non_null(strstr(text, "NVR: is parked since 2"));
    free(text);
}

static void shows_what_cannot_go(void **state) {
    (void)state;
    bool possible;
    make_group("5.10.0");
    give(FRIGATE, FIRST);
    give(FRIGATE, SECOND);
    char *text = show(GROUP, false, &possible);
    assert_false(possible);
    assert_non_null(strstr(text, "NVR: would refuse " FIRST));
    assert_non_null(strstr(text, "cannot split a group\n"));
    free(text);
}

#define PARK_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_park, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PARK_TEST(what_rules_gave_goes_out),
        PARK_TEST(what_no_rule_gave_stays),
        PARK_TEST(a_rule_of_another_backend_did_not_give_it),
        PARK_TEST(rules_of_other_events_count),
        PARK_TEST(what_a_rule_gave_before_goes_out),
        PARK_TEST(a_vm_without_devices_is_parked),
        PARK_TEST(it_is_noted_before_the_guest_is_asked),
        PARK_TEST(what_cannot_be_noted_is_not_done),
        PARK_TEST(says_when_the_vm_does_not_run),
        PARK_TEST(all_are_waited_for_together),
        PARK_TEST(another_try_asks_for_the_rest),
        PARK_TEST(what_passes_is_asked_again),
        PARK_TEST(a_libvirt_that_does_not_answer_is_asked_once),
        PARK_TEST(the_vm_stops_meanwhile),
        PARK_TEST(the_vm_stops_before_it_is_asked),
        PARK_TEST(what_comes_meanwhile_goes_too),
        PARK_TEST(a_group_goes_as_a_whole),
        PARK_TEST(an_old_kernel_keeps_a_group),
        PARK_TEST(what_went_late_gets_its_driver),
        PARK_TEST(a_parked_vm_gets_nothing),
        PARK_TEST(programs_and_detach_go_on),
        PARK_TEST(a_run_under_way_sees_it),
        PARK_TEST(a_retry_sees_it),
        PARK_TEST(the_look_after_the_boot_sees_it),
        PARK_TEST(the_next_start_is_not_parked),
        PARK_TEST(the_end_of_the_vm_ends_it),
        PARK_TEST(unpark_applies_the_rules),
        PARK_TEST(unpark_applies_the_rules_of_other_events),
        PARK_TEST(what_another_vm_got_stays_there),
        PARK_TEST(unpark_goes_on_where_another_was),
        PARK_TEST(parked_again_meanwhile),
        PARK_TEST(shows_what_it_would_do),
        PARK_TEST(shows_what_cannot_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
