/*
 * Where the files of an installation are. It may be below any directory that the host keeps over a
 * boot, its prefix. A program knows its prefix by where it lies, because hooks and udev have no
 * environment that could say it:
 *
 *     PREFIX/bin/virt-rules, PREFIX/libexec/virt-rules-hook, -plug
 *     PREFIX/rules.d              if it is there; else the compiled directory (RULESDIR)
 *     RULES/../virt-rules.conf    the settings
 *     PREFIX/state                if PREFIX/rules.d is there; else the compiled one (STATEDIR)
 *     HOOKS/virt-rules-engine     a link to PREFIX/bin/virt-rules, for the copy of the hook there
 *
 * An archive that is only unpacked has no rules.d. Uses only libc: the static hook links it too.
 */
#ifndef ENGINE_LAYOUT_H
#define ENGINE_LAYOUT_H

#include "engine/system/conf.h"

#define LAYOUT_ENGINE_LINK "virt-rules-engine"

/* What decided. */
enum layout_source {
    LAYOUT_OPTION,
    LAYOUT_ENVIRONMENT,
    LAYOUT_CONF,
    LAYOUT_PREFIX,  /* it is below the directory that this program is installed in */
    LAYOUT_COMPILED /* the usual place */
};

struct layout {
    char rules[PATH_MAX]; /* the directory of rules */
    char file[PATH_MAX];  /* virt-rules.conf, whether it is there or not */
    char state[PATH_MAX]; /* the directory of log and state */
    enum layout_source rules_source, state_source;
    struct conf conf; /* of the file */
};

struct layout_request {
    const char *root;          /* "", or the directory that holds a copy of a host */
    const char *prefix;        /* of the program; "": none */
    const char *rules, *state; /* of the command line; NULL: not given */
};

/*
 * Options win over VIRT_RULES_DIR and VIRT_RULES_STATE, these over the file, and that over the
 * rest. What options and the environment name is not below the root. Without a file beside the
 * rules of an option, the one beside the usual rules counts. A path that is too long becomes "".
 */
void layout_find(struct layout *layout, const struct layout_request *request);

/* virt-rules.conf beside a directory, by the directory's name: of a link, the link's place counts.
 */
void layout_conf_beside(char file[PATH_MAX], const char *directory);

/* The prefix of a program by its path, or "" and false: it is in neither bin nor libexec. */
bool layout_prefix_of(char prefix[PATH_MAX], const char *program);
/* Of this program. */
bool layout_prefix(char prefix[PATH_MAX]);
/* The command that installs virt-rules again. The archive's names the prefix of this program; the
 * text stays until the next call. */
const char *layout_installer(void);

/* The one of this program, found at the first call: with the options of layout_use(), which keeps
 * the texts, if that was called before. */
const struct layout *layout_current(void);
void layout_use(const char *rules, const char *state);

#endif
