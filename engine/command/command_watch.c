/* virt-rules watch: listens for kernel uevents on hosts without udev. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/host/uevent_socket.h"
#include "engine/trigger/plug.h"
#include "engine/trigger/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* As sd_notify(3) does: one datagram to the socket that the service manager names. */
static void command_watch_notify_manager(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;
    if (!length || length >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, length);
    if (*path == '@')
        address.sun_path[0] = '\0';
    int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (file < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    sendto(file, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    close(file);
}

static void command_watch_report_ready(void *context) {
    const struct plug *plug = context;
    printf("virt-rules watch: listening for devices; rules in %s, log in %s/virt-rules.log\n",
           plug->rules, plug->state);
    fflush(stdout);
    command_watch_notify_manager("READY=1");
}

static void command_watch_handle(void *context, const struct uevent *uevent) {
    plug_event(context, uevent);
}

static void command_watch_notify_freed(void *context) {
    plug_notify_freed(context);
}

static int command_watch_listen_until_signal(struct plug *plug) {
    struct failure failure;
    struct watch watch = {.socket = uevent_socket_open(),
                          .read = uevent_socket_read,
                          .handle = command_watch_handle,
                          .notify_freed = command_watch_notify_freed,
                          .context = plug,
                          .host_source = plug->host_source,
                          .state = plug->state,
                          .ready = command_watch_report_ready};
    if (watch.socket < 0)
        return command_failf("run it as root in the host's network namespace",
                             "cannot listen for kernel uevents: %s", strerror(errno));
    int status = watch_run(&watch, &failure) == 0 ? EXIT_FINE : command_fail(failure.message, NULL);
    command_watch_notify_manager("STOPPING=1");
    close(watch.socket);
    return status;
}

/* Not fatal: rules may be added later, and are read again at each event. */
static void command_watch_check_rules(const char *directory) {
    struct ruleset ruleset;
    ruleset_init(&ruleset);
    ruleset_add_directory(&ruleset, directory);
    for (size_t i = 0; i < ruleset.diagnostics.count; i++) {
        const struct diagnostic *found = &ruleset.diagnostics.list[i];
        fprintf(stderr, "virt-rules watch: warning: %s: %s\n", found->source->path, found->message);
        if (found->hint)
            fprintf(stderr, "  hint: %s\n", found->hint);
    }
    ruleset_finish(&ruleset);
}

/* The directory is made where needed; false with errno. */
static bool command_watch_can_write(const char *directory) {
    struct stat status;
    if ((mkdir(directory, 0700) != 0 && errno != EEXIST) || stat(directory, &status) != 0)
        return false;
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return false;
    }
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0;
}

/* Without state an event would be handled twice, and without a log nobody could see what was done.
 */
static int command_watch_check_state(const char *directory) {
    if (command_watch_can_write(directory))
        return EXIT_FINE;
    bool forbidden = errno == EACCES || errno == EPERM;
    char *message =
        memory_printf("cannot write to the state directory %s: %s", directory, strerror(errno));
    int status = command_fail(message, forbidden ? "run as root, or name another with --state"
                                                 : "name a writable directory with --state");
    free(message);
    return status;
}

static int command_watch_start(struct plug *plug) {
    command_watch_check_rules(plug->rules);
    int status = command_watch_check_state(plug->state);
    if (status != EXIT_FINE)
        return status;
    plug->log = log_write_open(plug->state, isatty(STDERR_FILENO));
    status = command_watch_listen_until_signal(plug);
    log_write_close(plug->log);
    return status;
}

static int command_watch_run(const struct command *command, int argc, char **argv) {
    struct command_line line = {0};
    int status;
    if (!command_parse(&line, command, argc, argv, &status))
        return status;
    if (line.word_count)
        return command_usage(command, "it takes no argument");
    struct host_source source = source_sysfs(line.sysroot);
    struct plug plug = {.rules = ruleset_directory(line.rules),
                        .host_source = &source,
                        .state = log_write_state_directory(line.state),
                        .clock = clock_system(),
                        .open_virt = virt_asker_connect};
    return command_watch_start(&plug);
}

static const struct command_option command_watch_options[] = {
    OPTION_RULES,
    OPTION_STATE,
    OPTION_SYSROOT,
    {0},
};

const struct command command_watch_row = {
    .name = "watch",
    .operands = "",
    .summary = "Listen for kernel uevents on hosts without udev.",
    .notes = "It runs in the foreground until SIGTERM or SIGINT.\n",
    .options = command_watch_options,
    .run = command_watch_run,
};
