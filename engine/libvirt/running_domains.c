#include "engine/libvirt/running_domains.h"

#include "engine/libvirt/domain_xml.h"
#include "lexer/memory.h"
#include "lexer/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void running_domains_add(struct others *others, const struct domain *domain) {
    others->list = memory_grow(others->list, others->count, sizeof *others->list);
    others->list[others->count++] = *domain;
}

/* What cannot be read is not left out: the VM may have anything. */
static void running_domains_add_unreadable(struct others *others, const char *name,
                                           const char *why) {
    struct domain domain;
    domain_unreadable(&domain, name, why);
    running_domains_add(others, &domain);
}

static void running_domains_add_xml(struct others *others, const char *name, const char *xml,
                                    size_t size) {
    struct domain domain;
    struct failure failure;
    if (domain_xml_parse(&domain, xml, size, &failure) < 0)
        running_domains_add_unreadable(others, name, failure.message);
    else if (domain.is_off)
        domain_finish(&domain);
    else
        running_domains_add(others, &domain);
}

int running_domains_load(struct others *others, struct virt *virt, const char *own_uuid,
                         struct virt_error *error) {
    struct virt_vm *vms = NULL;
    size_t count = 0;
    *others = (struct others){0};
    if (virt->ops->list(virt, &vms, &count, error) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!own_uuid || strcasecmp(vms[i].uuid, own_uuid) != 0)
            running_domains_add_xml(others, vms[i].uuid, vms[i].xml, strlen(vms[i].xml));
    virt_list_free(vms, count);
    return 0;
}

/* --- of a copy of a host */

static int running_domains_is_status(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 4 && !strcmp(entry->d_name + length - 4, ".xml");
}

static void running_domains_add_file(struct others *others, const char *directory,
                                     const char *file) {
    char error[256], hint[256];
    struct source source;
    char *path = memory_printf("%s/%s", directory, file);
    char *name = memory_strndup(file, strlen(file) - 4);
    if (source_read(&source, path, TRUST_ANY, NULL, error, hint) == 0) {
        running_domains_add_xml(others, name, source.text, source.size);
        source_finish(&source);
    } else {
        running_domains_add_unreadable(others, name, error);
    }
    free(name);
    free(path);
}

bool running_domains_is_same(const struct domain *a, const struct domain *b) {
    return a->uuid && b->uuid ? !strcmp(a->uuid, b->uuid) : !strcmp(a->name, b->name);
}

static void running_domains_leave_out(struct others *others, size_t index) {
    memmove(&others->list[index], &others->list[index + 1],
            (others->count - index - 1) * sizeof *others->list);
    others->count--;
}

void running_domains_from_tree(struct others *others, const char *root, const struct domain *own) {
    struct dirent **entries = NULL;
    char *directory = memory_printf("%s/run/libvirt/qemu", root);
    int count = scandir(directory, &entries, running_domains_is_status, alphasort);
    *others = (struct others){0};
    if (count < 0 && errno != ENOENT && errno != ENOTDIR)
        running_domains_add_unreadable(others, "run/libvirt/qemu/*", strerror(errno));
    for (int i = 0; i < count; i++) {
        running_domains_add_file(others, directory, entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
    free(directory);
    for (size_t i = others->count; own && i-- > 0;)
        if (running_domains_is_same(&others->list[i], own)) {
            domain_finish(&others->list[i]);
            running_domains_leave_out(others, i);
        }
}

bool running_domains_take(struct others *others, const char *name, struct domain *domain) {
    const struct domain *first, *second;
    size_t index = domain_pick(others->list, others->count, name, &first, &second);
    if (index == others->count)
        return false;
    *domain = others->list[index];
    running_domains_leave_out(others, index);
    return true;
}

void running_domains_finish(struct others *others) {
    for (size_t i = 0; i < others->count; i++)
        domain_finish(&others->list[i]);
    free(others->list);
    *others = (struct others){0};
}
