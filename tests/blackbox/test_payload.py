"""Large payloads: at the platform's limits and over them."""

import json

import pytest

from actions import answer, chunked, drip, raw
from wire import encode

MB = 1_000_000


def big_input(size):
    """A JSON object of about `size` bytes with strings, numbers and nesting in it."""
    row = {"text": 'žluť \u0001 quote" ' * 20, "numbers": list(range(60)), "more": {"a": [None, True, 1.5]}}
    count = size // len(json.dumps(row, ensure_ascii=False).encode())
    return {"rows": [row] * count}


def test_10_mb_in_and_8_mb_out(platform, worker):
    worker(platform)
    large = {"blob": "x" * (8 * MB)}
    assert platform.run(large) == {"output": large}
    worker(platform)
    rows = big_input(10 * MB)
    assert platform.run(rows) == {"output": rows}


def test_10_mb_in_small_out(platform, worker):
    worker(platform, handler="mock")
    assert platform.run({"mock_return": "small", "blob": "y" * (10 * MB)}) == {"output": "small"}


def test_memory_goes_back_after_a_large_job(platform, worker):
    process = worker(platform)
    platform.run("x" * (8 * MB))
    platform.wait_idle()
    process.witness.wait_for(lambda: process.resident_kib() < 4096, "less than 4 MiB resident")


def test_10_mb_in_chunks(platform, worker):
    worker(platform)
    large = {"blob": "z" * (10 * MB)}
    platform.script("take", chunked({"id": "c", "input": large}, size=16384))
    assert platform.result("c") == {"output": large}


def test_result_over_10_mb_warns(platform, worker):
    process = worker(platform)
    assert platform.run("x" * (11 * MB)) == {"output": "x" * (11 * MB)}
    process.wait_log("WARN.*job-1")


def test_result_over_20_mb_fails_visibly(platform, worker):
    process = worker(platform)
    result = platform.run("x" * (21 * 1024 * 1024))
    assert set(result) == {"error"} and "link" in json.dumps(result["error"]).lower()
    process.wait_log("ERROR.*job-1")
    assert platform.run("next") == {"output": "next"}


def test_limit_can_be_raised(platform, worker):
    worker(platform, env={"RP_MAX_RESULT_MB": "30"})
    assert platform.run("x" * (24 * MB)) == {"output": "x" * (24 * MB)}


@pytest.mark.parametrize("form", ["length", "chunks", "close"])
def test_answer_over_the_body_limit(platform, worker, form):
    """70 MB is no job that the platform could have accepted."""
    process = worker(platform)
    blob = json.dumps({"id": "too-big", "input": "x" * (70 * MB)}).encode()
    action = {
        "length": answer(200, blob, close=True),
        "chunks": chunked(blob, size=1 << 20),
        "close": raw(encode(200, headers=[("Content-Type", "application/json")], length=False) + blob, then="close"),
    }
    platform.script("take", action[form])
    assert platform.run("next") == {"output": "next"}
    process.wait_log("ERROR|WARN")
    assert process.peak_kib() < 100 * 1024
    assert not any(post.job_id == "too-big" and "output" in post.json() for post in platform.requests("done"))


def test_length_that_lies_costs_no_memory(platform, worker):
    """A Content-Length within the limit, and then nothing: memory follows what has come."""
    process = worker(platform)
    platform.script(
        "take",
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 60000000\r\n\r\n{", then="close"),
    )
    assert platform.run("next") == {"output": "next"}
    assert process.peak_kib() < 8 * 1024


def test_many_small_values(platform, worker):
    """A million array elements: time and memory stay linear."""
    process = worker(platform)
    values = [0] * 1_000_000
    assert platform.run(values) == {"output": values}
    assert process.peak_kib() < 80 * 1024


@pytest.mark.parametrize("text", ["[" * 60, '{"a":' * 60])
def test_moderate_nesting(platform, worker, text):
    worker(platform)
    closing = "".join({"[": "]", "{": "}"}[letter] for letter in reversed(text) if letter in "[{")
    value = json.loads(text + ("1" if "{" in text else "") + closing)
    assert platform.run(value) == {"output": value}


def test_slow_drip_of_a_job(platform, worker):
    worker(platform)
    platform.script("take", drip(encode(200, {"id": "d", "input": "x" * 300}), size=3))
    assert platform.result("d") == {"output": "x" * 300}


def test_many_jobs_in_a_row(platform, worker):
    """A thousand on the same connections, each with its own result."""
    process = worker(platform, env={"RUNPOD_LOG_LEVEL": "WARN"})
    for number in range(1000):
        platform.give({"id": f"n-{number}", "input": number})
    platform.wait_for(
        lambda: len(posts := platform.requests("done")) == 1000 and all(post.answered for post in posts),
        "a thousand results",
    )
    results = {post.job_id: post.json() for post in platform.requests("done")}
    assert results == {f"n-{number}": {"output": number} for number in range(1000)}
    platform.wait_idle()
    assert len({post.connection for post in platform.requests("done")}) < 50
    assert process.peak_kib() < 4096
