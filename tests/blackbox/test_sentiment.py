"""src/handlers/sentiment: what it answers, what it says of bad files, and that its numbers are right."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import modelkit
from modelkit import Model, configuration, seeded
from outcome import outcome
from witness import PATIENCE_S
from workerproc import ROOT, SANITIZED

pytestmark = pytest.mark.skipif(not modelkit.HAVE, reason=modelkit.MISSING)

TOLERANCE = 5e-5
TEXTS = [
    "The quick brown fox jumps", "", "I loved it!", "a", "terrible. " * 6, "żluťoučký kůň 中国 " * 3,
    "one of the greatest family-oriented, fantasy-adventure movies ever", "x" * 150, "no " * 15,
]
HOW = {"F32": {}, "misaligned": {"residue": 2}, "odd": {"residue": 1}, "F16": {"dtype": "F16"},
       "BF16": {"dtype": "BF16", "residue": 3}}
TINY = (35, 5, 2, 53, 30522)  # no number fits a vector


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def tiny(folder):
    config = configuration(*TINY, 100)
    return Model(folder / "tiny", config, seeded(config, 2), residue=2)


def start(worker, platform, model, *args, **how):
    return worker(platform, "--model", str(model.folder), *args, handler="sentiment", **how)


def ask(platform, texts, prefix="job"):
    """Gives all texts at once, and returns each one's output with its debug object."""
    jobs = [{"id": f"{prefix}-{i}", "input": {"prompt": text, "debug": True}} for i, text in enumerate(texts)]
    for job in jobs:
        platform.give(job)
    return [platform.wait_final(job["id"], timeout_s=4 * PATIENCE_S).json()["output"] for job in jobs]


def far(got, wanted):
    return max(abs(a - b) for a, b in zip(got, wanted, strict=True))


def check_numbers(model, outputs, tolerance=TOLERANCE):
    for output in outputs:
        got, wanted = output["debug"]["logits"], modelkit.logits(model, output["debug"]["tokens"])
        assert far(got, wanted) < tolerance, (output, wanted)
        best = max(range(len(got)), key=lambda i: wanted[i])
        assert output["sentiment"] == model.config["id2label"][str(best)].lower()
        weights = [2.718281828459045 ** float(x - wanted[best]) for x in wanted]
        assert abs(output["confidence"] - 1 / sum(weights)) < tolerance


@pytest.mark.shipped
def test_a_program_for_the_cpu_alone(local, tiny, tmp_path):
    """As the manual makes it: small, and it says what it cannot do."""
    program = tmp_path / "sentiment-cpu"
    sources = sorted(map(str, (ROOT / "src/handlers/sentiment").glob("*.c")))
    flags = ["-DWITHOUT_GPU", "-Isrc", f"build/{os.uname().machine}/kit/worker.a"]
    command = [str(ROOT / "build.sh"), "handler", *sources, "-o", str(program), "--", *flags]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert program.stat().st_size <= 600_000
    prompt = ("--model", str(tiny.folder), "--test_input", json.dumps({"input": {"prompt": "I loved it!", "debug": True}}))
    answered = local(*prompt, handler=str(program))
    assert answered.returncode == 0, answered.stdout
    check_numbers(tiny, [outcome(answered.stdout)])
    refused = local(*prompt, "--device", "cuda", handler=str(program))
    assert refused.returncode == 1 and "--device cuda: this program is for the CPU only" in refused.stdout


# ---- numbers ----


@pytest.mark.parametrize("name", HOW)
def test_tiny_model(worker, platform, folder, name):
    config = configuration(*TINY, 100)
    model = Model(folder / f"tiny-{name}", config, seeded(config, 7), **HOW[name])
    start(worker, platform, model, "--concurrency", "16")
    check_numbers(model, ask(platform, TEXTS))


@pytest.mark.parametrize("sizes", [(8, 1, 1, 8, 30522), (64, 1, 3, 300, 30522), (48, 48, 1, 1, 30522)])
def test_other_sizes(worker, platform, folder, sizes):
    config = configuration(*sizes, labels=("Sad", "so-so", "HAPPY"))
    model = Model(folder / ("x".join(map(str, sizes))), config, seeded(config, 3), residue=2)
    start(worker, platform, model)
    check_numbers(model, ask(platform, [*TEXTS[:4], "many words " * 300]))


@pytest.mark.parametrize("instructions", ["avx512", "avx2", "portable"])
def test_every_instruction_set(worker, platform, tiny, instructions):
    process = start(worker, platform, tiny, "--instructions", instructions, "--concurrency", "16")
    if not process.wait_log("Model ready|that this machine has").count("Model ready"):
        process.wait()
        pytest.skip(f"this machine has no {instructions}")
    outputs = ask(platform, TEXTS)
    assert {output["debug"]["instructions"] for output in outputs} == {instructions}
    check_numbers(tiny, outputs)


def test_batch_equals_single_and_one_thread_many(worker, make_platform, tiny):
    """Bit by bit: what stands beside a text in a pass, and who computes it, changes nothing."""
    found = []
    for args in (("--concurrency", "1", "--threads", "1"), ("--concurrency", "64", "--threads", "1"),
                 ("--concurrency", "64", "--threads", "5")):
        platform = make_platform()
        start(worker, platform, tiny, *args)
        outputs = ask(platform, TEXTS * 4)
        assert outputs[0]["debug"]["threads"] == int(args[3])
        found.append([output["debug"]["logits"] for output in outputs])
    assert found[0] == found[1] == found[2]


def test_requests_go_together(worker, platform, folder):
    """What waits while a pass runs goes into the next."""
    config = configuration(96, 4, 4, 200, 30522)
    model = Model(folder / "together", config, seeded(config, 4))
    start(worker, platform, model, "--concurrency", "64", "--threads", "1")
    outputs = ask(platform, ["long " * 400] * 40)
    assert all(1 <= output["debug"]["together"] <= 2 for output in outputs)  # 2 of 402 tokens fit 1,024
    assert any(output["debug"]["together"] == 2 for output in outputs)


def test_mistakes_would_show(tiny):
    """The tolerance tells a right network from those that are wrong in one point."""
    ids = [101, 1996, 4248, 2829, 4419, 14523, 102]
    right = modelkit.logits(tiny, ids)
    for wrong in ("tanh", "eps", "positions", "mask"):
        assert far(modelkit.logits(tiny, ids, wrong), right) > 2 * TOLERANCE, wrong


def private_kib(process):
    """Private memory beyond the mapping of the weights."""
    private = 0
    for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{process.pid}/smaps").read_text("ascii"), flags=re.M):
        if "model.safetensors" not in mapping.partition("\n")[0]:
            private += sum(int(kib) for kib in re.findall(r"^Private_\w+: +(\d+) kB", mapping, re.M))
    return private


@pytest.mark.shipped
@pytest.mark.timeout(600)  # under ThreadSanitizer, 66 million weights take their time
def test_base_size(worker, platform, folder):
    config = configuration(768, 12, 6, 3072, 30522)
    model = Model(folder / "base", config, seeded(config, 1), residue=2)
    process = start(worker, platform, model, "--concurrency", "16")
    check_numbers(model, ask(platform, [*TEXTS, "word " * 130]))
    ask(platform, ["word " * 600] * 4, "long")  # the largest passes there are
    if not SANITIZED:  # its own memory hides the worker's
        assert 10 * 1024 < private_kib(process) <= 48 * 1024
    shutil.rmtree(model.folder)


@pytest.mark.shipped
def test_real_weights(worker, platform, folder):
    model = Model(folder / "minilm", *modelkit.minilm(), residue=2)
    start(worker, platform, model, "--concurrency", "16")
    check_numbers(model, ask(platform, [*TEXTS, "A real text, as people write it: long, and with commas. " * 50]))


# ---- jobs ----


def test_example_of_the_documentation(local, tiny):
    done = local("--model", str(tiny.folder), "--test_input", '{"input": {"prompt": "The quick brown fox jumps"}}',
                 handler="sentiment")
    assert done.returncode == 0, done.stdout
    output = json.loads(re.search("Job result: (.*)", done.stdout)[1])["output"]
    assert set(output) == {"sentiment", "confidence"}
    assert output["sentiment"] in ("negative", "positive") and 0.5 <= output["confidence"] <= 1
    assert re.search(r"Model ready on the CPU \(\w+, \d+ threads?\): loaded in [0-9.]+ ms, first pass [0-9.]+ ms", done.stdout)


def test_model_by_variable(local, tiny):
    done = local("--test_input", '{"input": {"prompt": ""}}', handler="sentiment", env={"MODEL_DIR": str(tiny.folder)})
    assert done.returncode == 0, done.stdout


def test_prompts(worker, platform, tiny):
    start(worker, platform, tiny)
    empty, long = ask(platform, ["", "word " * 5000])
    assert empty["debug"]["tokens"] == [101, 102]
    assert len(long["debug"]["tokens"]) == 100 and long["debug"]["tokens"][-1] == 102  # as many positions as it has
    for i, bad in enumerate(({}, {"prompt": None}, {"prompt": 5}, {"prompt": ["x"]}, {"text": "x"}, [])):
        platform.give({"id": f"bad-{i}", "input": bad})
        assert "input.prompt must be a string" in platform.wait_final(f"bad-{i}").json()["error"]
    platform.give({"id": "odd", "input": {"prompt": "x", "debug": "yes"}})
    assert "input.debug must be true or false" in platform.wait_final("odd").json()["error"]
    platform.give({"id": "plain", "input": {"prompt": "x", "debug": False}})
    assert set(platform.result("plain")["output"]) == {"sentiment", "confidence"}


def test_at_most_512_tokens(worker, platform, folder):
    config = configuration(16, 2, 1, 16, 30522, 600)
    start(worker, platform, Model(folder / "positions", config, seeded(config, 1)))
    assert len(ask(platform, ["word " * 5000])[0]["debug"]["tokens"]) == 512


# ---- files ----


def refused(local, folder, *args):
    done = local("--model", str(folder), "--test_input", '{"input": {"prompt": ""}}', *args, handler="sentiment")
    assert done.returncode == 1, done.stdout
    return done.stdout


def copy(model, tmp_path):
    return shutil.copytree(model.folder, tmp_path / "copy")


CONFIGS = {
    "another model": ({"model_type": "bert"}, r'config.json: "model_type" is "bert"; only "distilbert" is supported'),
    "another activation": ({"activation": "relu"}, r'"activation" is "relu"; only "gelu"'),
    "no layers": ({"n_layers": None}, r'"n_layers" is null; it must be a number from 1'),
    "heads that do not fit": ({"n_heads": 4}, r'"dim" \(35\) is not a multiple of "n_heads" \(4\)'),
    "another width": ({"hidden_dim": 54}, r"lin1.weight has the shape \[53, 35\], but config.json asks for \[54, 35\]"),
    "more layers": ({"n_layers": 3}, r"tensor distilbert.transformer.layer.2.attention.q_lin.weight is missing"),
    "another label": ({"id2label": {"0": "A", "2": "B"}}, r'"id2label" has no name for 1'),
    "no labels": ({"id2label": None}, r'"id2label" is missing'),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations(local, tiny, tmp_path, name):
    folder, (change, words) = copy(tiny, tmp_path), CONFIGS[name]
    (folder / "config.json").write_text(json.dumps(tiny.config | change))
    assert re.search(words, refused(local, folder))


def test_the_fewest_positions(worker, platform, folder):
    config = configuration(8, 1, 1, 8, 30522, 2)
    start(worker, platform, Model(folder / "two-positions", config, seeded(config, 1)))
    assert [output["debug"]["tokens"] for output in ask(platform, ["", "a word"])] == [[101, 102], [101, 102]]


def test_files_that_are_not_there(local, tiny, tmp_path):
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        folder = copy(tiny, tmp_path)
        (folder / name).unlink()
        assert re.search(rf"{name}: No such file", refused(local, folder))
    done = local("--test_input", '{"input": {"prompt": ""}}', handler="sentiment")
    assert done.returncode == 1 and "--model DIR or MODEL_DIR" in done.stdout
    for name in ("/no/such/folder", "./none"):
        assert f"No model: there is no folder {name} (--model, MODEL_DIR)" in refused(local, name)
    assert "No model: --model DIR or MODEL_DIR names no folder" in refused(local, "none")


@pytest.mark.parametrize("name, args", [
    ("distilbert--distilbert-base-uncased-finetuned-sst-2-english", ()), ("some--model", ("--model", "Some/Model")),
], ids=["default", "named"])
def test_a_cached_model(local, tiny, tmp_path, name, args):
    """Where no folder is named, or what is named is none: the cache of the platform."""
    snapshot = tmp_path / "hub" / f"models--{name}" / "snapshots" / "0123abc"
    snapshot.parent.mkdir(parents=True)
    copy(tiny, tmp_path).rename(snapshot)
    done = local("--test_input", '{"input": {"prompt": "x"}}', *args, handler="sentiment",
                 env={"HF_HUB_CACHE": str(tmp_path / "hub")})
    assert done.returncode == 0 and '"confidence"' in done.stdout
    gone = local("--test_input", '{"input": {"prompt": "x"}}', *args, handler="sentiment", env={"HF_HOME": str(tmp_path)})
    assert gone.returncode == 0
    snapshot.rename(tmp_path / "elsewhere")
    gone = local("--test_input", '{"input": {"prompt": "x"}}', *args, handler="sentiment", env={"HF_HOME": str(tmp_path)})
    assert gone.returncode == 1 and "No model: --model DIR or MODEL_DIR" in gone.stdout


def test_vocabulary_of_another_model(local, tiny, tmp_path):
    folder = copy(tiny, tmp_path)
    words = (folder / "vocab.txt").read_text("utf-8")
    (folder / "vocab.txt").write_text(words + "one\nmore\n", "utf-8")
    assert re.search(r'vocab.txt: it has 30524 tokens, but "vocab_size" in config.json is 30522', refused(local, folder))
    (folder / "vocab.txt").write_text(words.replace("[CLS]", "cls"), "utf-8")
    assert "the token [CLS] is missing" in refused(local, folder)


def test_weights_cut_before_the_start(local, tiny, tmp_path):
    folder = copy(tiny, tmp_path)
    os.truncate(folder / "model.safetensors", (folder / "model.safetensors").stat().st_size - 1)
    assert re.search(r"model.safetensors: tensor \S+: ends at byte \d+ of the data.*is it complete", refused(local, folder))


def test_unusable_type(local, tiny, tmp_path):
    folder = copy(tiny, tmp_path)
    path = folder / "model.safetensors"
    data = path.read_bytes().replace(b'"dtype":"F32","shape":[2,35]', b'"dtype":"I32","shape":[2,35]')
    path.write_bytes(data)
    assert re.search("tensor classifier.weight has the dtype I32; F32, F16 and BF16", refused(local, folder))


def test_weights_cut_while_in_use(worker, platform, tiny, tmp_path):
    """The process ends with a line that says why, and gives no answer out of thin air."""
    folder = copy(tiny, tmp_path)
    process = worker(platform, "--model", str(folder), handler="sentiment")
    process.crash_expected = True
    ask(platform, ["before"])
    os.truncate(folder / "model.safetensors", 4096)
    platform.give({"id": "after", "input": {"prompt": "after"}})
    assert process.wait() == 1
    assert re.search(r"model.safetensors has become shorter", process.log)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FC00001])
@pytest.mark.parametrize("name", ["distilbert.transformer.layer.0.attention.q_lin.weight", "distilbert.transformer.layer.1.ffn.lin1.bias", "classifier.bias"])
def test_damaged_weights_give_no_answer(worker, platform, tiny, tmp_path, name, bits):
    """Wherever the number is lost, and whatever the bits that do not count: the softmax and GELU must not make one of it."""
    damaged = modelkit.np.full(tiny.tensors[name].shape, bits, "<u4").view("<f4")
    model = Model(tmp_path / "damaged", tiny.config, {**tiny.tensors, name: damaged})
    start(worker, platform, model)
    platform.give({"id": "nan", "input": {"prompt": "x"}})
    assert "not a number" in platform.wait_final("nan").json()["error"]


def test_the_last_flag_of_a_name_counts(local, tiny):
    prompt = ("--test_input", '{"input": {"prompt": "", "debug": true}}')
    args = ("--model=/nowhere", "--threads", "5", f"--model={tiny.folder}", "--threads=2", "--threads", "3")
    done = local(*args, *prompt, handler="sentiment")
    assert done.returncode == 0 and outcome(done.stdout)["debug"]["threads"] == 3, done.stdout


def test_flags(local, tiny):
    assert "use avx512, avx2 or portable" in refused(local, tiny.folder, "--instructions", "mmx")
    for threads in ("0", "65", "+4", " 4", "4x", "", "18446744073709551617"):
        assert f"--threads {threads}: use a number from 1 to 64" in refused(local, tiny.folder, "--threads", threads)
