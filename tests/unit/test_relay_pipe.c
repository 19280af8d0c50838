/* http/relay_pipe: bodies unpacked and packed in their place, whatever comes in whatever pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "http/relay_pipe.h"
#include "net/tcp.h"

static struct relay_pipe pipe_at_work;
static struct err err;

static void begin(enum http1_body body, uint64_t length)
{
    memset(&pipe_at_work, 0x5a, sizeof pipe_at_work); /* as the exchange before left it */
    relay_pipe_begin(&pipe_at_work, NULL, body, length);
}

/* Takes the text as what was read. Returns how much of it belonged to the body, or an error. */
static int take(const char *text)
{
    size_t room, used = SIZE_MAX;
    char *raw = relay_pipe_room(&pipe_at_work, &room);
    memcpy(raw, text, strlen(text));
    int rc = relay_pipe_take(&pipe_at_work, strlen(text), &used, &err);
    return rc == 0 ? (int)used : rc;
}

static void assert_waits(const char *expected)
{
    const slice out = { pipe_at_work.bytes + pipe_at_work.start,
                        pipe_at_work.end - pipe_at_work.start };
    assert_int_equal(relay_pipe_waits(&pipe_at_work), expected[0] != '\0');
    if (!slice_is(out, expected))
        fail_msg("%.*s is not %s", SLICE_ARG(out), expected);
}

static void a_body_that_is_none_has_ended(void **state)
{
    (void)state;
    static const struct {
        enum http1_body body;
        uint64_t length;
        bool ended, packs;
    } bodies[] = {
        { HTTP1_BODY_NONE, 0, true, false },    { HTTP1_BODY_LENGTH, 0, true, false },
        { HTTP1_BODY_LENGTH, 1, false, false }, { HTTP1_BODY_CHUNKED, 0, false, true },
        { HTTP1_BODY_CLOSE, 0, false, false },
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        begin(bodies[i].body, bodies[i].length);
        assert_int_equal(pipe_at_work.ended, bodies[i].ended);
        assert_int_equal(pipe_at_work.packs, bodies[i].packs);
        assert_waits("");
    }
}

/* What is behind a body of known length is the next message's: it is not even read. */
static void no_more_is_read_than_the_body_has(void **state)
{
    size_t room;
    (void)state;
    begin(HTTP1_BODY_LENGTH, 5);
    relay_pipe_room(&pipe_at_work, &room);
    assert_int_equal(room, 5);
    assert_int_equal(take("abc"), 3);
    assert_waits("abc");
    assert_false(pipe_at_work.ended);
    relay_pipe_room(&pipe_at_work, &room);
    assert_int_equal(room, 2);
    assert_int_equal(take("deGET /"), 2); /* what came along with the head */
    assert_waits("de");
    assert_true(pipe_at_work.ended);
    begin(HTTP1_BODY_LENGTH, RELAY_PIECE_BYTES + 1);
    relay_pipe_room(&pipe_at_work, &room);
    assert_int_equal(room, RELAY_PIECE_BYTES);
    begin(HTTP1_BODY_CHUNKED, 0);
    relay_pipe_room(&pipe_at_work, &room);
    assert_int_equal(room, RELAY_PIECE_BYTES);
}

static void a_body_until_the_end_is_packed_where_asked(void **state)
{
    (void)state;
    begin(HTTP1_BODY_CLOSE, 0);
    assert_int_equal(take("abc"), 3);
    assert_waits("abc");
    relay_pipe_close(&pipe_at_work);
    assert_true(pipe_at_work.ended);
    assert_waits("");
    begin(HTTP1_BODY_CLOSE, 0);
    pipe_at_work.packs = true;
    assert_int_equal(take("sixteen letters."), 16);
    assert_waits("10\r\nsixteen letters.\r\n");
    assert_false(pipe_at_work.ended);
    relay_pipe_close(&pipe_at_work);
    assert_waits("0\r\n\r\n");
}

/* The next request lies behind the body, and is not written over. */
static void chunks_are_packed_anew(void **state)
{
    size_t room;
    (void)state;
    begin(HTTP1_BODY_CHUNKED, 0);
    assert_int_equal(take("1;x=y\r\na\r\n2\r\nbc\r\n0\r\nA: b\r\n\r\nGET"), 28);
    assert_waits("3\r\nabc\r\n0\r\n\r\n");
    assert_true(pipe_at_work.ended);
    assert_memory_equal(relay_pipe_room(&pipe_at_work, &room) + 28, "GET", 3);
    begin(HTTP1_BODY_CHUNKED, 0);
    assert_int_equal(take("1\r\na\r\n0\r\n\r\nGET"), 11);
    assert_waits("1\r\na\r\n0\r\n\r\n");
    assert_memory_equal(relay_pipe_room(&pipe_at_work, &room) + 11, "GET", 3);
    begin(HTTP1_BODY_CHUNKED, 0);
    assert_int_equal(take("0\r\n\r\nGET"), 5);
    assert_waits("0\r\n\r\n");
    assert_memory_equal(relay_pipe_room(&pipe_at_work, &room) + 5, "GET", 3);
}

static void chunks_may_come_byte_by_byte(void **state)
{
    const char text[] = "2\r\nab\r\n0\r\n\r\n";
    (void)state;
    begin(HTTP1_BODY_CHUNKED, 0);
    for (size_t i = 0; text[i] != '\0'; i++) {
        const char byte[2] = { text[i] };
        assert_false(pipe_at_work.ended);
        assert_int_equal(take(byte), 1);
        assert_waits(text[i] == 'a'             ? "1\r\na\r\n"
                     : text[i] == 'b'           ? "1\r\nb\r\n"
                     : i + 1 == sizeof text - 1 ? "0\r\n\r\n"
                                                : "");
    }
    assert_true(pipe_at_work.ended);
}

/* To a client of HTTP/1.0, which knows no chunks. */
static void chunks_are_unpacked_where_asked(void **state)
{
    (void)state;
    begin(HTTP1_BODY_CHUNKED, 0);
    pipe_at_work.packs = false;
    assert_int_equal(take("2\r\nab\r\n1\r\nc\r\n"), 13);
    assert_waits("abc");
    assert_int_equal(take("0\r\n\r\n"), 5);
    assert_waits("");
    assert_true(pipe_at_work.ended);
}

/* Either side's: malformed and too long alike are the peer's fault. Nothing of it goes on. */
static void malformed_chunks_are_an_error(void **state)
{
    static char line[HTTP1_CHUNK_LINE_MAX_BYTES + 2];
    (void)state;
    begin(HTTP1_BODY_CHUNKED, 0);
    assert_int_equal(take("x"), ERR_PEER);
    assert_waits("");
    begin(HTTP1_BODY_CHUNKED, 0);
    assert_int_equal(take("1\r\nab"), ERR_PEER);
    assert_waits("");
    memset(line, 'x', sizeof line - 1);
    memcpy(line, "1;", 2);
    begin(HTTP1_BODY_CHUNKED, 0);
    assert_int_equal(take(line), ERR_PEER);
    assert_int_equal(err.code, ERR_PEER);
}

static void a_full_piece_has_room_around_it(void **state)
{
    size_t room, used;
    (void)state;
    begin(HTTP1_BODY_CLOSE, 0);
    pipe_at_work.packs = true;
    memset(relay_pipe_room(&pipe_at_work, &room), 'a', RELAY_PIECE_BYTES);
    assert_int_equal(relay_pipe_take(&pipe_at_work, room, &used, &err), 0);
    assert_int_equal(used, RELAY_PIECE_BYTES);
    assert_memory_equal(pipe_at_work.bytes + pipe_at_work.start, "8000\r\na", 7);
    assert_int_equal(pipe_at_work.end - pipe_at_work.start, 6 + RELAY_PIECE_BYTES + 2);
    assert_memory_equal(pipe_at_work.bytes + pipe_at_work.end - 3, "a\r\n", 3);
}

static void the_head_goes_out_before_the_body(void **state)
{
    int fds[2];
    char text[16] = "";
    const struct wake *wake = NULL;
    bool sent = false;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    begin(HTTP1_BODY_LENGTH, 4);
    assert_int_equal(tcp_adopt(&pipe_at_work.to, fds[0], &wake, &err), 0);
    assert_int_equal(relay_pipe_send(&pipe_at_work, &sent, &err), 0);
    assert_false(sent); /* there is nothing */
    pipe_at_work.head = SLICE_LITERAL("head ");
    assert_int_equal(take("bo"), 2);
    assert_int_equal(relay_pipe_send(&pipe_at_work, &sent, &err), 0);
    assert_true(sent);
    assert_waits("");
    pipe_at_work.head = SLICE_LITERAL("again ");
    assert_true(relay_pipe_waits(&pipe_at_work));
    assert_int_equal(relay_pipe_send(&pipe_at_work, &sent, &err), 0); /* a head alone */
    assert_true(sent);
    assert_false(relay_pipe_waits(&pipe_at_work));
    assert_int_equal(take("d"), 1);
    assert_int_equal(relay_pipe_send(&pipe_at_work, &sent, &err), 0); /* a byte alone */
    assert_true(sent);
    assert_waits("");
    assert_int_equal(recv(fds[1], text, sizeof text - 1, 0), 14);
    assert_string_equal(text, "head boagain d");
    close(fds[1]);
    pipe_at_work.head = SLICE_LITERAL("x");
    assert_int_equal(relay_pipe_send(&pipe_at_work, &sent, &err), ERR_RETRY);
    assert_false(sent);
    pipe_at_work.to->ops->close(pipe_at_work.to);
}

/* A peer that takes no more: what it took is gone, the rest waits. */
static void what_is_not_taken_waits(void **state)
{
    static char all[16 * RELAY_PIECE_BYTES];
    int fds[2];
    const struct wake *wake = NULL;
    bool sent = true;
    size_t pieces = 0, got = 0;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
    begin(HTTP1_BODY_CLOSE, 0);
    assert_int_equal(tcp_adopt(&pipe_at_work.to, fds[0], &wake, &err), 0);
    while (!relay_pipe_waits(&pipe_at_work) && pieces < 8) {
        size_t room, used;
        char *raw = relay_pipe_room(&pipe_at_work, &room);
        for (size_t i = 0; i < room; i++)
            raw[i] = (char)('a' + (pieces * room + i) % 23);
        assert_int_equal(relay_pipe_take(&pipe_at_work, room, &used, &err), 0);
        assert_int_equal(relay_pipe_send(&pipe_at_work, &sent, &err), 0);
        pieces++;
    }
    assert_true(relay_pipe_waits(&pipe_at_work));
    while (got < pieces * RELAY_PIECE_BYTES) {
        ssize_t count = recv(fds[1], all + got, sizeof all - got, 0);
        assert_true(count > 0);
        got += (size_t)count;
        assert_int_equal(relay_pipe_send(&pipe_at_work, &sent, &err), 0);
    }
    assert_false(relay_pipe_waits(&pipe_at_work));
    for (size_t i = 0; i < got; i++)
        assert_int_equal(all[i], 'a' + i % 23);
    close(fds[1]);
    pipe_at_work.to->ops->close(pipe_at_work.to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_is_none_has_ended),
        cmocka_unit_test(no_more_is_read_than_the_body_has),
        cmocka_unit_test(a_body_until_the_end_is_packed_where_asked),
        cmocka_unit_test(chunks_are_packed_anew),
        cmocka_unit_test(chunks_may_come_byte_by_byte),
        cmocka_unit_test(chunks_are_unpacked_where_asked),
        cmocka_unit_test(malformed_chunks_are_an_error),
        cmocka_unit_test(a_full_piece_has_room_around_it),
        cmocka_unit_test(the_head_goes_out_before_the_body),
        cmocka_unit_test(what_is_not_taken_waits),
    };
    return cmocka_run_group_tests_name("relay pipe", tests, NULL, NULL);
}
