/*
 * Whether a guest will find addresses for the memory BARs of a PCI function that is plugged in
 * while it runs. The guest's firmware gives each bridge a window of addresses at boot, and a guest
 * that runs can rarely make it larger. What the firmware reserves for an empty root port:
 *
 * - SeaBIOS (src/fw/pciinit.c): 2 MiB that are not prefetchable, and 2 MiB that are. From 1.16.3
 *   on, for VMs with memory above 4 GiB, a 2048th of the address space instead of the latter.
 * - OVMF (OvmfPkg/PciHotPlugInitDxe): 2 MiB that are not prefetchable. From edk2-stable202211 on
 *   also a 256th of its 64-bit window, where that is larger than 32 GiB.
 *
 * Both do what qemu's pcie-root-port says instead: `mem-reserve`, which is libvirt's `memReserve`
 * (10.3.0, in KiB), of addresses below 4 GiB that are not prefetchable. Linux uses them for
 * prefetchable BARs too when it finds no others (drivers/pci/setup-res.c). libvirt has no attribute
 * for `pref64-reserve`.
 *
 * On i440fx a device is on the root bus. Its 64-bit window has 2 GiB unless <pcihole64> says
 * otherwise (qemu, hw/pci-host/i440fx.c).
 */
#ifndef ENGINE_BACKEND_WINDOW_H
#define ENGINE_BACKEND_WINDOW_H

#include "engine/model/guest.h"

/* Texts for the caller to free; NULL both: the BARs fit, or it is not known. */
struct backend_window {
    char *message, *hint;
};

/* `place` is of a device that guest_take_pci() gave a place. `libvirt_version` 0: unknown. */
struct backend_window backend_window_judge(const struct guest *guest, const struct device *device,
                                           const struct guest_place *place,
                                           unsigned long libvirt_version);
void backend_window_finish(struct backend_window *window);

/* Both texts as one, for the caller to free; NULL: there are none. */
char *backend_window_note(const struct guest *guest, const struct device *device,
                          const struct guest_place *place, unsigned long libvirt_version);

/* Whether they fit a root port that nothing was said of. */
bool backend_window_is_enough(const struct device *device);

/* "256M 64-bit prefetchable + 16K": the device's memory BARs, for the caller to free; "": none. */
char *backend_window_bars_text(const struct device *device);

#endif
