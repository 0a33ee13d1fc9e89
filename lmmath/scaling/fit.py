"""Fitting a scaling law to runs, and how sure one can be of it."""

import warnings
from contextlib import suppress
from itertools import product

import numpy as np

from lmmath._checks import (
    require_generator,
    require_positive,
    require_positive_integer,
)
from lmmath.attention import softmax
from lmmath.scaling.laws import (
    ChinchillaLaw,
    require_positive_values,
    size_array,
)


def fit_chinchilla(n_params, n_tokens, loss, delta=1e-3):
    r"""Find the law that a set of training runs obeys.

    .. math::

        \min_{e, a, b, \alpha, \beta} \sum_i \operatorname{Huber}_\delta\!\left(
        \log\!\left(e^{e} + e^{a - \alpha \log N_i} + e^{b - \beta \log D_i}\right)
        - \log L_i \right),
        \qquad E = e^e, \; A = e^a, \; B = e^b

    .. math::

        \operatorname{Huber}_\delta(r) = \begin{cases}
        r^2 / 2 & |r| \le \delta \\ \delta (|r| - \delta / 2) & |r| > \delta \end{cases}

    Beyond :math:`\delta` a residual pulls no harder, however large it is, so a run gone wrong
    cannot drag the law to itself. All five constants are searched for by their logarithms,
    which keeps them above 0. The sum can have several minima: nine starts, with exponents on
    a grid, are followed down, and the lowest point is kept.

    The fit runs in NumPy: arrays of other libraries must lie in the CPU's memory and carry no
    gradient.

    Parameters
    ----------
    n_params : array, floating-point or NumPy integers, shape (n_runs,)
        :math:`N`, the number of parameters of each run: at least three different values.
    n_tokens : array, floating-point or NumPy integers, shape (n_runs,)
        :math:`D`, the number of training tokens: at least three different values.
    loss : array, floating-point or NumPy integers, shape (n_runs,)
        :math:`L`, in nats per token. At least six runs, five of them with different sizes.
    delta : float
        :math:`\delta`, where a residual of :math:`\log L` begins to count as an outlier. It
        is best near the noise of a single run's log loss, or below.

    Returns
    -------
    ChinchillaLaw
        Its constants are Python floats.

    Raises
    ------
    TypeError
        If an argument is not an array of floating-point numbers or of NumPy integers.
    ValueError
        If the arrays differ in length or have more than one axis, a value is not above 0
        and finite, or the runs are too few or too alike to determine five constants.
    RuntimeError
        If no start converges, or the best law has an exponent above 10: a step, no power
        law.

    Warns
    -----
    RuntimeWarning
        If a term is lost in the noise: by the curvature of the sum at its minimum and the size
        of the residuals, the exponent is zero within two standard errors. The other terms may
        then be off too. ``bootstrap_chinchilla`` and ``confidence_interval`` show how far.

    References
    ----------
    Hoffmann et al. (2022), "Training compute-optimal large language models", equation 3 and
    section D.3. Huber (1964), "Robust estimation of a location parameter".

    Examples
    --------
    >>> import numpy as np
    >>> from lmmath.scaling import chinchilla_loss
    >>> n_params = np.asarray([1e7, 1e8, 1e9, 1e7, 1e8, 1e9, 1e7, 1e8, 1e9])
    >>> n_tokens = np.asarray([1e8, 1e8, 1e8, 1e9, 1e9, 1e9, 1e10, 1e10, 1e10])
    >>> law = fit_chinchilla(n_params, n_tokens, chinchilla_loss(n_params, n_tokens))
    >>> [round(constant, 8) for constant in law]
    [1.69, 406.4, 410.7, 0.34, 0.28]
    """
    require_positive(delta=delta)
    runs, units = _scaled(_runs(n_params=n_params, n_tokens=n_tokens, loss=loss))
    theta = _fit(runs, delta, _starts(runs))
    law = _law(theta, units)
    _warn_of_lost_terms(law, _uncertainties(theta, runs))
    return law


def bootstrap_chinchilla(n_params, n_tokens, loss, rng, n_resamples=200, delta=1e-3):
    r"""Fit the law again and again to runs drawn with replacement from the runs.

    The scatter of the laws estimates how far the fit would move if all the runs were made
    anew: see ``standard_errors`` and ``confidence_interval``. Each fit starts from the law
    of all runs. A draw that does not determine five constants is drawn again.

    Parameters
    ----------
    n_params : array, floating-point or NumPy integers, shape (n_runs,)
        :math:`N`, the number of parameters of each run.
    n_tokens : array, floating-point or NumPy integers, shape (n_runs,)
        :math:`D`, the number of training tokens.
    loss : array, floating-point or NumPy integers, shape (n_runs,)
        :math:`L`, in nats per token.
    rng : numpy.random.Generator
        Draws the runs.
    n_resamples : int
        How many laws to fit.
    delta : float
        As in ``fit_chinchilla``.

    Returns
    -------
    list of ChinchillaLaw, length n_resamples

    Raises
    ------
    TypeError
        If ``rng`` is not a ``numpy.random.Generator``, or as in ``fit_chinchilla``.
    ValueError
        If ``n_resamples`` is not an integer of at least 1, or as in ``fit_chinchilla``.
    RuntimeError
        If ``fit_chinchilla`` finds no law for all runs.

    References
    ----------
    Efron (1979), "Bootstrap methods: another look at the jackknife".

    Examples
    --------
    >>> import numpy as np
    >>> from lmmath.scaling import chinchilla_loss
    >>> rng = np.random.default_rng(0)
    >>> n_params, n_tokens = 10 ** rng.uniform(7, 9, 20), 10 ** rng.uniform(8, 10, 20)
    >>> loss = chinchilla_loss(n_params, n_tokens) * np.exp(0.001 * rng.normal(size=20))
    >>> laws = bootstrap_chinchilla(n_params, n_tokens, loss, rng, n_resamples=20)
    >>> low, high = confidence_interval(laws, level=0.9)
    >>> low.alpha < 0.34 < high.alpha
    True
    """
    require_generator(rng)
    require_positive_integer(n_resamples=n_resamples)
    require_positive(delta=delta)
    runs, units = _scaled(_runs(n_params=n_params, n_tokens=n_tokens, loss=loss))
    best = _fit(runs, delta, _starts(runs))
    laws = []
    while len(laws) < n_resamples:
        drawn = runs[:, rng.integers(runs.shape[1], size=runs.shape[1])]
        if not _too_alike(drawn):
            with suppress(RuntimeError):
                laws.append(_law(_fit(drawn, delta, [best]), units))
    return laws


def standard_errors(laws):
    r"""Measure the scatter of resampled laws, constant by constant.

    .. math:: s = \sqrt{\frac{1}{R - 1} \sum_{r=1}^{R} (\theta_r - \bar\theta)^2}

    :math:`A` and :math:`B` scatter over a skewed range, for which ``confidence_interval``
    says more.

    Parameters
    ----------
    laws : sequence of ChinchillaLaw, length R of at least 2
        What ``bootstrap_chinchilla`` returns; :math:`\theta` is each constant in turn.

    Returns
    -------
    ChinchillaLaw
        The standard error of each constant, in its place.

    Raises
    ------
    TypeError
        If ``laws`` holds anything but ``ChinchillaLaw``.
    ValueError
        If ``laws`` holds fewer than two.

    References
    ----------
    Efron (1979), "Bootstrap methods: another look at the jackknife".

    Examples
    --------
    >>> from lmmath.scaling import HOFFMANN_2022
    >>> laws = [HOFFMANN_2022._replace(E=E) for E in (1.0, 2.0, 3.0)]
    >>> standard_errors(laws).E
    1.0
    """
    return ChinchillaLaw(*np.std(_constants(laws), axis=0, ddof=1).tolist())


def confidence_interval(laws, level=0.95):
    r"""Cut off the same share of resampled laws at both ends, constant by constant.

    .. math::

        \left[\, q\!\left(\frac{1 - \ell}{2}\right), \,
        q\!\left(\frac{1 + \ell}{2}\right) \right]

    Parameters
    ----------
    laws : sequence of ChinchillaLaw, length of at least 2
        What ``bootstrap_chinchilla`` returns; :math:`q` is the quantile of each constant in
        turn, interpolated between neighbours.
    level : float
        :math:`\ell`, the share to keep, between 0 and 1.

    Returns
    -------
    low, high : ChinchillaLaw
        The ends of the interval of each constant, in its place.

    Raises
    ------
    TypeError
        If ``laws`` holds anything but ``ChinchillaLaw``.
    ValueError
        If ``laws`` holds fewer than two, or ``level`` is not between 0 and 1.

    References
    ----------
    Efron and Tibshirani (1993), "An introduction to the bootstrap", chapter 13.

    Examples
    --------
    >>> from lmmath.scaling import HOFFMANN_2022
    >>> laws = [HOFFMANN_2022._replace(E=float(E)) for E in range(11)]
    >>> low, high = confidence_interval(laws, level=0.8)
    >>> print(round(low.E, 9), round(high.E, 9))
    1.0 9.0
    """
    require_positive(level=level)
    if level >= 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(_constants(laws), ends, axis=0).tolist()
    return ChinchillaLaw(*low), ChinchillaLaw(*high)


_MAX_EVALUATIONS = 1000

# A steeper law only tells the smallest runs from the others.
_STEEPEST = 10


def _runs(**arrays):
    runs = {
        name: np.asarray(size_array(name, array), dtype=np.float64)
        for name, array in arrays.items()
    }
    for name, row in runs.items():
        if row.ndim != 1:
            raise ValueError(f"{name} must have one axis, got shape {row.shape}")
        require_positive_values(name, row)
    lengths = [len(row) for row in runs.values()]
    names = "n_params, n_tokens and loss"
    if len(set(lengths)) > 1:
        raise ValueError(f"{names} must have the same length, got {lengths}")
    if lengths[0] < 6:
        raise ValueError(f"{names} must hold at least six runs, got {lengths[0]}")
    runs = np.stack(list(runs.values()))
    if problem := _too_alike(runs):
        raise ValueError(problem)
    return runs


def _too_alike(runs):
    """Say why runs cannot determine five constants, if they cannot."""
    for name, row in zip(("n_params", "n_tokens"), runs[:2], strict=True):
        # Two values show a difference; a floor and an exponent take a third.
        if (different := len(np.unique(row))) < 3:
            return f"{name} must hold at least three different values, got {different}"
    if (different := np.unique(runs[:2], axis=1).shape[1]) < 5:
        return (
            "n_params and n_tokens must hold at least five different pairs, "
            f"got {different}"
        )
    return None


def _scaled(runs):
    units = np.exp(np.mean(np.log(runs), axis=1))
    return runs / units[:, None], units


def _law(theta, units):
    """Take the law back from the fit's units to parameters, tokens and nats."""
    n, d, nat = units
    floor, a, b, alpha, beta = np.exp(theta)
    constants = floor * nat, a * nat * n**alpha, b * nat * d**beta, alpha, beta
    return ChinchillaLaw(*map(float, constants))


def _starts(runs):
    """Yield starting points: for exponents on a grid, the best E, A and B."""
    # Here and not above: SciPy takes long to load, and the laws do without it.
    from scipy.optimize import nnls

    n, d, loss = runs
    for alpha, beta in product((0.15, 0.4, 1.0), repeat=2):
        # With fixed exponents, prediction / loss = 1 is linear in E, A and B.
        terms = np.stack([np.ones_like(n), n**-alpha, d**-beta], axis=1)
        shares, _ = nnls(terms / loss[:, None], np.ones_like(loss))
        # A share of 0 has no logarithm, and nothing to descend along.
        yield np.log([*np.maximum(shares, 0.01), alpha, beta])


def _fit(runs, delta, starts):
    """Follow each start down, keep the lowest point, and take it to the last digits."""
    ends = [_follow(runs, delta, start) for start in starts]
    converged = [end for end in ends if end.success]
    if not converged:
        raise RuntimeError(
            f"none of {len(ends)} starts converged within {_MAX_EVALUATIONS} evaluations"
        )
    lowest = min(converged, key=lambda end: end.cost)
    theta = _descend(runs, delta, lowest.x, tolerance=1e-15).x
    if (steepest := np.exp(max(theta[3:]))) > _STEEPEST:
        raise RuntimeError(
            "the runs show a step rather than a power law: the best exponent is "
            f"{steepest:.3g}, above {_STEEPEST}"
        )
    return theta


def _uncertainties(theta, runs):
    """Estimate the standard errors of the logarithms of the five constants."""
    logarithms = np.log(runs)
    distances = np.sort(np.abs(_residuals(theta, *logarithms)))
    # Five constants may pass through five runs. The others show the noise, and the median
    # disregards a run gone wrong; of a normal distribution it is 0.6745 standard deviations.
    noise = np.median(distances[len(theta) :]) / 0.6745
    jacobian = _residuals_jacobian(theta, *logarithms)
    # A term that vanishes leaves columns of zeros, or nearly: each is brought to length one.
    lengths = np.maximum(np.linalg.norm(jacobian, axis=0), np.finfo(np.float64).tiny)
    _, stretches, directions = np.linalg.svd(jacobian / lengths, full_matrices=False)
    spreads = np.linalg.norm(directions.T / np.maximum(stretches, 1e-12), axis=1)
    with np.errstate(over="ignore"):
        return noise * spreads / lengths


def _warn_of_lost_terms(law, errors):
    terms = (
        ("A / n_params**alpha", "alpha", law.alpha, errors[3]),
        ("B / n_tokens**beta", "beta", law.beta, errors[4]),
    )
    lost = [
        f"{term} ({name} = {exponent:.2g}, standard error {exponent * error:.2g})"
        for term, name, exponent, error in terms
        # The error of a logarithm is a share of the exponent.
        if 2 * error > 1
    ]
    if lost:
        warnings.warn(
            f"the runs do not determine {' and '.join(lost)}: it is lost in the noise, and the "
            "other constants may be off. Runs in which it is larger would determine it",
            RuntimeWarning,
            stacklevel=3,
        )


def _follow(runs, delta, start):
    # A narrow Huber loss is all kinks. A wide one is smooth, and its minimum is near.
    width = 0.1
    while width > delta:
        start = _descend(runs, width, start, tolerance=1e-6).x
        width /= 10
    return _descend(runs, delta, start, tolerance=1e-6)


def _descend(runs, delta, start, tolerance):
    from scipy.optimize import least_squares

    # Gauss-Newton steps in a trust region reach the last digits in a few steps, where
    # L-BFGS, which sees only gradients, stops far earlier. A trial step that is too long
    # may overflow: it is then shortened.
    with np.errstate(all="ignore"):
        return least_squares(
            _residuals,
            start,
            _residuals_jacobian,
            loss="huber",
            f_scale=delta,
            ftol=tolerance,
            xtol=tolerance,
            gtol=None,
            max_nfev=_MAX_EVALUATIONS,
            args=np.log(runs),
        )


def _log_terms(theta, log_n, log_d):
    log_e, log_a, log_b = theta[:3]
    alpha, beta = np.exp(theta[3:])
    floor = np.full_like(log_n, log_e)
    return np.stack([floor, log_a - alpha * log_n, log_b - beta * log_d])


def _residuals(theta, log_n, log_d, log_loss):
    return np.logaddexp.reduce(_log_terms(theta, log_n, log_d), axis=0) - log_loss


def _residuals_jacobian(theta, log_n, log_d, _):
    alpha, beta = np.exp(theta[3:])
    # The gradient of log-sum-exp is the softmax: each term's share of the loss.
    shares = softmax(_log_terms(theta, log_n, log_d), axis=0)
    slopes = -shares[1] * alpha * log_n, -shares[2] * beta * log_d
    return np.stack([*shares, *slopes], axis=1)


def _constants(laws):
    laws = list(laws)
    for law in laws:
        if not isinstance(law, ChinchillaLaw):
            raise TypeError(
                f"laws must hold ChinchillaLaw only, got {type(law).__name__}"
            )
    if len(laws) < 2:
        raise ValueError(f"laws must hold at least two, got {len(laws)}")
    return np.asarray(laws)
