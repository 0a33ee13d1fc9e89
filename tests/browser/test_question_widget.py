"""Questions in a real browser: what counts as a number, and what is said to an answer."""

import math
from pathlib import Path

import pytest

WIDGETS = Path(__file__).parents[2] / "lmmath" / "widgets"

MAKE = """
async (traits) => {
  const { default: widget } = await import("/question.js");
  const listeners = {};
  const model = {
    get: (name) => traits[name],
    set: (name, value) => {
      traits[name] = value;
      (listeners[`change:${name}`] ?? []).forEach((react) => react());
    },
    on: (name, react) => (listeners[name] ??= []).push(react),
    off: () => {},
    save_changes: () => {},
  };
  window.model = model;
  document.body.innerHTML = "<div id='here'></div>";
  widget.render({ model, el: document.querySelector("#here") });
}
"""
CHOICE = {
    "question": "How <i>many</i>?",
    "answers": ["one", "two", "three"],
    "explanations": ["Too few.", "Just so.", "Too many."],
    "right": 1,
    "chosen": -1,
}
NUMBER = {
    "question": "How many?",
    "answer": 2.5,
    "tolerance": 0.1,
    "explanation": "Half of five.",
    "mistakes": [[5, "That is all of it."]],
    "typed": "",
}


@pytest.fixture
def at(page, serving):
    with serving(WIDGETS) as address:
        page.goto(f"{address}/shared.css")
        yield page


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.61", 0.61),
        (" 0,61 ", 0.61),
        ("−1", -1),
        ("+3.", 3),
        (".5", 0.5),
        ("1/4", 0.25),
        ("-1/4", -0.25),
        ("50 %", 0.5),
        ("2e-5", 2e-5),
        ("3,2E3", 3200),
        ("124,439,808", 124_439_808),
        ("1,234", 1234),
        ("1,234.5", 1234.5),
        ("0,234", 0.234),
        ("12,34", 12.34),
        ("1 000", 1000),
        ("", math.nan),
        ("abc", math.nan),
        ("1,2,3", math.nan),
        ("1.2.3", math.nan),
        ("1/2/3", math.nan),
        ("0x10", math.nan),
        ("NaN", math.nan),
        ("Infinity", math.nan),
        ("<b>1</b>", math.nan),
        ("9" * 10_000, math.nan),
    ],
)
def test_what_a_person_may_mean_by_a_number(at, text, number):
    script = "async (text) => (await import('/question.js')).parseNumber(text)"
    found = at.evaluate(script, text)
    assert found == number or (math.isnan(found) and math.isnan(number))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2.5", "✓ Right. Half of five."),
        ("2.45", "✓ Right. Half of five."),
        ("5", "✗ Not right. That is all of it."),
        ("3", "✗ Not right: too large."),
        ("-3", "✗ Not right: too small."),
        ("1/0", "✗ Type a number, such as 0.61, 1/4, 50 % or 2e-5."),
        ("<img src=x>", "✗ Type a number, such as 0.61, 1/4, 50 % or 2e-5."),
        ("", "✗ Type a number, such as 0.61, 1/4, 50 % or 2e-5."),
    ],
)
@pytest.mark.parametrize("way", ["Enter", "button"])
def test_a_number_is_typed_and_judged(at, text, words, way):
    at.evaluate(MAKE, NUMBER)
    at.get_by_label("How many?").fill(text)
    if way == "Enter":
        at.keyboard.press("Enter")
    else:
        at.get_by_role("button", name="Check").click()
    assert at.get_by_role("status").text_content() == words
    assert at.evaluate("model.get('typed')") == text


def test_a_choice_is_made_by_keyboard_and_can_be_corrected(at):
    at.evaluate(MAKE, CHOICE)
    assert at.get_by_role("group", name="How <i>many</i>?").count() == 1
    at.keyboard.press("Tab")
    at.keyboard.press("Space")
    assert at.get_by_role("status").text_content() == "✗ Not right. Too few."
    at.keyboard.press("ArrowDown")
    assert at.get_by_role("status").text_content() == "✓ Right. Just so."
    assert at.evaluate("model.get('chosen')") == 1


def test_a_question_follows_its_traits(at):
    at.evaluate(MAKE, CHOICE)
    at.evaluate("model.set('chosen', 2)")
    assert at.get_by_label("three").is_checked()
    assert at.get_by_role("status").text_content() == "✗ Not right. Too many."
    at.evaluate("model.set('chosen', -1)")
    assert not at.get_by_label("three").is_checked()
    assert at.get_by_role("status").text_content() == ""
    at.evaluate(MAKE, NUMBER)
    at.evaluate("model.set('typed', '5')")
    assert at.get_by_label("How many?").input_value() == "5"
    assert "all of it" in at.get_by_role("status").text_content()
