/*
 * Whether a program that a rule names may be run as root. It is judged as a rule file is: the
 * program, the directory that holds it and that of each link to it belong to root or the engine's
 * own effective user, and nobody else may write to them. Neither may anybody else rename a
 * directory above: one that others may write to is trusted there only with the sticky bit, as /tmp.
 * So nobody but root and this user can put another file in its place, not even between this look
 * and the start of the program.
 */
#ifndef ENGINE_PROGRAM_FILE_H
#define ENGINE_PROGRAM_FILE_H

#include "engine/host/tree.h"

enum program_file {
    PROGRAM_FILE_USABLE,
    PROGRAM_FILE_REFUSED, /* it is not there, not a program, or can be changed by others */
    PROGRAM_FILE_UNKNOWN, /* this user cannot look at it, or a copy of a host does not have it */
};

/*
 * Judges the program below the tree's root. In the copy of a host (`root` is not "") whoever owns
 * the copy's root directory counts as root, and that directory itself is not judged. `message` and
 * `hint` get what is wrong and what to do; NULL when it is usable. The caller frees both.
 */
enum program_file program_file_check(const struct tree *tree, const char *path, char **message,
                                     char **hint);

#endif
