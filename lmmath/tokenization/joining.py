"""Joining: what merges make of a word, those that were learned first first.

Tokens are numbers here, in the order in which they were learned: first the 256 bytes. A table of
joins gives for two neighbours the number of what they become.
"""

from heapq import heapify, heappop, heappush
from itertools import pairwise, repeat
from math import inf

from lmmath.tokenization.merges import merge_pair

# Up to here, looking at all pairs again costs less than keeping them in order.
_SHORT = 100


def join(numbers, joins):
    r"""Join neighbours until no two can be joined, those that were learned first first.

    Parameters
    ----------
    numbers : list of int
        A word, by its bytes.
    joins : mapping of (int, int) to int
        Anything with a method ``get`` as dictionaries have it.

    Returns
    -------
    list of int

    Examples
    --------
    >>> join([97, 97, 97, 98], {(97, 97): 256, (256, 97): 257})
    [257, 98]
    """
    return (_join_short if len(numbers) < _SHORT else _join_long)(numbers, joins)


def _join_short(numbers, joins):
    joined = _joined(numbers, joins)
    while (first := min(joined, default=inf)) < inf:
        i = joined.index(first)
        if joined.count(first) > 1:
            numbers = merge_pair(numbers, numbers[i : i + 2], first)
            joined = _joined(numbers, joins)
        else:
            numbers[i : i + 2] = [first]
            # Only what stands beside the new token has changed.
            before = i - 1 if i else 0
            joined[before : i + 2] = _joined(numbers[before : i + 2], joins)
    return numbers


def _joined(numbers, joins):
    """Give for each two neighbours the token that they make, infinity if they make none."""
    return list(map(joins.get, pairwise(numbers), repeat(inf)))


def _join_long(numbers, joins):
    """Do the same in n log n steps: a heap knows the first join, links know the neighbours."""
    n = len(numbers)
    after, before = [*range(1, n), None], [None, *range(n - 1)]
    heap = [(made, i) for i, made in enumerate(_joined(numbers, joins)) if made < inf]
    heapify(heap)
    while heap:
        made, i = heappop(heap)
        right = None if numbers[i] is None else after[i]
        # What is on the heap may be gone, or have become something else since.
        if right is None or joins.get((numbers[i], numbers[right]), inf) != made:
            continue
        numbers[i], numbers[right] = made, None
        after[i] = after[right]
        if after[i] is not None:
            before[after[i]] = i
        for left in (before[i], i):
            if left is not None and after[left] is not None:
                pair = numbers[left], numbers[after[left]]
                if (new := joins.get(pair, inf)) < inf:
                    heappush(heap, (new, left))
    return [number for number in numbers if number is not None]


class JoinsByBytes:
    r"""Join any two tokens whose bytes, one after the other, are a token too.

    Vocabularies that are published as a list of tokens, as tiktoken's are, mean this: which two
    parts a token was learned from, they do not say.

    Parameters
    ----------
    tokens : list of bytes
        In the order in which they were learned.

    Examples
    --------
    >>> joins = JoinsByBytes([b"a", b"b", b"c", b"ab", b"abc"])
    >>> joins.get((0, 1), None), joins.get((3, 2), None), joins.get((1, 2), None)
    (3, 4, None)
    """

    def __init__(self, tokens):
        self._tokens = tokens
        self._numbers = {token: i for i, token in enumerate(tokens)}

    def get(self, pair, default):
        """Give the number of what a pair becomes, or ``default``."""
        first, second = pair
        return self._numbers.get(self._tokens[first] + self._tokens[second], default)
