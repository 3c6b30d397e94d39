/* What SCSI devices are connected to; see bus_reader.h for what they are. */
#ifndef ENGINE_SCSI_H
#define ENGINE_SCSI_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/* Sets `above` of the SCSI devices, and `scsi_devices` of those above them. After all buses are
 * read. */
void scsi_find_devices_above(struct host *host, const struct tree *tree);

#endif
