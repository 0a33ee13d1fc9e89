r"""Temperature against the truth: the one at which a model says what is so.

For natural text a temperature is a matter of taste. For Fable it can be wrong: the best is the
one at which the model's probabilities diverge least from the true ones. It is 1 for a model
that is right, above 1 for one too sure of itself, below 1 for one too timid.
"""

from math import exp, log
from typing import NamedTuple

import numpy as np

from lmmath._checks import require_positive
from lmmath.attention import entropy, log_softmax
from lmmath.experiments.held_out import read_stories, true_probabilities
from lmmath.fable.tokens import TokenReader


class BestTemperature(NamedTuple):
    """The temperature at which a model is nearest to the truth.

    Attributes
    ----------
    temperature : float
        Dimensionless.
    divergence : float
        What is left there of the mean divergence, in nats per token.
    """

    temperature: float
    divergence: float


def divergence_by_temperature(params, config, tokenizer, words, temperatures):
    r"""Measure how far a model is from the truth at each of several temperatures.

    .. math::

        D(T) = \frac{1}{n} \sum_{i=1}^{n} D_{\mathrm{KL}}\big(p_i \parallel
               \operatorname{softmax}(x_i / T)\big)

    with :math:`p_i` the true distribution of token :math:`i` and :math:`x_i` the model's
    logits. At :math:`T = 1` it is the expectation, given what stands before each token, of the
    difference that ``story_loss`` measures.

    Parameters
    ----------
    params, config, tokenizer, words
        As in ``read_stories``.
    temperatures : sequence of float, length n_temperatures
        Dimensionless, above 0.

    Returns
    -------
    numpy.ndarray, shape (n_temperatures,)
        In nats per token.

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        If a temperature is not a finite number above 0, as in ``read_stories``, or if Fable
        cannot produce ``words``.

    Examples
    --------
    A model of zeros stays as it is, whatever the temperature:

    >>> from lmmath.fable import sample
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=40, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> words = sample(100, np.random.default_rng(0))
    >>> cool, hot = divergence_by_temperature(
    ...     params, config, BPETokenizer([]), words, temperatures=[0.5, 2.0]
    ... )
    >>> bool(np.isclose(cool, hot))
    True
    """
    temperatures = list(temperatures)
    for i, temperature in enumerate(temperatures):
        require_positive(**{f"temperatures[{i}]": temperature})
    pairs = _pairs(params, config, tokenizer, words)
    return np.asarray([_mean_divergence(pairs, T) for T in temperatures])


def best_temperature(params, config, tokenizer, words, lowest=0.1, highest=10.0):
    r"""Find the temperature at which a model diverges least from the truth.

    .. math:: T^* = \operatorname*{arg\,min}_T D(T)

    As a function of :math:`1/T` the divergence is convex, so there is one minimum: where the
    true tokens and those drawn from the model have the same mean logit.

    Parameters
    ----------
    params, config, tokenizer, words
        As in ``read_stories``.
    lowest, highest : float
        Where to search.

    Returns
    -------
    BestTemperature

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        If ``lowest`` and ``highest`` are not increasing numbers above 0, as in
        ``read_stories``, or if Fable cannot produce ``words``.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks",
    section 4.2, where it is found from samples.

    Examples
    --------
    A model that never expects the same as the truth, but has a temperature that is best:

    >>> from lmmath.fable import sample
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, init_gpt
    >>> rng = np.random.default_rng(0)
    >>> config = GPTConfig(vocab_size=256, n_positions=40, d_model=4, n_layers=1, n_heads=1)
    >>> model = init_gpt(config, rng), config, BPETokenizer([])
    >>> words = sample(100, rng)
    >>> best = best_temperature(*model, words)
    >>> bool(np.all(divergence_by_temperature(*model, words, [0.5, 1, 2]) >= best.divergence))
    True
    """
    require_positive(lowest=lowest, highest=highest)
    if lowest >= highest:
        raise ValueError(f"lowest must be below highest, {highest}, got {lowest}")
    # Here and not above: SciPy takes long to load, and this function alone needs it.
    from scipy.optimize import minimize_scalar

    pairs = _pairs(params, config, tokenizer, words)
    found = minimize_scalar(
        lambda log_t: _mean_divergence(pairs, exp(log_t)),
        bounds=(log(lowest), log(highest)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return BestTemperature(exp(found.x), float(found.fun))


def divergence_at(temperature, truth, log_probabilities):
    r"""Measure how far tempered predictions are from the truth, each by itself.

    .. math::

        D_{\mathrm{KL}}\big(p \parallel \operatorname{softmax}(x / T)\big)
        = -H(p) - \sum_i p_i \log \operatorname{softmax}(x / T)_i

    It is the logarithm that is computed: a token that the model finds very improbable costs
    much, and not more than it should, as a probability rounded to zero would.

    Parameters
    ----------
    temperature : float
        :math:`T`, above 0.
    truth : numpy.ndarray, shape (..., vocab_size)
        :math:`p`.
    log_probabilities : numpy.ndarray, shape (..., vocab_size)
        :math:`x`: the model's, at temperature 1. Its logits would do as well, as they differ
        by a constant.

    Returns
    -------
    numpy.ndarray, shape (...)
        In nats.

    Examples
    --------
    >>> truth = np.asarray([0.2, 0.8])
    >>> too_sure = np.log([1 / 17, 16 / 17])  # odds of 16, where 4 is true
    >>> [divergence_at(T, truth, too_sure).round(4) for T in (1.0, 2.0)]
    [np.float64(0.1147), np.float64(0.0)]
    """
    log_tempered = log_softmax(log_probabilities / temperature)
    return np.sum(-truth * log_tempered, axis=-1) - entropy(truth)


def _pairs(params, config, tokenizer, words):
    """Read once; each temperature then costs no more than a softmax."""
    reader = TokenReader(tokenizer)
    return [
        (true_probabilities(reading.tokens, reader), reading.log_probabilities)
        for reading in read_stories(params, config, tokenizer, words)
    ]


def _mean_divergence(pairs, temperature):
    values = [divergence_at(temperature, *pair) for pair in pairs]
    return float(np.mean(np.concatenate(values)))
