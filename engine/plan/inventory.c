#include "engine/plan/inventory.h"

#include "engine/host/place.h"
#include "engine/model/device_class.h"
#include "engine/plan/check_host.h"
#include "engine/plan/plan.h"
#include "engine/rules/match.h"
#include "lexer/text.h"
#include "parser/print.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- where a device is */

/* The row of the device that the path in sysfs leads over just before it ends; SIZE_MAX: none. */
static size_t inventory_row_above(const struct inventory *inventory, const char *path) {
    const char *slash = strrchr(path, '/');
    char *directory = memory_strndup(path, slash ? (size_t)(slash - path) : 0);
    const struct device *above = place_nearest(inventory->host, directory);
    free(directory);
    return above ? (size_t)(above - inventory->host->devices) : SIZE_MAX;
}

static void inventory_find_place(struct inventory *inventory, const struct tree *tree, size_t row) {
    const struct device *device = inventory->rows[row].device;
    char *link =
        memory_printf("sys/bus/%s/devices/%s", device_bus(device->bus)->name, device->address);
    char *path = tree_resolve(tree, link);
    size_t above = path ? inventory_row_above(inventory, path) : SIZE_MAX;

    inventory->rows[row].above = above == row ? SIZE_MAX : above;
    inventory->rows[row].has_place = true;
    free(path);
    free(link);
}

void inventory_find_places(struct inventory *inventory) {
    struct tree tree;
    if (tree_open(&tree, inventory->host->root)) {
        for (size_t i = 0; i < inventory->count; i++)
            if (!inventory->rows[i].has_place)
                inventory_find_place(inventory, &tree, i);
        tree_close(&tree);
    }
}

/* Where what can be plugged in is, up to the bus of the processor. */
static void inventory_find_pluggable(struct inventory *inventory, const struct tree *tree) {
    for (size_t i = 0; i < inventory->count; i++) {
        if (inventory->rows[i].device->bus == BUS_PCI)
            continue;
        for (size_t row = i; row != SIZE_MAX && !inventory->rows[row].has_place;
             row = inventory->rows[row].above)
            inventory_find_place(inventory, tree, row);
    }
}

static bool inventory_is_behind(const struct inventory *inventory, size_t row, size_t controller) {
    size_t steps = 0; /* a broken copy of a host may have a circle */
    for (size_t i = inventory->rows[row].above; i != SIZE_MAX && steps++ < inventory->count;
         i = inventory->rows[i].above)
        if (i == controller)
            return true;
    return false;
}

static void inventory_add(size_t **list, size_t *count, size_t row) {
    *list = memory_grow(*list, *count, sizeof **list);
    (*list)[(*count)++] = row;
}

/* Devices that are plugged into a controller, and disks on it. A USB stick and its disk are one. */
static void inventory_find_behind(struct inventory *inventory, size_t row) {
    const struct device *device = inventory->rows[row].device;
    bool is_disk_of_stick =
        device->bus == BUS_SCSI && device->above && device->above_bus == BUS_USB;
    size_t steps = 0;
    if (device->bus == BUS_PCI || device->is_bridge || is_disk_of_stick)
        return;
    for (size_t i = inventory->rows[row].above; i != SIZE_MAX && steps++ < inventory->count;
         i = inventory->rows[i].above) {
        struct inventory_row *controller = &inventory->rows[i];
        if (controller->device->bus == BUS_PCI && !controller->device->is_bridge)
            inventory_add(&controller->behind, &controller->behind_count, row);
    }
}

static int inventory_compare_group(const void *left, const void *right) {
    const struct inventory_row *a = *(const struct inventory_row *const *)left;
    const struct inventory_row *b = *(const struct inventory_row *const *)right;
    if (a->device->bus != b->device->bus)
        return a->device->bus < b->device->bus ? -1 : 1;
    if (a->device->iommu_group != b->device->iommu_group)
        return a->device->iommu_group < b->device->iommu_group ? -1 : 1;
    return (a > b) - (a < b);
}

const struct inventory_row **inventory_order(const struct inventory *inventory) {
    const struct inventory_row **order = memory_zalloc((inventory->count + 1) * sizeof *order);
    for (size_t i = 0; i < inventory->count; i++)
        order[i] = &inventory->rows[i];
    qsort((void *)order, inventory->count, sizeof *order, inventory_compare_group);
    return order;
}

/* The other endpoints of each group; one that is not known has none. */
static void inventory_find_companions(struct inventory *inventory) {
    const struct inventory_row **order = inventory_order(inventory);
    for (size_t start = 0, end; start < inventory->count; start = end) {
        int group = order[start]->device->iommu_group;
        for (end = start; end < inventory->count && order[end]->device->iommu_group == group; end++)
            ;
        for (size_t i = start; group >= 0 && i < end; i++) {
            struct inventory_row *row = &inventory->rows[order[i] - inventory->rows];
            for (size_t j = start; !row->device->is_bridge && j < end; j++)
                if (judge_is_group_member(row->device, order[j]->device))
                    inventory_add(&row->companions, &row->companion_count,
                                  (size_t)(order[j] - inventory->rows));
        }
    }
    free((void *)order);
}

/* --- what it is called */

static void inventory_add_interface(struct inventory_row *row, const char *name) {
    row->interfaces =
        memory_grow((void *)row->interfaces, row->interface_count, sizeof *row->interfaces);
    row->interfaces[row->interface_count++] = memory_strdup(name);
}

char *inventory_interfaces_text(const struct inventory_row *row) {
    const size_t shown = 4;
    char *text = row->interface_count ? memory_strdup("") : NULL;
    for (size_t i = 0; i < row->interface_count && i < shown; i++)
        memory_append(&text, "%s%s", i ? ", " : "", row->interfaces[i]);
    if (row->interface_count > shown)
        memory_append(&text, " and %zu more", row->interface_count - shown);
    return text;
}

/* A bridge and the like are of no device. */
static void inventory_name_net(struct inventory *inventory) {
    const struct node_list *nodes = &inventory->host->net.nodes;
    for (size_t i = 0; i < nodes->count; i++) {
        const struct node *node = nodes->items[i];
        const struct device *device =
            node->path ? place_nearest(inventory->host, node->path) : NULL;
        if (device)
            inventory_add_interface(&inventory->rows[device - inventory->host->devices],
                                    node->name);
    }
}

static void inventory_name_files(struct inventory_row *row) {
    for (size_t i = 0; i < row->device->file_count; i++) {
        const struct device_file *file = &row->device->files[i];
        if (file->kind != FILE_EVENT)
            inventory_add_interface(row, text_base_name(file->path));
    }
}

/* --- keyboards */

static bool inventory_is_keyboard(const struct device *device) {
    enum { INTERFACE_KEYBOARD = 0x030101 };
    for (size_t i = 0; device->bus == BUS_USB && i < device->interface_count; i++)
        if (device->interfaces[i].class_code == INTERFACE_KEYBOARD)
            return true;
    return device->is_console_keyboard;
}

static bool inventory_takes(const struct inventory *inventory, size_t row, size_t other) {
    const struct inventory_row *one = &inventory->rows[row];
    if (row == other || inventory_is_behind(inventory, other, row))
        return true;
    for (size_t i = 0; one->suggested.with_group && i < one->companion_count; i++)
        if (inventory_is_behind(inventory, other, one->companions[i]))
            return true;
    return false;
}

/* The host's console may be used again although nobody sees it now, so this only warns. */
static void inventory_warn(struct inventory *inventory, size_t row, const size_t *keyboards,
                           size_t count) {
    struct inventory_row *one = &inventory->rows[row];
    size_t taken = SIZE_MAX;
    if (!one->suggested.text || one->warning)
        return;
    for (size_t i = 0; i < count; i++) {
        if (inventory_takes(inventory, row, keyboards[i]))
            taken = keyboards[i];
        else if (!inventory->rows[keyboards[i]].held)
            return;
    }
    if (taken == row)
        one->warning = memory_strdup("the host has no other USB keyboard");
    else if (taken != SIZE_MAX)
        one->warning = memory_printf("the host's only USB keyboard goes with it (%s)",
                                     inventory->rows[taken].device->address);
}

static void inventory_warn_of_keyboards(struct inventory *inventory) {
    size_t *keyboards = NULL, count = 0, built_in = inventory->host->keyboards;
    for (size_t i = 0; i < inventory->count; i++) {
        const struct device *device = inventory->rows[i].device;
        built_in -= built_in && device->is_console_keyboard;
        if (inventory_is_keyboard(device))
            inventory_add(&keyboards, &count, i);
    }
    for (size_t i = 0; !built_in && i < inventory->count; i++)
        inventory_warn(inventory, i, keyboards, count);
    free(keyboards);
}

/* --- who has it */

static bool inventory_is_itself(const struct held_device *held, const void *context) {
    (void)context;
    return held->is_itself;
}

/* Whether the action can attach the device; a VM that has it may give it back. */
static bool inventory_can(struct inventory *inventory, const struct device *device,
                          const struct action *action, const struct target *target) {
    const struct backend_options options = plan_backend_options(action, target, device);
    struct verdict verdict = judge_device(&inventory->judge, device, backend_type(action->backend),
                                          &options, action->with_group);
    enum refusal refusal = verdict.refusal;
    verdict_finish(&verdict);
    return !refusal || refusal == REFUSED_HELD;
}

static void inventory_find_rules(struct inventory *inventory, struct inventory_row *row) {
    const struct program *program = inventory->judge.program;
    for (size_t i = 0; program && i < program->rule_count; i++)
        for (const struct action *action = program->rules[i]->actions; action;
             action = action->next) {
            const struct target *target = action->verb == VERB_ATTACH ? action->targets : NULL;
            if (!target || !backend_has_bus(backend_type(action->backend), row->device->bus))
                continue;
            while (target && !match_device(target->device, row->device))
                target = target->next;
            if (!target)
                continue;
            row->rules = memory_grow(row->rules, row->rule_count, sizeof *row->rules);
            row->rules[row->rule_count++] = (struct inventory_rule){
                program->rules[i], action, inventory_can(inventory, row->device, action, target)};
        }
}

char *inventory_rule_place(const struct inventory_rule *rule) {
    return memory_printf("%s:%zu", text_base_name(rule->rule->source->path),
                         program_line(rule->rule, rule->action));
}

char *inventory_rule_vms(const struct inventory_rule *rule) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    print_words(out, rule->rule->vms, ", ");
    memory_stream_close(out, &text);
    return text;
}

char *inventory_rule_text(const struct inventory_rule *rule) {
    char *place = inventory_rule_place(rule), *vms = inventory_rule_vms(rule);
    char *text =
        memory_printf("%s %s %s", place, rule->can ? "attaches it to" : "names it for", vms);
    free(place);
    free(vms);
    return text;
}

char *inventory_holder_text(const struct inventory_row *row) {
    return row->held ? memory_printf("VM '%s' %s", domain_label(row->held->vm), row->held->text)
                     : NULL;
}

/* --- the state */

static backend_set inventory_other_backends(struct inventory *inventory,
                                            const struct inventory_row *row) {
    backend_set set = row->suggested.text ? backend_presenting(inventory->host, row->device) : 0;
    for (enum backend backend = BACKEND_NONE + 1; backend < BACKEND_COUNT; backend++) {
        if (!(set & 1U << backend))
            continue;
        struct verdict verdict =
            suggest_rule_judge(&inventory->judge, row->device, backend_type(backend));
        if (verdict.refusal || backend == row->suggested.backend->backend)
            set &= ~(1U << backend);
        verdict_finish(&verdict);
    }
    return set;
}

/* Parts of the chipset that the host alone has a driver for: memory, bridges, SMBus, the management
 * engine, sensors, timers. */
static bool inventory_is_chipset(const struct device *device) {
    uint32_t base = device->class_code >> 16, class = device->class_code >> 8;
    return device_is_on_root_bus(device) &&
           (base == 0x05 || base == 0x06 || base == 0x08 || base == 0x11 || base == 0x13 ||
            class == 0x0c05 || class == 0x0780);
}

static enum inventory_state inventory_state(const struct inventory_row *row) {
    const struct device *device = row->device;
    if (device->is_bridge || (inventory_is_chipset(device) && !row->held && !row->rule_count))
        return INVENTORY_INTERNAL;
    if (row->suggested.text && !row->suggested.gives_display)
        return INVENTORY_FREE;
    switch (row->suggested.verdict.refusal) {
    case REFUSED_HOST_USE:
    case REFUSED_UNKNOWN_USE:
    case REFUSED_HELD:
        return INVENTORY_IN_USE;
    default:
        return INVENTORY_REFUSED;
    }
}

void inventory_init(struct inventory *inventory, const struct host *host,
                    const struct program *program, const struct domain *vms, size_t vm_count) {
    *inventory =
        (struct inventory){.host = host,
                           .vms = vms,
                           .vm_count = vm_count,
                           .rows = memory_zalloc((host->count + 1) * sizeof *inventory->rows),
                           .count = host->count,
                           .may_define = !check_host_manager(host->root),
                           .judge = {.host = host,
                                     .domain = &judge_any_vm,
                                     .program = program,
                                     .others = vms,
                                     .other_count = vm_count}};
    selector_init(&inventory->selector, host);
    for (size_t i = 0; i < vm_count; i++)
        holdings_add(&inventory->holdings, host, &vms[i]);
    holdings_sort(&inventory->holdings);
    for (size_t i = 0; i < host->count; i++) {
        struct inventory_row *row = &inventory->rows[i];
        row->device = &host->devices[i];
        row->above = SIZE_MAX;
        row->suggested = suggest_rule(&inventory->judge, &inventory->selector, row->device, NULL,
                                      inventory->may_define);
        row->also = inventory_other_backends(inventory, row);
        row->held = holdings_find(&inventory->holdings, row->device, inventory_is_itself, NULL);
        if (row->suggested.gives_display)
            row->warning = memory_strdup("the host's screen is dark while a VM has it");
        inventory_find_rules(inventory, row);
    }
    struct tree tree;
    if (tree_open(&tree, host->root)) {
        inventory_find_pluggable(inventory, &tree);
        tree_close(&tree);
    }
    inventory_name_net(inventory);
    for (size_t i = 0; i < host->count; i++) {
        inventory_find_behind(inventory, i);
        inventory_name_files(&inventory->rows[i]);
        inventory->rows[i].state = inventory_state(&inventory->rows[i]);
    }
    inventory_find_companions(inventory);
    inventory_warn_of_keyboards(inventory);
}

void inventory_finish(struct inventory *inventory) {
    for (size_t i = 0; i < inventory->count; i++) {
        struct inventory_row *row = &inventory->rows[i];
        suggest_rule_finish(&row->suggested);
        for (size_t j = 0; j < row->interface_count; j++)
            free(row->interfaces[j]);
        free((void *)row->interfaces);
        free(row->behind);
        free(row->companions);
        free(row->warning);
        free(row->rules);
    }
    free(inventory->rows);
    holdings_finish(&inventory->holdings);
    selector_finish(&inventory->selector);
    judge_finish(&inventory->judge);
}

/* --- words */

/* As a whole word: not "nic" in "Communications". */
static bool inventory_is_word_of(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *at = text; (at = strcasestr(at, word)); at++)
        if ((at == text || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[length]))
            return true;
    return false;
}

bool inventory_has_words(const struct inventory_row *row, char *const *words, int count) {
    const struct device *device = row->device;
    if (!count)
        return true;
    char *all = memory_printf(
        "%s\n%s\n%04x:%04x\n%s\n%s\n%s\n%s\n%s\n%s", device->name, device->address,
        device->id.vendor, device->id.device, device_bus(device->bus)->label, device_class(device),
        device->driver ? device->driver : "", device->serial ? device->serial : "",
        row->held ? domain_label(row->held->vm) : "", device->product ? device->product : "");
    for (size_t i = 0; i < device->interface_count; i++)
        if (device->interfaces[i].driver)
            memory_append(&all, "\n%s", device->interfaces[i].driver);
    for (size_t i = 0; i < device->file_count; i++)
        memory_append(&all, "\n%s", device->files[i].path);
    for (size_t i = 0; i < row->interface_count; i++)
        memory_append(&all, "\n%s", row->interfaces[i]);
    bool has = true;
    for (int i = 0; i < count && has; i++)
        has = device_class_is_word(words[i])
                  ? device_class_has_word(device, words[i]) || inventory_is_word_of(all, words[i])
                  : strcasestr(all, words[i]) != NULL;
    free(all);
    return has;
}
