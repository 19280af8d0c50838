"""What the table of ./build.sh bench says of a figure: never "pass" of something that was not measured."""

import importlib.util

import pytest

from workerproc import ROOT

ASKED = {"a ratio": {"min_ratio": 2}, "both": {"limit": 10, "min_ratio": 2}, "a difference": {"more_than_other": 5}}


def load_table():
    spec = importlib.util.spec_from_file_location("bench_table", ROOT / "tests" / "bench" / "table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


table = load_table()


def row(asked, ours=(), sdk=()):
    made = table.Row("figure", "ms", **asked)
    made.samples = {"ours": list(ours), "sdk": list(sdk)}
    return made


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_what_was_measured_on_one_side_alone_passes_nothing(asked):
    assert row(asked, ours=[3]).verdict() == "not measured"
    assert row(asked, sdk=[3]).verdict() == "not measured"
    assert row(asked).verdict() == "not measured"


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_another_side_that_failed_passes_nothing(asked):
    half = row(asked, ours=[3], sdk=[9])
    half.errors["sdk"] = "it ended"
    assert half.verdict() == "not measured"


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_what_was_measured_passes_or_misses(asked):
    assert row(asked, ours=[3], sdk=[9]).verdict() == "pass"
    assert row(asked, ours=[9.5], sdk=[3]).verdict() == "MISS"


def test_a_limit_that_is_missed_is_missed_without_the_other_side():
    assert row(ASKED["both"], ours=[11]).verdict() == "MISS"


def test_ours_that_failed_is_a_miss():
    failed = row(ASKED["both"], ours=[3], sdk=[9])
    failed.errors["ours"] = "it ended"
    assert failed.verdict() == "MISS"


def test_a_measurement_that_is_cut_short_fails_what_it_had_not_come_to():
    measured, half, none = row(ASKED["both"], [3], [9]), row(ASKED["a ratio"], [3]), row({"limit": 5})
    for each in (measured, half, none):
        each.fail_unmeasured("it ended")
    assert [each.verdict() for each in (measured, half, none)] == ["pass", "not measured", "MISS"]
    assert "it ended" in table.render([half]) and "it ended" not in table.render([measured])
