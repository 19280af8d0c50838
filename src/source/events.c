#include "source/events.h"

size_t events_begin(struct buf *out, const char *name)
{
    if (name != NULL) {
        buf_add_text(out, "event: ", NULL);
        buf_add_text(out, name, NULL);
        buf_add_text(out, "\n", NULL);
    }
    buf_add_text(out, "data: ", NULL);
    return out->len;
}

/* JSON may hold line breaks between its values, but not inside of them: spaces do as well. */
void events_end(struct buf *out, size_t start)
{
    for (size_t i = start; i < out->len; i++)
        if (out->ptr[i] == '\n' || out->ptr[i] == '\r')
            out->ptr[i] = ' ';
    buf_add_text(out, "\n\n", NULL);
}

void events_put(struct buf *out, const char *name, slice json)
{
    size_t start = events_begin(out, name);
    buf_add_slice(out, json, NULL);
    events_end(out, start);
}
