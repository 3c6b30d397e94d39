#include "lexer/utf8.h"

bool utf8_is_continuation(char byte) {
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* The second byte has narrower bounds after some first bytes: no overlong form, no surrogate. */
static bool utf8_fits_second(unsigned char first, unsigned char second) {
    unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= least && second <= most;
}

size_t utf8_length(const char *text, size_t size) {
    unsigned char first = (unsigned char)*text;
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length > size || !utf8_fits_second(first, (unsigned char)text[1]))
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!utf8_is_continuation(text[i]))
            return 0;
    return length;
}

uint32_t utf8_code_point(const char *text, size_t size) {
    uint32_t code = (unsigned char)*text;
    if (size > 1)
        code &= 0xffU >> (size + 1);
    for (size_t i = 1; i < size; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    return code;
}
