/* Any bytes through the formatter: what it writes is right, says the same, and is final. */
#include "parser/check.h"
#include "parser/format.h"

#include <stdlib.h>
#include <string.h>

static void expect(bool truth) {
    if (!truth)
        abort();
}

static char *format(const char *text, size_t size, size_t *formatted_size) {
    struct source source;
    struct diagnostics diagnostics = {0};
    source_from_text(&source, "fuzz.rules", text, size);
    char *formatted = format_rules(&source, &diagnostics, formatted_size);
    expect(formatted || diagnostic_count_errors(&diagnostics) > 0);
    diagnostic_finish_list(&diagnostics);
    source_finish(&source);
    return formatted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t once_size = 0, twice_size = 0;
    char *once = format((const char *)data, size, &once_size);
    if (!once)
        return 0;
    char *twice = format(once, once_size, &twice_size);
    expect(twice && once_size == twice_size && !memcmp(once, twice, once_size));
    free(twice);
    free(once);
    return 0;
}
