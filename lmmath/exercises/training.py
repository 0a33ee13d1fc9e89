"""The exercises of chapter 6."""

import numpy as np

from lmmath.attention import softmax
from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise

_rng = Draws(6)


def perplexity(probabilities):
    """Give the perplexity of a text whose tokens had these probabilities."""
    return np.exp(-np.mean(np.log(probabilities)))


PERPLEXITY = Exercise(
    solution=perplexity,
    inputs=[
        (np.asarray([0.5]),),
        (np.asarray([1.0, 0.25]),),
        (np.asarray([0.1, 0.1, 0.1]),),
        (np.asarray([0.9, 0.5, 0.01, 0.3]),),
        (np.full(2000, 0.3),),
        *[(_rng.uniform(0.01, 1, size=n),) for n in (3, 6, 12)],
    ],
    mistakes=[
        (
            lambda probabilities: -np.mean(np.log(probabilities)),
            "that is the loss, in nats per token. Perplexity is its exponential.",
        ),
        (
            lambda probabilities: 1 / np.mean(probabilities),
            "the mean is over logarithms, not over probabilities.",
        ),
        (
            lambda probabilities: 1 / np.prod(probabilities),
            "that grows with the length of the text. Take the mean of the logarithms.",
        ),
        (
            lambda probabilities: np.prod(probabilities) ** (-1 / len(probabilities)),
            "right on paper, but a product of thousands of probabilities is rounded to zero.",
        ),
    ],
)


def classifier_gradient(x, w, targets):
    """Differentiate the mean cross-entropy of the logits ``x @ w`` by ``w``."""
    error = softmax(x @ w)
    error[np.arange(len(x)), targets] -= 1
    return x.T @ error / len(x)


def _one_hot(targets, n):
    return np.eye(n)[targets]


def _classifier_inputs():
    for n, d, classes in [
        (1, 1, 2),
        (2, 1, 2),
        (2, 2, 2),
        (3, 2, 4),
        (5, 4, 3),
        (8, 3, 6),
    ]:
        x, w = _rng.normal(size=(n, d)), _rng.normal(size=(d, classes))
        yield x, w, _rng.integers(classes, size=n)


CLASSIFIER_GRADIENT = Exercise(
    solution=classifier_gradient,
    inputs=list(_classifier_inputs()),
    mistakes=[
        (
            lambda x, w, targets: (
                x.T @ (softmax(x @ w) - _one_hot(targets, w.shape[1]))
            ),
            "that is the gradient of the sum of the losses. The loss is their mean.",
        ),
        (
            lambda x, w, targets: (
                x.T @ (_one_hot(targets, w.shape[1]) - softmax(x @ w)) / len(x)
            ),
            "the sign: the gradient points to where the loss rises.",
        ),
        (
            lambda x, w, targets: x.T @ softmax(x @ w) / len(x),
            "subtract 1 from the probability of each target.",
        ),
    ],
)


def adam_step(theta, gradient, m, v, t, learning_rate):
    """Take Adam's step number ``t``, with the default betas and no weight decay."""
    m = 0.9 * m + 0.1 * gradient
    v = 0.999 * v + 0.001 * gradient**2
    m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
    return theta - learning_rate * m_hat / (np.sqrt(v_hat) + 1e-8)


def _adam_variant(
    correct_m=True,
    correct_v=True,
    root=True,
    use_gradient=False,
    outside=1e-8,
    inside=0.0,
    later=0,
):
    """Make the solution with one of its parts changed."""

    def variant(theta, gradient, m, v, t, learning_rate):
        t = t + later
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        m_hat = m / (1 - 0.9**t) if correct_m else m
        v_hat = v / (1 - 0.999**t) if correct_v else v
        size = (np.sqrt(v_hat + inside) if root else v_hat) + outside
        return theta - learning_rate * (gradient if use_gradient else m_hat) / size

    return variant


def _adam_inputs():
    one, zero = np.ones(1), np.zeros(1)
    yield zero, one, zero, zero, 1, 0.1
    yield one, -2 * one, zero, zero, 1, 0.1
    # Where nothing or little pulls, epsilon and its place matter.
    yield one, zero, zero, zero, 1, 0.1
    yield one, 1e-6 * one, zero, zero, 1, 0.1
    yield one, 1e-8 * one, zero, zero, 1, 0.1
    for n in (1, 2, 3, 5):
        for t in (2, 7, 50):
            theta, gradient, m = _rng.normal(size=(3, n))
            yield theta, gradient, m, _rng.uniform(0.1, 1, size=n), t, 0.01


ADAM_STEP = Exercise(
    solution=adam_step,
    inputs=list(_adam_inputs()),
    mistakes=[
        (
            _adam_variant(correct_m=False, correct_v=False),
            "the bias correction is missing. Both averages begin at zero.",
        ),
        (
            _adam_variant(correct_v=False),
            "you correct m but not v. Both averages begin at zero.",
        ),
        (
            _adam_variant(outside=0.0),
            "epsilon is missing. Where the gradient was always 0, you divide 0 by 0.",
        ),
        (
            _adam_variant(outside=0.0, inside=1e-8),
            "epsilon is added to the root, not under it.",
        ),
        (
            _adam_variant(later=1),
            "t counts from 1 already: the first step has t = 1. You correct with t + 1.",
        ),
        (
            _adam_variant(later=-1),
            "t counts from 1, so at the first step 1 − β ** (t − 1) is zero. Correct with t.",
        ),
        (_adam_variant(root=False), "divide by the square root of the corrected v."),
        (
            _adam_variant(use_gradient=True),
            "the step follows the average m, not the gradient of this moment.",
        ),
    ],
)


def warm_cosine(step, n_steps, peak, n_warmup):
    """Give the learning rate at a step: a straight rise, then half a cosine down to zero."""
    if step < n_warmup:
        return peak * step / n_warmup
    done = (step - n_warmup) / (n_steps - n_warmup)
    return 0.5 * peak * (1 + np.cos(np.pi * done))


WARM_COSINE = Exercise(
    solution=warm_cosine,
    inputs=[
        *[(step, 10, 1.0, 0) for step in (0, 5, 10)],
        *[(step, 10, 2.0, 4) for step in range(11)],
        *[(step, 100, 0.5, 10) for step in (3, 10, 40, 99)],
    ],
    mistakes=[
        (
            lambda step, n_steps, peak, n_warmup: (
                peak * step / n_warmup
                if step < n_warmup
                else 0.5 * peak * (1 + np.cos(np.pi * step / n_steps))
            ),
            "the cosine begins where the warm-up ends, and has only the steps that are left.",
        ),
        (
            lambda step, n_steps, peak, n_warmup: (
                peak * step / n_warmup
                if step < n_warmup
                else peak * np.cos(np.pi / 2 * (step - n_warmup) / (n_steps - n_warmup))
            ),
            "that is a quarter of a cosine. It should fall slowly at both ends: use half of "
            "one, lifted above zero.",
        ),
        (
            lambda step, n_steps, peak, n_warmup: (
                0.5
                * peak
                * (1 + np.cos(np.pi * max(0, step - n_warmup) / (n_steps - n_warmup)))
            ),
            "during the warm-up the rate should rise from zero.",
        ),
    ],
)

_OPERATIONS = {
    "add": (lambda a, b: a + b, lambda a, b: (1.0, 1.0)),
    "mul": (lambda a, b: a * b, lambda a, b: (b, a)),
}


def leaf_gradients(leaves, operations):
    """Differentiate the last of a list of results by each of the numbers it started from."""
    values = list(leaves)
    for name, i, j in operations:
        values.append(values[i] + values[j] if name == "add" else values[i] * values[j])
    gradients = [0.0] * len(values)
    gradients[-1] = 1.0
    for k in reversed(range(len(operations))):
        name, i, j = operations[k]
        gradient = gradients[len(leaves) + k]
        gradients[i] += gradient * (1.0 if name == "add" else values[j])
        gradients[j] += gradient * (1.0 if name == "add" else values[i])
    return np.asarray(gradients[: len(leaves)])


def _leaf_variant(assign=False, forward=False, own=False):
    """Make the solution with one of its parts changed."""

    def variant(leaves, operations):
        values = list(leaves)
        for name, i, j in operations:
            values.append(_OPERATIONS[name][0](values[i], values[j]))
        gradients = [0.0] * len(values)
        gradients[-1] = 1.0
        order = range(len(operations))
        for k in order if forward else reversed(order):
            name, i, j = operations[k]
            slopes = _OPERATIONS[name][1](values[i], values[j])
            if own:
                slopes = slopes[::-1]
            for place, slope in zip((i, j), slopes, strict=True):
                share = gradients[len(leaves) + k] * slope
                gradients[place] = share if assign else gradients[place] + share
        return np.asarray(gradients[: len(leaves)])

    return variant


def _graphs():
    yield [2.0, 3.0], [("add", 0, 1)]
    yield [2.0, 3.0], [("mul", 0, 1)]
    yield [3.0], [("mul", 0, 0)]
    yield [2.0, 3.0], [("mul", 0, 1), ("add", 2, 0)]
    yield [2.0, 3.0], [("mul", 0, 1), ("mul", 2, 2)]
    for n_leaves, n_operations in [(2, 4), (3, 5), (4, 8), (3, 12)]:
        operations = []
        for k in range(n_operations):
            i, j = _rng.integers(n_leaves + k, size=2)
            # The last result takes part, so that none is left over.
            j = n_leaves + k - 1 if k else j
            operations.append((["add", "mul"][k % 2], int(i), int(j)))
        yield [float(leaf) for leaf in _rng.normal(size=n_leaves).round(2)], operations


LEAF_GRADIENTS = Exercise(
    solution=leaf_gradients,
    inputs=list(_graphs()),
    mistakes=[
        (
            _leaf_variant(assign=True),
            "a number that is used twice gets two contributions. Add them up.",
        ),
        (
            _leaf_variant(forward=True),
            "go through the operations from the last to the first: a result must have all of "
            "its gradient before it passes it on.",
        ),
        (
            _leaf_variant(own=True),
            "the slope of a product by one factor is the other factor.",
        ),
    ],
)

EXERCISES = [PERPLEXITY, CLASSIFIER_GRADIENT, ADAM_STEP, WARM_COSINE, LEAF_GRADIENTS]
