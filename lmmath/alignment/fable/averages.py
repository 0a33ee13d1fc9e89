"""Averages under the best policy: of words, of rewards, and how far it is from Fable."""

import numpy as np

from lmmath.alignment.fable.rewards import reward_of_each_word
from lmmath.alignment.fable.solution import (
    EVERYBODY,
    odds_of_heroes,
    odds_of_next,
    optimal_fable,
    pair_weight,
    share,
    sum_over_others,
)
from lmmath.fable.language import (
    N_ANIMALS,
    NEXT_SENTENCE,
    ODDS_OF_ANIMALS,
    SLOTS,
    vocabulary,
)


def expected_word_counts(policy):
    """Count how often, on average, each word stands in a story of the policy.

    Parameters
    ----------
    policy : OptimalFable

    Returns
    -------
    numpy.ndarray, shape (len(vocabulary),)
        In the order of ``vocabulary``. Its sum is the mean length of a story, and its product
        with the rewards of all words the mean reward, whether of this reward or another.

    Examples
    --------
    >>> counts = expected_word_counts(optimal_fable({}, beta=1.0))  # Fable as it is
    >>> round(float(counts.sum()), 4), round(float(counts[vocabulary.index("gave")]), 4)
    (33.1, 0.5)
    """
    counts = np.zeros(len(vocabulary))
    for sentence, told_of in _expected_sentences(policy).items():
        for slot in policy.slots[sentence]:
            times = told_of["hero" if slot.about is None else slot.about]
            times = times.sum(keepdims=True) if slot.about is None else times
            np.add.at(counts, slot.words, times[:, None] * slot.odds)
    return counts


def mean_reward(policy, reward):
    """Average a reward, the one that the policy is best for or another, over its stories.

    Parameters
    ----------
    policy : OptimalFable
    reward : dict of str to float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the reward is for what is no word of Fable, or not finite.

    Examples
    --------
    >>> from lmmath.alignment.fable import FRIENDLY
    >>> round(mean_reward(optimal_fable({}, beta=1.0), FRIENDLY), 4)  # 0.5 gifts, 0.3 plays
    0.8
    """
    return float(expected_word_counts(policy) @ reward_of_each_word(reward))


def reward_and_divergence(policy):
    r"""Give the policy's mean reward, and how far it is from Fable.

    .. math:: D_{\mathrm{KL}}(\pi^{*} \parallel \pi)
              = \frac{1}{\beta} \mathbb{E}_{\pi^{*}}[r] - \log Z

    Parameters
    ----------
    policy : OptimalFable

    Returns
    -------
    reward : float
    divergence : float
        In nats per story.

    Examples
    --------
    >>> from lmmath.alignment.fable import FRIENDLY
    >>> reward, divergence = reward_and_divergence(optimal_fable(FRIENDLY, beta=2.0))
    >>> round(reward, 4), round(divergence, 4)
    (6.5593, 2.1787)
    """
    reward = mean_reward(policy, policy.reward)
    # Rounding may leave a little less than 0.
    return reward, max(0.0, reward / policy.beta - policy.log_z)


def frontier(reward, betas):
    r"""Trace how much reward each nat can buy: no policy on Fable is above this line.

    Parameters
    ----------
    reward : dict of str to float
        As in ``optimal_fable``.
    betas : sequence of float
        Prices of a nat, each a point of the line. It has the slope :math:`\beta` there.

    Returns
    -------
    rewards, divergences : numpy.ndarray, shape (n_betas,)
        The divergences in nats per story.

    Raises
    ------
    ValueError
        As ``optimal_fable``.

    Examples
    --------
    >>> from lmmath.alignment.fable import NO_FISH
    >>> rewards, divergences = frontier(NO_FISH, [100.0, 1.0, 0.01])
    >>> rewards.round(4), divergences.round(4)
    (array([-0.0381, -0.0111, -0.    ]), array([0.    , 0.0103, 0.0319]))
    """
    points = [reward_and_divergence(optimal_fable(reward, beta)) for beta in betas]
    return tuple(np.asarray(points, np.float64).reshape(-1, 2).T)


def _expected_sentences(policy):
    """Count how often each kind of sentence is told, on average, of each hero and friend."""
    nobody = np.zeros(N_ANIMALS)
    told = {sentence: {"hero": nobody, "friend": nobody} for sentence in SLOTS}

    def tell(sentence, of_heroes, of_friends=nobody):
        before = told[sentence]
        told[sentence] = {
            "hero": before["hero"] + of_heroes,
            "friend": before["friend"] + of_friends,
        }

    heroes = odds_of_heroes(policy)
    for sentence, odds in _odds_of_next(policy, "start").items():
        tell(sentence, heroes * odds)

    odds = _odds_of_next(policy, "alone")
    choices = share(heroes, odds["meeting"] + odds["end"])
    for sentence in odds:
        if sentence != "meeting":
            tell(sentence, choices * odds[sentence])

    # Of each hero and friend that meet, how often; then what is told of them, kind by kind.
    kinds, together = policy.kinds, policy.together
    friends = ODDS_OF_ANIMALS * policy.weights["meeting"]["friend"]
    anybody = sum_over_others(friends, together, kinds)
    meet = share(choices * odds["meeting"], anybody)
    _, first = np.unique(kinds, return_index=True)
    once = NEXT_SENTENCE["together"]["end"] * policy.weights["end"][None]
    for sentence, odds in [("meeting", None), *NEXT_SENTENCE["together"].items()]:
        times = together
        if sentence not in ("meeting", "end"):
            weight = odds * pair_weight(policy.weights[sentence], first)
            times = together * weight * together / once
        of_heroes = meet * sum_over_others(friends, times, kinds)
        tell(sentence, of_heroes, friends * sum_over_others(meet, times.T, kinds))
    return told


def _odds_of_next(policy, stage):
    odds = odds_of_next(policy, stage, EVERYBODY, None)
    return dict(zip(NEXT_SENTENCE[stage], odds.T, strict=True))
