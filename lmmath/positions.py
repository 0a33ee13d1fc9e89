r"""Positions: three ways to tell attention, which sees a set, that a text is a sequence.

Sinusoids are added to the embeddings, rotations turn queries and keys, and ALiBi lowers the
scores of what is far away. Positions count from 0. The features :math:`2i` and
:math:`2i + 1` form pair :math:`i`, and each pair has a frequency of its own.
"""

from math import isfinite
from numbers import Integral, Real

import numpy as np
from array_api_compat import array_namespace

from lmmath._arrays import to_library_of
from lmmath._checks import (
    require_floating,
    require_matrices,
    require_positions,
    require_positive,
    require_positive_integer,
)


def frequencies(d_model, base=10_000):
    r"""Give each pair of features the speed at which it turns.

    .. math:: \omega_i = b^{-2i/d}, \qquad i = 0, \dots, d/2 - 1

    The wavelengths :math:`2\pi / \omega_i` grow geometrically, from :math:`2\pi` positions
    for the first pair towards :math:`2\pi b` for the last.

    Parameters
    ----------
    d_model : int
        :math:`d`, the number of features: even.
    base : float
        :math:`b`, dimensionless, above 0.

    Returns
    -------
    numpy.ndarray of float64, shape (d_model / 2,)
        :math:`\omega`, in radians per position.

    Raises
    ------
    ValueError
        If ``d_model`` is not an even integer of at least 2, or ``base`` not finite and above 0.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3.5.

    Examples
    --------
    >>> frequencies(8)
    array([1.   , 0.1  , 0.01 , 0.001])
    """
    _require_even("d_model", d_model)
    require_positive(base=base)
    return float(base) ** (-np.arange(0, d_model, 2) / d_model)


def sinusoidal_encoding(n_positions, d_model, base=10_000):
    r"""Encode each position as the hands of many clocks, fast and slow.

    .. math::

        PE_{p,\,2i} = \sin(p\,\omega_i), \qquad PE_{p,\,2i+1} = \cos(p\,\omega_i),
        \qquad \omega_i = b^{-2i/d}

    Parameters
    ----------
    n_positions : int
        Number of positions :math:`p = 0, 1, \dots`
    d_model : int
        :math:`d`, the number of features: even.
    base : float
        :math:`b`, dimensionless, above 0.

    Returns
    -------
    numpy.ndarray of float64, shape (n_positions, d_model)
        One row per position, each of length :math:`\sqrt{d/2}`.

    Raises
    ------
    ValueError
        If ``n_positions`` is not an integer of at least 1, ``d_model`` not an even one of at
        least 2, or ``base`` not finite and above 0.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3.5.

    Examples
    --------
    >>> sinusoidal_encoding(2, 4).round(4)
    array([[0.    , 1.    , 0.    , 1.    ],
           [0.8415, 0.5403, 0.01  , 1.    ]])
    """
    require_positive_integer(n_positions=n_positions)
    angles = np.arange(n_positions)[:, None] * frequencies(d_model, base)
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)  # (position, i, 2)
    return pairs.reshape(n_positions, d_model)


def offset_rotation(offset, d_model, base=10_000):
    r"""Build the rotation that moves every sinusoidal encoding by the same distance.

    .. math::

        PE_{p+k} = PE_p\, R_k, \qquad
        R_k = \operatorname{diag}\!\left(
        \begin{pmatrix} \cos k\omega_i & -\sin k\omega_i \\
                        \sin k\omega_i & \cos k\omega_i \end{pmatrix}
        \right)_{i = 0, \dots, d/2 - 1}

    The matrix depends on the distance :math:`k` alone, not on the position :math:`p`.

    Parameters
    ----------
    offset : float
        :math:`k`, in positions: any finite number, negative or fractional too.
    d_model : int
        :math:`d`, the number of features: even.
    base : float
        :math:`b` in :math:`\omega_i = b^{-2i/d}`, dimensionless, above 0.

    Returns
    -------
    numpy.ndarray of float64, shape (d_model, d_model)
        :math:`R_k`, orthogonal, with 2 by 2 blocks on the diagonal.

    Raises
    ------
    ValueError
        If ``offset`` is not a finite number, ``d_model`` not an even integer of at least 2, or
        ``base`` not finite and above 0.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3.5, where it is claimed.

    Examples
    --------
    >>> import numpy as np
    >>> encoding = sinusoidal_encoding(9, 4)
    >>> np.allclose(encoding[5] @ offset_rotation(3, 4), encoding[8])
    True
    """
    if not isinstance(offset, Real) or not isfinite(offset):
        raise ValueError(f"offset must be a finite number, got {offset!r}")
    angles = float(offset) * frequencies(d_model, base)
    cosines, sines = np.diag(np.cos(angles)), np.diag(np.sin(angles))
    return np.kron(cosines, [[1, 0], [0, 1]]) + np.kron(sines, [[0, -1], [1, 0]])


def rotary_embedding(x, positions=None, base=10_000):
    r"""Turn each pair of features by an angle proportional to the position.

    .. math::

        \begin{pmatrix} y_{2i} \\ y_{2i+1} \end{pmatrix} =
        \begin{pmatrix} \cos p\omega_i & -\sin p\omega_i \\
                        \sin p\omega_i & \cos p\omega_i \end{pmatrix}
        \begin{pmatrix} x_{2i} \\ x_{2i+1} \end{pmatrix},
        \qquad \omega_i = b^{-2i/d}

    Applied to queries and keys, before their dot product, it leaves a score that depends on
    the distance of the two positions only.

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_head)
        Queries or keys, one position per row; :math:`d` is ``d_head``, even.
    positions : array of integers or floating-point numbers, broadcastable to (..., n), optional
        :math:`p` of each row; 0, 1, ... if not given. The texts of a batch may have positions of
        their own, as padded and packed ones do. May be a NumPy array whatever ``x`` is. It counts
        as a constant.
    base : float
        :math:`b`, dimensionless, above 0.

    Returns
    -------
    array
        The turned features, with the shape and dtype of ``x``. The angles are float64 even if
        ``x`` is not: in float16 the position 2049 does not exist.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array, or ``positions`` not an array of numbers.
    ValueError
        If the last axis of ``x`` is not even, ``positions`` does not broadcast against the rows
        of ``x``, or ``base`` is not finite and above 0.

    Notes
    -----
    Some programs (GPT-NeoX's, Llama's) pair feature :math:`i` with :math:`i + d/2` instead.
    That is the same function with the features in another order, so a checkpoint made for one
    must have the columns of its query and key matrices reordered for the other.

    References
    ----------
    Su et al. (2021), "RoFormer: Enhanced transformer with rotary position embedding",
    equations 15 and 34.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.asarray([[1.0, 0.0], [1.0, 0.0]])
    >>> rotary_embedding(x, np.asarray([0, np.pi / 2])).round(12)
    array([[1., 0.],
           [0., 1.]])
    """
    require_floating(x=x)
    require_matrices(x=x)
    n, d_head = x.shape[-2:]
    positions = np.arange(n) if positions is None else positions
    _require_even("the last axis of x", d_head)
    require_positions(positions, x.shape[:-1])
    return turn_pairs(x, *cosine_and_sine(positions, d_head, base, like=x))


def turn_pairs(x, cosine, sine):
    r"""Turn each pair of neighbouring features by an angle whose cosine and sine are given.

    .. math::

        \begin{aligned}
        y_{2i} &= x_{2i} \cos\alpha_i - x_{2i+1} \sin\alpha_i \\
        y_{2i+1} &= x_{2i} \sin\alpha_i + x_{2i+1} \cos\alpha_i
        \end{aligned}

    Parameters
    ----------
    x : array, floating-point, shape (..., d)
    cosine, sine : array, broadcastable to (..., d / 2)
        As ``cosine_and_sine`` gives them.

    Returns
    -------
    array, shape (..., d)

    Examples
    --------
    >>> import numpy as np
    >>> turn_pairs(np.asarray([1.0, 2.0]), np.asarray([0.0]), np.asarray([1.0]))
    array([-2.,  1.])
    """
    xp = array_namespace(x)
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = xp.stack([even * cosine - odd * sine, even * sine + odd * cosine], axis=-1)
    return xp.reshape(pairs, x.shape)


def cosine_and_sine(positions, d_head, base=10_000, like=None):
    r"""Give the cosine and the sine of the angle by which each pair turns at each position.

    .. math:: \cos p\omega_i, \quad \sin p\omega_i, \qquad \omega_i = b^{-2i/d}

    A model turns queries and keys alike in all its layers, so it computes them once.

    Parameters
    ----------
    positions : array of integers or floating-point numbers, shape (...)
        :math:`p`.
    d_head : int
        :math:`d`, even.
    base : float
        :math:`b`, dimensionless, above 0.
    like : array, optional
        Whose library, device and dtype the result has; else those of ``positions``, in float64.

    Returns
    -------
    cosine, sine : array, shape (..., d_head / 2)
        Computed in float64 in any case.

    Examples
    --------
    >>> import numpy as np
    >>> cosine, sine = cosine_and_sine(np.asarray([0, np.pi]), d_head=2)
    >>> cosine
    array([[ 1.],
           [-1.]])
    """
    xp = array_namespace(positions)
    speeds = to_library_of(positions, frequencies(d_head, base))
    angles = xp.astype(positions, xp.float64)[..., None] * speeds
    parts = xp.cos(angles), xp.sin(angles)
    return (
        parts if like is None else [to_library_of(like, x, like.dtype) for x in parts]
    )


def alibi_slopes(n_heads):
    r"""Give each head its own dislike of distance.

    .. math:: m_h = 2^{-8h/H}, \qquad h = 1, \dots, H

    That is for :math:`H` a power of two. Otherwise the first heads have the slopes of the next
    lower power of two, and the others take the first, third, fifth, ... of twice that power.

    Parameters
    ----------
    n_heads : int
        :math:`H`, the number of heads.

    Returns
    -------
    numpy.ndarray of float64, shape (n_heads,)
        :math:`m`, what a score loses for each position of distance.

    Raises
    ------
    ValueError
        If ``n_heads`` is not an integer of at least 1.

    References
    ----------
    Press, Smith and Lewis (2022), "Train short, test long: Attention with linear biases enables
    input length extrapolation", section 3. The rule for other numbers of heads is that of the
    program published with the paper.

    Examples
    --------
    >>> alibi_slopes(4)
    array([0.25      , 0.0625    , 0.015625  , 0.00390625])
    >>> alibi_slopes(3)
    array([0.0625    , 0.00390625, 0.25      ])
    """
    require_positive_integer(n_heads=n_heads)
    power = 2 ** (int(n_heads).bit_length() - 1)
    others = _geometric_slopes(2 * power)[::2]
    return np.concatenate([_geometric_slopes(power), others[: n_heads - power]])


def alibi_bias(n_heads, n_queries, n_keys=None):
    r"""Lower each score in proportion to the distance between query and key.

    .. math::

        B_{hij} = -m_h\, |i + n_k - n_q - j|, \qquad
        A_h = \operatorname{softmax}\!\left(\frac{Q_h K_h^\top}{\sqrt{d_k}} + B_h\right)

    The last query stands at the last key, so that queries may be fewer than keys, as when the
    keys of earlier positions are kept. The paper has only keys before the query. Keys after it
    are treated alike here: a decoder's mask hides them.

    Parameters
    ----------
    n_heads : int
        Number of heads :math:`h`, each with its slope :math:`m_h`.
    n_queries : int
        :math:`n_q`, number of queries :math:`i`.
    n_keys : int, optional
        :math:`n_k`, number of keys :math:`j`, at least ``n_queries``; equal if not given.

    Returns
    -------
    numpy.ndarray of float64, shape (n_heads, n_queries, n_keys)
        :math:`B`, to be added to the scaled scores.

    Raises
    ------
    ValueError
        If an argument is not an integer of at least 1, or there are more queries than keys.

    References
    ----------
    Press, Smith and Lewis (2022), "Train short, test long: Attention with linear biases enables
    input length extrapolation", section 3.

    Examples
    --------
    >>> alibi_bias(n_heads=8, n_queries=2, n_keys=3)[0]  # the slope of the first head is 1/2
    array([[-0.5,  0. , -0.5],
           [-1. , -0.5,  0. ]])
    """
    n_keys = n_queries if n_keys is None else n_keys
    require_positive_integer(n_queries=n_queries, n_keys=n_keys)
    if n_keys < n_queries:
        raise ValueError(
            f"n_keys must be at least n_queries, {n_queries}, got {n_keys}"
        )
    keys = np.arange(n_keys)
    queries = keys[n_keys - n_queries :]
    distances = np.abs(queries[:, None] - keys)
    return alibi_slopes(n_heads)[:, None, None] * -distances


def _geometric_slopes(n_heads):
    return 2.0 ** (-8 * np.arange(1, n_heads + 1) / n_heads)


def _require_even(name, number):
    if not isinstance(number, Integral) or number < 2 or number % 2:
        raise ValueError(
            f"{name} must be an even integer of at least 2, got {number!r}"
        )
