/* Syntax errors: from the token that was found and those that were expected to a message with a
 * hint. */
#ifndef PARSER_SYNTAX_ERROR_H
#define PARSER_SYNTAX_ERROR_H

#include "parser/syntax.h"

struct seen_token {
    enum token token;
    union token_value value;
    struct span span;
};

struct syntax_error {
    const struct source *source;
    bool expected[TOKEN_COUNT];
    bool expects_boot; /* of an option: 'boot' is the name of an event elsewhere */
    struct seen_token previous, found;
    /* Of the action, as far as it was read. */
    enum verb verb;
    enum backend backend;
    bool of_host; /* the rule is one of the host */
};

void syntax_error_report(struct parse_context *context, const struct syntax_error *error);

/* A statement begins, or the file ends, and the block that `open` began has no '}'. */
void syntax_error_open_block(struct parse_context *context, const struct seen_token *found,
                             struct span open);

/* Reports a word that is surely one of the keywords, mistyped; false: it is not like any. */
bool syntax_error_mistyped_word(struct parse_context *context, struct span span, const char *text,
                                const enum token *tokens, size_t count);

/* True for a mistyped event, or its name in another tool. */
bool syntax_error_is_nearly_event(const char *text);

/* Returns false when the word is nothing like an event, and so may be a part of the VM's name. */
bool syntax_error_unknown_event(struct parse_context *context, struct span span, const char *text);
/* The same after "on host". */
void syntax_error_unknown_host_event(struct parse_context *context, struct span span,
                                     const char *text);

/* A 'never' that begins its line, but a backslash joins it to the one before. */
void syntax_error_joined_never(struct parse_context *context, struct span backslash);

/* A bare word that begins with a shell's other quotes. */
void syntax_error_wrong_quotes(struct parse_context *context, struct span span);

/* A bare word that the grammar takes for a VM's name, and that surely means something else. */
void syntax_error_odd_name(struct parse_context *context, struct span span, const char *text);

/*
 * The hint for several words where one VM is meant, if one of them is a mistyped 'name', 'title' or
 * 'uuid', or an operator of another language. Returns false and gives no hint for any others.
 */
bool syntax_error_hint_vm_words(struct diagnostic *diagnostic, const char *words, size_t length);

/* The same after the VMs of a 'never', where no event follows; there is a hint for any words. */
void syntax_error_hint_guarded_words(struct diagnostic *diagnostic, const struct seen_token *found,
                                     const char *words, size_t length);

/* "as serial usb": a bus that is not an option. */
void syntax_error_port_bus(struct parse_context *context, struct span span, enum token bus);

/* A word after 'uuid' that is not a UUID. */
void syntax_error_bad_uuid(struct parse_context *context, struct span span, const char *text);

/* A bare argument that is an operator to a shell, and an error here. */
bool syntax_error_is_shell_operator(const char *text);

/* A bare argument of a command that has a meaning only for a shell. */
void syntax_error_shell_word(struct parse_context *context, struct span span, const char *text);

#endif
