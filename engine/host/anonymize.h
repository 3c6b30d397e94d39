/*
 * Stand-ins for what a record of a host must not tell: the same text always gets the same one, and
 * a stand-in is its own, so that a record of a record is the same. Callers free what they get.
 */
#ifndef ENGINE_ANONYMIZE_H
#define ENGINE_ANONYMIZE_H

struct standins;

struct standins *anonymize_create(void);
void anonymize_destroy(struct standins *standins);

/* A USB serial number: "SERIAL1". */
char *anonymize_serial(struct standins *standins, const char *serial);

/* A name in sysfs or a file in it: UUIDs, MAC addresses, and rows of 12 hexadecimal digits or more,
 * as in "enx00e04c680001", become others of the same form; and what people called an md array. */
char *anonymize_name(struct standins *standins, const char *name);

/* The same for each part of a path. */
char *anonymize_path(struct standins *standins, const char *path);

/* A name or a path that people made: each word of it that is not one of those that systems use, as
 * "boot", "volume1" or "vg", becomes one of the same length, or a longer one where all of that
 * length are taken. */
char *anonymize_words(struct standins *standins, const char *text);

#endif
