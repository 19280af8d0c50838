"""HTTP handlers: from a job's input to a request, from the response to an output; readiness, time-outs, restarts."""

import base64
import json
import os
import re
import socket
import threading

import pytest

from actions import answer, close, hold, reset
from badserver import MODEL, BadServer, Gate, echo, events, plain, raw
from httphandler import ask, error_of, parts, serve, server, whole  # noqa: F401 (fixtures)
from servers import free_port, tool
from starts import told
from testplatform import server_context

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "héllo"}]
PICTURE = b"\x89PNG\r\n\x1a\n\0\xff" * 50


@pytest.fixture
def echoing(server, serve, platform):
    """A worker in front of a server that gives back each request."""
    for path in (CHAT, "/v1/completions", "/v1/embeddings", "/generate", "/", "/items/7", "/a%20b", "/a..b/c"):
        server.pages[path] = echo
    serve(platform, server)
    return server


# ---- from input to request ----


def test_openai_route(platform, echoing):
    """The route of the platform's OpenAI proxy, with a body."""
    got = ask(platform, openai_route=CHAT, openai_input={"model": "m", "messages": HELLO, "temperature": 0.5})
    assert (got["method"], got["target"]) == ("POST", CHAT)
    assert got["body"] == {"model": "m", "messages": HELLO, "temperature": 0.5}
    assert got["headers"]["content-type"].startswith("application/json")


def test_openai_input_without_a_route_is_a_chat(platform, echoing):
    assert ask(platform, openai_input={"model": "m", "messages": HELLO})["target"] == CHAT


def test_openai_route_alone_is_a_get(platform, echoing):
    assert ask(platform, openai_route="/v1/models")["data"][0]["id"] == MODEL
    assert echoing.of("/v1/models")[-1].method == "GET" and not echoing.of("/v1/models")[-1].body


@pytest.mark.parametrize(
    "input, method",
    [
        ({"route": "/items/7"}, "GET"),
        ({"route": "/items/7", "body": {"a": None}}, "POST"),
        ({"route": "/items/7", "body": ["x", 1.5], "method": "PUT"}, "PUT"),
        ({"route": "/items/7", "method": "DELETE"}, "DELETE"),
        ({"route": "/items/7?a=1&b=%20"}, "GET"),
        ({"route": "/a%20b"}, "GET"),
        ({"route": "/a..b/c"}, "GET"),
    ],
)
def test_route_body_method(platform, echoing, input, method):
    got = ask(platform, **input)
    assert (got["method"], got["target"], got["body"]) == (method, input["route"], input.get("body"))


@pytest.mark.parametrize(
    "what, route", [({"messages": HELLO}, CHAT), ({"prompt": "Once upon"}, "/v1/completions")], ids=["chat", "prompt"]
)
def test_shorthand(platform, echoing, what, route):
    got = ask(platform, **what, sampling_params={"max_tokens": 7, "stop": ["\n"]}, stream=False)
    assert (got["method"], got["target"]) == ("POST", route)
    body = got["body"]
    assert body.pop("model") == MODEL
    assert body.pop("stream", False) is False
    assert body == {**what, "max_tokens": 7, "stop": ["\n"]}


@pytest.mark.parametrize(
    "input",
    [{"text": "ž", "n": 1e3}, [1, 2], "just text", {"body": {"a": 1}}, None, {"route": "/x", "method": "GET"}, {"prompt": "x"}],
    ids=str,
)
def test_url_with_a_path(platform, server, serve, input):
    """Whatever members an input has: it is posted there."""
    server.pages["/generate"] = echo
    serve(platform, server.url + "/generate", shape=None)
    got = platform.run(input)["output"]
    assert (got["method"], got["target"], got["body"]) == ("POST", "/generate", input)
    assert not server.of("/x") and not server.of("/v1/completions")


@pytest.mark.parametrize("path", ["/", ""])
@pytest.mark.parametrize("input", [{"text": "ž"}, [1, 2], "just text", {"body": {"a": 1}}, None, {"openai_input": {}}], ids=str)
def test_input_without_a_form(platform, server, serve, path, input):
    """It fails, and the error names the forms, and what takes other inputs."""
    serve(platform, server.url + path)
    details = error_of(platform.run(input))
    assert details["code"] == 400
    assert all(word in details["message"] for word in ("openai_route", "route", "messages", "prompt", "--route", "http://host:port/path"))
    assert not server.of("/")


def test_input_without_a_form_for_a_server_in_trouble(platform, server, serve):
    """It cannot say what it speaks, so it is given the input: whoever has sent it may know."""
    server.pages |= {"/": echo, "/v1/models": plain(500, b"no")}
    serve(platform, server)
    assert platform.run({"text": "x"})["output"]["body"] == {"text": "x"}


def test_input_without_a_form_where_jobs_may_call_some_routes(platform, server, serve):
    """The forms are what its sender needs to know, also where the server is in trouble and nobody asked for its "/"."""
    server.pages["/v1/models"] = raw(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
    serve(platform, server, "--handler-routes", "POST /v1/chat/completions")
    details = error_of(platform.run({"text": "x"}))
    assert details["code"] == 400 and "none of the forms" in details["message"]
    assert not server.of("/")


@pytest.mark.parametrize("how", ["flags", "variable", "flags win"])
def test_map_of_routes(platform, server, serve, how):
    server.pages |= {path: echo for path in ("/rerank", "/embeddings", "/never", CHAT)}
    rules = ["query,docs=/rerank", "input=/embeddings"]
    flags = [word for rule in rules for word in ("--route", rule)] if how != "variable" else []
    env = {"variable": {"RP_ROUTE": " ".join(rules)}, "flags win": {"RP_ROUTE": "*=/never"}}.get(how, {})
    serve(platform, server, *flags, env=env, shape=None)
    for input, route in [
        ({"query": "q", "docs": ["a", "b"], "top": 1}, "/rerank"),
        ({"input": "x", "query": "q"}, "/embeddings"),
    ]:
        got = ask(platform, **input)
        assert (got["method"], got["target"], got["body"]) == ("POST", route, input)
    assert ask(platform, messages=HELLO)[0]["target"] == CHAT, "the forms come first"
    assert error_of(platform.run({"query": "q"}))["code"] == 400


def test_members_beside_are_passed_on(platform, echoing):
    got = ask(platform, prompt="x", n=1, best_of=2, sampling_params={"n": 3}, guided_json={"a": [None]}, stream=None)
    assert got["body"] == {"model": MODEL, "prompt": "x", "n": 3, "best_of": 2, "guided_json": {"a": [None]}, "stream": False}
    got = ask(platform, messages=HELLO, model="own", tools=[{"a": 1}])
    assert got["body"] == {"model": "own", "messages": HELLO, "tools": [{"a": 1}], "stream": False}


@pytest.mark.parametrize("empty", [None, {}, [], "", False, 0], ids=repr)
def test_empty_body_is_no_body(platform, echoing, empty):
    """The platform's own GET of the models arrives so."""
    for input in ({"openai_route": "/v1/models", "openai_input": empty}, {"route": "/v1/models", "body": empty}):
        assert ask(platform, **input)["data"][0]["id"] == MODEL
        assert echoing.of("/v1/models")[-1].method == "GET" and not echoing.of("/v1/models")[-1].body
    assert ask(platform, openai_route=None, openai_input=empty, prompt="x")["target"] == "/v1/completions"
    got = ask(platform, route="/items/7", body=empty, method="post")
    assert (got["method"], got["body"]) == ("POST", empty)


def test_forms_are_tried_in_order(platform, echoing):
    """openai_route before route before messages."""
    got = ask(platform, openai_route="/v1/embeddings", openai_input={"model": "m"}, route="/items/7", messages=HELLO)
    assert got["target"] == "/v1/embeddings" and got["body"] == {"model": "m"}
    assert ask(platform, route="/items/7", messages=HELLO)["target"] == "/items/7"


def test_prompt_that_is_left_out_is_told(platform, server, serve):
    server.pages[CHAT] = echo
    process = serve(platform, server)
    assert "prompt" not in ask(platform, messages=HELLO, prompt="x")["body"]
    assert ask(platform, messages=HELLO)
    process.wait_log("WARN.*The input has messages and a prompt: the prompt is left out")
    assert len(process.lines("the prompt is left out")) == 1


def test_job_id_is_the_request_id(platform, echoing):
    job = platform.give({"id": "job/7 ü", "input": {"messages": HELLO}})
    platform.result(job)
    seen = echoing.of(CHAT)[0]
    assert seen.header("X-Request-ID") and "job" in seen.header("X-Request-ID")
    platform.run({"messages": HELLO})
    assert echoing.of(CHAT)[1].header("X-Request-ID") == "job-1"


def test_the_key_stays_with_the_platform(platform, echoing):
    ask(platform, messages=HELLO)
    assert all(platform.key.encode() not in talk.head + talk.body for talk in echoing.requests)


@pytest.mark.parametrize(
    "route",
    [
        "http://other.test/x",
        "https://127.0.0.1/x",
        "//other.test/x",
        "/\\other.test/x",
        "v1/models",
        "",
        "/a/../../etc/passwd",
        "/..",
        "/a/..",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/a/..;/b",
        "/a/%2e%2e%3bx/b",
        "/a/%252e%252e/b",
        "/a\r\nX-Evil: 1",
        "/a\nb",
        "/a%0d%0aX-Evil:%201",
        "/a b",
        "/a\0b",
        "@other.test/",
        "*",
        7,
        None,
        ["/a"],
    ],
)
@pytest.mark.parametrize("member", ["route", "openai_route"])
def test_routes_that_are_refused(platform, server, serve, member, route):
    serve(platform, server)
    details = error_of(platform.run({member: route, "openai_input" if member == "openai_route" else "body": {}}))
    assert "route" in details["message"] and details["code"] == 400
    assert not [talk for talk in server.requests if talk.path not in ("/health", "/v1/models")]


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_routes_that_jobs_may_call(platform, server, serve, how):
    allowed = f"POST {CHAT}, GET|HEAD /files/*"
    server.pages |= {path: echo for path in (CHAT, "/files/a", "/metrics", "/v1/completions")}
    server.pages["/files/out"] = plain(307, headers=[("Location", "/metrics")])
    server.pages["/files/in"] = plain(307, headers=[("Location", "/files/a")])
    flags = ["--handler-routes", allowed] if how == "flag" else []
    serve(platform, server, *flags, env={"RP_HANDLER_ROUTES": allowed} if how != "flag" else {})
    assert ask(platform, messages=HELLO)["target"] == CHAT
    assert ask(platform, route="/files/a?b=1")["target"] == "/files/a?b=1"
    assert ask(platform, route="/files/in")["target"] == "/files/a"
    for refused in [
        {"prompt": "x"},
        {"route": "/metrics"},
        {"route": "/files/a", "method": "DELETE"},
        {"route": CHAT},
        {"openai_route": "/v1/models"},
        {"route": "/files%2f..%2fmetrics"},
        {"route": "/FILES/a"},
    ]:
        details = error_of(platform.run(refused))
        assert details["code"] == 403 or ".." in details["message"], details
    assert "--handler-routes" in error_of(platform.run({"route": "/files/out"}))["message"]
    assert not server.of("/metrics") and not server.of("/v1/completions")


@pytest.mark.parametrize("method", ["GET\r\nX: y", "", "GE T", 5, "CONNECT"])
def test_methods_that_are_refused(platform, server, serve, method):
    server.pages["/x"] = echo
    serve(platform, server)
    assert "method" in error_of(platform.run({"route": "/x", "method": method}))["message"]
    assert not server.of("/x")


# ---- the model's name ----


def test_model_is_asked_for_once(platform, echoing):
    names = [ask(platform, messages=HELLO)["body"]["model"] for _ in range(3)]
    names.append(ask(platform, openai_route="/v1/embeddings", openai_input={"input": "x"})["body"]["model"])
    assert names == [MODEL] * 4 and len(echoing.of("/v1/models")) == 1


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_served_model(platform, server, serve, how):
    server.pages[CHAT] = echo
    if how == "flag":
        serve(platform, server, "--served-model", 'my "model"')
    else:
        serve(platform, server, env={"RP_SERVED_MODEL": 'my "model"'})
    assert ask(platform, messages=HELLO)["body"]["model"] == 'my "model"'
    assert ask(platform, messages=HELLO, sampling_params={"model": "own"})["body"]["model"] == "own"
    assert not server.of("/v1/models")


def test_server_without_a_models_route(platform, server, serve):
    """The request goes out without a model."""
    server.pages |= {CHAT: echo, "/v1/models": plain(404)}
    serve(platform, server)
    assert "model" not in ask(platform, messages=HELLO)["body"]


@pytest.mark.parametrize(
    "said",
    ["{", "[]", "7", "{}", '{"data": {"id": "m"}}', '{"data": []}', '{"data": [5]}', '{"data": [{}]}', '{"data": [{"id": 7}]}'],
)
def test_server_that_names_no_model(platform, server, serve, said):
    server.pages |= {CHAT: echo, "/v1/models": plain(200, said.encode(), "application/json")}
    serve(platform, server)
    assert "model" not in ask(platform, messages=HELLO)["body"]


def test_request_is_not_sent_without_the_model_that_a_server_could_not_name(platform, server, serve):
    """It has broken off its answer: that is not a server without models."""
    server.pages |= {CHAT: echo, "/v1/models": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", then="close")}
    serve(platform, server)
    assert "connection closed after 1 of 9 bytes" in error_of(platform.run({"messages": HELLO}))["message"]
    assert not server.of(CHAT)


def test_model_of_a_server_in_trouble_is_asked_for_again(platform, server, serve):
    server.pages |= {CHAT: echo, "/v1/models": plain(503)}
    serve(platform, server)
    assert "model" not in ask(platform, messages=HELLO)["body"]
    server.pages["/v1/models"] = plain(200, json.dumps({"data": [{"id": MODEL}]}).encode(), "application/json")
    assert ask(platform, messages=HELLO)["body"]["model"] == MODEL


# ---- the shape of outputs ----

ANSWER = {"a": [1, None], "error": None}


@pytest.mark.parametrize("flags, env", [([], {}), (["--answer-shape", "list"], {}), ([], {"RP_ANSWER_SHAPE": "list"})], ids=str)
@pytest.mark.parametrize("input", [{"openai_route": "/x"}, {"messages": HELLO}, {"prompt": "x"}, {"route": "/x"}], ids=lambda i: next(iter(i)))
def test_list(platform, server, serve, input, flags, env):
    """As the published workers: one part, the list of it, isStream=true; for routes only where it is asked for."""
    for page in ("/x", CHAT, "/v1/completions"):
        server.pages[page] = lambda talk: talk.reply(200, ANSWER)
    serve(platform, server, *flags, env=env, shape=None)
    job = platform.give(input=input)
    result = platform.result(job)
    if "route" in input and not flags and not env:
        assert result == {"output": ANSWER} and not parts(platform, job)
        assert platform.finals(job)[0].param("isStream") == "false"
    else:
        assert result == {"output": [ANSWER]} and parts(platform, job) == [ANSWER]
        assert platform.finals(job)[0].param("isStream") == "true"


def test_list_of_a_stream(platform, server, serve):
    pieces = stream_of("1", "2", "[DONE]")
    server.pages[CHAT] = events(*pieces)
    serve(platform, server, shape=None)
    job = platform.give(input={"messages": HELLO, "stream": True})
    output = platform.result(job)["output"]
    assert isinstance(output, list) and "".join(output) == "".join(parts(platform, job)) == b"".join(pieces).decode()


@pytest.mark.parametrize("flags", [["--answer-shape", "list"], ["--stream", "--aggregate-stream"]], ids=str)
def test_null_is_a_part(platform, server, serve, flags):
    server.pages |= {"/x": plain(204, b"", None), "/y": plain(200, b"null", "application/json")}
    serve(platform, server, *flags, shape=None)
    for route in ("/x", "/y"):
        job = platform.give(input={"route": route})
        assert platform.result(job) == {"output": [None]} and parts(platform, job) == [None]


def test_failure_of_a_list(platform, server, serve):
    server.pages[CHAT] = lambda talk: talk.reply(400, {"error": {"message": "no", "type": "T", "param": "x", "code": 400}})
    serve(platform, server, shape=None)
    job = platform.give(input={"messages": HELLO})
    assert error_of(platform.result(job)) == {"message": "no", "type": "T", "param": "x", "code": 400}
    assert platform.finals(job)[0].param("isStream") == "true" and not parts(platform, job)


def test_null_error_of_an_answer_is_kept(platform, server, serve):
    server.pages["/x"] = lambda talk: talk.reply(200, ANSWER)
    serve(platform, server)
    assert platform.run({"route": "/x"}) == {"output": ANSWER}


@pytest.mark.parametrize("shape", ["plain", "list"])
def test_error_inside_a_200(platform, server, serve, shape):
    """In the shape of any other error."""
    inner = {"message": "inside", "type": "T", "param": None, "code": 503}
    server.pages |= {"/x": lambda talk: talk.reply(200, {"error": inner}), "/y": lambda talk: talk.reply(503, {"error": inner})}
    serve(platform, server, shape=shape)
    assert error_of(platform.run({"route": "/x"})) == error_of(platform.run({"route": "/y"})) == inner


# ---- from response to output ----


@pytest.mark.parametrize("value", [{"a": [1, "ž"]}, [1, 2], "text", 1.5, None, {}, []], ids=str)
def test_json(platform, server, serve, value):
    server.pages["/x"] = lambda talk: talk.reply(200, json.dumps(value).encode(), content_type="application/json")
    serve(platform, server)
    expected = {} if value == {} else {"output": value}  # an empty object is left out, as with every handler
    assert platform.run({"route": "/x"}) in (expected, {"output": value})


def test_json_numbers_are_not_touched(platform, server, serve):
    server.pages["/x"] = plain(200, b'{"n": 12345678901234567890.10, "m": 1e400}', "application/problem+json; charset=utf-8")
    serve(platform, server)
    job = platform.give(input={"route": "/x"})
    platform.result(job)
    assert b"12345678901234567890.10" in platform.finals(job)[0].body and b"1e400" in platform.finals(job)[0].body


@pytest.mark.parametrize("kind", ["text/plain", "text/html; charset=utf-8", "application/xml"])
def test_other_text_is_a_string(platform, server, serve, kind):
    server.pages["/x"] = plain(200, 'line "one"\nžluť 🦊\n'.encode(), kind)
    serve(platform, server)
    assert platform.run({"route": "/x"}) == {"output": 'line "one"\nžluť 🦊\n'}


@pytest.mark.parametrize("method, status, kind", [
    ("DELETE", 204, None),
    ("POST", 204, "application/json"),
    ("POST", 205, "application/json"),
    ("HEAD", 200, "application/json"),
    ("POST", 200, None),
    ("POST", 200, "application/octet-stream"),
])
def test_no_content(platform, server, serve, method, status, kind):
    server.pages["/x"] = plain(status, b"", kind)
    serve(platform, server)
    assert platform.run({"route": "/x", "method": method}) == {"output": None}


def test_empty_text(platform, server, serve):
    server.pages["/x"] = plain(200, b"", "text/plain")
    serve(platform, server)
    assert platform.run({"route": "/x"}) == {"output": ""}


def test_empty_bytes(platform, server, serve):
    server.pages["/x"] = plain(200, b"", "image/png")
    serve(platform, server, "--handler-binary")
    assert ask(platform, route="/x") == {"content_type": "image/png", "base64": ""}


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_bytes_where_they_are_allowed(platform, server, serve, how):
    server.pages["/x"] = plain(200, PICTURE, "image/png")
    serve(platform, server, *(["--handler-binary"] if how == "flag" else []), env={"RP_HANDLER_BINARY": "1"} if how != "flag" else {})
    output = ask(platform, route="/x")
    assert "image/png" in output.values()
    assert base64.b64encode(PICTURE).decode() in output.values()


def test_bytes_where_they_are_not(platform, server, serve):
    server.pages["/x"] = plain(200, PICTURE, "image/png")
    serve(platform, server)
    message = error_of(platform.run({"route": "/x"}))["message"]
    assert "--handler-binary" in message and "image/png" in message


# ---- errors of the server ----


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_error_of_an_openai_server(platform, server, serve, status):
    inner = {"message": "the model `x` does not exist", "type": "NotFoundError", "param": None, "code": status}
    server.pages[CHAT] = lambda talk: talk.reply(status, {"error": inner})
    serve(platform, server)
    details = error_of(platform.run({"messages": HELLO}))
    assert "the model `x` does not exist" in details["message"] and details["code"] == status
    assert isinstance(details["type"], str) and details["type"]
    assert len(server.of(CHAT)) == 1, "a request that was answered is not asked again"


@pytest.mark.parametrize("body", [b"", b"plain <b>words</b>", "žluť".encode(), b"\xff\xfe\0 bytes"], ids=repr)
def test_error_with_any_body(platform, server, serve, body):
    server.pages["/x"] = plain(502, body, "text/html")
    serve(platform, server)
    details = error_of(platform.run({"route": "/x"}))
    assert details["code"] == 502
    if body.isascii():
        assert body.decode() in details["message"]


def test_error_with_a_large_body(platform, server, serve):
    server.pages["/x"] = plain(500, b"The start matters. " + b"x" * 3_000_000)
    serve(platform, server)
    details = error_of(platform.run({"route": "/x"}))
    assert "The start matters. " in details["message"] and len(details["message"]) < 10_000
    assert "cut by the worker" in details["message"]


def test_error_names_the_request(platform, server, serve):
    serve(platform, server)
    details = error_of(platform.run({"openai_route": "/v1/unknown?key=secret", "openai_input": {"a": 1}}))
    assert details["message"] == "Not Found (POST /v1/unknown)" and details["code"] == 404


# ---- streams ----


def stream_of(*texts):
    return [f"data: {text}\n\n".encode() for text in texts]


def test_stream(platform, server, serve):
    pieces = stream_of('{"t": "ž"}', '{"t": "b"}', "[DONE]")
    server.pages[CHAT] = events(*pieces)
    serve(platform, server)
    job = platform.give(input={"messages": HELLO, "stream": True})
    assert platform.result(job) == {"output": []}
    assert server.of(CHAT)[0].json()["stream"] is True
    assert platform.finals(job)[0].param("isStream") == "true"
    assert "".join(parts(platform, job)).encode() == b"".join(pieces)


@pytest.mark.parametrize("page", [events(b"data: 1\n\n"), plain(200, b"data: 1\n\n", "text/event-stream")], ids=["chunks", "length"])
def test_stream_that_was_not_asked_for(platform, server, serve, page):
    """The response's type is enough."""
    server.pages["/x"] = page
    serve(platform, server)
    job = platform.give(input={"route": "/x"})
    assert platform.result(job) == {"output": []} and parts(platform, job) == ["data: 1\n\n"]


def test_stream_that_was_refused_is_an_error(platform, server, serve):
    server.pages[CHAT] = lambda talk: talk.reply(400, {"error": {"message": "too long", "type": "x", "code": 400}})
    serve(platform, server)
    job = platform.give(input={"messages": HELLO, "stream": True})
    assert "too long" in error_of(platform.result(job))["message"] and not parts(platform, job)


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_aggregate(platform, server, serve, how):
    pieces = stream_of("1", "2", "[DONE]")
    server.pages[CHAT] = events(*pieces)
    serve(
        platform,
        server,
        *(["--aggregate-stream"] if how == "flag" else []),
        env={"RP_AGGREGATE_STREAM": "1"} if how != "flag" else {},
    )
    assert whole(ask(platform, messages=HELLO, stream=True)).encode() == b"".join(pieces)


def test_first_part_goes_at_once(platform, server, serve):
    """The test sends the second event only once the first has arrived, however long the interval."""
    gate = Gate(*stream_of("1", "2", "3"))
    server.pages[CHAT] = gate
    serve(platform, server, "--stream-interval", "100")
    job = platform.give(input={"messages": HELLO, "stream": True})
    gate.next()
    platform.wait_for(lambda: parts(platform, job) == ["data: 1\n\n"], "the first part")
    gate.next()
    platform.wait_for(lambda: parts(platform, job)[1:] == ["data: 2\n\n"], "the second, though nothing follows it")
    gate.next(2)
    assert platform.result(job) == {"output": []}
    assert "".join(parts(platform, job)) == "data: 1\n\ndata: 2\n\ndata: 3\n\n"


def test_events_are_gathered(platform, server, serve):
    """1,000 events at once make far fewer posts, cut between events."""
    pieces = stream_of(*map(str, range(1000)))

    def page(talk):
        talk.start()
        talk.send(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces))
        talk.end()

    server.pages[CHAT] = page
    serve(platform, server)
    job = platform.give(input={"messages": HELLO, "stream": True})
    assert platform.result(job) == {"output": []}
    texts = parts(platform, job)
    assert "".join(texts).encode() == b"".join(pieces)
    assert len(texts) <= 20
    assert all(text.endswith("\n\n") for text in texts), "cut at the events' borders"


def test_event_that_ends_in_carriage_returns_does_not_wait_for_the_next(platform, server, serve):
    """A line feed may follow the last CR, but only within the interval."""
    gate = Gate(b"data: 1\r\r", b"data: 2\r\r", b"data: 3\r\n\r", b"\n")
    server.pages[CHAT] = gate
    serve(platform, server)
    job = platform.give(input={"messages": HELLO, "stream": True})
    for count in (1, 2, 3):
        gate.next()
        platform.wait_for(lambda count=count: len(parts(platform, job)) == count, f"event {count}")
    gate.next(2)
    assert platform.result(job) == {"output": []}
    assert "".join(parts(platform, job)) == "data: 1\r\rdata: 2\r\rdata: 3\r\n\r\n"


def test_what_waits_for_a_slow_platform_goes_out_as_one_part(platform, server, serve):
    """No queue of small parts: the stream catches up with the model the moment the platform answers."""
    pieces = stream_of(*map(str, range(40)))
    held = hold()
    platform.script("stream", held)

    def page(talk):
        talk.start()
        for piece in pieces:
            talk.chunk(piece)
            threading.Event().wait(0.01)  # longer than the interval: each goes out by itself, if it can
        talk.end()

    server.pages[CHAT] = page
    serve(platform, server, "--stream-interval", "1")
    job = platform.give(input={"messages": HELLO, "stream": True})
    platform.wait_for(held.reached.is_set, "the part that is held")
    server.witness.wait_for(lambda: server.wait(CHAT).done, "the end of the server's answer")
    held.release(answer(200))
    assert platform.result(job) == {"output": []}
    texts = parts(platform, job)
    assert "".join(texts).encode() == b"".join(pieces)
    assert len(texts) <= 6, texts  # one that was held, what waited behind it, the end


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_stream_interval(platform, server, serve, how):
    """Events further apart than the default's 50 ms: a long interval makes one part of all behind the first."""
    pieces, arrived = stream_of(*map(str, range(8))), threading.Event()

    def page(talk):
        talk.start()
        talk.chunk(pieces[0])
        assert arrived.wait(30)
        for piece in pieces[1:]:
            threading.Event().wait(0.1)  # the pace of the model; nothing is waited for
            talk.chunk(piece)
        talk.end()

    server.pages[CHAT] = page
    flags = ["--stream-interval", "10000"] if how == "flag" else []
    serve(platform, server, *flags, env={"RP_STREAM_INTERVAL": "10000"} if how != "flag" else {})
    job = platform.give(input={"messages": HELLO, "stream": True})
    platform.wait_for(lambda: parts(platform, job), "the first part")
    arrived.set()
    assert platform.result(job) == {"output": []}
    assert [text.encode() for text in parts(platform, job)] == [pieces[0], b"".join(pieces[1:])]


# ---- ends and time-outs ----


def test_stopped_job_closes_its_connection(platform, server, serve):
    gate = Gate(*stream_of(*"1234"))
    server.pages[CHAT] = lambda talk: (talk.start(), talk.chunk(b"data: 1\n\n"), talk.wait_gone())
    serve(platform, server)
    job = platform.give(input={"messages": HELLO, "stream": True})
    platform.wait_for(lambda: parts(platform, job), "the first part")
    platform.stop_jobs(job)
    server.wait_closed(server.of(CHAT)[0])
    server.pages[CHAT] = gate
    gate.next(5)
    assert platform.result(platform.give(input={"messages": HELLO, "stream": True})) == {"output": []}
    assert not platform.requests("done", job)


def test_stopped_job_before_the_answer(platform, server, serve):
    server.pages[CHAT] = lambda talk: talk.wait_gone()
    serve(platform, server)
    job = platform.give(input={"messages": HELLO})
    server.wait(CHAT)
    platform.stop_jobs(job)
    server.wait_closed(server.of(CHAT)[0])
    server.pages[CHAT] = echo
    ask(platform, messages=HELLO)
    assert not platform.requests("done", job)


def test_stopped_job_while_another_one_asks_for_the_model(platform, server, serve):
    server.pages |= {CHAT: echo, "/v1/models": lambda talk: talk.wait_gone()}
    process = serve(platform, server, "--concurrency", "2")
    asks = platform.give(input={"messages": HELLO})
    server.wait("/v1/models")
    waits = platform.give(input={"messages": HELLO})
    process.wait_log(f"{waits} .*Started")
    platform.stop_jobs(waits)
    process.wait_log(f"{waits} .*Job stopped")
    assert not platform.requests("done")
    platform.stop_jobs(asks)


STALLS = {
    "first-byte": (lambda talk: talk.wait_gone(), "--handler-first-byte-timeout"),
    "idle": (lambda talk: (talk.start(), talk.chunk(b"data: 1\n\n"), talk.wait_gone()), "--handler-idle-timeout"),
    "idle-in-a-body": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{", then="hang"),
        "--handler-idle-timeout",
    ),
    "total": (lambda talk: drip(talk), "--execution-timeout"),
}


def drip(talk):
    """Events without end, each well within the idle time-out."""
    talk.start()
    pause = threading.Event()
    while not pause.wait(0.05):
        talk.chunk(b"data: tick\n\n")


@pytest.mark.parametrize("name", STALLS)
@pytest.mark.parametrize("how", ["flag", "variable"])
def test_timeout(platform, server, serve, name, how):
    page, flag = STALLS[name]
    server.pages[CHAT] = page
    variable = "RP_" + flag.removeprefix("--").replace("-", "_").upper()
    flags, env = ([flag, "2"], {}) if how == "flag" else ([], {variable: "2"})  # the last job has to end in time
    serve(platform, server, *flags, env=env)
    job = platform.give(input={"messages": HELLO, "stream": True})
    result = platform.result(job)
    assert re.search(r"(?i)time|2 s\b|2000 ms", result["error"])
    if name != "total":
        assert flag in result["error"]
    server.wait_closed(server.of(CHAT)[0])
    server.pages[CHAT] = echo
    assert ask(platform, messages=HELLO)["target"] == CHAT


def test_connect_timeout(witness, platform, serve):
    """A server that accepts no more: a new connection gets no answer."""
    server = BadServer(witness, backlog=0)

    def last_health(talk):
        talk.reply(200, {}, [("Connection", "close")])
        talk.close()

    server.pages["/health"] = last_health
    fillers = []
    try:
        process = serve(platform, server, "--served-model", "m", "--handler-connect-timeout", "1")
        platform.wait_request("take")
        fillers = server.deafen()
        # Waited for less long than the default of 10 s: the flag is what ends it.
        message = error_of(platform.run({"messages": HELLO}, timeout_s=8))["message"]
        assert "connect" in message and "--handler-connect-timeout" in message
        assert process.process.poll() is None
    finally:
        for one in fillers:
            one.close()
        server.stop()


# ---- connections ----


def test_connections_are_kept(platform, server, serve):
    server.pages[CHAT] = echo
    serve(platform, server, "--concurrency", "1")
    for _ in range(5):
        ask(platform, messages=HELLO)
    assert len({talk.connection for talk in server.of(CHAT)}) == 1


def test_connection_closed_while_idle(platform, server, serve):
    """It is opened again; the client sees no failure."""
    server.pages[CHAT] = lambda talk: (echo(talk), talk.close())
    serve(platform, server)
    for _ in range(4):
        ask(platform, messages=HELLO)
    assert len({talk.connection for talk in server.of(CHAT)}) == 4 == len(server.of(CHAT))


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_jobs_at_the_same_time(platform, server, serve, how):
    """Four requests are open at once, each on a connection of its own, and then these are kept."""
    barrier = threading.Barrier(4)
    server.pages[CHAT] = lambda talk: (barrier.wait(30), echo(talk))
    flags = ["--concurrency", "4"] if how == "flag" else []
    serve(platform, server, *flags, env={"RP_CONCURRENCY": "4"} if how != "flag" else {})
    jobs = [platform.give(input={"messages": HELLO, "sampling_params": {"n": n}}) for n in range(8)]
    for n, job in enumerate(jobs):
        assert platform.result(job)["output"]["body"]["n"] == n
    assert len({talk.connection for talk in server.of(CHAT)}) == 4
    ids = sorted(talk.header("X-Request-ID") for talk in server.of(CHAT))
    assert ids == sorted(jobs)


# ---- how many at the same time ----


def most_at_once(platform, server, process):
    """How many of 10 jobs the server gets before it has answered one."""
    go = threading.Event()
    server.pages[CHAT] = lambda talk: (go.wait(60), echo(talk))
    jobs = [platform.give(input={"messages": HELLO}) for _ in range(10)]
    process.wait_log("Concurrency: ")
    wanted = int(re.search(r"Concurrency: (\d+)", process.log)[1])
    server.wait(CHAT, min(wanted, 10))
    most = len(server.of(CHAT))
    go.set()
    for job in jobs:
        platform.result(job)
    assert most <= wanted
    return wanted


@pytest.mark.parametrize(
    "flags, env, wanted, why",
    [
        ([], {}, 8, "OpenAI API .*--concurrency"),
        ([], {"MAX_CONCURRENCY": "3"}, 3, "MAX_CONCURRENCY"),
        ([], {"RUNPOD_MAX_CONCURRENCY": "4"}, 4, "MAX_CONCURRENCY"),
        ([], {"RUNPOD_MAX_CONCURRENCY": "4", "MAX_CONCURRENCY": "3"}, 3, "MAX_CONCURRENCY"),
        ([], {"RP_CONCURRENCY": "2", "MAX_CONCURRENCY": "3"}, 2, "--concurrency"),
        (["--served-model", "m"], {}, 8, "--served-model.*--concurrency"),
        (["--concurrency", "5"], {"RP_CONCURRENCY": "2", "MAX_CONCURRENCY": "3"}, 5, "--concurrency"),
    ],
    ids=str,
)
def test_concurrency(platform, server, serve, flags, env, wanted, why):
    process = serve(platform, server, *flags, env=env)
    assert most_at_once(platform, server, process) == wanted
    assert process.lines(f"Concurrency: {wanted}\\b.*{why}")


@pytest.mark.parametrize("page", [plain(404), plain(500), plain(200, b"{}", "application/json"), plain(200, b"up")], ids=["404", "500", "object", "text"])
def test_concurrency_of_a_server_of_another_kind(platform, server, serve, page):
    server.pages["/v1/models"] = page
    process = serve(platform, server)
    assert most_at_once(platform, server, process) == 1
    assert process.lines("Concurrency: 1, .*--concurrency")


POLL = ["--handler-concurrency-path", "/wanted?of=jobs", "--handler-concurrency-interval", "100"]


def polled(server, process, number, body):
    """The server says this from now on; returns once the worker goes by it."""
    server.pages["/wanted"] = lambda talk: talk.reply(200, body)
    process.wait_log(f"Concurrency: {number} \\(the server's /wanted")


@pytest.mark.parametrize("body", [lambda n: b" %d\n" % n, lambda n: {"a": 1, "concurrency": n}], ids=["number", "object"])
def test_server_sets_the_concurrency_while_it_runs(platform, server, serve, body):
    """Up and down again; the jobs that are at work when it goes down come to their end."""
    server.pages["/wanted"] = lambda talk: talk.reply(200, body(2))
    process = serve(platform, server, *POLL, "--concurrency", "1")
    process.wait_log("Concurrency: 2 ")
    assert server.of("/wanted")[0].method == "GET" and server.of("/wanted")[0].target == "/wanted?of=jobs"
    go = threading.Event()
    server.pages[CHAT] = lambda talk: (go.wait(60), echo(talk))
    jobs = [platform.give(input={"messages": HELLO}) for _ in range(6)]
    server.wait(CHAT, 2)
    polled(server, process, 4, body(4))
    server.wait(CHAT, 4)
    assert len(server.of(CHAT)) == 4
    polled(server, process, 1, body(1))
    process.wait_log(r"The concurrency is now 1\.")
    first, go_on = server.of(CHAT), threading.Event()
    server.pages[CHAT] = lambda talk: (go_on.wait(60), echo(talk))
    go.set()
    for talk in first:
        assert "output" in platform.result(talk.header("X-Request-ID"))
    server.wait(CHAT, 5)
    server.wait("/wanted", len(server.of("/wanted")) + 2)  # time for a sixth, if there were room for it
    assert len(server.of(CHAT)) == 5
    go_on.set()
    for job in jobs:
        assert "output" in platform.result(job)


@pytest.mark.parametrize(
    "page, says",
    [
        (plain(404), "status 404"),
        (plain(204), "status 204"),
        (plain(200, b"0"), '"0" is not a whole number from 1 to 1000'),
        (plain(200, b"1001"), '"1001" is not'),
        (plain(200, b"1e99"), '"1e99" is not'),
        (plain(200, b'"3"'), '""3"" is not'),
        (plain(200, b'{"concurrency": [3]}'), r'"\[3\]" is not'),
        (plain(200, b"many"), '"many" is not'),
        (plain(200, b"n" * 200), f'"{"n" * 80}" is not'),
        (plain(200, b""), '"" is not'),
        (plain(200, b"7" + b" " * 2000), "2001 bytes is over the limit of 1024"),
        (lambda talk: talk.reset(), "Connection reset by peer"),
    ],
    ids=["404", "204", "zero", "too-many", "huge", "text", "list", "no-json", "much", "empty", "long", "reset"],
)
def test_polls_that_fail_change_nothing_and_are_told_once(platform, server, serve, page, says):
    server.pages["/wanted"] = page
    process = serve(platform, server, *POLL, "--concurrency", "3")
    warning = rf"WARN .*stays at its initial value: /wanted\?of=jobs: .*{says}"
    process.wait_log(warning)
    server.wait("/wanted", 4)
    assert len(process.lines(warning)) == 1
    assert most_at_once(platform, server, process) == 3
    polled(server, process, 2, b"2")
    server.pages["/wanted"] = plain(503)
    process.wait_log(r"WARN .*stays as it was: /wanted\?of=jobs: status 503")


def test_polls_that_fail_are_told_again_after_a_success(platform, server, serve):
    """Those in a row once, although each quotes another body."""
    words = iter(range(1, 1_000_000))
    server.pages["/wanted"] = lambda talk: talk.reply(200, f'"{chr(97 + next(words) % 26)}"'.encode())
    process = serve(platform, server, *POLL)
    process.wait_log("WARN .*stays at its initial value")
    server.wait("/wanted", 5)
    assert len(process.lines("WARN .*stays at its initial value")) == 1
    polled(server, process, 2, b"2")
    server.pages["/wanted"] = plain(200, b"many")
    process.wait_log("WARN .*stays as it was")


def test_path_of_the_concurrency_that_cannot_be_used(local):
    for path in ("wanted", "//elsewhere/wanted", "/../wanted"):
        done = local("--handler-http", "http://127.0.0.1:9", "--handler-concurrency-path", path, handler="worker")
        assert done.returncode == 2 and "--handler-concurrency-path must be a path" in done.stdout
    done = local("--handler", "cat", "--handler-concurrency-path", "/wanted", handler="worker")
    assert done.returncode == 2 and "--handler-concurrency-path is a path on --handler-http's server" in done.stdout


def test_concurrency_that_cannot_be_used(local):
    for value in ("0", "many", "100000"):
        done = local("--handler-http", "http://127.0.0.1:9", handler="worker", env={"MAX_CONCURRENCY": value})
        assert done.returncode == 2 and "MAX_CONCURRENCY" in done.stdout


# ---- TLS ----


@pytest.fixture
def tls_server(witness, localhost_certificate):
    one = BadServer(witness, tls=server_context(*localhost_certificate))
    yield one
    one.stop()


def test_server_over_tls(platform, tls_server, serve, authority):
    tls_server.pages |= {CHAT: echo, "/x": events(b"data: 1\n\n")}
    serve(platform, tls_server, env={"SSL_CERT_FILE": str(authority.root_file)})
    assert ask(platform, messages=HELLO)["target"] == CHAT
    job = platform.give(input={"route": "/x"})
    assert platform.result(job) == {"output": []} and parts(platform, job) == ["data: 1\n\n"]


def test_server_over_tls_that_is_not_trusted(platform, tls_server, serve):
    process = serve(platform, tls_server, "--handler-ready-timeout", "3")
    assert process.wait() not in (0, 2)
    assert "certificate" in process.log and not tls_server.requests


# ---- unix sockets ----


def test_unix_socket(witness, platform, serve, tmp_path):
    server = BadServer(witness, path=tmp_path / "s.sock")
    server.pages |= {CHAT: echo, "/": echo}
    serve(platform, server, "--route", "*=/")
    try:
        assert ask(platform, messages=HELLO)["target"] == CHAT
        assert platform.run([1])["output"]["body"] == [1]
        assert not server.complaints
    finally:
        server.stop()


def test_unix_socket_that_is_not_there(platform, serve, tmp_path):
    platform.poll_s = 0
    process = serve(platform, f"http+unix:{tmp_path}/none.sock", "--handler-ready-timeout", "1")
    assert process.wait() != 0
    assert "none.sock" in process.log


# ---- readiness ----


@pytest.mark.parametrize("how", ["default", "flag", "variable"])
def test_no_job_before_the_server_is_ready(platform, server, serve, how):
    path = "/health" if how == "default" else "/up?x=1"
    ready = threading.Event()
    server.pages[path.partition("?")[0]] = lambda talk: talk.reply(200 if ready.is_set() else 503, b"loading")
    server.pages["/x"] = echo
    process = serve(
        platform,
        server,
        *(["--handler-ready", path] if how == "flag" else []),
        env={"RP_HANDLER_READY": path} if how == "variable" else {},
    )
    job = platform.give(input={"route": "/x"})
    server.wait(path.partition("?")[0], 4)
    assert not platform.requests("take") and not server.of("/x")
    ready.set()
    assert "output" in platform.result(job)
    assert all(talk.target == path and talk.method == "GET" for talk in server.of(path.partition("?")[0]))
    assert process.lines(r"(?i)ready.*\d+(\.\d+)? ?m?s\b|\d+(\.\d+)? ?m?s\b.*ready")


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_server_that_never_gets_ready(platform, server, serve, how):
    platform.poll_s = 0
    server.pages["/health"] = plain(503, b"still loading")
    flags = ["--handler-ready-timeout", "3"] if how == "flag" else []
    process = serve(platform, server, *flags, env={"RP_HANDLER_READY_TIMEOUT": "3"} if how != "flag" else {})
    assert process.wait() not in (0, 2)
    assert "503" in process.log and "--handler-ready-timeout" in process.log
    told(platform, "handler_http", "status 503")


@pytest.mark.parametrize("status, ready, is_ready", [
    (204, "/health", False),
    (299, "/health", True),
    (204, "/health 204", True),
    (503, "/health 200,503", True),
    (201, "/health 200,503", False),
])
def test_statuses_that_mean_ready(platform, server, serve, status, ready, is_ready):
    platform.poll_s = 25 if is_ready else 0
    server.pages["/health"] = plain(status)
    process = serve(platform, server, "--handler-ready", ready, "--handler-ready-timeout", "3")
    if is_ready:
        process.wait_log('"event": "ready"')
    else:
        assert process.wait() == 1 and f"status {status}" in process.log


@pytest.mark.parametrize("where", ["port", "unix"])
def test_connection_that_means_ready(platform, witness, serve, tmp_path, where):
    """--handler-ready tcp: no route is asked. Before the server is there no job is taken."""
    path = tmp_path / "s.sock" if where == "unix" else None
    with socket.socket() as taken:  # bound and not listening: until the server does, nobody else is given the port
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        url = f"http+unix:{path}" if path else f"http://127.0.0.1:{port}"
        process = serve(platform, url, "--handler-ready", "tcp", "--served-model", "m", "--concurrency", "1")
        process.wait_log("Starting")
        server = BadServer(witness, path=path, port=port)
    server.pages[CHAT] = echo
    try:
        assert ask(platform, messages=HELLO)["target"] == CHAT
        assert not server.of("/health") and not server.complaints
    finally:
        server.stop()


def test_long_wait_is_in_the_log(platform, server, serve):
    server.pages["/health"] = plain(503)
    process = serve(platform, server, "--handler-ready-timeout", "60")
    line = r"Waiting for the handler's server: /health: status 503 \(1\d s so far, 4\d s left\)\."
    process.wait_log(line, timeout_s=20)


def test_sigterm_while_waiting(platform, server, serve):
    server.pages["/health"] = plain(503)
    process = serve(platform, server)
    server.wait("/health", 2)
    process.terminate()
    assert process.wait() == 0
    assert not platform.requests("take")


# ---- flags that cannot be used, a run without a platform ----


@pytest.mark.parametrize(
    "url", ["127.0.0.1:80", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:99999", "http+unix:", "http+unix:relative", ""]
)
def test_urls_that_cannot_be_used(local, url):
    done = local("--handler-http", url, handler="worker")
    assert done.returncode == 2 and "--handler-http" in done.stdout


@pytest.mark.parametrize(
    "flag, value",
    [
        ("--handler-ready", "health"),
        ("--handler-ready", "http://x/"),
        ("--handler-ready-timeout", "soon"),
        ("--stream-interval", "-1"),
        ("--handler-idle-timeout", "-1"),
        ("--handler-ready", "/health 200,x"),
        ("--handler-ready", "/health 99"),
        ("--answer-shape", "array"),
        ("--route", "input"),
        ("--route", "input=//other.test/"),
        ("--handler-unhealthy-timeout", "0"),
        ("--handler-connect-timeout", "x"),
        ("--handler-first-byte-timeout", ""),
        ("--handler-routes", ""),
        ("--handler-routes", "FETCH /a"),
    ],
)
def test_values_that_cannot_be_used(local, flag, value):
    done = local("--handler-http", "http://127.0.0.1:9", flag, value, handler="worker")
    assert done.returncode == 2 and flag in done.stdout


def test_local_test(local, server):
    server.pages[CHAT] = echo
    job = {"input": {"messages": HELLO}}
    done = local("--handler-http", server.url, "--test_input", json.dumps(job), handler="worker")
    assert done.returncode == 0, done.stdout
    assert json.loads(re.search("Job result: (.*)", done.stdout)[1])["output"][0]["target"] == CHAT
    done = local("--handler-http", server.url, "--test_input", '{"input": {"route": "/none"}}', handler="worker")
    assert done.returncode == 1 and "404" in done.stdout
    local("--handler-http", server.url, *POLL, "--test_input", json.dumps(job), handler="worker")
    assert not server.of("/wanted"), "one job takes one slot"


# ---- servers that others wrote ----

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    types {{ text/plain txt; image/png png; application/json json; }}
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{ listen {listen}; root {folder}/files; location = /health {{ return 204; }} }}
}}
"""


@pytest.mark.parametrize("where", ["port", "unix"])
def test_nginx_serves_files(platform, worker, tmp_path, where):
    """nginx, started by the worker, as a handler for files."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "hello.txt").write_text("hello, ž\n")
    (files / "data.json").write_text('{"a": [1]}')
    (files / "picture.png").write_bytes(PICTURE)
    (files / "large.txt").write_text("0123456789abcde\n" * 100_000)
    port = free_port()
    listen, url = f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"
    if where == "unix":
        listen, url = f"unix:{tmp_path}/nginx.sock", f"http+unix:{tmp_path}/nginx.sock"
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, listen=listen, user=user))
    command = f"{tool('nginx', 'nginx-light')} -p {tmp_path} -c {tmp_path}/nginx.conf -e stderr"
    process = worker(platform, "--handler", command, "--handler-http", url, "--handler-binary", "--handler-ready", "/health 204", handler="worker")
    assert ask(platform, route="/hello.txt") == "hello, ž\n"
    assert ask(platform, route="/data.json") == {"a": [1]}
    assert base64.b64encode(PICTURE).decode() in ask(platform, route="/picture.png").values()
    assert ask(platform, route="/large.txt") == "0123456789abcde\n" * 100_000
    assert error_of(platform.run({"route": "/none.txt"}))["code"] == 404
    assert error_of(platform.run({"route": "/hello.txt", "body": {"a": 1}}))["code"] == 405
    process.terminate()
    assert process.wait() == 0  # nginx's own children go with it: a killed worker could not see to that


SCRIPT = """#!/bin/sh
body=$(head -c "${CONTENT_LENGTH:-0}")
printf 'Content-Type: application/json\\r\\n\\r\\n'
printf '{"method": "%s", "query": "%s", "body": %s}' "$REQUEST_METHOD" "$QUERY_STRING" "${body:-null}"
"""
LINES = """#!/bin/sh
printf 'Content-Type: application/x-ndjson\\r\\n\\r\\n'
for n in 1 2 3; do printf '{"n": %s}\\n' $n; done
"""


def test_shell_script_behind_busybox(platform, worker, tmp_path):
    """A shell script as a handler, by way of CGI: HTTP/1.0 manners, a connection for each request."""
    scripts = tmp_path / "cgi-bin"
    scripts.mkdir()
    for name, text in {"job": SCRIPT, "lines": LINES}.items():
        (scripts / name).write_text(text)
        (scripts / name).chmod(0o755)
    (tmp_path / "up.txt").write_text("up")
    port = free_port()
    command = f"{tool('busybox', 'busybox-static')} httpd -f -p 127.0.0.1:{port} -h {tmp_path}"
    worker(
        platform,
        "--handler",
        command,
        "--handler-http",
        f"http://127.0.0.1:{port}",
        "--route",
        "text=/cgi-bin/job",
        "--handler-ready",
        "/up.txt",
        handler="worker",
        env={"PATH": "/usr/bin:/bin"},
    )
    assert platform.run({"text": "ž"})["output"] == {"method": "POST", "query": "", "body": {"text": "ž"}}
    assert ask(platform, route="/cgi-bin/job?a=1")["query"] == "a=1"
    assert ask(platform, route="/up.txt") == "up"
    job = platform.give(input={"route": "/cgi-bin/lines"})
    assert platform.result(job) == {"output": []}
    assert "".join(parts(platform, job)) == '{"n": 1}\n{"n": 2}\n{"n": 3}\n'
    assert error_of(platform.run({"route": "/cgi-bin/none"}))["code"] == 404


# ---- faults on both sides ----


@pytest.mark.parametrize("concurrency", [1, 4])
def test_faults_on_both_sides(platform, server, serve, concurrency):
    """A third of the server's and of the platform's responses are broken: each job still ends exactly once."""
    lock, count = threading.Lock(), [0]

    def page(talk):
        with lock:
            count[0] += 1
            turn = count[0] % 6
        if turn == 3:
            return raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", then="close")(talk)
        if turn == 5:
            return talk.reset()
        return echo(talk)

    server.pages[CHAT] = page
    for route in ("done", "take"):
        platform.script(route, answer(503), close(), reset(), answer(500), reset(), answer(502))
    serve(platform, server, "--concurrency", str(concurrency))
    jobs = [platform.give(input={"messages": HELLO, "sampling_params": {"n": n}}) for n in range(24)]
    results = [platform.result(job) for job in jobs]
    good = [n for n, result in enumerate(results) if "output" in result]
    assert all(results[n]["output"]["body"]["n"] == n for n in good)
    for n in set(range(24)) - set(good):
        error_of(results[n])
    assert 8 <= len(good) < 24
