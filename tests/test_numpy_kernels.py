"""Attention over long texts in NumPy against the formula, which short ones go through."""

import numpy as np
import pytest
import torch
from libraries import close

from lmmath import numpy_kernels
from lmmath.attention import (
    attention_weights,
    causal_mask,
    scaled_dot_product_attention,
)
from lmmath.neurons import silu
from lmmath.positions import alibi_bias

RNG = np.random.default_rng(5)
N = 300  # more than 2**13 scores for each head

MASKS = {
    "none": None,
    "causal": causal_mask(N),
    "causal of torch": torch.from_numpy(causal_mask(N)),
    "a row with nothing": np.arange(N)[:, None] > np.arange(N),
    "for each text": RNG.random((2, 1, N, N)) > 0.5,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("bias", [None, alibi_bias(3, N)], ids=["plain", "alibi"])
def test_attention_head_by_head_is_attention_all_at_once(mask, bias, dtype):
    q, k, v = (RNG.normal(size=(2, 3, N, d)).astype(dtype) for d in (4, 4, 5))
    before = q.copy(), k.copy(), v.copy()
    mixed = scaled_dot_product_attention(q, k, v, mask, 0.7, bias)
    expected = attention_weights(q, k, mask, 0.7, bias) @ v
    assert mixed.dtype == dtype
    close(mixed, expected, 1e-13 if dtype == np.float64 else 1e-5)
    for array, same in zip((q, k, v), before, strict=True):
        assert np.array_equal(array, same)


def test_texts_that_share_their_keys_and_heads_that_share_their_values():
    q, k, v = (
        RNG.normal(size=shape) for shape in ((2, 3, 250, 5), (270, 5), (3, 270, 2))
    )
    expected = attention_weights(q, k) @ v
    close(scaled_dot_product_attention(q, k, v), expected)
    close(scaled_dot_product_attention(q[0, 0], k, v[0]), expected[0, 0])


@pytest.mark.parametrize("argument", ["mask", "bias"])
def test_what_does_not_fit_is_named(argument):
    x = RNG.normal(size=(N, 2))
    wrong = np.ones((N, 2), bool if argument == "mask" else float)
    with pytest.raises(ValueError, match=rf"^{argument} must broadcast to"):
        scaled_dot_product_attention(x, x, x, **{argument: wrong})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silu_in_three_passes_is_silu(dtype):
    x = np.concatenate([np.linspace(-800, 800, 401), np.geomspace(1e-30, 1, 50)])
    x = x.astype(dtype)
    expected = x.astype(np.longdouble) / (1 + np.exp(-x.astype(np.longdouble)))
    smallest = np.finfo(dtype).smallest_normal
    np.testing.assert_allclose(
        numpy_kernels.silu(x),
        expected,
        rtol=4 * np.finfo(dtype).eps,
        atol=800 * smallest,
    )
    assert silu(x).dtype == dtype
    assert np.array_equal(silu(x), numpy_kernels.silu(x))
