r"""Calibration: whether three tenths are true of all that a model gives probability 0.3.

With natural text nobody knows what is true: one collects predictions of about 0.3 and counts
how often they come. With Fable the probability of each token is known, and no counting is
needed. The counts are here too, to show how far they stray by chance alone.
"""

from typing import NamedTuple

import numpy as np

from lmmath.experiments.held_out import read_stories, true_probabilities
from lmmath.fable.tokens import TokenReader

# Most tokens are nearly impossible at most places: four bins for each power of ten, from one
# in 100,000 on, and one for all below.
_EDGES = (0.0, *np.logspace(-5, 0, 21).tolist())


class Calibration(NamedTuple):
    r"""A model's predictions in bins of the probability that it gave.

    Attributes
    ----------
    edges : numpy.ndarray, shape (n_bins + 1,)
        Bin ``i`` holds the predictions from ``edges[i]`` to below ``edges[i + 1]``; the last
        bin also those of its upper edge.
    count : numpy.ndarray of int64, shape (n_bins,)
        How many predictions are in each bin.
    model : numpy.ndarray, shape (n_bins,)
        The mean probability that the model gave; NaN for an empty bin, as below.
    truth : numpy.ndarray, shape (n_bins,)
        The mean probability that was true.
    observed : numpy.ndarray, shape (n_bins,)
        The share of predictions that came true.
    error : float
        The expected calibration error against the truth.
    observed_error : float
        The same by counting, as it must be done where the truth is unknown.
    """

    edges: np.ndarray
    count: np.ndarray
    model: np.ndarray
    truth: np.ndarray
    observed: np.ndarray
    error: float
    observed_error: float


def calibration(
    params, config, tokenizer, words, edges=_EDGES, most_probable_only=False
):
    r"""Compare a model's probabilities with the true ones, bin by bin.

    A prediction is a pair of a place in a text and a token of the vocabulary: the model gives
    the token probability :math:`\hat{p}`, the truth is :math:`p`. With :math:`T` places and
    bins :math:`B`,

    .. math::

        \text{error} = \frac{1}{T} \sum_B \Big| \sum_{i \in B} (\hat{p}_i - p_i) \Big|
                     = \sum_B \frac{\lvert B \rvert}{T}
                       \big| \overline{\hat{p}}_B - \overline{p}_B \big|

    The finer the bins, the nearer it comes to the mean of
    :math:`\sum_v \lvert \hat{p}_v - p_v \rvert`, which is twice the total variation distance.

    Parameters
    ----------
    params, config, tokenizer, words
        As in ``read_stories``.
    edges : sequence of float, length n_bins + 1
        Increasing, from 0 to 1. By default four bins for each power of ten from 1e-5 to 1, and
        one below. ``numpy.linspace(0, 1, 16)`` gives the 15 equal bins of Guo et al.
    most_probable_only : bool
        Whether to keep, at each place, only the token that the model finds most probable. The
        error is then that of Guo et al., with the truth in place of their counts.

    Returns
    -------
    Calibration

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        If ``edges`` do not increase from 0 to 1, as in ``read_stories``, or if Fable cannot
        produce ``words``.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks",
    section 2 and equation 3.

    Examples
    --------
    A model of zeros gives each of 256 tokens probability 1/256. On the average over the tokens
    that is right, and for the token it finds most probable, the first, it is too much:

    >>> from lmmath.fable import sample
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=40, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> model = params, config, BPETokenizer([])
    >>> words = sample(100, np.random.default_rng(0))
    >>> round(calibration(*model, words).error, 9)
    0.0
    >>> round(calibration(*model, words, most_probable_only=True).error * 256, 9)
    1.0
    """
    edges = _checked(edges)
    reader = TokenReader(tokenizer)
    sums, n_places = np.zeros((4, len(edges) - 1)), 0
    for reading in read_stories(params, config, tokenizer, words):
        model = np.exp(reading.log_probabilities)
        truth = true_probabilities(reading.tokens, reader)
        came = np.arange(model.shape[1]) == reading.targets[:, None]
        if most_probable_only:
            best = np.argmax(model, axis=1, keepdims=True)
            model, truth, came = (
                np.take_along_axis(x, best, axis=1) for x in (model, truth, came)
            )
        sums += bin_sums(model, truth, came, edges)
        n_places += len(reading.targets)
    return _summary(edges, sums, n_places)


def bin_sums(model, truth, came, edges):
    r"""Put predictions into bins of the model's probability, and add up what is in each.

    Parameters
    ----------
    model, truth : numpy.ndarray, any shape
        Probabilities :math:`\hat{p}` and :math:`p` from 0 to 1.
    came : numpy.ndarray of bool, same shape
        Which of the predictions came true.
    edges : numpy.ndarray, shape (n_bins + 1,)
        Increasing, from 0 to 1.

    Returns
    -------
    numpy.ndarray of float64, shape (4, n_bins)
        In each bin, the number of predictions and the sums of ``model``, ``truth`` and
        ``came``.

    Examples
    --------
    >>> model, truth = np.asarray([0.2, 0.3, 0.5]), np.asarray([0.1, 0.3, 0.6])
    >>> bin_sums(model, truth, np.asarray([False, False, True]), np.asarray([0, 0.4, 1]))
    array([[2. , 1. ],
           [0.5, 0.5],
           [0.4, 0.6],
           [0. , 1. ]])
    """
    bins = np.searchsorted(edges[1:-1], np.ravel(model), side="right")
    weights = np.ones_like(model), model, truth, came
    return np.stack(
        [np.bincount(bins, np.ravel(w), minlength=len(edges) - 1) for w in weights]
    )


def _summary(edges, sums, n_places):
    count, model, truth, observed = sums
    n = np.where(count > 0, count, np.nan)
    return Calibration(
        edges=edges,
        count=count.astype(np.int64),
        model=model / n,
        truth=truth / n,
        observed=observed / n,
        error=float(np.abs(model - truth).sum() / n_places),
        observed_error=float(np.abs(model - observed).sum() / n_places),
    )


def _checked(edges):
    edges = np.asarray(edges, np.float64)
    if edges.ndim != 1 or len(edges) < 2:
        raise ValueError(
            f"edges must have one axis and at least two entries, got shape {edges.shape}"
        )
    if edges[0] != 0 or edges[-1] != 1 or not np.all(np.diff(edges) > 0):
        raise ValueError(f"edges must increase from 0 to 1, got {edges}")
    return edges
