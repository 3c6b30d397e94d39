#include "parser/suggest.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { LONGEST = 48 };

static size_t suggest_least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Edits to make one word of the other, a swap of neighbours being one (optimal string alignment).
 */
static size_t suggest_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t rows[3][LONGEST + 1];
    size_t *two = rows[0], *one = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        one[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            now[j] = suggest_least(suggest_least(one[j], now[j - 1]) + 1,
                                   one[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = suggest_least(now[j], two[j - 2] + 1);
        }
        size_t *free_row = two;
        two = one;
        one = now;
        now = free_row;
    }
    return one[b_length];
}

void suggest(struct suggestion *suggestion, const char *candidate) {
    size_t length = strlen(suggestion->word), other = strlen(candidate);
    if (length > LONGEST || other > LONGEST || !length)
        return;
    size_t limit = length < 4 ? 1 : length < 6 ? 2 : 1 + length / 4;
    if (other > length + limit || length > other + limit)
        return;
    size_t far = suggest_distance(suggestion->word, length, candidate, other);
    if (far > 1 && !strcasecmp(suggestion->word, candidate))
        far = 1;
    if (far > limit || far >= length)
        return;
    if (suggestion->best && (far > suggestion->distance ||
                             (far == suggestion->distance &&
                              (strncmp(candidate, suggestion->word, length) != 0 ||
                               strncmp(suggestion->best, suggestion->word, length) == 0))))
        return;
    suggestion->best = candidate;
    suggestion->distance = far;
}
