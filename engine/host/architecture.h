/*
 * The processors of the host: how an IOMMU is turned on, and the names of packages and of qemu,
 * differ.
 */
#ifndef ENGINE_ARCHITECTURE_H
#define ENGINE_ARCHITECTURE_H

enum architecture {
    ARCHITECTURE_UNKNOWN, /* it is spoken of as x86_64, which nearly all hosts are */
    ARCHITECTURE_X86_64,
    ARCHITECTURE_AARCH64,
    ARCHITECTURE_RISCV64,
    ARCHITECTURE_S390X,
};

/* What has to be done where the kernel made no IOMMU group. */
#define ARCHITECTURE_IOMMU_X86_64                                                                  \
    "turn on VT-d or AMD-Vi in the firmware, and on Intel boot the kernel with intel_iommu=on"
#define ARCHITECTURE_IOMMU_AARCH64                                                                 \
    "turn on the SMMU in the firmware, which must describe it to the kernel (ACPI table IORT, or " \
    "the device tree)"
#define ARCHITECTURE_IOMMU_RISCV64                                                                 \
    "turn on the IOMMU in the firmware, which must describe it to the kernel (ACPI table RIMT, "   \
    "or "                                                                                          \
    "the device tree); the kernel needs its driver (Linux 6.13 or later)"
#define ARCHITECTURE_IOMMU_S390X                                                                   \
    "see why the kernel made no IOMMU group for its PCI functions: 'dmesg | grep -i -e zpci -e "   \
    "iommu'"

/* Of the machine that this runs on. */
#if defined __aarch64__ || defined __arm__
#define ARCHITECTURE_OWN ARCHITECTURE_AARCH64
#define ARCHITECTURE_OWN_IOMMU ARCHITECTURE_IOMMU_AARCH64
#elif defined __riscv
#define ARCHITECTURE_OWN ARCHITECTURE_RISCV64
#define ARCHITECTURE_OWN_IOMMU ARCHITECTURE_IOMMU_RISCV64
#elif defined __s390x__
#define ARCHITECTURE_OWN ARCHITECTURE_S390X
#define ARCHITECTURE_OWN_IOMMU ARCHITECTURE_IOMMU_S390X
#else
#define ARCHITECTURE_OWN ARCHITECTURE_X86_64
#define ARCHITECTURE_OWN_IOMMU ARCHITECTURE_IOMMU_X86_64
#endif

/* Of the host below that directory, as far as its files tell; "" is this one. */
enum architecture architecture_of(const char *root);

/* "turn on VT-d or AMD-Vi in the firmware, ...", as above. */
const char *architecture_iommu(enum architecture architecture);
/* "linux-image-amd64", Debian's package with all modules of the kernel. */
const char *architecture_kernel_package(enum architecture architecture);
/* "x86_64", as in "qemu-system-x86_64". */
const char *architecture_name(enum architecture architecture);

#endif
