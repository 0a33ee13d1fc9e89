"""Questions that a reader answers on the page, and that explain a wrong answer."""

import html
from math import isfinite

import traitlets

from lmmath.widgets.kit.base import Widget, module


class _Printed:
    """A question in plain HTML: for paper, and where no JavaScript runs."""

    def __init__(self, question, answers):
        self.question = question
        self.answers = answers  # pairs (answer, explanation)

    def __repr__(self):
        return self.question

    def _repr_html_(self):
        folded = "".join(
            f"<details><summary>{html.escape(answer)}</summary>"
            f"<p>{html.escape(explanation)}</p></details>"
            for answer, explanation in self.answers
        )
        return (
            f'<div class="lmmath-question"><p>{html.escape(self.question)}</p>'
            f"{folded}</div>"
        )


def _require_text(name, text):
    if not text.strip():
        raise ValueError(f"{name} must not be empty, got {text!r}")


class Choice(Widget):
    """A question with a few answers to choose from.

    Parameters
    ----------
    question : str
        Plain text, as all texts here; mathematics in Unicode.
    answers : dict of str to str
        Each answer with its explanation: why it is right, or what was mixed up.
    right : str
        The right one of them.

    Raises
    ------
    ValueError
        If there are fewer than two answers, one has no explanation, or ``right`` is not one of
        them.

    Examples
    --------
    >>> question = Choice(
    ...     "Is 91 a prime?",
    ...     {"yes": "Try to divide it by 7.", "no": "It is 7 · 13."},
    ...     right="no",
    ... )
    >>> question
    Choice. Is 91 a prime?
    >>> question.chosen = 1
    >>> question.answers[question.chosen]
    'no'
    """

    _esm = module("question.js")

    question = traitlets.Unicode().tag(sync=True)
    answers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    explanations = traitlets.List(traitlets.Unicode()).tag(sync=True)
    right = traitlets.Int().tag(sync=True)
    chosen = traitlets.Int(-1, min=-1).tag(sync=True)  # -1: none yet

    def __init__(self, question, answers, right):
        _require_text("question", question)
        if len(answers) < 2:
            raise ValueError(f"answers must be at least two, got {len(answers)}")
        for answer, explanation in answers.items():
            if not explanation.strip():
                raise ValueError(
                    f"answers must have an explanation, got none for {answer!r}"
                )
        if right not in answers:
            raise ValueError(f"right must be one of the answers, got {right!r}")
        super().__init__(
            question=question,
            answers=list(answers),
            explanations=list(answers.values()),
            right=list(answers).index(right),
        )

    def picture(self):
        """Write the question out, each answer with its explanation folded away."""
        marks = [
            ("Right. " if i == self.right else "Not right. ") + explanation
            for i, explanation in enumerate(self.explanations)
        ]
        return _Printed(self.question, zip(self.answers, marks, strict=True))


class Number(Widget):
    """A question whose answer is a number.

    A reader may type it as 0.61, 0,61, 1/4, 50 %, −3 or 2e-5. A comma is a decimal point, but
    commas before groups of three digits separate thousands: 1,234 and 124,439,808 are whole.

    Parameters
    ----------
    question : str
        Plain text, as all texts here; mathematics in Unicode.
    answer : float
    explanation : str
        How to find it. Shown with the right answer.
    mistakes : dict of float to str
        Likely wrong numbers, each with what was mixed up. Of any other wrong number the page
        says whether it is too large or too small.
    tolerance : float
        How far from ``answer`` is still right. It holds for the mistakes too.

    Raises
    ------
    ValueError
        If a number is not finite, the tolerance is below 0, a mistake is within the tolerance
        of the answer, or an explanation is missing.

    Examples
    --------
    >>> Number("What is 2¹⁰?", answer=1024, explanation="Double ten times.", mistakes={
    ...     20: "That is 2 · 10."
    ... })
    Number. What is 2¹⁰?
    """

    _esm = module("question.js")

    question = traitlets.Unicode().tag(sync=True)
    answer = traitlets.Float().tag(sync=True)
    explanation = traitlets.Unicode().tag(sync=True)
    mistakes = traitlets.List().tag(sync=True)  # pairs [number, explanation]
    tolerance = traitlets.Float(min=0).tag(sync=True)
    typed = traitlets.Unicode().tag(sync=True)

    def __init__(self, question, answer, explanation, mistakes=None, tolerance=0.0):
        mistakes = mistakes or {}
        _require_text("question", question)
        for name, number in {"answer": answer, "tolerance": tolerance}.items():
            if not isfinite(number):
                raise ValueError(f"{name} must be a finite number, got {number}")
        if tolerance < 0:
            raise ValueError(f"tolerance must be at least 0, got {tolerance}")
        if not all(text.strip() for text in (explanation, *mistakes.values())):
            raise ValueError("explanation must not be empty, nor that of a mistake")
        for number in mistakes:
            if not isfinite(number):
                raise ValueError(f"mistakes must be finite numbers, got {number}")
            if abs(number - answer) <= tolerance:
                raise ValueError(
                    f"mistakes must be wrong, got {number}, "
                    f"which is within {tolerance} of {answer}"
                )
        super().__init__(
            question=question,
            answer=answer,
            explanation=explanation,
            mistakes=[list(pair) for pair in mistakes.items()],
            tolerance=tolerance,
        )

    def picture(self):
        """Write the question out, the answer folded away."""
        return _Printed(
            self.question, [("Answer", f"{self.answer:,.15g}. {self.explanation}")]
        )
