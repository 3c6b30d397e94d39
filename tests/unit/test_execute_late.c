/* An engine of an earlier start of the VM, that slept while the VM was destroyed and started again,
 * changes nothing of what the later start has noted. */
#include "tests/unit/execute_world.h"

#define RULE "on vm frigate started attach at 03:00.0 as vfio\n"

static struct vm_start next;        /* the later start */
static int next_id;                 /* libvirt's number of it; -1: a new one */
static const char *next_takes;      /* what the later start has noted as taken from the host */
static unsigned long long next_ago; /* how long after this process it began, in ticks */

static struct domain now_as(void) {
    struct domain now;
    sample_domain(&now, double_virt_xml(hypervisor, FRIGATE));
    return now;
}

/* libvirt's pid file, and when that process was started. */
static void set_process(unsigned long long started) {
    char *command = memory_printf(
        "mkdir -p %s/run/libvirt/qemu %s/proc/4242 && echo 4242 >%s/run/libvirt/qemu/frigate.pid "
        "&& "
        "echo '4242 (qemu-system-x86) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %llu 20' "
        ">%s/proc/4242/stat",
        host_root, host_root, host_root, started, host_root);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): paths of this test */
    free(command);
}

/* The VM is destroyed and started again, and an engine of that start makes its notes. */
static void start_next(void) {
    struct failure failure;
    double_virt_stop(hypervisor, FRIGATE);
    if (next_id < 0) {
        double_virt_add(hypervisor, FRIGATE, "frigate", "NVR");
    } else {
        char *xml =
            memory_printf("<domain type='kvm' id='%d'><name>frigate</name><title>NVR</title>"
                          "<uuid>" FRIGATE "</uuid><devices/></domain>",
                          next_id);
        double_virt_add_xml(hypervisor, xml);
        free(xml);
    }
    struct domain now = now_as();
    next = (struct vm_start){.id = now.id, .seen = vm_state_now() + next_ago};
    if (next_ago) {
        set_process(next.seen);
        next.process = next.seen;
    }
    struct vm_state vm_state = {
        .id = next.id, .process = next.process, .started = next.seen, .restarted = true};
    vm_state_dismiss(&vm_state, SECOND, (struct device_id){0x1ac1, 0x089a});
    if (next_takes)
        note_taken(&vm_state, next_takes, "apex");
    assert_int_equal(vm_state_save(&vm_state, state_path(""), FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
    domain_finish(&now);
}

static char *text_of_state(void) {
    size_t size;
    char *text = NULL;
    char *path = memory_printf("%s/vms/" FRIGATE, state_path(""));
    FILE *in = fopen(path, "re");
    free(path);
    assert_non_null(in);
    text = memory_zalloc(8192);
    size = fread(text, 1, 8191, in);
    assert_true(size > 0);
    fclose(in);
    return text;
}

static char *noted; /* what the later start noted */

static void start_next_and_look(void) {
    start_next();
    free(noted);
    noted = text_of_state();
}

static void assert_untouched(void) {
    assert_non_null(noted);
    char *text = text_of_state();
    assert_string_equal(text, noted);
    free(text);
    free(noted);
    noted = NULL;
}

static int begin(void **state) {
    next_id = -1;
    next_takes = NULL;
    next_ago = 0;
    noted = NULL;
    return set_up(state);
}

/* --- it slept without the lock */

static void sleep_over(enum virt_error_kind failure) {
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, failure, "cannot acquire state change lock");
    hours.at = hours.now + 1;
    hours.then = start_next_and_look;
}

static void after_a_failed_attach(void **state) {
    (void)state;
    sleep_over(VIRT_TRANSIENT);
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_message(0, "has been started again since");
    assert_untouched();
}

static void also_when_it_has_an_id_that_was_used(void **state) {
    (void)state;
    next_id = told.id;
    next_ago = 5;
    set_process(vm_state_now() - 1);
    sleep_over(VIRT_TRANSIENT);
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_message(0, "has been started again since");
    assert_untouched();
}

/* The engine itself is late: the VM's process is younger than the event. */
static void an_engine_that_comes_late_to_a_used_id(void **state) {
    (void)state;
    next_id = told.id;
    next_ago = 5;
    start_next_and_look();
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_message(0, "has been started again since");
    assert_untouched();
}

static void an_engine_that_comes_late(void **state) {
    (void)state;
    start_next_and_look();
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_message(0, "has been started again since");
    assert_untouched();
}

/* Where libvirt has not been asked. */
static void the_log_of_what_failed(void **state) {
    (void)state;
    start_next_and_look();
    refused_opens = 1;
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_untouched();
}

/* Its own start has ended without a file, and nothing is begun for it. */
static void nothing_is_begun_for_what_is_over(void **state) {
    (void)state;
    double_virt_stop(hypervisor, FRIGATE);
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_message(0, "has stopped");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

/* --- at each of its writes */

static void begin_next(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    start_next_and_look();
}

/* Between what it reads of the VM and its call: libvirt compares the id. */
static void at_the_attach(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, begin_next, NULL);
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_null(strstr(results(), "attached"));
    assert_untouched();
}

static void at_the_reset(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_RESET, 1, begin_next, NULL);
    run_of("attach at 03:00.0 as vfio then reset");
    assert_untouched();
}

static void at_the_detach(void **state) {
    (void)state;
    give(FRIGATE, FIRST);
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, begin_next, NULL);
    assert_false(run_of("detach at 03:00.0"));
    assert_untouched();
}

/* While it waits for the guest's boot, to look at it again. */
static void at_the_second_look(void **state) {
    (void)state;
    boot_ms = 0;
    hours.at = hours.now + 1;
    hours.then = start_next_and_look;
    run_at(EVENT_STARTED, RULE);
    boot_ms = -1;
    assert_untouched();
}

/* --- what it has taken from the host */

static unsigned given_back;

/* NOLINTNEXTLINE(readability-non-const-parameter): the type of the port */
static int no_release(const struct host *host, const struct device *device,
                      struct failure *failure) {
    (void)host, (void)device, (void)failure;
    return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type of the port */
static int count_give_back(const struct host *host, const struct device *device,
                           struct failure *failure) {
    (void)host, (void)device, (void)failure;
    given_back++;
    return 0;
}

static void take_driver(struct double_virt *unused, void *context) {
    char *link = memory_printf("%s/sys/bus/pci/devices/" FIRST "/driver", host_root);
    (void)unused, (void)context;
    unlink(link);
    free(link);
}

static void run_without_driver(void) {
    host_source.unbind = no_release;
    host_source.probe = host_source.rebind = count_give_back;
    given_back = 0;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, take_driver, NULL);
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_TRANSIENT,
                     "cannot acquire state change lock");
    hours.at = hours.now + 1;
    hours.then = start_next_and_look;
    run_at(EVENT_STARTED, RULE);
    host_source = source_sysfs(host_root);
}

static void what_the_later_start_has_taken_is_left_to_it(void **state) {
    (void)state;
    next_takes = FIRST;
    run_without_driver();
    assert_int_equal(given_back, 0);
    assert_untouched();
}

static void what_it_has_not_goes_back(void **state) {
    (void)state;
    run_without_driver();
    assert_true(given_back > 0);
    assert_untouched();
}

/* --- at the end of the VM */

static void the_end_of_an_earlier_start(void **state) {
    (void)state;
    next_ago = 1; /* the engine of the end was started before */
    next_takes = FIRST;
    start_next_and_look();
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_untouched();
}

static void its_own_end(void **state) {
    (void)state;
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_true(vm_state_exists(state_path(""), FRIGATE));
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, begin, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(after_a_failed_attach),
        TEST(also_when_it_has_an_id_that_was_used),
        TEST(an_engine_that_comes_late_to_a_used_id),
        TEST(an_engine_that_comes_late),
        TEST(the_log_of_what_failed),
        TEST(nothing_is_begun_for_what_is_over),
        TEST(at_the_attach),
        TEST(at_the_reset),
        TEST(at_the_detach),
        TEST(at_the_second_look),
        TEST(what_the_later_start_has_taken_is_left_to_it),
        TEST(what_it_has_not_goes_back),
        TEST(the_end_of_an_earlier_start),
        TEST(its_own_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
