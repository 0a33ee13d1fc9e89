"""The widget of chapter 1 in Python: its traits, and that what it shows is lmmath's."""

import numpy as np
import pytest
import traitlets

from lmmath.neurons import gelu, init_mlp, mlp, relu, sigmoid, tanh
from lmmath.widgets import NeuronsWidget


def random_params(n_hidden, seed=0):
    sizes = [2, n_hidden, 1] if n_hidden else [2, 1]
    return init_mlp(sizes, np.random.default_rng(seed))


@pytest.mark.parametrize("n_hidden", [0, 1, 8])
@pytest.mark.parametrize("activation", [tanh, sigmoid, relu, gelu])
def test_what_is_shown_is_the_formulas(n_hidden, activation):
    params = random_params(n_hidden)
    widget = NeuronsWidget(params=params, activation=activation.__name__, data=2)
    outputs = sigmoid(mlp(params, widget.points[2], activation))[:, 0]
    targets = widget.targets[2]
    np.testing.assert_allclose(widget.outputs, outputs, 1e-14)
    np.testing.assert_allclose(widget.error, np.mean((outputs - targets) ** 2), 1e-14)
    right = sum((y > 0.5) == (t == 1) for y, t in zip(outputs, targets, strict=True))
    assert (widget.n_hidden, widget.n_right) == (n_hidden, right)


def test_a_single_neuron_cannot_do_the_exclusive_or_and_two_before_one_can():
    rng = np.random.default_rng(0)
    widget = NeuronsWidget()
    best = 0
    for _ in range(1000):
        w = rng.normal(size=(2, 1))
        widget.params = {"0.weight": w, "0.bias": -rng.uniform(0, 1, 2) @ w}
        best = max(best, widget.n_right)
    assert best == 75
    widget.params = {
        "0.weight": [[8.0, 8.0], [8.0, 8.0]],
        "0.bias": [-4.0, -12.0],
        "1.weight": [[4.0], [-4.0]],
        "1.bias": [-4.0],
    }
    assert widget.n_right == 100


def test_the_points_are_in_the_plane_and_half_of_each_kind():
    widget = NeuronsWidget()
    assert widget.points.shape == (len(widget.data_names), 100, 2)
    assert np.all((widget.points > -0.5) & (widget.points < 1.5))
    assert np.all(widget.targets.sum(axis=1) == 50)


def test_other_points_are_other_data():
    widget = NeuronsWidget(
        data_names=["switches"],
        points=[[[0, 0], [0, 1], [1, 0], [1, 1]]],
        targets=[[0, 1, 1, 1]],
    )
    assert widget.n_right == 4
    assert "4 of 4 points of “switches”" in repr(widget)


def test_the_page_gets_lists_and_sends_lists_back():
    widget, seen = NeuronsWidget(), []
    assert widget.get_state("params")["params"] == {
        "0.weight": [[4.0], [4.0]],
        "0.bias": [-2.0],
    }
    widget.observe(lambda change: seen.append(widget.n_hidden), "params")
    sent = {name: array.tolist() for name, array in random_params(3).items()}
    widget.set_state({"params": sent})
    assert seen == [3]
    assert widget.get_state("params")["params"] == sent


def test_params_cannot_be_changed_behind_the_widgets_back():
    params = random_params(2)
    widget = NeuronsWidget(params=params)
    before = widget.params["0.bias"].copy()
    params["0.bias"][0] = 99
    assert np.array_equal(widget.params["0.bias"], before)
    with pytest.raises(ValueError, match="read-only"):
        widget.params["0.bias"][0] = 99


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (None, "must be a dict of arrays, got NoneType"),
        ({}, r"params must have the names \['0.weight', '0.bias'\], got \[\]"),
        (random_params(2) | {"2.bias": 0}, "params must have the names"),
        ({"0.weight": [[1.0]], "0.bias": [0.0]}, "must be what mlp takes .* 0.weight"),
        ({"0.weight": "a", "0.bias": [0.0]}, "must be what mlp takes .* string"),
        (
            {"0.weight": [[1.0, 2], [3, 4]], "0.bias": [0.0, 0]},
            "must have one output, got 2",
        ),
        (
            init_mlp([2, 3, 3, 1], np.random.default_rng(0)),
            "at most one hidden layer, got 2",
        ),
        (random_params(9), "must have at most 8 hidden neurons, got 9"),
        ({"0.weight": [[np.nan], [1.0]], "0.bias": [0.0]}, "must be finite, got NaN"),
    ],
)
def test_params_are_those_of_such_a_network(params, message):
    with pytest.raises(traitlets.TraitError, match=message):
        NeuronsWidget(params=params)
    widget = NeuronsWidget()
    with pytest.raises(traitlets.TraitError, match=message):
        widget.params = params
    assert widget.n_hidden == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": 3}, "data must be less than 3, got 3"),
        ({"data_names": ["one"]}, r"points must have shape \(1, 100, 2\), got"),
        ({"points": np.ones((3, 100, 3))}, r"points must have shape \(3, 100, 2\), got"),
        ({"targets": np.ones((3, 99))}, r"targets must have shape \(3, 100\), got \(3, 99\)"),
        ({"targets": np.full((3, 100), 0.5)}, "targets must be 0 or 1"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_refused_at_once_and_later(changes, message):
    with pytest.raises(ValueError, match=message):
        NeuronsWidget(**changes)
    widget = NeuronsWidget()
    for name, value in changes.items():
        setattr(widget, name, value)
    with pytest.raises(ValueError, match=message):
        _ = widget.outputs


def test_other_activations_are_refused():
    with pytest.raises(traitlets.TraitError, match="tanh"):
        NeuronsWidget(activation="step")


@pytest.mark.parametrize(
    ("traits", "says"),
    [
        ({}, "A single neuron has 75 of 100 points of “exclusive or” on the right side"),
        ({"params": random_params(1), "data": 1}, "1 hidden neuron has "),
        ({"params": random_params(8), "data_names": ["a", "$\\frac$ <b>", "c"], "data": 1}, "8 hidden neurons have "),
        ({"params": {"0.weight": [[0.0], [0.0]], "0.bias": [0.0]}}, "has 50 of 100 points"),
    ],
)  # fmt: skip
def test_the_picture_says_what_it_shows(traits, says):
    widget = NeuronsWidget(**traits)
    picture = widget.picture()
    assert says in picture.alt
    assert f"{widget.error:.3f}" in picture.alt
    assert "<b>" not in picture.svg
    assert repr(widget) == f"NeuronsWidget. Figure: {picture.alt}"
