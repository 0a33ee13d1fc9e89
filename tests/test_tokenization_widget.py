"""The widget of chapter 8, its Python side: what it shows is what lmmath says."""

import ipywidgets
import pytest
import traitlets

from lmmath.tokenization import BPETokenizer, pair_frequencies
from lmmath.widgets import TokenizationWidget


@pytest.fixture(autouse=True)
def no_other_widgets():
    yield
    ipywidgets.Widget.close_all()


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("text", None),
        ("n_merges", -1),
        ("n_merges", 1.5),
        ("source", "elsewhere"),
        ("tokenizer", None),
    ],
)
def test_traits_take_only_what_can_be_shown(trait, value):
    widget = TokenizationWidget()
    before = getattr(widget, trait)
    with pytest.raises(traitlets.TraitError):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before


@pytest.mark.parametrize("n_merges", [0, 1, 20])
def test_merges_of_the_text_are_those_of_training(n_merges):
    widget = TokenizationWidget(n_merges=n_merges)
    trained = BPETokenizer.train(widget.text, 256 + n_merges)
    assert widget.merges == trained.merges
    assert widget.ids == trained.encode(widget.text)
    assert trained.decode(widget.ids) == widget.text


def test_no_more_merges_are_made_than_there_are():
    assert TokenizationWidget(text="aaab", n_merges=99).merges == [
        (b"a", b"a"),
        (b"aa", b"a"),
        (b"aaa", b"b"),
    ]
    assert TokenizationWidget(text="", n_merges=5).ids == []
    assert len(TokenizationWidget(source="tokenizer", n_merges=999).merges) == 256


def test_a_trained_tokenizer_has_its_own_merges():
    widget = TokenizationWidget(
        text="Leka the mouse 🦊", source="tokenizer", n_merges=256
    )
    assert widget.merges == widget.tokenizer.merges
    assert widget.ids == widget.tokenizer.encode("Leka the mouse 🦊")
    other = BPETokenizer([(b"a", b"b")])
    widget = TokenizationWidget(text="abab", source="tokenizer", tokenizer=other)
    assert widget.ids == [256, 256]


def test_pairs_are_counted_within_words():
    widget = TokenizationWidget(text="aba ab", n_merges=0)
    assert widget.frequencies == {(b"a", b"b"): 2, (b"b", b"a"): 1, (b" ", b"a"): 1}
    assert widget.count == 0
    widget.text, widget.n_merges = "abababab", 1
    assert widget.count == pair_frequencies("abababab")["a", "b"] == 4
    assert widget.frequencies == {(b"ab", b"ab"): 3}


def test_only_the_beginning_of_a_very_long_text_is_used():
    widget = TokenizationWidget(text="🦊" * 9_999 + "ab", n_merges=0)
    assert len(widget.ids) == 4 * 9_999 + 1


def test_the_picture_says_what_is_seen():
    alt = TokenizationWidget(text="né né né", n_merges=2).picture().alt
    assert "A text of 8 characters, 11 bytes, cut into 5 tokens by 2 merges." in alt
    assert "The last merge joined “n” and “é”, 3 times side by side." in alt
    untouched = TokenizationWidget(text="é<b>$x$\x07", n_merges=0).picture()
    assert untouched.alt.endswith("by 0 merges.")
    assert "C3" in untouched.svg
    assert "<b>" not in untouched.svg
    assert "No tokens" in TokenizationWidget(text="").picture().alt
    assert "of which the first 100 are drawn" in TokenizationWidget(text="x " * 300, n_merges=0).picture().alt  # fmt: skip
