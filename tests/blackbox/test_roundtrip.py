"""Whatever JSON goes in comes out, whatever the job is called: random values through the echo handler."""

import itertools
import json
import string

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from actions import answer

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(texts, inner, max_size=6),
    max_leaves=25,
)
spaces = st.text(" \t\r\n", max_size=3)
settled = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def expected(value):
    """What the contract makes of a handler's output."""
    if not isinstance(value, dict):
        return {"output": value}
    rest = dict(value)
    error, refresh = rest.pop("error", None), rest.pop("refresh_worker", None)
    result = {"output": rest} if rest else {}
    if error:
        result["error"] = error
    if refresh:
        result["stopPod"] = True
    return result


@pytest.fixture
def echo(platform, worker):
    worker(platform, env={"RUNPOD_LOG_LEVEL": "WARN"})
    return platform


def test_values(echo):
    numbers_of_jobs = itertools.count()  # an id that comes again before its result is settled is a duplicate

    @settled
    @given(values, st.booleans(), spaces)
    def check(value, ascii_only, space):
        job = {"id": f"v{next(numbers_of_jobs)}", "input": value}
        separators = (space + "," + space, space + ":" + space)
        text = json.dumps(job, ensure_ascii=ascii_only, separators=separators)
        echo.script("take", answer(200, text.encode(), jobs=[job]))
        result = echo.wait_final(job["id"]).json()
        assert result == expected(value) and repr(result) == repr(expected(value))

    check()


def test_ids(echo):
    names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)

    @settled
    @given(names | st.text(string.punctuation + string.whitespace, min_size=1, max_size=20))
    def check(job_id):
        assume(not echo.finals(job_id))
        echo.give({"id": job_id, "input": 1})
        assert echo.wait_final(job_id).json() == {"output": 1}
        assert not echo.complaints

    check()


def changed(value, changes):
    """The JSON text of a job with some of its bytes cut, changed or new."""
    text = bytearray(json.dumps({"input": {"v": value}}, ensure_ascii=False).encode())
    for place, how, byte in changes:
        place %= len(text)
        if how == "cut":
            del text[place]
        elif how == "change":
            text[place] = byte
        else:
            text.insert(place, byte)
        if not text:
            break
    return bytes(text)


def decoded(text):
    """The value, or None where this is no JSON in the sense of RFC 8259."""

    def refuse(name):
        raise ValueError(name)

    try:
        return json.loads(text.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def test_exactly_the_valid_documents_run(local, tmp_path):
    """Local runs are quick, so many: exit 0 where Python finds valid JSON with an input, 1 everywhere else."""
    places = st.tuples(
        st.integers(0, 10_000),
        st.sampled_from(["cut", "change", "insert"]),
        st.integers(0, 255) | st.sampled_from(list(b'"\\{}[],:0-.e')),
    )

    @settled
    @given(values, st.lists(places, max_size=3))
    def check(value, changes):
        text = changed(value, changes)
        job = decoded(text)
        (tmp_path / "test_input.json").write_bytes(text)
        done = local("--rp_log_level", "ERROR")
        runs = isinstance(job, dict) and job.get("input") is not None
        failed = runs and isinstance(job["input"], dict) and job["input"].get("error")
        assert done.returncode == (0 if runs and not failed else 1), (text, done.stdout)

    check()
