r"""How far back a model can look: what it pays for a name, by how long ago it read it.

"Leka the mouse lived in the desert. She ate some nuts. She ate some nuts. Everyone said that":
after this comes "Leka", with probability 1, however many meals lie in between. So all that a
model loses there, it loses because it has forgotten, and the number of meals sets the distance.
"""

from typing import NamedTuple

import numpy as np

from lmmath._checks import require_generator
from lmmath.attention import log_softmax
from lmmath.experiments.held_out import (
    encode_story,
    padded_batches,
    require_model,
)
from lmmath.fable import ANIMALS
from lmmath.fable.language import CHOICES, FACTS, FAVOURITE, FORMS_OF_PRONOUNS
from lmmath.language_models import forward

_BEGINNING = "{name} the {species} lived in the {home} ."
_END = "Everyone said that {name}"


class LossByDistance(NamedTuple):
    """What a model pays for repeating a name.

    Attributes
    ----------
    distance : numpy.ndarray of float64, shape (n_distances,)
        How many tokens lie between the two mentions of the name, the mean over the stories.
    loss : numpy.ndarray of float64, shape (n_distances, n_stories)
        Of the whole second mention, in nats. The floor is 0.
    """

    distance: np.ndarray
    loss: np.ndarray


def loss_by_distance(params, config, tokenizer, n_meals, rng, animals=ANIMALS):
    r"""Measure the loss on a name that is certain, by the distance of its last mention.

    With :math:`x_1, \dots, x_k` the tokens of the second mention, the loss is

    .. math:: -\sum_{i=1}^{k} \log \hat{p}(x_i \mid \text{before})

    Parameters
    ----------
    params : dict of str to numpy.ndarray
    config : GPTConfig, LlamaConfig or RecurrentConfig
    tokenizer : BPETokenizer
        With the ``vocab_size`` of ``config``.
    n_meals : sequence of int
        How many sentences about meals lie between the two mentions, for each distance.
    rng : numpy.random.Generator
        Draws the meals.
    animals : sequence of lmmath.fable.language.Animal
        Whom the stories are about, one story each at every distance.

    Returns
    -------
    LossByDistance

    Raises
    ------
    TypeError
        If ``rng`` is not a NumPy generator.
    ValueError
        If there are no animals, a number of meals is negative, a story does not fit into
        ``n_positions``, or the model's parts do not fit together.

    Examples
    --------
    A model of zeros gives each of 256 bytes the same probability, and " Leka" has five:

    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=120, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> model = params, config, BPETokenizer([])
    >>> result = loss_by_distance(*model, [0, 1], np.random.default_rng(0), ANIMALS[:1])
    >>> bool(np.allclose(result.loss, 5 * np.log(256)))
    True
    >>> result.distance  # one for each letter, space and full stop
    array([50., 73.])
    """
    require_model(params, config, tokenizer)
    require_generator(rng=rng)
    if not len(animals):
        raise ValueError("animals must hold at least one animal, got none")
    if min(n_meals, default=0) < 0:
        raise ValueError(f"n_meals must be at least 0, got {min(n_meals)}")
    distance, loss = np.zeros((2, len(n_meals), len(animals)))
    for row, n in enumerate(n_meals):
        stories = [story_of_meals(animal, n, rng) for animal in animals]
        spelled = [encode_story(story, tokenizer) for story in stories]
        _require_fitting(spelled, config.n_positions)
        distance[row] = [_n_between(places) for _, places in spelled]
        loss[row] = _losses_of_last_word(params, config, spelled)
    return LossByDistance(distance.mean(axis=1), loss)


def story_of_meals(animal, n_meals, rng):
    """Write the beginning of a story of Fable, up to the second mention of its hero."""
    sentences = [_BEGINNING.format(**animal._asdict())]
    subject, _ = FORMS_OF_PRONOUNS[animal.pronoun]
    for _ in range(n_meals):
        verb = rng.choice(list(CHOICES["ate"]), p=list(CHOICES["ate"].values()))
        any_food = rng.choice(FACTS["food"])
        food = animal.food if rng.random() < FAVOURITE else any_food
        sentences.append(f"{subject} {verb} some {food} .")
    sentences.append(_END.format(**animal._asdict()))
    return " ".join(sentences).split()


def _n_between(word_of_token):
    """Count the tokens between the first word and the last."""
    return np.sum((word_of_token > 1) & (word_of_token < word_of_token[-1]))


def _losses_of_last_word(params, config, spelled):
    losses = np.zeros(len(spelled))
    # The last token is not fed: nothing follows it.
    texts = [tokens[:-1] for tokens, _ in spelled]
    for chosen, padded in padded_batches(texts, config.n_positions):
        logits = np.asarray(forward(config, params, padded), np.float64)
        for i, expected in zip(chosen, log_softmax(logits), strict=True):
            tokens, word_of_token = spelled[i]
            at = np.flatnonzero(word_of_token == word_of_token[-1])
            losses[i] = -np.sum(expected[at - 1, tokens[at]])
    return losses


def _require_fitting(spelled, n_positions):
    longest = max(len(tokens) for tokens, _ in spelled) - 1
    if longest > n_positions:
        raise ValueError(
            f"n_meals must leave the stories within n_positions = {n_positions} tokens, "
            f"got one of {longest}"
        )
