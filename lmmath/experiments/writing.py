"""What a model writes by itself, held against the language: is it possible, is it varied.

With a natural language nobody can say whether a sentence is possible. With Fable it is a
calculation: a text is possible if none of its words has probability zero.
"""

from typing import NamedTuple

import numpy as np

from lmmath._checks import require_positive_integer
from lmmath.experiments.held_out import require_model
from lmmath.fable import ANIMALS, surprisals, to_words
from lmmath.sampling import generate

_NAMES = frozenset(animal.name for animal in ANIMALS)


class Stories(NamedTuple):
    """What a model has written.

    Attributes
    ----------
    texts : list of str
        The stories, in the order in which they were written, without the line breaks.
    possible : numpy.ndarray of bool, shape (n_stories,)
        Which of them Fable could have produced.
    heroes : list of str
        Of each possible story, whom it is about.
    """

    texts: list
    possible: np.ndarray
    heroes: list


def write_stories(params, config, tokenizer, n_texts, rng, **choices):
    """Let a model write stories from their beginnings, and check them against the language.

    Each text begins after a line break and fills the ``n_positions`` of the model. The stories
    in it that it brings to an end are kept; so long stories are somewhat rarer here than they
    should be, whoever the writer is.

    Parameters
    ----------
    params, config, tokenizer
        As in ``read_stories``.
    n_texts : int
        How many texts are written.
    rng : numpy.random.Generator
    **choices
        ``temperature``, ``top_k``, ``top_p`` and ``min_p``, as in ``lmmath.sampling.sample``.

    Returns
    -------
    Stories

    Raises
    ------
    TypeError
        If ``rng`` is not a NumPy generator.
    ValueError
        If ``n_texts`` is below 1, a choice is out of its range, or the model's parts do not fit
        together.

    Examples
    --------
    >>> from lmmath.weights import load_fable_gpt
    >>> written = write_stories(*load_fable_gpt(), 1, np.random.default_rng(0), top_k=1)
    >>> print(written.texts[0])
    There was a patient mouse called Leka. One day Leka met Dido the goat near the river.
    >>> bool(written.possible[0]), written.heroes[0]
    (True, 'Leka')
    """
    require_model(params, config, tokenizer)
    require_positive_integer(n_texts=n_texts)
    prompt = np.asarray(tokenizer.encode("\n"))
    prompts = np.broadcast_to(prompt, (n_texts, len(prompt)))
    n_tokens = config.n_positions - len(prompt)
    rows = generate(params, prompts, config, n_tokens, rng, **choices)
    return stories_in(map(tokenizer.decode, rows))


def stories_in(texts):
    r"""Take the stories from texts that begin with a line break and end anywhere.

    Parameters
    ----------
    texts : iterable of str

    Returns
    -------
    Stories

    Examples
    --------
    >>> stories_in(["\nLeka the mouse lived in the desert.\nLeka the"]).heroes
    ['Leka']
    """
    # Before the first line break is nothing; after the last, a story without its end.
    stories = [story for text in texts for story in text.split("\n")[1:-1]]
    heroes = [_hero_of(story) for story in stories]
    possible = np.asarray([hero is not None for hero in heroes], bool)
    return Stories(stories, possible, [hero for hero in heroes if hero is not None])


def _hero_of(text):
    """Name whom a story is about, or nobody if Fable cannot produce it."""
    try:
        words = [*to_words(text), "\n"]
        surprisals(words)
    except ValueError:
        return None
    return next(word for word in words if word in _NAMES)
