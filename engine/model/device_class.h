/*
 * What a device is, in words, by its class code: PCI Code and ID Assignment Specification, and
 * usb.org's "Defined Class Codes". Our own short table, for a host without pci.ids and for devices
 * that have no name there.
 */
#ifndef ENGINE_DEVICE_CLASS_H
#define ENGINE_DEVICE_CLASS_H

#include "engine/model/device.h"

/* "Ethernet controller", "USB keyboard", "disk". A PCI class goes by its first byte alone if the
 * second is not in the table, and is "Device" if it is not known; a USB device goes by its class or
 * else its first interface that says more. Borrowed. */
const char *device_class(const struct device *device);

/* Whether the word, in upper or lower case, is a plain one for some kinds of devices: "gpu", "nic",
 * "sound"; and whether it is one for this device. */
bool device_class_is_word(const char *word);
bool device_class_has_word(const struct device *device, const char *word);

#endif
