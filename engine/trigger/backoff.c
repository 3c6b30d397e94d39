#include "engine/trigger/backoff.h"

#include "engine/run/retry.h"
#include "lexer/memory.h"

#include <inttypes.h>

enum { LOOK_MS = 250 };

const char backoff_hint[] = "if the guest resets it, write 'guest reset off' after 'as usb' in the "
                            "rule; else check the cable and the power "
                            "supply";

void backoff_note_loss(struct device_slot *slot, int64_t now) {
    if (!slot->attached)
        return;
    slot->losses = now - slot->attached < BACKOFF_SOON_MS ? slot->losses + 1 : 0;
    slot->attached = 0;
}

void backoff_note_attached(struct device_slot *slot, int64_t now) {
    slot->attached = now;
}

int64_t backoff_wait_ms(const struct device_slot *slot) {
    int64_t wait = BACKOFF_FIRST_MS;
    if (slot->losses < BACKOFF_FREE_LOSSES)
        return 0;
    for (unsigned i = BACKOFF_FREE_LOSSES; i < slot->losses && wait < BACKOFF_LONGEST_MS; i++)
        wait *= 2;
    return wait < BACKOFF_LONGEST_MS ? wait : BACKOFF_LONGEST_MS;
}

bool backoff_wait(const struct host_source *source, const struct device *device, int64_t wait_ms,
                  struct clock *clock) {
    struct retry retry = retry_start_steady(clock, LOOK_MS);
    bool is_there;
    while ((is_there = source->is_there(source, device)) && retry_sleep(&retry, wait_ms))
        ;
    return is_there;
}

char *backoff_message(const struct device_slot *slot, int64_t wait_ms) {
    return memory_printf(
        "it left its VM %u times in succession within seconds of its attach: it is attached "
        "again when it has been on the host for %" PRId64 " s",
        slot->losses, wait_ms / 1000);
}
