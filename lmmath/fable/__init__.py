"""Fable: a language whose mathematics is known, to train models on and to judge them by."""

from lmmath.fable.entropy import entropy_rate, expected_sentences, mean_story_length
from lmmath.fable.language import ANIMALS, ZIPF_EXPONENT, vocabulary
from lmmath.fable.probabilities import next_word_probabilities, surprisals
from lmmath.fable.sampling import sample
from lmmath.fable.text import to_text, to_words
from lmmath.fable.tokens import next_token_probabilities

__all__ = [
    "ANIMALS",
    "ZIPF_EXPONENT",
    "entropy_rate",
    "expected_sentences",
    "mean_story_length",
    "next_token_probabilities",
    "next_word_probabilities",
    "sample",
    "surprisals",
    "to_text",
    "to_words",
    "vocabulary",
]
