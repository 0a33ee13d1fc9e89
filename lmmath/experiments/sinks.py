r"""Attention sinks: how much of all attention goes to the first token, whatever it is.

A head's weights sum to one even where there is nothing to look at. Large models park what is left
on the first token.
"""

import numpy as np

from lmmath.experiments.held_out import require_heads
from lmmath.language_models import trace


def sink_shares(params, config, texts, skip=4):
    r"""Measure, head by head, the attention that later tokens give to the first.

    .. math:: s_h = \operatorname{mean}_{i \ge k} A^h_{i0}, \qquad
              \text{even} = \operatorname{mean}_{i \ge k} \frac{1}{i + 1}

    The queries begin at :math:`k`, for the first few see little else than the first token.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig or LlamaConfig
    texts : list of integer arrays, each (n,)
        Tokens, more than ``skip`` of them.
    skip : int
        :math:`k`.

    Returns
    -------
    shares : numpy.ndarray, shape (n_texts, n_layers, n_heads)
    even : numpy.ndarray, shape (n_texts,)
        The share that the first token would have of even attention.

    Raises
    ------
    TypeError
        If the model has no heads.
    ValueError
        If a text is too short.

    References
    ----------
    Xiao et al. (2023), "Efficient streaming language models with attention sinks".

    Examples
    --------
    Heads of zeros look everywhere alike:

    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> shares, even = sink_shares(params, config, [np.asarray([3, 1, 4, 1, 5, 0])])
    >>> shares.shape, bool(np.allclose(shares, even[0]))
    ((1, 2, 1), True)
    """
    require_heads(config)
    shares, even = [], []
    for tokens in texts:
        if len(tokens) <= skip:
            raise ValueError(
                f"texts must hold more than {skip} tokens each, got one of {len(tokens)}"
            )
        _, attention = trace(config, params, tokens)
        queries = np.arange(skip, len(tokens))
        first = np.stack(attention)[:, :, queries, 0]
        shares.append(first.mean(axis=-1, dtype=np.float64))
        even.append(np.mean(1 / (queries + 1)))
    return np.stack(shares), np.asarray(even)
