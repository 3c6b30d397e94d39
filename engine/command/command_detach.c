/* virt-rules detach: takes one device out of a running VM. */
#include "engine/command/command.h"

#include "engine/host/source_sysfs.h"
#include "engine/trigger/manual_detach.h"
#include "lexer/text.h"

#include <json-c/json.h>
#include <stdlib.h>

static int command_detach_show(const struct manual_detach *detach, bool json) {
    char *obstacle = manual_detach_obstacle(detach);
    int status = obstacle ? EXIT_PROBLEM : EXIT_FINE;
    manual_detach_print(detach, stdout, json);
    free(obstacle);
    return status;
}

static int command_detach_fail(const struct virt_error *error, bool json) {
    if (json && (error->kind == VIRT_SILENT || error->kind == VIRT_UNREACHABLE)) {
        struct json_object *document = text_json_object();
        char *note = command_libvirt_note(error);
        command_put_note(document, note);
        text_print_json(stdout, document);
        free(note);
    }
    return command_fail(error->failure.message, error->failure.hint);
}

static int command_detach_take_out(const struct manual_detach_request *request, bool dry,
                                   bool json) {
    struct manual_detach detach;
    struct virt_error error;
    int status;
    if (manual_detach_init(&detach, request, &error) < 0)
        return command_detach_fail(&error, json);
    if (dry) {
        status = command_detach_show(&detach, json);
    } else {
        log_write_copy(request->journal, stdout, json);
        status = manual_detach_execute(&detach) ? EXIT_FINE : EXIT_PROBLEM;
    }
    manual_detach_finish(&detach);
    return status;
}

static int command_detach_with_libvirt(struct manual_detach_request *request, bool dry, bool json) {
    struct virt_error error;
    int status;
    if (virt_asker_connect(&request->virt, NULL, &error) < 0)
        return command_detach_fail(&error, json);
    status = command_detach_take_out(request, dry, json);
    virt_close(request->virt);
    return status;
}

/* A dry run makes neither log nor lock. */
static int command_detach_run(struct manual_detach_request *request, bool dry, bool json) {
    int status;
    if (dry) {
        request->state = NULL;
        return command_detach_with_libvirt(request, true, json);
    }
    request->state = log_write_state_directory(request->state);
    request->journal = log_write_open(request->state, false);
    if (!request->journal)
        return command_fail("out of memory", NULL);
    status = command_detach_with_libvirt(request, false, json);
    log_write_close(request->journal);
    return status;
}

int command_detach(const struct command *command, int argc, char **argv) {
    struct manual_detach_request request = {.clock = retry_clock()};
    const char *sysroot = NULL;
    bool dry = false, json = false;
    const struct command_option table[] = {{.name = "dry-run", .flag = &dry},
                                           {.name = "json", .flag = &json},
                                           {.name = "sysroot", .value = &sysroot},
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
    struct host_source source = source_sysfs(sysroot);
    request.host_source = &source;
    return command_detach_run(&request, dry, json);
}
