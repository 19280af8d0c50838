"""GET /metrics on --metrics-port, in every mode, read by Prometheus's own parser."""

import http.client
import math
import re
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from children import do, program
from endpoint import Endpoint
from own_handlers import Gate, own, steps
from servers import free_port
from witness import PATIENCE_S


def scrape(port, path="/metrics"):
    """{(sample, label's value or None): number}, and the families by name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    connection.close()
    for family in families.values():
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        if family.type == "histogram":
            check_histogram(family)
    samples = [sample for family in families.values() for sample in family.samples]
    return {(sample.name, next(iter(sample.labels.values()), None)): sample.value for sample in samples}


def check_histogram(family):
    buckets = [sample for sample in family.samples if sample.name == f"{family.name}_bucket"]
    counts = [sample.value for sample in buckets]
    bounds = [float(sample.labels["le"]) for sample in buckets]
    assert bounds == sorted(bounds) and bounds[-1] == math.inf and counts == sorted(counts)
    assert [sample.value for sample in family.samples if sample.name == f"{family.name}_count"] == counts[-1:]


def port_of(process):
    line = process.wait_log(r"Serving metrics on http://localhost:\d+/metrics")
    return int(re.search(r"localhost:(\d+)/metrics", line)[1])


def finished(values):
    return {label: value for (name, label), value in values.items() if name == "worker_jobs_finished_total"}


def test_on_the_platform(platform, worker):
    process = worker(platform, "--metrics-port", "0", "--handler", program("actor.py"), handler="worker")
    port = port_of(process)
    platform.run(do(("output", 1)))
    platform.run(do(("say", {"error": "no"})))
    platform.run(do(("exit", 3)))
    values = scrape(port)
    assert finished(values) == {"COMPLETED": 1, "FAILED": 2, "CANCELLED": 0, "TIMED_OUT": 0}
    assert values["worker_handler_deaths_total", None] == 1
    assert values["worker_slots", None] == 1 and values["worker_ready", None] == 1
    assert values["worker_jobs_running", None] == values["worker_jobs_queued", None] == 0
    assert values["worker_job_queue_seconds_count", None] == values["worker_job_execution_seconds_count", None] == 3
    assert values["process_resident_memory_bytes", None] > 100000


def test_jobs_that_run_and_those_stopped(platform, worker, tmp_path):
    gate = Gate(tmp_path / "gate")
    process = worker(platform, "--metrics-port=0", "--concurrency=2", handler=own("steps"))
    port = port_of(process)
    job = platform.give(input=steps(gate.step, {"return": 1}))
    process.wait_log("at step 1")
    values = scrape(port)
    assert values["worker_jobs_running", None] == 1 and values["worker_slots", None] == 2
    assert finished(values) == {"COMPLETED": 0, "FAILED": 0, "CANCELLED": 0, "TIMED_OUT": 0}
    platform.stop_jobs(job)
    process.wait_log("Stop")
    gate.open()
    process.wait_log("Job stopped")
    assert finished(scrape(port))["CANCELLED"] == 1


def test_before_the_handler_is_ready(platform, worker, tmp_path):
    gate = Gate(tmp_path / "ready")
    script = tmp_path / "slow.sh"
    script.write_text(f"read x < {gate.path}\necho '{{\"ready\": true}}'\ncat > {tmp_path}/out\n")
    process = worker(
        platform, "--metrics-port=0", "--handler", f"/bin/sh {script}", "--handler-ready=line", handler="worker"
    )
    port = port_of(process)
    assert scrape(port)["worker_ready", None] == 0
    gate.open()
    process.wait_log(r"event\W+ready")
    assert scrape(port)["worker_ready", None] == 1


def test_realtime(worker):
    port = free_port()
    env = {"RUNPOD_REALTIME_PORT": str(port), "RUNPOD_ENDPOINT_ID": "ep-1", "RP_METRICS_PORT": "0"}
    process = worker(None, handler="mock", env=env)
    process.wait_log("Serving POST")
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    client.request("POST", "/ep-1/realtime", '{"input": {}}')
    assert client.getresponse().status == 200
    client.close()
    assert finished(scrape(port_of(process)))["COMPLETED"] == 1


def test_job_api_has_the_same_on_both_ports(worker):
    process = worker(None, "--rp_serve_api", "--rp_api_port=0", "--metrics-port=0", handler="mock")
    api = Endpoint(process)
    api.post("/runsync", {"input": {}})
    api.post("/runsync", {"input": {"mock_error": True}})
    here, there = scrape(api.port), scrape(port_of(process))
    for values in (here, there):
        values.pop(("process_resident_memory_bytes", None))
    assert here == there
    assert finished(here) == {"COMPLETED": 1, "FAILED": 1, "CANCELLED": 0, "TIMED_OUT": 0}
    assert ("worker_jobs_kept_bytes", None) in here and here["worker_ready", None] == 1


@pytest.mark.parametrize("method, path, status", [("GET", "/", 404), ("POST", "/metrics", 405), ("HEAD", "/metrics", 200)])
def test_nothing_else_is_there(platform, worker, method, path, status):
    port = port_of(worker(platform, "--metrics-port=0"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(method, path)
    answer = connection.getresponse()
    assert answer.status == status and (method != "HEAD" or answer.read() == b"")
    connection.close()


def test_off_by_default(platform, worker):
    process = worker(platform)
    process.wait_log(r"event\W+ready")
    assert "etrics" not in process.log


def test_port_in_use_is_an_error_that_names_the_flag(platform, worker):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = worker(platform, f"--metrics-port={port}", "--metrics-host=127.0.0.1")
        assert process.wait() == 1
    assert "--metrics-port" in process.log and f"127.0.0.1:{port}" in process.log
