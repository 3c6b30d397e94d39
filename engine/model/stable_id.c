#include "engine/model/stable_id.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

/* FNV-1a, 64 bits, and one more step for the 0 at the end: so "ab" "c" is not "a" "bc". */
static uint64_t stable_id_add(uint64_t hash, const char *text) {
    do
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    while (*text++);
    return hash;
}

/* The bits of FNV-1a's last bytes have not spread yet: the finalizer of MurmurHash3 does that. */
static uint64_t stable_id_spread(uint64_t hash) {
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

struct stable_id stable_id_of(const char *vm, const char *words) {
    uint64_t hash = stable_id_add(UINT64_C(0xcbf29ce484222325), vm);
    return (struct stable_id){stable_id_add(hash, words)};
}

/* `kind` makes the numbers of different kinds independent of each other. */
static uint64_t stable_id_bits(struct stable_id id, unsigned ordinal, const char *kind) {
    char number[16];
    snprintf(number, sizeof number, "%u", ordinal);
    return stable_id_spread(stable_id_add(stable_id_add(id.hash, kind), number));
}

void stable_id_mac(struct stable_id id, unsigned ordinal, char mac[STABLE_ID_MAC_SIZE]) {
    uint64_t bits = stable_id_bits(id, ordinal, "mac");
    unsigned byte[6];
    for (int i = 0; i < 6; i++)
        byte[i] = bits >> 8 * i & 0xff;
    snprintf(mac, STABLE_ID_MAC_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", (byte[0] & 0xf0) | 0x02,
             byte[1], byte[2], byte[3], byte[4], byte[5]);
}

void stable_id_uuid(struct stable_id id, unsigned ordinal, char uuid[STABLE_ID_UUID_SIZE]) {
    uint64_t high = stable_id_bits(id, ordinal, "uuid");
    uint64_t low = stable_id_bits(id, ordinal, "uuid, second half");
    high = (high & ~UINT64_C(0xf000)) | UINT64_C(0x8000);           /* version 8 */
    low = (low & (UINT64_MAX >> 2)) | UINT64_C(0x8000000000000000); /* its variant */
    snprintf(uuid, STABLE_ID_UUID_SIZE,
             "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, high >> 32,
             high >> 16 & 0xffff, high & 0xffff, low >> 48, low & UINT64_C(0xffffffffffff));
}
