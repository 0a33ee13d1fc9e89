r"""What a model expects at each token of a text: how many choices it has, and how right it is."""

from typing import NamedTuple

import numpy as np

from lmmath._checks import require_generator
from lmmath.attention import entropy
from lmmath.language_models import forward
from lmmath.sampling import temperature_softmax


class Choices(NamedTuple):
    """A model's expectations at every token of one text.

    Attributes
    ----------
    entropy : numpy.ndarray, shape (n, n_temperatures)
        Of the next token, in nats.
    nucleus : numpy.ndarray of int64, shape (n, n_shares)
        How many tokens top-p keeps.
    before : numpy.ndarray, shape (n,)
        The probability of all tokens that are more probable than the one that came. Top-p with
        ``p`` cuts off what came where this is ``p`` or more.
    confidence : numpy.ndarray, shape (n,)
        The probability of the most probable token.
    right : numpy.ndarray of bool, shape (n,)
        Whether it was the one that came.
    """

    entropy: np.ndarray
    nucleus: np.ndarray
    before: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


def read_choices(params, config, texts, temperatures=(1.0,), shares=(0.9,)):
    r"""Read texts and keep, at each token, what the model expected instead.

    .. math::

        H_T = -\sum_v P_v \log P_v, \qquad
        \text{nucleus}_p = \min\{k : P_{(1)} + \dots + P_{(k)} \ge p\}, \qquad
        \text{before} = \sum_{v:\, P_v > P_x} P_v

    with :math:`P` the softmax at the temperature :math:`T` (1 for all but the entropy),
    :math:`P_{(1)} \ge P_{(2)} \ge \dots` in order, and :math:`x` the token that came.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig, LlamaConfig or RecurrentConfig
    texts : list of integer arrays, each (n + 1,)
    temperatures, shares : sequence of float
        The :math:`T` and the :math:`p` of interest.

    Returns
    -------
    list of Choices
        One for each text.

    Examples
    --------
    A model of zeros has 9 equal choices, of which 5 have a half:

    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> (read,) = read_choices(params, config, [np.asarray([3, 1, 4])], shares=[0.5])
    >>> np.exp(read.entropy).round(6), read.nucleus
    (array([[9.],
           [9.]]), array([[5],
           [5]]))
    """
    return [
        _read(
            np.asarray(forward(config, params, tokens), np.float64)[:-1],
            tokens[1:],
            temperatures,
            shares,
        )
        for tokens in texts
    ]


def _read(logits, came, temperatures, shares):
    entropies = [entropy(temperature_softmax(logits, t)) for t in temperatures]
    probabilities = temperature_softmax(logits)
    ordered = -np.sort(-probabilities, axis=1)
    total = np.cumsum(ordered, axis=1)
    nuclei = [1 + np.sum(total[:, :-1] < share, axis=1) for share in shares]
    of_came = np.take_along_axis(probabilities, came[:, None], axis=1)
    more = np.where(probabilities > of_came, probabilities, 0.0)
    return Choices(
        entropy=np.stack(entropies, axis=1),
        nucleus=np.stack(nuclei, axis=1),
        before=more.sum(axis=1),
        confidence=ordered[:, 0],
        right=np.argmax(logits, axis=1) == came,
    )


class Reliability(NamedTuple):
    """How often a model is right when it is so sure.

    Attributes
    ----------
    count : numpy.ndarray of int64, shape (n_bins,)
        Tokens in each bin of the confidence.
    confidence : numpy.ndarray, shape (n_bins,)
        Its mean.
    right : numpy.ndarray, shape (n_bins,)
        The share of tokens at which the most probable one came.
    low, high : numpy.ndarray, shape (n_bins,)
        An interval for that share, by the bootstrap over texts.
    """

    count: np.ndarray
    confidence: np.ndarray
    right: np.ndarray
    low: np.ndarray
    high: np.ndarray


def reliability(choices, edges, rng, level=0.9, n_resamples=1000):
    r"""Compare, bin by bin, how sure a model is of its best guess with how often it is right.

    Parameters
    ----------
    choices : list of Choices
        One for each text, as ``read_choices`` gives them.
    edges : sequence of float
        Bin ``i`` holds confidences from ``edges[i]`` to below ``edges[i + 1]``.
    rng : numpy.random.Generator
    level : float
        The share of the resampled texts' shares that the interval holds.
    n_resamples : int

    Returns
    -------
    Reliability

    References
    ----------
    Guo et al. (2017), "On calibration of modern neural networks", section 2.
    """
    require_generator(rng)
    n_bins = len(edges) - 1
    count, sure, right = np.zeros((3, len(choices), n_bins))
    for row, read in enumerate(choices):
        bins = np.digitize(read.confidence, edges) - 1
        for i in range(n_bins):
            inside = bins == i
            count[row, i] = inside.sum()
            sure[row, i] = read.confidence[inside].sum()
            right[row, i] = read.right[inside].sum()
    drawn = rng.integers(len(choices), size=(n_resamples, len(choices)))
    total = count.sum(axis=0)
    with np.errstate(invalid="ignore"):  # a bin may be empty
        shares = right[drawn].sum(axis=1) / count[drawn].sum(axis=1)
        means = sure.sum(axis=0) / total, right.sum(axis=0) / total
    tail = (1 - level) / 2
    low, high = np.full((2, n_bins), np.nan)
    for i in np.flatnonzero(total):
        low[i], high[i] = np.nanquantile(shares[:, i], [tail, 1 - tail])
    return Reliability(total.astype(np.int64), *means, low, high)
