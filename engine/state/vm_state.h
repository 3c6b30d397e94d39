/*
 * What an engine must know of what others did since the VM was started: STATE/vms/UUID, lines of
 * text with a sum each (state_file.h), written to a temporary file and renamed. Whoever changes it
 * holds the VM's lock (lock.h).
 *
 *     vm BOOT-ID ID STARTED PROCESS          first
 *     restarted
 *     damaged
 *     taken ADDRESS VENDOR:DEVICE GROUP DRIVER
 *     mdev UUID ADDRESS TYPE
 *     vf ADDRESS VENDOR:DEVICE GROUP MAC VLAN TRUST MAC VLAN TRUST
 *     setting ADDRESS VENDOR:DEVICE GROUP KIND PATH BEFORE GIVEN  (in both "," for a blank)
 *     dismissed ADDRESS VENDOR:DEVICE SINCE  (an older version wrote no SINCE)
 *     refused ADDRESS VENDOR:DEVICE SINCE
 *     parked TIME
 *     unparking
 *     parked-device ADDRESS VENDOR:DEVICE GROUP DRIVER
 *     result {JSON}
 *     end                                    last
 *
 * A line whose sum is wrong is ignored, and so is a file without its first line; a word that is not
 * known is of a newer version. "-" stands for what is not known.
 */
#ifndef ENGINE_VM_STATE_H
#define ENGINE_VM_STATE_H

#include "engine/host/host.h"
#include "engine/state/log_write.h"

#include "lexer/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long a device may take to come back by itself: one that loads firmware needs some seconds. */
enum { VM_STATE_RETURN_US = 10000000 };

/* A device as it was when it was noted; another one may have its address by now. */
struct vm_state_device {
    char *address;
    struct device_id id;
    int iommu_group; /* -1: none */
    char *driver;    /* the host's; NULL: it had none */
    uint64_t since;  /* clock_boot_us(): when it was refused first; or when it left its port by
                        itself after it was dismissed, 0: it did not */
};

/* A mediated device that we create for the VM: noted before, and until it is gone. */
struct vm_state_mdev {
    char *uuid;
    char *parent; /* the address of the device that it is on */
    char *type;
};

/* The settings of a virtual function that a VM got 'as net': what the host had, and what the VM
 * has. Another function may have its address by now. */
struct vm_state_vf {
    struct vm_state_device device; /* without a driver */
    struct vf_config before, given;
};

/* A setting of the host (engine/model/setting.h) that was changed for a device of the VM. */
struct vm_state_setting {
    struct vm_state_device device; /* without a driver */
    struct setting setting;        /* with what the host had */
    char *given;                   /* what it was changed to */
};

/* What was last logged of one device since the VM was started. */
struct vm_state_result {
    char *device; /* as in the log, "0000:03:00.0 1ac1:089a"; NULL: the event as a whole failed */
    char *action, *rule; /* or NULL */
    enum result result;
    char *message;
    char *time;     /* of that line */
    char *since;    /* of the first of the latest lines with the same result */
    char *attached; /* when the VM got it; NULL: it did not, or the host has it again */
};

/* Which start of the VM is meant. Times are clock ticks since the host's boot, as starttime of
 * proc(5), of one boot of the host: the file is of no other. */
struct vm_start {
    int id; /* libvirt's, of the running VM; -1: not known. A daemon that starts again may give it
               to the next one. */
    unsigned long long process; /* when the VM's process was started; 0: not known */
    unsigned long long seen;    /* when that was learnt; 0: when this process was started */
};

struct vm_state {
    int id; /* as in struct vm_start; of the file */
    unsigned long long process;
    unsigned long long started; /* what the engine that began the file had as `seen` */
    bool restarted;             /* the guest was restarted for its devices */
    bool damaged;  /* a part of the file is lost: the guest counts as restarted, and every device as
                      dismissed */
    int error;     /* errno of reading it: then it is not written either; 0: none */
    char *ignored; /* a message for the log about what was not read; NULL: all was */
    /* Devices that leave their host driver for the VM, by us for the rest of their IOMMU group to
     * go, or by libvirt, which is asked next: one that is killed in between forgets it. Who puts
     * one there does so before, and it stays until the host has the device again. */
    struct vm_state_device *unbound;
    size_t unbound_count;
    struct vm_state_mdev *mdevs;
    size_t mdev_count;
    /* Whoever is about to change such settings notes them before, and they stay until the host has
     * its own again. */
    struct vm_state_vf *vfs;
    size_t vf_count;
    struct vm_state_setting *settings; /* likewise, in the order in which they were changed */
    size_t setting_count;
    struct vm_state_device *dismissed; /* that a person or a rule took out: an engine that looks
                                      after the guest's boot does not attach them again */
    size_t dismissed_count;
    struct vm_state_device *refused; /* that another VM had, and this one waits for */
    size_t refused_count;
    char *parked_since; /* time in the log; NULL: the VM is not parked. While it is, no engine
                           attaches anything to it */
    struct vm_state_device *parked; /* the devices that 'park' takes out or took out: the VM keeps
                                       its claim to them until it stops or has them again. Empty
                                       unless the VM is parked or unparking */
    size_t parked_count;
    bool unparking; /* it is not parked any more, and its rules are yet to be applied */
    struct vm_state_result *results; /* the newest last */
    size_t result_count;
};

/* Reads it; a file of an earlier boot of the host, or one that cannot be read, counts as none.
 * Returns false when there is none: vm_state is then empty, but for `damaged`, `error` and
 * `ignored`. The caller ends both with vm_state_finish(). */
bool vm_state_load(struct vm_state *vm_state, const char *state, const char *uuid);
void vm_state_finish(struct vm_state *vm_state);

/*
 * Reads the state of that start of the VM, or begins it: of an earlier start only what the host has
 * yet to get back is kept. Returns false when the file is of a later start: it must not be changed,
 * and vm_state is empty.
 */
bool vm_state_open(struct vm_state *vm_state, const char *state, const char *uuid,
                   const struct vm_start *start);
/* Whether the file that was read is of that start, or of a later one. */
bool vm_state_is_same_start(const struct vm_state *vm_state, const struct vm_start *start);
bool vm_state_is_later_start(const struct vm_state *vm_state, const struct vm_start *start);

/* What was read is of an earlier start: of that only what the host has yet to get back is kept. */
void vm_state_begin(struct vm_state *vm_state, const struct vm_start *start);

/* The VM has ended: keeps only what the host has yet to get back: unbound devices, settings of
 * the host and of virtual functions, and mediated devices that are to be removed. */
void vm_state_end(struct vm_state *vm_state);

void vm_state_dismiss(struct vm_state *vm_state, const char *address, struct device_id id);
/* The VM has it again: takes it from the lists. Returns true when it was on one. */
bool vm_state_readmit(struct vm_state *vm_state, const char *address);
bool vm_state_has_dismissed(const struct vm_state *vm_state, const char *address,
                            struct device_id id);
/* Whether what was at the address was dismissed since the VM got it, whatever is there now. */
bool vm_state_has_dismissed_at(const struct vm_state *vm_state, const char *address);

/* The device that was dismissed there left its port when the VM released it: see
 * guest_removal_was_lost(). */
void vm_state_note_lost(struct vm_state *vm_state, const char *address);
/* Returns true when a device that appeared at the port at that time (clock_boot_us()) is taken for
 * the one that was dismissed there and left it; from then on it is known with its new id. One that
 * appears later was plugged in by a person. */
bool vm_state_is_dismissed_again(struct vm_state *vm_state, const struct device *device,
                                 uint64_t appeared);

/* Parks the VM from that time on; one that is parked stays so since then. */
void vm_state_park(struct vm_state *vm_state, const char *time);
/* Adds to the devices of a parked VM, or replaces another one at that address. `driver`: the
 * host's, NULL or "" for none. */
void vm_state_add_parked(struct vm_state *vm_state, const struct device *device,
                         const char *driver);
/* The VM is not parked any more, and its rules are yet to be applied. Returns false when it was
 * neither parked nor left at that by another one. */
bool vm_state_begin_unpark(struct vm_state *vm_state);
/* They were applied, or nothing is to be: its devices are not noted any more. */
void vm_state_end_unpark(struct vm_state *vm_state);
/* Whether that start of the VM is parked. Changes nothing; the caller need not have the VM's lock
 * to ask, but to rely on the answer. */
bool vm_state_is_parked(const char *state, const char *uuid, const struct vm_start *start);

/* Another VM has the device that this one is to get: it waits since then, or since the time of an
 * earlier refusal. Returns true when that is new. The wait ends when it gets the device
 * (vm_state_readmit()), and when the device is taken out on purpose (vm_state_dismiss()). */
bool vm_state_refuse(struct vm_state *vm_state, const char *address, struct device_id id,
                     uint64_t since);
/* Since when it waits; 0: it does not. */
uint64_t vm_state_refused_since(const struct vm_state *vm_state, const char *address,
                                struct device_id id);

/* Adds to the list, unless its address is there. Returns true when it was not. */
bool vm_state_add_unbound(struct vm_state *vm_state, const struct device *device,
                          const char *driver);
/* NULL when it is not on the list. */
const struct vm_state_device *vm_state_find_unbound(const struct vm_state *vm_state,
                                                    const char *address);
/* Whether that is what was noted: by its id and IOMMU group. */
bool vm_state_device_is(const struct vm_state_device *noted, const struct device *device);
/* The device of the host that was noted, or NULL. */
const struct device *vm_state_find_noted(const struct host *host,
                                         const struct vm_state_device *noted);
/* Takes it from the list. */
void vm_state_remove_unbound(struct vm_state *vm_state, const char *address);

/* Adds to the mediated devices, unless it is there. Returns true when it was not. */
bool vm_state_add_mdev(struct vm_state *vm_state, const char *uuid, const char *parent,
                       const char *type);
/* NULL when it is not noted. */
const struct vm_state_mdev *vm_state_find_mdev(const struct vm_state *vm_state, const char *uuid);
void vm_state_remove_mdev(struct vm_state *vm_state, const char *uuid);

/* Whether an entry of the log says something of a device, or that an event as a whole failed. */
bool vm_state_is_result(const struct log_entry *entry);
/* Notes such an entry. */
void vm_state_note_result(struct vm_state *vm_state, const struct log_entry *entry,
                          const char *time);

/* The same in the file of that start, for 'status': what cannot be written is only not shown. The
 * caller holds the VM's lock. */
void vm_state_record_result(const char *state, const char *uuid, const struct vm_start *start,
                            const struct log_entry *entry, const char *time);

/* An empty state has no file. Returns 0, or -1 with a message; the file is then as before. A file
 * of a later start, which somebody without a lock may have written since, is left alone, as 0. */
int vm_state_save(const struct vm_state *vm_state, const char *state, const char *uuid,
                  struct failure *failure);

/* Whether there is a file for the VM, or the beginning of one, cheaply. */
bool vm_state_exists(const char *state, const char *uuid);

/* The VMs that have a file, by UUID. The caller frees each and the list. */
char **vm_state_all(const char *state, size_t *count);

/* Whether the device is on the list of any VM, and which driver it had, "" for none. */
bool vm_state_find_in_all(const char *state, const struct device *device, char *driver,
                          size_t size);

/* Notes the settings that the VM is about to get. Where the function is noted already, `before`
 * stays as it was. */
void vm_state_note_vf(struct vm_state *vm_state, const struct device *device,
                      const struct vf_config *before, const struct vf_config *given);
/* NULL when it is not noted. */
const struct vm_state_vf *vm_state_find_vf(const struct vm_state *vm_state, const char *address);
void vm_state_remove_vf(struct vm_state *vm_state, const char *address);
/* What the host had, where any VM's state notes that function; false: none does. */
bool vm_state_find_vf_in_all(const char *state, const struct device *device,
                             struct vf_config *before);

/* Notes what a setting was and what it is about to become. Where it is noted already, `before`
 * stays as it was. */
void vm_state_note_setting(struct vm_state *vm_state, const struct device *device,
                           const struct setting *before, const char *given);
/* NULL when it is not noted. */
const struct vm_state_setting *vm_state_find_setting(const struct vm_state *vm_state,
                                                     const char *path);
void vm_state_remove_setting(struct vm_state *vm_state, const char *path);
/* What the host had, where the state of another VM than `uuid` notes the setting, which the caller
 * frees; NULL: none does. */
char *vm_state_find_setting_in_others(const char *state, const char *uuid, const char *path);

/* Notes what the states of other VMs than `uuid` note of the device, as it is this VM's now.
 * Returns true when that is something new. */
bool vm_state_adopt_settings(struct vm_state *vm_state, const char *state, const char *uuid,
                             const struct device *device);

/* When this process was started, in clock ticks since the host's boot. */
unsigned long long vm_state_now(void);

/* When the process of the running VM was started, from libvirt's pid file below `sysroot` (NULL:
 * the running system) and proc(5); 0: not known. */
unsigned long long vm_state_process(const char *sysroot, const char *name);

#endif
