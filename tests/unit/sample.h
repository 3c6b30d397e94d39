/* Rules from text and devices by hand, for the tests of what works on them. */
#ifndef TESTS_UNIT_SAMPLE_H
#define TESTS_UNIT_SAMPLE_H

#include "engine/host/source_sysfs.h"
#include "engine/libvirt/domain_xml.h"
#include "engine/model/domain.h"
#include "engine/rules/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct sample_rules {
    struct ruleset ruleset;
    struct program program;
};

/* The text as one more file of the set. */
static inline void sample_add(struct ruleset *ruleset, const char *path, const char *text) {
    struct source *source = memory_zalloc(sizeof *source);
    source_from_text(source, path, text, strlen(text));
    source->number = ruleset->count;
    ruleset->sources =
        memory_grow((void *)ruleset->sources, ruleset->count, sizeof(struct source *));
    ruleset->sources[ruleset->count++] = source;
}

/* Rules "t.rules" that must be free of errors. */
static inline void sample_rules_init(struct sample_rules *rules, const char *text) {
    ruleset_init(&rules->ruleset);
    sample_add(&rules->ruleset, "t.rules", text);
    ruleset_load(&rules->ruleset, NULL);
    if (diagnostic_count_errors(&rules->ruleset.diagnostics)) {
        diagnostic_print(&rules->ruleset.diagnostics, stderr, (struct terminal){0});
        fail_msg("the rules of the test are wrong: %s", text);
    }
    program_init(&rules->program, &rules->ruleset);
}

static inline void sample_rules_finish(struct sample_rules *rules) {
    program_finish(&rules->program);
    ruleset_finish(&rules->ruleset);
}

static inline void sample_domain(struct domain *domain, const char *xml) {
    struct failure failure = {0};
    if (domain_xml_parse(domain, xml, strlen(xml), &failure) != 0)
        fail_msg("%s: %s", failure.message, xml);
}

/* The copy of a host in a directory, whose name must last; of the last call only. */
static inline const struct host_source *sample_source(const char *root) {
    static struct host_source source;
    source = source_sysfs(root);
    return &source;
}

static inline void sample_host(struct host *host, const char *root) {
    struct failure failure;
    const struct host_source source = source_sysfs(root);
    if (source.load(&source, host, &failure) != 0)
        fail_msg("%s", failure.message);
}

/* A literal where the engine owns its text. */
#define SAMPLE_TEXT(TEXT) ((char *)(TEXT))

/* Fields of struct device for a PCI and a USB device. */
#define SAMPLE_PCI(ADDRESS, VENDOR, DEVICE, CLASS)                                                 \
    .bus = BUS_PCI, .address = SAMPLE_TEXT(ADDRESS), .id = {VENDOR, DEVICE},                       \
    .class_code = (CLASS), .name = SAMPLE_TEXT("Some card"), .numa_node = -1
#define SAMPLE_USB(PORT, VENDOR, DEVICE, BUS, NUMBER)                                              \
    .bus = BUS_USB, .address = SAMPLE_TEXT(PORT), .id = {VENDOR, DEVICE}, .iommu_group = -1,       \
    .name = SAMPLE_TEXT("Some stick"), .bus_number = (BUS), .device_number = (NUMBER),             \
    .numa_node = -1

#endif
