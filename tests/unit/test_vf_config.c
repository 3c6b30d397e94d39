/* The kernel's answer about the virtual functions of a network card, as rtnetlink(7) has it. */
#include "front.h"

#include "engine/host/source_sysfs.h"
#include "engine/host/vf_config.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

static union {
    struct nlmsghdr header;
    char room[4096];
} answer;

static struct rtattr *add(unsigned short type, const void *data, size_t size) {
    struct rtattr *attribute =
        (struct rtattr *)(answer.room + NLMSG_ALIGN(answer.header.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(size);
    if (size)
        memcpy(RTA_DATA(attribute), data, size);
    answer.header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(answer.header.nlmsg_len) + RTA_SPACE(size));
    return attribute;
}

static void close_attribute(struct rtattr *attribute) {
    attribute->rta_len =
        (unsigned short)(answer.room + answer.header.nlmsg_len - (char *)attribute);
}

static void add_function(uint32_t number, unsigned char last, uint32_t tag, uint32_t trust) {
    struct ifla_vf_mac mac = {.vf = number, .mac = {0x52, 0x54, 0, 0x12, 0x34, last}};
    struct ifla_vf_vlan vlan = {.vf = number, .vlan = tag};
    struct ifla_vf_spoofchk spoof = {.vf = number, .setting = 1};
    struct ifla_vf_trust setting = {.vf = number, .setting = trust};
    struct rtattr *info = add(IFLA_VF_INFO | NLA_F_NESTED, NULL, 0);
    add(IFLA_VF_MAC, &mac, sizeof mac);
    add(IFLA_VF_VLAN, &vlan, sizeof vlan);
    add(IFLA_VF_SPOOFCHK, &spoof, sizeof spoof);
    add(IFLA_VF_TRUST, &setting, sizeof setting);
    close_attribute(info);
}

static void begin(void) {
    struct ifinfomsg link = {.ifi_index = 3};
    memset(&answer, 0, sizeof answer);
    answer.header.nlmsg_type = RTM_NEWLINK;
    answer.header.nlmsg_len = NLMSG_LENGTH(sizeof link);
    memcpy(NLMSG_DATA(&answer.header), &link, sizeof link);
    add(IFLA_IFNAME, "eth1", sizeof "eth1");
}

static void test_answers(void **state) {
    (void)state;
    struct vf_config config = {.vlan = 77};
    begin();
    assert_false(vf_config_parse(&answer, sizeof answer, 0, &config)); /* it has none */
    struct rtattr *list = add(IFLA_VFINFO_LIST | NLA_F_NESTED, NULL, 0);
    add_function(0, 1, 0, 0);
    add_function(1, 2, 4094, 1);
    add_function(2, 3, 10, UINT32_MAX); /* a driver without trust */
    close_attribute(list);
    add(IFLA_MTU, &(uint32_t){1500}, sizeof(uint32_t));
    assert_true(vf_config_parse(&answer, sizeof answer, 0, &config));
    assert_string_equal(config.mac, "52:54:00:12:34:01");
    assert_int_equal(config.vlan, 0);
    assert_int_equal(config.trust, VF_TRUST_OFF);
    assert_true(vf_config_parse(&answer, sizeof answer, 1, &config));
    assert_string_equal(config.mac, "52:54:00:12:34:02");
    assert_int_equal(config.vlan, 4094);
    assert_int_equal(config.trust, VF_TRUST_ON);
    assert_true(vf_config_parse(&answer, sizeof answer, 2, &config));
    assert_int_equal(config.trust, VF_TRUST_UNKNOWN);
    assert_int_equal(config.vlan, 10);
    assert_false(vf_config_parse(&answer, sizeof answer, 3, &config));
    /* An answer that is cut off, at whatever place, says nothing, and nothing beyond it is read. */
    for (size_t size = 0; size < answer.header.nlmsg_len; size++) {
        char *cut = malloc(size ? size : 1);
        assert_non_null(cut);
        memcpy(cut, &answer, size);
        assert_false(vf_config_parse(cut, size, 2, &config));
        free(cut);
    }
}

/* Lengths that lead out of their attribute end the search. */
static void test_wrong_lengths(void **state) {
    (void)state;
    struct vf_config config;
    for (unsigned length = 0; length < 256; length++) {
        begin();
        struct rtattr *list = add(IFLA_VFINFO_LIST, NULL, 0);
        struct rtattr *info = add(IFLA_VF_INFO, NULL, 0);
        struct ifla_vf_mac mac = {.vf = 0};
        struct rtattr *address = add(IFLA_VF_MAC, &mac, sizeof mac);
        close_attribute(info);
        close_attribute(list);
        address->rta_len = (unsigned short)length;
        bool whole = length >= RTA_LENGTH(sizeof mac) && length <= RTA_SPACE(sizeof mac);
        assert_int_equal(vf_config_parse(&answer, sizeof answer, 0, &config), whole);
    }
}

/* What is not a virtual function of this machine is said, and nothing is asked. */
static void test_no_function(void **state) {
    (void)state;
    struct vf_config config = {.mac = "52:54:00:12:34:56"};
    struct failure failure;
    struct host host = {.source = source_sysfs(""), .root = (char *)""};
    struct device device = {.address = (char *)"0000:41:00.0", .vf_number = -1};
    assert_int_equal(host.source.read_vf(&host, &device, &config, &failure), -1);
    assert_string_equal(failure.message,
                        "0000:41:00.0 is not a virtual function whose number is known");
    device.physical = (char *)"fffe:ff:1f.7"; /* no such device */
    device.vf_number = 0;
    assert_int_equal(host.source.write_vf(&host, &device, &config, VF_CONFIG_TRUST, &failure), -1);
    assert_string_equal(failure.message,
                        "its physical function fffe:ff:1f.7 has no network interface on the host");
    host.root = (char *)"/tmp";
    assert_int_equal(host.source.read_vf(&host, &device, &config, &failure), -1);
    assert_string_equal(failure.message, "/tmp is a copy of a host, without its network cards");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_wrong_lengths),
        cmocka_unit_test(test_no_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
