/*
 * Memory that never fails: a program of this size has nothing better to do without memory than to
 * say so and end with status 1. Arenas hold what lives and dies together.
 */
#ifndef LEXER_MEMORY_H
#define LEXER_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

void *memory_zalloc(size_t size);
void *memory_resize(void *block, size_t count, size_t item_size);
char *memory_strdup(const char *text);
char *memory_strndup(const char *text, size_t length);
char *memory_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *memory_vprintf(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* Room for one more item in a list that grows by doubling; returns the list. */
void *memory_grow(void *list, size_t count, size_t item_size);

struct arena {
    struct arena_chunk *chunks;
    char *next, *end;
};

/* Zeroed and aligned for any node; lives until arena_finish(). An arena of zero bytes is empty. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy of `length` bytes with a final NUL, unaligned. */
char *arena_text(struct arena *arena, const char *text, size_t length);
void arena_finish(struct arena *arena);

#endif
