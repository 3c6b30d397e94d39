#include "engine/run/guest_removal.h"
#include "engine/libvirt/domain_xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_LOOK_MS = 250, SELDOMEST_LOOK_MS = 5000 };

/* What the live XML says. */
enum guest_removal_sight { SEES_IT, SEES_IT_GONE, SEES_NO_VM, SEES_NOTHING };

static bool guest_removal_is_same(const struct domain_hostdev *a, const struct domain_hostdev *b) {
    return a->bus == b->bus && !strcmp(a->alias, b->alias) && !strcmp(a->address, b->address) &&
           a->bus_number == b->bus_number && a->device_number == b->device_number;
}

static bool guest_removal_has(const struct domain *domain, const struct domain_hostdev *hostdev) {
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (guest_removal_is_same(&domain->hostdevs[i], hostdev))
            return true;
    return false;
}

/* The id tells one run of a VM from the next. */
static enum guest_removal_sight guest_removal_judge(const struct guest_removal *release,
                                                    const struct domain *now) {
    if (now->id < 0 || (release->domain->id >= 0 && now->id != release->domain->id))
        return SEES_NO_VM;
    return guest_removal_has(now, release->hostdev) ? SEES_IT : SEES_IT_GONE;
}

static enum guest_removal_sight guest_removal_read_vm(const struct guest_removal *release,
                                                      const char *xml, struct virt_error *error) {
    struct domain now;
    enum guest_removal_sight sight;
    if (domain_xml_parse(&now, xml, strlen(xml), &error->failure) < 0) {
        error->kind = VIRT_FAILED;
        snprintf(error->failure.hint, sizeof error->failure.hint,
                 "it is what libvirt says of the VM: see virsh dumpxml");
        return SEES_NOTHING;
    }
    sight = guest_removal_judge(release, &now);
    domain_finish(&now);
    return sight;
}

static enum guest_removal_sight guest_removal_look(const struct guest_removal *release,
                                                   struct virt_error *error) {
    char *xml = NULL;
    enum guest_removal_sight sight;
    if (release->virt->ops->domain_xml(release->virt, domain_key(release->domain), &xml, error) < 0)
        return error->kind == VIRT_NO_DOMAIN || error->kind == VIRT_NOT_RUNNING ? SEES_NO_VM
                                                                                : SEES_NOTHING;
    sight = guest_removal_read_vm(release, xml, error);
    free(xml);
    return sight;
}

static int64_t guest_removal_now_of(const struct guest_removal *release) {
    return release->clock->now_ms(release->clock);
}

/* Whether there is something new to see: news of this device, of the VM's end, or the time over.
 * A connection that was lost is watched anew. */
static bool guest_removal_is_news(const struct guest_removal *release, int64_t pause,
                                  enum virt_news_kind *kind) {
    struct virt_news news;
    struct virt_error ignored;
    if (release->virt->ops->wait(release->virt, (int)pause, &news, &ignored) < 0) {
        release->clock->sleep_ms(release->clock, pause);
        release->virt->ops->watch(release->virt, domain_key(release->domain), &ignored);
        news.kind = VIRT_NEWS_NONE;
    }
    *kind = news.kind;
    return news.kind == VIRT_NEWS_NONE || news.kind == VIRT_NEWS_STOPPED ||
           !strcmp(news.alias, release->hostdev->alias);
}

/* Returns what was seen last, SEES_NOTHING with `error`. */
static enum guest_removal_sight guest_removal_wait_for_guest(const struct guest_removal *release,
                                                             bool *refused,
                                                             struct virt_error *error) {
    int64_t limit = release->limit_ms ? release->limit_ms : GUEST_RELEASE_LIMIT_MS;
    int64_t deadline = guest_removal_now_of(release) + limit, pause = FIRST_LOOK_MS;
    enum guest_removal_sight sight = guest_removal_look(release, error);
    while ((sight == SEES_IT || sight == SEES_NOTHING) && !*refused) {
        int64_t left = deadline - guest_removal_now_of(release);
        enum virt_news_kind kind;
        if (left <= 0)
            break;
        if (!guest_removal_is_news(release, pause < left ? pause : left, &kind))
            continue;
        sight = guest_removal_look(release, error);
        *refused = sight == SEES_IT && kind == VIRT_NEWS_REFUSED;
        pause = pause * 2 < SELDOMEST_LOOK_MS ? pause * 2 : SELDOMEST_LOOK_MS;
    }
    return sight;
}

static const char REFUSAL[] = "the guest refuses to let it go",
                  REFUSAL_HINT[] = "stop its use in the guest, or shut the VM down";

static enum guest_answer guest_removal_say(struct virt_error *result, enum guest_answer answer,
                                           const char *message, const char *hint) {
    *result = (struct virt_error){.kind = VIRT_FAILED};
    snprintf(result->failure.message, sizeof result->failure.message, "%s", message);
    snprintf(result->failure.hint, sizeof result->failure.hint, "%s", hint);
    return answer;
}

static enum guest_answer guest_removal_answer_of(enum guest_removal_sight sight, bool refused,
                                                 struct virt_error *result) {
    switch (sight) {
    case SEES_IT_GONE:
        return guest_removal_say(result, GUEST_LET_GO, "the guest let it go", "");
    case SEES_NO_VM:
        return guest_removal_say(result, GUEST_STOPPED, "the VM has stopped",
                                 "nothing has to be taken out of it any more");
    case SEES_IT:
        return refused ? guest_removal_say(result, GUEST_KEEPS_IT, REFUSAL, REFUSAL_HINT)
                       : guest_removal_say(
                             result, GUEST_IS_SILENT, "the guest does not let it go",
                             "it does not answer: has it started up, and does it know hot-plug? "
                             "Stop its use in the guest, or shut the VM down");
    case SEES_NOTHING:
        break;
    }
    return GUEST_UNSEEN;
}

/* The call failed: perhaps because it is gone already, or the answer was quick. */
static enum guest_answer guest_removal_explain(const struct guest_removal *release,
                                               struct virt_error *result) {
    struct virt_error ignored;
    if (result->kind == VIRT_REFUSED)
        return guest_removal_say(result, GUEST_KEEPS_IT, REFUSAL, REFUSAL_HINT);
    if (result->kind == VIRT_FAILED && guest_removal_look(release, &ignored) == SEES_IT_GONE)
        return guest_removal_say(result, GUEST_LET_GO, "the VM does not have it any more", "");
    return GUEST_NOT_ASKED;
}

enum guest_answer guest_removal_wait(const struct guest_removal *release,
                                     struct virt_error *result) {
    struct virt *virt = release->virt;
    bool refused = false;
    enum guest_removal_sight sight;
    /* Without news the VM is looked at: what is wrong with libvirt, the next call says. */
    virt->ops->watch(virt, domain_key(release->domain), result);
    if (virt->ops->detach(virt, domain_key(release->domain), release->domain->id, release->xml,
                          result) < 0)
        return guest_removal_explain(release, result);
    sight = guest_removal_wait_for_guest(release, &refused, result);
    return guest_removal_answer_of(sight, refused, result);
}
