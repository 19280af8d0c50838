/* What the server says of its models: a name for requests without one, and which API it speaks. */
#include "upstream/upstream_private.h"
#include "json/json.h"

#define MODELS_ROUTE "/v1/models"

/* A list, as the OpenAI API has it; the name of the first is noted. */
static void read_models(struct upstream_model *model, slice text)
{
    slice data, first, id;
    size_t pos = 0;
    if (json_check(text, NULL, NULL) != 0 || json_type(text) != RP_OBJECT ||
        !json_member(text, "data", &data) || json_type(data) != RP_ARRAY)
        return;
    model->speaks_openai = true;
    if (json_next_element(data, &pos, &first) && json_type(first) == RP_OBJECT &&
        json_member(first, "id", &id) && json_type(id) == RP_STRING)
        buf_add_slice(&model->json, id, NULL);
}

/*
 * Under the model's lock. Afterwards the answer is known, unless the server was in trouble: the
 * next one that needs it asks again.
 */
static int ask(struct upstream_slot *slot, deadline_ms until, struct err *err)
{
    struct upstream_model *model = &slot->upstream->model;
    const struct upstream_message message = { .method = "GET",
                                              .route = SLICE_LITERAL(MODELS_ROUTE),
                                              .until = until };
    buf_clear(&model->json);
    model->speaks_openai = false;
    int rc = upstream_send(slot, &message, err);
    if (rc == 0)
        rc = http_read_all(slot->client, &slot->response, &slot->body, err);
    if (rc == 0 && slot->response.status <= 299)
        read_models(model, json_trim(buf_slice(&slot->body)));
    atomic_store(&model->known, rc == 0 && slot->response.status < 500);
    return rc;
}

/*
 * 0 once the server has answered, or another slot has learnt that it cannot; or the error that kept
 * it from answering. While another slot asks a slow server, this one's job can be stopped.
 */
static int ask_once(struct upstream_slot *slot, deadline_ms until, struct err *err)
{
    struct upstream_model *model = &slot->upstream->model;
    while (!atomic_load(&model->known)) {
        if (pthread_mutex_trylock(&model->lock) == 0) {
            int rc = atomic_load(&model->known) ? 0 : ask(slot, until, err);
            pthread_mutex_unlock(&model->lock);
            return rc;
        }
        if (slot->job == NULL)
            clock_sleep(clock_deadline(LIMIT_MODEL_LOOK_MS));
        else if (flag_wait(&slot->job->task->stop, clock_deadline(LIMIT_MODEL_LOOK_MS)))
            return err_set(err, ERR_CANCELLED, "the job was stopped");
    }
    return 0;
}

int upstream_find_model(struct upstream_slot *slot, slice *name, struct err *err)
{
    struct upstream_model *model = &slot->upstream->model;
    *name = buf_slice(&model->served);
    if (name->len > 0)
        return 0;
    int rc = ask_once(slot, 0, err);
    if (rc == 0 && atomic_load(&model->known))
        *name = buf_slice(&model->json);
    return rc;
}

int upstream_ask_api(struct upstream_slot *slot, deadline_ms until, enum upstream_api *api,
                     struct err *err)
{
    struct upstream_model *model = &slot->upstream->model;
    *api = UPSTREAM_API_OPENAI;
    if (model->served.len > 0)
        return 0; /* that there is such a name says it */
    int rc = ask_once(slot, until, err);
    *api = UPSTREAM_API_UNKNOWN;
    if (atomic_load(&model->known))
        *api = model->speaks_openai ? UPSTREAM_API_OPENAI : UPSTREAM_API_OTHER;
    return rc;
}
