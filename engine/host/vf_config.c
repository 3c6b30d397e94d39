#include "engine/host/vf_config.h"

#include "engine/host/tree.h"
#include "engine/system/deadline.h"
#include "engine/system/helper.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REPLY_SIZE = 1 << 20, /* of 256 virtual functions: some 200 bytes each, and the statistics of
                             drivers that do not know RTEXT_FILTER_SKIP_STATS */
    MESSAGE_SIZE = 512,   /* a request, and the answer to it, which repeats it */
    MAC_LENGTH = 6,       /* of Ethernet; the kernel has room for 32 bytes */
};

/* --- the network interface of the physical function */

/* That of a virtual function which a switch of the card shows on the host, "pf0vf3", is not it. */
static bool vf_config_is_representor(const struct tree *tree, const char *directory) {
    char *name = tree_attribute(tree, directory, "phys_port_name");
    bool is = name && (!fnmatch("pf[0-9]*vf[0-9]*", name, 0) ||
                       !fnmatch("c[0-9]*pf[0-9]*vf[0-9]*", name, 0));
    free(name);
    return is;
}

/* The first one, of a card that has two in one function. The caller frees it. NULL: there is none.
 */
static char *vf_config_find_interface(const struct tree *tree, const char *physical) {
    char *directory = memory_printf("sys/bus/pci/devices/%s/net", physical), *found = NULL;
    struct names names = tree_list(tree, directory);
    for (size_t i = 0; i < names.count && !found; i++) {
        char *path = memory_printf("%s/%s", directory, names.items[i]);
        if (!vf_config_is_representor(tree, path))
            found = memory_strdup(names.items[i]);
        free(path);
    }
    tree_finish_names(&names);
    free(directory);
    return found;
}

/* Of the interfaces on the physical function those of its virtual ones are above it, too. */
static bool vf_config_is_own(const struct host *host, const struct node *node,
                             const struct device *physical) {
    if (!device_set_has(&node->devices, (size_t)(physical - host->devices)))
        return false;
    for (size_t i = 0; i < host->count; i++)
        if (host->devices[i].physical && !strcmp(host->devices[i].physical, physical->address) &&
            device_set_has(&node->devices, i))
            return false;
    return true;
}

const char *vf_config_interface_down(const struct host *host, const struct device *device) {
    const struct device *physical =
        device->physical ? host_find(host, BUS_PCI, device->physical) : NULL;
    const struct node *down = NULL;
    for (size_t i = 0; physical && i < host->net.nodes.count; i++) {
        const struct node *node = host->net.nodes.items[i];
        if (!vf_config_is_own(host, node, physical))
            continue;
        if (node->is_up)
            return NULL;
        down = node;
    }
    return down ? down->name : NULL;
}

struct vf_place {
    char *interface;
    unsigned index;  /* of the interface, as if_nametoindex(3) */
    uint32_t number; /* of the virtual function */
};

static int vf_config_find(const struct host *host, const struct device *device,
                          struct vf_place *place, struct failure *failure) {
    struct tree tree;
    *place = (struct vf_place){.number = (uint32_t)device->vf_number};
    if (!device->physical || device->vf_number < 0)
        return failure_set(failure, "%s is not a virtual function whose number is known",
                           device->address);
    if (*host->root)
        return failure_set(failure, "%s is a copy of a host, without its network cards",
                           host->root);
    place->interface =
        tree_open(&tree, host->root) ? vf_config_find_interface(&tree, device->physical) : NULL;
    tree_close(&tree);
    place->index = place->interface ? if_nametoindex(place->interface) : 0;
    if (place->index)
        return 0;
    failure_set(failure, "its physical function %s has no network interface on the host",
                device->physical);
    failure_hint(failure,
                 "bind the physical function to its driver: see 'virt-rules devices --all'");
    free(place->interface);
    return -1;
}

/* --- messages: no call here allocates memory that outlives it */

union vf_message {
    struct nlmsghdr header;
    char room[MESSAGE_SIZE];
};

static void *vf_config_add(union vf_message *message, unsigned short type, const void *data,
                           size_t size) {
    size_t end = NLMSG_ALIGN(message->header.nlmsg_len);
    struct rtattr *attribute = (struct rtattr *)(message->room + end);
    attribute->rta_type = type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(size);
    if (size)
        memcpy(RTA_DATA(attribute), data, size);
    message->header.nlmsg_len = (uint32_t)(end + RTA_SPACE(size));
    return attribute;
}

/* What was added since is in the attribute. */
static void vf_config_close(union vf_message *message, struct rtattr *attribute) {
    attribute->rta_len =
        (unsigned short)(message->room + message->header.nlmsg_len - (char *)attribute);
}

/* Sends it and reads the one answer into `reply`. Returns 0 or an errno. */
static int vf_config_ask(struct nlmsghdr *message, void *reply, size_t size) {
    int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), error = 0;
    ssize_t length = -1;
    if (link < 0)
        return errno;
    message->nlmsg_seq = 1;
    if (send(link, message, message->nlmsg_len, 0) < 0 || (length = recv(link, reply, size, 0)) < 0)
        error = errno;
    close(link);
    struct nlmsghdr *answer = reply;
    if (error)
        return error;
    if (length < NLMSG_HDRLEN || !NLMSG_OK(answer, (size_t)length))
        return EPROTO;
    return answer->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(answer))->error : 0;
}

static void vf_config_begin(struct nlmsghdr *message, unsigned short type, unsigned short flags,
                            unsigned interface) {
    *message = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
                                 .nlmsg_type = type,
                                 .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags)};
    struct ifinfomsg *link = NLMSG_DATA(message);
    *link = (struct ifinfomsg){.ifi_family = AF_UNSPEC, .ifi_index = (int)interface};
}

/* --- reading */

/* The attribute of that type, or NULL: there is none that has `size` bytes. */
static const struct rtattr *vf_config_attribute(const struct rtattr *list, size_t length,
                                                unsigned short type, size_t size) {
    for (; RTA_OK(list, length); list = RTA_NEXT(list, length))
        if ((list->rta_type & NLA_TYPE_MASK) == type && RTA_PAYLOAD(list) >= size)
            return list;
    return NULL;
}

/* One IFLA_VF_INFO. Returns false when it is another function's. */
static bool vf_config_parse_one(const struct rtattr *info, uint32_t number,
                                struct vf_config *config) {
    const struct rtattr *list = RTA_DATA(info);
    size_t length = RTA_PAYLOAD(info);
    struct ifla_vf_mac mac;
    struct ifla_vf_vlan vlan;
    struct ifla_vf_trust trust;
    const struct rtattr *found = vf_config_attribute(list, length, IFLA_VF_MAC, sizeof mac);
    if (!found)
        return false;
    memcpy(&mac, RTA_DATA(found), sizeof mac);
    if (mac.vf != number)
        return false;
    *config = (struct vf_config){.vlan = 0, .trust = VF_TRUST_UNKNOWN};
    snprintf(config->mac, sizeof config->mac, "%02x:%02x:%02x:%02x:%02x:%02x", mac.mac[0],
             mac.mac[1], mac.mac[2], mac.mac[3], mac.mac[4], mac.mac[5]);
    if ((found = vf_config_attribute(list, length, IFLA_VF_VLAN, sizeof vlan))) {
        memcpy(&vlan, RTA_DATA(found), sizeof vlan);
        config->vlan = vlan.vlan;
    }
    if ((found = vf_config_attribute(list, length, IFLA_VF_TRUST, sizeof trust))) {
        memcpy(&trust, RTA_DATA(found), sizeof trust);
        if (trust.setting != UINT32_MAX) /* the driver has no such thing */
            config->trust = trust.setting ? VF_TRUST_ON : VF_TRUST_OFF;
    }
    return true;
}

bool vf_config_parse(const void *reply, size_t size, uint32_t number, struct vf_config *config) {
    const struct nlmsghdr *answer = reply;
    if (!NLMSG_OK(answer, size) || answer->nlmsg_type != RTM_NEWLINK ||
        answer->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
        return false;
    const struct rtattr *list = IFLA_RTA(NLMSG_DATA(answer));
    const struct rtattr *all = vf_config_attribute(list, IFLA_PAYLOAD(answer), IFLA_VFINFO_LIST, 0);
    const struct rtattr *info = all ? RTA_DATA(all) : NULL;
    for (size_t length = all ? RTA_PAYLOAD(all) : 0; RTA_OK(info, length);
         info = RTA_NEXT(info, length))
        if ((info->rta_type & NLA_TYPE_MASK) == IFLA_VF_INFO &&
            vf_config_parse_one(info, number, config))
            return true;
    return false;
}

static int vf_config_ask_kernel(const struct vf_place *place, struct vf_config *config) {
    union vf_message request;
    uint32_t mask = RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS;
    vf_config_begin(&request.header, RTM_GETLINK, 0, place->index);
    vf_config_add(&request, IFLA_EXT_MASK, &mask, sizeof mask);
    void *reply = memory_zalloc(REPLY_SIZE);
    int error = vf_config_ask(&request.header, reply, REPLY_SIZE);
    if (!error && !vf_config_parse(reply, REPLY_SIZE, place->number, config))
        error = ENODEV;
    free(reply);
    return error;
}

/* --- writing */

static bool vf_config_parse_mac(const char *text, uint8_t mac[MAC_LENGTH]) {
    uint32_t part[MAC_LENGTH];
    const char *rest = text_parse_numbers(text, 16, ':', part, MAC_LENGTH);
    for (int i = 0; rest && i < MAC_LENGTH; i++)
        mac[i] = (uint8_t)part[i];
    return rest && !*rest;
}

/* The kernel takes the parts one after the other, and leaves what is not there as it is. */
static int vf_config_tell_kernel(const struct vf_place *place, const struct vf_config *config,
                                 unsigned parts) {
    union vf_message request, reply;
    struct ifla_vf_mac mac = {.vf = place->number};
    struct ifla_vf_vlan vlan = {.vf = place->number, .vlan = config->vlan};
    struct ifla_vf_trust trust = {.vf = place->number, .setting = config->trust == VF_TRUST_ON};
    if (parts & VF_CONFIG_MAC && !vf_config_parse_mac(config->mac, mac.mac))
        return EINVAL;
    vf_config_begin(&request.header, RTM_SETLINK, NLM_F_ACK, place->index);
    struct rtattr *list = vf_config_add(&request, IFLA_VFINFO_LIST, NULL, 0);
    struct rtattr *info = vf_config_add(&request, IFLA_VF_INFO, NULL, 0);
    if (parts & VF_CONFIG_MAC)
        vf_config_add(&request, IFLA_VF_MAC, &mac, sizeof mac);
    if (parts & VF_CONFIG_VLAN)
        vf_config_add(&request, IFLA_VF_VLAN, &vlan, sizeof vlan);
    if (parts & VF_CONFIG_TRUST)
        vf_config_add(&request, IFLA_VF_TRUST, &trust, sizeof trust);
    vf_config_close(&request, info);
    vf_config_close(&request, list);
    return vf_config_ask(&request.header, &reply, sizeof reply);
}

/* --- in a process of its own: the kernel holds its lock of network interfaces while a driver works
 * at one, for as long as that takes */

struct vf_work {
    struct vf_place place;
    struct vf_config config;
    unsigned parts; /* 0: read */
};

struct vf_answer {
    int error;
    struct vf_config config;
};

static void vf_config_work(void *context, int socket) {
    const struct vf_work *work = context;
    struct vf_answer answer = {.config = work->config};
    answer.error = work->parts ? vf_config_tell_kernel(&work->place, &work->config, work->parts)
                               : vf_config_ask_kernel(&work->place, &answer.config);
    helper_send(socket, &answer, sizeof answer);
}

static struct vf_answer vf_config_work_in_time(struct vf_work *work) {
    struct helper helper;
    struct vf_answer answer = {.error = ECHILD};
    if (helper_start(&helper, vf_config_work, work) < 0)
        return (struct vf_answer){.error = errno};
    if (helper_await(&helper, &answer, sizeof answer,
                     clock_now() + deadline_limit(DEADLINE_BIND_MS)) == HELPER_LATE)
        answer.error = ETIMEDOUT;
    helper_end(&helper);
    return answer;
}

int vf_config_read(const struct host *host, const struct device *device, struct vf_config *config,
                   struct failure *failure) {
    struct vf_work work = {.parts = 0};
    *config = (struct vf_config){.trust = VF_TRUST_UNKNOWN};
    if (vf_config_find(host, device, &work.place, failure) < 0)
        return -1;
    struct vf_answer answer = vf_config_work_in_time(&work);
    if (answer.error) {
        failure_set(failure, "the settings of virtual function %u of %s cannot be read: %s",
                    work.place.number, work.place.interface, strerror(answer.error));
        failure_hint(failure, "see 'ip link show %s'", work.place.interface);
    }
    *config = answer.config;
    free(work.place.interface);
    return answer.error ? -1 : 0;
}

int vf_config_write(const struct host *host, const struct device *device,
                    const struct vf_config *config, unsigned parts, struct failure *failure) {
    struct vf_work work = {.config = *config, .parts = parts};
    if (!parts)
        return 0;
    if (vf_config_find(host, device, &work.place, failure) < 0)
        return -1;
    struct vf_answer answer = vf_config_work_in_time(&work);
    if (answer.error) {
        failure_set(failure, "the settings of virtual function %u of %s cannot be changed: %s",
                    work.place.number, work.place.interface, strerror(answer.error));
        failure_hint(failure, answer.error == EOPNOTSUPP
                                  ? "the driver of the card does not have this setting"
                                  : "see dmesg");
    }
    free(work.place.interface);
    return answer.error ? -1 : 0;
}
