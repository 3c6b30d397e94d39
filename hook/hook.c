/*
 * The libvirt hook: /etc/libvirt/hooks/qemu NAME OPERATION SUBOPERATION EXTRA, domain XML on stdin.
 * It hands the call to the engine (`virt-rules run NAME OPERATION SUBOPERATION EXTRA`) and goes.
 *
 * What libvirt does, read in its 9.0.0 source (src/util/virhook.c, src/util/vircommand.c,
 * src/qemu/qemu_process.c) and tried on it:
 * - It holds the VM's lock until the hook has ended and both its stdout and stderr are at end of
 *   file. A call on that VM before then waits for ever, and so does a start while a child keeps
 *   one of the two open: hence the two forks, setsid, and not one inherited descriptor.
 * - A non-zero exit stops the start (`prepare`, `start`) or kills the VM (`started`, `reconnect`):
 *   hence exit 0, whatever happens.
 * - stdout of `migrate` and `restore` replaces the XML: hence nothing is ever printed.
 * - It writes the whole XML before it waits: hence stdin is always read to its end.
 * The VM starts only after the hook: hence static, no library but libc, and nothing looked up.
 * It runs from Linux 4.4 on, which has memfd_create (3.17) and no close_range (5.9).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* The installer knows our file by this text; a foreign hook that only calls us lacks it. */
__attribute__((used)) static const char marker[] = "@(#)virt-rules-hook " VERSION;

static const size_t xml_limit = (size_t)64 << 20;

/* Places in the engine's argv. */
enum { ENGINE, RUN, VM, EVENT, LAST = EVENT + 2, ARGV_SIZE = LAST + 2 };

static const char *state_directory(void) {
    const char *path = getenv("VIRT_RULES_STATE");
    return path && *path ? path : "/var/lib/virt-rules";
}

/* The length of the valid UTF-8 sequence at `s`, 0 when there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s) {
    size_t length = *s < 0x80                  ? 1
                    : *s >= 0xc2 && *s <= 0xdf ? 2
                    : *s >= 0xe0 && *s <= 0xef ? 3
                    : *s >= 0xf0 && *s <= 0xf4 ? 4
                                               : 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (*s == 0xe0 && s[1] < 0xa0) || (*s == 0xf0 && s[1] < 0x90);
    bool surrogate = *s == 0xed && s[1] > 0x9f, beyond = *s == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : length;
}

static size_t put_character(FILE *out, const unsigned char *s) {
    size_t length = utf8_length(s);
    if (length == 0)
        fputs("\\ufffd", out);
    else if (*s < 0x20 || *s == 0x7f)
        fprintf(out, "\\u%04x", *s);
    else
        fprintf(out, "%s%.*s", *s == '"' || *s == '\\' ? "\\" : "", (int)length, (const char *)s);
    return length ? length : 1;
}

/* `text` as a JSON string with its quotes; the caller frees it. */
static char *quoted(const char *text) {
    char *result = NULL;
    size_t size;
    FILE *out = open_memstream(&result, &size);
    if (!out)
        return NULL;
    fputc('"', out);
    for (const unsigned char *s = (const unsigned char *)text; *s;)
        s += put_character(out, s);
    fputc('"', out);
    fclose(out);
    return result;
}

static void append_to_log(const char *line, size_t size) {
    char *path = NULL;
    mkdir(state_directory(), 0700);
    if (asprintf(&path, "%s/virt-rules.log", state_directory()) < 0)
        return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(path);
    if (fd < 0)
        return;
    ssize_t written = write(fd, line, size);
    (void)written; /* nobody is left to tell */
    close(fd);
}

/* Local time as RFC 3339 writes it. */
static void stamp(char text[32]) {
    struct tm local;
    time_t now = time(NULL);
    size_t n = localtime_r(&now, &local) ? strftime(text, 31, "%Y-%m-%dT%H:%M:%S%z", &local) : 0;
    if (n < 5)
        return;
    memmove(text + n - 1, text + n - 2, 3);
    text[n - 2] = ':';
}

/* One line in the engine's log and, once we are detached, in syslog: a stuck syslog daemon blocks
 * its callers, and the VM must not wait for it. Best effort, for a lost line must not cost a VM. */
__attribute__((format(printf, 3, 4))) static void report(char *const *call, bool detached,
                                                         const char *format, ...) {
    va_list values;
    va_start(values, format);
    char *plain = NULL, *line = NULL, time_text[32] = "";
    int size = vasprintf(&plain, format, values);
    va_end(values);
    if (size < 0)
        return;
    char *vm = quoted(call[VM]), *event = quoted(call[EVENT]), *message = quoted(plain);
    stamp(time_text);
    if (vm && event && message && detached) {
        openlog("virt-rules-hook", LOG_PID, LOG_DAEMON);
        syslog(LOG_ERR, "vm %s, event %s: %s", vm, event, message);
    }
    if (vm && event && message)
        size = asprintf(&line,
                        "{\"time\":\"%s\",\"vm\":%s,\"event\":%s,\"action\":null,\"device\":null,"
                        "\"rule\":null,\"result\":\"failed\",\"message\":%s}\n",
                        time_text, vm, event, message);
    if (line && size > 0)
        append_to_log(line, (size_t)size);
    free(plain), free(line), free(vm), free(event), free(message);
}

/* Closes what close_range would, through /proc, or number by number where that is not mounted. */
static void close_one_by_one(void) {
    struct rlimit limit = {0};
    DIR *list = opendir("/proc/self/fd");
    for (struct dirent *entry; list && (entry = readdir(list));) {
        int fd = (int)strtol(entry->d_name, NULL, 10); /* "." and ".." give 0 */
        if (fd > STDERR_FILENO && fd != dirfd(list))
            close(fd);
    }
    if (list) {
        closedir(list);
        return;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = STDERR_FILENO + 1; fd < 65536 && (rlim_t)fd < limit.rlim_max; fd++)
        close(fd);
}

/* Leaves stdin as it is, or /dev/null if closed; /dev/null as stdout and stderr; nothing else. From
 * here on nothing can reach a pipe of libvirt's, so there is no SIGPIPE either. */
static void settle_descriptors(void) {
    int fd;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0) != 0)
#endif
        close_one_by_one();
    close(STDOUT_FILENO), close(STDERR_FILENO);
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd >= 0)
        close(fd);
}

/* A nameless file for the XML; -1 and errno when there is none to be had. */
static int open_store(void) {
    char *path = NULL;
    int fd = memfd_create("domain-xml", MFD_CLOEXEC);
    if (fd >= 0)
        return fd;
    mkdir(state_directory(), 0700);
    if (asprintf(&path, "%s/.domain-xml.XXXXXX", state_directory()) < 0)
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    int error = errno;
    if (fd >= 0)
        unlink(path);
    free(path);
    errno = error;
    return fd;
}

static bool write_all(int fd, const char *bytes, size_t size) {
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

static ssize_t read_stdin(char *buffer, size_t size) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n;
    while ((n = read(STDIN_FILENO, buffer, size)) < 0 && (errno == EINTR || errno == EAGAIN))
        if (errno == EAGAIN)
            poll(&input, 1, -1);
    return n;
}

/* The domain XML as the engine is to get it. */
struct document {
    int fd;    /* -1 when there is none */
    int error; /* why it could not be kept */
    bool cut;  /* there was more than the limit */
};

/* Reads stdin to its end. What cannot be kept whole, but for the limit, is not kept at all: half
 * a document would only give a misleading complaint. */
static struct document drain(void) {
    static char buffer[65536];
    ssize_t n;
    size_t kept = 0;
    struct document xml = {.fd = open_store()};
    xml.error = xml.fd < 0 ? errno : 0;
    while ((n = read_stdin(buffer, sizeof(buffer))) > 0) {
        size_t part = (size_t)n < xml_limit - kept ? (size_t)n : xml_limit - kept;
        xml.cut = xml.cut || part < (size_t)n;
        if (!xml.error && !write_all(xml.fd, buffer, part))
            xml.error = errno;
        kept += part;
    }
    if (!xml.error && lseek(xml.fd, 0, SEEK_SET) != 0)
        xml.error = errno;
    return xml;
}

static void report_loss(char *const *call, const struct document *xml) {
    if (xml->error)
        report(call, true,
               "the domain XML cannot be kept, so the engine runs without it: %s; free "
               "memory or space in %s",
               strerror(xml->error), state_directory());
    else if (xml->cut)
        report(call, true, "the domain XML is cut at %zu MiB, the most that the hook keeps",
               xml_limit >> 20);
}

/* libvirt passes its own LD_PRELOAD and LD_LIBRARY_PATH on. What is preloaded into the daemon is
 * not meant for another program, so that goes; the library path stays, for on a NAS the engine
 * finds libvirt only through it. */
static void prepare_environment(void) {
    unsetenv("LD_PRELOAD");
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
}

static void reset_signals(void) {
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void become_engine(char *const *call, const struct document *xml) {
    report_loss(call, xml);
    prepare_environment();
    reset_signals();
    umask(077);
    if (dup2(xml->error ? STDOUT_FILENO : xml->fd, STDIN_FILENO) == STDIN_FILENO && chdir("/") == 0)
        execv(call[ENGINE], call);
    report(call, true, "engine %s cannot be run: %s; install it or set VIRT_RULES_ENGINE",
           call[ENGINE], strerror(errno));
    _exit(0);
}

static void report_fork(char *const *call) {
    report(call, false, "engine %s cannot be started: fork: %s", call[ENGINE], strerror(errno));
}

_Noreturn static void leave_session(char *const *call, const struct document *xml) {
    setsid();
    pid_t engine = fork();
    if (engine == 0)
        become_engine(call, xml);
    if (engine < 0)
        report_fork(call);
    _exit(0);
}

static void start_engine(char *const *call, const struct document *xml) {
    pid_t child = fork();
    if (child == 0)
        leave_session(call, xml);
    if (child < 0)
        report_fork(call);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

int main(int argc, char **argv) {
    static char default_engine[] = BINDIR "/virt-rules", run[] = "run", missing[] = "-";
    char *path = getenv("VIRT_RULES_ENGINE"), *call[ARGV_SIZE] = {0};
    call[ENGINE] = path && *path ? path : default_engine;
    call[RUN] = run;
    for (int i = VM; i <= LAST; i++)
        call[i] = i - RUN < argc ? argv[i - RUN] : missing;
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a failed write, not our death */
    settle_descriptors();
    struct document xml = drain();
    start_engine(call, &xml);
    _exit(0);
}
