/*
 * What is wrong with statements that are well formed. The names and severities of all checks, also
 * those that scanner, parser, loader and check_host.c report, are rows of lexer/checks.def.
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

const struct check_row *check_row(enum check check);

/* The severity of each check that is in force. */
struct check_config {
    enum severity severities[CHECK_COUNT];
    bool strict; /* warnings count as errors */
};

/* Sets the severities of the rows. */
void check_config_init(struct check_config *config);

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
