/* What globs, those of fnmatch(3), can match. */
#ifndef PARSER_GLOB_H
#define PARSER_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the glob matches the text, both of them UTF-8. */
bool glob_matches(const char *glob, const char *text, bool any_case);

/* The length in bytes of the "[...]" that the text begins with; 0 when no ']' ends it. */
size_t glob_bracket_length(const char *text);

/* True when a "[...]" of the glob matches no character, such as [z-a] or [[:foo:]]: then the
 * glob matches nothing. */
bool glob_is_void(const char *glob);

/* True when there is a UUID that the glob matches, upper and lower case being one. */
bool glob_meets_uuid(const char *glob);

/*
 * True when there is a PCI address (dddd:bb:ss.f, lower case; the domain has four or more digits)
 * that both globs match. Also true when they are longer than any that people write.
 */
bool glob_addresses_meet(const char *one, const char *other);

/* The same of a USB port, as 1-1.4, and of any text: a character beyond ASCII may be any other. */
bool glob_ports_meet(const char *one, const char *other);
bool glob_texts_meet(const char *one, const char *other);

/* True when `general` matches all that `special` matches; false: no, or not known. */
bool glob_covers(const char *general, const char *special);

#endif
