"""A model learns in the page: it starts, stops, goes on after a reload, and its file is lmmath's."""

import numpy as np
import pytest
import traitlets

from lmmath import fable
from lmmath.checkpoints import load_model
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import gpt
from lmmath.weights import load_fable_gpt
from lmmath.widgets import LearningWidget
from lmmath.widgets.engines.fable import language
from lmmath.widgets.kit.language_model import Tokenizer

TINY = {
    "d_model": 8,
    "n_layers": 1,
    "n_heads": 1,
    "n_positions": 16,
    "batch_size": 2,
}
TEXT = "one fish two fish red fish blue fish. " * 30
READ_STATUS = "() => document.querySelector('.lm-status').firstChild.textContent"


class TinyWidget(LearningWidget):
    """Has models so small that nothing takes long."""

    @traitlets.default("sizes")
    def _default_sizes(self):
        return {"small": TINY, "medium": TINY | {"d_model": 16}}


@pytest.fixture
def view(mount):
    return mount(TinyWidget(text=TEXT, learning_rate=0.01))


def press(page, name):
    page.get_by_role("button", name=name, exact=True).press("Enter")


def wait_for(page, condition):
    page.wait_for_function(f"() => {{ {condition} }}")


def begin(page, n_steps=50):
    """Start, wait until there were so many steps, and stop; gives the step."""
    press(page, "Start")
    return go_on_to(page, n_steps)


def go_on_to(page, n_steps):
    wait_for(
        page,
        "const found = document.querySelector('.lm-plot [role=img]').ariaLabel.match(/Step ([\\d,]+):/);"
        f"return found && Number(found[1].replaceAll(',', '')) >= {n_steps};",
    )
    press(page, "Stop")
    page.get_by_role("button", name="Go on", exact=True).wait_for()
    wait_for(page, f"return ({READ_STATUS})().startsWith('Stopped. Step')")
    return step_of(page)


def step_of(page):
    words = page.evaluate(READ_STATUS)
    return int(words.split("Step ")[1].split(":")[0].replace(",", ""))


def loss_of(page):
    return float(page.evaluate(READ_STATUS).split("loss ")[1].split()[0])


def kept(page):
    """Give what the browser keeps, when it has been kept at the step shown."""
    found = page.evaluate(
        """async (step) => {
          const { keptRun } = await import("/engines/kept_run.js");
          for (let i = 0; i < 100; i += 1) {
            const run = await keptRun();
            if (run?.state.learner.step === step) {
              const { GPT } = await import("/engines/gpt.js");
              const { config, params } = run.state.learner;
              const reader = new GPT(config, params).reader();
              const logits = [1, 2, 3, 101].map((token) => Array.from(reader.read(token)));
              return { logits, settings: run.settings, choices: run.choices };
            }
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }""",
        step_of(page),
    )
    assert found
    return found


# The widget


def test_a_model_starts_learns_and_writes(page, view):
    assert page.get_by_role("button", name="Another sample").is_disabled()
    begin(page, 300)
    shares = np.bincount(np.frombuffer(TEXT.encode(), np.uint8)) / len(TEXT)
    unigram = -np.sum(shares[shares > 0] * np.log(shares[shares > 0]))
    assert loss_of(page) < unigram
    assert f"gives {unigram:.3g}." in page.evaluate(READ_STATUS)
    assert f"counting tokens: {unigram:.3g}" in view.inner_text()
    assert view.get_by_text("floor:").count() == 0
    steps = view.locator(".lm-learning-samples .lm-note").all_inner_texts()
    assert steps[-1] == "Step 0"
    count = len(steps)
    press(page, "Another sample")
    wait_for(
        page,
        f"return document.querySelectorAll('.lm-learning-samples li').length > {count}"
        " || document.querySelector('.lm-learning-samples .lm-note').textContent"
        f" !== '{steps[0]}'",
    )


def test_it_stops_and_goes_on_by_keyboard(page, view):
    step = begin(page, 20)
    page.wait_for_timeout(300)
    assert step_of(page) == step
    assert page.evaluate("document.activeElement.textContent") == "Go on"
    page.keyboard.press("Enter")
    assert go_on_to(page, step + 20) > step
    press(page, "Start over")
    assert go_on_to(page, 1) < 10_000


def test_a_change_of_the_learning_rate_reaches_the_model(page, view):
    press(page, "Start")
    view.get_by_label("Learning rate").press("End")
    assert page.evaluate("model.get('learning_rate')") == 0.1
    go_on_to(page, 10)
    assert kept(page)["settings"]["rate"] == 0.1


def test_fable_has_a_floor(page, mount):
    widget = TinyWidget()
    view = mount(widget)
    begin(page, 3)
    assert f"floor: {widget.floor:.3g}" in view.inner_text()
    assert "above the floor" in page.evaluate(READ_STATUS)
    shown = view.inner_text().split("counting tokens: ")[1].split()[0]
    assert abs(float(shown) - widget.unigram) < 0.03


def test_a_reload_loses_nothing(page, mount):
    mount(TinyWidget(text=TEXT, learning_rate=0.02, size="medium"))
    step = begin(page, 60)
    assert kept(page)["choices"] == {"text": TEXT, "size": "medium", "seed": 1}
    loss = loss_of(page)
    view = mount(TinyWidget())  # opens the page anew
    press(page, f"Go on from step {step}")
    wait_for(page, "return model.get('size') === 'medium'")
    assert page.evaluate("model.get('text')") == TEXT
    assert page.evaluate("model.get('learning_rate')") == 0.02
    assert go_on_to(page, step + 1) > step
    assert loss_of(page) < 2 * loss
    assert "Step 0" in view.locator(".lm-learning-samples").inner_text()


def test_what_was_kept_can_be_forgotten(page, mount):
    mount(TinyWidget(text=TEXT))
    begin(page, 5)
    kept(page)
    mount(TinyWidget(text=TEXT))
    press(page, "Forget it")
    assert page.evaluate("document.activeElement.textContent") == "Start"
    wait_for(page, "return document.querySelector('.lm-offer').hidden")
    view = mount(TinyWidget(text=TEXT))
    page.wait_for_timeout(100)
    assert not view.locator(".lm-offer").is_visible()


def test_the_files_are_those_of_lmmath(page, view, tmp_path):
    begin(page, 30)
    expected = kept(page)["logits"]
    for name, file in (
        ("weights", "model.safetensors"),
        ("tokenizer", "tokenizer.json"),
    ):
        with page.expect_download() as download:
            press(page, f"Download the {name}")
        assert download.value.suggested_filename == file
        download.value.save_as(tmp_path / file)
    params, config = load_model(tmp_path / "model.safetensors", np.float64)
    found = gpt(params, np.array([1, 2, 3, 101]), config)
    np.testing.assert_allclose(found, expected, 1e-10, 1e-10)
    tokenizer = BPETokenizer.load(tmp_path / "tokenizer.json")
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert tokenizer.vocab_size == config.vocab_size


def test_it_pauses_while_the_page_is_hidden(page, view):
    press(page, "Start")
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    wait_for(page, f"return ({READ_STATUS})().startsWith('The model learns')")
    page.evaluate(hide, True)
    wait_for(
        page,
        f"return ({READ_STATUS})().startsWith('It pauses while the page is hidden.')",
    )
    page.evaluate(hide, False)
    wait_for(page, f"return ({READ_STATUS})().startsWith('The model learns')")
    go_on_to(page, 10)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("'hello'", "The text has 5 bytes. To be learned it must have at least 17."),
        ("'😀'", "The text has 4 bytes. To be learned it must have at least 17."),
        ("'\\ud800'.repeat(20)", "A text must hold no lone surrogates, which UTF-8 cannot write, got U+D800."),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_learned_says_why(page, view, text, says):
    page.evaluate(f"model.set('text', {text})")
    press(page, "Start")
    wait_for(
        page,
        f"return ({READ_STATUS})().startsWith('The text has') || ({READ_STATUS})().startsWith('A text')",
    )
    assert page.evaluate(READ_STATUS) == says
    page.evaluate("(text) => model.set('text', text)", TEXT)
    begin(page, 3)


@pytest.mark.parametrize(
    "text",
    ["a" * 100_000, "😀 hello 🎉 " * 300, "שלום עולם. " * 300, "<img src=x onerror=alert(1)>" * 30],
)  # fmt: skip
def test_any_text_is_learned_and_stays_a_text(page, view, text):
    view.get_by_label("Text to learn").fill(text)
    begin(page, 30)
    samples = view.locator(".lm-learning-samples")
    assert samples.locator("li p").first.inner_text()
    assert samples.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_browser_that_keeps_nothing_is_told(page, mount):
    page.add_init_script(
        "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };"
    )
    view = mount(TinyWidget(text=TEXT))
    view.get_by_text("This browser keeps nothing here").wait_for()
    begin(page, 5)
    view.get_by_text("This browser keeps nothing here").wait_for()


def test_a_changed_choice_waits_for_the_next_start(page, view):
    begin(page, 5)
    view.get_by_label("medium").press("Space")
    view.get_by_text("What you have chosen counts when you start over.").wait_for()
    press(page, "Start over")
    go_on_to(page, 5)
    assert view.get_by_text("What you have chosen").count() == 0


def test_nothing_goes_on_when_the_view_is_gone(page, view):
    press(page, "Start")
    wait_for(page, f"return ({READ_STATUS})().startsWith('The model learns')")
    page.evaluate("close()")
    before = view.inner_text()
    page.wait_for_timeout(600)
    assert view.inner_text() == before
    assert page.evaluate("listeners.length") == 0


def test_nothing_runs_sideways_on_a_telephone(page, mount):
    page.set_viewport_size({"width": 360, "height": 800})
    mount(TinyWidget(text=TEXT), "dark")
    begin(page, 20)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


# The worker

FOLLOW = """
async ([size, text, rates, steps]) => {
  const { ModelInTraining } = await import("/kit/model_in_training.js");
  const { Learner } = await import("/engines/learner.js");
  const open = () => {
    const losses = [];
    const model = new ModelInTraining((news) => losses.push(...(news.losses ?? [])));
    const learn = async (count) => {
      const before = losses.length;
      await model.ask("run");
      while (losses.length - before < count) await new Promise((resolve) => setTimeout(resolve, 10));
      await model.ask("pause");
    };
    return { model, losses, learn };
  };
  const one = open();
  await one.model.ask("begin", { text, size, seed: 7, rate: rates[0], temperature: 1 });
  await one.learn(steps);
  const turn = one.losses.length;
  await one.model.ask("set", { rate: rates[1] });
  await one.learn(steps);
  const end = one.losses.length;

  const state = await one.model.ask("state");
  const two = open();
  const { step } = await two.model.ask("resume", { state, rate: rates[1], temperature: 1 });
  await one.learn(steps);
  await two.learn(steps);
  [one, two].forEach(({ model }) => model.close());

  const { batch_size, ...sizes } = size;
  const tokens = Array.from(new TextEncoder().encode(text));
  const config = { vocab_size: 256, ...sizes };
  const learner = new Learner({ config, tokens, seed: 7, batchSize: batch_size });
  const expected = one.losses.map((_, i) => learner.step(rates[Number(i >= turn)]).loss);
  const common = Math.min(two.losses.length, one.losses.length - end);
  return {
    step: step - end,
    followed: String(expected) === String(one.losses),
    resumed: String(two.losses.slice(0, common)) === String(expected.slice(end, end + common)),
  };
}
"""


def test_the_losses_are_those_of_a_learner_at_any_rate_and_after_a_resumption(
    call, page
):
    found = page.evaluate(FOLLOW, [TINY, TEXT, [0.01, 0.05], 30])
    assert found == {"step": 0, "followed": True, "resumed": True}


def test_what_goes_wrong_while_it_learns_is_told(call, page):
    script = """
    async ([size, text]) => {
      const { ModelInTraining } = await import("/kit/model_in_training.js");
      let told;
      const problem = new Promise((resolve) => (told = resolve));
      const model = new ModelInTraining((news) => news.problem && told(news.problem));
      const early = await model.ask("run").catch((error) => error.message);
      await model.ask("begin", { text, size, seed: 7, rate: NaN, temperature: 1 });
      await model.ask("run");
      return [early, await problem];
    }
    """
    assert page.evaluate(script, [TINY, TEXT]) == [
        "No model has begun to learn.",
        "learningRate must be a finite number above 0, got NaN.",
    ]


# The text

TOKENS = """
async (text) => {
  const { learnTokenizer, partRead, unigramEntropy } = await import("/engines/learning_text.js");
  const { BPETokenizer } = await import("/engines/bpe.js");
  const content = await learnTokenizer(partRead(text), () => {});
  return [content.merges, unigramEntropy(new BPETokenizer(content).encode(partRead(text)))];
}
"""


@pytest.mark.parametrize(
    "text",
    [
        TEXT * 3,
        TEXT[:100],
        " ".join(f"word{i * i % 1013}" for i in range(20_000)),
        "😀 hello 🎉 wörld, 日本語 " * 6000,
        "a" * 5000,
        ("ab" * 400 + " ") * 3,
        "ab" * 499_999 + "a😀" + "c" * 50,
    ],
    ids=range(7),
)
def test_tokens_and_their_entropy_are_those_of_lmmath(call, page, text):
    merges, unigram = page.evaluate(TOKENS, text)
    widget = LearningWidget(text=text)
    assert merges == Tokenizer._to_json(widget.tokenizer, widget)["merges"]
    np.testing.assert_allclose(unigram, widget.unigram, 1e-10, 1e-12)


STORIES = """
async ([language, seed, count]) => {
  const { stories } = await import("/engines/fable.js");
  const { randomNumbers } = await import("/engines/random.js");
  const following = stories(language, randomNumbers(seed));
  return Array.from({ length: count }, () => following.next().value);
}
"""


def test_stories_are_those_of_fable(call, page):
    stories = page.evaluate(STORIES, [language(), 3, 10_000])
    assert all(story.endswith("\n") and story.count("\n") == 1 for story in stories)
    words = fable.to_words("".join(stories))
    assert fable.to_text(words) == "".join(stories)
    # Who knows Fable is surprised by its stories as much as the entropy says.
    some = fable.to_words("".join(stories[:300]))
    surprise = np.asarray(fable.surprisals(some))
    ends = np.flatnonzero(np.asarray(some) == "\n") + 1
    of_stories = np.add.reduceat(surprise, [0, *ends[:-1]])
    lengths = np.diff([0, *ends])
    rate = fable.entropy_rate()
    excess = of_stories - rate * lengths
    assert abs(excess.mean()) < 4 * excess.std() / np.sqrt(len(excess))
    # And each word is in as many stories as of lmmath's.
    text = fable.to_text(fable.sample(len(words), np.random.default_rng(0)))
    others = text.splitlines()[:-1]  # the last is not whole
    found, expected = presence(stories), presence(others)
    n, m = len(stories), len(others)
    share = (found + expected) / (n + m)
    often = (share > 0.002) & (share < 0.998)
    z = (found / n - expected / m)[often]
    z /= np.sqrt(share * (1 - share) * (1 / n + 1 / m))[often]
    assert np.abs(z).max() < 5
    assert np.mean(z**2) < 1.5


def presence(stories):
    """Count, for each word of Fable, the stories in which it occurs."""
    index = {word: i for i, word in enumerate(fable.vocabulary)}
    counts = np.zeros(len(index))
    for story in stories:
        counts[[index[word] for word in set(fable.to_words(story)) - {"\n"}]] += 1
    return counts


def test_fable_is_the_same_for_the_same_seed(call, page):
    script = """
    async ([language, content]) => {
      const { fableTokens } = await import("/engines/learning_text.js");
      const { BPETokenizer } = await import("/engines/bpe.js");
      const tokenizer = new BPETokenizer(content);
      const texts = [];
      for (const seed of [1, 1, 2]) texts.push(await fableTokens(language, tokenizer, seed, () => {}));
      const [one, same, other] = texts.map(String);
      return [one === same, one === other, tokenizer.decode(texts[0].slice(0, 2000)), texts[0].length];
    }
    """
    widget = LearningWidget()
    content = widget.get_state("fable_tokenizer")["fable_tokenizer"]
    same, other, text, count = page.evaluate(script, [language(), content])
    assert (same, other) == (True, False)
    assert np.isfinite(fable.surprisals(fable.to_words(text)[:-1])).all()
    assert count > 400_000
    assert load_fable_gpt().tokenizer.merges == widget.fable_tokenizer.merges


# What is drawn


def test_a_curve_has_a_point_for_steps_that_lie_side_by_side(call, page):
    script = """
    async () => {
      const { LossCurve } = await import("/engines/loss_curve.js");
      const curve = new LossCurve();
      for (let step = 1; step <= 1000; step += 1) curve.add(step, 2 * step);
      const other = new LossCurve(structuredClone(curve.points));
      return [curve.line, String(other.line) === String(curve.line)];
    }
    """
    (steps, losses), same = page.evaluate(script)
    assert same
    assert steps[:5] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(losses, 2 * np.asarray(steps))
    assert len(steps) < 110
    assert np.all(np.diff(steps) > 0)


def test_samples_that_are_left_lie_apart(call):
    samples = [{"step": step} for step in (0, 1, 2, 10, 11, 100, 1000)]
    left = call("learning.js", "thinned", samples, 5)
    assert [sample["step"] for sample in left] == [0, 2, 11, 100, 1000]
    assert call("learning.js", "thinned", samples[:3], 5) == samples[:3]
