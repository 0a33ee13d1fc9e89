"""Writing stories as the best policy does, with no training and no trial: its odds are known."""

import numpy as np

from lmmath._checks import require_generator, require_positive_integer
from lmmath.alignment.fable.solution import (
    odds_of_friends,
    odds_of_heroes,
    odds_of_next,
)
from lmmath.fable.language import (
    N_ANIMALS,
    NEXT_SENTENCE,
    SLOTS,
    stage_after,
    vocabulary,
)
from lmmath.fable.sampling import _fill as fill


def sample_stories(policy, n_stories, rng):
    r"""Write stories as the best policy does.

    Parameters
    ----------
    policy : OptimalFable
        For Fable as it is, that of no reward, ``{}``.
    n_stories : int
    rng : numpy.random.Generator

    Returns
    -------
    list of list of str
        The words of each story, its line break included.

    Raises
    ------
    TypeError
        If ``rng`` is not a generator.
    ValueError
        If ``n_stories`` is not an integer of at least 1.

    Examples
    --------
    >>> from lmmath.alignment.fable import FRIENDLY_AND_BRIEF, optimal_fable
    >>> policy = optimal_fable(FRIENDLY_AND_BRIEF, beta=0.7)
    >>> story = sample_stories(policy, 3, np.random.default_rng(0))[1]
    >>> story[-1]
    '\n'
    """
    require_positive_integer(n_stories=n_stories)
    require_generator(rng)
    heroes = rng.choice(N_ANIMALS, n_stories, p=odds_of_heroes(policy))
    animals = {"hero": heroes, "friend": np.full(n_stories, -1)}
    stages = np.full(n_stories, "start", object)
    stories = [[] for _ in range(n_stories)]
    ongoing = np.arange(n_stories)
    while ongoing.size:
        sentences = _next_sentences(policy, stages, animals, ongoing, rng)
        for sentence in SLOTS:
            told = ongoing[sentences == sentence]
            if not told.size:
                continue
            if sentence == "meeting":
                animals["friend"][told] = _draw(
                    odds_of_friends(policy, heroes[told]), rng
                )
            columns = [fill(s, animals, told, rng) for s in policy.slots[sentence]]
            for story, ids in zip(told, np.stack(columns, axis=1), strict=True):
                stories[story] += [vocabulary[i] for i in ids]
            for story in told:
                stages[story] = stage_after(stages[story], sentence)
        ongoing = ongoing[sentences != "end"]
    return stories


def _next_sentences(policy, stages, animals, ongoing, rng):
    sentences = np.empty(len(ongoing), object)
    for stage, odds in NEXT_SENTENCE.items():
        here = np.flatnonzero(stages[ongoing] == stage)
        if here.size:
            of = ongoing[here]
            rows = odds_of_next(
                policy, stage, animals["hero"][of], animals["friend"][of]
            )
            sentences[here] = np.asarray(list(odds), object)[_draw(rows, rng)]
    return sentences


def _draw(rows, rng):
    below = np.cumsum(rows, axis=1)[:, :-1]
    return np.sum(rng.random(len(rows))[:, None] >= below, axis=1)
