"""Losses: how surprised a model is at what came.

Logits end in an axis of ``vocab_size`` scores; targets are the token ids that were right,
one for each position. Losses are in nats.
"""

from math import prod

from array_api_compat import array_namespace, device

from lmmath import torch_kernels
from lmmath._arrays import at_least_float32, is_of_torch, to_library_of
from lmmath._checks import (
    require_floating,
    require_ids,
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


def cross_entropy(logits, targets):
    r"""Average the surprise over all positions: the loss that a language model minimizes.

    .. math::

        \mathcal{L} = -\frac{1}{T} \sum_{t=1}^{T} \sum_{i=1}^{|V|} y_{t,i} \log \hat{y}_{t,i}
                    = -\frac{1}{T} \sum_{t=1}^{T} \log \hat{y}_{t, c_t}

    :math:`y_t` is 1 at the right token :math:`c_t` and 0 elsewhere, so one term of each inner
    sum is left. No prediction gets below the entropy of the targets. The exponential of the
    loss is the perplexity: :math:`n` for an even guess among :math:`n` tokens.

    Parameters
    ----------
    logits : array, floating-point, shape (..., vocab_size)
        Scores, dimensionless; :math:`\hat{y}` is their softmax.
    targets : integer array, shape (...)
        :math:`c_t`, the id of the right token, from 0 to ``vocab_size - 1``.
        May be a NumPy array whatever ``logits`` is.

    Returns
    -------
    array, shape ()
        The mean loss in nats per token, with the dtype of ``logits``, averaged in float32
        at least.

    Raises
    ------
    TypeError
        If ``logits`` is not floating-point, or ``targets`` is not an array of integers.
    ValueError
        If the shapes do not fit together, an array is empty, or an id is out of range.

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
    """
    require_floating(logits=logits)
    xp = array_namespace(logits)
    losses = token_losses(at_least_float32(logits), targets)
    return xp.astype(xp.mean(losses), logits.dtype, copy=False)


def cross_entropy_gradient(logits, targets):
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

    Returns
    -------
    array, shape (..., vocab_size)
        The gradient of ``cross_entropy(logits, targets)`` with respect to ``logits``, in
        nats per unit of logit. It sums to zero at each position.

    Raises
    ------
    TypeError
        If ``logits`` is not floating-point, or ``targets`` is not an array of integers.
    ValueError
        If the shapes do not fit together, an array is empty, or an id is out of range.

    References
    ----------
    Bishop (2006), "Pattern recognition and machine learning", section 4.3.4.

    Examples
    --------
    >>> import numpy as np
    >>> cross_entropy_gradient(np.log([[0.5, 0.25, 0.25]]), np.asarray([1]))
    array([[ 0.5 , -0.75,  0.25]])
    """
    targets = _targets_like(logits, targets)
    xp = array_namespace(logits)
    predicted = softmax(at_least_float32(logits))
    ids = xp.arange(logits.shape[-1], dtype=xp.int64, device=device(logits))
    came = xp.astype(ids == targets[..., None], predicted.dtype)
    gradient = (predicted - came) / prod(targets.shape)
    return xp.astype(gradient, logits.dtype, copy=False)


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
