"""docker/hub: the files that a user copies fit RunPod's publishing guide, the image, and what the worker answers."""

import json
import re
import sys
from pathlib import Path

import pytest

from workerproc import ROOT

HUB = json.loads((ROOT / "docker/hub/hub.json").read_text())
TESTS = json.loads((ROOT / "docker/hub/tests.json").read_text())
DOCKERFILE = (ROOT / "docker/vllm.Dockerfile").read_text()
INPUTS = {"string": str, "huggingface": str, "number": int, "boolean": bool}


def test_the_listing_has_what_the_guide_asks_for():
    assert {"title", "description", "type", "category", "config"} <= set(HUB)
    assert HUB["type"] == "serverless" and HUB["category"] in ("audio", "embedding", "language", "video", "image")
    config = HUB["config"]
    assert config["runsOn"] == "GPU" and isinstance(config["containerDiskInGb"], int)
    assert isinstance(config["gpuCount"], int) and config["gpuIds"]
    for setting in config["env"]:
        given = setting["input"]
        assert {"name", "type", "description", "default"} <= set(given), setting
        assert isinstance(given["default"], INPUTS[given["type"]]), setting
        assert given["type"] != "number" or given["min"] <= given["default"] <= given["max"]


def test_the_image_reads_every_variable_that_is_asked_for():
    read = set(re.findall(r"\b([A-Z_]+)=", DOCKERFILE)) | {"HF_TOKEN"}  # the last by vLLM itself
    assert {setting["key"] for setting in HUB["config"]["env"]} <= read
    for preset in HUB["config"]["presets"]:
        assert set(preset["defaults"]) <= read
    assert {setting["key"] for setting in TESTS["config"]["env"]} <= read


def test_the_tests_have_what_the_guide_asks_for():
    assert TESTS["config"]["gpuTypeId"] and isinstance(TESTS["config"]["gpuCount"], int)
    for test in TESTS["tests"]:
        assert test["name"] and isinstance(test["input"], dict) and isinstance(test["timeout"], int)


@pytest.fixture(scope="module")
def port():
    sys.path.insert(0, str(Path(__file__).with_name("workervllm")))
    import fakevllm

    server = fakevllm.serve()
    yield server.server_address[1]
    server.shutdown()


@pytest.mark.parametrize("test", TESTS["tests"], ids=lambda test: test["name"])
def test_each_test_completes(platform, worker, port, test):
    """On the stand-in for vLLM's server."""
    worker(platform, "--handler-http", f"http://127.0.0.1:{port}", handler="worker")
    result = platform.run(test["input"])
    assert set(result) == {"output"} and len(result["output"]) == 1, result
