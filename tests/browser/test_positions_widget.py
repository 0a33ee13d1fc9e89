"""The positions widget in a real browser: lmmath's numbers, by hand, by keyboard, with bad input."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from lmmath.positions import frequencies, rotary_embedding, sinusoidal_encoding
from lmmath.widgets import PositionsWidget

NUMBERS = np.random.default_rng(7)
COMPUTE = """
async (all) => {
  const { frequencies, sinusoidalEncoding, rotaryEmbedding, dotProducts } = await import("/positions.js");
  return all.map(({ p, d, base, x }) => [
    frequencies(d, base), sinusoidalEncoding(p, d, base), rotaryEmbedding(x, p, base), dotProducts(d, base),
  ]);
}
"""


def test_numbers_are_lmmaths(page, call):
    inputs = [
        {"p": p, "d": d, "base": base, "x": NUMBERS.normal(size=d).tolist()}
        for d in (2, 4, 16, 32, 64)
        for p, base in [(0, 10), (1, 1e4), (127, 1e6), (int(NUMBERS.integers(128)), NUMBERS.uniform(10, 1e5))]
    ]  # fmt: skip
    for given, found in zip(inputs, page.evaluate(COMPUTE, inputs), strict=True):
        p, d, base = given["p"], given["d"], given["base"]
        encodings = sinusoidal_encoding(128, d, base)
        expected = [
            frequencies(d, base),
            encodings[p],
            rotary_embedding(np.asarray([given["x"]]), np.asarray([p]), base)[0],
            encodings @ encodings[0],
        ]
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, 1e-12, 1e-12)


def positions(page):
    return page.evaluate("[model.get('p'), model.get('q')]")


def numbers(view):
    texts = view.locator(".lm-clocks li").all_text_contents()
    return [float(text.replace("−", "-")) for text in texts]


def shown(view):
    """What the words say: p, q, the dot product and the distance."""
    text = view.locator(".lm-status [aria-hidden]").text_content()
    return [float(n.replace("−", "-")) for n in re.findall(r"−?[\d.]+\d|\d+", text)]


def assert_shows(view, widget):
    cosines = np.sum(widget.hands[0] * widget.hands[1], axis=-1)
    np.testing.assert_allclose(numbers(view), cosines, atol=0.005001)
    p, q, product, distance = shown(view)
    assert (p, q, distance) == (widget.p, widget.q, abs(widget.p - widget.q))
    assert product == pytest.approx(widget.dot_product, rel=5e-3)


def test_everything_by_keyboard(page, mount):
    view = mount(PositionsWidget(p=20, q=40))
    assert_shows(view, PositionsWidget(p=20, q=40))
    before = numbers(view)
    for name, key, expected in [
        ("Both positions", "ArrowRight", [21, 41]),
        ("Both positions", "PageUp", [31, 51]),
        ("Both positions", "End", [107, 127]),
        ("Both positions", "Home", [0, 20]),
        ("Position p", "ArrowUp", [1, 20]),
        ("Both positions", "ArrowRight", [2, 21]),
        ("Both positions", "ArrowLeft", [1, 20]),
        ("Position q", "End", [1, 127]),
        ("Position q", "ArrowLeft", [1, 126]),
        ("Distance", "ArrowRight", [1, 127]),
        ("Distance", "ArrowRight", [0, 127]),
        ("Distance", "Home", [0, 0]),
        ("Position p", "End", [127, 0]),
        ("Distance", "PageDown", [127, 10]),
    ]:
        view.get_by_role("slider", name=name).focus()
        page.keyboard.press(key)
        assert positions(page) == expected, (name, key)
        if abs(expected[0] - expected[1]) == 20:
            assert numbers(view) == before
    page.keyboard.press("Shift+Tab")
    assert_shows(view, PositionsWidget(p=127, q=10))


def test_width_and_base(page, mount):
    view = mount(PositionsWidget())
    picture = view.locator(".lm-plot [role=img]")
    for d_model in (4, 8, 32, 16):
        view.get_by_role("radio", name=str(d_model), exact=True).check()
        assert_shows(view, PositionsWidget(d_model=d_model))
        assert f"The sines of {d_model // 2} pairs" in picture.first.get_attribute(
            "aria-label"
        )
    view.get_by_role("slider", name="Base").focus()
    for key, base in [("Home", 10), ("End", 1e6)]:
        page.keyboard.press(key)
        assert_shows(view, PositionsWidget(base=base))
    words = view.locator(".lm-status [aria-hidden]").text_content()
    assert words in picture.last.get_attribute("aria-label")
    expect(view.locator(".lm-status [role=status]")).to_have_text(words)


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_by_hand(page, mount, touch):
    page.set_viewport_size({"width": 360, "height": 800})
    view = mount(PositionsWidget(p=20, q=80))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    hand = page.context.new_cdp_session(page)
    unit = view.locator(".lm-plot > svg").first.bounding_box()["width"] / 320

    def drag(name, steps, wide):
        box = view.get_by_role("slider", name=name).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        to = x + steps * wide / 127 * unit
        if touch:
            for kind, at in [("touchStart", x), ("touchMove", to), ("touchEnd", None)]:
                points = [] if at is None else [{"x": at, "y": y}]
                hand.send(
                    "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
                )
        else:
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(to, y)
            page.mouse.up()
        return positions(page)

    assert drag("Position p", 10, 284) == [30, 80]
    assert drag("Position q", -20, 284) == [30, 60]
    before = numbers(view)
    assert drag("Both positions", 30, 284) == [60, 90]
    assert numbers(view) == before
    assert drag("Both positions", 300, 284) == [97, 127]
    assert numbers(view) == before
    assert drag("Distance", 15, 268) == [82, 127]
    assert page.evaluate("scrollY") == 0


def test_what_it_cannot_draw_leaves_it_working(page, mount):
    view = mount(PositionsWidget())
    for bad in ("NaN", "Infinity", "null", "'<b>8</b>'"):
        page.evaluate(f"for (const t of ['p', 'q', 'base']) model.set(t, {bad})")
        assert view.locator("b").count() == 0
    page.evaluate("model.set('p', 3); model.set('q', 90); model.set('base', 500)")
    assert_shows(view, PositionsWidget(p=3, q=90, base=500))
    page.evaluate("close()")
    assert page.evaluate("listeners.length") == 0
