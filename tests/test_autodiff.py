"""The book's differentiator against torch: each operation, random programs, long chains."""

import re
from pathlib import Path

import array_api_compat.numpy
import array_api_compat.torch
import numpy as np
import pytest
import torch
from array_api_compat import array_namespace, device, is_array_api_obj
from hypothesis import given
from hypothesis import strategies as st
from libraries import close, same_gradients

import lmmath
from lmmath import autodiff
from lmmath.autodiff import Tensor

RNG = np.random.default_rng(6)
X, Y = RNG.normal(size=(2, 3, 4))
POSITIVE = RNG.uniform(0.5, 2.0, size=(3, 4))
ROW, COLUMN = RNG.normal(size=4), RNG.normal(size=(3, 1))
BATCH = RNG.normal(size=(2, 3, 4))
IDS = np.asarray([2, 0, 2])


def xp(x):
    return array_namespace(x)


def ids(x, indices):
    return xp(x).asarray(indices)


# Each entry is written once and runs on both libraries.
OPERATIONS = {
    "x + y": (lambda x, y: x + y, X, Y),
    "x + x": (lambda x: x + x, X),
    "x + 2": (lambda x: 2 + x + 2, X),
    "x - y": (lambda x, y: x - y, X, Y),
    "2 - x": (lambda x: 2 - x - 1, X),
    "x * y": (lambda x, y: x * y, X, Y),
    "2 * x": (lambda x: 2 * x * 3, X),
    "x / y": (lambda x, y: x / y, X, POSITIVE),
    "2 / x": (lambda x: 2 / x / 3, POSITIVE),
    "x ** y": (lambda x, y: x**y, POSITIVE, Y),
    "x ** 3": (lambda x: x**3, X),
    "2 ** x": (lambda x: 2.0**x, X),
    "-x": (lambda x: -x, X),
    "broadcast a row": (lambda x, y: x * y, X, ROW),
    "broadcast a column": (lambda x, y: x / y, X, COLUMN),
    "broadcast both": (lambda x, y: x - y, ROW, COLUMN),
    "broadcast a number": (lambda x, y: x * y, X, np.asarray(3.0)),
    "x @ y": (lambda x, y: x @ xp(y).matrix_transpose(y), X, Y),
    "batch @ matrix": (lambda x, y: x @ xp(y).matrix_transpose(y), BATCH, Y),
    "matrix @ batch": (lambda x, y: x @ xp(y).matrix_transpose(y), Y, BATCH),
    "row @ column": (lambda x, y: x @ y, ROW, Y[0]),
    "row @ matrix": (lambda x, y: x @ xp(y).matrix_transpose(y), ROW, Y),
    "row @ batch": (lambda x, y: x @ y, ROW[:3], BATCH),
    "matrix @ column": (lambda x, y: x @ y, X, ROW),
    "batch @ column": (lambda x, y: x @ y, BATCH, ROW),
    "abs": (lambda x: xp(x).abs(x), X),
    "cos": (lambda x: xp(x).cos(x), X),
    "exp": (lambda x: xp(x).exp(x), X),
    "expm1": (lambda x: xp(x).expm1(x), X),
    "log": (lambda x: xp(x).log(x), POSITIVE),
    "log1p": (lambda x: xp(x).log1p(x), POSITIVE),
    "sin": (lambda x: xp(x).sin(x), X),
    "sqrt": (lambda x: xp(x).sqrt(x), POSITIVE),
    "square": (lambda x: xp(x).square(x), X),
    "tanh": (lambda x: xp(x).tanh(x), X),
    "maximum": (lambda x, y: xp(x).maximum(x, y), X, Y),
    "minimum": (lambda x, y: xp(x).minimum(x, y), X, Y),
    "clip": (lambda x: xp(x).clip(x, -0.5, 0.7), X),
    "where": (lambda x, y: xp(x).where(x > 0, x * y, y), X, Y),
    "where broadcasts": (lambda x, y: xp(x).where(y > 0, x, y), X, ROW),
    "sum": (lambda x: xp(x).sum(x), X),
    "sum over an axis": (lambda x: xp(x).sum(x, axis=0), X),
    "sum over two axes": (lambda x: xp(x).sum(x, axis=(0, -1)), BATCH),
    "sum, axis kept": (lambda x: x * xp(x).sum(x, axis=-1, keepdims=True), X),
    "mean": (lambda x: xp(x).mean(x), X),
    "mean over an axis": (lambda x: xp(x).mean(x, axis=1) ** 2, BATCH),
    "mean over two axes": (lambda x: xp(x).mean(x, axis=(0, 1), keepdims=True), BATCH),
    "max": (lambda x: xp(x).max(x), X),
    "max over an axis": (lambda x: xp(x).max(x, axis=0), X),
    "max, axis kept": (lambda x: xp(x).max(x, axis=-1, keepdims=True) * x, X),
    "min over an axis": (lambda x: xp(x).min(x, axis=-1), X),
    "cumulative_sum": (lambda x: xp(x).cumulative_sum(x, axis=1) ** 2, BATCH),
    "reshape": (lambda x: xp(x).reshape(x, (2, 6)) ** 2, X),
    "broadcast_to": (lambda x: xp(x).broadcast_to(x, (3, 4)), ROW),
    "moveaxis": (lambda x: xp(x).moveaxis(x, 0, 2) ** 2, BATCH),
    "matrix_transpose": (lambda x: xp(x).matrix_transpose(x) ** 2, BATCH),
    "expand_dims": (lambda x: xp(x).expand_dims(x, axis=1), X),
    "squeeze": (lambda x: xp(x).squeeze(x, axis=1), COLUMN),
    "concat": (lambda x, y: xp(x).concat([x, y, x], axis=-1), X, COLUMN),
    "concat first axis": (lambda x, y: xp(x).concat([x, y]), X, Y),
    "stack": (lambda x, y: xp(x).stack([x, y, y], axis=1), X, Y),
    "unstack": (lambda x: sum(i * p**2 for i, p in enumerate(xp(x).unstack(x, axis=1))), BATCH),
    "take": (lambda x: xp(x).take(x, ids(x, IDS), axis=0), X),
    "take columns": (lambda x: xp(x).take(x, ids(x, IDS), axis=1), BATCH),
    "take_along_axis": (
        lambda x: xp(x).take_along_axis(x, ids(x, [[0, 0], [3, 1], [2, 2]]), axis=-1),
        X,
    ),
    "sort": (lambda x: xp(x).sort(x, axis=0) ** 2, X),
    "sort, descending": (lambda x: xp(x).sort(x, descending=True) ** 2, X),
    "astype": (lambda x: xp(x).astype(xp(x).astype(x, xp(x).float64), x.dtype), X),
    "index": (lambda x: x[1], X),
    "slices": (lambda x: x[1:, ::2], X),
    "ellipsis and None": (lambda x: x[..., None, -1], BATCH),
    "one entry": (lambda x: x[0, 1], X),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_torchs_values_and_gradients(name):
    function, *arrays = OPERATIONS[name]
    ours = function(*map(Tensor, arrays))
    theirs = function(*map(torch.from_numpy, arrays))
    assert isinstance(ours, Tensor)
    assert ours.shape == tuple(theirs.shape)
    close(ours, theirs)
    same_gradients(function, *arrays, tolerance=1e-13)


@pytest.mark.parametrize(
    "name", ["maximum", "minimum", "max", "max over an axis", "abs"]
)
def test_ties_share_the_gradient_as_in_torch(name):
    function, *arrays = OPERATIONS[name]
    for tie in (np.zeros((3, 4)), np.ones((3, 4))):
        ours = [Tensor(tie) for _ in arrays]
        theirs = [torch.tensor(tie, requires_grad=True) for _ in arrays]
        autodiff.sum(function(*ours)).backward()
        function(*theirs).sum().backward()
        for one, other in zip(ours, theirs, strict=True):
            close(one.grad, other.grad)


@pytest.mark.parametrize(
    "function", ["all", "any", "argmax", "isfinite", "isnan", "sign"]
)
def test_a_function_without_gradient_has_numpys_values(function):
    x = np.asarray([[1.0, np.nan, -2.0], [0.0, np.inf, 3.0]])
    expected = getattr(array_api_compat.numpy, function)(x)
    actual = getattr(autodiff, function)(Tensor(x))
    assert np.array_equal(actual.data, expected, equal_nan=True)
    assert not actual._operands


def test_argsort_puts_equal_entries_in_the_order_they_stand():
    x = Tensor([2.0, 1.0, 2.0, 1.0])
    assert autodiff.argsort(x).data.tolist() == [1, 3, 0, 2]
    assert autodiff.argsort(x, descending=True).data.tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("arange", (5,)),
        ("eye", (3,)),
        ("full", ((2, 3), 7.0)),
        ("ones", ((2, 3),)),
        ("zeros", ((2, 3),)),
    ],
)
def test_new_tensors_equal_numpys_arrays(function, arguments):
    for dtype in (np.float32, np.float64):
        expected = getattr(array_api_compat.numpy, function)(*arguments, dtype=dtype)
        actual = getattr(autodiff, function)(*arguments, dtype=dtype, device="cpu")
        assert np.array_equal(actual.data, expected)
        assert actual.dtype == dtype
    like = autodiff.full_like(Tensor(X), 2.0)
    assert np.array_equal(like.data, np.full_like(X, 2.0))
    assert np.array_equal(autodiff.ones_like(like).data, np.ones((3, 4)))
    assert np.array_equal(autodiff.zeros_like(like).data, np.zeros((3, 4)))


# Programs


def program(a, b):
    """A little of everything, each result used more than once."""
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + xp(a).maximum(b + a, 0 * a)
    d = d + 3 * d + xp(a).maximum(b - a, 0 * a)
    e = c - d
    f = e**2
    g = f / 2.0
    return g + 10.0 / f


def test_one_program_in_both_libraries():
    a, b = Tensor(-4.0), Tensor(2.0)
    result = program(a, b)
    result.backward()
    ta, tb = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (-4, 2))
    expected = program(ta, tb)
    expected.backward()
    close(result, expected)
    close(a.grad, ta.grad)
    close(b.grad, tb.grad)


STEPS = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (1 + y * y),
    "matmul": lambda x, y: x @ y,
    "tanh": lambda x, y: xp(x).tanh(x),
    "maximum": lambda x, y: xp(x).maximum(x, y),
    "transpose": lambda x, y: xp(x).matrix_transpose(x),
    "center": lambda x, y: x - xp(x).mean(x, axis=-1, keepdims=True),
    "look up": lambda x, y: xp(x).take(x, ids(x, IDS), axis=0),
    "first row": lambda x, y: x[0, :] + y,
}
OPERANDS = st.integers(0, 100)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), OPERANDS, OPERANDS),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 2**32),
)
def test_random_programs_have_torchs_gradients(steps, seed):
    start = np.random.default_rng(seed).normal(size=(2, 3, 3)) / 3

    def run(a, b):
        values = [a, b]
        for name, i, j in steps:
            x, y = values[i % len(values)], values[j % len(values)]
            values.append(xp(a).tanh(STEPS[name](x, y)))
        return values[-1]

    ours = [Tensor(array) for array in start]
    theirs = [torch.tensor(array, requires_grad=True) for array in start]
    result, expected = run(*ours), run(*theirs)
    close(result, expected)
    autodiff.sum(result).backward()
    expected.sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        if other.grad is None:
            assert one.grad is None
        else:
            close(one.grad, other.grad)


@pytest.mark.parametrize("length", [2_000, 10_000, 100_000])
def test_a_long_chain_differentiates_and_is_freed(length):
    x = Tensor(1.0)
    y = x
    for _ in range(length):
        y = y * 0.9999
    y.backward()
    assert x.grad == pytest.approx(0.9999**length, rel=1e-10)
    del y


def test_a_result_used_along_many_paths_is_visited_once():
    x = Tensor(1.0)
    y = x
    for _ in range(200):
        y = (y + y) * 0.5  # 2 ** 200 paths from here to x
    y.backward()
    close(x.grad, 1.0)


# Gradients


def test_every_tensor_behind_the_result_has_its_gradient():
    x = Tensor([1.0, 2.0])
    y = x * 3
    autodiff.sum(y * y).backward()
    close(y.grad, [6.0, 12.0])
    close(x.grad, [18.0, 36.0])


def test_a_second_backward_adds_to_the_first():
    x = Tensor([1.0, 2.0])
    y = x * x
    y.backward([1.0, 0.0])
    close(x.grad, [2.0, 0.0])
    y.backward(Tensor([0.0, 10.0]))
    close(x.grad, [2.0, 40.0])


def test_backward_from_a_leaf_and_through_nothing():
    x = Tensor(2.0)
    x.backward()
    close(x.grad, 1.0)
    unused = Tensor(1.0)
    assert unused.grad is None


def test_gradients_do_not_share_memory():
    x, y = Tensor([1.0]), Tensor([1.0])
    (x + y).backward()
    x.grad += 1
    close(y.grad, [1.0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_gradient_has_the_dtype_and_shape_of_its_tensor(dtype):
    for function, *arrays in OPERATIONS.values():
        tensors = [Tensor(array.astype(dtype)) for array in arrays]
        result = function(*tensors)
        assert result.dtype == dtype
        result.backward(np.ones(result.shape))
        for tensor in tensors:
            assert tensor.grad.dtype == dtype
            assert tensor.grad.shape == tensor.shape


def test_numbers_without_gradient_are_constants():
    x, n = Tensor([1.0, 2.0]), Tensor([3, 4])
    y = x * n
    autodiff.sum(y).backward()
    close(x.grad, [3.0, 4.0])
    assert n.grad is None


def test_the_gradient_of_where_ignores_what_was_not_chosen():
    x = Tensor([0.0, 1.0])
    safe = autodiff.where(x > 0, x, 1.0)
    autodiff.sum(autodiff.where(x > 0, autodiff.log(safe), 0.0)).backward()
    close(x.grad, [0.0, 1.0])


# An array of the standard


def test_a_tensor_is_an_array_of_its_own_library():
    x = Tensor([[1.0, 2.0]])
    assert is_array_api_obj(x)
    assert array_namespace(x) is autodiff
    assert device(x) == "cpu"
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((1, 2), 2, 2, np.float64, 1)
    assert repr(x) == "Tensor([[1., 2.]])"
    assert (float(x[0, 0]), int(x[0, 1]), bool(x[0, 1] == 2)) == (1.0, 2, True)
    assert [float(entry) for entry in x[0, :]] == [1.0, 2.0]
    assert len({x, x, Tensor(1.0)}) == 2


def test_numpy_arrays_mix_with_tensors_on_either_side():
    x = Tensor(X)
    for result in (Y + x, Y - x, Y * x, Y / x, Y @ x.data.T @ x):
        assert isinstance(result, Tensor)
    close(Y - x, Y - X)
    close(Y / x, Y / X)
    close(Y.T @ x, Y.T @ X)
    assert isinstance(np.float64(2) * x, Tensor)
    assert (np.float64(2) * Tensor(X.astype("f4"))).dtype == np.float64
    assert (2.0 * Tensor(X.astype("f4"))).dtype == np.float32


def test_asarray_keeps_history_and_dtype_unless_another_is_asked_for():
    x = Tensor([1.0, 2.0])
    assert autodiff.asarray(x) is x
    autodiff.sum(autodiff.asarray(x, dtype=np.float32)).backward()
    close(x.grad, [1.0, 1.0])
    assert x.grad.dtype == np.float64
    assert autodiff.asarray([1, 2], dtype=np.float32, device="cpu").dtype == np.float32
    assert autodiff.result_type(x, np.float32) == np.float64


def test_what_lmmath_asks_of_a_library_this_one_has():
    sources = Path(lmmath.__file__).parent.rglob("*.py")
    asked = {
        name
        for path in sources
        for name in re.findall(r"\bxp\.(\w+)", path.read_text(encoding="utf-8"))
    }
    assert len(asked) > 20
    assert {name for name in asked if not hasattr(autodiff, name)} == set()


# Bad input


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: Tensor("text"), "data must hold numbers, got dtype <U4"),
        (TypeError, lambda: Tensor([None]), "data must hold numbers, got dtype object"),
        (TypeError, lambda: Tensor([1, 2]).backward([1, 1]), "backward needs a floating-point tensor, got int64"),
        (ValueError, lambda: Tensor([1.0, 2.0]).backward(), r"gradient must be given for a tensor of shape \(2,\)"),
        (ValueError, lambda: Tensor([1.0, 2.0]).backward([1.0]), r"gradient must have shape \(2,\), got \(1,\)"),
        (ValueError, lambda: Tensor(1.0) @ Tensor([1.0]), "matmul"),
        (ValueError, lambda: Tensor(X) @ Tensor(Y), "mismatch in its core dimension"),
        (IndexError, lambda: Tensor([1.0])[1], "out of bounds"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()


def test_look_ups_are_of_what_numpy_counts_in(monkeypatch):
    def take(x, indices, axis, numpy_take=np.take):
        assert indices.dtype == np.intp  # a browser's NumPy refuses wider ones
        return numpy_take(x, indices, axis)

    monkeypatch.setattr(np, "take", take)
    for dtype in (np.int16, np.int32, np.int64):
        taken = autodiff.take(Tensor([1.0, 2.0]), np.asarray([1, 1], dtype), 0)
        close(taken, [2.0, 2.0])
    with pytest.raises(TypeError, match="cast"):
        autodiff.take(Tensor([1.0, 2.0]), np.asarray([0.5]), 0)
