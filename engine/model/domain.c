#include "engine/model/domain.h"

#include "lexer/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UUID_DIGITS = 32 };

bool domain_uuid_parse(const char *text, char uuid[DOMAIN_UUID_SIZE]) {
    size_t digits = 0, length = 0;

    text += strspn(text, " \t\r\n");
    for (; *text && digits < UUID_DIGITS; text++) {
        if (*text == '-')
            continue;
        if (!isxdigit((unsigned char)*text))
            return false;
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20)
            uuid[length++] = '-';
        uuid[length++] = (char)tolower((unsigned char)*text);
        digits++;
    }
    uuid[length] = '\0';
    return digits == UUID_DIGITS && text[strspn(text, " \t\r\n")] == '\0';
}

void domain_from_name(struct domain *domain, const char *name) {
    char uuid[DOMAIN_UUID_SIZE];
    *domain = (struct domain){.id = -1, .name = memory_strdup(name)};
    if (domain_uuid_parse(name, uuid))
        domain->uuid = memory_strdup(uuid);
}

void domain_unreadable(struct domain *domain, const char *name, const char *why) {
    domain_from_name(domain, name);
    domain->unreadable = memory_strdup(why);
}

void domain_finish(struct domain *domain) {
    for (size_t i = 0; i < domain->use_count; i++) {
        free(domain->uses[i].name);
        free(domain->uses[i].element);
    }
    free(domain->uses);
    free(domain->unreadable);
    free(domain->name);
    free(domain->title);
    free(domain->uuid);
    free(domain->machine);
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        free(domain->hostdevs[i].path);
        free(domain->hostdevs[i].element);
    }
    free(domain->hostdevs);
    for (size_t i = 0; i < domain->boot_count; i++)
        free(domain->boots[i].element);
    free(domain->boots);
    free(domain->controllers);
    free(domain->marks);
    *domain = (struct domain){.id = -1};
}

bool domain_is_marked(const struct domain_hostdev *hostdev, const struct definition_mark *mark) {
    char address[DEFINITION_MARK_ADDRESS];
    snprintf(address, sizeof address, "%u/%u", hostdev->bus_number, hostdev->device_number);
    return mark->kind == DEFINITION_MARK_HOSTDEV && mark->backend == hostdev->backend &&
           !strcmp(mark->address, hostdev->bus == BUS_USB ? address : hostdev->address) &&
           (!*mark->alias || !strcmp(mark->alias, hostdev->alias));
}

bool domain_has_marked(const struct domain *domain, const struct definition_mark *mark) {
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (domain_is_marked(&domain->hostdevs[i], mark))
            return true;
    for (size_t i = 0; i < domain->controller_count; i++)
        if (mark->kind == DEFINITION_MARK_CONTROLLER && domain->controllers[i].is_root_port &&
            mark->index == domain->controllers[i].index)
            return true;
    return false;
}

static void domain_keep_hostdev(struct domain *left, const struct domain *domain, size_t index) {
    left->hostdevs[left->hostdev_count++] = domain->hostdevs[index];
    for (size_t i = 0; i < domain->use_count; i++)
        if (domain->uses[i].hostdev == index + 1) {
            left->uses[left->use_count] = domain->uses[i];
            left->uses[left->use_count++].hostdev = left->hostdev_count;
        }
    for (size_t i = 0; i < domain->boot_count; i++)
        if (domain->boots[i].hostdev == index + 1) {
            left->boots[left->boot_count] = domain->boots[i];
            left->boots[left->boot_count++].hostdev = left->hostdev_count;
        }
}

void domain_without_marked(struct domain *left, const struct domain *domain, const bool *kept) {
    *left = *domain;
    left->hostdevs = memory_zalloc((domain->hostdev_count + 1) * sizeof *left->hostdevs);
    left->uses = memory_zalloc((domain->use_count + 1) * sizeof *left->uses);
    left->boots = memory_zalloc((domain->boot_count + 1) * sizeof *left->boots);
    left->hostdev_count = left->use_count = left->boot_count = 0;
    for (size_t i = 0; i < domain->use_count; i++)
        if (!domain->uses[i].hostdev)
            left->uses[left->use_count++] = domain->uses[i];
    for (size_t i = 0; i < domain->boot_count; i++)
        if (!domain->boots[i].hostdev)
            left->boots[left->boot_count++] = domain->boots[i];
    for (size_t i = 0; i < domain->hostdev_count; i++) {
        const struct domain_hostdev *hostdev = &domain->hostdevs[i];
        if (!hostdev->mark || (kept && kept[i])) {
            domain_keep_hostdev(left, domain, i);
            continue;
        }
        guest_leave(&left->guest, &hostdev->place);
        if (*hostdev->mac)
            guest_remove_card(&left->guest, hostdev->mac);
    }
}

void domain_finish_without(struct domain *left) {
    free(left->hostdevs);
    free(left->uses);
    free(left->boots);
    *left = (struct domain){.id = -1};
}

const char *domain_key(const struct domain *domain) {
    return domain->uuid ? domain->uuid : domain->name;
}

bool domain_is_same(const struct domain *a, const struct domain *b) {
    return a->uuid && b->uuid ? !strcmp(a->uuid, b->uuid) : !strcmp(a->name, b->name);
}

const char *domain_label(const struct domain *domain) {
    return domain->title ? domain->title : domain->name;
}

/*
 * The strongest of them. A UUID is compared in any case, with its dashes or without them. A text in
 * the shape of a UUID never means a title: whoever may name a VM would have another's devices.
 */
static enum domain_fit domain_fits(const struct domain *domain, const char *text) {
    char uuid[DOMAIN_UUID_SIZE];
    bool is_uuid = domain_uuid_parse(text, uuid);

    if (is_uuid && domain->uuid && strcmp(domain->uuid, uuid) == 0)
        return FIT_UUID;
    if (domain->name && strcmp(domain->name, text) == 0)
        return FIT_NAME;
    return !is_uuid && domain->title && strcmp(domain->title, text) == 0 ? FIT_TITLE : FIT_NOT;
}

size_t domain_pick(const struct domain *list, size_t count, const char *text,
                   const struct domain **first, const struct domain **second) {
    enum domain_fit best = FIT_NOT;
    size_t found = count;

    *first = *second = NULL;
    for (size_t i = 0; i < count; i++) {
        enum domain_fit fit = list[i].unreadable ? FIT_NOT : domain_fits(&list[i], text);

        if (fit == FIT_TITLE && best == FIT_TITLE && !*second)
            *second = &list[i];
        if (fit <= best)
            continue;
        best = fit;
        found = i;
    }
    if (best != FIT_TITLE || !*second) {
        *second = NULL;
        return found;
    }
    *first = &list[found];
    return count;
}

bool domain_is_called(const struct domain *domain, const char *text) {
    return domain_fits(domain, text) != FIT_NOT;
}

bool domain_has_mdev(const struct domain *domain, const char *uuid) {
    for (size_t i = 0; i < domain->hostdev_count; i++)
        if (domain->hostdevs[i].backend == BACKEND_MDEV && !strcmp(domain->hostdevs[i].uuid, uuid))
            return true;
    return false;
}
