/*
 * api/s3.h - requests to S3-compatible storage, signed (AWS Signature Version 4), and links.
 *
 * A struct s3 refers to the secret key, which is only used to derive the signing key, and that is
 * wiped after each use. Pure; nothing here blocks.
 */
#ifndef API_S3_H
#define API_S3_H

#include <stdbool.h>

#include "base/buf.h"
#include "codec/sigv4.h"
#include "codec/url.h"
#include "net/digest.h"

/* One object in one bucket. The slices are not copied. */
struct s3 {
    struct url endpoint; /* its path, if any, precedes the bucket's */
    slice access_key;
    slice secret_key;
    slice region;
    slice bucket;
    bool virtual_host; /* the bucket is a part of the host's name, not of the path */
    slice key;         /* of the object, not encoded */
};

/* Checks bucket and key. ERR_INPUT naming what is wrong. */
int s3_check(const struct s3 *s3, struct err *err);

/*
 * Finds the region in the endpoint's host, as the SDK does, but in more forms: "s3.REGION.any",
 * "any.s3.REGION.any", "REGION.digitaloceanspaces.com", "s3api-REGION.runpod.io" (in capitals, as
 * its documentation asks for). Written to out with a NUL. False if there is none.
 */
#define S3_REGION_BYTES 64
bool s3_region_of(slice host, char out[S3_REGION_BYTES]);

/* A request about the object, with what its signature depends on and what depends on it. */
struct s3_request {
    const char *method;
    const struct sigv4_pair *query; /* at most 4 */
    size_t query_count;
    slice content_type;             /* empty for none */
    char payload[DIGEST_HEX_BYTES]; /* the body's hash */
    char time[SIGV4_TIME_BYTES];    /* from here on set by s3_sign */
    struct buf *url;                /* its content is replaced */
    struct buf *authorization;      /* its content is replaced */
};

/* Signs the request for the time unix_s. ERR_INPUT, ERR_LIMIT (a text too long), ERR_MEMORY. */
int s3_sign(const struct s3 *s3, struct s3_request *request, int64_t unix_s, struct err *err);

/* Appends a presigned link, with which anyone can GET the object for expires_s. As s3_sign. */
int s3_put_link(const struct s3 *s3, int64_t unix_s, uint32_t expires_s, struct buf *out,
                struct err *err);

#endif
