"""The scaling widget's Python side: its laws, splits and losses, and the static picture."""

import numpy as np
import pytest
import traitlets
from scipy.optimize import minimize_scalar

from lmmath.scaling import (
    BESIROGLU_2024,
    HOFFMANN_2022,
    KAPLAN_2020,
    ChinchillaLaw,
    KaplanLaw,
    chinchilla_loss,
    compute_optimal,
    fit_chinchilla,
    kaplan_loss,
)
from lmmath.scaling.sweep import read_sweep
from lmmath.widgets import ScalingWidget
from lmmath.widgets.scaling import FABLE

LAWS = {
    "Kaplan 2020": (kaplan_loss, KAPLAN_2020),
    "Hoffmann 2022": (chinchilla_loss, HOFFMANN_2022),
    "Besiroglu 2024": (chinchilla_loss, BESIROGLU_2024),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("flops", [1e20, 5.76e23, 1e26])
@pytest.mark.parametrize("ratio", [0.1, 20, 1000])
def test_split_and_loss_are_the_formulas(name, flops, ratio):
    widget = ScalingWidget(law=name, flops=flops, tokens_per_param=ratio)
    n_params, n_tokens = widget.split
    assert 6 * n_params * n_tokens == pytest.approx(flops, rel=1e-14)
    assert n_tokens / n_params == pytest.approx(ratio, rel=1e-14)
    formula, law = LAWS[name]
    assert widget.loss == formula(n_params, n_tokens, law)
    assert widget.best_loss == formula(*widget.best_split, law)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("flops", [1e20, 5.76e23, 1e26])
def test_no_split_is_better_than_the_best(name, flops):
    widget = ScalingWidget(law=name, flops=flops)
    formula, law = LAWS[name]
    found = minimize_scalar(
        lambda log_n: formula(np.exp(log_n), flops / 6 / np.exp(log_n), law),
        bounds=(np.log(1e6), np.log(1e15)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    n_params, n_tokens = widget.best_split
    assert 6 * n_params * n_tokens == pytest.approx(flops, rel=1e-12)
    assert n_params == pytest.approx(np.exp(found.x), rel=1e-4)
    assert widget.best_loss <= found.fun * (1 + 1e-12)
    if isinstance(law, ChinchillaLaw):
        assert widget.best_split == compute_optimal(law, flops)


def test_the_books_runs_are_those_of_the_sweep_and_the_law_is_fitted_to_them():
    widget = ScalingWidget(law=FABLE, fable_flops=1e10)
    rows = read_sweep()
    runs = [[row["n_params"], row["n_tokens"], row["loss"]] for row in rows]
    assert widget.runs.tolist() == runs
    assert widget.floor == rows[0]["floor"]
    law = fit_chinchilla(*widget.runs.T)
    assert widget.laws[FABLE] == law
    assert widget.budget == 1e10
    assert widget.loss == chinchilla_loss(*widget.split, law)


def test_the_law_is_fitted_to_other_runs_if_there_are_others():
    law = ChinchillaLaw(E=0.5, A=30.0, B=20.0, alpha=0.4, beta=0.3)
    n_params, n_tokens = np.meshgrid(np.geomspace(1e3, 1e6, 5), np.geomspace(1e4, 1e7, 5))  # fmt: skip
    columns = [n_params.ravel(), n_tokens.ravel()]
    runs = np.transpose([*columns, chinchilla_loss(*columns, law)])
    fitted = ScalingWidget(runs=runs).laws[FABLE]
    np.testing.assert_allclose(fitted, law, rtol=1e-2)


def test_laws_reach_the_page_as_their_constants_and_come_back():
    widget = ScalingWidget()
    sent = widget.get_state("laws")["laws"]
    assert sent["Kaplan 2020"] == KAPLAN_2020._asdict()
    assert sent["Hoffmann 2022"] == HOFFMANN_2022._asdict()
    other = KaplanLaw(n_c=1e13, d_c=1e13, alpha_n=0.1, alpha_d=0.2)
    widget.set_state({"laws": {"one": other._asdict(), "two": BESIROGLU_2024._asdict()}})  # fmt: skip
    assert widget.laws == {"one": other, "two": BESIROGLU_2024}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("law", "Chinchilla", "law must be one of Kaplan 2020, Hoffmann 2022, .* got 'Chinchilla'"),
        ("laws", {"one": (1, 2)}, "got tuple for 'one'"),
        ("flops", 1e19, "flops must be at least 1e"),
        ("fable_flops", np.inf, "fable_flops must be finite"),
        ("tokens_per_param", 0, "tokens_per_param must be at least"),
        ("runs", np.ones((4, 2)), r"runs must have a row \(parameters, tokens, loss\).* got shape \(4, 2\)"),
        ("runs", np.ones((0, 3)), r"got shape \(0, 3\)"),
    ],
)  # fmt: skip
def test_what_it_cannot_show_is_refused(name, value, message):
    widget = ScalingWidget()
    before = getattr(widget, name)
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(widget, name, value)
    assert getattr(widget, name) is before


@pytest.mark.parametrize("name", [*LAWS, FABLE])
def test_the_picture_says_what_it_shows(name):
    widget = ScalingWidget(law=name)
    alt = widget.picture().alt
    assert f"“{name}”" in alt
    assert f"{widget.split[0]:.3g} parameters" in alt
    assert f"have the loss {widget.loss:.3f}" in alt
    assert f"has {widget.best_loss:.3f}" in alt
