"""One formula, every array library: each public function, its numbers, precisions, gradients."""

import inspect

import numpy as np
import pytest
import torch
from array_api_compat import array_namespace
from libraries import convert, leaves, same_gradients, same_on_every_library

from lmmath import (
    alignment,
    attention,
    geometry,
    neurons,
    positions,
    recurrence,
    sampling,
    scaling,
    training,
    transformer,
)

MODULES = (
    neurons,
    recurrence,
    attention,
    positions,
    transformer,
    training,
    scaling,
    sampling,
    geometry,
    alignment,
)
RNG = np.random.default_rng(12)


def normal(*shape):
    return RNG.normal(size=shape)


def positive(*shape):
    return RNG.uniform(0.2, 0.9, size=shape)


def noisy(params):
    return {name: array + 0.2 * normal(*array.shape) for name, array in params.items()}


X = normal(2, 4, 6)
MATRICES = [normal(6, 6) / 2 for _ in range(4)]
LOGITS, TARGETS = normal(2, 4, 6), RNG.integers(6, size=(2, 4))
WEIGHTS = attention.softmax(LOGITS)
H, W_H = np.tanh(normal(2, 4, 3)), normal(3, 3) / 2
LSTM = normal(2, 4, 6), normal(6, 12), normal(3, 12), normal(12)
PARAMS = {"w": normal(3, 2), "b": normal(2)}
GRADIENTS = {"w": normal(3, 2), "b": normal(2)}

GPT = transformer.GPTConfig(7, n_positions=5, d_model=6, n_layers=2, n_heads=2)
GPT_PARAMS = noisy(transformer.init_gpt(GPT, RNG, np.float64))
BLOCK = transformer.subset(GPT_PARAMS, "h.1.")
LLAMA = transformer.LlamaConfig(7, 5, 8, 2, n_heads=4, d_ff=5, n_kv_heads=2)
LLAMA_PARAMS = noisy(transformer.init_llama(LLAMA, RNG, np.float64))
LLAMA_BLOCK = transformer.subset(LLAMA_PARAMS, "layers.1.")
LLAMA_PAST = normal(2, 2, 3, 2), normal(2, 2, 3, 2)  # keys and values of 3 positions
PAIR = transformer.TransformerConfig(7, d_model=6, n_layers=2, n_heads=2, d_ff=5)
PAIR_PARAMS = noisy(transformer.init_transformer(PAIR, RNG, np.float64))
TOKENS = RNG.integers(7, size=(2, 4))


def after(n_steps, update, start):
    """Run an update several times; the state goes along."""

    def run(params, gradients):
        state = start(params)
        for _ in range(n_steps):
            params, state = update(params, gradients, state, 0.1)
        return params

    return run


# Public functions that have a gradient, with arguments to try.
DIFFERENTIABLE = {
    neurons.sigmoid: [(X,)],
    neurons.relu: [(X,)],
    neurons.tanh: [(X,)],
    neurons.silu: [(X,)],
    neurons.gelu: [(X,), (X, "tanh")],
    neurons.dense: [(X, normal(6, 3)), (X, normal(6, 3), normal(3), neurons.sigmoid)],
    neurons.mlp: [
        ({"0.weight": normal(6, 5), "0.bias": normal(5),
          "1.weight": normal(5, 2), "1.bias": normal(2)}, X, neurons.tanh),
    ],
    recurrence.rnn: [
        (X, normal(6, 3), W_H, normal(3)),
        (X, normal(6, 3), W_H, normal(3), normal(2, 3), neurons.sigmoid),
    ],
    recurrence.rnn_jacobian: [(H, W_H), (H, W_H, None), (positive(2, 3), W_H, neurons.sigmoid)],
    recurrence.gradient_norms: [(normal(2, 3), normal(2, 4, 3, 3))],
    recurrence.log_gradient_norms: [(normal(2, 3), normal(2, 4, 3, 3))],
    recurrence.rnn_weight_gradient: [(normal(2, 4, 3), H, W_H), (normal(2, 4, 3), H, W_H, normal(2, 3), None)],
    recurrence.rnn_weight_gradient_terms: [(normal(2, 4, 3), H, W_H)],
    recurrence.lstm: [LSTM, (*LSTM, normal(2, 3), normal(2, 3))],
    recurrence.lstm_jacobian: [(X[:, 0], normal(2, 3), normal(2, 3), *LSTM[1:])],
    attention.softmax: [(X,), (X, 0)],
    attention.log_softmax: [(X,), (X, 1)],
    attention.softmax_jacobian: [(WEIGHTS,)],
    attention.entropy: [(WEIGHTS,), (WEIGHTS, 0)],
    attention.attention_weights: [
        (X, normal(5, 6)),
        (X, X, attention.causal_mask(4), 0.3, positions.alibi_bias(1, 4)),
    ],
    attention.scaled_dot_product_attention: [
        (X, normal(5, 6), normal(5, 3)),
        (X, X, X, attention.causal_mask(4), 0.3, positions.alibi_bias(1, 4)),
    ],
    attention.multi_head_attention: [
        (X, normal(5, 6), normal(5, 6), *MATRICES, 3),
        (X, X, X, *MATRICES, 2, attention.causal_mask(4)),
    ],
    attention.split_heads: [(X, 3)],
    attention.merge_heads: [(normal(2, 3, 4, 2),)],
    positions.rotary_embedding: [
        (X,),
        (X, np.asarray([3, 0, 9, 1]), 50.0),
        (X, np.asarray([[3, 0, 9, 1], [5, 6, 7, 8]])),
    ],
    positions.turn_pairs: [(X, normal(4, 3), normal(4, 3))],
    transformer.layer_norm: [(X, normal(6), normal(6)), (X, normal(6), normal(6), 0.5)],
    transformer.rms_norm: [(X, normal(6)), (X, normal(6), 0.5)],
    transformer.feed_forward: [
        (X, normal(6, 5), normal(5), normal(5, 6), normal(6)),
        (X, normal(6, 5), normal(5), normal(5, 6), normal(6), neurons.gelu),
    ],
    transformer.swiglu: [(X, normal(6, 5), normal(6, 5), normal(5, 6))],
    transformer.embed: [(normal(7, 3), TOKENS)],
    transformer.encoder_layer: [
        (X, transformer.subset(PAIR_PARAMS, "encoder.0."), 2),
        (X, transformer.subset(PAIR_PARAMS, "encoder.0."), 3, attention.causal_mask(4)),
    ],
    transformer.decoder_layer: [
        (X, normal(2, 5, 6), transformer.subset(PAIR_PARAMS, "decoder.1."), 2),
    ],
    transformer.transformer: [
        (PAIR_PARAMS, TOKENS, TOKENS[:, :3], PAIR),
        (PAIR_PARAMS, TOKENS, TOKENS[:, :3], PAIR, TOKENS > 0),
    ],
    transformer.gpt: [(GPT_PARAMS, TOKENS, GPT), (GPT_PARAMS, TOKENS[0, :1], GPT)],
    transformer.gpt_with_cache: [(GPT_PARAMS, TOKENS, GPT)],
    transformer.gpt_trace: [(GPT_PARAMS, TOKENS, GPT)],
    transformer.logit_lens: [(X, GPT_PARAMS, GPT)],
    transformer.gpt_residual: [(GPT_PARAMS, TOKENS, GPT)],
    transformer.gpt_activations: [(GPT_PARAMS, TOKENS[:, :2], GPT)],
    transformer.llama: [
        (LLAMA_PARAMS, TOKENS, LLAMA),
        (LLAMA_PARAMS, TOKENS, LLAMA, 3 * np.arange(8).reshape(2, 4), TOKENS[:, None, :] > 0),
    ],
    transformer.llama_with_cache: [(LLAMA_PARAMS, TOKENS, LLAMA)],
    transformer.llama_residual: [(LLAMA_PARAMS, TOKENS, LLAMA)],
    transformer.llama_trace: [(LLAMA_PARAMS, TOKENS, LLAMA)],
    transformer.llama_gates: [(LLAMA_PARAMS, TOKENS, LLAMA)],
    transformer.llama_activations: [(LLAMA_PARAMS, TOKENS, LLAMA)],
    transformer.llama_lens: [(normal(2, 4, 8), LLAMA_PARAMS, LLAMA)],
    transformer.llama_block: [
        (normal(2, 4, 8), LLAMA_BLOCK, LLAMA),
        (normal(2, 4, 8), LLAMA_BLOCK, LLAMA, LLAMA_PAST),
    ],
    transformer.grouped_query_attention: [
        (normal(2, 4, 8), transformer.subset(LLAMA_BLOCK, "self_attn."), LLAMA),
    ],
    transformer.gpt_block: [
        (X, BLOCK, 2),
        (X, BLOCK, 2, (normal(2, 2, 3, 3), normal(2, 2, 3, 3)), 0.1),
    ],
    transformer.causal_self_attention: [(X, transformer.subset(BLOCK, "attn."), 3)],
    training.token_losses: [(LOGITS, TARGETS)],
    training.cross_entropy: [(LOGITS, TARGETS)],
    training.cross_entropy_gradient: [(LOGITS, TARGETS)],
    training.global_norm: [(GRADIENTS,)],
    scaling.chinchilla_loss: [(1e3 * positive(4), 1e4 * positive(4))],
    scaling.power_law: [(1e3 * positive(4), 1e4, 0.3)],
    scaling.training_flops: [(10 * positive(4), 100 * positive(4))],
    scaling.compute_optimal: [(scaling.HOFFMANN_2022, 1e4 * positive(3))],
    scaling.kaplan_loss: [(1e3 * positive(4), 1e4 * positive(4))],
    sampling.temperature_softmax: [(LOGITS,), (LOGITS, 0.3)],
    sampling.mass_left_out: [(LOGITS, np.where(TARGETS[..., None] > 2, -np.inf, LOGITS))],
    sampling.kl_divergence: [(WEIGHTS, attention.softmax(normal(2, 4, 6)))],
    geometry.log_ball_volume: [(5, positive(4))],
    geometry.ball_volume: [(5, positive(4))],
    geometry.shell_fraction: [(5, positive(4)), (5, positive(4), 1 + positive(3, 1))],
    geometry.radius_quantile: [(5, positive(4))],
    geometry.cosine_similarity: [(X, normal(4, 6))],
    alignment.log_sigmoid: [(X,), (np.zeros(3),)],
    alignment.preference_probability: [(X, normal(4, 6))],
    alignment.preference_loss: [(X, normal(4, 6))],
    alignment.regularized_reward: [(LOGITS, normal(2, 4, 6), normal(6), 0.7)],
    alignment.optimal_policy: [(LOGITS, normal(6), 0.7)],
    alignment.optimal_value: [(LOGITS, normal(2, 4, 6), 0.7)],
    alignment.best_of_n: [(WEIGHTS, np.asarray([1.0, 0.0, 2.0, -1.0, 3.0, 0.5]), 3)],
    alignment.policy_gradient: [(LOGITS, normal(6))],
    alignment.leave_one_out_advantages: [(X,)],
    alignment.group_relative_advantages: [(X,)],
    alignment.kl_estimates: [(X, normal(4, 6))],
    alignment.implicit_reward: [(X, normal(4, 6), 0.3)],
    alignment.dpo_loss: [(X, normal(4, 6), normal(4, 6), normal(6), 0.3)],
    alignment.lora_update: [(normal(4, 2), normal(2, 5), 0.7)],
    alignment.lora_merge: [(normal(4, 5), normal(4, 2), normal(2, 5), 0.7)],
    alignment.lora_dense: [(X, normal(6, 5), normal(6, 2), normal(2, 5), 0.7)],
}  # fmt: skip

# Those whose results are chosen or moved rather than computed, or whose gradient nobody asks for.
OTHERS = {
    "adamw_update": (after(4, training.adamw_update, training.adamw_init), PARAMS, GRADIENTS),
    "adamw_init": (after(1, training.adamw_update, training.adamw_init), PARAMS, GRADIENTS),
    "sgd_update": (
        after(3, lambda *a: training.sgd_update(*a, momentum=0.5), lambda params: None),
        PARAMS,
        GRADIENTS,
    ),
    "clip_by_global_norm": (training.clip_by_global_norm, GRADIENTS, 0.5),
    "top_k_filter": (lambda x: finite(sampling.top_k_filter(x, 3)), LOGITS),
    "top_p_filter": (lambda x: finite(sampling.top_p_filter(x, 0.7)), LOGITS),
    "min_p_filter": (lambda x: finite(sampling.min_p_filter(x, 0.3)), LOGITS),
    "sample": (lambda x: sampling.sample(x, np.random.default_rng(1), top_p=0.9), LOGITS),
    "generate": (
        lambda p: sampling.generate(p, TOKENS, GPT, 3, np.random.default_rng(1)),
        GPT_PARAMS,
    ),
    "stream": (
        lambda p: next(sampling.stream(p, TOKENS, GPT, np.random.default_rng(1))),
        GPT_PARAMS,
    ),
    "policy_gradient_loss": (alignment.policy_gradient_loss, X, normal(4, 6)),
    "clipped_policy_loss": (alignment.clipped_policy_loss, X, X + normal(4, 6) / 4, normal(6), 0.1),
}  # fmt: skip

# Those that take no floating-point arrays, or make NumPy arrays or numbers only.
WITHOUT_ARRAYS = {
    "init_mlp",
    "causal_mask",
    "frequencies",
    "sinusoidal_encoding",
    "offset_rotation",
    "alibi_slopes",
    "cosine_and_sine",
    "rotation_at",
    "alibi_bias",
    "subset",
    "transformer_shapes",
    "init_transformer",
    "gpt_shapes",
    "init_gpt",
    "llama_shapes",
    "init_llama",
    "load_gpt2",
    "load_llama",
    "count_parameters",
    "cosine_schedule",
    "critical_sizes",
    "standard_errors",
    "confidence_interval",
    "fit_chinchilla",
    "bootstrap_chinchilla",
    "radius_mean",
    "radius_rms",
    "sample_sphere",
    "sample_ball",
    "johnson_lindenstrauss_dimension",
    "answer_mask",
    "best_of_n_kl_bound",
    "fit_rewards",
    "init_lora",
    "lora_parameter_count",
}


def finite(x):
    """Put 0 in the place of -inf, as the comparison of all precisions wants finite numbers."""
    xp = array_namespace(x)
    return xp.where(xp.isfinite(x), x, xp.zeros_like(x))


def cases(functions):
    return [
        pytest.param(function, arguments, id=f"{function.__name__}-{i}")
        for function, examples in functions.items()
        for i, arguments in enumerate(examples)
    ]


@pytest.mark.parametrize(("function", "arguments"), cases(DIFFERENTIABLE))
def test_a_formula_gives_the_same_numbers_in_every_library(function, arguments):
    wide = function is training.global_norm  # it may be longer than float16 can say
    same_on_every_library(function, *arguments, wide=wide)


@pytest.mark.parametrize(("function", "arguments"), cases(DIFFERENTIABLE))
def test_a_formula_has_the_same_gradient_in_every_library(function, arguments):
    same_gradients(function, *arguments)


@pytest.mark.parametrize("name", OTHERS)
def test_what_has_no_gradient_gives_the_same_numbers_in_every_library(name):
    function, *arguments = OTHERS[name]
    same_on_every_library(function, *arguments, wide=name == "clip_by_global_norm")


def test_every_public_function_is_in_one_of_these_lists():
    public = {
        name
        for module in MODULES
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__.startswith(module.__name__)
        and not name.startswith("_")
    }
    differentiable = {function.__name__ for function in DIFFERENTIABLE}
    assert public == differentiable | OTHERS.keys() | WITHOUT_ARRAYS


# Their checks look at the values, which the device "meta" does not have.
CHECKED_BY_VALUE = {
    sampling.temperature_softmax,
    sampling.mass_left_out,
    sampling.kl_divergence,
    geometry.log_ball_volume,
    geometry.ball_volume,
    geometry.shell_fraction,
    geometry.radius_quantile,
    geometry.cosine_similarity,
}


@pytest.mark.parametrize(
    ("function", "arguments"),
    cases({f: c for f, c in DIFFERENTIABLE.items() if f not in CHECKED_BY_VALUE}),
)
def test_a_formula_stays_on_the_device_of_its_arrays(function, arguments):
    # "meta" computes shapes only, and refuses what is on another device.
    arrays = convert(arguments, lambda array: torch.from_numpy(array).to("meta"))
    assert {str(result.device) for result in leaves(function(*arrays))} == {"meta"}
