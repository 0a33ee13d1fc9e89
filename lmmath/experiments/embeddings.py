r"""Where a model's token vectors point: cosines of random pairs, dimensions used, analogies."""

from typing import NamedTuple

import numpy as np

from lmmath._checks import require_generator, require_positive_integer, require_shape
from lmmath.geometry import cosine_similarity

# The third word is to the fourth as the first to the second.
ANALOGIES = """
man woman king queen, man woman brother sister, man woman father mother, man woman uncle aunt,
man woman son daughter, man woman actor actress, France Paris Italy Rome,
France Paris Germany Berlin, France Paris Japan Tokyo, France Paris Spain Madrid,
France Paris Russia Moscow, France Paris Egypt Cairo, big bigger small smaller,
big bigger strong stronger, big bigger fast faster, big bigger long longer, go went come came,
go went see saw, go went take took, go went write wrote, cat cats dog dogs, cat cats book books,
cat cats tree trees, one first two second, one first three third, Italy Italian France French,
Italy Italian Spain Spanish, Italy Italian Germany German
"""


def random_cosines(rows, n_pairs, rng):
    """Measure the cosine between two different rows, drawn again and again.

    Parameters
    ----------
    rows : numpy.ndarray, shape (n, d)
    n_pairs : int
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of float64, shape (n_pairs,)

    Examples
    --------
    >>> random_cosines(np.asarray([[1.0, 0.0], [0.0, 2.0]]), 3, np.random.default_rng(0))
    array([0., 0., 0.])
    """
    require_positive_integer(n_pairs=n_pairs)
    require_generator(rng)
    first = rng.integers(len(rows), size=n_pairs)
    second = (first + rng.integers(1, len(rows), size=n_pairs)) % len(rows)
    pairs = rows[first].astype(np.float64), rows[second].astype(np.float64)
    return cosine_similarity(*pairs)


def effective_dimension(rows):
    r"""Count the dimensions that rows use, by the participation ratio of their variances.

    .. math:: d_\text{eff} = \frac{\left(\sum_i \lambda_i\right)^2}{\sum_i \lambda_i^2}

    Parameters
    ----------
    rows : numpy.ndarray, shape (n, d)

    Returns
    -------
    float
        From 1 to d; :math:`\lambda_i` are the eigenvalues of the covariance.

    References
    ----------
    Gao et al. (2017), "A theory of multineuronal dimensionality, dynamics and measurement".

    Examples
    --------
    >>> effective_dimension(np.asarray([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]))
    2.0
    """
    centred = rows - rows.mean(axis=0)
    covariance = (centred.T @ centred).astype(np.float64)
    return float(np.trace(covariance) ** 2 / np.sum(covariance**2))


class Analogies(NamedTuple):
    """What is found by adding a difference of two words to a third.

    Attributes
    ----------
    words : list of tuple of str
        Those whose four words are one token each.
    found : list of str
        The word whose vector is nearest to the sum.
    nearest : list of str
        The word nearest to the third: what one finds without the difference.
    """

    words: list
    found: list
    nearest: list

    def right(self, guesses):
        """Say of each guess whether it is the fourth word: booleans, shape (n,)."""
        return np.asarray(
            [
                guess == words[3]
                for guess, words in zip(guesses, self.words, strict=True)
            ],
            bool,
        )


def analogies(rows, tokenizer, quadruples):
    r"""Look for the fourth word of "man is to woman as king is to".

    .. math:: \arg\max_w \cos(e_w,\; \hat e_b - \hat e_a + \hat e_c), \qquad
              w \notin \{a, b, c\}

    The three words are left out in every spelling, with capitals or small letters, with a space
    before them or without.

    Parameters
    ----------
    rows : numpy.ndarray, shape (vocab_size, d)
        The tokens' vectors :math:`e`; :math:`\hat e` has length 1.
    tokenizer : BPETokenizer
    quadruples : str
        Four words, a comma, and so on, as in ``ANALOGIES``.

    Returns
    -------
    Analogies

    References
    ----------
    Mikolov, Yih and Zweig (2013), "Linguistic regularities in continuous space word
    representations", section 4. That the words asked with are left out decides much, as Linzen
    (2016), "Issues in evaluating semantic spaces using word analogies", shows.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> letters = BPETokenizer([(b" ", bytes([i])) for i in b"abcd"])
    >>> rows = np.zeros((260, 2)) - 1
    >>> rows[256:] = [[1, 0], [2, 1], [0, 1], [1, 2]]  # " a" to " d"
    >>> analogies(rows, letters, "a b c d").found
    ['d']
    """
    require_shape((tokenizer.vocab_size, rows.shape[-1]), rows=rows)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    spellings = np.asarray(
        [_spelling(tokenizer.decode([token])) for token in range(len(rows))]
    )
    words, found, nearest = [], [], []
    for entry in quadruples.split(","):
        four = tuple(entry.split())
        tokens = [tokenizer.encode(f" {word}") for word in four]
        if any(len(token) > 1 for token in tokens):
            continue
        a, b, c, _ = (token[0] for token in tokens)
        words.append(four)
        left_out = np.isin(spellings, [_spelling(word) for word in four[:3]])
        for target, guesses in (
            (unit[b] - unit[a] + unit[c], found),
            (unit[c], nearest),
        ):
            likeness = np.where(left_out, -np.inf, unit @ target)
            guesses.append(tokenizer.decode([np.argmax(likeness)]).strip())
    return Analogies(words, found, nearest)


def _spelling(text):
    return text.strip().lower()
