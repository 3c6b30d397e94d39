/* The kernel's own uevents, as udevd hears them (netlink(7), NETLINK_KOBJECT_UEVENT, group 1). */
#ifndef ENGINE_UEVENT_SOCKET_H
#define ENGINE_UEVENT_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

enum { UEVENT_MESSAGE_SIZE = 8192 }; /* the kernel's are 2 KiB at most, and a header */

/* Returns a descriptor that does not block, for close(2), or -1 with errno. */
int uevent_socket_open(void);

/*
 * One message with a NUL behind it; `size` counts that one in. Returns its length; 0 for one that
 * is not the kernel's, or cut off; -1 with errno: EAGAIN when there is none, ENOBUFS when the
 * kernel threw some away.
 */
ssize_t uevent_socket_read(int socket, char *message, size_t size);

#endif
