"""The other side of the sentiment figures: the same network in onnxruntime, fp32.

    sentiment_other.py make FOLDER KIT       writes the model for both sides: FOLDER/model (ours), FOLDER/model.onnx
    sentiment_other.py real FOLDER KIT       writes a model of real weights: FOLDER/minilm
    sentiment_other.py serve FOLDER THREADS  answers each line "N" of standard input with the ms that a pass of N tokens took

Run by the Python of build/model-bench/venv. KIT is the folder of modelkit.py.
"""

import sys
import time
from pathlib import Path

import numpy as np

BASE = (768, 12, 6, 3072, 30522)


def write_onnx(config, tensors, path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    dim, heads, nodes, values = config["dim"], config["n_heads"], [], []

    def const(name, array):
        values.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def node(kind, *inputs, out=None, **attributes):
        nodes.append(helper.make_node(kind, inputs, [out or f"n{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def linear(x, name):
        product = node("MatMul", x, const(f"{name}.weight", tensors[f"{name}.weight"].T))
        return node("Add", product, const(f"{name}.bias", tensors[f"{name}.bias"]))

    def norm(x, name):
        weights = (const(f"{name}.{kind}", tensors[f"{name}.{kind}"]) for kind in ("weight", "bias"))
        return node("LayerNormalization", x, *weights, axis=-1, epsilon=1e-12)

    half, one, root = (const(f"c{v}", np.float32(v)) for v in (0.5, 1, 2**0.5))
    scale = const("scale", np.float32((dim // heads) ** 0.5))
    split = const("split", np.array([0, 0, heads, dim // heads], np.int64))
    join = const("join", np.array([0, 0, dim], np.int64))

    def head(x, name, order):
        return node("Transpose", node("Reshape", linear(x, name), split), perm=order)

    words, places = "distilbert.embeddings.word_embeddings.weight", "distilbert.embeddings.position_embeddings.weight"
    x = node("Add", node("Gather", const(words, tensors[words]), "ids"), node("Gather", const(places, tensors[places]), "places"))
    x = norm(x, "distilbert.embeddings.LayerNorm")
    for layer in range(config["n_layers"]):
        prefix = f"distilbert.transformer.layer.{layer}"
        q = node("Div", head(x, f"{prefix}.attention.q_lin", [0, 2, 1, 3]), scale)
        scores = node("MatMul", q, head(x, f"{prefix}.attention.k_lin", [0, 2, 3, 1]))
        weights = node("Softmax", node("Add", scores, "mask"), axis=-1)
        context = node("MatMul", weights, head(x, f"{prefix}.attention.v_lin", [0, 2, 1, 3]))
        context = node("Reshape", node("Transpose", context, perm=[0, 2, 1, 3]), join)
        x = norm(node("Add", linear(context, f"{prefix}.attention.out_lin"), x), f"{prefix}.sa_layer_norm")
        y = linear(x, f"{prefix}.ffn.lin1")
        y = node("Mul", node("Mul", y, node("Add", node("Erf", node("Div", y, root)), one)), half)
        x = norm(node("Add", linear(y, f"{prefix}.ffn.lin2"), x), f"{prefix}.output_layer_norm")
    first = node("Gather", x, const("first", np.array(0, np.int64)), axis=1)
    node("Identity", linear(node("Relu", linear(first, "pre_classifier")), "classifier"), out="logits")
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"]),
        helper.make_tensor_value_info("places", TensorProto.INT64, ["tokens"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", 1, 1, "tokens"]),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(config["id2label"])])]
    graph = helper.make_graph(nodes, "distilbert", inputs, outputs, values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def make(folder, kit):
    sys.path.append(kit)
    import modelkit

    config = modelkit.configuration(*BASE)
    model = modelkit.Model(folder / "model", config, modelkit.seeded(config, 1), residue=2)
    write_onnx(config, model.tensors, folder / "model.onnx")


def make_real(folder, kit):
    sys.path.append(kit)
    import modelkit

    modelkit.Model(folder / "minilm", *modelkit.minilm(), residue=2)


def serve(folder, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    for line in sys.stdin:
        tokens = int(line)
        ids = (np.arange(tokens) * 7919 + 1000) % BASE[4]
        feed = {"ids": ids[None], "places": np.arange(tokens), "mask": np.zeros((1, 1, 1, tokens), np.float32)}
        begun = time.perf_counter()
        session.run(None, feed)
        print((time.perf_counter() - begun) * 1000, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), sys.argv[3])
    elif sys.argv[1] == "real":
        make_real(Path(sys.argv[2]), sys.argv[3])
    else:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
