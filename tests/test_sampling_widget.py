"""The widget of chapter 9, its Python side: what it shows is what lmmath says."""

import json

import ipywidgets
import numpy as np
import pytest
import traitlets
from fable_widgets import SamplingWidget

from lmmath import fable
from lmmath.fable import language as definition
from lmmath.sampling import min_p_filter, sample, top_k_filter, top_p_filter
from lmmath.transformer import gpt
from lmmath.widgets.engines.fable import language
from lmmath.widgets.sampling import window


@pytest.fixture(autouse=True)
def no_other_widgets():
    yield
    ipywidgets.Widget.close_all()


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("temperature", 0),
        ("temperature", float("nan")),
        ("top_k", 0),
        ("top_k", 1.5),
        ("top_p", 0),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("seed", -1),
        ("drawn", [-1]),
        ("drawn", ["x"]),
        ("text", None),
        ("language", {}),
    ],
)
def test_traits_take_only_what_can_be_shown(trait, value):
    widget = SamplingWidget()
    before = getattr(widget, trait)
    with pytest.raises(traitlets.TraitError):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before


def test_tokens_are_a_line_break_the_text_and_what_was_drawn():
    widget = SamplingWidget(text="There was a", drawn=[278, 303])
    encode, decode = widget.tokenizer.encode, widget.tokenizer.decode
    assert widget.tokens == [*encode("\nThere was a"), 278, 303]
    assert widget.story == "There was a" + decode([278, 303])


RULES = [
    {},
    {"temperature": 0.3},
    {"temperature": 3.0, "top_k": 7},
    {"top_p": 0.8},
    {"min_p": 0.05, "temperature": 1.5},
    {"temperature": 2.0, "top_k": 100, "top_p": 0.9, "min_p": 0.1},
]


@pytest.mark.parametrize("rules", RULES)
def test_the_distributions_are_those_of_lmmath(rules):
    widget = SamplingWidget(**rules)
    params, config, _ = widget.model
    logits = gpt(params, np.asarray(widget.tokens), config)[-1].astype(float)
    cooled = logits / rules.get("temperature", 1)
    filtered = top_k_filter(cooled, rules.get("top_k", 512))
    filtered = top_p_filter(filtered, rules.get("top_p", 1))
    filtered = min_p_filter(filtered, rules.get("min_p", 0))

    def normalized(x):
        return np.exp(x - x.max()) / np.exp(x - x.max()).sum()

    np.testing.assert_allclose(widget.probabilities, normalized(cooled), 1e-12)
    np.testing.assert_allclose(widget.drawn_from, normalized(filtered), 1e-12)
    assert np.array_equal(widget.kept, filtered > -np.inf)
    left_out = widget.probabilities[~widget.kept].sum()
    assert widget.mass_left_out == pytest.approx(left_out, abs=1e-12)
    # What `sample` draws with the same rules, it draws from these.
    rows = np.broadcast_to(logits, (2000, len(logits)))
    drawn = sample(rows, np.random.default_rng(0), **rules)
    frequencies = np.bincount(drawn, minlength=len(logits)) / len(drawn)
    assert np.abs(frequencies - widget.drawn_from).max() < 0.05


def test_the_truth_is_there_as_long_as_fable_can_produce_the_text():
    widget = SamplingWidget(text="There was a sly fox")
    (called, named) = np.flatnonzero(widget.truth)
    assert widget.tokenizer.decode([called]) == " called"
    assert widget.truth[[called, named]] == pytest.approx([0.75, 0.25])
    widget.text = "There was no fox"
    assert widget.truth is None


def test_a_window_holds_the_end_of_the_text_and_moves_by_halves():
    tokens = list(range(300))
    begins = {}
    for n in range(301):
        seen = window(tokens[:n], 128)
        assert len(seen) <= 128
        assert n <= 128 or len(seen) > 64
        assert seen == tokens[n - len(seen) : n]
        begins[n - len(seen)] = n
    assert begins == {0: 128, 64: 192, 128: 256, 192: 300}
    assert window([5, 6], n_positions=1) == [6]


def test_a_text_longer_than_the_model_can_see_has_a_next_token():
    words = fable.sample(400, np.random.default_rng(0))
    widget = SamplingWidget(text=fable.to_text(words))
    assert len(widget.tokens) > 128
    assert widget.truth.sum() == pytest.approx(1)
    assert widget.probabilities.sum() == pytest.approx(1)


def test_the_picture_says_what_is_seen():
    alt = SamplingWidget(text="There was a sly fox", top_p=0.5).picture().alt
    assert "“called” has probability 0.7" in alt
    assert "its true probability is 0.75" in alt
    assert "1 of 512 tokens are kept for drawing, 0.2" in alt
    assert "the entropy is 0.00 nats" in alt
    assert "Fable cannot produce" in SamplingWidget(text="<b>$x$").picture().alt
    assert "Bars for the 12 most probable" in SamplingWidget(text="").picture().alt


def test_the_language_is_data_for_the_page():
    data = language()
    assert json.loads(json.dumps(data)) == data
    for sentence, slots in definition.SLOTS.items():
        for slot, written in zip(slots, data["sentences"][sentence], strict=True):
            assert written["about"] == slot.about
            table = data["tables"][written["table"]]
            rows = [
                table["rows"][row] for row in table["row_of"] or range(len(slot.words))
            ]
            assert [words for words, _ in rows] == slot.words.tolist()
            assert [odds for _, odds in rows] == slot.odds.tolist()
