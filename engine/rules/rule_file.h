/*
 * Changes of rule files by commands. Each is done as a whole or not at all, also when the program
 * is killed or the power fails, and none writes over a file that somebody else has put there. What
 * is half done has no name that ends in ".rules". A signal that would end the program waits.
 *
 * Each returns 0, or -1 with `failure`, whose message names the path and whose hint says what to
 * do.
 */
#ifndef ENGINE_RULE_FILE_H
#define ENGINE_RULE_FILE_H

#include "lexer/source.h"

/* What a disabled file's name ends in; a file's whole name is before it. */
#define RULE_FILE_DISABLED ".disabled"

/*
 * Replaces the text of a file that was read as `source`; owner, mode, and what is a symbolic link
 * stay. One that has changed since, or has hard links, is not replaced.
 */
int rule_file_replace(const struct source *source, const char *text, size_t size,
                      struct failure *failure);

/* Writes a new file, mode 0644. Returns 1 when there is one already, which stays as it is. */
int rule_file_create(const char *path, const char *text, size_t size, struct failure *failure);

/* Gives a file another name. Returns 1 when there is one of that name already. */
int rule_file_rename(const char *from, const char *to, struct failure *failure);

/* Makes the directory and those above it, mode 0755; those that are there stay as they are. */
int rule_file_make_directory(const char *path, struct failure *failure);

/* Why a file that could not be written or renamed could not, by errno. Returns -1. */
int rule_file_fail(struct failure *failure, const char *what, const char *path, int error);

/* Whether this user may make and rename files in the directory, or make the directory: 0 or an
 * errno. */
int rule_file_may_write(const char *directory);

/* The directory that the path is in, "." for a bare name. The caller frees it. */
char *rule_file_directory_of(const char *path);

#endif
