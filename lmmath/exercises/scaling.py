"""The exercises of chapter 7."""

import numpy as np

from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise

_rng = Draws(7)


def factor_for_excess(alpha, divisor):
    """Give the factor in size that divides an excess with exponent ``alpha``."""
    return divisor ** (1 / alpha)


FACTOR_FOR_EXCESS = Exercise(
    solution=factor_for_excess,
    inputs=[
        (alpha, divisor)
        for alpha in (0.076, 0.25, 0.34, 0.5, 1.0, 2.0)
        for divisor in (1.0, 2.0, 3.0, 10.0)
    ],
    mistakes=[
        (
            lambda alpha, divisor: divisor**alpha,
            "that is by how much the excess shrinks if the size grows by `divisor`. "
            "The question is the other way round.",
        ),
        (
            lambda alpha, divisor: divisor / alpha,
            "a power law does not work in proportion. Solve c ** -alpha = 1 / divisor.",
        ),
        (
            lambda alpha, divisor: divisor ** (-1 / alpha),
            "that factor makes the size smaller, and the excess larger.",
        ),
        (
            lambda alpha, divisor: 2 ** (1 / alpha),
            "right for halving. Here the excess is to be divided by `divisor`.",
        ),
    ],
)


def floor_from_three_losses(first, second, third):
    """Find the floor for which the excess falls by the same factor twice."""
    return (first * third - second**2) / (first + third - 2 * second)


def _three_losses(floor, excess, factor):
    return tuple(floor + excess * factor**i for i in range(3))


FLOOR_FROM_THREE_LOSSES = Exercise(
    solution=floor_from_three_losses,
    inputs=[
        (4.0, 2.0, 1.0),
        (5.0, 3.0, 2.0),
        *[
            _three_losses(floor, excess, factor)
            for floor in (0.0, 0.5, 1.69)
            for excess in (1.0, 3.0)
            for factor in (0.25, 0.5, 0.75)
        ],
    ],
    mistakes=[
        (
            lambda first, second, third: third**2 / second,
            "that is the loss of a fourth run if there were no floor.",
        ),
        (
            lambda first, second, third: 2 * third - second,
            "that goes on in steps of the same size. It is the factor between one excess "
            "and the next that stays the same.",
        ),
        (
            lambda first, second, third: (
                third - (second - third) ** 2 / (first - second)
            ),
            "that is one run further, not the end. The steps left to go form a geometric "
            "series: sum it.",
        ),
        (
            lambda first, second, third: third,
            "the third run is still above the floor.",
        ),
        (
            lambda first, second, third: (
                (second**2 - first * third) / (first + third - 2 * second)
            ),
            "the sign is wrong: this floor is below zero.",
        ),
    ],
)


def unknown_share(s, n_animals, n_known):
    """Sum the odds of the animals beyond rank ``n_known``, of Zipf's law with exponent ``s``."""
    odds = np.arange(1, n_animals + 1) ** -float(s)
    return np.sum(odds[n_known:]) / np.sum(odds)


def _integral(s, n_animals, n_known):
    c = 1 / np.sum(np.arange(1, n_animals + 1) ** -float(s))
    return c / (s - 1) * float(n_known) ** (1 - s)


UNKNOWN_SHARE = Exercise(
    solution=unknown_share,
    inputs=[
        *[(2.0, 3, n_known) for n_known in (0, 1, 2, 3)],
        *[(1.0, 4, n_known) for n_known in (1, 2)],
        *[
            (s, 1024, n_known)
            for s in (4 / 3, 1.5, 2.0)
            for n_known in (1, 10, 100, 1024)
        ],
    ],
    mistakes=[
        (
            lambda s, n_animals, n_known: 1 - unknown_share(s, n_animals, n_known),
            "that is the share of the animals that the model knows.",
        ),
        (
            lambda s, n_animals, n_known: np.sum(
                np.arange(n_known + 1, n_animals + 1) ** -float(s)
            ),
            "these are odds. Divide by the sum over all animals to get a probability.",
        ),
        (
            lambda s, n_animals, n_known: 1 - n_known / n_animals,
            "that counts animals. The frequent ones are drawn more often.",
        ),
        (
            lambda s, n_animals, n_known: (
                np.sum(np.arange(max(n_known, 1), n_animals + 1) ** -float(s))
                / np.sum(np.arange(1, n_animals + 1) ** -float(s))
            ),
            "one animal too many: the one of rank n_known is known.",
        ),
        (
            _integral,
            "that is the integral (7.4), which has infinitely many animals. Sum exactly.",
        ),
    ],
)


def gpt_training_flops(n_tokens, n_positions, d_model, n_layers, vocab_size):
    """Count two operations per multiplication forward, and twice as many backward."""
    block = 12 * d_model**2 + 2 * n_positions * d_model
    return 6 * n_tokens * (n_layers * block + vocab_size * d_model)


def _flops_variant(factor=6, attention=2, last_layer=True):
    """Make the count with something forgotten."""

    def variant(n_tokens, n_positions, d_model, n_layers, vocab_size):
        block = 12 * d_model**2 + attention * n_positions * d_model
        head = vocab_size * d_model if last_layer else 0
        return factor * n_tokens * (n_layers * block + head)

    return variant


GPT_TRAINING_FLOPS = Exercise(
    solution=gpt_training_flops,
    inputs=[
        (1, 1, 1, 1, 1),
        (1, 2, 3, 1, 5),
        (10, 2, 3, 2, 5),
        (128, 128, 96, 3, 512),
        (1000, 128, 4, 1, 512),
        (10_000, 2048, 1024, 24, 50_257),
        (1_000_000, 128, 128, 4, 512),
    ],
    mistakes=[
        (
            _flops_variant(factor=2),
            "that is the forward pass. Training also goes backward.",
        ),
        (
            _flops_variant(factor=3),
            "these are multiplications. Each comes with an addition.",
        ),
        (_flops_variant(attention=0), "attention's own products are missing."),
        (
            _flops_variant(attention=1),
            "you count half of attention's products. It multiplies twice, queries by keys and "
            "weights by values, and each token counts with all positions of its piece, those "
            "that the causal mask hides included.",
        ),
        (
            lambda n_tokens, n_positions, d_model, n_layers, vocab_size: (
                gpt_training_flops(
                    n_tokens, (n_positions + 1) / 2, d_model, n_layers, vocab_size
                )
            ),
            "you count only what the causal mask lets through. PyTorch multiplies all "
            "positions of the piece and hides half of the products afterwards.",
        ),
        (
            _flops_variant(last_layer=False),
            "the last layer is missing: it multiplies by the embedding of every token.",
        ),
        (
            lambda n_tokens, n_positions, d_model, n_layers, vocab_size: (
                6
                * n_tokens
                * (n_layers * 12 * d_model**2 + (vocab_size + n_positions) * d_model)
            ),
            "that is 6ND, with all parameters. The embedding of positions is only added, "
            "and attention has products without parameters.",
        ),
    ],
)


def fit_floor_and_exponent(x, loss):
    """Fit E + A * x ** -alpha by least squares: a line for each alpha, then the best alpha."""
    log_x = np.log(x) - np.mean(np.log(x))

    def line(alpha):
        variable = np.stack([np.ones(len(x)), np.exp(-alpha * log_x)], axis=1)
        constants, *_ = np.linalg.lstsq(variable, loss)
        return constants[0], np.sum((variable @ constants - loss) ** 2)

    low, high = 0.05, 2.0
    while high - low > 1e-9:
        grid = np.linspace(low, high, 41)
        best = np.argmin([line(alpha)[1] for alpha in grid])
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 40)]
    alpha = (low + high) / 2
    return np.round([line(alpha)[0], alpha], 4)


def _fit_variant(x, loss, floor=0.0):
    """Fit a straight line to the logarithms above a floor that is taken for granted."""
    slope, _ = np.polyfit(np.log(x), np.log(loss - floor), 1)
    return np.round([floor, -slope], 4)


def _fit_by_logarithms(x, loss):
    """Fit all three constants, but to the logarithms of the losses."""
    from scipy.optimize import least_squares

    size = x / np.exp(np.mean(np.log(x)))
    floor, alpha = fit_floor_and_exponent(x, loss)
    scale = np.mean(loss - floor) / np.mean(size**-alpha)
    fit = least_squares(
        lambda c: np.log(np.abs(c[0] + c[1] * size ** -c[2])) - np.log(loss),
        [floor, scale, alpha],
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    return np.round([fit.x[0], fit.x[2]], 4)


def _runs(n, floor, coefficient, alpha, noise, sizes=(1e4, 1e8)):
    x = np.geomspace(*sizes, n)
    loss = floor + coefficient * x**-alpha
    return x, loss * np.exp(noise * _rng.normal(size=n))


FIT_FLOOR_AND_EXPONENT = Exercise(
    solution=fit_floor_and_exponent,
    inputs=[
        _runs(3, 0.5, 100.0, 0.5, 0.0),
        _runs(4, 1.69, 30.0, 0.34, 0.0),
        _runs(5, 0.5, 3000.0, 0.9, 0.0),
        _runs(5, 0.5, 3.0, 0.06, 0.0, sizes=(1.0, 1e8)),
        _runs(5, 0.5, 3.0, 1.99, 0.0, sizes=(1.0, 100.0)),
        _runs(8, 1.0, 10.0, 0.25, 0.001),
        _runs(12, 1.69, 40.0, 0.34, 0.003),
        _runs(20, 0.5, 20.0, 0.28, 0.01),
    ],
    mistakes=[
        (
            _fit_variant,
            "that is a straight line through the logarithms of the losses, as if the floor "
            "were zero. Near a floor the line bends.",
        ),
        (
            lambda x, loss: fit_floor_and_exponent(x, loss) * [1, -1],
            "the exponent has the wrong sign. The law is A * x ** -alpha, with alpha above 0.",
        ),
        (
            lambda x, loss: fit_floor_and_exponent(x, loss)[::-1],
            "first the floor, then the exponent.",
        ),
        (
            lambda x, loss: _fit_variant(x, loss, floor=0.999 * np.min(loss)),
            "you took the lowest loss for the floor. The best run is still above it.",
        ),
        (
            _fit_by_logarithms,
            "right where the runs obey a law exactly. With noise it matters what is "
            "squared: here the errors of the loss, not those of its logarithm.",
        ),
    ],
)

EXERCISES = [
    FACTOR_FOR_EXCESS,
    FLOOR_FROM_THREE_LOSSES,
    UNKNOWN_SHARE,
    GPT_TRAINING_FLOPS,
    FIT_FLOOR_AND_EXPONENT,
]
