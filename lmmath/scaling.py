r"""Scaling laws: how the loss falls as a model and its training data grow.

Sizes are counts: parameters, tokens, floating-point operations. A size or a loss may be a
Python number, taken as float64, or a floating-point array of any library; integer NumPy
arrays become float64. All are above 0 and finite. Numbers and NumPy arrays are checked for
that; other arrays are not, since looking at values would make a GPU wait, and give
:math:`\pm\infty` or NaN where the formula does. Losses are in nats per token.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_numpy_array
from scipy.optimize import least_squares, nnls

from lmmath._arrays import at_least_float32
from lmmath._checks import (
    require_floating,
    require_positive,
    require_positive_integer,
)
from lmmath.attention import softmax


class ChinchillaLaw(NamedTuple):
    r"""A floor, plus what a finite model costs, plus what finite data cost.

    .. math:: L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}

    Attributes
    ----------
    E : float
        The loss that no model and no data can remove, in nats per token; may be 0.
    A, B : float
        The loss above the floor, in nats per token, of one parameter and of one token.
    alpha, beta : float
        The exponents of the number of parameters :math:`N` and of tokens :math:`D`.

    References
    ----------
    Hoffmann et al. (2022), "Training compute-optimal large language models", equation 2.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float


class KaplanLaw(NamedTuple):
    r"""Model and data limit the loss together, and there is no floor.

    .. math::

        L(N, D) = \left[\left(\frac{N_c}{N}\right)^{\alpha_N / \alpha_D}
                        + \frac{D_c}{D}\right]^{\alpha_D}

    Attributes
    ----------
    n_c, d_c : float
        The critical sizes :math:`N_c`, in parameters, and :math:`D_c`, in tokens.
    alpha_n, alpha_d : float
        The exponents :math:`\alpha_N` and :math:`\alpha_D`.

    References
    ----------
    Kaplan et al. (2020), "Scaling laws for neural language models", equation 1.5.
    """

    n_c: float
    d_c: float
    alpha_n: float
    alpha_d: float


class PowerLaw(NamedTuple):
    """The two constants of ``power_law``: a critical size and an exponent."""

    critical: float
    exponent: float


# Hoffmann et al. (2022), equation 10. The constants are published rounded.
HOFFMANN_2022 = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)

# Besiroglu et al. (2024), "Chinchilla scaling: A replication attempt": a fit to the points
# of a figure of Hoffmann et al.
BESIROGLU_2024 = ChinchillaLaw(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)

# Kaplan et al. (2020), table 2: the joint fit. Parameters are counted without embeddings.
KAPLAN_2020 = KaplanLaw(n_c=6.4e13, d_c=1.8e13, alpha_n=0.076, alpha_d=0.103)

# Kaplan et al. (2020), equations 1.1 and 1.2: either size alone, when the other is ample.
KAPLAN_2020_PARAMS = PowerLaw(critical=8.8e13, exponent=0.076)
KAPLAN_2020_TOKENS = PowerLaw(critical=5.4e13, exponent=0.095)


def chinchilla_loss(n_params, n_tokens, law=HOFFMANN_2022):
    r"""Predict the loss of a model from its size and the size of its training data.

    .. math:: L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}

    Parameters
    ----------
    n_params : float or array, floating-point, any shape
        :math:`N`, the number of parameters.
    n_tokens : float or array, floating-point, broadcastable with ``n_params``
        :math:`D`, the number of training tokens.
    law : ChinchillaLaw
        The constants :math:`E, A, B, \alpha, \beta`.

    Returns
    -------
    float or array
        :math:`L`, in nats per token.

    Raises
    ------
    TypeError
        If a size is neither a number nor a floating-point array, or ``law`` is no
        ``ChinchillaLaw``.
    ValueError
        If a size is not above 0 and finite, the shapes do not broadcast, or a constant of
        ``law`` is not above 0 and finite.

    References
    ----------
    Hoffmann et al. (2022), "Training compute-optimal large language models", equation 2.

    Examples
    --------
    >>> chinchilla_loss(1e4, 1e2, ChinchillaLaw(E=1.0, A=100.0, B=10.0, alpha=0.5, beta=0.5))
    np.float64(3.0)
    >>> print(round(chinchilla_loss(70e9, 1.4e12), 3))  # Chinchilla: 70B on 1.4T tokens
    1.937
    """
    _require_law(ChinchillaLaw, law)
    (n, d), dtype = _sizes(n_params=n_params, n_tokens=n_tokens)
    return _cast(law.E + law.A / n**law.alpha + law.B / d**law.beta, dtype)


def kaplan_loss(n_params, n_tokens, law=KAPLAN_2020):
    r"""Predict the loss by the earlier law, in which the two limits do not simply add.

    .. math::

        L(N, D) = \left[\left(\frac{N_c}{N}\right)^{\alpha_N / \alpha_D}
                        + \frac{D_c}{D}\right]^{\alpha_D}

    With unlimited data it is :math:`(N_c / N)^{\alpha_N}`, with an unlimited model
    :math:`(D_c / D)^{\alpha_D}`.

    Parameters
    ----------
    n_params : float or array, floating-point, any shape
        :math:`N`, the number of parameters, embeddings not counted.
    n_tokens : float or array, floating-point, broadcastable with ``n_params``
        :math:`D`, the number of training tokens.
    law : KaplanLaw
        The constants :math:`N_c, D_c, \alpha_N, \alpha_D`.

    Returns
    -------
    float or array
        :math:`L`, in nats per token.

    Raises
    ------
    TypeError
        If a size is neither a number nor a floating-point array, or ``law`` is no
        ``KaplanLaw``.
    ValueError
        If a size is not above 0 and finite, the shapes do not broadcast, or a constant of
        ``law`` is not above 0 and finite.

    References
    ----------
    Kaplan et al. (2020), "Scaling laws for neural language models", equation 1.5.

    Examples
    --------
    >>> kaplan_loss(4.0, 2.0, KaplanLaw(n_c=8.0, d_c=14.0, alpha_n=0.5, alpha_d=0.5))
    np.float64(3.0)
    """
    _require_law(KaplanLaw, law)
    (n, d), dtype = _sizes(n_params=n_params, n_tokens=n_tokens)
    model = (law.n_c / n) ** (law.alpha_n / law.alpha_d)
    return _cast((model + law.d_c / d) ** law.alpha_d, dtype)


def power_law(x, critical, exponent):
    r"""Predict the loss from one size alone: a straight line on logarithmic axes.

    .. math:: L(x) = \left(\frac{x_c}{x}\right)^{\alpha}

    Parameters
    ----------
    x : float or array, floating-point, any shape
        A size: parameters, tokens or compute.
    critical : float
        :math:`x_c`, the size at which the line reaches 1 nat, in the unit of ``x``.
    exponent : float
        :math:`\alpha`: ten times the size divides the loss by :math:`10^\alpha`.

    Returns
    -------
    float or array
        :math:`L`, in nats per token.

    Raises
    ------
    TypeError
        If ``x`` is neither a number nor a floating-point array.
    ValueError
        If ``x``, ``critical`` or ``exponent`` is not above 0 and finite.

    References
    ----------
    Kaplan et al. (2020), "Scaling laws for neural language models", equations 1.1 and 1.2.

    Examples
    --------
    >>> power_law(2.0, critical=8.0, exponent=0.5)
    np.float64(2.0)
    >>> print(round(power_law(1.5e9, *KAPLAN_2020_PARAMS), 2))
    2.3
    """
    require_positive(critical=critical, exponent=exponent)
    (x,), dtype = _sizes(x=x)
    return _cast((critical / x) ** exponent, dtype)


def critical_sizes(law):
    r"""Write the constants of a Chinchilla law as sizes.

    .. math::

        \frac{A}{N^\alpha} = \left(\frac{N_c}{N}\right)^\alpha, \quad N_c = A^{1/\alpha},
        \qquad
        \frac{B}{D^\beta} = \left(\frac{D_c}{D}\right)^\beta, \quad D_c = B^{1/\beta}

    So :math:`(N_c/N)^{\alpha} + (D_c/D)^{\beta} + E` is the same law. A model of
    :math:`N_c` parameters is one nat per token above a model without limit.

    Parameters
    ----------
    law : ChinchillaLaw

    Returns
    -------
    n_c : float
        :math:`N_c`, in parameters.
    d_c : float
        :math:`D_c`, in tokens.

    Raises
    ------
    TypeError
        If ``law`` is no ``ChinchillaLaw``.
    ValueError
        If a constant of ``law`` is not above 0 and finite.
    OverflowError
        If an exponent is so small that a size has no floating-point number.

    Examples
    --------
    >>> critical_sizes(ChinchillaLaw(E=1.0, A=100.0, B=3.0, alpha=0.5, beta=1.0))
    (10000.0, 3.0)
    """
    _require_law(ChinchillaLaw, law)
    return law.A ** (1 / law.alpha), law.B ** (1 / law.beta)


def training_flops(n_params, n_tokens):
    r"""Estimate the floating-point operations of a training run.

    .. math:: C = 6 N D

    For each token, each parameter takes part in one multiplication and one addition in the
    forward pass, and in twice as many in the backward pass. Attention's own products, which
    have no parameters, are left out.

    Parameters
    ----------
    n_params : float or array, floating-point, any shape
        :math:`N`, the number of parameters.
    n_tokens : float or array, floating-point, broadcastable with ``n_params``
        :math:`D`, the number of training tokens.

    Returns
    -------
    float or array
        :math:`C`, in floating-point operations.

    Raises
    ------
    TypeError
        If a size is neither a number nor a floating-point array.
    ValueError
        If a size is not above 0 and finite, or the shapes do not broadcast.

    References
    ----------
    Kaplan et al. (2020), "Scaling laws for neural language models", section 2.1.

    Examples
    --------
    >>> training_flops(70e9, 1.4e12)
    np.float64(5.88e+23)
    """
    (n, d), dtype = _sizes(n_params=n_params, n_tokens=n_tokens)
    return _cast(6 * n * d, dtype)


def compute_optimal(law, flops):
    r"""Spend a budget on the model and the data that give the lowest loss.

    .. math::

        N = G \left(\frac{C}{6}\right)^{\frac{\beta}{\alpha + \beta}}, \quad
        D = \frac{1}{G} \left(\frac{C}{6}\right)^{\frac{\alpha}{\alpha + \beta}}, \quad
        G = \left(\frac{\alpha A}{\beta B}\right)^{\frac{1}{\alpha + \beta}}

    On the curve :math:`6ND = C`, one per cent more parameters is one per cent fewer tokens,
    so at the minimum both change the loss equally: :math:`\alpha A N^{-\alpha} = \beta B
    D^{-\beta}`. Put :math:`D = C / 6N`: :math:`N^{\alpha + \beta} = (\alpha A / \beta B)
    (C/6)^\beta`.

    Parameters
    ----------
    law : ChinchillaLaw
    flops : float or array, floating-point, any shape
        :math:`C`, the budget, in floating-point operations.

    Returns
    -------
    n_params : float or array
        :math:`N`, the number of parameters.
    n_tokens : float or array
        :math:`D`, the number of training tokens.

    Raises
    ------
    TypeError
        If ``flops`` is neither a number nor a floating-point array, or ``law`` is no
        ``ChinchillaLaw``.
    ValueError
        If ``flops`` or a constant of ``law`` is not above 0 and finite.

    References
    ----------
    Hoffmann et al. (2022), "Training compute-optimal large language models", equation 4.

    Examples
    --------
    >>> law = ChinchillaLaw(E=1.0, A=100.0, B=25.0, alpha=0.5, beta=0.5)
    >>> compute_optimal(law, 600.0)
    (np.float64(40.0), np.float64(2.5))
    """
    _require_law(ChinchillaLaw, law)
    (c,), dtype = _sizes(flops=flops)
    a, b = law.beta / (law.alpha + law.beta), law.alpha / (law.alpha + law.beta)
    g = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    return _cast(g * (c / 6) ** a, dtype), _cast((c / 6) ** b / g, dtype)


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
        If no start converges to a law with finite constants.

    References
    ----------
    Hoffmann et al. (2022), "Training compute-optimal large language models", equation 3 and
    section D.3. Huber (1964), "Robust estimation of a location parameter".

    Examples
    --------
    >>> import numpy as np
    >>> n_params = np.asarray([1e7, 1e8, 1e9, 1e7, 1e8, 1e9, 1e7, 1e8, 1e9])
    >>> n_tokens = np.asarray([1e8, 1e8, 1e8, 1e9, 1e9, 1e9, 1e10, 1e10, 1e10])
    >>> law = fit_chinchilla(n_params, n_tokens, chinchilla_loss(n_params, n_tokens))
    >>> [round(constant, 8) for constant in law]
    [1.69, 406.4, 410.7, 0.34, 0.28]
    """
    require_positive(delta=delta)
    runs, units = _scaled(_runs(n_params=n_params, n_tokens=n_tokens, loss=loss))
    return _law(_fit(runs, units, delta, _starts(runs)), units)


def bootstrap_chinchilla(n_params, n_tokens, loss, rng, n_resamples=200, delta=1e-3):
    r"""Fit the law again and again to runs drawn with replacement from the runs.

    The scatter of the laws estimates how far the fit would move if all the runs were made
    anew: see ``standard_errors`` and ``confidence_interval``. Each fit starts from the law
    of all runs. A draw too alike to determine five constants is drawn again.

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
        If no start converges to a law with finite constants.

    References
    ----------
    Efron (1979), "Bootstrap methods: another look at the jackknife".

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> n_params, n_tokens = 10 ** rng.uniform(7, 9, 20), 10 ** rng.uniform(8, 10, 20)
    >>> loss = chinchilla_loss(n_params, n_tokens) * np.exp(0.001 * rng.normal(size=20))
    >>> laws = bootstrap_chinchilla(n_params, n_tokens, loss, rng, n_resamples=20)
    >>> low, high = confidence_interval(laws, level=0.9)
    >>> low.alpha < 0.34 < high.alpha
    True
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
    require_positive_integer(n_resamples=n_resamples)
    require_positive(delta=delta)
    runs, units = _scaled(_runs(n_params=n_params, n_tokens=n_tokens, loss=loss))
    best = _fit(runs, units, delta, _starts(runs))
    laws = []
    while len(laws) < n_resamples:
        drawn = runs[:, rng.integers(runs.shape[1], size=runs.shape[1])]
        if not _too_alike(drawn):
            laws.append(_law(_refit(drawn, units, delta, best), units))
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


def _require_law(kind, law):
    if not isinstance(law, kind):
        raise TypeError(f"law must be a {kind.__name__}, got {type(law).__name__}")
    for name, constant in law._asdict().items():
        # A language may have no floor, and then every other formula still holds.
        if not (name == "E" and constant == 0):
            require_positive(**{f"law.{name}": constant})


def _sizes(**sizes):
    """Bring sizes to one kind, in float32 at least; say which dtype they came in.

    Half precision ends at 65,504, far below these sizes; the losses would fit it.
    """
    sizes = {name: _size(name, size) for name, size in sizes.items()}
    arrays = [size for size in sizes.values() if not isinstance(size, float)]
    if not arrays:
        return [np.float64(size) for size in sizes.values()], np.float64
    _require_broadcast(sizes)
    dtype = array_namespace(*arrays).result_type(*(array.dtype for array in arrays))
    return [
        size if isinstance(size, float) else at_least_float32(size)
        for size in sizes.values()
    ], dtype


def _size(name, size):
    if isinstance(size, int | float | np.integer) and not isinstance(size, bool):
        require_positive(**{name: size})
        return float(size)
    if is_numpy_array(size):
        size = np.asarray(size)
        if size.dtype.kind in "iu":
            size = size.astype(np.float64)
        require_floating(**{name: size})
        _require_positive_values(name, size)
    require_floating(**{name: size})
    return size


def _require_broadcast(sizes):
    shapes = [np.shape(size) for size in sizes.values()]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"{' and '.join(sizes)} must broadcast, "
            f"got shapes {' and '.join(map(str, shapes))}"
        ) from None


def _require_positive_values(name, array):
    wrong = array[~((array > 0) & np.isfinite(array))]
    if wrong.size:
        raise ValueError(f"{name} must be above 0 and finite, got {wrong[0]}")


def _cast(x, dtype):
    if isinstance(x, np.generic):  # what NumPy makes of an array without axes
        return x.astype(dtype)
    return array_namespace(x).astype(x, dtype)


# The fit. ``runs`` holds the rows N, D and L. Units are chosen so that the geometric mean of
# each row is 1: then all constants are of moderate size, and the fit does not depend on
# whether parameters are counted in ones or in billions. ``theta`` is log(E, A, B, alpha, beta)
# in these units.

_MAX_EVALUATIONS = 300


def _runs(**arrays):
    runs = {
        name: np.asarray(_size(name, array), dtype=np.float64)
        for name, array in arrays.items()
    }
    for name, row in runs.items():
        if row.ndim != 1:
            raise ValueError(f"{name} must have one axis, got shape {row.shape}")
        _require_positive_values(name, row)
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
    # An exponent out of all proportion makes A or B infinite, which the fit then rejects.
    with np.errstate(over="ignore"):
        floor, a, b, alpha, beta = np.exp(theta)
        constants = floor * nat, a * nat * n**alpha, b * nat * d**beta, alpha, beta
    return ChinchillaLaw(*map(float, constants))


def _starts(runs):
    """Yield starting points: for exponents on a grid, the best E, A and B."""
    n, d, loss = runs
    for alpha, beta in product((0.15, 0.4, 1.0), repeat=2):
        # With fixed exponents, prediction / loss = 1 is linear in E, A and B.
        terms = np.stack([np.ones_like(n), n**-alpha, d**-beta], axis=1)
        shares, _ = nnls(terms / loss[:, None], np.ones_like(loss))
        # A share of 0 has no logarithm, and nothing to descend along.
        yield np.log([*np.maximum(shares, 0.01), alpha, beta])


def _fit(runs, units, delta, starts):
    """Follow each start down, keep the lowest point, and take it to the last digits."""
    ends = [_follow(runs, delta, start) for start in starts]
    lowest = min(ends, key=lambda end: (not end.success, end.cost))
    theta = _descend(runs, delta, lowest.x, tolerance=1e-15).x
    if not lowest.success or not np.all(np.isfinite(_law(theta, units))):
        raise RuntimeError(
            f"none of {len(ends)} starts converged to a law with finite constants "
            f"within {_MAX_EVALUATIONS} evaluations"
        )
    return theta


def _refit(runs, units, delta, start):
    try:
        return _fit(runs, units, delta, [start])
    except RuntimeError:
        return _fit(runs, units, delta, _starts(runs))


def _follow(runs, delta, start):
    # A narrow Huber loss is all kinks. A wide one is smooth, and its minimum is near.
    width = 0.1
    while width > delta:
        start = _descend(runs, width, start, tolerance=1e-6).x
        width /= 10
    return _descend(runs, delta, start, tolerance=1e-6)


def _descend(runs, delta, start, tolerance):
    # Gauss-Newton steps in a trust region reach the last digits in a few steps, where
    # L-BFGS, which sees only gradients, stops far earlier. A trial step that is too long
    # overflows, and is then shortened.
    with np.errstate(over="ignore", invalid="ignore"):
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
