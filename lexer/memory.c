#include "lexer/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_CHUNK = 1024 * 1024, ALIGNMENT = sizeof(void *) };

struct arena_chunk {
    struct arena_chunk *next;
    char bytes[];
};

static void *checked(void *block) {
    if (block)
        return block;
    fputs("virt-rules: out of memory\n", stderr);
    exit(1);
}

void *memory_zalloc(size_t size) {
    return checked(calloc(1, size ? size : 1));
}

void *memory_resize(void *block, size_t count, size_t item_size) {
    return checked(reallocarray(block, count ? count : 1, item_size));
}

char *memory_strdup(const char *text) {
    return checked(strdup(text));
}

char *memory_strndup(const char *text, size_t length) {
    return checked(strndup(text, length));
}

char *memory_vprintf(const char *format, va_list arguments) {
    char *text = NULL;
    return vasprintf(&text, format, arguments) < 0 ? checked(NULL) : text;
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

static void add_chunk(struct arena *arena, size_t size) {
    size_t room = size > ARENA_CHUNK ? size : ARENA_CHUNK;
    struct arena_chunk *chunk = memory_zalloc(sizeof *chunk + room);
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->next = chunk->bytes;
    arena->end = chunk->bytes + room;
}

static char *take(struct arena *arena, size_t size, size_t padding) {
    size_t left = (size_t)(arena->end - arena->next);
    if (left < padding || left - padding < size) {
        add_chunk(arena, size);
        padding = 0;
    }
    char *block = arena->next + padding;
    arena->next = block + size;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size) {
    return take(arena, size, -(uintptr_t)arena->next % ALIGNMENT);
}

char *arena_text(struct arena *arena, const char *text, size_t length) {
    char *copy = take(arena, length + 1, 0);
    memcpy(copy, text, length);
    return copy;
}

void arena_finish(struct arena *arena) {
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->next = arena->end = NULL;
}
