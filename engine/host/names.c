#include "engine/host/names.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pci/pci.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lexer/memory.h"
#include "lexer/text.h"
#include "lexer/utf8.h"

enum { NAME_SIZE = 1024, PIECE = 65536 };

/* libpci is loaded at run time, so that one program serves hosts that lack it. */
struct library {
    void *handle;
    __typeof__(pci_alloc) *alloc;
    __typeof__(pci_cleanup) *cleanup;
    __typeof__(pci_lookup_name) *lookup;
    __typeof__(pci_set_name_list_path) *set_list;
};

struct names_list {
    const struct host *host;
    struct library library;
    bool is_loaded;
    char *own_list; /* of the tree; NULL: none */
    struct pci_access *access;
    FILE *excerpt; /* what libpci reads in place of the list; NULL: nothing */
};

struct names_list *names_create(const struct tree *tree, const struct host *host) {
    struct names_list *names = memory_zalloc(sizeof *names);
    names->host = host;
    char *path = *tree->root ? tree_resolve(tree, "usr/share/misc/pci.ids") : NULL;

    if (path && tree_has(tree, path))
        names->own_list = memory_printf("%s/%s", tree->root, path);
    free(path);
    return names;
}

static void names_library_load(struct library *library) {
    library->handle = dlopen("libpci.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!library->handle)
        return;
    library->alloc = (__typeof__(library->alloc))dlsym(library->handle, "pci_alloc");
    library->cleanup = (__typeof__(library->cleanup))dlsym(library->handle, "pci_cleanup");
    library->lookup = (__typeof__(library->lookup))dlsym(library->handle, "pci_lookup_name");
    library->set_list =
        (__typeof__(library->set_list))dlsym(library->handle, "pci_set_name_list_path");
}

static bool names_library_is_whole(const struct library *library) {
    return library->alloc && library->cleanup && library->lookup && library->set_list;
}

/*
 * libpci ends the program when it cannot read a list, and its handler must not return: it leaves by
 * the jump. The handler gets no context, hence the static. The list's file is closed by then.
 */
static _Thread_local jmp_buf on_error;

/* NOLINTBEGIN(readability-non-const-parameter): the types are libpci's */
__attribute__((noreturn)) static void names_leave(char *message, ...) {
    (void)message;
    longjmp(on_error, 1);
}

static void names_say_nothing(char *message, ...) {
    (void)message;
}
/* NOLINTEND(readability-non-const-parameter) */

/* pci_init() is left out: it looks for a way to reach the bus, and names need none. */
static struct pci_access *names_access_create(const struct library *library, const char *list) {
    struct pci_access *access = library->alloc();

    access->error = names_leave;
    access->warning = access->debug = names_say_nothing;
    access->id_lookup_mode = 0; /* no cache in a home directory, no DNS */
    if (list)
        library->set_list(access, memory_strdup(list), 1);
    return access;
}

/* The ids of the host's PCI devices in order, each once. */
struct ids {
    uint32_t *items; /* the vendor above, the device below */
    size_t count;
};

static int names_by_value(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static struct ids names_ids_here(const struct host *host) {
    struct ids ids = {memory_resize(NULL, host->count + 1, sizeof *ids.items), 0};
    size_t count = 0;

    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].bus == BUS_PCI)
            ids.items[count++] =
                (uint32_t)host->devices[i].id.vendor << 16 | host->devices[i].id.device;
    qsort(ids.items, count, sizeof *ids.items, names_by_value);
    for (size_t i = 0; i < count; i++)
        if (!i || ids.items[i] != ids.items[i - 1])
            ids.items[ids.count++] = ids.items[i];
    return ids;
}

/* The first that is not below `id`. */
static size_t names_place_of(const struct ids *ids, uint32_t id) {
    size_t low = 0, high = ids->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids->items[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool names_is_here(const struct ids *ids, long vendor, long device) {
    uint32_t id = (uint32_t)vendor << 16 | (device < 0 ? 0 : (uint32_t)device);
    size_t place = vendor < 0 ? ids->count : names_place_of(ids, id);
    return place < ids->count &&
           (device < 0 ? ids->items[place] >> 16 == (uint32_t)vendor : ids->items[place] == id);
}

/* The number that a line of the list starts with, or -1. */
static long names_id_of(const char *line) {
    bool has_digits = strspn(line, "0123456789abcdef") == 4 && line[4] == ' ';
    return has_digits ? strtol(line, NULL, 16) : -1;
}

/* What goes from the list into the excerpt. */
struct excerpt {
    FILE *out;
    struct ids ids;
    long vendor; /* whose lines come; -1: none of this host */
};

/* "vvvv  maker", below it "<tab>dddd  device", below that "<tab><tab>..." for its variants. */
static void names_copy_if_here(struct excerpt *excerpt, const char *line, size_t length) {
    bool is_device = *line == '\t';
    if (*line == '#' || length == 0 || (is_device && excerpt->vendor < 0))
        return; /* a comment may be in the middle of a maker's devices */
    if (!is_device) {
        excerpt->vendor = names_id_of(line);
        if (!names_is_here(&excerpt->ids, excerpt->vendor, -1))
            excerpt->vendor = -1;
    }
    long device = is_device ? names_id_of(line + 1) : -1;
    if (is_device ? device >= 0 && names_is_here(&excerpt->ids, excerpt->vendor, device)
                  : excerpt->vendor >= 0)
        fprintf(excerpt->out, "%.*s\n", (int)length, line);
}

/* The list is long and a process reads it once: in pieces, so that no memory is made for it. */
static void names_copy_what_is_here(struct excerpt *excerpt, int list) {
    char piece[PIECE + 1];
    size_t held = 0;
    for (ssize_t got; (got = read(list, piece + held, PIECE - held)) > 0;) {
        const char *line = piece, *end;
        held += (size_t)got;
        for (; (end = memchr(line, '\n', held)); line = end + 1) {
            names_copy_if_here(excerpt, line, (size_t)(end - line));
            held -= (size_t)(end + 1 - line);
        }
        held = held < PIECE ? held : 0; /* no list has such lines */
        memmove(piece, line, held);
    }
    piece[held] = '\n';
    names_copy_if_here(excerpt, piece, held);
}

/* As libpci does it: "pci.ids" where there is no "pci.ids.gz". */
static int names_open_list(const char *path) {
    static const char ending[] = ".gz";
    int list = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = strlen(path), tail = strlen(ending);

    if (list < 0 && length > tail && strcmp(path + length - tail, ending) == 0) {
        char *plain = memory_strndup(path, length - tail);
        list = open(plain, O_RDONLY | O_CLOEXEC);
        free(plain);
    }
    return list;
}

static bool names_is_plain(int list) {
    static const unsigned char gzip[] = {0x1f, 0x8b};
    unsigned char head[sizeof gzip];
    ssize_t size = pread(list, head, sizeof head, 0);
    return size >= 0 && (size < (ssize_t)sizeof head || memcmp(head, gzip, sizeof gzip) != 0);
}

/*
 * libpci takes 15 ms for the whole list of 36,000 lines, most of it for memory that nobody looks
 * at. It gets the few lines of this host instead, in a file without a name; whatever fails here,
 * the whole list stays in place.
 */
static void names_shorten_list(struct names_list *names) {
    int list = names_open_list(names->access->id_file_name);
    int fd = list >= 0 && names_is_plain(list) ? memfd_create("pci.ids", MFD_CLOEXEC) : -1;

    names->excerpt = fd < 0 ? NULL : fdopen(fd, "w");
    if (names->excerpt) {
        struct excerpt excerpt = {names->excerpt, names_ids_here(names->host), -1};
        names_copy_what_is_here(&excerpt, list);
        free(excerpt.ids.items);
        if (fflush(names->excerpt) == 0)
            names->library.set_list(names->access, memory_printf("/proc/self/fd/%d", fd), 1);
    } else if (fd >= 0) {
        close(fd);
    }
    if (list >= 0)
        close(list);
}

static void names_load(struct names_list *names) {
    names->is_loaded = true;
    names_library_load(&names->library);
    if (!names_library_is_whole(&names->library))
        return;
    names->access = names_access_create(&names->library, names->own_list);
    names_shorten_list(names);
}

/*
 * NULL when the list is broken. udev's database is left alone: libpci leaks where there is none,
 * and it is made from the same list.
 */
static char *names_look_up(const struct names_list *names, struct device_id id) {
    char text[NAME_SIZE];

    if (!names->access)
        return NULL;
    if (setjmp(on_error))
        return NULL;
    const char *name = names->library.lookup(
        names->access, text, sizeof text,
        PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_HWDB, id.vendor, id.device);
    return name ? memory_strdup(name) : NULL;
}

char *names_find(struct names_list *names, struct device_id id) {
    if (!names->is_loaded)
        names_load(names);
    char *name = names_look_up(names, id);
    if (!name)
        return memory_printf("Device %04x:%04x", id.vendor, id.device);
    names_clean(name);
    return name;
}

char *names_list(struct names_list *names) {
    const struct tree here = {.root = "", .fd = AT_FDCWD};
    if (!names->is_loaded)
        names_load(names);
    if (!names->excerpt)
        return NULL;
    char *path = memory_printf("/proc/self/fd/%d", fileno(names->excerpt));
    char *list = tree_read(&here, path);
    free(path);
    return list;
}

void names_destroy(struct names_list *names) {
    if (names->access)
        names->library.cleanup(names->access);
    if (names->excerpt)
        fclose(names->excerpt);
    if (names->library.handle)
        dlclose(names->library.handle);
    free(names->own_list);
    free(names);
}

/* A control character, a line or paragraph separator, or one that turns the writing direction. */
static bool names_moves_text(const unsigned char *character, size_t length) {
    unsigned last = character[length - 1];

    if (length == 1)
        return last < 0x20 || last == 0x7F;
    if (length == 2)
        return (character[0] == 0xC2 && last < 0xA0) || (character[0] == 0xD8 && last == 0x9C);
    if (length != 3 || character[0] != 0xE2)
        return false;
    return character[1] == 0x80 ? last == 0x8E || last == 0x8F || (last >= 0xA8 && last <= 0xAE)
                                : character[1] == 0x81 && last >= 0xA6 && last <= 0xA9;
}

void names_clean(char *text) {
    size_t left = strlen(text);
    char *end = text;

    while (left) {
        size_t length = utf8_length(text, left);
        if (length == 0 || names_moves_text((const unsigned char *)text, length)) {
            *end++ = '?';
        } else {
            memmove(end, text, length);
            end += length;
        }
        text += length ? length : 1;
        left -= length ? length : 1;
    }
    *end = '\0';
}

char *names_volume_label(const char *name) {
    char *label = memory_zalloc(2 * strlen(name) + 1), *end = label;
    for (; *name; name++) {
        if (*name == '-')
            *end++ = '-';
        *end++ = *name;
        if (*name == '/')
            end[-1] = '-';
    }
    return label;
}
