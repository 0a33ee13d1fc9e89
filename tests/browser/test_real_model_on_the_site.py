"""The real model on the published site, under its strict policy: traces at once, any text on request."""

import json

import pytest
from playwright.sync_api import expect

from lmmath.traces import SENTENCES

PATIENCE = 60_000  # milliseconds, for 94 MB on a busy machine


@pytest.fixture
def asked(page):
    """The addresses of the site that the page has asked for."""
    addresses = []
    page.on("request", lambda request: addresses.append(request.url))
    return addresses


def of(addresses, folder):
    """Of some addresses, those of binary files in one of the site's folders."""
    return [a for a in addresses if f"/_static/{folder}/" in a and a.endswith(".bin")]


def open_widget(page, address, which=0):
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    place = page.locator(".live-widget:has(.lm-sentence)").nth(which)
    if not place.count():
        page.locator(".live-widget").first.scroll_into_view_if_needed()
    for one in page.locator(".live-widget").all():
        one.scroll_into_view_if_needed()
    place.wait_for()
    place.scroll_into_view_if_needed()
    expect(place).to_have_attribute("data-state", "live", timeout=PATIENCE)
    return place


def spoken(widget):
    return widget.locator(".lm-status [role=status]")


def text_of(widget):
    return widget.get_by_role("textbox", name="Text")


def load(widget):
    widget.get_by_role("button", name="Load the model").click()
    expect(widget.locator(".lm-offer")).to_contain_text(
        "The model is here", timeout=PATIENCE
    )


def test_a_page_opens_on_a_real_sentence_and_loads_no_weights(page, strict_site, asked):
    widget = open_widget(page, f"{strict_site}/index.html")
    expect(spoken(widget)).to_have_text(
        "“it” attends to “cat” 0.48, “on” 0.11, “mat” 0.11."
    )
    assert of(asked, "model") == of(asked, "widgets") == []
    assert len(of(asked, "traces")) == 1
    expect(widget.locator(".lm-offer")).to_contain_text(
        "the whole model, 94 MB, which stays in this browser"
    )


def test_every_sentence_is_a_choice_away(page, strict_site, asked):
    widget = open_widget(page, f"{strict_site}/index.html")
    choice = widget.get_by_label("Sentence")
    options = choice.locator("option").all_text_contents()
    assert options == [*SENTENCES, "your own"]
    for label, text in list(SENTENCES.items())[1:]:
        with page.expect_response(lambda reply: of([reply.url], "traces")):
            choice.select_option(label)
        expect(text_of(widget)).to_have_value(text)
        last = "⏎" if text.endswith("\n") else text[-1]
        expect(widget.locator(".lm-words .lm-word").last).to_contain_text(last)
    assert len(of(asked, "traces")) == len(SENTENCES)
    assert of(asked, "model") == []


def test_heads_are_picked_by_keyboard_and_by_touch(page, strict_site):
    widget = open_widget(page, f"{strict_site}/index.html")
    title = widget.locator(".lm-title")
    expect(title).to_have_text("Layer 10, head 5: looks at the right name")
    widget.get_by_role("slider", name="Layer").focus()
    page.keyboard.press("ArrowRight")
    expect(title).to_contain_text("Layer 11, head 5")
    box = widget.locator(".lm-heads canvas").bounding_box()
    page.mouse.click(box["x"] + 2, box["y"] + 2)
    expect(title).to_contain_text("Layer 1, head 1")
    widget.get_by_label("Heads that are known").select_option(index=1)
    expect(title).to_contain_text("copies what followed the last time")


def test_fable_is_a_choice_away_and_comes_only_then(page, strict_site, asked):
    widget = open_widget(page, f"{strict_site}/index.html")
    assert of(asked, "widgets") == []
    widget.get_by_label("Fable’s small model").check()
    expect(widget.get_by_label("Story")).to_be_visible()
    expect(widget.locator(".lm-status:visible [role=status]")).to_contain_text(
        "“gave” attends to “Kali”"
    )
    assert len(of(asked, "widgets")) == 1
    widget.get_by_label("SmolLM2, a real model").check()
    expect(widget.get_by_label("Story")).to_be_hidden()


def test_own_text_needs_the_model_and_then_is_read(page, strict_site, asked):
    widget = open_widget(page, f"{strict_site}/index.html")
    own = "My grandmother gave the boy her old red bicycle, and he thanked"
    text_of(widget).fill(own)
    expect(spoken(widget)).to_have_text("To read this text, load the model first.")
    load(widget)
    assert len(of(asked, "model")) == 6
    words = widget.locator(".lm-words .lm-word")
    expect(words.last).to_have_text("thanked", timeout=PATIENCE)
    expect(words).to_have_count(14)
    # A head is switched off, and what that costs is told.
    widget.get_by_label("switch this head off").check()
    expect(widget.locator(".lm-note", has_text="Without head 5")).to_contain_text(
        "nats per token, with it"
    )
    widget.get_by_label("switch this head off").uncheck()
    # Any text is text.
    for strange, last in [
        ("שלום 🐈 <b>x</b>", ">"),
        ("\u202eabc\u0000", "�"),
        ("<|endoftext|>", ">"),
    ]:
        text_of(widget).fill(strange)
        expect(words.last).to_contain_text(last, timeout=PATIENCE)
    assert widget.locator(".lm-words b").count() == 0
    text_of(widget).fill("word " * 20_000)
    expect(spoken(widget)).to_contain_text("at most 256 tokens", timeout=PATIENCE)
    text_of(widget).fill("Short again.")
    expect(words.last).to_have_text(".", timeout=PATIENCE)
    # The page asks for the model once; a second visit has it.
    page.reload()
    del asked[:]
    widget = open_widget(page, f"{strict_site}/index.html")
    expect(widget.locator(".lm-offer")).to_contain_text("is in this browser")
    load(widget)
    assert of(asked, "model") == []


def test_two_widgets_share_the_model_and_it_writes(page, strict_site, asked):
    widget = open_widget(page, f"{strict_site}/09-sampling.html")
    expect(spoken(widget)).to_contain_text("Most probable is “France” 0.9")
    load(widget)
    text_of(widget).fill("What is the capital of France?")
    widget.get_by_label("put it as a question, in the chat template").check()
    expect(spoken(widget)).to_contain_text("Most probable is “The”", timeout=PATIENCE)
    temperature = widget.get_by_role("slider", name="Temperature")
    temperature.focus()
    page.keyboard.press("Home")
    widget.get_by_role("button", name="Write on").click()
    expect(widget.locator(".lm-story:visible")).to_contain_text(
        "The capital of France is Paris.", timeout=PATIENCE
    )
    assert len(of(asked, "model")) == 6


def test_a_feature_of_the_stream_is_set_to_zero(page, strict_site):
    widget = open_widget(page, f"{strict_site}/05-transformer.html")
    expect(spoken(widget)).to_contain_text("If the model stopped after block 12")
    widget.get_by_label("block 30").check()
    expect(spoken(widget)).to_contain_text(
        "What the model says: after “of” comes “France”"
    )
    load(widget)
    widget.get_by_label("block 12").check()
    widget.get_by_label("set this feature to zero").check()
    effect = widget.locator(".lm-note", has_text="With this feature at zero")
    expect(effect).to_contain_text("nats per token, before", timeout=PATIENCE)
    after, before = [
        float(word.strip(".,"))
        for word in effect.inner_text().split()
        if word.strip(".,").replace(".", "").isdigit()
    ]
    assert after > before + 5


def test_the_angles_of_an_own_text(page, strict_site):
    widget = open_widget(page, f"{strict_site}/10-geometry.html")
    expect(spoken(widget)).to_contain_text("between two of these 12 tokens")
    load(widget)
    text_of(widget).fill("Six short words are read here.")
    expect(spoken(widget)).to_contain_text("between two of these 8 tokens")
    widget.get_by_role("slider", name="After").fill("12")
    fact = widget.locator(".lm-note", has_text="The largest number here")
    expect(fact).to_contain_text("in feature 507.")
    first = widget.locator(".lm-words .lm-weight").first
    with_it = float(first.inner_text().replace("\u2212", "-"))
    widget.get_by_label("without the largest feature").check()
    expect(first).to_contain_text("\u2212")
    assert with_it > 0


def test_a_device_with_little_memory_keeps_the_sentences(new_page, strict_site):
    page = new_page(viewport={"width": 360, "height": 740})
    page.add_init_script(
        "Object.defineProperty(navigator, 'deviceMemory', { get: () => 1 })"
    )
    widget = open_widget(page, f"{strict_site}/index.html")
    expect(widget.locator(".lm-offer")).to_contain_text("too little memory")
    expect(widget.get_by_role("button", name="Load the model")).to_be_hidden()
    expect(spoken(widget)).to_contain_text("“it” attends to “cat”")


def test_the_site_lists_what_it_has(page, strict_site):
    page.goto(f"{strict_site}/index.html")
    read = "async (path) => (await (await fetch(path)).json())"
    index = page.evaluate(read, f"{strict_site}/_static/traces/index.json")
    assert {s["label"]: s["text"] for s in index["sentences"]} == SENTENCES
    assert all(s["size"] < 150_000 for s in index["sentences"])
    model = page.evaluate(read, f"{strict_site}/_static/model/index.json")
    assert sum(piece["size"] for piece in model["pieces"]) == model["size"]
    assert all(piece["size"] <= 16 * 2**20 for piece in model["pieces"])
    assert json.dumps(model)
