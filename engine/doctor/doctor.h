/*
 * Whether a host is ready for its rules: checks that read and change nothing. A problem has a hint
 * what to do. What cannot be known is reported so, and is not a failure. A new check is a
 * row of the table in doctor.c, a function in the file of its subject, its declaration below, and
 * an item under `doctor` in virt-rules(1).
 */
#ifndef ENGINE_DOCTOR_H
#define ENGINE_DOCTOR_H

#include "engine/host/host.h"
#include "engine/host/tree.h"
#include "engine/libvirt/libvirt_answer.h"
#include "engine/model/domain.h"
#include "engine/rules/program.h"
#include "engine/system/layout.h"
#include "lexer/terminal.h"

#include <stdio.h>

/* DOCTOR_UNKNOWN: nobody can say, which is not a failure. */
enum doctor_state { DOCTOR_OK, DOCTOR_UNKNOWN, DOCTOR_WARNING, DOCTOR_FAILED };

/* What one check found: one line. */
struct doctor_finding {
    const char *name; /* of the check, a static string */
    enum doctor_state state;
    char *message;
    char *hint; /* what to do; NULL: nothing */
};

struct doctor_findings {
    struct doctor_finding *list;
    size_t count;
    const char *name; /* of the check that runs */
};

/* The file system of the state directory, or of where it will be made. */
struct doctor_state_facts {
    int error;          /* errno: why nothing else is known; else 0 */
    bool exists;        /* else it will be made at the first event */
    bool is_directory;  /* it, or the nearest directory above that exists */
    bool is_writable;   /* for this user */
    bool is_shared;     /* others can write to it, or it belongs neither to root nor to this user */
    bool is_log_usable; /* the log is a regular file, or not there */
    uint64_t free_bytes;
    bool has_free_files;
    int64_t log_time; /* seconds since the epoch: when the log was last written; 0: never */
};

/* What the checks read. */
struct doctor {
    struct tree tree;
    const struct host *host; /* NULL: there is none that can be read */
    const char *host_error;
    struct ruleset *ruleset; /* loaded, not yet checked against the host */
    const struct program *program;
    const struct layout *layout; /* where the files of this installation are */
    const char *rules, *state;   /* its directories */
    struct doctor_state_facts facts;
    struct libvirt_answer libvirt;
    bool is_root;
};

/* Fills in what is known of the state directory. */
void doctor_read_state_facts(struct doctor_state_facts *facts, const char *state);

/* Runs the checks in the order of the table. The caller ends it with doctor_findings_finish(). */
void doctor_examine(struct doctor *doctor, struct doctor_findings *findings);
void doctor_findings_finish(struct doctor_findings *findings);
size_t doctor_findings_count(const struct doctor_findings *findings, enum doctor_state state);

/* Failures first, then warnings. How many checks are fine is one line, unless `all` is set: then
 * each is shown. */
void doctor_findings_print(const struct doctor_findings *findings, FILE *out,
                           struct terminal terminal, bool all);
struct json_object *doctor_findings_json(const struct doctor_findings *findings);

/* --- for the checks */

typedef void doctor_check(struct doctor *doctor, struct doctor_findings *findings);

#define DOCTOR_FORMAT __attribute__((format(printf, 2, 3)))
DOCTOR_FORMAT void doctor_ok(struct doctor_findings *findings, const char *format, ...);
DOCTOR_FORMAT void doctor_unknown(struct doctor_findings *findings, const char *format, ...);
DOCTOR_FORMAT void doctor_warning(struct doctor_findings *findings, const char *format, ...);
DOCTOR_FORMAT void doctor_failed(struct doctor_findings *findings, const char *format, ...);
/* Of the last finding. */
DOCTOR_FORMAT void doctor_hint(struct doctor_findings *findings, const char *format, ...);

/* Some rule attaches devices of that bus. */
bool doctor_wants_bus(const struct doctor *doctor, enum bus bus);
/* There are rules that attach, and all of them USB. */
bool doctor_wants_usb_only(const struct doctor *doctor);
/* Whether rules need the IOMMU, which they do to attach a device as vfio or net. */
enum doctor_need { DOCTOR_NO_ATTACH, DOCTOR_NEEDS_NOT, DOCTOR_NEEDS };
enum doctor_need doctor_needs_iommu(const struct doctor *doctor);

/* Looks at a file's text, which it may change. */
typedef bool text_judge(void *context, char *text);

/* The path of the first file in those directories (NULL ends them), by name in each, that ends so
 * and that `is` says yes to; the caller frees it. NULL: none. */
char *doctor_find_file(const struct tree *tree, const char *const *directories, const char *ending,
                       text_judge *is, void *context);

/* A daemon that runs libvirt's qemu driver. */
struct doctor_daemon {
    unsigned pid; /* 0: none runs */
    char name[16];
    int64_t start; /* seconds since the epoch; 0: not known */
    char *label;   /* of the security module, "" for none; the caller frees it */
};

/* The first one that root runs, in the order of /proc. The caller frees `label`. */
struct doctor_daemon doctor_hook_daemon(const struct tree *tree);

/* The engine that the hook in libvirt's directory starts: see hook/launch.h. The caller frees it.
 */
char *doctor_hook_engine_path(const struct tree *tree);

/* Whether an AppArmor profile, as a text, lets its program run the file at `path`. */
bool doctor_security_apparmor_allows(const char *profile, const char *path);

doctor_check doctor_setup_user, doctor_kernel_version, doctor_kernel_iommu, doctor_kernel_vfio_pci,
    doctor_kernel_groups, doctor_kernel_remapping, doctor_kernel_idle_d3, doctor_hook_installed,
    doctor_hook_engine, doctor_hook_known, doctor_security_confinement, doctor_setup_plugged,
    doctor_scripts_old_setup, doctor_setup_synology, doctor_setup_parked, doctor_setup_boot,
    doctor_rules_valid, doctor_setup_state, doctor_rules_libvirt, doctor_rules_vms,
    doctor_rules_files, doctor_rules_ports, doctor_rules_bars, doctor_rules_devices,
    doctor_places_conf, doctor_places_library, doctor_places_socket;

#endif
