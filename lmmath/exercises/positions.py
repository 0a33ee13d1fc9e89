"""The exercises of chapter 4."""

import numpy as np

from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise
from lmmath.positions import frequencies, rotary_embedding

_rng = Draws(4)


def longest_wavelength(d_model, base):
    """Give the wavelength of the last pair of a sinusoidal encoding, in positions."""
    return 2 * np.pi * base ** ((d_model - 2) / d_model)


LONGEST_WAVELENGTH = Exercise(
    solution=longest_wavelength,
    inputs=[(d, base) for d in (2, 4, 8, 96, 512) for base in (100, 10_000, 500_000)],
    mistakes=[
        (
            lambda d_model, base: 2 * np.pi * base,
            "that is the limit for large widths. Which i has the last pair, "
            "if the first has i = 0?",
        ),
        (
            lambda d_model, base: base ** ((d_model - 2) / d_model),
            "that is how long the hand takes for one radian. A turn has more of them.",
        ),
        (
            lambda d_model, base: 2 * np.pi / base ** ((d_model - 2) / d_model),
            "the slowest hand has the longest wavelength, and a larger base makes it longer.",
        ),
        (
            lambda d_model, base: 2 * np.pi * base ** ((d_model - 1) / d_model),
            "there are d/2 pairs, so the last one is i = d/2 - 1. What is 2i then?",
        ),
    ],
)


def similarity_at(distance, d_model, base):
    """Give the dot product of two sinusoidal encodings ``distance`` positions apart."""
    return np.sum(np.cos(distance * frequencies(d_model, base)))


SIMILARITY_AT = Exercise(
    solution=similarity_at,
    inputs=[
        (distance, d, base)
        for distance in (0, 1, 2, 7, 100, -3)
        for d in (2, 4, 6, 64)
        for base in (100, 10_000)
    ],
    mistakes=[
        (
            lambda distance, d_model, base: np.mean(
                np.cos(distance * frequencies(d_model, base))
            ),
            "that is the mean cosine. A dot product is a sum.",
        ),
        (
            lambda distance, d_model, base: np.sum(
                np.sin(distance * frequencies(d_model, base))
            ),
            "a code with itself has distance 0, and its dot product cannot be 0.",
        ),
        (
            lambda distance, d_model, base: np.sum(
                np.cos(distance * frequencies(d_model, 10_000))
            ),
            "the speeds are always those of base 10,000. The base is an argument.",
        ),
        (
            lambda distance, d_model, base: np.sum(
                np.cos(distance * base ** (-np.arange(d_model // 2) / d_model))
            ),
            "the speeds fall too slowly. The exponent is -2i/d, for i = 0, 1, ..., d/2 - 1.",
        ),
        (
            lambda distance, d_model, base: (
                2 * np.sum(np.cos(distance * frequencies(d_model, base)))
            ),
            "there is one cosine for each pair, and d/2 pairs.",
        ),
    ],
)


def rotate_halves(x, position, base):
    """Turn the vector ``x``, with its pairs (i, i + d/2), by the angles of a position."""
    first, second = np.split(x, 2)
    angles = position * frequencies(len(x), base)
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.concatenate(
        [first * cosine - second * sine, first * sine + second * cosine]
    )


def _rotate_neighbours(x, position, base):
    return rotary_embedding(x[None], np.asarray([position]), base)[0]


def _rotate_halves_at(speeds):
    """Make the solution with other speeds: a function of the width and the base."""

    def variant(x, position, base):
        first, second = np.split(x, 2)
        turned = (first + 1j * second) * np.exp(1j * position * speeds(len(x), base))
        return np.concatenate([turned.real, turned.imag])

    return variant


def _without_the_minus(x, position, base):
    first, second = np.split(x, 2)
    angles = position * frequencies(len(x), base)
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.concatenate(
        [first * cosine + second * sine, first * sine + second * cosine]
    )


ROTATE_HALVES = Exercise(
    solution=rotate_halves,
    inputs=[
        (np.asarray([1.0, 0.0]), 1, 10_000),
        (np.asarray([0.0, 1.0]), 1, 10_000),
        (np.asarray([1.0, 0.0, 0.0, 0.0]), 1, 100),
        (np.asarray([0.0, 1.0, 0.0, 0.0]), 1, 100),
        (np.asarray([0.0, 0.0, 1.0, 0.0]), 3, 100),
        *[
            (_rng.normal(size=d), position, base)
            for d, position, base in [
                (4, 0, 100),
                (6, 1, 10_000),
                (8, 50, 10_000),
                (64, 1000, 500_000),
            ]
        ],
    ],
    mistakes=[
        (
            _rotate_neighbours,
            "you pair neighbours. Here feature i belongs with feature i + d/2.",
        ),
        (
            _rotate_halves_at(lambda d, base: -frequencies(d, base)),
            "you turn the other way round. Which of the two sines has the minus?",
        ),
        (
            _without_the_minus,
            "one of the two sines needs a minus, or lengths are not kept.",
        ),
        (
            _rotate_halves_at(lambda d, base: base ** (-np.arange(d // 2) / d)),
            "the speeds fall too slowly. The exponent is -2i/d, for i = 0, 1, ..., d/2 - 1.",
        ),
        (
            _rotate_halves_at(lambda d, base: frequencies(d, 10_000)),
            "the speeds are always those of base 10,000. The base is an argument.",
        ),
    ],
)


def key_for_distance(query, distance, base):
    """Give the key that answers a query best from ``distance`` positions back."""
    return rotary_embedding(query[None], np.asarray([distance]), base)[0]


KEY_FOR_DISTANCE = Exercise(
    solution=key_for_distance,
    inputs=[
        (np.asarray([1.0, 0.0]), 0, 10_000),
        (np.asarray([1.0, 0.0]), 1, 10_000),
        (np.asarray([0.0, 2.0]), 1, 10_000),
        (np.asarray([1.0, 0.0, 1.0, 0.0]), 5, 100),
        *[
            (_rng.normal(size=d), distance, base)
            for d, distance, base in [
                (4, 1, 100),
                (6, 7, 10_000),
                (8, 50, 10_000),
                (64, 1000, 500_000),
            ]
        ],
    ],
    mistakes=[
        (
            lambda query, distance, base: query,
            "that key answers best from distance 0.",
        ),
        (
            lambda query, distance, base: key_for_distance(query, -distance, base),
            "you turn it the wrong way: this key is best as far after the query.",
        ),
        (
            lambda query, distance, base: key_for_distance(query, distance, 10_000),
            "the speeds are always those of base 10,000. The base is an argument.",
        ),
        (
            lambda query, distance, base: rotate_halves(query, distance, base),
            "the direction is right, but the pairs are not: here they are 2i and 2i + 1.",
        ),
        (
            lambda query, distance, base: (
                key_for_distance(query, distance, base) / np.linalg.norm(query)
            ),
            "it points the right way, but it should be as long as the query.",
        ),
    ],
)

EXERCISES = [LONGEST_WAVELENGTH, SIMILARITY_AT, ROTATE_HALVES, KEY_FOR_DISTANCE]
