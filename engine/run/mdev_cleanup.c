#include "engine/run/mdev_cleanup.h"

#include "engine/run/retry.h"
#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MDEV_CLEANUP_LIMIT_MS = 10000 /* how long qemu may take to close it */ };

static bool mdev_cleanup_is_kept(const struct mdev_cleanup *cleanup, const char *uuid) {
    bool is = cleanup->domain && domain_has_mdev(cleanup->domain, uuid);
    for (size_t i = 0; i < cleanup->other_count; i++)
        is |= domain_has_mdev(&cleanup->others[i], uuid);
    return is;
}

/* One that somebody else has created since, with the same UUID, is not ours. */
static bool mdev_cleanup_is_there(const struct mdev_cleanup *cleanup,
                                  const struct vm_state_mdev *noted) {
    char *parent = NULL, *type = NULL;
    bool is = cleanup->source->find_mdev(cleanup->source, noted->uuid, &parent, &type) &&
              (!parent || !strcmp(parent, noted->parent)) && (!type || !strcmp(type, noted->type));
    free(parent);
    free(type);
    return is;
}

/* NULL: nobody has it open, or no longer. The caller frees it. */
static char *mdev_cleanup_wait(const struct mdev_cleanup *cleanup, const char *uuid) {
    struct retry retry = retry_start(cleanup->clock);
    char *user;
    while ((user = cleanup->source->mdev_user(cleanup->source, uuid)) &&
           retry_sleep(&retry, MDEV_CLEANUP_LIMIT_MS))
        free(user);
    return user;
}

static bool mdev_cleanup_remove(const struct mdev_cleanup *cleanup,
                                const struct vm_state_mdev *noted) {
    struct failure failure = {.message = ""};
    char *user = mdev_cleanup_wait(cleanup, noted->uuid);
    if (user)
        failure_set(&failure, "the mediated device %s stays: %s has it open", noted->uuid, user);
    bool gone = !user && cleanup->source->remove_mdev(cleanup->source, noted->uuid, &failure) == 0;
    if (!gone) {
        char *device = memory_printf("%s %s", noted->parent, noted->uuid);
        cleanup->report(cleanup->context, device, failure.message,
                        "when nothing uses it any more, 'virt-rules apply' removes it");
        free(device);
    }
    free(user);
    return gone;
}

bool mdev_cleanup(const struct mdev_cleanup *cleanup, struct vm_state *state) {
    bool changed = false;
    for (size_t i = state->mdev_count; i-- > 0;) {
        const struct vm_state_mdev *noted = &state->mdevs[i];
        if (mdev_cleanup_is_kept(cleanup, noted->uuid) ||
            (mdev_cleanup_is_there(cleanup, noted) && !mdev_cleanup_remove(cleanup, noted)))
            continue;
        vm_state_remove_mdev(state, noted->uuid);
        changed = true;
    }
    return changed;
}
