"""Handlers that are programs: a process a job."""

import json

import pytest

from children import children_of, failure, sh, wait_gone


@pytest.fixture
def once(worker, platform):
    def start(command, *flags, **options):
        return worker(platform, "--handler-once", command, *flags, handler="worker", **options)

    return start


@pytest.mark.parametrize("said, output", [
    ("printf '{\"a\": [1, 2]}\\n\\n'", {"a": [1, 2]}),
    ("echo 12", 12),
    ("echo two words", "two words"),
    ("printf 'two\\nlines\\n\\n'", "two\nlines"),
    ("printf 'caf\\351'", "caf\ufffd"),
    ("printf '{\"a\": \"caf\\351\"}'", {"a": "caf\ufffd"}),
    (":", ""),
    ("echo null", None),
])
def test_what_it_prints_is_the_output(said, output, once, platform):
    once(sh("cat >/dev/null; " + said))
    assert platform.run({}) == {"output": output}


def test_binary_output_says_what_to_do(once, platform):
    once(sh("cat >/dev/null; printf '\\377\\330\\377\\340\\000\\020JFIF'"))
    error = failure(platform.run({}))
    assert error["error_type"] == "ResultError" and "is binary" in error["error_message"] and "base64" in error["error_message"]


def test_mended_text_is_warned_of(once, platform):
    process = once(sh("cat >/dev/null; printf 'caf\\351'"))
    platform.run({})
    process.wait_log("WARN .*is not valid UTF-8")


def test_it_reads_the_whole_job_and_the_end(once, platform):
    process = once("/bin/cat")
    job = platform.give(input={"text": "ä\n"}, webhook="w")
    assert platform.result(job) == {"output": {"id": job, "input": {"text": "ä\n"}, "webhook": "w"}}
    platform.wait_idle()
    assert not children_of(process.pid)


def test_the_exit_status_says_how_it_went(once, platform):
    process = once(sh("read job; echo ignored; echo first >&2; echo the reason >&2; exit 9"))
    for _ in range(7):
        error = failure(platform.run({}))
    assert error["error_type"] == "HandlerError"
    assert error["error_message"].endswith("exited with status 9.\nThe last lines on its standard error:\nfirst\nthe reason")
    assert not process.ended


def test_a_signal_is_a_crash_and_five_are_enough(once, platform):
    process = once(sh("kill -SEGV $$"))
    jobs = [platform.give(input={}) for _ in range(5)]
    for job in jobs:
        error = failure(platform.result(job))
        assert error["error_type"] == "HandlerCrashed" and "SIGSEGV" in error["error_message"]
    assert process.wait() == 1


def test_it_may_take_no_longer_than_the_timeout(once, platform):
    once(sh("exec sleep 600"), "--execution-timeout", "0.2")
    assert failure(platform.run({}))["error_type"] == "TimeoutError"


def test_it_may_say_no_more_than_the_limit(once, platform):
    once(sh("yes"), env={"RP_MAX_RESULT_MB": "1"})
    assert "limit" in failure(platform.run({}))["error_message"]


def test_a_stopped_one_is_killed(once, platform):
    process = once(sh("trap '' TERM; echo runs >&2; while :; do sleep 600; done"), "--kill-grace", "0.2")
    job = platform.give(input={})
    process.wait_log("runs")
    platform.stop_jobs(job)
    platform.wait_for(lambda: not children_of(process.pid) or None, "the child's end")
    platform.wait_idle()
    assert not platform.finals(job)


def test_what_it_leaves_behind_goes(once, platform, tmp_path):
    process = once(sh(f"sleep 600 & echo $! >{tmp_path}/a; setsid sleep 600 & echo $! >{tmp_path}/b; echo 1"))
    assert platform.run({}) == {"output": 1}
    wait_gone(platform, *(int((tmp_path / name).read_text()) for name in "ab"))
    platform.wait_for(lambda: not children_of(process.pid) or None, "no child left")


def test_ten_megabytes_each_way(once, platform):
    process = once("/bin/cat")
    payload = "z" * 10_000_000
    platform.run("warm")
    before = process.peak_kib()
    assert platform.run(payload)["output"]["input"] == payload
    assert (process.peak_kib() - before) * 1024 <= len(payload) + 4 * 1024 * 1024


def test_local(local):
    ended = local("--handler-once", "/bin/cat", "--test_input", json.dumps({"input": 5}), handler="worker")
    assert ended.returncode == 0 and 'Job result: {"output": {"id": "local_test", "input": 5}}' in ended.stdout
