"""Recurrent language models against torch's, and the choice of a model by its configuration."""

import numpy as np
import pytest
import torch
from libraries import close, same_gradients, same_on_every_library

from lmmath.language_models import (
    RecurrentConfig,
    forward,
    init,
    init_recurrent,
    recurrent,
    recurrent_shapes,
    shapes,
)
from lmmath.transformer import GPTConfig, gpt, gpt_shapes, init_gpt

SIZES = {"vocab_size": 7, "n_positions": 5, "d_model": 6}
GPT = GPTConfig(7, n_positions=5, d_model=6, n_layers=2, n_heads=2)


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_recurrent_model_equals_torchs(rng, cell):
    config = RecurrentConfig(cell=cell, **SIZES)
    params = init_recurrent(config, rng, np.float64)
    params["cell.b"] += rng.normal(size=params["cell.b"].shape)
    tokens = rng.integers(7, size=(3, 9))
    reference = getattr(torch.nn, cell.upper())(6, 6, batch_first=True).double()
    with torch.no_grad():
        reference.weight_ih_l0[:] = torch.from_numpy(params["cell.w_x"].T)
        reference.weight_hh_l0[:] = torch.from_numpy(params["cell.w_h"].T)
        reference.bias_ih_l0[:] = torch.from_numpy(params["cell.b"])
        reference.bias_hh_l0[:] = 0
    table = torch.from_numpy(params["wte.weight"])
    states, _ = reference(table[torch.from_numpy(tokens)])
    close(recurrent(params, tokens, config), states @ table.T, 1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_recurrent_model_runs_on_every_library(rng, cell):
    config = RecurrentConfig(cell=cell, **SIZES)
    params, tokens = (
        init_recurrent(config, rng, np.float64),
        rng.integers(7, size=(2, 4)),
    )
    same_on_every_library(recurrent, params, tokens, config)
    same_gradients(recurrent, params, tokens, config)


def test_first_parameters_have_the_stated_spread(rng):
    for cell, n_gates in (("rnn", 1), ("lstm", 4)):
        config = RecurrentConfig(400, n_positions=5, d_model=200, cell=cell)
        params = init_recurrent(config, rng)
        for name, shape in recurrent_shapes(config).items():
            assert params[name].shape == shape
            assert params[name].dtype == np.float32
            if name != "cell.b":
                close(params[name].std(), 200**-0.5, 2e-3)
        forget = params["cell.b"].reshape(n_gates, 200).mean(axis=1)
        assert forget.tolist() == ([0] if cell == "rnn" else [0, 1, 0, 0])


@pytest.mark.parametrize(
    "config",
    [GPT, RecurrentConfig(cell="rnn", **SIZES), RecurrentConfig(**SIZES)],
)
def test_the_configuration_says_which_model_it_is(rng, config):
    params = init(config, np.random.default_rng(0), np.float64)
    tokens = rng.integers(7, size=4)
    is_gpt = isinstance(config, GPTConfig)
    assert shapes(config) == (gpt_shapes if is_gpt else recurrent_shapes)(config)
    expected = (init_gpt if is_gpt else init_recurrent)(
        config, np.random.default_rng(0), np.float64
    )
    assert all(np.array_equal(params[name], expected[name]) for name in expected)
    close(
        forward(config, params, tokens),
        (gpt if is_gpt else recurrent)(params, tokens, config),
    )


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: RecurrentConfig(0, 1, 1), "vocab_size must be an integer of at least 1, got 0"),
        (ValueError, lambda: RecurrentConfig(1, 1, 1, "gru"), "cell must be 'rnn' or 'lstm', got 'gru'"),
        (ValueError, lambda: recurrent({}, np.asarray([1]), RecurrentConfig(**SIZES)), "4 missing"),
        (
            ValueError,
            lambda: recurrent(init_recurrent(RecurrentConfig(**SIZES), np.random.default_rng(0)), np.asarray([7]), RecurrentConfig(**SIZES)),
            "tokens must lie between 0 and 6, got 7",
        ),
        (TypeError, lambda: forward(3, {}, np.asarray([1])), "config must be a GPTConfig or a RecurrentConfig, got int"),
        (TypeError, lambda: shapes(3), "config must be a GPTConfig or a RecurrentConfig, got int"),
        (TypeError, lambda: init(3, np.random.default_rng(0)), "config must be a GPTConfig or a RecurrentConfig, got int"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
