"""Neurons against torch, SciPy, mpmath and cases worked by hand."""

import itertools

import mpmath
import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from libraries import close

from lmmath.neurons import dense, gelu, init_mlp, mlp, relu, sigmoid, silu, tanh

FUNCTIONAL = torch.nn.functional
ACTIVATIONS = [sigmoid, relu, tanh, silu, gelu, lambda x: gelu(x, "tanh")]
NUMBERS = hnp.arrays(
    float, hnp.array_shapes(max_dims=3, max_side=5), elements=st.floats(-1e4, 1e4)
)
SQUARE = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def gradient(function, values):
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    function(x).sum().backward()
    return x.grad


# Activations


@given(NUMBERS)
def test_activations_equal_torch(x):
    t = torch.from_numpy(x)
    close(sigmoid(x), torch.sigmoid(t), 1e-15)
    close(relu(x), torch.relu(t), 0)
    close(tanh(x), torch.tanh(t), 1e-15)
    close(silu(x), FUNCTIONAL.silu(t), 1e-15)
    close(gelu(x), FUNCTIONAL.gelu(t), 2e-15)
    close(gelu(x, "tanh"), FUNCTIONAL.gelu(t, approximate="tanh"), 2e-15)


@given(st.floats(-700, 700))
def test_sigmoid_has_all_its_digits_in_both_tails(x):
    x = np.asarray(x)
    np.testing.assert_allclose(sigmoid(x), scipy.special.expit(x), rtol=1e-15)
    with mpmath.workdps(40):
        exact = 1 / (1 + mpmath.exp(-mpmath.mpf(float(x))))
        assert abs(mpmath.mpf(float(sigmoid(x))) / exact - 1) < 1e-15


@given(NUMBERS)
def test_sigmoid_is_symmetric_and_tanh_is_a_sigmoid(x):
    close(sigmoid(-x), 1 - sigmoid(x), 1e-15)
    close(tanh(x), 2 * sigmoid(2 * x) - 1, 1e-15)


def test_gelu_is_the_integral_to_the_last_digit():
    x = np.concatenate([np.linspace(-9, 9, 289), [-8.3, 8.3, 1e-300, -1e4, 1e4]])
    with mpmath.workdps(40):
        for value, point in zip(gelu(x), map(mpmath.mpf, x), strict=True):
            error = abs(mpmath.mpf(value) - point * mpmath.ncdf(point))
            assert error < 1e-15 * max(1, abs(point))


@given(NUMBERS)
def test_gelu_equals_scipys_normal_distribution(x):
    close(gelu(x), x * scipy.special.ndtr(x), 1e-15)
    close(gelu(x), x / 2 * (1 + scipy.special.erf(x / np.sqrt(2))), 2e-15)


def test_the_closed_form_of_gelu_is_close_but_not_equal():
    x = np.linspace(-10, 10, 2001)
    difference = np.max(np.abs(gelu(x) - gelu(x, approximate="tanh")))
    assert 0.0004 < difference < 0.0005


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_relu_far_out(approximate):
    x = np.asarray([-np.inf, -1e300, -1e4, -9, 9, 1e4, 1e300, np.inf])
    close(gelu(x, approximate), relu(x), 0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_not_a_number_stays_so(activation):
    assert np.isnan(activation(np.asarray([np.nan, 1.0]))).tolist() == [True, False]


@pytest.mark.parametrize(
    ("activation", "slopes"),
    [
        (sigmoid, [0, 0.25, 0]),
        (relu, [0, 0, 1]),
        (tanh, [0, 1, 0]),
        (silu, [0, 0.5, 1]),
        (gelu, [0, 0.5, 1]),
        (lambda x: gelu(x, "tanh"), [0, 0.5, 1]),
    ],
)
def test_slopes_at_zero_and_far_out(activation, slopes):
    close(gradient(activation, [-1e4, 0.0, 1e4]), slopes, 1e-15)


@given(NUMBERS)
def test_slopes_equal_torch(x):
    for ours, theirs in [
        (sigmoid, torch.sigmoid),
        (relu, torch.relu),
        (silu, FUNCTIONAL.silu),
        (gelu, FUNCTIONAL.gelu),
        (
            lambda x: gelu(x, "tanh"),
            lambda x: FUNCTIONAL.gelu(x, approximate="tanh"),
        ),
    ]:
        close(gradient(ours, x), gradient(theirs, x), 1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_is_kept_and_the_largest_numbers_are_taken(activation, dtype):
    x = np.asarray([np.finfo(dtype).min, -50, 0, 50, np.finfo(dtype).max], dtype)
    assert activation(x).dtype == dtype
    assert np.all(np.isfinite(activation(x)))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_in_half_precision_is_rounded_once(approximate):
    x = np.linspace(-10, 10, 1001).astype(np.float16)
    exact = gelu(x.astype(float), approximate)
    half_a_step = np.spacing(np.abs(exact).astype(np.float16)).astype(float) / 2
    assert np.all(np.abs(gelu(x, approximate) - exact) <= half_a_step + 1e-6)


# Layers


@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 3), (2, 0, 3), (2, 5, 3)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", [None, tanh])
def test_dense_equals_torch(rng, shape, bias, activation):
    layer = torch.nn.Linear(3, 4, bias=bias, dtype=torch.float64)
    w = layer.weight.detach().numpy().T
    b = layer.bias.detach().numpy() if bias else None
    x = rng.normal(size=shape)
    expected = layer(torch.from_numpy(x))
    expected = expected if activation is None else torch.tanh(expected)
    close(dense(x, w, b, activation), expected, 1e-15)


@pytest.mark.parametrize("sizes", [(3, 2), (3, 5, 1), [2] * 13])
@pytest.mark.parametrize(
    ("activation", "module"),
    [
        (relu, torch.nn.ReLU),
        (sigmoid, torch.nn.Sigmoid),
        (gelu, torch.nn.GELU),
        (None, torch.nn.Identity),
    ],
)
def test_mlp_equals_torch(rng, sizes, activation, module):
    linears = [
        torch.nn.Linear(*pair, dtype=torch.float64)
        for pair in itertools.pairwise(sizes)
    ]
    between = [part for layer in linears for part in (layer, module())][:-1]
    params = {}
    for i, layer in enumerate(linears):
        params[f"{i}.bias"] = layer.bias.detach().numpy()
        params[f"{i}.weight"] = layer.weight.detach().numpy().T
    x = rng.normal(size=(4, 5, sizes[0]))
    expected = torch.nn.Sequential(*between)(torch.from_numpy(x))
    close(mlp(params, x, activation), expected, 1e-14)


def test_the_activation_of_mlp_is_relu_if_none_is_named(rng):
    params, x = init_mlp([2, 3, 1], rng), rng.normal(size=(4, 2))
    close(mlp(params, x), mlp(params, x, relu), 0)
    close(
        mlp(params, x),
        dense(dense(x, params["0.weight"], None, relu), params["1.weight"]),
    )


def test_layers_without_activation_are_one_layer(rng):
    params, x = init_mlp([3, 7, 7, 2], rng), rng.normal(size=(4, 3))
    w = params["0.weight"] @ params["1.weight"] @ params["2.weight"]
    close(mlp(params, x, activation=None), x @ w)


# Exclusive or


@given(
    hnp.arrays(float, (2, 1), elements=st.floats(-100, 100)),
    hnp.arrays(float, (1,), elements=st.floats(-100, 100)),
    st.sampled_from([None, sigmoid, relu, tanh]),
)
def test_no_rising_neuron_tells_equal_from_different_inputs(w, b, activation):
    # The two sums of equal inputs and the two of different ones add up to the same number.
    sums = dense(SQUARE, w, b)[:, 0]
    close(sums[0] + sums[3], sums[1] + sums[2])
    y = dense(SQUARE, w, b, activation)[:, 0]
    assert min(y[1], y[2]) <= max(y[0], y[3]) + 1e-12
    assert min(y[0], y[3]) <= max(y[1], y[2]) + 1e-12


@pytest.mark.parametrize("activation", [gelu, silu])
def test_a_neuron_that_falls_before_it_rises_does(activation):
    # The sums are 0, -1, -1, -2, and the least values of gelu and silu lie near -1.
    y = dense(SQUARE, np.asarray([[-1.0], [-1.0]]), None, activation)[:, 0]
    assert max(y[1], y[2]) < min(y[0], y[3])


def test_two_layers_compute_exclusive_or():
    params = {
        "0.weight": np.asarray([[1.0, 1.0], [1.0, 1.0]]),
        "0.bias": np.asarray([0.0, -1.0]),
        "1.weight": np.asarray([[1.0], [-2.0]]),
        "1.bias": np.asarray([0.0]),
    }
    assert mlp(params, SQUARE)[:, 0].tolist() == [0, 1, 1, 0]


# The first weights


@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_first_weights_have_the_spread_of_he(rng, dtype):
    params = init_mlp((400, 300, 5), rng, dtype)
    assert list(params) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert all(array.dtype == dtype for array in params.values())
    close(np.std(params["0.weight"]), np.sqrt(2 / 400), 1e-3)
    close(np.mean(params["0.weight"]), 0, 1e-3)
    close(np.std(params["1.weight"]), np.sqrt(2 / 300), 5e-3)
    assert not np.any(params["0.bias"])
    assert not np.any(params["1.bias"])


def test_first_weights_keep_the_mean_square_of_a_signal(rng):
    params, x = init_mlp([512] * 11, rng), rng.normal(size=(64, 512))
    y = mlp(params, x)
    assert 0.5 < np.mean(y**2) / (2 * np.mean(x**2)) < 2


def test_first_weights_depend_on_the_generator_alone():
    one, same, other = (
        init_mlp([3, 2], np.random.default_rng(seed))["0.weight"] for seed in (5, 5, 6)
    )
    assert np.array_equal(one, same)
    assert not np.any(one == other)


# Bad input


def zeros(*shape):
    return np.zeros(shape)


def layers(changes=()):
    return init_mlp([2, 3, 1], np.random.default_rng(0)) | dict(changes)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: sigmoid(0.5), "x must be an array of floating-point numbers, got float"),
        (TypeError, lambda: relu([1.0]), "x must be an array of floating-point numbers, got list"),
        (TypeError, lambda: tanh(np.arange(3)), "x must be .* got dtype int64"),
        (TypeError, lambda: silu(np.asarray([True])), "x must be .* got dtype bool"),
        (TypeError, lambda: gelu(np.asarray([1j])), "x must be .* got dtype complex128"),
        (ValueError, lambda: gelu(zeros(3), "erf"), "approximate must be 'none' or 'tanh', got 'erf'"),
        (ValueError, lambda: gelu(zeros(3), None), "approximate must be 'none' or 'tanh', got None"),
        (TypeError, lambda: dense([1.0], zeros(1, 1)), "x must be .* got list"),
        (TypeError, lambda: dense(zeros(1), np.eye(1, dtype=int)), "w must be .* got dtype int64"),
        (ValueError, lambda: dense(zeros(), zeros(1, 1)), r"x must have at least one axis \(features\), got shape \(\)"),
        (
            ValueError,
            lambda: dense(zeros(5, 3), zeros(4, 3)),
            r"w must have two axes, the first as long as the last axis of x \(3\), got shape \(4, 3\)",
        ),
        (ValueError, lambda: dense(zeros(3), zeros(3)), r"w must have two axes, .* got shape \(3,\)"),
        (ValueError, lambda: dense(zeros(3), zeros(3, 4), zeros(3)), r"b must have shape \(4,\), got \(3,\)"),
        (TypeError, lambda: dense(zeros(3), zeros(3, 4), 0.0), "b must be .* got float"),
        (TypeError, lambda: dense(zeros(3), zeros(3, 4), None, "relu"), "activation must be a function or None, got str"),
        (TypeError, lambda: mlp([zeros(2, 3)], zeros(2)), "params must be a dict, got list"),
        (TypeError, lambda: mlp(layers(), [1.0, 2.0]), "x must be .* got list"),
        (TypeError, lambda: mlp(layers(), zeros(2), "relu"), "activation must be a function or None, got str"),
        (ValueError, lambda: mlp({}, zeros(2)), r"params must have the names \['0.weight', '0.bias'\], got \[\]"),
        (ValueError, lambda: mlp({"0.weight": zeros(2, 2)}, zeros(2)), r"params must have .* got \['0.weight'\]"),
        (ValueError, lambda: mlp(layers({"2.weight": zeros(1, 1)}), zeros(2)), r"params must have .* '2.weight'\]"),
        (
            ValueError,
            lambda: mlp(layers(), zeros(3)),
            r"0.weight must have two axes, the first as long as the last axis of x \(3\), got shape \(2, 3\)",
        ),
        (
            ValueError,
            lambda: mlp(layers({"1.weight": zeros(2, 1)}), zeros(2)),
            r"1.weight must have two axes, the first as long as the last axis of 0.weight \(3\), got shape \(2, 1\)",
        ),
        (ValueError, lambda: mlp(layers({"1.bias": zeros(2)}), zeros(2)), r"1.bias must have shape \(1,\), got \(2,\)"),
        (TypeError, lambda: mlp(layers({"0.bias": None}), zeros(2)), "0.bias must be .* got NoneType"),
        (TypeError, lambda: init_mlp([2, 1], 0), "rng must be a numpy.random.Generator, got int"),
        (TypeError, lambda: init_mlp([2, 1], RNG, np.int64), "dtype must be floating-point, got int64"),
        (ValueError, lambda: init_mlp([2], RNG), r"sizes must be a list of at least two integers, got \[2\]"),
        (ValueError, lambda: init_mlp(3, RNG), "sizes must be a list of at least two integers, got 3"),
        (ValueError, lambda: init_mlp([2, 0, 1], RNG), r"sizes\[1\] must be an integer of at least 1, got 0"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
