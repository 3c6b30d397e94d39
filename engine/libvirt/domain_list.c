#include "engine/libvirt/domain_list.h"

#include "engine/libvirt/domain_xml.h"
#include "lexer/memory.h"
#include "lexer/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

void domain_list_append(struct domain_list *domains, const struct domain *domain) {
    domains->list = memory_grow(domains->list, domains->count, sizeof *domains->list);
    domains->list[domains->count++] = *domain;
}

static void domain_list_add_unreadable(struct domain_list *domains, const char *name,
                                       const char *why) {
    struct domain domain;
    domain_unreadable(&domain, name, why);
    domain_list_append(domains, &domain);
}

static void domain_list_add_unread(struct domain_list *domains, const struct virt_domain *vm) {
    struct domain domain;
    domain_unreadable(&domain, vm->uuid, vm->why);
    domain.is_unread = true;
    domain_list_append(domains, &domain);
}

/* Returns false with `failure`, and then adds nothing. */
static bool domain_list_add_parsed(struct domain_list *domains, const char *xml, size_t size,
                                   struct failure *failure) {
    struct domain domain;
    if (domain_xml_parse(&domain, xml, size, failure) < 0)
        return false;
    if (domain.is_off)
        domain_finish(&domain);
    else
        domain_list_append(domains, &domain);
    return true;
}

void domain_list_add(struct domain_list *domains, const char *name, const char *xml, size_t size) {
    struct failure failure;
    if (!domain_list_add_parsed(domains, xml, size, &failure))
        domain_list_add_unreadable(domains, name, failure.message);
}

static void domain_list_remove(struct domain_list *domains, size_t index) {
    memmove(&domains->list[index], &domains->list[index + 1],
            (domains->count - index - 1) * sizeof *domains->list);
    domains->count--;
}

bool domain_list_take(struct domain_list *domains, const char *name, struct domain *domain) {
    const struct domain *first, *second;
    size_t index = domain_pick(domains->list, domains->count, name, &first, &second);
    if (index == domains->count)
        return false;
    *domain = domains->list[index];
    domain_list_remove(domains, index);
    return true;
}

void domain_list_finish(struct domain_list *domains) {
    for (size_t i = 0; i < domains->count; i++)
        domain_finish(&domains->list[i]);
    free(domains->list);
    *domains = (struct domain_list){0};
}

/* --- from libvirt */

static size_t domain_list_leave_out(struct virt_domain *vms, size_t count, const char *uuid) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!uuid || strcasecmp(vms[i].uuid, uuid) != 0)
            vms[kept++] = vms[i];
    return kept;
}

static void domain_list_add_vms(struct domain_list *domains, const struct virt_domain *vms,
                                size_t count) {
    for (size_t i = 0; i < count; i++)
        if (vms[i].xml)
            domain_list_add(domains, vms[i].uuid, vms[i].xml, strlen(vms[i].xml));
        else if (vms[i].why)
            domain_list_add_unread(domains, &vms[i]);
}

/* Takes the VMs. */
static int domain_list_read(struct domain_list *domains, struct virt *virt, struct virt_domain *vms,
                            size_t count, struct virt_error *error) {
    int status = virt->ops->read(virt, vms, count, error);
    if (status == 0)
        domain_list_add_vms(domains, vms, count);
    virt_list_free(vms, count);
    return status;
}

int domain_list_running(struct domain_list *domains, struct virt *virt, const char *own_uuid,
                        struct virt_error *error) {
    struct virt_domain *vms;
    size_t count;
    *domains = (struct domain_list){0};
    if (virt->ops->list(virt, &vms, &count, error) < 0)
        return -1;
    count = domain_list_leave_out(vms, count, own_uuid);
    return domain_list_read(domains, virt, vms, count, error);
}

int domain_list_all(struct domain_list *domains, struct virt *virt, struct virt_error *error) {
    struct virt_domain *vms;
    size_t count;
    *domains = (struct domain_list){0};
    if (virt->ops->list_all(virt, &vms, &count, error) < 0)
        return -1;
    return domain_list_read(domains, virt, vms, count, error);
}

/* --- from the files of a host */

static int domain_list_is_xml(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 4 && !strcmp(entry->d_name + length - 4, ".xml");
}

static void domain_list_add_file(struct domain_list *domains, const char *directory,
                                 const char *file) {
    struct failure failure;
    struct source source;
    char *path = memory_printf("%s/%s", directory, file);
    bool is_read = source_read(&source, path, TRUST_ANY, NULL, &failure) == 0;
    if (!is_read || !domain_list_add_parsed(domains, source.text, source.size, &failure)) {
        char *name = memory_strndup(file, strlen(file) - 4);
        char *why = memory_printf("%s: %s", path, failure.message);
        domain_list_add_unreadable(domains, name, why);
        free(why);
        free(name);
    }
    if (is_read)
        source_finish(&source);
    free(path);
}

/* Returns false when there is no such directory. */
static bool domain_list_add_directory(struct domain_list *domains, const char *root,
                                      const char *place) {
    struct dirent **entries = NULL;
    char *directory = memory_printf("%s/%s", root, place);
    int count = scandir(directory, &entries, domain_list_is_xml, alphasort);
    bool is_missing = count < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (count < 0 && !is_missing) {
        char *name = memory_printf("%s/*", place);
        domain_list_add_unreadable(domains, name, strerror(errno));
        free(name);
    }
    for (int i = 0; i < count; i++) {
        domain_list_add_file(domains, directory, entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
    free(directory);
    return !is_missing;
}

static void domain_list_drop(struct domain_list *domains, size_t from, const struct domain *own) {
    for (size_t i = domains->count; i-- > from;)
        if (domain_is_same(&domains->list[i], own)) {
            domain_finish(&domains->list[i]);
            domain_list_remove(domains, i);
        }
}

/*
 * /var/run is a link to /run almost everywhere. Where it is a directory, a libvirt that was built
 * with it has its files there. A link is not followed: in a copy of a host it would lead out of it.
 */
static void domain_list_add_status_files(struct domain_list *domains, const char *root) {
    struct stat status;
    char *path = memory_printf("%s/var/run", root);
    domain_list_add_directory(domains, root, "run/libvirt/qemu");
    if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
        domain_list_add_directory(domains, root, "var/run/libvirt/qemu");
    free(path);
}

void domain_list_running_in(struct domain_list *domains, const char *root,
                            const struct domain *own) {
    *domains = (struct domain_list){0};
    domain_list_add_status_files(domains, root);
    if (own)
        domain_list_drop(domains, 0, own);
}

void domain_list_defined_in(struct domain_list *domains, const char *root) {
    *domains = (struct domain_list){0};
    domain_list_add_directory(domains, root, "etc/libvirt/qemu");
}

bool domain_list_all_in(struct domain_list *domains, const char *root) {
    domain_list_running_in(domains, root, NULL);
    size_t running = domains->count;
    bool is_found = domain_list_add_directory(domains, root, "etc/libvirt/qemu");
    for (size_t i = 0; i < running; i++)
        domain_list_drop(domains, running, &domains->list[i]);
    return is_found || running;
}
