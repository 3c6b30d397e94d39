/*
 * virt-rules.conf, the settings of a host: one KEY = VALUE a line. Hooks and udev have no
 * environment that could tell the engine where libvirt is, so a file must. A line that is wrong
 * counts for nothing, and the other lines count. Uses only libc: the static hook links it too.
 */
#ifndef ENGINE_CONF_H
#define ENGINE_CONF_H

#include "lexer/source.h"

#include <limits.h>

#define CONF_NAME "virt-rules.conf"

enum conf_key { CONF_URI, CONF_LIBRARY, CONF_STATE, CONF_KEYS };
enum { CONF_LIMIT = 65536, CONF_VALUE_SIZE = PATH_MAX };

/* What is set; "": nothing. */
struct conf {
    char values[CONF_KEYS][CONF_VALUE_SIZE];
};

enum conf_problem {
    CONF_FINE,
    CONF_NO_VALUE_SIGN, /* a line without '=' */
    CONF_UNKNOWN_KEY,
    CONF_REPEATED_KEY, /* the first one counts */
    CONF_EMPTY_VALUE,
    CONF_QUOTED_VALUE,
    CONF_BAD_CHARACTER, /* a control character */
    CONF_LONG_VALUE,
    CONF_RELATIVE_PATH,
    CONF_PATH_AS_URI,
    CONF_REMOTE_URI, /* of another host: its VMs cannot have the devices of this one */
};

/* A line that says something. Spans are byte offsets into the text. */
struct conf_line {
    struct span key, value; /* without blanks around; empty: there is none */
    enum conf_key which;    /* unless the key is unknown */
    enum conf_problem problem;
    struct span place; /* of the problem */
};

/* Starts with {.text = text, .size = size}. */
struct conf_reader {
    const char *text;
    size_t size, at;
    unsigned seen; /* a bit for each key */
};

const char *conf_key_name(enum conf_key key);

/* The next line that is neither empty nor a comment; false: there is none. */
bool conf_next(struct conf_reader *reader, struct conf_line *line);

/* Whether the file may be believed: it and its directory belong to root or this user, and nobody
 * else may write to them. `directory`: whether the directory is what is wrong. */
bool conf_is_trusted(const char *path, int fd, bool *directory);

/* Reads the settings of a file that may be believed; of another, and without one, nothing is set.
 */
void conf_read(struct conf *conf, const char *path);

#define CONF_LOCAL_HINT                                                                            \
    "the VMs must be on this host, which has the devices: write three slashes, as in "             \
    "qemu:///system"
/* Whether a URI, RFC 3986, names a host that is not this one: its server, with user and port. */
bool conf_is_remote(const char *uri, size_t length);

#endif
