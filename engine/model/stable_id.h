/*
 * Identifiers that a VM finds again at each of its starts: the MAC address of a network card that
 * no rule gives one, the UUID of a mediated device. They are computed from the VM, the words by
 * which a rule selects the device, and a number that tells several such devices apart. They do not
 * depend on the place of the rule in its file, nor on the device that is free at the moment. No
 * I/O.
 *
 * A guest knows its cards by these numbers: no later version may compute others.
 */
#ifndef ENGINE_STABLE_ID_H
#define ENGINE_STABLE_ID_H

#include <stdint.h>

enum { STABLE_ID_MAC_SIZE = 18, STABLE_ID_UUID_SIZE = 37 };

/* What the identifiers of one rule's devices have in common. */
struct stable_id {
    uint64_t hash;
};

/* `vm` is domain_key(). */
struct stable_id stable_id_of(const char *vm, const char *words);

/*
 * "c2:5d:07:91:3f:aa": unicast and locally administered, of the quadrant that RFC 8948 leaves to
 * the administrator (the second digit is 2). The caller takes the lowest `ordinal`, from 0, whose
 * value the VM does not have.
 */
void stable_id_mac(struct stable_id id, unsigned ordinal, char mac[STABLE_ID_MAC_SIZE]);

/* The same as a UUID of version 8, whose bits are the application's own (RFC 9562). */
void stable_id_uuid(struct stable_id id, unsigned ordinal, char uuid[STABLE_ID_UUID_SIZE]);

#endif
