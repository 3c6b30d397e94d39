#include "lexer/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_FIRST = 256 * 1024, ARENA_LAST = 16 * 1024 * 1024 }; /* sizes of chunks */

struct arena_chunk {
    struct arena_chunk *next;
    size_t room;
    char bytes[];
};

void memory_fail(void) {
    fputs("virt-rules: out of memory\n", stderr);
    exit(1);
}

static void *memory_checked(void *block) {
    if (!block)
        memory_fail();
    return block;
}

void *memory_zalloc(size_t size) {
    return memory_checked(calloc(1, size ? size : 1));
}

void *memory_resize(void *block, size_t count, size_t item_size) {
    return memory_checked(reallocarray(block, count ? count : 1, item_size));
}

FILE *memory_stream(char **text, size_t *size) {
    return memory_checked(open_memstream(text, size));
}

/* glibc leaves no text, and says nothing, when the last of its allocations fails. */
void memory_stream_close(FILE *stream, char *const *text) {
    bool good = !ferror(stream);
    if (fclose(stream) != 0 || !good || !*text)
        memory_fail();
}

char *memory_strdup(const char *text) {
    return memory_strndup(text, strlen(text));
}

char *memory_copy(const char *text) {
    return text ? memory_strdup(text) : NULL;
}

char *memory_strndup(const char *text, size_t length) {
    return memory_checked(strndup(text, length));
}

char *memory_vprintf(const char *format, va_list arguments) {
    char *text = NULL;
    return vasprintf(&text, format, arguments) < 0 ? memory_checked(NULL) : text;
}

void memory_append(char **text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *more = memory_vprintf(format, arguments);
    va_end(arguments);
    size_t length = strlen(*text), added = strlen(more) + 1;
    *text = memory_resize(*text, length + added, 1);
    memcpy(*text + length, more, added);
    free(more);
}

char *memory_printf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_vprintf(format, arguments);
    va_end(arguments);
    return text;
}

/* A list is full exactly when its length is a power of two, so no capacity is kept. */
void *memory_grow(void *list, size_t count, size_t item_size) {
    if (count & (count - 1))
        return list;
    return memory_resize(list, count ? 2 * count : 1, item_size);
}

void *memory_arena_refill(struct arena *arena, size_t size) {
    size_t room = arena->chunks ? 4 * arena->chunks->room : ARENA_FIRST;
    room = room > ARENA_LAST ? ARENA_LAST : room;
    room = room > size ? room : size;
    struct arena_chunk *chunk = memory_resize(NULL, sizeof *chunk + room, 1);
    *chunk = (struct arena_chunk){arena->chunks, room};
    arena->chunks = chunk;
    arena->next = chunk->bytes + size;
    arena->end = chunk->bytes + room;
    return chunk->bytes;
}

char *memory_arena_text(struct arena *arena, const char *text, size_t length) {
    char *copy = memory_arena_take(arena, length + 1, 0);
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

void memory_arena_finish(struct arena *arena) {
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->next = arena->end = NULL;
}
