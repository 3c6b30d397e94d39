/* From what the parser met and what it would have taken to a message that a person can act on. */
#ifndef PARSER_SYNTAX_ERROR_H
#define PARSER_SYNTAX_ERROR_H

#include "parser/syntax.h"

struct seen_token {
    enum token token;
    union token_value value;
    struct span span;
};

struct syntax_error {
    bool expected[TOKEN_COUNT];
    struct seen_token previous, found;
};

void syntax_error_report(struct parse_context *context, const struct syntax_error *error);

/* A statement begins, or the file ends, and the block that `open` began has no '}'. */
void syntax_error_open_block(struct parse_context *context, const struct seen_token *found,
                             struct span open);

/* The word was surely meant to be one of the keywords: reported, as the cause of what else is
 * wrong. */
bool syntax_error_mistyped_word(struct parse_context *context, struct span span, const char *text,
                                const enum token *tokens, size_t count);

/* True when it is an event but for a slip, or is called so elsewhere. */
bool syntax_error_is_nearly_event(const char *text);

/* Returns false when the word is nothing like an event, and so may be a part of the VM's name. */
bool syntax_error_unknown_event(struct parse_context *context, struct span span, const char *text);

/* A 'never' that begins its line, but a backslash joins it to the one before. */
void syntax_error_joined_never(struct parse_context *context, struct span backslash);

/* A bare word that begins with a shell's other quotes. */
void syntax_error_wrong_quotes(struct parse_context *context, struct span span);

/* A bare word that is a VM's name to the grammar, and to its writer surely something else. */
void syntax_error_odd_name(struct parse_context *context, struct span span, const char *text);

/* A word after 'uuid'. */
/*
 * Several words where one VM is meant, of which one is a mistyped 'name', 'title' or 'uuid', or an
 * operator of another language: says so. Returns false, and says nothing, for any others.
 */
bool syntax_error_hint_vm_words(struct diagnostic *diagnostic, const char *words, size_t length);

/* The same behind the VMs of a 'never', where no event follows: says what to write for any words.
 */
void syntax_error_hint_guarded_words(struct diagnostic *diagnostic, const struct seen_token *found,
                                     const char *words, size_t length);

void syntax_error_bad_uuid(struct parse_context *context, struct span span, const char *text);

/* A bare argument that is an operator to a shell, and an error here. */
bool syntax_error_is_shell_operator(const char *text);

/* A bare argument of a command that only a shell would make something of. */
void syntax_error_shell_word(struct parse_context *context, struct span span, const char *text);

#endif
