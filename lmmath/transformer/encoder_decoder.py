r"""The encoder-decoder of 2017: one stack reads the source, the other writes the target.

A layer's parameters are a plain dict of arrays; the model's are one dict with the layer in
front of each name, as in ``encoder.0.norm_1.weight``.
"""

from dataclasses import dataclass
from functools import partial
from math import sqrt

import numpy as np
from array_api_compat import array_namespace

from lmmath._arrays import to_library_of
from lmmath._checks import require_floating, require_matrices, require_positive_integer
from lmmath.attention import causal_mask, multi_head_attention
from lmmath.positions import sinusoidal_encoding
from lmmath.transformer._checks import (
    require_divides,
    require_names,
    require_params,
    require_text,
)
from lmmath.transformer.layers import embed, feed_forward, layer_norm
from lmmath.transformer.parameters import draw, subset


def encoder_layer(x, params, n_heads, mask=None):
    r"""Let every position look at all of them, then think about what it saw.

    .. math::

        \begin{aligned}
        y &= \operatorname{LayerNorm}(x + \operatorname{MultiHead}(x, x, x)) \\
        z &= \operatorname{LayerNorm}(y + \operatorname{FFN}(y))
        \end{aligned}

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_model)
    params : dict of str to array
        ``attention.w_q``, ``.w_k``, ``.w_v``, ``.w_o``, all (d_model, d_model);
        ``norm_1.weight``, ``.bias``, ``norm_2.weight``, ``.bias``, all (d_model,);
        ``ffn.w_1`` (d_model, d_ff), ``.b_1`` (d_ff,), ``.w_2`` (d_ff, d_model),
        ``.b_2`` (d_model,).
    n_heads : int
    mask : boolean array, broadcastable to (..., n_heads, n, n), optional
        True where attention is allowed.

    Returns
    -------
    array, shape (..., n, d_model)

    Raises
    ------
    TypeError
        If an array is not floating-point, or ``mask`` is not boolean.
    ValueError
        If a parameter is missing, or the shapes do not fit together.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3.1.
    """
    require_names(params, _ENCODER_LAYER)
    attention = partial(
        multi_head_attention, **subset(params, "attention."), n_heads=n_heads
    )
    x = layer_norm(x + attention(x, x, x, mask=mask), **subset(params, "norm_1."))
    x = x + feed_forward(x, **subset(params, "ffn."))
    return layer_norm(x, **subset(params, "norm_2."))


def decoder_layer(x, memory, params, n_heads, mask=None, memory_mask=None):
    r"""Let every position look back, then at the encoder's output, then think.

    .. math::

        \begin{aligned}
        y &= \operatorname{LayerNorm}(x + \operatorname{MaskedMultiHead}(x, x, x)) \\
        z &= \operatorname{LayerNorm}(y + \operatorname{MultiHead}(y, m, m)) \\
        u &= \operatorname{LayerNorm}(z + \operatorname{FFN}(z))
        \end{aligned}

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_model)
    memory : array, floating-point, shape (..., n_source, d_model)
        :math:`m`, what the encoder made of the source.
    params : dict of str to array
        As in ``encoder_layer``, with ``self_attention.`` and ``cross_attention.`` in the place
        of ``attention.``, and with a third norm, ``norm_3.``.
    n_heads : int
    mask : boolean array, broadcastable to (..., n_heads, n, n), optional
        Who may look at whom in ``x``; ``causal_mask(n)`` if not given.
    memory_mask : boolean array, broadcastable to (..., n_heads, n, n_source), optional
        Which positions of the source may be looked at; all if not given.

    Returns
    -------
    array, shape (..., n, d_model)

    Raises
    ------
    TypeError
        If an array is not floating-point, or a mask is not boolean.
    ValueError
        If a parameter is missing, or the shapes do not fit together.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3.1.
    """
    require_names(params, _DECODER_LAYER)
    require_floating(x=x)
    require_matrices(x=x)
    look_back = partial(multi_head_attention, **subset(params, "self_attention."))
    look_across = partial(multi_head_attention, **subset(params, "cross_attention."))
    mask = causal_mask(x.shape[-2]) if mask is None else mask
    x = x + look_back(x, x, x, n_heads=n_heads, mask=mask)
    x = layer_norm(x, **subset(params, "norm_1."))
    x = x + look_across(x, memory, memory, n_heads=n_heads, mask=memory_mask)
    x = layer_norm(x, **subset(params, "norm_2."))
    x = x + feed_forward(x, **subset(params, "ffn."))
    return layer_norm(x, **subset(params, "norm_3."))


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of an encoder-decoder; the defaults are the paper's base model.

    Parameters
    ----------
    vocab_size : int
        Number of tokens, shared by source and target.
    d_model : int
        Width of the vectors that pass from layer to layer. Even, for the sinusoids.
    n_layers : int
        Layers of the encoder, and as many of the decoder.
    n_heads : int
        Attention heads per layer. Divides ``d_model``.
    d_ff : int
        Width of the feed-forward network's hidden layer.

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1, ``n_heads`` does not divide ``d_model``,
        or ``d_model`` is odd.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", table 3.
    """

    vocab_size: int
    d_model: int = 512
    n_layers: int = 6
    n_heads: int = 8
    d_ff: int = 2048

    def __post_init__(self):
        require_positive_integer(**vars(self))
        require_divides(self.n_heads, self.d_model)
        if self.d_model % 2:
            raise ValueError(f"d_model must be even, got {self.d_model}")


def transformer(params, source, target, config, source_mask=None):
    r"""Predict each next token of the target from the source and the target so far.

    .. math::

        \begin{aligned}
        x^{(0)} &= \sqrt{d_\text{model}}\, E_s + \mathit{PE}, &
        x^{(\ell)} &= \operatorname{EncoderLayer}_\ell(x^{(\ell - 1)}), \\
        y^{(0)} &= \sqrt{d_\text{model}}\, E_t + \mathit{PE}, &
        y^{(\ell)} &= \operatorname{DecoderLayer}_\ell(y^{(\ell - 1)}, x^{(L)}), \\
        \text{logits} &= y^{(L)} E^\top
        \end{aligned}

    Parameters
    ----------
    params : dict of str to array
        As ``init_transformer`` makes them.
    source : integer array, shape (..., n_source)
        Token ids :math:`s`.
    target : integer array, shape (..., n_target)
        Token ids :math:`t`, shifted right by one, so that no position sees its own answer.
    config : TransformerConfig
    source_mask : boolean array, shape (..., n_source), optional
        True where the source holds a token, False where it is padding.

    Returns
    -------
    array, shape (..., n_target, vocab_size)
        Logits of the token that comes after each position of ``target``.

    Raises
    ------
    TypeError
        If ``source`` or ``target`` is not an array of integers.
    ValueError
        If a token id is out of range, a text is empty, or ``params`` do not fit ``config``.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3 and figure 1. The embeddings
    and the output share one matrix, section 3.4. Dropout, which is for training, is left out.
    """
    require_params(params, transformer_shapes(config))
    if source_mask is not None:
        source_mask = source_mask[..., None, None, :]  # for all heads and all queries
    x = _embed_with_sinusoids(params, config, source=source)
    for i in range(config.n_layers):
        layer = subset(params, f"encoder.{i}.")
        x = encoder_layer(x, layer, config.n_heads, source_mask)
    y = _embed_with_sinusoids(params, config, target=target)
    for i in range(config.n_layers):
        layer = subset(params, f"decoder.{i}.")
        y = decoder_layer(y, x, layer, config.n_heads, memory_mask=source_mask)
    return y @ array_namespace(y).matrix_transpose(params["embedding.weight"])


def transformer_shapes(config):
    """List the parameters of an encoder-decoder with their shapes.

    Parameters
    ----------
    config : TransformerConfig

    Returns
    -------
    dict of str to tuple of int

    Examples
    --------
    >>> from lmmath.transformer import count_parameters
    >>> base = transformer_shapes(TransformerConfig(vocab_size=37_000))
    >>> base["decoder.5.ffn.w_1"]
    (512, 2048)
    >>> count_parameters(base)  # about 65 million, says table 3 of the paper
    63045632
    """
    sizes = {"d_model": config.d_model, "d_ff": config.d_ff}
    return {
        "embedding.weight": (config.vocab_size, config.d_model),
        **{
            f"{stack}.{i}.{name}": tuple(sizes[size] for size in shape.split())
            for stack, layer in (
                ("encoder", _ENCODER_LAYER),
                ("decoder", _DECODER_LAYER),
            )
            for i in range(config.n_layers)
            for name, shape in layer.items()
        },
    }


def init_transformer(config, rng, dtype=np.float32):
    r"""Draw the parameters of an encoder-decoder that has learned nothing yet.

    Matrices are Glorot normal, with variance :math:`2 / (d_\text{in} + d_\text{out})`; rows of
    the embedding have variance :math:`1 / d_\text{model}`; biases are 0 and gains 1.

    Parameters
    ----------
    config : TransformerConfig
    rng : numpy.random.Generator
    dtype : NumPy dtype

    Returns
    -------
    dict of str to numpy.ndarray

    References
    ----------
    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural
    networks". The paper of 2017 does not say how it began.
    """

    def scale(name, shape):
        return (
            config.d_model**-0.5 if name == "embedding.weight" else sqrt(2 / sum(shape))
        )

    return draw(transformer_shapes(config), scale, rng, dtype)


def _embed_with_sinusoids(params, config, **tokens):
    ((name, ids),) = tokens.items()
    require_text(name, ids, config.vocab_size)
    x = embed(params["embedding.weight"], ids)
    encoding = sinusoidal_encoding(ids.shape[-1], config.d_model)
    return x * sqrt(config.d_model) + to_library_of(x, encoding, x.dtype)


_ATTENTION = dict.fromkeys(("w_q", "w_k", "w_v", "w_o"), "d_model d_model")
_NORM = {"weight": "d_model", "bias": "d_model"}
_FFN = {"w_1": "d_model d_ff", "b_1": "d_ff", "w_2": "d_ff d_model", "b_2": "d_model"}


def _layer(**parts):
    return {
        f"{part}.{name}": shape
        for part, shapes in parts.items()
        for name, shape in shapes.items()
    }


_ENCODER_LAYER = _layer(attention=_ATTENTION, norm_1=_NORM, ffn=_FFN, norm_2=_NORM)
_DECODER_LAYER = _layer(
    self_attention=_ATTENTION,
    norm_1=_NORM,
    cross_attention=_ATTENTION,
    norm_2=_NORM,
    ffn=_FFN,
    norm_3=_NORM,
)
