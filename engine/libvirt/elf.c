#include "engine/libvirt/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct elf {
    const char *bytes;
    size_t size;
    ElfW(Ehdr) header;
};

/* Nothing that the file says of itself is believed: each part is copied if it is there. */
static bool elf_copy(const struct elf *elf, uint64_t offset, void *part, size_t size) {
    if (offset > elf->size || elf->size - offset < size)
        return false;
    memcpy(part, elf->bytes + offset, size);
    return true;
}

static bool elf_is_ours(struct elf *elf) {
    const ElfW(Ehdr) *header = &elf->header;
    const unsigned char class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    return elf_copy(elf, 0, &elf->header, sizeof elf->header) &&
           !memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_ident[EI_CLASS] == class &&
           header->e_phentsize == sizeof(ElfW(Phdr));
}

static bool elf_program_header(const struct elf *elf, unsigned index, ElfW(Phdr) * header) {
    return index < elf->header.e_phnum &&
           elf_copy(elf, (uint64_t)elf->header.e_phoff + (uint64_t)index * sizeof *header, header,
                    sizeof *header);
}

static bool elf_find_segment(const struct elf *elf, unsigned type, ElfW(Phdr) * header) {
    for (unsigned i = 0; elf_program_header(elf, i, header); i++)
        if (header->p_type == type)
            return true;
    return false;
}

/* Where in the file the byte is that the loader puts at that address. */
static bool elf_file_offset(const struct elf *elf, uint64_t address, uint64_t *offset) {
    ElfW(Phdr) header;
    for (unsigned i = 0; elf_program_header(elf, i, &header); i++)
        if (header.p_type == PT_LOAD && address >= header.p_vaddr &&
            address - header.p_vaddr < header.p_filesz) {
            *offset = header.p_offset + (address - header.p_vaddr);
            return true;
        }
    return false;
}

/* The next entry of the dynamic section with that tag, from the entry `*index` on. */
static bool elf_next_entry(const struct elf *elf, const ElfW(Phdr) * dynamic, int64_t tag,
                           size_t *index, uint64_t *value) {
    ElfW(Dyn) entry;
    for (; (*index + 1) * sizeof entry <= dynamic->p_filesz &&
           elf_copy(elf, dynamic->p_offset + *index * sizeof entry, &entry, sizeof entry) &&
           entry.d_tag != DT_NULL;)
        if (++*index && entry.d_tag == tag) {
            *value = entry.d_un.d_val;
            return true;
        }
    return false;
}

static void elf_walk(struct elf *elf, void (*take)(void *context, const char *name),
                     void *context) {
    ElfW(Phdr) dynamic;
    uint64_t address, names, name;
    size_t index = 0;
    if (!elf_is_ours(elf) || !elf_find_segment(elf, PT_DYNAMIC, &dynamic) ||
        !elf_next_entry(elf, &dynamic, DT_STRTAB, &index, &address) ||
        !elf_file_offset(elf, address, &names))
        return;
    index = 0;
    while (elf_next_entry(elf, &dynamic, DT_NEEDED, &index, &name))
        if (names < elf->size && name < elf->size - names &&
            memchr(elf->bytes + names + name, '\0', elf->size - names - name))
            take(context, elf->bytes + names + name);
}

void elf_each_needed(const char *path, void (*take)(void *context, const char *name),
                     void *context) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        struct elf elf = {.size = (size_t)status.st_size};
        void *bytes = mmap(NULL, elf.size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            elf.bytes = bytes;
            elf_walk(&elf, take, context);
            munmap(bytes, elf.size);
        }
    }
    close(fd);
}
