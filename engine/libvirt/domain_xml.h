/* Reads domain XML: libvirt's formatdomain.html, and its own status files in /run/libvirt/qemu. */
#ifndef ENGINE_DOMAIN_XML_H
#define ENGINE_DOMAIN_XML_H

#include "engine/model/domain.h"
#include "lexer/failure.h"

/*
 * Parses `size` bytes of XML. Returns 0, or -1 with `failure` set: empty, not XML (with line and
 * column), truncated, not a <domain> (nor a <domstatus>, libvirt's own file of a running VM, around
 * one), no <name>, a document type declaration (refused: entity bombs), deeper than 256 elements.
 * The caller ends a good one with domain_finish(); after -1 there is nothing to finish.
 */
int domain_xml_parse(struct domain *domain, const char *xml, size_t size, struct failure *failure);

#endif
