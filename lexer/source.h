/* The text of a rule file, and positions in it. */
#ifndef LEXER_SOURCE_H
#define LEXER_SOURCE_H

#include "lexer/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOURCE_LIMIT = 256 * 1024 * 1024 }; /* bytes in one file */

/* Byte offsets into a source, `end` after the last byte. Lines and columns are only computed to
 * print them. */
struct span {
    uint32_t start, end;
};

struct source {
    char *path; /* as people know the file: what was given, or "<stdin>" */
    char *text; /* `size` bytes and a NUL */
    size_t size;
    size_t number;       /* place among the files of one run, from 0 */
    bool broken;         /* has an error: contributes nothing but its `never` lines */
    bool refused;        /* for its owner or mode: the same, and no other error in it is reported */
    bool guards_unknown; /* its text cannot be read, so what its `never` lines forbid is unknown */
    bool lost_names;     /* a definition has an error that hides which name it defines */
    uint64_t device, inode; /* of the file; 0: of standard input, or of a text */
    /* Filled when they are first needed: */
    uint32_t *lines; /* start of each line */
    size_t line_count;
    uint32_t *characters; /* characters before each kibibyte, so that long lines stay cheap */
};

struct position {
    size_t line;      /* from 1 */
    unsigned column;  /* in characters (UTF-8), from 1 */
    struct span text; /* the line, without its end */
};

/* Copies `size` bytes (at most SOURCE_LIMIT). The caller ends it with source_finish(). */
void source_from_text(struct source *source, const char *path, const char *text, size_t size);

/* What a file must be before its rules are taken. */
enum source_trust {
    TRUST_ANY,   /* only report in `untrusted` */
    TRUST_OWNER, /* owned by root or this user, writable by nobody else */
};

/*
 * Reads a regular file, or standard input when `path` is "-". Returns 0, or -1 with
 * `failure`, whose message begins with a verb ("cannot be read"); then there is nothing to finish.
 * `untrusted`, when it is not NULL, is set for a file that other users may change.
 */
int source_read(struct source *source, const char *path, enum source_trust trust, bool *untrusted,
                struct failure *failure);
void source_finish(struct source *source);

/* True when the file or directory of that owner and mode can be changed by nobody but root and this
 * user. Inline, for the static hook has no more of this. */
static inline bool source_is_trusted(unsigned owner, unsigned mode) {
    return (owner == 0 || owner == geteuid()) && !(mode & (S_IWGRP | S_IWOTH));
}

/*
 * How to make it so, as a hint: "sudo chown root PATH; sudo chmod go-w PATH", or what to do where
 * the file system has no owners and modes (FAT, exFAT, NTFS, SMB) and chmod changes nothing. `root`
 * is the copy of a host that the path is in, "" on the host itself. The caller frees the text.
 */
char *source_trust_hint(const char *root, const char *path);

/* Length of the byte order mark that the text begins with: 0 or 3. */
uint32_t source_mark(const struct source *source);

/* The file as a whole cannot be a rule file, which one error says. */
bool source_is_utf16(const struct source *source);
bool source_is_binary(const struct source *source);

struct position source_position(struct source *source, uint32_t offset);

/* Characters (UTF-8) between two offsets. */
unsigned source_characters(const struct source *source, uint32_t start, uint32_t end);

#endif
