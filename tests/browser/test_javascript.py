"""The widgets' JavaScript computes what lmmath computes, in the browser that runs it."""

import numpy as np
import pytest
import scipy.special

from lmmath.attention import attention_weights, causal_mask
from lmmath.sampling import min_p_filter, top_k_filter, top_p_filter

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
    close(
        call("engines/mathematics.js", "softmax", scores), scipy.special.softmax(scores)
    )


@pytest.mark.parametrize(("n", "d_in", "d_out"), [(1, 1, 1), (3, 5, 2), (7, 8, 4)])
def test_multiply(call, n, d_in, d_out):
    x, w = NUMBERS.normal(size=(n, d_in)), NUMBERS.normal(size=(d_in, d_out))
    close(call("engines/mathematics.js", "multiply", x.tolist(), w.tolist()), x @ w)


NEST = """
async ([shape, numbers]) => {
  const { toNested } = await import("/engines/mathematics.js");
  const padded = new Float64Array([NaN, ...numbers]);  // a view that does not start at 0
  return toNested({ shape, data: new DataView(padded.buffer, 8) });
}
"""


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 1, 3), (1, 2, 2, 2)])
def test_an_array_trait_becomes_nested_arrays(page, call, shape):
    numbers = NUMBERS.normal(size=shape)
    nested = page.evaluate(NEST, [shape, numbers.ravel().tolist()])
    assert nested == numbers.tolist()


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_weights(call, scale, causal):
    q, k = NUMBERS.normal(size=(2, 6, 4)) * 3
    options = {"scale": scale, "causal": causal}
    found = call(
        "engines/mathematics.js", "attentionWeights", q.tolist(), k.tolist(), options
    )
    mask = causal_mask(6) if causal else None
    close(found, attention_weights(q, k, mask, scale=scale))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("top_k", [1, 7, 40, 512])
@pytest.mark.parametrize(("top_p", "min_p"), [(1, 0), (0.9, 0), (0.3, 0.02), (1, 0.1)])
def test_what_truncation_keeps_of_a_real_distribution(
    call, temperature, top_k, top_p, min_p
):
    logits = np.sort(NUMBERS.normal(0, 3, 60))[::-1]
    rules = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
    }
    last = {"logits": logits.tolist(), "tail": []}
    found = call("kit/real_next.js", "compute", last, rules)
    cooled = logits / temperature
    close(found["probabilities"], scipy.special.softmax(cooled))
    assert found["others"] == 0
    kept = min_p_filter(top_p_filter(top_k_filter(cooled, top_k), top_p), min_p)
    assert found["kept"] == np.isfinite(kept).sum()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_tail_has_its_share_at_any_temperature(call, temperature):
    listed, tail = np.asarray([2.0, 1.0, 0.0]), np.asarray([-1.0, -2.0])
    counts = [5, 7]
    last = {
        "logits": listed.tolist(),
        "tail": [
            {"logit": x, "count": n} for x, n in zip(tail.tolist(), counts, strict=True)
        ],
    }
    rules = {"temperature": temperature, "top_k": 512, "top_p": 1, "min_p": 0}
    found = call("kit/real_next.js", "compute", last, rules)
    whole = np.concatenate([listed, np.repeat(tail, counts)])
    expected = scipy.special.softmax(whole / temperature)
    close(found["probabilities"], expected[:3])
    close(found["others"], expected[3:].sum())
    assert found["kept"] == 3
    assert found["others_kept"] is True
