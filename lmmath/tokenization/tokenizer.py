"""The tokenizer: from text to ids and back, by the merges that it has learned."""

import json
import operator
import reprlib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, pairwise, repeat
from math import inf
from pathlib import Path

import regex

from lmmath._checks import require_positive_integer
from lmmath.tokenization._files import (
    merge_lines,
    parse_merges,
    read,
    reading,
    to_signs,
    write,
)
from lmmath.tokenization._text import require_text
from lmmath.tokenization.merges import (
    BYTES,
    PRE_TOKEN,
    count_words,
    merge_pair,
    pieces,
    train_merges,
)

_FORMAT = "lmmath.BPETokenizer 1"


class BPETokenizer:
    r"""Translate between text and token ids by merges over bytes, as GPT-2 does.

    A tokenizer never changes after it is made. Two tokenizers are equal if they have the same
    merges, special tokens and ids. What cannot be seen from outside: it remembers what pieces of
    text have become, for a text repeats its words, and so does the next text. Cutting and merging
    only what is new makes it several times as fast on a text that it has not seen, and as fast
    as tiktoken on one whose words it has.

    Parameters
    ----------
    merges : iterable of (bytes, bytes)
        In the order of learning. Each joins two tokens, which are single bytes or made by
        earlier merges, to a new one.
    special_tokens : iterable of str
        Strings such as ``"<|endoftext|>"``, each of which is one token as a whole.
    ids : iterable of int, optional
        The id of each token: first those of the 256 bytes, then those of the merges, then those
        of the special tokens. If not given, they are numbered in this order.

    Raises
    ------
    TypeError
        If an argument holds a wrong kind of thing.
    ValueError
        If a merge joins something that is not there yet or makes what is there already, if a
        special token is empty or comes twice, or if ``ids`` are not the integers from 0 to
        ``vocab_size - 1``, each once.

    References
    ----------
    Sennrich, Haddow and Birch (2016), "Neural machine translation of rare words with subword
    units", section 3.2. Radford et al. (2019), "Language models are unsupervised multitask
    learners", section 2.2, for bytes in place of characters.

    Examples
    --------
    >>> tokenizer = BPETokenizer([(b"a", b"a"), (b"aa", b"a")], ["<|endoftext|>"])
    >>> tokenizer.encode("aaab<|endoftext|>")
    [257, 98, 258]
    >>> tokenizer.decode([257, 98, 258])
    'aaab<|endoftext|>'
    """

    def __init__(self, merges, special_tokens=(), ids=None):
        self._merges = _checked_merges(merges)
        special_tokens = _checked_special_tokens(special_tokens)
        tokens = [*BYTES, *map(b"".join, self._merges)]
        n = len(tokens) + len(special_tokens)
        ids = list(range(n)) if ids is None else _integers("ids", ids)
        if sorted(ids) != list(range(n)):
            raise ValueError(
                f"ids must be the integers from 0 to {n - 1} in some order, "
                f"got {reprlib.repr(ids)}"
            )
        # Tokens in the order of learning have numbers of their own: the sooner, the smaller.
        number = {token: i for i, token in enumerate(tokens)}
        self._pairs = [
            (number[first], number[second]) for first, second in self._merges
        ]
        self._merged = {pair: i for i, pair in enumerate(self._pairs, start=len(BYTES))}
        self._id_of_number = ids[: len(tokens)]
        # What has become of words and pieces of text. They always become the same again.
        self._memo = _Memo(self._encode_piece)
        self._ids = dict(zip(tokens, ids, strict=False))
        self._special = dict(zip(special_tokens, ids[len(tokens) :], strict=True))
        self._vocab = {i: token for token, i in self._ids.items()}
        self._vocab |= {i: token.encode() for token, i in self._special.items()}
        self._vocab = dict(sorted(self._vocab.items()))

    @classmethod
    def train(cls, text, vocab_size, special_tokens=()):
        r"""Learn a vocabulary from a text.

        Special tokens are cut out of the text first and teach nothing.

        Parameters
        ----------
        text : str
        vocab_size : int
            The number of ids: 256 bytes, the merges, and the special tokens.
        special_tokens : iterable of str
            They get the last ids, in this order.

        Returns
        -------
        BPETokenizer

        Raises
        ------
        TypeError
            If ``text`` or a special token is not a string.
        ValueError
            If ``vocab_size`` has no room for the bytes and the special tokens, if a special token
            is empty or comes twice, or if ``text`` holds a lone surrogate.

        Warns
        -----
        UserWarning
            If the text runs out of pairs first. The vocabulary is then smaller.

        Examples
        --------
        By hand: ``aa`` occurs 4 times. In the rest, ``aa·a·b·d·aa·a·b·a·c``, the pairs ``aa·a``
        and ``a·b`` occur twice each, and ``aa·a`` is the greater. Then ``aaa·b`` does.

        >>> tokenizer = BPETokenizer.train("aaabdaaabac", vocab_size=259)
        >>> tokenizer.merges
        [(b'a', b'a'), (b'aa', b'a'), (b'aaa', b'b')]
        >>> tokenizer.encode("aaabdaaabac")
        [258, 100, 258, 97, 99]
        """
        require_text(text=text)
        special_tokens = _checked_special_tokens(special_tokens)
        n_merges = _room_for_merges(vocab_size, special_tokens)
        ordinary = _split(text, special_tokens)[::2]
        words = sum(map(count_words, ordinary), Counter())
        merges = train_merges(words, n_merges)
        if len(merges) < n_merges:
            warnings.warn(
                f"the text ran out of pairs after {len(merges)} of {n_merges} merges: "
                f"vocab_size is {vocab_size - n_merges + len(merges)}, not {vocab_size}",
                stacklevel=2,
            )
        return cls(merges, special_tokens)

    @property
    def merges(self):
        """List the merges, pairs of byte strings, in the order of learning."""
        return list(self._merges)

    @property
    def vocab(self):
        """Map each id, in increasing order, to the bytes it stands for."""
        return dict(self._vocab)

    @property
    def special_tokens(self):
        """Map each special token, a string, to its id."""
        return dict(self._special)

    @property
    def vocab_size(self):
        """Count the ids: 256 bytes, the merges, and the special tokens."""
        return len(self._vocab)

    def encode(self, text, allow_special=True):
        r"""Translate a text into ids.

        The text is cut at special tokens, then into pre-tokens. Within a pre-token the pair
        that was learned first merges first.

        Parameters
        ----------
        text : str
        allow_special : bool
            Whether a special token in the text becomes its id. Say False for a text that somebody
            else wrote: what looks like a special token in it is then ordinary text.

        Returns
        -------
        list of int
            Decoded, they give ``text`` again.

        Raises
        ------
        TypeError
            If ``text`` is not a string.
        ValueError
            If ``text`` holds a lone surrogate.

        Examples
        --------
        >>> tokenizer = BPETokenizer([(b"h", b"e")], special_tokens=["<s>"])
        >>> tokenizer.encode("<s>he")
        [257, 256]
        >>> tokenizer.encode("<s>he", allow_special=False)
        [60, 115, 62, 256]
        """
        require_text(text=text)
        ids = []
        for i, part in enumerate(_split(text, self._special if allow_special else ())):
            if i % 2:
                ids.append(self._special[part])
            else:
                # One loop within C.
                of_pieces = map(self._memo.__getitem__, pieces(part))
                ids.extend(chain.from_iterable(of_pieces))
        self._memo.shrink()
        return ids

    def _encode_piece(self, piece):
        words = PRE_TOKEN.findall(piece)
        if len(words) > 1:
            return tuple(chain.from_iterable(map(self._memo.__getitem__, words)))
        numbers = self._merge(list(piece.encode()))
        return tuple([self._id_of_number[number] for number in numbers])

    def _merge(self, numbers):
        """Join neighbours until no two can be joined, those that were learned first first."""
        joined = self._joined_to(numbers)
        while (first := min(joined, default=inf)) < inf:
            i = joined.index(first)
            if joined.count(first) > 1:
                numbers = merge_pair(numbers, numbers[i : i + 2], first)
                joined = self._joined_to(numbers)
            else:
                numbers[i : i + 2] = [first]
                # Only what stands beside the new token has changed.
                before = i - 1 if i else 0
                joined[before : i + 2] = self._joined_to(numbers[before : i + 2])
        return numbers

    def _joined_to(self, numbers):
        """Give for each two neighbours the token that they make, infinity if they make none."""
        return list(map(self._merged.get, pairwise(numbers), repeat(inf)))

    def decode(self, ids):
        r"""Translate ids into text.

        Parameters
        ----------
        ids : sequence or array of integers, shape (n,)

        Returns
        -------
        str
            Bytes that are no valid UTF-8, such as half a character, come out as U+FFFD.

        Raises
        ------
        TypeError
            If ``ids`` are not integers.
        ValueError
            If an id is not in the vocabulary.

        Examples
        --------
        >>> tokenizer = BPETokenizer([])
        >>> tokenizer.encode("é")
        [195, 169]
        >>> tokenizer.decode([195, 169]), tokenizer.decode([195])
        ('é', '�')
        """
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids):
        r"""Translate ids into the bytes they stand for, exactly.

        Parameters
        ----------
        ids : sequence or array of integers, shape (n,)

        Returns
        -------
        bytes

        Raises
        ------
        TypeError
            If ``ids`` are not integers.
        ValueError
            If an id is not in the vocabulary.

        Examples
        --------
        >>> BPETokenizer([]).decode_bytes([195])
        b'\xc3'
        """
        try:
            return b"".join([self._vocab[i] for i in _integers("ids", ids)])
        except KeyError as error:
            raise ValueError(
                f"ids must lie between 0 and {self.vocab_size - 1}, got {error.args[0]}"
            ) from None

    def save(self, path):
        r"""Write the tokenizer to a JSON file, which replaces an older one only when complete.

        Merges are written as in GPT-2's files: ``"Ġ t"`` joins a space and a ``t``.

        Parameters
        ----------
        path : str or path
        """
        ids = [*self._ids.values(), *self._special.values()]
        content = {
            "format": _FORMAT,
            "merges": merge_lines(self._merges),
            "special_tokens": list(self._special),
            "ids": None if ids == list(range(len(ids))) else ids,
        }
        write(path, json.dumps(content, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, path):
        r"""Read a tokenizer that ``save`` wrote.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        BPETokenizer

        Raises
        ------
        ValueError
            If the file is not a whole file of this kind.
        """
        with reading(path):
            content = json.loads(read(path))
            if not isinstance(content, dict) or content.get("format") != _FORMAT:
                raise ValueError(f'expected an object whose "format" is "{_FORMAT}"')
            missing = {"merges", "special_tokens", "ids"} - content.keys()
            if missing:
                raise ValueError(f"it lacks {', '.join(sorted(missing))}")
            merges = parse_merges(content["merges"])
            return cls(merges, content["special_tokens"], content["ids"])

    def save_gpt2_files(self, directory):
        r"""Write ``vocab.json`` and ``merges.txt``, as published with GPT-2.

        Parameters
        ----------
        directory : str or path
            It is made if it is not there.

        Raises
        ------
        ValueError
            If a special token is spelled like another token of ``vocab.json``.
        """
        vocab = {to_signs(token): i for token, i in self._ids.items()}
        if clash := vocab.keys() & self._special.keys():
            raise ValueError(
                f"special_tokens must not be spelled like other tokens, got {sorted(clash)}"
            )
        lines = ["#version: 0.2", *merge_lines(self._merges)]
        Path(directory).mkdir(parents=True, exist_ok=True)
        write(Path(directory, "merges.txt"), "\n".join(lines))
        entries = json.dumps(vocab | self._special, ensure_ascii=False)
        write(Path(directory, "vocab.json"), entries)

    @classmethod
    def from_gpt2_files(cls, vocab_json, merges_txt):
        r"""Read a tokenizer in the format of GPT-2, with the ids that ``vocab.json`` gives.

        Parameters
        ----------
        vocab_json : str or path
            An object from tokens to ids. Tokens that no merge makes, such as
            ``"<|endoftext|>"``, are special tokens.
        merges_txt : str or path
            One merge per line, in the order of learning, after a line ``#version: 0.2``.

        Returns
        -------
        BPETokenizer

        Raises
        ------
        ValueError
            If a file is malformed or the two do not belong together.
        """
        with reading(merges_txt):
            lines = read(merges_txt).removesuffix("\n").split("\n")
            if lines[0].startswith("#version"):
                lines = lines[1:]
            merges = parse_merges(lines)
        with reading(vocab_json):
            vocab = json.loads(read(vocab_json))
            if not isinstance(vocab, dict):
                raise ValueError("expected an object from tokens to ids")
            tokens = [to_signs(token) for token in (*BYTES, *map(b"".join, merges))]
            if missing := [token for token in tokens if token not in vocab]:
                raise ValueError(f"it lacks the token {missing[0]!r}")
            made = set(tokens)
            special = [token for token in vocab if token not in made]
            return cls(merges, special, [vocab[token] for token in (*tokens, *special)])

    def __eq__(self, other):
        if not isinstance(other, BPETokenizer):
            return NotImplemented
        mine = self._merges, self._ids, self._special
        return mine == (other._merges, other._ids, other._special)

    def __hash__(self):
        return hash(self._merges)

    def __repr__(self):
        special = list(self._special)
        return f"BPETokenizer(vocab_size={self.vocab_size}, special_tokens={special})"


class _Memo(dict):
    """Remember what a function has made of each argument, unless there are too many of them."""

    most = 100_000

    def __init__(self, function):
        self._function = function

    def __missing__(self, argument):
        result = self[argument] = self._function(argument)
        return result

    def shrink(self):
        """Forget everything rather than grow without end."""
        if len(self) > self.most:
            self.clear()


def _split(text, special_tokens):
    """Cut a text at its special tokens, which come out at the odd places."""
    if not special_tokens:
        return [text]
    # At the same place the longest wins, also where a shorter one begins like it.
    longest_first = sorted(special_tokens, key=len, reverse=True)
    return regex.split(f"({'|'.join(map(regex.escape, longest_first))})", text)


def _room_for_merges(vocab_size, special_tokens):
    require_positive_integer(vocab_size=vocab_size)
    room = vocab_size - 256 - len(special_tokens)
    if room < 0:
        raise ValueError(
            f"vocab_size must be at least {256 + len(special_tokens)}: 256 bytes and "
            f"{len(special_tokens)} special tokens, got {vocab_size}"
        )
    return room


def _checked_merges(merges):
    if not isinstance(merges, Iterable):
        raise TypeError(
            f"merges must be pairs of byte strings, got {type(merges).__name__}"
        )
    known = set(BYTES)
    checked = []
    for i, pair in enumerate(merges):
        if not _is_pair_of_bytes(pair):
            raise TypeError(f"merges[{i}] must be a pair of byte strings, got {pair!r}")
        if unknown := [token for token in pair if token not in known]:
            raise ValueError(
                f"merges[{i}] must join tokens made before it, got {unknown[0]!r}"
            )
        merged = b"".join(pair)
        if merged in known:
            raise ValueError(f"merges[{i}] must make a new token, got {merged!r} again")
        known.add(merged)
        checked.append(tuple(pair))
    return tuple(checked)


def _is_pair_of_bytes(pair):
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        return False
    return all(isinstance(token, bytes) for token in pair)


def _checked_special_tokens(special_tokens):
    if isinstance(special_tokens, str | Mapping) or not isinstance(
        special_tokens, Iterable
    ):
        raise TypeError(
            "special_tokens must be a sequence of strings, "
            f"got {type(special_tokens).__name__}"
        )
    special_tokens = tuple(special_tokens)
    for i, token in enumerate(special_tokens):
        require_text(**{f"special_tokens[{i}]": token})
        if not token:
            raise ValueError(f"special_tokens[{i}] must not be empty, got ''")
        if token in special_tokens[:i]:
            raise ValueError(f"special_tokens must differ, got {token!r} twice")
    return special_tokens


def _integers(name, values):
    """List the integers of a sequence or array of any library."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(
            f"{name} must be a sequence of integers, got {type(values).__name__}"
        )
    return [_integer(name, i, value) for i, value in enumerate(values)]


def _integer(name, i, value):
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise TypeError(f"{name}[{i}] must be an integer, got {type(value).__name__}")
