#include "hook/launch.h"

#include "engine/system/layout.h"
#include "lexer/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

const char *launch_state_directory(void) {
    static struct layout layout;
    char prefix[PATH_MAX];
    if (!*layout.state) {
        layout_prefix_of(prefix, launch_engine_path());
        layout_find(&layout, &(struct layout_request){.root = "", .prefix = prefix});
    }
    return layout.state;
}

static const char installed_engine[] = "/bin/virt-rules";

/* The engine of the tree in which this program is libexec/NAME: of an installation below any
 * prefix, or of an archive that is unpacked but not installed. False: there is none. */
static bool launch_find_beside(char *path) {
    char *directory = strrchr(path, '/');
    if (!directory || strcmp(directory, "/libexec") != 0)
        return false;
    memcpy(directory, installed_engine, sizeof(installed_engine));
    return access(path, X_OK) == 0;
}

/*
 * What the link in libvirt's hooks directory names: the copy of the hook there lies in no tree.
 * install.sh makes the link if the engine is not in the usual place. It is beside qemu and above
 * qemu.d, all of whose files libvirt runs. What it names need not be there yet, as on a pool that
 * is not mounted: then this engine is the one that cannot be run, and no other is tried.
 */
static bool launch_find_linked(char *path) {
    static char link[PATH_MAX + sizeof("/" LAYOUT_ENGINE_LINK)];
    char *directory = strrchr(path, '/');
    if (!directory)
        return false;
    if (!strcmp(directory, "/qemu.d"))
        *directory = '\0';
    snprintf(link, sizeof(link), "%s/" LAYOUT_ENGINE_LINK, path);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size > 0 ? size : 0] = '\0';
    return *path == '/';
}

static bool launch_find_engine(char path[PATH_MAX]) {
    static char directory[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", directory, PATH_MAX - sizeof(installed_engine));
    directory[size > 0 ? size : 0] = '\0';
    char *name = strrchr(directory, '/');
    if (!name)
        return false;
    *name = '\0';
    snprintf(path, PATH_MAX, "%s", directory);
    if (launch_find_beside(path))
        return true;
    snprintf(path, PATH_MAX, "%s", directory);
    return launch_find_linked(path);
}

char *launch_engine_path(void) {
    static char usual[] = BINDIR "/virt-rules", found[PATH_MAX];
    char *path = getenv("VIRT_RULES_ENGINE");
    if (path && *path)
        return path;
    return *found || launch_find_engine(found) ? found : usual;
}

static size_t launch_put_character(FILE *out, const char *text) {
    size_t length = utf8_length(text, strnlen(text, 4));
    if (length == 0)
        fputs("\\ufffd", out);
    else if ((unsigned char)*text < 0x20 || *text == 0x7f)
        fprintf(out, "\\u%04x", (unsigned char)*text);
    else
        fprintf(out, "%s%.*s", *text == '"' || *text == '\\' ? "\\" : "", (int)length, text);
    return length ? length : 1;
}

/* `text` as a JSON string with its quotes, NULL as null; the caller frees it. */
static char *launch_quoted(const char *text) {
    if (!text)
        return strdup("null");
    char *result = NULL;
    size_t size;
    FILE *out = open_memstream(&result, &size);
    if (!out)
        return NULL;
    fputc('"', out);
    while (*text)
        text += launch_put_character(out, text);
    fputc('"', out);
    fclose(out);
    return result;
}

/* The line begins with a newline, which is only written if the last line of the log is torn. */
static void launch_append_to_log(const char *line, size_t size) {
    char *path = NULL;
    mkdir(launch_state_directory(), 0700);
    if (asprintf(&path, "%s/virt-rules.log", launch_state_directory()) < 0)
        return;
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(path);
    if (fd < 0)
        return;
    off_t end = lseek(fd, 0, SEEK_END);
    char last = '\n';
    bool torn = end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
    ssize_t written = write(fd, torn ? line : line + 1, torn ? size : size - 1);
    (void)written; /* a failure cannot be reported anywhere */
    close(fd);
}

/* Local time as RFC 3339 writes it. */
static void launch_stamp(char text[32]) {
    struct tm local;
    time_t now = time(NULL);
    size_t n = localtime_r(&now, &local) ? strftime(text, 31, "%Y-%m-%dT%H:%M:%S%z", &local) : 0;
    if (n < 5)
        return;
    memmove(text + n - 1, text + n - 2, 3);
    text[n - 2] = ':';
}

/* The texts are already JSON. */
static void launch_write_report(const struct report_subject *subject, bool detached, const char *vm,
                                const char *event, const char *device, const char *message,
                                const char *uuid) {
    char *line = NULL, time_text[32] = "";
    launch_stamp(time_text);
    if (detached) {
        openlog(subject->program, LOG_PID, LOG_DAEMON);
        syslog(LOG_ERR, "%s %s, event %s: %s", subject->vm ? "vm" : "device",
               subject->vm ? vm : device, event, message);
    }
    int size = asprintf(&line,
                        "\n{\"time\":\"%s\",\"vm\":%s,\"event\":%s,\"action\":null,\"device\":%s,"
                        "\"rule\":null,\"result\":\"failed\",\"message\":%s,\"uuid\":%s}\n",
                        time_text, vm, event, device, message, uuid);
    if (size > 0)
        launch_append_to_log(line, (size_t)size);
    if (size >= 0)
        free(line);
}

void launch_report(const struct report_subject *subject, bool detached, const char *format, ...) {
    va_list values;
    va_start(values, format);
    char *plain = NULL;
    int size = vasprintf(&plain, format, values);
    va_end(values);
    if (size < 0)
        return;
    char *vm = launch_quoted(subject->vm), *event = launch_quoted(subject->event),
         *device = launch_quoted(subject->device), *message = launch_quoted(plain),
         *uuid = launch_quoted(subject->uuid);
    if (vm && event && device && message && uuid)
        launch_write_report(subject, detached, vm, event, device, message, uuid);
    free(plain), free(vm), free(event), free(device), free(message), free(uuid);
}

/* Closes what close_range would, through /proc, or number by number where that is not mounted. */
static void launch_close_one_by_one(void) {
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

void launch_settle_descriptors(int *error_output) {
    int fd;
#ifdef __NR_close_range
    if (syscall(__NR_close_range, STDERR_FILENO + 1, ~0U, 0) != 0)
#endif
        launch_close_one_by_one();
    if (error_output)
        *error_output = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(STDOUT_FILENO), close(STDERR_FILENO);
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd < STDERR_FILENO)
        ;
}

static void launch_reset_signals(void) {
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void launch_become_engine(const struct report_subject *subject, char *const *call,
                          char *const *environment) {
    launch_reset_signals();
    umask(077);
    if (chdir("/") == 0)
        execve(call[0], call, environment);
    int error = errno;
    launch_settle_descriptors(NULL); /* nobody waits for the report: see launch_report() */
    launch_report(subject, true, "engine %s cannot be run: %s; install it or set VIRT_RULES_ENGINE",
                  call[0], strerror(error));
    _exit(0);
}

static void launch_report_fork(const struct report_subject *subject) {
    launch_report(subject, false, "engine %s cannot be started: fork: %s", launch_engine_path(),
                  strerror(errno));
}

/* In the intermediate process: the engine becomes an orphan and is not the session leader, so that
 * it cannot get a controlling terminal. */
_Noreturn static void launch_leave_session(const struct report_subject *subject, const int *own,
                                           void (*become)(void *), void *context) {
    for (; own && *own >= 0; own++)
        close(*own);
    setsid();
    pid_t child = fork();
    if (child == 0)
        become(context);
    if (child < 0)
        launch_report_fork(subject);
    _exit(0);
}

/*
 * The caller waits for this process, which therefore only starts the intermediate one and exits;
 * init reaps that. setsid() is left to it: Linux schedules each session on its own
 * (sched_autogroup), and a process that enters a new one goes to the end of the queue, which on a
 * busy host takes three times as long as all the rest.
 */
void launch_detached(const struct report_subject *subject, const int *own, void (*become)(void *),
                     void *context) {
    pid_t child = fork();
    if (child == 0)
        launch_leave_session(subject, own, become, context);
    if (child < 0)
        launch_report_fork(subject);
}
