"""tests/CONTRACT.md, "Taking jobs": the request, every kind of answer to it, and what a job may look like."""

import gzip
import json
import re
import string
import uuid
from urllib.parse import quote

import pytest

from actions import answer, chunked, hand_out, no_content, raw, reset
from testplatform import FAST_PING
from wire import encode


def test_first_take(platform, worker):
    worker(platform)
    take = platform.wait_request("take")
    assert take.method == "GET"
    assert take.target == "/v2/ep0test/job-take/pod-7x2?gpu=NVIDIA+L4&job_in_progress=0"
    assert take.body == b""
    assert take.header("Host") == f"127.0.0.1:{platform.port}"


@pytest.mark.smoke
def test_job_comes_back(platform, worker):
    worker(platform)
    assert platform.run({"prompt": "The quick brown fox jumps"}) == {"output": {"prompt": "The quick brown fox jumps"}}


def test_templates_without_query(platform, worker):
    root = f"{platform.base}/v2/ep0test"
    worker(
        platform,
        env={
            "RUNPOD_WEBHOOK_GET_JOB": f"{root}/job-take/$ID",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{root}/job-done/$RUNPOD_POD_ID/$ID",
        },
    )
    assert platform.wait_request("take").target == "/v2/ep0test/job-take/pod-7x2?job_in_progress=0"
    assert platform.wait_request("stop").target == "/v2/ep0test/job-stop/pod-7x2"
    platform.run(1)
    assert platform.requests("done")[0].target == "/v2/ep0test/job-done/pod-7x2/job-1?isStream=false"


def test_worker_id_is_a_uuid_without_pod_id(platform, worker):
    worker(platform, env={"RUNPOD_POD_ID": None})
    given = platform.wait_request("take").path.rpartition("/")[2]
    assert str(uuid.UUID(given)) == given
    platform.run(1)
    assert platform.requests("done")[0].path == f"/v2/ep0test/job-done/{given}/job-1"


def test_worker_id_is_another_one_in_another_worker(platform, worker):
    for _ in range(2):
        worker(platform, env={"RUNPOD_POD_ID": None})
    platform.wait_request("take", 2)
    first, second = {take.path for take in platform.requests("take")}
    assert first != second


@pytest.mark.parametrize("status", [204, 400])
def test_no_job(platform, worker, status):
    """204 and 400 mean that there is nothing; neither is worth a warning."""
    process = worker(platform)
    platform.script("take", answer(status))
    assert platform.run("next") == {"output": "next"}
    assert not process.lines(r"WARN|ERROR")


def test_too_many_requests_waits(platform, worker):
    """429: five seconds of rest."""
    platform.script("take", answer(429))
    process = worker(platform)
    assert platform.run("later") == {"output": "later"}
    process.wait_log(r"WARN.*Too many job-takes \(429\), waiting\.")
    refused, later = platform.requests("take")[:2]
    assert later.time_s - refused.time_s >= 4.99  # its clock has milliseconds


@pytest.mark.parametrize("status", [201, 202])
def test_any_2xx_may_carry_a_job(platform, worker, status):
    worker(platform)
    platform.script("take", answer(status, {"id": "created", "input": 5}))
    assert platform.result("created") == {"output": 5}


@pytest.mark.parametrize("between", [answer(204), hand_out({"id": "between", "input": 1})], ids=["none", "job"])
def test_failures_with_a_success_between_them_are_both_told(platform, worker, between):
    """Without one, the second line would be the first one's repetition."""
    platform.script("take", answer(503), between, answer(503))
    process = worker(platform)
    process.wait_log(r"ERROR.*Failed to get job\. \| the platform answered 503", 2)


@pytest.mark.parametrize("status", [304, 401, 403, 404, 408, 500, 502, 503])
def test_error_status_is_logged_and_survived(platform, worker, status):
    process = worker(platform)
    platform.script("take", answer(status, {"id": "not-a-job", "input": 1}))
    assert platform.run("next") == {"output": "next"}
    process.wait_log(rf"{status}")
    assert not platform.requests("done", "not-a-job")


def test_wrong_content_type(platform, worker):
    process = worker(platform)
    platform.script("take", answer(200, {"id": "not-a-job", "input": 1}, content_type="text/html"))
    assert platform.run("next") == {"output": "next"}
    process.wait_log("text/html")
    assert not platform.requests("done", "not-a-job")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        'application/json ; charset="utf-8"',
    ],
)
def test_content_type_forms(platform, worker, content_type):
    worker(platform)
    platform.script("take", answer(200, {"id": "ok", "input": "é"}, content_type=content_type))
    assert platform.result("ok") == {"output": "é"}


UNDECODABLE = {
    "empty": b"",
    "spaces": b"  \r\n ",
    "half": b'{"id": "x", "input": ',
    "words": b"no json here",
    "rest behind": b'{"id": "x", "input": 1} trailing',
    "two documents": b'{"id": "x", "input": 1}{"id": "y", "input": 1}',
    "comma": b'{"id": "x", "input": 1,}',
    "missing value": b'{"id": "x", "input"}',
    "missing comma": b'{"id": "x" "input": 1}',
    "NaN": b'{"id": "x", "input": NaN}',
    "leading zero": b'{"id": "x", "input": 01}',
    "raw newline in string": b'{"id": "x", "input": "a\nb"}',
    "not UTF-8": b'{"id": "x", "input": "\xff\xfe"}',
    "overlong UTF-8": b'{"id": "x", "input": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"id": "x", "input": "\xed\xa0\x80"}',
    "single quotes": b"{'id': 'x', 'input': 1}",
    "NUL behind": b'{"id": "x", "input": 1}\0',
}


@pytest.mark.parametrize("case", UNDECODABLE)
def test_undecodable_body(platform, worker, case):
    process = worker(platform)
    platform.wait_request("take")
    before = len(process.log)
    platform.script(
        "take",
        answer(200, UNDECODABLE[case], headers=([] if UNDECODABLE[case] else [("Content-Type", "application/json")])),
    )
    assert platform.run("next") == {"output": "next"}
    assert re.search("WARN|ERROR", process.log[before:]), "the useless answer left no trace in the log"
    assert not platform.requests("done", "x") and not platform.requests("done", "y")


@pytest.mark.parametrize("value", [1, "text", None, True, 1.5])
def test_answer_that_is_no_object(platform, worker, value):
    process = worker(platform)
    platform.script("take", answer(200, value))
    assert platform.run("next") == {"output": "next"}
    process.wait_log("WARN|ERROR")


def test_compressed_answer_is_named(platform, worker):
    """The worker asked for identity; what came says otherwise, and so does the log."""
    process = worker(platform)
    body = gzip.compress(json.dumps({"id": "x", "input": 1}).encode())
    platform.script("take", answer(200, body, headers=[("Content-Encoding", "gzip")]))
    assert platform.run("next") == {"output": "next"}
    process.wait_log("(?i)gzip|compress")
    assert not platform.requests("done", "x")


def test_identity_encoding_is_no_compression(platform, worker):
    worker(platform)
    platform.script("take", answer(200, {"id": "x", "input": 1}, headers=[("Content-Encoding", "identity")]))
    assert platform.result("x") == {"output": 1}


@pytest.mark.parametrize(
    "job",
    [
        {"input": 1},
        {"id": "no-input"},
        {},
        {"id": None, "input": 1},
        {"id": {"a": 1}, "input": 1},
        {"id": ["x"], "input": 1},
        {"id": True, "input": 1},
    ],
)
def test_job_without_id_or_input(platform, worker, job):
    process = worker(platform)
    platform.script("take", hand_out(job))
    assert platform.run("next") == {"output": "next"}
    process.wait_log(r"ERROR.*(id|input)")
    platform.wait_idle()
    assert all("error" in post.json() for post in platform.requests("done") if post.job_id != "job-1")


@pytest.mark.parametrize("value", [None, False, 0, "", [], [1, [2]], {"a": None}, 1e300, "x" * 5000])
def test_input_is_any_value(platform, worker, value):
    worker(platform)
    assert platform.run(value) == {"output": value}


def test_other_members_do_no_harm(platform, worker):
    worker(platform)
    job = {
        "webhook": "https://example.com/x",
        "policy": {"ttl": 5, "input": "no", "id": "no"},
        "id": "plain",
        "s3Config": None,
        "input": 7,
        "delayTime": 12,
    }
    platform.give(job)
    assert platform.result("plain") == {"output": 7}


def test_number_as_id(platform, worker):
    worker(platform)
    platform.give({"id": 12345, "input": "n"})
    assert platform.result("12345") == {"output": "n"}
    assert platform.requests("done")[0].header("X-Request-ID") == "12345"


def test_long_number_as_id_keeps_every_digit(platform, worker):
    worker(platform)
    platform.script("take", answer(200, b'{"id": 123456789012345678901234567890, "input": 1}'))
    assert platform.result("123456789012345678901234567890") == {"output": 1}


HOSTILE_IDS = [
    "a/b",
    "a?b=c",
    "a#b",
    "a b",
    "a%2Fb",
    "a%",
    "a&isStream=true",
    "a\r\nX-Evil: 1",
    "a\nb",
    "\r\n\r\n",
    "../../admin",
    "žluťoučký",
    "🦊",
    'quote"back\\slash',
    "a\tb",
    "a;b",
    "a+b",
    "a:b@c",
    "<x>|^`{}",
    "$ID",
    "$RUNPOD_POD_ID",
    "a\x7fb",
]


@pytest.mark.parametrize("job_id", HOSTILE_IDS)
def test_hostile_id(platform, worker, job_id):
    """The id is one percent-encoded path segment, whatever is in it; the platform's strict reader sees the rest."""
    worker(platform)
    platform.give({"id": job_id, "input": "x"})
    assert platform.result(job_id) == {"output": "x"}
    post = platform.requests("done")[0]
    assert post.path.count("/") == 5 and post.param("isStream") == "false"
    assert post.path.startswith("/v2/ep0test/job-done/pod-7x2/")
    given = post.header("X-Request-ID")
    assert given in (job_id, quote(job_id, safe=""), quote(job_id, safe=string.punctuation), None)
    assert given or not (job_id.isascii() and job_id.isprintable()), "a printable id has its X-Request-ID"
    assert platform.wait_idle()


def test_junk_in_a_batch_does_not_hurt_its_neighbours(platform, worker):
    process = worker(platform)
    good = [{"id": f"good-{number}", "input": number} for number in range(3)]
    junk = [1, None, "x", True, {}, [], {"id": "no-input"}, {"input": 1}, [{"id": "nested", "input": 1}]]
    platform.script("take", hand_out(*junk[:4], good[0], *junk[4:7], good[1], *junk[7:], good[2]))
    for number in range(3):
        assert platform.result(f"good-{number}") == {"output": number}
    platform.wait_idle()
    assert sorted(post.job_id for post in platform.requests("done") if post.job_id.startswith("good")) == [
        "good-0",
        "good-1",
        "good-2",
    ]
    assert len(process.lines("ERROR|WARN")) >= 1
    assert not platform.requests("done", "nested")


def test_array_as_answer_to_a_single_take(platform, worker):
    worker(platform)
    platform.script("take", hand_out({"id": "only", "input": 1}, as_array=True))
    assert platform.result("only") == {"output": 1}


def test_more_jobs_than_asked_for_run_in_turn(platform, worker):
    """No take goes out before the last of them has run."""
    process = worker(platform)
    platform.script("take", hand_out(*[{"id": f"job-{n}", "input": n} for n in range(5)]))
    for number in range(5):
        assert platform.result(f"job-{number}") == {"output": number}
    take = platform.wait_idle()
    started = [line.split("|")[1].strip() for line in process.lines(r"Started\.")]
    assert started == [f"job-{n}" for n in range(5)] and take == platform.requests("take")[1]


def test_empty_array_is_no_job(platform, worker):
    worker(platform)
    platform.script("take", answer(200, b"[]"))
    assert platform.run("next") == {"output": "next"}


def test_one_id_handed_out_twice_runs_once(platform, worker):
    worker(platform, handler="mock")
    job = {"id": "twin", "input": {"mock_return": "x", "mock_delay": 0.1}}
    platform.script("take", hand_out(job, {"id": "between", "input": {}}, job))
    platform.result("between")
    platform.wait_idle()
    assert len(platform.finals("twin")) == 1


def test_an_id_may_come_again_later(platform, worker):
    """A job that was retried on the platform has its old id, and runs."""
    worker(platform)
    platform.give({"id": "again", "input": 1})
    platform.wait_final("again")
    platform.wait_ping()  # the worker has read the answer to its result
    platform.give({"id": "again", "input": 2})
    assert platform.wait_final("again", 2).json() == {"output": 2}


IMMEDIATE_ERRORS = {
    "500": answer(500),
    "401": answer(401),
    "400": answer(400),
    "204": no_content(),
    "reset": reset(),
    "no JSON": answer(200, b"oops"),
    "empty array": answer(200, b"[]"),
    "html": answer(200, b"<p>", content_type="text/html"),
    "garbage": raw(b"\x00\x01\x02 garbage\r\n\r\n", then="close"),
    "junk job": answer(200, {"input": 1}),
}


@pytest.mark.parametrize("case", IMMEDIATE_ERRORS)
def test_immediate_error_for_ever_is_no_hot_loop(platform, worker, case):
    """Three pings, so two seconds: the SDK would have asked 4,000 to 8,000 times."""
    platform.always("take", IMMEDIATE_ERRORS[case])
    process = worker(platform, env=FAST_PING)
    platform.wait_request("ping", 3)
    count, lines = len(platform.requests("take")), len(process.lines())
    assert count <= (50 if case == "204" else 20)
    assert lines <= 150
    assert process.cpu_s() < 0.2
    platform.always("take", None)
    assert platform.run("after") == {"output": "after"}


def test_refused_connection_for_ever_is_no_hot_loop(platform, make_platform, worker):
    """Nobody listens where jobs come from; pings go elsewhere and count the time."""
    absent = make_platform()
    absent.refuse()
    process = worker(platform, env={**FAST_PING, "RUNPOD_WEBHOOK_GET_JOB": absent.env()["RUNPOD_WEBHOOK_GET_JOB"]})
    platform.wait_request("ping", 3)
    process.wait_log(r"(?i)refused")
    assert len(process.lines()) <= 60
    assert process.cpu_s() < 0.1
    absent.listen()
    assert absent.wait_request("take") and absent.wait_request("stop")
    assert not platform.requests("take")


def test_every_connection_reset_is_no_hot_loop(platform, make_platform, worker):
    absent = make_platform()
    absent.accept_only = "reset"
    worker(platform, env={**FAST_PING, "RUNPOD_WEBHOOK_GET_JOB": absent.env()["RUNPOD_WEBHOOK_GET_JOB"]})
    platform.wait_request("ping", 3)
    absent.wait_for(lambda: len(absent.connections) >= 2, "a connection of each channel")
    assert len(absent.connections) <= 40  # two channels, takes and stops, each with its own pauses
    absent.accept_only = None
    assert absent.wait_request("take")


def test_platform_that_comes_back(platform, worker):
    """A worker that started before its platform finds it later."""
    platform.refuse()
    process = worker(platform)
    process.wait_log("(?i)refused")
    platform.listen()
    assert platform.run("back") == {"output": "back"}


def test_unknown_host_is_named(worker, platform):
    process = worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": "http://no-such-host.invalid:8000/v2/x/job-take/$ID?a=b"})
    process.wait_log(r"no-such-host\.invalid")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/job-take/$ID",
        "nonsense",
        "http://",
        "http://host:99999/job-take/$ID",
        "http://ho st/job-take/$ID",
        "http://host/job-take/$ID\r\nX: y",
    ],
)
def test_unusable_take_url(local, url):
    """Exit 2 and the variable's name: no worker can do anything with this."""
    done = local(
        env={
            "RUNPOD_WEBHOOK_GET_JOB": url,
            "RUNPOD_WEBHOOK_POST_OUTPUT": "http://h/job-done/$RUNPOD_POD_ID/$ID",
            "RUNPOD_POD_ID": "p",
        }
    )
    assert done.returncode == 2 and "RUNPOD_WEBHOOK_GET_JOB" in done.stdout, done.stdout


def test_batch_id_in_the_log(platform, worker):
    process = worker(platform, handler="mock")
    platform.give({"id": "b1", "batchId": "batch-77", "input": {"mock_logs": ["hello from the handler"]}})
    platform.result("b1")
    platform.run({})
    platform.wait_idle()
    assert any("[batchId=batch-77]" in line for line in process.lines("hello from the handler"))
    assert any("[batchId=batch-77]" in line for line in process.lines(r"b1.*Started\."))
    assert not any("batchId" in line for line in process.lines("job-1"))


def test_members_twice(platform, worker):
    """Duplicate members are legal JSON; which one counts is documented, that nothing breaks is tested."""
    worker(platform)
    platform.script("take", answer(200, b'{"id": "a", "id": "b", "input": 1, "input": 2}'))
    platform.wait_for(lambda: platform.finals("a") or platform.finals("b"), "the result under one of both ids")
    assert platform.run("next") == {"output": "next"}


def test_escapes_in_member_names(platform, worker):
    worker(platform)
    platform.script(
        "take", answer(200, rb'{"\u0069d": "esc\u0061ped", "inp\u0075t": "\u017elu\u0165 \ud83e\udd8a \/"}')
    )
    assert platform.result("escaped") == {"output": "žluť 🦊 /"}


def test_deep_nesting_is_an_error_not_a_crash(platform, worker):
    process = worker(platform)
    deep = b'{"id": "deep", "input": ' + b"[" * 200000 + b"]" * 200000 + b"}"
    platform.script("take", answer(200, deep))
    assert platform.run("next") == {"output": "next"}
    process.wait_log("ERROR|WARN")


def test_long_id(platform, worker):
    worker(platform)
    job_id = "x" * 5000
    platform.script("take", hand_out({"id": job_id, "input": 1}))
    assert platform.run("next") == {"output": "next"}
    assert all(post.json() for post in platform.requests("done", job_id))


def test_chunked_job(platform, worker):
    worker(platform)
    platform.script(
        "take",
        chunked(
            {"id": "chunky", "input": list(range(50))},
            size=11,
            extension=';a=b;c="d"',
            trailers=[("X-Sum", "1"), ("X-More", "2")],
        ),
    )
    assert platform.result("chunky") == {"output": list(range(50))}
    assert platform.run("same connection") == {"output": "same connection"}
    assert len({take.connection for take in platform.requests("take")}) == 1


def test_close_delimited_job(platform, worker):
    worker(platform)
    head = encode(200, headers=[("Content-Type", "application/json"), ("Connection", "close")], length=False)
    platform.script("take", raw(head + b'{"id": "until', b'-close", "input": 1}', then="close"))
    assert platform.result("until-close") == {"output": 1}
