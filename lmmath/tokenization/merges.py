"""Merges: which pairs of neighbours become tokens, learned by counting.

``train_merges_by_recounting`` is the algorithm as one would tell it. ``train_merges`` gives the
same merges, but counts again only what a merge has changed: the pairs right beside it. On a
megabyte of English, half of its time was once spent on the rest of each word. Of what was left,
a third went into cutting the text into words, each as often as it occurs, and not once.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import pairwise

from lmmath._checks import require_count, require_positive_integer
from lmmath.tokenization._text import require_text
from lmmath.tokenization.patterns import compiled, pieces, whole_words

BYTES = [bytes([byte]) for byte in range(256)]


def count_words(text, pattern="gpt2"):
    r"""Count how often a text holds each pre-token.

    Parameters
    ----------
    text, pattern : str
        As in ``pre_tokenize``.

    Returns
    -------
    collections.Counter
        ``Counter(pre_tokenize(text))``, for which each different piece is cut once.

    Raises
    ------
    TypeError, ValueError
        As in ``pre_tokenize``.

    Examples
    --------
    >>> count_words("low lower low")
    Counter({'low': 1, ' lower': 1, ' low': 1})
    """
    require_text(text=text)
    words, expression = Counter(), compiled(pattern)
    for piece, times in Counter(pieces(text, pattern)).items():
        for word in whole_words(piece, expression, pattern):
            words[word] += times
    return words


def pair_frequencies(sequence):
    r"""Count how often each pair of tokens stands side by side.

    .. math::

        \operatorname{freq}(xy)
        = \sum_i \mathbb{1}[\text{token}_i = x \land \text{token}_{i+1} = y]

    Pairs may overlap: the sum goes over every position :math:`i`.

    Parameters
    ----------
    sequence : iterable
        Tokens of any hashable kind: characters, bytes, integers.

    Returns
    -------
    collections.Counter
        The frequency of each pair :math:`(x, y)` that occurs.

    References
    ----------
    Sennrich, Haddow and Birch (2016), "Neural machine translation of rare words with subword
    units", section 3.2.

    Examples
    --------
    >>> pair_frequencies("banana")
    Counter({('a', 'n'): 2, ('n', 'a'): 2, ('b', 'a'): 1})
    >>> pair_frequencies("aaa")
    Counter({('a', 'a'): 2})
    """
    return Counter(pairwise(sequence))


def merge_pair(sequence, pair, merged):
    r"""Put one token in the place of a pair, from left to right and without overlap.

    Parameters
    ----------
    sequence : sequence
        Tokens of any kind.
    pair : tuple of two tokens
    merged : token
        What each occurrence of ``pair`` becomes.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        If ``pair`` does not hold two tokens.

    Examples
    --------
    >>> merge_pair([1, 2, 3, 1, 2], pair=(1, 2), merged=4)
    [4, 3, 4]
    >>> merge_pair("aaa", pair=("a", "a"), merged="aa")
    ['aa', 'a']
    """
    if len(pair) != 2:
        raise ValueError(f"pair must hold two tokens, got {pair!r}")
    first, second = pair
    output, i = [], 0
    while i < len(sequence):
        at_end = i + 1 == len(sequence)
        if not at_end and sequence[i] == first and sequence[i + 1] == second:
            output.append(merged)
            i += 2
        else:
            output.append(sequence[i])
            i += 1
    return output


def train_merges_by_recounting(words, n_merges):
    r"""Learn merges as the textbook says: count all pairs, merge the first, count all again.

    ``train_merges`` learns the same merges in a fraction of the time.

    Parameters
    ----------
    words : mapping of str to int
        Pre-tokens, and how often the text holds each.
    n_merges : int
        How many merges to learn at most.

    Returns
    -------
    list of (bytes, bytes)
        The merges in the order of learning: fewer than ``n_merges`` if the words have no more
        pairs. Of equally frequent pairs the greatest comes first, where byte strings compare as
        in a dictionary and the pair's first string counts before its second.

    Raises
    ------
    TypeError
        If ``words`` is not a mapping from strings.
    ValueError
        If a count is not an integer of at least 1, or ``n_merges`` not one of at least 0.

    References
    ----------
    Sennrich, Haddow and Birch (2016), "Neural machine translation of rare words with subword
    units", algorithm 1. It begins with characters and ends each word with a sign of its own.

    Examples
    --------
    The paper's words. ``st`` and ``es`` occur 9 times each, and ``st`` is the greater:

    >>> words = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    >>> train_merges_by_recounting(words, 4)
    [(b's', b't'), (b'e', b'st'), (b'o', b'w'), (b'l', b'ow')]
    """
    _require_words(words)
    require_count(n_merges=n_merges)
    spelled = [(spell(word), n) for word, n in words.items()]
    merges = []
    while len(merges) < n_merges:
        counts = Counter()
        for tokens, n in spelled:
            for pair, times in pair_frequencies(tokens).items():
                counts[pair] += times * n
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        spelled = [
            (merge_pair(tokens, best, b"".join(best)), n) for tokens, n in spelled
        ]
    return merges


def train_merges(words, n_merges):
    r"""Learn merges and recount, after each, only the words that it changed.

    A heap holds the pairs, the most frequent on top. When two tokens merge, the pairs with the
    new token are new, and every other count can only fall. So an entry of the heap may stand
    too high and never too low: if it does when it comes to the top, it goes back with its count
    of now.

    Parameters
    ----------
    words : mapping of str to int
        Pre-tokens, and how often the text holds each.
    n_merges : int
        How many merges to learn at most.

    Returns
    -------
    list of (bytes, bytes)
        The merges of ``train_merges_by_recounting``, ties included.

    Raises
    ------
    TypeError
        If ``words`` is not a mapping from strings.
    ValueError
        If a count is not an integer of at least 1, or ``n_merges`` not one of at least 0.

    Examples
    --------
    >>> words = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    >>> train_merges(words, 4)
    [(b's', b't'), (b'e', b'st'), (b'o', b'w'), (b'l', b'ow')]
    """
    require_count(n_merges=n_merges)
    table = PairTable(words)
    heap = [_GreatestFirst((n, pair)) for pair, n in table.counts.items()]
    heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        n, pair = heappop(heap)
        if n == table.counts[pair]:
            merges.append(pair)
            to_push = table.merge(pair)
        else:
            to_push = [pair]
        for pair in to_push:
            if table.counts[pair] > 0:
                heappush(heap, _GreatestFirst((table.counts[pair], pair)))
    return merges


class PairTable:
    r"""Count the pairs of some words once, and keep the counts right while pairs merge.

    An index says which words hold a pair, so that a merge touches those words alone.

    Parameters
    ----------
    words : mapping of str to int
        Pre-tokens, and how often the text holds each.

    Attributes
    ----------
    counts : collections.Counter
        How often the text holds each pair of byte strings.

    Raises
    ------
    TypeError
        If ``words`` is not a mapping from strings.
    ValueError
        If a count is not an integer of at least 1.

    Examples
    --------
    >>> table = PairTable({"low": 5, "slow": 2})
    >>> table.counts[b"l", b"o"]
    7
    >>> sorted(table.merge((b"l", b"o")))
    [(b'lo', b'w'), (b's', b'lo')]
    >>> table.counts[b"lo", b"w"], table.counts[b"l", b"o"]
    (7, 0)
    """

    def __init__(self, words):
        _require_words(words)
        self.counts = Counter()
        self._words = [spell(word) for word in words]
        self._times = list(words.values())
        self._holders = defaultdict(set)
        for i, (tokens, times) in enumerate(zip(self._words, self._times, strict=True)):
            for pair in pairwise(tokens):
                self.counts[pair] += times
                self._holders[pair].add(i)

    def merge(self, pair):
        """Merge a pair wherever it stands, and return the set of pairs that this made."""
        merged = b"".join(pair)
        made = set()
        for i in self._holders.pop(pair, ()):
            for old, new in _merge_in_place(self._words[i], pair, merged):
                self.counts[old] -= self._times[i]
                self.counts[new] += self._times[i]
                self._holders[new].add(i)
                made.add(new)
        self.counts[pair] = 0
        # A token that is made twice in a row has neighbours for a moment only.
        return {new for new in made if self.counts[new] > 0}


def _merge_in_place(tokens, pair, merged):
    """Merge a pair within one word; give each old pair beside it, and what that becomes."""
    output, end, last = [], 0, len(tokens) - 1
    for at in _places(tokens, *pair):
        output += tokens[end:at]
        if output:
            yield (output[-1], pair[0]), (output[-1], merged)
        if at + 1 < last:
            yield (pair[1], tokens[at + 2]), (merged, tokens[at + 2])
        output.append(merged)
        end = at + 2
    tokens[:] = output + tokens[end:]


def _places(tokens, first, second):
    """Find a pair from left to right, without overlap."""
    at, last = -1, len(tokens) - 1
    # A word may have lost the pair to another merge since. Then there is nothing to find.
    with suppress(ValueError):
        while True:
            at = tokens.index(first, at + 1, last)
            if tokens[at + 1] == second:
                yield at
                at += 1


def spell(word):
    r"""List the bytes of a word, each a token of its own.

    >>> spell("né")
    [b'n', b'\xc3', b'\xa9']
    """
    return [BYTES[byte] for byte in word.encode()]


class _GreatestFirst(tuple):
    """Turn the order of tuples around: ``heapq`` has the least on top."""

    __slots__ = ()
    __lt__ = tuple.__gt__


def _require_words(words):
    if not isinstance(words, Mapping):
        raise TypeError(
            f"words must map pre-tokens to their counts, got {type(words).__name__}"
        )
    for word, times in words.items():
        require_text(**{"each word of words": word})
        require_positive_integer(**{f"words[{word!r}]": times})
