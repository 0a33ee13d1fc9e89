"""The race of optimizers: its numbers are lmmath's, and it answers to hand and key."""

import contourpy
import numpy as np
import pytest
from array_api_compat import array_namespace

from lmmath.autodiff import Tensor
from lmmath.training import adamw_init, adamw_update, sgd_update
from lmmath.widgets import TrainingWidget
from lmmath.widgets.training import N_STEPS, SURFACES

NUMBERS = np.random.default_rng(6)
RUNNERS = {
    "gradient_descent": "gradient descent",
    "momentum": "momentum",
    "adam": "Adam",
    "adam_uncorrected": "Adam without bias correction",
}


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual, float), expected, 1e-12, 1e-12)


# Numbers


UPDATE = """
async ([name, cases]) => {
  const update = (await import("/engines/optimizers.js"))[name];
  return cases.map(({ theta, gradients, options }) => {
    let memory;
    return gradients.map((gradient) => {
      [theta, memory] = update(theta, gradient, memory, options);
      return theta;
    });
  });
}
"""


def cases(options):
    """Three hundred steps with gradients of very different sizes, for each of the options."""
    return [
        {
            "theta": NUMBERS.normal(size=3).tolist(),
            "gradients": (
                NUMBERS.normal(size=(300, 3)) * 10.0 ** NUMBERS.integers(-6, 3, 3)
            ).tolist(),
            "options": one,
        }
        for one in options
    ]


def test_sgd_is_lmmaths(page, call):
    given = cases([{"rate": 0.1}, *(
        {"rate": rate, "momentum": momentum}
        for rate, momentum in [(0, 0.5), (1e-3, 0), (0.5, 0.5), (0.02, 0.99)]
    )])  # fmt: skip
    found = page.evaluate(UPDATE, ["sgdUpdate", given])
    for case, path in zip(given, found, strict=True):
        theta, velocity, expected = {"w": np.asarray(case["theta"])}, None, []
        rate, momentum = (case["options"].get(key, 0) for key in ("rate", "momentum"))
        for gradient in np.asarray(case["gradients"]):
            theta, velocity = sgd_update(
                theta, {"w": gradient}, velocity, rate, momentum
            )
            expected.append(theta["w"])
        close(path, expected)


def test_adamw_is_lmmaths(page, call):
    given = cases([
        {"rate": 0.01},
        {"rate": 0.01, "eps": 1e-3, "weightDecay": 0.1},
        *(
            {"rate": 0.1, "beta1": beta1, "beta2": beta2, "weightDecay": decay, "biasCorrection": corrected}
            for beta1, beta2, decay in [(0.9, 0.999, 0), (0, 0.95, 0.3), (0.99, 0, 0.01), (0.5, 0.9999, 0)]
            for corrected in (True, False)
        ),
    ])  # fmt: skip
    names = {
        "eps": "eps",
        "weightDecay": "weight_decay",
        "biasCorrection": "bias_correction",
    }
    found = page.evaluate(UPDATE, ["adamwUpdate", given])
    for case, path in zip(given, found, strict=True):
        theta, expected, options = {"w": np.asarray(case["theta"])}, [], case["options"]
        state = adamw_init(theta)
        betas = options.get("beta1", 0.9), options.get("beta2", 0.999)
        others = {names[key]: options[key] for key in options if key in names}
        for gradient in np.asarray(case["gradients"]):
            theta, state = adamw_update(
                theta, {"w": gradient}, state, options["rate"], betas, **others
            )
            expected.append(theta["w"])
        close(path, expected)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_surface_is_pythons_and_its_gradient_that_of_autodiff(page, call, surface):
    points = NUMBERS.normal(size=(200, 2)) * 3
    script = """async ([surface, points]) => {
        const { loss, gradient } = (await import("/training.js")).SURFACES[surface];
        return points.map((point) => [loss(...point), ...gradient(...point)]);
    }"""
    found = np.asarray(page.evaluate(script, [surface, points.tolist()]))
    x, y = Tensor(points[:, 0]), Tensor(points[:, 1])
    losses = SURFACES[surface](x, y)
    array_namespace(losses).sum(losses).backward()
    expected = np.stack([losses.data, x.grad, y.grad], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-11)


RUN = """
async ([traits, runners]) => {
  const { run } = await import("/training.js");
  return traits.map((one) => runners.map((runner) => run((name) => one[name], runner)));
}
"""


def test_paths_and_losses_are_pythons(page, call):
    widgets = [
        *(TrainingWidget(surface=surface) for surface in SURFACES),
        # Those that diverge, and those that stay.
        TrainingWidget(surface="curved valley", gradient_descent_rate=0.3),
        TrainingWidget(momentum_rate=1e300, adam_rate=1e300),
        TrainingWidget(adam_rate=0, momentum_rate=0, gradient_descent_rate=0),
        TrainingWidget(start_x=0, start_y=0),
        # Steps no longer than these: longer ones magnify what the last digit leaves out.
        *(
            TrainingWidget(
                surface=surface,
                start_x=NUMBERS.uniform(-1.5, 1.5),
                start_y=NUMBERS.uniform(-1, 1.5),
                gradient_descent_rate=NUMBERS.uniform(0.001, 0.03),
                momentum_rate=NUMBERS.uniform(0.001, 0.02),
                mu=NUMBERS.uniform(0, 0.95),
                adam_rate=NUMBERS.uniform(0.001, 0.02),
                beta1=NUMBERS.uniform(0, 0.99),
                beta2=NUMBERS.uniform(0.9, 0.999),
                weight_decay=NUMBERS.uniform(0, 0.5),
            )
            for surface in SURFACES
        ),
    ]
    names = [name for name in widgets[0].keys if name in TrainingWidget.class_own_traits()]  # fmt: skip
    traits = [{name: getattr(widget, name) for name in names} for widget in widgets]
    found = page.evaluate(RUN, [traits, list(RUNNERS)])
    for widget, runs in zip(widgets, found, strict=True):
        for path, run in zip(widget.paths.values(), runs, strict=True):
            close(run["path"], path)
            with np.errstate(over="ignore", invalid="ignore"):
                close(run["losses"], SURFACES[widget.surface](*path.T))


def test_contours_pass_where_contourpys_do(page, call):
    xs, ys = np.linspace(-2, 2, 23), np.linspace(-1.2, 1.8, 17)
    for surface in SURFACES.values():
        heights = surface(*np.meshgrid(xs, ys))
        for level in (0.5, 1.0, 4.0):
            found = call("kit/contours.js", "contour", xs.tolist(), ys.tolist(), heights.tolist(), level)  # fmt: skip
            pieces = np.stack([found["xs"], found["ys"]], axis=1).astype(float)
            assert np.all(np.isnan(pieces[2::3]))
            ours = {tuple(point) for point in pieces[~np.isnan(pieces[:, 0])].round(9)}
            lines = contourpy.contour_generator(xs, ys, heights).lines(level)
            theirs = {tuple(point) for line in lines for point in line.round(9)}
            assert ours == theirs
            assert len(ours) >= 4
    flat = call("kit/contours.js", "contour", [0, 1], [0, 1], [[0, 0], [0, 0]], 1)
    assert flat == {"xs": [], "ys": []}


# The widget


@pytest.fixture
def view(mount):
    return mount(TrainingWidget())


def trait(page, name):
    return page.evaluate("(name) => model.get(name)", name)


def says(view):
    return view.locator(".lm-status > :first-child").inner_text()


def path_of(view, plot, runner):
    """The corners of a line, in units of the plot."""
    color = ["blue", "vermilion", "green", "purple"][list(RUNNERS).index(runner)]
    line = (
        view.locator(".lm-plot > svg").nth(plot).locator(f".lm-{color} .lm-line").first
    )
    corners = line.get_attribute("d").replace("M", "").split("L")
    return np.asarray([corner.split(" ") for corner in corners], float)


def test_the_paths_drawn_are_those_computed(page, view):
    page.evaluate("model.set('step', 20)")
    unit = 258 / 4
    for runner, path in zip(RUNNERS, TrainingWidget().paths.values(), strict=True):
        corners = path_of(view, 0, runner)
        expected = np.stack([(path[:, 0] + 2) * unit, (1.8 - path[:, 1]) * unit], 1)
        np.testing.assert_allclose(corners, expected[:21], atol=0.006)
        assert len(path_of(view, 1, runner)) == N_STEPS + 1


def test_the_first_step_is_seen_and_said(page, view):
    page.evaluate("model.set('step', 1)")
    lengths = [
        np.abs(np.diff(path_of(view, 0, runner), axis=0))
        for runner in ("adam", "adam_uncorrected")
    ]
    np.testing.assert_allclose(lengths[1] / lengths[0], 10**0.5, rtol=2e-3)
    note = view.locator(".lm-note")
    assert note.inner_text() == (
        "Adam’s first step moves each parameter that has a gradient by the rate, 0.1. Without "
        "bias correction it is (1 − β₁)/√(1 − β₂) = 3.16 times as long, 0.316."
    )
    page.evaluate("model.set('beta1', 0.5); model.set('beta2', 0.99); model.set('weight_decay', 0.1)")  # fmt: skip
    assert "step, weight decay apart, moves" in note.inner_text()
    assert "= 5 times as long, 0.5." in note.inner_text()
    page.evaluate("model.set('adam', false); model.set('adam_uncorrected', false)")
    assert note.text_content() == ""


def test_everything_by_keyboard(page, view):
    view.get_by_role("radio", name="long valley").focus()
    page.keyboard.press("ArrowDown")
    assert trait(page, "surface") == "curved valley"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert trait(page, "gradient_descent") is False
    assert not view.get_by_role("slider", name="Gradient descent").is_visible()
    assert "gradient descent" not in says(view)
    view.get_by_role("slider", name="Start").focus()
    for key in ["ArrowRight", "ArrowUp", "ArrowUp", "PageDown"]:
        page.keyboard.press(key)
    assert (trait(page, "start_x"), trait(page, "start_y")) == (-1.56, 0.75)
    expected = TrainingWidget(surface="curved valley", start_x=-1.56, start_y=0.75)
    np.testing.assert_allclose(
        path_of(view, 0, "adam")[-1],
        (expected.paths["Adam"][60] - [-2, 1.8]) * [64.5, -64.5],
        atol=0.006,
    )
    for name, most in [("Momentum: μ", 0.99), ("Momentum: η", 1), ("Adam: η", 1), ("Adam: β₁", 0.99),
                       ("Adam: β₂", 0.999), ("Adam: weight decay λ", 1), ("Step", 150)]:  # fmt: skip
        slider = view.get_by_role("slider", name=name)
        slider.focus()
        page.keyboard.press("Home")
        before = says(view)
        page.keyboard.press("End")
        assert slider.get_attribute("aria-valuetext") == f"{most:g}"
        assert says(view) != before
    assert says(view).startswith("Loss after 150 steps: ")
    for name in ("momentum", "Adam", "Adam without bias correction"):
        view.get_by_role("checkbox", name=name, exact=True).uncheck()
    assert says(view) == "Choose an optimizer."


def test_the_race_runs_and_stops(page, view):
    race = view.get_by_role("button")
    page.evaluate("model.on('change:step', () => (window.steps ??= []).push(model.get('step')))")  # fmt: skip
    race.click()
    page.wait_for_function("window.steps?.at(-1) >= 3")
    assert race.inner_text() == "Stop"
    page.keyboard.press("Space")
    assert race.inner_text() == "Race"
    steps = page.evaluate("steps")
    assert steps[0] == 0
    assert steps == sorted(steps)
    race.click()
    page.evaluate("model.set('step', 77)")  # by hand
    page.wait_for_function(
        "document.querySelector('.lm-button').textContent === 'Race'"
    )
    assert trait(page, "step") == 77
    page.emulate_media(reduced_motion="reduce")
    race.click()
    page.wait_for_function("model.get('step') === 150")
    assert race.inner_text() == "Race"


def test_rates_that_are_too_large_are_said_and_leave_the_picture_whole(page, view):
    page.evaluate("model.set('gradient_descent_rate', 0.05)")
    assert "gradient descent 3.4·10²² (outside the picture)" in says(view)
    page.evaluate("model.set('surface', 'curved valley'); model.set('gradient_descent_rate', 1)")  # fmt: skip
    assert "Diverged beyond all numbers: gradient descent." in says(view)
    page.evaluate("model.set('momentum_rate', 1e300); model.set('adam_rate', 1e300)")
    assert says(view).startswith("Diverged beyond all numbers: gradient descent, momentum, ")  # fmt: skip
    for name in ("start_x", "step", "beta1"):
        page.evaluate("(name) => model.set(name, NaN)", name)
    assert says(view) != ""
    assert "NaN" not in view.locator(".lm-plots").inner_html()
    defaults = {"surface": "long valley", "start_x": -1.6, "beta1": 0.9, "step": 60}
    rates = {"gradient_descent_rate": 0.036, "momentum_rate": 0.03, "adam_rate": 0.1}
    for name, value in (defaults | rates).items():
        page.evaluate("([name, value]) => model.set(name, value)", [name, value])
    assert says(view).startswith("Loss after 60 steps: momentum 0.00016, gradient")


def test_the_start_is_dragged_by_touch_on_a_telephone(page, mount):
    page.set_viewport_size({"width": 360, "height": 740})
    view = mount(TrainingWidget(), "dark")
    knob = view.get_by_role("slider", name="Start")
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    assert min(box["width"], box["height"]) >= 24
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for kind, points in [("Start", [(x, y)]), ("Move", [(x + 50, y + 20)]),
                         ("Move", [(x + 100, y + 40)]), ("End", [])]:  # fmt: skip
        finger.send("Input.dispatchTouchEvent", {
            "type": f"touch{kind}", "touchPoints": [{"x": px, "y": py} for px, py in points],
        })  # fmt: skip
    unit = view.locator(".lm-plot > svg").first.bounding_box()["width"] / 320 * 64.5
    assert trait(page, "start_x") == pytest.approx(-1.6 + 100 / unit, abs=0.03)
    assert trait(page, "start_y") == pytest.approx(1 - 40 / unit, abs=0.03)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
