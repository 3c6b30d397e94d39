/* Settings of the host that were changed for a device of a VM: what is noted, and set back. */
#include "tests/unit/execute_world.h"

#include "engine/run/host_setting.h"
#include "engine/state/lock.h"

#include <errno.h>

#define RULE "on vm frigate started attach 1ac1:089a at " FIRST " as vfio\n"
#define POWER "sys/bus/pci/devices/" FIRST "/power/control"
#define RESET "sys/bus/pci/devices/" FIRST "/reset_method"
#define CONSOLE "sys/class/vtconsole/vtcon1/bind"
#define FRAMEBUFFER "sys/bus/platform/devices/efi-framebuffer.0"

static char written[512]; /* each write, as "vtcon1=1 " */
static const char *deaf;  /* a setting that cannot be changed; NULL: none */
static int deaf_error;    /* why */

static int test_write(const struct host_source *source, const struct setting *setting,
                      struct failure *failure) {
    struct host_source usual = source_sysfs(source->root);
    char *owner = setting_owner(setting);
    snprintf(written + strlen(written), sizeof written - strlen(written), "%s=%s ", owner,
             setting->value);
    free(owner);
    if (deaf && !strcmp(deaf, setting->path)) {
        failure_set(failure, "it does not move");
        errno = deaf_error;
        return -1;
    }
    return usual.write_setting(&usual, setting, failure);
}

static void make_console(const char *name, const char *bind) {
    shell("rm -rf %s/sys/class/vtconsole%s", host_root, "");
    if (!*name)
        return;
    char path[128];
    snprintf(path, sizeof path, "sys/class/vtconsole/%s/name", name);
    put(path, "(M) frame buffer device");
    snprintf(path, sizeof path, "sys/class/vtconsole/%s/bind", name);
    put(path, bind);
}

static int begin(void **state) {
    set_up(state);
    *written = '\0';
    deaf = NULL;
    deaf_error = EBUSY;
    host_source.write_setting = test_write;
    put(POWER, "on");
    put(RESET, "bus");
    make_console("vtcon1", "0");
    return 0;
}

static int end(void **state) {
    settled = false;
    return tear_down(state);
}

/* As an engine that attached FIRST to the VM left it. */
static void note(const char *uuid, enum setting_kind kind, const char *path, const char *before,
                 const char *given) {
    struct vm_state vm_state;
    struct vm_start start = {.id = told.id};
    struct host host;
    sample_host(&host, host_root);
    assert_true(vm_state_open(&vm_state, state_path(""), uuid, &start));
    vm_state_note_setting(&vm_state, host_find(&host, BUS_PCI, FIRST),
                          &(struct setting){kind, (char *)path, (char *)before}, given);
    assert_int_equal(vm_state_save(&vm_state, state_path(""), uuid, NULL), 0);
    vm_state_finish(&vm_state);
    host_finish(&host);
}

static bool ends(void) {
    double_virt_stop(hypervisor, FRIGATE);
    return run_at(EVENT_RELEASE, RULE);
}

static size_t noted(const char *uuid) {
    struct vm_state vm_state;
    vm_state_load(&vm_state, state_path(""), uuid);
    size_t count = vm_state.setting_count;
    vm_state_finish(&vm_state);
    return count;
}

static void all_are_set_back_in_reverse_order(void **state) {
    (void)state;
    note(FRIGATE, SETTING_CONSOLE, CONSOLE, "1", "0");
    note(FRIGATE, SETTING_POWER, POWER, "auto", "on");
    note(FRIGATE, SETTING_RESET_METHOD, RESET, "flr bus", "bus");
    assert_true(ends());
    assert_string_equal(written, FIRST "=flr bus " FIRST "=auto vtcon1=1 ");
    assert_string_equal(get(POWER), "auto");
    assert_string_equal(get(RESET), "flr bus");
    assert_string_equal(get(CONSOLE), "1");
    assert_int_equal(noted(FRIGATE), 0);
    assert_message(0, "the host's text console is back (vtcon1)");
    /* And once only. */
    assert_true(ends());
    assert_string_equal(written, FIRST "=flr bus " FIRST "=auto vtcon1=1 ");
}

static void what_somebody_else_changed_stays(void **state) {
    (void)state;
    note(FRIGATE, SETTING_POWER, POWER, "on", "auto");
    put(POWER, "on");
    note(FRIGATE, SETTING_RESET_METHOD, RESET, "flr bus", "bus");
    put(RESET, "pm");
    assert_true(ends());
    assert_string_equal(written, "");
    assert_int_equal(noted(FRIGATE), 0);
}

static void a_vm_that_has_the_device_keeps_them(void **state) {
    (void)state;
    note(FRIGATE, SETTING_POWER, POWER, "auto", "on");
    give(FRIGATE, FIRST);
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_string_equal(written, "");
    assert_int_equal(noted(FRIGATE), 1);
    /* Another VM that got the device since has noted the same. */
    note(WINDOWS, SETTING_POWER, POWER, "auto", "on");
    assert_true(ends());
    assert_string_equal(written, "");
    assert_int_equal(noted(FRIGATE), 0);
    assert_int_equal(noted(WINDOWS), 1);
}

static void a_failure_stays_noted(void **state) {
    (void)state;
    deaf = POWER;
    note(FRIGATE, SETTING_POWER, POWER, "auto", "on");
    note(FRIGATE, SETTING_RESET_METHOD, RESET, "flr", "bus");
    assert_false(ends());
    assert_message(0, "it does not move");
    assert_int_equal(noted(FRIGATE), 1);
    deaf = NULL;
    settled = true; /* 'apply' */
    assert_true(ends());
    assert_string_equal(get(POWER), "auto");
    assert_int_equal(noted(FRIGATE), 0);
}

/* The kernel has no console for framebuffers without one, and gives it another number. */
static void comes_back(void) {
    make_console("vtcon2", "1");
}

static void the_console_is_waited_for(void **state) {
    (void)state;
    note(FRIGATE, SETTING_CONSOLE, CONSOLE, "1", "0");
    make_console("", "");
    set_driver(FIRST, "amdgpu");
    hours.at = hours.now + 1000;
    hours.then = comes_back;
    assert_true(ends());
    assert_string_equal(written, "");
    assert_message(0, "the host's text console is back (vtcon2)");
    assert_int_equal(noted(FRIGATE), 0);
}

static void a_console_that_never_comes_back_is_told(void **state) {
    (void)state;
    int64_t before = hours.now;
    note(FRIGATE, SETTING_CONSOLE, CONSOLE, "1", "0");
    make_console("", "");
    set_driver(FIRST, "amdgpu");
    assert_false(ends());
    assert_message(0, "the host has no framebuffer for its text console any more");
    assert_true(hours.now - before >= 9000 && hours.now - before <= 11000);
    assert_int_equal(noted(FRIGATE), 0);
    /* Without a driver no framebuffer can come. */
    set_driver(FIRST, "");
    before = hours.now;
    note(FRIGATE, SETTING_CONSOLE, CONSOLE, "1", "0");
    assert_false(ends());
    assert_int_equal(hours.now, before);
}

static void make_framebuffer(const char *driver) {
    shell("mkdir -p %s/" FRAMEBUFFER " %s/sys/bus/platform/drivers/efi-framebuffer", host_root,
          host_root);
    shell("cd %s/" FRAMEBUFFER " && rm -f driver && if [ -n '%s' ]; then ln -s "
          "../../drivers/efi-framebuffer driver; fi",
          host_root, driver);
    put("sys/bus/platform/drivers/efi-framebuffer/bind", "");
    put("sys/bus/platform/drivers/efi-framebuffer/unbind", "");
}

static void the_firmwares_framebuffer_is_bound_again(void **state) {
    (void)state;
    make_framebuffer("");
    note(FRIGATE, SETTING_FRAMEBUFFER, FRAMEBUFFER, "efi-framebuffer", "");
    assert_true(ends());
    assert_string_equal(written, "efi-framebuffer.0=efi-framebuffer ");
    assert_string_equal(get("sys/bus/platform/drivers/efi-framebuffer/bind"), "efi-framebuffer.0");
    assert_int_equal(noted(FRIGATE), 0);
}

static void the_cards_own_framebuffer_is_better(void **state) {
    (void)state;
    make_framebuffer("");
    note(FRIGATE, SETTING_FRAMEBUFFER, FRAMEBUFFER, "efi-framebuffer", "");
    shell("mkdir -p %s/sys/class/graphics %s", host_root, "");
    shell("cd %s/sys/class/graphics && mkdir fb0 && ln -s ../../../bus/pci/devices/%s fb0/device",
          host_root, FIRST);
    assert_true(ends());
    assert_string_equal(written, "");
    assert_int_equal(noted(FRIGATE), 0);
}

static void a_framebuffer_that_the_kernel_removed_is_gone(void **state) {
    (void)state;
    note(FRIGATE, SETTING_FRAMEBUFFER, FRAMEBUFFER, "efi-framebuffer", "");
    assert_true(ends());
    assert_string_equal(written, "");
    assert_int_equal(noted(FRIGATE), 0);
}

/* --- the kernel's files */

static void the_console_of_framebuffers_is_found(void **state) {
    (void)state;
    struct setting console;
    put("sys/class/vtconsole/vtcon0/name", "(S) dummy device");
    put("sys/class/vtconsole/vtcon0/bind", "1");
    assert_true(host_source.find_console(&host_source, &console));
    assert_string_equal(console.path, CONSOLE);
    assert_string_equal(console.value, "0");
    free(console.path);
    free(console.value);
    make_console("", "");
    assert_false(host_source.find_console(&host_source, &console));
}

/* --- 'boot display', on a host with one graphics card */

#define GPU "0000:01:00.0"
#define DISPLAY_RULE                                                                               \
    "on vm frigate started attach 10de:2484 with group as vfio boot display\n"                     \
    "on vm frigate started attach usb 046d:c31c as usb\n"
#define GPU_CONSOLE "sys/devices/virtual/vtconsole/vtcon1/bind"
#define GPU_FRAMEBUFFER "sys/devices/platform/efi-framebuffer.0"

static unsigned attached; /* how often libvirt was asked to attach */

static bool framebuffer_is_bound(void) {
    char link[256], target[256];
    snprintf(link, sizeof link, "%s/" GPU_FRAMEBUFFER "/driver", host_root);
    return readlink(link, target, sizeof target) > 0;
}

/* The kernel's part. */
static int display_write(const struct host_source *source, const struct setting *setting,
                         struct failure *failure) {
    if (setting->kind != SETTING_FRAMEBUFFER || (deaf && !strcmp(deaf, setting->path)))
        return test_write(source, setting, failure);
    snprintf(written + strlen(written), sizeof written - strlen(written), "fb=%s ", setting->value);
    shell("cd %s/" GPU_FRAMEBUFFER " && rm -f driver && if [ -n '%s' ]; then ln -s "
          "../../../bus/platform/drivers/efi-framebuffer driver; fi",
          host_root, setting->value);
    return 0;
}

static int begin_display(void **state) {
    set_up(state);
    shell("rm -rf %s && cp -a tests/hosts/single-gpu %s", host_root, host_root);
    put("sys/bus/pci/drivers/snd_hda_intel/unbind", "");
    put("sys/bus/pci/drivers/nvidia/unbind", "");
    *written = '\0';
    deaf = NULL;
    attached = 0;
    host_source.write_setting = display_write;
    return 0;
}

static void assert_display_is_given_up(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    attached++;
    assert_string_equal(get(GPU_CONSOLE), "0");
    assert_false(framebuffer_is_bound());
    assert_int_equal(noted(FRIGATE), 2);
    set_driver(GPU, "vfio-pci");
}

static void count_attach(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    attached++;
}

static void the_display_is_given_up_before_libvirt_is_asked(void **state) {
    (void)state;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, assert_display_is_given_up, NULL);
    assert_true(run_at(EVENT_STARTED, DISPLAY_RULE));
    assert_int_equal(attached, 1);
    assert_string_equal(written, "vtcon1=0 fb= ");
    /* Nobody sees the console: its only keyboard may go too. */
    assert_string_equal(results(), "attached attach 0000:01:00.0 10de:2484\n"
                                   "attached attach 0000:01:00.1 10de:228b\n"
                                   "attached attach 1-3 046d:c31c\n");
    assert_message(0, "the host unbinds console vtcon1 and framebuffer efi-framebuffer.0 first");
    /* Again changes nothing. */
    assert_true(run_at(EVENT_STARTED, DISPLAY_RULE));
    assert_string_equal(written, "vtcon1=0 fb= ");
    assert_int_equal(noted(FRIGATE), 2);
    double_virt_stop(hypervisor, FRIGATE);
    set_driver(GPU, "nvidia");
    assert_true(run_at(EVENT_RELEASE, DISPLAY_RULE));
    assert_string_equal(written, "vtcon1=0 fb= fb=efi-framebuffer vtcon1=1 ");
    assert_string_equal(get(GPU_CONSOLE), "1");
    assert_true(framebuffer_is_bound());
    assert_int_equal(noted(FRIGATE), 0);
}

/* libvirt cannot attach the card: the console is back at the end of the run. */
static void a_card_that_libvirt_refuses_keeps_the_console(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_FAILED, "it burns");
    assert_false(run_at(EVENT_STARTED, DISPLAY_RULE));
    assert_string_equal(written, "vtcon1=0 fb= fb=efi-framebuffer vtcon1=1 ");
    assert_int_equal(noted(FRIGATE), 0);
}

static void a_console_that_does_not_go_keeps_the_card(void **state) {
    (void)state;
    deaf = "sys/class/vtconsole/vtcon1/bind";
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, count_attach, NULL);
    assert_false(run_at(EVENT_STARTED, DISPLAY_RULE));
    assert_int_equal(attached, 0);
    assert_true(framebuffer_is_bound());
    assert_message(0, "it does not move");
    assert_int_equal(noted(FRIGATE), 0);
}

static void a_framebuffer_that_does_not_go_keeps_card_and_console(void **state) {
    (void)state;
    deaf = "sys/bus/platform/devices/efi-framebuffer.0";
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, count_attach, NULL);
    assert_false(run_at(EVENT_STARTED, DISPLAY_RULE));
    assert_int_equal(attached, 0);
    assert_string_equal(get(GPU_CONSOLE), "1");
    assert_int_equal(noted(FRIGATE), 0);
}

static void who_has_the_card_open_keeps_it(void **state) {
    (void)state;
    put("proc/812/comm", "Xorg");
    put("proc/812/cgroup", "0::/system.slice/lightdm.service");
    put("proc/812/fd/x", "");
    shell("ln -s /dev/nvidia0 %s/proc/812/fd/9%s", host_root, "");
    assert_false(run_at(EVENT_STARTED, DISPLAY_RULE));
    assert_message(0, "the host uses it in Xorg (process 812: /dev/nvidia0)");
    struct json_object *line = log_line(0);
    assert_non_null(strstr(field(line, "message"), "'systemctl stop lightdm.service'"));
    json_object_put(line);
    assert_string_equal(written, "");
    assert_string_equal(get(GPU_CONSOLE), "1");
}

/* --- before a start of a VM whose definition has the card */

#define DEFINED_RULE "on vm frigate defined attach 10de:2484 with group as vfio boot display\n"

static char culprit_address[32];

static enum host_setting_start begin_start(const char *text, struct failure *failure) {
    struct plan_entry refused;
    struct sample_rules rules;
    struct host host;
    domain_finish(&told);
    sample_domain(&told, double_virt_xml(hypervisor, FRIGATE));
    struct event event = {.name = EVENT_PREPARE, .domain = &told};
    sample_rules_init(&rules, text);
    assert_int_equal(host_source.load(&host_source, &host, failure), 0);
    char *state = memory_strdup(state_path(""));
    enum host_setting_start answer =
        host_setting_begin_start(&(struct run_config){.program = &rules.program,
                                                      .event = &event,
                                                      .host_source = &host_source,
                                                      .state = state,
                                                      .clock = &hours.clock},
                                 &host, &refused, failure);
    snprintf(culprit_address, sizeof culprit_address, "%s",
             refused.device ? refused.device->address : "");
    free(state);
    host_finish(&host);
    sample_rules_finish(&rules);
    return answer;
}

static void the_display_is_given_up_while_libvirt_waits(void **state) {
    (void)state;
    struct failure failure;
    double_virt_forget_calls(hypervisor);
    /* Without the card in the definition there is nothing to do. */
    assert_int_equal(begin_start(DEFINED_RULE, &failure), HOST_SETTING_MADE);
    assert_string_equal(written, "");
    give(FRIGATE, GPU);
    give(FRIGATE, "0000:01:00.1");
    assert_int_equal(begin_start(RULE, &failure), HOST_SETTING_MADE);
    assert_string_equal(written, "");
    assert_int_equal(begin_start(DEFINED_RULE, &failure), HOST_SETTING_MADE);
    assert_string_equal(written, "vtcon1=0 fb= ");
    assert_int_equal(noted(FRIGATE), 2);
    assert_string_equal(double_virt_calls(hypervisor), "");
    /* The same engine gives back what an earlier start has left, and these are not. */
    run_at(EVENT_PREPARE, DEFINED_RULE);
    assert_string_equal(written, "vtcon1=0 fb= ");
    assert_int_equal(noted(FRIGATE), 2);
    run_at(EVENT_STARTED, DEFINED_RULE);
    assert_int_equal(noted(FRIGATE), 2);
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(run_at(EVENT_RELEASE, DEFINED_RULE));
    assert_string_equal(written, "vtcon1=0 fb= fb=efi-framebuffer vtcon1=1 ");
    assert_int_equal(noted(FRIGATE), 0);
}

static void who_has_the_card_open_is_named(void **state) {
    (void)state;
    struct failure failure;
    give(FRIGATE, GPU);
    put("proc/812/comm", "Xorg");
    put("proc/812/cgroup", "0::/system.slice/lightdm.service");
    put("proc/812/fd/x", "");
    shell("ln -s /dev/nvidia0 %s/proc/812/fd/9%s", host_root, "");
    assert_int_equal(begin_start(DEFINED_RULE, &failure), HOST_SETTING_REFUSED);
    assert_string_equal(failure.message, "0000:01:00.0 is needed, and the host uses it in Xorg "
                                         "(process 812: /dev/nvidia0)");
    assert_string_equal(culprit_address, GPU);
    assert_string_equal(failure.hint, "stop what has it open: 'systemctl stop lightdm.service'");
    assert_string_equal(written, "");
}

static void a_console_that_does_not_go_is_said(void **state) {
    (void)state;
    struct failure failure;
    give(FRIGATE, GPU);
    deaf = "sys/class/vtconsole/vtcon1/bind";
    assert_int_equal(begin_start(DEFINED_RULE, &failure), HOST_SETTING_REFUSED);
    assert_string_equal(failure.message, "it does not move");
    assert_true(framebuffer_is_bound());
    deaf_error = ENOMEM; /* which says nothing about the console */
    assert_int_equal(begin_start(DEFINED_RULE, &failure), HOST_SETTING_FAULT);
}

/* The device works all the same, and the VM starts; the display is given up before. */
static void a_device_that_cannot_be_kept_awake_is_a_fault(void **state) {
    (void)state;
    struct failure failure;
    give(FRIGATE, GPU);
    put("sys/bus/pci/devices/" GPU "/power/control", "auto");
    deaf = "sys/bus/pci/devices/" GPU "/power/control";
    assert_int_equal(begin_start("on vm frigate defined attach 10de:2484 with group as vfio boot "
                                 "display awake\n",
                                 &failure),
                     HOST_SETTING_FAULT);
    assert_string_equal(failure.message, "it does not move");
    assert_string_equal(culprit_address, GPU);
    assert_string_equal(get(GPU_CONSOLE), "0");
    assert_int_equal(noted(FRIGATE) >= 2, 1);
}

/* No rule may give it to the VM: whoever put it into the definition sees to the rest. */
static void a_forbidden_device_is_left_as_it_is(void **state) {
    (void)state;
    struct failure failure;
    give(FRIGATE, GPU);
    assert_int_equal(begin_start(DEFINED_RULE "never attach 10de:2484\n", &failure),
                     HOST_SETTING_MADE);
    assert_string_equal(written, "");
}

/* An engine of the end before it may still be at work. */
static void a_busy_vm_is_our_own_fault(void **state) {
    (void)state;
    struct failure failure;
    give(FRIGATE, GPU);
    assert_int_equal(begin_start(RULE, &failure), HOST_SETTING_MADE);
    int lock = lock_vm(state_path(""), FRIGATE, &failure);
    assert_true(lock >= 0);
    assert_int_equal(begin_start(RULE, &failure), HOST_SETTING_MADE);
    assert_int_equal(begin_start(DEFINED_RULE, &failure), HOST_SETTING_FAULT);
    lock_release(lock);
    assert_string_equal(written, "");
}

/* Another VM had the display, and its engine has not set anything back: that must not happen any
 * more, and the host gets back what it had before the first of them. */
static void the_next_vm_takes_the_notes_over(void **state) {
    (void)state;
    struct failure failure;
    give(FRIGATE, GPU);
    assert_int_equal(begin_start(DEFINED_RULE, &failure), HOST_SETTING_MADE);
    char *from = memory_strdup(state_path("/vms/" FRIGATE)),
         *to = memory_strdup(state_path("/vms/" WINDOWS));
    assert_int_equal(rename(from, to), 0);
    free(from);
    free(to);
    assert_int_equal(begin_start(DEFINED_RULE, &failure), HOST_SETTING_MADE);
    assert_string_equal(written, "vtcon1=0 fb= ");
    assert_int_equal(noted(FRIGATE), 2);
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(run_at(EVENT_RELEASE, DEFINED_RULE)); /* WINDOWS has noted them */
    assert_string_equal(written, "vtcon1=0 fb= ");
    assert_int_equal(noted(FRIGATE), 0);
    assert_int_equal(noted(WINDOWS), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define DISPLAY(name) cmocka_unit_test_setup_teardown(name, begin_display, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(all_are_set_back_in_reverse_order),
        TEST(what_somebody_else_changed_stays),
        TEST(a_vm_that_has_the_device_keeps_them),
        TEST(a_failure_stays_noted),
        TEST(the_console_is_waited_for),
        TEST(a_console_that_never_comes_back_is_told),
        TEST(the_firmwares_framebuffer_is_bound_again),
        TEST(the_cards_own_framebuffer_is_better),
        TEST(a_framebuffer_that_the_kernel_removed_is_gone),
        TEST(the_console_of_framebuffers_is_found),
        DISPLAY(the_display_is_given_up_before_libvirt_is_asked),
        DISPLAY(a_card_that_libvirt_refuses_keeps_the_console),
        DISPLAY(a_console_that_does_not_go_keeps_the_card),
        DISPLAY(a_framebuffer_that_does_not_go_keeps_card_and_console),
        DISPLAY(who_has_the_card_open_keeps_it),
        DISPLAY(the_display_is_given_up_while_libvirt_waits),
        DISPLAY(who_has_the_card_open_is_named),
        DISPLAY(a_console_that_does_not_go_is_said),
        DISPLAY(a_device_that_cannot_be_kept_awake_is_a_fault),
        DISPLAY(a_forbidden_device_is_left_as_it_is),
        DISPLAY(a_busy_vm_is_our_own_fault),
        DISPLAY(the_next_vm_takes_the_notes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
