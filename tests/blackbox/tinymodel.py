"""A language model made on the spot: a small Llama with random weights, as a GGUF file for llama.cpp's server.

It says words without a meaning, the same ones each time, and never that it has finished: how long an answer is
the request's max_tokens decides. Run as a program: tinymodel.py FILE.
The format is GGUF, which the ggml project specifies; only the standard library is used.
"""

import array
import random
import struct
import sys
from pathlib import Path

LAYERS, WIDTH, HEADS, HIDDEN, CONTEXT = 2, 64, 4, 128, 65536
ALIGNMENT = 32

UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # kinds of token
SYLLABLES = ["ba", "de", "ki", "lo", "mu", "na", "po", "ri", "su", "te", "va", "zo", "žu", "él", "水", "🦊"]


def words():
    return [f"\u2581{first}{second}" for first in SYLLABLES for second in SYLLABLES]


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def scalar(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def pair(name, kind, value):
    return text(name) + struct.pack("<I", kind) + scalar(kind, value)


def listing(name, kind, values):
    head = text(name) + struct.pack("<IIQ", ARRAY, kind, len(values))
    return head + b"".join(scalar(kind, value) for value in values)


def vocabulary():
    """(piece, score, kind) of every token: the special ones, each byte, the words."""
    special = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    single = [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    return special + single + [(word, -1.0 - index, NORMAL) for index, word in enumerate(words())]


CHAT = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def facts():
    tokens = vocabulary()
    return [
        pair("general.architecture", STRING, "llama"),
        pair("general.name", STRING, "tiny"),
        pair("general.alignment", UINT32, ALIGNMENT),
        pair("llama.context_length", UINT32, CONTEXT),
        pair("llama.embedding_length", UINT32, WIDTH),
        pair("llama.block_count", UINT32, LAYERS),
        pair("llama.feed_forward_length", UINT32, HIDDEN),
        pair("llama.attention.head_count", UINT32, HEADS),
        pair("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        pair("llama.rope.dimension_count", UINT32, WIDTH // HEADS),
        pair("llama.vocab_size", UINT32, len(tokens)),
        pair("tokenizer.ggml.model", STRING, "llama"),
        listing("tokenizer.ggml.tokens", STRING, [piece for piece, _, _ in tokens]),
        listing("tokenizer.ggml.scores", FLOAT32, [score for _, score, _ in tokens]),
        listing("tokenizer.ggml.token_type", INT32, [kind for _, _, kind in tokens]),
        pair("tokenizer.ggml.unknown_token_id", UINT32, 0),
        pair("tokenizer.ggml.bos_token_id", UINT32, 1),
        pair("tokenizer.ggml.eos_token_id", UINT32, 2),
        pair("tokenizer.chat_template", STRING, CHAT),
    ]


def weights():
    """(name, columns, rows, floats) of every tensor; rows 0: a vector."""
    dice = random.Random(7)

    def noise(count, spread):
        return array.array("f", (dice.gauss(0, spread) for _ in range(count)))

    tokens, silent = len(vocabulary()), 3 + 256
    ones = array.array("f", [1.0] * WIDTH)
    yield "token_embd.weight", WIDTH, tokens, noise(tokens * WIDTH, 1.0)
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        yield name + "attn_norm.weight", WIDTH, 0, ones
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{name}{part}.weight", WIDTH, WIDTH, noise(WIDTH * WIDTH, 0.2)
        yield name + "ffn_norm.weight", WIDTH, 0, ones
        for part in ("ffn_gate", "ffn_up"):
            yield f"{name}{part}.weight", WIDTH, HIDDEN, noise(WIDTH * HIDDEN, 0.2)
        yield name + "ffn_down.weight", HIDDEN, WIDTH, noise(WIDTH * HIDDEN, 0.2)
    yield "output_norm.weight", WIDTH, 0, ones
    # The end of the text and single bytes always score 0: some word is ahead of them.
    yield "output.weight", WIDTH, tokens, array.array("f", [0.0] * (silent * WIDTH)) + noise((tokens - silent) * WIDTH, 4.0)


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def model():
    tensors, pairs = list(weights()), facts()
    directory, offset = [], 0
    for name, columns, rows, values in tensors:
        shape = [columns, rows] if rows else [columns]
        directory.append(
            text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)  # kind 0: 32-bit floats
        )
        offset += len(padded(values.tobytes()))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs + directory)
    return padded(head) + b"".join(padded(values.tobytes()) for _, _, _, values in tensors)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(model())
