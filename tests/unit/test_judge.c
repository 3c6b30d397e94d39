/* The judge on a host with many IOMMU groups, made by hand. */
#include "engine/plan/judge.h"
#include "tests/unit/sample.h"

enum { GROUPS = 23, FUNCTIONS = 2 * GROUPS };

/* Slot NN has 0000:NN:00.0 and 0000:NN:00.1 in one group; in most groups a driver of the host has
 * one of the two. The groups are not in the order of the addresses. */
static struct device devices[FUNCTIONS];
static char addresses[FUNCTIONS][16], name[] = "a card", driver[] = "xhci_hcd";

static int number_of_group(int slot) {
    return (slot * 7) % GROUPS;
}

static bool is_bound(int device) {
    return number_of_group(device / 2) % 3 == device % 2;
}

static void make_devices(void) {
    for (int i = 0; i < FUNCTIONS; i++) {
        snprintf(addresses[i], sizeof addresses[i], "0000:%02x:00.%d", i / 2, i % 2);
        devices[i] = (struct device){.bus = BUS_PCI,
                                     .address = addresses[i],
                                     .name = name,
                                     .class_code = 0x0c0330,
                                     .header = HEADER_ENDPOINT,
                                     .kind = PCI_EXPRESS,
                                     .iommu_group = number_of_group(i / 2),
                                     .numa_node = -1};
        if (is_bound(i))
            devices[i].driver = driver;
    }
}

static void a_group_is_judged_by_its_own_devices_alone(void **state) {
    (void)state;
    make_devices();
    char root[] = "/nonexistent";
    struct host host = {
        .root = root, .devices = devices, .count = FUNCTIONS, .has_iommu = true, .has_usb = true};
    struct judge judge = {.host = &host, .domain = &judge_any_vm};
    for (int i = 0; i < FUNCTIONS; i++) {
        struct verdict verdict =
            judge_device(&judge, &devices[i], backend_type(BACKEND_VFIO), NULL, false);
        bool other_is_bound = is_bound(i ^ 1);
        assert_int_equal(verdict.refusal, other_is_bound ? REFUSED_GROUP : REFUSED_NOT);
        if (other_is_bound)
            assert_non_null(strstr(verdict.message, addresses[i ^ 1]));
        verdict_finish(&verdict);
    }
    judge_finish(&judge);
}

static void the_members_of_a_group_are_those_of_its_number(void **state) {
    (void)state;
    make_devices();
    for (int i = 0; i < FUNCTIONS; i++)
        for (int j = 0; j < FUNCTIONS; j++)
            assert_int_equal(judge_is_group_member(&devices[i], &devices[j]),
                             i != j && i / 2 == j / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_judged_by_its_own_devices_alone),
        cmocka_unit_test(the_members_of_a_group_are_those_of_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
