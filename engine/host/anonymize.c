#include "engine/host/anonymize.h"

#include "lexer/memory.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { UUID_LENGTH = 36, MAC_LENGTH = 17, LONG_HEX = 12, SHORT_NUMBER = 4 };

enum kind { KIND_SERIAL, KIND_UUID, KIND_MAC, KIND_HEX, KIND_WORD, KINDS };

struct standin {
    enum kind kind;
    char *real, *text;
};

struct standins {
    struct standin *list;
    size_t count;
    unsigned counts[KINDS];
};

struct standins *anonymize_create(void) {
    return memory_zalloc(sizeof(struct standins));
}

void anonymize_destroy(struct standins *standins) {
    for (size_t i = 0; i < standins->count; i++) {
        free(standins->list[i].real);
        free(standins->list[i].text);
    }
    free(standins->list);
    free(standins);
}

/* --- forms */

static bool anonymize_is_digits(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

static bool anonymize_starts_with(const char *text, size_t length, const char *start) {
    size_t size = strlen(start);
    return length >= size && !memcmp(text, start, size);
}

/* Whether the text is what anonymize_make_text() writes. */
static bool anonymize_is_standin(enum kind kind, const char *text, size_t length) {
    switch (kind) {
    case KIND_SERIAL:
        return length > 6 && anonymize_starts_with(text, length, "SERIAL") &&
               anonymize_is_digits(text + 6, length - 6);
    case KIND_UUID:
        return anonymize_starts_with(text, length, "00000000-0000-0000-0000-0000");
    case KIND_MAC:
        return anonymize_starts_with(text, length, "00:00:00:00:");
    case KIND_HEX:
        return anonymize_starts_with(text, length, "00000000");
    default:
        return length < 7 && *text == 'x'
                   ? anonymize_is_digits(text + 1, length - 1)
                   : length > 4 && anonymize_starts_with(text, length, "name") &&
                         anonymize_is_digits(text + 4, length - 4);
    }
}

static char *anonymize_make_text(enum kind kind, size_t length, unsigned number) {
    switch (kind) {
    case KIND_SERIAL:
        return memory_printf("SERIAL%u", number);
    case KIND_UUID:
        return memory_printf("00000000-0000-0000-0000-%012x", number);
    case KIND_MAC:
        return memory_printf("00:00:00:00:%02x:%02x", number >> 8 & 0xff, number & 0xff);
    case KIND_HEX:
        return memory_printf("%0*x", (int)length, number);
    default: /* longer than the text where the number does not fit */
        return length < 5 ? memory_printf("x%0*u", (int)length - 1, number)
                          : memory_printf("name%0*u", (int)length - 4, number);
    }
}

static const char *anonymize_find(const struct standins *standins, enum kind kind, const char *text,
                                  size_t length) {
    for (size_t i = 0; i < standins->count; i++) {
        const struct standin *one = &standins->list[i];
        if (one->kind == kind && !strncmp(one->real, text, length) && !one->real[length])
            return one->text;
    }
    return NULL;
}

/* Two texts never have the same one. */
static bool anonymize_is_taken(const struct standins *standins, enum kind kind, const char *text) {
    for (size_t i = 0; i < standins->count; i++)
        if (standins->list[i].kind == kind && !strcmp(standins->list[i].text, text))
            return true;
    return false;
}

static const char *anonymize_stand_in(struct standins *standins, enum kind kind, const char *text,
                                      size_t length) {
    const char *known = anonymize_find(standins, kind, text, length);
    if (known)
        return known;
    char *own = memory_strndup(text, length);
    char *other = anonymize_is_standin(kind, text, length) ? memory_strdup(own) : NULL;
    while (!other || anonymize_is_taken(standins, kind, other)) {
        free(other);
        other = anonymize_make_text(kind, length, ++standins->counts[kind]);
    }
    standins->list = memory_grow(standins->list, standins->count, sizeof *standins->list);
    standins->list[standins->count++] = (struct standin){kind, own, other};
    return other;
}

/* --- what is in a text */

static size_t anonymize_hex_length(const char *text) {
    size_t length = 0;
    while (isxdigit((unsigned char)text[length]))
        length++;
    return length;
}

static bool anonymize_has_form(const char *text, const char *form) {
    for (; *form; form++, text++)
        if (*form == 'x' ? !isxdigit((unsigned char)*text) : *text != *form)
            return false;
    return !isxdigit((unsigned char)*text);
}

/* The secret at the start of a text, that no hexadecimal digit precedes; 0: none. */
static size_t anonymize_secret_at(const char *text, enum kind *kind) {
    *kind = KIND_UUID;
    if (anonymize_has_form(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"))
        return UUID_LENGTH;
    *kind = KIND_MAC;
    if (anonymize_has_form(text, "xx:xx:xx:xx:xx:xx"))
        return MAC_LENGTH;
    *kind = KIND_HEX;
    return anonymize_hex_length(text) >= LONG_HEX ? anonymize_hex_length(text) : 0;
}

/* Words of systems, distributions and their installers, without the numbers at their ends. */
static bool anonymize_is_known(const char *word, size_t length) {
    static const char *const known[] = {
        "alma",      "almalinux",  "area",     "backup",   "backups",  "bcache",   "boot",
        "bpool",     "btrfs",      "cache",    "cachedev", "cdata",    "centos",   "cmeta",
        "config",    "containers", "core",     "corig",    "cow",      "crypt",    "cryptdata",
        "cryptroot", "cryptswap",  "data",     "debian",   "desktop",  "dev",      "disk",
        "disks",     "display",    "dm",       "docker",   "efi",      "esp",      "etc",
        "fast",      "fedora",     "games",    "gdm",      "hdd",      "home",     "host",
        "images",    "iso",        "kvm",      "lib",      "libvirt",  "lightdm",  "local",
        "log",       "logind",     "luks",     "lv",       "lvm",      "lxc",      "lxd",
        "lxdm",      "main",       "manager",  "md",       "media",    "meta",     "mnt",
        "mpath",     "nas",        "nfs",      "nix",      "nvme",     "old",      "opensuse",
        "opt",       "overlay",    "part",     "persist",  "plymouth", "pool",     "private",
        "proc",      "pve",        "qemu",     "raid",     "real",     "recovery", "reserved",
        "rhel",      "rimage",     "rmeta",    "rocky",    "root",     "rootfs",   "rpool",
        "run",       "sata",       "scope",    "sda",      "sdb",      "sddm",     "server",
        "service",   "session",    "share",    "shares",   "shm",      "slice",    "slow",
        "smb",       "snap",       "snapd",    "snapshot", "srv",      "ssd",      "storage",
        "store",     "suse",       "swap",     "syno",     "synology", "sys",      "system",
        "systemd",   "tank",       "tdata",    "thin",     "thinpool", "tmeta",    "tmp",
        "ubuntu",    "usb",        "usbshare", "user",     "users",    "usr",      "var",
        "vg",        "vm",         "vms",      "vol",      "volume",   "volumes",  "volumeusb",
        "zfs",       "zroot",
    };
    while (length && isdigit((unsigned char)word[length - 1]))
        length--;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == length && !strncasecmp(known[i], word, length))
            return true;
    return false;
}

static size_t anonymize_word_length(const char *text) {
    size_t length = 0;
    while (isalnum((unsigned char)text[length]) || (unsigned char)text[length] >= 0x80)
        length++;
    return length;
}

static void anonymize_put_word(struct standins *standins, FILE *out, const char *word,
                               size_t length) {
    bool plain = anonymize_is_known(word, length) ||
                 (length <= SHORT_NUMBER && anonymize_is_digits(word, length));
    if (plain)
        fwrite(word, 1, length, out);
    else
        fputs(anonymize_stand_in(standins, KIND_WORD, word, length), out);
}

/* One secret, word or character; returns how much of the text that is. */
static size_t anonymize_put_next(struct standins *standins, FILE *out, const char *text,
                                 bool words) {
    enum kind kind;
    size_t length = anonymize_secret_at(text, &kind);
    if (length) {
        fputs(anonymize_stand_in(standins, kind, text, length), out);
        return length;
    }
    length = words ? anonymize_word_length(text) : anonymize_hex_length(text);
    if (words && length)
        anonymize_put_word(standins, out, text, length);
    else
        fwrite(text, 1, length ? length : 1, out);
    return length ? length : 1;
}

static char *anonymize_replace(struct standins *standins, const char *text, bool words) {
    char *result = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&result, &size);
    while (*text)
        text += anonymize_put_next(standins, out, text, words);
    memory_stream_close(out, &result);
    return result;
}

/* --- public */

char *anonymize_serial(struct standins *standins, const char *serial) {
    return memory_strdup(anonymize_stand_in(standins, KIND_SERIAL, serial, strlen(serial)));
}

char *anonymize_words(struct standins *standins, const char *text) {
    return anonymize_replace(standins, text, true);
}

char *anonymize_name(struct standins *standins, const char *name) {
    static const char array[] = "md_";
    return anonymize_replace(standins, name, !strncmp(name, array, strlen(array)));
}

char *anonymize_path(struct standins *standins, const char *path) {
    char *copy = memory_strdup(path), *rest = copy, *result = memory_strdup("");
    for (const char *part, *slash = ""; (part = strsep(&rest, "/")); slash = "/") {
        char *name = anonymize_name(standins, part);
        char *longer = memory_printf("%s%s%s", result, slash, name);
        free(result);
        free(name);
        result = longer;
    }
    free(copy);
    return result;
}
