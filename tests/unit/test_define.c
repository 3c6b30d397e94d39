/* `defined`: definitions of VMs that are shut off, with the hypervisor's double. */
#include "tests/unit/execute_world.h"

#include "engine/plan/plan_stale.h"
#include "engine/trigger/define.h"
#include "tests/fake/definition.h"

#define VM "frigate"
#define OFF                                                                                        \
    "<domain type='kvm'>\n"                                                                        \
    "  <name>frigate</name>\n"                                                                     \
    "  <uuid>" FRIGATE "</uuid>\n"                                                                 \
    "  <metadata>\n"                                                                               \
    "    <own:note xmlns:own=\"urn:own\">kept</own:note>\n"                                        \
    "  </metadata>\n"                                                                              \
    "  <os>\n"                                                                                     \
    "    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n"                                    \
    "    <boot dev='hd'/>\n"                                                                       \
    "  </os>\n"                                                                                    \
    "  <devices>\n"                                                                                \
    "    <controller type='usb' index='0' model='qemu-xhci'/>\n"                                   \
    "    <controller type='pci' index='0' model='pcie-root'/>\n"                                   \
    "    <controller type='pci' index='1' model='pcie-root-port'>\n"                               \
    "      <model name='pcie-root-port'/>\n"                                                       \
    "      <target chassis='1' port='0x10'/>\n"                                                    \
    "      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>\n"          \
    "    </controller>\n"                                                                          \
    "    <memballoon model='virtio'>\n"                                                            \
    "      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n"          \
    "    </memballoon>\n"                                                                          \
    "  </devices>\n"                                                                               \
    "</domain>\n"

/* --- the world */

static int set_up_off(void **state) {
    set_up(state);
    double_virt_add_xml(hypervisor, OFF);
    double_virt_version(hypervisor, 9000000);
    domain_finish(&told);
    sample_domain(&told, OFF);
    return 0;
}

static const char *definition(void) {
    return double_virt_definition(hypervisor, FRIGATE);
}

/* Those VMs, with that text of rules. `partial`: as if other files had errors. */
static bool define_several(const char *text, bool partial, const struct domain *const *domains,
                           size_t count) {
    struct sample_rules rules;
    sample_rules_init(&rules, text);
    struct log_writer *log = log_write_open(state_path(""), false);
    bool good = define_vms(&(struct define){.program = &rules.program,
                                            .partial = partial,
                                            .host_source = &host_source,
                                            .state = state_path(""),
                                            .log = log,
                                            .clock = &hours.clock,
                                            .open_virt = open_double},
                           domains, count);
    log_write_close(log);
    sample_rules_finish(&rules);
    return good;
}

static bool define_with(const char *text, bool partial) {
    const struct domain *domain = &told;
    return define_several(text, partial, &domain, 1);
}

static bool define_by(const char *text) {
    return define_with(text, false);
}

static void assert_has(const char *part) {
    if (!strstr(definition(), part))
        fail_msg("no %s in\n%s", part, definition());
}

static void assert_lacks(const char *part) {
    if (strstr(definition(), part))
        fail_msg("%s in\n%s", part, definition());
}

/* A hash, instead of which a test sees "MARK". */
static void hide(char *form) {
    size_t length = strcspn(form, "\"");
    assert_int_equal(length, 16);
    char *rest = strdup(form + length);
    assert_non_null(rest);
    sprintf(form, "MARK%s", rest); /* which is shorter */
    free(rest);
}

/* The calls that change something. */
static void assert_changes(const char *expected) {
    char *calls = strdup(double_virt_calls(hypervisor)), *rest, text[4096] = "";
    for (char *line = strtok_r(calls, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (!strncmp(line, "attach", 6) || !strncmp(line, "detach", 6) || !strncmp(line, "mark", 4))
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", line);
    for (char *form = text; (form = strstr(form, " form=\"")); form++)
        hide(form + strlen(" form=\""));
    assert_string_equal(text, expected);
    free(calls);
    double_virt_forget_calls(hypervisor);
}

static const char *log_text(void) {
    static char text[65536];
    FILE *in = fopen(state_path("/virt-rules.log"), "re");
    size_t size = in ? fread(text, 1, sizeof text - 1, in) : 0;
    if (in)
        fclose(in);
    text[size] = '\0';
    return text;
}

static void assert_logged(const char *part) {
    if (!strstr(log_text(), part))
        fail_msg("no '%s' in the log:\n%s", part, log_text());
}

static const char to_first[] = "on vm frigate defined attach 1ac1:089a at " FIRST " as vfio\n";
static const char nothing[] = "on vm windows started attach 1ac1:089a at " FIRST " as vfio\n";

/* --- in and out */

static void is_put_in_and_taken_out_again(void **state) {
    (void)state;
    if (!define_by(to_first))
        fail_msg("%s", log_text());
    assert_has("<address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>");
    assert_has("<vr:controller index=\"2\"/>");
    assert_has("<vr:hostdev as=\"vfio\" address=\"" FIRST "\" form=\"");
    assert_has("<alias name='ua-virt-rules-defined-vfio-0000-03-00-0'/>");
    assert_has("<address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>");
    assert_has("<own:note xmlns:own=\"urn:own\">kept</own:note>");
    double_virt_forget_calls(hypervisor);
    assert_true(define_by(to_first));
    assert_changes(""); /* it is there */
    assert_logged("the definition has it already");
    assert_true(define_by(nothing));
    assert_string_equal(definition(), OFF);
    assert_changes("detach-defined frigate " FIRST "\n"
                   "detach-defined frigate port 2\n"
                   "mark frigate -\n");
    assert_logged("taken out of the definition: no rule wants it there any more");
}

static void is_marked_before_it_is_put_in(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_ATTACH_DEFINED, 0, VIRT_FAILED, "no");
    assert_false(define_by(to_first));
    assert_string_equal(definition(), OFF); /* the mark went again */
    assert_logged("\"result\":\"failed\"");
}

/* --- what is not ours */

static const char own_hostdev[] =
    "    <hostdev mode='subsystem' type='pci' managed='yes'>\n"
    "      <source>\n"
    "        <address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
    "      </source>\n"
    "      <address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/>\n"
    "    </hostdev>\n";

/* The definition with that text before its first <memballoon>, for the VM as it is now. */
static void insert(const char *text) {
    char *xml = definition_splice(definition(), strstr(definition(), "    <memballoon"), 0, text);
    double_virt_define(hypervisor, FRIGATE, xml);
    free(xml);
}

static void cut_out(const char *from, const char *to) {
    const char *start = strstr(definition(), from);
    assert_non_null(start);
    const char *end = strstr(start, to);
    assert_non_null(end);
    char *xml = definition_splice(definition(), start, (size_t)(end - start) + strlen(to), "");
    double_virt_define(hypervisor, FRIGATE, xml);
    free(xml);
}

static void a_persons_own_stays_his(void **state) {
    (void)state;
    insert(own_hostdev);
    char *before = strdup(definition());
    assert_true(define_by(to_first));
    assert_logged("and not by a rule: it stays as it is");
    assert_true(define_by(nothing));
    assert_changes("");
    assert_string_equal(definition(), before);
    free(before);
}

/* Ours was taken out by hand, and another one of the same device put in. */
static void one_that_a_person_put_in_instead_is_his(void **state) {
    (void)state;
    assert_true(define_by(to_first));
    cut_out("    <hostdev", "</hostdev>\n");
    insert(own_hostdev);
    double_virt_forget_calls(hypervisor);
    assert_true(define_by(nothing));
    assert_has(own_hostdev);
    assert_lacks("vr:defined");
    assert_lacks("index='2'"); /* the root port was ours */
}

static void what_a_person_took_out_comes_again_while_the_rule_stands(void **state) {
    (void)state;
    assert_true(define_by(to_first));
    char *with = strdup(definition());
    cut_out("    <hostdev", "</hostdev>\n");
    assert_true(define_by(to_first));
    assert_string_equal(definition(), with);
    cut_out("    <hostdev", "</hostdev>\n");
    double_virt_forget_calls(hypervisor);
    assert_true(define_by(nothing)); /* only the mark and the port are left to go */
    assert_changes("detach-defined frigate port 2\nmark frigate -\n");
    free(with);
}

static void without_the_mark_it_is_not_ours(void **state) {
    (void)state;
    assert_true(define_by(to_first));
    cut_out("    <vr:defined", "</vr:defined>\n");
    double_virt_forget_calls(hypervisor);
    assert_true(define_by(nothing));
    assert_changes("");
}

/* --- the device */

static void it_moves(void **state) {
    (void)state;
    const char rule[] = "on vm frigate defined attach 1ac1:089a as vfio\n";
    set_present(SECOND, false);
    assert_true(define_by(rule));
    set_present(SECOND, true);
    set_present(FIRST, false);
    double_virt_forget_calls(hypervisor);
    assert_true(define_by(rule));
    assert_changes("detach-defined frigate " FIRST "\n"
                   "mark frigate <defined><controller index=\"2\"/><hostdev as=\"vfio\" "
                   "address=\"" SECOND "\" form=\"MARK\" "
                   "alias=\"ua-virt-rules-defined-vfio-0000-04-00-0\"/></defined>\n"
                   "attach-defined frigate " SECOND "\n");
    assert_logged("the host does not have it any more: the VM would not start");
    set_present(FIRST, true);
}

static void it_is_absent(void **state) {
    (void)state;
    assert_true(
        define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio optional\n"));
    set_present(FIRST, false);
    assert_true(
        define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio optional\n"));
    assert_string_equal(definition(), OFF);
    assert_logged("\"result\":\"absent\"");
    assert_false(define_by(to_first)); /* a rule without 'optional' has a problem */
    set_present(FIRST, true);
}

static void the_host_uses_it_now(void **state) {
    (void)state;
    assert_true(define_by(to_first));
    /* the group gets a device that is bound to a driver of the host */
    shell("cd %s/sys/devices && t=$(find . -type d -name %s) && "
          "ln -sfn \"$(readlink $(find . -type d -name 0000:03:00.0)/iommu_group)\" "
          "\"$t/iommu_group\"",
          host_root, SECOND);
    assert_false(define_by(to_first));
    assert_string_equal(definition(), OFF);
    assert_logged("a rule wants it there, and cannot have it now: IOMMU group");
}

static void other_options_put_it_in_again(void **state) {
    (void)state;
    assert_true(define_by(to_first));
    assert_true(define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio rom off\n"));
    assert_has("<rom bar='off'/>");
    assert_logged("the rule asks for other options");
    double_virt_forget_calls(hypervisor);
    assert_true(define_by("on vm frigate defined attach 1ac1:089a at " FIRST
                          " as vfio rom off optional\n"));
    assert_changes("");
}

static void any_keeps_what_it_has(void **state) {
    (void)state;
    const char rule[] = "on vm frigate defined attach any 1ac1:089a as vfio\n";
    set_present(FIRST, false);
    assert_true(define_by(rule));
    set_present(FIRST, true);
    double_virt_forget_calls(hypervisor);
    assert_true(define_by(rule));
    assert_changes("");
    assert_has("address=\"" SECOND "\"");
}

/* Of two VMs with 'any' each gets its own; one by name goes to both definitions. */
static void another_vm_has_it(void **state) {
    (void)state;
    double_virt_give(hypervisor, WINDOWS,
                     "<hostdev mode='subsystem' type='pci' managed='yes'>\n  <source>\n    "
                     "<address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n  "
                     "</source>\n</hostdev>");
    assert_true(define_by("on vm frigate defined attach any 1ac1:089a as vfio\n"));
    assert_has("address=\"" SECOND "\"");
    assert_true(define_by(to_first));
    assert_has("address=\"" FIRST "\"");
    assert_logged("VM 'windows' has it now: this VM can start when that one has stopped");
    double_virt_stop(hypervisor, WINDOWS);
    assert_true(define_by(nothing));
    assert_true(define_by(to_first));
    assert_logged("VM 'windows' has it in its definition too: only one of the two can run");
}

/* --- a start with what has moved since */

static char stale_text[1024];

/* What is stale of the definition as it is now, by that text of rules; the last one's text. */
static size_t count_stale(const char *text, bool partial) {
    struct sample_rules rules;
    struct domain domain;
    struct host host;
    struct plan_stale stale;
    struct failure failure;
    size_t count = 0;
    const struct event event = {.name = EVENT_PREPARE, .domain = &domain};
    sample_rules_init(&rules, text);
    sample_domain(&domain, definition());
    assert_int_equal(host_source.load(&host_source, &host, &failure), 0);
    *stale_text = '\0';
    plan_stale_init(
        &stale, &(struct plan_request){
                    .program = &rules.program, .event = &event, .host = &host, .partial = partial});
    for (const struct plan_entry *entry = NULL; (entry = plan_stale_next(&stale, entry)); count++) {
        char *line = plan_stale_text(&stale, entry);
        snprintf(stale_text, sizeof stale_text, "%s", line);
        free(line);
    }
    if (count)
        assert_true(plan_stale_may_be(&domain));
    plan_finish(&stale.plan);
    host_finish(&host);
    domain_finish(&domain);
    sample_rules_finish(&rules);
    return count;
}

/* What the first refusal of the plan at `prepare` is. */
static enum refusal required(const char *text) {
    struct sample_rules rules;
    struct domain domain;
    struct host host;
    struct plan plan;
    struct failure failure;
    const struct event event = {.name = EVENT_PREPARE, .domain = &domain};
    sample_rules_init(&rules, text);
    sample_domain(&domain, definition());
    assert_int_equal(host_source.load(&host_source, &host, &failure), 0);
    plan_init(&plan,
              &(struct plan_request){.program = &rules.program, .event = &event, .host = &host});
    enum refusal refusal = plan.count ? plan.entries[0].refusal : REFUSED_NOT;
    if (refusal == REFUSED_MOVED)
        assert_non_null(strstr(plan.entries[0].hint, "virt-rules apply"));
    plan_finish(&plan);
    host_finish(&host);
    domain_finish(&domain);
    sample_rules_finish(&rules);
    return refusal;
}

static const char to_second[] = "on vm frigate defined attach 1ac1:089a at " SECOND " as vfio\n";
#define REQUIRE "on vm frigate prepare require 1ac1:089a at "

static void what_moved_is_stale(void **state) {
    (void)state;
    assert_int_equal(count_stale(to_first, false), 0); /* nothing is ours yet */
    assert_true(define_by(to_first));
    assert_int_equal(count_stale(to_first, false), 0);
    assert_int_equal(required(REQUIRE FIRST "\n" REQUIRE SECOND), REFUSED_NOT);
    assert_int_equal(count_stale(to_second, false), 1);
    assert_non_null(strstr(stale_text, "the VM's definition has " FIRST " 1ac1:089a"));
    assert_non_null(strstr(stale_text, "; the rules mean " SECOND " 1ac1:089a"));
    char *both = memory_printf("%s" REQUIRE SECOND "\n", to_second);
    assert_int_equal(required(both), REFUSED_MOVED);
    free(both);
    /* Another one that it requires is not what moved. */
    both = memory_printf("%s" REQUIRE FIRST "\n", to_second);
    assert_int_equal(required(both), REFUSED_NOT);
    free(both);
    assert_true(define_by(to_second));
    assert_int_equal(count_stale(to_second, false), 0);
}

static void what_is_absent_or_forbidden_is_stale(void **state) {
    (void)state;
    assert_true(define_by(to_first));
    set_present(FIRST, false);
    assert_int_equal(count_stale(to_first, false), 1);
    assert_non_null(strstr(stale_text, "the host does not have it any more"));
    set_present(FIRST, true);
    char *never = memory_printf("never attach 1ac1:089a\n%s", to_first);
    assert_int_equal(count_stale(never, false), 1);
    assert_non_null(strstr(stale_text, "cannot have it now"));
    free(never);
}

static void what_only_gets_other_options_is_not_stale(void **state) {
    (void)state;
    assert_true(define_by(to_first));
    assert_int_equal(
        count_stale("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio rom off\n", false),
        0);
    assert_int_equal(count_stale(nothing, true), 0); /* a rule that cannot be read may want it */
    insert(own_hostdev);                             /* a person's own is never stale */
    assert_true(define_by(nothing));
    assert_int_equal(count_stale(nothing, false), 0);
}

/* --- many VMs */

enum { MANY = 400, FEW = 50 };

static struct domain herd[MANY];
static const struct domain *herd_list[MANY];
static int (*real_load)(const struct host_source *, struct host *, struct failure *);
static unsigned loaded;

static int counting_load(const struct host_source *source, struct host *host,
                         struct failure *failure) {
    loaded++;
    return real_load(source, host, failure);
}

static const char *herd_uuid(size_t i) {
    static char uuid[37];
    snprintf(uuid, sizeof uuid, "00000000-0000-4000-9000-%012zu", i);
    return uuid;
}

/* Like frigate, "herd-0" and so on. */
static void add_herd(size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *after = strstr(OFF, "</name>");
        char *named = memory_printf("<domain type='kvm'>\n  <name>herd-%zu%.*s%s%s", i,
                                    (int)(strstr(after, FRIGATE) - after), after, herd_uuid(i),
                                    strstr(after, FRIGATE) + strlen(FRIGATE));
        double_virt_add_xml(hypervisor, named);
        sample_domain(&herd[i], named);
        herd_list[i] = &herd[i];
        free(named);
    }
    loaded = 0;
    real_load = host_source.load;
    host_source.load = counting_load;
    double_virt_forget_calls(hypervisor);
}

static void finish_herd(size_t count) {
    for (size_t i = 0; i < count; i++)
        domain_finish(&herd[i]);
}

static size_t count_calls(const char *word) {
    size_t count = 0;
    for (const char *line = double_virt_calls(hypervisor); *line; line = strchr(line, '\n') + 1)
        count += strncmp(line, word, strlen(word)) == 0;
    return count;
}

static const char to_all[] = "on vm herd-* defined attach 1ac1:089a at " FIRST " as vfio\n";

/* A list of all VMs is a call for each of them, at libvirt. */
static void assert_cost(size_t count) {
    add_herd(count);
    assert_true(define_several(to_all, false, herd_list, count));
    assert_int_equal(count_calls("list"), 1);
    assert_int_equal(count_calls("definition "), 2 * count); /* before and after */
    assert_int_equal(count_calls("mark "), count);
    assert_int_equal(count_calls("attach-defined "), 2 * count); /* a root port and the device */
    assert_int_equal(count_calls("close"), 1);
    assert_int_equal(count_calls(""), 5 * count + 2);
    assert_int_equal(loaded, 1);
    double_virt_forget_calls(hypervisor);
    assert_true(define_several(to_all, false, herd_list, count)); /* nothing is left to do */
    assert_int_equal(count_calls("definition "), count);
    assert_int_equal(count_calls(""), count + 2);
    finish_herd(count);
}

static void fifty_vms_cost_a_few_calls_each(void **state) {
    (void)state;
    assert_cost(FEW);
}

static void four_hundred_vms_cost_the_same_each(void **state) {
    (void)state;
    assert_cost(MANY);
}

/* The plan of the second knows what the first has got. */
static void each_of_several_sees_what_the_one_before_got(void **state) {
    const char any[] = "on vm herd-* defined attach any 1ac1:089a as vfio\n";
    (void)state;
    add_herd(2);
    assert_true(define_several(any, false, herd_list, 2));
    assert_non_null(strstr(double_virt_definition(hypervisor, herd_uuid(0)), FIRST));
    assert_non_null(strstr(double_virt_definition(hypervisor, herd_uuid(1)), SECOND));
    assert_int_equal(count_calls("list"), 1);
    /* What the first has to begin with counts too, when nothing is to be changed. */
    assert_true(define_several(any, false, herd_list, 2));
    assert_non_null(strstr(double_virt_definition(hypervisor, herd_uuid(1)), SECOND));
    finish_herd(2);
}

/* Right before the first VM's device is put in somebody edits the second one. */
static void edit_second(struct double_virt *virt, void *context) {
    char *xml = definition_splice(
        double_virt_definition(virt, herd_uuid(1)),
        strstr(double_virt_definition(virt, herd_uuid(1)), "    <memballoon"), 0, own_hostdev);
    (void)context;
    double_virt_define(virt, herd_uuid(1), xml);
    free(xml);
}

static void an_edit_of_another_vm_meanwhile_is_seen(void **state) {
    (void)state;
    add_herd(2);
    double_virt_before(hypervisor, DOUBLE_ATTACH_DEFINED, 1, edit_second, NULL);
    assert_true(define_several(to_all, false, herd_list, 2));
    assert_non_null(strstr(double_virt_definition(hypervisor, herd_uuid(1)), own_hostdev));
    assert_null(strstr(double_virt_definition(hypervisor, herd_uuid(1)), "vr:defined"));
    assert_logged("and not by a rule: it stays as it is");
    assert_int_equal(count_calls("attach-defined "), 2);
    finish_herd(2);
}

static void wait_long(struct double_virt *virt, void *context) {
    (void)virt;
    (void)context;
    hours.now += 60000;
}

static void what_is_old_is_read_again(void **state) {
    (void)state;
    add_herd(3);
    double_virt_before(hypervisor, DOUBLE_DEFINITION, 3, wait_long, NULL); /* of the second VM */
    assert_true(define_several(to_all, false, herd_list, 3));
    assert_int_equal(count_calls("list"), 2);
    assert_int_equal(loaded, 2);
    finish_herd(3);
}

/* What the second has got is not known then. */
static void a_definition_that_cannot_be_read_afterwards_has_all_read_again(void **state) {
    (void)state;
    add_herd(2);
    double_virt_fail(hypervisor, DOUBLE_DEFINITION, 2, VIRT_FAILED, "no");
    assert_true(define_several(to_all, false, herd_list, 2));
    assert_int_equal(count_calls("list"), 2);
    finish_herd(2);
}

static void one_that_is_gone_does_not_stop_the_next(void **state) {
    (void)state;
    add_herd(2);
    double_virt_remove(hypervisor, herd_uuid(0));
    assert_false(define_several(to_all, false, herd_list, 2));
    assert_non_null(strstr(double_virt_definition(hypervisor, herd_uuid(1)), FIRST));
    finish_herd(2);
}

/* Each would wait for it, else. */
static void libvirt_that_does_not_answer_is_waited_for_once(void **state) {
    (void)state;
    add_herd(3);
    refused_opens = 1000;
    assert_false(define_several(to_all, false, herd_list, 3));
    unsigned tries = opened;
    int64_t waited = hours.now;
    opened = 0;
    hours.now = 5000;
    assert_false(define_several(to_all, false, herd_list, 1));
    assert_int_equal(opened, tries);
    assert_true(hours.now == waited);
    assert_logged("no libvirt here");
    finish_herd(3);
}

/* --- rules */

static void rules_with_errors_take_nothing_out(void **state) {
    (void)state;
    assert_true(define_by(to_first));
    double_virt_forget_calls(hypervisor);
    assert_true(define_with(nothing, true));
    assert_changes("");
    assert_logged("it stays: a rule that cannot be read may want it");
    assert_true(define_with("never attach 1ac1:089a\n"
                            "on vm frigate defined attach 1ac1:089a at " FIRST " as vfio\n",
                            true));
    assert_changes("");
    assert_false(define_by("never attach 1ac1:089a\n"
                           "on vm frigate defined attach 1ac1:089a at " FIRST " as vfio\n"));
    assert_string_equal(definition(), OFF);
}

static void boot_order_needs_orders_of_devices(void **state) {
    (void)state;
    const char rule[] =
        "on vm frigate defined attach 1ac1:089a at " FIRST " as vfio boot order 1\n";
    assert_false(define_by(rule));
    assert_logged("this one has <boot dev='...'/> in its <os>");
    assert_changes("");
    cut_out("    <boot dev='hd'/>\n", "\n");
    insert("    <disk type='file' device='disk'>\n"
           "      <target dev='vda' bus='virtio'/>\n"
           "      <boot order='1'/>\n"
           "    </disk>\n");
    assert_false(define_by(rule));
    assert_logged("disk vda of the VM has boot order 1 already");
    assert_true(
        define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio boot order 2\n"));
    assert_has("<boot order='2'/>");
    double_virt_forget_calls(hypervisor);
    assert_true(
        define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio boot order 2\n"));
    assert_changes("");
}

static void root_ports_come_and_go(void **state) {
    (void)state;
    assert_true(define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio ports 2\n"));
    assert_has("<vr:controller index=\"4\"/>");
    assert_has("<target chassis='4' port='0x28'/>");
    double_virt_forget_calls(hypervisor);
    assert_true(define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio ports 2\n"));
    assert_changes("");
    /* another device takes one that is there, and another port makes up for it */
    assert_true(define_by("on vm frigate defined attach any 2 1ac1:089a as vfio ports 2\n"));
    assert_has("<vr:controller index=\"5\"/>");
    assert_lacks("index='6'");
    assert_true(define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio ports 1\n"));
    assert_lacks("index='4'");
    assert_true(define_by(nothing));
    assert_string_equal(definition(), OFF);
}

static void a_root_port_with_a_persons_device_is_his(void **state) {
    (void)state;
    assert_true(define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio ports 1\n"));
    insert("    <rng model='virtio'>\n"
           "      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
           "    </rng>\n");
    assert_true(define_by(nothing));
    assert_has("index='3' model='pcie-root-port'");
    assert_has("index='2' model='pcie-root-port'"); /* it has one behind it: libvirt fills gaps */
    assert_lacks("vr:controller index=\"3\"");
    assert_logged("it stays, and is not ours any more");
    assert_logged("it stays while the VM has PCI controllers with higher numbers");
    double_virt_forget_calls(hypervisor);
    assert_true(define_by(nothing));
    assert_changes("");
}

/* A device of somebody else can be attached to each that the rule asks for. */
static void an_empty_root_port_takes_the_place_of_his(void **state) {
    static const char rules[] =
        "on vm frigate defined attach 1ac1:089a at " FIRST " as vfio ports 1\n";
    (void)state;
    assert_true(define_by(rules));
    insert("    <rng model='virtio'>\n"
           "      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
           "    </rng>\n");
    assert_true(define_by(rules));
    assert_lacks("vr:controller index=\"3\"");
    assert_has("<vr:controller index=\"4\"/>");
    assert_has("index='4' model='pcie-root-port'");
    double_virt_forget_calls(hypervisor);
    assert_true(define_by(rules));
    assert_changes("");
}

static void a_machine_without_root_ports(void **state) {
    (void)state;
    double_virt_add_xml(hypervisor,
                        "<domain type='kvm'>\n  <name>frigate</name>\n  <uuid>" FRIGATE "</uuid>\n"
                        "  <os>\n    <type machine='pc-i440fx-7.2'>hvm</type>\n  </os>\n"
                        "  <devices>\n"
                        "    <controller type='pci' index='0' model='pci-root'/>\n"
                        "    <memballoon model='none'/>\n  </devices>\n</domain>\n");
    assert_false(
        define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as vfio ports 2\n"));
    assert_has("<address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>");
    assert_logged("the VM's machine type pc-i440fx-7.2 has no PCIe root ports");
}

/* --- the VM */

static void a_running_vm_is_left_for_its_end(void **state) {
    (void)state;
    double_virt_add(hypervisor, FRIGATE, "frigate", NULL);
    double_virt_define(hypervisor, FRIGATE, OFF);
    assert_true(define_by(to_first));
    assert_changes("");
    assert_logged("the VM runs: its definition is changed when it has stopped");
    double_virt_stop(hypervisor, FRIGATE);
    assert_true(define_by(to_first));
    assert_has("vr:hostdev");
}

static void a_transient_vm_is_refused(void **state) {
    (void)state;
    double_virt_add(hypervisor, FRIGATE, "frigate", NULL);
    assert_false(define_by(to_first));
    assert_logged("the VM is transient");
    double_virt_remove(hypervisor, FRIGATE);
    assert_false(define_by(to_first));
    assert_changes("");
    assert_true(define_by(nothing)); /* no rule wants anything */
}

static void a_saved_vm_is_left(void **state) {
    (void)state;
    double_virt_save(hypervisor, FRIGATE, true);
    assert_false(define_by(to_first));
    assert_string_equal(definition(), OFF);
    assert_logged("virsh managedsave");
    assert_true(define_by(nothing));
}

/* libvirt's job of the VM, which another call has, passes. */
static void a_busy_vm_is_tried_again(void **state) {
    (void)state;
    double_virt_fail(hypervisor, DOUBLE_MARK, 1, VIRT_TRANSIENT,
                     "cannot acquire state change lock");
    double_virt_fail(hypervisor, DOUBLE_ATTACH_DEFINED, 2, VIRT_TRANSIENT, "the same");
    assert_true(define_by(to_first));
    assert_has("vr:hostdev");
}

static void trust_is_for_running_vms(void **state) {
    (void)state;
    assert_false(define_by("on vm frigate defined attach 1ac1:089a at " FIRST " as net trust\n"));
    assert_string_equal(definition(), OFF);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up_off, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(is_put_in_and_taken_out_again),
        TEST(is_marked_before_it_is_put_in),
        TEST(a_persons_own_stays_his),
        TEST(one_that_a_person_put_in_instead_is_his),
        TEST(what_a_person_took_out_comes_again_while_the_rule_stands),
        TEST(without_the_mark_it_is_not_ours),
        TEST(it_moves),
        TEST(it_is_absent),
        TEST(the_host_uses_it_now),
        TEST(other_options_put_it_in_again),
        TEST(any_keeps_what_it_has),
        TEST(another_vm_has_it),
        TEST(what_moved_is_stale),
        TEST(what_is_absent_or_forbidden_is_stale),
        TEST(what_only_gets_other_options_is_not_stale),
        TEST(fifty_vms_cost_a_few_calls_each),
        TEST(four_hundred_vms_cost_the_same_each),
        TEST(each_of_several_sees_what_the_one_before_got),
        TEST(an_edit_of_another_vm_meanwhile_is_seen),
        TEST(what_is_old_is_read_again),
        TEST(a_definition_that_cannot_be_read_afterwards_has_all_read_again),
        TEST(one_that_is_gone_does_not_stop_the_next),
        TEST(libvirt_that_does_not_answer_is_waited_for_once),
        TEST(rules_with_errors_take_nothing_out),
        TEST(boot_order_needs_orders_of_devices),
        TEST(root_ports_come_and_go),
        TEST(a_root_port_with_a_persons_device_is_his),
        TEST(an_empty_root_port_takes_the_place_of_his),
        TEST(a_machine_without_root_ports),
        TEST(a_running_vm_is_left_for_its_end),
        TEST(a_transient_vm_is_refused),
        TEST(a_saved_vm_is_left),
        TEST(a_busy_vm_is_tried_again),
        TEST(trust_is_for_running_vms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
