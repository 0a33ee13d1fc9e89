r"""The aim of alignment and its exact solution: more reward, and not too far from where one was.

Policies are probabilities of a finite set of answers. They come as logarithms, in the last axis;
every axis before it is a batch axis, one row for each prompt.
"""

from array_api_compat import array_namespace

from lmmath._arrays import in_float32
from lmmath._checks import require_floating, require_positive
from lmmath.attention import log_softmax


@in_float32("log_policy", "log_reference", "rewards")
def regularized_reward(log_policy, log_reference, rewards, beta):
    r"""Measure a policy by its reward, less a price for each nat it has moved.

    .. math:: J(\pi) = \mathbb{E}_{x \sim \pi}[r(x)]
                       - \beta\, D_{\mathrm{KL}}(\pi \parallel \pi_\text{ref})

    Parameters
    ----------
    log_policy, log_reference : array, floating-point, shape (..., n_answers)
        Logits: their softmax over the last axis are :math:`\pi` and :math:`\pi_\text{ref}`.
        Logarithms of probabilities are logits. :math:`-\infty` is allowed where it stands in
        both.
    rewards : array, floating-point, shape (..., n_answers)
        :math:`r`, dimensionless.
    beta : float
        :math:`\beta`, above 0: the price of a nat, in units of reward.

    Returns
    -------
    array, shape (...)
        In units of reward.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``beta`` is not a finite number above 0.

    References
    ----------
    Stiennon et al. (2020), "Learning to summarize from human feedback", section 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> even, first = np.log([0.5, 0.5]), np.asarray([0.0, -100.0])
    >>> regularized_reward(first, even, np.asarray([1.0, 0.0]), beta=1.0).round(4)  # 1 - log 2
    np.float64(0.3069)
    """
    log_policy, log_reference = _log_policies(log_policy, log_reference, rewards, beta)
    xp = array_namespace(log_policy, log_reference, rewards)
    possible = xp.isfinite(log_policy)
    log_policy = xp.where(possible, log_policy, xp.zeros_like(log_policy))
    ratio = xp.where(possible, log_policy - log_reference, xp.zeros_like(log_policy))
    weights = xp.where(possible, xp.exp(log_policy), xp.zeros_like(log_policy))
    return xp.sum(weights * (rewards - beta * ratio), axis=-1)


@in_float32("log_reference", "rewards")
def optimal_policy(log_reference, rewards, beta):
    r"""Find the policy that is best of all, when a nat costs ``beta``.

    .. math:: \pi^{*}(x) = \frac{\pi_\text{ref}(x)\, e^{r(x) / \beta}}{Z},
              \qquad Z = \sum_x \pi_\text{ref}(x)\, e^{r(x) / \beta}

    for :math:`J(\pi) = \beta \log Z - \beta\, D_{\mathrm{KL}}(\pi \parallel \pi^{*})`, and a
    divergence is 0 where both are the same, and above 0 elsewhere.

    Parameters
    ----------
    log_reference : array, floating-point, shape (..., n_answers)
        Logits of :math:`\pi_\text{ref}`.
    rewards : array, floating-point, shape (..., n_answers)
        :math:`r`, dimensionless.
    beta : float
        :math:`\beta`, above 0: towards 0 the best answer takes everything, towards infinity
        nothing changes.

    Returns
    -------
    array, shape (..., n_answers)
        :math:`\log \pi^{*}`.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``beta`` is not a finite number above 0.

    References
    ----------
    Rafailov et al. (2023), "Direct preference optimization: Your language model is secretly a
    reward model", equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> rewards = 2 * np.log([1.0, 3.0])
    >>> np.exp(optimal_policy(np.log([0.75, 0.25]), rewards, beta=2.0))  # odds of 3 cancel 1:3
    array([0.5, 0.5])
    """
    log_reference, rewards = _reference_and_rewards(log_reference, rewards, beta)
    return log_softmax(log_reference + rewards / beta)


@in_float32("log_reference", "rewards")
def optimal_value(log_reference, rewards, beta):
    r"""Say how much the best policy is worth: the most that reward less price can be.

    .. math:: \max_\pi J(\pi) = \beta \log Z
              = \beta \log \sum_x \pi_\text{ref}(x)\, e^{r(x) / \beta}

    Parameters
    ----------
    log_reference, rewards, beta
        As in ``optimal_policy``.

    Returns
    -------
    array, shape (...)
        In units of reward: from the mean reward of the reference, as :math:`\beta` goes to
        infinity, to the highest reward, as it goes to 0.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``beta`` is not a finite number above 0.

    References
    ----------
    Donsker and Varadhan (1975), "Asymptotic evaluation of certain Markov process expectations
    for large time, I".

    Examples
    --------
    >>> import numpy as np
    >>> rewards = 2 * np.log([1.0, 3.0])
    >>> optimal_value(np.log([0.75, 0.25]), rewards, beta=2.0).round(4)  # 2 log 1.5
    np.float64(0.8109)
    """
    log_reference, rewards = _reference_and_rewards(log_reference, rewards, beta)
    scores = log_softmax(log_reference) + rewards / beta
    xp = array_namespace(scores)
    largest = xp.max(scores, axis=-1, keepdims=True)
    total = xp.sum(xp.exp(scores - largest), axis=-1)
    return beta * (largest[..., 0] + xp.log(total))


def _reference_and_rewards(log_reference, rewards, beta):
    require_floating(log_reference=log_reference, rewards=rewards)
    require_positive(beta=beta)
    return log_reference, rewards


def _log_policies(log_policy, log_reference, rewards, beta):
    require_floating(log_policy=log_policy)
    _reference_and_rewards(log_reference, rewards, beta)
    return log_softmax(log_policy), log_softmax(log_reference)
