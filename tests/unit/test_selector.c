/* How a rule names one device of a host: the fewest conditions, and no others' devices. */
#include "engine/plan/selector.h"

#include "engine/rules/match.h"
#include "tests/unit/sample.h"

#define STICK(PORT, SERIAL)                                                                        \
    { SAMPLE_USB(PORT, 0x10c4, 0xea60, 1, 2), .serial = SAMPLE_TEXT(SERIAL) }

/* The text for the first of the devices; it means that device and no other one. */
static void names(const struct device *devices, size_t count, const char *expected) {
    struct host host = {.devices = (struct device *)(uintptr_t)devices, .count = count};
    struct selector selector;
    struct sample_rules rules;
    selector_init(&selector, &host);
    char *text = selector_text(&selector, &devices[0]);
    assert_string_equal(text, expected);
    char *rule = memory_printf("on vm any started detach %s\n", text);
    sample_rules_init(&rules, rule);
    const struct criterion *criteria = rules.program.rules[0]->actions->targets->device;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(match_device(criteria, &devices[i]),
                         i == 0 || devices[i].bus != devices[0].bus);
    sample_rules_finish(&rules);
    free(rule);
    free(text);
    selector_finish(&selector);
}

#define NAMES(EXPECTED, ...)                                                                       \
    do {                                                                                           \
        const struct device devices[] = {__VA_ARGS__};                                             \
        names(devices, sizeof devices / sizeof *devices, EXPECTED);                                \
    } while (0)

static void the_id_is_enough(void **state) {
    (void)state;
    NAMES("10c4:ea60", STICK("1-1", "7A3F"), {SAMPLE_USB("1-2", 0x10c4, 0xea61, 1, 3)},
          {SAMPLE_USB("1-3", 0x10c5, 0xea60, 1, 4)});
    /* a card of the same id is on another bus, which 'as' says */
    NAMES("1ac1:089a", {SAMPLE_PCI("0000:03:00.0", 0x1ac1, 0x089a, 0x088000)},
          {SAMPLE_USB("1-2", 0x1ac1, 0x089a, 1, 3)});
}

static void a_serial_tells_twins_apart(void **state) {
    (void)state;
    NAMES("10c4:ea60 serial \"7A3F\"", STICK("1-1", "7A3F"), STICK("1-2", "7A40"));
    NAMES("10c4:ea60 serial \"7A\\\"3\\\\F\"", STICK("1-1", "7A\"3\\F"), STICK("1-2", "7A40"),
          STICK("1-3", "7A2"));
    NAMES("10c4:ea60 serial \"7A3F\"", STICK("1-1", "7A3F"),
          {SAMPLE_USB("1-2", 0x10c4, 0xea60, 1, 3)});
    NAMES("10c4:ea60 port 1-2", {SAMPLE_USB("1-2", 0x10c4, 0xea60, 1, 3)}, STICK("1-1", "7A3F"));
}

static void equal_serials_do_not(void **state) {
    (void)state;
    NAMES("10c4:ea60 port 1-1", STICK("1-1", "7A3F"), STICK("1-2", "7A3F"), STICK("1-3", "7A40"));
    NAMES("10c4:ea60 port 1-1.4", STICK("1-1.4", ""), STICK("1-2", "7A3F"));
}

static void a_serial_that_its_maker_left_unset(void **state) {
    (void)state;
    static const char *const unset[] = {
        "0",          "0000",     "ffffffff",       "000001",
        "1",          "12345678", "123456789",      "0123456789ABCDEF",
        "Serial",     "N/A",      "none",           "abcdef",
        "1234567890", "7A?3",     "Default string", "7A*",
        "7A[3]F",     " 7A3F",    "7A  3F"};
    static const char *const good[] = {"0002", "00212E7B", "10", "1235", "SERIAL1", "DE01", "55D"};
    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++)
        NAMES("10c4:ea60 port 1-1", STICK("1-1", unset[i]), STICK("1-2", "7A40"));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *expected = memory_printf("10c4:ea60 serial \"%s\"", good[i]);
        NAMES(expected, STICK("1-1", good[i]), STICK("1-2", "7A40"));
        free(expected);
    }
}

static void the_address_of_a_card(void **state) {
    (void)state;
    NAMES("8086:1521 at 0000:01:00.1", {SAMPLE_PCI("0000:01:00.1", 0x8086, 0x1521, 0x020000)},
          {SAMPLE_PCI("0000:01:00.0", 0x8086, 0x1521, 0x020000)});
}

/* A Coral stick has one of two ids. */
static void both_ids_of_a_device_that_changes_its_own(void **state) {
    (void)state;
    static const struct device before = {SAMPLE_USB("1-1", 0x1a6e, 0x089a, 1, 2)},
                               after = {SAMPLE_USB("1-2", 0x18d1, 0x9302, 1, 3)},
                               third = {SAMPLE_USB("1-3", 0x18d1, 0x9302, 1, 4),
                                        .serial = SAMPLE_TEXT("7A40")},
                               other = {SAMPLE_USB("1-4", 0x18d1, 0x9303, 1, 5)};
    NAMES("1a6e:089a or 18d1:9302", before, other);
    NAMES("1a6e:089a or 18d1:9302", after, other);
    NAMES("1a6e:089a port 1-1 or 18d1:9302 port 1-1", before, other, after);
    NAMES("1a6e:089a port 1-2 or 18d1:9302 port 1-2", after, before);
    NAMES("1a6e:089a port 1-3 or 18d1:9302 port 1-3", third, after);
}

static void adds(const struct device *devices, size_t count, const char *expected) {
    struct host host = {.devices = (struct device *)(uintptr_t)devices, .count = count};
    struct selector selector;
    selector_init(&selector, &host);
    char *text = selector_addition(&selector, &devices[0]);
    assert_string_equal(text, expected);
    free(text);
    selector_finish(&selector);
}

/* What a hint adds to a rule that selects several. */
static void what_to_add(void **state) {
    (void)state;
    const struct device sticks[] = {STICK("1-1", "7A3F"), STICK("1-2", "7A40")},
                        equal[] = {STICK("1-1", "7A3F"), STICK("1-2", "7A3F")},
                        corals[] = {{SAMPLE_USB("1-1", 0x18d1, 0x9302, 1, 2),
                                     .serial = SAMPLE_TEXT("7A40")},
                                    {SAMPLE_USB("1-2", 0x18d1, 0x9302, 1, 3)}},
                        cards[] = {{SAMPLE_PCI("0000:01:00.0", 0x8086, 0x1521, 0x020000)},
                                   {SAMPLE_PCI("0000:01:00.1", 0x8086, 0x1521, 0x020000)}},
                        disks[] = {{.bus = BUS_SCSI, .address = SAMPLE_TEXT("2:0:0:0")},
                                   {.bus = BUS_SCSI, .address = SAMPLE_TEXT("2:0:0:1")}};
    adds(sticks, 2, "serial \"7A3F\"");
    adds(equal, 2, "port 1-1");
    adds(corals, 2, "port 1-1");
    adds(cards, 2, "at 0000:01:00.0");
    adds(disks, 2, "scsi \"2:0:0:0\"");
}

/* On a whole host each device has words that mean it alone. */
static void every_device_of_the_sample_hosts(void **state) {
    (void)state;
    static const char *const hosts[] = {"nas", "server", "desktop", "usb", "usb-after", "dock"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char *root = memory_printf("tests/hosts/%s", hosts[i]);
        struct host host;
        struct selector selector;
        sample_host(&host, root);
        selector_init(&selector, &host);
        for (size_t j = 0; j < host.count; j++) {
            struct sample_rules rules;
            char *text = selector_text(&selector, &host.devices[j]);
            char *rule = memory_printf("on vm any started detach %s\n", text);
            sample_rules_init(&rules, rule);
            for (size_t k = 0; k < host.count; k++)
                if (match_device(rules.program.rules[0]->actions->targets->device,
                                 &host.devices[k]) != (k == j))
                    fail_msg("%s: %s and %s", hosts[i], text, host.devices[k].address);
            sample_rules_finish(&rules);
            free(rule);
            free(text);
        }
        selector_finish(&selector);
        host_finish(&host);
        free(root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_is_enough),
        cmocka_unit_test(a_serial_tells_twins_apart),
        cmocka_unit_test(equal_serials_do_not),
        cmocka_unit_test(a_serial_that_its_maker_left_unset),
        cmocka_unit_test(the_address_of_a_card),
        cmocka_unit_test(both_ids_of_a_device_that_changes_its_own),
        cmocka_unit_test(what_to_add),
        cmocka_unit_test(every_device_of_the_sample_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
