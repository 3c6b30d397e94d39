/* Mediated devices: which are planned, on which device, with which UUID, and why not. */
#include "tests/unit/sample.h"

#include "engine/plan/plan.h"

enum { GPU, GPU2, GPU3, NIC, DEVICE_COUNT };

#define UUID "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e"

static struct host host;
static struct device *devices;
static struct domain domain, other;
static struct sample_rules rules;
static struct plan plan;
static bool planned;

static const char VM[] =
    "<domain id='3'><name>vgpu</name><uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>"
    "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
    "<controller type='pci' model='pcie-root'/>"
    "<controller type='pci' model='pcie-root-port' index='1'/>"
    "<controller type='pci' model='pcie-root-port' index='2'/>"
    "<controller type='pci' model='pcie-root-port' index='3'/>%s</devices></domain>";
#define MDEV(TEXT)                                                                                 \
    "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='" TEXT          \
    "'/></source></hostdev>"

static void vm(const char *devices_xml) {
    char *xml = memory_printf(VM, devices_xml);
    if (domain.name)
        domain_finish(&domain);
    sample_domain(&domain, xml);
    free(xml);
}

static void other_vm(const char *devices_xml) {
    char *xml =
        memory_printf("<domain id='9'><name>cad</name><devices>%s</devices></domain>", devices_xml);
    sample_domain(&other, xml);
    free(xml);
}

static void offer(struct device *device, unsigned available) {
    device_add_mdev_type(device, memory_strdup("nvidia-63"), memory_strdup("GRID T4-2A"),
                         available);
    device_add_mdev_type(device, memory_strdup("nvidia-64"), NULL, available / 2);
}

static void there(struct device *device, const char *uuid, const char *type) {
    device_add_mdev(device, memory_strdup(uuid), memory_strdup(type));
}

static int set_up(void **state) {
    (void)state;
    static const char *const addresses[] = {"0000:01:00.0", "0000:02:00.0", "0000:03:00.0",
                                            "0000:06:00.0"};
    devices = memory_zalloc(DEVICE_COUNT * sizeof *devices);
    for (size_t i = 0; i < DEVICE_COUNT; i++)
        devices[i] = (struct device){.bus = BUS_PCI,
                                     .address = memory_strdup(addresses[i]),
                                     .id = {0x10de, i == NIC ? 0x1521 : 0x1eb8},
                                     .name = memory_strdup("Tesla T4"),
                                     .driver = memory_strdup("nvidia"),
                                     .iommu_group = -1,
                                     .vf_number = -1,
                                     .kind = PCI_EXPRESS};
    offer(&devices[GPU], 8);
    offer(&devices[GPU2], 8);
    offer(&devices[GPU3], 4);
    host = (struct host){.root = memory_strdup(""), .devices = devices, .count = DEVICE_COUNT};
    return 0;
}

static void forget_plan(void) {
    if (planned) {
        plan_finish(&plan);
        sample_rules_finish(&rules);
    }
    planned = false;
}

static int tear_down(void **state) {
    (void)state;
    forget_plan();
    if (domain.name)
        domain_finish(&domain);
    if (other.name)
        domain_finish(&other);
    domain = other = (struct domain){0};
    for (size_t i = 0; i < DEVICE_COUNT; i++)
        device_finish(&devices[i]);
    free(devices);
    free(host.root);
    return 0;
}

static const char *planned_rules(const char *text) {
    static char result[2048];
    static struct event event;
    forget_plan();
    if (!domain.name)
        vm("");
    event = (struct event){.name = EVENT_STARTED, .domain = &domain};
    sample_rules_init(&rules, text);
    plan_init(&plan, &(struct plan_request){.program = &rules.program,
                                            .event = &event,
                                            .host = &host,
                                            .others = &other,
                                            .other_count = other.name ? 1 : 0});
    planned = true;
    *result = '\0';
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_entry *entry = &plan.entries[i];
        size_t length = strlen(result);
        snprintf(result + length, sizeof result - length, "%s%s%s %s\n",
                 entry->kind == PLAN_STEP      ? syntax_verb_text(plan_verb(entry))
                 : entry->kind == PLAN_SKIPPED ? "skipped"
                                               : "refused",
                 entry->refusal ? " " : "", entry->refusal ? verdict_name(entry->refusal) : "",
                 entry->device ? entry->device->address : "-");
    }
    return result;
}

static const char *plan_of(const char *action) {
    char *text = memory_printf("on vm vgpu started %s\n", action);
    const char *result = planned_rules(text);
    free(text);
    return result;
}

static const char *uuid_of(size_t entry) {
    assert_true(entry < plan.count);
    assert_non_null(plan.entries[entry].instance);
    return plan.entries[entry].instance->instance;
}

static void assert_has(const char *text, const char *part) {
    if (!text || !strstr(text, part))
        fail_msg("no \"%s\" in: %s", part, text ? text : "(null)");
}

static void one_of_one_device(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach at 02:00.0 as mdev \"nvidia-63\""),
                        "attach 0000:02:00.0\n");
    char *xml = memory_printf("<hostdev mode='subsystem' type='mdev' model='vfio-pci'>\n"
                              "  <source>\n"
                              "    <address uuid='%s'/>\n"
                              "  </source>\n"
                              "</hostdev>",
                              uuid_of(0));
    assert_int_equal(plan.entries[0].element_count, 1);
    assert_string_equal(plan.entries[0].elements[0].xml, xml);
    free(xml);
    assert_has(plan.entries[0].note, "of type nvidia-63 (GRID T4-2A) is created");
    char *text = plan_device_text(&plan.entries[0]);
    assert_has(text, "0000:02:00.0 10de:1eb8 ");
    assert_has(text, uuid_of(0));
    free(text);
}

/* Guests know it by this number: it must never change. */
static void the_uuid_is_the_same_at_each_start(void **state) {
    (void)state;
    char first[64];
    plan_of("attach at 02:00.0 as mdev \"nvidia-63\"");
    snprintf(first, sizeof first, "%s", uuid_of(0));
    assert_string_equal(first, "9d7f4dff-e60d-8af1-ad00-296b04aff8f5");
    /* Another line, another device under the same words, another rule before it. */
    planned_rules("on vm any started attach at 03:00.0 as mdev \"nvidia-63\"\n\n\n"
                  "on vm vgpu started attach at 02:00.0 as mdev \"nvidia-63\" optional\n");
    assert_string_equal(uuid_of(1), first);
    assert_string_not_equal(uuid_of(0), first);
    plan_of("attach at 02:00.0 as mdev \"nvidia-64\"");
    assert_string_not_equal(uuid_of(0), first);
    vm("");
    domain.uuid[0] = '5';
    plan_of("attach at 02:00.0 as mdev \"nvidia-63\"");
    assert_string_not_equal(uuid_of(0), first);
}

static void two_rules_are_two_instances(void **state) {
    (void)state;
    static const char two[] = "on vm vgpu started attach at 01:00.0 as mdev \"nvidia-63\"\n"
                              "on vm vgpu started attach at 01:00.0 as mdev \"nvidia-63\"\n";
    char xml[1024], first[64], second[64];
    assert_string_equal(planned_rules(two), "attach 0000:01:00.0\nattach 0000:01:00.0\n");
    assert_string_not_equal(uuid_of(0), uuid_of(1));
    snprintf(first, sizeof first, "%s", uuid_of(0));
    snprintf(second, sizeof second, "%s", uuid_of(1));
    /* The VM has the second: the first is created again. */
    snprintf(xml, sizeof xml, MDEV("%s"), second);
    there(&devices[GPU], second, "nvidia-63");
    vm(xml);
    assert_string_equal(planned_rules(two), "attach 0000:01:00.0\nskipped 0000:01:00.0\n");
    assert_string_equal(uuid_of(0), first);
    assert_string_equal(uuid_of(1), second);
}

static void any_is_spread(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach any 3 10de:1eb8 as mdev \"nvidia-63\""),
                        "attach 0000:01:00.0\nattach 0000:02:00.0\nattach 0000:03:00.0\n");
    vm("<controller type='pci' model='pcie-root-port' index='4'/>");
    assert_string_equal(plan_of("attach any 4 10de:1eb8 as mdev \"nvidia-63\""),
                        "attach 0000:01:00.0\nattach 0000:02:00.0\nattach 0000:03:00.0\n"
                        "attach 0000:01:00.0\n");
    devices[GPU2].mdev_types[0].available = 9;
    assert_string_equal(plan_of("attach any 10de:1eb8 as mdev \"nvidia-63\""),
                        "attach 0000:02:00.0\n");
}

static void any_counts_what_is_available(void **state) {
    (void)state;
    devices[GPU].mdev_types[0].available = 1;
    devices[GPU2].mdev_types[0].available = 0;
    devices[GPU3].mdev_types[0].available = 1;
    there(&devices[GPU2], UUID, "nvidia-63");
    assert_string_equal(plan_of("attach any 2 10de:1eb8 as mdev \"nvidia-63\""),
                        "attach 0000:01:00.0\nattach 0000:03:00.0\n");
    assert_string_equal(plan_of("attach any 3 10de:1eb8 as mdev \"nvidia-63\""),
                        "refused too-few -\n");
    assert_has(plan.entries[0].message, "2 of the 3 wanted are free");
    assert_has(plan.entries[0].message, "0000:02:00.0: it has no nvidia-63 (GRID T4-2A) left");
    assert_string_equal(plan_of("attach any 3 10de:1eb8 as mdev \"nvidia-63\" optional"),
                        "attach 0000:01:00.0\nattach 0000:03:00.0\nskipped too-few -\n");
    /* What one rule takes, the next one does not get. */
    assert_string_equal(
        planned_rules("on vm vgpu started attach at 01:00.0 as mdev \"nvidia-63\"\n"
                      "on vm vgpu started attach any 10de:1eb8 as mdev \"nvidia-63\"\n"),
        "attach 0000:01:00.0\nattach 0000:03:00.0\n");
}

static void any_keeps_what_is_there(void **state) {
    (void)state;
    char xml[1024], uuid[64];
    plan_of("attach any 2 10de:1eb8 as mdev \"nvidia-63\"");
    snprintf(uuid, sizeof uuid, "%s", uuid_of(0));
    there(&devices[GPU3], uuid, "nvidia-63");
    /* An engine that was killed has left it: it needs nothing more of its device. */
    devices[GPU3].mdev_types[0].available = 0;
    assert_string_equal(plan_of("attach any 2 10de:1eb8 as mdev \"nvidia-63\""),
                        "attach 0000:03:00.0\nattach 0000:01:00.0\n");
    assert_string_equal(uuid_of(0), uuid);
    assert_has(plan.entries[0].note, "is there");
    snprintf(xml, sizeof xml, MDEV("%s"), uuid);
    vm(xml);
    assert_string_equal(plan_of("attach any 2 10de:1eb8 as mdev \"nvidia-63\""),
                        "skipped 0000:03:00.0\nattach 0000:01:00.0\n");
}

static void all_is_one_of_each(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach all 10de:1eb8 as mdev \"nvidia-63\""),
                        "attach 0000:01:00.0\nattach 0000:02:00.0\nattach 0000:03:00.0\n");
    char last[64];
    snprintf(last, sizeof last, "%s", uuid_of(2));
    /* Of each device its own, whichever others there are. */
    devices[GPU].id.device = 1;
    assert_string_equal(plan_of("attach all 10de:1eb8 as mdev \"nvidia-63\""),
                        "attach 0000:02:00.0\nattach 0000:03:00.0\n");
    assert_string_equal(uuid_of(1), last);
}

static void one_of_several_is_ambiguous(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach 10de:1eb8 as mdev \"nvidia-63\""), "refused ambiguous -\n");
}

static void a_type_that_is_not_offered(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach at 01:00.0 as mdev \"nvidia-99\""),
                        "refused wrong-backend 0000:01:00.0\n");
    assert_has(plan.entries[0].message, "offers no mediated devices of type nvidia-99");
    assert_has(plan.entries[0].hint, "nvidia-63 (GRID T4-2A), nvidia-64");
    assert_string_equal(plan_of("attach at 06:00.0 as mdev \"nvidia-63\""),
                        "refused wrong-backend 0000:06:00.0\n");
    assert_has(plan.entries[0].hint, "vfio");
}

static void none_left(void **state) {
    (void)state;
    devices[GPU].mdev_types[0].available = 0;
    there(&devices[GPU], UUID, "nvidia-63");
    there(&devices[GPU], "8a0e7d2c-55b1-4c56-9d3e-000000000001", "nvidia-64");
    other_vm(MDEV(UUID));
    assert_string_equal(plan_of("attach at 01:00.0 as mdev \"nvidia-63\""),
                        "refused held 0000:01:00.0\n");
    assert_string_equal(plan.entries[0].message,
                        "it has no nvidia-63 (GRID T4-2A) left; there are " UUID
                        " (nvidia-63, VM 'cad'), 8a0e7d2c-55b1-4c56-9d3e-000000000001 (nvidia-64, "
                        "in no VM)");
    planned_rules("on vm vgpu started, freed attach at 01:00.0 as mdev \"nvidia-63\"\n");
    assert_has(plan.entries[0].hint, "or wait");
}

static void the_host_uses_the_device_too(void **state) {
    (void)state;
    devices[GPU].use = memory_strdup("shows its screen on it");
    device_obstruct(&devices[GPU], OBSTACLE_FIRMWARE, memory_strdup("x"), memory_strdup("y"));
    there(&devices[GPU], UUID, "nvidia-63");
    other_vm(MDEV(UUID));
    assert_string_equal(plan_of("attach at 01:00.0 as mdev \"nvidia-63\""),
                        "attach 0000:01:00.0\n");
}

static void a_guard_holds(void **state) {
    (void)state;
    assert_string_equal(
        planned_rules("never attach at 01:00.0\n"
                      "on vm vgpu started attach any 10de:1eb8 as mdev "
                      "\"nvidia-63\"\n"
                      "on vm vgpu started attach at 01:00.0 as mdev \"nvidia-63\"\n"),
        "attach 0000:02:00.0\nrefused never 0000:01:00.0\n");
}

static void a_device_that_a_vm_has_gives_nothing(void **state) {
    (void)state;
    other_vm("<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='1' slot='0' "
             "function='0'/></source></hostdev>");
    assert_string_equal(plan_of("attach at 01:00.0 as mdev \"nvidia-63\""),
                        "refused held 0000:01:00.0\n");
    assert_has(plan.entries[0].message, "VM 'cad' has it");
}

static void not_both_the_device_and_a_part_of_it(void **state) {
    (void)state;
    devices[GPU].iommu_group = 1;
    host.has_iommu = true;
    assert_string_equal(planned_rules("on vm vgpu started attach at 01:00.0 as mdev \"nvidia-63\"\n"
                                      "on vm vgpu started attach at 01:00.0 as vfio\n"),
                        "attach 0000:01:00.0\nrefused held 0000:01:00.0\n");
    assert_string_equal(
        planned_rules("on vm vgpu started attach at 01:00.0 as vfio\n"
                      "on vm vgpu started attach at 01:00.0 as mdev \"nvidia-63\"\n"),
        "attach 0000:01:00.0\nrefused held 0000:01:00.0\n");
}

static void each_needs_a_place(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach any 4 10de:1eb8 as mdev \"nvidia-63\""),
                        "attach 0000:01:00.0\nattach 0000:02:00.0\nattach 0000:03:00.0\n"
                        "refused no-port 0000:01:00.0\n");
}

static void ones_uuid_that_is_elsewhere(void **state) {
    (void)state;
    char uuid[64];
    plan_of("attach at 01:00.0 as mdev \"nvidia-63\"");
    snprintf(uuid, sizeof uuid, "%s", uuid_of(0));
    there(&devices[GPU2], uuid, "nvidia-63");
    assert_string_equal(plan_of("attach at 01:00.0 as mdev \"nvidia-63\""),
                        "refused held 0000:01:00.0\n");
    assert_has(plan.entries[0].message, "is there already: nvidia-63 on 0000:02:00.0");
    there(&devices[GPU], UUID, "nvidia-63");
    other_vm(MDEV(UUID));
    assert_string_equal(plan_of("attach at 01:00.0 as mdev uuid \"" UUID "\""),
                        "refused held 0000:01:00.0\n");
    assert_has(plan.entries[0].message, "VM 'cad' has the mediated device");
}

static void a_uuid_that_a_rule_names(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach 10de:1eb8 as mdev uuid \"" UUID "\""),
                        "refused absent -\n");
    assert_has(plan.entries[0].message, "there is no mediated device " UUID);
    assert_has(plan.entries[0].hint,
               "mdevctl start --uuid " UUID " --parent 0000:01:00.0 --type nvidia-63");
    assert_string_equal(plan_of("attach 10de:1eb8 as mdev uuid \"" UUID "\" optional"),
                        "skipped absent -\n");
    there(&devices[GPU2], UUID, "nvidia-64");
    /* It says itself on which device it is. */
    assert_string_equal(plan_of("attach 10de:1eb8 as mdev uuid \"" UUID "\""),
                        "attach 0000:02:00.0\n");
    assert_has(plan.entries[0].elements[0].xml, "<address uuid='" UUID "'/>");
    assert_null(plan.entries[0].note);
    assert_string_equal(plan_of("attach at 01:00.0 as mdev uuid \"" UUID "\""),
                        "refused absent -\n");
    assert_has(plan.entries[0].message, "is on 0000:02:00.0, which the rule does not select");
    vm(MDEV(UUID));
    assert_string_equal(plan_of("attach 10de:1eb8 as mdev uuid \"" UUID "\""),
                        "skipped 0000:02:00.0\n");
}

static void detach_takes_out_all_of_a_device(void **state) {
    (void)state;
    there(&devices[GPU], UUID, "nvidia-63");
    there(&devices[GPU], "8a0e7d2c-55b1-4c56-9d3e-000000000001", "nvidia-63");
    there(&devices[GPU], "8a0e7d2c-55b1-4c56-9d3e-000000000002", "nvidia-63");
    vm(MDEV(UUID) MDEV("8a0e7d2c-55b1-4c56-9d3e-000000000002"));
    assert_string_equal(plan_of("detach at 01:00.0"), "detach 0000:01:00.0\n");
    assert_int_equal(plan.entries[0].element_count, 2);
    assert_has(plan.entries[0].elements[0].xml, UUID);
    assert_has(plan.entries[0].elements[1].xml, "000000000002");
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_of_one_device),
        TEST(the_uuid_is_the_same_at_each_start),
        TEST(two_rules_are_two_instances),
        TEST(any_is_spread),
        TEST(any_counts_what_is_available),
        TEST(any_keeps_what_is_there),
        TEST(all_is_one_of_each),
        TEST(one_of_several_is_ambiguous),
        TEST(a_type_that_is_not_offered),
        TEST(none_left),
        TEST(the_host_uses_the_device_too),
        TEST(a_guard_holds),
        TEST(a_device_that_a_vm_has_gives_nothing),
        TEST(not_both_the_device_and_a_part_of_it),
        TEST(each_needs_a_place),
        TEST(ones_uuid_that_is_elsewhere),
        TEST(a_uuid_that_a_rule_names),
        TEST(detach_takes_out_all_of_a_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
