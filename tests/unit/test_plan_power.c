/* `awake` and `reset method`: what is planned, refused, written, and set back. */
#include "tests/unit/execute_world.h"

#include "engine/plan/plan_power.h"

#define TPU "sys/bus/pci/devices/" FIRST
#define POWER TPU "/power/control"
#define D3COLD TPU "/d3cold_allowed"
#define RESET TPU "/reset_method"
#define RULE "on vm frigate started attach 1ac1:089a at " FIRST " as vfio awake reset method bus\n"

static char written[512]; /* each write, as "power/control=on " */

static int test_write(const struct host_source *source, const struct setting *setting,
                      struct failure *failure) {
    const char *file = strstr(setting->path, FIRST);
    snprintf(written + strlen(written), sizeof written - strlen(written), "%s=%s ",
             file ? file + strlen(FIRST) + 1 : setting->path, setting->value);
    (void)source, (void)failure;
    put(setting->path, setting->value); /* sysfs takes a write as a whole */
    return 0;
}

static int begin(void **state) {
    set_up(state);
    *written = '\0';
    host_source.write_setting = test_write;
    put(POWER, "auto");
    put(D3COLD, "1");
    put(RESET, "flr bus");
    return 0;
}

static size_t noted(void) {
    struct vm_state vm_state;
    vm_state_load(&vm_state, state_path(""), FRIGATE);
    size_t count = vm_state.setting_count;
    vm_state_finish(&vm_state);
    return count;
}

/* --- a run */

static unsigned attached;

/* vfio-pci's probe does it too: power/control is "auto" after it. */
static void libvirt_attaches(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    attached++;
    assert_string_equal(get(POWER), "on");
    assert_string_equal(get(D3COLD), "0");
    assert_string_equal(get(RESET), "bus");
    assert_int_equal(noted(), 3);
    put(POWER, "auto");
}

static void all_is_written_before_the_attach(void **state) {
    (void)state;
    attached = 0;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, libvirt_attaches, NULL);
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_int_equal(attached, 1);
    assert_string_equal(written,
                        "power/control=on d3cold_allowed=0 reset_method=bus power/control=on ");
    assert_string_equal(get(POWER), "on");
    assert_message(0, "while the VM has it, the host writes 'on' to power/control, '0' to "
                      "d3cold_allowed, 'bus' to reset_method");
    /* The same event again: nothing. */
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_int_equal(noted(), 3);
    double_virt_stop(hypervisor, FRIGATE);
    *written = '\0';
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_string_equal(written, "reset_method=flr bus d3cold_allowed=1 power/control=auto ");
    assert_string_equal(get(RESET), "flr bus");
    assert_int_equal(noted(), 0);
}

static void an_old_kernel_lacks_files(void **state) {
    (void)state;
    shell("rm -r %s/" TPU "/power %s/" D3COLD, host_root, host_root);
    assert_true(run_at(EVENT_STARTED,
                       "on vm frigate started attach 1ac1:089a at " FIRST " as vfio awake\n"));
    assert_string_equal(results(), "attached attach " FIRST " 1ac1:089a\n");
    assert_string_equal(get(RESET), "flr bus");
    assert_int_equal(noted(), 0);
    assert_string_equal(written, "");
}

static void what_is_as_wanted_stays(void **state) {
    (void)state;
    put(POWER, "on");
    put(D3COLD, "0");
    put(RESET, "bus");
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_int_equal(noted(), 0);
    assert_string_equal(written, "");
}

static void a_method_that_it_lacks_is_refused(void **state) {
    (void)state;
    put(RESET, "flr pm");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_string_equal(results(), "refused attach " FIRST " 1ac1:089a\n");
    assert_message(0, "it has no reset method bus: the kernel offers flr pm");
    assert_string_equal(written, "");
    shell("rm %s/" RESET "%s", host_root, "");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_message(1, "older than Linux 5.15");
}

/* --- what is planned */

static struct setting_list list;
static char *text;

static int end(void **state) {
    setting_finish(&list);
    list = (struct setting_list){0};
    free(text);
    text = NULL;
    return tear_down(state);
}

static const char *planned(const struct device *device, const struct backend_options *options) {
    static char all[512];
    *all = '\0';
    setting_finish(&list);
    list = (struct setting_list){0};
    plan_power_add(&list, device, options);
    for (size_t i = 0; i < list.count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s=%s ", list.list[i].path,
                 list.list[i].value);
    free(text);
    text = plan_power_note(&list, device);
    return all;
}

static void each_bus_has_its_files(void **state) {
    (void)state;
    struct action_option awake = {.kind = OPTION_AWAKE};
    struct backend_options options = {.list = &awake}, none = {.list = NULL};
    struct device stick = {.bus = BUS_USB, .address = (char *)"1-1.4"};
    struct device disk = {.bus = BUS_SCSI, .address = (char *)"3:0:0:0"};
    assert_string_equal(planned(&stick, &options), "sys/bus/usb/devices/1-1.4/power/control=on ");
    assert_string_equal(text, "while the VM has it, the host writes 'on' to power/control");
    assert_string_equal(planned(&disk, &options), "sys/bus/scsi/devices/3:0:0:0/power/control=on ");
    disk.above = (char *)"1-1.4";
    disk.above_bus = BUS_USB;
    assert_string_equal(planned(&disk, &options), "sys/bus/usb/devices/1-1.4/power/control=on "
                                                  "sys/bus/scsi/devices/3:0:0:0/power/control=on ");
    assert_string_equal(planned(&stick, &none), "");
    assert_null(text);
    assert_string_equal(planned(&stick, NULL), "");
}

/* What only comes along with its IOMMU group stays awake too, and is reset as the kernel likes. */
static void a_group_stays_awake_as_a_whole(void **state) {
    (void)state;
    struct action_option method = {.kind = OPTION_RESET_METHOD, .text = (char *)"bus"};
    struct action_option awake = {.kind = OPTION_AWAKE, .next = &method};
    struct backend_options options = {.list = &awake, .goes_along = true};
    struct device sound = {.bus = BUS_PCI, .address = (char *)FIRST};
    assert_string_equal(planned(&sound, &options), POWER "=on " D3COLD "=0 ");
    struct verdict verdict = plan_power_judge(&sound, &options);
    assert_int_equal(verdict.refusal, REFUSED_NOT);
    options.goes_along = false;
    assert_string_equal(planned(&sound, &options), POWER "=on " D3COLD "=0 " RESET "=bus ");
    verdict = plan_power_judge(&sound, &options);
    assert_int_equal(verdict.refusal, REFUSED_RESET_METHOD);
    verdict_finish(&verdict);
    /* whole words */
    sound.reset_methods = (char *)"cxl_bus flr";
    verdict = plan_power_judge(&sound, &options);
    assert_int_equal(verdict.refusal, REFUSED_RESET_METHOD);
    assert_non_null(strstr(verdict.message, "the kernel offers cxl_bus flr"));
    verdict_finish(&verdict);
    sound.reset_methods = (char *)"flr bus";
    verdict = plan_power_judge(&sound, &options);
    assert_int_equal(verdict.refusal, REFUSED_NOT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(all_is_written_before_the_attach), TEST(an_old_kernel_lacks_files),
        TEST(what_is_as_wanted_stays),          TEST(a_method_that_it_lacks_is_refused),
        TEST(each_bus_has_its_files),           TEST(a_group_stays_awake_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
