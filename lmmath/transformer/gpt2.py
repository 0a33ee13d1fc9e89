r"""GPT-2: a decoder alone, with its norms moved inside and its positions learned.

The parameters are one plain dict of arrays with the names of GPT-2's checkpoints.
"""

from dataclasses import dataclass
from functools import partial
from math import sqrt

import numpy as np
from array_api_compat import array_namespace

from lmmath._checks import require_positive, require_positive_integer
from lmmath.attention import (
    attention_weights,
    causal_mask,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from lmmath.neurons import dense, gelu
from lmmath.transformer._checks import (
    require_cache,
    require_config,
    require_divides,
    require_names,
    require_params,
    require_past,
    require_text,
)
from lmmath.transformer.layers import embed, feed_forward, layer_norm
from lmmath.transformer.parameters import by_layer, draw, subset, unchanged


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a GPT.

    Parameters
    ----------
    vocab_size : int
        Number of tokens.
    n_positions : int
        Longest text that the model can see, in tokens.
    d_model : int
        Width of the vectors that pass from layer to layer.
    n_layers : int
        Number of blocks.
    n_heads : int
        Attention heads per block. Divides ``d_model``.
    d_ff : int, optional
        Width of the feed-forward networks' hidden layer; 4 ``d_model`` if not given.
    eps : float
        The small number in the layer norms.

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1, ``n_heads`` does not divide ``d_model``,
        or ``eps`` is not a finite number above 0.

    References
    ----------
    Radford et al. (2019), "Language models are unsupervised multitask learners", table 2.

    Examples
    --------
    >>> GPTConfig(vocab_size=512, n_positions=64, d_model=96, n_layers=3, n_heads=4).d_ff
    384
    """

    vocab_size: int
    n_positions: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int | None = None
    eps: float = 1e-5

    def __post_init__(self):
        if self.d_ff is None:
            object.__setattr__(self, "d_ff", 4 * self.d_model)
        sizes = {name: size for name, size in vars(self).items() if name != "eps"}
        require_positive_integer(**sizes)
        require_positive(eps=self.eps)
        require_divides(self.n_heads, self.d_model)


def gpt(params, tokens, config):
    r"""Predict the next token at each position from the tokens up to it.

    .. math::

        \begin{aligned}
        x^{(0)} &= E_t + P \\
        x^{(\ell)} &= \operatorname{Block}_\ell(x^{(\ell - 1)}), \qquad \ell = 1, \dots, L \\
        \text{logits} &= \operatorname{LayerNorm}(x^{(L)})\, E^\top
        \end{aligned}

    Parameters
    ----------
    params : dict of str to array
        As ``init_gpt`` makes them, with the names of GPT-2's checkpoints: :math:`E` is
        ``wte.weight``, the positions' vectors :math:`P` are ``wpe.weight``.
    tokens : integer array, shape (..., n)
        Token ids :math:`t`, at most ``n_positions`` of them. May be a NumPy array whatever
        the parameters are.
    config : GPTConfig

    Returns
    -------
    array, shape (..., n, vocab_size)
        Logits of the token that comes after each position.

    Raises
    ------
    TypeError
        If ``tokens`` is not an array of integers.
    ValueError
        If a token id is out of range, the text is empty or too long, or ``params`` do not fit
        ``config``.

    References
    ----------
    Radford et al. (2019), "Language models are unsupervised multitask learners", section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> params = init_gpt(config, np.random.default_rng(0))
    >>> gpt(params, np.asarray([3, 1, 4]), config).shape
    (3, 9)
    """
    logits, _ = gpt_with_cache(params, tokens, config)
    return logits


def gpt_with_cache(params, tokens, config, cache=None):
    r"""Predict next tokens, and keep what later ones will need of these.

    A position's keys and values depend only on it and on those before it. So they can be
    kept, and a new token costs one row of each matrix product instead of all of them.

    Parameters
    ----------
    params, config
        As in ``gpt``.
    tokens : integer array, shape (..., n)
        The tokens that come after those in the cache.
    cache : list of (keys, values), optional
        One pair for each block, each array (..., n_heads, n_past, d_head), as an earlier call
        returned it; none at the beginning of a text.

    Returns
    -------
    logits : array, shape (..., n, vocab_size)
        The same numbers as the last ``n`` rows of ``gpt`` on the whole text.
    cache : list of (keys, values)
        For all ``n_past + n`` positions. The one that came is not changed.

    Raises
    ------
    TypeError
        If ``tokens`` is not an array of integers.
    ValueError
        If a token id is out of range, the text is empty or, with what is in the cache, too
        long, or ``params`` or ``cache`` do not fit ``config`` or each other.

    Examples
    --------
    >>> import numpy as np
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> params = init_gpt(config, np.random.default_rng(0))
    >>> whole = gpt(params, np.asarray([3, 1, 4]), config)
    >>> _, cache = gpt_with_cache(params, np.asarray([3, 1]), config)
    >>> last, cache = gpt_with_cache(params, np.asarray([4]), config, cache)
    >>> bool(np.allclose(last, whole[2:]))
    True
    """
    x, cache = gpt_residual(params, tokens, config, cache)
    return logit_lens(x, params, config), cache


def gpt_residual(params, tokens, config, cache=None):
    r"""Pass through all blocks, up to where the logits are read.

    .. math:: x^{(L)}

    Who draws the next token needs the logits of the last position alone. The product with
    :math:`E^\top` is the largest of all, and ``logit_lens`` computes it for the rows it is given.

    Parameters
    ----------
    params, tokens, config, cache
        As in ``gpt_with_cache``.

    Returns
    -------
    x : array, shape (..., n, d_model)
        The residual stream after the last block.
    cache : list of (keys, values)

    Raises
    ------
    TypeError, ValueError
        As in ``gpt_with_cache``.

    Examples
    --------
    >>> import numpy as np
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> params = init_gpt(config, np.random.default_rng(0))
    >>> x, cache = gpt_residual(params, np.asarray([3, 1, 4]), config)
    >>> x.shape, cache[1][0].shape  # keys of the second block: heads, positions, features
    ((3, 6), (2, 3, 3))
    """
    require_params(params, gpt_shapes(config))
    cache = [None] * config.n_layers if cache is None else cache
    x = _embed_with_positions(params, tokens, config, cache)
    new_cache = []
    blocks = by_layer(params, "h.", config.n_layers)
    for block, past in zip(blocks, cache, strict=True):
        x, keys_and_values = gpt_block(x, block, config.n_heads, past, config.eps)
        new_cache.append(keys_and_values)
    return x, new_cache


def gpt_block(x, params, n_heads, past=None, eps=1e-5):
    r"""Add to each position what it gathers from those before it, then what it makes of that.

    .. math::

        \begin{aligned}
        y &= x + \operatorname{CausalAttention}(\operatorname{LayerNorm}(x)) \\
        z &= y + \operatorname{FFN}(\operatorname{LayerNorm}(y))
        \end{aligned}

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_model)
        The residual stream.
    params : dict of str to array
        The block's own parameters: ``ln_1.weight`` to ``mlp.c_proj.bias``.
    n_heads : int
    past : (keys, values), optional
        Of earlier positions, each (..., n_heads, n_past, d_head).
    eps : float
        The small number in the layer norms.

    Returns
    -------
    x : array, shape (..., n, d_model)
    keys_and_values : (array, array)
        Each (..., n_heads, n_past + n, d_head).

    References
    ----------
    Radford et al. (2019), section 2.3: the layer norm has moved to the input of each part.
    """
    require_names(params, _BLOCK_NAMES)
    attended, keys_and_values = causal_self_attention(
        layer_norm(x, **subset(params, "ln_1."), eps=eps),
        subset(params, "attn."),
        n_heads,
        past,
    )
    x = x + attended
    thought = feed_forward(
        layer_norm(x, **subset(params, "ln_2."), eps=eps),
        params["mlp.c_fc.weight"],
        params["mlp.c_fc.bias"],
        params["mlp.c_proj.weight"],
        params["mlp.c_proj.bias"],
        activation=partial(gelu, approximate="tanh"),
    )
    return x + thought, keys_and_values


def causal_self_attention(x, params, n_heads, past=None):
    r"""Attend, in several heads, to this position and to those before it.

    .. math:: [Q \; K \; V] = x W + b, \qquad
              y = \operatorname{Concat}(\text{head}_1, \dots, \text{head}_h)\, W^O + b^O

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_model)
    params : dict of str to array
        ``c_attn.weight`` (d_model, 3 d_model), :math:`W`; ``c_attn.bias`` (3 d_model,);
        ``c_proj.weight`` (d_model, d_model), :math:`W^O`; ``c_proj.bias`` (d_model,).
    n_heads : int
    past : (keys, values), optional
        Of earlier positions, each (..., n_heads, n_past, d_head).

    Returns
    -------
    y : array, shape (..., n, d_model)
    keys_and_values : (array, array)
        Each (..., n_heads, n_past + n, d_head).
    """
    require_names(params, _ATTENTION_NAMES)
    xp = array_namespace(x)
    query, key, value = _project_to_heads(x, params, n_heads)
    n_past = 0
    if past is not None:
        require_past(past, key)
        n_past = past[0].shape[-2]
        key = xp.concat([past[0], key], axis=-2)
        value = xp.concat([past[1], value], axis=-2)
    mask = causal_mask(x.shape[-2], n_past)
    mixed = merge_heads(scaled_dot_product_attention(query, key, value, mask))
    return dense(mixed, params["c_proj.weight"], params["c_proj.bias"]), (key, value)


def gpt_trace(params, tokens, config, edit=None):
    r"""Run a GPT and keep what a reader wants to look at inside.

    Parameters
    ----------
    params, tokens, config
        As in ``gpt``.
    edit : function of an integer and an array, optional
        To see what the model would do if the stream were another: ``edit(l, x)`` gets
        :math:`x^{(\ell)}` and returns what goes on in its place. It must not change ``x`` itself.

    Returns
    -------
    residuals : list of array, each (..., n, d_model)
        The residual stream :math:`x^{(0)}, \dots, x^{(L)}`: before the first block, and after
        each.
    attention : list of array, each (..., n_heads, n, n)
        The attention weights of each block: row ``i`` is how position ``i`` looks back.

    Raises
    ------
    TypeError
        If ``tokens`` is not an array of integers.
    ValueError
        As in ``gpt``.

    Examples
    --------
    >>> import numpy as np
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> params = init_gpt(config, np.random.default_rng(0))
    >>> residuals, attention = gpt_trace(params, np.asarray([3, 1, 4]), config)
    >>> [x.shape for x in residuals], [weights.shape for weights in attention]
    ([(3, 6), (3, 6), (3, 6)], [(2, 3, 3), (2, 3, 3)])
    """
    edit = unchanged if edit is None else edit
    require_params(params, gpt_shapes(config))
    no_cache = [None] * config.n_layers
    x = edit(0, _embed_with_positions(params, tokens, config, no_cache))
    residuals, attention = [x], []
    for i, block in enumerate(by_layer(params, "h.", config.n_layers)):
        normalized = layer_norm(x, **subset(block, "ln_1."), eps=config.eps)
        query, key, _ = _project_to_heads(
            normalized, subset(block, "attn."), config.n_heads
        )
        attention.append(attention_weights(query, key, causal_mask(x.shape[-2])))
        x, _ = gpt_block(x, block, config.n_heads, eps=config.eps)
        x = edit(i + 1, x)
        residuals.append(x)
    return residuals, attention


def gpt_activations(params, tokens, config):
    r"""Record every hidden neuron of a GPT's feed-forward networks while it reads.

    .. math:: h^{(\ell)} = \operatorname{gelu}(\operatorname{LayerNorm}(y)\, W_1 + b_1)

    with :math:`y` the residual stream after the block's attention has been added.

    Parameters
    ----------
    params, tokens, config
        As in ``gpt``.

    Returns
    -------
    list of array, each (..., n, d_ff)
        One for each block.

    Raises
    ------
    TypeError, ValueError
        As in ``gpt``.

    Examples
    --------
    >>> import numpy as np
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> params = init_gpt(config, np.random.default_rng(0))
    >>> [h.shape for h in gpt_activations(params, np.asarray([3, 1, 4]), config)]
    [(3, 24), (3, 24)]
    """
    residuals, _ = gpt_trace(params, tokens, config)
    activations = []
    blocks = by_layer(params, "h.", config.n_layers)
    for block, x in zip(blocks, residuals[:-1], strict=True):
        normalized = layer_norm(x, **subset(block, "ln_1."), eps=config.eps)
        attended, _ = causal_self_attention(
            normalized, subset(block, "attn."), config.n_heads
        )
        normalized = layer_norm(x + attended, **subset(block, "ln_2."), eps=config.eps)
        activations.append(
            dense(
                normalized,
                block["mlp.c_fc.weight"],
                block["mlp.c_fc.bias"],
                activation=partial(gelu, approximate="tanh"),
            )
        )
    return activations


def logit_lens(x, params, config):
    r"""Read logits off the residual stream, as if the last block had been passed already.

    .. math:: \text{logits} = \operatorname{LayerNorm}(x^{(\ell)})\, E^\top

    Parameters
    ----------
    x : array, floating-point, shape (..., d_model)
        The residual stream :math:`x^{(\ell)}` anywhere in the model. After the last block the
        result is that of ``gpt``.
    params, config
        As in ``gpt``.

    Returns
    -------
    array, shape (..., vocab_size)

    Raises
    ------
    TypeError
        If ``x`` is not floating-point.
    ValueError
        If ``x`` has not ``d_model`` features, or ``params`` do not fit ``config``.

    References
    ----------
    nostalgebraist (2020), "Interpreting GPT: the logit lens".

    Examples
    --------
    >>> import numpy as np
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> params, tokens = init_gpt(config, np.random.default_rng(0)), np.asarray([3, 1, 4])
    >>> residuals, _ = gpt_trace(params, tokens, config)
    >>> last = logit_lens(residuals[-1], params, config)
    >>> bool(np.all(last == gpt(params, tokens, config)))
    True
    """
    require_params(params, gpt_shapes(config))
    x = layer_norm(x, **subset(params, "ln_f."), eps=config.eps)
    return x @ array_namespace(x).matrix_transpose(params["wte.weight"])


def gpt_shapes(config):
    """List the parameters of a GPT with their shapes.

    Parameters
    ----------
    config : GPTConfig

    Returns
    -------
    dict of str to tuple of int
        With the names of GPT-2's checkpoints.

    Examples
    --------
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> gpt_shapes(config)["h.1.attn.c_attn.weight"]
    (6, 18)
    """
    require_config(GPTConfig, config)
    blocks = {
        f"h.{i}.{name}": shape
        for i in range(config.n_layers)
        for name, shape in _block_shapes(config.d_model, config.d_ff).items()
    }
    return {
        "wte.weight": (config.vocab_size, config.d_model),
        "wpe.weight": (config.n_positions, config.d_model),
        **blocks,
        "ln_f.weight": (config.d_model,),
        "ln_f.bias": (config.d_model,),
    }


def init_gpt(config, rng, dtype=np.float32):
    r"""Draw the parameters of a GPT that has learned nothing yet.

    Matrices are normal with standard deviation 0.02. The two that write to the residual stream
    have :math:`0.02 / \sqrt{2L}`, so that the sum of their :math:`2L` outputs does not grow
    with the number of layers :math:`L`. Biases are 0 and gains 1.

    Parameters
    ----------
    config : GPTConfig
    rng : numpy.random.Generator
    dtype : NumPy dtype

    Returns
    -------
    dict of str to numpy.ndarray

    References
    ----------
    Radford et al. (2019), section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> params = init_gpt(config, np.random.default_rng(0), dtype=np.float64)
    >>> params["wte.weight"].shape, params["wte.weight"].dtype
    ((9, 6), dtype('float64'))
    """

    def scale(name, shape):
        writes = name.endswith("c_proj.weight")
        return 0.02 / sqrt(2 * config.n_layers) if writes else 0.02

    return draw(gpt_shapes(config), scale, rng, dtype)


def _block_shapes(d, d_ff):
    return {
        "ln_1.weight": (d,),
        "ln_1.bias": (d,),
        "attn.c_attn.weight": (d, 3 * d),
        "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d),
        "attn.c_proj.bias": (d,),
        "ln_2.weight": (d,),
        "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, d_ff),
        "mlp.c_fc.bias": (d_ff,),
        "mlp.c_proj.weight": (d_ff, d),
        "mlp.c_proj.bias": (d,),
    }


_BLOCK_NAMES = set(_block_shapes(1, 1))
_ATTENTION_NAMES = set(subset(_block_shapes(1, 1), "attn."))


def _project_to_heads(x, params, n_heads):
    """Give the queries, keys and values, each (..., n_heads, n, d_head)."""
    together = dense(x, params["c_attn.weight"], params["c_attn.bias"])
    parts = array_namespace(x).unstack(split_heads(together, 3), axis=-3)
    return [split_heads(part, n_heads) for part in parts]


def _embed_with_positions(params, tokens, config, cache):
    require_text("tokens", tokens, config.vocab_size)
    d_head = config.d_model // config.n_heads
    n_past = require_cache(
        cache, config.n_layers, config.n_heads, d_head, tokens.shape[:-1]
    )
    end = n_past + tokens.shape[-1]
    if end > config.n_positions:
        raise ValueError(
            f"tokens must fit into {config.n_positions} positions, "
            f"got {tokens.shape[-1]} after {n_past}"
        )
    return embed(params["wte.weight"], tokens) + params["wpe.weight"][n_past:end, :]
