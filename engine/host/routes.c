#include "engine/host/routes.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { BUFFER_SIZE = 65536, SECONDS = 5 /* the kernel answers at once */ };

struct routes {
    void (*visit)(void *context, const char *interface, bool is_default);
    void *context;
};

static bool routes_ask(int file) {
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } request = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
                            .nlmsg_type = RTM_GETROUTE,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                 .route = {.rtm_family = AF_INET}};
    return send(file, &request, request.header.nlmsg_len, 0) >= 0;
}

static void routes_visit_index(const struct routes *routes, const struct rtmsg *route,
                               unsigned index) {
    char name[IF_NAMESIZE];
    if (if_indextoname(index, name))
        routes->visit(routes->context, name, route->rtm_dst_len == 0);
}

static void routes_visit_hops(const struct routes *routes, const struct rtmsg *route,
                              const struct rtattr *hops) {
    const struct rtnexthop *hop = RTA_DATA(hops);
    for (size_t left = RTA_PAYLOAD(hops); left >= sizeof *hop && RTNH_OK(hop, (int)left);
         left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
        routes_visit_index(routes, route, (unsigned)hop->rtnh_ifindex);
}

static void routes_visit_route(const struct routes *routes, struct nlmsghdr *message) {
    const struct rtmsg *route = NLMSG_DATA(message);
    int left = (int)RTM_PAYLOAD(message);

    if (message->nlmsg_type != RTM_NEWROUTE || route->rtm_type != RTN_UNICAST)
        return;
    for (const struct rtattr *part = RTM_RTA(route); RTA_OK(part, left);
         part = RTA_NEXT(part, left)) {
        unsigned index = 0;
        if (part->rta_type == RTA_OIF && RTA_PAYLOAD(part) >= sizeof index) {
            memcpy(&index, RTA_DATA(part), sizeof index);
            routes_visit_index(routes, route, index);
        }
        if (part->rta_type == RTA_MULTIPATH)
            routes_visit_hops(routes, route, part);
    }
}

/* Returns 1 while there is more, 0 at the end, -1 on an error. */
static int routes_read_some(int file, const struct routes *routes) {
    static _Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
    ssize_t size = recv(file, buffer, sizeof buffer, 0);

    if (size < 0)
        return errno == EINTR ? 1 : -1;
    unsigned left = (unsigned)size;
    for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_flags & NLM_F_DUMP_INTR || message->nlmsg_type == NLMSG_ERROR)
            return -1;
        if (message->nlmsg_type == NLMSG_DONE)
            return 0;
        routes_visit_route(routes, message);
    }
    return size ? 1 : -1;
}

bool routes_each(void (*visit)(void *context, const char *interface, bool is_default),
                 void *context) {
    const struct routes routes = {visit, context};
    const struct timeval limit = {.tv_sec = SECONDS};
    int file = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), more = -1;

    if (file < 0)
        return false;
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (routes_ask(file))
        do
            more = routes_read_some(file, &routes);
        while (more > 0);
    close(file);
    return more == 0;
}
