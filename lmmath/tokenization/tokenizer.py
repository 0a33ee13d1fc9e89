"""The tokenizer: from text to ids and back, by the merges that it has learned."""

import operator
import re
import reprlib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain

from lmmath._checks import require_positive_integer
from lmmath.tokenization import _files
from lmmath.tokenization._text import require_text
from lmmath.tokenization.joining import JoinsByBytes, join
from lmmath.tokenization.merges import BYTES, count_words, train_merges
from lmmath.tokenization.patterns import compiled, pieces, whole_words


class BPETokenizer:
    r"""Translate between text and token ids by merges over bytes, as most language models do.

    A tokenizer never changes after it is made. Two tokenizers are equal if they have the same
    tokens, merges, special tokens, ids and pattern. What cannot be seen from outside: it remembers
    what pieces of text have become, in at most 32 MB, for a text repeats its words, and so does the
    next text. Cutting and merging only what is new makes it several times as fast on a text that it
    has not seen, and as fast as tiktoken on one whose words it has.

    Parameters
    ----------
    merges : iterable of (bytes, bytes)
        In the order of learning. Each joins two tokens, which are single bytes or made by
        earlier merges, to a new one.
    special_tokens : iterable of str
        Strings such as ``"<|endoftext|>"``, each of which is one token as a whole.
    ids : iterable of int or None, optional
        The id of each token: first those of the 256 bytes, then those of the merges, then those
        of the special tokens. If not given, they are numbered in this order. None for a byte that
        the vocabulary lacks: a text that needs it alone cannot be encoded, and ``encode`` says so.
    pattern : str
        How a text is cut before anything merges, as in ``pre_tokenize``.

    Raises
    ------
    TypeError
        If an argument holds a wrong kind of thing.
    ValueError
        If a merge joins something that is not there yet or makes what is there already, if a
        special token is empty or comes twice, if ``ids`` are not as many different integers of at
        least 0, or if ``pattern`` is no regular expression.

    References
    ----------
    Sennrich, Haddow and Birch (2016), "Neural machine translation of rare words with subword
    units", section 3.2. Radford et al. (2019), "Language models are unsupervised multitask
    learners", section 2.2, for bytes in place of characters.

    Examples
    --------
    >>> tokenizer = BPETokenizer([(b"a", b"a"), (b"aa", b"a")], ["<|endoftext|>"])
    >>> tokenizer.encode("aaab<|endoftext|>", allow_special=True)
    [257, 98, 258]
    >>> tokenizer.decode([257, 98, 258])
    'aaab<|endoftext|>'
    """

    def __init__(self, merges, special_tokens=(), ids=None, pattern="gpt2"):
        merges = _checked_merges(merges)
        tokens = [*BYTES, *map(b"".join, merges)]
        special = _checked_special_tokens(special_tokens)
        ids = _checked_ids(ids, len(tokens), len(special))
        special = dict(zip(special, ids[len(tokens) :], strict=True))
        # Tokens in the order of learning have numbers of their own: the sooner, the smaller.
        number = {token: i for i, token in enumerate(tokens)}
        joins = {
            (number[first], number[second]): i
            for i, (first, second) in enumerate(merges, start=len(BYTES))
        }
        self._set(tokens, ids[: len(tokens)], joins, special, pattern, merges)

    @classmethod
    def from_ranks(cls, ranks, special_tokens=(), pattern="gpt2"):
        r"""Make a tokenizer from a list of tokens alone, as tiktoken has them.

        Two neighbours join if together they are a token, the pair with the least rank first. A
        pre-token that is a token as a whole is taken as it is.

        Parameters
        ----------
        ranks : mapping of bytes to int
            The id of each token, which is also its rank. The 256 bytes must be among them.
        special_tokens : mapping of str to int
            Their ids.
        pattern : str
            As in ``pre_tokenize``.

        Returns
        -------
        BPETokenizer

        Raises
        ------
        TypeError
            If an argument holds a wrong kind of thing.
        ValueError
            If a byte is missing, two tokens have the same id, or an id is below 0.

        Examples
        --------
        >>> ranks = {bytes([byte]): byte for byte in range(256)} | {b"aa": 256, b"aaa": 257}
        >>> BPETokenizer.from_ranks(ranks, {"<end>": 300}).encode("aaaab")
        [256, 256, 98]
        """
        if not isinstance(ranks, Mapping):
            raise TypeError(
                f"ranks must map byte strings to integers, got {type(ranks).__name__}"
            )
        if missing := [byte for byte in BYTES if byte not in ranks]:
            raise ValueError(f"ranks must hold all bytes, got none for {missing[0]!r}")
        special = dict(special_tokens)
        _checked_special_tokens(list(special))
        learned = sorted(ranks.keys() - set(BYTES), key=ranks.get)
        tokens = [*BYTES, *learned]
        ids = _different([*map(ranks.get, tokens), *special.values()])
        self = cls.__new__(cls)
        joins = JoinsByBytes(tokens)
        special = dict(zip(special, ids[len(tokens) :], strict=True))
        self._set(tokens, ids[: len(tokens)], joins, special, pattern, merges=None)
        return self

    def _set(self, tokens, ids, joins, special, pattern, merges):
        self._pattern, self._expression = pattern, compiled(pattern)
        self._merges, self._joins = merges, joins
        self._id_of_number = ids
        # A word that is a token as a whole needs no joining, where only tokens are published.
        self._whole = {} if merges is not None else dict(zip(tokens, ids, strict=True))
        self._special = special
        # What has become of words and pieces of text. They always become the same again.
        self._memo = _Memo(self._encode_piece)
        self._ids = {
            token: i for token, i in zip(tokens, ids, strict=True) if i is not None
        }
        vocab = {i: token for token, i in self._ids.items()}
        vocab |= {i: token.encode() for token, i in special.items()}
        self._vocab = dict(sorted(vocab.items()))

    @classmethod
    def train(cls, text, vocab_size, special_tokens=(), pattern="gpt2"):
        r"""Learn a vocabulary from a text.

        Special tokens are cut out of the text first and teach nothing.

        Parameters
        ----------
        text : str
        vocab_size : int
            The number of ids: 256 bytes, the merges, and the special tokens.
        special_tokens : iterable of str
            They get the last ids, in this order.
        pattern : str
            As in ``pre_tokenize``.

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
        words = sum((count_words(part, pattern) for part in ordinary), Counter())
        merges = train_merges(words, n_merges)
        if len(merges) < n_merges:
            warnings.warn(
                f"the text ran out of pairs after {len(merges)} of {n_merges} merges: "
                f"vocab_size is {vocab_size - n_merges + len(merges)}, not {vocab_size}",
                stacklevel=2,
            )
        return cls(merges, special_tokens, pattern=pattern)

    @property
    def merges(self):
        """List the merges, pairs of byte strings, in the order of learning.

        Where only tokens are published, they are found again: the parts of a token are what its
        bytes become by all that was learned before it.
        """
        if self._merges is not None:
            return list(self._merges)
        return _found_again([*self._ids])

    @property
    def pattern(self):
        """The name of the pattern, or the regular expression, by which a text is cut."""
        return self._pattern

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
        """Count the ids, up to the largest: the rows that a model's embedding needs."""
        return max(self._vocab) + 1

    def encode(self, text, allow_special=False):
        r"""Translate a text into ids.

        The text is cut at special tokens, then into pre-tokens. Within a pre-token the pair
        that was learned first merges first.

        Parameters
        ----------
        text : str
        allow_special : bool
            Whether a special token in the text becomes its id. Say True for a text of your own
            program only: what somebody types stays ordinary text, whatever it looks like.

        Returns
        -------
        list of int
            Decoded, they give ``text`` again.

        Raises
        ------
        TypeError
            If ``text`` is not a string.
        ValueError
            If ``text`` holds a lone surrogate, or a byte that the vocabulary lacks.

        Examples
        --------
        >>> tokenizer = BPETokenizer([(b"h", b"e")], special_tokens=["<s>"])
        >>> tokenizer.encode("<s>he")
        [60, 115, 62, 256]
        >>> tokenizer.encode("<s>he", allow_special=True)
        [257, 256]
        """
        require_text(text=text)
        ids = []
        for i, part in enumerate(_split(text, self._special if allow_special else ())):
            if i % 2:
                ids.append(self._special[part])
            else:
                # One loop within C.
                of_pieces = map(self._memo.__getitem__, pieces(part, self._pattern))
                ids.extend(chain.from_iterable(of_pieces))
        self._memo.shrink()
        return ids

    def _encode_piece(self, piece):
        words = whole_words(piece, self._expression, self._pattern)
        if len(words) > 1:
            return tuple(chain.from_iterable(map(self._memo.__getitem__, words)))
        word = piece.encode()
        if (whole := self._whole.get(word)) is not None:
            return (whole,)
        numbers = join(list(word), self._joins)
        ids = tuple([self._id_of_number[number] for number in numbers])
        if None in ids:
            lacking = BYTES[numbers[ids.index(None)]]
            raise ValueError(
                f"text must hold no byte that the vocabulary lacks, got {lacking!r} "
                f"in {reprlib.repr(piece)}"
            )
        return ids

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
            If an id names no token.

        Examples
        --------
        >>> BPETokenizer([]).decode_bytes([195])
        b'\xc3'
        """
        try:
            return b"".join([self._vocab[i] for i in _integers("ids", ids)])
        except KeyError as error:
            gap = 0 <= error.args[0] < self.vocab_size
            raise ValueError(
                f"ids must lie between 0 and {self.vocab_size - 1}, got {error.args[0]}"
                f"{', which names no token' if gap else ''}"
            ) from None

    def save(self, path):
        r"""Write the tokenizer to a JSON file, which replaces an older one only when complete.

        Merges are written as in GPT-2's files: ``"Ġ t"`` joins a space and a ``t``.

        Parameters
        ----------
        path : str or path
        """
        ids = [self._ids.get(token) for token in (*BYTES, *map(b"".join, self.merges))]
        ids += self._special.values()
        _files.save(path, self.merges, self._special, ids, self._pattern)

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
        with _files.reading(path):
            return cls(**_files.load(path))

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
        _files.save_gpt2_files(directory, self.merges, self._ids, self._special)

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
        with _files.reading(merges_txt):
            merges = _files.load_merges(merges_txt)
        with _files.reading(vocab_json):
            return cls(**_files.load_vocab(vocab_json, merges))

    def save_tokenizer_json(self, path):
        r"""Write a ``tokenizer.json``, which the package ``tokenizers`` reads.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        ValueError
            If a special token is spelled like another token, or the pattern is one that
            ``tokenizers`` would read otherwise.
        """
        whole = self._merges is None
        _files.save_tokenizer_json(
            path, self.merges, self._ids, self._special, self._pattern, whole
        )

    @classmethod
    def from_tokenizer_json(cls, path):
        r"""Read a ``tokenizer.json``, as it lies beside most published models.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        BPETokenizer
            Its special tokens are the file's added tokens. What the file puts before and after a
            text, if anything, is left to you.

        Raises
        ------
        ValueError
            If the file is malformed, or its tokenizer is no byte-level BPE, or changes a text
            before it cuts it. The message says what is not supported.
        """
        with _files.reading(path):
            kind, arguments = _files.load_tokenizer_json(path)
            return (cls.from_ranks if kind == "ranks" else cls)(**arguments)

    def save_tiktoken(self, path):
        r"""Write the tokens as tiktoken's files have them: base64 and rank, a line for each.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        ValueError
            If a byte has no id, or tokens do not have ids in the order of learning: the format
            has no room for that.
        """
        if None in self._id_of_number:
            lacking = BYTES[self._id_of_number.index(None)]
            raise ValueError(f"the format needs all bytes, and {lacking!r} has no id")
        learned = self._id_of_number[len(BYTES) :]
        if learned != sorted(learned):
            raise ValueError(
                "the format needs ids in the order of learning, got another order"
            )
        _files.save_tiktoken(path, self._ids)

    @classmethod
    def from_tiktoken(cls, path, pattern, special_tokens=()):
        r"""Read a file of ranks, as tiktoken's encodings and Llama 3 are published.

        Parameters
        ----------
        path : str or path
            Base64 and rank of a token in each line; may be compressed, with the ending ``.gz``.
        pattern : str
            As in ``pre_tokenize``; the file does not say it.
        special_tokens : mapping of str to int
            Their ids, which the file does not say.

        Returns
        -------
        BPETokenizer

        Raises
        ------
        ValueError
            If the file is malformed.
        """
        with _files.reading(path):
            ranks = _files.load_tiktoken(path)
            return cls.from_ranks(ranks, special_tokens, pattern)

    @classmethod
    def from_gguf(cls, path):
        r"""Read the tokenizer of a model in a GGUF file.

        Parameters
        ----------
        path : str or path, or lmmath.gguf_file.GGUFFile
            A file, or one that ``read_gguf`` has opened already.

        Returns
        -------
        BPETokenizer

        Raises
        ------
        ValueError
            If the file is damaged, or its tokenizer is no byte-level BPE with a known pattern.
        """
        with _files.reading(path):
            return cls(**_files.load_gguf(path))

    def __eq__(self, other):
        if not isinstance(other, BPETokenizer):
            return NotImplemented
        return self._parts() == other._parts()

    def _parts(self):
        return self._merges, self._ids, self._special, self._pattern

    def __hash__(self):
        return hash((self._merges, len(self._ids)))

    def __repr__(self):
        special = list(self._special)
        return f"BPETokenizer(vocab_size={self.vocab_size}, special_tokens={special})"


class _Memo(dict):
    """Remember what a function has made of each argument, in no more than some bytes."""

    most = 32_000_000
    # A longer piece will hardly come again, and takes more room than it saves time.
    longest = 200

    def __init__(self, function):
        self._function = function
        self._size = 0

    def __missing__(self, argument):
        result = self._function(argument)
        if len(argument) <= self.longest:
            self[argument] = result
            # A string, a tuple with its integers, and their place in the table, about.
            self._size += 250 + 2 * len(argument) + 8 * len(result)
        return result

    def shrink(self):
        """Forget everything rather than grow without end."""
        if self._size > self.most:
            self.clear()
            self._size = 0


def _split(text, special_tokens):
    """Cut a text at its special tokens, which come out at the odd places."""
    if not special_tokens:
        return [text]
    # At the same place the longest wins, also where a shorter one begins like it.
    longest_first = sorted(special_tokens, key=len, reverse=True)
    return re.split(f"({'|'.join(map(re.escape, longest_first))})", text)


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


def _checked_ids(ids, n_tokens, n_special):
    """List an id for each token; only bytes may lack one."""
    n = n_tokens + n_special
    if ids is None:
        return list(range(n))
    ids = list(ids) if isinstance(ids, Iterable) and not isinstance(ids, str) else ids
    lacking = set()
    if isinstance(ids, list):
        lacking = {i for i, value in enumerate(ids[: len(BYTES)]) if value is None}
    if lacking:
        given = _different([value for i, value in enumerate(ids) if i not in lacking])
        numbers = iter(given)
        ids = [None if i in lacking else next(numbers) for i in range(len(ids))]
    else:
        ids = _different(ids)
    if len(ids) != n:
        raise ValueError(f"ids must hold one for each of {n} tokens, got {len(ids)}")
    return ids


def _different(ids):
    """List ids, which must be different integers of at least 0."""
    ids = _integers("ids", ids)
    if len(set(ids)) < len(ids) or min(ids, default=0) < 0:
        raise ValueError(
            f"ids must be different integers of at least 0, got {reprlib.repr(ids)}"
        )
    return ids


def _found_again(tokens):
    """Find the two parts that each learned token was made of: list of (bytes, bytes)."""
    number = {token: i for i, token in enumerate(tokens)}

    class Before:
        """The joins of what was learned before a token."""

        limit = 0

        def get(self, pair, default):
            made = number.get(tokens[pair[0]] + tokens[pair[1]], default)
            return made if made < self.limit else default

    before, merges = Before(), []
    for i, token in enumerate(tokens[len(BYTES) :], start=len(BYTES)):
        before.limit = i
        parts = join(list(token), before)
        if len(parts) != 2:
            raise ValueError(
                f"no merge makes the token {token!r} of tokens that came before it"
            )
        merges.append(tuple(tokens[part] for part in parts))
    return merges


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
