"""Points of two kinds in a plane, for a network to tell apart: 100 each, and always the same."""

import numpy as np

_HALF = 50  # as many of one kind as of the other


def _exclusive_or(rng):
    corners = np.asarray([[0, 0], [1, 1], [0, 1], [1, 0]]).repeat(_HALF // 2, axis=0)
    return corners + rng.normal(0, 0.1, corners.shape)


def _moons(rng):
    angles = np.linspace(0, np.pi, _HALF)
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    moons = np.concatenate([upper, [1.0, 0.5] - upper])
    return 0.55 * moons + [0.225, 0.36] + rng.normal(0, 0.05, moons.shape)


def _circles(rng):
    angles = np.linspace(0, 2 * np.pi, _HALF, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    circles = np.concatenate([0.8 * circle, 0.3 * circle]) + 0.5
    return circles + rng.normal(0, 0.05, circles.shape)


_KINDS = {"exclusive or": _exclusive_or, "moons": _moons, "circles": _circles}

NAMES = list(_KINDS)
# Three digits are enough for a point, and the same on every machine.
POINTS = np.stack([make(np.random.default_rng(1)).round(3) for make in _KINDS.values()])
TARGETS = np.tile(np.repeat([0.0, 1.0], _HALF), (len(NAMES), 1))
