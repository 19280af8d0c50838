#include "api/transfer.h"

#include <pthread.h>
#include <stdio.h>

#include "base/limits.h"
#include "http/retry.h"

/* Made on first use: a worker without transfers does not read the certificates a second time. */
static int shared_net(const struct config *config, const struct http_net **out, struct err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct http_net net;
    int rc = 0;
    pthread_mutex_lock(&lock);
    if (net.tls == NULL) {
        net.proxy = config->proxy;
        rc = proxy_check(&net.proxy, err);
        if (rc == 0)
            rc = tls_context_new(&net.tls, config->ca_file, err);
    }
    pthread_mutex_unlock(&lock);
    *out = &net;
    return rc;
}

void transfer_restart(struct transfer *transfer, uint32_t timeout_s)
{
    transfer->until = clock_deadline((int64_t)timeout_s * 1000);
    transfer->backoff = (struct backoff){ .first_ms = LIMIT_RETRY_FIRST_MS,
                                          .longest_ms = LIMIT_RETRY_LONGEST_MS };
}

int transfer_open(struct transfer *transfer, struct rp_job *job, struct err *err)
{
    const struct http_net *net;
    *transfer = (struct transfer){ .job = job };
    int rc = shared_net(job->config, &net, err);
    if (rc == 0)
        rc = http_client_new(&transfer->client, net, err);
    if (rc != 0)
        return rc;
    rc = wake_init(&transfer->wake, err);
    if (rc != 0)
        http_client_free(transfer->client);
    return rc;
}

void transfer_close(struct transfer *transfer)
{
    http_client_free(transfer->client);
    wake_free(&transfer->wake);
}

int transfer_begin(struct transfer *transfer, struct rp_job *job, uint32_t timeout_s,
                   struct err *err)
{
    int rc = transfer_open(transfer, job, err);
    transfer_restart(transfer, timeout_s);
    if (rc == 0)
        transfer->handler = flag_link(&job->task->stop, &transfer->wake);
    return rc;
}

void transfer_end(struct transfer *transfer)
{
    flag_link(&transfer->job->task->stop, transfer->handler);
    transfer_close(transfer);
}

void transfer_request(const struct transfer *transfer, struct http_request *request)
{
    request->send_ms = LIMIT_TRANSFER_MS;
    request->first_byte_ms = LIMIT_REPLY_MS;
    request->body_ms = LIMIT_TRANSFER_MS;
    request->until = transfer->until;
    request->wake = transfer->ignore_stop ? NULL : &transfer->wake;
    request->wake_in_body = true;
}

int transfer_status_error(int status, struct err *err)
{
    return err_set(err, http1_is_transient(status) ? ERR_RETRY : ERR_PEER, "the server answered %d",
                   status);
}

bool transfer_retry(struct transfer *transfer, const struct http_response *answer, unsigned tries,
                    struct err *err)
{
    const struct log_tag tag = job_tag(transfer->job->task);
    bool passing = err->code == ERR_RETRY || err->code == ERR_TIMEOUT;
    if (!passing || transfer->backoff.failures + 1 >= tries)
        return false;
    uint32_t pause_ms = backoff_next_ms(&transfer->backoff, random_u32());
    deadline_ms next = clock_deadline(http_retry_pause_ms(answer, pause_ms));
    if (next >= transfer->until)
        return false;
    log_write(LOG_DEBUG, &tag, "Retrying a transfer: %s", err->text);
    if (transfer->ignore_stop) {
        clock_sleep(next);
        return true;
    }
    if (!wake_wait(&transfer->wake, next))
        return true;
    err->code = ERR_CANCELLED;
    return false;
}

const char *transfer_copy(struct rp_job *job, slice bytes, struct err *err)
{
    char *copy = arena_alloc(&job->arena, bytes.len + 1);
    if (copy == NULL) {
        err_set(err, ERR_MEMORY, "the job's memory is used up");
        return NULL;
    }
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    return copy;
}

int transfer_fail(struct rp_job *job, rp_str *reason, const char *what, const struct err *err)
{
    char text[2048];
    snprintf(text, sizeof text, "%s: %s", what,
             err->code == ERR_CANCELLED ? "the job was stopped" : err->text);
    if (reason == NULL)
        return rp_job_fail(job, text);
    struct err none;
    *reason = slice_from(text);
    reason->ptr = transfer_copy(job, *reason, &none);
    if (reason->ptr == NULL)
        *reason = SLICE_LITERAL("out of memory");
    return RP_WRONG;
}
