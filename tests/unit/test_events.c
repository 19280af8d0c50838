/* source/events: what a client of server-sent events reads as one event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/events.h"

static void an_event_is_one_line_of_data(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 200, "test");
    events_put(&out, "part", SLICE_LITERAL("{\"a\":\n 1,\r\n\"b\": \"\\n\"}"));
    events_put(&out, NULL, SLICE_LITERAL("\n2\r"));
    assert_true(slice_is(buf_slice(&out), "event: part\ndata: {\"a\":  1,  \"b\": \"\\n\"}\n\n"
                                          "data:  2 \n\n"));
    buf_free(&out);
}

/* The lines before the data stay what they are. */
static void data_may_be_written_in_pieces(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 200, "test");
    buf_add_text(&out, EVENTS_ALIVE, NULL);
    size_t start = events_begin(&out, "log");
    buf_add_text(&out, "[1,\n", NULL);
    buf_add_text(&out, "2]", NULL);
    events_end(&out, start);
    assert_true(slice_is(buf_slice(&out), ": still here\n\nevent: log\ndata: [1, 2]\n\n"));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_line_of_data),
        cmocka_unit_test(data_may_be_written_in_pieces),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
