"""The long poll is given up after 90 s: too long to sit and watch, so conftest.py starts this worker beforehand."""

import pytest

from actions import answer


@pytest.mark.long_poll
def test_poll_is_given_up_and_asked_again(long_poll):
    """The platform held the first take and the first stop for ever; the worker has asked again, without an error."""
    platform, process = long_poll
    for route in ("take", "stop"):
        platform.wait_request(route, 2, timeout_s=150)
        assert platform.requests(route)[0].dropped and platform.requests(route)[0].answered is None
    assert not process.lines("ERROR")
    platform.script("take", answer(200, {"id": "late", "input": "still here"}))
    assert platform.result("late") == {"output": "still here"}
