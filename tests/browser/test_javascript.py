"""The widgets' JavaScript computes what lmmath computes, in the browser that runs it."""

import sys
import unicodedata

import numpy as np
import pytest
import scipy.special

from lmmath.widgets import AttentionWidget
from lmmath.widgets.attention import tokenize

NUMBERS = np.random.default_rng(3)


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual, float), expected, 1e-12, 1e-12)


@pytest.mark.parametrize(
    "scores",
    [
        [0.0],
        [1e4, -1e4, 1e4],
        [-1e300, 0.0],
        *(NUMBERS.normal(size=(3, 9)) * 30).tolist(),
    ],
)
def test_softmax(call, scores):
    close(call("mathematics.js", "softmax", scores), scipy.special.softmax(scores))


@pytest.mark.parametrize(("n", "d_in", "d_out"), [(1, 1, 1), (3, 5, 2), (7, 8, 4)])
def test_multiply(call, n, d_in, d_out):
    x, w = NUMBERS.normal(size=(n, d_in)), NUMBERS.normal(size=(d_in, d_out))
    close(call("mathematics.js", "multiply", x.tolist(), w.tolist()), x @ w)


COMPUTE = """
async (traits) => {
  const { compute } = await import("/attention.js");
  for (const [name, { shape, data }] of Object.entries(traits.arrays)) {
    const padded = new Float64Array([NaN, ...data]);  // a view that does not start at 0
    traits[name] = { shape, data: new DataView(padded.buffer, 8) };
  }
  return compute({ get: (name) => traits[name] });
}
"""
PLAIN_TRAITS = ["text", "query", "head", "causal", "scaled", "vocabulary", "head_names"]
ARRAY_TRAITS = ["embeddings", "w_q", "w_k"]


def computed_in_the_browser(page, widget):
    traits = {name: getattr(widget, name) for name in PLAIN_TRAITS}
    arrays = {name: getattr(widget, name) for name in ARRAY_TRAITS}
    traits["arrays"] = {
        name: {"shape": list(array.shape), "data": array.ravel().tolist()}
        for name, array in arrays.items()
    }
    return page.evaluate(COMPUTE, traits)


@pytest.mark.parametrize("head", [0, 1])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_attention_weights_of_any_model(page, call, head, causal, scaled):
    widget = AttentionWidget(
        text="one TWO, two four three zero",
        head=head,
        causal=causal,
        scaled=scaled,
        vocabulary=["one", "two", "three", "four"],
        embeddings=NUMBERS.normal(size=(4, 5)) * 3,
        head_names=["a", "b"],
        w_q=NUMBERS.normal(size=(2, 5, 3)),
        w_k=NUMBERS.normal(size=(2, 5, 3)),
    )
    state = computed_in_the_browser(page, widget)
    assert state["tokens"] == widget.tokens
    close(state["weights"], widget.weights)


@pytest.mark.parametrize(
    ("text", "left"), [("", 0), ("she " * 512, 0), ("she it " * 300, 88)]
)
def test_texts_of_any_length(page, call, text, left):
    widget = AttentionWidget(text=text)
    state = computed_in_the_browser(page, widget)
    assert state["tokens"] == widget.tokens
    assert state["left"] == left
    close(np.asarray(state["weights"]).reshape(widget.weights.shape), widget.weights)


def test_tokens_of_any_text(call, page):
    assigned = [
        sign
        for sign in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(sign) not in ("Cn", "Cs", "Co")
    ]
    texts = ["".join(NUMBERS.choice(assigned, 40)) for _ in range(500)]
    texts += [
        "it's",
        "a\u0301b",
        "👩‍👩‍👧 ok",
        "\ufeffx\u200b y",
        "tab\tnew\nline\x00",
        "x" * 10_000,
    ]
    script = "async (texts) => texts.map((await import('/attention.js')).tokenize)"
    assert page.evaluate(script, texts) == [tokenize(text) for text in texts]
