/* An event from rules to results, with the hypervisor's double, a clock that only jumps, and a copy
 * of the sample host with two TPUs. */
#include "tests/unit/execute_world.h"
#include "tests/unit/range.h"

#include "engine/state/lock.h"
#include "engine/state/pending.h"
#include "engine/state/vm_state.h"
#include "engine/system/clock.h"

/* --- when all is well */

static void attach_in_exact_order(void **state) {
    (void)state;
    assert_true(run_of("attach all 1ac1:089a as vfio"));
    assert_string_equal(double_virt_calls(hypervisor),
                        OTHER_XML "attach frigate " FIRST "\ndomain_xml " FRIGATE "\n"
                                  "attach frigate " SECOND "\ndomain_xml " FRIGATE "\nclose\n");
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND));
    assert_string_equal(hours.slept, "");
    assert_int_equal(opened, 1);
}

static void a_line_of_the_log_as_promised(void **state) {
    (void)state;
    assert_true(run_of("attach at 03:00.0 as vfio"));
    struct json_object *line = log_line(0);
    assert_non_null(line);
    assert_int_equal(json_object_object_length(line), 11);
    assert_string_equal(field(line, "call_ms"), "0");
    assert_string_equal(field(line, "event_ms"), "0");
    const char *time = field(line, "time");
    char zone[8] = "";
    int year;
    double seconds;
    /* NOLINTNEXTLINE(cert-err34-c): the count is looked at */
    int found = sscanf(time, "%4d-%*2d-%*2dT%*2d:%*2d:%lf%6[0-9Z:+-]", &year, &seconds, zone);
    assert_int_equal(found, 3);
    assert_true(!strcmp(zone, "Z") || (strlen(zone) == 6 && zone[3] == ':'));
    assert_string_equal(field(line, "vm"), "NVR");
    assert_string_equal(field(line, "uuid"), FRIGATE);
    assert_string_equal(field(line, "event"), "started");
    assert_string_equal(field(line, "action"), "attach");
    assert_string_equal(field(line, "device"), FIRST " 1ac1:089a");
    assert_string_equal(field(line, "rule"), "t.rules:1");
    assert_string_equal(field(line, "result"), "attached");
    assert_non_null(strstr(field(line, "message"), "host driver was"));
    json_object_put(line);
    assert_null(log_line(1));
}

static void the_same_event_twice_changes_nothing(void **state) {
    (void)state;
    assert_true(run_of("attach any 1ac1:089a as vfio then reset"));
    double_virt_forget_calls(hypervisor);
    assert_true(run_of("attach any 1ac1:089a as vfio then reset"));
    assert_string_equal(double_virt_calls(hypervisor), OTHER_XML "close\n");
    assert_string_equal(results(), ATTACHED(FIRST) "ran - -\n" ALREADY(FIRST));
}

static void an_event_without_a_rule_opens_nothing(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, "on vm other started attach all 1ac1:089a as vfio\n"));
    assert_true(run_at(EVENT_RECONNECT, "on vm any started attach all 1ac1:089a as vfio\n"));
    assert_true(run_at(EVENT_STARTED, ""));
    assert_int_equal(opened, 0);
    assert_string_equal(double_virt_calls(hypervisor), "");
    assert_string_equal(results(), "");
    assert_int_not_equal(access(state_path("/locks"), F_OK), 0);
}

/* --- errors that pass */

static void passing_errors_are_tried_again(void **state) {
    (void)state;
    for (unsigned i = 1; i <= 7; i++)
        double_virt_fail(hypervisor, DOUBLE_ATTACH, i, VIRT_TRANSIENT,
                         "cannot acquire state change lock");
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(hours.slept, "250 500 1000 2000 4000 5000 5000 ");
    assert_string_equal(results(), ATTACHED(FIRST));
}

static void passing_errors_have_an_end(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 0, VIRT_TRANSIENT,
                     "cannot acquire state change lock");
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), FAILED(FIRST));
    assert_message(0, "cannot acquire state change lock (retried until");
    assert_int_in_range(hours.now - 5000, 50000, 60000);
}

static void within_is_the_time_to_try(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 0, VIRT_TRANSIENT,
                     "cannot acquire state change lock");
    assert_false(run_of("attach at 03:00.0 as vfio within 2s"));
    assert_string_equal(hours.slept, "250 500 1000 ");
    assert_string_equal(results(), FAILED(FIRST));
}

static void a_running_vm_may_not_be_ready(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_NOT_RUNNING, "domain is not running");
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
}

static void an_error_for_good_is_not_tried_again(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_FAILED, "group 18 is not viable");
    assert_false(run_of("attach all 1ac1:089a as vfio"));
    assert_string_equal(results(), FAILED(FIRST) ATTACHED(SECOND));
    assert_message(0, "group 18 is not viable");
    assert_string_equal(hours.slept, "");
}

/* The card is pulled while libvirt is busy. */
static void first_goes(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    set_present(FIRST, false);
}

static void between_two_tries_the_world_is_looked_at(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_TRANSIENT,
                     "cannot acquire state change lock");
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, first_goes, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), "absent attach at 03:00.0\n");
    assert_non_null(strstr(double_virt_calls(hypervisor), "attach frigate " FIRST "\n"));
    assert_null(strstr(strstr(double_virt_calls(hypervisor), "attach ") + 1, "attach "));
}

static void one_that_waits_does_not_hold_the_others(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_TRANSIENT,
                     "cannot acquire state change lock");
    assert_true(run_of("attach at 03:00.0, at 04:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(SECOND) ATTACHED(FIRST));
}

/* --- which VM */

#define SPARE "00000000-0000-4000-8000-000000000003"

static void tell_of(const char *uuid) {
    domain_finish(&told);
    sample_domain(&told, double_virt_xml(hypervisor, uuid));
}

/* 'frigate' is the name of one running VM and the title of another. */
static void a_name_is_meant_before_a_title(void **state) {
    (void)state;
    double_virt_add(hypervisor, SPARE, "spare", "frigate");
    tell_of(SPARE);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), "");
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
    tell_of(FRIGATE);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_non_null(strstr(double_virt_calls(hypervisor), "attach frigate "));
}

static int (*load_host)(const struct host_source *, struct host *, struct failure *);
static bool was_part; /* that a part was asked for first */
static unsigned loads;

static int load_noted(const struct host_source *source, struct host *host,
                      struct failure *failure) {
    if (!loads++)
        was_part = source->scope;
    return load_host(source, host, failure);
}

/* The start of a VM does not wait for the rest of the host, by whichever name a rule means it. */
static void the_part_of_the_host_is_read_for_a_title_too(void **state) {
    static const char *const vms[] = {"frigate", "NVR"};
    (void)state;
    load_host = host_source.load;
    host_source.load = load_noted;
    for (size_t i = 0; i < sizeof vms / sizeof *vms; i++) {
        char *rule = memory_printf("on vm %s started attach at 03:00.0 as vfio\n", vms[i]);
        was_part = false;
        loads = 0;
        assert_true(run_at(EVENT_STARTED, rule));
        assert_true(was_part);
        take(FRIGATE, FIRST);
        free(rule);
    }
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(FIRST));
}

static void equal_titles_are_given_nothing(void **state) {
    static const char rule[] = "on vm NVR started attach at 03:00.0 as vfio\n";
    static const char *const vms[] = {FRIGATE, SPARE};
    (void)state;
    double_virt_add(hypervisor, SPARE, "spare", "NVR");
    for (size_t i = 0; i < 2; i++) {
        tell_of(vms[i]);
        assert_false(run_at(EVENT_STARTED, rule));
        assert_message(i, "have the same title 'NVR'");
        assert_message(i, "on vm uuid UUID");
    }
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
    /* of as many as there are VMs, each gets its own */
    tell_of(FRIGATE);
    assert_true(run_at(EVENT_STARTED, "on vm NVR started attach any 1ac1:089a as vfio\n"));
    double_virt_remove(hypervisor, SPARE);
    assert_true(run_at(EVENT_STARTED, rule));
}

static void a_uuid_says_which_of_equal_titles_is_meant(void **state) {
    static const char rule[] = "on vm uuid " SPARE " started attach at 03:00.0 as vfio\n";
    (void)state;
    double_virt_add(hypervisor, SPARE, "spare", "NVR");
    tell_of(FRIGATE);
    assert_true(run_at(EVENT_STARTED, rule));
    assert_string_equal(results(), "");
    tell_of(SPARE);
    assert_true(run_at(EVENT_STARTED, rule));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_non_null(strstr(double_virt_calls(hypervisor), "attach spare "));
}

/* --- held */

static void give_to_frigate(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    give(FRIGATE, FIRST);
}

static void give_to_windows(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    give(WINDOWS, FIRST);
}

static void held_by_itself_is_a_success(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, give_to_frigate, NULL);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(results(), ALREADY(FIRST));
    assert_null(strstr(double_virt_calls(hypervisor), "reset"));
}

static void another_vm_was_faster_and_any_goes_on(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, give_to_windows, NULL);
    assert_true(run_of("attach any 1ac1:089a as vfio"));
    assert_string_equal(results(), ATTACHED(SECOND));
}

static void another_vm_was_faster_and_it_is_refused(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, give_to_windows, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), REFUSED(FIRST));
    assert_message(0, "VM 'windows' has it");
}

static void held_and_nobody_shows_it(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_BUSY, "is in use by driver QEMU, domain x");
    assert_true(run_of("attach any 1ac1:089a as vfio"));
    assert_string_equal(results(), ATTACHED(SECOND));
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 0, VIRT_BUSY, "is in use by driver QEMU, domain x");
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_message(1, "is in use by driver QEMU, domain x");
    assert_string_equal(results(), ATTACHED(SECOND) REFUSED(FIRST));
    assert_true(hours.now < 10000);
}

#define IN_USE_BY_ITSELF                                                                           \
    "Requested operation is not valid: PCI device " FIRST                                          \
    " is in use by driver QEMU, domain frigate"

static void libvirt_is_not_done_with_a_detach(void **state) {
    (void)state;
    for (unsigned i = 1; i <= 3; i++)
        double_virt_fail(hypervisor, DOUBLE_ATTACH, i, VIRT_BUSY, IN_USE_BY_ITSELF);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_int_in_range(hours.now - 5000, 1000, 4000);
}

static void libvirt_counts_it_as_in_use_for_good(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 0, VIRT_BUSY, IN_USE_BY_ITSELF);
    assert_false(run_of("attach at 03:00.0 as vfio within 2s"));
    assert_string_equal(results(), REFUSED(FIRST));
    assert_message(0, "domain frigate; libvirt counts the device as in use by this VM");
    assert_message(0, "restart the libvirt daemon (VMs keep running), then run 'virt-rules apply'");
    assert_int_in_range(hours.now - 5000, 1000, 3000);
}

static void held_by_another_vm_from_the_beginning(void **state) {
    (void)state;
    give(WINDOWS, FIRST);
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_true(run_of("attach any 1ac1:089a as vfio"));
    assert_string_equal(results(), REFUSED(FIRST) ATTACHED(SECOND));
    assert_null(strstr(double_virt_calls(hypervisor), "attach frigate " FIRST));
}

/* --- the VM was started again */

static void stop_frigate(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    double_virt_stop(hypervisor, FRIGATE);
}

static void start_frigate_again(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    double_virt_add_xml(hypervisor,
                        "<domain type='kvm' id='77'><name>frigate</name><uuid>" FRIGATE "</uuid>"
                        "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                        "<controller type='pci' model='pcie-root'/>"
                        "<controller type='pci' model='pcie-root-port' index='1'/>"
                        "<controller type='pci' model='pcie-root-port' index='2'/>"
                        "</devices></domain>");
}

static void start_with_first(struct double_virt *unused, void *context) {
    start_frigate_again(unused, context);
    give(FRIGATE, FIRST);
}

static void a_vm_that_stopped_gets_nothing(void **state) {
    (void)state;
    double_virt_stop(hypervisor, FRIGATE);
    assert_false(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(double_virt_calls(hypervisor), "domain_xml " FRIGATE "\nclose\n");
    assert_string_equal(results(), "failed - -\n");
    assert_message(0, "the VM has stopped; nothing more is done");
}

static void a_vm_that_was_started_again_gets_nothing(void **state) {
    (void)state;
    start_frigate_again(NULL, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(double_virt_calls(hypervisor), "domain_xml " FRIGATE "\nclose\n");
    assert_message(0, "started again since");
}

/* Right before the call, and the call is not made. */
static void a_life_that_begins_before_the_attach_gets_nothing(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, start_frigate_again, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio then reset"));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
    assert_string_equal(results(), "failed - -\n");
    assert_message(0, "started again since");
}

static void a_life_that_begins_before_the_reset_is_not_reset(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_RESET, 1, start_frigate_again, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(results(), ATTACHED(FIRST) "failed - -\n");
    assert_message(1, "the VM has been started again since");
}

static void a_life_that_begins_before_the_detach_keeps_it(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, start_with_first, NULL);
    assert_false(run_of("detach at 03:00.0"));
    assert_non_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void a_vm_that_is_gone(void **state) {
    (void)state;
    double_virt_remove(hypervisor, FRIGATE);
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), "failed - -\n");
    assert_message(0, "no domain with matching uuid");
}

static void stopped_while_it_waits(void **state) {
    (void)state;
    set_present(FIRST, false);
    double_virt_before(hypervisor, DOUBLE_XML, 3, stop_frigate, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio within 1m"));
    assert_string_equal(results(), "failed - -\n");
    assert_message(0, "the VM has stopped");
    assert_string_equal(hours.slept, "250 250 ");
}

static void a_new_life_is_never_reset(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_XML, 3, start_frigate_again, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio then reset"));
    assert_null(strstr(double_virt_calls(hypervisor), "reset"));
    assert_string_equal(results(), ATTACHED(FIRST) "failed - -\n");
}

static void stopped_right_after_the_attach(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_XML, 2, stop_frigate, NULL);
    assert_false(run_of("attach all 1ac1:089a as vfio then reset"));
    assert_string_equal(results(), "failed - -\n" FAILED(FIRST));
    assert_message(1, "could not be read");
    assert_null(strstr(double_virt_calls(hypervisor), "reset"));
    assert_null(strstr(double_virt_calls(hypervisor), "attach frigate " SECOND));
}

/* --- absent */

static void put_first_back(void) {
    set_present(FIRST, true);
}

static void an_absent_device_is_said(void **state) {
    (void)state;
    assert_false(run_of("attach ffff:0001 as vfio"));
    assert_true(run_of("attach ffff:0002 as vfio optional"));
    assert_string_equal(results(), "absent attach ffff:0001\nabsent attach ffff:0002\n");
    assert_string_equal(hours.slept, "");
}

static void a_device_that_comes_within_its_time(void **state) {
    (void)state;
    set_present(FIRST, false);
    hours.at = 5000 + 9000;
    hours.then = put_first_back;
    assert_true(run_of("attach at 03:00.0 as vfio within 10s"));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_int_in_range(hours.now - 5000, 9000, 10000);
}

static void a_device_that_does_not_come(void **state) {
    (void)state;
    set_present(FIRST, false);
    assert_false(run_of("attach at 03:00.0 as vfio within 10s"));
    assert_string_equal(results(), "absent attach at 03:00.0\n");
    assert_int_equal(hours.now, 15000);
    assert_true(strlen(hours.slept) < 200); /* more seldom the longer it lasts */
}

/* A program that udev runs, and one of a person's, at a device that was there before. */
static void open_first(const char *parent) {
    shell("d=$(find %s/sys/devices -type d -name %s) && mkdir -p $d/apex/apex_0", host_root, FIRST);
    shell("cd %s && mkdir -p proc/42/fd proc/41 sys/class/apex dev && touch dev/apex_0 && "
          "ln -s $(find sys/devices -type d -name apex_0 -printf ../../../%%p) "
          "sys/class/apex/apex_0 && ln -s ../../%s sys/class/apex/apex_0/device",
          host_root, FIRST);
    shell("cd %s/proc && ln -s /dev/apex_0 42/fd/3 && echo reader >42/comm && echo %s >41/comm && "
          "echo '42 (reader) D 41 1 1 0 -1 4194304 0 0' >42/stat",
          host_root, parent);
}

static void close_first(void) {
    shell("rm -r %s/proc/42 %s/proc/41", host_root, host_root);
}

static void a_program_of_udev_is_waited_for(void **state) {
    (void)state;
    open_first("systemd-udevd");
    hours.at = 5000 + 3000;
    hours.then = close_first;
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_int_in_range(hours.now - 5000, 3000, 4000);
}

static void a_daemon_of_udev_is_a_use(void **state) {
    (void)state;
    open_first("mdev");
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_message(0, "the host uses it in reader (process 42: /dev/apex_0)");
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
    assert_int_in_range(hours.now - 5000, 10000, 16000);
}

static void another_program_is_not_waited_for(void **state) {
    (void)state;
    open_first("sh");
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_message(0, "the host uses it in reader (process 42: /dev/apex_0)");
    assert_string_equal(hours.slept, "");
}

static void any_two_wait_for_the_second(void **state) {
    (void)state;
    set_present(FIRST, false);
    hours.at = 5000 + 1500;
    hours.then = put_first_back;
    assert_true(run_of("attach any 2 1ac1:089a as vfio within 10s"));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND));
}

static void after_is_a_delay(void **state) {
    (void)state;
    assert_true(run_of("{\n attach at 03:00.0 as vfio after 3s\n attach at 04:00.0 as vfio\n}"));
    assert_string_equal(hours.slept, "3000 ");
    assert_string_equal(results(), ATTACHED(SECOND) ATTACHED(FIRST));
}

static void within_begins_after_after(void **state) {
    (void)state;
    set_present(FIRST, false);
    assert_false(run_of("attach at 03:00.0 as vfio after 3s within 2s"));
    assert_int_equal(hours.now, 10000);
}

/* --- the guest's USB controllers */

#define USB_VM(ports)                                                                              \
    "<domain type='kvm' id='1'><name>frigate</name><uuid>" FRIGATE "</uuid><title>NVR</title>"     \
    "<os><type machine='pc-i440fx-7.2'>hvm</type></os><devices>"                                   \
    "<controller type='usb' index='0' model='piix3-uhci'/>"                                        \
    "<controller type='usb' index='1' model='nec-xhci' ports='" ports "'/>"                        \
    "<input bus='usb'><address type='usb' bus='1' port='1'/></input></devices></domain>"

/* The sample host that has a Coral USB, at that many Mbit/s. */
static void plug_coral(const char *speed) {
    shell("rm -rf %s; cp -a tests/hosts/usb %s", host_root, host_root);
    shell("echo %s >\"$(find %s -path '*1-1.4/speed')\"", speed, host_root);
}

/* libvirt by itself takes the first controller. */
static void a_stick_goes_to_the_fastest_controller(void **state) {
    (void)state;
    plug_coral("480");
    double_virt_add_xml(hypervisor, USB_VM("4"));
    assert_true(run_of("attach 1a6e:089a as usb"));
    assert_string_equal(results(), "attached attach 1-1.4 1a6e:089a\n");
    assert_non_null(strstr(double_virt_last_xml(hypervisor), "<address type='usb' bus='1'/>"));
    assert_non_null(strstr(double_virt_xml(hypervisor, FRIGATE),
                           "<address type='usb' bus='1' port='2'/>\n</hostdev>"));
    assert_true(run_of("detach 1a6e:089a"));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void the_log_says_that_a_stick_is_slow(void **state) {
    (void)state;
    plug_coral("480");
    double_virt_add_xml(hypervisor, USB_VM("1"));
    assert_true(run_of("attach 1a6e:089a as usb"));
    assert_string_equal(results(), "attached attach 1-1.4 1a6e:089a\n");
    assert_message(0, "at 12 Mbit/s instead of 480: the fastest free port is of USB controller 0");
    assert_non_null(strstr(double_virt_xml(hypervisor, FRIGATE),
                           "<address type='usb' bus='0' port='1'/>\n</hostdev>"));
}

static void no_port_is_refused_before_libvirt_is_asked(void **state) {
    (void)state;
    plug_coral("480");
    double_virt_add_xml(hypervisor, USB_VM("1"));
    assert_false(run_of("attach 1a6e:089a as usb controller 1"));
    assert_string_equal(results(), "refused attach 1-1.4 1a6e:089a\n");
    assert_message(0, "USB controller 1 has no free port");
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
}

static void guest_reset_needs_a_new_libvirt(void **state) {
    (void)state;
    plug_coral("480");
    double_virt_version(hypervisor, 8005000);
    assert_false(run_of("attach 1a6e:089a as usb guest reset off"));
    assert_string_equal(results(), "refused attach 1-1.4 1a6e:089a\n");
    assert_message(0, "'guest reset' needs libvirt 8.6.0, and this host has 8.5.0");
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
    double_virt_version(hypervisor, 8006000);
    assert_true(run_of("attach 1a6e:089a as usb guest reset off"));
    assert_non_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<source guestReset='off'>"));
    assert_true(run_of("detach 1a6e:089a"));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

/* --- the look after the attach */

static void take_first_from_frigate(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    take(FRIGATE, FIRST);
}

static void the_guest_gave_it_back(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_XML, 2, take_first_from_frigate, NULL);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(results(), ATTACHED(FIRST) "ran - -\n");
    assert_message(0, "again: the guest released it while booting");
    assert_string_equal(hours.slept, "250 ");
}

static void the_guest_gives_it_back_always(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_XML, 0, take_first_from_frigate, NULL);
    assert_false(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(results(), FAILED(FIRST));
    assert_message(0, "libvirt reported success, but the VM does not have the device");
    assert_null(strstr(double_virt_calls(hypervisor), "reset"));
    assert_int_in_range(hours.now - 5000, 50000, 60000);
}

/* --- a PCI device has left the host */

static bool run_of_first(enum event_name event, const char *rules) {
    static char address[] = FIRST;
    static const struct device device = {
        .bus = BUS_PCI, .address = address, .id = {0x1ac1, 0x089a}};
    came = &device;
    bool good = run_at(event, rules);
    came = NULL;
    return good;
}

static bool unplugged(const char *rules) {
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_FAILED, "Device " FIRST " not found");
    return run_of_first(EVENT_UNPLUGGED, rules);
}

static void libvirt_counts_what_is_back_as_in_use(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 0, VIRT_BUSY, IN_USE_BY_ITSELF);
    assert_false(
        run_of_first(EVENT_PLUGGED, "on vm frigate plugged attach at 03:00.0 as vfio within 2s\n"));
    assert_string_equal(results(), REFUSED(FIRST));
    assert_message(0, "then run 'virt-rules plug add' with the device's address");
}

static void libvirt_forgets_what_was_unplugged(void **state) {
    (void)state;
    set_present(FIRST, false);
    assert_true(unplugged("on vm frigate started attach 1ac1:089a as vfio\n"));
    assert_string_equal(double_virt_calls(hypervisor),
                        OTHER_XML "attach frigate " FIRST "\nclose\n");
    assert_non_null(strstr(double_virt_last_xml(hypervisor), "managed='no'"));
    assert_string_equal(results(), "");
    assert_false(has_taken(FRIGATE));
}

static void libvirt_is_asked_when_the_guest_is_done(void **state) {
    (void)state;
    set_present(FIRST, false);
    give(FRIGATE, FIRST);
    double_virt_before(hypervisor, DOUBLE_XML, 3, take_first_from_frigate, NULL);
    assert_true(unplugged("on vm frigate plugged attach at 03:00.0 as vfio\n"));
    assert_string_equal(hours.slept, "250 250 ");
    assert_non_null(strstr(double_virt_calls(hypervisor), "attach frigate " FIRST "\n"));
}

static void a_guest_that_keeps_it_is_not_waited_for_long(void **state) {
    (void)state;
    set_present(FIRST, false);
    give(FRIGATE, FIRST);
    assert_true(unplugged("on vm frigate plugged attach at 03:00.0 as vfio\n"));
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
    assert_int_in_range(hours.now - 5000, 9000, 11000);
}

static void what_was_unplugged_is_back(void **state) {
    (void)state;
    assert_true(unplugged("on vm frigate plugged attach at 03:00.0 as vfio\n"));
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
}

static void what_was_unplugged_is_of_no_rule(void **state) {
    (void)state;
    set_present(FIRST, false);
    assert_true(unplugged("on vm frigate plugged attach at 04:00.0 as vfio\n"));
    assert_int_equal(opened, 0);
}

/* --- libvirt */

static void no_libvirt_at_all(void **state) {
    (void)state;
    refused_opens = 1000;
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_int_equal(opened, 1);
    assert_string_equal(results(), "failed - -\n");
    assert_message(0, "no libvirt here; install it");
    assert_string_equal(hours.slept, "");
}

static void a_libvirt_that_refuses_the_connection(void **state) {
    (void)state;
    refused_opens = 1000;
    open_code = 38;
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), "failed - -\n");
    assert_int_in_range(hours.now - 5000, 9000, 10000);
}

static void a_libvirt_that_is_starting(void **state) {
    (void)state;
    refused_opens = 4;
    open_code = 38;
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
}

static void programs_run_without_libvirt(void **state) {
    (void)state;
    refused_opens = 1000;
    assert_false(run_of("{\n attach at 03:00.0 as vfio\n run \"/bin/true\"\n}"));
    assert_string_equal(results(), "failed - -\nran run -\n");
}

static void libvirt_dies_in_mid_call(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_UNREACHABLE, "client socket is closed");
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(results(), ATTACHED(FIRST) "ran - -\n");
}

static void libvirt_dies_after_it_got_the_call(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_UNREACHABLE, "client socket is closed");
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, give_to_frigate, NULL);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_string_equal(results(), ATTACHED(FIRST) "ran - -\n");
    assert_message(0, "reply was lost");
    assert_null(strstr(strstr(double_virt_calls(hypervisor), "attach ") + 1, "attach "));
}

static void libvirt_stays_away(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_XML, 0, VIRT_UNREACHABLE, "client socket is closed");
    assert_false(run_of("{\n run \"/bin/true\"\n attach at 03:00.0 as vfio\n}"));
    assert_string_equal(results(), "failed - -\nran run -\n");
    assert_int_in_range(hours.now - 5000, 9000, 10000);
}

/* Whether nobody has the VM's lock between two passes. */
static unsigned lock_was_free;

static void look_at_lock(void) {
    lock_was_free += !lock_vm_is_held(state_path(""), FRIGATE);
}

/* A question without an answer is asked again, on another connection, while others may work on the
 * VM; after some times it is given up, and what needs no libvirt is done. */
static void libvirt_is_silent(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_XML, 0, VIRT_NO_REPLY, "libvirt does not answer: x");
    lock_was_free = 0;
    hours.at = 5000;
    hours.then = look_at_lock;
    assert_false(run_of("{\n run \"/bin/true\"\n attach at 03:00.0 as vfio\n}"));
    assert_string_equal(results(), "failed - -\nran run -\n");
    assert_message(0, "libvirt does not answer: x");
    assert_int_equal(opened, 6);
    assert_int_equal(lock_was_free, 1);
    assert_false(lock_vm_is_held(state_path(""), FRIGATE));
}

static void libvirt_is_silent_for_a_while(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_LIST, 1, VIRT_NO_REPLY, "libvirt does not answer: x");
    double_virt_fail(hypervisor, DOUBLE_XML, 3, VIRT_NO_REPLY, "libvirt does not answer: y");
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_int_equal(opened, 3);
}

/* A rule that names a title asks for all VMs as well: that question is one like the others. */
static void the_list_of_all_vms_is_asked_for_again(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_LIST, 2, VIRT_NO_REPLY, "libvirt does not answer: x");
    assert_true(run_at(EVENT_STARTED, "on vm NVR started attach at 03:00.0 as vfio\n"));
    assert_string_equal(results(), ATTACHED(FIRST));
    assert_int_equal(opened, 2);
}

static void the_list_of_all_vms_is_given_up(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_LIST, 0, VIRT_NO_REPLY, "libvirt does not answer: x");
    assert_false(run_at(EVENT_STARTED, "on vm NVR started attach at 03:00.0 as vfio\n"));
    assert_string_equal(results(), "failed - -\n");
    assert_int_equal(opened, 6);
}

/* A person waits for 'apply': it tells at once. */
static void a_settled_event_asks_once(void **state) {
    (void)state;
    settled = true;
    double_virt_fail(hypervisor, DOUBLE_XML, 0, VIRT_NO_REPLY, "libvirt does not answer: x");
    assert_false(run_of("attach at 03:00.0 as vfio"));
    settled = false;
    assert_string_equal(results(), "failed - -\n");
    assert_int_equal(opened, 1);
}

/* Nothing more is asked about the VM whose job libvirt has, and the call stays noted. */
static void an_attach_does_not_return(void **state) {
    size_t count;
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_NO_REPLY, "libvirt does not answer: x");
    assert_false(run_of("{\n attach at 03:00.0 as vfio then reset\n attach at 04:00.0 as vfio\n "
                        "run \"/bin/true\"\n}"));
    assert_string_equal(results(), "failed attach " FIRST " 1ac1:089a\nran run -\n");
    assert_string_equal(double_virt_calls(hypervisor),
                        OTHER_XML "attach frigate " FIRST "\nclose\n");
    struct pending_call *calls = pending_load(state_path(""), FRIGATE, &count);
    assert_int_equal(count, 1);
    assert_string_equal(calls[0].verb, "attach");
    assert_string_equal(calls[0].device, FIRST);
    assert_int_equal(calls[0].process, getpid());
    free(calls);
    assert_true(run_of("attach at 03:00.0 as vfio"));
    free(pending_load(state_path(""), FRIGATE, &count));
    assert_int_equal(count, 0);
}

static unsigned noted_calls;

static void count_noted_calls(struct double_virt *double_virt, void *context) {
    (void)double_virt, (void)context;
    size_t count;
    free(pending_load(state_path(""), FRIGATE, &count));
    noted_calls += (unsigned)count;
}

/* Before each call: an engine that hangs in it can write no more. */
static void a_call_is_noted_before(void **state) {
    size_t count;
    (void)state;
    noted_calls = 0;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, count_noted_calls, NULL);
    double_virt_before(hypervisor, DOUBLE_RESET, 1, count_noted_calls, NULL);
    assert_true(run_of("attach at 03:00.0 as vfio then reset"));
    assert_int_equal(noted_calls, 2);
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, count_noted_calls, NULL);
    assert_true(run_of("detach at 03:00.0"));
    assert_int_equal(noted_calls, 3);
    free(pending_load(state_path(""), FRIGATE, &count));
    assert_int_equal(count, 0);
}

static void the_list_fails_once(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_LIST, 1, VIRT_UNREACHABLE, "client socket is closed");
    assert_true(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST));
    double_virt_fail(hypervisor, DOUBLE_LIST, 0, VIRT_FAILED, "access denied");
    assert_false(run_of("attach at 04:00.0 as vfio"));
    assert_string_equal(results(), ATTACHED(FIRST) "failed - -\n");
}

static void a_lock_that_cannot_be_made(void **state) {
    (void)state;
    assert_int_equal(mkdir(state_path(""), 0700), 0);
    assert_int_equal(close(open(state_path("/locks"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(results(), "failed - -\n" ATTACHED(FIRST));
    assert_message(0, "continuing without a lock");
}

static void a_host_without_sysfs(void **state) {
    (void)state;
    shell("rm -rf %s/sys%s", host_root, "");
    assert_false(run_of("{\n attach at 03:00.0 as vfio\n run \"/bin/true\"\n}"));
    assert_string_equal(results(), "failed - -\nran run -\n");
    assert_message(0, "no devices to read");
}

/* --- restart of the guest */

static void reset_once_after_the_last(void **state) {
    (void)state;
    assert_true(run_of("attach all 1ac1:089a as vfio then reset"));
    const char *calls = double_virt_calls(hypervisor);
    assert_non_null(strstr(calls, "attach frigate " SECOND "\ndomain_xml " FRIGATE
                                  "\ndomain_xml " FRIGATE "\nreset frigate\nclose\n"));
    assert_null(strstr(strstr(calls, "reset ") + 1, "reset "));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND) "ran - -\n");
}

static void reboot_asks_the_guest(void **state) {
    (void)state;
    assert_true(run_of("attach at 03:00.0 as vfio then reboot"));
    assert_non_null(strstr(double_virt_calls(hypervisor), "reboot frigate\n"));
    assert_message(1, "asked to reboot");
}

static void an_unrelated_wait_delays_no_reset(void **state) {
    (void)state;
    assert_false(run_of("{\n attach at 03:00.0 as vfio then reset\n"
                        " attach ffff:0001 as vfio within 2m\n}"));
    assert_string_equal(results(), ATTACHED(FIRST) "ran - -\nabsent attach ffff:0001\n");
}

static void a_related_wait_does(void **state) {
    (void)state;
    set_present(SECOND, false);
    assert_false(run_of("{\n attach at 03:00.0 as vfio then reset\n"
                        " attach at 04:00.0 as vfio within 5s then reset\n}"));
    assert_string_equal(results(), ATTACHED(FIRST) "absent attach at 04:00.0\nran - -\n");
}

static void a_reset_that_fails_is_said(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_RESET, 1, VIRT_FAILED, "no reset today");
    assert_false(run_of("attach at 03:00.0 as vfio then reset"));
    assert_message(1, "no reset today");
}

/* --- detach */

static void detach_and_see_it_go(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    assert_true(run_of("detach at 03:00.0"));
    assert_string_equal(results(), "detached detach " FIRST " 1ac1:089a\n");
    assert_string_equal(double_virt_calls(hypervisor),
                        OTHER_XML "domain_xml " FRIGATE "\nwatch frigate\ndetach frigate " FIRST
                                  "\ndomain_xml " FRIGATE "\nclose\n");
}

static void a_guest_that_keeps_it(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    double_virt_deaf(hypervisor, FRIGATE, true);
    assert_false(run_of("detach at 03:00.0"));
    assert_string_equal(results(), "failed detach " FIRST " 1ac1:089a\n");
    assert_message(0, "the guest did not release the device");
    assert_int_equal(hours.now, 65000);
}

static void detach_is_tried_again_too(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_TRANSIENT, "state change lock");
    assert_true(run_of("detach at 03:00.0"));
    assert_string_equal(results(), "detached detach " FIRST " 1ac1:089a\n");
    assert_string_equal(hours.slept, "250 ");
}

/* The second plan, for the device that is absent, does not choose again. */
static void detach_any_is_one_also_in_a_second_plan(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    give(FRIGATE, SECOND);
    assert_true(
        run_of("{\n detach any 1ac1:089a\n attach 1234:5678 as vfio optional within 2s\n}"));
    assert_string_equal(results(),
                        "detached detach " FIRST " 1ac1:089a\nabsent attach 1234:5678\n");
}

static void what_is_attached_after_a_detach_stays(void **state) {
    (void)state;
    assert_true(run_of("{\n detach at 03:00.0\n attach at 03:00.0 as vfio\n"
                       " attach 1234:5678 as vfio optional within 2s\n}"));
    assert_string_equal(results(),
                        "already detach at 03:00.0\n" ATTACHED(FIRST) "absent attach 1234:5678\n");
}

static void detach_all_is_all_when_libvirt_dies_at_the_first(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    give(FRIGATE, SECOND);
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_UNREACHABLE, "End of file");
    assert_true(run_of("detach all 1ac1:089a"));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void nothing_to_detach(void **state) {
    (void)state;
    assert_true(run_of("detach at 03:00.0"));
    assert_string_equal(results(), "already detach at 03:00.0\n");
}

/* --- groups: all or none. The test is the kernel and what libvirt does with drivers. */

#define THIRD "0000:05:00.0"
#define DETACHED(ADDRESS) "detached attach " ADDRESS " 1ac1:089a\n"
#define BACK(ADDRESS) "detached - " ADDRESS " 1ac1:089a\n"
#define WITH_GROUP "attach at 03:00.0 with group as vfio"

static char kernel_calls[1024];
static unsigned failing_attach, failing_until, attaches;
static const char *stubborn; /* has a host driver that does not let go */
static bool no_driver_comes, guest_is_deaf;

static void assert_drivers(const char *first, const char *second, const char *third) {
    assert_string_equal(driver_of(FIRST), first);
    assert_string_equal(driver_of(SECOND), second);
    assert_string_equal(driver_of(THIRD), third);
}

static bool one_is_on(const char *driver) {
    return !strcmp(driver_of(FIRST), driver) || !strcmp(driver_of(SECOND), driver) ||
           !strcmp(driver_of(THIRD), driver);
}

static void note_kernel(const char *what, const char *address) {
    size_t used = strlen(kernel_calls);
    snprintf(kernel_calls + used, sizeof kernel_calls - used, "%s %s after %u\n", what, address,
             attaches);
}

static int test_release(const struct host *host, const struct device *device,
                        struct failure *failure) {
    (void)host;
    assert_string_equal(device->driver, "apex");
    if (strcmp(driver_of(device->address), "apex") != 0)
        return 0;
    note_kernel("release", device->address);
    if (stubborn && !strcmp(stubborn, device->address)) {
        return failure_set(failure, "it clings");
    }
    set_driver(device->address, "");
    return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type of the port */
static int test_give_back(const struct host *host, const struct device *device,
                          struct failure *failure) {
    (void)host;
    (void)failure;
    note_kernel("give back", device->address);
    assert_string_equal(driver_of(device->address), "none");
    assert_false(one_is_on("vfio-pci")); /* or an old kernel halts */
    if (!no_driver_comes)
        set_driver(device->address, "apex");
    return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type of the port */
static int test_reclaim(const struct host *host, const struct device *device,
                        struct failure *failure) {
    (void)host;
    note_kernel("reclaim", device->address);
    assert_string_equal(driver_of(device->address), "vfio-pci");
    if (stubborn && !strcmp(stubborn, device->address)) {
        return failure_set(failure, "it clings");
    }
    set_driver(device->address, no_driver_comes ? "" : "apex");
    return 0;
}

static const char *address_of_call(void) {
    const char *xml = double_virt_last_xml(hypervisor);
    return strstr(xml, "bus='0x03'") ? FIRST : strstr(xml, "bus='0x04'") ? SECOND : THIRD;
}

static void bind_to_vfio(struct double_virt *unused, void *context) {
    const char *address = address_of_call();
    (void)unused;
    (void)context;
    if (++attaches >= failing_attach && attaches <= failing_until)
        return;
    set_driver(address, "vfio-pci");
    assert_false(one_is_on("apex")); /* not viable */
}

/* As in the lab: the kernel does not let the host have one while another is in a VM. */
static void bind_to_host(struct double_virt *unused, void *context) {
    const char *address = address_of_call();
    (void)unused;
    (void)context;
    if (guest_is_deaf)
        return;
    set_driver(address, "");
    if (!one_is_on("vfio-pci"))
        set_driver(address, "apex");
}

static int set_up_group(void **state) {
    char path[128];
    set_up(state);
    shell("cd %s/sys/devices && t=$(find . -type d -name %s) && cp -a \"$t\" \"${t%%/*}/" THIRD
          "\" && ln -s ../../../devices/$t/../" THIRD " ../bus/pci/devices/" THIRD,
          host_root, SECOND);
    shell("cd %s/sys/bus/pci/devices && for i in 03 04 05; do ln -sfn /groups/99 "
          "0000:$i:00.0/iommu_group; done; mkdir -p %s/proc/sys/kernel",
          host_root, host_root);
    snprintf(path, sizeof path, "%s/proc/sys/kernel/osrelease", host_root);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs("6.1.0\n", out);
    fclose(out);
    host_source.unbind = test_release;
    host_source.probe = test_give_back;
    host_source.rebind = test_reclaim;
    *kernel_calls = '\0';
    failing_attach = failing_until = attaches = 0;
    stubborn = NULL;
    no_driver_comes = guest_is_deaf = false;
    set_driver(THIRD, "apex");
    assert_drivers("apex", "apex", "apex");
    double_virt_before(hypervisor, DOUBLE_ATTACH, 0, bind_to_vfio, NULL);
    double_virt_before(hypervisor, DOUBLE_DETACH, 0, bind_to_host, NULL);
    return 0;
}

static void fail_attach(unsigned nth, enum virt_error_kind failure, const char *message) {
    failing_attach = failing_until = nth;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, nth, failure, message);
}

static void fail_attaches(unsigned first, unsigned last) {
    failing_attach = first;
    failing_until = last;
    for (unsigned i = first; i <= last; i++)
        double_virt_fail(hypervisor, DOUBLE_ATTACH, i, VIRT_TRANSIENT, "state change lock");
}

static void the_others_are_taken_before_the_first_goes(void **state) {
    (void)state;
    assert_true(run_of(WITH_GROUP));
    assert_string_equal(kernel_calls, "release " SECOND " after 0\nrelease " THIRD " after 0\n");
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND) ATTACHED(THIRD));
    assert_drivers("vfio-pci", "vfio-pci", "vfio-pci");
    assert_string_equal(hours.slept, "");
    assert_true(run_of(WITH_GROUP));
    assert_int_equal(attaches, 3);
}

static void without_group_nothing_is_taken(void **state) {
    (void)state;
    assert_false(run_of("attach at 03:00.0 as vfio"));
    assert_string_equal(kernel_calls, "");
    assert_string_equal(results(), REFUSED(FIRST));
    assert_drivers("apex", "apex", "apex");
}

static void unmanaged_means_that_drivers_are_left_alone(void **state) {
    (void)state;
    set_driver(FIRST, "vfio-pci");
    set_driver(SECOND, "vfio-pci");
    set_driver(THIRD, "vfio-pci");
    assert_true(run_of(WITH_GROUP " unmanaged"));
    assert_string_equal(kernel_calls, "");
}

static void a_group_that_is_refused_is_not_touched(void **state) {
    (void)state;
    give(WINDOWS, THIRD);
    assert_false(run_of(WITH_GROUP));
    assert_string_equal(kernel_calls, "");
    assert_string_equal(results(), REFUSED(THIRD));
    assert_int_equal(attaches, 0);
}

/* A guest must not see a part of a group that may not come as a whole. */
static void the_first_is_tried_again(void **state) {
    (void)state;
    fail_attaches(1, 3);
    assert_true(run_of(WITH_GROUP));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND) ATTACHED(THIRD));
    assert_string_equal(hours.slept, "250 500 1000 ");
}

static void the_first_is_tried_to_the_end(void **state) {
    (void)state;
    fail_attaches(1, 20);
    assert_false(run_of(WITH_GROUP));
    assert_null(strstr(double_virt_calls(hypervisor), "attach frigate " SECOND));
    assert_string_equal(results(),
                        FAILED(FIRST) FAILED(SECOND) FAILED(THIRD) BACK(SECOND) BACK(THIRD));
    assert_drivers("apex", "apex", "apex");
}

static void the_first_fails(void **state) {
    (void)state;
    fail_attach(1, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP " then reset"));
    assert_string_equal(results(),
                        FAILED(FIRST) FAILED(SECOND) FAILED(THIRD) BACK(SECOND) BACK(THIRD));
    assert_message(0, "no luck");
    assert_message(1, "another device of its IOMMU group could not be attached");
    assert_drivers("apex", "apex", "apex");
    assert_int_equal(attaches, 1);
}

static void the_second_fails(void **state) {
    (void)state;
    fail_attach(2, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP " then reset"));
    assert_string_equal(results(), ATTACHED(FIRST) FAILED(SECOND) FAILED(THIRD) DETACHED(FIRST)
                                       BACK(SECOND) BACK(THIRD));
    assert_drivers("apex", "apex", "apex");
    assert_null(strstr(double_virt_calls(hypervisor), "reset"));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void the_last_fails(void **state) {
    (void)state;
    fail_attach(3, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND) FAILED(THIRD) DETACHED(SECOND)
                                       DETACHED(FIRST) BACK(SECOND) BACK(THIRD));
    assert_drivers("apex", "apex", "apex");
}

/* The guest's boot is looked after, as on a host. */
static bool run_through_boot(const char *action) {
    boot_ms = 0;
    bool good = run_of(action);
    boot_ms = -1;
    return good;
}

static void what_was_taken_out_is_not_attached_again(void **state) {
    (void)state;
    fail_attach(2, VIRT_FAILED, "no luck");
    assert_false(run_through_boot(WITH_GROUP));
    assert_string_equal(results(), ATTACHED(FIRST) FAILED(SECOND) FAILED(THIRD) DETACHED(FIRST)
                                       BACK(SECOND) BACK(THIRD));
    assert_int_equal(attaches, 2);
    assert_drivers("apex", "apex", "apex");
}

/* libvirt's own giving back, now that the guest does what it was asked for. */
static void release_first_late(void) {
    double_virt_deaf(hypervisor, FRIGATE, false);
    take(FRIGATE, FIRST);
    set_driver(FIRST, "apex");
}

static void a_guest_that_releases_it_after_its_boot(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    guest_is_deaf = true;
    fail_attach(2, VIRT_FAILED, "no luck");
    hours.at = hours.now + 90000;
    hours.then = release_first_late;
    assert_false(run_through_boot(WITH_GROUP));
    assert_string_equal(results(),
                        ATTACHED(FIRST) FAILED(SECOND) FAILED(THIRD)
                            FAILED(FIRST) "failed - " SECOND " 1ac1:089a\n"
                                          "failed - " THIRD " 1ac1:089a\n" DETACHED(FIRST)
                                              BACK(SECOND) BACK(THIRD));
    assert_int_equal(attaches, 2);
    assert_drivers("apex", "apex", "apex");
}

static void a_guest_that_never_releases_it(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    guest_is_deaf = true;
    fail_attach(2, VIRT_FAILED, "no luck");
    assert_false(run_through_boot(WITH_GROUP));
    assert_int_equal(attaches, 2);
    assert_drivers("vfio-pci", "none", "none");
    assert_int_in_range(hours.now, 5000 + 60000, 5000 + 240000);
}

static void give_second_to_windows(void) {
    give(WINDOWS, SECOND);
}

static void one_that_is_refused_half_way(void **state) {
    (void)state;
    fail_attach(2, VIRT_TRANSIENT, "state change lock");
    hours.at = hours.now + 1;
    hours.then = give_second_to_windows;
    assert_false(run_of(WITH_GROUP));
    assert_string_equal(results(),
                        ATTACHED(FIRST) REFUSED(SECOND) DETACHED(FIRST) BACK(SECOND) BACK(THIRD));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void take_first_by_hand(void) {
    struct failure failure;
    struct vm_state vm_state;
    take(FRIGATE, FIRST);
    set_driver(FIRST, "");
    struct vm_start start = {.id = told.id, .seen = clock_ticks()};
    assert_true(vm_state_open(&vm_state, state_path(""), FRIGATE, &start));
    vm_state_dismiss(&vm_state, FIRST, (struct device_id){0x1ac1, 0x089a});
    assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
}

static void a_person_takes_one_out_half_way(void **state) {
    (void)state;
    for (int boots = 0; boots < 2; boots++) {
        fail_attach(attaches + 2, VIRT_TRANSIENT, "state change lock");
        hours.at = hours.now + 1;
        hours.then = take_first_by_hand;
        assert_false(boots ? run_through_boot(WITH_GROUP) : run_of(WITH_GROUP));
        assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
        assert_int_equal(attaches, 2 * (boots + 1));
        set_driver(FIRST, "apex");
        assert_drivers("apex", "apex", "apex");
    }
}

static void drop_first(void) {
    take(FRIGATE, FIRST);
}

static void the_guest_drops_one_for_good(void **state) {
    (void)state;
    double_virt_mute(hypervisor);
    fail_attach(4, VIRT_FAILED, "no luck");
    hours.at = hours.now + 1;
    hours.then = drop_first;
    assert_false(run_through_boot(WITH_GROUP));
    assert_non_null(strstr(results(), ATTACHED(FIRST) ATTACHED(SECOND) ATTACHED(THIRD) FAILED(FIRST)
                                          DETACHED(THIRD) DETACHED(SECOND)));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void drop_first_at_wait(struct double_virt *unused, void *context) {
    (void)unused;
    (void)context;
    take(FRIGATE, FIRST);
}

static void the_guest_drops_one_each_time(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_WAIT, 0, drop_first_at_wait, NULL);
    assert_false(run_through_boot(WITH_GROUP " within 20s"));
    assert_non_null(strstr(results(), FAILED(FIRST) DETACHED(THIRD) DETACHED(SECOND)));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void an_old_kernel_cannot_take_a_group_apart(void **state) {
    (void)state;
    shell("echo 4.4.302+ >%s/proc/sys/kernel/osrelease%s", host_root, "");
    fail_attach(3, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP));
    assert_null(strstr(double_virt_calls(hypervisor), "detach"));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND) FAILED(THIRD) FAILED(SECOND)
                                       FAILED(FIRST) "failed - " THIRD " 1ac1:089a\n");
    assert_message(5, "a VM has another device of its IOMMU group; when the VM has ended, write");
    assert_drivers("vfio-pci", "vfio-pci", "none");
}

static void an_old_kernel_and_one_of_an_earlier_run(void **state) {
    (void)state;
    shell("echo 5.10.55 >%s/proc/sys/kernel/osrelease%s", host_root, "");
    give(FRIGATE, FIRST);
    set_driver(FIRST, "vfio-pci");
    fail_attach(2, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP " then reset"));
    assert_null(strstr(double_virt_calls(hypervisor), "detach"));
    assert_null(strstr(double_virt_calls(hypervisor), "reset"));
    assert_drivers("vfio-pci", "vfio-pci", "none");
}

/* Its own one goes, and what an earlier run attached stays. */
static void one_of_an_earlier_run_stays(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    set_driver(FIRST, "vfio-pci");
    fail_attach(2, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP));
    assert_string_equal(results(),
                        ALREADY(FIRST) ATTACHED(SECOND) FAILED(THIRD)
                            DETACHED(SECOND) "failed - " THIRD " 1ac1:089a\nfailed - " SECOND
                                             " 1ac1:089a\n");
    assert_drivers("vfio-pci", "none", "none");
    assert_null(strstr(kernel_calls, "give back"));
}

static void an_old_kernel_takes_one_out(void **state) {
    (void)state;
    shell("echo 4.4.302+ >%s/proc/sys/kernel/osrelease%s", host_root, "");
    fail_attach(2, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP));
    assert_drivers("apex", "apex", "apex");
}

static void what_passes_is_tried_again_and_nothing_given_back(void **state) {
    (void)state;
    fail_attach(2, VIRT_TRANSIENT, "state change lock");
    assert_true(run_of(WITH_GROUP));
    assert_string_equal(results(), ATTACHED(FIRST) ATTACHED(SECOND) ATTACHED(THIRD));
    assert_null(strstr(kernel_calls, "give back"));
    assert_drivers("vfio-pci", "vfio-pci", "vfio-pci");
}

static void what_passes_at_last_does_not(void **state) {
    (void)state;
    fail_attaches(2, 21);
    assert_false(run_of(WITH_GROUP));
    assert_non_null(
        strstr(results(), ATTACHED(FIRST) FAILED(SECOND) FAILED(THIRD) DETACHED(FIRST)));
    assert_null(strstr(double_virt_xml(hypervisor, FRIGATE), "<hostdev"));
}

static void another_vm_takes_one_meanwhile(void **state) {
    (void)state;
    fail_attach(2, VIRT_BUSY, "is in use by driver QEMU, domain x");
    assert_false(run_of(WITH_GROUP));
    assert_string_equal(results(),
                        ATTACHED(FIRST) DETACHED(FIRST) BACK(SECOND) BACK(THIRD) REFUSED(SECOND));
    assert_drivers("apex", "apex", "apex");
}

static void a_driver_clings(void **state) {
    (void)state;
    stubborn = THIRD;
    assert_false(run_of(WITH_GROUP));
    assert_string_equal(results(), FAILED(FIRST) FAILED(SECOND) FAILED(THIRD) BACK(SECOND));
    assert_message(0, "it clings");
    assert_int_equal(attaches, 0);
    assert_drivers("apex", "apex", "apex");
}

static void the_engine_was_killed_in_the_middle(void **state) {
    (void)state;
    set_driver(SECOND, "");
    assert_true(run_of(WITH_GROUP));
    assert_string_equal(kernel_calls, "release " THIRD " after 0\n");
    assert_drivers("vfio-pci", "vfio-pci", "vfio-pci");
}

static void killed_in_the_middle_and_then_it_fails(void **state) {
    (void)state;
    set_driver(SECOND, "");
    set_driver(THIRD, "");
    fail_attach(1, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP));
    assert_drivers("apex", "apex", "apex");
}

static void a_host_driver_that_does_not_come(void **state) {
    (void)state;
    no_driver_comes = true;
    fail_attach(1, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP));
    assert_message(3, "its host driver apex did not bind to it; when the VM has ended");
}

/* What libvirt gives back when the VM ends is waited for, then the rest goes back. */
static void first_is_back(void) {
    set_driver(FIRST, "apex");
}

static void the_vm_stops_in_the_middle(void **state) {
    (void)state;
    hours.at = 5000 + 2000;
    hours.then = first_is_back;
    double_virt_before(hypervisor, DOUBLE_XML, 2, stop_frigate, NULL);
    assert_false(run_of(WITH_GROUP));
    assert_int_equal(attaches, 1);
    assert_string_equal(results(), "failed - -\n" FAILED(FIRST) BACK(SECOND) BACK(THIRD));
    assert_drivers("apex", "apex", "apex");
}

static void a_guest_that_keeps_the_first(void **state) {
    (void)state;
    double_virt_deaf(hypervisor, FRIGATE, true);
    fail_attach(2, VIRT_FAILED, "no luck");
    double_virt_fail(hypervisor, DOUBLE_DETACH, 1, VIRT_FAILED, "not now");
    assert_false(run_of(WITH_GROUP));
    assert_message(3, "not now");
}

/* --- programs */

static const char *script(const char *body) {
    static char path[128];
    snprintf(path, sizeof path, "%s/script", directory);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fprintf(out, "#!/bin/sh\n%s\n", body);
    fclose(out);
    assert_int_equal(chmod(path, 0700), 0);
    return path;
}

static bool run_script(const char *body, const char *arguments) {
    char *action = memory_printf("run \"%s\" %s", script(body), arguments);
    bool good = run_of(action);
    free(action);
    return good;
}

static void a_program_gets_its_words_and_nothing_else(void **state) {
    (void)state;
    assert_int_equal(setenv("VIRT_RULES_SECRET", "x", 1), 0);
    assert_true(run_script("printf '<%s>' \"$#\" \"$@\"; env | grep -v _= | sort; pwd; cat",
                           "plain \"a  b\" \"$(reboot) `x` ; * %s \\\" \\\\\""));
    struct json_object *line = log_line(0);
    assert_string_equal(field(line, "result"), "ran");
    assert_string_equal(field(line, "action"), "run");
    assert_string_equal(field(line, "device"), "-");
    char *wanted =
        memory_printf("%s/script ended with status 0: <3><plain><a  b><$(reboot) `x` ; * %%s \" \\>"
                      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\n"
                      "VIRT_RULES_EVENT=started\nVIRT_RULES_TITLE=NVR\nVIRT_RULES_UUID=" FRIGATE
                      "\nVIRT_RULES_VM=frigate\n/\n",
                      directory);
    assert_string_equal(field(line, "message"), wanted);
    free(wanted);
    json_object_put(line);
    assert_int_equal(opened, 0);
    unsetenv("VIRT_RULES_SECRET");
}

static void a_program_that_fails(void **state) {
    (void)state;
    assert_false(run_script("echo no; echo never >&2; exit 3", ""));
    assert_string_equal(results(), "failed run -\n");
    assert_message(0, "script ended with status 3: no\nnever\n");
}

static void a_program_that_is_not_there(void **state) {
    (void)state;
    assert_false(run_of("run \"/nonexistent/program\""));
    assert_string_equal(results(), "refused run -\n");
    assert_message(0, "'/nonexistent/program' does not exist");
    assert_message(0, "; 'ls -l /nonexistent/program' shows what there is");
}

/* It is not started, and what follows it is done. */
static void a_program_that_others_may_change(void **state) {
    (void)state;
    char *mark = memory_printf("%s/mark", directory);
    char *body = memory_printf("touch %s", mark);
    char *action = memory_printf("{\n run \"%s\"\n attach at 03:00.0 as vfio\n"
                                 " run \"/bin/echo\" two\n}",
                                 script(body));
    char *program = memory_printf("%s/script", directory);
    assert_int_equal(chmod(program, 0757), 0);
    assert_false(run_of(action));
    assert_string_equal(results(), "refused run -\n" ATTACHED(FIRST) "ran run -\n");
    assert_message(0, "script' may be changed by users other than root (owner ");
    assert_message(0, "; sudo chmod go-w ");
    assert_int_equal(access(mark, F_OK), -1);
    assert_int_equal(chmod(program, 0755), 0);
    free(action);
    action = memory_printf("run \"%s\"", program);
    assert_true(run_of(action));
    assert_int_equal(access(mark, F_OK), 0);
    unlink(mark);
    free(action);
    free(program);
    free(body);
    free(mark);
}

/* Judged when it is started, and not when the run began. */
static void a_program_that_another_one_makes(void **state) {
    (void)state;
    char *made = memory_printf("%s/made", directory);
    char *body = memory_printf("cp /bin/true %s", made);
    char *action = memory_printf("{\n run \"%s\"\n run \"%s\"\n}", script(body), made);
    unlink(made);
    bool good = run_of(action);
    unlink(made);
    assert_true(good);
    assert_string_equal(results(), "ran run -\nran run -\n");
    free(action);
    free(body);
    free(made);
}

static bool has_begun(size_t index) {
    struct json_object *line = log_line(index);
    bool has = line && strstr(field(line, "message"), ": begun");
    json_object_put(line);
    return has;
}

static void a_program_that_takes_too_long(void **state) {
    (void)state;
    char message[64];
    size_t last = 0;
    program_limit_ms = 300;
    assert_false(run_script("echo begun; sleep 1000 & sleep 1000", ""));
    for (; last < 5 && !has_begun(last); last++) {
        program_limit_ms *= 4; /* the machine is busy */
        assert_false(run_script("echo begun; sleep 1000 & sleep 1000", ""));
    }
    snprintf(message, sizeof message, "was ended after %.1f s, the time limit: begun",
             program_limit_ms / 1000.0);
    program_limit_ms = 0;
    assert_message(last, message);
}

static void a_program_with_devices(void **state) {
    (void)state;
    assert_true(run_of("{\n run \"/bin/echo\" one\n attach at 03:00.0 as vfio\n run \"/bin/echo\" "
                       "two\n}"));
    assert_string_equal(results(), "ran run -\n" ATTACHED(FIRST) "ran run -\n");
    assert_message(2, "/bin/echo ended with status 0: two");
}

/* --- an engine was killed when it had taken one from the host */

static void keep_taken(unsigned long long started) {
    struct failure failure;
    struct vm_state vm_state = {.id = 1, .started = started};
    note_taken(&vm_state, SECOND, "apex");
    assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
    set_driver(SECOND, "");
}

static void the_end_of_the_vm_gives_it_back(void **state) {
    (void)state;
    keep_taken(vm_state_now());
    assert_true(run_at(EVENT_STOPPED, ""));
    assert_drivers("apex", "none", "apex");
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_drivers("apex", "apex", "apex");
    assert_string_equal(results(), BACK(SECOND));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
    assert_int_equal(opened, 0);
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(kernel_calls, "give back " SECOND " after 0\n");
}

static void the_next_start_gives_it_back(void **state) {
    (void)state;
    keep_taken(vm_state_now());
    assert_true(run_at(EVENT_PREPARE, ""));
    assert_drivers("apex", "apex", "apex");
}

static void a_late_engine_leaves_the_next_life_alone(void **state) {
    (void)state;
    keep_taken(vm_state_now() + 1);
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_drivers("apex", "none", "apex");
    assert_true(vm_state_exists(state_path(""), FRIGATE));
}

static void a_group_in_use_is_waited_for_and_kept_in_mind(void **state) {
    (void)state;
    keep_taken(vm_state_now());
    set_driver(FIRST, "vfio-pci");
    assert_false(run_at(EVENT_RELEASE, ""));
    assert_drivers("vfio-pci", "none", "apex");
    assert_message(0, "a VM has another device of its IOMMU group");
    assert_int_in_range(hours.now - 5000, 9000, 10500);
    set_driver(FIRST, "apex");
    assert_true(run_at(EVENT_PREPARE, ""));
    assert_drivers("apex", "apex", "apex");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void what_another_took_up_is_left_alone(void **state) {
    (void)state;
    keep_taken(vm_state_now());
    set_driver(SECOND, "other");
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_string_equal(driver_of(SECOND), "other");
    assert_string_equal(results(), "");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static bool kept_at_release; /* as the kernel is asked */

static int release_and_look(const struct host *host, const struct device *device,
                            struct failure *failure) {
    struct vm_state vm_state;
    kept_at_release = vm_state_load(&vm_state, state_path(""), FRIGATE) &&
                      vm_state.unbound_count == 1 &&
                      !strcmp(vm_state.unbound[0].address, device->address) &&
                      !strcmp(vm_state.unbound[0].driver, "apex");
    vm_state_finish(&vm_state);
    return test_release(host, device, failure);
}

static void it_is_noted_before_it_is_taken(void **state) {
    (void)state;
    host_source.unbind = release_and_look;
    set_driver(THIRD, "pcieport");
    set_driver(THIRD, "");
    assert_true(run_of(WITH_GROUP));
    assert_true(kept_at_release);
    assert_true(vm_state_exists(state_path(""), FRIGATE));
    set_driver(FIRST, "apex");
    set_driver(SECOND, "apex");
    set_driver(THIRD, "apex");
    assert_true(run_at(EVENT_RELEASE, ""));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

static void what_was_given_back_is_forgotten(void **state) {
    (void)state;
    fail_attach(1, VIRT_FAILED, "no luck");
    assert_false(run_of(WITH_GROUP));
    assert_drivers("apex", "apex", "apex");
    assert_false(has_taken(FRIGATE));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)
#define GROUP(NAME) cmocka_unit_test_setup_teardown(NAME, set_up_group, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(attach_in_exact_order),
        TEST(a_line_of_the_log_as_promised),
        TEST(the_same_event_twice_changes_nothing),
        TEST(an_event_without_a_rule_opens_nothing),
        TEST(passing_errors_are_tried_again),
        TEST(passing_errors_have_an_end),
        TEST(within_is_the_time_to_try),
        TEST(a_running_vm_may_not_be_ready),
        TEST(an_error_for_good_is_not_tried_again),
        TEST(between_two_tries_the_world_is_looked_at),
        TEST(one_that_waits_does_not_hold_the_others),
        TEST(a_name_is_meant_before_a_title),
        TEST(the_part_of_the_host_is_read_for_a_title_too),
        TEST(equal_titles_are_given_nothing),
        TEST(a_uuid_says_which_of_equal_titles_is_meant),
        TEST(held_by_itself_is_a_success),
        TEST(another_vm_was_faster_and_any_goes_on),
        TEST(another_vm_was_faster_and_it_is_refused),
        TEST(held_and_nobody_shows_it),
        TEST(libvirt_is_not_done_with_a_detach),
        TEST(libvirt_counts_it_as_in_use_for_good),
        TEST(libvirt_counts_what_is_back_as_in_use),
        TEST(libvirt_forgets_what_was_unplugged),
        TEST(libvirt_is_asked_when_the_guest_is_done),
        TEST(a_guest_that_keeps_it_is_not_waited_for_long),
        TEST(what_was_unplugged_is_back),
        TEST(what_was_unplugged_is_of_no_rule),
        TEST(held_by_another_vm_from_the_beginning),
        TEST(a_vm_that_stopped_gets_nothing),
        TEST(a_vm_that_was_started_again_gets_nothing),
        TEST(a_life_that_begins_before_the_attach_gets_nothing),
        TEST(a_life_that_begins_before_the_reset_is_not_reset),
        TEST(a_life_that_begins_before_the_detach_keeps_it),
        TEST(a_vm_that_is_gone),
        TEST(stopped_while_it_waits),
        TEST(a_new_life_is_never_reset),
        TEST(stopped_right_after_the_attach),
        TEST(an_absent_device_is_said),
        TEST(a_device_that_comes_within_its_time),
        TEST(a_device_that_does_not_come),
        TEST(a_program_of_udev_is_waited_for),
        TEST(a_daemon_of_udev_is_a_use),
        TEST(another_program_is_not_waited_for),
        TEST(any_two_wait_for_the_second),
        TEST(after_is_a_delay),
        TEST(within_begins_after_after),
        TEST(a_stick_goes_to_the_fastest_controller),
        TEST(the_log_says_that_a_stick_is_slow),
        TEST(no_port_is_refused_before_libvirt_is_asked),
        TEST(guest_reset_needs_a_new_libvirt),
        TEST(the_guest_gave_it_back),
        TEST(the_guest_gives_it_back_always),
        TEST(no_libvirt_at_all),
        TEST(a_libvirt_that_refuses_the_connection),
        TEST(a_libvirt_that_is_starting),
        TEST(programs_run_without_libvirt),
        TEST(libvirt_dies_in_mid_call),
        TEST(libvirt_dies_after_it_got_the_call),
        TEST(libvirt_stays_away),
        TEST(libvirt_is_silent),
        TEST(libvirt_is_silent_for_a_while),
        TEST(the_list_of_all_vms_is_asked_for_again),
        TEST(the_list_of_all_vms_is_given_up),
        TEST(a_settled_event_asks_once),
        TEST(an_attach_does_not_return),
        TEST(a_call_is_noted_before),
        TEST(the_list_fails_once),
        TEST(a_lock_that_cannot_be_made),
        TEST(a_host_without_sysfs),
        TEST(reset_once_after_the_last),
        TEST(reboot_asks_the_guest),
        TEST(an_unrelated_wait_delays_no_reset),
        TEST(a_related_wait_does),
        TEST(a_reset_that_fails_is_said),
        TEST(detach_and_see_it_go),
        TEST(a_guest_that_keeps_it),
        TEST(detach_is_tried_again_too),
        TEST(detach_any_is_one_also_in_a_second_plan),
        TEST(what_is_attached_after_a_detach_stays),
        TEST(detach_all_is_all_when_libvirt_dies_at_the_first),
        TEST(nothing_to_detach),
        GROUP(the_others_are_taken_before_the_first_goes),
        GROUP(without_group_nothing_is_taken),
        GROUP(unmanaged_means_that_drivers_are_left_alone),
        GROUP(a_group_that_is_refused_is_not_touched),
        GROUP(the_first_is_tried_again),
        GROUP(the_first_is_tried_to_the_end),
        GROUP(the_first_fails),
        GROUP(the_second_fails),
        GROUP(the_last_fails),
        GROUP(what_was_taken_out_is_not_attached_again),
        GROUP(a_guest_that_releases_it_after_its_boot),
        GROUP(a_guest_that_never_releases_it),
        GROUP(one_that_is_refused_half_way),
        GROUP(a_person_takes_one_out_half_way),
        GROUP(the_guest_drops_one_for_good),
        GROUP(the_guest_drops_one_each_time),
        GROUP(an_old_kernel_cannot_take_a_group_apart),
        GROUP(an_old_kernel_and_one_of_an_earlier_run),
        GROUP(one_of_an_earlier_run_stays),
        GROUP(an_old_kernel_takes_one_out),
        GROUP(what_passes_is_tried_again_and_nothing_given_back),
        GROUP(what_passes_at_last_does_not),
        GROUP(another_vm_takes_one_meanwhile),
        GROUP(the_end_of_the_vm_gives_it_back),
        GROUP(the_next_start_gives_it_back),
        GROUP(a_late_engine_leaves_the_next_life_alone),
        GROUP(a_group_in_use_is_waited_for_and_kept_in_mind),
        GROUP(what_another_took_up_is_left_alone),
        GROUP(it_is_noted_before_it_is_taken),
        GROUP(what_was_given_back_is_forgotten),
        GROUP(a_driver_clings),
        GROUP(the_engine_was_killed_in_the_middle),
        GROUP(killed_in_the_middle_and_then_it_fails),
        GROUP(a_host_driver_that_does_not_come),
        GROUP(the_vm_stops_in_the_middle),
        GROUP(a_guest_that_keeps_the_first),
        TEST(a_program_gets_its_words_and_nothing_else),
        TEST(a_program_that_fails),
        TEST(a_program_that_is_not_there),
        TEST(a_program_that_others_may_change),
        TEST(a_program_that_another_one_makes),
        TEST(a_program_that_takes_too_long),
        TEST(a_program_with_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
