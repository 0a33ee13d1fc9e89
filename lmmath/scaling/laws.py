r"""Scaling laws: how the loss falls as a model and its training data grow.

Sizes are counts: parameters, tokens, floating-point operations. A size or a loss may be a
Python number, taken as float64, or a floating-point array of any library; integer NumPy
arrays become float64. All are above 0 and finite. Numbers and NumPy arrays are checked for
that; other arrays are not, since looking at values would make a GPU wait, and give
:math:`\pm\infty` or NaN where the formula does. Losses are in nats per token.
"""

from math import log
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

from lmmath._arrays import at_least_float32
from lmmath._checks import (
    require_floating,
    require_positive,
)


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
    law = checked_law(ChinchillaLaw, law)
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
    law = checked_law(KaplanLaw, law)
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
    return _cast((float(critical) / x) ** float(exponent), dtype)


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
        If a constant of ``law`` is not above 0 and finite, or an exponent is so small that a
        size is not between 1e-100 and 1e100.

    Examples
    --------
    >>> critical_sizes(ChinchillaLaw(E=1.0, A=100.0, B=3.0, alpha=0.5, beta=1.0))
    (10000.0, 3.0)
    """
    law = checked_law(ChinchillaLaw, law)
    _require_size("critical sizes", log(law.A) / law.alpha, law)
    _require_size("critical sizes", log(law.B) / law.beta, law)
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
        If ``flops`` or a constant of ``law`` is not above 0 and finite, or if an exponent is
        so small that :math:`G` is not between 1e-100 and 1e100.

    References
    ----------
    Hoffmann et al. (2022), "Training compute-optimal large language models", equation 4.

    Examples
    --------
    >>> law = ChinchillaLaw(E=1.0, A=100.0, B=25.0, alpha=0.5, beta=0.5)
    >>> compute_optimal(law, 600.0)
    (np.float64(40.0), np.float64(2.5))
    """
    law = _law_with_optimum(law)
    (c,), dtype = _sizes(flops=flops)
    a, b = law.beta / (law.alpha + law.beta), law.alpha / (law.alpha + law.beta)
    g = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    return _cast(g * (c / 6) ** a, dtype), _cast((c / 6) ** b / g, dtype)


def checked_law(kind, law):
    """Return the law with Python floats, which mix with arrays of every library."""
    if not isinstance(law, kind):
        raise TypeError(f"law must be a {kind.__name__}, got {type(law).__name__}")
    for name, constant in law._asdict().items():
        # A language may have no floor, and then every other formula still holds.
        if not (name == "E" and constant == 0):
            require_positive(**{f"law.{name}": constant})
    return kind(*map(float, law))


# No size is as large, and no such number overflows when a law computes with it.
_LARGEST_SIZE = 1e100


def _law_with_optimum(law):
    """Return the checked law if it has an optimum among sizes that there may be."""
    law = checked_law(ChinchillaLaw, law)
    ratio = log(law.alpha) + log(law.A) - log(law.beta) - log(law.B)
    _require_size("an optimum", ratio / (law.alpha + law.beta), law)
    return law


def _require_size(what, log_size, law):
    if abs(log_size) > log(_LARGEST_SIZE):
        raise ValueError(
            f"law must have {what} between {1 / _LARGEST_SIZE:.0e} and {_LARGEST_SIZE:.0e}, "
            f"got e to the {log_size:.3g}: a term hardly changes with its size, "
            f"as alpha is {law.alpha:.3g} and beta {law.beta:.3g}"
        )


def _sizes(**sizes):
    """Bring sizes to one kind, in float32 at least; say which dtype they came in.

    Half precision ends at 65,504, far below these sizes; the losses would fit it.
    """
    sizes = {name: size_array(name, size) for name, size in sizes.items()}
    arrays = [size for size in sizes.values() if not isinstance(size, float)]
    if not arrays:
        return [np.float64(size) for size in sizes.values()], np.float64
    _require_broadcast(sizes)
    dtype = array_namespace(*arrays).result_type(*(array.dtype for array in arrays))
    return [
        size if isinstance(size, float) else at_least_float32(size)
        for size in sizes.values()
    ], dtype


def size_array(name, size):
    """Take a size as it comes: a positive number, or an array of floating-point numbers."""
    if isinstance(size, int | float | np.integer) and not isinstance(size, bool):
        require_positive(**{name: size})
        return float(size)
    if not is_numpy_array(size):
        require_floating(**{name: size})
        return size
    size = np.asarray(size)
    if size.dtype.kind in "iu":
        size = size.astype(np.float64)
    require_floating(**{name: size})
    require_positive_values(name, size)
    return size


def _require_broadcast(sizes):
    shapes = [tuple(np.shape(size)) for size in sizes.values()]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"{' and '.join(sizes)} must broadcast, "
            f"got shapes {' and '.join(map(str, shapes))}"
        ) from None


def require_positive_values(name, array):
    """Raise ValueError unless all values of a NumPy array are above 0 and finite."""
    wrong = array[~((array > 0) & np.isfinite(array))]
    if wrong.size:
        raise ValueError(f"{name} must be above 0 and finite, got {wrong[0]}")


def _cast(x, dtype):
    return array_namespace(x).astype(x, dtype)
