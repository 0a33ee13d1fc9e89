"""The English that the book brings: as long, as plain and as different as it says."""

from itertools import combinations

import pytest

from lmmath.english import KINDS, long_texts, short_texts

TEXTS = [*short_texts(), *long_texts()]


def test_texts_are_as_many_and_as_long_as_stated():
    assert [len(short_texts(kind)) for kind in KINDS] == [4, 4, 4, 4]
    lengths = [len(text.text.split()) for text in short_texts()]
    assert min(lengths) >= 130
    assert max(lengths) <= 200
    assert 150 < sum(lengths) / 16 < 170
    assert all(780 < len(text.text.split()) < 870 for text in long_texts())


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.title)
def test_a_text_is_plain(text):
    assert text.text.isascii()
    assert text.text == text.text.strip()
    assert "  " not in text.text
    assert "\n\n\n" not in text.text


def test_no_two_texts_share_a_run_of_eight_words():
    runs = []
    for text in TEXTS:
        words = text.text.lower().split()
        runs.append({tuple(words[i : i + 8]) for i in range(len(words) - 7)})
    assert not any(one & other for one, other in combinations(runs, 2))


def test_an_unknown_kind_is_named():
    with pytest.raises(
        ValueError, match="kind must be one of fact, letter, manual, story, got 'poem'"
    ):
        short_texts("poem")
