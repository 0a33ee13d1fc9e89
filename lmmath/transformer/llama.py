r"""Llama: the decoder that most language models of today are variations of.

Beside GPT-2 four pieces are others: RMS norm in place of layer norm, rotary positions in place
of learned ones, SwiGLU in place of one hidden layer, and keys and values that several heads
share. Biases are gone.

The parameters are one plain dict of arrays. Their names are those of the published checkpoints,
without the ``model.`` in front; matrices are (d_in, d_out), as everywhere in this package, and
so transposed. Rotary pairs are neighbours, as in the paper.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from array_api_compat import array_namespace

from lmmath import torch_kernels
from lmmath._arrays import is_of_torch, to_library_of
from lmmath._checks import (
    require_positions,
    require_positive,
    require_positive_integer,
)
from lmmath.attention import (
    attention_weights,
    causal_mask,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from lmmath.neurons import silu
from lmmath.positions import cosine_and_sine, turn_pairs
from lmmath.transformer._checks import (
    require_cache,
    require_config,
    require_divides,
    require_mask,
    require_names,
    require_params,
    require_past,
    require_text,
)
from lmmath.transformer.layers import embed, rms_norm, swiglu
from lmmath.transformer.parameters import by_layer, draw, subset, unchanged


@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a Llama.

    Parameters
    ----------
    vocab_size : int
        Number of tokens.
    n_positions : int
        Longest text that the model was made for, in tokens.
    d_model : int
        Width of the vectors that pass from layer to layer.
    n_layers : int
        Number of blocks.
    n_heads : int
        Heads that ask, per block.
    d_ff : int
        Width of the feed-forward networks' hidden layer.
    n_kv_heads : int, optional
        Heads that answer, per block: divides ``n_heads``, which is the default. With 1 it is
        multi-query attention, in between grouped-query attention.
    d_head : int, optional
        Features of a head, an even number; ``d_model / n_heads`` if not given.
    rotary_base : float
        The base of the rotary positions.
    eps : float
        The small number in the RMS norms.
    tied : bool
        Whether the embedding is also the output matrix.

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1, ``n_kv_heads`` does not divide ``n_heads``,
        ``d_head`` is not given and ``n_heads`` does not divide ``d_model``, ``d_head`` is odd, or
        ``rotary_base`` or ``eps`` is not a finite number above 0.
    TypeError
        If ``tied`` is not a bool.

    References
    ----------
    Touvron et al. (2023), "LLaMA: Open and efficient foundation language models", section 2.2;
    Ainslie et al. (2023), "GQA: Training generalized multi-query Transformer models from
    multi-head checkpoints".

    Examples
    --------
    >>> config = LlamaConfig(512, n_positions=64, d_model=96, n_layers=3, n_heads=6, d_ff=256)
    >>> config.n_kv_heads, config.d_head
    (6, 16)
    """

    vocab_size: int
    n_positions: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    n_kv_heads: int | None = None
    d_head: int | None = None
    rotary_base: float = 10_000.0
    eps: float = 1e-5
    tied: bool = False

    def __post_init__(self):
        if self.n_kv_heads is None:
            object.__setattr__(self, "n_kv_heads", self.n_heads)
        if self.d_head is None:
            require_positive_integer(n_heads=self.n_heads, d_model=self.d_model)
            require_divides(self.n_heads, self.d_model)
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        others = ("rotary_base", "eps", "tied")
        sizes = {name: size for name, size in vars(self).items() if name not in others}
        require_positive_integer(**sizes)
        require_positive(rotary_base=self.rotary_base, eps=self.eps)
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_kv_heads must divide n_heads = {self.n_heads}, got {self.n_kv_heads}"
            )
        if self.d_head % 2:
            raise ValueError(
                f"d_head must be even, as features turn in pairs, got {self.d_head}"
            )
        if not isinstance(self.tied, bool):
            raise TypeError(f"tied must be a bool, got {type(self.tied).__name__}")


def llama(params, tokens, config, positions=None, mask=None):
    r"""Predict the next token at each position from the tokens up to it.

    .. math::

        \begin{aligned}
        x^{(0)} &= E_t \\
        x^{(\ell)} &= \operatorname{Block}_\ell(x^{(\ell - 1)}), \qquad \ell = 1, \dots, L \\
        \text{logits} &= \operatorname{RMSNorm}(x^{(L)})\, U
        \end{aligned}

    Parameters
    ----------
    params : dict of str to array
        As ``init_llama`` makes them: :math:`E` is ``embed_tokens.weight``, and :math:`U` is
        ``lm_head.weight``, or :math:`E^\top` in a tied model.
    tokens : integer array, shape (..., n)
        Token ids :math:`t`, at most ``n_positions`` of them. May be a NumPy array whatever
        the parameters are.
    config : LlamaConfig
    positions : array of integers, broadcastable to (..., n), optional
        Where each token stands; 0, 1, ... if not given. Only differences count.
    mask : boolean array, broadcastable to (..., n, n), optional
        Which tokens each token may see, besides that none sees a later one. In a batch that is
        padded at the left, the padding is hidden; in one that is packed, each text is hidden
        from the others.

    Returns
    -------
    array, shape (..., n, vocab_size)
        Logits of the token that comes after each position.

    Raises
    ------
    TypeError
        If ``tokens`` is not an array of integers, or ``mask`` is not boolean.
    ValueError
        If a token id is out of range, the text is empty or too long, or ``params`` do not fit
        ``config``.

    References
    ----------
    Touvron et al. (2023), "LLaMA: Open and efficient foundation language models", section 2.2.

    Examples
    --------
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10,
    ...                      n_kv_heads=2)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> llama(params, np.asarray([3, 1, 4]), config).shape
    (3, 9)
    """
    x, _ = llama_residual(params, tokens, config, None, positions, mask)
    return llama_lens(x, params, config)


def llama_with_cache(params, tokens, config, cache=None, positions=None, mask=None):
    r"""Predict next tokens, and keep what later ones will need of these.

    Parameters
    ----------
    params, config
        As in ``llama``.
    tokens : integer array, shape (..., n)
        The tokens that come after those in the cache.
    cache : list of (keys, values), optional
        One pair for each block, each array (..., n_kv_heads, n_past, d_head), as an earlier call
        returned it; none at the beginning of a text.
    positions : array of integers, broadcastable to (..., n), optional
        Of ``tokens``; they follow those in the cache if not given.
    mask : boolean array, broadcastable to (..., n, n_past + n), optional
        As in ``llama``, with a column for each token in the cache.

    Returns
    -------
    logits : array, shape (..., n, vocab_size)
        The same numbers as the last ``n`` rows of ``llama`` on the whole text.
    cache : list of (keys, values)
        For all ``n_past + n`` positions. The one that came is not changed.

    Raises
    ------
    TypeError
        As in ``llama``.
    ValueError
        As in ``llama``, with what is in the cache; also if ``cache`` does not fit ``config`` or
        ``tokens``.

    Examples
    --------
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> whole = llama(params, np.asarray([3, 1, 4]), config)
    >>> _, cache = llama_with_cache(params, np.asarray([3, 1]), config)
    >>> last, cache = llama_with_cache(params, np.asarray([4]), config, cache)
    >>> bool(np.allclose(last, whole[2:]))
    True
    """
    x, cache = llama_residual(params, tokens, config, cache, positions, mask)
    return llama_lens(x, params, config), cache


def llama_residual(params, tokens, config, cache=None, positions=None, mask=None):
    r"""Pass through all blocks, up to where the logits are read.

    .. math:: x^{(L)}

    Parameters
    ----------
    params, tokens, config, cache, positions, mask
        As in ``llama_with_cache``.

    Returns
    -------
    x : array, shape (..., n, d_model)
        The residual stream after the last block.
    cache : list of (keys, values)

    Raises
    ------
    TypeError, ValueError
        As in ``llama_with_cache``.

    Examples
    --------
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10,
    ...                      n_kv_heads=1)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> x, cache = llama_residual(params, np.asarray([3, 1, 4]), config)
    >>> x.shape, cache[1][0].shape  # keys of the second block: heads, positions, features
    ((3, 8), (1, 3, 2))
    """
    require_params(params, llama_shapes(config))
    cache = [None] * config.n_layers if cache is None else cache
    x, n_past = _embed_after(params, tokens, config, cache)
    rotation = rotation_at(x, config, n_past, positions)
    new_cache = []
    for block, past in zip(_blocks(params, config), cache, strict=True):
        x, keys_and_values = llama_block(x, block, config, past, rotation, mask)
        new_cache.append(keys_and_values)
    return x, new_cache


def llama_block(x, params, config, past=None, rotation=None, mask=None):
    r"""Add to each position what it gathers from those before it, then what it makes of that.

    .. math::

        \begin{aligned}
        y &= x + \operatorname{CausalAttention}(\operatorname{RMSNorm}(x)) \\
        z &= y + \operatorname{SwiGLU}(\operatorname{RMSNorm}(y))
        \end{aligned}

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_model)
        The residual stream.
    params : dict of str to array
        The block's own parameters: ``input_layernorm.weight`` to ``mlp.down_proj.weight``.
    config : LlamaConfig
    past : (keys, values), optional
        Of earlier positions, each (..., n_kv_heads, n_past, d_head).
    rotation : (cosine, sine), optional
        As ``rotation_at`` gives it; that of the positions after ``past`` if not given.
    mask
        As in ``llama_with_cache``.

    Returns
    -------
    x : array, shape (..., n, d_model)
    keys_and_values : (array, array)
        Each (..., n_kv_heads, n_past + n, d_head).

    References
    ----------
    Touvron et al. (2023), section 2.2.
    """
    require_names(params, _BLOCK_NAMES)
    attended, keys_and_values = grouped_query_attention(
        rms_norm(x, params["input_layernorm.weight"], config.eps),
        subset(params, "self_attn."),
        config,
        past,
        rotation,
        mask,
    )
    x = x + attended
    thought = swiglu(
        rms_norm(x, params["post_attention_layernorm.weight"], config.eps),
        params["mlp.gate_proj.weight"],
        params["mlp.up_proj.weight"],
        params["mlp.down_proj.weight"],
    )
    return x + thought, keys_and_values


def grouped_query_attention(x, params, config, past=None, rotation=None, mask=None):
    r"""Attend to this position and to those before it; several queries share a key.

    .. math::

        \begin{aligned}
        q_h &= R\, x W^Q_h, \qquad k_g = R\, x W^K_g, \qquad v_g = x W^V_g \\
        \text{head}_h &= \operatorname{Attention}(q_h, k_{g(h)}, v_{g(h)}), \qquad
        g(h) = \lfloor h\, G / H \rfloor \\
        y &= \operatorname{Concat}(\text{head}_1, \dots, \text{head}_H)\, W^O
        \end{aligned}

    with :math:`H` heads that ask, :math:`G` that answer, both counted from 0 in :math:`g(h)`,
    and :math:`R` the rotation by the position.

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_model)
    params : dict of str to array
        ``q_proj.weight`` (d_model, n_heads d_head), ``k_proj.weight`` and ``v_proj.weight``
        (d_model, n_kv_heads d_head), ``o_proj.weight`` (n_heads d_head, d_model).
    config : LlamaConfig
    past : (keys, values), optional
        Of earlier positions, each (..., n_kv_heads, n_past, d_head). The keys are turned already.
    rotation, mask
        As in ``llama_block``.

    Returns
    -------
    y : array, shape (..., n, d_model)
    keys_and_values : (array, array)
        Each (..., n_kv_heads, n_past + n, d_head).

    References
    ----------
    Ainslie et al. (2023), "GQA: Training generalized multi-query Transformer models from
    multi-head checkpoints", section 2.2.
    """
    require_names(params, _ATTENTION_NAMES)
    if rotation is None:
        rotation = rotation_at(x, config, 0 if past is None else past[0].shape[-2])
    query = turn_pairs(
        split_heads(x @ params["q_proj.weight"], config.n_heads), *rotation
    )
    key = turn_pairs(
        split_heads(x @ params["k_proj.weight"], config.n_kv_heads), *rotation
    )
    value = split_heads(x @ params["v_proj.weight"], config.n_kv_heads)
    key, value = _after(past, key, value)
    heads = _attend(query, key, value, mask)
    return merge_heads(heads) @ params["o_proj.weight"], (key, value)


def rotation_at(x, config, n_past=0, positions=None):
    r"""Give the cosines and sines that turn the queries and keys of some rows.

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_model)
        The residual stream, for its library, dtype and number of rows.
    config : LlamaConfig
    n_past : int
        How many positions come before.
    positions : array of integers, broadcastable to (..., n), optional
        ``n_past``, ``n_past + 1``, ... if not given.

    Returns
    -------
    cosine, sine : array, shape (..., 1, n, d_head / 2)
        With an axis for the heads, which all turn alike.

    Raises
    ------
    TypeError, ValueError
        If ``positions`` is no array of numbers, or does not fit the rows of ``x``.

    Examples
    --------
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> cosine, sine = rotation_at(np.zeros((3, 8)), config, n_past=5)
    >>> cosine.shape
    (1, 3, 1)
    """
    if positions is None:
        positions = np.arange(n_past, n_past + x.shape[-2])
    require_positions(positions, x.shape[:-1])
    parts = cosine_and_sine(positions, config.d_head, config.rotary_base, like=x)
    return [part[..., None, :, :] for part in parts]


def llama_lens(x, params, config):
    r"""Read logits off the residual stream, as if the last block had been passed already.

    .. math:: \text{logits} = \operatorname{RMSNorm}(x^{(\ell)})\, U

    Parameters
    ----------
    x : array, floating-point, shape (..., d_model)
        The residual stream :math:`x^{(\ell)}` anywhere in the model. After the last block the
        result is that of ``llama``.
    params, config
        As in ``llama``.

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
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> params, tokens = init_llama(config, np.random.default_rng(0)), np.asarray([3, 1, 4])
    >>> residuals, _ = llama_trace(params, tokens, config)
    >>> last = llama_lens(residuals[-1], params, config)
    >>> bool(np.all(last == llama(params, tokens, config)))
    True
    """
    require_params(params, llama_shapes(config))
    x = rms_norm(x, params["norm.weight"], config.eps)
    if config.tied:
        return x @ array_namespace(x).matrix_transpose(params["embed_tokens.weight"])
    return x @ params["lm_head.weight"]


def llama_trace(params, tokens, config, edit=None, positions=None, mask=None):
    r"""Run a Llama and keep what a reader wants to look at inside.

    Parameters
    ----------
    params, tokens, config, positions, mask
        As in ``llama``.
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
    TypeError, ValueError
        As in ``llama``.

    Examples
    --------
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10,
    ...                      n_kv_heads=2)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> residuals, attention = llama_trace(params, np.asarray([3, 1, 4]), config)
    >>> [x.shape for x in residuals], [weights.shape for weights in attention]
    ([(3, 8), (3, 8), (3, 8)], [(4, 3, 3), (4, 3, 3)])
    """
    edit = unchanged if edit is None else edit
    require_params(params, llama_shapes(config))
    x, _ = _embed_after(params, tokens, config, [None] * config.n_layers)
    x = edit(0, x)
    rotation = rotation_at(x, config, 0, positions)
    residuals, attention = [x], []
    for i, block in enumerate(_blocks(params, config)):
        normalized = rms_norm(x, block["input_layernorm.weight"], config.eps)
        attention.append(
            _weights(normalized, subset(block, "self_attn."), config, rotation, mask)
        )
        x, _ = llama_block(x, block, config, None, rotation, mask)
        x = edit(i + 1, x)
        residuals.append(x)
    return residuals, attention


def llama_gates(params, tokens, config):
    r"""Record the two factors of every hidden neuron of a Llama while it reads.

    .. math:: \operatorname{SiLU}(\operatorname{RMSNorm}(y)\, W_\text{gate}), \qquad
              \operatorname{RMSNorm}(y)\, W_\text{up}

    with :math:`y` the residual stream after the block's attention has been added. Their product
    is what the neuron gives.

    Parameters
    ----------
    params, tokens, config
        As in ``llama``.

    Returns
    -------
    list of (array, array), each (..., n, d_ff)
        Gate and content, a pair for each block.

    Raises
    ------
    TypeError, ValueError
        As in ``llama``.

    Examples
    --------
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> [gate.shape for gate, _ in llama_gates(params, np.asarray([3, 1, 4]), config)]
    [(3, 10), (3, 10)]
    """
    residuals, _ = llama_trace(params, tokens, config)
    gates = []
    for block, x in zip(_blocks(params, config), residuals[:-1], strict=True):
        attended, _ = grouped_query_attention(
            rms_norm(x, block["input_layernorm.weight"], config.eps),
            subset(block, "self_attn."),
            config,
        )
        y = rms_norm(x + attended, block["post_attention_layernorm.weight"], config.eps)
        gate = silu(y @ block["mlp.gate_proj.weight"])
        gates.append((gate, y @ block["mlp.up_proj.weight"]))
    return gates


def llama_activations(params, tokens, config):
    r"""Record every hidden neuron of a Llama's feed-forward networks while it reads.

    .. math:: h^{(\ell)} = \operatorname{SiLU}(\operatorname{RMSNorm}(y)\, W_\text{gate})
              \odot \operatorname{RMSNorm}(y)\, W_\text{up}

    Parameters
    ----------
    params, tokens, config
        As in ``llama``.

    Returns
    -------
    list of array, each (..., n, d_ff)
        One for each block.

    Raises
    ------
    TypeError, ValueError
        As in ``llama``.

    Examples
    --------
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> [h.shape for h in llama_activations(params, np.asarray([3, 1, 4]), config)]
    [(3, 10), (3, 10)]
    """
    return [gate * content for gate, content in llama_gates(params, tokens, config)]


def llama_shapes(config):
    """List the parameters of a Llama with their shapes.

    Parameters
    ----------
    config : LlamaConfig

    Returns
    -------
    dict of str to tuple of int
        With the names of Llama's checkpoints, without the ``model.`` in front.

    Examples
    --------
    >>> from lmmath.transformer import count_parameters
    >>> smollm2 = LlamaConfig(49_152, n_positions=8192, d_model=576, n_layers=30, n_heads=9,
    ...                       d_ff=1536, n_kv_heads=3, rotary_base=100_000.0, tied=True)
    >>> llama_shapes(smollm2)["layers.0.self_attn.k_proj.weight"]
    (576, 192)
    >>> count_parameters(llama_shapes(smollm2))
    134515008
    """
    require_config(LlamaConfig, config)
    blocks = {
        f"layers.{i}.{name}": shape
        for i in range(config.n_layers)
        for name, shape in _block_shapes(config).items()
    }
    shapes = {
        "embed_tokens.weight": (config.vocab_size, config.d_model),
        **blocks,
        "norm.weight": (config.d_model,),
    }
    if not config.tied:
        shapes["lm_head.weight"] = (config.d_model, config.vocab_size)
    return shapes


def init_llama(config, rng, dtype=np.float32):
    r"""Draw the parameters of a Llama that has learned nothing yet.

    As ``init_gpt`` does: matrices are normal with standard deviation 0.02, those that write to
    the residual stream with :math:`0.02 / \sqrt{2L}`; gains are 1.

    Parameters
    ----------
    config : LlamaConfig
    rng : numpy.random.Generator
    dtype : NumPy dtype

    Returns
    -------
    dict of str to numpy.ndarray

    References
    ----------
    Radford et al. (2019), "Language models are unsupervised multitask learners", section 2.3.
    How Llama's own parameters were drawn is not published.

    Examples
    --------
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> params = init_llama(config, np.random.default_rng(0), dtype=np.float64)
    >>> params["lm_head.weight"].shape, params["lm_head.weight"].dtype
    ((8, 9), dtype('float64'))
    """

    def scale(name, shape):
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        return 0.02 / sqrt(2 * config.n_layers) if writes else 0.02

    return draw(llama_shapes(config), scale, rng, dtype)


def _block_shapes(config):
    d, d_ff = config.d_model, config.d_ff
    asking = config.n_heads * config.d_head
    answering = config.n_kv_heads * config.d_head
    return {
        "input_layernorm.weight": (d,),
        "self_attn.q_proj.weight": (d, asking),
        "self_attn.k_proj.weight": (d, answering),
        "self_attn.v_proj.weight": (d, answering),
        "self_attn.o_proj.weight": (asking, d),
        "post_attention_layernorm.weight": (d,),
        "mlp.gate_proj.weight": (d, d_ff),
        "mlp.up_proj.weight": (d, d_ff),
        "mlp.down_proj.weight": (d_ff, d),
    }


_ANY = LlamaConfig(1, n_positions=1, d_model=2, n_layers=1, n_heads=1, d_ff=1)
_BLOCK_NAMES = set(_block_shapes(_ANY))
_ATTENTION_NAMES = set(subset(_block_shapes(_ANY), "self_attn."))


def _blocks(params, config):
    return by_layer(params, "layers.", config.n_layers)


def _after(past, key, value):
    if past is None:
        return key, value
    require_past(past, key)
    xp = array_namespace(key)
    return xp.concat([past[0], key], axis=-2), xp.concat([past[1], value], axis=-2)


def _attend(query, key, value, mask):
    """Let each query attend with the key and the value of its group."""
    visible = _visible(mask, query.shape[-2], key.shape[-2])
    if is_of_torch(query):
        if visible.ndim > 2:
            visible = visible[..., 0, :, :]  # one axis for the heads, not two
        return torch_kernels.grouped_attention(query, key, value, visible)
    heads = scaled_dot_product_attention(
        _in_groups(query, key.shape[-3]),  # (..., n_kv_heads, group, n, d_head)
        key[..., :, None, :, :],  # (..., n_kv_heads, 1, n_keys, d_head)
        value[..., :, None, :, :],
        visible,
    )
    return array_namespace(query).reshape(heads, query.shape)


def _visible(mask, n, n_keys):
    """Join a mask of the caller's to the causal one, with axes for the heads."""
    causal = causal_mask(n, n_keys - n)
    if mask is None:
        return causal
    require_mask(mask, (n, n_keys))
    return (mask & to_library_of(mask, causal))[..., None, None, :, :]


def _in_groups(query, n_kv_heads):
    """Bring together the heads that share a key: (..., n_kv_heads, group, n, d_head)."""
    *batch, n_heads, n, d_head = query.shape
    xp = array_namespace(query)
    return xp.reshape(query, (*batch, n_kv_heads, n_heads // n_kv_heads, n, d_head))


def _weights(x, params, config, rotation, mask):
    """Give the attention weights of all heads that ask, (..., n_heads, n, n)."""
    query = turn_pairs(
        split_heads(x @ params["q_proj.weight"], config.n_heads), *rotation
    )
    key = turn_pairs(
        split_heads(x @ params["k_proj.weight"], config.n_kv_heads), *rotation
    )
    n = x.shape[-2]
    weights = attention_weights(
        _in_groups(query, config.n_kv_heads),
        key[..., :, None, :, :],
        _visible(mask, n, n),
    )
    return array_namespace(x).reshape(weights, (*query.shape[:-1], n))


def _embed_after(params, tokens, config, cache):
    """Look up the tokens, and count the positions before them."""
    require_text("tokens", tokens, config.vocab_size)
    n_past = require_cache(
        cache, config.n_layers, config.n_kv_heads, config.d_head, tokens.shape[:-1]
    )
    if n_past + tokens.shape[-1] > config.n_positions:
        raise ValueError(
            f"tokens must fit into {config.n_positions} positions, "
            f"got {tokens.shape[-1]} after {n_past}"
        )
    return embed(params["embed_tokens.weight"], tokens), n_past
