"""Tokenization against tiktoken, Hugging Face's tokenizers, and plainer ways to say the same."""

import copy
import json
import os
import pickle
import sys
import unicodedata
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import array_api_strict
import numpy as np
import pytest
import regex
import tiktoken
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext.openai_public import r50k_pat_str

from lmmath.tokenization import (
    BPETokenizer,
    PairTable,
    count_words,
    merge_pair,
    pair_frequencies,
    pre_tokenize,
    train_merges,
    train_merges_by_recounting,
)
from lmmath.tokenization.patterns import PATTERNS, pieces

SAMPLES = [
    "",
    "The heron says that it's late; they'll wait, we've waited, I'd wait, I'm here, you're not.",
    "DON'T and don’t: ‘quotes’, “more quotes”, and 'single'single's",
    "def f(x):\n    return {x: [x ** 2, 0x1F, 1e-9]}  # comment\n\n\tif f(1) != 2:\r\n\t\tpass\n",
    "  two  spaces,   three   \n\n\n newlines \t\t tabs \n ",
    "no-break\u00a0space, em\u2003space, ideographic\u3000space, line\u2028separator, next\u0085line",
    "Ça déçoit l'élève naïf: cafe\u0301, Ångström, Straße, ſ, İ, ŉ",
    "😀😀😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇪🇺 👍🏽 ❤️",
    "大語言模型的數學。日本語のテキスト、한국어 텍스트",
    "الرياضيات وراء النماذج اللغوية: ١٢٣، مُشَكَّل",
    "\x00\x01\x1b[0m\x7f\x1c\x1d\x1e\x1f\u200b\ufeff\u202e",
    "x² + y³ = ½ · Ⅷ ④ ೧೨ 1234567890 12,345.678",
    "aaa aaaa aaaaa aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]
TEXT = (
    "\n".join(SAMPLES) * 3
    + "low lower lowest, new newer newest, wide wider widest. " * 9
)
SPECIAL = ("<|endoftext|>", "<|end|>", "<|end|>.*", "[(", "é")

# `regex`, tiktoken and tokenizers carry different versions of Unicode. They differ on characters
# that Python 3.11 (Unicode 14) does not know, and on no others: a test below says so.
KNOWN = st.characters(exclude_categories=("Cs", "Cn"))
PIECES = st.sampled_from(
    [
        "low",
        "er",
        " new",
        "est",
        "'s",
        "'ve",
        " ",
        "  ",
        "\n",
        "\t",
        "a",
        "aa",
        "é",
        "1",
        "!",
        "\u3000",
    ]
)
TEXTS = st.lists(st.text(KNOWN, max_size=5) | PIECES, max_size=20).map("".join)
SMALL_TEXTS = st.text("ab c", max_size=40)
SMALL_WORDS = st.dictionaries(
    st.text("abé", min_size=1, max_size=8), st.integers(1, 4), max_size=8
)


def tiktoken_of(tokenizer):
    special = tokenizer.special_tokens
    ranks = {
        token: i for i, token in tokenizer.vocab.items() if i not in special.values()
    }
    return tiktoken.Encoding(
        "test", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens=special
    )


def hugging_face_of(tokenizer):
    with TemporaryDirectory() as directory:
        tokenizer.save_gpt2_files(directory)
        return hugging_face_from(directory, tokenizer.special_tokens)


def hugging_face_from(directory, special_tokens=()):
    model = tokenizers.models.BPE.from_file(
        str(Path(directory, "vocab.json")), str(Path(directory, "merges.txt"))
    )
    theirs = tokenizers.Tokenizer(model)
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = tokenizers.decoders.ByteLevel()
    theirs.add_special_tokens(list(special_tokens))
    return theirs


def train_quietly(text, vocab_size, special_tokens=()):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return BPETokenizer.train(text, vocab_size, special_tokens)


def random_letters(n):
    """Draw a text in which few pairs are equally frequent."""
    odds = 1 / np.arange(1, 13)
    letters = list(" etaoinshrdl")
    return "".join(np.random.default_rng(1).choice(letters, n, p=odds / odds.sum()))


OURS = BPETokenizer.train(TEXT, 600, SPECIAL[:2])
TIKTOKEN = tiktoken_of(OURS)
HUGGING_FACE = hugging_face_of(OURS)


# Pairs


@given(st.text("abc", max_size=30))
def test_pair_frequencies_equal_a_search_that_looks_ahead(text):
    expected = {
        (x, y): n
        for x in "abc"
        for y in "abc"
        if (n := len(regex.findall(f"{x}(?={y})", text)))
    }
    assert pair_frequencies(text) == expected


def test_pair_frequencies_count_overlaps_and_take_any_tokens():
    assert pair_frequencies("aaa") == {("a", "a"): 2}
    assert pair_frequencies("aaaa") == {("a", "a"): 3}
    assert pair_frequencies(np.asarray([5, 6, 5, 6])) == {(5, 6): 2, (6, 5): 1}
    assert pair_frequencies("a") == pair_frequencies([]) == {}


@given(st.text("abc", max_size=30), st.text("abc", min_size=2, max_size=2))
def test_merge_pair_equals_replacement_in_a_string(text, pair):
    assert "".join(merge_pair(text, tuple(pair), "Z")) == text.replace(pair, "Z")


def test_merge_pair_goes_from_left_to_right_without_overlap():
    assert merge_pair("aaa", ("a", "a"), "A") == ["A", "a"]
    assert merge_pair("aaaa", ("a", "a"), "A") == ["A", "A"]
    assert merge_pair([1, 2, 3, 1, 2], (1, 2), 4) == [4, 3, 4]
    assert merge_pair([], (1, 2), 3) == []


# Pre-tokens


@given(st.text())
def test_pre_tokens_lose_nothing(text):
    assert "".join(pre_tokenize(text)) == text


@given(TEXTS)
def test_pre_tokens_equal_those_of_hugging_face(text):
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces = byte_level.pre_tokenize_str(text)
    assert pre_tokenize(text) == [text[start:end] for _, (start, end) in pieces]


@pytest.mark.parametrize("kind", [r"\p{L}", r"\p{N}", r"\s"])
def test_every_known_character_is_of_the_same_kind_to_all_three(kind):
    characters = map(chr, range(0x110000))
    known = "".join(
        c for c in characters if unicodedata.category(c) not in ("Cs", "Cn")
    )
    expected = "".join(regex.findall(kind, known))
    ranks = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding(
        "test", pat_str=kind, mergeable_ranks=ranks, special_tokens={}
    )
    # What the pattern does not match, tiktoken drops.
    assert bytes(encoding.encode(known)).decode() == expected
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(kind), "removed")
    others = "".join(piece for piece, _ in split.pre_tokenize_str(known))
    assert others == regex.sub(kind, "", known)


@given(TEXTS)
def test_counted_words_are_the_pre_tokens(text):
    assert count_words(text) == Counter(pre_tokenize(text))


WHITE_SPACE = st.text(st.sampled_from(" \n\t\r\x1c\x1f\x85\u00a0\u2003\u3000a1'é."))


@given(TEXTS, st.sampled_from([*PATTERNS]))
def test_pieces_are_cut_where_pre_tokens_are(text, pattern):
    assert "".join(pieces(text, pattern)) == text
    words = [w for p in pieces(text, pattern) for w in pre_tokenize(p, pattern)]
    assert words == pre_tokenize(text, pattern)


# Training


@given(SMALL_WORDS, st.integers(0, 30))
def test_training_equals_recounting(words, n_merges):
    expected = train_merges_by_recounting(words, n_merges)
    assert train_merges(words, n_merges) == expected


@given(SMALL_TEXTS, st.integers(256, 290))
def test_training_on_a_text_equals_recounting_its_words(text, vocab_size):
    expected = train_merges_by_recounting(Counter(pre_tokenize(text)), vocab_size - 256)
    assert train_quietly(text, vocab_size).merges == expected


def test_training_on_a_longer_text_equals_recounting():
    words = Counter(pre_tokenize(TEXT))
    assert train_merges(words, 300) == train_merges_by_recounting(words, 300)


@given(SMALL_WORDS, st.integers(0, 10))
def test_the_table_of_pairs_stays_as_if_counted_again(words, n_merges):
    table = PairTable(words)
    spelled = {word: [bytes([b]) for b in word.encode()] for word in words}
    for pair in train_merges_by_recounting(words, n_merges):
        made = table.merge(pair)
        counted = Counter()
        for word, tokens in spelled.items():
            spelled[word] = merge_pair(tokens, pair, b"".join(pair))
            for found in zip(spelled[word], spelled[word][1:], strict=False):
                counted[found] += words[word]
        assert +table.counts == counted
        assert made == {found for found in counted if b"".join(pair) in found}


def trained_by_hugging_face(text, vocab_size):
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False
    )
    theirs.train_from_iterator([text], trainer)
    merges = json.loads(theirs.to_str())["model"]["merges"]
    return [
        tuple(token.replace("Ġ", " ").encode() for token in pair) for pair in merges
    ]


def test_training_equals_hugging_faces_except_among_ties():
    text = random_letters(100_000)
    theirs = trained_by_hugging_face(text, 556)
    table = PairTable(Counter(pre_tokenize(text)))
    ties = []
    for pair in theirs:
        (_, most), (_, second) = table.counts.most_common(2)
        # Whatever they take of several is one of the most frequent by our counts too.
        assert table.counts[pair] == most
        ties.append(most == second)
        table.merge(pair)
    untied = ties.index(True)
    assert len(theirs) == 300
    assert untied > 30
    assert BPETokenizer.train(text, 556).merges[:untied] == theirs[:untied]


def test_training_by_hand():
    # Among ties: aa·a before a·b, for aa > a; at the end d·aaab, for d is the greatest.
    assert BPETokenizer.train("aaabdaaabac", 260).merges == [
        (b"a", b"a"),
        (b"aa", b"a"),
        (b"aaa", b"b"),
        (b"d", b"aaab"),
    ]
    assert BPETokenizer.train("aaa", 258).merges == [(b"a", b"a"), (b"aa", b"a")]
    assert BPETokenizer.train("aaaa", 258).merges == [(b"a", b"a"), (b"aa", b"aa")]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ({"ab": 1, "ac": 1}, (b"a", b"c")),
        ({"az": 1, "ba": 1}, (b"b", b"a")),
        ({"az": 2, "ba": 1}, (b"a", b"z")),
        ({"é": 1, "zz": 1}, (b"\xc3", b"\xa9")),
        ({"aab": 4, "aac": 4, "x\x00": 8}, (b"x", b"\x00")),
    ],
)
@pytest.mark.parametrize("train", [train_merges, train_merges_by_recounting])
def test_the_greatest_of_the_most_frequent_pairs_comes_first(train, words, first):
    assert train(words, 1) == [first]


@pytest.mark.parametrize("train", [train_merges, train_merges_by_recounting])
def test_a_longer_string_is_greater_than_its_beginning(train):
    # After a·a the pairs aa·c and a·c occur twice each.
    words = {"aac": 2, "bac": 2, "aad": 1, "aae": 1}
    assert train(words, 3) == [(b"a", b"c"), (b"b", b"ac"), (b"a", b"ac")]
    words = {"aac": 2, "xac": 1, "yac": 1, "aa": 5}
    assert train(words, 2)[1] == (b"aa", b"c")


@given(SMALL_TEXTS)
def test_merges_stay_within_pre_tokens(text):
    words = pre_tokenize(text)
    tokenizer = train_quietly(text, 300)
    for pair in tokenizer.merges:
        assert any(b"".join(pair) in word.encode() for word in words)


@pytest.mark.parametrize(
    ("text", "n_merges"), [("", 0), ("a", 0), ("a b c", 2), ("abab abab", 3), ("é", 1)]
)
def test_a_text_that_runs_out_of_pairs_says_so_and_still_trains(text, n_merges):
    message = f"ran out of pairs after {n_merges} of 743 merges: vocab_size is {n_merges + 257}, not 1000"
    with pytest.warns(UserWarning, match=message) as caught:
        tokenizer = BPETokenizer.train(text, 1000, ["<s>"])
    assert caught[0].filename == __file__
    assert len(tokenizer.merges) == n_merges
    assert tokenizer.special_tokens == {"<s>": 256 + n_merges}
    assert tokenizer.decode(tokenizer.encode(text)) == text
    exact = BPETokenizer.train(text, 257 + n_merges, ["<s>"])
    assert exact == tokenizer


def test_vocabulary_is_bytes_then_merges_then_special_tokens():
    tokenizer = BPETokenizer.train("low low lower", 262, ["<s>", "</s>"])
    assert tokenizer.vocab_size == len(tokenizer.vocab) == 262
    assert list(tokenizer.vocab) == list(range(262))
    tokens = list(tokenizer.vocab.values())
    assert tokens[:256] == [bytes([b]) for b in range(256)]
    assert tokens[256:260] == [x + y for x, y in tokenizer.merges]
    assert tokens[260:] == [b"<s>", b"</s>"]
    assert tokenizer.special_tokens == {"<s>": 260, "</s>": 261}


def test_special_tokens_teach_nothing():
    text = "<s>low<s>low<s><s>"
    assert train_quietly(text, 300, ["<s>"]).merges == train_quietly("low", 300).merges
    # Nor do the texts on both sides become one word.
    assert BPETokenizer.train("ab<s>ab", 259, ["<s>", "!"]).merges == [(b"a", b"b")]


# Encoding


@pytest.mark.parametrize("text", [*SAMPLES, TEXT])
def test_encoding_equals_tiktoken_and_hugging_face_on_samples(text):
    ids = OURS.encode(text)
    assert ids == TIKTOKEN.encode(text)
    assert ids == HUGGING_FACE.encode(text).ids
    assert OURS.decode(ids) == text


@given(TEXTS)
def test_encoding_equals_tiktoken_and_hugging_face(text):
    ids = OURS.encode(text)
    assert ids == TIKTOKEN.encode(text)
    assert ids == HUGGING_FACE.encode(text).ids
    assert OURS.decode(ids) == TIKTOKEN.decode(ids) == HUGGING_FACE.decode(ids) == text


@given(SMALL_TEXTS, SMALL_TEXTS, st.integers(256, 280))
def test_any_training_encodes_like_tiktoken_and_like_its_merges_one_after_another(
    learned, text, vocab_size
):
    tokenizer = train_quietly(learned, vocab_size)
    ids = tokenizer.encode(text)
    assert ids == tiktoken_of(tokenizer).encode(text)
    expected = []
    for word in pre_tokenize(text):
        tokens = [bytes([b]) for b in word.encode()]
        for pair in tokenizer.merges:
            tokens = merge_pair(tokens, pair, b"".join(pair))
        expected += tokens
    assert [tokenizer.vocab[i] for i in ids] == expected


@given(st.text())
def test_decoding_undoes_encoding_on_all_of_unicode(text):
    for allow_special in (True, False):
        ids = OURS.encode(text, allow_special=allow_special)
        assert all(type(i) is int for i in ids)
        assert OURS.decode(ids) == text
        assert OURS.decode_bytes(ids) == text.encode()


def test_repeated_pairs_merge_from_the_left():
    tokenizer = BPETokenizer([(b"a", b"a"), (b"aa", b"aa")])
    lengths = [
        [len(tokenizer.vocab[i]) for i in tokenizer.encode("a" * n)] for n in range(8)
    ]
    assert lengths == [[], [1], [2], [2, 1], [4], [4, 1], [4, 2], [4, 2, 1]]


def test_what_was_learned_first_merges_first():
    # Greedy matching from the left would give abc, d.
    tokenizer = BPETokenizer([(b"c", b"d"), (b"a", b"b"), (b"ab", b"c")])
    assert tokenizer.encode("abcd") == [257, 256]
    assert tokenizer.encode("abc") == [258]


# Special tokens


SPECIALISTS = BPETokenizer.train(TEXT, 400, SPECIAL[:4])
SPECIALISTS_OF_HUGGING_FACE = hugging_face_of(SPECIALISTS)


@given(st.lists(st.sampled_from([*SPECIAL, "<|end", "|>", "[", "a", " ", ".*"])))
def test_special_tokens_equal_those_of_hugging_face(parts):
    text = "".join(parts)
    ids = SPECIALISTS.encode(text, allow_special=True)
    assert ids == SPECIALISTS_OF_HUGGING_FACE.encode(text).ids
    assert SPECIALISTS.decode(ids) == text


def test_special_tokens_by_hand():
    tokenizer = BPETokenizer([], ["<a>", "<a><b>", "(.*", "é", " "])
    for text, ids in {
        "<a><a><b>": [256, 257],
        "<a><b><a>(.*(.+": [257, 256, 258, *b"(.+"],
        "é è": [259, 260, *"è".encode()],
    }.items():
        assert tokenizer.encode(text, allow_special=True) == ids
        assert tokenizer.encode(text) == list(text.encode())
    assert tokenizer.decode([257, 257, 256]) == "<a><b><a><b><a>"


@given(TEXTS)
def test_special_tokens_can_be_ordinary_text(text):
    text = f"<|end|>{text}<|endoftext|>"
    ids = OURS.encode(text)
    assert ids == OURS.encode(text, allow_special=False)
    assert not set(OURS.special_tokens.values()) & set(ids)
    assert ids == TIKTOKEN.encode_ordinary(text)


# Decoding


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        iter,
        np.asarray,
        lambda ids: np.asarray(ids, np.uint16),
        lambda ids: list(np.asarray(ids)),
        torch.asarray,
        array_api_strict.asarray,
    ],
)
def test_decoding_takes_sequences_and_arrays(convert):
    ids = OURS.encode("low lower <|end|>", allow_special=True)
    assert OURS.decode(convert(ids)) == "low lower <|end|>"


def test_decoding_nothing_gives_nothing():
    assert OURS.decode([]) == OURS.decode(np.asarray([])) == ""
    assert OURS.decode_bytes([]) == b""


@given(st.lists(st.integers(0, OURS.vocab_size - 1)))
def test_any_ids_decode_as_by_tiktoken(ids):
    assert OURS.decode_bytes(ids) == TIKTOKEN.decode_bytes(ids)
    assert OURS.decode(ids) == TIKTOKEN.decode(ids, errors="replace")


def test_half_a_character_decodes_to_the_replacement_character():
    assert BPETokenizer([]).decode([0xE2, 0x82]) == "\ufffd"
    assert BPETokenizer([]).decode([0xE2, 0x82, 0xAC]) == "€"


# A tokenizer does not change


def test_a_tokenizer_does_not_change_with_what_it_gave():
    tokenizer = BPETokenizer([(b"a", b"b")], ["<s>"])
    tokenizer.merges.clear()
    tokenizer.vocab.clear()
    tokenizer.special_tokens.clear()
    assert tokenizer == BPETokenizer([(b"a", b"b")], ["<s>"])
    assert tokenizer.encode("ab<s>", allow_special=True) == [256, 257]
    for name in ("merges", "vocab", "special_tokens", "vocab_size", "pattern"):
        with pytest.raises(AttributeError):
            setattr(tokenizer, name, None)


@given(st.lists(TEXTS, max_size=4))
def test_what_was_encoded_before_makes_no_difference(texts):
    merges = OURS.merges
    for text in texts:
        assert OURS.encode(text) == BPETokenizer(merges, SPECIAL[:2]).encode(text)


def test_a_tokenizer_does_not_grow_without_end(monkeypatch):
    tokenizer = BPETokenizer([(b"a", b"b")])
    monkeypatch.setattr(tokenizer._memo, "most", 3000)
    for n in range(50):
        tokenizer.encode(f"ab {n} abab {'long' * 60}")
        assert sum(map(sys.getsizeof, tokenizer._memo)) <= 3000
        assert max(map(len, tokenizer._memo), default=0) <= 200
    assert tokenizer.encode("ab 7 abab") == [256, 32, 55, 32, 256, 256]


def test_a_word_as_long_as_a_book():
    text = random_letters(50_000).replace(" ", "")
    assert OURS.encode(text) == TIKTOKEN.encode(text)


def test_equal_tokenizers():
    tokenizer = BPETokenizer([(b"a", b"b")], ["<s>"])
    for same in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert same == tokenizer
        assert hash(same) == hash(tokenizer)
    assert tokenizer != BPETokenizer([(b"a", b"b")])
    assert tokenizer != BPETokenizer([(b"a", b"c")], ["<s>"])
    assert tokenizer != BPETokenizer([(b"a", b"b")], ["<s>"], [1, 0, *range(2, 258)])
    assert tokenizer != "tokenizer"
    assert repr(tokenizer) == "BPETokenizer(vocab_size=258, special_tokens=['<s>'])"


# Files


def renumbered():
    ids = np.random.default_rng(0).permutation(OURS.vocab_size)
    return BPETokenizer(OURS.merges, OURS.special_tokens.keys(), ids)


@pytest.mark.parametrize(
    "tokenizer",
    [
        OURS,
        SPECIALISTS,
        renumbered(),
        BPETokenizer([]),
        BPETokenizer([], ["\n", '"\\', "Ġ", "a b"]),
    ],
    ids=["trained", "special", "renumbered", "bytes", "odd"],
)
def test_a_saved_tokenizer_loads_equal(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = BPETokenizer.load(str(path))
    assert loaded == tokenizer
    assert loaded.vocab == tokenizer.vocab
    assert list(loaded.vocab) == list(range(tokenizer.vocab_size))
    assert loaded.merges == tokenizer.merges
    assert loaded.special_tokens == tokenizer.special_tokens
    assert loaded.encode(TEXT) == tokenizer.encode(TEXT)
    assert os.listdir(tmp_path) == ["tokenizer.json"]


def test_the_saved_file_is_readable(tmp_path):
    tokenizer = BPETokenizer([(b" ", b"t"), (b"\xc3", b"\xa9")], ["<|é|>"])
    tokenizer.save(tmp_path / "t.json")
    text = (tmp_path / "t.json").read_text("utf-8")
    assert json.loads(text)["merges"] == ["Ġ t", "Ã ©"]
    assert "<|é|>" in text


def test_every_truncated_file_is_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    BPETokenizer([(b"a", b"b"), (b"\xc3", b"\xa9")], ["<é>"]).save(path)
    content = path.read_bytes()
    end = content.rindex(b"}")
    for n in range(end):
        path.write_bytes(content[:n])
        with pytest.raises(ValueError, match="holds no tokenizer: "):
            BPETokenizer.load(path)


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(broken, tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    SPECIALISTS.save(path)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="disk full"):
        OURS.save(path)
    with pytest.raises(OSError, match="disk full"):
        OURS.save(tmp_path / "new.json")
    assert os.listdir(tmp_path) == ["tokenizer.json"]
    assert BPETokenizer.load(path) == SPECIALISTS


GOOD = {
    "format": "lmmath.BPETokenizer 1",
    "merges": ["a b"],
    "special_tokens": [],
    "ids": None,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "lmmath.BPETokenizer 2"}, '"format" is "lmmath.BPETokenizer 1"'),
        ({"merges": "a b"}, "merges must be a list, got str"),
        ({"merges": {"a b": 0}}, "merges must be a list, got dict"),
        ({"merges": [["a", "b"]]}, r"two tokens and a space, got \['a', 'b'\]"),
        ({"merges": ["ab"]}, "two tokens and a space, got 'ab'"),
        ({"merges": ["a b c"]}, "two tokens and a space, got 'a b c'"),
        ({"merges": ["a "]}, r"merges\[0\] must join tokens made before it, got b''"),
        ({"merges": ["a 大"]}, "two tokens and a space, got 'a 大'"),
        ({"merges": ["a bc"]}, r"merges\[0\] must join tokens made before it, got b'bc'"),
        ({"merges": ["a b", "a b"]}, r"merges\[1\] must make a new token, got b'ab' again"),
        ({"special_tokens": "<s>"}, "special_tokens must be a sequence of strings, got str"),
        ({"special_tokens": {"<s>": 257}}, "special_tokens must be .* got dict"),
        ({"special_tokens": None}, "special_tokens must be .* got NoneType"),
        ({"special_tokens": [1]}, r"special_tokens\[0\] must be a string, got int"),
        ({"special_tokens": ["\ud800"]}, r"special_tokens\[0\] must hold no lone surrogates"),
        ({"ids": [0, 1]}, "ids must hold one for each of 257 tokens, got 2"),
        ({"ids": [0] * 257}, r"ids must be different integers of at least 0, got \[0, 0"),
        ({"pattern": 3}, "pattern must be a string, got int"),
        ({"pattern": "("}, r"pattern must be one of gpt2, .*, or a regular expression, got '\('"),
        ({"ids": [0.0, *range(1, 257)]}, r"ids\[0\] must be an integer, got float"),
        ({"ids": 5}, "ids must be a sequence of integers, got int"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused(change, message, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(GOOD), "utf-8")
    assert BPETokenizer.load(path).merges == [(b"a", b"b")]
    path.write_text(json.dumps(GOOD | change), "utf-8")
    with pytest.raises(
        ValueError, match=f"tokenizer.json holds no tokenizer: .*{message}"
    ):
        BPETokenizer.load(path)


@pytest.mark.parametrize("key", GOOD)
def test_a_file_that_lacks_an_entry_is_refused(key, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({k: v for k, v in GOOD.items() if k != key}), "utf-8")
    with pytest.raises(ValueError, match=f"holds no tokenizer: .*{key}"):
        BPETokenizer.load(path)


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff", b"[" * 100_000, b"x"])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds no tokenizer"):
        BPETokenizer.load(path)
    merges = tmp_path / "merges.txt"
    merges.write_text("#version: 0.2\n", "utf-8")
    with pytest.raises(ValueError, match="holds no tokenizer"):
        BPETokenizer.from_gpt2_files(path, merges)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        BPETokenizer.load(tmp_path / "nothing.json")


# GPT-2's files


@pytest.mark.parametrize(
    "tokenizer",
    [OURS, SPECIALISTS, renumbered()],
    ids=["trained", "special", "renumbered"],
)
def test_gpt2_files_go_both_ways_and_hugging_face_reads_them(tokenizer, tmp_path):
    directory = tmp_path / "new" / "directory"
    tokenizer.save_gpt2_files(directory)
    files = directory / "vocab.json", directory / "merges.txt"
    assert BPETokenizer.from_gpt2_files(*files) == tokenizer
    theirs = hugging_face_from(directory, tokenizer.special_tokens)
    assert tokenizer.encode(TEXT) == theirs.encode(TEXT).ids
    assert theirs.get_vocab_size() == tokenizer.vocab_size


def test_a_tokenizer_of_hugging_face_is_read_with_its_ids(tmp_path):
    theirs = tokenizers.ByteLevelBPETokenizer()
    theirs.train_from_iterator(
        [TEXT], 500, special_tokens=["<s>", "<|endoftext|>"], show_progress=False
    )
    theirs.save_model(str(tmp_path))
    ours = BPETokenizer.from_gpt2_files(
        tmp_path / "vocab.json", str(tmp_path / "merges.txt")
    )
    assert ours.special_tokens == {"<s>": 0, "<|endoftext|>": 1}
    # GPT-2 begins with the byte "!", not with 0.
    assert ours.vocab[2] == b"!"
    text = f"<s>{TEXT}<|endoftext|>"
    ids = ours.encode(text, allow_special=True)
    assert ids == theirs.encode(text).ids
    assert ours.encode(TEXT) == tiktoken_of(ours).encode(TEXT)
    assert ours.decode(ids) == text


def test_gpt2_files_hold_gpt2s_alphabet(tmp_path):
    BPETokenizer([(b" ", b"t"), (b"#", b"#")], ["<|endoftext|>"]).save_gpt2_files(
        tmp_path
    )
    assert (tmp_path / "merges.txt").read_text("utf-8") == "#version: 0.2\nĠ t\n# #\n"
    vocab = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    assert set(tokenizers.pre_tokenizers.ByteLevel.alphabet()) < set(vocab)
    assert [vocab[c] for c in "!~¡ÿĀĊĠŃ"] == [
        0x21,
        0x7E,
        0xA1,
        0xFF,
        0x00,
        0x0A,
        0x20,
        0xAD,
    ]
    assert [vocab["Ġt"], vocab["##"], vocab["<|endoftext|>"]] == [256, 257, 258]


def test_merges_may_come_without_a_version_and_with_windows_line_ends(tmp_path):
    OURS.save_gpt2_files(tmp_path)
    path = tmp_path / "merges.txt"
    _, *lines = path.read_text("utf-8").splitlines()
    path.write_bytes("\r\n".join(lines).encode())
    assert BPETokenizer.from_gpt2_files(tmp_path / "vocab.json", path) == OURS


@pytest.mark.parametrize(
    ("vocab_change", "merges", "message"),
    [
        ({"ab": None}, "a b", r"vocab.json holds no tokenizer: ids\[256\] must be an integer, got NoneType"),
        ({"ab": 0}, "a b", "vocab.json holds no tokenizer: ids must be different integers of at least 0"),
        ({"ab": 256}, "a c", "vocab.json holds no tokenizer: it lacks the token 'ac'"),
        ({"ab": 256}, "a b\n\na b", "merges.txt holds no tokenizer: a merge must be .* got ''"),
        ({"ab": 256}, "a b\na", "merges.txt holds no tokenizer: a merge must be .* got 'a'"),
        ({"ab": 256}, "a b\na b", r"vocab.json holds no tokenizer: merges\[1\] must make a new token"),
        ({"ab": 256, "": 257}, "a b", "vocab.json holds no tokenizer: special_tokens.* must not be empty"),
    ],
)  # fmt: skip
def test_gpt2_files_that_do_not_fit_are_refused(
    vocab_change, merges, message, tmp_path
):
    BPETokenizer([]).save_gpt2_files(tmp_path)
    vocab = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    (tmp_path / "vocab.json").write_text(json.dumps(vocab | vocab_change), "utf-8")
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", "utf-8")
    with pytest.raises(ValueError, match=message):
        BPETokenizer.from_gpt2_files(tmp_path / "vocab.json", tmp_path / "merges.txt")


def test_empty_gpt2_files_are_refused(tmp_path):
    OURS.save_gpt2_files(tmp_path)
    for name in ("merges.txt", "vocab.json"):
        (tmp_path / name).write_text("", "utf-8")
        with pytest.raises(ValueError, match=f"{name} holds no tokenizer"):
            BPETokenizer.from_gpt2_files(
                tmp_path / "vocab.json", tmp_path / "merges.txt"
            )
        OURS.save_gpt2_files(tmp_path)


@pytest.mark.parametrize("special", ["a", "Ġ", "ab", "Ã"])
def test_a_special_token_that_vocab_json_would_confuse_is_refused(special, tmp_path):
    tokenizer = BPETokenizer([(b"a", b"b")], [special])
    with pytest.raises(ValueError, match="must not be spelled like other tokens"):
        tokenizer.save_gpt2_files(tmp_path)
    assert os.listdir(tmp_path) == []


# Bad input


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: pre_tokenize(b"a"), "text must be a string, got bytes"),
        (ValueError, lambda: pre_tokenize("ab\udc80"), r"text must hold no lone surrogates.*, got '\\udc80' at position 2"),
        (ValueError, lambda: merge_pair("ab", "abc", "d"), "pair must hold two tokens, got 'abc'"),
        (TypeError, lambda: train_merges("low lower", 3), "words must map pre-tokens to their counts, got str"),
        (TypeError, lambda: train_merges_by_recounting(["low"], 3), "words must map pre-tokens to their counts, got list"),
        (TypeError, lambda: train_merges({b"low": 1}, 3), "each word of words must be a string, got bytes"),
        (ValueError, lambda: train_merges({"low": 0}, 3), r"words\['low'\] must be an integer of at least 1, got 0"),
        (ValueError, lambda: PairTable({"low": 1.5}), r"words\['low'\] must be an integer of at least 1, got 1.5"),
        (ValueError, lambda: train_merges({}, -1), "n_merges must be an integer of at least 0, got -1"),
        (ValueError, lambda: train_merges_by_recounting({}, 2.0), "n_merges must be an integer of at least 0, got 2.0"),
        (TypeError, lambda: BPETokenizer.train(["low"], 300), "text must be a string, got list"),
        (ValueError, lambda: BPETokenizer.train("a\ud800", 300), r"text .* got '\\ud800' at position 1"),
        (ValueError, lambda: BPETokenizer.train("low", 255), "vocab_size must be at least 256: 256 bytes and 0 special tokens, got 255"),
        (ValueError, lambda: BPETokenizer.train("low", 257, ["<a>", "<b>"]), "vocab_size must be at least 258: 256 bytes and 2 special tokens, got 257"),
        (ValueError, lambda: BPETokenizer.train("low", 300.0), "vocab_size must be an integer of at least 1, got 300.0"),
        (ValueError, lambda: BPETokenizer.train("low", 300, ["<a>", ""]), r"special_tokens\[1\] must not be empty, got ''"),
        (ValueError, lambda: BPETokenizer.train("low", 300, ["<a>", "<a>"]), "special_tokens must differ, got '<a>' twice"),
        (TypeError, lambda: BPETokenizer.train("low", 300, "<a>"), "special_tokens must be a sequence of strings, got str"),
        (TypeError, lambda: BPETokenizer.train("low", 300, [b"<a>"]), r"special_tokens\[0\] must be a string, got bytes"),
        (TypeError, lambda: BPETokenizer([("a", "b")]), r"merges\[0\] must be a pair of byte strings, got \('a', 'b'\)"),
        (TypeError, lambda: BPETokenizer([b"ab"]), r"merges\[0\] must be a pair of byte strings, got b'ab'"),
        (TypeError, lambda: BPETokenizer(None), "merges must be .* got NoneType"),
        (TypeError, lambda: BPETokenizer([None]), r"merges\[0\] must be a pair of byte strings, got None"),
        (ValueError, lambda: BPETokenizer([(b"a", b"")]), r"merges\[0\] must join tokens made before it, got b''"),
        (ValueError, lambda: BPETokenizer([(b"ab", b"c"), (b"a", b"b")]), r"merges\[0\] must join tokens made before it, got b'ab'"),
        (ValueError, lambda: BPETokenizer([], ids=range(255)), "ids must hold one for each of 256 tokens, got 255"),
        (ValueError, lambda: BPETokenizer([], ids=range(-1, 255)), r"ids must be different integers of at least 0, got \[-1, 0"),
        (TypeError, lambda: BPETokenizer([(b"a", b"b")], ids=[*range(256), None]), r"ids\[256\] must be an integer, got NoneType"),
        (TypeError, lambda: BPETokenizer([], pattern=None), "pattern must be a string, got NoneType"),
        (ValueError, lambda: BPETokenizer([], pattern="(a)|."), r"pattern must have no group that captures"),
        (ValueError, lambda: BPETokenizer([], pattern="a").encode("ab"), "pattern must match all of a text, got 'a', which leaves something out"),
        (ValueError, lambda: pre_tokenize("ab", "a"), "pattern must match all of a text"),
        (TypeError, lambda: BPETokenizer.from_ranks([b"a"]), "ranks must map byte strings to integers, got list"),
        (ValueError, lambda: BPETokenizer.from_ranks({b"a": 0}), r"ranks must hold all bytes, got none for b'\\x00'"),
        (ValueError, lambda: BPETokenizer([], ids=[0, *range(255)]), r"ids must be different integers of at least 0, got \[0, 0"),
        (TypeError, lambda: OURS.encode(None), "text must be a string, got NoneType"),
        (ValueError, lambda: OURS.encode("low\ud83d"), r"text .* got '\\ud83d' at position 3"),
        (ValueError, lambda: OURS.decode([1, 600]), "ids must lie between 0 and 599, got 600"),
        (ValueError, lambda: OURS.decode([-1]), "ids must lie between 0 and 599, got -1"),
        (ValueError, lambda: OURS.decode_bytes(np.asarray([10**6])), "ids must lie between 0 and 599, got 1000000"),
        (TypeError, lambda: OURS.decode([1, 2.0]), r"ids\[1\] must be an integer, got float"),
        (TypeError, lambda: OURS.decode([True]), r"ids\[0\] must be an integer, got bool"),
        (TypeError, lambda: OURS.decode([np.True_]), r"ids\[0\] must be an integer, got bool"),
        (TypeError, lambda: OURS.decode(["1"]), r"ids\[0\] must be an integer, got str"),
        (TypeError, lambda: OURS.decode("12"), "ids must be a sequence of integers, got str"),
        (TypeError, lambda: OURS.decode(b"12"), "ids must be a sequence of integers, got bytes"),
        (TypeError, lambda: OURS.decode(5), "ids must be a sequence of integers, got int"),
        (TypeError, lambda: OURS.decode(np.asarray([1.0])), r"ids\[0\] must be an integer, got float"),
        (TypeError, lambda: OURS.decode(np.asarray([[1]])), r"ids\[0\] must be an integer, got list"),
        (TypeError, lambda: OURS.decode(np.asarray(5)), "ids must be a sequence of integers, got int"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
