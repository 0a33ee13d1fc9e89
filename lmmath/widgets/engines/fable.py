"""The language Fable as data, for widgets that compute its probabilities in the browser."""

from functools import cache

import numpy as np

from lmmath.fable.language import (
    N_ANIMALS,
    NEXT_SENTENCE,
    SLOTS,
    ZIPF_EXPONENT,
    vocabulary,
)


@cache
def language():
    """Write Fable's definition in JSON's types, for ``fable.js``.

    Each slot of a sentence names a table: for each animal a row, which holds the words that may
    stand there, by their places in the vocabulary, and their odds. Slots share tables, and animals
    rows: ``row_of`` says which, unless animal i has row i.

    Returns
    -------
    dict

    Examples
    --------
    >>> fable = language()
    >>> slot = fable["sentences"]["home"][2]  # "Leka the ..."
    >>> table = fable["tables"][slot["table"]]
    >>> (word,), odds = table["rows"][table["row_of"][0]]  # of the most frequent animal
    >>> slot["about"], fable["vocabulary"][word], odds
    ('hero', 'mouse', [1.0])
    """
    tables = {}
    sentences = {
        sentence: [
            {
                "about": slot.about,
                "table": tables.setdefault(_key(slot), (len(tables), slot))[0],
            }
            for slot in slots
        ]
        for sentence, slots in SLOTS.items()
    }
    return {
        "vocabulary": list(vocabulary),
        "n_animals": N_ANIMALS,
        "zipf_exponent": ZIPF_EXPONENT,
        "next_sentence": NEXT_SENTENCE,
        "sentences": sentences,
        "tables": [_table(slot) for _, slot in tables.values()],
    }


def _key(slot):
    return slot.words.tobytes(), slot.odds.tobytes()


def _table(slot):
    """Keep each row once, for animals that have it in common."""
    rows, row_of = np.unique(
        np.hstack([slot.words, slot.odds]), axis=0, return_inverse=True
    )
    n_choices = slot.words.shape[1]
    return {
        "rows": [
            [row[:n_choices].astype(int).tolist(), row[n_choices:].tolist()]
            for row in rows
        ],
        "row_of": None if np.all(row_of == np.arange(len(row_of))) else row_of.tolist(),
    }
