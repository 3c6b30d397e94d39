/* Rules applied to VMs that run, with the hypervisor's double; what the processes of the VMs do is
 * seen in what they write. */
#include "tests/unit/double_virt.h"
#include "tests/unit/range.h"
#include "tests/unit/sample.h"

#include "engine/backend/backend.h"
#include "engine/system/clock.h"
#include "engine/trigger/apply.h"

#include <json-c/json.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRIGATE "00000000-0000-4000-8000-000000000001"
#define WINDOWS "00000000-0000-4000-8000-000000000002"
#define ASSISTANT "00000000-0000-4000-8000-000000000003"

static struct double_virt *hypervisor;
static struct virt_error error;
static struct sample_rules rules;
static struct apply_request request;
static char directory[64], log_path[96], *printed;
static unsigned opened, reported;
static struct failure last_failure;
static bool refuses;

static int open_double(struct virt **virt, const char *uri, struct virt_error *why) {
    assert_null(uri);
    opened++;
    *virt = refuses ? NULL : double_virt_port(hypervisor);
    if (refuses)
        *why = (struct virt_error){.kind = VIRT_UNREACHABLE, .failure.message = "no libvirt here"};
    return refuses ? -1 : 0;
}

static void report(const struct failure *failure) {
    reported++;
    last_failure = *failure;
}

static int create(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(log_path, sizeof log_path, "%s/virt-rules.log", directory);
    hypervisor = double_virt_create();
    double_virt_add(hypervisor, WINDOWS, "windows", NULL);
    double_virt_add(hypervisor, FRIGATE, "frigate", "NVR");
    double_virt_add(hypervisor, ASSISTANT, "assistant", NULL);
    opened = reported = 0;
    refuses = false;
    printed = NULL;
    sample_rules_init(&rules, "on vm frigate started attach 1a6e:089a as usb\n"
                              "on vm windows started {\n"
                              "    attach 1cf1:0030 serial \"DE00212E7B\" as usb\n"
                              "    run \"/bin/false\"\n"
                              "}\n"
                              "on vm assistant stopped run \"/bin/true\"\n");
    request = (struct apply_request){.program = &rules.program,
                                     .host_source = sample_source("tests/hosts/usb"),
                                     .state = directory,
                                     .out = tmpfile(),
                                     .report = report,
                                     .clock = clock_system(),
                                     .open_virt = open_double};
    assert_non_null(request.out);
    return 0;
}

static int destroy(void **state) {
    char command[96];
    (void)state;
    double_virt_destroy(hypervisor);
    sample_rules_finish(&rules);
    fclose(request.out);
    free(printed);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command); /* NOLINT(cert-env33-c): a path of this test */
}

/* All that was written to `out`, by whatever process. */
static const char *read_out(void) {
    size_t size = 0;
    free(printed);
    printed = NULL;
    assert_int_equal(fflush(request.out), 0);
    rewind(request.out);
    if (getdelim(&printed, &size, '\0', request.out) < 0) {
        free(printed);
        printed = strdup("");
    }
    return printed;
}

static void assert_printed(const char *part) {
    if (!strstr(read_out(), part))
        fail_msg("'%s' lacks '%s'", printed, part);
}

static bool execute(void) {
    struct apply apply;
    assert_int_equal(apply_init(&apply, &request, &error), 0);
    bool good = apply_execute(&apply);
    apply_finish(&apply);
    return good;
}

static size_t count_lines(const char *text) {
    size_t count = 0;
    for (; (text = strchr(text, '\n')); text++)
        count++;
    return count;
}

/* --- which VMs */

/* Names of what was chosen. */
static void assert_chooses(const char *names, bool problem) {
    struct apply apply;
    char chosen[256] = "";
    assert_int_equal(apply_init(&apply, &request, &error), 0);
    for (size_t i = 0; i < apply.running.count; i++)
        if (apply.chosen[i])
            snprintf(chosen + strlen(chosen), sizeof chosen - strlen(chosen), "%s ",
                     apply.running.list[i].name);
    assert_string_equal(chosen, names);
    assert_int_equal(apply.problem, problem);
    assert_int_equal(reported, problem);
    reported = 0;
    apply_finish(&apply);
}

static void assert_chooses_of(char *first, char *second, const char *names, bool problem) {
    char *const words[] = {first, second};
    request.names = words;
    request.name_count = second ? 2 : 1;
    assert_chooses(names, problem);
}

static void chooses_running_vms_that_a_rule_is_for(void **state) {
    char uuid[] = "00000000-0000-4000-8000-000000000001", name[] = "frigate", title[] = "NVR",
         windows[] = "windows", assistant[] = "assistant", nobody[] = "nobody";
    (void)state;
    assert_chooses("frigate windows ", false);
    assert_chooses_of(name, NULL, "frigate ", false);
    assert_chooses_of(title, uuid, "frigate ", false); /* once */
    assert_chooses_of(windows, name, "frigate windows ", false);
    assert_chooses_of(assistant, NULL, "", false); /* no rule is for it */
    assert_chooses_of(nobody, name, "frigate ", true);
    double_virt_stop(hypervisor, FRIGATE);
    assert_chooses_of(name, windows, "windows ", true);
    assert_string_equal(last_failure.message, "VM 'NVR' is not running");
    request.name_count = 0;
    assert_chooses("windows ", false);
    double_virt_stop(hypervisor, WINDOWS);
    assert_chooses("", false);
}

static void start_frigate(struct double_virt *self, void *xml) {
    double_virt_add_xml(self, xml);
}

/* Between the list and the look at it. */
static void chooses_a_vm_that_has_just_started(void **state) {
    char name[] = "frigate", *xml = strdup(double_virt_xml(hypervisor, FRIGATE));
    (void)state;
    double_virt_stop(hypervisor, FRIGATE);
    double_virt_before(hypervisor, DOUBLE_XML, 1, start_frigate, xml);
    assert_chooses_of(name, name, "frigate ", false);
    free(xml);
}

static void reports_that_libvirt_does_not_answer(void **state) {
    struct apply apply;
    char name[] = "frigate";
    char *const names[] = {name};
    (void)state;
    refuses = true;
    assert_int_equal(apply_init(&apply, &request, &error), -1);
    assert_string_equal(error.failure.message, "no libvirt here");
    refuses = false;
    double_virt_fail(hypervisor, DOUBLE_LIST, 1, VIRT_UNREACHABLE, "list lost");
    assert_int_equal(apply_init(&apply, &request, &error), -1);
    assert_string_equal(error.failure.message, "list lost");
    request.names = names;
    request.name_count = 1;
    double_virt_fail(hypervisor, DOUBLE_XML, 1, VIRT_UNREACHABLE, "xml lost");
    assert_int_equal(apply_init(&apply, &request, &error), -1);
    assert_string_equal(error.failure.message, "xml lost");
}

/* --- doing it */

static void attaches_in_a_process_a_vm(void **state) {
    (void)state;
    assert_true(execute());
    assert_printed("NVR started attach 1-1.4 1a6e:089a: attached: ");
    assert_printed("windows started attach 1-1.1 1cf1:0030: attached: ");
    assert_int_equal(count_lines(printed), 2); /* the program was not run */
    assert_int_equal(opened, 1);               /* each process has its own */
    assert_null(strstr(double_virt_calls(hypervisor), "attach"));
}

static void does_nothing_twice(void **state) {
    struct device stick = {
        .bus = BUS_USB, .id = {0x1a6e, 0x089a}, .bus_number = 1, .device_number = 5};
    char *xml = backend_xml(&backend_type_USB, &stick, NULL, 0), name[] = "frigate";
    char *const names[] = {name};
    (void)state;
    double_virt_give(hypervisor, FRIGATE, xml);
    free(xml);
    request.names = names;
    request.name_count = 1;
    assert_true(execute());
    assert_printed("NVR started attach 1-1.4 1a6e:089a: already: ");
    assert_int_equal(count_lines(printed), 1);
}

static void one_vm_fails_and_another_goes_on(void **state) {
    (void)state;
    sample_rules_finish(&rules);
    sample_rules_init(&rules, "on vm frigate started attach 1a6e:089a as usb\n"
                              "on vm windows started attach 1234:5678 as usb\n");
    assert_false(execute());
    assert_printed("NVR started attach 1-1.4 1a6e:089a: attached: ");
    assert_printed("windows started attach 1234:5678: absent: ");
}

static void a_name_that_is_wrong_is_a_problem(void **state) {
    char name[] = "frigate", nobody[] = "nobody";
    char *const names[] = {nobody, name};
    (void)state;
    request.names = names;
    request.name_count = 2;
    assert_false(execute());
    assert_printed("NVR started attach 1-1.4 1a6e:089a: attached: ");
}

static void a_vm_that_is_named_twice_is_one(void **state) {
    char name[] = "frigate", title[] = "NVR";
    char *const names[] = {title, name};
    (void)state;
    request.names = names;
    request.name_count = 2;
    assert_true(execute());
    assert_int_equal(count_lines(read_out()), 1);
}

static struct json_object *read_json(const char *key) {
    struct json_object *object = json_tokener_parse(read_out()), *list = NULL;
    assert_non_null(object);
    assert_true(json_object_object_get_ex(object, key, &list));
    json_object_get(list);
    json_object_put(object);
    return list;
}

static void prints_one_document(void **state) {
    (void)state;
    request.json = true;
    assert_true(execute());
    struct json_object *results = read_json("results"), *text;
    assert_int_equal(json_object_array_length(results), 2);
    static const char *const vms[] = {"NVR", "windows"};
    for (size_t i = 0; i < 2; i++) {
        struct json_object *result = json_object_array_get_idx(results, i);
        assert_true(json_object_object_get_ex(result, "vm", &text));
        assert_string_equal(json_object_get_string(text), vms[i]);
        assert_true(json_object_object_get_ex(result, "result", &text));
        assert_string_equal(json_object_get_string(text), "attached");
    }
    json_object_put(results);
    sample_rules_finish(&rules);
    sample_rules_init(&rules, "");
    assert_int_equal(ftruncate(fileno(request.out), 0), 0);
    rewind(request.out);
    assert_true(execute());
    results = read_json("results");
    assert_int_equal(json_object_array_length(results), 0);
    json_object_put(results);
}

/* The clock of a VM's process: one that dies at its work. */
static int64_t die(struct clock *clock) {
    (void)clock;
    return raise(SIGKILL);
}

static void reports_a_process_that_dies(void **state) {
    struct clock deadly = {.now_ms = die};
    (void)state;
    request.clock = &deadly;
    assert_false(execute());
    request.json = true;
    assert_false(execute());
}

/* A pipe with a byte for each process that waits for its VM's device. */
enum { VMS = 3, ALONE_LIMIT_MS = 600000 };
static int waiting[2];
static int64_t waited; /* in this process */

static int64_t now_with_what_was_waited(struct clock *clock) {
    (void)clock;
    return clock_now() + waited;
}

/* Until all of them do. Who is alone for ever lets the others go, and leaves more bytes. */
static void wait_for_all(struct clock *clock, int64_t milliseconds) {
    int count = 0;
    (void)clock;
    if (!waited)
        (void)!write(waiting[1], "", 1);
    for (int i = 0; ioctl(waiting[0], FIONREAD, &count) == 0 && count < VMS; i++)
        if (i < ALONE_LIMIT_MS)
            usleep(1000);
        else
            (void)!write(waiting[1], "alone", 5);
    waited += milliseconds;
}

/* Each waits for its device, and none waits for another. */
static void works_on_all_at_once(void **state) {
    struct clock common = {now_with_what_was_waited, wait_for_all};
    int count = 0;
    (void)state;
    sample_rules_finish(&rules);
    sample_rules_init(&rules, "on vm * started attach 1234:5678 as usb within 2s\n");
    assert_int_equal(pipe(waiting), 0);
    request.clock = &common;
    assert_false(execute());
    assert_int_equal(ioctl(waiting[0], FIONREAD, &count), 0);
    assert_int_equal(count, VMS);
    close(waiting[0]);
    close(waiting[1]);
    assert_int_equal(count_lines(read_out()), VMS);
}

/* --- showing it */

static int show(void) {
    struct apply apply;
    struct failure failure;
    assert_int_equal(apply_init(&apply, &request, &error), 0);
    int status = apply_show(&apply, (struct terminal){0}, &failure);
    if (status < 0)
        assert_non_null(strstr(failure.message, "/nonexistent"));
    apply_finish(&apply);
    return status;
}

static void shows_plans_and_changes_nothing(void **state) {
    (void)state;
    assert_int_equal(show(), 1);
    assert_printed("VM NVR (frigate), event started\n  attach  1-1.4 1a6e:089a");
    assert_printed("VM windows, event started\n  attach  1-1.1 1cf1:0030");
    assert_null(strstr(printed, "/bin/false"));
    assert_string_equal(double_virt_calls(hypervisor), "list\nlist\nclose\n");
    assert_int_equal(access(log_path, F_OK), -1);
    request.host_source = sample_source("/nonexistent");
    assert_int_equal(show(), -1);
}

static void shows_what_another_vm_has(void **state) {
    struct device stick = {
        .bus = BUS_USB, .id = {0x1a6e, 0x089a}, .bus_number = 1, .device_number = 5};
    char *xml = backend_xml(&backend_type_USB, &stick, NULL, 0);
    (void)state;
    double_virt_give(hypervisor, ASSISTANT, xml);
    free(xml);
    request.json = true;
    assert_int_equal(show(), 0);
    struct json_object *plans = read_json("plans"), *list;
    assert_int_equal(json_object_array_length(plans), 2);
    struct json_object *frigate = json_object_array_get_idx(plans, 0);
    assert_true(json_object_object_get_ex(frigate, "refusals", &list));
    assert_int_equal(json_object_array_length(list), 1);
    assert_non_null(strstr(json_object_to_json_string(list), "assistant"));
    assert_true(json_object_object_get_ex(json_object_array_get_idx(plans, 1), "steps", &list));
    assert_int_equal(json_object_array_length(list), 1);
    json_object_put(plans);
}

#define APPLY_TEST(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        APPLY_TEST(chooses_running_vms_that_a_rule_is_for),
        APPLY_TEST(chooses_a_vm_that_has_just_started),
        APPLY_TEST(reports_that_libvirt_does_not_answer),
        APPLY_TEST(attaches_in_a_process_a_vm),
        APPLY_TEST(does_nothing_twice),
        APPLY_TEST(one_vm_fails_and_another_goes_on),
        APPLY_TEST(a_name_that_is_wrong_is_a_problem),
        APPLY_TEST(a_vm_that_is_named_twice_is_one),
        APPLY_TEST(prints_one_document),
        APPLY_TEST(reports_a_process_that_dies),
        APPLY_TEST(works_on_all_at_once),
        APPLY_TEST(shows_plans_and_changes_nothing),
        APPLY_TEST(shows_what_another_vm_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
