#include "engine/libvirt/libvirt_places.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

#define LIBRARY "libvirt.so.0"
#define USUAL_URI "qemu:///system"
#define SYNOLOGY "/var/packages/Virtualization/target"

enum { PROC_LIMIT = 16 << 20 };

/* --- the tables */

/*
 * Of QNAP: that virsh and its libraries are there was read in set-ups that people published. Of
 * Synology: virsh in usr/local/bin likewise, the place of the library is inferred. Of TrueNAS:
 * unix_sock_dir in the vendor's own libvirtd.conf. Unraid and distributions have the usual places.
 */
static const struct {
    const char *directory, *host;
} libraries[] = {
    {SYNOLOGY "/usr/local/lib", "Synology"},
    {SYNOLOGY "/usr/local/lib64", "Synology"},
    {SYNOLOGY "/usr/lib", "Synology"},
    {SYNOLOGY "/usr/lib64", "Synology"},
    {SYNOLOGY "/lib", "Synology"},
    {SYNOLOGY "/lib64", "Synology"},
    {"/QVS/usr/lib64", "QNAP"},
    {"/QVS/usr/lib", "QNAP"},
    {"/KVM/opt/lib64", "QNAP"},
    {"/KVM/opt/lib", "QNAP"},
    {"/usr/lib64", "a distribution"},
    {"/usr/lib", "a distribution"},
    {"/usr/local/lib64", "a libvirt of its own build"},
    {"/usr/local/lib", "a libvirt of its own build"},
    {"/opt/libvirt/lib64", "a libvirt of its own build"},
    {"/opt/libvirt/lib", "a libvirt of its own build"},
};

/* Where daemons have their sockets. At a usual place, libvirt's own library looks for itself. */
static const struct {
    const char *directory, *host;
    bool is_usual;
} socket_places[] = {
    {"/run/libvirt", "libvirt", true},
    {"/var/run/libvirt", "libvirt", true},
    {"/run/truenas_libvirt", "TrueNAS", false},
};

/* Of libvirtd, and of the modular daemon for qemu. */
static const char *const socket_names[] = {"libvirt-sock", "virtqemud-sock"};

enum {
    PLACE_COUNT = sizeof socket_places / sizeof *socket_places,
    NAME_COUNT = sizeof socket_names / sizeof *socket_names,
    SOCKET_COUNT = PLACE_COUNT * NAME_COUNT
};

/* --- lists */

/* Takes both texts; what is in the list already is not added. */
static void libvirt_places_add(struct libvirt_places *places, char *name, char *why) {
    for (size_t i = 0; i < places->count; i++)
        if (!strcmp(places->list[i].name, name)) {
            free(name);
            free(why);
            return;
        }
    places->list = memory_grow(places->list, places->count, sizeof *places->list);
    places->list[places->count++] = (struct libvirt_place){name, why};
}

void libvirt_places_finish(struct libvirt_places *places) {
    for (size_t i = 0; i < places->count; i++) {
        free(places->list[i].name);
        free(places->list[i].why);
    }
    free(places->list);
    *places = (struct libvirt_places){0};
}

/* Nobody but root and this user may write to it; in a copy of a host, owners are those of the copy.
 */
static bool libvirt_places_is_trusted(const struct tree *tree, const char *path) {
    struct stat status;
    return tree_stat(tree, path, &status) &&
           (*tree->root || source_is_trusted(status.st_uid, status.st_mode));
}

/* --- the library */

/* What is beside the library is loaded with it: so its directory must be trusted too. */
static bool libvirt_places_may_load(const struct tree *tree, const char *library) {
    char *directory = memory_strndup(library, (size_t)(strrchr(library, '/') - library));
    bool may =
        libvirt_places_is_trusted(tree, library) && libvirt_places_is_trusted(tree, directory);
    free(directory);
    return may;
}

char *libvirt_places_set_library(const struct tree *tree, const struct layout *layout,
                                 bool *is_trusted) {
    const char *set = layout->conf.values[CONF_LIBRARY];
    struct stat status;
    bool is_directory = tree_stat(tree, set, &status) && S_ISDIR(status.st_mode);
    char *path = *set ? memory_printf("%s%s", set, is_directory ? "/" LIBRARY : "") : NULL;
    *is_trusted =
        !path || *tree->root || !tree_has(tree, path) || libvirt_places_may_load(tree, path);
    return path;
}

static void libvirt_places_add_set(struct libvirt_places *places, const struct tree *tree,
                                   const struct layout *layout) {
    bool is_trusted;
    char *path = libvirt_places_set_library(tree, layout, &is_trusted);
    if (path && is_trusted)
        libvirt_places_add(places, path, memory_printf("%s sets it", layout->file));
    else
        free(path);
}

char *libvirt_places_library_of(const struct tree *tree, const char *host) {
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        if (strcmp(libraries[i].host, host) != 0)
            continue;
        char *path = memory_printf("%s/" LIBRARY, libraries[i].directory);
        if (tree_has(tree, path))
            return path;
        free(path);
    }
    return NULL;
}

bool libvirt_places_is_daemon(const struct tree *tree, const char *directory) {
    char *name = tree_attribute(tree, directory, "comm");
    bool is = name && (!strcmp(name, "libvirtd") || !strcmp(name, "virtqemud"));
    char *status = is ? tree_attribute(tree, directory, "status") : NULL;
    const char *user = status ? strstr(status, "\nUid:") : NULL;
    is = is && (!user || strtol(user + strlen("\nUid:"), NULL, 10) == 0);
    free(status);
    free(name);
    return is;
}

/* The file in proc/PID/maps that is the library, or NULL. */
static char *libvirt_places_mapped(const struct tree *tree, const char *directory) {
    size_t size;
    char *path = memory_printf("%s/maps", directory), *found = NULL;
    char *text = tree_load(tree, path, PROC_LIMIT, &size), *rest = text;
    for (char *line; !found && rest && (line = text_next_line(&rest));) {
        char *file = strchr(line, '/'), *name = file ? strrchr(file, '/') : NULL;
        if (name && text_starts_with(name, "/" LIBRARY))
            found = memory_strdup(file);
    }
    free(text);
    free(path);
    return found;
}

/* What the running daemon has loaded, wherever a host keeps it. In a container of its own that may
 * be a file that is not there for us. */
static void libvirt_places_add_mapped(struct libvirt_places *places, const struct tree *tree) {
    struct names processes = tree_list(tree, "proc");
    for (size_t i = 0; i < processes.count; i++) {
        const char *process = processes.items[i];
        char *directory = memory_printf("proc/%s", process), *library = NULL;
        if (*process >= '1' && *process <= '9' && libvirt_places_is_daemon(tree, directory))
            library = libvirt_places_mapped(tree, directory);
        if (library && libvirt_places_may_load(tree, library))
            libvirt_places_add(
                places, memory_strdup(library),
                memory_printf("the running daemon (process %s) has loaded it", process));
        free(library);
        free(directory);
    }
    tree_finish_names(&processes);
}

void libvirt_places_known_libraries(struct libvirt_places *places, const struct tree *tree,
                                    const struct layout *layout) {
    *places = (struct libvirt_places){0};
    libvirt_places_add_set(places, tree, layout);
    if (!*tree->root)
        libvirt_places_add(places, memory_strdup(LIBRARY), memory_strdup("the loader finds it"));
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        char *path = memory_printf("%s/" LIBRARY, libraries[i].directory);
        if (tree_has(tree, path))
            libvirt_places_add(places, path, memory_printf("a place of %s", libraries[i].host));
        else
            free(path);
    }
}

void libvirt_places_libraries(struct libvirt_places *places, const struct tree *tree,
                              const struct layout *layout) {
    libvirt_places_known_libraries(places, tree, layout);
    libvirt_places_add_mapped(places, tree);
}

/* --- the sockets */

/* A path as the value of a URI's parameter, RFC 3986. */
static char *libvirt_places_socket_uri(const char *path) {
    char *uri = memory_strdup("qemu+unix:///system?socket=");
    for (; *path; path++) {
        bool is_plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
                        (*path >= '0' && *path <= '9') || strchr("/-._~", *path);
        memory_append(&uri, is_plain ? "%c" : "%%%02X", (unsigned char)*path);
    }
    return uri;
}

/* The path of one of SOCKET_COUNT; the caller frees it. */
static char *libvirt_places_socket(size_t index) {
    return memory_printf("%s/%s", socket_places[index / NAME_COUNT].directory,
                         socket_names[index % NAME_COUNT]);
}

static bool libvirt_places_stat_socket(const struct tree *tree, size_t index, struct stat *status) {
    char *path = libvirt_places_socket(index);
    bool is = tree_stat(tree, path, status) && S_ISSOCK(status->st_mode);
    free(path);
    return is;
}

/* Whether it is there, and is none of those before it: /var/run is a link to /run, or is not. */
static bool libvirt_places_is_socket(const struct tree *tree, size_t index) {
    struct stat status, before;
    bool is = libvirt_places_stat_socket(tree, index, &status);
    for (size_t i = 0; is && i < index; i++)
        is = !libvirt_places_stat_socket(tree, i, &before) || before.st_dev != status.st_dev ||
             before.st_ino != status.st_ino;
    return is;
}

static void libvirt_places_add_socket(struct libvirt_places *places, const char *path, char *why) {
    libvirt_places_add(places, libvirt_places_socket_uri(path), why);
}

/* The path of a line of /proc/net/unix (proc(5)) if a daemon of libvirt's listens there: in the
 * usual place of a session, a user's own does. NULL: none. */
static const char *libvirt_places_listener(const struct tree *tree, char *line) {
    enum { FLAGS = 3, PATH = 7, FIELDS = 8, LISTENS = 0x10000 /* __SO_ACCEPTCON */ };
    char *fields[FIELDS];
    struct stat status;
    if (text_split_fields(line, fields, FIELDS) < FIELDS ||
        !(strtoul(fields[FLAGS], NULL, 16) & LISTENS))
        return NULL;
    const char *path = fields[PATH];
    bool is = *path == '/' && !text_starts_with(path, "/run/user/") &&
              (text_ends_with(path, "/libvirt-sock") || text_ends_with(path, "/virtqemud-sock")) &&
              tree_stat(tree, path, &status) && S_ISSOCK(status.st_mode) &&
              (*tree->root || status.st_uid == 0);
    return is ? path : NULL;
}

static void libvirt_places_add_listeners(struct libvirt_places *places, const struct tree *tree) {
    size_t size;
    char *text = tree_load(tree, "proc/net/unix", PROC_LIMIT, &size), *rest = text;
    for (char *line; rest && (line = text_next_line(&rest));) {
        const char *path = libvirt_places_listener(tree, line);
        if (path)
            libvirt_places_add_socket(places, path,
                                      memory_printf("a daemon of root's listens at %s", path));
    }
    free(text);
}

/* The usual URI comes first where it may do, for with it the library chooses the daemon. Each
 * socket by itself follows, for the library may look in another place than the daemon listens. */
static void libvirt_places_find_sockets(struct libvirt_places *places, const struct tree *tree) {
    for (int usual = 1; usual >= 0; usual--)
        for (size_t i = 0; i < SOCKET_COUNT; i++) {
            if (!libvirt_places_is_socket(tree, i) ||
                (usual && !socket_places[i / NAME_COUNT].is_usual))
                continue;
            char *path = libvirt_places_socket(i);
            char *why = memory_printf("%s, a socket of %s, is there", path,
                                      socket_places[i / NAME_COUNT].host);
            if (usual)
                libvirt_places_add(places, memory_strdup(USUAL_URI), why);
            else
                libvirt_places_add_socket(places, path, why);
            free(path);
        }
}

void libvirt_places_uris(struct libvirt_places *places, const struct tree *tree,
                         const struct layout *layout) {
    const char *variable = *tree->root ? NULL : getenv("LIBVIRT_DEFAULT_URI");
    const char *set = layout->conf.values[CONF_URI];
    *places = (struct libvirt_places){0};
    if (variable && *variable) {
        libvirt_places_add(places, memory_strdup(variable),
                           memory_strdup("LIBVIRT_DEFAULT_URI names it"));
        return;
    }
    if (*set) {
        libvirt_places_add(places, memory_strdup(set), memory_printf("%s sets it", layout->file));
        return;
    }
    libvirt_places_find_sockets(places, tree);
    if (!places->count)
        libvirt_places_add_listeners(places, tree);
    places->is_guess = !places->count;
    if (places->is_guess)
        libvirt_places_add(places, memory_strdup(USUAL_URI),
                           memory_strdup("it is the usual one; no socket of libvirt was found"));
}

char *libvirt_places_sockets(void) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < NAME_COUNT; i++)
        text_list(&text, i + 1 == NAME_COUNT, " and ", "%s", socket_names[i]);
    memory_append(&text, " in ");
    for (size_t i = 0; i < PLACE_COUNT; i++)
        memory_append(&text, "%s%s", i ? ", " : "", socket_places[i].directory);
    return text;
}
