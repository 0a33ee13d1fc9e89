r"""The entropy of Fable, on paper: the floor under the loss of every model.

Stories are independent, and a line break shows where one ends. So the entropy rate is the
entropy of a story divided by its mean length:

.. math:: h = \frac{H(\text{story})}{\mathbb{E}[\text{words in a story}]}

Whoever has read a story knows every draw that made it, and the draws made nothing else. So by
the chain rule :math:`H(\text{story})` is the sum of the entropies of the draws: the hero; at
each point the next sentence; in a meeting the friend; in each sentence the words that are
chosen. A draw counts as often as it is made on average.

A story is in the stage "alone" for a geometric number of sentences, and likewise "together".
Each choice made there leaves the stage with the same probability :math:`q`, so that on average
:math:`1/q` choices are made, if the stage is reached.
"""

import numpy as np

from lmmath.attention import entropy
from lmmath.fable.language import (
    NEXT_SENTENCE,
    ODDS_OF_ANIMALS,
    SLOTS,
    vocabulary,
)


def entropy_rate(tokenizer=None):
    r"""Compute the exact entropy of a text, per word or per token.

    .. math::

        h = \frac{H(\text{hero}) + \sum_s n_s H(\text{next sentence} \mid s)
                  + n_\text{meeting} H(\text{friend} \mid \text{hero})
                  + \sum_k n_k \sum_{j \in k} H(\text{word}_j \mid \text{animal})}
                 {\sum_k n_k \lvert k \rvert}

    with :math:`n_s` the mean number of choices made in stage :math:`s`, and :math:`n_k` that of
    sentences of kind :math:`k`, of :math:`\lvert k \rvert` words or tokens.

    Parameters
    ----------
    tokenizer : BPETokenizer, optional
        Without one, the rate is per word. Full stops, commas and line breaks are words too.

    Returns
    -------
    float
        In nats per word, or in nats per token of ``tokenizer``.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication", section 7.

    Examples
    --------
    >>> round(entropy_rate(), 4)
    0.5976
    """
    return float(story_entropy() / mean_story_length(tokenizer))


def story_entropy():
    """Compute the entropy of one story, in nats."""
    sentences = expected_sentences()
    choices = sum(
        n * _entropy(list(NEXT_SENTENCE[stage].values()))
        for stage, n in expected_choices().items()
    )
    words = sum(
        n * sum(_mean(slot, _entropy(slot.odds)) for slot in SLOTS[sentence])
        for sentence, n in sentences.items()
    )
    hero = _entropy(ODDS_OF_ANIMALS)
    return hero + choices + sentences["meeting"] * _friend_entropy() + words


def mean_story_length(tokenizer=None):
    """Compute the mean number of words in a story, or of tokens, the line break included."""
    at_start, later = (_word_lengths(space, tokenizer) for space in ("", " "))
    total = 0.0
    for sentence, n in expected_sentences().items():
        first, *others = SLOTS[sentence]
        # A story follows a line break: there is no space before its first word.
        begins = sentence in NEXT_SENTENCE["start"]
        total += n * _mean_length(first, at_start if begins else later)
        total += n * sum(_mean_length(slot, later) for slot in others)
    return total


def expected_choices():
    """Compute how often, on average, a story chooses its next sentence in each stage."""
    alone, together = NEXT_SENTENCE["alone"], NEXT_SENTENCE["together"]
    n_alone = 1 / (alone["meeting"] + alone["end"])
    n_together = n_alone * alone["meeting"] / together["end"]
    return {"start": 1.0, "alone": n_alone, "together": n_together}


def expected_sentences():
    """Compute how many sentences of each kind a story has on average."""
    expected = dict.fromkeys(SLOTS, 0.0)
    for stage, n in expected_choices().items():
        for sentence, odds in NEXT_SENTENCE[stage].items():
            expected[sentence] += n * odds
    return expected


def _entropy(odds):
    return entropy(np.asarray(odds))


def _friend_entropy():
    """Average over the heroes: a friend is drawn with the odds of all but the hero."""
    return sum(
        odds * _entropy(np.delete(ODDS_OF_ANIMALS, hero) / (1 - odds))
        for hero, odds in enumerate(ODDS_OF_ANIMALS)
    )


def _mean(slot, values):
    """Average over the animals that a slot may be about."""
    if slot.about is None:
        return values[0]
    return np.sum(_ODDS_OF[slot.about] * values)


def _word_lengths(space, tokenizer):
    """Count the tokens of each word of the vocabulary, with the space before it."""
    if tokenizer is None:
        return np.ones(len(vocabulary))
    pieces = [word if word in ".,\n" else space + word for word in vocabulary]
    return np.asarray([len(tokenizer.encode(piece)) for piece in pieces])


def _mean_length(slot, lengths):
    return _mean(slot, np.sum(slot.odds * lengths[slot.words], axis=1))


def _odds_of_friends():
    p = ODDS_OF_ANIMALS
    given_hero = p[None, :] / (1 - p[:, None])
    np.fill_diagonal(given_hero, 0.0)
    return p @ given_hero


_ODDS_OF = {"hero": ODDS_OF_ANIMALS, "friend": _odds_of_friends()}
