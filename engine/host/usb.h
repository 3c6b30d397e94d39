/* USB devices that cannot be read; see bus_reader.h for the others. */
#ifndef ENGINE_USB_H
#define ENGINE_USB_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/*
 * A USB device that cannot be read may be in a VM, or be the host's only keyboard: the controller
 * above it would take it along, which is an obstacle to the controller. Clears `has_usb` then.
 */
void usb_doubt_controllers(struct host *host, const struct tree *tree);

#endif
