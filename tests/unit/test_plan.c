/* What an event would do: every refusal, every quantifier, and what devices have to do with each
 * other. */
#include "tests/unit/sample.h"

#include "engine/plan/plan.h"

#include <sys/stat.h>
#include <unistd.h>

enum {
    GPU,
    SOUND,
    CORAL,
    CORAL2,
    CORAL3,
    NIC,
    DISK,
    BRIDGE,
    STICK,
    STICK2,
    HUB,
    LUN,
    DEVICE_COUNT
};

static struct device *devices; /* of the test, by the names above */
static struct host host;
static struct domain domain;
static struct domain others[2];
static struct sample_rules rules;
static struct plan plan;
static bool planned;
static const struct device *came; /* at plugged */
static unsigned long libvirt_version;

static const char VM[] =
    "<domain id='3'><name>frigate</name><uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>"
    "<title>NVR</title><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
    "<controller type='usb' model='qemu-xhci'/><controller type='pci' model='pcie-root'/>"
    "%s%s</devices></domain>";
#define PORT_OF(INDEX) "<controller type='pci' model='pcie-root-port' index='" INDEX "'/>"
#define PORT PORT_OF("1")
#define PORTS PORT PORT_OF("2") PORT_OF("3") PORT_OF("4") PORT_OF("5")
#define HAS_PCI(BUS)                                                                               \
    "<hostdev type='pci' mode='subsystem'><source><address domain='0' bus='" BUS                   \
    "' slot='0' function='0'/></source></hostdev>"
#define HAS_STICK                                                                                  \
    "<hostdev type='usb' mode='subsystem'><source><vendor id='0x1a6e'/><product id='0x089a'/>"     \
    "<address bus='1' device='4'/></source></hostdev>"

static int set_up(void **state) {
    (void)state;
    const struct device *fresh = (const struct device[]){
        [GPU] = {SAMPLE_PCI("0000:01:00.0", 0x10de, 0x2484, 0x030000), .iommu_group = 1,
                 .driver = SAMPLE_TEXT("nouveau")},
        [SOUND] = {SAMPLE_PCI("0000:01:00.1", 0x10de, 0x228b, 0x040300), .iommu_group = 1,
                   .driver = SAMPLE_TEXT("snd_hda_intel")},
        [CORAL] = {SAMPLE_PCI("0000:03:00.0", 0x1ac1, 0x089a, 0x088000), .iommu_group = 2},
        [CORAL2] = {SAMPLE_PCI("0000:04:00.0", 0x1ac1, 0x089a, 0x088000), .iommu_group = 3},
        [CORAL3] = {SAMPLE_PCI("0000:05:00.0", 0x1ac1, 0x089a, 0x088000), .iommu_group = 4},
        [NIC] = {SAMPLE_PCI("0000:06:00.0", 0x8086, 0x10fb, 0x020000), .iommu_group = 5,
                 .driver = SAMPLE_TEXT("ixgbe")},
        [DISK] = {SAMPLE_PCI("0000:07:00.0", 0x144d, 0xa808, 0x010802), .iommu_group = 6,
                  .use = SAMPLE_TEXT("mounts / from it (nvme0n1)")},
        [BRIDGE] = {SAMPLE_PCI("0000:08:00.0", 0x8086, 0x1901, 0x060400), .iommu_group = 7,
                    .is_bridge = true},
        [STICK] = {SAMPLE_USB("1-1.4", 0x1a6e, 0x089a, 1, 4), .serial = SAMPLE_TEXT("A")},
        [STICK2] = {SAMPLE_USB("1-1.5", 0x1a6e, 0x089a, 1, 5), .serial = SAMPLE_TEXT("B")},
        [HUB] = {SAMPLE_USB("1-1", 0x05e3, 0x0610, 1, 2), .is_bridge = true},
        [LUN] = {.bus = BUS_SCSI,
                 .address = SAMPLE_TEXT("3:0:0:0"),
                 .name = SAMPLE_TEXT("Some disk"),
                 .iommu_group = -1,
                 .numa_node = -1,
                 .serial = SAMPLE_TEXT("A"),
                 .above = SAMPLE_TEXT("1-1.4"),
                 .above_bus = BUS_USB,
                 .bus_number = 1,
                 .device_number = 4},
    };
    devices = memory_zalloc(DEVICE_COUNT * sizeof *devices);
    memcpy(devices, fresh, DEVICE_COUNT * sizeof *devices);
    host = (struct host){.root = SAMPLE_TEXT(""),
                         .devices = devices,
                         .count = DEVICE_COUNT,
                         .has_iommu = true,
                         .has_usb = true};
    return 0;
}

static void forget_plan(void) {
    if (!planned)
        return;
    plan_finish(&plan);
    sample_rules_finish(&rules);
    planned = false;
}

static int tear_down(void **state) {
    (void)state;
    forget_plan();
    came = NULL;
    libvirt_version = 0;
    free(devices);
    if (domain.name)
        domain_finish(&domain);
    domain = (struct domain){0};
    for (size_t i = 0; i < 2; i++)
        if (others[i].name) {
            domain_finish(&others[i]);
            others[i] = (struct domain){0};
        }
    return 0;
}

static void vm(const char *ports, const char *devices_xml) {
    char *xml = memory_printf(VM, ports, devices_xml);
    if (domain.name)
        domain_finish(&domain);
    sample_domain(&domain, xml);
    free(xml);
}

static void vm_of(const char *xml) {
    if (domain.name)
        domain_finish(&domain);
    sample_domain(&domain, xml);
}

static void other_vm(size_t index, const char *name, const char *devices_xml) {
    char *xml = memory_printf("<domain id='9'><name>%s</name><devices>%s</devices></domain>", name,
                              devices_xml);
    sample_domain(&others[index], xml);
    free(xml);
}

static const struct busy_device *claims;
static size_t claim_count;
static const char *program_root;

/* An entry as "attach 0000:03:00.0", "refused never 0000:03:00.0", "skipped 1ac1:089a". */
static void print_entry(char *text, size_t size, const struct plan_entry *entry) {
    const char *device = entry->device        ? entry->device->address
                         : entry->target_text ? entry->target_text
                                              : entry->action->command->text;
    const char *kind = entry->kind == PLAN_STEP      ? syntax_verb_text(plan_verb(entry))
                       : entry->kind == PLAN_SKIPPED ? "skipped"
                                                     : "refused";
    snprintf(text, size, "%s%s%s %s\n", kind, entry->refusal ? " " : "",
             entry->refusal ? verdict_name(entry->refusal) : "", device);
}

static const char *planned_at(enum event_name name, const char *text) {
    static char result[2048];
    static struct event event;
    event = (struct event){.name = name, .domain = &domain, .device = came};
    forget_plan();
    if (!domain.name)
        vm(PORTS, "");
    sample_rules_init(&rules, text);
    struct plan_request request = {.program = &rules.program,
                                   .event = &event,
                                   .host = &host,
                                   .program_root = program_root,
                                   .libvirt_version = libvirt_version,
                                   .others = others,
                                   .other_count = others[1].name   ? 2
                                                  : others[0].name ? 1
                                                                   : 0,
                                   .busy = claims,
                                   .busy_count = claim_count};
    plan_init(&plan, &request);
    planned = true;
    *result = 0;
    for (size_t i = 0; i < plan.count; i++)
        print_entry(result + strlen(result), sizeof result - strlen(result), &plan.entries[i]);
    return result;
}

/* The plan for `on vm frigate started ACTION`. */
static const char *plan_of(const char *action) {
    char *text = memory_printf("on vm frigate started %s\n", action);
    const char *result = planned_at(EVENT_STARTED, text);
    free(text);
    return result;
}

static void assert_has(const char *text, const char *part) {
    if (!text || !strstr(text, part))
        fail_msg("no \"%s\" in: %s", part, text ? text : "(null)");
}

static void assert_says(size_t entry, const char *message, const char *hint) {
    assert_true(entry < plan.count);
    assert_has(plan.entries[entry].message, message);
    if (hint)
        assert_has(plan.entries[entry].hint, hint);
    else
        assert_null(plan.entries[entry].hint);
}

/* --- one device */

static void the_first_rule_of_all(void **state) {
    (void)state;
    devices[CORAL2].id.device = devices[CORAL3].id.device = 0x1111;
    assert_string_equal(plan_of("attach 1ac1:089a as vfio"), "attach 0000:03:00.0\n");
    assert_int_equal(plan.count, 1);
    assert_string_equal(plan.entries[0].elements[0].xml,
                        "<hostdev mode='subsystem' type='pci' managed='yes'>\n"
                        "  <driver name='vfio'/>\n"
                        "  <source>\n"
                        "    <address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
                        "  </source>\n"
                        "</hostdev>");
    assert_null(plan.entries[0].message);
    char *rule = plan_rule_text(&plan.entries[0]), *device = plan_device_text(&plan.entries[0]);
    assert_string_equal(rule, "t.rules:1");
    assert_string_equal(device, "0000:03:00.0 1ac1:089a");
    free(rule);
    free(device);
}

static void options_reach_the_xml(void **state) {
    (void)state;
    plan_of("attach at 03:00.0 as vfio unmanaged rom off");
    assert_has(plan.entries[0].elements[0].xml, "managed='no'");
    assert_has(plan.entries[0].elements[0].xml, "<rom bar='off'/>");
    plan_of("attach at 03:00.0 as vfio rom \"/a&b.rom\"");
    assert_has(plan.entries[0].elements[0].xml, "managed='yes'");
    assert_has(plan.entries[0].elements[0].xml, "<rom file='/a&amp;b.rom'/>");
}

static void usb_goes_by_its_number_now(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach port 1-1.5 as usb"), "attach 1-1.5\n");
    assert_has(plan.entries[0].elements[0].xml, "<vendor id='0x1a6e'/>");
    assert_has(plan.entries[0].elements[0].xml, "<product id='0x089a'/>");
    assert_has(plan.entries[0].elements[0].xml, "<address bus='1' device='5'/>");
    assert_string_equal(plan_of("attach serial \"A\" as usb"), "attach 1-1.4\n");
}

/* --- what a start requires */

static const char *required(const char *action) {
    char *text = memory_printf("on vm frigate prepare require %s\n", action);
    const char *result = planned_at(EVENT_PREPARE, text);
    free(text);
    return result;
}

static void what_is_required_is_free(void **state) {
    (void)state;
    assert_string_equal(required("at 03:00.0"), "require 0000:03:00.0\n");
    assert_int_equal(plan.entries[0].element_count, 0);
    assert_string_equal(required("ffff:*"), "refused absent ffff:*\n");
    assert_says(0, "the host has no device ffff:*", "plug it in");
    assert_string_equal(required("at 07:00.0"), "refused in-use-by-host 0000:07:00.0\n");
    assert_string_equal(required("at 01:00.0"), "refused group 0000:01:00.0\n");
    assert_string_equal(required("at 01:00.0 with group"),
                        "require 0000:01:00.0\nrequire 0000:01:00.1\n");
    assert_string_equal(required("1ac1:089a"), "refused ambiguous 1ac1:089a\n");
    assert_string_equal(required("any 2 1ac1:089a"),
                        "require 0000:03:00.0\nrequire 0000:04:00.0\n");
    other_vm(0, "lin", HAS_PCI("3"));
    assert_string_equal(required("at 03:00.0"), "refused held 0000:03:00.0\n");
    assert_says(0, "VM 'lin' has it", "stop that VM");
    assert_string_equal(required("any 3 1ac1:089a"), "refused too-few 1ac1:089a\n");
    assert_string_equal(planned_at(EVENT_PREPARE, "on vm frigate prepare require at 04:00.0\n"
                                                  "never attach 1ac1:089a to vm frigate\n"),
                        "refused never 0000:04:00.0\n");
    vm("", HAS_PCI("4")); /* it needs no free port for what it has */
    assert_string_equal(required("at 04:00.0"), "require 0000:04:00.0\n");
    assert_string_equal(required("at 05:00.0"), "refused no-port 0000:05:00.0\n");
}

/* Each device is judged as the devices of its bus are. */
static void what_is_required_of_several_buses(void **state) {
    (void)state;
    devices[CORAL2].id.device = devices[CORAL3].id.device = 0x1111;
    assert_string_equal(required("any 2 *:089a"), "require 0000:03:00.0\nrequire 1-1.4\n");
    assert_ptr_equal(plan.entries[1].target, plan.entries[1].action->targets);
    assert_string_equal(required("any 3 *:089a"),
                        "require 0000:03:00.0\nrequire 1-1.4\nrequire 1-1.5\n");
    assert_string_equal(required("all *:089a"),
                        "require 0000:03:00.0\nrequire 1-1.4\nrequire 1-1.5\n");
    assert_string_equal(required("any 4 *:089a"),
                        "require 0000:03:00.0\nrequire 1-1.4\nrequire 1-1.5\n"
                        "refused too-few *:089a\n");
    assert_says(3, "3 of the 4 wanted are free", "plug it in");
    devices[CORAL].use = SAMPLE_TEXT("mounts / from it");
    assert_string_equal(required("any 2 *:089a"), "require 1-1.4\nrequire 1-1.5\n");
    assert_string_equal(required("any 3 *:089a"),
                        "require 1-1.4\nrequire 1-1.5\nrefused too-few *:089a\n");
    assert_says(2, "2 of the 3 wanted are free; 0000:03:00.0: the host mounts / from it",
                "plug it in");
    assert_string_equal(required("all *:089a"),
                        "refused in-use-by-host 0000:03:00.0\nrequire 1-1.4\nrequire 1-1.5\n");
    assert_string_equal(required("any 2 *:089a as vfio"), "refused in-use-by-host *:089a\n");
}

/* --- refusals */

static void absent(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach ffff:* as vfio"), "refused absent ffff:*\n");
    assert_says(0, "the host has no PCI device ffff:*", "'within 30s' waits for it");
    assert_has(plan.entries[0].hint, "see 'virt-rules devices'");
    assert_string_equal(plan_of("attach port 1-9 as usb"), "refused absent port 1-9\n");
    assert_says(0, "the host has no USB device port 1-9", "see 'virt-rules devices'");
}

static void absent_by_name(void **state) {
    (void)state;
    assert_string_equal(planned_at(EVENT_STARTED, "device tpu is ffff:0001 or ffff:0002\n"
                                                  "on vm any started attach tpu as vfio\n"),
                        "refused absent tpu\n");
    assert_says(0, "no PCI device tpu (ffff:0001 or ffff:0002)", "optional");
    char *device = plan_device_text(&plan.entries[0]);
    assert_string_equal(device, "tpu");
    free(device);
}

static void optional_may_be_absent(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach ffff:* as vfio optional"), "skipped absent ffff:*\n");
    assert_says(0, "the host has no PCI device", NULL);
    assert_int_equal(plan_count(&plan, PLAN_REFUSED), 0);
    assert_int_equal(plan_count(&plan, PLAN_SKIPPED), 1);
}

static void ambiguous(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach 1ac1:089a as vfio"), "refused ambiguous 1ac1:089a\n");
    assert_says(0, "3 devices are 1ac1:089a: 0000:03:00.0, 0000:04:00.0, 0000:05:00.0",
                "'at 0000:03:00.0'");
    assert_has(plan.entries[0].hint, "'any'");
    assert_has(plan.entries[0].hint, "'all'");
    assert_string_equal(plan_of("attach 1a6e:089a as usb"), "refused ambiguous 1a6e:089a\n");
    assert_says(0, "2 devices are 1a6e:089a: 1-1.4, 1-1.5", "'port 1-1.4'");
}

static void ambiguous_although_only_one_is_free(void **state) {
    (void)state;
    devices[CORAL2].use = devices[CORAL3].use = SAMPLE_TEXT("uses it");
    assert_string_equal(plan_of("attach 1ac1:089a as vfio"), "refused ambiguous 1ac1:089a\n");
    devices[CORAL].use = devices[CORAL2].use;
    devices[CORAL3].use = NULL; /* the hint names one that is free */
    assert_string_equal(plan_of("attach 1ac1:089a as vfio"), "refused ambiguous 1ac1:089a\n");
    assert_says(0, "3 devices are 1ac1:089a: 0000:03:00.0, ", "'at 0000:05:00.0'");
    devices[CORAL3].use = devices[CORAL].use;
    assert_string_equal(plan_of("attach 1ac1:089a as vfio"), "refused ambiguous 1ac1:089a\n");
    assert_says(0, "3 devices", "none of them is free: 0000:03:00.0: the host uses it");
}

static void many_addresses_stay_one_line(void **state) {
    (void)state;
    struct device *crowd = memory_zalloc(40 * sizeof *crowd);
    static char names[40][16];
    for (size_t i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "0000:%02zx:00.0", i);
        crowd[i] = devices[CORAL];
        crowd[i].address = names[i];
    }
    host.devices = crowd;
    host.count = 40;
    plan_of("attach 1ac1:089a as vfio");
    assert_says(0, "40 devices are 1ac1:089a: 0000:00:00.0, ", "'any'");
    assert_has(plan.entries[0].message, "0000:0f:00.0 and 24 more");
    free(crowd);
}

/* A guard for a disk is one for the stick that it is on, and the reverse. */
static void never_holds_for_what_a_scsi_device_is_on(void **state) {
    (void)state;
    vm(PORT, "");
    assert_string_equal(planned_at(EVENT_STARTED,
                                   "on vm frigate started attach 1a6e:089a serial \"A\" as usb\n"
                                   "never attach scsi \"3:0:0:0\"\n"),
                        "refused never 1-1.4\n");
    assert_says(0, "3:0:0:0 is behind it: 'never' at t.rules:2", "");
    assert_string_equal(planned_at(EVENT_STARTED,
                                   "on vm frigate started attach scsi \"3:0:0:0\" as scsi\n"
                                   "never attach 1a6e:089a\n"),
                        "refused never 3:0:0:0\n");
    assert_says(0, "1-1.4 is above it: 'never' at t.rules:2", "");
    assert_string_equal(planned_at(EVENT_STARTED,
                                   "on vm frigate started attach 1a6e:089a serial \"B\" as usb\n"
                                   "never attach scsi \"3:0:0:0\"\n"),
                        "attach 1-1.5\n");
}

/* The stick and the disk on it have the same serial number: the stick stands for both. */
static void a_scsi_device_and_what_it_is_on_are_one(void **state) {
    (void)state;
    vm(PORT, "");
    char *units[] = {devices[LUN].address};
    devices[STICK].scsi_devices = units;
    devices[STICK].scsi_device_count = 1;
    assert_string_equal(
        planned_at(EVENT_STARTED, "on vm frigate started attach serial \"A\" as scsi\n"),
        "attach 1-1.4\n");
    assert_int_equal(plan.entries[0].element_count, 2); /* the first is the VM's controller */
    assert_has(plan.entries[0].elements[1].xml, "<adapter name='scsi_host3'/>");
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.omitted_count, 1);
    assert_string_equal(plan.omitted[0].message, "it is on 1-1.4, which stands for both");
}

static void never(void **state) {
    (void)state;
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach at 03:00.0 as vfio\n"
                                                  "never attach 1ac1:*\n"),
                        "refused never 0000:03:00.0\n");
    assert_says(0, "'never' at t.rules:2", "'never' wins");
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach at 03:00.0 as vfio\n"
                                                  "never attach 1ac1:* to vm windows\n"),
                        "attach 0000:03:00.0\n");
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach at 03:00.0 as vfio\n"
                                                  "never attach 1ac1:* to vm NVR\n"),
                        "refused never 0000:03:00.0\n");
}

/* What a VMD controller makes: its disks are in a domain of their own. */
static void make_vmd(void) {
    devices[NIC].address = SAMPLE_TEXT("0000:d7:05.5");
    devices[CORAL3].address = SAMPLE_TEXT("10001:05:00.0");
    devices[CORAL3].controller = SAMPLE_TEXT("0000:d7:05.5");
    devices[CORAL3].driver = SAMPLE_TEXT("nvme");
    devices[CORAL3].obstacle = OBSTACLE_DOMAIN;
    devices[CORAL3].obstacle_text = SAMPLE_TEXT("10001:05:00.0 is in PCI domain 10001");
    devices[CORAL3].obstacle_hint = SAMPLE_TEXT("assign the VMD controller");
}

static void a_domain_that_qemu_does_not_take(void **state) {
    (void)state;
    make_vmd();
    assert_string_equal(plan_of("attach at 10001:05:00.0 as vfio"),
                        "refused pci-domain 10001:05:00.0\n");
    assert_says(0, "10001:05:00.0 is in PCI domain 10001", "assign the VMD controller");
    assert_string_equal(plan_of("attach at 05:00.0 as vfio"), "refused absent at 05:00.0\n");
    assert_string_equal(plan_of("attach any 3 1ac1:089a as vfio"), "refused too-few 1ac1:089a\n");
    assert_string_equal(plan_of("attach any 2 1ac1:089a as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\n");
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach 1ac1:089a as vfio\n"),
                        "refused ambiguous 1ac1:089a\n");
    devices[CORAL3].use = SAMPLE_TEXT("mounts / from it (nvme0n1)");
    assert_string_equal(plan_of("attach at 10001:05:00.0 as vfio"),
                        "refused in-use-by-host 10001:05:00.0\n");
}

static void a_controller_takes_its_domain_along(void **state) {
    (void)state;
    make_vmd();
    assert_string_equal(plan_of("attach at d7:05.5 as vfio"), "attach 0000:d7:05.5\n");
    devices[CORAL3].iommu_group = devices[NIC].iommu_group;
    devices[CORAL3].goes_with_controller = true;
    assert_string_equal(plan_of("attach at d7:05.5 as vfio"), "attach 0000:d7:05.5\n");
    assert_string_equal(plan_of("attach at d7:05.5 with group as vfio"), "attach 0000:d7:05.5\n");
    devices[CORAL3].goes_with_controller = false;
    assert_string_equal(plan_of("attach at d7:05.5 as vfio"), "refused group 0000:d7:05.5\n");
}

static void a_guard_on_what_is_behind_a_controller(void **state) {
    static const struct {
        const char *guard, *plan;
    } cases[] = {
        {"never attach at 10001:*", "refused never 0000:d7:05.5\n"},
        {"never attach 10001:*", "refused never 0000:d7:05.5\n"},
        {"never attach 10001:05:00.0", "refused never 0000:d7:05.5\n"},
        {"never attach *:05:00.0", "refused never 0000:d7:05.5\n"},
        {"never attach 1ac1:089a to vm frigate", "refused never 0000:d7:05.5\n"},
        {"never attach 1ac1:089a to vm windows", "attach 0000:d7:05.5\n"},
        {"never attach 05:00.0", "attach 0000:d7:05.5\n"},
        {"never attach 10000:*", "attach 0000:d7:05.5\n"},
    };
    (void)state;
    make_vmd();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text =
            memory_printf("on vm any started attach at d7:05.5 as vfio\n%s\n", cases[i].guard);
        assert_string_equal(planned_at(EVENT_STARTED, text), cases[i].plan);
        free(text);
    }
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach at d7:05.5 as vfio\n"
                                                  "on vm any started attach at 04:00.0 as vfio\n"
                                                  "never attach 10001:*\n"),
                        "refused never 0000:d7:05.5\nattach 0000:04:00.0\n");
    assert_says(0, "10001:05:00.0 is behind it: 'never' at t.rules:3", "'never' wins");
}

static void a_guard_on_a_virtual_function(void **state) {
    (void)state;
    devices[CORAL2].physical = SAMPLE_TEXT("0000:03:00.0");
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach at 03:00.0 as vfio\n"
                                                  "never attach at 04:00.0\n"),
                        "refused never 0000:03:00.0\n");
    assert_says(0, "0000:04:00.0 is behind it: 'never' at t.rules:2", "'never' wins");
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach at 03:00.0 as vfio\n"
                                                  "never attach at 05:00.0\n"),
                        "attach 0000:03:00.0\n");
}

static void wrong_bus(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach 10de:2484 as usb"), "refused wrong-bus 0000:01:00.0\n");
    assert_says(0, "0000:01:00.0 is a PCI device, and the rule says 'as usb'", "write 'as vfio'");
    assert_string_equal(plan_of("attach all 1a6e:089a as vfio"), "refused wrong-bus 1-1.4\n");
    assert_says(0, "1-1.4 is a USB device", "write 'as usb'");
    /* only those of the bus count */
    assert_string_equal(plan_of("attach all *:089a class 08 as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n");
}

static void bridge_and_hub(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach 8086:1901 as vfio"), "refused bridge 0000:08:00.0\n");
    assert_says(0, "0000:08:00.0 is a bridge", "behind it");
    assert_string_equal(plan_of("attach 05e3:0610 as usb"), "refused bridge 1-1\n");
    assert_says(0, "1-1 is a hub", "behind it");
}

static const char *omitted_reason(const struct device *device) {
    for (size_t i = 0; i < plan.omitted_count; i++)
        if (plan.omitted[i].device == device)
            return plan.omitted[i].message;
    return "none";
}

/* A hub with all that is behind it; a hub of many ports has another hub in it. */
static void all_behind_a_hub(void **state) {
    (void)state;
    devices[HUB].address = SAMPLE_TEXT("1-1.3");
    assert_string_equal(plan_of("attach all below port 1-1 as usb"),
                        "attach 1-1.4\nattach 1-1.5\n");
    assert_string_equal(omitted_reason(&devices[HUB]), "it is a hub, which cannot be assigned");
    assert_string_equal(plan_of("attach all port 1-1.* as usb"), "attach 1-1.4\nattach 1-1.5\n");
    assert_string_equal(plan_of("attach any 2 below port 1-1 as usb"),
                        "attach 1-1.4\nattach 1-1.5\n");
    assert_string_equal(plan_of("attach any 3 below port 1-1 as usb"),
                        "refused too-few below port 1-1\n");
    assert_string_equal(plan_of("attach below port 1-1 as usb"),
                        "refused ambiguous below port 1-1\n");
    assert_says(0, "2 devices are below port 1-1: 1-1.4, 1-1.5", "'all' for all");
    devices[STICK2].address = SAMPLE_TEXT("1-2");
    assert_string_equal(plan_of("attach below port 1-1 as usb"), "attach 1-1.4\n");
    devices[STICK].use = SAMPLE_TEXT("uses it");
    assert_string_equal(plan_of("attach all below port 1-1 as usb"),
                        "refused in-use-by-host 1-1.4\n");
}

/* What comes later is waited for; who names a hub learns the reason. */
static void nothing_but_hubs(void **state) {
    (void)state;
    static const char came_first[] =
        "device dock is below port 1-1\non vm frigate plugged attach all dock as usb\n";
    devices[HUB].address = SAMPLE_TEXT("1-1.3");
    devices[STICK].address = SAMPLE_TEXT("1-2");
    devices[STICK2].address = SAMPLE_TEXT("1-3");
    assert_string_equal(plan_of("attach all below port 1-1 as usb"),
                        "refused absent below port 1-1\n");
    assert_says(0, "the host has no USB device below port 1-1, except hubs", "'within 30s'");
    assert_string_equal(plan_of("attach below port 1-1 as usb"), "refused absent below port 1-1\n");
    assert_string_equal(plan_of("attach all below port 1-1 as usb optional"),
                        "skipped absent below port 1-1\n");
    assert_string_equal(plan_of("attach all 05e3:* as usb"), "refused absent 05e3:*\n");
    assert_string_equal(plan_of("attach port 1-1.3 as usb"), "refused bridge 1-1.3\n");
    assert_says(0, "1-1.3 is a hub", "behind it");
    came = &devices[HUB];
    assert_string_equal(planned_at(EVENT_PLUGGED, came_first), "");
    assert_string_equal(omitted_reason(&devices[HUB]), "it is a hub, which cannot be assigned");
    devices[STICK].address = SAMPLE_TEXT("1-1.3.1");
    came = &devices[STICK];
    assert_string_equal(planned_at(EVENT_PLUGGED, came_first), "attach 1-1.3.1\n");
    came = &devices[STICK2];
    assert_string_equal(planned_at(EVENT_PLUGGED, came_first), "");
}

static void used_by_the_host(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach 144d:a808 as vfio"),
                        "refused in-use-by-host 0000:07:00.0\n");
    assert_says(0, "the host mounts / from it (nvme0n1)", "free it on the host first");
    devices[STICK].use = SAMPLE_TEXT("mounts /media from it (sda1)");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "refused in-use-by-host 1-1.4\n");
}

/* Each of two keyboards may go, but not both; what the host still lists may be a VM's. */
static void the_last_keyboard_of_the_console_stays(void **state) {
    (void)state;
    static const char two_rules[] = "on vm frigate started attach port 1-1.4 as usb\n"
                                    "on vm frigate started attach port 1-1.5 as usb\n";
    devices[STICK].is_console_keyboard = devices[STICK2].is_console_keyboard = true;
    host.keyboards = 2;
    assert_string_equal(plan_of("attach all below port 1-1 as usb"),
                        "attach 1-1.4\nrefused in-use-by-host 1-1.5\n");
    assert_says(1, "the host would have no keyboard left for its console (a VM has or gets 1-1.4)",
                "plug in another keyboard");
    assert_string_equal(planned_at(EVENT_STARTED, two_rules),
                        "attach 1-1.4\nrefused in-use-by-host 1-1.5\n");
    assert_string_equal(plan_of("attach any 2 below port 1-1 as usb"),
                        "refused too-few below port 1-1\n");
    assert_string_equal(plan_of("attach any below port 1-1 as usb"), "attach 1-1.4\n");
    host.keyboards = 3; /* one is built in */
    assert_string_equal(planned_at(EVENT_STARTED, two_rules), "attach 1-1.4\nattach 1-1.5\n");
    host.keyboards = 0; /* nobody sees the console */
    devices[STICK].is_console_keyboard = devices[STICK2].is_console_keyboard = false;
    assert_string_equal(planned_at(EVENT_STARTED, two_rules), "attach 1-1.4\nattach 1-1.5\n");
    host.keyboards = 2;
    devices[STICK].is_console_keyboard = devices[STICK2].is_console_keyboard = true;
    vm(PORTS, HAS_STICK);
    assert_string_equal(planned_at(EVENT_STARTED, two_rules),
                        "skipped 1-1.4\nrefused in-use-by-host 1-1.5\n");
    vm(PORTS, "");
    other_vm(0, "nas", HAS_STICK);
    assert_string_equal(planned_at(EVENT_STARTED, two_rules),
                        "refused held 1-1.4\nrefused in-use-by-host 1-1.5\n");
    assert_says(1, "(a VM has or gets 1-1.4)", "no option overrides this");
}

static void held_by_another_vm(void **state) {
    (void)state;
    other_vm(0, "nobody", "");
    other_vm(1, "windows", HAS_PCI("3") HAS_STICK);
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused held 0000:03:00.0\n");
    assert_says(0, "VM 'windows' has it", "stop that VM");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "refused held 1-1.4\n");
    /* the twin is another device */
    assert_string_equal(plan_of("attach port 1-1.5 as usb"), "attach 1-1.5\n");
}

static void held_by_the_word_of_libvirt(void **state) {
    (void)state;
    const struct busy_device claim = {
        BUS_PCI, SAMPLE_TEXT("0000:03:00.0"),
        SAMPLE_TEXT("PCI device 0000:03:00.0 is in use by driver QEMU"), "detach it"};
    claims = &claim;
    claim_count = 1;
    assert_string_equal(plan_of("attach any 2 1ac1:089a as vfio"),
                        "attach 0000:04:00.0\nattach 0000:05:00.0\n");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused held 0000:03:00.0\n");
    assert_says(0, "is in use by driver QEMU", "detach");
    claims = NULL;
    claim_count = 0;
}

static void no_iommu(void **state) {
    (void)state;
    devices[CORAL].iommu_group = -1;
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused no-iommu 0000:03:00.0\n");
    assert_says(0, "0000:03:00.0 is in no IOMMU group", "move the card");
    host.has_iommu = false;
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused no-iommu 0000:03:00.0\n");
    assert_says(0, "no IOMMU turned on", "intel_iommu=on");
    devices[CORAL2].iommu_group = devices[CORAL3].iommu_group = -1;
    /* one reason for all of them is the answer, not that there are too few */
    assert_string_equal(plan_of("attach any 2 1ac1:089a as vfio"), "refused no-iommu 1ac1:089a\n");
    assert_says(0, "0 of the 2 wanted are free; 0000:03:00.0: ", "intel_iommu=on");
    devices[CORAL2].use = SAMPLE_TEXT("uses it");
    assert_string_equal(plan_of("attach any 2 1ac1:089a as vfio"), "refused too-few 1ac1:089a\n");
    /* USB needs none */
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "attach 1-1.4\n");
}

static void a_group_on_host_drivers(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach 10de:2484 as vfio"), "refused group 0000:01:00.0\n");
    assert_says(0, "IOMMU group 1 also holds 0000:01:00.1 (Some card)", "write 'with group'");
    assert_has(plan.entries[0].message, "snd_hda_intel");
    devices[SOUND].use = SAMPLE_TEXT("plays on it");
    plan_of("attach 10de:2484 as vfio");
    assert_says(0, "IOMMU group 1",
                "the host plays on it: 0000:01:00.0 and 0000:01:00.1 are functions of one card, so "
                "they go together");
    devices[SOUND].driver = NULL;
    devices[SOUND].use = NULL;
    assert_string_equal(plan_of("attach 10de:2484 as vfio"), "attach 0000:01:00.0\n");
    /* nobody knows its driver */
    devices[SOUND].obstacle = OBSTACLE_UNKNOWN_USE;
    devices[SOUND].obstacle_text = SAMPLE_TEXT("'directory' cannot be read");
    devices[SOUND].obstacle_hint = SAMPLE_TEXT("look why");
    assert_string_equal(plan_of("attach 10de:2484 as vfio"), "refused unknown-use 0000:01:00.0\n");
    assert_says(0, "IOMMU group 1 also holds 0000:01:00.1, and it is unknown", "look why");
}

static void a_group_that_another_vm_has(void **state) {
    (void)state;
    devices[CORAL2].iommu_group = devices[CORAL].iommu_group;
    other_vm(0, "windows", HAS_PCI("4"));
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused group 0000:03:00.0\n");
    assert_says(0, "IOMMU group 2 also holds 0000:04:00.0 (Some card), which VM 'windows' has",
                "stop that VM");
    assert_string_equal(plan_of("attach any 1ac1:* as vfio"), "attach 0000:05:00.0\n");
}

static void no_free_port(void **state) {
    (void)state;
    vm("", "");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused no-port 0000:03:00.0\n");
    assert_says(0, "no free PCIe root port (it has 0 in all)", "model='pcie-root-port'");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "attach 1-1.4\n");
}

static void no_usb_controller(void **state) {
    (void)state;
    vm_of("<domain><name>frigate</name><os><type machine='pc'>hvm</type></os>"
          "<devices/></domain>");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "refused no-usb 1-1.4\n");
    assert_says(0, "no USB controller", "qemu-xhci");
}

static void a_wrong_event(void **state) {
    (void)state;
    struct sample_rules wrong;
    struct domain any = {.name = SAMPLE_TEXT("frigate")};
    struct event event = {.name = EVENT_PREPARE, .domain = &any};
    ruleset_init(&wrong.ruleset);
    sample_add(&wrong.ruleset, "t.rules",
               "on vm any prepare, started { \n attach ffff:* as vfio\n detach ffff:*\n}\n");
    struct check_config config;
    check_config_init(&config);
    ruleset_load(&wrong.ruleset, &config);
    wrong.ruleset.sources[0]->broken =
        false; /* the check forbids it; the plan does not rely on it */
    program_init(&wrong.program, &wrong.ruleset);
    plan_init(&plan,
              &(struct plan_request){.program = &wrong.program, .event = &event, .host = &host});
    assert_int_equal(plan.count, 2);
    assert_int_equal(plan.entries[0].refusal, REFUSED_EVENT);
    assert_says(0, "nothing can be attached at 'prepare'", "use 'started'");
    assert_says(1, "nothing can be detached at 'prepare'", "use 'started'");
    plan_finish(&plan);
    sample_rules_finish(&wrong);
}

static void the_strongest_reason_first(void **state) {
    (void)state;
    host.has_iommu = false;
    devices[CORAL].iommu_group = -1;
    devices[CORAL].use = SAMPLE_TEXT("uses it");
    other_vm(0, "windows", HAS_PCI("3"));
    vm("", "");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"),
                        "refused in-use-by-host 0000:03:00.0\n");
    devices[CORAL].use = NULL;
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused held 0000:03:00.0\n");
    domain_finish(&others[0]);
    others[0] = (struct domain){0};
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused no-iommu 0000:03:00.0\n");
}

/* --- quantifiers */

static void all_takes_all(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach all 1ac1:089a as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n");
    devices[CORAL2].use = SAMPLE_TEXT("uses it");
    assert_string_equal(
        plan_of("attach all 1ac1:089a as vfio"),
        "attach 0000:03:00.0\nrefused in-use-by-host 0000:04:00.0\nattach 0000:05:00.0\n");
    assert_string_equal(plan_of("attach all ffff:* as vfio"), "refused absent ffff:*\n");
}

static void any_takes_the_first_free_ones(void **state) {
    (void)state;
    assert_string_equal(plan_of("attach any 1ac1:089a as vfio"), "attach 0000:03:00.0\n");
    assert_string_equal(plan_of("attach any 2 1ac1:089a as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\n");
    assert_string_equal(plan_of("attach any 3 1ac1:089a as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n");
}

/* Of two VMs with one title none gets what only one can have. */
static void equal_titles(void **state) {
    (void)state;
    struct domain vms[] = {
        {.name = SAMPLE_TEXT("vm1"), .title = SAMPLE_TEXT("nvr"), .uuid = SAMPLE_TEXT("1-1")},
        {.name = SAMPLE_TEXT("vm2"), .title = SAMPLE_TEXT("nvr"), .uuid = SAMPLE_TEXT("2-2")},
    };
    static const struct {
        const char *rule, *plan;
    } cases[] = {
        {"nvr started attach at 03:00.0 as vfio", "refused same-title at 03:00.0\n"},
        {"nvr started attach all 1ac1:089a as vfio", "refused same-title 1ac1:089a\n"},
        {"nvr started attach any 1ac1:089a as vfio", "attach 0000:03:00.0\n"},
        {"nvr started attach any 2 1ac1:089a as vfio", "refused same-title 1ac1:089a\n"},
        {"nvr, vm1 started attach at 03:00.0 as vfio", "attach 0000:03:00.0\n"},
        {"uuid* started attach at 03:00.0 as vfio", ""},
        {"nv* started attach at 03:00.0 as vfio", "attach 0000:03:00.0\n"},
        {"nvr started run \"/x\"", "run /x\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sample_rules own;
        struct plan made;
        char result[256] = "", *text = memory_printf("on vm %s\n", cases[i].rule);
        sample_rules_init(&own, text);
        struct event event = {.name = EVENT_STARTED, .domain = &vms[0], .vms = vms, .vm_count = 2};
        plan_init(&made,
                  &(struct plan_request){.program = &own.program, .event = &event, .host = &host});
        for (size_t j = 0; j < made.count; j++)
            print_entry(result + strlen(result), sizeof result - strlen(result), &made.entries[j]);
        if (strcmp(result, cases[i].plan) != 0)
            fail_msg("%s: %s", cases[i].rule, result);
        if (i == 0)
            assert_string_equal(made.entries[0].message,
                                "VMs 'vm1' (1-1) and 'vm2' (2-2) have the same title 'nvr'");
        plan_finish(&made);
        sample_rules_finish(&own);
        free(text);
    }
}

static void any_goes_past_what_it_cannot_have(void **state) {
    (void)state;
    devices[CORAL].use = SAMPLE_TEXT("uses it");
    other_vm(0, "windows", HAS_PCI("4"));
    assert_string_equal(plan_of("attach any 1ac1:089a as vfio"), "attach 0000:05:00.0\n");
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach any 1ac1:089a as vfio\n"
                                                  "never attach at 05:00.0\n"),
                        "refused too-few 1ac1:089a\n");
    assert_says(0,
                "none is free; 0000:03:00.0: the host uses it; 0000:04:00.0: VM 'windows' has it; "
                "0000:05:00.0: 'never' at t.rules:2 forbids it",
                "'optional' takes what is there");
}

static void any_takes_none_when_there_are_too_few(void **state) {
    (void)state;
    devices[CORAL2].use = SAMPLE_TEXT("uses it");
    assert_string_equal(plan_of("attach any 3 1ac1:089a as vfio"), "refused too-few 1ac1:089a\n");
    assert_says(0, "2 of the 3 wanted are free; 0000:04:00.0: the host uses it", "ask for fewer");
    assert_string_equal(plan_of("attach any 4 1ac1:089a as vfio optional"),
                        "attach 0000:03:00.0\nattach 0000:05:00.0\nskipped too-few 1ac1:089a\n");
    assert_says(2, "2 of the 4 wanted are free", NULL);
    assert_string_equal(plan_of("attach any 144d:* as vfio optional"), "skipped too-few 144d:*\n");
}

static void any_counts_what_the_vm_has(void **state) {
    (void)state;
    vm(PORTS, HAS_PCI("5"));
    assert_string_equal(plan_of("attach any 1ac1:089a as vfio"), "skipped 0000:05:00.0\n");
    assert_string_equal(plan_of("attach any 2 1ac1:089a as vfio"),
                        "skipped 0000:05:00.0\nattach 0000:03:00.0\n");
}

static void two_rules_take_the_same_any(void **state) {
    (void)state;
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach any 1ac1:* as vfio\n"
                                                  "on vm * started attach any 2 1ac1:* as vfio\n"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\n");
    /* and so does the plan that is made again half way */
    vm(PORTS, HAS_PCI("3"));
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started attach any 1ac1:* as vfio\n"
                                                  "on vm * started attach any 2 1ac1:* as vfio\n"),
                        "skipped 0000:03:00.0\nattach 0000:04:00.0\n");
}

static void what_any_did_not_take_is_judged_anew(void **state) {
    (void)state;
    vm(PORT PORT_OF("2"), "");
    assert_string_equal(plan_of("{\n"
                                "  attach any 3 1ac1:089a as vfio\n"
                                "  attach at 05:00.0, at 04:00.0, at 03:00.0 as vfio\n"
                                "}"),
                        "refused too-few 1ac1:089a\nattach 0000:05:00.0\nattach 0000:04:00.0\n"
                        "refused no-port 0000:03:00.0\n");
}

static void any_leaves_no_half_of_it_for_want_of_ports(void **state) {
    (void)state;
    vm(PORT, "");
    assert_string_equal(plan_of("attach any 2 1ac1:089a as vfio"), "refused too-few 1ac1:089a\n");
    assert_says(0, "1 of the 2 wanted is free; 0000:04:00.0: the VM has no free PCIe root port",
                "free one");
}

/* --- idempotence */

static void attached_already(void **state) {
    (void)state;
    vm("", HAS_PCI("3") HAS_STICK);
    devices[CORAL].use = SAMPLE_TEXT("whatever");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "skipped 0000:03:00.0\n");
    assert_says(0, "the VM has it already", NULL);
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "skipped 1-1.4\n");
    assert_string_equal(plan_of("attach port 1-1.5 as usb"), "attach 1-1.5\n");
}

static void one_device_of_two_rules_goes_once(void **state) {
    (void)state;
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started {\n"
                                                  "  attach at 03:00.0, 1ac1:089a at 03:00.* as "
                                                  "vfio\n"
                                                  "  attach all 1ac1:089a as vfio\n"
                                                  "}\n"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n");
}

/* --- groups */

static void with_group_takes_every_endpoint(void **state) {
    (void)state;
    devices[BRIDGE].iommu_group = 1;
    assert_string_equal(plan_of("attach 10de:2484 with group as vfio"),
                        "attach 0000:01:00.0\nattach 0000:01:00.1\n");
    assert_string_equal(plan_of("attach 10de:228b with group as vfio"),
                        "attach 0000:01:00.1\nattach 0000:01:00.0\n");
    assert_string_equal(plan_of("attach at 03:00.0 with group as vfio"), "attach 0000:03:00.0\n");
}

static void a_bridge_keeps_its_group_on_the_host(void **state) {
    (void)state;
    devices[BRIDGE].iommu_group = 1;
    devices[BRIDGE].driver = SAMPLE_TEXT("lpc_ich");
    devices[BRIDGE].class_code = 0x060100;
    assert_string_equal(plan_of("attach 10de:2484 with group as vfio"),
                        "refused group 0000:01:00.0\nrefused group 0000:01:00.1\n");
    assert_says(
        0,
        "IOMMU group 1 also holds 0000:08:00.0 (Some card), which is bound to the host driver "
        "lpc_ich",
        "it cannot be assigned");
}

static void a_rom_is_for_the_selected_device_only(void **state) {
    (void)state;
    plan_of("attach 10de:2484 with group as vfio rom \"/gpu.rom\"");
    assert_has(plan.entries[0].elements[0].xml, "<rom file='/gpu.rom'/>");
    assert_null(strstr(plan.entries[1].elements[0].xml, "<rom"));
    plan_of("attach 10de:228b with group as vfio rom \"/gpu.rom\"");
    assert_has(plan.entries[0].elements[0].xml, "<rom file='/gpu.rom'/>");
    assert_null(strstr(plan.entries[1].elements[0].xml, "<rom"));
    plan_of("attach all 10de:* with group as vfio rom \"/gpu.rom\"");
    assert_has(plan.entries[1].elements[0].xml, "<rom file='/gpu.rom'/>");
    plan_of("attach 10de:2484 with group as vfio rom off");
    assert_has(plan.entries[1].elements[0].xml, "<rom bar='off'/>");
}

static void with_group_takes_all_or_none(void **state) {
    (void)state;
    devices[SOUND].use = SAMPLE_TEXT("plays on it");
    assert_string_equal(plan_of("attach 10de:2484 with group as vfio"),
                        "refused in-use-by-host 0000:01:00.1\n");
    devices[SOUND].use = NULL;
    vm(PORT, "");
    assert_string_equal(plan_of("attach 10de:2484 with group as vfio"),
                        "refused no-port 0000:01:00.0\n");
    assert_says(0, "2 devices need a PCIe root port each, and the VM has 1 left",
                "one for each device");
}

static void with_group_adds_what_is_missing(void **state) {
    (void)state;
    vm(PORT, HAS_PCI("1"));
    assert_string_equal(plan_of("attach 10de:2484 with group as vfio"),
                        "skipped 0000:01:00.0\nattach 0000:01:00.1\n");
}

static void any_with_group_judges_the_group(void **state) {
    (void)state;
    devices[NIC].iommu_group = devices[CORAL].iommu_group;
    devices[NIC].use = SAMPLE_TEXT("uses it");
    assert_string_equal(plan_of("attach any 1ac1:* with group as vfio"), "attach 0000:04:00.0\n");
    devices[NIC].iommu_group = devices[CORAL2].iommu_group = devices[CORAL].iommu_group;
    devices[NIC].use = NULL;
    /* CORAL2 comes with the group of CORAL, and so they are two. */
    assert_string_equal(plan_of("attach any 2 1ac1:* with group as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:06:00.0\n");
    assert_string_equal(plan_of("attach any 3 1ac1:* with group as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:06:00.0\n"
                        "attach 0000:05:00.0\n");
}

/* Two cards with two Corals each, where the second card's addresses are around the first's. */
static void two_dual_corals(void) {
    devices[CORAL3].iommu_group = devices[CORAL].iommu_group = 20;
    devices[CORAL2].iommu_group = devices[NIC].iommu_group = 21;
    devices[NIC].id = devices[CORAL].id;
}

static void any_counts_what_comes_with_a_group(void **state) {
    (void)state;
    two_dual_corals();
    assert_string_equal(plan_of("attach any 2 1ac1:089a with group as vfio"),
                        "attach 0000:03:00.0\nattach 0000:05:00.0\n");
    assert_string_equal(plan_of("attach any 2 1ac1:089a with group as vfio optional"),
                        "attach 0000:03:00.0\nattach 0000:05:00.0\n");
    assert_string_equal(plan_of("attach any 1ac1:089a with group as vfio"),
                        "attach 0000:03:00.0\nattach 0000:05:00.0\n");
    /* a group is not divided: three are two cards */
    assert_string_equal(plan_of("attach any 3 1ac1:089a with group as vfio"),
                        "attach 0000:03:00.0\nattach 0000:05:00.0\n"
                        "attach 0000:04:00.0\nattach 0000:06:00.0\n");
    assert_string_equal(plan_of("attach any 5 1ac1:089a with group as vfio"),
                        "refused too-few 1ac1:089a\n");
    assert_says(0, "4 of the 5 wanted are free", "ask for fewer");
    /* the first card cannot go, so it is the second */
    devices[CORAL3].use = SAMPLE_TEXT("uses it");
    assert_string_equal(plan_of("attach any 2 1ac1:089a with group as vfio"),
                        "attach 0000:04:00.0\nattach 0000:06:00.0\n");
}

static void any_with_group_is_the_same_half_way(void **state) {
    (void)state;
    two_dual_corals();
    vm(PORTS, HAS_PCI("3"));
    assert_string_equal(plan_of("attach any 2 1ac1:089a with group as vfio"),
                        "skipped 0000:03:00.0\nattach 0000:05:00.0\n");
    vm(PORTS, HAS_PCI("5"));
    assert_string_equal(plan_of("attach any 2 1ac1:089a with group as vfio"),
                        "skipped 0000:05:00.0\nattach 0000:03:00.0\n");
    vm(PORTS, HAS_PCI("6"));
    assert_string_equal(plan_of("attach any 2 1ac1:089a with group as vfio"),
                        "skipped 0000:06:00.0\nattach 0000:04:00.0\n");
    vm(PORTS, HAS_PCI("3") HAS_PCI("5"));
    assert_string_equal(plan_of("attach any 2 1ac1:089a with group as vfio"),
                        "skipped 0000:03:00.0\nskipped 0000:05:00.0\n");
    /* what an action before it gives counts, with what comes along */
    vm(PORTS, "");
    assert_string_equal(plan_of("{\n"
                                "  attach at 06:00.0 with group as vfio\n"
                                "  attach any 2 1ac1:089a with group as vfio\n"
                                "}"),
                        "attach 0000:06:00.0\nattach 0000:04:00.0\n");
}

/* --- ports */

static void ports_are_counted_over_all_rules(void **state) {
    (void)state;
    vm(PORT PORT_OF("2"), "");
    assert_string_equal(
        planned_at(EVENT_STARTED, "on vm any started attach at 03:00.0 as vfio\n"
                                  "on vm any started attach port 1-1.4 as usb\n"
                                  "on vm any started attach at 04:00.0 as vfio\n"
                                  "on vm any started attach at 05:00.0 as vfio\n"),
        "attach 0000:03:00.0\nattach 1-1.4\nattach 0000:04:00.0\nrefused no-port 0000:05:00.0\n");
    assert_says(3, "no free PCIe root port (it has 2 in all)", "pcie-root-port");
}

static void slots_of_an_old_machine(void **state) {
    (void)state;
    vm_of("<domain><name>frigate</name><os><type machine='pc'>hvm</type></os>"
          "<devices><controller type='pci' model='pci-root'/></devices></domain>");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "attach 0000:03:00.0\n");
    domain.guest.buses[0].used = UINT32_MAX;
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused no-port 0000:03:00.0\n");
    assert_says(0, "no free PCI slot", "delete the <address>");
}

static void who_cannot_be_read_may_have_anything(void **state) {
    (void)state;
    domain_unreadable(&others[0], "win", "line 3: it was cut off");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused held 0000:03:00.0\n");
    assert_says(0, "VM 'win' is running, and its devices cannot be read: line 3: it was cut off",
                "virsh dumpxml win");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "refused held 1-1.4\n");
    domain_finish(&others[0]);
    others[0] = (struct domain){0};
    forget_plan();
    domain_finish(&domain);
    domain_unreadable(&domain, "frigate", "line 3");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused held 0000:03:00.0\n");
}

static void what_a_disk_is_on_is_held(void **state) {
    (void)state;
    other_vm(0, "win",
             "<disk type='nvme'><source type='pci'><address bus='1' function='1'/>"
             "</source></disk>");
    devices[SOUND].driver = SAMPLE_TEXT("vfio-pci");
    assert_string_equal(plan_of("attach at 01:00.0 as vfio"), "refused group 0000:01:00.0\n");
    assert_says(0, "which VM 'win' has: it uses it (disk)", "stop that VM");
    domain_finish(&others[0]);
    other_vm(0, "win",
             "<disk type='nvme'><source type='pci'><address bus='3' slot='0'/></source>"
             "<target dev='vdb'/></disk>");
    assert_string_equal(plan_of("attach any 1ac1:089a as vfio"), "attach 0000:04:00.0\n");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused held 0000:03:00.0\n");
    assert_says(0, "VM 'win' uses it (disk vdb)", "stop the VM");
    vm(PORTS, "<disk type='nvme'><source type='pci'><address bus='4' slot='0'/></source></disk>");
    assert_string_equal(plan_of("attach at 04:00.0 as vfio"), "refused held 0000:04:00.0\n");
    assert_says(0, "the VM itself uses it (disk)", "definition");
    assert_string_equal(plan_of("attach any 1ac1:089a as vfio"), "attach 0000:05:00.0\n");
}

/* libvirt looks for a conventional slot, unless the XML names the port. */
static void conventional_devices_get_an_address(void **state) {
    (void)state;
    devices[CORAL].kind = devices[CORAL3].kind = PCI_CONVENTIONAL;
    devices[CORAL2].kind = PCI_EXPRESS;
    vm(PORT PORT_OF("2") PORT_OF("3"), "");
    assert_string_equal(plan_of("attach all 1ac1:* as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n");
    assert_has(plan.entries[0].elements[0].xml,
               "  <address type='pci' domain='0x0000' bus='0x03' slot='0x00' "
               "function='0x0'/>\n</hostdev>");
    assert_null(strstr(plan.entries[1].elements[0].xml, "type='pci' domain"));
    assert_has(plan.entries[2].elements[0].xml,
               "<address type='pci' domain='0x0000' bus='0x02' slot='0x00'");
    assert_string_equal(plan_of("attach any 3 1ac1:*, at 06:00.0 as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n"
                        "refused no-port 0000:06:00.0\n");
}

static void ports_without_hot_plug_are_named(void **state) {
    (void)state;
    vm("<controller type='pci' model='pcie-root-port' index='1'><target hotplug='off'/>"
       "</controller>",
       "");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused no-port 0000:03:00.0\n");
    assert_says(0, "(it has 1 in all, 1 of them with hotplug='off')", "pcie-root-port");
}

static void a_machine_without_pci(void **state) {
    (void)state;
    vm_of("<domain><name>frigate</name><os><type machine='microvm'>hvm</type></os></domain>");
    assert_string_equal(plan_of("attach at 03:00.0 as vfio"), "refused no-port 0000:03:00.0\n");
    assert_says(0, "machine type microvm has no PCI bus", "q35");
}

#define FOUR_USB                                                                                   \
    "<domain id='3'><name>frigate</name><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"   \
    "<controller type='usb' index='0' model='piix3-uhci'/><input type='tablet' bus='usb'/>%s"      \
    "</devices></domain>"

static void usb_ports_are_counted_down(void **state) {
    char xml[1024];
    (void)state;
    snprintf(xml, sizeof xml, FOUR_USB, "");
    vm_of(xml);
    assert_string_equal(plan_of("attach all 1a6e:089a as usb"),
                        "attach 1-1.4\nrefused no-usb-port 1-1.5\n");
    assert_says(1, "no free USB port left: controller 0 (piix3-uhci) has 2 ports", "ports='15'");
    assert_string_equal(plan_of("attach any 2 1a6e:089a as usb optional"),
                        "attach 1-1.4\nskipped too-few 1a6e:089a\n");
}

/* An unplugged device leaves its place to one that is plugged in. */
static void a_device_that_goes_leaves_its_port(void **state) {
    char xml[1024];
    (void)state;
    snprintf(xml, sizeof xml, FOUR_USB,
             "<hostdev type='usb' mode='subsystem'><source><vendor id='0x1a6e'/>"
             "<product id='0x089a'/><address bus='1' device='9'/></source>"
             "<address type='usb' bus='0' port='2'/></hostdev>");
    vm_of(xml);
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "detach 1/9\nattach 1-1.4\n");
    assert_string_equal(plan_of("attach port 1-1.4, port 1-1.5 as usb"),
                        "detach 1/9\nattach 1-1.4\nrefused no-usb-port 1-1.5\n");
}

/* --- the guest's USB controllers */

#define TWO_USB                                                                                    \
    "<domain id='3'><name>frigate</name><os><type machine='pc-i440fx-7.2'>hvm</type></os>"         \
    "<devices><controller type='usb' index='0' model='piix3-uhci'/>"                               \
    "<controller type='usb' index='1' model='nec-xhci' ports='1'/>%s</devices></domain>"
#define HAS_STICK_ON_XHCI                                                                          \
    "<hostdev type='usb' mode='subsystem'><source><vendor id='0x1a6e'/><product id='0x089a'/>"     \
    "<address bus='1' device='9'/></source><address type='usb' bus='1' port='1'/></hostdev>"

static void two_usb(const char *devices_xml) {
    char xml[2048];
    snprintf(xml, sizeof xml, TWO_USB, devices_xml);
    vm_of(xml);
    devices[STICK].speed = devices[STICK2].speed = 480;
}

/* "1 fast", "0 slow": the controller of an entry's step, and whether a note says that it is slow.
 */
static const char *placed(size_t index) {
    static char text[32];
    const struct plan_entry *entry = &plan.entries[index];
    snprintf(text, sizeof text, "%u %s", entry->place.bus, entry->note ? "slow" : "fast");
    return text;
}

/* The second of two sticks finds the port of xHCI taken by the first. */
static void sticks_take_the_ports_of_the_fastest_first(void **state) {
    (void)state;
    two_usb("");
    assert_string_equal(plan_of("attach port 1-1.5, port 1-1.4 as usb"),
                        "attach 1-1.5\nattach 1-1.4\n");
    assert_string_equal(placed(0), "1 fast");
    assert_string_equal(placed(1), "0 slow");
    assert_non_null(strstr(plan.entries[0].elements[0].xml, "<address type='usb' bus='1'/>"));
    assert_non_null(strstr(plan.entries[1].elements[0].xml, "<address type='usb' bus='0'/>"));
    assert_string_equal(plan.entries[1].note,
                        "at 12 Mbit/s instead of 480: the fastest free port is of USB controller 0 "
                        "(piix3-uhci); add to the VM while it is off: <controller type='usb' "
                        "index='2' model='qemu-xhci' ports='15'/>");
    assert_string_equal(plan_of("attach all 1a6e:089a as usb"), "attach 1-1.4\nattach 1-1.5\n");
    assert_string_equal(placed(0), "1 fast");
    assert_string_equal(placed(1), "0 slow");
    assert_string_equal(plan_of("attach any 1a6e:089a as usb"), "attach 1-1.4\n");
    assert_string_equal(placed(0), "1 fast");
    assert_string_equal(plan_of("attach any 2 1a6e:089a as usb"), "attach 1-1.4\nattach 1-1.5\n");
    assert_string_equal(placed(1), "0 slow");
}

/* What was unplugged, and what another rule detaches, leaves its port of xHCI. */
static void a_stick_that_goes_leaves_its_controller(void **state) {
    (void)state;
    two_usb(HAS_STICK_ON_XHCI);
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "detach 1/9\nattach 1-1.4\n");
    assert_string_equal(placed(1), "1 fast");
    two_usb("<hostdev type='usb' mode='subsystem'><source><address bus='1' device='5'/></source>"
            "<address type='usb' bus='1' port='1'/></hostdev>");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "attach 1-1.4\n");
    assert_string_equal(placed(0), "0 slow");
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started detach port 1-1.5\n"
                                                  "on vm any started attach port 1-1.4 as usb\n"),
                        "detach 1-1.5\nattach 1-1.4\n");
    assert_string_equal(placed(1), "1 fast");
    assert_null(strstr(plan.entries[0].elements[0].xml,
                       "type='usb' bus")); /* of the guest: none to detach */
}

static void a_rule_names_the_controller(void **state) {
    (void)state;
    two_usb("");
    assert_string_equal(plan_of("attach port 1-1.4 as usb controller 0"), "attach 1-1.4\n");
    assert_string_equal(placed(0), "0 slow");
    assert_non_null(strstr(plan.entries[0].elements[0].xml, "<address type='usb' bus='0'/>"));
    assert_string_equal(plan.entries[0].note,
                        "at 12 Mbit/s instead of 480: the rule names USB controller 0 "
                        "(piix3-uhci); 'controller 1' gives it 480");
    assert_string_equal(plan_of("attach all 1a6e:089a as usb controller 1"),
                        "attach 1-1.4\nrefused no-usb-port 1-1.5\n");
    assert_says(1,
                "USB controller 1 has no free port: controller 0 (piix3-uhci) has 2 ports, of "
                "which the VM's devices take 0; controller 1 (nec-xhci) has 1 port, of which the "
                "VM's devices take 0 and this plan 1",
                "write 'controller 0', or leave 'controller 1' out of the rule; or add to the VM "
                "while it is off: <controller type='usb' index='2' model='qemu-xhci' ports='15'/>, "
                "and write 'controller 2'");
    /* `any` takes the one that fits. */
    assert_string_equal(plan_of("attach any 2 1a6e:089a as usb controller 1 optional"),
                        "attach 1-1.4\nskipped too-few 1a6e:089a\n");
    assert_string_equal(plan_of("attach port 1-1.4 as usb controller 3"),
                        "refused no-controller 1-1.4\n");
    assert_says(0, "the VM has no USB controller 3: controller 0 (piix3-uhci) has 2 ports",
                "write 'controller 1', or leave 'controller 3' out of the rule; or add to the VM "
                "while it is off: <controller type='usb' index='3' model='qemu-xhci' ports='15'/>");
    vm_of("<domain id='3'><name>frigate</name><devices><controller type='usb' index='0' "
          "model='ehci'/></devices></domain>");
    devices[STICK].speed = 12;
    assert_string_equal(plan_of("attach port 1-1.4 as usb controller 0"),
                        "refused usb-speed 1-1.4\n");
    assert_says(0,
                "USB controller 0 (ehci) runs devices at 480 Mbit/s and no less, and qemu cannot "
                "give this one of 12 Mbit/s to it",
                "index='1'");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "refused no-usb-port 1-1.4\n");
    assert_says(0, "none of the VM's free USB ports takes a device of 12 Mbit/s", "index='1'");
}

/* Nothing is known of its controllers: libvirt decides, or refuses. */
static void a_vm_whose_controllers_are_not_known(void **state) {
    (void)state;
    devices[STICK].speed = 12;
    domain_from_name(&domain, "frigate");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "attach 1-1.4\n");
    assert_null(strstr(plan.entries[0].elements[0].xml, "type='usb' bus"));
    assert_string_equal(plan_of("attach port 1-1.4 as usb controller 2"), "attach 1-1.4\n");
    assert_non_null(strstr(plan.entries[0].elements[0].xml, "<address type='usb' bus='2'/>"));
    vm_of("<domain><name>frigate</name><os><type>hvm</type></os></domain>");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "attach 1-1.4\n");
}

static void an_old_libvirt_has_no_guest_reset(void **state) {
    static const char *const values[] = {"on", "off", "uninitialized"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char rule[96], expected[32];
        snprintf(rule, sizeof rule, "attach port 1-1.4 as usb guest reset %s", values[i]);
        snprintf(expected, sizeof expected, "<source guestReset='%s'>", values[i]);
        libvirt_version = 8005000;
        assert_string_equal(plan_of(rule), "refused libvirt-too-old 1-1.4\n");
        assert_says(0, "'guest reset' needs libvirt 8.6.0, and this host has 8.5.0",
                    "leave 'guest reset' out of the rule, or upgrade libvirt");
        libvirt_version = 8006000;
        assert_string_equal(plan_of(rule), "attach 1-1.4\n");
        assert_non_null(strstr(plan.entries[0].elements[0].xml, expected));
        libvirt_version = 0; /* a recorded host */
        assert_string_equal(plan_of(rule), "attach 1-1.4\n");
    }
    /* What the VM has already is not refused. */
    libvirt_version = 8005000;
    vm(PORTS, HAS_STICK);
    assert_string_equal(plan_of("attach port 1-1.4 as usb guest reset off"), "skipped 1-1.4\n");
}

static void a_vm_of_which_only_the_name_is_known(void **state) {
    (void)state;
    domain_from_name(&domain, "frigate");
    assert_string_equal(plan_of("attach all 1ac1:*, at 06:00.0 as vfio"),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n"
                        "attach 0000:06:00.0\n");
    assert_string_equal(plan_of("attach port 1-1.4 as usb"), "attach 1-1.4\n");
}

/* --- detach and run */

static void detach_what_the_vm_has(void **state) {
    (void)state;
    vm(PORTS, HAS_PCI("3") HAS_PCI("5") HAS_STICK);
    assert_string_equal(plan_of("detach at 03:00.0"), "detach 0000:03:00.0\n");
    assert_has(plan.entries[0].elements[0].xml, "bus='0x03'");
    assert_string_equal(plan_of("detach all 1ac1:*"), "detach 0000:03:00.0\ndetach 0000:05:00.0\n");
    assert_string_equal(plan_of("detach any 1ac1:*"), "detach 0000:03:00.0\n");
    assert_string_equal(plan_of("detach 1a6e:089a"), "detach 1-1.4\n");
    assert_string_equal(plan_of("detach at 04:00.0"), "skipped at 04:00.0\n");
    assert_says(0, "the VM does not have it", NULL);
}

static void detach_is_as_strict_as_attach(void **state) {
    (void)state;
    vm(PORTS, HAS_PCI("3") HAS_PCI("5"));
    assert_string_equal(plan_of("detach 1ac1:*"), "refused ambiguous 1ac1:*\n");
    assert_says(0, "2 devices that the VM has are 1ac1:*: 0000:03:00.0, 0000:05:00.0",
                "'at 0000:03:00.0'");
}

static void detach_once(void **state) {
    (void)state;
    vm(PORTS, HAS_PCI("3"));
    assert_string_equal(plan_of("detach at 03:00.0, 1ac1:*"), "detach 0000:03:00.0\n");
}

static void programs_run_at_every_event(void **state) {
    (void)state;
    assert_string_equal(planned_at(EVENT_RELEASE, "on vm any release run \"/bin/x\" a \"b c\"\n"),
                        "run /bin/x\n");
    assert_null(plan.entries[0].device);
    assert_int_equal(plan.entries[0].element_count, 0);
    assert_null(plan.entries[0].target_text);
    assert_null(plan_device_text(&plan.entries[0]));
}

/* What the host's files show of a program is in the plan; of a directory that a copy of a host does
 * not have nothing is said. */
static void programs_that_are_refused(void **state) {
    (void)state;
    char root[] = "/tmp/plan-XXXXXX", file[64];
    assert_non_null(mkdtemp(root));
    snprintf(file, sizeof file, "%s/opt", root);
    assert_int_equal(mkdir(file, 0755), 0);
    snprintf(file, sizeof file, "%s/opt/x", root);
    FILE *out = fopen(file, "we");
    assert_non_null(out);
    fclose(out);
    assert_int_equal(chmod(file, 0777), 0);
    program_root = root;
    assert_string_equal(planned_at(EVENT_RELEASE, "on vm any release {\n run \"/opt/x\"\n"
                                                  " run \"/opt/y\"\n run \"/none/y\"\n}\n"),
                        "refused unsafe-program /opt/x\nrefused unsafe-program /opt/y\n"
                        "run /none/y\n");
    assert_non_null(strstr(plan.entries[0].message, "mode 0777"));
    assert_string_equal(plan.entries[0].hint, "sudo chown root /opt/x; sudo chmod go-w /opt/x");
    assert_string_equal(plan.entries[1].message, "'/opt/y' does not exist");
    assert_int_equal(chmod(file, 0755), 0);
    assert_string_equal(planned_at(EVENT_RELEASE, "on vm any release run \"/opt/x\"\n"),
                        "run /opt/x\n");
    program_root = NULL; /* as for a run, which judges a program when it starts it */
    assert_string_equal(planned_at(EVENT_RELEASE, "on vm any release run \"/opt/y\"\n"),
                        "run /opt/y\n");
    unlink(file);
    *strrchr(file, '/') = '\0';
    rmdir(file);
    assert_int_equal(rmdir(root), 0);
}

static void entries_stand_in_the_order_of_rules(void **state) {
    (void)state;
    assert_string_equal(planned_at(EVENT_STARTED, "on vm any started run \"/first\"\n"
                                                  "on vm any started {\n"
                                                  "  attach at 05:00.0, at 03:00.0 as vfio\n"
                                                  "  attach ffff:* as vfio\n"
                                                  "  run \"/second\"\n"
                                                  "}\n"
                                                  "on vm other started run \"/no\"\n"
                                                  "on vm any started attach port 1-1.4 as usb\n"),
                        "run /first\nattach 0000:05:00.0\nattach 0000:03:00.0\n"
                        "refused absent ffff:*\nrun /second\nattach 1-1.4\n");
    char *rule = plan_rule_text(&plan.entries[4]);
    assert_string_equal(rule, "t.rules:5");
    free(rule);
}

static void durations_of_an_action(void **state) {
    (void)state;
    plan_of("attach at 03:00.0 as vfio within 2m after 500ms optional");
    const struct action *action = plan.entries[0].action;
    assert_int_equal(plan_option_ms(action, OPTION_WITHIN), 120000);
    assert_int_equal(plan_option_ms(action, OPTION_AFTER), 500);
    assert_true(plan_has_option(action, OPTION_OPTIONAL));
    assert_false(plan_has_option(action, OPTION_UNMANAGED));
}

static void many_rules_take_no_time(void **state) {
    (void)state;
    size_t size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; i < 20000; i++)
        fprintf(out, "on vm any started attach all class 01, at 03:00.0 as vfio within %dms\n",
                i + 1);
    fclose(out);
    planned_at(EVENT_STARTED, text);
    assert_int_equal(plan_count(&plan, PLAN_STEP), 1);
    assert_int_equal(plan_count(&plan, PLAN_REFUSED), 20000);
    free(text);
}

/* --- coming and going */

static void only_targets_that_select_what_came(void **state) {
    (void)state;
    static const char text[] = "on vm frigate plugged attach port 1-1.4, 10de:ffff as usb\n"
                               "on vm frigate plugged attach all 1a6e:089a as usb\n"
                               "on vm frigate plugged attach all 1ac1:089a as vfio\n";
    came = &devices[STICK2];
    assert_string_equal(planned_at(EVENT_PLUGGED, text), "attach 1-1.4\nattach 1-1.5\n");
    came = &devices[CORAL];
    assert_string_equal(planned_at(EVENT_PLUGGED, text),
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n");
    came = NULL;
    assert_string_equal(planned_at(EVENT_PLUGGED, text),
                        "attach 1-1.4\nrefused absent 10de:ffff\nattach 1-1.5\n"
                        "attach 0000:03:00.0\nattach 0000:04:00.0\nattach 0000:05:00.0\n");
}

#define HAS_OLD_STICK                                                                              \
    "<hostdev type='usb' mode='subsystem'><source><vendor id='0x1a6e'/><product id='0x089a'/>"     \
    "<address bus='1' device='99'/></source></hostdev>"

static void what_left_the_host_leaves_the_vm(void **state) {
    (void)state;
    static const char text[] =
        "on vm frigate started, plugged attach port 1-1.4 1a6e:089a as usb\n";
    vm(PORTS, HAS_OLD_STICK);
    assert_string_equal(planned_at(EVENT_STARTED, text), "detach 1/99\nattach 1-1.4\n");
    assert_string_equal(plan.entries[0].elements[0].xml, "<hostdev mode='subsystem' type='usb'>\n"
                                                         "  <source>\n"
                                                         "    <vendor id='0x1a6e'/>\n"
                                                         "    <product id='0x089a'/>\n"
                                                         "    <address bus='1' device='99'/>\n"
                                                         "  </source>\n"
                                                         "</hostdev>");
    assert_says(0, "was unplugged from the host", NULL);
    assert_int_equal(program_line(plan.entries[0].rule, plan.entries[0].action), 1);
    assert_string_equal(planned_at(EVENT_UNPLUGGED, text), "detach 1/99\n");
    assert_string_equal(planned_at(EVENT_STOPPED, text), "");
    assert_string_equal(planned_at(EVENT_STARTED, "on vm other started attach 1a6e:089a as usb\n"),
                        "");
    vm(PORTS, HAS_STICK);
    assert_string_equal(planned_at(EVENT_UNPLUGGED, text), "");
    host.count = STICK; /* but for root hubs nothing is there, */
    vm(PORTS, HAS_OLD_STICK);
    assert_string_equal(planned_at(EVENT_UNPLUGGED, text), "detach 1/99\n");
    host.has_usb = false; /* or nothing is known of USB */
    assert_string_equal(planned_at(EVENT_UNPLUGGED, text), "");
}

static const char TWO_STICKS[] = "on vm frigate started, plugged attach all 1a6e:089a as usb\n";

/* Asked about, or not yet gone from sysfs. */
static void what_is_still_there_counts_as_gone(void **state) {
    (void)state;
    vm(PORTS, HAS_STICK);
    came = &devices[STICK];
    assert_string_equal(planned_at(EVENT_UNPLUGGED, TWO_STICKS), "detach 1/4\n");
    assert_non_null(plan.entries[0].unplugged);
    assert_string_equal(planned_at(EVENT_PLUGGED, TWO_STICKS), "skipped 1-1.4\nattach 1-1.5\n");
    assert_string_equal(planned_at(EVENT_UNPLUGGED, "on vm frigate unplugged detach 1a6e:089a\n"),
                        "detach 1/4\n");
    assert_string_equal(
        planned_at(EVENT_UNPLUGGED, "on vm frigate unplugged detach all 1a6e:089a\n"),
        "detach 1/4\n");
    assert_string_equal(planned_at(EVENT_UNPLUGGED, "on vm frigate unplugged detach 10c4:ea60\n"),
                        "");
    struct device back = devices[STICK]; /* it came back: what is there is another one */
    back.device_number = 3;
    came = &back;
    assert_string_equal(planned_at(EVENT_UNPLUGGED, TWO_STICKS), "");
}

static void what_leaves_is_not_attached(void **state) {
    (void)state;
    static const char one[] = "on vm frigate unplugged attach port 1-1.4 as usb\n";
    came = &devices[STICK];
    assert_string_equal(planned_at(EVENT_UNPLUGGED, one), "skipped absent port 1-1.4\n");
    assert_says(0, "the device leaves the host", NULL);
    assert_string_equal(planned_at(EVENT_UNPLUGGED, "on vm frigate unplugged attach 1a6e:089a as "
                                                    "usb\n"),
                        "attach 1-1.5\n");
    assert_string_equal(planned_at(EVENT_UNPLUGGED, "on vm frigate unplugged attach port 1-1.4 as "
                                                    "usb within 9s\n"),
                        "refused absent port 1-1.4\n");
    came = &devices[CORAL];
    assert_string_equal(
        planned_at(EVENT_UNPLUGGED, "on vm frigate unplugged attach any 1ac1:089a as vfio\n"),
        "attach 0000:04:00.0\n");
    came = NULL;
    assert_string_equal(planned_at(EVENT_UNPLUGGED, one), "attach 1-1.4\n");
}

/* Its rule detaches it when it is unplugged, and not when another device is. */
static void a_rule_that_detaches_is_for_the_device_that_left(void **state) {
    (void)state;
    static const char text[] = "on vm frigate unplugged detach 1a6e:089a, 18d1:9302\n";
    struct device left = {SAMPLE_USB("1-1.7", 0x18d1, 0x9302, 1, 98)};
    vm(PORTS, HAS_OLD_STICK);
    came = &left;
    assert_null(strstr(planned_at(EVENT_UNPLUGGED, text), "detach 1/99"));
    left.bus_number = left.device_number = 0; /* known by its id alone */
    assert_null(strstr(planned_at(EVENT_UNPLUGGED, text), "detach 1/99"));
    left.id = devices[STICK].id;
    assert_string_equal(planned_at(EVENT_UNPLUGGED, text), "detach 1/99\n");
    left.bus_number = 1; /* its number says that it is another one */
    left.device_number = 98;
    assert_null(strstr(planned_at(EVENT_UNPLUGGED, text), "detach 1/99"));
    left.device_number = 99;
    assert_string_equal(planned_at(EVENT_UNPLUGGED, text), "detach 1/99\n");
    came = &devices[CORAL];
    assert_null(strstr(planned_at(EVENT_UNPLUGGED, text), "detach 1/99"));
}

/* At the event of any device: the uevent of the unplugged one may have been missed. */
static void what_was_given_and_is_gone_leaves_at_any_event(void **state) {
    (void)state;
    static const char text[] =
        "on vm frigate started, plugged attach all 1a6e:089a, 18d1:9302 as usb\n";
    struct device left = {SAMPLE_USB("1-1.7", 0x18d1, 0x9302, 1, 98)};
    vm(PORTS, HAS_OLD_STICK);
    came = &left;
    assert_string_equal(planned_at(EVENT_UNPLUGGED, text), "detach 1/99\n");
    came = &devices[CORAL];
    assert_string_equal(planned_at(EVENT_UNPLUGGED, text), "detach 1/99\n");
    came = &devices[HUB]; /* what comes may be the stick under another id */
    assert_string_equal(planned_at(EVENT_PLUGGED, text), "detach 1/99\n");
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_first_rule_of_all),
        TEST(options_reach_the_xml),
        TEST(usb_goes_by_its_number_now),
        TEST(absent),
        TEST(absent_by_name),
        TEST(optional_may_be_absent),
        TEST(ambiguous),
        TEST(ambiguous_although_only_one_is_free),
        TEST(many_addresses_stay_one_line),
        TEST(never),
        TEST(never_holds_for_what_a_scsi_device_is_on),
        TEST(a_scsi_device_and_what_it_is_on_are_one),
        TEST(a_domain_that_qemu_does_not_take),
        TEST(a_controller_takes_its_domain_along),
        TEST(a_guard_on_what_is_behind_a_controller),
        TEST(a_guard_on_a_virtual_function),
        TEST(wrong_bus),
        TEST(bridge_and_hub),
        TEST(all_behind_a_hub),
        TEST(nothing_but_hubs),
        TEST(used_by_the_host),
        TEST(the_last_keyboard_of_the_console_stays),
        TEST(what_is_required_is_free),
        TEST(what_is_required_of_several_buses),
        TEST(held_by_another_vm),
        TEST(held_by_the_word_of_libvirt),
        TEST(no_iommu),
        TEST(a_group_on_host_drivers),
        TEST(a_group_that_another_vm_has),
        TEST(no_free_port),
        TEST(no_usb_controller),
        TEST(a_wrong_event),
        TEST(the_strongest_reason_first),
        TEST(all_takes_all),
        TEST(any_takes_the_first_free_ones),
        TEST(equal_titles),
        TEST(any_goes_past_what_it_cannot_have),
        TEST(any_takes_none_when_there_are_too_few),
        TEST(any_counts_what_the_vm_has),
        TEST(two_rules_take_the_same_any),
        TEST(what_any_did_not_take_is_judged_anew),
        TEST(any_leaves_no_half_of_it_for_want_of_ports),
        TEST(attached_already),
        TEST(one_device_of_two_rules_goes_once),
        TEST(with_group_takes_every_endpoint),
        TEST(a_bridge_keeps_its_group_on_the_host),
        TEST(a_rom_is_for_the_selected_device_only),
        TEST(with_group_takes_all_or_none),
        TEST(with_group_adds_what_is_missing),
        TEST(any_with_group_judges_the_group),
        TEST(any_counts_what_comes_with_a_group),
        TEST(any_with_group_is_the_same_half_way),
        TEST(ports_are_counted_over_all_rules),
        TEST(slots_of_an_old_machine),
        TEST(who_cannot_be_read_may_have_anything),
        TEST(what_a_disk_is_on_is_held),
        TEST(conventional_devices_get_an_address),
        TEST(ports_without_hot_plug_are_named),
        TEST(a_machine_without_pci),
        TEST(usb_ports_are_counted_down),
        TEST(sticks_take_the_ports_of_the_fastest_first),
        TEST(a_stick_that_goes_leaves_its_controller),
        TEST(a_rule_names_the_controller),
        TEST(a_vm_whose_controllers_are_not_known),
        TEST(an_old_libvirt_has_no_guest_reset),
        TEST(a_device_that_goes_leaves_its_port),
        TEST(a_vm_of_which_only_the_name_is_known),
        TEST(detach_what_the_vm_has),
        TEST(detach_is_as_strict_as_attach),
        TEST(detach_once),
        TEST(programs_run_at_every_event),
        TEST(programs_that_are_refused),
        TEST(entries_stand_in_the_order_of_rules),
        TEST(durations_of_an_action),
        TEST(only_targets_that_select_what_came),
        TEST(what_left_the_host_leaves_the_vm),
        TEST(what_is_still_there_counts_as_gone),
        TEST(what_leaves_is_not_attached),
        TEST(a_rule_that_detaches_is_for_the_device_that_left),
        TEST(what_was_given_and_is_gone_leaves_at_any_event),
        TEST(many_rules_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
