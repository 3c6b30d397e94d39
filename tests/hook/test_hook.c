/*
 * The hook as libvirt runs it: the real program, pipes for its three descriptors, and this program
 * once more as the engine behind it. The engine writes what it finds to $HOOK_TEST_DIR, and waits
 * at a FIFO there where a test wants it to be still at work. At `prepare` it answers with the
 * lines of a file there. As a child subreaper the test sees every process that the hook leaves.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1 /* the hook is dynamic then: it needs a descriptor, /proc and no preload */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { LIMIT_SECONDS = 600 /* for what hangs */, NOT_PERMITTED = 77, NOBODY = 54321 };

static const char domain_xml[] = "<domain type='kvm'><name>desk</name></domain>\n";
static char hook_path[PATH_MAX], own_path[PATH_MAX];

/* ---- The engine's part -------------------------------------------------------------------- */

static FILE *note(const char *name) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", getenv("HOOK_TEST_DIR"), name);
    return fopen(path, "we");
}

static void raise_limits(void) {
    const int resources[] = {RLIMIT_NOFILE, RLIMIT_FSIZE};
    for (size_t i = 0; i < 2; i++) {
        struct rlimit limit;
        getrlimit(resources[i], &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(resources[i], &limit);
    }
}

static void wait_at_gate(const char *name) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", getenv("HOOK_TEST_DIR"), name);
    int fd = open(path, O_RDONLY | O_CLOEXEC); /* returns when the test opens it too */
    if (fd >= 0)
        close(fd);
}

static void note_words(const char *name, char *const *words) {
    FILE *out = note(name);
    for (; *words; words++)
        fprintf(out, "%s%c", *words, 0);
    fclose(out);
}

static void note_descriptors(void) {
    FILE *out = note("descriptors");
    for (int fd = 0; fd < 65536; fd++) {
        char path[64], target[PATH_MAX];
        if (fd == fileno(out) || fcntl(fd, F_GETFD) < 0)
            continue;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof(target));
        fprintf(out, "%d %.*s\n", fd, n < 0 ? 1 : (int)n, n < 0 ? "?" : target);
    }
    fclose(out);
}

static void note_process(void) {
    char directory[PATH_MAX];
    sigset_t mask;
    int blocked = 0, ignored = 0;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action = {0};
        blocked += sigismember(&mask, number) == 1;
        ignored += sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
    }
    FILE *out = note("process");
    fprintf(out, "pid %d\nparent %d\nsession %d\n", getpid(), getppid(), getsid(0));
    fprintf(out, "blocked %d\nignored %d\numask %d\ndirectory %s\n", blocked, ignored,
            (int)umask(0), getcwd(directory, sizeof(directory)));
    fclose(out);
}

static void note_stdin(void) {
    char buffer[65536];
    size_t n;
    FILE *out = note("stdin");
    while ((n = fread(buffer, 1, sizeof(buffer), stdin)) > 0)
        fwrite(buffer, 1, n, out);
    fclose(out);
}

/* Writes the lines of the file `reply` into the pipe as they are; but one that begins with '@' is
 * something to do. */
static void answer(void) {
    char path[PATH_MAX], *number = getenv("VIRT_RULES_REPLY"), *line = NULL;
    size_t room = 0;
    int fd = number ? (int)strtol(number, NULL, 10) : -1;
    snprintf(path, sizeof(path), "%s/reply", getenv("HOOK_TEST_DIR"));
    FILE *in = fopen(path, "re");
    for (ssize_t size; in && (size = getline(&line, &room, in)) > 0;) {
        if (strcmp(line, "@gate\n") == 0)
            wait_at_gate("gate");
        else if (strcmp(line, "@close\n") == 0)
            close(fd);
        else if (strcmp(line, "@kill\n") == 0)
            raise(SIGKILL);
        else if (strcmp(line, "@torn\n") == 0) /* the line before loses its end */
            (void)!write(fd, "torn", 4);
        else
            (void)!write(fd, line, (size_t)size); /* the hook may have ended its wait */
    }
    if (in)
        fclose(in);
    free(line);
}

static int be_the_engine(char **argv) {
    alarm(2 * LIMIT_SECONDS);
    raise_limits();
    signal(SIGPIPE, SIG_IGN);
    note_descriptors();
    answer();
    wait_at_gate("last-gate");
    signal(SIGPIPE, SIG_DFL);
    note_process();
    note_words("argv", argv);
    note_words("environ", environ);
    note_stdin();
    return 0;
}

/* ---- One run of the hook ------------------------------------------------------------------ */

struct run {
    /* what to do */
    const char *arguments[8];
    const char *engine; /* NULL: this program */
    const char *extra[4];
    const char *input; /* what libvirt writes */
    const char *uuid;  /* in it; NULL: none */
    size_t size;
    bool drip;               /* a byte at a time, each when the one before was read */
    bool silent;             /* no engine is expected to run */
    bool ignores_sigchld;    /* the hook is started so */
    bool (*prepare)(void *); /* in the hook's process, before its exec; false: not permitted */
    void *context;
    /* what is there */
    char directory[64], state[80], engine_setting[PATH_MAX + 32], state_setting[128],
        directory_setting[128];
    int in, out, err;
    pid_t pid, middle;
    int status;       /* that the hook must end with */
    const char *says; /* on stderr; NULL: nothing */
    bool killed;      /* the engine is */
    bool skipped, broken_pipe;
};

static int set_up(void **state) {
    struct run *run = calloc(1, sizeof(*run));
    *state = run;
    strcpy(run->directory, "/tmp/virt-rules-hook.XXXXXX");
    assert_true(mkdtemp(run->directory) && chmod(run->directory, 0777) == 0);
    snprintf(run->state, sizeof(run->state), "%s/state", run->directory);
    const char *arguments[] = {"/etc/libvirt/hooks/qemu", "desk", "started", "begin", "-", NULL};
    memcpy(run->arguments, arguments, sizeof(arguments));
    run->input = domain_xml;
    run->size = strlen(domain_xml);
    return 0;
}

static void remove_tree(const char *path) {
    DIR *list = opendir(path);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        char below[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        if (unlink(below) != 0)
            remove_tree(below);
    }
    if (list)
        closedir(list);
    rmdir(path);
}

static int tear_down(void **state) {
    struct run *run = *state;
    alarm(0);
    remove_tree(run->directory);
    free(run);
    return 0;
}

static const char *path_of(const struct run *run, const char *name) {
    static char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", run->directory, name);
    return path;
}

static void become_hook(struct run *run, const int in[2], const int out[2], const int err[2]) {
    const char *environment[16] = {"LC_ALL=C", run->engine_setting, run->state_setting,
                                   run->directory_setting};
    for (size_t i = 0; i < 4 && run->extra[i]; i++)
        environment[4 + i] = run->extra[i];
    dup2(in[0], 0), dup2(out[1], 1), dup2(err[1], 2);
    alarm(2 * LIMIT_SECONDS); /* outlives the exec, so that a stuck hook ends */
    signal(SIGPIPE, SIG_DFL);
    int program = open(hook_path, O_RDONLY | O_CLOEXEC); /* its place may be root's alone */
    if (dup2(program, 900) != 900 || fcntl(900, F_SETFD, FD_CLOEXEC) != 0)
        _exit(126);
    close(program);
    if (run->prepare && !run->prepare(run->context ? run->context : run))
        _exit(NOT_PERMITTED);
    fexecve(900, (char *const *)run->arguments, (char *const *)environment);
    _exit(127);
}

static void start(struct run *run) {
    int in[2], out[2], err[2];
    snprintf(run->engine_setting, sizeof(run->engine_setting), "VIRT_RULES_ENGINE=%s",
             run->engine ? run->engine : own_path);
    snprintf(run->state_setting, sizeof(run->state_setting), "VIRT_RULES_STATE=%s", run->state);
    snprintf(run->directory_setting, sizeof(run->directory_setting), "HOOK_TEST_DIR=%s",
             run->directory);
    alarm(3 * LIMIT_SECONDS);
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    run->pid = fork();
    assert_true(run->pid >= 0);
    if (run->pid == 0)
        become_hook(run, in, out, err);
    close(in[0]), close(out[1]), close(err[1]);
    run->in = in[1], run->out = out[0], run->err = err[0];
}

/* Until the reader has taken what is in the pipe. */
static void await_empty(struct run *run) {
    int left = 1;
    struct pollfd gone = {.fd = run->in};
    while (ioctl(run->in, FIONREAD, &left) == 0 && left > 0 && poll(&gone, 1, 1) >= 0)
        if (gone.revents & POLLERR)
            return;
}

static void feed(struct run *run) {
    for (size_t done = 0; done < run->size;) {
        ssize_t n = write(run->in, run->input + done, run->drip ? 1 : run->size - done);
        run->broken_pipe = n < 0;
        if (n < 0)
            break;
        done += (size_t)n;
        if (run->drip)
            await_empty(run);
    }
    close(run->in);
}

/* The pipe is at its end within the limit, and nothing came through it. */
static void assert_silent(int fd, const char *name) {
    char text[1024];
    struct pollfd pipe = {.fd = fd, .events = POLLIN};
    if (poll(&pipe, 1, LIMIT_SECONDS * 1000) != 1)
        fail_msg("%s is not at end of file after %d s", name, LIMIT_SECONDS);
    ssize_t n = read(fd, text, sizeof(text));
    if (n != 0)
        fail_msg("the hook printed on %s: %.*s", name, (int)n, text);
    close(fd);
}

static void assert_exit(struct run *run) {
    int status;
    assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
    run->skipped = WIFEXITED(status) && WEXITSTATUS(status) == NOT_PERMITTED;
    if (!run->skipped && status != run->status << 8)
        fail_msg("the hook's wait status is %#x", status);
}

/* Waits for all that the hook left: the process in the middle and the engine. Where the hook was
 * started with SIGCHLD ignored, the kernel reaps the one in the middle if it ends before the hook.
 */
static void assert_one_left(const struct run *run) {
    int status, count = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0; count++)
        if (status != 0 && !(run->killed && status == SIGKILL))
            fail_msg("process %d that the hook left ended with %#x", pid, status);
    assert_int_equal(errno, ECHILD);
    count += run->middle > 0;
    int least = run->ignores_sigchld ? 1 : 2;
    if (run->silent ? count > 1 : count < least || count > 2)
        fail_msg("the hook left %d processes", count);
}

/* The pipe's whole content, to its end. */
static const char *read_to_end(int fd) {
    static char text[8192];
    size_t size = 0;
    struct pollfd pipe = {.fd = fd, .events = POLLIN};
    for (ssize_t n = 1; n > 0 && size<sizeof(text) - 1; size += n> 0 ? (size_t)n : 0) {
        if (poll(&pipe, 1, LIMIT_SECONDS * 1000) != 1)
            fail_msg("stderr is not at end of file after %d s", LIMIT_SECONDS);
        n = read(fd, text + size, sizeof(text) - 1 - size);
    }
    text[size] = '\0';
    close(fd);
    return text;
}

static void await_hook(struct run *run) {
    assert_silent(run->out, "stdout");
    if (run->says)
        assert_string_equal(read_to_end(run->err), run->says);
    else
        assert_silent(run->err, "stderr");
    assert_exit(run);
}

/* All of it as libvirt does: write, read to the end, wait. Then the engine's end. */
static void run_hook(struct run *run) {
    start(run);
    feed(run);
    await_hook(run);
    if (run->skipped) {
        print_message("skipped: not permitted here\n");
        skip();
    }
    assert_false(run->broken_pipe);
    assert_one_left(run);
}

/* ---- The result --------------------------------------------------------------------------- */

struct text {
    char *bytes;
    size_t size;
};

static struct text read_note(const struct run *run, const char *name) {
    struct stat info = {0};
    struct text text = {0};
    FILE *in = fopen(path_of(run, name), "re");
    if (!in || fstat(fileno(in), &info) != 0)
        fail_msg("%s: %s", path_of(run, name), strerror(errno));
    text.size = (size_t)info.st_size;
    text.bytes = calloc(1, text.size + 1);
    assert_int_equal(fread(text.bytes, 1, text.size, in), text.size);
    fclose(in);
    return text;
}

static void assert_note(const struct run *run, const char *name, const char *bytes, size_t size) {
    struct text text = read_note(run, name);
    if (text.size != size || memcmp(text.bytes, bytes, size) != 0)
        fail_msg("%s is %zu bytes, not the %zu expected: %.200s", name, text.size, size,
                 text.bytes);
    free(text.bytes);
}

static bool note_has(const struct run *run, const char *name, const char *part) {
    struct text text = read_note(run, name);
    bool found = memmem(text.bytes, text.size, part, strlen(part)) != NULL;
    free(text.bytes);
    return found;
}

/* The number behind `name` among what the engine noted of its process. */
static int process_number(const struct run *run, const char *name) {
    struct text text = read_note(run, "process");
    const char *place = strstr(text.bytes, name);
    if (!place)
        fail_msg("no %s in: %s", name, text.bytes);
    int number = place ? (int)strtol(place + strlen(name), NULL, 10) : -1;
    free(text.bytes);
    return number;
}

/* The engine's argv: its path, then `rest`, each with its NUL. */
static void assert_arguments(const struct run *run, const char *rest, size_t size) {
    struct text text = read_note(run, "argv");
    size_t own = strlen(own_path) + 1;
    assert_int_equal(text.size, own + size);
    assert_string_equal(text.bytes, own_path);
    assert_memory_equal(text.bytes + own, rest, size);
    free(text.bytes);
}

/* Only 0, 1 and 2, and what each of them is. */
static void assert_descriptors(const struct run *run, const char *input) {
    char expected[PATH_MAX];
    struct text text = read_note(run, "descriptors");
    int n = snprintf(expected, sizeof(expected), "0 %s", input);
    const char *rest = strchr(text.bytes, '\n');
    if (strncmp(text.bytes, expected, (size_t)n) != 0 || !rest ||
        strcmp(rest, "\n1 /dev/null\n2 /dev/null\n") != 0)
        fail_msg("the engine's descriptors: %s", text.bytes);
    free(text.bytes);
}

static const char *field(json_object *line, const char *name) {
    json_object *value;
    if (!json_object_object_get_ex(line, name, &value))
        fail_msg("the log line lacks \"%s\"", name);
    return json_object_get_string(value);
}

static void assert_time(const char *text) {
    const char *shape = "dddd-dd-ddTdd:dd:dd+dd:dd";
    bool good = strlen(text) == strlen(shape);
    for (size_t i = 0; good && shape[i]; i++)
        good = shape[i] == 'd'   ? text[i] >= '0' && text[i] <= '9'
               : shape[i] == '+' ? text[i] == '+' || text[i] == '-'
                                 : text[i] == shape[i];
    if (!good)
        fail_msg("the time is %s", text);
}

/* The log is one line of the known fields; `part` is in its message. */
static void assert_logged(const struct run *run, const char *vm, const char *event,
                          const char *part) {
    struct text text = read_note(run, "state/virt-rules.log");
    struct stat info;
    const char *end = strchr(text.bytes, '\n');
    if (!end || end[1])
        fail_msg("not one line: %s", text.bytes);
    json_object *line = json_tokener_parse_verbose(text.bytes, &(enum json_tokener_error){0});
    assert_non_null(line);
    assert_int_equal(json_object_object_length(line), 9);
    if (run->uuid)
        assert_string_equal(field(line, "uuid"), run->uuid);
    else
        assert_null(field(line, "uuid"));
    assert_time(field(line, "time"));
    assert_string_equal(field(line, "vm"), vm);
    assert_string_equal(field(line, "event"), event);
    assert_null(field(line, "action"));
    assert_null(field(line, "device"));
    assert_null(field(line, "rule"));
    assert_string_equal(field(line, "result"), "failed");
    if (!strstr(field(line, "message"), part))
        fail_msg("\"%s\" is not in: %s", part, field(line, "message"));
    json_object_put(line);
    free(text.bytes);
    assert_int_equal(stat(path_of(run, "state/virt-rules.log"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static char *many_bytes(size_t size) {
    char *bytes = malloc(size);
    uint32_t value = 1;
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++) {
        value = value * 1664525U + 1013904223U;
        bytes[i] = (char)(value >> 24);
    }
    return bytes;
}

/* ---- Prepared surroundings ---------------------------------------------------------------- */

static bool close_stdin(void *context) {
    (void)context;
    return close(0) == 0;
}

static bool close_all_three(void *context) {
    (void)context;
    return close(0) == 0 && close(1) == 0 && close(2) == 0;
}

static bool leave_descriptors_open(void *context) {
    (void)context;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 && dup2(1, 3) == 3 && dup2(2, 20) == 20 &&
           dup2(1, 1001) == 1001;
}

/* The system call fails as on a kernel without it, or whatever `error` says. */
static bool deny(const int *numbers, size_t count, int error) {
    for (size_t i = 0; i < count; i++) {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[i], 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {.len = 4, .filter = code};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
            return false;
    }
    return true;
}

static bool be_linux_4_4(void *context) {
    const int calls[] = {SYS_memfd_create, __NR_close_range};
    return leave_descriptors_open(context) && deny(calls, 2, ENOSYS);
}

static bool own_mounts(void) {
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool own_run_on_4_4(void *context) {
    return own_mounts() && mount("none", "/run", "tmpfs", 0, NULL) == 0 && be_linux_4_4(context);
}

static bool hide_proc(void *context) {
    return own_mounts() && be_linux_4_4(context) && mount("none", "/proc", "tmpfs", 0, NULL) == 0;
}

/* The state directory on a file system without a free byte. */
static bool fill_state(void *context) {
    const struct run *run = context;
    char path[PATH_MAX], page[4096] = {0};
    if (!own_mounts() || mkdir(run->state, 0700) != 0 ||
        mount("none", run->state, "tmpfs", 0, "size=8k") != 0)
        return false;
    snprintf(path, sizeof(path), "%s/full", run->state);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, page, sizeof(page)) > 0)
        ;
    return close(fd) == 0;
}

static bool fill_state_on_4_4(void *context) {
    return fill_state(context) && be_linux_4_4(context);
}

static bool limit_to(int resource, rlim_t value) {
    struct rlimit limit;
    getrlimit(resource, &limit);
    limit.rlim_cur = value;
    return setrlimit(resource, &limit) == 0;
}

static bool allow_no_file_bytes(void *context) {
    (void)context;
    return limit_to(RLIMIT_FSIZE, 0);
}

static bool allow_descriptors(void *context) {
    return limit_to(RLIMIT_NOFILE, *(const rlim_t *)context);
}

static bool deny_fork(void *context) {
    (void)context;
    const int calls[] = {SYS_clone, SYS_clone3,
#ifdef SYS_fork
                         SYS_fork, SYS_vfork
#endif
    };
    return deny(calls, sizeof(calls) / sizeof(*calls), EAGAIN);
}

/* As another user, for whom so many processes are allowed; the state directory is theirs. */
static bool allow_processes(struct run *run, rlim_t count) {
    struct rlimit limit = {count, count};
    return mkdir(run->state, 0700) == 0 && chown(run->state, NOBODY, NOBODY) == 0 &&
           setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
           setrlimit(RLIMIT_NPROC, &limit) == 0;
}

static bool allow_one_process(void *context) {
    return allow_processes(context, 1);
}

/* As a shell starts it. */
static bool lead_group(void *context) {
    (void)context;
    return setpgid(0, 0) == 0;
}

/* Only the process in the middle has the hook's memory: what copies it is the engine's fork. */
static bool deny_a_copy(void *context) {
    (void)context;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool spoil_signals(void *context) {
    (void)context;
    sigset_t all;
    sigfillset(&all);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_IGN);
    umask(0);
    return sigprocmask(SIG_BLOCK, &all, NULL) == 0 && chdir("/tmp") == 0;
}

static bool use_as_stderr(void *context) {
    return dup2(*(const int *)context, STDERR_FILENO) == STDERR_FILENO;
}

static bool make_stdin_nonblocking(void *context) {
    (void)context;
    return fcntl(0, F_SETFL, O_NONBLOCK) == 0;
}

/* A /dev with no more in it than null and the socket of a syslog daemon. */
static bool bind_syslog(void *context) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    return own_mounts() && mount("none", "/dev", "tmpfs", 0, NULL) == 0 &&
           mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) == 0 &&
           bind(*(const int *)context, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* ---- The answer at `prepare` -------------------------------------------------------------- */

static void put_reply(struct run *run, const char *lines, size_t size) {
    FILE *out = fopen(path_of(run, "reply"), "we");
    assert_non_null(out);
    assert_int_equal(fwrite(lines, 1, size, out), size);
    fclose(out);
    run->arguments[2] = "prepare";
}

static void set_reply(struct run *run, const char *lines) {
    put_reply(run, lines, strlen(lines));
}

/* The engine waits there. */
static void open_gate(const struct run *run, const char *name) {
    int gate = open(path_of(run, name), O_WRONLY | O_CLOEXEC);
    assert_true(gate >= 0);
    close(gate);
}

/* The hook and the process in the middle have ended, and the engine has not. */
static void assert_engine_is_at_work(struct run *run) {
    run->middle = waitpid(-1, NULL, 0);
    assert_true(run->middle > 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
    assert_int_equal(access(path_of(run, "process"), F_OK), -1);
}

static void assert_hook_waits(const struct run *run, int milliseconds) {
    struct pollfd pipe = {.fd = run->err, .events = POLLIN};
    assert_int_equal(poll(&pipe, 1, milliseconds), 0);
    assert_int_equal(waitpid(run->pid, NULL, WNOHANG), 0);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Tests -------------------------------------------------------------------------------- */

static void detaches_while_the_engine_works(void **state) {
    struct run *run = *state;
    assert_int_equal(mkfifo(path_of(run, "last-gate"), 0600), 0);
    start(run);
    feed(run);
    await_hook(run);
    assert_engine_is_at_work(run);
    open_gate(run, "last-gate");
    assert_one_left(run);
    int session = process_number(run, "session ");
    assert_int_equal(process_number(run, "parent "), getpid());
    assert_int_not_equal(session, getsid(0));
    assert_int_not_equal(session, process_number(run, "pid ")); /* no leader, never a terminal */
    assert_note(run, "stdin", domain_xml, strlen(domain_xml));
}

static void detaches_as_the_leader_of_a_group(void **state) {
    ((struct run *)*state)->prepare = lead_group;
    detaches_while_the_engine_works(state);
}

static void passes_the_arguments_on(void **state) {
    struct run *run = *state;
    static const char plain[] = "run\0desk\0started\0begin\0-";
    static const char odd[] = "run\0--help\0\0a b\n%s\0migrated";
    run_hook(run);
    assert_arguments(run, plain, sizeof(plain));
    run->arguments[1] = "--help", run->arguments[2] = "", run->arguments[3] = "a b\n%s";
    run->arguments[4] = "migrated", run->arguments[5] = "too many";
    run_hook(run);
    assert_arguments(run, odd, sizeof(odd));
}

static void fills_missing_arguments(void **state) {
    struct run *run = *state;
    static const char none[] = "run\0-\0-\0-\0-", two[] = "run\0desk\0started\0-\0-";
    run->arguments[3] = NULL;
    run_hook(run);
    assert_arguments(run, two, sizeof(two));
    run->arguments[1] = NULL;
    run_hook(run);
    assert_arguments(run, none, sizeof(none));
    run->arguments[0] = NULL;
    run_hook(run);
    assert_arguments(run, none, sizeof(none));
}

static void passes_stdin_on(void **state) {
    struct run *run = *state;
    const size_t sizes[] = {0, 1, 4095, 65536, 65537, (size_t)8 << 20};
    char *bytes = many_bytes((size_t)8 << 20); /* holds every byte, NUL among them */
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        run->input = bytes;
        run->size = sizes[i];
        run_hook(run);
        assert_note(run, "stdin", bytes, sizes[i]);
        assert_descriptors(run, "/memfd:");
    }
    free(bytes);
}

static void cuts_more_than_64_mib(void **state) {
    struct run *run = *state;
    const size_t limit = (size_t)64 << 20, more = 1 << 20; /* more than a pipe holds */
    char *bytes = many_bytes(limit + more);
    run->input = bytes;
    run->size = limit;
    run_hook(run);
    assert_note(run, "stdin", bytes, limit);
    assert_int_equal(access(run->state, F_OK), -1);
    run->size = limit + more;
    run_hook(run);
    assert_note(run, "stdin", bytes, limit);
    assert_logged(run, "desk", "started", "64 MiB");
    free(bytes);
}

static void waits_for_a_slow_writer(void **state) {
    struct run *run = *state;
    run->drip = true;
    run_hook(run);
    assert_note(run, "stdin", domain_xml, strlen(domain_xml));
    run->prepare = make_stdin_nonblocking;
    run_hook(run);
    assert_note(run, "stdin", domain_xml, strlen(domain_xml));
}

static void runs_with_descriptors_closed(void **state) {
    struct run *run = *state;
    bool (*const cases[])(void *) = {close_stdin, close_all_three};
    run->size = 0;
    for (size_t i = 0; i < 2; i++) {
        run->prepare = cases[i];
        run_hook(run);
        assert_note(run, "stdin", "", 0);
        assert_descriptors(run, "/memfd:");
    }
}

static void passes_no_descriptor_on(void **state) {
    struct run *run = *state;
    run->prepare = leave_descriptors_open;
    run_hook(run);
    assert_descriptors(run, "/memfd:");
}

static void runs_on_linux_4_4(void **state) {
    struct run *run = *state;
    struct dirent *entry;
    run->prepare = be_linux_4_4;
    run_hook(run);
    assert_note(run, "stdin", domain_xml, strlen(domain_xml));
    assert_descriptors(run, run->state);
    DIR *list = opendir(run->state);
    assert_non_null(list);
    while ((entry = readdir(list)))
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            fail_msg("%s is left in the state directory", entry->d_name);
    closedir(list);
}

/* In memory, where nobody said where the state is to be. */
static void keeps_the_xml_in_run_on_linux_4_4(void **state) {
    struct run *run = *state;
    run->prepare = own_run_on_4_4;
    run->state[0] = '\0';
    run_hook(run);
    if (run->skipped)
        return;
    assert_note(run, "stdin", domain_xml, strlen(domain_xml));
    assert_descriptors(run, "/run/virt-rules/");
}

static void runs_without_proc(void **state) {
    struct run *run = *state;
    if (SANITIZED) {
        print_message("skipped: the sanitizer needs /proc\n");
        skip();
    }
    run->prepare = hide_proc;
    run_hook(run);
    assert_note(run, "descriptors", "0 ?\n1 ?\n2 ?\n", 12);
}

static void gives_the_engine_clean_surroundings(void **state) {
    struct run *run = *state;
    run->prepare = spoil_signals;
    run->ignores_sigchld = true;
    run_hook(run);
    assert_int_equal(process_number(run, "blocked "), 0);
    assert_int_equal(process_number(run, "ignored "), 0);
    assert_int_equal(process_number(run, "umask "), 077);
    assert_true(note_has(run, "process", "directory /\n"));
}

static void keeps_the_environment_but_preloads(void **state) {
    struct run *run = *state;
    run->extra[0] = "LD_LIBRARY_PATH=/var/packages/Virtualization/lib";
    run->extra[1] = SANITIZED ? NULL : "LD_PRELOAD=/nowhere/preloaded.so";
    run_hook(run);
    assert_true(note_has(run, "environ", "LD_LIBRARY_PATH=/var/packages/Virtualization/lib"));
    assert_true(note_has(run, "environ", "LC_ALL=C"));
    assert_true(note_has(run, "environ", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin"));
    assert_false(note_has(run, "environ", "LD_PRELOAD"));
    run->extra[0] = "PATH=/opt/bin";
    run_hook(run);
    assert_true(note_has(run, "environ", "PATH=/opt/bin"));
    assert_false(note_has(run, "environ", "/usr/local/sbin"));
}

static void logs_an_engine_that_cannot_run(void **state) {
    struct run *run = *state;
    static char engine[PATH_MAX];
    char expected[PATH_MAX * 2];
    const char *const errors[] = {"No such file or directory", "Permission denied",
                                  "Permission denied"};
    snprintf(engine, sizeof(engine), "%s/engine \"x\"", run->directory);
    run->engine = engine;
    for (size_t i = 0; i < 3; i++) {
        if (i == 1)
            assert_int_equal(mkdir(engine, 0755), 0);
        if (i == 2) {
            assert_int_equal(rmdir(engine), 0);
            assert_int_equal(close(open(engine, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)), 0);
        }
        run_hook(run);
        snprintf(expected, sizeof(expected),
                 "engine %s cannot be run: %s; install it or set VIRT_RULES_ENGINE", engine,
                 errors[i]);
        assert_logged(run, "desk", "started", expected);
        assert_int_equal(unlink(path_of(run, "state/virt-rules.log")), 0);
    }
}

#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

static void logs_the_uuid_of_the_vm(void **state) {
    struct run *run = *state;
    static const struct {
        const char *xml, *uuid;
    } cases[] = {
        {"<domain type='kvm' id='1'>\n  <name>desk</name>\n  <uuid>" UUID "</uuid>\n</domain>\n",
         UUID},
        {"<domain><name>&lt;uuid&gt;x</name><uuid>" UUID "</uuid><metadata><uuid>"
         "00000000-0000-4000-8000-000000000002</uuid></metadata></domain>",
         UUID},
        {"<domain><name>desk</name><uuid>" UUID, UUID},
        {"<domain><name>desk</name><uuid>4dea22b3-1d52</uuid></domain>", NULL},
        {"<domain><name>desk</name><uuid>" UUID "0</uuid></domain>", NULL},
        {"<domain><name>desk</name><uuid>\"4dea22b3-1d52-d8f3-2516-782e98ab3f\"</uuid></domain>",
         NULL},
        {"<uuid>", NULL},
        {"", NULL},
    };
    run->engine = "/nowhere/engine";
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        for (int drip = 0; drip < 2; drip++) {
            run->input = cases[i].xml;
            run->size = strlen(cases[i].xml);
            run->uuid = cases[i].uuid;
            run->drip = drip;
            run_hook(run);
            assert_logged(run, "desk", "started", "cannot be run");
            assert_int_equal(unlink(path_of(run, "state/virt-rules.log")), 0);
        }
}

static void leaves_a_torn_line_alone(void **state) {
    struct run *run = *state;
    run->engine = "/nowhere/engine";
    assert_int_equal(mkdir(path_of(run, "state"), 0700), 0);
    FILE *out = fopen(path_of(run, "state/virt-rules.log"), "we");
    assert_non_null(out);
    fputs("{\"torn", out);
    fclose(out);
    run_hook(run);
    struct text text = read_note(run, "state/virt-rules.log");
    assert_non_null(strstr(text.bytes, "{\"torn\n{\"time\":"));
    free(text.bytes);
}

static void logs_any_name(void **state) {
    struct run *run = *state;
    static const struct {
        const char *name, *logged;
    } names[] = {
        {"Home Assistant", "Home Assistant"},
        {"a\"b\\c", "a\"b\\c"},
        {"two\nlines\r\t\x01\x1f\x7f", "two\nlines\r\t\x01\x1f\x7f"},
        {"%s%n%d", "%s%n%d"},
        {"../../etc/passwd", "../../etc/passwd"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xff|\xc3", "\xef\xbf\xbd|\xef\xbf\xbd"},                               /* stray, cut */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                                 /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* surrogate */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* > 10ffff */
        {"", ""},
    };
    run->engine = "/nowhere/engine";
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        run->arguments[1] = names[i].name;
        run->arguments[2] = "st\"op";
        run_hook(run);
        assert_logged(run, names[i].logged, "st\"op", "/nowhere/engine");
        assert_int_equal(unlink(path_of(run, "state/virt-rules.log")), 0);
    }
}

static void appends_to_the_log(void **state) {
    struct run *run = *state;
    run->engine = "/nowhere/engine";
    run_hook(run);
    struct text first = read_note(run, "state/virt-rules.log");
    run_hook(run);
    struct text both = read_note(run, "state/virt-rules.log");
    assert_true(both.size >= 2 * first.size - 2);
    assert_memory_equal(first.bytes, both.bytes, first.size);
    assert_null(strstr(first.bytes, "+05:30"));
    free(first.bytes), free(both.bytes);
}

static void logs_the_local_time(void **state) {
    struct run *run = *state;
    run->engine = "/nowhere/engine";
    run->extra[0] = "TZ=XXX-05:30";
    run_hook(run);
    assert_logged(run, "desk", "started", "/nowhere/engine");
    assert_true(note_has(run, "state/virt-rules.log", "+05:30\""));
}

static void says_it_in_syslog(void **state) {
    struct run *run = *state;
    char text[4096] = "";
    int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    run->engine = "/nowhere/engine";
    run->arguments[1] = "two\nlines";
    run->prepare = bind_syslog;
    run->context = &receiver;
    run_hook(run);
    ssize_t n = recv(receiver, text, sizeof(text) - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    assert_memory_equal(text, "<27>", 4); /* daemon.err */
    assert_non_null(strstr(text, "virt-rules-hook["));
    assert_non_null(strstr(text, "vm \"two\\u000alines\", event \"started\": "));
    assert_non_null(strstr(text, "/nowhere/engine cannot be run"));
    assert_int_equal(recv(receiver, text, sizeof(text) - 1, MSG_DONTWAIT), -1);
    close(receiver);
}

static bool bind_syslog_on_4_4(void *context) {
    return bind_syslog(context) && be_linux_4_4(context);
}

/* No place for the XML and none for the log: syslog has it, and the engine runs. */
static void says_that_the_xml_is_lost(void **state) {
    struct run *run = *state;
    char text[4096] = "";
    int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(close(open(run->state, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    run->prepare = bind_syslog_on_4_4;
    run->context = &receiver;
    run_hook(run);
    assert_note(run, "stdin", "", 0);
    assert_true(recv(receiver, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
    assert_non_null(strstr(text, "XML cannot be kept, so the engine runs without it: Not a dir"));
    close(receiver);
}

static void runs_with_a_full_disk(void **state) {
    struct run *run = *state;
    run->prepare = fill_state;
    run_hook(run);
    assert_note(run, "stdin", domain_xml, strlen(domain_xml));
    remove_tree(run->state);
    run->engine = "/nowhere/engine";
    run_hook(run);
    remove_tree(run->state);
    run->engine = NULL;
    run->prepare = fill_state_on_4_4;
    run_hook(run);
    assert_note(run, "stdin", "", 0);
    assert_descriptors(run, "/dev/null");
}

static void runs_with_a_state_directory_that_is_none(void **state) {
    struct run *run = *state;
    assert_int_equal(close(open(run->state, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    run->prepare = be_linux_4_4;
    run_hook(run);
    assert_note(run, "stdin", "", 0);
    assert_descriptors(run, "/dev/null");
}

static void survives_a_file_size_limit(void **state) {
    struct run *run = *state;
    char *bytes = many_bytes(1 << 20);
    run->input = bytes;
    run->size = 1 << 20;
    run->prepare = allow_no_file_bytes;
    run_hook(run);
    assert_note(run, "stdin", "", 0);
    free(bytes);
}

static void runs_with_few_descriptors(void **state) {
    struct run *run = *state;
    char *bytes = many_bytes(1 << 20);
    run->input = bytes;
    run->size = 1 << 20;
    run->prepare = allow_descriptors;
    for (rlim_t count = 4; count <= 8; count++) {
        run->context = &count;
        run_hook(run);
        assert_note(run, "stdin", bytes, 1 << 20);
    }
    free(bytes);
}

/* None but 0, 1 and 2: the dynamic engine of this test cannot even load, the hook still ends. */
static void ends_without_any_descriptor(void **state) {
    struct run *run = *state;
    rlim_t count = 3;
    if (SANITIZED) {
        print_message("skipped: a dynamic hook cannot load\n");
        skip();
    }
    char *bytes = many_bytes(1 << 20);
    run->input = bytes;
    run->size = 1 << 20;
    run->engine = "/nowhere/engine";
    run->prepare = allow_descriptors;
    run->context = &count;
    run_hook(run);
    free(bytes);
}

static void survives_a_fork_that_fails(void **state) {
    struct run *run = *state;
    char *bytes = many_bytes(1 << 20);
    bool (*const cases[])(void *) = {deny_fork, allow_one_process, deny_a_copy};
    run->input = bytes;
    run->size = 1 << 20;
    run->silent = true;
    for (size_t i = 0; i < 3; i++) {
        run->prepare = cases[i];
        run_hook(run);
        assert_logged(run, "desk", "started", "fork: Resource temporarily unavailable");
        remove_tree(run->state);
    }
    free(bytes);
}

#define REASON "VM 'desk': 0000:03:00.0 is used by the host (\xc3\xa4)"

static void gives_the_engine_a_pipe_at_prepare_alone(void **state) {
    struct run *run = *state;
    const char *const others[] = {"start",   "started", "stopped",  "release", "reconnect",
                                  "migrate", "restore", "prepared", "",        "-"};
    set_reply(run, "");
    run_hook(run);
    struct text text = read_note(run, "descriptors");
    if (strncmp(text.bytes, "0 /memfd:", 9) != 0 ||
        !strstr(text.bytes, "\n1 /dev/null\n2 /dev/null\n") || !strstr(text.bytes, " pipe:[") ||
        strchr(strstr(text.bytes, " pipe:["), '\n')[1])
        fail_msg("the engine's descriptors: %s", text.bytes);
    free(text.bytes);
    assert_true(note_has(run, "environ", "VIRT_RULES_REPLY="));
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        run->arguments[2] = others[i];
        run->extra[0] = "VIRT_RULES_REPLY=0"; /* somebody else's */
        run_hook(run);
        assert_descriptors(run, "/memfd:");
    }
    run->arguments[2] = NULL;
    run_hook(run);
    assert_descriptors(run, "/memfd:");
}

static void stops_the_start_when_the_engine_says_so(void **state) {
    struct run *run = *state;
    bool (*const cases[])(void *) = {NULL, spoil_signals, be_linux_4_4, make_stdin_nonblocking,
                                     close_stdin};
    set_reply(run, "wait 60000\nwait 005000\nstop " REASON "\nwait 1\nstop no\n");
    run->status = 1;
    run->says = REASON "\n";
    run->size = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        run->prepare = cases[i];
        run->ignores_sigchld = cases[i] == spoil_signals;
        run_hook(run);
    }
}

/* And no process keeps libvirt's pipes. */
static void waits_for_the_answer(void **state) {
    struct run *run = *state;
    static const struct {
        const char *lines, *says;
    } cases[] = {{"@gate\nstop " REASON "\n", REASON "\n"}, {"@gate\n@close\n", NULL}};
    assert_int_equal(mkfifo(path_of(run, "gate"), 0600), 0);
    assert_int_equal(mkfifo(path_of(run, "last-gate"), 0600), 0);
    for (size_t i = 0; i < 2; i++) {
        set_reply(run, cases[i].lines);
        run->says = cases[i].says;
        run->status = cases[i].says ? 1 : 0;
        start(run);
        feed(run);
        assert_hook_waits(run, 50);
        open_gate(run, "gate");
        await_hook(run);
        assert_engine_is_at_work(run);
        open_gate(run, "last-gate");
        assert_one_left(run);
        assert_int_equal(unlink(path_of(run, "process")), 0);
    }
}

/* VIRT_RULES_WAIT_MS stands for the 10 seconds until the first line; with it all limits change.
 * Starts a hook that has this long, in which the engine writes its lines; on a busy machine that
 * may be too short. */
static void start_with(struct run *run, int first) {
    static char setting[64];
    snprintf(setting, sizeof(setting), "VIRT_RULES_WAIT_MS=%d", first);
    run->extra[0] = setting;
    start(run);
    feed(run);
}

enum { FIRST_MS = 100, FIRST_LIMIT_MS = 9999 };

static void ends_when_the_time_is_over(void **state) {
    struct run *run = *state;
    static const struct {
        const char *lines;
        int percent; /* of the first limit, which the hook waits at least */
    } cases[] = {
        {"@gate\n", 100},
        {"wait 60000\nwait 60000\nwait 999999\n@gate\n", 650},
        {"wait 1\n@gate\n", 0},
        {"wait 0\n@gate\nstop late\n", 0},
    };
    assert_int_equal(mkfifo(path_of(run, "gate"), 0600), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        bool enough = false;
        set_reply(run, cases[i].lines);
        for (int first = FIRST_MS; !enough && first < FIRST_LIMIT_MS; first *= 3) {
            int64_t began = now_ms();
            start_with(run, first);
            await_hook(run);
            enough = now_ms() - began >= first * cases[i].percent / 100;
            assert_engine_is_at_work(run);
            open_gate(run, "gate");
            assert_one_left(run);
            assert_int_equal(unlink(path_of(run, "process")), 0);
        }
        assert_true(enough);
    }
}

/* It has more time than at first, and the start is stopped after that. */
static void gets_more_time(void **state) {
    struct run *run = *state;
    bool enough = false;
    assert_int_equal(mkfifo(path_of(run, "gate"), 0600), 0);
    for (int first = FIRST_MS; !enough && first < FIRST_LIMIT_MS; first *= 3) {
        set_reply(run, "wait 60000\n@gate\nstop " REASON "\n");
        start_with(run, first);
        struct pollfd pipe = {.fd = run->err, .events = POLLIN};
        bool waits = poll(&pipe, 1, first * 2) == 0;
        open_gate(run, "gate");
        assert_silent(run->out, "stdout");
        const char *said = read_to_end(run->err);
        if (*said)
            assert_string_equal(said, REASON "\n");
        run->status = *said ? 1 : 0;
        assert_exit(run);
        assert_one_left(run);
        enough = waits && *said;
    }
    assert_true(enough);
}

static void lets_the_vm_start_after_anything_else(void **state) {
    struct run *run = *state;
    static const char nuls[] = "stop\0 x\n", after_nul[] = "\0\nstop x\n";
    static const char *const replies[] = {
        "",
        "\n",
        "stop\n",
        "stop",
        "stop x",
        " stop x\n",
        "STOP x\n",
        "stopp x\n",
        "\nstop x\n",
        "start\nstop x\n",
        "wait\nstop x\n",
        "wait \nstop x\n",
        "wait x\nstop x\n",
        "wait -1\nstop x\n",
        "wait 1x\nstop x\n",
        "wait  1\nstop x\n",
        "wait +1\nstop x\n",
        "wait 1000000\nstop x\n",
        "wait 99999999999999999999999999\nstop x\n",
        "\xff\xfe\x01\n",
        "@torn\nstop x\n",
        "@kill\n",
        "wait 60000\n@kill\n",
        "stop x@torn",
        "@close\n",
    };
    for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++) {
        set_reply(run, replies[i]);
        run->killed = strstr(replies[i], "@kill");
        run_hook(run);
    }
    put_reply(run, nuls, sizeof(nuls) - 1);
    run_hook(run);
    put_reply(run, after_nul, sizeof(after_nul) - 1);
    run_hook(run);
    char *bytes = many_bytes(1 << 20);
    put_reply(run, bytes, 1 << 20);
    run_hook(run);
    memset(bytes, 'x', 8192);
    for (size_t i = 0; i < 5; i++)
        bytes[i] = "stop "[i];
    bytes[8191] = '\n';
    put_reply(run, bytes, 8192);
    run_hook(run);
    free(bytes);
}

static void takes_many_lines(void **state) {
    struct run *run = *state;
    char *lines = NULL;
    size_t size;
    FILE *out = open_memstream(&lines, &size);
    assert_non_null(out);
    for (size_t i = 0; i < 5000; i++)
        fputs("wait 60000\n", out);
    fputs("stop " REASON "\n", out);
    assert_int_equal(fclose(out), 0);
    set_reply(run, lines);
    run->status = 1;
    run->says = REASON "\n";
    run_hook(run);
    free(lines);
}

static void lets_the_vm_start_without_an_engine(void **state) {
    struct run *run = *state;
    run->arguments[2] = "prepare";
    run->engine = "/nowhere/engine";
    run_hook(run);
    assert_logged(run, "desk", "prepare", "/nowhere/engine cannot be run: No such file");
    remove_tree(run->state);
    run->engine = run->directory;
    run_hook(run);
    assert_logged(run, "desk", "prepare", "cannot be run: Permission denied");
    remove_tree(run->state);
    run->engine = NULL;
    bool (*const cases[])(void *) = {deny_fork, allow_one_process, deny_a_copy};
    set_reply(run, "stop x\n");
    run->silent = true;
    for (size_t i = 0; i < 3; i++) {
        run->prepare = cases[i];
        run_hook(run);
        assert_logged(run, "desk", "prepare", "fork: Resource temporarily unavailable");
        remove_tree(run->state);
    }
}

/* Without a pipe it does not wait; without stderr the reason is in the log alone. */
static void needs_descriptors_to_wait(void **state) {
    struct run *run = *state;
    set_reply(run, "stop " REASON "\n");
    run->prepare = close_all_three;
    run->size = 0;
    run->status = 1;
    run_hook(run);
    run->prepare = allow_descriptors;
    for (rlim_t count = 4; count <= 9; count++) {
        run->context = &count;
        run->status = count > 6 ? 1 : 0; /* stderr, the XML, the two ends of the pipe */
        run->says = run->status ? REASON "\n" : NULL;
        run_hook(run);
    }
}

static void stops_the_start_when_nobody_reads_why(void **state) {
    struct run *run = *state;
    char page[4096] = {0};
    set_reply(run, "stop " REASON "\n");
    run->status = 1;
    start(run); /* the reader is gone */
    close(run->err);
    feed(run);
    assert_silent(run->out, "stdout");
    assert_exit(run);
    assert_one_left(run);
    int full[2];
    assert_int_equal(pipe2(full, O_CLOEXEC), 0);
    fcntl(full[1], F_SETFL, O_NONBLOCK);
    while (write(full[1], page, sizeof(page)) > 0)
        ;
    fcntl(full[1], F_SETFL, 0);
    run->prepare = use_as_stderr;
    run->context = &full[1];
    start(run);
    feed(run);
    assert_silent(run->out, "stdout");
    assert_silent(run->err, "stderr");
    assert_exit(run);
    assert_one_left(run);
    close(full[0]), close(full[1]);
}

#define HOOK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv) {
    if (argc > 0 && getenv("HOOK_TEST_DIR"))
        return be_the_engine(argv);
    const struct CMUnitTest tests[] = {
        HOOK_TEST(detaches_while_the_engine_works),
        HOOK_TEST(detaches_as_the_leader_of_a_group),
        HOOK_TEST(passes_the_arguments_on),
        HOOK_TEST(fills_missing_arguments),
        HOOK_TEST(passes_stdin_on),
        HOOK_TEST(cuts_more_than_64_mib),
        HOOK_TEST(waits_for_a_slow_writer),
        HOOK_TEST(runs_with_descriptors_closed),
        HOOK_TEST(passes_no_descriptor_on),
        HOOK_TEST(runs_on_linux_4_4),
        HOOK_TEST(keeps_the_xml_in_run_on_linux_4_4),
        HOOK_TEST(runs_without_proc),
        HOOK_TEST(gives_the_engine_clean_surroundings),
        HOOK_TEST(keeps_the_environment_but_preloads),
        HOOK_TEST(logs_an_engine_that_cannot_run),
        HOOK_TEST(logs_the_uuid_of_the_vm),
        HOOK_TEST(leaves_a_torn_line_alone),
        HOOK_TEST(logs_any_name),
        HOOK_TEST(appends_to_the_log),
        HOOK_TEST(logs_the_local_time),
        HOOK_TEST(says_it_in_syslog),
        HOOK_TEST(says_that_the_xml_is_lost),
        HOOK_TEST(runs_with_a_full_disk),
        HOOK_TEST(runs_with_a_state_directory_that_is_none),
        HOOK_TEST(survives_a_file_size_limit),
        HOOK_TEST(runs_with_few_descriptors),
        HOOK_TEST(ends_without_any_descriptor),
        HOOK_TEST(survives_a_fork_that_fails),
        HOOK_TEST(gives_the_engine_a_pipe_at_prepare_alone),
        HOOK_TEST(stops_the_start_when_the_engine_says_so),
        HOOK_TEST(waits_for_the_answer),
        HOOK_TEST(ends_when_the_time_is_over),
        HOOK_TEST(gets_more_time),
        HOOK_TEST(lets_the_vm_start_after_anything_else),
        HOOK_TEST(takes_many_lines),
        HOOK_TEST(lets_the_vm_start_without_an_engine),
        HOOK_TEST(needs_descriptors_to_wait),
        HOOK_TEST(stops_the_start_when_nobody_reads_why),
    };
    const char *build = getenv("BUILD");
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/virt-rules-hook", build ? build : "build");
    if (!realpath(path, hook_path) || !realpath("/proc/self/exe", own_path)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return cmocka_run_group_tests_name("hook", tests, NULL, NULL);
}
