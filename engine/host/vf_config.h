/*
 * What the physical function of an SR-IOV network card keeps of one of its virtual functions: the
 * MAC address that the function has when a driver binds to it, its VLAN, and whether it is trusted.
 * As 'ip link show' and 'ip link set PF vf N ...' do it: rtnetlink(7), IFLA_VFINFO_LIST.
 *
 * libvirt sets MAC address and VLAN itself (virHostdevSetNetConfig() of
 * src/hypervisor/virhostdev.c) and restores them from /run/libvirt/hostdevmgr; it knows nothing of
 * trust.
 */
#ifndef ENGINE_VF_CONFIG_H
#define ENGINE_VF_CONFIG_H

#include "engine/host/host.h"

/* See struct host_source. */
int vf_config_read(const struct host *host, const struct device *device, struct vf_config *config,
                   struct failure *failure);
int vf_config_write(const struct host *host, const struct device *device,
                    const struct vf_config *config, unsigned parts, struct failure *failure);

/* The network interface of a virtual function's physical one, in the snapshot, when it is down:
 * then libvirt refuses to set anything. NULL: it is up, or unknown. Borrowed. */
const char *vf_config_interface_down(const struct host *host, const struct device *device);

/* For tests: finds one function in the kernel's answer to RTM_GETLINK. */
bool vf_config_parse(const void *reply, size_t size, uint32_t number, struct vf_config *config);

#endif
