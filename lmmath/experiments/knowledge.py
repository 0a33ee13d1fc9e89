r"""What a model knows by heart: the facts of each animal, asked for where they are certain.

After "Leka the" there is one right word, after "lived in the" one, and one after "Everyone said
that Leka was". So a fact is known as far as its word gets probability 1.

How one scores decides what one sees. Three facts, each right with probability :math:`p`, are
all right with probability :math:`p^3`: the loss, :math:`-\log p`, falls smoothly while the share
of animals about which all is right leaps up late. The tokens of one word are no such example.
They depend on each other: mostly, its first token tells which word it is, and the others follow.
"""

from typing import NamedTuple

import numpy as np

from lmmath.attention import log_softmax
from lmmath.experiments.held_out import (
    encode_story,
    padded_batches,
    require_model,
)
from lmmath.fable import ANIMALS
from lmmath.language_models import forward

CERTAIN_FACTS = ("species", "home", "trait")

_SENTENCES = (
    "{name} the {species} lived in the {home} . Everyone said that {name} was {trait}"
)
_STORY = _SENTENCES.split()

# One later than in the story, as the line break before it is a word, too.
_PLACES = [_STORY.index(f"{{{fact}}}") + 1 for fact in CERTAIN_FACTS]


class FactRecall(NamedTuple):
    """How well a model knows the facts of some animals.

    Attributes
    ----------
    probability : numpy.ndarray, shape (n_animals, 3)
        Of the whole word, given all before it: the product over its tokens. The columns are
        those of ``CERTAIN_FACTS``: species, home, trait.
    loss : numpy.ndarray, shape (n_animals, 3)
        The mean loss over the word's tokens, in nats per token.
    exact : numpy.ndarray of bool, shape (n_animals, 3)
        Whether each token of the word is the model's most probable one: whether it would write
        the word, if it always wrote what it finds most probable.
    n_tokens : numpy.ndarray of int64, shape (n_animals, 3)
        How many tokens spell the word.
    """

    probability: np.ndarray
    loss: np.ndarray
    exact: np.ndarray
    n_tokens: np.ndarray


def fact_recall(params, config, tokenizer, animals=ANIMALS):
    r"""Ask a model for the species, the home and the trait of animals.

    Each animal's facts are asked for in one text, "Leka the mouse lived in the desert. Everyone
    said that Leka was patient", which the model reads: a later fact is asked for after the right
    words for the earlier ones. With :math:`x_1, \dots, x_k` the tokens of a fact's word,

    .. math::

        \text{probability} = \prod_{i=1}^{k} \hat{p}(x_i \mid \text{before}), \qquad
        \text{loss} = -\frac{1}{k} \sum_{i=1}^{k} \log \hat{p}(x_i \mid \text{before})

    Parameters
    ----------
    params : dict of str to numpy.ndarray
    config : GPTConfig, LlamaConfig or RecurrentConfig
    tokenizer : BPETokenizer
        With the ``vocab_size`` of ``config``.
    animals : sequence of lmmath.fable.language.Animal
        As in ``lmmath.fable.ANIMALS``, where the most frequent come first.

    Returns
    -------
    FactRecall
        Rows in the order of ``animals``.

    Raises
    ------
    ValueError
        If there are no animals, the text does not fit into ``n_positions``, or the model's
        parts do not fit together.

    References
    ----------
    Schaeffer, Miranda and Koyejo (2023), "Are emergent abilities of large language models a
    mirage?", section 2.

    Examples
    --------
    A model of zeros gives each of 256 bytes the same probability, and " mouse" has six:

    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=80, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> ANIMALS[0].species, ANIMALS[0].home, ANIMALS[0].trait
    ('mouse', 'desert', 'patient')
    >>> recall = fact_recall(params, config, BPETokenizer([]), ANIMALS[:1])
    >>> recall.n_tokens, bool(np.isclose(recall.probability[0, 0], 256**-6))
    (array([[6, 7, 8]]), True)
    """
    require_model(params, config, tokenizer)
    spelled = [_spell(animal, tokenizer) for animal in animals]
    _require_fitting(spelled, config.n_positions)
    log_probability, exact, n_tokens = np.zeros((3, len(spelled), len(_PLACES)))
    # The last token is not fed: nothing follows it.
    texts = [tokens[:-1] for tokens, _ in spelled]
    for chosen, padded in padded_batches(texts, config.n_positions):
        logits = np.asarray(forward(config, params, padded), np.float64)
        for i, expected in zip(chosen, log_softmax(logits), strict=True):
            tokens, word_of_token = spelled[i]
            for fact, place in enumerate(_PLACES):
                at = np.flatnonzero(word_of_token == place)
                log_probability[i, fact] = np.sum(expected[at - 1, tokens[at]])
                right = np.argmax(expected[at - 1], axis=1) == tokens[at]
                exact[i, fact], n_tokens[i, fact] = np.all(right), len(at)
    return FactRecall(
        probability=np.exp(log_probability),
        loss=-log_probability / n_tokens,
        exact=exact.astype(bool),
        n_tokens=n_tokens.astype(np.int64),
    )


def _spell(animal, tokenizer):
    return encode_story([word.format(**animal._asdict()) for word in _STORY], tokenizer)


def _require_fitting(spelled, n_positions):
    if not spelled:
        raise ValueError("animals must hold at least one animal, got none")
    longest = max(len(tokens) for tokens, _ in spelled) - 1
    if longest > n_positions:
        raise ValueError(
            f"n_positions must be at least {longest} to ask for these facts, "
            f"got {n_positions}"
        )
