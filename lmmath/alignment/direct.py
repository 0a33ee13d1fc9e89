r"""Direct preference optimization: the reward model is the policy itself.

The best policy for a reward says what the reward was, up to a constant for each prompt:

.. math:: r(x) = \beta \log \frac{\pi^{*}(x)}{\pi_\text{ref}(x)} + \beta \log Z

Preferences depend on differences of rewards alone, and in them the constant is gone.
"""

from lmmath._arrays import in_float32
from lmmath._checks import require_floating, require_positive
from lmmath.alignment.preferences import preference_loss


def implicit_reward(log_probabilities, reference_log_probabilities, beta):
    r"""Say for which reward a policy would be the best, up to a constant.

    .. math:: \hat{r}(x) = \beta \log \frac{\pi(x)}{\pi_\text{ref}(x)}

    Parameters
    ----------
    log_probabilities, reference_log_probabilities : array, floating-point, shapes that broadcast
        :math:`\log \pi(x)` and :math:`\log \pi_\text{ref}(x)` of whole answers, in nats.
    beta : float
        :math:`\beta`, above 0: the price of a nat, in units of reward.

    Returns
    -------
    array
        In units of reward.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``beta`` is not a finite number above 0.

    References
    ----------
    Rafailov et al. (2023), "Direct preference optimization: Your language model is secretly a
    reward model", equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> implicit_reward(np.log([0.5, 0.5]), np.log([0.25, 0.5]), beta=2.0).round(4)  # 2 log 2
    array([1.3863, 0.    ])
    """
    require_floating(
        log_probabilities=log_probabilities,
        reference_log_probabilities=reference_log_probabilities,
    )
    require_positive(beta=beta)
    return beta * (log_probabilities - reference_log_probabilities)


@in_float32("chosen", "rejected", "reference_chosen", "reference_rejected")
def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    r"""Average the surprise at preferences, if the policy's own reward had made them.

    .. math:: \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \log \sigma\left(
              \beta \log \frac{\pi(x_i^{+})}{\pi_\text{ref}(x_i^{+})}
              - \beta \log \frac{\pi(x_i^{-})}{\pi_\text{ref}(x_i^{-})} \right)

    Parameters
    ----------
    chosen, rejected : array, floating-point, shape (...)
        :math:`\log \pi` of the answers that were preferred, and of those beside them, in nats:
        each the sum over an answer's tokens.
    reference_chosen, reference_rejected : array, floating-point, shape (...)
        :math:`\log \pi_\text{ref}` of the same answers.
    beta : float
        :math:`\beta`, above 0: the price of a nat, in units of reward.

    Returns
    -------
    array, shape ()
        In nats: :math:`\log 2` for the reference itself.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``beta`` is not a finite number above 0.

    References
    ----------
    Rafailov et al. (2023), "Direct preference optimization: Your language model is secretly a
    reward model", equation 7.

    Examples
    --------
    >>> import numpy as np
    >>> p, q = np.log([0.6]), np.log([0.2])  # odds of 3 where the reference has even ones
    >>> dpo_loss(p, q, np.log([0.5]), np.log([0.5]), beta=1.0).round(4)  # -log 3/4
    np.float64(0.2877)
    """
    return preference_loss(
        implicit_reward(chosen, reference_chosen, beta),
        implicit_reward(rejected, reference_rejected, beta),
    )
