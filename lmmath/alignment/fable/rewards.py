"""What is paid for: words of Fable, each with its price."""

from math import inf

import numpy as np

from lmmath.fable.language import WORD_IDS, vocabulary

# Rewards that a reader understands. A gift and a play are told by these words and no others.
FRIENDLY = {"gave": 1.0, "They": 1.0}
FRIENDLY_AND_BRIEF = {
    **FRIENDLY,
    ".": -0.5,
}  # +1/2 for a friendly sentence, -1/2 for others
NO_FISH = {"fish": -1.0}
LONG = {".": 1.0}


def story_reward(words, reward):
    r"""Add up what a reward pays for the words of a story.

    .. math:: r(\text{story}) = \sum_{w \in \text{story}} r_w

    Parameters
    ----------
    words : sequence of str
        A story, or any text cut up by ``lmmath.fable.to_words``.
    reward : dict of str to float
        :math:`r_w` for words of the vocabulary; 0 for all others.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        If the reward is for what is no word of Fable, or not finite.

    Examples
    --------
    >>> story_reward("They danced in the forest . They sang in the forest .".split(), FRIENDLY)
    2.0
    """
    require_words(words)
    require_reward(reward)
    return float(sum(reward.get(word, 0.0) for word in words))


def reward_of_each_word(reward):
    """Write a reward as an array in the order of ``vocabulary``.

    >>> float(reward_of_each_word(NO_FISH).sum())
    -1.0
    """
    require_reward(reward)
    values = np.zeros(len(vocabulary))
    for word, number in reward.items():
        values[WORD_IDS[word]] = number
    return values


def require_reward(reward):
    """Raise ValueError unless a reward pays finite numbers for words of Fable."""
    for word, number in reward.items():
        if word not in WORD_IDS:
            raise ValueError(f"reward must be for words of Fable, got {word!r}")
        if not -inf < number < inf:
            raise ValueError(
                f"reward[{word!r}] must be a finite number, got {number!r}"
            )


def require_words(words):
    """Raise TypeError if words are not cut up."""
    if isinstance(words, str):
        raise TypeError("words must be a sequence of words, got str")
