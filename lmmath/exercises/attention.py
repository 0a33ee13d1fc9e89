"""The exercises of chapter 3."""

import numpy as np

from lmmath.attention import scaled_dot_product_attention
from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise

_rng = Draws(3)


def first_of_two(a, b):
    """Give the softmax weight of score ``a`` beside score ``b``, with one exponential."""
    return 1 / (1 + np.exp(b - a))


FIRST_OF_TWO = Exercise(
    solution=first_of_two,
    inputs=[
        *[(float(a), float(b)) for a in (-2, 0, 1) for b in (-1, 0, 3)],
        (1000.0, 999.0),
        (-1000.0, 1000.0),
        (1000.0, -1000.0),
        *[tuple(scores) for scores in _rng.normal(scale=3, size=(10, 2))],
    ],
    mistakes=[
        (
            lambda a, b: 1 / (1 + np.exp(a - b)),
            "that is the weight of b. Which way round must the difference be, "
            "so that a larger a gets a larger weight?",
        ),
        (
            lambda a, b: np.exp(a) / (np.exp(a) + np.exp(b)),
            "right by the formula, but an exponential of 1000 is too large for a computer. "
            "Divide above and below by the same thing.",
        ),
        (
            lambda a, b: np.exp(a - b) / (1 + np.exp(a - b)),
            "right by the formula, but if a is far above b, infinity is divided by infinity. "
            "Put the exponential into the denominator alone.",
        ),
        (
            lambda a, b: np.exp(a - b),
            "that is the ratio of the two weights. The weights must also sum to one.",
        ),
    ],
)


def log_sum_exp(x):
    """Give the logarithm of the sum of the exponentials of ``x``, for any finite scores."""
    m = np.max(x)
    return m + np.log(np.sum(np.exp(x - m)))


LOG_SUM_EXP = Exercise(
    solution=log_sum_exp,
    inputs=[
        (np.asarray([0.0]),),
        (np.asarray([-3.0]),),
        (np.asarray([0.0, 0.0]),),
        (np.asarray([1.0, 2.0]),),
        (np.asarray([1000.0, 1000.0]),),
        (np.asarray([0.0, 1000.0]),),
        (np.asarray([1000.0, 0.0]),),
        (np.asarray([-1000.0, 1000.0]),),
        (np.asarray([-1000.0, -1001.0]),),
        *[(_rng.normal(scale=5, size=n),) for n in range(3, 19)],
    ],
    mistakes=[
        (
            lambda x: np.log(np.sum(np.exp(x))),
            "right by the formula, but it overflows or rounds to log(0). "
            "Take the maximum out of the sum before you exponentiate.",
        ),
        (
            lambda x: np.log(np.sum(np.exp(x - np.max(x)))),
            "you took the maximum out of the sum. Where does it go?",
        ),
        (
            lambda x: np.sum(x),
            "the logarithm of a sum is not the sum of the logarithms.",
        ),
    ],
)


def window_mask(n, width):
    """Allow each of ``n`` positions the last ``width`` positions, its own included."""
    position = np.arange(n)
    distance = position[:, None] - position[None, :]  # how far the key lies back
    return (distance >= 0) & (distance < width)


WINDOW_MASK = Exercise(
    solution=window_mask,
    inputs=[(n, width) for n in range(1, 7) for width in range(1, 5)],
    mistakes=[
        (
            lambda n, width: abs(np.subtract.outer(np.arange(n), np.arange(n))) < width,
            "some positions see the future. Row i may only use columns up to i.",
        ),
        (
            lambda n, width: (
                np.tri(n, dtype=bool) & ~np.tri(n, k=-width - 1, dtype=bool)
            ),
            "one position too many. A position counts itself among its last `width`.",
        ),
        (
            lambda n, width: window_mask(n, width).T,
            "rows and columns are exchanged. Rows are queries, columns are keys.",
        ),
        (
            lambda n, width: np.tri(n, dtype=bool),
            "that is the causal mask. Now forget what lies `width` or more positions back.",
        ),
    ],
)


def streaming_attention(query, keys, values):
    """Answer one query, reading keys and values once, one row at a time."""
    largest, total, mixed = -np.inf, 0.0, np.zeros(values.shape[1])
    for key, value in zip(keys, values, strict=True):
        score = query @ key / np.sqrt(len(query))
        new_largest = max(largest, score)
        rescale, weight = np.exp(largest - new_largest), np.exp(score - new_largest)
        total = total * rescale + weight
        mixed = mixed * rescale + weight * value
        largest = new_largest
    return mixed / total


def _streaming_variant(largest, rescale_mixed, rescale_total):
    """Make the solution with its start or one of its steps changed."""

    def variant(query, keys, values, largest=largest):
        total, mixed = 0.0, np.zeros(values.shape[1])
        for key, value in zip(keys, values, strict=True):
            score = query @ key / np.sqrt(len(query))
            new_largest = max(largest, score)
            rescale, weight = np.exp(largest - new_largest), np.exp(score - new_largest)
            total = total * (rescale if rescale_total else 1) + weight
            mixed = mixed * (rescale if rescale_mixed else 1) + weight * value
            largest = new_largest
        return mixed / total

    return variant


def _without_maximum(query, keys, values):
    weights = np.exp(keys @ query / np.sqrt(len(query)))
    return weights @ values / np.sum(weights)


def _without_scale(query, keys, values):
    return scaled_dot_product_attention(query[None], keys, values, scale=1.0)[0]


STREAMING_ATTENTION = Exercise(
    solution=streaming_attention,
    inputs=[
        (np.asarray([0.0]), np.asarray([[1.0]]), np.asarray([[2.0]])),
        (np.asarray([1.0]), np.asarray([[0.0], [1.0]]), np.asarray([[1.0], [2.0]])),
        (np.asarray([1000.0]), np.asarray([[0.0], [1.0]]), np.asarray([[1.0], [2.0]])),
        (np.asarray([-1000.0]), np.asarray([[1.0], [2.0]]), np.asarray([[1.0], [2.0]])),
        (np.asarray([1.0, 1.0]), np.eye(2), np.asarray([[1.0], [2.0]])),
        *[
            (_rng.normal(size=d), _rng.normal(size=(n, d)), _rng.normal(size=(n, 3)))
            for n, d in [(2, 4), (3, 2), (5, 4), (8, 16), (30, 8)]
        ],
    ],
    mistakes=[
        (
            _streaming_variant(-np.inf, rescale_mixed=False, rescale_total=False),
            "when a larger score arrives, what you have summed so far was measured "
            "against the old maximum. Bring it to the new one first.",
        ),
        (
            _streaming_variant(-np.inf, rescale_mixed=True, rescale_total=False),
            "you bring the mixed values to the new maximum, but not the total of the weights.",
        ),
        (
            _streaming_variant(0.0, rescale_mixed=True, rescale_total=True),
            "you start with 0 as the largest score, and all scores may lie far below it.",
        ),
        (
            _without_maximum,
            "right by the formula, but it overflows. Keep the largest score seen so far.",
        ),
        (_without_scale, "the scores are not divided by the square root of d_k."),
    ],
)

EXERCISES = [FIRST_OF_TWO, LOG_SUM_EXP, WINDOW_MASK, STREAMING_ATTENTION]
