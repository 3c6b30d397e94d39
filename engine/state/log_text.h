/* A line of the log for people at a terminal. */
#ifndef ENGINE_LOG_TEXT_H
#define ENGINE_LOG_TEXT_H

#include "engine/state/log_read.h"
#include "lexer/terminal.h"

/*
 * Wrapped to the terminal's width, which is not 0:
 *
 *     23:14:07  frigate started attach 0000:03:00.0 1ac1:089a: failed
 *               the guest did not release the device
 *               rule /usr/local/libvirt/rules.d/50-frigate.rules:1
 *               hint: ...
 *
 * The time is local; without one, as right after it happened, the line begins at the margin.
 */
void log_text_print(FILE *out, struct terminal terminal, const struct log_line *line,
                    bool with_time);

/* The colour of a result. */
const char *log_text_colour(const char *result);

/* The message without the hint that it ends with; the caller frees it. */
char *log_text_message(const struct log_line *line);

#endif
