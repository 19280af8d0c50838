/*
 * The two files that are served as they are: the console's page and the API's description. They lie
 * packed in the program, a third of their size, and are unpacked for whoever asks: not every client
 * takes gzip (curl does not by itself), and on a loopback connection it would save nothing.
 */
#include "base/limits.h"
#include "codec/base64.h"
#include "files/packed.h"
#include "net/digest.h"
#include "source/endpoint_private.h"

/* The files become part of the program; paths are relative to the folder that it is built in. */
#define EMBED(name, path)                                                \
    __asm__(".section .rodata." name ",\"a\"\n"                          \
            ".globl " name "\n.hidden " name "\n" name ":\n"             \
            ".incbin \"" path "\"\n"                                     \
            ".globl " name "_end\n.hidden " name "_end\n" name "_end:\n" \
            ".byte 0\n.text\n")

EMBED("endpoint_console_gz", "build/gen/console.html.gz");
EMBED("endpoint_openapi_gz", "build/gen/openapi.json.gz");
extern const char endpoint_console_gz[], endpoint_console_gz_end[];
extern const char endpoint_openapi_gz[], endpoint_openapi_gz_end[];

/* Fills `out`, whose owner frees it; false where the request has been refused. */
static bool unpack(struct endpoint_request *request, const char *start, const char *end,
                   struct buf *out)
{
    buf_init(out, LIMIT_PACKED_BYTES, "a file of the job API");
    if (packed_read((slice){ start, (size_t)(end - start) }, out, NULL) == 0)
        return true;
    endpoint_refuse(request, 503, "The worker is out of memory for this file.");
    return false;
}

/* What stands between the first <tag> and </tag>. */
static slice inside_tag(slice page, const char *open, const char *close)
{
    const char *start = memmem(page.ptr, page.len, open, strlen(open));
    if (start == NULL)
        return (slice){ 0 };
    start += strlen(open);
    size_t left = (size_t)(page.ptr + page.len - start);
    const char *end = memmem(start, left, close, strlen(close));
    return end == NULL ? (slice){ 0 } : (slice){ start, (size_t)(end - start) };
}

/* Nothing from elsewhere, and of what is in the page only the one style and the one script. */
static void put_policy(struct buf *out, slice page)
{
    const slice parts[] = { inside_tag(page, "<script>", "</script>"),
                            inside_tag(page, "<style>", "</style>") };
    static const char *const before[] = { "default-src 'none'; script-src 'sha256-",
                                          "'; style-src 'sha256-" };
    for (size_t i = 0; i < 2; i++) {
        uint8_t digest[DIGEST_BYTES];
        digest_of(parts[i], digest);
        buf_add_text(out, before[i], NULL);
        base64_put(out, (slice){ (const char *)digest, sizeof digest }, NULL);
    }
    buf_add_text(out,
                 "'; connect-src 'self'; img-src data: blob:; media-src data: blob:; "
                 "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
                 NULL);
}

static void respond_page(struct endpoint_request *request, slice page)
{
    struct buf policy;
    buf_init(&policy, LIMIT_REPLY_BYTES, "the page's policy");
    put_policy(&policy, page);
    const struct http1_field fields[] = {
        { SLICE_LITERAL("Content-Security-Policy"), buf_slice(&policy) },
        { SLICE_LITERAL("Referrer-Policy"), SLICE_LITERAL("no-referrer") },
        { SLICE_LITERAL("Cross-Origin-Opener-Policy"), SLICE_LITERAL("same-origin") },
    };
    if (buf_error(&policy, NULL) != 0)
        endpoint_refuse(request, 503, "The worker is out of memory for the page.");
    else
        endpoint_respond_with(request, 200, "text/html; charset=utf-8", page, fields, 3);
    buf_free(&policy);
}

void endpoint_console(struct endpoint_request *request)
{
    struct buf page;
    if (unpack(request, endpoint_console_gz, endpoint_console_gz_end, &page)) {
        server_hold(request->exchange, page.len);
        respond_page(request, buf_slice(&page));
    }
    buf_free(&page);
}

void endpoint_openapi(struct endpoint_request *request)
{
    struct buf text;
    if (unpack(request, endpoint_openapi_gz, endpoint_openapi_gz_end, &text))
        endpoint_respond(request, 200, &text);
    buf_free(&text);
}
