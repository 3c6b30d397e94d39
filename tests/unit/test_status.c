/* What each VM has and lacks, told from its live XML, the host, the rules and the log. */
#include "engine/plan/status.h"
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
#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define RUNS " id='1'"
#define TPU "attach 1ac1:089a as vfio"

static struct device devices[] = {
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
static struct status status;
static char *text;

enum { DIRECTORY_SIZE = 64 };

static char directory[DIRECTORY_SIZE];

/* One result of the VM that was started as number 1, as its engines write it. */
struct sample_result {
    const char *vm, *device, *rule, *message;
    enum result result;
};

static void note_result(const struct sample_result *sample, int minute) {
    struct vm_state vm_state;
    struct vm_start start = {.id = 1, .seen = 1};
    struct failure failure;
    char *time = memory_printf("2026-11-22T10:%02d:00.000+01:00", minute);
    assert_true(vm_state_open(&vm_state, directory, sample->vm, &start));
    vm_state_note_result(&vm_state,
                         &(struct log_entry){.action = sample->rule ? "attach" : NULL,
                                             .device = sample->device,
                                             .rule = sample->rule,
                                             .result = sample->result,
                                             .message = sample->message},
                         time);
    assert_int_equal(vm_state_save(&vm_state, directory, sample->vm, &failure), 0);
    vm_state_finish(&vm_state);
    free(time);
}

static bool is_parked;

/* The VM that was started as number 1, with two devices. */
static void note_parked(const char *vm) {
    struct vm_state vm_state;
    struct failure failure;
    const struct vm_start start = {.id = 1, .seen = 1};
    const struct device gone = {SAMPLE_USB("1-1.9", 0x10c4, 0xea60, 1, 9)};
    struct device stick = devices[4];
    assert_true(vm_state_open(&vm_state, directory, vm, &start));
    vm_state_park(&vm_state, "2026-11-22T11:00:00.000+01:00");
    vm_state_add_parked(&vm_state, &devices[0], "apex");
    vm_state_add_parked(&vm_state, &stick, NULL);
    vm_state_add_parked(&vm_state, &gone, NULL);
    assert_int_equal(vm_state_save(&vm_state, directory, vm, &failure), 0);
    vm_state_finish(&vm_state);
}

static bool is_dismissed;

/* The first device, from the VM that was started as number 1. */
static void note_dismissed(const char *vm) {
    struct vm_state vm_state;
    struct failure failure;
    const struct vm_start start = {.id = 1, .seen = 1};
    assert_true(vm_state_open(&vm_state, directory, vm, &start));
    vm_state_dismiss(&vm_state, devices[0].address, devices[0].id);
    assert_int_equal(vm_state_save(&vm_state, directory, vm, &failure), 0);
    vm_state_finish(&vm_state);
}

/* What the log has of the VM, which is off. */
static void log_start(const char *result, const char *event) {
    char *path = memory_printf("%s/virt-rules.log", directory);
    FILE *out = fopen(path, "ae");
    assert_non_null(out);
    fprintf(out,
            "{\"time\":\"2026-11-22T10:18:07.214+01:00\",\"vm\":\"frigate\",\"event\":\"%s\","
            "\"rule\":\"t.rules:1\",\"device\":\"0000:03:00.0 1ac1:089a\",\"result\":\"%s\","
            "\"message\":\"in use; free it\",\"hint\":\"free it\",\"uuid\":\"" UUID "\"}\n",
            event, result);
    fclose(out);
    free(path);
}

static void remove_directory(void) {
    char command[DIRECTORY_SIZE + 16];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a path of this test */
}

/* Lists end with NULL and without a VM; the results are a minute apart from 10:00. */
static void make(const char *rule_text, const char *vm, const char *const *xml,
                 const struct sample_result *log) {
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    sample_rules_init(&rules, rule_text);
    for (domain_count = 0; xml[domain_count]; domain_count++)
        sample_domain(&domains[domain_count], xml[domain_count]);
    for (int i = 0; log && log[i].vm; i++)
        note_result(&log[i], i);
    if (is_parked)
        note_parked("frigate");
    if (is_dismissed)
        note_dismissed("frigate");
    is_parked = is_dismissed = false;
    status_init(&status, &(struct status_request){.program = &rules.program,
                                                  .host = &host,
                                                  .domains = domains,
                                                  .domain_count = domain_count,
                                                  .vm = vm,
                                                  .state = directory});
}

static void finish(void) {
    free(text);
    text = NULL;
    status_finish(&status);
    remove_directory();
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
            rule ? rule : "-", status_state_name(row->state), since, row->error ? row->error : "-");
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
#define RESULTS(...)                                                                               \
    (const struct sample_result[]) {                                                               \
        __VA_ARGS__, {                                                                             \
            0                                                                                      \
        }                                                                                          \
    }
#define ENTRY(DEVICE, RESULT, MESSAGE)                                                             \
    { "frigate", DEVICE, "t.rules:1", MESSAGE, RESULT }
#define OF_TPU(RESULT, MESSAGE) ENTRY("0000:03:00.0 1ac1:089a", RESULT, MESSAGE)
#define OF_ALL(RESULT, MESSAGE)                                                                    \
    { "frigate", NULL, NULL, MESSAGE, RESULT }

static const char TPU_RULE[] = "on vm frigate started attach 1ac1:089a at 03:00.0 as vfio\n";
static const char *const *const BARE = (const char *const[]){VM(RUNS, "frigate", ""), NULL};
static const char *const *const WITH_TPU =
    (const char *const[]){VM(RUNS, "frigate", HOSTDEV("03")), NULL};

/* --- attached */

static void attached_since_the_log_says_so(void **state) {
    (void)state;
    make(TPU_RULE, NULL, WITH_TPU,
         RESULTS(OF_TPU(RESULT_ATTACHED, ""), OF_TPU(RESULT_FAILED, "x"),
                 OF_TPU(RESULT_ATTACHED, ""), OF_TPU(RESULT_ALREADY, "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | 10:02 | -\n", 0);
}

static void attached_and_only_found(void **state) {
    (void)state;
    make(TPU_RULE, NULL, WITH_TPU, RESULTS(OF_TPU(RESULT_ALREADY, ""), OF_TPU(RESULT_ALREADY, "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | 10:00 | -\n", 0);
}

static void attached_by_somebody_else(void **state) {
    (void)state;
    make(TPU_RULE, NULL, WITH_TPU, NULL);
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | - | -\n", 0);
    make(TPU_RULE, NULL, WITH_TPU,
         RESULTS(OF_TPU(RESULT_ATTACHED, ""), OF_TPU(RESULT_DETACHED, "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | - | -\n", 0);
}

static void attached_with_an_error_since(void **state) {
    (void)state;
    make(TPU_RULE, NULL, WITH_TPU,
         RESULTS(OF_TPU(RESULT_ATTACHED, ""), OF_TPU(RESULT_FAILED, "the guest keeps it")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | 10:00 | the guest keeps it\n",
           0);
}

static void attached_and_wanted_by_no_rule(void **state) {
    (void)state;
    make("on vm other started " TPU "\n", NULL,
         LIST(VM(RUNS, "frigate", HOSTDEV("05") HOSTDEV("77") USB_HOSTDEV("9"))), NULL);
    expect("frigate | 0000:05:00.0 8086:1521 | - | attached | - | -\n"
           "frigate | 0000:77:00.0 | - | attached | - | the host no longer has it\n"
           "frigate | bus 1 device 9 1a6e:089a | - | attached | - | the host no longer has it\n",
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
    make(TPU_RULE, NULL, BARE, RESULTS(OF_TPU(RESULT_ATTACHED, ""), OF_TPU(RESULT_DETACHED, "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
}

static void waiting_because_it_came_late(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE,
         RESULTS(ENTRY("1ac1:089a at 03:00.0", RESULT_ABSENT, "there was none")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | there was none\n", 1);
}

static void lost(void **state) {
    (void)state;
    static const char expected[] = "frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | lost | - | the "
                                   "VM had it and no longer has it\n";
    make(TPU_RULE, NULL, BARE, RESULTS(OF_TPU(RESULT_FAILED, "x"), OF_TPU(RESULT_ATTACHED, "")));
    expect(expected, 1);
    make(TPU_RULE, NULL, BARE, RESULTS(OF_TPU(RESULT_ALREADY, "")));
    expect(expected, 1);
}

static void failed(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE,
         RESULTS(OF_TPU(RESULT_ATTACHED, ""), OF_TPU(RESULT_REFUSED, "one"),
                 OF_TPU(RESULT_FAILED, "two")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | failed | 10:01 | two\n", 1);
}

static void failed_as_a_whole(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE, RESULTS(OF_ALL(RESULT_FAILED, "no libvirt")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | failed | 10:00 | no libvirt\n", 1);
    make(TPU_RULE, NULL, BARE,
         RESULTS(OF_TPU(RESULT_ATTACHED, ""), OF_ALL(RESULT_FAILED, "no libvirt"),
                 OF_ALL(RESULT_FAILED, "still none")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | failed | 10:01 | still none\n", 1);
    make(TPU_RULE, NULL, BARE,
         RESULTS(OF_ALL(RESULT_FAILED, "no libvirt"), OF_TPU(RESULT_ATTACHED, ""),
                 OF_ALL(RESULT_FAILED, "again none")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | failed | 10:02 | again none\n", 1);
    make(TPU_RULE, NULL, BARE,
         RESULTS(OF_TPU(RESULT_FAILED, "x"), OF_ALL(RESULT_FAILED, "no libvirt")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | failed | 10:00 | no libvirt\n", 1);
    make(TPU_RULE, NULL, WITH_TPU,
         RESULTS(OF_TPU(RESULT_ATTACHED, ""), OF_ALL(RESULT_FAILED, "no libvirt")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | 10:00 | -\n", 0);
}

static void another_life_is_over(void **state) {
    (void)state;
    make(TPU_RULE, NULL, LIST(VM(" id='2'", "frigate", "")), RESULTS(OF_TPU(RESULT_ATTACHED, "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
    make(TPU_RULE, NULL, LIST(VM(" id='2'", "frigate", HOSTDEV("03"))),
         RESULTS(OF_TPU(RESULT_ATTACHED, "")));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | attached | - | -\n", 0);
}

static void another_vm_or_device_says_nothing(void **state) {
    (void)state;
    make(TPU_RULE, NULL, BARE,
         RESULTS({"other", "0000:03:00.0 1ac1:089a", "t.rules:1", "", RESULT_ATTACHED},
                 ENTRY("0000:03:00.01 1ac1:089a", RESULT_ATTACHED, ""),
                 ENTRY("0000:04:00.0 1ac1:089a", RESULT_ATTACHED, ""),
                 {"frigate", "0000:03:00.0 8086:1521", "other.rules:1", "", RESULT_FAILED}));
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
}

#define UUID_1 "00000000-0000-4000-8000-000000000001"
#define UUID_2 "00000000-0000-4000-8000-000000000002"
#define TITLED(NAME, TITLE, UUID)                                                                  \
    "<domain type='kvm' id='1'><name>" NAME "</name><title>" TITLE "</title><uuid>" UUID           \
    "</uuid><devices/></domain>"

/* One title twice, a name that is another's title, a VM that was renamed: the UUID tells. */
static void vms_are_told_apart_by_their_uuid(void **state) {
    (void)state;
    static const char rule[] = "on vm any started attach 1ac1:089a at 03:00.0 as vfio optional\n";
    static const struct sample_result log[] = {
        {UUID_1, "0000:03:00.0 1ac1:089a", "t.rules:1", "", RESULT_ATTACHED}, {0}};
    make(rule, NULL, LIST(TITLED("one", "NVR", UUID_1), TITLED("two", "NVR", UUID_2)), log);
    expect(
        "NVR | 0000:03:00.0 1ac1:089a | t.rules:1 | lost | - | the VM had it and no longer has it\n"
        "NVR | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n",
        0);
    make(rule, NULL, LIST(TITLED("one", "NVR", UUID_1), TITLED("NVR", "other", UUID_2)), log);
    expect(
        "NVR | 0000:03:00.0 1ac1:089a | t.rules:1 | lost | - | the VM had it and no longer has it\n"
        "other | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n",
        0);
    make(rule, NULL, LIST(TITLED("new", "newer", UUID_1)), log);
    expect("newer | 0000:03:00.0 1ac1:089a | t.rules:1 | lost | - | the VM had it and no longer "
           "has it\n",
           0);
}

static void a_stick_under_its_other_id(void **state) {
    (void)state;
    make("on vm frigate started attach 1a6e:089a or 18d1:9302 as usb\n", NULL,
         LIST(VM(RUNS, "frigate", USB_HOSTDEV("4"))),
         RESULTS(ENTRY("1-1.4 18d1:9302", RESULT_ATTACHED, "")));
    expect("frigate | 1-1.4 1a6e:089a | t.rules:1 | attached | 10:00 | -\n", 0);
}

/* --- impossible */

static void absent(void **state) {
    (void)state;
    make("on vm frigate started attach ffff:* as usb\n"
         "on vm frigate started attach fffe:* as vfio optional\n",
         NULL, BARE,
         RESULTS(ENTRY("ffff:*", RESULT_ABSENT, "old"), ENTRY("ffff:*", RESULT_ABSENT, "old")));
    assert_int_equal(status.vms[0].rows[0].refusal, REFUSED_ABSENT);
    assert_true(status.vms[0].rows[1].optional);
    expect("frigate | ffff:* | t.rules:1 | absent | 10:00 | the host has no USB device ffff:*\n"
           "frigate | fffe:* | t.rules:2 | absent | - | the host has no PCI device fffe:*\n",
           1);
}

static void refused(void **state) {
    (void)state;
    make("on vm frigate started attach 144d:a808 as vfio\n", NULL, BARE,
         RESULTS(ENTRY("0000:07:00.0 144d:a808", RESULT_ATTACHED, ""),
                 ENTRY("0000:07:00.0 144d:a808", RESULT_REFUSED, "old")));
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
           "frigate | 1ac1:089a | t.rules:1 | refused | - | 2 of the 3 wanted are free\n",
           0);
    make("on vm frigate started attach any 3 1ac1:089a as vfio\n", NULL, WITH_TPU, NULL);
    expect("frigate | 1ac1:089a | t.rules:1 | refused | - | 2 of the 3 wanted are free\n"
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
         RESULTS(OF_TPU(RESULT_FAILED, "x")));
    assert_int_equal(status.count, 1); /* 'any' names nobody */
    expect("frigate | 1ac1:089a | t.rules:1 | off | - | -\n"
           "frigate | 0000:05:00.0 8086:1521 | t.rules:2 | off | - | -\n",
           0);
    make(two, "zzz", LIST(VM("", "zzz", ""), VM("", "frigate", "")), NULL);
    expect("zzz | 0000:05:00.0 8086:1521 | t.rules:2 | off | - | -\n", 0);
}

/* A device of another rule's event, and one that has left the host, are parked as well. */
static void parked(void **state) {
    (void)state;
    static const char rule_text[] = "on vm frigate started attach 1ac1:089a at 03:00.0 as vfio\n"
                                    "on vm frigate started attach 8086:9999 as vfio\n"
                                    "on vm frigate started attach 8086:1521 as vfio\n"
                                    "on vm frigate plugged attach 1a6e:089a as usb\n";
    static const struct sample_result log[] = {
        {"frigate", "0000:03:00.0 1ac1:089a", "t.rules:1", "", RESULT_ATTACHED},
        {"frigate", "0000:03:00.0 1ac1:089a", NULL, "the guest released it", RESULT_DETACHED},
        {"frigate", NULL, NULL, "no answer", RESULT_FAILED},
        {0}};
    is_parked = true;
    make(rule_text, NULL, LIST(VM(RUNS, "frigate", HOSTDEV("05"))), log);
    assert_string_equal(status.vms[0].vm_state.parked_since, "2026-11-22T11:00:00.000+01:00");
    assert_string_equal(status.vms[0].rows[0].hint, "'virt-rules unpark VM' attaches it again");
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | parked | 11:00 | -\n"
           "frigate | 8086:9999 | t.rules:2 | absent | - | the host has no PCI device 8086:9999\n"
           "frigate | 0000:05:00.0 8086:1521 | t.rules:3 | attached | - | -\n"
           "frigate | 1-1.4 1a6e:089a | - | parked | 11:00 | -\n"
           "frigate | 1-1.9 10c4:ea60 | - | parked | 11:00 | -\n",
           0);
}

/* Not waiting, and no problem: somebody wanted that. */
static void taken_out_by_hand(void **state) {
    (void)state;
    static const struct sample_result log[] = {
        {"frigate", "0000:03:00.0 1ac1:089a", "t.rules:1", "", RESULT_ATTACHED},
        {"frigate", "0000:03:00.0 1ac1:089a", NULL, "the guest released it", RESULT_DETACHED},
        {0}};
    static const char rule[] = "on vm frigate started attach 1ac1:089a at 03:00.0 as vfio\n";
    is_dismissed = true;
    make(rule, NULL, LIST(VM(RUNS, "frigate", "")), log);
    assert_string_equal(status.vms[0].rows[0].hint, "'virt-rules apply frigate' gives it back");
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | detached | 10:01 | taken out by hand\n",
           0);
    is_dismissed = true; /* and another VM got it */
    make(rule, "frigate", LIST(VM(RUNS, "frigate", ""), VM(" id='2'", "other", HOSTDEV("03"))),
         log);
    assert_non_null(strstr(status.vms[0].rows[0].error, "taken out by hand; now "));
    assert_int_equal(status.vms[0].rows[0].state, STATE_DETACHED);
    assert_int_equal(status_problems(&status), 0);
    finish();
    make(rule, NULL, LIST(VM(RUNS, "frigate", "")), log); /* it was not on purpose */
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | waiting | - | -\n", 1);
}

static void taken_out_by_a_rule(void **state) {
    (void)state;
    static const struct sample_result log[] = {
        {"frigate", "0000:03:00.0 1ac1:089a", "t.rules:1", "", RESULT_ATTACHED},
        {"frigate", "0000:03:00.0 1ac1:089a", "t.rules:9", "released", RESULT_DETACHED},
        {0}};
    is_dismissed = true;
    make("on vm frigate started attach 1ac1:089a at 03:00.0 as vfio\n", NULL,
         LIST(VM(RUNS, "frigate", "")), log);
    expect("frigate | 0000:03:00.0 1ac1:089a | t.rules:1 | detached | 10:01 | taken out by a rule, "
           "t.rules:9\n",
           0);
}

/* Of the last start of a VM that is off. */
static void a_start_that_was_stopped(void **state) {
    (void)state;
    static const char off[] =
        "<domain><name>frigate</name><uuid>" UUID "</uuid><devices/></domain>";
    static const char rule[] = "on vm frigate started " TPU "\n";
    for (int i = 0; i < 3; i++) {
        snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
        assert_non_null(mkdtemp(directory));
        log_start(i == 2 ? "refused" : "stopped", "prepare");
        if (i == 1)
            log_start("attached", "started");
        sample_rules_init(&rules, rule);
        sample_domain(&domains[0], off);
        domain_count = 1;
        status_init(&status, &(struct status_request){.program = &rules.program,
                                                      .host = &host,
                                                      .domains = domains,
                                                      .domain_count = domain_count,
                                                      .state = directory});
        const struct status_stop *stop = &status.vms[0].stop;
        if (i) {
            assert_null(stop->message);
        } else {
            assert_string_equal(stop->message, "in use");
            assert_string_equal(stop->hint, "free it");
            assert_string_equal(stop->rule, "t.rules:1");
        }
        finish();
    }
}

/* Started again, the VM is not parked. */
static void parked_before(void **state) {
    (void)state;
    is_parked = true;
    make("on vm frigate started " TPU "\n", NULL, LIST(VM(" id='2'", "frigate", "")), NULL);
    assert_null(status.vms[0].vm_state.parked_since);
    assert_int_equal(status_problems(&status), 1);
    finish();
}

static void vms_in_order_and_by_any_name(void **state) {
    (void)state;
    static const char rule[] = "on vm any started attach 8086:1521 as vfio optional\n";
    static const char titled[] =
        "<domain id='3'><name>x</name><title>Alpha</title>"
        "<uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid><devices/></domain>";
    make(rule, NULL, LIST(VM(RUNS, "B", ""), titled, VM(" id='2'", "a", "")), NULL);
    expect("a | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n"
           "Alpha | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n"
           "B | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n",
           0);
    make(rule, NULL, LIST(VM(RUNS, "vm10", ""), VM(" id='2'", "VM2", "")), NULL);
    expect("VM2 | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n"
           "vm10 | 0000:05:00.0 8086:1521 | t.rules:1 | waiting | - | -\n",
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
        cmocka_unit_test(taken_out_by_hand),
        cmocka_unit_test(taken_out_by_a_rule),
        cmocka_unit_test(a_start_that_was_stopped),
        cmocka_unit_test(waiting_because_it_came_late),
        cmocka_unit_test(lost),
        cmocka_unit_test(failed),
        cmocka_unit_test(failed_as_a_whole),
        cmocka_unit_test(another_life_is_over),
        cmocka_unit_test(another_vm_or_device_says_nothing),
        cmocka_unit_test(vms_are_told_apart_by_their_uuid),
        cmocka_unit_test(a_stick_under_its_other_id),
        cmocka_unit_test(absent),
        cmocka_unit_test(refused),
        cmocka_unit_test(what_another_vm_has),
        cmocka_unit_test(a_row_for_each_device),
        cmocka_unit_test(only_what_started_attaches),
        cmocka_unit_test(vms_that_are_off),
        cmocka_unit_test(parked),
        cmocka_unit_test(parked_before),
        cmocka_unit_test(vms_in_order_and_by_any_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
