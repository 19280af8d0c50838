"""tests/verdict.py, on the report of a real run: only what was late, and nothing but late, is run again."""

import subprocess
import sys

import pytest

from workerproc import ROOT

TESTS = '''
import os

import pytest

AGAIN = os.environ.get("AGAIN")


def test_right():
    pass


@pytest.mark.skip(reason="not here")
def test_left_out():
    pass


@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("name", ["a@b", "plain"])
def test_late(name):
    assert AGAIN, "waited in vain for: " + name


def test_late_twice():
    assert False, "waited in vain for: ever"


def test_wrong():
    assert AGAIN, "the wrong answer"


def test_wrong_and_says_what_waited():
    assert AGAIN, "the wrong answer\\nTimeoutError: waited in vain for: it, says a program"


def test_late_with_a_report(record):
    assert AGAIN, "waited in vain for: a result\\nERROR: AddressSanitizer: heap-use-after-free"


@pytest.fixture
def record():
    yield


@pytest.fixture
def leftovers():
    yield
    assert AGAIN, "left behind: a file"


def test_late_that_leaves_something(leftovers):
    assert AGAIN, "waited in vain for: a result"
'''
LATE = ["test_late[a@b]", "test_late[plain]", "test_late_twice"]

pytestmark = pytest.mark.shipped


def run(folder, report, *args, env=None):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *args]
    subprocess.run(command, cwd=folder, env={"PATH": "/usr/bin:/bin", **(env or {})}, capture_output=True, check=False)


def verdict(*args):
    done = subprocess.run([sys.executable, ROOT / "tests/verdict.py", *args], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_only_the_late_are_forgiven(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text(TESTS)
    first, second = tmp_path / "first.xml", tmp_path / "second.xml"
    run(tmp_path, first, "-n", "2", "--dist", "loadgroup", "tests")
    late = verdict("late", first)
    assert sorted(late) == [f"tests/test_it.py::{name}" for name in LATE]
    assert verdict("counts", first) == ["1 8 1"]  # one of them fails twice: in the test, and after it
    run(tmp_path, second, *late, env={"AGAIN": "1"})
    assert verdict("counts", first, second) == ["3 6 1"]
    assert sorted(line.partition(": ")[0].partition("::")[2] for line in verdict("failed", first, second)) == [
        "test_late_that_leaves_something", "test_late_twice", "test_late_with_a_report", "test_wrong",
        "test_wrong_and_says_what_waited",
    ]


def test_many_that_are_late_are_no_chance(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(13))\ndef test_late(n):\n    assert 0, 'waited in vain for: it'\n"
    )
    run(tmp_path, tmp_path / "report.xml", "test_it.py")
    assert verdict("late", tmp_path / "report.xml") == []  # not even an empty line


def test_what_is_wrong_is_not_run_again(tmp_path):
    (tmp_path / "test_it.py").write_text("def test_wrong():\n    assert 0, 'the wrong answer'\n")
    run(tmp_path, tmp_path / "report.xml", "test_it.py")
    assert verdict("late", tmp_path / "report.xml") == []  # nor is an empty line: pytest would run everything
