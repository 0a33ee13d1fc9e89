"""Alignment on Fable, where the best policy for a reward is known exactly."""

from lmmath.alignment.fable.averages import (
    expected_word_counts,
    frontier,
    mean_reward,
    reward_and_divergence,
)
from lmmath.alignment.fable.rewards import (
    FRIENDLY,
    FRIENDLY_AND_BRIEF,
    LONG,
    NO_FISH,
    reward_of_each_word,
    story_reward,
)
from lmmath.alignment.fable.solution import OptimalFable, least_beta, optimal_fable
from lmmath.alignment.fable.stories import sample_stories
from lmmath.alignment.fable.words import optimal_word_probabilities

__all__ = [
    "FRIENDLY",
    "FRIENDLY_AND_BRIEF",
    "LONG",
    "NO_FISH",
    "OptimalFable",
    "expected_word_counts",
    "frontier",
    "least_beta",
    "mean_reward",
    "optimal_fable",
    "optimal_word_probabilities",
    "reward_and_divergence",
    "reward_of_each_word",
    "sample_stories",
    "story_reward",
]
