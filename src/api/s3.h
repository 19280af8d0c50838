/*
 * job/s3.h - requests to S3-compatible storage, signed (AWS Signature Version 4), and links.
 *
 * Holds the secret key for as long as a struct s3 lives, by reference; it goes into nothing but the
 * signing key, which is wiped after each use.
 */
#ifndef JOB_S3_H
#define JOB_S3_H

#include <stdbool.h>

#include "base/buf.h"
#include "codec/sigv4.h"
#include "codec/url.h"
#include "net/digest.h"

/* One object in one bucket. All slices are linked. */
struct s3 {
    struct url endpoint; /* with a path in front of the bucket's, maybe */
    slice access_key;
    slice secret_key;
    slice region;
    slice bucket;
    bool virtual_host; /* the bucket is a part of the host's name, not of the path */
    slice key;         /* of the object, not encoded */
};

/* Checks what may be wrong with it. ERR_INPUT. */
int s3_check(const struct s3 *s3, struct err *err);

/*
 * The region by the endpoint's host, as the SDK finds it and better: of "s3.REGION.any",
 * "any.s3.REGION.any", "REGION.digitaloceanspaces.com", "s3api-REGION.runpod.io" (in capitals, as
 * its documentation wants it). Written to out. False where the host tells none.
 */
#define S3_REGION_BYTES 64
bool s3_region_of(slice host, char out[S3_REGION_BYTES]);

/* A request about the object, with everything that depends on its signature. */
struct s3_request {
    const char *method;
    const struct sigv4_pair *query; /* at most 4 */
    size_t query_count;
    slice content_type;             /* empty for none */
    char payload[DIGEST_HEX_BYTES]; /* the body's hash */
    char time[SIGV4_TIME_BYTES];    /* set by s3_sign, as what follows */
    struct buf *url;                /* replaced */
    struct buf *authorization;      /* replaced */
};
int s3_sign(const struct s3 *s3, struct s3_request *request, int64_t unix_s, struct err *err);

/* Appends the link by which anybody can GET the object for expires_s. */
int s3_put_link(const struct s3 *s3, int64_t unix_s, uint32_t expires_s, struct buf *out,
                struct err *err);

#endif
