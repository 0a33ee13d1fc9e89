"""The widget of chapter 9: formulas and truth as in lmmath, by keyboard and by touch, with any text."""

import json

import numpy as np
import pytest
from fable_widgets import SamplingWidget
from scipy.special import log_softmax

from lmmath import fable
from lmmath.attention import entropy, softmax
from lmmath.fable.tokens import TokenReader
from lmmath.sampling import (
    min_p_filter,
    sample,
    temperature_softmax,
    top_k_filter,
    top_p_filter,
)
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import gpt
from lmmath.weights import DIRECTORY
from lmmath.widgets.engines.fable import language
from lmmath.widgets.sampling import window

SHIPPED = DIRECTORY / "tokenizer.json"


def close(actual, expected, atol=1e-12):
    np.testing.assert_allclose(np.asarray(actual, float), expected, 1e-12, atol)


# The formulas


def random_rules(rng):
    return {
        "temperature": float(np.exp(rng.uniform(-4.6, 4.6))),
        "topK": int(rng.integers(1, 12)),
        "topP": float(rng.choice([1, rng.uniform(0.01, 1)])),
        "minP": float(rng.choice([0, 1, rng.uniform(0, 0.5)])),
    }


def random_logits(rng):
    logits = rng.normal(scale=rng.choice([0.1, 3, 300]), size=rng.integers(1, 40))
    if rng.random() < 0.3:
        logits = np.round(logits)  # many are equal
    if len(logits) > 1 and rng.random() < 0.3:
        logits[rng.integers(len(logits))] = -np.inf
    return logits if np.isfinite(logits).any() else np.zeros(3)


APPLY = """
async (cases) => {
  const s = await import("/engines/sampler.js");
  const { entropy, softmax } = await import("/engines/mathematics.js");
  return cases.map(([logits, rules, u]) => [
    s.temperatureSoftmax(logits, rules.temperature),
    s.topKFilter(logits, rules.topK),
    s.topPFilter(logits, rules.topP),
    s.minPFilter(logits, rules.minP),
    s.truncate(logits, rules),
    [s.drawToken(softmax(s.truncate(logits, rules)), u), entropy(s.temperatureSoftmax(logits, rules.temperature))],
  ].map((row) => Array.from(row)));
}
"""


class Fixed(np.random.Generator):
    """A generator whose only number is known."""

    def __init__(self, u):
        super().__init__(np.random.PCG64())
        self.u = u

    def random(self, size=None):
        return np.full(size, self.u)


def test_the_rules_are_those_of_lmmath(page, call):
    rng = np.random.default_rng(9)
    cases = [(random_logits(rng), random_rules(rng), rng.random()) for _ in range(200)]
    cases += [(x, rules, u) for x, rules, _ in cases[:20] for u in (0.0, 1 - 2**-32)]
    got = page.evaluate(APPLY, [[x.tolist(), rules, u] for x, rules, u in cases])
    for (logits, rules, u), (tempered, by_k, by_p, by_min, truncated, drawn) in zip(
        cases, got, strict=True
    ):
        temperature, k, p, min_p = rules.values()
        close(tempered, temperature_softmax(logits, temperature))
        close(by_k, top_k_filter(logits, k))
        close(by_p, top_p_filter(logits, p))
        close(by_min, min_p_filter(logits, min_p))
        cooled = log_softmax(logits / temperature)
        left = top_p_filter(top_k_filter(cooled, k), p)
        close(softmax(np.asarray(truncated, float)), softmax(min_p_filter(left, min_p)))
        token = sample(logits, Fixed(u), temperature, k, p, min_p)
        assert drawn[0] == token
        close(drawn[1], entropy(temperature_softmax(logits, temperature)))


def murmur(seed, i):
    """Number i of a seed, in arithmetic modulo 2 ** 32."""
    mask = 0xFFFFFFFF
    h = (seed + (i + 1) * 0x9E3779B9) & mask
    h = (h ^ h >> 16) * 0x85EBCA6B & mask
    h = (h ^ h >> 13) * 0xC2B2AE35 & mask
    return (h ^ h >> 16) / 2**32


def test_the_uniform_numbers_of_a_seed(page, call):
    script = """
    async (seeds) => {
      const { uniform } = await import("/engines/sampler.js");
      return seeds.map((seed) => Array.from({ length: 2000 }, (_, i) => uniform(seed, i)));
    }
    """
    seeds = [0, 1, 9, 123_456, 999_999]
    got = np.asarray(page.evaluate(script, seeds))
    assert got.tolist() == [[murmur(seed, i) for i in range(2000)] for seed in seeds]
    assert got.min() >= 0
    assert got.max() < 1
    # Flat, and alike neither along a seed nor from one to the next.
    counts = np.stack(
        [np.bincount(row, minlength=10) for row in (10 * got).astype(int)]
    )
    assert counts.min() > 140
    assert np.abs(np.corrcoef(got)[np.triu_indices(5, 1)]).max() < 0.1
    assert abs(np.corrcoef(got[:, 1:].ravel(), got[:, :-1].ravel())[0, 1]) < 0.03


# The truth

TRUTH = """
async ([language, content, texts]) => {
  const { Fable } = await import("/engines/fable.js");
  const { BPETokenizer } = await import("/engines/bpe.js");
  const fable = new Fable(language, new BPETokenizer(content));
  return texts.map((tokens) => {
    let state = fable.begin();
    const all = [[...fable.expected(state)]];
    for (const token of tokens) {
      state = fable.read(state, token);
      if (state === null) return all;
      all.push([...fable.expected(state)]);
    }
    return all;
  });
}
"""


def true_expectations(tokens, reader):
    """What the language expects at each place, as long as it can go along."""
    state = reader.begin()
    found = [reader.expected(state)]
    for token in tokens:
        if token not in found[-1]:
            break
        state = reader.read(state, token)
        found.append(reader.expected(state))
    return found


@pytest.mark.parametrize("name", ["the book's", "bytes"])
def test_the_truth_is_that_of_lmmath_after_any_prefix(page, call, tmp_path, name):
    rng = np.random.default_rng(10)
    if name == "bytes":
        BPETokenizer([]).save(tmp_path / "tokenizer.json")
        path, n_words = tmp_path / "tokenizer.json", 30
    else:
        path, n_words = SHIPPED, 1200
    tokenizer = BPETokenizer.load(path)
    text = fable.to_text(fable.sample(n_words, rng))
    tokens = tokenizer.encode(text)
    texts = [tokens]
    for _ in range(60):  # texts that leave the language, or not
        n = int(rng.integers(40))
        wrong = int(rng.choice(tokens if rng.random() < 0.5 else tokenizer.vocab_size))
        texts.append([*tokens[:n], wrong, *tokens[n + 1 : n + 3]])
    got = page.evaluate(TRUTH, [language(), json.loads(path.read_text("utf-8")), texts])
    reader = TokenReader(tokenizer)
    assert len(got[0]) == len(tokens) + 1
    for tokens, found in zip(texts, got, strict=True):
        expected = true_expectations(tokens, reader)
        assert len(found) == len(expected)
        for pairs, true in zip(found, expected, strict=True):
            assert dict(pairs).keys() == true.keys()
            close([p for _, p in pairs], [true[token] for token, _ in pairs])


# The widget


@pytest.fixture
def view(page, mount):
    view = mount(SamplingWidget())
    view.get_by_role("listitem").first.wait_for()
    return view


def matching(page):
    """Give the widget that has in Python the traits that it has on the page."""
    names = ["text", "drawn", "temperature", "top_k", "top_p", "min_p", "seed"]
    script = (
        "(names) => Object.fromEntries(names.map((name) => [name, model.get(name)]))"
    )
    return SamplingWidget(**page.evaluate(script, names))


def number(text):
    return float({"–": "nan", "<0.001": "0"}.get(text, text))


def shows_lmmaths_numbers(page, view):
    """Compare all numbers: three digits are shown of what agrees to 1e-4."""
    widget = matching(page)
    top = np.argsort(-widget.logits, kind="stable")[:12]
    others = np.setdiff1d(np.arange(512), top)
    model, true, kept = widget.probabilities, widget.truth, widget.kept
    if true is None:
        true = np.full(512, np.nan)
    bars = view.locator(".lm-number > span:last-child").all_inner_texts()
    expected = [[*p[top], p[others].sum()] for p in (model, true)]
    close(np.reshape([*map(number, bars)], (-1, 2)).T, expected, 7e-4)
    counts, nats, bits, left_out = (
        [number(text) for text in row.split("\t")[1:]]
        for row in view.locator("tbody tr").all_inner_texts()
    )
    p = widget.drawn_from[kept]
    assert counts[:2] == [512, kept.sum()]
    close(nats[1], -np.sum(p * np.log(p)), 2e-3)
    close(bits[1], -np.sum(p * np.log2(p)), 3e-3)
    close([left_out[0], left_out[2]], [widget.mass_left_out, true[~kept].sum()], 7e-4)


def wait_for_story(page, text):
    script = "(text) => document.querySelector('.lm-story').textContent === text"
    page.wait_for_function(script, arg=text)


def test_what_is_shown_are_lmmaths_numbers(page, view):
    shows_lmmaths_numbers(page, view)
    rules = {"temperature": 1.5, "top_p": 0.9, "top_k": 9, "min_p": 0.2}
    for name, value in rules.items():
        # At once: the model does not read the text again.
        script = """([name, value]) => {
          const before = document.querySelector(".lm-widget").textContent;
          model.set(name, value);
          return document.querySelector(".lm-widget").textContent !== before;
        }"""
        assert page.evaluate(script, [name, value])
        shows_lmmaths_numbers(page, view)
    for text in ("", "Leka the mou", "Tom <b>sat</b>"):
        page.get_by_label("The story begins").fill(text)
        wait_for_story(page, text)
        shows_lmmaths_numbers(page, view)


def test_a_seed_draws_the_same_story_again_and_lmmath_draws_it_too(page, view):
    beginning = SamplingWidget(text="Leka")
    params, config, tokenizer = beginning.model
    tokens = beginning.tokens
    for i in range(6):
        logits = gpt(params, np.asarray(tokens), config)[-1]
        tokens.append(int(sample(logits, Fixed(murmur(7, i)), top_p=0.98)))
    story = tokenizer.decode(tokens[1:])

    page.get_by_label("The story begins").fill("Leka")
    page.get_by_label("Seed").fill("7")
    page.keyboard.press("Enter")
    page.evaluate("model.set('top_p', 0.98)")
    for _ in range(
        6
    ):  # without waiting: no press is lost, and none draws from an old text
        view.get_by_role("button", name="Next token").click()
    wait_for_story(page, story)
    assert matching(page).drawn == tokens[-6:]
    shows_lmmaths_numbers(page, view)
    view.get_by_role("button", name="Start over").click()
    wait_for_story(page, "Leka")
    view.get_by_role("button", name="Whole story").click()
    page.wait_for_function(
        "document.querySelector('.lm-story').textContent.endsWith('\\n')"
    )
    assert matching(page).story.startswith(story)
    assert matching(page).story.endswith(".\n")

    # A hand that does something else stops a story: two frames later nothing has been added.
    view.get_by_role("button", name="Whole story").click()
    view.get_by_role("button", name="Start over").click()
    frames = "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"
    page.evaluate(frames)
    wait_for_story(page, "Leka")


def test_by_keyboard_a_token_is_picked_and_taken_back(page, view):
    text = SamplingWidget().text
    page.get_by_role("button", name="Next token").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("model.get('drawn').length === 1")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # Back
    wait_for_story(page, text)
    page.get_by_role("slider", name="Temperature").focus()
    page.keyboard.press("End")
    assert matching(page).temperature == 10
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert matching(page).top_k == 1
    assert "Kept are 1 of 512 tokens." in view.locator(".lm-status").inner_text()
    best = view.get_by_role("listitem").first.get_by_role("button")
    best.focus()
    label = best.inner_text()
    page.keyboard.press("Enter")
    wait_for_story(page, text + label.replace("␣", " "))
    others = view.get_by_role("button", name="500 others")
    assert others.is_disabled()


def test_what_fable_cannot_produce_is_said_and_marked(page, view):
    page.get_by_label("The story begins").fill("There was no fox")
    said = "Fable cannot produce this text: after “␣was” it has no “␣n”."
    view.get_by_text(said).first.wait_for()
    fox = SamplingWidget().tokenizer.encode(" fox")
    page.evaluate("(drawn) => model.set('drawn', drawn)", fox)
    page.get_by_label("The story begins").fill("There was a sly")
    wait_for_story(page, "There was a sly fox")
    assert view.locator(".lm-impossible").count() == 0
    page.evaluate("(drawn) => model.set('drawn', drawn)", fox * 3)
    wait_for_story(page, "There was a sly fox fox fox")
    impossible = view.locator(".lm-impossible").all_text_contents()
    assert "".join(impossible) == " fox fox"


BAD_TEXTS = [
    "x" * 10_000,
    "Leka the mouse lived in the desert. " * 280,
    fable.to_text(fable.sample(1000, np.random.default_rng(1))).replace("\n", " "),
    "<img src=x onerror=alert(1)><script>document.body.textContent = 'gone'</script>",
    "a\x00b\x07\u202e 👩‍👩‍👧",
    " \t ",
]


def test_any_text_on_a_telephone(page, view):
    page.set_viewport_size({"width": 360, "height": 740})
    for text in BAD_TEXTS:
        page.evaluate("(text) => model.set('text', text)", text)
        wait_for_story(page, text)
        assert view.locator("script, img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.evaluate("model.set('text', 'a\\ud800b')")
    view.get_by_text("A text must hold no lone surrogates").first.wait_for()
    page.get_by_label("The story begins").fill("Leka")
    wait_for_story(page, "Leka")
    view.get_by_role("list").wait_for()
    shows_lmmaths_numbers(page, view)


def test_long_texts_have_the_logits_of_their_end(page, call):
    script = """
    async ([lengths, n]) => {
      const { windowOf } = await import("/sampling.js");
      return lengths.map((length) => windowOf(Array.from(Array(length).keys()), n));
    }
    """
    for n in (1, 2, 7, 128):
        lengths = [0, 1, n - 1, n, n + 1, n + n // 2, 2 * n, 3 * n + 1]
        expected = [window(list(range(length)), n) for length in lengths]
        assert page.evaluate(script, [lengths, n]) == expected


def test_a_model_that_does_not_load_is_told_and_may_come_later(page, view):
    page.evaluate("""() => {
      window.good = model.get("weights");
      model.set("weights", new DataView(new ArrayBuffer(9)));
    }""")
    view.get_by_text("The model’s file cannot be read").first.wait_for()
    assert view.get_by_role("list").count() == 0
    view.get_by_role(
        "button", name="Next token"
    ).click()  # does nothing, and harms nothing
    page.evaluate("model.set('weights', good)")
    view.get_by_role("list").wait_for()
    shows_lmmaths_numbers(page, view)
    page.evaluate("model.set('drawn', [600])")
    view.get_by_text("from 0 to 511, got 600").first.wait_for()
