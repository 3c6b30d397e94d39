/* virt-rules detach: takes one device out of a running VM. */
#include "engine/command/command.h"

#include "engine/execute/detach.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>

static int show(const struct detach *detach, bool json) {
    char *obstacle = detach_obstacle(detach);
    int status = obstacle ? EXIT_PROBLEM : EXIT_FINE;
    detach_print(detach, stdout, json);
    free(obstacle);
    return status;
}

static int fail(const struct virt_error *error, bool json) {
    if (json && (error->failure == VIRT_SILENT || error->failure == VIRT_UNREACHABLE)) {
        struct json_object *document = text_json_object();
        char *note = command_libvirt_note(error);
        command_put_note(document, note);
        text_print_json(stdout, document);
        free(note);
    }
    return command_fail(error->message, error->hint);
}

static int take_out(const struct detach_request *request, bool dry, bool json) {
    struct detach detach;
    struct virt_error error;
    int status;
    if (detach_init(&detach, request, &error) < 0)
        return fail(&error, json);
    if (dry) {
        status = show(&detach, json);
    } else {
        journal_copy(request->journal, stdout, json);
        status = detach_execute(&detach) ? EXIT_FINE : EXIT_PROBLEM;
    }
    detach_finish(&detach);
    return status;
}

static int with_libvirt(struct detach_request *request, bool dry, bool json) {
    struct virt_error error;
    int status;
    if (virt_libvirt_open(&request->virt, NULL, &error) < 0)
        return fail(&error, json);
    status = take_out(request, dry, json);
    virt_close(request->virt);
    return status;
}

/* A dry run makes neither log nor lock. */
static int run(struct detach_request *request, bool dry, bool json) {
    int status;
    if (dry) {
        request->state = NULL;
        return with_libvirt(request, true, json);
    }
    request->state = state_directory(request->state);
    request->journal = journal_open(request->state, false);
    if (!request->journal)
        return command_fail("out of memory", NULL);
    status = with_libvirt(request, false, json);
    journal_close(request->journal);
    return status;
}

int command_detach(const struct command *command, int argc, char **argv) {
    struct detach_request request = {.clock = clock_monotonic()};
    bool dry = false, json = false;
    const struct command_option table[] = {{.name = "dry-run", .flag = &dry},
                                           {.name = "json", .flag = &json},
                                           {.name = "sysroot", .value = &request.sysroot},
                                           {.name = "state", .value = &request.state},
                                           {0}};
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    if (argc - first != 2)
        return command_usage(command, argc - first < 2
                                          ? "a VM and a device are needed"
                                          : "too many words: one VM (in quotes when its name has "
                                            "a blank), one device");
    request.vm = argv[first];
    request.word = argv[first + 1];
    if (!*request.vm || !*request.word)
        return command_usage(command, "a VM's name and a device cannot be empty");
    return run(&request, dry, json);
}
