/*
 * Port to the hypervisor: what the engine asks of libvirt and nothing more, so that a test can
 * stand in. Calls block, at most for the limits of engine/system/deadline.h. None may be made
 * inside a libvirt hook.
 */
#ifndef ENGINE_VIRT_H
#define ENGINE_VIRT_H

#include "lexer/failure.h"

#include <stdbool.h>
#include <stddef.h>

/* What to do about an error, from what libvirt said. */
enum virt_error_kind {
    VIRT_FAILED,      /* will fail again */
    VIRT_PASSES,      /* job lock: try again */
    VIRT_NO_DOMAIN,   /* no VM is called that */
    VIRT_NOT_RUNNING, /* the VM has stopped, or has not started yet: libvirt's words are the same */
    VIRT_REFUSED,     /* the guest does not let the device go */
    VIRT_HELD,        /* the device is in use by a VM, this or another */
    /* No libvirt library, no connection, connection lost, perhaps after libvirt got the call. The
     * next call connects anew, once; after a daemon's restart the first call fails. */
    VIRT_UNREACHABLE,
    /* The call did not return within its limit: libvirt got it, and may still do it. */
    VIRT_SILENT,
};

struct virt_error {
    enum virt_error_kind kind;
    int code; /* libvirt's virErrorNumber; 0 when not from libvirt */
    struct failure failure;
};

/* One VM as virt_list() gives it. */
struct virt_vm {
    char uuid[37];
    char *xml;
};

/* What happened to the VM that is watched. */
enum virt_news_kind {
    VIRT_NEWS_NONE,
    VIRT_NEWS_REMOVED, /* the guest let a device go: the VM no longer has the device */
    VIRT_NEWS_REFUSED, /* the guest keeps the device; libvirt tells since 1.3.4 */
    VIRT_NEWS_STOPPED, /* the VM is not running any more */
};

struct virt_news {
    enum virt_news_kind kind;
    char alias[64]; /* of the device, for REMOVED and REFUSED; else "" */
};

/* Who is at the other end of a connection. */
struct virt_about {
    unsigned long version; /* libvirt's: 9000000 is 9.0.0 */
    char uri[256];
};

struct virt;

/* Every function returns 0, or -1 with `error` filled in. */
struct virt_ops {
    /* The XML of the VM that has this UUID, name or title (tried in that order): the live one, or
     * of a VM that does not run its definition, which has no id. A title that two VMs have is an
     * error. The caller frees it. */
    int (*domain_xml)(struct virt *virt, const char *vm, char **xml, struct virt_error *error);
    /* Every running VM; not one that stops meanwhile. The caller ends the list with
     * virt_list_free(). */
    int (*list)(struct virt *virt, struct virt_vm **vms, size_t *count, struct virt_error *error);
    /* Every VM that libvirt knows, running or not. */
    int (*list_all)(struct virt *virt, struct virt_vm **vms, size_t *count,
                    struct virt_error *error);
    /*
     * Attach to and detach from the running VM; its configuration stays as it is. `id` is of the
     * life of the VM that is meant, -1: any. libvirt knows a VM by its UUID alone, whatever id the
     * caller has: it is compared right before the call, and VIRT_NOT_RUNNING says that another life
     * has begun. In between, a VM can still be destroyed and started.
     */
    int (*attach)(struct virt *virt, const char *uuid, int id, const char *xml,
                  struct virt_error *error);
    int (*detach)(struct virt *virt, const char *uuid, int id, const char *xml,
                  struct virt_error *error);
    int (*reset)(struct virt *virt, const char *uuid, int id, struct virt_error *error);
    int (*reboot)(struct virt *virt, const char *uuid, int id, struct virt_error *error);
    /* From here on keeps what happens to the running VM, for wait(): at most one VM at a time, anew
     * at each call. Call it before what is to be waited for. */
    int (*watch)(struct virt *virt, const char *uuid, struct virt_error *error);
    /*
     * The next thing that happened to the watched VM, or VIRT_NEWS_NONE when there was none within
     * `timeout_ms` (0: only what is there already). Always NONE, after all of the time, where
     * libvirt cannot tell: so look at the VM too. VIRT_UNREACHABLE: nothing is watched any more.
     */
    int (*wait)(struct virt *virt, int timeout_ms, struct virt_news *news,
                struct virt_error *error);
    /* What the next changes are about, as in "0000:03:00.0, VM 'frigate'", for messages; NULL ends
     * that. NULL in a stand-in, as the next one. */
    void (*subject)(struct virt *virt, const char *subject);
    int (*about)(struct virt *virt, struct virt_about *about, struct virt_error *error);
    void (*close)(struct virt *virt);
};

/* First member of every implementation. */
struct virt {
    const struct virt_ops *ops;
};

/*
 * Connects to libvirt in a process of its own (virt_asker.h), which loads it with dlopen
 * (libvirt.so.0 from the loader's path, then the places where Virtual Machine Manager keeps it).
 * `uri` NULL: LIBVIRT_DEFAULT_URI, else qemu:///system. Requires no symbol newer than
 * LIBVIRT_1.3.4. Gives SIGPIPE an empty handler where it has the default, because libvirt's client
 * writes to a socket whose daemon may be gone. The caller closes it with virt_close(), which takes
 * NULL too. After -1 `virt` is NULL.
 */
int virt_asker_connect(struct virt **virt, const char *uri, struct virt_error *error);

/* The library that virt_asker_connect() loads. */
struct virt_library {
    char path[512];
    unsigned long version; /* 9000000 is 9.0.0 */
};

/* Loads it, in a process of its own too, and connects to nothing. Returns 0, or -1 with `error`. */
int virt_asker_find_library(struct virt_library *library, struct virt_error *error);

/* An error of our own; the hint may be "". Returns -1. */
int virt_error_set(struct virt_error *error, enum virt_error_kind kind, const char *hint,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

#define VIRT_NO_ANSWER "libvirt does not answer: "
/* The message without these words, for a caller that has said so already. */
const char *virt_error_reason(const struct virt_error *error);

/* virt->ops->subject(), if there is one. */
void virt_set_subject(struct virt *virt, const char *subject);

void virt_close(struct virt *virt);
void virt_list_free(struct virt_vm *vms, size_t count);

#endif
