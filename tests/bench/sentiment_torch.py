"""The other side of ./build.sh bench --torch: the same network in torch and transformers, fp32.

    sentiment_torch.py serve FOLDER THREADS
        answers each line "HOW N" of standard input with the ms that N tokens took: HOW is a pass alone, with transformers' attention
        "eager" or "sdpa", or "handler", the documented handler called with a text
    sentiment_torch.py errors FOLDER THREADS KIT
        compares logits with a computation in double precision (modelkit.py, in the folder KIT). Each line of standard input is
        {"model": ..., "tokens": [ids, ...], "logits": ours}; the answer to all is one object {model: {what: [errors]}}

FOLDER holds models as --model takes them. Run by the Python of build/model-torch/venv, with the SDK's packages in PYTHONPATH.
"""

import json
import os
import sys
import time
import types
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

WORD = "word "  # one token
ATTENTION = ("eager", "sdpa")


def load(folder, attention, dtype=torch.float32):
    return AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation=attention, dtype=dtype).eval()


# ---- times ----


def a_pass(model):
    def run(tokens):
        ids = (torch.arange(tokens) * 7919 + 1000) % model.config.vocab_size
        begun = time.perf_counter()
        with torch.inference_mode():
            model(input_ids=ids[None], attention_mask=torch.ones(1, tokens, dtype=torch.int64))
        return time.perf_counter() - begun

    return run


def a_handler(folder):
    os.environ["MODEL_DIR"] = str(folder)
    from sentiment_documented import handler

    def run(tokens):
        job = {"input": {"prompt": WORD * (tokens - 2)}}
        begun = time.perf_counter()
        handler(job)
        return time.perf_counter() - begun

    return run


def serve(folder):
    ways = {attention: a_pass(load(folder / "model", attention)) for attention in ATTENTION}
    ways["handler"] = a_handler(folder / "model")
    for line in sys.stdin:
        how, tokens = line.split()
        print(ways[how](int(tokens)) * 1000, flush=True)


# ---- errors ----


def errors(folder, kit):
    sys.path.append(kit)
    import modelkit

    found, cases = {}, [json.loads(line) for line in sys.stdin]
    for name in dict.fromkeys(case["model"] for case in cases):
        path = folder / name
        config = json.loads((path / "config.json").read_text())
        reference = types.SimpleNamespace(config=config, tensors=modelkit.read_safetensors(path / "model.safetensors"))
        networks = {f"torch {attention} fp32": load(path, attention) for attention in ATTENTION}
        networks |= {f"torch {attention} fp16": load(path, attention, torch.float16) for attention in ATTENTION}
        of_model = found[name] = {what: [] for what in ("ours fp32", "numpy fp16", *networks)}
        for case in (case for case in cases if case["model"] == name):
            right = modelkit.logits(reference, case["tokens"])
            of_model["ours fp32"] += list(case["logits"] - right)
            of_model["numpy fp16"] += list(modelkit.logits(reference, case["tokens"], half=True) - right)
            with torch.inference_mode():
                for what, network in networks.items():
                    logits = network(input_ids=torch.tensor([case["tokens"]])).logits[0]
                    of_model[what] += list(logits.double().numpy() - right)
    print(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        errors(Path(sys.argv[2]), sys.argv[4])
