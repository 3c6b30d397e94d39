/* Words to values: each table has the good ones, then what is nearly right and what is said of it.
 */
#include "front.h"

/* A device in a rule: its only criterion, or the hint of what is wrong with it. */
static void device(const char *text, struct criterion *criterion, char **name, char **hint) {
    struct front front;
    char rules[300];
    snprintf(rules, sizeof rules, "on vm a started attach %s as vfio\n", text);
    front_parse(&front, rules);
    *name = *hint = NULL;
    *criterion = (struct criterion){0};
    if (front.diagnostics.count) {
        const struct diagnostic *first = &front.diagnostics.list[0];
        assert_int_equal(front.diagnostics.count, 1);
        assert_non_null(first->hint);
        *name = memory_strdup(diagnostic_name(first));
        *hint = memory_strdup(first->hint);
    } else {
        assert_non_null(front.syntax.rules);
        *criterion = *front.syntax.rules->actions->targets->device;
        criterion->next = NULL;
    }
    front_finish(&front);
}

static struct criterion good(const char *text) {
    struct criterion criterion;
    char *name, *hint;
    device(text, &criterion, &name, &hint);
    if (name)
        fail_msg("'%s' is refused: %s, %s", text, name, hint);
    return criterion;
}

struct bad {
    const char *text, *name, *hint; /* the hint has this in it */
};

static void assert_bad(const struct bad *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct criterion criterion;
        char *name, *hint;
        device(rows[i].text, &criterion, &name, &hint);
        if (!name)
            fail_msg("'%s' is taken", rows[i].text);
        if (strcmp(name, rows[i].name) != 0 || !strstr(hint, rows[i].hint))
            fail_msg("'%s' gives %s and '%s', not %s and '%s'", rows[i].text, name, hint,
                     rows[i].name, rows[i].hint);
        free(name);
        free(hint);
    }
}

#define ASSERT_BAD(rows) assert_bad(rows, sizeof(rows) / sizeof *(rows))

static void test_ids(void **state) {
    (void)state;
    static const struct {
        const char *text;
        struct id_pattern id;
        bool any_vendor, any_device;
    } rows[] = {
        {"1ac1:089a", {0x1ac1, 0x089a}, false, false},
        {"1AC1:089A", {0x1ac1, 0x089a}, false, false},
        {"0000:ffff", {0, 0xffff}, false, false},
        {"10de:*", {0x10de, 0}, false, true},
        {"*:2484", {0, 0x2484}, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int subsystem = 0; subsystem < 2; subsystem++) {
            char text[64];
            snprintf(text, sizeof text, "%s%s", subsystem ? "subsystem " : "", rows[i].text);
            struct criterion one = good(text);
            assert_int_equal(one.kind, subsystem ? CRITERION_SUBSYSTEM : CRITERION_ID);
            assert_int_equal(one.id.vendor, rows[i].id.vendor);
            assert_int_equal(one.id.device, rows[i].id.device);
            assert_int_equal(one.any_vendor, rows[i].any_vendor);
            assert_int_equal(one.any_device, rows[i].any_device);
        }
}

static void test_bad_ids(void **state) {
    (void)state;
    static const struct bad rows[] = {
        {"1ac1:89a", "bad-id", "did you mean '1ac1:089a'?"},
        {"ac1:089a", "bad-id", "did you mean '0ac1:089a'?"},
        {"0x1ac1:0x089a", "bad-id", "did you mean '1ac1:089a'?"},
        {"0X1AC1:089a", "bad-id", "did you mean '1ac1:089a'?"},
        {"0x1ac1:*", "bad-id", "'*' replaces a whole half"},
        {"1ac1:089a;", "bad-id", "did you mean '1ac1:089a'?"},
        {"1acl:089a", "bad-id", "lspci -nn"},
        {"1ac1:", "bad-id", "lspci -nn"},
        {":089a", "bad-id", "lspci -nn"},
        {":", "bad-id", "lspci -nn"},
        {"1ac1:089ab", "bad-id", "lspci -nn"},
        {"11ac1:089a", "bad-id", "lspci -nn"},
        {"*:*", "bad-id", "10de:*"},
        {"1ac1:08*", "bad-id", "'*' replaces a whole half: 10de:*"},
        {"1ac1:???\?", "bad-id", "'*' replaces a whole half"},
        {"05:00", "bad-id", "'05:00.0', or '05:00.*' for all"},
        {"1ac1: 089a", "bad-id", "did you mean '1ac1:089a'?"},
        {"1ac1 :089a", "bad-device", "did you mean '1ac1:089a'?"},
        {"subsystem 10de", "bad-id", "lspci -nn"},
        {"subsystem 10de:1:2", "bad-id", "lspci -nn"},
        {"subsystem *:*", "bad-id", "10de:*"},
        {"subsystem 10de:89a", "bad-id", "did you mean '10de:089a'?"},
    };
    ASSERT_BAD(rows);
}

static void test_addresses(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"0000:05:00.0", "0000:05:00.0"},
        {"05:00.0", "0000:05:00.0"},
        {"ABCD:FE:1F.7", "abcd:fe:1f.7"},
        {"at 05:00.1", "0000:05:00.1"},
        {"0000:05:00.*", "0000:05:00.*"},
        {"05:00.*", "0000:05:00.*"},
        {"*:05:00.0", "*:05:00.0"},
        {"*:*.*", "0000:*:*.*"},
        {"0000:0[5-7]:??.[01]", "0000:0[5-7]:??.[01]"},
        {"10000:e1:00.0", "10000:e1:00.0"},
        {"at 10001:02:00.0", "10001:02:00.0"},
        {"123AB:E1:00.*", "123ab:e1:00.*"},
        {"12345678:e1:1f.7", "12345678:e1:1f.7"},
        {"10000:*:00.0", "10000:*:00.0"},
        {"1000?:*:*.*", "1000?:*:*.*"},
        {"*:e1:00.0", "*:e1:00.0"},
        {"10001:*", "10001:*"},
        {"ABCDEF01:*", "abcdef01:*"},
        {"at 10001:*", "10001:*"},
        {"at 10de:*", "10de:*"}, /* without 'at' it is an id */
        {"at 0000:*", "0000:*"},
        {"", NULL},
    };
    for (size_t i = 0; rows[i][1]; i++) {
        struct front front;
        char rules[100];
        snprintf(rules, sizeof rules, "never attach %s\n", rows[i][0]);
        front_parse(&front, rules);
        if (front.diagnostics.count)
            fail_msg("'%s' is refused", rows[i][0]);
        assert_int_equal(front.syntax.guards->device->kind, CRITERION_ADDRESS);
        assert_string_equal(front.syntax.guards->device->text, rows[i][1]);
        front_finish(&front);
    }
}

static void test_bad_addresses(void **state) {
    (void)state;
    static const struct bad rows[] = {
        {"0000:05:00", "bad-address", "'0000:05:00.0', or '0000:05:00.*' for all"},
        {"at 05:00", "bad-address", "'05:00.0', or '05:00.*' for all"},
        {"0000:05:00:0", "bad-address", "did you mean '0000:05:00.0'?"},
        {"0000:5:0.0", "bad-address", "did you mean '0000:05:00.0'?"},
        {"5:0.0", "bad-address", "did you mean '0000:05:00.0'?"},
        {"0:5:0.0", "bad-address", "did you mean '0000:05:00.0'?"},
        {"at pci_0001_05_1f_7", "bad-address", "did you mean '0001:05:1f.7'?"},
        {"at 05.00.0", "bad-address", "did you mean '0000:05:00.0'?"},
        {"05:00.8", "bad-address", "the last digit 0 to 7"},
        {"05:20.0", "bad-address", "lspci -D"},
        {"00000:05:00.0", "bad-address", "lspci -D"},
        {"at 00010001:02:00.0", "bad-address", "did you mean '10001:02:00.0'?"},
        {"never:05:00.0", "bad-address", "lspci -D"},
        {"123456789:05:00.0", "bad-address", "lspci -D"},
        {"001:02:00.0", "bad-address", "did you mean '0001:02:00.0'?"},
        {"at 0001000?:02:00.0", "bad-address", "five to eight that do not begin with 0"},
        {"at ?????????:02:00.0", "bad-address", "a domain has four digits"},
        {"at ???:02:00.0", "bad-address", "a domain has four digits"},
        {"at 0001000?:2:00.0", "bad-address", "lspci -D"},
        {"at 10001:02", "bad-address", "lspci -D"},
        {"at 00010001:*", "bad-address", "lspci -D"},
        {"at 001:*", "bad-address", "lspci -D"},
        {"at 03:*", "bad-address", "'03:*.*' for all"},
        {"at *:*", "bad-address", "'*:*.*' for all"},
        {"123456789:*", "bad-id", "10de:*"},
        {"00010001:*", "bad-id", "10de:*"},
        {"05:00.", "bad-address", "'05:00.0', or '05:00.*' for all"},
        {"05:00.00", "bad-address", "did you mean '0000:05:00.0'?"},
        {"0000:05:00.0.0", "bad-address", "lspci -D"},
        {"a:b:c:d:e", "bad-address", "lspci -D"},
        {"::.", "bad-address", "lspci -D"},
        {"at 1-1.4", "bad-address", "'port 1-1.4'"},
        {"at nvidia", "bad-address", "lspci -D"},
        {"at 7", "bad-address", "lspci -D"},
        {"at 1ac1:089a", "bad-address", "lspci -D"},
    };
    ASSERT_BAD(rows);
}

static void test_mended_addresses(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"pci_0000_05_00_0", "0000:05:00.0"},
        {"05-00-0", "0000:05:00.0"},
        {"0000.05.00.0", "0000:05:00.0"},
        {"ff:1f:7", "0000:ff:1f.7"},
        {"pci_", NULL},
        {"", NULL},
        {"5", NULL},
        {"5:0", NULL},
        {"5:0:8", NULL},
        {"0:0:20:0", NULL},
        {"0:100:0:0", NULL},
        {"12345:0:0:0", "12345:00:00.0"},
        {"pci_10001_02_00_0", "10001:02:00.0"},
        {"00010001:02:00.0", "10001:02:00.0"},
        {"ffffffff-ff-1f-7", "ffffffff:ff:1f.7"},
        {"100000000:0:0:0", NULL},
        {"000000001:0:0:0", NULL},
        {"0:00000:0:0", NULL},
        {"0:0:0:0:0", NULL},
        {"x:0:0", NULL},
        {"0x1:0:0", "0000:01:00.0"},
        {"+1:0:0", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *corrected = value_corrected_address(rows[i][0]);
        if (!corrected != !rows[i][1] || (corrected && strcmp(corrected, rows[i][1]) != 0))
            fail_msg("'%s' gives '%s'", rows[i][0], corrected ? corrected : "(nothing)");
        free(corrected);
    }
}

static void test_classes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t value;
        unsigned digits;
    } rows[] = {{"class 03", 3, 2},        {"class 0106", 0x0106, 4}, {"class 030000", 0x030000, 6},
                {"class 0C03", 0x0c03, 4}, {"class fe", 0xfe, 2},     {"class ab", 0xab, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct criterion one = good(rows[i].text);
        assert_int_equal(one.kind, CRITERION_CLASS);
        assert_int_equal(one.class_prefix.value, rows[i].value);
        assert_int_equal(one.class_prefix.digits, rows[i].digits);
    }
    static const struct bad bad[] = {
        {"class 0x0300", "bad-class", "did you mean '0300'?"},
        {"class 03:00", "bad-class", "did you mean '0300'?"},
        {"class 03.00.00", "bad-class", "did you mean '030000'?"},
        {"class 3", "bad-class", "03 is every display"},
        {"class 030", "bad-class", "03 is every display"},
        {"class 03000000", "bad-class", "03 is every display"},
        {"class VGA", "bad-class", "03 is every display"},
        {"class 03*", "bad-class", "03 is every display"},
        {"class 0g", "bad-class", "03 is every display"},
    };
    ASSERT_BAD(bad);
}

static void test_ports(void **state) {
    (void)state;
    static const char *const rows[] = {"1-1",   "1-1.4",       "10-12.3.14",    "1-10",
                                       "1-*",   "1-1.*",       "1-1.[2-4]",     "?-1",
                                       "1-1.?", "[12]-1.[!3]", "\"1-1.[2-4]\"", "\"1-1\""};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[32];
        snprintf(text, sizeof text, "port %s", rows[i]);
        assert_int_equal(good(text).kind, CRITERION_PORT);
    }
    static const struct bad bad[] = {
        {"port 1", "bad-port", "1-1.4"},
        {"port 1-", "bad-port", "1-1.4"},
        {"port -1", "bad-port", "1-1.4"},
        {"port 1-1.", "bad-port", "1-1.4"},
        {"port 1-.1", "bad-port", "1-1.4"},
        {"port 1:4", "bad-port", "1-1.4"},
        {"port 1-1-1", "bad-port", "1-1.4"},
        {"port usb1-1", "bad-port", "1-1.4"},
        {"port 001-1.4", "bad-port", "did you mean '1-1.4'?"},
        {"port 1-1.04", "bad-port", "did you mean '1-1.4'?"},
        {"port 001-004", "bad-port", "lsusb -t"},
        {"port 1-0", "bad-port", "each from 1"},
        {"port 0-1", "bad-port", "each from 1"},
        {"port 1-1.0", "bad-port", "each from 1"},
        {"?:00.0", "bad-address", "a bus and a slot have two digits"},
        {"at 03:00.[89]", "bad-address", "a bus and a slot"},
        {"at 03:[2-9]?.0", "bad-address", "a bus and a slot"},
        {"at 03:00.[5-0]", "bad-address", "a bus and a slot"},
        {"port 1-1.**", "bad-port", "did you mean '1-1.*'?"},
        {"port 1-1-*", "bad-port", "1-1.4"},
        {"port 1-1.[", "bad-port", "1-1.4"},
        {"port 1-1.[z]", "bad-port", "1-1.4"},
        {"port 1-1.[3-2]", "bad-port", "1-1.4"},
        {"port 1-0*", "bad-port", "1-1.4"},
        {"port *:00.0", "bad-port", "1-1.4"},
        {"below port 1-1.*", "bad-port", "at any depth"},
        {"below port 001-1.4", "bad-port", "did you mean '1-1.4'?"},
        {"interface 03010", "bad-class", "03 is every input device"},
        {"interface 0x0301", "bad-class", "did you mean '0301'?"},
        {"driver uvc/video", "bad-driver", "lspci -k"},
        {"driver \"\"", "bad-driver", "lspci -k"},
        {"port 1-1.4:1.0", "bad-port", "1-1.4"},
    };
    ASSERT_BAD(bad);
}

static void test_names(void **state) {
    (void)state;
    static const char *const rows[] = {"coral", "c", "_x", "tpu-2", "A_b-9", "cafe"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(good(rows[i]).kind, CRITERION_NAME);
    static const struct bad bad[] = {
        {"1ac1-089a", "bad-device", "did you mean '1ac1:089a'?"},
        {"1ac1089a", "bad-device", "did you mean '1ac1:089a'?"},
        {"1ac1 089a", "bad-device", "did you mean '1ac1:089a'?"},
        {"1-1.4", "bad-device", "'port 1-1.4'"},
        {"05.00.0", "bad-device", "did you mean '0000:05:00.0'?"},
        {"2x", "bad-device", "did you mean 'any 2'?"},
        {"*", "bad-device", "a device is an id"},
        {"cor*", "bad-device", "a device is an id"},
        {"/dev/x", "bad-device", "which device has that file"},
        {"é", "bad-device", "a device is an id"},
        {"-x", "bad-device", "a device is an id"},
    };
    ASSERT_BAD(bad);
    assert_says("device 3d is 1ac1:089a\n", "bad-name@3d");
    assert_says("device co.ral is 1ac1:089a\n", "bad-name@co.ral");
    assert_says("device 1ac1:089a is coral\n", "bad-name@1ac1:089a");
}

/* Two mistakes with a comma between are two. */
static void test_pieces(void **state) {
    (void)state;
    assert_says("on vm a started attach 1ac1 089a as vfio", "bad-device@1ac1 089a");
    assert_says("on vm a started attach 1ac1 : 089a as vfio", "bad-device@1ac1 : 089a");
    assert_says("on vm a started attach 1ac1, 089a as vfio", "bad-device@1ac1 bad-device@089a");
    assert_says("on vm a started attach 1ac1:89a 2:3 4:5 as vfio", "bad-id@1ac1:89a 2:3 4:5");
    assert_says("on vm a started {\nattach 1ac1 as vfio\nattach 089a as vfio\n}",
                "bad-device@1ac1 bad-device@089a");
}

static void test_durations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t milliseconds;
    } rows[] = {{"0s", 0},
                {"0ms", 0},
                {"500ms", 500},
                {"5s", 5000},
                {"2m", 120000},
                {"1h", 3600000},
                {"24h", 86400000},
                {"1440m", 86400000},
                {"86400s", 86400000},
                {"86400000ms", 86400000},
                {"007s", 7000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int after = 0; after < 2; after++) {
            struct front front;
            char rules[100];
            snprintf(rules, sizeof rules, "on vm a started attach x as vfio %s %s\n",
                     after ? "after" : "within", rows[i].text);
            front_parse(&front, rules);
            assert_int_equal(front.diagnostics.count, 0);
            const struct action_option *option = front.syntax.rules->actions->options;
            assert_int_equal(option->kind, after ? OPTION_AFTER : OPTION_WITHIN);
            assert_int_equal(option->milliseconds, rows[i].milliseconds);
            front_finish(&front);
        }
    static const struct bad bad[] = {
        {"x as vfio within 5", "bad-duration", "did you mean '5s'?"},
        {"x as vfio within 5 s", "bad-duration", "did you mean '5s'?"},
        {"x as vfio within s", "bad-duration", "500ms"},
        {"x as vfio within 5sec", "bad-duration", "did you mean '5s'?"},
        {"x as vfio within 24hours", "bad-duration", "did you mean '24h'?"},
        {"x as vfio within 1H", "bad-duration", "did you mean '1h'?"},
        {"x as vfio within 25h", "bad-duration", "up to 24h"},
        {"x as vfio within 2min", "bad-duration", "did you mean '2m'?"},
        {"x as vfio within h", "bad-duration", "500ms"},
        {"x as vfio within 1.5s", "bad-duration", "500ms"},
        {"x as vfio within -1s", "bad-duration", "500ms"},
        {"x as vfio within +1s", "bad-duration", "500ms"},
        {"x as vfio within 5S", "bad-duration", "did you mean '5s'?"},
        {"x as vfio within 1441m", "bad-duration", "up to 24h"},
        {"x as vfio within 86401s", "bad-duration", "up to 24h"},
        {"x as vfio within 18446744073709551616ms", "bad-duration", "up to 24h"},
        {"x as vfio within 307445734561826m", "bad-duration", "up to 24h"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct front front;
        char rules[100];
        snprintf(rules, sizeof rules, "on vm a started attach %s\n", bad[i].text);
        front_parse(&front, rules);
        if (front.diagnostics.count != 1 ||
            strcmp(diagnostic_name(&front.diagnostics.list[0]), bad[i].name) != 0 ||
            !strstr(front.diagnostics.list[0].hint, bad[i].hint))
            fail_msg("%s", rules);
        front_finish(&front);
    }
}

static void test_counts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned count;
    } rows[] = {{"any", 1}, {"any 1", 1}, {"any 2", 2}, {"any 65535", 65535}, {"any 007", 7}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct front front;
        char rules[100];
        snprintf(rules, sizeof rules, "on vm a started attach %s x as vfio\n", rows[i].text);
        front_parse(&front, rules);
        assert_int_equal(front.diagnostics.count, 0);
        assert_int_equal(front.syntax.rules->actions->targets->count, rows[i].count);
        front_finish(&front);
    }
    static const struct bad bad[] = {
        {"any 0 1ac1:089a", "bad-count", "from 1 to 65535"},
        {"any 65536 1ac1:089a", "bad-count", "from 1 to 65535"},
        {"any 99999999 1ac1:089a", "bad-count", "from 1 to 65535"},
        {"any 99999999999999999999999 1ac1:089a", "bad-count", "from 1 to 65535"},
        {"any 4294967297 1ac1:089a", "bad-count", "from 1 to 65535"},
    };
    ASSERT_BAD(bad);
}

static void test_globs(void **state) {
    (void)state;
    assert_true(value_is_glob("ha*"));
    assert_true(value_is_glob("v?"));
    assert_true(value_is_glob("[ab]"));
    assert_false(value_is_glob("plain"));
    assert_false(value_is_glob("]"));
    assert_false(value_is_glob(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_bad_ids),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_mended_addresses),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_globs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
