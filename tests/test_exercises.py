"""Right answers pass, likely wrong ones get a useful answer, and nothing is ever raised."""

import itertools
import math
import sys

import numpy as np
import pytest
import scipy.special

from lmmath.exercises import EXERCISES, check
from lmmath.exercises._judge import Exercise, judge

MISTAKES = [
    pytest.param(exercise, mistake, hint, id=f"{exercise.name}-{number}")
    for exercise in EXERCISES.values()
    for number, (mistake, hint) in enumerate(exercise.mistakes)
]


def double(x):
    return 2 * x


DOUBLE = Exercise(
    solution=double,
    inputs=[(np.asarray([3.0, 4.0]),), (np.asarray([2.0]),), (np.asarray([0.0]),)],
    mistakes=[(lambda x: x**2, "that is the square")],
)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_the_solution_passes(exercise):
    verdict = check(exercise.solution)
    assert verdict.passed
    assert repr(verdict) == (
        f"{exercise.name} is right on all {len(exercise.inputs)} inputs tried."
    )


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_every_exercise_knows_three_mistakes(exercise):
    assert len(exercise.mistakes) >= 3


@pytest.mark.parametrize(("exercise", "mistake", "hint"), MISTAKES)
def test_a_likely_mistake_gets_its_own_hint_and_no_other(exercise, mistake, hint):
    verdict = judge(exercise, mistake)
    assert not verdict.passed
    assert verdict.message.count("Hint: ") == 1
    assert f"Hint: {hint}" in verdict.message


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_an_unwritten_answer_is_told_so(exercise):
    verdict = judge(exercise, lambda *arguments: ...)
    assert not verdict.passed
    verdict = judge(exercise, lambda *arguments: None)
    assert (
        verdict.message
        == f"{exercise.name} returns nothing yet. Write it, then run this cell."
    )


def test_the_smallest_failing_input_is_shown_with_both_results():
    assert repr(judge(DOUBLE, lambda x: x + 2)) == (
        "double is not right yet. The smallest input on which it goes wrong, of 3 tried:\n"
        "    double(x=np.array([0.0]))\n"
        "    yours:    array([2.])\n"
        "    expected: array([0.])"
    )


def test_the_order_of_the_inputs_does_not_matter_only_their_size():
    verdict = judge(DOUBLE, lambda x: x**2)  # right on [0.] and [2.]
    assert "double(x=np.array([3.0, 4.0]))" in verdict.message
    assert "Hint: that is the square" in verdict.message


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words")


class NotAnError(BaseException):
    pass


def raises_what_cannot_be_printed(x):
    raise Unprintable


def raises_what_is_no_error(x):
    raise NotAnError("stop")


def raises(x):
    raise ZeroDivisionError("oh no")


def changes_its_input(x):
    x *= 2
    return x


def exits(x):
    sys.exit(1)


def never_ends(x):
    return never_ends(x)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raises, "it raised ZeroDivisionError: oh no"),
        (exits, "it raised SystemExit: 1"),
        (never_ends, "it raised RecursionError"),
        (changes_its_input, "it changed its input"),
        (lambda: 0, "it raised TypeError"),
        (raises_what_cannot_be_printed, "it raised Unprintable: <Unprintable>"),
        (raises_what_is_no_error, "it raised NotAnError: stop"),
        (lambda x: np.timedelta64(1, "s"), "it returned timedelta64"),
        (lambda x: "two", "it returned str, expected an array of shape (1,)"),
        (lambda x: object(), "it returned object, expected an array of shape (1,)"),
        (lambda x: [1, [2, 3]], "it returned list, expected an array of shape (1,)"),
        (lambda x: 1.0, "it returned shape (), expected shape (1,)"),
        (lambda x: x == 0, "it returned dtype bool, expected dtype float64"),
        (lambda x: x * np.nan, "yours:    array([nan])"),
        (lambda x: 2j * x, "yours:    array([0.+4.j])"),
    ],
)
def test_whatever_an_answer_does_is_described(answer, words):
    verdict = judge(DOUBLE, answer)
    assert not verdict.passed
    assert words in verdict.message


def test_an_answer_is_judged_with_numpy_quiet():
    with np.errstate(all="raise"):
        assert judge(DOUBLE, lambda x: double(x) + 0 * np.log(np.zeros(1) + 1)).passed
        assert "nan" in judge(DOUBLE, lambda x: x * (np.zeros(1) / 0)).message


@pytest.mark.parametrize("not_a_function", [None, 3, np.zeros(2), "log_sum_exp"])
def test_something_called_by_mistake_is_told_so(not_a_function):
    verdict = check(not_a_function)
    assert not verdict.passed
    assert "check takes a function, not called" in verdict.message


def test_an_unknown_name_gets_the_list_of_names():
    def log_sum_xep(x):
        return x

    assert "No exercise is called log_sum_xep" in check(log_sum_xep).message
    assert "log_sum_exp" in check(log_sum_xep).message


def test_a_result_that_is_nearly_right_is_shown_in_full():
    message = judge(DOUBLE, lambda x: 2 * x * (1 + 1e-8)).message
    assert "yours:    array([4.00000004])" in message
    assert "expected: array([4.])" in message


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_the_width_of_integers_is_not_shown(dtype):
    counts = Exercise(
        solution=lambda x: x + 1, inputs=[(np.asarray([3], dtype),)], mistakes=[]
    )
    message = judge(counts, lambda x: x.astype(np.int64)).message
    assert "(x=np.array([3]))" in message
    assert "yours:    array([3])" in message


# Answers that look right and are not

GUISES = {
    "log_sum_exp": [
        lambda x: np.mean(x) + np.log(np.sum(np.exp(x - np.mean(x)))),
        lambda x: np.min(x) + np.log(np.sum(np.exp(x - np.min(x)))),
        lambda x: x[0] + np.log(np.sum(np.exp(x - x[0]))),
    ],
    "first_of_two": [lambda a, b: np.exp(a - b) / (1 + np.exp(a - b))],
    "window_mask": [lambda n, width: np.tri(n, dtype=bool)],
}


@pytest.mark.parametrize(
    ("name", "answer"), [(name, answer) for name in GUISES for answer in GUISES[name]]
)
def test_an_answer_that_is_right_only_on_easy_inputs_fails(name, answer):
    assert not judge(EXERCISES[name], answer).passed


def test_an_overflow_is_recognised_as_an_error_too():
    verdict = judge(
        EXERCISES["log_sum_exp"],
        lambda x: math.log(sum(math.exp(score) for score in x)),
    )
    assert "it raised" in verdict.message


# The call that is shown


def called(line, answer):
    """Run a call as a reader would who copies it into a cell of the chapter."""
    names = {"np": np, answer.__name__: answer}
    exec(f"{line[: line.rindex(answer.__name__ + '(')]}\n", names)
    with np.errstate(all="ignore"):
        return eval(line[line.rindex(answer.__name__ + "(") :], names)


def given_to(name, call):
    """Catch the arguments of a call that is written out."""
    caught = []

    def answer(*positional, **named):
        caught.append((*positional, *named.values()))

    answer.__name__ = name
    called(call, answer)
    return caught[0]


@pytest.mark.parametrize(("exercise", "mistake", "hint"), MISTAKES)
def test_the_call_that_is_shown_goes_wrong_again(exercise, mistake, hint):
    lines = judge(exercise, mistake).message.splitlines()
    end = [line.startswith(f"    {exercise.name}(") for line in lines].index(True)
    call = "\n".join(line.strip() for line in lines[1 : end + 1])
    arguments = given_to(exercise.name, call)
    again = Exercise(
        exercise.solution, [arguments], [], exercise.without, exercise.without_overflow
    )
    assert judge(again, exercise.solution).passed
    assert not judge(again, mistake).passed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-5, "1e-05"),
        (np.float64(0.5), "0.5"),
        (np.asarray([0.1 + 0.2]), "np.array([0.30000000000000004])"),
        (np.full(2000, 0.3), "np.full(2000, 0.3)"),
        (np.zeros((8, 8)), "np.full((8, 8), 0.0)"),
        ([], "[]"),
        ([("a", "b")], "[('a', 'b')]"),
        ([(np.ones(1),)], "[(np.array([1.0]),)]"),
        ({"ab": 2}, "{'ab': 2}"),
    ],
)
def test_an_input_is_shown_as_python_reads_it(value, text):
    shown = Exercise(solution=lambda x: 1, inputs=[(value,)], mistakes=[])
    assert f"(x={text})\n" in judge(shown, lambda x: 2).message


def test_an_input_too_long_to_show_is_shown_by_its_number():
    exercise = EXERCISES["matching_pursuit"]
    last = exercise.inputs[-1]

    def fails_on_the_last(vector, directions, n_active):
        if len(directions) == len(last[1]):
            return np.zeros(n_active)
        return exercise.solution(vector, directions, n_active)

    message = judge(exercise, fails_on_the_last).message
    assert "    from lmmath.exercises import EXERCISES\n" in message
    call = f'matching_pursuit(*EXERCISES["matching_pursuit"].inputs[{len(exercise.inputs) - 1}])'
    assert f"    {call}\n" in message


def test_an_empty_list_is_shown_as_a_list():
    message = judge(EXERCISES["learn_merges"], lambda words, n_merges: [3]).message
    assert "yours:    array([3])\n    expected: []" in message


# Answers that are right, and not what was asked for


def test_a_function_that_does_the_exercise_is_named_and_refused():
    def tent(x, left, top, right):
        return np.interp(x, [left, top, right], [0, 1, 0])

    def relu_interpolation(x, knots, heights):
        def inner(x):
            return np.interp(x, knots, heights)

        return inner(x)

    for answer, words in [(tent, "three relus"), (relu_interpolation, "from relus")]:
        verdict = check(answer)
        assert not verdict.passed
        assert "inputs tried, but it uses interp." in verdict.message
        assert words in verdict.message.split("Hint: ")[1]


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (lambda x: 1 / (1 + np.exp(-x)), False),
        (lambda x: np.asarray([1 / (1 + np.exp(-v)) for v in x]), False),
        (lambda x: np.exp(-np.log1p(np.exp(-x))), False),
        (lambda x: np.exp(-np.logaddexp(0, -x)), True),
        (lambda x: (1 + np.tanh(x / 2)) / 2, True),
        (scipy.special.expit, True),
    ],
)
def test_an_overflow_on_the_way_is_noticed(answer, passed):
    verdict = judge(EXERCISES["stable_sigmoid"], answer)
    assert verdict.passed == passed
    assert ("overflowed to infinity" in verdict.message) == (not passed)


def test_a_sigmoid_by_masks_passes():
    def stable_sigmoid(x):
        result, large = np.empty_like(x), x >= 0
        result[large] = 1 / (1 + np.exp(-x[large]))
        np.exp(x, out=result, where=~large)
        result[~large] /= 1 + result[~large]
        return result

    assert check(stable_sigmoid).passed


def test_the_earliest_known_merge_of_all_is_right_too():
    def encode_word(word, merges):
        tokens = list(word)
        while len(tokens) > 1:
            ranks = [
                merges.index(pair) if pair in merges else len(merges)
                for pair in itertools.pairwise(tokens)
            ]
            if min(ranks) == len(merges):
                break
            i = ranks.index(min(ranks))
            tokens[i : i + 2] = ["".join(tokens[i : i + 2])]
        return tokens

    assert check(encode_word).passed


# Exercises on other things than numbers

TEXTS = Exercise(
    solution=str.split,
    inputs=[("one two",), ("a b",)],
    mistakes=[(lambda text: [text], "where does a word end?")],
)


def test_texts_and_lists_are_judged_too():
    assert judge(TEXTS, lambda text: text.split(None)).passed
    verdict = judge(TEXTS, lambda text: [text])
    assert "yours:    ['a b']" in verdict.message
    assert "Hint: where does a word end?" in verdict.message
    assert not judge(TEXTS, lambda text: 3).passed


def test_a_generator_of_random_numbers_may_be_used():
    draws = Exercise(
        solution=lambda rng: rng.normal(size=2),
        inputs=[(np.random.default_rng(0),)],
        mistakes=[],
    )
    assert judge(draws, lambda rng: rng.normal(size=2)).passed
