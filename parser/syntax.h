/*
 * The syntax tree of a set of rule files. Nodes live in the set's arena, hold spans into their own
 * file, and are kept small: a set may have a million rules. Equal texts of criteria and options are
 * one pointer (see scanner_intern()); words have their hash, for names of VMs are seldom told
 * twice.
 */
#ifndef PARSER_SYNTAX_H
#define PARSER_SYNTAX_H

#include "lexer/diagnostic.h"
#include "lexer/memory.h"
#include "lexer/scanner.h"
#include "lexer/source.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* How a VM is named, and texts in general. */
enum word_kind { WORD_ANY, WORD_PLAIN, WORD_GLOB, WORD_QUOTED };

/* By what a VM is meant: `name`, `title` or `uuid` in front of its word; else by any of them. */
enum word_field { FIELD_ANY, FIELD_NAME, FIELD_TITLE, FIELD_UUID };

struct word {
    struct word *next;
    const char *text;
    struct span span;
    enum word_kind kind : 8;
    enum word_field field : 8;
    uint32_t hash; /* of the text */
};

/* 36 characters: hex digits with dashes at their places, as virsh prints it. */
bool syntax_is_uuid(const char *text);

/* A glob of that shape: each group has as many characters, unless a '*' is in it. */
bool syntax_is_uuid_glob(const char *text);

const char *syntax_field_text(enum word_field field);

static inline bool syntax_same_text(const struct word *a, const struct word *b) {
    return a->hash == b->hash && !strcmp(a->text, b->text);
}

struct event_list {
    struct event_list *next;
    uint32_t start;
    enum event_name event;
};

static inline struct span syntax_event_span(const struct event_list *event) {
    return (struct span){event->start,
                         event->start + (uint32_t)strlen(scanner_event_text(event->event))};
}

enum criterion_kind {
    CRITERION_NAME,      /* text, and definition once resolved */
    CRITERION_ID,        /* id */
    CRITERION_ADDRESS,   /* text: "0000:05:00.*", lower case with its domain; a glob */
    CRITERION_CLASS,     /* class_prefix */
    CRITERION_SUBSYSTEM, /* id */
    CRITERION_PORT,      /* text */
    CRITERION_SERIAL,    /* text */
    CRITERION_UNREAD,    /* text: words with an error. Every device may be meant; see doubt.h */
};

/* vvvv:dddd with a half that may be anything. */
struct id_pattern {
    uint16_t vendor, device;
};

struct class_prefix {
    uint32_t value;
    uint8_t digits; /* 2, 4 or 6 */
};

/*
 * One condition on a device. A device is a list of them: those of one alternative must all hold,
 * and a criterion with `alternative` set begins the next alternative ("or").
 */
struct criterion {
    struct criterion *next;
    struct span span;
    union {
        const char *text;
        const struct definition *definition;
        struct id_pattern id;
        struct class_prefix class_prefix;
    };
    uint8_t kind;
    bool alternative;
    bool any_vendor, any_device; /* of an id: '*' */
    bool resolved;               /* of a name: `definition` is set */
    bool incomplete;             /* of a device's first: one of its words was not understood */
    bool either; /* of an alternative's first: no device meets all of it, so a guard may mean any */
};

enum quantifier { QUANTIFIER_ONE, QUANTIFIER_ANY, QUANTIFIER_ALL };

struct target {
    struct target *next;
    struct criterion *device;
    struct span span;
    enum quantifier quantifier : 8;
    unsigned count : 24; /* of QUANTIFIER_ANY */
};

enum { TARGET_COUNT_LIMIT = 65535 };

enum backend { BACKEND_NONE, BACKEND_VFIO, BACKEND_USB };
enum verb { VERB_ATTACH, VERB_DETACH, VERB_RUN };
enum restart { RESTART_NONE, RESTART_RESET, RESTART_REBOOT };

enum option_kind {
    OPTION_OPTIONAL,
    OPTION_UNMANAGED,
    OPTION_WITHIN,
    OPTION_AFTER,
    OPTION_ROM_OFF,
    OPTION_ROM_FILE,
    OPTION_THEN_RESET,
    OPTION_THEN_REBOOT,
};

struct action_option {
    struct action_option *next;
    struct span span;
    union {
        const char *text;      /* rom file */
        uint32_t milliseconds; /* within, after */
    };
    enum option_kind kind;
};

enum { DURATION_LIMIT_MS = 24 * 60 * 60 * 1000 };

struct action {
    struct action *next;
    union {
        struct target *targets; /* attach, detach */
        struct word *command;   /* run */
    };
    struct action_option *options;
    struct span span;
    enum verb verb : 8;
    enum backend backend : 8;
    bool with_group;
};

struct rule {
    struct rule *next;
    struct source *source;
    struct word *vms;
    struct event_list *events;
    struct action *actions;
    struct span span; /* the head; with one action on its line, the whole statement */
};

/* A criterion that only one bus has, so that the other backend cannot mean it. */
enum { BUS_NEEDS_PCI = 1, BUS_NEEDS_USB = 2 };

/* never attach DEVICE [to vm ...] */
struct guard {
    struct guard *next;
    struct source *source;
    struct criterion *device;
    struct word *vms; /* NULL: every VM */
    struct span span;
    bool doubtful; /* an error keeps it from being understood: it forbids all that it may mean */
};

struct definition {
    struct definition *next;
    struct definition *first, *same; /* the definitions of that name: the first, and the next */
    struct source *source;
    struct criterion *device;
    const char *name;
    struct span name_span;
    struct span span;
    bool used;
    bool excluded, impossible; /* see exclude.h: looked at, and nothing matches it */
    uint8_t state;             /* of resolving: not yet, under way (a circle), done */
    uint8_t buses;             /* of the criteria behind it: BUS_NEEDS_PCI, BUS_NEEDS_USB */
    bool looked_at;            /* by doubt.c, for: */
    uint32_t reason;           /* the error that keeps it from being understood; 0: none */
    uint32_t weight; /* criteria behind it, those of other definitions counted where named */
};

/* Everything that the files of one run say, in file order. */
struct syntax {
    struct arena arena;
    struct interner texts;
    struct rule *rules, **rules_end;
    struct guard *guards, **guards_end;
    struct definition *definitions, **definitions_end;
    const char **bad_names; /* of definitions, which cannot be names; interned */
    size_t bad_name_count;
};

void syntax_init(struct syntax *syntax);
void syntax_finish(struct syntax *syntax);

/* Parses one file into the set and adds what is wrong to `diagnostics`. */
void syntax_parse(struct syntax *syntax, struct source *source, struct diagnostics *diagnostics);

/* What a criterion says, its kind and place aside: equal for those of one kind that say the same.
 */
uint64_t syntax_criterion_bits(const struct criterion *one);
bool syntax_same_criterion(const struct criterion *a, const struct criterion *b);

/* The name of a criterion's keyword ("class"), or of its kind for those that have none ("id"). */
const char *syntax_criterion_text(enum criterion_kind kind);
const char *syntax_backend_text(enum backend backend);
const char *syntax_verb_text(enum verb verb);

/* True when the bare word holds one of * ? [ */
bool value_is_glob(const char *text);

/* True when a '[' of a glob has no ']', and so would only mean itself. */
bool value_has_open_bracket(const char *text);

/* --- values from words: each returns true, or adds one diagnostic at `span` and returns false */
struct parse_context {
    struct source *source;
    struct diagnostics *diagnostics;
    struct syntax *syntax;
};

bool value_criterion(struct parse_context *context, struct criterion *criterion, struct span span,
                     const char *text);
bool value_id(struct parse_context *context, struct criterion *criterion, struct span span,
              const char *text);
bool value_address(struct parse_context *context, struct criterion *criterion, struct span span,
                   const char *text);
bool value_class(struct parse_context *context, struct criterion *criterion, struct span span,
                 const char *text);
bool value_port(struct parse_context *context, struct criterion *criterion, struct span span,
                const char *text);
/* The PCI address that the text nearly is ("0000:5:0.0", "pci_0000_05_00_0"), or NULL. The caller
 * frees it. */
char *value_mended_address(const char *text);
/* The keyword of a condition ("class") that takes such a value; TOKEN_END when it is like none. */
enum token value_token_of(const char *text);
/* The word of the language that the text is but for upper case; else NULL. */
const char *value_lower_case(const char *text);
bool value_duration(struct parse_context *context, uint32_t *milliseconds, struct span span,
                    const char *text);
bool value_count(struct parse_context *context, unsigned *count, struct span span,
                 const char *text);
bool value_name(struct parse_context *context, struct span span, const char *text);

#endif
