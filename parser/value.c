/* Words to values: ids, addresses, classes, ports and durations, with hints for those that are
 * nearly right. */
#include "lexer/character.h"
#include "parser/glob.h"
#include "parser/suggest.h"
#include "parser/syntax.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DOMAIN_DIGITS = 8 };

bool value_is_glob(const char *text) {
    return strpbrk(text, "*?[") != NULL;
}

static size_t value_count_of(const char *text, char wanted) {
    size_t count = 0;
    for (; *text; text++)
        count += *text == wanted;
    return count;
}

static bool value_all_hex(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    return length > 0;
}

static bool value_is_any_half(const char *text, size_t length) {
    return length == 1 && *text == '*';
}

static bool value_id_half(const char *text, size_t length, uint16_t *value) {
    unsigned number = 0;
    if (value_is_any_half(text, length))
        return true;
    for (size_t i = 0; i < length; i++) {
        if (!isxdigit((unsigned char)text[i]))
            return false;
        bool is_letter = text[i] > '9';
        number = number << 4 | (((unsigned)text[i] + (is_letter ? 9 : 0)) & 0xf);
    }
    *value = (uint16_t)number;
    return length == 4;
}

/* [8086:1521], [0300]: as lspci -nn prints them. */
static bool value_hint_brackets(struct diagnostic *diagnostic, const char *text) {
    size_t length = strlen(text);
    if (length < 3 || !strchr("[(<", *text) || !strchr("])>", text[length - 1]))
        return false;
    diagnostic_hint(diagnostic,
                    length == 6 && *text == '[' ? "leave out the brackets: class %.*s"
                                                : "leave out the brackets: %.*s",
                    (int)length - 2, text + 1);
    return true;
}

static bool value_hint_separator(struct diagnostic *diagnostic, const char *text) {
    if (!character_has_wide_separator(text))
        return false;
    diagnostic_hint(diagnostic, "separate them with a plain ','");
    return true;
}

/* A half without its leading zeros, or with 0x before it, corrected; NULL: it cannot be. */
static char *value_corrected_half(const char *text, size_t length) {
    if (value_is_any_half(text, length))
        return memory_strdup("*");
    if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text += 2;
        length -= 2;
    }
    if (length > 4 || !value_all_hex(text, length))
        return NULL;
    return memory_printf("%0*lx", 4, strtoul(text, NULL, 16));
}

/* A bad word right after a bad word is the same mistake, such as an id with a blank in it. The span
 * of the first diagnostic is extended. */
static bool value_continues_mistake(struct parse_context *context, struct span span) {
    struct diagnostics *diagnostics = context->diagnostics;
    struct diagnostic *last =
        diagnostics->count ? &diagnostics->list[diagnostics->count - 1] : NULL;
    if (!last || last->source != context->source || last->whole_file || last->span.end > span.start)
        return false;
    const char *text = context->source->text;
    for (uint32_t at = last->span.end; at < span.start; at++)
        if (text[at] != ' ' && text[at] != '\t')
            return false;
    if (last->check != CHECK_BAD_DEVICE && last->check != CHECK_BAD_ID)
        return false;
    last->span.end = span.end;
    char digits[9] = "", *end = digits;
    for (uint32_t at = last->span.start; at < span.end; at++)
        if (isxdigit((unsigned char)text[at]) && end < digits + 8)
            *end++ = text[at];
        else if (!strchr(" \t:", text[at]))
            return true;
    if (end == digits + 8)
        diagnostic_hint(last, "did you mean '%.4s:%s'?", digits, digits + 4);
    return true;
}

static size_t value_without_end(const char *text, size_t length) {
    while (length > 0 && strchr(";.'`", text[length - 1]))
        length--;
    return length;
}

static void value_hint_id(struct diagnostic *diagnostic, const char *text, const char *colon) {
    size_t length = value_without_end(text, strlen(text)), left = (size_t)(colon - text);
    bool short_halves =
        left == 2 && length == 5 && value_all_hex(text, 2) && value_all_hex(text + 3, 2);
    char *vendor = left < length ? value_corrected_half(text, left) : NULL;
    char *device = vendor ? value_corrected_half(colon + 1, length - left - 1) : NULL;
    if (value_hint_brackets(diagnostic, text) || value_hint_separator(diagnostic, text))
        ;
    else if (value_is_glob(text) && left == 2 && value_all_hex(text, 2) && strlen(colon + 1) <= 2)
        diagnostic_hint(diagnostic, "a PCI address has its function: '%s.*'; an id has four digits",
                        text);
    else if (value_is_glob(text))
        diagnostic_hint(diagnostic, "'*' replaces a whole half: 10de:*");
    else if (short_halves)
        diagnostic_hint(diagnostic, "a PCI address has its function: '%.5s.0', or '%.5s.*' for all",
                        text, text);
    else if (strspn(text, "0123456789") == 3 && strspn(text + 4, "0123456789") == 3 && !text[7])
        diagnostic_hint(diagnostic,
                        "lsusb's bus and device change at each plugging in: write the ID "
                        "that it shows (1a6e:089a), or the port (port 1-1)");
    else if (vendor && device)
        diagnostic_hint(diagnostic, "did you mean '%s:%s'?", vendor, device);
    else
        diagnostic_hint(diagnostic, "write it as lspci -nn and lsusb do: 1ac1:089a");
    free(vendor);
    free(device);
}

static struct diagnostic *value_bad_id(struct parse_context *context, struct span span) {
    return diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_ID,
                          "a PCI or USB id has four hex digits on each side");
}

bool value_id(struct parse_context *context, struct criterion *criterion, struct span span,
              const char *text) {
    criterion->kind = CRITERION_ID;
    const char *colon = strchr(text, ':');
    if (!colon || strchr(colon + 1, ':')) {
        diagnostic_hint(value_bad_id(context, span),
                        "write it as lspci -nn and lsusb do: 1ac1:089a");
        return false;
    }
    size_t length = (size_t)(colon - text), rest = strlen(colon + 1);
    criterion->any_vendor = value_is_any_half(text, length);
    criterion->any_device = value_is_any_half(colon + 1, rest);
    if (!value_id_half(text, length, &criterion->id.vendor) ||
        !value_id_half(colon + 1, rest, &criterion->id.device)) {
        if (!value_continues_mistake(context, span))
            value_hint_id(value_bad_id(context, span), text, colon);
        return false;
    }
    if (criterion->any_vendor && criterion->any_device) {
        diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_ID,
                                       "'*:*' would mean every device"),
                        "give at least the vendor: 10de:*");
        return false;
    }
    return true;
}

bool value_subsystem(struct parse_context *context, struct criterion *criterion, struct span span,
                     const char *text) {
    bool good = value_id(context, criterion, span, text);
    criterion->kind = CRITERION_SUBSYSTEM;
    return good;
}

static bool value_address_part(const char *text, size_t length, size_t digits, unsigned limit) {
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

bool value_has_open_bracket(const char *text) {
    for (const char *open = text; (open = strchr(open, '['));) {
        const char *first = open + 1 + (open[1] == '!' || open[1] == '^');
        open = *first ? strchr(first + 1, ']') : NULL;
        if (!open)
            return true;
    }
    return false;
}

/* As the kernel prints a domain (%04x): the digits above four do not begin with 0. */
static bool value_is_plain_domain(const char *text, size_t length) {
    return length >= 4 && length <= DOMAIN_DIGITS && value_all_hex(text, length) &&
           (length == 4 || *text != '0');
}

static bool value_is_domain(const char *text, size_t length) {
    return value_all_hex(text, length) ? value_is_plain_domain(text, length)
                                       : value_address_part(text, length, 4, 0xffff);
}

/* "10001:*": all that is in a domain. */
static bool value_is_whole_domain(const char *text) {
    const char *colon = strchr(text, ':');
    return colon && !strcmp(colon, ":*") && value_is_plain_domain(text, (size_t)(colon - text));
}

static bool value_is_address(const char *text) {
    if (value_has_open_bracket(text))
        return false;
    if (value_is_whole_domain(text))
        return true;
    const char *dot = strrchr(text, '.');
    if (!dot || !value_address_part(dot + 1, strlen(dot + 1), 1, 7))
        return false;
    const char *first = strchr(text, ':');
    if (!first || first > dot)
        return false;
    const char *second = strchr(first + 1, ':');
    if (second && (second > dot || strchr(second + 1, ':')))
        return false;
    const char *bus = second ? first + 1 : text;
    const char *bus_end = second ? second : first;
    return (!second || value_is_domain(text, (size_t)(first - text))) &&
           value_address_part(bus, (size_t)(bus_end - bus), 2, 0xff) &&
           value_address_part(bus_end + 1, (size_t)(dot - bus_end - 1), 2, 0x1f);
}

/* One number of an address and the character after it; false when it is out of bounds. */
static bool value_take_part(const char **text, unsigned limit, const char *separators,
                            unsigned *value) {
    char *end = NULL;
    if (!isxdigit((unsigned char)**text))
        return false;
    unsigned long number = strtoul(*text, &end, 16);
    if (number > limit || end - *text > (number > 0xffff ? DOMAIN_DIGITS : 4) ||
        (*separators ? !*end : *end != 0) || (*end && !strchr(separators, *end)))
        return false;
    *value = (unsigned)number;
    *text = end + (*end != 0);
    return true;
}

/* As lspci, libvirt's nodedev or people in a hurry write it. */
char *value_corrected_address(const char *text) {
    static const char BETWEEN[] = ":._-";
    unsigned domain = 0, bus = 0, slot = 0, function = 0;
    if (!strncmp(text, "pci_", 4))
        text += 4;
    const char *from_domain = text, *from_bus = text;
    if (!(value_take_part(&from_domain, UINT32_MAX, BETWEEN, &domain) &&
          value_take_part(&from_domain, 0xff, BETWEEN, &bus) &&
          value_take_part(&from_domain, 0x1f, BETWEEN, &slot) &&
          value_take_part(&from_domain, 7, "", &function))) {
        domain = 0;
        if (!(value_take_part(&from_bus, 0xff, BETWEEN, &bus) &&
              value_take_part(&from_bus, 0x1f, BETWEEN, &slot) &&
              value_take_part(&from_bus, 7, "", &function)))
            return NULL;
    }
    return memory_printf("%04x:%02x:%02x.%x", domain, bus, slot, function);
}

static bool value_is_port(const char *text);

/* A glob that matches no address only because of its domain. */
static bool value_has_bad_domain(const char *text) {
    const char *colon = strchr(text, ':');
    bool has_domain = colon && strchr(colon + 1, ':');
    char *other = memory_printf("*%s", has_domain ? colon : "");
    bool is_bad = has_domain && glob_addresses_meet(other, "*");
    free(other);
    return is_bad;
}

/* Six pairs of hex digits that ':' separates. */
static bool value_is_mac(const char *text) {
    for (size_t pair = 0; pair < 6; pair++, text += 3)
        if (!value_all_hex(text, strnlen(text, 2)) || strnlen(text, 2) != 2 ||
            text[2] != (pair < 5 ? ':' : '\0'))
            return false;
    return true;
}

/* "3:0:0:0": host, channel, target and LUN. */
bool value_is_scsi(const char *text) {
    for (size_t part = 0; part < 4; part++) {
        size_t digits = strspn(text, "0123456789");
        if (!digits || digits > 20 || (*text == '0' && digits > 1) ||
            text[digits] != (part < 3 ? ':' : '\0'))
            return false;
        text += digits + 1;
    }
    return true;
}

/* "scsi 3:0:0:0", without the quotes */
static bool value_follows_scsi(const struct source *source, uint32_t at) {
    size_t length = strlen(scanner_token_text(TOKEN_SCSI));
    while (at > 0 && strchr(" \t", source->text[at - 1]))
        at--;
    return at > length &&
           !strncmp(source->text + at - length, scanner_token_text(TOKEN_SCSI), length);
}

static bool value_bad_address(struct parse_context *context, struct span span, const char *text) {
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_ADDRESS,
                       "'%s' is not a PCI address", text);
    size_t length = value_without_end(text, strlen(text));
    char *whole = memory_strndup(text, length);
    char *with_function = memory_printf("%s.0", whole);
    char *corrected = value_corrected_address(whole);
    if (value_hint_brackets(diagnostic, text) || value_hint_separator(diagnostic, text))
        ;
    else if (value_is_scsi(text) && value_follows_scsi(context->source, span.start))
        diagnostic_hint(diagnostic, "write it in quotes: scsi \"%s\"", text);
    else if (value_is_mac(text))
        diagnostic_hint(diagnostic, "a MAC address is an option: as net mac \"%s\"", text);
    else if (value_is_scsi(text))
        diagnostic_hint(diagnostic, "a SCSI device is written: scsi \"%s\"", text);
    else if (value_is_address(text) && value_has_bad_domain(text))
        diagnostic_hint(diagnostic, "no address matches it: a domain has four digits, or five to "
                                    "eight that do not begin with 0");
    else if (value_is_address(text))
        diagnostic_hint(
            diagnostic,
            "no address matches it: a bus and a slot have two digits, the slot is at most 1f, "
            "the function 0 to 7");
    else if (value_is_port(text))
        diagnostic_hint(diagnostic, "a USB port is written 'port %s'", text);
    else if (value_is_address(with_function))
        diagnostic_hint(diagnostic, "an address has its function: '%s.0', or '%s.*' for all", whole,
                        whole);
    else if (corrected)
        diagnostic_hint(diagnostic, "did you mean '%s'?", corrected);
    else
        diagnostic_hint(diagnostic, "write it as lspci -D does: 0000:03:00.0, the slot at most 1f, "
                                    "the last digit 0 to 7; a glob is allowed: 0000:03:00.*");
    free(whole);
    free(with_function);
    free(corrected);
    return false;
}

bool value_address(struct parse_context *context, struct criterion *criterion, struct span span,
                   const char *text) {
    criterion->kind = CRITERION_ADDRESS;
    if (!value_is_address(text))
        return value_bad_address(context, span, text);
    bool lacks_domain = value_count_of(text, ':') == 1 && !value_is_whole_domain(text);
    char *full = memory_printf("%s%s", lacks_domain ? "0000:" : "", text);
    for (char *at = full; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    criterion->text = scanner_intern(&context->syntax->texts, full, strlen(full));
    free(full);
    return !value_is_glob(criterion->text) || glob_addresses_meet(criterion->text, "*") ||
           value_bad_address(context, span, text);
}

static bool value_is_class(const char *text) {
    size_t length = strlen(text);
    return (length == 2 || length == 4 || length == 6) && value_all_hex(text, length);
}

/* Without 0x and without colons or dots, as lspci and sysfs write it. */
static void value_hint_class(struct diagnostic *diagnostic, const char *text, bool interface) {
    char digits[7] = "", *end = digits;
    text += text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 2 : 0;
    for (; *text && (isxdigit((unsigned char)*text) || strchr(":.", *text)); text++)
        if (isxdigit((unsigned char)*text) && end < digits + 6)
            *end++ = *text;
        else if (isxdigit((unsigned char)*text))
            break;
    if (!*text && value_is_class(digits))
        diagnostic_hint(diagnostic, "did you mean '%s'?", digits);
    else if (interface)
        diagnostic_hint(diagnostic, "03 is every input device, 030101 a keyboard, 08 storage; "
                                    "'virt-rules devices --all' shows the interfaces");
    else
        diagnostic_hint(diagnostic, "03 is every display, 0300 a VGA display, 0106 a SATA "
                                    "controller; lspci -nn shows it");
}

bool value_class(struct parse_context *context, struct criterion *criterion, struct span span,
                 const char *text) {
    if (!value_is_class(text)) {
        struct diagnostic *diagnostic =
            diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_CLASS,
                           "a class is 2, 4 or 6 hex digits");
        if (!value_hint_brackets(diagnostic, text))
            value_hint_class(diagnostic, text, criterion->kind == CRITERION_INTERFACE);
        return false;
    }
    criterion->class_prefix.value = (uint32_t)strtoul(text, NULL, 16);
    criterion->class_prefix.digits = (uint8_t)strlen(text);
    return true;
}

/* "1-1.4": the bus, then the ports on the way, each counted from 1. */
static bool value_is_port(const char *text) {
    size_t digits = strspn(text, "0123456789");
    if (!digits || *text == '0' || text[digits] != '-')
        return false;
    do {
        text += digits + 1;
        digits = strspn(text, "0123456789");
        if (!digits || *text == '0')
            return false;
    } while (text[digits] == '.');
    return !text[digits];
}

/* The port without the zeros that numbers of lsusb begin with; NULL when that is not a port. The
 * caller frees it. */
static char *value_corrected_port(const char *text) {
    char *corrected = memory_strdup(text), *end = corrected;
    for (; *text; text++) {
        bool first = end == corrected || end[-1] == '-' || end[-1] == '.';
        if (*text != '0' || !first || !isdigit((unsigned char)text[1]))
            *end++ = *text;
    }
    *end = 0;
    if (value_is_port(corrected))
        return corrected;
    free(corrected);
    return NULL;
}

/* A glob of the characters that a port is written with, which matches a port. */
static bool value_is_port_glob(const char *text) {
    return value_is_glob(text) && !value_has_open_bracket(text) && !strstr(text, "**") &&
           text[strspn(text, "0123456789-.*?[]!^")] == '\0' && glob_ports_meet(text, "*");
}

/* "1-1.**" with one '*'; the caller frees it. */
static char *value_single_stars(const char *text) {
    char *single = memory_strdup(text), *end = single;
    for (; *text; text++)
        if (*text != '*' || end == single || end[-1] != '*')
            *end++ = *text;
    *end = 0;
    return single;
}

static bool value_bad_port(struct parse_context *context, struct span span, const char *text) {
    struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                   CHECK_BAD_PORT, "'%s' is not a USB port", text);
    char *corrected = value_corrected_port(text), *single = value_single_stars(text);
    if (value_is_port_glob(single))
        diagnostic_hint(diagnostic, "did you mean '%s'?", single);
    else if (corrected && strchr(text, '.'))
        diagnostic_hint(diagnostic, "did you mean '%s'? Its numbers have no leading zeros",
                        corrected);
    else if (corrected)
        diagnostic_hint(diagnostic,
                        "a port is not the device number of lsusb: 'virt-rules devices' and "
                        "'lsusb -t' show ports, such as 1-1.4");
    else
        diagnostic_hint(diagnostic,
                        "a port is the bus and the ports on the way, each from 1: 1-1.4; a glob is "
                        "allowed: 1-1.*");
    free(single);
    free(corrected);
    return false;
}

bool value_port(struct parse_context *context, struct criterion *criterion, struct span span,
                const char *text) {
    criterion->text = scanner_intern(&context->syntax->texts, text, strlen(text));
    return value_is_port(text) || value_is_port_glob(text) || value_bad_port(context, span, text);
}

/* The port of a hub. */
bool value_below(struct parse_context *context, struct criterion *criterion, struct span span,
                 const char *text) {
    criterion->text = scanner_intern(&context->syntax->texts, text, strlen(text));
    if (!value_is_port_glob(text))
        return value_is_port(text) || value_bad_port(context, span, text);
    diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_PORT,
                                   "'below port' takes no glob"),
                    "'below port 1-1' is everything behind that hub, at any depth; with a glob: "
                    "port %s",
                    text);
    return false;
}

/* A quoted word; check.c looks at what is in it. */
bool value_string(struct parse_context *context, struct criterion *criterion, struct span span,
                  const char *text) {
    (void)context, (void)span;
    criterion->text = text;
    return true;
}

/* As the kernel's module and its directory in /sys/bus/.../drivers are called. */
static bool value_may_be_driver(const char *text) {
    const char *at = text;
    while (isalnum((unsigned char)*at) || (*at && strchr("-_.+ ", *at)))
        at++;
    return *text && !*at && strspn(text, ".") != strlen(text);
}

bool value_driver(struct parse_context *context, struct criterion *criterion, struct span span,
                  const char *text) {
    criterion->text = scanner_intern(&context->syntax->texts, text, strlen(text));
    if (value_may_be_driver(text))
        return true;
    diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_DRIVER,
                                   "'%s' is not a driver", text),
                    "'lspci -k' and 'lsusb -t' show the driver, such as uvcvideo");
    return false;
}

const char *value_host_driver(struct parse_context *context, struct span span, const char *text) {
    if (!value_may_be_driver(text) || strchr(text, ' '))
        diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span,
                                       CHECK_BAD_DRIVER, "'%s' is not a driver", text),
                        "a driver's name is that of its directory in /sys/bus/pci/drivers, such "
                        "as pci-stub");
    return scanner_intern(&context->syntax->texts, text, strlen(text));
}

static bool value_is_name(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    while (isalnum((unsigned char)*text) || *text == '_' || *text == '-')
        text++;
    return !*text;
}

/* A keyword in another spelling, which cannot be a name. */
static bool value_is_foreign(const char *text) {
    return value_lower_case(text) || !strcmp(text, "with-group") || !strcmp(text, "with_group");
}

bool value_name(struct parse_context *context, struct span span, const char *text) {
    if (value_is_name(text) && !value_is_foreign(text))
        return true;
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_NAME,
                       "'%s' cannot name a device", text);
    if (value_is_name(text))
        diagnostic_hint(diagnostic, "it is a keyword in another spelling: use another name");
    else
        diagnostic_hint(diagnostic, strchr(text, ':')
                                        ? "the name comes first: device NAME is 1ac1:089a"
                                        : "a name is letters, digits, '-' and '_', a letter first");
    return false;
}

enum token value_token_of(const char *text) {
    char *address = value_corrected_address(text);
    bool is_like_address = address != NULL;
    free(address);
    return value_is_port(text)    ? TOKEN_PORT
           : value_is_class(text) ? TOKEN_CLASS
           : is_like_address      ? TOKEN_AT
           : strchr(text, ':')    ? TOKEN_SUBSYSTEM
                                  : TOKEN_END;
}

static bool value_has_upper_case(const char *text) {
    while (*text && !(*text >= 'A' && *text <= 'Z'))
        text++;
    return *text;
}

/* The keyword that the text is, except for upper case; NULL: it is not one. */
const char *value_lower_case(const char *text) {
    if (!value_has_upper_case(text))
        return NULL;
    for (enum token token = TOKEN_KEYWORD; token < TOKEN_COUNT; token++)
        if (!strcasecmp(text, scanner_token_text(token)))
            return scanner_token_text(token);
    return NULL;
}

const char VALUE_A_DEVICE[] = "a device is an id (1ac1:089a), an address (0000:03:00.0) or a name "
                              "that 'device NAME is ...' defines";

const char VALUE_NO_FILE[] =
    "'virt-rules devices --all' shows which device has that file: name the "
    "device";

/* A hint for signs and words of other languages; false: the text is none that people try. */
static bool value_hint_foreign(struct diagnostic *diagnostic, const char *text) {
    const char *lower = value_lower_case(text);
    size_t length = strlen(text);
    if (value_hint_brackets(diagnostic, text) || value_hint_separator(diagnostic, text))
        ;
    else if (!strncmp(text, "//", 2))
        diagnostic_hint(diagnostic, "a comment begins with '#'");
    else if (!strcmp(text, "|") || !strcmp(text, "||"))
        diagnostic_hint(diagnostic, "write 'or' between two ways to find one device");
    else if (!strcmp(text, "with-group") || !strcmp(text, "with_group"))
        diagnostic_hint(diagnostic, "did you mean 'with group'?");
    else if (lower)
        diagnostic_hint(diagnostic, "did you mean '%s'? Keywords are lower case", lower);
    else if ((*text == '\'' || *text == '`') && length > 2 && strchr("'`", text[length - 1]))
        diagnostic_hint(diagnostic, "leave out the quotes: %.*s", (int)length - 2, text + 1);
    else
        return false;
    return true;
}

static bool value_is_bad_name(const struct syntax *syntax, const char *text) {
    for (size_t i = 0; i < syntax->bad_name_count; i++)
        if (!strcmp(syntax->bad_names[i], text))
            return true;
    return false;
}

static bool value_bad_device(struct parse_context *context, struct span span, const char *text) {
    if (value_is_bad_name(context->syntax, text) || value_continues_mistake(context, span))
        return false;
    struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                   CHECK_BAD_DEVICE, "'%s' is not a device", text);
    size_t length = strlen(text), digits = strspn(text, "0123456789abcdefABCDEF");
    char *address = value_corrected_address(text);
    if (value_hint_foreign(diagnostic, text))
        ;
    else if (!strncmp(text, "/dev/", 5))
        diagnostic_hint(diagnostic, "%s", VALUE_NO_FILE);
    else if (value_is_port(text) && length != 9)
        diagnostic_hint(diagnostic, "a USB port is written 'port %s'", text);
    else if (*text == '-' && isdigit((unsigned char)text[1]))
        diagnostic_hint(diagnostic, "a number of devices is a whole number from 1: any %s",
                        text + 1);
    else if (isdigit((unsigned char)*text) && strlen(text + strspn(text, "0123456789")) == 1 &&
             strchr("xX", text[length - 1]))
        diagnostic_hint(diagnostic, "did you mean 'any %.*s'?", (int)length - 1, text);
    else if (length == 9 && digits == 4 && value_all_hex(text + 5, 4))
        diagnostic_hint(diagnostic, "did you mean '%.4s:%s'?", text, text + 5);
    else if (length == 8 && digits == 8)
        diagnostic_hint(diagnostic, "did you mean '%.4s:%s'?", text, text + 4);
    else if (address)
        diagnostic_hint(diagnostic, "did you mean '%s'?", address);
    else
        diagnostic_hint(diagnostic, "%s", VALUE_A_DEVICE);
    free(address);
    return false;
}

/* What a bare word for a device is, by its shape alone. */
bool value_criterion(struct parse_context *context, struct criterion *criterion, struct span span,
                     const char *text) {
    size_t colons = value_count_of(text, ':');
    if (*text == '\'' || *text == '`' || !strncmp(text, "//", 2))
        return value_bad_device(context, span, text);
    bool is_domain_alone = value_is_whole_domain(text) && text[4] != ':'; /* "10de:*" is an id */
    if (colons > 1 || (colons && strchr(text, '.')) || is_domain_alone)
        return value_address(context, criterion, span, text);
    if (colons)
        return value_id(context, criterion, span, text);
    criterion->kind = CRITERION_NAME;
    criterion->text = scanner_intern(&context->syntax->texts, text, strlen(text));
    return (value_is_name(text) && !value_is_foreign(text)) ||
           value_bad_device(context, span, text);
}

/* The unit that another spelling means; NULL when it means none. */
static const char *value_known_unit(const char *unit) {
    static const char *const units[][2] = {
        {"", "s"},        {"sec", "s"},   {"secs", "s"},   {"second", "s"},
        {"seconds", "s"}, {"min", "m"},   {"mins", "m"},   {"minute", "m"},
        {"minutes", "m"}, {"msec", "ms"}, {"msecs", "ms"}, {"S", "s"},
        {"M", "m"},       {"H", "h"},     {"hour", "h"},   {"hours", "h"},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(unit, units[i][0]))
            return units[i][1];
    return NULL;
}

enum { SECOND = 1000 };
static const struct {
    const char *name;
    uint32_t scale; /* milliseconds */
} value_units[] = {{"h", 3600 * SECOND}, {"m", 60 * SECOND}, {"s", SECOND}, {"ms", 1}};

/* Milliseconds of a unit; 0: it is not one. */
static uint32_t value_unit_scale(const char *unit) {
    for (size_t i = 0; i < sizeof value_units / sizeof *value_units; i++)
        if (!strcmp(unit, value_units[i].name))
            return value_units[i].scale;
    return 0;
}

void value_print_duration(FILE *out, uint32_t milliseconds) {
    size_t i = 0;
    while (milliseconds % value_units[i].scale ||
           (!milliseconds && value_units[i].scale > SECOND)) /* "0s" */
        i++;
    fprintf(out, "%u%s", milliseconds / value_units[i].scale, value_units[i].name);
}

bool value_read_duration(uint32_t *milliseconds, const char *text) {
    char *unit = NULL;
    unsigned long long number = strtoull(text, &unit, 10);
    uint32_t scale = value_unit_scale(unit);
    if (!isdigit((unsigned char)*text) || !scale || number > DURATION_LIMIT_MS / scale)
        return false;
    *milliseconds = (uint32_t)(number * scale);
    return true;
}

bool value_has_unit(const char *text) {
    size_t digits = strspn(text, "0123456789");
    return digits && value_unit_scale(text + digits);
}

bool value_duration(struct parse_context *context, uint32_t *milliseconds, struct span span,
                    const char *text) {
    char *unit = NULL;
    unsigned long long number = strtoull(text, &unit, 10);
    if (value_read_duration(milliseconds, text))
        return true;
    if (!isdigit((unsigned char)*text) || !value_unit_scale(unit)) {
        struct diagnostic *diagnostic =
            diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_DURATION,
                           "'%s' is not a duration", text);
        const char *known = isdigit((unsigned char)*text) ? value_known_unit(unit) : NULL;
        if (known)
            diagnostic_hint(diagnostic, "did you mean '%llu%s'?", number, known);
        else
            diagnostic_hint(diagnostic, "write " DURATION_FORMS);
        return false;
    }
    diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_DURATION,
                                   "'%s' is longer than the limit", text),
                    "write " DURATION_FORMS);
    return false;
}

/* Leading zeros have no meaning. */
static bool value_read_number(const char *text, unsigned long limit, unsigned long *number) {
    const char *digits = text + strspn(text, "0");
    *number = strlen(digits) > 8 ? limit + 1 : strtoul(digits, NULL, 10);
    return *number <= limit;
}

static bool value_controller(struct parse_context *context, unsigned *number, struct span span,
                             const char *text) {
    unsigned long value = 0;
    bool good = value_read_number(text, CONTROLLER_LIMIT, &value);
    *number = (unsigned)value;
    if (!good)
        diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_COUNT,
                                       "'controller %s': not the number of a controller", text),
                        "it is the index of a <controller type='usb'> of the VM, from 0 to %d",
                        CONTROLLER_LIMIT);
    return good;
}

static bool value_vlan(struct parse_context *context, unsigned *number, struct span span,
                       const char *text) {
    unsigned long value = 0;
    bool good = value_read_number(text, VLAN_LIMIT, &value) && value > 0;
    *number = good ? (unsigned)value : 0;
    if (!good)
        diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_COUNT,
                                       "'vlan %s': not a VLAN", text),
                        value == 0 ? "without a VLAN leave 'vlan' out; else from 1 to %d"
                                   : "a VLAN is a number from 1 to %d",
                        VLAN_LIMIT);
    return good;
}

/* A number from 1 to the limit. */
static bool value_from_one(struct parse_context *context, unsigned *number, struct span span,
                           const char *text, unsigned long limit, const char *wrong,
                           const char *hint) {
    unsigned long value = 0;
    bool good = value_read_number(text, limit, &value) && value > 0;
    *number = good ? (unsigned)value : 0;
    if (!good) {
        struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                       CHECK_BAD_COUNT, wrong, text);
        diagnostic_hint(diagnostic, hint, limit);
    }
    return good;
}

bool value_option_number(struct parse_context *context, struct action_option *option,
                         struct span span, const char *text) {
    switch (option->kind) {
    case OPTION_VLAN:
        return value_vlan(context, &option->number, span, text);
    case OPTION_PORTS:
        return value_from_one(context, &option->number, span, text, PORTS_LIMIT,
                              "'ports %s': not a number of root ports",
                              "from 1 to %lu; without root ports of ours leave 'ports' out");
    case OPTION_BOOT_ORDER:
        return value_from_one(context, &option->number, span, text, BOOT_ORDER_LIMIT,
                              "'boot order %s': not a place in the boot order",
                              "from 1, which the firmware tries first, to %lu; 'boot order' is "
                              "left out for a device that the VM does not boot from");
    default:
        return value_controller(context, &option->number, span, text);
    }
}

bool value_vf_count(struct parse_context *context, unsigned *count, struct span span,
                    const char *text) {
    return value_from_one(context, count, span, text, VF_LIMIT,
                          "'create %s vf': not a number of virtual functions",
                          "from 1 to %lu, and no more than sriov_totalvfs of the device says");
}

int32_t value_vf(struct parse_context *context, struct span span, const char *text) {
    unsigned long number = 0;
    if (value_read_number(text, VF_LIMIT, &number))
        return (int32_t)number;
    diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_COUNT,
                                   "'vf %s': not the number of a virtual function", text),
                    "it is the number of virtfn0, virtfn1 ... in the physical function's "
                    "directory, from 0 to %d",
                    VF_LIMIT);
    return -1;
}

/* In lower case; interned. */
static const char *value_intern_lower(struct parse_context *context, const char *text) {
    char *lower = memory_strdup(text);
    for (char *at = lower; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    const char *interned = scanner_intern(&context->syntax->texts, lower, strlen(lower));
    free(lower);
    return interned;
}

/* "52-54-00-12-34-56", "5254.0012.3456", "525400123456", "5:54:0:12:34:56": as it is written here;
 * NULL: it is not nearly one. The caller frees it. */
static char *value_corrected_mac(const char *text) {
    char digits[13] = "";
    size_t count = 0, pairs = 0;
    bool in_pairs = strpbrk(text, ":-") != NULL;
    while (*text) {
        size_t length = strspn(text, "0123456789abcdefABCDEF");
        if (!length || (in_pairs && length > 2) || count + (in_pairs ? 2 : length) > 12)
            return NULL;
        if (in_pairs && length == 1)
            digits[count++] = '0';
        for (size_t i = 0; i < length; i++)
            digits[count++] = (char)tolower((unsigned char)text[i]);
        pairs++;
        text += length;
        if (*text && !strchr(":-. ", *text++))
            return NULL;
    }
    if (count != 12 || !pairs)
        return NULL;
    return memory_printf("%.2s:%.2s:%.2s:%.2s:%.2s:%.2s", digits, digits + 2, digits + 4,
                         digits + 6, digits + 8, digits + 10);
}

static bool value_bad_option(struct parse_context *context, struct span span, const char *text,
                             const char *what, const char *hint, const char *value) {
    struct diagnostic *diagnostic = diagnostic_add(context->diagnostics, context->source, span,
                                                   CHECK_BAD_VALUE, "'%s' is not %s", text, what);
    diagnostic_hint(diagnostic, hint, value);
    return false;
}

/* Of a network card: the first bit would mean a group of them. */
static bool value_mac(struct parse_context *context, struct action_option *option, struct span span,
                      const char *text) {
    static const char what[] = "a network card's MAC address";
    option->text = value_intern_lower(context, text);
    if (!value_is_mac(text)) {
        char *corrected = value_corrected_mac(text);
        value_bad_option(context, span, text, what,
                         corrected ? "did you mean \"%s\"?"
                                   : "it has six pairs of hex digits: \"52:54:00:12:34:56\"",
                         corrected);
        free(corrected);
        return false;
    }
    if (!strcmp(option->text, "00:00:00:00:00:00"))
        return value_bad_option(context, span, text, what,
                                "leave 'mac' out: then the VM gets the same address at each start",
                                NULL);
    if (strtoul(text + 1, NULL, 16) & 1) /* the second digit */
        return value_bad_option(context, span, text, what,
                                "it is the address of a group (multicast): the second digit is "
                                "even, as in \"52:54:00:12:34:56\"",
                                NULL);
    return true;
}

/* The name of a directory in mdev_supported_types, the name of its driver first. */
static bool value_mdev_type(struct parse_context *context, struct action_option *option,
                            struct span span, const char *text) {
    option->text = text;
    if (syntax_is_uuid(text))
        return value_bad_option(context, span, text, "a type of mediated device",
                                "an instance that is there is meant by: as mdev uuid \"%s\"", text);
    bool dots = !text[strspn(text, ".")];
    for (const char *at = text; *at; at++)
        dots |= *at == '/' || (unsigned char)*at <= ' ' || *at == 0x7f;
    return !dots ||
           value_bad_option(context, span, text, "a type of mediated device",
                            "'virt-rules devices --all' lists the types that a device offers, "
                            "such as \"nvidia-63\"",
                            NULL);
}

static bool value_mdev_uuid(struct parse_context *context, struct action_option *option,
                            struct span span, const char *text) {
    option->text = value_intern_lower(context, text);
    return syntax_is_uuid(text) ||
           value_bad_option(context, span, text, "a UUID",
                            "write it as 'virsh nodedev-list --cap mdev' does: "
                            "\"8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e\"",
                            NULL);
}

/* One of the words, which NULL ends; `hint` is for a text that is not nearly one of them. */
static bool value_one_of(struct parse_context *context, struct action_option *option,
                         struct span span, const char *text, const char *const *words,
                         const char *what, const char *hint) {
    struct suggestion suggestion = {.word = text};
    option->text = scanner_intern(&context->syntax->texts, text, strlen(text));
    for (; *words; words++) {
        if (!strcmp(text, *words))
            return true;
        suggest(&suggestion, *words);
    }
    return value_bad_option(context, span, text, what,
                            suggestion.best ? "did you mean '%s'?" : hint, suggestion.best);
}

/* The bus of the guest that a disk is on. */
static bool value_disk_bus(struct parse_context *context, struct action_option *option,
                           struct span span, const char *text) {
    static const char *const names[] = {"virtio", "scsi", "usb", NULL};
    return value_one_of(context, option, span, text, names, "a bus for a disk",
                        "libvirt plugs in disks on virtio, scsi and usb only");
}

/* In the words of the kernel: drivers/pci/pci.c, pci_reset_fn_methods; "bus" is also the one of
 * a secondary bus. */
static bool value_reset_method(struct parse_context *context, struct action_option *option,
                               struct span span, const char *text) {
    static const char *const names[] = {"device_specific", "acpi", "flr", "af_flr", "pm", "bus",
                                        "cxl_bus",         NULL};
    return value_one_of(context, option, span, text, names, "a reset method",
                        "the kernel knows flr, af_flr, pm, bus, cxl_bus, acpi and "
                        "device_specific; the device's own are in its file reset_method in "
                        "/sys/bus/pci/devices");
}

bool value_option_text(struct parse_context *context, struct action_option *option,
                       struct span span, const char *text) {
    switch (option->kind) {
    case OPTION_MAC:
        return value_mac(context, option, span, text);
    case OPTION_MDEV_TYPE:
        return value_mdev_type(context, option, span, text);
    case OPTION_MDEV_UUID:
        return value_mdev_uuid(context, option, span, text);
    case OPTION_RESET_METHOD:
        return value_reset_method(context, option, span, text);
    default:
        return value_disk_bus(context, option, span, text);
    }
}

bool value_scsi(struct parse_context *context, struct criterion *criterion, struct span span,
                const char *text) {
    criterion->text = text;
    if (value_is_scsi(text))
        return true;
    struct diagnostic *diagnostic =
        diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_ADDRESS,
                       "'%s' is not the address of a SCSI device", text);
    size_t length = strlen(text);
    char *inner = length > 2 && *text == '[' && text[length - 1] == ']'
                      ? memory_strndup(text + 1, length - 2)
                      : NULL;
    if (inner && value_is_scsi(inner))
        diagnostic_hint(diagnostic, "leave out the brackets: scsi \"%s\"", inner);
    else if (value_is_glob(text))
        diagnostic_hint(diagnostic, "it takes no glob: the serial, or the PCI or USB device that "
                                    "the SCSI devices are on, says which they are");
    else
        diagnostic_hint(diagnostic, "write it as 'lsscsi' does, host, channel, target and LUN: "
                                    "scsi \"3:0:0:0\"");
    free(inner);
    return false;
}

bool value_count(struct parse_context *context, unsigned *count, struct span span,
                 const char *text) {
    const char *digits = text + strspn(text, "0");
    unsigned long number = strlen(digits) > 8 ? TARGET_COUNT_LIMIT + 1 : strtoul(digits, NULL, 10);
    *count = (unsigned)number;
    if (number >= 1 && number <= TARGET_COUNT_LIMIT)
        return true;
    diagnostic_hint(diagnostic_add(context->diagnostics, context->source, span, CHECK_BAD_COUNT,
                                   "'any %s': not a number of devices", text),
                    "from 1 to %d; 'any' alone is 1", TARGET_COUNT_LIMIT);
    return false;
}
