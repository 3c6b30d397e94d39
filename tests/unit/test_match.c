/* Which rules an event concerns, and which devices a rule means. */
#include "tests/unit/sample.h"

#include "engine/rules/match.h"

#include <sys/stat.h>

/* --- devices */

static const struct device *const devices = (const struct device[]){
    {SAMPLE_PCI("0000:01:00.0", 0x10de, 0x2484, 0x030000), .iommu_group = 1},
    {SAMPLE_PCI("0000:01:00.1", 0x10de, 0x228b, 0x040300), .iommu_group = 1},
    {SAMPLE_PCI("0000:03:00.0", 0x1ac1, 0x089a, 0x088000), .subsystem = {0x1ac1, 0x089a},
     .iommu_group = 2},
    {SAMPLE_PCI("0000:05:00.1", 0x8086, 0x10fb, 0x020000), .subsystem = {0x8086, 0x0003},
     .iommu_group = 3},
    {SAMPLE_PCI("0001:05:00.1", 0x8086, 0x10fb, 0x020000), .iommu_group = 4},
    {SAMPLE_USB("1-1.4", 0x1a6e, 0x089a, 1, 4)},
    {SAMPLE_USB("1-1", 0x0bda, 0x8153, 1, 7), .class_code = 0x020600,
     .serial = SAMPLE_TEXT("AB 1")},
};

enum { DEVICE_COUNT = 7 };

/* The addresses of what `device` means, after `definitions`. */
static const char *meant(const char *definitions, const char *device) {
    static char found[512];
    struct sample_rules rules;
    char *text = memory_printf("%son vm any started detach all %s\n", definitions, device);
    sample_rules_init(&rules, text);
    free(text);
    *found = 0;
    const struct criterion *criteria = rules.program.rules[0]->actions->targets->device;
    for (size_t i = 0; i < DEVICE_COUNT; i++)
        if (match_device(criteria, &devices[i]))
            snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", *found ? " " : "",
                     devices[i].address);
    sample_rules_finish(&rules);
    return found;
}

static void every_kind_of_criterion(void **state) {
    (void)state;
    static const struct {
        const char *device, *found;
    } cases[] = {
        {"1ac1:089a", "0000:03:00.0"},
        {"1AC1:089A", "0000:03:00.0"},
        {"*:089a", "0000:03:00.0 1-1.4"},
        {"8086:*", "0000:05:00.1 0001:05:00.1"},
        {"ffff:089a", ""},
        {"at 0000:05:00.1", "0000:05:00.1"},
        {"05:00.1", "0000:05:00.1"},
        {"at 0000:01:00.*", "0000:01:00.0 0000:01:00.1"},
        {"at *:05:00.1", "0000:05:00.1 0001:05:00.1"},
        {"class 03", "0000:01:00.0"},
        {"class 0403", "0000:01:00.1"},
        {"class 040300", "0000:01:00.1"},
        {"class 0404", ""},
        {"class 0880", "0000:03:00.0"},
        {"class 02", "0000:05:00.1 0001:05:00.1 1-1"},
        {"class 00", "1-1.4"},
        {"subsystem 8086:0003", "0000:05:00.1"},
        {"subsystem 1ac1:*", "0000:03:00.0"},
        {"subsystem *:0000", "0000:01:00.0 0000:01:00.1 0001:05:00.1"},
        {"port 1-1.4", "1-1.4"},
        {"port 1-1", "1-1"},
        {"serial \"AB 1\"", "1-1"},
        {"serial \"ab 1\"", ""},
        {"serial \"AB*\"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(meant("", cases[i].device), cases[i].found) != 0)
            fail_msg("%s means '%s'", cases[i].device, meant("", cases[i].device));
    }
}

static void all_criteria_of_an_alternative_hold(void **state) {
    (void)state;
    assert_string_equal(meant("", "8086:10fb at 0001:05:00.1"), "0001:05:00.1");
    assert_string_equal(meant("", "8086:10fb class 03"), "");
    assert_string_equal(meant("", "10de:* class 03"), "0000:01:00.0");
    assert_string_equal(meant("", "0bda:8153 port 1-1 serial \"AB 1\""), "1-1");
    assert_string_equal(meant("", "0bda:8153 port 1-1.4"), "");
}

static void one_alternative_is_enough(void **state) {
    (void)state;
    assert_string_equal(meant("", "1ac1:089a or 1a6e:089a"), "0000:03:00.0 1-1.4");
    assert_string_equal(meant("", "ffff:ffff or 1a6e:089a"), "1-1.4");
    assert_string_equal(meant("", "1a6e:089a or ffff:ffff"), "1-1.4");
    /* "or" binds weaker than the criteria beside it */
    assert_string_equal(meant("", "8086:10fb at 0000:05:00.1 or 10de:* class 04"),
                        "0000:01:00.1 0000:05:00.1");
    assert_string_equal(meant("", "8086:10fb class 04 or 10de:* class 02"), "");
    assert_string_equal(meant("", "8086:10fb class 04 or 10de:* class 02 or 1ac1:*"),
                        "0000:03:00.0");
}

static void names_stand_for_their_definition(void **state) {
    (void)state;
    static const char definitions[] = "device tpu is 1a6e:089a or 18d1:9302\n"
                                      "device nic is 8086:10fb\n"
                                      "device either is tpu or nic\n";
    assert_string_equal(meant(definitions, "tpu"), "1-1.4");
    assert_string_equal(meant(definitions, "nic at 0001:05:00.*"), "0001:05:00.1");
    assert_string_equal(meant(definitions, "either"), "0000:05:00.1 0001:05:00.1 1-1.4");
    assert_string_equal(meant(definitions, "nic class 03 or tpu"), "1-1.4");
}

/* --- what USB devices say of themselves, and where they are plugged in */

static const struct device_interface webcam[] = {{0x0e0100, SAMPLE_TEXT("uvcvideo")},
                                                 {0x010100, SAMPLE_TEXT("snd-usb-audio")}},
                                     keyboard[] = {{0x030101, SAMPLE_TEXT("usbhid")}},
                                     hub[] = {{0x090002, SAMPLE_TEXT("hub")}},
                                     half[] = {{0x080650, NULL}, {0, NULL}};

#define INTERFACES(LIST)                                                                           \
    .interfaces = (struct device_interface *)(uintptr_t)(LIST),                                    \
    .interface_count = sizeof(LIST) / sizeof *(LIST)

enum { USB_COUNT = 10 };

static const struct device usb_devices[USB_COUNT] = {
    {SAMPLE_USB("1-1", 0x2109, 0x2817, 1, 2), .class_code = 0x090002, INTERFACES(hub),
     .is_bridge = true},
    {SAMPLE_USB("1-1.2", 0x046d, 0x082d, 1, 3), .class_code = 0xef0201, INTERFACES(webcam),
     .manufacturer = SAMPLE_TEXT("Logitech"), .product = SAMPLE_TEXT("HD Pro Webcam C920"),
     .serial = SAMPLE_TEXT("A1"), .driver = SAMPLE_TEXT("uvcvideo")},
    {SAMPLE_USB("1-1.3.1", 0x046d, 0xc31c, 1, 4), .class_code = 0x030101, INTERFACES(keyboard),
     .manufacturer = SAMPLE_TEXT("logitech"), .product = SAMPLE_TEXT("Keyboard")},
    {SAMPLE_USB("1-10", 0x046d, 0x0001, 1, 5), INTERFACES(keyboard), .serial = SAMPLE_TEXT("A2")},
    {SAMPLE_USB("1-10.4", 0x046d, 0x0001, 1, 6), INTERFACES(keyboard)},
    {SAMPLE_USB("10-1", 0x046d, 0x0002, 10, 2), INTERFACES(keyboard)},
    {SAMPLE_USB("10-1.1", 0x046d, 0x0002, 10, 3), INTERFACES(keyboard)},
    /* nothing can be read; no configuration; half of its interfaces */
    {SAMPLE_USB("2-1", 0x046d, 0x0003, 2, 2), .unknown = DEVICE_UNKNOWN_ALL},
    {SAMPLE_USB("2-2", 0x046d, 0x0004, 2, 3), .driver = SAMPLE_TEXT("usbip-host")},
    {SAMPLE_USB("2-3", 0x046d, 0x0005, 2, 4), INTERFACES(half),
     .unknown = DEVICE_UNKNOWN_INTERFACES},
};

static const struct device cards[] = {
    {SAMPLE_PCI("0000:01:00.0", 0x8086, 0x1521, 0x020000), .driver = SAMPLE_TEXT("igb")},
    {SAMPLE_PCI("0000:02:00.0", 0x8086, 0x1521, 0x020000)},
};

static void add_address(char *list, size_t size, const struct device *device) {
    snprintf(list + strlen(list), size - strlen(list), "%s%s", *list ? " " : "", device->address);
}

/* What a rule selects and what a `never` of the same words forbids. */
static void selects(const char *condition, const char *selected, const char *forbidden) {
    char is_selected[512] = "", is_forbidden[512] = "";
    struct sample_rules rules;
    struct domain domain = {.name = SAMPLE_TEXT("ha")};
    char *text =
        memory_printf("on vm any started detach all %s\nnever attach %s\n", condition, condition);
    sample_rules_init(&rules, text);
    const struct criterion *criteria = rules.program.rules[0]->actions->targets->device;
    for (size_t i = 0; i < USB_COUNT + 2; i++) {
        const struct device *device = i < USB_COUNT ? &usb_devices[i] : &cards[i - USB_COUNT];
        bool all = true, any = true;
        if (match_device(criteria, device))
            add_address(is_selected, sizeof is_selected, device);
        if (match_guard(&rules.program, &domain, device))
            add_address(is_forbidden, sizeof is_forbidden, device);
        for (const struct criterion *one = criteria; one; one = one->next) {
            all &= match_criterion(one, device);
            any &= match_guard_criterion(rules.program.guards[0], one, device);
        }
        if (!strstr(condition, " or ")) {
            assert_int_equal(all, match_device(criteria, device));
            assert_int_equal(any, match_guard_device(rules.program.guards[0], device));
        }
    }
    if (strcmp(is_selected, selected) != 0 || strcmp(is_forbidden, forbidden) != 0)
        fail_msg("%s selects '%s' and forbids '%s'", condition, is_selected, is_forbidden);
    sample_rules_finish(&rules);
    free(text);
}

static void places_of_usb_devices(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"below port 1-1", "1-1.2 1-1.3.1"},
        {"below port 1-1.3", "1-1.3.1"},
        {"below port 1-1.2", ""},
        {"below port 1-10", "1-10.4"},
        {"below port 10-1", "10-1.1"},
        {"port 1-1*", "1-1 1-1.2 1-1.3.1 1-10 1-10.4"},
        {"port 1-1.*", "1-1.2 1-1.3.1"},
        {"port \"1-1.[2-3]\"", "1-1.2"},
        {"port ?-1", "1-1 2-1"},
        {"port *-1", "1-1 10-1 2-1"},
        {"port 1-1", "1-1"},
        {"usb not below port 1-1 not port 2-*", "1-1 1-10 1-10.4 10-1 10-1.1"},
        {"pci", "0000:01:00.0 0000:02:00.0"},
        {"not usb class 02", "0000:01:00.0 0000:02:00.0"},
        {"046d:* not 046d:0002 not port 2-*", "1-1.2 1-1.3.1 1-10 1-10.4"},
        {"usb class 09", "1-1"},
        {"usb not class 00", "1-1 1-1.2 1-1.3.1"},
        {"class 02 not at 0000:01:00.0", "0000:02:00.0"},
        {"8086:* not subsystem 8086:*", "0000:01:00.0 0000:02:00.0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        selects(cases[i][0], cases[i][1], cases[i][1]);
}

/* A virtual function; one whose physical function is not known; its physical function; a SCSI
 * device. */
static void virtual_functions_and_scsi_devices(void **state) {
    (void)state;
    struct device physical = {SAMPLE_PCI("0000:01:00.0", 0x8086, 0x1521, 0x020000)};
    struct device all[] = {
        {SAMPLE_PCI("0000:01:10.0", 0x8086, 0x1520, 0x020000),
         .physical = SAMPLE_TEXT("0000:01:00.0"), .physical_function = &physical, .vf_number = 3},
        {SAMPLE_PCI("0000:01:10.4", 0x8086, 0x1520, 0x020000),
         .physical = SAMPLE_TEXT("0000:01:00.1"), .vf_number = -1},
        physical,
        {.bus = BUS_SCSI, .address = SAMPLE_TEXT("3:0:0:1"), .product = SAMPLE_TEXT("Ultrium")}};
    static const char *const cases[][3] = {
        /* the condition, what it selects, what a `never` forbids */
        {"vf of 8086:1521", "0", "01"},
        {"vf of 8086:1520", "", "1"},
        {"vf of 8086:1521 at 0000:01:00.0", "0", "01"},
        {"vf 3 of 8086:1521", "0", "01"},
        {"vf 2 of 8086:1521", "", "1"},
        {"pci not vf of 8086:1521", "2", "12"},
        {"scsi \"3:0:0:1\"", "3", "3"},
        {"scsi \"3:0:0:2\"", "", ""},
        {"product \"Ultrium\"", "3", "3"},
        {"8086:*", "012", "012"},
        {"*:0000", "", ""},
        {"class 00", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char selected[8] = "", forbidden[8] = "";
        struct sample_rules rules;
        char *text = memory_printf("on vm any started detach all %s\nnever attach %s\n",
                                   cases[i][0], cases[i][0]);
        sample_rules_init(&rules, text);
        const struct criterion *criteria = rules.program.rules[0]->actions->targets->device;
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
            char number[2] = {(char)('0' + j), '\0'};
            if (match_device(criteria, &all[j]))
                strcat(selected, number);
            if (match_guard_device(rules.program.guards[0], &all[j]))
                strcat(forbidden, number);
        }
        if (strcmp(selected, cases[i][1]) != 0 || strcmp(forbidden, cases[i][2]) != 0)
            fail_msg("%s selects '%s' and forbids '%s'", cases[i][0], selected, forbidden);
        sample_rules_finish(&rules);
        free(text);
    }
}

/* What is not known meets no condition, with or without 'not', and in a `never` it meets both. */
static void what_usb_devices_say_of_themselves(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"interface 0e", "1-1.2", "1-1.2 2-1 2-2 2-3"},
        {"interface 0101", "1-1.2", "1-1.2 2-1 2-2 2-3"},
        {"interface 010200", "", "2-1 2-2 2-3"},
        {"interface 030101 port 1-*", "1-1.3.1 1-10 1-10.4", "1-1.3.1 1-10 1-10.4"},
        {"interface 0806", "2-3", "2-1 2-2 2-3"},
        {"usb port 2-* not interface 08", "", "2-1 2-2"},
        {"usb port 1-1.* not interface 03", "1-1.2", "1-1.2"},
        {"product \"Keyboard\"", "1-1.3.1", "1-1.3.1 2-1"},
        {"product \"keyboard\"", "", "2-1"},
        {"product \"HD*\"", "", "2-1"},
        {"product like \"HD * C9?0\"", "1-1.2", "1-1.2 2-1"},
        {"product like \"*\"", "1-1.2 1-1.3.1", "1-1.2 1-1.3.1 2-1"},
        {"manufacturer \"Logitech\"", "1-1.2", "1-1.2 2-1"},
        {"manufacturer like \"[Ll]ogi*\"", "1-1.2 1-1.3.1", "1-1.2 1-1.3.1 2-1"},
        {"usb port 2-* not manufacturer \"x\"", "2-2 2-3", "2-1 2-2 2-3"},
        {"usb port 1-1* not product like \"*Webcam*\"", "1-1 1-1.3.1 1-10 1-10.4",
         "1-1 1-1.3.1 1-10 1-10.4"},
        {"serial \"A1\"", "1-1.2", "1-1.2 2-1"},
        {"serial like \"A?\"", "1-1.2 1-10", "1-1.2 1-10 2-1"},
        /* as the device has it, with the blanks at its end */
        {"serial \"A1  \"", "1-1.2", "1-1.2 2-1"},
        {"product \"Keyboard \"", "1-1.3.1", "1-1.3.1 2-1"},
        {"product \" Keyboard\"", "", "2-1"},
        {"product like \"*board \"", "1-1.3.1", "1-1.3.1 2-1"},
        {"usb port 1-* not serial \"A2 \" interface 03", "1-1.3.1 1-10.4", "1-1.3.1 1-10.4"},
        {"usb port 1-10* not serial like \"A*\"", "1-10.4", "1-10.4"},
        {"driver uvcvideo", "1-1.2", "1-1.2 2-1"},
        {"driver snd-usb-audio", "1-1.2", "1-1.2 2-1"},
        {"driver usbip-host", "2-2", "2-1 2-2"},
        {"driver igb", "0000:01:00.0", "2-1 0000:01:00.0"},
        {"pci not driver igb", "0000:02:00.0", "0000:02:00.0"},
        {"usb port 2-* not driver usbip-host", "2-3", "2-1 2-3"},
        {"product \"x\" or port 2-1 or driver igb", "2-1 0000:01:00.0", "2-1 0000:01:00.0"},
        {"product \"x\" or port 9-9", "", "2-1"},
        {"product \"x\" port 1-1 or serial \"A1\" port 1-1.2", "1-1.2", "1-1.2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        selects(cases[i][0], cases[i][1], cases[i][2]);
}

/* A name stands for its definition; 'not' in front of it for what does not meet that. */
static void what_is_not_known_behind_a_name(void **state) {
    (void)state;
    struct sample_rules rules;
    struct domain domain = {.name = SAMPLE_TEXT("ha")};
    sample_rules_init(&rules, "device cam is product like \"HD*\" or driver xyz\n"
                              "device other is not cam usb\n"
                              "on vm any started detach all cam usb, all not cam usb, all other\n"
                              "never attach cam\nnever attach not cam usb port 2-*\n");
    const struct target *target = rules.program.rules[0]->actions->targets;
    for (size_t i = 0; i < USB_COUNT; i++) {
        const struct device *device = &usb_devices[i];
        bool is_cam = i == 1, unknown = i == 7;
        assert_int_equal(match_device(target->device, device), is_cam);
        assert_int_equal(match_device(target->next->device, device), !is_cam && !unknown);
        assert_int_equal(match_device(target->next->next->device, device), !is_cam && !unknown);
        assert_int_equal(match_guard_device(rules.program.guards[0], device), is_cam || unknown);
        assert_int_equal(match_guard(&rules.program, &domain, device) != NULL, i == 1 || i > 6);
    }
    sample_rules_finish(&rules);
}

/* --- VMs */

static const char UUID[] = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0";

/* Whether a rule for `vms` is for a VM of that name and title. */
static bool is_for(const char *vms, const char *name, const char *title) {
    struct sample_rules rules;
    char *text = memory_printf("on vm %s started run \"/x\"\n", vms);
    struct domain domain = {.name = (char *)(uintptr_t)name,
                            .title = (char *)(uintptr_t)title,
                            .uuid = (char *)(uintptr_t)UUID};
    struct event event = {.name = EVENT_STARTED, .domain = &domain};
    sample_rules_init(&rules, text);
    struct action_list wanted = match_event(&rules.program, &event);
    bool is = wanted.count == 1;
    free(wanted.list);
    free(text);
    sample_rules_finish(&rules);
    return is;
}

static void a_vm_by_name_title_and_uuid(void **state) {
    (void)state;
    assert_true(is_for("frigate", "frigate", NULL));
    assert_false(is_for("frigate", "frigate2", NULL));
    assert_false(is_for("Frigate", "frigate", NULL));
    assert_true(is_for("\"Home Assistant\"", "vm1", "Home Assistant"));
    assert_false(is_for("\"home assistant\"", "vm1", "Home Assistant"));
    assert_true(is_for("4dea22b3-1d52-d8f3-2516-782e98ab3fa0", "vm1", NULL));
    assert_true(is_for("4DEA22B3-1D52-D8F3-2516-782E98AB3FA0", "vm1", NULL));
    assert_true(is_for("\"4DEA22B3-1d52-D8F3-2516-782E98AB3FA0\"", "vm1", NULL));
    assert_false(is_for("4dea22b3-1d52-d8f3-2516-782e98ab3fa1", "vm1", NULL));
    assert_true(is_for("other, frigate", "frigate", NULL));
    assert_true(is_for("7", "7", NULL));
}

static void a_bare_word_may_be_a_glob(void **state) {
    (void)state;
    assert_true(is_for("fri*", "frigate", NULL));
    assert_true(is_for("*", "frigate", NULL));
    assert_true(is_for("f?igate", "frigate", NULL));
    assert_true(is_for("[ef]rigate", "frigate", NULL));
    assert_false(is_for("[!f]rigate", "frigate", NULL));
    assert_false(is_for("frig", "frigate", NULL));
    assert_false(is_for("Fri*", "frigate", NULL));
    assert_true(is_for("Home*", "vm1", "Home Assistant"));
    assert_false(is_for("*dea*", "vm1", NULL));
    assert_false(is_for("4dea*", "vm1", NULL));
    assert_false(is_for("4DEA22B3-*", "vm1", NULL));
    assert_true(is_for("4DEA22B3-*-*-*-*", "vm1", NULL));
    assert_true(is_for("4dea22b3-1d52-d8f3-2516-782e98ab3fa?", "vm1", NULL));
    assert_true(is_for("?\?\?\?\?\?\?\?-1d52-d8f3-2516-[0-9]82e98ab3fa[!1]", "vm1", NULL));
    assert_false(is_for("4dea22b3-1d52-d8f3-2516-782e98ab3f?", "vm1", NULL));
    assert_false(is_for("*-*", "vm1", NULL));
    assert_true(is_for("uuid 4dea*", "vm1", NULL));
    assert_false(is_for("name 4dea*", "vm1", "4dea"));
    assert_true(is_for("title 4dea*", "vm1", "4dea"));
    assert_true(is_for("*gate", "../a/gate", NULL));
    assert_true(is_for("*", ".hidden", NULL));
}

static void one_of_the_three_can_be_said(void **state) {
    (void)state;
    assert_true(is_for("name frigate", "frigate", "t"));
    assert_false(is_for("name t", "frigate", "t"));
    assert_true(is_for("title \"my t\"", "frigate", "my t"));
    assert_false(is_for("title frigate", "frigate", "t"));
    assert_true(is_for("uuid 4DEA22B3-1D52-D8F3-2516-782E98AB3FA0", "x", NULL));
    assert_false(is_for("uuid 4dea22b3-1d52-d8f3-2516-782e98ab3fa1",
                        "4dea22b3-1d52-d8f3-2516-782e98ab3fa1", NULL));
    assert_true(is_for("name 4dea22b3-1d52-d8f3-2516-782e98ab3fa1",
                       "4dea22b3-1d52-d8f3-2516-782e98ab3fa1", NULL));
    assert_true(is_for("name a, title t", "frigate", "t"));
    assert_true(is_for("a, \\\n name \\\n frigate", "frigate", NULL));
    assert_true(is_for("name 7", "7", NULL));
    /* VMs with these names */
    assert_true(is_for("name", "name", NULL));
    assert_true(is_for("title, uuid", "uuid", NULL));
    assert_true(is_for("\"title\"", "title", NULL));
    assert_true(is_for("name name", "name", NULL));
    assert_true(is_for("name \"started\"", "started", NULL));
}

static void the_shape_of_a_uuid_is_no_title(void **state) {
    (void)state;
    static const char other[] = "4dea22b3-1d52-d8f3-2516-782e98ab3fa1";
    assert_false(is_for(other, "vm1", other));
    assert_true(is_for(other, other, NULL));
    assert_false(is_for("4DEA22B3-1d52-d8f3-2516-782e98ab3fa1", other, NULL));
    assert_false(is_for("4dea22b3-?\?\?\?-d8f3-2516-782e98ab3fa1", "vm1", other));
    assert_true(is_for("title 4dea22b3-1d52-d8f3-2516-782e98ab3fa1", "vm1", other));
}

/* --- several VMs that a word fits */

#define VM(NUMBER) "00000000-0000-4000-8000-00000000000" NUMBER

static const struct domain *const vms = (const struct domain[]){
    {.name = SAMPLE_TEXT("frigate"), .title = SAMPLE_TEXT("x"), .uuid = SAMPLE_TEXT(VM("0"))},
    {.name = SAMPLE_TEXT("vm1"), .title = SAMPLE_TEXT("frigate"), .uuid = SAMPLE_TEXT(VM("1"))},
    {.name = SAMPLE_TEXT("vm2"), .title = SAMPLE_TEXT("nvr"), .uuid = SAMPLE_TEXT(VM("2"))},
    {.name = SAMPLE_TEXT("vm3"), .title = SAMPLE_TEXT("nvr"), .uuid = SAMPLE_TEXT(VM("3"))},
    {.name = SAMPLE_TEXT(VM("2")), .title = SAMPLE_TEXT("y"), .uuid = SAMPLE_TEXT(VM("4"))},
};

enum { VM_COUNT = 5 };

/* The VMs that a rule for `words` means, by number; with '!' those that have a rival. */
static const char *meant_of(const char *words, bool known) {
    static char found[32];
    struct sample_rules rules;
    char *text = memory_printf("on vm %s started run \"/x\"\n", words);
    sample_rules_init(&rules, text);
    free(text);
    *found = 0;
    for (size_t i = 0; i < VM_COUNT; i++) {
        struct event event = {.name = EVENT_STARTED,
                              .domain = &vms[i],
                              .vms = known ? vms : NULL,
                              .vm_count = known ? VM_COUNT : 0};
        size_t count = 0;
        if (!match_rule(rules.program.rules[0], &event))
            continue;
        bool rival = match_same_title(rules.program.rules[0], &event, &count) != NULL;
        assert_int_equal(count, rival ? 2 : 0);
        snprintf(found + strlen(found), sizeof found - strlen(found), "%zu%s", i, rival ? "!" : "");
    }
    sample_rules_finish(&rules);
    return found;
}

static void a_better_fit_is_meant_alone(void **state) {
    (void)state;
    static const struct {
        const char *words, *known, *unknown;
    } cases[] = {
        {"frigate", "0", "01"},      {"title frigate", "1", "1"},
        {"name frigate", "0", "0"},  {"frigate, title frigate", "01", "01"},
        {"nvr", "2!3!", "23"},       {"title nvr", "2!3!", "23"},
        {"nvr, vm2", "23!", "23"},   {"nvr, uuid " VM("3"), "2!3", "23"},
        {VM("2"), "2", "24"},        {"uuid " VM("2"), "2", "2"},
        {"name " VM("2"), "4", "4"}, {"nv*", "23", "23"},
        {"any", "01234", "01234"},   {"frig*", "01", "01"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(meant_of(cases[i].words, true), cases[i].known);
        assert_string_equal(meant_of(cases[i].words, false), cases[i].unknown);
    }
}

static void who_else_is_meant_is_asked_where_it_matters(void **state) {
    (void)state;
    static const struct {
        const char *words;
        size_t vm;
        bool unsure;
    } cases[] = {
        {"frigate", 0, false},       {"frigate", 1, true}, {"title frigate", 1, true},
        {"uuid " VM("1"), 1, false}, {VM("1"), 1, false},  {VM("2"), 4, true},
        {"name " VM("2"), 4, false}, {"nv*", 2, false},    {"any", 2, false},
        {"other", 2, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sample_rules rules;
        char *text = memory_printf("on vm %s started run \"/x\"\n", cases[i].words);
        struct event event = {.name = EVENT_STARTED, .domain = &vms[cases[i].vm]};
        sample_rules_init(&rules, text);
        free(text);
        assert_int_equal(match_ambiguous(&rules.program, &event) != NULL, cases[i].unsure);
        event.name = EVENT_STOPPED;
        assert_null(match_ambiguous(&rules.program, &event));
        sample_rules_finish(&rules);
    }
}

static void a_guard_is_for_all_that_its_words_may_mean(void **state) {
    (void)state;
    static const struct {
        const char *words, *found;
    } cases[] = {
        {"frigate", "01"},   {"name frigate", "0"},      {"title frigate", "1"},
        {VM("2"), "24"},     {"uuid " VM("2"), "2"},     {"*-4000-*", "01234"},
        {"name vm*", "123"}, {"uuid *-4000-*", "01234"}, {"nvr", "23"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sample_rules rules;
        char *text = memory_printf("never attach 1ac1:* to vm %s\n", cases[i].words);
        char found[16] = "";
        sample_rules_init(&rules, text);
        free(text);
        for (size_t j = 0; j < VM_COUNT; j++)
            if (match_guard_vms(rules.program.guards[0], &vms[j]))
                snprintf(found + strlen(found), sizeof found - strlen(found), "%zu", j);
        assert_string_equal(found, cases[i].found);
        sample_rules_finish(&rules);
    }
}

static void a_quoted_word_is_only_itself(void **state) {
    (void)state;
    assert_false(is_for("\"fri*\"", "frigate", NULL));
    assert_true(is_for("\"fri*\"", "fri*", NULL));
    assert_false(is_for("\"any\"", "frigate", NULL));
    assert_true(is_for("\"any\"", "any", NULL));
    assert_true(is_for("any", "frigate", NULL));
    assert_true(is_for("\"a \\\"b\\\" %s ../c\"", "x", "a \"b\" %s ../c"));
}

static void a_vm_that_has_only_a_name(void **state) {
    (void)state;
    struct domain domain = {.name = SAMPLE_TEXT("frigate")};
    struct word glob = {.text = "*-*", .kind = WORD_GLOB},
                plain = {.text = "frigate", .kind = WORD_PLAIN};
    assert_false(match_vm(&glob, &domain));
    assert_true(match_vm(&plain, &domain));
    assert_false(match_vms(NULL, &(struct event){.domain = &domain}));
}

/* --- rules and guards */

/* What an event asks for, as "LINE LINE": the lines of the actions in their order. */
static const char *asked_of(const struct program *program, struct event event) {
    static char lines[256];
    struct domain domain = {.name = SAMPLE_TEXT("frigate")};
    event.domain = &domain;
    struct action_list wanted = match_event(program, &event);
    *lines = 0;
    for (size_t i = 0; i < wanted.count; i++)
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s%zu", i ? " " : "",
                 program_line(wanted.list[i].rule, wanted.list[i].action));
    free(wanted.list);
    return lines;
}

static const char *asked(const struct program *program, enum event_name name) {
    return asked_of(program, (struct event){.name = name});
}

static void all_rules_of_the_event_in_order(void **state) {
    (void)state;
    struct sample_rules rules;
    sample_rules_init(&rules, "on vm frigate stopped run \"/a\"\n"
                              "on vm * started, stopped {\n"
                              "  run \"/b\"\n"
                              "  run \"/c\"\n"
                              "}\n"
                              "on vm other started run \"/d\"\n"
                              "on vm other, any release run \"/e\"\n"
                              "on vm any started run \"/f\"\n");
    assert_string_equal(asked(&rules.program, EVENT_STARTED), "3 4 8");
    assert_string_equal(asked(&rules.program, EVENT_STOPPED), "1 3 4");
    assert_string_equal(asked(&rules.program, EVENT_RELEASE), "7");
    assert_string_equal(asked(&rules.program, EVENT_MIGRATE), "");
    sample_rules_finish(&rules);
}

static void only_what_selects_the_device_of_the_event(void **state) {
    (void)state;
    struct sample_rules rules;
    sample_rules_init(&rules, "device stick is 1a6e:089a or 18d1:9302\n"
                              "on vm frigate started, plugged attach stick as usb\n"
                              "on vm frigate plugged attach 0bda:8153 as usb\n"
                              "on vm frigate plugged {\n"
                              "  run \"/with-the-stick\"\n"
                              "  attach 1ac1:089a as vfio\n"
                              "  attach 10c4:ea60, port 1-1.4 as usb\n"
                              "}\n"
                              "on vm frigate plugged run \"/at-every-device\"\n");
    struct event event = {.name = EVENT_PLUGGED};
    assert_string_equal(asked_of(&rules.program, event), "2 3 5 6 7 9");
    for (size_t i = 0; i < DEVICE_COUNT; i++) {
        event.device = &devices[i];
        bool stick = !strcmp(devices[i].address, "1-1.4"), net = !strcmp(devices[i].address, "1-1"),
             coral = devices[i].id.vendor == 0x1ac1;
        assert_string_equal(asked_of(&rules.program, event), stick   ? "2 5 7 9"
                                                             : net   ? "3 9"
                                                             : coral ? "5 6 9"
                                                                     : "9");
    }
    sample_rules_finish(&rules);
}

/* The disk on a stick: what is about the stick runs once, at the stick's own event. */
static void a_scsi_device_is_for_who_can_mean_it(void **state) {
    (void)state;
    struct sample_rules rules;
    struct device disk = {
        .bus = BUS_SCSI, .address = SAMPLE_TEXT("6:0:0:0"), .product = SAMPLE_TEXT("Cruzer")};
    struct device stick = {SAMPLE_USB("1-3", 0x0781, 0x5567, 1, 13),
                           .product = SAMPLE_TEXT("Cruzer")};
    sample_rules_init(&rules, "on vm frigate plugged run \"/at-every-device\"\n"
                              "on vm frigate plugged {\n"
                              "  attach product \"Cruzer\" as usb\n"
                              "  run \"/with-the-stick\"\n"
                              "}\n"
                              "on vm frigate plugged {\n"
                              "  attach product \"Cruzer\" as disk\n"
                              "  run \"/with-the-disk\"\n"
                              "}\n"
                              "on vm frigate plugged detach scsi \"6:0:0:0\"\n");
    assert_string_equal(
        asked_of(&rules.program, (struct event){.name = EVENT_PLUGGED, .device = &disk}), "7 8 10");
    assert_string_equal(
        asked_of(&rules.program, (struct event){.name = EVENT_PLUGGED, .device = &stick}),
        "1 3 4 7 8");
    sample_rules_finish(&rules);
}

static void a_settled_vm_gets_devices_only(void **state) {
    (void)state;
    struct sample_rules rules;
    sample_rules_init(&rules, "on vm frigate started {\n"
                              "  run \"/x\"\n"
                              "  attach 1ac1:089a as vfio\n"
                              "  detach 8086:10fb\n"
                              "}\n");
    assert_string_equal(asked_of(&rules.program, (struct event){.name = EVENT_STARTED}), "2 3 4");
    assert_string_equal(
        asked_of(&rules.program, (struct event){.name = EVENT_STARTED, .settled = true}), "3 4");
    sample_rules_finish(&rules);
}

/* The line of the rule that gives the VM the device, 0 for none. */
static size_t giver_of(const char *text, const char *vm, const struct device *device) {
    struct sample_rules rules;
    struct domain domain = {.name = (char *)(uintptr_t)vm};
    sample_rules_init(&rules, text);
    struct action_ref origin = match_attach_action(
        &rules.program, &(struct event){.domain = &domain}, device, BACKEND_NONE);
    size_t line = origin.rule ? program_line(origin.rule, origin.action) : 0;
    assert_true(!origin.rule == !origin.target);
    sample_rules_finish(&rules);
    return line;
}

static size_t giver(const char *text, const char *vm, uint16_t vendor, uint16_t device) {
    return giver_of(text, vm, &(struct device){.bus = BUS_USB, .id = {vendor, device}});
}

static void who_gives_a_pci_device_that_is_gone(void **state) {
    (void)state;
    static char address[] = "0000:03:00.0";
    struct device coral = {.bus = BUS_PCI, .address = address, .id = {0x1ac1, 0x089a}};
    static const char text[] = "on vm frigate started attach 1ac1:089a as usb\n"
                               "on vm frigate plugged attach at 04:00.0 as vfio\n"
                               "on vm frigate plugged attach subsystem 1ac1:089a as vfio\n"
                               "on vm frigate plugged attach at 03:00.0 as vfio\n";
    assert_int_equal(giver_of(text, "frigate", &coral), 3);
    assert_int_equal(giver_of(text, "other", &coral), 0);
    assert_int_equal(
        giver_of(strstr(text, "on vm frigate plugged attach at 03"), "frigate", &coral), 1);
    assert_int_equal(
        giver_of("on vm frigate started attach 1ac1:089b as vfio\n", "frigate", &coral), 0);
    coral.bus = BUS_USB;
    assert_int_equal(giver_of(text, "frigate", &coral), 1);
}

static void who_gives_a_device_that_is_gone(void **state) {
    (void)state;
    static const char text[] = "device stick is 1a6e:089a or 18d1:9302\n"
                               "on vm frigate started, plugged attach stick serial \"A\" as usb\n"
                               "on vm other started attach 10c4:ea60 as usb\n"
                               "on vm frigate stopped run \"/x\"\n"
                               "on vm frigate reconnect attach 0bda:* port 1-1 class 02 as usb\n"
                               "on vm frigate started attach 1ac1:089a as vfio\n"
                               "on vm frigate started detach 1234:5678\n";
    assert_int_equal(giver(text, "frigate", 0x18d1, 0x9302), 2);
    assert_int_equal(giver(text, "frigate", 0x1a6e, 0x089a), 2);
    assert_int_equal(giver(text, "frigate", 0x0bda, 0x8153), 5);
    assert_int_equal(giver(text, "frigate", 0x10c4, 0xea60), 0);
    assert_int_equal(giver(text, "other", 0x10c4, 0xea60), 3);
    assert_int_equal(giver(text, "frigate", 0x1ac1, 0x089a), 0);
    assert_int_equal(giver(text, "frigate", 0x1234, 0x5678), 0);
}

static const struct guard *guard_of(const char *guards, const char *vm,
                                    const struct device *device) {
    static struct guard copy;
    struct sample_rules rules;
    struct domain domain = {.name = (char *)(uintptr_t)vm};
    sample_rules_init(&rules, guards);
    const struct guard *guard = match_guard(&rules.program, &domain, device);
    if (guard)
        copy = *guard;
    sample_rules_finish(&rules);
    return guard ? &copy : NULL;
}

static void guards_with_and_without_vms(void **state) {
    (void)state;
    const struct device *gpu = &devices[0], *coral = &devices[2];
    assert_non_null(guard_of("never attach class 03\n", "frigate", gpu));
    assert_null(guard_of("never attach class 03\n", "frigate", coral));
    assert_non_null(guard_of("never attach class 03 to vm frigate, win*\n", "windows", gpu));
    assert_non_null(guard_of("never attach class 03 to vm any\n", "windows", gpu));
    assert_null(guard_of("never attach class 03 to vm frigate\n", "windows", gpu));
    assert_null(guard_of("", "windows", gpu));
    assert_int_equal(
        guard_of("never attach 1ac1:*\nnever attach class 03\nnever attach 10de:*\n", "x", gpu)
            ->span.start,
        strlen("never attach 1ac1:*\n"));
    assert_non_null(guard_of("device g is 10de:*\nnever attach g or 8086:*\n", "x", gpu));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_criterion),
        cmocka_unit_test(all_criteria_of_an_alternative_hold),
        cmocka_unit_test(one_alternative_is_enough),
        cmocka_unit_test(names_stand_for_their_definition),
        cmocka_unit_test(places_of_usb_devices),
        cmocka_unit_test(what_usb_devices_say_of_themselves),
        cmocka_unit_test(virtual_functions_and_scsi_devices),
        cmocka_unit_test(what_is_not_known_behind_a_name),
        cmocka_unit_test(a_vm_by_name_title_and_uuid),
        cmocka_unit_test(a_bare_word_may_be_a_glob),
        cmocka_unit_test(one_of_the_three_can_be_said),
        cmocka_unit_test(the_shape_of_a_uuid_is_no_title),
        cmocka_unit_test(a_better_fit_is_meant_alone),
        cmocka_unit_test(who_else_is_meant_is_asked_where_it_matters),
        cmocka_unit_test(a_guard_is_for_all_that_its_words_may_mean),
        cmocka_unit_test(a_quoted_word_is_only_itself),
        cmocka_unit_test(a_vm_that_has_only_a_name),
        cmocka_unit_test(all_rules_of_the_event_in_order),
        cmocka_unit_test(only_what_selects_the_device_of_the_event),
        cmocka_unit_test(a_scsi_device_is_for_who_can_mean_it),
        cmocka_unit_test(a_settled_vm_gets_devices_only),
        cmocka_unit_test(who_gives_a_device_that_is_gone),
        cmocka_unit_test(who_gives_a_pci_device_that_is_gone),
        cmocka_unit_test(guards_with_and_without_vms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
