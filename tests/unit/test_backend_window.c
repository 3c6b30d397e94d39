#include "engine/backend/backend_window.h"
#include "sample.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define Q35 "<os><type machine='pc-q35-7.2'>hvm</type></os>"
#define EFI "<os firmware='efi'><type machine='pc-q35-7.2'>hvm</type></os>"
#define FLASH "<os><type machine='pc-q35-7.2'>hvm</type><loader type='pflash'>x</loader></os>"
#define PC "<os><type machine='pc-i440fx-7.2'>hvm</type></os>"
#define ROOT "<controller type='pci' index='0' model='pcie-root'/>"
#define PORT(inner) "<controller type='pci' index='5' model='pcie-root-port'>" inner "</controller>"
#define PCI_ROOT(inner) "<controller type='pci' index='0' model='pci-root'>" inner "</controller>"

static struct domain domain;
static struct backend_window window;
static char *note;

static int tear_down(void **state) {
    (void)state;
    backend_window_finish(&window);
    free(note);
    note = NULL;
    if (domain.name)
        domain_finish(&domain);
    domain = (struct domain){0};
    return 0;
}

static void add_bar(struct device *device, uint64_t size, bool is_64bit, bool is_prefetchable) {
    device->has_bars = true;
    device->bars[device->bar_count] =
        (struct device_bar){(unsigned)device->bar_count, size, is_64bit, is_prefetchable};
    device->bar_count++;
}

static struct device device_of(uint64_t low, uint64_t high) {
    struct device device = {.kind = PCI_EXPRESS};
    device.has_bars = true;
    if (low)
        add_bar(&device, low, false, false);
    if (high)
        add_bar(&device, high, true, true);
    return device;
}

/* The device gets its place in a VM of that XML, and is judged there. */
static const char *judge(const char *os, const char *controllers, const struct device *device,
                         unsigned long version) {
    struct guest_place place;
    char *xml = memory_printf("<domain id='3'><name>x</name>%s<devices>%s</devices></domain>", os,
                              controllers);
    tear_down(NULL);
    sample_domain(&domain, xml);
    free(xml);
    assert_true(guest_take_pci(&domain.guest, device->kind, &place));
    window = backend_window_judge(&domain.guest, device, &place, version);
    return window.message;
}

static const char *judge_port(const struct device *device) {
    return judge(Q35, ROOT PORT(""), device, 0);
}

static void small_bars_fit(void **state) {
    (void)state;
    struct device device = device_of(MIB, MIB);
    assert_null(judge_port(&device));
    device = device_of(2 * MIB, 2 * MIB);
    assert_null(judge_port(&device));
    device = device_of(0, 0);
    assert_null(judge_port(&device));
    assert_true(backend_window_is_enough(&device));
}

static void says_what_large_ones_need(void **state) {
    (void)state;
    struct device device = device_of(16 * MIB, 256 * MIB);
    add_bar(&device, 32 * MIB, true, true);
    assert_false(backend_window_is_enough(&device));
    assert_string_equal(judge_port(&device),
                        "the guest may find no addresses for its memory BARs (16M + 256M 64-bit "
                        "prefetchable + 32M 64-bit prefetchable): for a port that is empty at "
                        "boot its firmware may reserve 2M only");
    /* 304 MiB, and 256 MiB by which SeaBIOS may misalign the largest of them */
    assert_string_equal(window.hint,
                        "let the firmware find it at boot: 'defined' in the rule, or a reboot of "
                        "the guest once it has the device; or put <target memReserve='573440'/> "
                        "into the VM's <controller type='pci' index='5' model='pcie-root-port'> "
                        "while it is off, which needs libvirt 10.3");
    /* OVMF: the next power of two, aligned to itself */
    assert_non_null(judge(EFI, ROOT PORT(""), &device, 0));
    assert_non_null(strstr(window.hint, "memReserve='524288'"));
    assert_non_null(judge(FLASH, ROOT PORT(""), &device, 0));
    assert_non_null(strstr(window.hint, "memReserve='524288'"));
}

static void each_kind_counts(void **state) {
    (void)state;
    struct device device = device_of(4 * MIB, 0);
    assert_non_null(judge_port(&device));
    assert_non_null(strstr(window.hint, "memReserve='8192'"));
    device = device_of(0, 4 * MIB);
    assert_non_null(judge_port(&device));
    device = (struct device){.kind = PCI_EXPRESS};
    add_bar(&device, 4 * MIB, true, false); /* 64-bit, not prefetchable: below 4 GiB */
    assert_non_null(judge_port(&device));
    device = (struct device){.kind = PCI_EXPRESS};
    for (int i = 0; i < 3; i++) /* their sum counts */
        add_bar(&device, MIB, false, false);
    assert_non_null(judge_port(&device));
}

static void unknown_is_no_claim(void **state) {
    (void)state;
    struct device device = device_of(0, 8 * GIB);
    device.has_bars = false;
    assert_null(judge_port(&device));
    device.has_bars = true;
    /* libvirt decides, or a person who told qemu */
    assert_null(judge("", "", &device, 0));
    assert_null(judge(Q35, ROOT "<controller type='pci' model='pcie-root-port'/>", &device, 0));
    struct guest_place place;
    static const char *const more[] = {
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<qemu:arg value='-global'/><qemu:arg value='pcie-root-port.pref64-reserve=16G'/>"
        "</qemu:commandline>",
        "<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<qemu:device alias='pci.5'><qemu:frontend>"
        "<qemu:property name='pref64-reserve' type='unsigned' value='17179869184'/>"
        "</qemu:frontend></qemu:device></qemu:override>"};
    for (size_t i = 0; i < 2; i++) {
        tear_down(NULL);
        char *xml = memory_printf("<domain id='3'><name>x</name>" Q35
                                  "<devices>" ROOT PORT("") "</devices>%s</domain>",
                                  more[i]);
        sample_domain(&domain, xml);
        free(xml);
        assert_true(guest_take_pci(&domain.guest, PCI_EXPRESS, &place));
        note = backend_window_note(&domain.guest, &device, &place, 0);
        assert_null(note);
    }
}

static void knows_what_is_reserved(void **state) {
    (void)state;
    struct device device = device_of(16 * MIB, 256 * MIB);
    assert_null(judge(Q35, ROOT PORT("<target memReserve='278528'/>"), &device, 0)); /* 272 MiB */
    assert_non_null(judge(Q35, ROOT PORT("<target memReserve='277504'/>"), &device, 0));
    assert_non_null(strstr(window.message, "may reserve 271M only"));
}

static void the_port_is_the_one_that_libvirt_takes(void **state) {
    (void)state;
    static const char *const ports =
        ROOT "<controller type='pci' index='2' model='pcie-root-port'/>"
             "<controller type='pci' index='3' model='pcie-root-port'/>"
             "<memballoon><address type='pci' bus='0x02' slot='0'/></memballoon>";
    struct device device = device_of(0, 256 * MIB);
    assert_non_null(judge(Q35, ports, &device, 0));
    assert_non_null(strstr(window.hint, "index='3'"));
    /* of a device without an Express capability the last one, which its XML names */
    device.kind = PCI_CONVENTIONAL;
    assert_non_null(judge(Q35, ports, &device, 0));
    assert_non_null(strstr(window.hint, "index='3'"));
    /* a slot of a bridge: libvirt has nothing to reserve there */
    assert_non_null(judge(Q35, ROOT "<controller type='pci' index='4' model='pcie-to-pci-bridge'/>",
                          &device, 0));
    assert_null(strstr(window.hint, "memReserve"));
}

static void the_version_matters(void **state) {
    (void)state;
    struct device device = device_of(0, 256 * MIB);
    assert_non_null(judge(Q35, ROOT PORT(""), &device, 9000000));
    assert_non_null(strstr(window.hint, ", which needs libvirt 10.3 (this is 9.0)"));
    assert_non_null(judge(Q35, ROOT PORT(""), &device, 10003000));
    assert_null(strstr(window.hint, "needs libvirt"));
}

/* Below 4 GiB there is no room for it: only a firmware that sees it helps. */
static void advises_nothing_that_cannot_work(void **state) {
    (void)state;
    struct device device = device_of(MIB, 16 * GIB);
    assert_non_null(judge_port(&device));
    assert_non_null(strstr(window.message, "16G 64-bit"));
    assert_null(strstr(window.hint, "memReserve"));
    assert_non_null(strstr(window.hint, "'defined'"));
}

static void i440fx_has_one_window(void **state) {
    (void)state;
    struct device device = device_of(16 * MIB, 256 * MIB);
    assert_null(judge(PC, PCI_ROOT(""), &device, 0));
    device = device_of(MIB, 8 * GIB);
    assert_non_null(judge(PC, PCI_ROOT(""), &device, 0));
    assert_non_null(strstr(window.message, "window of 2G"));
    assert_non_null(strstr(window.hint, "<pcihole64 unit='GiB'>16</pcihole64>"));
    assert_null(judge(PC, PCI_ROOT("<pcihole64 unit='KiB'>16777216</pcihole64>"), &device, 0));
    assert_null(judge(PC, PCI_ROOT("<pcihole64 unit='GiB'>16</pcihole64>"), &device, 0));
    assert_null(judge(PC, PCI_ROOT("<pcihole64>16777216</pcihole64>"), &device, 0));
    assert_null(judge(PC, PCI_ROOT("<pcihole64 unit='b'>17179869184</pcihole64>"), &device, 0));
    assert_null(judge(PC, PCI_ROOT("<pcihole64 unit='GB'>9</pcihole64>"), &device, 0));
    assert_non_null(judge(PC, PCI_ROOT("<pcihole64 unit='GB'>8</pcihole64>"), &device, 0));
    assert_non_null(judge(PC, PCI_ROOT("<pcihole64 unit='MiB'>16</pcihole64>"), &device, 0));
    /* of the root bus of another machine nothing is known */
    assert_null(judge("<os><type machine='pseries-7.2'>hvm</type></os>", PCI_ROOT(""), &device, 0));
}

static void the_note_is_both_texts(void **state) {
    (void)state;
    struct device device = device_of(0, 16 * GIB);
    struct guest_place place = {.has_pci_bus = true, .pci_bus = 5};
    assert_non_null(judge_port(&device));
    note = backend_window_note(&domain.guest, &device, &place, 0);
    assert_string_equal(note,
                        "the guest may find no addresses for its memory BARs (16G 64-bit "
                        "prefetchable): for a port that is empty at boot its firmware may reserve "
                        "2M only; let the firmware find it at boot: 'defined' in the rule, or a "
                        "reboot of the guest once it has the device");
}

static void writes_all_sizes(void **state) {
    (void)state;
    struct device device = {.kind = PCI_EXPRESS};
    add_bar(&device, 256, false, false);
    add_bar(&device, 16384, true, false);
    add_bar(&device, 64 * GIB, true, true);
    add_bar(&device, MIB, false, true);
    note = backend_window_bars_text(&device);
    assert_string_equal(note, "256 bytes + 16K 64-bit + 64G 64-bit prefetchable + 1M prefetchable");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(small_bars_fit, tear_down),
        cmocka_unit_test_teardown(says_what_large_ones_need, tear_down),
        cmocka_unit_test_teardown(each_kind_counts, tear_down),
        cmocka_unit_test_teardown(unknown_is_no_claim, tear_down),
        cmocka_unit_test_teardown(knows_what_is_reserved, tear_down),
        cmocka_unit_test_teardown(the_port_is_the_one_that_libvirt_takes, tear_down),
        cmocka_unit_test_teardown(the_version_matters, tear_down),
        cmocka_unit_test_teardown(advises_nothing_that_cannot_work, tear_down),
        cmocka_unit_test_teardown(i440fx_has_one_window, tear_down),
        cmocka_unit_test_teardown(the_note_is_both_texts, tear_down),
        cmocka_unit_test_teardown(writes_all_sizes, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
