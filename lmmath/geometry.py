r"""Geometry: balls, shells and directions in a space of many dimensions.

``n`` is the number of dimensions. A radius or a probability may be a number, and then the
result is a NumPy float, or a floating-point array of any library.
"""

from math import ceil, inf, lgamma, log, pi, sqrt
from numbers import Real

import numpy as np
from array_api_compat import array_namespace, device

from lmmath._arrays import at_least_float32
from lmmath._checks import (
    require_floating,
    require_generator,
    require_positive_integer,
)


def log_ball_volume(n, radius=1.0):
    r"""Measure the ball in many dimensions by the logarithm of its volume.

    .. math:: \log V_n(r) = \frac{n}{2} \log \pi - \log \Gamma\!\left(\frac{n}{2} + 1\right)
                          + n \log r

    Parameters
    ----------
    n : int
        Number of dimensions.
    radius : float or floating-point array
        :math:`r`, at least 0.

    Returns
    -------
    float or array
        Natural logarithm of the volume, with the shape and dtype of ``radius``;
        :math:`-\infty` for radius 0.

    Raises
    ------
    TypeError
        If ``radius`` is neither a number nor a floating-point array.
    ValueError
        If ``n`` is not an integer of at least 1, or ``radius`` is negative or not finite.

    References
    ----------
    Ball (1997), "An elementary introduction to modern convex geometry", lecture 1.

    Examples
    --------
    >>> log_ball_volume(3).round(4)  # log(4 pi / 3)
    np.float64(1.4324)
    >>> log_ball_volume(100_000).round()
    np.float64(-433759.0)
    """
    n, radius = _dimension(n), _radius(radius)
    xp = array_namespace(radius)
    return xp.astype(_log_volume(n, at_least_float32(radius)), radius.dtype)


def ball_volume(n, radius=1.0):
    r"""Measure the ball by its volume.

    .. math:: V_n(r) = \frac{\pi^{n/2}}{\Gamma(n/2 + 1)}\, r^n

    Parameters
    ----------
    n : int
        Number of dimensions.
    radius : float or floating-point array
        :math:`r`, at least 0.

    Returns
    -------
    float or array
        The volume, with the shape and dtype of ``radius``. In many dimensions it leaves the
        range of floating-point numbers: the unit ball's is rounded to 0 from about 450
        dimensions on. Take ``log_ball_volume`` there.

    Raises
    ------
    TypeError
        If ``radius`` is neither a number nor a floating-point array.
    ValueError
        If ``n`` is not an integer of at least 1, or ``radius`` is negative or not finite.

    References
    ----------
    Ball (1997), "An elementary introduction to modern convex geometry", lecture 1.

    Examples
    --------
    >>> [float(ball_volume(n).round(3)) for n in (1, 2, 3, 5, 20)]
    [2.0, 3.142, 4.189, 5.264, 0.026]
    """
    n, radius = _dimension(n), _radius(radius)
    xp = array_namespace(radius)
    return xp.astype(xp.exp(_log_volume(n, at_least_float32(radius))), radius.dtype)


def shell_fraction(n, inner, outer=1.0):
    r"""Say how much of a ball lies in its outer shell.

    .. math::

        f = 1 - \left(\frac{r}{R}\right)^{n} = 1 - (1 - g)^n, \qquad g = \frac{R - r}{R}

    The second form is the one computed, so that a thin shell keeps its digits.

    Parameters
    ----------
    n : int
        Number of dimensions.
    inner : float or floating-point array
        :math:`r`, the radius where the shell begins: from 0 to ``outer``.
    outer : float or floating-point array
        :math:`R`, the radius of the ball, above 0. Broadcasts with ``inner``.

    Returns
    -------
    float or array
        The fraction of the volume farther than ``inner`` from the centre, from 0 to 1, with
        the common shape and dtype of the radii.

    Raises
    ------
    TypeError
        If a radius is neither a number nor a floating-point array.
    ValueError
        If ``n`` is not an integer of at least 1, the radii are not
        ``0 <= inner <= outer`` with a finite ``outer`` above 0, or their shapes do not fit.

    References
    ----------
    Ball (1997), "An elementary introduction to modern convex geometry", lecture 1.

    Examples
    --------
    >>> [float(shell_fraction(n, 0.99).round(4)) for n in (2, 10, 100, 768)]
    [0.0199, 0.0956, 0.634, 0.9996]
    """
    n, (inner, outer) = _dimension(n), _radii(inner, outer)
    xp = array_namespace(inner, outer)
    gap = (outer - inner) / outer
    # A gap of 1 is a ball without a hole. Its logarithm, -inf, would come with a warning.
    holed = gap < 1
    safe = at_least_float32(xp.where(holed, gap, xp.zeros_like(gap)))
    logarithm = xp.where(holed, xp.log1p(-safe), xp.full_like(safe, -inf))
    return xp.astype(-xp.expm1(n * logarithm), gap.dtype)


def radius_quantile(n, p):
    r"""Find the radius that a point drawn from the unit ball stays within with probability p.

    .. math:: P(\lVert X \rVert \le r) = r^n = p \quad\Longleftrightarrow\quad r = p^{1/n}

    Parameters
    ----------
    n : int
        Number of dimensions.
    p : float or floating-point array
        Probability, from 0 to 1. The median is at 1/2.

    Returns
    -------
    float or array
        The radius, from 0 to 1, with the shape and dtype of ``p``.

    Raises
    ------
    TypeError
        If ``p`` is neither a number nor a floating-point array.
    ValueError
        If ``n`` is not an integer of at least 1, or ``p`` not from 0 to 1.

    Examples
    --------
    >>> radius_quantile(2, 0.25)
    np.float64(0.5)
    >>> radius_quantile(100, 0.5).round(4)
    np.float64(0.9931)
    """
    n, (p,) = _dimension(n), _floating(p=p)
    _require((p >= 0) & (p <= 1), "p must lie between 0 and 1", p)
    return p ** (1 / n)


def radius_mean(n):
    r"""Average the radius of a point drawn from the unit ball.

    .. math:: E\,\lVert X \rVert = \int_0^1 r \cdot n r^{n-1}\, dr = \frac{n}{n + 1}

    Parameters
    ----------
    n : int
        Number of dimensions.

    Returns
    -------
    float
        The mean radius.

    Raises
    ------
    ValueError
        If ``n`` is not an integer of at least 1.

    Examples
    --------
    >>> radius_mean(3)
    0.75
    """
    n = _dimension(n)
    return n / (n + 1)


def radius_rms(n):
    r"""Take the root mean square of the radius of a point drawn from the unit ball.

    .. math::

        \sqrt{E\,\lVert X \rVert^2} = \sqrt{\int_0^1 r^2 \cdot n r^{n-1}\, dr}
                                    = \sqrt{\frac{n}{n + 2}}

    Parameters
    ----------
    n : int
        Number of dimensions.

    Returns
    -------
    float
        The root mean square of the radius.

    Raises
    ------
    ValueError
        If ``n`` is not an integer of at least 1.

    Examples
    --------
    >>> round(radius_rms(100), 4)
    0.9901
    """
    n = _dimension(n)
    return sqrt(n / (n + 2))


def sample_sphere(n, size, rng):
    r"""Draw points uniformly from the surface of the unit ball.

    .. math:: X = \frac{Z}{\lVert Z \rVert}, \qquad Z \sim \mathcal{N}(0, I_n)

    The normal density depends on the length of :math:`Z` only, so no direction is preferred.

    Parameters
    ----------
    n : int
        Number of dimensions.
    size : int
        Number of points.
    rng : numpy.random.Generator
        Where the randomness comes from.

    Returns
    -------
    numpy.ndarray of float64, shape (size, n)
        One point of length 1 per row.

    Raises
    ------
    TypeError
        If ``rng`` is not a ``numpy.random.Generator``.
    ValueError
        If ``n`` or ``size`` is not an integer of at least 1.

    References
    ----------
    Muller (1959), "A note on a method for generating points uniformly on n-dimensional
    spheres".

    Examples
    --------
    >>> import numpy as np
    >>> points = sample_sphere(3, 2, np.random.default_rng(0))
    >>> (points**2).sum(axis=1).round(12)
    array([1., 1.])
    """
    require_positive_integer(n=n, size=size)
    require_generator(rng)
    normal = rng.normal(size=(size, n))
    return normal / np.linalg.vector_norm(normal, axis=1, keepdims=True)


def sample_ball(n, size, rng):
    r"""Draw points uniformly from the unit ball: a direction, then a radius.

    .. math:: X = U^{1/n}\, \frac{Z}{\lVert Z \rVert}, \qquad
              Z \sim \mathcal{N}(0, I_n), \quad U \sim \mathcal{U}(0, 1)

    The radius is the quantile ``radius_quantile`` of a random probability :math:`U`.

    Parameters
    ----------
    n : int
        Number of dimensions.
    size : int
        Number of points.
    rng : numpy.random.Generator
        Where the randomness comes from.

    Returns
    -------
    numpy.ndarray of float64, shape (size, n)
        One point per row.

    Raises
    ------
    TypeError
        If ``rng`` is not a ``numpy.random.Generator``.
    ValueError
        If ``n`` or ``size`` is not an integer of at least 1.

    References
    ----------
    Muller (1959), "A note on a method for generating points uniformly on n-dimensional
    spheres", for the direction.

    Examples
    --------
    >>> import numpy as np
    >>> sample_ball(2, 3, np.random.default_rng(0)).shape
    (3, 2)
    """
    directions = sample_sphere(n, size, rng)
    return directions * radius_quantile(n, rng.random((size, 1)))


def cosine_similarity(x, y):
    r"""Compare the directions of two vectors, whatever their lengths.

    .. math:: \cos \theta = \frac{x \cdot y}{\lVert x \rVert\, \lVert y \rVert}

    Parameters
    ----------
    x, y : array, floating-point, shape (..., n)
        Vectors along the last axis; the axes before it broadcast.

    Returns
    -------
    array, shape (...)
        From -1 (opposite) over 0 (orthogonal) to 1 (the same direction). Between two random
        directions it has mean 0 and variance :math:`1/n`.

    Raises
    ------
    TypeError
        If ``x`` or ``y`` is not a floating-point array.
    ValueError
        If the shapes do not fit together, or a vector has no direction: all zeros, or an entry
        that is not finite. To know that, the values are looked at.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.asarray([[3.0, 4.0], [0.0, -2.0]])
    >>> cosine_similarity(x, np.asarray([0.0, 1.0]))
    array([ 0.8, -1. ])
    """
    _require_fitting(x, y)
    xp = array_namespace(x, y)
    u, v = _within_one("x", x), _within_one("y", y)
    cosine = _dot(u, v) / (xp.sqrt(_dot(u, u)) * xp.sqrt(_dot(v, v)))
    # Rounding may lead beyond 1, where the angle's arccosine would be NaN.
    cosine = cosine / xp.maximum(xp.abs(cosine), xp.ones_like(cosine))
    return xp.astype(cosine, xp.result_type(x, y))


def johnson_lindenstrauss_dimension(n_points, distortion):
    r"""Say how few dimensions can hold the distances between many points.

    .. math:: k = \left\lceil \frac{4 \ln N}{\varepsilon^2/2 - \varepsilon^3/3} \right\rceil

    For any :math:`N` points, of however many dimensions, there is a linear map to :math:`k`
    dimensions that changes every squared distance by at most the factor
    :math:`1 \pm \varepsilon`. The number of dimensions that the points come from does not enter.

    Parameters
    ----------
    n_points : int
        :math:`N`, the number of points.
    distortion : float
        :math:`\varepsilon`, between 0 and 1, both excluded.

    Returns
    -------
    int
        :math:`k`, at least 1. It is what the theorem guarantees; fewer may do.

    Raises
    ------
    ValueError
        If ``n_points`` is not an integer of at least 1, or ``distortion`` not between 0 and 1.

    References
    ----------
    Dasgupta and Gupta (2003), "An elementary proof of a theorem of Johnson and Lindenstrauss",
    theorem 2.1.

    Examples
    --------
    >>> johnson_lindenstrauss_dimension(50_000, 0.5)
    520
    """
    require_positive_integer(n_points=n_points)
    if not isinstance(distortion, Real) or not 0 < distortion < 1:
        raise ValueError(f"distortion must lie between 0 and 1, got {distortion!r}")
    least = 4 * log(n_points) / (distortion**2 / 2 - distortion**3 / 3)
    return max(1, ceil(least))


def _log_volume(n, radius):
    xp = array_namespace(radius)
    of_unit_ball = n / 2 * log(pi) - lgamma(n / 2 + 1)
    # The logarithm of 0, -inf, would come with a warning.
    positive = radius > 0
    safe = xp.where(positive, radius, xp.ones_like(radius))
    logarithm = xp.where(positive, xp.log(safe), xp.full_like(safe, -inf))
    return of_unit_ball + n * logarithm


def _within_one(name, x):
    """Scale each vector such that its largest entry is 1 or -1."""
    xp = array_namespace(x)
    x = at_least_float32(x)
    largest = xp.max(xp.abs(x), axis=-1, keepdims=True)
    pointing = (largest > 0) & xp.isfinite(largest)
    _require(pointing, f"each vector of {name} must be finite and not 0", largest)
    # So the squares can neither overflow nor all vanish.
    return x / largest


def _dot(x, y):
    # Not sum(x * y), which would keep all products of all pairs at once.
    return (x[..., None, :] @ y[..., :, None])[..., 0, 0]


def _dimension(n):
    require_positive_integer(n=n)
    return int(n)


def _radius(radius):
    (radius,) = _floating(radius=radius)
    _require_radius(radius=radius)
    return radius


def _radii(inner, outer):
    inner, outer = _floating(inner=inner, outer=outer)
    _require_broadcastable(inner=inner, outer=outer)
    _require_radius(inner=inner, outer=outer)
    _require(outer > 0, "outer must be above 0", outer)
    _require(inner <= outer, "inner must be at most outer", inner)
    return inner, outer


def _floating(**values):
    """Bring numbers and arrays to one library: that of the arrays, else NumPy."""
    arrays = {name: x for name, x in values.items() if not isinstance(x, Real)}
    if not arrays:
        return [np.float64(number) for number in values.values()]
    require_floating(**arrays)
    xp, like = array_namespace(*arrays.values()), next(iter(arrays.values()))
    return [
        x if name in arrays else xp.asarray(x, dtype=like.dtype, device=device(like))
        for name, x in values.items()
    ]


def _require(right, expected, x):
    if not bool(array_namespace(right).all(right)):
        xp = array_namespace(x)
        wrong = xp.max(xp.where(right, xp.full_like(x, -inf), x))
        raise ValueError(f"{expected}, got {wrong}")


def _require_radius(**radii):
    for name, radius in radii.items():
        right = (radius >= 0) & array_namespace(radius).isfinite(radius)
        _require(right, f"{name} must be finite and at least 0", radius)


def _require_fitting(x, y):
    require_floating(x=x, y=y)
    for name, vectors in (("x", x), ("y", y)):
        if vectors.ndim < 1 or vectors.shape[-1] < 1:
            raise ValueError(
                f"{name} must have a last axis of at least one feature, "
                f"got shape {tuple(vectors.shape)}"
            )
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(
            "x and y must have the same last dimension, "
            f"got {x.shape[-1]} and {y.shape[-1]}"
        )
    _require_broadcastable(x=x, y=y)


def _require_broadcastable(**arrays):
    shapes = [tuple(array.shape) for array in arrays.values()]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"the shapes of {' and '.join(arrays)} must broadcast, "
            f"got {' and '.join(map(str, shapes))}"
        ) from None
