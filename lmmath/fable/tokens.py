r"""The truth about the next token: the truth about the next word, read through a tokenizer.

Each word has one spelling in tokens. After some tokens of a word, the next token is known as
far as the word is: it continues one of the words that begin like this, or, if they may also be
a whole word, it begins the word after that.
"""

from typing import NamedTuple

import numpy as np

from lmmath.fable.language import vocabulary
from lmmath.fable.probabilities import begin, read_word, word_probabilities


def next_token_probabilities(tokens, tokenizer):
    """Give the exact probability of every token that may come next in a Fable text.

    Parameters
    ----------
    tokens : sequence of int
        Ids of the tokens so far, from the beginning of a story, as ``tokenizer.encode`` spells
        them.
    tokenizer : BPETokenizer

    Returns
    -------
    numpy.ndarray, shape (vocab_size,)
        They sum to one.

    Raises
    ------
    ValueError
        If Fable, spelled by ``tokenizer``, cannot produce ``tokens``.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> bytes_only = BPETokenizer([])
    >>> probabilities = next_token_probabilities(bytes_only.encode("Ther"), bytes_only)
    >>> round(float(probabilities[ord("e")]), 4)
    1.0
    """
    if isinstance(tokens, str):
        raise TypeError("tokens must be a sequence of integers, got str")
    reader = TokenReader(tokenizer)
    state = reader.begin()
    for i, token in enumerate(tokens):
        if int(token) not in reader.expected(state):
            raise ValueError(
                f"tokens[{i}] must be one that can come here in Fable, got {token}"
            )
        state = reader.read(state, int(token))
    return reader.probabilities(state)


class Spelling(NamedTuple):
    """What is known in the middle of a word."""

    readings: list  # of the words before it
    begun: tuple  # its tokens so far
    after_break: bool  # whether a line break, or nothing, comes before the word


class TokenReader:
    """Reads Fable token by token, with the spelling of every word at hand.

    Parameters
    ----------
    tokenizer : BPETokenizer
    """

    def __init__(self, tokenizer):
        self.vocab_size = tokenizer.vocab_size
        # One list for words after a line break, one for those after a space.
        self._spellings = [
            [
                tuple(tokenizer.encode(word if word in ".,\n" else space + word))
                for word in vocabulary
            ]
            for space in (" ", "")
        ]

    def begin(self):
        """Return what is known at the beginning of a story."""
        return Spelling(begin(), (), True)

    def expected(self, spelling):
        """Map each token that may come next to its probability."""
        n, expected = len(spelling.begun), {}
        for word, probability in self._candidates(spelling):
            tokens = self._spelled(spelling, word)
            if len(tokens) > n:
                expected[tokens[n]] = expected.get(tokens[n], 0.0) + probability
            else:
                after = self.expected(self._finish(spelling, word))
                for token, share in after.items():
                    expected[token] = expected.get(token, 0.0) + probability * share
        total = sum(expected.values())
        return {token: mass / total for token, mass in expected.items()}

    def probabilities(self, spelling):
        """Write ``expected`` as an array, (vocab_size,)."""
        array = np.zeros(self.vocab_size)
        for token, probability in self.expected(spelling).items():
            array[token] = probability
        return array

    def read(self, spelling, token):
        """Take one more token, which must be expected, into account."""
        begun = (*spelling.begun, token)
        continued = spelling._replace(begun=begun)
        if any(True for _ in self._candidates(continued)):
            return continued
        # No word goes on like this: what had begun was whole, and the token begins another.
        whole = next(
            word
            for word, _ in self._candidates(spelling)
            if self._spelled(spelling, word) == spelling.begun
        )
        return self._finish(spelling, whole)._replace(begun=(token,))

    def _spelled(self, spelling, word):
        return self._spellings[spelling.after_break][word]

    def _candidates(self, spelling):
        """Yield the words that may stand here and begin as this one has, and how probable."""
        n = len(spelling.begun)
        probabilities = word_probabilities(spelling.readings)
        for word in np.flatnonzero(probabilities):
            if self._spelled(spelling, word)[:n] == spelling.begun:
                yield word, probabilities[word]

    def _finish(self, spelling, word):
        readings, _ = read_word(spelling.readings, vocabulary[word])
        return Spelling(readings, (), vocabulary[word] == "\n")
