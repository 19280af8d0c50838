/*
 * codec/xml.h - the little XML that S3's responses need: the text of an element. Documents are not
 * validated; only XML's five predefined entities are decoded. Pure.
 */
#ifndef CODEC_XML_H
#define CODEC_XML_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/*
 * Appends the text of the first element of that name that holds only text. False, with nothing
 * appended, where no such element exists or out is full.
 */
bool xml_text(slice document, const char *name, struct buf *out);

/* Appends text with its markup characters escaped. Errors as buf_add. */
int xml_put_text(struct buf *out, slice text, struct err *err);

#endif
