r"""Preferences: from "this answer is better than that one" to a number for each answer.

A reward is a number, dimensionless, of which only differences can be seen. Losses are in nats.
"""

import numpy as np
from array_api_compat import array_namespace

from lmmath._arrays import in_float32
from lmmath._checks import require_below, require_floating, require_ids
from lmmath.neurons import sigmoid


def preference_probability(reward_a, reward_b):
    r"""Say how probable it is that answer a is preferred to answer b, by Bradley and Terry.

    .. math:: P(a \succ b) = \frac{e^{r_a}}{e^{r_a} + e^{r_b}} = \sigma(r_a - r_b)

    A constant added to both rewards, one for each prompt, changes nothing.

    Parameters
    ----------
    reward_a, reward_b : array, floating-point, shapes that broadcast
        :math:`r_a` and :math:`r_b`, dimensionless: a difference of 1 makes odds of :math:`e`.

    Returns
    -------
    array
        Probabilities from 0 to 1.

    Raises
    ------
    TypeError
        If an array is not floating-point.

    References
    ----------
    Bradley and Terry (1952), "Rank analysis of incomplete block designs: I. The method of
    paired comparisons".

    Examples
    --------
    >>> preference_probability(np.log([3.0, 1.0]), np.log([1.0, 1.0]))  # odds of 3, of 1
    array([0.75, 0.5 ])
    """
    require_floating(reward_a=reward_a, reward_b=reward_b)
    return sigmoid(reward_a - reward_b)


@in_float32("chosen", "rejected")
def preference_loss(chosen, rejected):
    r"""Average the surprise at what people preferred: the loss of a reward model.

    .. math:: \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \log \sigma(r_i^{+} - r_i^{-})

    Parameters
    ----------
    chosen : array, floating-point, shape (...)
        :math:`r^{+}`, the rewards of the answers that were preferred.
    rejected : array, floating-point, a shape that broadcasts with that of ``chosen``
        :math:`r^{-}`, those of the answers beside them.

    Returns
    -------
    array, shape ()
        The mean over all pairs, in nats: :math:`\log 2` for a reward that knows nothing.

    Raises
    ------
    TypeError
        If an array is not floating-point.

    References
    ----------
    Ouyang et al. (2022), "Training language models to follow instructions with human
    feedback", equation 1.

    Examples
    --------
    >>> preference_loss(np.log([3.0, 1.0]), np.zeros(2)).round(4)  # -(log 3/4 + log 1/2) / 2
    np.float64(0.4904)
    """
    require_floating(chosen=chosen, rejected=rejected)
    margins = chosen - rejected
    return -array_namespace(margins).mean(log_sigmoid(margins))


@in_float32("x")
def log_sigmoid(x):
    r"""Take the logarithm of the logistic function, also where the function itself is 0.

    .. math:: \log \sigma(x) = -\log(1 + e^{-x}) = \min(x, 0) - \log(1 + e^{-\lvert x \rvert})

    The last form is computed: no exponent is above 0.

    Parameters
    ----------
    x : array, floating-point, any shape

    Returns
    -------
    array
        Numbers of at most 0, with the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.

    Examples
    --------
    >>> log_sigmoid(np.asarray([-1000.0, 0.0, 1000.0])).round(4)
    array([-1.000e+03, -6.931e-01,  0.000e+00])
    """
    require_floating(x=x)
    xp = array_namespace(x)
    # Not -abs(x), whose slope at 0 is 0: automatic differentiation would give 0 for 1/2.
    decay = xp.log1p(xp.exp(xp.where(x >= 0, -x, x)))
    return xp.where(x >= 0, xp.zeros_like(x), x) - decay


def fit_rewards(features, chosen, rejected, l2=0.0):
    r"""Find the linear reward under which the preferences seen are the most probable.

    .. math::

        \hat{w} = \arg\min_w \; -\sum_{i=1}^{N} \log \sigma\big(w \cdot
                  (\phi_i^{+} - \phi_i^{-})\big) + \frac{\lambda}{2} \lVert w \rVert^2,
        \qquad r = \phi \cdot w

    The sum is convex, and is followed down with its first and second derivatives. A feature
    that is the same in both answers of every pair has no say, a constant least of all.

    Parameters
    ----------
    features : array, floating-point, shape (n_answers, n_features)
        :math:`\phi`, what the reward may depend on.
    chosen, rejected : integer arrays, shape (n_pairs,)
        Which answers were preferred, and which to: rows of ``features``.
    l2 : float
        :math:`\lambda`, at least 0: the inverse variance of a normal prior over each weight.

    Returns
    -------
    numpy.ndarray, shape (n_features,)
        :math:`\hat{w}`, in units of reward per unit of the feature.

    Raises
    ------
    TypeError
        If ``features`` are not floating-point, or the pairs are not integers.
    ValueError
        If shapes do not fit together, a number is not finite, an index is out of range, or,
        with ``l2=0``, the pairs do not determine the weights: some combination of features
        differs in no pair, or one ranks all pairs right, so that a longer ``w`` is always
        better.

    References
    ----------
    Albert and Anderson (1984), "On the existence of maximum likelihood estimates in logistic
    regression models".

    Examples
    --------
    The first answer is preferred to the second three times of four:

    >>> features, pairs = np.asarray([[1.0], [0.0]]), np.asarray([[0, 0, 0, 1], [1, 1, 1, 0]])
    >>> fit_rewards(features, *pairs).round(4)  # log 3
    array([1.0986])
    """
    from scipy.optimize import minimize

    require_below(np.inf, l2=l2)
    differences = _differences(features, chosen, rejected)
    if l2 == 0:
        _require_determined(differences)

    def loss_and_slope(w):
        margins = differences @ w
        loss = -log_sigmoid(margins).sum() + l2 / 2 * w @ w
        return loss, -sigmoid(-margins) @ differences + l2 * w

    def curvature(w):
        margins = differences @ w
        variances = sigmoid(margins) * sigmoid(-margins)
        return (differences.T * variances) @ differences + l2 * np.eye(len(w))

    start = np.zeros(differences.shape[1])
    options = {"gtol": 1e-9 * (1 + len(differences) * np.abs(differences).max())}
    found = minimize(
        loss_and_slope,
        start,
        jac=True,
        hess=curvature,
        method="trust-exact",
        options=options,
    )
    return found.x


def _differences(features, chosen, rejected):
    require_floating(features=features)
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(
            "features must have shape (n_answers, n_features), with at least one feature, "
            f"got {features.shape}"
        )
    if not np.isfinite(features).all():
        raise ValueError("features must be finite, but not all of them are")
    require_ids(len(features), chosen=chosen, rejected=rejected)
    chosen, rejected = np.asarray(chosen), np.asarray(rejected)
    if chosen.ndim != 1 or chosen.shape != rejected.shape or len(chosen) == 0:
        raise ValueError(
            "chosen and rejected must have the same shape (n_pairs,), with at least one "
            f"pair, got {chosen.shape} and {rejected.shape}"
        )
    return features[chosen] - features[rejected]


def _require_determined(differences):
    """Raise unless the most probable weights exist and are the only ones."""
    from scipy.optimize import linprog

    n_features = differences.shape[1]
    rank = np.linalg.matrix_rank(differences)
    if rank < n_features:
        raise ValueError(
            f"the pairs must differ in all {n_features} features independently, got "
            f"differences of rank {rank}: leave features out, or give l2 above 0"
        )
    # Is there a w that ranks no pair wrong, and some right? It may have any length.
    signs = np.concatenate([-differences, differences])
    limits = np.repeat([0.0, 1.0], len(differences))
    best = linprog(-differences.sum(axis=0), signs, limits, bounds=(None, None))
    if -best.fun > 1e-9:
        raise ValueError(
            "some preferences must contradict each other, got pairs that one reward ranks "
            "without a mistake, the better the larger it is: give l2 above 0, or more pairs"
        )
