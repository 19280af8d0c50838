"""src/model/wordpiece against the package tokenizers: every code point, the kept cases, and texts made to be nasty."""

import json
import random
import re
import sys

import pytest

import modelkit
from own_handlers import own
from workerproc import ROOT

pytestmark = pytest.mark.skipif(not modelkit.HAVE, reason=modelkit.MISSING)

sys.path.append(str(ROOT / "tests"))
CASES = ROOT / "tests/blackbox/tokenizer_cases.json"
CLASSES = ("word", "drop", "space", "isolate")


@pytest.fixture
def ask(worker, platform):
    """ask(input) -> the output of handlers/model.c."""
    worker(platform, handler=own("model"))
    asked = iter(range(1000))

    def once(value):
        name = f"ask-{next(asked)}"
        platform.give({"id": name, "input": value})
        return platform.wait_final(name).json()["output"]

    return once


def theirs():
    """BertTokenizerFast's pipeline, as AutoTokenizer builds it from vocab.txt."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {line: i for i, line in enumerate(modelkit.VOCABULARY.read_text("utf-8").splitlines())}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    tokenizer.enable_truncation(512)
    return tokenizer


def test_every_code_point(ask):
    """All 1,112,064 scalar values, between two letters: what the table was made from."""
    from unicode_table import behaviour

    def written(point, kind, text):
        del point
        return f"{CLASSES.index(kind)}:" + "".join(f"{ord(c):x}." for c in text)

    wanted = [written(point, *what) for point, what in behaviour().items()]
    got = []
    for first in range(0, 0x110000, 0x20000):
        got += ask({"map": [first, min(0x20000, 0x110000 - first)]}).split()
    assert len(got) == len(wanted) == 1112064
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    assert [(hex(p), g, w) for p, g, w in zip(points, got, wanted) if g != w][:20] == []


def test_kept_cases(ask):
    cases = json.loads(CASES.read_text("utf-8"))["cases"]
    # Half a surrogate pair can stand in JSON, but not in UTF-8: the worker reads it as U+FFFD.
    texts = [re.sub("[\ud800-\udfff]", "\ufffd", json.loads(case["json"])) for case in cases]
    got = ask({"vocabulary": str(modelkit.VOCABULARY), "texts": texts})
    assert [(text[:80], g, case["ids"]) for text, g, case in zip(texts, got, cases) if g != case["ids"]] == []


def nasty(seed):
    """A text of pieces that meet each other's rules."""
    random_ = random.Random(seed)
    pieces = ["[SEP]", "[CLS", "[mask]", "[MASK]", "don't", "ΑΣΣ", "İstanbul", "ﬁ", "ß", "한국어", "\u1112\u1161\u11ab", "中国", "日本ガ",
              "e\u0301\u0323", "\u0300", "\u200b", "\u00ad", "\u00a0", "\u2028", "\t\r\n", "\x00", "\ufffd", "👩‍👩‍👧", "x" * 99, "x" * 101,
              "unaffable", "ǅ", "ÅÅ", "ﷺ", "１２", "…", "¿qué?", "क्षि", "\U0001d400", "\ue000", "\U000e0041"]
    out = []
    for _ in range(random_.randrange(1, 30)):
        kind = random_.random()
        if kind < 0.6:
            out.append(random_.choice(pieces))
        elif kind < 0.8:
            point = random_.choice((random_.randrange(0x250), random_.randrange(0xD800), random_.randrange(0xE000, 0x20000)))
            out.append(chr(point))
        else:
            out.append(random_.choice((" ", "", "word ", "-")))
    return "".join(out)


def test_nasty_texts(ask):
    texts = [nasty(seed) for seed in range(4000)] + ["a " * 600, "[SEP]" * 700, "\u0301" * 5000 + "x", "x" * 100000]
    tokenizer = theirs()
    got = ask({"vocabulary": str(modelkit.VOCABULARY), "texts": texts})
    wanted = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    assert [(text, g, w) for text, g, w in zip(texts, got, wanted) if g != w][:5] == []
