"""Questions in a real browser: what counts as a number, and what is said to an answer."""

import math

import pytest

from lmmath.widgets import Choice, Number

CHOICE = Choice(
    "How <i>many</i>?",
    {"one": "Too few.", "two": "Just so.", "three": "Too many."},
    right="two",
)
NUMBER = Number(
    "How many?",
    answer=2.5,
    tolerance=0.1,
    explanation="Half of <b>five</b>.",
    mistakes={5: "That is all of it."},
)


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
def test_what_a_person_may_mean_by_a_number(call, text, number):
    found = call("kit/shared.js", "parseNumber", text)
    assert found == number or (math.isnan(found) and math.isnan(number))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2.5", "✓ Right. Half of <b>five</b>."),
        ("2.45", "✓ Right. Half of <b>five</b>."),
        ("5", "✗ Not right. That is all of it."),
        ("3", "✗ Not right: too large."),
        ("-3", "✗ Not right: too small."),
        ("1/0", "Type a number, such as 0.61, 1/4, 50 % or 2e-5."),
        ("<img src=x>", "Type a number, such as 0.61, 1/4, 50 % or 2e-5."),
        ("", "Type a number, such as 0.61, 1/4, 50 % or 2e-5."),
    ],
)
@pytest.mark.parametrize("way", ["Enter", "button"])
def test_a_number_is_typed_and_judged(page, mount, text, words, way):
    view = mount(NUMBER)
    view.get_by_label("How many?").fill(text)
    if way == "Enter":
        page.keyboard.press("Enter")
    else:
        view.get_by_role("button", name="Check").click()
    assert view.get_by_role("status").text_content() == words
    assert page.evaluate("model.get('typed')") == text


def test_a_choice_is_made_by_keyboard_and_can_be_corrected(page, mount):
    view = mount(CHOICE)
    assert view.get_by_role("group", name="How <i>many</i>?").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert view.get_by_role("status").text_content() == "✗ Not right. Too few."
    page.keyboard.press("ArrowDown")
    assert view.get_by_role("status").text_content() == "✓ Right. Just so."
    assert page.evaluate("model.get('chosen')") == 1


def test_a_question_follows_its_traits(page, mount):
    view = mount(CHOICE)
    page.evaluate("model.set('chosen', 2)")
    assert view.get_by_label("three").is_checked()
    assert view.get_by_role("status").text_content() == "✗ Not right. Too many."
    page.evaluate("model.set('chosen', -1)")
    assert not view.get_by_label("three").is_checked()
    assert view.get_by_role("status").text_content() == ""
    view = mount(NUMBER)
    page.evaluate("model.set('typed', '5')")
    assert view.get_by_label("How many?").input_value() == "5"
    assert "all of it" in view.get_by_role("status").text_content()


def test_a_wrong_number_is_corrected_and_bad_input_is_no_answer(page, mount):
    view = mount(NUMBER)
    field, status = view.get_by_label("How many?"), view.get_by_role("status")
    for text, words in [
        ("5", "✗ Not right. That is all of it."),
        ("abc", "Type a number, such as 0.61, 1/4, 50 % or 2e-5."),
        ("9" * 10_000, "Type a number, such as 0.61, 1/4, 50 % or 2e-5."),
        ("5/2", "✓ Right. Half of <b>five</b>."),
    ]:
        field.fill(text)
        field.press("Enter")
        assert status.text_content() == words
    assert view.locator("b").count() == 0


@pytest.mark.parametrize("question", [CHOICE, NUMBER], ids=["choice", "number"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_question_fits_a_telephone_and_a_finger(page, mount, question, theme):
    page.set_viewport_size({"width": 360, "height": 740})
    view = mount(question, theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for target in view.locator("label.lm-answer, input[type=text], button").all():
        assert target.bounding_box()["height"] >= 24
