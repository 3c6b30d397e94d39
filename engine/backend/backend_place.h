/*
 * What several backends have in common: the places that their elements take in the guest, the
 * refusals when none is left, and the files of the host that they hand over.
 */
#ifndef ENGINE_BACKEND_PLACE_H
#define ENGINE_BACKEND_PLACE_H

#include "engine/backend/backend.h"

/* "  <address type='pci' .../>\n" or one of type 'usb', as far as libvirt does not find the place
 * by itself; else nothing. */
void backend_place_write(FILE *out, const struct guest_place *place);

/* "  <boot order='1'/>\n" and "  <alias name='...'/>\n" of an element of a definition. */
void backend_place_write_definition(FILE *out, const struct backend_options *options);

/* "  <address type='drive' .../>\n" of a SCSI disk or device; else nothing. */
void backend_place_write_unit(FILE *out, const struct guest_place *place);
/* The controller that is to be plugged in before the element that takes this place, for the caller
 * to free; NULL: none. A SCSI one stays in the VM, as one that libvirt plugs in does. A root port
 * of a definition is written with all that libvirt would fill in, which would otherwise put it into
 * a slot of another one. */
char *backend_place_controller_xml(const struct guest_place *place);
/* REFUSED_NO_SCSI: no SCSI controller has a free unit. */
struct verdict backend_place_refuse_scsi(const struct backend_need *need);

/* REFUSED_NO_USB when the VM has no USB controller. */
struct verdict backend_place_judge_usb(const struct domain *domain,
                                       const struct backend_options *options);
/* REFUSED_NO_PORT; `what` is what needs a place each: "device". */
struct verdict backend_place_refuse_pci(const struct backend_need *need, const char *what);
/* REFUSED_NO_USB_PORT for elements that are USB devices as `device` in the guest, of which its
 * speed counts. */
struct verdict backend_place_refuse_usb(const struct backend_need *need,
                                        const struct device *device, const char *what);

/* "add to the VM while it is off: <controller .../>", or that nothing can be added. The caller
 * frees it. */
char *backend_place_hint_usb(const struct guest *guest, unsigned index);
/* "1.5", "480": the device's Mbit/s, for the caller to free. */
char *backend_place_speed_text(const struct device *device);

/* Why a device has no file: "no driver is bound to it: 'modprobe cp210x' loads the one for it".
 * `driver` NULL: it is not known which one that is. The caller frees it. */
char *backend_place_missing_driver(const struct device *device, const char *driver);
/* The files of that kind that have no link, so that only the kernel's name is left, which may be
 * another device's after the next plug; NULL: each has one. `folder` is where udev makes links.
 * The caller frees it. */
char *backend_place_note_files(const struct device *device, enum device_file_kind kind,
                               const char *folder);

#endif
