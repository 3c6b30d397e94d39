/* What a VM's start waits for, with a clock that only jumps and a pipe in place of the hook's. */
#include "tests/unit/execute_world.h"

#include "engine/trigger/prepare.h"
#include "lexer/memory.h"

#include <errno.h>

#define BUSY                                                                                       \
    "<domstatus state='running'><domain id='7'><name>windows</name><uuid>" WINDOWS "</uuid>"       \
    "<devices><hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x03' "   \
    "slot='0x00' function='0x0'/></source></hostdev></devices></domain></domstatus>"
#define BUSY_FILE "run/libvirt/qemu/windows.xml"

static char answer[4096]; /* what the hook can read */

static enum prepared prepare_with(const char *text, bool partial) {
    struct sample_rules rules;
    struct event event = {.name = EVENT_PREPARE, .domain = &told};
    int ends[2];
    sample_rules_init(&rules, text);
    struct log_writer *log = log_write_open(state_path(""), false);
    assert_non_null(log);
    assert_int_equal(pipe(ends), 0);
    struct reply reply = {.file = ends[1]};
    enum prepared result = prepare_wait(&(struct run_config){.program = &rules.program,
                                                             .event = &event,
                                                             .host_source = &host_source,
                                                             .state = state_path(""),
                                                             .log = log,
                                                             .clock = &hours.clock,
                                                             .open_virt = open_double},
                                        partial, &reply);
    assert_int_equal(reply.file, -1); /* the start goes on */
    ssize_t size = read(ends[0], answer, sizeof answer - 1);
    answer[size < 0 ? 0 : size] = '\0';
    close(ends[0]);
    log_write_close(log);
    sample_rules_finish(&rules);
    assert_int_equal(opened, 0); /* libvirt waits for us */
    return result;
}

static enum prepared prepare_by(const char *text) {
    return prepare_with(text, false);
}

static void assert_answer(const char *part) {
    if (!strstr(answer, part))
        fail_msg("no '%s' in '%s'", part, answer);
}

/* --- require */

static void a_start_that_nothing_waits_for(void **state) {
    (void)state;
    assert_int_equal(prepare_by("on vm frigate started attach 1ac1:089a at " FIRST " as vfio\n"),
                     PREPARED);
    assert_string_equal(answer, "");
    assert_string_equal(results(), "");
    assert_int_equal(prepare_by("on vm windows prepare require 1ac1:089a at 0000:09:00.0\n"),
                     PREPARED);
    assert_string_equal(answer, "");
}

static void what_is_free_lets_it_start(void **state) {
    (void)state;
    assert_int_equal(prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n"),
                     PREPARED);
    assert_string_equal(answer, "wait 10000\n");
    assert_string_equal(hours.slept, "");
    assert_string_equal(results(), "");
}

static void what_is_absent_stops_it_after_two_looks(void **state) {
    (void)state;
    set_present(FIRST, false);
    assert_int_equal(prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n"),
                     PREPARE_STOPPED);
    assert_answer("\nstop ");
    assert_answer("the host has no device");
    assert_string_equal(hours.slept, "");
    assert_message(0, "the host has no device");
}

static void comes_back(void) {
    set_present(FIRST, true);
}

static void what_is_absent_is_waited_for(void **state) {
    (void)state;
    set_present(FIRST, false);
    hours.at = 5000 + 2000;
    hours.then = comes_back;
    assert_int_equal(
        prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio within 5s\n"),
        PREPARED);
    assert_string_equal(answer, "wait 15000\n");
    assert_int_equal(hours.now, 5000 + 2000);
    assert_message(0, "the host has no device");
    assert_message(1, "it is free now");
    assert_null(log_line(2));
}

static void it_is_waited_for_as_long_as_the_rule_says(void **state) {
    (void)state;
    set_present(FIRST, false);
    assert_int_equal(
        prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio within 5s\n"),
        PREPARE_STOPPED);
    assert_int_equal(hours.now, 5000 + 5000);
}

/* The limit is for all rules together: then the hook lets the VM start whatever we say. */
static void all_rules_together_wait_a_minute(void **state) {
    (void)state;
    set_present(FIRST, false);
    set_present(SECOND, false);
    hours.at = 5000 + 40000;
    hours.then = comes_back;
    assert_int_equal(
        prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio within 50s\n"
                   "on vm frigate prepare require 1ac1:089a at " SECOND " as vfio within 50s\n"),
        PREPARE_STOPPED);
    assert_int_equal(hours.now, 5000 + REPLY_ALL_MS);
}

/* What does not pass is not waited for. */
static void what_is_forbidden_stops_it_at_once(void **state) {
    (void)state;
    assert_int_equal(prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST
                                " as vfio within 5s\n"
                                "never attach 1ac1:089a at " FIRST "\n"),
                     PREPARE_STOPPED);
    assert_string_equal(hours.slept, "");
    assert_answer("\nstop ");
}

static void another_vm_is_shut_down(void) {
    char path[256];
    snprintf(path, sizeof path, "%s/" BUSY_FILE, host_root);
    assert_int_equal(unlink(path), 0);
}

/* Other VMs are known by libvirt's own files. */
static void what_another_vm_has_is_waited_for(void **state) {
    (void)state;
    put(BUSY_FILE, BUSY);
    hours.at = 5000 + 1000;
    hours.then = another_vm_is_shut_down;
    assert_int_equal(
        prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio within 5s\n"),
        PREPARED);
    assert_message(0, "VM 'windows'");
    assert_int_equal(hours.now, 5000 + 1000);
}

static void a_broken_file_of_a_vm_is_named(void **state) {
    (void)state;
    put(BUSY_FILE, "<domstatus");
    assert_int_equal(prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n"),
                     PREPARE_STOPPED);
    assert_answer("/" BUSY_FILE ": line ");
    assert_message(0, "/" BUSY_FILE ": line ");
}

/* One that was seen once says nothing. */
static unsigned loads;
static int load_without_first(const struct host_source *source, struct host *host,
                              struct failure *failure) {
    struct host_source sysfs = source_sysfs(source->root);
    bool hide = loads++ == 0;
    if (hide)
        set_present(FIRST, false);
    int status = sysfs.load(&sysfs, host, failure);
    if (hide)
        set_present(FIRST, true);
    return status;
}

static void a_device_that_was_missed_once_stops_nothing(void **state) {
    (void)state;
    loads = 0;
    host_source.load = load_without_first;
    assert_int_equal(prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n"),
                     PREPARED);
    assert_int_equal(loads, 2);
}

static int load_nothing(const struct host_source *source, struct host *host,
                        struct failure *failure) {
    (void)source, (void)host;
    return failure_set(failure, "there is no sysfs");
}

static void a_host_that_cannot_be_read_stops_nothing(void **state) {
    (void)state;
    host_source.load = load_nothing;
    assert_int_equal(prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n"),
                     PREPARED_WITH_PROBLEM);
    assert_null(strstr(answer, "stop"));
    assert_message(0, "there is no sysfs");
}

static int load_without_memory(const struct host_source *source, struct host *host,
                               struct failure *failure) {
    struct host_source sysfs = source_sysfs(source->root);
    int status = sysfs.load(&sysfs, host, failure);
    struct faults *faults = &host->faults;
    faults->list = memory_grow(faults->list, faults->count, sizeof *faults->list);
    faults->list[faults->count++] = (struct fault){memory_strdup("/sys"), ENOMEM};
    return status;
}

static void an_engine_that_is_short_of_memory_stops_nothing(void **state) {
    (void)state;
    set_present(FIRST, false);
    host_source.load = load_without_memory;
    assert_int_equal(prepare_by("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n"),
                     PREPARED_WITH_PROBLEM);
    assert_null(strstr(answer, "stop"));
    assert_message(0, "the host has no device");
}

/* --- several actions, in their order */

static void the_first_that_stops_is_the_last(void **state) {
    (void)state;
    set_present(FIRST, false);
    put("../done", "");
    char *text = memory_printf("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n"
                               "on vm frigate prepare run \"/bin/rm\" \"%s/done\" wait 5s\n",
                               directory);
    assert_int_equal(prepare_by(text), PREPARE_STOPPED);
    free(text);
    char path[128];
    snprintf(path, sizeof path, "%s/done", directory);
    assert_int_equal(access(path, F_OK), 0);
}

static void a_program_may_change_what_the_host_has(void **state) {
    (void)state;
    set_present(FIRST, false);
    char *text = memory_printf("on vm frigate prepare run \"/bin/mv\" \"%s/" FIRST
                               "\" \"%s/sys/bus/pci/devices/" FIRST "\" wait 5s\n"
                               "on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n",
                               directory, host_root);
    assert_int_equal(prepare_by(text), PREPARED);
    free(text);
    assert_null(strstr(answer, "stop"));

    char *away =
        memory_printf("on vm frigate prepare require 1ac1:089a at " FIRST " as vfio\n"
                      "on vm frigate prepare run \"/bin/mv\" \"%s/sys/bus/pci/devices/" FIRST
                      "\" \"%s\" wait 5s\n"
                      "on vm frigate prepare require 1ac1:089a at " FIRST " as vfio within 1s\n",
                      host_root, directory);
    assert_int_equal(prepare_by(away), PREPARE_STOPPED);
    free(away);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_start_that_nothing_waits_for),
        TEST(what_is_free_lets_it_start),
        TEST(what_is_absent_stops_it_after_two_looks),
        TEST(what_is_absent_is_waited_for),
        TEST(it_is_waited_for_as_long_as_the_rule_says),
        TEST(all_rules_together_wait_a_minute),
        TEST(what_is_forbidden_stops_it_at_once),
        TEST(what_another_vm_has_is_waited_for),
        TEST(a_broken_file_of_a_vm_is_named),
        TEST(a_device_that_was_missed_once_stops_nothing),
        TEST(a_host_that_cannot_be_read_stops_nothing),
        TEST(an_engine_that_is_short_of_memory_stops_nothing),
        TEST(the_first_that_stops_is_the_last),
        TEST(a_program_may_change_what_the_host_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
