/* A plan as text for people and as JSON for programs. */
#include "tests/unit/sample.h"

#include "engine/plan/plan_print.h"

#include <json-c/json.h>

static struct device devices[] = {
    {SAMPLE_PCI("0000:03:00.0", 0x1ac1, 0x089a, 0x088000), .iommu_group = 9,
     .driver = SAMPLE_TEXT("apex")},
    {SAMPLE_PCI("0000:07:00.0", 0x144d, 0xa808, 0x010802), .iommu_group = 6,
     .use = SAMPLE_TEXT("mounts / from it")},
    {SAMPLE_USB("1-1.4", 0x1a6e, 0x089a, 1, 4)},
};
static const struct host host = {
    .root = SAMPLE_TEXT(""), .devices = devices, .count = 3, .has_iommu = true};
static struct domain domain;
static struct event event;
static struct sample_rules rules;
static struct plan plan;

static const char RULES[] = "on vm any started {\n"
                            "  attach 1ac1:089a as vfio\n"
                            "  attach port 1-1.4 as usb\n"
                            "  attach 144d:* as vfio\n"
                            "  attach ffff:* as vfio optional\n"
                            "  run \"/bin/notify\" \"a b\" c\n"
                            "}\n";

static void make(const char *title, const char *text) {
    domain = (struct domain){
        .name = SAMPLE_TEXT("frigate"),
        .title = SAMPLE_TEXT(title),
        .uuid = SAMPLE_TEXT("4dea22b3-1d52-d8f3-2516-782e98ab3fa0"),
    };
    event = (struct event){.name = EVENT_STARTED, .domain = &domain};
    sample_rules_init(&rules, text);
    plan_init(&plan,
              &(struct plan_request){.program = &rules.program, .event = &event, .host = &host});
}

static void finish(void) {
    plan_finish(&plan);
    sample_rules_finish(&rules);
}

static char *printed(bool xml, bool colour) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    plan_print(&plan, out, xml, (struct terminal){.colour = colour});
    fclose(out);
    return text;
}

static void a_group_member_goes_without_the_rom(void **state) {
    (void)state;
    int group = devices[1].iommu_group;
    char *use = devices[1].use;
    devices[1].iommu_group = devices[0].iommu_group;
    devices[1].use = NULL;
    make("NVR", "on vm any started attach 1ac1:089a with group as vfio unmanaged "
                "rom \"/a.rom\" then reset\n");
    char *text = printed(false, false);
    assert_non_null(strstr(text, "apex, with group as vfio unmanaged rom \"/a.rom\" then reset\n"));
    assert_non_null(strstr(text, "none, with group as vfio unmanaged\n"));
    free(text);
    struct json_object *json = plan_print_json(&plan);
    const char *all = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN |
                                                               JSON_C_TO_STRING_NOSLASHESCAPE);
    const char *rom = strstr(all, "\"rom\":\"/a.rom\"");
    assert_non_null(rom);
    assert_non_null(strstr(rom, "\"rom\":null"));
    json_object_put(json);
    finish();
    devices[1].iommu_group = group;
    devices[1].use = use;
}

static void nothing_of_the_rules_that_count(void **state) {
    (void)state;
    make("NVR", "on vm other started attach 1ac1:089a as vfio\n");
    char *text = printed(false, false);
    assert_non_null(strstr(text, "no rule is for this VM at this event\n"));
    free(text);
    finish();
}

static void text_for_people(void **state) {
    (void)state;
    make("NVR", RULES);
    char *text = printed(false, false);
    assert_string_equal(text, "VM NVR (frigate), event started\n"
                              "  attach  0000:03:00.0 1ac1:089a Some card\n"
                              "          IOMMU group 9, host driver apex, as vfio\n"
                              "          rule t.rules:2\n"
                              "  attach  1-1.4 1a6e:089a Some stick\n"
                              "          bus 1 device 4, host driver none, as usb\n"
                              "          rule t.rules:3\n"
                              "  refused 0000:07:00.0 144d:a808 Some card\n"
                              "          IOMMU group 6, host driver none\n"
                              "          the host mounts / from it [in-use-by-host]\n"
                              "          hint: free it on the host first; or name another device: "
                              "no option overrides this\n"
                              "          rule t.rules:4\n"
                              "  nothing ffff:*\n"
                              "          the host has no PCI device ffff:*\n"
                              "          rule t.rules:5\n"
                              "  run     /bin/notify a b c\n"
                              "          rule t.rules:6\n"
                              "3 steps, 1 refusal\n");
    free(text);
    finish();
}

static void xml_when_asked_for(void **state) {
    (void)state;
    make(NULL, "on vm any started attach 1ac1:089a as vfio\n");
    char *text = printed(true, false);
    assert_non_null(strstr(text, "VM frigate, event started\n"));
    assert_non_null(strstr(text, "\n          <hostdev mode='subsystem' type='pci' "
                                 "managed='yes'>\n            <driver name='vfio'/>\n"));
    assert_non_null(strstr(text, "\n          </hostdev>\n          rule t.rules:1\n"));
    assert_non_null(strstr(text, "1 step, 0 refusals\n"));
    free(text);
    finish();
}

static void nothing_to_do(void **state) {
    (void)state;
    make(NULL, "on vm other started attach 1ac1:089a as vfio\n");
    char *text = printed(true, false);
    assert_string_equal(text, "VM frigate, event started\n"
                              "  nothing to do: no rule is for this VM at this event\n");
    free(text);
    finish();
}

static void colour_is_only_paint(void **state) {
    (void)state;
    make("NVR", RULES);
    char *plain = printed(true, false), *painted = printed(true, true), *to = painted;
    assert_null(strchr(plain, '\033'));
    assert_non_null(strstr(painted, "\033[32mattach "));
    assert_non_null(strstr(painted, "\033[31mrefused"));
    assert_non_null(strstr(painted, "          \033[36mhint:\033[0m "));
    for (const char *from = painted; *from;)
        if (*from == '\033')
            from = strchr(from, 'm') + 1;
        else
            *to++ = *from++;
    *to = 0;
    assert_string_equal(plain, painted);
    free(plain);
    free(painted);
    finish();
}

static void nothing_steers_the_terminal(void **state) {
    (void)state;
    make("\033[31m%s%n\n\xff", "on vm any started run \"/x\"\n");
    devices[0].driver = SAMPLE_TEXT("a\033b");
    char *text = printed(true, false);
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "%s%n"));
    assert_non_null(strstr(text, ", event started\n"));
    assert_true(strchr(text, '\n') > strstr(text, ", event started"));
    devices[0].driver = SAMPLE_TEXT("apex");
    free(text);
    finish();
}

static struct json_object *at(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(object, key, &value))
        fail_msg("no key %s in %s", key, json_object_to_json_string(object));
    return value;
}

static const char *text_at(struct json_object *object, const char *key) {
    struct json_object *value = at(object, key);
    return value ? json_object_get_string(value) : "-";
}

static void json_of_the_whole(void **state) {
    (void)state;
    make("N\"V\nR", RULES);
    struct json_object *object = plan_print_json(&plan), *vm = at(object, "vm");
    assert_string_equal(text_at(vm, "name"), "frigate");
    assert_string_equal(text_at(vm, "title"), "N\"V\nR");
    assert_string_equal(text_at(vm, "uuid"), "4dea22b3-1d52-d8f3-2516-782e98ab3fa0");
    assert_string_equal(text_at(object, "event"), "started");
    assert_int_equal(json_object_array_length(at(object, "steps")), 3);
    assert_int_equal(json_object_array_length(at(object, "refusals")), 1);
    assert_int_equal(json_object_array_length(at(object, "skipped")), 1);
    json_object_put(object);
    finish();
}

static void json_of_a_step(void **state) {
    (void)state;
    make(NULL, RULES);
    struct json_object *object = plan_print_json(&plan);
    struct json_object *step = json_object_array_get_idx(at(object, "steps"), 0);
    struct json_object *device = at(step, "device");
    assert_null(at(at(object, "vm"), "title"));
    assert_string_equal(text_at(step, "action"), "attach");
    assert_string_equal(text_at(step, "backend"), "vfio");
    assert_string_equal(text_at(step, "xml"), plan.entries[0].elements[0].xml);
    assert_string_equal(text_at(device, "bus"), "pci");
    assert_string_equal(text_at(device, "address"), "0000:03:00.0");
    assert_string_equal(text_at(device, "id"), "1ac1:089a");
    assert_string_equal(text_at(device, "name"), "Some card");
    assert_string_equal(text_at(device, "driver"), "apex");
    assert_int_equal(json_object_get_int(at(device, "iommu_group")), 9);
    assert_string_equal(text_at(at(step, "rule"), "path"), "t.rules");
    assert_int_equal(json_object_get_int(at(at(step, "rule"), "line")), 2);
    device = at(json_object_array_get_idx(at(object, "steps"), 1), "device");
    assert_string_equal(text_at(device, "bus"), "usb");
    assert_null(at(device, "iommu_group"));
    assert_null(at(device, "driver"));
    json_object_put(object);
    finish();
}

static void json_of_a_refusal_and_a_program(void **state) {
    (void)state;
    make(NULL, RULES);
    struct json_object *object = plan_print_json(&plan);
    struct json_object *refusal = json_object_array_get_idx(at(object, "refusals"), 0);
    assert_string_equal(text_at(refusal, "action"), "attach");
    assert_string_equal(text_at(refusal, "reason"), "in-use-by-host");
    assert_string_equal(text_at(refusal, "message"), "the host mounts / from it");
    assert_non_null(strstr(text_at(refusal, "hint"), "no option overrides this"));
    struct json_object *program = json_object_array_get_idx(at(object, "steps"), 2);
    assert_string_equal(text_at(program, "action"), "run");
    assert_null(at(program, "device"));
    assert_null(at(program, "xml"));
    assert_string_equal(json_object_to_json_string_ext(at(program, "command"), 0),
                        "[\"\\/bin\\/notify\",\"a b\",\"c\"]");
    struct json_object *skipped = json_object_array_get_idx(at(object, "skipped"), 0);
    assert_string_equal(text_at(skipped, "reason"), "absent");
    assert_string_equal(text_at(at(skipped, "device"), "wanted"), "ffff:*");
    assert_null(at(at(skipped, "device"), "address"));
    json_object_put(object);
    finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_for_people),
        cmocka_unit_test(a_group_member_goes_without_the_rom),
        cmocka_unit_test(nothing_of_the_rules_that_count),
        cmocka_unit_test(xml_when_asked_for),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(colour_is_only_paint),
        cmocka_unit_test(nothing_steers_the_terminal),
        cmocka_unit_test(json_of_the_whole),
        cmocka_unit_test(json_of_a_step),
        cmocka_unit_test(json_of_a_refusal_and_a_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
