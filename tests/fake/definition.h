/*
 * A VM's definition as libvirt 9.0 changes it by calls on one device (VIR_DOMAIN_AFFECT_CONFIG) and
 * by virDomainSetMetadata(), for the stand-ins of libvirt. Each function returns the new text,
 * which the caller frees, or NULL with libvirt's words and code. What libvirt would add by itself,
 * and keep when our device goes, is a failure here: the engine must not let it come to that.
 */
#ifndef TESTS_FAKE_DEFINITION_H
#define TESTS_FAKE_DEFINITION_H

#include "tests/fake/elements.h"

#include <stdarg.h>

struct definition_failure {
    int code; /* virErrorNumber */
    char message[ELEMENTS_MESSAGE];
};

__attribute__((format(printf, 3, 4))) static inline char *
definition_fail(struct definition_failure *failure, int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    failure->code = code;
    return NULL;
}

/* The text with `insert` at that place of it, `cut` bytes of it left out. */
static inline char *definition_splice(const char *xml, const char *at, size_t cut,
                                      const char *insert) {
    char *text;
    if (asprintf(&text, "%.*s%s%s", (int)(at - xml), xml, insert, at + cut) < 0)
        abort();
    return text;
}

static inline const char *definition_line(const char *xml, const char *at) {
    while (at > xml && at[-1] == ' ')
        at--;
    return at;
}

/* The controller of type 'pci' with that index; -1: the last of all controllers. */
static inline const char *definition_controller(const char *xml, int index) {
    const char *found = NULL;
    for (const char *at = xml; (at = strstr(at, "<controller ")); at++) {
        const char *end = elements_end(at);
        char text[32];
        if (index < 0)
            found = at;
        else if (!strcmp(elements_value(at, end, "controller", "type", text, sizeof text), "pci") &&
                 *elements_value(at, end, "controller", "index", text, sizeof text) &&
                 strtol(text, NULL, 10) == index)
            return at;
    }
    return found;
}

static inline int definition_last_index(const char *xml) {
    int last = -1;
    for (int index = 0; index < 256; index++)
        if (definition_controller(xml, index))
            last = index;
    return last;
}

/* Indented as in the definition, each line; with what libvirt drops left out. */
static inline char *definition_indent(const char *element) {
    char *text = strdup("");
    for (const char *line = element; text && *line;) {
        size_t length = strcspn(line, "\n");
        const char *word = line + strspn(line, " ");
        bool is_dropped =
            !strncmp(word, "<driver name='vfio'/>", 21) ||
            (!strncmp(word, "<alias name='", 13) && strncmp(word, "<alias name='ua-", 16) != 0);
        char *longer;
        if (asprintf(&longer, "%s%s%.*s%s", text, is_dropped ? "" : "    ",
                     is_dropped ? 0 : (int)length, line, is_dropped ? "" : "\n") < 0)
            abort();
        free(text);
        text = longer;
        line += length + (line[length] == '\n');
    }
    return text;
}

static inline char *definition_attach_controller(const char *xml, const char *element,
                                                 struct definition_failure *failure) {
    const char *end = elements_end(element), *last = definition_controller(xml, -1);
    char text[32];
    int index = *elements_value(element, end, "controller", "index", text, sizeof text)
                    ? (int)strtol(text, NULL, 10)
                    : -1;
    if (!*elements_value(element, end, "model", "name", text, sizeof text))
        return definition_fail(failure, 1,
                               "internal error: Required option 'modelName' is not set for PCI "
                               "controller with index '%d'",
                               index);
    if (!*elements_value(element, end, "target", "chassis", text, sizeof text))
        return definition_fail(failure, 1,
                               "internal error: Required option 'chassis' is not set for PCI "
                               "controller with index '%d'",
                               index);
    if (definition_controller(xml, index))
        return definition_fail(failure, 55,
                               "Requested operation is not valid: controller index='%d' already "
                               "exists",
                               index);
    if (!last || index != definition_last_index(xml) + 1)
        return definition_fail(failure, 1, "libvirt would add root ports up to index %d", index);
    char *indented = definition_indent(element);
    char *result = definition_splice(xml, elements_end(last), 0, indented);
    free(indented);
    return result;
}

/* The guest address of an element, its text in `address`; "" without one. */
static inline void definition_address(const char *element, char address[128]) {
    const char *end = elements_end(element), *source_end = strstr(element, "</source>");
    const char *at =
        strstr(source_end && source_end < end ? source_end : element, "<address type='pci'");
    snprintf(address, 128, "%.*s", at && at < end ? (int)strcspn(at, ">") + 1 : 0, at ? at : "");
}

static inline bool definition_check_boot(const char *xml, const char *element,
                                         struct definition_failure *failure) {
    const char *boot = strstr(element, "<boot order='");
    char order[64];
    if (!boot)
        return true;
    snprintf(order, sizeof order, "%.*s", (int)strcspn(boot, "/"), boot);
    if (strstr(xml, "<boot dev="))
        definition_fail(failure, 67,
                        "unsupported configuration: per-device boot elements cannot be used "
                        "together with os/boot elements");
    else if (strstr(xml, order))
        definition_fail(failure, 67,
                        "unsupported configuration: boot order %d is already used by another "
                        "device",
                        (int)strtol(boot + strlen("<boot order='"), NULL, 10));
    else
        return true;
    return false;
}

static inline bool definition_is_there(const struct elements_one *wanted,
                                       const struct elements_one *has) {
    if (wanted->kind == ELEMENTS_NET) /* libvirt does not look */
        return false;
    return elements_collides(wanted, has);
}

static inline char *definition_attach(const char *xml, const char *element,
                                      struct definition_failure *failure) {
    struct elements_one one, found;
    char address[128], alias[96], *end;
    if (!strncmp(element, "<controller type='pci'", 22))
        return definition_attach_controller(xml, element, failure);
    if (!elements_read(element, &one))
        return definition_fail(failure, 27, "XML error: not a host device");
    if (elements_find(xml, &one, definition_is_there, &end, &found))
        return definition_fail(failure, 55,
                               "Requested operation is not valid: device is already in the domain "
                               "configuration");
    definition_address(element, address);
    if (elements_is_pci(&one)) {
        const char *bus = strstr(address, "bus='");
        if (!bus)
            return definition_fail(failure, 1, "libvirt would choose the address, and add ports");
        if (!definition_controller(xml, (int)strtol(bus + 5, NULL, 0)))
            return definition_fail(failure, 1, "libvirt would add root ports for %s", address);
        if (strstr(xml, address))
            return definition_fail(failure, 27, "XML error: Attempted double use of PCI Address %s",
                                   address);
    }
    if (one.kind == ELEMENTS_NET && !*one.mac)
        return definition_fail(failure, 1, "libvirt would choose a MAC address at random");
    snprintf(alias, sizeof alias, "<alias name='%s'/>", one.alias);
    if (*one.alias && strstr(xml, alias))
        return definition_fail(
            failure, 67, "unsupported configuration: non unique alias detected: %s", one.alias);
    if (!definition_check_boot(xml, element, failure))
        return NULL;
    const char *at = strstr(xml, "</devices>");
    const char *balloon = strstr(xml, "<memballoon");
    char *indented = definition_indent(element);
    char *result =
        definition_splice(xml, definition_line(xml, balloon ? balloon : at), 0, indented);
    free(indented);
    return result;
}

/* libvirt fills the number of a controller again that is used, or that others follow. */
static inline char *definition_detach_controller(const char *xml, const char *element,
                                                 struct definition_failure *failure) {
    char text[32], bus[64];
    if (!*elements_value(element, elements_end(element), "controller", "index", text, sizeof text))
        return definition_fail(failure, 99,
                               "device not found: device not present in domain "
                               "configuration");
    int index = (int)strtol(text, NULL, 10);
    const char *found = definition_controller(xml, index);
    if (!found)
        return definition_fail(failure, 99,
                               "device not found: device not present in domain "
                               "configuration");
    snprintf(bus, sizeof bus, "<address type='pci' domain='0x0000' bus='0x%02x'", index);
    if (strstr(xml, bus) || index != definition_last_index(xml))
        return strdup(xml);
    const char *line = definition_line(xml, found);
    return definition_splice(xml, line, (size_t)(elements_end(found) - line), "");
}

static inline char *definition_detach(const char *xml, const char *element,
                                      struct definition_failure *failure) {
    struct elements_one one, found;
    char *end;
    if (!strncmp(element, "<controller type='pci'", 22))
        return definition_detach_controller(xml, element, failure);
    if (!elements_read(element, &one))
        return definition_fail(failure, 27, "XML error: not a host device");
    if (one.kind == ELEMENTS_NET && !*one.mac)
        return definition_fail(failure, 1, "libvirt would take out any interface");
    const char *start = elements_find(xml, &one, elements_detaches, &end, &found);
    if (!start)
        return definition_fail(failure, 99,
                               "device not found: device not present in domain "
                               "configuration");
    const char *line = definition_line(xml, start);
    return definition_splice(xml, line, (size_t)(end - line), "");
}

/* `element` as virDomainSetMetadata() takes it, "<defined>..."; NULL: none. One of that URI that is
 * there goes; an empty <metadata/> stays. */
static inline char *definition_set_metadata(const char *xml, const char *element, const char *key,
                                            const char *uri) {
    char *text = strdup(xml), *own, *inner = NULL, attribute[128];
    snprintf(attribute, sizeof attribute, " xmlns:vr=\"%s\"", uri);
    own = text ? strstr(text, attribute) : NULL;
    if (own) {
        const char *last = strstr(own, "</vr:defined>\n");
        while (*own != '<')
            own--;
        while (own > text && own[-1] == ' ')
            own--;
        memmove(own, last + strlen("</vr:defined>\n"),
                strlen(last + strlen("</vr:defined>\n")) + 1);
    }
    if (!element)
        return text;
    /* each element gets the prefix, the first the namespace, and a line */
    size_t size = strlen(element) * 3 + 512, used = 0;
    inner = (char *)calloc(1, size);
    for (const char *at = element; inner && *at; at++) {
        bool closes = at[0] == '<' && at[1] == '/';
        if (*at == '<' && at > element)
            used += (size_t)snprintf(inner + used, size - used, "\n%s", closes ? "    " : "      ");
        used += (size_t)snprintf(inner + used, size - used, "%c", *at);
        if (closes)
            used += (size_t)snprintf(inner + used, size - used, "%c", *++at);
        if (at[0] == '<' || closes)
            used += (size_t)snprintf(inner + used, size - used, "%s:", key);
        if (!strncmp(at, "<defined", 8)) {
            used += (size_t)snprintf(inner + used, size - used, "defined%s", attribute);
            at += 7;
        }
    }
    const char *place = strstr(text, "</metadata>");
    char *wrapped, *result;
    if (place) {
        if (asprintf(&wrapped, "    %s\n", inner) < 0)
            abort();
        result = definition_splice(text, definition_line(text, place), 0, wrapped);
    } else if ((place = strstr(text, "<metadata/>"))) {
        if (asprintf(&wrapped, "<metadata>\n    %s\n  </metadata>", inner) < 0)
            abort();
        result = definition_splice(text, place, strlen("<metadata/>"), wrapped);
    } else {
        place = strstr(text, "</uuid>\n");
        place = place ? place + strlen("</uuid>\n") : strstr(text, "</name>\n") + 8;
        if (asprintf(&wrapped, "  <metadata>\n    %s\n  </metadata>\n", inner) < 0)
            abort();
        result = definition_splice(text, place, 0, wrapped);
    }
    free(wrapped);
    free(inner);
    free(text);
    return result;
}

#endif
