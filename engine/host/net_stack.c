/* What the host uses its network cards for: routes, addresses, and bridges, bonds or tunnels that
 * are made of them. */
#include "engine/host/driver.h"

#include "engine/host/guards.h"
#include "engine/host/place.h"
#include "engine/host/routes.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NET "sys/class/net"

enum {                   /* columns of files in /proc/net */
       ROUTE_FIELDS = 8, /* Iface Destination Gateway Flags RefCnt Use Metric Mask */
       /* destination, length, source, length, gateway, metric, 2 counts, flags, name */
       ROUTE6_FIELDS = 10,
       PPPOE_FIELDS = 3,    /* Id Address Device */
       PACKET_FIELDS = 5,   /* sk RefCnt Type Proto Iface ... */
       ARP_FIELDS = 6,      /* IP address, HW type, Flags, HW address, Mask, Device */
       ADDRESS6_FIELDS = 6, /* address, index, prefix length, scope, flags, name */
};

enum {
    CLASS_NETWORK = 0x02,
    ARP_COMPLETE = 0x2,
    SCOPE_HOST = 0x10,
    SCOPE_LINK = 0x20,
    ETHERTYPE_PPPOE_DISCOVERY = 0x8863,
    ETHERTYPE_PPPOE_SESSION = 0x8864,
    LINK_LOCAL = 0xA9FE /* 169.254.0.0/16, which a port without DHCP gives itself */
};

static const char open_vswitch[] = "ovs-system", pppoe[] = "runs PPPoE over it";

/* ---- Attributes in sysfs ---- */

static char *net_stack_attribute(const struct usage *usage, const char *interface,
                                 const char *attribute) {
    char *directory = memory_printf(NET "/%s", interface);
    char *text = tree_attribute(usage->tree, directory, attribute);
    free(directory);
    return text;
}

static bool net_stack_has(const struct usage *usage, const char *interface, const char *file) {
    char *path = memory_printf(NET "/%s/%s", interface, file);
    bool has = tree_has(usage->tree, path);
    free(path);
    return has;
}

/* An interface is up unless something says that it is down. */
static void net_stack_read_flags(const struct usage *usage, struct node *node, int directory,
                                 const char *path) {
    char *text = tree_attribute_at(usage->tree, directory, path, "flags");
    uint32_t flags = 0;

    if (text_parse_hex(text, UINT32_MAX, &flags)) {
        node->is_up = flags & IFF_UP;
        node->is_promiscuous = flags & IFF_PROMISC;
    } else {
        char *state = net_stack_attribute(usage, node->name, "operstate");
        node->is_up = !state || (strcmp(state, "down") != 0 && strcmp(state, "notpresent") != 0);
        free(state);
    }
    free(text);
}

/* What the kernel calls a type of interface: "DEVTYPE=macvtap"; "" if nothing. The caller frees
 * it. */
static char *net_stack_type(const struct usage *usage, const char *interface) {
    static const char key[] = "DEVTYPE=";
    char *uevent = net_stack_attribute(usage, interface, "uevent");
    const char *value = uevent ? strstr(uevent, key) : NULL;
    char *type = value ? memory_strndup(value + strlen(key), strcspn(value + strlen(key), "\n"))
                       : memory_strdup("");
    free(uevent);
    return type;
}

static bool net_stack_is_bridge(const struct usage *usage, const char *interface) {
    return net_stack_has(usage, interface, "bridge") || net_stack_has(usage, interface, "brif");
}

/* ---- What is made of what ---- */

/*
 * Open vSwitch has one datapath for all its bridges, and sysfs does not say which port is in which.
 * DSM makes a bridge ovs_eth0 for each eth0; elsewhere any port may carry the host's traffic.
 */
static void net_stack_link_to_switch(struct usage *usage, struct node *lower) {
    char *name = memory_printf("ovs_%s", lower->name);
    bool is_dsm = net_stack_has(usage, name, "");
    struct node *upper = graph_get(&usage->host->net, is_dsm ? name : open_vswitch);

    upper->is_switch = true;
    if (!is_dsm)
        upper->has_address = true;
    graph_link(lower, upper);
    free(name);
}

static void net_stack_link(struct usage *usage, const char *lower, const char *upper) {
    struct graph *graph = &usage->host->net;
    if (strcmp(upper, open_vswitch) == 0)
        net_stack_link_to_switch(usage, graph_get(graph, lower));
    else
        graph_link_names(graph, lower, upper);
}

static bool net_stack_lists(const struct names *files, const char *name) {
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i], name) == 0)
            return true;
    return false;
}

static void net_stack_read_edges(struct usage *usage, const char *name, const char *directory,
                                 const struct names *files) {
    static const char upper[] = "upper_", lower[] = "lower_";

    for (size_t i = 0; i < files->count; i++) {
        if (text_starts_with(files->items[i], upper))
            net_stack_link(usage, name, files->items[i] + strlen(upper));
        if (text_starts_with(files->items[i], lower))
            net_stack_link(usage, files->items[i] + strlen(lower), name);
    }
    if (net_stack_lists(files, "master")) {
        char *master = tree_link_name(usage->tree, directory, "master");
        if (master)
            net_stack_link(usage, name, master);
        free(master);
    }
    if (net_stack_lists(files, "brif")) {
        char *path = memory_printf("%s/brif", directory);
        struct names ports = tree_list(usage->tree, path);
        for (size_t i = 0; i < ports.count; i++)
            net_stack_link(usage, ports.items[i], name);
        tree_finish_names(&ports);
        free(path);
    }
    if (net_stack_lists(files, "bonding")) {
        char *slaves = net_stack_attribute(usage, name, "bonding/slaves"), *rest = slaves;
        for (const char *slave; rest && (slave = text_next_field(&rest));)
            net_stack_link(usage, slave, name);
        free(slaves);
    }
}

static void net_stack_place(struct usage *usage, struct node *node, char *place) {
    free(node->path);
    node->path = place;
    if (node->path)
        place_add_path(&node->devices, usage->host, node->path);
}

/* Looks only at files that the directory lists, as few interfaces have all of them. */
static void net_stack_read_interface(struct usage *usage, struct node *node,
                                     const struct tree_directory *class) {
    char *path = memory_printf(NET "/%s", node->name);
    struct tree_directory directory = tree_enter_entry(usage->tree, class, node->name, path);
    struct names files = tree_list_at(usage->tree, directory.fd, path);

    net_stack_read_flags(usage, node, directory.fd, path);
    net_stack_place(usage, node,
                    directory.place ? directory.place : tree_resolve(usage->tree, path));
    if (!node->devices.count && net_stack_lists(&files, "device")) { /* an old kernel */
        char *device = memory_printf("%s/device", path);
        net_stack_place(usage, node, tree_resolve(usage->tree, device));
        free(device);
    }
    net_stack_read_edges(usage, node->name, path, &files);
    tree_finish_names(&files);
    if (directory.fd >= 0)
        close(directory.fd);
    free(path);
}

static void net_stack_read_interfaces(struct usage *usage) {
    struct tree_directory class = tree_enter(usage->tree, NET);
    struct names names = tree_list_at(usage->tree, class.fd, NET);

    if (!tree_has(usage->tree, NET))
        usage_note_missing(usage, NET);
    for (size_t i = 0; i < names.count; i++)
        net_stack_read_interface(usage, graph_get(&usage->host->net, names.items[i]), &class);
    tree_leave(&class);
    tree_finish_names(&names);
}

/* ---- Addresses and routes ---- */

/* The interface called `name`, which may be an alias as "eth0:1". NULL: there is none. */
static struct node *net_stack_find(const struct usage *usage, const char *name) {
    char *plain = memory_strndup(name, strcspn(name, ":"));
    struct node *node = graph_find(&usage->host->net, plain);
    free(plain);
    return node;
}

/* A link-local address counts only with a cable plugged in: an idle port gives itself one. */
static void net_stack_note_address(struct usage *usage, const char *name, bool is_link_local) {
    struct node *node = net_stack_find(usage, name);
    if (!node || !node->is_up)
        return;
    char *state = is_link_local ? net_stack_attribute(usage, node->name, "operstate") : NULL;
    if (!is_link_local || (state && strcmp(state, "up") == 0))
        node->has_address = true;
    free(state);
}

static void net_stack_read_route(struct usage *usage, char *line) {
    char *fields[ROUTE_FIELDS];
    uint32_t destination = 0, flags = 0, mask = 0;
    size_t count = text_split_fields(line, fields, ROUTE_FIELDS);

    if (count < 4 || !text_parse_hex(fields[1], UINT32_MAX, &destination) ||
        !text_parse_hex(fields[3], UINT32_MAX, &flags) || !(flags & RTF_UP) || flags & RTF_REJECT)
        return;
    if (count == ROUTE_FIELDS)
        text_parse_hex(fields[ROUTE_FIELDS - 1], UINT32_MAX, &mask);
    struct node *node = net_stack_find(usage, fields[0]);
    if (node && destination == 0 && mask == 0)
        node->has_default_route = true;
    else
        /* The kernel makes no route through an interface without an address. */
        net_stack_note_address(usage, fields[0], ntohl(destination) >> 16 == LINK_LOCAL);
}

static bool net_stack_is_zero(const char *text) {
    return text[strspn(text, "0")] == '\0';
}

static void net_stack_read_route6(struct usage *usage, char *line) {
    char *fields[ROUTE6_FIELDS];
    uint32_t flags = 0;

    if (text_split_fields(line, fields, ROUTE6_FIELDS) < ROUTE6_FIELDS ||
        !text_parse_hex(fields[8], UINT32_MAX, &flags) || !(flags & RTF_UP) || flags & RTF_REJECT)
        return;
    struct node *node = net_stack_find(usage, fields[9]);
    if (node && net_stack_is_zero(fields[0]) && net_stack_is_zero(fields[1]))
        node->has_default_route = true;
}

static void net_stack_read_address6(struct usage *usage, char *line) {
    char *fields[ADDRESS6_FIELDS];
    uint32_t scope = 0;

    if (text_split_fields(line, fields, ADDRESS6_FIELDS) == ADDRESS6_FIELDS &&
        text_parse_hex(fields[3], UINT32_MAX, &scope) && scope != SCOPE_HOST && scope != SCOPE_LINK)
        net_stack_note_address(usage, fields[5], false);
}

/* The kernel asks for a neighbour only from an interface with an address, in any routing table. */
static void net_stack_read_neighbour(struct usage *usage, char *line) {
    char *fields[ARP_FIELDS];
    uint32_t flags = 0;

    if (text_split_fields(line, fields, ARP_FIELDS) == ARP_FIELDS &&
        text_parse_hex(fields[2], UINT32_MAX, &flags) && flags & ARP_COMPLETE)
        net_stack_note_address(usage, fields[5], false);
}

/* procfs has no list of IPv4 addresses, so that a copy of a host has none. */
static void net_stack_ask_addresses(struct usage *usage) {
    struct ifaddrs *all = NULL;

    if (getifaddrs(&all) != 0) {
        usage_note_missing(usage, "proc/net (getifaddrs)");
        return;
    }
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in address;
        memcpy(&address, one->ifa_addr, sizeof address);
        net_stack_note_address(usage, one->ifa_name,
                               ntohl(address.sin_addr.s_addr) >> 16 == LINK_LOCAL);
    }
    freeifaddrs(all);
}

static void net_stack_note_route(void *context, const char *interface, bool is_default) {
    struct usage *usage = context;
    struct node *node = net_stack_find(usage, interface);
    if (node && is_default)
        node->has_default_route = true;
    else
        net_stack_note_address(usage, interface, false);
}

/* ---- Services that need neither an address nor a route ---- */

/* The sessions of the kernel's own PPPoE. */
static void net_stack_read_pppoe(struct usage *usage, char *line) {
    char *fields[PPPOE_FIELDS];
    struct node *node = text_split_fields(line, fields, PPPOE_FIELDS) == PPPOE_FIELDS
                            ? net_stack_find(usage, fields[2])
                            : NULL;
    if (node)
        node->service = pppoe;
}

static struct node *net_stack_find_index(const struct usage *usage, uint32_t index) {
    const struct node_list *nodes = &usage->host->net.nodes;

    for (size_t i = 0; i < nodes->count; i++) {
        uint32_t own = 0;
        char *text = net_stack_attribute(usage, nodes->items[i]->name, "ifindex");
        bool is_it = text_parse_decimal(text, UINT32_MAX, &own) && own == index;
        free(text);
        if (is_it)
            return nodes->items[i];
    }
    return NULL;
}

/* A program that speaks PPPoE itself has a packet socket with that protocol. */
static void net_stack_read_packet(struct usage *usage, char *line) {
    char *fields[PACKET_FIELDS];
    uint32_t protocol = 0, index = 0;

    if (text_split_fields(line, fields, PACKET_FIELDS) < PACKET_FIELDS ||
        !text_parse_hex(fields[3], UINT16_MAX, &protocol) ||
        !text_parse_decimal(fields[4], UINT32_MAX, &index) ||
        (protocol != ETHERTYPE_PPPOE_DISCOVERY && protocol != ETHERTYPE_PPPOE_SESSION))
        return;
    struct node *node = net_stack_find_index(usage, index);
    if (node)
        node->service = pppoe;
}

/* A card below a bridge is promiscuous as well, as the card below anything may be. */
static void net_stack_find_capture(struct node *node) {
    if (node->devices.count && !node->above.count && !node->service && node->is_up &&
        node->is_promiscuous)
        node->service = "captures packets on it (promiscuous mode)";
}

/* A tunnel that has the default route goes through some card. If no card is known to be in use, it
 * may be any. */
static void net_stack_doubt_tunnels(struct usage *usage) {
    const struct node_list *nodes = &usage->host->net.nodes;
    const struct node *tunnel = NULL;

    for (size_t i = 0; i < nodes->count; i++) {
        const struct node *node = nodes->items[i];
        if (!node->has_default_route && !node->has_address && !node->service)
            continue;
        if (node->all.count)
            return;
        if (node->has_default_route)
            tunnel = node;
    }
    if (!tunnel)
        return;
    char *path = memory_printf(NET "/%s/lower_*", tunnel->name);
    usage_note_missing(usage, path);
    free(path);
}

/* ---- Other network namespaces ---- */

/* A network card that is bound to a driver of the host. */
static bool net_stack_is_card_of_host(const struct device *device) {
    return device->bus == BUS_PCI && device->class_code >> 16 == CLASS_NETWORK && device->driver &&
           !driver_is_vfio(device->driver) && strcmp(device->driver, "pci-stub") != 0;
}

static bool net_stack_has_other_namespace(const struct usage *usage) {
    char *own = tree_link_name(usage->tree, "proc/self", "ns/net");
    struct names names = tree_list(usage->tree, "proc");
    bool has = false;

    for (size_t i = 0; i < names.count && !has; i++) {
        uint32_t id = 0;
        if (!text_parse_decimal(names.items[i], UINT32_MAX, &id))
            continue;
        char *directory = memory_printf("proc/%s", names.items[i]);
        char *name = tree_link_name(usage->tree, directory, "ns/net");
        has = name && (!own || strcmp(own, name) != 0);
        free(name);
        free(directory);
    }
    tree_finish_names(&names);
    free(own);
    return has;
}

/* sysfs shows the interfaces of one network namespace; a container may have others. */
static void net_stack_find_namespaces(struct usage *usage) {
    const struct node_list *nodes = &usage->host->net.nodes;
    struct device_set shown = {0}; /* they have an interface in sysfs */
    int has_other = -1;            /* not asked yet */

    for (size_t i = 0; i < nodes->count; i++)
        device_set_add_all(&shown, &nodes->items[i]->devices);
    for (size_t i = 0; i < usage->host->count; i++) {
        if (!net_stack_is_card_of_host(&usage->host->devices[i]) || device_set_has(&shown, i))
            continue;
        if (has_other < 0)
            has_other = net_stack_has_other_namespace(usage);
        if (has_other)
            usage_add(usage, i, USE_ADDRESS, NULL,
                      "has its interface in another network namespace (driver %s)",
                      usage->host->devices[i].driver);
    }
    device_set_finish(&shown);
}

/* ---- Sentences ---- */

/* Whether an interface without an address may be unused, as a bridge, bond or VLAN. A
 * macvtap of a VM or a macvlan of a container is not. */
static bool net_stack_may_be_idle(const struct usage *usage, const char *interface) {
    static const char *const types[] = {"bridge", "bond", "vlan", "team"};
    char *type = net_stack_type(usage, interface);
    bool may = net_stack_is_bridge(usage, interface) || net_stack_has(usage, interface, "bonding");

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        may |= strcmp(type, types[i]) == 0;
    free(type);
    return may;
}

/* A port of the bridge that is up, and that is not made of the device of the last graph_reach_up().
 */
static const struct node *net_stack_other_port(const struct graph *graph,
                                               const struct node *bridge) {
    for (size_t i = 0; i < bridge->below.count; i++) {
        const struct node *port = bridge->below.items[i];
        if (port->seen_above != graph->walks && port->is_up)
            return port;
    }
    return NULL;
}

/* What it is made of: "eth0, bond0". The caller frees it. */
static char *net_stack_below(const struct usage *usage, struct node *top) {
    struct node_list chain = graph_chain(&usage->host->net, top);
    char *text = graph_chain_text(&chain, top);
    free(chain.items);
    return text;
}

/* The use of an interface without address and route, if it has one. */
static void net_stack_add_service(struct usage *usage, size_t device, struct node *top) {
    const struct node *port = top->below.count && net_stack_is_bridge(usage, top->name)
                                  ? net_stack_other_port(&usage->host->net, top)
                                  : NULL;

    if (top->service) {
        usage_add(usage, device, USE_ADDRESS, top->name, "%s (%s)", top->service, top->name);
    } else if (port) {
        char *below = net_stack_below(usage, top);
        usage_add(usage, device, USE_ADDRESS, top->name,
                  "uses it in bridge %s (%s), which has %s on it", top->name, below, port->name);
        free(below);
    } else if (!top->devices.count && !top->above.count && top->is_up && !top->is_switch &&
               !net_stack_may_be_idle(usage, top->name)) {
        char *type = net_stack_type(usage, top->name), *below = net_stack_below(usage, top);
        usage_add(usage, device, USE_ADDRESS, top->name, "uses it in %s %s (%s)",
                  *type ? type : "interface", top->name, below);
        free(below);
        free(type);
    }
}

static const char *net_stack_kind(const struct usage *usage, const struct node *node) {
    char *type = net_stack_type(usage, node->name);
    const char *kind = node->is_switch                               ? "Open vSwitch bridge"
                       : net_stack_has(usage, node->name, "bridge")  ? "bridge"
                       : net_stack_has(usage, node->name, "bonding") ? "bond"
                       : strcmp(type, "vlan") == 0                   ? "VLAN"
                                                                     : "interface";
    free(type);
    return kind;
}

static void net_stack_add_use(struct usage *usage, size_t device, struct node *top) {
    bool is_route = top->has_default_route;
    char *below = top->devices.count ? NULL : net_stack_below(usage, top);

    if (top->devices.count && is_route)
        usage_add(usage, device, USE_DEFAULT_ROUTE, top->name,
                  "uses it as network uplink (%s, default route)", top->name);
    else if (top->devices.count)
        usage_add(usage, device, USE_ADDRESS, top->name, "has an address on it (%s)", top->name);
    else
        usage_add(usage, device, is_route ? USE_DEFAULT_ROUTE : USE_ADDRESS, top->name,
                  "uses it in %s %s (%s)%s", net_stack_kind(usage, top), top->name, below,
                  is_route                               ? ", which carries the default route"
                  : strcmp(top->name, open_vswitch) == 0 ? ""
                                                         : ", which has an address");
    free(below);
}

static void net_stack_visit_device(struct usage *usage, size_t device,
                                   const struct node_list *nodes) {
    struct graph *graph = &usage->host->net;
    struct node_list reached = graph_reach_up(graph, nodes);

    for (size_t i = 0; i < reached.count; i++) {
        struct node *top = reached.items[i];
        if (top->has_default_route || top->has_address)
            net_stack_add_use(usage, device, top);
        else
            net_stack_add_service(usage, device, top);
    }
    free(reached.items);
}

void net_stack_find_usage(struct usage *usage) {
    struct graph *graph = &usage->host->net;
    const struct tree *tree = usage->tree;

    net_stack_read_interfaces(usage);
    usage_each_line(usage, usage_read(usage, "proc/net/route"), net_stack_read_route);
    usage_each_line(usage, tree_read(tree, "proc/net/ipv6_route"), net_stack_read_route6);
    usage_each_line(usage, tree_read(tree, "proc/net/if_inet6"), net_stack_read_address6);
    usage_each_line(usage, tree_read(tree, "proc/net/arp"), net_stack_read_neighbour);
    usage_each_line(usage, tree_read(tree, "proc/net/pppoe"), net_stack_read_pppoe);
    usage_each_line(usage, tree_read(tree, "proc/net/packet"), net_stack_read_packet);
    if (*tree->root == '\0') {
        net_stack_ask_addresses(usage);
        if (!routes_each(net_stack_note_route, usage))
            usage_note_missing(usage, "proc/net (routes of all tables)");
    }
    for (size_t i = 0; i < graph->nodes.count; i++)
        net_stack_find_capture(graph->nodes.items[i]);
    graph_sum_devices(graph);
    net_stack_doubt_tunnels(usage);
    net_stack_find_namespaces(usage);
    usage_each_device(usage, graph, net_stack_visit_device);
}
