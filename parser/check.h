/*
 * What is wrong with statements that are well formed. Checks live in one table, each with a name
 * and a severity that a user may change; the names that scanner and parser use stand in the same
 * table.
 */
#ifndef PARSER_CHECK_H
#define PARSER_CHECK_H

#include "parser/syntax.h"

struct check_row {
    const char *name;
    enum severity severity;
    bool fixed; /* the file cannot be understood: always an error */
    const char *summary;
};

size_t check_count(void);
const struct check_row *check_row(size_t index);

/* Severities in force, one for each row of the table. */
struct check_config {
    enum severity *severities;
    bool strict; /* warnings count as errors */
};

void check_config_init(struct check_config *config);
void check_config_finish(struct check_config *config);

/*
 * Sets one check's severity. Returns 0; -1 when there is no such check, -2 when it cannot be
 * changed. `suggestion` gets the nearest name or NULL.
 */
int check_config_set(struct check_config *config, const char *name, enum severity severity,
                     const char **suggestion);

/*
 * Resolves the names of devices and runs every check over the whole set; then gives each diagnostic
 * the severity that the configuration (NULL: the table) says, and marks sources with an error as
 * broken.
 */
void check_rules(struct syntax *syntax, const struct check_config *config,
                 struct diagnostics *diagnostics);

/*
 * Gives the diagnostics from the number `from` on the severity that the configuration (NULL: the
 * table) says, and marks their sources. For checks that are made elsewhere, such as those against a
 * host.
 */
void check_apply(const struct check_config *config, struct diagnostics *diagnostics, size_t from);

#endif
