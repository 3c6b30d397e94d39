/* A device as libvirt's <hostdev> element (formatdomain.html#host-device-assignment). Pure text. */
#ifndef ENGINE_DEVICE_XML_H
#define ENGINE_DEVICE_XML_H

#include "engine/model/guest.h"

struct device_xml_options {
    bool unmanaged;           /* PCI: managed='no' */
    bool rom_off;             /* PCI: <rom bar='off'/> */
    const char *rom;          /* PCI: <rom file='...'/>; NULL: none; rom_off wins over it */
    struct guest_place place; /* PCI: <address .../> in the guest; of kind NONE: libvirt chooses */
};

/*
 * Returns the element as one string that the caller frees, or NULL when memory is short or a PCI
 * address is not well formed. PCI goes by address, USB by bus and device number with vendor and
 * product, so that one of two identical sticks is meant and none that took its number since (by id
 * alone when the bus number is 0). The same text attaches and detaches: libvirt compares the source
 * only. `options` may be NULL. Two spaces of indentation, one element a line, no last newline.
 */
char *device_xml(const struct device *device, const struct device_xml_options *options);

#endif
