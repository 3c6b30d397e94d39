#include "parser/syntax.h"

#include <stdlib.h>

void syntax_init(struct syntax *syntax) {
    *syntax = (struct syntax){0};
    syntax->texts.arena = &syntax->arena;
    syntax->rules_end = &syntax->rules;
    syntax->guards_end = &syntax->guards;
    syntax->definitions_end = &syntax->definitions;
}

void syntax_finish(struct syntax *syntax) {
    interner_finish(&syntax->texts);
    free((void *)syntax->bad_names);
    arena_finish(&syntax->arena);
}

const char *criterion_text(enum criterion_kind kind) {
    static const char *const texts[] = {
        "name",      "id",   "at",     "class",
        "subsystem", "port", "serial", "words that were not understood"};
    return texts[kind];
}

const char *backend_text(enum backend backend) {
    static const char *const texts[] = {"", "vfio", "usb"};
    return texts[backend];
}

const char *verb_text(enum verb verb) {
    static const char *const texts[] = {"attach", "detach", "run"};
    return texts[verb];
}

static uint64_t id_bits(const struct criterion *one) {
    return (uint64_t)one->any_vendor << 33 | (uint64_t)one->any_device << 32 |
           (uint64_t)one->id.vendor << 16 | one->id.device;
}

uint64_t criterion_bits(const struct criterion *one) {
    switch ((enum criterion_kind)one->kind) {
    case CRITERION_ID:
    case CRITERION_SUBSYSTEM:
        return id_bits(one);
    case CRITERION_CLASS:
        return (uint64_t)one->class_prefix.digits << 32 | one->class_prefix.value;
    default:
        return (uint64_t)(uintptr_t)one->text;
    }
}

bool same_criterion(const struct criterion *a, const struct criterion *b) {
    return a->kind == b->kind && criterion_bits(a) == criterion_bits(b);
}
