"""The kept fits of the sweep belong to the sweep that comes with the package."""

import numpy as np
import pytest
from libraries import close

from lmmath.experiments import load_kept
from lmmath.experiments.fitted_law import (
    LEVEL,
    N_RESAMPLES,
    block_parameters,
    fit_with_interval,
)
from lmmath.scaling import ChinchillaLaw, chinchilla_loss, fit_chinchilla
from lmmath.scaling.sweep import read_sweep
from lmmath.transformer import GPTConfig, gpt_shapes

RUNS = read_sweep()
COLUMNS = {name: np.asarray([run[name] for run in RUNS]) for name in RUNS[0]}
N_PARAMS, N_TOKENS, LOSS = (COLUMNS[name] for name in ("n_params", "n_tokens", "loss"))
COUNTS = {
    "all parameters": N_PARAMS,
    "the blocks' alone": block_parameters(COLUMNS["d_model"], COLUMNS["n_layers"]),
}


@pytest.mark.parametrize(("width", "depth"), [(4, 1), (8, 2), (96, 3)])
def test_block_parameters_are_the_entries_of_the_matrices(width, depth):
    config = GPTConfig(50, 16, d_model=width, n_layers=depth, n_heads=1)
    matrices = [
        shape
        for name, shape in gpt_shapes(config).items()
        if name.startswith("h.") and len(shape) == 2
    ]
    assert block_parameters(width, depth) == sum(m * n for m, n in matrices)


def test_fit_with_interval_finds_a_law_that_was_put_in():
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(3, 6, 30), 10 ** rng.uniform(4, 6, 30)
    truth = ChinchillaLaw(0.5, 25.0, 10.0, 1 / 3, 1 / 4)
    loss = chinchilla_loss(n, d, truth) * np.exp(0.001 * rng.normal(size=30))
    law, (low, high), laws = fit_with_interval(n, d, loss, rng, n_resamples=30)
    assert law == fit_chinchilla(n, d, loss)
    assert len(laws) == 30
    for least, constant, most in zip(low, truth, high, strict=True):
        assert least < constant < most


@pytest.mark.parametrize("count", COUNTS)
def test_kept_fits_are_what_the_command_would_make(count):
    kept = load_kept("fitted_law")
    assert kept["command"] == "python -m lmmath.experiments.fitted_law"
    assert kept["n_runs"] == len(RUNS)
    assert (kept["n_resamples"], kept["level"]) == (N_RESAMPLES, LEVEL)
    fit = kept["fits"][count]
    close(fit["law"], fit_chinchilla(COUNTS[count], N_TOKENS, LOSS), 1e-6)
    for low, fitted, high in zip(fit["low"], fit["law"], fit["high"], strict=True):
        assert low < fitted < high


def test_kept_forecast_saw_neither_the_largest_model_nor_the_longest_text():
    forecast = load_kept("fitted_law")["forecast"]
    n, d, loss = N_PARAMS, N_TOKENS, LOSS
    seen = (n < n.max()) & (d < d.max())
    law = fit_chinchilla(n[seen], d[seen], loss[seen])
    close(forecast["law"], law, 1e-6)
    low, high = forecast["ends"]
    assert low < chinchilla_loss(n.max(), d.max(), law) < high
