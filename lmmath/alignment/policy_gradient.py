r"""Policy gradients: raise the probability of what turned out well, lower that of what did not."""

from array_api_compat import array_namespace

from lmmath._arrays import in_float32, without_gradient
from lmmath._checks import require_below, require_floating
from lmmath.attention import softmax


@in_float32("logits", "rewards")
def policy_gradient(logits, rewards):
    r"""Differentiate the mean reward of a softmax policy, exactly.

    .. math:: \frac{\partial}{\partial x_i} \mathbb{E}_{\pi}[r]
              = \mathbb{E}_{j \sim \pi}\Big[(r_j - b)
                \frac{\partial \log \pi_j}{\partial x_i}\Big]
              = \pi_i \big(r_i - \mathbb{E}_{\pi}[r]\big),
              \qquad \pi = \operatorname{softmax}(x)

    A baseline :math:`b` changes no mean, as :math:`\mathbb{E}[\partial \log \pi] = 0`, but how
    much single draws scatter around it.

    Parameters
    ----------
    logits : array, floating-point, shape (..., n_answers)
        :math:`x`.
    rewards : array, floating-point, shape (..., n_answers)
        :math:`r`.

    Returns
    -------
    array, shape (..., n_answers)
        In units of reward per unit of logit. Each row sums to zero.

    Raises
    ------
    TypeError
        If an array is not floating-point.

    References
    ----------
    Williams (1992), "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning".

    Examples
    --------
    >>> import numpy as np
    >>> policy_gradient(np.zeros(2), np.asarray([1.0, 0.0]))
    array([ 0.25, -0.25])
    """
    require_floating(logits=logits, rewards=rewards)
    policy = softmax(logits)
    mean = array_namespace(policy).sum(policy * rewards, axis=-1, keepdims=True)
    return policy * (rewards - mean)


@in_float32("log_probabilities", "advantages")
def policy_gradient_loss(log_probabilities, advantages):
    r"""Make a loss whose slope is the estimate of the policy gradient: REINFORCE.

    .. math:: \mathcal{L}(\theta) = -\frac{1}{N} \sum_{i=1}^{N} A_i \log \pi_\theta(x_i),
              \qquad x_i \sim \pi_\theta

    The advantages :math:`A_i`, the rewards or what a baseline has made of them, count as
    constants. The value of the loss says nothing; its slope points where rewards are.

    Parameters
    ----------
    log_probabilities : array, floating-point, shape (...)
        :math:`\log \pi_\theta(x_i)` of whole answers, in nats.
    advantages : array, floating-point, a shape that broadcasts
        :math:`A_i`. No gradient flows through them.

    Returns
    -------
    array, shape ()

    Raises
    ------
    TypeError
        If an array is not floating-point.

    References
    ----------
    Williams (1992), "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning", equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> policy_gradient_loss(np.log([0.5, 0.25]), np.asarray([1.0, -1.0])).round(4)  # log(1/2)/2
    np.float64(-0.3466)
    """
    require_floating(log_probabilities=log_probabilities, advantages=advantages)
    xp = array_namespace(log_probabilities, advantages)
    return -xp.mean(without_gradient(advantages) * log_probabilities)


@in_float32("rewards")
def leave_one_out_advantages(rewards):
    r"""Measure each reward against the mean of the others in its group.

    .. math:: A_i = r_i - \frac{1}{G - 1} \sum_{j \ne i} r_j
                  = \frac{G}{G - 1} \Big(r_i - \frac{1}{G} \sum_j r_j\Big)

    The others know nothing of draw :math:`i`, so that the estimate stays without bias.

    Parameters
    ----------
    rewards : array, floating-point, shape (..., G)
        A group in the last axis: answers drawn for the same prompt, at least two.

    Returns
    -------
    array, shape (..., G)
        Each group sums to zero.

    Raises
    ------
    TypeError
        If ``rewards`` is not a floating-point array.
    ValueError
        If a group holds fewer than two rewards.

    References
    ----------
    Kool, van Hoof and Welling (2019), "Buy 4 REINFORCE samples, get a baseline for free!",
    equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> leave_one_out_advantages(np.asarray([3.0, 0.0, 0.0]))
    array([ 3. , -1.5, -1.5])
    """
    n = _group_size(rewards, 2)
    return n / (n - 1) * _less_the_mean(rewards)


@in_float32("rewards")
def group_relative_advantages(rewards):
    r"""Measure each reward within its group, in standard deviations: the advantages of GRPO.

    .. math:: A_i = \frac{r_i - \operatorname{mean}(r_1, \dots, r_G)}
                         {\operatorname{std}(r_1, \dots, r_G)}

    A group whose rewards are all the same says nothing: its advantages are 0. To divide by the
    deviation makes every group count alike, and so changes what is maximized.

    Parameters
    ----------
    rewards : array, floating-point, shape (..., G)
        A group in the last axis: answers drawn for the same prompt.

    Returns
    -------
    array, shape (..., G)
        Each group has mean 0 and mean square 1.

    Raises
    ------
    TypeError
        If ``rewards`` is not a floating-point array.
    ValueError
        If a group is empty.

    References
    ----------
    Shao et al. (2024), "DeepSeekMath: Pushing the limits of mathematical reasoning in open
    language models", section 4.1.2.

    Examples
    --------
    >>> import numpy as np
    >>> group_relative_advantages(np.asarray([[3.0, 1.0], [2.0, 2.0]]))
    array([[ 1., -1.],
           [ 0.,  0.]])
    """
    _group_size(rewards, 1)
    xp = array_namespace(rewards)
    constant = without_gradient(rewards)
    largest = xp.max(constant, axis=-1, keepdims=True)
    spread = largest - xp.min(constant, axis=-1, keepdims=True)
    alike = spread == 0
    # Measured by the spread, no square is too small or too large for a number.
    deviations = _less_the_mean(rewards) / xp.where(alike, xp.ones_like(spread), spread)
    variance = xp.mean(deviations * deviations, axis=-1, keepdims=True)
    std = xp.sqrt(xp.where(alike, xp.ones_like(variance), variance))
    # The mean of equal numbers may be off by a rounding.
    return xp.where(alike, xp.zeros_like(deviations), deviations / std)


@in_float32("log_probabilities", "old_log_probabilities", "advantages")
def clipped_policy_loss(
    log_probabilities, old_log_probabilities, advantages, epsilon=0.2
):
    r"""Use draws of an older policy, as long as the policy is near it: the loss of PPO and GRPO.

    .. math:: \mathcal{L}(\theta) = -\frac{1}{N} \sum_{i=1}^{N}
              \min\big(\rho_i A_i,\; \operatorname{clip}(\rho_i, 1 - \epsilon, 1 + \epsilon)\,
              A_i\big), \qquad \rho_i = \frac{\pi_\theta(x_i)}{\pi_\text{old}(x_i)}

    Where both policies are the same, its slope is that of ``policy_gradient_loss``.

    Parameters
    ----------
    log_probabilities, old_log_probabilities : array, floating-point, shape (...)
        :math:`\log \pi_\theta(x_i)` and :math:`\log \pi_\text{old}(x_i)`, in nats. No gradient
        flows through the second.
    advantages : array, floating-point, a shape that broadcasts
        :math:`A_i`. No gradient flows through them.
    epsilon : float
        :math:`\epsilon`, at least 0 and below 1.

    Returns
    -------
    array, shape ()

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``epsilon`` is out of its range.

    References
    ----------
    Schulman et al. (2017), "Proximal policy optimization algorithms", equation 7.

    Examples
    --------
    A draw that went well has become twice as probable. That is enough:

    >>> import numpy as np
    >>> now, before = np.log([0.5]), np.log([0.25])
    >>> clipped_policy_loss(now, before, np.ones(1))
    np.float64(-1.2)
    """
    require_floating(
        log_probabilities=log_probabilities,
        old_log_probabilities=old_log_probabilities,
        advantages=advantages,
    )
    require_below(1, epsilon=epsilon)
    xp = array_namespace(log_probabilities, old_log_probabilities, advantages)
    advantages = without_gradient(advantages)
    ratio = xp.exp(log_probabilities - without_gradient(old_log_probabilities))
    clipped = xp.clip(ratio, 1 - epsilon, 1 + epsilon)
    return -xp.mean(_smaller(ratio * advantages, clipped * advantages))


@in_float32("log_probabilities", "reference_log_probabilities")
def kl_estimates(log_probabilities, reference_log_probabilities):
    r"""Estimate a divergence from single draws, never below 0.

    .. math:: k(x) = \frac{\pi_\text{ref}(x)}{\pi(x)} - \log \frac{\pi_\text{ref}(x)}{\pi(x)} - 1,
              \qquad \mathbb{E}_{x \sim \pi}[k(x)] = D_{\mathrm{KL}}(\pi \parallel \pi_\text{ref})

    The first term has mean 1 wherever :math:`\pi` allows what :math:`\pi_\text{ref}` does.
    As a loss on draws that count as constants, its mean slope is another one: that of
    :math:`D_{\mathrm{KL}}(\pi_\text{ref} \parallel \pi)`, the divergence the other way round.

    Parameters
    ----------
    log_probabilities, reference_log_probabilities : array, floating-point, shapes that broadcast
        :math:`\log \pi(x)` and :math:`\log \pi_\text{ref}(x)` of what :math:`\pi` has drawn.

    Returns
    -------
    array
        In nats, 0 where both are the same.

    Raises
    ------
    TypeError
        If an array is not floating-point.

    References
    ----------
    Shao et al. (2024), "DeepSeekMath: Pushing the limits of mathematical reasoning in open
    language models", equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> kl_estimates(np.log([0.5, 0.5]), np.log([0.5, 0.25])).round(4)  # 1/2 + log 2 - 1
    array([0.    , 0.1931])
    """
    require_floating(
        log_probabilities=log_probabilities,
        reference_log_probabilities=reference_log_probabilities,
    )
    log_ratio = reference_log_probabilities - log_probabilities
    return array_namespace(log_ratio).expm1(log_ratio) - log_ratio


def _less_the_mean(rewards):
    return rewards - array_namespace(rewards).mean(rewards, axis=-1, keepdims=True)


def _smaller(a, b):
    """Take the smaller of each two; of equal ones the first, with all of the gradient."""
    return array_namespace(a, b).where(a <= b, a, b)


def _group_size(rewards, least):
    require_floating(rewards=rewards)
    if rewards.ndim == 0 or rewards.shape[-1] < least:
        raise ValueError(
            f"rewards must have shape (..., G), with G at least {least}, "
            f"got {tuple(rewards.shape)}"
        )
    return rewards.shape[-1]
