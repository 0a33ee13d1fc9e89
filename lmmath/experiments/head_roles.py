r"""Roles of heads: what each head of a model looks at, measured, and the name that this gives it.

``python -m lmmath.experiments.head_roles`` measures all heads of SmolLM2 and keeps the scores. It
takes about a minute.
"""

import numpy as np

from lmmath.english import short_texts
from lmmath.experiments.distances import previous_token_scores
from lmmath.experiments.heads import induction_scores
from lmmath.experiments.held_out import padded_batches, require_heads
from lmmath.experiments.kept import keep
from lmmath.experiments.pronouns import (
    gift_sentences,
    pronoun_attention,
    pronoun_sentences,
)
from lmmath.experiments.sinks import sink_shares
from lmmath.experiments.texts import tokens_of
from lmmath.language_models import init, trace
from lmmath.transformer import GPTConfig
from lmmath.weights import load_smollm2

# A head is named by the first of these that it passes. Many heads that copy or find a name rest
# on the first token where there is nothing to find, so that comes last.
THRESHOLDS = {
    "induction": 0.2,
    "previous token": 0.3,
    "names": 0.04,
    "first token": 0.5,
}
N_TOKENS, N_RANDOM, N_SEQUENCES, N_GIFTS, SEED = 100, 50, 8, 64, 0
ORDINARY = range(300, 49_000)  # tokens that are neither marks nor single bytes


def gift_attention(params, config, tokenizer, sentences):
    r"""Measure, head by head, how much the word before a name looks at the two names there are.

    .. math:: r_h = \sum_{j \in \text{receiver}} A^h_{ij}, \qquad
              g_h = \sum_{j \in \text{giver}} A^h_{ij}

    with :math:`i` the last token of the sentence, after which the receiver must come. The giver
    was named twice, the receiver once.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig or LlamaConfig
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``, which is put first.
    sentences : list of GiftSentence

    Returns
    -------
    receiver, giver : numpy.ndarray, shape (n_sentences, n_layers, n_heads)

    Raises
    ------
    TypeError
        If the model has no heads.

    References
    ----------
    Wang et al. (2022), "Interpretability in the wild: A circuit for indirect object
    identification in GPT-2 small", section 3.1, where such heads are called name movers.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import gpt_shapes
    >>> config = GPTConfig(vocab_size=257, n_positions=80, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> letters = BPETokenizer([], ["<|endoftext|>"])
    >>> gifts = gift_sentences(1, np.random.default_rng(0))  # Peter gives to Paul
    >>> receiver, giver = gift_attention(params, config, letters, gifts)
    >>> giver[0, 0] / receiver[0, 0]  # " Peter" has 6 letters, " Paul" has 5
    array([2.4])
    """
    require_heads(config)
    texts = [tokens_of(sentence.text, tokenizer) for sentence in sentences]
    receiver, giver = np.zeros((2, len(texts), config.n_layers, config.n_heads))
    for chosen, padded in padded_batches(texts, config.n_positions):
        _, attention = trace(config, params, padded)
        for row, i in enumerate(chosen):
            n = len(texts[i])
            weights = np.stack([w[row, :, n - 1, :n] for w in attention])
            word_of_token = _words_of_tokens(sentences[i].text, tokenizer)
            for name, found in (
                (sentences[i].receiver, receiver),
                (sentences[i].giver, giver),
            ):
                at_name = weights[..., word_of_token == name]
                found[i] = at_name.sum(axis=-1, dtype=np.float64)
    return receiver, giver


def head_scores(params, config, tokenizer, texts, gifts, drawn_from, rng):
    """Measure the roles that a head can have, each beside what even attention would give.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig or LlamaConfig
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``.
    texts : list of integer arrays, each (n,)
        Ordinary texts, for the first and the previous token.
    gifts : list of GiftSentence
    drawn_from : sequence of int
        The tokens of random texts that repeat themselves.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to dict
        For "first token", "previous token", "induction", "right name" and "wrong name" (of a
        pronoun), "receiver" and "giver" (before the name that comes again): ``weight``, a
        numpy.ndarray of shape (n_layers, n_heads), and ``chance``, a float.

    Raises
    ------
    TypeError
        If the model has no heads.
    """
    shares, even_shares = sink_shares(params, config, texts)
    previous, even_previous = previous_token_scores(params, config, texts)
    copying = induction_scores(
        params, config, tokenizer, rng, N_RANDOM, N_SEQUENCES, drawn_from
    )
    model, even = (params, config), _even_model(config.vocab_size)
    names, at_random = (
        [
            *pronoun_attention(*read_by, tokenizer, pronoun_sentences()),
            *gift_attention(*read_by, tokenizer, gifts),
        ]
        for read_by in (model, even)
    )
    roles = ("right name", "wrong name", "receiver", "giver")
    return {
        "first token": _score(shares, even_shares),
        "previous token": _score(previous, even_previous),
        "induction": _score(copying.induction[None], copying.induction_chance),
        **dict(zip(roles, map(_score, names, at_random), strict=True)),
    }


def head_names(scores):
    """Name each head by what it was measured to look at.

    ``THRESHOLDS`` say from which weight on: 0.2 for induction, 0.3 for the previous token, 0.5 for
    the first token, and for names 0.04 more on the right name than on the other one, at a pronoun
    or before the name that comes again. The first that a head passes, in the order of
    ``THRESHOLDS``, is its name.

    Parameters
    ----------
    scores : dict of str to dict
        As ``head_scores`` makes them, or as they were kept.

    Returns
    -------
    list of list of str or None
        A list for each layer. None for a head that passes no threshold.

    Examples
    --------
    Two heads, of which the second looks one place back:

    >>> roles = "right name", "wrong name", "receiver", "giver", "induction", "previous token"
    >>> scores = {role: {"weight": [[0.0, 0.0]]} for role in roles}
    >>> scores["previous token"] = {"weight": [[0.1, 0.6]]}
    >>> head_names(scores | {"first token": {"weight": [[0.8, 0.3]]}})
    [['first token', 'previous token']]
    """
    weight = {name: np.asarray(score["weight"]) for name, score in scores.items()}
    weight["names"] = np.maximum(
        weight["right name"] - weight["wrong name"],
        weight["receiver"] - weight["giver"],
    )
    names = np.full(weight["names"].shape, None, object)
    for name, threshold in reversed(THRESHOLDS.items()):
        names[weight[name] >= threshold] = name
    return names.tolist()


def main():
    """Measure the heads of the real model, and keep the scores."""
    model = load_smollm2()
    texts = [tokens_of(text.text, model.tokenizer)[:N_TOKENS] for text in short_texts()]
    rng = np.random.default_rng(SEED)
    gifts = gift_sentences(N_GIFTS, rng)
    scores = head_scores(*model, texts, gifts, ORDINARY, rng)
    for score in scores.values():
        score["weight"] = score["weight"].round(4).tolist()
        score["chance"] = round(score["chance"], 4)
    names = [name for layer in head_names(scores) for name in layer]
    print({name: names.count(name) for name in (*THRESHOLDS, None)})
    keep("head_roles", {"seed": SEED, "scores": scores})


def _score(weights, chance):
    """Average over texts."""
    return {"weight": weights.mean(axis=0), "chance": float(np.mean(chance))}


def _even_model(vocab_size):
    """Give a model of zeros, (params, config): its only head looks everywhere alike."""
    config = GPTConfig(vocab_size, n_positions=512, d_model=2, n_layers=1, n_heads=1)
    params = init(config, np.random.default_rng(0))
    return {name: 0 * array for name, array in params.items()}, config


def _words_of_tokens(text, tokenizer):
    """Say of each token which word it belongs to; the mark belongs to none."""
    words = text.split(" ")
    spelled = [
        tokenizer.encode(f" {word}" if i else word) for i, word in enumerate(words)
    ]
    return np.repeat(["", *words], [1, *map(len, spelled)])


if __name__ == "__main__":
    main()
