"""What the tests share: one function, its numbers and gradients on every array library."""

import array_api_strict
import numpy as np
import torch
from array_api_compat import array_namespace

from lmmath.autodiff import Tensor

LIBRARIES = {
    "torch": lambda array: torch.from_numpy(array.copy()),
    "array_api_strict": array_api_strict.asarray,
    "autodiff": Tensor,
}


def close(actual, expected, tolerance=1e-13):
    """Compare two arrays with the same relative and absolute tolerance."""
    np.testing.assert_allclose(
        numpy(actual), numpy(expected), rtol=tolerance, atol=tolerance
    )


def numpy(array):
    """Bring an array of any library to NumPy."""
    if isinstance(array, torch.Tensor):
        return array.detach().numpy()
    return np.asarray(array.data if isinstance(array, Tensor) else array)


def convert(value, to):
    """Apply ``to`` to each floating-point NumPy array within lists, tuples and dicts."""
    if isinstance(value, dict):
        return {name: convert(part, to) for name, part in value.items()}
    if type(value) in (list, tuple):
        return [convert(part, to) for part in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return to(value)
    return value


def leaves(value):
    """List the arrays within lists, tuples and dicts, in order."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, list | tuple | type({}.values())):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


def same_on_every_library(function, *arguments, tolerance=1e-12, wide=False):
    """Check that each library gives NumPy's numbers, in its own kind, in each precision.

    Floating-point NumPy arrays in ``arguments``, also within lists, tuples and dicts, are
    converted; everything else, such as integers and masks, stays as it is. If ``wide``, some of
    the results are float32 where the arguments are float16.
    """
    expected = leaves(function(*convert(arguments, np.float64)))
    for to in LIBRARIES.values():
        kind = type(to(np.zeros(1)))
        actual = leaves(function(*convert(arguments, to)))
        for one, other in zip(actual, expected, strict=True):
            assert type(one) is kind
            close(one, other, tolerance)
    for dtype in (np.float16, np.float32):
        for to in (np.asarray, LIBRARIES["torch"], Tensor):
            dtypes = {to(np.zeros(1, d)).dtype for d in (dtype, *[np.float32] * wide)}
            arrays = convert(arguments, lambda a, to=to, d=dtype: to(a.astype(d)))
            for one, other in zip(leaves(function(*arrays)), expected, strict=True):
                if numpy(other).dtype.kind == "f":
                    assert one.dtype in dtypes
                assert np.all(np.isfinite(numpy(one)))


def same_gradients(function, *arguments, tolerance=1e-10):
    """Check ``autodiff``'s gradients against torch's and against finite differences.

    The loss is the sum of all outputs, each entry with its own fixed random factor.
    """
    rng = np.random.default_rng(0)
    factors = [rng.normal(size=output.shape) for output in leaves(function(*arguments))]

    def loss(arrays, constant):
        outputs = zip(leaves(function(*arrays)), factors, strict=True)
        products = [output * constant(factor) for output, factor in outputs]
        return sum(array_namespace(part).sum(part) for part in products)

    ours = convert(arguments, Tensor)
    loss(ours, Tensor).backward()
    theirs = convert(arguments, lambda a: torch.tensor(a, requires_grad=True))
    loss(theirs, torch.from_numpy).backward()
    inputs = [
        (mine, theirs)
        for mine, theirs in zip(leaves(ours), leaves(theirs), strict=True)
        if isinstance(mine, Tensor)
    ]
    for mine, reference in inputs:
        close(gradient(mine), gradient(reference), tolerance)

    # One step in a random direction, ahead and back, against the slope along it.
    directions = [rng.normal(size=mine.shape) for mine, _ in inputs]
    h = 1e-5

    def moved(step):
        remaining = iter(directions)
        return convert(arguments, lambda array: array + step * next(remaining))

    difference = (loss(moved(h), np.asarray) - loss(moved(-h), np.asarray)) / (2 * h)
    slope = sum(
        np.sum(gradient(mine) * direction)
        for (mine, _), direction in zip(inputs, directions, strict=True)
    )
    close(difference, slope, 1e-6)


def gradient(array):
    """Read the gradient; an array that the result does not depend on has gradient zero."""
    return np.zeros(array.shape) if array.grad is None else array.grad
