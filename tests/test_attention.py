"""Attention against torch, SciPy and the array API's strict implementation."""

import math
from math import inf, nan

import array_api_strict
import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from libraries import LIBRARIES, close

from lmmath.attention import (
    attention_weights,
    causal_mask,
    entropy,
    log_softmax,
    merge_heads,
    multi_head_attention,
    scaled_dot_product_attention,
    softmax,
    softmax_jacobian,
    split_heads,
)
from lmmath.autodiff import Tensor

SCORES = st.floats(-1e4, 1e4, allow_subnormal=False)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


# Softmax


@given(hnp.arrays(float, SHAPES, elements=SCORES), st.data())
def test_softmax_and_its_logarithm_equal_scipy(x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    close(softmax(x, axis), scipy.special.softmax(x, axis))
    close(log_softmax(x, axis), scipy.special.log_softmax(x, axis))


@given(hnp.arrays(float, st.integers(1, 8), elements=SCORES), st.floats(-1e4, 1e4))
def test_softmax_sums_to_one_and_ignores_a_shift(x, shift):
    close(np.sum(softmax(x)), 1.0)
    close(softmax(x + shift), softmax(x), 1e-10)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_softmax_neither_overflows_nor_changes_dtype(dtype):
    x = np.asarray([1e4, 1e4, -1e4], dtype)
    close(softmax(x), [0.5, 0.5, 0.0])
    assert softmax(x).dtype == dtype
    assert log_softmax(x).dtype == dtype
    assert np.all(np.isfinite(log_softmax(x)))


def test_softmax_gives_minus_infinity_weight_zero():
    close(softmax(np.asarray([0.0, -np.inf])), [1.0, 0.0])


@given(hnp.arrays(float, (2, 5), elements=st.floats(-5, 5)))
def test_softmax_jacobian_equals_torch(x):
    jacobian = softmax_jacobian(softmax(x))
    for row, expected_from in zip(jacobian, torch.from_numpy(x), strict=True):
        close(
            row,
            torch.autograd.functional.jacobian(lambda t: t.softmax(-1), expected_from),
        )


@given(hnp.arrays(float, (3, 4), elements=SCORES), st.sampled_from([0, 1, -1]))
def test_entropy_equals_scipy(x, axis):
    weights = softmax(x, axis)
    close(entropy(weights, axis), scipy.special.entr(weights).sum(axis))


def test_entropy_spans_zero_to_log_n():
    assert entropy(np.asarray([0.0, 1.0, 0.0])) == 0
    close(entropy(np.full(7, 1 / 7)), math.log(7))


# Attention


@pytest.mark.parametrize(
    "mask_shape", [None, (5,), (1, 5), (4, 5), (3, 1, 5), (2, 1, 4, 5)]
)
@pytest.mark.parametrize("scale", [None, 1.0, 0.3])
def test_attention_equals_torch_with_every_mask_shape_and_scale(rng, mask_shape, scale):
    query, key = rng.normal(size=(2, 3, 4, 6)), rng.normal(size=(2, 3, 5, 6))
    value = rng.normal(size=(2, 3, 5, 7))
    mask = None if mask_shape is None else rng.random(mask_shape) < 0.6
    torch_mask = (
        None if mask is None else torch.from_numpy(mask & np.ones((2, 3, 4, 5), bool))
    )
    expected = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.from_numpy, (query, key, value)),
        attn_mask=torch_mask,
        scale=scale,
    )
    close(scaled_dot_product_attention(query, key, value, mask, scale), expected)


@pytest.mark.parametrize("bias_shape", [(5,), (4, 5), (3, 4, 5), (2, 1, 4, 5)])
@pytest.mark.parametrize("masked", [False, True])
def test_a_bias_is_added_to_the_scaled_scores_as_in_torch(rng, bias_shape, masked):
    query, key, value = (rng.normal(size=(2, 3, n, 6)) for n in (4, 5, 5))
    bias, mask = rng.normal(size=bias_shape), rng.random((4, 5)) < 0.6
    mask[:, 1] = True
    every = np.where(mask, bias, -np.inf) if masked else bias + np.zeros((4, 5))
    expected = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.from_numpy, (query, key, value)),
        attn_mask=torch.from_numpy(every),
        scale=0.7,
    )
    actual = scaled_dot_product_attention(
        query, key, value, mask if masked else None, 0.7, bias
    )
    close(actual, expected)


def test_attention_has_the_gradients_of_torch(rng):
    arrays = [rng.normal(size=(2, 4, 3)) for _ in range(3)]
    ours = [torch.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    mask = causal_mask(4)
    scaled_dot_product_attention(*ours, mask).square().sum().backward()
    torch.nn.functional.scaled_dot_product_attention(
        *theirs, attn_mask=torch.from_numpy(mask)
    ).square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad, 1e-12)


def test_a_query_that_may_attend_to_nothing_gets_zeros_and_a_finite_gradient(rng):
    mask = np.asarray([[True, False], [False, False]])
    query, key, value = (
        torch.tensor(rng.normal(size=(2, 3)), requires_grad=True) for _ in "qkv"
    )
    output = scaled_dot_product_attention(query, key, value, mask)
    close(output[1].detach(), [0.0, 0.0, 0.0])
    close(output[0].detach(), value[0].detach())
    output.sum().backward()
    assert all(bool(torch.all(torch.isfinite(t.grad))) for t in (query, key, value))


@given(
    hnp.arrays(float, (4, 3), elements=st.floats(-1e3, 1e3)), st.permutations(range(4))
)
def test_self_attention_without_a_mask_follows_any_reordering(x, order):
    output = scaled_dot_product_attention(x, x, x)
    close(
        scaled_dot_product_attention(x[order], x[order], x[order]), output[order], 1e-9
    )


@given(st.integers(1, 6), st.integers(0, 5))
def test_a_causal_output_does_not_depend_on_later_positions(n, changed):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, 3))
    before = scaled_dot_product_attention(x, x, x, causal_mask(n))
    x[changed:] += 1
    after = scaled_dot_product_attention(x, x, x, causal_mask(n))
    close(before[:changed], after[:changed])


def test_causal_mask_equals_the_definition():
    assert causal_mask(4).tolist() == [[j <= i for j in range(4)] for i in range(4)]
    assert np.array_equal(causal_mask(np.int64(4)), causal_mask(4))
    assert causal_mask(2, n_past=3).tolist() == causal_mask(5)[3:].tolist()


# Several heads


@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_multi_head_attention_equals_torch_batched_and_masked(rng, n_heads):
    d_model = 8
    reference = torch.nn.MultiheadAttention(
        d_model, n_heads, bias=False, batch_first=True, dtype=torch.float64
    )
    w_q, w_k, w_v = (w.T.detach().numpy() for w in reference.in_proj_weight.chunk(3))
    w_o = reference.out_proj.weight.T.detach().numpy()
    x, memory = rng.normal(size=(2, 5, d_model)), rng.normal(size=(2, 7, d_model))
    blocked = rng.random((5, 7)) < 0.4
    blocked[:, 0] = False
    expected, _ = reference(
        *map(torch.from_numpy, (x, memory, memory)), attn_mask=torch.from_numpy(blocked)
    )
    actual = multi_head_attention(
        x, memory, memory, w_q, w_k, w_v, w_o, n_heads, ~blocked
    )
    close(actual, expected.detach())


@pytest.mark.parametrize("mask_shape", [(2, 3, 5, 7), (2, 1, 5, 7), (3, 5, 7)])
def test_a_mask_may_differ_from_head_to_head_and_text_to_text(rng, mask_shape):
    x, memory = rng.normal(size=(2, 5, 6)), rng.normal(size=(2, 7, 6))
    w_q, w_k, w_v, w_o = rng.normal(size=(4, 6, 6))
    mask = rng.random(mask_shape) < 0.6
    every = mask & np.ones((2, 3, 5, 7), bool)
    heads = [
        [
            scaled_dot_product_attention(
                x[b] @ w_q[:, h : h + 2],
                memory[b] @ w_k[:, h : h + 2],
                memory[b] @ w_v[:, h : h + 2],
                every[b, h // 2],
            )
            for h in (0, 2, 4)
        ]
        for b in range(2)
    ]
    expected = [np.concatenate(parts, axis=1) @ w_o for parts in heads]
    close(
        multi_head_attention(x, memory, memory, w_q, w_k, w_v, w_o, 3, mask),
        expected,
        1e-12,
    )


@given(hnp.arrays(float, (2, 3, 12)), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_merge_undoes_split(x, n_heads):
    heads = split_heads(x, n_heads)
    assert heads.shape == (2, n_heads, 3, 12 // n_heads)
    assert np.array_equal(merge_heads(heads), x, equal_nan=True)


# Array libraries


@pytest.mark.parametrize("convert", [torch.from_numpy, array_api_strict.asarray])
@pytest.mark.parametrize("mask", [None, causal_mask(4)])
def test_other_array_libraries_give_numpys_numbers_in_their_own_kind(
    rng, convert, mask
):
    x, w = rng.normal(size=(4, 6)), rng.normal(size=(6, 6))
    arguments = [x, x, x, w, w, w, w]
    output = multi_head_attention(*map(convert, arguments), n_heads=2, mask=mask)
    assert type(output) is type(convert(x))
    close(output, multi_head_attention(*arguments, n_heads=2, mask=mask))
    weights = softmax(convert(x))
    close(weights, softmax(x))
    close(log_softmax(convert(x)), log_softmax(x))
    close(entropy(weights), entropy(softmax(x)))
    close(softmax_jacobian(weights), softmax_jacobian(softmax(x)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_kept(rng, dtype):
    x = rng.normal(size=(4, 6)).astype(dtype)
    assert scaled_dot_product_attention(x, x, x, causal_mask(4)).dtype == x.dtype
    t = torch.from_numpy(x)
    assert scaled_dot_product_attention(t, t, t, causal_mask(4)).dtype == t.dtype
    assert attention_weights(x, x, scale=np.float64(0.5)).dtype == x.dtype


# Where nothing is possible, and what is forbidden


ON_EVERY_LIBRARY = pytest.mark.parametrize(
    "to", [np.asarray, *LIBRARIES.values()], ids=["numpy", *LIBRARIES]
)


@ON_EVERY_LIBRARY
def test_where_nothing_is_possible_all_weights_are_zero(to):
    x = to(np.asarray([[-inf, -inf], [0.0, -inf]]))
    close(softmax(x), [[0.0, 0.0], [1.0, 0.0]])
    close(log_softmax(x), [[-inf, -inf], [0.0, -inf]])
    close(softmax(x, axis=0), [[0.0, 0.0], [1.0, 0.0]])


@ON_EVERY_LIBRARY
@pytest.mark.parametrize("row", [[inf, 1.0], [inf, inf], [nan, 1.0], [inf, -inf]])
def test_an_infinite_score_makes_all_of_its_slice_nan_without_a_warning(to, row):
    x = to(np.asarray([row, [2.0, 2.0]]))
    close(softmax(x), [[nan, nan], [0.5, 0.5]])
    close(log_softmax(x), [[nan, nan], [-np.log(2), -np.log(2)]])


@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_where_nothing_is_possible_the_gradient_is_zero(function):
    x = Tensor(np.asarray([[-inf, -inf], [0.0, 1.0]]))
    theirs = torch.tensor(x.data, requires_grad=True)
    factors = np.asarray([[1.0, 2.0], [3.0, 4.0]])
    function(x).backward(factors)
    function(theirs).backward(torch.from_numpy(factors))
    close(x.grad[1], theirs.grad[1])
    if function is softmax:
        close(x.grad[0], [0.0, 0.0])
        close(theirs.grad[0], [0.0, 0.0])


@ON_EVERY_LIBRARY
@pytest.mark.parametrize("n", [3, 128])  # the second has a kernel in NumPy
def test_mask_and_bias_forbid_alike(to, n):
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, n, 4))
    causal = causal_mask(n)
    padded = np.zeros((n, n))
    padded[:, 0] = -inf  # so the first position, which sees itself alone, sees nothing
    both = causal & (padded == 0)
    expected = scaled_dot_product_attention(query, key, value, both)
    close(expected[0], np.zeros(4))
    arrays = to(query), to(key), to(value)
    close(scaled_dot_product_attention(*arrays, both), expected)
    close(scaled_dot_product_attention(*arrays, causal, bias=to(padded)), expected)
    close(scaled_dot_product_attention(*arrays, causal, bias=padded), expected)
    bias = np.where(both, 0, -inf)
    close(scaled_dot_product_attention(*arrays, bias=bias), expected)
    close(
        attention_weights(*arrays[:2], bias=bias), attention_weights(query, key, both)
    )
    nothing = np.zeros((n, n), bool)
    for mask in (nothing, None):
        mixed = scaled_dot_product_attention(*arrays, mask, bias=np.full((n, n), -inf))
        close(mixed, np.zeros((n, 4)))


@ON_EVERY_LIBRARY
@pytest.mark.parametrize("n", [3, 128])
@pytest.mark.parametrize("wrong", [nan, inf, -inf])
def test_a_forbidden_key_has_no_say_whatever_it_holds(to, n, wrong):
    rng = np.random.default_rng(0)
    query, key, value = np.abs(rng.normal(size=(3, n, 4)))
    spoiled = key.copy()
    spoiled[-1] = wrong
    arrays = to(query), to(spoiled), to(value)
    mask = np.ones((n, n), bool)
    mask[:, -1] = False
    expected = scaled_dot_product_attention(query, key, value, mask)
    close(scaled_dot_product_attention(*arrays, mask), expected)
    close(attention_weights(*arrays[:2], mask), attention_weights(query, key, mask))
    # Only the last position sees the last key.
    expected = scaled_dot_product_attention(query, key, value, causal_mask(n))
    mixed = scaled_dot_product_attention(*arrays, causal_mask(n))
    close(mixed[: n - 1, :], expected[:-1])
    mixed = scaled_dot_product_attention(*arrays, np.zeros((n, n), bool))
    close(mixed, np.zeros((n, 4)))


# float16


HALVES = pytest.mark.parametrize(
    "to", [np.asarray, LIBRARIES["torch"], Tensor], ids=["numpy", "torch", "autodiff"]
)


@HALVES
@pytest.mark.parametrize("n", [3, 128])
@pytest.mark.parametrize("bias", [None, 0.0])
def test_scores_that_float16_does_not_hold_are_finite(to, n, bias):
    x = to(np.full((n, 64), 300, np.float16))  # scores of 720,000
    value = to(np.arange(2 * n).astype(np.float16).reshape(n, 2))
    bias = None if bias is None else np.full((n, n), bias, np.float16)
    mixed = scaled_dot_product_attention(x, x, value, bias=bias)
    close(mixed, np.full((n, 2), [n - 1, n]), 1e-3)
    assert mixed.dtype == value.dtype
    weights = attention_weights(x, x, bias=bias)
    close(weights, np.full((n, n), 1 / n), 1e-3)
    assert weights.dtype == x.dtype


@HALVES
def test_sums_that_float16_does_not_hold_are_right(to):
    n = 70_000
    x = to(np.zeros(n, np.float16))
    weights = softmax(x)
    assert weights.dtype == x.dtype
    close(weights, np.full(n, np.float16(1 / n)), 0)
    close(log_softmax(x), np.full(n, -np.log(n)), 1e-3)
    even = to(np.full(n, 2.0**-16, np.float16))
    close(entropy(even), 16 * np.log(2) * n / 2**16, 1e-3)
    # The average of many values: none of the weights is lost.
    value = to(np.full((n, 1), 3, np.float16))
    one = to(np.ones((1, 1), np.float16))
    many = to(np.ones((n, 1), np.float16))
    close(scaled_dot_product_attention(one, many, value), [[3]], 1e-3)


def test_bfloat16_is_added_up_in_float32():
    x = torch.zeros(70_000, dtype=torch.bfloat16)
    assert softmax(x).dtype == torch.bfloat16
    close(softmax(x).double().sum(), 1, 4e-3)
    close(log_softmax(x)[0].double(), -np.log(70_000), 4e-3)
    close(entropy(torch.full_like(x, 2.0**-16)).double(), 11.846, 4e-3)


# Bad input


def zeros(*shape):
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: softmax([1.0]), "x must be an array of floating-point numbers, got list"),
        (TypeError, lambda: softmax(np.arange(3)), "got dtype int64"),
        (ValueError, lambda: softmax(zeros(2, 0)), r"x must not be empty along axis -1, got shape \(2, 0\)"),
        *[
            (ValueError, lambda f=f, axis=axis: f(zeros(2), axis=axis), f"axis must be one of the 1 axes of (x|weights), got {axis}")
            for f in (softmax, log_softmax, entropy)
            for axis in (None, 0.5, True)
        ],
        (ValueError, lambda: softmax(zeros()), "axis must be one of the 0 axes of x, got -1"),
        (ValueError, lambda: log_softmax(zeros(2, 3), axis=2), "axis must be one of the 2 axes of x, got 2"),
        (ValueError, lambda: entropy(zeros(2), axis=1), "axis must be one of the 1 axes of weights, got 1"),
        (ValueError, lambda: softmax_jacobian(zeros()), "axis must be one of the 0 axes of weights"),
        (ValueError, lambda: attention_weights(zeros(3, 0), zeros(3, 0)), r"one feature, got shape \(3, 0\)"),
        (TypeError, lambda: scaled_dot_product_attention(zeros(3, 4), zeros(3, 4), None), "value must be .* got NoneType"),
        (
            ValueError,
            lambda: multi_head_attention(*[zeros(3, 4)] * 3, zeros(4, 2), zeros(4, 3), *[zeros(4, 4)] * 2, 1),
            "w_q and w_k must have the same last dimension, got 2 and 3",
        ),
        (
            ValueError,
            lambda: multi_head_attention(zeros(4), *[zeros(3, 4)] * 2, *[zeros(4, 4)] * 4, 2),
            r"query must have at least two axes .* got shape \(4,\)",
        ),
        (ValueError, lambda: causal_mask(0), "n must be an integer of at least 1, got 0"),
        (ValueError, lambda: causal_mask(2.0), "n must be an integer of at least 1, got 2.0"),
        (
            ValueError,
            lambda: attention_weights(zeros(3, 64), zeros(3, 32)),
            "query and key must have the same last dimension, got 64 and 32",
        ),
        (ValueError, lambda: attention_weights(zeros(4), zeros(3, 4)), r"query must have at least two axes .* got shape \(4,\)"),
        (ValueError, lambda: attention_weights(zeros(3, 4), zeros(0, 4)), r"key must hold at least one position and one feature, got shape \(0, 4\)"),
        (
            ValueError,
            lambda: scaled_dot_product_attention(zeros(3, 4), zeros(5, 4), zeros(6, 4)),
            "key and value must hold the same number of positions, got 5 and 6",
        ),
        (
            ValueError,
            lambda: scaled_dot_product_attention(zeros(2, 3, 4), zeros(3, 3, 4), zeros(3, 4)),
            r"the batch axes of query and key and value must broadcast, got shapes \(2, 3, 4\)",
        ),
        (
            ValueError,
            lambda: attention_weights(zeros(3, 4), zeros(5, 4), np.ones((5, 3), bool)),
            r"mask must broadcast to \(..., n_queries, n_keys\) = \(3, 5\), got \(5, 3\)",
        ),
        (ValueError, lambda: attention_weights(zeros(3, 4), zeros(5, 4), np.ones((2, 3, 5), bool)), r"mask must broadcast .* got \(2, 3, 5\)"),
        (TypeError, lambda: attention_weights(zeros(3, 4), zeros(3, 4), zeros(3, 3)), "mask must be a boolean array .* got dtype float64"),
        (ValueError, lambda: attention_weights(zeros(3, 4), zeros(5, 4), bias=zeros(3, 4)), r"bias must broadcast to .* = \(3, 5\), got \(3, 4\)"),
        (TypeError, lambda: attention_weights(zeros(3, 4), zeros(5, 4), bias=causal_mask(3)), "bias must be an array of floating-point numbers, got dtype bool"),
        (TypeError, lambda: attention_weights(zeros(3, 4), zeros(3, 4), mask=[[True]]), "mask must be a boolean array .* got list"),
        (ValueError, lambda: causal_mask(2, n_past=-1), "n_past must be an integer of at least 0, got -1"),
        (ValueError, lambda: split_heads(zeros(3, 8), 3), "n_heads must divide the last dimension 8, got 3"),
        (ValueError, lambda: merge_heads(zeros(3, 8)), "x must have at least three axes"),
        (
            ValueError,
            lambda: multi_head_attention(*[zeros(3, 4)] * 3, zeros(5, 4), *[zeros(4, 4)] * 3, 2),
            r"w_q must have two axes, the first as long as the last axis of query \(4\), got shape \(5, 4\)",
        ),
        (
            ValueError,
            lambda: multi_head_attention(*[zeros(3, 4)] * 3, *[zeros(4, 4)] * 3, zeros(6, 4), 2),
            r"w_o must have two axes, the first as long as the last axis of w_v \(4\), got shape \(6, 4\)",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
