r"""Distance in a real model: heads that look one place back, and what turning makes of a score."""

import numpy as np

from lmmath._checks import require_positive_integer
from lmmath.experiments.held_out import require_heads
from lmmath.language_models import trace
from lmmath.positions import rotary_embedding
from lmmath.training import cross_entropy
from lmmath.transformer import LlamaConfig, llama, llama_trace, rms_norm, subset


def previous_token_scores(params, config, texts):
    r"""Measure, head by head, the attention to the token before.

    .. math:: \operatorname{mean}_{i \ge 1} A^h_{i,\,i-1}, \qquad
              \text{even} = \operatorname{mean}_{i \ge 1} \frac{1}{i + 1}

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig or LlamaConfig
    texts : list of integer arrays, each (n,)

    Returns
    -------
    scores : numpy.ndarray, shape (n_texts, n_layers, n_heads)
    even : float
        The same for even attention, the mean over the texts.

    Examples
    --------
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> scores, even = previous_token_scores(params, config, [np.asarray([3, 1, 4])])
    >>> bool(np.allclose(scores, even)), round(even, 3)
    (True, 0.417)
    """
    require_heads(config)
    scores, even = [], []
    for tokens in texts:
        _, attention = trace(config, params, tokens)
        later = np.arange(1, len(tokens))
        weights = np.stack(attention)[:, :, later, later - 1]
        scores.append(weights.mean(axis=-1, dtype=np.float64))
        even.append(np.mean(1 / (later + 1)))
    return np.stack(scores), float(np.mean(even))


def scores_by_distance(params, config, texts, heads, n_distances):
    r"""Average heads' scores by distance, and foretell each head's from two vectors.

    .. math::

        \bar{s}(d) = \operatorname{mean}_i \frac{(R_i q_i) \cdot (R_{i-d}\, k_{i-d})}{\sqrt{d_k}},
        \qquad
        \hat{s}(d) = \frac{(R_d\, \bar{q}) \cdot \bar{k}}{\sqrt{d_k}}

    with :math:`R_p` the rotation by the position :math:`p`, and :math:`\bar{q}, \bar{k}` the mean
    query and the mean key before it. The first token of each text, which is a mark, is left out.

    Parameters
    ----------
    params : dict of str to numpy.ndarray
    config : LlamaConfig
    texts : list of integer arrays, each (n,)
        More than ``n_distances + 1`` tokens each.
    heads : list of (int, int)
        Layer and head, both from 0.
    n_distances : int

    Returns
    -------
    measured, foretold : numpy.ndarray of float64, shape (n_heads, n_distances)
        For the distances 0, 1, ...

    Raises
    ------
    TypeError
        If the model does not turn queries and keys.
    ValueError
        If a text is too short.

    Examples
    --------
    Of one word again and again, the first layer's queries and keys are all alike:

    >>> from lmmath.transformer import init_llama
    >>> config = LlamaConfig(9, n_positions=8, d_model=4, n_layers=1, n_heads=2, d_ff=4)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> texts = [np.full(8, 3)]
    >>> measured, foretold = scores_by_distance(params, config, texts, [(0, 0), (0, 1)], 5)
    >>> measured.shape, bool(np.allclose(measured, foretold, atol=1e-6))
    ((2, 5), True)
    """
    if not isinstance(config, LlamaConfig):
        raise TypeError(f"config must be a LlamaConfig, got {type(config).__name__}")
    require_positive_integer(n_distances=n_distances)
    if min(map(len, texts)) < n_distances + 2:
        raise ValueError(
            f"texts must hold at least {n_distances + 2} tokens each, "
            f"got one of {min(map(len, texts))}"
        )
    residuals = [llama_trace(params, tokens, config)[0] for tokens in texts]
    measured, foretold = np.zeros((2, len(heads), n_distances))
    for i, (layer, head) in enumerate(heads):
        parts = [
            _before_turning(params, config, x[layer], layer, head) for x in residuals
        ]
        measured[i] = np.mean(
            [_mean_by_distance(*part, config, n_distances) for part in parts], axis=0
        )
        queries, keys = zip(*parts, strict=True)
        mean_query, mean_key = (
            np.concatenate([x[1:] for x in rows]).mean(axis=0)
            for rows in (queries, keys)
        )
        alike = np.tile(mean_query, (n_distances, 1))
        turned = rotary_embedding(alike, np.arange(n_distances), config.rotary_base)
        foretold[i] = turned @ mean_key / np.sqrt(config.d_head)
    return measured, foretold


def losses_at_positions(params, config, texts, place):
    r"""Measure the loss with the tokens at other positions than they have.

    Parameters
    ----------
    params : dict of str to array
    config : LlamaConfig
    texts : list of integer arrays, each (n,)
    place : function of an array of integers, shape (n,)
        Gives the new positions for 0, 1, ..., n - 1.

    Returns
    -------
    numpy.ndarray of float64, shape (n_texts,)
        In nats per token.
    """
    losses = []
    for tokens in texts:
        positions = place(np.arange(len(tokens)))
        logits = llama(params, tokens, config, positions=positions)
        logits = np.asarray(logits, np.float64)
        losses.append(cross_entropy(logits[:-1], tokens[1:]))
    return np.asarray(losses)


def _mean_by_distance(query, key, config, n_distances):
    """Average the scores of a head's queries and keys, without the first token."""
    turned = [rotary_embedding(x, base=config.rotary_base) for x in (query, key)]
    scores = (turned[0] @ turned[1].T / np.sqrt(config.d_head))[1:, 1:]
    return [np.diagonal(scores, -d).mean() for d in range(n_distances)]


def _before_turning(params, config, x, layer, head):
    """Give a head's queries and keys, (n, d_head) each, in float64, of the stream before it."""
    block = subset(params, f"layers.{layer}.")
    x = rms_norm(x, block["input_layernorm.weight"], config.eps)
    group = head * config.n_kv_heads // config.n_heads
    parts = []
    for name, place in (("q", head), ("k", group)):
        matrix = block[f"self_attn.{name}_proj.weight"]
        columns = slice(place * config.d_head, (place + 1) * config.d_head)
        parts.append((x @ matrix[:, columns]).astype(np.float64))
    return parts
