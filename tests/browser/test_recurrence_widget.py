"""The recurrence widget in a real browser: lmmath's numbers, by hand, by keyboard, with bad input."""

import numpy as np
import pytest
from playwright.sync_api import expect

from lmmath.widgets import RecurrenceWidget

NUMBERS = np.random.default_rng(6)
# What is computed for each of several sets of traits, the last of which stay.
COMPUTE = """
async (all) => {
  const { compute } = await import("/recurrence.js");
  return all.map((traits) => {
    for (const name in traits) model.set(name, traits[name]);
    return compute(model);
  });
}
"""


def networks(n, d, size=1.0):
    return RecurrenceWidget(
        inputs=NUMBERS.normal(size=(n, d)),
        weights=size * NUMBERS.normal(size=(2, d, d)) / np.sqrt(d),
        lstm_weights=size * NUMBERS.normal(size=(2, d, 4 * d)) / np.sqrt(d),
    )


def set_traits(page, widget, **traits):
    for name, value in traits.items():
        setattr(widget, name, value)
    page.evaluate(
        "(traits) => { for (const t in traits) model.set(t, traits[t]); }", traits
    )


def trait(page, name):
    return page.evaluate("(name) => model.get(name)", name)


def close(actual, expected, rtol=1e-12):
    np.testing.assert_allclose(np.asarray(actual, float), expected, rtol)


def assert_shows_lmmaths_numbers(page, widget, *changes):
    changes = changes or [{}]
    for traits, state in zip(changes, page.evaluate(COMPUTE, changes), strict=True):
        for name, value in traits.items():
            setattr(widget, name, value)
        close(state["bound"], widget.bound)
        close(state["alongCell"], widget.along_cell)
        norms = widget.norms
        assert state["norms"].keys() == norms.keys()
        for name, expected in norms.items():
            # Where a small change becomes large, so does the rounding of the states.
            close(state["norms"][name], expected, 1e-12 * max(1, expected.max() ** 2))


def test_numbers_are_lmmaths(page, mount):
    changes = [
        {"activation": activation, "sigma_max": sigma, "lstm": sigma < 2, "forget_bias": 2 * sigma / 3}
        for activation in ("tanh", "sigmoid", "none")
        for sigma in (0.25, 1.1, 8)
    ]  # fmt: skip
    for widget in (
        RecurrenceWidget(), networks(30, 7), networks(1, 1), networks(20, 5, size=0),
        networks(100, 2, size=0.3),
    ):  # fmt: skip
        mount(widget)
        assert_shows_lmmaths_numbers(page, widget, *changes)


def test_the_largest_singular_value_by_keyboard(page, mount):
    view = mount(RecurrenceWidget(sigma_max=1))
    slider = view.get_by_role("slider", name="Largest singular value")
    end = view.get_by_role("slider", name="End of the bound")
    for control in (slider, end):
        for key, low, high in [
            ("Home", 0.25, 0.25), ("PageUp", 0.26, 0.4), ("End", 8, 8), ("ArrowUp", 8, 8),
            ("ArrowDown", 7.8, 7.95), ("PageDown", 5, 7.5),
        ]:  # fmt: skip
            control.focus()
            page.keyboard.press(key)
            assert low <= trait(page, "sigma_max") <= high, key
    set_traits(page, RecurrenceWidget(), activation="sigmoid", sigma_max=4)
    assert end.get_attribute("aria-valuetext") == "σₘₐₓ 4, bound 1"
    end.focus()
    for key in ["ArrowUp", "ArrowUp", "ArrowDown"]:
        page.keyboard.press(key)
    assert 4 < trait(page, "sigma_max") < 4.1


def test_activation_and_words(page, mount):
    widget = RecurrenceWidget()
    view = mount(widget)
    words = view.locator(".lm-status [aria-hidden]")
    expect(words).to_contain_text("γσₘₐₓ = 1.5: the gradient may grow or vanish.")
    expect(words).to_contain_text("1 with the orthogonal W; the bound is 6.4·10⁸.")
    view.get_by_role("radio", name="sigmoid").check()
    expect(words).to_contain_text("γσₘₐₓ = 0.375: the gradient must vanish.")
    view.get_by_role("radio", name="none").check()
    set_traits(page, widget, sigma_max=1)
    expect(words).to_contain_text("γσₘₐₓ = 1: the gradient cannot grow.")
    expect(view.locator(".lm-status [role=status]")).to_have_text(words.text_content())
    picture = view.locator(".lm-plot [role=img]")
    assert picture.get_attribute("aria-label") == words.text_content()


def test_the_lstm_comes_with_its_controls(page, mount):
    widget = RecurrenceWidget()
    view = mount(widget)
    end = view.get_by_role("slider", name="End of the cell’s line")
    bias = view.get_by_role("slider", name="Forget bias", exact=True)
    key = view.locator(".lm-legend li:visible")
    expect(bias).to_be_hidden()
    expect(end).to_be_hidden()
    assert key.all_inner_texts() == ["random W", "orthogonal W", "bound (γσₘₐₓ)ᵏ"]
    set_traits(page, widget, lstm=True)
    assert key.count() == 5
    expect(view.locator(".lm-status [aria-hidden]")).to_contain_text(
        "in the LSTM 0.00028, where fᵏ is 1.6·10⁻⁷"
    )
    for control, key in [(end, "ArrowUp"), (bias, "ArrowUp"), (end, "ArrowDown")]:
        before = trait(page, "forget_bias")
        control.focus()
        page.keyboard.press(key)
        assert (trait(page, "forget_bias") > before) == (key == "ArrowUp")
    for key, value in [("Home", 0), ("End", 6)]:
        end.focus()
        page.keyboard.press(key)
        assert trait(page, "forget_bias") == value
    widget.forget_bias = trait(page, "forget_bias")
    assert_shows_lmmaths_numbers(page, widget)


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_the_ends_of_the_lines_by_hand(page, mount, touch):
    page.set_viewport_size({"width": 360, "height": 800})
    view = mount(RecurrenceWidget(sigma_max=1, lstm=True, forget_bias=0.5))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    hand = page.context.new_cdp_session(page)
    unit = view.locator(".lm-plot > svg").bounding_box()["width"] / 320
    decades = 30 / ((260 - 24 - 40) * unit)  # of a pixel

    def drag(end, up):
        box = end.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        if touch:
            for kind, at in [
                ("touchStart", y),
                ("touchMove", y - up),
                ("touchEnd", None),
            ]:
                points = [] if at is None else [{"x": x, "y": at}]
                hand.send(
                    "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
                )
        else:
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x, y - up)
            page.mouse.up()

    drag(view.get_by_role("slider", name="End of the bound"), 40)
    expected = 10 ** (40 * decades / 50)
    assert trait(page, "sigma_max") == pytest.approx(expected, rel=0.02)
    drag(view.get_by_role("slider", name="End of the cell’s line"), 50)
    f = 1 / (1 + np.exp(-0.5)) * 10 ** (50 * decades / 50)
    assert trait(page, "forget_bias") == pytest.approx(np.log(f / (1 - f)), abs=0.1)
    assert page.evaluate("scrollY") == 0


def test_what_it_cannot_draw_leaves_it_working(page, mount):
    widget = RecurrenceWidget(lstm=True)
    view = mount(widget)
    words = view.locator(".lm-status [aria-hidden]")
    for bad in ("NaN", "Infinity", "null", "'<b>8</b>'"):
        page.evaluate(f"model.set('sigma_max', {bad}); model.set('forget_bias', {bad})")
        assert view.locator("b").count() == 0
    set_traits(page, widget, sigma_max=0.5, forget_bias=3)
    expect(words).to_contain_text("γσₘₐₓ = 0.5: the gradient must vanish.")
    assert_shows_lmmaths_numbers(page, widget)
    page.evaluate("model.set('inputs', { ...model.get('inputs'), shape: [25, 16] })")
    expect(words).to_contain_text("After 25 steps back")
    page.evaluate("close()")
    assert page.evaluate("listeners.length") == 0
