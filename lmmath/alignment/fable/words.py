r"""The best policy word by word: what Fable says, times how much is still to be won."""

import numpy as np

from lmmath.alignment.fable.rewards import require_words, reward_of_each_word
from lmmath.fable.language import N_ANIMALS, SLOTS, stage_after, vocabulary
from lmmath.fable.probabilities import begin, read_word


def optimal_word_probabilities(policy, words):
    r"""Give the probability that the best policy has for every word that may come next.

    .. math:: \pi^{*}(x \mid s) = \pi(x \mid s)\, \frac{e^{r_x / \beta}\, V(sx)}{V(s)}

    with :math:`V(s)` the mean of :math:`e^{r / \beta}` over all that Fable may write after the
    words :math:`s`. The best policy looks ahead: it makes probable now what pays later.

    Parameters
    ----------
    policy : OptimalFable
    words : sequence of str
        The words so far, from the beginning of a story.

    Returns
    -------
    numpy.ndarray, shape (len(vocabulary),)
        In the order of ``vocabulary``. They sum to one.

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        If Fable cannot produce ``words``.

    Examples
    --------
    A gift pays. Who wants to give must meet somebody first:

    >>> from lmmath.alignment.fable import optimal_fable
    >>> words = "Leka the mouse lived in the desert .".split()
    >>> chances = optimal_word_probabilities(optimal_fable({"gave": 1.0}, beta=2.0), words)
    >>> round(float(chances[vocabulary.index("One")]), 4)  # 0.35 in Fable
    0.4065
    """
    require_words(words)
    readings = begin()
    for i, word in enumerate(words):
        readings, _ = read_word(readings, word)
        if not readings:
            raise ValueError(
                f"words[{i}] must be one that can come there, got {word!r}"
            )
    factors = np.exp(reward_of_each_word(policy.reward) / policy.beta)
    total = np.zeros(len(vocabulary))
    for reading in readings:
        values = reading.probability * _values_by_animal(policy, reading, factors)
        slot, animals = reading.slot, reading.belief.animals
        odds = values[:, None] * slot.odds[animals]
        np.add.at(total, slot.words[animals], odds)
    total *= factors
    return total / total.sum()


def _values_by_animal(policy, reading, factors):
    """Weigh each animal that a slot may be about by belief and by what comes after the slot."""
    hero, friend = reading.hero, reading.friend
    sentence = reading.sentence
    later = {"hero": 1.0, "friend": 1.0, None: 1.0}
    for slot in SLOTS[sentence][reading.position + 1 :]:
        mean = np.sum(slot.odds * factors[slot.words], axis=1)
        later[slot.about] = later[slot.about] * (mean if slot.about else mean[0])
    heroes, friends = hero.animals, np.zeros(1, int)
    joint = (hero.probabilities * _of_each(later["hero"], heroes))[:, None]
    if friend is not None:
        friends = friend.animals
        joint = joint * friend.probabilities * _of_each(later["friend"], friends)
    after = stage_after(reading.stage, sentence)
    if after == "alone":
        joint = joint * policy.alone[heroes][:, None]
    elif after == "together":
        joint = (
            joint * policy.together[np.ix_(policy.kinds[heroes], policy.kinds[friends])]
        )
    about = reading.slot.about
    if about is None:
        return later[None] * joint.sum(keepdims=True)[0]
    return later[None] * joint.sum(axis=1 if about == "hero" else 0)


def _of_each(values, animals):
    """Pick the value of each animal; a single number is that of all."""
    return np.broadcast_to(values, N_ANIMALS)[animals]
