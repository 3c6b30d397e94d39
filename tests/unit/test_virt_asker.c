#include "engine/libvirt/virt_asker.h"

#include "engine/system/deadline.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What is at the other end: it lives in the asker, and does what `plan` says. */
static struct {
    bool hangs_at_open, crashes_at_open, fails_at_open, hangs_at_close;
    unsigned detach_us;             /* how long a detach takes */
    bool is_quiet;                  /* no event, and no time goes by there */
    const char *hangs_at, *dies_at; /* a call's name */
    int ends_with;                  /* the signal */
    int count;                      /* of VMs in a list */
    int in_job, last_in_job;        /* the numbers of VMs whose XML never comes */
    int slow;                       /* and of one whose XML takes so long */
    unsigned slow_us;
    int calls; /* a pipe's end, for their names */
} plan;

static int do_call(const char *name) {
    (void)!write(plan.calls, name, strlen(name));
    (void)!write(plan.calls, "\n", 1);
    if (plan.dies_at && !strcmp(plan.dies_at, name)) {
        signal(plan.ends_with, SIG_DFL);
        raise(plan.ends_with);
    }
    while (plan.hangs_at && !strcmp(plan.hangs_at, name))
        pause();
    return 0;
}

static int far_xml(struct virt *virt, const char *vm, char **xml, struct virt_error *error) {
    (void)virt;
    do_call("xml");
    if (!strcmp(vm, "none")) {
        *error = (struct virt_error){.kind = VIRT_NO_DOMAIN,
                                     .code = 42,
                                     .failure.message = "no such VM",
                                     .failure.hint = "see virsh list"};
        return -1;
    }
    return asprintf(xml, "<domain><name>%s</name></domain>", vm) < 0;
}

static int far_list(struct virt *virt, struct virt_domain **vms, size_t *count,
                    struct virt_error *error) {
    (void)virt, (void)error;
    do_call("list");
    *count = (size_t)plan.count;
    *vms = calloc(*count + 1, sizeof **vms);
    for (size_t i = 0; i < *count; i++)
        snprintf((*vms)[i].uuid, sizeof(*vms)->uuid, "00000000-0000-4000-8000-%012x",
                 (unsigned)i & 0xffff);
    return 0;
}

/* Every third does not come, and every fifth is gone. */
static int far_read(struct virt *virt, struct virt_domain *vms, size_t count,
                    struct virt_error *error) {
    int number = (int)strtol(strrchr(vms->uuid, '-') + 1, NULL, 16);
    (void)virt, (void)error;
    assert_int_equal(count, 1);
    do_call("read");
    while (number >= plan.in_job && number <= plan.last_in_job)
        pause();
    if (number == plan.slow) {
        usleep(plan.slow_us);
        do_call("slow");
    }
    if (number % 5 == 4)
        return 0;
    return asprintf(number % 3 ? &vms->xml : &vms->why, "<domain><name>%d</name></domain>",
                    number) < 0;
}

static int far_attach(struct virt *virt, const char *uuid, int id, const char *xml,
                      struct virt_error *error) {
    char text[256];
    (void)virt, (void)error;
    snprintf(text, sizeof text, "attach %s %d %s", uuid, id, xml);
    return do_call(plan.hangs_at || plan.dies_at ? "attach" : text);
}

static int far_detach(struct virt *virt, const char *uuid, int id, const char *xml,
                      struct virt_error *error) {
    (void)virt, (void)uuid, (void)id, (void)xml, (void)error;
    usleep(plan.detach_us);
    return do_call("detach");
}

static int far_restart(struct virt *virt, const char *uuid, int id, struct virt_error *error) {
    (void)virt, (void)uuid, (void)id, (void)error;
    return do_call("restart");
}

static int far_definition(struct virt *virt, const char *uuid, struct virt_definition *definition,
                          struct virt_error *error) {
    (void)virt, (void)error;
    assert_string_equal(uuid, "00000000-0000-4000-8000-000000000001");
    *definition = (struct virt_definition){.xml = strdup("<domain/>"), .is_saved = true};
    return do_call("definition");
}

static int far_redefine(struct virt *virt, const char *uuid, const char *xml,
                        struct virt_error *error) {
    char text[256];
    (void)virt, (void)error;
    snprintf(text, sizeof text, "redefine %s %s", uuid, xml ? xml : "-");
    return do_call(text);
}

static unsigned long watched; /* in this process */

static int far_watch(struct virt *virt, const char *uuid, struct virt_error *error) {
    (void)virt, (void)uuid, (void)error;
    watched++;
    return do_call("watch");
}

static int far_wait(struct virt *virt, int timeout_ms, struct virt_event *event,
                    struct virt_error *error) {
    (void)virt, (void)error;
    *event = (struct virt_event){.kind = VIRT_EVENT_REMOVED};
    snprintf(event->alias, sizeof event->alias, "hostdev%d", timeout_ms);
    if (plan.is_quiet)
        *event = (struct virt_event){.kind = VIRT_EVENT_NONE};
    return do_call("wait");
}

static int far_about(struct virt *virt, struct virt_about *about, struct virt_error *error) {
    (void)virt, (void)error;
    *about = (struct virt_about){.version = 9000000 + watched, .uri = "qemu:///system"};
    return do_call("about");
}

static void far_close(struct virt *virt) {
    (void)virt;
    do_call("close");
    while (plan.hangs_at_close)
        pause();
}

static int far_state(struct virt *virt, const char *uuid, int id, enum virt_state *state,
                     struct virt_error *error) {
    (void)virt;
    assert_string_equal(uuid, "00000000-0000-4000-8000-000000000001");
    *state = id == 7 ? VIRT_STATE_MIGRATED : VIRT_STATE_MIGRATING;
    (void)error;
    return do_call("state");
}

static const struct virt_ops far_ops = {
    .domain_xml = far_xml,
    .list = far_list,
    .list_all = far_list,
    .read = far_read,
    .state = far_state,
    .attach = far_attach,
    .detach = far_detach,
    .definition = far_definition,
    .attach_defined = far_redefine,
    .detach_defined = far_redefine,
    .mark_defined = far_redefine,
    .reset = far_restart,
    .reboot = far_restart,
    .watch = far_watch,
    .wait = far_wait,
    .about = far_about,
    .close = far_close,
};

static int far_open(struct virt **virt, const char *uri, struct virt_error *error) {
    static struct virt far = {.ops = &far_ops};
    (void)!write(plan.calls, uri ? uri : "open", uri ? strlen(uri) : 4);
    (void)!write(plan.calls, "\n", 1);
    while (plan.hangs_at_open)
        pause();
    if (plan.crashes_at_open)
        do_call("crash");
    *virt = &far;
    if (!plan.fails_at_open)
        return 0;
    *error =
        (struct virt_error){.kind = VIRT_UNREACHABLE, .code = 38, .failure.message = "no socket"};
    return -1;
}

static int far_library(struct virt_library *library, struct virt_error *error) {
    (void)error;
    *library = (struct virt_library){.path = "/lib/libvirt.so.0", .version = 9000000};
    return do_call("library");
}

static const struct virt_asker_work work = {far_open, far_library};

/* --- the bed */

/* Another asker reads the next VM when the first has had no answer for 500 ms of the 8 s. */
enum { LISTED = 300, LATE_US = 700000 };

#define U "00000000-0000-4000-8000-000000000001"
static const char UUID[] = "00000000-0000-4000-8000-000000000001";

/* The asker closes every file but its own: so what was called goes through a FIFO that it opens. */
static char calls_path[sizeof "/tmp/asker-XXXXXX"];
static int calls;

static int far_open_first(struct virt **virt, const char *uri, struct virt_error *error) {
    plan.calls = open(calls_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return far_open(virt, uri, error);
}

static int far_library_first(struct virt_library *library, struct virt_error *error) {
    plan.calls = open(calls_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return far_library(library, error);
}

static const struct virt_asker_work first = {far_open_first, far_library_first};

static int set_up(void **state) {
    (void)state;
    memset(&plan, 0, sizeof plan);
    plan.in_job = plan.last_in_job = plan.slow = -1;
    strcpy(calls_path, "/tmp/asker-XXXXXX");
    calls = mkostemp(calls_path, O_CLOEXEC);
    /* Long enough for a busy machine: only what never answers is late. */
    setenv("VIRT_RULES_ANSWER_MS", "60000", 1);
    return calls < 0;
}

static int tear_down(void **state) {
    (void)state;
    close(calls);
    unlink(calls_path);
    unsetenv("VIRT_RULES_ANSWER_MS");
    return 0;
}

static struct virt *connected(void) {
    struct virt *virt = NULL;
    struct virt_error error = {0};
    if (virt_asker_open(&virt, &first, "far:///", &error) < 0)
        fail_msg("%s", error.failure.message);
    return virt;
}

static const char *called(void) {
    static char text[4096];
    ssize_t size = pread(calls, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static void no_process_is_left(void) {
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void soon(void) {
    setenv("VIRT_RULES_ANSWER_MS", "50", 1);
}

/* --- what goes through */

static void every_call_goes_through(void **state) {
    struct virt *virt = connected();
    struct virt_error error;
    struct virt_event event;
    struct virt_about about;
    enum virt_state vm_state;
    struct virt_definition definition;
    char *xml;
    (void)state;
    assert_int_equal(virt->ops->domain_xml(virt, "B\xc3\xbcro", &xml, &error), 0);
    assert_string_equal(xml, "<domain><name>B\xc3\xbcro</name></domain>");
    free(xml);
    assert_int_equal(virt->ops->state(virt, UUID, -7, &vm_state, &error), 0);
    assert_int_equal(vm_state, VIRT_STATE_MIGRATING);
    assert_int_equal(virt->ops->state(virt, UUID, 7, &vm_state, &error), 0);
    assert_int_equal(vm_state, VIRT_STATE_MIGRATED);
    assert_int_equal(virt->ops->attach(virt, UUID, -7, "<hostdev/>", &error), 0);
    assert_int_equal(virt->ops->detach(virt, UUID, 1, "<hostdev/>", &error), 0);
    assert_int_equal(virt->ops->reset(virt, UUID, 1, &error), 0);
    assert_int_equal(virt->ops->reboot(virt, UUID, 1, &error), 0);
    assert_int_equal(virt->ops->definition(virt, UUID, &definition, &error), 0);
    assert_string_equal(definition.xml, "<domain/>");
    assert_true(definition.is_saved && !definition.is_running && !definition.is_persistent);
    virt_definition_finish(&definition);
    assert_int_equal(virt->ops->attach_defined(virt, UUID, "<a/>", &error), 0);
    assert_int_equal(virt->ops->detach_defined(virt, UUID, "<b/>", &error), 0);
    assert_int_equal(virt->ops->mark_defined(virt, UUID, NULL, &error), 0);
    assert_int_equal(virt->ops->watch(virt, UUID, &error), 0);
    assert_int_equal(virt->ops->wait(virt, 12, &event, &error), 0);
    assert_int_equal(event.kind, VIRT_EVENT_REMOVED);
    assert_string_equal(event.alias, "hostdev12");
    assert_int_equal(virt->ops->about(virt, &about, &error), 0);
    assert_string_equal(about.uri, "qemu:///system");
    virt_close(virt);
    assert_string_equal(
        called(), "far:///\nxml\nstate\nstate\nattach 00000000-0000-4000-8000-000000000001 -7 "
                  "<hostdev/>\ndetach\nrestart\nrestart\ndefinition\nredefine " U
                  " <a/>\nredefine " U " <b/>\nredefine " U " -\nwatch\nwait\nabout\n"
                  "close\n");
    no_process_is_left();
}

static struct virt_domain *listed(struct virt *virt) {
    struct virt_error error;
    struct virt_domain *vms;
    size_t count;
    assert_int_equal(virt->ops->list_all(virt, &vms, &count, &error), 0);
    assert_int_equal(count, plan.count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strlen(vms[i].uuid), 36);
        assert_true(!vms[i].xml && !vms[i].why);
    }
    return vms;
}

/* As far_read() gives it. */
static void assert_read(const struct virt_domain *vms, int number) {
    char text[64];
    snprintf(text, sizeof text, "<domain><name>%d</name></domain>", number);
    const char *got = number % 3 ? vms[number].xml : vms[number].why;
    assert_null(number % 3 ? vms[number].why : vms[number].xml);
    if (number % 5 == 4)
        assert_null(got);
    else
        assert_string_equal(got, text);
}

static void lists_of_any_length(void **state) {
    struct virt_error error;
    (void)state;
    for (plan.count = 0; plan.count <= LISTED; plan.count += LISTED) {
        struct virt *virt = connected();
        struct virt_domain *vms = listed(virt);
        assert_int_equal(virt->ops->read(virt, vms, (size_t)plan.count, &error), 0);
        for (int i = 0; i < plan.count; i++)
            assert_read(vms, i);
        virt_list_free(vms, (size_t)plan.count);
        virt_close(virt);
    }
}

static void errors_go_through(void **state) {
    struct virt *virt = connected();
    struct virt_error error;
    char *xml;
    (void)state;
    assert_int_equal(virt->ops->domain_xml(virt, "none", &xml, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_DOMAIN);
    assert_int_equal(error.code, 42);
    assert_string_equal(error.failure.message, "no such VM");
    assert_string_equal(error.failure.hint, "see virsh list");
    assert_null(xml);
    virt_close(virt);
    plan.fails_at_open = true;
    assert_int_equal(virt_asker_open(&virt, &first, NULL, &error), -1);
    assert_null(virt);
    assert_string_equal(error.failure.message, "no socket");
    assert_int_equal(error.code, 38);
    no_process_is_left();
}

static void the_library(void **state) {
    struct virt_library library;
    struct virt_error error;
    (void)state;
    assert_int_equal(virt_asker_library(&first, &library, &error), 0);
    assert_string_equal(library.path, "/lib/libvirt.so.0");
    plan.dies_at = "library";
    plan.ends_with = SIGSEGV;
    assert_int_equal(virt_asker_library(&first, &library, &error), -1);
    assert_string_equal(error.failure.message, "the libvirt library crashed (signal 11)");
    no_process_is_left();
}

/* --- what never answers */

static void a_connection_that_is_never_made(void **state) {
    struct virt *virt;
    struct virt_error error;
    (void)state;
    soon();
    plan.hangs_at_open = true;
    assert_int_equal(virt_asker_open(&virt, &work, NULL, &error), -1);
    assert_null(virt);
    assert_int_equal(error.kind, VIRT_NO_REPLY);
    assert_string_equal(error.failure.message,
                        "libvirt does not answer: the connection has not been made within 1 s");
    assert_string_equal(virt_error_reason(&error), "the connection has not been made within 1 s");
    assert_non_null(strstr(error.failure.hint, "restart"));
    no_process_is_left();
}

static void a_question_without_an_answer(void **state) {
    struct virt *virt = connected();
    struct virt_error error;
    struct virt_domain *vms;
    size_t count;
    char *xml;
    (void)state;
    plan.hangs_at = NULL;
    virt_close(virt);
    plan.hangs_at = "list";
    virt = connected();
    setenv("VIRT_RULES_ANSWER_MS", "1000", 1);
    int64_t start = clock_now();
    assert_int_equal(virt->ops->list(virt, &vms, &count, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_REPLY);
    assert_string_equal(error.failure.message,
                        "libvirt does not answer: the list of running VMs has not "
                        "come within 1 s");
    no_process_is_left();
    /* For as long again nobody asks ... */
    int status = virt->ops->domain_xml(virt, "a", &xml, &error);
    if (clock_now() < start + 2000) {
        assert_int_equal(status, -1);
        assert_int_equal(error.kind, VIRT_NO_REPLY);
        assert_null(xml);
        assert_null(strstr(called(), "xml"));
    }
    free(xml);
    /* ... and then another asker does. */
    while (virt->ops->domain_xml(virt, "a", &xml, &error) < 0)
        usleep(1000);
    free(xml);
    virt_close(virt);
    no_process_is_left();
}

static int times_called(const char *name) {
    int times = 0;
    char *words = strdup(called()), *rest = words, *word;
    while ((word = strsep(&rest, "\n")))
        times += strcmp(word, name) == 0;
    free(words);
    return times;
}

/* From 11.0 to 11.4, libvirt does not give it while the VM has a job. */
static void vms_whose_xml_does_not_come(void **state) {
    struct virt_error error;
    (void)state;
    plan.count = 12;
    plan.in_job = 0;
    plan.last_in_job = 1;
    struct virt *virt = connected();
    setenv("VIRT_RULES_ANSWER_MS", "4000", 1);
    int64_t start = 0, late = 0;
    for (int round = 0; round < 2; round++) {
        struct virt_domain *vms = listed(virt);
        start = clock_now();
        assert_int_equal(virt->ops->read(virt, vms, 12, &error), 0);
        for (int i = 0; i < plan.count; i++)
            if (i > plan.last_in_job)
                assert_read(vms, i);
            else
                assert_string_equal(
                    vms[i].why, "libvirt does not answer: the VM's XML has not come within 4 s");
        virt_list_free(vms, 12);
        late = round == 0 ? clock_now() : late;
    }
    /* For a while nobody asks for them again. */
    assert_true(times_called("read") == 12 + 10 || start > late + 2000);
    virt_close(virt);
    no_process_is_left();
}

/* It comes late, and the asker that waited for it goes on: it watches the VM's events. Returns how
 * many askers there were, with so many times the limits. */
static int askers_of_late_xml(int pace) {
    struct virt_error error;
    struct virt_about about;
    char limit[16];
    int before = times_called("far:///");
    plan.slow_us = LATE_US * (unsigned)pace;
    struct virt *virt = connected();
    snprintf(limit, sizeof limit, "%d", 8000 * pace);
    setenv("VIRT_RULES_ANSWER_MS", limit, 1);
    assert_int_equal(virt->ops->watch(virt, UUID, &error), 0);
    struct virt_domain *vms = listed(virt);
    assert_int_equal(virt->ops->read(virt, vms, 4, &error), 0);
    for (int i = 0; i < plan.count; i++)
        assert_read(vms, i);
    virt_list_free(vms, 4);
    assert_int_equal(virt->ops->about(virt, &about, &error), 0);
    assert_int_equal(about.version, 9000001);
    virt_close(virt);
    no_process_is_left();
    return times_called("far:///") - before;
}

/* On a busy machine the XML of other VMs comes late as well. */
static void xml_that_comes_late(void **state) {
    (void)state;
    plan.count = 4;
    for (plan.slow = 1; plan.slow < 4; plan.slow += 2) {
        int askers = 0;
        for (int pace = 1; askers != 2 && pace < 10; pace *= 3)
            askers = askers_of_late_xml(pace);
        assert_int_equal(askers, 2);
    }
}

/* A daemon that has stopped answers nobody. */
static void xml_of_a_daemon_that_hangs(void **state) {
    struct virt_error error;
    char *xml;
    (void)state;
    plan.count = 3;
    plan.in_job = 1;
    plan.last_in_job = 2;
    struct virt *virt = connected();
    struct virt_domain *vms = listed(virt);
    setenv("VIRT_RULES_ANSWER_MS", "1000", 1);
    plan.hangs_at_open = true; /* from the second asker on */
    assert_int_equal(virt->ops->read(virt, vms, 3, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_REPLY);
    assert_string_equal(error.failure.message,
                        "libvirt does not answer: the connection has not been made within 1 s");
    no_process_is_left();
    assert_int_equal(virt->ops->domain_xml(virt, "a", &xml, &error), -1);
    virt_list_free(vms, 3);
    virt_close(virt);
}

/* Each asker that waits holds one of the daemon's threads. */
static void xml_of_many_vms_that_does_not_come(void **state) {
    struct virt_error error;
    (void)state;
    plan.count = 30;
    plan.in_job = 1;
    plan.last_in_job = 20;
    struct virt *virt = connected();
    struct virt_domain *vms = listed(virt);
    setenv("VIRT_RULES_ANSWER_MS", "1000", 1);
    assert_int_equal(virt->ops->read(virt, vms, 30, &error), -1);
    assert_int_equal(error.kind, VIRT_NO_REPLY);
    assert_non_null(strstr(error.failure.message, "libvirt does not answer: "));
    assert_true(times_called("read") <= 10);
    no_process_is_left();
    virt_list_free(vms, 30);
    virt_close(virt);
}

static void a_change_without_an_answer(void **state) {
    struct virt_error error;
    (void)state;
    plan.hangs_at = "attach";
    struct virt *virt = connected();
    soon();
    virt_set_subject(virt, "0000:03:00.0, VM 'frigate'");
    assert_int_equal(virt->ops->attach(virt, UUID, 1, "<hostdev/>", &error), -1);
    assert_int_equal(error.kind, VIRT_NO_REPLY);
    assert_string_equal(error.failure.message,
                        "libvirt does not answer: attach of 0000:03:00.0, VM "
                        "'frigate' has not returned for 1 s");
    assert_non_null(strstr(error.failure.hint, "may still do it"));
    virt_close(virt);
    no_process_is_left();
}

/* A change may take longer than a question: as long as a guest's memory takes to be pinned. */
static void a_change_has_more_time(void **state) {
    struct virt_error error;
    (void)state;
    plan.detach_us = 900000;
    struct virt *virt = connected();
    setenv("VIRT_RULES_ANSWER_MS", "600", 1);
    assert_int_equal(virt->ops->detach(virt, UUID, 1, "<hostdev/>", &error), 0);
    virt_close(virt);
    unsetenv("VIRT_RULES_ANSWER_MS");
    assert_int_equal(deadline_limit(DEADLINE_ANSWER_MS), 8000);
    assert_true(deadline_limit(DEADLINE_ANSWER_MS) < 10000);
    assert_true(deadline_limit(DEADLINE_CHANGE_MS) >= 100000);
    setenv("VIRT_RULES_ANSWER_MS", "80", 1);
    assert_int_equal(deadline_limit(DEADLINE_ANSWER_MS), 80);
    assert_int_equal(deadline_limit(DEADLINE_CHANGE_MS), 1200);
    for (const char *const *text = (const char *const[]){"", "0", "-5", "x", "999999999", NULL};
         *text; text++) {
        setenv("VIRT_RULES_ANSWER_MS", *text, 1);
        assert_int_equal(deadline_limit(DEADLINE_ANSWER_MS), 8000);
    }
}

static void a_goodbye_without_an_answer(void **state) {
    (void)state;
    plan.hangs_at_close = true;
    struct virt *virt = connected();
    soon();
    virt_close(virt);
    no_process_is_left();
}

/* --- what dies */

static void an_asker_that_dies(void **state) {
    struct virt_error error;
    (void)state;
    plan.dies_at = "attach";
    for (int round = 0; round < 2; round++) {
        plan.ends_with = round ? SIGKILL : SIGABRT;
        struct virt *virt = connected();
        assert_int_equal(virt->ops->attach(virt, UUID, 1, "<hostdev/>", &error), -1);
        assert_int_equal(error.kind, VIRT_UNREACHABLE);
        assert_non_null(
            strstr(error.failure.message, round ? "the process that calls libvirt was killed"
                                                : "the libvirt library crashed (signal 6)"));
        /* The next call starts another. */
        assert_int_equal(virt->ops->detach(virt, UUID, 1, "<hostdev/>", &error), 0);
        virt_close(virt);
    }
    no_process_is_left();
}

/* While it reads the second VM: at once, and when another has read the rest. */
static void an_asker_that_dies_at_a_vm(void **state) {
    struct virt_error error;
    (void)state;
    plan.count = 4;
    plan.slow = 1;
    plan.dies_at = "slow";
    plan.ends_with = SIGSEGV;
    setenv("VIRT_RULES_ANSWER_MS", "8000", 1);
    for (plan.slow_us = 0; plan.slow_us <= LATE_US; plan.slow_us += LATE_US) {
        struct virt *virt = connected();
        struct virt_domain *vms = listed(virt);
        assert_int_equal(virt->ops->read(virt, vms, 4, &error), -1);
        assert_int_equal(error.kind, VIRT_UNREACHABLE);
        assert_string_equal(error.failure.message, "the libvirt library crashed (signal 11)");
        virt_list_free(vms, 4);
        virt_close(virt);
        no_process_is_left();
    }
}

/* Its events went with it: they are to be watched again. */
static void a_wait_after_its_asker(void **state) {
    struct virt_error error;
    struct virt_event event;
    (void)state;
    plan.dies_at = "wait";
    plan.ends_with = SIGKILL;
    struct virt *virt = connected();
    assert_int_equal(virt->ops->watch(virt, UUID, &error), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(virt->ops->wait(virt, 1, &event, &error), -1);
        assert_int_equal(error.kind, VIRT_UNREACHABLE);
        assert_int_equal(event.kind, VIRT_EVENT_NONE);
        plan.dies_at = NULL;
    }
    virt_close(virt);
}

static void a_wait_lasts_as_long_as_was_asked(void **state) {
    struct virt_error error;
    struct virt_event event;
    (void)state;
    plan.is_quiet = true;
    struct virt *virt = connected();
    int64_t start = clock_now();
    assert_int_equal(virt->ops->wait(virt, 150, &event, &error), 0);
    assert_int_equal(event.kind, VIRT_EVENT_NONE);
    assert_true(clock_now() - start >= 148); /* parts of milliseconds are cut off */
    virt_close(virt);
}

/* A kernel that cannot wait for it ends the call, and not for ever. */
static void a_wait_that_fails(void **state) {
    struct virt *virt = connected();
    struct virt_error error;
    struct rlimit files, none;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    none = (struct rlimit){0, files.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0); /* EINVAL from poll(2) */
    plan.hangs_at = "detach";
    assert_int_equal(virt->ops->detach(virt, UUID, 1, "<hostdev/>", &error), -1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(error.kind, VIRT_UNREACHABLE);
    no_process_is_left();
    virt_close(virt);
}

static int holder = -1;

static int far_open_file(struct virt **virt, const char *uri, struct virt_error *error) {
    if (fcntl(holder, F_GETFD) >= 0) {
        *error = (struct virt_error){.failure.message = "a file of the engine's is open"};
        return -1;
    }
    return far_open_first(virt, uri, error);
}

/* A lock that the engine holds is no longer held when it has closed it. */
static void the_asker_has_no_file_of_the_engine(void **state) {
    static const struct virt_asker_work careful = {far_open_file, far_library_first};
    struct virt *virt;
    struct virt_error error;
    (void)state;
    holder = fcntl(calls, F_DUPFD_CLOEXEC, 200);
    assert_true(holder >= 200);
    if (virt_asker_open(&virt, &careful, NULL, &error) < 0)
        fail_msg("%s", error.failure.message);
    virt_close(virt);
    close(holder);
}

/* Whose calls nobody waits for any more. */
static void the_asker_ends_with_the_engine(void **state) {
    (void)state;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    pid_t engine = fork();
    if (engine == 0) {
        struct virt_error error;
        plan.hangs_at = "detach";
        struct virt *virt = connected();
        virt->ops->detach(virt, UUID, 1, "<hostdev/>", &error);
        _exit(1);
    }
    while (!strstr(called(), "detach"))
        usleep(1000);
    kill(engine, SIGKILL);
    alarm(600);
    while (waitpid(-1, NULL, 0) > 0) /* the asker is ours now */
        ;
    alarm(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_goes_through, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_of_any_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_go_through, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_library, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_that_is_never_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_question_without_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(vms_whose_xml_does_not_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(xml_that_comes_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(xml_of_a_daemon_that_hangs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(xml_of_many_vms_that_does_not_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_without_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_has_more_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_goodbye_without_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_asker_that_dies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_asker_that_dies_at_a_vm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_after_its_asker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_lasts_as_long_as_was_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_that_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_asker_has_no_file_of_the_engine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_asker_ends_with_the_engine, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("virt_asker", tests, NULL, NULL);
}
