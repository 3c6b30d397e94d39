/*
 * Whether a host is ready for what its rules want: conditions, a row each in one table, that look
 * and change nothing. What is not well says what to do; what cannot be known is said as such and is
 * no failure.
 */
#ifndef ENGINE_DOCTOR_H
#define ENGINE_DOCTOR_H

#include "engine/domain.h"
#include "engine/host/host.h"
#include "engine/host/host_tree.h"
#include "engine/libvirt/libvirt_answer.h"
#include "engine/program.h"

#include <stdio.h>

enum doctor_state { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAILED };

/* What one condition found: one line. */
struct finding {
    const char *name; /* of the condition, a static string */
    enum doctor_state state;
    char *message;
    char *hint; /* what to do; NULL when it is well */
};

struct findings {
    struct finding *list;
    size_t count;
    const char *name; /* of the condition that looks now */
};

/* The file system of the state directory, or of where it will be made. */
struct state_facts {
    int error;         /* errno: why nothing else is known; else 0 */
    bool exists;       /* else it will be made at the first event */
    bool is_directory; /* it, or the nearest directory above that exists */
    bool is_writable;  /* for this user */
    bool is_shared; /* may be written by others than its owner, or is not root's or this user's */
    bool is_log_usable; /* the log is a regular file, or not there */
    uint64_t free_bytes;
    bool has_free_files;
    int64_t log_time; /* seconds since the epoch: when the log was last written; 0: never */
};

/* What the conditions look at. */
struct doctor {
    struct tree tree;
    const struct host *host; /* NULL: there is none that can be read */
    const char *host_error;
    struct ruleset *ruleset; /* loaded; not yet held against the host */
    const struct program *program;
    const char *rules, *state; /* the directories */
    struct state_facts facts;
    struct libvirt_answer libvirt;
    bool is_root;
};

/* Fills in what is known of the state directory. */
void state_facts_read(struct state_facts *facts, const char *state);

/* Every condition in the order of the table. The caller ends it with findings_finish(). */
void doctor_examine(struct doctor *doctor, struct findings *findings);
void findings_finish(struct findings *findings);
size_t findings_count(const struct findings *findings, enum doctor_state state);

void findings_print(const struct findings *findings, FILE *out, bool colour);
struct json_object *findings_json(const struct findings *findings);

/* --- for the conditions */

typedef void condition_function(struct doctor *doctor, struct findings *findings);

#define DOCTOR_FORMAT __attribute__((format(printf, 2, 3)))
DOCTOR_FORMAT void doctor_ok(struct findings *findings, const char *format, ...);
DOCTOR_FORMAT void doctor_warning(struct findings *findings, const char *format, ...);
DOCTOR_FORMAT void doctor_failed(struct findings *findings, const char *format, ...);
/* Of the last finding. */
DOCTOR_FORMAT void doctor_hint(struct findings *findings, const char *format, ...);

bool text_ends_with(const char *text, const char *end);

/* Some rule attaches with that backend. */
bool doctor_wants(const struct doctor *doctor, enum backend backend);
/* No rule needs the IOMMU: there are rules that attach, and all of them USB. */
bool doctor_wants_usb_only(const struct doctor *doctor);

/* Looks at a file's text, which it may change. */
typedef bool text_judge(void *context, char *text);

/* The path of the first file in those directories (NULL ends them), by name in each, that ends so
 * and that `is` says yes to; the caller frees it. NULL: none. */
char *doctor_find_file(const struct tree *tree, const char *const *directories, const char *ending,
                       text_judge *is, void *context);

/* A daemon that runs libvirt's qemu driver. */
struct daemon {
    unsigned pid; /* 0: none runs */
    char name[16];
    int64_t start; /* seconds since the epoch; 0: not known */
    char *label;   /* of the security module, "" for none; the caller frees it */
};

/* The one that belongs to root, or the first; see doctor_daemon.c. */
struct daemon doctor_daemon(const struct tree *tree);

/* Whether an AppArmor profile, as a text, lets its program run the file at `path`. */
bool apparmor_allows(const char *profile, const char *path);

/* The places of libvirt's hook for qemu that have our hook. */
struct hook_place {
    char *path;    /* without a leading slash */
    char *version; /* of our hook; NULL: another's */
    bool calls_us; /* another's that names our hook */
    struct stat status;
};

struct hook_places {
    struct hook_place *list; /* "hooks/qemu" first */
    size_t count;
};

struct hook_places hook_places_find(const struct tree *tree);
void hook_places_finish(struct hook_places *places);

condition_function condition_user, condition_iommu, condition_vfio_pci, condition_groups,
    condition_remapping, condition_idle_d3, condition_hook, condition_engine, condition_hook_known,
    condition_security, condition_plugged, condition_old_setup, condition_synology, condition_rules,
    condition_state, condition_libvirt, condition_vms, condition_files, condition_ports,
    condition_devices;

#endif
