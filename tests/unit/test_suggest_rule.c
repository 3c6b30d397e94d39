/* The rule that is proposed for a device: of every device of every sample host it passes 'check',
 * and its plan attaches that device and nothing else. */
#include "engine/plan/suggest_rule.h"

#include "engine/plan/check_host.h"
#include "engine/plan/plan.h"
#include "tests/unit/sample.h"

#include <dirent.h>

struct sample {
    struct host host;
    struct judge judge;
    struct selector selector;
};

static void open_sample(struct sample *sample, const char *name) {
    char *root = memory_printf("tests/hosts/%s", name);
    sample_host(&sample->host, root);
    sample->judge = (struct judge){.host = &sample->host, .domain = &judge_any_vm};
    selector_init(&sample->selector, &sample->host);
    free(root);
}

static void close_sample(struct sample *sample) {
    selector_finish(&sample->selector);
    judge_finish(&sample->judge);
    host_finish(&sample->host);
}

static void passes_check(const char *rule, const struct host *host) {
    struct ruleset ruleset;
    ruleset_init(&ruleset);
    sample_add(&ruleset, "t.rules", rule);
    ruleset_load(&ruleset, NULL);
    check_host(&ruleset, NULL, host, false, NULL, 0);
    if (ruleset.diagnostics.count)
        fail_msg("%s: %s", rule, ruleset.diagnostics.list[0].message);
    ruleset_finish(&ruleset);
}

/* The plan has the device, with_group also others of its group, and nothing else. */
static void plans_exactly(const char *rule, const struct sample *sample, enum event_name name,
                          const struct device *device, bool with_group) {
    struct sample_rules rules;
    struct plan plan;
    size_t others = 0;
    bool is_attached = false;
    const struct event event = {.name = name, .device = name == EVENT_PLUGGED ? device : NULL};
    sample_rules_init(&rules, rule);
    plan_init(&plan, &(struct plan_request){
                         .program = &rules.program, .event = &event, .host = &sample->host});
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_entry *entry = &plan.entries[i];
        if (entry->kind != PLAN_STEP)
            fail_msg("%s: %s", rule, entry->message);
        assert_int_equal(plan_verb(entry), name == EVENT_PREPARE ? VERB_REQUIRE : VERB_ATTACH);
        bool is_it = !strcmp(entry->device->address, device->address);
        if (!is_it && !(with_group && judge_is_group_member(device, entry->device)))
            fail_msg("%s attaches %s", rule, entry->device->address);
        is_attached |= is_it;
        others += !is_it;
    }
    if (!is_attached || (with_group && !others))
        fail_msg("%s attaches %zu devices, not %s", rule, plan.count, device->address);
    plan_finish(&plan);
    sample_rules_finish(&rules);
}

/* Whether any backend takes the device, alone or with its group. */
static bool can_go(struct sample *sample, const struct device *device) {
    bool can = false;
    for (enum backend one = BACKEND_NONE + 1; one < BACKEND_COUNT && !can; one++) {
        if (!(backend_presenting(&sample->host, device) & 1U << one) || one == BACKEND_MDEV)
            continue;
        struct verdict verdict =
            judge_device(&sample->judge, device, backend_type(one), NULL, false);
        can = !verdict.refusal;
        verdict_finish(&verdict);
    }
    return can;
}

static size_t look_at(struct sample *sample, const struct device *device, bool may_define) {
    struct suggested_rule suggested =
        suggest_rule(&sample->judge, &sample->selector, device, "Home Assistant", may_define);
    assert_false(sample->judge.is_definition || sample->judge.is_required);
    if (!suggested.text) {
        assert_int_not_equal(suggested.verdict.refusal, REFUSED_NOT);
        assert_non_null(suggested.verdict.message);
        assert_non_null(suggested.verdict.hint);
        assert_false(can_go(sample, device));
        suggest_rule_finish(&suggested);
        return 0;
    }
    passes_check(suggested.text, &sample->host);
    plans_exactly(suggested.text, sample, suggested.event, device, suggested.with_group);
    if (suggested.event == EVENT_DEFINED)
        plans_exactly(suggested.text, sample, EVENT_PREPARE, device, suggested.with_group);
    else
        assert_int_equal(suggested.event, EVENT_STARTED);
    assert_true(may_define || suggested.event == EVENT_STARTED);
    bool is_plugged = strstr(suggested.text, "started, plugged ") != NULL;
    assert_int_equal(is_plugged, device->bus == BUS_USB ||
                                     (device->bus == BUS_SCSI && device->above_bus == BUS_USB));
    if (is_plugged)
        plans_exactly(suggested.text, sample, EVENT_PLUGGED, device, false);
    suggest_rule_finish(&suggested);
    return 1;
}

static void every_device_of_every_sample_host(void **state) {
    (void)state;
    size_t hosts = 0, rules = 0;
    DIR *list = opendir("tests/hosts");
    assert_non_null(list);
    for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
        if (*entry->d_name == '.' || entry->d_type == DT_REG)
            continue;
        struct sample sample;
        open_sample(&sample, entry->d_name);
        for (size_t i = 0; i < sample.host.count; i++)
            rules += look_at(&sample, &sample.host.devices[i], true) +
                     look_at(&sample, &sample.host.devices[i], false);
        close_sample(&sample);
        hosts++;
    }
    closedir(list);
    assert_true(hosts >= 18); /* all were there */
    assert_true(rules >= 100);
}

static void suggests_for(bool may_define, const char *name, enum bus bus, const char *address,
                         const char *expected) {
    struct sample sample;
    open_sample(&sample, name);
    const struct device *device = host_find(&sample.host, bus, address);
    assert_non_null(device);
    struct suggested_rule suggested =
        suggest_rule(&sample.judge, &sample.selector, device, NULL, may_define);
    if (expected)
        assert_string_equal(suggested.text, expected);
    else
        assert_null(suggested.text);
    suggest_rule_finish(&suggested);
    close_sample(&sample);
}

static void suggests(const char *name, enum bus bus, const char *address, const char *expected) {
    suggests_for(true, name, bus, address, expected);
}

static void the_whole_line(void **state) {
    (void)state;
    suggests("nas", BUS_PCI, "0000:03:00.0", "on vm NAME started attach 1ac1:089a as vfio");
    suggests("nas", BUS_USB, "1-1", "on vm NAME started, plugged attach 10c4:ea60 as usb");
    suggests("usb", BUS_USB, "1-1.4",
             "on vm NAME started, plugged attach 1a6e:089a or 18d1:9302 as usb");
    suggests("usb", BUS_USB, "1-1.1",
             "on vm NAME started, plugged attach 1cf1:0030 serial \"DE00212E7B\" as usb");
    suggests("vgpu", BUS_PCI, "0000:41:00.0",
             "on vm NAME started attach 10de:1eb8 at 0000:41:00.0 as mdev \"nvidia-63\"");
    suggests("nas", BUS_PCI, "0000:04:00.0", NULL);
}

/* One of two on a card, each bound to a host driver. */
static void with_its_group(void **state) {
    (void)state;
    suggests("dual-tpu", BUS_PCI, "0000:03:00.0",
             "on vm NAME started attach 1ac1:089a at 0000:03:00.0 with group as vfio");
    /* The display that goes along is the host's only one: that is named for itself. */
    suggests("desktop", BUS_PCI, "0000:01:00.1", NULL);
}

/* The guest's firmware must find a graphics card when it boots. Where the definition does not last,
 * it boots again. */
static void a_graphics_card(void **state) {
    (void)state;
    static const char *const one[] = {"single-gpu", "desktop"};
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
        suggests(one[i], BUS_PCI, "0000:01:00.0",
                 "on vm NAME defined attach 10de:2484 with group as vfio boot display\n"
                 "on vm NAME prepare require 10de:2484 with group");
        suggests_for(false, one[i], BUS_PCI, "0000:01:00.0",
                     "on vm NAME started attach 10de:2484 with group as vfio boot display then "
                     "reset");
    }
    suggests("gpus", BUS_PCI, "0000:01:00.0",
             "on vm NAME defined attach 10de:2484 with group as vfio\n"
             "on vm NAME prepare require 10de:2484 with group");
    suggests("gpus", BUS_PCI, "0000:01:00.1",
             "on vm NAME defined attach 10de:228b with group as vfio\n"
             "on vm NAME prepare require 10de:228b with group");
    suggests("gpus", BUS_PCI, "0000:05:00.0",
             "on vm NAME defined attach 1002:73bf as vfio\n"
             "on vm NAME prepare require 1002:73bf");
    suggests("gpus", BUS_PCI, "0000:05:00.1", /* its sound, in a group of its own */
             "on vm NAME defined attach 1002:ab28 as vfio\n"
             "on vm NAME prepare require 1002:ab28");
    suggests_for(false, "gpus", BUS_PCI, "0000:05:00.1",
                 "on vm NAME started attach 1002:ab28 as vfio then reset");
    suggests("gpus", BUS_PCI, "0000:00:02.0",
             "on vm NAME defined attach 8086:3e98 as vfio boot display\n"
             "on vm NAME prepare require 8086:3e98");
}

/* It shows no picture; but the guest's firmware may have to find it for its memory. */
static void a_card_that_computes(void **state) {
    (void)state;
    struct device card = {SAMPLE_PCI("0000:41:00.0", 0x10de, 0x1eb8, 0x030200), .iommu_group = 1,
                          .has_bars = true, .bars = {{.size = 1 << 20}}, .bar_count = 1};
    struct sample sample = {.host = {.devices = &card, .count = 1, .has_iommu = true}};
    sample.judge = (struct judge){.host = &sample.host, .domain = &judge_any_vm};
    selector_init(&sample.selector, &sample.host);
    for (unsigned i = 0; i < 2; i++) {
        struct suggested_rule suggested =
            suggest_rule(&sample.judge, &sample.selector, &card, NULL, true);
        assert_int_equal(suggested.event, i ? EVENT_DEFINED : EVENT_STARTED);
        suggest_rule_finish(&suggested);
        card.bars[0] = (struct device_bar){
            .size = UINT64_C(16) << 30, .is_64bit = true, .is_prefetchable = true};
    }
    selector_finish(&sample.selector);
    judge_finish(&sample.judge);
}

/* A desktop has the display open: the VM starts when it has ended. What else the host does with the
 * card does not end. */
static void a_display_that_is_in_use(void **state) {
    (void)state;
    struct device card = {SAMPLE_PCI("0000:01:00.0", 0x10de, 0x2484, 0x030000), .iommu_group = 1,
                          .is_display = true,
                          .use = SAMPLE_TEXT("shows its console on it; runs Xorg on it"),
                          .other_use = SAMPLE_TEXT("runs Xorg on it")};
    struct sample sample = {.host = {.devices = &card, .count = 1, .has_iommu = true}};
    sample.judge = (struct judge){.host = &sample.host, .domain = &judge_any_vm};
    selector_init(&sample.selector, &sample.host);
    struct suggested_rule suggested =
        suggest_rule(&sample.judge, &sample.selector, &card, NULL, true);
    assert_string_equal(suggested.text, "on vm NAME defined attach 10de:2484 as vfio boot display\n"
                                        "on vm NAME prepare require 10de:2484");
    assert_true(suggested.gives_display);
    suggest_rule_finish(&suggested);
    suggested = suggest_rule(&sample.judge, &sample.selector, &card, NULL, false);
    assert_null(suggested.text); /* nothing would wait */
    assert_string_equal(suggested.verdict.message, "the host runs Xorg on it");
    suggest_rule_finish(&suggested);
    card.lasting_use = SAMPLE_TEXT("mounts / from it");
    suggested = suggest_rule(&sample.judge, &sample.selector, &card, NULL, true);
    assert_null(suggested.text);
    suggest_rule_finish(&suggested);
    selector_finish(&sample.selector);
    judge_finish(&sample.judge);
}

/* All that can be created are there. */
static void no_further_mediated_device(void **state) {
    (void)state;
    struct device_mdev_type type = {.name = SAMPLE_TEXT("nvidia-63"), .available = 0};
    struct device card = {SAMPLE_PCI("0000:41:00.0", 0x10de, 0x1eb8, 0x030200), .iommu_group = -1,
                          .use = SAMPLE_TEXT("runs a program on it"), .mdev_types = &type,
                          .mdev_type_count = 1};
    struct sample sample = {.host = {.devices = &card, .count = 1}};
    sample.judge = (struct judge){.host = &sample.host, .domain = &judge_any_vm};
    selector_init(&sample.selector, &sample.host);
    struct suggested_rule suggested =
        suggest_rule(&sample.judge, &sample.selector, &card, NULL, true);
    assert_null(suggested.text);
    suggest_rule_finish(&suggested);
    type.available = 1;
    suggested = suggest_rule(&sample.judge, &sample.selector, &card, NULL, true);
    assert_string_equal(suggested.text,
                        "on vm NAME started attach 10de:1eb8 as mdev \"nvidia-63\"");
    suggest_rule_finish(&suggested);
    selector_finish(&sample.selector);
    judge_finish(&sample.judge);
}

/* Whatever a VM is called, the rule is for that VM. */
static void the_name_of_the_vm(void **state) {
    (void)state;
    static const char *const bare[] = {"frigate", "win11", "pfSense", "a.b_c-d", "2012"};
    static const char *const quoted[] = {"Home Assistant",
                                         "a,b",
                                         "vm*",
                                         "[x]",
                                         "on",
                                         "ON",
                                         "any",
                                         "Any",
                                         "started",
                                         "title",
                                         "Name",
                                         "",
                                         "{",
                                         "#1",
                                         "a\"b",
                                         "a\\b",
                                         "'x'",
                                         "!frigate",
                                         "a|b",
                                         "Küche",
                                         "-x",
                                         "x:",
                                         "boot",
                                         "uuid",
                                         "defined"};
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
        char *text = suggest_rule_vm_text(bare[i]);
        assert_string_equal(text, bare[i]);
        free(text);
    }
    for (size_t i = 0; i < sizeof quoted / sizeof *quoted + sizeof bare / sizeof *bare; i++) {
        size_t count = sizeof quoted / sizeof *quoted;
        const char *name = i < count ? quoted[i] : bare[i - count];
        char *text = suggest_rule_vm_text(name);
        assert_int_equal(*text == '"', i < count);
        char *rule = memory_printf("on vm %s started attach 1ac1:089a as vfio\n", text);
        struct sample_rules rules;
        struct domain domain;
        if (*name) {
            sample_rules_init(&rules, rule);
            /* Quotes around a glob are warned of, whoever has such a name. */
            assert_int_equal(rules.ruleset.diagnostics.count != 0, strpbrk(name, "*[") != NULL);
            domain_from_name(&domain, name);
            const struct event event = {.name = EVENT_STARTED, .domain = &domain};
            assert_true(match_rule(rules.program.rules[0], &event));
            domain_finish(&domain);
            domain_from_name(&domain, "vmx");
            assert_false(match_rule(rules.program.rules[0], &event));
            domain_finish(&domain);
            sample_rules_finish(&rules);
        }
        free(rule);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_device_of_every_sample_host),
        cmocka_unit_test(the_whole_line),
        cmocka_unit_test(with_its_group),
        cmocka_unit_test(a_graphics_card),
        cmocka_unit_test(a_card_that_computes),
        cmocka_unit_test(a_display_that_is_in_use),
        cmocka_unit_test(no_further_mediated_device),
        cmocka_unit_test(the_name_of_the_vm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
