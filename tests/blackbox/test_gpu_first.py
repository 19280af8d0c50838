"""Every function of rp_gpu.h as the first one that a process or a thread calls: an outcome, and never a crash."""

import json
import re

import pytest

from fakecuda import fake, fake_cuda
from own_handlers import own
from workerproc import ROOT, RUNNER

pytestmark = pytest.mark.skipif(bool(RUNNER), reason="the fake libcuda is built for this machine")

NEEDS_NO_DEVICE = {"rp_gpu_about", "rp_gpu_use_stream", "rp_gpu_error"}
IGNORES_NOTHING = {f"rp_gpu_{name}" for name in ("unload", "free", "host_free", "host_unregister", "event_free", "graph_free")}
OPENS_THE_DRIVER = {"rp_gpu_open", "rp_gpu_count", "rp_gpu_call", "rp_gpu_library"}


@pytest.fixture
def first(local):
    """first(name or None, **environment) -> the output of a process of its own."""

    def one(name, **env):
        done = local("--test_input", json.dumps({"input": {"call": name}}), handler=own("gpu_first"), env=env)
        assert done.returncode == 0, f"{name}: {done.stdout}"
        return json.loads(re.search("Job result: (.*)", done.stdout)[1])["output"]

    return one


def check(outcomes, good):
    """Exactly these have succeeded; the others say why they have not."""
    assert {name for name, outcome in outcomes.items() if outcome["ok"]} == good
    assert not [name for name, outcome in outcomes.items() if not outcome["ok"] and not outcome["why"]]


def test_all_functions_are_tried(first):
    header = (ROOT / "src/rp_gpu.h").read_text()
    declared = set(re.findall(r"^[a-z][\w ]*[ *](rp_gpu_\w+)\(", re.sub(r"/\*.*?\*/", "", header, flags=re.S), re.M))
    assert {row["name"] for row in first(None)} == declared
    assert len(declared) > 40


@pytest.mark.parametrize("path", ["/nowhere", "the fake driver"])
def test_with_nothing_open(first, path):
    """Neither a driver nor a device, on which a handler has given up or which it has forgotten to open."""
    env = {"RP_LIBCUDA": path if path == "/nowhere" else fake_cuda()}
    outcomes = {row["name"]: first(row["name"], **env) for row in first(None, **env) if not row["needs"]}
    check(outcomes, NEEDS_NO_DEVICE | IGNORES_NOTHING | (OPENS_THE_DRIVER if path != "/nowhere" else set()))
    assert outcomes["rp_gpu_result"]["why"] == "made up: unknown error (2): no driver that has a text for it is loaded"
    assert outcomes["rp_gpu_alloc"]["why"] == "the rp_gpu is NULL: rp_gpu_open has opened no device"


def test_on_a_thread_of_its_own(first):
    env = {**fake(), "FIRST_ON": "thread"}
    outcomes = {row["name"]: first(row["name"], **env) for row in first(None, **env)}
    check(outcomes, set(outcomes) - {"rp_gpu_result", "rp_gpu_timer_stop", "rp_gpu_capture_end"})
    assert outcomes["rp_gpu_result"]["why"] == "made up: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"
    assert "without rp_gpu_timer_start" in outcomes["rp_gpu_timer_stop"]["why"]
    assert "without rp_gpu_capture_begin" in outcomes["rp_gpu_capture_end"]["why"]
