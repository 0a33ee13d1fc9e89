r"""Gates: how few hidden neurons of a real model do most of the work at a token."""

import numpy as np

from lmmath._checks import require_below
from lmmath.language_models import activations


def neurons_for(values, share=0.9):
    r"""Count the neurons that together hold a share of the sum of squares, the largest first.

    .. math:: \min\Big\{k : \sum_{j \le k} v_{(j)}^2 \ge s \sum_j v_j^2\Big\},
              \qquad v_{(1)}^2 \ge v_{(2)}^2 \ge \dots

    Parameters
    ----------
    values : array, shape (..., n)
        What the neurons give.
    share : float
        :math:`s`, above 0 and below 1.

    Returns
    -------
    numpy.ndarray of int64, shape (...)

    Examples
    --------
    >>> neurons_for(np.asarray([[1.0, 1.0, 1.0, 1.0], [5.0, 1.0, 1.0, 0.0]]), share=0.6)
    array([3, 1])
    """
    require_below(1, share=share)
    squares = np.sort(np.square(values, dtype=np.float64), axis=-1)[..., ::-1]
    total = np.cumsum(squares, axis=-1)
    return 1 + np.sum(total[..., :-1] < share * total[..., -1:], axis=-1)


def active_share(params, config, texts, share=0.9):
    r"""Say which part of the neurons holds most of what a layer's neurons give, at each token.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig or LlamaConfig
    texts : list of integer arrays, each (n,)
        The first token, a mark, is not counted.
    share : float
        As in ``neurons_for``.

    Returns
    -------
    numpy.ndarray, shape (n_texts, n_layers)
        The mean over the tokens of the count, divided by ``d_ff``.

    Examples
    --------
    >>> from lmmath.transformer import GPTConfig, init_gpt
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=4, n_layers=2, n_heads=1)
    >>> params = init_gpt(config, np.random.default_rng(0))
    >>> active_share(params, config, [np.asarray([3, 1, 4])]).shape
    (1, 2)
    """
    return np.asarray(
        [
            [
                np.mean(neurons_for(h[1:], share)) / h.shape[-1]
                for h in activations(config, params, tokens)
            ]
            for tokens in texts
        ]
    )
