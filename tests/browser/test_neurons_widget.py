"""The widget of chapter 1 in a real browser: JavaScript's numbers are lmmath's, and any hand can move them."""

import itertools

import numpy as np
import pytest

from lmmath.autodiff import Tensor, mean, sum
from lmmath.neurons import gelu, init_mlp, mlp, relu, sigmoid, tanh
from lmmath.widgets import NeuronsWidget

ACTIVATIONS = {"tanh": tanh, "sigmoid": sigmoid, "relu": relu, "gelu": gelu}
NUMBERS = np.random.default_rng(7)
LINES = {
    "0.weight": [[8.0, 8.0], [8.0, 8.0]],
    "0.bias": [-4.0, -12.0],
    "1.weight": [[4.0], [-4.0]],
    "1.bias": [-4.0],
}


def draw(n_hidden):
    params = init_mlp([2, n_hidden, 1] if n_hidden else [2, 1], NUMBERS)
    return {name: array + NUMBERS.normal(size=array.shape) for name, array in params.items()}  # fmt: skip


def lists(params):
    return {name: np.asarray(array).tolist() for name, array in params.items()}


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual, float), expected, 1e-12, 1e-12)


# Numbers

CASES = list(itertools.product([0, 1, 3, 8], ACTIVATIONS))


def test_activations_and_their_slopes(page, call):
    x = np.concatenate([NUMBERS.normal(size=500) * 5, np.linspace(-9, 9, 181), [0, 40, -40, 800, -800, 1e-300]])  # fmt: skip
    script = """async (xs) => {
        const { ACTIVATIONS } = await import("/engines/activations.js");
        const all = Object.entries(ACTIVATIONS).map(([name, { of, slope }]) => [name, xs.map((x) => [of(x), slope(x, of(x))])]);
        return Object.fromEntries(all);
    }"""
    found = page.evaluate(script, x.tolist())
    assert found.keys() == ACTIVATIONS.keys()
    for name, f in ACTIVATIONS.items():
        tensor = Tensor(x)
        sum(f(tensor)).backward()
        close(found[name], np.stack([f(x), tensor.grad], axis=1))


def test_the_output_is_that_of_mlp(page, call):
    x = np.concatenate([NUMBERS.uniform(-0.5, 1.5, (200, 2)), [[0, 0], [1e3, -1e3]]])
    cases = [(draw(n_hidden), activation) for n_hidden, activation in CASES]
    script = """async ([cases, points]) => {
        const { network } = await import("/engines/mlp.js");
        return cases.map(([params, activation]) => points.map(network(params, activation)));
    }"""
    found = page.evaluate(script, [[[lists(p), a] for p, a in cases], x.tolist()])
    for (params, activation), outputs in zip(cases, found, strict=True):
        close(outputs, sigmoid(mlp(params, x, ACTIVATIONS[activation]))[:, 0])


def test_each_step_of_the_descent_is_autodiffs(page, call):
    widget = NeuronsWidget()
    script = """async ([cases, points, targets, steps]) => {
        const { learn, descend } = await import("/engines/mlp.js");
        return cases.map(([params, activation]) => Array.from({ length: steps }, () => {
          const { error, gradient } = learn(params, activation, points, targets);
          params = descend(params, gradient, 0.5);
          return { error, params };
        }));
    }"""
    cases = [(draw(n_hidden), activation) for n_hidden, activation in CASES]
    x, targets = widget.points[1], widget.targets[1]
    found = page.evaluate(script, [[[lists(p), a] for p, a in cases], x.tolist(), targets.tolist(), 20])  # fmt: skip
    for (params, activation), steps in zip(cases, found, strict=True):
        for step in steps:
            tensors = {name: Tensor(array) for name, array in params.items()}
            y = sigmoid(mlp(tensors, x, ACTIVATIONS[activation]))[:, 0]
            error = mean((y - targets) ** 2)
            error.backward()
            params = {name: p - 0.5 * tensors[name].grad for name, p in params.items()}
            close(step["error"], float(error))
            for name, array in params.items():
                close(step["params"][name], array)


def test_other_numbers_of_neurons_keep_those_that_stay(page, call):
    script = """async ({ params, counts, seed }) => {
        const { drawParams, resized } = await import("/engines/mlp.js");
        const { randomNumbers } = await import("/engines/random.js");
        const random = randomNumbers(seed);
        const kinds = counts.map((n) => (params = resized(params, n, random)));
        return [kinds, counts.map((n) => drawParams(n, random)), Array.from({ length: 4000 }, random)];
    }"""
    first, counts = draw(0), [3, 8, 2, 0, 1]
    kept, drawn, numbers = page.evaluate(script, {"params": lists(first), "counts": counts, "seed": 1})  # fmt: skip
    for params in (*kept, *drawn):
        NeuronsWidget(params=params)  # takes them
    for params, n in [*zip(kept, counts, strict=True), *zip(drawn, counts, strict=True)]:  # fmt: skip
        assert NeuronsWidget(params=params).n_hidden == n
    for params in kept:
        assert [row[0] for row in params["0.weight"]] == first["0.weight"][:, 0].tolist()  # fmt: skip
        assert params["0.bias"][0] == first["0.bias"][0]
    for name in kept[0]:
        assert np.array(kept[0][name]).ravel()[0] == np.array(kept[1][name]).ravel()[0]
    assert kept[2]["0.bias"] == kept[1]["0.bias"][:2]
    # Even random numbers have the mean 1/2, and neighbours have nothing to do with each other.
    assert 0 <= min(numbers) < max(numbers) < 1
    assert abs(np.mean(numbers) - 0.5) < 0.02
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.06


def test_an_arrow_stands_on_the_line_and_gives_back_its_weights(page, call):
    script = """async (neurons) => {
        const { onLine, arrowOf, weightsOf } = await import("/kit/neuron_plane.js");
        return neurons.map((n) => [onLine(n, [0.3, 0.8]), arrowOf(n.w), weightsOf(arrowOf(n.w))]);
    }"""
    neurons = [{"w": NUMBERS.normal(size=2) * 6, "b": NUMBERS.normal() * 3} for _ in range(100)]  # fmt: skip
    neurons += [{"w": np.asarray(w), "b": 1.0} for w in [(0.0, 2.0), (0.0, 0.0), (1e-9, 0)]]  # fmt: skip
    found = page.evaluate(script, [n | {"w": n["w"].tolist()} for n in neurons])
    for (place, arrow, weights), n in zip(found, neurons, strict=True):
        if np.any(n["w"]):
            scale = np.max(np.abs(n["w"])) * max(1, np.max(np.abs(place)))
            assert abs(n["w"] @ place + n["b"]) < 1e-9 * max(1, scale)
        assert np.hypot(*arrow) < 0.6
        np.testing.assert_allclose(weights, n["w"], 1e-9)


# The widget


@pytest.fixture
def view(mount):
    return mount(NeuronsWidget())


def params(page):
    return page.evaluate("model.get('params')")


def shown(page):
    """The widget that Python would show, with what the page holds."""
    return NeuronsWidget(
        **page.evaluate(
            "Object.fromEntries(['params', 'activation', 'data'].map((n) => [n, model.get(n)]))"
        )
    )


def says(view):
    return view.locator(".lm-status > :first-child").inner_text()


def assert_says_pythons_numbers(page, view):
    widget = shown(page)
    assert f"{widget.n_right} of 100 points right, error {widget.error:.3f}" in says(view)  # fmt: skip


def test_the_first_state_is_pythons(page, view):
    assert says(view) == "A single neuron: 75 of 100 points right, error 0.264."  # fmt: skip
    assert_says_pythons_numbers(page, view)
    assert view.locator(".lm-formulas").inner_text() == "y = sigmoid(4.00 x₁ + 4.00 x₂ − 2.00)"  # fmt: skip
    assert not view.get_by_role("group", name="Activation").is_visible()
    picture = view.locator(".lm-plot [role=img]").first
    assert says(view) in picture.get_attribute("aria-label")


def test_the_boundary_is_drawn_where_the_output_is_a_half(page, view):
    page.evaluate("(params) => model.set('params', params)", LINES)
    path = view.locator(".lm-ink .lm-line[stroke-dasharray=none]").first.get_attribute("d")  # fmt: skip
    places = [tuple(map(float, p.split(" "))) for p in path.replace("M", "L").split("L")[1:]]  # fmt: skip
    x = [(-0.5 + 2 * px / 258, 1.5 - 2 * py / 258) for px, py in places]
    outputs = sigmoid(mlp(shown(page).params, np.asarray(x), tanh))[:, 0]
    assert len(outputs) > 100
    assert np.max(np.abs(outputs - 0.5)) < 0.1
    pixel = page.evaluate("""() => {
        const canvas = document.querySelector(".lm-ground");
        const at = (x, y) => [...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
        return [at(20, 20), at(2, 37)];  // middle, left below
    }""")
    assert pixel[0][2] > pixel[0][0]  # blue, for 1
    assert pixel[1][0] > pixel[1][2]  # vermilion, for 0


def test_everything_by_keyboard(page, view):
    line = view.get_by_role("slider", name="Line of neuron 1")
    line.focus()
    for key in ["ArrowUp", "ArrowUp", "ArrowRight"]:
        page.keyboard.press(key)
    moved = params(page)
    assert moved["0.weight"] == [[4], [4]]
    assert -2.5 < moved["0.bias"][0] < -2.1
    assert line.get_attribute("aria-valuetext") == f"weights 4.00 and 4.00, bias {moved['0.bias'][0]:.2f}"  # fmt: skip
    page.keyboard.press("Tab")
    assert view.get_by_role("slider", name="Arrow of neuron 1").evaluate("e => e === document.activeElement")  # fmt: skip
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    [[w1], [w2]] = params(page)["0.weight"]
    assert w1 > 4.2
    assert w2 == pytest.approx(4, abs=1)
    assert_says_pythons_numbers(page, view)

    view.get_by_role("slider", name="Hidden neurons").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert shown(page).n_hidden == 3
    assert [row[0] for row in params(page)["0.weight"]] == [w1, w2]
    view.get_by_role("slider", name="Line of neuron 2").focus()
    assert page.evaluate("model.get('neuron')") == 1
    assert view.locator(".lm-in-hand").inner_text().startswith("h₂ = tanh(")
    assert view.get_by_role("slider", name="Arrow of neuron").count() == 1
    view.get_by_role("slider", name="Weight of h₂ in y").focus()
    page.keyboard.press("End")
    assert params(page)["1.weight"][1] == [10]
    view.get_by_role("slider", name="Bias of y").focus()
    page.keyboard.press("Home")
    assert params(page)["1.bias"] == [-10]
    view.get_by_role("radio", name="tanh").focus()
    page.keyboard.press("ArrowRight")
    view.get_by_role("radio", name="exclusive or").focus()
    page.keyboard.press("ArrowRight")
    widget = shown(page)
    assert (widget.activation, widget.data) == ("sigmoid", 1)
    assert_says_pythons_numbers(page, view)
    before = params(page)
    view.get_by_role("button", name="New start").focus()
    page.keyboard.press("Enter")
    assert params(page) != before
    assert shown(page).n_hidden == 3
    view.get_by_role("button", name="One step").focus()
    page.keyboard.press("Space")
    assert says(view).startswith("3 hidden neurons, after 1 step: ")
    assert_says_pythons_numbers(page, view)


def test_by_mouse_and_by_touch(page, view):
    def middle(locator):
        box = locator.bounding_box()
        return np.asarray([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])

    line = view.get_by_role("slider", name="Line of neuron 1")
    tip = view.get_by_role("slider", name="Arrow of neuron 1")
    start = middle(line)
    unit = view.locator(".lm-plot > svg").first.bounding_box()["width"] / 320 * 129  # of the plane  # fmt: skip
    page.mouse.move(*start)
    page.mouse.down()
    end = start + np.asarray([0.5, -0.5]) * unit
    page.mouse.move(*end)
    page.mouse.up()
    assert params(page)["0.weight"] == [[4], [4]]
    assert params(page)["0.bias"][0] == pytest.approx(-6, abs=0.1)
    np.testing.assert_allclose(middle(line), end, atol=2)

    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    x, y = middle(tip)
    goal = middle(line) - np.asarray([0.3, 0]) * unit
    for kind, points in [
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": goal[0], "y": goal[1]}]),
        ("touchEnd", []),
    ]:
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    [[w1], [w2]] = params(page)["0.weight"]
    assert w1 == pytest.approx(-3, abs=0.3)
    assert w2 == pytest.approx(0, abs=0.2)
    assert_says_pythons_numbers(page, view)
    for handle in (line, tip):
        box = handle.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_training_moves_the_lines_until_all_points_are_right(page, view):
    button = view.locator(".lm-button").first
    button.click()
    assert button.inner_text() == "Pause"
    page.wait_for_function("document.querySelector('.lm-status').textContent.includes('after')")  # fmt: skip
    button.click()
    assert button.inner_text() == "Train"
    assert shown(page).n_right <= 76
    page.evaluate("(params) => model.set('params', params)", LINES)
    assert "after" not in says(view)
    page.evaluate("model.set('params', { ...model.get('params'), '1.bias': [0] })")
    button.click()
    page.wait_for_function("document.querySelector('.lm-button').textContent === 'Train'")  # fmt: skip
    widget = shown(page)
    assert widget.n_right == 100
    assert 0.009 < widget.error <= 0.01
    assert_says_pythons_numbers(page, view)
    curve = view.locator(".lm-blue .lm-line").get_attribute("d")
    heights = [float(point.split(" ")[1]) for point in curve[1:].split("L")]
    assert heights[-1] - heights[0] > 20
    assert np.all(np.diff(heights) > -0.01)  # it only falls; down is more


def test_without_motion_the_end_comes_at_once(page, view):
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("(params) => model.set('params', params)", LINES | {"1.bias": [0.0]})
    page.evaluate("window.changes = 0; model.on('change:params', () => (changes += 1))")
    view.get_by_role("button", name="Train").click()
    page.wait_for_function("changes > 0")
    assert view.locator(".lm-button").first.inner_text() == "Train"
    assert page.evaluate("changes") == 1
    assert shown(page).error <= 0.01
    assert_says_pythons_numbers(page, view)


def test_what_comes_from_outside_leaves_it_working(page, view):
    page.set_viewport_size({"width": 360, "height": 740})
    for params_, neuron, data in [
        (lists(draw(8)), 3, 2),
        ({"0.weight": [[0.0], [0.0]], "0.bias": [0.0]}, 7, 0),
        ({"0.weight": [[1e300], [-1e300]], "0.bias": [1e300]}, 0, 99),
        ({"0.weight": [[1e-300], [0.0]], "0.bias": [5.0]}, 0, 2),
        (LINES, 7, 1),
    ]:
        page.evaluate(
            "([p, n, d]) => { model.set('params', p); model.set('neuron', n); model.set('data', d); }",
            [params_, neuron, data],
        )
        assert "NaN" not in view.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        view.get_by_role("button", name="One step").click()
    view.get_by_role("slider", name="Line of neuron 2").focus()
    page.keyboard.press("ArrowUp")
    page.evaluate("model.set('data', 0)")
    assert_says_pythons_numbers(page, view)
    page.evaluate("close()")
    assert page.evaluate("listeners.length") == 0
