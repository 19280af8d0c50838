"""--rp_debugger: checkpoints with durations and facts of the system in results that are objects."""

import re

import pytest

from own_handlers import own, steps


@pytest.fixture
def start(platform, worker):
    return lambda *flags: worker(platform, "--rp_debugger", *flags, handler=own("steps"))


def test_checkpoints_and_system(platform, start):
    start()
    result = platform.run(steps(
        {"begin": "load"}, {"await_stop": 30}, {"end": "load"}, {"begin": "never ended"}, {"return": {"mine": [1]}}))
    output = result["output"]
    assert output.pop("mine") == [1] and list(output) == ["rp_debugger"]
    debugger = output["rp_debugger"]
    assert set(debugger) == {"system_info", "timestamps", "ready_delay_ms"} and debugger["ready_delay_ms"] >= 0
    assert debugger["system_info"]["os"].startswith("Linux ") and debugger["system_info"]["runpod"]
    found = {stamp["name"]: stamp for stamp in debugger["timestamps"]}
    assert set(found) == {"handler", "load"}
    # A deadline is a whole millisecond of the clock, so that a wait may be almost one shorter than it says.
    assert 29 <= found["load"]["duration_ms"] <= found["handler"]["duration_ms"]
    for stamp in found.values():
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp[name]) for name in ("start_utc", "stop_utc"))
        assert stamp["start_utc"] <= stamp["stop_utc"]


def test_each_job_has_its_own(platform, start):
    start()
    platform.run(steps({"begin": "first"}, {"end": "first"}, {"return": {}}))
    debugger = platform.run(steps({"return": {}}))["output"]["rp_debugger"]
    assert [stamp["name"] for stamp in debugger["timestamps"]] == ["handler"]


@pytest.mark.parametrize("value", [None, 1, "text", [], [{}]], ids=repr)
def test_other_outputs_have_no_place_for_it(platform, start, value):
    start()
    assert platform.run(steps({"return": value})) == {"output": value}


def test_not_without_the_flag(platform, worker):
    worker(platform, handler=own("steps"))
    assert platform.run(steps({"begin": "x"}, {"end": "x"}, {"return": {"a": 1}})) == {"output": {"a": 1}}


def test_many_and_long_names(platform, start):
    start()
    many = [step for n in range(100) for step in ({"begin": f"{n} " + "x" * 150}, {"end": f"{n} " + "x" * 150})]
    debugger = platform.run(steps(*many, {"return": {"a": 1}}))["output"]["rp_debugger"]
    assert len(debugger["timestamps"]) == 64 and max(len(stamp["name"]) for stamp in debugger["timestamps"]) == 63
