/*
 * The libvirt hook: /etc/libvirt/hooks/qemu NAME OPERATION SUBOPERATION EXTRA, domain XML on stdin.
 * It hands the call to the engine (`virt-rules run NAME OPERATION SUBOPERATION EXTRA`) and exits.
 *
 * What libvirt does, from its 9.0.0 source (src/util/virhook.c, src/util/vircommand.c,
 * src/qemu/qemu_process.c) and from tests:
 * - It holds the VM's lock until the hook has ended and both its stdout and stderr are at end of
 *   file. Until then calls on that VM block, and a start blocks while a child keeps one of the
 *   two open: hence setsid, two forks, and no inherited descriptor.
 * - A non-zero exit stops the start (`prepare`, `start`) or kills the VM (`started`, `reconnect`):
 *   hence exit 0, whatever happens; but at `prepare` 1, when the engine says that a rule stops the
 *   start. Then libvirt shows what is on stderr to whoever started the VM.
 * - stdout of `migrate` and `restore` replaces the XML: hence nothing is ever printed.
 * - It writes the whole XML before it waits: hence stdin is always read to its end.
 * The VM starts only after the hook: hence it is static, uses only libc, and looks nothing up.
 * It runs from Linux 4.4 on, which has memfd_create (3.17) and no close_range (5.9).
 */
#include "hook/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The installer recognizes the hook by this text; a foreign hook that only calls it lacks it. */
__attribute__((used)) static const char marker[] = "@(#)virt-rules-hook " VERSION;

static const size_t xml_limit = (size_t)64 << 20;

/* Places in the engine's argv. */
enum { ENGINE, RUN, VM, EVENT, LAST = EVENT + 2, ARGV_SIZE = LAST + 2 };

static int hook_open_nameless(const char *directory) {
    char *path = NULL;
    mkdir(directory, 0700);
    if (asprintf(&path, "%s/.domain-xml.XXXXXX", directory) < 0)
        return -1;
    int fd = mkostemp(path, O_CLOEXEC);
    int error = errno;
    if (fd >= 0)
        unlink(path);
    free(path);
    errno = error;
    return fd;
}

/* A nameless file for the XML, in memory if possible; -1 and errno if there is none.
 * systemd-tmpfiles makes the directory in /run (virt-rules.tmpfiles), elsewhere the hook does. */
static int hook_open_store(void) {
    const char *own = getenv("VIRT_RULES_STATE"); /* then nothing is written elsewhere */
    int fd = memfd_create("domain-xml", MFD_CLOEXEC);
    if (fd < 0 && !(own && *own))
        fd = hook_open_nameless("/run/virt-rules");
    return fd >= 0 ? fd : hook_open_nameless(launch_state_directory());
}

static bool hook_write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static ssize_t hook_read_stdin(char *buffer, size_t size) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n;
    while ((n = read(STDIN_FILENO, buffer, size)) < 0 && (errno == EINTR || errno == EAGAIN))
        if (errno == EAGAIN)
            poll(&input, 1, -1);
    return n;
}

/* The domain XML as the engine is to get it. */
struct document {
    int fd;        /* -1 when there is none */
    int error;     /* why it could not be kept */
    bool cut;      /* there was more than the limit */
    char uuid[37]; /* of the VM; "" when it was not found */
};

/*
 * libvirt writes the name and the UUID first, and '<' in a name as "&lt;": so the first such
 * element is the VM's own. What follows may be whatever a person has put into the metadata.
 */
static void hook_find_uuid(char uuid[37], const char *xml) {
    static const char open[] = "<uuid>", digits[] = "0123456789abcdefABCDEF-";
    const char *found = strstr(xml, open), *text = found ? found + strlen(open) : "";
    if (strspn(text, digits) == 36)
        memcpy(uuid, text, 36);
}

/* Reads stdin to its end. Except for the limit, XML that cannot be kept whole is not kept at all:
 * half a document would only cause a misleading error. */
static struct document hook_drain(void) {
    static char buffer[65536], head[4096];
    size_t head_size = 0;
    ssize_t n;
    size_t kept = 0;
    struct document xml = {.fd = hook_open_store()};
    xml.error = xml.fd < 0 ? errno : 0;
    while ((n = hook_read_stdin(buffer, sizeof(buffer))) > 0) {
        size_t room = sizeof(head) - 1 - head_size, more = (size_t)n < room ? (size_t)n : room;
        memcpy(head + head_size, buffer, more);
        head_size += more;
        size_t part = (size_t)n < xml_limit - kept ? (size_t)n : xml_limit - kept;
        xml.cut = xml.cut || part < (size_t)n;
        if (!xml.error && !hook_write_all(xml.fd, buffer, part))
            xml.error = errno;
        kept += part;
    }
    if (!xml.error && lseek(xml.fd, 0, SEEK_SET) != 0)
        xml.error = errno;
    hook_find_uuid(xml.uuid, head);
    return xml;
}

/*
 * At `prepare` the engine answers through a pipe, one line at a time, see engine/system/reply.h:
 *
 *     wait MS      for so long, from now on, libvirt may have to wait
 *     stop TEXT    the VM must not start
 *
 * The end of file, which comes at once where no rule asks to wait, lets the VM start; and so does
 * all that goes wrong.
 */
struct hook_reply {
    int from, to;      /* the ends of the pipe; -1: the start waits for nothing */
    int error_output;  /* stderr as it was; -1: there is none */
    char text[4096];   /* what has been read; the first line of it may have been looked at */
    size_t size, used; /* of it; of that line, with its end */
};

enum {
    REPLY_FIRST_MS = 10000, /* for the first line */
    REPLY_ALL_MS = 65000,   /* for all of it */
    REPLY_AFTER_MS = 2000   /* after a `stop`: for who reads stderr, and for the engine's log */
};

/* libvirt's call, and what the engine gets of it. */
struct hook_call {
    char *words[ARGV_SIZE];
    struct report_subject subject;
    struct document xml;
    struct hook_reply *reply;
};

static void hook_report_loss(const struct hook_call *call) {
    if (call->xml.error)
        launch_report(&call->subject, true,
                      "the domain XML cannot be kept, so the engine runs without it: %s; free "
                      "memory or space in %s",
                      strerror(call->xml.error), launch_state_directory());
    else if (call->xml.cut)
        launch_report(&call->subject, true,
                      "the domain XML is cut at %zu MiB, the limit of the hook", xml_limit >> 20);
}

/* libvirt passes its own LD_PRELOAD and LD_LIBRARY_PATH on. What is preloaded into the daemon is
 * not meant for another program, so it is removed. The library path stays, because on a NAS the
 * engine finds libvirt only through it. */
static void hook_prepare_environment(void) {
    unsetenv("LD_PRELOAD");
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
}

/* The engine closes the pipe in its children, and removes the variable. */
static void hook_pass_reply(const struct hook_reply *reply) {
    char number[16];
    unsetenv("VIRT_RULES_REPLY");
    snprintf(number, sizeof(number), "%d", reply->to);
    if (reply->to >= 0 && setenv("VIRT_RULES_REPLY", number, 1) == 0)
        fcntl(reply->to, F_SETFD, 0);
}

_Noreturn static void hook_run_engine(void *context) {
    const struct hook_call *call = context;
    hook_report_loss(call);
    hook_prepare_environment();
    hook_pass_reply(call->reply);
    if (dup2(call->xml.error ? STDOUT_FILENO : call->xml.fd, STDIN_FILENO) == STDIN_FILENO)
        launch_become_engine(&call->subject, call->words, environ);
    launch_report(&call->subject, true, "engine %s cannot be run: %s", call->words[ENGINE],
                  strerror(errno));
    _exit(0);
}

/* The installer tests whether the hook can be executed; libvirt gives four words. */
static bool hook_asks_version(int argc, char **argv) {
    return argc == 2 && !strcmp(argv[1], "--version");
}

/* --- the answer */

static int64_t hook_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* VIRT_RULES_WAIT_MS, for tests, replaces the first limit, and changes the others in proportion. */
static int64_t hook_limit(int usual_ms) {
    const char *text = getenv("VIRT_RULES_WAIT_MS");
    long first = text ? strtol(text, NULL, 10) : 0;
    return first > 0 && first < REPLY_FIRST_MS ? (int64_t)usual_ms * first / REPLY_FIRST_MS
                                               : usual_ms;
}

/* Whether that can be done with the descriptor before the time is over. */
static bool hook_poll(int fd, short events, int64_t deadline) {
    struct pollfd one = {.fd = fd, .events = events};
    for (;;) {
        int64_t left = deadline - hook_now();
        int ready = poll(&one, 1, left > 0 ? (int)left : 0);
        if (ready > 0 || (ready < 0 && errno != EINTR) || left <= 0)
            return ready > 0;
    }
}

/* Reads what is there. False: the end, an error, or a line that is too long. */
static bool hook_read_reply(struct hook_reply *reply) {
    ssize_t n;
    while ((n = read(reply->from, reply->text + reply->size,
                     sizeof(reply->text) - 1 - reply->size)) < 0 &&
           errno == EINTR)
        ;
    reply->size += n > 0 ? (size_t)n : 0;
    reply->text[reply->size] = '\0';
    return n > 0;
}

/* The next line, which must be whole before the time is over; NULL: there is none. */
static const char *hook_next_line(struct hook_reply *reply, int64_t deadline) {
    char *end;
    memmove(reply->text, reply->text + reply->used, reply->size + 1 - reply->used);
    reply->size -= reply->used;
    while (!(end = strchr(reply->text, '\n')))
        if (!hook_poll(reply->from, POLLIN, deadline) || !hook_read_reply(reply))
            return NULL;
    *end = '\0';
    reply->used = (size_t)(end + 1 - reply->text);
    return reply->text;
}

/* One write, which does not block: a pipe that is ready has room for it. */
static void hook_say(int fd, const char *text, int64_t deadline) {
    char line[sizeof(((struct hook_reply *)NULL)->text)];
    int size = snprintf(line, sizeof(line), "%s\n", text);
    ssize_t written = -1;
    while (fd >= 0 && hook_poll(fd, POLLOUT, deadline) && written < 0) {
        written = write(fd, line, (size_t)size);
        if (written < 0 && errno != EINTR)
            return;
    }
}

/* The engine logs that it stopped the start, and libvirt's error is to come after that. */
static void hook_stop(struct hook_reply *reply, const char *text) {
    int64_t deadline = hook_now() + hook_limit(REPLY_AFTER_MS);
    signal(SIGPIPE, SIG_IGN);
    hook_say(reply->error_output, text, deadline);
    reply->size = 0;
    while (hook_poll(reply->from, POLLIN, deadline) && hook_read_reply(reply))
        reply->size = 0;
}

/* The milliseconds of "wait MS"; -1: the line is not one. */
static int64_t hook_read_wait(const char *line) {
    static const char wait[] = "wait ", digits[] = "0123456789";
    if (strncmp(line, wait, strlen(wait)) != 0)
        return -1;
    line += strlen(wait);
    size_t length = strspn(line, digits);
    return length == 0 || length > 6 || line[length] ? -1 : strtol(line, NULL, 10);
}

/* Returns the exit status. */
static int hook_await_reply(struct hook_reply *reply) {
    static const char stop[] = "stop ";
    int64_t start = hook_now(), last = start + hook_limit(REPLY_ALL_MS), wait;
    int64_t deadline = start + hook_limit(REPLY_FIRST_MS);
    for (const char *line; (line = hook_next_line(reply, deadline));) {
        if (strncmp(line, stop, strlen(stop)) == 0) {
            hook_stop(reply, line + strlen(stop));
            return 1;
        }
        if ((wait = hook_read_wait(line)) < 0)
            return 0;
        deadline = hook_now() + wait < last ? hook_now() + wait : last;
    }
    return 0;
}

/* Without a pipe the start does not wait. */
static void hook_open_reply(struct hook_reply *reply) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    reply->from = ends[0];
    reply->to = ends[1];
}

/* libvirt waits until nobody has stderr any more: so no process that is left keeps it. */
static int hook_launch_and_wait(struct hook_call *call) {
    struct hook_reply *reply = call->reply;
    const int own[] = {reply->error_output, reply->from, -1};
    launch_detached(&call->subject, own, hook_run_engine, call);
    if (reply->from < 0)
        return 0;
    close(reply->to);
    return hook_await_reply(reply);
}

int main(int argc, char **argv) {
    if (hook_asks_version(argc, argv)) {
        puts(marker + strlen("@(#)"));
        return 0;
    }
    static char run[] = "run", missing[] = "-";
    struct hook_call call = {.words = {[ENGINE] = launch_engine_path(), [RUN] = run}};
    for (int i = VM; i <= LAST; i++)
        call.words[i] = i - RUN < argc ? argv[i - RUN] : missing;
    call.subject =
        (struct report_subject){"virt-rules-hook", call.words[VM], call.words[EVENT], NULL, NULL};
    static struct hook_reply reply = {.from = -1, .to = -1, .error_output = -1};
    call.reply = &reply;
    bool may_stop = !strcmp(call.words[EVENT], "prepare");
    signal(SIGXFSZ, SIG_IGN); /* so that a file size limit is a failed write */
    launch_settle_descriptors(may_stop ? &reply.error_output : NULL);
    call.xml = hook_drain();
    call.subject.uuid = *call.xml.uuid ? call.xml.uuid : NULL;
    if (may_stop) {
        hook_open_reply(&reply);
        _exit(hook_launch_and_wait(&call));
    }
    launch_detached(&call.subject, NULL, hook_run_engine, &call);
    _exit(0);
}
