"""Traces in the browser hold what they hold in Python, and a damaged file says what is wrong."""

import base64
import functools
import re
from pathlib import Path

import numpy as np
import pytest
from test_traces import DAMAGES  # so that both readers are told the same

from lmmath.language_models import init
from lmmath.tokenization import BPETokenizer
from lmmath.traces import SENTENCES, pack, read_trace, unpack
from lmmath.transformer import LlamaConfig
from lmmath.weights import load_smollm2

WIDGETS = Path(__file__).parents[2] / "lmmath" / "widgets"

OPEN = """
async (data) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const { parseTrace } = await import("/engines/trace_file.js");
  window.trace = await parseTrace(bytes.buffer);
}
"""
WHOLE = """
() => {
  const { tokens, n_layers, n_heads } = trace;
  const range = (n) => Array.from({ length: n }, (_, i) => i);
  const positions = range(tokens.length);
  return {
    text: trace.text,
    tokens,
    pieces: trace.pieces,
    words: trace.words,
    sizes: [trace.vocab_size, n_layers, n_heads],
    attention: range(n_layers).map((l) => range(n_heads).map((h) =>
      trace.attention(l, h).map((row) => Array.from(row)))),
    lens: range(n_layers + 1).map((stage) => positions.map((i) => trace.lensAt(stage, i))),
    ranks: Array.from(trace.lens.ranks),
    next: positions.map((i) => trace.nextAt(i)),
    last: [trace.last.ids, trace.last.logits, trace.last.tail.logits, trace.last.tail.counts]
      .map((array) => Array.from(array)),
    losses: Array.from(trace.losses),
    largest: range(n_layers + 1).map(trace.largest),
    cosines: [true, false].map((isWhole) => range(n_layers + 1).map((stage) =>
      trace.cosines(stage, isWhole).map((row) => Array.from(row)))),
    kinds: [trace.lens.ids, trace.lens.probabilities, trace.lens.ranks, trace.next.ids,
      trace.next.probabilities, trace.last.logits, trace.losses, trace.attention(0, 0)[0]]
      .map((array) => array.constructor.name),
  };
}
"""


@pytest.fixture
def run(page, serving):
    """Run a function in the page, which has ``trace`` once ``OPEN`` gave it one."""
    with serving(WIDGETS) as address:
        page.goto(f"{address}/kit/shared.css")  # any page of that server will do
        yield page.evaluate


def encoded(content):
    return base64.b64encode(content).decode()


@functools.cache
def small(vocab_size=260):
    """Pack a trace of random weights."""
    marks = ["<|endoftext|>", *(f"<{i}>" for i in range(vocab_size - 257))]
    tokenizer = BPETokenizer([], marks)
    config = LlamaConfig(vocab_size, 90, 8, n_layers=3, n_heads=4, d_ff=6, n_kv_heads=2)
    rng = np.random.default_rng(3)
    params = {n: a + rng.normal(size=a.shape) for n, a in init(config, rng).items()}
    return pack(read_trace(params, config, tokenizer, "the moon"), tokenizer)


def real():
    """Pack a trace of the real model: the one with letters that are not English."""
    params, config, tokenizer = load_smollm2()
    trace = read_trace(params, config, tokenizer, SENTENCES["Spanish"])
    return pack(trace, tokenizer)


@pytest.mark.parametrize(
    "make", [small, lambda: small(1000), real], ids=["small", "many", "real"]
)
def test_a_trace_is_what_it_is_in_python(run, make):
    content = make()
    run(OPEN, encoded(content))
    seen, words = unpack(content)
    found = run(WHOLE)
    for name in ("text", "pieces"):
        assert found[name] == getattr(seen, name)
    assert found["tokens"] == seen.tokens.tolist()
    assert {int(i): word for i, word in found["words"].items()} == words
    n_layers, n_heads = seen.attention.shape[:2]
    assert found["sizes"][1:] == [n_layers, n_heads]
    assert np.array_equal(np.asarray(found["attention"], np.float32), seen.attention)
    for name, ids, probabilities in (
        ("lens", seen.lens_ids, seen.lens_probabilities),
        ("next", seen.next_ids, seen.next_probabilities),
    ):
        came = np.asarray(found[name])
        assert came.shape == ids.shape
        for entry, i, probability in zip(
            came.flat, ids.flat, probabilities.flat, strict=True
        ):
            assert entry == {"id": i, "text": words[i], "probability": probability}
    assert found["ranks"] == seen.lens_ranks.ravel().tolist()
    assert found["last"] == [
        part.tolist()
        for part in (
            seen.last_ids,
            seen.last_logits,
            seen.tail_logits,
            seen.tail_counts,
        )
    ]
    assert found["losses"] == seen.losses.tolist()
    assert found["largest"] == [
        {"feature": feature, "size": size}
        for feature, size in zip(
            seen.largest_features.tolist(), seen.largest_sizes.tolist(), strict=True
        )
    ]
    assert np.array_equal(np.asarray(found["cosines"], np.float32), seen.cosines)
    assert found["kinds"] == [
        "Uint16Array", "Float32Array", "Uint32Array", "Uint16Array", "Float32Array",
        "Float32Array", "Float32Array", "Float32Array",
    ]  # fmt: skip


def test_a_damaged_file_is_told(run):
    said = f"async (data) => ({OPEN.strip()})(data).catch((error) => error.message)"
    for name, (damage, problem) in DAMAGES.items():
        message = run(said, encoded(damage(small())))
        pattern = rf"The trace cannot be read: {problem}.*\."
        assert re.fullmatch(pattern, message or ""), (name, message)


@pytest.mark.parametrize("what", ["null", "undefined", "'text'", "[1, 2]"])
def test_what_is_no_bytes_is_told(run, what):
    script = """
    async (what) => {
      const { parseTrace } = await import("/engines/trace_file.js");
      return parseTrace(eval(what)).catch((error) => error.message);
    }
    """
    message = run(script, what)
    assert message.startswith("The trace cannot be read: bytes were expected, got ")
