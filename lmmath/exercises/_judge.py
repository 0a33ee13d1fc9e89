"""How an answer is judged: run on many inputs, compared, and described in words."""

import copy
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RELATIVE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    ``mistakes`` pairs functions that are wrong in the likeliest ways with a hint each. An answer
    that behaves like one of them on every input gets its hint.
    """

    solution: Callable
    inputs: list[tuple]
    mistakes: list[tuple[Callable, str]]

    @property
    def name(self):
        """The name by which the reader's function is recognised."""
        return self.solution.__name__


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and the words for it."""

    passed: bool
    message: str

    def __repr__(self):
        return self.message


def judge(exercise: Exercise, answer: Callable) -> Verdict:
    """Compare an answer with the solution on every input of an exercise, smallest first."""
    inputs = sorted(exercise.inputs, key=lambda arguments: sum(map(_size, arguments)))
    outcomes = [_run(answer, arguments) for arguments in inputs]
    if all(outcome.returned and outcome.value is None for outcome in outcomes):
        return Verdict(
            False, f"{exercise.name} returns nothing yet. Write it, then run this cell."
        )
    for arguments, outcome in zip(inputs, outcomes, strict=True):
        expected = _run(exercise.solution, arguments).value
        complaint = _complaint(outcome, expected)
        if complaint:
            lines = [
                f"{exercise.name} is not right yet. "
                f"The smallest input on which it goes wrong, of {len(inputs)} tried:",
                f"    {_call(exercise.solution, arguments)}",
                *(f"    {line}" for line in complaint),
                *_hints(exercise, inputs, outcomes),
            ]
            return Verdict(False, "\n".join(lines))
    return Verdict(True, f"{exercise.name} is right on all {len(inputs)} inputs tried.")


@dataclass(frozen=True)
class _Outcome:
    value: object = None
    error: Exception | SystemExit | None = None
    changed_its_input: bool = False

    @property
    def returned(self):
        return self.error is None


def _run(function, arguments):
    """Call a function on copies, so that it can break nothing but its own answer."""
    copies = copy.deepcopy(arguments)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = function(*copies)
    except (
        Exception,
        SystemExit,
    ) as error:  # whatever the reader's code does is an answer
        return _Outcome(error=error)
    changed = not all(map(np.array_equal, copies, arguments))
    return _Outcome(value=value, changed_its_input=changed)


def _complaint(outcome, expected):
    """Say in a few lines what is wrong with an outcome; say nothing if it is right."""
    if not outcome.returned:
        return [f"it raised {type(outcome.error).__name__}: {outcome.error}"]
    if outcome.changed_its_input:
        return ["it changed its input; compute with new arrays instead"]
    try:
        value = np.asarray(outcome.value)
        right_kind = np.issubdtype(value.dtype, np.number) or value.dtype == bool
    except Exception:
        right_kind = False
    if not right_kind:
        return [
            f"it returned {type(outcome.value).__name__}, expected {_kind(expected)}"
        ]
    expected = np.asarray(expected)
    if value.shape != expected.shape:
        return [f"it returned shape {value.shape}, expected shape {expected.shape}"]
    if (value.dtype == bool) != (expected.dtype == bool):
        return [f"it returned dtype {value.dtype}, expected dtype {expected.dtype}"]
    if not _equal(value, expected):
        return [f"yours:    {_show(value)}", f"expected: {_show(expected)}"]
    return []


def _hints(exercise, inputs, outcomes):
    """Find the mistakes that behave like the answer on every input."""
    for mistake, hint in exercise.mistakes:
        mistaken = [_run(mistake, arguments) for arguments in inputs]
        if all(map(_same_outcome, outcomes, mistaken)):
            yield f"Hint: {hint}"


def _same_outcome(one, other):
    if not (one.returned and other.returned):
        return type(one.error) is type(other.error)
    return _equal(one.value, other.value)


def _equal(one, other):
    try:
        return np.shape(one) == np.shape(other) and np.allclose(
            one, other, rtol=RELATIVE_TOLERANCE, atol=RELATIVE_TOLERANCE, equal_nan=True
        )
    except Exception:  # not numbers
        return False


def _size(argument):
    return np.size(argument) if isinstance(argument, np.ndarray) else abs(argument)


def _call(function, arguments):
    names = inspect.signature(function).parameters
    shown = (
        f"{name}={_show(value)}" for name, value in zip(names, arguments, strict=True)
    )
    return f"{function.__name__}({', '.join(shown)})"


def _show(value):
    with np.printoptions(precision=4, suppress=True, threshold=30, legacy="1.25"):
        if np.ndim(value) == 0:
            return str(np.round(value, 4))
        return " ".join(repr(np.asarray(value)).split())


def _kind(value):
    shape = np.shape(value)
    return f"an array of shape {shape}" if shape else "a number"
