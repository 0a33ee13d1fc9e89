"""The exercises of chapter 8."""

from collections import Counter
from itertools import pairwise

import numpy as np

from lmmath.exercises._draws import Draws
from lmmath.exercises._judge import Exercise
from lmmath.tokenization import merge_pair

_rng = Draws(8)


def commonest_pair(text):
    """Give the pair of neighbouring letters that occurs most often, the greatest if several do."""
    counts = Counter(pairwise(text))
    first, second = max(counts, key=lambda pair: (counts[pair], pair))
    return first + second


_WORDS = ["".join(_rng.choice(list("abc"), n)) for n in (3, 4, 5, 6, 8, 12)]

COMMONEST_PAIR = Exercise(
    solution=commonest_pair,
    inputs=[
        (text,)
        for text in [
            *["ab", "aab", "abc", "bcab", "aaab", "banana", "aaa", "abab", "baaaab"],
            *_WORDS,
        ]
    ],
    mistakes=[
        (
            lambda text: text[:2],
            "that is the first pair. Count all of them.",
        ),
        (
            lambda text: "".join(
                min(
                    counts := Counter(pairwise(text)),
                    key=lambda pair: (-counts[pair], pair),
                )
            ),
            "the commonest, but of several pairs that are equally common take the greatest, "
            "the last in the dictionary.",
        ),
        (
            lambda text: "".join(
                max(
                    counts := Counter(zip(text[::2], text[1::2], strict=False)),
                    key=lambda pair: (counts[pair], pair),
                )
            ),
            "you cut the text into pairs. A pair begins at every letter but the last.",
        ),
        (
            lambda text: "".join(Counter(pairwise(text)).most_common(1)[0][0]),
            "the commonest, but of several pairs that are equally common you take the one that "
            "comes first in the text. Take the greatest: let max compare (count, pair).",
        ),
        (
            lambda text: max(
                map("".join, pairwise(text)), key=lambda pair: (text.count(pair), pair)
            ),
            "text.count leaves out a pair that overlaps the one before it: in aaa it finds aa "
            "once, but two neighbours are equal twice.",
        ),
    ],
)


def encode_word(word, merges):
    """Spell a word in tokens: apply the merges, a list of pairs, in their order."""
    tokens = list(word)
    for first, second in merges:
        tokens = merge_pair(tokens, (first, second), first + second)
    return tokens


def _longest_match(word, merges):
    known = {first + second for first, second in merges}
    tokens, i = [], 0
    while i < len(word):
        ends = [j for j in range(i + 1, len(word) + 1) if word[i:j] in known]
        end = max(ends, default=i + 1)
        tokens.append(word[i:end])
        i = end
    return tokens


def _in_order_once(word, merges):
    tokens = list(word)
    for first, second in merges:
        for i, pair in enumerate(pairwise(tokens)):
            if pair == (first, second):
                tokens[i : i + 2] = [first + second]
                break
    return tokens


def _leftmost(word, merges):
    tokens, i = list(word), 0
    while i < len(tokens) - 1:
        if (tokens[i], tokens[i + 1]) in merges:
            tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
            i = 0
        else:
            i += 1
    return tokens


def _by_replacement(word, merges):
    text = " ".join(word)
    for first, second in merges:
        text = text.replace(f"{first} {second}", first + second)
    return text.split()


_LOW = [("l", "o"), ("lo", "w"), ("e", "r"), ("low", "er")]
_CROSSED = [("b", "c"), ("a", "b"), ("ab", "c")]

ENCODE_WORD = Exercise(
    solution=encode_word,
    inputs=[
        ("a", []),
        ("ab", [("a", "b")]),
        ("ba", [("a", "b")]),
        ("low", _LOW),
        ("lower", _LOW),
        ("lolow", _LOW),
        ("abc", _CROSSED),
        ("abc", [("b", "c"), ("a", "bc"), ("a", "b")]),
        ("cab", [("c", "a"), ("a", "b")]),
        ("abca", [("a", "b"), ("b", "c"), ("c", "a")]),
        ("abab", [("a", "b")]),
        ("aaaa", [("a", "a"), ("aa", "aa")]),
        ("aaa", [("a", "a")]),
    ],
    mistakes=[
        (lambda word, merges: list(word), "those are the letters. Now merge."),
        (
            _longest_match,
            "that takes the longest known token each time. Merges go in the order in which "
            "they were learned, and an early one may destroy what a later one needs.",
        ),
        (
            _leftmost,
            "you merge whichever pair stands first in the word. Go by the list instead: its "
            "first merge, wherever the pair stands, then its second, and so on.",
        ),
        (
            _by_replacement,
            "you replace text, and that also finds the end of one token beside the beginning "
            "of the next. Compare whole tokens.",
        ),
        (
            _in_order_once,
            "a merge applies wherever its pair stands, not only at the first place.",
        ),
        (
            lambda word, merges: encode_word(word, merges[::-1]),
            "the order: the merge learned first is applied first.",
        ),
    ],
)


def utf8_length(sign):
    """Count the bytes of one sign in UTF-8, from its number."""
    number = ord(sign)
    return 1 + (number >= 0x80) + (number >= 0x800) + (number >= 0x10000)


UTF8_LENGTH = Exercise(
    solution=utf8_length,
    inputs=[(sign,) for sign in "a~\x7f\x80éα߿ࠀ€猫\uffff\U00010000😀🦊\U0010ffff"],
    mistakes=[
        (
            lambda sign: len(sign.encode("utf-16-le")),
            "that is another way to write signs, UTF-16, with two bytes or four.",
        ),
        (lambda sign: len(sign), "that counts signs, not bytes."),
        (
            lambda sign: 1 + (ord(sign) >= 0x80) + (ord(sign) >= 0x800),
            "signs beyond 65,535, emoji among them, take a fourth byte.",
        ),
        (
            lambda sign: 1 + (ord(sign) >= 0x100) + (ord(sign) >= 0x10000),
            "one byte has room for 128 signs, as its first bit says that it stands alone.",
        ),
    ],
)


def bits_per_byte(loss, n_tokens, n_bytes):
    """Turn a loss in nats per token into bits per byte of text."""
    return loss * n_tokens / n_bytes / np.log(2)


BITS_PER_BYTE = Exercise(
    solution=bits_per_byte,
    inputs=[
        (1.0, 1, 1),
        (0.5, 2, 4),
        (2.0, 3, 12),
        (3.1, 1000, 4200),
        (0.4977, 119_966, 428_853),
    ],
    mistakes=[
        (
            lambda loss, n_tokens, n_bytes: loss * n_tokens / n_bytes,
            "those are nats per byte. A bit is log 2 nats.",
        ),
        (
            lambda loss, n_tokens, n_bytes: loss * n_bytes / n_tokens / np.log(2),
            "the other way round: the total loss is the loss times the number of tokens, and "
            "it is shared among the bytes.",
        ),
        (
            lambda loss, n_tokens, n_bytes: loss / np.log(2),
            "those are bits per token.",
        ),
        (
            lambda loss, n_tokens, n_bytes: loss * n_tokens / n_bytes * np.log(2),
            "a nat is more than a bit, so the number in bits is larger. Divide by log 2.",
        ),
    ],
)


def learn_merges(words, n_merges):
    """Learn merges from a dict of words and how often each occurs."""
    spelled = {word: list(word) for word in words}
    merges = []
    for _ in range(n_merges):
        counts = Counter()
        for word, tokens in spelled.items():
            for pair in pairwise(tokens):
                counts[pair] += words[word]
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        spelled = {
            word: merge_pair(tokens, best, "".join(best))
            for word, tokens in spelled.items()
        }
    return merges


def _learn_variant(weigh=True, stop=True, choose=max):
    """Make the solution with one of its parts changed."""

    def variant(words, n_merges):
        spelled = {word: list(word) for word in words}
        merges = []
        for _ in range(n_merges):
            counts = Counter()
            for word, tokens in spelled.items():
                for pair in pairwise(tokens):
                    counts[pair] += words[word] if weigh else 1
            if stop and not counts:
                break
            most = max(counts.values())
            ties = [pair for pair in counts if counts[pair] == most]
            best = choose(ties)
            merges.append(best)
            spelled = {
                word: merge_pair(tokens, best, "".join(best))
                for word, tokens in spelled.items()
            }
        return merges

    return variant


LEARN_MERGES = Exercise(
    solution=learn_merges,
    inputs=[
        ({"a": 1}, 1),
        ({"ab": 1}, 1),
        ({"ab": 2, "cd": 2}, 1),
        ({"bc": 1, "ab": 1, "cd": 1}, 1),
        ({"ab": 1, "cd": 3, "ad": 1}, 2),
        ({"ab": 1, "ac": 1, "bc": 5}, 3),
        ({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 1),
        ({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 6),
        ({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 40),
        ({"aaaa": 2, "aaab": 3}, 4),
    ],
    mistakes=[
        (
            _learn_variant(weigh=False),
            "a pair in a word that occurs five times counts five times.",
        ),
        (
            _learn_variant(stop=False),
            "when every word is a single token there is no pair left. Stop there.",
        ),
        (
            _learn_variant(choose=min),
            "of pairs that are equally frequent, take the greatest.",
        ),
        (
            _learn_variant(choose=lambda ties: ties[0]),
            "of pairs that are equally frequent you take the one counted first. Take the "
            "greatest: let max compare (count, pair).",
        ),
    ],
)

EXERCISES = [COMMONEST_PAIR, ENCODE_WORD, UTF8_LENGTH, BITS_PER_BYTE, LEARN_MERGES]
