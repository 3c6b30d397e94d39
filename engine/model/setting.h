/*
 * Settings of the host in sysfs that are changed while a VM has a device, and set back afterwards.
 * A value; engine/host/sysfs_setting.h reads and writes them, and engine/run/host_setting.c keeps
 * account.
 */
#ifndef ENGINE_SETTING_H
#define ENGINE_SETTING_H

#include <stdbool.h>
#include <stddef.h>

enum setting_kind {
    /* Whether a console has the virtual terminals: "sys/class/vtconsole/vtcon1/bind", 1 or 0. */
    SETTING_CONSOLE,
    /* The driver of a framebuffer that the firmware set up, "" for none:
     * "sys/bus/platform/devices/efi-framebuffer.0". */
    SETTING_FRAMEBUFFER,
    /* "sys/bus/pci/devices/0000:01:00.0/power/control": "on" or "auto"; also of a USB device. */
    SETTING_POWER,
    /* "sys/bus/pci/devices/0000:01:00.0/d3cold_allowed": 1 or 0. */
    SETTING_D3COLD,
    /* "sys/bus/pci/devices/0000:01:00.0/reset_method": the kernel's words, in the order in which it
     * tries them. */
    SETTING_RESET_METHOD,
};

struct setting {
    enum setting_kind kind;
    char *path;  /* below the root, without blanks */
    char *value; /* one line */
};

struct setting_list {
    struct setting *list; /* in the order in which they are made; undone in the reverse order */
    size_t count;
};

/* Adds to the list; copies both texts. */
void setting_add(struct setting_list *list, enum setting_kind kind, const char *path,
                 const char *value);
/* Adds all of them. */
void setting_add_all(struct setting_list *list, const struct setting_list *other);
void setting_finish(struct setting_list *list);

/* The word of a kind in the VM's state; and back, false: there is none. */
const char *setting_word(enum setting_kind kind);
bool setting_parse_word(const char *word, enum setting_kind *kind);

/* What it is a setting of: "vtcon1", "efi-framebuffer.0", "0000:01:00.0". The caller frees it. */
char *setting_owner(const struct setting *setting);

#endif
