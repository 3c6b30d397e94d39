/* What globs can match: those of fnmatch(3), which are matched when a VM or device is looked for.
 */
#ifndef PARSER_GLOB_H
#define PARSER_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* The length in bytes of the "[...]" that the text begins with; 0 when no ']' ends it. */
size_t glob_bracket_length(const char *text);

/* True when a "[...]" of the glob stands for no character, such as [z-a] or [[:foo:]]: then the
 * glob matches nothing. */
bool glob_is_void(const char *glob);

/* True when there is a UUID that the glob matches, upper and lower case being one. */
bool glob_meets_uuid(const char *glob);

/*
 * True when there is a PCI address (dddd:bb:ss.f, lower case; the domain has four or more digits)
 * that both globs match. Errs on that side when they are longer than any that people write.
 */
bool glob_addresses_meet(const char *one, const char *other);

#endif
