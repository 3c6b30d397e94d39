#include "engine/libvirt/virt_asker.h"

#include "engine/libvirt/virt_libvirt.h"
#include "engine/system/deadline.h"
#include "engine/system/helper.h"
#include "lexer/memory.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum virt_asker_call {
    CALL_LIBRARY,
    CALL_OPEN,
    CALL_XML,
    CALL_LIST,
    CALL_LIST_ALL,
    CALL_READ,
    CALL_STATE,
    CALL_DEFINITION,
    CALL_ATTACH,
    CALL_DETACH,
    CALL_RESET,
    CALL_REBOOT,
    CALL_ATTACH_DEFINED,
    CALL_DETACH_DEFINED,
    CALL_MARK_DEFINED,
    CALL_WATCH,
    CALL_WAIT,
    CALL_ABOUT,
    CALL_CLOSE,
};

/* For messages: what is waited for. The changes come with the name of what they change. */
static const char *const asker_texts[] = {
    [CALL_LIBRARY] = "the library has not been loaded",
    [CALL_OPEN] = "the connection has not been made",
    [CALL_XML] = "the VM's XML has not come",
    [CALL_LIST] = "the list of running VMs has not come",
    [CALL_LIST_ALL] = "the list of VMs has not come",
    [CALL_READ] = "the VM's XML has not come",
    [CALL_STATE] = "the VM's state has not come",
    [CALL_DEFINITION] = "the VM's definition has not come",
    [CALL_ATTACH] = "attach",
    [CALL_DETACH] = "detach",
    [CALL_RESET] = "reset",
    [CALL_REBOOT] = "reboot",
    [CALL_ATTACH_DEFINED] = "attach to the definition",
    [CALL_DETACH_DEFINED] = "detach from the definition",
    [CALL_MARK_DEFINED] = "metadata of the definition",
    [CALL_WATCH] = "the VM's events have not been subscribed to",
    [CALL_WAIT] = "the VM's events have not come",
    [CALL_ABOUT] = "its version has not come",
    [CALL_CLOSE] = "the connection has not been closed",
};

/* Followed by its texts, as the answer by its bytes. Both ends are the same program, so structs are
 * sent as they are. */
struct virt_asker_question {
    enum virt_asker_call call;
    int number;                     /* the VM's id, or milliseconds */
    size_t first_size, second_size; /* with the NUL; 0: NULL */
};

struct virt_asker_answer {
    int status;
    size_t size; /* of what follows */
    struct virt_error error;
};

/* A VM whose XML has not come, and is not asked for until then. */
struct virt_asker_silence {
    char uuid[37];
    int64_t until;
};

struct virt_asker {
    struct virt virt;
    const struct virt_asker_work *work;
    char *uri; /* NULL: the default */
    char *subject;
    struct helper helper;
    bool is_open; /* the helper has a connection, or makes one at the next call */
    struct virt_error no_answer;
    int64_t no_answer_until;
    struct virt_asker_silence *silences;
    size_t silence_count;
};

static struct virt_asker *virt_asker_self(struct virt *virt) {
    return (struct virt_asker *)virt;
}

/* --- in the asker */

struct virt_asker_service {
    const struct virt_asker_work *work;
    int socket;
    struct virt *virt;
    struct virt_asker_question question;
    char *first, *second;
    char *bytes; /* of the answer */
    size_t size;
};

static void virt_asker_serve_put(struct virt_asker_service *service, const void *bytes,
                                 size_t size) {
    service->bytes = memory_resize(service->bytes, service->size + size, 1);
    memcpy(service->bytes + service->size, bytes, size);
    service->size += size;
}

/* NULL arrives as "". */
static void virt_asker_serve_put_text(struct virt_asker_service *service, const char *text) {
    virt_asker_serve_put(service, text ? text : "", (text ? strlen(text) : 0) + 1);
}

static int virt_asker_serve_list(struct virt_asker_service *service, struct virt_error *error) {
    struct virt_domain *vms = NULL;
    size_t count = 0;
    int status = service->question.call == CALL_LIST
                     ? service->virt->ops->list(service->virt, &vms, &count, error)
                     : service->virt->ops->list_all(service->virt, &vms, &count, error);
    if (status < 0)
        return -1;
    virt_asker_serve_put(service, vms, count * sizeof *vms);
    virt_list_free(vms, count);
    return 0;
}

static int virt_asker_serve_read(struct virt_asker_service *service, struct virt_error *error) {
    struct virt_domain vm = {0};
    snprintf(vm.uuid, sizeof vm.uuid, "%s", service->first);
    if (service->virt->ops->read(service->virt, &vm, 1, error) < 0)
        return -1;
    virt_asker_serve_put_text(service, vm.xml);
    virt_asker_serve_put_text(service, vm.why);
    free(vm.xml);
    free(vm.why);
    return 0;
}

static int virt_asker_serve_xml(struct virt_asker_service *service, struct virt_error *error) {
    char *xml = NULL;
    if (service->virt->ops->domain_xml(service->virt, service->first, &xml, error) < 0)
        return -1;
    virt_asker_serve_put(service, xml, strlen(xml) + 1);
    free(xml);
    return 0;
}

static int virt_asker_serve_library(struct virt_asker_service *service, struct virt_error *error) {
    struct virt_library library = {0};
    int status = service->work->library(&library, error);
    virt_asker_serve_put(service, &library, sizeof library);
    return status;
}

static int virt_asker_serve_about(struct virt_asker_service *service, struct virt_error *error) {
    struct virt_about about = {0};
    int status = service->virt->ops->about(service->virt, &about, error);
    virt_asker_serve_put(service, &about, sizeof about);
    return status;
}

static int virt_asker_serve_wait(struct virt_asker_service *service, struct virt_error *error) {
    struct virt_event event = {0};
    int status = service->virt->ops->wait(service->virt, service->question.number, &event, error);
    virt_asker_serve_put(service, &event, sizeof event);
    return status;
}

static int virt_asker_serve_state(struct virt_asker_service *service, struct virt_error *error) {
    enum virt_state state = VIRT_STATE_STARTED;
    int status = service->virt->ops->state(service->virt, service->first, service->question.number,
                                           &state, error);
    virt_asker_serve_put(service, &state, sizeof state);
    return status;
}

static int virt_asker_serve_definition(struct virt_asker_service *service,
                                       struct virt_error *error) {
    struct virt_definition definition = {0};
    if (service->virt->ops->definition(service->virt, service->first, &definition, error) < 0)
        return -1;
    virt_asker_serve_put(service, &definition, sizeof definition);
    virt_asker_serve_put(service, definition.xml, strlen(definition.xml) + 1);
    virt_definition_finish(&definition);
    return 0;
}

static int virt_asker_serve_call(struct virt_asker_service *service, struct virt_error *error) {
    struct virt *virt = service->virt;
    int id = service->question.number;
    switch (service->question.call) {
    case CALL_LIBRARY:
        return virt_asker_serve_library(service, error);
    case CALL_OPEN:
        return service->work->open(&service->virt, service->first, error);
    case CALL_XML:
        return virt_asker_serve_xml(service, error);
    case CALL_LIST:
    case CALL_LIST_ALL:
        return virt_asker_serve_list(service, error);
    case CALL_READ:
        return virt_asker_serve_read(service, error);
    case CALL_STATE:
        return virt_asker_serve_state(service, error);
    case CALL_DEFINITION:
        return virt_asker_serve_definition(service, error);
    case CALL_ATTACH:
        return virt->ops->attach(virt, service->first, id, service->second, error);
    case CALL_DETACH:
        return virt->ops->detach(virt, service->first, id, service->second, error);
    case CALL_RESET:
        return virt->ops->reset(virt, service->first, id, error);
    case CALL_REBOOT:
        return virt->ops->reboot(virt, service->first, id, error);
    case CALL_ATTACH_DEFINED:
        return virt->ops->attach_defined(virt, service->first, service->second, error);
    case CALL_DETACH_DEFINED:
        return virt->ops->detach_defined(virt, service->first, service->second, error);
    case CALL_MARK_DEFINED:
        return virt->ops->mark_defined(virt, service->first, service->second, error);
    case CALL_WATCH:
        return virt->ops->watch(virt, service->first, error);
    case CALL_WAIT:
        return virt_asker_serve_wait(service, error);
    case CALL_ABOUT:
        return virt_asker_serve_about(service, error);
    case CALL_CLOSE:
        virt_close(virt);
        break;
    }
    return 0;
}

static bool virt_asker_serve_text(const struct virt_asker_service *service, size_t size,
                                  char **text) {
    *text = size ? memory_resize(NULL, size, 1) : NULL;
    return helper_receive(service->socket, *text, size);
}

/* Returns false at the engine's end. */
static bool virt_asker_serve_receive(struct virt_asker_service *service) {
    const struct virt_asker_question *question = &service->question;
    return helper_receive(service->socket, &service->question, sizeof service->question) &&
           virt_asker_serve_text(service, question->first_size, &service->first) &&
           virt_asker_serve_text(service, question->second_size, &service->second);
}

static bool virt_asker_serve_reply(struct virt_asker_service *service) {
    struct virt_asker_answer answer = {0};
    service->bytes = NULL;
    service->size = 0;
    answer.status = virt_asker_serve_call(service, &answer.error);
    answer.size = service->size;
    bool sent = helper_send(service->socket, &answer, sizeof answer) &&
                helper_send(service->socket, service->bytes, service->size);
    free(service->bytes);
    free(service->first);
    free(service->second);
    return sent;
}

static void virt_asker_serve(void *context, int socket) {
    struct virt_asker_service service = {.work = context, .socket = socket};
    while (virt_asker_serve_receive(&service) && virt_asker_serve_reply(&service) &&
           service.question.call != CALL_CLOSE)
        ;
}

/* --- in the engine: errors */

static bool virt_asker_is_change(enum virt_asker_call call) {
    return call >= CALL_ATTACH && call <= CALL_MARK_DEFINED;
}

static int virt_asker_seconds(int64_t milliseconds) {
    return (int)((milliseconds + 999) / 1000);
}

static int virt_asker_fail_late(struct virt_asker *asker, enum virt_asker_call call, int64_t limit,
                                struct virt_error *error) {
    const char *subject = asker->subject;
    helper_end(&asker->helper);
    asker->is_open = false;
    if (virt_asker_is_change(call))
        virt_error_set(
            error, VIRT_NO_REPLY,
            "libvirt may still do it: see 'dmesg' and the daemon's log for what it waits for; "
            "a program may have the device open on the host",
            VIRT_NO_ANSWER "%s%s%s has not returned for %d s", asker_texts[call],
            subject ? " of " : "", subject ? subject : "", virt_asker_seconds(limit));
    else
        virt_error_set(error, VIRT_NO_REPLY,
                       "see whether a hook script hangs ('ps -ef'); else restart the daemon "
                       "('systemctl restart libvirtd', or virtqemud): running VMs stay",
                       VIRT_NO_ANSWER "%s within %d s", asker_texts[call],
                       virt_asker_seconds(limit));
    asker->no_answer = *error;
    asker->no_answer_until = clock_now() + deadline_limit(DEADLINE_ANSWER_MS);
    return -1;
}

static int virt_asker_fail_crashed(struct virt_asker *asker, struct virt_error *error) {
    int status = helper_end(&asker->helper);
    asker->is_open = false;
    if (status != -1 && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        return virt_error_set(
            error, VIRT_UNREACHABLE,
            "it may not be built for this system: is it the one from the package?",
            "the libvirt library crashed (signal %d)", WTERMSIG(status));
    if (status != -1 && WIFEXITED(status))
        return virt_error_set(
            error, VIRT_UNREACHABLE,
            "it may not be built for this system: is it the one from the package?",
            "the libvirt library ended its process (exit status %d)", WEXITSTATUS(status));
    return virt_error_set(error, VIRT_UNREACHABLE, "see dmesg: has the host run out of memory?",
                          "the process that calls libvirt was killed");
}

static int virt_asker_fail_start(struct virt_error *error) {
    return virt_error_set(error, VIRT_UNREACHABLE,
                          errno == EMFILE || errno == ENFILE
                              ? "raise the limit on open files: ulimit -n"
                              : "free memory, or stop runaway processes",
                          "cannot start a process to call libvirt: %s", strerror(errno));
}

/* --- in the engine: a call */

struct virt_asker_exchange {
    struct virt_asker_question question;
    const char *first, *second;
    struct virt_asker_answer answer;
    char *bytes; /* of the answer, for the caller to free */
};

static bool virt_asker_send(const struct virt_asker *asker, struct virt_asker_exchange *exchange) {
    struct virt_asker_question *question = &exchange->question;
    question->first_size = exchange->first ? strlen(exchange->first) + 1 : 0;
    question->second_size = exchange->second ? strlen(exchange->second) + 1 : 0;
    return helper_send(asker->helper.socket, question, sizeof *question) &&
           helper_send(asker->helper.socket, exchange->first, question->first_size) &&
           helper_send(asker->helper.socket, exchange->second, question->second_size);
}

/* A change may take minutes: say so to a person who waits for it. */
static void virt_asker_print_notice(const struct virt_asker *asker, enum virt_asker_call call,
                                    int64_t limit) {
    const char *subject = asker->subject;
    fprintf(stderr, "virt-rules: waiting for libvirt: %s%s%s, at most %d s\n", asker_texts[call],
            subject ? " of " : "", subject ? subject : "", virt_asker_seconds(limit));
}

static enum helper_answer virt_asker_await(const struct virt_asker *asker,
                                           struct virt_asker_exchange *exchange, int64_t limit) {
    enum virt_asker_call call = exchange->question.call;
    int64_t start = clock_now(), notice = deadline_limit(DEADLINE_NOTICE_MS);
    struct virt_asker_answer *answer = &exchange->answer;
    if (virt_asker_is_change(call)) {
        struct pollfd input = {.fd = asker->helper.socket, .events = POLLIN};
        if (poll(&input, 1, (int)notice) == 0)
            virt_asker_print_notice(asker, call, limit);
    }
    enum helper_answer status = helper_await(&asker->helper, answer, sizeof *answer, start + limit);
    if (status != HELPER_ANSWERED)
        return status;
    exchange->bytes = memory_resize(NULL, answer->size + 1, 1);
    return helper_await(&asker->helper, exchange->bytes, answer->size, start + limit);
}

/* Returns 0, or -1 with `error`. */
static int virt_asker_receive(struct virt_asker *asker, struct virt_asker_exchange *exchange,
                              int64_t limit, struct virt_error *error) {
    switch (virt_asker_await(asker, exchange, limit)) {
    case HELPER_ANSWERED:
        break;
    case HELPER_ENDED:
        return virt_asker_fail_crashed(asker, error);
    case HELPER_LATE:
        return virt_asker_fail_late(asker, exchange->question.call, limit, error);
    }
    if (exchange->answer.status < 0)
        *error = exchange->answer.error;
    return exchange->answer.status;
}

/* With a helper. Returns 0, or -1 with `error`. */
static int virt_asker_exchange(struct virt_asker *asker, struct virt_asker_exchange *exchange,
                               int64_t limit, struct virt_error *error) {
    return virt_asker_send(asker, exchange) ? virt_asker_receive(asker, exchange, limit, error)
                                            : virt_asker_fail_crashed(asker, error);
}

static int virt_asker_start(struct virt_asker *asker, struct virt_error *error) {
    if (!asker->helper.pid &&
        helper_start(&asker->helper, virt_asker_serve, (void *)asker->work) < 0)
        return virt_asker_fail_start(error);
    return 0;
}

static int virt_asker_open_connection(struct virt_asker *asker, struct virt_error *error) {
    struct virt_asker_exchange exchange = {.question = {.call = CALL_OPEN}, .first = asker->uri};
    if (virt_asker_start(asker, error) < 0)
        return -1;
    if (asker->is_open)
        return 0;
    int status = virt_asker_exchange(asker, &exchange, deadline_limit(DEADLINE_ANSWER_MS), error);
    asker->is_open = status == 0;
    free(exchange.bytes);
    return status;
}

/* Before each call. Returns 0, or -1 with `error`. */
static int virt_asker_begin(struct virt_asker *asker, struct virt_error *error) {
    if (clock_now() < asker->no_answer_until) {
        *error = asker->no_answer;
        return -1;
    }
    asker->no_answer_until = 0;
    return virt_asker_open_connection(asker, error);
}

/* Returns 0, or -1 with `error`; then there are no bytes. */
static int virt_asker_call(struct virt *virt, struct virt_asker_exchange *exchange,
                           struct virt_error *error) {
    struct virt_asker *asker = virt_asker_self(virt);
    enum virt_asker_call call = exchange->question.call;
    int64_t limit =
        deadline_limit(virt_asker_is_change(call) ? DEADLINE_CHANGE_MS : DEADLINE_ANSWER_MS);
    if (call == CALL_WAIT)
        limit += exchange->question.number;
    if (virt_asker_begin(asker, error) < 0)
        return -1;
    int status = virt_asker_exchange(asker, exchange, limit, error);
    if (status < 0) {
        free(exchange->bytes);
        exchange->bytes = NULL;
    }
    return status;
}

/* --- in the engine: the operations */

static int virt_asker_domain_xml(struct virt *virt, const char *vm, char **xml,
                                 struct virt_error *error) {
    struct virt_asker_exchange exchange = {.question = {.call = CALL_XML}, .first = vm};
    int status = virt_asker_call(virt, &exchange, error);
    *xml = exchange.bytes;
    return status;
}

static int virt_asker_list_by(struct virt *virt, enum virt_asker_call call,
                              struct virt_domain **vms, size_t *count, struct virt_error *error) {
    struct virt_asker_exchange exchange = {.question = {.call = call}};
    int status = virt_asker_call(virt, &exchange, error);
    *vms = (struct virt_domain *)exchange.bytes;
    *count = status == 0 ? exchange.answer.size / sizeof **vms : 0;
    return status;
}

static int virt_asker_list(struct virt *virt, struct virt_domain **vms, size_t *count,
                           struct virt_error *error) {
    return virt_asker_list_by(virt, CALL_LIST, vms, count, error);
}

static int virt_asker_list_all(struct virt *virt, struct virt_domain **vms, size_t *count,
                               struct virt_error *error) {
    return virt_asker_list_by(virt, CALL_LIST_ALL, vms, count, error);
}

/*
 * The XML of each VM, asked for one by one. An asker that waits for that of one VM goes on with it,
 * and another asks for the rest: so a VM that has a job hides no other VM. One that makes no
 * connection says that it is not the VM that does not answer, but libvirt.
 */
enum { READ_PATIENCE_MS = 500, READ_WAITING = 8 };

struct virt_asker_waiting {
    struct helper helper;
    struct virt_domain *vm;
};

struct virt_asker_reading {
    struct virt_asker *asker;
    int64_t end;
    struct virt_asker_waiting waiting[READ_WAITING];
    size_t count;
};

/* Or an error, which the call that receives the answer finds too. */
static bool virt_asker_has_answer(const struct helper *helper, int64_t until) {
    struct pollfd input = {.fd = helper->socket, .events = POLLIN};
    int ready;
    do {
        int64_t left = until - clock_now();
        ready = poll(&input, 1, left > 0 ? (int)left : 0);
    } while ((ready < 0 && errno == EINTR) || (ready == 0 && clock_now() < until));
    return ready != 0;
}

static struct virt_asker_silence *virt_asker_find_silence(struct virt_asker *asker,
                                                          const char *uuid) {
    for (size_t i = 0; i < asker->silence_count; i++)
        if (strcmp(asker->silences[i].uuid, uuid) == 0) // NOLINT(clang-analyzer-*): each VM has one
            return &asker->silences[i];
    return NULL;
}

static char *virt_asker_describe_silence(void) {
    return memory_printf(VIRT_NO_ANSWER "%s within %d s", asker_texts[CALL_READ],
                         virt_asker_seconds(deadline_limit(DEADLINE_ANSWER_MS)));
}

static void virt_asker_add_silence(struct virt_asker *asker, struct virt_domain *vm) {
    struct virt_asker_silence *silence = virt_asker_find_silence(asker, vm->uuid);
    if (!silence) {
        asker->silences =
            memory_grow(asker->silences, asker->silence_count, sizeof *asker->silences);
        silence = &asker->silences[asker->silence_count++];
        memcpy(silence->uuid, vm->uuid, sizeof silence->uuid);
    }
    silence->until = clock_now() + deadline_limit(DEADLINE_ANSWER_MS);
    vm->why = virt_asker_describe_silence();
}

static char *virt_asker_take_text(const char **at) {
    char *text = **at ? memory_strdup(*at) : NULL;
    *at += strlen(*at) + 1;
    return text;
}

/* The answer has begun to come. */
static int virt_asker_take_vm(struct virt_asker *asker, struct virt_domain *vm,
                              struct virt_error *error) {
    struct virt_asker_exchange exchange = {.question = {.call = CALL_READ}};
    int status = virt_asker_receive(asker, &exchange, deadline_limit(DEADLINE_ANSWER_MS), error);
    if (status == 0) {
        const char *at = exchange.bytes;
        vm->xml = virt_asker_take_text(&at); // NOLINT(clang-analyzer-*): each that waits has its VM
        vm->why = virt_asker_take_text(&at);
    }
    free(exchange.bytes);
    return status;
}

static int virt_asker_read_vm(struct virt_asker_reading *reading, struct virt_domain *vm,
                              struct virt_error *error) {
    struct virt_asker *asker = reading->asker;
    const struct virt_asker_silence *silence = virt_asker_find_silence(asker, vm->uuid);
    struct virt_asker_exchange exchange = {.question = {.call = CALL_READ}, .first = vm->uuid};
    if (silence && clock_now() < silence->until) {
        vm->why = virt_asker_describe_silence();
        return 0;
    }
    if (virt_asker_begin(asker, error) < 0)
        return -1;
    if (!virt_asker_send(asker, &exchange))
        return virt_asker_fail_crashed(asker, error);
    bool is_last = reading->count == READ_WAITING;
    int64_t until = is_last ? reading->end : clock_now() + deadline_limit(READ_PATIENCE_MS);
    if (virt_asker_has_answer(&asker->helper, until))
        return virt_asker_take_vm(asker, vm, error);
    if (is_last)
        return virt_asker_fail_late(asker, CALL_READ, deadline_limit(DEADLINE_ANSWER_MS), error);
    reading->waiting[reading->count++] = (struct virt_asker_waiting){asker->helper, vm};
    asker->helper = (struct helper){.socket = -1};
    asker->is_open = false;
    return virt_asker_open_connection(asker, error);
}

/* The first asker is kept if it answers, as it watches events: so it comes last. */
static int virt_asker_read_waiting(struct virt_asker_reading *reading, struct virt_error *error) {
    struct virt_asker *asker = reading->asker;
    int status = 0;
    while (status == 0 && reading->count) {
        struct virt_asker_waiting *waiting = &reading->waiting[--reading->count];
        if (virt_asker_has_answer(&waiting->helper, reading->end)) {
            helper_end(&asker->helper);
            asker->helper = waiting->helper;
            asker->is_open = true;
            status = virt_asker_take_vm(asker, waiting->vm, error);
        } else {
            helper_end(&waiting->helper);
            virt_asker_add_silence(asker, waiting->vm);
        }
    }
    return status;
}

static int virt_asker_read(struct virt *virt, struct virt_domain *vms, size_t count,
                           struct virt_error *error) {
    struct virt_asker_reading reading = {.asker = virt_asker_self(virt)};
    int status = 0;
    reading.end = clock_now() + deadline_limit(DEADLINE_ANSWER_MS);
    for (size_t i = 0; status == 0 && i < count; i++)
        status = virt_asker_read_vm(&reading, &vms[i], error);
    if (status == 0)
        status = virt_asker_read_waiting(&reading, error);
    while (reading.count)
        helper_end(&reading.waiting[--reading.count].helper);
    return status;
}

static int virt_asker_state(struct virt *virt, const char *uuid, int id, enum virt_state *state,
                            struct virt_error *error) {
    struct virt_asker_exchange exchange = {.question = {.call = CALL_STATE, .number = id},
                                           .first = uuid};
    int status = virt_asker_call(virt, &exchange, error);
    *state = VIRT_STATE_STARTED;
    if (status == 0 && exchange.bytes)
        memcpy(state, exchange.bytes, sizeof *state);
    free(exchange.bytes);
    return status;
}

/* The struct as the helper has it, with a pointer of its own, then the XML. */
static int virt_asker_definition(struct virt *virt, const char *uuid,
                                 struct virt_definition *definition, struct virt_error *error) {
    struct virt_asker_exchange exchange = {.question = {.call = CALL_DEFINITION}, .first = uuid};
    int status = virt_asker_call(virt, &exchange, error);
    *definition = (struct virt_definition){0};
    if (status == 0 && exchange.bytes) {
        memcpy(definition, exchange.bytes, sizeof *definition);
        definition->xml = memory_strdup(exchange.bytes + sizeof *definition);
    }
    free(exchange.bytes);
    return status;
}

static int virt_asker_change(struct virt *virt, enum virt_asker_call call, const char *uuid, int id,
                             const char *xml, struct virt_error *error) {
    struct virt_asker_exchange exchange = {
        .question = {.call = call, .number = id}, .first = uuid, .second = xml};
    int status = virt_asker_call(virt, &exchange, error);
    free(exchange.bytes);
    return status;
}

static int virt_asker_attach(struct virt *virt, const char *uuid, int id, const char *xml,
                             struct virt_error *error) {
    return virt_asker_change(virt, CALL_ATTACH, uuid, id, xml, error);
}

static int virt_asker_detach(struct virt *virt, const char *uuid, int id, const char *xml,
                             struct virt_error *error) {
    return virt_asker_change(virt, CALL_DETACH, uuid, id, xml, error);
}

static int virt_asker_reset(struct virt *virt, const char *uuid, int id, struct virt_error *error) {
    return virt_asker_change(virt, CALL_RESET, uuid, id, NULL, error);
}

static int virt_asker_reboot(struct virt *virt, const char *uuid, int id,
                             struct virt_error *error) {
    return virt_asker_change(virt, CALL_REBOOT, uuid, id, NULL, error);
}

static int virt_asker_attach_defined(struct virt *virt, const char *uuid, const char *xml,
                                     struct virt_error *error) {
    return virt_asker_change(virt, CALL_ATTACH_DEFINED, uuid, -1, xml, error);
}

static int virt_asker_detach_defined(struct virt *virt, const char *uuid, const char *xml,
                                     struct virt_error *error) {
    return virt_asker_change(virt, CALL_DETACH_DEFINED, uuid, -1, xml, error);
}

static int virt_asker_mark_defined(struct virt *virt, const char *uuid, const char *xml,
                                   struct virt_error *error) {
    return virt_asker_change(virt, CALL_MARK_DEFINED, uuid, -1, xml, error);
}

static int virt_asker_watch(struct virt *virt, const char *uuid, struct virt_error *error) {
    return virt_asker_change(virt, CALL_WATCH, uuid, -1, NULL, error);
}

/* An asker that was killed took the watched events with it. The timeout is measured here. */
static int virt_asker_wait(struct virt *virt, int timeout_ms, struct virt_event *event,
                           struct virt_error *error) {
    struct virt_asker_exchange exchange = {.question = {.call = CALL_WAIT, .number = timeout_ms}};
    int64_t start = clock_now();
    *event = (struct virt_event){.kind = VIRT_EVENT_NONE};
    if (!virt_asker_self(virt)->is_open)
        return virt_error_set(error, VIRT_UNREACHABLE, "",
                              "libvirt's events are not watched any more");
    int status = virt_asker_call(virt, &exchange, error);
    if (status == 0 && exchange.bytes)
        memcpy(event, exchange.bytes, sizeof *event);
    if (status == 0 && event->kind == VIRT_EVENT_NONE)
        clock_sleep(timeout_ms - (clock_now() - start));
    free(exchange.bytes);
    return status;
}

static int virt_asker_about(struct virt *virt, struct virt_about *about, struct virt_error *error) {
    struct virt_asker_exchange exchange = {.question = {.call = CALL_ABOUT}};
    int status = virt_asker_call(virt, &exchange, error);
    *about = (struct virt_about){0};
    if (status == 0 && exchange.bytes)
        memcpy(about, exchange.bytes, sizeof *about);
    free(exchange.bytes);
    return status;
}

static void virt_asker_set_subject(struct virt *virt, const char *subject) {
    struct virt_asker *asker = virt_asker_self(virt);
    free(asker->subject);
    asker->subject = memory_copy(subject);
}

/* Closes the connection at the daemon too, if there is one. */
static void virt_asker_close(struct virt *virt) {
    struct virt_asker *asker = virt_asker_self(virt);
    struct virt_asker_exchange exchange = {.question = {.call = CALL_CLOSE}};
    struct virt_error ignored;
    if (asker->is_open)
        virt_asker_exchange(asker, &exchange, deadline_limit(DEADLINE_ANSWER_MS), &ignored);
    helper_end(&asker->helper);
    free(exchange.bytes);
    free(asker->uri);
    free(asker->subject);
    free(asker->silences);
    free(asker);
}

static const struct virt_ops asker_operations = {
    .domain_xml = virt_asker_domain_xml,
    .list = virt_asker_list,
    .list_all = virt_asker_list_all,
    .read = virt_asker_read,
    .state = virt_asker_state,
    .attach = virt_asker_attach,
    .detach = virt_asker_detach,
    .definition = virt_asker_definition,
    .attach_defined = virt_asker_attach_defined,
    .detach_defined = virt_asker_detach_defined,
    .mark_defined = virt_asker_mark_defined,
    .reset = virt_asker_reset,
    .reboot = virt_asker_reboot,
    .watch = virt_asker_watch,
    .wait = virt_asker_wait,
    .subject = virt_asker_set_subject,
    .about = virt_asker_about,
    .close = virt_asker_close,
};

/* --- public */

int virt_asker_open(struct virt **virt, const struct virt_asker_work *work, const char *uri,
                    struct virt_error *error) {
    struct virt_asker *asker = memory_zalloc(sizeof *asker);
    *asker = (struct virt_asker){.virt = {.ops = &asker_operations},
                                 .work = work,
                                 .uri = memory_copy(uri),
                                 .helper = {.socket = -1}};
    int status = virt_asker_open_connection(asker, error);
    *virt = status == 0 ? &asker->virt : NULL;
    if (status < 0)
        virt_asker_close(&asker->virt);
    return status;
}

int virt_asker_library(const struct virt_asker_work *work, struct virt_library *library,
                       struct virt_error *error) {
    struct virt_asker asker = {.work = work, .helper = {.socket = -1}};
    struct virt_asker_exchange exchange = {.question = {.call = CALL_LIBRARY}};
    int status = virt_asker_start(&asker, error);
    *library = (struct virt_library){0};
    if (status == 0)
        status = virt_asker_exchange(&asker, &exchange, deadline_limit(DEADLINE_ANSWER_MS), error);
    if (status == 0 && exchange.bytes)
        memcpy(library, exchange.bytes, sizeof *library);
    free(exchange.bytes);
    helper_end(&asker.helper);
    return status;
}

static const struct virt_asker_work asker_libvirt = {virt_libvirt_open, virt_libvirt_library};

int virt_asker_connect(struct virt **virt, const char *uri, struct virt_error *error) {
    return virt_asker_open(virt, &asker_libvirt, uri, error);
}

int virt_asker_find_library(struct virt_library *library, struct virt_error *error) {
    return virt_asker_library(&asker_libvirt, library, error);
}
