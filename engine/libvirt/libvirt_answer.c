#include "engine/libvirt/libvirt_answer.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 65536 };

#define HINT_HANGS                                                                                 \
    "is a hook stuck ('ps -ef')? Else restart the daemon ('systemctl restart libvirtd'): VMs go "  \
    "on"

/* --- the process that asks */

static void tell(FILE *out, struct json_object *object) {
    fprintf(out, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    fflush(out);
    json_object_put(object);
}

static void tell_error(FILE *out, const struct virt_error *error) {
    struct json_object *object = json_object_new_object();
    text_put_json(object, "error", error->message);
    text_put_json(object, "hint", error->hint);
    tell(out, object);
}

static void tell_version(FILE *out, const char *key, const char *text, unsigned long version) {
    struct json_object *object = json_object_new_object();
    text_put_json(object, key, text);
    json_object_object_add(object, "version", json_object_new_int64((int64_t)version));
    tell(out, object);
}

static void tell_vms(FILE *out, const struct virt_vm *vms, size_t count) {
    struct json_object *object = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < count; i++)
        json_object_array_add(list, text_json(vms[i].xml));
    json_object_object_add(object, "vms", list);
    tell(out, object);
}

static int ask_daemon(FILE *out, struct virt *virt, struct virt_error *error) {
    struct virt_about about;
    struct virt_vm *vms = NULL;
    size_t count = 0;
    if (virt->ops->about(virt, &about, error) < 0)
        return -1;
    tell_version(out, "uri", about.uri, about.version);
    if (virt->ops->list_all(virt, &vms, &count, error) < 0)
        return -1;
    tell_vms(out, vms, count);
    virt_list_free(vms, count);
    return 0;
}

void libvirt_ask(FILE *out) {
    struct virt *virt = NULL;
    struct virt_library library;
    struct virt_error error;
    int status = virt_libvirt_library(&library, &error);
    if (status == 0) {
        tell_version(out, "library", library.path, library.version);
        status = virt_libvirt_open(&virt, NULL, &error);
    }
    if (status == 0)
        status = ask_daemon(out, virt, &error);
    if (status < 0)
        tell_error(out, &error);
    virt_close(virt);
}

_Noreturn static void be_asker(int fd, void (*ask)(FILE *out)) {
    FILE *out = fdopen(fd, "w");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) /* a library that prints must not spoil what we print */
        dup2(null, STDOUT_FILENO), dup2(null, STDERR_FILENO);
    if (out) {
        ask(out);
        fflush(out);
    }
    _exit(0);
}

/* --- the process that waits */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* To the end of what the asker writes; false when the time is over first. */
static bool read_until(int fd, int64_t end, char **text) {
    size_t length = 0, room = PAGE;
    ssize_t got = 1;
    *text = memory_resize(NULL, room + 1, 1);
    while (got > 0) {
        struct pollfd input = {.fd = fd, .events = POLLIN};
        int64_t left = end - now_ms();
        int ready = left > 0 ? poll(&input, 1, (int)left) : 0;
        if (ready == 0)
            break;
        got = ready < 0 ? -1 : read(fd, *text + length, room - length);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            length += (size_t)got;
        if (length == room)
            *text = memory_resize(*text, (room *= 2) + 1, 1);
    }
    (*text)[length] = '\0';
    return got <= 0;
}

static char *take_text(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    const char *text =
        json_object_object_get_ex(object, key, &value) ? json_object_get_string(value) : NULL;
    return text && *text ? memory_strdup(text) : NULL;
}

static unsigned long take_number(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    return json_object_object_get_ex(object, key, &value)
               ? (unsigned long)json_object_get_int64(value)
               : 0;
}

static void take_vms(struct libvirt_answer *answer, struct json_object *list) {
    answer->vms_known = true;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *xml = json_object_array_get_idx(list, i);
        vms_add(&answer->vms, json_object_get_string(xml), (size_t)json_object_get_string_len(xml));
    }
}

static void take_line(struct libvirt_answer *answer, struct json_object *object) {
    struct json_object *value = NULL;
    if (json_object_object_get_ex(object, "library", &value)) {
        answer->library = take_text(object, "library");
        answer->library_version = take_number(object, "version");
    } else if (json_object_object_get_ex(object, "uri", &value)) {
        answer->uri = take_text(object, "uri");
        answer->version = take_number(object, "version");
    } else if (json_object_object_get_ex(object, "vms", &value)) {
        take_vms(answer, value);
    } else {
        answer->error = take_text(object, "error");
        answer->hint = take_text(object, "hint");
    }
}

static void take(struct libvirt_answer *answer, char *text) {
    for (char *line; (line = strsep(&text, "\n")) && text;) {
        struct json_object *object = json_tokener_parse(line);
        if (json_object_is_type(object, json_type_object))
            take_line(answer, object);
        json_object_put(object);
    }
}

static void set_error(struct libvirt_answer *answer, const char *hint, char *message) {
    if (answer->error || answer->vms_known) {
        free(message);
        return;
    }
    answer->error = message;
    answer->hint = memory_strdup(hint);
}

/* The asker has ended, or is ended. */
static void settle(struct libvirt_answer *answer, pid_t asker, bool is_over, int limit_ms) {
    int status = 0;
    if (!is_over)
        kill(asker, SIGKILL);
    while (waitpid(asker, &status, 0) < 0 && errno == EINTR)
        ;
    if (!is_over)
        set_error(answer, HINT_HANGS,
                  memory_printf("libvirt does not answer within %d s", (limit_ms + 999) / 1000));
    else if (WIFSIGNALED(status))
        set_error(answer, "it may not fit this system: is it the one that its package installed?",
                  memory_printf("the libvirt library crashed (signal %d)", WTERMSIG(status)));
    else
        set_error(answer, "try 'virsh list' as the same user",
                  memory_strdup("libvirt said nothing"));
}

void libvirt_answer_collect(struct libvirt_answer *answer, void (*ask)(FILE *out), int limit_ms) {
    int ends[2] = {-1, -1};
    char *text = NULL;
    *answer = (struct libvirt_answer){.asked = true};
    fflush(NULL);
    pid_t asker = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
    if (asker == 0)
        be_asker(ends[1], ask);
    if (asker < 0) {
        set_error(answer, "free memory, or end programs that run wild",
                  memory_printf("libvirt cannot be asked: %s", strerror(errno)));
        close(ends[0]), close(ends[1]);
        return;
    }
    close(ends[1]);
    bool is_over = read_until(ends[0], now_ms() + limit_ms, &text);
    close(ends[0]);
    take(answer, text);
    settle(answer, asker, is_over, limit_ms);
    free(text);
}

void libvirt_answer_get(struct libvirt_answer *answer) {
    libvirt_answer_collect(answer, libvirt_ask, LIBVIRT_ANSWER_LIMIT_MS);
}

void libvirt_answer_from_tree(struct libvirt_answer *answer, const char *root) {
    *answer = (struct libvirt_answer){0};
    answer->vms_known = vms_from_tree(&answer->vms, root);
}

void libvirt_answer_finish(struct libvirt_answer *answer) {
    free(answer->library);
    free(answer->uri);
    free(answer->error);
    free(answer->hint);
    vms_finish(&answer->vms);
    *answer = (struct libvirt_answer){0};
}
