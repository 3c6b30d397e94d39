#include "engine/state/boot_note.h"

#include "engine/state/state_file.h"
#include "engine/system/file.h"
#include "engine/system/process.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *word;
    enum boot_note_result result;
} boot_note_words[] = {
    {"begun", BOOT_NOTE_RUNNING}, {"good", BOOT_NOTE_GOOD}, {"problem", BOOT_NOTE_PROBLEM}};

enum { BOOT_NOTE_WORDS = sizeof boot_note_words / sizeof *boot_note_words };

void boot_note_write(const char *state, enum boot_note_result result) {
    char boot[PROCESS_BOOT_ID_SIZE], time[CLOCK_STAMP_SIZE];
    char *path = memory_printf("%s/boot", state), *temporary = memory_printf("%s/.boot.new", state);
    struct state_text file = {0};
    size_t i = 0;
    while (i + 1 < BOOT_NOTE_WORDS && boot_note_words[i].result != result)
        i++;
    process_boot_id("", boot);
    clock_stamp(time);
    state_file_add_line(&file, "boot %s %s %d %llu %s", *boot ? boot : "-", boot_note_words[i].word,
                        (int)getpid(), process_started("", getpid()), time);
    mkdir(state, 0700);
    file_replace(path, temporary, file.text, file.size);
    free(file.text);
    free(temporary);
    free(path);
}

static enum boot_note_result boot_note_parse(char *line, const char *root,
                                             char time[CLOCK_STAMP_SIZE]) {
    char boot[PROCESS_BOOT_ID_SIZE];
    enum boot_note_result result = BOOT_NOTE_NONE;
    const char *first = text_next_field(&line), *id = text_next_field(&line),
               *word = text_next_field(&line), *process = text_next_field(&line),
               *started = text_next_field(&line), *stamp = text_next_field(&line);
    if (!stamp || strcmp(first, "boot") != 0 || strlen(stamp) >= CLOCK_STAMP_SIZE ||
        process_boot_id(root, boot) != 0 || strcmp(id, *boot ? boot : "-") != 0)
        return BOOT_NOTE_NONE;
    for (size_t i = 0; i < BOOT_NOTE_WORDS; i++)
        if (!strcmp(word, boot_note_words[i].word))
            result = boot_note_words[i].result;
    if (result == BOOT_NOTE_RUNNING &&
        process_started(root, (pid_t)strtol(process, NULL, 10)) != strtoull(started, NULL, 10))
        result = BOOT_NOTE_INTERRUPTED;
    memcpy(time, stamp, strlen(stamp) + 1);
    return result;
}

enum boot_note_result boot_note_read(const char *state, const char *root,
                                     char time[CLOCK_STAMP_SIZE]) {
    char *path = memory_printf("%s/boot", state), *text = NULL;
    enum boot_note_result result = BOOT_NOTE_NONE;
    size_t size = 0;
    *time = '\0';
    if (file_read(path, &text, &size) == 0) {
        char *rest = text, *line = NULL;
        if (state_file_next_line(&rest, &size, &line) && line)
            result = boot_note_parse(line, root, time);
    }
    free(text);
    free(path);
    return result;
}
