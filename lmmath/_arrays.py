"""What formulas need to run on arrays of every library and precision."""

from functools import wraps
from inspect import signature

import numpy as np
from array_api_compat import (
    array_namespace,
    device,
    is_numpy_array,
    is_torch_array,
    to_device,
)

# What NumPy looks up and counts with: 64 bits, but 32 in a browser, where it takes no wider ones.
INDEX = np.dtype(np.intp).name


def at_least_float32(x):
    """Widen float16 and bfloat16 to float32; leave float32 and float64 as they are.

    Sums and squares then have room: float16 ends at 65504.

    >>> at_least_float32(np.ones(2, np.float16)).dtype
    dtype('float32')
    """
    xp = array_namespace(x)
    return xp.astype(x, xp.float32) if xp.finfo(x.dtype).bits < 32 else x


def in_float32(*names, but_not=lambda array: False):
    """Let a formula compute float16 and bfloat16 in float32, and round once, at the end.

    ``names`` are the arguments that are widened. Together they decide the dtype of the result.
    Nothing changes for arrays of which ``but_not`` says that the function sees to it itself.

    >>> @in_float32("x")
    ... def total(x):
    ...     return array_namespace(x).sum(x)
    >>> total(np.ones(4096, np.float16) / 4096)  # added up in float16, it may stop growing
    np.float16(1.0)
    """

    def widened(formula):
        order = list(signature(formula).parameters)
        places = [(order.index(name), name) for name in names]

        @wraps(formula)
        def computed(*arguments, **options):
            if not any(map(_is_narrow, (*arguments, *options.values()))):
                return formula(*arguments, **options)
            given = [
                arguments[i] if i < len(arguments) else options.get(name)
                for i, name in places
            ]
            if but_not(given[0]):
                return formula(*arguments, **options)
            arguments = list(arguments)
            for (i, name), array in zip(places, given, strict=True):
                if _is_narrow(array):
                    array = at_least_float32(array)
                if i < len(arguments):
                    arguments[i] = array
                elif name in options:
                    options[name] = array
            result = formula(*arguments, **options)
            xp = array_namespace(result)
            dtypes = [array.dtype for array in given if array is not None]
            return xp.astype(result, xp.result_type(*dtypes), copy=False)

        return computed

    return widened


def _is_narrow(array):
    """Tell of any argument whether it holds floating-point numbers of fewer than 32 bits."""
    dtype = getattr(array, "dtype", None)
    return getattr(dtype, "itemsize", 4) < 4 and (
        getattr(dtype, "kind", None) == "f"
        or getattr(dtype, "is_floating_point", False)
    )


def is_of_torch(x):
    """Tell whether this is a tensor of PyTorch's, for which it may have a kernel.

    >>> is_of_torch(np.ones(2))
    False
    """
    # NumPy first: where PyTorch's import is blocked, the second question has no answer.
    return not is_numpy_array(x) and is_torch_array(x)


def without_gradient(x):
    """Give the same numbers as a constant, in the libraries that differentiate.

    >>> without_gradient(np.ones(2))
    array([1., 1.])
    """
    return x.detach() if hasattr(x, "detach") else x


def to_library_of(like, array, dtype=None):
    """Bring an array, often one of NumPy's, to the library and the device of another.

    >>> from lmmath.autodiff import Tensor
    >>> to_library_of(Tensor([1.0]), np.asarray([2, 3]), np.float32)
    Tensor([2., 3.], dtype=float32)
    """
    xp = array_namespace(like)
    if array_namespace(array) is not xp:
        if isinstance(array, np.ndarray):
            # A copy: PyTorch takes no read-only and no reversed arrays.
            array = np.array(array)
        array = xp.asarray(array, device=device(like))
    elif device(array) != device(like):
        array = to_device(array, device(like))
    return array if dtype is None else xp.astype(array, dtype, copy=False)


def to_numpy(array):
    """Bring an array to NumPy, as a constant; bfloat16, which NumPy has not, as float32.

    >>> to_numpy(np.float32([1, 2]))
    array([1., 2.], dtype=float32)
    """
    if not is_numpy_array(array) and is_torch_array(array):
        array = array.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":
            array = array.float()
    return np.asarray(array)
