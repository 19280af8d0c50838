/* An upload in parts, so that a failure costs one part (S3 API Reference, "Multipart upload"). */
#include <stdio.h>

#include "api/upload_private.h"
#include "base/limits.h"
#include "codec/byte_class.h"
#include "codec/xml.h"

static int begin_parts(struct upload *upload, struct buf *id, struct err *err)
{
    const struct sigv4_pair query = { SLICE_LITERAL("uploads"), SLICE_LITERAL("") };
    const struct upload_request request = { .method = "POST",
                                            .query = &query,
                                            .query_count = 1,
                                            .content_type = slice_from(upload->content_type),
                                            .body = SLICE_LITERAL("") };
    struct http_response answer;
    int rc = upload_exchange(upload, &request, &answer, err);
    if (rc == 0 && !xml_text(buf_slice(&upload->reply), "UploadId", id))
        rc = err_set(err, ERR_PEER, "the storage started a multipart upload without an UploadId");
    return rc;
}

static int put_part(struct upload *upload, slice id, unsigned number,
                    const struct upload_window *window, struct buf *list, struct err *err)
{
    char text[16];
    struct http_response answer;
    snprintf(text, sizeof text, "%u", number);
    const struct sigv4_pair query[] = { { SLICE_LITERAL("partNumber"), slice_from(text) },
                                        { SLICE_LITERAL("uploadId"), id } };
    const struct upload_request request = {
        .method = "PUT", .query = query, .query_count = 2, .window = window
    };
    int rc = upload_exchange(upload, &request, &answer, err);
    if (rc == 0 && upload->etag[0] == '\0')
        rc = err_set(err, ERR_PEER, "the storage accepted a part without an ETag");
    if (rc != 0)
        return rc;
    buf_add_text(list, "<Part><PartNumber>", NULL);
    buf_add_text(list, text, NULL);
    buf_add_text(list, "</PartNumber><ETag>", NULL);
    xml_put_text(list, slice_from(upload->etag), NULL);
    buf_add_text(list, "</ETag></Part>", NULL);
    return buf_error(list, err);
}

uint64_t upload_part_bytes(uint64_t size)
{
    uint64_t part = LIMIT_PART_BYTES;
    while (size / part >= LIMIT_PARTS)
        part *= 2;
    return part;
}

static int put_parts(struct upload *upload, slice id, struct buf *list, struct err *err)
{
    uint64_t part = upload_part_bytes(upload->size);
    unsigned number = 1;
    int rc = buf_add_text(list, "<CompleteMultipartUpload>", err);
    for (uint64_t at = 0; rc == 0 && at < upload->size; at += part, number++) {
        uint64_t left = upload->size - at;
        const struct upload_window window = upload_window_of(upload, at, left < part ? left : part);
        rc = put_part(upload, id, number, &window, list, err);
        if (rc != 0)
            err_wrap(err, "part %u", number);
    }
    return rc == 0 ? buf_add_text(list, "</CompleteMultipartUpload>", err) : rc;
}

/* True if the object exists in full: the upload was completed, but the response was lost. */
static bool is_stored(struct upload *upload)
{
    const struct upload_request request = { .method = "HEAD" };
    struct http_response answer;
    struct err err = { 0 };
    uint64_t bytes;
    return upload_exchange(upload, &request, &answer, &err) == 0 &&
           byte_class_decimal(slice_from(upload->length), UINT64_MAX, &bytes) &&
           bytes == upload->size;
}

/* The storage sends status 200 before the outcome is known, and an error in the body. */
static int complete(struct upload *upload, slice id, slice list, struct err *err)
{
    const struct sigv4_pair query = { SLICE_LITERAL("uploadId"), id };
    const struct upload_request request = { .method = "POST",
                                            .query = &query,
                                            .query_count = 1,
                                            .content_type = SLICE_LITERAL("application/xml"),
                                            .body = list };
    struct http_response answer;
    unsigned errors = 0;
    for (;;) {
        int rc = upload_exchange(upload, &request, &answer, err);
        if (rc != 0 && answer.status == 404 && is_stored(upload))
            return 0;
        slice reply = buf_slice(&upload->reply);
        if (rc != 0 || memmem(reply.ptr, reply.len, "<Error>", 7) == NULL)
            return rc;
        upload_refused(upload, answer.status, err);
        err->code = ERR_RETRY;
        upload->transfer.backoff.failures = errors++;
        if (!transfer_retry(&upload->transfer, &answer, LIMIT_UPLOAD_TRIES, err))
            return err->code;
    }
}

/* Removes the parts of a failed upload from the storage, even if the job was stopped. */
static void abort_parts(struct upload *upload, slice id)
{
    const struct sigv4_pair query = { SLICE_LITERAL("uploadId"), id };
    const struct upload_request request = { .method = "DELETE", .query = &query, .query_count = 1 };
    const struct log_tag tag = job_tag(upload->transfer.job->task);
    struct http_response answer;
    struct err err = { 0 };
    upload->transfer.ignore_stop = true;
    upload->transfer.until = clock_deadline(LIMIT_ABORT_S * 1000);
    int rc = upload_exchange(upload, &request, &answer, &err);
    if (rc != 0)
        log_write(LOG_WARN, &tag,
                  "Parts of a failed upload could not be removed from the storage: %s", err.text);
}

int upload_in_parts(struct upload *upload, struct err *err)
{
    struct buf id, list;
    buf_init(&id, 1024, "upload's id");
    buf_init(&list, 4u * LIMIT_MIB, "list of parts");
    int rc = begin_parts(upload, &id, err);
    bool begun = rc == 0;
    if (rc == 0)
        rc = put_parts(upload, buf_slice(&id), &list, err);
    if (rc == 0)
        rc = complete(upload, buf_slice(&id), buf_slice(&list), err);
    if (rc != 0 && begun)
        abort_parts(upload, buf_slice(&id));
    buf_free(&id);
    buf_free(&list);
    return rc;
}
