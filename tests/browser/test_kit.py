"""The pieces of which widgets are made, in a real browser: controls, words, plots, bars."""

import math

import numpy as np
import pytest
import traitlets
from matplotlib.ticker import MaxNLocator

from lmmath.widgets.kit.base import Finite, Widget, with_imports

DEMO = """
import { bars } from "./kit/bars.js";
import { plot } from "./kit/plot.js";
import * as kit from "./kit/shared.js";

function render({ model, el, signal }) {
  const { slider, fill, watch, setTrait } = kit;
  const words = kit.status(signal);
  const curve = plot({
    label: "A decay",
    x: { label: "time", from: 0, to: 10 },
    y: { label: "left", from: 1e-3, to: 1, scale: "log" },
  });
  const [exact, seen] = [curve.line({ label: "exact" }), curve.points({ label: "seen" })];
  const band = curve.area({ label: "between" });
  const half = curve.vertical();
  const knob = curve.handle({
    label: "Half-life",
    x: { min: 0.5, step: 0.5 },
    move: ({ x }) => setTrait(model, "half_life", x),
  });
  const map = plot({ label: "A plane", x: { from: -1, to: 1 }, y: { from: -1, to: 1 }, height: 200 });
  const point = map.handle({
    label: "Point",
    x: {},
    y: {},
    color: "green",
    move: ({ x, y }) => { setTrait(model, "px", x); setTrait(model, "py", y); },
  });
  const counts = plot({ label: "Counts", x: { from: 0, to: 4 }, y: { from: 0, to: 10 } });
  const boxes = counts.bars({ label: "counts", width: 0.5 });
  const limit = counts.horizontal();
  const names = counts.captions();
  const list = bars({ label: "Next word", series: ["model", "truth"] });
  fill(
    el,
    signal,
    kit.element("div", { className: "lm-controls" },
      slider(model, "half_life", { label: "Half-life", min: 0.5, max: 10, step: 0.5, unit: " s" }, signal),
      slider(model, "rate", { label: "Rate", min: 1e-4, max: 1, scale: "log" }, signal),
      slider(model, "size", { label: "Size", min: 1, max: 512, step: 1.3, scale: "log", whole: true }, signal),
      kit.numberField(model, "rate", { label: "Rate exactly", min: 0, max: 1 }, signal),
      kit.options(model, "norm", [{ value: "l1", label: "ℓ₁" }, { value: "l2", label: "ℓ₂" }], "Norm", signal),
      kit.button("Reset", () => setTrait(model, "half_life", 2)),
    ),
    words.element, kit.element("div", { className: "lm-plots" }, curve.element, map.element, counts.element), list.element,
  );
  const xs = Array.from({ length: 200 }, (_, i) => i / 20);
  const update = () => {
    const life = model.get("half_life");
    const decay = (x) => 2 ** (-x / life);
    exact.draw(xs, xs.map(decay));
    seen.draw([1, 3, 5], [1, 3, 5].map(decay));
    band.draw(xs, xs.map((x) => 0.5 * decay(x)), xs.map(decay));
    half.draw(life, `${life} s`);
    knob.draw(life, 0.5);
    point.draw(model.get("px"), model.get("py"));
    boxes.draw([1, 2, 3], [2, 9, NaN]);
    limit.draw(6, "limit");
    names.draw([1, 2, 9], [2, NaN, 9], ["one", "nowhere", "outside"]);
    list.draw([{ label: "mouse", values: [life / 10, 0.5] }, { label: "owl", values: [0, NaN], note: "cut" }]);
    words.say(`Half is left after ${life} s.`);
    curve.describe(`It falls to a half after ${life} s.`);
  };
  watch(model, ["half_life", "px", "py"], update, signal);
  Object.assign(window, { kit, curve, exact, update });
}
export default { render };
"""

NUMBERS = np.random.default_rng(5)


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual, float), expected, 1e-12, 1e-12)


class Demo(Widget):
    _esm = with_imports(DEMO)

    half_life = Finite(2.0, min=0.5, max=10)
    rate = Finite(0.01)
    size = traitlets.Int(8).tag(sync=True)
    norm = traitlets.Unicode("l2").tag(sync=True)
    px = Finite()
    py = Finite()


@pytest.fixture
def view(mount):
    return mount(Demo())


def trait(page, name):
    return page.evaluate("(name) => model.get(name)", name)


def set_trait(page, name, value):
    page.evaluate("([name, value]) => model.set(name, value)", [name, value])


# Numbers


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ({"min": 0, "max": 1, "step": 0.1}, [i / 10 for i in range(11)]),
        ({"min": -1, "max": 1, "step": 0.5}, [-1, -0.5, 0, 0.5, 1]),
        ({"min": 0, "max": 5}, [i / 20 for i in range(101)]),
        ({"min": 1, "max": 4, "whole": True}, [1, 2, 3, 4]),
        ({"min": 1e-3, "max": 1e3, "step": 10, "scale": "log"}, [10.0**i for i in range(-3, 4)]),
        ({"min": 1, "max": 20, "step": 1.5, "scale": "log", "whole": True}, [1, 2, 4, 5, 8, 12, 20]),
    ],
)  # fmt: skip
def test_steps_are_round_numbers(call, scale, expected):
    found = call("kit/shared.js", "steps", scale)
    if not (scale.get("whole") and scale.get("scale") == "log"):
        assert found == expected
    assert found == sorted({*found})
    assert (found[0], found[-1]) == (scale["min"], scale["max"])


@pytest.mark.parametrize(("low", "high"), [(1e-4, 1), (0.0123456, 7.7), (1, 1.1)])
def test_steps_of_a_logarithmic_scale_multiply(call, low, high):
    found = call("kit/shared.js", "steps", {"min": low, "max": high, "scale": "log"})
    assert len(found) == 101
    assert np.all(np.diff(found) > 0)
    np.testing.assert_allclose(found, np.geomspace(low, high, 101), rtol=5e-3)


@pytest.mark.parametrize("n", [2, 3, 100])
def test_spaces_are_numpys(call, n):
    for low, high in NUMBERS.uniform(0.01, 100, (20, 2)):
        close(
            call("engines/mathematics.js", "linspace", low, high, n),
            np.linspace(low, high, n),
        )
        close(call("engines/mathematics.js", "geomspace", low, high, n), np.geomspace(low, high, n))  # fmt: skip


@pytest.mark.parametrize(
    ("value", "scale", "index"),
    [
        (2.4, None, 1),
        (4.4, None, 1),
        (4.4, "log", 2),
        (1e9, None, 2),
        (-5, "log", 0),
        (0, "log", 0),
        (math.inf, "log", 2),
        (-math.inf, None, 0),
        (math.nan, None, 0),
        (None, "log", 0),
    ],
)
def test_any_value_has_a_nearest_stop(call, value, scale, index):
    assert call("kit/shared.js", "nearest", [1, 2, 8], value, scale) == index


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"), (-0.0, "0"), (0.05321, "0.0532"), (1024, "1,024"), (1234.5, "1,235"),
        (-3, "−3"), (6.022e23, "6.02·10²³"), (1e-5, "10⁻⁵"), (-2e-7, "−2·10⁻⁷"),
        (1e7, "10⁷"), (9_999_999, "9,999,999"), (0.1 + 0.2, "0.3"),
        (math.nan, "NaN"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(call, value, words):
    assert call("kit/shared.js", "formatNumber", value) == words


@pytest.mark.parametrize("count", [4, 5, 8])
def test_ticks_are_matplotlibs(page, call, count):
    ranges = [(0, 1), (-1, 1), (0, 10), (0.1, 0.7), (-3.2e-5, 1e-6), (1e6, 1e6 + 3)]
    scales = 10.0 ** NUMBERS.integers(-6, 9, 300)
    ranges += [
        (a * s, (a + b) * s)
        for a, b, s in zip(
            NUMBERS.normal(size=300), NUMBERS.uniform(0.01, 9, 300), scales, strict=True
        )
    ]
    script = "async ([r, n]) => { const { ticks } = await import('/kit/plot.js'); return r.map(([a, b]) => ticks(a, b, n)); }"
    for (low, high), found in zip(ranges, page.evaluate(script, [ranges, count]), strict=True):  # fmt: skip
        locator = MaxNLocator(nbins=count, steps=[1, 2, 5, 10], min_n_ticks=1)
        edge = 1e-9 * (high - low)
        expected = [
            tick for tick in locator.tick_values(low, high)
            if low - edge <= tick <= high + edge
        ]  # fmt: skip
        np.testing.assert_allclose(
            found, expected, rtol=1e-12, atol=1e-12 * (high - low)
        )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e-3, 1, [1e-3, 1e-2, 1e-1, 1]),
        (1, 100, [1, 2, 5, 10, 20, 50, 100]),
        (0.5, 300, [1, 3, 10, 30, 100, 300]),
        (1e-9, 1e9, [1e-8, 1e-4, 1, 1e4, 1e8]),
        (2, 9, [2, 4, 6, 8]),
    ],
)
def test_ticks_of_a_logarithmic_axis(call, low, high, expected):
    assert call("kit/plot.js", "logTicks", low, high) == expected


# Controls


def test_a_slider_by_keyboard(page, view):
    slider = view.get_by_role("slider", name="Half-life").first
    slider.focus()
    for key, value in [
        ("ArrowRight", 2.5),
        ("ArrowUp", 3),
        ("ArrowLeft", 2.5),
        ("End", 10),
        ("ArrowRight", 10),
        ("PageDown", 9),
        ("Home", 0.5),
    ]:
        page.keyboard.press(key)
        assert trait(page, "half_life") == value
    assert slider.get_attribute("aria-valuetext") == "0.5 s"
    assert view.locator(".lm-value").first.inner_text() == "0.5 s"


def test_a_logarithmic_slider_steps_by_factors_and_comes_back(page, view):
    slider = view.get_by_role("slider", name="Rate")
    slider.focus()
    stops = page.evaluate("kit.steps({ min: 1e-4, max: 1, scale: 'log' })")
    for i in (0, 1, 37, 99):
        set_trait(page, "rate", stops[i])
        assert slider.input_value() == str(i)
        page.keyboard.press("ArrowRight")
        assert trait(page, "rate") == stops[i + 1]
        page.keyboard.press("ArrowLeft")
        assert trait(page, "rate") == stops[i]
    page.keyboard.press("End")
    assert trait(page, "rate") == 1


def test_no_key_is_in_vain_on_a_logarithmic_slider_of_whole_numbers(page, view):
    view.get_by_role("slider", name="Size").focus()
    page.keyboard.press("Home")
    sizes = [trait(page, "size")]
    while sizes[-1] < 512:
        page.keyboard.press("ArrowRight")
        assert trait(page, "size") > sizes[-1]
        sizes.append(trait(page, "size"))
    assert all(isinstance(size, int) for size in sizes)
    assert sizes[:3] == [1, 2, 3]


@pytest.mark.parametrize(
    ("value", "words", "index"),
    [("4.26", "4.26 s", 8), ("99", "99 s", 19), ("-7", "−7 s", 0), ("NaN", "not a number", 0),
     ("null", "not a number", 0), ("Infinity", "not a number", 19)],
)  # fmt: skip
def test_a_slider_shows_any_value_that_comes_from_outside(page, view, value, words, index):  # fmt: skip
    page.evaluate(
        f"model.set('half_life', 7); model.on('change:half_life', () => {{}}); model.set('half_life', {value})"
    )
    slider = view.get_by_role("slider", name="Half-life").first
    assert slider.get_attribute("aria-valuetext") == words
    assert slider.input_value() == str(index)
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert trait(page, "half_life") == 1


def test_a_number_field_takes_numbers_and_names_what_it_does_not_take(page, view):
    field = view.get_by_label("Rate exactly")
    note = view.locator(".lm-field .lm-note")
    for text, value in [("0,25", 0.25), ("1/8", 0.125), ("5 %", 0.05), ("3e-3", 0.003)]:
        field.fill(text)
        field.press("Enter")
        assert trait(page, "rate") == value
        assert note.text_content() == ""
    for text in ["abc", "", "2", "−1", "NaN", "<b>1</b>", "9" * 10_000]:
        field.fill(text)
        field.press("Enter")
        assert trait(page, "rate") == 0.003
        assert note.text_content() == "Type a number from 0 to 1."
        assert field.get_attribute("aria-invalid") == "true"
    set_trait(page, "rate", 0.5)
    assert field.input_value() == "0.5"
    assert note.text_content() == ""
    set_trait(page, "rate", -2)
    assert field.input_value() == "−2"


def test_options_follow_and_set_any_kind_of_value(page, view):
    view.get_by_role("radio", name="ℓ₁").check()
    assert trait(page, "norm") == "l1"
    set_trait(page, "norm", "l2")
    assert view.get_by_role("radio", name="ℓ₂").is_checked()
    set_trait(page, "norm", "something else")
    assert view.get_by_role("radio", checked=True).count() == 0
    assert view.get_by_role("group", name="Norm").count() == 1


def test_a_button_is_pressed_by_hand_and_by_key(page, view):
    set_trait(page, "half_life", 5)
    view.get_by_role("button", name="Reset").click()
    assert trait(page, "half_life") == 2
    set_trait(page, "half_life", 5)
    page.keyboard.press("Space")
    assert trait(page, "half_life") == 2


# Words and movement


def test_a_screen_reader_hears_once_of_many_changes(page, view):
    spoken = view.locator(".lm-status [role=status]")
    assert spoken.text_content() == "Half is left after 2 s."
    page.evaluate("""
        window.said = [];
        const live = document.querySelector(".lm-status [role=status]");
        new MutationObserver(() => said.push(live.textContent)).observe(live, { childList: true });
        for (let i = 1; i <= 9; i++) model.set("half_life", i);
    """)
    assert view.locator(".lm-status > :first-child").inner_text() == "Half is left after 9 s."  # fmt: skip
    assert page.evaluate("said") == []
    page.wait_for_function("said.length > 0")
    assert page.evaluate("said") == ["Half is left after 9 s."]


ANIMATE = """
async ({ frames, end }) => {
  const { animate } = kit;
  const view = new AbortController();
  const steps = [];
  await new Promise((resolve) => {
    const stop = animate((seconds) => {
      steps.push(seconds);
      if (steps.length === frames) {
        if (end === "return") return false;
        if (end === "stop") stop();
        if (end === "abort") view.abort();
        if (end === "hide") {
          Object.defineProperty(document, "hidden", { value: true, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }
      }
    }, view.signal, () => resolve());
    setTimeout(resolve, 5000); // a defect must not hang the tests
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  return steps;
}
"""


@pytest.mark.parametrize("end", ["return", "stop", "abort", "hide"])
def test_an_animation_ends(page, view, end):
    steps = page.evaluate(ANIMATE, {"frames": 4, "end": end})
    assert len(steps) == 4
    assert steps[0] == 0
    assert all(0 <= seconds <= 0.1 for seconds in steps)


def test_who_wants_no_motion_gets_the_end_at_once(page, view):
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(ANIMATE, {"frames": 4, "end": "return"}) == [math.inf]


# Plots


def test_a_plot_is_a_picture_with_words_that_follow(page, view):
    picture = view.locator(".lm-plot [role=img]").first
    assert picture.get_attribute("aria-label") == "It falls to a half after 2 s."
    set_trait(page, "half_life", 4)
    assert picture.get_attribute("aria-label") == "It falls to a half after 4 s."
    assert view.locator(".lm-plot").first.locator("li").all_inner_texts() == [
        "exact",
        "seen",
        "between",
    ]


def test_a_curve_goes_where_the_numbers_say(page, view):
    path = page.evaluate("""async () => {
        exact.draw([0, 1, 2, 3, 4, 5], [1, 0.1, NaN, 0.01, 0, -1]);
        await null; // what is drawn in one go is shown at its end
        return document.querySelector(".lm-plot > svg .lm-line").getAttribute("d");
    }""")
    # The area is 258 units wide and 156 high, for x from 0 to 10 and y from 1e-3 to 1.
    assert path == f"M0 0L25.8 52M77.4 104L{4 * 25.8:g} 10000"


def test_words_stand_where_their_points_are(page, view):
    counts = view.locator(".lm-plot").nth(2)
    assert counts.get_by_text("nowhere").count() == 0
    assert counts.get_by_text("outside").count() == 0
    # A quarter of the 258 units from the left, and a fifth of the 188 from below.
    place = "e => [e.getAttribute('x'), e.getAttribute('y')].map(Number)"
    assert counts.get_by_text("one").evaluate(place) == pytest.approx(
        [258 / 4 + 7, 0.8 * 188 + 4]
    )


def test_other_axes_move_everything(page, view):
    before = view.locator(".lm-plot > svg .lm-line").first.get_attribute("d")
    page.evaluate("curve.axes({ x: { to: 20 } })")
    after = view.locator(".lm-plot > svg .lm-line").first.get_attribute("d")
    last = [float(d.split("L")[-1].split(" ")[0]) for d in (before, after)]
    assert last[0] == pytest.approx(2 * last[1], abs=0.02)
    assert "15" in view.locator(".lm-plot").first.locator("text").all_text_contents()
    error = "(() => { try { curve.axes({ y: { to: NaN } }); } catch (e) { return e.message; } })()"
    assert page.evaluate(error) == "axis y must go up from a number to a number, got 0.001 to NaN"  # fmt: skip


def test_a_canvas_fills_the_area_of_its_plot(page, view):
    canvas = page.evaluate_handle("curve.canvas()").as_element().bounding_box()
    area = view.locator(".lm-axes").first.evaluate("""(axes) => {
        const { width, height } = axes.getBBox();
        const { a, e, f } = axes.getScreenCTM();
        return { x: e, y: f, width: a * width, height: a * height };
    }""")
    assert canvas == {side: pytest.approx(area[side], abs=0.5) for side in area}


def test_a_plot_is_legible_on_a_telephone(page, mount):
    page.set_viewport_size({"width": 360, "height": 740})
    view = mount(Demo())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for text in view.locator(".lm-plot text").all():
        if text.text_content():
            assert text.bounding_box()["height"] >= 12
    for handle in view.locator(".lm-handle").all():
        box = handle.bounding_box()
        assert min(box["width"], box["height"]) >= 24
        assert handle.evaluate("e => getComputedStyle(e).touchAction") == "none"


def test_a_handle_by_keyboard(page, view):
    knob = view.locator("svg").get_by_role("slider", name="Half-life")
    knob.focus()
    for key, value in [
        ("ArrowRight", 2.5),
        ("ArrowUp", 3),
        ("ArrowDown", 2.5),
        ("PageUp", 7.5),
        ("Home", 0.5),
        ("End", 10),
        ("ArrowRight", 10),
    ]:
        page.keyboard.press(key)
        assert trait(page, "half_life") == value
    assert knob.get_attribute("aria-valuenow") == "10"
    assert knob.get_attribute("aria-valuetext") == "time 10"
    point = view.get_by_role("slider", name="Point")
    point.focus()
    for key in ["ArrowRight", "ArrowUp", "ArrowUp", "PageDown"]:
        page.keyboard.press(key)
    assert (trait(page, "px"), trait(page, "py")) == (0.02, -0.16)
    assert point.get_attribute("aria-valuetext") == "x 0.02, y −0.16"


def middle(locator):
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_handle_by_mouse(page, view):
    point = view.get_by_role("slider", name="Point")
    point.scroll_into_view_if_needed()
    x, y = middle(point)
    unit = view.locator(".lm-plot > svg").nth(1).bounding_box()["width"] / 320
    page.mouse.move(x + 5, y + 5)  # not in its middle: it must not jump
    page.mouse.down()
    page.mouse.move(x + 5 + 258 / 4 * unit, y + 5)
    assert trait(page, "px") == pytest.approx(0.5, abs=0.011)
    assert trait(page, "py") == 0
    page.mouse.move(x + 3000, y - 3000)
    assert (trait(page, "px"), trait(page, "py")) == (1, 1)
    page.mouse.up()
    page.mouse.move(x, y)
    assert (trait(page, "px"), trait(page, "py")) == (1, 1)
    assert point.evaluate("e => e === document.activeElement")


def test_a_handle_by_touch(page, view):
    knob = view.locator("svg").get_by_role("slider", name="Half-life")
    knob.scroll_into_view_if_needed()
    x, y = middle(knob)
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    touch = lambda kind, *points: finger.send(  # noqa: E731
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [*points]}
    )
    touch("touchStart", {"x": x, "y": y})
    for i in range(1, 11):
        touch("touchMove", {"x": x + 10 * i, "y": y + 4 * i})
    touch("touchEnd")
    unit = view.locator(".lm-plot > svg").first.bounding_box()["width"] / 320
    expected = 2 + 100 / (25.8 * unit)
    assert trait(page, "half_life") == pytest.approx(expected, abs=0.26)


def test_a_handle_without_a_place_is_hidden_until_it_has_one(page, view):
    point = view.get_by_role("slider", name="Point")
    page.evaluate("model.set('px', NaN)")
    assert not point.is_visible()
    page.evaluate("model.set('px', 50)")  # outside: at the edge, where it can be taken
    assert point.is_visible()
    point.focus()
    page.keyboard.press("ArrowLeft")
    assert trait(page, "px") == 0.98


def test_bars_are_a_list_with_numbers(page, view):
    rows = view.get_by_role("list", name="Next word").get_by_role("listitem")
    texts = [" ".join(text.split()) for text in rows.all_text_contents()]
    assert texts == ["mouse model 0.20 truth 0.50", "owl cut model 0.00 truth –"]
    bar = rows.first.locator(".lm-meter").first
    full = bar.bounding_box()["width"]
    painted = bar.evaluate("e => parseFloat(getComputedStyle(e, '::before').width)")
    assert painted == pytest.approx(0.2 * full, abs=0.5)


# All of it


def test_nothing_is_left_of_a_view_that_is_gone(page, view):
    page.evaluate("model.set('half_life', 3)")  # an announcement waits
    assert page.evaluate("listeners.length") > 0
    spoken = view.locator(".lm-status [role=status]")
    page.evaluate("close()")
    assert page.evaluate("listeners.length") == 0
    page.wait_for_timeout(900)
    assert spoken.text_content() == "Half is left after 2 s."
    assert page.evaluate("kit.animate(() => true, AbortSignal.abort()) instanceof Function")  # fmt: skip


@pytest.mark.parametrize(
    ("theme", "pages"),
    [("light", ["#ffffff"]), ("dark", ["#14181e", "#111111", "#1e1e1e"])],
)
def test_colours_stand_out_from_the_page(page, mount, theme, pages):
    mount(Demo(), theme)

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    for name in ["blue", "vermilion", "green", "purple"]:
        script = "(n) => getComputedStyle(document.querySelector('.lm-widget')).getPropertyValue(`--lm-${n}`).trim()"
        colour = luminance(page.evaluate(script, name))
        for background in map(luminance, pages):
            low, high = sorted([colour, background])
            assert (high + 0.05) / (low + 0.05) >= 3, name
