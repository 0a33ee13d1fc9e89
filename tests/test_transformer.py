"""The Transformer against torch's layers, transformers' GPT-2 and Llama, and itself in parts."""

from functools import partial

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from libraries import close
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from lmmath.attention import causal_mask
from lmmath.autodiff import Tensor
from lmmath.neurons import gelu, tanh
from lmmath.transformer import (
    GPTConfig,
    TransformerConfig,
    causal_self_attention,
    count_parameters,
    decoder_layer,
    embed,
    encoder_layer,
    feed_forward,
    gpt,
    gpt_activations,
    gpt_block,
    gpt_residual,
    gpt_shapes,
    gpt_trace,
    gpt_with_cache,
    init_gpt,
    init_transformer,
    layer_norm,
    load_gpt2,
    logit_lens,
    rms_norm,
    subset,
    swiglu,
    transformer,
)

CONFIG = GPTConfig(vocab_size=11, n_positions=9, d_model=12, n_layers=3, n_heads=2)


def test_the_stream_is_what_the_lens_reads(rng):
    params = noisy(init_gpt(CONFIG, rng, np.float64), rng)
    tokens = rng.integers(11, size=(2, 7))
    x, cache = gpt_residual(params, tokens, CONFIG)
    close(logit_lens(x, params, CONFIG), gpt(params, tokens, CONFIG))
    last, _ = gpt_residual(params, tokens[:, :1], CONFIG, cache)
    assert last.shape == (2, 1, 12)


def test_activations_are_what_the_second_matrix_gets(rng):
    params = noisy(init_gpt(CONFIG, rng, np.float64), rng)
    tokens = rng.integers(11, size=7)
    residuals, _ = gpt_trace(params, tokens, CONFIG)
    silent = params | {f"h.{i}.mlp.c_proj.weight": np.zeros((48, 12)) for i in range(3)}
    for i, h in enumerate(gpt_activations(params, tokens, CONFIG)):
        block, mute = (subset(p, f"h.{i}.") for p in (params, silent))
        with_it, _ = gpt_block(residuals[i], block, 2)
        without, _ = gpt_block(residuals[i], mute, 2)
        close(h @ block["mlp.c_proj.weight"], with_it - without, 1e-11)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def tensor(array):
    return torch.from_numpy(np.array(array))


def noisy(params, rng):
    """Move every parameter, so that no gain is 1 and no bias is 0."""
    return {
        name: array + 0.3 * rng.normal(size=array.shape)
        for name, array in params.items()
    }


# Pieces of a layer


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
@pytest.mark.parametrize("eps", [1e-5, 1e-2, 1.0])
def test_layer_norm_equals_torch(rng, shape, eps):
    x, weight, bias = rng.normal(size=shape), *rng.normal(size=(2, 5))
    expected = torch.nn.functional.layer_norm(
        tensor(x), (5,), tensor(weight), tensor(bias), eps
    )
    close(layer_norm(x, weight, bias, eps), expected)


def test_layer_norm_divides_by_d_and_keeps_epsilon_under_the_root():
    x = np.asarray([-2.0, 2.0])  # variance 4 with d, 8 with d - 1
    close(layer_norm(x, np.ones(2), np.zeros(2), eps=5.0), [-2 / 3, 2 / 3])


@given(hnp.arrays(float, (2, 6), elements=st.floats(-1e3, 1e3)), st.floats(-1e3, 1e3))
def test_layer_norm_ignores_a_shift_and_gives_mean_0_and_at_most_variance_1(x, shift):
    y = layer_norm(x, np.ones(6), np.zeros(6))
    close(layer_norm(x + shift, np.ones(6), np.zeros(6)), y, 1e-7)
    close(np.mean(y, axis=-1), np.zeros(2), 1e-10)
    assert np.all(np.var(y, axis=-1) <= 1 + 1e-10)


def test_a_constant_row_is_normalized_to_its_bias():
    close(layer_norm(np.full(4, 7.0), np.ones(4), np.arange(4.0)), np.arange(4.0))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
@pytest.mark.parametrize("eps", [1e-5, 1e-2, 1.0])
def test_rms_norm_equals_torch_and_llama(rng, shape, eps):
    x, weight = rng.normal(size=shape), rng.normal(size=5)
    y = rms_norm(x, weight, eps)
    close(y, torch.nn.functional.rms_norm(tensor(x), (5,), tensor(weight), eps))
    llama = LlamaRMSNorm(5, eps)  # computes in float32
    llama.weight.data = tensor(weight)
    close(y, llama(tensor(x)), 1e-6)


@pytest.mark.parametrize("size", [1e-7, 1e4, 6e4])
def test_norms_of_float16_neither_overflow_nor_vanish(size):
    x = np.asarray([size, -size, size, -size], np.float16)
    one, zero = np.ones(4, np.float16), np.zeros(4, np.float16)
    sign = np.sign(x) if size > 1 else np.zeros(4)
    close(layer_norm(x, one, zero), sign, 1e-3)
    close(rms_norm(x, one), sign, 1e-3)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_feed_forward_equals_torch(rng, activation):
    x, w_1, b_1 = (
        rng.normal(size=(2, 3, 4)),
        rng.normal(size=(4, 6)),
        rng.normal(size=6),
    )
    w_2, b_2 = rng.normal(size=(6, 5)), rng.normal(size=5)
    hidden = getattr(torch.nn.functional, activation)(tensor(x @ w_1 + b_1))
    ours = {"relu": {}, "tanh": {"activation": tanh}, "gelu": {"activation": gelu}}
    close(
        feed_forward(x, w_1, b_1, w_2, b_2, **ours[activation]),
        hidden.numpy() @ w_2 + b_2,
        1e-12,
    )


def test_swiglu_equals_llama(rng):
    config = transformers.LlamaConfig(
        hidden_size=6, intermediate_size=10, num_attention_heads=1
    )
    llama = LlamaMLP(config).double()
    matrices = [
        getattr(llama, name).weight.T.detach().numpy()
        for name in ("gate_proj", "up_proj", "down_proj")
    ]
    x = rng.normal(size=(2, 3, 6))
    close(swiglu(x, *matrices), llama(tensor(x)))


@given(hnp.arrays(int, hnp.array_shapes(min_dims=0), elements=st.integers(0, 4)))
def test_embed_equals_torch(ids):
    table = np.random.default_rng(0).normal(size=(5, 3))
    close(embed(table, ids), torch.nn.functional.embedding(tensor(ids), tensor(table)))


@pytest.mark.parametrize("bits", ["int32", "int64"])
def test_embed_looks_up_with_what_numpy_counts_in(monkeypatch, bits):
    # A browser's NumPy counts in 32 bits, and takes ids of no more.
    taken = []

    def take(table, ids, axis):
        taken.append(ids.dtype.name)
        return np.take(table, ids, axis)

    monkeypatch.setattr("array_api_compat.numpy.take", take)
    monkeypatch.setattr("lmmath.transformer.layers.INDEX", bits)
    table = np.eye(3)
    for dtype in (np.uint8, np.int32, np.int64):
        ids = np.asarray([[2, 0]], dtype)
        close(embed(table, ids), table[ids])
        close(embed(torch.from_numpy(table), ids), table[ids])
        close(embed(Tensor(table), ids), table[ids])
    assert taken == [bits] * 3


# The encoder-decoder of 2017

SIZES = {"vocab_size": 7, "d_model": 8, "n_layers": 2, "d_ff": 10}


def fill(reference, params):
    """Write our parameters into torch's encoder or decoder layer; its other biases are 0."""
    state = {name: torch.zeros_like(p) for name, p in reference.state_dict().items()}

    def attention(ours, theirs):
        w = [params[f"{ours}.w_{part}"] for part in "qkvo"]
        state[f"{theirs}.in_proj_weight"] = tensor(np.concatenate(w[:3], axis=1).T)
        state[f"{theirs}.out_proj.weight"] = tensor(w[3].T)

    if "attention.w_q" in params:
        attention("attention", "self_attn")
    else:
        attention("self_attention", "self_attn")
        attention("cross_attention", "multihead_attn")
    for i in (1, 2):
        state[f"linear{i}.weight"] = tensor(params[f"ffn.w_{i}"].T)
        state[f"linear{i}.bias"] = tensor(params[f"ffn.b_{i}"])
    for name, array in params.items():
        if name.startswith("norm_"):
            state[name.replace("norm_", "norm")] = tensor(array)
    reference.load_state_dict(state)
    return reference


def torch_layer(kind, n_heads, params):
    layer = kind(8, n_heads, 10, dropout=0.0, batch_first=True, dtype=torch.float64)
    return fill(layer, params)


@pytest.mark.parametrize("n_heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_encoder_layer_equals_torch(rng, n_heads, masked):
    config = TransformerConfig(n_heads=n_heads, **SIZES)
    params = noisy(subset(init_transformer(config, rng), "encoder.1."), rng)
    x = rng.normal(size=(3, 5, 8))
    mask = rng.random((5, 5)) < 0.6
    mask[:, 0] = True
    reference = torch_layer(torch.nn.TransformerEncoderLayer, n_heads, params)
    close(
        encoder_layer(x, params, n_heads, mask if masked else None),
        reference(tensor(x), tensor(~mask) if masked else None),
        1e-12,
    )


@pytest.mark.parametrize("n_heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_decoder_layer_equals_torch(rng, n_heads, masked):
    config = TransformerConfig(n_heads=n_heads, **SIZES)
    params = noisy(subset(init_transformer(config, rng), "decoder.0."), rng)
    x, memory = rng.normal(size=(3, 5, 8)), rng.normal(size=(3, 6, 8))
    mask, memory_mask = rng.random((5, 5)) < 0.6, rng.random((5, 6)) < 0.6
    mask[:, 0] = memory_mask[:, 2] = True
    reference = torch_layer(torch.nn.TransformerDecoderLayer, n_heads, params)
    if masked:
        actual = decoder_layer(x, memory, params, n_heads, mask, memory_mask)
        masks = tensor(~mask), tensor(~memory_mask)
    else:
        actual = decoder_layer(x, memory, params, n_heads)
        masks = tensor(~causal_mask(5)), None
    close(actual, reference(tensor(x), tensor(memory), *masks), 1e-12)


@pytest.mark.parametrize("n_heads", [1, 4])
@pytest.mark.parametrize("padded", [False, True])
def test_the_whole_transformer_equals_torch(rng, n_heads, padded):
    config = TransformerConfig(n_heads=n_heads, **SIZES)
    params = noisy(init_transformer(config, rng, np.float64), rng)
    source, target = rng.integers(7, size=(3, 6)), rng.integers(7, size=(3, 5))
    is_token = np.arange(6) < np.asarray([[6], [4], [1]])

    position = torch.arange(6, dtype=torch.float64)[:, None]
    angle = position / 10_000 ** (torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    encoding = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    table = tensor(params["embedding.weight"])
    x = table[tensor(source)] * 8**0.5 + encoding
    y = table[tensor(target)] * 8**0.5 + encoding[:5]
    padding = tensor(~is_token) if padded else None
    for i in range(2):
        layer = subset(params, f"encoder.{i}.")
        layer = torch_layer(torch.nn.TransformerEncoderLayer, n_heads, layer)
        x = layer(x, src_key_padding_mask=padding)
    for i in range(2):
        layer = subset(params, f"decoder.{i}.")
        layer = torch_layer(torch.nn.TransformerDecoderLayer, n_heads, layer)
        y = layer(y, x, tensor(~causal_mask(5)), memory_key_padding_mask=padding)
    logits = transformer(params, source, target, config, is_token if padded else None)
    close(logits, y @ table.T, 1e-11)


def test_a_target_position_sees_all_of_the_source_and_nothing_later_of_the_target(rng):
    config = TransformerConfig(n_heads=2, **SIZES)
    params = noisy(init_transformer(config, rng, np.float64), rng)
    source, target = rng.integers(7, size=6), rng.integers(7, size=5)
    before = transformer(params, source, target, config)
    later = target.copy()
    later[3] = (later[3] + 1) % 7
    after = transformer(params, source, later, config)
    close(after[:3], before[:3])
    assert not np.allclose(after[3:], before[3:])
    source[-1] = (source[-1] + 1) % 7
    assert not np.allclose(transformer(params, source, target, config)[0], before[0])


def test_padding_is_not_seen(rng):
    config = TransformerConfig(n_heads=2, **SIZES)
    params = noisy(init_transformer(config, rng, np.float64), rng)
    source, target = rng.integers(7, size=6), rng.integers(7, size=5)
    close(
        transformer(params, source, target, config, np.arange(6) < 4),
        transformer(params, source[:4], target, config),
    )


def test_the_layer_in_front_of_a_name_is_a_whole_word():
    params = {"h.1.w": 1, "h.10.w": 2, "h.1.v": 3}
    assert subset(params, "h.1.") == {"w": 1, "v": 3}
    assert subset(params, "h.2.") == {}


# GPT


def hugging_face(rng, **changes):
    sizes = {
        "vocab_size": 11,
        "n_positions": 9,
        "n_embd": 12,
        "n_layer": 3,
        "n_head": 2,
    }
    config = transformers.GPT2Config(
        **{**sizes, "attn_implementation": "eager", **changes}
    )
    model = transformers.GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * tensor(rng.normal(size=parameter.shape))
    return model


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_head": 1},
        {"n_head": 12},
        {"n_layer": 1},
        {"n_inner": 7},
        {"layer_norm_epsilon": 0.1},
        {"vocab_size": 300, "n_positions": 5, "n_embd": 6},
    ],
)
def test_gpt_equals_gpt2_of_transformers(rng, changes):
    model = hugging_face(rng, **changes)
    params, config = load_gpt2(model)
    tokens = rng.integers(config.vocab_size, size=(2, 5))
    close(gpt(params, tokens, config), model(tensor(tokens)).logits, 1e-10)
    on_torch = {name: tensor(array) for name, array in params.items()}
    close(gpt(on_torch, tokens, config), model(tensor(tokens)).logits, 1e-10)


def test_load_gpt2_takes_models_and_state_dicts_with_and_without_a_head(rng):
    model = hugging_face(rng)
    expected, config = load_gpt2(model)
    assert config == CONFIG
    for params, loaded in (
        load_gpt2(model.state_dict(), n_heads=2),
        load_gpt2(model.transformer),
        load_gpt2(model.transformer.state_dict(), n_heads=2),
        load_gpt2(expected, n_heads=2),
    ):
        assert loaded == CONFIG
        assert params.keys() == expected.keys()
        assert all(np.array_equal(params[name], expected[name]) for name in params)


def test_load_gpt2_drops_the_masks_of_old_checkpoints(rng):
    state = hugging_face(rng).state_dict()
    state["transformer.h.0.attn.bias"] = torch.ones(1, 1, 9, 9)
    state["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    params, _ = load_gpt2(state, n_heads=2)
    assert params.keys() == gpt_shapes(CONFIG).keys()


@pytest.mark.parametrize("splits", [[5], [1, 4], [4, 1], [1] * 5, [2, 2, 1]])
def test_the_cache_changes_nothing(rng, splits):
    params = noisy(init_gpt(CONFIG, rng), rng)
    tokens = rng.integers(11, size=(2, 5))
    cache, parts, start = None, [], 0
    for n in splits:
        logits, cache = gpt_with_cache(
            params, tokens[:, start : start + n], CONFIG, cache
        )
        parts.append(logits)
        start += n
    close(np.concatenate(parts, axis=-2), gpt(params, tokens, CONFIG), 1e-12)
    assert [keys.shape for keys, _ in cache] == [(2, 2, 5, 6)] * 3


def test_a_call_does_not_change_the_cache_that_came(rng):
    params = init_gpt(CONFIG, rng)
    _, cache = gpt_with_cache(params, rng.integers(11, size=3), CONFIG)
    before = [array.copy() for pair in cache for array in pair]
    gpt_with_cache(params, rng.integers(11, size=2), CONFIG, cache)
    after = [array for pair in cache for array in pair]
    assert all(map(np.array_equal, before, after))


def test_a_logit_does_not_depend_on_later_tokens(rng):
    params = noisy(init_gpt(CONFIG, rng), rng)
    tokens = rng.integers(11, size=6)
    before = gpt(params, tokens, CONFIG)
    tokens[4] = (tokens[4] + 1) % 11
    after = gpt(params, tokens, CONFIG)
    close(after[:4], before[:4])
    assert not np.allclose(after[4:], before[4:])


def test_gpt_is_the_blocks_one_after_another(rng):
    params = noisy(init_gpt(CONFIG, rng), rng)
    tokens = rng.integers(11, size=6)
    x = params["wte.weight"][tokens] + params["wpe.weight"][:6]
    for i in range(3):
        x, _ = gpt_block(x, subset(params, f"h.{i}."), n_heads=2)
    x = layer_norm(x, **subset(params, "ln_f."))
    close(x @ params["wte.weight"].T, gpt(params, tokens, CONFIG))


def test_a_trace_shows_what_transformers_shows(rng):
    model = hugging_face(rng)
    params, config = load_gpt2(model)
    tokens = rng.integers(11, size=(2, 5))
    residuals, attention = gpt_trace(params, tokens, config)
    theirs = model(tensor(tokens), output_attentions=True, output_hidden_states=True)
    # Theirs has the last norm in its last hidden state.
    for one, other in zip(residuals[:-1], theirs.hidden_states[:-1], strict=True):
        close(one, other, 1e-11)
    for one, other in zip(attention, theirs.attentions, strict=True):
        close(one, other, 1e-12)
    last = layer_norm(residuals[-1], **subset(params, "ln_f."))
    close(last, theirs.hidden_states[-1], 1e-11)
    close(logit_lens(residuals[-1], params, config), theirs.logits, 1e-10)
    middle = layer_norm(residuals[1], **subset(params, "ln_f."))
    close(logit_lens(residuals[1], params, config), middle @ params["wte.weight"].T)


def test_tokens_of_any_integer_dtype_and_library_are_taken(rng):
    params = noisy(init_gpt(CONFIG, rng), rng)
    tokens = rng.integers(11, size=6)
    expected = gpt(params, tokens, CONFIG)
    for dtype in (np.uint8, np.int16, np.int32):
        close(gpt(params, tokens.astype(dtype), CONFIG), expected)
    close(gpt(params, tensor(tokens), CONFIG), expected)


def test_the_first_parameters_have_the_stated_spread(rng):
    config = GPTConfig(500, n_positions=100, d_model=64, n_layers=8, n_heads=4)
    params = init_gpt(config, rng)
    for name, array in params.items():
        if name.endswith("c_proj.weight"):
            close(array.std(), 0.02 / 4, 3e-4)
        elif array.ndim == 2:
            close(array.std(), 0.02, 1e-3)
        else:
            assert np.all(array == name.endswith("weight"))
        assert array.dtype == np.float32
        assert array.shape == gpt_shapes(config)[name]
    # Knowing nothing, it spreads its bets.
    logits = gpt(params, rng.integers(500, size=50), config)
    assert np.all(np.abs(logits) < 2)


def test_the_first_parameters_of_the_encoder_decoder_have_the_stated_spread(rng):
    config = TransformerConfig(500, d_model=64, n_layers=1, n_heads=4, d_ff=256)
    params = init_transformer(config, rng, np.float64)
    close(params["embedding.weight"].std(), 64**-0.5, 3e-3)
    close(params["encoder.0.ffn.w_1"].std(), (2 / 320) ** 0.5, 3e-3)
    assert params["encoder.0.ffn.w_1"].dtype == np.float64


def test_parameters_are_counted_as_torch_counts_them():
    model = transformers.GPT2Model(
        transformers.GPT2Config(
            vocab_size=11, n_positions=9, n_embd=12, n_layer=3, n_head=2
        )
    )
    assert count_parameters(gpt_shapes(CONFIG)) == model.num_parameters()


# Bad input


def zeros(*shape):
    return np.zeros(shape)


PARAMS = init_gpt(CONFIG, np.random.default_rng(0))
PAIR = TransformerConfig(n_heads=2, **SIZES)
PAIR_PARAMS = init_transformer(PAIR, np.random.default_rng(0))
TOKENS = np.asarray([1, 2, 3])
GPT2 = partial(transformers.GPT2Config, n_layer=1, n_embd=4, n_head=1, vocab_size=5)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: layer_norm([1.0], zeros(1), zeros(1)), "x must be an array of floating-point numbers, got list"),
        (ValueError, lambda: layer_norm(zeros(), zeros(1), zeros(1)), "x must have at least one axis"),
        (ValueError, lambda: layer_norm(zeros(2, 3), zeros(3), zeros(2)), r"bias must have shape \(3,\), got \(2,\)"),
        (ValueError, lambda: rms_norm(zeros(2, 3), zeros(2)), r"weight must have shape \(3,\), got \(2,\)"),
        (ValueError, lambda: rms_norm(zeros(3), zeros(3), eps=0), "eps must be a finite number above 0, got 0"),
        (ValueError, lambda: layer_norm(zeros(3), zeros(3), zeros(3), eps=np.nan), "eps must be a finite number above 0, got nan"),
        (ValueError, lambda: swiglu(zeros(2, 3), zeros(4, 5), zeros(3, 5), zeros(5, 3)), r"w_gate must have two axes, .* \(3\), got shape \(4, 5\)"),
        (ValueError, lambda: swiglu(zeros(2, 3), zeros(3, 5), zeros(3, 6), zeros(6, 3)), "w_gate and w_up must have the same shape"),
        (ValueError, lambda: embed(zeros(3, 2), np.asarray([0, 3])), "ids must lie between 0 and 2, got 3"),
        (ValueError, lambda: embed(zeros(3, 2), np.asarray([-1, 2])), "ids must lie between 0 and 2, got -1"),
        (TypeError, lambda: embed(zeros(3, 2), zeros(2)), "ids must be an array of integers, got dtype float64"),
        (TypeError, lambda: embed(zeros(3, 2), [0, 1]), "ids must be an array of integers, got list"),
        (ValueError, lambda: embed(zeros(3), TOKENS), r"table must have two axes, got shape \(3,\)"),
        (ValueError, lambda: encoder_layer(zeros(2, 4), {}, 1), r"params must have the names of this model, got 12 missing \(attention.w_k"),
        (ValueError, lambda: decoder_layer(zeros(2, 4), zeros(2, 4), {"w": 1}, 1), r"18 missing .* and 1 unknown \(w\)"),
        (ValueError, lambda: TransformerConfig(5, d_model=9, n_heads=3), "d_model must be even, got 9"),
        (ValueError, lambda: TransformerConfig(5, d_model=8, n_heads=3), "n_heads must divide d_model = 8, got 3"),
        (ValueError, lambda: transformer(PAIR_PARAMS, TOKENS + 5, TOKENS, PAIR), "source must lie between 0 and 6, got 8"),
        (ValueError, lambda: transformer(PAIR_PARAMS, TOKENS, TOKENS[:0], PAIR), r"target must hold at least one token, got shape \(0,\)"),
        (ValueError, lambda: transformer(PARAMS, TOKENS, TOKENS, PAIR), "params must have the names of this model"),
        (ValueError, lambda: GPTConfig(0, 1, 1, 1, 1), "vocab_size must be an integer of at least 1, got 0"),
        (ValueError, lambda: GPTConfig(5, 8, 12, 2, 5), "n_heads must divide d_model = 12, got 5"),
        (ValueError, lambda: GPTConfig(5, 8, 12, 2, 3, eps=-1), "eps must be a finite number above 0, got -1"),
        (TypeError, lambda: init_gpt(CONFIG, 0), "rng must be a numpy.random.Generator, got int"),
        (ValueError, lambda: gpt(PARAMS, np.asarray([11]), CONFIG), "tokens must lie between 0 and 10, got 11"),
        (TypeError, lambda: gpt(PARAMS, "text", CONFIG), "tokens must be an array of integers, got str"),
        (ValueError, lambda: gpt(PARAMS, TOKENS[:0], CONFIG), r"tokens must hold at least one token, got shape \(0,\)"),
        (ValueError, lambda: gpt(PARAMS, np.asarray(1), CONFIG), r"tokens must hold at least one token, got shape \(\)"),
        (ValueError, lambda: gpt(PARAMS, np.zeros(10, int), CONFIG), "tokens must fit into 9 positions, got 10 after 0"),
        (
            ValueError,
            lambda: gpt_with_cache(PARAMS, np.zeros(4, int), CONFIG, gpt_with_cache(PARAMS, np.zeros(6, int), CONFIG)[1]),
            "tokens must fit into 9 positions, got 4 after 6",
        ),
        (
            ValueError,
            lambda: gpt_with_cache(PARAMS, np.zeros((2, 1), int), CONFIG, [(zeros(1, 2, 4, 6), zeros(1, 2, 4, 6))] * 3),
            r"cache must hold keys and values of shape \(2, 2, 4, 6\) for each block, got \(1, 2, 4, 6\) and",
        ),
        (
            ValueError,
            lambda: gpt_with_cache(PARAMS, TOKENS, CONFIG, [(zeros(2, n, 6), zeros(2, n, 6)) for n in (4, 4, 3)]),
            r"cache must hold keys and values of shape \(2, 4, 6\) for each block, got \(2, 3, 6\) and",
        ),
        (TypeError, lambda: gpt_with_cache(PARAMS, TOKENS, CONFIG, 3), "cache must be a list with keys and values for each block, got int"),
        (TypeError, lambda: gpt_with_cache(PARAMS, TOKENS, CONFIG, [3] * 3), "cache must hold pairs of arrays, keys and values, got int"),
        (TypeError, lambda: gpt_with_cache(PARAMS, TOKENS, CONFIG, [([1], [2])] * 3), "cache must hold pairs of arrays, keys and values, got list, list"),
        (ValueError, lambda: gpt_with_cache(PARAMS, TOKENS, CONFIG, [(zeros(2, 4, 6), zeros(2, 4, 6)), None, None]), "for each block, got None"),
        (
            ValueError,
            lambda: gpt_block(zeros(2, 1, 12), subset(PARAMS, "h.0."), 2, (zeros(1, 2, 4, 6), zeros(1, 2, 4, 6))),
            r"past must hold keys and values of shape \(2, 2\) \+ \(n_past, 6\), got \(1, 2, 4, 6\) and",
        ),
        (TypeError, lambda: gpt_block(zeros(2, 1, 12), subset(PARAMS, "h.0."), 2, 3), "past must hold pairs of arrays, keys and values, got int"),
        (TypeError, lambda: gpt(None, TOKENS, CONFIG), "params must be a dict of arrays, got NoneType"),
        (TypeError, lambda: gpt(PARAMS, TOKENS, None), "config must be a GPTConfig, got NoneType"),
        (ValueError, lambda: gpt_with_cache(PARAMS, TOKENS, CONFIG, [None]), "cache must hold one pair for each of 3 blocks, got 1"),
        (
            ValueError,
            lambda: gpt_with_cache(PARAMS, TOKENS, CONFIG, [(zeros(2, 4, 5), zeros(2, 4, 6))] * 3),
            r"cache must hold keys and values of shape \(2, 4, 6\) for each block, got \(2, 4, 5\)",
        ),
        (ValueError, lambda: gpt(PARAMS | {"wpe.weight": zeros(8, 12)}, TOKENS, CONFIG), r"wpe.weight must have shape \(9, 12\), got \(8, 12\)"),
        (ValueError, lambda: gpt(PARAMS | {"wpe.weight": None}, TOKENS, CONFIG), r"wpe.weight must have shape \(9, 12\), got NoneType"),
        (ValueError, lambda: gpt({}, TOKENS, CONFIG), r"40 missing \(h.0.attn.c_attn.bias, .*\) and 0 unknown"),
        (ValueError, lambda: causal_self_attention(zeros(3, 4), {"c_attn.weight": zeros(4, 12)}, 2), "3 missing"),
        (ValueError, lambda: gpt_block(zeros(3, 4), {}, 2), "12 missing"),
        (ValueError, lambda: load_gpt2(PARAMS), "n_heads must be given with a state dict, got None"),
        (ValueError, lambda: load_gpt2({"w": zeros(2)}, n_heads=1), "source must hold GPT-2's parameters, wte.weight among them, got w"),
        (ValueError, lambda: load_gpt2(PARAMS | {"lm_head.weight": zeros(11, 12)}, n_heads=2), "lm_head.weight must equal wte.weight"),
        (ValueError, lambda: load_gpt2(transformers.GPT2Model(GPT2()), n_heads=1), "n_heads must be left out when source is a model"),
        (
            ValueError,
            lambda: load_gpt2(transformers.GPT2Model(GPT2(activation_function="relu"))),
            "source must have activation_function = 'gelu_new', got 'relu'",
        ),
        (
            ValueError,
            lambda: load_gpt2(transformers.GPT2Model(GPT2(scale_attn_by_inverse_layer_idx=True))),
            "source must have scale_attn_by_inverse_layer_idx = False, got True",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
