"""Argument checks that name the argument, what was expected and what came."""

from numbers import Integral

from array_api_compat import array_namespace, is_array_api_obj


def require_floating(**arrays):
    """Raise TypeError unless every keyword argument is a floating-point array.

    >>> require_floating(x=[1.0, 2.0])
    Traceback (most recent call last):
        ...
    TypeError: x must be an array of floating-point numbers, got list
    """
    for name, array in arrays.items():
        if not is_array_api_obj(array):
            came = type(array).__name__
        elif not array_namespace(array).isdtype(array.dtype, "real floating"):
            came = f"dtype {array.dtype}"
        else:
            continue
        raise TypeError(
            f"{name} must be an array of floating-point numbers, got {came}"
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
