/* A device that was added or removed, from the kernel's event to the VMs, with the hypervisor's
 * double and a copy of the sample host with a USB Coral and two sticks of one make. */
#include "tests/unit/double_virt.h"
#include "tests/unit/sample.h"

#include "engine/state/lock.h"
#include "engine/state/vm_state.h"
#include "engine/system/clock.h"
#include "engine/trigger/plug.h"

#include <sys/stat.h>
#include <unistd.h>

#define FRIGATE "00000000-0000-4000-8000-000000000001"
#define WINDOWS "00000000-0000-4000-8000-000000000002"
#define TPU "device tpu is 1a6e:089a or 18d1:9302\n"
#define PORT "1-1.4"

/* --- the world */

struct jumping_clock {
    struct clock clock;
    int64_t now;
    int64_t at; /* when `then` is called, once */
    void (*then)(void);
};

static struct jumping_clock hours;
static struct double_virt *hypervisor;
static char directory[64], host_root[96], state_path[96], rules_path[96];
static unsigned opened;
static bool refuses, by_hand;
static int open_code;

static int64_t jump_now(struct clock *clock) {
    return ((struct jumping_clock *)clock)->now;
}

static void jump(struct clock *clock, int64_t milliseconds) {
    struct jumping_clock *jumping = (struct jumping_clock *)clock;
    assert_true(milliseconds > 0);
    jumping->now += milliseconds;
    void (*then)(void) = jumping->then;
    if (then && jumping->now >= jumping->at) {
        jumping->then = NULL;
        then();
    }
}

static int open_double(struct virt **virt, const char *uri, struct virt_error *error) {
    assert_null(uri);
    opened++;
    if (refuses) {
        *virt = NULL;
        *error = (struct virt_error){.kind = VIRT_UNREACHABLE,
                                     .code = open_code,
                                     .failure.message = "no libvirt here",
                                     .failure.hint = "install it"};
        return -1;
    }
    *virt = double_virt_port(hypervisor);
    return 0;
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...) {
    va_list values;
    va_start(values, format);
    char *command = memory_vprintf(format, values);
    va_end(values);
    if (system(command) != 0) /* NOLINT(cert-env33-c): paths of this test */
        fail_msg("%s", command);
    free(command);
}

static int set_up(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(host_root, sizeof host_root, "%s/host", directory);
    snprintf(state_path, sizeof state_path, "%s/state", directory);
    snprintf(rules_path, sizeof rules_path, "%s/rules", directory);
    shell("cp -a tests/hosts/usb %s && mkdir -m 755 %s", host_root, rules_path);
    hypervisor = double_virt_create();
    double_virt_add(hypervisor, FRIGATE, "frigate", "NVR");
    double_virt_add(hypervisor, WINDOWS, "windows", NULL);
    hours = (struct jumping_clock){.clock = {jump_now, jump}, .now = 5000};
    opened = 0;
    refuses = by_hand = false;
    open_code = 38;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    double_virt_destroy(hypervisor);
    shell("rm -rf %s", directory);
    return 0;
}

/* Where a USB device of the sample host lies. */
#define FIND "d=$(find %s/sys/devices -type d -name %s) && "

static void set_device(const char *port, const char *vendor, const char *product, int number) {
    shell(FIND "echo %s >$d/idVendor && echo %s >$d/idProduct && echo %d >$d/devnum", host_root,
          port, vendor, product, number);
}

static void pull(const char *port) {
    shell("cd %s/sys/bus/usb/devices && rm %s %s:*", host_root, port, port);
}

static void set_rules(const char *text) {
    shell("cat >%s/a.rules <<'END'\n%s\nEND\nchmod 644 %s/a.rules", rules_path, text, rules_path);
}

static const char *log_text(void) {
    static char text[65536];
    char path[128];
    snprintf(path, sizeof path, "%s/virt-rules.log", state_path);
    FILE *in = fopen(path, "re");
    size_t size = in ? fread(text, 1, sizeof text - 1, in) : 0;
    text[size] = '\0';
    if (in)
        fclose(in);
    return text;
}

static void assert_logged(const char *text) {
    if (!strstr(log_text(), text))
        fail_msg("the log lacks: %s\n%s", text, log_text());
}

static bool handle(const struct uevent *uevent) {
    struct log_writer *journal = log_write_open(state_path, false);
    assert_non_null(journal);
    bool good = plug_event(&(struct plug){.rules = rules_path,
                                          .host_source = sample_source(host_root),
                                          .state = state_path,
                                          .by_hand = by_hand,
                                          .log = journal,
                                          .clock = &hours.clock,
                                          .open_virt = open_double},
                           uevent);
    log_write_close(journal);
    return good;
}

static struct device stick(const char *port, unsigned vendor, unsigned product, unsigned number) {
    return (struct device){SAMPLE_USB(port, (uint16_t)vendor, (uint16_t)product, 1, number)};
}

static bool tell(bool removed, struct device device, uint64_t number) {
    struct uevent uevent;
    uevent_of(&uevent, &device, removed, number);
    bool good = handle(&uevent);
    uevent_finish(&uevent);
    return good;
}

static bool came(struct device device, uint64_t number) {
    return tell(false, device, number);
}

static bool went(struct device device, uint64_t number) {
    return tell(true, device, number);
}

#define CORAL stick(PORT, 0x1a6e, 0x089a, 5)
#define LOADED stick(PORT, 0x18d1, 0x9302, 6)

/* The attaches and detaches among the calls. */
static const char *changes(void) {
    static char text[2048];
    size_t used = 0;
    char *calls = memory_strdup(double_virt_calls(hypervisor)), *rest = calls;
    *text = '\0';
    for (char *line; (line = strsep(&rest, "\n"));)
        if (!strncmp(line, "attach ", 7) || !strncmp(line, "detach ", 7))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", line);
    free(calls);
    double_virt_forget_calls(hypervisor);
    return text;
}

/* --- which events are looked at */

static void a_device_that_no_rule_is_about(void **state) {
    (void)state;
    set_rules("on vm frigate started attach 1ac1:089a as vfio");
    assert_true(came(CORAL, 10));
    assert_true(went(CORAL, 11));
    assert_int_equal(opened, 0);
    assert_int_equal(access(state_path, F_OK), 0); /* of the log */
    shell("test -z \"$(find %s -name locks)\"", state_path);
    set_rules("on vm frigate started, plugged attach 10c4:ea60 as usb");
    assert_true(came(CORAL, 12));
    assert_int_equal(opened, 0);
    assert_string_equal(log_text(), "");
    shell("test -z \"$(find %s -path '*/devices/usb-*')\"", state_path);
}

static void it_goes_to_its_vm(void **state) {
    (void)state;
    set_rules(TPU "on vm frigate plugged attach tpu as usb");
    assert_true(came(CORAL, 10));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    assert_logged("\"event\":\"plugged\",\"action\":\"attach\",\"device\":\"1-1.4 1a6e:089a\"");
    assert_int_equal(opened, 1); /* a connection costs a process and libvirt's start */
    assert_true(came(CORAL, 10));
    assert_string_equal(changes(), "");
}

static void the_second_vm_has_a_connection_too(void **state) {
    (void)state;
    set_rules("on vm frigate plugged attach 1a6e:089a as usb\n"
              "on vm windows plugged attach 1a6e:089a as usb optional");
    came(CORAL, 10);
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    assert_logged("\"vm\":\"windows\"");
    assert_int_equal(opened, 2);
}

static void only_rules_of_this_device_apply(void **state) {
    (void)state;
    set_rules("on vm frigate plugged attach 1cf1:0030 serial \"DE00212F10\" as usb\n"
              "on vm windows plugged attach port 1-1.1 as usb");
    assert_true(came(CORAL, 10));
    assert_int_equal(opened, 0);
    assert_true(came(stick("1-1.1", 0x1cf1, 0x0030, 3), 11));
    assert_string_equal(changes(), "attach windows 1/3 1cf1:0030\n");
    assert_true(came(stick("1-1.2", 0x1cf1, 0x0030, 4), 12));
    assert_string_equal(changes(), "attach frigate 1/4 1cf1:0030\n");
    assert_true(came(stick("1-1", 0x05e3, 0x0608, 2), 13));
    assert_string_equal(changes(), "");
}

static void a_port_takes_whatever_is_there(void **state) {
    (void)state;
    set_rules("on vm frigate plugged attach port 1-1.4 as usb");
    set_device(PORT, "dead", "beef", 77);
    assert_true(came(stick(PORT, 0xdead, 0xbeef, 77), 10));
    assert_string_equal(changes(), "attach frigate 1/77 dead:beef\n");
}

/* --- what has gone */

static void what_left_the_host_leaves_the_vm(void **state) {
    (void)state;
    set_rules(TPU "on vm frigate started attach tpu as usb");
    double_virt_give(hypervisor, FRIGATE,
                     "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1a6e'/>"
                     "<product id='0x089a'/><address bus='1' device='5'/></source></hostdev>");
    pull(PORT);
    assert_true(went(CORAL, 10));
    assert_string_equal(changes(), "detach frigate 1/5 1a6e:089a\n");
}

static void it_comes_back_with_another_id(void **state) {
    (void)state;
    set_rules(TPU "on vm frigate started, plugged attach tpu as usb");
    double_virt_give(hypervisor, FRIGATE,
                     "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1a6e'/>"
                     "<product id='0x089a'/><address bus='1' device='5'/></source></hostdev>");
    set_device(PORT, "18d1", "9302", 6);
    assert_true(went(CORAL, 10));
    assert_string_equal(changes(), "detach frigate 1/5 1a6e:089a\nattach frigate 1/6 18d1:9302\n");
    assert_true(came(LOADED, 11));
    assert_string_equal(changes(), "");
}

static void note_dismissed(bool lost) {
    struct vm_state vm_state;
    struct failure failure;
    struct vm_start start = {.id = 1, .seen = clock_ticks()};
    assert_true(vm_state_open(&vm_state, state_path, FRIGATE, &start));
    vm_state_dismiss(&vm_state, PORT, CORAL.id);
    if (lost)
        vm_state_note_lost(&vm_state, PORT);
    assert_int_equal(vm_state_save(&vm_state, state_path, FRIGATE, &failure), 0);
    vm_state_finish(&vm_state);
}

/* It re-enumerated when it was detached, with another id: nobody wants it back by that. */
static void what_was_taken_out_stays_on_the_host(void **state) {
    (void)state;
    set_rules(TPU "on vm frigate started, plugged attach tpu as usb");
    assert_true(came(CORAL, 10));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    double_virt_take(hypervisor, FRIGATE,
                     "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1a6e'/>"
                     "<product id='0x089a'/><address bus='1' device='5'/></source></hostdev>");
    note_dismissed(true);
    set_device(PORT, "18d1", "9302", 6);
    assert_true(went(CORAL, 11));
    assert_true(came(LOADED, 12));
    assert_string_equal(changes(), "");
    assert_logged("it re-enumerated when it was detached, and stays on the host");
}

/* It was still at its port when the VM had released it: it was a person who plugged it in again. */
static void what_a_person_plugs_in_again_is_attached(void **state) {
    (void)state;
    set_rules(TPU "on vm frigate started, plugged attach tpu as usb");
    shell("mkdir -p %s", state_path);
    note_dismissed(false);
    set_device(PORT, "18d1", "9302", 6);
    assert_true(came(LOADED, 12));
    assert_string_equal(changes(), "attach frigate 1/6 18d1:9302\n");
}

static void what_went_is_known_as_it_was(void **state) {
    (void)state;
    set_rules("on vm frigate plugged, unplugged {\n"
              "    detach serial \"DE00212F10\"\n"
              "    run \"/bin/echo\" seen\n}\n");
    assert_true(came(stick("1-1.2", 0x1cf1, 0x0030, 4), 10));
    assert_logged("seen");
    shell("rm %s/virt-rules.log", state_path);
    pull("1-1.2");
    assert_true(went(stick("1-1.2", 0x1cf1, 0x0030, 4), 11)); /* nothing of its serial */
    assert_logged("\"event\":\"unplugged\",\"action\":\"run\"");
}

/* Each device behind a hub has an event of its own, the hub itself first. */
static void a_hub_with_what_is_behind_it(void **state) {
    (void)state;
    set_rules("device sticks is below port 1-1\n"
              "on vm frigate started, plugged attach all sticks as usb\n");
    shell("cd %s/sys/bus/usb/devices && mkdir away && mv 1-1.[124]* away", host_root);
    assert_true(came(stick("1-1", 0x05e3, 0x0608, 2), 10));
    assert_string_equal(changes(), "");
    assert_string_equal(log_text(), "");
    shell("cd %s/sys/bus/usb/devices && mv away/1-1.1* .", host_root);
    assert_true(came(stick("1-1.1", 0x1cf1, 0x0030, 3), 11));
    assert_string_equal(changes(), "attach frigate 1/3 1cf1:0030\n");
    shell("cd %s/sys/bus/usb/devices && mv away/1-1.4* .", host_root);
    assert_true(came(CORAL, 12));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    shell("cd %s/sys/bus/usb/devices && rm -r 1-1 1-1:* 1-1.*", host_root);
    assert_true(went(CORAL, 13));
    assert_true(went(stick("1-1.1", 0x1cf1, 0x0030, 3), 14));
    assert_true(went(stick("1-1", 0x05e3, 0x0608, 2), 15));
    assert_string_equal(changes(), "detach frigate 1/3 1cf1:0030\ndetach frigate 1/5 1a6e:089a\n");
}

/* A hub behind that hub is an event of the rule too, and nothing that is missing. */
static void a_hub_behind_a_hub(void **state) {
    (void)state;
    set_rules("on vm frigate started, plugged attach all below port 1-1 as usb\n");
    shell("cd %s/sys/bus/usb/devices && rm 1-1.[12]*", host_root);
    shell(FIND "echo 09 >$d/bDeviceClass", host_root, PORT);
    assert_true(came(CORAL, 10));
    assert_string_equal(changes(), "");
    assert_string_equal(log_text(), "");
}

/* The device is out of sysfs, and the kernel's event has neither its product nor its interfaces. */
static void what_went_has_the_texts_that_it_had(void **state) {
    (void)state;
    set_rules("on vm frigate plugged, unplugged {\n"
              "    detach product like \"ConBee*\" manufacturer \"dresden elektronik\" "
              "interface 0a not driver x\n"
              "    run \"/bin/echo\" seen\n}\n");
    assert_true(came(stick("1-1.2", 0x1cf1, 0x0030, 4), 10));
    assert_logged("seen");
    shell("rm %s/virt-rules.log", state_path);
    pull("1-1.2");
    struct device left = stick("1-1.2", 0x1cf1, 0x0030, 4);
    left.unknown = DEVICE_UNKNOWN_ALL;
    assert_true(went(left, 11));
    assert_logged("\"event\":\"unplugged\",\"action\":\"run\"");
}

static void a_program_runs_once_a_device(void **state) {
    (void)state;
    set_rules("on vm frigate plugged, unplugged run \"/bin/echo\" seen");
    assert_true(came(CORAL, 10));
    assert_true(came(CORAL, 10));
    shell("test $(wc -l <%s/virt-rules.log) = 1", state_path);
    pull(PORT);
    assert_true(went(CORAL, 11));
    assert_true(went(CORAL, 11));
    shell("test $(wc -l <%s/virt-rules.log) = 2", state_path);
}

static void what_stands_runs_no_program(void **state) {
    (void)state;
    struct device coral = CORAL;
    struct uevent uevent;
    uevent_of(&uevent, &coral, false, 10);
    uevent.coldplug = true;
    set_rules("on vm frigate plugged run \"/bin/echo\" seen");
    assert_true(handle(&uevent));
    assert_int_equal(opened, 0);
    set_rules("on vm frigate plugged run \"/bin/echo\" seen\n"
              "on vm windows plugged attach 1a6e:089a as usb");
    assert_true(handle(&uevent));
    assert_string_equal(changes(), "attach windows 1/5 1a6e:089a\n");
    assert_null(strstr(log_text(), "seen"));
    uevent_finish(&uevent);
}

/* --- what a guest resets again and again */

/* The stick is attached, is there for a while, and comes back with the next number. */
static bool lose(unsigned number, int64_t stays) {
    hours.now += stays;
    set_device(PORT, "1a6e", "089a", (int)number + 1);
    went(stick(PORT, 0x1a6e, 0x089a, number), UINT64_C(2) * number);
    return came(stick(PORT, 0x1a6e, 0x089a, number + 1), 2 * number + 1);
}

static int attaches(void) {
    int count = 0;
    for (const char *at = changes(); (at = strstr(at, "attach ")); at++)
        count++;
    return count;
}

static void a_device_that_is_lost_each_time_waits_longer_each_time(void **state) {
    (void)state;
    static const int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    unsigned number = 5;
    set_rules("on vm frigate started, plugged attach 1a6e:089a as usb");
    assert_true(came(CORAL, 10));
    for (; number < 9; number++) {
        int64_t since = hours.now;
        assert_true(lose(number, 400));
        assert_int_equal(hours.now - since, 400);
    }
    assert_int_equal(attaches(), 5);
    assert_null(strstr(log_text(), "in succession"));
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++, number++) {
        int64_t since = hours.now;
        assert_true(lose(number, 400));
        assert_int_equal(hours.now - since, 400 + waits[i]);
        assert_int_equal(attaches(), 1);
    }
    assert_logged("it left its VM 5 times in succession within seconds of its attach: it is "
                  "attached again when it has been on the host for 1 s");
    assert_logged("'guest reset off'");
    int64_t since = hours.now; /* it has been well for half a minute */
    assert_true(lose(number, 30000));
    assert_int_equal(hours.now - since, 30000);
    assert_int_equal(attaches(), 1);
}

static void what_is_asked_for_by_hand_does_not_wait(void **state) {
    (void)state;
    unsigned number = 5;
    set_rules("on vm frigate started, plugged attach 1a6e:089a as usb");
    assert_true(came(CORAL, 10));
    for (; number < 11; number++)
        assert_true(lose(number, 400));
    hours.now += 400;
    pull(PORT);
    went(stick(PORT, 0x1a6e, 0x089a, number), 100);
    changes();
    shell("cp -a tests/hosts/usb/sys/bus/usb/devices/" PORT "* %s/sys/bus/usb/devices", host_root);
    set_device(PORT, "1a6e", "089a", 77);
    by_hand = true;
    int64_t since = hours.now;
    assert_true(came(stick(PORT, 0x1a6e, 0x089a, 77), 0));
    assert_int_equal(hours.now, since);
    assert_string_equal(changes(), "attach frigate 1/77 1a6e:089a\n");
}

static void change_rules(void) {
    set_rules("on vm windows started, plugged attach 1a6e:089a as usb");
}

static void rules_that_change_meanwhile(void **state) {
    (void)state;
    unsigned number = 5;
    set_rules("on vm frigate started, plugged attach 1a6e:089a as usb");
    assert_true(came(CORAL, 10));
    for (; number < 9; number++)
        assert_true(lose(number, 400));
    changes();
    hours.at = hours.now + 800;
    hours.then = change_rules;
    lose(number, 400);
    assert_string_equal(changes(), "detach frigate 1/9 1a6e:089a\nattach windows 1/10 1a6e:089a\n");
}

static void pull_stick(void) {
    pull(PORT);
}

static void what_leaves_meanwhile_is_not_attached(void **state) {
    (void)state;
    unsigned number = 5;
    set_rules("on vm frigate started, plugged attach 1a6e:089a as usb");
    assert_true(came(CORAL, 10));
    for (; number < 9; number++)
        assert_true(lose(number, 400));
    changes();
    hours.at = hours.now + 800;
    hours.then = pull_stick;
    int64_t since = hours.now;
    lose(number, 400);
    assert_string_equal(changes(), "detach frigate 1/9 1a6e:089a\n");
    assert_true(hours.now - since < 1400);
    went(stick(PORT, 0x1a6e, 0x089a, 10), 20);
    assert_string_equal(changes(), "");
}

/* --- waiting for the kernel */

static void put_interface(void) {
    shell(FIND "mv %s/hidden \"$d/" PORT ":1.0\"", host_root, PORT, directory);
}

static void its_interfaces_are_waited_for(void **state) {
    (void)state;
    shell(FIND "echo ' 1' >$d/bNumInterfaces && mv \"$d/" PORT ":1.0\" %s/hidden", host_root, PORT,
          directory);
    set_rules("on vm frigate plugged attach class ff as usb");
    hours.at = hours.now + 300;
    hours.then = put_interface;
    assert_true(came(CORAL, 10));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    assert_true(hours.now >= 5300 && hours.now < 5400);
}

/* Too much power for its hub: it has no configuration, and never will. */
static void but_not_for_ever(void **state) {
    (void)state;
    shell(FIND "echo >$d/bNumInterfaces", host_root, PORT);
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    assert_true(came(CORAL, 10));
    assert_true(hours.now >= 6000 && hours.now < 6100);
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
}

static void put_record(void) {
    shell("mkdir -p %s/run/udev/data && touch %s/run/udev/data/c189:4", host_root, host_root);
}

static void udev_is_waited_for(void **state) {
    (void)state;
    shell("mkdir -p %s/run/udev && touch %s/run/udev/control", host_root, host_root);
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    hours.at = hours.now + 300;
    hours.then = put_record;
    assert_true(came(CORAL, 10));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    assert_true(hours.now >= 5300 && hours.now < 5400);
    assert_null(strstr(log_text(), "udev"));
    assert_logged("\"call_ms\":0,\"event_ms\":300");
}

/* Longer than the event waits, and still not for ever. */
static void a_late_udev_is_waited_for(void **state) {
    (void)state;
    shell("mkdir -p %s/run/udev && touch %s/run/udev/control", host_root, host_root);
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    hours.at = hours.now + 4000;
    hours.then = put_record;
    assert_true(came(CORAL, 10));
    assert_true(hours.now >= 9000 && hours.now < 9200);
    assert_null(strstr(log_text(), "udev"));
}

static void a_udev_that_never_comes(void **state) {
    (void)state;
    shell("mkdir -p %s/run/udev && touch %s/run/udev/control", host_root, host_root);
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    assert_true(came(CORAL, 10));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    assert_true(hours.now >= 10000 && hours.now < 11200);
    assert_logged(
        "did not wait longer: udev has not finished with it (/run/udev/data/c189:4 is not "
        "there)");
}

static void put_node(void) {
    shell("touch %s/dev/bus/usb/001/005", host_root);
}

static void a_node_is_waited_for(void **state) {
    (void)state;
    shell("mkdir -p %s/dev/bus/usb/001", host_root);
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    hours.at = hours.now + 200;
    hours.then = put_node;
    assert_true(came(CORAL, 10));
    assert_true(hours.now >= 5200 && hours.now < 5300);
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
}

/* Programs that udev runs look at each new device. */
static void open_node(void) {
    shell("mkdir -p %s/proc/42/fd && echo ata_id >%s/proc/42/comm && "
          "ln -s /dev/bus/usb/001/005 %s/proc/42/fd/3",
          host_root, host_root, host_root);
}

static void close_node(void) {
    shell("rm -r %s/proc/42", host_root);
}

static void a_program_that_looks_at_it_is_waited_for(void **state) {
    (void)state;
    open_node();
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    hours.at = hours.now + 700;
    hours.then = close_node;
    assert_true(came(CORAL, 10));
    assert_true(hours.now >= 5700 && hours.now < 6100);
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    assert_null(strstr(log_text(), "ata_id"));
}

static void one_that_keeps_it_open_is_not(void **state) {
    (void)state;
    open_node();
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    assert_false(came(CORAL, 10));
    assert_true(hours.now >= 15000 && hours.now < 20100);
    assert_string_equal(changes(), "");
    assert_logged("the host uses it in ata_id (process 42: /dev/bus/usb/001/005)");
}

/* It waits before it takes its turn: otherwise its event could be merged with that of another, who
 * would find the device that goes. */
static void pull_coral(void) {
    struct failure failure;
    int lock = -1;
    alarm(600); /* it would wait for itself */
    assert_int_equal(lock_slot(state_path, "usb-" PORT, &lock, &failure), LOCK_SLOT_MINE);
    alarm(0);
    lock_release(lock);
    pull(PORT);
}

static void a_device_that_goes_is_waited_for(void **state) {
    (void)state;
    set_rules("on vm frigate plugged, unplugged run \"/bin/echo\" \"is seen\"");
    hours.at = hours.now + 200;
    hours.then = pull_coral;
    assert_true(went(CORAL, 10));
    assert_true(hours.now >= 5200 && hours.now < 5300);
    assert_logged("\"event\":\"unplugged\"");
    assert_null(strstr(log_text(), "\"event\":\"plugged\""));
}

/* --- several VMs */

static void the_first_rule_wins(void **state) {
    (void)state;
    set_rules("on vm windows plugged attach 1a6e:089a as usb\n"
              "on vm frigate plugged attach 1a6e:089a as usb");
    assert_false(came(CORAL, 10));
    assert_string_equal(changes(), "attach windows 1/5 1a6e:089a\n");
    assert_logged("\"vm\":\"NVR\",\"event\":\"plugged\",\"action\":\"attach\",\"device\":\"1-1.4 "
                  "1a6e:089a\",\"rule\"");
    assert_logged("\"result\":\"refused\"");
}

static int held;

static void let_go(struct double_virt *ignored, void *context) {
    (void)ignored;
    (void)context;
    lock_release(held);
}

static void a_vm_that_is_busy_comes_last(void **state) {
    (void)state;
    struct failure failure;
    set_rules("on vm windows plugged attach 1a6e:089a as usb\n"
              "on vm frigate plugged attach 1a6e:089a as usb");
    held = lock_vm(state_path, WINDOWS, &failure);
    assert_true(held >= 0);
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, let_go, NULL);
    assert_false(came(CORAL, 10));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
}

static void a_vm_that_does_not_run_gets_nothing(void **state) {
    (void)state;
    set_rules("on vm any plugged attach 1a6e:089a as usb");
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(came(CORAL, 10));
    assert_string_equal(changes(), "attach windows 1/5 1a6e:089a\n");
}

/* --- what goes wrong */

static void no_libvirt(void **state) {
    (void)state;
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    refuses = true;
    assert_false(came(CORAL, 10));
    assert_logged("no libvirt here; install it");
    assert_logged("\"device\":\"1-1.4 1a6e:089a\"");
    assert_true(hours.now >= 15000); /* a daemon may be restarting */
    assert_true(opened > 10);
    open_code = 0; /* but no library will come */
    opened = 0;
    assert_false(came(CORAL, 0));
    assert_int_equal(opened, 1);
}

/* Each time it has waited for as long as a question may take: some times, and no more. */
static void a_libvirt_that_is_silent(void **state) {
    (void)state;
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    double_virt_fail(hypervisor, DOUBLE_LIST, 0, VIRT_NO_REPLY, "libvirt does not answer: x");
    assert_false(came(CORAL, 10));
    assert_logged("libvirt does not answer: x");
    assert_int_equal(opened, 6);
}

static void a_broken_file_is_said(void **state) {
    (void)state;
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    shell("echo 'on vm frigate plgged attach 1:2' >%s/b.rules && chmod 644 %s/b.rules", rules_path,
          rules_path);
    assert_false(came(CORAL, 10));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    assert_logged("the file is left out");
}

static void no_room_for_the_memory(void **state) {
    (void)state;
    set_rules("on vm frigate plugged attach 1a6e:089a as usb");
    shell("mkdir -p %s && touch %s/devices", state_path, state_path);
    assert_false(came(CORAL, 10));
    assert_string_equal(changes(), "attach frigate 1/5 1a6e:089a\n");
    assert_logged("the VMs may get this event twice");
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_device_that_no_rule_is_about),
        TEST(it_goes_to_its_vm),
        TEST(the_second_vm_has_a_connection_too),
        TEST(only_rules_of_this_device_apply),
        TEST(a_port_takes_whatever_is_there),
        TEST(what_left_the_host_leaves_the_vm),
        TEST(it_comes_back_with_another_id),
        TEST(what_was_taken_out_stays_on_the_host),
        TEST(what_a_person_plugs_in_again_is_attached),
        TEST(what_went_is_known_as_it_was),
        TEST(a_hub_with_what_is_behind_it),
        TEST(a_hub_behind_a_hub),
        TEST(what_went_has_the_texts_that_it_had),
        TEST(a_program_runs_once_a_device),
        TEST(what_stands_runs_no_program),
        TEST(a_device_that_is_lost_each_time_waits_longer_each_time),
        TEST(what_is_asked_for_by_hand_does_not_wait),
        TEST(rules_that_change_meanwhile),
        TEST(what_leaves_meanwhile_is_not_attached),
        TEST(its_interfaces_are_waited_for),
        TEST(but_not_for_ever),
        TEST(udev_is_waited_for),
        TEST(a_late_udev_is_waited_for),
        TEST(a_udev_that_never_comes),
        TEST(a_node_is_waited_for),
        TEST(a_program_that_looks_at_it_is_waited_for),
        TEST(one_that_keeps_it_open_is_not),
        TEST(a_device_that_goes_is_waited_for),
        TEST(the_first_rule_wins),
        TEST(a_vm_that_is_busy_comes_last),
        TEST(a_vm_that_does_not_run_gets_nothing),
        TEST(no_libvirt),
        TEST(a_libvirt_that_is_silent),
        TEST(a_broken_file_is_said),
        TEST(no_room_for_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
