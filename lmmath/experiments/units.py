"""What single neurons of a trained model answer to."""

from typing import NamedTuple

import numpy as np

from lmmath.experiments.held_out import (
    encode_story,
    padded_batches,
    require_model,
    split_stories,
)
from lmmath.language_models import activations


class UnitActivations(NamedTuple):
    """The hidden neurons of a model's feed-forward networks, at every token of some stories.

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
    r"""Record every hidden neuron of a Transformer while it reads stories.

    .. math:: h = \operatorname{gelu}(\operatorname{LayerNorm}(y)\, W_1 + b_1)

    in a GPT, with :math:`y` the residual stream after the block's attention has been added, and
    gated in a Llama.

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
        layers = np.stack(activations(config, params, padded))
        for row, i in enumerate(chosen):
            n = min(len(stories[i]), config.n_positions)
            found[i] = stories[i][:n], layers[:, row, :n]
    tokens, values = zip(*(found[i] for i in sorted(found)), strict=True)
    return UnitActivations(np.concatenate(tokens), np.concatenate(values, axis=1))
