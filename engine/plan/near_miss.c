#include "engine/plan/near_miss.h"

#include "engine/rules/match.h"
#include "lexer/text.h"
#include "parser/glob.h"
#include "parser/suggest.h"

#include <dirent.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { INDENT = 4 };
enum { LINES = 8 }; /* that a person gets; the nearest come first */
enum { FILE_LIMIT = 1024 * 1024, FILES_LIMIT = 64 }; /* of files that may have rules */

__attribute__((format(printf, 5, 6))) static struct near_miss *
near_miss_add(struct near_misses *misses, enum near_miss_kind kind, const char *path, size_t line,
              const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    misses->list = memory_grow(misses->list, misses->count, sizeof *misses->list);
    struct near_miss *miss = &misses->list[misses->count++];
    *miss = (struct near_miss){.kind = kind,
                               .path = memory_strdup(path),
                               .line = line,
                               .message = memory_vprintf(format, arguments)};
    va_end(arguments);
    return miss;
}

/* --- names */

static bool near_miss_is_glob_of(const struct word *vm, const char *text) {
    return text && glob_matches(vm->text, text, true);
}

/* Whether another VM of the host is meant, so that this word is right. */
static bool near_miss_means_other(const struct word *vm, const struct event *event) {
    for (size_t i = 0; i < event->vm_count; i++)
        if (match_vm(vm, &event->vms[i]))
            return true;
    return false;
}

/* What of the VM the word may have been meant to be; NULL: nothing. */
static const char *near_miss_meant(const struct word *vm, const struct domain *domain) {
    struct suggestion suggestion = {.word = vm->text};
    if (vm->kind == WORD_ANY)
        return NULL;
    if (vm->kind == WORD_GLOB || (vm->kind == WORD_QUOTED && strpbrk(vm->text, "*?[")))
        return near_miss_is_glob_of(vm, domain->name)    ? domain->name
               : near_miss_is_glob_of(vm, domain->title) ? domain->title
                                                         : NULL;
    suggest(&suggestion, domain->name);
    if (domain->title)
        suggest(&suggestion, domain->title);
    if (domain->uuid)
        suggest(&suggestion, domain->uuid);
    return suggestion.best;
}

/* Of two names either may be wrong when nobody says which VMs there are. */
static char *near_miss_typed_hint(const struct word *vm, const struct event *event) {
    const char *name = event->domain->name;
    if (vm->kind == WORD_GLOB || (name && !strcmp(vm->text, name)))
        return NULL; /* no name, or a title */
    char *word = text_shell_operand(vm->text);
    char *hint = memory_printf("if that VM is meant, use 'virt-rules plan %s %s'", word,
                               scanner_event_text(event->name));
    free(word);
    return hint;
}

static char *near_miss_name_hint(const struct word *vm, const char *meant) {
    bool fits = glob_matches(vm->text, meant, false);
    if (fits && vm->field) /* a name behind 'title' */
        return memory_printf("leave out '%s'", syntax_field_text(vm->field));
    if (fits && vm->kind == WORD_QUOTED)
        return memory_strdup("leave out the quotes, within which '*' and '?' mean themselves");
    return memory_printf("did you mean '%s'?", meant);
}

static bool near_miss_find_name(struct near_misses *misses, const struct rule *rule,
                                const struct event *event) {
    for (const struct word *vm = rule->vms; vm; vm = vm->next) {
        const char *meant = near_miss_meant(vm, event->domain);
        if (!meant || near_miss_means_other(vm, event))
            continue;
        const char *field = syntax_field_text(vm->field);
        near_miss_add(misses, NEAR_MISS_NAME, rule->source->path, program_line(rule, NULL),
                      "is for %s%s%s'%s'%s%s", *field ? "the " : "", field, *field ? " " : "",
                      vm->text, event->name_only ? ", and " : "",
                      event->name_only ? event->name_only : "")
            ->hint =
            event->name_only ? near_miss_typed_hint(vm, event) : near_miss_name_hint(vm, meant);
        return true;
    }
    return false;
}

/* --- rules */

static char *near_miss_events(const struct rule *rule) {
    char *list = memory_strdup("");
    for (const struct event_list *event = rule->events; event; event = event->next)
        text_list(&list, !event->next, " and ", "%s", scanner_event_text(event->event));
    return list;
}

static void near_miss_find_rule(struct near_misses *misses, const struct rule *rule,
                                const struct event *event) {
    bool names_event = match_rule_names_event(rule, event->name);
    if (!rule->vms || match_rule(rule, event))
        return;
    if (!match_vms(rule->vms, event)) {
        const struct domain *better = match_better_vm(rule->vms, event);
        if (!names_event)
            return;
        if (better)
            near_miss_add(misses, NEAR_MISS_NAME, rule->source->path, program_line(rule, NULL),
                          "is for another VM, the one named '%s'", better->name)
                ->hint = memory_strdup("write the UUID of the VM that is meant");
        else
            near_miss_find_name(misses, rule, event);
    } else if (names_event) {
        near_miss_add(misses, NEAR_MISS_DEVICE, rule->source->path, program_line(rule, NULL),
                      "is for other devices");
    } else {
        char *events = near_miss_events(rule);
        near_miss_add(misses, NEAR_MISS_EVENT, rule->source->path, program_line(rule, NULL),
                      "is for %s", events);
        free(events);
    }
}

/* --- files that were read */

/* Why the rules of the file, or of a directory, do not count; NULL: they do. */
static const char *near_miss_why_broken(const struct source *source) {
    return source->refused   ? "was refused, so none of its rules counts"
           : !source->broken ? NULL
           : source->size    ? "has errors, so none of its rules counts"
                             : "was not read";
}

void near_miss_find(struct near_misses *misses, const struct program *program,
                    const struct event *event) {
    const struct ruleset *ruleset = program->ruleset;
    for (size_t i = 0; i < program->rule_count; i++)
        near_miss_find_rule(misses, program->rules[i], event);
    for (size_t i = 0; ruleset && i < ruleset->count; i++) {
        const struct source *source = ruleset->sources[i];
        const char *why = near_miss_why_broken(source);
        if (!why)
            continue;
        char *word = text_shell_operand(source->path);
        near_miss_add(misses, NEAR_MISS_ERRORS, source->path, 0, "%s", why)->hint =
            memory_printf("'virt-rules check %s' says what to do", word);
        free(word);
    }
}

/* --- files that were not read */

static bool near_miss_was_read(const struct program *program, const struct stat *status) {
    const struct ruleset *ruleset = program->ruleset;
    for (size_t i = 0; ruleset && i < ruleset->count; i++)
        if (ruleset->sources[i]->inode == status->st_ino &&
            ruleset->sources[i]->device == status->st_dev)
            return true;
    return false;
}

/* "x.rules~" and "x.rules.bak" beside a "x.rules" are copies of it. */
static bool near_miss_is_copy(const char *directory, const char *name) {
    struct stat status;
    const char *end = strstr(name, ".rules");
    char *original =
        end ? memory_printf("%s/%.*s.rules", directory, (int)(end - name), name) : NULL;
    bool found = original && end[strlen(".rules")] && stat(original, &status) == 0;
    free(original);
    return found;
}

/* The name by which the file would be read: "gpu.rules" of "gpu.rule", "gpu" and ".gpu.rules.off".
 */
static char *near_miss_right_name(const char *path) {
    const char *name = text_base_name(path);
    int directory = (int)(name - path);
    name += strspn(name, ".");
    const char *end = strcasestr(name, ".rule");
    return memory_printf("%.*s%.*s.rules", directory, path, (int)(end ? end - name : INT_MAX),
                         name);
}

/* A file that has the right name already must not be overwritten. */
static char *near_miss_rename_hint(const char *path) {
    struct stat status;
    char *right = near_miss_right_name(path);
    char *from = text_shell_operand(path), *to = text_shell_word(right);
    char *hint = lstat(right, &status) < 0
                     ? memory_printf("rename it with 'mv %s %s'", from, to)
                     : memory_printf("there is another file %s: what of this one is to count "
                                     "belongs into that",
                                     right);
    free(from);
    free(to);
    free(right);
    return hint;
}

static void near_miss_add_unread(struct near_misses *misses, const char *path) {
    char *word = text_shell_operand(path);
    if (text_ends_with(path, ".rules.disabled"))
        near_miss_add(misses, NEAR_MISS_UNREAD, path, 0, "is disabled")->hint =
            memory_printf("'virt-rules enable %s' enables it", word);
    else
        near_miss_add(misses, NEAR_MISS_UNREAD, path, 0, "was not read: its name %s",
                      *text_base_name(path) == '.' ? "begins with a dot" : "does not end in .rules")
            ->hint = near_miss_rename_hint(path);
    free(word);
}

/* Whether the file has a rule that may be for the VM. */
static bool near_miss_concerns(const struct ruleset *ruleset, const struct event *event, bool any) {
    struct near_misses found = {0};
    bool concerns = any && (ruleset->syntax.rules || ruleset->syntax.guards);
    for (const struct rule *rule = ruleset->syntax.rules; rule && !concerns; rule = rule->next)
        concerns =
            rule->vms && (match_vms(rule->vms, event) || near_miss_find_name(&found, rule, event));
    near_miss_finish(&found);
    return concerns;
}

static void near_miss_find_file(struct near_misses *misses, const struct program *program,
                                const struct event *event, const char *path) {
    struct ruleset ruleset;
    struct stat status;
    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_LIMIT ||
        near_miss_was_read(program, &status))
        return;
    ruleset_init(&ruleset);
    ruleset_add_path(&ruleset, path);
    ruleset_load(&ruleset, NULL);
    if (near_miss_concerns(&ruleset, event, !program->rule_count))
        near_miss_add_unread(misses, path);
    ruleset_finish(&ruleset);
}

static int near_miss_may_have_rules(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
           (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) &&
           (entry->d_name[0] == '.' || !text_ends_with(entry->d_name, ".rules"));
}

void near_miss_find_unread(struct near_misses *misses, const struct program *program,
                           const struct event *event, const char *directory) {
    struct dirent **entries = NULL;
    size_t before = misses->count;
    int count = scandir(directory, &entries, near_miss_may_have_rules, alphasort);
    for (int i = 0; i < count; i++) {
        char *path = memory_printf("%s/%s", directory, entries[i]->d_name);
        if (i < FILES_LIMIT && !near_miss_is_copy(directory, entries[i]->d_name))
            near_miss_find_file(misses, program, event, path);
        free(path);
        free(entries[i]);
    }
    free((void *)entries);
    if (program->ruleset && !program->ruleset->count) {
        bool has_others = misses->count > before;
        near_miss_add(misses, NEAR_MISS_UNREAD, directory, 0, "has no *.rules file")->hint =
            has_others ? NULL : memory_strdup("'virt-rules add' writes one");
    }
}

/* --- the list */

static int near_miss_compare(const void *left, const void *right) {
    const struct near_miss *a = left, *b = right;
    int order = (int)a->kind - (int)b->kind;
    order = order ? order : strcmp(a->path, b->path);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

void near_miss_sort(struct near_misses *misses) {
    if (misses->count)
        qsort(misses->list, misses->count, sizeof *misses->list, near_miss_compare);
}

void near_miss_finish(struct near_misses *misses) {
    for (size_t i = 0; i < misses->count; i++) {
        free(misses->list[i].path);
        free(misses->list[i].message);
        free(misses->list[i].hint);
    }
    free(misses->list);
    *misses = (struct near_misses){0};
}

char *near_miss_text(const struct near_miss *miss) {
    char line[32] = "";
    if (miss->line)
        snprintf(line, sizeof line, ":%zu", miss->line);
    return memory_printf("%s%s %s%s%s", miss->path, line, miss->message, miss->hint ? ": " : "",
                         miss->hint ? miss->hint : "");
}

void near_miss_print(const struct near_misses *misses, FILE *out, struct terminal terminal) {
    char *text;
    size_t size;
    FILE *lines = memory_stream(&text, &size);
    size_t shown = misses->count > LINES + 1 ? LINES : misses->count;
    for (size_t i = 0; i < shown; i++) {
        char *line = near_miss_text(&misses->list[i]);
        fputs("  ", lines);
        text_print_string(lines, line);
        putc('\n', lines);
        free(line);
    }
    if (shown < misses->count)
        fprintf(lines, "  and %zu more; 'virt-rules plan --json' has all\n", misses->count - shown);
    terminal_wrap_stream(out, terminal, INDENT, lines, &text);
}

struct json_object *near_miss_json(const struct near_misses *misses) {
    static const char *const kinds[] = {
        [NEAR_MISS_NAME] = "name",     [NEAR_MISS_DEVICE] = "device", [NEAR_MISS_ERRORS] = "errors",
        [NEAR_MISS_UNREAD] = "unread", [NEAR_MISS_EVENT] = "event",
    };
    struct json_object *array = text_json_array();
    for (size_t i = 0; i < misses->count; i++) {
        const struct near_miss *miss = &misses->list[i];
        struct json_object *object = text_json_object();
        text_put_json(object, "kind", kinds[miss->kind]);
        text_put_json(object, "path", miss->path);
        text_json_add(object, "line", miss->line ? text_json_number((int64_t)miss->line) : NULL);
        text_put_json(object, "message", miss->message);
        text_put_json(object, "hint", miss->hint);
        text_json_append(array, object);
    }
    return array;
}
