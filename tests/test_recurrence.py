"""Recurrence against literal loops, torch, its Jacobians, mpmath and the theory."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from libraries import close

from lmmath.autodiff import Tensor
from lmmath.neurons import gelu, relu, sigmoid, tanh
from lmmath.recurrence import (
    gradient_norms,
    log_gradient_norms,
    lstm,
    lstm_jacobian,
    rnn,
    rnn_jacobian,
    rnn_weight_gradient,
    rnn_weight_gradient_terms,
)

ACTIVATIONS = [tanh, sigmoid, relu, None]
TORCH = {tanh: torch.tanh, sigmoid: torch.sigmoid, relu: torch.relu, None: lambda a: a}


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def normals(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def orthogonal(d, seed):
    return np.linalg.qr(*normals(seed, (d, d)))[0]


# The formulas, one loop for each sum and one name for each symbol.


def logistic(a):
    return 1 / (1 + math.exp(-a))


def sums_by_loops(x, h, w_x, w_h, b):
    return [
        sum(x[i] * w_x[i, j] for i in range(len(x)))
        + sum(h[i] * w_h[i, j] for i in range(len(h)))
        + b[j]
        for j in range(len(b))
    ]


def rnn_by_loops(x, w_x, w_h, b, h):
    states = []
    for x_t in x:
        h = [math.tanh(a) for a in sums_by_loops(x_t, h, w_x, w_h, b)]
        states.append(h)
    return np.asarray(states)


def lstm_by_loops(x, w_x, w_h, b, h, c):
    d, outputs, cells = len(h), [], []
    for x_t in x:
        a = sums_by_loops(x_t, h, w_x, w_h, b)
        h, c = list(h), list(c)
        for j in range(d):
            input_gate, forget_gate = logistic(a[j]), logistic(a[d + j])
            candidate, output_gate = math.tanh(a[2 * d + j]), logistic(a[3 * d + j])
            c[j] = forget_gate * c[j] + input_gate * candidate
            h[j] = output_gate * math.tanh(c[j])
        outputs.append(h)
        cells.append(c)
    return np.asarray(outputs), np.asarray(cells)


# The simple recurrent network


@pytest.mark.parametrize(("n", "d_in", "d"), [(1, 1, 1), (1, 3, 2), (7, 2, 4)])
def test_rnn_equals_the_loops(rng, n, d_in, d):
    shapes = (n, d_in), (d_in, d), (d, d), (d,), (d,)
    x, w_x, w_h, b, h_0 = (rng.normal(size=shape) for shape in shapes)
    close(rnn(x, w_x, w_h, b, h_0), rnn_by_loops(x, w_x, w_h, b, h_0))
    close(rnn(x, w_x, w_h, b), rnn_by_loops(x, w_x, w_h, b, np.zeros(d)))


def torch_parameters(network):
    """Give w_x, w_h and b; torch adds one bias to the inputs and one to the state."""
    w_x, w_h, b_x, b_h = (p.detach().numpy() for p in network.parameters())
    return w_x.T, w_h.T, b_x + b_h


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_equals_torch(rng, nonlinearity):
    network = torch.nn.RNN(
        3, 4, nonlinearity=nonlinearity, batch_first=True, dtype=torch.float64
    )
    x, h_0 = rng.normal(size=(5, 6, 3)), rng.normal(size=(5, 4))
    activation = {"tanh": tanh, "relu": relu}[nonlinearity]
    parameters = torch_parameters(network)
    expected, _ = network(torch.from_numpy(x), torch.from_numpy(h_0)[None])
    close(rnn(x, *parameters, h_0, activation), expected)
    close(rnn(x, *parameters, activation=activation), network(torch.from_numpy(x))[0])


def test_rnn_takes_any_number_of_batch_axes_and_any_activation(rng):
    x, h_0 = rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(2, 3, 4))
    w_x, w_h, b = rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)
    whole = rnn(x, w_x, w_h, b, h_0, gelu)
    for i, j in np.ndindex(2, 3):
        close(whole[i, j], rnn(x[i, j], w_x, w_h, b, h_0[i, j], gelu))


def test_rnn_can_go_on_where_it_stopped(rng):
    x, w_x = rng.normal(size=(2, 9, 3)), rng.normal(size=(3, 4))
    w_h, b = rng.normal(size=(4, 4)), rng.normal(size=4)
    whole = rnn(x, w_x, w_h, b)
    close(whole[:, 4:], rnn(x[:, 4:], w_x, w_h, b, h_0=whole[:, 3]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_is_kept(rng, dtype):
    x, w_x, w_h, b, jacobians = (
        rng.normal(size=shape).astype(dtype)
        for shape in [(5, 3), (3, 4), (4, 4), (4,), (5, 4, 4)]
    )
    h = rnn(x, w_x, w_h, b)
    gates = np.tile(w_x, 4), np.tile(w_h, 4), np.tile(b, 4)
    for result in [
        h,
        *[rnn_jacobian(h, w_h, activation) for activation in ACTIVATIONS],
        gradient_norms(b, jacobians),
        log_gradient_norms(b, jacobians),
        rnn_weight_gradient(h, h, w_h),
        *lstm(x, *gates),
        lstm_jacobian(x, h, h, *gates),
    ]:
        assert result.dtype == dtype
        assert np.all(np.isfinite(result))


# Its Jacobian


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rnn_jacobian_equals_torch(rng, activation):
    x, h_0 = rng.normal(size=(6, 3)), rng.normal(size=4)
    w_x, w_h, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)
    h = rnn(x, w_x, w_h, b, h_0, activation)
    before = np.concatenate([h_0[None], h[:-1]])
    jacobians = rnn_jacobian(h, w_h, activation)

    for x_t, h_before, jacobian in zip(x, before, jacobians, strict=True):
        inputs, w = torch.from_numpy(x_t @ w_x + b), torch.from_numpy(w_h)
        expected = torch.autograd.functional.jacobian(
            lambda h, inputs=inputs, w=w: TORCH[activation](inputs + h @ w),
            torch.from_numpy(h_before),
        )
        close(jacobian, expected)


def test_the_product_of_jacobians_is_the_jacobian_of_the_product(rng):
    x, w_x = torch.from_numpy(rng.normal(size=(5, 3))), rng.normal(size=(3, 4))
    w_h, b = rng.normal(size=(4, 4)), rng.normal(size=4)
    parameters = [torch.from_numpy(array) for array in (w_x, w_h, b)]
    h_0 = torch.from_numpy(rng.normal(size=4))
    expected = torch.autograd.functional.jacobian(
        lambda h_0: rnn(x, *parameters, h_0)[-1], h_0
    )
    jacobians = rnn_jacobian(rnn(x, *parameters, h_0).numpy(), w_h)
    close(np.linalg.multi_dot(jacobians[::-1]), expected)


def test_relu_at_zero_has_the_slope_zero():
    h, w_h = np.asarray([0.0, 1.0]), np.asarray([[1.0, 2.0], [3.0, 4.0]])
    assert rnn_jacobian(h, w_h, relu).tolist() == [[0, 0], [2, 4]]


# Norms of gradients


@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 99))
def test_gradient_norms_equal_the_finite_products(n, d, seed):
    gradient, jacobians = normals(seed, (2, d), (2, n, d, d))
    expected = np.empty((2, n + 1))
    for batch, k in np.ndindex(2, n + 1):
        product = np.eye(d)
        for t in range(n - k, n):
            product = jacobians[batch, t] @ product
        expected[batch, k] = np.linalg.norm(gradient[batch] @ product)
    norms, logs = (f(gradient, jacobians) for f in (gradient_norms, log_gradient_norms))
    np.testing.assert_allclose(norms, expected, rtol=1e-11)
    np.testing.assert_allclose(logs, np.log(expected), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
def test_log_gradient_norms_equal_mpmath_where_norms_leave_double_precision(scale):
    gradient, jacobians = normals(7, (3,), (400, 3, 3))
    jacobians *= scale
    with mpmath.workdps(40):
        row = mpmath.matrix(gradient.tolist()).T
        expected = [mpmath.log(mpmath.norm(row))]
        for jacobian in jacobians[::-1]:
            row = row * mpmath.matrix(jacobian.tolist())
            expected.append(mpmath.log(mpmath.norm(row)))
    expected = np.asarray([float(value) for value in expected])
    np.testing.assert_allclose(
        log_gradient_norms(gradient, jacobians), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float16, 1e-3), (np.float32, 1e-4), (float, 1e-11)]
)
def test_ten_thousand_steps_keep_their_logarithm(dtype, tolerance):
    jacobians = np.full((10_000, 1, 1), 0.75, dtype)
    logs = log_gradient_norms(np.asarray([1.0], dtype), jacobians)
    expected = np.arange(10_001) * math.log(0.75)
    np.testing.assert_allclose(logs.astype(float), expected, rtol=tolerance)
    assert gradient_norms(np.asarray([1.0], dtype), jacobians)[-1] == 0


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_a_norm_whose_squares_leave_double_precision_is_right(size):
    jacobians = np.asarray([np.eye(2) / size, np.eye(2) * 2])
    np.testing.assert_allclose(
        gradient_norms(np.asarray([3 * size, 4 * size]), jacobians),
        [5 * size, 10 * size, 10],
        rtol=1e-12,
    )


def test_a_norm_comes_back_from_beyond_the_largest_double():
    jacobians = np.asarray([[[1e-200]], [[1e-200]], [[1e200]], [[1e200]]])
    logs = log_gradient_norms(np.asarray([1.0]), jacobians)
    close(logs / math.log(10), [0, 200, 400, 200, 0])
    with pytest.warns(RuntimeWarning, match="overflow"):
        norms = gradient_norms(np.asarray([1.0]), jacobians)
    np.testing.assert_allclose(norms, [1, 1e200, math.inf, 1e200, 1], rtol=1e-12)


def test_a_gradient_that_dies_stays_dead():
    jacobians = np.asarray([np.eye(2), np.diag([0.0, 1.0]), np.eye(2)])
    gradients = np.asarray([[2.0, 0.0], [0.0, 2.0]])
    jacobians = np.stack([jacobians, jacobians])
    close(gradient_norms(gradients, jacobians), [[2, 2, 0, 0], [2, 2, 2, 2]])
    logs = log_gradient_norms(gradients, jacobians)
    close(np.exp(logs), [[2, 2, 0, 0], [2, 2, 2, 2]])


# When gradients vanish and explode


@given(
    st.sampled_from([(tanh, 1.0), (sigmoid, 0.25)]),
    st.floats(0.01, 0.999),
    st.integers(0, 999),
)
def test_a_small_largest_singular_value_makes_gradients_vanish(case, product, seed):
    activation, gamma = case
    x, w_x, w_h, b, gradient = normals(seed, (30, 2), (2, 4), (4, 4), (4,), (4,))
    w_h *= product / gamma / np.linalg.norm(w_h, 2)
    jacobians = rnn_jacobian(rnn(x, w_x, w_h, b, None, activation), w_h, activation)
    logs = log_gradient_norms(gradient, jacobians)
    bound = math.log(np.linalg.norm(gradient)) + np.arange(31) * math.log(product)
    assert np.all(logs <= bound + 1e-12)


@given(st.integers(1, 6), st.integers(0, 999))
def test_an_orthogonal_matrix_without_activation_keeps_the_norm(d, seed):
    x, b, gradient = normals(seed, (100, d), (d,), (d,))
    w_h = orthogonal(d, seed)
    h = rnn(x, np.eye(d), w_h, b, activation=None)
    norms = gradient_norms(gradient, rnn_jacobian(h, w_h, None))
    np.testing.assert_allclose(norms, np.linalg.norm(gradient), rtol=1e-12)


def test_an_orthogonal_matrix_with_tanh_does_not():
    x, gradient = normals(0, (100, 4), (4,))
    w_h = orthogonal(4, 0)
    h = rnn(x, np.eye(4), w_h, np.zeros(4))
    norms = gradient_norms(gradient, rnn_jacobian(h, w_h))
    assert np.all(np.diff(norms) < 0)
    assert norms[-1] < 1e-6 * norms[0]


def test_a_large_largest_singular_value_need_not_make_gradients_explode():
    w_h = np.asarray([[0.0, 10.0], [0.0, 0.0]])
    assert np.linalg.norm(w_h, 2) == 10
    jacobians = rnn_jacobian(np.zeros((3, 2)), w_h)
    close(gradient_norms(np.asarray([0.0, 1.0]), jacobians), [1, 10, 0, 0])


def test_a_saturated_state_vanishes_even_with_a_large_matrix():
    h = rnn(np.ones((20, 1)), np.full((1, 1), 3.0), np.full((1, 1), 3.0), np.zeros(1))
    norms = gradient_norms(np.ones(1), rnn_jacobian(h, np.full((1, 1), 3.0)))
    assert norms[-1] < 1e-60


def test_gradients_can_explode():
    jacobians = rnn_jacobian(np.zeros((50, 1)), np.full((1, 1), 1.5))
    norms = gradient_norms(np.ones(1), jacobians)
    np.testing.assert_allclose(norms, 1.5 ** np.arange(51), rtol=1e-12)


# Backpropagation through time


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("with_first_state", [False, True])
def test_weight_gradient_equals_torch(rng, activation, with_first_state):
    x, h_0 = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 4))
    h_0 = h_0 if with_first_state else None
    w_x, w_h, b = (
        rng.normal(size=(3, 4)),
        rng.normal(size=(4, 4)) / 2,
        rng.normal(size=4),
    )
    hidden_gradient = rng.normal(size=(2, 6, 4))
    h = rnn(x, w_x, w_h, b, h_0, activation)
    actual = rnn_weight_gradient(hidden_gradient, h, w_h, h_0, activation)
    assert actual.shape == (2, 4, 4)
    for i in range(2):
        w = torch.tensor(w_h, requires_grad=True)
        state = torch.zeros(4, dtype=torch.float64)
        state = torch.from_numpy(h_0[i]) if with_first_state else state
        loss = 0
        for t in range(6):
            inputs = torch.from_numpy(x[i, t] @ w_x + b)
            state = TORCH[activation](inputs + state @ w)
            loss = loss + state @ torch.from_numpy(hidden_gradient[i, t])
        loss.backward()
        close(actual[i], w.grad, 1e-12)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_sum_over_a_batch_is_the_gradient_of_torchs_weights(rng, nonlinearity):
    network = torch.nn.RNN(
        3, 4, nonlinearity=nonlinearity, batch_first=True, dtype=torch.float64
    )
    x, hidden_gradient = rng.normal(size=(5, 6, 3)), rng.normal(size=(5, 6, 4))
    h, _ = network(torch.from_numpy(x))
    h.backward(torch.from_numpy(hidden_gradient))
    actual = rnn_weight_gradient(
        hidden_gradient,
        h.detach().numpy(),
        network.weight_hh_l0.detach().numpy().T,
        activation={"tanh": tanh, "relu": relu}[nonlinearity],
    )
    close(np.sum(actual, axis=0), network.weight_hh_l0.grad.T, 1e-12)


def test_each_term_is_the_gradient_for_the_weights_of_its_step(rng):
    x, w_x = rng.normal(size=(5, 3)), rng.normal(size=(3, 4))
    w_h, b, h_0 = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    hidden_gradient = rng.normal(size=(5, 4))
    copies = [torch.tensor(w_h, requires_grad=True) for _ in range(5)]
    state, loss = torch.from_numpy(h_0), 0
    for t, w in enumerate(copies):
        state = torch.tanh(torch.from_numpy(x[t] @ w_x + b) + state @ w)
        loss = loss + state @ torch.from_numpy(hidden_gradient[t])
    loss.backward()
    h = rnn(x, w_x, w_h, b, h_0)
    terms = rnn_weight_gradient_terms(hidden_gradient, h, w_h, h_0)
    close(terms, np.stack([w.grad for w in copies]), 1e-12)
    close(np.sum(terms, 0), rnn_weight_gradient(hidden_gradient, h, w_h, h_0))


def test_with_a_loss_at_the_end_each_term_is_one_chain_of_factors(rng):
    x, w_x = rng.normal(size=(5, 3)), rng.normal(size=(3, 4))
    w_h, b, h_0 = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    h = rnn(x, w_x, w_h, b, h_0)
    hidden_gradient = np.zeros((5, 4))
    hidden_gradient[-1] = rng.normal(size=4)
    terms = rnn_weight_gradient_terms(hidden_gradient, h, w_h, h_0)
    jacobians = rnn_jacobian(h, w_h)
    for k in range(5):
        chain = hidden_gradient[-1]
        for t in range(4, k, -1):
            chain = chain @ jacobians[t]
        h_before = h_0 if k == 0 else h[k - 1]
        # Immediately, h_k[j] depends on column j of the weights alone.
        for i, j in np.ndindex(4, 4):
            immediate = np.zeros(4)
            immediate[j] = (1 - h[k, j] ** 2) * h_before[i]
            close(terms[k, i, j], chain @ immediate)


def test_the_longest_chain_alone_is_not_the_gradient(rng):
    x, w_x = rng.normal(size=(6, 3)), rng.normal(size=(3, 4))
    w_h, b = rng.normal(size=(4, 4)), rng.normal(size=4)
    h = rnn(x, w_x, w_h, b)
    terms = rnn_weight_gradient_terms(np.ones((6, 4)), h, w_h)
    assert not np.any(terms[0])  # it multiplies h_0 = 0
    assert np.all(np.any(terms[1:], axis=(1, 2)))


# Long short-term memory


@pytest.mark.parametrize(("n", "d_in", "d"), [(1, 1, 1), (1, 3, 2), (7, 2, 4)])
def test_lstm_equals_the_loops(rng, n, d_in, d):
    shapes = (n, d_in), (d_in, 4 * d), (d, 4 * d), (4 * d,), (d,), (d,)
    x, w_x, w_h, b, h_0, c_0 = (rng.normal(size=shape) for shape in shapes)
    for actual, expected in [
        (lstm(x, w_x, w_h, b, h_0, c_0), lstm_by_loops(x, w_x, w_h, b, h_0, c_0)),
        (lstm(x, w_x, w_h, b), lstm_by_loops(x, w_x, w_h, b, [0.0] * d, [0.0] * d)),
        (lstm(x, w_x, w_h, b, h_0), lstm_by_loops(x, w_x, w_h, b, h_0, [0.0] * d)),
        (
            lstm(x, w_x, w_h, b, c_0=c_0),
            lstm_by_loops(x, w_x, w_h, b, [0.0] * d, c_0),
        ),
    ]:
        close(actual[0], expected[0])
        close(actual[1], expected[1])


def test_lstm_equals_torch(rng):
    network = torch.nn.LSTM(3, 4, batch_first=True, dtype=torch.float64)
    x, h_0, c_0 = (rng.normal(size=s) for s in [(5, 6, 3), (5, 4), (5, 4)])
    w_x, w_h, b = torch_parameters(network)
    states = torch.from_numpy(h_0)[None], torch.from_numpy(c_0)[None]
    expected, (last_h, last_c) = network(torch.from_numpy(x), states)
    h, c = lstm(x, w_x, w_h, b, h_0, c_0)
    close(h, expected)
    close(h[:, -1], last_h[0])
    close(c[:, -1], last_c[0])
    close(lstm(x, w_x, w_h, b)[0], network(torch.from_numpy(x))[0])


def test_lstm_has_the_gradients_of_torch(rng):
    network = torch.nn.LSTM(3, 4, batch_first=True, dtype=torch.float64)
    x, factor = rng.normal(size=(5, 6, 3)), torch.from_numpy(rng.normal(size=(5, 6, 4)))
    (network(torch.from_numpy(x))[0] * factor).sum().backward()
    ours = [torch.tensor(a, requires_grad=True) for a in torch_parameters(network)]
    (lstm(torch.from_numpy(x), *ours)[0] * factor).sum().backward()
    close(ours[0].grad, network.weight_ih_l0.grad.T, 1e-12)
    close(ours[1].grad, network.weight_hh_l0.grad.T, 1e-12)
    close(ours[2].grad, network.bias_ih_l0.grad, 1e-12)


@pytest.mark.parametrize("d", [1, 3])
def test_lstm_jacobian_equals_torch(rng, d):
    shapes = (2, 5, 2), (2, 5, d), (2, 5, d), (2, 4 * d), (d, 4 * d), (4 * d,)
    x, h, c, *parameters = (rng.normal(size=shape) for shape in shapes)
    jacobians = lstm_jacobian(x, h, c, *parameters)
    assert jacobians.shape == (2, 5, 2 * d, 2 * d)
    tensors = [torch.from_numpy(array) for array in parameters]
    cell = torch.nn.LSTMCell(2, d, dtype=torch.float64)
    for to, value in zip(
        cell.parameters(), [tensors[0].T, tensors[1].T, tensors[2], 0], strict=True
    ):
        to.data[...] = value
    for place in np.ndindex(2, 5):
        x_t = torch.from_numpy(x[place])
        blocks = torch.autograd.functional.jacobian(
            lambda h, c, x_t=x_t: cell(x_t, (h, c)),
            (torch.from_numpy(h[place]), torch.from_numpy(c[place])),
        )
        close(jacobians[place], torch.cat([torch.cat(row, 1) for row in blocks]))
        close(
            lstm_jacobian(x[place], h[place], c[place], *parameters), jacobians[place]
        )


def test_gradient_norms_of_an_lstm_are_those_of_torch(rng):
    x, h_0, c_0 = (torch.from_numpy(rng.normal(size=s)) for s in [(6, 2), (3,), (3,)])
    parameters = [torch.from_numpy(rng.normal(size=s)) for s in [(2, 12), (3, 12), 12]]
    h_0.requires_grad_()
    c_0.requires_grad_()
    h, c = lstm(x, *parameters, h_0, c_0)
    gradient = rng.normal(size=3)
    (h[-1] @ torch.from_numpy(gradient)).backward()
    states = [
        np.concatenate([first.detach()[None], rest.detach()[:-1]])
        for first, rest in [(h_0, h), (c_0, c)]
    ]
    jacobians = lstm_jacobian(
        x.numpy(), *states, *(tensor.numpy() for tensor in parameters)
    )
    norms = gradient_norms(np.concatenate([gradient, np.zeros(3)]), jacobians)
    expected = torch.linalg.norm(torch.cat([h_0.grad, c_0.grad]))
    close(norms[-1], expected, 1e-12)


def test_an_open_forget_gate_carries_the_gradient_unchanged():
    d, n = 3, 200
    b = np.concatenate([np.zeros(d), np.full(d, 40.0), np.zeros(2 * d)])
    (x, state), w = normals(4, (n, 2), (n, d)), np.zeros((d, 4 * d))
    jacobians = lstm_jacobian(x, state, state, np.zeros((2, 4 * d)), w, b)
    norms = gradient_norms(np.asarray([0.0, 0, 0, 3, 4, 0]), jacobians)
    np.testing.assert_allclose(norms, 5, rtol=1e-12)


@pytest.mark.parametrize("size", [1e3, 1e4])
def test_lstm_saturates_without_warnings(size):
    x, w = np.full((3, 1), size), np.full((1, 8), 1.0)
    h, c = lstm(x, w, np.zeros((2, 8)), np.zeros(8))
    close(c, [[1, 1], [2, 2], [3, 3]])
    close(h, np.tanh(c))
    jacobian = lstm_jacobian(x, h, c, w, np.ones((2, 8)), np.zeros(8))
    close(jacobian[:, 2:, 2:], np.broadcast_to(np.eye(2), (3, 2, 2)))


@given(hnp.arrays(float, (6, 2), elements=st.floats(-100, 100)), st.integers(1, 5))
def test_no_state_depends_on_later_inputs(x, changed):
    w_x, w_h, b = normals(5, (2, 12), (3, 12), (12,))
    other = np.concatenate([x[:changed], x[changed:] + 1])
    before, after = lstm(x, w_x, w_h, b), lstm(other, w_x, w_h, b)
    for one, two in zip(before, after, strict=True):
        close(one[:changed], two[:changed], 0)
    one, two = (rnn(a, w_x[:, :3], w_h[:, :3], b[:3]) for a in (x, other))
    close(one[:changed], two[:changed], 0)


@pytest.mark.parametrize("to", [np.asarray, torch.from_numpy, Tensor])
def test_a_long_texts_gradient_is_added_up_in_float32(to):
    n = 5000
    h = to(np.full((n, 1), 0.5, np.float16))
    w_h = to(np.zeros((1, 1), np.float16))
    total = rnn_weight_gradient(to(np.ones((n, 1), np.float16)), h, w_h)
    assert total.dtype == h.dtype
    close(total, [[(n - 1) * 0.5 * (1 - 0.5**2)]], 1e-3)


# Bad input


def zeros(*shape):
    return np.zeros(shape)


RNN = zeros(5, 2), zeros(2, 3), zeros(3, 3), zeros(3)
LSTM = zeros(5, 2), zeros(2, 12), zeros(3, 12), zeros(12)
STEP = zeros(2), zeros(3), zeros(3), *LSTM[1:]
STATES = zeros(5, 3), zeros(5, 3), zeros(3, 3)


def put(arguments, place, value):
    return (*arguments[:place], value, *arguments[place + 1 :])


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: rnn(*put(RNN, 0, [[1.0]])), "x must be an array of floating-point numbers, got list"),
        (TypeError, lambda: rnn(*put(RNN, 1, None)), "w_x must be .* got NoneType"),
        (TypeError, lambda: rnn(*put(RNN, 2, np.eye(3, dtype=int))), "w_h must be .* got dtype int64"),
        (TypeError, lambda: rnn(*put(RNN, 3, None)), "b must be .* got NoneType"),
        (TypeError, lambda: rnn(*RNN, [0.0] * 3), "h_0 must be .* got list"),
        (TypeError, lambda: rnn(*RNN, activation="tanh"), "activation must be a function or None, got str"),
        (ValueError, lambda: rnn(*put(RNN, 0, zeros(2))), r"x must have at least two axes .* got shape \(2,\)"),
        (ValueError, lambda: rnn(*put(RNN, 0, zeros(0, 2))), r"x must hold at least one step, got shape \(0, 2\)"),
        (
            ValueError,
            lambda: rnn(*put(RNN, 1, zeros(4, 3))),
            r"w_x must have two axes, the first as long as the last axis of x \(2\), got shape \(4, 3\)",
        ),
        (ValueError, lambda: rnn(*put(RNN, 1, zeros(2, 4))), r"w_x must have shape \(2, 3\), got \(2, 4\)"),
        (ValueError, lambda: rnn(*put(RNN, 2, zeros(3))), r"w_h must have at least two axes .* got shape \(3,\)"),
        (ValueError, lambda: rnn(*put(RNN, 2, zeros(3, 4))), r"w_h must have shape \(3, 3\), got \(3, 4\)"),
        (ValueError, lambda: rnn(*put(RNN, 3, zeros(1))), r"b must have shape \(3,\), got \(1,\)"),
        (ValueError, lambda: rnn(*RNN, zeros(5, 3)), r"h_0 must have shape \(3,\), got \(5, 3\)"),
        (TypeError, lambda: rnn_jacobian([0.0], zeros(1, 1)), "h must be .* got list"),
        (ValueError, lambda: rnn_jacobian(zeros(3), zeros(3, 4)), r"w_h must have shape \(4, 4\), got \(3, 4\)"),
        (ValueError, lambda: rnn_jacobian(zeros(2), zeros(3, 3)), r"h must have shape \(3,\), got \(2,\)"),
        (ValueError, lambda: rnn_jacobian(zeros(), zeros(3, 3)), r"h must have shape \(3,\), got \(\)"),
        (
            ValueError,
            lambda: rnn_jacobian(zeros(3), zeros(3, 3), gelu),
            "activation must be relu, sigmoid or tanh of lmmath.neurons, or None, got gelu",
        ),
        (ValueError, lambda: rnn_jacobian(zeros(3), zeros(3, 3), "tanh"), "activation must be .* got 'tanh'"),
        (TypeError, lambda: gradient_norms([1.0], zeros(2, 1, 1)), "gradient must be .* got list"),
        (TypeError, lambda: log_gradient_norms(zeros(1), None), "jacobians must be .* got NoneType"),
        (ValueError, lambda: gradient_norms(zeros(3), zeros(3, 3)), r"jacobians must have at least three axes .* got shape \(3, 3\)"),
        (ValueError, lambda: gradient_norms(zeros(), zeros(2, 1, 1)), r"gradient must have at least one axis \(features\), got shape \(\)"),
        (ValueError, lambda: gradient_norms(zeros(3), zeros(5, 2, 3)), r"jacobians must have shape \(5, 3, 3\), got \(5, 2, 3\)"),
        (ValueError, lambda: gradient_norms(zeros(2, 3), zeros(5, 3, 3)), r"jacobians must have shape \(2, 5, 3, 3\), got \(5, 3, 3\)"),
        (ValueError, lambda: rnn_weight_gradient(*put(STATES, 0, zeros(5, 2))), r"hidden_gradient must have shape \(5, 3\), got \(5, 2\)"),
        (ValueError, lambda: rnn_weight_gradient(zeros(3), zeros(3), zeros(3, 3)), "h must have at least two axes"),
        (ValueError, lambda: rnn_weight_gradient(*[zeros(0, 3)] * 2, zeros(3, 3)), r"h must hold at least one step, got shape \(0, 3\)"),
        (ValueError, lambda: rnn_weight_gradient(*STATES, zeros(2)), r"h_0 must have shape \(3,\), got \(2,\)"),
        (ValueError, lambda: rnn_weight_gradient_terms(*STATES, None, gelu), "activation must be .* got gelu"),
        (ValueError, lambda: lstm(*put(LSTM, 2, zeros(3, 3))), r"w_h must have shape \(3, 12\), got \(3, 3\)"),
        (ValueError, lambda: lstm(*put(LSTM, 1, zeros(2, 3))), r"w_x must have shape \(2, 12\), got \(2, 3\)"),
        (ValueError, lambda: lstm(*put(LSTM, 3, zeros(3))), r"b must have shape \(12,\), got \(3,\)"),
        (ValueError, lambda: lstm(*LSTM, None, zeros(4)), r"c_0 must have shape \(3,\), got \(4,\)"),
        (ValueError, lambda: lstm(*put(LSTM, 0, zeros(0, 2))), "x must hold at least one step"),
        (ValueError, lambda: lstm_jacobian(*put(STEP, 0, zeros())), r"x must have at least one axis \(features\), got shape \(\)"),
        (ValueError, lambda: lstm_jacobian(*put(STEP, 1, zeros(5, 3))), r"h_previous must have shape \(3,\), got \(5, 3\)"),
        (TypeError, lambda: lstm_jacobian(*put(STEP, 2, None)), "c_previous must be .* got NoneType"),
        (ValueError, lambda: lstm_jacobian(*put(STEP, 4, zeros(3, 3))), r"w_h must have shape \(3, 12\), got \(3, 3\)"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
