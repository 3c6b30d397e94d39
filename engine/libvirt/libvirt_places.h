/*
 * Where hosts keep libvirt: its library, and the sockets of its daemons. A NAS has it in a
 * directory of its own. What a person set counts first, then the usual place, then places that are
 * known, and last what the running daemon says: which library it has loaded, where it listens.
 */
#ifndef ENGINE_LIBVIRT_PLACES_H
#define ENGINE_LIBVIRT_PLACES_H

#include "engine/host/tree.h"
#include "engine/system/layout.h"

/* Something that may be tried, and why. */
struct libvirt_place {
    char *name; /* of a library, or a URI */
    char *why;  /* "FILE sets it" */
};

/* In the order of trying. The caller ends it with libvirt_places_finish(). */
struct libvirt_places {
    struct libvirt_place *list;
    size_t count;
    bool is_guess; /* of URIs: no socket was found, so the usual URI is all there is */
};

/*
 * "libvirt.so.0" is the one that the loader finds: not in a copy of a host, of which only files are
 * in the list. The second list has, after the same, what the running daemon has loaded, for which
 * it reads all of /proc.
 */
void libvirt_places_known_libraries(struct libvirt_places *places, const struct tree *tree,
                                    const struct layout *layout);
void libvirt_places_libraries(struct libvirt_places *places, const struct tree *tree,
                              const struct layout *layout);

/* The file that the setting names, itself or in the directory that it is, for the caller to free;
 * NULL: none is set. One that others may write to is not loaded: `is_trusted`. */
char *libvirt_places_set_library(const struct tree *tree, const struct layout *layout,
                                 bool *is_trusted);

/* The library, where such a host has it: one of the table's. The caller frees it. NULL: not there.
 */
char *libvirt_places_library_of(const struct tree *tree, const char *host);

/* Whether the process with this directory is libvirtd or virtqemud. A user's own
 * (qemu:///session) is not meant: it has no hook. */
bool libvirt_places_is_daemon(const struct tree *tree, const char *directory);

/* What LIBVIRT_DEFAULT_URI or the file sets is the only one in the list. */
void libvirt_places_uris(struct libvirt_places *places, const struct tree *tree,
                         const struct layout *layout);

void libvirt_places_finish(struct libvirt_places *places);

/* The sockets that are looked for: "A and B in DIRECTORY, DIRECTORY". The caller frees it. */
char *libvirt_places_sockets(void);

#endif
