/*
 * The syntax tree of a set of rule files. Nodes live in the set's arena, hold spans into their own
 * file, and are kept small: a set may have a million rules. Equal texts of criteria and options are
 * one pointer (see scanner_intern()). Words have a hash instead, since most VMs are named once.
 */
#ifndef PARSER_SYNTAX_H
#define PARSER_SYNTAX_H

#include "lexer/diagnostic.h"
#include "lexer/memory.h"
#include "lexer/scanner.h"
#include "lexer/source.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* How a VM is named, and texts in general. */
enum word_kind { WORD_ANY, WORD_PLAIN, WORD_GLOB, WORD_QUOTED };

/* What of a VM the word is compared with, as the keyword before it says; without one, all of them.
 */
enum word_field {
    FIELD_ANY,
#define FIELD(name, text) FIELD_##name,
#include "lexer/words.def"
    FIELD_COUNT
};

struct word {
    struct word *next;
    const char *text;
    struct span span;
    enum word_kind kind : 8;
    enum word_field field : 8;
    bool everyday; /* a bare VM that is nothing but lower case letters, digits, '-' and '_' */
    uint32_t hash; /* of the text */
};

/* 36 characters: hex digits with dashes at their places, as virsh prints it. */
bool syntax_is_uuid(const char *text);

/* A glob of that shape: each group has as many characters, unless a '*' is in it. */
bool syntax_is_uuid_glob(const char *text);

const char *syntax_field_text(enum word_field field);
/* The field of that keyword; FIELD_ANY: it is not one. */
enum word_field syntax_field_from_text(const char *text);

static inline bool syntax_same_text(const struct word *a, const struct word *b) {
    return a->hash == b->hash && !strcmp(a->text, b->text);
}

struct event_list {
    struct event_list *next;
    struct span span;
    enum event_name event;
};

/*
 * Which member of a criterion has its value: of NAME `text`, and `definition` once it is resolved;
 * of ID and SUBSYSTEM `id`; of CLASS and INTERFACE `class_prefix`; of BUS `bus`; of VF `parent` and
 * `number`; of the others `text`. An address is in lower case with its domain, and a glob
 * ("0000:05:00.*"); so is a port ("1-1.*"). A SCSI address is "3:0:0:0". UNREAD stands for words
 * with an error, which may mean every device; see doubt.h.
 */
enum criterion_kind {
#define CRITERION(name, text, kind, ...) CRITERION_##kind,
#define BARE_CRITERION(kind, ...) CRITERION_##kind,
#include "lexer/words.def"
};

enum {
#define CRITERION(name, text, kind, ...) CRITERION_NUMBER_##kind,
#define BARE_CRITERION(kind, ...) CRITERION_NUMBER_##kind,
#include "lexer/words.def"
    CRITERION_COUNT
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
        unsigned bus;             /* a bit of BUS_NEEDS_... */
        struct criterion *parent; /* the physical function: conditions that must all hold */
    };
    int32_t number; /* of VF: the N of virtfnN in sysfs; -1: any */
    enum criterion_kind kind : 8;
    bool alternative : 1;
    bool negated : 1;                    /* "not": what does not meet it */
    bool like : 1;                       /* of PRODUCT, MANUFACTURER, SERIAL: `text` is a glob */
    bool any_vendor : 1, any_device : 1; /* of an id: '*' */
    bool resolved : 1;                   /* of a name: `definition` is set */
    bool incomplete : 1; /* of a device's first: one of its words was not understood */
    bool either : 1; /* of an alternative's first: no device meets all of it, so a guard may mean
                        any */
};

enum quantifier {
    QUANTIFIER_ONE,
#define QUANTIFIER(name, text) QUANTIFIER_##name,
#include "lexer/words.def"
};

struct target {
    struct target *next;
    struct criterion *device;
    struct span span;
    enum quantifier quantifier;
    unsigned count; /* of QUANTIFIER_ANY */
};

enum { TARGET_COUNT_LIMIT = 65535 };

enum backend {
    BACKEND_NONE,
#define BACKEND(name, ...) BACKEND_##name,
#include "lexer/words.def"
    BACKEND_COUNT
};

enum verb {
#define VERB(name, ...) VERB_##name,
#include "lexer/words.def"
    VERB_COUNT
};

enum option_kind {
#define OPTION(name, ...) OPTION_##name,
#define LONG_OPTION(name, ...) OPTION_##name,
#include "lexer/words.def"
    OPTION_COUNT
};

/* The buses that a device must be on, one of them, for a criterion to hold, or for a backend to
 * attach it; a set. */
enum { BUS_NEEDS_PCI = 1, BUS_NEEDS_USB = 2, BUS_NEEDS_SCSI = 4, BUS_NEEDS_ANY = 7 };

/* The backends that an option is for; a set. */
enum {
#define BACKEND(name, ...) AS_##name = 1 << BACKEND_##name,
#include "lexer/words.def"
};

/* The events at which an action or an option is possible; a set. */
enum {
#define EVENT(name, ...) AT_##name = 1 << EVENT_##name,
#include "lexer/words.def"
    AT_ANY = (1 << EVENT_COUNT) - 1,
    /* those without a scanner_why_no_attach() */
    AT_RUNNING_VM = AT_STARTED | AT_RECONNECT | AT_PLUGGED | AT_UNPLUGGED | AT_FREED
};

/* What follows a keyword. */
enum value_kind {
    VALUE_FLAG, /* nothing */
    VALUE_WORD,
    VALUE_STRING,
    VALUE_TEXT, /* a word or a string */
    VALUE_DURATION,
    VALUE_NUMBER,
    VALUE_KEYWORD
};

struct action_option {
    struct action_option *next;
    struct span span;
    union {
        /* rom file; mac, and the UUID of a mediated device, in lower case; its type; bus; of guest
         * reset the value in words of libvirt's guestReset; reset method in the kernel's words;
         * interned */
        const char *text;
        uint32_t milliseconds; /* within, after, wait */
        unsigned number; /* controller: its index in the domain XML; vlan; ports; boot order */
    };
    enum option_kind kind;
};

/* The option of that kind in the list that starts there, or NULL. */
const struct action_option *syntax_find_option(const struct action_option *first,
                                               enum option_kind kind);

enum { DURATION_LIMIT_MS = 24 * 60 * 60 * 1000 };
#define DURATION_FORMS "a whole number and its unit: 500ms, 30s, 2m or 1h, up to 24h"
enum { CONTROLLER_LIMIT = 15 };        /* the highest index of a controller */
enum { VLAN_LIMIT = 4094 };            /* 0 and 4095 have other meanings, IEEE 802.1Q */
enum { VF_LIMIT = 65535 };             /* TotalVFs of the SR-IOV capability has 16 bits */
enum { PREPARE_LIMIT_MS = 60 * 1000 }; /* as long may libvirt wait for us */
enum { PORTS_LIMIT = 31 };             /* root ports: a bus has as many slots */
enum { BOOT_ORDER_LIMIT = 65535 };

struct action {
    struct action *next;
    union {
        struct target *targets; /* of all but run; of create one, the physical function */
        struct word *command;   /* run */
    };
    union {
        const char *driver; /* bind: the host's driver, interned ("vfio-pci") */
        unsigned count;     /* create: the number of virtual functions */
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
    struct word *vms; /* NULL: a rule of the host ("on host boot") */
    struct event_list *events;
    struct action *actions;
    struct span span; /* the head; with one action on its line, the whole statement */
};

/* never attach DEVICE [to vm ...] */
struct guard {
    struct guard *next;
    struct source *source;
    struct criterion *device;
    struct word *vms; /* NULL: every VM */
    struct span span;
    bool doubtful; /* it has an error, and forbids all that it may mean */
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
    bool is_virtual; /* each of its alternatives is a virtual function */
    bool excluded,
        impossible;   /* by contradiction.c: it was looked at, and no device can match it */
    uint8_t state;    /* of resolving: not yet, under way (a circle), done */
    uint8_t bus_sets; /* what its alternatives need, see resolve_narrow() */
    bool looked_at;   /* by doubt.c, for: */
    uint32_t reason;  /* the error in it; 0: none */
    uint32_t weight;  /* its criteria, with those of the definitions that it names */
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
bool syntax_same_device(const struct criterion *a, const struct criterion *b);

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

typedef bool value_reader(struct parse_context *context, struct criterion *criterion,
                          struct span span, const char *text);

/* Of a bare word: an id, an address or a name. */
value_reader value_criterion;
/* Those of words.def: the value after the criterion's keyword. */
value_reader value_id, value_address, value_class, value_subsystem, value_port, value_below,
    value_string, value_driver, value_scsi;

extern const char VALUE_A_DEVICE[];   /* a hint: what can be a device */
extern const char VALUE_NO_FILE[];    /* a hint: the path of a device file is none */
bool value_is_scsi(const char *text); /* "3:0:0:0" */

/* The PCI address that the text nearly is ("0000:5:0.0", "pci_0000_05_00_0"), or NULL. The caller
 * frees it. */
char *value_corrected_address(const char *text);
/* The keyword of a criterion ("class") that takes such a value; TOKEN_END: none does. */
enum token value_token_of(const char *text);
/* The keyword that the text is, except for upper case; else NULL. */
const char *value_lower_case(const char *text);
/* "500ms", "5s", "2m" or "1h", at most DURATION_LIMIT_MS. False: it is not one. */
bool value_read_duration(uint32_t *milliseconds, const char *text);
/* The same from milliseconds, in the largest unit that divides them. */
void value_print_duration(FILE *out, uint32_t milliseconds);
/* A number and a unit, even if it is longer than the limit. */
bool value_has_unit(const char *text);
bool value_duration(struct parse_context *context, uint32_t *milliseconds, struct span span,
                    const char *text);
/* The value of an option: a NUMBER, or a STRING or WORD, which is interned and in its usual form.
 */
bool value_option_number(struct parse_context *context, struct action_option *option,
                         struct span span, const char *text);
bool value_option_text(struct parse_context *context, struct action_option *option,
                       struct span span, const char *text);
/* The name of a driver that a device is bound to, interned. */
const char *value_host_driver(struct parse_context *context, struct span span, const char *text);
/* How many virtual functions are created. */
bool value_vf_count(struct parse_context *context, unsigned *count, struct span span,
                    const char *text);
/* Of a virtual function: -1 when it is not one. */
int32_t value_vf(struct parse_context *context, struct span span, const char *text);
bool value_count(struct parse_context *context, unsigned *count, struct span span,
                 const char *text);
bool value_name(struct parse_context *context, struct span span, const char *text);

/* --- the rows of words.def, see there */

struct backend_row {
    const char *text;
    enum token keyword;
    unsigned buses;
    bool group;
    bool defined;        /* it is possible at the event of that name */
    const char *devices; /* "PCI devices" */
};

struct criterion_row {
    const char *text; /* the keywords, or of a kind without one what it is called */
    value_reader *read;
    const char *plural, *example;
    enum token keyword; /* the first; TOKEN_END: none */
    unsigned buses;     /* 0: any */
};

struct verb_row {
    const char *text;
    const char *participle; /* "attached" */
    enum token keyword;
    unsigned events; /* bits: AT_STARTED ... */
};

struct option_row {
    const char *text;
    enum token first; /* its first keyword */
    enum value_kind value;
    unsigned verbs;    /* bits: FOR_ATTACH ... */
    unsigned backends; /* bits: AS_VFIO ...; 0: all */
    unsigned events;   /* bits: AT_STARTED ... */
};

const struct backend_row *syntax_backend(enum backend backend);
const struct criterion_row *syntax_criterion(enum criterion_kind kind);
const struct option_row *syntax_option(enum option_kind kind);
const struct verb_row *syntax_verb(enum verb verb);
enum verb syntax_verb_of(enum token keyword);
const char *syntax_verb_text(enum verb verb);
/* Whether the action is possible at that event. */
bool syntax_verb_is_possible(enum verb verb, enum event_name event);
const char *syntax_backend_text(enum backend backend);
/* "as disk or as scsi": the backends of a set, bits AS_..., each with `before` in front of it. The
 * caller frees it. */
char *syntax_backends_text(unsigned set, const char *before);

/* What the keyword, a token of that kind, stands for. */
enum backend syntax_backend_of(enum token keyword);
enum criterion_kind syntax_criterion_of(enum token keyword);
/* The bus, a bit of BUS_NEEDS_..., of a keyword, and the word for one. */
unsigned syntax_bus_of(enum token keyword);
const char *syntax_bus_text(unsigned bus);
/* "PCI", "USB or SCSI": the caller frees it. */
char *syntax_bus_labels(unsigned set);
enum option_kind syntax_option_of(enum token keyword);

bool syntax_is_backend(enum token keyword);
/* "'as disk' or 'as scsi'": the backends for the options that begin with the keyword; the caller
 * frees it. */
char *syntax_option_backends(enum token keyword);

/* What must follow a keyword that is younger than rule files in use where a device may begin: see
 * LATE in words.def. */
enum late { LATE_NOT, LATE_NOTHING, LATE_ANYTHING, LATE_VALUE, LATE_KEYWORD, LATE_CONDITION };
enum late syntax_late(enum token keyword);
bool syntax_is_late_event(enum event_name event);

/* True when the keyword can only be in an option. */
bool syntax_is_option(enum token keyword);

#endif
