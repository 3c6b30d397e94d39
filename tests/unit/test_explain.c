/* explain: every condition with what was seen, and the result of it. */
#include "engine/plan/explain.h"

#include "unit/sample.h"

#include <json-c/json.h>

static const char FRIGATE[] = "<domain><name>3f2c</name><title>frigate</title></domain>";

struct explained {
    struct sample_rules rules;
    struct domain domain;
    struct host host;
    struct event event;
    struct explanation explanation;
};

static void explain(struct explained *explained, const char *rules, const char *host,
                    const char *device) {
    const struct device *asked[1] = {NULL};
    sample_rules_init(&explained->rules, rules);
    sample_domain(&explained->domain, FRIGATE);
    sample_host(&explained->host, host);
    explained->event = (struct event){.name = EVENT_STARTED, .domain = &explained->domain};
    if (device)
        asked[0] = host_find(&explained->host, strchr(device, ':') ? BUS_PCI : BUS_USB, device);
    struct plan_request request = {
        .program = &explained->rules.program, .event = &explained->event, .host = &explained->host};
    explain_init(&explained->explanation, &request, asked, device ? 1 : 0);
}

static void explained_finish(struct explained *explained) {
    explain_finish(&explained->explanation);
    host_finish(&explained->host);
    domain_finish(&explained->domain);
    sample_rules_finish(&explained->rules);
}

static void prints(const char *rules, const char *host, const char *device, const char *expected) {
    struct explained explained;
    char *text = NULL;
    size_t size = 0;
    explain(&explained, rules, host, device);
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    explain_print(&explained.explanation, out, (struct terminal){0});
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    explained_finish(&explained);
}

static const char HAS_TPU[] =
    "<domain id='1'><name>frigate</name><devices><hostdev type='usb' mode='subsystem'><source>"
    "<vendor id='0x1a6e'/><product id='0x089a'/><address bus='1' device='5'/></source></hostdev>"
    "</devices></domain>";

/* The result of the one rule at unplugged of a stick that the VM has, asked about or not. */
static void unplugged_is(const char *rules_text, const char *host_path, bool asked,
                         const char *expected) {
    struct sample_rules rules;
    struct domain vm;
    struct host host;
    struct explanation explanation;
    sample_rules_init(&rules, rules_text);
    sample_domain(&vm, HAS_TPU);
    sample_host(&host, host_path);
    struct device left = {SAMPLE_USB("1-1.4", 0x1a6e, 0x089a, 1, 5)};
    const struct device *there = host_find(&host, BUS_USB, "1-1.4");
    struct event event = {.name = EVENT_UNPLUGGED, .domain = &vm, .device = asked ? there : &left};
    explain_init(&explanation,
                 &(struct plan_request){.program = &rules.program, .event = &event, .host = &host},
                 &there, asked ? 1 : 0);
    assert_string_equal(explanation.rules[0].targets[0].result, expected);
    explain_finish(&explanation);
    host_finish(&host);
    domain_finish(&vm);
    sample_rules_finish(&rules);
}

static void what_left_the_host_is_detached(void **state) {
    (void)state;
    static const char gives[] = "on vm frigate started, plugged attach 1a6e:089a as usb optional\n";
    static const char takes[] = "on vm frigate unplugged detach 1a6e:089a\n";
    unplugged_is(gives, "tests/hosts/usb-after", false,
                 "detach 1/5: it was removed from the host, and this rule gives it");
    unplugged_is(gives, "tests/hosts/usb", true,
                 "detach 1/5: it was removed from the host, and this rule gives it");
    unplugged_is(takes, "tests/hosts/usb", true,
                 "detach 1/5: it was removed from the host, and this rule takes it");
}

static void a_never_without_a_device(void **state) {
    (void)state;
    prints("never attach class 0c80\n", "tests/hosts/usb", NULL,
           "t.rules:1: never attach class 0c80\n"
           "  never attach\n"
           "    FAIL  class 0c80                  no device of the host\n"
           "    =>    nothing: it forbids nothing here\n");
}

static void a_rule_that_matches(void **state) {
    (void)state;
    prints("on vm frigate started attach 1ac1:089a as vfio\n", "tests/hosts/nas", NULL,
           "t.rules:1: on vm frigate started\n"
           "  pass  vm frigate                  name '3f2c', title 'frigate', UUID none\n"
           "  pass  event started               the event is 'started'\n"
           "  attach 1ac1:089a as vfio\n"
           "    pass  1ac1:089a                   0000:03:00.0\n"
           "    =>    attach 0000:03:00.0\n");
}

static void a_rule_for_another_vm_and_event(void **state) {
    (void)state;
    prints("on vm ha*, \"b\" reconnect attach 1ac1:089a as vfio\n", "tests/hosts/nas", NULL,
           "t.rules:1: on vm ha*, \"b\" reconnect\n"
           "  FAIL  vm ha*, \"b\"                 name '3f2c', title 'frigate', UUID none\n"
           "  FAIL  event reconnect             the event is 'started'\n"
           "  attach 1ac1:089a as vfio\n"
           "    pass  1ac1:089a                   0000:03:00.0\n"
           "    =>    nothing: the rule is not for this VM and event\n");
}

/* Columns are as wide as a terminal shows them: two letters of two bytes, and two of three bytes
 * and two columns each. */
static void columns_of_any_letters(void **state) {
    (void)state;
    prints("on vm \"B\xc3\xbcr\xc3\xb6\", \"\xe6\x97\xa5\xe6\x9c\xac\" started attach 1ac1:089a as "
           "vfio\n",
           "tests/hosts/nas", NULL,
           "t.rules:1: on vm \"B\xc3\xbcr\xc3\xb6\", \"\xe6\x97\xa5\xe6\x9c\xac\" started\n"
           "  FAIL  vm \"B\xc3\xbcr\xc3\xb6\", \"\xe6\x97\xa5\xe6\x9c\xac\"           name '3f2c', "
           "title 'frigate', UUID none\n"
           "  pass  event started               the event is 'started'\n"
           "  attach 1ac1:089a as vfio\n"
           "    pass  1ac1:089a                   0000:03:00.0\n"
           "    =>    nothing: the rule is not for this VM and event\n");
}

static void one_device_against_every_condition(void **state) {
    (void)state;
    prints("device card is 8086:* class 0200\n"
           "on vm frigate started attach card at 0000:07:00.0 as vfio\n"
           "never attach class 02 to vm frigate\n",
           "tests/hosts/nas", "0000:05:00.0",
           "t.rules:2: on vm frigate started\n"
           "  pass  vm frigate                  name '3f2c', title 'frigate', UUID none\n"
           "  pass  event started               the event is 'started'\n"
           "  attach card at 0000:07:00.0 as vfio, compared with 0000:05:00.0\n"
           "    pass  card (8086:* class 0200)    the id is 8086:10fb, the class 020000\n"
           "    FAIL  and at 0000:07:00.0         the address is 0000:05:00.0\n"
           "    =>    nothing: the device does not match\n"
           "t.rules:3: never attach class 02 to vm frigate\n"
           "  pass  vm frigate                  name '3f2c', title 'frigate', UUID none\n"
           "  never attach, compared with 0000:05:00.0\n"
           "    pass  class 02                    the class is 020000\n"
           "    =>    forbidden\n");
}

static void what_a_usb_device_says_of_itself(void **state) {
    (void)state;
    prints(
        "device webcam is product like \"C9*\" below port 1-1\n"
        "on vm frigate started {\n"
        "  attach all usb not class 09 below port 1-1.3 interface 0e driver uvcvideo as usb\n"
        "  attach manufacturer \"Logitech\" not product like \"HD*\" serial \"1\" as usb\n"
        "  attach webcam port 1-*.2 as usb\n"
        "}\n",
        "tests/hosts/dock", "1-1.2",
        "t.rules:2: on vm frigate started\n"
        "  pass  vm frigate                  name '3f2c', title 'frigate', UUID none\n"
        "  pass  event started               the event is 'started'\n"
        "  attach all usb not class 09 below port 1-1.3 interface 0e driver uvcvideo as usb, "
        "compared with 1-1.2\n"
        "    pass  usb                         it is a USB device\n"
        "    pass  and not class 09            the class is ef0201\n"
        "    FAIL  and below port 1-1.3        the port is 1-1.2\n"
        "    pass  and interface 0e            the interfaces are 0e0100, 0e0200, 010100, 010200\n"
        "    pass  and driver uvcvideo         the driver is uvcvideo, snd-usb-audio\n"
        "    =>    nothing: the device does not match\n"
        "  attach manufacturer \"Logitech\" not product like \"HD*\" serial \"1\" as usb, "
        "compared with 1-1.2\n"
        "    pass  manufacturer \"Logitech\"     the manufacturer is \"Logitech\"\n"
        "    FAIL  and not product like \"HD*\"  the product is \"HD Pro Webcam C920\"\n"
        "    FAIL  and serial \"1\"              the serial is \"A1B2C3DF\"\n"
        "    =>    nothing: the device does not match\n"
        "  attach webcam port 1-*.2 as usb, compared with 1-1.2\n"
        "    FAIL  webcam (product like \"C9*\" below port 1-1)  the id is 046d:082d, the class "
        "ef0201, the product is \"HD Pro Webcam C920\", the port is 1-1.2\n"
        "    pass  and port 1-*.2              the port is 1-1.2\n"
        "    =>    nothing: the device does not match\n");
    prints("on vm frigate started attach product \"a\" as usb\n", "tests/hosts/dock", "1-10",
           "t.rules:1: on vm frigate started\n"
           "  pass  vm frigate                  name '3f2c', title 'frigate', UUID none\n"
           "  pass  event started               the event is 'started'\n"
           "  attach product \"a\" as usb, compared with 1-10\n"
           "    FAIL  product \"a\"                 it has no product\n"
           "    =>    nothing: the device does not match\n");
}

static void refusals_programs_and_no_device(void **state) {
    (void)state;
    prints(
        "on vm frigate started {\n attach class 0106, 1234:5678 as vfio\n run \"/x\" \"a b\"\n}\n",
        "tests/hosts/no-iommu", NULL,
        "t.rules:1: on vm frigate started\n"
        "  pass  vm frigate                  name '3f2c', title 'frigate', UUID none\n"
        "  pass  event started               the event is 'started'\n"
        "  attach class 0106 as vfio\n"
        "    pass  class 0106                  0000:00:12.0\n"
        "    =>    refused 0000:00:12.0 [in-use-by-host]: the host mounts / from it (sda1); "
        "swaps on it (sda2)\n"
        "  attach 1234:5678 as vfio\n"
        "    FAIL  1234:5678                   no device of the host\n"
        "    =>    refused [absent]: the host has no PCI device 1234:5678\n"
        "  run \"/x\" \"a b\"\n"
        "    =>    run it\n");
}

static void result_is(const char *rules, const char *host, const char *device,
                      const char *expected) {
    struct explained explained;
    explain(&explained, rules, host, device);
    assert_string_equal(explained.explanation.rules[0].targets[0].result, expected);
    explained_finish(&explained);
}

static void who_was_passed_over_and_why(void **state) {
    (void)state;
    static const char any[] = "on vm any started attach any 2 8086:1521 as vfio\n";
    result_is(any, "tests/hosts/server", "0000:01:00.0",
              "skipped [in-use-by-host]: the host uses it in bridge br0 (eno1), which carries "
              "the default route");
    result_is(any, "tests/hosts/server", "0000:01:00.1", "attach 0000:01:00.1");
    result_is(any, "tests/hosts/server", "0000:01:00.3",
              "skipped: enough other devices were chosen before it");
    result_is("on vm any started attach any 2 8086:1521 as vfio\n"
              "never attach at 0000:01:00.1\n",
              "tests/hosts/server", "0000:01:00.1",
              "skipped [never]: 'never' at t.rules:2 forbids it");
}

static void second_result_is(const char *rules, const char *host, const char *device,
                             const char *expected) {
    struct explained explained;
    explain(&explained, rules, host, device);
    assert_string_equal(explained.explanation.rules[1].targets[0].result, expected);
    explained_finish(&explained);
}

static void which_rule_was_faster(void **state) {
    (void)state;
    static const char faster[] = "nothing: the rule at t.rules:1 does it already";
    second_result_is("on vm any started attach 1ac1:089a as vfio\n"
                     "on vm any started attach all 1ac1:* as vfio\n",
                     "tests/hosts/nas", "0000:03:00.0", faster);
    second_result_is("on vm any started attach 1ac1:089a as vfio\n"
                     "on vm any started attach any 1ac1:* as vfio\n",
                     "tests/hosts/nas", "0000:03:00.0", faster);
    second_result_is("on vm any started attach 1ac1:089a as vfio\n"
                     "on vm any started attach 1ac1:089a as vfio optional\n",
                     "tests/hosts/nas", "0000:03:00.0", faster);
    /* a rule that is for another VM did nothing */
    second_result_is("on vm other started attach 1ac1:089a as vfio\n"
                     "on vm any started attach all 1ac1:* as vfio\n",
                     "tests/hosts/nas", "0000:03:00.0", "attach 0000:03:00.0");
}

static void a_device_that_is_not_looked_at(void **state) {
    (void)state;
    static const char both[] = "on vm any started attach all class 0c03 or 1a6e:089a as usb\n";
    result_is(both, "tests/hosts/usb", "0000:00:15.0",
              "skipped [wrong-bus]: it is a PCI device, and the rule says 'as usb'");
}

static void no_rules(void **state) {
    (void)state;
    prints("", "tests/hosts/nas", NULL, "there are no rules\n");
}

static void json(void **state) {
    (void)state;
    struct explained explained;
    explain(&explained, "on vm x started attach 1ac1:089a as vfio\n", "tests/hosts/nas", NULL);
    struct json_object *document = explain_json(&explained.explanation);
    struct json_object *rules = json_object_object_get(document, "rules");
    assert_int_equal(json_object_array_length(rules), 1);
    struct json_object *rule = json_object_array_get_idx(rules, 0);
    assert_string_equal(json_object_get_string(json_object_object_get(rule, "path")), "t.rules");
    assert_int_equal(json_object_get_int(json_object_object_get(rule, "line")), 1);
    struct json_object *vm =
        json_object_array_get_idx(json_object_object_get(rule, "conditions"), 0);
    assert_string_equal(json_object_get_string(json_object_object_get(vm, "condition")), "vm x");
    assert_false(json_object_get_boolean(json_object_object_get(vm, "pass")));
    struct json_object *target =
        json_object_array_get_idx(json_object_object_get(rule, "targets"), 0);
    assert_non_null(strstr(json_object_get_string(json_object_object_get(target, "result")),
                           "not for this VM"));
    json_object_put(document);
    explained_finish(&explained);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_that_matches),
        cmocka_unit_test(a_never_without_a_device),
        cmocka_unit_test(what_left_the_host_is_detached),
        cmocka_unit_test(a_rule_for_another_vm_and_event),
        cmocka_unit_test(columns_of_any_letters),
        cmocka_unit_test(one_device_against_every_condition),
        cmocka_unit_test(what_a_usb_device_says_of_itself),
        cmocka_unit_test(refusals_programs_and_no_device),
        cmocka_unit_test(who_was_passed_over_and_why),
        cmocka_unit_test(which_rule_was_faster),
        cmocka_unit_test(a_device_that_is_not_looked_at),
        cmocka_unit_test(no_rules),
        cmocka_unit_test(json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
