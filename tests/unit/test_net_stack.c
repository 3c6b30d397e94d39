/* What the host uses its network cards for. */
#include "tests/unit/host_tree.h"

/* ---- What network cards are used for ---- */

static void put_card(const struct tree_of_test *tree) {
    put_base(tree);
    put_interface(tree, "eth0", NIC);
}

static void test_an_interface_without_address_is_free(void **state) {
    put_card(*state);
    put_routes(*state, "eth9 00000000 010200C0 0003 0 0 0 00000000\n");
    assert_use(*state, "0000:00:02.0", NULL);
}

static void test_default_route(void **state) {
    put_card(*state);
    put_routes(*state, "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
                       "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
    assert_use(*state, "0000:00:02.0", "uses it as network uplink (eth0, default route)");
    assert_null(pci(*state, "0000:00:01.0")->use);
}

static void test_default_route_of_ipv6(void **state) {
    put_card(*state);
    put(*state, "proc/net/ipv6_route",
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n");
    assert_use(*state, "0000:00:02.0", "uses it as network uplink (eth0, default route)");
}

static void test_rejecting_routes_are_none(void **state) {
    put_card(*state);
    put_routes(*state, "eth0 00000000 00000000 0201 0 0 0 00000000\n");
    put(*state, "proc/net/ipv6_route",
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 ffffffff 00000001 00000000 00200201 eth0\n"
        "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 00000100 00000002 00000000 00000001 eth0\n");
    assert_use(*state, "0000:00:02.0", NULL);
}

static void test_address_known_from_its_route(void **state) {
    put_card(*state);
    put_routes(*state, "eth0:1 000200C0 00000000 0001 0 0 0 00FFFFFF\n");
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_half_of_all_addresses_is_no_default_route(void **state) {
    put_card(*state);
    put_routes(*state, "eth0 00000000 00000000 0001 0 0 0 00000080\n");
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_address_of_ipv6(void **state) {
    put_card(*state);
    put(*state, "proc/net/if_inet6",
        "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
        "00000000000000000000000000000001 01 80 10 80       lo\n");
    assert_use(*state, "0000:00:02.0", NULL);
    put(*state, "proc/net/if_inet6", "fd000000000000000000000000000002 04 40 00 82     eth0\n");
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_address_on_an_interface_that_is_down(void **state) {
    put_card(*state);
    put(*state, "proc/net/if_inet6", "fd000000000000000000000000000002 04 40 00 82     eth0\n");
    put(*state, NIC "/net/eth0/flags", "0x1002\n");
    assert_use(*state, "0000:00:02.0", NULL);
    put(*state, NIC "/net/eth0/flags", "0x1003\n");
    put(*state, NIC "/net/eth0/operstate", "down\n"); /* no cable, and still the host's */
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_self_assigned_address_without_cable(void **state) {
    put_card(*state);
    put_routes(*state, "eth0 0000FEA9 00000000 0001 0 0 0 0000FFFF\n");
    assert_use(*state, "0000:00:02.0", "has an address on it (eth0)");
    put(*state, NIC "/net/eth0/flags", "0x1003\n");
    put(*state, NIC "/net/eth0/operstate", "down\n");
    assert_use(*state, "0000:00:02.0", NULL);
}

static void test_bridge_known_from_its_ports(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put(tree, "sys/class/net/br0/bridge/bridge_id", "\n");
    put_link(tree, "sys/class/net/br0/brif/eth0", "nowhere");
    put_routes(tree, "br0 000200C0 00000000 0001 0 0 0 00FFFFFF\n");
    assert_use(tree, "0000:00:02.0", "uses it in bridge br0 (eth0), which has an address");
}

static void test_bond_below_vlan_below_bridge(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put(tree, "sys/class/net/bond0/bonding/slaves", "eth9 eth0\n");
    put_link(tree, "sys/class/net/bond0/upper_bond0.5", "../bond0.5");
    put_link(tree, "sys/class/net/bond0.5/master", "../br0");
    put(tree, "sys/class/net/br0/bridge/bridge_id", "\n");
    put_routes(tree, "br0 00000000 010200C0 0003 0 0 0 00000000\n");
    assert_use(tree, "0000:00:02.0",
               "uses it in bridge br0 (eth0, bond0, bond0.5), which carries the default route");
}

static void test_vlan_known_from_below(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put(tree, "sys/class/net/eth0.5/uevent", "DEVTYPE=vlan\n");
    put_link(tree, "sys/class/net/eth0.5/lower_eth0", "../eth0");
    put_routes(tree, "eth0.5 000200C0 00000000 0001 0 0 0 00FFFFFF\n");
    assert_use(tree, "0000:00:02.0", "uses it in VLAN eth0.5 (eth0), which has an address");
}

static void test_idle_bridge_is_no_use(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_link(tree, "sys/class/net/eth0/master", "../br0");
    put(tree, "sys/class/net/br0/bridge/bridge_id", "\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_open_vswitch_may_carry_the_host(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_link(tree, "sys/class/net/eth0/master", "../ovs-system");
    put(tree, "sys/class/net/ovs-system/operstate", "down\n");
    assert_use(tree, "0000:00:02.0", "uses it in Open vSwitch bridge ovs-system (eth0)");
}

static void test_two_interfaces_of_one_function(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_interface(tree, "eth1", NIC);
    put_routes(tree, "eth1 00000000 010200C0 0003 0 0 0 00000000\n"
                     "eth0 000200C0 00000000 0001 0 0 0 00FFFFFF\n");
    assert_use(tree, "0000:00:02.0",
               "uses it as network uplink (eth1, default route); has an address on it (eth0)");
}

static void test_usb_network_card_holds_its_controller(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put(tree, NIC "/usb1/1-2/idVendor", "0bda\n");
    put(tree, NIC "/usb1/1-2/idProduct", "8153\n");
    put_link(tree, "sys/bus/usb/devices/1-2", "/" NIC "/usb1/1-2");
    put_interface(tree, "eth0", NIC "/usb1/1-2/1-2:1.0");
    put_routes(tree, "eth0 00000000 010200C0 0003 0 0 0 00000000\n");
    load(tree);
    assert_string_equal(usb(tree, "1-2")->use, "uses it as network uplink (eth0, default route)");
    assert_string_equal(pci(tree, "0000:00:02.0")->use,
                        "uses it as network uplink (eth0, default route)");
}

/* ---- Network ---- */

static void put_upper(const struct tree_of_test *tree, const char *lower, const char *upper) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_link(tree, text(path, "sys/class/net/%s/upper_%s", lower, upper),
             text(value, "../%s", upper));
}

static void put_made(const struct tree_of_test *tree, const char *name, const char *type) {
    char path[TEXT_SIZE], value[TEXT_SIZE];
    put_interface(tree, name, "sys/devices/virtual");
    put(tree, text(path, "sys/class/net/%s/uevent", name), text(value, "DEVTYPE=%s\n", type));
}

static void test_a_bridge_of_a_vm(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "br0", "bridge");
    put(tree, "sys/class/net/br0/bridge/bridge_id", "");
    put_upper(tree, "eth0", "br0");
    assert_use(tree, "0000:00:02.0", NULL);
    put_made(tree, "vnet0", "");
    put_upper(tree, "vnet0", "br0");
    assert_use(tree, "0000:00:02.0", "uses it in bridge br0 (eth0), which has vnet0 on it");
    put(tree, "sys/class/net/vnet0/operstate", "down\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_a_vlan_below_a_bridge_of_a_vm(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "eth0.7", "vlan");
    put_made(tree, "br7", "bridge");
    put(tree, "sys/class/net/br7/bridge/bridge_id", "");
    put_made(tree, "vnet0", "");
    put_upper(tree, "eth0", "eth0.7");
    assert_use(tree, "0000:00:02.0", NULL);
    put_upper(tree, "eth0.7", "br7");
    put_upper(tree, "vnet0", "br7");
    assert_use(tree, "0000:00:02.0", "uses it in bridge br7 (eth0, eth0.7), which has vnet0 on it");
}

static void test_a_macvtap_of_a_vm(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "macvtap0", "macvtap");
    put_upper(tree, "eth0", "macvtap0");
    assert_use(tree, "0000:00:02.0", "uses it in macvtap macvtap0 (eth0)");
    put(tree, "sys/class/net/macvtap0/operstate", "down\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_an_idle_bond_and_vlan(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "bond0", "bond");
    put_made(tree, "bond0.7", "vlan");
    put_upper(tree, "eth0", "bond0");
    put_upper(tree, "bond0", "bond0.7");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_pppoe_has_a_card_without_address(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "ppp0", "ppp");
    put_routes(tree, "ppp0 00000000 0 0003 0 0 0 00000000\n");
    load(tree);
    assert_null(pci(tree, "0000:00:02.0")->use);
    assert_unknown(tree, "0000:00:02.0", "/sys/class/net/ppp0/lower_*");
    put(tree, "proc/net/pppoe",
        "Id       Address              Device\n"
        "01000000 02:00:00:00:00:01    eth0\n");
    load(tree);
    assert_string_equal(pci(tree, "0000:00:02.0")->use, "runs PPPoE over it (eth0)");
    assert_no_obstacle(tree, "0000:00:02.0");
    put(tree, "proc/net/pppoe", "Id       Address              Device\n");
    put(tree, "sys/class/net/eth0/ifindex", "12\n");
    put(tree, "proc/net/packet",
        "sk RefCnt Type Proto Iface R Rmem User Inode\n"
        "0 3 3 8864 12 1 0 0 1\n");
    assert_use(tree, "0000:00:02.0", "runs PPPoE over it (eth0)");
    put(tree, "proc/net/packet", "0 3 3 0003 12 1 0 0 1\n0 3 3 8864 13 1 0 0 1\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_a_tunnel_over_a_card_with_address(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_made(tree, "wg0", "wireguard");
    put_routes(tree, "wg0 00000000 0 0001 0 0 0 00000000\neth0 006433C6 0 0001 0 0 0 00FFFFFF\n");
    assert_use(tree, "0000:00:02.0", "has an address on it (eth0)");
    assert_no_obstacle(tree, "0000:00:02.0");
}

static void test_a_neighbour_tells_an_address(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_routes(tree, "");
    put(tree, "proc/net/arp",
        "IP address HW type Flags HW address Mask Device\n"
        "192.0.2.1 0x1 0x0 00:00:00:00:00:00 * eth0\n");
    assert_use(tree, "0000:00:02.0", NULL);
    put(tree, "proc/net/arp", "192.0.2.1 0x1 0x2 02:00:00:00:00:01 * eth0\n");
    assert_use(tree, "0000:00:02.0", "has an address on it (eth0)");
}

static void test_a_card_that_captures(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put(tree, "sys/class/net/eth0/flags", "0x1103\n");
    assert_use(tree, "0000:00:02.0", "captures packets on it (promiscuous mode) (eth0)");
    put(tree, "sys/class/net/eth0/flags", "0x1102\n");
    assert_use(tree, "0000:00:02.0", NULL);
}

static void test_an_interface_in_another_namespace(void **state) {
    struct tree_of_test *tree = *state;
    put_base(tree);
    put_driver(tree, NIC, "igb");
    put_link(tree, "proc/self/ns/net", "net:[1]");
    put_link(tree, "proc/1/ns/net", "net:[1]");
    assert_use(tree, "0000:00:02.0", NULL);
    put_link(tree, "proc/70/ns/net", "net:[2]");
    assert_use(tree, "0000:00:02.0", "has its interface in another network namespace (driver igb)");
    put_interface(tree, "eth0", NIC);
    assert_use(tree, "0000:00:02.0", NULL);
}

/* ---- Where an interface is ---- */

static void assert_place(struct tree_of_test *tree, const char *target) {
    remove_file(tree, "sys/class/net/eth0");
    put_link(tree, "sys/class/net/eth0", target);
    load(tree);
    assert_string_equal(graph_find(&tree->host.net, "eth0")->path, NIC "/net/eth0");
    assert_non_null(strstr(pci(tree, "0000:00:02.0")->use, "eth0"));
    assert_null(pci(tree, "0000:00:01.0")->use);
}

static void test_links_on_the_way_to_an_interface(void **state) {
    struct tree_of_test *tree = *state;
    put_card(tree);
    put_routes(tree, "eth0 00000000 010200C0 0003 0 0 0 00000000\n");
    put_link(tree, "sys/alias", "devices/pci0000:00/0000:00:02.0");
    put_link(tree, "sys/other", "devices/pci0000:00/0000:00:01.0");
    assert_place(tree, "../../devices/pci0000:00/0000:00:02.0/net/eth0");
    assert_place(tree, "../../../../../" NIC "/net/eth0");
    assert_place(tree, "/" NIC "/net/eth0");
    assert_place(tree, "../../alias/net/eth0");
    assert_place(tree, "../../other/../0000:00:02.0/net/eth0");
    assert_place(tree, ".././../devices/pci0000:00/0000:00:02.0/net/eth0");
    assert_place(tree, "../../devices//pci0000:00/0000:00:02.0/net/eth0");
    assert_place(tree, "../../devices/pci0000:00/./0000:00:02.0/net/eth0");
    assert_place(tree, "../../devices/pci0000:00/0000:00:01.0/../0000:00:02.0/net/eth0");
    assert_place(tree, "../../devices/pci0000:00/0000:00:02.0/net/eth0/");
    put_link(tree, NIC "/net/again", "eth0");
    assert_place(tree, "../../devices/pci0000:00/0000:00:02.0/net/again");
}

static void test_a_class_that_is_elsewhere(void **state) {
    struct tree_of_test *tree = *state;
    put(tree, "sys/more/deep/classes/net/lo/x", "");
    put_link(tree, "sys/class", "more/deep/classes");
    put_card(tree);
    put_routes(tree, "eth0 00000000 010200C0 0003 0 0 0 00000000\n");
    assert_place(tree, "../../../../devices/pci0000:00/0000:00:02.0/net/eth0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        OWN(test_an_interface_without_address_is_free),
        OWN(test_default_route),
        OWN(test_default_route_of_ipv6),
        OWN(test_rejecting_routes_are_none),
        OWN(test_address_known_from_its_route),
        OWN(test_half_of_all_addresses_is_no_default_route),
        OWN(test_address_of_ipv6),
        OWN(test_address_on_an_interface_that_is_down),
        OWN(test_self_assigned_address_without_cable),
        OWN(test_bridge_known_from_its_ports),
        OWN(test_bond_below_vlan_below_bridge),
        OWN(test_vlan_known_from_below),
        OWN(test_idle_bridge_is_no_use),
        OWN(test_open_vswitch_may_carry_the_host),
        OWN(test_two_interfaces_of_one_function),
        OWN(test_usb_network_card_holds_its_controller),
        OWN(test_a_bridge_of_a_vm),
        OWN(test_a_vlan_below_a_bridge_of_a_vm),
        OWN(test_a_macvtap_of_a_vm),
        OWN(test_an_idle_bond_and_vlan),
        OWN(test_pppoe_has_a_card_without_address),
        OWN(test_a_tunnel_over_a_card_with_address),
        OWN(test_a_neighbour_tells_an_address),
        OWN(test_a_card_that_captures),
        OWN(test_an_interface_in_another_namespace),
        OWN(test_links_on_the_way_to_an_interface),
        OWN(test_a_class_that_is_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
