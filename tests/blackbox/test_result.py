"""tests/CONTRACT.md, "Results" for plain handlers: shapes, headers, retries, refusals, sizes, progress."""

import email.utils
import json
import time

import pytest

from actions import answer, close, close_while_idle, hold, raw, reset
from own_handlers import Gate, own, steps
from testplatform import API_KEY, FAST_PING
from wire import encode

SHAPES = [
    ({"a": 1}, {"output": {"a": 1}}),
    ({"error": "boom"}, {"error": "boom"}),
    ({"error": "boom", "rest": [1]}, {"error": "boom", "output": {"rest": [1]}}),
    ({"refresh_worker": True, "x": 1}, {"output": {"x": 1}, "stopPod": True}),
    ({"refresh_worker": True}, {"stopPod": True}),
    ({"refresh_worker": True, "error": "e", "x": 0}, {"output": {"x": 0}, "error": "e", "stopPod": True}),
    ({"refresh_worker": False, "x": 1}, {"output": {"x": 1}}),
    ({"refresh_worker": None, "x": 1}, {"output": {"x": 1}}),
    ({"error": "", "x": 1}, {"output": {"x": 1}}),
    ({"error": None, "x": 1}, {"output": {"x": 1}}),
    ({"error": None}, {}),
    ({}, {}),
    ([], {"output": []}),
    ([{"error": "inside"}], {"output": [{"error": "inside"}]}),
    (
        {"deep": {"error": "inside", "refresh_worker": True}},
        {"output": {"deep": {"error": "inside", "refresh_worker": True}}},
    ),
    ("error", {"output": "error"}),
    (None, {"output": None}),
    (True, {"output": True}),
    (-0.5, {"output": -0.5}),
    ("", {"output": ""}),
]


@pytest.mark.parametrize("value, expected", SHAPES, ids=lambda value: json.dumps(value)[:40])
def test_shape(platform, worker, value, expected):
    worker(platform)
    assert platform.run(value) == expected


def test_error_that_is_no_text_is_not_lost(platform, worker):
    worker(platform)
    result = platform.run({"error": {"code": 5}, "x": 1})
    assert "5" in json.dumps(result["error"]) and result["output"] == {"x": 1}


def test_request(platform, worker):
    worker(platform)
    platform.run("x")
    post = platform.requests("done")[0]
    assert post.method == "POST"
    assert post.target == "/v2/ep0test/job-done/pod-7x2/job-1?gpu=NVIDIA+L4&isStream=false"
    assert post.header("Content-Type") == "application/x-www-form-urlencoded"
    assert post.header("charset") == "utf-8"
    assert post.header("X-Request-ID") == "job-1"
    assert post.header("Content-Length") == str(len(post.body))


def test_x_request_id_is_the_jobs_own(platform, worker):
    worker(platform)
    for number in range(3):
        platform.run(number)
    assert [post.header("X-Request-ID") for post in platform.requests("done")] == ["job-1", "job-2", "job-3"]


def test_text_is_not_ascii_escaped(platform, worker):
    worker(platform)
    text = "Žluťoučký kůň 🦊 日本語"
    assert platform.run({"text": text}) == {"output": {"text": text}}
    assert text.encode() in platform.requests("done")[0].body


@pytest.mark.parametrize(
    "number",
    ["123456789012345678901234567890", "-0", "1E400", "0.1", "9007199254740993", "-9223372036854775809", "1.0", "1e-7"],
)
def test_numbers_survive_as_text(platform, worker, number):
    worker(platform)
    platform.script("take", answer(200, b'{"id": "num", "input": {"n": %s}}' % number.encode()))
    post = platform.wait_final("num")
    assert json.loads(post.body, parse_int=str, parse_float=str) == {"output": {"n": number}}


def test_result_is_json_in_the_strict_sense(platform, worker):
    """Control characters come back escaped, and nothing stands around the document."""
    worker(platform)
    text = "".join(map(chr, range(32))) + '"\\/\x7f\u2028'
    assert platform.run(text) == {"output": text}


def test_handler_failure_has_the_sdks_members(platform, worker):
    worker(platform, handler="mock", env={"RUNPOD_POD_HOSTNAME": "host-9"})
    result = platform.run({"mock_error": True})
    assert set(result) == {"error"} and isinstance(result["error"], str)
    details = json.loads(result["error"])
    assert set(details) == {"error_type", "error_message", "error_traceback", "hostname", "worker_id", "runpod_version"}
    assert "Mock error" in details["error_message"]
    assert details["hostname"] == "host-9" and details["worker_id"] == "pod-7x2"
    assert details["runpod_version"] == platform.wait_request("ping").param("runpod_version")


def test_failure_does_not_end_the_worker(platform, worker):
    worker(platform, handler="mock")
    assert "error" in platform.run({"mock_error": True})
    assert platform.run({"mock_return": [1]}) == {"output": [1]}


def test_mock_defaults(platform, worker):
    worker(platform, handler="mock")
    assert platform.run({}) == {"output": "Hello World!"}
    assert platform.run({"mock_return": {"a": [None]}}) == {"output": {"a": [None]}}


def test_crash_is_visible_and_leaves_nothing(platform, worker):
    process = worker(platform, handler="mock")
    platform.give(input={"mock_crash": True})
    assert process.wait() == 1
    assert not platform.requests("done") and not process.leftovers()


def test_refresh(platform, worker):
    """stopPod with the result; then no more jobs, but the pings go on."""
    worker(platform, handler="mock", env={"RUNPOD_PING_INTERVAL": "200"})
    assert platform.run({"mock_refresh": True, "mock_return": "bye"}) == {
        "output": {"mock_return": "bye"},
        "stopPod": True,
    }
    takes = len(platform.requests("take"))
    platform.give({"id": "never", "input": {}})
    platform.wait_more("ping", 4)
    assert len(platform.requests("take")) == takes and platform.pending()


# ---- progress ----


def test_progress(platform, worker):
    """In order, before the result, as the job's own. The delay is the platform's time to take them all: a result waits
    for them no longer than a second."""
    worker(platform, handler="mock")
    updates = {"updates": 4, "wait_time": 0}
    assert "output" in platform.run({"mock_progress": updates, "mock_delay": 3, "mock_return": "end"})
    platform.wait_idle()
    posts = platform.requests("done", "job-1")
    assert len(posts) == 5 and posts[-1].json() == {"output": "end"}
    for post in posts[:-1]:
        assert post.json()["status"] == "IN_PROGRESS" and "output" in post.json()
    assert len({json.dumps(post.json()) for post in posts[:-1]}) == 4, "the updates are four different ones"
    assert {post.header("X-Request-ID") for post in posts} == {"job-1"}


def test_progress_that_fails_does_not_fail_the_job(platform, worker):
    worker(platform, handler="mock")
    platform.script("done", answer(400), answer(500), reset())
    platform.give({"id": "p", "input": {"mock_progress": {"updates": 3, "wait_time": 0}, "mock_return": "end"}})
    assert platform.result("p") == {"output": "end"}
    assert platform.requests("done", "p")[-1].json() == {"output": "end"}


# ---- retries ----

TRANSIENT = {
    "500": answer(500),
    "502": answer(502),
    "503": answer(503),
    "504": answer(504),
    "408": answer(408),
    "429": answer(429),
    "reset": reset(),
    "closed": close(),
    "no HTTP": raw(b"\x15\x03\x01", then="close"),
    "half an answer": raw(b"HTTP/1.1 200 OK\r\nContent-Le", then="close"),
    "reset in the answer": raw(b"HTTP/1.1 200 OK\r\nConte", then="reset"),
}


@pytest.mark.parametrize("case", TRANSIENT)
def test_transient_failure_is_retried(platform, worker, case):
    process = worker(platform)
    platform.script("done", TRANSIENT[case])
    assert platform.run("kept") == {"output": "kept"}
    process.wait_log("WARN.*job-1.*Not delivered yet, retrying: ")
    posts = platform.requests("done")
    assert len(posts) == 2 and posts[0].body == posts[1].body and posts[0].target == posts[1].target
    assert posts[1].header("X-Request-ID") == "job-1"


def test_200_whose_body_is_cut(platform, worker):
    """The head said that the result is there: posting it once more is no harm, losing it would be."""
    worker(platform)
    platform.script("done", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", then="close"))
    platform.give({"id": "cut", "input": "kept"})
    platform.wait_final("cut")
    platform.wait_idle()
    assert 1 <= len(platform.finals("cut")) <= 2
    assert all(post.json() == {"output": "kept"} for post in platform.finals("cut"))


def test_several_failures_in_a_row(platform, worker):
    worker(platform)
    platform.script("done", answer(500), reset(), answer(503), close())
    assert platform.run("kept") == {"output": "kept"}
    assert len(platform.requests("done")) == 5


def test_refused_connection_is_retried(platform, worker, tmp_path):
    """The platform goes away while the handler runs, and comes back: the result arrives."""
    gate = Gate(tmp_path / "gate")
    process = worker(platform, handler=own("steps"))
    platform.give({"id": "kept", "input": steps(gate.step, {"return": "kept"})})
    process.wait_log("at step 1")
    platform.refuse()
    gate.open()
    process.wait_log(r"(?i)kept.*refused|refused.*kept")
    platform.listen()
    assert platform.result("kept") == {"output": "kept"}


def test_in_progress_until_the_result_is_settled(platform, worker):
    worker(platform, env=FAST_PING)
    platform.always("done", answer(503))
    platform.give({"id": "unsettled", "input": 1})
    platform.wait_final("unsettled", 2)
    platform.wait_more("ping", 2)
    assert platform.requests("ping")[-1].param("job_id") == "unsettled"
    platform.always("done", None)
    platform.result("unsettled")
    platform.wait_ping()


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(platform, worker, status, form):
    """Whenever the first post comes, the second one waits for at least as long as it was told."""
    date = int(time.time()) + 5
    due_s = time.monotonic() + date - time.time()
    value = "4" if form == "seconds" else email.utils.formatdate(date, usegmt=True)
    platform.script("done", answer(status, headers=[("Retry-After", value)]))
    worker(platform)
    assert platform.run("kept") == {"output": "kept"}
    first, second = platform.requests("done")
    assert second.time_s > (first.time_s + 4 if form == "seconds" else due_s) - 0.1


@pytest.mark.parametrize("value", ["soon", "-5", "99999999999999999999", "", "1.5", "\x01"])
def test_odd_retry_after(platform, worker, value):
    """What makes no sense is ignored; a retry comes anyway, within the time the result may take at all."""
    platform.script("done", answer(503, headers=[("Retry-After", value)]))
    process = worker(platform, env={"RP_RESULT_RETRY_S": "6"})
    platform.give({"id": "odd", "input": 1})
    platform.wait_for(
        lambda: len(platform.finals("odd")) > 1 or process.lines("ERROR.*odd.*lost"), "a second try, or the end"
    )


def test_result_is_given_up_in_the_end(platform, worker):
    """RP_RESULT_RETRY_S bounds it; the loss is an error in the log and the worker goes on."""
    platform.always("done", answer(503))
    process = worker(platform, env={"RP_RESULT_RETRY_S": "1"})
    platform.give({"id": "lost", "input": 1})
    process.wait_log(r"ERROR.*lost")
    assert len(platform.finals("lost")) <= 10
    platform.always("done", None)
    assert platform.run("next") == {"output": "next"}


# ---- refusals ----


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_refused_result_becomes_an_error(platform, worker, status):
    """A job whose result was refused is visibly FAILED, and says what was refused and why."""
    process = worker(platform)
    platform.script("done", answer(status))
    platform.give({"id": "refused", "input": "x" * 1000})
    second = platform.wait_final("refused", 2)
    assert set(second.json()) == {"error"}
    text = json.dumps(second.json()["error"])
    assert str(status) in text and ("result" in text.lower() or "output" in text.lower())
    assert second.param("isStream") == "false" and second.header("X-Request-ID") == "refused"
    process.wait_log("WARN|ERROR")
    assert platform.run("next") == {"output": "next"}


def test_refusal_says_what_the_platform_has_said(platform, worker):
    """The start of it, and not the key where it quotes that. A worker that was to be refreshed still is."""
    worker(platform, handler="mock")
    platform.script("done", answer(400, f"not with {API_KEY}".encode()))
    platform.give({"id": "a", "input": {"mock_return": 1}})
    text = platform.wait_final("a", 2).json()["error"]
    assert "not with " in text and API_KEY not in text
    platform.script("done", answer(400, b"y" * 300))
    platform.give({"id": "b", "input": {"mock_return": 1, "mock_refresh": True}})
    told = platform.wait_final("b", 2).json()
    assert set(told) == {"error", "stopPod"} and told["stopPod"] is True
    assert told["error"].endswith("answered 400: " + "y" * 200)


def test_413_names_the_size(platform, worker):
    worker(platform)
    platform.script("done", answer(413))
    platform.give({"id": "big", "input": "x" * 2_000_000})
    text = platform.wait_final("big", 2).json()["error"]
    assert "413" in text and any(word in text.lower() for word in ("bytes", "mb", "mib"))


def test_refusal_of_the_error_too(platform, worker):
    process = worker(platform)
    platform.script("done", answer(400), answer(400))
    platform.give({"id": "twice", "input": 1})
    platform.wait_final("twice", 2)
    assert platform.run("next") == {"output": "next"}
    assert len(platform.finals("twice")) == 2
    process.wait_log("ERROR.*twice")


def test_413_before_the_body_was_read(platform, worker):
    """A gateway that refuses by the head, reads the rest away and closes."""
    worker(platform)
    platform.script("done", answer(413, early=True))
    platform.give({"id": "early", "input": "x" * 5_000_000})
    platform.wait_for(lambda: any(post.json().get("error") for post in platform.finals("early")), "the error post")


@pytest.mark.parametrize(
    "failure",
    [reset(early=True), close(early=True), answer(503, early=True, close=True)],
    ids=["reset", "closed", "503"],
)
def test_connection_that_ends_in_the_middle_of_a_post(platform, worker, failure):
    """The rest of five megabytes finds nobody any more: the whole result is posted again."""
    worker(platform)
    platform.script("done", failure)
    assert platform.run("x" * 5_000_000) == {"output": "x" * 5_000_000}


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_settles_a_result(platform, worker, status):
    worker(platform)
    platform.script("done", answer(status, b"" if status == 204 else b"thanks", content_type="text/plain"))
    platform.run("x")
    platform.wait_idle()
    assert len(platform.requests("done")) == 1


# ---- connections ----


def test_connection_closed_while_idle_is_no_failure(platform, worker):
    process = worker(platform)
    for number in range(3):
        platform.script("done", close_while_idle(answer(200)))
        assert platform.run(number) == {"output": number}
        platform.wait_idle()
    assert len(platform.requests("done")) == 3
    assert not process.lines("WARN|ERROR")


def test_announced_close_is_no_failure(platform, worker):
    process = worker(platform)
    for number in range(3):
        platform.script("done", answer(200, close=True))
        assert platform.run(number) == {"output": number}
    platform.wait_idle()
    assert len(platform.requests("done")) == 3 and not process.lines("WARN|ERROR")


def test_interim_answers_to_a_post(platform, worker):
    worker(platform)
    platform.script("done", raw(encode(100, content_type=None) + encode(103, headers=[("Link", "</x>")]), encode(200)))
    platform.run("x")
    platform.wait_idle()
    assert len(platform.requests("done")) == 1


@pytest.mark.parametrize("status", [307, 308])
def test_redirect_of_a_post_on_the_same_host(platform, worker, status):
    worker(platform)
    platform.script("done", answer(status, headers=[("Location", "/v2/elsewhere/job-done/pod-7x2/job-1?moved=1")]))
    assert platform.run({"a": 1}) == {"output": {"a": 1}}
    first, second = platform.requests("done")
    assert second.target.startswith("/v2/elsewhere/") and second.method == "POST" and first.body == second.body
    assert second.header("X-Request-ID") == "job-1"


def test_slow_answer_to_a_post_is_waited_for(platform, worker):
    held = hold()
    platform.script("done", held)
    worker(platform, env=FAST_PING)
    platform.give({"id": "held", "input": 1})
    platform.wait_for(held.reached.is_set, "the post")
    platform.wait_more("ping", 2)
    held.release(answer(200))
    platform.result("held")
    platform.wait_idle()
    assert len(platform.requests("done")) == 1


# ---- sizes ----


def test_result_over_the_limit_fails_visibly(platform, worker):
    process = worker(platform, env={"RP_MAX_RESULT_MB": "1"})
    result = platform.run("x" * 1_500_000)
    assert set(result) == {"error"} and "link" in json.dumps(result).lower()
    process.wait_log("ERROR")
    assert platform.run("x" * 900_000) == {"output": "x" * 900_000}


def test_result_over_the_limit_of_run_is_a_warning(platform, worker):
    """Ten megabytes, the whole body counted."""
    process = worker(platform)
    around = len('{"output": ""}')
    platform.run("x" * (10_000_000 - around))
    platform.wait_idle()
    assert not process.lines("WARN")
    platform.run("x" * (10_000_001 - around))
    assert process.lines("WARN .*job-2 .*The result has 10000001 bytes; the platform's limit is 10 MB for /run and 20 MB")


def test_bad_limit_is_named(local):
    done = local("--test_input", '{"input": 1}', env={"RP_MAX_RESULT_MB": "many"})
    assert done.returncode == 2 and "RP_MAX_RESULT_MB" in done.stdout
