r"""Neurons: weigh the inputs, add them up, bend the sum.

Vectors are rows: an input ends in the axis of its features, and every axis before it is a
batch axis. Weights are ``(d_in, d_out)``, one column for each neuron.
"""

from itertools import pairwise
from math import pi, sqrt

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array
from numpy.polynomial import legendre

from lmmath import numpy_kernels, torch_kernels
from lmmath._arrays import at_least_float32, is_of_torch
from lmmath._checks import (
    require_floating,
    require_generator,
    require_positive_integer,
    require_projection,
    require_shape,
)

# Beyond this the normal distribution function is 0 or 1 in double precision:
# 1 - Phi(8.3) = 5.2e-17 is less than half a step of rounding at 1.
_NORMAL_RANGE = 8.3


def sigmoid(x):
    r"""Squeeze any number into (0, 1): the logistic function.

    .. math::

        \sigma(x) = \frac{1}{1 + e^{-x}} = \frac{e^x}{1 + e^x}

    The first form is computed for :math:`x \ge 0`, the second below. No exponent is then
    above 0, so nothing overflows, and the small values far below 0 keep all their digits.

    Parameters
    ----------
    x : array, floating-point, any shape
        Dimensionless, any real number.

    Returns
    -------
    array
        Numbers in [0, 1], with the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating
    errors", equation 2.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.asarray([-1000.0, 0.0, np.log(3.0)]))
    array([0.  , 0.5 , 0.75])
    """
    require_floating(x=x)
    xp = array_namespace(x)
    # Not -abs(x), whose slope at 0 is 0: automatic differentiation would give 0, not 1/4.
    decay = xp.exp(xp.where(x >= 0, -x, x))
    return xp.where(x >= 0, xp.ones_like(x), decay) / (1 + decay)


def relu(x):
    r"""Pass what is positive and stop the rest: the rectified linear unit.

    .. math:: \operatorname{relu}(x) = \max(0, x)

    At 0, where it has no derivative, automatic differentiation gives 0.

    Parameters
    ----------
    x : array, floating-point, any shape
        Dimensionless, any real number.

    Returns
    -------
    array
        Numbers of at least 0, with the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.

    References
    ----------
    Nair and Hinton (2010), "Rectified linear units improve restricted Boltzmann machines".

    Examples
    --------
    >>> import numpy as np
    >>> relu(np.asarray([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    require_floating(x=x)
    xp = array_namespace(x)
    # Not maximum(x, 0), which gives each of two equal numbers half the gradient.
    return xp.where(x <= 0, xp.zeros_like(x), x)


def tanh(x):
    r"""Squeeze any number into (-1, 1): the hyperbolic tangent.

    .. math:: \tanh(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}} = 2\,\sigma(2x) - 1

    Parameters
    ----------
    x : array, floating-point, any shape
        Dimensionless, any real number.

    Returns
    -------
    array
        Numbers in [-1, 1], with the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.

    Examples
    --------
    >>> import numpy as np
    >>> tanh(np.asarray([-1000.0, 0.0, np.log(3.0)]))
    array([-1. ,  0. ,  0.8])
    """
    require_floating(x=x)
    return array_namespace(x).tanh(x)


def silu(x):
    r"""Let each number through as far as its own sigmoid is open.

    .. math:: \operatorname{silu}(x) = x\,\sigma(x)

    Parameters
    ----------
    x : array, floating-point, any shape
        Dimensionless, any finite number.

    Returns
    -------
    array
        Numbers above -0.279, with the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.

    References
    ----------
    Elfwing, Uchibe and Doya (2018), "Sigmoid-weighted linear units for neural network
    function approximation in reinforcement learning".

    Examples
    --------
    >>> import numpy as np
    >>> silu(np.asarray([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    require_floating(x=x)
    if is_of_torch(x):
        return torch_kernels.silu(x)
    if is_numpy_array(x) and x.dtype.itemsize >= 4:
        return numpy_kernels.silu(x)
    return x * sigmoid(x)


def gelu(x, approximate="none"):
    r"""Let each number through with the probability that a normal one is smaller.

    .. math::

        \operatorname{gelu}(x) = x\,\Phi(x), \qquad
        \Phi(x) = \frac12 + \frac{1}{\sqrt{2\pi}} \int_0^x e^{-t^2/2}\, dt
        \approx \frac12 + \frac12
        \tanh\!\left(\sqrt{\tfrac{2}{\pi}}\,(x + 0.044715\, x^3)\right)

    The array API standard has no error function, which libraries would take :math:`\Phi`
    from. So the integral is computed as what it is, by Gauss-Legendre quadrature: 22
    exponentials, to :math:`10^{-15}`, on every array library and with exact gradients.

    Parameters
    ----------
    x : array, floating-point, any shape
        Dimensionless, any real number.
    approximate : {"none", "tanh"}
        ``"none"`` takes the integral, ``"tanh"`` the closed form, which is less than 0.0005
        off and which GPT-2 was trained with.

    Returns
    -------
    array
        Numbers above -0.171, with the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.
    ValueError
        If ``approximate`` is neither ``"none"`` nor ``"tanh"``.

    References
    ----------
    Hendrycks and Gimpel (2016), "Gaussian error linear units (GELUs)", section 2.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.asarray([-1.0, 0.0, 1.0])
    >>> gelu(x).round(6)
    array([-0.158655,  0.      ,  0.841345])
    >>> gelu(x, approximate="tanh").round(6)
    array([-0.158808,  0.      ,  0.841192])
    """
    require_floating(x=x)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    if is_of_torch(x):
        return torch_kernels.gelu(x, approximate)
    xp = array_namespace(x)
    normal_cdf = _normal_cdf if approximate == "none" else _normal_cdf_by_tanh
    wide = at_least_float32(x)
    # Far out, where powers of x would overflow, gelu and relu are the same number.
    near = xp.clip(wide, -_NORMAL_RANGE, _NORMAL_RANGE)
    y = xp.where(wide == near, near * normal_cdf(near), relu(wide))
    return xp.astype(y, x.dtype)


def dense(x, w, b=None, activation=None):
    r"""Compute a layer of neurons that all see the same inputs.

    .. math::

        y = \sigma(xW + b), \qquad
        y_j = \sigma\!\left(\sum_i x_i W_{ij} + b_j\right)

    Column ``j`` of ``w`` and entry ``j`` of ``b`` are one neuron.

    Parameters
    ----------
    x : array, floating-point, shape (..., d_in)
        The inputs.
    w : array, floating-point, shape (d_in, d_out)
        :math:`W`, the weights.
    b : array, floating-point, shape (d_out,), optional
        The biases; 0 if not given.
    activation : function of an array, optional
        :math:`\sigma`, applied to each number; the identity if not given.

    Returns
    -------
    array, shape (..., d_out)

    Raises
    ------
    TypeError
        If an array is not floating-point, or ``activation`` is not a function.
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating
    errors", equations 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.asarray([1.0, 2.0]), np.asarray([[3.0, 0.0], [0.0, -1.0]])
    >>> dense(x, w, b=np.asarray([10.0, 1.0]))
    array([13., -1.])
    >>> dense(x, w, b=np.asarray([10.0, 1.0]), activation=relu)
    array([13.,  0.])
    """
    _require_features(x)
    require_projection("the last axis of x", x.shape[-1], w=w)
    if activation is not None and not callable(activation):
        raise TypeError(
            f"activation must be a function or None, got {type(activation).__name__}"
        )
    if b is not None:
        require_shape((w.shape[1],), b=b)
    if is_of_torch(x):
        y = torch_kernels.dense(x, w, b)
    else:
        y = x @ w
        y = y if b is None else y + b
    return y if activation is None else activation(y)


def mlp(params, x, activation=relu):
    r"""Stack dense layers: a multilayer perceptron.

    .. math::

        h_0 = x, \qquad h_l = \sigma(h_{l-1} W_l + b_l) \quad (0 < l < L), \qquad
        y = h_{L-1} W_L + b_L

    The activation stands between the layers. The last layer is linear.

    Parameters
    ----------
    params : dict of arrays, floating-point
        For layer :math:`l = 1, \dots, L`, :math:`W_l` as ``"0.weight"``, ``"1.weight"``, ... of
        shape (d_in, d_out), and :math:`b_l` as ``"0.bias"``, ``"1.bias"``, ... of shape (d_out,).
        The outputs of one layer are the inputs of the next.
    x : array, floating-point, shape (..., d_in)
        The inputs of the first layer.
    activation : function of an array, optional
        :math:`\sigma`, applied to each number. Without one, all layers together are one.

    Returns
    -------
    array, shape (..., d_out)
        The outputs of the last layer.

    Raises
    ------
    TypeError
        If ``params`` is not a dict, an array is not floating-point, or ``activation`` is not a
        function.
    ValueError
        If names are missing or unknown, or the shapes do not fit together.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating
    errors".

    Examples
    --------
    Exclusive or, which no single neuron with a rising activation can compute:

    >>> import numpy as np
    >>> params = {
    ...     "0.weight": np.asarray([[1.0, 1.0], [1.0, 1.0]]),
    ...     "0.bias": np.asarray([0.0, -1.0]),
    ...     "1.weight": np.asarray([[1.0], [-2.0]]),
    ...     "1.bias": np.asarray([0.0]),
    ... }
    >>> mlp(params, np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))[:, 0]
    array([0., 1., 1., 0.])
    """
    _require_features(x)
    last = _require_layers(params, x.shape[-1]) - 1
    for layer in range(last):
        x = dense(x, params[f"{layer}.weight"], params[f"{layer}.bias"], activation)
    return dense(x, params[f"{last}.weight"], params[f"{last}.bias"])


def init_mlp(sizes, rng, dtype=np.float64):
    r"""Draw the weights with which the training of a multilayer perceptron begins.

    .. math:: W_{ij} \sim \mathcal{N}\!\left(0, \frac{2}{d_\text{in}}\right), \qquad b_j = 0

    This is He's rule for ``relu``: it stops half of a signal that is symmetric about 0, and the
    factor 2 makes up for it, so that the mean square stays the same from layer to layer.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of features, from the inputs over each hidden layer to the outputs.
    rng : numpy.random.Generator
        Where the random numbers come from.
    dtype : floating-point dtype of NumPy

    Returns
    -------
    dict of numpy.ndarray
        ``params`` as ``mlp`` takes them.

    Raises
    ------
    TypeError
        If ``rng`` is not a generator, or ``dtype`` not floating-point.
    ValueError
        If ``sizes`` does not hold at least two integers of at least 1.

    References
    ----------
    He et al. (2015), "Delving deep into rectifiers", equation 10.

    Examples
    --------
    >>> import numpy as np
    >>> params = init_mlp([2, 3, 1], np.random.default_rng(0))
    >>> {name: array.shape for name, array in params.items()}
    {'0.weight': (2, 3), '0.bias': (3,), '1.weight': (3, 1), '1.bias': (1,)}
    """
    _require_recipe(sizes, rng, dtype)
    params = {}
    for layer, (d_in, d_out) in enumerate(pairwise(sizes)):
        weight = rng.normal(0.0, sqrt(2 / d_in), size=(d_in, d_out))
        params[f"{layer}.weight"] = weight.astype(dtype)
        params[f"{layer}.bias"] = np.zeros(d_out, dtype)
    return params


def _normal_cdf(x):
    """Integrate the normal density from 0 to ``x``, half its even self from -x to x."""
    xp = array_namespace(x)
    nodes, weights = (
        xp.asarray(part, dtype=x.dtype, device=device(x)) for part in _QUADRATURE
    )
    t = x[..., None] * nodes
    return 0.5 + x * xp.sum(weights * xp.exp(-t * t / 2), axis=-1) / sqrt(2 * pi)


def _normal_cdf_by_tanh(x):
    return 0.5 + 0.5 * tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))


def _gauss_legendre(n):
    """Give the positive nodes in [-1, 1], and their weights, of a rule with 2n points.

    NumPy's nodes are right to the last digit. Its weights are off by up to 5e-15, so they are
    computed here: 2 / ((1 - t^2) P'(t)^2), with the Legendre polynomial P of degree 2n.
    """
    nodes = legendre.leggauss(2 * n)[0][n:]
    slopes = legendre.legval(nodes, legendre.legder([0] * 2 * n + [1]))
    return nodes, 2 / ((1 - nodes**2) * slopes**2)


_QUADRATURE = _gauss_legendre(22)


def _require_features(x):
    require_floating(x=x)
    if x.ndim == 0:
        raise ValueError("x must have at least one axis (features), got shape ()")


def _require_layers(params, width):
    if not isinstance(params, dict):
        raise TypeError(f"params must be a dict, got {type(params).__name__}")
    n_layers = max(1, len(params) // 2)
    names = [
        f"{layer}.{part}" for layer in range(n_layers) for part in ("weight", "bias")
    ]
    if set(params) != set(names):
        raise ValueError(f"params must have the names {names}, got {list(params)}")
    of = "the last axis of x"
    for weight, bias in zip(names[::2], names[1::2], strict=True):
        require_projection(of, width, **{weight: params[weight]})
        of, width = f"the last axis of {weight}", params[weight].shape[1]
        require_shape((width,), **{bias: params[bias]})
    return n_layers


def _require_recipe(sizes, rng, dtype):
    require_generator(rng)
    if not np.isdtype(np.dtype(dtype), "real floating"):
        raise TypeError(f"dtype must be floating-point, got {np.dtype(dtype)}")
    if not isinstance(sizes, list | tuple) or len(sizes) < 2:
        raise ValueError(f"sizes must be a list of at least two integers, got {sizes}")
    for i, size in enumerate(sizes):
        require_positive_integer(**{f"sizes[{i}]": size})
