/*
 * old_kernel KERNEL COMMAND [ARGUMENT ...]: run a command as an older Linux would run it.
 * old_kernel --holds KERNEL: whether this process already runs so: it tries each of those calls.
 *
 * A seccomp filter makes each system call that is newer than KERNEL fail with ENOSYS, as the kernel
 * itself does, and some commands of older calls with the kernel's own error. It stays for the
 * command and all that it starts. It needs no privilege: as root it is installed as it is, so that
 * setuid programs still work, and as another user with no_new_privs. uname and /proc still show the
 * kernel that really runs. `make test KERNEL=4.4` runs the tests under it.
 *
 * The versions are from the kernel's own tables: arch/x86/entry/syscalls/syscall_64.tbl, and
 * include/uapi/asm-generic/unistd.h for arm64 and riscv64, whose numbers are the same from 424 on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define NUMBERS(x86_64, generic) x86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define NUMBERS(x86_64, generic) generic
#elif defined __riscv && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#define NUMBERS(x86_64, generic) generic
#else
#define ARCHITECTURE 0 /* the numbers of its calls are not known here */
#define NUMBERS(x86_64, generic) generic
#endif

#define LINUX(major, minor) ((major)*1000 + (minor))
#define RANGE(...) __VA_ARGS__

enum { NO_CALL = -1, NEWEST = 0x7fffffff };

/* Kernels of hosts that virt-rules is made for, and 3.10, on which it only has to say that it needs
 * a newer one. */
static const struct {
    const char *name;
    int version;
} kernels[] = {
    {"3.10", LINUX(3, 10)}, {"4.4", LINUX(4, 4)},   {"4.14", LINUX(4, 14)}, {"4.19", LINUX(4, 19)},
    {"5.4", LINUX(5, 4)},   {"5.10", LINUX(5, 10)}, {"5.15", LINUX(5, 15)}, {"6.1", LINUX(6, 1)},
};

/* The calls that are newer than 3.10: from the first number to the last. Not uretprobe and uprobe
 * (335 and 336 of x86_64): no filter sees them, and the kernel alone makes a program call them. */
static const struct call {
    const char *name;
    int since, first, last;
} calls[] = {
    {"sched_setattr, sched_getattr", LINUX(3, 14), NUMBERS(RANGE(314, 315), RANGE(274, 275))},
    {"renameat2", LINUX(3, 15), NUMBERS(RANGE(316, 316), RANGE(276, 276))},
    {"seccomp, getrandom, memfd_create", LINUX(3, 17), NUMBERS(RANGE(317, 319), RANGE(277, 279))},
    {"kexec_file_load", LINUX(3, 17), NUMBERS(RANGE(320, 320), RANGE(NO_CALL, NO_CALL))},
    {"bpf", LINUX(3, 18), NUMBERS(RANGE(321, 321), RANGE(280, 280))},
    {"execveat", LINUX(3, 19), NUMBERS(RANGE(322, 322), RANGE(281, 281))},
    {"userfaultfd, membarrier", LINUX(4, 3), NUMBERS(RANGE(323, 324), RANGE(282, 283))},
    {"mlock2", LINUX(4, 4), NUMBERS(RANGE(325, 325), RANGE(284, 284))},
    {"copy_file_range", LINUX(4, 5), NUMBERS(RANGE(326, 326), RANGE(285, 285))},
    {"preadv2, pwritev2", LINUX(4, 6), NUMBERS(RANGE(327, 328), RANGE(286, 287))},
    {"pkey_mprotect, pkey_alloc, pkey_free", LINUX(4, 9),
     NUMBERS(RANGE(329, 331), RANGE(288, 290))},
    {"statx", LINUX(4, 11), NUMBERS(RANGE(332, 332), RANGE(291, 291))},
    {"io_pgetevents, rseq", LINUX(4, 18), NUMBERS(RANGE(333, 334), RANGE(292, 293))},
    {"kexec_file_load", LINUX(5, 0), NUMBERS(RANGE(NO_CALL, NO_CALL), RANGE(294, 294))},
    {"numbers without a call", LINUX(6, 11), NUMBERS(RANGE(337, 423), RANGE(295, 423))},
    {"pidfd_send_signal, io_uring_*", LINUX(5, 1), 424, 427},
    {"open_tree to fspick", LINUX(5, 2), 428, 433},
    {"pidfd_open, clone3", LINUX(5, 3), 434, 435},
    {"close_range", LINUX(5, 9), 436, 436},
    {"openat2, pidfd_getfd", LINUX(5, 6), 437, 438},
    {"faccessat2", LINUX(5, 8), 439, 439},
    {"process_madvise", LINUX(5, 10), 440, 440},
    {"epoll_pwait2", LINUX(5, 11), 441, 441},
    {"mount_setattr", LINUX(5, 12), 442, 442},
    {"landlock_*", LINUX(5, 13), 444, 446},
    {"quotactl_fd", LINUX(5, 14), 443, 443},
    {"memfd_secret", LINUX(5, 14), 447, 447},
    {"process_mrelease", LINUX(5, 15), 448, 448},
    {"futex_waitv", LINUX(5, 16), 449, 449},
    {"set_mempolicy_home_node", LINUX(5, 17), 450, 450},
    {"cachestat and all that follow", LINUX(6, 5), 451, NEWEST},
};

/* Commands of older calls: `argument` masked with `mask` is `value`. */
static const struct command {
    const char *name;
    int since, call, argument;
    unsigned mask, value;
    int error;
} commands[] = {
    /* An older kernel does not know the flag, and a directory cannot be opened for writing. */
    {"O_TMPFILE", LINUX(3, 11), SYS_openat, 2, 020000000, 020000000, EISDIR},
    {"F_OFD_GETLK", LINUX(3, 15), SYS_fcntl, 1, ~0U, F_OFD_GETLK, EINVAL},
    {"F_OFD_SETLK", LINUX(3, 15), SYS_fcntl, 1, ~0U, F_OFD_SETLK, EINVAL},
    {"F_OFD_SETLKW", LINUX(3, 15), SYS_fcntl, 1, ~0U, F_OFD_SETLKW, EINVAL},
    {"P_PIDFD", LINUX(5, 4), SYS_waitid, 0, ~0U, 3, EINVAL},
    /* MFD_NOEXEC_SEAL and MFD_EXEC */
    {"memfd_create with a word on execution", LINUX(6, 3), SYS_memfd_create, 1, 0x8, 0x8, EINVAL},
    {"memfd_create with a word on execution", LINUX(6, 3), SYS_memfd_create, 1, 0x10, 0x10, EINVAL},
};

enum { CALLS = sizeof calls / sizeof *calls, COMMANDS = sizeof commands / sizeof *commands };

static int old_kernel_version(const char *name) {
    if (!ARCHITECTURE) {
        fputs("old_kernel: the system calls of this architecture are not known\n", stderr);
        exit(3);
    }
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(kernels[i].name, name) == 0)
            return kernels[i].version;
    fprintf(stderr, "old_kernel: Linux '%s' is not one of those that it knows:", name);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        fprintf(stderr, " %s", kernels[i].name);
    putc('\n', stderr);
    exit(2);
}

/* --- the filter */

/* The low half of an argument: flags and commands are not longer. */
static unsigned old_kernel_argument_offset(int argument) {
    unsigned low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;
    return (unsigned)offsetof(struct seccomp_data, args) + 8 * (unsigned)argument + low;
}

static void old_kernel_add(struct sock_fprog *program, struct sock_filter instruction) {
    program->filter[program->len++] = instruction;
}

static void old_kernel_load(struct sock_fprog *program, unsigned offset) {
    old_kernel_add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void old_kernel_fail(struct sock_fprog *program, int error) {
    old_kernel_add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                         SECCOMP_RET_ERRNO | (unsigned)error));
}

/* The call's number is loaded, before and after. */
static void old_kernel_refuse_call(struct sock_fprog *program, const struct call *call) {
    old_kernel_add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K,
                                                         (unsigned)call->first, 0, 2));
    old_kernel_add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K,
                                                         (unsigned)call->last, 1, 0));
    old_kernel_fail(program, ENOSYS);
}

static void old_kernel_refuse_command(struct sock_fprog *program, const struct command *command) {
    old_kernel_add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                         (unsigned)command->call, 0, 5));
    old_kernel_load(program, old_kernel_argument_offset(command->argument));
    old_kernel_add(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, command->mask));
    old_kernel_add(program,
                   (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, command->value, 0, 1));
    old_kernel_fail(program, command->error);
    old_kernel_load(program, offsetof(struct seccomp_data, nr));
}

/* Programs of another architecture have other numbers: none of theirs passes unseen. */
static void old_kernel_refuse_others(struct sock_fprog *program) {
    old_kernel_load(program, offsetof(struct seccomp_data, arch));
    old_kernel_add(program,
                   (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    old_kernel_fail(program, ENOSYS);
}

static void old_kernel_install(int version) {
    enum { EACH_CALL = 3, EACH_COMMAND = 6, AROUND = 5 };
    struct sock_filter filter[EACH_CALL * CALLS + EACH_COMMAND * COMMANDS + AROUND];
    struct sock_fprog program = {.filter = filter};
    old_kernel_refuse_others(&program);
    old_kernel_load(&program, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].since > version && calls[i].first != NO_CALL)
            old_kernel_refuse_call(&program, &calls[i]);
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].since > version)
            old_kernel_refuse_command(&program, &commands[i]);
    old_kernel_add(&program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return;
    if (errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return;
    perror("old_kernel: the filter cannot be installed");
    exit(2);
}

/* --- whether it is there */

/* In a child, because a call may end the process where no filter is. No argument is valid. */
static int old_kernel_error_of(int number, const struct command *command) {
    long argument[6] = {-1, -1, -1, -1, -1, -1};
    if (command)
        argument[command->argument] = (long)command->value;
    pid_t child = fork();
    if (child == 0) {
        long result = syscall(number, argument[0], argument[1], argument[2], argument[3],
                              argument[4], argument[5]);
        _exit(result < 0 ? errno : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static bool old_kernel_check(const char *name, int number, int error, int expected) {
    if (error == expected)
        return true;
    printf("%s (call %d) fails with \"%s\", not with \"%s\"\n", name, number,
           error ? strerror(error) : "no error", strerror(expected));
    return false;
}

static bool old_kernel_holds(int version) {
    enum { BEYOND = 500 }; /* higher numbers are like that one */
    size_t tried = 0, bad = 0;
    for (size_t i = 0; i < CALLS; i++)
        for (int number = calls[i].first;
             calls[i].since > version && number >= 0 && number <= calls[i].last && number <= BEYOND;
             number++, tried++)
            bad +=
                !old_kernel_check(calls[i].name, number, old_kernel_error_of(number, NULL), ENOSYS);
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].since > version) {
            bool is_call = old_kernel_error_of(commands[i].call, NULL) != ENOSYS;
            bad += !old_kernel_check(commands[i].name, commands[i].call,
                                     old_kernel_error_of(commands[i].call, &commands[i]),
                                     is_call ? commands[i].error : ENOSYS);
            tried++;
        }
    bad += old_kernel_error_of(SYS_openat, NULL) == ENOSYS; /* it is in every kernel */
    printf("%zu passed, %zu failed\n", tried - bad, bad);
    return !bad;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--holds") == 0)
        return !old_kernel_holds(old_kernel_version(argv[2]));
    if (argc < 3) {
        fputs("usage: old_kernel KERNEL COMMAND [ARGUMENT ...]\n"
              "       old_kernel --holds KERNEL\n",
              stderr);
        return 2;
    }
    old_kernel_install(old_kernel_version(argv[1]));
    execvp(argv[2], argv + 2);
    fprintf(stderr, "old_kernel: %s: %s\n", argv[2], strerror(errno));
    return 127;
}
