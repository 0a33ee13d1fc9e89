r"""Tokenization: text becomes numbers, and pairs that occur often become one number.

A model reads tokens: integers, each the name of a short string of bytes. Byte-pair encoding
learns which strings deserve a name. It begins with the 256 bytes, so that every text can be
written, and then joins, again and again, the two neighbours that occur together most often.

Texts are ``str``, tokens are ``bytes``, and ids are ``int``. Pre-tokens are the words that
merges never cross.
"""

from lmmath.tokenization.merges import (
    PairTable,
    count_words,
    merge_pair,
    pair_frequencies,
    train_merges,
    train_merges_by_recounting,
)
from lmmath.tokenization.patterns import GPT2_PATTERN, PATTERNS, pre_tokenize
from lmmath.tokenization.published import load_published
from lmmath.tokenization.tokenizer import BPETokenizer

__all__ = [
    "GPT2_PATTERN",
    "PATTERNS",
    "BPETokenizer",
    "PairTable",
    "count_words",
    "load_published",
    "merge_pair",
    "pair_frequencies",
    "pre_tokenize",
    "train_merges",
    "train_merges_by_recounting",
]
