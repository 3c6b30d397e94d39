#include "parser/syntax.h"

void syntax_init(struct syntax *syntax) {
    *syntax = (struct syntax){0};
    syntax->texts.arena = &syntax->arena;
    syntax->rules_end = &syntax->rules;
    syntax->guards_end = &syntax->guards;
    syntax->definitions_end = &syntax->definitions;
}

void syntax_finish(struct syntax *syntax) {
    interner_finish(&syntax->texts);
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
