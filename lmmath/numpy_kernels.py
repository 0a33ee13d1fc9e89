"""NumPy's own ways for the formulas that cost most: fewer passes over the numbers.

Attention over long texts goes one head at a time, in memory that is used again. The scores of
all heads together are too large for the processor's cache, and each operation on them makes
another array as large. So most of the time goes into fetching memory and not into computing. One
head's scores stay in the cache, and each operation writes over the last. This more than halves
the time at 512 positions.
"""

from math import inf, nan, sqrt

import numpy as np
from array_api_compat import is_numpy_array

# From so many scores for each head on. Below, a loop costs more than it saves.
MANY_SCORES = 2**13


def is_worth_it(query, key, value):
    """Tell whether these are arrays of NumPy's, and long ones."""
    n_scores = query.shape[-2] * key.shape[-2]
    return n_scores >= MANY_SCORES and all(map(is_numpy_array, (query, key, value)))


def scaled_dot_product_attention(query, key, value, mask, scale, bias):
    """Compute ``lmmath.attention.scaled_dot_product_attention`` on checked NumPy arrays."""
    arrays = query, key, value
    batch = np.broadcast_shapes(*(array.shape[:-2] for array in arrays))
    query, key, value = (_over(batch, array) for array in arrays)
    scores_shape = query.shape[-2], key.shape[-2]
    mask, bias = (
        None if array is None else np.broadcast_to(array, (*batch, *scores_shape))
        for array in (mask, bias)
    )
    scale = 1 / sqrt(query.shape[-1]) if scale is None else float(scale)
    mixed = np.empty((*query.shape[:-1], value.shape[-1]), np.result_type(*arrays))
    for i in np.ndindex(batch):
        scores = (query[i] * scale) @ key[i].T
        if bias is not None:
            scores += bias[i].astype(scores.dtype)
        mixed[i] = (
            _softmax_in_place(scores, None if mask is None else mask[i]) @ value[i]
        )
    return mixed


def rms_norm(x, weight, eps):
    """Compute ``lmmath.transformer.rms_norm`` in three passes, for float32 and wider."""
    mean_square = np.vecdot(x, x)[..., None] / x.shape[-1]
    normalized = x / np.sqrt(mean_square + eps)
    normalized *= weight
    return normalized


def silu(x):
    """Compute ``lmmath.neurons.silu`` in three passes, for float32 and wider.

    Where the exponential overflows, the quotient is the zero that it should be.
    """
    with np.errstate(over="ignore"):
        return x / (np.exp(-x) + 1)


def _softmax_in_place(scores, mask):
    if mask is not None:
        np.copyto(scores, -inf, where=~mask)
    largest = np.max(scores, axis=-1, keepdims=True)
    if not np.isfinite(largest).all():
        # Infinity minus infinity would be a warning. As in lmmath.attention: nothing is possible
        # where the largest is -inf, and an infinite score makes NaN of all.
        largest[largest == -inf] = 0
        largest[largest == inf] = nan
    scores -= largest
    np.exp(scores, out=scores)
    # The largest score's own exponential is 1. Less is the sum where nothing is possible.
    total = np.maximum(np.sum(scores, axis=-1, keepdims=True), 1)
    scores *= 1 / total
    return scores


def _over(batch, array):
    return np.broadcast_to(array, (*batch, *array.shape[-2:]))
