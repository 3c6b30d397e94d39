/* What a shared library needs: the DT_NEEDED entries of an ELF file, elf(5). */
#ifndef ENGINE_ELF_H
#define ENGINE_ELF_H

#include <stdbool.h>

/*
 * Calls `take` with the name of each library ("libxml2.so.2") that the one at `path` names as
 * needed, in the file's order. Does nothing for a file that cannot be read, or that is not a whole
 * ELF file of this machine's kind.
 */
void elf_each_needed(const char *path, void (*take)(void *context, const char *name),
                     void *context);

#endif
