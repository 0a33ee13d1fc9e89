"""Writing Fable: many stories at once, a column of words at a time."""

import numpy as np

from lmmath._checks import require_generator, require_positive_integer
from lmmath.fable.language import (
    N_ANIMALS,
    NEXT_SENTENCE,
    ODDS_OF_ANIMALS,
    SLOTS,
    stage_after,
    vocabulary,
)

_STORIES_AT_ONCE = 20_000


def sample(n_words, rng):
    """Write stories, one after another, until there are enough words.

    Parameters
    ----------
    n_words : int
        How many words. Full stops, commas and line breaks count as words. The last story
        ends where the count does.
    rng : numpy.random.Generator

    Returns
    -------
    list of str

    Raises
    ------
    TypeError
        If ``rng`` is not a generator.
    ValueError
        If ``n_words`` is not an integer of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> len(sample(1000, np.random.default_rng(0)))
    1000
    """
    require_positive_integer(n_words=n_words)
    require_generator(rng)
    parts, missing = [], n_words
    while missing > 0:
        # A story has more than ten words on average, so this many are enough or too few.
        n_stories = min(_STORIES_AT_ONCE, missing // 10 + 1)
        parts.append(_stories(n_stories, rng)[:missing])
        missing -= len(parts[-1])
    words = np.asarray(vocabulary, dtype=object)
    return words[np.concatenate(parts)].tolist()


def _stories(n, rng):
    """Write ``n`` stories and return their words' places in the vocabulary."""
    animals = _heroes_and_friends(n, rng)
    stages = np.full(n, "start", dtype=object)
    ongoing = np.arange(n)
    keys, words, n_rounds = [], [], 0
    while ongoing.size:
        sentences = _next_sentences(stages[ongoing], rng)
        for sentence in SLOTS:
            stories = ongoing[sentences == sentence]
            columns = [_fill(slot, animals, stories, rng) for slot in SLOTS[sentence]]
            words.append(np.stack(columns, axis=1).ravel())
            keys.append(np.repeat(n_rounds * n + stories, len(columns)))
            for stage in np.unique(stages[stories]):
                here = stories[stages[stories] == stage]
                stages[here] = stage_after(stage, sentence)
        ongoing = ongoing[sentences != "end"]
        n_rounds += 1
    keys = np.concatenate(keys)
    by_story_then_round = np.argsort(keys % n * n_rounds + keys // n, kind="stable")
    return np.concatenate(words)[by_story_then_round]


def _heroes_and_friends(n, rng):
    hero = rng.choice(N_ANIMALS, n, p=ODDS_OF_ANIMALS)
    friend = hero.copy()
    while (same := friend == hero).any():  # nobody is a friend of its own
        friend[same] = rng.choice(N_ANIMALS, same.sum(), p=ODDS_OF_ANIMALS)
    return {"hero": hero, "friend": friend}


def _next_sentences(stages, rng):
    sentences = np.empty(len(stages), dtype=object)
    for stage, odds in NEXT_SENTENCE.items():
        here = stages == stage
        sentences[here] = rng.choice(list(odds), here.sum(), p=list(odds.values()))
    return sentences


def _fill(slot, animals, stories, rng):
    rows = (
        np.zeros_like(stories) if slot.about is None else animals[slot.about][stories]
    )
    if slot.words.shape[1] == 1:
        return slot.words[rows, 0]
    below = np.cumsum(slot.odds, axis=1)[:, :-1]
    choice = np.sum(rng.random(len(rows))[:, None] >= below[rows], axis=1)
    return slot.words[rows, choice]
