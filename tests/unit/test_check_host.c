/* check --host: what a host says of rules, on the sample hosts; and the VMs of a host. */
#include "engine/host/program_file.h"
#include "engine/libvirt/domain_list.h"
#include "engine/plan/check_host.h"

#include "unit/double_virt.h"
#include "unit/sample.h"
#include "unit/skip.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const char FRIGATE[] = "<domain><name>3f2c</name><title>frigate</title></domain>";
static const char ASSISTANT[] = "<domain><name>Home Assistant</name></domain>";

struct judged {
    struct ruleset ruleset;
    struct host host;
    struct domain vms[2];
};

static void judge(struct judged *judged, const char *host, const char *text, bool vms_known) {
    sample_host(&judged->host, host);
    ruleset_init(&judged->ruleset);
    sample_add(&judged->ruleset, "t.rules", text);
    ruleset_load(&judged->ruleset, NULL);
    assert_int_equal(diagnostic_count_errors(&judged->ruleset.diagnostics), 0);
    sample_domain(&judged->vms[0], FRIGATE);
    sample_domain(&judged->vms[1], ASSISTANT);
    check_host(&judged->ruleset, NULL, &judged->host, vms_known, judged->vms, 2);
}

static void judged_finish(struct judged *judged) {
    domain_finish(&judged->vms[0]);
    domain_finish(&judged->vms[1]);
    ruleset_finish(&judged->ruleset);
    host_finish(&judged->host);
}

/* Nothing is found, or exactly one thing: by that check, on that column, with these words. */
static void says(const char *host, const char *text, const char *name, unsigned column,
                 const char *message) {
    struct judged judged;
    judge(&judged, host, text, true);
    struct diagnostics *found = &judged.ruleset.diagnostics;
    if (!name) {
        assert_int_equal(found->count, 0);
    } else {
        assert_int_equal(found->count, 1);
        assert_string_equal(diagnostic_name(&found->list[0]), name);
        assert_int_equal(source_position(found->list[0].source, found->list[0].span.start).column,
                         column);
        assert_non_null(strstr(found->list[0].message, message));
        assert_non_null(found->list[0].hint);
        assert_true(found->list[0].source->broken);
    }
    judged_finish(&judged);
}

/* Of other VMs: nothing, or one finding with this message and hint. */
static void says_of(const char *const xml[], const char *text, const char *name,
                    const char *message, const char *hint) {
    struct ruleset ruleset;
    static const struct host nothing = {0};
    struct domain vms[8];
    size_t count = 0;
    ruleset_init(&ruleset);
    sample_add(&ruleset, "t.rules", text);
    ruleset_load(&ruleset, NULL);
    assert_int_equal(ruleset.diagnostics.count, 0);
    for (; xml[count]; count++)
        sample_domain(&vms[count], xml[count]);
    check_host(&ruleset, NULL, &nothing, true, vms, count);
    assert_int_equal(ruleset.diagnostics.count, name ? 1 : 0);
    if (name) {
        assert_string_equal(diagnostic_name(&ruleset.diagnostics.list[0]), name);
        assert_non_null(strstr(ruleset.diagnostics.list[0].message, message));
        assert_string_equal(ruleset.diagnostics.list[0].hint, hint);
    }
    while (count)
        domain_finish(&vms[--count]);
    ruleset_finish(&ruleset);
}

static const char *const GUARDED[] = {
    "<domain><name>a</name><uuid>5dc01234-0000-4000-8000-000000000001</uuid>"
    "<title>5dc01234-0000-4000-8000-000000000002</title></domain>",
    NULL};
static const char *const SEVERAL[] = {
    "<domain><name>nvr</name><uuid>5dc01234-0000-4000-8000-000000000001</uuid></domain>",
    "<domain><name>two</name><uuid>5dc01234-0000-4000-8000-000000000002</uuid>"
    "<title>nvr</title></domain>",
    "<domain><name>three</name><title>nvr</title></domain>",
    "<domain><name>5dc01234-0000-4000-8000-000000000001</name>"
    "<uuid>5dc01234-0000-4000-8000-000000000004</uuid></domain>",
    "<domain><name>same</name><title>same</title></domain>",
    NULL};

static void right_rules_pass(void **state) {
    (void)state;
    says("tests/hosts/nas", "on vm frigate started attach 1ac1:089a as vfio", NULL, 0, NULL);
    says("tests/hosts/nas", "on vm any, 3f2c, \"Home Assistant\" stopped run \"/x\"", NULL, 0,
         NULL);
    says("tests/hosts/nas", "on vm fri* started attach any 1ac1:089a as vfio", NULL, 0, NULL);
}

static void vms_that_nobody_is_called(void **state) {
    (void)state;
    says("tests/hosts/nas", "on vm frigte stopped run \"/x\"", "vm-unknown", 7, "'frigte'");
    says("tests/hosts/nas", "on vm x* stopped run \"/x\"", "vm-unknown", 7, "matches 'x*'");
    says("tests/hosts/nas", "on vm \"fri g\" stopped run \"/x\"", "vm-unknown", 7,
         "called 'fri g'");
    says("tests/hosts/nas", "on vm title 3f2c stopped run \"/x\"", "vm-unknown", 7,
         "has the title '3f2c'");
    says("tests/hosts/nas", "on vm name frigate stopped run \"/x\"", "vm-unknown", 7,
         "called 'frigate'");
    says("tests/hosts/nas", "on vm uuid 5dc01234-0000-4000-8000-000000000009 stopped run \"/x\"",
         "vm-unknown", 7, "has the UUID '5dc0");
}

static void vms_of_guards(void **state) {
    (void)state;
    says("tests/hosts/nas", "never attach class 03 to vm frigate, 3f2c, fri*, \"Home Assistant\"",
         NULL, 0, NULL);
    says("tests/hosts/nas", "never attach class 03", NULL, 0, NULL);
    says("tests/hosts/nas", "never attach class 03 to vm frigate, nobody", "vm-unknown", 38,
         "called 'nobody'");
    says("tests/hosts/nas", "never attach class 03 to vm test*", "vm-unknown", 29,
         "matches 'test*'");
    says("tests/hosts/nas", "never attach class 03 to vm title 3f2c", "vm-unknown", 29,
         "has the title '3f2c'");
    /* What the engine's guard forbids to is not said to be unknown. */
    says_of(GUARDED, "never attach class 03 to vm 5dc0*", NULL, NULL, NULL);
    says_of(GUARDED, "never attach class 03 to vm 5dc01234-0000-4000-8000-000000000002", NULL, NULL,
            NULL);
    says_of(GUARDED, "never attach class 03 to vm 5dc01234-0000-4000-8000-000000000003",
            "vm-unknown", "is called '5dc0",
            "did you mean '5dc01234-0000-4000-8000-000000000001'?");
}

/* The better fit gets the word; equal titles are nobody's. */
static void names_that_several_vms_have(void **state) {
    (void)state;
    says_of(SEVERAL, "on vm nvr stopped run \"/x\"", "vm-ambiguous",
            "'nvr' is the name of VM nvr (5dc01234-0000-4000-8000-000000000001), and the title of "
            "two (5dc01234-0000-4000-8000-000000000002), three (without a UUID): only the VM with "
            "this name is meant",
            "write 'name nvr' if that is right; else 'uuid' and the UUID of the VM that is meant");
    says_of(SEVERAL, "on vm title nvr stopped run \"/x\"", "vm-ambiguous",
            "2 VMs of this host have the title 'nvr': two "
            "(5dc01234-0000-4000-8000-000000000002), three (without a UUID)",
            "a device that only one VM can have is given to none of them: write 'uuid' and the "
            "UUID of the VM that is meant, or change a title");
    says_of(SEVERAL, "on vm \"nvr\" stopped run \"/x\"", "vm-ambiguous", "only the VM with this",
            "write 'name \"nvr\"' if that is right; else 'uuid' and the UUID of the VM that is "
            "meant");
    says_of(SEVERAL, "on vm 5dc01234-0000-4000-8000-000000000001 stopped run \"/x\"",
            "vm-ambiguous",
            "is the UUID of VM nvr (5dc01234-0000-4000-8000-000000000001), and the name of "
            "5dc01234-0000-4000-8000-000000000001 (5dc01234-0000-4000-8000-000000000004)",
            "write 'uuid 5dc01234-0000-4000-8000-000000000001' if that is right; else 'uuid' and "
            "the UUID of the VM that is meant");
}

static void names_that_one_vm_has(void **state) {
    (void)state;
    says_of(SEVERAL, "on vm name nvr, two, nv*, any stopped run \"/x\"", NULL, NULL, NULL);
    says_of(SEVERAL, "on vm uuid 5dc01234-0000-4000-8000-000000000001 stopped run \"/x\"", NULL,
            NULL, NULL);
    says_of(SEVERAL, "on vm title n?r stopped run \"/x\"", NULL, NULL, NULL);
    says_of(SEVERAL, "on vm same stopped run \"/x\"", NULL, NULL, NULL);
    says_of(SEVERAL, "never attach class 03 to vm nvr, title nvr", NULL, NULL, NULL);
}

/* The parser warns of the blank; a VM without it in its name is still not the one that is meant. */
static void a_blank_at_the_end_is_part_of_the_name(void **state) {
    (void)state;
    struct judged judged;
    judge(&judged, "tests/hosts/nas", "on vm \"frigate \" stopped run \"/x\"", true);
    struct diagnostics *found = &judged.ruleset.diagnostics;
    assert_int_equal(found->count, 2);
    assert_string_equal(diagnostic_name(&found->list[0]), "hidden-character");
    assert_string_equal(diagnostic_name(&found->list[1]), "vm-unknown");
    assert_non_null(strstr(found->list[1].message, "called 'frigate '"));
    assert_string_equal(found->list[1].hint, "did you mean 'frigate'?");
    judged_finish(&judged);
}

static void a_near_name_is_suggested(void **state) {
    (void)state;
    struct judged judged;
    judge(&judged, "tests/hosts/nas", "on vm \"Home Asistant\" stopped run \"/x\"", true);
    assert_string_equal(judged.ruleset.diagnostics.list[0].hint, "did you mean 'Home Assistant'?");
    judged_finish(&judged);
}

static void unknown_vms_are_not_judged(void **state) {
    (void)state;
    struct judged judged;
    judge(&judged, "tests/hosts/nas", "on vm nobody stopped run \"/x\"", false);
    assert_int_equal(judged.ruleset.diagnostics.count, 0);
    judged_finish(&judged);
}

static void devices(void **state) {
    (void)state;
    says("tests/hosts/nas", "on vm frigate started attach 1234:5678 as vfio", "device-absent", 30,
         "no PCI device");
    says("tests/hosts/dual-tpu", "on vm frigate started attach 1ac1:089a as vfio",
         "device-ambiguous", 30, "0000:03:00.0");
    says("tests/hosts/nas", "on vm frigate started attach class 0106 as vfio", "device-unpassable",
         30, "the host");
    says("tests/hosts/nas", "on vm frigate started attach 10c4:ea60 as vfio", "device-unpassable",
         30, "USB");
    says("tests/hosts/no-iommu", "on vm frigate started attach any 1ac1:089a as vfio",
         "device-unpassable", 30, "IOMMU");
}

static void devices_before_a_start(void **state) {
    (void)state;
    static const char gpus[] = "tests/hosts/gpus";
    says("tests/hosts/nas", "on vm frigate prepare require 1234:5678", "device-absent", 31,
         "the host has no device 1234:5678");
    says("tests/hosts/nas", "on vm frigate prepare require 1234:5678 within 5s", NULL, 0, NULL);
    says("tests/hosts/nas", "on vm frigate prepare {\n run \"/bin/true\"\n require class 0106\n}",
         "device-unpassable", 10, "the host");
    says("tests/hosts/dual-tpu", "on vm frigate prepare require 1ac1:089a", "device-ambiguous", 31,
         "0000:03:00.0");
    says("tests/hosts/dual-tpu", "on vm frigate prepare require any 3 1ac1:089a with group",
         "device-absent", 31, "");
    says("tests/hosts/nas", "on vm frigate defined attach 1234:5678 as vfio", "device-absent", 30,
         "no PCI device");
    says("tests/hosts/nas", "on host boot bind 1234:5678 to vfio", "device-absent", 19,
         "no device 1234:5678");
    says(gpus, "on host boot create 2 vf of at 01:00.0", "device-unpassable", 29, "SR-IOV");
    says(gpus, "on vm frigate prepare require at 01:00.0", "device-unpassable", 31,
         "IOMMU group 11");
    says(gpus, "on vm frigate prepare require at 01:00.0 with group", NULL, 0, NULL);
}

/* As the VM's own rules attach them, not those of another one. */
static void devices_that_are_required_and_attached(void **state) {
    (void)state;
    static const char gpus[] = "tests/hosts/gpus";
    says(gpus,
         "on vm frigate prepare require at 01:00.0\n"
         "on vm frigate defined attach at 01:00.0 with group as vfio\n",
         NULL, 0, NULL);
    says(gpus,
         "on vm frigate prepare require at 01:00.0\n"
         "on vm \"Home Assistant\" started attach at 01:00.0 with group as vfio\n",
         "device-unpassable", 31, "IOMMU group 11");
}

/* What can be said at 'defined' has no 'within'. */
static void hints_are_of_the_event(void **state) {
    (void)state;
    struct judged judged;
    judge(&judged, "tests/hosts/nas", "on vm frigate defined attach 1234:5678 as vfio", true);
    assert_int_equal(judged.ruleset.diagnostics.count, 1);
    assert_null(strstr(judged.ruleset.diagnostics.list[0].hint, "within"));
    judged_finish(&judged);
}

/* A hub among what a rule means is not a mistake of the rule. */
static void devices_by_their_texts_and_places(void **state) {
    (void)state;
    static const char dock[] = "tests/hosts/dock";
    says(dock, "on vm frigate started attach all below port 1-1 as usb", NULL, 0, NULL);
    says(dock, "on vm frigate started attach product like \"*C9?0*\" below port 10-1 as usb",
         "device-absent", 30, "below port 10-1");
    says(dock, "on vm frigate started attach product like \"*C9?0*\" port 10-* as usb", NULL, 0,
         NULL);
    says(dock, "on vm frigate started attach product like \"*C9?0*\" as usb", "device-ambiguous",
         30, "2 devices are product like");
    says(dock, "on vm frigate started attach interface 0301 not driver usbhid as usb",
         "device-absent", 30, "interface 0301 not driver usbhid");
    says(dock, "on vm frigate started attach all port 1-1.3 as usb", "device-absent", 30,
         "except hubs, which cannot be assigned");
    says(dock, "on vm frigate started attach port 1-1.3 as usb", "device-unpassable", 30,
         "is a hub");
    says(dock, "on vm frigate started, plugged attach all port 1-1.3 as usb", NULL, 0, NULL);
}

static void devices_that_may_be_away(void **state) {
    (void)state;
    says("tests/hosts/nas", "on vm frigate started attach 1234:5678 as vfio optional", NULL, 0,
         NULL);
    says("tests/hosts/nas", "on vm frigate started attach 1234:5678 as vfio within 2m", NULL, 0,
         NULL);
    says("tests/hosts/nas", "on vm frigate started, plugged attach 1234:5678 as usb", NULL, 0,
         NULL);
}

static void what_never_forbids(void **state) {
    (void)state;
    struct judged judged;
    judge(&judged, "tests/hosts/nas",
          "on vm frigate started attach at 0000:03:00.0 as vfio\nnever attach 1ac1:089a\n", true);
    assert_int_equal(judged.ruleset.diagnostics.count, 1);
    assert_string_equal(diagnostic_name(&judged.ruleset.diagnostics.list[0]), "void-by-never");
    assert_int_equal(judged.ruleset.diagnostics.list[0].severity, SEVERITY_WARNING);
    judged_finish(&judged);
}

static void severities_are_the_users(void **state) {
    (void)state;
    struct judged judged;
    struct check_config config;
    const char *suggestion = NULL;
    check_config_init(&config);
    check_config_set(&config, "vm-unknown", SEVERITY_IGNORE, &suggestion);
    judge(&judged, "tests/hosts/nas", "", true);
    sample_add(&judged.ruleset, "u.rules", "on vm nobody stopped run \"/x\"");
    syntax_parse(&judged.ruleset.syntax, judged.ruleset.sources[1], &judged.ruleset.diagnostics);
    check_host(&judged.ruleset, &config, &judged.host, true, judged.vms, 2);
    assert_int_equal(judged.ruleset.diagnostics.count, 1);
    assert_int_equal(diagnostic_count_errors(&judged.ruleset.diagnostics), 0);
    judged_finish(&judged);
}

static void vms_of_libvirt_running_or_not(void **state) {
    (void)state;
    struct double_virt *hypervisor = double_virt_create();
    struct virt_error error;
    struct domain_list vms;
    double_virt_add(hypervisor, "11111111-1111-1111-1111-111111111111", "a", NULL);
    double_virt_add(hypervisor, "22222222-2222-2222-2222-222222222222", "b", "title");
    double_virt_stop(hypervisor, "22222222-2222-2222-2222-222222222222");
    assert_int_equal(domain_list_all(&vms, double_virt_port(hypervisor), &error), 0);
    assert_int_equal(vms.count, 2);
    assert_string_equal(vms.list[1].title, "title");
    domain_list_finish(&vms);
    double_virt_fail(hypervisor, DOUBLE_LIST, 0, VIRT_UNREACHABLE, "gone");
    assert_int_equal(domain_list_all(&vms, double_virt_port(hypervisor), &error), -1);
    double_virt_destroy(hypervisor);
}

static void write_file(const char *path, const char *text) {
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void vms_of_a_tree(void **state) {
    (void)state;
    char root[] = "/tmp/vms-XXXXXX", command[128];
    struct domain_list vms;
    assert_non_null(mkdtemp(root));
    assert_false(domain_list_all_in(&vms, root));
    snprintf(command, sizeof command, "mkdir -p %s/etc/libvirt/qemu/networks", root);
    assert_int_equal(system(command), 0);
    char *good = memory_printf("%s/etc/libvirt/qemu/frigate.xml", root);
    char *bad = memory_printf("%s/etc/libvirt/qemu/broken.xml", root);
    write_file(good, FRIGATE);
    write_file(bad, "<domain");
    assert_true(domain_list_all_in(&vms, root));
    assert_int_equal(vms.count, 2);
    assert_string_equal(vms.list[0].name, "broken");
    assert_non_null(vms.list[0].unreadable);
    assert_string_equal(vms.list[1].title, "frigate");
    domain_list_finish(&vms);
    free(good);
    free(bad);
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

/* --- programs and ROM files */

static char root[32], rule[256], file[64];

static void make_file(const char *name, const char *text, mode_t mode) {
    char *path = memory_printf("%s/opt/%s", root, name);
    write_file(path, text);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static int make_root(void **state) {
    char command[128];
    (void)state;
    snprintf(root, sizeof root, "/tmp/files-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(command, sizeof command, "cp -a tests/hosts/nas/. %s && mkdir %s/opt", root, root);
    assert_int_equal(system(command), 0);
    return 0;
}

static int remove_root(void **state) {
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static void says_of_program(const char *path, const char *message) {
    snprintf(rule, sizeof rule, "on vm frigate stopped {\n    run \"%s\" x\n}\n", path);
    says(root, rule, message ? "file-unusable" : NULL, 9, message);
}

static void programs_that_are_no_use(void **state) {
    (void)state;
    make_file("good", "", 0755);
    make_file("plain", "#!/opt/good\n", 0644);
    make_file("script", "#! /opt/good -e\n", 0700);
    make_file("orphan", "#!/opt/none\n", 0755);
    make_file("windows", "#!/opt/good\r\n", 0755);
    says_of_program("/opt/good", NULL);
    says_of_program("/opt/script", NULL);
    says_of_program("/opt/none", "'/opt/none' does not exist");
    says_of_program("/opt/plain", "'/opt/plain' is not executable");
    says_of_program("/opt/../opt", "is not a file");
    says_of_program("/opt/orphan", "is a script for '/opt/none', which does not exist");
    says_of_program("/opt/windows", "is a script for '/opt/good");
}

static void hint_of_program(const char *path, const char *hint) {
    struct judged judged;
    snprintf(rule, sizeof rule, "on vm frigate stopped run \"%s\"", path);
    judge(&judged, root, rule, true);
    assert_int_equal(judged.ruleset.diagnostics.count, 1);
    assert_string_equal(judged.ruleset.diagnostics.list[0].hint, hint);
    judged_finish(&judged);
}

static void make_directory(const char *name, mode_t mode) {
    char *path = memory_printf("%s/opt/%s", root, name);
    if (mkdir(path, 0700) < 0)
        assert_int_equal(errno, EEXIST);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static void give_to(const char *name, uid_t owner) {
    char *path = memory_printf("%s/%s", root, name);
    assert_int_equal(chown(path, owner, (gid_t)-1), 0);
    free(path);
}

static void programs_that_others_may_change(void **state) {
    (void)state;
    make_file("good", "", 0755);
    make_file("group", "", 0775);
    make_file("all", "", 04757);
    says_of_program("/opt/group", "'/opt/group' may be changed by users other than root (owner");
    says_of_program("/opt/group", "mode 0775)");
    says_of_program("/opt/all", "mode 4757)");
    hint_of_program("/opt/all", "sudo chown root /opt/all; sudo chmod go-w /opt/all");
    make_directory("", 0775);
    says_of_program("/opt/good",
                    "'/opt/good' may be replaced by users other than root: they may change "
                    "the directory '/opt' (owner");
    hint_of_program("/opt/good", "sudo chown root /opt; sudo chmod go-w /opt");
    make_directory("", 01777);
    says_of_program("/opt/good", "mode 1777)");
    hint_of_program("/opt/good", "move it to a directory that only root may change, such as "
                                 "/usr/local/libexec");
}

/* Who may rename a directory may exchange all below; in one like /tmp only its owner can. */
static void directories_above_that_others_may_change(void **state) {
    (void)state;
    make_directory("above", 0755);
    make_directory("above/sub", 0755);
    make_file("above/sub/good", "", 0755);
    says_of_program("/opt/above/sub/good", NULL);
    make_directory("above", 01777);
    says_of_program("/opt/above/sub/good", NULL);
    make_directory("above", 0777);
    says_of_program("/opt/above/sub/good", "the directory '/opt/above' (owner");
    make_directory("above", 0770);
    says_of_program("/opt/above/sub/good", "mode 0770)");
}

static void links_that_others_may_change(void **state) {
    (void)state;
    make_file("good", "", 0755);
    make_file("all", "", 0777);
    make_directory("links", 0755);
    for (size_t i = 0; i < 3; i++) {
        static const char *const links[][2] = {
            {"links/good", "../good"}, {"links/all", "/opt/all"}, {"links/opt", "/opt"}};
        snprintf(file, sizeof file, "%s/opt/%s", root, links[i][0]);
        assert_int_equal(symlink(links[i][1], file), 0);
    }
    says_of_program("/opt/links/good", NULL);
    says_of_program("/opt/links/opt/good", NULL);
    says_of_program("/opt/links/all", "'/opt/links/all' may be changed by users other than root");
    make_directory("links", 01777);
    says_of_program("/opt/links/good", "the directory '/opt/links' (owner");
    says_of_program("/opt/links/opt/good", "the directory '/opt/links' (owner");
}

static void programs_of_others(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip_because("needs root");
    make_file("good", "", 0755);
    give_to(".", 0);
    give_to("opt/good", 12345);
    says_of_program("/opt/good",
                    "may be changed by users other than root (owner 12345, mode 0755)");
    hint_of_program("/opt/good", "sudo chown root /opt/good; sudo chmod go-w /opt/good");
    make_file("good", "", 0757);
    hint_of_program("/opt/good", "sudo chown root /opt/good; sudo chmod go-w /opt/good");
    make_file("good", "", 0755);
    give_to(".", 12345); /* who copied the host owns all of the copy */
    says_of_program("/opt/good", NULL);
    give_to("opt", 12346);
    says_of_program("/opt/good", "the directory '/opt' (owner 12346");
    hint_of_program("/opt/good", "sudo chown root /opt; sudo chmod go-w /opt");
    make_directory("", 01755);
    hint_of_program("/opt/good", "sudo chown root /opt; sudo chmod go-w /opt");
}

/* Where somebody keeps a copy of a host says nothing about the host. */
static void programs_in_the_root_of_a_copy(void **state) {
    (void)state;
    make_file("../good", "", 0755);
    says_of_program("/good", NULL);
    assert_int_equal(chmod(root, 0777), 0);
    says_of_program("/good", NULL);
}

/* There the root directory's owner is a user like any other. */
static void the_owner_of_the_running_hosts_root(void **state) {
    struct tree tree;
    char *message, *hint;
    (void)state;
    if (geteuid() != 0)
        skip_because("needs root");
    make_file("good", "", 0755);
    give_to(".", 12345);
    assert_true(tree_open(&tree, root));
    tree.root = "";
    assert_int_equal(program_file_check(&tree, "/opt/good", &message, &hint), PROGRAM_FILE_REFUSED);
    assert_non_null(strstr(message, "the directory '/' (owner 12345"));
    free(message);
    free(hint);
    tree_close(&tree);
    give_to(".", 0);
}

/* Here the root directory counts as well, and this user instead of a copy's owner. */
static void programs_of_the_running_host(void **state) {
    struct tree tree;
    char *message, *hint;
    (void)state;
    make_file("good", "", 0755);
    make_file("bad", "", 0757);
    assert_true(tree_open(&tree, ""));
    snprintf(file, sizeof file, "%s/opt/good", root);
    assert_int_equal(program_file_check(&tree, file, &message, &hint), PROGRAM_FILE_USABLE);
    assert_null(message);
    if (geteuid() == 0) {
        give_to(".", 12345);
        assert_int_equal(program_file_check(&tree, file, &message, &hint), PROGRAM_FILE_REFUSED);
        assert_non_null(strstr(message, root));
        free(message);
        free(hint);
        give_to(".", 0);
    }
    snprintf(file, sizeof file, "%s/opt/bad", root);
    assert_int_equal(program_file_check(&tree, file, &message, &hint), PROGRAM_FILE_REFUSED);
    free(message);
    free(hint);
    assert_int_equal(program_file_check(&tree, "bin/sh", &message, &hint), PROGRAM_FILE_REFUSED);
    assert_string_equal(message, "'bin/sh' is not an absolute path");
    free(message);
    free(hint);
    snprintf(file, sizeof file, "%s/opt/loop", root);
    assert_int_equal(symlink("loop", file), 0);
    assert_int_equal(program_file_check(&tree, file, &message, &hint), PROGRAM_FILE_REFUSED);
    assert_non_null(strstr(message, "cannot be examined: Too many levels of symbolic links"));
    free(message);
    free(hint);
    tree_close(&tree);
}

static void links_stay_below_the_root(void **state) {
    (void)state;
    make_file("good", "", 0755);
    snprintf(file, sizeof file, "%s/opt/link", root);
    assert_int_equal(symlink("/opt/good", file), 0);
    says_of_program("/opt/link", NULL);
    unlink(file);
    assert_int_equal(symlink("/bin/sh", file), 0);
    says_of_program("/opt/link", "does not exist");
}

static void what_a_copy_of_a_host_lacks_is_not_known(void **state) {
    (void)state;
    says_of_program("/nowhere/x", NULL);
}

static void the_running_host_has_all(void **state) {
    struct judged judged;
    (void)state;
    ruleset_init(&judged.ruleset);
    sample_add(&judged.ruleset, "t.rules",
               "on vm any stopped {\n run \"/bin/sh\"\n run \"/nowhere/x\"\n}\n");
    ruleset_load(&judged.ruleset, NULL);
    check_host_files(&judged.ruleset, NULL, "");
    assert_int_equal(judged.ruleset.diagnostics.count, 1);
    assert_string_equal(judged.ruleset.diagnostics.list[0].message, "'/nowhere/x' does not exist");
    assert_string_equal(judged.ruleset.diagnostics.list[0].hint,
                        "'ls -l /nowhere/x' shows what there is: correct the path, or install the "
                        "program");
    ruleset_finish(&judged.ruleset);
}

static void says_of_rom(const char *path, const char *message) {
    snprintf(rule, sizeof rule, "on vm frigate started attach 1ac1:089a as vfio rom \"%s\"", path);
    says(root, rule, message ? "file-unusable" : NULL, 48, message);
}

static void rom_files_that_are_no_use(void **state) {
    (void)state;
    make_file("rom", "x", 0644);
    make_file("secret", "x", 0);
    says_of_rom("/opt/rom", NULL);
    says_of_rom("/opt/none", "'/opt/none' does not exist");
    says_of_rom("/opt/secret", "'/opt/secret' is not readable");
    says_of_rom("/opt", "is not a file");
    says(root, "on vm frigate started attach 1ac1:089a as vfio rom off", NULL, 0, NULL);
}

#define FILES(NAME) cmocka_unit_test_setup_teardown(NAME, make_root, remove_root)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_rules_pass),
        cmocka_unit_test(vms_that_nobody_is_called),
        cmocka_unit_test(a_blank_at_the_end_is_part_of_the_name),
        cmocka_unit_test(vms_of_guards),
        cmocka_unit_test(names_that_several_vms_have),
        cmocka_unit_test(names_that_one_vm_has),
        cmocka_unit_test(a_near_name_is_suggested),
        cmocka_unit_test(unknown_vms_are_not_judged),
        cmocka_unit_test(devices),
        cmocka_unit_test(devices_before_a_start),
        cmocka_unit_test(devices_that_are_required_and_attached),
        cmocka_unit_test(hints_are_of_the_event),
        cmocka_unit_test(devices_by_their_texts_and_places),
        cmocka_unit_test(devices_that_may_be_away),
        cmocka_unit_test(what_never_forbids),
        cmocka_unit_test(severities_are_the_users),
        cmocka_unit_test(vms_of_libvirt_running_or_not),
        cmocka_unit_test(vms_of_a_tree),
        FILES(programs_that_are_no_use),
        FILES(programs_that_others_may_change),
        FILES(directories_above_that_others_may_change),
        FILES(links_that_others_may_change),
        FILES(programs_of_others),
        FILES(programs_in_the_root_of_a_copy),
        FILES(the_owner_of_the_running_hosts_root),
        FILES(programs_of_the_running_host),
        FILES(links_stay_below_the_root),
        FILES(what_a_copy_of_a_host_lacks_is_not_known),
        FILES(the_running_host_has_all),
        FILES(rom_files_that_are_no_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
