"""tests/CONTRACT.md, "Local runs": --test_input, test_input.json, --test_output, and the exit codes."""

import json
import re

import pytest

from own_handlers import own, steps

PROMPT = '{"input": {"prompt": "The quick brown fox jumps"}}'


def result_of(done):
    """The object behind "Job result:" in the log."""
    found = re.search(r"Job result: (.*)", done.stdout)
    assert found, done.stdout
    return json.loads(found[1])


@pytest.mark.smoke
def test_input_from_the_command_line(local):
    done = local("--test_input", PROMPT)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"--- Starting Serverless Worker \|  Version \S+ ---", lines[0])
    assert result_of(done) == {"output": {"prompt": "The quick brown fox jumps"}}
    assert re.fullmatch(r"INFO   \| (local_test \| )?Started\.", next(line for line in lines if "Started." in line))
    assert lines[-1] == "INFO   | Local testing complete, exiting."


def test_log_says_what_is_done(local, tmp_path):
    """Each step in its place; a line of the job has its id."""
    job = {"input": steps({"yield": 1}, {"progress": 50}, {"return": 2})}
    expected = ["--test_output", '{"output": [1, 2]}']
    done = local("--test_input", json.dumps(job), "--stream", "--aggregate-stream", *expected, handler=own("steps"))
    assert done.returncode == 0, done.stdout
    wanted = [
        "INFO   | test_input set, using test_input as job input.",
        "INFO   | local_test | Started.",
        "INFO   | local_test | Stream output: 1",
        "INFO   | local_test | Stream output: 2",
        "INFO   | Job local_test completed successfully.",
        'INFO   | Job result: {"output": [1, 2]}',
        "INFO   | test_output set, comparing output to test_output.",
        "INFO   | Job output matches test_output.",
        "INFO   | Local testing complete, exiting.",
    ]
    lines = done.stdout.splitlines()
    assert [line for line in lines if line in wanted] == wanted
    assert "INFO   | local_test | Progress: 50" in lines  # sent beside the handler


def test_result_in_a_file(local, tmp_path):
    file = tmp_path / "result.json"
    file.write_text("something longer from before, which goes\n")
    for given, returncode in (({"a": "ž"}, 0), ({"error": "boom"}, 1)):
        done = local("--test_input", json.dumps({"input": given}), "--test_result", str(file))
        assert done.returncode == returncode
        wanted = given if "error" in given else {"output": given}
        assert file.read_text().endswith("}\n") and json.loads(file.read_text()) == wanted


@pytest.mark.parametrize("file, text", [
    ("/dev/full", "ERROR.*--test_result: /dev/full: No space left on device"),
    ("/nowhere/result.json", "--test_result: cannot write to /nowhere/result.json"),
])  # fmt: skip
def test_result_that_cannot_be_written(local, file, text):
    done = local("--test_input", '{"input": 1}', "--test_result", file)
    assert done.returncode != 0 and re.search(text, done.stdout), done.stdout
    assert ("Started." in done.stdout) == (file == "/dev/full"), "one that cannot be opened is told before the job runs"


def test_flag_with_equals_sign(local):
    assert result_of(local(f"--test_input={PROMPT}")) == {"output": {"prompt": "The quick brown fox jumps"}}


def test_id_is_local_test_unless_given(local):
    assert re.search(r"\| local_test \| ", local("--test_input", '{"input": 1}').stdout)
    done = local("--test_input", '{"id": "mine", "input": 1}')
    assert re.search(r"\| mine \| ", done.stdout) and "local_test" not in done.stdout


def test_number_as_id(local):
    done = local("--test_input", '{"id": 17, "input": 1}')
    assert done.returncode == 0 and re.search(r"\| 17 \| ", done.stdout)


def test_input_from_the_file(local, tmp_path):
    (tmp_path / "test_input.json").write_text('{"input": {"from": "file"}}\n')
    done = local()
    assert done.returncode == 0 and result_of(done) == {"output": {"from": "file"}}
    assert "INFO   | Using test_input.json as job input.\n" in done.stdout


def test_command_line_wins_over_the_file(local, tmp_path):
    (tmp_path / "test_input.json").write_text('{"input": {"from": "file"}}')
    assert result_of(local("--test_input", '{"input": "flag"}')) == {"output": "flag"}


def test_input_may_be_empty_but_not_null(local):
    done = local("--test_input", '{"input": {}}')
    assert done.returncode == 0 and result_of(done) == {}
    for missing in ('{"input": null}', '{"id": "x"}'):
        done = local("--test_input", missing)
        assert done.returncode == 1 and re.search("ERROR.*input", done.stdout), done.stdout


def test_empty_object_counts_as_none(local, tmp_path):
    done = local("--test_input", "{}")
    assert done.returncode == 1 and "test_input" in done.stdout
    (tmp_path / "test_input.json").write_text("{}")
    assert local().returncode == 1


def test_no_test_input_at_all(local):
    done = local()
    assert done.returncode == 1 and "test_input.json" in done.stdout


@pytest.mark.parametrize("text", ["", "{", "no json", "{'input': 1}", '{"input": 1} x', '{"input": NaN}', "\x01"])
def test_invalid_json_is_told_clearly(local, text):
    done = local("--test_input", text)
    assert done.returncode == 1, done.stdout
    assert len(done.stdout.splitlines()) <= 6, "a clear message, not a dump"
    if text:
        assert re.search("ERROR.*(?i:test.input).*JSON", done.stdout)


def test_invalid_json_in_the_file_names_the_file(local, tmp_path):
    (tmp_path / "test_input.json").write_bytes(b'{"input": "\xff"}')
    done = local()
    assert done.returncode == 1 and "test_input.json" in done.stdout


@pytest.mark.parametrize("text", ["[]", "[1]", '"x"', "5", "null", "true"])
def test_input_that_is_no_object(local, text):
    assert local("--test_input", text).returncode == 1


def test_file_that_cannot_be_read(local, tmp_path):
    (tmp_path / "test_input.json").mkdir()
    done = local()
    assert done.returncode == 1 and "test_input.json" in done.stdout


def test_error_result_is_exit_1(local):
    done = local("--test_input", '{"input": {"mock_error": true}}', handler="mock")
    assert done.returncode == 1 and "Mock error" in done.stdout
    done = local("--test_input", '{"input": {"error": "boom", "x": 1}}')
    assert done.returncode == 1 and "boom" in done.stdout


def test_crash_is_exit_1(local):
    assert local("--test_input", '{"input": {"mock_crash": true}}', handler="mock").returncode == 1


@pytest.mark.parametrize("expected", ['{"output": {"a": [1, 2], "b": "\\u017e"}}', '{"output": {"b": "ž", "a": [1, 2]}}'])
def test_output_that_is_as_expected(local, expected):
    done = local("--test_input", '{"input": {"a": [1, 2], "b": "ž"}}', "--test_output", expected)
    assert done.returncode == 0 and "INFO   | Job output matches test_output.\n" in done.stdout, done.stdout


@pytest.mark.parametrize(
    "output, expected, where",
    [
        ('{"a": [1, 2]}', '{"output": {"a": [2, 1]}}', "output.a[0]: expected 2, got 1"),
        ('{"a": [1, 2], "b": "ž"}', '{"output": {"a": [1, 2]}}', 'output.b: expected nothing, got "ž"'),
        ('{"a": [1]}', '{"output": {"a": [1, {"b": 2}]}}', 'output.a[1]: expected {"b": 2}, got nothing'),
        ('{"a": [[1, {"b": {"c": 2}}]]}', '{"output": {"a": [[1, {"b": {"c": "2"}}]]}}', 'output.a[0][1].b.c: expected "2", got 2'),
        ("1", '{"a": 1}', "a: expected 1, got nothing"),
        ("1", "[1]", 'the top: expected [1], got {"output": 1}'),
    ],
)
def test_output_that_differs_is_told_by_its_place(local, output, expected, where):
    """The whole path of the first place, and both sides of it."""
    done = local("--test_input", f'{{"input": {output}}}', "--test_output", expected)
    assert done.returncode == 1
    assert f"ERROR  | Job output does not match test_output: at {where}\n" in done.stdout, done.stdout


def test_difference_is_shown_in_part(local):
    """400 bytes of each side, and no half character."""
    long, other = "ž" * 1000, "a" + "ž" * 1000
    done = local("--test_input", f'{{"input": "{long}"}}', "--test_output", f'{{"output": "{other}"}}')
    line = next(line for line in done.stdout.splitlines() if "does not match" in line)
    assert line.endswith(f'at output: expected "{other[:200]}, got "{long[:199]}')


def test_invalid_test_output(local):
    done = local("--test_input", '{"input": 1}', "--test_output", "{oops")
    assert done.returncode == 1 and re.search("ERROR.*--test_output is not valid JSON", done.stdout)
    assert "Local testing complete" not in done.stdout


def test_output_too_deep_to_compare_is_said(local):
    deep = "[" * 200 + "]" * 200
    done = local("--test_input", f'{{"input": {deep}}}', "--test_output", f'{{"output": {deep}}}')
    assert done.returncode == 1 and "nested 201 deep, over the limit of 128" in done.stdout


def test_local_run_wins_over_the_platform(local, platform):
    done = local("--test_input", '{"input": 1}', env=platform.env())
    assert done.returncode == 0 and result_of(done) == {"output": 1}
    assert not platform.connections


def test_mock_logs_delay_and_progress(local):
    done = local(
        "--test_input",
        json.dumps(
            {
                "input": {
                    "mock_logs": ["one", "two"],
                    "mock_delay": 0.05,
                    "mock_return": [0],
                    "mock_progress": {"updates": 2, "wait_time": 0},
                }
            }
        ),
        handler="mock",
    )
    assert done.returncode == 0 and result_of(done) == {"output": [0]}
    assert re.search(r"local_test \| one\n", done.stdout) and re.search(r"local_test \| two\n", done.stdout)


def test_mock_logs_by_number(local):
    few = local("--test_input", '{"input": {"mock_logs": 2}}', handler="mock").stdout.splitlines()
    many = local("--test_input", '{"input": {"mock_logs": 7}}', handler="mock").stdout.splitlines()
    assert len(many) - len(few) == 5


@pytest.mark.parametrize(
    "job",
    [
        {"mock_delay": "long"},
        {"mock_logs": {"a": 1}},
        {"mock_progress": 5},
        {"mock_delay": -1},
        {"mock_progress": {"updates": "many"}},
        [],
        "text",
        5,
        {"mock_error": "yes"},
    ],
)
def test_mock_with_odd_input_does_not_crash(local, job):
    done = local("--test_input", json.dumps({"input": job}), handler="mock")
    assert done.returncode in (0, 1) and re.search("completed|failed|ERROR", done.stdout)


def test_mock_refresh(local):
    done = local("--test_input", '{"input": {"mock_refresh": true, "mock_return": 1}}', handler="mock")
    assert done.returncode == 0 and result_of(done) == {"output": {"mock_return": 1}, "stopPod": True}


def test_deep_nesting_is_an_error_not_a_crash(local, tmp_path):
    (tmp_path / "test_input.json").write_text('{"input": ' + "[" * 300000 + "]" * 300000 + "}")
    assert local().returncode == 1


def test_large_input_from_the_file(local, tmp_path):
    (tmp_path / "test_input.json").write_text(json.dumps({"input": {"x": "y" * 5_000_000}}))
    assert local("--rp_log_level", "INFO").returncode == 0


def test_unknown_endpoint_variable_makes_json_lines(local):
    done = local("--test_input", '{"input": 5}', env={"RUNPOD_ENDPOINT_ID": "ep"})
    entries = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert any(entry["message"].startswith("Job result:") for entry in entries)
    assert {entry["requestId"] for entry in entries} <= {None, "local_test"}


@pytest.mark.parametrize("flags", [[], ["--isolate"]], ids=["alone", "isolated"])
def test_stock_worker_wants_a_handler(local, flags):
    """It has none of its own: a forgotten option must not look like a worker that works."""
    done = local("--test_input", PROMPT, *flags, handler="worker")
    assert done.returncode == 2 and "Job result" not in done.stdout
    assert all(f"{flag} " in done.stdout for flag in ("--handler", "--handler-once", "--handler-http")), done.stdout


@pytest.mark.parametrize("mode", ["polling", "realtime"])
def test_stock_worker_without_a_handler_takes_nothing(platform, worker, mode):
    env = {"RUNPOD_REALTIME_PORT": "1", "RUNPOD_ENDPOINT_ID": "ep"} if mode == "realtime" else {}
    process = worker(platform, handler="worker", env=env)
    assert process.wait() == 2
    assert process.lines("--handler-http") and not platform.connections
