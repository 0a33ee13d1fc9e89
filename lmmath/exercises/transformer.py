"""The exercises of chapter 5."""

import numpy as np

from lmmath.attention import merge_heads, scaled_dot_product_attention, split_heads
from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise
from lmmath.neurons import gelu

_rng = Draws(5)


def normalized(x, eps):
    """Bring each row to mean 0 and variance 1, as a layer norm does before gain and bias."""
    mean = np.mean(x, axis=-1, keepdims=True)
    variance = np.mean((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


NORMALIZED = Exercise(
    solution=normalized,
    inputs=[
        (np.asarray([[0.0, 2.0]]), 1.0),
        (np.asarray([[1.0, 1.0]]), 0.5),
        (np.asarray([[0.0, 2.0], [3.0, 5.0]]), 1e-5),
        *[
            (_rng.normal(size=(n, d)), 1e-2)
            for n, d in [(1, 3), (2, 4), (4, 3), (5, 8)]
        ],
    ],
    mistakes=[
        (
            lambda x, eps: (
                (x - x.mean(-1, keepdims=True))
                / np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps)
            ),
            "you divide the sum of squares by d − 1. A layer norm divides by d: it describes "
            "the row it has, and estimates nothing.",
        ),
        (
            lambda x, eps: (
                (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + eps)
            ),
            "eps belongs under the root, beside the variance.",
        ),
        (
            lambda x, eps: (
                (x - x.mean(0, keepdims=True)) / np.sqrt(x.var(0, keepdims=True) + eps)
            ),
            "you normalize columns. A layer norm treats each position, a row, by itself.",
        ),
        (
            lambda x, eps: x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps),
            "that is an RMS norm. A layer norm subtracts the mean first.",
        ),
        (
            lambda x, eps: (x - x.mean(-1)) / np.sqrt(x.var(-1) + eps),
            "the mean of each row must stay a column, or NumPy takes it for a row: use "
            "keepdims=True.",
        ),
        (
            lambda x, eps: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1) + eps),
            "the variance of each row must stay a column, as the mean does: use "
            "keepdims=True.",
        ),
        (
            lambda x, eps: (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True),
            "eps is missing. Add it to the variance, or a row of equal numbers is divided by "
            "zero.",
        ),
        (
            lambda x, eps: (x - x.mean()) / np.sqrt(x.var() + eps),
            "you take one mean and one variance of the whole array. Each row has its own: "
            "give an axis.",
        ),
    ],
)


def gpt_size(vocab_size, n_positions, d_model, n_layers):
    """Count the parameters of a GPT whose feed-forward layers are four times as wide."""
    per_layer = 12 * d_model**2 + 13 * d_model
    return (vocab_size + n_positions + 2) * d_model + n_layers * per_layer


GPT_SIZE = Exercise(
    solution=gpt_size,
    inputs=[
        (1, 1, 1, 0),
        (1, 1, 1, 1),
        (2, 1, 1, 1),
        (3, 5, 2, 2),
        (512, 128, 96, 3),
        (50_257, 1024, 768, 12),
        (50_257, 1024, 1600, 48),
    ],
    mistakes=[
        (
            lambda vocab_size, n_positions, d_model, n_layers: (
                (2 * vocab_size + n_positions + 2) * d_model
                + n_layers * (12 * d_model**2 + 13 * d_model)
            ),
            "you count the embedding twice. The same matrix reads the tokens in and the "
            "logits off.",
        ),
        (
            lambda vocab_size, n_positions, d_model, n_layers: (
                (vocab_size + n_positions + 2) * d_model + n_layers * 12 * d_model**2
            ),
            "the biases and the gains are missing, 13 vectors of length d_model in each layer.",
        ),
        (
            lambda vocab_size, n_positions, d_model, n_layers: (
                (vocab_size + n_positions) * d_model
                + n_layers * (12 * d_model**2 + 13 * d_model)
            ),
            "the last layer norm, before the logits, has a gain and a bias too.",
        ),
        (
            lambda vocab_size, n_positions, d_model, n_layers: (
                (vocab_size + 2) * d_model + n_layers * (12 * d_model**2 + 13 * d_model)
            ),
            "each position has a vector of its own: a second table.",
        ),
    ],
)


def best_guess(x, gain, bias, embedding, eps):
    """Give the token that the logit lens reads off one row ``x`` of the residual stream."""
    return int(np.argmax(embedding @ (normalized(x, eps) * gain + bias)))


def _lens_inputs():
    for vocab_size, d in [(2, 2), (3, 2), (3, 3), (5, 4), (8, 4), (16, 8), (30, 8)]:
        for _ in range(4):
            yield (
                _rng.normal(loc=1.0, size=d),
                _rng.normal(size=d),
                _rng.normal(size=d),
                _rng.normal(size=(vocab_size, d)),
                1e-5,
            )


BEST_GUESS = Exercise(
    solution=best_guess,
    inputs=list(_lens_inputs()),
    mistakes=[
        (
            lambda x, gain, bias, embedding, eps: int(np.argmax(embedding @ x)),
            "the last layer norm comes between the stream and the logits.",
        ),
        (
            lambda x, gain, bias, embedding, eps: int(
                np.argmax(embedding @ normalized(x, eps))
            ),
            "the layer norm's gain and bias are missing.",
        ),
        (
            lambda x, gain, bias, embedding, eps: int(
                np.argmin(np.sum((embedding - x) ** 2, axis=1))
            ),
            "a logit is a dot product, not a distance.",
        ),
    ],
)


def decoder(x, weights, n_heads):
    """Run GPT-2's blocks on ``x``, (n, d_model); each is a tuple of its twelve arrays."""
    mask = np.tri(len(x), dtype=bool)
    for g_1, b_1, w_qkv, b_qkv, w_o, b_o, g_2, b_2, w_1, c_1, w_2, c_2 in weights:
        qkv = (normalized(x, 1e-5) * g_1 + b_1) @ w_qkv + b_qkv
        heads = [split_heads(part, n_heads) for part in np.split(qkv, 3, axis=-1)]
        attended = merge_heads(scaled_dot_product_attention(*heads, mask))
        x = x + attended @ w_o + b_o
        hidden = gelu((normalized(x, 1e-5) * g_2 + b_2) @ w_1 + c_1, approximate="tanh")
        x = x + hidden @ w_2 + c_2
    return x


def _variant(mask=np.tri, first=1.0, second=1.0, norm_of_sum=False):
    """Make the solution with one of its parts changed."""

    def variant(x, weights, n_heads):
        allowed = mask(len(x)).astype(bool)
        for g_1, b_1, w_qkv, b_qkv, w_o, b_o, g_2, b_2, w_1, c_1, w_2, c_2 in weights:
            start = x
            qkv = (normalized(x, 1e-5) * g_1 + b_1) @ w_qkv + b_qkv
            heads = [split_heads(part, n_heads) for part in np.split(qkv, 3, axis=-1)]
            attended = merge_heads(scaled_dot_product_attention(*heads, allowed))
            x = first * x + attended @ w_o + b_o
            seen = start if norm_of_sum else x
            hidden = (normalized(seen, 1e-5) * g_2 + b_2) @ w_1 + c_1
            x = second * x + gelu(hidden, approximate="tanh") @ w_2 + c_2
        return x

    return variant


def _everything(n):
    return np.ones((n, n))


def _decoder_inputs():
    for n, d, n_layers, n_heads in [
        (1, 2, 1, 1),
        (2, 2, 1, 1),
        (3, 4, 1, 2),
        (4, 4, 2, 2),
    ]:
        shapes = [
            d,
            d,
            (d, 3 * d),
            3 * d,
            (d, d),
            d,
            d,
            d,
            (d, 4 * d),
            4 * d,
            (4 * d, d),
            d,
        ]
        weights = [
            tuple(_rng.normal(size=shape) for shape in shapes) for _ in range(n_layers)
        ]
        yield _rng.normal(size=(n, d)), weights, n_heads


DECODER = Exercise(
    solution=decoder,
    inputs=list(_decoder_inputs()),
    mistakes=[
        (
            _variant(mask=_everything),
            "some positions see the future. The mask is missing.",
        ),
        (
            _variant(first=0.0),
            "what attention gathers is added to the stream and does not replace it.",
        ),
        (
            _variant(second=0.0),
            "what the feed-forward layer makes is added to the stream and does not replace it.",
        ),
        (
            _variant(norm_of_sum=True),
            "the feed-forward layer reads the stream after attention has written to it.",
        ),
    ],
)

EXERCISES = [NORMALIZED, GPT_SIZE, BEST_GUESS, DECODER]
