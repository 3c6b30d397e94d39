/* The tree of every construct, with the place of every node, and what the parser says of the rest.
 */
#include "front.h"
#include "parser/print.h"

static struct front front;
static struct source *source;

static void parse(const char *text) {
    front_parse(&front, text);
    source = &front.sources[0];
    if (front.diagnostics.count) {
        diagnostic_print(&front.diagnostics, stderr, (struct terminal){0});
        fail_msg("refused: %s", text);
    }
}

static int finish(void **state) {
    (void)state;
    front_finish(&front);
    return 0;
}

static void covers(struct span span, const char *text) {
    assert_covers(source, span, text);
}

static void assert_word(const struct word *word, enum word_kind kind, const char *text,
                        const char *covered) {
    assert_non_null(word);
    assert_int_equal(word->kind, kind);
    assert_string_equal(word->text, text);
    covers(word->span, covered);
}

static void assert_criterion(const struct criterion *one, enum criterion_kind kind,
                             bool alternative, const char *covered) {
    assert_non_null(one);
    assert_int_equal(one->kind, kind);
    assert_int_equal(one->alternative, alternative);
    assert_false(one->resolved);
    covers(one->span, covered);
}

static void test_definition(void **state) {
    (void)state;
    parse("  device tpu is 1a6e:089a serial \"a b\" or coral at 05:00.* class 0c # x\n"
          "device b is port 1-1.4 subsystem 1ac1:*\n");
    const struct definition *one = front.syntax.definitions;
    assert_string_equal(one->name, "tpu");
    assert_ptr_equal(one->source, source);
    covers(one->name_span, "tpu");
    covers(one->span, "device tpu is 1a6e:089a serial \"a b\" or coral at 05:00.* class 0c");
    assert_false(one->used);
    const struct criterion *criterion = one->device;
    assert_criterion(criterion, CRITERION_ID, true, "1a6e:089a");
    criterion = criterion->next;
    assert_criterion(criterion, CRITERION_SERIAL, false, "serial \"a b\"");
    assert_string_equal(criterion->text, "a b");
    criterion = criterion->next;
    assert_criterion(criterion, CRITERION_NAME, true, "coral");
    assert_string_equal(criterion->text, "coral");
    criterion = criterion->next;
    assert_criterion(criterion, CRITERION_ADDRESS, false, "at 05:00.*");
    criterion = criterion->next;
    assert_criterion(criterion, CRITERION_CLASS, false, "class 0c");
    assert_null(criterion->next);
    one = one->next;
    assert_criterion(one->device, CRITERION_PORT, true, "port 1-1.4");
    assert_criterion(one->device->next, CRITERION_SUBSYSTEM, false, "subsystem 1ac1:*");
    assert_null(one->device->next->next);
    assert_null(one->next);
}

/* The rule that must stay valid to the letter. */
static void test_first_rule(void **state) {
    (void)state;
    parse("on vm frigate started attach 1ac1:089a as vfio");
    const struct rule *rule = front.syntax.rules;
    covers(rule->span, "on vm frigate started attach 1ac1:089a as vfio");
    assert_word(rule->vms, WORD_PLAIN, "frigate", "frigate");
    assert_null(rule->vms->next);
    assert_int_equal(rule->events->event, EVENT_STARTED);
    covers(rule->events->span, "started");
    assert_null(rule->events->next);
    const struct action *action = rule->actions;
    assert_int_equal(action->verb, VERB_ATTACH);
    assert_int_equal(action->backend, BACKEND_VFIO);
    assert_false(action->with_group);
    assert_null(action->options);
    covers(action->span, "attach 1ac1:089a as vfio");
    covers(action->targets->span, "1ac1:089a");
    assert_int_equal(action->targets->quantifier, QUANTIFIER_ONE);
    assert_int_equal(action->targets->count, 1);
    assert_criterion(action->targets->device, CRITERION_ID, true, "1ac1:089a");
    assert_null(action->next);
    assert_null(rule->next);
    assert_null(front.syntax.guards);
    assert_null(front.syntax.definitions);
}

static void test_vms_and_events(void **state) {
    (void)state;
    parse("on vm any, ha*, \"ha*\", v?[12], 7, \"Home \\\"A\\\"\" started,plugged , migrate run "
          "\"/x\"");
    const struct word *vm = front.syntax.rules->vms;
    assert_word(vm, WORD_ANY, "any", "any");
    assert_word(vm = vm->next, WORD_GLOB, "ha*", "ha*");
    assert_word(vm = vm->next, WORD_QUOTED, "ha*", "\"ha*\"");
    assert_word(vm = vm->next, WORD_GLOB, "v?[12]", "v?[12]");
    assert_word(vm = vm->next, WORD_PLAIN, "7", "7");
    assert_word(vm = vm->next, WORD_QUOTED, "Home \"A\"", "\"Home \\\"A\\\"\"");
    assert_null(vm->next);
    const struct event_list *event = front.syntax.rules->events;
    assert_int_equal(event->event, EVENT_STARTED);
    covers(event->span, "started");
    event = event->next;
    assert_int_equal(event->event, EVENT_PLUGGED);
    covers(event->span, "plugged");
    event = event->next;
    assert_int_equal(event->event, EVENT_MIGRATE);
    covers(event->span, "migrate");
    assert_null(event->next);
}

static void test_targets(void **state) {
    (void)state;
    parse("on vm a started attach all  class 02, any 8086:1520 at 05:00.0,any 3 x or y , z with "
          "group "
          "as usb");
    const struct action *action = front.syntax.rules->actions;
    const struct target *target = action->targets;
    assert_true(action->with_group);
    assert_int_equal(action->backend, BACKEND_USB);
    assert_int_equal(target->quantifier, QUANTIFIER_ALL);
    covers(target->span, "all  class 02");
    target = target->next;
    assert_int_equal(target->quantifier, QUANTIFIER_ANY);
    assert_int_equal(target->count, 1);
    covers(target->span, "any 8086:1520 at 05:00.0");
    assert_criterion(target->device->next, CRITERION_ADDRESS, false, "at 05:00.0");
    target = target->next;
    assert_int_equal(target->quantifier, QUANTIFIER_ANY);
    assert_int_equal(target->count, 3);
    covers(target->span, "any 3 x or y");
    assert_criterion(target->device, CRITERION_NAME, true, "x");
    assert_criterion(target->device->next, CRITERION_NAME, true, "y");
    target = target->next;
    assert_int_equal(target->quantifier, QUANTIFIER_ONE);
    covers(target->span, "z");
    assert_null(target->next);
}

static void test_options(void **state) {
    (void)state;
    parse("on vm a started attach x as vfio optional unmanaged within 2m after 500ms rom off "
          "rom \"/x.rom\" then reset then reboot");
    static const struct {
        enum option_kind kind;
        const char *covered;
    } rows[] = {
        {OPTION_OPTIONAL, "optional"},     {OPTION_UNMANAGED, "unmanaged"},
        {OPTION_WITHIN, "within 2m"},      {OPTION_AFTER, "after 500ms"},
        {OPTION_ROM_OFF, "rom off"},       {OPTION_ROM_FILE, "rom \"/x.rom\""},
        {OPTION_THEN_RESET, "then reset"}, {OPTION_THEN_REBOOT, "then reboot"},
    };
    const struct action_option *option = front.syntax.rules->actions->options;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++, option = option->next) {
        assert_non_null(option);
        assert_int_equal(option->kind, rows[i].kind);
        covers(option->span, rows[i].covered);
        if (option->kind == OPTION_WITHIN)
            assert_int_equal(option->milliseconds, 120000);
        if (option->kind == OPTION_AFTER)
            assert_int_equal(option->milliseconds, 500);
        if (option->kind == OPTION_ROM_FILE)
            assert_string_equal(option->text, "/x.rom");
    }
    assert_null(option);
}

static void test_run(void **state) {
    (void)state;
    parse("on vm a started run \"/usr/bin/x y\" bare 7 \"on\" ha* \"\"\n");
    const struct action *action = front.syntax.rules->actions;
    assert_int_equal(action->verb, VERB_RUN);
    covers(action->span, "run \"/usr/bin/x y\" bare 7 \"on\" ha* \"\"");
    const struct word *word = action->command;
    assert_word(word, WORD_QUOTED, "/usr/bin/x y", "\"/usr/bin/x y\"");
    assert_word(word = word->next, WORD_PLAIN, "bare", "bare");
    assert_word(word = word->next, WORD_PLAIN, "7", "7");
    assert_word(word = word->next, WORD_QUOTED, "on", "\"on\"");
    assert_word(word = word->next, WORD_PLAIN, "ha*", "ha*"); /* no glob: an argument */
    assert_word(word = word->next, WORD_QUOTED, "", "\"\"");
    assert_null(word->next);
}

static void test_host(void **state) {
    (void)state;
    parse("on host boot {\n  bind x, 10de:* to vfio\n  bind y to driver \"scsi\" optional\n"
          "  create 4 vf of 8086:1572 class 02 within 5s\n  run \"/x\" host boot\n}\n");
    const struct rule *rule = front.syntax.rules;
    assert_null(rule->vms);
    assert_null(rule->next);
    covers(rule->span, "on host boot");
    assert_int_equal(rule->events->event, EVENT_BOOT);
    const struct action *action = rule->actions;
    assert_int_equal(action->verb, VERB_BIND);
    assert_string_equal(action->driver, "vfio-pci");
    assert_string_equal(action->targets->device->text, "x");
    assert_int_equal(action->targets->next->device->kind, CRITERION_ID);
    covers(action->span, "bind x, 10de:* to vfio");
    action = action->next;
    assert_string_equal(action->driver, "scsi");
    assert_int_equal(action->options->kind, OPTION_OPTIONAL);
    action = action->next;
    assert_int_equal(action->verb, VERB_CREATE);
    assert_int_equal(action->count, 4);
    assert_int_equal(action->targets->device->next->kind, CRITERION_CLASS);
    assert_null(action->targets->next);
    assert_int_equal(action->options->milliseconds, 5000);
    action = action->next;
    assert_int_equal(action->verb, VERB_RUN);
    assert_word(action->command->next->next, WORD_PLAIN, "boot", "boot");
    assert_null(action->next);
}

static void test_before_the_start(void **state) {
    (void)state;
    parse("on vm a prepare {\n  require any 2 x, y with group as vfio within 20s\n  require z\n"
          "  run \"/x\" wait 5 wait 20s or stop\n  run \"/x\" wait \\\n 2s # x\n"
          "  run \"/x\" wait 3s }\n");
    const struct action *action = front.syntax.rules->actions;
    assert_int_equal(action->verb, VERB_REQUIRE);
    assert_int_equal(action->backend, BACKEND_VFIO);
    assert_true(action->with_group);
    assert_int_equal(action->targets->count, 2);
    assert_non_null(action->targets->next);
    assert_int_equal(action->options->kind, OPTION_WITHIN);
    action = action->next;
    assert_int_equal(action->backend, BACKEND_NONE);
    action = action->next;
    assert_word(action->command->next, WORD_PLAIN, "wait", "wait");
    assert_word(action->command->next->next, WORD_PLAIN, "5", "5");
    assert_null(action->command->next->next->next);
    assert_int_equal(action->options->kind, OPTION_WAIT);
    assert_int_equal(action->options->milliseconds, 20000);
    covers(action->options->span, "wait 20s");
    assert_int_equal(action->options->next->kind, OPTION_OR_STOP);
    covers(action->options->next->span, "or stop");
    assert_null(action->options->next->next);
    action = action->next;
    assert_int_equal(action->options->milliseconds, 2000);
    assert_null(action->options->next);
    action = action->next;
    assert_int_equal(action->options->milliseconds, 3000);
    assert_null(action->next);
}

static void test_defined(void **state) {
    (void)state;
    parse("on vm a defined, started attach x as vfio ports 31 boot order 2 boot display awake "
          "reset method bus\n");
    const struct action_option *option = front.syntax.rules->actions->options;
    assert_int_equal(front.syntax.rules->events->event, EVENT_DEFINED);
    assert_int_equal(option->kind, OPTION_PORTS);
    assert_int_equal(option->number, 31);
    option = option->next;
    assert_int_equal(option->kind, OPTION_BOOT_ORDER);
    assert_int_equal(option->number, 2);
    covers(option->span, "boot order 2");
    option = option->next;
    assert_int_equal(option->kind, OPTION_BOOT_DISPLAY);
    option = option->next;
    assert_int_equal(option->kind, OPTION_AWAKE);
    option = option->next;
    assert_int_equal(option->kind, OPTION_RESET_METHOD);
    assert_string_equal(option->text, "bus");
    assert_null(option->next);
}

static void test_block(void **state) {
    (void)state;
    parse("on vm a started {\n\n  attach x as vfio # one\n\tdetach y, z\n  run \"/x\" }\n"
          "on vm b stopped{}\non vm c started {\n}\non vm d started { run \"/y\" }");
    const struct rule *rule = front.syntax.rules;
    covers(rule->span, "on vm a started");
    const struct action *action = rule->actions;
    covers(action->span, "attach x as vfio");
    action = action->next;
    covers(action->span, "detach y, z");
    assert_int_equal(action->verb, VERB_DETACH);
    assert_int_equal(action->backend, BACKEND_NONE);
    covers(action->targets->next->span, "z");
    action = action->next;
    covers(action->span, "run \"/x\"");
    assert_null(action->next);
    rule = rule->next;
    assert_null(rule->actions);
    covers(rule->span, "on vm b stopped");
    rule = rule->next;
    assert_null(rule->actions);
    rule = rule->next;
    covers(rule->actions->span, "run \"/y\"");
    assert_null(rule->next);
}

static void test_guards(void **state) {
    (void)state;
    parse("never attach class 0106\nnever attach x or 1ac1:* to vm win*, any, \"a\"\n");
    const struct guard *guard = front.syntax.guards;
    covers(guard->span, "never attach class 0106");
    assert_criterion(guard->device, CRITERION_CLASS, true, "class 0106");
    assert_null(guard->vms);
    guard = guard->next;
    covers(guard->span, "never attach x or 1ac1:* to vm win*, any, \"a\"");
    assert_criterion(guard->device->next, CRITERION_ID, true, "1ac1:*");
    assert_word(guard->vms, WORD_GLOB, "win*", "win*");
    assert_word(guard->vms->next, WORD_ANY, "any", "any");
    assert_word(guard->vms->next->next, WORD_QUOTED, "a", "\"a\"");
    assert_null(guard->next);
}

static void test_a_statement_over_lines(void **state) {
    (void)state;
    parse("on vm a, \\\n   b \\  \r\nstarted\\\nattach x\\\nas vfio \\\n\n# end");
    const struct rule *rule = front.syntax.rules;
    covers(rule->span, "on vm a, \\\n   b \\  \r\nstarted\\\nattach x\\\nas vfio");
    covers(rule->vms->next->span, "b");
    covers(rule->actions->span, "attach x\\\nas vfio");
}

static void test_mark(void **state) {
    (void)state;
    parse("\xef\xbb\xbfon vm a started run \"/x\"\r\n");
    assert_int_equal(front.syntax.rules->span.start, 3);
    covers(front.syntax.rules->span, "on vm a started run \"/x\"");
}

static void test_nothing(void **state) {
    (void)state;
    static const char *const texts[] = {"",      "\n", "\n\n\r\n", "# only", "\xef\xbb\xbf",
                                        "  \t ", "\\", "\\\n",     "#\\\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        parse(texts[i]);
        assert_null(front.syntax.rules);
        front_finish(&front);
    }
    front_init(&front);
}

static void test_several_files_in_order(void **state) {
    (void)state;
    front_init(&front);
    syntax_parse(&front.syntax, front_add(&front, "a", "on vm a started run \"/x\"", 24),
                 &front.diagnostics);
    syntax_parse(&front.syntax, front_add(&front, "b", "on vm a started run \"/y\"", 24),
                 &front.diagnostics);
    assert_string_equal(front.syntax.rules->source->path, "a");
    assert_string_equal(front.syntax.rules->next->source->path, "b");
    assert_true(syntax_same_text(front.syntax.rules->vms, front.syntax.rules->next->vms));
    assert_false(syntax_same_text(front.syntax.rules->actions->command,
                                  front.syntax.rules->next->actions->command));
}

/* --- words */

static const char *const keywords[] = {
#define WORD_TOKEN(name, text, symbol) text,
#define EVENT(name, text, why) text,
#include "lexer/words.def"
};

/* The hint of the only mistake. */
static void assert_hint(const char *rules, const char *name, const char *hint) {
    front_check(&front, rules);
    if (front.diagnostics.count != 1 ||
        strcmp(diagnostic_name(&front.diagnostics.list[0]), name) != 0 ||
        !front.diagnostics.list[0].hint || !strstr(front.diagnostics.list[0].hint, hint)) {
        diagnostic_print(&front.diagnostics, stderr, (struct terminal){0});
        fail_msg("'%s' does not give one %s with the hint '%s'", rules, name, hint);
    }
    front_finish(&front);
}

static bool is_late(const char *keyword) {
    enum event_name event = scanner_event_from_text(keyword);
    return event < EVENT_COUNT ? syntax_is_late_event(event)
                               : syntax_late(scanner_keyword_from_text(keyword)) != LATE_NOT;
}

static void test_every_keyword_as_a_vm(void **state) {
    (void)state;
    char rules[200], quoted[32];
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        snprintf(quoted, sizeof quoted, "\"%s\"", keywords[i]);
        snprintf(rules, sizeof rules, "on vm x, \"%s\" started run \"/x\" \"%s\"\n", keywords[i],
                 keywords[i]);
        parse(rules);
        assert_word(front.syntax.rules->vms->next, WORD_QUOTED, keywords[i], quoted);
        assert_word(front.syntax.rules->actions->command->next, WORD_QUOTED, keywords[i], quoted);
        front_finish(&front);
        if (!strcmp(keywords[i], "any") || is_late(keywords[i]))
            continue;
        snprintf(rules, sizeof rules, "on vm %s started run \"/x\"\n", keywords[i]);
        assert_hint(rules, "syntax", quoted);
        snprintf(rules, sizeof rules, "never attach 1ac1:089a to vm b, %s\n", keywords[i]);
        assert_hint(rules, "syntax", quoted);
    }
    front_init(&front);
}

/* Each keyword that is younger than rule files in use, with a rule in which it is that keyword. */
static const char *const late_roles[][2] = {
    {"not", "on vm z started attach all usb not class 09 as usb\n"},
    {"like", "on vm z started attach usb product like \"C9*\" as usb\n"},
    {"below", "on vm z started attach all usb below port 1-1 as usb\n"},
    {"pci", "on vm z started attach class 02 pci as vfio\n"},
    {"interface", "on vm z started attach interface 0301 as usb\n"},
    {"product", "on vm z started attach product \"C920\" as usb\n"},
    {"manufacturer", "on vm z started attach manufacturer like \"L*\" as usb\n"},
    {"driver", "on vm z started attach driver uvcvideo as usb\n"},
    {"controller", "on vm z started attach 1a6e:089a as usb controller 1\n"},
    {"guest", "on vm z started attach 1a6e:089a as usb guest reset off\n"},
    {"uninitialized", "on vm z started attach 1a6e:089a as usb guest reset uninitialized\n"},
    {"take", "on vm z started attach 1a6e:089a as usb take\n"},
    {"scsi", "on vm z started attach product \"LTO\" scsi as scsi\n"},
    {"vf", "on vm z started attach vf 3 of 8086:1572 as net\n"},
    {"of", "on vm z started attach class 02 vf of 8086:1572 as net\n"},
    {"net", "on vm z started attach 8086:154c as net\n"},
    {"mdev", "on vm z started attach 10de:1eb8 as mdev \"nvidia-63\"\n"},
    {"disk", "on vm z started attach 1a6e:089a as disk\n"},
    {"input", "on vm z started attach 1a6e:089a as input\n"},
    {"mac", "on vm z started attach 8086:154c as net mac \"52:54:00:12:34:56\"\n"},
    {"vlan", "on vm z started attach 8086:154c as net vlan 10\n"},
    {"trust", "on vm z started attach 8086:154c as net trust\n"},
    {"bus", "on vm z started attach 1a6e:089a as disk bus usb\n"},
    {"readonly", "on vm z started attach 1a6e:089a as disk readonly\n"},
    {"grab", "on vm z started attach 1a6e:089a as input grab\n"},
    {"freed", "on vm z freed attach 1a6e:089a as usb\n"},
    {"host", "on host boot run \"/x\"\n"},
    {"boot", "on host boot run \"/x\"\n"},
    {"bind", "on host boot bind 10de:1b80 to vfio\n"},
    {"create", "on host boot create 4 vf of 8086:1572\n"},
    {"require", "on vm z prepare require 10de:1b80\n"},
    {"wait", "on vm z prepare run \"/x\" wait 20s\n"},
    {"stop", "on vm z prepare run \"/x\" wait 20s or stop\n"},
    {"defined", "on vm z defined attach 10de:1b80 as vfio\n"},
    {"ports", "on vm z defined attach 10de:1b80 as vfio ports 2\n"},
    {"order", "on vm z defined attach 10de:1b80 as vfio boot order 1\n"},
    {"display", "on vm z started attach 10de:1b80 as vfio boot display\n"},
    {"awake", "on vm z started attach 10de:1b80 as vfio awake\n"},
    {"method", "on vm z started attach 10de:1b80 as vfio reset method flr\n"},
};

static size_t count_late(void) {
    size_t count = 0;
    for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
        count += syntax_late(token) != LATE_NOT;
    for (enum event_name event = 0; event < EVENT_COUNT; event++)
        count += syntax_is_late_event(event);
    return count;
}

static void assert_named(const struct criterion *one, const char *name) {
    assert_int_equal(one->kind, CRITERION_NAME);
    assert_true(one->resolved);
    assert_string_equal(one->definition->name, name);
}

/* A VM, a definition, its uses and an argument may have such a word as their name, right beside the
 * keyword. */
static void test_late_keywords_as_names(void **state) {
    (void)state;
    assert_int_equal(sizeof late_roles / sizeof *late_roles, count_late());
    for (size_t i = 0; i < sizeof late_roles / sizeof *late_roles; i++) {
        const char *word = late_roles[i][0];
        char *rules = memory_printf("device %s is 1ac1:089a\ndevice before is %s or 1ac1:089b\n%s"
                                    "on vm %s, b, %s, name %s started, plugged attach %s, any 2 "
                                    "%s, %s class 12 or %s as vfio\n"
                                    "on vm b started run \"/x\" %s %s\n"
                                    "on vm %s stopped {\n  run \"/y\" %s\n}\n"
                                    "never attach %s to vm %s, title %s\n",
                                    word, word, late_roles[i][1], word, word, word, word, word,
                                    word, word, word, word, word, word, word, word, word);
        front_check(&front, rules);
        for (size_t j = 0; j < front.diagnostics.count; j++)
            if (front.diagnostics.list[j].severity == SEVERITY_ERROR) {
                diagnostic_print(&front.diagnostics, stderr, (struct terminal){0});
                fail_msg("%s", rules);
            }
        assert_string_equal(front.syntax.definitions->name, word);
        assert_named(front.syntax.definitions->next->device, word);
        const struct rule *role = front.syntax.rules, *rule = role->next;
        if (role->vms)
            assert_string_equal(role->vms->text, "z");
        assert_string_equal(rule->vms->text, word);
        assert_string_equal(rule->vms->next->next->text, word);
        assert_int_equal(rule->vms->next->next->next->field, FIELD_NAME);
        assert_string_equal(rule->vms->next->next->next->text, word);
        const struct target *target = rule->actions->targets;
        assert_named(target->device, word);
        assert_named((target = target->next)->device, word);
        assert_named((target = target->next)->device, word);
        assert_int_equal(target->device->next->kind, CRITERION_CLASS);
        assert_named(target->device->next->next, word);
        const struct word *argument = rule->next->actions->command->next;
        assert_word(argument, WORD_PLAIN, word, word);
        assert_word(argument->next, WORD_PLAIN, word, word);
        assert_string_equal(rule->next->next->vms->text, word);
        assert_named(front.syntax.guards->device, word);
        assert_string_equal(front.syntax.guards->vms->text, word);
        assert_int_equal(front.syntax.guards->vms->next->field, FIELD_TITLE);
        front_finish(&front);
        free(rules);
    }
    front_init(&front);
}

/* The same keywords where no definition has the name. */
static void test_late_keywords_in_their_roles(void **state) {
    (void)state;
    static const struct {
        const char *device;
        enum criterion_kind kind;
        bool negated, like;
        const char *text; /* NULL: it has none */
        const char *covered;
    } rows[] = {
        {"not 1ac1:089a usb", CRITERION_ID, true, false, NULL, "not 1ac1:089a"},
        {"not class 09 usb", CRITERION_CLASS, true, false, NULL, "not class 09"},
        {"not pci class 09", CRITERION_BUS, true, false, NULL, "not pci"},
        {"usb", CRITERION_BUS, false, false, NULL, "usb"},
        {"pci", CRITERION_BUS, false, false, NULL, "pci"},
        {"not gpu usb", CRITERION_NAME, true, false, "gpu", "not gpu"},
        {"below port 1-1", CRITERION_BELOW, false, false, "1-1", "below port 1-1"},
        {"not below port 1-1 usb", CRITERION_BELOW, true, false, "1-1", "not below port 1-1"},
        {"port \"1-1.[2-4]\"", CRITERION_PORT, false, false, "1-1.[2-4]", "port \"1-1.[2-4]\""},
        {"port 1-1.*", CRITERION_PORT, false, false, "1-1.*", "port 1-1.*"},
        {"interface 030101", CRITERION_INTERFACE, false, false, NULL, "interface 030101"},
        {"product \"a b\"", CRITERION_PRODUCT, false, false, "a b", "product \"a b\""},
        {"product like \"a*\"", CRITERION_PRODUCT, false, true, "a*", "product like \"a*\""},
        {"serial like \"?\"", CRITERION_SERIAL, false, true, "?", "serial like \"?\""},
        {"manufacturer \"x\"", CRITERION_MANUFACTURER, false, false, "x", "manufacturer \"x\""},
        {"driver uvcvideo", CRITERION_DRIVER, false, false, "uvcvideo", "driver uvcvideo"},
        {"driver vfio-pci", CRITERION_DRIVER, false, false, "vfio-pci", "driver vfio-pci"},
        {"driver \"serial\"", CRITERION_DRIVER, false, false, "serial", "driver \"serial\""},
        {"driver take", CRITERION_DRIVER, false, false, "take", "driver take"},
        {"driver vf", CRITERION_DRIVER, false, false, "vf", "driver vf"},
        {"scsi \"3:0:0:0\"", CRITERION_SCSI, false, false, "3:0:0:0", "scsi \"3:0:0:0\""},
        {"not scsi \"3:0:0:0\" scsi", CRITERION_SCSI, true, false, "3:0:0:0",
         "not scsi \"3:0:0:0\""},
        {"at 10000:e1:00.0", CRITERION_ADDRESS, false, false, "10000:e1:00.0", "at 10000:e1:00.0"},
        {"not 10000000:e1:00.* pci", CRITERION_ADDRESS, true, false, "10000000:e1:00.*",
         "not 10000000:e1:00.*"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *rules = memory_printf("device x is %s or %s\nnever attach %s to vm a\n"
                                    "on vm a started attach all %s, %s as usb\n",
                                    rows[i].device, rows[i].device, rows[i].device, rows[i].device,
                                    rows[i].device);
        parse(rules);
        const struct criterion *devices[] = {front.syntax.definitions->device,
                                             front.syntax.guards->device,
                                             front.syntax.rules->actions->targets->device,
                                             front.syntax.rules->actions->targets->next->device};
        for (size_t j = 0; j < sizeof devices / sizeof *devices; j++) {
            assert_criterion(devices[j], rows[i].kind, true, rows[i].covered);
            assert_int_equal(devices[j]->negated, rows[i].negated);
            assert_int_equal(devices[j]->like, rows[i].like);
            if (rows[i].text)
                assert_string_equal(devices[j]->text, rows[i].text);
            char *printed = print_criterion_text(devices[j]);
            if (rows[i].kind != CRITERION_ADDRESS &&
                rows[i].kind != CRITERION_PORT) /* they get a canonical form */
                assert_string_equal(printed, rows[i].covered);
            free(printed);
        }
        assert_int_equal(devices[2]->kind == CRITERION_BUS ? devices[2]->bus : BUS_NEEDS_USB,
                         strstr(rows[i].covered, "pci") && rows[i].kind == CRITERION_BUS
                             ? BUS_NEEDS_PCI
                             : BUS_NEEDS_USB);
        front_finish(&front);
        free(rules);
    }
    front_init(&front);
}

static void test_options_of_usb(void **state) {
    (void)state;
    parse("on vm a started, freed attach 1a6e:089a as usb controller 015 guest reset on take");
    assert_int_equal(front.syntax.rules->events->next->event, EVENT_FREED);
    const struct action_option *option = front.syntax.rules->actions->options;
    assert_int_equal(option->kind, OPTION_CONTROLLER);
    assert_int_equal(option->number, 15);
    covers(option->span, "controller 015");
    option = option->next;
    assert_int_equal(option->kind, OPTION_GUEST_RESET);
    assert_string_equal(option->text, "on");
    covers(option->span, "guest reset on");
    option = option->next;
    assert_int_equal(option->kind, OPTION_TAKE);
    assert_null(option->next);
}

/* All that follows 'of' is the physical function's, up to 'or', ',', a further 'vf of' and 'as'. */
static void test_virtual_functions(void **state) {
    (void)state;
    static const struct {
        const char *device, *printed;
        int number;
        bool negated;
        size_t conditions, alternatives, parents;
    } rows[] = {
        {"vf of 8086:1572", "vf of 8086:1572", -1, false, 1, 1, 1},
        {"vf 03 of 8086:1572", "vf 3 of 8086:1572", 3, false, 1, 1, 1},
        {"vf 0 of at 41:00.0 class 02 not pci", "vf 0 of at 0000:41:00.0 class 02 not pci", 0,
         false, 1, 1, 3},
        {"not vf of not 8086:* usb", "not vf of not 8086:* usb", -1, true, 1, 1, 2},
        {"vf of 8086:1572 or vf 65535 of 15b3:1017", "vf of 8086:1572", -1, false, 2, 2, 1},
        {"vf of 8086:1572 vf 2 of class 02", "vf of 8086:1572", -1, false, 2, 1, 1},
        {"vf of 8086:1572 not \\\n vf 2 of class 02", "vf of 8086:1572", -1, false, 2, 1, 1},
        {"vf of nic driver ixgbe", "vf of nic driver ixgbe", -1, false, 1, 1, 2},
        {"vf of of", "vf of of", -1, false, 1, 1, 1},
        {"vf of vf", "vf of vf", -1, false, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *rules = memory_printf("never attach %s to vm a\non vm b started attach class 02 %s, "
                                    "1ac1:089a as net\ndevice x is %s\n",
                                    rows[i].device, rows[i].device, rows[i].device);
        parse(rules);
        const struct criterion *devices[] = {front.syntax.guards->device,
                                             front.syntax.rules->actions->targets->device->next,
                                             front.syntax.definitions->device};
        for (size_t j = 0; j < 3; j++) {
            const struct criterion *one = devices[j];
            assert_int_equal(one->kind, CRITERION_VF);
            assert_int_equal(one->number, rows[i].number);
            assert_int_equal(one->negated, rows[i].negated);
            assert_true(one->alternative == (j != 1));
            char *printed = print_criterion_text(one);
            assert_string_equal(printed, rows[i].printed);
            free(printed);
            size_t conditions = 0, alternatives = j == 1, parents = 0;
            for (const struct criterion *parent = one->parent; parent; parent = parent->next)
                assert_true(parent->alternative == !parents++);
            for (; one; one = one->next, conditions++)
                alternatives += one->alternative;
            assert_int_equal(conditions, rows[i].conditions);
            assert_int_equal(alternatives, rows[i].alternatives);
            assert_int_equal(parents, rows[i].parents);
        }
        assert_non_null(front.syntax.rules->actions->targets->next);
        front_finish(&front);
        free(rules);
    }
    front_init(&front);
}

static void test_options_of_backends(void **state) {
    (void)state;
    static const struct {
        const char *action;
        enum backend backend;
        struct {
            enum option_kind kind;
            const char *text, *covered;
            unsigned number;
        } options[4];
        size_t count;
    } rows[] = {
        {"net mac \"52:54:00:AB:cd:EF\" vlan 04094 trust",
         BACKEND_NET,
         {{OPTION_MAC, "52:54:00:ab:cd:ef", "mac \"52:54:00:AB:cd:EF\"", 0},
          {OPTION_VLAN, NULL, "vlan 04094", 4094},
          {OPTION_TRUST, NULL, "trust", 0}},
         3},
        {"mdev \"i915-GVTg_V5_4\" optional",
         BACKEND_MDEV,
         {{OPTION_MDEV_TYPE, "i915-GVTg_V5_4", "\"i915-GVTg_V5_4\"", 0},
          {OPTION_OPTIONAL, NULL, "optional", 0}},
         2},
        {"mdev uuid \"8A0E7D2C-55b1-4c56-9d3e-0f6b1a2c3d4e\" take",
         BACKEND_MDEV,
         {{OPTION_MDEV_UUID, "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e",
           "uuid \"8A0E7D2C-55b1-4c56-9d3e-0f6b1a2c3d4e\"", 0},
          {OPTION_TAKE, NULL, "take", 0}},
         2},
        {"serial optional pci",
         BACKEND_SERIAL,
         {{OPTION_OPTIONAL, NULL, "optional", 0}, {OPTION_SERIAL_PCI, NULL, "pci", 0}},
         2},
        {"disk bus scsi readonly bus usb",
         BACKEND_DISK,
         {{OPTION_BUS, "scsi", "bus scsi", 0},
          {OPTION_READONLY, NULL, "readonly", 0},
          {OPTION_BUS, "usb", "bus usb", 0}},
         3},
        {"scsi readonly", BACKEND_SCSI, {{OPTION_READONLY, NULL, "readonly", 0}}, 1},
        {"input grab", BACKEND_INPUT, {{OPTION_GRAB, NULL, "grab", 0}}, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *rules = memory_printf("on vm a started attach x as %s\non vm b started run \"/x\"",
                                    rows[i].action);
        parse(rules);
        const struct action *action = front.syntax.rules->actions;
        const struct action_option *option = action->options;
        assert_int_equal(action->backend, rows[i].backend);
        for (size_t j = 0; j < rows[i].count; j++, option = option->next) {
            assert_non_null(option);
            assert_int_equal(option->kind, rows[i].options[j].kind);
            covers(option->span, rows[i].options[j].covered);
            if (rows[i].options[j].text)
                assert_string_equal(option->text, rows[i].options[j].text);
            if (rows[i].options[j].number)
                assert_int_equal(option->number, rows[i].options[j].number);
        }
        assert_null(option);
        front_finish(&front);
        free(rules);
    }
    front_init(&front);
}

/* Devices of old rule files in places where a younger keyword could be meant. */
static void test_names_beside_late_keywords(void **state) {
    (void)state;
    static const char *const names[] = {"scsi", "vf",   "of",    "net", "mdev",     "disk", "input",
                                        "mac",  "vlan", "trust", "bus", "readonly", "grab"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *name = names[i];
        char *rules = memory_printf(
            "device %s is 1ac1:089a\ndevice y is usb not %s or not %s usb or %s 03:00.0\n"
            "on vm a started {\n  attach driver %s, usb driver %s not %s as usb\n  run \"/x\" "
            "%s\n}\n",
            name, name, name, name, name, name, name, name);
        front_check(&front, rules);
        for (size_t j = 0; j < front.diagnostics.count; j++)
            if (front.diagnostics.list[j].severity == SEVERITY_ERROR) {
                diagnostic_print(&front.diagnostics, stderr, (struct terminal){0});
                fail_msg("%s", rules);
            }
        const struct criterion *one = front.syntax.definitions->next->device;
        assert_named(one->next, name);
        assert_true(one->next->negated);
        assert_named(one->next->next, name);
        assert_named(one->next->next->next->next, name);
        const struct target *target = front.syntax.rules->actions->targets;
        assert_int_equal(target->device->kind, CRITERION_DRIVER);
        assert_string_equal(target->device->text, name);
        assert_named(target->next->device->next->next, name);
        front_finish(&front);
        free(rules);
    }
    front_init(&front);
}

/* What was a device and its conditions before 'not', 'below' and 'pci' were keywords still is, if
 * the name is defined; only where a device begins. */
static void test_defined_names_win(void **state) {
    (void)state;
    static const struct {
        const char *device;
        enum criterion_kind kinds[3];
        const char *covered[3];
    } rows[] = {
        {"below port 1-1", {CRITERION_NAME, CRITERION_PORT}, {"below", "port 1-1"}},
        {"not \\\n class 09", {CRITERION_NAME, CRITERION_CLASS}, {"not", "class 09"}},
        {"not 1ac1:089a", {CRITERION_NAME, CRITERION_ID}, {"not", "1ac1:089a"}},
        {"not below port 1-1", {CRITERION_NAME, CRITERION_BELOW}, {"not", "below port 1-1"}},
        {"pci class 02", {CRITERION_NAME, CRITERION_CLASS}, {"pci", "class 02"}},
        {"usb not class 09 below port 1-1",
         {CRITERION_BUS, CRITERION_CLASS, CRITERION_BELOW},
         {"usb", "not class 09", "below port 1-1"}},
        {"class 02 pci", {CRITERION_CLASS, CRITERION_BUS}, {"class 02", "pci"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *rules = memory_printf("device x is %s\ndevice below is 1a6e:*\ndevice not is *:089a\n"
                                    "device pci is 8086:*\n",
                                    rows[i].device);
        front_check(&front, rules);
        assert_int_equal(diagnostic_count_errors(&front.diagnostics), 0);
        source = &front.sources[0];
        const struct criterion *one = front.syntax.definitions->device;
        for (size_t j = 0; j < 3 && rows[i].covered[j]; j++, one = one->next) {
            assert_non_null(one);
            assert_int_equal(one->kind, rows[i].kinds[j]);
            assert_int_equal(one->negated, rows[i].covered[j][0] == 'n' && rows[i].covered[j][3]);
            assert_int_equal(one->resolved, one->kind == CRITERION_NAME);
            covers(one->span, rows[i].covered[j]);
        }
        assert_null(one);
        front_finish(&front);
        free(rules);
    }
    front_init(&front);
}

/* After 'name', 'title' or 'uuid' it depends on what follows. */
static void test_freed_after_a_field(void **state) {
    (void)state;
    static const struct {
        const char *rules, *vm;
        enum word_field field;
        enum event_name event;
    } rows[] = {
        {"on vm name freed run \"/x\"", "name", FIELD_ANY, EVENT_FREED},
        {"on vm name freed, started run \"/x\"", "name", FIELD_ANY, EVENT_FREED},
        {"on vm name freed {\nrun \"/x\"\n}", "name", FIELD_ANY, EVENT_FREED},
        {"on vm name freed started run \"/x\"", "freed", FIELD_NAME, EVENT_STARTED},
        {"on vm title freed freed run \"/x\"", "freed", FIELD_TITLE, EVENT_FREED},
        {"on vm name freed, b started run \"/x\"", "freed", FIELD_NAME, EVENT_STARTED},
        {"on vm name take started run \"/x\"", "take", FIELD_NAME, EVENT_STARTED},
        {"on vm freed freed run \"/x\"", "freed", FIELD_ANY, EVENT_FREED},
        {"on vm freed, freed freed run \"/x\"", "freed", FIELD_ANY, EVENT_FREED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        parse(rows[i].rules);
        assert_string_equal(front.syntax.rules->vms->text, rows[i].vm);
        assert_int_equal(front.syntax.rules->vms->field, rows[i].field);
        assert_int_equal(front.syntax.rules->events->event, rows[i].event);
        front_finish(&front);
    }
    front_init(&front);
}

static void test_every_lump_as_a_vm(void **state) {
    (void)state;
    static const char *const names[] = {"7",
                                        "2m",
                                        "500ms",
                                        "cafe",
                                        "0106",
                                        "1ac1:089a",
                                        "0000:05:00.0",
                                        "1-1.4",
                                        "-",
                                        "a.b-c_d",
                                        "4f0b1d1e-0000-4000-8000-00000000cafe",
                                        "Büro",
                                        "onn",
                                        "Started",
                                        "/",
                                        "=",
                                        "a'b"};
    char rules[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(rules, sizeof rules, "on vm %s started run \"/x\"\n", names[i]);
        parse(rules);
        assert_word(front.syntax.rules->vms, WORD_PLAIN, names[i], names[i]);
        front_finish(&front);
    }
    front_init(&front);
}

/* --- one mistake, one error, one hint that helps */

static void test_hints(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"on vm a strated run \"/x\"", "unknown-event", "did you mean 'started'?"},
        {"on vm a Started run \"/x\"", "unknown-event", "did you mean 'started'?"},
        {"on vm a awake run \"/x\"", "unknown-event", "the events are prepare, start"},
        {"on vm a boot run \"/x\"", "wrong-event", "the event of a VM that boots is 'started'"},
        {"on vm a shutdown run \"/x\"", "unknown-event", "did you mean 'stopped'?"},
        {"on vm a startd run \"/x\"", "unknown-event", "did you mean 'started'?"},
        {"on vm Name a started run \"/x\"", "unknown-event", "did you mean 'name'?"},
        {"on vm titel a started run \"/x\"", "unknown-event", "did you mean 'title'?"},
        {"on vm game server started run \"/x\"", "unknown-event", "in quotes: \"game server\""},
        {"on vm a | b started run \"/x\"", "unknown-event", "separate them with ','"},
        {"on vm a， b started run \"/x\"", "unknown-event", "separate them with ','"},
        {"on vm not a started run \"/x\"", "unknown-event", "there is no 'not'"},
        {"on vm a except b started run \"/x\"", "unknown-event", "there is no 'not'"},
        {"on vm name = a started run \"/x\"", "unknown-event", "leave out the '='"},
        {"on vm name: a started run \"/x\"", "syntax", "did you mean 'name'?"},
        {"on vm a; b started run \"/x\"", "syntax", "VMs are separated by ','"},
        {"never attach 10de:* to vm UUID a", "syntax", "did you mean 'uuid'?"},
        {"never attach 10de:* to vm a b", "syntax", "in quotes: \"a b\""},
        {"never attach 10de:* to vm a started", "syntax", "at every event"},
        {"never attach 10de:* with group", "syntax", "forbids every way"},
        {"neverattach 10de:*", "syntax", "did you mean 'never attach'?"},
        {"on vm a started attach 10de:2484 to vfio", "syntax", "did you mean 'as'?"},
        {"on vm a started attach 10de:2484 group as vfio", "syntax", "did you mean 'with group'?"},
        {"on vm a started attach class \"0300\" as vfio", "syntax", "leave out the quotes: 0300"},
        {"on vm a started attach serial as usb", "syntax", "serial \"DE00212E7B\""},
        {"on vm a started attach class VGA controller as vfio", "bad-class", "0300 a VGA"},
        {"on vm a; started run \"/x\"", "syntax", "There is no ';'"},
        {"on vm a started; run \"/x\"", "unknown-event", "There is no ';'"},
        {"on vm a started run \"/x\"; run \"/y\"", "syntax", "There is no ';'"},
        {"on vm a started run \"/x\" // comment", "syntax", "begins with '#'"},
        {"on vm a started run \"/x\" > /dev/null", "syntax", "\">\""},
        {"on vm a started run \"/x\" started", "syntax", "written in quotes: \"started\""},
        {"on vm a started attach 1ac1:089a | 1ac1:089b as vfio", "bad-device", "write 'or'"},
        {"on vm a started attach \"1ac1:089a\" as vfio", "syntax", "the quotes: 1ac1:089a"},
        {"on vm a started attach '1ac1:089a' as vfio", "bad-device", "the quotes: 1ac1:089a"},
        {"on vm a started attach 1ac1:089a with-group as vfio", "bad-device", "'with group'"},
        {"on vm a started attach ANY 1ac1:089a as vfio", "bad-device", "did you mean 'any'?"},
        {"on vm all started run \"/x\"", "syntax", "did you mean 'any'?"},
        {"on vm ANY started run \"/x\"", "syntax", "did you mean 'any'?"},
        {"on vm frigate: started run \"/x\"", "syntax", "did you mean 'frigate'?"},
        {"on vm a[ started run \"/x\"", "syntax", "\"a[\""},
        {"on vm a[] started run \"/x\"", "syntax", "\"a[]\""},
        {"on vm a[!] started run \"/x\"", "syntax", "\"a[!]\""},
        {"never attach 03:*", "bad-id", "'03:*.*'"},
        {"never attach at 0000:[03:00.0", "bad-address", "lspci -D"},
        {"on vm 'Home Assistant' started run \"/x\"", "syntax", "\"Home Assistant\""},
        {"on vm `Home' started run \"/x\"", "syntax", "\"Home\""},
        {"on vm 'Home started run \"/x\"", "syntax", "around a name"},
        {"on vm “Home Assistant” started run \"/x\"", "syntax", "plain '\"': \"Home Assistant\""},
        {"on vm «Home started run \"/x\"", "syntax", "plain '\"'"},
        {"on vm \"Home” started run \"/x\"", "unterminated-string", "'”' does not end it"},
        {"on vm \"Home” started", "unterminated-string", "'”' does not end it"},
        {"on vm \"Home\"” started run \"/x\"", "syntax", "plain '\"'"},
        {"on vm a unplug run \"/x\"", "unknown-event", "did you mean 'unplugged'?"},
        {"on vm a started run \"/x\"\n// comment", "syntax", "begins with '#'"},
        {"on vm a started attach 1ac1:089a as vfio -- comment", "syntax", "begins with '#'"},
        {"; comment", "syntax", "begins with '#'"},
        {"never attach 1ac1:089a for vm a", "syntax", "did you mean 'to vm'?"},
        {"on vm a started attach id 1ac1:089a as vfio", "undefined-device", "leave it out"},
        {"on vm a started attach 1ac1:089a and class 03 as vfio", "syntax",
         "with spaces, two devices"},
        {"on vm a 7 run \"/x\"", "unknown-event", "the events are"},
        {"on vm Home Assistant started run \"/x\"", "unknown-event", "\"Home Assistant\""},
        {"on vm My Home Assistant started run \"/x\"", "unknown-event", "\"My Home Assistant\""},
        {"on vm x, My Home started run \"/x\"", "unknown-event", "\"My Home\""},
        {"on vm a and b started run \"/x\"", "unknown-event", "separate them with ','"},
        {"on vm \"frigate\"s started run \"/x\"", "syntax", "write a space between"},
        {"on vm \"frigate\" started run \"/x\" --name=\"a b\"", "syntax",
         "\"--name=Home Assistant\""},
        {"on vm \"frigate started run \"/x\"", "unterminated-string", "add or remove one"},
        {"on vm frigate\" started run \"/x\"", "unterminated-string", "add or remove one"},
        {"on vm Home Assistant, frigate started run \"/x\"", "unknown-event",
         "quotes: \"Home Assistant\""},
        {"on vm Home Assistant, started run \"/x\"", "unknown-event", "quotes: \"Home Assistant\""},
        {"on vm Home Assistant, My Server started run \"/x\"", "unknown-event",
         "quotes: \"Home Assistant\""},
        {"on vm C# started {\n run \"/x\"\n}", "syntax", "in quotes: \"C#\""},
        {"on vm C#4 started attach 1ac1:089a as vfio", "syntax", "in quotes: \"C#4\""},
        {"on vm a started (\n run \"/x\"\n)", "syntax", "between '{' and '}'"},
        {"on vm a started do\n run \"/x\"\nend", "syntax", "between '{' and '}'"},
        {"on vm a started:\n run \"/x\"", "unknown-event", "did you mean 'started'?"},
        {"on vm \"Home Assistant started {\n run \"/x\"\n run \"/y\"\n}", "unterminated-string",
         "end it"},
        {"on vm Home Assistant\" started {\n run \"/x\"\n}", "unterminated-string",
         "add or remove one"},
        {"device t is 1ac1:089a 1a6e:089a\nnever attach t", "impossible-device",
         "two devices are two lines"},
        {"never attach 10de:1234 1002:5678", "impossible-device", "two devices are two lines"},
        {"device t is 1ac1:089a\nnever attach t t", "syntax", "two devices are two lines"},
        {"on vm a started attach 8086-1521 as vfio", "bad-device", "did you mean '8086:1521'?"},
        {"on vm a started attach 0300 as vfio", "syntax", "did you mean 'class 0300'?"},
        {"on vm a started attach 8086 1521 as vfio", "syntax", "did you mean '8086:1521'?"},
        {"on vm a started attach 2 8086:1521 as vfio", "syntax", "did you mean 'any 2'?"},
        {"on vm a started attach x as vfio rom \"off\"\ndevice x is 1ac1:089a", "relative-path",
         "remove the quotes: rom off"},
        {"device t is 1ac1:089a as vfio\nnever attach t", "syntax",
         "a definition says which device"},
        {"on vm a started attach 1ac1:089a as vfio reset", "syntax", "did you mean 'then reset'?"},
        {"on vm a started attach 1ac1:089a as vfio off", "syntax", "did you mean 'rom off'?"},
        {"never attach 1ac1:089a to vm a or b", "syntax", "','"},
        {"on vm a or b started run \"/x\"", "syntax", "','"},
        {"on vm a started attach except 1cf1:0030 as usb", "undefined-device",
         "did you mean 'not'?"},
        {"on vm a started attach [8086:1521] as vfio", "bad-id",
         "leave out the brackets: 8086:1521"},
        {"on vm a started attach class [0300] as vfio", "bad-class", "leave out the brackets"},
        {"on vm a started attach [0300] as vfio", "bad-device",
         "leave out the brackets: class 0300"},
        {"on vm a started attach any -1 8086:1521 as vfio", "bad-device", "a number of devices"},
        {"on vm a started attach any 2x 8086:1521 as vfio", "bad-device", "did you mean 'any 2'?"},
        {"on vm a started attach an 1ac1:089a as vfio", "undefined-device", "did you mean 'any'?"},
        {"on vm a started attach al 1ac1:089a as vfio", "undefined-device", "did you mean 'all'?"},
        {"device t is 1ac1:089a\non vm a started attach nay t as vfio", "syntax",
         "did you mean 'any'?"},
        {"never attach an 03:00.0", "undefined-device", "did you mean 'at'?"},
        {"on vm a started attach 10de:* subsytem 1462:3909 as vfio", "syntax",
         "did you mean 'subsystem'?"},
        {"on vm a started attach 1cf1:0030 prt 1-1.2 as usb", "syntax", "did you mean 'port'?"},
        {"never attach 10de:* clas 0c03", "syntax", "did you mean 'class'?"},
        {"never attach clas 0c03", "syntax", "did you mean 'class'?"},
        {"on vm a started attach prt 1-1.2 as usb", "syntax", "did you mean 'port'?"},
        {"on vm a started，plugged run \"/x\"", "unknown-event", "a plain ','"},
        {"on vm a started attach 1ac1:089a，10de:* as vfio", "bad-address", "a plain ','"},
        {"on vm a started attach x、y as vfio", "bad-device", "a plain ','"},
        {"on vm a started run \"/x\" \"a\\\"", "unterminated-string", "not its end"},
        {"never attach q", "undefined-device", "check the directory"},
        {"device USB is 1a6e:089a\non vm a started attach USB as usb", "bad-name",
         "use another name"},
        {"device with_group is 1a6e:089a", "bad-name", "use another name"},
        {"on vm a started attach 0000:03:20.0 as vfio", "bad-address", "at most 1f"},
        {"on vm a \"b\" started run \"/x\"", "syntax", "separate them with ','"},
        {"on vm a, started run \"/x\"", "syntax", "remove the ',' before the event"},
        {"on vm started run \"/x\"", "syntax", "the VM's name comes first"},
        {"on vm", "syntax", "'any' for every VM"},
        {"on", "syntax", "'vm' comes before"},
        {"on frigate started run \"/x\"", "syntax", "'vm' comes before"},
        {"on vm a", "syntax", "the events are"},
        {"on vm a attach x as vfio", "syntax", "the events are"},
        {"on vm a started", "syntax", "say what to do"},
        {"on vm a started, run \"/x\"", "syntax", "the events are"},
        {"on vm a started and plugged run \"/x\"", "syntax", "separate them with ','"},
        {"on vm a started atach 1ac1:089a as vfio", "syntax", "did you mean 'attach'?"},
        {"on vm a started attach 1ac1:089a", "syntax", "'as vfio' for PCI"},
        {"on vm a started attach 1ac1:089a vfio", "syntax", "did you mean 'as vfio'?"},
        {"on vm a started attach 1ac1:089a sa usb", "syntax", "did you mean 'as'?"},
        {"on vm a started attach 1ac1:089a as", "syntax", "'vfio' for PCI"},
        {"on vm a started attach 1ac1:089a as pci", "syntax", "did you mean 'as vfio'?"},
        {"on vm a started attach 1ac1:089a as vifo", "syntax", "did you mean 'vfio'?"},
        {"on vm a started attach 1ac1:089a as VFIO", "syntax", "did you mean 'vfio'?"},
        {"on vm a started attach 1ac1:089a as vfio;", "syntax", "did you mean 'vfio'?"},
        {"on vm a started attach 1ac1:089a wiht group as vfio", "syntax", "did you mean 'with'?"},
        {"on vm a started attach 1ac1:089a as vfio with group", "syntax", "before 'as'"},
        {"on vm a started attach 1ac1:089a optional as vfio", "syntax", "follows 'as vfio'"},
        {"on vm a started attach 1ac1:089a with group boot display as vfio", "syntax",
         "'boot display' and 'boot order' follow 'as vfio'"},
        {"on vm a started attach 1ac1:089a as vfio optinal", "syntax", "did you mean 'optional'?"},
        {"on vm a started attach 1ac1:089a as vfio optional, rom off", "syntax", "with spaces"},
        {"on vm a started attach 1ac1:089a as vfio 5s", "syntax", "did you mean 'within 5s'?"},
        {"on vm a started attach 1ac1:089a as vfio rom on", "syntax", "'rom off'"},
        {"on vm a started attach 1ac1:089a as vfio rom", "syntax", "'rom off'"},
        {"on vm a started attach 1ac1:089a as vfio rom /x", "syntax", "in quotes: \"/x\""},
        {"on vm a started attach 2 1ac1:089a as vfio", "syntax", "did you mean 'any 2'?"},
        {"on vm a started attach", "syntax", "a device is an id"},
        {"on vm a started attach device 1ac1:089a as vfio", "syntax", "leave out 'device'"},
        {"on vm a started attach usb 1a6e:089a", "syntax", "say how: 'as vfio' for PCI"},
        {"on vm a started attach clas 03 as vfio", "syntax", "did you mean 'class'?"},
        {"on vm a started attach serail \"x\" as usb", "syntax", "did you mean 'serial'?"},
        {"on vm a started attach serial x as usb", "syntax", "in quotes: \"x\""},
        {"on vm a started run", "syntax", "in quotes"},
        {"on vm a started run /bin/x", "syntax", "in quotes: \"/bin/x\""},
        {"on vm a started run '/bin/x'", "syntax", "quotes are '\"'"},
        {"on vm a started run \"/x\" on", "syntax", "in quotes: \"on\""},
        {"on vm a started run \"/x\" {", "syntax", "a block follows the events"},
        {"on vm a started run \"/x\" }", "syntax", "unmatched '}'"},
        {"on vm a started { run \"/x\" } run \"/y\"", "syntax", "one statement or action"},
        {"on vm 'a' started run \"/x\"", "syntax", "\"a\""},
        {"on vm `a` started run \"/x\"", "syntax", "\"a\""},
        {"on vm a started run \"/x\" 'y'", "syntax", "\"y\""},
        {"on vm \"a started run /x", "unterminated-string", "end it with '\"'"},
        {"on vm a started run \"/x", "unterminated-string", "end it with '\"'"},
        {"onn vm a started run \"/x\"", "syntax", "did you mean 'on'?"},
        {"ON vm a started run \"/x\"", "syntax", "did you mean 'on'?"},
        {"include \"x\"", "syntax", "a rule is: on vm NAME"},
        {"attach 1ac1:089a as vfio", "syntax", "a rule is: on vm NAME"},
        {"}", "syntax", "a block is: on vm NAME EVENT { ... }"},
        {"{", "syntax", "a rule is: on vm NAME"},
        {"device", "syntax", "a definition is"},
        {"device is 1ac1:089a", "syntax", "a definition is"},
        {"device x = 1ac1:089a", "syntax", "a definition is"},
        {"device x", "syntax", "a definition is"},
        {"device x is", "syntax", "a device is an id"},
        {"device x is any 1ac1:089a", "syntax", "leave it out"},
        {"device x is 1ac1:089a, 1ac1:089b", "syntax", "'or' separates"},
        {"device \"x\" is 1ac1:089a", "syntax", "no quotes"},
        {"device usb is 1ac1:089a", "syntax", "use another name"},
        {"never 1ac1:089a", "syntax", "a guard is"},
        {"never attach", "syntax", "a device is an id"},
        {"never attach 1ac1:089a to a", "syntax", "'vm' comes before"},
        {"never attach 1ac1:089a on vm a", "syntax", "did you mean 'to'?"},
        {"never attach 1ac1:089a as vfio", "syntax", "leave it out"},
        {"on vm a started attach 1ac1:089a as vfio on vm b started run \"/x\"", "syntax",
         "one statement or action"},
        {"on vm a started attach 1ac1:089a 1ac1 as vfio", "bad-device", "a device is an id"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_hint(rows[i][0], rows[i][1], rows[i][2]);
    front_init(&front);
}

static void test_expected(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"x", "expected 'on', 'device' or 'never', found 'x'"},
        {"on x", "expected 'vm' or 'host', found 'x'"},
        {"on vm ,", "expected a VM, found ','"},
        {"on vm a ,,", "expected a VM, found ','"},
        {"on vm a", "expected an event or ',', found end of line"},
        {"on vm a started x",
         "expected 'attach', 'detach', 'run', 'require', ',' or '{', found 'x'"},
        {"on vm a started attach ,", "expected a device, found ','"},
        {"on vm a started attach x,", "expected a device, found end of line"},
        {"on vm a started attach x or ,", "expected a device, found ','"},
        {"on vm a started attach x {", "expected 'with', 'as', 'or' or ',', found '{'"},
        {"on vm a started attach x with x", "expected 'group', found 'x'"},
        {"on vm a started attach x as \"vfio\"", "expected 'vfio', 'net', 'mdev', 'disk', 'input', "
                                                 "'usb', 'scsi' or 'serial', found \"vfio\""},
        {"on vm a started attach x as vfio x",
         "expected 'optional', 'unmanaged', 'within', "
         "'after', 'rom', 'take', 'then', 'reset', 'ports', 'awake', 'boot' or end of line, "
         "found 'x'"},
        {"on vm a started attach x as disk x",
         "expected 'optional', 'within', 'after', 'bus', 'readonly', 'take', 'then', 'awake', "
         "'boot' or end of line, found 'x'"},
        {"on vm a started attach x as vfio within", "expected a duration (5s), found end of line"},
        {"on vm a started attach x as vfio after rom", "expected a duration (5s), found 'rom'"},
        {"on vm a started attach at as", "expected an address (0000:03:00.0), found 'as'"},
        {"on vm a started attach class \"03\"", "expected a class (0300), found \"03\""},
        {"on vm a started attach subsystem as", "expected an id (10de:1234), found 'as'"},
        {"on vm a started attach port as", "expected a port (1-1.4), found 'as'"},
        {"on vm a started attach serial 7", "expected a quoted word or 'like', found '7'"},
        {"on vm a started attach x as vfio rom x", "expected a quoted word or 'off', found 'x'"},
        {"on vm a started attach x as vfio then",
         "expected 'reset' or 'reboot', found end of line"},
        {"on vm a started run x", "expected a quoted word, found 'x'"},
        {"on vm a started { x }",
         "expected 'attach', 'detach', 'run', 'require' or '}', found 'x'"},
        {"on vm a started { run \"/x\" } x", "expected end of line, found 'x'"},
        {"device 7", "expected a name, found '7'"},
        {"device x 7", "expected 'is', found '7'"},
        {"device x is x as", "expected 'or' or end of line, found 'as'"},
        {"never x", "expected 'attach', found 'x'"},
        {"never attach x {", "expected 'to', 'or' or end of line, found '{'"},
        {"never attach x to any", "expected 'vm', found 'any'"},
        {"never attach x to vm started", "expected a VM, found 'started'"},
        {"never attach x to vm a b", "expected ',' or end of line, found 'b'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        front_parse(&front, rows[i][0]);
        if (front.diagnostics.count != 1 ||
            strcmp(front.diagnostics.list[0].message, rows[i][1]) != 0) {
            diagnostic_print(&front.diagnostics, stderr, (struct terminal){0});
            fail_msg("'%s' does not say: %s", rows[i][0], rows[i][1]);
        }
        front_finish(&front);
    }
    front_init(&front);
}

/* --- going on */

static void test_every_wrong_line(void **state) {
    (void)state;
    assert_says("device a is 1ac1:89a\nx\non vm a strated run \"/x\"\non vm a started run \"/x\"\n"
                "y\r\n\non vm b started attach a as vifo",
                "bad-id@1ac1:89a syntax@x unknown-event@strated syntax@y syntax@vifo");
    front_init(&front);
}

/* At most one syntax error a line; every bad value that does not follow from one. */
static void test_one_syntax_error_a_line(void **state) {
    (void)state;
    assert_says("on vm a started attach x as vfoi optinal withn x", "syntax@vfoi");
    assert_says("on vm a strated attach x as vfoi", "unknown-event@strated");
    assert_says("on vm a strated, stoped run \"/x\"", "unknown-event@strated unknown-event@stoped");
    assert_says("on vm a started attach 1:1, 2:2 as vfoi", "bad-id@1:1 bad-id@2:2");
    assert_says("on vm a started {\n  x y\n  z\n}", "syntax@x syntax@z");
    assert_says("on vm a started { x y z }", "syntax@x");
    assert_says("on vm a started run \"/x\" \\z as", "stray-backslash@\\");
    assert_says("on vm a\001 started x", "control-character@\001");
    front_init(&front);
}

static void test_blocks_go_on(void **state) {
    (void)state;
    /* in the head */
    assert_says("on a started {\n attach x y\n attach 1:1 as vfio\n}\nz",
                "syntax@a syntax@\n bad-id@1:1 syntax@z");
    assert_says("on vm a, {\n run \"/x\"\n}\nz", "syntax@{ syntax@z");
    /* without '}' */
    assert_says("on vm a started {\n run \"/x\"\non vm b started {\n x\n}\nz",
                "syntax@on syntax@x syntax@z");
    assert_says("on vm a started {\n x\ndevice y is 1:1\nz",
                "syntax@x syntax@device bad-id@1:1 syntax@z");
    assert_says("on vm a started {\nnever attach 1:1", "syntax@never bad-id@1:1");
    assert_says("on vm a started {", "syntax@");
    assert_says("on vm a started {\n x", "syntax@x syntax@");
    assert_says("on vm a started { run \"/x\"\non vm a started { run \"/y\"\n",
                "syntax@on syntax@");
    /* without '{' */
    assert_says("on vm a started\n{\n run \"/x\"\n x\n}\nz", "syntax@\n syntax@x syntax@z");
    assert_says("on vm a started\n\n  # here\n run \"/x\"\n attach x\n}\nz", "syntax@\n syntax@z");
    assert_says("on vm a started\non vm b started run \"/x\"\nattach x", "syntax@\n syntax@attach");
    /* a statement in it: the rest of the block follows from that */
    assert_says("on vm a started {\n run \"/x\"\n never attach 1ac1:089a\n run \"/y\"\n}\nz",
                "syntax@never syntax@z");
    assert_says("on vm a started {\n device t is 1ac1:089a\n}\nnever attach t", "syntax@device");
    assert_says("on vm a started {\n on vm b started run \"/x\"\n}\n}", "syntax@on syntax@}");
    assert_says("on vm a started {\n attach }\n run \"/x\"\n}\nz", "syntax@} syntax@z");
    /* a head that cannot be read */
    assert_says("on vm a started foo\n attach x\n run \"/x\"\n}\n}", "syntax@foo");
    assert_says("on vm a started run \"/x\" as\n}", "syntax@as syntax@}");
    assert_says("never attch x\n}", "syntax@attch syntax@}");
    assert_says("on vm a started {\n} x\n run \"/x\"\n}\nz", "syntax@x syntax@z");
    assert_says("on vm a started { 1ac1:089a as vfio\nnever attach 1:1",
                "syntax@1ac1:089a bad-id@1:1");
    /* too many */
    assert_says("}\non vm a started {\n run \"/x\"\n}\n}\n", "syntax@} syntax@}");
    front_init(&front);
}

static void test_the_block_that_is_open(void **state) {
    (void)state;
    front_parse(&front, "on vm a started {\n run \"/x\"\non vm b started run \"/y\"\n");
    const struct diagnostic *one = &front.diagnostics.list[0];
    assert_string_equal(one->message, "a block is still open at 'on'");
    assert_int_equal(one->note_count, 1);
    assert_covers(one->source, one->notes[0].span, "{");
    /* Both rules are there all the same. */
    assert_non_null(front.syntax.rules->next);
    front_finish(&front);
    front_parse(&front, "on vm a started\n{\n run \"/x\"\n}\n");
    assert_non_null(strstr(front.diagnostics.list[0].hint, "put '{' at the end of this line"));
}

/* A definition that failed still gives its name. */
static void test_failed_definitions(void **state) {
    (void)state;
    assert_says("device x = 1ac1:089a\non vm a started attach x as vfio", "syntax@=");
    assert_says("devcie x is 1ac1:089a\non vm a started attach x as vfio", "syntax@devcie");
    assert_says("device x is\non vm a started attach x as vfio", "syntax@\n");
    assert_says("device x\ndevice x is y\non vm a started attach x as vfio",
                "syntax@\n undefined-device@y");
    assert_says("device x is 1:1\non vm a started attach x as vfio", "bad-id@1:1");
    assert_says("x y z\non vm a started attach y as vfio", "syntax@x undefined-device@y");
    assert_says("x is 1ac1:089a\nnever attach x or y", "syntax@x undefined-device@y");
    /* Where it is not known which name that is, no name is said to be undefined. */
    assert_says("x device is 1ac1:089a\nnever attach x", "syntax@x");
    assert_says("device is 1ac1:089a\nnever attach x", "syntax@is");
    assert_says("device x\u00a0y is 1ac1:089a\nnever attach xy", "control-character@\u00a0");
    assert_says("device x\u200by is 1ac1:089a\nnever attach xy", "control-character@\u200b");
    assert_says("device x+y is 1ac1:089a\nnever attach xy", "bad-name@x+y");
    assert_says("device {\nnever attach x", "syntax@{");
    front_init(&front);
}

static void test_excluding_criteria(void **state) {
    (void)state;
    static const char *const bad[] = {"1ac1:089a 1ac1:089b",
                                      "1ac1:089a 1ac2:*",
                                      "*:089a 1ac1:089b",
                                      "at 03:00.0 at 03:00.1",
                                      "at 03:00.* at 04:00.0",
                                      "at 03:00.[0-3] at 03:0?.[45]",
                                      "x or port 1-1 port 1-2",
                                      "serial \"a\" serial \"b\"",
                                      "subsystem 1ac1:0001 subsystem 1ac1:0002",
                                      "class 03 class 0c",
                                      "class 0300 class 0380",
                                      "class 0c03 class 0c0200",
                                      "class 03 1ac1:089a class 02 class 01",
                                      "port 1-1 at 03:00.0",
                                      "subsystem 1ac1:* serial \"a\"",
                                      "serial \"a\" 03:00.*",
                                      "port 1-1 1ac1:089a subsystem 1ac1:0001",
                                      "x 1ac1:2222",
                                      "y 1ac1:2222",
                                      "three 1ac1:3333",
                                      "three or three 1ac1:3333",
                                      "three 8086:* port 1-3",
                                      "deep at 04:00.0",
                                      "deep class 0c",
                                      "usb_only at 03:00.0"};
    static const char *const fine[] = {"1ac1:089a *:089a",
                                       "1ac1:089a 1ac1:*",
                                       "1ac1:089a or 1ac1:089b",
                                       "at 03:00.* at 03:00.1",
                                       "at 03:00.? at 0000:*.1",
                                       "port 1-1 or port 1-2",
                                       "1ac1:089a subsystem 1ac1:089b",
                                       "class 03 class 0300 class 030000",
                                       "class 03 port 1-1",
                                       "port 1-1 or at 03:00.0",
                                       "two 1ac1:1111",
                                       "two port 1-1",
                                       "two at 03:00.0 or two port 1-1",
                                       "deep class 0300",
                                       "deep subsystem 1ac1:*",
                                       "none 8086:*",
                                       "unknown port 1-1 subsystem 1ac1"};
    static const char definitions[] =
        "device x is 1ac1:1111\ndevice y is x\ndevice deep is gpu at 03:00.*\n"
        "device two is x or port 1-1 or at 03:00.0 or port 1-2 1ac1:2222\n"
        "device gpu is class 03 or class 04\ndevice usb_only is port 1-1 or serial \"s\"\n"
        "device three is y or 1ac1:2222 or 1002:* class 03\n"
        "never attach deep or two or three or usb_only\n";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        static const char *const forms[] = {"never attach %s", "never attach %s to vm a",
                                            "on vm a started detach any %s",
                                            "device z is %s\nnever attach z"};
        for (size_t form = 0; form < sizeof forms / sizeof *forms; form++) {
            char text[700], statement[200];
            snprintf(statement, sizeof statement, forms[form], bad[i]);
            snprintf(text, sizeof text, "%s%s", definitions, statement);
            front_check(&front, text);
            if (front.diagnostics.count != 1) {
                diagnostic_print(&front.diagnostics, stderr, (struct terminal){0});
                fail_msg("not one mistake: %s", statement);
            }
            assert_string_equal(diagnostic_name(&front.diagnostics.list[0]), "impossible-device");
            front_finish(&front);
        }
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        char text[700];
        snprintf(text, sizeof text, "%snever attach %s", definitions, fine[i]);
        front_check(&front, text);
        for (size_t j = 0; j < front.diagnostics.count; j++)
            assert_string_not_equal(diagnostic_name(&front.diagnostics.list[j]),
                                    "impossible-device");
        front_finish(&front);
    }
    front_init(&front);
}

/* Where it is reported, and what with. */
static void test_excluding_through_names(void **state) {
    (void)state;
    front_check(&front, "device gpu is 10de:* class 03\nnever attach gpu 1ac1:089a\n");
    assert_int_equal(front.diagnostics.count, 1);
    const struct diagnostic *one = &front.diagnostics.list[0];
    assert_string_equal(one->message, "no device 'gpu' is also '1ac1:089a'");
    covers(one->span, "1ac1:089a");
    assert_covers(one->source, one->notes[0].span, "device gpu is 10de:* class 03");
    front_finish(&front);
    /* A definition that nothing matches is one mistake, wherever it is used. */
    assert_says("device a is class 03 class 0c\ndevice b is a port 1-1\nnever attach b 1ac1:089a\n",
                "impossible-device@class 0c");
    assert_says("device a is class 03 class 0c\nnever attach a class 02\n",
                "impossible-device@class 0c");
    assert_says("never attach port 1-1.2 at 03:00.0", "impossible-device@at 03:00.0");
    front_init(&front);
}

/* A chain of definitions, each by way of the one before, is deeper than the stack should be. */
static void test_a_long_chain_of_names(void **state) {
    (void)state;
    enum { LINKS = 20000 };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    fputs("device d0 is class 03\n", out);
    for (int i = 1; i < LINKS; i++)
        fprintf(out, "device d%d is d%d\n", i, i - 1);
    fprintf(out, "never attach d%d class 0c\nnever attach d100 class 0c\n", LINKS - 1);
    fclose(out);
    assert_says(text, "impossible-device@class 0c");
    free(text);
    front_init(&front);
}

static void test_no_text(void **state) {
    (void)state;
    static const char utf16[] = "o\0n\0 \0v\0m\0 \0a\0 \0s\0t\0a\0r\0t\0e\0d\0";
    static const char marked[] = "\xff\xfe";
    char binary[200] = "\x7f";
    memset(binary + 100, 'a', 100);
    const struct {
        const char *text;
        size_t size;
        const char *message;
    } rows[] = {{utf16, sizeof utf16 - 1, "this is UTF-16"},
                {utf16 + 1, sizeof utf16 - 2, "this is UTF-16"},
                {marked, 2, "this is UTF-16"},
                {binary, sizeof binary, "this is not text"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        front_init(&front);
        syntax_parse(&front.syntax, front_add(&front, "0.rules", rows[i].text, rows[i].size),
                     &front.diagnostics);
        assert_int_equal(front.diagnostics.count, 1);
        assert_true(front.diagnostics.list[0].whole_file);
        assert_string_equal(front.diagnostics.list[0].message, rows[i].message);
        front_finish(&front);
    }
    front_init(&front);
}

/* Too short, or with too few control characters, to be known as a binary file by its bytes. */
static void test_no_text_by_what_it_gives(void **state) {
    (void)state;
    static const char compressed[] = "\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbK-K-RH,)IL\xce"
                                     "PH\xccKQ0\xb4J4\xd2"
                                     "5\xb0L\xe4\x02\0\x9a\x1f";
    static const char inner[] = "xonx ever\n\xfe\xb1 attach\n; class 03\n";
    static const char control[] = "frigate 1\nships\n\a\n";
    static const char nul[] = "frigate\0 1";
    const struct {
        const char *text;
        size_t size;
        bool binary;
    } rows[] = {
        {compressed, sizeof compressed - 1, true},
        {inner, sizeof inner - 1, true},
        {control, sizeof control - 1, true},
        {nul, sizeof nul - 1, true},
#define TEXT(TEXT) {TEXT, sizeof(TEXT) - 1, false}
        TEXT("never attach\001 1ac1:089a\nnever attach\001 class 03\n"),
        TEXT("never\001 attach 1ac1:089a\n"),
        TEXT("# ships\n\n \ton vm a\001 started x\n"),
        TEXT("\xef\xbb\xbf"
             "device \xff\n"),
        TEXT("device x is 1ac1:089a\n\001\n"),
        TEXT("ships\n"),
        TEXT("shi\rps\n"),
        TEXT("shi\xc2\xa0ps\n"),
        TEXT("# Gr\xfc\xdf"
             "e \001\n"),
#undef TEXT
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        front_init(&front);
        /* What another file has is nothing of this one. */
        syntax_parse(&front.syntax, front_add(&front, "0.rules", "never attach 2:2", 16),
                     &front.diagnostics);
        size_t before = front.diagnostics.count;
        struct source *second = front_add(&front, "1.rules", rows[i].text, rows[i].size);
        syntax_parse(&front.syntax, second, &front.diagnostics);
        const struct diagnostic *last = &front.diagnostics.list[front.diagnostics.count - 1];
        assert_int_equal(second->guards_unknown, rows[i].binary);
        if (rows[i].binary) {
            assert_int_equal(front.diagnostics.count, before + 1);
            assert_true(last->whole_file);
            assert_string_equal(last->message, "this is not text");
        }
        front_finish(&front);
    }
    front_init(&front);
}

static void test_order_of_criteria(void **state) {
    (void)state;
    assert_says("device x is 1ac1:089a\non vm a started attach 1: x or 2: x or x as vfio",
                "bad-id@1: bad-id@2:");
    assert_says("device x is 1ac1:089a\non vm a started attach 1ac1:089a x as vfio", "syntax@x");
    assert_says("on vm a started attach 1ac1:089a and 1ac1:089b and c as vfio", "syntax@and");
    assert_says("device x is 1ac1:089a\ndevice y is 1ac1:089b\n"
                "on vm a started attach x y, x or y as vfio",
                "syntax@y");
    front_init(&front);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_definition, finish),
        cmocka_unit_test_teardown(test_first_rule, finish),
        cmocka_unit_test_teardown(test_vms_and_events, finish),
        cmocka_unit_test_teardown(test_targets, finish),
        cmocka_unit_test_teardown(test_options, finish),
        cmocka_unit_test_teardown(test_run, finish),
        cmocka_unit_test_teardown(test_host, finish),
        cmocka_unit_test_teardown(test_before_the_start, finish),
        cmocka_unit_test_teardown(test_defined, finish),
        cmocka_unit_test_teardown(test_block, finish),
        cmocka_unit_test_teardown(test_guards, finish),
        cmocka_unit_test_teardown(test_a_statement_over_lines, finish),
        cmocka_unit_test_teardown(test_mark, finish),
        cmocka_unit_test_teardown(test_nothing, finish),
        cmocka_unit_test_teardown(test_several_files_in_order, finish),
        cmocka_unit_test_teardown(test_every_keyword_as_a_vm, finish),
        cmocka_unit_test_teardown(test_every_lump_as_a_vm, finish),
        cmocka_unit_test_teardown(test_late_keywords_as_names, finish),
        cmocka_unit_test_teardown(test_late_keywords_in_their_roles, finish),
        cmocka_unit_test_teardown(test_defined_names_win, finish),
        cmocka_unit_test_teardown(test_options_of_usb, finish),
        cmocka_unit_test_teardown(test_virtual_functions, finish),
        cmocka_unit_test_teardown(test_options_of_backends, finish),
        cmocka_unit_test_teardown(test_names_beside_late_keywords, finish),
        cmocka_unit_test_teardown(test_freed_after_a_field, finish),
        cmocka_unit_test_teardown(test_hints, finish),
        cmocka_unit_test_teardown(test_expected, finish),
        cmocka_unit_test_teardown(test_every_wrong_line, finish),
        cmocka_unit_test_teardown(test_one_syntax_error_a_line, finish),
        cmocka_unit_test_teardown(test_blocks_go_on, finish),
        cmocka_unit_test_teardown(test_the_block_that_is_open, finish),
        cmocka_unit_test_teardown(test_failed_definitions, finish),
        cmocka_unit_test_teardown(test_order_of_criteria, finish),
        cmocka_unit_test_teardown(test_excluding_criteria, finish),
        cmocka_unit_test_teardown(test_excluding_through_names, finish),
        cmocka_unit_test_teardown(test_a_long_chain_of_names, finish),
        cmocka_unit_test_teardown(test_no_text, finish),
        cmocka_unit_test_teardown(test_no_text_by_what_it_gives, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
