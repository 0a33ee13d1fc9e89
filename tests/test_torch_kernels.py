"""PyTorch's kernels and the formulas they stand for: same numbers, same gradients."""

from math import inf, nan

import numpy as np
import pytest
import torch
from libraries import close

from lmmath import torch_kernels
from lmmath.attention import (
    attention_weights,
    causal_mask,
    scaled_dot_product_attention,
)
from lmmath.autodiff import Tensor
from lmmath.neurons import dense, gelu, silu
from lmmath.training import adamw_init, adamw_update, clip_by_global_norm, token_losses
from lmmath.transformer import layer_norm, rms_norm

RNG = np.random.default_rng(3)


def tensor(array, dtype=torch.float64):
    return torch.tensor(array, dtype=dtype, requires_grad=True)


MASKS = {
    "none": None,
    "causal": causal_mask(6),
    "causal of torch": torch.from_numpy(causal_mask(6)),
    "a row with nothing": np.arange(6)[:, None] > np.arange(6),
    "with a past": causal_mask(4, n_past=2),
    "for each text": RNG.random((2, 1, 6, 6)) > 0.5,
    "one row for all": np.asarray([[True, True, False, True, False, True]]),
}


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_attention_by_the_kernel_is_attention_by_the_weights(mask, scale):
    n_queries = 6 if mask is None else max(mask.shape[-2], 1)
    q, k, v = (
        RNG.normal(size=(2, 3, n, d)) for n, d in ((n_queries, 4), (6, 4), (6, 5))
    )
    factor = torch.from_numpy(RNG.normal(size=(2, 3, n_queries, 5)))
    by_kernel = tensor(q), tensor(k), tensor(v)
    by_weights = tensor(q), tensor(k), tensor(v)
    one = scaled_dot_product_attention(*by_kernel, mask, scale)
    other = attention_weights(*by_weights[:2], mask, scale) @ by_weights[2]
    close(one, other)
    (one * factor).sum().backward()
    (other * factor).sum().backward()
    for mine, reference in zip(by_kernel, by_weights, strict=True):
        close(mine.grad, reference.grad, 1e-12)


def test_attention_over_texts_that_share_their_keys():
    q, k, v = (
        RNG.normal(size=(2, 3, 4, 5)),
        RNG.normal(size=(6, 5)),
        RNG.normal(size=(6, 2)),
    )
    expected = scaled_dot_product_attention(q, k, v)
    close(scaled_dot_product_attention(tensor(q), tensor(k), tensor(v)), expected)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_near_zero_and_far_out(approximate):
    x = np.asarray([-1e15, -40.0, -8.3, -1.0, -1e-9, 0.0, 1e-9, 2.0, 8.3, 40.0, 1e15])
    close(gelu(tensor(x), approximate), gelu(x, approximate), 1e-14)


def test_silu_near_zero_and_far_out():
    x = np.asarray([-1e15, -800.0, -40.0, -1.0, -1e-9, 0.0, 1e-9, 2.0, 40.0, 1e15])
    close(silu(tensor(x)), silu(x), 1e-14)


def test_dense_with_a_bias_of_another_precision():
    x, w, b = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2)), RNG.normal(size=2)
    y = dense(tensor(x, torch.float32), tensor(w, torch.float32), tensor(b))
    assert y.dtype == torch.float64
    close(y, x @ w + b, 1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_layer_norm_of_rows_far_from_zero_and_of_constant_ones(offset):
    x = np.concatenate([RNG.normal(size=(3, 8)), np.zeros((1, 8))]) + offset
    weight, bias = RNG.normal(size=8), RNG.normal(size=8)
    arrays = tensor(x), tensor(weight), tensor(bias)
    close(layer_norm(*arrays, eps=1e-3), layer_norm(x, weight, bias, eps=1e-3), 1e-8)


def test_layer_norm_in_a_precision_other_than_its_weights():
    x, weight = RNG.normal(size=(3, 8)), np.ones(8)
    y = layer_norm(tensor(x, torch.float16), tensor(weight), tensor(weight))
    assert y.dtype == torch.float64
    close(y, layer_norm(x, weight, weight), 3e-3)


def test_rms_norm_of_rows_far_from_zero_and_of_zeros():
    x = np.concatenate(
        [RNG.normal(size=(3, 8)) * [[1e-3], [1], [1e6]], np.zeros((1, 8))]
    )
    weight = RNG.normal(size=8)
    close(rms_norm(tensor(x), tensor(weight), eps=1e-3), rms_norm(x, weight, eps=1e-3))
    half = rms_norm(tensor(x[:2], torch.float16), tensor(weight))
    assert half.dtype == torch.float64
    close(half, rms_norm(x[:2], weight), 3e-3)


def test_losses_where_a_token_is_ruled_out():
    logits = np.asarray([[0.0, -inf, 1.0], [-inf, 900.0, -900.0]])
    for targets in ([0, 1], [1, 0], [2, 2]):
        expected = token_losses(logits, np.asarray(targets))
        close(token_losses(tensor(logits), np.asarray(targets)), expected)


def test_losses_where_no_token_is_possible_or_one_is_infinite():
    logits = np.asarray([[-inf, -inf], [inf, 0.0], [0.0, nan], [0.0, 0.0]])
    for targets in ([0, 0, 0, 0], [1, 1, 1, 1]):
        expected = token_losses(logits, np.asarray(targets))
        close(expected, [inf, nan, nan, np.log(2)])
        close(token_losses(tensor(logits), np.asarray(targets)), expected)


PARAMS = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}


def to_torch(arrays, dtype=torch.float64):
    return {name: torch.tensor(array, dtype=dtype) for name, array in arrays.items()}


@pytest.mark.parametrize("decayed", [set(), {"w"}, {"w", "b"}])
@pytest.mark.parametrize("reuse", [False, True])
def test_adamw_in_one_pass_is_adamw(decayed, reuse):
    arguments = 0.1, (0.8, 0.95)
    theta, state = PARAMS, adamw_init(PARAMS)
    ours = start = to_torch(PARAMS)
    our_state = adamw_init(ours)
    before = {name: array.clone() for name, array in ours.items()}
    spare, first = None, our_state
    for _ in range(5):
        gradients = {
            name: RNG.normal(size=array.shape) for name, array in PARAMS.items()
        }
        theta, state = adamw_update(
            theta, gradients, state, *arguments, weight_decay=0.3, decayed=decayed
        )
        last = ours, our_state
        ours, our_state = torch_kernels.adamw_update(
            ours, to_torch(gradients), our_state, *arguments, 0.3, decayed, out=spare
        )
        spare = last if reuse else None
        assert our_state["step"] == state["step"]
        for name in PARAMS:
            close(ours[name], theta[name])
            close(our_state["m"][name], state["m"][name])
            close(our_state["v"][name], state["v"][name])
        if not reuse:  # what came is as it was
            assert all(torch.equal(start[name], before[name]) for name in before)
            assert not any(array.any() for array in first["m"].values())


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e3])
def test_clipping_in_one_call_is_clipping(max_norm):
    expected, length = clip_by_global_norm(PARAMS, max_norm)
    clipped, norm = torch_kernels.clip_by_global_norm(to_torch(PARAMS), max_norm)
    close(norm, length)
    for name, array in expected.items():
        close(clipped[name], array)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize(
    "mask",
    [
        causal_mask(5),
        causal_mask(1, 4),
        causal_mask(2, 3),
        RNG.random((2, 1, 2, 5)) > 0.4,
    ],
    ids=["causal", "one query", "with a past", "for each text"],
)
def test_attention_in_groups_is_attention_with_keys_repeated(batch, mask):
    if mask.ndim > 2 and batch != (2,):
        mask = mask[0, 0]
    n = mask.shape[-2]
    q = RNG.normal(size=(*batch, 6, n, 4))
    k, v = RNG.normal(size=(2, *batch, 2, 5, 4))
    repeated = [np.repeat(part, 3, axis=-3) for part in (k, v)]
    expected = scaled_dot_product_attention(q, *repeated, mask)
    close(
        torch_kernels.grouped_attention(tensor(q), tensor(k), tensor(v), mask), expected
    )


@pytest.mark.parametrize("mask", [causal_mask(5), RNG.random((2, 1, 5, 5)) > 0.4])
def test_a_forbidden_key_has_no_say_in_groups_either(mask):
    q, k, v = (RNG.normal(size=(2, n_heads, 5, 4)) for n_heads in (6, 2, 2))
    k[:, :, -1] = nan
    repeated = [np.repeat(part, 3, axis=-3) for part in (k, v)]
    expected = scaled_dot_product_attention(q, *repeated, mask)
    assert np.any(np.isnan(expected))
    assert np.any(np.isfinite(expected))
    mixed = torch_kernels.grouped_attention(tensor(q), tensor(k), tensor(v), mask)
    close(mixed, expected)


def test_a_bias_may_learn():
    q, k, v, bias = RNG.normal(size=(4, 2, 3, 3))
    mask = causal_mask(3)
    theirs = torch.tensor(bias, requires_grad=True)
    arrays = map(tensor, (q, k, v))
    scaled_dot_product_attention(*arrays, mask, bias=theirs).sum().backward()
    ours = Tensor(bias)
    mixed = scaled_dot_product_attention(*map(Tensor, (q, k, v)), mask, bias=ours)
    mixed.backward(np.ones(mixed.shape))
    close(theirs.grad, ours.grad)
