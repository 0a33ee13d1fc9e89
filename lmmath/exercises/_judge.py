"""How an answer is judged: run on many inputs, compared, and described in words."""

import copy
import inspect
import re
import warnings
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from types import CodeType

import numpy as np

from lmmath.exercises._watched import Watched, watched

TOLERANCE = 1e-9  # relative, and absolute where the number is below one
LONGEST_CALL = 1000  # characters; a longer one is shown by its number


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    ``mistakes`` pairs functions that are wrong in the likeliest ways with a hint each. An answer
    that behaves like one of them on every input gets its hint. ``without`` names functions that
    would do the exercise for the reader, with a hint each. With ``without_overflow``, an answer
    must be right without an infinity on the way.
    """

    solution: Callable
    inputs: list[tuple]
    mistakes: list[tuple[Callable, str]]
    without: dict[str, str] = field(default_factory=dict)
    without_overflow: bool = False

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
    order = sorted(
        range(len(exercise.inputs)), key=lambda i: sum(map(_size, exercise.inputs[i]))
    )
    inputs = [exercise.inputs[i] for i in order]
    outcomes = [
        _run(answer, arguments, exercise.without_overflow) for arguments in inputs
    ]
    if all(outcome.returned and outcome.value is None for outcome in outcomes):
        return Verdict(
            False, f"{exercise.name} returns nothing yet. Write it, then run this cell."
        )
    for number, arguments, outcome in zip(order, inputs, outcomes, strict=True):
        complaint = _complaint(exercise, outcome, arguments)
        if complaint:
            lines = [
                f"{exercise.name} is not right yet. "
                f"The smallest input on which it goes wrong, of {len(inputs)} tried:",
                *(f"    {line}" for line in _call(exercise, number)),
                *(f"    {line}" for line in complaint),
                *_hints(exercise, inputs, outcomes),
            ]
            return Verdict(False, "\n".join(lines))
    for name in sorted(_names(answer) & exercise.without.keys()):
        return Verdict(
            False,
            f"{exercise.name} is right on all {len(inputs)} inputs tried, but it uses {name}.\n"
            f"Hint: {exercise.without[name]}",
        )
    return Verdict(True, f"{exercise.name} is right on all {len(inputs)} inputs tried.")


def _names(answer):
    """Give every name that the code of an answer reads, in functions inside it too."""
    names, codes = set(), [getattr(answer, "__code__", None)]
    for code in codes:
        if isinstance(code, CodeType):
            names.update(code.co_names)
            codes.extend(code.co_consts)
    return names


@dataclass(frozen=True)
class _Outcome:
    value: object = None
    error: BaseException | None = None
    changed_its_input: bool = False
    overflowed: bool = False

    @property
    def returned(self):
        return self.error is None


def _run(function, arguments, watch=False):
    """Call a function on copies, so that it can break nothing but its own answer."""
    copies = copy.deepcopy(arguments)
    overflows = []
    given = [watched(copy, overflows) for copy in copies] if watch else copies
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = function(*given)
    except KeyboardInterrupt:  # the reader wants it to stop
        raise
    except BaseException as error:  # whatever else the reader's code does is an answer
        return _Outcome(error=error)
    changed = any(
        isinstance(before, np.ndarray) and not np.array_equal(after, before)
        for after, before in zip(copies, arguments, strict=True)
    )
    if isinstance(value, Watched):
        value = np.array(value, subok=False)
    return _Outcome(value, changed_its_input=changed, overflowed=bool(overflows))


def _complaint(exercise, outcome, arguments):
    """Say in a few lines what is wrong with an outcome; say nothing if it is right."""
    complaint = _difference(outcome, _run(exercise.solution, arguments).value)
    if not complaint and outcome.overflowed:
        return ["the value is right, but a number on the way overflowed to infinity"]
    return complaint


def _difference(outcome, expected):
    if not outcome.returned:
        return [f"it raised {type(outcome.error).__name__}: {_text(outcome.error)}"]
    if outcome.changed_its_input:
        return ["it changed its input; compute with new arrays instead"]
    if not _is_numeric(expected):  # a text, a list of texts
        return [] if _equal(outcome.value, expected) else _both(outcome.value, expected)
    if not _is_numeric(outcome.value):
        return [
            f"it returned {type(outcome.value).__name__}, expected {_kind(expected)}"
        ]
    value, expected = np.asarray(outcome.value), np.asarray(expected)
    if value.shape != expected.shape:
        return [f"it returned shape {value.shape}, expected shape {expected.shape}"]
    if (value.dtype == bool) != (expected.dtype == bool):
        return [f"it returned dtype {value.dtype}, expected dtype {expected.dtype}"]
    return [] if _equal(value, expected) else _both(value, expected)


def _both(value, expected):
    texts = _show(value), _show(expected)
    if texts[0] == texts[1]:  # too close for four digits
        texts = _text(value), _text(expected)
    return [f"yours:    {texts[0]}", f"expected: {texts[1]}"]


def _hints(exercise, inputs, outcomes):
    """Find the mistakes that behave like the answer on every input."""
    for mistake, hint in exercise.mistakes:
        mistaken = [
            _run(mistake, arguments, exercise.without_overflow) for arguments in inputs
        ]
        if all(map(_same_outcome, outcomes, mistaken)):
            yield f"Hint: {hint}"


def _same_outcome(one, other):
    """Compare two outcomes; an overflow is the same, as an error or as an infinity."""
    errors = [type(outcome.error) for outcome in (one, other) if not outcome.returned]
    if errors == [OverflowError]:
        value = other.value if one.error else one.value
        return _is_numeric(value) and not np.all(np.isfinite(value))
    if errors:
        return len(errors) == 2 and errors[0] is errors[1]
    return one.overflowed == other.overflowed and _equal(one.value, other.value)


def _is_numeric(value):
    if isinstance(value, list | tuple) and not value:  # of what, nobody knows
        return False
    try:
        return np.asarray(value).dtype.kind in "biufc"
    except Exception:
        return False


def _equal(one, other):
    try:
        if not _is_numeric(other):
            return bool(one == other)
        return np.shape(one) == np.shape(other) and np.allclose(
            one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
        )
    except Exception:  # not comparable
        return False


def _size(argument):
    """Say how much there is to an input, so that a small one can be shown first."""
    if isinstance(argument, np.ndarray):
        return argument.size
    if isinstance(argument, Sized):
        return len(argument)
    return abs(argument) if isinstance(argument, int | float) else 0


def _call(exercise, number):
    """Write the call with an input so that it can be copied, and goes wrong again."""
    names = inspect.signature(exercise.solution).parameters
    arguments = exercise.inputs[number]
    named = zip(names, arguments, strict=False)  # the rest may have defaults
    shown = ", ".join(f"{name}={_spell(value)}" for name, value in named)
    if len(exercise.name) + len(shown) <= LONGEST_CALL:
        return [f"{exercise.name}({shown})"]
    return [
        "from lmmath.exercises import EXERCISES",
        f'{exercise.name}(*EXERCISES["{exercise.name}"].inputs[{number}])',
    ]


def _spell(value):
    """Write a value as Python reads it, with every digit that it takes."""
    if isinstance(value, np.ndarray):
        if value.size > 30 and np.all(value == value.flat[0]):
            shape = value.shape if value.ndim > 1 else value.size
            return f"np.full({shape}, {value.flat[0].item()!r})"
        return f"np.array({value.tolist()!r})"
    if isinstance(value, np.generic):
        return repr(value.item())
    if type(value) is list:
        return f"[{', '.join(map(_spell, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(_spell, value))}{',' * (len(value) == 1)})"
    return _text(value)


def _show(value):
    if not _is_numeric(value):
        return _text(value)
    with np.printoptions(precision=4, threshold=30, legacy="1.25"):
        if np.ndim(value) == 0:
            return str(np.round(value, 4))
        shown = " ".join(repr(np.asarray(value)).split())
    # How wide integers usually are differs between machines, and says nothing of an answer.
    return re.sub(r", dtype=int\d+", "", shown)


def _text(value):
    try:
        return repr(value) if not isinstance(value, BaseException) else str(value)
    except Exception:
        return f"<{type(value).__name__}>"  # it cannot be printed


def _kind(value):
    shape = np.shape(value)
    return f"an array of shape {shape}" if shape else "a number"
