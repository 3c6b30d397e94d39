/*
 * How the kernel names a device's place: "0000:03:00.0" on PCI (Documentation/PCI), "1-1.4" on USB
 * (drivers/usb/core: bus, then the ports on the way), "3:0:0:1" on SCSI (drivers/scsi/scsi_sysfs.c:
 * host, channel, target, logical unit). No I/O.
 */
#ifndef ENGINE_ADDRESS_H
#define ENGINE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/* "[dddd:]bb:ss.f", where the domain may be left out; the kernel always writes it. */
bool address_is_pci(const char *text, bool *has_domain);
/* "1-1.4": a bus and the ports on the way; not a root hub ("usb1") or an interface ("1-1:1.0").
 */
bool address_is_usb(const char *text);

/* "3:0:0:1"; not a host ("host3") or a target ("target3:0:0"). */
bool address_is_scsi(const char *text);

/* "0000:03:00.0", "1-1.4" or "3:0:0:1" as people write it on a command line: "03:00.0" gets its
 * domain, and "00010001:02:00.0" loses the zeros that the kernel does not print. */
bool address_normalise(const char *text, char *address, size_t size);

/* The order of two addresses of the kernel, as strcmp(3): PCI domains by number, and USB "1-2"
 * before "1-10", and a hub before what is connected to it. */
int address_compare_pci(const char *a, const char *b);
int address_compare_usb(const char *a, const char *b);
int address_compare_scsi(const char *a, const char *b);

#endif
