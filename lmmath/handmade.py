"""Word vectors and two attention heads made by hand, small enough to read.

Nothing here was learned. Each word is described by eight yes-or-no features that a person
chose, and two heads were written to ask for some of them. They stand in for a trained model
where an example must be simple enough to check by eye.
"""

import numpy as np

FEATURES = (
    "person",
    "female",
    "male",
    "thing",
    "several",
    "pronoun",
    "action",
    "quality",
)

_WORDS_WITH = {
    "": "a an and at because but by for from had has in is of on so that the then to was when with",
    "person": "doctor friend neighbour teacher",
    "person several": "children friends people",
    "person female": "anna girl maria mother queen sister woman",
    "person male": "ben boy brother father king man tom",
    "thing": "ball boat book cake chair door house key letter map story window",
    "thing several": "books cakes keys letters stories",
    "person female pronoun": "her she",
    "person male pronoun": "he him",
    "thing pronoun": "it",
    "several pronoun": "them they",
    "action": "baked brought carried closed finished found gave kept lent liked lost needed "
    "opened read saw sent showed thanked took wanted wrote",
    "quality": "big good happy heavy long new old red sad short small tired",
}

VOCABULARY = tuple(word for words in _WORDS_WITH.values() for word in words.split())

EMBEDDINGS = np.asarray(
    [
        [float(feature in features.split()) for feature in FEATURES]
        for features, words in _WORDS_WITH.items()
        for _ in words.split()
    ]
)  # (len(VOCABULARY), len(FEATURES))


def _head(queries, keys):
    """Build a head's two matrices from rows ``feature: four numbers``."""
    return (
        np.asarray([queries.get(feature, [0, 0, 0, 0]) for feature in FEATURES], float),
        np.asarray([keys.get(feature, [0, 0, 0, 0]) for feature in FEATURES], float),
    )


# Head 1: a word asks for its own kind; a noun answers, a pronoun does not.
_meant = _head(
    queries={
        "female": [6, 0, 0, 0],
        "male": [0, 6, 0, 0],
        "thing": [0, 0, 6, 0],
        "several": [0, 0, 0, 6],
    },
    keys={
        "female": [1, 0, 0, 0],
        "male": [0, 1, 0, 0],
        "thing": [0, 0, 1, 0],
        "several": [0, 0, 0, 1],
        "pronoun": [-1, -1, -1, -1],
    },
)

# Head 2: an action asks for people and things, and all of them answer.
_takes_part = _head(
    queries={"action": [6, 6, 0, 0]},
    keys={"person": [1, 0, 0, 0], "thing": [0, 1, 0, 0]},
)

W_Q, W_K = (np.stack(matrices) for matrices in zip(_meant, _takes_part, strict=True))
# each (n_heads, d_model, d_head) = (2, 8, 4)


def embed(words):
    """Look up the vectors of words; a word that is not in the vocabulary gets zeros.

    Parameters
    ----------
    words : iterable of str
        Upper and lower case are the same.

    Returns
    -------
    numpy.ndarray, shape (n_words, 8)

    Examples
    --------
    >>> embed(["She", "zyzzyva"]).astype(int)
    array([[1, 1, 0, 0, 0, 1, 0, 0],
           [0, 0, 0, 0, 0, 0, 0, 0]])
    """
    rows = dict(zip(VOCABULARY, EMBEDDINGS, strict=True))
    unknown = np.zeros(len(FEATURES))
    return np.asarray([rows.get(word.lower(), unknown) for word in words]).reshape(
        -1, len(FEATURES)
    )
