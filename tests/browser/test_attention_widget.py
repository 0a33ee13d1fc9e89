"""The attention widget: lmmath's numbers, by keyboard, by touch, any text; and on the published page."""

import itertools

import numpy as np
import pytest
from fable_widgets import AttentionWidget
from playwright.sync_api import expect

from lmmath.checkpoints import save_model
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import GPTConfig, init_gpt

LONG = "Leka met Kali the dog near the river. " * 40
BAD_TEXTS = {
    "empty": "",
    "spaces": " \t ",
    "500 words": "she saw the old boat " * 100,
    "10,000 letters": "x" * 10_000,
    "emoji": "🦊 👩‍👩‍👧 she 🏳️‍🌈",
    "script": "<script>document.body.textContent = 'gone'</script>",
    "markup": "<img src=x onerror=alert(1)><b>she</b> &amp;",
    "control characters": "a\x00b\x07\u202eshe",
}
COMPUTE = """
async ([text, choices]) => {
  const [{ attend }, { loadModel }, { tokenize }] = await Promise.all(
    ["attention", "kit/language_model", "kit/reading"].map((name) => import(`/${name}.js`)),
  );
  const { gpt, tokenizer, config } = loadModel(model);
  const { tokens } = tokenize(text, { tokenizer, config });
  const reader = gpt.reader();
  await reader.readAll(tokens);
  const layers = tokens.map((_, i) => reader.trace(i));
  return choices.map((choice) => attend(layers, config, choice).weights);
}
"""


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
    return AttentionWidget(weights=weights, tokenizer=BPETokenizer([]), layer=0, head=0)


@pytest.fixture
def view(mount):
    return mount(AttentionWidget())


def shows(view, widget):
    """Wait until the view shows what Python computes, and compare all of it."""
    row, shares = widget.row, widget.shares
    weights = view.locator(".lm-weight")
    expect(weights).to_have_text([f"{weight:.2f}" for weight in row])
    assert view.locator(".lm-word").all_text_contents() == widget.pieces
    chosen = view.locator(".lm-words input").evaluate_all(
        "inputs => inputs.findIndex(({ checked }) => checked)"
    )
    assert chosen == widget.place
    bars = view.locator(".lm-bar").evaluate_all(
        "bars => bars.map((bar) => ['--weight', '--share'].map((n) => Number(bar.style.getPropertyValue(n))))"
    )
    np.testing.assert_allclose(bars, np.stack([row, shares], axis=1), atol=1e-4)
    opacities = view.locator("canvas").evaluate(
        """(canvas) => {
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          return Array.from({ length: width * height }, (_, i) => data[4 * i + 3] / 255);
        }"""
    )
    np.testing.assert_allclose(opacities, widget.attention.ravel(), atol=0.501 / 255)


def spoken(view):
    return view.locator(".lm-status [role=status]")


def test_every_head_is_lmmaths_with_and_without_mask_and_division(
    page, mount, tmp_path
):
    for widget in (AttentionWidget(), small(tmp_path)):
        mount(widget)
        _, config, _ = widget.model
        names = ("layer", "head", "causal", "scaled")
        heads = itertools.product(range(config.n_layers), range(config.n_heads))
        every = [dict(zip(names, (*one, *both), strict=True)) for one in heads
                 for both in itertools.product([True, False], repeat=2)]  # fmt: skip
        for text, choices in {AttentionWidget().text: every, "": every, LONG: every[4:8]}.items():  # fmt: skip
            widget.text = text
            found = page.evaluate(COMPUTE, [text, choices])
            for choice, weights in zip(choices, found, strict=True):
                for name, value in choice.items():
                    setattr(widget, name, value)
                np.testing.assert_allclose(weights, widget.attention, atol=1e-4)


def test_the_first_state_is_pythons(view):
    shows(view, AttentionWidget())
    assert spoken(view).text_content() == (
        "“gave” attends to “Kali” 0.49, “Kali” 0.41, “met” 0.05."
    )


def test_everything_by_keyboard(page, view):
    widget = AttentionWidget()
    shows(view, widget)
    page.keyboard.press("Tab")  # the choice of a model
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.type(" nuts")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # the layer
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # the head: round to the first
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    widget.text += " nuts"
    widget.layer, widget.head, widget.query = 2, 0, 25
    shows(view, widget)
    page.keyboard.press("ArrowRight")
    widget.query = 26
    shows(view, widget)
    expect(spoken(view)).to_have_text(
        "“gave” attends to “met” 0.49, “dog” 0.20, “⏎” 0.09. "
        "But the largest share of what it fetches, 37 %, comes from “dog”."
    )
    outline = view.locator("label:has(:focus-visible)").evaluate("e => getComputedStyle(e).outline")  # fmt: skip
    assert "3px" in outline
    for switch, said in [("causal", "the mask"), ("scaled", "the mask and the division")]:  # fmt: skip
        page.keyboard.press("Shift+Tab")
        if switch == "causal":
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("Space")
        setattr(widget, switch, False)
        if switch == "causal":
            page.keyboard.press("Tab")
            page.keyboard.press("Tab")
        shows(view, widget)
        assert f"The model was trained with {said}. " in view.inner_text()


def test_by_touch_on_a_telephone(page, mount):
    page.set_viewport_size({"width": 360, "height": 740})
    view = mount(AttentionWidget())
    widget = AttentionWidget(query=13, causal=False)
    shows(view, AttentionWidget())
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def tap(target, across=0.5, down=0.5):
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24
        point = {"x": box["x"] + across * box["width"], "y": box["y"] + down * box["height"]}  # fmt: skip
        for kind, points in [("touchStart", [point]), ("touchEnd", [])]:
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})  # fmt: skip

    tap(view.locator(".lm-words label").nth(13))
    tap(view.locator("label", has_text="causal mask"))
    shows(view, widget)
    tap(view.locator("canvas"), down=12.5 / 28)
    widget.query = 12
    shows(view, widget)
    tap(view.locator("canvas"), down=27.5 / 28)
    widget.query = -1
    shows(view, widget)
    assert page.evaluate("model.get('query')") == -1


def test_any_text_is_text_and_nothing_breaks(page, mount):
    page.set_viewport_size({"width": 360, "height": 740})
    view, widget = mount(AttentionWidget()), AttentionWidget()
    for name, text in {**BAD_TEXTS, "again": widget.text}.items():
        page.evaluate("(text) => model.set('text', text)", text)
        widget.text = text
        shows(view, widget)
        assert view.locator("script, img, b").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        long = name in ("500 words", "10,000 letters")
        assert ("The model sees 128 tokens at most: " in view.inner_text()) == long
    page.evaluate("model.set('text', 'half a sign: \\ud83e')")
    expect(view.locator(".lm-status > :first-child")).to_contain_text("lone surrogates")
    page.evaluate("(text) => model.set('text', text)", widget.text)
    shows(view, widget)


def test_another_model_takes_the_place_of_one_that_does_not_load(page, mount, tmp_path):
    other = small(tmp_path)
    other.text = "abcabcabcabc"
    view = mount(other)
    shows(view, other)
    assert view.get_by_role("group", name="Head").get_by_role("radio").count() == 3
    assert view.get_by_role("group", name="Layer").get_by_role("radio").count() == 2
    said = view.locator(".lm-status > :first-child")
    page.evaluate("window.weights = model.get('weights')")
    page.evaluate("model.set('weights', new DataView(weights.buffer, 0, 99))")
    expect(said).to_contain_text("The model’s file cannot be read")
    for name in ("layer", "head", "query"):
        page.evaluate("(name) => model.set(name, 1)", name)
    page.evaluate("model.set('weights', weights)")
    other.layer = other.head = other.query = 1
    shows(view, other)
    page.evaluate("close()")
    assert page.evaluate("listeners.length") == 0


# On the published chapter


def test_a_token_that_looks_everywhere_alike_still_says_where(mount, tmp_path):
    config = GPTConfig(256, n_positions=256, d_model=4, n_layers=1, n_heads=1)
    params = init_gpt(config, np.random.default_rng(0))
    blank = {name: np.zeros_like(array) for name, array in params.items()}
    save_model(tmp_path / "model.safetensors", blank, config)
    weights = (tmp_path / "model.safetensors").read_bytes()
    model = {"weights": weights, "tokenizer": BPETokenizer([])}
    view = mount(AttentionWidget(text="x" * 250, query=-1, layer=0, head=0, **model))
    expect(spoken(view)).to_have_text("“x” attends to “⏎” 0.00.")


SECTION = "#what-trained-heads-look-at"


def test_the_weights_are_loaded_when_the_widget_comes_into_view(page, site):
    loaded = []
    page.on("request", lambda r: loaded.append(r.url) if r.url.endswith(".bin") else 0)
    page.goto(f"{site}/04-positions.html", wait_until="networkidle")
    page.goto(f"{site}/03-attention.html", wait_until="networkidle")
    widget = page.locator(f"{SECTION} .live-widget")
    assert widget.get_attribute("data-state") is None
    assert page.locator(f"{SECTION} .live-widget-picture").is_visible()
    assert loaded == []
    widget.scroll_into_view_if_needed()
    view = page.locator(f"{SECTION} .live-widget-view")
    shows(view, AttentionWidget())
    assert len(loaded) == 1
    view.get_by_label("Story").fill("Kali was")
    shows(view, AttentionWidget(text="Kali was"))
    page.emulate_media(media="print")
    assert page.locator(f"{SECTION} .live-widget-picture svg").is_visible()
    assert not view.is_visible()


def test_without_javascript_the_picture_says_what_it_shows(new_page, site):
    page = new_page(java_script_enabled=False)
    page.goto(f"{site}/03-attention.html")
    picture = page.locator(f"{SECTION} .live-widget-picture svg")
    assert picture.is_visible()
    said = "“gave” attends most to “Kali”, 0.49 and “Kali”, 0.41."
    assert said in picture.get_attribute("aria-label")


def test_what_comes_and_goes_on_the_page_moves_nothing_below(page, site):
    page.goto(f"{site}/03-attention.html")
    page.locator(f"{SECTION} .live-widget").scroll_into_view_if_needed()
    view = page.locator(f"{SECTION} .live-widget-view")
    heights = set()
    for label in ["causal mask", "divide by √dₖ", "causal mask", "divide by √dₖ"]:
        view.get_by_label(label).press("Space")
        for head in view.get_by_role("group", name="Head").get_by_role("radio").all():
            head.check()
            heights.add(view.bounding_box()["height"])
    assert len(heights) == 1
