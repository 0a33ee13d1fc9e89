"""A model's parameters: one plain dict of arrays, with the layer in front of each name."""

from math import prod

import numpy as np

from lmmath._checks import require_generator


def subset(params, prefix):
    """Pick the parameters whose names begin with ``prefix``, and take it off.

    Parameters
    ----------
    params : dict of str to array
    prefix : str

    Returns
    -------
    dict of str to array

    Examples
    --------
    >>> subset({"ln_1.weight": 3, "ln_1.bias": 4, "ln_2.weight": 5}, "ln_1.")
    {'weight': 3, 'bias': 4}
    """
    return {
        name.removeprefix(prefix): array
        for name, array in params.items()
        if name.startswith(prefix)
    }


def by_layer(params, prefix, n_layers):
    """Sort the parameters of the layers: one dict for each, their names without the layer.

    Parameters
    ----------
    params : dict of str to array
    prefix : str
        What stands before the layer's number.
    n_layers : int

    Returns
    -------
    list of dict of str to array

    Examples
    --------
    >>> by_layer({"h.0.bias": 3, "h.1.bias": 4, "ln.bias": 5}, "h.", 2)
    [{'bias': 3}, {'bias': 4}]
    """
    layers = [{} for _ in range(n_layers)]
    for name, array in params.items():
        if name.startswith(prefix):
            layer, _, rest = name.removeprefix(prefix).partition(".")
            layers[int(layer)][rest] = array
    return layers


def count_parameters(shapes):
    """Count the numbers that a model learns.

    Parameters
    ----------
    shapes : dict of str to tuple of int

    Returns
    -------
    int

    Examples
    --------
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> gpt_2_small = GPTConfig(50_257, n_positions=1024, d_model=768, n_layers=12, n_heads=12)
    >>> count_parameters(gpt_shapes(gpt_2_small))
    124439808
    """
    return sum(prod(shape) for shape in shapes.values())


def draw(shapes, scale, rng, dtype):
    """Draw matrices from normal distributions; biases are 0 and gains 1.

    Parameters
    ----------
    shapes : dict of str to tuple of int
    scale : function of a name and its shape
        The standard deviation of a matrix.
    rng : numpy.random.Generator
    dtype : NumPy dtype

    Returns
    -------
    dict of str to numpy.ndarray

    Examples
    --------
    >>> shapes = {"norm.weight": (2,), "w": (2, 2)}
    >>> draw(shapes, lambda name, shape: 0.0, np.random.default_rng(0), np.float32)["norm.weight"]
    array([1., 1.], dtype=float32)
    """
    require_generator(rng)
    params = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            params[name] = np.full(shape, name.endswith(".weight"), dtype)
        else:
            matrix = scale(name, shape) * rng.standard_normal(shape)
            params[name] = matrix.astype(dtype)
    return params


def unchanged(layer, x):
    """Leave the residual stream as it is: the edit of those who want none."""
    return x
