/*
 * Runs programs and tells how long each took: what a script would add of its own is more than some
 * of them take. Their output is thrown away; each must end with 0, or by SIGUSR1, which says that
 * it reached what is measured (libvirt.c).
 *
 *     spawn turn RUNS PAUSE INPUT -- PROGRAM ... -- PROGRAM ...
 *     spawn burst COUNT PAUSE INPUT -- PROGRAM ...
 *
 * `turn` runs the programs one after the other, RUNS times round, and prints a line each round: for
 * each program the wall time from its start to its end, and the processor time of all that it
 * started, both in microseconds, and its peak memory in KiB. What a program leaves running behind
 * it is waited for before the next one starts, outside of its wall time; then PAUSE milliseconds
 * pass, in which the machine comes to rest. `burst` runs one program COUNT times at once,
 * from as many threads, as libvirtd does, and prints for each the microseconds from the common
 * start to its end. INPUT is a file of at most 64 KiB, which each gets on a pipe that holds it
 * already, or "-".
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_LIMIT = 65536, PROGRAMS = 8, LIMIT_SECONDS = 60 };

struct input {
    char *bytes;
    size_t size;
};

struct cost {
    int64_t wall_us, cpu_us;
    long memory_kib;
};

__attribute__((noreturn)) static void fail(const char *what, const char *why) {
    fprintf(stderr, "spawn: %s: %s\n", what, why);
    exit(1);
}

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t us(struct timeval time) {
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static long number(const char *text) {
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || value < 0 || value > INT_MAX || *end)
        fail(text, "not a number");
    return value;
}

static struct input read_input(const char *path) {
    struct input input = {.bytes = malloc(INPUT_LIMIT)};
    if (!strcmp(path, "-"))
        return input;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, input.bytes, INPUT_LIMIT);
    if (size < 0 || size == INPUT_LIMIT)
        fail(path, size < 0 ? strerror(errno) : "too large for a pipe");
    close(fd);
    input.size = (size_t)size;
    return input;
}

/* A pipe that holds the input and has no writer any more. */
static int open_input(const struct input *input) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail("pipe", strerror(errno));
    if (input->size && write(ends[1], input->bytes, input->size) != (ssize_t)input->size)
        fail("pipe", "it does not take the input");
    close(ends[1]);
    return ends[0];
}

static pid_t start(char *const *program, int input) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;
    posix_spawnattr_init(&attributes); /* in its own process group */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&pid, *program, &actions, &attributes, program, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error)
        fail(*program, strerror(error));
    return pid;
}

static void judge(char *const *program, int status) {
    if (WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGUSR1)
        return;
    fprintf(stderr, "spawn: ended with status 0x%x:", (unsigned)status);
    for (; *program; program++)
        fprintf(stderr, " %s", *program);
    fputc('\n', stderr);
    exit(1);
}

static void reap_rest(void) {
    while (wait(NULL) >= 0 || errno == EINTR)
        ;
}

/* Of all processes that have ended and were waited for. */
static int64_t cpu_us(void) {
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return us(usage.ru_utime) + us(usage.ru_stime);
}

static struct cost run(char *const *program, const struct input *input) {
    struct rusage usage;
    int64_t cpu_before = cpu_us();
    int status, fd = open_input(input);
    alarm(LIMIT_SECONDS); /* a program that hangs ends this one */
    int64_t begin = now_us();
    pid_t pid = start(program, fd);
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    int64_t end = now_us();
    close(fd);
    judge(program, status);
    reap_rest();
    return (struct cost){end - begin, cpu_us() - cpu_before, usage.ru_maxrss};
}

static int take_turns(char **words, long runs, long pause_ms, const struct input *input) {
    const struct timespec pause = {pause_ms / 1000, pause_ms % 1000 * 1000000};
    char **programs[PROGRAMS];
    size_t count = 0;
    for (char **word = words; *word; word++)
        if (!strcmp(*word, "--")) {
            if (count == PROGRAMS)
                fail(*word, "too many programs");
            *word = NULL;
            programs[count++] = word + 1;
        }
    for (long i = 0; i < runs; i++) {
        for (size_t j = 0; j < count; j++) {
            nanosleep(&pause, NULL);
            struct cost cost = run(programs[j], input);
            printf("%lld %lld %ld%c", (long long)cost.wall_us, (long long)cost.cpu_us,
                   cost.memory_kib, j + 1 < count ? ' ' : '\n');
        }
        fflush(stdout);
    }
    return 0;
}

struct burst {
    char *const *program;
    const struct input *input;
    pthread_barrier_t ready;
    int64_t begin; /* set by whoever leaves the barrier first */
    pthread_mutex_t lock;
};

struct shot {
    struct burst *burst;
    pthread_t thread;
    int64_t took;
};

static int64_t begin_of(struct burst *burst) {
    pthread_mutex_lock(&burst->lock);
    if (!burst->begin)
        burst->begin = now_us();
    int64_t begin = burst->begin;
    pthread_mutex_unlock(&burst->lock);
    return begin;
}

static void *shoot(void *context) {
    struct shot *shot = context;
    int status, fd = open_input(shot->burst->input);
    pthread_barrier_wait(&shot->burst->ready);
    int64_t begin = begin_of(shot->burst);
    pid_t pid = start(shot->burst->program, fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    shot->took = now_us() - begin;
    close(fd);
    judge(shot->burst->program, status);
    return NULL;
}

static int run_burst(char **program, long count, const struct input *input) {
    struct burst burst = {.program = program, .input = input, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct shot *shots = calloc((size_t)count, sizeof *shots);
    pthread_barrier_init(&burst.ready, NULL, (unsigned)count);
    for (long i = 0; i < count; i++) {
        shots[i].burst = &burst;
        if (pthread_create(&shots[i].thread, NULL, shoot, &shots[i]) != 0)
            fail("thread", "there are not enough of them");
    }
    for (long i = 0; i < count; i++) {
        pthread_join(shots[i].thread, NULL);
        printf("%lld\n", (long long)shots[i].took);
    }
    reap_rest();
    free(shots);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 7 || strcmp(argv[5], "--") != 0)
        fail("usage", "turn|burst COUNT PAUSE INPUT -- PROGRAM ... [-- PROGRAM ...]");
    struct input input = read_input(argv[4]);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int status = strcmp(argv[1], "burst")
                     ? take_turns(argv + 5, number(argv[2]), number(argv[3]), &input)
                     : run_burst(argv + 6, number(argv[2]), &input);
    free(input.bytes);
    return status;
}
