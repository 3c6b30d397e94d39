/* Questions to a person at a terminal. */
#ifndef ENGINE_QUESTION_H
#define ENGINE_QUESTION_H

#include <stdbool.h>
#include <stddef.h>

/* Whether there is a person: standard input and output are a terminal. */
bool question_is_possible(void);

/* The answer without blanks around it, which the caller frees; NULL: an empty line, "q", or the end
 * of input. */
char *question_ask(const char *prompt);

/* The item of a list that is numbered from 1; 0: the answer is not a number of it. */
size_t question_number(const char *answer, size_t count);

/* Whether the answer is yes; no: everything else. */
bool question_is_yes(const char *prompt);

#endif
