/*
 * Port to the hypervisor: all that the engine asks of libvirt, so that a test can replace it. Calls
 * block, at most for the limits of engine/system/deadline.h. None may be made inside a libvirt
 * hook: the daemon waits for the hook.
 */
#ifndef ENGINE_VIRT_H
#define ENGINE_VIRT_H

#include "lexer/failure.h"

#include <stdbool.h>
#include <stddef.h>

/* What a caller can do about an error. */
enum virt_error_kind {
    VIRT_FAILED,      /* will fail again */
    VIRT_TRANSIENT,   /* may succeed soon, as when another job of the VM runs: retry */
    VIRT_NO_DOMAIN,   /* no VM has that UUID, name or title */
    VIRT_NOT_RUNNING, /* the VM has stopped, or has not started yet: libvirt's words are the same */
    VIRT_REFUSED,     /* the guest does not release the device */
    VIRT_BUSY,        /* a VM, this or another, has the device */
    /* No libvirt library, no connection, or connection lost, perhaps after libvirt got the call.
     * The next call connects again, once; after a daemon's restart the first call fails. */
    VIRT_UNREACHABLE,
    /* The call did not return within its limit: libvirt got it, and may still do it. */
    VIRT_NO_REPLY,
};

struct virt_error {
    enum virt_error_kind kind;
    int code; /* libvirt's virErrorNumber; 0 when not from libvirt */
    /* Neither code nor words are known: the daemon translates, or is of another version. It counts
     * as VIRT_TRANSIENT, unless a look at the VM tells more. */
    bool is_unknown;
    struct failure failure;
};

/* One VM as list() returns it, and read() completes it. */
struct virt_domain {
    char uuid[37];
    char *xml; /* NULL: libvirt did not give it */
    char *why; /* then, in libvirt's words; NULL: libvirt has no such VM any more */
};

/* What libvirt keeps of a VM for its next start. */
struct virt_definition {
    char *xml;          /* of that start, also while the VM runs */
    bool is_running;    /* or paused */
    bool is_persistent; /* else the VM is transient: it is forgotten when it stops */
    bool is_saved;      /* 'virsh managedsave': its next start goes on with what was saved */
};

/* How a VM that has a process came to run. */
enum virt_state {
    VIRT_STATE_STARTED, /* as usual: its guest booted, or is about to */
    /* Its memory is on its way from or to another host, or from a file. Until that has ended,
     * libvirt holds a job on which nobody can attach or detach. */
    VIRT_STATE_MIGRATING,
    /* Its memory came from another host, a file or a snapshot: its guest did not boot. libvirt
     * forgets that when the VM is suspended. */
    VIRT_STATE_MIGRATED,
};

/* What happened to the VM that watch() watches. */
enum virt_event_kind {
    VIRT_EVENT_NONE,
    VIRT_EVENT_REMOVED, /* the guest released a device: the VM no longer has it */
    VIRT_EVENT_REFUSED, /* the guest keeps the device; libvirt reports it since 1.3.4 */
    VIRT_EVENT_RESUMED, /* the VM runs again, or for the first time since its memory came */
    VIRT_EVENT_STOPPED, /* the VM is not running any more */
};

struct virt_event {
    enum virt_event_kind kind;
    char alias[64]; /* of the device, for REMOVED and REFUSED; else "" */
};

/* The daemon of a connection. */
struct virt_about {
    unsigned long version; /* libvirt's: 9000000 is 9.0.0 */
    char uri[256];
};

struct virt;

/* Every function returns 0, or -1 with `error` filled in. */
struct virt_ops {
    /* The XML of the VM that has this UUID, name or title (tried in that order): the live one, or
     * of a stopped VM its definition, which has no id. A title that two VMs have is an error. The
     * caller frees it. */
    int (*domain_xml)(struct virt *virt, const char *vm, char **xml, struct virt_error *error);
    /* The UUID of every running VM. The caller frees the list with virt_list_free(). */
    int (*list)(struct virt *virt, struct virt_domain **vms, size_t *count,
                struct virt_error *error);
    /* Of every VM that libvirt knows, running or not. */
    int (*list_all)(struct virt *virt, struct virt_domain **vms, size_t *count,
                    struct virt_error *error);
    /*
     * Sets `xml` or `why` of VMs that have neither. From 11.0 to 11.4 libvirt gives the XML of a VM
     * only when no other job of that VM runs, for which it waits 30 s (src/qemu/qemu_driver.c of
     * 11.3; NEWS of 11.0, 11.5): of such a VM `why` says that the XML has not come in time. After
     * -1 some VMs may be read.
     */
    int (*read)(struct virt *virt, struct virt_domain *vms, size_t count, struct virt_error *error);
    /* Of the VM with that UUID and `id`, as for attach(). VIRT_NOT_RUNNING: it has stopped, or has
     * been started again since. Answered while a job runs. */
    int (*state)(struct virt *virt, const char *uuid, int id, enum virt_state *state,
                 struct virt_error *error);
    /*
     * Attach to and detach from the running VM; its configuration stays as it is. libvirt finds a
     * VM by its UUID alone. `id` (-1: any) is the number that libvirt gave the VM when it started:
     * it is compared right before the call, and VIRT_NOT_RUNNING says that the VM has been started
     * again since. Between the comparison and the call the VM can still be destroyed and started.
     */
    int (*attach)(struct virt *virt, const char *uuid, int id, const char *xml,
                  struct virt_error *error);
    int (*detach)(struct virt *virt, const char *uuid, int id, const char *xml,
                  struct virt_error *error);
    int (*reset)(struct virt *virt, const char *uuid, int id, struct virt_error *error);
    int (*reboot)(struct virt *virt, const char *uuid, int id, struct virt_error *error);
    /* Of the VM with that UUID. The caller ends it with virt_definition_finish(). */
    int (*definition)(struct virt *virt, const char *uuid, struct virt_definition *definition,
                      struct virt_error *error);
    /*
     * Attach to and detach from the definition alone: a running VM stays as it is. Each call
     * changes that one device in what libvirt has then, so an edit made meanwhile is kept.
     */
    int (*attach_defined)(struct virt *virt, const char *uuid, const char *xml,
                          struct virt_error *error);
    int (*detach_defined)(struct virt *virt, const char *uuid, const char *xml,
                          struct virt_error *error);
    /* Writes our mark (model/definition_mark.h) into the definition's <metadata>, instead of the
     * one that is there; NULL removes that. */
    int (*mark_defined)(struct virt *virt, const char *uuid, const char *xml,
                        struct virt_error *error);
    /* Queues the running VM's events for wait(). Watches one VM at a time; each call empties the
     * queue. Call it before the change whose events you want. */
    int (*watch)(struct virt *virt, const char *uuid, struct virt_error *error);
    /*
     * The next event of the watched VM, or VIRT_EVENT_NONE when there was none within `timeout_ms`
     * (0: do not wait). Always NONE, after the whole timeout, where libvirt cannot report events:
     * so look at the VM too. VIRT_UNREACHABLE: nothing is watched any more.
     */
    int (*wait)(struct virt *virt, int timeout_ms, struct virt_event *event,
                struct virt_error *error);
    /* What the next changes are about, for messages: "0000:03:00.0, VM 'frigate'"; NULL ends that.
     * A test's implementation may leave this member NULL. */
    void (*subject)(struct virt *virt, const char *subject);
    /* A test's implementation may leave this member NULL too. */
    int (*about)(struct virt *virt, struct virt_about *about, struct virt_error *error);
    void (*close)(struct virt *virt);
};

/* First member of every implementation. */
struct virt {
    const struct virt_ops *ops;
};

/*
 * Connects to libvirt in a process of its own (virt_asker.h), which loads it with dlopen
 * from where libvirt_places.h finds it. `uri` NULL: what LIBVIRT_DEFAULT_URI or virt-rules.conf
 * sets, else the first of libvirt_places.h that answers. Requires no symbol newer than
 * LIBVIRT_1.3.4. Gives SIGPIPE an empty handler where it has the default, because libvirt's client
 * writes to a socket whose daemon may be gone. The caller closes it with virt_close(), which takes
 * NULL too. After -1 `virt` is NULL.
 */
int virt_asker_connect(struct virt **virt, const char *uri, struct virt_error *error);

/* The library that virt_asker_connect() loads. */
struct virt_library {
    char path[512];
    char why[512];         /* it was taken */
    unsigned long version; /* 9000000 is 9.0.0 */
};

/* Loads it, in a process of its own too, and connects to nothing. Returns 0, or -1 with `error`. */
int virt_asker_find_library(struct virt_library *library, struct virt_error *error);

/* An error of our own; the hint may be "". Returns -1. */
int virt_error_set(struct virt_error *error, enum virt_error_kind kind, const char *hint,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

#define VIRT_NO_ANSWER "libvirt does not answer: "
/* The message without these words, for a caller that has already said them. */
const char *virt_error_reason(const struct virt_error *error);

/* The daemon's version, 9000000 is 9.0.0; 0: it does not say. */
unsigned long virt_version(struct virt *virt);

/* virt->ops->subject(), if there is one. */
void virt_set_subject(struct virt *virt, const char *subject);

void virt_close(struct virt *virt);
void virt_definition_finish(struct virt_definition *definition);
void virt_list_free(struct virt_domain *vms, size_t count);

#endif
