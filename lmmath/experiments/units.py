"""What single neurons of a trained model answer to."""

from functools import partial
from typing import NamedTuple

import numpy as np

from lmmath.experiments.held_out import (
    encode_story,
    padded_batches,
    require_model,
    split_stories,
)
from lmmath.neurons import dense, gelu
from lmmath.transformer import causal_self_attention, gpt_trace, layer_norm, subset


class UnitActivations(NamedTuple):
    """The hidden neurons of a GPT's feed-forward networks, at every token of some stories.

    Attributes
    ----------
    tokens : numpy.ndarray of int64, shape (n,)
        The stories' tokens, one story after the other, each after its line break.
    values : numpy.ndarray, shape (n_layers, n, d_ff)
        What each neuron gives after its activation, when the model has read that token.
    """

    tokens: np.ndarray
    values: np.ndarray


def unit_activations(params, config, tokenizer, words):
    r"""Record every hidden neuron of a GPT while it reads.

    .. math:: h = \operatorname{gelu}(\operatorname{LayerNorm}(y)\, W_1 + b_1)

    with :math:`y` the residual stream after the block's attention has been added.

    Parameters
    ----------
    params, config, tokenizer, words
        As in ``read_stories``.

    Returns
    -------
    UnitActivations

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        As in ``read_stories``.

    Examples
    --------
    >>> from lmmath.fable import sample
    >>> from lmmath.weights import load_fable_gpt
    >>> model = load_fable_gpt()
    >>> units = unit_activations(*model, sample(60, np.random.default_rng(0)))
    >>> units.values.shape == (3, len(units.tokens), 384)
    True
    """
    require_model(params, config, tokenizer)
    stories = [encode_story(story, tokenizer)[0] for story in split_stories(words)]
    found = {}
    for chosen, padded in padded_batches(stories, config.n_positions):
        layers = _hidden(params, padded, config)
        for row, i in enumerate(chosen):
            n = min(len(stories[i]), config.n_positions)
            found[i] = stories[i][:n], layers[:, row, :n]
    tokens, values = zip(*(found[i] for i in sorted(found)), strict=True)
    return UnitActivations(np.concatenate(tokens), np.concatenate(values, axis=1))


def _hidden(params, tokens, config):
    residuals, _ = gpt_trace(params, tokens, config)
    layers = []
    for i, x in enumerate(residuals[:-1]):
        block = subset(params, f"h.{i}.")
        normalized = layer_norm(x, **subset(block, "ln_1."), eps=config.eps)
        attended, _ = causal_self_attention(
            normalized, subset(block, "attn."), config.n_heads
        )
        layers.append(
            dense(
                layer_norm(x + attended, **subset(block, "ln_2."), eps=config.eps),
                block["mlp.c_fc.weight"],
                block["mlp.c_fc.bias"],
                activation=partial(gelu, approximate="tanh"),
            )
        )
    return np.stack(layers)
