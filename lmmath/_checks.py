"""Argument checks that name the argument, what was expected and what came."""

from math import inf
from numbers import Integral, Real

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj


def require_floating(**arrays):
    """Raise TypeError unless every keyword argument is a floating-point array.

    >>> require_floating(x=[1.0, 2.0])
    Traceback (most recent call last):
        ...
    TypeError: x must be an array of floating-point numbers, got list
    """
    for name, array in arrays.items():
        if _is_plainly_floating(getattr(array, "dtype", None)):
            continue
        if not is_array_api_obj(array):
            came = type(array).__name__
        elif not array_namespace(array).isdtype(array.dtype, "real floating"):
            came = f"dtype {array.dtype}"
        else:
            continue
        raise TypeError(
            f"{name} must be an array of floating-point numbers, got {came}"
        )


def _is_plainly_floating(dtype):
    """Tell of NumPy's and PyTorch's dtypes, without asking the standard, which takes longer."""
    return getattr(dtype, "kind", None) == "f" or getattr(
        dtype, "is_floating_point", False
    )


def require_matrices(**arrays):
    """Raise ValueError unless every keyword argument has at least two axes."""
    for name, array in arrays.items():
        if array.ndim < 2:
            raise ValueError(
                f"{name} must have at least two axes (positions, features), "
                f"got shape {tuple(array.shape)}"
            )


def require_positive_integer(**numbers):
    """Raise ValueError unless every keyword argument is an integer of at least 1.

    >>> require_positive_integer(n_heads=0)
    Traceback (most recent call last):
        ...
    ValueError: n_heads must be an integer of at least 1, got 0
    """
    for name, number in numbers.items():
        if not isinstance(number, Integral) or isinstance(number, bool) or number < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")


def require_count(**numbers):
    """Raise ValueError unless every keyword argument is an integer of at least 0.

    >>> require_count(n_past=-1)
    Traceback (most recent call last):
        ...
    ValueError: n_past must be an integer of at least 0, got -1
    """
    for name, number in numbers.items():
        if not isinstance(number, Integral) or isinstance(number, bool) or number < 0:
            raise ValueError(f"{name} must be an integer of at least 0, got {number!r}")


def require_positive(**numbers):
    """Raise ValueError unless every keyword argument is a finite number above 0.

    >>> require_positive(temperature=float("nan"))
    Traceback (most recent call last):
        ...
    ValueError: temperature must be a finite number above 0, got nan
    """
    for name, number in numbers.items():
        if not isinstance(number, Real) or not 0 < number < inf:
            raise ValueError(f"{name} must be a finite number above 0, got {number!r}")


def require_generator(rng):
    """Raise TypeError unless ``rng`` is a generator of NumPy's.

    >>> require_generator(42)
    Traceback (most recent call last):
        ...
    TypeError: rng must be a numpy.random.Generator, got int
    """
    if not isinstance(rng, np.random.Generator):
        came = type(rng).__name__
        raise TypeError(f"rng must be a numpy.random.Generator, got {came}")


def require_from_0_to(highest, **numbers):
    """Raise ValueError unless every keyword argument is a number from 0 to ``highest``.

    >>> require_from_0_to(1, min_p=1.5)
    Traceback (most recent call last):
        ...
    ValueError: min_p must be a number from 0 to 1, got 1.5
    """
    for name, number in numbers.items():
        if not isinstance(number, Real) or not 0 <= number <= highest:
            raise ValueError(
                f"{name} must be a number from 0 to {highest}, got {number!r}"
            )


def require_below(limit, **numbers):
    """Raise ValueError unless every keyword argument is at least 0 and below ``limit``.

    >>> require_below(1, momentum=1.0)
    Traceback (most recent call last):
        ...
    ValueError: momentum must be a number of at least 0 and below 1, got 1.0
    """
    for name, number in numbers.items():
        if not isinstance(number, Real) or not 0 <= number < limit:
            raise ValueError(
                f"{name} must be a number of at least 0 and below {limit}, got {number!r}"
            )


def require_integers(**arrays):
    """Raise TypeError unless every keyword argument is an array of integers.

    >>> require_integers(tokens=[1, 2])
    Traceback (most recent call last):
        ...
    TypeError: tokens must be an array of integers, got list
    """
    for name, array in arrays.items():
        if not is_array_api_obj(array):
            came = type(array).__name__
        elif not array_namespace(array).isdtype(array.dtype, "integral"):
            came = f"dtype {array.dtype}"
        else:
            continue
        raise TypeError(f"{name} must be an array of integers, got {came}")


def require_ids(n, **arrays):
    """Raise unless every keyword argument is an array of integers from 0 to ``n - 1``.

    >>> import numpy as np
    >>> require_ids(5, tokens=np.asarray([4, 5]))
    Traceback (most recent call last):
        ...
    ValueError: tokens must lie between 0 and 4, got 5
    """
    require_integers(**arrays)
    for name, array in arrays.items():
        if 0 in array.shape:
            continue
        xp = array_namespace(array)
        smallest, largest = int(xp.min(array)), int(xp.max(array))
        if smallest < 0 or largest >= n:
            wrong = smallest if smallest < 0 else largest
            raise ValueError(f"{name} must lie between 0 and {n - 1}, got {wrong}")


def require_shape(shape, **arrays):
    """Raise unless every keyword argument is a floating-point array of this shape.

    >>> import numpy as np
    >>> require_shape((3,), b=np.zeros(4))
    Traceback (most recent call last):
        ...
    ValueError: b must have shape (3,), got (4,)
    """
    require_floating(**arrays)
    for name, array in arrays.items():
        if tuple(array.shape) != tuple(shape):
            raise ValueError(
                f"{name} must have shape {tuple(shape)}, got {tuple(array.shape)}"
            )


def require_projection(of, length, **matrices):
    """Raise unless every keyword argument is a matrix that multiplies rows of ``length``.

    >>> import numpy as np
    >>> require_projection("the last axis of x", 3, w=np.zeros((4, 2)))
    Traceback (most recent call last):
        ...
    ValueError: w must have two axes, the first as long as the last axis of x (3), got shape (4, 2)
    """
    require_floating(**matrices)
    for name, w in matrices.items():
        if w.ndim != 2 or w.shape[0] != length:
            raise ValueError(
                f"{name} must have two axes, the first as long as {of} ({length}), "
                f"got shape {tuple(w.shape)}"
            )


def require_axis(ndim, of, axis):
    """Raise ValueError unless ``axis`` is one of the ``ndim`` axes of what ``of`` names.

    >>> require_axis(2, "x", None)
    Traceback (most recent call last):
        ...
    ValueError: axis must be one of the 2 axes of x, got None
    """
    whole = isinstance(axis, Integral) and not isinstance(axis, bool)
    if not whole or not -ndim <= axis < ndim:
        raise ValueError(f"axis must be one of the {ndim} axes of {of}, got {axis!r}")


def require_positions(positions, rows):
    """Raise unless there is a position for each of the rows of x, which have this shape."""
    rows = tuple(rows)
    kinds = ("integral", "real floating")
    if not is_array_api_obj(positions):
        came = type(positions).__name__
        raise TypeError(f"positions must be an array of numbers, got {came}")
    if not array_namespace(positions).isdtype(positions.dtype, kinds):
        raise TypeError(
            f"positions must be an array of numbers, got dtype {positions.dtype}"
        )
    try:
        fits = np.broadcast_shapes(positions.shape, rows) == rows
    except ValueError:
        fits = False
    if not fits or positions.ndim == 0:
        raise ValueError(
            f"positions must broadcast against the rows of x, which have shape {rows}, "
            f"got shape {tuple(positions.shape)}"
        )
