"""The pieces of a layer: normalization, the feed-forward networks, the look-up of tokens."""

from array_api_compat import array_namespace, is_numpy_array

from lmmath import numpy_kernels, torch_kernels
from lmmath._arrays import INDEX, at_least_float32, is_of_torch, to_library_of
from lmmath._checks import (
    require_floating,
    require_ids,
    require_positive,
    require_projection,
    require_shape,
)
from lmmath.neurons import dense, relu, silu


def layer_norm(x, weight, bias, eps=1e-5):
    r"""Give every position mean 0 and variance 1, then a learned scale and shift.

    .. math::

        \operatorname{LayerNorm}(x) = g \odot \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + b,
        \qquad \mu = \frac{1}{d} \sum_i x_i, \quad
        \sigma^2 = \frac{1}{d} \sum_i (x_i - \mu)^2

    Parameters
    ----------
    x : array, floating-point, shape (..., d_model)
    weight, bias : array, floating-point, shape (d_model,)
        The gain :math:`g` and the shift :math:`b`.
    eps : float
        :math:`\epsilon`, which keeps a constant row from dividing 0 by 0.

    Returns
    -------
    array, shape (..., d_model)

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``weight`` or ``bias`` is not as long as the last axis of ``x``, or ``eps`` is not
        a finite number above 0.

    References
    ----------
    Ba, Kiros and Hinton (2016), "Layer normalization", equation 4. The variance divides by
    :math:`d`, not by :math:`d - 1`.

    Examples
    --------
    >>> import numpy as np
    >>> layer_norm(np.asarray([1.0, 2.0, 3.0, 6.0]), np.ones(4), np.zeros(4)).round(3)
    array([-1.069, -0.535,  0.   ,  1.604])
    """
    _require_features(x, eps, weight=weight, bias=bias)
    if is_of_torch(x) and x.dtype == weight.dtype == bias.dtype:
        return torch_kernels.layer_norm(x, weight, bias, eps)
    xp = array_namespace(x, weight, bias)
    wide = at_least_float32(x)
    centred = wide - xp.mean(wide, axis=-1, keepdims=True)
    variance = xp.mean(centred * centred, axis=-1, keepdims=True)
    normalized = centred / xp.sqrt(variance + eps)
    return xp.astype(normalized, x.dtype) * weight + bias


def rms_norm(x, weight, eps=1e-5):
    r"""Give every position root mean square 1, then a learned scale.

    .. math:: \operatorname{RMSNorm}(x)
              = g \odot \frac{x}{\sqrt{\frac{1}{d} \sum_i x_i^2 + \epsilon}}

    Parameters
    ----------
    x : array, floating-point, shape (..., d_model)
    weight : array, floating-point, shape (d_model,)
        The gain :math:`g`.
    eps : float
        :math:`\epsilon`, which keeps a row of zeros from dividing 0 by 0.

    Returns
    -------
    array, shape (..., d_model)

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If ``weight`` is not as long as the last axis of ``x``, or ``eps`` is not a finite
        number above 0.

    References
    ----------
    Zhang and Sennrich (2019), "Root mean square layer normalization", equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> rms_norm(np.asarray([1.0, 7.0]), np.ones(2)).round(3)
    array([0.2, 1.4])
    """
    _require_features(x, eps, weight=weight)
    if is_of_torch(x) and x.dtype == weight.dtype:
        return torch_kernels.rms_norm(x, weight, eps)
    if is_numpy_array(x) and x.dtype == weight.dtype and x.dtype.itemsize >= 4:
        return numpy_kernels.rms_norm(x, weight, eps)
    xp = array_namespace(x, weight)
    wide = at_least_float32(x)
    mean_square = xp.mean(wide * wide, axis=-1, keepdims=True)
    return xp.astype(wide / xp.sqrt(mean_square + eps), x.dtype) * weight


def feed_forward(x, w_1, b_1, w_2, b_2, activation=relu):
    r"""Send each position through the same small network, apart from all others.

    .. math:: \operatorname{FFN}(x) = \sigma(x W_1 + b_1)\, W_2 + b_2,
              \qquad \sigma(z) = \max(0, z) \text{ in the paper}

    Parameters
    ----------
    x : array, floating-point, shape (..., d_model)
    w_1 : array, floating-point, shape (d_model, d_ff)
    b_1 : array, floating-point, shape (d_ff,)
    w_2 : array, floating-point, shape (d_ff, d_model)
    b_2 : array, floating-point, shape (d_model,)
    activation : function of an array
        :math:`\sigma`.

    Returns
    -------
    array, shape (..., d_model)

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", equation 2.

    Examples
    --------
    >>> import numpy as np
    >>> w_1, w_2 = np.asarray([[1.0, -1.0]]), np.asarray([[1.0], [1.0]])
    >>> feed_forward(np.asarray([[-3.0], [2.0]]), w_1, np.zeros(2), w_2, np.zeros(1))
    array([[3.],
           [2.]])
    """
    return dense(dense(x, w_1, b_1, activation), w_2, b_2)


def swiglu(x, w_gate, w_up, w_down):
    r"""Send each position through a network whose hidden units are gated.

    .. math:: \operatorname{SwiGLU}(x)
              = \bigl(\operatorname{SiLU}(x W_\text{gate}) \odot x W_\text{up}\bigr)\,
                W_\text{down}

    Parameters
    ----------
    x : array, floating-point, shape (..., d_model)
    w_gate, w_up : array, floating-point, shape (d_model, d_ff)
    w_down : array, floating-point, shape (d_ff, d_model)

    Returns
    -------
    array, shape (..., d_model)

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Shazeer (2020), "GLU variants improve Transformer", equation 6, where the three matrices
    are called W, V and :math:`W_2`.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> swiglu(np.asarray([[2.0]]), one, one, one).round(4)  # 2 sigmoid(2) 2
    array([[3.5232]])
    """
    require_floating(x=x)
    require_projection("the last axis of x", x.shape[-1], w_gate=w_gate, w_up=w_up)
    if w_gate.shape != w_up.shape:
        raise ValueError(
            "w_gate and w_up must have the same shape, "
            f"got {tuple(w_gate.shape)} and {tuple(w_up.shape)}"
        )
    require_projection("the last axis of w_up", w_up.shape[1], w_down=w_down)
    return (silu(x @ w_gate) * (x @ w_up)) @ w_down


def embed(table, ids):
    r"""Look up one row of the table for each id.

    .. math:: \operatorname{embed}(E, t)_{i} = E_{t_i}

    Parameters
    ----------
    table : array, floating-point, shape (vocab_size, d_model)
        :math:`E`, one row for each token.
    ids : integer array, shape (...)
        Token ids :math:`t`, from 0 to ``vocab_size - 1``. May be a NumPy array whatever
        ``table`` is.

    Returns
    -------
    array, shape (..., d_model)

    Raises
    ------
    TypeError
        If ``table`` is not floating-point, or ``ids`` is not an array of integers.
    ValueError
        If ``table`` has not two axes, or an id is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> embed(np.asarray([[0.0, 0.5], [1.0, 1.5]]), np.asarray([1, 0, 1]))
    array([[1. , 1.5],
           [0. , 0.5],
           [1. , 1.5]])
    """
    require_floating(table=table)
    if table.ndim != 2:
        raise ValueError(f"table must have two axes, got shape {tuple(table.shape)}")
    require_ids(table.shape[0], ids=ids)
    xp = array_namespace(table)
    flat = xp.reshape(to_library_of(table, ids, getattr(xp, INDEX)), (-1,))
    return xp.reshape(xp.take(table, flat, axis=0), (*ids.shape, table.shape[1]))


def _require_features(x, eps, **vectors):
    require_floating(x=x)
    if x.ndim == 0:
        raise ValueError("x must have at least one axis, got shape ()")
    require_shape((x.shape[-1],), **vectors)
    require_positive(eps=eps)
