#include "engine/host/uevent_socket.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KERNEL_GROUP = 1, /* udevd's own messages are in group 2 */
    BUFFER_SIZE = 16 * 1024 * 1024,
};

/* More than the host allows others needs CAP_NET_ADMIN; without it, what is allowed. */
static void uevent_socket_widen(int file) {
    int size = BUFFER_SIZE;
    if (setsockopt(file, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(file, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

int uevent_socket_open(void) {
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    int on = 1;
    int file =
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (file < 0)
        return -1;
    uevent_socket_widen(file);
    if (setsockopt(file, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
        bind(file, (struct sockaddr *)&address, sizeof address) < 0) {
        int saved = errno;
        close(file);
        errno = saved;
        return -1;
    }
    return file;
}

/* Any process of root may write to the group; what counts is the kernel's, which has no port. */
static bool uevent_socket_is_from_kernel(struct msghdr *header) {
    const struct sockaddr_nl *sender = header->msg_name;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    struct ucred credentials = {.uid = (uid_t)-1};
    if (header->msg_namelen != sizeof *sender || sender->nl_pid != 0 || !control ||
        control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_CREDENTIALS)
        return false;
    memcpy(&credentials, CMSG_DATA(control), sizeof credentials);
    return credentials.uid == 0;
}

ssize_t uevent_socket_read(int socket, char *message, size_t size) {
    struct sockaddr_nl sender = {0};
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control = {.bytes = {0}};
    struct iovec part = {message, size - 1};
    struct msghdr header = {.msg_name = &sender,
                            .msg_namelen = sizeof sender,
                            .msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    ssize_t length;
    do
        length = recvmsg(socket, &header, 0);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return -1;
    message[length] = '\0';
    return header.msg_flags & MSG_TRUNC || !uevent_socket_is_from_kernel(&header) ? 0 : length;
}
