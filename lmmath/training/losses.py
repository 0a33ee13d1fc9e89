"""Losses: how surprised a model is at what came.

Logits end in an axis of ``vocab_size`` scores; targets are the token ids that were right,
one for each position. Losses are in nats.
"""

from math import prod

from array_api_compat import array_namespace, device, is_array_api_obj

from lmmath import torch_kernels
from lmmath._arrays import (
    at_least_float32,
    is_of_torch,
    to_library_of,
    without_gradient,
)
from lmmath._checks import (
    require_floating,
    require_ids,
    require_integers,
)
from lmmath.attention import log_softmax, softmax


def token_losses(logits, targets):
    r"""Measure at each position how surprising the right token was.

    .. math:: \ell_t = -\log \hat{y}_{t, c_t}, \qquad \hat{y}_t = \operatorname{softmax}(x_t)

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
        Scores :math:`x_t`, dimensionless. :math:`-\infty` rules a token out.
    targets : integer array, shape (...)
        :math:`c_t`, the id of the right token, from 0 to ``vocab_size - 1``.
        May be a NumPy array whatever ``logits`` is.

    Returns
    -------
    array, shape (...)
        Losses in nats, with the dtype of ``logits``: 0 for a certainty that was right,
        infinity for a token ruled out. Computed in float32 at least; float16 holds results
        up to 65504 nats, and a larger one becomes infinity.

    Raises
    ------
    TypeError
        If ``logits`` is not floating-point, or ``targets`` is not an array of integers.
    ValueError
        If the shapes do not fit together, an array is empty, or an id is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    >>> token_losses(logits, np.asarray([0, 1])).round(4)  # one bit, two bits
    array([0.6931, 1.3863])
    """
    targets = _targets_like(logits, targets)
    xp = array_namespace(logits)
    if is_of_torch(logits):
        losses = torch_kernels.token_losses(at_least_float32(logits), targets)
    else:
        log_probabilities = log_softmax(at_least_float32(logits))
        of_targets = xp.take_along_axis(log_probabilities, targets[..., None], axis=-1)
        losses = -of_targets[..., 0]
    return xp.astype(losses, logits.dtype, copy=False)


def cross_entropy(logits, targets, weights=None):
    r"""Average the surprise over all positions: the loss that a language model minimizes.

    .. math::

        \mathcal{L} = -\frac{1}{T} \sum_{t=1}^{T} \sum_{i=1}^{|V|} y_{t,i} \log \hat{y}_{t,i}
                    = -\frac{1}{T} \sum_{t=1}^{T} \log \hat{y}_{t, c_t}

    :math:`y_t` is 1 at the right token :math:`c_t` and 0 elsewhere, so one term of each inner
    sum is left. Where not all positions count alike, the mean is
    :math:`-\sum_t w_t \log \hat{y}_{t, c_t} / \sum_t w_t`. No prediction gets below the entropy
    of the targets. The exponential of the loss is the perplexity: :math:`n` for an even guess
    among :math:`n` tokens.

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
        Scores, dimensionless; :math:`\hat{y}` is their softmax.
    targets : integer array, shape (...)
        :math:`c_t`, the id of the right token, from 0 to ``vocab_size - 1``.
        May be a NumPy array whatever ``logits`` is.
    weights : boolean or floating-point array, shape (...), optional
        :math:`w_t`, how much each position counts: True or False, or 0 or more; all alike if
        not given. Where it is 0, as at padding, a target may be any integer, such as -100.
        May be a NumPy array whatever ``logits`` is.

    Returns
    -------
    array, shape ()
        The mean loss in nats per token, with the dtype of ``logits``, averaged in float32
        at least.

    Raises
    ------
    TypeError
        If ``logits`` is not floating-point, ``targets`` is not an array of integers, or
        ``weights`` are neither boolean nor floating-point.
    ValueError
        If the shapes do not fit together, an array is empty, an id is out of range where it
        counts, a weight is not finite and 0 or more, or no position counts.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication".
    Jelinek, Mercer, Bahl and Baker (1977), "Perplexity - a measure of the difficulty of
    speech recognition tasks".

    Examples
    --------
    >>> import numpy as np
    >>> loss = cross_entropy(np.zeros((3, 10)), np.asarray([7, 0, 2]))
    >>> loss.round(4), np.exp(loss).round(4)
    (np.float64(2.3026), np.float64(10.0))
    >>> targets = np.asarray([7, -100, -100])  # a text of one token, and padding
    >>> cross_entropy(np.zeros((3, 10)), targets, weights=targets >= 0).round(4)
    np.float64(2.3026)
    """
    require_floating(logits=logits)
    xp = array_namespace(logits)
    targets, weights = _what_counts(logits, targets, weights)
    losses = token_losses(at_least_float32(logits), targets)
    return xp.astype(_mean(losses, weights), logits.dtype, copy=False)


def cross_entropy_gradient(logits, targets, weights=None):
    r"""Differentiate the cross-entropy: what was predicted minus what came.

    .. math::

        \frac{\partial \mathcal{L}}{\partial x_{t,i}}
        = \sum_j \frac{\partial \mathcal{L}}{\partial \hat{y}_{t,j}}
                 \frac{\partial \hat{y}_{t,j}}{\partial x_{t,i}}
        = \frac{\hat{y}_{t,i} - y_{t,i}}{T}

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
        Scores :math:`x_t`, dimensionless; :math:`\hat{y}` is their softmax.
    targets : integer array, shape (...)
        The id of the right token, where :math:`y_t` is 1, from 0 to ``vocab_size - 1``.
        May be a NumPy array whatever ``logits`` is.
    weights : boolean or floating-point array, shape (...), optional
        As in ``cross_entropy``: position :math:`t` then has :math:`w_t / \sum_s w_s` in the
        place of :math:`1 / T`.

    Returns
    -------
    array, shape (..., vocab_size)
        The gradient of ``cross_entropy(logits, targets, weights)`` with respect to
        ``logits``, in nats per unit of logit. It sums to zero at each position.

    Raises
    ------
    TypeError
        If ``logits`` is not floating-point, ``targets`` is not an array of integers, or
        ``weights`` are neither boolean nor floating-point.
    ValueError
        If the shapes do not fit together, an array is empty, an id is out of range where it
        counts, a weight is not finite and 0 or more, or no position counts.

    References
    ----------
    Bishop (2006), "Pattern recognition and machine learning", section 4.3.4.

    Examples
    --------
    >>> import numpy as np
    >>> cross_entropy_gradient(np.log([[0.5, 0.25, 0.25]]), np.asarray([1]))
    array([[ 0.5 , -0.75,  0.25]])
    """
    require_floating(logits=logits)
    targets, weights = _what_counts(logits, targets, weights)
    targets = _targets_like(logits, targets)
    xp = array_namespace(logits)
    predicted = softmax(at_least_float32(logits))
    ids = xp.arange(logits.shape[-1], dtype=xp.int64, device=device(logits))
    came = xp.astype(ids == targets[..., None], predicted.dtype)
    gradient = _shared(predicted - came, weights)
    return xp.astype(gradient, logits.dtype, copy=False)


def _what_counts(logits, targets, weights):
    """Give weights in the library of the logits, and targets that are ids where none counts."""
    if weights is None:
        return targets, None
    require_integers(targets=targets)
    weights = _weights_like(logits, weights, targets.shape)
    targets = to_library_of(weights, targets, array_namespace(weights).int64)
    counted = weights > 0
    xp = array_namespace(targets, weights)
    return xp.where(counted, targets, xp.zeros_like(targets)), weights


def _weights_like(logits, weights, shape):
    xp = array_namespace(weights) if is_array_api_obj(weights) else None
    if xp is None or not xp.isdtype(weights.dtype, ("bool", "real floating")):
        came = type(weights).__name__ if xp is None else f"dtype {weights.dtype}"
        raise TypeError(
            f"weights must be an array of booleans or floating-point numbers, got {came}"
        )
    if tuple(weights.shape) != tuple(shape):
        raise ValueError(
            f"weights must have the shape of targets, {tuple(shape)}, "
            f"got {tuple(weights.shape)}"
        )
    dtype = at_least_float32(logits).dtype
    weights = without_gradient(to_library_of(logits, weights, dtype))
    xp = array_namespace(weights)
    if not xp.all(xp.isfinite(weights) & (weights >= 0)):
        raise ValueError(
            "weights must be finite and 0 or more, but not all of them are"
        )
    if 0 not in weights.shape and not xp.any(weights > 0):
        raise ValueError("weights must let at least one position count, got only zeros")
    return weights


def _mean(losses, weights):
    xp = array_namespace(losses)
    if weights is None:
        return xp.mean(losses)
    # A loss that does not count may be infinite, and zero times infinity is NaN.
    losses = xp.where(weights > 0, losses, xp.zeros_like(losses))
    return xp.sum(weights * losses) / xp.sum(weights)


def _shared(gradient, weights):
    """Give each position its share of the mean."""
    if weights is None:
        return gradient / prod(gradient.shape[:-1])
    xp = array_namespace(gradient)
    shares = (weights / xp.sum(weights))[..., None]
    return xp.where(shares > 0, shares * gradient, xp.zeros_like(gradient))


def _targets_like(logits, targets):
    require_floating(logits=logits)
    if logits.ndim == 0 or 0 in logits.shape:
        raise ValueError(
            "logits must have shape (..., vocab_size) and not be empty, "
            f"got shape {tuple(logits.shape)}"
        )
    require_ids(logits.shape[-1], targets=targets)
    if tuple(targets.shape) != tuple(logits.shape[:-1]):
        raise ValueError(
            "targets must have the shape of logits without its last axis, "
            f"{tuple(logits.shape[:-1])}, got {tuple(targets.shape)}"
        )
    return to_library_of(logits, targets, array_namespace(logits).int64)
