/* Words to values: ids, addresses, classes, ports, durations, and what to say of those that are
 * nearly right. */
#include "parser/syntax.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char ID_FORM[] = "a PCI or USB id has four hex digits on each side";

bool is_glob(const char *text) {
    return strpbrk(text, "*?[") != NULL;
}

static size_t count_of(const char *text, char wanted) {
    size_t count = 0;
    for (; *text; text++)
        count += *text == wanted;
    return count;
}

static bool all_hex(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    return length > 0;
}

static bool id_half(const char *text, size_t length, uint16_t *value, bool *any) {
    *any = length == 1 && *text == '*';
    if (*any)
        return true;
    if (length != 4 || !all_hex(text, 4))
        return false;
    *value = (uint16_t)strtoul(text, NULL, 16);
    return true;
}

/* A half that only lacks zeros or has 0x before it, as it should have been written; NULL when it is
 * worse. */
static char *mended_half(const char *text, size_t length) {
    if (length == 1 && *text == '*')
        return memory_strdup("*");
    if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text += 2;
        length -= 2;
    }
    if (length > 4 || !all_hex(text, length))
        return NULL;
    return memory_printf("%0*lx", 4, strtoul(text, NULL, 16));
}

static void hint_id(struct diagnostic *diagnostic, const char *text, const char *colon) {
    char *vendor = mended_half(text, (size_t)(colon - text));
    char *device = mended_half(colon + 1, strlen(colon + 1));
    if (vendor && device)
        diagnostic_hint(diagnostic, "did you mean '%s:%s'?", vendor, device);
    else
        diagnostic_hint(diagnostic, "write it as lspci -nn and lsusb do: 1ac1:089a");
    free(vendor);
    free(device);
}

bool value_id(struct parse_context *context, struct criterion *criterion, struct span span,
              const char *text) {
    const char *colon = strchr(text, ':');
    if (!colon || strchr(colon + 1, ':')) {
        diagnostic_hint(
            diagnose(context->diagnostics, context->source, span, "bad-id", "%s", ID_FORM),
            "write it as lspci -nn and lsusb do: 1ac1:089a");
        return false;
    }
    if (!id_half(text, (size_t)(colon - text), &criterion->id.vendor, &criterion->any_vendor) ||
        !id_half(colon + 1, strlen(colon + 1), &criterion->id.device, &criterion->any_device)) {
        hint_id(diagnose(context->diagnostics, context->source, span, "bad-id", "%s", ID_FORM),
                text, colon);
        return false;
    }
    if (criterion->any_vendor && criterion->any_device) {
        diagnostic_hint(diagnose(context->diagnostics, context->source, span, "bad-id",
                                 "'*:*' would mean every device"),
                        "give the vendor at least: 10de:*");
        return false;
    }
    return true;
}

static bool address_part(const char *text, size_t length, size_t digits, unsigned limit) {
    bool glob = false;
    for (size_t i = 0; i < length; i++) {
        if (strchr("*?[]!^-", text[i]))
            glob = true;
        else if (!isxdigit((unsigned char)text[i]))
            return false;
    }
    if (!length || glob)
        return length > 0;
    return length == digits && strtoul(text, NULL, 16) <= limit;
}

static bool is_address(const char *text) {
    const char *dot = strrchr(text, '.');
    if (!dot || !address_part(dot + 1, strlen(dot + 1), 1, 7))
        return false;
    const char *first = strchr(text, ':');
    if (!first || first > dot)
        return false;
    const char *second = strchr(first + 1, ':');
    if (second && (second > dot || strchr(second + 1, ':')))
        return false;
    const char *bus = second ? first + 1 : text;
    const char *bus_end = second ? second : first;
    return (!second || address_part(text, (size_t)(first - text), 4, 0xffff)) &&
           address_part(bus, (size_t)(bus_end - bus), 2, 0xff) &&
           address_part(bus_end + 1, (size_t)(dot - bus_end - 1), 2, 0x1f);
}

bool value_address(struct parse_context *context, struct criterion *criterion, struct span span,
                   const char *text) {
    criterion->kind = CRITERION_ADDRESS;
    if (!is_address(text)) {
        diagnostic_hint(diagnose(context->diagnostics, context->source, span, "bad-address",
                                 "'%s' is no PCI address", text),
                        "write it as lspci -D does: 0000:03:00.0; a glob is allowed: 0000:03:00.*");
        return false;
    }
    char *full = memory_printf("%s%s", count_of(text, ':') == 1 ? "0000:" : "", text);
    for (char *at = full; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    criterion->text = intern(&context->syntax->texts, full, strlen(full));
    free(full);
    return true;
}

bool value_class(struct parse_context *context, struct criterion *criterion, struct span span,
                 const char *text) {
    criterion->kind = CRITERION_CLASS;
    size_t length = strlen(text);
    if ((length != 2 && length != 4 && length != 6) || !all_hex(text, length)) {
        diagnostic_hint(diagnose(context->diagnostics, context->source, span, "bad-class",
                                 "a class is 2, 4 or 6 hex digits"),
                        "03 is every display, 0300 a VGA display, 030000 its first interface");
        return false;
    }
    criterion->class_prefix.value = (uint32_t)strtoul(text, NULL, 16);
    criterion->class_prefix.digits = (uint8_t)length;
    return true;
}

/* "1-1.4": the bus, then the ports on the way. */
static bool is_port(const char *text) {
    size_t digits = strspn(text, "0123456789");
    if (!digits || text[digits] != '-')
        return false;
    do {
        text += digits + 1;
        digits = strspn(text, "0123456789");
        if (!digits)
            return false;
    } while (text[digits] == '.');
    return !text[digits];
}

bool value_port(struct parse_context *context, struct criterion *criterion, struct span span,
                const char *text) {
    criterion->kind = CRITERION_PORT;
    criterion->text = text;
    if (is_port(text))
        return true;
    diagnostic_hint(diagnose(context->diagnostics, context->source, span, "bad-port",
                             "'%s' is no USB port", text),
                    "a port is the bus and the ports on the way: 1-1.4");
    return false;
}

static bool is_name(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    while (isalnum((unsigned char)*text) || *text == '_' || *text == '-')
        text++;
    return !*text;
}

bool value_name(struct parse_context *context, struct span span, const char *text) {
    if (is_name(text))
        return true;
    diagnostic_hint(diagnose(context->diagnostics, context->source, span, "bad-name",
                             "'%s' cannot name a device", text),
                    "a name is letters, digits, '-' and '_', a letter first");
    return false;
}

static bool bad_device(struct parse_context *context, struct span span, const char *text) {
    struct diagnostic *diagnostic = diagnose(context->diagnostics, context->source, span,
                                             "bad-device", "'%s' is no device", text);
    if (is_port(text))
        diagnostic_hint(diagnostic, "a USB port is written 'port %s'", text);
    else if (strlen(text) == 9 && strspn(text, "0123456789abcdefABCDEF") == 4)
        diagnostic_hint(diagnostic, "did you mean '%.4s:%s'?", text, text + 5);
    else
        diagnostic_hint(diagnostic, "a device is an id (1ac1:089a), an address (0000:03:00.0) or "
                                    "a name that 'device NAME is ...' defines");
    return false;
}

/* What a bare word in the place of a device is, told from its shape alone. */
bool value_criterion(struct parse_context *context, struct criterion *criterion, struct span span,
                     const char *text) {
    size_t colons = count_of(text, ':');
    if (colons > 1 || (colons && strchr(text, '.')))
        return value_address(context, criterion, span, text);
    if (colons)
        return value_id(context, criterion, span, text);
    criterion->kind = CRITERION_NAME;
    criterion->text = text;
    return is_name(text) || bad_device(context, span, text);
}

bool value_duration(struct parse_context *context, uint32_t *milliseconds, struct span span,
                    const char *text) {
    char *unit = NULL;
    unsigned long long number = strtoull(text, &unit, 10);
    unsigned long long scale = !strcmp(unit, "ms")  ? 1
                               : !strcmp(unit, "s") ? 1000
                               : !strcmp(unit, "m") ? 60000
                                                    : 0;
    if (!isdigit((unsigned char)*text) || !scale) {
        struct diagnostic *diagnostic = diagnose(context->diagnostics, context->source, span,
                                                 "bad-duration", "'%s' is no duration", text);
        if (isdigit((unsigned char)*text) && !*unit)
            diagnostic_hint(diagnostic, "did you mean '%ss'?", text);
        else
            diagnostic_hint(diagnostic, "a duration is a number and its unit: 500ms, 5s, 2m");
        return false;
    }
    if (number > DURATION_LIMIT_MS / scale) {
        diagnostic_hint(diagnose(context->diagnostics, context->source, span, "bad-duration",
                                 "'%s' is longer than the limit of 1440m", text),
                        "nothing that a VM's start waits for takes a day");
        return false;
    }
    *milliseconds = (uint32_t)(number * scale);
    return true;
}

bool value_count(struct parse_context *context, unsigned *count, struct span span,
                 const char *text) {
    unsigned long number = strlen(text) > 8 ? TARGET_COUNT_LIMIT + 1 : strtoul(text, NULL, 10);
    *count = (unsigned)number;
    if (number >= 1 && number <= TARGET_COUNT_LIMIT)
        return true;
    diagnostic_hint(diagnose(context->diagnostics, context->source, span, "bad-count",
                             "'any %s' is no number of devices", text),
                    "from 1 to %d; 'any' alone is 1", TARGET_COUNT_LIMIT);
    return false;
}
