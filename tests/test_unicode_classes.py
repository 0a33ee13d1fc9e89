"""What a browser's Python makes of the patterns, against the package that it lacks."""

import re
import sys
import unicodedata

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from lmmath.tokenization import PATTERNS, BPETokenizer, pre_tokenize
from lmmath.tokenization.unicode_classes import compile_regex, written_out

# `regex` and `unicodedata` carry different versions of Unicode. Newer ones know more characters,
# and have put a very few into another category.
ALL = "".join(map(chr, range(sys.maxunicode + 1)))
ASSIGNED = [
    sign for sign in regex.findall(r"\P{Cn}", ALL) if unicodedata.category(sign) != "Cn"
]
CATEGORIES = sorted(set(map(unicodedata.category, ASSIGNED)))
THEIRS = {name: set(regex.findall(rf"\p{{{name}}}", ALL)) for name in CATEGORIES}
KNOWN = [sign for sign in ASSIGNED if sign in THEIRS[unicodedata.category(sign)]]
ALL_KNOWN = "".join(KNOWN)
CLASSES = [
    *(rf"\p{{{name}}}" for name in [*CATEGORIES, *"LMNPSZC"]),
    *(rf"\P{{{name}}}" for name in ("L", "N", "Lu", "M")),
    r"\s",
    r"\S",
]
TRICKY = st.sampled_from(
    [
        *"'sStTrReEvVmMlLdDſK \t\n\r\v\f.,!1aAéǅʰ中\x85\xa0\u1680\u180e\u2028\u200bⅧ²😀",
        *("'s", "'LL", "'ſ", "\x1c", "\x1f", "  ", "\r\n", "\n\n", "\u0301", "123"),
    ]
)


@pytest.fixture
def no_regex(monkeypatch):
    monkeypatch.setitem(sys.modules, "regex", None)


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_has_the_same_characters(name):
    assert re.findall(written_out(name), ALL_KNOWN) == regex.findall(name, ALL_KNOWN)


def test_nearly_all_characters_are_known_to_both():
    assert len(ASSIGNED) > 280_000
    assert len(KNOWN) > len(ASSIGNED) - 10


@pytest.mark.parametrize("name", PATTERNS)
def test_each_pattern_cuts_every_character_alike(name):
    for text in (ALL_KNOWN, " ".join(KNOWN[:70_000]), "a".join(KNOWN[:70_000])):
        ours = re.findall(written_out(PATTERNS[name]), text)
        assert ours == regex.findall(PATTERNS[name], text)


@pytest.mark.parametrize("name", PATTERNS)
@given(text=st.lists(TRICKY | st.sampled_from(KNOWN)).map("".join))
@example(text="x \n")
@example(text="'ſ'S 's's")
def test_each_pattern_cuts_texts_alike(name, text):
    ours = re.findall(written_out(PATTERNS[name]), text)
    assert ours == regex.findall(PATTERNS[name], text)


@pytest.mark.parametrize(
    "pattern",
    [
        r"[]\p{Lu}-]+|.",
        r"[^]\p{Lu}]+|.",
        r"[^\P{N}a]+|.",
        r"\[\p{L}\]|.",
        r"\\\p{L}|.",
        r"\\p|.",
        r"[\]\s]|\S",
        r"[\\\S]|\s",
    ],
)
@given(text=st.text(st.sampled_from("aB1 \n\x1c[]\\^-p²é")))
def test_sets_and_escapes_stay_what_they_are(pattern, text):
    flags = regex.DOTALL
    assert re.findall(written_out(pattern), text, re.DOTALL) == regex.findall(
        pattern, text, flags
    )


def test_without_the_package_python_s_own_is_used(no_regex):
    assert isinstance(compile_regex(r"\p{L}"), re.Pattern)


def test_with_the_package_it_is_used():
    assert isinstance(compile_regex(r"\p{L}"), regex.Pattern)


@pytest.mark.parametrize("pattern", ["(", r"\p{Greek}", r"\pL", r"[\p{Foo}]"])
def test_what_is_no_pattern_is_told_so(no_regex, pattern):
    with pytest.raises(
        ValueError, match=r"pattern must be one of gpt2, .* or a regular"
    ):
        pre_tokenize("a", pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_tokenizer_is_the_same_without_the_package(monkeypatch, pattern):
    text = (
        "Ça déçoit l'élève; they'LL count 1234 ½ 大語言模型 😀\u0301\x1c\x85\n\n x²" * 3
    )
    expected = BPETokenizer.train(text, 290, ["<|é|>"], pattern)
    monkeypatch.setitem(sys.modules, "regex", None)
    tokenizer = BPETokenizer.train(text, 290, ["<|é|>"], pattern)
    assert tokenizer == expected
    typed = f"{text}<|é|>{text[::-1]}"
    ids = tokenizer.encode(typed, allow_special=True)
    assert ids == expected.encode(typed, allow_special=True)
    assert tokenizer.decode(ids) == typed
