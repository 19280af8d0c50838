/*
 * codec/xml.h - the little of XML that S3's answers need: the text of an element. No document is
 * checked, no entity expanded but the five that XML itself has. Pure.
 */
#ifndef CODEC_XML_H
#define CODEC_XML_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/*
 * Appends the text of the first element of that name that holds nothing but text. False, with
 * nothing appended, where there is none, it is not closed, or out is full.
 */
bool xml_text(slice document, const char *name, struct buf *out);

/* Appends text with what would be markup escaped. Errors as buf_add. */
int xml_put_text(struct buf *out, slice text, struct err *err);

#endif
