"""What ./build.sh bench --torch adds to the sentiment figures: the platform's documented Python script, transformers' passes, errors."""

import contextlib
import json
import math
import os
import subprocess
import sysconfig

import sentiment_sides as sides
from jobs import tree_bytes
from procs import BenchError
from sentiment_sides import IN_FLIGHT, LENGTHS, THREADS, TURNS
from table import Row

VENV = os.path.join(sides.ROOT, "build", "model-torch", "venv")
PYTHON = os.path.join(VENV, "bin/python")
ATTENTION = ("eager", "sdpa")
LEAST = 1 / 0.75  # of the time of either attention, as a ratio
AT_ONCE_LEAST = {16: 3, 128: 1.5}
LIMIT = 50  # millionths: of an error of our logits
MODELS = {"model": "seeded", "minilm": "real"}
PROMPTS = [
    sides.PROMPT, "", "I loved it!", "terrible. " * 6, "one of the greatest family-oriented, fantasy-adventure movies ever",
    "A real text, as people write it: long, and with commas. " * 8, "żluťoučký kůň 中国 " * 3,
    "The plot makes no sense, the acting is worse, and yet I could not look away for a minute. " * 24,
]  # fmt: skip


class BesideNothing:
    """Without --torch."""

    SCRIPT = START_RATIO = None

    def prepare(self, _binary):
        pass

    def rows(self, _rows):
        return {}

    def start(self, _took, _memory=None):
        pass

    def open(self, _opened):
        pass

    def turn(self, _tokens):
        pass

    def unbatched(self, _tokens):
        pass

    def errors(self, _binary):
        pass


class BesideTorch:
    SCRIPT = "the documented script"
    START_RATIO = 50

    def __init__(self):
        self.serving = None
        self.added = {}
        self.env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": sides.FOLDER, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": sysconfig.get_path("purelib"),  # the SDK
            "OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1", "MODEL_DIR": os.path.join(sides.FOLDER, "model"),
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true", "RUNPOD_SKIP_GPU_CHECK": "true",
        }  # fmt: skip

    def prepare(self, binary):
        sides.run_all([sides.venv(VENV, "torch-requirements.txt"), *sides.make("real", "minilm")])
        sides.first_answer(self._script(), self.env)  # Python's own files into the page cache
        self.added["disk"].add("ours", os.path.getsize(binary) / 1e6)
        self.added["disk"].add("sdk", tree_bytes(VENV) / 1e6)

    def rows(self, rows):
        """The rows to be added; ours are the samples of the rows beside onnxruntime."""
        for attention in ATTENTION:
            for tokens in LENGTHS:
                row = Row(f"sentiment: {tokens} tokens", "ms", min_ratio=LEAST, against=f"torch {attention}")
                row.samples["ours"] = rows[tokens].samples["ours"]
                self.added[attention, tokens] = row
        for tokens, least in AT_ONCE_LEAST.items():
            row = Row(f"sentiment: {IN_FLIGHT} in flight, {tokens} tokens", "/s", min_ratio=least, more_is_better=True,
                      against="the documented handler, unbatched")
            row.samples["ours"] = rows["at once", tokens].samples["ours"]
            self.added["unbatched", tokens] = row
        self.added["disk"] = Row("sentiment: binary beside packages", "MB", against="torch and transformers")
        for model, weights in MODELS.items():
            self.added["fp32", model] = Row(f"sentiment: largest error of a logit, {weights} weights", "e-6", LIMIT,
                                            against="torch sdpa, fp32")
            self.added["fp16", model] = Row(f"sentiment: numpy playing half precision, error (rms), {weights} weights", "e-6",
                                            against="torch sdpa, fp16 on the CPU")
        return self.added

    @staticmethod
    def _script():
        return [PYTHON, os.path.join(sides.HERE, "sentiment_documented.py")]

    def start(self, took, memory=None):
        ms, mib = sides.first_answer(self._script(), self.env)
        took.add("sdk", ms)
        if memory is not None:
            memory.add("sdk", mib)

    def open(self, opened):
        command = [PYTHON, os.path.join(sides.HERE, "sentiment_torch.py"), "serve", sides.FOLDER, str(THREADS)]
        self.serving = opened.enter_context(contextlib.closing(sides.Other(command, self.env)))
        for how in (*ATTENTION, "handler"):
            self.serving.ask(f"{how} 16")

    def turn(self, tokens):
        for attention in ATTENTION:
            self.added[attention, tokens].add("sdk", self.serving.ask(f"{attention} {tokens}"))

    def unbatched(self, tokens):
        passes = [self.serving.ask(f"handler {tokens}") for _ in range(TURNS[tokens])]
        self.added["unbatched", tokens].add("sdk", 1000 * len(passes) / sum(passes))

    def errors(self, binary):
        """Of ours and torch's logits, beside a computation in double precision."""
        cases = [case for model in MODELS for case in _answers(binary, model)]
        command = [PYTHON, os.path.join(sides.HERE, "sentiment_torch.py"), "errors", sides.FOLDER, str(THREADS), sides.KIT]
        done = subprocess.run(command, input="".join(json.dumps(case) + "\n" for case in cases), capture_output=True, text=True,
                              env=self.env, check=False)
        if done.returncode != 0:
            raise BenchError(done.stderr.strip()[-300:])
        for model, found in json.loads(done.stdout).items():
            row = self.added["fp32", model]
            row.add("ours", _largest(found["ours fp32"]))
            row.add("sdk", _largest(found["torch sdpa fp32"]))
            row.note = f"torch eager {_largest(found['torch eager fp32']):.2f}e-6"
            row = self.added["fp16", model]
            row.add("ours", _rms(found["numpy fp16"]))
            row.add("sdk", _rms(found["torch sdpa fp16"]))
            row.note = f"torch eager {_rms(found['torch eager fp16']):.0f}e-6"


def _answers(binary, model):
    """What ours makes of the prompts: tokens and logits."""
    with contextlib.closing(sides.Ours(binary, model=model)) as ours, contextlib.closing(ours.connect()) as connection:
        for prompt in PROMPTS:
            debug = ours.output(connection, {"prompt": prompt, "debug": True})["debug"]
            yield {"model": model, "tokens": debug["tokens"], "logits": debug["logits"]}


def _largest(errors):
    return 1e6 * max(map(abs, errors))


def _rms(errors):
    return 1e6 * math.sqrt(sum(x * x for x in errors) / len(errors))
