/*
 * codec/sigv4.h - the texts of AWS Signature Version 4 for S3: what is hashed, what is signed, and
 * how a request carries the signature. Hashing and signing are done in api/s3.h.
 * Source: AWS, "Authenticating Requests (AWS Signature Version 4)", S3 API Reference.
 *
 * Pure. ERR_LIMIT, ERR_MEMORY as buf_add: they stick to the buffer, whose content must not be used
 * then. So several texts may be appended with a NULL err, and buf_error asked once at the end.
 */
#ifndef CODEC_SIGV4_H
#define CODEC_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define SIGV4_TIME_BYTES 17 /* "20130524T000000Z" and NUL */
#define SIGV4_DATE_LEN 8    /* of it: the date */
#define SIGV4_PAIRS_MAX 16  /* parameters of one query, fields of one request */

struct sigv4_pair {
    slice name;
    slice value;
};

/* A request to be signed. */
struct sigv4_request {
    const char *method;
    slice path;                      /* as sigv4_put_path encodes it, with a slash at its start */
    slice query;                     /* as sigv4_put_query makes it; may be empty */
    const struct sigv4_pair *fields; /* the signed ones: names in lower case, sorted */
    size_t field_count;
    const char *payload; /* the body's SHA-256 in hexadecimal, or "UNSIGNED-PAYLOAD" */
};

/* Writes the UTC time as requests carry it. */
void sigv4_time(int64_t unix_s, char text[SIGV4_TIME_BYTES]);

/* Appends a key percent-encoded, its slashes left as they are. */
int sigv4_put_path(struct buf *out, slice key, struct err *err);

/* Appends the pairs as a query without "?", sorted and encoded. ERR_INPUT past SIGV4_PAIRS_MAX. */
int sigv4_put_query(struct buf *out, const struct sigv4_pair *pairs, size_t count, struct err *err);

/* Appends the canonical request, whose hash goes into the string to sign. */
int sigv4_put_canonical(struct buf *out, const struct sigv4_request *request, struct err *err);

/* Appends "host;x-amz-date": the names of the signed fields. */
int sigv4_put_names(struct buf *out, const struct sigv4_request *request, struct err *err);

/* Appends "20130524/us-east-1/s3/aws4_request". */
int sigv4_put_scope(struct buf *out, const char *time, slice region, struct err *err);

/* Appends the string to sign. canonical_hash is in hexadecimal. */
int sigv4_put_string_to_sign(struct buf *out, const char *time, slice region,
                             const char *canonical_hash, struct err *err);

/* Appends the value of the Authorization field. signature is in hexadecimal. */
int sigv4_put_authorization(struct buf *out, const struct sigv4_request *request, const char *time,
                            slice region, slice access_key, const char *signature, struct err *err);

#endif
