#include "engine/host/snapshot_domains.h"

#include "engine/host/place.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <errno.h>
#include <expat.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_FILES "run/libvirt/qemu"

enum { PATH_SIZE = 4096, DEPTH_OF_DEVICES = 3 }; /* <domstatus>, <domain>, <devices> */

struct writer {
    const struct domain_recorder *recorder;
    XML_Parser parser;
    FILE *out;
    unsigned depth, skipped; /* depth of an element that stays out, with all in it; 0: none */
    bool in_devices, is_interface;
    char *text; /* of the element that is open, while it counts */
    bool wants_text;
    char *name; /* the VM's, as a stand-in */
};

static bool snapshot_domains_is_one_of(const char *text, const char *const *list) {
    for (; *list; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

/* --- stand-ins */

static char *snapshot_domains_hide_node(const struct domain_recorder *recorder, const char *path) {
    static const char *const plain[] = {"/dev/vfio/", "/dev/bus/usb/", "/dev/net/", "/dev/pts/"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (text_starts_with(path, plain[i]))
            return memory_strdup(path);
    char *block = recorder->block_name(recorder->context, path);
    if (block) {
        char *node = memory_printf("/dev/%s", block);
        free(block);
        return node;
    }
    char *resolved = tree_resolve(recorder->from, path);
    const char *target = resolved && text_starts_with(resolved, "dev/") ? resolved : path + 1;
    char *known = strcmp(target, path + 1) == 0
                      ? place_udev_name(recorder->from, path + strlen("/dev/"))
                      : NULL;
    if (known) {
        char *node = memory_printf("dev/%s", known);
        free(known);
        free(resolved);
        target = resolved = node;
    } else if (place_is_unknown_usb(recorder->from, path)) {
        /* The record lacks what tells as well, and it has to say so. */
        char *hidden = anonymize_words(recorder->standins, path + strlen("/dev/"));
        char *node = memory_printf("/dev/serial/%s", hidden);
        free(hidden);
        free(resolved);
        return node;
    }
    char *hidden = recorder->put_class_entries(recorder->context, target)
                       ? anonymize_path(recorder->standins, target)
                       : anonymize_words(recorder->standins, target);
    char *node = memory_printf("/%s", hidden);
    free(hidden);
    free(resolved);
    return node;
}

/* A path of /dev or /sys; NULL for any other, which stays out. */
static char *snapshot_domains_hide_path(const struct domain_recorder *recorder, const char *path) {
    if (text_starts_with(path, "/dev/"))
        return snapshot_domains_hide_node(recorder, path);
    return text_starts_with(path, "/sys/") ? anonymize_path(recorder->standins, path) : NULL;
}

/* What of qemu's own argument names a device of the host: "host=03:00.0,hostbus=1". */
static char *snapshot_domains_hide_argument(const struct domain_recorder *recorder,
                                            const char *argument) {
    static const char *const keys[] = {
        "host=", "hostbus=", "hostaddr=", "vendorid=", "productid=", NULL};
    char *copy = memory_strdup(argument), *rest = copy, *kept = memory_strdup("");
    for (char *part; (part = strsep(&rest, ","));) {
        char *value = strchr(part, '=') ? strchr(part, '=') + 1 : part;
        char *path = snapshot_domains_hide_path(recorder, value), *longer = NULL;
        bool is_key = false;
        for (size_t i = 0; keys[i]; i++)
            is_key |= text_starts_with(part, keys[i]) &&
                      value[strspn(value, "0123456789abcdefABCDEFx:.")] == '\0';
        if (path)
            longer = memory_printf("%s,file=%s", kept, path);
        else if (is_key)
            longer = memory_printf("%s,%s", kept, part);
        free(path);
        if (longer) {
            free(kept);
            kept = longer;
        }
    }
    free(copy);
    return kept;
}

/* --- writing */

static void snapshot_domains_put_escaped(FILE *out, const char *text) {
    for (; *text; text++)
        if (strchr("&<>'\"", *text) || (unsigned char)*text < ' ')
            fprintf(out, "&#%u;", (unsigned char)*text);
        else
            fputc(*text, out);
}

static void snapshot_domains_put_attribute(struct writer *writer, const char *name,
                                           const char *value) {
    fprintf(writer->out, " %s='", name);
    snapshot_domains_put_escaped(writer->out, value);
    fputc('\'', writer->out);
}

static void snapshot_domains_put_hidden(struct writer *writer, const char *name, char *value) {
    if (value)
        snapshot_domains_put_attribute(writer, name, value);
    free(value);
}

/* Numbers and words of libvirt's own. */
static bool snapshot_domains_is_plain_attribute(const char *element, const char *name) {
    static const char *const plain[] = {"type",     "mode",     "bus",        "index",  "model",
                                        "ports",    "hotplug",  "domain",     "slot",   "unit",
                                        "target",   "port",     "controller", "device", "managed",
                                        "function", "protocol", "machine",    "state",  NULL};
    static const char *const with_id[] = {"domain", "vendor", "product", NULL};
    return snapshot_domains_is_one_of(name, plain) ||
           (strcmp(name, "id") == 0 && snapshot_domains_is_one_of(element, with_id)) ||
           (strcmp(name, "name") == 0 && strcmp(element, "adapter") == 0);
}

static void snapshot_domains_put_element_attribute(struct writer *writer, const char *element,
                                                   const char *name, const char *value) {
    struct standins *standins = writer->recorder->standins;
    char *path = snapshot_domains_hide_path(writer->recorder, value);
    bool is_source = strcmp(element, "source") == 0, is_target = strcmp(element, "target") == 0;
    if (path)
        snapshot_domains_put_hidden(writer, name, path);
    else if (snapshot_domains_is_plain_attribute(element, name))
        snapshot_domains_put_attribute(writer, name, value);
    else if ((strcmp(name, "dev") == 0 && (is_source || is_target)) ||
             (strcmp(name, "bridge") == 0 && is_source))
        snapshot_domains_put_hidden(writer, name,
                                    writer->is_interface || is_target
                                        ? anonymize_name(standins, value)
                                        : anonymize_words(standins, value));
    else if (strcmp(name, "uuid") == 0 || strcmp(name, "wwpn") == 0)
        snapshot_domains_put_hidden(writer, name, anonymize_name(standins, value));
    else if (is_source && (strcmp(name, "pool") == 0 || strcmp(name, "volume") == 0))
        snapshot_domains_put_hidden(writer, name, anonymize_words(standins, value));
}

/* --- what counts */

/* In <devices> every element may; of the rest of the VM little does. */
static bool snapshot_domains_counts(const struct writer *writer, const char *name) {
    static const char *const first[] = {"domstatus", NULL}, *const second[] = {"domain", NULL};
    static const char *const of_vm[] = {
        "name", "title", "uuid", "os", "devices", "qemu:commandline", NULL};
    static const char *const deeper[] = {"type", "qemu:arg", NULL};
    static const char *const secrets[] = {"metadata", "auth",        "encryption",
                                          "seclabel", "description", NULL};
    switch (writer->depth) {
    case 1:
        return snapshot_domains_is_one_of(name, first);
    case 2:
        return snapshot_domains_is_one_of(name, second);
    case DEPTH_OF_DEVICES:
        return snapshot_domains_is_one_of(name, of_vm);
    default:
        return writer->in_devices ? !strchr(name, ':') && !snapshot_domains_is_one_of(name, secrets)
                                  : snapshot_domains_is_one_of(name, deeper);
    }
}

static void snapshot_domains_on_start(void *data, const XML_Char *name,
                                      const XML_Char **attributes) {
    static const char *const with_text[] = {"name", "title",   "uuid",      "block", "char",
                                            "path", "backend", "interface", NULL};
    struct writer *writer = data;
    writer->depth++;
    if (!writer->skipped && !snapshot_domains_counts(writer, name))
        writer->skipped = writer->depth;
    if (writer->skipped)
        return;
    if (writer->depth == DEPTH_OF_DEVICES)
        writer->in_devices = strcmp(name, "devices") == 0;
    if (writer->depth == DEPTH_OF_DEVICES + 1)
        writer->is_interface = strcmp(name, "interface") == 0;
    fprintf(writer->out, "<%s", name);
    for (; *attributes; attributes += 2)
        if (strcmp(name, "qemu:arg") == 0)
            snapshot_domains_put_hidden(
                writer, "value", snapshot_domains_hide_argument(writer->recorder, attributes[1]));
        else
            snapshot_domains_put_element_attribute(writer, name, attributes[0], attributes[1]);
    fputc('>', writer->out);
    free(writer->text);
    writer->text = NULL;
    writer->wants_text = snapshot_domains_is_one_of(name, with_text);
}

static void snapshot_domains_put_element_text(struct writer *writer, const char *name) {
    static const char *const of_vm[] = {"name", "title", NULL};
    struct standins *standins = writer->recorder->standins;
    bool is_of_vm = writer->depth == DEPTH_OF_DEVICES;
    char *hidden = is_of_vm && snapshot_domains_is_one_of(name, of_vm)
                       ? anonymize_words(standins, writer->text)
                   : is_of_vm || strcmp(name, "interface") == 0
                       ? anonymize_name(standins, writer->text)
                       : snapshot_domains_hide_path(writer->recorder,
                                                    writer->text + strspn(writer->text, " \t\r\n"));
    if (hidden)
        snapshot_domains_put_escaped(writer->out, hidden);
    if (hidden && is_of_vm && strcmp(name, "name") == 0 && !writer->name)
        writer->name = memory_strdup(hidden);
    free(hidden);
}

static void snapshot_domains_on_end(void *data, const XML_Char *name) {
    struct writer *writer = data;
    if (!writer->skipped) {
        if (writer->wants_text && writer->text)
            snapshot_domains_put_element_text(writer, name);
        writer->wants_text = false;
        fprintf(writer->out, "</%s>%s", name, writer->depth <= DEPTH_OF_DEVICES + 1 ? "\n" : "");
    } else if (writer->skipped == writer->depth) {
        writer->skipped = 0;
    }
    writer->depth--;
}

static void snapshot_domains_on_text(void *data, const XML_Char *text, int length) {
    struct writer *writer = data;
    if (writer->skipped || !writer->wants_text)
        return;
    char *longer = memory_printf("%s%.*s", writer->text ? writer->text : "", length, text);
    free(writer->text);
    writer->text = longer;
}

/* Entities of its own no file of libvirt's has. */
static void snapshot_domains_on_doctype(void *data, const XML_Char *name, const XML_Char *system,
                                        const XML_Char *public, int has_internal_subset) {
    struct writer *writer = data;
    (void)name, (void)system, (void)public, (void)has_internal_subset;
    XML_StopParser(writer->parser, XML_FALSE);
}

/* Whether it is whole; `*kept` is what counts of it. */
static bool snapshot_domains_rewrite(struct writer *writer, const char *xml, char **kept) {
    size_t size = 0;
    writer->parser = XML_ParserCreate(NULL);
    writer->out = memory_stream(kept, &size);
    if (!writer->parser)
        memory_fail();
    XML_SetUserData(writer->parser, writer);
    XML_SetElementHandler(writer->parser, snapshot_domains_on_start, snapshot_domains_on_end);
    XML_SetCharacterDataHandler(writer->parser, snapshot_domains_on_text);
    XML_SetStartDoctypeDeclHandler(writer->parser, snapshot_domains_on_doctype);
    bool whole = XML_Parse(writer->parser, xml, (int)strlen(xml), XML_TRUE) == XML_STATUS_OK;
    XML_ParserFree(writer->parser);
    memory_stream_close(writer->out, kept);
    return whole && writer->name;
}

/* A VM that cannot be read is recorded as one of which nothing is known: then it may have anything,
 * in the record too. */
static void snapshot_domains_domain(const struct domain_recorder *recorder, const char *file) {
    char *path = memory_printf(STATUS_FILES "/%s", file), *kept = NULL;
    struct writer writer = {.recorder = recorder};
    errno = 0;
    char *xml = tree_read(recorder->from, path);
    bool whole = xml && snapshot_domains_rewrite(&writer, xml, &kept);
    char *stem = memory_strndup(file, strlen(file) - strlen(".xml"));
    char *name =
        writer.name ? memory_strdup(writer.name) : anonymize_words(recorder->standins, stem);
    for (char *slash; (slash = strchr(name, '/'));)
        *slash = '_';
    char *to = memory_printf(STATUS_FILES "/%s.xml", name);
    if (!xml)
        recorder->miss(recorder->context);
    recorder->put_text(recorder->context, to, whole ? kept : "<domstatus state='running'/>\n");
    free(to);
    free(name);
    free(stem);
    free(writer.name);
    free(writer.text);
    free(kept);
    free(xml);
    free(path);
}

void snapshot_domains_record(const struct domain_recorder *recorder) {
    struct names files = tree_list(recorder->from, STATUS_FILES);
    for (size_t i = 0; i < files.count; i++)
        if (text_ends_with(files.items[i], ".xml"))
            snapshot_domains_domain(recorder, files.items[i]);
    tree_finish_names(&files);
}
