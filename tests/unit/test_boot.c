/* 'virt-rules boot' on a copy of the host with virtual functions. The test is the kernel. */
#include "tests/unit/execute_world.h"
#include "tests/unit/range.h"

#include "engine/state/boot_note.h"
#include "engine/trigger/boot.h"

#include <errno.h>

#define PF "0000:41:00.1"     /* has none of 64 virtual functions */
#define UPLINK "0000:41:00.0" /* of the host; has 5 */
#define VF "0000:41:02.2"
#define OTHER_VF "0000:41:02.3"
#define BUSY_VF "0000:41:02.0" /* the host has an address on it */
#define BOUND_VF "0000:41:02.1"
#define NEW_VF "0000:41:0a."

static char calls[2048];
static bool is_loaded, can_load, refuses_driver, is_late, is_open, has_events;
static unsigned created;

__attribute__((format(printf, 1, 2))) static void note_call(const char *format, ...) {
    size_t used = strlen(calls);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(calls + used, sizeof calls - used, format, arguments);
    va_end(arguments);
}

/* NOLINTBEGIN(readability-non-const-parameter): the types of the port */
static int kernel_bind(const struct host *host, const struct device *device, const char *driver,
                       struct failure *failure) {
    (void)host;
    note_call("bind %s %s\n", device->address, driver ? driver : "-");
    if (is_late) {
        failure_set(failure, "the driver i40e has not released it");
        return HOST_LATE;
    }
    set_driver(device->address, driver && !refuses_driver ? driver : "iavf");
    return 0;
}

static bool kernel_has_driver(const struct host_source *source, const char *driver) {
    (void)source, (void)driver;
    return is_loaded;
}

static int kernel_load_driver(const struct host_source *source, const char *driver,
                              struct failure *failure) {
    (void)source;
    note_call("load %s\n", driver);
    is_loaded = can_load;
    return can_load ? 0 : failure_set(failure, "not found in /lib/modules");
}

static void put_number(const char *address, unsigned number) {
    char path[256];
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s/sriov_numvfs", host_root, address);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fprintf(out, "%u\n", number);
    fclose(out);
}

static int kernel_create(const struct host *host, const struct device *physical, unsigned count,
                         struct failure *failure) {
    (void)host;
    note_call("create %s %u\n", physical->address, count);
    if (created == 0)
        return failure_set(failure, "no room");
    for (unsigned i = 0; i < count && i < created; i++) {
        char command[512];
        snprintf(command, sizeof command,
                 "cd %s/sys/bus/pci/devices && cp -a $(readlink -f " VF ") " NEW_VF
                 "%u && ln -sfn ../%s " NEW_VF "%u/physfn && rm -rf " NEW_VF "%u/net",
                 host_root, i, physical->address, i, i);
        shell("%s%s", command, "");
    }
    put_number(physical->address, count < created ? count : created);
    return 0;
}

static char *kernel_group_user(const struct host *host, const struct device *device) {
    (void)host, (void)device;
    return is_open ? memory_strdup("qemu (process 7)") : NULL;
}

static bool kernel_has_events(const struct host_source *source) {
    (void)source;
    return has_events;
}
/* NOLINTEND(readability-non-const-parameter) */

static int begin(void **state) {
    set_up(state);
    shell("rm -rf %s && cp -a tests/hosts/sriov %s", host_root, host_root);
    host_source.bind = kernel_bind;
    host_source.has_driver = kernel_has_driver;
    host_source.load_driver = kernel_load_driver;
    host_source.create_functions = kernel_create;
    host_source.group_user = kernel_group_user;
    host_source.has_events = kernel_has_events;
    is_loaded = true;
    can_load = refuses_driver = is_late = is_open = has_events = false;
    created = 64;
    *calls = '\0';
    return 0;
}

/* The log is only of this run. */
static bool boot(const char *text) {
    struct sample_rules rules;
    char *lines = NULL;
    size_t size;
    FILE *out = memory_stream(&lines, &size);
    sample_rules_init(&rules, text);
    unlink(state_path("/virt-rules.log"));
    char *state = memory_strdup(state_path(""));
    bool good = boot_execute(&(struct boot_request){.program = &rules.program,
                                                    .host_source = &host_source,
                                                    .state = state,
                                                    .out = out,
                                                    .clock = &hours.clock});
    memory_stream_close(out, &lines);
    free(lines);
    free(state);
    sample_rules_finish(&rules);
    return good;
}

#define X710 " 8086:1572\n"
#define FUNCTION " 8086:154c\n"

/* --- bind */

static void every_device_is_bound_once(void **state) {
    static const char rules[] = "on host boot bind at 0000:41:02.[123] to vfio\n";
    (void)state;
    assert_true(boot(rules));
    assert_string_equal(calls, "bind " VF " vfio-pci\nbind " OTHER_VF " vfio-pci\n");
    assert_string_equal(results(), "already bind " BOUND_VF FUNCTION "bound bind " VF FUNCTION
                                   "bound bind " OTHER_VF FUNCTION);
    assert_message(1, "vfio-pci (the driver was iavf)");
    *calls = '\0';
    assert_true(boot(rules));
    assert_string_equal(calls, "");
    assert_string_equal(results(), "already bind " BOUND_VF FUNCTION "already bind " VF FUNCTION
                                   "already bind " OTHER_VF FUNCTION);
    assert_string_equal(hours.slept, "");
}

static void the_log_names_no_vm(void **state) {
    (void)state;
    assert_true(boot("on host boot bind at " VF " to vfio\n"));
    struct json_object *line = log_line(0);
    assert_string_equal(field(line, "vm"), "-");
    assert_string_equal(field(line, "uuid"), "-");
    assert_string_equal(field(line, "event"), "boot");
    assert_string_equal(field(line, "rule"), "t.rules:1");
    json_object_put(line);
}

static void what_the_host_uses_stays(void **state) {
    (void)state;
    assert_false(boot("on host boot bind 8086:1572 or at " BUSY_VF " to vfio\n"));
    assert_string_equal(calls, "bind " PF " vfio-pci\n");
    assert_string_equal(results(), "refused bind " UPLINK X710 "bound bind " PF X710
                                   "refused bind " BUSY_VF FUNCTION);
    assert_message(0, "carries the default route");
}

static void a_never_forbids_it(void **state) {
    (void)state;
    assert_false(boot("never attach at " VF "\non host boot bind at " VF " to vfio\n"));
    assert_message(0, "'never' at t.rules:1 forbids it");
    assert_string_equal(calls, "");
    assert_true(boot("never attach at " VF " to vm x\non host boot bind at " VF " to vfio\n"));
    assert_string_equal(calls, "bind " VF " vfio-pci\n");
}

static void bridges_are_not_meant(void **state) {
    (void)state;
    assert_true(boot("on host boot bind at 0000:00:0?.0 or at " VF " to vfio\n"));
    assert_string_equal(calls, "bind " VF " vfio-pci\n");
    assert_false(boot("on host boot bind at 0000:00:01.0 to vfio\n"));
    assert_message(0, "0000:00:01.0 is a bridge, which stays on its driver");
}

static void another_driver(void **state) {
    (void)state;
    assert_true(boot("on host boot bind at " VF " to driver pci-stub\n"));
    assert_string_equal(driver_of(VF), "pci-stub");
    /* from vfio, and to a driver that is not for VMs: nobody may have the group open */
    is_open = true;
    *calls = '\0';
    assert_false(boot("on host boot bind at " BOUND_VF " to driver iavf\n"));
    assert_string_equal(calls, "");
    assert_string_equal(results(), "refused bind " BOUND_VF FUNCTION);
    assert_message(0, "qemu (process 7) has its IOMMU group 21 open");
    assert_true(boot("on host boot bind at " OTHER_VF " to vfio\n"));
}

/* mlx5_vfio_pci, say: it is for VMs as well; one that is named is meant. */
static void a_vfio_driver_of_its_own(void **state) {
    (void)state;
    set_driver(VF, "x_vfio_pci");
    assert_true(boot("on host boot bind at " VF " to vfio\n"));
    assert_string_equal(calls, "");
    set_driver(VF, "vfio-pci");
    assert_true(boot("on host boot bind at " VF " to driver x_vfio_pci\n"));
    assert_string_equal(calls, "bind " VF " x_vfio_pci\n");
}

static void the_first_of_two_rules_wins(void **state) {
    static const char rules[] = "on host boot bind at " VF " to driver pci-stub\n"
                                "on host boot bind at " VF " or at " OTHER_VF " to vfio\n";
    (void)state;
    assert_false(boot(rules));
    assert_string_equal(calls, "bind " VF " pci-stub\nbind " OTHER_VF " vfio-pci\n");
    *calls = '\0';
    assert_false(boot(rules));
    assert_string_equal(calls, "");
    assert_message(1, "t.rules:1 binds it to pci-stub");
}

static void a_module_is_loaded(void **state) {
    (void)state;
    is_loaded = false;
    assert_false(boot("on host boot bind at " VF " to vfio\n"));
    assert_string_equal(calls, "load vfio-pci\n");
    assert_message(0, "the kernel has no PCI driver vfio-pci: not found in /lib/modules");
    *calls = '\0';
    can_load = true;
    assert_true(boot("on host boot bind at " VF " to vfio\n"));
    assert_string_equal(calls, "load vfio-pci\nbind " VF " vfio-pci\n");
}

static void a_driver_that_does_not_take_it(void **state) {
    (void)state;
    refuses_driver = true;
    assert_false(boot("on host boot bind at " VF " to vfio\n"));
    assert_string_equal(calls, "bind " VF " vfio-pci\nbind " VF " vfio-pci\nbind " VF
                               " vfio-pci\nbind " VF " -\n");
    assert_message(0, "vfio-pci did not take it; it is bound to iavf now");
}

static void a_driver_that_does_not_release_it(void **state) {
    (void)state;
    is_late = true;
    assert_false(boot("on host boot bind at " VF " to vfio\n"));
    assert_string_equal(calls, "bind " VF " vfio-pci\n");
    assert_string_equal(results(), "failed bind " VF FUNCTION);
    assert_message(0, "stop the program that has it open");
}

/* libvirt's own file of a VM that runs. */
static void what_a_vm_has_stays(void **state) {
    (void)state;
    shell("mkdir -p %s/run/libvirt/qemu && echo \"<domstatus state='running'><domain type='kvm' "
          "id='1'><name>nas</name><devices><hostdev mode='subsystem' type='pci'><source><address "
          "domain='0' bus='0x41' slot='2' function='2'/></source></hostdev></devices></domain>"
          "</domstatus>\" >%s/run/libvirt/qemu/nas.xml",
          host_root, host_root);
    assert_false(boot("on host boot bind at " VF " to driver pci-stub\n"));
    assert_string_equal(calls, "");
    assert_message(0, "VM 'nas' has it");
}

/* --- what is not there */

static void what_is_absent(void **state) {
    (void)state;
    assert_false(boot("on host boot bind 1234:5678 to vfio\n"));
    assert_string_equal(results(), "absent bind 1234:5678\n");
    assert_message(0, "the host has no device 1234:5678");
    assert_true(boot("on host boot bind 1234:5678 to vfio optional\n"));
    assert_false(boot("on host boot create 2 vf of 1234:5678\n"));
    assert_true(boot("on host boot create 2 vf of 1234:5678 optional\n"));
    assert_string_equal(hours.slept, "");
}

static void comes(void) {
    set_present(VF, true);
}

static void what_comes_late(void **state) {
    (void)state;
    set_present(VF, false);
    hours.at = hours.now + 3000;
    hours.then = comes;
    assert_true(boot("on host boot bind at " VF " to vfio within 10s\n"));
    assert_string_equal(calls, "bind " VF " vfio-pci\n");
    assert_int_in_range(hours.now, 5000 + 3000, 5000 + 3000 + 3000 / 8);
}

/* 'within' counts from the beginning: two devices are waited for together. */
static void what_does_not_come(void **state) {
    (void)state;
    assert_false(boot("on host boot {\nbind 1234:5678 to vfio within 10s optional\n"
                      "create 1 vf of 1234:5679 within 10s\n}\n"));
    assert_int_equal(hours.now, 5000 + 10000);
    assert_string_equal(results(), "absent bind 1234:5678\nabsent create 1234:5679\n");
}

static void udev_is_done(void) {
    has_events = false;
}

static void driver_comes(void) {
    set_driver(PF, "i40e");
}

/* Its queue says that more may come, also without 'within'. */
static void udev_is_waited_for(void **state) {
    (void)state;
    has_events = true;
    set_driver(PF, "");
    hours.at = hours.now + 1000;
    hours.then = driver_comes;
    assert_true(boot("on host boot create 2 vf of at " PF "\n"));
    assert_string_equal(calls, "create " PF " 2\n");
    hours.at = hours.now + 1000;
    hours.then = udev_is_done;
    assert_false(boot("on host boot bind 1234:5678 to vfio\n"));
    assert_int_equal(hours.now, 5000 + 1000 + 1000);
}

/* --- create */

static void functions_are_created_once(void **state) {
    static const char rules[] = "device uplink is vf of 8086:1572 at " PF "\n"
                                "on host boot {\ncreate 2 vf of 8086:1572 at " PF "\n"
                                "bind uplink to vfio\n}\n";
    (void)state;
    assert_true(boot(rules));
    assert_string_equal(calls,
                        "create " PF " 2\nbind " NEW_VF "0 vfio-pci\nbind " NEW_VF "1 vfio-pci\n");
    assert_string_equal(results(), "created create " PF X710 "bound bind " NEW_VF "0" FUNCTION
                                   "bound bind " NEW_VF "1" FUNCTION);
    assert_message(0, "2 virtual functions");
    *calls = '\0';
    assert_true(boot(rules));
    assert_string_equal(calls, "");
    assert_message(0, "it runs 2 virtual functions already");
}

static void refused(const char *what, const char *why) {
    char *rules = memory_printf("on host boot create %s\n", what);
    *calls = '\0';
    assert_false(boot(rules));
    assert_string_equal(calls, "");
    assert_message(0, why);
    free(rules);
}

static void what_cannot_be_created(void **state) {
    (void)state;
    refused("4 vf of at " UPLINK, "it runs 5 virtual functions, and the kernel changes the number "
                                  "only from 0");
    refused("4 vf of at " UPLINK, "echo 0 >/sys/bus/pci/devices/" UPLINK "/sriov_numvfs");
    refused("65 vf of at " PF, "at most 64 virtual functions, not 65");
    refused("1 vf of 8086:1572", "2 devices are 8086:1572: " UPLINK ", " PF);
    refused("1 vf of at " VF, "it is a virtual function itself, of " UPLINK);
    refused("1 vf of at 0000:00:01.0", "it has no virtual functions (SR-IOV)");
    set_driver(PF, "vfio-pci");
    refused("1 vf of at " PF, "it is bound to vfio-pci: only its host driver creates them");
    set_driver(PF, "");
    refused("1 vf of at " PF, "no driver is bound to it");
}

static void a_driver_comes_late(void **state) {
    (void)state;
    set_driver(PF, "");
    hours.at = hours.now + 1000;
    hours.then = driver_comes;
    assert_true(boot("on host boot create 1 vf of at " PF " within 5s\n"));
    assert_message(0, "1 virtual function");
}

/* The function stays on the host, with its addresses. */
static void the_uplink_may_have_functions(void **state) {
    (void)state;
    shell("cd %s/sys/bus/pci/devices && rm -rf 0000:41:02.? %s", host_root, "");
    put_number(UPLINK, 0);
    struct sample_rules rules;
    char *text = NULL;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    struct failure failure;
    sample_rules_init(&rules, "on host boot create 4 vf of at " UPLINK "\n");
    struct boot_request request = {
        .program = &rules.program, .host_source = &host_source, .out = out};
    assert_int_equal(boot_show(&request, (struct terminal){0}, &failure), 1);
    memory_stream_close(out, &text);
    assert_non_null(strstr(text, "its link may be down for a moment"));
    free(text);
    sample_rules_finish(&rules);
    assert_string_equal(calls, "");
}

static void fewer_than_asked_for(void **state) {
    (void)state;
    created = 1;
    assert_false(boot("on host boot create 2 vf of at " PF "\n"));
    assert_message(0, "the driver i40e created 1 of 2 virtual functions");
}

/* What another rule should have created is not bound. */
static void none_although_asked_for(void **state) {
    (void)state;
    created = 0;
    assert_false(
        boot("on host boot {\ncreate 2 vf of at " PF "\nbind vf of at " PF " to vfio\n}\n"));
    assert_string_equal(calls, "create " PF " 2\n");
    assert_message(0, "no room");
    assert_message(1, "the virtual functions were not created");
}

static void a_physical_function_keeps_its_driver(void **state) {
    (void)state;
    assert_false(boot("on host boot {\ncreate 2 vf of at " PF "\nbind at " PF " to vfio\n}\n"));
    assert_string_equal(calls, "create " PF " 2\n");
    assert_message(1, "t.rules:2 creates virtual functions on it");
    assert_false(boot("on host boot {\ncreate 2 vf of at " PF "\ncreate 3 vf of at " PF "\n}\n"));
    assert_message(1, "t.rules:2 creates 2 of them");
}

/* --- the rest */

static void programs_run_in_their_place(void **state) {
    (void)state;
    char *rules = memory_printf("on host boot {\nrun \"/bin/sh\" \"-c\" \"echo $VIRT_RULES_EVENT "
                                "$VIRT_RULES_VM.\"\nbind at " VF " to vfio\n}\n");
    assert_true(boot(rules));
    assert_string_equal(results(), "ran run -\nbound bind " VF FUNCTION);
    assert_message(0, "boot .");
    free(rules);
}

static void nothing_to_do(void **state) {
    (void)state;
    assert_true(boot("on vm x started attach at " VF " as vfio\n"));
    assert_int_equal(access(state_path(""), F_OK), -1);
}

static void how_it_went_is_noted(void **state) {
    char time[CLOCK_STAMP_SIZE];
    (void)state;
    assert_int_equal(boot_note_read(state_path(""), "", time), BOOT_NOTE_NONE);
    assert_string_equal(time, "");
    boot("on host boot bind at " VF " to vfio\n");
    assert_int_equal(boot_note_read(state_path(""), "", time), BOOT_NOTE_GOOD);
    assert_true(strlen(time) > 20);
    boot("on host boot bind 1234:5678 to vfio\n");
    assert_int_equal(boot_note_read(state_path(""), "", time), BOOT_NOTE_PROBLEM);
    pid_t child = fork();
    if (child == 0) {
        boot_note_write(state_path(""), BOOT_NOTE_RUNNING);
        _exit(boot_note_read(state_path(""), "", time) == BOOT_NOTE_RUNNING ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(boot_note_read(state_path(""), "", time), BOOT_NOTE_INTERRUPTED);
    shell("sed -i 's/begun/good/' %s%s", state_path("/boot"), ""); /* the sum is wrong now */
    assert_int_equal(boot_note_read(state_path(""), "", time), BOOT_NOTE_NONE);
}

/* --- definitions */

static void define_vm_with(const char *address) {
    char path[256];
    shell("mkdir -p %s/etc/libvirt/qemu%s", host_root, "");
    snprintf(path, sizeof path, "%s/etc/libvirt/qemu/win.xml", host_root);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fprintf(out,
            "<domain type='kvm'><name>win</name><uuid>" WINDOWS "</uuid><metadata><vr:defined "
            "xmlns:vr='urn:virt-rules:defined:1'><vr:hostdev as='vfio' address='%s' form='0'/>"
            "</vr:defined></metadata><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
            "<controller type='pci' index='0' model='pcie-root'/><hostdev mode='subsystem' "
            "type='pci' managed='yes'><source><address domain='0x0000' bus='0x41' slot='0x02' "
            "function='0x%s'/></source></hostdev></devices></domain>",
            address, strrchr(address, '.') + 1);
    fclose(out);
}

/* libvirt starts it soon, and would give it the device that is there now. */
static void a_definition_with_what_moved_is_said(void **state) {
    static const char rules[] = "on vm win defined attach at " OTHER_VF " as vfio\n";
    (void)state;
    define_vm_with(VF);
    assert_false(boot(rules));
    assert_message(0, "the VM's definition has " VF);
    assert_message(0, "the rules mean " OTHER_VF);
    assert_message(0, "virt-rules apply");
    assert_string_equal(calls, "");
    assert_false(boot("on host boot bind at " BOUND_VF " to vfio\n"
                      "on vm win defined attach at " OTHER_VF " as vfio\n"));
    assert_message(1, "the VM's definition has " VF);
    define_vm_with(OTHER_VF); /* to be put in with other options at most */
    assert_true(boot(rules));
    assert_null(log_line(0));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, begin, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_definition_with_what_moved_is_said),
        TEST(every_device_is_bound_once),
        TEST(the_log_names_no_vm),
        TEST(what_the_host_uses_stays),
        TEST(a_never_forbids_it),
        TEST(bridges_are_not_meant),
        TEST(another_driver),
        TEST(a_vfio_driver_of_its_own),
        TEST(the_first_of_two_rules_wins),
        TEST(a_module_is_loaded),
        TEST(a_driver_that_does_not_take_it),
        TEST(a_driver_that_does_not_release_it),
        TEST(what_a_vm_has_stays),
        TEST(what_is_absent),
        TEST(what_comes_late),
        TEST(what_does_not_come),
        TEST(udev_is_waited_for),
        TEST(functions_are_created_once),
        TEST(what_cannot_be_created),
        TEST(a_driver_comes_late),
        TEST(the_uplink_may_have_functions),
        TEST(fewer_than_asked_for),
        TEST(none_although_asked_for),
        TEST(a_physical_function_keeps_its_driver),
        TEST(programs_run_in_their_place),
        TEST(nothing_to_do),
        TEST(how_it_went_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
