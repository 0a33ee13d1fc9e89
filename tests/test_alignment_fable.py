"""The best policy on Fable against enumeration, chance, the rules of probability and calculus."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import close

from lmmath.alignment.fable import (
    FRIENDLY,
    FRIENDLY_AND_BRIEF,
    LONG,
    NO_FISH,
    expected_word_counts,
    frontier,
    least_beta,
    mean_reward,
    optimal_fable,
    optimal_word_probabilities,
    reward_and_divergence,
    sample_stories,
    story_reward,
)
from lmmath.fable import (
    ANIMALS,
    next_word_probabilities,
    sample,
    surprisals,
    vocabulary,
)
from lmmath.fable.language import (
    FACTS,
    FAVOURITE,
    NEXT_SENTENCE,
    ODDS_OF_ANIMALS,
    stage_after,
)

MIXED = {"fish": -1.0, "gave": 0.7, "Leka": 0.2, "kind": 0.3, "her": 0.4, ".": -0.3, "sad": -2.0, "ate": 0.4, "\n": 0.5}  # fmt: skip
CASES = [(NO_FISH, 0.3), (FRIENDLY, 2.0), (FRIENDLY_AND_BRIEF, 0.8), (LONG, 3.0), (MIXED, 1.7)]  # fmt: skip


@pytest.fixture(scope="module", params=CASES, ids=lambda case: ",".join(case[0]))
def policy(request):
    return optimal_fable(*request.param)


def stories_of_fable(n_words, seed):
    text = sample(n_words, np.random.default_rng(seed))
    stories = [[]]
    for word in text:
        stories[-1].append(word)
        if word == "\n":
            stories.append([])
    return stories[:-1]


def log_probability(policy, story):
    """Multiply, word by word, what the policy says."""
    return sum(
        log(optimal_word_probabilities(policy, story[:i])[vocabulary.index(word)])
        for i, word in enumerate(story)
    )


def test_word_by_word_the_policy_is_fable_times_the_exponential_of_the_reward(policy):
    # The words' probabilities know V of each beginning, log Z the solution alone.
    for story in stories_of_fable(300, seed=1)[:6]:
        whole = story_reward(story, policy.reward) / policy.beta - policy.log_z
        close(log_probability(policy, story), whole - surprisals(story).sum(), 1e-9)


def test_the_mean_reward_is_the_slope_of_log_z(policy):
    h, strength = 1e-5, 1 / policy.beta
    ahead, back = (
        optimal_fable(policy.reward, 1 / (strength + s)).log_z for s in (h, -h)
    )
    reward, divergence = reward_and_divergence(policy)
    close((ahead - back) / (2 * h), reward, 1e-6)
    # What is bought is worth its price at the margin, and all of it beta log Z.
    close(reward - policy.beta * divergence, policy.beta * policy.log_z, 1e-12)


def test_z_is_the_mean_of_the_weights_of_fables_own_stories():
    stories = stories_of_fable(400_000, seed=2)
    for reward, beta in [(NO_FISH, 0.3), (FRIENDLY_AND_BRIEF, 2.0), (MIXED, 3.0)]:
        rewards = np.asarray([story_reward(story, reward) for story in stories])
        weights = np.exp(rewards / beta)
        error = weights.std() / len(weights) ** 0.5
        policy = optimal_fable(reward, beta)
        assert abs(weights.mean() - exp(policy.log_z)) < 4 * error
        assert error < 0.05
        weighted = np.sum(weights * rewards) / weights.sum()
        scatter = weights * (rewards - weighted) / weights.mean()
        error = scatter.std() / len(weights) ** 0.5
        assert abs(weighted - mean_reward(policy, reward)) < 4 * error
        assert error < 0.05


def test_z_equals_all_short_stories_enumerated():
    """A reward that makes long stories negligible; a loop over kinds of animals and sentences."""
    reward, beta, longest = {"fish": -1.0, ".": -6.0, "gave": 1.0}, 1.0, 5
    likes = [animal.food == "fish" for animal in ANIMALS]
    other = (1 - FAVOURITE) / len(FACTS["food"])

    def eaten_by(like):
        """Average the weight of the food that is told in a sentence about it."""
        fish = other + FAVOURITE * like
        return 1 - fish + fish * exp(-1)

    def weight(sentence, hero, friend):
        brief = 1.0 if sentence == "end" else exp(-6)
        if sentence == "meal":
            return brief * eaten_by(hero)
        if sentence == "gift":
            return brief * exp(1) * eaten_by(friend)
        return brief

    def all_after(stage, hero, friend, n_left):
        total = 0.0
        for sentence, odds in NEXT_SENTENCE[stage].items():
            own = odds * weight(sentence, hero, friend)
            if sentence == "end":
                total += own
            elif n_left:
                total += own * all_after(
                    stage_after(stage, sentence), hero, friend, n_left - 1
                )
        return total

    classes = {}
    for i, p in enumerate(ODDS_OF_ANIMALS):
        for like in (True, False):
            others = sum(
                q for j, q in enumerate(ODDS_OF_ANIMALS) if j != i and likes[j] == like
            )
            key = likes[i], like
            classes[key] = classes.get(key, 0.0) + p * others / (1 - p)
    z = sum(odds * all_after("start", *pair, longest) for pair, odds in classes.items())
    close(optimal_fable(reward, beta).log_z, log(z), 1e-9)


def test_without_a_reward_it_is_fable():
    policy = optimal_fable({}, beta=0.1)
    assert abs(policy.log_z) < 1e-12
    assert reward_and_divergence(policy) == (0.0, pytest.approx(0.0, abs=1e-12))
    for text in (
        "",
        "There was a",
        "Leka the mouse lived in the desert . One day Leka met",
    ):
        words = text.split()
        close(
            optimal_word_probabilities(policy, words),
            next_word_probabilities(words),
            1e-12,
        )


def test_stories_drawn_have_the_counts_and_the_divergence_that_are_computed(policy):
    stories = sample_stories(policy, 3000, np.random.default_rng(3))
    assert all(np.isfinite(surprisals(story)).all() for story in stories[:100])
    expected = expected_word_counts(policy)
    for word in (
        ".",
        "gave",
        "They",
        "fish",
        "Leka",
        "her",
        "sad",
        "home",
        "forest",
        "met",
    ):
        if word not in vocabulary:
            continue
        counts = np.asarray([story.count(word) for story in stories])
        error = max(counts.std(), 0.03) / len(counts) ** 0.5
        assert abs(counts.mean() - expected[vocabulary.index(word)]) < 4.5 * error
    rewards = np.asarray([story_reward(story, policy.reward) for story in stories])
    log_ratio = rewards / policy.beta - policy.log_z
    error = log_ratio.std() / len(stories) ** 0.5
    assert abs(log_ratio.mean() - reward_and_divergence(policy)[1]) < 4.5 * error


REWARDS = st.dictionaries(
    st.sampled_from(["gave", "They", ".", "fish", "Leka", "met", "sad", "She", "wise"]),
    st.floats(-1, 1, allow_subnormal=False),
    max_size=5,
)


@settings(max_examples=8)
@given(REWARDS, REWARDS, st.floats(0.2, 3), st.floats(0.2, 3))
def test_no_policy_beats_the_best_for_its_reward(reward, other, margin, other_margin):
    best = optimal_fable(reward, least_beta(reward) + margin)
    rival = optimal_fable(other, least_beta(other) + other_margin)
    _, divergence = reward_and_divergence(rival)
    value = mean_reward(rival, reward) - best.beta * divergence
    assert value <= best.beta * best.log_z + 1e-9


def test_the_frontier_is_concave_and_its_slope_is_beta():
    betas = np.geomspace(5, 0.7, 100)
    rewards, divergences = frontier(FRIENDLY_AND_BRIEF, betas)
    assert np.all(np.diff(rewards) > 0)
    slopes = np.diff(rewards) / np.diff(divergences)
    middle = (betas[1:] + betas[:-1]) / 2
    close(slopes, middle, 3e-3)


def test_below_its_least_beta_a_reward_has_no_best_policy():
    # A sentence more, together: 0.65 of the odds, times e^(1/beta).
    close(least_beta(LONG), 1 / log(1 / 0.65), 1e-9)
    # Friendly ones have 0.4 of them, paid with a half; 0.25 pay a half.
    root = least_beta(FRIENDLY_AND_BRIEF)
    close(0.4 * exp(0.5 / root) + 0.25 * exp(-0.5 / root), 1.0, 1e-9)
    for reward in (LONG, FRIENDLY_AND_BRIEF):
        lowest = least_beta(reward)
        assert np.isfinite(optimal_fable(reward, 1.001 * lowest).log_z)
        with pytest.raises(
            ValueError, match="beta must be so high that stories end sooner"
        ):
            optimal_fable(reward, 0.999 * lowest)
    assert least_beta(NO_FISH) == 0
    assert least_beta({"gave": 1.0, ".": -1.0}) == 0  # a gift costs what it pays
    near = reward_and_divergence(optimal_fable(LONG, 1.001 * least_beta(LONG)))
    far = reward_and_divergence(optimal_fable(LONG, 2 * least_beta(LONG)))
    assert near[0] > 50 * far[0]


def test_the_policy_looks_ahead():
    policy = optimal_fable({"gave": 1.0}, beta=1.2)
    words = ["Leka", "the", "mouse", "lived", "in", "the", "desert", "."]
    one, end = vocabulary.index("One"), vocabulary.index("\n")
    before, after = (
        next_word_probabilities(words),
        optimal_word_probabilities(policy, words),
    )
    assert after[one] > 1.3 * before[one]
    assert after[end] < before[end]
    close(after.sum(), 1.0, 1e-12)


def test_what_is_no_fable_is_refused():
    policy = optimal_fable({}, beta=1.0)
    with pytest.raises(
        ValueError, match=r"words\[1\] must be one that can come there, got 'gave'"
    ):
        optimal_word_probabilities(policy, ["There", "gave"])
    with pytest.raises(TypeError, match="words must be a sequence of words, got str"):
        optimal_word_probabilities(policy, "There was")
    with pytest.raises(TypeError, match="words must be a sequence of words, got str"):
        story_reward("They sang .", FRIENDLY)
    for function in (
        lambda r: optimal_fable(r, 1.0),
        least_beta,
        lambda r: mean_reward(policy, r),
    ):
        with pytest.raises(
            ValueError, match="reward must be for words of Fable, got 'meat'"
        ):
            function({"meat": -1.0})
        with pytest.raises(
            ValueError, match=r"reward\['fish'\] must be a finite number, got nan"
        ):
            function({"fish": np.nan})
    with pytest.raises(ValueError, match="beta must be a finite number above 0, got 0"):
        optimal_fable(NO_FISH, 0)
    with pytest.raises(ValueError, match="beyond all numbers, got 1e-05"):
        optimal_fable({".": -1.0}, 1e-5)
    with pytest.raises(TypeError, match="rng must be"):
        sample_stories(policy, 3, 0)
    with pytest.raises(ValueError, match="n_stories must be an integer of at least 1"):
        sample_stories(policy, 0, np.random.default_rng(0))


def test_at_a_tiny_beta_what_costs_is_never_told():
    policy = optimal_fable({"Leka": -1.0, "fish": -1.0}, beta=1e-4)
    counts = expected_word_counts(policy)
    assert np.all(np.isfinite(counts))
    assert counts[vocabulary.index("Leka")] == counts[vocabulary.index("fish")] == 0
    # The nats it costs are those of having no such story: what is left has kept its odds.
    stories = stories_of_fable(100_000, seed=5)
    possible = np.asarray([not {"Leka", "fish"} & set(story) for story in stories])
    error = possible.std() / len(possible) ** 0.5
    assert abs(possible.mean() - exp(policy.log_z)) < 4 * error
