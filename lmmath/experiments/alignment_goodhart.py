r"""Goodhart's law, exactly: a reward learned from few preferences, and then optimized.

The readers' true reward is known, and so is the best policy for whatever reward was learned from
them, at every price of a nat. So both rewards of that policy are computed and not estimated: the
one that was learned, and the true one. Only the preferences are drawn.

``python -m lmmath.experiments.alignment_goodhart`` learns many rewards and keeps what came of
them. It takes some minutes.
"""

import numpy as np

from lmmath._checks import require_generator, require_positive_integer
from lmmath.alignment import fit_rewards, preference_probability
from lmmath.alignment.fable import (
    expected_word_counts,
    least_beta,
    optimal_fable,
    reward_of_each_word,
    sample_stories,
    story_reward,
)
from lmmath.experiments.kept import keep
from lmmath.experiments.texts import mean_and_interval

# Readers like friendly sentences, and like short stories a little more.
TRUE_REWARD = {"gave": 1.0, "They": 1.0, ".": -1.2}
FEATURES = ("gave", "They", ".", "Everyone", "met", "fish", "happy", "sad", "night")
N_PAIRS, N_FITS, L2 = (25, 50, 100, 200, 800), 40, 1.0
DIVERGENCES = np.concatenate([[0.02, 0.05], np.arange(1, 41) * 0.2])
N_POINTS, STRONGEST, SEED = 40, 30.0, 0


def learned_reward(n_pairs, rng, features=FEATURES, true_reward=None, l2=L2):
    """Learn a reward from pairs of stories, of which a reader has preferred one.

    Parameters
    ----------
    n_pairs : int
        Each pair is of two new stories of Fable.
    rng : numpy.random.Generator
    features : sequence of str
        The words whose number in a story the reward may depend on.
    true_reward : dict of str to float
        What the reader is led by, as Bradley and Terry have it. ``TRUE_REWARD`` if not given.
    l2 : float
        As in ``fit_rewards``.

    Returns
    -------
    dict of str to float

    Raises
    ------
    TypeError
        If ``rng`` is not a generator.
    ValueError
        If ``n_pairs`` is not an integer of at least 1.

    Examples
    --------
    >>> reward = learned_reward(2000, np.random.default_rng(0), ("gave", "."))
    >>> round(reward["gave"], 1), round(reward["."], 1)
    (0.9, -1.0)
    """
    require_positive_integer(n_pairs=n_pairs)
    require_generator(rng)
    true_reward = TRUE_REWARD if true_reward is None else true_reward
    stories = sample_stories(optimal_fable({}, 1.0), 2 * n_pairs, rng)
    counts = np.asarray(
        [[story.count(word) for word in features] for story in stories], float
    )
    rewards = np.asarray([story_reward(story, true_reward) for story in stories])
    one, other = np.arange(n_pairs), np.arange(n_pairs, 2 * n_pairs)
    wins = rng.random(n_pairs) < preference_probability(rewards[one], rewards[other])
    chosen, rejected = np.where(wins, one, other), np.where(wins, other, one)
    weights = fit_rewards(counts, chosen, rejected, l2)
    return dict(zip(features, map(float, weights), strict=True))


def optimized(reward, true_reward=None, divergences=DIVERGENCES):
    """Follow the best policy for a reward away from Fable, and pay it by the true reward too.

    Parameters
    ----------
    reward : dict of str to float
        What is optimized.
    true_reward : dict of str to float
        ``TRUE_REWARD`` if not given.
    divergences : sequence of float
        In nats, how far to go. Where even the best story of all is nearer, the way ends there.

    Returns
    -------
    rewards, true_rewards : numpy.ndarray, shape (n_divergences,)
        Interpolated between exact values.

    Examples
    --------
    Who optimizes the true reward gains by it all the way:

    >>> rewards, true_rewards = optimized(TRUE_REWARD, divergences=[0.1, 1.0, 2.0])
    >>> bool(np.all(rewards == true_rewards)), true_rewards.round(1)
    (True, array([-3. , -1.6, -1.2]))
    """
    true_reward = TRUE_REWARD if true_reward is None else true_reward
    paid = reward_of_each_word(true_reward)
    own = reward_of_each_word(reward)
    points = []
    for strength in (0.0, *_strengths(least_beta(reward))):
        policy = optimal_fable(reward if strength else {}, 1 / (strength or 1.0))
        counts = expected_word_counts(policy)
        divergence = max(0.0, strength * (counts @ own) - policy.log_z)
        points.append((divergence**0.5, counts @ own, counts @ paid))
    # Near Fable rewards grow with the root of the divergence.
    moved, rewards, true_rewards = np.asarray(points).T
    wanted = np.sqrt(divergences)
    return np.interp(wanted, moved, rewards), np.interp(wanted, moved, true_rewards)


def goodhart(n_pairs, n_fits, rng):
    """Learn rewards from as many pairs each, and optimize each of them.

    Parameters
    ----------
    n_pairs : int
        As in ``learned_reward``.
    n_fits : int
        How many rewards are learned, each from pairs of its own.
    rng : numpy.random.Generator

    Returns
    -------
    dict
        ``rewards`` and ``true_rewards``, each (n_fits, n_divergences), at ``DIVERGENCES``;
        ``least_beta`` of each reward that was learned, (n_fits,).
    """
    fits = [learned_reward(n_pairs, rng) for _ in range(n_fits)]
    ways = [optimized(reward) for reward in fits]
    return {
        "rewards": np.asarray([rewards for rewards, _ in ways]),
        "true_rewards": np.asarray([true_rewards for _, true_rewards in ways]),
        "least_beta": np.asarray([least_beta(reward) for reward in fits]),
    }


def summary(found, rng):
    """Average over the rewards learned, with intervals of 95 percent over them.

    Returns
    -------
    dict
        ``reward`` and ``true_reward``, each with ``mean``, ``low`` and ``high`` along
        ``DIVERGENCES``; the ``peak`` of the mean true reward; the share of rewards whose own
        true reward ``falls`` by more than 0.1 from its peak; and the share that make stories
        ``endless`` at some price.
    """
    true_rewards = found["true_rewards"]
    curves = {
        name: dict(
            zip(("mean", "low", "high"), mean_and_interval(values, rng), strict=True)
        )
        for name, values in (
            ("reward", found["rewards"]),
            ("true_reward", true_rewards),
        )
    }
    highest = int(curves["true_reward"]["mean"].argmax())
    falls = true_rewards.max(axis=1) - true_rewards[:, -1] > 0.1
    own_peaks = DIVERGENCES[true_rewards.argmax(axis=1)]
    return {
        **curves,
        "peak": {
            "divergence": DIVERGENCES[highest],
            "true_reward": curves["true_reward"]["mean"][highest],
        },
        "falls": falls.mean(),
        "own_peak_of_those": np.median(own_peaks[falls]) if falls.any() else None,
        "endless": np.mean(found["least_beta"] > 0),
    }


def main():
    """Learn rewards from few and from many preferences, optimize them, and keep the averages."""
    results = {}
    for n_pairs in N_PAIRS:
        rng = np.random.default_rng([SEED, n_pairs])
        results[str(n_pairs)] = summary(goodhart(n_pairs, N_FITS, rng), rng)
        few = results[str(n_pairs)]
        print(n_pairs, few["peak"], few["falls"], few["endless"], flush=True)
    truth, _ = optimized(TRUE_REWARD)
    keep(
        "alignment_goodhart",
        {
            "true_reward": TRUE_REWARD,
            "features": FEATURES,
            "l2": L2,
            "n_fits": N_FITS,
            **_rounded(
                {"divergences": DIVERGENCES, "frontier": truth, "by_pairs": results}
            ),
        },
    )


def _strengths(lowest):
    """Space one over beta, densely near 0 and near where stories no longer end."""
    if lowest == 0:
        return np.geomspace(0.01, STRONGEST, N_POINTS)
    half = 0.5 / lowest
    near = 1 / lowest - half * np.geomspace(1, 1e-3, N_POINTS // 2)
    return np.concatenate([np.geomspace(0.01 * half, half, N_POINTS // 2)[:-1], near])


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return [_rounded(part) for part in value.tolist()]
    return round(float(value), 4) if isinstance(value, float | np.floating) else value


if __name__ == "__main__":
    main()
