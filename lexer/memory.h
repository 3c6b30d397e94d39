/*
 * Memory that never fails: a program of this size has nothing better to do without memory than to
 * say so and end with status 1. Arenas hold what lives and dies together.
 */
#ifndef LEXER_MEMORY_H
#define LEXER_MEMORY_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void *memory_zalloc(size_t size);
void *memory_resize(void *block, size_t count, size_t item_size);
/* As open_memstream(3). Ended with memory_stream_close(), the text is whole. */
FILE *memory_stream(char **text, size_t *size);
void memory_stream_close(FILE *stream, char *const *text);
char *memory_strdup(const char *text);
/* The same, and NULL of NULL. */
char *memory_copy(const char *text);
char *memory_strndup(const char *text, size_t length);
char *memory_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Appends to a text of its own block. */
void memory_append(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *memory_vprintf(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* "out of memory", status 1: for the memory of others' functions. */
_Noreturn void memory_fail(void);

/* Room for one more item in a list that grows by doubling; returns the list. */
void *memory_grow(void *list, size_t count, size_t item_size);

struct arena {
    struct arena_chunk *chunks;
    char *next, *end;
};

/* `size` bytes of a new chunk. */
void *memory_arena_refill(struct arena *arena, size_t size);

static inline void *memory_arena_take(struct arena *arena, size_t size, size_t padding) {
    size_t left = (size_t)(arena->end - arena->next);
    if (left < padding || left - padding < size)
        return memory_arena_refill(arena, size);
    char *block = arena->next + padding;
    arena->next = block + size;
    return block;
}

/* Zeroed and aligned for any node; lives until memory_arena_finish(). An arena of zero bytes is
 * empty. */
static inline void *memory_arena_alloc(struct arena *arena, size_t size) {
    return memset(memory_arena_take(arena, size, -(uintptr_t)arena->next % sizeof(void *)), 0,
                  size);
}

/* A copy of `length` bytes with a final NUL, unaligned. */
char *memory_arena_text(struct arena *arena, const char *text, size_t length);
void memory_arena_finish(struct arena *arena);

#endif
