#include "api/s3.h"

#include <stdio.h>

#include "codec/byte_class.h"

#define TEXT_MAX_BYTES (4u * URL_MAX_BYTES) /* of a text that is hashed or signed */

/* --- the object's URL ----------------------------------------------------------------------- */

static bool is_bucket(slice bucket)
{
    if (bucket.len == 0 || bucket.len > 255)
        return false;
    return byte_class_span(bucket, BYTE_CLASS_HOST) == bucket.len && bucket.ptr[0] != '.';
}

static bool has_dot_segment(slice key)
{
    slice segment;
    while (byte_class_next(&key, '/', &segment))
        if (slice_is(segment, ".") || slice_is(segment, ".."))
            return true;
    return false;
}

int s3_check(const struct s3 *s3, struct err *err)
{
    if (!is_bucket(s3->bucket))
        return err_set(err, ERR_INPUT, "\"%.*s\" is not a valid bucket name",
                       SLICE_ARG(s3->bucket));
    if (s3->key.len == 0 || s3->key.len > 1024)
        return err_set(err, ERR_INPUT, "an object's name must have 1 to 1024 bytes, not %zu",
                       s3->key.len);
    if (has_dot_segment(s3->key))
        return err_set(err, ERR_INPUT, "an object's name may not have \".\" or \"..\" as a part");
    return 0;
}

/* The endpoint's path, without the slash at its end. */
static slice base_path(const struct s3 *s3)
{
    slice path = { s3->endpoint.target.ptr, byte_class_until(s3->endpoint.target, "?#") };
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    return path;
}

static void put_path(const struct s3 *s3, struct buf *out)
{
    const slice slash = SLICE_LITERAL("/");
    const slice pieces[] = { base_path(s3), slash, s3->bucket, slash };
    buf_add_slices(out, pieces, s3->virtual_host ? 2 : 4, NULL);
    sigv4_put_path(out, s3->key, NULL);
}

/* The host as the Host field has it, which is signed. */
static void put_host(const struct s3 *s3, struct buf *out)
{
    const struct url *endpoint = &s3->endpoint;
    char port[8] = "";
    if (endpoint->port != (endpoint->tls ? 443 : 80))
        snprintf(port, sizeof port, ":%u", (unsigned)endpoint->port);
    const slice pieces[] = {
        s3->virtual_host ? s3->bucket : SLICE_LITERAL(""),
        s3->virtual_host ? SLICE_LITERAL(".") : SLICE_LITERAL(""),
        endpoint->host_is_ipv6 ? SLICE_LITERAL("[") : SLICE_LITERAL(""),
        endpoint->host,
        endpoint->host_is_ipv6 ? SLICE_LITERAL("]") : SLICE_LITERAL(""),
        slice_from(port),
    };
    buf_add_slices(out, pieces, sizeof pieces / sizeof pieces[0], NULL);
}

/* The label of the host name that is the region; at least two more follow it. */
static slice find_region(slice host)
{
    static const char runpod[] = "s3api-";
    slice labels[16] = { 0 };
    size_t count = 0;
    while (count < sizeof labels / sizeof labels[0] && byte_class_next(&host, '.', &labels[count]))
        count++;
    for (size_t i = 0; i + 2 < count; i++) {
        if (i > 0 && slice_is_nocase(labels[i - 1], "s3"))
            return labels[i];
        if (labels[i].len >= sizeof runpod && slice_is_nocase(labels[i + 1], "runpod") &&
            strncasecmp(labels[i].ptr, runpod, sizeof runpod - 1) == 0)
            return slice_skip(labels[i], sizeof runpod - 1);
        if (i + 3 == count && slice_is_nocase(labels[i + 1], "digitaloceanspaces"))
            return labels[i];
    }
    return (slice){ 0 };
}

bool s3_region_of(slice host, char out[S3_REGION_BYTES])
{
    slice region = find_region(host);
    bool capitals = slice_ends_nocase(host, SLICE_LITERAL(".runpod.io"));
    if (region.len == 0 || region.len >= S3_REGION_BYTES)
        return false;
    for (size_t i = 0; i < region.len; i++) {
        char c = region.ptr[i];
        out[i] = capitals && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    out[region.len] = '\0';
    return true;
}

/* --- signing ------------------------------------------------------------------------------- */

/* Signs a text with a key derived for the day, the region and the service. */
static void sign(const struct s3 *s3, const char *time, slice text,
                 char signature[DIGEST_HEX_BYTES])
{
    char secret[256];
    uint8_t key[DIGEST_BYTES];
    int len = snprintf(secret, sizeof secret, "AWS4%.*s", SLICE_ARG(s3->secret_key));
    digest_hmac(secret, (size_t)len, (slice){ time, SIGV4_DATE_LEN }, key);
    digest_hmac(key, sizeof key, s3->region, key);
    digest_hmac(key, sizeof key, SLICE_LITERAL("s3"), key);
    digest_hmac(key, sizeof key, SLICE_LITERAL("aws4_request"), key);
    digest_hmac(key, sizeof key, text, key);
    digest_hex(key, signature);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(key, sizeof key);
}

static int sign_request(const struct s3 *s3, const struct sigv4_request *request, const char *time,
                        char signature[DIGEST_HEX_BYTES], struct err *err)
{
    struct buf text;
    if (s3->secret_key.len > 200)
        return err_set(err, ERR_INPUT, "the secret access key is too long");
    buf_init(&text, TEXT_MAX_BYTES, "request to sign");
    int rc = sigv4_put_canonical(&text, request, err);
    if (rc == 0) {
        uint8_t hash[DIGEST_BYTES];
        char hex[DIGEST_HEX_BYTES];
        digest_of(buf_slice(&text), hash);
        digest_hex(hash, hex);
        buf_clear(&text);
        rc = sigv4_put_string_to_sign(&text, time, s3->region, hex, err);
    }
    if (rc == 0)
        sign(s3, time, buf_slice(&text), signature);
    buf_free(&text);
    return rc;
}

/* "scheme://host/path?query" */
static void put_url(const struct s3 *s3, slice path, slice query, slice host, struct buf *out)
{
    const slice pieces[] = {
        s3->endpoint.tls ? SLICE_LITERAL("https://") : SLICE_LITERAL("http://"),
        host,
        path,
        query.len > 0 ? SLICE_LITERAL("?") : SLICE_LITERAL(""),
        query,
    };
    buf_add_slices(out, pieces, sizeof pieces / sizeof pieces[0], NULL);
}

/* The encoded pieces of a request, needed only while it is signed. */
struct texts {
    struct buf path, query, host;
};

static int make_texts(const struct s3 *s3, const struct sigv4_pair *query, size_t query_count,
                      struct texts *texts, struct err *err)
{
    buf_init(&texts->path, URL_MAX_BYTES, "object's path");
    buf_init(&texts->query, URL_MAX_BYTES, "query");
    buf_init(&texts->host, 2 * URL_HOST_MAX_BYTES + 16, "host");
    put_path(s3, &texts->path);
    put_host(s3, &texts->host);
    int rc = sigv4_put_query(&texts->query, query, query_count, err);
    if (rc == 0)
        rc = buf_error(&texts->path, err);
    return rc == 0 ? buf_error(&texts->host, err) : rc;
}

static void free_texts(struct texts *texts)
{
    buf_free(&texts->path);
    buf_free(&texts->query);
    buf_free(&texts->host);
}

int s3_sign(const struct s3 *s3, struct s3_request *request, int64_t unix_s, struct err *err)
{
    struct texts texts;
    char signature[DIGEST_HEX_BYTES];
    sigv4_time(unix_s, request->time);
    int rc = make_texts(s3, request->query, request->query_count, &texts, err);
    const struct sigv4_pair fields[] = {
        { SLICE_LITERAL("content-type"), request->content_type },
        { SLICE_LITERAL("host"), buf_slice(&texts.host) },
        { SLICE_LITERAL("x-amz-content-sha256"), slice_from(request->payload) },
        { SLICE_LITERAL("x-amz-date"), slice_from(request->time) },
    };
    size_t skipped = request->content_type.len == 0;
    const struct sigv4_request to_sign = {
        .method = request->method,
        .path = buf_slice(&texts.path),
        .query = buf_slice(&texts.query),
        .fields = fields + skipped,
        .field_count = sizeof fields / sizeof fields[0] - skipped,
        .payload = request->payload,
    };
    buf_clear(request->url);
    buf_clear(request->authorization);
    if (rc == 0)
        rc = sign_request(s3, &to_sign, request->time, signature, err);
    if (rc == 0)
        rc = sigv4_put_authorization(request->authorization, &to_sign, request->time, s3->region,
                                     s3->access_key, signature, err);
    put_url(s3, to_sign.path, to_sign.query, buf_slice(&texts.host), request->url);
    free_texts(&texts);
    return rc == 0 ? buf_error(request->url, err) : rc;
}

int s3_put_link(const struct s3 *s3, int64_t unix_s, uint32_t expires_s, struct buf *out,
                struct err *err)
{
    struct texts texts;
    struct buf credential;
    char time[SIGV4_TIME_BYTES], expires[16], signature[DIGEST_HEX_BYTES];
    sigv4_time(unix_s, time);
    snprintf(expires, sizeof expires, "%u", (unsigned)expires_s);
    buf_init(&credential, 1024, "credential");
    buf_add_slice(&credential, s3->access_key, NULL);
    buf_add_text(&credential, "/", NULL);
    sigv4_put_scope(&credential, time, s3->region, NULL);
    int rc = buf_error(&credential, err);
    const struct sigv4_pair query[] = {
        { SLICE_LITERAL("X-Amz-Algorithm"), SLICE_LITERAL("AWS4-HMAC-SHA256") },
        { SLICE_LITERAL("X-Amz-Credential"), buf_slice(&credential) },
        { SLICE_LITERAL("X-Amz-Date"), slice_from(time) },
        { SLICE_LITERAL("X-Amz-Expires"), slice_from(expires) },
        { SLICE_LITERAL("X-Amz-SignedHeaders"), SLICE_LITERAL("host") },
    };
    int made = make_texts(s3, query, sizeof query / sizeof query[0], &texts, err);
    const struct sigv4_pair host = { SLICE_LITERAL("host"), buf_slice(&texts.host) };
    const struct sigv4_request to_sign = { .method = "GET",
                                           .path = buf_slice(&texts.path),
                                           .query = buf_slice(&texts.query),
                                           .fields = &host,
                                           .field_count = 1,
                                           .payload = "UNSIGNED-PAYLOAD" };
    if (rc == 0)
        rc = made;
    if (rc == 0)
        rc = sign_request(s3, &to_sign, time, signature, err);
    if (rc == 0) {
        put_url(s3, to_sign.path, to_sign.query, host.value, out);
        buf_add_text(out, "&X-Amz-Signature=", NULL);
        buf_add_text(out, signature, NULL);
        rc = buf_error(out, err);
    }
    buf_free(&credential);
    free_texts(&texts);
    return rc;
}
