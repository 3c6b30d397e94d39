/* Small files, read and replaced as a whole. */
#ifndef ENGINE_FILE_H
#define ENGINE_FILE_H

#include <stddef.h>

enum { FILE_READ_LIMIT = 4 << 20 };

/*
 * Reads a regular file of at most FILE_READ_LIMIT bytes, and adds a NUL; the caller frees the text.
 * Follows no link at the end of the path, and does not wait for a FIFO. Returns 0 or an errno, and
 * then the text is NULL: ENOENT there is none, EFBIG it is too long, EINVAL it is not regular.
 */
int file_read(const char *path, char **text, size_t *size);

/*
 * Writes `temporary`, mode 0600, which only one process at a time may do, and renames it: a
 * reader of `path` sees the old text or the new one. Returns 0, or -1 with errno, and then `path`
 * is as before and there is no temporary file. It is not synced: what it holds counts until the
 * next boot only.
 */
int file_replace(const char *path, const char *temporary, const char *text, size_t size);

#endif
