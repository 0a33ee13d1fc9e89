"""What a model trained on Fable has learned, measured against the truth.

Every experiment takes a model as ``params, config, tokenizer`` and returns numbers that can be
drawn. ``words`` are a Fable text that the model has not been trained on.
"""

from lmmath.experiments.calibration import Calibration, bin_sums, calibration
from lmmath.experiments.distance import LossByDistance, loss_by_distance
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
from lmmath.experiments.knowledge import CERTAIN_FACTS, FactRecall, fact_recall
from lmmath.experiments.temperature import (
    BestTemperature,
    best_temperature,
    divergence_at,
    divergence_by_temperature,
)
from lmmath.experiments.units import UnitActivations, unit_activations
from lmmath.experiments.writing import Stories, write_stories

__all__ = [
    "CERTAIN_FACTS",
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
    "antecedent_attention",
    "best_temperature",
    "bin_sums",
    "calibration",
    "divergence_at",
    "divergence_by_temperature",
    "encode_story",
    "fact_recall",
    "induction_scores",
    "loss_by_distance",
    "name_induction",
    "read_stories",
    "split_stories",
    "story_loss",
    "true_probabilities",
    "unit_activations",
    "write_stories",
]
