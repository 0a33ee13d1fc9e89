r"""Sampling: from scores for every token to one token, and from a model to a text.

``logits`` end in the axis ``vocab_size``: one score for each token, any real number, or
:math:`-\infty` for a token that cannot come. Every axis before it is a batch axis, and each
row must hold at least one finite score. A filter replaces scores by :math:`-\infty`:
probabilities are always computed over the whole vocabulary, and only what is drawn is cut.
"""

from itertools import islice
from math import inf, log, prod
from numbers import Real

import numpy as np
from array_api_compat import array_namespace

from lmmath._arrays import at_least_float32, in_float32, to_library_of
from lmmath._checks import (
    require_axis,
    require_count,
    require_floating,
    require_from_0_to,
    require_generator,
    require_ids,
    require_positive,
    require_positive_integer,
)
from lmmath.attention import softmax
from lmmath.language_models import architecture, lens, residual
from lmmath.transformer._checks import require_params


def temperature_softmax(logits, temperature=1.0):
    r"""Turn logits into probabilities, more even at a high temperature, less at a low one.

    .. math:: P_i = \frac{e^{x_i / T}}{\sum_j e^{x_j / T}}
                  = \frac{e^{(x_i - m) / T}}{\sum_j e^{(x_j - m) / T}},
              \qquad m = \max_j x_j

    The second form is the one computed: its exponents are 0 or less at any temperature.

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
        :math:`x`, one score for each token, or :math:`-\infty` for probability zero.
    temperature : float
        :math:`T`, dimensionless. 1 leaves the model's probabilities; towards 0 the largest
        takes everything; towards infinity all become equal.

    Returns
    -------
    array, shape (..., vocab_size)
        :math:`P`, with the dtype of ``logits``. Each row sums to one.

    Raises
    ------
    TypeError
        If ``logits`` is not a floating-point array.
    ValueError
        If ``temperature`` is not a finite number above 0, or a row of ``logits`` has no
        finite largest entry.

    References
    ----------
    Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network",
    equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> temperature_softmax(np.log([1.0, 4.0]))
    array([0.2, 0.8])
    >>> temperature_softmax(np.log([1.0, 4.0]), temperature=2.0)  # odds of 4 become 2
    array([0.33333333, 0.66666667])
    """
    require_positive(temperature=temperature)
    _require_logits(logits)
    xp = array_namespace(logits)
    return xp.astype(softmax(_cool(logits, temperature)), logits.dtype)


def top_k_filter(logits, k):
    r"""Leave out all but the ``k`` most probable tokens.

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
    k : int
        How many tokens to keep in each row. Of equally probable ones, those with the lower
        ids are kept, so that it is exactly ``k``; all if there are no more than ``k``.

    Returns
    -------
    array, shape (..., vocab_size)
        The logits, with :math:`-\infty` for the tokens left out.

    Raises
    ------
    TypeError
        If ``logits`` is not a floating-point array.
    ValueError
        If ``k`` is not an integer of at least 1, or a row of ``logits`` has no finite
        largest entry.

    References
    ----------
    Fan, Lewis and Dauphin (2018), "Hierarchical neural story generation".

    Examples
    --------
    >>> import numpy as np
    >>> top_k_filter(np.asarray([1.0, 3.0, 2.0, 2.0]), k=2)
    array([-inf,   3.,   2., -inf])
    """
    require_positive_integer(k=k)
    _require_logits(logits)
    _, ranks = _order_and_ranks(logits)
    return _keep(logits, ranks < min(int(k), logits.shape[-1]))


def top_p_filter(logits, p):
    r"""Keep the nucleus: the fewest tokens that together have probability ``p`` or more.

    .. math::

        \text{keep } i \iff \sum_{j \text{ before } i} P_j < p,
        \qquad P = \operatorname{softmax}(x)

    where the tokens stand in order of probability, the most probable first and equally
    probable ones by their ids. So the first is always kept.

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
        :math:`x`.
    p : float
        The least probability to keep, above 0 and at most 1. The sum is one of float64. All
        tokens are kept at 1, whatever rounding makes of it.

    Returns
    -------
    array, shape (..., vocab_size)
        The logits, with :math:`-\infty` for the tokens left out.

    Raises
    ------
    TypeError
        If ``logits`` is not a floating-point array.
    ValueError
        If ``p`` is not a number above 0 and at most 1, or a row of ``logits`` has no finite
        largest entry.

    References
    ----------
    Holtzman et al. (2020), "The curious case of neural text degeneration", section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> np.exp(top_p_filter(np.log([0.1, 0.25, 0.6, 0.05]), p=0.8))
    array([0.  , 0.25, 0.6 , 0.  ])
    """
    _require_fraction_above_zero(p=p)
    _require_logits(logits)
    xp = array_namespace(logits)
    order, ranks = _order_and_ranks(logits)
    # The tail is long, and each of its tokens too improbable for a float32 sum near 1.
    weights = softmax(xp.astype(logits, xp.float64))
    sorted_weights = xp.take_along_axis(weights, order, axis=-1)
    total = xp.cumulative_sum(sorted_weights, axis=-1)
    before = xp.concat([xp.zeros_like(total[..., :1]), total[..., :-1]], axis=-1)
    enough = inf if p == 1 else float(p)
    return _keep(logits, xp.take_along_axis(before, ranks, axis=-1) < enough)


def min_p_filter(logits, min_p):
    r"""Keep the tokens that are not too improbable beside the most probable one.

    .. math:: \text{keep } i \iff P_i \ge p_{\min} \max_j P_j
                             \iff x_i - \max_j x_j \ge \log p_{\min}

    The second form is the one computed; it needs no probabilities.

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
        :math:`x`.
    min_p : float
        :math:`p_{\min}`, from 0 (keep all) to 1 (keep the most probable token, and those
        equally probable).

    Returns
    -------
    array, shape (..., vocab_size)
        The logits, with :math:`-\infty` for the tokens left out.

    Raises
    ------
    TypeError
        If ``logits`` is not a floating-point array.
    ValueError
        If ``min_p`` is not a number from 0 to 1, or a row of ``logits`` has no finite
        largest entry.

    References
    ----------
    Nguyen et al. (2024), "Turning up the heat: min-p sampling for creative and coherent
    LLM outputs".

    Examples
    --------
    >>> import numpy as np
    >>> np.exp(min_p_filter(np.log([0.1, 0.25, 0.6, 0.05]), min_p=0.4))  # 0.24 or more
    array([0.  , 0.25, 0.6 , 0.  ])
    """
    require_from_0_to(1, min_p=min_p)
    _require_logits(logits)
    least = log(min_p) if min_p > 0 else -inf
    return _keep(logits, _below_the_largest(logits) >= least)


def mass_left_out(logits, filtered):
    r"""Say how probable the tokens are that a filter left out.

    .. math:: \sum_{i \text{ left out}} P_i, \qquad P = \operatorname{softmax}(x)

    What is left out is added up itself, so that a small mass is not lost in ``1 - kept``.

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
        :math:`x`, before the filter.
    filtered : array, floating-point, shape (..., vocab_size)
        What the filter returned: :math:`-\infty` for the tokens left out.

    Returns
    -------
    array, shape (...)
        Probabilities from 0 to below 1, with the dtype of ``logits``.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes differ, or a row of ``logits`` has no finite largest entry.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([0.125, 0.25, 0.5, 0.125])
    >>> mass_left_out(logits, top_k_filter(logits, k=2)).round(4)
    np.float64(0.25)
    """
    _require_logits(logits)
    _require_same_shape(logits, filtered)
    xp = array_namespace(logits, filtered)
    weights = softmax(at_least_float32(logits))
    left_out = xp.where(filtered == -inf, weights, xp.zeros_like(weights))
    return xp.astype(xp.sum(left_out, axis=-1), logits.dtype)


def sample(logits, rng, temperature=1.0, top_k=None, top_p=None, min_p=None):
    r"""Draw one token for each row of logits.

    .. math:: i = \min \Big\{ j : \sum_{l \le j} P_l > u \Big\},
              \qquad u \text{ uniform on } [0, 1)

    :math:`P` is the softmax of what is left after the temperature and then the filters, in
    the order ``top_k``, ``top_p``, ``min_p``; each sees the probabilities that the one before
    it left, which again sum to one. A token of probability zero is never drawn.

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
    rng : numpy.random.Generator
        Gives one number for each row, whatever the other arguments are. The same seed draws
        the same tokens on every array library.
    temperature : float
        As in ``temperature_softmax``.
    top_k : int, optional
        As in ``top_k_filter``; 1 is greedy decoding: always the most probable token.
    top_p : float, optional
        As in ``top_p_filter``.
    min_p : float, optional
        As in ``min_p_filter``.

    Returns
    -------
    array of int64, shape (...)
        Token ids, in the kind of ``logits``.

    Raises
    ------
    TypeError
        If ``logits`` is not a floating-point array, or ``rng`` not a generator.
    ValueError
        If a number is out of its range, or a row of ``logits`` has no finite largest entry.

    References
    ----------
    Devroye (1986), "Non-uniform random variate generation", section III.2.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[0.5, 0.3, 0.2]] * 8)
    >>> sample(logits, np.random.default_rng(0))
    array([1, 0, 0, 0, 2, 2, 1, 1])
    >>> sample(logits, np.random.default_rng(0), top_k=1)
    array([0, 0, 0, 0, 0, 0, 0, 0])
    """
    require_generator(rng)
    _require_choices(temperature, top_k, top_p, min_p)
    _require_logits(logits)
    xp = array_namespace(logits)
    # Many tokens are too improbable for float32 to add them to a sum near 1.
    logits = _cool(xp.astype(logits, xp.float64), temperature)
    if top_k is not None:
        logits = top_k_filter(logits, top_k)
    if top_p is not None:
        logits = top_p_filter(logits, top_p)
    if min_p is not None:
        logits = min_p_filter(logits, min_p)
    uniform = to_library_of(logits, np.asarray(rng.random(logits.shape[:-1])))
    return _invert(softmax(logits), uniform)


def generate(
    params,
    tokens,
    config,
    n_tokens,
    rng,
    temperature=1.0,
    top_k=None,
    top_p=None,
    min_p=None,
    use_cache=True,
):
    r"""Continue a text: draw a token, append it, and ask the model again.

    .. math:: x_{n+1} \sim P(\,\cdot \mid x_1, \dots, x_n)

    Parameters
    ----------
    params : dict of arrays
        The model's parameters, as ``init_gpt``, ``load_gpt2`` or ``load_llama`` return them.
    tokens : array of integers, shape (..., n)
        The prompt, at least one token. May be a NumPy array whatever ``params`` holds.
    config : GPTConfig, LlamaConfig or RecurrentConfig
        The model's sizes, which say what computes it.
    n_tokens : int
        How many tokens to add, 0 or more.
    rng : numpy.random.Generator
        Gives one number for each token and row.
    temperature, top_k, top_p, min_p
        As in ``sample``.
    use_cache : bool
        Whether to keep the keys and values, or the state, of the tokens already read. The
        tokens drawn are the same; without the cache each takes a pass over the whole text.

    Returns
    -------
    array of int64, shape (..., n + n_tokens)
        The prompt and what follows it, in the kind of ``params``. Once a text is longer than
        ``config.n_positions``, a Transformer sees the last ``n_positions`` tokens of it.
        No gradient flows through a draw: within ``torch.no_grad()``, torch remembers less.

    Raises
    ------
    TypeError
        If ``tokens`` is not an array of integers, or ``rng`` not a generator.
    ValueError
        If ``tokens`` is empty or holds an id outside the vocabulary, or a number is out of
        its range.

    References
    ----------
    Pope et al. (2023), "Efficiently scaling Transformer inference", on the cache.

    Examples
    --------
    >>> import numpy as np
    >>> from lmmath.transformer import GPTConfig, init_gpt
    >>> config = GPTConfig(vocab_size=5, n_positions=8, d_model=4, n_layers=1, n_heads=2)
    >>> rng = np.random.default_rng(0)
    >>> generate(init_gpt(config, rng), np.asarray([3, 1]), config, 4, rng).shape
    (6,)
    """
    require_count(n_tokens=n_tokens)
    prompt = _prompt(params, tokens, config)
    drawn = stream(
        params, prompt, config, rng, temperature, top_k, top_p, min_p, use_cache
    )
    new = [token[..., None] for token in islice(drawn, int(n_tokens))]
    return array_namespace(prompt).concat([prompt, *new], axis=-1)


def stream(
    params,
    tokens,
    config,
    rng,
    temperature=1.0,
    top_k=None,
    top_p=None,
    min_p=None,
    use_cache=True,
):
    """Continue a text without end, one token at a time: ``generate`` as an iterator.

    Parameters
    ----------
    params, tokens, config, rng, temperature, top_k, top_p, min_p, use_cache
        As in ``generate``.

    Yields
    ------
    array of int64, shape (...)
        The next token of each row. It is computed when it is asked for.

    Raises
    ------
    TypeError, ValueError
        As ``generate``, at the call and not only at the first token.

    Examples
    --------
    >>> import numpy as np
    >>> from lmmath.transformer import GPTConfig, init_gpt
    >>> config = GPTConfig(vocab_size=5, n_positions=8, d_model=4, n_layers=1, n_heads=2)
    >>> rng = np.random.default_rng(0)
    >>> text = stream(init_gpt(config, rng), np.asarray([3, 1]), config, rng)
    >>> 0 <= next(text) < 5
    np.True_
    """
    require_generator(rng)
    _require_choices(temperature, top_k, top_p, min_p)
    prompt = _prompt(params, tokens, config)
    choices = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
    }
    return _stream(params, prompt, config, rng, choices, use_cache)


@in_float32("p", "q")
def kl_divergence(p, q, axis=-1):
    r"""Measure what it costs to believe ``q`` when ``p`` is true.

    .. math:: D_{\mathrm{KL}}(p \parallel q) = \sum_i p_i \log \frac{p_i}{q_i},
              \qquad 0 \log \frac{0}{q} = 0, \quad p \log \frac{p}{0} = \infty

    Parameters
    ----------
    p : array, floating-point, any shape
        The true probabilities: 0 or more, with sum one along ``axis``.
    q : array, floating-point, a shape that broadcasts with that of ``p``
        The believed probabilities.
    axis : int
        The axis that is summed, of the two arrays broadcast together.

    Returns
    -------
    array
        Divergence in nats: 0 when ``q`` is ``p``, else above 0; infinite when ``q`` rules
        out what ``p`` allows. Divide by :math:`\log 2` for bits.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If a probability is negative or NaN, or the shapes do not broadcast.

    References
    ----------
    Kullback and Leibler (1951), "On information and sufficiency".

    Examples
    --------
    >>> import numpy as np
    >>> p, q = np.asarray([0.5, 0.5, 0.0]), np.asarray([0.25, 0.25, 0.5])
    >>> kl_divergence(p, q).round(4)  # log 2
    np.float64(0.6931)
    >>> kl_divergence(q, p)
    np.float64(inf)
    """
    _require_probabilities(p=p, q=q)
    _require_common_axis(p, q, axis)
    xp = array_namespace(p, q)
    # The quotient p/q might overflow; the logarithms' difference cannot.
    log_ratio = _log_or_zero(p) - _log_or_zero(q)
    terms = xp.where(q > 0, p * log_ratio, xp.full_like(log_ratio, inf))
    return xp.sum(xp.where(p > 0, terms, xp.zeros_like(terms)), axis=axis)


def _below_the_largest(logits):
    """Shift each row so that its largest logit is 0."""
    xp = array_namespace(logits)
    # Two float16 numbers may differ by more than float16 holds.
    logits = at_least_float32(logits)
    return logits - xp.max(logits, axis=-1, keepdims=True)


def _cool(logits, temperature):
    """Shift each row so that its largest logit is 0, and divide by the temperature."""
    xp = array_namespace(logits)
    shifted = _below_the_largest(logits)
    limits = xp.finfo(shifted.dtype)
    temperature = max(float(temperature), float(limits.smallest_normal))
    temperature = min(temperature, float(limits.max))
    # exp(-1000) is zero in every dtype, and a quotient beyond it might overflow.
    negligible = shifted / 1000 < -temperature
    return xp.where(negligible, xp.full_like(shifted, -inf), shifted) / temperature


def _order_and_ranks(logits):
    """Say which id comes first, second, ... by probability, and at which place each id is.

    [1, 3, 2] -> order [1, 2, 0], ranks [2, 0, 1]
    """
    xp = array_namespace(logits)
    order = xp.argsort(-logits, axis=-1, stable=True)
    return order, xp.argsort(order, axis=-1)


def _keep(logits, kept):
    xp = array_namespace(logits)
    return xp.where(kept, logits, xp.full_like(logits, -inf))


def _invert(probabilities, uniform):
    """Find the first possible token at which the cumulative sum exceeds ``uniform``."""
    xp = array_namespace(probabilities)
    total = xp.cumulative_sum(probabilities, axis=-1)
    # An impossible token gets 0, which exceeds no number drawn.
    total = xp.where(probabilities > 0, total, xp.zeros_like(total))
    # Rounding leaves the last sum near 1, not at 1: measured by the largest sum, every
    # number below 1 is exceeded by some token's.
    threshold = uniform[..., None] * xp.max(total, axis=-1, keepdims=True)
    return xp.argmax(xp.astype(total > threshold, xp.int64), axis=-1)


def _stream(params, text, config, rng, choices, use_cache):
    xp = array_namespace(text)
    most = config.n_positions if architecture(config).is_bounded else inf
    window, cache = _last(most, text), None
    while True:
        unread = window if cache is None else _last(1, window)
        x, cache = residual(config, params, unread, cache)
        token = sample(lens(config, params, x[..., -1, :]), rng, **choices)
        yield token
        text = xp.concat([window, token[..., None]], axis=-1)
        window = _last(most, text)
        # When the window moves on, so do all positions: keys and values are no longer theirs.
        if not use_cache or text.shape[-1] > most:
            cache = None


def _last(n, tokens):
    # The standard has no slice that begins before the first entry.
    return tokens[..., max(0, tokens.shape[-1] - n) :]


def _prompt(params, tokens, config):
    """Check the prompt and bring it to the parameters' kind and device."""
    require_params(params, architecture(config).shapes(config))
    require_ids(config.vocab_size, tokens=tokens)
    if tokens.ndim == 0 or tokens.shape[-1] == 0:
        raise ValueError(
            f"tokens must hold at least one token, got shape {tuple(tokens.shape)}"
        )
    like = next(iter(params.values()))
    return to_library_of(like, tokens, array_namespace(like).int64)


def _log_or_zero(x):
    xp = array_namespace(x)
    return xp.log(xp.where(x > 0, x, xp.ones_like(x)))


def _require_logits(logits):
    require_floating(logits=logits)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(
            "logits must have shape (..., vocab_size) with at least one token, "
            f"got shape {tuple(logits.shape)}"
        )
    xp = array_namespace(logits)
    # NaN is the largest of any row that holds it.
    has_largest = xp.isfinite(xp.max(logits, axis=-1))
    if not bool(xp.all(has_largest)):
        n_wrong = int(xp.sum(xp.astype(~has_largest, xp.int64)))
        raise ValueError(
            "logits must have a finite largest entry and no NaN in each row, "
            f"got {n_wrong} of {prod(has_largest.shape)} rows without"
        )


def _require_same_shape(logits, filtered):
    require_floating(filtered=filtered)
    if logits.shape != filtered.shape:
        raise ValueError(
            "logits and filtered must have the same shape, "
            f"got {tuple(logits.shape)} and {tuple(filtered.shape)}"
        )


def _require_choices(temperature, top_k, top_p, min_p):
    require_positive(temperature=temperature)
    if top_k is not None:
        require_positive_integer(top_k=top_k)
    if top_p is not None:
        _require_fraction_above_zero(top_p=top_p)
    if min_p is not None:
        require_from_0_to(1, min_p=min_p)


def _require_fraction_above_zero(**numbers):
    for name, number in numbers.items():
        if not isinstance(number, Real) or not 0 < number <= 1:
            raise ValueError(
                f"{name} must be a number above 0 and at most 1, got {number!r}"
            )


def _require_probabilities(**arrays):
    require_floating(**arrays)
    for name, array in arrays.items():
        if not bool(array_namespace(array).all(array >= 0)):
            raise ValueError(
                f"{name} must hold probabilities, but not all of it is 0 or more"
            )


def _require_common_axis(p, q, axis):
    try:
        ndim = len(np.broadcast_shapes(p.shape, q.shape))
    except ValueError:
        raise ValueError(
            "p and q must have shapes that broadcast, "
            f"got {tuple(p.shape)} and {tuple(q.shape)}"
        ) from None
    require_axis(ndim, "p and q", axis)
