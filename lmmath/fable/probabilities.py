r"""The truth about the next word, by Bayes' rule and nothing else.

A reader of Fable does not know which animal a story is about until it is named, nor always
which sentence has begun. What is known after a prefix is a list of readings, each with its
probability: a sentence, a place in it, and how likely each animal is to be meant. A word is
as probable as the readings together make it; after it, each reading counts as much as it
foresaw the word.

.. math:: p(w) = \sum_r p(r)\, p(w \mid r), \qquad p(r \mid w) = \frac{p(r)\, p(w \mid r)}{p(w)}
"""

from typing import NamedTuple

import numpy as np

from lmmath.fable.language import (
    N_ANIMALS,
    NEXT_SENTENCE,
    ODDS_OF_ANIMALS,
    SLOTS,
    WORD_IDS,
    stage_after,
    vocabulary,
)


class Belief(NamedTuple):
    """Which animals may be meant, and how probable each of them is."""

    animals: np.ndarray
    probabilities: np.ndarray


class Reading(NamedTuple):
    """One way to understand the words so far."""

    probability: float
    stage: str
    sentence: str
    position: int
    hero: Belief
    friend: Belief | None

    @property
    def slot(self):
        """The slot of the sentence that the next word fills."""
        return SLOTS[self.sentence][self.position]

    @property
    def belief(self):
        """What is believed of the animal that the slot is about."""
        return getattr(self, self.slot.about) if self.slot.about else _NOBODY


_NOBODY = Belief(np.asarray([0]), np.asarray([1.0]))
_ANYBODY = Belief(np.arange(N_ANIMALS), ODDS_OF_ANIMALS)


def next_word_probabilities(words):
    """Give the exact probability of every word that may come next.

    Parameters
    ----------
    words : sequence of str
        The words so far, from the beginning of a story. Several stories may follow one
        another; only the last matters.

    Returns
    -------
    numpy.ndarray, shape (len(vocabulary),)
        Probabilities in the order of ``vocabulary``. They sum to one.

    Raises
    ------
    TypeError
        If ``words`` is a single string; ``to_words`` cuts it up.
    ValueError
        If Fable cannot produce ``words``. The message names the first word that is wrong and
        some that would be right.

    Examples
    --------
    >>> probabilities = next_word_probabilities("There was a sly fox".split())
    >>> {vocabulary[i]: round(float(probabilities[i]), 4) for i in np.flatnonzero(probabilities)}
    {'called': 0.75, 'named': 0.25}
    """
    _require_words(words)
    readings = begin()
    for i, word in enumerate(words):
        readings, _ = _read(readings, word, i)
    return word_probabilities(readings)


def surprisals(words):
    r"""Measure how surprising each word of a text is, to one who knows the language.

    .. math:: s_i = -\log p(w_i \mid w_1, \dots, w_{i-1})

    Parameters
    ----------
    words : sequence of str
        A text from the beginning of a story.

    Returns
    -------
    numpy.ndarray, shape (len(words),)
        In nats. Their mean over a long text is the entropy rate.

    Raises
    ------
    ValueError
        If Fable cannot produce ``words``.
    """
    _require_words(words)
    readings, values = begin(), np.empty(len(words))
    for i, word in enumerate(words):
        readings, probability = _read(readings, word, i)
        values[i] = -np.log(probability)
    return values


def begin():
    """Return the readings at the beginning of a story, where all is open."""
    return _open("start", _ANYBODY, None)


def word_probabilities(readings):
    """Add up what the readings expect: an array in the order of ``vocabulary``."""
    total = np.zeros(len(vocabulary))
    for reading in readings:
        slot, (animals, probabilities) = reading.slot, reading.belief
        odds = reading.probability * probabilities[:, None] * slot.odds[animals]
        np.add.at(total, slot.words[animals], odds)
    return total


def read_word(readings, word):
    """Take one more word into account.

    Parameters
    ----------
    readings : list of Reading
    word : str

    Returns
    -------
    readings : list of Reading
        Those that are still possible; none if the word is not.
    probability : float
        How probable the word was.
    """
    word_id, after = WORD_IDS.get(word, -1), []
    for reading in readings:
        slot, (animals, probabilities) = reading.slot, reading.belief
        if word_id not in slot.possible:
            continue
        fits = np.sum(slot.odds[animals] * (slot.words[animals] == word_id), axis=1)
        joint = probabilities * fits
        if (probability := joint.sum()) > 0:
            reading = reading._replace(probability=reading.probability * probability)
            if slot.about is not None:
                left = joint > 0
                belief = Belief(animals[left], joint[left] / probability)
                reading = reading._replace(**{slot.about: belief})
            after.append(reading)
    total = sum(reading.probability for reading in after)
    return [further for reading in after for further in _go_on(reading, total)], total


def _go_on(reading, total):
    """Move to the next slot, or to every sentence that may come next."""
    reading = reading._replace(probability=reading.probability / total)
    if reading.position + 1 < len(SLOTS[reading.sentence]):
        return [reading._replace(position=reading.position + 1)]
    stage = stage_after(reading.stage, reading.sentence)
    if stage == "start":
        return begin()
    return [
        further._replace(probability=further.probability * reading.probability)
        for further in _open(stage, reading.hero, reading.friend)
    ]


def _open(stage, hero, friend):
    return [
        Reading(
            odds,
            stage,
            sentence,
            0,
            hero,
            _others(hero) if sentence == "meeting" else friend,
        )
        for sentence, odds in NEXT_SENTENCE[stage].items()
    ]


def _others(hero):
    """Believe that a friend is anybody but the hero, who is known by now."""
    odds = np.delete(ODDS_OF_ANIMALS, hero.animals[0])
    return Belief(np.delete(np.arange(N_ANIMALS), hero.animals[0]), odds / odds.sum())


def _require_words(words):
    if isinstance(words, str):
        raise TypeError("words must be a sequence of words, got str")


def _read(readings, word, i):
    after, probability = read_word(readings, word)
    if not after:
        probable = vocabulary[np.argmax(word_probabilities(readings))]
        begins = all(r.stage == "start" and r.position == 0 for r in readings)
        where = "begin a story" if begins else "come here"
        raise ValueError(
            f"words[{i}] must be one that can {where}, such as {probable!r}, got {word!r}"
        )
    return after, probability
