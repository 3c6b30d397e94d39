#include "engine/system/reply.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char variable[] = "VIRT_RULES_REPLY";

struct reply reply_take(void) {
    struct reply reply = {.file = -1};
    const char *text = getenv(variable);
    struct stat status;
    char *end;
    errno = 0;
    long number = text ? strtol(text, &end, 10) : -1;
    if (text && *text && !*end && !errno && number > STDERR_FILENO && number <= INT_MAX &&
        fstat((int)number, &status) == 0 && S_ISFIFO(status.st_mode) &&
        fcntl((int)number, F_SETFD, FD_CLOEXEC) == 0)
        reply.file = (int)number;
    unsetenv(variable);
    return reply;
}

void reply_close(struct reply *reply) {
    if (reply->file >= 0)
        close(reply->file);
    reply->file = -1;
}

/* One write of less than PIPE_BUF bytes: the hook gets all of it or nothing. A hook that has given
 * up is an error, and no signal. */
static bool reply_write(const struct reply *reply, const char *line) {
    struct sigaction ignored = {.sa_handler = SIG_IGN}, before;
    ssize_t size = (ssize_t)strlen(line), written;
    if (reply->file < 0)
        return false;
    sigaction(SIGPIPE, &ignored, &before);
    while ((written = write(reply->file, line, (size_t)size)) < 0 && errno == EINTR)
        ;
    sigaction(SIGPIPE, &before, NULL);
    return written == size;
}

bool reply_wait(const struct reply *reply, int milliseconds) {
    char *line = memory_printf("wait %d\n", milliseconds);
    bool good = reply_write(reply, line);
    free(line);
    return good;
}

bool reply_stop(const struct reply *reply, const char *text) {
    enum { TEXT_LIMIT = 1000 }; /* escaped it is less than PIPE_BUF */
    char *line = NULL;
    size_t size, length = strlen(text);
    while (length > TEXT_LIMIT || (length < strlen(text) && (text[length] & 0xc0) == 0x80))
        length--; /* not within a character */
    FILE *out = memory_stream(&line, &size);
    fputs("stop ", out);
    text_escape(out, text, length);
    fputs(length < strlen(text) ? "...\n" : "\n", out);
    memory_stream_close(out, &line);
    bool good = reply_write(reply, line);
    free(line);
    return good;
}

bool reply_was_late(const struct reply *reply) {
    struct pollfd end = {.fd = reply->file};
    int unread = 0;
    return poll(&end, 1, 0) > 0 && end.revents & POLLERR &&
           ioctl(reply->file, FIONREAD, &unread) == 0 && unread > 0;
}
