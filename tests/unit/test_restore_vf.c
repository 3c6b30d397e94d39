/* The settings of a virtual function that a VM gets 'as net': trust before the attach, and what the
 * host had afterwards. The test is the card. */
#include "tests/unit/execute_world.h"

#include "engine/state/vm_state.h"
#include "engine/trigger/manual_detach.h"

#define FUNCTION "0000:41:02.2"
#define ID " 8086:154c\n"
#define RULE                                                                                       \
    "on vm frigate started attach vf 2 of 8086:1572 as net mac \"52:54:00:12:34:56\" vlan 10 "     \
    "trust\n"
#define DETACH "on vm frigate started detach vf 2 of 8086:1572\n"
#define HOST_MAC "1e:62:7d:a6:0b:fc"
#define VM_MAC "52:54:00:12:34:56"

/* What the card has of FUNCTION. */
static struct vf_config card;
static bool is_deaf, is_unreadable;
static char written[256]; /* the parts of each write, as "4 " */

static int test_read(const struct host *host, const struct device *device, struct vf_config *config,
                     struct failure *failure) {
    (void)host;
    assert_string_equal(device->address, FUNCTION);
    *config = card;
    return is_unreadable ? failure_set(failure, "it says nothing") : 0;
}

static int test_write(const struct host *host, const struct device *device,
                      const struct vf_config *config, unsigned parts, struct failure *failure) {
    (void)host;
    assert_string_equal(device->address, FUNCTION);
    snprintf(written + strlen(written), sizeof written - strlen(written), "%u ", parts);
    if (is_deaf)
        return failure_set(failure, "it does not answer");
    if (parts & VF_CONFIG_MAC)
        memcpy(card.mac, config->mac, sizeof card.mac);
    if (parts & VF_CONFIG_VLAN)
        card.vlan = config->vlan;
    if (parts & VF_CONFIG_TRUST)
        card.trust = config->trust;
    return 0;
}

static int begin(void **state) {
    set_up(state);
    shell("rm -rf %s && cp -a tests/hosts/sriov %s", host_root, host_root);
    host_source.read_vf = test_read;
    host_source.write_vf = test_write;
    card = (struct vf_config){.mac = HOST_MAC, .trust = VF_TRUST_OFF};
    is_deaf = is_unreadable = settled = false;
    *written = '\0';
    return 0;
}

static int end(void **state) {
    settled = false;
    return tear_down(state);
}

static bool is_noted(const char *uuid) {
    struct vm_state vm_state;
    vm_state_load(&vm_state, state_path(""), uuid);
    bool is = vm_state_find_vf(&vm_state, FUNCTION);
    vm_state_finish(&vm_state);
    return is;
}

/* What libvirt does before the attach. */
static enum { TRUST_NOT_SEEN, TRUST_SEEN_OFF, TRUST_SEEN_ON } seen;
static bool noted_before;

static void libvirt_configures(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    seen = card.trust == VF_TRUST_ON ? TRUST_SEEN_ON : TRUST_SEEN_OFF;
    noted_before = is_noted(FRIGATE);
    memcpy(card.mac, VM_MAC, sizeof card.mac);
    card.vlan = 10;
    set_driver(FUNCTION, "vfio-pci");
}

/* And when the VM releases it; trust it does not know. */
static void libvirt_restores(void) {
    memcpy(card.mac, HOST_MAC, sizeof HOST_MAC);
    card.vlan = 0;
    set_driver(FUNCTION, "iavf");
}

static void attach(void) {
    seen = TRUST_NOT_SEEN;
    double_virt_before(hypervisor, DOUBLE_ATTACH, 1, libvirt_configures, NULL);
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_string_equal(results(), "attached attach " FUNCTION ID);
}

static void assert_host_has(const char *mac, unsigned vlan, int trust) {
    assert_string_equal(card.mac, mac);
    assert_int_equal(card.vlan, vlan);
    assert_int_equal(card.trust, trust);
}

static void trust_is_set_and_noted_before_libvirt_is_asked(void **state) {
    (void)state;
    attach();
    assert_int_equal(seen, TRUST_SEEN_ON);
    assert_true(noted_before);
    assert_true(is_noted(FRIGATE));
    assert_string_equal(written, "4 ");
    /* A second event changes nothing, and forgets nothing. */
    assert_true(run_at(EVENT_STARTED, RULE));
    assert_string_equal(written, "4 ");
    assert_true(is_noted(FRIGATE));
}

static void trust_goes_when_the_vm_ends(void **state) {
    (void)state;
    attach();
    double_virt_stop(hypervisor, FRIGATE);
    libvirt_restores();
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_string_equal(written, "4 4 ");
    assert_host_has(HOST_MAC, 0, VF_TRUST_OFF);
    assert_message(1, "trust as before the VM had it");
    assert_false(vm_state_exists(state_path(""), FRIGATE));
}

/* libvirt was killed before it wrote down that the VM has the function. */
static void what_libvirt_forgot_goes_too(void **state) {
    (void)state;
    attach();
    double_virt_stop(hypervisor, FRIGATE);
    set_driver(FUNCTION, "iavf");
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_string_equal(written, "4 7 ");
    assert_host_has(HOST_MAC, 0, VF_TRUST_OFF);
    assert_false(is_noted(FRIGATE));
}

static void after_a_detach(struct double_virt *unused, void *context) {
    (void)unused, (void)context;
    libvirt_restores();
}

static void trust_goes_when_the_device_is_detached(void **state) {
    (void)state;
    attach();
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, after_a_detach, NULL);
    assert_true(run_at(EVENT_STARTED, DETACH));
    assert_host_has(HOST_MAC, 0, VF_TRUST_OFF);
    assert_false(is_noted(FRIGATE));
}

/* 'virt-rules detach' */
static bool detach_by_hand(void) {
    struct manual_detach detach;
    struct virt_error error;
    struct log_writer *log = log_write_open(state_path(""), false);
    const struct manual_detach_request request = {.virt = double_virt_port(hypervisor),
                                                  .clock = &hours.clock,
                                                  .log = log,
                                                  .host_source = &host_source,
                                                  .state = state_path(""),
                                                  .vm = "frigate",
                                                  .word = VM_MAC};
    assert_int_equal(manual_detach_init(&detach, &request, &error), 0);
    double_virt_before(hypervisor, DOUBLE_DETACH, 1, after_a_detach, NULL);
    bool good = manual_detach_execute(&detach);
    manual_detach_finish(&detach);
    log_write_close(log);
    return good;
}

static void trust_goes_when_the_device_is_detached_by_hand(void **state) {
    (void)state;
    attach();
    assert_true(detach_by_hand());
    assert_host_has(HOST_MAC, 0, VF_TRUST_OFF);
    assert_message(1, "trust as before the VM had it");
    assert_false(is_noted(FRIGATE));
}

static void a_detach_by_hand_that_leaves_trust_is_a_problem(void **state) {
    (void)state;
    attach();
    is_deaf = true;
    assert_false(detach_by_hand());
    assert_message(1, "trust as the VM had it: it does not answer");
    assert_message(2, "the guest released it");
    assert_true(is_noted(FRIGATE));
}

/* The engine was killed after it had set trust: the next one finds the note. */
static void the_next_engine_of_the_vm_takes_trust_away(void **state) {
    (void)state;
    attach();
    double_virt_stop(hypervisor, FRIGATE);
    libvirt_restores();
    settled = true;
    assert_true(run_at(EVENT_RELEASE, RULE)); /* as 'virt-rules apply' does it */
    assert_host_has(HOST_MAC, 0, VF_TRUST_OFF);
    assert_false(is_noted(FRIGATE));
}

static void what_others_set_meanwhile_stays(void **state) {
    (void)state;
    attach();
    double_virt_stop(hypervisor, FRIGATE);
    libvirt_restores();
    card.vlan = 20;
    memcpy(card.mac, "52:54:00:00:00:99", sizeof card.mac);
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_host_has("52:54:00:00:00:99", 20, VF_TRUST_OFF);
}

/* The host trusts the function by itself: that is not ours. */
static void trust_of_the_host_stays(void **state) {
    (void)state;
    card.trust = VF_TRUST_ON;
    attach();
    assert_string_equal(written, "");
    double_virt_stop(hypervisor, FRIGATE);
    libvirt_restores();
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_string_equal(written, "");
    assert_host_has(HOST_MAC, 0, VF_TRUST_ON);
}

static void an_attach_that_fails_takes_trust_away(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH, 0, VIRT_FAILED, "no");
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_string_equal(written, "4 4 ");
    assert_host_has(HOST_MAC, 0, VF_TRUST_OFF);
    assert_false(is_noted(FRIGATE));
}

static void without_trust_the_vm_does_not_get_it(void **state) {
    (void)state;
    is_deaf = true;
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_string_equal(results(), "failed attach " FUNCTION ID);
    assert_message(0, "it does not answer");
    assert_string_equal(double_virt_last_xml(hypervisor), "");
    assert_false(is_noted(FRIGATE));
}

/* Without trust libvirt does all of it. */
static void a_card_that_cannot_be_read_needs_no_note(void **state) {
    (void)state;
    is_unreadable = true;
    assert_true(run_of("attach vf 2 of 8086:1572 as net"));
    assert_string_equal(written, "");
    assert_false(is_noted(FRIGATE));
    assert_non_null(strstr(double_virt_last_xml(hypervisor), "<interface type='hostdev'"));
}

static void with_trust_such_a_card_is_a_failure(void **state) {
    (void)state;
    is_unreadable = true;
    assert_false(run_at(EVENT_STARTED, RULE));
    assert_message(0, "it says nothing");
    assert_string_equal(double_virt_last_xml(hypervisor), "");
}

/* A VM whose engine was killed has left its trust, and another one gets the function: the host had
 * none, whatever the card says now. */
static void the_first_note_counts(void **state) {
    (void)state;
    attach();
    double_virt_stop(hypervisor, FRIGATE); /* and nobody runs its release */
    libvirt_restores();
    domain_finish(&told);
    sample_domain(&told, double_virt_xml(hypervisor, WINDOWS));
    assert_true(
        run_at(EVENT_STARTED, "on vm windows started attach vf 2 of 8086:1572 as net trust\n"));
    assert_true(is_noted(WINDOWS));
    assert_string_equal(written, "4 ");
    double_virt_stop(hypervisor, WINDOWS);
    libvirt_restores();
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_host_has(HOST_MAC, 0, VF_TRUST_OFF);
    assert_false(is_noted(WINDOWS));
}

/* The VM's own function of now is not touched by the end of one that had it before. */
static void another_vm_keeps_its_settings(void **state) {
    (void)state;
    attach();
    double_virt_stop(hypervisor, FRIGATE);
    libvirt_restores();
    struct domain frigate = told;
    sample_domain(&told, double_virt_xml(hypervisor, WINDOWS));
    assert_true(
        run_at(EVENT_STARTED, "on vm windows started attach vf 2 of 8086:1572 as net trust\n"));
    domain_finish(&told);
    told = frigate;
    assert_true(run_at(EVENT_RELEASE, RULE));
    assert_int_equal(card.trust, VF_TRUST_ON);
    assert_string_equal(written, "4 ");
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(trust_is_set_and_noted_before_libvirt_is_asked),
        TEST(trust_goes_when_the_vm_ends),
        TEST(what_libvirt_forgot_goes_too),
        TEST(trust_goes_when_the_device_is_detached),
        TEST(trust_goes_when_the_device_is_detached_by_hand),
        TEST(a_detach_by_hand_that_leaves_trust_is_a_problem),
        TEST(the_next_engine_of_the_vm_takes_trust_away),
        TEST(what_others_set_meanwhile_stays),
        TEST(trust_of_the_host_stays),
        TEST(an_attach_that_fails_takes_trust_away),
        TEST(without_trust_the_vm_does_not_get_it),
        TEST(a_card_that_cannot_be_read_needs_no_note),
        TEST(with_trust_such_a_card_is_a_failure),
        TEST(the_first_note_counts),
        TEST(another_vm_keeps_its_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
