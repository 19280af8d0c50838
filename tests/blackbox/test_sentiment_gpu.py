"""src/handlers/sentiment on a GPU: its kernels in the interpreter of the fake driver (tests/gpu/ptx.h), its start and its errors."""

import json
import math
import re
import shutil

import pytest

import modelkit
from fakecuda import fake
from modelkit import Model, configuration, seeded
from test_gpu import REAL
from test_sentiment import HOW, TEXTS, TINY, TOLERANCE, ask, check_numbers, far, start
from workerproc import BUILD, ROOT

pytestmark = [
    pytest.mark.skipif(not modelkit.HAVE, reason=modelkit.MISSING),
    pytest.mark.skipif(ROOT / "build" != BUILD, reason="the fake driver is for the shipped binary"),
    pytest.mark.timeout(300),  # an interpreter is no GPU
]

HALF, SINGLE = {}, {"CAPABILITY": 75}  # as the fake driver has it: sm_90, and one whose tensor cores lack what we use
SIZES = {
    "least": (8, 1, 1, 8, 30522), "one head": (64, 1, 3, 300, 30522), "heads of one": (48, 48, 1, 1, 30522),
    "more than a piece": (40, 5, 1, 30000, 30522),  # of the copy to the device: it ends in the middle of a row
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gpu-models")


@pytest.fixture(scope="session")
def tiny(folder):
    config = configuration(*TINY, 100)
    return Model(folder / "tiny", config, seeded(config, 2), residue=2)


def on_gpu(worker, platform, model, *args, **device):
    return start(worker, platform, model, "--device", "cuda", *args, env=fake(**device))


def rms(numbers):
    return math.sqrt(sum(x * x for x in numbers) / len(numbers))


def check_half(model, outputs):
    """Not more than twice the error of the same network in torch's half precision, and the same label where that is no accident."""
    ours, theirs = [], []
    for output in outputs:
        assert (output["debug"]["device"], output["debug"]["precision"]) == ("cuda", "half")
        got, tokens = output["debug"]["logits"], output["debug"]["tokens"]
        wanted = modelkit.logits(model, tokens)
        ours += [a - b for a, b in zip(got, wanted, strict=True)]
        theirs += list(modelkit.logits(model, tokens, half=True) - wanted)
        best, second = sorted(wanted, reverse=True)[:2]
        if best - second > 0.1:
            assert output["sentiment"] == model.config["id2label"][str(list(wanted).index(best))].lower()
    assert rms(ours) <= 2 * rms(theirs)
    assert max(map(abs, ours)) <= 0.03


# ---- numbers ----


@pytest.mark.parametrize("name", HOW)
def test_tiny_model(worker, platform, folder, name):
    config = configuration(*TINY, 100)
    model = Model(folder / f"tiny-{name}", config, seeded(config, 3), **HOW[name])
    process = on_gpu(worker, platform, model, "--concurrency", "16")
    check_half(model, ask(platform, TEXTS))
    process.wait_log(r"Model ready on Fake GPU 0 \(half precision, \d+ MB\): loaded in [0-9.]+ ms, first pass [0-9.]+ ms")


@pytest.mark.parametrize("name", HOW)
def test_tiny_model_in_single_precision(worker, platform, folder, name):
    config = configuration(*TINY, 100)
    model = Model(folder / f"tiny-{name}", config, seeded(config, 3), **HOW[name])
    process = on_gpu(worker, platform, model, "--concurrency", "16", **SINGLE)
    outputs = ask(platform, TEXTS)
    assert {(output["debug"]["device"], output["debug"]["precision"]) for output in outputs} == {("cuda", "single")}
    check_numbers(model, outputs)
    process.wait_log(r"Model ready on Fake GPU 0 \(single precision, \d+ MB\)")


@pytest.mark.parametrize("name", SIZES)
def test_other_sizes(worker, platform, folder, name):
    config = configuration(*SIZES[name], labels=("Sad", "so-so", "HAPPY"))
    model = Model(folder / name.replace(" ", "-"), config, seeded(config, 3), residue=2)
    on_gpu(worker, platform, model)
    check_half(model, ask(platform, [*TEXTS[:4], "many words " * 30]))


def test_longest_text_in_single_precision(worker, platform, folder):
    config = configuration(24, 3, 1, 16, 30522, 600)
    model = Model(folder / "long", config, seeded(config, 1))
    on_gpu(worker, platform, model, **SINGLE)
    outputs = ask(platform, ["word " * 5000, "almost as long " * 150])
    assert len(outputs[0]["debug"]["tokens"]) == 512
    check_numbers(model, outputs)


def test_real_weights(worker, platform, folder):
    model = Model(folder / "minilm", *modelkit.minilm(), residue=2)
    on_gpu(worker, platform, model, "--concurrency", "16")
    check_half(model, ask(platform, [*TEXTS, "A real text, as people write it: long, and with commas. " * 8]))


@pytest.mark.parametrize("device", [HALF, SINGLE], ids=["half", "single"])
def test_batch_equals_single(worker, make_platform, tiny, device):
    """Bit by bit, as on the CPU."""
    found, together = [], []
    for concurrency in ("1", "64"):
        platform = make_platform()
        on_gpu(worker, platform, tiny, "--concurrency", concurrency, **device)
        outputs = ask(platform, TEXTS * 3)
        found.append([output["debug"]["logits"] for output in outputs])
        together.append(max(output["debug"]["together"] for output in outputs))
    assert found[0] == found[1]
    assert together[0] == 1 < together[1]


def test_mistakes_would_show(worker, platform, tiny):
    """The tolerances tell a right network from those that are wrong in one point; GELU's two formulas differ by less than half
    precision, so that it is the test in single precision that does."""
    ids = [101, 1996, 4248, 2829, 4419, 14523, 102]
    right = modelkit.logits(tiny, ids)
    for wrong in ("tanh", "eps", "positions", "mask"):
        assert far(modelkit.logits(tiny, ids, wrong), right) > 2 * TOLERANCE, wrong
    for wrong in ("positions", "mask"):
        assert far(modelkit.logits(tiny, ids, wrong), right) > 0.06, wrong
    on_gpu(worker, platform, tiny, WRONG=1)  # every kernel's first result has a wrong bit
    with pytest.raises((AssertionError, KeyError)):  # KeyError: a job failed, as its result was not a number
        check_half(tiny, ask(platform, TEXTS))


# ---- which device ----


def test_cpu_although_there_is_a_gpu(worker, platform, tiny):
    start(worker, platform, tiny, "--device", "cpu", env=fake())
    assert ask(platform, ["x"])[0]["debug"]["device"] == "cpu"


def test_gpu_without_being_asked(worker, platform, tiny):
    """The first that has tensor cores of this kind."""
    start(worker, platform, tiny, env=fake(CAPABILITY=80))
    debug = ask(platform, ["x"])[0]["debug"]
    assert (debug["device"], debug["gpu"], debug["precision"]) == ("cuda", "Fake GPU 0", "half")


def test_the_model_is_all_that_stays(worker, platform, tiny, tmp_path):
    """Not what it takes to bring it to the device."""
    process = on_gpu(worker, platform, tiny, TRACE=tmp_path / "trace")
    said = process.wait_log(r"Model ready on Fake GPU 0 \(half precision, \d+ MB\)")
    ask(platform, ["x"])
    process.terminate()
    assert process.wait() == 0
    calls = (tmp_path / "trace").read_text().splitlines()
    assert (calls.count("cuMemAllocHost_v2"), calls.count("cuMemFreeHost")) == (4, 2)
    left = int(re.fullmatch(r"end: (\d+) bytes allocated", calls[-1])[1])
    assert (left + 999_999) // 1_000_000 == int(re.search(r"(\d+) MB", said)[1])


def test_without_a_gpu_the_cpu(worker, platform, tiny):
    process = start(worker, platform, tiny, env=fake(DEVICES=0))
    assert ask(platform, ["x"])[0]["debug"]["device"] == "cpu"
    process.wait_log("No GPU, so the CPU does the work: .*CUDA_ERROR_NO_DEVICE")


def refused(local, model, *args, **device):
    done = local("--model", str(model.folder), "--test_input", '{"input": {"prompt": ""}}', *args, handler="sentiment", env=fake(**device))
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_gpu_that_is_wanted_and_not_there(local, tiny):
    assert re.search("--device cuda: .*CUDA_ERROR_NO_DEVICE", refused(local, tiny, "--device", "cuda", DEVICES=0))
    assert "--device tpu: use auto, cpu or cuda" in refused(local, tiny, "--device", "tpu")


def test_gpu_that_is_there_and_does_not_work(local, tiny):
    """It is not gone on without, unless that is asked for."""
    broken = {"FAIL": "cuInit=803@0"}
    assert re.search("--device auto: .*CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", refused(local, tiny, **broken))
    done = local("--model", str(tiny.folder), "--device", "cpu", "--test_input", '{"input": {"prompt": ""}}', handler="sentiment",
                 env=fake(**broken))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("args", [(), ("--device", "cuda")], ids=["auto", "cuda"])
def test_too_little_memory_on_the_device(local, tiny, args):
    said = refused(local, tiny, *args, MEMORY=4_000_000)
    assert re.search(r"GPU 0: the model needs \d+ MB of device memory: .*CUDA_ERROR_OUT_OF_MEMORY", said)


def test_driver_without_a_compiler(local, tiny):
    assert "CUDA_ERROR_JIT_COMPILER_NOT_FOUND" in refused(local, tiny, FAIL="cuModuleLoadDataEx=221@0")


# ---- what goes wrong later ----

SETUP_LAUNCHES = 14 + 19  # a layer a conversion, and the pass that warms up


def test_a_failing_launch_fails_its_job_alone(worker, platform, tiny):
    on_gpu(worker, platform, tiny, FAIL=f"cuLaunchKernel=2@{SETUP_LAUNCHES + 5}")
    platform.give({"id": "bad", "input": {"prompt": "x"}})
    assert "CUDA_ERROR_OUT_OF_MEMORY" in platform.wait_final("bad").json()["error"]
    check_half(tiny, ask(platform, TEXTS[:3]))


def test_a_lost_device_ends_the_worker(worker, platform, tiny):
    process = on_gpu(worker, platform, tiny, STICKY=f"cuLaunchKernel=700@{SETUP_LAUNCHES + 5}")
    process.crash_expected = True
    platform.give({"id": "bad", "input": {"prompt": "x"}})
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in platform.wait_final("bad").json()["error"]
    assert process.wait() == 1


DAMAGED = "the network's result is not a number: the weights are damaged"


@pytest.mark.parametrize("device", [HALF, SINGLE], ids=["half", "single"])
@pytest.mark.parametrize("name", ["distilbert.embeddings.position_embeddings.weight", "pre_classifier.bias", "classifier.bias"])
def test_damaged_weights_give_no_answer(worker, platform, folder, tiny, name, device):
    """Wherever the number is lost: a ReLU must not make 0 of it."""
    damaged = {**tiny.tensors, name: tiny.tensors[name] * float("nan")}
    model = Model(folder / f"nan-{name}-{len(device)}", tiny.config, damaged)
    worker(platform, "--model", str(model.folder), "--device", "cuda", handler="sentiment", env=fake(**device))
    platform.give({"id": "nan", "input": {"prompt": "x"}})
    assert DAMAGED in platform.wait_final("nan").json()["error"]


@pytest.fixture(scope="session")
def large(folder, tiny):
    """A model of which some activations exceed half precision."""
    name = "distilbert.transformer.layer.0.ffn.lin1.bias"
    return Model(folder / "large", tiny.config, {**tiny.tensors, name: tiny.tensors[name] * 0 + 1e6})


def test_activations_too_large_for_half_precision(worker, platform, large):
    on_gpu(worker, platform, large)
    platform.give({"id": "large", "input": {"prompt": "x"}})
    assert DAMAGED + ", or too large for half precision" in platform.wait_final("large").json()["error"]


def test_large_activations_in_single_precision(worker, platform, large):
    on_gpu(worker, platform, large, **SINGLE)
    assert 0 < ask(platform, ["x"])[0]["confidence"] <= 1


@pytest.mark.parametrize("broken", [{"FAIL": "cuInit=803@0"}, {"CRASH": "cuMemAlloc_v2"}], ids=["fails", "crashes"])
def test_cpu_is_not_held_to_a_gpu_that_is_broken(worker, platform, tiny, broken):
    """With the checks that a worker on the platform makes."""
    worker(platform, "--model", str(tiny.folder), "--device", "cpu", handler="sentiment", env={**REAL, **fake(**broken)})
    assert ask(platform, ["x"])[0]["debug"]["device"] == "cpu"


def test_weights_are_not_read_again(worker, platform, tiny, tmp_path):
    """They are on the device: a file that is cut later harms nobody."""
    copy = shutil.copytree(tiny.folder, tmp_path / "copy")
    worker(platform, "--model", str(copy), "--device", "cuda", handler="sentiment", env=fake())
    before = ask(platform, ["before"])
    (copy / "model.safetensors").write_bytes(b"")
    after = ask(platform, ["before"], "after")
    assert json.dumps(after[0]["debug"]["logits"]) == json.dumps(before[0]["debug"]["logits"])
