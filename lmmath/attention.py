r"""Attention: each position asks, every position answers, and the answers are mixed.

Positions are rows. ``query``, ``key`` and ``value`` end in the axes
``(positions, features)``; every axis before them is a batch axis and broadcasts.
A mask is boolean and True where attention is allowed.
"""

from math import inf, nan, sqrt

import numpy as np
from array_api_compat import (
    array_namespace,
    device,
    is_array_api_obj,
    is_numpy_array,
)

from lmmath import numpy_kernels, torch_kernels
from lmmath._arrays import in_float32, is_of_torch, to_library_of, without_gradient
from lmmath._checks import (
    require_axis,
    require_count,
    require_floating,
    require_matrices,
    require_positive_integer,
    require_projection,
)


@in_float32("x")
def softmax(x, axis=-1):
    r"""Turn scores into positive weights that sum to one.

    .. math::

        \operatorname{softmax}(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}}
                                    = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}},
        \qquad m = \max_j x_j

    The second form is the one computed. Its largest exponent is 0, so it cannot overflow.

    Parameters
    ----------
    x : array, floating-point, any shape
        Scores (logits): dimensionless, any real number, or :math:`-\infty` for weight zero.
    axis : int
        The axis along which the weights sum to one.

    Returns
    -------
    array
        Weights in [0, 1], with the shape and dtype of ``x``. Where all scores are
        :math:`-\infty`, nothing is possible, and all weights are 0. Where one is
        :math:`+\infty` or NaN, all are NaN. Computed in float32 at least.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.
    ValueError
        If ``x`` is empty along ``axis``.

    References
    ----------
    Bridle (1990), "Probabilistic interpretation of feedforward classification network
    outputs".

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.log([1.0, 2.0, 5.0]))
    array([0.125, 0.25 , 0.625])
    >>> softmax(np.asarray([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    _require_scores(x, axis)
    xp = array_namespace(x)
    exponentials = xp.exp(x - _largest(x, axis))
    total = xp.sum(exponentials, axis=axis, keepdims=True)
    # One division for each row, and a product for each entry, which costs less.
    return exponentials * (1 / _or_one(total))


@in_float32("x")
def log_softmax(x, axis=-1):
    r"""Take the logarithm of the softmax without ever rounding a weight to zero.

    .. math::

        \log \operatorname{softmax}(x)_i = (x_i - m) - \log \sum_j e^{x_j - m},
        \qquad m = \max_j x_j

    Parameters
    ----------
    x : array, floating-point, any shape
        Scores (logits), dimensionless.
    axis : int
        The axis along which the weights sum to one.

    Returns
    -------
    array
        Logarithms of the weights, in nats, with the shape and dtype of ``x``: all
        :math:`-\infty` or all NaN where the softmax gives all 0 or all NaN.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.
    ValueError
        If ``x`` is empty along ``axis``.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.asarray([0.0, -2000.0]))  # log(softmax(x)) would give -inf
    array([    0., -2000.])
    """
    _require_scores(x, axis)
    xp = array_namespace(x)
    shifted = x - _largest(x, axis)
    total = xp.sum(xp.exp(shifted), axis=axis, keepdims=True)
    return shifted - xp.log(_or_one(total))


def softmax_jacobian(weights):
    r"""Differentiate the softmax: how each weight answers to each score.

    .. math::

        \frac{\partial a_i}{\partial x_j} = a_i (\delta_{ij} - a_j),
        \qquad a = \operatorname{softmax}(x)

    Parameters
    ----------
    weights : array, floating-point, shape (..., n)
        The weights :math:`a`, the softmax of some scores over the last axis.

    Returns
    -------
    array, shape (..., n, n)
        Row ``i``, column ``j`` holds :math:`\partial a_i / \partial x_j`.

    Raises
    ------
    TypeError
        If ``weights`` is not a floating-point array.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_jacobian(np.asarray([0.5, 0.5]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    require_floating(weights=weights)
    require_axis(weights.ndim, "weights", -1)
    xp = array_namespace(weights)
    identity = xp.eye(weights.shape[-1], dtype=weights.dtype, device=device(weights))
    return weights[..., :, None] * (identity - weights[..., None, :])


@in_float32("weights")
def entropy(weights, axis=-1):
    r"""Measure how evenly weights are spread.

    .. math:: H(a) = -\sum_i a_i \log a_i, \qquad 0 \log 0 = 0

    Parameters
    ----------
    weights : array, floating-point, any shape
        Non-negative numbers that sum to one along ``axis``.
    axis : int
        The axis that is summed.

    Returns
    -------
    array
        Entropy in nats: 0 when one weight holds everything, :math:`\log n` when
        ``n`` weights are equal. The shape is that of ``weights`` without ``axis``.

    Raises
    ------
    TypeError
        If ``weights`` is not a floating-point array.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication", section 6.

    Examples
    --------
    >>> import numpy as np
    >>> entropy(np.asarray([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])).round(4)
    array([0.6931, 0.    ])
    """
    require_floating(weights=weights)
    require_axis(weights.ndim, "weights", axis)
    xp = array_namespace(weights)
    logarithms = xp.log(xp.where(weights > 0, weights, xp.ones_like(weights)))
    return xp.abs(xp.sum(weights * logarithms, axis=axis))  # every term is <= 0


def causal_mask(n, n_past=0):
    r"""Allow each position to attend to itself and to the positions before it.

    .. math:: M_{ij} = \text{True} \iff j \le n_\text{past} + i

    Parameters
    ----------
    n : int
        Number of positions that ask.
    n_past : int
        Number of earlier positions that only answer, as those in a cache do.

    Returns
    -------
    numpy.ndarray of bool, shape (n, n_past + n)
        Row ``i`` is a query, column ``j`` a key. The attention functions take it with
        queries and keys of any array library.

    Raises
    ------
    ValueError
        If ``n`` is not an integer of at least 1, or ``n_past`` not one of at least 0.

    Examples
    --------
    >>> causal_mask(3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """
    require_positive_integer(n=n)
    require_count(n_past=n_past)
    positions = np.arange(n_past + n)
    return positions[None, :] <= positions[n_past:, None]


@in_float32("query", "key")
def attention_weights(query, key, mask=None, scale=None, bias=None):
    r"""Say how much each query attends to each key.

    .. math:: A = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{d_k}}\right)

    Parameters
    ----------
    query : array, floating-point, shape (..., n_queries, d_k)
        :math:`Q`, one question per row.
    key : array, floating-point, shape (..., n_keys, d_k)
        :math:`K`, one label per row.
    mask : boolean array, broadcastable to (..., n_queries, n_keys), optional
        True where attention is allowed. May be a NumPy array whatever ``query`` is.
    scale : float, optional
        What the scores :math:`QK^\top` are multiplied by; :math:`1/\sqrt{d_k}` if not given.
    bias : array, broadcastable to (..., n_queries, n_keys), optional
        Added to the scaled scores, as ALiBi does; :math:`-\infty` forbids, as the mask does.
        May be a NumPy array whatever ``query`` is.

    Returns
    -------
    array, shape (..., n_queries, n_keys)
        :math:`A`. Each row sums to one, and is exactly zero where attention is forbidden,
        whatever the key holds. The row of a query that may attend to nothing is all zeros.

    Raises
    ------
    TypeError
        If ``query``, ``key`` or ``bias`` is not floating-point, or ``mask`` is not boolean.
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> query, key = np.asarray([[2.0, 0.0]]), np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> attention_weights(query, key).round(3)
    array([[0.804, 0.196]])
    >>> attention_weights(query, key, mask=np.asarray([[False, True]]))
    array([[0., 1.]])
    """
    _require_fitting(query=query, key=key)
    xp = array_namespace(query, key)
    scale = 1 / sqrt(query.shape[-1]) if scale is None else float(scale)
    scores = (query * scale) @ xp.matrix_transpose(key)  # (..., n_queries, n_keys)
    if bias is not None:
        _require_bias(bias, query, key)
        scores = scores + to_library_of(scores, bias, scores.dtype)
    if mask is None:
        return softmax(scores)
    _require_mask(mask, query, key)
    mask = to_library_of(scores, mask)
    return softmax(xp.where(mask, scores, xp.full_like(scores[..., :1, :1], -inf)))


@in_float32("query", "key", "value", but_not=is_of_torch)
def scaled_dot_product_attention(query, key, value, mask=None, scale=None, bias=None):
    r"""Answer each query with the average of the values, weighted by its attention.

    .. math::

        \operatorname{Attention}(Q, K, V)
        = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{d_k}}\right) V

    On PyTorch's tensors, and on long texts in NumPy, the weights of all heads are never there
    together, which saves most of the time: see ``torch_kernels`` and ``numpy_kernels``.

    Parameters
    ----------
    query : array, floating-point, shape (..., n_queries, d_k)
        :math:`Q`, one question per row.
    key : array, floating-point, shape (..., n_keys, d_k)
        :math:`K`, one label per row.
    value : array, floating-point, shape (..., n_keys, d_v)
        :math:`V`, what each key's position has to say.
    mask : boolean array, broadcastable to (..., n_queries, n_keys), optional
        True where attention is allowed. May be a NumPy array whatever ``query`` is.
    scale : float, optional
        What the scores :math:`QK^\top` are multiplied by; :math:`1/\sqrt{d_k}` if not given.
    bias : array, broadcastable to (..., n_queries, n_keys), optional
        Added to the scaled scores, as ALiBi does; :math:`-\infty` forbids, as the mask does.
        May be a NumPy array whatever ``query`` is.

    Returns
    -------
    array, shape (..., n_queries, d_v)
        One mixed value per query. A query that may attend to nothing gets zeros. What a key
        holds does not matter where it is forbidden; an infinite or NaN value does, as
        :math:`0 \cdot \infty` is NaN.

    Raises
    ------
    TypeError
        If an array is not floating-point, or ``mask`` is not boolean.
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> query, key = np.asarray([[2.0, 0.0]]), np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> value = np.asarray([[10.0], [20.0]])
    >>> scaled_dot_product_attention(query, key, value).round(2)
    array([[11.96]])
    """
    _require_fitting(query=query, key=key, value=value)
    _require_mask(mask, query, key)
    _require_bias(bias, query, key)
    if is_of_torch(query):
        return torch_kernels.scaled_dot_product_attention(
            query, key, value, mask, scale, bias
        )
    if numpy_kernels.is_worth_it(query, key, value):
        return numpy_kernels.scaled_dot_product_attention(
            query, key, value, mask, scale, bias
        )
    return attention_weights(query, key, mask, scale, bias) @ value


def multi_head_attention(query, key, value, w_q, w_k, w_v, w_o, n_heads, mask=None):
    r"""Attend several times in parallel, each head in its own projection.

    .. math::

        \begin{aligned}
        \operatorname{MultiHead}(Q, K, V)
        &= \operatorname{Concat}(\text{head}_1, \dots, \text{head}_h)\, W^O \\
        \text{head}_i &= \operatorname{Attention}(Q W_i^Q, K W_i^K, V W_i^V)
        \end{aligned}

    Self-attention is the case ``query is key is value``; cross-attention takes ``key`` and
    ``value`` from another sequence.

    Parameters
    ----------
    query : array, floating-point, shape (..., n_queries, d_model)
    key, value : array, floating-point, shape (..., n_keys, d_model)
    w_q, w_k : array, floating-point, shape (d_model, n_heads * d_head)
        :math:`W_1^Q, \dots, W_h^Q` side by side, and likewise :math:`W^K`.
    w_v : array, floating-point, shape (d_model, n_heads * d_v)
    w_o : array, floating-point, shape (n_heads * d_v, d_out)
    n_heads : int
        :math:`h`, the number of heads.
    mask : boolean array, broadcastable to (..., n_heads, n_queries, n_keys), optional
        True where attention is allowed. One ``(n_queries, n_keys)`` mask serves all heads; one
        for each text of a batch needs an axis for the heads: ``(batch, 1, n_queries, n_keys)``.

    Returns
    -------
    array, shape (..., n_queries, d_out)

    Raises
    ------
    TypeError
        If an array is not floating-point, or ``mask`` is not boolean.
    ValueError
        If the shapes do not fit together, or ``n_heads`` does not divide the projections.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", section 3.2.2.

    Examples
    --------
    >>> import numpy as np
    >>> x, identity = np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.eye(2)
    >>> multi_head_attention(x, x, x, identity, identity, identity, identity, n_heads=2).round(3)
    array([[0.731, 0.5  ],
           [0.5  , 0.731]])
    """
    _require_fitting_projections(query, key, value, w_q, w_k, w_v, w_o)
    heads = scaled_dot_product_attention(
        split_heads(query @ w_q, n_heads),  # (..., n_heads, n_queries, d_head)
        split_heads(key @ w_k, n_heads),
        split_heads(value @ w_v, n_heads),
        mask,
    )
    return merge_heads(heads) @ w_o


def split_heads(x, n_heads):
    r"""Cut the features into equal parts, one for each head.

    Parameters
    ----------
    x : array, floating-point, shape (..., n, n_heads * d_head)
    n_heads : int

    Returns
    -------
    array, shape (..., n_heads, n, d_head)

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.
    ValueError
        If ``x`` has fewer than two axes, or ``n_heads`` does not divide its last one.

    Examples
    --------
    >>> import numpy as np
    >>> split_heads(np.asarray([[1.0, 2.0, 3.0, 4.0]]), n_heads=2)
    array([[[1., 2.]],
    <BLANKLINE>
           [[3., 4.]]])
    """
    require_floating(x=x)
    require_matrices(x=x)
    require_positive_integer(n_heads=n_heads)
    *batch, width = x.shape
    if width % n_heads:
        raise ValueError(
            f"n_heads must divide the last dimension {width}, got {n_heads}"
        )
    xp = array_namespace(x)
    return xp.moveaxis(xp.reshape(x, (*batch, n_heads, width // n_heads)), -2, -3)


def merge_heads(x):
    r"""Put the heads' features side by side again: the inverse of ``split_heads``.

    Parameters
    ----------
    x : array, floating-point, shape (..., n_heads, n, d_head)

    Returns
    -------
    array, shape (..., n, n_heads * d_head)

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point array.
    ValueError
        If ``x`` has fewer than three axes.

    Examples
    --------
    >>> import numpy as np
    >>> merge_heads(np.asarray([[[1.0, 2.0]], [[3.0, 4.0]]]))
    array([[1., 2., 3., 4.]])
    """
    require_floating(x=x)
    if x.ndim < 3:
        raise ValueError(f"x must have at least three axes, got shape {tuple(x.shape)}")
    *batch, n_heads, n, d_head = x.shape
    xp = array_namespace(x)
    return xp.reshape(xp.moveaxis(x, -3, -2), (*batch, n, n_heads * d_head))


def _largest(x, axis):
    """Give the largest score of each slice: what is subtracted from all of them.

    Infinity minus infinity would be NaN, and a warning. So where nothing is possible it is 0,
    and where a score is infinite it is NaN.
    """
    xp = array_namespace(x)
    # The softmax does not depend on what is subtracted, so no gradient is due to it.
    largest = without_gradient(xp.max(x, axis=axis, keepdims=True))
    if is_numpy_array(largest) and np.isfinite(largest).all():
        return largest
    largest = xp.where(largest == -inf, xp.zeros_like(largest), largest)
    return xp.where(largest == inf, xp.full_like(largest, nan), largest)


def _or_one(total):
    """Give the sum of a slice's exponentials, and 1 where nothing is possible."""
    if is_numpy_array(total):
        return np.maximum(total, 1)  # the largest score's own exponential is 1
    xp = array_namespace(total)
    return xp.where(total == 0, xp.ones_like(total), total)


def _require_scores(x, axis):
    require_floating(x=x)
    require_axis(x.ndim, "x", axis)
    if x.shape[axis] == 0:
        raise ValueError(
            f"x must not be empty along axis {axis}, got shape {tuple(x.shape)}"
        )


def _require_fitting(**arrays):
    require_floating(**arrays)
    require_matrices(**arrays)
    query, key = arrays["query"], arrays["key"]
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            "query and key must have the same last dimension, "
            f"got {query.shape[-1]} and {key.shape[-1]}"
        )
    if 0 in key.shape[-2:]:
        raise ValueError(
            "key must hold at least one position and one feature, "
            f"got shape {tuple(key.shape)}"
        )
    value = arrays.get("value", key)
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(
            "key and value must hold the same number of positions, "
            f"got {key.shape[-2]} and {value.shape[-2]}"
        )
    try:
        np.broadcast_shapes(*(array.shape[:-2] for array in arrays.values()))
    except ValueError:
        shapes = " and ".join(str(tuple(array.shape)) for array in arrays.values())
        raise ValueError(
            f"the batch axes of {' and '.join(arrays)} must broadcast, got shapes {shapes}"
        ) from None


def _require_fitting_projections(query, key, value, w_q, w_k, w_v, w_o):
    require_floating(query=query, key=key, value=value)
    require_matrices(query=query, key=key, value=value)
    require_projection("the last axis of query", query.shape[-1], w_q=w_q)
    require_projection("the last axis of key", key.shape[-1], w_k=w_k)
    require_projection("the last axis of value", value.shape[-1], w_v=w_v)
    if w_q.shape[1] != w_k.shape[1]:
        raise ValueError(
            "w_q and w_k must have the same last dimension, "
            f"got {w_q.shape[1]} and {w_k.shape[1]}"
        )
    require_projection("the last axis of w_v", w_v.shape[1], w_o=w_o)


def _require_mask(mask, query, key):
    if mask is None:
        return
    if not is_array_api_obj(mask):
        came = type(mask).__name__
    elif mask.dtype != array_namespace(mask).bool:
        came = f"dtype {mask.dtype}"
    else:
        _require_broadcast(query, key, mask=mask)
        return
    raise TypeError(f"mask must be a boolean array (True where allowed), got {came}")


def _require_bias(bias, query, key):
    if bias is None:
        return
    require_floating(bias=bias)
    _require_broadcast(query, key, bias=bias)


def _require_broadcast(query, key, **array):
    ((name, array),) = array.items()
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    scores = (*batch, query.shape[-2], key.shape[-2])
    try:
        fits = np.broadcast_shapes(array.shape, scores) == scores
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} must broadcast to (..., n_queries, n_keys) = "
            f"{scores}, got {tuple(array.shape)}"
        )
