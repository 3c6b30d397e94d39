#include "engine/command/rule_change.h"

#include "engine/rules/rule_file.h"
#include "lexer/text.h"
#include "parser/print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void rule_change_add_word(char **text, const char *word) {
    char *quoted = text_shell_word(word);
    memory_append(text, " %s", quoted);
    free(quoted);
}

/* sudo takes the environment away, which may name the directories. */
static char *rule_change_sudo_line(const struct command_line *line, int argc, char **argv) {
    const char *rules = getenv("VIRT_RULES_DIR"), *state = getenv("VIRT_RULES_STATE");
    char *text = memory_printf("sudo virt-rules %s", line->command->name);
    bool takes_state = false;
    for (const struct command_option *option = line->command->options; option->name; option++)
        takes_state |= !strcmp(option->name, "state");
    if (!line->rules && rules && *rules) {
        memory_append(&text, " --rules");
        rule_change_add_word(&text, rules);
    }
    if (takes_state && !line->state && state && *state) {
        memory_append(&text, " --state");
        rule_change_add_word(&text, state);
    }
    for (int i = 1; i < argc; i++)
        rule_change_add_word(&text, argv[i]);
    return text;
}

bool rule_change_is_allowed(const struct command_line *line, const char *directory, int argc,
                            char **argv) {
    struct failure failure;
    int error = rule_file_may_write(directory);
    if (!error)
        return true;
    rule_file_fail(&failure, "cannot be changed", directory, error);
    if (error == EACCES && geteuid() != 0) {
        char *again = rule_change_sudo_line(line, argc, argv);
        command_failf(again, "this needs root: %s", failure.message);
        free(again);
    } else {
        command_fail(failure.message, failure.hint);
    }
    return false;
}

char *rule_change_vm_word(const struct word *vm) {
    bool is_one = vm && !vm->next && (vm->kind == WORD_PLAIN || vm->kind == WORD_QUOTED);
    return is_one ? text_shell_operand(vm->text) : memory_strdup("VM");
}

/* Of a device with alternatives each may be what the VM has. A further condition than the id tells
 * twins apart, and the id does not. */
static const struct criterion *rule_change_naming(const struct criterion *device) {
    const struct criterion *best = NULL;
    enum { DEPTH = 8 }; /* of names for names, which may be a circle */
    for (int i = 0; i < DEPTH && device->kind == CRITERION_NAME && device->resolved &&
                    !device->next && !device->negated;
         i++)
        device = device->definition->device;
    for (const struct criterion *one = device; one; one = one->next) {
        bool is_place = one->kind == CRITERION_ADDRESS || one->kind == CRITERION_PORT ||
                        one->kind == CRITERION_SCSI;
        bool is_id = one->kind == CRITERION_ID && !one->any_vendor && !one->any_device;
        if (one->negated || (one != device && one->alternative) || one->kind == CRITERION_NAME)
            return NULL;
        if (is_place && value_is_glob(one->text))
            return NULL;
        if (is_place || (is_id && !best))
            best = one;
    }
    return best && best->kind == CRITERION_ID && device->next ? NULL : best;
}

char *rule_change_device_word(const struct target *target) {
    const struct criterion *best =
        target->quantifier == QUANTIFIER_ONE ? rule_change_naming(target->device) : NULL;
    if (!best)
        return memory_strdup("DEVICE");
    if (best->kind != CRITERION_ID)
        return memory_strdup(best->text);
    return print_criterion_text(best);
}
