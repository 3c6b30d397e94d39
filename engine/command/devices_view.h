/*
 * The inventory of a host as text and as a picture: what the options of `devices` choose. Each
 * function writes all of it to `out`.
 */
#ifndef ENGINE_DEVICES_VIEW_H
#define ENGINE_DEVICES_VIEW_H

#include "engine/plan/inventory.h"
#include "lexer/terminal.h"

struct devices_view {
    const struct inventory *inventory;
    const bool *shown; /* for each row: the words of the command line select it */
    bool has_words;    /* some were given: then reasons come with their hints */
    struct terminal terminal;
};

/* The devices that can be assigned, each with a rule, then the others in a line each. */
void devices_list(FILE *out, const struct devices_view *view);
/* Every device by IOMMU group with all that is known of it. */
void devices_detail(FILE *out, const struct devices_view *view);
/* Each device below the one that it is connected to; with `utf8` in box-drawing characters. */
void devices_tree(FILE *out, const struct devices_view *view, bool utf8);
/* The same as a picture, SVG 1.1 that needs no other file: IOMMU groups as boxes, and the VMs that
 * have their devices or get them by rules. */
void devices_svg(FILE *out, const struct devices_view *view);

/* What the list and the detail have at their end: what is missing on the host, and with `counts`
 * how many devices there are. */
void devices_list_end(FILE *out, const struct devices_view *view, bool counts);
/* The rule on lines of its own, after `indent` columns. A line that is too long ends with a
 * backslash, so that it can be copied as it is. */
void devices_list_rule(FILE *out, struct terminal terminal, size_t indent, const char *rule);
/* What else there is to say of a device that can be assigned, a line each after `indent` columns:
 * what goes with it, a warning, the rules and the VM that have it. */
void devices_list_notes(FILE *out, const struct devices_view *view, const struct inventory_row *row,
                        size_t indent);

#endif
