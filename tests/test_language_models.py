"""Recurrent language models against torch's, and the choice of a model by its configuration."""

import numpy as np
import pytest
import torch
from libraries import close, same_gradients, same_on_every_library

from lmmath.language_models import (
    RecurrentConfig,
    activations,
    forward,
    init,
    init_recurrent,
    lens,
    recurrent,
    recurrent_shapes,
    recurrent_states,
    residual,
    shapes,
    trace,
    without_heads,
)
from lmmath.transformer import (
    GPTConfig,
    LlamaConfig,
    gpt,
    gpt_activations,
    gpt_shapes,
    init_gpt,
    init_llama,
    llama,
    llama_activations,
    llama_shapes,
)

SIZES = {"vocab_size": 7, "n_positions": 5, "d_model": 6}
GPT = GPTConfig(7, n_positions=5, d_model=6, n_layers=2, n_heads=2)
LLAMA = LlamaConfig(
    7, n_positions=5, d_model=8, n_layers=2, n_heads=4, d_ff=5, n_kv_heads=2
)
KINDS = {
    GPT: (gpt, gpt_shapes, init_gpt),
    LLAMA: (llama, llama_shapes, init_llama),
    RecurrentConfig(cell="rnn", **SIZES): (recurrent, recurrent_shapes, init_recurrent),
    RecurrentConfig(**SIZES): (recurrent, recurrent_shapes, init_recurrent),
}


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


@pytest.mark.parametrize("config", KINDS)
def test_the_configuration_says_which_model_it_is(rng, config):
    compute, its_shapes, its_init = KINDS[config]
    params = init(config, np.random.default_rng(0), np.float64)
    tokens = rng.integers(7, size=4)
    assert shapes(config) == its_shapes(config)
    expected = its_init(config, np.random.default_rng(0), np.float64)
    assert all(np.array_equal(params[name], expected[name]) for name in expected)
    close(forward(config, params, tokens), compute(params, tokens, config))


def drawn(config, rng):
    """Draw parameters that are all far from 0 and 1."""
    params = init(config, rng, np.float64)
    return {
        n: array + 0.3 * rng.normal(size=array.shape) for n, array in params.items()
    }


@pytest.mark.parametrize("config", KINDS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_every_model_reads_on_from_its_cache(rng, config, batch):
    params, tokens = drawn(config, rng), rng.integers(7, size=(*batch, 5))
    whole = forward(config, params, tokens)
    x, cache = residual(config, params, tokens[..., :2])
    close(lens(config, params, x), whole[..., :2, :], 1e-12)
    x, cache = residual(config, params, tokens[..., 2:4], cache)
    close(lens(config, params, x), whole[..., 2:4, :], 1e-12)
    x, _ = residual(config, params, tokens[..., 4:], cache)
    close(lens(config, params, x[..., -1, :]), whole[..., -1, :], 1e-12)


@pytest.mark.parametrize("config", KINDS)
def test_the_lens_on_the_end_of_every_trace_gives_the_logits(rng, config):
    params, tokens = drawn(config, rng), rng.integers(7, size=(2, 4))
    residuals, attention = trace(config, params, tokens)
    logits = lens(config, params, residuals[-1])
    close(logits, forward(config, params, tokens), 1e-12)
    for weights in attention:
        assert weights.shape == (2, config.n_heads, 4, 4)
        close(weights.sum(axis=-1), np.ones((2, config.n_heads, 4)))
        assert np.all(np.triu(weights, 1) == 0)


@pytest.mark.parametrize("config", KINDS)
def test_an_edit_reaches_the_logits_of_every_model(rng, config):
    params, tokens = drawn(config, rng), rng.integers(7, size=4)
    plain, _ = trace(config, params, tokens)
    for layer in range(len(plain)):
        edited, _ = trace(
            config, params, tokens, lambda at, x, layer=layer: x + (at == layer)
        )
        close(edited[layer], plain[layer] + 1)
        assert not np.allclose(edited[-1], plain[-1])
        for before, unedited in zip(edited[:layer], plain[:layer], strict=True):
            assert np.array_equal(before, unedited)


@pytest.mark.parametrize("config", [GPT, LLAMA])
def test_without_a_head_its_features_are_not_written(rng, config):
    params, tokens = drawn(config, rng), rng.integers(7, size=4)
    name = (
        "h.1.attn.c_proj.weight"
        if config is GPT
        else "layers.1.self_attn.o_proj.weight"
    )
    d_head = params[name].shape[0] // config.n_heads
    fewer = without_heads(config, params, [(1, 1)])
    expected = params[name].copy()
    expected[d_head : 2 * d_head] = 0
    assert np.array_equal(fewer[name], expected)
    assert all(fewer[n] is params[n] for n in params if n != name)
    none_left = [(layer, head) for layer in (0, 1) for head in range(config.n_heads)]
    assert not np.any(without_heads(config, params, none_left)[name])
    assert not np.allclose(
        forward(config, fewer, tokens), forward(config, params, tokens)
    )
    tensors = {n: torch.from_numpy(array) for n, array in params.items()}
    close(without_heads(config, tensors, [(1, 1)])[name], expected)


def test_activations_are_those_of_the_kind(rng):
    tokens = rng.integers(7, size=4)
    for config, expected in ((GPT, gpt_activations), (LLAMA, llama_activations)):
        params = drawn(config, rng)
        for ours, theirs in zip(
            activations(config, params, tokens),
            expected(params, tokens, config),
            strict=True,
        ):
            close(ours, theirs)


def read_on(cell, cache):
    config = RecurrentConfig(**SIZES, cell=cell)
    params = init_recurrent(config, np.random.default_rng(0))
    return recurrent_states(params, np.zeros((2, 1), int), config, cache)


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
        *[
            (ValueError, lambda cell=cell, cache=cache: read_on(cell, cache), f"cache must hold {n} of shape .2, .*, got {came}")
            for cell, n in (("rnn", 1), ("lstm", 2))
            for cache, came in ((3, "int"), ((), "none"), ((np.zeros((1, 4)),) * 3, r"\(1, 4\) and"))
        ],
        (TypeError, lambda: forward(3, {}, np.asarray([1])), "config must be a GPTConfig, a LlamaConfig or a RecurrentConfig, got int"),
        (TypeError, lambda: shapes(3), "config must be a GPTConfig, a LlamaConfig or a RecurrentConfig, got int"),
        (TypeError, lambda: activations(RecurrentConfig(**SIZES), {}, np.asarray([1])), "config must be of a model with feed-forward networks, got RecurrentConfig"),
        (TypeError, lambda: without_heads(RecurrentConfig(**SIZES), {}, [(0, 0)]), "config must be of a model with heads, got RecurrentConfig"),
        (ValueError, lambda: without_heads(GPT, {}, [(2, 0)]), r"a layer below 2 and a head below 2, got \(2, 0\)"),
        (ValueError, lambda: without_heads(GPT, {}, [(0, -1)]), r"got \(0, -1\)"),
        (TypeError, lambda: init(3, np.random.default_rng(0)), "config must be a GPTConfig, a LlamaConfig or a RecurrentConfig, got int"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
