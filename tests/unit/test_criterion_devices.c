/* What two conditions say together: on pairs of which the answer is written here, and every answer
 * of all pairs against devices. */
#include "tests/unit/sample.h"

#include "engine/rules/match.h"
#include "parser/criterion.h"

/* "device x is CONDITION", as it is read. */
struct condition {
    struct sample_rules rules;
    const struct criterion *criterion;
};

static void read_condition(struct condition *condition, const char *text) {
    char *rules = memory_printf("device x is %s%s\non vm a started attach x as vfio\n", text,
                                strncmp(text, "not ", 4) ? "" : " 1ac1:*");
    ruleset_init(&condition->rules.ruleset);
    sample_add(&condition->rules.ruleset, "t.rules", rules);
    ruleset_load(&condition->rules.ruleset, NULL);
    const struct definition *definition = condition->rules.ruleset.syntax.definitions;
    assert_non_null(definition);
    if (!definition->device || definition->device->incomplete)
        fail_msg("not understood: %s", text);
    condition->criterion = definition->device;
    free(rules);
}

static void finish(struct condition *condition) {
    ruleset_finish(&condition->rules.ruleset);
}

static const struct {
    const char *one, *other;
    bool excludes, implies; /* the first implies the second */
} pairs[] = {
    {"1ac1:089a", "1ac1:*", false, true},
    {"1ac1:*", "1ac1:089a", false, false},
    {"1ac1:089a", "1ac1:089b", true, false},
    {"1ac1:*", "*:089a", false, false},
    {"class 0300", "class 03", false, true},
    {"class 03", "class 0300", false, false},
    {"class 0300", "class 0301", true, false},
    {"class 0300", "not class 03", true, false},
    {"class 0300", "not class 0301", false, true},
    {"class 03", "not class 0300", false, false},
    {"interface 03", "interface 0e", false, false}, /* a composite device */
    {"interface 0301", "interface 03", false, true},
    {"interface 0301", "not interface 03", true, false},
    {"interface 03", "not interface 0e", false, false},
    {"interface 03", "usb", false, true},
    {"interface 03", "at 0000:03:00.0", true, false},
    {"class 02", "interface 02", false, false},
    {"pci", "usb", true, false},
    {"not pci", "usb", false, false},
    {"usb", "not pci", false, true},
    {"not pci", "not usb", false, false},
    {"at 0000:03:00.0", "pci", false, true},
    {"at 0000:03:00.0", "usb", true, false},
    {"pci", "port 1-1", true, false},
    {"subsystem 1ac1:089a", "serial \"a\"", true, false},
    {"serial \"a\"", "product \"a\"", false, false},
    {"at 0000:03:00.*", "at 0000:03:*.*", false, false}, /* not known */
    {"at 0000:03:00.1", "at 0000:03:*.*", false, true},
    {"at 0000:03:00.*", "at 0000:04:*.*", true, false},
    {"at 0000:03:*.*", "at 0000:*:00.0", false, false},
    {"port 1-1.4", "port 1-1.*", false, true},
    {"port 1-1.*", "port 1-1.4", false, false},
    {"port 1-1.*", "port 1-*", false, true},
    {"port 1-1.*", "port 2-1", true, false},
    {"port 1-1.*", "port 2-*", true, false},
    {"port 1-1.[2-4]", "port 1-1.[5-6]", true, false},
    {"port 1-1.[2-4]", "port 1-1.[4-6]", false, false},
    {"port 1-1.[2-4]", "port 1-1.*", false, true},
    {"port *-1", "port 1-1.*", true, false},
    {"port *-1", "port 1-*", false, false},
    {"below port 1-1", "port 1-1", true, false},
    {"below port 1-1", "port 1-1.4", false, false},
    {"port 1-1.4", "below port 1-1", false, true},
    {"port 1-1.4.2", "below port 1-1", false, true},
    {"port 1-10.2", "below port 1-1", true, false},
    {"port 1-1.*", "below port 1-1", false, true},
    {"below port 1-1", "port 1-1.*", false, true},
    {"below port 1-1", "port 1-?", true, false},
    {"below port 1-1", "port 1-1??", false, false},
    {"below port 1-1.4", "below port 1-1", false, true},
    {"below port 1-1", "below port 1-1.4", false, false},
    {"below port 1-1", "below port 1-2", true, false},
    {"below port 1-1", "below port 1-10", true, false},
    {"port 1-1.4", "not below port 1-1", true, false},
    {"port 1-2", "not below port 1-1", false, true},
    {"serial \"a\"", "serial \"b\"", true, false},
    {"serial \"ab\"", "serial like \"a*\"", false, true},
    {"serial \"b\"", "serial like \"a*\"", true, false},
    {"serial like \"ab*\"", "serial like \"a*\"", false, true},
    {"serial like \"a*\"", "serial like \"ab*\"", false, false},
    {"serial like \"a*\"", "serial like \"b*\"", true, false},
    {"serial like \"a*\"", "serial like \"*b\"", false, false},
    {"serial \"a*\"", "serial like \"a*\"", false, true},
    {"serial like \"a*\"", "serial \"a*\"", false, false},
    {"product \"x\"", "not product \"x\"", true, false},
    {"product \"x\"", "not product \"y\"", false, true},
    {"manufacturer \"x\"", "manufacturer \"y\"", true, false},
    {"driver uvcvideo", "driver snd-usb-audio", false, false}, /* one at each interface */
    {"driver uvcvideo", "not driver uvcvideo", true, false},
    {"not class 03", "not class 0300", false, true},
    {"not class 0300", "not class 03", false, false},
    {"not port 1-1.*", "not below port 1-1", false, true},
};

static void pairs_together(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct condition one, other;
        read_condition(&one, pairs[i].one);
        read_condition(&other, pairs[i].other);
        if (criterion_excludes(one.criterion, other.criterion) != pairs[i].excludes ||
            criterion_excludes(other.criterion, one.criterion) != pairs[i].excludes)
            fail_msg("excludes: %s, %s", pairs[i].one, pairs[i].other);
        if (criterion_implies(one.criterion, other.criterion) != pairs[i].implies)
            fail_msg("implies: %s, %s", pairs[i].one, pairs[i].other);
        finish(&one);
        finish(&other);
    }
}

/* --- all pairs, on devices */

static const char *const ports[] = {"1-1", "1-1.4", "1-1.2", "1-1.4.2", "1-10",   "1-10.2", "1-2",
                                    "2-1", "2-1.4", "1-1.5", "1-4",     "11-1.4", "1-1.10"};
static const char *const texts[] = {NULL, "a", "ab", "b", "a*", "x", "xb"};

/* Of each port, PCI ones too, in turn with each text, class and driver. */
static void make_device(struct device *device, size_t number) {
    static const uint16_t ids[] = {0x089a, 0x089b};
    static const uint32_t classes[] = {0x030000, 0x030100, 0x020000, 0x090000};
    static const char *const drivers[] = {NULL, "uvcvideo", "snd-usb-audio"};
    static const char *const addresses[] = {"0000:03:00.0", "0000:03:00.1", "0000:04:00.0"};
    enum { PORTS = sizeof ports / sizeof *ports, TEXTS = sizeof texts / sizeof *texts };
    bool pci = number % 4 == 0;
    *device = (struct device){.bus = pci ? BUS_PCI : BUS_USB,
                              .id = {number % 3 ? 0x1ac1 : 0x10de, ids[number % 2]},
                              .class_code = classes[number % 4],
                              .driver = (char *)drivers[number % 3],
                              .iommu_group = -1,
                              .name = SAMPLE_TEXT("x")};
    device->address = (char *)(pci ? addresses[number / 4 % 3] : ports[number % PORTS]);
    if (pci) {
        device->subsystem = device->id;
        return;
    }
    device->serial = (char *)texts[number % TEXTS];
    device->product = (char *)texts[number / TEXTS % TEXTS];
    device->manufacturer = (char *)texts[number / 3 % TEXTS];
}

enum { DEVICES = 1400, CONDITIONS = 2 * sizeof pairs / sizeof *pairs };

static void no_device_proves_an_answer_wrong(void **state) {
    (void)state;
    struct condition *all = memory_zalloc(CONDITIONS * sizeof *all);
    bool(*meets)[CONDITIONS] = memory_zalloc(DEVICES * sizeof *meets);
    for (size_t i = 0; i < CONDITIONS; i++)
        read_condition(&all[i], i % 2 ? pairs[i / 2].other : pairs[i / 2].one);
    for (size_t i = 0; i < DEVICES; i++) {
        struct device device;
        make_device(&device, i);
        for (size_t j = 0; j < CONDITIONS; j++)
            meets[i][j] = match_criterion(all[j].criterion, &device);
    }
    size_t excluded = 0, implied = 0, met = 0;
    for (size_t a = 0; a < CONDITIONS; a++)
        for (size_t b = 0; b < CONDITIONS; b++) {
            bool excludes = criterion_excludes(all[a].criterion, all[b].criterion);
            bool implies = criterion_implies(all[a].criterion, all[b].criterion);
            const char *one = a % 2 ? pairs[a / 2].other : pairs[a / 2].one;
            const char *other = b % 2 ? pairs[b / 2].other : pairs[b / 2].one;
            excluded += excludes;
            implied += implies;
            for (size_t i = 0; i < DEVICES; i++) {
                met += meets[i][a] && meets[i][b];
                if (excludes && meets[i][a] && meets[i][b])
                    fail_msg("a device meets both: %s, %s", one, other);
                if (implies && meets[i][a] && !meets[i][b])
                    fail_msg("a device meets only the first: %s, %s", one, other);
            }
        }
    assert_true(excluded >= 1000);
    assert_true(implied >= 1000);
    assert_true(met >= 1000);
    for (size_t i = 0; i < CONDITIONS; i++)
        finish(&all[i]);
    free(meets);
    free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_together),
        cmocka_unit_test(no_device_proves_an_answer_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
