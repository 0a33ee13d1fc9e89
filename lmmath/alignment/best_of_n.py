r"""Best of n: draw several answers, keep the one with the highest reward. No training at all."""

from math import log

from array_api_compat import array_namespace

from lmmath._arrays import in_float32
from lmmath._checks import require_floating, require_positive_integer


@in_float32("probabilities", "rewards")
def best_of_n(probabilities, rewards, n):
    r"""Give the exact probability of each answer to be the best of ``n`` that are drawn.

    .. math:: \pi_n(x) = \pi(x) \sum_{k=0}^{n-1} F(x)^{k}\, F^{-}(x)^{n-1-k}
                       = \pi(x)\, \frac{F(x)^n - F^{-}(x)^n}{F(x) - F^{-}(x)}

    with :math:`F(x)` the probability of a reward of at most :math:`r(x)`, and :math:`F^{-}(x)`
    of one below it. Of equally good answers the one drawn first is kept. The sum is computed:
    nothing cancels in it.

    Parameters
    ----------
    probabilities : array, floating-point, shape (..., n_answers)
        :math:`\pi`. Each row sums to one.
    rewards : array, floating-point, shape (..., n_answers)
        :math:`r`. Only their order matters.
    n : int
        How many answers are drawn, independently.

    Returns
    -------
    array, shape (..., n_answers)
        :math:`\pi_n`. Each row sums to one.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``n`` is not an integer of at least 1.

    References
    ----------
    Beirami et al. (2024), "Theoretical guarantees on the best-of-n alignment policy", lemma 1.

    Examples
    --------
    >>> import numpy as np
    >>> best_of_n(np.asarray([0.5, 0.5]), np.asarray([0.0, 1.0]), n=3)  # 1/8 are all the worse
    array([0.125, 0.875])
    """
    require_floating(probabilities=probabilities, rewards=rewards)
    require_positive_integer(n=n)
    xp = array_namespace(probabilities, rewards)
    one, other = rewards[..., :, None], rewards[..., None, :]
    # Each draw once more for each answer: those at most as good, and those worse.
    draws = probabilities[..., None, :]
    nothing = xp.zeros_like(draws)
    at_most = xp.sum(xp.where(other <= one, draws, nothing), axis=-1)
    below = xp.sum(xp.where(other < one, draws, nothing), axis=-1)
    total, power = xp.ones_like(at_most), xp.ones_like(at_most)
    for _ in range(n - 1):
        power = power * below
        total = total * at_most + power
    return probabilities * total


def best_of_n_kl_bound(n):
    r"""Bound how far best of ``n`` can be from what it draws from.

    .. math:: D_{\mathrm{KL}}(\pi_n \parallel \pi) \le \log n - \frac{n - 1}{n}

    It is reached where no two answers are equally good and none has a probability that counts,
    and is far too high where a few answers have it all: the true divergence is never above
    :math:`-\log` of the probability of the best.

    Parameters
    ----------
    n : int
        How many answers are drawn.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError
        If ``n`` is not an integer of at least 1.

    References
    ----------
    Beirami et al. (2024), "Theoretical guarantees on the best-of-n alignment policy",
    theorem 1.

    Examples
    --------
    >>> round(best_of_n_kl_bound(4), 4)
    0.6363
    """
    require_positive_integer(n=n)
    return log(n) - (n - 1) / n
