#include "engine/plan/plan_power.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

static bool plan_power_has_word(const char *words, const char *word) {
    char *copy = memory_strdup(words), *rest = copy;
    bool has = false;
    for (const char *one; !has && (one = text_next_field(&rest));)
        has = strcmp(one, word) == 0;
    free(copy);
    return has;
}

/* Of a device that only comes along with its IOMMU group the kernel chooses the reset. */
static const char *plan_power_method(const struct backend_options *options) {
    const struct action_option *option =
        options && !options->goes_along ? syntax_find_option(options->list, OPTION_RESET_METHOD)
                                        : NULL;
    return option ? option->text : NULL;
}

struct verdict plan_power_judge(const struct device *device,
                                const struct backend_options *options) {
    const char *method = plan_power_method(options);
    if (!method || (device->reset_methods && plan_power_has_word(device->reset_methods, method)))
        return (struct verdict){0};
    if (!device->reset_methods)
        return verdict_refuse(
            REFUSED_RESET_METHOD,
            memory_strdup("the kernel lets nobody choose how this device is reset: it is older "
                          "than Linux 5.15, or knows no reset for the device"),
            memory_printf("leave 'reset method %s' out of the rule, or use a newer kernel",
                          method));
    return verdict_refuse(REFUSED_RESET_METHOD,
                          memory_printf("it has no reset method %s: the kernel offers %s", method,
                                        device->reset_methods),
                          memory_printf("write one of these after 'reset method', or leave that "
                                        "out: the kernel then takes the first that works"));
}

/* Another device on the way to it sleeps with it: the USB device of a SCSI disk. */
static void plan_power_add_awake(struct setting_list *list, enum bus bus, const char *address) {
    char *path =
        memory_printf("sys/bus/%s/devices/%s/power/control", device_bus(bus)->name, address);
    setting_add(list, SETTING_POWER, path, "on");
    free(path);
    if (bus != BUS_PCI)
        return;
    path = memory_printf("sys/bus/pci/devices/%s/d3cold_allowed", address);
    setting_add(list, SETTING_D3COLD, path, "0");
    free(path);
}

void plan_power_add(struct setting_list *list, const struct device *device,
                    const struct backend_options *options) {
    const char *method = plan_power_method(options);
    if (options && syntax_find_option(options->list, OPTION_AWAKE)) {
        if (device->bus == BUS_SCSI && device->above)
            plan_power_add_awake(list, device->above_bus, device->above);
        plan_power_add_awake(list, device->bus, device->address);
    }
    if (method) {
        char *path = memory_printf("sys/bus/pci/devices/%s/reset_method", device->address);
        setting_add(list, SETTING_RESET_METHOD, path, method);
        free(path);
    }
}

char *plan_power_note(const struct setting_list *list, const struct device *device) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < list->count; i++) {
        const struct setting *one = &list->list[i];
        const char *file = strstr(one->path, device->address);
        bool is_power = one->kind == SETTING_POWER || one->kind == SETTING_D3COLD ||
                        one->kind == SETTING_RESET_METHOD;
        if (!is_power)
            continue;
        /* That of the device itself, or of the one that it is on. */
        file = file ? file + strlen(device->address) + 1 : one->path;
        memory_append(&text, "%s'%s' to %s", *text ? ", " : "while the VM has it, the host writes ",
                      one->value, file);
    }
    if (*text)
        return text;
    free(text);
    return NULL;
}
