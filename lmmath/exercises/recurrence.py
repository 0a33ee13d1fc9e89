"""The exercises of chapter 2."""

import numpy as np

from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise
from lmmath.neurons import relu
from lmmath.recurrence import rnn

_rng = Draws(2)


def half_life(forget):
    """Give the number of steps after which a cell, kept by ``forget`` each step, has halved."""
    return np.log(1 / 2) / np.log(forget)


HALF_LIFE = Exercise(
    solution=half_life,
    inputs=[(forget,) for forget in (0.125, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)],
    mistakes=[
        (
            lambda forget: 1 / 2 / forget,
            "that halves a number that falls by the same amount each step. "
            "This one falls by the same factor.",
        ),
        (
            lambda forget: np.log(forget) / np.log(1 / 2),
            "that is how often the cell halves in one step. You want steps, not halvings.",
        ),
        (
            lambda forget: -1 / np.log(forget),
            "that is when 1/e is left, not 1/2.",
        ),
        (
            lambda forget: 0.5 / (1 - forget),
            "that takes away 1 - forget of the first value in each step. But it is a share of "
            "what is left, and less is left each time. Solve forget ** n = 1/2 for n.",
        ),
        (
            lambda forget: np.log2(forget),
            "that is by how many powers of 2 the cell changes in one step. You want the number "
            "of steps for one halving.",
        ),
        (
            lambda forget: np.log(2) / np.log(forget),
            "your number of steps is negative. What is left is 1/2, not 2.",
        ),
    ],
)


def last_state(x, w_x, w_h, b):
    """Read the rows of ``x`` with a tanh network, from a state of zeros, to the last state."""
    h = np.zeros(len(b))
    for x_t in x:
        h = np.tanh(x_t @ w_x + h @ w_h + b)
    return h


def _transposed(x, w_x, w_h, b):
    return last_state(x, w_x, w_h.T, b)


def _without_bias(x, w_x, w_h, b):
    return last_state(x, w_x, w_h, np.zeros(len(b)))


def _without_memory(x, w_x, w_h, b):
    return np.tanh(x[-1] @ w_x + b)


def _bent_at_the_end(x, w_x, w_h, b):
    h = np.zeros(len(b))
    for x_t in x:
        h = x_t @ w_x + h @ w_h + b
    return np.tanh(h)


def _all_states(x, w_x, w_h, b):
    return rnn(x, w_x, w_h, b)


def _layer(n, d_in, d):
    shapes = (n, d_in), (d_in, d), (d, d), (d,)
    return tuple(_rng.normal(size=shape) for shape in shapes)


LAST_STATE = Exercise(
    solution=last_state,
    inputs=[
        (np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)),
        (np.ones((2, 1)), np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)),
        (np.ones((2, 1)), np.ones((1, 1)), np.ones((1, 1)), np.ones(1)),
        *[_layer(*sizes) for sizes in [(1, 2, 2), (2, 1, 2), (3, 3, 2), (9, 2, 5)]],
    ],
    mistakes=[
        (
            _without_memory,
            "you use the last input alone. The state before it must go in too.",
        ),
        (
            _transposed,
            "the matrix of the state is transposed. States are rows here: h @ w_h.",
        ),
        (_without_bias, "the bias is missing."),
        (
            _bent_at_the_end,
            "you apply tanh once, at the end. The state that goes into the next step is "
            "what tanh gave, not the sum before it.",
        ),
        (_all_states, "you return all the states. Only the last is asked for."),
    ],
)


def largest_gradient_after(w_h, steepest, n_steps):
    """Bound the length of a gradient of length 1 after ``n_steps`` steps back."""
    return (steepest * np.linalg.norm(w_h, ord=2)) ** n_steps


LARGEST_GRADIENT_AFTER = Exercise(
    solution=largest_gradient_after,
    inputs=[
        (np.asarray([[0.5]]), 1.0, 1),
        (np.asarray([[-0.5]]), 1.0, 2),
        (np.asarray([[2.0]]), 0.25, 3),
        (np.asarray([[0.0, 3.0], [0.0, 0.0]]), 1.0, 2),
        (np.asarray([[0.0, 1.0], [1.0, 0.0]]), 0.25, 2),
        *[
            (_rng.normal(size=(d, d)), steepest, n_steps)
            for d in (2, 3, 5)
            for steepest, n_steps in [(1.0, 4), (0.25, 7)]
        ],
    ],
    mistakes=[
        (
            lambda w_h, steepest, n_steps: (
                (steepest * np.abs(np.linalg.eigvals(w_h)).max()) ** n_steps
            ),
            "the largest eigenvalue does not bound the product: a single step can "
            "lengthen a vector by more than that. Which numbers say by how much at most?",
        ),
        (
            lambda w_h, steepest, n_steps: (steepest * np.linalg.norm(w_h)) ** n_steps,
            "that holds, but it is not the tightest bound: norm(w_h) without an order is "
            "the root of the sum of all squares, and a vector meets one direction only.",
        ),
        (
            lambda w_h, steepest, n_steps: (
                steepest * np.linalg.norm(w_h, ord=2) ** n_steps
            ),
            "each step bends once more: the slope counts as often as the matrix.",
        ),
        (
            lambda w_h, steepest, n_steps: (steepest * np.abs(w_h).max()) ** n_steps,
            "the largest entry says little about a matrix: many small ones add up.",
        ),
    ],
)


def running_maximum(x):
    """Give the largest number so far, at each step of a sequence of numbers of at least 0."""
    w_x = np.asarray([[1.0, 0.0]])  # only the first neuron sees the input
    w_h = np.asarray([[-1.0, 1.0], [-1.0, 1.0]])
    h = rnn(x[:, None], w_x, w_h, b=np.zeros(2), activation=relu)
    return h[:, 0] + h[:, 1]


RUNNING_MAXIMUM = Exercise(
    solution=running_maximum,
    inputs=[
        (np.asarray(numbers, dtype=float),)
        for numbers in ([0], [3], [1, 2], [2, 1], [1, 3, 2], [5, 0, 0, 4, 6, 1])
    ]
    + [(_rng.exponential(size=n),) for n in (4, 9, 30)],
    mistakes=[
        (
            lambda x: x,
            "you give the newest number. When a smaller one comes, keep what you had.",
        ),
        (
            lambda x: np.full_like(x, x.max()),
            "at each step only the numbers so far may count, not those to come.",
        ),
        (
            lambda x: np.cumsum(x),
            "your state adds up all numbers. Add only what exceeds the largest so far: "
            "relu(x - m).",
        ),
        (
            lambda x: relu(x - np.append(0, np.maximum.accumulate(x)[:-1])),
            "you give only what each number adds to the largest before it. Carry the "
            "largest along in a second neuron, and add the two.",
        ),
    ],
)


def linear_recurrence(a, u):
    """Compute all states of h[t] = a[t] * h[t - 1] + u[t], in a few rounds on whole arrays."""
    a, u, span = a.copy(), u.copy(), 1
    while span < len(a):
        # a and u now cover `span` steps. Put the span before in front of each.
        u[span:] = u[span:] + a[span:] * u[:-span]
        a[span:] = a[span:] * a[:-span]
        span = 2 * span
    return u


def _decay_first(a, u):
    a, u, span = a.copy(), u.copy(), 1
    while span < len(a):
        a[span:] = a[span:] * a[:-span]
        u[span:] = u[span:] + a[span:] * u[:-span]
        span = 2 * span
    return u


def _decay_kept(a, u):
    u, span = u.copy(), 1
    while span < len(a):
        u[span:] = u[span:] + a[span:] * u[:-span]
        span = 2 * span
    return u


def _one_step_more(a, u):
    a, u, span = a.copy(), u.copy(), 1
    while span < len(a):
        u[span:] = u[span:] + a[span:] * u[:-span]
        a[span:] = a[span:] * a[:-span]
        span = span + 1
    return u


def _by_division(a, u):
    decay = np.cumprod(a)
    return decay * np.cumsum(u / decay)


def _one_round(a, u):
    return u + a * np.append(0, u[:-1])


LINEAR_RECURRENCE = Exercise(
    solution=linear_recurrence,
    inputs=[
        (np.asarray(a, dtype=float), np.asarray(u, dtype=float))
        for a, u in [
            ([2], [3]),
            ([1, 1], [1, 1]),
            ([5, 2], [1, 1]),
            ([1, 1, 1, 1], [1, 2, 3, 4]),
            ([2, 2, 2, 2], [1, 0, 0, 0]),
            ([1, 1, 0, 1], [1, 1, 1, 1]),
        ]
    ]
    + [(_rng.uniform(-1, 1, size=n), _rng.normal(size=n)) for n in (3, 5, 8, 13)]
    + [(np.full(2000, 0.5), np.ones(2000))],
    mistakes=[
        (
            _decay_first,
            "you lengthen the spans of a before u has used the old ones. "
            "Change u first.",
        ),
        (
            _decay_kept,
            "u covers two steps after the first round, but a still covers one. "
            "It must be multiplied up in the same way.",
        ),
        (
            _one_step_more,
            "after a round each entry covers twice as many steps as before, "
            "so the next reaches back twice as far, not one step further.",
        ),
        (
            _by_division,
            "right on paper, but a product of many numbers below 1 rounds to 0, and you "
            "divide by it. Combine spans instead; then nothing is divided.",
        ),
        (
            _one_round,
            "each state has taken in the input before it, and no more. "
            "Go on with spans of 2, 4, 8 and so on.",
        ),
        (
            lambda a, u: np.cumsum(u),
            "that is right where every a is 1. Otherwise the past fades.",
        ),
    ],
)

EXERCISES = [
    HALF_LIFE,
    LAST_STATE,
    LARGEST_GRADIENT_AFTER,
    RUNNING_MAXIMUM,
    LINEAR_RECURRENCE,
]
