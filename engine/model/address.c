#include "engine/model/address.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    PCI_DOMAIN_LEAST = 4, /* digits */
    PCI_DOMAIN_DIGITS = 8,
    PCI_SLOT_MAX = 0x1F,
    USB_NUMBER_MAX = 255,
    SCSI_NUMBERS = 4
};

/* The end of at least `least` and at most `most` hexadecimal digits at `text`, or NULL. */
static const char *address_skip_hex(const char *text, size_t least, size_t most) {
    size_t count = 0;
    while (isxdigit((unsigned char)text[count]))
        count++;
    return count < least || count > most ? NULL : text + count;
}

/* "[dddd:]bb:ss.f"; an address of the kernel has its domain and all its digits. */
bool address_is_pci(const char *text, bool *has_domain) {
    const char *first = address_skip_hex(text, 1, PCI_DOMAIN_DIGITS);
    if (!first || *first != ':')
        return false;
    const char *second = address_skip_hex(first + 1, 2, 2);
    if (!second)
        return false;
    *has_domain = *second == ':';
    if (*has_domain ? first - text < PCI_DOMAIN_LEAST : first - text != 2)
        return false;
    const char *slot = *has_domain ? second + 1 : first + 1, *end = address_skip_hex(slot, 2, 2);
    return end && *end == '.' && end[1] >= '0' && end[1] <= '7' && !end[2] &&
           strtoul(slot, NULL, 16) <= PCI_SLOT_MAX;
}

/* One number of a port path, from 1 and without zeros in front. */
static const char *address_skip_port(const char *text) {
    char *end = NULL;
    if (*text < '1' || *text > '9')
        return NULL;
    return strtoul(text, &end, 10) <= USB_NUMBER_MAX ? end : NULL;
}

/* "1-1.4": a bus and the ports on the way; not a root hub ("usb1") or an interface ("1-1:1.0").
 */
bool address_is_usb(const char *text) {
    const char *end = address_skip_port(text);

    if (!end || *end != '-')
        return false;
    do
        end = address_skip_port(end + 1);
    while (end && *end == '.');
    return end && !*end;
}

/* A number as the kernel prints it: up to 64 bits, without zeros in front. */
static const char *address_skip_decimal(const char *text) {
    enum { DIGITS = 20 };
    size_t count = 0;
    while (isdigit((unsigned char)text[count]))
        count++;
    return count < 1 || count > DIGITS || (count > 1 && *text == '0') ? NULL : text + count;
}

bool address_is_scsi(const char *text) {
    const char *end = address_skip_decimal(text);

    for (size_t i = 1; end && i < SCSI_NUMBERS; i++)
        end = *end == ':' ? address_skip_decimal(end + 1) : NULL;
    return end && !*end;
}

bool address_normalise(const char *text, char *address, size_t size) {
    bool has_domain = false;
    int length = -1;
    size_t digits = strcspn(text, ":");

    if (address_is_usb(text) || address_is_scsi(text))
        length = snprintf(address, size, "%s", text);
    else if (address_is_pci(text, &has_domain)) {
        for (; digits > PCI_DOMAIN_LEAST && *text == '0'; digits--)
            text++;
        length = snprintf(address, size, "%s%s", has_domain ? "" : "0000:", text);
    }
    if (length < 0 || (size_t)length >= size)
        return false;
    for (char *letter = address; *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    return true;
}

int address_compare_pci(const char *a, const char *b) {
    size_t left = strlen(a), right = strlen(b);
    /* Only the domain differs in length. */
    if (left != right)
        return left < right ? -1 : 1;
    return strcasecmp(a, b);
}

/* "1-2" before "1-10", and a hub before what hangs on it. */
int address_compare_usb(const char *a, const char *b) {
    while (*a && *b) {
        char *left = NULL, *right = NULL;
        unsigned long one = strtoul(a, &left, 10), other = strtoul(b, &right, 10);
        if (one != other)
            return one < other ? -1 : 1;
        a = left + (*left != '\0');
        b = right + (*right != '\0');
    }
    return (*a != '\0') - (*b != '\0');
}

int address_compare_scsi(const char *a, const char *b) {
    for (size_t i = 0; i < SCSI_NUMBERS; i++) {
        char *left = NULL, *right = NULL;
        unsigned long long one = strtoull(a, &left, 10), other = strtoull(b, &right, 10);
        if (one != other)
            return one < other ? -1 : 1;
        a = left + (*left != '\0');
        b = right + (*right != '\0');
    }
    return 0;
}
