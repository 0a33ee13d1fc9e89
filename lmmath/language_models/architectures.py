r"""One interface for all language models: the configuration says which functions compute it.

A model is its parameters, a configuration and a tokenizer. What reads, writes or measures a
model asks here and does not know its kind. A new kind costs a module with these functions, and
a line in ``ARCHITECTURES``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lmmath._arrays import to_library_of
from lmmath.language_models.recurrent import (
    RecurrentConfig,
    init_recurrent,
    recurrent_lens,
    recurrent_shapes,
    recurrent_states,
    recurrent_trace,
)
from lmmath.transformer import (
    GPTConfig,
    LlamaConfig,
    gpt_activations,
    gpt_residual,
    gpt_shapes,
    gpt_trace,
    init_gpt,
    init_llama,
    llama_activations,
    llama_lens,
    llama_residual,
    llama_shapes,
    llama_trace,
    logit_lens,
)


class Architecture(NamedTuple):
    """The functions that compute one kind of model.

    Attributes
    ----------
    shapes : function of (config)
    init : function of (config, rng, dtype)
    residual : function of (params, tokens, config, cache)
        Gives the stream from which logits are read, and the cache.
    lens : function of (x, params, config)
        Gives logits.
    trace : function of (params, tokens, config, edit)
    activations : function of (params, tokens, config), or None
        None if it has no feed-forward networks.
    output_matrix : str or None
        The name of the matrix that a layer's heads write with, one after the other in its rows,
        with ``{}`` for the layer. None if it has no heads.
    is_bounded : bool
        Whether it can read no more than ``n_positions`` tokens.
    """

    shapes: Callable
    init: Callable
    residual: Callable
    lens: Callable
    trace: Callable
    activations: Callable | None
    output_matrix: str | None
    is_bounded: bool


ARCHITECTURES = {
    GPTConfig: Architecture(
        shapes=gpt_shapes,
        init=init_gpt,
        residual=gpt_residual,
        lens=logit_lens,
        trace=gpt_trace,
        activations=gpt_activations,
        output_matrix="h.{}.attn.c_proj.weight",
        is_bounded=True,
    ),
    LlamaConfig: Architecture(
        shapes=llama_shapes,
        init=init_llama,
        residual=llama_residual,
        lens=llama_lens,
        trace=llama_trace,
        activations=llama_activations,
        output_matrix="layers.{}.self_attn.o_proj.weight",
        is_bounded=True,
    ),
    RecurrentConfig: Architecture(
        shapes=recurrent_shapes,
        init=init_recurrent,
        residual=recurrent_states,
        lens=recurrent_lens,
        trace=recurrent_trace,
        activations=None,
        output_matrix=None,
        is_bounded=False,
    ),
}


def architecture(config):
    """Find the functions that compute a model.

    Parameters
    ----------
    config : GPTConfig, LlamaConfig or RecurrentConfig

    Returns
    -------
    Architecture

    Raises
    ------
    TypeError
        If it is the configuration of no model.

    Examples
    --------
    >>> architecture(RecurrentConfig(vocab_size=9, n_positions=8, d_model=4)).is_bounded
    False
    """
    try:
        return ARCHITECTURES[type(config)]
    except KeyError:
        *others, last = (f"a {kind.__name__}" for kind in ARCHITECTURES)
        known = f"{', '.join(others)} or {last}"
        came = type(config).__name__
        raise TypeError(f"config must be {known}, got {came}") from None


def shapes(config):
    """List the parameters of any model with their shapes.

    >>> shapes(RecurrentConfig(vocab_size=9, n_positions=8, d_model=4))["wte.weight"]
    (9, 4)
    """
    return architecture(config).shapes(config)


def init(config, rng, dtype=np.float32):
    """Draw the parameters of any model.

    >>> init(RecurrentConfig(9, n_positions=8, d_model=4), np.random.default_rng(0)).keys()
    dict_keys(['wte.weight', 'cell.w_x', 'cell.w_h', 'cell.b'])
    """
    return architecture(config).init(config, rng, dtype)


def forward(config, params, tokens):
    """Compute the logits of any model, (..., n, vocab_size), for tokens (..., n).

    >>> config = RecurrentConfig(vocab_size=9, n_positions=8, d_model=4)
    >>> forward(config, init(config, np.random.default_rng(0)), np.asarray([3, 1, 4])).shape
    (3, 9)
    """
    x, _ = residual(config, params, tokens)
    return lens(config, params, x)


def residual(config, params, tokens, cache=None):
    """Read tokens, after those in the cache, up to where the logits are read.

    Parameters
    ----------
    config : GPTConfig, LlamaConfig or RecurrentConfig
    params : dict of str to array
    tokens : integer array, shape (..., n)
    cache : optional
        What an earlier call returned of the tokens before these.

    Returns
    -------
    x : array, shape (..., n, d_model)
        For ``lens``.
    cache
        Of a kind of its own for each kind of model.
    """
    return architecture(config).residual(params, tokens, config, cache)


def lens(config, params, x):
    """Read logits, (..., vocab_size), off any row of the stream, (..., d_model)."""
    return architecture(config).lens(x, params, config)


def trace(config, params, tokens, edit=None):
    """Run any model and keep the stream after each layer, and the attention weights.

    Parameters
    ----------
    config : GPTConfig, LlamaConfig or RecurrentConfig
    params : dict of str to array
    tokens : integer array, shape (..., n)
    edit : function of an integer and an array, optional
        ``edit(l, x)`` gets the stream after ``l`` layers and returns what goes on in its place.

    Returns
    -------
    residuals : list of array, each (..., n, d_model)
    attention : list of array, each (..., n_heads, n, n)
        Empty for a recurrent model.
    """
    return architecture(config).trace(params, tokens, config, edit)


def activations(config, params, tokens):
    """Record the hidden neurons of each feed-forward network, (..., n, d_ff) for each layer.

    Raises
    ------
    TypeError
        If the model has none.
    """
    compute = architecture(config).activations
    if compute is None:
        came = type(config).__name__
        raise TypeError(
            f"config must be of a model with feed-forward networks, got {came}"
        )
    return compute(params, tokens, config)


def without_heads(config, params, heads):
    r"""Switch attention heads off: what they would write is zero.

    .. math:: y = \operatorname{Concat}(\text{head}_1, \dots, \text{head}_H)\, W^O

    A head writes through its own :math:`d_\text{head}` rows of :math:`W^O`, which become 0.

    Parameters
    ----------
    config : GPTConfig or LlamaConfig
    params : dict of str to array
    heads : iterable of (int, int)
        Layer and head, both counted from 0.

    Returns
    -------
    dict of str to array
        The parameters, with new arrays where something changes.

    Raises
    ------
    TypeError
        If the model has no heads.
    ValueError
        If a head is not one of the model's.

    Examples
    --------
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=4, n_layers=2, n_heads=2)
    >>> params = init(config, np.random.default_rng(0))
    >>> fewer = without_heads(config, params, [(1, 0)])
    >>> (fewer["h.1.attn.c_proj.weight"] == 0).all(axis=1)
    array([ True,  True, False, False])
    """
    name = architecture(config).output_matrix
    if name is None:
        came = type(config).__name__
        raise TypeError(f"config must be of a model with heads, got {came}")
    chosen = {}
    for layer, head in heads:
        if not (0 <= layer < config.n_layers and 0 <= head < config.n_heads):
            raise ValueError(
                f"heads must hold pairs of a layer below {config.n_layers} and a head "
                f"below {config.n_heads}, got {(layer, head)}"
            )
        chosen.setdefault(layer, []).append(head)
    return params | {
        name.format(layer): _without_rows(params[name.format(layer)], config, off)
        for layer, off in chosen.items()
    }


def _without_rows(matrix, config, heads):
    of_head = np.arange(matrix.shape[0]) // (matrix.shape[0] // config.n_heads)
    kept = to_library_of(matrix, (~np.isin(of_head, heads)).astype(float), matrix.dtype)
    return matrix * kept[:, None]
