/*
 * The hypervisor's double: VMs in memory behind the port of engine/libvirt/virt.h. It attaches and
 * detaches as libvirt does (the VM's XML changes; a device that a running VM has, and a USB port
 * that is not there or taken, is refused in libvirt's words), writes down every call, and does what
 * a test tells it to.
 *
 *     struct double_virt *hypervisor = double_virt_create();
 *     double_virt_add(hypervisor, UUID, "frigate", NULL);
 *     double_virt_fail(hypervisor, DOUBLE_ATTACH, 1, VIRT_TRANSIENT, "cannot acquire state change
 * lock");
 *     ... the code under test, with double_virt_port(hypervisor) ...
 *     assert_string_equal(double_virt_calls(hypervisor), "domain_xml frigate\n"
 *                                                        "attach frigate 0000:03:00.0\n");
 *     double_virt_destroy(hypervisor);
 *
 * Out of memory and a UUID that no VM has end the test program.
 */
#ifndef TESTS_UNIT_DOUBLE_VIRT_H
#define TESTS_UNIT_DOUBLE_VIRT_H

#include "engine/libvirt/virt.h"

#include <stdbool.h>

struct double_virt;
struct clock;

enum double_call {
    DOUBLE_ANY,
    DOUBLE_XML,
    DOUBLE_LIST,
    DOUBLE_ATTACH,
    DOUBLE_DETACH,
    DOUBLE_RESET,
    DOUBLE_REBOOT,
    DOUBLE_WATCH,
    DOUBLE_WAIT,
    DOUBLE_DEFINITION,
    DOUBLE_ATTACH_DEFINED,
    DOUBLE_DETACH_DEFINED,
    DOUBLE_MARK,
    DOUBLE_STATE /* which DOUBLE_ANY does not count */
};

struct double_virt *double_virt_create(void);
void double_virt_destroy(struct double_virt *hypervisor);

/* What the code under test gets. Its close() only writes "close" down. */
struct virt *double_virt_port(struct double_virt *hypervisor);

/* Whose sleep_ms() a wait() with no event calls, with its timeout; without one, no time goes by. */
void double_virt_clock(struct double_virt *hypervisor, struct clock *clock);
/* What it says of itself: 9000000 is 9.0.0; at first 0, nothing. */
void double_virt_version(struct double_virt *hypervisor, unsigned long version);
/* A libvirt that reports no events: wait() never returns an event. */
void double_virt_mute(struct double_virt *hypervisor);

/* ---- the VMs: one that is watched reports what happens to it ---- */

/* A running q35 VM with an xHCI controller and four free root ports. `title` may be NULL. */
void double_virt_add(struct double_virt *hypervisor, const char *uuid, const char *name,
                     const char *title);
/* The VM of that domain XML, which must have a UUID; it runs when the XML has an id. Replaces the
 * VM that has the UUID. */
void double_virt_add_xml(struct double_virt *hypervisor, const char *xml);
void double_virt_stop(struct double_virt *hypervisor, const char *uuid);
void double_virt_remove(struct double_virt *hypervisor, const char *uuid);
/* The VM's XML as it is now; valid until the VM changes. */
const char *double_virt_xml(const struct double_virt *hypervisor, const char *uuid);
/* An element that hands over a device is added or removed without a call. */
void double_virt_give(struct double_virt *hypervisor, const char *uuid, const char *element);
void double_virt_take(struct double_virt *hypervisor, const char *uuid, const char *element);
/* A guest that does not answer: detach succeeds, and the device stays. */
void double_virt_deaf(struct double_virt *hypervisor, const char *uuid, bool deaf);
/* A guest that refuses: the same, with an event. */
void double_virt_refuse(struct double_virt *hypervisor, const char *uuid, bool refuses);

/* A VM that is shut off has its XML as its definition. One that runs has this one, whose XML has no
 * id; without this call it is transient. */
void double_virt_define(struct double_virt *hypervisor, const char *uuid, const char *xml);
const char *double_virt_definition(const struct double_virt *hypervisor, const char *uuid);
/* 'virsh managedsave' */
void double_virt_save(struct double_virt *hypervisor, const char *uuid, bool is_saved);

/* What state() returns, VIRT_STATE_STARTED at first. While it is VIRT_STATE_MIGRATING, every attach
 * fails as one that waits for the VM's job in vain. */
void double_virt_state(struct double_virt *hypervisor, const char *uuid, enum virt_state state);

/* ---- what happens at a call ---- */

/* The `nth` call of that kind (from 1, counted since creation; 0: every one) has no effect and
 * fails so. The hint and libvirt's code stay empty. */
void double_virt_fail(struct double_virt *hypervisor, enum double_call call, unsigned nth,
                      enum virt_error_kind kind, const char *message);
/* Runs `callback` right before that call does its work; it may change the VMs. */
void double_virt_before(struct double_virt *hypervisor, enum double_call call, unsigned nth,
                        void (*callback)(struct double_virt *hypervisor, void *context),
                        void *context);

/* ---- what was called ---- */

/*
 * All calls in order, each with a newline: "domain_xml VM" (as the caller wrote it), "list",
 * "attach NAME DEVICE", "detach NAME DEVICE", "definition NAME", "attach-defined NAME DEVICE",
 * "detach-defined NAME DEVICE", "mark NAME XML" ("-": none), "reset NAME", "reboot NAME", "watch
 * NAME", "close"; no word of wait(), state() and read(). NAME is the VM's name, or the UUID when
 * there is no such VM. DEVICE is "0000:03:00.0", "1/4 1a6e:089a", "3:0:0:0", a mediated device's
 * UUID, a path, "port 7" of a root port, or "?".
 */
const char *double_virt_calls(const struct double_virt *hypervisor);
void double_virt_forget_calls(struct double_virt *hypervisor);
/* The XML of the last attach or detach, "" before the first. */
const char *double_virt_last_xml(const struct double_virt *hypervisor);

#endif
