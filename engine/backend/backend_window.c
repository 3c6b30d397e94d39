#include "engine/backend/backend_window.h"

#include "lexer/memory.h"

#include <stdlib.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum {
    PORT_MIB = 2,      /* what every firmware reserves, of each kind of addresses */
    I440FX_GIB = 2,    /* of its 64-bit window */
    LOW_MAX_MIB = 768, /* more is rarely free below 4 GiB, where other devices are too */
    BAR_MIN = 4096     /* a page for each BAR */
};

/* --- sizes */

/* "256M", "16K", "8G". */
static char *backend_window_size_text(uint64_t size) {
    static const char units[] = "KMGT";
    size_t unit = 0;
    size /= KIB;
    for (; units[unit + 1] && size && size % 1024 == 0; unit++)
        size /= 1024;
    return memory_printf("%llu%c", (unsigned long long)size, units[unit]);
}

char *backend_window_bars_text(const struct device *device) {
    char *text = memory_strdup("");
    for (size_t i = 0; i < device->bar_count; i++) {
        const struct device_bar *bar = &device->bars[i];
        char *size = bar->size < KIB ? memory_printf("%u bytes", (unsigned)bar->size)
                                     : backend_window_size_text(bar->size);
        memory_append(&text, "%s%s%s%s", i ? " + " : "", size, bar->is_64bit ? " 64-bit" : "",
                      bar->is_prefetchable ? " prefetchable" : "");
        free(size);
    }
    return text;
}

/* Where a guest puts the BARs: 64-bit prefetchable ones above 4 GiB, all others below. */
struct backend_window_need {
    uint64_t low, high, largest;
};

static struct backend_window_need backend_window_need_of(const struct device *device) {
    struct backend_window_need need = {0};
    for (size_t i = 0; i < device->bar_count; i++) {
        const struct device_bar *bar = &device->bars[i];
        uint64_t size = bar->size < BAR_MIN ? BAR_MIN : bar->size;
        if (bar->is_64bit && bar->is_prefetchable)
            need.high += size;
        else
            need.low += size;
        need.largest = size > need.largest ? size : need.largest;
    }
    return need;
}

static uint64_t backend_window_round_up(uint64_t size, uint64_t unit) {
    return (size + unit - 1) / unit * unit;
}

static uint64_t backend_window_power_of_two(uint64_t size) {
    uint64_t power = 1;
    while (power < size)
        power *= 2;
    return power;
}

/* `reserve`: bytes below 4 GiB; 0: nothing is said. */
static bool backend_window_fits(const struct backend_window_need *need, uint64_t reserve) {
    uint64_t low = reserve ? reserve : PORT_MIB * MIB;
    return need->low <= low && (need->high <= PORT_MIB * MIB || need->low + need->high <= low);
}

bool backend_window_is_enough(const struct device *device) {
    struct backend_window_need need = backend_window_need_of(device);
    return backend_window_fits(&need, 0);
}

/*
 * OVMF rounds `mem-reserve` up to a power of two, and aligns the window to that. SeaBIOS aligns
 * it to 2 MiB, so the largest BAR, which is aligned to its own size, may begin that much later.
 */
static uint64_t backend_window_to_reserve(const struct guest *guest,
                                          const struct backend_window_need *need) {
    uint64_t size = need->low + need->high;
    return guest->has_efi ? backend_window_power_of_two(size)
                          : backend_window_round_up(size + need->largest, PORT_MIB * MIB);
}

/* --- a root port */

static char *backend_window_port_hint(const struct guest *guest, unsigned index,
                                      const struct backend_window_need *need,
                                      unsigned long libvirt_version) {
    enum { MEM_RESERVE = 10003000 }; /* libvirt 10.3.0 */
    uint64_t reserve = backend_window_to_reserve(guest, need);
    char *hint = memory_strdup("let the firmware find it at boot: 'defined' in the rule, or a "
                               "reboot of the guest once it has the device");
    if (reserve > LOW_MAX_MIB * MIB || guest->buses[index].kind != GUEST_BUS_PORT)
        return hint;
    memory_append(&hint,
                  "; or put <target memReserve='%llu'/> into the VM's <controller "
                  "type='pci' index='%u' model='pcie-root-port'> while it is off",
                  (unsigned long long)(reserve / KIB), index);
    if (libvirt_version && libvirt_version < MEM_RESERVE)
        memory_append(&hint, ", which needs libvirt 10.3 (this is %lu.%lu)",
                      libvirt_version / 1000000, libvirt_version / 1000 % 1000);
    else if (!libvirt_version)
        memory_append(&hint, ", which needs libvirt 10.3");
    return hint;
}

static struct backend_window backend_window_judge_port(const struct guest *guest, unsigned index,
                                                       const struct device *device,
                                                       unsigned long libvirt_version) {
    struct backend_window_need need = backend_window_need_of(device);
    uint64_t reserve = guest->buses[index].reserve;
    if (backend_window_fits(&need, reserve))
        return (struct backend_window){0};
    char *bars = backend_window_bars_text(device);
    char *size = backend_window_size_text(reserve ? reserve : PORT_MIB * MIB);
    char *message = memory_printf("the guest may find no addresses for its memory BARs (%s): for "
                                  "a port that is empty at boot its firmware may reserve %s only",
                                  bars, size);
    free(bars);
    free(size);
    return (struct backend_window){message,
                                   backend_window_port_hint(guest, index, &need, libvirt_version)};
}

/* --- the root bus of i440fx */

static struct backend_window backend_window_judge_root(const struct guest *guest,
                                                       const struct device *device) {
    struct backend_window_need need = backend_window_need_of(device);
    uint64_t hole = guest->pci_hole64 ? guest->pci_hole64 : I440FX_GIB * GIB;
    if (!guest->is_i440fx || need.high <= hole)
        return (struct backend_window){0};
    char *bars = backend_window_bars_text(device), *size = backend_window_size_text(hole);
    uint64_t wanted = backend_window_round_up(need.high + need.largest, GIB) / GIB;
    char *message = memory_printf("the guest may find no addresses for its memory BARs (%s): its "
                                  "machine type has a 64-bit window of %s for what is plugged in",
                                  bars, size);
    char *hint = memory_printf("let the firmware find it at boot: 'defined' in the rule; or put "
                               "<pcihole64 unit='GiB'>%llu</pcihole64> into the VM's <controller "
                               "type='pci' index='0' model='pci-root'> while it is off",
                               (unsigned long long)wanted);
    free(bars);
    free(size);
    return (struct backend_window){message, hint};
}

/* --- */

struct backend_window backend_window_judge(const struct guest *guest, const struct device *device,
                                           const struct guest_place *place,
                                           unsigned long libvirt_version) {
    if (!device->has_bars || !place->has_pci_bus || guest->reserves_by_argument)
        return (struct backend_window){0};
    if (place->pci_bus == 0 && guest->has_pci_root)
        return backend_window_judge_root(guest, device);
    return backend_window_judge_port(guest, place->pci_bus, device, libvirt_version);
}

void backend_window_finish(struct backend_window *window) {
    free(window->message);
    free(window->hint);
    *window = (struct backend_window){0};
}

char *backend_window_note(const struct guest *guest, const struct device *device,
                          const struct guest_place *place, unsigned long libvirt_version) {
    struct backend_window window = backend_window_judge(guest, device, place, libvirt_version);
    char *note = window.message ? memory_printf("%s; %s", window.message, window.hint) : NULL;
    backend_window_finish(&window);
    return note;
}
