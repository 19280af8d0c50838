/*
 * model/unicode.h - what the uncased BERT tokenizer makes of one code point: BertNormalizer and
 * BertPreTokenizer of the package "tokenizers", whose behaviour the table is made from
 * (tests/unicode_table.py). Every code point is mapped alone: none depends on its neighbours. Pure.
 */
#ifndef MODEL_UNICODE_H
#define MODEL_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum unicode_class {
    UNICODE_WORD,    /* part of a word, as the code points it is mapped to */
    UNICODE_DROP,    /* disappears: controls, accents, what is not assigned */
    UNICODE_SPACE,   /* ends a word */
    UNICODE_ISOLATE, /* a word of its own: punctuation and CJK ideographs */
};

#define UNICODE_MAX 3 /* code points that one may be mapped to */

/*
 * The class of a code point (not a surrogate, at most 0x10ffff), and what it is mapped to: without
 * accents and in lower case. *count is 1 to UNICODE_MAX, for UNICODE_DROP and UNICODE_SPACE 0.
 */
enum unicode_class unicode_map(uint32_t point, uint32_t out[UNICODE_MAX], size_t *count);

#endif
