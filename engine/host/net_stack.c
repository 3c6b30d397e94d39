/* The network interfaces that the host talks through, and the devices that carry them. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/host/driver.h"
#include "engine/host/host_node.h"
#include "engine/host/routes.h"
#include "engine/host/usage.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#define NET "sys/class/net"

enum {
    ROUTE_FIELDS = 8, /* Iface Destination Gateway Flags RefCnt Use Metric Mask */
    ROUTE6_FIELDS =
        10, /* destination, length, source, length, gateway, metric, 2 counts, flags, name */
    PPPOE_FIELDS = 3,  /* Id Address Device */
    PACKET_FIELDS = 5, /* sk RefCnt Type Proto Iface ... */
    ARP_FIELDS = 6,    /* IP address, HW type, Flags, HW address, Mask, Device */
    ARP_COMPLETE = 0x2,
    ADDRESS6_FIELDS = 6, /* address, index, prefix length, scope, flags, name */
    SCOPE_HOST = 0x10,
    SCOPE_LINK = 0x20
};

enum { CLASS_NETWORK = 0x02 };

struct nics {
    struct usage *uses;
    struct graph graph;
};

static char *net_stack_interface_directory(const char *name) {
    return memory_printf(NET "/%s", name);
}

static char *net_stack_interface_attribute(const struct nics *nics, const char *name,
                                           const char *attribute) {
    char *directory = net_stack_interface_directory(name);
    char *text = tree_attribute(nics->uses->tree, directory, attribute);
    free(directory);
    return text;
}

static bool net_stack_interface_has(const struct nics *nics, const char *name, const char *file) {
    char *path = memory_printf(NET "/%s/%s", name, file);
    bool has = tree_has(nics->uses->tree, path);
    free(path);
    return has;
}

static void net_stack_place(struct nics *nics, struct node *node, const char *link) {
    char *path = memory_printf(NET "/%s%s", node->name, link);
    char *resolved = tree_resolve(nics->uses->tree, path);

    if (resolved)
        usage_place(nics->uses, node, resolved);
    free(resolved);
    free(path);
}

/*
 * Open vSwitch has one datapath for all its bridges, and sysfs does not say which port is in which.
 * DSM makes a bridge ovs_eth0 for each eth0, which tells; elsewhere any port may carry the host.
 */
static void net_stack_link_to_switch(struct nics *nics, struct node *lower, const char *datapath) {
    char *name = memory_printf("ovs_%s", lower->name);
    bool is_of_dsm = net_stack_interface_has(nics, name, "");
    struct node *upper = graph_get(&nics->graph, is_of_dsm ? name : datapath);

    upper->is_switch = true;
    if (!is_of_dsm)
        upper->has_address = true;
    graph_link(lower, upper);
    free(name);
}

static void net_stack_link_up(struct nics *nics, const char *lower, const char *upper) {
    struct node *node = graph_get(&nics->graph, lower);
    if (strcmp(upper, "ovs-system") == 0)
        net_stack_link_to_switch(nics, node, upper);
    else
        graph_link(node, graph_get(&nics->graph, upper));
}

static bool net_stack_has_file(const struct names *files, const char *name) {
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i], name) == 0)
            return true;
    return false;
}

static void net_stack_read_stack(struct nics *nics, const char *name, const char *directory,
                                 const struct names *files) {
    static const char upper[] = "upper_", lower[] = "lower_";
    char *master = net_stack_has_file(files, "master")
                       ? tree_link_name(nics->uses->tree, directory, "master")
                       : NULL;

    for (size_t i = 0; i < files->count; i++) {
        if (strncmp(files->items[i], upper, strlen(upper)) == 0)
            net_stack_link_up(nics, name, files->items[i] + strlen(upper));
        if (strncmp(files->items[i], lower, strlen(lower)) == 0)
            net_stack_link_up(nics, files->items[i] + strlen(lower), name);
    }
    if (master)
        net_stack_link_up(nics, name, master);
    free(master);
}

static void net_stack_read_bridge(struct nics *nics, const char *name) {
    char *directory = memory_printf(NET "/%s/brif", name);
    struct names ports = tree_list(nics->uses->tree, directory);

    for (size_t i = 0; i < ports.count; i++)
        net_stack_link_up(nics, ports.items[i], name);
    tree_finish_names(&ports);
    free(directory);
}

static void net_stack_read_bond(struct nics *nics, const char *name) {
    char *text = net_stack_interface_attribute(nics, name, "bonding/slaves"), *rest = text;

    for (const char *slave; rest && (slave = text_next_field(&rest));)
        net_stack_link_up(nics, slave, name);
    free(text);
}

static bool net_stack_has_link(const struct nics *nics, const char *name) {
    char *state = net_stack_interface_attribute(nics, name, "operstate");
    bool up = state && strcmp(state, "up") == 0;
    free(state);
    return up;
}

/* Where nothing says that it is down it is taken for up. */
static bool net_stack_is_up(const struct nics *nics, const char *name) {
    char *flags = net_stack_interface_attribute(nics, name, "flags");
    char *state = net_stack_interface_attribute(nics, name, "operstate");
    uint32_t bits = 0;
    bool up = state ? strcmp(state, "down") != 0 && strcmp(state, "notpresent") != 0 : true;

    if (text_parse_hex(flags, UINT32_MAX, &bits))
        up = (bits & IFF_UP) != 0;
    free(state);
    free(flags);
    return up;
}

/* Few interfaces have all that may be there, so only what the list has is looked at. Most lie in
 * the directory of their device; on an old kernel a link leads there. */
static void net_stack_read_interface(struct nics *nics, struct node *node) {
    char *directory = net_stack_interface_directory(node->name);
    struct names files = tree_list(nics->uses->tree, directory);

    node->is_up = net_stack_is_up(nics, node->name);
    net_stack_place(nics, node, "");
    if (!node->device_count && net_stack_has_file(&files, "device"))
        net_stack_place(nics, node, "/device");
    net_stack_read_stack(nics, node->name, directory, &files);
    if (net_stack_has_file(&files, "brif"))
        net_stack_read_bridge(nics, node->name);
    if (net_stack_has_file(&files, "bonding"))
        net_stack_read_bond(nics, node->name);
    tree_finish_names(&files);
    free(directory);
}

static void net_stack_read_interfaces(struct nics *nics) {
    struct names names = tree_list(nics->uses->tree, NET);

    if (!tree_has(nics->uses->tree, NET))
        usage_miss(nics->uses, NET);
    for (size_t i = 0; i < names.count; i++)
        net_stack_read_interface(nics, graph_get(&nics->graph, names.items[i]));
    tree_finish_names(&names);
}

/* The interface called `name`, which may be an alias as "eth0:1". NULL: there is none. */
static struct node *net_stack_find_interface(const struct nics *nics, const char *name) {
    char *plain = memory_strndup(name, strcspn(name, ":"));
    struct node *node = graph_find(&nics->graph, plain);
    free(plain);
    return node;
}

/* An address that an idle port gives itself (169.254.0.0/16) counts only with a cable in. */
static void net_stack_note_address(const struct nics *nics, const char *name,
                                   bool is_self_assigned) {
    struct node *node = net_stack_find_interface(nics, name);
    if (node && node->is_up && (!is_self_assigned || net_stack_has_link(nics, node->name)))
        node->has_address = true;
}

static size_t net_stack_split(char *line, char **fields, size_t max) {
    size_t count = 0;
    while (count < max && (fields[count] = text_next_field(&line)))
        count++;
    return count;
}

static void net_stack_read_route(const struct nics *nics, char *line) {
    char *fields[ROUTE_FIELDS];
    uint32_t destination = 0, flags = 0, mask = 0;
    size_t count = net_stack_split(line, fields, ROUTE_FIELDS);

    if (count < 4 || !text_parse_hex(fields[1], UINT32_MAX, &destination) ||
        !text_parse_hex(fields[3], UINT32_MAX, &flags))
        return;
    if (!(flags & RTF_UP) || (flags & RTF_REJECT))
        return;
    if (count == ROUTE_FIELDS)
        text_parse_hex(fields[ROUTE_FIELDS - 1], UINT32_MAX, &mask);
    struct node *node = net_stack_find_interface(nics, fields[0]);
    if (node && destination == 0 && mask == 0)
        node->has_default_route = true;
    else
        /* The kernel makes no route through an interface without an address. */
        net_stack_note_address(nics, fields[0], ntohl(destination) >> 16 == 0xA9FE);
}

static bool net_stack_is_zero(const char *digits) {
    return digits[strspn(digits, "0")] == '\0';
}

static void net_stack_read_route6(const struct nics *nics, char *line) {
    char *fields[ROUTE6_FIELDS];
    uint32_t flags = 0;

    if (net_stack_split(line, fields, ROUTE6_FIELDS) < ROUTE6_FIELDS ||
        !text_parse_hex(fields[8], UINT32_MAX, &flags))
        return;
    struct node *node = net_stack_find_interface(nics, fields[9]);
    if (node && net_stack_is_zero(fields[0]) && net_stack_is_zero(fields[1]) && (flags & RTF_UP) &&
        !(flags & RTF_REJECT))
        node->has_default_route = true;
}

static void net_stack_read_address6(const struct nics *nics, char *line) {
    char *fields[ADDRESS6_FIELDS];
    uint32_t scope = 0;

    if (net_stack_split(line, fields, ADDRESS6_FIELDS) == ADDRESS6_FIELDS &&
        text_parse_hex(fields[3], UINT32_MAX, &scope) && scope != SCOPE_HOST && scope != SCOPE_LINK)
        net_stack_note_address(nics, fields[5], false);
}

/* Takes the text. */
static void net_stack_each_line(const struct nics *nics, char *text,
                                void (*visit)(const struct nics *nics, char *line)) {
    char *rest = text;
    for (char *line; rest && (line = text_next_line(&rest));)
        visit(nics, line);
    free(text);
}

/* The running kernel tells the addresses themselves; a tree of files has no list of them for IPv4.
 */
static void net_stack_ask_addresses(const struct nics *nics) {
    struct ifaddrs *all = NULL;

    if (getifaddrs(&all) != 0) {
        usage_miss(nics->uses, "proc/net (getifaddrs)");
        return;
    }
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in address;
        memcpy(&address, one->ifa_addr, sizeof address);
        net_stack_note_address(nics, one->ifa_name, ntohl(address.sin_addr.s_addr) >> 16 == 0xA9FE);
    }
    freeifaddrs(all);
}

/* ---- What has neither an address nor a route ---- */

static struct node *net_stack_find_index(const struct nics *nics, uint32_t index) {
    for (size_t i = 0; i < nics->graph.nodes.count; i++) {
        uint32_t own = 0;
        char *text =
            net_stack_interface_attribute(nics, nics->graph.nodes.items[i]->name, "ifindex");
        bool is_number = text_parse_decimal(text, UINT32_MAX, &own);
        free(text);
        if (is_number && own == index)
            return nics->graph.nodes.items[i];
    }
    return NULL;
}

static const char pppoe[] = "runs PPPoE over it";

/* The sessions of the kernel's own PPPoE. */
static void net_stack_read_pppoe(const struct nics *nics, char *line) {
    char *fields[PPPOE_FIELDS];
    struct node *node = net_stack_split(line, fields, PPPOE_FIELDS) == PPPOE_FIELDS
                            ? net_stack_find_interface(nics, fields[2])
                            : NULL;
    if (node)
        node->purpose = pppoe;
}

/* A program that speaks PPPoE itself has a packet socket of that protocol (0x8863, 0x8864). */
static void net_stack_read_packet(const struct nics *nics, char *line) {
    char *fields[PACKET_FIELDS];
    uint32_t protocol = 0, index = 0;

    if (net_stack_split(line, fields, PACKET_FIELDS) < PACKET_FIELDS ||
        !text_parse_hex(fields[3], UINT16_MAX, &protocol) ||
        !text_parse_decimal(fields[4], UINT32_MAX, &index) ||
        (protocol != 0x8863 && protocol != 0x8864))
        return;
    struct node *node = net_stack_find_index(nics, index);
    if (node)
        node->purpose = pppoe;
}

/* The kernel knows a neighbour where it has an address to ask with, whatever table routes it. */
static void net_stack_read_neighbour(const struct nics *nics, char *line) {
    char *fields[ARP_FIELDS];
    uint32_t flags = 0;

    if (net_stack_split(line, fields, ARP_FIELDS) == ARP_FIELDS &&
        text_parse_hex(fields[2], UINT32_MAX, &flags) && flags & ARP_COMPLETE)
        net_stack_note_address(nics, fields[5], false);
}

static void net_stack_note_route(void *context, const char *interface, bool is_default) {
    const struct nics *nics = context;
    struct node *node = net_stack_find_interface(nics, interface);
    if (node && is_default)
        node->has_default_route = true;
    else
        net_stack_note_address(nics, interface, false);
}

/* A port of a bridge is promiscuous as well, and whatever is made of an interface may make it so.
 */
static void net_stack_note_capture(const struct nics *nics, struct node *node) {
    char *flags = net_stack_interface_attribute(nics, node->name, "flags");
    uint32_t bits = 0;

    if (node->device_count && !node->above.count && text_parse_hex(flags, UINT32_MAX, &bits) &&
        bits & IFF_UP && bits & IFF_PROMISC && !node->purpose)
        node->purpose = "captures packets on it (promiscuous mode)";
    free(flags);
}

static bool net_stack_is_on_a_device(struct nics *nics, struct node *node) {
    struct node_list below = graph_reach_down(&nics->graph, node);
    bool is = false;
    for (size_t i = 0; i < below.count; i++)
        is |= below.items[i]->device_count > 0;
    free(below.items);
    return is;
}

/* Some card is below a tunnel that carries the default route, and nothing else says which. */
static void net_stack_doubt_tunnels(struct nics *nics) {
    const struct node *tunnel = NULL;
    bool is_known = false;

    for (size_t i = 0; i < nics->graph.nodes.count; i++) {
        struct node *node = nics->graph.nodes.items[i];
        if (!node->has_default_route && !node->has_address && !node->purpose)
            continue;
        bool is_on = net_stack_is_on_a_device(nics, node);
        is_known |= is_on;
        if (node->has_default_route && !is_on)
            tunnel = node;
    }
    if (!tunnel || is_known)
        return;
    char *path = memory_printf(NET "/%s/lower_*", tunnel->name);
    usage_miss(nics->uses, path);
    free(path);
}

/* ---- Other network namespaces ---- */

static bool net_stack_has_node(const struct nics *nics, size_t device) {
    for (size_t i = 0; i < nics->graph.nodes.count; i++) {
        const struct node *node = nics->graph.nodes.items[i];
        for (size_t j = 0; j < node->device_count; j++)
            if (node->devices[j] == device)
                return true;
    }
    return false;
}

/* A network card with a driver of the host, of which sysfs shows no interface. */
static bool net_stack_is_out_of_sight(const struct nics *nics, size_t index) {
    const struct device *device = &nics->uses->host->devices[index];
    return device->bus == BUS_PCI && device->class_code >> 16 == CLASS_NETWORK && device->driver &&
           !driver_is_vfio(device->driver) && strcmp(device->driver, "pci-stub") != 0 &&
           !net_stack_has_node(nics, index);
}

static bool net_stack_has_other_namespace(const struct nics *nics) {
    const struct tree *tree = nics->uses->tree;
    char *own = tree_link_name(tree, "proc/self", "ns/net");
    struct names names = tree_list(tree, "proc");
    bool has = false;

    for (size_t i = 0; i < names.count && !has; i++) {
        uint32_t id = 0;
        char *home = memory_printf("proc/%s", names.items[i]);
        char *space = text_parse_decimal(names.items[i], UINT32_MAX, &id)
                          ? tree_link_name(tree, home, "ns/net")
                          : NULL;
        has = space && (!own || strcmp(own, space) != 0);
        free(space);
        free(home);
    }
    tree_finish_names(&names);
    free(own);
    return has;
}

/* sysfs shows the interfaces of one network namespace; a container may have others. */
static void net_stack_find_namespaces(struct nics *nics) {
    int has_other = -1;

    for (size_t i = 0; i < nics->uses->host->count; i++) {
        if (!net_stack_is_out_of_sight(nics, i))
            continue;
        if (has_other < 0)
            has_other = net_stack_has_other_namespace(nics);
        if (has_other)
            usage_add(nics->uses, i, USE_ADDRESS,
                      memory_printf("has its interface in another network namespace (driver %s)",
                                    nics->uses->host->devices[i].driver));
    }
}

/* ---- Sentences ---- */

/* What the kernel calls a type of interface: "DEVTYPE=macvtap". The caller frees it. */
static char *net_stack_device_type(const struct nics *nics, const char *name) {
    static const char key[] = "DEVTYPE=";
    char *uevent = net_stack_interface_attribute(nics, name, "uevent");
    const char *value = uevent ? strstr(uevent, key) : NULL;
    char *type = value ? memory_strndup(value + strlen(key), strcspn(value + strlen(key), "\n"))
                       : memory_strdup("");
    free(uevent);
    return type;
}

static bool net_stack_is_bridge(const struct nics *nics, const char *name) {
    return net_stack_interface_has(nics, name, "bridge") ||
           net_stack_interface_has(nics, name, "brif");
}

/* A bridge, bond or VLAN without an address may be idle; what else is made of a card, as a macvtap
 * of a VM or a macvlan of a container, is made for somebody. */
static bool net_stack_may_be_idle(const struct nics *nics, const char *name) {
    static const char *const types[] = {"bridge", "bond", "vlan", "team"};
    char *type = net_stack_device_type(nics, name);
    bool may = net_stack_is_bridge(nics, name) || net_stack_interface_has(nics, name, "bonding");

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        may |= strcmp(type, types[i]) == 0;
    free(type);
    return may;
}

/* A port of the bridge that works and is not made of the device of the last graph_reach_up(). */
static const struct node *net_stack_other_port(const struct nics *nics, const struct node *bridge) {
    for (size_t i = 0; i < bridge->below.count; i++) {
        const struct node *port = bridge->below.items[i];
        if (port->seen_above != nics->graph.walks && port->is_up)
            return port;
    }
    return NULL;
}

/* What makes an interface without address and route a use of the host; NULL: nothing. */
static char *net_stack_describe_service(const struct nics *nics, const struct node *top,
                                        const struct node_list *chain) {
    const struct node *port =
        net_stack_is_bridge(nics, top->name) ? net_stack_other_port(nics, top) : NULL;
    char *below = graph_chain_text(chain, top), *text = NULL;

    if (top->purpose)
        text = memory_printf("%s (%s)", top->purpose, top->name);
    else if (port)
        text = memory_printf("uses it in bridge %s (%s), which has %s on it", top->name, below,
                             port->name);
    else if (!top->device_count && !top->above.count && top->is_up && !top->is_switch &&
             !net_stack_may_be_idle(nics, top->name)) {
        char *type = net_stack_device_type(nics, top->name);
        text = memory_printf("uses it in %s %s (%s)", *type ? type : "interface", top->name, below);
        free(type);
    }
    free(below);
    return text;
}

static const char *net_stack_kind(const struct nics *nics, const struct node *node) {
    char *uevent = net_stack_interface_attribute(nics, node->name, "uevent");
    const char *word = "interface";

    if (node->is_switch)
        word = "Open vSwitch bridge";
    else if (net_stack_interface_has(nics, node->name, "bridge"))
        word = "bridge";
    else if (net_stack_interface_has(nics, node->name, "bonding"))
        word = "bond";
    else if (uevent && strstr(uevent, "DEVTYPE=vlan"))
        word = "VLAN";
    free(uevent);
    return word;
}

static char *net_stack_describe(const struct nics *nics, struct node *top,
                                const struct node_list *chain) {
    bool is_route = top->has_default_route;

    if (top->device_count)
        return is_route ? memory_printf("uses it as network uplink (%s, default route)", top->name)
                        : memory_printf("has an address on it (%s)", top->name);
    char *ports = graph_chain_text(chain, top);
    const char *why = is_route                               ? ", which carries the default route"
                      : strcmp(top->name, "ovs-system") == 0 ? ""
                                                             : ", which has an address";
    char *text =
        memory_printf("uses it in %s %s (%s)%s", net_stack_kind(nics, top), top->name, ports, why);
    free(ports);
    return text;
}

static void net_stack_visit_device(struct usage *uses, struct graph *graph, size_t device,
                                   const struct node_list *nodes) {
    struct node_list reached = graph_reach_up(graph, nodes);
    const struct nics nics = {uses, *graph}; /* with the number of this walk */

    for (size_t i = 0; i < reached.count; i++) {
        struct node *top = reached.items[i];
        struct node_list chain = graph_chain(graph, top);
        char *text = top->has_default_route || top->has_address
                         ? net_stack_describe(&nics, top, &chain)
                         : net_stack_describe_service(&nics, top, &chain);
        if (text)
            usage_add(uses, device, top->has_default_route ? USE_DEFAULT_ROUTE : USE_ADDRESS, text);
        free(chain.items);
    }
    free(reached.items);
}

void net_stack_find_usage(struct usage *uses) {
    struct nics nics = {.uses = uses};

    net_stack_read_interfaces(&nics);
    net_stack_each_line(&nics, usage_read(uses, "proc/net/route"), net_stack_read_route);
    net_stack_each_line(&nics, tree_read(uses->tree, "proc/net/ipv6_route"), net_stack_read_route6);
    net_stack_each_line(&nics, tree_read(uses->tree, "proc/net/if_inet6"), net_stack_read_address6);
    net_stack_each_line(&nics, tree_read(uses->tree, "proc/net/arp"), net_stack_read_neighbour);
    net_stack_each_line(&nics, tree_read(uses->tree, "proc/net/pppoe"), net_stack_read_pppoe);
    net_stack_each_line(&nics, tree_read(uses->tree, "proc/net/packet"), net_stack_read_packet);
    if (*uses->tree->root == '\0') {
        net_stack_ask_addresses(&nics);
        if (!routes_each(net_stack_note_route, &nics))
            usage_miss(uses, "proc/net (routes of all tables)");
    }
    for (size_t i = 0; i < nics.graph.nodes.count; i++)
        net_stack_note_capture(&nics, nics.graph.nodes.items[i]);
    net_stack_doubt_tunnels(&nics);
    net_stack_find_namespaces(&nics);
    usage_each(uses, &nics.graph, net_stack_visit_device);
    host_node_keep_all(uses->host, &nics.graph, "net");
    graph_finish(&nics.graph);
}
