/* What each VM has and lacks, told from its live XML, the host, the rules and the log. */
#include "engine/status.h"
#include "lexer/memory.h"
#include "tests/unit/sample.h"

#include <unistd.h>

#define HOSTDEV(BUS)                                                                               \
    "<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x" BUS            \
    "' slot='0x00' function='0x0'/></source></hostdev>"
#define USB_HOSTDEV(NUMBER)                                                                        \
    "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1a6e'/><product id='0x089a'/>"     \
    "<address bus='1' device='" NUMBER "'/></source></hostdev>"
#define VM(ID, NAME, DEVICES)                                                                      \
    "<domain type='kvm'" ID "><name>" NAME "</name><devices>" DEVICES "</devices></domain>"
#define RUNS " id='1'"
#define TPU "attach 1ac1:089a as vfio"

static struct host_device devices[] = {
    {SAMPLE_PCI("0000:03:00.0", 0x1ac1, 0x089a, 0x088000), .iommu_group = 9},
    {SAMPLE_PCI("0000:04:00.0", 0x1ac1, 0x089a, 0x088000), .iommu_group = 10},
    {SAMPLE_PCI("0000:05:00.0", 0x8086, 0x1521, 0x020000), .iommu_group = 11},
    {SAMPLE_PCI("0000:07:00.0", 0x144d, 0xa808, 0x010802), .iommu_group = 12,
     .use = SAMPLE_TEXT("mounts / from it")},
    {SAMPLE_USB("1-1.4", 0x1a6e, 0x089a, 1, 4)},
};
static const struct host host = {.root = SAMPLE_TEXT(""),
                                 .devices = devices,
                                 .count = sizeof devices / sizeof *devices,
                                 .has_iommu = true};

enum { MOST = 4 };

static struct domain domains[MOST];
static size_t domain_count;
static struct sample_rules rules;
static struct history history;
static struct status status;
static char *text;

static void add_entry(const char *fields, int minute) {
    struct history_entry entry;
    char *line = memory_printf("{\"time\":\"2026-11-22T10:%02d:00.000+01:00\",%s}", minute, fields);
    assert_true(history_parse(&entry, line, strlen(line)));
    history.list = memory_grow(history.list, history.count, sizeof *history.list);
    history.list[history.count++] = entry;
    free(line);
}

/* Lists end with NULL; the log's entries are a minute apart from 10:00. */
static void make(const char *rule_text, const char *vm, const char *const *xml,
                 const char *const *log) {
    sample_rules_init(&rules, rule_text);
    for (domain_count = 0; xml[domain_count]; domain_count++)
        sample_domain(&domains[domain_count], xml[domain_count]);
    for (int i = 0; log && log[i]; i++)
        add_entry(log[i], i);
    status_init(&status, &(struct status_request){.program = &rules.program,
                                                  .host = &host,
                                                  .domains = domains,
                                                  .domain_count = domain_count,
                                                  .vm = vm,
                                                  .history = &history});
}

static void finish(void) {
    free(text);
    text = NULL;
    status_finish(&status);
    history_finish(&history);
    for (size_t i = 0; i < domain_count; i++)
        domain_finish(&domains[i]);
    sample_rules_finish(&rules);
}

static void put_row(FILE *out, const struct status_vm *vm, const struct status_row *row) {
    char *device = status_device_text(row), *rule = status_rule_text(row);
    char since[8] = "-";
    if (row->since)
        snprintf(since, sizeof since, "%.5s", row->since + 11);
    fprintf(out, "%s | %s | %s | %s | %s | %s\n", domain_label(vm->domain),
            device        ? device
            : row->wanted ? row->wanted
                          : "-",
            rule ? rule : "-", device_state_name(row->state), since, row->error ? row->error : "-");
    free(device);
    free(rule);
}

static void expect(const char *rows, size_t problems) {
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < status.count; i++)
        for (size_t j = 0; j < status.vms[i].count; j++)
            put_row(out, &status.vms[i], &status.vms[i].rows[j]);
    fclose(out);
    assert_string_equal(text, rows);
    assert_int_equal(status_problems(&status), problems);
    finish();
}

#define LIST(...)                                                                                  \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }
#define ENTRY(DEVICE, RESULT, MESSAGE)                                                             \
    "\"vm\":\"frigate\",\"event\":\"started\",\"action\":\"attach\",\"device\":\"" DEVICE          \
    "\",\"rule\":\"t.rules:1\",\"result\":\"" RESULT "\",\"message\":\"" MESSAGE "\""
#define OF_TPU(RESULT, MESSAGE) ENTRY("0000:03:00.0 1ac1:089a", RESULT, MESSAGE)
#define EVENT(NAME)                                                                                \
    "\"vm\":\"frigate\",\"event\":\"" NAME "\",\"action\":\"run\",\"device\":null,\"rule\":null,"  \
    "\"result\":\"ran\",\"message\":\"\""

static const char TPU_RULE[] = "on vm frigate started attach 1ac1:089a at 03:00.0 as vfio\n";
static const char *const *const BARE = (const char *const[]){VM(RUNS, "frigate", ""), NULL};
static const char *const *const WITH_TPU =
    (const char *const[]){VM(RUNS, "frigate", HOSTDEV("03")), NULL};

/* --- attached */

static void attached_since_the_log_says_so(void **state) {
    (void)state;
    make(TPU_RULE, NULL, WITH_TPU,
         LIST(OF_TPU("attached", ""), OF_TPU("failed", "x"), OF_TPU("attached", ""),
              OF_TPU("already", "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | 10:02 | -\n", 0);
}

static void attached_and_only_found(void **state) {
    (void)state;
    make(TPU_RULE, NULL, WITH_TPU, LIST(OF_TPU("already", ""), OF_TPU("already", "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | 10:00 | -\n", 0);
}

static void attached_by_somebody_else(void **state) {
    (void)state;
    make(TPU_RULE, NULL, WITH_TPU, NULL);
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | - | -\n", 0);
    make(TPU_RULE, NULL, WITH_TPU, LIST(OF_TPU("attached", ""), OF_TPU("detached", "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | - | -\n", 0);
}

static void attached_with_an_error_since(void **state) {
    (void)state;
    make(TPU_RULE, NULL, WITH_TPU,
         LIST(OF_TPU("attached", ""), OF_TPU("failed", "the guest keeps it")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | 10:00 | the guest keeps it\n",
           0);
}

static void attached_and_wanted_by_no_rule(void **state) {
    (void)state;
    make("on vm other started " TPU "\n", NULL,
         LIST(VM(RUNS, "frigate", HOSTDEV("05") HOSTDEV("77") USB_HOSTDEV("9"))), NULL);
    expect("frigate | 0000:05:00.0 8086:1521 | - | attached | - | -\n"
           "frigate | 0000:77:00.0 | - | attached | - | the host does not have it any more\n"
           "frigate | bus 1 device 9 1a6e:089a | - | attached | - | the host does not have it any "
           "more\n",
           0);
}

/* --- not attached */

static void waiting(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE, NULL);
    assert_string_equal(status.vms[0].rows[0].hint, "'virt-rules apply' attaches it");
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
}

static void waiting_after_a_detach(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE, LIST(OF_TPU("attached", ""), OF_TPU("detached", "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
}

static void waiting_because_it_came_late(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE, LIST(ENTRY("1ac1:089a at 03:00.0", "absent", "there was none")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | there was none\n", 1);
}

static void lost(void **state) {
    (void)state;
    static const char expected[] = "frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | lost | - | the "
                                   "VM had it, and does not have it any more\n";
    make(TPU_RULE, NULL, BARE, LIST(OF_TPU("failed", "x"), OF_TPU("attached", "")));
    expect(expected, 1);
    make(TPU_RULE, NULL, BARE, LIST(OF_TPU("already", "")));
    expect(expected, 1);
}

static void failed(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE,
         LIST(OF_TPU("attached", ""), OF_TPU("refused", "one"), OF_TPU("failed", "two")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | failed | 10:01 | two\n", 1);
}

static void failed_as_a_whole(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE,
         LIST("\"vm\":\"frigate\",\"event\":\"started\",\"action\":null,\"device\":null,\"rule\":"
              "null,\"result\":\"failed\",\"message\":\"no libvirt\""));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | failed | 10:00 | no libvirt\n", 1);
    make(TPU_RULE, NULL, BARE,
         LIST("\"vm\":\"frigate\",\"event\":\"started\",\"action\":null,\"device\":null,\"rule\":"
              "\"b.rules\",\"result\":\"failed\",\"message\":\"the file is left out\""));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
}

static void another_life_is_over(void **state) {
    (void)state;
    static const char *const events[] = {EVENT("stopped"), EVENT("release"), EVENT("prepare"),
                                         EVENT("restore"), EVENT("migrate"), EVENT("start")};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        make(TPU_RULE, NULL, BARE, LIST(OF_TPU("attached", ""), events[i]));
        expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
        make(TPU_RULE, NULL, WITH_TPU,
             LIST(OF_TPU("attached", ""), events[i], OF_TPU("already", "")));
        expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | 10:02 | -\n", 0);
    }
}

static void another_vm_or_device_says_nothing(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE,
         LIST("\"vm\":\"other\",\"event\":\"started\",\"device\":\"0000:03:00.0 1ac1:089a\","
              "\"result\":\"attached\",\"message\":\"\"",
              ENTRY("0000:03:00.01 1ac1:089a", "attached", ""),
              ENTRY("0000:04:00.0 1ac1:089a", "attached", ""),
              "\"vm\":\"frigate\",\"event\":\"started\",\"device\":\"0000:03:00.0 8086:1521\","
              "\"rule\":\"other.rules:1\",\"result\":\"failed\",\"message\":\"\""));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
}

static void a_stick_under_its_other_id(void **state) {
    (void)state;
    make("on vm frigate started attach 1a6e:089a or 18d1:9302 as usb\n", NULL,
         LIST(VM(RUNS, "frigate", USB_HOSTDEV("4"))),
         LIST(ENTRY("1-1.4 18d1:9302", "attached", "")));
    expect("frigate | 1-1.4 1a6e:089a | t.rules:1 | attached | 10:00 | -\n", 0);
}

/* --- impossible */

static void absent(void **state) {
    (void)state;
    make("on vm frigate started attach ffff:* as usb\n"
         "on vm frigate started attach fffe:* as vfio optional\n",
         NULL, BARE, LIST(ENTRY("ffff:*", "absent", "old"), ENTRY("ffff:*", "absent", "old")));
    assert_int_equal(status.vms[0].rows[0].refusal, REFUSED_ABSENT);
    assert_true(status.vms[0].rows[1].optional);
    expect("frigate | ffff:* | t.rules:1 | absent | 10:00 | the host has no USB device ffff:*\n"
           "frigate | fffe:* | t.rules:2 | absent | - | the host has no PCI device fffe:*\n",
           1);
}

static void refused(void **state) {
    (void)state;
    make("on vm frigate started attach 144d:a808 as vfio\n", NULL, BARE,
         LIST(ENTRY("0000:07:00.0 144d:a808", "attached", ""),
              ENTRY("0000:07:00.0 144d:a808", "refused", "old")));
    assert_non_null(status.vms[0].rows[0].hint);
    expect("frigate | 0000:07:00.0 144d:a808 | t.rules:1 | refused | 10:01 | the host mounts / "
           "from it\n",
           1);
}

static void what_another_vm_has(void **state) {
    (void)state;
    make("on vm frigate started attach 8086:1521 as vfio\n", "frigate",
         LIST(VM(RUNS, "frigate", ""), VM(" id='2'", "other", HOSTDEV("05"))), NULL);
    expect("frigate | 0000:05:00.0 8086:1521 | t.rules:1 | refused | - | VM 'other' has it\n", 1);
    make("on vm frigate started attach 8086:1521 as vfio\n", "frigate",
         LIST(VM(RUNS, "frigate", ""), VM("", "other", HOSTDEV("05"))), NULL);
    expect("frigate | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n", 1);
}

static void a_row_for_each_device(void **state) {
    (void)state;
    make("on vm frigate started attach all 1ac1:089a as vfio\n", NULL, WITH_TPU, NULL);
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | - | -\n"
           "frigate | 0000:04:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n",
           1);
    make("on vm frigate started attach any 3 1ac1:089a as vfio optional\n", NULL, WITH_TPU, NULL);
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | - | -\n"
           "frigate | 0000:04:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n"
           "frigate | 1ac1:089a | t.rules:1 | refused | - | 2 of the 3 wanted can be had\n",
           0);
    make("on vm frigate started attach any 3 1ac1:089a as vfio\n", NULL, WITH_TPU, NULL);
    expect("frigate | 1ac1:089a | t.rules:1 | refused | - | 2 of the 3 wanted can be had\n"
           "frigate | 0000:03:00.0 1ac1:089a | - | attached | - | -\n",
           1);
}

/* --- rules and VMs */

static void only_what_started_attaches(void **state) {
    (void)state;
    make("on vm frigate started run \"/bin/true\"\n"
         "on vm frigate stopped run \"/bin/true\"\n"
         "on vm frigate started detach 8086:1521\n"
         "on vm frigate reconnect attach 8086:1521 as vfio\n",
         NULL, BARE, NULL);
    assert_int_equal(status.count, 1);
    assert_true(status.vms[0].running);
    expect("", 0);
}

static void vms_that_are_off(void **state) {
    (void)state;
    static const char two[] = "on vm frigate started " TPU " optional\n"
                              "on vm any started attach 8086:1521 as vfio\n";
    make(two, NULL, LIST(VM("", "zzz", ""), VM("", "frigate", HOSTDEV("03"))),
         LIST(OF_TPU("failed", "x")));
    assert_int_equal(status.count, 1); /* 'any' names nobody */
    expect("frigate | 1ac1:089a | t.rules:1 | off | - | -\n"
           "frigate | 0000:05:00.0 8086:1521 | t.rules:2 | off | - | -\n",
           0);
    make(two, "zzz", LIST(VM("", "zzz", ""), VM("", "frigate", "")), NULL);
    expect("zzz | 0000:05:00.0 8086:1521 | t.rules:2 | off | - | -\n", 0);
}

static void vms_in_order_and_by_any_name(void **state) {
    (void)state;
    static const char rule[] = "on vm any started attach 8086:1521 as vfio optional\n";
    static const char titled[] =
        "<domain id='3'><name>x</name><title>Alpha</title>"
        "<uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid><devices/></domain>";
    make(rule, NULL, LIST(VM(RUNS, "b", ""), titled, VM(" id='2'", "a", "")), NULL);
    expect("Alpha | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n"
           "a | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n"
           "b | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n",
           0);
    static const char *const names[] = {"x", "Alpha", "4DEA22B31D52D8F32516782E98AB3FA0"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        make(rule, names[i], LIST(VM(RUNS, "b", ""), titled), NULL);
        expect("Alpha | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n", 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attached_since_the_log_says_so),
        cmocka_unit_test(attached_and_only_found),
        cmocka_unit_test(attached_by_somebody_else),
        cmocka_unit_test(attached_with_an_error_since),
        cmocka_unit_test(attached_and_wanted_by_no_rule),
        cmocka_unit_test(waiting),
        cmocka_unit_test(waiting_after_a_detach),
        cmocka_unit_test(waiting_because_it_came_late),
        cmocka_unit_test(lost),
        cmocka_unit_test(failed),
        cmocka_unit_test(failed_as_a_whole),
        cmocka_unit_test(another_life_is_over),
        cmocka_unit_test(another_vm_or_device_says_nothing),
        cmocka_unit_test(a_stick_under_its_other_id),
        cmocka_unit_test(absent),
        cmocka_unit_test(refused),
        cmocka_unit_test(what_another_vm_has),
        cmocka_unit_test(a_row_for_each_device),
        cmocka_unit_test(only_what_started_attaches),
        cmocka_unit_test(vms_that_are_off),
        cmocka_unit_test(vms_in_order_and_by_any_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
