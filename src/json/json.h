/*
 * json/json.h - JSON, read in place and written with escaping (RFC 8259). The only user of jsmn.
 *
 * Three ways to read, from cheap to comfortable, none of which copies the text:
 *  - json_check: is this exactly one valid JSON document? One linear pass, constant memory.
 *  - json_next_member, json_next_element, json_count_members: walk the direct children of a
 *    checked object or array.
 *  - json_doc: jsmn tokens over the text, for random access; 20 bytes a value, made on demand.
 * One way to write: json_put_* and json_format append to a capped buffer and escape as needed.
 *
 * Only json_check validates; everything else is meant for text that has passed it. Given other
 * bytes, the rest stays inside them and terminates, but its results mean nothing.
 *
 * Everything is pure: no I/O, no allocation except growth of the caller's buffer or arena, nothing
 * shared between threads. Every slice returned points into the text given or into the arena, and
 * lives as long as that. The locale must be "C" (numbers); the worker never sets another.
 *
 * Duplicate member names are valid; look-ups find the last one, as Python and JavaScript do.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define JSON_DEPTH_MAX 4096 /* nested containers in a document; 64 of them cost 8 bytes of stack */
#define JSON_DOC_DEPTH_MAX 128 /* in a document with tokens: bounds jsmn's climb at each ']' */
#define JSON_TEXT_MAX_BYTES (1u << 30) /* jsmn's offsets are ints */

/* What json_check finds out. */
struct json_info {
    uint32_t values;   /* tokens a json_doc needs: one for each value and each member name */
    unsigned depth;    /* of the deepest value: 0 for a scalar */
    enum rp_type type; /* of the document itself */
};

/*
 * Checks that text is one JSON document, white space around it allowed, UTF-8 well formed, at
 * most JSON_DEPTH_MAX containers deep. A byte order mark is refused; escapes of lone surrogates
 * are valid by the grammar. Linear time. info may be NULL; it is set on success only. ERR_INPUT
 * with the byte offset and what was expected there, ERR_LIMIT for depth or size.
 */
int json_check(slice text, struct json_info *info, struct err *err);

/* The type of a checked value, by its first byte that is not white space; RP_NONE for none. */
enum rp_type json_type(slice value);

/* The value without white space around it. */
slice json_trim(slice text);

/*
 * Walks the members of a checked object: `*pos` starts at 0. Returns true and sets name (raw,
 * without its quotes, escapes as written) and value (raw, trimmed), or false at the end, and at
 * once where the value is not an object. A step costs time linear in the member's length. The
 * name's quotes are the bytes around it, so { name.ptr - 1, name.len + 2 } can be given to
 * json_string.
 */
bool json_next_member(slice object, size_t *pos, slice *name, slice *value);

/* How many members a checked object has: 0 where the value is not an object. */
size_t json_count_members(slice object);

/* The same walk over the elements of a checked array. */
bool json_next_element(slice array, size_t *pos, slice *value);

/* True where such a raw name equals `text` after unescaping. */
bool json_name_is(slice name, slice text);

/* The value of the last member called `name`, compared after unescaping. False where none. */
bool json_member(slice object, const char *name, slice *value);

/*
 * True for what Python considers false, as the SDK and the published workers test values: null,
 * false, 0, "", [], {}; also for an absent value (ptr NULL). value is checked JSON.
 */
bool json_is_falsy(slice value);

/*
 * The text of a checked JSON string, quotes included in `string`. Without escapes it is a slice of
 * the input; with escapes it is decoded into the arena, which costs its raw length there. A lone
 * surrogate escape becomes U+FFFD; \u0000 becomes a NUL byte: go by the length. ERR_INPUT where it
 * is not a string, ERR_MEMORY where the arena is full.
 */
int json_string(slice string, struct arena *arena, slice *text, struct err *err);

/*
 * Numbers, of any length. json_int: exact; ERR_INPUT where it is not a number, not an integer or
 * does not fit int64_t; 1e3 and 5.0 are integers, 5.5 is not. json_double: the nearest double, zero
 * where the number is too small for any; ERR_INPUT where it is not a number or overflows to
 * infinity.
 */
int json_int(slice number, int64_t *value, struct err *err);
int json_double(slice number, double *value, struct err *err);

/* --- tokens ----------------------------------------------------------------------------- */

struct json_doc {
    slice text;
    void *tokens; /* jsmn's, in the caller's arena */
    uint32_t count;
};

/*
 * Tokens over checked text with its json_info, 20 bytes a value from the arena; text and arena
 * memory must outlive the doc. ERR_MEMORY where the arena is full, ERR_LIMIT where the text is
 * deeper than JSON_DOC_DEPTH_MAX, ERR_INPUT where it is not what json_check has read. Linear time;
 * at worst, for deep nesting, JSON_DOC_DEPTH_MAX / 4 steps up a chain of parents for each byte.
 */
int json_doc_init(struct json_doc *doc, slice text, const struct json_info *info,
                  struct arena *arena, struct err *err);

/*
 * A value is named by its token's index; 0 is the document. JSON_NONE stands for "no such value",
 * as a result and as an argument: its type is RP_NONE, its raw text is empty, it has no children.
 * Each call takes constant time, except member and element: linear in the number of siblings.
 */
#define JSON_NONE UINT32_MAX
enum rp_type json_doc_type(const struct json_doc *doc, uint32_t index);
slice json_doc_raw(const struct json_doc *doc, uint32_t index);      /* quotes included */
uint32_t json_doc_count(const struct json_doc *doc, uint32_t index); /* members or elements */
uint32_t json_doc_member(const struct json_doc *doc, uint32_t object, slice name);
uint32_t json_doc_element(const struct json_doc *doc, uint32_t array, uint32_t position);
/* First child and next sibling, for walking; the names of members are not children. */
uint32_t json_doc_first(const struct json_doc *doc, uint32_t container);
uint32_t json_doc_next(const struct json_doc *doc, uint32_t child);
/* The name of a member's value, raw with quotes; empty where the value is not a member's. */
slice json_doc_name(const struct json_doc *doc, uint32_t child);

/*
 * Whether two JSON texts mean the same: objects regardless of their order (of several members with
 * one name the last counts), strings as json_string reads them, numbers by value (1, 1.0 and 1e0;
 * exactly where both are integers of 64 bits, else as doubles; one that overflows a double equals
 * only what is written alike). Neither text need be checked before. Takes memory from the arena for
 * both documents and their names; recursive, about 32 KiB of stack at the largest depth.
 *
 * 0 with *equal set; ERR_INPUT where one is not JSON; ERR_LIMIT where one is nested deeper than
 * JSON_DOC_DEPTH_MAX; ERR_MEMORY where the arena is full.
 */
int json_equal(slice a, slice b, struct arena *arena, bool *equal, struct err *err);

/* --- writing ---------------------------------------------------------------------------- */

/* Each appends everything or, on an error, nothing. ERR_LIMIT, ERR_MEMORY as buf_reserve. */

/* Appends text as a JSON string with quotes. ERR_INPUT where it is not UTF-8. */
int json_put_string(struct buf *buf, slice text, struct err *err);

/* The same for bytes of unknown origin (a child's stderr): each one not UTF-8 becomes U+FFFD. */
int json_put_lossy(struct buf *buf, slice text, struct err *err);

/* Appends a number. */
int json_put_int(struct buf *buf, int64_t value, struct err *err);

/*
 * Appends formatted JSON. Everything but the directives is copied as written:
 *   %Q   const char * as an escaped string with quotes; NULL gives null
 *   %S   rp_str * as an escaped string with quotes; NULL gives null
 *   %J   rp_str * of JSON, copied unchanged; NULL gives null, an empty one is an error
 *   %s   const char * copied unchanged; NULL is an error
 *   %.*Q %.*s  take int and const char *: exactly that many bytes, NUL bytes too
 *   %d %i %u %x with l, ll, z, j; %g %f %e with optional .precision or .*; %B int as true or false
 *   %%   a percent sign
 * Nothing else: no flags, no width, no %n. Only the buffer's maximum limits the length.
 * ERR_INPUT for an unknown directive, a negative length, text that is not UTF-8 for %Q and %S, NaN
 * or infinity. The result is not checked. args is left unchanged.
 */
int json_format(struct buf *buf, const char *format, va_list args, struct err *err);

/* The same with the arguments in line. */
int json_add(struct buf *buf, struct err *err, const char *format, ...);

#endif
