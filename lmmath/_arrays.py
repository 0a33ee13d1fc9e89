"""What formulas need to run on arrays of every library and precision."""

import numpy as np
from array_api_compat import (
    array_namespace,
    device,
    is_numpy_array,
    is_torch_array,
    to_device,
)


def at_least_float32(x):
    """Widen float16 and bfloat16 to float32; leave float32 and float64 as they are.

    Sums and squares then have room: float16 ends at 65504.

    >>> at_least_float32(np.ones(2, np.float16)).dtype
    dtype('float32')
    """
    xp = array_namespace(x)
    return xp.astype(x, xp.float32) if xp.finfo(x.dtype).bits < 32 else x


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
