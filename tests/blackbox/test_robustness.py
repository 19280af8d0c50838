"""Bytes that nobody thought of, as answers: the worker stays alive and takes the next good job."""

import itertools
import json
import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actions import chunked, drip, hand_out, raw
from wire import encode, encode_chunks

NUMBERS = itertools.count()
WORKERS = 6  # side by side, because each broken answer costs a worker one pause

SEEDS = [
    encode(200, {"id": "seed", "input": {"a": [1, 2.5, "x"]}}),
    encode(200, [{"id": "seed", "input": None}, {"id": "seed-2", "input": "\u017e"}], headers=[("X-A", "b")]),
    encode(200, headers=[("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")], length=False)
    + encode_chunks(json.dumps({"id": "seed", "input": "chunks"}).encode(), 9, ";x=y", [("X-T", "1")]),
    encode(100) + encode(200, {"id": "seed", "input": 1}),
    encode(307, headers=[("Location", "/v2/other/job-take/x?y=z")]),
    encode(200, {"jobsToStop": ["a", "b"]}),
    encode(429, headers=[("Retry-After", "1")]),
]

FRAGMENTS = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"HTTP/1.1 200 OK\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"ffffffffffffffff\r\n",
    b"-1",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\u",
    b"\xff" * 3,
    b"\xf0\x9f",
    b":",
    b";",
    b" ",
    b"999999999999999999999",
]


@st.composite
def mutants(draw):
    """An answer that was right before a few of its bytes were changed."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data[start:end] = draw(st.binary(max_size=6) | st.sampled_from(FRAGMENTS) | st.just(b""))
    return bytes(data)


garbage = st.binary(max_size=400) | mutants() | st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join)


def quiet(**more):
    return settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), **more)


def finish(platforms, processes):
    """Every worker is alive, does a good job, and has not run into a sanitizer or a signal."""
    jobs = [(platform, f"good-{next(NUMBERS)}") for platform in platforms]
    for platform, job in jobs:
        platform.give({"id": job, "input": "good"})
    for platform, job in jobs:
        assert platform.result(job, timeout_s=90) == {"output": "good"}
    assert not any(process.ended for process in processes)


def test_garbage_for_a_job(make_platform, worker):
    platforms = [make_platform() for _ in range(WORKERS)]
    processes = [worker(platform) for platform in platforms]

    @quiet(max_examples=12)
    @given(st.lists(garbage, min_size=WORKERS, max_size=WORKERS))
    def check(blobs):
        for platform, blob in zip(platforms, blobs):
            platform.script("take", raw(blob, then="close", label="garbage"))
        finish(platforms, processes)

    check()


def test_garbage_on_the_other_channels(make_platform, worker):
    """Pings and stop polls get nothing else; results get it before they are taken."""
    platforms = [make_platform() for _ in range(WORKERS)]

    @quiet(max_examples=5)
    @given(st.lists(garbage, min_size=WORKERS * 3, max_size=WORKERS * 3))
    def check(blobs):
        processes = []
        for number, platform in enumerate(platforms):
            first, second, third = blobs[3 * number : 3 * number + 3]
            platform.always("ping", raw(first, then="close", label="garbage"))
            platform.always("stop", raw(second, then="close", label="garbage"))
            platform.script("done", raw(third, then="reset", label="garbage"))
            processes.append(worker(platform, env={"RUNPOD_PING_INTERVAL": "200"}))
        finish(platforms, processes)
        for process in processes:
            process.terminate()
        for process in processes:
            assert process.wait() == 0

    check()


def test_two_answers_glued_and_cut_anywhere(platform, worker):
    """One valid answer in segments of every size."""
    worker(platform)
    for size in (1, 2, 3, 5, 7, 11):
        platform.script("take", drip(encode(100) + encode(200, {"id": f"cut-{size}", "input": size}), size))
        assert platform.result(f"cut-{size}") == {"output": size}
        platform.script("take", chunked({"id": f"chunk-{size}", "input": size}, size=size, pieces=size))
        assert platform.result(f"chunk-{size}") == {"output": size}


def test_nothing_piles_up(platform, worker):
    """Forty broken connections later there are no more descriptors, threads or memory than after the first few."""
    process = worker(platform)

    def measure():
        folder = Path(f"/proc/{process.pid}")
        descriptors = len(list((folder / "fd").iterdir())) if os.geteuid() == 0 else 0  # it hides them from others
        return descriptors, len(list((folder / "task").iterdir())), process.resident_kib()

    def round_of_jobs(count):
        for number in range(count):
            platform.run("x" * 1000)
            platform.drop_connections(reset=number % 2 == 0)
        platform.wait_idle()
        platform.run("x" * 1000)
        platform.wait_idle()
        return measure()

    before = round_of_jobs(5)
    after = round_of_jobs(40)
    beside = 2  # connections, each with a thread, for results that are posted beside the next job
    stop_channel = 1  # it pauses after a poll that was cut: then it has no connection
    assert after[0] <= before[0] + beside + stop_channel and after[1] <= before[1] + beside, (before, after)
    assert after[2] <= before[2] + 64 + 64 * beside, (before, after)


def test_started_without_standard_files(platform, worker):
    """With 0, 1 and 2 closed a socket would get number 1, and the log would be sent to the platform."""
    worker(platform, prefix=["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    for number in range(3):
        assert platform.run(number) == {"output": number}
    platform.wait_idle()


def test_a_hundred_junk_jobs(platform, worker):
    worker(platform)
    junk = [{"id": number, "inputs": 1} for number in range(100)] + [[[]]] * 100
    platform.script("take", hand_out(*junk, {"id": "good", "input": 1}))
    assert platform.result("good") == {"output": 1}
