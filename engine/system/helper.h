/*
 * A process for calls that may never return: a call of libvirt, a write that waits for a driver.
 * The engine waits at the other end of a socket, up to a deadline. A library
 * that crashes ends the helper alone.
 */
#ifndef ENGINE_HELPER_H
#define ENGINE_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct helper {
    pid_t pid;  /* 0: none */
    int socket; /* the engine's end */
};

/*
 * Starts a process that calls `work` and ends. It has no file open that the engine opened but its
 * end of the socket, so it keeps no lock and no pipe of the engine's; its standard input and
 * outputs are /dev/null. It is killed when the engine ends. Returns 0, or -1 with errno and
 * `helper` empty.
 */
int helper_start(struct helper *helper, void (*work)(void *context, int socket), void *context);

/* Kills it, and waits at most a second for its end: one that the kernel cannot
 * end stays behind, and holds nothing. Returns its wait status, or -1 when that is not known. */
int helper_end(struct helper *helper);

/* All of `size` bytes. Returns false at the other end's end, or an error. */
bool helper_send(int socket, const void *bytes, size_t size);
bool helper_receive(int socket, void *bytes, size_t size);

enum helper_answer { HELPER_ANSWERED, HELPER_ENDED, HELPER_LATE };

/* The same, until `deadline` on the clock of clock_now(). */
enum helper_answer helper_await(const struct helper *helper, void *bytes, size_t size,
                                int64_t deadline);

#endif
