/* Any bytes as what is kept of a VM, of a device and of calls. The first byte chooses whether each
 * line gets its right sum, without which nearly nothing would be read. */
#include "engine/state/device_db.h"
#include "engine/state/freed_note.h"
#include "engine/state/pending.h"
#include "engine/state/state_file.h"
#include "engine/state/vm_state.h"
#include "engine/system/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define PLACE "usb-1-1"
#define BOOT "BOOT"

static char directory[] = "/tmp/virt-rules-fuzz-XXXXXX";
static char boot[64];

static void expect(bool truth) {
    if (!truth)
        abort();
}

static void remove_directory(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    expect(system(command) == 0); /* NOLINT(cert-env33-c): a path of this program */
}

static void set_up(void) {
    char path[128], *text;
    size_t size;
    if (*boot)
        return;
    expect(mkdtemp(directory) && atexit(remove_directory) == 0);
    snprintf(path, sizeof path, "%s/vms", directory);
    expect(mkdir(path, 0700) == 0);
    snprintf(path, sizeof path, "%s/devices", directory);
    expect(mkdir(path, 0700) == 0);
    expect(file_read("/proc/sys/kernel/random/boot_id", &text, &size) == 0);
    snprintf(boot, sizeof boot, "%.*s", (int)strcspn(text, "\n"), text);
    free(text);
}

static void put(const char *name, const char *text, size_t size) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    expect(file >= 0 && write(file, text, size) == (ssize_t)size && close(file) == 0);
}

/* With right sums, and this boot's name for BOOT. */
static void put_right(const char *name, const char *text, size_t size) {
    struct state_text file = {0};
    for (size_t at = 0; at < size;) {
        const char *line = text + at, *feed = memchr(line, '\n', size - at);
        size_t length = feed ? (size_t)(feed - line) : size - at;
        const char *word = memmem(line, length, BOOT, strlen(BOOT));
        if (word)
            state_file_add_line(&file, "%.*s%s%.*s", (int)(word - line), line, boot,
                                (int)(line + length - word - strlen(BOOT)), word + strlen(BOOT));
        else
            state_file_add_line(&file, "%.*s", (int)length, line);
        at += length + 1;
    }
    put(name, file.text ? file.text : "", file.size);
    free(file.text);
}

static void look_at_life(void) {
    struct vm_state vm_state, again;
    struct failure failure;
    bool found = vm_state_load(&vm_state, directory, UUID);
    expect(!vm_state.ignored || !strchr(vm_state.ignored, '\n'));
    for (size_t i = 0; i < vm_state.unbound_count; i++)
        expect(vm_state.unbound[i].address && *vm_state.unbound[i].address &&
               vm_state.unbound[i].iommu_group >= -1);
    for (size_t i = 0; i < vm_state.parked_count; i++)
        expect(vm_state.parked[i].address && *vm_state.parked[i].address);
    for (size_t i = 0; i < vm_state.refused_count; i++)
        expect(vm_state.refused[i].address && vm_state.refused[i].since);
    for (size_t i = 0; i < vm_state.result_count; i++)
        expect(vm_state.results[i].time && vm_state.results[i].since);
    if (found && !vm_state.error) {
        expect(vm_state_save(&vm_state, directory, UUID, &failure) == 0);
        bool kept = vm_state_load(&again, directory, UUID);
        expect(!kept || (again.unbound_count == vm_state.unbound_count && !again.ignored &&
                         again.parked_count == vm_state.parked_count &&
                         again.refused_count == vm_state.refused_count &&
                         !again.parked_since == !vm_state.parked_since &&
                         again.result_count == vm_state.result_count));
        vm_state_finish(&again);
    }
    vm_state_finish(&vm_state);
}

static void look_at_presence(void) {
    struct device_slot slot;
    size_t count;
    device_db_read(&slot, directory, PLACE, boot);
    expect(!slot.is_here || (slot.here.address && slot.here.name));
    device_db_finish(&slot);
    struct device *all = device_db_all(directory, boot, &count);
    for (size_t i = 0; i < count; i++)
        device_finish(&all[i]);
    free(all);
}

static void look_at_calls(void) {
    size_t count;
    free(pending_load(directory, UUID, &count));
    free(pending_text(directory, UUID));
}

/* What cannot be read is removed, and the directory with the last of them. */
static void look_at_freed(void) {
    size_t count, after;
    struct freed_note *notes = freed_note_all(directory, &count);
    for (size_t i = 0; i < count; i++)
        expect(notes[i].address && *notes[i].address && notes[i].from && notes[i].text);
    freed_note_finish_own(directory);
    struct freed_note *again = freed_note_all(directory, &after);
    expect(after == count);
    freed_note_free(again, after);
    for (size_t i = 0; i < count; i++)
        freed_note_remove(directory, &notes[i]);
    freed_note_free(notes, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"vms/" UUID, "devices/" PLACE, "vms/" UUID ".call",
                                        "freed/" PLACE};
    const char *text = (const char *)data + 1;
    char freed[128];
    set_up();
    snprintf(freed, sizeof freed, "%s/freed", directory);
    mkdir(freed, 0700);
    if (!size)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (*data & 1)
            put_right(names[i], text, size - 1);
        else
            put(names[i], text, size - 1);
    }
    look_at_life();
    look_at_presence();
    look_at_calls();
    look_at_freed();
    return 0;
}
