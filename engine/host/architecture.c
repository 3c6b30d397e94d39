#include "engine/host/architecture.h"

#include "engine/host/tree.h"
#include "lexer/memory.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *package, *iommu;
} architectures[] = {
    [ARCHITECTURE_UNKNOWN] = {"x86_64", "linux-image-amd64", ARCHITECTURE_IOMMU_X86_64},
    [ARCHITECTURE_X86_64] = {"x86_64", "linux-image-amd64", ARCHITECTURE_IOMMU_X86_64},
    [ARCHITECTURE_AARCH64] = {"aarch64", "linux-image-arm64", ARCHITECTURE_IOMMU_AARCH64},
    [ARCHITECTURE_RISCV64] = {"riscv64", "linux-image-riscv64", ARCHITECTURE_IOMMU_RISCV64},
    [ARCHITECTURE_S390X] = {"s390x", "linux-image-s390x", ARCHITECTURE_IOMMU_S390X},
};

/* A part of a file that only hosts of that architecture have. NULL: that the file is there. `arch`
 * is from Linux 6.1 on; cpuinfo is written by each architecture in its own way, the release has the
 * name that distributions add, and interrupts name the interrupt controller. */
static const struct architecture_sign {
    const char *path, *text;
    enum architecture architecture;
} signs[] = {
    {"proc/sys/kernel/arch", "x86_64", ARCHITECTURE_X86_64},
    {"proc/sys/kernel/arch", "aarch64", ARCHITECTURE_AARCH64},
    {"proc/sys/kernel/arch", "riscv64", ARCHITECTURE_RISCV64},
    {"proc/sys/kernel/arch", "s390x", ARCHITECTURE_S390X},
    {"proc/cpuinfo", "CPU implementer", ARCHITECTURE_AARCH64},
    {"proc/cpuinfo", "isa\t\t: rv64", ARCHITECTURE_RISCV64},
    {"proc/cpuinfo", "IBM/S390", ARCHITECTURE_S390X},
    {"proc/cpuinfo", "cpu family", ARCHITECTURE_X86_64},
    {"proc/sys/kernel/osrelease", "amd64", ARCHITECTURE_X86_64},
    {"proc/sys/kernel/osrelease", "x86_64", ARCHITECTURE_X86_64},
    {"proc/sys/kernel/osrelease", "arm64", ARCHITECTURE_AARCH64},
    {"proc/sys/kernel/osrelease", "aarch64", ARCHITECTURE_AARCH64},
    {"proc/sys/kernel/osrelease", "riscv64", ARCHITECTURE_RISCV64},
    {"proc/sys/kernel/osrelease", "s390x", ARCHITECTURE_S390X},
    {"proc/interrupts", "IO-APIC", ARCHITECTURE_X86_64},
    {"proc/interrupts", "GICv", ARCHITECTURE_AARCH64},
    {"proc/interrupts", "RISC-V", ARCHITECTURE_RISCV64},
    {"sys/firmware/acpi/tables/DMAR", NULL, ARCHITECTURE_X86_64},
    {"sys/firmware/acpi/tables/IVRS", NULL, ARCHITECTURE_X86_64},
    {"sys/firmware/acpi/tables/GTDT", NULL, ARCHITECTURE_AARCH64},
    {"sys/firmware/acpi/tables/IORT", NULL, ARCHITECTURE_AARCH64},
};

static bool architecture_has_sign(const struct tree *tree, const struct architecture_sign *sign) {
    if (!sign->text)
        return tree_has(tree, sign->path);
    char *text = tree_read(tree, sign->path);
    bool has = text && strstr(text, sign->text);
    free(text);
    return has;
}

enum architecture architecture_of(const char *root) {
    enum architecture architecture = *root ? ARCHITECTURE_UNKNOWN : ARCHITECTURE_OWN;
    struct tree tree;
    if (*root == '\0' || !tree_open(&tree, root))
        return architecture;
    for (size_t i = 0; !architecture && i < sizeof signs / sizeof *signs; i++)
        if (architecture_has_sign(&tree, &signs[i]))
            architecture = signs[i].architecture;
    tree_close(&tree);
    return architecture;
}

const char *architecture_iommu(enum architecture architecture) {
    return architectures[architecture].iommu;
}

const char *architecture_kernel_package(enum architecture architecture) {
    return architectures[architecture].package;
}

const char *architecture_name(enum architecture architecture) {
    return architectures[architecture].name;
}
