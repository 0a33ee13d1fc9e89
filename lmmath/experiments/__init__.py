"""What models have learned: on Fable measured against the truth, on English beside simple guesses.

Every experiment takes a model as ``params, config, tokenizer`` and returns numbers that can be
drawn. ``words`` are a Fable text that the model has not been trained on; ``texts`` are tokens or
strings of any kind. What takes minutes is kept, with the command that makes it again.
"""

from lmmath.experiments.bits import compressed_bits, text_loss, unigram_loss
from lmmath.experiments.calibration import Calibration, bin_sums, calibration
from lmmath.experiments.choices import read_choices, reliability
from lmmath.experiments.circuits import (
    best_heads,
    copying_losses,
    other_heads,
    repeated_texts,
)
from lmmath.experiments.distance import LossByDistance, loss_by_distance
from lmmath.experiments.distances import (
    losses_at_positions,
    previous_token_scores,
    scores_by_distance,
)
from lmmath.experiments.embeddings import (
    ANALOGIES,
    analogies,
    effective_dimension,
    random_cosines,
)
from lmmath.experiments.gates import active_share, neurons_for
from lmmath.experiments.heads import (
    AntecedentAttention,
    HeadScores,
    InductionScores,
    NameInduction,
    PronounAttention,
    antecedent_attention,
    induction_scores,
    name_induction,
)
from lmmath.experiments.held_out import (
    StoryLoss,
    StoryReading,
    encode_story,
    read_stories,
    split_stories,
    story_loss,
    true_probabilities,
)
from lmmath.experiments.kept import load_kept
from lmmath.experiments.knowledge import CERTAIN_FACTS, FactRecall, fact_recall
from lmmath.experiments.languages import SENTENCES, token_counts
from lmmath.experiments.layers import FACTS, lens_ranks, loss_without
from lmmath.experiments.pronouns import (
    gift_sentences,
    gifts_resolved,
    pronoun_attention,
    pronoun_sentences,
)
from lmmath.experiments.sinks import sink_shares
from lmmath.experiments.temperature import (
    BestTemperature,
    best_temperature,
    divergence_at,
    divergence_by_temperature,
)
from lmmath.experiments.texts import mean_and_interval, tokens_of
from lmmath.experiments.units import UnitActivations, unit_activations
from lmmath.experiments.variety import expected_kinds
from lmmath.experiments.writing import Stories, write_stories

__all__ = [
    "ANALOGIES",
    "CERTAIN_FACTS",
    "FACTS",
    "SENTENCES",
    "AntecedentAttention",
    "BestTemperature",
    "Calibration",
    "FactRecall",
    "HeadScores",
    "InductionScores",
    "LossByDistance",
    "NameInduction",
    "PronounAttention",
    "Stories",
    "StoryLoss",
    "StoryReading",
    "UnitActivations",
    "active_share",
    "analogies",
    "antecedent_attention",
    "best_heads",
    "best_temperature",
    "bin_sums",
    "calibration",
    "compressed_bits",
    "copying_losses",
    "divergence_at",
    "divergence_by_temperature",
    "effective_dimension",
    "encode_story",
    "expected_kinds",
    "fact_recall",
    "gift_sentences",
    "gifts_resolved",
    "induction_scores",
    "lens_ranks",
    "load_kept",
    "loss_by_distance",
    "loss_without",
    "losses_at_positions",
    "mean_and_interval",
    "name_induction",
    "neurons_for",
    "other_heads",
    "previous_token_scores",
    "pronoun_attention",
    "pronoun_sentences",
    "random_cosines",
    "read_choices",
    "read_stories",
    "reliability",
    "repeated_texts",
    "scores_by_distance",
    "sink_shares",
    "split_stories",
    "story_loss",
    "text_loss",
    "token_counts",
    "tokens_of",
    "true_probabilities",
    "unigram_loss",
    "unit_activations",
    "write_stories",
]
