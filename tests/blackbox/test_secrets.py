"""tests/CONTRACT.md, "Security": where the API key must never be seen. (That it is in no log is checked after every test.)"""

import re
from pathlib import Path

import pytest

from actions import answer, redirect
from testplatform import API_KEY, server_context

TRACE = {"RUNPOD_LOG_LEVEL": "TRACE"}


def test_key_is_sent_as_it_is(platform, worker):
    worker(platform)
    platform.run(1)
    assert {request.header("Authorization") for request in platform.record} == {API_KEY}


@pytest.mark.parametrize("handler", ["echo", "mock"])
def test_key_is_in_no_log_at_any_level(platform, worker, handler):
    process = worker(platform, handler=handler, env=TRACE)
    platform.script("take", answer(500), answer(401))
    platform.script("done", answer(503), answer(400))
    platform.give({"id": "x", "input": {"a": 1}})
    platform.wait_final("x", 3)
    assert len(process.lines()) > 3  # and conftest.py looks for the key


def test_platform_that_echoes_the_key_does_not_get_it_logged(platform, worker):
    """In the reason, a header and the body of an error: gateways do such things in their debug mode."""
    process = worker(platform, env=TRACE)
    leaky = answer(
        401,
        f"your header: {API_KEY}".encode(),
        reason=f"bad {API_KEY}",
        content_type="text/plain",
        headers=[("X-Debug", API_KEY), ("WWW-Authenticate", f"realm={API_KEY}")],
    )
    platform.script(
        "take",
        leaky,
        answer(200, b'{"id": 5, "' + API_KEY.encode()),
        answer(200, b"{}", content_type=API_KEY),
        redirect(f"http://127.0.0.1:1/?k={API_KEY}"),
    )
    platform.script("done", leaky, leaky)
    platform.give({"id": "x", "input": 1})
    platform.wait_final("x", 2)
    process.wait_log("401")


def test_key_in_the_urls_query_is_not_logged(platform, worker):
    """Some templates carry a token in their query."""
    take = f"{platform.base}/v2/e/job-take/$ID?gpu=x&token={API_KEY}"
    process = worker(platform, env={**TRACE, "RUNPOD_WEBHOOK_GET_JOB": take})
    platform.script("take", answer(500))
    platform.run(1)
    platform.refuse()
    process.wait_log("(?i)refused|closed|reset")


def test_key_is_not_on_the_command_line(platform, worker):
    process = worker(platform)
    platform.wait_request("take")
    assert API_KEY.encode() not in process.command_line()
    assert API_KEY not in Path(f"/proc/{process.pid}/comm").read_text()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("route", ["take", "stop", "ping", "done"])
def test_redirect_to_another_host_is_refused(platform, make_platform, worker, route, status):
    """Same address, but another port and another name: another server. Not one byte goes there."""
    thief = make_platform(name="localhost")
    process = worker(platform)
    platform.script(route, redirect(f"{thief.base}/v2/stolen", status))
    platform.give({"id": "x", "input": 1})
    platform.wait_final("x")
    assert platform.run("fine") == {"output": "fine"}
    assert not thief.connections
    if route in ("take", "done"):
        process.wait_log(f"(?i)redirect|{status}")


@pytest.mark.parametrize(
    "form",
    [
        "//localhost:{port}/x",
        "http://127.0.0.1:{own}@localhost:{port}/x",
        "http://127.0.0.1:{own}.localhost:{port}/x",
        "http:\\\\localhost:{port}\\x",
        "/\\localhost:{port}/x",
        "http://localhost:{port}#@127.0.0.1:{own}/x",
        "http://127.0.0.1:{port}/x",
        "  //localhost:{port}/x",
        "https://127.0.0.1:{own}/x",
    ],
)
def test_tricky_redirects(platform, make_platform, worker, form):
    thief = make_platform(name="localhost")
    worker(platform)
    platform.always("other", answer(200, {"id": "evil", "input": 1}))
    platform.script("take", redirect(form.format(port=thief.port, own=platform.port)))
    assert platform.run("fine") == {"output": "fine"}
    assert not thief.connections


def test_no_downgrade_to_plain_http(tls_platform, make_platform, worker):
    """A redirect from https to http on the same host would show the key to everybody on the way."""
    plain = make_platform(name="localhost")
    worker(tls_platform)
    tls_platform.script("take", redirect(f"{plain.base}/v2/x"))
    assert tls_platform.run("fine") == {"output": "fine"}
    assert not plain.connections


def test_key_goes_to_no_server_with_a_bad_certificate(platform, make_platform, authority, worker):
    stranger = make_platform(tls=server_context(*authority.self_signed("localhost", tag="stranger")), name="localhost")
    process = worker(
        platform,
        env={
            "RUNPOD_WEBHOOK_POST_OUTPUT": stranger.env()["RUNPOD_WEBHOOK_POST_OUTPUT"],
            "SSL_CERT_FILE": str(authority.root_file),
        },
    )
    platform.give({"id": "x", "input": 1})
    process.wait_log("(?i)unknown|self-signed|authority|trust")
    assert not stranger.record


def test_environment_of_a_job_shows_no_key(platform, worker):
    """Neither result nor error text carries it."""
    worker(platform, handler="mock", env=TRACE)
    platform.run({"mock_error": True})
    assert not any(API_KEY.encode() in post.body for post in platform.requests("done"))
    assert not any(re.search(re.escape(API_KEY), request.target) for request in platform.record)
