#include "engine/plan/selector.h"

#include "parser/print.h"
#include "parser/word_check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- which devices are alike */

static int selector_compare_id(const struct device *a, enum bus bus, struct device_id id) {
    if (a->bus != bus)
        return a->bus < bus ? -1 : 1;
    if (a->id.vendor != id.vendor)
        return a->id.vendor < id.vendor ? -1 : 1;
    return a->id.device == id.device ? 0 : a->id.device < id.device ? -1 : 1;
}

static int selector_compare_serial(const struct device *a, const char *serial) {
    return strcmp(a->serial ? a->serial : "", serial ? serial : "");
}

static int selector_compare(const void *left, const void *right) {
    const struct device *a = *(const struct device *const *)left;
    const struct device *b = *(const struct device *const *)right;
    int by_id = selector_compare_id(a, b->bus, b->id);
    return by_id ? by_id : selector_compare_serial(a, b->serial);
}

void selector_init(struct selector *selector, const struct host *host) {
    *selector =
        (struct selector){memory_zalloc((host->count + 1) * sizeof *selector->order), host->count};
    for (size_t i = 0; i < host->count; i++)
        selector->order[i] = &host->devices[i];
    qsort((void *)selector->order, host->count, sizeof *selector->order, selector_compare);
}

void selector_finish(struct selector *selector) {
    free((void *)selector->order);
    *selector = (struct selector){0};
}

/* Whether the host has at least `count` of them; with a serial only those that have it. */
static bool selector_has(const struct selector *selector, enum bus bus, struct device_id id,
                         const char *serial, size_t count) {
    size_t low = 0, high = selector->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct device *device = selector->order[middle];
        int by_id = selector_compare_id(device, bus, id);
        if (by_id < 0 || (!by_id && serial && selector_compare_serial(device, serial) < 0))
            low = middle + 1;
        else
            high = middle;
    }
    if (low + count > selector->count)
        return false;
    const struct device *last = selector->order[low + count - 1];
    return selector_compare_id(last, bus, id) == 0 &&
           (!serial || selector_compare_serial(last, serial) == 0);
}

/* --- serial numbers */

/* "0000", "FFFFFFFF", "000001", "12345678", "0123456789ABCDEF": nobody gave it a number. */
static bool selector_is_counted(const char *serial) {
    static const char digits[] = "0123456789ABCDEF";
    size_t length = strlen(serial), zeros = strspn(serial, "0");
    char upper[sizeof digits] = "";
    if (strspn(serial, (const char[]){*serial, '\0'}) == length)
        return true;
    if (!strcmp(serial + zeros, "1"))
        return true;
    for (size_t i = 0; i < length && i < sizeof digits - 1; i++)
        upper[i] = (char)toupper((unsigned char)serial[i]);
    return length > 2 && length < sizeof digits && strstr(digits, upper);
}

/* One that a maker left as it came, so that the next device of the kind may have it as well; or
 * one with characters that cannot be shown, or that 'check' warns of. */
static bool selector_is_placeholder(const char *serial) {
    static const char *const words[] = {"none",
                                        "n/a",
                                        "na",
                                        "null",
                                        "serial",
                                        "serialnumber",
                                        "serial number",
                                        "sn",
                                        "unknown",
                                        "default",
                                        "default string",
                                        "not specified",
                                        "to be filled by o.e.m.",
                                        "1234567890",
                                        "x.x"};
    if (!*serial || selector_is_counted(serial) || !word_check_is_clear_text(serial))
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(serial, words[i]))
            return true;
    return false;
}

/* The other id of a device that changes it; NULL: it keeps its own. */
static const struct device_id *selector_other_id(const struct device *device, bool *is_first) {
    const struct device_renamed *renamed =
        device->bus == BUS_USB ? device_find_renamed(device->id) : NULL;
    *is_first = renamed && device_id_is(device->id, renamed->ids[0]);
    return renamed ? &renamed->ids[*is_first] : NULL;
}

/* --- the text */

static void selector_print_id(FILE *out, struct device_id id) {
    fprintf(out, "%04x:%04x", id.vendor, id.device);
}

/* Whether its serial number means it alone; that of a device that changes its id may be there only
 * afterwards. */
static bool selector_has_own_serial(const struct selector *selector, const struct device *device) {
    bool is_first;
    return device->serial && !selector_other_id(device, &is_first) &&
           !selector_is_placeholder(device->serial) &&
           !selector_has(selector, device->bus, device->id, device->serial, 2);
}

/* What the id of a device lacks to mean it alone. */
static void selector_print_rest(const struct selector *selector, FILE *out,
                                const struct device *device, const struct device_id *other) {
    bool is_alone = !selector_has(selector, device->bus, device->id, NULL, 2) &&
                    !(other && selector_has(selector, device->bus, *other, NULL, 1));
    if (is_alone)
        return;
    if (selector_has_own_serial(selector, device)) {
        fputs(" serial ", out);
        print_string(out, device->serial);
    } else {
        fprintf(out, " %s %s", device_bus(device->bus)->keyword, device->address);
    }
}

/* Whether no other SCSI device has its product; with characters that cannot be shown, or that
 * 'check' warns of, it does not count. */
static bool selector_has_own_product(const struct selector *selector, const struct device *device) {
    if (!device->product || !*device->product || !word_check_is_clear_text(device->product))
        return false;
    for (size_t i = 0; i < selector->count; i++) {
        const struct device *other = selector->order[i];
        if (other != device && other->bus == BUS_SCSI && other->product &&
            !strcmp(other->product, device->product))
            return false;
    }
    return true;
}

/* A disk on USB has its serial number as a USB device, too. The address depends on the order in
 * which the kernel found the adapters, so it comes last. */
static void selector_print_scsi(const struct selector *selector, FILE *out,
                                const struct device *device) {
    bool has_serial = selector_has_own_serial(selector, device);
    bool has_product = !has_serial && selector_has_own_product(selector, device);
    fputs(has_serial ? "scsi serial " : has_product ? "scsi product " : "scsi ", out);
    print_string(out, has_serial    ? device->serial
                      : has_product ? device->product
                                    : device->address);
}

char *selector_text(const struct selector *selector, const struct device *device) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    bool is_first = true;
    if (device->bus == BUS_SCSI) {
        selector_print_scsi(selector, out, device);
        memory_stream_close(out, &text);
        return text;
    }
    const struct device_id *other = selector_other_id(device, &is_first);
    selector_print_id(out, is_first || !other ? device->id : *other);
    selector_print_rest(selector, out, device, other);
    if (other) {
        fputs(" or ", out);
        selector_print_id(out, is_first ? *other : device->id);
        selector_print_rest(selector, out, device, other);
    }
    memory_stream_close(out, &text);
    return text;
}

char *selector_addition(const struct selector *selector, const struct device *device) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&text, &size);
    bool has_serial = selector_has_own_serial(selector, device);
    fprintf(out, "%s ", has_serial ? "serial" : device_bus(device->bus)->keyword);
    if (has_serial || device->bus == BUS_SCSI)
        print_string(out, has_serial ? device->serial : device->address);
    else
        fputs(device->address, out);
    memory_stream_close(out, &text);
    return text;
}
