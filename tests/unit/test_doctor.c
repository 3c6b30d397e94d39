/* The doctor: each condition on trees that have and lack what it looks for. */
#include "engine/doctor/doctor.h"

#include "engine/state/boot_note.h"
#include "engine/state/vm_state.h"
#include "engine/system/process.h"
#include "unit/range.h"
#include "unit/sample.h"

#include <errno.h>
#include <ftw.h>
#include <json-c/json.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WALK_FDS = 16, WIDTH = 23 };

#define HOOKS "etc/libvirt/hooks/"
#define MARK                                                                                       \
    "\x7f"                                                                                         \
    "ELF@(#)virt-rules-hook "
#define ENGINE (BINDIR "/virt-rules")
#define VFIO "on vm frigate started attach 1ac1:089a as vfio"
#define USB "on vm frigate started attach 10c4:ea60 as usb"

#define VM_UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa"
#define UUID(LAST) "<uuid>" VM_UUID LAST "</uuid>"

/* --- a host of one's own */

struct bed {
    char root[PATH_MAX];
    struct doctor doctor;
    struct layout layout;
    struct host host;
    struct sample_rules rules;
    struct doctor_findings findings;
};

static void make_parents(char *path) {
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static const char *full(const struct bed *bed, const char *path) {
    static char text[2 * PATH_MAX];
    snprintf(text, sizeof text, "%s/%s", bed->root, path);
    return text;
}

static void put_bytes(const struct bed *bed, const char *path, const char *text, size_t size) {
    char *name = memory_strdup(full(bed, path));
    make_parents(name);
    FILE *out = fopen(name, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    free(name);
}

static void put(const struct bed *bed, const char *path, const char *text) {
    put_bytes(bed, path, text, strlen(text));
}

static void drop(const struct bed *bed, const char *path) {
    assert_int_equal(unlink(full(bed, path)), 0);
}

static void set_mode(const struct bed *bed, const char *path, mode_t mode) {
    assert_int_equal(chmod(full(bed, path), mode), 0);
}

/* An executable file, a NUL before its text as a program has. */
static void put_program(const struct bed *bed, const char *path, const char *text) {
    char *bytes = memory_printf("#%s", text);
    size_t size = strlen(bytes);
    *bytes = '\0';
    put_bytes(bed, path, bytes, size);
    free(bytes);
    set_mode(bed, path, 0755);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status, (void)type, (void)place;
    return remove(path);
}

static void use_rules(struct bed *bed, const char *text) {
    sample_rules_finish(&bed->rules);
    sample_rules_init(&bed->rules, text);
    bed->doctor.ruleset = &bed->rules.ruleset;
    bed->doctor.program = &bed->rules.program;
}

static void use_root(struct bed *bed, const char *root) {
    snprintf(bed->root, sizeof bed->root, "%s", root);
    layout_find(&bed->layout, &(struct layout_request){.root = bed->root, .prefix = ""});
    bed->doctor = (struct doctor){.layout = &bed->layout,
                                  .rules = "/rules.d",
                                  .state = "/state",
                                  .host_error = "no devices to read",
                                  .facts = {.exists = true,
                                            .is_directory = true,
                                            .is_writable = true,
                                            .is_log_usable = true,
                                            .has_free_files = true,
                                            .free_bytes = 1ULL << 30},
                                  .is_root = true};
    assert_true(tree_open(&bed->doctor.tree, bed->root));
    sample_rules_init(&bed->rules, "");
    use_rules(bed, "");
}

/* With the devices of the tree. */
static void use_host(struct bed *bed) {
    sample_host(&bed->host, bed->root);
    bed->doctor.host = &bed->host;
}

static int open_bed(void **state) {
    struct bed *bed = memory_zalloc(sizeof *bed);
    char root[] = "/tmp/test_doctor.XXXXXX";
    assert_non_null(mkdtemp(root));
    chmod(root, 0755);
    use_root(bed, root);
    *state = bed;
    return 0;
}

static void leave_root(struct bed *bed) {
    if (bed->doctor.host)
        host_finish(&bed->host);
    libvirt_answer_finish(&bed->doctor.libvirt);
    doctor_findings_finish(&bed->findings);
    sample_rules_finish(&bed->rules);
    tree_close(&bed->doctor.tree);
}

static int close_bed(void **state) {
    struct bed *bed = *state;
    leave_root(bed);
    nftw(bed->root, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
    free(bed);
    return 0;
}

/* A bed on a sample host, which is not removed. */
static void lie_on(struct bed *bed, const char *host, const char *rules) {
    *bed = (struct bed){0};
    use_root(bed, host);
    use_rules(bed, rules);
    use_host(bed);
}

/* --- what is found */

static void look(struct bed *bed, doctor_check *condition) {
    doctor_findings_finish(&bed->findings);
    bed->findings.name = "test";
    condition(&bed->doctor, &bed->findings);
}

static void has(const char *text, const char *part) {
    if (!text || !strstr(text, part))
        fail_msg("'%s' lacks '%s'", text ? text : "(null)", part);
}

static void found(const struct bed *bed, size_t index, enum doctor_state state, const char *message,
                  const char *hint) {
    assert_int_in_range(index, 0, bed->findings.count - 1);
    const struct doctor_finding *finding = &bed->findings.list[index];
    has(finding->message, message);
    if (finding->state != state)
        fail_msg("state %d, not %d: %s", finding->state, state, finding->message);
    if (state == DOCTOR_OK || state == DOCTOR_UNKNOWN)
        assert_null(finding->hint);
    else
        has(finding->hint, hint);
}

/* The condition finds this one thing; `hint` NULL: it is well. */
static void finds(struct bed *bed, doctor_check *condition, enum doctor_state state,
                  const char *message, const char *hint) {
    look(bed, condition);
    assert_int_equal(bed->findings.count, 1);
    found(bed, 0, state, message, hint);
}

#define OK(condition, message) finds(bed, condition, DOCTOR_OK, message, NULL)
#define UNKNOWN(condition, message) finds(bed, condition, DOCTOR_UNKNOWN, message, NULL)
#define WARNS(condition, message, hint) finds(bed, condition, DOCTOR_WARNING, message, hint)
#define FAILS(condition, message, hint) finds(bed, condition, DOCTOR_FAILED, message, hint)

static void loads_regular_files_only(void **state) {
    struct bed *bed = *state;
    size_t size = 1;
    put_bytes(bed, "a/b", "12\00056", 5);
    char *text = tree_load(&bed->doctor.tree, "a/b", 100, &size);
    assert_int_equal(size, 5);
    assert_memory_equal(text, "12\00056", 6);
    free(text);
    text = tree_load(&bed->doctor.tree, "a/b", 2, &size);
    assert_int_equal(size, 2);
    assert_string_equal(text, "12");
    free(text);
    assert_null(tree_load(&bed->doctor.tree, "a", 100, &size));
    assert_null(tree_load(&bed->doctor.tree, "c", 100, &size));
    assert_int_equal(mkfifo(full(bed, "f"), 0600), 0);
    assert_null(tree_load(&bed->doctor.tree, "f", 100, &size));
    struct tree running;
    assert_true(tree_open(&running, ""));
    text = tree_load(&running, "proc/self/comm", 100, &size); /* its size is said to be 0 */
    assert_string_equal(text, "test_doctor\n");
    free(text);
    tree_close(&running);
}

/* --- the kernel */

static void iommu(void **state) {
    struct bed *bed = *state;
    use_rules(bed, VFIO);
    FAILS(doctor_kernel_iommu, "the kernel made no IOMMU group", "VT-d");
    put(bed, "sys/firmware/acpi/tables/DSDT", "");
    FAILS(doctor_kernel_iommu, "no ACPI table DMAR or IVRS", "AMD-Vi");
    put(bed, "proc/cpuinfo", "flags\t\t: fpu hypervisor lahf_lm\n");
    FAILS(doctor_kernel_iommu, "offers no IOMMU", "this host is a VM");
    put(bed, "sys/firmware/acpi/tables/IVRS", "");
    FAILS(doctor_kernel_iommu, "ACPI table IVRS", "dmesg");
    put(bed, "sys/firmware/acpi/tables/DMAR", "");
    put(bed, "proc/cmdline", "BOOT_IMAGE=/vmlinuz quiet -- intel_iommu=on\n");
    FAILS(doctor_kernel_iommu, "ACPI table DMAR", "add intel_iommu=on");
    put(bed, "proc/cmdline", "BOOT_IMAGE=/vmlinuz intel_iommu=on,sm_on\n");
    FAILS(doctor_kernel_iommu, "ACPI table DMAR", "dmesg");
    put(bed, "proc/cmdline", "quiet intel_iommu=off\n");
    FAILS(doctor_kernel_iommu, "turns it off (intel_iommu=off)", "add intel_iommu=on");
    put(bed, "proc/cmdline", "quiet intel_iommu=off intel_iommu=on\n");
    FAILS(doctor_kernel_iommu, "ACPI table DMAR", "dmesg");
    put(bed, "proc/cmdline", "iommu=pt iommu=off");
    FAILS(doctor_kernel_iommu, "turns it off (iommu=off)", "remove iommu=off, and reboot");
    use_rules(bed, "");
    WARNS(doctor_kernel_iommu, "turns it off (iommu=off); no rule needs it yet",
          "remove iommu=off");
    use_rules(bed, USB);
    OK(doctor_kernel_iommu, "rules attach USB devices only");
    use_rules(bed, "on vm cad started attach 10de:1eb8 as mdev \"nvidia-63\"");
    OK(doctor_kernel_iommu, "no rule attaches a device as vfio or net");
    use_rules(bed, USB "\n" VFIO);
    FAILS(doctor_kernel_iommu, "turns it off", "reboot");
    put(bed, "sys/kernel/iommu_groups/0/type", "DMA\n");
    OK(doctor_kernel_iommu, "the kernel made 1 IOMMU group");
    put(bed, "sys/kernel/iommu_groups/17/type", "DMA\n");
    OK(doctor_kernel_iommu, "the kernel made 2 IOMMU groups");
}

/* None of what is written for VT-d and AMD-Vi. */
static void of_arm64(void **state) {
    struct bed *bed = *state;
    use_rules(bed, VFIO);
    put(bed, "proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\n");
    FAILS(doctor_kernel_iommu, "the kernel made no IOMMU group", "turn on the SMMU");
    assert_null(strstr(bed->findings.list[0].hint, "intel_iommu"));
    put(bed, "sys/firmware/acpi/tables/GTDT", "");
    FAILS(doctor_kernel_iommu, "no ACPI table IORT", "turn on the SMMU");
    put(bed, "sys/class/dmi/id/sys_vendor", "QEMU\n");
    FAILS(doctor_kernel_iommu, "no ACPI table IORT", "<iommu model='smmuv3'/>");
    put(bed, "sys/firmware/acpi/tables/IORT", "");
    FAILS(doctor_kernel_iommu, "ACPI table IORT", "-e smmu");
    put(bed, "proc/sys/kernel/osrelease", "6.1.0-18-arm64\n");
    put(bed, "lib/modules/6.1.0-18-arm64/modules.dep", "kernel/drivers/vfio/vfio.ko:\n");
    FAILS(doctor_kernel_vfio_pci, "no module vfio-pci", "linux-image-arm64");
}

static void of_other_processors(void **state) {
    static const struct {
        const char *path, *text, *hint;
    } hosts[] = {
        {"proc/sys/kernel/arch", "riscv64\n", "ACPI table RIMT"},
        {"proc/sys/kernel/arch", "s390x\n", "zpci"},
        {"proc/sys/kernel/arch", "aarch64\n", "SMMU"},
        {"proc/sys/kernel/arch", "x86_64\n", "VT-d"},
        {"proc/cpuinfo", "processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdch\n", "RIMT"},
        {"proc/cpuinfo", "vendor_id       : IBM/S390\n", "zpci"},
        {"proc/cpuinfo", "vendor_id\t: GenuineIntel\ncpu family\t: 6\n", "VT-d"},
        {"proc/sys/kernel/osrelease", "5.14.0-362.el9.aarch64\n", "SMMU"},
        {"proc/sys/kernel/osrelease", "4.4.302+\n", "VT-d"},
        {"proc/interrupts", " 1:  0  GICv2  29 Level  arch_timer\n", "SMMU"},
    };
    struct bed *bed = *state;
    use_rules(bed, VFIO);
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        put(bed, hosts[i].path, hosts[i].text);
        FAILS(doctor_kernel_iommu, "the kernel made no IOMMU group", hosts[i].hint);
        drop(bed, hosts[i].path);
    }
}

static void kernel_version(void **state) {
    struct bed *bed = *state;
    use_rules(bed, VFIO);
    UNKNOWN(doctor_kernel_version, "osrelease does not show it");
    put(bed, "proc/sys/kernel/osrelease", "4.4.302+\n");
    OK(doctor_kernel_version, "Linux 4.4.302+");
    put(bed, "proc/sys/kernel/osrelease", "10.0.1\n");
    OK(doctor_kernel_version, "Linux 10.0.1");
    put(bed, "proc/sys/kernel/osrelease", "4.3.6\n");
    WARNS(doctor_kernel_version, "Linux 4.3.6", "update");
    put(bed, "proc/sys/kernel/osrelease", "3.16.85\n");
    WARNS(doctor_kernel_version, "4.4 and later only", "update");
    put(bed, "proc/sys/kernel/osrelease", "3.10.108\n");
    FAILS(doctor_kernel_version, "Linux 3.10.108 is too old", "needs Linux 4.4");
}

static void vfio_pci(void **state) {
    struct bed *bed = *state;
    use_rules(bed, VFIO);
    WARNS(doctor_kernel_vfio_pci, "/lib/modules/VERSION/modules.dep", "modprobe vfio-pci");
    put(bed, "proc/sys/kernel/osrelease", "6.1.0-9-amd64\n");
    WARNS(doctor_kernel_vfio_pci, "/lib/modules/6.1.0-9-amd64/modules.dep", "modprobe vfio-pci");
    put(bed, "lib/modules/6.1.0-9-amd64/modules.dep",
        "kernel/drivers/vfio/vfio.ko:\nkernel/x/not-vfio-pci.ko: "
        "kernel/drivers/vfio/vfio-pci.ko\n");
    FAILS(doctor_kernel_vfio_pci, "the kernel 6.1.0-9-amd64 has no module vfio-pci", "install");
    put(bed, "lib/modules/6.1.0-9-amd64/modules.builtin", "kernel/drivers/vfio/pci/vfio-pci.ko\n");
    OK(doctor_kernel_vfio_pci, "libvirt loads it");
    drop(bed, "lib/modules/6.1.0-9-amd64/modules.builtin");
    put(bed, "lib/modules/6.1.0-9-amd64/modules.dep",
        "kernel/drivers/vfio/pci/vfio_pci.ko.zst: kernel/drivers/vfio/vfio.ko.zst\n");
    OK(doctor_kernel_vfio_pci, "libvirt loads it");
    put(bed, "lib/modules/6.1.0-9-amd64/modules.dep",
        "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n");
    OK(doctor_kernel_vfio_pci, "libvirt loads it");
    put(bed, "etc/modprobe.d/gpu.conf", "# blacklist vfio-pci\nblacklist nouveau\n");
    put(bed, "etc/modprobe.d/gpu.conf.old", "blacklist vfio-pci\n");
    OK(doctor_kernel_vfio_pci, "libvirt loads it");
    put(bed, "etc/modprobe.d/gpu.conf", "blacklist nouveau\n  blacklist\tvfio_pci\n");
    FAILS(doctor_kernel_vfio_pci, "prevents loading it", "grep -r vfio");
    put(bed, "etc/modprobe.d/gpu.conf", "install vfio-pci /bin/false\n");
    FAILS(doctor_kernel_vfio_pci, "prevents loading it", "grep -r vfio");
    put(bed, "etc/modprobe.d/gpu.conf", "install vfio-pci /sbin/prepare-gpu\n");
    OK(doctor_kernel_vfio_pci, "libvirt loads it");
    put(bed, "proc/sys/kernel/modules_disabled", "1\n");
    FAILS(doctor_kernel_vfio_pci, "no longer loads modules", "modules-load.d");
    use_rules(bed, USB);
    OK(doctor_kernel_vfio_pci, "rules attach USB devices only");
    use_rules(bed, "");
    put(bed, "sys/bus/pci/drivers/vfio-pci/new_id", "");
    OK(doctor_kernel_vfio_pci, "loaded");
}

static void vfio_pci_of_a_nas(void **state) {
    struct bed *bed = *state;
    use_rules(bed, VFIO);
    put(bed, "proc/sys/kernel/osrelease", "4.4.302+\n");
    put(bed, "var/packages/Virtualization/INFO", "");
    WARNS(doctor_kernel_vfio_pci, "Virtual Machine Manager loads it", "start a VM");
    put(bed, "lib/modules/vfio-pci.ko", "");
    OK(doctor_kernel_vfio_pci, "libvirt loads it");
}

static void remapping(void **state) {
    struct bed *bed = *state;
    use_rules(bed, VFIO);
    OK(doctor_kernel_remapping, "there is no IOMMU");
    put(bed, "sys/kernel/iommu_groups/0/type", "DMA\n");
    UNKNOWN(doctor_kernel_remapping, "");
    put(bed, "proc/interrupts", "  0: 9  IO-APIC   2-edge  timer\n 24: 1  DMAR-MSI 0-edge dmar0\n");
    FAILS(doctor_kernel_remapping, "off: without it the kernel gives no PCI device",
          "allow_unsafe_interrupts=1");
    put(bed, "proc/cmdline", "quiet intremap=off\n");
    FAILS(doctor_kernel_remapping, "off (intremap=off on", "remove intremap=off");
    put(bed, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
    WARNS(doctor_kernel_remapping, "vfio works without it", "remove allow_unsafe_interrupts from");
    put(bed, "proc/interrupts", "  0: 9  IR-IO-APIC   2-edge  timer\n");
    OK(doctor_kernel_remapping, "on: ");
    put(bed, "proc/interrupts", "  0: 9  IO-APIC 2-edge  timer\n");
    put(bed, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
    FAILS(doctor_kernel_remapping, "off (intremap=off on", "remove intremap=off");
    put(bed, "proc/interrupts", "  0: 9  ITS-PCI-MSI 2  PCI-MSI 3 eth0\n"); /* arm64 */
    UNKNOWN(doctor_kernel_remapping, "");
    use_rules(bed, USB);
    OK(doctor_kernel_remapping, "USB devices only");
}

static void groups(void **state) {
    struct bed *bed = *state;
    OK(doctor_kernel_groups, "there is no IOMMU");
    put(bed, "sys/bus/pci/devices/.keep", "");
    use_host(bed);
    OK(doctor_kernel_groups, "there is no IOMMU");
    struct bed host;
    bed = &host;
    lie_on(bed, "tests/hosts/nas", VFIO);
    OK(doctor_kernel_groups, "rules say 'with group' where a device needs it (13 groups)");
    use_rules(bed, USB);
    OK(doctor_kernel_groups, "no rule wants a PCI device");
    leave_root(bed);
    lie_on(bed, "tests/hosts/dual-tpu", "on vm a started attach at 0000:03:00.0 as vfio");
    WARNS(doctor_kernel_groups, "0000:03:00.0 shares group 15 with 0000:04:00.0", "another slot");
    use_rules(bed, "on vm a started attach at 0000:03:00.0 with group as vfio");
    OK(doctor_kernel_groups, "rules say 'with group' where a device needs it");
    leave_root(bed);
}

static void groups_that_the_hardware_does_not_make(void **state) {
    struct bed *bed = *state;
    put(bed, "sys/bus/pci/devices/.keep", "");
    put(bed, "sys/kernel/iommu_groups/1/type", "DMA\n");
    put(bed, "proc/cmdline", "pcie_acs_override=downstream,multifunction\n");
    use_host(bed);
    bed->host.has_iommu = true;
    WARNS(doctor_kernel_groups, "pcie_acs_override=downstream,multifunction makes", "trusted");
}

static void idle_d3(void **state) {
    struct bed *bed = *state;
    OK(doctor_kernel_idle_d3, "no rule wants a PCI Coral");
    use_rules(bed, "on vm a started attach 1a6e:089a as usb");
    OK(doctor_kernel_idle_d3, "no rule wants a PCI Coral");
    use_rules(bed, "device tpu is 1ac1:*\non vm a started attach tpu as vfio");
    WARNS(doctor_kernel_idle_d3, "sleep (D3)", "options vfio-pci disable_idle_d3=1");
    put(bed, "etc/modprobe.d/a.conf", "options vfio-pci ids=1:2 disable_idle_d3=0\n");
    WARNS(doctor_kernel_idle_d3, "sleep (D3)", "options vfio-pci disable_idle_d3=1");
    put(bed, "etc/modprobe.d/a.conf", "options vfio-pci ids=1:2 disable_idle_d3=1\n");
    OK(doctor_kernel_idle_d3, "does not let");
    put(bed, "sys/module/vfio_pci/parameters/disable_idle_d3", "N\n");
    WARNS(doctor_kernel_idle_d3, "sleep (D3)", "reboot: modprobe.d has");
    put(bed, "sys/module/vfio_pci/parameters/disable_idle_d3", "Y\n");
    OK(doctor_kernel_idle_d3, "does not let");
}

static void awake_needs_a_new_kernel(void **state) {
    struct bed *bed = *state;
    use_rules(bed, "on vm a started attach 1ac1:089a as vfio awake");
    WARNS(doctor_kernel_idle_d3, "sleep (D3)", "if the guest sees the Coral and its driver fails");
    put(bed, "proc/sys/kernel/osrelease", "5.18.19\n");
    WARNS(doctor_kernel_idle_d3, "sleep (D3)",
          "'awake' cannot prevent it before Linux 5.19, and this is 5.18.19");
    put(bed, "proc/sys/kernel/osrelease", "5.19.0-rc1\n");
    OK(doctor_kernel_idle_d3, "'awake' in the rules keeps");
    put(bed, "proc/sys/kernel/osrelease", "10.1\n");
    OK(doctor_kernel_idle_d3, "'awake' in the rules keeps");
    use_rules(bed, "on vm a started attach 1ac1:089a as vfio\n");
    WARNS(doctor_kernel_idle_d3, "sleep (D3)", "write 'awake' after 'as vfio' in t.rules:1");
    use_rules(bed, "on vm a started attach 1ac1:089a as vfio awake\n"
                   "on vm b started attach 1ac1:089a as vfio\n");
    WARNS(doctor_kernel_idle_d3, "sleep (D3)", "write 'awake' after 'as vfio' in t.rules:2");
    put(bed, "proc/sys/kernel/osrelease", "5.4.0\n");
    WARNS(doctor_kernel_idle_d3, "sleep (D3)", "options vfio-pci disable_idle_d3=1");
}

static void displays_sleep_too(void **state) {
    struct bed *bed = &(struct bed){0};
    (void)state;
    lie_on(bed, "tests/hosts/gpus",
           "on vm a started attach 10de:2484 with group as vfio\n"
           "on vm b started attach 1002:73bf as vfio awake\n"
           "on vm c started attach 1002:73bf as vfio\n");
    look(bed, doctor_kernel_idle_d3);
    assert_int_equal(bed->findings.count, 2); /* the audio function is none */
    found(bed, 0, DOCTOR_WARNING, "the display 0000:01:00.0 (NVIDIA", "picture stays black");
    found(bed, 1, DOCTOR_WARNING, "the display 0000:05:00.0", "disable_idle_d3=1");
    use_rules(bed, "on vm a started attach 144d:a808 as vfio\n");
    OK(doctor_kernel_idle_d3, "no rule wants a PCI Coral (1ac1:089a) or a display");
    leave_root(bed);
    lie_on(bed, "tests/hosts/dual-tpu", "on vm a started attach all 1ac1:089a as vfio");
    WARNS(doctor_kernel_idle_d3, "an unused Coral", "disable_idle_d3=1");
    assert_int_equal(bed->findings.count, 1);
    leave_root(bed);
}

/* --- libvirt's daemon */

/* One that has started `seconds` after now (before: negative). */
static void put_daemon(const struct bed *bed, unsigned pid, const char *name, unsigned uid,
                       long seconds) {
    char path[64], text[256];
    long start = 5000, boot = (long)time(NULL) + seconds - start;
    snprintf(text, sizeof text, "cpu 1 2 3\nintr 0\nbtime %ld\nprocesses 3\n", boot);
    put(bed, "proc/stat", text);
    snprintf(path, sizeof path, "proc/%u/comm", pid);
    snprintf(text, sizeof text, "%s\n", name);
    put(bed, path, text);
    snprintf(path, sizeof path, "proc/%u/status", pid);
    snprintf(text, sizeof text, "Name:\t%s\nUid:\t%u\t%u\n", name, uid, uid);
    put(bed, path, text);
    snprintf(path, sizeof path, "proc/%u/stat", pid);
    snprintf(text, sizeof text,
             "%u (a) b) S 1 1 1 0 -1 4194560 1 0 0 0 7 8 0 0 20 0 17 0 %ld 1 1\n", pid,
             start * sysconf(_SC_CLK_TCK));
    put(bed, path, text);
}

static void finds_the_daemon(void **state) {
    struct bed *bed = *state;
    struct doctor_daemon daemon = doctor_hook_daemon(&bed->doctor.tree);
    assert_int_equal(daemon.pid, 0);
    put_daemon(bed, 7, "bash", 0, 0);
    put_daemon(bed, 8, "libvirtd", 1000, 0);
    put(bed, "proc/self/comm", "libvirtd\n");
    daemon = doctor_hook_daemon(&bed->doctor.tree);
    assert_int_equal(daemon.pid, 0);
    time_t before = time(NULL);
    put_daemon(bed, 812, "virtqemud", 0, -60);
    daemon = doctor_hook_daemon(&bed->doctor.tree);
    assert_int_equal(daemon.pid, 812);
    assert_string_equal(daemon.name, "virtqemud");
    assert_int_in_range(daemon.start, before - 61, time(NULL) - 59);
    assert_string_equal(daemon.label, "");
    free(daemon.label);
    put(bed, "proc/812/attr/current", "libvirtd (enforce)\n");
    put(bed, "proc/812/stat", "812 (virtqemud");
    daemon = doctor_hook_daemon(&bed->doctor.tree);
    assert_int_equal(daemon.start, 0);
    assert_string_equal(daemon.label, "libvirtd (enforce)");
    free(daemon.label);
    put(bed, "proc/812/attr/apparmor/current", "x (complain)\n");
    daemon = doctor_hook_daemon(&bed->doctor.tree);
    assert_string_equal(daemon.label, "x (complain)");
    free(daemon.label);
}

/* --- the hook */

static void hook(void **state) {
    struct bed *bed = *state;
    FAILS(doctor_hook_installed, "there is no /etc/libvirt/hooks/qemu", "make install");
    put_program(bed, HOOKS "qemu", MARK VERSION);
    OK(doctor_hook_installed, "/etc/libvirt/hooks/qemu, version " VERSION);
    put_program(bed, HOOKS "qemu", MARK "0.0.9");
    WARNS(doctor_hook_installed, "has version 0.0.9, this program has version " VERSION,
          "make install");
    set_mode(bed, HOOKS "qemu", 0644);
    FAILS(doctor_hook_installed, "not executable", "chmod 755 /etc/libvirt/hooks/qemu");
    set_mode(bed, HOOKS "qemu", 0757);
    FAILS(doctor_hook_installed, "users other than root can change", "chown root");
    put_program(bed, HOOKS "qemu", MARK VERSION);
    put_program(bed, HOOKS "qemu.d/virt-rules", MARK VERSION);
    WARNS(doctor_hook_installed, "2 times", "remove /etc/libvirt/hooks/qemu.d/virt-rules");
    put_program(bed, HOOKS "qemu.d/a", MARK VERSION);
    WARNS(doctor_hook_installed, "3 times",
          "remove /etc/libvirt/hooks/qemu.d/a, /etc/libvirt/hooks/qemu.d/virt-rules");
    drop(bed, HOOKS "qemu.d/a");
    drop(bed, HOOKS "qemu");
    OK(doctor_hook_installed, "/etc/libvirt/hooks/qemu.d/virt-rules, version " VERSION);
    drop(bed, HOOKS "qemu.d/virt-rules");
    assert_int_equal(symlink("nowhere", full(bed, HOOKS "qemu")), 0);
    FAILS(doctor_hook_installed, "there is no", "make install");
    drop(bed, HOOKS "qemu");
    assert_int_equal(mkdir(full(bed, HOOKS "qemu"), 0755), 0);
    FAILS(doctor_hook_installed, "is a directory", "make install");
}

static void hook_beside_another(void **state) {
    struct bed *bed = *state;
    put(bed, HOOKS "qemu", "#!/bin/sh\nexit 0 # @(#)virt-rules\n");
    FAILS(doctor_hook_installed, "another program", "make install");
    put_program(bed, HOOKS "qemu.d/virt-rules", MARK VERSION);
    OK(doctor_hook_installed, "qemu.d/virt-rules, version");
    bed->doctor.libvirt.library_version = 6004999;
    FAILS(doctor_hook_installed, "libvirt 6.4.999 does not run",
          "make /etc/libvirt/hooks/qemu run");
    bed->doctor.libvirt.version = 6005000;
    OK(doctor_hook_installed, "qemu.d/virt-rules, version");
    bed->doctor.libvirt.version = 4000000;
    put(bed, HOOKS "qemu", "#!/bin/sh\n/etc/libvirt/hooks/qemu.d/virt-rules \"$@\"\n");
    OK(doctor_hook_installed, "qemu.d/virt-rules, version");
    drop(bed, HOOKS "qemu");
    FAILS(doctor_hook_installed, "libvirt 4.0.0 does not run",
          "move it to /etc/libvirt/hooks/qemu");
    drop(bed, HOOKS "qemu.d/virt-rules");
    put(bed, HOOKS "qemu", "#!/bin/sh\nexec /opt/virt-rules-hook \"$@\"\n");
    OK(doctor_hook_installed, "which calls the virt-rules hook");
}

static void engine(void **state) {
    struct bed *bed = *state;
    FAILS(doctor_hook_engine, "does not exist", "make install");
    put_program(bed, ENGINE, "virt-rules " VERSION);
    OK(doctor_hook_engine, ENGINE);
    put_program(bed, ENGINE, "virt-rules 0.0.0");
    WARNS(doctor_hook_engine, "has another version than this program", VERSION);
    set_mode(bed, ENGINE, 0777);
    FAILS(doctor_hook_engine, "users other than root can change", "chmod 755");
    set_mode(bed, ENGINE, 0644);
    FAILS(doctor_hook_engine, "is not an executable file", "chmod 755");
    put(bed, HOOKS "qemu", "");
    assert_int_equal(symlink("/mnt/tank/vr/bin/virt-rules", full(bed, HOOKS "virt-rules-engine")),
                     0);
    FAILS(doctor_hook_engine, "/mnt/tank/vr/bin/virt-rules, which the hook starts, does not exist",
          "");
    put_program(bed, "mnt/tank/vr/bin/virt-rules", "virt-rules " VERSION);
    OK(doctor_hook_engine, "the hook starts /mnt/tank/vr/bin/virt-rules");
}

static void whether_libvirt_knows_of_the_hook(void **state) {
    struct bed *bed = *state;
    OK(doctor_hook_known, "the hook is not installed");
    put_program(bed, HOOKS "qemu", MARK VERSION);
    UNKNOWN(doctor_hook_known, "when it starts");
    put_daemon(bed, 812, "libvirtd", 0, 1000);
    OK(doctor_hook_known, "libvirtd (process 812) started after");
    put_daemon(bed, 812, "libvirtd", 0, -1000);
    WARNS(doctor_hook_known, "may not run the hook yet", "kill -HUP 812");
    bed->doctor.facts.log_time = time(NULL) - 500;
    WARNS(doctor_hook_known, "may not run the hook yet", "kill -HUP 812");
    bed->doctor.facts.log_time = time(NULL) + 5;
    OK(doctor_hook_known, "the log has entries");
    drop(bed, "proc/stat");
    WARNS(doctor_hook_known, "not known: ", "kill -HUP 812");
}

/* --- security modules */

static const char PROFILE[] = "#include <tunables/global>\n"
                              "profile libvirtd /usr/sbin/libvirtd flags=(attach_disconnected) {\n"
                              "  capability kill,\n"
                              "  ptrace (read,trace) peer=unconfined,\n"
                              "  / r,\n"
                              "  /** rwmkl,\n"
                              "  /bin/* PUx,\n"
                              "  /usr/{lib,lib64,lib/qemu,libexec}/virtiofsd PUx,\n"
                              "  audit deny /{usr/,}sbin/apparmor_parser rwxl,\n"
                              "  /{usr/,}sbin/* PUx,\n"
                              "  \"/opt/a b/*\" ix,\n"
                              "  @{bin}/mdevctl Ux, # as later ones have it\n"
                              "  rix /srv/tool[0-9],\n"
                              "  profile child {\n"
                              "    /usr/local/bin/* rix,\n"
                              "  }\n"
                              "  #include <local/usr.sbin.libvirtd>\n"
                              "}\n";

static void what_a_profile_allows(void **state) {
    static const char *const allowed[] = {
        "/bin/sh",      "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd", "/sbin/ip",
        "/usr/sbin/ip", "/usr/bin/mdevctl",        "/sbin/mdevctl",      "/srv/tool7"};
    static const char *const denied[] = {"/usr/local/bin/virt-rules",
                                         "/bin/x/y",
                                         "/usr/sbin/apparmor_parser",
                                         "/sbin/apparmor_parser",
                                         "/usr/lib/qemu",
                                         "/srv/toolx",
                                         "/",
                                         ""};
    (void)state;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (!doctor_security_apparmor_allows(PROFILE, allowed[i]))
            fail_msg("%s is not allowed", allowed[i]);
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
        if (doctor_security_apparmor_allows(PROFILE, denied[i]))
            fail_msg("%s is allowed", denied[i]);
}

static void patterns_of_profiles(void **state) {
    static const struct {
        const char *line, *path;
        bool allowed;
    } rows[] = {
        {"/usr/local/** PUx,", "/usr/local/a/b", true},
        {"/usr/local/* PUx,", "/usr/local/a/b", false},
        {"/a? ix,", "/ab", true},
        {"/a? ix,", "/a/", false},
        {"/a[^b-d]e ix,", "/axe", true},
        {"/a[^b-d]e ix,", "/ace", false},
        {"/{a,{b,c}d}e ix,", "/cde", true},
        {"/{a,{b,c}d}e ix,", "/ce", false},
        {"/a{,b}c ix,", "/ac", true},
        {"/a\\*c ix,", "/abc", false},
        {"/a\\*c ix,", "/a*c", true},
        {"owner file /a Cx -> b,", "/a", true},
        {"/a r,", "/a", false},
        {"#/a ix,", "/a", false},
        {"/a ix, # b", "/a", true},
        {"/{a ix,", "/{a", true},
        {"/[a ix,", "/[a", true},
        {"deny /a x,\n/a ix,", "/a", false},
        {"/** ix,\ndeny /a x,", "/a", false},
        {"\"/a ix,", "/a", true},
        {"\" ix,", "", true},
        {"x", "/a", false},
        {"ix", "/a", false},
        {"", "/a", false},
        {"/a\tix,\r", "/a", true},
        {"}\n}\n/a ix,", "/a", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (doctor_security_apparmor_allows(rows[i].line, rows[i].path) != rows[i].allowed)
            fail_msg("'%s' %s", rows[i].line, rows[i].path);
}

static void apparmor(void **state) {
    struct bed *bed = *state;
    OK(doctor_security_confinement, "no sign of AppArmor or SELinux");
    put(bed, "sys/module/apparmor/parameters/enabled", "Y\n");
    WARNS(doctor_security_confinement, "AppArmor is on, and neither libvirtd", "start it");
    put_daemon(bed, 9, "libvirtd", 0, 0);
    OK(doctor_security_confinement, "confines libvirtd");
    put(bed, "proc/9/attr/current", "unconfined\n");
    OK(doctor_security_confinement, "confines libvirtd");
    put(bed, "proc/9/attr/current", "libvirtd (complain)\n");
    OK(doctor_security_confinement, "confines libvirtd");
    put(bed, "proc/9/attr/current", "libvirtd (enforce)\n");
    WARNS(doctor_security_confinement, "its profile is not in /etc/apparmor.d/", "dmesg");
    put(bed, "etc/apparmor.d/usr.sbin.libvirtd", PROFILE);
    FAILS(doctor_security_confinement, "does not let libvirtd run " BINDIR "/virt-rules",
          "local/usr.sbin.libvirtd, then: apparmor_parser -r /etc/apparmor.d/usr.sbin.libvirtd");
    put(bed, "etc/apparmor.d/local/usr.sbin.libvirtd", "# site\n" BINDIR "/virt-rules PUx,\n");
    OK(doctor_security_confinement, "lets it run");
    drop(bed, "etc/apparmor.d/usr.sbin.libvirtd");
    put(bed, "etc/apparmor.d/libvirtd", PROFILE);
    FAILS(doctor_security_confinement, "does not let", "local/libvirtd");
}

static void selinux(void **state) {
    struct bed *bed = *state;
    put(bed, "sys/fs/selinux/enforce", "1");
    WARNS(doctor_security_confinement, "SELinux is on, and neither libvirtd", "start it");
    put_daemon(bed, 9, "virtqemud", 0, 0);
    put(bed, "proc/9/attr/current", "system_u:system_r:virtqemud_t:s0");
    WARNS(doctor_security_confinement,
          "SELinux confines virtqemud (system_u:system_r:virtqemud_t:s0)", "ausearch");
    has(bed->findings.list[0].message, "(no label)");
    put(bed, "sys/fs/selinux/booleans/virt_hooks_unconfined", "0 0");
    FAILS(doctor_security_confinement, "lets hooks do nothing",
          "setsebool -P virt_hooks_unconfined on");
    put(bed, "sys/fs/selinux/booleans/virt_hooks_unconfined", "1 1");
    WARNS(doctor_security_confinement, "SELinux confines virtqemud", "audit2allow");
    put(bed, "proc/9/attr/current", "system_u:system_r:unconfined_service_t:s0");
    OK(doctor_security_confinement, "does not confine");
    put(bed, "proc/9/attr/current", "system_u:system_r:virtqemud_t:s0");
    put(bed, "sys/fs/selinux/enforce", "0");
    OK(doctor_security_confinement, "confines virtqemud");
}

/* --- what surrounds the engine */

static void user(void **state) {
    struct bed *bed = *state;
    OK(doctor_setup_user, "root");
    bed->doctor.is_root = false;
    OK(doctor_setup_user, "--sysroot is another host");
    bed->doctor.tree.root = "";
    WARNS(doctor_setup_user, "not root", "sudo");
}

static void state_directory_of(void **state) {
    struct bed *bed = *state;
    struct doctor_state_facts *facts = &bed->doctor.facts, good = *facts;
    OK(doctor_setup_state, "/state is writable and has space");
    facts->exists = false;
    OK(doctor_setup_state, "will be created at the first event");
    facts->free_bytes = 20 << 20;
    WARNS(doctor_setup_state, "nearly full (20 MiB free)", "df -h /state");
    facts->free_bytes = 1 << 20;
    FAILS(doctor_setup_state, "is full (1 MiB free)", "free space");
    *facts = good;
    facts->has_free_files = false;
    FAILS(doctor_setup_state, "no file can be added", "free space");
    *facts = good;
    facts->is_shared = true;
    WARNS(doctor_setup_state, "users other than root can change", "chmod 700 /state");
    facts->is_log_usable = false;
    FAILS(doctor_setup_state, "virt-rules.log is not a regular file", "move it away");
    facts->is_writable = false;
    FAILS(doctor_setup_state, "cannot write to", "read-only");
    bed->doctor.is_root = false;
    WARNS(doctor_setup_state, "this user cannot write to", "sudo");
    facts->is_directory = false;
    FAILS(doctor_setup_state, "is not a directory", "move the file away");
    facts->error = EACCES;
    FAILS(doctor_setup_state, "Permission denied", "directory");
}

static void reads_the_state_directory(void **state) {
    struct bed *bed = *state;
    struct doctor_state_facts facts;
    char *path = memory_strdup(full(bed, "a/b"));
    doctor_read_state_facts(&facts, path);
    assert_false(facts.exists);
    assert_true(facts.is_directory && facts.is_writable && facts.is_log_usable);
    assert_false(facts.is_shared);
    assert_int_equal(facts.error, 0);
    assert_true(facts.free_bytes > 0 && facts.has_free_files);
    put(bed, "a/b/virt-rules.log", "{}\n");
    doctor_read_state_facts(&facts, path);
    assert_true(facts.exists && facts.is_log_usable && !facts.is_shared);
    assert_int_in_range(facts.log_time, time(NULL) - 60, time(NULL) + 1);
    set_mode(bed, "a/b", 0777);
    drop(bed, "a/b/virt-rules.log");
    assert_int_equal(symlink("/etc/passwd", full(bed, "a/b/virt-rules.log")), 0);
    doctor_read_state_facts(&facts, path);
    assert_true(facts.exists && facts.is_shared && !facts.is_log_usable);
    assert_int_equal(facts.log_time, 0);
    free(path);
    path = memory_strdup(full(bed, "a/b/virt-rules.log/c/d"));
    doctor_read_state_facts(&facts, path);
    assert_false(facts.exists || facts.is_directory);
    free(path);
    doctor_read_state_facts(&facts, "no-such-directory/state");
    assert_true(facts.is_directory && !facts.exists && facts.free_bytes > 0);
    doctor_read_state_facts(&facts, "");
    assert_false(facts.is_directory);
}

#define PLUG "usr/local/libexec/virt-rules-plug"
#define RULE "etc/udev/rules.d/90-virt-rules.rules"

static void plugged(void **state) {
    struct bed *bed = *state;
    OK(doctor_setup_plugged, "no rule uses plugged");
    use_rules(bed, "on vm a started, plugged attach 1a6e:089a as usb");
    FAILS(doctor_setup_plugged, "nothing reports added or removed devices", "make install");
    put(bed, "etc/udev/rules.d/60-other.rules", "# virt-rules\nRUN+=\"/bin/true\"\n");
    put(bed, "etc/udev/rules.d/90-virt-rules.rules.off", "RUN+=\"/" PLUG "\"\n");
    FAILS(doctor_setup_plugged, "nothing reports added or removed devices", "make install");
    put(bed, RULE, "RUN+=\"/bin/true\"\nSUBSYSTEM==\"usb\", RUN+=\"/" PLUG " -x\"\n");
    FAILS(doctor_setup_plugged, "runs /" PLUG ", which is not an executable file", "make install");
    put_program(bed, PLUG, "");
    OK(doctor_setup_plugged, "/" RULE " reports");
    assert_int_equal(mkdir(full(bed, "run"), 0755), 0);
    WARNS(doctor_setup_plugged, "udev is not running", "virt-rules watch");
    put(bed, "run/udev/control", "");
    OK(doctor_setup_plugged, "/" RULE " reports");
    use_rules(bed, "on vm a unplugged run \"/bin/true\"");
    OK(doctor_setup_plugged, "/" RULE " reports");
}

/* The unit counts when it is enabled, that is linked. */
static void host_boot(void **state) {
    struct bed *bed = *state;
    struct doctor_findings findings = {0};
    doctor_setup_boot(&bed->doctor, &findings);
    assert_int_equal(findings.count, 0); /* without such rules there is nothing to say */
    doctor_findings_finish(&findings);
    use_rules(bed, "on host boot bind 1a6e:089a to vfio");
    put(bed, "etc/systemd/system/virt-rules-boot.service",
        "[Service]\nExecStart=/usr/local/libvirt/bin/virt-rules boot\n");
    put(bed, "usr/local/etc/rc.d/other.sh", "# virt-rules boot\nvirt-rules apply\n");
    FAILS(doctor_setup_boot, "nothing was found that runs 'virt-rules boot'",
          "systemctl enable virt-rules-boot.service");
    assert_int_equal(mkdir(full(bed, "etc/systemd/system/multi-user.target.wants"), 0755), 0);
    assert_int_equal(
        symlink("/etc/systemd/system/virt-rules-boot.service",
                full(bed, "etc/systemd/system/multi-user.target.wants/virt-rules-boot.service")),
        0);
    OK(doctor_setup_boot, "multi-user.target.wants/virt-rules-boot.service runs");
}

static void host_boot_of_a_nas(void **state) {
    struct bed *bed = *state;
    use_rules(bed, "on host boot create 2 vf of 8086:1521");
    put(bed, "usr/local/etc/rc.d/virt-rules.sh",
        "#!/bin/sh\nsetsid /usr/local/libvirt/install.sh --boot &\n");
    OK(doctor_setup_boot, "usr/local/etc/rc.d/virt-rules.sh runs 'virt-rules boot'");
}

/* As 'virt-rules boot' notes it, in this boot of the host. */
static void how_the_host_booted(void **state) {
    struct bed *bed = *state;
    char id[PROCESS_BOOT_ID_SIZE], *directory = memory_strdup(full(bed, "state"));
    bed->doctor.state = directory;
    use_rules(bed, "on host boot create 2 vf of 8086:1521");
    put(bed, "usr/local/etc/rc.d/a", "virt-rules boot\n");
    assert_int_equal(process_boot_id("", id), 0);
    put(bed, "proc/sys/kernel/random/boot_id", id);
    boot_note_write(bed->doctor.state, BOOT_NOTE_GOOD);
    OK(doctor_setup_boot, "did all that the rules want");
    boot_note_write(bed->doctor.state, BOOT_NOTE_PROBLEM);
    WARNS(doctor_setup_boot, "could not do all that the rules want", "virt-rules log");
    boot_note_write(bed->doctor.state, BOOT_NOTE_RUNNING); /* no such process is in the bed */
    WARNS(doctor_setup_boot, "was ended at", "run it again");
    put(bed, "proc/sys/kernel/random/boot_id", "11111111-2222-4333-8444-555555555555\n");
    OK(doctor_setup_boot, "runs 'virt-rules boot'");
    bed->doctor.state = "/state";
    free(directory);
}

static void plugged_without_udev(void **state) {
    struct bed *bed = *state;
    use_rules(bed, "on vm a plugged attach 1a6e:089a as usb");
    put_bytes(bed, "proc/70/cmdline", "/usr/local/bin/virt-rules\0log\0watch", 36);
    put(bed, "proc/70/comm", "virt-rules\n");
    put_bytes(bed, "proc/71/cmdline", "vi\0watch", 9);
    put(bed, "proc/71/comm", "vi\n");
    put(bed, "proc/72/cmdline", "/usr/local/bin/virt-rules");
    put(bed, "proc/72/comm", "virt-rules\n");
    put(bed, "proc/73/cmdline", "");
    put(bed, "proc/73/comm", "virt-rules\n");
    FAILS(doctor_setup_plugged, "nothing reports added or removed devices", "virt-rules watch");
    put_bytes(bed, "proc/74/cmdline", "/usr/local/bin/virt-rules\0watch", 32);
    put(bed, "proc/74/comm", "virt-rules\n");
    OK(doctor_setup_plugged, "'virt-rules watch' (process 74) reports");
}

static void know_vm(struct bed *bed, const char *xml) {
    bed->doctor.libvirt.vms_known = true;
    domain_list_add(&bed->doctor.libvirt.vms, "vm", xml, strlen(xml));
}

/* Of the start with that id, in the bed's own state directory. */
static void park_vm(struct bed *bed, const char *uuid, int id) {
    struct vm_state vm_state;
    const struct vm_start start = {.id = id};
    struct failure failure;
    assert_true(vm_state_open(&vm_state, bed->doctor.state, uuid, &start));
    vm_state_park(&vm_state, "2026-11-22T11:00:00.000+01:00");
    assert_int_equal(vm_state_save(&vm_state, bed->doctor.state, uuid, &failure), 0);
    vm_state_finish(&vm_state);
}

static void parked(void **state) {
    struct bed *bed = *state;
    char *directory = memory_strdup(full(bed, "state")), *path;
    bed->doctor.state = directory;
    UNKNOWN(doctor_setup_parked, "whether a VM is parked");
    know_vm(bed, "<domain id='3'><name>frigate</name>" UUID("1") "</domain>");
    know_vm(bed, "<domain id='4'><name>nvr</name><title>My NVR</title>" UUID("2") "</domain>");
    know_vm(bed, "<domain><name>off</name>" UUID("3") "</domain>");
    OK(doctor_setup_parked, "no VM is parked");
    put(bed, "state/log", "");
    park_vm(bed, VM_UUID "1", 2); /* of an earlier start */
    park_vm(bed, VM_UUID "2", 4);
    park_vm(bed, VM_UUID "3", 5);
    WARNS(doctor_setup_parked, "VM 'My NVR' is parked since 2026-11-22 11:00:00: no rule attaches",
          "'virt-rules unpark \"My NVR\"' ends that");
    park_vm(bed, VM_UUID "1", 3);
    look(bed, doctor_setup_parked);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 0, DOCTOR_WARNING, "VM 'frigate' is parked", "'virt-rules unpark frigate'");
    found(bed, 1, DOCTOR_WARNING, "VM 'My NVR' is parked", "unpark");
    drop(bed, "state/vms/" VM_UUID "1");
    drop(bed, "state/vms/" VM_UUID "2");
    path = memory_strdup(full(bed, "state/vms/" VM_UUID "2"));
    assert_int_equal(mkdir(path, 0755), 0);
    UNKNOWN(doctor_setup_parked, "whether VM 'My NVR' is parked: ");
    free(path);
    free(directory);
}

static void old_setup(void **state) {
    struct bed *bed = *state;
    OK(doctor_scripts_old_setup, "no script");
    put_bytes(bed, HOOKS "qemu", "#\nvirsh attach-device\n\0 a program", 34);
    put(bed, "usr/local/libvirt/README.md", "An older script calls `virsh attach-device`.\n");
    put(bed, "usr/local/etc/rc.d/a.sh", "#!/bin/sh\n# echo 1 > /sys/x/new_id\nmodprobe vfio-pci\n");
    put(bed, "etc/rc.local", "virsh start frigate\n");
    OK(doctor_scripts_old_setup, "no script");
    put(bed, "usr/local/etc/rc.d/a.sh",
        "#!/bin/sh\necho 1ac1 089a > /sys/bus/pci/drivers/vfio-pci/new_id\nmodprobe -r vfio_pci\n");
    WARNS(doctor_scripts_old_setup, "/usr/local/etc/rc.d/a.sh:2 writes new_id", "remove it");
    put(bed, HOOKS "qemu", "#!/bin/bash\n\n  virsh attach-device \"$1\" /tmp/x.xml");
    look(bed, doctor_scripts_old_setup);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 0, DOCTOR_WARNING, "/etc/libvirt/hooks/qemu:3 calls virsh attach-device", "rule");
    drop(bed, HOOKS "qemu");
    put(bed, "usr/local/etc/rc.d/a.sh", "modprobe -r vfio_pci\n");
    WARNS(doctor_scripts_old_setup, "a.sh:1 unloads vfio", "remove it");
    drop(bed, "usr/local/etc/rc.d/a.sh");
    put(bed, "var/packages/Virtualization/conf/systemd/insert_libvirtd_ko.sh", "rmmod vfio_pci\n");
    OK(doctor_scripts_old_setup, "no script");
    assert_int_equal(mkfifo(full(bed, "etc/crontab"), 0600), 0);
    OK(doctor_scripts_old_setup, "no script");
}

/* What one script in the hooks directory of the sample host is found to do; NULL: nothing. Its
 * rules attach 0000:03:00.0 with its group, and a USB device at 1-1.4. */
static void hook_script(struct bed *bed, const char *text, const char *message) {
    put(bed, HOOKS "qemu.d/win10/prepare/begin/start.sh", text);
    if (message)
        WARNS(doctor_scripts_old_setup, message, "remove it");
    else
        OK(doctor_scripts_old_setup, "no script");
}

static void put_pci_device(const struct bed *bed, const char *address, const char *id) {
    char *path = memory_printf("sys/bus/pci/devices/%s", address);
    const char *const files[][2] = {{"vendor", "0x10de\n"},
                                    {"device", id},
                                    {"class", "0x030000\n"},
                                    {"subsystem_vendor", "0x0\n"},
                                    {"subsystem_device", "0x0\n"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *file = memory_printf("%s/%s", path, files[i][0]);
        put(bed, file, files[i][1]);
        free(file);
    }
    free(path);
}

/* 0000:01:00.0 is wanted, 0000:01:00.1 is of its group, 0000:02:00.0 is not wanted. */
static void use_two_cards(struct bed *bed) {
    put_pci_device(bed, "0000:01:00.0", "0x1c03\n");
    put_pci_device(bed, "0000:02:00.0", "0x2484\n");
    put_pci_device(bed, "0000:01:00.1", "0x10f1\n");
    for (int function = 0; function < 2; function++) {
        char *link = memory_printf("sys/bus/pci/devices/0000:01:00.%d/iommu_group", function);
        assert_int_equal(symlink("/sys/kernel/iommu_groups/1", full(bed, link)), 0);
        free(link);
    }
    use_rules(bed, "on vm win10 started attach 10de:1c03 as vfio");
    use_host(bed);
    assert_int_equal(bed->host.count, 3);
}

static void hook_scripts_of_any_depth(void **state) {
    struct bed *bed = *state;
    use_two_cards(bed);
    hook_script(bed, "#!/bin/sh\nmodprobe -r vfio_pci\n",
                "/etc/libvirt/hooks/qemu.d/win10/prepare/begin/start.sh:2 unloads vfio");
    put(bed, HOOKS "qemu.d/win10/prepare/begin/start.sh", "#!/bin/sh\n");
    put(bed, HOOKS "a/b/c/d/e/f/g/h/i/x", "#!/bin/sh\nmodprobe -r vfio_pci\n");
    WARNS(doctor_scripts_old_setup, "hooks/a/b/c/d/e/f/g/h/i/x:2", "remove it");
    drop(bed, HOOKS "a/b/c/d/e/f/g/h/i/x");
    /* links: out of the directory, in a circle, to one file twice, to nothing */
    put(bed, "opt/mine/y", "#!/bin/sh\nvirsh nodedev-reattach pci_0000_02_00_0\n");
    assert_int_equal(symlink("/opt/mine", full(bed, HOOKS "a/mine")), 0);
    assert_int_equal(symlink("..", full(bed, HOOKS "a/up")), 0);
    assert_int_equal(symlink("/opt/mine/y", full(bed, HOOKS "a/twice")), 0);
    assert_int_equal(symlink("/nowhere", full(bed, HOOKS "a/nowhere")), 0);
    WARNS(doctor_scripts_old_setup, "/etc/libvirt/hooks/a/mine/y:2 calls virsh nodedev-reattach",
          "libvirt waits");
    drop(bed, "opt/mine/y");
    OK(doctor_scripts_old_setup, "no script");
    /* what a hook calls by its path */
    put(bed, "usr/local/bin/start", "#!/bin/bash\n. /etc/x\nmodprobe --remove vfio\n");
    put(bed, HOOKS "qemu", "#!/bin/sh\n/usr/local/bin/start \"$@\" >/tmp/log\n");
    WARNS(doctor_scripts_old_setup, "/usr/local/bin/start:3 unloads vfio", "remove it");
    put(bed, HOOKS "qemu", "#!/bin/sh\n# /usr/local/bin/start\n");
    OK(doctor_scripts_old_setup, "no script");
    /* and what it sources, also in a circle */
    put(bed, "opt/lib", "gpu_off() {\n  virsh nodedev-detach pci_0000_02_00_0\n}\n. /opt/lib\n");
    put(bed, HOOKS "qemu", "#!/bin/sh\n. \"/opt/lib\"\ngpu_off\n");
    WARNS(doctor_scripts_old_setup, "/opt/lib:2 calls virsh nodedev-detach", "libvirt waits");
    put(bed, HOOKS "qemu", "#!/bin/sh\n");
    put(bed, HOOKS "notes.txt", "virsh nodedev-detach pci_0000_01_00_0\n");
    put(bed, "usr/local/libvirt/deep/x.sh", "modprobe -r vfio\n");
    OK(doctor_scripts_old_setup, "no script");
}

static void what_hook_scripts_do(void **state) {
    static const struct {
        const char *line, *message;
    } lines[] = {
        {"virsh nodedev-detach pci_0000_01_00_0",
         "calls virsh nodedev-detach, which a hook must not do; a rule attaches 0000:01:00.0"},
        {"/usr/bin/virsh -c qemu:///system list --all", "calls virsh list"},
        {"subprocess.run([\"virsh\", \"destroy\", vm])", "calls virsh destroy"},
        {"x=$(virsh domid $1)", "calls virsh domid"},
        {"conn = libvirt.open(None)", "calls libvirt"},
        {"virsh start other >/dev/null 2>&1 && echo", "calls virsh start"},
        {"systemd-run virsh nodedev-reattach $GPU", NULL},
        {"(sleep 9; virsh start other) >/dev/null 2>&1 &", NULL},
        {"# virsh list", NULL},
        {"echo done # virsh list", NULL},
        {"echo \"virsh is not called\"", NULL},
        {"echo \"$(virsh list)\"", "calls virsh list"},
        {"my-virsh list; cat virsh.log", NULL},
        {"modprobe -r vfio-pci", "unloads vfio"},
        {"modprobe -rf vfio", "unloads vfio"},
        {"modprobe -v --remove vfio_iommu_type1", "unloads vfio"},
        {"rmmod vfio_pci", "unloads vfio"},
        {"modprobe -r nvidia_drm", NULL},
        {"modprobe vfio-pci", NULL},
        {"modprobe vfio-pci ids=10de:1c03", NULL},
        {"echo 0000:01:00.0 > /sys/bus/pci/drivers/nvidia/unbind",
         "writes unbind: it moves 0000:01:00.0, which a rule attaches"},
        {"echo 0000:01:00.0 | tee /sys/bus/pci/drivers/vfio-pci/bind", "writes bind: it moves"},
        {"echo vfio-pci >/sys/bus/pci/devices/0000:01:00.0/driver_override",
         "writes driver_override: it moves 0000:01:00.0"},
        {"echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove", "writes remove"},
        {"echo 0000:02:00.0 > /sys/bus/pci/drivers/nvidia/unbind", NULL},
        {"echo 10001:01:00.0 > /sys/bus/pci/drivers/nvme/unbind", NULL}, /* in another domain */
        {"echo 01:00.0 > /sys/bus/pci/drivers/nvme/unbind", "it moves 0000:01:00.0"},
        {"echo $GPU > /sys/bus/pci/drivers/nvidia/unbind", "may move a device"},
        {"GPU=0000:01:00.0\necho $GPU > /sys/bus/pci/drivers/nvidia/unbind", "start.sh:3 writes"},
        {"GPU=0000:02:00.0\necho $GPU > /sys/bus/pci/drivers/nvidia/unbind", NULL},
        {"echo 0 > /sys/class/vtconsole/vtcon0/bind", NULL},
        {"cat /sys/bus/pci/devices/0000:01:00.0/driver_override", NULL},
        {"echo 10de 1c03 > /sys/bus/pci/drivers/vfio-pci/new_id", "writes new_id"},
    };
    struct bed *bed = *state;
    use_two_cards(bed);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char *text = memory_printf("#!/bin/sh\n%s\n", lines[i].line);
        hook_script(bed, text, lines[i].message);
        free(text);
    }
    hook_script(bed, "#!/bin/sh\nmodprobe -r vfio\nmodprobe -r vfio\nvirsh list\nvirsh start a\n",
                "start.sh:2 unloads vfio, which other VMs may use; line 4 calls virsh list, which "
                "a hook must not do");
    static const char audio[] = "#!/bin/sh\necho 0000:01:00.1 >/sys/bus/pci/drivers/x/unbind\n";
    hook_script(bed, audio, NULL);
    use_rules(bed, "on vm win10 started attach 10de:1c03 with group as vfio");
    hook_script(bed, audio, "writes unbind: it moves 0000:01:00.1, which a rule attaches");
    drop(bed, HOOKS "qemu.d/win10/prepare/begin/start.sh");
    /* at boot libvirt may be called, and what is not named is not judged */
    put(bed, "etc/rc.local", "virsh start a\necho $GPU >/sys/bus/pci/drivers/x/unbind\n");
    OK(doctor_scripts_old_setup, "no script");
    put(bed, "etc/rc.local", "virsh nodedev-detach pci_0000_01_00_0\n");
    WARNS(doctor_scripts_old_setup, "/etc/rc.local:1 calls virsh nodedev-detach for 0000:01:00.0",
          "remove it");
    put(bed, "etc/rc.local", "virsh nodedev-detach pci_0000_02_00_0\n");
    OK(doctor_scripts_old_setup, "no script");
}

static void synology(void **state) {
    struct bed *bed = *state;
    look(bed, doctor_setup_synology);
    assert_int_equal(bed->findings.count, 0);
    put(bed, "var/packages/Virtualization/INFO",
        "package=\"Virtualization\"\nversion=\"2.6.5-12202\"\n");
    look(bed, doctor_setup_synology);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 0, DOCTOR_WARNING, "Virtual Machine Manager 2.6.5-12202, DSM of unknown version",
          "virt-rules.conf");
    found(bed, 1, DOCTOR_WARNING, "nothing was found that reinstalls the hook", "boot-up task");
    put(bed, "etc.defaults/VERSION", "majorversion=\"7\"\r\nproductversion=\"7.2.1\"\r\n");
    put(bed, "var/packages/Virtualization/target/usr/local/bin/virsh", "");
    put(bed, "var/packages/Virtualization/target/usr/lib/libvirt.so.0", "");
    put(bed, "var/packages/Virtualization/conf/systemd/insert_libvirtd_ko.sh", "insmod x\n");
    put(bed, "usr/local/etc/rc.d/hook.sh", "/usr/local/virt-rules/put-back\n");
    look(bed, doctor_setup_synology);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 0, DOCTOR_OK,
          "DSM 7.2.1: /var/packages/Virtualization/target/usr/lib/libvirt.so.0, virsh "
          "/var/packages/Virtualization/target/usr/local/bin/virsh, qemu not found",
          NULL);
    found(bed, 1, DOCTOR_OK, "/usr/local/etc/rc.d/hook.sh, which DSM runs at boot", NULL);
}

/* --- rules, and what they want */

static void rules(void **state) {
    struct bed *bed = *state;
    WARNS(doctor_rules_valid, "there is no rule in /rules.d", "virt-rules devices");
    use_rules(bed, VFIO);
    OK(doctor_rules_valid, "1 rule in 1 file of /rules.d");
    use_rules(bed, "device unused is 1ac1:089a\n" USB);
    WARNS(doctor_rules_valid, "t.rules:1:8: warning:", "");
    sample_add(bed->doctor.ruleset, "bad.rules", "on vm a strated run \"/x\"\non vm\n");
    syntax_parse(&bed->doctor.ruleset->syntax, bed->doctor.ruleset->sources[1],
                 &bed->doctor.ruleset->diagnostics);
    FAILS(doctor_rules_valid, "unknown event 'strated' [unknown-event] (and 1 more)",
          "'virt-rules check /rules.d' shows all");
    use_rules(bed, VFIO);
    ruleset_add_directory(bed->doctor.ruleset, "/nowhere");
    FAILS(doctor_rules_valid, "/nowhere: error: cannot be opened", "make it");
}

static void libvirt(void **state) {
    struct bed *bed = *state;
    OK(doctor_rules_libvirt, "not asked");
    bed->doctor.libvirt = (struct libvirt_answer){.asked = true,
                                                  .uri = memory_strdup("qemu:///system"),
                                                  .version = 9000001,
                                                  .library = memory_strdup("/lib/libvirt.so.0"),
                                                  .library_version = 10002003};
    OK(doctor_rules_libvirt,
       "9.0.1 answers at qemu:///system; the library is 10.2.3, /lib/libvirt.so.0");
    bed->doctor.libvirt.error = memory_strdup("no socket");
    FAILS(doctor_rules_libvirt, "no socket (library /lib/libvirt.so.0)", "virsh list");
    bed->doctor.libvirt.hint = memory_strdup("run it as root");
    FAILS(doctor_rules_libvirt, "no socket", "run it as root");
}

/* --- where things are */

static void settings(void **state) {
    struct bed *bed = *state;
    const char *conf = "usr/local/libvirt/virt-rules.conf";
    OK(doctor_places_conf, "there is no ");
    put(bed, conf, "# nothing\n");
    OK(doctor_places_conf, "/usr/local/libvirt/virt-rules.conf sets nothing");
    put(bed, conf, "uri = a:\nstate = /b\n");
    layout_find(&bed->layout, &(struct layout_request){.root = bed->root, .prefix = ""});
    OK(doctor_places_conf, "virt-rules.conf sets uri, state");
    put(bed, conf, "uri = a:\nstate = b\nx\n");
    look(bed, doctor_places_conf);
    assert_int_equal(bed->findings.count, 3);
    found(bed, 0, DOCTOR_FAILED, "virt-rules.conf:2:9: error: 'b' is not an absolute path",
          "absolute");
    found(bed, 1, DOCTOR_FAILED, "virt-rules.conf:3:1: error: a line without '='", "KEY = VALUE");
    found(bed, 2, DOCTOR_OK, "virt-rules.conf sets ", NULL);
    set_mode(bed, conf, 0666);
    look(bed, doctor_places_conf);
    found(bed, 0, DOCTOR_FAILED, "may be changed by users other than root", "chmod go-w");
}

static void which_library(void **state) {
    struct bed *bed = *state;
    UNKNOWN(doctor_places_library, "the library is in none of the known directories");
    put(bed, "QVS/usr/lib64/libvirt.so.0", "");
    OK(doctor_places_library, "/QVS/usr/lib64/libvirt.so.0: a place of QNAP");
    bed->doctor.libvirt = (struct libvirt_answer){.asked = true,
                                                  .library = memory_strdup("/l/libvirt.so.0"),
                                                  .library_why = memory_strdup("the loader")};
    OK(doctor_places_library, "/l/libvirt.so.0: the loader");
    snprintf(bed->layout.file, sizeof bed->layout.file, "/conf");
    strcpy(bed->layout.conf.values[CONF_LIBRARY], "/nowhere/libvirt.so.0");
    look(bed, doctor_places_library);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 0, DOCTOR_FAILED, "/nowhere/libvirt.so.0, which /conf sets, does not load", "ldd");
    found(bed, 1, DOCTOR_OK, "/l/libvirt.so.0: the loader", NULL);
    free(bed->doctor.libvirt.library_why);
    bed->doctor.libvirt.library_why = memory_strdup("/conf sets it");
    OK(doctor_places_library, "/l/libvirt.so.0: /conf sets it");
}

static void which_socket(void **state) {
    struct bed *bed = *state;
    UNKNOWN(doctor_places_socket, "no socket of libvirt is in this tree");
    bed->doctor.libvirt = (struct libvirt_answer){.asked = true};
    OK(doctor_places_socket, "qemu:///system: it is the usual one");
    bed->doctor.libvirt.error = memory_strdup("no socket");
    WARNS(doctor_places_socket,
          "no socket of libvirt was found: looked for libvirt-sock and virtqemud-sock in /run/",
          "set uri in ");
    put(bed, "run/truenas_libvirt/x", "");
    assert_int_equal(mknod(full(bed, "run/truenas_libvirt/libvirt-sock"), S_IFSOCK | 0700, 0), 0);
    OK(doctor_places_socket, "qemu+unix:///system?socket=/run/truenas_libvirt/libvirt-sock: /run/");
    strcpy(bed->layout.conf.values[CONF_URI], "mine:");
    OK(doctor_places_socket, "mine:: ");
}

static void a_daemon_that_translates(void **state) {
    static const struct {
        const char *environment, *message, *advice;
    } daemons[] = {
        {"LANG=de_DE.UTF-8", "LANG=de_DE.UTF-8, so its messages may be translated",
         "Environment=LC_MESSAGES=C,"},
        {"A=1|LC_MESSAGES=fr_FR|LANG=C", "LC_MESSAGES=fr_FR,", "systemctl edit libvirtd"},
        {"LANG=C|LC_ALL=ja_JP.utf8|LC_MESSAGES=C", "LC_ALL=ja_JP.utf8", "LC_ALL=C.UTF-8"},
        {"LANG=eo", "LANG=eo", "restart libvirtd"},
        {"", NULL, NULL},
        {"LANG=", NULL, NULL},
        {"LANG=en_GB.UTF-8", NULL, NULL},
        {"LANG=de_DE.UTF-8|LC_MESSAGES=C", NULL, NULL},
        {"LANG=de_DE.UTF-8|LC_ALL=C.UTF-8", NULL, NULL},
        {"LC_ALL=POSIX|LANG=de_DE", NULL, NULL},
        {"LC_ALL=|LANG=de_DE", "LANG=de_DE", "LC_MESSAGES=C"},
        {"MYLANG=de_DE|LC_TIME=de_DE", NULL, NULL},
    };
    struct bed *bed = *state;
    put_daemon(bed, 812, "libvirtd", 0, 0);
    for (size_t i = 0; i < sizeof daemons / sizeof *daemons; i++) {
        char *environment = memory_strdup(daemons[i].environment);
        size_t size = strlen(environment);
        for (char *at; (at = memchr(environment, '|', size));)
            *at = '\0';
        put_bytes(bed, "proc/812/environ", environment, size);
        look(bed, doctor_rules_libvirt);
        free(environment);
        assert_int_equal(bed->findings.count, daemons[i].message ? 2 : 1);
        if (!daemons[i].message)
            continue;
        found(bed, 1, DOCTOR_OK, daemons[i].message, NULL);
        has(bed->findings.list[1].message, daemons[i].advice);
    }
}

static void vms(void **state) {
    struct bed *bed = *state;
    OK(doctor_rules_vms, "no rule names one");
    use_rules(bed, VFIO);
    UNKNOWN(doctor_rules_vms, "");
    know_vm(bed, "<domain><name>3f2c</name><title>frigate</title></domain>");
    OK(doctor_rules_vms, "each VM that the rules name exists (there is 1)");
    use_rules(bed, "on vm frigat, win started run \"/bin/true\"");
    look(bed, doctor_rules_vms);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 0, DOCTOR_FAILED, "t.rules:1:7: error: no VM of this host is called 'frigat'",
          "did you mean 'frigate'?");
    found(bed, 1, DOCTOR_FAILED, "'win'", "the only VM is 'frigate'");
}

static void files(void **state) {
    struct bed *bed = *state;
    OK(doctor_rules_files, "no rule runs a program");
    use_rules(bed, VFIO);
    OK(doctor_rules_files, "no rule runs a program");
    put(bed, "opt/other", "");
    use_rules(bed, "on vm frigate stopped run \"/opt/none\"");
    FAILS(doctor_rules_files, "t.rules:1:27: error: '/opt/none' does not exist",
          "'ls -l /opt/none'");
    use_rules(bed, "on vm frigate stopped run \"/away/none\"");
    OK(doctor_rules_files, "in this tree");
    know_vm(bed, "<domain><name>frigate</name></domain>");
    use_rules(bed, "on vm frigate stopped run \"/opt/none\"");
    look(bed, doctor_rules_vms);
    FAILS(doctor_rules_files, "'/opt/none' does not exist", "install the program");
}

#define Q35(id, ports)                                                                             \
    "<domain" id "><name>frigate</name><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"    \
    "<controller type='pci' index='0' model='pcie-root'/>" ports                                   \
    "<controller type='usb' index='0' model='none'/></devices></domain>"
#define PORT "<controller type='pci' index='1' model='pcie-root-port'/>"

static void ports(void **state) {
    struct bed *bed = *state;
    OK(doctor_rules_ports, "no rule needs one");
    use_rules(bed, VFIO);
    UNKNOWN(doctor_rules_ports, "");
    bed = &(struct bed){0};
    lie_on(bed, "tests/hosts/nas", VFIO "\n" USB);
    know_vm(bed, Q35("", PORT));
    FAILS(doctor_rules_ports, "VM frigate cannot take 1-1 10c4:ea60: the VM has no USB controller",
          "qemu-xhci");
    use_rules(bed, VFIO);
    OK(doctor_rules_ports, "each VM has a free port");
    domain_list_finish(&bed->doctor.libvirt.vms);
    know_vm(bed, Q35(" id='3'", ""));
    FAILS(doctor_rules_ports,
          "VM frigate cannot take 0000:03:00.0 1ac1:089a: the VM has no free PCIe",
          "pcie-root-port");
    leave_root(bed);
}

static void bars(void **state) {
    struct bed *bed = *state;
    OK(doctor_rules_bars, "no rule attaches a device");
    use_rules(bed, VFIO);
    UNKNOWN(doctor_rules_bars, "");
    bed = &(struct bed){0};
    lie_on(bed, "tests/hosts/gpus", "on vm frigate started attach 10de:2484 with group as vfio");
    know_vm(bed, Q35("", PORT "<controller type='pci' index='2' model='pcie-root-port'/>"));
    WARNS(doctor_rules_bars,
          "VM frigate, 0000:01:00.0 10de:2484: the guest may find no addresses for its memory BARs",
          "<target memReserve='573440'/>");
    assert_int_equal(bed->findings.count, 1); /* none of its audio function */
    use_rules(bed, "on vm frigate started attach 10de:228b with group as vfio");
    WARNS(doctor_rules_bars, "10de:2484", "index='2'");
    use_rules(bed, "on vm frigate started detach 10de:2484");
    OK(doctor_rules_bars, "no device that rules attach has larger BARs");
    use_rules(bed, "on vm frigate started attach 144d:a808 as vfio");
    OK(doctor_rules_bars, "no device that rules attach has larger BARs");
    leave_root(bed);
}

static void devices(void **state) {
    struct bed *bed = *state;
    FAILS(doctor_rules_devices, "no devices to read", "container");
    bed = &(struct bed){0};
    lie_on(bed, "tests/hosts/nas", "");
    OK(doctor_rules_devices, "no rule wants one");
    use_rules(bed, VFIO "\non vm b started attach 1ac1:089a as vfio\n");
    look(bed, doctor_rules_devices);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 0, DOCTOR_OK,
          "0000:03:00.0 1ac1:089a Global Unichip Corp. Coral Edge TPU can be assigned (t.rules:1)",
          NULL);
    found(bed, 1, DOCTOR_OK, "Coral Edge TPU can be assigned (t.rules:2)", NULL);
    use_rules(bed, "on vm a started attach class 0106 as vfio\nnever attach class 07\n");
    FAILS(doctor_rules_devices, "the host mounts / from it", "");
    has(bed->findings.list[0].message, "(t.rules:1)");
    use_rules(bed, "on vm a started {\nattach 1234:5678 as vfio\nattach 0001:0002 as usb optional\n"
                   "attach 0003:0004 as usb within 1m\n}\n");
    look(bed, doctor_rules_devices);
    assert_int_equal(bed->findings.count, 3);
    found(bed, 0, DOCTOR_FAILED, "1234:5678: the host has no PCI device", "optional");
    found(bed, 1, DOCTOR_OK, "0001:0002 is absent, which t.rules:3 allows", NULL);
    found(bed, 2, DOCTOR_OK, "0003:0004 is absent now; t.rules:4 waits for it", NULL);
    leave_root(bed);
    lie_on(bed, "tests/hosts/dual-tpu", "on vm a started attach all 1ac1:089a with group as vfio");
    look(bed, doctor_rules_devices);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 1, DOCTOR_OK, "0000:04:00.0", NULL);
    leave_root(bed);
}

static void too_few_devices(void **state) {
    struct bed *bed = &(struct bed){0};
    (void)state;
    lie_on(bed, "tests/hosts/nas", "on vm a started attach any 2 1ac1:089a as vfio optional");
    look(bed, doctor_rules_devices);
    assert_int_equal(bed->findings.count, 2);
    found(bed, 1, DOCTOR_OK, "1 of the 2 wanted is free; t.rules:1 allows it", NULL);
    use_rules(bed, "on vm a started attach any 2 1ac1:089a as vfio within 1m\n");
    OK(doctor_rules_devices, "1 of the 2 wanted is free; t.rules:1 waits for more");
    use_rules(bed, "on vm a started attach any 2 1ac1:089a as vfio\n");
    FAILS(doctor_rules_devices, "1 of the 2 wanted is free (t.rules:1)", "ask for fewer");
    leave_root(bed);
}

static void more_than_anybody_reads(void **state) {
    struct bed *bed = &(struct bed){0};
    char *text = NULL;
    size_t size;
    (void)state;
    FILE *out = open_memstream(&text, &size);
    for (unsigned i = 0; i < 300; i++)
        fprintf(out, "on vm a%u started attach 1234:%04x as vfio\n", i, i);
    fclose(out);
    lie_on(bed, "tests/hosts/nas", text);
    know_vm(bed, "<domain><name>frigate</name></domain>");
    look(bed, doctor_rules_devices);
    assert_int_equal(bed->findings.count, 101);
    found(bed, 100, DOCTOR_WARNING, "there are more", "virt-rules check --host /rules.d");
    look(bed, doctor_rules_vms);
    assert_int_equal(bed->findings.count, 101);
    found(bed, 100, DOCTOR_WARNING, "there are more", "virt-rules check --host /rules.d");
    leave_root(bed);
    free(text);
}

static void devices_that_vms_have(void **state) {
    struct bed *bed = &(struct bed){0};
    (void)state;
    lie_on(bed, "tests/hosts/nas", "on vm frigate started attach any 1 1ac1:089a as vfio");
    know_vm(bed,
            "<domain id='4'><name>frigate</name><devices><hostdev type='pci'><source><address "
            "domain='0' bus='3' slot='0' function='0'/></source></hostdev></devices></domain>");
    OK(doctor_rules_devices, "Coral Edge TPU: VM 'frigate' has it (t.rules:1)");
    leave_root(bed);
}

/* --- what libvirt answers */

static void asks_the_real_libvirt(void **state) {
    struct libvirt_answer answer;
    (void)state;
    setenv("LIBVIRT_DEFAULT_URI", "test:///default", 1);
    libvirt_answer_get(&answer);
    assert_null(answer.error);
    assert_string_equal(answer.uri, "test:///default");
    assert_true(answer.vms_known);
    assert_string_equal(answer.vms.list[0].name, "test");
    libvirt_answer_finish(&answer);
    setenv("LIBVIRT_DEFAULT_URI", "nonsense:///", 1);
    libvirt_answer_get(&answer);
    assert_non_null(answer.error);
    assert_non_null(answer.hint);
    assert_non_null(answer.library);
    libvirt_answer_finish(&answer);
    unsetenv("LIBVIRT_DEFAULT_URI");
}

/* --- the whole */

/* Every line is said, names its condition, and tells what to do where something is not well. */
static void judge_all(const struct doctor_findings *findings) {
    assert_true(findings->count >= 17);
    for (size_t i = 0; i < findings->count; i++) {
        const struct doctor_finding *finding = &findings->list[i];
        assert_true(strlen(finding->name) < WIDTH - 9 && *finding->message);
        assert_null(strchr(finding->message, '\n'));
        if (finding->state == DOCTOR_OK || finding->state == DOCTOR_UNKNOWN)
            assert_null(finding->hint);
        else
            assert_true(finding->hint && *finding->hint);
    }
}

static void every_sample_host(void **state) {
    static const char *const hosts[] = {"desktop", "dual-tpu", "nas",      "no-iommu",
                                        "server",  "usb",      "usb-after"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct bed bed;
        char root[64];
        snprintf(root, sizeof root, "tests/hosts/%s", hosts[i]);
        lie_on(&bed, root, VFIO "\n" USB "\non vm any started attach any class 03 as vfio\n");
        doctor_examine(&bed.doctor, &bed.findings);
        judge_all(&bed.findings);
        leave_root(&bed);
    }
}

static void an_empty_tree(void **state) {
    struct bed *bed = *state;
    doctor_examine(&bed->doctor, &bed->findings);
    judge_all(&bed->findings);
}

/* Bytes that mean something somewhere, and others. */
static void fill(char *bytes, size_t size, unsigned *seed) {
    static const char special[] = "()[]{}*=:\"\\,@#/x \n\r\t-0Y";
    for (size_t i = 0; i < size; i++) {
        unsigned number = (unsigned)rand_r(seed);
        unsigned char any = (number >> 8) & 0xff;
        memcpy(&bytes[i], number % 3 ? (const void *)&special[number % (sizeof special - 1)] : &any,
               1);
    }
}

/* Files with anything in them: nothing crashes. */
static void noise(void **state) {
    static const char *const files[] = {"proc/cmdline",
                                        "proc/cpuinfo",
                                        "proc/interrupts",
                                        "proc/stat",
                                        "proc/9/stat",
                                        "proc/9/status",
                                        "proc/9/attr/current",
                                        "proc/sys/kernel/osrelease",
                                        "lib/modules/vfio/modules.dep",
                                        "etc/modprobe.d/a.conf",
                                        "etc/apparmor.d/usr.sbin.libvirtd",
                                        "etc/udev/rules.d/a.rules",
                                        "etc/rc.local",
                                        "etc/libvirt/hooks/qemu",
                                        "sys/module/vfio_pci/parameters/disable_idle_d3",
                                        "sys/fs/selinux/enforce",
                                        "var/packages/Virtualization/INFO"};
    struct bed *bed = *state;
    unsigned seed = 1;
    put_daemon(bed, 9, "libvirtd", 0, 0);
    use_rules(bed, VFIO);
    for (size_t round = 0; round < 40; round++) {
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            char bytes[200];
            size_t size = (size_t)rand_r(&seed) % sizeof bytes;
            fill(bytes, size, &seed);
            put_bytes(bed, files[i], bytes, size);
        }
        doctor_examine(&bed->doctor, &bed->findings);
        judge_all(&bed->findings);
        doctor_findings_finish(&bed->findings);
    }
}

static void printed(void **state) {
    struct doctor_findings findings = {.name = "iommu"};
    char *text = NULL;
    size_t size = 0;
    (void)state;
    doctor_ok(&findings, "the kernel made %d IOMMU groups", 14);
    findings.name = "hook";
    doctor_warning(&findings, "old\033[31m");
    doctor_hint(&findings, "first");
    doctor_hint(&findings, "install %s", "again");
    doctor_failed(&findings, "none");
    findings.name = "vms";
    doctor_unknown(&findings, "libvirt is not asked");
    FILE *out = open_memstream(&text, &size);
    doctor_findings_print(&findings, out, (struct terminal){0}, false);
    fclose(out);
    assert_string_equal(text, "failed   hook          none\n"
                              "warning  hook          old?[31m\n"
                              "         hint: install again\n"
                              "1 check is fine, and of 1 it is not known (virt-rules doctor --all "
                              "shows them)\n");
    free(text);
    out = open_memstream(&text, &size);
    doctor_findings_print(&findings, out, (struct terminal){.width = 40}, true);
    fclose(out);
    assert_string_equal(text, "failed   hook          none\n"
                              "warning  hook          old?[31m\n"
                              "         hint: install again\n"
                              "unknown  vms           libvirt is not\n"
                              "  asked\n"
                              "ok       iommu         the kernel made\n"
                              "  14 IOMMU groups\n"
                              "1 ok, 1 unknown, 1 warning, 1 failed\n");
    free(text);
    out = open_memstream(&text, &size);
    doctor_findings_print(&findings, out, (struct terminal){.colour = true}, true);
    fclose(out);
    has(text, "\033[32mok\033[0m       iommu         the kernel");
    has(text, "\033[33mwarning\033[0m  hook");
    has(text, "\033[31mfailed\033[0m   hook");
    has(text, "\n         \033[36mhint:\033[0m install again\n");
    free(text);
    struct json_object *json = doctor_findings_json(&findings);
    has(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN),
        "{\"conditions\":[{\"name\":\"iommu\",\"state\":\"ok\",\"message\":\"the kernel made 14 "
        "IOMMU "
        "groups\",\"hint\":null},{\"name\":\"hook\",\"state\":\"warning\"");
    json_object_put(json);
    assert_int_equal(doctor_findings_count(&findings, DOCTOR_FAILED), 1);
    doctor_findings_finish(&findings);
}

#define BED(test) cmocka_unit_test_setup_teardown(test, open_bed, close_bed)

int main(void) {
    const struct CMUnitTest tests[] = {
        BED(loads_regular_files_only),
        BED(iommu),
        BED(vfio_pci),
        BED(of_arm64),
        BED(of_other_processors),
        BED(kernel_version),
        BED(vfio_pci_of_a_nas),
        BED(remapping),
        BED(groups),
        BED(groups_that_the_hardware_does_not_make),
        BED(idle_d3),
        BED(awake_needs_a_new_kernel),
        BED(displays_sleep_too),
        BED(finds_the_daemon),
        BED(hook),
        BED(hook_beside_another),
        BED(engine),
        BED(whether_libvirt_knows_of_the_hook),
        cmocka_unit_test(what_a_profile_allows),
        cmocka_unit_test(patterns_of_profiles),
        BED(apparmor),
        BED(selinux),
        BED(user),
        BED(state_directory_of),
        BED(reads_the_state_directory),
        BED(plugged),
        BED(host_boot),
        BED(host_boot_of_a_nas),
        BED(how_the_host_booted),
        BED(plugged_without_udev),
        BED(parked),
        BED(old_setup),
        BED(hook_scripts_of_any_depth),
        BED(what_hook_scripts_do),
        BED(synology),
        BED(rules),
        BED(libvirt),
        BED(settings),
        BED(which_library),
        BED(which_socket),
        BED(a_daemon_that_translates),
        BED(vms),
        BED(files),
        BED(ports),
        BED(bars),
        BED(devices),
        cmocka_unit_test(devices_that_vms_have),
        cmocka_unit_test(too_few_devices),
        cmocka_unit_test(more_than_anybody_reads),
        cmocka_unit_test(asks_the_real_libvirt),
        cmocka_unit_test(every_sample_host),
        BED(an_empty_tree),
        BED(noise),
        cmocka_unit_test(printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
