/*
 * model/wordpiece.h - the uncased BERT tokenizer: text to the ids of a vocabulary.
 *
 * The ids equal those of Hugging Face's tokenizers (BertNormalizer, BertPreTokenizer, WordPiece):
 *  1. The text is split at the five special tokens, spelled exactly so, also inside words.
 *  2. Each code point is mapped (model/unicode.h); white space ends words, punctuation and CJK
 *     ideographs are words of their own.
 *  3. Each word is cut greedily into the longest pieces of the vocabulary. A word that cannot be
 *     cut, or is longer than 100 code points, is [UNK].
 * A tokenizer does not change once it is open, so any number of threads may use it.
 */
#ifndef MODEL_WORDPIECE_H
#define MODEL_WORDPIECE_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum special_token {
    TOKEN_PAD,
    TOKEN_UNK,
    TOKEN_CLS,
    TOKEN_SEP,
    TOKEN_MASK,
    SPECIAL_TOKENS,
};

struct wordpiece {
    slice *tokens;                    /* by id; they point into the vocabulary's text */
    uint32_t *ids;                    /* hash table of ids + 1; 0 for a free place */
    uint32_t count;                   /* of tokens */
    uint32_t mask;                    /* the table's size less 1 */
    uint32_t special[SPECIAL_TOKENS]; /* their ids */
    size_t longest_bytes;             /* of a token */
};

/*
 * Reads a vocabulary, one token a line, the first with id 0 (vocab.txt). The text is not copied: it
 * must outlive the tokenizer. Memory: about 30 bytes a token. ERR_INPUT for one without a special
 * token, or with more than 2^24 lines; ERR_MEMORY.
 */
int wordpiece_open(struct wordpiece *tokenizer, slice vocabulary, struct err *err);

/* Frees the tables. */
void wordpiece_close(struct wordpiece *tokenizer);

/*
 * Writes the ids of the text, [CLS] first and [SEP] last, into ids[0..max_ids), max_ids at least 2.
 * What does not fit in between is left out, and not even looked at. The text is UTF-8; bytes that
 * are not are dropped. Returns how many ids there are, 2 at least.
 */
size_t wordpiece_encode(const struct wordpiece *tokenizer, slice text, uint32_t *ids,
                        size_t max_ids);

#endif
