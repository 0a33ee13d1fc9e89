"""Llama against transformers', in float64, and against itself in parts."""

import numpy as np
import pytest
import torch
from libraries import close, same_gradients, same_on_every_library
from references import llama_of_transformers, params_of_llama

from lmmath.transformer import (
    LlamaConfig,
    count_parameters,
    grouped_query_attention,
    init_llama,
    llama,
    llama_activations,
    llama_block,
    llama_gates,
    llama_lens,
    llama_residual,
    llama_shapes,
    llama_trace,
    llama_with_cache,
    rms_norm,
    subset,
    swiglu,
)

SIZES = {
    "vocab_size": 23,
    "n_positions": 2048,
    "d_model": 36,
    "n_layers": 3,
    "n_heads": 9,
}


@pytest.fixture
def rng():
    return np.random.default_rng(15)


def pair(monkeypatch, rng, **theirs):
    """Give transformers' model, and parameters and sizes of the same one for ours."""
    base = theirs.pop("rope_theta", 10_000.0)
    rope = {"rope_type": "default", "rope_theta": base}
    reference = llama_of_transformers(monkeypatch, rng, rope_parameters=rope, **theirs)
    config = LlamaConfig(
        **SIZES,
        d_ff=theirs.get("intermediate_size", 40),
        n_kv_heads=theirs.get("num_key_value_heads"),
        d_head=theirs.get("head_dim"),
        rotary_base=base,
        eps=theirs.get("rms_norm_eps", 1e-6),
        tied=theirs.get("tie_word_embeddings", False),
    )
    return reference, params_of_llama(reference), config


def logits_of(reference, tokens, **arguments):
    arguments = {name: torch.from_numpy(array) for name, array in arguments.items()}
    with torch.no_grad():
        return reference(torch.from_numpy(tokens), **arguments).logits


@pytest.mark.parametrize("n_kv_heads", [1, 3, 9])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"rope_theta": 3.0},
        {"rope_theta": 100_000.0, "rms_norm_eps": 0.3},
        {"tie_word_embeddings": True},
        {"head_dim": 10, "intermediate_size": 7},
    ],
)
def test_llama_equals_transformers(monkeypatch, rng, n_kv_heads, sizes):
    reference, params, config = pair(
        monkeypatch, rng, num_key_value_heads=n_kv_heads, **sizes
    )
    tokens = rng.integers(23, size=(2, 13))
    close(llama(params, tokens, config), logits_of(reference, tokens), 1e-10)


def test_a_batch_padded_at_the_left_equals_transformers_and_its_texts_alone(
    monkeypatch, rng
):
    reference, params, config = pair(monkeypatch, rng, num_key_value_heads=3)
    lengths = (9, 4, 1)
    tokens = rng.integers(23, size=(3, 9))
    real = np.arange(9) >= 9 - np.asarray(lengths)[:, None]
    positions = np.maximum(np.cumsum(real, axis=1) - 1, 0)
    actual = llama(params, tokens, config, positions, real[:, None, :])
    expected = logits_of(
        reference, tokens, attention_mask=real.astype(int), position_ids=positions
    )
    close(actual[real], expected[torch.from_numpy(real)], 1e-10)
    for row, text, n in zip(actual, tokens, lengths, strict=True):
        close(row[9 - n :], llama(params, text[9 - n :], config), 1e-12)


def test_texts_packed_into_one_row_do_not_see_each_other(monkeypatch, rng):
    reference, params, config = pair(monkeypatch, rng, num_key_value_heads=3)
    lengths = (3, 5, 4)
    texts = [rng.integers(23, size=n) for n in lengths]
    of_text = np.repeat(np.arange(3), lengths)
    positions = np.concatenate([np.arange(n) for n in lengths])
    together = of_text[:, None] == of_text
    packed = np.concatenate(texts)[None]
    actual = llama(params, packed, config, positions[None], together[None])
    expected = np.concatenate([llama(params, text, config) for text in texts])
    close(actual[0], expected, 1e-12)
    # Theirs is added to the scores.
    hidden = np.where(together & np.tri(12, dtype=bool), 0.0, -np.inf)
    theirs = logits_of(
        reference,
        packed,
        attention_mask=hidden[None, None],
        position_ids=positions[None],
    )
    close(actual, theirs, 1e-10)


def test_only_differences_of_positions_count(monkeypatch, rng):
    _, params, config = pair(monkeypatch, rng)
    tokens = rng.integers(23, size=7)
    close(
        llama(params, tokens, config, 1000 + np.arange(7)),
        llama(params, tokens, config),
        1e-10,
    )
    apart = llama(params, tokens, config, 2 * np.arange(7))
    assert not np.allclose(apart, llama(params, tokens, config))


def test_attention_equals_its_formula_in_loops(rng):
    config = LlamaConfig(**SIZES, d_ff=8, n_kv_heads=3, rotary_base=50.0)
    params = subset(init_llama(config, rng, np.float64), "layers.1.self_attn.")
    x = rng.normal(size=(5, 36))
    heads = np.zeros((5, 9, 4))
    for h in range(9):
        g = h // 3
        for i in range(5):
            scores = []
            for j in range(i + 1):
                score = 0.0
                for pair_ in range(2):
                    # As complex numbers, turned by the distance.
                    q, k = (
                        x[at]
                        @ params[f"{name}_proj.weight"][:, 4 * head + 2 * pair_ :][
                            :, :2
                        ]
                        for at, name, head in ((i, "q", h), (j, "k", g))
                    )
                    turn = np.exp(1j * (i - j) * 50.0 ** (-pair_ / 2))
                    score += np.real(complex(*q) * turn * np.conj(complex(*k)))
                scores.append(score / 2)
            weights = np.exp(scores) / np.sum(np.exp(scores))
            for j, weight in enumerate(weights):
                heads[i, h] += weight * (
                    x[j] @ params["v_proj.weight"][:, 4 * g : 4 * g + 4]
                )
    actual, (keys, values) = grouped_query_attention(x, params, config)
    close(actual, heads.reshape(5, 36) @ params["o_proj.weight"], 1e-12)
    assert keys.shape == values.shape == (3, 5, 4)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_cache_changes_nothing(monkeypatch, rng, batch):
    _, params, config = pair(monkeypatch, rng, num_key_value_heads=3)
    tokens = rng.integers(23, size=(*batch, 8))
    whole = llama(params, tokens, config)
    logits, cache = llama_with_cache(params, tokens[..., :5], config)
    rows = [logits]
    for i in (5, 6, 7):
        before = cache[0][0].copy()
        logits, cache_after = llama_with_cache(
            params, tokens[..., i : i + 1], config, cache
        )
        assert np.array_equal(cache[0][0], before)
        cache = cache_after
        rows.append(logits)
    close(np.concatenate(rows, axis=-2), whole, 1e-12)


def test_the_stream_is_what_the_lens_reads(monkeypatch, rng):
    _, params, config = pair(monkeypatch, rng, num_key_value_heads=3)
    tokens = rng.integers(23, size=(2, 8))
    x, cache = llama_residual(params, tokens, config)
    close(llama_lens(x, params, config), llama(params, tokens, config))
    assert len(cache) == 3
    assert cache[0][0].shape == (2, 3, 8, 4)


def test_the_cache_goes_with_positions_and_a_mask(monkeypatch, rng):
    _, params, config = pair(monkeypatch, rng, num_key_value_heads=3)
    tokens = rng.integers(23, size=(2, 8))
    real = np.arange(8) >= np.asarray([[0], [3]])
    positions = np.maximum(np.cumsum(real, axis=1) - 1, 0)
    whole = llama(params, tokens, config, positions, real[:, None, :])
    _, cache = llama_with_cache(
        params, tokens[:, :6], config, None, positions[:, :6], real[:, None, :6]
    )
    last, _ = llama_with_cache(
        params, tokens[:, 6:], config, cache, positions[:, 6:], real[:, None, :]
    )
    close(last, whole[:, 6:], 1e-12)


def test_the_trace_equals_transformers(monkeypatch, rng):
    reference, params, config = pair(monkeypatch, rng, num_key_value_heads=3)
    tokens = rng.integers(23, size=(2, 7))
    with torch.no_grad():
        theirs = reference(
            torch.from_numpy(tokens), output_attentions=True, output_hidden_states=True
        )
    residuals, attention = llama_trace(params, tokens, config)
    assert len(attention) == 3
    for ours, expected in zip(attention, theirs.attentions, strict=True):
        close(ours, expected, 1e-12)
    for ours, expected in zip(residuals[:-1], theirs.hidden_states[:-1], strict=True):
        close(ours, expected, 1e-11)
    # Theirs is normalized already.
    normalized = rms_norm(residuals[-1], params["norm.weight"], config.eps)
    close(normalized, theirs.hidden_states[-1], 1e-11)
    close(llama_lens(residuals[-1], params, config), theirs.logits, 1e-11)


def test_an_edit_of_the_stream_changes_what_comes_after(monkeypatch, rng):
    _, params, config = pair(monkeypatch, rng)
    tokens = rng.integers(23, size=6)
    plain, _ = llama_trace(params, tokens, config)
    seen = []

    def without_a_feature(layer, x):
        seen.append(layer)
        return np.where(np.arange(36) == 5, 0.0, x) if layer == 2 else x

    edited, _ = llama_trace(params, tokens, config, without_a_feature)
    assert seen == [0, 1, 2, 3]
    close(edited[1], plain[1])
    assert np.all(edited[2][:, 5] == 0)
    block = subset(params, "layers.2.")
    expected, _ = llama_block(edited[2], block, config)
    close(edited[3], expected)
    assert not np.allclose(edited[3], plain[3])


def test_gates_and_activations_are_what_the_down_projection_gets(monkeypatch, rng):
    _, params, config = pair(monkeypatch, rng, num_key_value_heads=3)
    tokens = rng.integers(23, size=(2, 6))
    residuals, _ = llama_trace(params, tokens, config)
    gates = llama_gates(params, tokens, config)
    activations = llama_activations(params, tokens, config)
    for i, x in enumerate(residuals[:-1]):
        block = subset(params, f"layers.{i}.")
        normalized = rms_norm(x, block["input_layernorm.weight"], config.eps)
        attended, _ = grouped_query_attention(
            normalized, subset(block, "self_attn."), config
        )
        y = rms_norm(x + attended, block["post_attention_layernorm.weight"], config.eps)
        matrices = [block[f"mlp.{n}_proj.weight"] for n in ("gate", "up", "down")]
        close(activations[i] @ matrices[2], swiglu(y, *matrices), 1e-12)
        close(gates[i][0] * gates[i][1], activations[i])
        close(gates[i][1], y @ matrices[1], 1e-12)


def test_llama_runs_on_every_library_and_differentiates(rng):
    for tied in (False, True):
        config = LlamaConfig(7, 9, 8, 2, 4, d_ff=5, n_kv_heads=2, tied=tied)
        params = init_llama(config, rng, np.float64)
        params = {n: a + 0.2 * rng.normal(size=a.shape) for n, a in params.items()}
        tokens = rng.integers(7, size=(2, 4))
        same_on_every_library(llama, params, tokens, config)
        same_gradients(llama, params, tokens, config)
        same_on_every_library(llama_trace, params, tokens, config)


@pytest.mark.parametrize("tied", [False, True])
def test_first_parameters_have_the_stated_shapes_and_spread(rng, tied):
    config = LlamaConfig(500, 64, 120, 8, 6, d_ff=200, n_kv_heads=2, tied=tied)
    params = init_llama(config, rng)
    assert {name: array.shape for name, array in params.items()} == llama_shapes(config)
    assert ("lm_head.weight" in params) is not tied
    for name, array in params.items():
        assert array.dtype == np.float32
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        if array.ndim == 1:
            assert np.all(array == 1)
        else:
            close(array.std(), 0.02 / (4 if writes else 1), 5e-3)


def test_published_sizes_have_the_published_numbers_of_parameters():
    # Llama 3 8B: 8,030,261,248 parameters (Grattafiori et al. 2024: "8B").
    config = LlamaConfig(
        128_256, 8192, 4096, 32, 32, d_ff=14_336, n_kv_heads=8, rotary_base=500_000.0
    )
    assert count_parameters(llama_shapes(config)) == 8_030_261_248


CONFIG = LlamaConfig(
    7, n_positions=6, d_model=8, n_layers=2, n_heads=4, d_ff=5, n_kv_heads=2
)
PARAMS = init_llama(CONFIG, np.random.default_rng(0))
TOKENS = np.asarray([3, 1, 4])
_, CACHE = llama_residual(PARAMS, TOKENS, CONFIG)


def sized(**changes):
    return LlamaConfig(**{**SIZES, "d_ff": 8, **changes})


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: sized(d_ff=0), "d_ff must be an integer of at least 1, got 0"),
        (ValueError, lambda: sized(n_heads=7), "n_heads must divide d_model = 36, got 7"),
        (ValueError, lambda: sized(n_kv_heads=2), "n_kv_heads must divide n_heads = 9, got 2"),
        (ValueError, lambda: sized(d_head=5), "d_head must be even, as features turn in pairs, got 5"),
        (ValueError, lambda: sized(eps=0.0), "eps must be a finite number above 0, got 0.0"),
        (ValueError, lambda: sized(rotary_base=-1.0), "rotary_base must be a finite number above 0, got -1.0"),
        (TypeError, lambda: sized(tied=1), "tied must be a bool, got int"),
        (TypeError, lambda: llama(PARAMS, [1], CONFIG), "tokens must be an array of integers, got list"),
        (ValueError, lambda: llama(PARAMS, np.asarray([7]), CONFIG), "tokens must lie between 0 and 6, got 7"),
        (ValueError, lambda: llama(PARAMS, TOKENS[:0], CONFIG), r"tokens must hold at least one token, got shape \(0,\)"),
        (ValueError, lambda: llama(PARAMS, np.zeros(7, int), CONFIG), "tokens must fit into 6 positions, got 7 after 0"),
        (ValueError, lambda: llama_with_cache(PARAMS, np.zeros(4, int), CONFIG, CACHE), "tokens must fit into 6 positions, got 4 after 3"),
        (ValueError, lambda: llama({}, TOKENS, CONFIG), "params must have the names of this model, got 21 missing"),
        (ValueError, lambda: llama(PARAMS | {"norm.weight": np.ones(3)}, TOKENS, CONFIG), r"norm.weight must have shape \(8,\), got \(3,\)"),
        (TypeError, lambda: llama_with_cache(PARAMS, TOKENS, CONFIG, {}), "cache must be a list .* got dict"),
        (TypeError, lambda: llama(PARAMS, TOKENS, None), "config must be a LlamaConfig, got NoneType"),
        (TypeError, lambda: llama([], TOKENS, CONFIG), "params must be a dict of arrays, got list"),
        (
            ValueError,
            lambda: llama_with_cache(PARAMS, TOKENS, CONFIG, [CACHE[0], [part[:, :1] for part in CACHE[1]]]),
            r"cache must hold keys and values of shape \(2, 3, 2\) for each block, got \(2, 1, 2\) and",
        ),
        (ValueError, lambda: llama_with_cache(PARAMS, TOKENS, CONFIG, CACHE[:1]), "cache must hold one pair for each of 2 blocks, got 1"),
        (ValueError, lambda: llama_with_cache(PARAMS, TOKENS[None], CONFIG, CACHE), r"cache must hold keys and values of shape \(1, 2, 3, 2\) for each block, got \(2, 3, 2\)"),
        (ValueError, lambda: llama_with_cache(PARAMS, TOKENS, CONFIG, [CACHE[0], (CACHE[1][0][:, :1], CACHE[1][1])]), r"got \(2, 1, 2\) and \(2, 3, 2\)"),
        (ValueError, lambda: llama_with_cache(PARAMS, TOKENS, CONFIG, [CACHE[0], None]), "got None"),
        (ValueError, lambda: llama_with_cache(PARAMS, TOKENS, CONFIG, [None, CACHE[0]]), r"cache must hold keys and values of shape \(2, 0, 2\)"),
        (TypeError, lambda: llama(PARAMS, TOKENS, CONFIG, mask=np.ones((3, 3))), r"mask must be a boolean array \(True where allowed\), got float64"),
        (TypeError, lambda: llama(PARAMS, TOKENS, CONFIG, mask=[True]), r"mask must be a boolean array \(True where allowed\), got list"),
        (ValueError, lambda: llama(PARAMS, TOKENS, CONFIG, mask=np.ones((3, 4), bool)), r"mask must broadcast to \(..., n, n_past \+ n\) = \(..., 3, 3\), got shape \(3, 4\)"),
        (TypeError, lambda: llama(PARAMS, TOKENS, CONFIG, positions=[0, 1, 2]), "positions must be an array of numbers, got list"),
        (ValueError, lambda: llama(PARAMS, TOKENS, CONFIG, positions=np.arange(4)), "positions must broadcast against the rows of x"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
