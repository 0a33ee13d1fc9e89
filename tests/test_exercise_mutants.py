"""The inputs of an exercise tell the solution from everything that differs a little."""

import signal
from contextlib import contextmanager

import pytest
from mutants import mutants

from lmmath.exercises import EXERCISES
from lmmath.exercises._judge import Exercise, judge

LONGEST = 0.5  # seconds of computing; what takes longer does not end

_FORGOTTEN = (
    "the first rescale is exp(-inf), which is 0, so any finite start is forgotten"
)
_AN_INTEGER = "a NumPy integer is as good as a Python one"
_TWO_AXES = "an array of rows has two axes, so its last is axis 1"

# Changes that change nothing, and why. No test can tell them from the solution.
EQUAL = {
    "ball_volume_by_recursion": {
        "for dimension in range(2 + n % 2, n + 1 + 1, 2):": "n + 1 has the other parity and is not met",
        "for dimension in range(2 + n % 2, n + 2, 2):": "n + 1 has the other parity and is not met",
    },
    "best_guess": {
        "return np.argmax(embedding @ (normalized(x, eps) * gain + bias))": _AN_INTEGER,
    },
    "decoder": {
        "heads = [split_heads(part, n_heads) for part in np.split(qkv, 3, axis=1)]": _TWO_AXES,
    },
    "effective_dimension": {
        "centred = x.mean(axis=0) - x": "a covariance does not change with the sign of the vectors",
        "variances = np.linalg.eigvalsh(centred @ centred.T)": "has the same eigenvalues, and zeros",
    },
    "fit_floor_and_exponent": {
        "log_x = np.log(x) + np.mean(np.log(x))": "another unit of x goes into A, which is not returned",
        "log_x = np.log(x)": "another unit of x goes into A, which is not returned",
        "low, high = (-0.95, 2.0)": "a wider search finds the same",
        "low, high = (0.05, 3.0)": "a wider search finds the same",
        "low, high = (0.05, 4.0)": "a wider search finds the same",
        "while high - low >= 1e-09:": "four decimals do not show it",
        "while high - low > 2e-09:": "four decimals do not show it",
        "return (constants[0], np.mean((variable @ constants - loss) ** 2))": "the mean is least where the sum is",
        "return (constants[0], np.sum(2 ** (variable @ constants - loss)))": "the errors of a line sum to 0, so for small ones this is n plus a multiple of the squares",
        "return (constants[0], np.sum((loss - variable @ constants) ** 2))": "a square has no sign",
        "low, high = (grid[max(best - 2, 0)], grid[min(best + 1, 40)])": "a wider search finds the same",
        "low, high = (grid[max(best - 1, 0)], grid[min(best + 2, 40)])": "a wider search finds the same",
    },
    "gumbel_token": {
        "return np.argmax(logits / temperature + noise)": _AN_INTEGER,
    },
    "key_for_distance": {
        "return rotary_embedding(query[None], np.asarray([distance]), base)[-1]": "the only row is the first and the last",
    },
    "leaf_gradients": {
        "return gradients[:len(leaves)]": "a list of numbers is as good as an array",
    },
    "learn_merges": {
        "spelled = {word: word for word in words}": "a text gives its letters as a list does",
    },
    "linear_recurrence": {
        "while span <= len(a):": "a span of the whole length has nothing before it",
    },
    "matching_pursuit": {
        "best = np.argmax(scores)": _AN_INTEGER,
    },
    "normalized": {
        "mean = np.mean(x, axis=1, keepdims=True)": _TWO_AXES,
        "variance = np.mean((x - mean) ** 2, axis=1, keepdims=True)": _TWO_AXES,
        "variance = np.mean((mean - x) ** 2, axis=-1, keepdims=True)": "a square has no sign",
    },
    "nucleus_size": {
        "return np.argmax(np.cumsum(largest_first) >= p) + 1": _AN_INTEGER,
    },
    "stable_sigmoid": {
        "return np.where(x > 0, 1 / (1 + e), e / (1 + e))": "at 0 both halves are 1/2",
    },
    "streaming_attention": {
        "largest, total, mixed = (-np.inf, 1.0, np.zeros(values.shape[1]))": _FORGOTTEN,
        "largest, total, mixed = (-np.inf, -1.0, np.zeros(values.shape[1]))": _FORGOTTEN,
        "largest, total, mixed = (-np.inf, 0.0, values.shape[1])": _FORGOTTEN,
        "largest, total, mixed = (-np.inf, 0.0, np.ones(values.shape[1]))": _FORGOTTEN,
        "for key, value in zip(keys, values):": "there are as many values as keys",
        "for key, value in zip(keys, values, strict=False):": "there are as many values as keys",
        "score = key @ query / np.sqrt(len(query))": "the product of two vectors has no order",
    },
    "token_at": {
        "return np.argmax(np.cumsum(probabilities) > u)": _AN_INTEGER,
    },
    "unknown_share": {
        "odds = np.arange(1, n_animals + 1) ** (-s)": "s is a float already",
    },
    "warm_cosine": {
        "done = (n_warmup - step) / (n_steps - n_warmup)": "a cosine does not change with the sign",
        "done = (step - n_warmup) / (n_warmup - n_steps)": "a cosine does not change with the sign",
    },
}


class DoesNotEnd(Exception):
    """A changed loop may go round for ever."""


@contextmanager
def seconds_of_computing(limit):
    def stop(*_):
        raise DoesNotEnd

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def passes(exercise, answer):
    """Judge an answer on one input after the other, up to the first that fails."""
    for arguments in exercise.inputs:
        # The hints take most of the time, and are not what is tested here.
        single = Exercise(
            exercise.solution,
            [arguments],
            [],
            exercise.without,
            exercise.without_overflow,
        )
        try:
            with seconds_of_computing(LONGEST):
                if not judge(single, answer).passed:
                    return False
        except DoesNotEnd:
            return False
    return True


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_whatever_differs_from_the_solution_fails(exercise):
    alive, statements = set(), set()
    for mutant in mutants(exercise.solution):
        statements.add(mutant.statement)
        if passes(exercise, mutant.function):
            alive.add(mutant.statement)
    assert statements
    equal = set(EQUAL.get(exercise.name, {}))
    assert alive <= equal
    assert equal <= statements  # the table has nothing that is no longer made
