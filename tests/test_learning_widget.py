"""The Python side of the model that learns in the page: traits, baselines, the printed picture."""

import numpy as np
import pytest
import scipy.stats
import traitlets

from lmmath import fable
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import GPTConfig, gpt_shapes
from lmmath.weights import load_fable_gpt
from lmmath.widgets import LearningWidget
from lmmath.widgets.learning import SIZES, tokenizer_of, unigram_entropy

ENGLISH = "The model reads a text, again and again, and learns what comes next. " * 60


def test_everything_chosen_is_a_synchronized_trait():
    names = {"text", "size", "learning_rate", "seed", "temperature"}
    assert names <= set(LearningWidget().keys)


@pytest.mark.parametrize(
    ("size", "expected"), [("small", 60e3), ("medium", 150e3), ("large", 350e3)]
)
def test_sizes_are_about_what_they_are_said_to_be(size, expected):
    sizes = {name: n for name, n in SIZES[size].items() if name != "batch_size"}
    shapes = gpt_shapes(GPTConfig(vocab_size=512, **sizes))
    n_params = sum(np.prod(shape) for shape in shapes.values())
    assert abs(n_params / expected - 1) < 0.06


def test_the_floor_is_fables_entropy_in_the_tokens_of_the_books_model():
    tokenizer = load_fable_gpt().tokenizer
    widget = LearningWidget()
    assert widget.floor == fable.entropy_rate(tokenizer)
    assert widget.tokenizer.merges == tokenizer.merges
    assert LearningWidget(text=ENGLISH).floor is None


def test_the_unigram_baseline_of_fable_is_that_of_another_text_of_it():
    tokenizer = load_fable_gpt().tokenizer
    text = fable.to_text(fable.sample(100_000, np.random.default_rng(8)))
    found = LearningWidget().unigram
    assert abs(found - unigram_entropy(tokenizer.encode(text))) < 0.02


@pytest.mark.parametrize("text", [ENGLISH, "abc", "ä😀 " * 30, "o" * 5000])
def test_the_unigram_baseline_is_the_entropy_of_the_tokens(text):
    widget = LearningWidget(text=text)
    _, counts = np.unique(widget.tokenizer.encode(text), return_counts=True)
    np.testing.assert_allclose(widget.unigram, scipy.stats.entropy(counts), 1e-12)


def test_a_long_text_of_words_has_tokens_of_its_own():
    rng = np.random.default_rng(0)
    words = [
        "".join(rng.choice(list("abcdefgh"), rng.integers(2, 9))) for _ in range(300)
    ]
    text = " ".join(rng.choice(words, 5000))
    assert tokenizer_of(text).merges == BPETokenizer.train(text, 512).merges
    assert tokenizer_of(ENGLISH).vocab_size > 256


@pytest.mark.parametrize("text", [ENGLISH[:1999], "a" * 100_000, ("ab" * 1100) + " "])
def test_bytes_are_the_tokens_of_what_is_short_or_not_made_of_words(text):
    assert tokenizer_of(text).vocab_size == 256


def test_bytes_are_the_tokens_where_merges_would_leave_too_few():
    text = ("ab" * 400 + " ") * 3
    assert tokenizer_of(text).vocab_size == 256


def test_only_the_beginning_of_a_very_long_text_is_read():
    text = "ab" * 499_999 + "a😀" + "c" * 50  # the limit lies within the character
    counts = [499_999, 499_999 + 1]
    found = LearningWidget(text=text).unigram
    np.testing.assert_allclose(found, scipy.stats.entropy(counts), 1e-12)


def test_the_picture_says_what_it_shows():
    widget = LearningWidget()
    picture = widget.picture()
    assert "<svg" in picture.svg
    for loss in (np.log(512), widget.unigram, widget.floor):
        assert f"{loss:.2f}" in picture.alt
    assert "Three losses" in picture.alt
    other = LearningWidget(text="<b>short</b>").picture().alt
    assert "Two losses" in other
    assert "floor" not in other


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("size", "huge", "size.*expected any of.*small"),
        ("learning_rate", 0, "learning_rate must be at least 0.0001, got 0"),
        ("learning_rate", 1, "learning_rate must be at most 0.1, got 1"),
        ("learning_rate", float("nan"), "learning_rate must be finite"),
        ("temperature", 0, "temperature must be at least 0.1, got 0"),
        ("temperature", "hot", "temperature must be a number, got str"),
        ("seed", -1, "seed"),
        ("text", None, "text"),
        ("fable_floor", 0.1, "read-only"),
    ],
)
def test_bad_values_are_refused_and_nothing_is_lost(trait, value, message):
    widget = LearningWidget()
    before = getattr(widget, trait)
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before
