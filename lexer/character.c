#include "lexer/character.h"

#include "lexer/text.h"
#include "lexer/utf8.h"

#include <string.h>

/* Sorted. From Unicode's categories Zs, Cf and Cc, its property Default_Ignorable_Code_Point, and
 * the quotes of its General Punctuation block. */
static const struct {
    uint32_t first, last;
    const char *name;
    enum character_kind kind;
} odd[] = {
    {0x0080, 0x009f, NULL, CHARACTER_C1},
    {0x00a0, 0x00a0, "no-break space", CHARACTER_BLANK},
    {0x00ab, 0x00ab, NULL, CHARACTER_QUOTE},
    {0x00ad, 0x00ad, "soft hyphen", CHARACTER_HIDDEN},
    {0x00bb, 0x00bb, NULL, CHARACTER_QUOTE},
    {0x034f, 0x034f, "grapheme joiner", CHARACTER_JOINER},
    {0x061c, 0x061c, "direction mark", CHARACTER_JOINER},
    {0x115f, 0x1160, "Hangul filler", CHARACTER_JOINER},
    {0x1680, 0x1680, "Unicode space", CHARACTER_BLANK},
    {0x17b4, 0x17b5, "vowel without a shape", CHARACTER_JOINER},
    {0x180b, 0x180d, "variation selector", CHARACTER_JOINER},
    {0x180e, 0x180e, "vowel separator", CHARACTER_HIDDEN},
    {0x180f, 0x180f, "variation selector", CHARACTER_JOINER},
    {0x2000, 0x200a, "Unicode space", CHARACTER_BLANK},
    {0x200b, 0x200b, "zero-width space", CHARACTER_HIDDEN},
    {0x200c, 0x200c, "zero-width non-joiner", CHARACTER_JOINER},
    {0x200d, 0x200d, "zero-width joiner", CHARACTER_JOINER},
    {0x200e, 0x200f, "direction mark", CHARACTER_HIDDEN},
    {0x2018, 0x201f, NULL, CHARACTER_QUOTE},
    {0x2028, 0x2028, "line separator", CHARACTER_HIDDEN},
    {0x2029, 0x2029, "paragraph separator", CHARACTER_HIDDEN},
    {0x202a, 0x202e, "direction mark", CHARACTER_HIDDEN},
    {0x202f, 0x202f, "narrow no-break space", CHARACTER_BLANK},
    {0x2032, 0x2033, NULL, CHARACTER_QUOTE},
    {0x2039, 0x203a, NULL, CHARACTER_QUOTE},
    {0x205f, 0x205f, "Unicode space", CHARACTER_BLANK},
    {0x2060, 0x206f, "character without a shape", CHARACTER_HIDDEN},
    {0x2800, 0x2800, "blank Braille pattern", CHARACTER_JOINER},
    {0x3000, 0x3000, "wide space", CHARACTER_BLANK},
    {0x3164, 0x3164, "Hangul filler", CHARACTER_JOINER},
    {0xfe00, 0xfe0f, "variation selector", CHARACTER_JOINER},
    {0xfeff, 0xfeff, "byte order mark", CHARACTER_HIDDEN},
    {0xff02, 0xff02, NULL, CHARACTER_QUOTE},
    {0xff07, 0xff07, NULL, CHARACTER_QUOTE},
    {0xffa0, 0xffa0, "Hangul filler", CHARACTER_JOINER},
    {0xfff9, 0xfffb, "annotation mark", CHARACTER_HIDDEN},
    {0x1d173, 0x1d17a, "character without a shape", CHARACTER_HIDDEN},
    {0xe0000, 0xe00ff, "tag", CHARACTER_JOINER},
    {0xe0100, 0xe01ef, "variation selector", CHARACTER_JOINER},
    {0xe01f0, 0xe0fff, "character without a shape", CHARACTER_HIDDEN},
};

enum character_kind character_kind(uint32_t code, const char **name) {
    size_t from = 0, to = sizeof odd / sizeof *odd;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (code > odd[middle].last)
            from = middle + 1;
        else
            to = middle;
    }
    bool found = from < sizeof odd / sizeof *odd && code >= odd[from].first;
    if (name)
        *name = found ? odd[from].name : NULL;
    return found ? odd[from].kind : CHARACTER_PLAIN;
}

enum character_kind character_at(const char *text, size_t size, size_t *length) {
    size_t bytes = (*text & 0x80) ? utf8_length(text, size) : 1;
    *length = bytes ? bytes : 1;
    return bytes > 1 ? character_kind(utf8_code_point(text, bytes), NULL) : CHARACTER_PLAIN;
}

bool character_is_wide_separator(uint32_t code) {
    static const uint32_t codes[] = {0x060c, 0x061b, 0x3001, 0xfe50, 0xfe51, 0xfe54,
                                     0xff06, 0xff0c, 0xff1b, 0xff5c, 0xff64};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return true;
    return false;
}

bool character_has_wide_separator(const char *text) {
    for (size_t at = 0, left = strlen(text), length; at < left; at += length) {
        character_at(text + at, left - at, &length);
        if (length > 1 && character_is_wide_separator(utf8_code_point(text + at, length)))
            return true;
    }
    return false;
}
