/* virt-rules explain: why a rule did or did not match. */
#include "engine/command.h"

#include "engine/explain.h"
#include "engine/inquiry.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct asked {
    const struct host_device **list;
    size_t count;
};

/* A device as people name it: an address ("03:00.0"), a USB port ("1-1.4") or an id ("1ac1:089a").
 */
static bool is_called(const struct host_device *device, const char *text) {
    char address[64], id[16];
    snprintf(id, sizeof id, "%04x:%04x", device->id.vendor, device->id.device);
    return !strcmp(device->address, text) || !strcasecmp(id, text) ||
           (host_address_normalise(text, address, sizeof address) &&
            !strcmp(device->address, address));
}

static struct asked find_devices(const struct host *host, const char *text) {
    struct asked asked = {0};
    for (size_t i = 0; text && i < host->count; i++) {
        if (!is_called(&host->devices[i], text))
            continue;
        asked.list = memory_grow((void *)asked.list, asked.count, sizeof *asked.list);
        asked.list[asked.count++] = &host->devices[i];
    }
    return asked;
}

static void print_explanation(const struct inquiry *inquiry, const struct asked *asked, bool json) {
    struct explanation explanation;
    explain_init(&explanation, &inquiry->request, asked->list, asked->count);
    if (json)
        text_print_json(stdout, explain_json(&explanation));
    else
        explain_print(&explanation, stdout, command_colour(stdout));
    explain_finish(&explanation);
}

static int explain(const struct inquiry *inquiry, const char *device, bool json) {
    struct asked asked = find_devices(&inquiry->host, device);
    int status = inquiry->broken_rules ? EXIT_PROBLEM : EXIT_FINE;
    if (device && !asked.count) {
        char *message = memory_printf("the host has no device '%s'", device);
        status = command_fail(message, "name it by its address (03:00.0), USB port (1-1.4) or id "
                                       "(1ac1:089a): see lspci -nn and lsusb");
        free(message);
    } else {
        print_explanation(inquiry, &asked, json);
    }
    free((void *)asked.list);
    return status;
}

int command_explain(const struct command *command, int argc, char **argv) {
    struct inquiry inquiry = {.command = command};
    bool json = false;
    const struct command_option table[] = {
        INQUIRY_OPTIONS(&inquiry), {.name = "json", .flag = &json}, {0}};
    int status = EXIT_FINE, first = command_options(command, argc, argv, table, &status);
    if (first < 0)
        return status;
    if (argc - first < 2 || argc - first > 3)
        return command_usage(command, argc - first < 2
                                          ? "a VM and an event are needed"
                                          : "too many words: one VM (in quotes when its "
                                            "name has a blank), one event, one device");
    inquiry.vm = argv[first];
    inquiry.event_word = argv[first + 1];
    status = inquiry_init(&inquiry);
    if (status != EXIT_FINE)
        return status;
    status = explain(&inquiry, argv[first + 2], json);
    inquiry_finish(&inquiry);
    return status;
}
