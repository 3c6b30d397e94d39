/* Every check: what it must find, and what it must leave alone. */
#include "front.h"

struct row {
    const char *rules, *expected;
};

static void assert_rows(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_says(rows[i].rules, rows[i].expected);
}

#define ASSERT_ROWS(rows) assert_rows(rows, sizeof(rows) / sizeof *(rows))

static void test_definitions(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"device a is 1ac1:089a\n", "unused-definition@a"},
        {"device a is 1ac1:089a\nnever attach a\n", ""},
        {"device a is 1ac1:089a\non vm v started attach a as vfio\n", ""},
        {"device a is 1ac1:089a\non vm v started detach a\n", ""},
        {"on vm v started attach a as vfio\ndevice a is b\ndevice b is 1ac1:089a\n", ""},
        {"device a is 1ac1:089a\ndevice b is a\n", "unused-definition@b"},
        /* a line that was not understood may be the one that uses it */
        {"device a is 1ac1:089a\non vm v started attach a as vfoi\n", "syntax@vfoi"},
        {"on vm v started attach x as vfio\n", "undefined-device@x"},
        {"on vm v started attach x, y or z as vfio\n",
         "undefined-device@x undefined-device@y undefined-device@z"},
        {"never attach x\n", "undefined-device@x"},
        {"device a is x\nnever attach a\n", "undefined-device@x"},
        {"device a is 1ac1:089a\nnever attach A\n", "undefined-device@A"},
        {"device a is 1ac1:089a\ndevice a is 1ac1:089b\nnever attach a\n",
         "duplicate-definition@a"},
        {"device a is 1ac1:089a\ndevice a is 1ac1:089b\ndevice a is x\nnever attach a\n",
         "duplicate-definition@a duplicate-definition@a undefined-device@x"},
        {"device a is a\nnever attach a\n", "circular-definition@a"},
        {"device a is b\ndevice b is a\nnever attach a\n", "circular-definition@a"},
        {"device a is 1ac1:089a or b\ndevice b is c or 1ac1:089b\ndevice c is a\nnever attach c\n",
         "circular-definition@a"},
        /* no circle: the same name by two ways */
        {"device a is b or c\ndevice b is d\ndevice c is d\ndevice d is 1ac1:089a\nnever attach "
         "a\n",
         ""},
    };
    ASSERT_ROWS(rows);
}

/* Definitions in a row, the last of them an id. */
static void assert_chain(unsigned length, bool backwards, const char *expected) {
    char *rules = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&rules, &size);
    assert_non_null(out);
    for (unsigned i = 0; i < length; i++) {
        unsigned at = backwards ? length - 1 - i : i;
        if (at + 1 == length)
            fprintf(out, "device d%u is 1ac1:089a\n", at);
        else
            fprintf(out, "device d%u is d%u\n", at, at + 1);
    }
    fprintf(out, "never attach d0\n");
    fclose(out);
    assert_says(rules, expected);
    free(rules);
}

static void test_chains(void **state) {
    (void)state;
    assert_chain(2, false, "");
    assert_chain(65, false, "");
    assert_chain(66, false, "circular-definition@d65");
    assert_chain(66, true, ""); /* each stands on one that is known */
    assert_chain(1000, true, "");
}

/* Names that double at every step: refused, and in no time. */
static void test_doubling(void **state) {
    (void)state;
    char *rules = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&rules, &size);
    assert_non_null(out);
    fprintf(out, "device d0 is 1ac1:089a\n");
    for (unsigned i = 1; i < 60; i++)
        fprintf(out, "device d%u is d%u or d%u\n", i, i - 1, i - 1);
    fprintf(out, "on vm a started attach d59 as vfio\nnever attach d58 or class 01\n");
    fclose(out);
    struct front front;
    front_check(&front, rules);
    assert_true(front.diagnostics.count >= 1);
    for (size_t i = 0; i < front.diagnostics.count; i++)
        assert_true(!strcmp(diagnostic_name(&front.diagnostics.list[i]), "circular-definition") ||
                    !strcmp(diagnostic_name(&front.diagnostics.list[i]), "void-by-never"));
    assert_covers(front.diagnostics.list[0].source, front.diagnostics.list[0].span, "d20");
    front_finish(&front);
    free(rules);
}

static void test_resolved_tree(void **state) {
    (void)state;
    struct front front;
    front_check(&front, "on vm a started attach x at 05:00.0 as vfio\ndevice x is y\n"
                        "device y is 1ac1:089a\nnever attach y port 1-1\n");
    assert_int_equal(front.diagnostics.count, 0);
    const struct criterion *x = front.syntax.rules->actions->targets->device;
    assert_true(x->resolved);
    assert_string_equal(x->definition->name, "x");
    assert_true(x->definition->device->resolved);
    assert_string_equal(x->definition->device->definition->name, "y");
    assert_true(x->definition->used);
    assert_false(front.sources[0].broken);
    assert_true(front.syntax.guards->device->resolved);
    front_finish(&front);
}

static void test_suggestions(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"device coral is 1ac1:089a\non vm a started attach corral, coral as vfio\n",
         "did you mean 'coral'?"},
        {"on vm a started attach gpu as vfio\n",
         "define it: device gpu is 1ac1:089a; if another file of the directory defines it, check "
         "the directory"},
        {"on vm a started attach pci_0000_05_00_0 as vfio\n", "did you mean '0000:05:00.0'?"},
        {"on vm a started attach clas as vfio\n", "did you mean 'class'?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct front front;
        front_check(&front, rows[i][0]);
        assert_int_equal(front.diagnostics.count, 1);
        assert_string_equal(front.diagnostics.list[0].hint, rows[i][1]);
        front_finish(&front);
    }
}

static void test_files(void **state) {
    (void)state;
    struct front front;
    /* any order of files */
    front_check_files(&front, NULL,
                      (const char *const[]){"on vm a started attach coral as vfio\n",
                                            "device coral is 1ac1:089a\n", NULL});
    assert_int_equal(front.diagnostics.count, 0);
    front_finish(&front);
    /* the second definition is the one in the later file, with a note of the first */
    front_check_files(&front, NULL,
                      (const char *const[]){"device a is 1ac1:089a\nnever attach a\n",
                                            "device a is 1ac1:089b\n", NULL});
    assert_summary(&front, "two files", "duplicate-definition@a");
    assert_ptr_equal(front.diagnostics.list[0].source, &front.sources[1]);
    assert_ptr_equal(front.diagnostics.list[0].notes[0].source, &front.sources[0]);
    assert_false(front.sources[0].broken);
    assert_true(front.sources[1].broken);
    front_finish(&front);
    /* a file with an error contributes nothing, by way of others too */
    front_check_files(&front, NULL,
                      (const char *const[]){"on vm a started attach b as vfio\n", "device b is c\n",
                                            "device c is 1ac1:089a\nx\n",
                                            "on vm a started run \"/x\"\n", NULL});
    assert_summary(&front, "four files", "undefined-device@b undefined-device@c syntax@x");
    assert_string_equal(front.diagnostics.list[0].hint, "correct 1.rules first");
    assert_string_equal(front.diagnostics.list[1].hint, "correct 2.rules first");
    assert_true(front.sources[0].broken && front.sources[1].broken && front.sources[2].broken);
    assert_false(front.sources[3].broken);
    front_finish(&front);
}

static void test_events(void **state) {
    (void)state;
    static const struct {
        enum event_name event;
        bool attach;
    } rows[] = {
        {EVENT_PREPARE, false},  {EVENT_START, false},    {EVENT_STARTED, true},
        {EVENT_STOPPED, false},  {EVENT_RELEASE, false},  {EVENT_MIGRATE, false},
        {EVENT_RESTORE, false},  {EVENT_RECONNECT, true}, {EVENT_PLUGGED, true},
        {EVENT_UNPLUGGED, true}, {EVENT_FREED, true},
    };
    static const char *const actions[] = {"attach 1ac1:089a as vfio", "detach 1ac1:089a",
                                          "{ run \"/x\"", "run \"/x\""};
    assert_int_equal(sizeof rows / sizeof *rows, EVENT_DEFINED);
    for (size_t i = 0; i < EVENT_DEFINED; i++)
        for (size_t j = 0; j < 4; j++) {
            char rules[200], expected[64] = "";
            const char *name = scanner_event_text(rows[i].event);
            bool attach = j != 3;
            snprintf(rules, sizeof rules, "on vm a %s %s%s\n", name, actions[j],
                     j == 2 ? "\ndetach 1ac1:089a\n}" : "");
            if (attach && !rows[i].attach)
                snprintf(expected, sizeof expected, "event-without-attach@%s", name);
            assert_says(rules, expected);
        }
    assert_says("on vm a started, stopped, release attach 1ac1:089a as vfio\n",
                "event-without-attach@stopped event-without-attach@release");
}

/* Actions and options at events where they cannot work, and whose an event is. */
static void test_wrong_events(void **state) {
    (void)state;
#define GPU "attach 10de:1b80 as vfio"
    static const struct row rows[] = {
        {"on host boot run \"/x\"\n", ""},
        {"on host started run \"/x\"\n", "wrong-event@started"},
        {"on host boot, started run \"/x\"\n", "wrong-event@started"},
        {"on vm boot boot run \"/x\"\n", "wrong-event@boot"},
        {"on vm a boot " GPU "\n", "wrong-event@boot"},
        {"on vm a started, boot " GPU "\n", "wrong-event@boot"},
        {"on host boot " GPU "\n", "event-without-attach@boot"},
        {"on host boot detach 10de:1b80\n", "event-without-attach@boot"},
        {"on host boot {\n require 10de:1b80\n}\n", "wrong-event@require"},
        {"on vm a prepare require 10de:1b80\n", ""},
        {"on vm a started require 10de:1b80\n", "wrong-event@require"},
        {"on vm a prepare, started require 10de:1b80\n", "wrong-event@require"},
        {"on vm a prepare " GPU "\n", "event-without-attach@prepare"},
        {"on vm a started bind 10de:1b80 to vfio\n", "wrong-event@bind"},
        {"on vm a prepare create 2 vf of 8086:1572\n", "wrong-event@create"},
        {"on vm a defined " GPU "\n", ""},
        {"on vm a defined, started " GPU "\n", ""},
        {"on vm a defined detach 10de:1b80\n", "event-without-attach@defined"},
        {"on vm a defined, started {\n " GPU "\n run \"/x\"\n}\n", "wrong-event@run"},
        {"on vm a defined attach usb as usb\n", ""},
        {"on vm a defined attach 8086:154c as net vlan 5\n", ""},
        {"on vm a defined attach usb as serial\n", "wrong-event@as serial"},
        {"on vm a started, defined attach usb as disk\n", "wrong-event@as disk"},
        {"on vm a defined attach 10de:1b80 with group as mdev \"t\"\n",
         "option-mismatch@with group wrong-event@as mdev"},
        {"on vm a defined " GPU " ports 2 boot order 1 boot display awake reset method pm rom off "
         "optional unmanaged\n",
         ""},
        {"on vm a started " GPU " ports 2\n", "wrong-event@ports 2"},
        {"on vm a started " GPU " boot order 2\n", "wrong-event@boot order 2"},
        {"on vm a started, defined " GPU " ports 2 boot order 2 within 5s after 5s take\n", ""},
        {"on vm a defined " GPU " within 5s\n", "wrong-event@within 5s"},
        {"on vm a defined " GPU " after 5s\n", "wrong-event@after 5s"},
        {"on vm a defined " GPU " take\n", "wrong-event@take"},
        {"on vm a defined " GPU " then reboot\n", "wrong-event@then reboot"},
        {"on vm a plugged " GPU " take\n", "option-mismatch@take"},
        {"on vm a started run \"/x\" wait 20s or stop\n",
         "wrong-event@wait 20s wrong-event@or stop"},
        {"on vm a prepare, started run \"/x\" wait 20s\n", ""},
    };
    ASSERT_ROWS(rows);
#undef GPU
}

/* What is asked of the host before VMs start, and of a VM before it starts. */
static void test_before_start(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"on vm a prepare require any 2 usb with group\n", ""},
        {"on vm a prepare require 10de:1eb8 as mdev \"nvidia-63\" within 60s\n", ""},
        {"on vm a prepare require usb as vfio\n", "backend-mismatch@usb"},
        {"on vm a prepare require usb with group as usb\n", "option-mismatch@with group"},
        {"on vm a prepare require usb optional\n", "option-mismatch@optional"},
        {"on vm a prepare require usb awake\n", "option-mismatch@awake"},
        {"on vm a prepare require usb within 61s\n", "bad-duration@within 61s"},
        {"on vm a prepare require usb within 0s\n", "bad-duration@within 0s"},
        {"on vm a prepare run \"/x\" wait 60s\n", ""},
        {"on vm a prepare run \"/x\" wait 61s or stop\n", "bad-duration@wait 61s"},
        {"on vm a prepare run \"/x\" wait 0ms\n", "bad-duration@wait 0ms"},
        {"on vm a prepare run \"/x\" wait 1 or stop\n", "bad-duration@1"},
        {"on vm a prepare run \"/x\" wait or stop\n", "syntax@or"},
        {"on vm a prepare run \"/x\" or stop\n", "syntax@or"},
        {"on vm a prepare run \"/x\" wait 1s or\n", "syntax@\n"},
        {"on vm a prepare run \"/x\" wait 1s wait 2s\n", "wait-argument@wait"},
        {"on vm a prepare run \"/x\" wait\n", "wait-argument@wait"},
        {"on vm a prepare run \"/x\" wait 20 b\n", "wait-argument@wait"},
        {"on vm a prepare run \"/x\" wait for\n", ""},
        {"on vm a prepare run \"/x\" \"wait\" 20s\n", ""},
        {"on vm a started run \"/x\" wait\n", ""},
        {"on host boot bind 10de:*, all 1002:* to driver \"pci-stub\" within 5m optional\n", ""},
        {"on host boot bind any 10de:* to vfio\n", "option-mismatch@any 10de:*"},
        {"on host boot bind usb to vfio\n", "backend-mismatch@usb"},
        {"on host boot bind 10de:* to vfio awake\n", "option-mismatch@awake"},
        {"on host boot bind 10de:* to driver \"a/b\"\n", "bad-driver@\"a/b\""},
        {"on host boot bind 10de:* to driver \"..\"\n", "bad-driver@\"..\""},
        {"on host boot bind 10de:*\n", "syntax@\n"},
        {"on host boot bind 10de:* to pci-stub\n", "syntax@pci-stub"},
        {"on host boot bind 10de:* to driver\n", "syntax@\n"},
        {"on host boot create 4 vf of 8086:1572 or 8086:1573 optional within 5s\n", ""},
        {"on host boot create 0 vf of 8086:1572\n", "bad-count@0"},
        {"on host boot create 65536 vf of 8086:1572\n", "bad-count@65536"},
        {"on host boot create 2 vf of any 8086:1572\n", "syntax@any 8086:1572"},
        {"on host boot create 2 vf of 8086:1572, 8086:1573\n", "syntax@8086:1573"},
        {"on host boot create 2 vf of vf of 8086:1572\n", "impossible-device@vf of 8086:1572"},
        {"device v is vf of 8086:1572\non host boot create 2 vf of v\n", "impossible-device@v"},
        {"on host boot create 2 vf of usb\n", "backend-mismatch@usb"},
        {"on vm a defined attach 1:1 as vfio ports 0\n", "bad-id@1:1 bad-count@0"},
        {"on vm a defined attach usb as usb ports 2\n", "option-mismatch@ports 2"},
        {"on vm a defined attach usb as usb boot order 0\n", "bad-count@0"},
        {"on vm a started attach usb as usb boot display\n", "option-mismatch@boot display"},
        {"on vm a started attach 10de:* as vfio reset method frl\n", "bad-value@frl"},
        {"on vm a started attach 10de:* as vfio reset method bus reset method pm\n",
         "repeated-word@reset method pm"},
        {"on vm a started attach 10de:* as vfio boot display boot display\n",
         "repeated-word@boot display"},
        /* twice, or in two ways */
        {"on host boot bind 10de:* to vfio\non host boot bind 10de:* to driver vfio-pci\n",
         "duplicate-rule@10de:*"},
        {"on host boot bind 10de:* to vfio\non host boot bind 10de:* to driver x\n",
         "duplicate-rule@10de:*"},
        {"on host boot {\n bind 10de:* to vfio\n bind 10de:* to driver x\n}\n",
         "duplicate-rule@10de:*"},
        {"on host boot create 2 vf of 8086:1\non host boot create 2 vf of 8086:1\n",
         "bad-id@8086:1 bad-id@8086:1"},
        {"on host boot create 2 vf of 8086:1572\non host boot create 3 vf of 8086:1572\n",
         "duplicate-rule@8086:1572"},
        {"on host boot run \"/x\"\non host boot run \"/x\"\n", "duplicate-rule@run \"/x\""},
        {"on host boot run \"/x\"\non vm a started run \"/x\"\n", ""},
        /* one of them runs at a time */
        {"on vm a defined attach 10de:1b80 as vfio\non vm b defined attach 10de:1b80 as vfio\n",
         ""},
        {"on vm a, b defined attach 10de:1b80 as vfio\n", ""},
        {"on vm a defined attach 10de:1b80 as vfio\non vm a started attach 10de:1b80 as vfio\n",
         ""},
        {"on vm a defined attach 10de:1b80 as vfio\non vm a defined attach 10de:1b80 as vfio\n",
         "duplicate-rule@10de:1b80"},
        /* what a rule of the host uses is used, and what is forbidden is not bound */
        {"device d is 10de:1b80\non host boot bind d to vfio\n", ""},
        {"device d is 8086:1572\non host boot create 2 vf of d\n", ""},
        {"device d is 8086:1572\non vm a prepare require d\n", ""},
        {"on host boot bind x to vfio\n", "undefined-device@x"},
        {"never attach 10de:*\non host boot bind 10de:1b80 to vfio\n", "void-by-never@10de:1b80"},
        {"never attach 10de:* to vm a\non host boot bind 10de:1b80 to vfio\n", ""},
        {"never attach 10de:* to vm a\non vm a prepare require 10de:1b80\n",
         "void-by-never@10de:1b80"},
        {"never attach 10de:* to vm a\non vm a defined attach 10de:1b80 as vfio\n",
         "void-by-never@10de:1b80"},
        {"on host boot {\n}\n", "empty-block@on host boot"},
    };
    ASSERT_ROWS(rows);
}

static void test_backends(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"on vm a started attach 1ac1:089a as usb\n", ""},
        {"on vm a started attach 1ac1:089a as vfio\n", ""},
        {"on vm a started attach class 0c as usb\n", ""},
        {"on vm a started attach at 05:00.0 as usb\n", "backend-mismatch@at 05:00.0"},
        {"on vm a started attach 05:00.0 as vfio\n", ""},
        {"on vm a started attach 1ac1:089a subsystem 1:1 as usb\n", "bad-id@1:1"},
        {"on vm a started attach subsystem 1ac1:089a as usb\n",
         "backend-mismatch@subsystem 1ac1:089a"},
        {"on vm a started attach port 1-1 as vfio\n", "backend-mismatch@port 1-1"},
        {"on vm a started attach serial \"7\" as vfio\n", "backend-mismatch@serial \"7\""},
        {"on vm a started attach serial \"7\" port 1-1 as usb\n", ""},
        {"on vm a started detach port 1-1, 05:00.0\n", ""},
        {"never attach port 1-1\nnever attach 05:00.0\n", ""},
        {"device p is port 1-1\ndevice q is p\non vm a started attach q as vfio\n",
         "backend-mismatch@q"},
        {"device p is 1ac1:089a at 05:00.0\non vm a started attach p as usb\n",
         "backend-mismatch@p"},
        {"device p is 1ac1:089a at 05:00.0\non vm a started attach p as vfio\n", ""},
    };
    ASSERT_ROWS(rows);
}

static void test_options(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"on vm a started attach 1ac1:089a as vfio optional unmanaged within 5s after 5s rom off "
         "then reset\n",
         ""},
        {"on vm a started attach 1ac1:089a as usb optional within 5s after 5s then reboot\n", ""},
        {"on vm a started attach 1ac1:089a as usb unmanaged\n", "option-mismatch@unmanaged"},
        {"on vm a started attach 1ac1:089a as usb rom off\n", "option-mismatch@rom off"},
        {"on vm a started attach 1ac1:089a as usb rom \"/x\"\n", "option-mismatch@rom \"/x\""},
        {"on vm a started attach 1ac1:089a with group as usb\n", "option-mismatch@with group"},
        {"on vm a started attach 1ac1:089a with group as vfio\n", ""},
        {"on vm a plugged attach 1ac1:089a as vfio then reset\n", "option-mismatch@then reset"},
        {"on vm a plugged, started attach 1ac1:089a as vfio then reset\n", ""},
        {"on vm a strated attach 1ac1:089a as vfio then reset\n", "unknown-event@strated"},
        {"on vm a started attach 1ac1:089a as vfio then reset then reboot\n",
         "option-mismatch@then reboot"},
        {"on vm a started attach 1ac1:089a as vfio rom \"/x\" rom off\n",
         "option-mismatch@rom off"},
        {"on vm a started detach 1ac1:089a optional\n", "option-mismatch@optional"},
        {"on vm a started detach 1ac1:089a as vfio\n", "option-mismatch@as vfio"},
        {"on vm a started detach 1ac1:089a with group\n", "option-mismatch@with group"},
        {"on vm a started run \"/x\" within 5s\n", "option-mismatch@within 5s"},
    };
    ASSERT_ROWS(rows);
}

static void test_repeated(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"on vm a, b, a started run \"/x\"\n", "repeated-word@a"},
        {"on vm a, a, a started run \"/x\"\n", "repeated-word@a repeated-word@a"},
        {"on vm a, \"a\" started run \"/x\"\n", ""},
        {"on vm ha*, \"ha*\", h* started run \"/x\"\n", "quoted-glob@\"ha*\""},
        {"on vm any, any started run \"/x\"\n", "repeated-word@any"},
        {"on vm any, \"any\" started run \"/x\"\n", ""},
        {"on vm a started, plugged, started run \"/x\"\n", "repeated-word@started"},
        {"on vm a started attach 1ac1:089a as vfio optional optional\n", "repeated-word@optional"},
        {"on vm a started attach 1ac1:089a as vfio within 5s within 6s\n",
         "repeated-word@within 6s"},
        {"on vm a started attach 1ac1:089a as vfio within 5s after 5s\n", ""},
        {"on vm a started run \"/x\" a a\n", ""},
    };
    ASSERT_ROWS(rows);
}

static void test_words(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"on vm \"\" started run \"/x\"\n", "empty-word@\"\""},
        {"on vm a started run \"/x\" \"\"\n", ""},
        {"on vm a started attach serial \"\" as usb\n", "empty-word@serial \"\""},
        {"on vm a started detach 1ac1:089a serial \"\"\n", "empty-word@serial \"\""},
        {"never attach serial \"\" to vm \"\"\n", "empty-word@serial \"\" empty-word@\"\""},
        {"device a is serial \"\"\nnever attach a\n", "empty-word@serial \"\""},
        {"on vm \" \" started run \"/x\"\n", "hidden-character@\" \""},
        {"on vm a started run \"x\"\n", "relative-path@\"x\""},
        {"on vm a started run \"\"\n", "relative-path@\"\""},
        {"on vm a started run \"./x\"\n", "relative-path@\"./x\""},
        {"on vm a started run \"~/x\"\n", "relative-path@\"~/x\""},
        {"on vm a started attach 1ac1:089a as vfio rom \"x.rom\"\n", "relative-path@rom \"x.rom\""},
        {"on vm a started attach 1ac1:089a as vfio rom \"/x.rom\"\n", ""},
        {"on vm a started run \"/x\" relative\n", ""},
        {"on vm a started run \"/\"\n", "relative-path@\"/\""},
        {"on vm a started run \"/x/\" y\n", "relative-path@\"/x/\""},
        {"on vm a started run \"/x/..\" y\n", "relative-path@\"/x/..\""},
        {"on vm a started run \"/x/...\" y\n", ""},
    };
    ASSERT_ROWS(rows);
}

/* Warnings of bare names that hold an operator; quoting turns them off. Each name alone, in a rule
 * and in a guard. */
static void test_operators_in_names(void **state) {
    (void)state;
    static const char *const odd[] = {
        "!a",         "a|b",  "^a",   "/a/", "name=a", "title:a", "UUID:a", "$VM",    "<a>", "(a)",
        "a，b",       "a、b", "a;b",  "a&b", "a=b",    "~a",      "%VM%",   "！a",    ".*a", "a$",
        "urn:uuid:a", "a；b", "a｜b", "!a*", "a*|b*",  "vm:a",    "a،b",    "[!a]b|c"};
    static const char *const fine[] = {
        "a",   "a-b", "a_b.c", "user@host", "[!a]b", "x[^b]*", "Büro", "a+b",  "a:b",    "10%",
        "a~1", "a!",  "a/b",   "1.5",       "a^b",   "ü(x)",   "-x",   "x.y*", "[a|b=]x"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char text[200], expected[100];
        snprintf(text, sizeof text,
                 "on vm %s started run \"/x\"\nnever attach 1ac1:089a to vm b, %s\n", odd[i],
                 odd[i]);
        snprintf(expected, sizeof expected, "foreign-operator@%s foreign-operator@%s", odd[i],
                 odd[i]);
        assert_says(text, expected);
        snprintf(text, sizeof text, "on vm \"%s\" started run \"/x\"\n", odd[i]);
        snprintf(expected, sizeof expected, "quoted-glob@\"%s\"", odd[i]);
        assert_says(text, strpbrk(odd[i], "*[") ? expected : "");
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        char text[200];
        snprintf(text, sizeof text, "on vm %s started run \"/x\"\n", fine[i]);
        assert_says(text, "");
    }
}

static void test_nearly_uuids(void **state) {
    (void)state;
    static const char *const odd[] = {
        "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4",
        "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4ee",
        "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3dg4",
        "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2cxd4e",
        "8a0e7d2-c55b1-4c56-9d3e-0f6b1a2c3d4e",
        "8a0e7d2c55b1-4c56-9d3e-0f6b1a2c3d4e",
        "8a0e7d2c55b14c569d3e0f6b1a2c3d4e",
        "8A0E7D2C55B14C569D3E0F6B1A2C3D4E",
        "8a0e7d2c_55b1_4c56_9d3e_0f6b1a2c3d4e",
        "8a0e7d2c–55b1–4c56–9d3e–0f6b1a2c3d4e",
        "8a0e7d2c-55b1-4c56-9d3e",
        "8a0e7d2c-55b1-4c56-9d3e-0f6b",
        "8a0e7d2c55b14c569d3e0f6b1a2c3d4",
        "8a0e7d2c--55b1-4c56-9d3e-0f6b1a2c3d4e",
        "8aOe7d2c-55b1-4c56-9d3e-Of6b1a2c3d4e",
        "a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e",
        "8a0e7d2c_55b1-4c56-9d3e-0f6b1a2c3d4e-",
    };
    static const char *const fine[] = {
        "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e", "8A0E7D2C-55B1-4C56-9D3E-0F6B1A2C3D4E",
        "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4*", "0123456789abcdef",
        "windows-server-2019-datacenter-no-1",  "a-very-long-name-of-a-vm-which-has-no-end",
        "debian-12-bookworm-backports-amd64",   "deadbeef-cafe",
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char text[300], expected[200];
        snprintf(text, sizeof text,
                 "on vm %s started run \"/x\"\nnever attach 1ac1:089a to vm \"%s\"\n", odd[i],
                 odd[i]);
        snprintf(expected, sizeof expected, "bad-uuid@%s bad-uuid@\"%s\"", odd[i], odd[i]);
        assert_says(text, expected);
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        char text[300];
        snprintf(text, sizeof text, "on vm %s started run \"/x\"\n", fine[i]);
        assert_says(text, "");
    }
}

static void test_every_vm(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"on vm any started attach all 1ac1:089a as vfio\n", "every-vm-all@all 1ac1:089a"},
        {"on vm a, * started attach all 1ac1:089a as vfio\n", "every-vm-all@all 1ac1:089a"},
        {"on vm *** started attach 1ac1:089b, all 1ac1:089a as vfio\n",
         "every-vm-all@all 1ac1:089a"},
        {"on vm any started attach any 1ac1:089a as vfio\n", ""},
        {"on vm any started attach 1ac1:089a as vfio\n", ""},
        {"on vm any started detach all 1ac1:089a\n", ""},
        {"on vm a* started attach all 1ac1:089a as vfio\n", ""},
        {"on vm \"*\" started attach all 1ac1:089a as vfio\n", "quoted-glob@\"*\""},
        {"on vm a started attach all 1ac1:089a as vfio\n", ""},
    };
    ASSERT_ROWS(rows);
}

static void test_duplicates(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"on vm a started attach 1ac1:089a, 1AC1:089A as vfio\n", "duplicate-device@1AC1:089A"},
        {"on vm a started attach 05:00.0, 0000:05:00.0 as vfio\n", "duplicate-device@0000:05:00.0"},
        {"on vm a started {\nattach 1ac1:089a as vfio\nattach 1ac1:089a as vfio rom off\n}\n",
         "duplicate-device@1ac1:089a"},
        {"on vm a started, plugged attach 1ac1:089a, 1ac1:089b as vfio\n", ""},
        {"on vm a started attach 1ac1:*, 1ac1:089a, class 0300, class 03 as vfio\n", ""},
        {"on vm a started attach 1ac1:089a or 1ac1:089b, 1ac1:089a as vfio\n", ""},
        {"on vm a started attach 1ac1:089a at 05:00.0, 1ac1:089a at 06:00.0 as vfio\n", ""},
        {"on vm a started {\nattach 1ac1:089a as vfio\ndetach 1ac1:089a\n}\n", ""},
        {"on vm a started {\nrun \"/x\" 1\nrun \"/x\" 1\n}\n", "duplicate-rule@run \"/x\" 1"},
        {"on vm a started {\nrun \"/x\" 1\nrun \"/x\" 2\nrun \"/x\"\n}\n", ""},
        {"on vm a started run \"/x\"\non vm a started run \"/x\"\n", "duplicate-rule@run \"/x\""},
        {"on vm a started run \"/x\"\non vm a stopped run \"/x\"\n", ""},
        {"on vm a started run \"/x\"\non vm b started run \"/x\"\n", ""},
        {"on vm a started attach 1ac1:089a as vfio\non vm a started attach 1ac1:089a as vfio\n",
         "duplicate-rule@1ac1:089a"},
        {"on vm a started attach 1ac1:089a as vfio\non vm a plugged attach 1ac1:089a as vfio\n",
         ""},
        {"on vm a started attach 1ac1:089a as vfio\non vm a started attach any 1ac1:089a as vfio\n",
         "duplicate-rule@any 1ac1:089a"},
        /* what was not understood is not compared */
        {"on vm a started attach 1ac1:089a at 1 as vfio\non vm a started attach 1ac1:089a as "
         "vfio\n",
         "bad-address@1"},
    };
    ASSERT_ROWS(rows);
}

static void test_shared(void **state) {
    (void)state;
    static const char uuid[] = "4f0b1d1e-0000-4000-8000-00000000cafe";
    static const struct row rows[] = {
        {"on vm a started attach 1ac1:089a as vfio\non vm b started attach 1ac1:089a as vfio\n",
         "shared-device@1ac1:089a"},
        {"on vm a, b started attach 1ac1:089a as vfio\n", "shared-device@1ac1:089a"},
        {"on vm a started attach 1ac1:089a as vfio\non vm b plugged attach 1ac1:089a as vfio\n",
         ""},
        {"on vm a started attach any 1ac1:089a as vfio\non vm b started attach 1ac1:089a as vfio\n",
         ""},
        {"on vm a, b started attach any 1ac1:089a as vfio\n", ""},
        {"on vm a started attach 1ac1:089a as vfio\non vm b started attach 1ac1:089b as vfio\n",
         ""},
        {"on vm a started attach 1ac1:089a as vfio\non vm b* started attach 1ac1:089a as vfio\n",
         ""},
        {"on vm a started attach 1ac1:089a as vfio\non vm any started attach 1ac1:089a as vfio\n",
         ""},
        {"on vm a started detach 1ac1:089a\non vm b started detach 1ac1:089a\n", ""},
        {"on vm a started run \"/x\"\non vm b started run \"/x\"\n", ""},
    };
    ASSERT_ROWS(rows);
    /* A name and a UUID may be one VM. */
    char rules[200];
    snprintf(
        rules, sizeof rules,
        "on vm a started attach 1ac1:089a as vfio\non vm %s started attach 1ac1:089a as vfio\n",
        uuid);
    assert_says(rules, "");
    snprintf(rules, sizeof rules, "on vm a, %s started attach 1ac1:089a as vfio\n", uuid);
    assert_says(rules, "");
}

static void test_guards(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"never attach 1ac1:089a\non vm a started attach 1ac1:089a as vfio\n",
         "void-by-never@1ac1:089a"},
        {"never attach 1ac1:*\non vm a started attach 1ac1:089a as vfio\n",
         "void-by-never@1ac1:089a"},
        {"never attach *:089a\non vm a started attach any 1ac1:089a as vfio\n",
         "void-by-never@any 1ac1:089a"},
        {"never attach 1ac1:089a\non vm a started attach 1ac1:* as vfio\n", ""},
        {"never attach 1ac1:089a\non vm a started attach 1ac1:089b as vfio\n", ""},
        {"never attach class 01\non vm a started attach class 0106 as vfio\n",
         "void-by-never@class 0106"},
        {"never attach class 0106\non vm a started attach class 01 as vfio\n", ""},
        {"never attach class 0106\non vm a started attach class 010601 8086:* as vfio\n",
         "void-by-never@class 010601 8086:*"},
        {"never attach class 0106 8086:*\non vm a started attach class 0106 as vfio\n", ""},
        {"never attach 05:00.*\non vm a started attach 0000:05:00.1 as vfio\n",
         "void-by-never@0000:05:00.1"},
        {"never attach 05:00.*\non vm a started attach 05:*.1 as vfio\n", ""},
        {"never attach 05:0?.1\non vm a started attach 05:0*.1 as vfio\n", ""},
        {"never attach 05:00.1\non vm a started attach 05:00.1 or 05:00.2 as vfio\n", ""},
        {"never attach 05:00.1 or 05:00.2\non vm a started attach 05:00.2 or 05:00.1 as vfio\n",
         "void-by-never@05:00.2 or 05:00.1"},
        {"device d is 1ac1:089a\nnever attach d\non vm a started attach 1ac1:089a as vfio\n",
         "void-by-never@1ac1:089a"},
        {"device d is 1ac1:089a\nnever attach d\non vm a started attach d as vfio\n",
         "void-by-never@d"},
        {"device d is 1ac1:089a\nnever attach 1ac1:*\non vm a started attach d as vfio\n",
         "void-by-never@d"},
        {"device d is 1ac1:089a or 10de:2204\nnever attach 1ac1:*\non vm a started attach d as "
         "vfio\n",
         ""},
        {"never attach 1ac1:* to vm a\non vm a started attach 1ac1:089a as vfio\n",
         "void-by-never@1ac1:089a"},
        {"never attach 1ac1:* to vm b\non vm a started attach 1ac1:089a as vfio\n", ""},
        {"never attach 1ac1:* to vm a*\non vm ab started attach 1ac1:089a as vfio\n",
         "void-by-never@1ac1:089a"},
        {"never attach 1ac1:* to vm a*\non vm a* started attach 1ac1:089a as vfio\n",
         "void-by-never@1ac1:089a"},
        {"never attach 1ac1:* to vm \"a*\"\non vm ab started attach 1ac1:089a as vfio\n",
         "quoted-glob@\"a*\""},
        {"never attach 1ac1:* to vm any\non vm any started attach 1ac1:089a as vfio\n",
         "void-by-never@1ac1:089a"},
        {"never attach 1ac1:* to vm a\non vm any started attach 1ac1:089a as vfio\n", ""},
        {"never attach 1ac1:*\non vm a started detach 1ac1:089a\n", ""},
        {"never attach port 1-1\non vm a started attach port 1-1 as usb\n",
         "void-by-never@port 1-1"},
        {"never attach serial \"a\"\non vm a started attach serial \"b\" as usb\n", ""},
        {"never attach class 01 at x\non vm a started attach class 0106 as vfio\n",
         "bad-address@x"},
        {"device d is class 01 at x\nnever attach d\non vm a started attach class 0106 as vfio\n",
         "bad-address@x"},
    };
    ASSERT_ROWS(rows);
}

static void test_blocks(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"on vm a started {\n}\n", "empty-block@on vm a started"},
        {"on vm a started {\n# x\n\n}\n", "empty-block@on vm a started"},
        {"on vm a started {\nrun \"/x\"\n}\n", ""},
        {"on vm a started {\nx\n}\n", "syntax@x"},
    };
    ASSERT_ROWS(rows);
}

/* --- severities */

static void assert_severity(const char *name, enum severity severity, int status,
                            const char *suggestion) {
    struct check_config config;
    const char *near = NULL;
    check_config_init(&config);
    assert_int_equal(check_config_set(&config, name, severity, &near), status);
    if (suggestion)
        assert_string_equal(near, suggestion);
    else
        assert_null(near);
}

static void test_table(void **state) {
    (void)state;
    assert_true(CHECK_COUNT > 30);
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        const struct check_row *row = check_row(i);
        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(row->name));
        assert_true(*row->summary && row->summary[strlen(row->summary) - 1] != '.');
        assert_true(!row->fixed || row->severity == SEVERITY_ERROR);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(row->name, check_row(j)->name);
        assert_severity(row->name, SEVERITY_ERROR, 0, NULL);
        assert_severity(row->name, SEVERITY_WARNING, row->fixed ? -2 : 0, NULL);
        assert_severity(row->name, SEVERITY_IGNORE, row->fixed ? -2 : 0, NULL);
    }
    assert_severity("unknown-evnt", SEVERITY_ERROR, -1, "unknown-event");
    assert_severity("nothing-like-it", SEVERITY_ERROR, -1, NULL);
    assert_severity("", SEVERITY_ERROR, -1, NULL);
}

static void test_configuration(void **state) {
    (void)state;
    static const char *const texts[] = {"on vm a, a started run \"x\"\n", NULL};
    struct check_config config;
    struct front front;
    const char *near;
    check_config_init(&config);
    front_check_files(&front, &config, texts);
    assert_int_equal(diagnostic_count_errors(&front.diagnostics), 1);
    assert_int_equal(diagnostic_count_warnings(&front.diagnostics), 1);
    assert_true(front.sources[0].broken);
    front_finish(&front);

    check_config_set(&config, "relative-path", SEVERITY_WARNING, &near);
    front_check_files(&front, &config, texts);
    assert_int_equal(diagnostic_count_errors(&front.diagnostics), 0);
    assert_int_equal(diagnostic_count_warnings(&front.diagnostics), 2);
    assert_false(front.sources[0].broken);
    front_finish(&front);

    config.strict = true;
    check_config_set(&config, "repeated-word", SEVERITY_IGNORE, &near);
    front_check_files(&front, &config, texts);
    assert_int_equal(diagnostic_count_errors(&front.diagnostics), 1);
    assert_int_equal(diagnostic_count_warnings(&front.diagnostics), 0);
    assert_true(front.sources[0].broken);
    front_finish(&front);

    config.strict = false;
    check_config_set(&config, "relative-path", SEVERITY_IGNORE, &near);
    check_config_set(&config, "repeated-word", SEVERITY_ERROR, &near);
    front_check_files(&front, &config, texts);
    assert_int_equal(diagnostic_count_errors(&front.diagnostics), 1);
    front_finish(&front);
}

static void test_a_warning_breaks_no_file(void **state) {
    (void)state;
    struct front front;
    front_check(&front, "on vm a, a started run \"/x\"\n");
    assert_int_equal(front.diagnostics.list[0].severity, SEVERITY_WARNING);
    assert_false(front.sources[0].broken);
    front_finish(&front);
}

/* Every rule stands there twice, one after the other or far apart: each second one is found, no
 * other. */
static void test_many_duplicates(void **state) {
    (void)state;
    for (size_t count = 1; count < 100; count++) {
        struct front front;
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_non_null(out);
        for (size_t i = 0; i < 2 * count; i++)
            fprintf(out, "on vm a started attach 1ac1:%04zx as vfio\n",
                    count % 2 ? i / 2 : i % count);
        fclose(out);
        front_check(&front, text);
        assert_int_equal(front.diagnostics.count, count);
        for (size_t i = 0; i < count; i++)
            assert_string_equal(diagnostic_name(&front.diagnostics.list[i]), "duplicate-rule");
        front_finish(&front);
        free(text);
    }
}

/* A name that is not in the table has no severity. */
static void test_every_name_is_in_the_table(void **state) {
    (void)state;
    static const char text[] =
        "on vm \"a started\non vm a\001 x\\y \"\\q\"\ndevice 1 is 2\ndevice 3x is *:* at 1\n"
        "on vm a started attach 1:1, 2x, class 1, port 1, any 0 z as vfio within 1\n";
    struct front front;
    front_check(&front, text);
    assert_true(front.diagnostics.count > 8);
    for (size_t i = 0; i < front.diagnostics.count; i++) {
        size_t row = 0;
        while (row < CHECK_COUNT &&
               strcmp(check_row(row)->name, diagnostic_name(&front.diagnostics.list[i])) != 0)
            row++;
        assert_true(row < CHECK_COUNT);
        assert_int_equal(front.diagnostics.list[i].severity, check_row(row)->severity);
    }
    front_finish(&front);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_doubling),
        cmocka_unit_test(test_resolved_tree),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_wrong_events),
        cmocka_unit_test(test_before_start),
        cmocka_unit_test(test_backends),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_operators_in_names),
        cmocka_unit_test(test_nearly_uuids),
        cmocka_unit_test(test_every_vm),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_many_duplicates),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_guards),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_a_warning_breaks_no_file),
        cmocka_unit_test(test_every_name_is_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
