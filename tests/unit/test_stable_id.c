/* Identifiers that a guest finds again: stable for ever, of the right form, and apart from each
 * other. */
#include "front.h"

#include "engine/model/domain.h"
#include "engine/model/stable_id.h"

#include <ctype.h>
#include <stdlib.h>

static const char vm[] = "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e";

/* Guests know their cards by these: whoever changes one of them changes every guest's network. */
static void test_known_values(void **state) {
    (void)state;
    static const struct {
        const char *words;
        unsigned ordinal;
        const char *mac, *uuid;
    } rows[] = {
        {"uplink", 0, "a2:8a:ed:05:dc:bc", "20fa7fd4-526b-8962-b1db-62a40f1abc1b"},
        {"uplink", 1, "c2:8b:74:03:ce:9d", "11140f64-1fea-84d3-acbb-442e0c149377"},
        {"vf of 8086:1572", 0, "42:cd:86:37:06:7d", "4f1f4c1e-b26e-85b8-ae54-13e974310998"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char mac[STABLE_ID_MAC_SIZE], uuid[STABLE_ID_UUID_SIZE];
        stable_id_mac(stable_id_of(vm, rows[i].words), rows[i].ordinal, mac);
        stable_id_uuid(stable_id_of(vm, rows[i].words), rows[i].ordinal, uuid);
        assert_string_equal(mac, rows[i].mac);
        assert_string_equal(uuid, rows[i].uuid);
    }
}

static void test_form(void **state) {
    (void)state;
    for (unsigned ordinal = 0; ordinal < 4096; ordinal++) {
        char mac[STABLE_ID_MAC_SIZE], uuid[STABLE_ID_UUID_SIZE], again[DOMAIN_UUID_SIZE];
        stable_id_mac(stable_id_of(vm, "uplink"), ordinal, mac);
        assert_int_equal(strlen(mac), STABLE_ID_MAC_SIZE - 1);
        for (size_t i = 0; i < STABLE_ID_MAC_SIZE - 1; i++)
            assert_true(i % 3 == 2 ? mac[i] == ':' : isxdigit((unsigned char)mac[i]));
        assert_int_equal(strtoul(mac, NULL, 16) & 0x0f, 0x02); /* unicast, locally administered */
        stable_id_uuid(stable_id_of(vm, "uplink"), ordinal, uuid);
        assert_true(domain_uuid_parse(uuid, again));
        assert_string_equal(uuid, again);
        assert_int_equal(uuid[14], '8');
        assert_non_null(strchr("89ab", uuid[19]));
    }
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(a, b);
}

/* 256 VMs, 4 selections, 4 devices each, all different: by chance two of 2^44 numbers are equal
 * once in two million such tries. */
static void test_apart(void **state) {
    (void)state;
    static const char *const words[] = {"a", "b", "a 1", "vf of 8086:1572 at 0000:41:00.0"};
    enum { VMS = 256, WORDS = 4, DEVICES = 4, COUNT = VMS * WORDS * DEVICES };
    static char macs[COUNT][STABLE_ID_MAC_SIZE];
    for (unsigned i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof name, "vm-%u", i / (WORDS * DEVICES));
        stable_id_mac(stable_id_of(name, words[i / DEVICES % WORDS]), i % DEVICES, macs[i]);
    }
    qsort(macs, COUNT, sizeof *macs, compare_texts);
    for (unsigned i = 1; i < COUNT; i++)
        assert_string_not_equal(macs[i - 1], macs[i]);
}

/* Where one text ends and the next begins counts, and a MAC tells nothing of the UUID. */
static void test_borders(void **state) {
    (void)state;
    char one[STABLE_ID_UUID_SIZE], other[STABLE_ID_UUID_SIZE];
    stable_id_uuid(stable_id_of("ab", "c"), 0, one);
    stable_id_uuid(stable_id_of("a", "bc"), 0, other);
    assert_string_not_equal(one, other);
    stable_id_uuid(stable_id_of("ab", "c1"), 2, one);
    stable_id_uuid(stable_id_of("ab", "c"), 12, other);
    assert_string_not_equal(one, other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
