/*
 * The framebuffers that the firmware set up: efi-framebuffer.0, simple-framebuffer.0 (simplefb or
 * simpledrm), vesa-framebuffer.0. Each is a device on the platform bus, and its memory is in a BAR
 * of the card.
 */
#ifndef ENGINE_FRAMEBUFFER_H
#define ENGINE_FRAMEBUFFER_H

#include "engine/host/host.h"
#include "engine/host/tree.h"

/* Fills `framebuffers` of the host with those of which the card is known. Before what the host uses
 * is read. */
void framebuffer_find_all(struct host *host, const struct tree *tree);

/* Whether that is what the kernel calls the memory of one in /proc/iomem. */
bool framebuffer_is_memory(const char *name);

#endif
