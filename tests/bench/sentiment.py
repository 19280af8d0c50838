"""The figures of the sentiment handler beside onnxruntime, and beside torch (--torch): same weights (base size, from a seed), same
threads, taking turns.

Ours is measured at the client of its realtime server, HTTP and tokenizer included; the other side is the pass alone, in its own
process. "Unbatched" is that side's passes one after the other, without the SDK around them.
"""

import concurrent.futures
import contextlib
import glob
import os
import subprocess
import sys
import time

import sentiment_sides as sides
from procs import BenchError
from sentiment_beside_torch import BesideNothing, BesideTorch
from sentiment_sides import IN_FLIGHT, LENGTHS, THREADS, TURNS
from table import Row

AT_ONCE = {16: 320, 128: 96}  # requests of a round
STARTS = 3
LEAST = {16: 1 / 1.3}  # of onnxruntime's time, as a least ratio; else:
LEAST_ELSE = 1 / 1.1
OTHER = "onnxruntime"


def flops(tokens, dim=768, hidden=3072, layers=6):
    """Of what is computed: of the last layer keys, values and one token."""
    layer = 2 * tokens * (4 * dim * dim + 2 * dim * hidden) + 4 * tokens * tokens * dim
    last = 2 * tokens * 2 * dim * dim + 2 * (2 * dim * dim + 2 * dim * hidden) + 4 * tokens * dim
    return (layers - 1) * layer + last


def _start(bench, rows, beside):
    """The whole process, until the line with the answer: with the weights in the page cache, and once a round without."""
    model = os.path.join(sides.FOLDER, "model")
    weights = os.path.join(model, "model.safetensors")
    command = [bench.build("handlers/sentiment"), "--model", model, "--threads", str(THREADS), "--device", "cpu"]
    for _ in range(bench.rounds):
        if sides.out_of_page_cache(weights):
            rows["cold start"].add("ours", sides.first_answer(command, {})[0])
        else:
            rows["cold start"].absent = "page cache"
        if sides.out_of_page_cache(weights):
            beside.start(rows["cold start"])
        sides.into_page_cache(weights)
        for _ in range(STARTS):
            took, memory = sides.first_answer(command, {})
            rows["start"].add("ours", took)
            rows["start memory"].add("ours", memory)
        beside.start(rows["start"], rows["start memory"])


def _at_once(ours, tokens, count):
    """Requests a second with 32 in flight, each on a connection of its own."""
    def client(share):
        connection = ours.connect()
        for _ in range(share):
            ours.ask(connection, tokens)
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(IN_FLIGHT) as pool:
        begun = time.perf_counter()
        list(pool.map(client, [count // IN_FLIGHT] * IN_FLIGHT))
        return count / (time.perf_counter() - begun)


def _one_round(ours, other, beside, rows):
    connection = ours.connect()
    for tokens in LENGTHS:
        for _ in range(TURNS[tokens]):
            rows[tokens].add("ours", ours.ask(connection, tokens))
            rows[tokens].add("sdk", other.ask(tokens))
            beside.turn(tokens)
    for tokens, count in AT_ONCE.items():
        rows["at once", tokens].add("ours", _at_once(ours, tokens, count))
        passes = [other.ask(tokens) for _ in range(TURNS[tokens])]
        rows["at once", tokens].add("sdk", 1000 * len(passes) / sum(passes))
        beside.unbatched(tokens)
    connection.close()


def _peak(bench, rows):
    """The peak of multiply-adds is measured in each round: its median is what a pass is compared with."""
    binary = os.path.join(bench.folder, "peak")
    command = ["gcc", "-O2", "-march=native", "-pthread", "-o", binary, os.path.join(sides.HERE, "peak.c")]
    if subprocess.run(command, check=False).returncode != 0:
        raise BenchError("cannot compile peak.c")
    peak = max(float(subprocess.run([binary, str(THREADS)], capture_output=True, text=True, check=True).stdout)
               for _ in range(bench.rounds))
    for tokens in (128, 512):
        for ms in rows[tokens].samples["ours"]:
            rows["share", tokens].add("ours", 100 * flops(tokens) / (ms / 1000) / (peak * 1e9))
        rows["share", tokens].note = f"peak {peak:.0f} GFLOP/s on {THREADS} threads, requests over HTTP"


def _cpu_only(bench):
    """The handler without the GPU part, as its manual makes it. It has answered once."""
    binary = bench.file("sentiment-cpu")
    sources = sorted(glob.glob(os.path.join(sides.ROOT, "src/handlers/sentiment/*.c")))
    parts = os.path.join(sides.ROOT, "build", os.uname().machine, "kit/worker.a")
    flags = ["-DWITHOUT_GPU", f"-I{sides.ROOT}/src", parts]
    sides.run_all([[os.path.join(sides.ROOT, "build.sh"), "handler", *sources, "-o", binary, "--", *flags]])
    sides.first_answer([binary, "--model", os.path.join(sides.FOLDER, "model")], {})
    return binary


def _has_gpu(bench):
    try:
        done = subprocess.run([bench.build("worker-gpu"), "--gpu-info"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _on_gpu(bench, rows):
    """The same requests with the network on the device; torch, which would be the opponent, is not a part of this run."""
    ours = sides.Ours(bench.build("handlers/sentiment"), "cuda")
    try:
        connection = ours.connect()
        for tokens in LENGTHS:
            row = rows["gpu", tokens] = Row(f"sentiment on the GPU: {tokens} tokens", "ms")
            for _ in range(bench.rounds * TURNS[16]):
                row.add("ours", ours.ask(connection, tokens))
        connection.close()
        for tokens, count in AT_ONCE.items():
            row = rows["gpu at once", tokens] = Row(f"sentiment on the GPU: {IN_FLIGHT} in flight, {tokens} tokens", "/s",
                                                    more_is_better=True)
            for _ in range(bench.rounds):
                row.add("ours", _at_once(ours, tokens, count))
    finally:
        ours.close()


def _rows(beside):
    script = beside.SCRIPT
    rows = {
        "start": Row("sentiment: start to first answer", "ms", 150, beside.START_RATIO, against=script),
        "cold start": Row("sentiment: the same, weights not in the page cache", "ms", against=script),
        "start memory": Row("sentiment: peak memory of a start, mapped files included", "MiB", against=script),
    }
    for tokens in LENGTHS:
        rows[tokens] = Row(f"sentiment: {tokens} tokens", "ms", min_ratio=LEAST.get(tokens, LEAST_ELSE), against=OTHER)
    for tokens in (128, 512):
        rows["share", tokens] = Row(f"sentiment: share of FMA peak, {tokens} tokens", "%", limit=60, more_is_better=True)
    for tokens in AT_ONCE:  # what is asked of these is asked beside the documented handler
        rows["at once", tokens] = Row(f"sentiment: {IN_FLIGHT} in flight, {tokens} tokens", "/s", more_is_better=True,
                                      against=f"{OTHER} unbatched")
    rows["memory"] = Row("sentiment: private memory beyond the mapping", "MiB", limit=48)
    rows["size"] = Row("sentiment: binary", "KB", limit=850)
    rows["cpu size"] = Row("sentiment: binary without the GPU part", "KB", limit=600)
    return rows


def _measure(bench, rows, beside, opened):
    """`opened` gets what is to be closed."""
    binary = bench.build("handlers/sentiment")
    rows["size"].add("ours", os.path.getsize(binary) / 1000)
    sides.prepare()
    beside.prepare(binary)
    rows["cpu size"].add("ours", os.path.getsize(_cpu_only(bench)) / 1000)
    _start(bench, rows, beside)
    ours = opened.enter_context(contextlib.closing(sides.Ours(binary)))
    other = opened.enter_context(contextlib.closing(sides.onnxruntime()))
    other.ask(16)
    beside.open(opened)
    for n in range(bench.rounds):
        bench.progress(f"sentiment: round {n + 1} of {bench.rounds}")
        _one_round(ours, other, beside, rows)
    rows["memory"].add("ours", ours.private_mib())
    _peak(bench, rows)


def all_figures(bench):
    beside = BesideTorch() if bench.options.torch else BesideNothing()
    rows = _rows(beside)
    rows.update(beside.rows(rows))
    bench.progress("sentiment")
    try:
        with contextlib.ExitStack() as opened:
            _measure(bench, rows, beside, opened)
        beside.errors(bench.build("handlers/sentiment"))
        if _has_gpu(bench):
            _on_gpu(bench, rows)
    except (BenchError, OSError, ValueError, subprocess.SubprocessError) as e:
        print(f"bench: sentiment: {e}", file=sys.stderr)
        for row in rows.values():
            row.fail_unmeasured(str(e))
    return list(rows.values())
