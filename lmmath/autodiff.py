r"""Reverse-mode automatic differentiation: arrays that remember where they came from.

A ``Tensor`` holds a NumPy array and, for each tensor it was computed from, a function that
turns the gradient of the loss with respect to the result into that with respect to the
operand. That function is a vector-Jacobian product; the chain rule is nothing else:

.. math:: \bar{x} = \bar{y}\, \frac{\partial y}{\partial x},
          \qquad \bar{v} = \frac{\partial \mathcal{L}}{\partial v}

This module is also the tensors' namespace of the array API standard, as far as the book
uses it, so every function of ``lmmath`` takes tensors as it takes NumPy arrays.
"""

import builtins
import operator
import sys
from itertools import accumulate, pairwise

import numpy as np


def _data(value):
    return value.data if isinstance(value, Tensor) else value


def _without_gradient(function):
    """Lift a NumPy function to tensors where no gradient can flow."""

    def lifted(*arrays, device=None, copy=None, **options):
        return Tensor(function(*(_data(array) for array in arrays), **options))

    return lifted


class Tensor:
    """An array that records how it was computed.

    Parameters
    ----------
    data : array-like
        Numbers or booleans, as NumPy takes them. An array is not copied.

    Attributes
    ----------
    data : numpy.ndarray
        The values.
    grad : numpy.ndarray or None
        The gradient that ``backward`` has left here, with the shape and dtype of ``data``.

    Raises
    ------
    TypeError
        If ``data`` does not hold numbers.

    References
    ----------
    Griewank and Walther (2008), "Evaluating derivatives", chapter 3.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0, 3.0])
    >>> loss = sum(x * x)
    >>> loss.backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    # NumPy then leaves `array + tensor` to Tensor.__radd__.
    __array_ufunc__ = None
    device = "cpu"

    def __init__(self, data):
        self.data = np.asarray(_data(data))
        if not np.isdtype(self.data.dtype, ("bool", "numeric")):
            raise TypeError(f"data must hold numbers, got dtype {self.data.dtype}")
        self.grad = None
        self._operands = ()  # pairs (tensor, its vector-Jacobian product)

    def backward(self, gradient=None):
        r"""Add to ``grad``, here and in every tensor behind this one, its gradient.

        .. math:: \bar{x} = \sum_{y \text{ computed from } x}
                            \bar{y}\, \frac{\partial y}{\partial x}

        Results come before their operands, so that each sum is complete when it is passed on.

        Parameters
        ----------
        gradient : array-like, optional
            Where the chain begins: the gradient with respect to this tensor.
            1 if not given, and then this tensor must hold a single number.

        Raises
        ------
        TypeError
            If this tensor does not hold floating-point numbers.
        ValueError
            If ``gradient`` has not the shape of this tensor, or is missing and needed.

        Examples
        --------
        >>> x = Tensor(3.0)
        >>> y = x * x + x
        >>> y.backward()
        >>> x.grad
        array(7.)
        """
        gradients = {id(self): self._first_gradient(gradient)}
        for tensor in reversed(_operands_first(self)):
            gradient = gradients.pop(id(tensor))
            before = 0 if tensor.grad is None else tensor.grad
            tensor.grad = np.asarray(before + gradient)
            for operand, vector_jacobian_product in tensor._operands:
                share = _sum_to_shape(vector_jacobian_product(gradient), operand.shape)
                gradients[id(operand)] = gradients.get(id(operand), 0) + share

    def detach(self):
        """Give the same values as a constant: no gradient flows through it.

        >>> x = Tensor([2.0])
        >>> (x * x.detach()).backward([1.0])
        >>> x.grad
        array([2.])
        """
        return Tensor(self.data)

    def _first_gradient(self, gradient):
        if not np.isdtype(self.dtype, "real floating"):
            raise TypeError(f"backward needs a floating-point tensor, got {self.dtype}")
        if gradient is None and self.size != 1:
            raise ValueError(
                f"gradient must be given for a tensor of shape {self.shape}: "
                "only a single number has a gradient of its own"
            )
        first = np.asarray(1 if gradient is None else _data(gradient), self.dtype)
        if gradient is not None and first.shape != self.shape:
            raise ValueError(
                f"gradient must have shape {self.shape}, got {first.shape}"
            )
        return np.broadcast_to(first, self.shape)

    # What an array of the standard has

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)

    def __array_namespace__(self, api_version=None):
        return sys.modules[__name__]

    def __repr__(self):
        return repr(self.data).replace("array", "Tensor", 1)

    def __len__(self):
        return len(self.data)

    def __bool__(self):
        return builtins.bool(self.data)

    def __int__(self):
        return int(self.data)

    def __float__(self):
        return float(self.data)

    # Arithmetic. The first of each pair of lambdas is for the left operand.

    def __add__(self, other):
        return _record(
            self.data + _data(other), (self, lambda g: g), (other, lambda g: g)
        )

    def __sub__(self, other):
        return _record(
            self.data - _data(other), (self, lambda g: g), (other, lambda g: -g)
        )

    def __mul__(self, other):
        a, b = self.data, _data(other)
        return _record(a * b, (self, lambda g: g * b), (other, lambda g: g * a))

    def __truediv__(self, other):
        a, b = self.data, _data(other)
        quotient = a / b
        return _record(
            quotient, (self, lambda g: g / b), (other, lambda g: -g * quotient / b)
        )

    def __pow__(self, other):
        a, b = self.data, _data(other)
        power = a**b
        return _record(
            power,
            (self, lambda g: g * b * a ** (b - 1)),
            (other, lambda g: g * power * np.log(a)),
        )

    def __matmul__(self, other):
        a, b = self.data, _data(other)
        if b.ndim == 1:  # a column
            return (self @ asarray(other)[:, None])[..., 0]
        if a.ndim == 1:  # a row
            return (self[None, :] @ other)[..., 0, :]
        return _record(
            a @ b,
            (self, lambda g: g @ np.matrix_transpose(b)),
            (other, lambda g: np.matrix_transpose(a) @ g),
        )

    def __neg__(self):
        return _record(-self.data, (self, lambda g: -g))

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def __rsub__(self, other):
        return -self + other

    def __rtruediv__(self, other):
        return Tensor(np.asarray(other, self.dtype)) / self

    def __rpow__(self, other):
        return Tensor(np.asarray(other, self.dtype)) ** self

    def __rmatmul__(self, other):
        return Tensor(other) @ self

    # The answers to yes-or-no questions have no gradient.

    __lt__ = _without_gradient(operator.lt)
    __le__ = _without_gradient(operator.le)
    __gt__ = _without_gradient(operator.gt)
    __ge__ = _without_gradient(operator.ge)
    __eq__ = _without_gradient(operator.eq)
    __ne__ = _without_gradient(operator.ne)
    __and__ = _without_gradient(operator.and_)
    __or__ = _without_gradient(operator.or_)
    __invert__ = _without_gradient(operator.invert)
    __hash__ = object.__hash__

    def __getitem__(self, key):
        """Select by integers, slices, None and ..., each entry at most once."""

        def scatter(g):
            whole = np.zeros(self.shape, g.dtype)
            whole[key] = g
            return whole

        return _record(self.data[key], (self, scatter))


# --- the tape ---


def _record(data, *operands):
    """Make the tensor ``data``; remember the operands that a gradient can flow to."""
    result = Tensor(data)
    result._operands = tuple(
        (operand, vector_jacobian_product)
        for operand, vector_jacobian_product in operands
        if isinstance(operand, Tensor) and np.isdtype(operand.dtype, "real floating")
    )
    return result


def _operands_first(tensor):
    """List all tensors behind this one, operands before results.

    A stack of our own, not recursion: a chain may be longer than Python's call stack.
    """
    order, seen, stack = [], set(), [(tensor, False)]
    while stack:
        tensor, operands_are_listed = stack.pop()
        if operands_are_listed:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack.extend((operand, False) for operand, _ in tensor._operands)
    return order


def _sum_to_shape(gradient, shape):
    """Add up what broadcasting copied: an entry used many times gets all the gradients."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 < gradient.shape[i])
    return gradient.sum(axis=stretched, keepdims=True)


# --- the array API: elementwise functions and their derivatives ---


def _elementwise(function, derivative):
    """Lift a NumPy function; ``derivative(x, y)`` is that of ``y = function(x)``."""

    def lifted(x):
        y = function(x.data)
        return _record(y, (x, lambda g: g * derivative(x.data, y)))

    return lifted


abs = _elementwise(np.abs, lambda x, y: np.sign(x))
cos = _elementwise(np.cos, lambda x, y: -np.sin(x))
exp = _elementwise(np.exp, lambda x, y: y)
expm1 = _elementwise(np.expm1, lambda x, y: y + 1)
log = _elementwise(np.log, lambda x, y: 1 / x)
log1p = _elementwise(np.log1p, lambda x, y: 1 / (1 + x))
sin = _elementwise(np.sin, lambda x, y: np.cos(x))
sqrt = _elementwise(np.sqrt, lambda x, y: 0.5 / y)
square = _elementwise(np.square, lambda x, y: 2 * x)
tanh = _elementwise(np.tanh, lambda x, y: 1 - y * y)


def maximum(a, b):
    """Take the larger of each two; at a tie each gets half the gradient."""
    x, y = _data(a), _data(b)
    share = np.where(x == y, 0.5, x > y).astype(np.result_type(x, y))
    return _record(
        np.maximum(x, y), (a, lambda g: g * share), (b, lambda g: g * (1 - share))
    )


def minimum(a, b):
    """Take the smaller of each two; at a tie each gets half the gradient."""
    return -maximum(-a, -b)


def clip(x, min=None, max=None):
    """Move what lies outside the bounds onto them, where it no longer has a say."""
    clipped = np.clip(x.data, min, max)
    return _record(clipped, (x, lambda g: np.where(x.data == clipped, g, 0)))


def where(condition, a, b):
    """Choose from ``a`` where the condition holds, else from ``b``."""
    condition = _data(condition)
    return _record(
        np.where(condition, _data(a), _data(b)),
        (a, lambda g: np.where(condition, g, 0)),
        (b, lambda g: np.where(condition, 0, g)),
    )


def astype(x, dtype, copy=True):
    """Convert to another dtype; the gradient is converted back."""
    return _record(x.data.astype(dtype), (x, lambda g: g.astype(x.dtype)))


# --- the array API: reductions ---


def sum(x, axis=None, keepdims=False):
    """Add up: each term gets the gradient of the sum."""

    def spread(g):
        return np.broadcast_to(_with_axes(g, x.ndim, axis, keepdims), x.shape)

    return _record(x.data.sum(axis=axis, keepdims=keepdims), (x, spread))


def mean(x, axis=None, keepdims=False):
    """Average: the sum, divided by the number of terms."""
    total = sum(x, axis, keepdims)
    return total / builtins.max(1, x.size // builtins.max(1, total.size))


def max(x, axis=None, keepdims=False):
    """Find the largest: it alone gets the gradient; equally large ones share it."""

    def to_the_largest(g):
        largest = x.data == x.data.max(axis=axis, keepdims=True)
        share = largest / largest.sum(axis=axis, keepdims=True)
        return _with_axes(g, x.ndim, axis, keepdims) * share.astype(x.dtype)

    return _record(x.data.max(axis=axis, keepdims=keepdims), (x, to_the_largest))


def min(x, axis=None, keepdims=False):
    """Find the smallest: it alone gets the gradient; equally small ones share it."""
    return -max(-x, axis, keepdims)


def cumulative_sum(x, axis=-1):
    """Add up to each place: a term is in its own sum and in all later ones."""

    def from_the_end(g):
        return np.flip(np.cumsum(np.flip(g, axis), axis), axis)

    return _record(np.cumsum(x.data, axis), (x, from_the_end))


def _with_axes(g, ndim, axis, keepdims):
    """Put back, with length 1, the axes that a reduction removed."""
    if keepdims:
        return g
    every = tuple(range(ndim))
    return np.expand_dims(g, every if axis is None else axis)


# --- the array API: the same numbers in another arrangement ---


def reshape(x, shape):
    """Arrange the same entries in another shape."""
    return _record(x.data.reshape(shape), (x, lambda g: g.reshape(x.shape)))


def broadcast_to(x, shape):
    """Repeat entries up to a shape."""
    return _record(np.broadcast_to(x.data, shape), (x, lambda g: g))


def moveaxis(x, source, destination):
    """Move an axis to another place."""
    return _record(
        np.moveaxis(x.data, source, destination),
        (x, lambda g: np.moveaxis(g, destination, source)),
    )


def matrix_transpose(x):
    """Swap the last two axes."""
    return moveaxis(x, -1, -2)


def expand_dims(x, axis=0):
    """Insert an axis of length 1."""
    return reshape(x, np.expand_dims(x.data, axis).shape)


def squeeze(x, axis):
    """Remove an axis of length 1."""
    return reshape(x, np.squeeze(x.data, axis).shape)


def concat(arrays, axis=0):
    """Put arrays one after another; each gets its stretch of the gradient."""
    ends = accumulate((x.shape[axis] for x in arrays), initial=0)

    def stretch(start, end):
        return lambda g: np.moveaxis(np.moveaxis(g, axis, 0)[start:end], 0, axis)

    return _record(
        np.concatenate([_data(x) for x in arrays], axis),
        *((x, stretch(*ends)) for x, ends in zip(arrays, pairwise(ends), strict=True)),
    )


def stack(arrays, axis=0):
    """Put arrays of one shape side by side along a new axis."""
    return concat([expand_dims(x, axis) for x in arrays], axis)


def unstack(x, axis=0):
    """Cut an array into those that lie side by side along an axis."""
    return tuple(moveaxis(x, axis, 0))


def take(x, indices, axis):
    """Look up entries along an axis; one looked up twice gets both gradients."""
    # In a browser NumPy takes 32 bits here, and no more.
    indices = _data(indices).astype(np.intp, casting="same_kind", copy=False)

    def put_back(g):
        whole = np.zeros(x.shape, g.dtype)
        np.add.at(np.moveaxis(whole, axis, 0), indices, np.moveaxis(g, axis, 0))
        return whole

    return _record(np.take(x.data, indices, axis), (x, put_back))


def take_along_axis(x, indices, axis=-1):
    """Look up entries along an axis, other ones in each row."""
    indices = _data(indices)

    def put_back(g):
        whole = np.zeros(x.shape, g.dtype)
        places = list(np.indices(g.shape, sparse=True))
        places[axis] = indices
        np.add.at(whole, tuple(places), g)
        return whole

    return _record(np.take_along_axis(x.data, indices, axis), (x, put_back))


def sort(x, axis=-1, descending=False, stable=True):
    """Put in order; each entry keeps its own gradient."""
    return take_along_axis(x, argsort(x, axis, descending, stable), axis)


# --- the array API: what has no gradient ---


def argsort(x, axis=-1, descending=False, stable=True):
    """Say which entry comes first, second, ...; equal ones in the order they stand."""
    keys = -x.data if descending else x.data
    return Tensor(np.argsort(keys, axis, stable=True))


all = _without_gradient(np.all)
any = _without_gradient(np.any)
argmax = _without_gradient(np.argmax)
isfinite = _without_gradient(np.isfinite)
isnan = _without_gradient(np.isnan)
sign = _without_gradient(np.sign)

arange = _without_gradient(np.arange)
eye = _without_gradient(np.eye)
full = _without_gradient(np.full)
full_like = _without_gradient(np.full_like)
ones = _without_gradient(np.ones)
ones_like = _without_gradient(np.ones_like)
zeros = _without_gradient(np.zeros)
zeros_like = _without_gradient(np.zeros_like)


def asarray(data, dtype=None, device=None, copy=None):
    """Make a tensor, or keep the one that comes, its history included."""
    tensor = data if isinstance(data, Tensor) else Tensor(data)
    return tensor if dtype in (None, tensor.dtype) else astype(tensor, dtype)


bool = np.bool
float16, float32, float64 = np.float16, np.float32, np.float64
int32, int64 = np.int32, np.int64
finfo, isdtype = np.finfo, np.isdtype


def result_type(*arrays_and_dtypes):
    """Say which dtype arithmetic on all of these gives."""
    return np.result_type(*map(_data, arrays_and_dtypes))
