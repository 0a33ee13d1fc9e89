r"""The best policy on Fable, exactly: the language itself, with other odds.

A reward pays for words: the reward of a story is the sum over its words. The best policy weighs
each story with :math:`e^{r / \beta}`, a product over words, so that it can be split along the
process that writes stories. Between two sentences nothing of the past matters but the stage of
the story, its hero, and its friend. Let :math:`V` be the mean of :math:`e^{r / \beta}` over all
that may still come:

.. math::

    V_\text{together}(h, f) &= \frac{w_\text{end}}
        {1 - \sum_k w_k(h, f)}, \\
    V_\text{alone}(h) &= \frac{w_\text{end} + \sum_f p(f \mid h)\, w_\text{meeting}(h, f)\,
        V_\text{together}(h, f)}{1 - \sum_k w_k(h)}, \\
    Z &= \sum_h p(h) \sum_k w_k(h)\, V_\text{alone}(h)

with :math:`w_k` the odds of a sentence of kind :math:`k`, times the mean of
:math:`e^{r / \beta}` over what its words may be. The sums of the denominators are over the
sentences that leave a story in its stage. Where one reaches 1, sentences are paid faster than
stories end: there is no best policy, as ever longer stories are ever better.

Two animals are alike if all that can be said of them is paid alike. :math:`V` is the same for
animals that are alike, so there are as many values as kinds of animals, and often only two.
"""

from typing import NamedTuple

import numpy as np

from lmmath._checks import require_positive
from lmmath.alignment.fable.rewards import require_reward, reward_of_each_word
from lmmath.fable.language import (
    N_ANIMALS,
    NEXT_SENTENCE,
    ODDS_OF_ANIMALS,
    SLOTS,
    stage_after,
)

EVERYBODY = np.arange(N_ANIMALS)


class OptimalFable(NamedTuple):
    r"""The best policy for a reward, as odds of the process that writes its stories.

    Attributes
    ----------
    reward : dict of str to float
    beta : float
        The price of a nat, in units of reward.
    log_z : float
        :math:`\log Z`; the policy's reward less price is :math:`\beta \log Z`.
    slots : dict of str to tuple of Slot
        Each place in each kind of sentence, with the new odds of its words.
    weights : dict of str to dict
        For each place the mean of :math:`e^{r / \beta}`, an array over animals, multiplied out
        for each sentence under "hero", "friend" and ``None``.
    alone : numpy.ndarray, shape (n_animals,)
        :math:`V_\text{alone}`.
    together : numpy.ndarray, shape (n_kinds, n_kinds)
        :math:`V_\text{together}`, the hero's kind by the friend's.
    kinds : numpy.ndarray of int, shape (n_animals,)
        Which animals are alike.
    """

    reward: dict
    beta: float
    log_z: float
    slots: dict
    weights: dict
    alone: np.ndarray
    together: np.ndarray
    kinds: np.ndarray


def optimal_fable(reward, beta):
    r"""Find the best policy for a reward on Fable, exactly.

    .. math:: \pi^{*}(\text{story}) = \frac{1}{Z}\, \pi(\text{story})\,
              e^{r(\text{story}) / \beta}

    Parameters
    ----------
    reward : dict of str to float
        What each word pays; 0 for words that are not in it.
    beta : float
        The price of a nat, in units of reward.

    Returns
    -------
    OptimalFable

    Raises
    ------
    ValueError
        If the reward is for what is no word of Fable, or ``beta`` is not a finite number above
        0, or so low that :math:`Z` is infinite. ``least_beta`` says how low it may be.

    Examples
    --------
    Fable's own stories have 0.0381 fish on average. The best policy loses less:

    >>> from lmmath.alignment.fable import NO_FISH
    >>> policy = optimal_fable(NO_FISH, beta=0.5)
    >>> round(policy.beta * policy.log_z, 4)
    -0.0141
    """
    require_reward(reward)
    require_positive(beta=beta)
    policy = _solve(reward, 1 / beta)
    if policy is not None:
        return policy
    if beta <= (lowest := least_beta(reward)):
        raise ValueError(
            "beta must be so high that stories end sooner than they are paid for, above "
            f"{lowest:.6g} for this reward, got {beta!r}"
        )
    raise ValueError(
        f"beta must not be so low that e^(reward / beta) is beyond all numbers, got {beta!r}"
    )


def least_beta(reward):
    r"""Find the price of a nat down to which there is a best policy.

    At this :math:`\beta` the mean of :math:`e^{r / \beta}` over a sentence, where a story stays
    in its stage, reaches 1 for some animal.

    Parameters
    ----------
    reward : dict of str to float
        As in ``optimal_fable``.

    Returns
    -------
    float
        0 if there is one at every price.

    Raises
    ------
    ValueError
        If the reward is for what is no word of Fable, or not finite.

    Examples
    --------
    >>> from lmmath.alignment.fable import LONG, NO_FISH
    >>> round(least_beta(LONG), 4)  # where 0.65 e^(1/beta) is 1
    2.3214
    >>> least_beta(NO_FISH)
    0.0
    """
    require_reward(reward)
    if all(number <= 0 for number in reward.values()):
        return 0.0
    low, high = 0.0, 1e-3
    while _solve(reward, high) is not None:
        low, high = high, 2 * high
        if high * max(map(abs, reward.values())) > 300:
            return 0.0  # no sentence pays more than it costs, as far as numbers go
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        ends = _solve(reward, middle) is not None
        low, high = (middle, high) if ends else (low, middle)
    return 1 / low


def odds_of_heroes(policy):
    """Give the probability of each hero, (n_animals,)."""
    odds = ODDS_OF_ANIMALS * odds_of_next(policy, "start", EVERYBODY, None, total=True)
    return odds / odds.sum()


def odds_of_friends(policy, heroes):
    """Give the probability of each friend, (n_heroes, n_animals), if these heroes meet one."""
    odds = np.tile(
        ODDS_OF_ANIMALS * policy.weights["meeting"]["friend"], (len(heroes), 1)
    )
    odds *= policy.together[policy.kinds[heroes]][:, policy.kinds]
    odds[np.arange(len(heroes)), heroes] = 0.0  # nobody meets itself
    return odds / odds.sum(axis=1, keepdims=True)


def odds_of_next(policy, stage, hero, friend, total=False):
    """Give the probability of each kind of sentence, (n_stories, n_sentences).

    If ``total``, give instead what they add up to before they are made probabilities.
    """
    columns = []
    for sentence, odds in NEXT_SENTENCE[stage].items():
        factor, after = policy.weights[sentence], stage_after(stage, sentence)
        column = odds * factor[None] * factor["hero"][hero]
        if stage == "together":
            column = column * factor["friend"][friend]
        if sentence == "meeting":
            column = (
                column * _mean_over_friends(factor, policy.together, policy.kinds)[hero]
            )
        elif after == "alone":
            column = column * policy.alone[hero]
        elif after == "together":
            column = column * policy.together[policy.kinds[hero], policy.kinds[friend]]
        columns.append(column)
    odds = np.stack(columns, axis=-1)
    sums = odds.sum(axis=-1, keepdims=True)
    return sums[..., 0] if total else share(odds, sums)


def share(part, whole):
    """Divide; of nothing, which a tiny beta may leave, every share is 0."""
    return part / np.where(whole > 0, whole, 1.0)


def sum_over_others(values, matrix, kinds):
    r"""Add up what others say of each animal, if it depends on their kinds.

    .. math:: y_i = \sum_{j \ne i} v_j\, M_{k_i k_j}
    """
    totals = np.bincount(kinds, values, minlength=len(matrix))
    return (matrix @ totals)[kinds] - values * matrix[kinds, kinds]


# --- the solution ---


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _solve(reward, strength):
    """Solve for the reward times ``strength``, one over beta; None where nothing is best."""
    slots, weights = _tilted(reward, strength)
    first, kinds = _kinds(reward)
    stays_together = _staying(weights, first)
    # An animal of its own kind meets none of it.
    lonely = np.flatnonzero(np.bincount(kinds) == 1)
    stays_together[lonely, lonely] = 0.0
    stays_alone = sum(
        odds * weights[sentence][None] * weights[sentence]["hero"]
        for sentence, odds in NEXT_SENTENCE["alone"].items()
        if stage_after("alone", sentence) == "alone"
    )
    if not max(stays_together.max(), stays_alone.max()) < 1:
        return None
    end, meeting = weights["end"][None], weights["meeting"]
    together = NEXT_SENTENCE["together"]["end"] * end / (1 - stays_together)
    met = meeting[None] * meeting["hero"] * _mean_over_friends(meeting, together, kinds)
    odds = NEXT_SENTENCE["alone"]
    alone = (odds["end"] * end + odds["meeting"] * met) / (1 - stays_alone)
    policy = OptimalFable(
        dict(reward), 1 / strength, 0.0, slots, weights, alone, together, kinds
    )
    start = odds_of_next(policy, "start", EVERYBODY, None, total=True)
    log_z = float(np.log(ODDS_OF_ANIMALS @ start))
    return policy._replace(log_z=log_z) if np.isfinite(log_z) else None


def _tilted(reward, strength):
    """Weigh every word with e^(reward times strength), place by place."""
    factors = np.exp(strength * reward_of_each_word(reward))
    slots, weights = {}, {}
    for sentence, places in SLOTS.items():
        product = {"hero": np.ones(N_ANIMALS), "friend": np.ones(N_ANIMALS), None: 1.0}
        tilted = []
        for slot in places:
            odds = slot.odds * factors[slot.words]
            mean = odds.sum(axis=1)
            tilted.append(slot._replace(odds=share(odds, mean[:, None])))
            product[slot.about] *= mean if slot.about else mean[0]
        slots[sentence], weights[sentence] = tuple(tilted), product
    return slots, weights


def _kinds(reward):
    """Find one animal of each kind, and the kind of each animal."""
    paid = reward_of_each_word(reward)
    said = [
        paid[slot.words[EVERYBODY, slot.odds.argmax(axis=1)]]
        for slots in SLOTS.values()
        for slot in slots
        if slot.about
    ]
    _, first, kinds = np.unique(
        np.stack(said, axis=1), axis=0, return_index=True, return_inverse=True
    )
    return first, kinds.reshape(-1)


def _staying(weights, first):
    """Add up, kind by kind, the sentences after which two stay together."""
    total = 0.0
    for sentence, odds in NEXT_SENTENCE["together"].items():
        if sentence != "end":
            total = total + odds * pair_weight(weights[sentence], first)
    return total


def pair_weight(factor, first):
    """Give the mean of e^(r / beta) over a sentence, kind of hero by kind of friend."""
    return factor[None] * factor["hero"][first][:, None] * factor["friend"][first]


def _mean_over_friends(meeting, together, kinds):
    """Average over whom each hero may meet: anybody but itself."""
    values = ODDS_OF_ANIMALS * meeting["friend"]
    return sum_over_others(values, together, kinds) / (1 - ODDS_OF_ANIMALS)
