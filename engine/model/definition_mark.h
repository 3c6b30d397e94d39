/*
 * What we put into a VM's definition, as its <metadata> says it, so that nothing else is ever taken
 * out of it:
 *
 *     <metadata>
 *       <vr:defined xmlns:vr="urn:virt-rules:defined:1">
 *         <vr:controller index="7"/>
 *         <vr:hostdev as="vfio" address="0000:03:00.0" form="1f9a..." alias="ua-virt-rules-..."/>
 *       </vr:defined>
 *     </metadata>
 *
 * It is written before the devices are put in and after they were taken out: what is marked and not
 * there was never put in, or somebody has taken it out. A value without I/O.
 */
#ifndef ENGINE_DEFINITION_MARK_H
#define ENGINE_DEFINITION_MARK_H

#include "parser/syntax.h"

#include <stdbool.h>
#include <stddef.h>

#define DEFINITION_MARK_PREFIX "vr"
#define DEFINITION_MARK_URI "urn:virt-rules:defined:1"

enum definition_mark_kind {
    DEFINITION_MARK_HOSTDEV,
    DEFINITION_MARK_CONTROLLER, /* of type 'pci' */
};

enum { DEFINITION_MARK_ADDRESS = 32, DEFINITION_MARK_FORM = 17, DEFINITION_MARK_ALIAS = 64 };

struct definition_mark {
    enum definition_mark_kind kind;
    enum backend backend; /* of a hostdev */
    /* The same: "0000:03:00.0", of USB "1/3" (bus and device number). */
    char address[DEFINITION_MARK_ADDRESS];
    /* The same: a hash of the element that was put in, without its place and MAC address: by it a
     * rule that asks for other options is noticed. */
    char form[DEFINITION_MARK_FORM];
    /* The same: libvirt keeps it with the element (since 3.9), so that one of the same device that
     * somebody else has put in since is not taken for ours. "": it has none. */
    char alias[DEFINITION_MARK_ALIAS];
    unsigned index; /* of a controller */
};

/* As virDomainSetMetadata() takes it: without prefix and namespace, and without white space, which
 * libvirt would keep. The caller frees it; NULL: there is nothing to mark. */
char *definition_mark_xml(const struct definition_mark *marks, size_t count);

/* Whether both are of the same hostdev or controller; and whether it was put in as the same, too.
 */
bool definition_mark_is_of_same(const struct definition_mark *a, const struct definition_mark *b);
bool definition_mark_is_same(const struct definition_mark *a, const struct definition_mark *b);

/* The hash of such an element. */
void definition_mark_set_form(struct definition_mark *mark, const char *element);
/* Of the backend and the address. libvirt takes letters, digits, '-' and '_' alone. */
void definition_mark_set_alias(struct definition_mark *mark);

#endif
