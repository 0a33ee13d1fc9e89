"""The widget of chapter 8: merges and ids as in lmmath, by keyboard, with any text."""

import numpy as np
import pytest

from lmmath.tokenization import BPETokenizer
from lmmath.widgets import TokenizationWidget
from lmmath.widgets.tokenization import _label

TEXTS = [
    "",
    "a",
    "aaabdaaabac",
    "low low low lower newest newest widest",
    "é é naïve ÿþ 🦊🐭🦊🐭 👩‍👩‍👧 👩‍👩‍👧",
    " \n\n\t a\x00b\x07\u202e\ufeff",
    "<b>&amp;</b> </script>",
    "Leka the mouse lived in the desert.\nThere was a sly fox.",
]


def random_texts(n):
    """Draw texts of few signs, so that they have much to merge, and some of any sign."""
    rng = np.random.default_rng(8)
    few = [*"ab é🦊\n'1."]
    for i in range(n):
        size = int(rng.integers(60))
        if i % 4:
            yield "".join(rng.choice(few, size))
        else:
            codes = rng.integers(1, 0xD800, size)
            yield "".join(map(chr, codes))


COMPUTE = """
async (cases) => {
  const { compute, learn, numbering } = await import("/tokenization.js");
  const results = [];
  for (const [text, n] of cases) {
    const all = await learn(text);
    const merges = all.slice(0, n);
    const { pieces, frequencies } = compute(text, merges);
    results.push([all.length, pieces.flat().map(numbering(merges)), frequencies, merges.at(-1)?.count ?? 0]);
  }
  return results;
}
"""


def latin(pair):
    return tuple(token.encode("latin-1") for token in pair)


def test_merges_ids_and_counts_are_those_of_lmmath(page, call):
    rng = np.random.default_rng(1)
    cases = [(text, int(rng.integers(30))) for text in [*TEXTS, *random_texts(150)]]
    cases += [(text, 10_000) for text in TEXTS]
    for (text, n), (total, ids, frequencies, count) in zip(
        cases, page.evaluate(COMPUTE, cases), strict=True
    ):
        widget = TokenizationWidget(text=text, n_merges=n)
        assert ids == widget.ids
        assert {latin(e["pair"]): e["count"] for e in frequencies} == widget.frequencies
        assert count == widget.count
        assert total == len(TokenizationWidget(text=text, n_merges=1000).merges)


@pytest.fixture
def view(mount):
    view = mount(TokenizationWidget())
    view.locator(".lm-token").first.wait_for()
    return view


def matching(page):
    script = "() => ['text', 'n_merges', 'source'].map((name) => model.get(name))"
    text, n_merges, source = page.evaluate(script)
    return TokenizationWidget(text=text, n_merges=n_merges, source=source)


def shows_lmmaths_tokens(page, view):
    widget = matching(page)
    vocab = BPETokenizer(widget.merges).vocab
    ids = [int(text) for text in view.locator(".lm-token small").all_inner_texts()]
    assert ids == widget.ids[:300]
    labels = view.locator(".lm-token > span").all_text_contents()
    plain = [(i, label) for i, label in enumerate(labels) if "⟨" not in label]
    assert [label for _, label in plain] == [_label(vocab[ids[i]]) for i, _ in plain]
    parts = view.locator(".lm-part > span").all_text_contents()
    assert all(label.startswith(("⟨", "␣")) for label in parts)
    counts = view.locator(".lm-counts").inner_text()
    n_bytes = len(widget.text.encode())
    assert counts.startswith(f"{len(widget.text):,} character")
    assert f"· {n_bytes:,} byte" in counts
    assert f"· {len(widget.ids):,} token" in counts
    if widget.merges:
        status = view.locator(".lm-status").inner_text()
        times = "once" if widget.count == 1 else f"{widget.count:,} times"
        assert status.startswith(f"Merge {len(widget.merges)}: ")
        assert f"side by side {times}, become" in status


def test_by_keyboard_merge_by_merge(page, view):
    shows_lmmaths_tokens(page, view)
    slider = page.get_by_role("slider", name="Merges")
    slider.focus()
    page.keyboard.press("Home")
    assert "No merge yet" in view.locator(".lm-status").inner_text()
    shows_lmmaths_tokens(page, view)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        shows_lmmaths_tokens(page, view)
    assert slider.get_attribute("aria-valuetext") == "3 of 44, a vocabulary of 259"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Previous merge
    assert matching(page).n_merges == 2
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Next merge
    page.keyboard.press("Enter")
    assert matching(page).n_merges == 4
    # The pair that merges next stands first.
    first = (
        view.get_by_role("list", name="Pairs side by side")
        .get_by_role("listitem")
        .first
    )
    name, count = (
        first.locator(".lm-name").inner_text(),
        first.locator(".lm-number").inner_text(),
    )
    page.keyboard.press("Enter")
    shows_lmmaths_tokens(page, view)
    widget = matching(page)
    assert name.strip() == " + ".join(map(_label, widget.merges[-1]))
    assert int(count) == widget.count
    slider.focus()
    page.keyboard.press("End")
    shows_lmmaths_tokens(page, view)
    page.get_by_role("radio", name="Fable").check()
    shows_lmmaths_tokens(page, view)
    assert "44 of 256" in view.inner_text()


def test_play_goes_to_the_end_and_pauses(page, view):
    page.get_by_role("textbox").fill("aaab")
    page.wait_for_function("document.querySelectorAll('.lm-token').length === 1")
    page.get_by_role("button", name="Play").click()  # from the end it begins again
    page.get_by_role("button", name="Pause").wait_for()
    page.wait_for_function("model.get('n_merges') === 3")
    page.get_by_role("button", name="Play").wait_for()
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    assert matching(page).n_merges == 0


def test_any_text_on_a_telephone(page, view):
    page.set_viewport_size({"width": 360, "height": 740})
    long = ["x" * 10_000, "the mouse " * 1000, "🦊 " * 5000]
    for text in [*TEXTS, *long]:
        page.get_by_role("textbox").fill(text)
        text = page.get_by_role("textbox").input_value()
        ready = "(n) => document.querySelector('.lm-counts').textContent.startsWith(n)"
        page.wait_for_function(ready, arg=f"{len(text):,} character")
        shows_lmmaths_tokens(page, view)
        assert view.locator("script, b").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        if not text:
            assert "Type a text" in view.locator(".lm-status").inner_text()
    page.get_by_role("textbox").fill("y" * 10_001)
    view.get_by_text("Used are the first 10,000 characters.").wait_for()
    page.evaluate("model.set('text', 'a\\ud800b')")
    view.get_by_text("A text must hold no lone surrogates").first.wait_for()
    page.get_by_role("button", name="Next merge").click()
    assert view.locator(".lm-token").count() == 0
    page.evaluate("model.set('text', 'abab')")
    view.locator(".lm-token").first.wait_for()
    shows_lmmaths_tokens(page, view)
