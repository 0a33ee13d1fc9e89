"""The Python side of the race of optimizers: paths, losses, the printed picture."""

import numpy as np
import pytest
import torch
import traitlets

from lmmath.widgets import TrainingWidget
from lmmath.widgets.training import SURFACES

UNCORRECTED = "Adam without bias correction"
SETTINGS = {
    "start_x": 0.7,
    "start_y": 1.3,
    "gradient_descent_rate": 0.021,
    "momentum_rate": 0.013,
    "mu": 0.7,
    "adam_rate": 0.05,
    "beta1": 0.8,
    "beta2": 0.97,
    "weight_decay": 0.2,
}


def torch_path(surface, start, optimizer, **settings):
    point = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    judge = optimizer([point], **settings)
    path = [point.detach().numpy().copy()]
    for _ in range(150):
        judge.zero_grad()
        SURFACES[surface](point[0], point[1]).backward()
        judge.step()
        path.append(point.detach().numpy().copy())
    return np.stack(path)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["first", "other"])
def test_paths_are_those_of_torch(surface, settings):
    widget = TrainingWidget(surface=surface, **settings)
    start = [widget.start_x, widget.start_y]
    expected = {
        "gradient descent": torch_path(
            surface, start, torch.optim.SGD, lr=widget.gradient_descent_rate
        ),
        "momentum": torch_path(
            surface, start, torch.optim.SGD, lr=widget.momentum_rate, momentum=widget.mu
        ),
        "Adam": torch_path(
            surface,
            start,
            torch.optim.AdamW,
            lr=widget.adam_rate,
            betas=(widget.beta1, widget.beta2),
            weight_decay=widget.weight_decay,
        ),
    }
    paths, losses = widget.paths, widget.losses
    assert list(paths) == list(losses) == [*expected, UNCORRECTED]
    for name, path in expected.items():
        np.testing.assert_allclose(paths[name], path, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(
            losses[name], SURFACES[surface](*path.T), rtol=1e-6, atol=1e-10
        )


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.99), (0, 0.9)])
@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_without_bias_correction_the_first_step_is_longer_by_the_formula(betas, rate):
    widget = TrainingWidget(beta1=betas[0], beta2=betas[1], adam_rate=rate)
    corrected, uncorrected = (
        np.abs(widget.paths[name][1] - widget.paths[name][0])
        for name in ("Adam", UNCORRECTED)
    )
    factor = (1 - betas[0]) / np.sqrt(1 - betas[1])
    np.testing.assert_allclose(corrected, rate, rtol=1e-6)
    np.testing.assert_allclose(uncorrected, rate * factor, rtol=1e-6)


@pytest.mark.parametrize(
    ("trait", "name"),
    [
        ("gradient_descent", "gradient descent"),
        ("momentum", "momentum"),
        ("adam", "Adam"),
        ("adam_uncorrected", UNCORRECTED),
    ],
)
def test_only_those_that_take_part_have_paths(trait, name):
    widget = TrainingWidget(**{trait: False})
    assert len(widget.paths) == 3
    assert name not in widget.paths
    assert f"{name} 0" not in widget.picture().alt


@pytest.mark.parametrize("surface", SURFACES)
def test_paths_that_diverge_are_said_to_and_leave_a_picture(surface):
    rates = {"gradient_descent_rate": 0.5, "momentum_rate": 1e300, "adam_rate": 1e300}
    picture = TrainingWidget(surface=surface, step=150, **rates).picture()
    assert "momentum has diverged" in picture.alt
    assert f"{UNCORRECTED} has diverged" in picture.alt
    assert "<svg" in picture.svg


def test_what_the_chapter_says_of_two_valleys():
    def in_the_deep_one(**start):
        paths = TrainingWidget(surface="two valleys", **start).paths
        return [name for name, path in paths.items() if path[-1, 0] > 0.9]

    assert in_the_deep_one() == ["momentum", UNCORRECTED]
    assert len(in_the_deep_one(start_x=0.2)) == 4


def test_the_picture_says_what_it_shows():
    widget = TrainingWidget(surface="two valleys", step=40)
    alt = widget.picture().alt
    assert alt.startswith(
        "Above, paths from (-1.6, 1) over the contour lines of the two"
    )
    for name, losses in widget.losses.items():
        assert f"{name} {losses[40]:.2g}" in alt
    widget = TrainingWidget(
        gradient_descent=False, momentum=False, adam=False, adam_uncorrected=False
    )
    assert "No optimizer takes part" in widget.picture().alt


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("surface", "plain", "surface.*expected any of.*long valley"),
        ("start_x", 2.1, "start_x must be at most 2.0, got 2.1"),
        ("start_y", -1.3, "start_y must be at least -1.2, got -1.3"),
        ("step", 151, "step"),
        ("mu", 1, "mu must be at most 0.9999, got 1"),
        ("beta1", -0.1, "beta1 must be at least 0, got -0.1"),
        ("beta2", 1.0, "beta2 must be at most 0.9999, got 1.0"),
        ("adam_rate", float("nan"), "adam_rate must be finite, got nan"),
        ("momentum_rate", -1, "momentum_rate must be at least 0, got -1"),
        ("gradient_descent_rate", float("inf"), "must be finite, got inf"),
        ("weight_decay", "much", "weight_decay must be a number, got str"),
    ],
)
def test_bad_values_are_refused_and_nothing_is_lost(trait, value, message):
    widget = TrainingWidget()
    before = getattr(widget, trait)
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before
