/*
 * What engines must know of what others did in the VM's present life, the time from one start of it
 * to its end: STATE/vms/UUID, some lines of text, written to a temporary file and renamed. Whoever
 * changes it holds the VM's lock (lock.h).
 */
#ifndef ENGINE_LIFE_H
#define ENGINE_LIFE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A device that leaves its host driver for the VM, by us for the rest of its IOMMU group to go, or
 * by libvirt, which is asked next: one that is killed in between forgets it. Who puts it there does
 * so before, and it stays until the host has the device again.
 */
struct life_taken {
    char *address;
    char *driver; /* the host's; NULL: it had none */
};

struct life {
    int id;                     /* libvirt's, of the running VM; -1: not known */
    unsigned long long started; /* when the engine that began the file was started, in clock ticks
                                   since the host's boot (proc(5): starttime) */
    bool restarted;             /* the guest was restarted for its devices */
    struct life_taken *taken;
    size_t taken_count;
    char **dismissed; /* addresses of devices that a person took out: not to be attached again */
    size_t dismissed_count;
};

/* Reads it; what is of before the host's last boot, or cannot be read, counts as nothing. Returns
 * false when there is nothing: the life is then empty. The caller ends both with life_finish(). */
bool life_load(struct life *life, const char *state, const char *uuid);
void life_finish(struct life *life);

/* Reads what is kept of the life with that id, or begins one. */
void life_open(struct life *life, const char *state, const char *uuid, int id);

/* Only what was taken from the host outlives it. */
void life_end(struct life *life);

void life_dismiss(struct life *life, const char *address);
bool life_has_dismissed(const struct life *life, const char *address);

/* Adds to the list, unless it is there. Returns true when it was not. */
bool life_take(struct life *life, const char *address, const char *driver);
/* NULL when it is not on the list. */
const struct life_taken *life_find_taken(const struct life *life, const char *address);
/* Takes it from the list. */
void life_give_back(struct life *life, const char *address);

/* An empty life is no file. Returns 0, or -1 with a message. */
int life_save(const struct life *life, const char *state, const char *uuid, char *error,
              size_t error_size);

/* Whether there is a file for the VM, or the beginning of one, cheaply. */
bool life_exists(const char *state, const char *uuid);

/* The VMs that have a file, by UUID. The caller frees each and the list. */
char **life_all(const char *state, size_t *count);

/* Whether the device is on the list of any VM, and which driver it had, "" for none. */
bool life_find_in_all(const char *state, const char *address, char *driver, size_t size);

/* When this process was started, in the unit of `started`; 0: not known. */
unsigned long long life_now(void);

#endif
