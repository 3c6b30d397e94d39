/* Any bytes as the log: its older file up to the first byte that is 1, then the newer one. */
#include "engine/state/log_read.h"
#include "engine/state/log_write.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[] = "/tmp/virt-rules-fuzz-XXXXXX";

static void expect(bool truth) {
    if (!truth)
        abort();
}

static void remove_directory(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    expect(system(command) == 0); /* NOLINT(cert-env33-c): a path of this program */
}

static void put(const char *name, const void *bytes, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    expect(file >= 0 && write(file, bytes, size) == (ssize_t)size && close(file) == 0);
}

/* What is an entry can be passed on as it is. */
static void look_at_line(const char *line, size_t size) {
    struct log_line entry;
    if (!log_read_parse(&entry, line, size))
        return;
    expect(!memchr(line, '\0', size) && !memchr(line, '\n', size));
    struct json_object *object =
        json_tokener_parse(json_object_to_json_string_ext(entry.object, JSON_C_TO_STRING_PLAIN));
    expect(json_object_is_type(object, json_type_object));
    json_object_put(object);
    if (entry.time)
        free(log_read_time_text(entry.time));
    log_read_finish_line(&entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool ready;
    const char *line;
    size_t length, all = 0;
    if (!ready)
        expect(mkdtemp(directory) && atexit(remove_directory) == 0);
    ready = true;
    const uint8_t *cut = size ? memchr(data, 1, size) : NULL;
    size_t older = cut ? (size_t)(cut - data) : 0;
    put("virt-rules.log.1", data, older);
    put("virt-rules.log", data + older, size - older);
    struct log_reader *reader = log_read_open(directory, LOG_WRITE_NAME, false);
    while (log_read_next(reader, &line, &length)) {
        expect(length <= LOG_LINE_LIMIT);
        all += length;
        look_at_line(line, length);
    }
    expect(all <= size && !log_read_error(reader));
    log_read_close(reader);
    return 0;
}
