"""The exercises of chapter 9."""

import numpy as np

from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise

_rng = Draws(9)


def _normalized(weights):
    return weights / np.sum(weights)


def _probabilities(n):
    return _rng.probabilities(n)


def token_at(probabilities, u):
    """Give the token that a uniform number ``u`` in [0, 1) draws."""
    return int(np.argmax(np.cumsum(probabilities) > u))


TOKEN_AT = Exercise(
    solution=token_at,
    inputs=[
        (np.asarray([1.0]), 0.3),
        (np.asarray([0.5, 0.5]), 0.25),
        (np.asarray([0.5, 0.5]), 0.75),
        (np.asarray([0.5, 0.5]), 0.5),
        (np.asarray([0.0, 1.0]), 0.0),
        (np.asarray([0.25, 0.5, 0.25]), 0.0),
        (np.asarray([0.25, 0.5, 0.25]), 0.25),
        *[(_probabilities(n), u) for n in (2, 3, 5, 8) for u in (0.1, 0.6, 0.95)],
    ],
    mistakes=[
        (
            lambda probabilities, u: int(np.argmax(np.cumsum(probabilities) >= u)),
            "almost: at u = 0 a first token of probability zero must not be drawn. "
            "Does the sum have to reach u, or to pass it?",
        ),
        (
            lambda probabilities, u: int(np.argmax(probabilities > u)),
            "you compare u with each probability. Compare it with their running sum.",
        ),
        (
            lambda probabilities, u: int(np.argmax(probabilities)),
            "that is the most probable token, whatever u is. Where does chance come in?",
        ),
        (
            lambda probabilities, u: int(u * len(probabilities)),
            "that draws all tokens with equal odds. A probable token needs a longer piece "
            "of the unit interval.",
        ),
    ],
)


def nucleus_size(probabilities, p):
    """Count the tokens that top-p keeps: the fewest whose probabilities reach ``p``."""
    largest_first = np.sort(probabilities)[::-1]
    return int(np.argmax(np.cumsum(largest_first) >= p)) + 1


NUCLEUS_SIZE = Exercise(
    solution=nucleus_size,
    inputs=[
        (np.asarray([1.0]), 0.9),
        (np.asarray([0.5, 0.5]), 0.5),
        (np.asarray([0.25, 0.75]), 0.75),
        (np.asarray([0.25, 0.75]), 0.5),
        (np.asarray([0.125, 0.5, 0.125, 0.25]), 0.6),
        (np.asarray([0.125, 0.5, 0.125, 0.25]), 0.9),
        *[(_probabilities(n), p) for n in (3, 5, 20) for p in (0.3, 0.7, 0.95)],
    ],
    mistakes=[
        (
            lambda probabilities, p: int(np.argmax(np.cumsum(probabilities) >= p)) + 1,
            "sort first: the nucleus takes the most probable tokens, wherever they stand.",
        ),
        (
            lambda probabilities, p: int(
                np.argmax(np.cumsum(np.sort(probabilities)[::-1]) >= p)
            ),
            "one too few. The token with which the sum reaches p belongs to the nucleus.",
        ),
        (
            lambda probabilities, p: int(np.sum(probabilities >= p)),
            "p bounds the sum of the probabilities that are kept, not each of them.",
        ),
        (
            lambda probabilities, p: (
                int(np.argmax(np.cumsum(np.sort(probabilities)) >= p)) + 1
            ),
            "you begin with the least probable tokens. Turn the order round.",
        ),
    ],
)


def cache_bytes(n_layers, d_model, n_tokens, bytes_per_number):
    """Give the size of the key-value cache of one text, in bytes."""
    return 2 * n_layers * d_model * n_tokens * bytes_per_number


CACHE_BYTES = Exercise(
    solution=cache_bytes,
    inputs=[
        (1, 1, 1, 1),
        (1, 1, 1, 2),
        (3, 96, 128, 4),
        (12, 768, 1024, 2),
        (96, 12288, 2048, 2),
        (32, 4096, 100_000, 1),
    ],
    mistakes=[
        (
            lambda n_layers, d_model, n_tokens, bytes_per_number: (
                n_layers * d_model * n_tokens * bytes_per_number
            ),
            "each position keeps two vectors in each layer, a key and a value.",
        ),
        (
            lambda n_layers, d_model, n_tokens, bytes_per_number: (
                2 * n_layers * d_model * n_tokens**2 * bytes_per_number
            ),
            "the cache holds keys and values, not the attention weights: it grows with the "
            "length, not with its square.",
        ),
        (
            lambda n_layers, d_model, n_tokens, bytes_per_number: (
                2 * n_layers * d_model * n_tokens
            ),
            "that counts numbers. How many bytes has each?",
        ),
        (
            lambda n_layers, d_model, n_tokens, bytes_per_number: (
                2 * d_model * n_tokens * bytes_per_number
            ),
            "that is one layer. Each layer has keys and values of its own.",
        ),
    ],
)


def gumbel_token(logits, temperature, uniforms):
    """Draw a token without a softmax: add Gumbel noise to the logits, take the largest."""
    noise = -np.log(-np.log(uniforms))
    return int(np.argmax(logits / temperature + noise))


def _gumbel_inputs():
    yield np.asarray([0.0, 1.0]), 1.0, np.asarray([0.5, 0.5])
    yield np.asarray([0.0, 1.0]), 1.0, np.asarray([0.9, 0.1])
    yield np.asarray([1000.0, 0.0]), 1.0, np.asarray([0.1, 0.9])
    for n in (2, 3, 5, 9):
        for temperature in (0.3, 1.0, 3.0):
            yield _rng.normal(size=n), temperature, _rng.uniform(size=n)


GUMBEL_TOKEN = Exercise(
    solution=gumbel_token,
    inputs=list(_gumbel_inputs()),
    mistakes=[
        (
            lambda logits, temperature, uniforms: int(
                np.argmax((logits - np.log(-np.log(uniforms))) / temperature)
            ),
            "the temperature divides the logits alone. Dividing the noise too changes nothing "
            "in which sum is largest.",
        ),
        (
            lambda logits, temperature, uniforms: int(
                np.argmax(logits / temperature + np.log(-np.log(uniforms)))
            ),
            "the sign of the noise: it is minus the logarithm of minus the logarithm of u.",
        ),
        (
            lambda logits, temperature, uniforms: int(
                np.argmax(logits / temperature + uniforms)
            ),
            "uniform noise does not give softmax probabilities. Gumbel noise does.",
        ),
        (
            lambda logits, temperature, uniforms: int(np.argmax(logits)),
            "that is the most probable token, always. The noise is missing.",
        ),
    ],
)


def speculative_token(p, q, draft, u_accept, u_redraw):
    """Keep a token drawn from ``q`` or replace it, so that the result is distributed as ``p``."""
    if u_accept * q[draft] < p[draft]:
        return draft
    left = np.maximum(p - q, 0.0)
    return token_at(left / np.sum(left), u_redraw)


def _speculative_inputs():
    half, skewed = np.asarray([0.5, 0.5]), np.asarray([0.25, 0.75])
    yield half, half, 0, 0.5, 0.5
    yield skewed, half, 1, 0.9, 0.1
    yield skewed, half, 0, 0.25, 0.1
    yield skewed, half, 0, 0.75, 0.1
    yield np.asarray([0.0, 1.0]), half, 0, 0.0, 0.5
    for n in (3, 4, 6):
        for _ in range(5):
            draft = int(_rng.integers(n))
            yield _probabilities(n), _probabilities(n), draft, *_rng.uniform(size=2)
        yield np.eye(n)[0], _probabilities(n), 1, 0.9, 0.5


SPECULATIVE_TOKEN = Exercise(
    solution=speculative_token,
    inputs=list(_speculative_inputs()),
    mistakes=[
        (
            lambda p, q, draft, u_accept, u_redraw: (
                draft if u_accept * q[draft] < p[draft] else token_at(p, u_redraw)
            ),
            "a replacement must not be drawn from p itself: tokens that q offers too seldom "
            "would stay too rare. What is missing is p − q, where that is positive.",
        ),
        (
            lambda p, q, draft, u_accept, u_redraw: (
                draft
                if u_accept * q[draft] < p[draft]
                else token_at(np.maximum(p - q, 0.0), u_redraw)
            ),
            "what is left of p − q does not sum to one. Divide by its sum.",
        ),
        (
            lambda p, q, draft, u_accept, u_redraw: (
                draft
                if u_accept * q[draft] <= p[draft]
                else token_at(_normalized(np.maximum(p - q, 0.0)), u_redraw)
            ),
            "almost: where p is 0, a draft must never be kept, not even by a uniform number "
            "that is exactly 0.",
        ),
        (
            lambda p, q, draft, u_accept, u_redraw: draft,
            "that keeps every draft, so the result is distributed as q.",
        ),
        (
            lambda p, q, draft, u_accept, u_redraw: (
                draft
                if u_accept * p[draft] < q[draft]
                else token_at(_normalized(np.maximum(p - q, 0.0)), u_redraw)
            ),
            "the ratio is upside down. A draft that p finds more probable than q does is "
            "always kept.",
        ),
    ],
)

EXERCISES = [TOKEN_AT, NUCLEUS_SIZE, CACHE_BYTES, GUMBEL_TOKEN, SPECULATIVE_TOKEN]
