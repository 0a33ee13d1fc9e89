"""The geometry widget: the numbers of its JavaScript, and how it answers to the hand."""

import re

import numpy as np
import pytest
from scipy import integrate

from lmmath.geometry import shell_fraction
from lmmath.widgets import GeometryWidget

RNG = np.random.default_rng(10)
COMPUTE = """
async (cases) => {
  const m = await import("/geometry.js");
  const degrees = Array.from({ length: 19 }, (_, i) => 10 * i);
  return cases.map(([n, r, margin]) => ({
    shell: m.shellShare(n, r),
    angles: m.angleShare(n, margin),
    radii: Object.entries(m.namedRadii(n)).map(([name, r]) => [name, r, m.shareInside(n, r)]),
    radiusDensity: m.radiusDensity(n, r),
    angleDensity: m.angleDensity(n, degrees),
  }));
}
"""


def close(actual, expected, **tolerance):
    np.testing.assert_allclose(actual, expected, **({"rtol": 1e-12, "atol": 1e-14} | tolerance))  # fmt: skip


def test_its_numbers_are_lmmaths(page, call):
    edges = [
        (n, r, m) for n in (1, 2, 3, 4, 1000) for r in (0, 0.5, 1) for m in (0, 90)
    ]
    random = zip(
        RNG.integers(1, 1001, 200),
        RNG.random(200),
        RNG.uniform(0, 90, 200),
        strict=True,
    )
    cases = edges + [(int(n), 1 - r**4, m) for n, r, m in random]
    found = page.evaluate(COMPUTE, cases)
    for (n, inner, margin), numbers in zip(cases, found, strict=True):
        widget = GeometryWidget(n=n, inner=inner, margin=margin)
        close(numbers["shell"], widget.shell_share, rtol=1e-12, atol=0)
        close(numbers["angles"], widget.angle_share)
        for name, radius, inside in numbers["radii"]:
            close([radius, inside], widget.radii[name])


def test_its_densities_are_those_of_the_shares(page, call):
    step = 1e-5
    for n in (2, 3, 10, 200):
        (numbers,) = page.evaluate(COMPUTE, [(n, 0.9, 10)])
        steeper = shell_fraction(n, 0.9 - step) - shell_fraction(n, 0.9 + step)
        close(numbers["radiusDensity"], steeper / (2 * step), rtol=1e-4)
        degrees = np.radians(np.arange(0, 181, 10))
        whole, _ = integrate.quad(lambda a, n=n: np.sin(a) ** (n - 2), 0, np.pi)
        close(numbers["angleDensity"], np.sin(degrees) ** (n - 2) / whole * np.pi / 180, rtol=1e-9)  # fmt: skip


def trait(page, name):
    return page.evaluate("(name) => model.get(name)", name)


def status(view):
    return view.locator(".lm-status > :first-child").inner_text()


def shares(view, name):
    rows = view.get_by_role("list", name=name).get_by_role("listitem")
    return [" ".join(text.split()) for text in rows.all_text_contents()]


def expected_shares(**traits):
    radii = GeometryWidget(**traits).radii.items()
    return [f"{name} {radius:.4f} {share:.1%}" for name, (radius, share) in radii]


def test_it_is_driven_by_keyboard(page, mount):
    view = mount(GeometryWidget())
    assert status(view) == (
        "In 3 dimensions, 27.1% of the volume lies beyond the radius 0.9, "
        "and 17.4% of all angles are within 10° of a right angle."
    )
    assert shares(view, "Share of the volume inside the radius") == expected_shares(n=3)

    dimensions = view.get_by_role("slider", name="Dimensions n")
    dimensions.focus()
    for key, n in [("End", 1000), ("Home", 1), ("ArrowRight", 2), ("ArrowRight", 3)]:
        page.keyboard.press(key)
        assert trait(page, "n") == n
    page.keyboard.press("Tab")
    page.keyboard.type("100")
    page.keyboard.press("Enter")
    assert trait(page, "n") == 100
    assert shares(view, "Share of the volume inside the radius") == expected_shares(n=100)  # fmt: skip

    knob = view.get_by_role("slider", name="Inner radius")
    knob.focus()
    page.keyboard.press("ArrowRight")
    assert trait(page, "inner") == 0.91
    page.keyboard.press("Tab")
    page.keyboard.press("PageUp")
    assert trait(page, "margin") == 20
    assert "over 99.9% of the volume" in status(view)

    view.get_by_role("checkbox", name="magnify").focus()
    page.keyboard.press("Space")
    knob.focus()
    page.keyboard.press("Home")  # the plot now begins at 1 - 5 / n
    assert trait(page, "inner") == 0.95
    for _ in range(4):
        page.keyboard.press("PageUp")
    assert trait(page, "inner") == 0.97
    assert knob.get_attribute("aria-valuetext") == "0.97, 95.2% of the volume beyond"
    name = view.locator("[role=img]").first.get_attribute("aria-label")
    assert name.endswith("Shaded is the shell beyond 0.97, with 95.2% of the volume.")


def test_in_one_dimension_there_are_two_directions(page, mount):
    view = mount(GeometryWidget(n=1, inner=0, margin=90))
    assert "100% of the volume" in status(view)
    assert view.get_by_text("half of all pairs").count() == 2
    assert shares(view, "Share of the angles within") == [f"90° ± {m}° 0.0%" for m in (1, 3, 10, 30)]  # fmt: skip
    page.evaluate("model.set('n', 2)")
    assert view.locator("text:visible", has_text="half of all pairs").count() == 0
    page.evaluate("model.set('inner', 1)")
    assert " 0% of the volume" in status(view)


def test_it_is_driven_by_touch_on_a_telephone(page, mount):
    page.set_viewport_size({"width": 360, "height": 740})
    view = mount(GeometryWidget())
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    touch = lambda kind, *points: finger.send(  # noqa: E731
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [*points]}
    )
    for name, moved, expected in [
        ("Inner radius", "inner", 0.9 - 60 / 258),
        ("Margin", "margin", 10 - 180 * 60 / 258),
    ]:
        knob = view.get_by_role("slider", name=name)
        knob.scroll_into_view_if_needed()
        box = knob.bounding_box()
        assert min(box["width"], box["height"]) >= 24
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        unit = view.locator(".lm-plot > svg").first.bounding_box()["width"] / 320
        touch("touchStart", {"x": x, "y": y})
        for i in range(1, 7):
            touch("touchMove", {"x": x - 10 * i * unit, "y": y + 3 * i})
        touch("touchEnd")
        found = trait(page, moved)
        assert found == pytest.approx(max(0, expected), abs=0.006)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_number_that_it_cannot_take_is_refused_in_words(page, mount):
    view = mount(GeometryWidget())
    field = view.get_by_label("n exactly")
    for typed in ["", "NaN", "0", "-3", "2.5", "1e9", "<b>7</b>", "7" * 10_000]:
        field.fill(typed)
        field.press("Enter")
        assert trait(page, "n") == 3
        assert view.get_by_text("Type a whole number from 1 to 1,000.").is_visible()
    assert view.locator("b").count() == 0
    field.fill("768")
    field.press("Enter")
    assert re.match("In 768 dimensions", status(view))
