"""The recurrence widget's Python side: PyTorch differentiates the same networks."""

import numpy as np
import pytest
import torch
import traitlets

from lmmath.widgets import RecurrenceWidget

BENDS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "none": lambda a: a}


def draw(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "inputs": rng.normal(size=(n, d)),
        "weights": rng.normal(size=(2, d, d)) / d,
        "lstm_weights": rng.normal(size=(2, d, 4 * d)) / d,
    }


def lengths(states):
    """Let PyTorch go back from the sum of the last output, over √d."""
    last = states[-1][0]
    (last.sum() / last.numel() ** 0.5).backward()
    grads = [[part.grad for part in state if part.grad is not None] for state in states]
    return [torch.cat(grad, -1).norm().item() for grad in grads[::-1]]


def state(*parts):
    """Hold what the next step sees; the cell it sees is not the one that the output came from."""
    parts = [part.clone().requires_grad_() for part in parts]
    for part in parts:
        part.retain_grad()
    return parts


@pytest.mark.parametrize("activation", BENDS)
@pytest.mark.parametrize("sigma_max", [0.25, 1.3])
def test_gradients_are_pytorchs(activation, sigma_max):
    widget = RecurrenceWidget(
        activation=activation,
        sigma_max=sigma_max,
        lstm=True,
        forget_bias=2.5,
        **draw(9, 4),
    )
    x = torch.from_numpy(widget.inputs.copy())
    for name, w in zip(["random", "orthogonal"], widget.weights, strict=True):
        w = torch.from_numpy(sigma_max * w)
        b = -w.sum(0) / 2 if activation == "sigmoid" else 0
        states = [state(torch.zeros(4, dtype=torch.float64))]
        for x_t in x:
            states.append(state(BENDS[activation](x_t + states[-1][0] @ w + b)))
        np.testing.assert_allclose(widget.norms[name], lengths(states), 1e-12)

    cell = torch.nn.LSTMCell(4, 4, dtype=torch.float64)
    w_x, w_h = widget.lstm_weights
    b = np.repeat([0, 2.5, 0, 0], 4)
    values = [w_x.T.copy(), w_h.T.copy(), b, 0 * b]
    for parameter, value in zip(cell.parameters(), values, strict=True):
        parameter.data = torch.from_numpy(value)
    states = [state(*torch.zeros(2, 4, dtype=torch.float64))]
    for x_t in x:
        states.append(state(*cell(x_t, states[-1])))
    np.testing.assert_allclose(widget.norms["LSTM"], lengths(states), 1e-12)


def test_the_bounds():
    widget = RecurrenceWidget(sigma_max=2, activation="sigmoid", forget_bias=0)
    k = np.arange(51.0)
    np.testing.assert_allclose(widget.bound, 0.5**k, 1e-13)
    np.testing.assert_allclose(widget.along_cell, 0.5**k, 1e-13)
    for activation in BENDS:
        for sigma_max in [0.25, 1, 3, 8]:
            widget.activation, widget.sigma_max = activation, sigma_max
            for norms in widget.norms.values():
                assert np.all(norms <= widget.bound * (1 + 1e-12))


def test_its_own_matrices_are_what_their_names_say():
    random, orthogonal = RecurrenceWidget().weights
    singular = np.linalg.svd(random, compute_uv=False)
    assert singular[0] == pytest.approx(1, rel=1e-14)
    assert singular[-1] < 0.2
    np.testing.assert_allclose(orthogonal @ orthogonal.T, np.eye(16), atol=1e-14)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inputs": np.zeros((0, 4))},
            r"inputs must hold at least one step, got shape \(0, 4\)",
        ),
        (
            {"inputs": np.zeros((9, 3))},
            r"weights must have shape \(2, 3, 3\), got \(2, 4, 4\)",
        ),
        (
            {"lstm_weights": np.zeros((2, 4, 4))},
            r"lstm_weights must have shape \(2, 4, 16\), got \(2, 4, 4\)",
        ),
    ],
)
def test_networks_that_do_not_fit_are_refused_at_once_and_later(changes, message):
    with pytest.raises(ValueError, match=message):
        RecurrenceWidget(**draw(9, 4) | changes)
    widget = RecurrenceWidget(**draw(9, 4))
    for name, value in changes.items():
        setattr(widget, name, value)
    with pytest.raises(ValueError, match=message):
        _ = widget.norms


@pytest.mark.parametrize(
    ("name", "value"),
    [("sigma_max", 0), ("sigma_max", 9), ("sigma_max", float("nan")), ("forget_bias", -1),
     ("activation", "relu"), ("lstm", "yes"), ("weights", np.full((2, 16, 16), np.inf))],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused(name, value):
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(RecurrenceWidget(), name, value)


def test_the_picture_says_what_it_shows():
    widget = RecurrenceWidget(sigma_max=0.8)
    alt = widget.picture().alt
    ends = {name: f"{norms[-1]:.0e}" for name, norms in widget.norms.items()}
    assert "networks with tanh and largest singular value 0.8" in alt
    assert f"After 50 steps the bound is at {0.8**50:.0e}" in alt
    assert (
        f"{ends['random']} with the random W, {ends['orthogonal']} with the orth" in alt
    )
    assert "LSTM" not in alt
    widget.lstm, widget.activation = True, "none"
    assert f"{widget.norms['LSTM'][-1]:.0e} in the LSTM with forget bias 1" in repr(
        widget
    )
    assert "networks with no activation" in repr(widget)
    widget.weights = 0 * widget.weights  # nothing comes back: a logarithm of 0
    assert "0e+00 with the random W" in repr(widget)
