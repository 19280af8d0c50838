"""What the tests of starts share: a start that fails is told by one ping and by one job's error."""

import json


def told(platform, hook, *words):
    """The report of a start that failed: a ping, then one job-take for one job. Returns the ping."""
    routes = [request.route for request in platform.record if request.route != "done"]
    assert routes == ["ping", "take"], platform.story()
    ping, take = platform.requests("ping")[0], platform.requests("take")[0]
    assert [name for name, _ in ping.query] == ["status", "check", "reason", "runpod_version"]
    assert (ping.param("status"), ping.param("check")) == ("unhealthy", hook)
    assert 0 < len(ping.param("reason")) <= 256
    for word in words:
        assert word in ping.param("reason"), ping.param("reason")
    assert "/job-take/" in take.path and take.param("job_in_progress") == "0"
    return ping


def start_error(result):
    """The error object of a job that met a start that failed, in the form of the SDK's change 570."""
    assert set(result) == {"error"}, result
    error = json.loads(result["error"])
    members = ["event", "error_type", "error_message", "error_traceback", "worker_id", "runpod_version", "hook"]
    assert [name for name in error if name != "logs"] == members
    assert error["event"] == "prestart_failed"
    return error
