#include "engine/command/question.h"

#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

bool question_is_possible(void) {
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

char *question_ask(const char *prompt) {
    static const char blanks[] = " \t\r\n";
    char *line = NULL;
    size_t room = 0;
    text_print_string(stdout, prompt);
    putchar(' ');
    fflush(stdout);
    ssize_t size = getline(&line, &room, stdin);
    if (size < 0)
        putchar('\n'); /* the end of input leaves the cursor on the line */
    char *start = size < 0 ? NULL : line + strspn(line, blanks);
    for (char *end = start ? start + strlen(start) : NULL; start && end > start; end--) {
        if (!strchr(blanks, end[-1]))
            break;
        end[-1] = '\0';
    }
    bool ends = !start || !*start || !strcmp(start, "q");
    char *answer = ends ? NULL : memory_strdup(start);
    free(line);
    return answer;
}

size_t question_number(const char *answer, size_t count) {
    uint32_t number = 0;
    return text_parse_decimal(answer, UINT32_MAX, &number) && number <= count ? number : 0;
}

bool question_is_yes(const char *prompt) {
    char *answer = question_ask(prompt);
    bool is_yes = answer && (!strcasecmp(answer, "y") || !strcasecmp(answer, "yes"));
    free(answer);
    return is_yes;
}
