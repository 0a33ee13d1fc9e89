"""The exercises of chapter 1."""

import numpy as np

from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise

_rng = Draws(1)


def relu_layer(x, w, b):
    """Compute a layer of neurons with the activation relu, for every row of ``x``."""
    return np.maximum(x @ w + b, 0)


def _layer_inputs():
    yield np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)
    for n, d_in, d_out in [(1, 2, 1), (2, 1, 2), (2, 2, 2), (3, 2, 4), (4, 5, 3)]:
        yield (
            _rng.normal(size=(n, d_in)),
            _rng.normal(size=(d_in, d_out)),
            _rng.normal(size=d_out),
        )


RELU_LAYER = Exercise(
    solution=relu_layer,
    inputs=list(_layer_inputs()),
    mistakes=[
        (lambda x, w, b: x @ w + b, "that is the sum. The activation is missing."),
        (
            lambda x, w, b: np.maximum(x @ w, 0),
            "the bias is missing: it is added before the activation.",
        ),
        (
            lambda x, w, b: np.maximum(x @ w, 0) + b,
            "the bias is added before the activation, not after it.",
        ),
        (
            lambda x, w, b: np.maximum(w @ x + b, 0),
            "here inputs are rows and multiply from the left: x @ w.",
        ),
        (
            lambda x, w, b: np.maximum(w.T @ x + b, 0),
            "w.T @ x is for one input that stands as a column. Here each input is a row, and "
            "rows multiply from the left: x @ w.",
        ),
        (
            lambda x, w, b: np.maximum(w.T @ x.T + b[:, None], 0),
            "the outputs stand in columns. Each input is a row, and so is its output: x @ w.",
        ),
    ],
)


def stable_sigmoid(x):
    """Compute the sigmoid of any finite number, without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


STABLE_SIGMOID = Exercise(
    solution=stable_sigmoid,
    inputs=[
        (np.asarray([0.0]),),
        (np.asarray([2.0]),),
        (np.asarray([-3.0]),),
        (np.asarray([1000.0]),),
        (np.asarray([-1000.0]),),
        (np.asarray([-700.0, 1.0, 800.0]),),
        (_rng.normal(scale=4, size=8),),
    ],
    mistakes=[
        (
            lambda x: np.exp(x) / (1 + np.exp(x)),
            "right by the formula, but for large x infinity is divided by infinity.",
        ),
        (
            lambda x: 1 / (1 + np.exp(-x)),
            "right by the formula, and 1 / infinity is 0 as it should be. But for x far below "
            "zero exp(-x) overflows on the way. Take the exponential of -abs(x) only.",
        ),
        (
            lambda x: np.where(
                x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x))
            ),
            "two formulas for two signs, and right. But np.where computes both of them for "
            "all x, and one overflows. An exponential of -abs(x) suits both.",
        ),
        (
            lambda x: 1 / (1 + np.exp(x)),
            "the sign: a large x should give a value near 1.",
        ),
        (
            lambda x: np.tanh(x),
            "tanh runs from −1 to 1. It is 2σ(2x) − 1.",
        ),
    ],
    without_overflow=True,
)


def tent(x, left, top, right):
    """Make a tent of three relus: 0 outside ``left`` and ``right``, 1 at ``top``."""
    up, down = 1 / (top - left), 1 / (right - top)
    return (
        up * np.maximum(x - left, 0)
        - (up + down) * np.maximum(x - top, 0)
        + down * np.maximum(x - right, 0)
    )


TENT = Exercise(
    solution=tent,
    inputs=[
        (np.asarray([0.5]), 0.0, 1.0, 2.0),
        (np.asarray([1.0]), 0.0, 1.0, 2.0),
        (np.asarray([1.5]), 0.0, 1.0, 2.0),
        (np.asarray([3.0]), 0.0, 1.0, 2.0),
        (np.asarray([-1.0]), 0.0, 1.0, 2.0),
        (np.linspace(-1, 4, 26), 0.0, 1.0, 3.0),
        (np.linspace(-2, 2, 17), -1.0, 0.5, 1.0),
    ],
    mistakes=[
        (
            lambda x, left, top, right: (
                np.maximum(x - left, 0) / (top - left)
                - np.maximum(x - top, 0) / (right - top)
            ),
            "the second relu must undo the rise and begin the fall: its slope is the sum of "
            "the two.",
        ),
        (
            lambda x, left, top, right: (
                np.maximum(x - left, 0) / (top - left)
                - (1 / (top - left) + 1 / (right - top)) * np.maximum(x - top, 0)
            ),
            "beyond the right end it goes on falling. A third relu must stop it.",
        ),
        (
            lambda x, left, top, right: (
                np.maximum(x - left, 0)
                - 2 * np.maximum(x - top, 0)
                + np.maximum(x - right, 0)
            ),
            "that tent is as high as it is wide, and closes only if both sides are equal. "
            "Divide the slopes by the widths.",
        ),
    ],
    without={
        "interp": "np.interp draws the tent for you. Build it from three relus, "
        "np.maximum(x - place, 0), each times a slope."
    },
)


def relu_interpolation(x, knots, heights):
    """Pass through the points (knots, heights) in straight lines, level outside, by relus."""
    slopes = np.diff(heights) / np.diff(knots)
    changes = np.diff(
        np.concatenate([[0.0], slopes, [0.0]])
    )  # of the slope, at each knot
    return heights[0] + np.maximum(x[:, None] - knots, 0) @ changes


def _interpolation_inputs():
    yield np.asarray([0.5]), np.asarray([0.0, 1.0]), np.asarray([0.0, 1.0])
    yield np.asarray([0.5]), np.asarray([0.0, 1.0]), np.asarray([2.0, 3.0])
    yield np.asarray([2.0]), np.asarray([0.0, 1.0]), np.asarray([0.0, 1.0])
    yield np.asarray([-1.0]), np.asarray([0.0, 1.0]), np.asarray([3.0, 1.0])
    for n in (3, 4, 7):
        knots = np.cumsum(_rng.uniform(0.2, 1, size=n))
        yield np.linspace(-1, knots[-1] + 1, 13), knots, _rng.normal(size=n)


RELU_INTERPOLATION = Exercise(
    solution=relu_interpolation,
    inputs=list(_interpolation_inputs()),
    mistakes=[
        (
            lambda x, knots, heights: (
                heights[0]
                + np.maximum(x[:, None] - knots[:-1], 0)
                @ np.diff(np.concatenate([[0.0], np.diff(heights) / np.diff(knots)]))
            ),
            "beyond the last knot the line goes on. One more relu makes it level.",
        ),
        (
            lambda x, knots, heights: (
                heights[0]
                + np.maximum(x[:, None] - knots[:-1], 0)
                @ (np.diff(heights) / np.diff(knots))
            ),
            "the slopes before a knot do not end there. A relu must add the change of slope.",
        ),
        (
            lambda x, knots, heights: (
                relu_interpolation(x, knots, heights) - heights[0]
            ),
            "left of the first knot all relus are zero. The bias must give the first height.",
        ),
    ],
    without={
        "interp": "np.interp draws the lines for you. Build them from relus, one for each "
        "knot, each times the change of slope there."
    },
)

EXERCISES = [RELU_LAYER, STABLE_SIGMOID, TENT, RELU_INTERPOLATION]
