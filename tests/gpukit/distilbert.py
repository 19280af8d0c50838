"""Folders for the sentiment handler's --model: DistilBERTs with weights out of a seed, in half precision. No package is needed."""

import json
import math
import os
import random
import struct

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "word", "good", "bad", ".", ",", *map(chr, range(ord("a"), ord("z") + 1))]


def shapes(dim, layers, hidden, vocabulary, positions):
    """{name: (shape, where its numbers begin, as a power of two)}: they go up to twice that, with either sign."""
    found = {
        "distilbert.embeddings.word_embeddings.weight": ((vocabulary, dim), -6),
        "distilbert.embeddings.position_embeddings.weight": ((positions, dim), -6),
    }

    def linear(name, outputs, inputs):
        found[f"{name}.weight"] = (outputs, inputs), round(-math.log2(inputs) / 2)
        found[f"{name}.bias"] = (outputs,), -3

    def norm(name):
        found[f"{name}.weight"], found[f"{name}.bias"] = ((dim,), 0), ((dim,), -3)

    norm("distilbert.embeddings.LayerNorm")
    for layer in range(layers):
        prefix = f"distilbert.transformer.layer.{layer}"
        for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
            linear(f"{prefix}.attention.{name}", dim, dim)
        linear(f"{prefix}.ffn.lin1", hidden, dim)
        linear(f"{prefix}.ffn.lin2", dim, hidden)
        norm(f"{prefix}.sa_layer_norm")
        norm(f"{prefix}.output_layer_norm")
    linear("pre_classifier", dim, dim)
    linear("classifier", 2, dim)
    return found


def halves(numbers, count, power):
    """The bytes of `count` halves: random signs and fractions, and the one exponent."""
    data = bytearray(numbers.randbytes(2 * count))
    data[1::2] = data[1::2].translate(bytes(byte & 0x83 | power + 15 << 2 for byte in range(256)))
    return data


def make(folder, dim, heads, layers, hidden, vocabulary, positions=512):
    numbers, header, offset = random.Random(1), {}, 0
    tensors = shapes(dim, layers, hidden, vocabulary, positions)
    for name, (shape, _) in tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    config = {
        "model_type": "distilbert", "activation": "gelu", "dim": dim, "n_heads": heads, "n_layers": layers, "hidden_dim": hidden,
        "vocab_size": vocabulary, "max_position_embeddings": positions, "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
    }  # fmt: skip
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape, power in tensors.values():
            file.write(halves(numbers, math.prod(shape), power))
    with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as file:
        json.dump(config, file)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="ascii") as file:
        file.write("\n".join(WORDS) + "\n")
