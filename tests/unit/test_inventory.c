/* What is known of each device of a host, on the sample hosts: where it is connected, what goes
 * with it, and who has it. */
#include "engine/plan/inventory.h"

#include "tests/unit/sample.h"

struct sample {
    struct host host;
    struct sample_rules rules;
    struct domain vm;
    struct inventory inventory;
};

static void open_sample(struct sample *sample, const char *name, const char *rules,
                        const char *xml) {
    char *root = memory_printf("tests/hosts/%s", name);
    *sample = (struct sample){0};
    sample_host(&sample->host, root);
    sample_rules_init(&sample->rules, rules);
    if (xml)
        sample_domain(&sample->vm, xml);
    inventory_init(&sample->inventory, &sample->host, &sample->rules.program, &sample->vm,
                   xml ? 1 : 0);
    free(root);
}

static void close_sample(struct sample *sample) {
    inventory_finish(&sample->inventory);
    domain_finish(&sample->vm);
    sample_rules_finish(&sample->rules);
    host_finish(&sample->host);
}

static struct inventory_row *row_of(struct sample *sample, const char *address) {
    for (size_t i = 0; i < sample->inventory.count; i++)
        if (!strcmp(sample->inventory.rows[i].device->address, address))
            return &sample->inventory.rows[i];
    fail_msg("no device %s", address);
    return NULL;
}

/* The addresses of rows, with a blank after each. */
static void are(const struct sample *sample, const size_t *rows, size_t count,
                const char *expected) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < count; i++)
        memory_append(&text, "%s ", sample->inventory.rows[rows[i]].device->address);
    assert_string_equal(text, expected);
    free(text);
}

static void is_above(struct sample *sample, const char *address, const char *above) {
    const struct inventory_row *row = row_of(sample, address);
    assert_string_equal(
        row->above == SIZE_MAX ? "" : sample->inventory.rows[row->above].device->address, above);
}

static void what_is_connected_to_what(void **state) {
    (void)state;
    struct sample sample;
    open_sample(&sample, "usb", "", NULL);
    is_above(&sample, "0000:00:15.0", "");
    is_above(&sample, "1-1", "0000:00:15.0");
    is_above(&sample, "1-1.4", "1-1");
    is_above(&sample, "0000:01:00.0", ""); /* nothing can be plugged into it */
    inventory_find_places(&sample.inventory);
    is_above(&sample, "0000:01:00.0", "0000:00:13.0");
    is_above(&sample, "1-1.4", "1-1");
    const struct inventory_row *controller = row_of(&sample, "0000:00:15.0");
    are(&sample, controller->behind, controller->behind_count, "1-1.1 1-1.2 1-1.4 "); /* no hub */
    assert_int_equal(row_of(&sample, "1-1")->behind_count, 0);
    assert_int_equal(row_of(&sample, "0000:00:13.0")->behind_count, 0);
    close_sample(&sample);
    open_sample(&sample, "rack", "", NULL);
    const struct inventory_row *adapter = row_of(&sample, "0000:02:00.0");
    are(&sample, adapter->behind, adapter->behind_count, "2:0:0:0 2:0:0:1 2:0:1:0 ");
    is_above(&sample, "6:0:0:0", "1-3"); /* the stick and its disk are one */
    const struct inventory_row *usb = row_of(&sample, "0000:00:14.0");
    are(&sample, usb->behind, usb->behind_count, "1-1 1-2 1-3 ");
    close_sample(&sample);
}

static void the_rest_of_its_group(void **state) {
    (void)state;
    struct sample sample;
    open_sample(&sample, "dual-tpu", "", NULL);
    const struct inventory_row *row = row_of(&sample, "0000:03:00.0");
    are(&sample, row->companions, row->companion_count, "0000:04:00.0 "); /* no bridge */
    assert_int_equal(row->state, INVENTORY_FREE);
    assert_true(row->suggested.with_group);
    assert_int_equal(row_of(&sample, "0000:02:00.0")->companion_count, 0);
    assert_int_equal(row_of(&sample, "0000:01:00.0")->companion_count, 0);
    close_sample(&sample);
}

static void is_called(struct sample *sample, const char *address, const char *expected) {
    char *text = inventory_interfaces_text(row_of(sample, address));
    assert_string_equal(text ? text : "", expected);
    free(text);
}

static void what_the_kernel_calls_it(void **state) {
    (void)state;
    struct sample sample;
    open_sample(&sample, "server", "", NULL);
    is_called(&sample, "0000:01:00.1", "eno2");
    is_called(&sample, "0000:02:00.0", "sda, sdb");
    is_called(&sample, "0000:81:00.0", "nvme0n1");
    is_called(&sample, "0000:04:00.0", "");
    close_sample(&sample);
    open_sample(&sample, "rack", "", NULL);
    is_called(&sample, "1-1", "ttyUSB0, ttyUSB1");
    is_called(&sample, "1-2", ""); /* not its event nodes */
    close_sample(&sample);
}

static void many_names_are_cut(void **state) {
    (void)state;
    char *names[] = {SAMPLE_TEXT("sda"), SAMPLE_TEXT("sdb"), SAMPLE_TEXT("sdc"),
                     SAMPLE_TEXT("sdd"), SAMPLE_TEXT("sde"), SAMPLE_TEXT("sdf")};
    char *text = inventory_interfaces_text(
        &(struct inventory_row){.interfaces = names, .interface_count = 4});
    assert_string_equal(text, "sda, sdb, sdc, sdd");
    free(text);
    text = inventory_interfaces_text(
        &(struct inventory_row){.interfaces = names, .interface_count = 6});
    assert_string_equal(text, "sda, sdb, sdc, sdd and 2 more");
    free(text);
}

/* A host whose console nobody sees may give away its keyboard, after a warning. */
static void the_only_keyboard(void **state) {
    (void)state;
    struct sample sample;
    open_sample(&sample, "rack", "", NULL);
    assert_non_null(strstr(row_of(&sample, "1-2")->warning, "no other USB keyboard"));
    assert_null(row_of(&sample, "1-1")->warning);
    close_sample(&sample);
    open_sample(&sample, "usb", "", NULL);
    assert_null(row_of(&sample, "0000:00:15.0")->warning);
    close_sample(&sample);
}

static void a_controller_with_the_only_keyboard(void **state) {
    (void)state;
    struct sample sample;
    open_sample(&sample, "usb", "", NULL);
    struct device *stick = &sample.host.devices[row_of(&sample, "1-1.1") - sample.inventory.rows];
    stick->interfaces[0].class_code = 0x030101;
    inventory_finish(&sample.inventory);
    inventory_init(&sample.inventory, &sample.host, NULL, NULL, 0);
    assert_string_equal(row_of(&sample, "0000:00:15.0")->warning,
                        "the host's only USB keyboard goes with it (1-1.1)");
    assert_non_null(row_of(&sample, "1-1.1")->warning);
    /* with a second one each of them may go, but not both */
    stick[1].interfaces[0].class_code = 0x030101;
    inventory_finish(&sample.inventory);
    inventory_init(&sample.inventory, &sample.host, NULL, NULL, 0);
    assert_non_null(row_of(&sample, "0000:00:15.0")->warning);
    assert_null(row_of(&sample, "1-1.1")->warning);
    close_sample(&sample);
}

static void the_state(void **state) {
    (void)state;
    struct sample sample;
    open_sample(&sample, "desktop", "", NULL);
    assert_int_equal(row_of(&sample, "0000:00:1f.0")->state, INVENTORY_INTERNAL);
    assert_int_equal(row_of(&sample, "0000:00:1f.3")->state, INVENTORY_REFUSED); /* its group */
    assert_int_equal(row_of(&sample, "0000:00:1f.6")->state, INVENTORY_IN_USE);
    assert_int_equal(row_of(&sample, "1-3")->state, INVENTORY_IN_USE);
    /* a part of the chipset that no VM needs: a thermal sensor */
    struct device *sound =
        &sample.host.devices[row_of(&sample, "0000:00:1f.3") - sample.inventory.rows];
    sound->class_code = 0x118000;
    inventory_finish(&sample.inventory);
    inventory_init(&sample.inventory, &sample.host, NULL, NULL, 0);
    assert_int_equal(row_of(&sample, "0000:00:1f.3")->state, INVENTORY_INTERNAL);
    close_sample(&sample);
}

static const char VM[] =
    "<domain id='3'><name>frigate</name><os><type machine='q35'>hvm</type></os><devices>"
    "<hostdev type='pci' mode='subsystem'><source><address domain='0' bus='3' slot='0' "
    "function='0'/></source></hostdev></devices></domain>";

static void the_vm_and_the_rules(void **state) {
    (void)state;
    struct sample sample;
    open_sample(&sample, "nas",
                "on vm any started attach 1ac1:* as vfio\n"
                "on vm \"Home Assistant\", ha started attach 10c4:ea60 as serial\n"
                "on vm ha started attach 10c4:ea60 as vfio\n"
                "on vm ha started detach 8086:10fb\n",
                VM);
    const struct inventory_row *coral = row_of(&sample, "0000:03:00.0"),
                               *stick = row_of(&sample, "1-1"),
                               *card = row_of(&sample, "0000:05:00.0");
    char *holder = inventory_holder_text(coral);
    assert_string_equal(holder, "VM 'frigate' has it");
    assert_int_equal(coral->state, INVENTORY_IN_USE);
    assert_int_equal(coral->rule_count, 1);
    free(holder);
    assert_null(inventory_holder_text(stick));
    assert_int_equal(stick->rule_count, 1); /* not 'as vfio' */
    char *place = inventory_rule_place(&stick->rules[0]),
         *vms = inventory_rule_vms(&stick->rules[0]);
    assert_string_equal(place, "t.rules:2");
    assert_string_equal(vms, "\"Home Assistant\", ha");
    free(place);
    free(vms);
    assert_int_equal(card->rule_count, 0);
    close_sample(&sample);
}

static void has(struct sample *sample, const char *address, bool expected, const char *one,
                const char *two) {
    char *words[] = {SAMPLE_TEXT(one), SAMPLE_TEXT(two)};
    if (inventory_has_words(row_of(sample, address), words, two ? 2 : 1) != expected)
        fail_msg("%s: %s %s", address, one, two ? two : "");
}

static void words(void **state) {
    (void)state;
    struct sample sample;
    open_sample(&sample, "nas", "", VM);
    static const char *const of_the_coral[] = {
        "coral", "EDGE tpu", "1AC1:089a", "03:00.0", "system peripheral", "frigate", "pci"};
    for (size_t i = 0; i < sizeof of_the_coral / sizeof *of_the_coral; i++)
        has(&sample, "0000:03:00.0", true, of_the_coral[i], NULL);
    has(&sample, "1-1", true, "CP210x", NULL);   /* its driver */
    has(&sample, "1-1", true, "6a8f3c21", NULL); /* its serial number */
    has(&sample, "2-1", true, "sdq", NULL);      /* its disk */
    has(&sample, "2-1", true, "/dev/sdq", NULL);
    has(&sample, "0000:01:00.0", true, "eth0", NULL);
    has(&sample, "0000:01:00.0", true, "ethernet", "igb");
    has(&sample, "0000:01:00.0", false, "ethernet", "coral"); /* each of them */
    has(&sample, "0000:01:00.0", false, "eth1", NULL);
    assert_true(inventory_has_words(row_of(&sample, "2-1"), NULL, 0));
    close_sample(&sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_connected_to_what),
        cmocka_unit_test(the_rest_of_its_group),
        cmocka_unit_test(what_the_kernel_calls_it),
        cmocka_unit_test(many_names_are_cut),
        cmocka_unit_test(the_only_keyboard),
        cmocka_unit_test(a_controller_with_the_only_keyboard),
        cmocka_unit_test(the_state),
        cmocka_unit_test(the_vm_and_the_rules),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
