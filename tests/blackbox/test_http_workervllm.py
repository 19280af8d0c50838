"""The worker in the place of worker-vllm: what it posts for each job, beside what that worker's own layer posted (workervllm/).

Where they differ on purpose, the manual says so: the table under "In place of worker-vllm" in src/handlers/README.md names
each of those jobs of jobs.json by its number, and why. KINDS says in what they differ, in the words of workervllm/compare.py; MORE
says both for more.json.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workerproc import ROOT, binary

FOLDER = Path(__file__).with_name("workervllm")
sys.path.insert(0, str(FOLDER))

import compare  # noqa: E402

JOBS = [job["id"] for job in json.loads((FOLDER / "jobs.json").read_text())]
KINDS = {
    "error": "31 34 35 52 53 55 56 58 59 61 62 64 65 76",
    "error, parts": "67",
    "error, isStream": "47 49 50",
    "asked, shape": "22 23 26",
    "shape": "25 83 88",
    "asked, output, parts": "40 41 44",
    "output, parts": "74",
    "asked, fails": "32",
    "fails": "82 86",
    "completes": "79 80",
}
MORE = {
    "errors are JSON": {"error": "14 15 16 17 36 37 54 61 62 63 70 74 75 76 86 87"},
    "and what is asked for by a route, or in no known form, is no stream": {"error, isStream": "40 41 56 57 58 59 78 84 85"},
    "a route's output is plain": {"shape": "24 26 29 30 39 42 43 44 77 80"},
    "and no model is added to its body": {"asked, shape": "45"},
    "text is an output": {"completes": "71"},
    "an answer says itself whether it is a stream": {"completes": "12 13 82 83"},
    "JSON is JSON where a stream was asked for": {"output, parts": "88 90"},
    "characters that chunks split are put together": {"output, parts": "68"},
    "NaN is not JSON": {"fails": "69 79"},
    "an empty body with a JSON type is an answer cut off": {"fails": "72 92"},
    "none asked for a compressed answer": {"fails": "81 91"},
}

pytestmark = pytest.mark.xdist_group("workervllm")


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """record(jobs, recorded, NAME=VALUE...) -> {job: what differs}, of a worker with these variables. Made once for each."""
    made = {}

    def run(jobs="jobs.json", recorded="recorded.jsonl", *settings):
        if (jobs, *settings) not in made:
            out = tmp_path_factory.mktemp("workervllm") / "ours.jsonl"
            command = [sys.executable, FOLDER / "record.py", FOLDER / jobs, out, *settings, "--", binary("worker")]
            subprocess.run(command, check=True, timeout=240, stderr=subprocess.DEVNULL)
            real, ours = compare.read(FOLDER / recorded), compare.read(out)
            made[jobs, *settings] = {name: compare.compare(real[name], ours.get(name) or compare.NOTHING) for name in real}
        return made[jobs, *settings]

    return run


def on_purpose():
    """The jobs that the manual's table names."""
    text = (ROOT / "src/handlers/README.md").read_text().partition("## In place of worker-vllm")[2].partition("\n## ")[0]
    numbers = {
        number
        for line in text.splitlines()
        if line.startswith("|")
        for number in re.findall(r"\b\d\d\b", line.rstrip("| ").rpartition("|")[2])
    }
    return {next(job for job in JOBS if job.startswith(number)) for number in numbers}


def kinds(found):
    """{a job's number: in what it differs} of those that do."""
    return {re.match("m?([0-9]+)", job)[1]: ", ".join(what) for job, what in found.items() if what}


def by_number(table):
    """The same, as a table of numbers by kind has it."""
    return {number: kind for kind, numbers in table.items() for number in numbers.split()}


def test_every_job_is_the_same_but_for_what_the_manual_lists(record):
    found = record()
    assert sorted(found) == sorted(JOBS)
    assert {job for job, what in found.items() if what} == on_purpose()
    assert kinds(found) == by_number(KINDS)


def test_asked_for_lists_only_what_is_asked_and_said_differs(record):
    """--answer-shape list: every job's output then has the shape that it has there, and its last post the same isStream."""
    listed = {job: [word for word in what if word not in ("shape", "isStream")] for job, what in record().items()}
    assert kinds(record("jobs.json", "recorded.jsonl", "RP_ANSWER_SHAPE=list")) == kinds(listed)


def test_episodes(tmp_path):
    """A job that is stopped, 30 at once, a server that dies: there only the end differs, by design."""
    out = tmp_path / "ours.json"
    settings = ["MAX_CONCURRENCY=30", "RP_HANDLER_UNHEALTHY_TIMEOUT=1"]
    subprocess.run([sys.executable, FOLDER / "episodes.py", out, *settings, "--", binary("worker")], check=True, timeout=240)
    real, ours = json.loads((FOLDER / "episodes.recorded.json").read_text()), json.loads(out.read_text())
    assert ours["cancel"] == real["cancel"]
    assert ours["thirty"] == real["thirty"]
    assert (ours["dies"].pop("the worker"), real["dies"].pop("the worker")) == ("ended with 1", "takes more jobs")
    assert ours["dies"] == real["dies"]


def test_more_jobs(record):
    found = record("more.json", "more.recorded.jsonl")
    assert len(found) == 92
    expected = {}
    for table in MORE.values():
        expected |= by_number(table)
    assert kinds(found) == expected
