"""tests/CONTRACT.md, "Order of events": what goes out when, and on which connection."""

from actions import answer, hold
from own_handlers import Gate, own, steps
from testplatform import FAST_PING


def test_first_requests_wait_for_no_other(platform, worker):
    """Ping, job-take and job-stop are all held: each came without the answer to another."""
    platform.script("ping", hold())
    worker(platform)
    for route in ("ping", "take", "stop"):
        platform.wait_request(route)
    assert len({request.connection for request in platform.record}) == 3


def test_each_channel_keeps_its_own_connection(platform, worker):
    worker(platform, env=FAST_PING)
    for number in range(5):
        assert platform.run(number) == {"output": number}
    platform.stop_jobs("nobody")
    platform.wait_request("stop", 2)
    platform.wait_request("ping", 3)
    platform.wait_idle()
    used = {
        route: {request.connection for request in platform.requests(route)}
        for route in ("take", "stop", "ping", "done")
    }
    assert len(used.pop("done")) <= 3, "a result, the next one beside it, and one to spare"
    assert all(len(connections) == 1 for connections in used.values()), used
    assert not used["take"] & used["stop"] and not used["take"] & used["ping"] and not used["ping"] & used["stop"]


def test_next_job_beside_a_result_that_is_posted(platform, worker):
    """The next take does not wait for the post; until that is answered, its job is in progress."""
    held = hold()
    platform.script("done", held)
    worker(platform, env=FAST_PING)
    platform.give({"id": "slow-post", "input": 1})
    platform.wait_for(held.reached.is_set, "the result post")
    assert platform.wait_request("take", 2).param("job_in_progress") == "1"
    platform.give({"id": "next", "input": 2})
    assert platform.result("next") == {"output": 2}
    platform.wait_ping("slow-post")
    held.release(answer(200))
    platform.wait_ping()
    assert len(platform.finals("slow-post")) == 1


def test_in_progress_while_the_handler_runs(platform, worker, tmp_path):
    gate = Gate(tmp_path / "gate")
    worker(platform, handler=own("steps"), env={"RUNPOD_PING_INTERVAL": "200"})
    platform.wait_request("take")
    assert platform.requests("ping") == [] or platform.requests("ping")[0].param("job_id") is None
    platform.give({"id": "working", "input": steps(gate.step)})
    platform.wait_for(
        lambda: any(ping.param("job_id") == "working" for ping in platform.requests("ping")),
        "a ping that names the running job",
    )
    gate.open()
    platform.result("working")
    platform.wait_ping()
    platform.run(steps())
    platform.wait_ping()


def test_each_method_and_version(platform, worker):
    worker(platform)
    platform.run(1)
    methods = {"take": "GET", "stop": "GET", "ping": "GET", "done": "POST"}
    for request in platform.record:
        assert request.method == methods[request.route] and request.version == "HTTP/1.1"
        assert request.header("Connection") in (None, "keep-alive")
        if request.method == "GET":
            assert request.header("Content-Length") in (None, "0")


def test_user_agent_names_the_worker_and_its_version(platform, worker):
    process = worker(platform)
    agent = platform.wait_request("take").header("User-Agent")
    version = process.wait_log("Starting Serverless Worker").split("Version")[1].split()[0]
    assert version in agent and "slim-worker" in agent.lower()
