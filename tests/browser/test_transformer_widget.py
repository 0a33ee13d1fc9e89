"""The Transformer widget in a real browser: lmmath's numbers, by keyboard, by touch, any text."""

import numpy as np
import pytest
from fable_widgets import TransformerWidget
from playwright.sync_api import expect

from lmmath.checkpoints import save_model
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import GPTConfig, init_gpt, logit_lens
from lmmath.widgets.transformer import _stream

LONG = "Leka met Kali the dog near the river. " * 40
TEXTS = [
    TransformerWidget().text,
    "",
    "There was a",
    LONG,
    "<b>Kali</b> 🦊\x00\u202e  \n x",
]
COMPUTE = """
async (text) => {
  const [{ stepsOf, countParameters, lens }, { loadModel }, { tokenize }, { nameOf }] =
    await Promise.all(
      ["transformer", "kit/language_model", "kit/reading", "kit/token_strip"]
        .map((name) => import(`/${name}.js`)),
    );
  const { gpt, tokenizer, config } = loadModel(model);
  const { tokens } = tokenize(text, { tokenizer, config });
  const reader = gpt.reader();
  await reader.readAll(tokens);
  return {
    tokens,
    names: tokens.map((token) => nameOf(token, tokenizer)),
    logits: tokens.map((_, i) => lens(gpt, reader.trace(i)).map((row) => Array.from(row))),
    steps: stepsOf(config).map((step) => [step.name, countParameters(step), step.params]),
  };
}
"""

# A long text, and before it is read another, which cannot be: the first must not come after it.
OVERTAKE = """
async (text) => {
  model.set("text", text);
  model.set("text", "half a sign: \\ud83e");
  const { loadModel } = await import("/kit/language_model.js");
  const { gpt } = loadModel(model);
  await gpt.reader().readAll(Array.from({ length: 128 }, (_, i) => i)); // takes as long as the first
}
"""


@pytest.fixture
def view(mount):
    return mount(TransformerWidget())


def small(tmp_path):
    """Show a model in which every parameter matters; its tokens are bytes."""
    config = GPTConfig(256, n_positions=9, d_model=6, n_layers=2, n_heads=3)
    rng = np.random.default_rng(3)
    params = {
        name: array + rng.normal(scale=0.3, size=array.shape).astype("f4")
        for name, array in init_gpt(config, rng).items()
    }
    save_model(tmp_path / "model.safetensors", params, config)
    weights = (tmp_path / "model.safetensors").read_bytes()
    return TransformerWidget(weights=weights, tokenizer=BPETokenizer([]))


def shows(view, widget):
    """Wait until the view shows what Python computes, and compare all of it."""
    sizes = widget.probabilities.max(axis=1)
    rows = view.locator(".lm-stack label")
    expect(rows).to_have_text(
        [
            f"{name} {guess} {size:.2f}"
            for name, guess, size in zip(
                widget.steps, widget.best_guesses, sizes, strict=True
            )
        ][::-1]
    )
    names = view.locator(".lm-words .lm-word").all_text_contents()
    assert names == widget.pieces
    chosen = view.locator(".lm-words input:checked")
    assert chosen.evaluate("e => [...document.querySelectorAll('.lm-words input')].indexOf(e)") == widget.place  # fmt: skip
    step = min(widget.step, len(sizes) - 1)
    rows = view.get_by_role("list").get_by_role("listitem").all_text_contents()
    best = np.sort(widget.probabilities[step])[::-1]
    assert rows[0].split() == [widget.best_guesses[step], f"{sizes[step]:.2f}"]
    assert [row.split()[-1] for row in rows] == [f"{p:.2f}" for p in best[:5]]
    counts = widget.n_parameters
    share = f"{[*counts.values()][step]:,} of {sum(counts.values()):,} parameters: "
    assert share in view.locator(".lm-lens").inner_text()


def test_the_lens_is_lmmaths(page, mount, tmp_path):
    for widget in (TransformerWidget(), small(tmp_path)):
        mount(widget)
        params, config, _ = widget.model
        for text in TEXTS:
            widget.text = text
            found = page.evaluate(COMPUTE, text)
            assert found["tokens"] == widget.tokens.tolist()
            assert found["names"] == widget.pieces
            lens = logit_lens(_stream(params, widget.tokens, config), params, config)
            expected = np.swapaxes(lens[[*range(len(lens)), -1, -1]], 0, 1)
            np.testing.assert_allclose(found["logits"], expected, rtol=0, atol=1e-4)
        for (name, count, shapes), (step, expected) in zip(
            found["steps"], widget.steps.items(), strict=True
        ):
            assert (name, count) == (step, widget.n_parameters[step])
            assert {name: tuple(shape) for name, shape in shapes} == expected


def test_the_first_state_is_pythons(view):
    shows(view, TransformerWidget())
    assert view.locator(".lm-status [role=status]").text_content() == (
        "Block 2 feed-forward. After “the” comes “mouse” 0.96, “duck” 0.01, “o” 0.01, …"
    )


def test_everything_by_keyboard(page, view):
    text = TransformerWidget().text
    page.keyboard.press("Tab")  # the choice of a model
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.type(" Kali")
    widget = TransformerWidget(text=text + " Kali")
    shows(view, widget)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    widget.position, widget.step = 13, 7
    shows(view, widget)
    assert page.evaluate("[model.get('position'), model.get('step')]") == [13, 7]
    expect(view.locator(".lm-status [role=status]")).to_have_text(
        "Final norm. After “Kali” comes “the” 1.00, “was” 0.00, “a” 0.00, …"
    )
    # It goes round; and the end of the text stays the end.
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Tab")
    for _ in range(14):
        page.keyboard.press("ArrowLeft")
    assert page.evaluate("model.get('position')") == -1
    view.get_by_label("Story").fill("Kali was")
    widget.text, widget.position, widget.step = "Kali was", -1, 6
    shows(view, widget)


def test_by_touch_on_a_telephone(page, mount):
    page.set_viewport_size({"width": 360, "height": 740})
    view = mount(TransformerWidget())
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for label in [
        view.locator(".lm-stack label").first,
        view.locator(".lm-words label").nth(2),
    ]:
        label.scroll_into_view_if_needed()
        box = label.bounding_box()
        assert box["height"] >= 24
        assert box["width"] >= 24
        point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind, points in [("touchStart", [point]), ("touchEnd", [])]:
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})  # fmt: skip
    expect(view.locator(".lm-stack input").first).to_be_checked()
    expect(view.locator(".lm-words input").nth(2)).to_be_checked()
    shows(view, TransformerWidget(position=2, step=8))


def test_any_text_is_text_and_nothing_breaks(page, mount):
    page.set_viewport_size({"width": 360, "height": 740})
    view = mount(TransformerWidget())
    widget = TransformerWidget()
    for text in [*TEXTS[1:], "x" * 10_000, "she saw " * 500, " \t ", widget.text]:
        page.evaluate("(text) => model.set('text', text)", text)
        widget.text = text
        shows(view, widget)
        assert view.locator("script, img, b").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        if len(text) == 10_000:
            note = "The model sees 128 tokens at most: 9,873 more are left out."
            assert note in view.inner_text()
    said = view.locator(".lm-status > :first-child")
    page.evaluate(OVERTAKE, LONG)
    expect(said).to_contain_text("lone surrogates")
    page.evaluate("(text) => model.set('text', text)", widget.text)
    shows(view, widget)


def test_a_model_that_does_not_load_is_told(page, view):
    shows(view, TransformerWidget())
    said = view.locator(".lm-status > :first-child")
    page.evaluate("window.weights = model.get('weights')")
    page.evaluate("model.set('weights', new DataView(new ArrayBuffer(0)))")
    expect(said).to_have_text("The model’s weights did not arrive.")
    page.evaluate("model.set('weights', new DataView(weights.buffer, 0, 5000))")
    expect(said).to_contain_text("The model’s file cannot be read")
    page.evaluate("model.set('position', 3)")
    page.evaluate("model.set('step', 5)")
    page.evaluate("model.set('weights', weights)")
    shows(view, TransformerWidget(position=3, step=5))
    page.evaluate("close()")
    assert page.evaluate("listeners.length") == 0
