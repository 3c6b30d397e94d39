#include "engine/libvirt/domain_list.h"

#include "engine/libvirt/domain_xml.h"
#include "engine/libvirt/running_domains.h"
#include "lexer/memory.h"
#include "lexer/source.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

void domain_list_add_xml(struct vms *vms, const char *xml, size_t size) {
    struct domain domain;
    if (domain_xml_parse(&domain, xml, size, NULL) < 0)
        return;
    vms->list = memory_grow(vms->list, vms->count, sizeof *vms->list);
    vms->list[vms->count++] = domain;
}

int domain_list_from_libvirt(struct vms *vms, struct virt *virt, struct virt_error *error) {
    struct virt_vm *found = NULL;
    size_t count = 0;
    *vms = (struct vms){0};
    if (virt->ops->list_all(virt, &found, &count, error) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        domain_list_add_xml(vms, found[i].xml, strlen(found[i].xml));
    virt_list_free(found, count);
    return 0;
}

static int domain_list_is_definition(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 4 && !strcmp(entry->d_name + length - 4, ".xml");
}

static void domain_list_add_file(struct vms *vms, const char *directory, const char *name) {
    char error[256], hint[256];
    struct source file;
    char *path = memory_printf("%s/%s", directory, name);
    if (source_read(&file, path, TRUST_ANY, NULL, error, hint) == 0) {
        domain_list_add_xml(vms, file.text, file.size);
        source_finish(&file);
    }
    free(path);
}

static bool domain_list_from_definitions(struct vms *vms, const char *root) {
    struct dirent **entries = NULL;
    char *directory = memory_printf("%s/etc/libvirt/qemu", root);
    int count = scandir(directory, &entries, domain_list_is_definition, alphasort);
    *vms = (struct vms){0};
    for (int i = 0; i < count; i++) {
        domain_list_add_file(vms, directory, entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
    free(directory);
    return count >= 0;
}

bool domain_list_from_tree(struct vms *vms, const char *root) {
    struct vms defined;
    struct others running;
    bool found = domain_list_from_definitions(&defined, root);
    running_domains_from_tree(&running, root, NULL);
    *vms = (struct vms){running.list, running.count};
    for (size_t i = 0; i < defined.count; i++) {
        bool runs = false;
        for (size_t j = 0; j < running.count && !runs; j++)
            runs = running_domains_is_same(&running.list[j], &defined.list[i]);
        if (runs) {
            domain_finish(&defined.list[i]);
            continue;
        }
        vms->list = memory_grow(vms->list, vms->count, sizeof *vms->list);
        vms->list[vms->count++] = defined.list[i];
    }
    free(defined.list);
    return found || running.count;
}

void domain_list_finish(struct vms *vms) {
    for (size_t i = 0; i < vms->count; i++)
        domain_finish(&vms->list[i]);
    free(vms->list);
    *vms = (struct vms){0};
}
