"""The exercises of chapter 10."""

import numpy as np

from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise

_rng = Draws(10)


def share_after_peeling(n, peel):
    """Give the share of a ball that is left when the outer ``peel`` of its radius is gone."""
    return (1 - peel) ** n


SHARE_AFTER_PEELING = Exercise(
    solution=share_after_peeling,
    inputs=[
        *[(n, peel) for n in (1, 2, 3) for peel in (0.0, 0.1, 0.5, 1.0)],
        *[(n, peel) for n in (10, 96, 768) for peel in (0.01, 0.05)],
    ],
    mistakes=[
        (
            lambda n, peel: 1 - (1 - peel) ** n,
            "that is the peel. What is left is the rest.",
        ),
        (
            lambda n, peel: (1 - peel) ** 3,
            "right for an orange in three dimensions. Here there are n.",
        ),
        (
            lambda n, peel: 1 - n * peel,
            "that is nearly right while n * peel is small, and negative when it is large. "
            "Which ball is left, and how does its volume depend on its radius?",
        ),
        (
            lambda n, peel: 1 - peel**n,
            "peel ** n is the share of a ball as small as the peel is thick. "
            "What is left is a ball of radius 1 - peel.",
        ),
    ],
)


def ball_volume_by_recursion(n):
    """Compute the unit ball's volume from those in two dimensions fewer."""
    volume = 1.0 if n % 2 == 0 else 2.0
    for dimension in range(2 + n % 2, n + 1, 2):
        volume *= 2 * np.pi / dimension
    return volume


def _volume_by(factor, even=1.0, odd=2.0):
    """Make the recursion with another factor or another start."""

    def variant(n):
        volume = even if n % 2 == 0 else odd
        for dimension in range(2 + n % 2, n + 1, 2):
            volume *= factor(dimension)
        return volume

    return variant


BALL_VOLUME_BY_RECURSION = Exercise(
    solution=ball_volume_by_recursion,
    inputs=[(n,) for n in (*range(13), 20, 51, 100)],
    mistakes=[
        (
            _volume_by(lambda dimension: np.pi / dimension),
            "a factor of 2 is missing. The recursion of the gamma function gives n / 2 "
            "in the denominator.",
        ),
        (
            _volume_by(lambda dimension: 2 * np.pi / (dimension - 1)),
            "the right shape, but the denominator belongs to another dimension. "
            "It is Γ(n/2 + 1) over Γ(n/2).",
        ),
        (
            _volume_by(lambda dimension: 2 * np.pi / dimension, odd=1.0),
            "right in even dimensions. In one dimension the unit ball is the interval "
            "from -1 to 1. How long is it?",
        ),
        (
            _volume_by(lambda dimension: 2 * np.pi / dimension, even=0.0),
            "right in odd dimensions. In even ones you start with a volume of zero, and stay "
            "there. A point, in no dimensions, counts as 1.",
        ),
    ],
)


def radius_in_hollow_ball(n, inner, u):
    """Turn a uniform number into the radius of a uniform point between ``inner`` and 1."""
    return (inner**n + u * (1 - inner**n)) ** (1 / n)


RADIUS_IN_HOLLOW_BALL = Exercise(
    solution=radius_in_hollow_ball,
    inputs=[
        *[(1, 0.5, u) for u in (0.0, 0.5, 1.0)],
        *[(n, inner, u) for n in (2, 3) for inner in (0.0, 0.5) for u in (0.0, 0.3)],
        *[(n, 0.9, u) for n in (10, 100) for u in (0.0, 0.5, 1.0)],
        (768, 0.1, 0.5),
    ],
    mistakes=[
        (
            lambda n, inner, u: inner + (1 - inner) * u,
            "you spread the radius evenly. But there is more room farther out: "
            "it is the volume that must be even.",
        ),
        (
            lambda n, inner, u: inner + (1 - inner) * u ** (1 / n),
            "that is the radius in a full ball, squeezed between inner and 1. "
            "The hole takes away volume, not radius.",
        ),
        (
            lambda n, inner, u: u ** (1 / n),
            "that point may fall into the hole.",
        ),
        (
            lambda n, inner, u: (inner**n + u) ** (1 / n),
            "at u = 1 the radius should be 1. How large is the volume that u runs over?",
        ),
    ],
)


def effective_dimension(x):
    """Give the participation ratio of the covariance of the rows of ``x``."""
    centred = x - x.mean(axis=0)
    variances = np.linalg.eigvalsh(centred.T @ centred)
    return variances.sum() ** 2 / (variances**2).sum()


def _participation_ratio(of):
    def variant(x):
        weights = of(x)
        return weights.sum() ** 2 / (weights**2).sum()

    return variant


EFFECTIVE_DIMENSION = Exercise(
    solution=effective_dimension,
    inputs=[
        (np.asarray([[0.0, 0.0], [1.0, 0.0]]),),
        (np.asarray([[1.0, 1.0], [1.0, 3.0]]),),
        (np.asarray([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]),),
        (np.asarray([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]),),
        *[
            (_rng.normal(size=(n, d)) @ _rng.normal(size=(d, d)) + 1,)
            for n, d in [(5, 3), (20, 4), (50, 8)]
        ],
    ],
    mistakes=[
        (
            _participation_ratio(lambda x: np.linalg.eigvalsh(x.T @ x)),
            "your vectors are not centred. Take away their mean first, or it counts as a "
            "direction in which they spread.",
        ),
        (
            _participation_ratio(
                lambda x: np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
            ),
            "those are standard deviations along the principal axes. The variances are "
            "their squares.",
        ),
        (
            _participation_ratio(lambda x: x.var(axis=0)),
            "you took the variances along the coordinate axes. A line that runs askew "
            "would count as several dimensions. Take the covariance's eigenvalues.",
        ),
        (
            lambda x: np.linalg.matrix_rank(x - x.mean(axis=0)),
            "that counts every direction with any spread at all as a whole one. "
            "Weigh the directions by their variance.",
        ),
    ],
)


def matching_pursuit(vector, directions, n_active):
    """Find which ``n_active`` directions, each taken once, sum to ``vector``; sorted."""
    remaining, found = np.array(vector), []
    for _ in range(n_active):
        scores = directions @ remaining
        scores[found] = -np.inf
        best = int(np.argmax(scores))
        remaining -= directions[best]
        found.append(best)
    return np.sort(found)


def _pursuit_variant(weight=lambda score: 1.0, rank=lambda scores: scores, again=False):
    """Make the solution with one of its steps changed."""

    def variant(vector, directions, n_active):
        remaining, found = np.array(vector), []
        for _ in range(n_active):
            scores = directions @ remaining
            ranked = np.array(rank(scores))
            ranked[[] if again else found] = -np.inf
            best = int(np.argmax(ranked))
            remaining -= weight(scores[best]) * directions[best]
            found.append(best)
        return np.sort(found)

    return variant


def _sums(n, n_directions, n_active):
    """Draw directions, and the sum of some of them."""
    directions = _rng.normal(size=(n_directions, n))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    active = _rng.choice(n_directions, n_active, replace=False)
    return directions[active].sum(axis=0), directions, n_active


MATCHING_PURSUIT = Exercise(
    solution=matching_pursuit,
    inputs=[
        (np.asarray([0.0, 1.0]), np.eye(2), 1),
        (np.asarray([1.0, 0.0, 1.0]), np.eye(3), 2),
        *[
            _sums(n, n_directions, n_active)
            for n, n_directions, n_active in [
                # Not two of them: they would score the same, and rounding would decide.
                *[(4, 7, 3)] * 6,
                *[(6, 16, 3)] * 6,
                *[(16, 64, 4)] * 6,
                (64, 256, 8),
            ]
        ],
    ],
    mistakes=[
        (
            lambda vector, directions, n_active: np.sort(
                np.argsort(directions @ vector)[-n_active:]
            ),
            "you take the largest scores all at once. Take the best one, subtract its "
            "direction, and only then look for the next.",
        ),
        (
            _pursuit_variant(weight=lambda score: score),
            "you subtract as much of the direction as the score says, but the score is "
            "blurred by the other features. Each direction was added exactly once.",
        ),
        (
            _pursuit_variant(rank=np.abs),
            "a large negative score does not show an active feature. Features are added, "
            "never subtracted.",
        ),
        (
            _pursuit_variant(again=True),
            "you may find the same feature twice. Leave out those already found.",
        ),
    ],
)

EXERCISES = [
    SHARE_AFTER_PEELING,
    BALL_VOLUME_BY_RECURSION,
    RADIUS_IN_HOLLOW_BALL,
    EFFECTIVE_DIMENSION,
    MATCHING_PURSUIT,
]
