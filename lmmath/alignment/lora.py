r"""Low-rank adaptation: leave a matrix as it is, and learn a thin product beside it.

Vectors are rows, as everywhere in the book: :math:`x W`. What Hu et al. (2021) write as
:math:`W x + B A x` is :math:`x W + x A B` here.
"""

import numpy as np

from lmmath._arrays import in_float32
from lmmath._checks import (
    require_floating,
    require_generator,
    require_positive,
    require_positive_integer,
)


def init_lora(d_in, d_out, rank, rng, dtype=np.float32):
    r"""Draw the two factors of an update that is zero at the start.

    .. math:: A_{ij} \sim \mathcal{N}(0, 1 / d_\text{in}), \qquad B = 0

    Parameters
    ----------
    d_in, d_out : int
        The shape of the matrix that is adapted.
    rank : int
        :math:`r`, at most the smaller of the two.
    rng : numpy.random.Generator
    dtype : NumPy dtype

    Returns
    -------
    a : numpy.ndarray, shape (d_in, rank)
    b : numpy.ndarray, shape (rank, d_out)

    Raises
    ------
    TypeError
        If ``rng`` is not a generator.
    ValueError
        If a size is not an integer of at least 1, or the rank larger than a rank can be.

    References
    ----------
    Hu et al. (2021), "LoRA: Low-rank adaptation of large language models", section 4.1. It
    leaves the variance open; here an even input gives entries of about its size.

    Examples
    --------
    >>> a, b = init_lora(6, 4, 2, np.random.default_rng(0))
    >>> a.shape, b.shape, np.any(lora_update(a, b, alpha=2.0))
    ((6, 2), (2, 4), np.False_)
    """
    _require_rank(d_in, d_out, rank)
    require_generator(rng)
    a = rng.normal(scale=d_in**-0.5, size=(d_in, rank))
    return a.astype(dtype), np.zeros((rank, d_out), dtype)


@in_float32("a", "b")
def lora_update(a, b, alpha):
    r"""Multiply the two thin matrices out: what low-rank adaptation adds to a matrix.

    .. math:: \Delta W = \frac{\alpha}{r} A B

    Parameters
    ----------
    a : array, floating-point, shape (d_in, r)
        :math:`A`, from the input down to :math:`r` numbers.
    b : array, floating-point, shape (r, d_out)
        :math:`B`, from there up to the output.
    alpha : float
        :math:`\alpha`, above 0. Divided by the rank, it keeps the size of the update when the
        rank is changed.

    Returns
    -------
    array, shape (d_in, d_out)
        Of rank :math:`r` at most.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together, or ``alpha`` is not a finite number above 0.

    References
    ----------
    Hu et al. (2021), "LoRA: Low-rank adaptation of large language models", equation 3.

    Examples
    --------
    >>> lora_update(np.asarray([[1.0], [2.0]]), np.asarray([[3.0, 0.0, 1.0]]), alpha=1.0)
    array([[3., 0., 1.],
           [6., 0., 2.]])
    """
    require_floating(a=a, b=b)
    require_positive(alpha=alpha)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or a.shape[1] == 0:
        raise ValueError(
            "a and b must have shapes (d_in, r) and (r, d_out), "
            f"got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    return (alpha / a.shape[1]) * (a @ b)


@in_float32("w", "a", "b")
def lora_merge(w, a, b, alpha):
    r"""Add an update to its matrix, so that the model costs what it did before.

    .. math:: W' = W + \frac{\alpha}{r} A B, \qquad x W' = x W + \frac{\alpha}{r} (x A) B

    Parameters
    ----------
    w : array, floating-point, shape (d_in, d_out)
        :math:`W`.
    a, b, alpha
        As in ``lora_update``.

    Returns
    -------
    array, shape (d_in, d_out)

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together, or ``alpha`` is not a finite number above 0.

    References
    ----------
    Hu et al. (2021), "LoRA: Low-rank adaptation of large language models", section 4.1, "No
    additional inference latency".

    Examples
    --------
    >>> lora_merge(np.eye(2), np.asarray([[1.0], [2.0]]), np.asarray([[0.5, 0.0]]), alpha=2.0)
    array([[2., 0.],
           [2., 1.]])
    """
    require_floating(w=w)
    update = lora_update(a, b, alpha)
    if tuple(w.shape) != tuple(update.shape):
        raise ValueError(
            f"w must have the shape of the update, {tuple(update.shape)}, "
            f"got {tuple(w.shape)}"
        )
    return w + update


@in_float32("x", "w", "a", "b")
def lora_dense(x, w, a, b, alpha):
    r"""Multiply by a matrix and its update, without making the update.

    .. math:: y = x W + \frac{\alpha}{r} (x A) B

    Parameters
    ----------
    x : array, floating-point, shape (..., d_in)
    w, a, b, alpha
        As in ``lora_merge``.

    Returns
    -------
    array, shape (..., d_out)
        What ``x @ lora_merge(w, a, b, alpha)`` is, up to rounding.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``alpha`` is not a finite number above 0.

    References
    ----------
    Hu et al. (2021), "LoRA: Low-rank adaptation of large language models", equation 3.

    Examples
    --------
    >>> a, b = np.asarray([[1.0], [2.0]]), np.asarray([[0.5, 0.0]])
    >>> lora_dense(np.asarray([1.0, 1.0]), np.eye(2), a, b, alpha=2.0)
    array([4., 1.])
    """
    require_floating(x=x, w=w, a=a, b=b)
    require_positive(alpha=alpha)
    return x @ w + (alpha / a.shape[1]) * ((x @ a) @ b)


def lora_parameter_count(d_in, d_out, rank):
    r"""Count what low-rank adaptation of one matrix learns.

    .. math:: r\,(d_\text{in} + d_\text{out}) \quad \text{instead of} \quad
              d_\text{in}\, d_\text{out}

    Parameters
    ----------
    d_in, d_out, rank : int

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1, or the rank larger than a rank can be.

    Examples
    --------
    One matrix of GPT-3, of 151 million parameters:

    >>> lora_parameter_count(12_288, 12_288, rank=4)
    98304
    """
    _require_rank(d_in, d_out, rank)
    return rank * (d_in + d_out)


def _require_rank(d_in, d_out, rank):
    require_positive_integer(d_in=d_in, d_out=d_out, rank=rank)
    if rank > min(d_in, d_out):
        raise ValueError(
            f"rank must be at most the smaller of d_in and d_out ({min(d_in, d_out)}), "
            f"got {rank}"
        )
