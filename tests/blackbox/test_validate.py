"""rp_validate as a user of an endpoint sees it: defaults, and every mistake in one answer."""

import json

import pytest

from own_handlers import own


@pytest.fixture
def paint(platform, worker):
    def start(*flags):
        worker(platform, *flags, handler=own("paint"))

        def run(given):
            result = platform.run(given)
            return result["output"] if "output" in result else json.loads(result["error"])["error_message"]

        return run

    return start


def test_defaults_and_values(paint):
    run = paint()
    assert run({"prompt": "a cat"}) == ["a cat", -1, 20, 7.5, "512x512", True, 0]
    given = {"prompt": "ein Kätzchen\n", "seed": 2**63 - 1, "steps": 150, "guidance": 0, "size": "1024x1024"}
    assert run({**given, "safe": False, "extra": {"a": 1, "b": [2]}}) == [
        "ein Kätzchen\n", 2**63 - 1, 150, 0, "1024x1024", False, 2,
    ]  # fmt: skip
    assert run({"prompt": "x", "seed": None, "steps": 20.0}) == ["x", -1, 20, 7.5, "512x512", True, 0]


def test_all_mistakes_at_once(paint):
    run = paint()
    message = run({"steps": 500, "guidance": "high", "size": "1x1", "safe": "yes", "extra": [], "colour": "red"})
    assert message == (
        "Invalid input: prompt is required; steps must be from 1 to 150, not 500; "
        'guidance must be a number, not "high"; size must be one of 512x512, 1024x1024, not "1x1"; '
        'safe must be true or false, not "yes"; extra must be an object, not []; colour is unknown'
    )
    assert run({"prompt": "the next job is none the worse"})[0] == "the next job is none the worse"


@pytest.mark.parametrize("given", [[], "text", 5, True])
def test_no_object(paint, given):
    assert paint()(given) == f"Invalid input: it must be an object, not {json.dumps(given)}"


def test_null(paint):
    assert paint()(None) == "Invalid input: prompt is required"


def test_unknown_members_where_they_may_be(paint):
    assert paint("+")({"prompt": "x", "colour": "red"})[0] == "x"


def test_hostile_names_and_values(paint):
    """They end up in a message: it stays UTF-8, short, and one line in the log."""
    run = paint()
    message = run({"prompt": "x" * 3000, "evil\nERROR | forged": 1, "ü" * 100: 1, **{f"n{i}": 1 for i in range(2000)}})
    assert message.startswith("Invalid input: prompt must have at most 2000 characters, not 3000; ")
    assert len(message.encode()) <= 4096 and message.endswith(" more")


def test_report_that_ends_where_its_room_does(paint):
    """Every place where the last name that fits can end. One byte too many was a stack overflow."""
    run = paint()
    for tail in range(1, 41):
        names = ["t" * tail, *(f"{number:040}" for number in range(80))]
        message = run({"prompt": "x", **dict.fromkeys(names, 1)})
        assert message.startswith(f"Invalid input: {'t' * tail} is unknown; ")
        assert len(message) <= 4096 and message.endswith(" more")
    assert run({"prompt": "the next job is none the worse"})[0] == "the next job is none the worse"
