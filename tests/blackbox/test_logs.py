"""tests/CONTRACT.md, "Logs": the plain form, JSON lines, levels, the cut in the middle, and no forged lines."""

import json
import os
import re
import signal
import subprocess

import pytest

from actions import answer
from own_handlers import own, steps
from witness import PATIENCE_S
from workerproc import BUILD, RUNNER

LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]
LINE = re.compile(r"(TRACE  |DEBUG  |INFO   |WARN   |ERROR  )\| .+")


def mock(logs, **more):
    return json.dumps({"input": {"mock_logs": logs, **more}})


def entries(text):
    """The log as JSON objects; the very first line is the banner."""
    return [json.loads(line) for line in text.splitlines()[1:]]


def test_plain_form(platform, worker):
    process = worker(platform, handler="mock")
    platform.run({"mock_logs": ["hello"]})
    platform.wait_idle()
    assert process.lines()[0].startswith("--- Starting Serverless Worker |  Version ")
    for line in process.lines()[1:]:
        assert LINE.fullmatch(line), line
    assert process.lines(r"^INFO   \| job-1 \| Started\.$")
    process.wait_log(r"^INFO   \| job-1 \| Finished\.$")
    assert process.lines(r"^[A-Z]+ *\| job-1 \| hello$")


def test_json_lines(platform, worker):
    process = worker(platform, handler="mock", env={"RUNPOD_ENDPOINT_ID": "ep0test"})
    platform.run({"mock_logs": ['quote " back\\slash \t tab \n newline ž 🦊']})
    process.wait_log("Finished")
    platform.wait_idle()
    found = entries(process.log)
    assert all(set(entry) == {"requestId", "message", "level"} for entry in found)
    assert all(entry["level"] in LEVELS and isinstance(entry["message"], str) for entry in found)
    assert {"requestId": "job-1", "message": "Started.", "level": "INFO"} in found
    assert {"requestId": "job-1", "message": "Finished.", "level": "INFO"} in found
    assert [entry["message"] for entry in found if "quote" in entry["message"]] == [
        'quote " back\\slash \t tab \n newline ž 🦊'
    ]
    assert any(entry["requestId"] is None for entry in found) or len({entry["requestId"] for entry in found}) == 1


@pytest.mark.parametrize(
    "job_id", ['"}\n{"requestId": null, "message": "forged", "level": "INFO"}', "a\nERROR  | forged"]
)
def test_no_forged_lines(platform, worker, job_id):
    for endpoint in ("ep0test", None):
        process = worker(platform, handler="mock", env={"RUNPOD_ENDPOINT_ID": endpoint})
        platform.wait_idle()
        this_id = f"{job_id} {endpoint}"
        platform.give({"id": this_id, "batchId": "b\nERROR  | forged", "input": {}})
        platform.result(this_id)
        process.wait_log(r"Finished\.")
        assert not process.lines(r"^ERROR  \| forged")
        if endpoint:
            assert not any(entry["message"] == "forged" for entry in entries(process.log))
        process.terminate()
        process.wait()


@pytest.mark.parametrize("number, name", list(enumerate(["NOTSET", *LEVELS])))
@pytest.mark.parametrize("form", ["name", "number"])
def test_levels(local, number, name, form):
    """A level shows itself and everything above it; NOTSET shows nothing but the banner."""
    done = local(
        "--rp_log_level",
        name if form == "name" else str(number),
        "--test_input",
        '{"input": {"mock_error": true}}',
        handler="mock",
    )
    shown = {line.split("|")[0].strip() for line in done.stdout.splitlines()[1:]}
    allowed = set() if name == "NOTSET" else set(LEVELS[LEVELS.index(name) :])
    assert shown <= allowed, done.stdout
    assert done.returncode == 1
    if name != "NOTSET":
        assert "ERROR" in shown
    if name in ("NOTSET", "TRACE", "DEBUG", "INFO"):
        assert ("Started." in done.stdout) == (name != "NOTSET")


@pytest.mark.parametrize(
    "env, flags, shown",
    [
        ({}, (), True),
        ({"RUNPOD_LOG_LEVEL": "ERROR"}, (), False),
        ({"RUNPOD_DEBUG_LEVEL": "ERROR"}, (), False),
        ({"RUNPOD_LOG_LEVEL": "INFO", "RUNPOD_DEBUG_LEVEL": "ERROR"}, (), True),
        ({"RUNPOD_LOG_LEVEL": "ERROR", "RUNPOD_DEBUG_LEVEL": "INFO"}, (), False),
        ({"RUNPOD_LOG_LEVEL": "ERROR"}, ("--rp_log_level", "INFO"), True),
        ({"RUNPOD_LOG_LEVEL": "5"}, (), False),
    ],
)
def test_where_the_level_comes_from(local, env, flags, shown):
    done = local(*flags, "--test_input", '{"input": 1}', env=env)
    assert done.returncode == 0 and ("Started." in done.stdout) == shown


@pytest.mark.parametrize("letter", ["a", "ž", "🦊"])
@pytest.mark.parametrize("json_lines", [False, True])
def test_long_message_loses_its_middle(platform, worker, letter, json_lines):
    """4,096 characters stay (characters, not bytes), with a note of how many are gone."""
    process = worker(platform, handler="mock", env={"RUNPOD_ENDPOINT_ID": "ep" if json_lines else None})
    platform.run({"mock_logs": ["BEGIN" + letter * 10_000 + "END"]})
    platform.wait_idle()
    text = process.output.decode("utf-8")  # strict: no character was cut in two
    if json_lines:
        text = next(entry["message"] for entry in entries(text) if "BEGIN" in entry["message"])
    begin = text.index("BEGIN")
    message = text[begin : text.index("END", begin) + 3]
    assert str(10_008 - 4096) in message
    kept = message.count(letter) - sum(word.count(letter) for word in re.findall("(?i)truncated|characters", message))
    assert 4096 - 8 - 64 <= kept <= 4096 - 8


def test_message_at_the_limit_is_whole(platform, worker):
    process = worker(platform, handler="mock")
    platform.run({"mock_logs": ["x" * 4096, "y" * 4097]})
    platform.wait_idle()
    assert process.lines("x{4096}$") and not process.lines("y{4097}")


def test_large_outputs_do_not_flood_the_log(platform, worker):
    process = worker(platform)
    platform.run("x" * 1_000_000)
    platform.wait_idle()
    assert len(process.output) < 30_000


def test_log_is_written_at_once(platform, worker):
    """Not only when a buffer is full: the line is there while the job still runs."""
    process = worker(platform, handler="mock")
    platform.give(input={"mock_delay": 60, "mock_logs": ["early"]})
    process.wait_log("Started|early")
    assert not platform.requests("done")


# ---- a reader that stands still ----


@pytest.fixture
def stalled(platform):
    """stalled(flags): an echo worker of which nobody reads the log, whose pipe is full."""
    env = {**platform.env(), "RP_SHUTDOWN_GRACE_S": "2"}
    reader, writer = os.pipe()
    started = []

    def start(*flags):
        command = [*RUNNER, str(BUILD / "handlers/echo"), *flags]
        started.append(subprocess.Popen(command, stdout=writer, stderr=writer, env=env))
        for number in range(40):
            ids = [platform.give({"id": f"{number}-{i}-" + "x" * 100, "input": 1}) for i in range(25)]
            for job in ids:
                platform.result(job)
        return started[0]

    yield start
    for process in started:
        process.kill()
        process.wait()
    os.close(reader)
    os.close(writer)


def test_stalled_reader_holds_up_neither_jobs_nor_the_end(stalled):
    """Nothing is read from the worker's standard output: jobs go on, and SIGTERM ends it in good order."""
    process = stalled()
    process.terminate()
    assert process.wait(PATIENCE_S) == 0


def test_stalled_reader_holds_up_no_result_that_is_kept(platform, stalled, tmp_path):
    """The platform takes no result any more, and the lines that would say so find no room: --result-dir has it all the same."""
    (tmp_path / "kept").mkdir(0o755)
    process = stalled("--result-dir", str(tmp_path / "kept"))
    platform.always("done", answer(503))
    job = platform.give(input="žluť")
    platform.wait_final(job)
    process.terminate()
    assert process.wait(PATIENCE_S) == 1
    (file,) = (tmp_path / "kept").iterdir()
    assert json.loads(file.read_text()) == {"id": job, "is_stream": False, "result": {"output": "žluť"}}


# ---- the end of the process ----


@pytest.mark.parametrize("json_lines", [False, True])
@pytest.mark.parametrize(
    "how, number, text",
    [
        ("segv", signal.SIGSEGV, "SIGSEGV at address 0x1234"),
        ("abort", signal.SIGABRT, "SIGABRT"),
        ("overflow", signal.SIGSEGV, "SIGSEGV at address 0x"),
    ],
)
def test_crash_leaves_a_line(platform, worker, how, number, text, json_lines):
    """With the signal, the address and the job; the process dies of the signal as before."""
    process = worker(platform, handler=own("steps"), env={"RUNPOD_ENDPOINT_ID": "ep" if json_lines else None})
    process.crash_expected = True
    platform.give({"id": "job-x", "input": steps({"crash": how})})
    assert process.wait() == -number
    line = process.lines("crashed")[-1]
    if json_lines:
        entry = json.loads(line)
        assert entry["requestId"] == "job-x" and entry["level"] == "ERROR"
        line = f"ERROR  | job-x | {entry['message']}"
    assert line.startswith(f"ERROR  | job-x | The worker's process crashed: {text}")
    assert line.endswith(", while it ran this job.")
