"""Questions: what they refuse, and how they read without JavaScript."""

import re

import pytest
import traitlets

from lmmath.widgets import Choice, Number

ANSWERS = {"<b>one</b>": "That & this.", "two": "Yes."}


def choice(**changed):
    return Choice(
        **{"question": "How many?", "answers": ANSWERS, "right": "two", **changed}
    )


def number(**changed):
    return Number(
        **{
            "question": "How many?",
            "answer": 2.5,
            "explanation": "Half of five.",
            "mistakes": {5.0: "That is all of it."},
            "tolerance": 0.1,
            **changed,
        }
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: choice(answers={"two": "Yes."}), "answers must be at least two, got 1"),
        (lambda: choice(answers={"one": "", "two": "Yes."}), "answers must have an explanation, got none for 'one'"),
        (lambda: choice(answers={"one": " ", "two": "Yes."}), "answers must have an explanation, got none for 'one'"),
        (lambda: choice(question=""), "question must not be empty, got ''"),
        (lambda: number(question=" "), "question must not be empty, got ' '"),
        (lambda: choice(right="three"), "right must be one of the answers, got 'three'"),
        (lambda: number(answer=float("nan")), "answer must be a finite number, got nan"),
        (lambda: number(tolerance=float("inf")), "tolerance must be a finite number, got inf"),
        (lambda: number(tolerance=-1.0), "tolerance must be at least 0, got -1.0"),
        (lambda: number(explanation=""), "explanation must not be empty"),
        (lambda: number(mistakes={5.0: ""}), "explanation must not be empty"),
        (lambda: number(mistakes={2.45: "Near."}), r"mistakes must be wrong, got 2.45, which is within 0.1 of 2.5"),
        (lambda: number(mistakes={float("inf"): "Much."}), "mistakes must be finite numbers, got inf"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_reader_can_be_watched_and_answered():
    question, seen = choice(), []
    question.observe(lambda change: seen.append(change.new), "chosen")
    question.chosen = 1
    assert seen == [1]
    with pytest.raises(traitlets.TraitError):
        question.chosen = -2


def test_without_javascript_a_question_unfolds_and_its_text_is_text():
    html = choice().picture()._repr_html_()
    assert "&lt;b&gt;one&lt;/b&gt;" in html
    assert "Not right. That &amp; this." in html
    assert "Right. Yes." in html
    assert html.count("<details>") == 2
    assert "2.5. Half of five." in number().picture()._repr_html_()


def test_a_question_prints_as_one_line():
    assert repr(choice()) == "Choice. How many?"
    assert re.fullmatch(r"Number\. How many\?", repr(number()))
