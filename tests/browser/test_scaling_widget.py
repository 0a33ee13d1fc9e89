"""The scaling widget: the numbers of its JavaScript, and how it answers to the hand."""

import numpy as np
import pytest

from lmmath.scaling import (
    ChinchillaLaw,
    KaplanLaw,
    chinchilla_loss,
    compute_optimal,
    kaplan_loss,
)
from lmmath.widgets import ScalingWidget
from lmmath.widgets.scaling import FABLE

RNG = np.random.default_rng(7)
COMPUTE = """
async (all) => {
  const { compute } = await import("/scaling.js");
  return all.map((traits) => compute({ get: (name) => traits[name] }));
}
"""
CURVES = """
async (cases) => {
  const { equalLoss } = await import("/scaling.js");
  return cases.map(([law, loss]) => equalLoss(law, loss));
}
"""


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_its_numbers_are_lmmaths(page, call):
    widgets = [
        ScalingWidget(law=law, flops=flops, fable_flops=fable_flops, tokens_per_param=r)
        for law in ScalingWidget().laws
        for flops, fable_flops, r in [
            (1e20, 1e9, 1e-9),
            (1e26, 1e13, 1e9),
            *10 ** RNG.uniform([20, 9, -4], [26, 13, 4], (20, 3)),
        ]
    ]
    names = ["law", "flops", "fable_flops", "tokens_per_param", "laws"]
    states = page.evaluate(COMPUTE, [widget.get_state(names) for widget in widgets])
    for widget, state in zip(widgets, states, strict=True):
        close([state["n"], state["d"]], widget.split)
        close(state["best"], widget.best_split)
        close([state["loss"], state["bestLoss"]], [widget.loss, widget.best_loss])


def test_its_curves_have_equal_loss_and_the_cheapest_point_is_a_best_split(page, call):
    laws = [
        *ScalingWidget().laws.values(),
        ChinchillaLaw(E=0, A=5.0, B=7.0, alpha=0.5, beta=1.5),
    ]
    cases = [(law, loss) for law in laws for loss in (1.3, 1.9, 2.5, 4)]
    curves = page.evaluate(CURVES, [(law._asdict(), loss) for law, loss in cases])
    for (law, loss), found in zip(cases, curves, strict=True):
        n_params, n_tokens = (np.asarray(sizes, float) for sizes in found["curve"])
        if isinstance(law, KaplanLaw):
            close(kaplan_loss(n_params, n_tokens, law), np.full(121, loss))
            continue
        if loss < law.E:
            assert n_params.size == 0
            continue
        close(chinchilla_loss(n_params, n_tokens, law), np.full(121, loss))
        n_best, n_text = found["cheapest"]
        close(compute_optimal(law, 6 * n_best * n_text), [n_best, n_text])
        assert np.all(n_params * n_tokens >= n_best * n_text * (1 - 1e-12))


def trait(page, name):
    return page.evaluate("(name) => model.get(name)", name)


def status(view):
    return view.locator(".lm-status > :first-child").inner_text()


def amount(size):
    if size < 1e6:
        return f"{size:,.0f}"
    unit, word = next(
        (unit, word)
        for unit, word in [(1e12, "trillion"), (1e9, "billion"), (1e6, "million")]
        if size >= unit
    )
    return f"{size / unit:.3g} {word}"


def words(widget):
    (n, d), (n_best, d_best) = widget.split, widget.best_split
    return (
        f"{amount(n)} parameters on {amount(d)} tokens",
        f"loss {widget.loss:.3f}. The best split of this budget, {amount(n_best)} "
        f"parameters on {amount(d_best)} tokens, reaches {widget.best_loss:.3f}.",
    )


def test_it_is_driven_by_keyboard(page, mount):
    widget = ScalingWidget()
    view = mount(widget)
    knob = view.get_by_role("slider", name="Split of the budget")
    for law in ["Kaplan 2020", "Hoffmann 2022", "Besiroglu 2024"]:
        view.get_by_role("radio", name=law).press("Space")
        widget.law = law
        assert all(said in status(view) for said in words(widget))
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert trait(page, "flops") == 1e26
    page.keyboard.press("Tab")
    assert knob.evaluate("e => e === document.activeElement")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("PageDown")
    widget.flops, widget.tokens_per_param = 1e26, trait(page, "tokens_per_param")
    assert 1 < widget.tokens_per_param < 1000
    assert all(said in status(view) for said in words(widget))
    assert f"loss {widget.loss:.3f}" in knob.get_attribute("aria-valuetext")
    # To the ends of the budget's line, and not beyond the plot.
    page.keyboard.press("Home")
    widget.tokens_per_param = trait(page, "tokens_per_param")
    assert widget.split[1] == pytest.approx(1e14)
    page.keyboard.press("End")
    widget.tokens_per_param = trait(page, "tokens_per_param")
    assert widget.split[0] == pytest.approx(1e13)


def test_the_other_plane_shows_the_books_runs(page, mount):
    widget = ScalingWidget()
    view = mount(widget)
    legend = view.locator(".lm-plot").first.locator("li:visible")
    assert legend.all_inner_texts()[-4:] == list(widget.models)
    view.get_by_role("radio", name="the book’s runs on Fable").check()
    widget.law = FABLE
    assert legend.all_inner_texts()[-1] == "runs"
    assert all(said in status(view) for said in words(widget))
    assert view.get_by_text(f"exact floor {widget.floor:.3f}").is_visible()

    n, d = widget.split
    distances = np.hypot(np.log(widget.runs[:, 0] / n), np.log(widget.runs[:, 1] / d))
    n_run, d_run, measured = widget.runs[np.argmin(distances)]
    law = widget.laws[FABLE]
    assert (
        f"The nearest run, {amount(n_run)} parameters on {amount(d_run)} tokens, "
        f"reached {measured:.3f}; the law says {chinchilla_loss(n_run, d_run, law):.3f}, "
        f"and its floor is {law.E:.3f}."
    ) in status(view)
    marks = view.locator(".lm-plot > svg .lm-points").evaluate_all("all => all.map((path) => path.checkVisibility() && path.getAttribute('d')?.split('M').length - 1)")  # fmt: skip
    assert len(widget.runs) in marks

    budget = view.locator("input[type=range]:visible")
    budget.focus()
    page.keyboard.press("Home")
    assert (trait(page, "fable_flops"), trait(page, "flops")) == (1e9, widget.flops)


def test_it_is_driven_by_touch_on_a_telephone(page, mount):
    page.set_viewport_size({"width": 360, "height": 740})
    widget = ScalingWidget()
    view = mount(widget)
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    touch = lambda kind, *points: finger.send(  # noqa: E731
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [*points]}
    )
    knob = view.get_by_role("slider", name="Split of the budget")
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    assert min(box["width"], box["height"]) >= 24
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    unit = view.locator(".lm-plot > svg").first.bounding_box()["width"] / 320
    touch("touchStart", {"x": x, "y": y})
    for i in range(1, 7):
        touch("touchMove", {"x": x - 5 * i * unit, "y": y})
    touch("touchEnd")
    before, widget.tokens_per_param = widget.split, trait(page, "tokens_per_param")
    # Five powers of ten are 258 units wide; the steps are 20 to each.
    moved = np.log10(before[0] / widget.split[0])
    assert moved == pytest.approx(30 * 5 / 258, abs=0.03)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
