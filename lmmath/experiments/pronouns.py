r"""Who is *she*? Attention from a pronoun to the name that it stands for, and names that return.

The sentences are made from lists, balanced so that no simple rule tells the right name: it is
the first as often as the second.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from lmmath._checks import require_generator, require_positive_integer
from lmmath.attention import log_softmax
from lmmath.experiments.held_out import padded_batches, require_heads
from lmmath.experiments.texts import tokens_of
from lmmath.language_models import forward, trace

WOMEN = ("Mary", "Sarah", "Emma", "Alice", "Laura", "Julia", "Anna", "Helen")
MEN = ("John", "Tom", "Peter", "David", "Paul", "James", "Robert", "Mark")
_VERBS = ("thanked", "visited", "helped", "called", "met", "followed", "asked", "paid")
_PLACES = ("the store", "the park", "the school", "the office")
_GIFTS = ("a drink", "a book", "a letter", "a key")


class PronounSentence(NamedTuple):
    """A sentence up to its pronoun.

    Attributes
    ----------
    words : tuple of str
        The two names are the first and the third, the pronoun is the last.
    right : int
        Which word is the name that the pronoun stands for: 0 or 2.
    """

    words: tuple
    right: int


def pronoun_sentences():
    """Make "Mary thanked Tom because she" in all ways: orders, pronouns, two conjunctions.

    Returns
    -------
    list of PronounSentence
        64, eight for each pair of names in turn.

    Examples
    --------
    >>> sentences = pronoun_sentences()
    >>> len(sentences), " ".join(sentences[0].words), sentences[0].right
    (64, 'Mary thanked Tom because she', 0)
    """
    sentences = []
    for i, woman in enumerate(WOMEN):
        man = MEN[(3 * i + 1) % len(MEN)]
        for names, pronoun, joint in product(
            ((woman, man), (man, woman)), ("she", "he"), ("because", "after")
        ):
            words = (names[0], _VERBS[i], names[1], joint, pronoun)
            right = 2 * names.index(woman if pronoun == "she" else man)
            sentences.append(PronounSentence(words, right))
    return sentences


def pronoun_attention(params, config, tokenizer, sentences):
    r"""Measure, head by head, how much a pronoun looks at the right name and at the wrong one.

    .. math:: r_h = \sum_{j \in \text{right name}} A^h_{ij}, \qquad
              w_h = \sum_{j \in \text{wrong name}} A^h_{ij}

    with :math:`i` the last token of the pronoun.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig or LlamaConfig
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``, which is put first.
    sentences : list of PronounSentence

    Returns
    -------
    right, wrong : numpy.ndarray, shape (n_sentences, n_layers, n_heads)

    Raises
    ------
    TypeError
        If the model has no heads.

    References
    ----------
    Clark, Khandelwal, Levy and Manning (2019), "What does BERT look at? An analysis of BERT's
    attention", section 4.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=257, n_positions=40, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> letters = BPETokenizer([], ["<|endoftext|>"])
    >>> right, wrong = pronoun_attention(params, config, letters, pronoun_sentences()[:1])
    >>> right[0, 0] / wrong[0, 0]  # " Mary" has 5 letters, " Tom" has 4
    array([1.25])
    """
    require_heads(config)
    spelled = [_spell(sentence.words, tokenizer) for sentence in sentences]
    shape = (len(sentences), config.n_layers, config.n_heads)
    right, wrong = np.zeros((2, *shape))
    texts = [tokens for tokens, _ in spelled]
    for chosen, padded in padded_batches(texts, config.n_positions):
        _, attention = trace(config, params, padded)
        for row, i in enumerate(chosen):
            tokens, word_of_token = spelled[i]
            weights = np.stack([w[row, :, len(tokens) - 1] for w in attention])
            for place in (0, 2):
                of_name = weights[..., np.flatnonzero(word_of_token == place)]
                share = of_name.sum(axis=-1, dtype=np.float64)
                (right if place == sentences[i].right else wrong)[i] = share
    return right, wrong


class GiftSentence(NamedTuple):
    """A sentence after which one of its two names must come.

    Attributes
    ----------
    text : str
    giver : str
        The name that came twice.
    receiver : str
        The other.
    receiver_first : bool
        Whether the receiver was named first.
    """

    text: str
    giver: str
    receiver: str
    receiver_first: bool


def gift_sentences(n, rng):
    """Draw "When Mary and John went to the store, John gave a drink to" with other words.

    Parameters
    ----------
    n : int
        How many. In every second one the receiver is named first.
    rng : numpy.random.Generator

    Returns
    -------
    list of GiftSentence

    Examples
    --------
    >>> print(gift_sentences(1, np.random.default_rng(0))[0].text)
    When Paul and Peter went to the park, Peter gave a book to
    """
    require_positive_integer(n=n)
    require_generator(rng)
    sentences = []
    for i in range(n):
        names = [str(name) for name in rng.choice([*WOMEN, *MEN], 2, replace=False)]
        receiver, giver = names if i % 2 == 0 else names[::-1]
        place, gift = rng.choice(_PLACES), rng.choice(_GIFTS)
        text = f"When {names[0]} and {names[1]} went to {place}, {giver} gave {gift} to"
        sentences.append(GiftSentence(text, giver, receiver, i % 2 == 0))
    return sentences


def gifts_resolved(params, config, tokenizer, sentences):
    r"""Ask which of the two names a model expects next, and by how much.

    .. math:: \log \hat{p}(\text{receiver}) - \log \hat{p}(\text{giver})

    of the first token of each name.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig, LlamaConfig or RecurrentConfig
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``, which is put first.
    sentences : list of GiftSentence

    Returns
    -------
    numpy.ndarray, shape (n_sentences,)
        In nats; above 0 where the receiver is expected rather than the giver.

    References
    ----------
    Wang et al. (2022), "Interpretability in the wild: A circuit for indirect object
    identification in GPT-2 small".
    """
    texts = [tokens_of(sentence.text, tokenizer) for sentence in sentences]
    margins = np.zeros(len(sentences))
    for chosen, padded in padded_batches(texts, config.n_positions):
        logits = np.asarray(forward(config, params, padded), np.float64)
        for row, i in enumerate(chosen):
            expected = log_softmax(logits[row, len(texts[i]) - 1])
            names = sentences[i].receiver, sentences[i].giver
            receiver, giver = (tokenizer.encode(f" {name}")[0] for name in names)
            margins[i] = expected[receiver] - expected[giver]
    return margins


def _spell(words, tokenizer):
    """Give the tokens of words after the mark, and which word each belongs to (-1: the mark)."""
    parts = [tokenizer.encode(f" {word}") for word in words]
    tokens = tokens_of("".join(f" {word}" for word in words), tokenizer)
    of_word = np.repeat(np.arange(len(words)), [len(part) for part in parts])
    return tokens, np.concatenate([[-1], of_word])
