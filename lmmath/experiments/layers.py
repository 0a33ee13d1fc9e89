r"""Layer by layer: what the stream says on its way, and what hangs on a single number in it."""

import numpy as np

from lmmath.experiments.texts import tokens_of
from lmmath.language_models import lens, trace
from lmmath.training import cross_entropy

# Beginnings, and the one word that is right after them.
FACTS = {
    "The capital of France is": "Paris",
    "The capital of Germany is": "Berlin",
    "The capital of Italy is": "Rome",
    "The capital of Japan is": "Tokyo",
    "The capital of Russia is": "Moscow",
    "The capital of Spain is": "Madrid",
    "The capital of Greece is": "Athens",
    "The capital of Egypt is": "Cairo",
    "The capital of England is": "London",
    "The largest planet in the solar system is": "Jupiter",
    "The first month of the year is": "January",
    "The last month of the year is": "December",
    "The opposite of hot is": "cold",
    "The opposite of big is": "small",
    "Water is made of hydrogen and": "oxygen",
    "The language spoken in Brazil is": "Portuguese",
}


def lens_ranks(params, config, tokenizer, facts):
    r"""Rank the right token among all, by what the lens finds probable after each layer.

    .. math:: \operatorname{rank}_\ell = 1 + \#\{v : \text{logit}^{(\ell)}_v
              > \text{logit}^{(\ell)}_{\text{right}}\}

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig, LlamaConfig or RecurrentConfig
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``, which is put first.
    facts : dict of str to str
        Beginnings, and the word that is right after each; its first token counts.

    Returns
    -------
    numpy.ndarray of int64, shape (n_facts, n_layers + 1)
        1 is the best. The first column is read off the stream before any layer.

    References
    ----------
    nostalgebraist (2020), "Interpreting GPT: the logit lens".

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=257, n_positions=40, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> letters = BPETokenizer([], ["<|endoftext|>"])
    >>> lens_ranks(params, config, letters, {"One plus one is": "two"})
    array([[1, 1, 1]])
    """
    ranks = []
    for beginning, word in facts.items():
        right = tokenizer.encode(f" {word}")[0]
        residuals, _ = trace(config, params, tokens_of(beginning, tokenizer))
        last = np.stack([np.asarray(x)[-1] for x in residuals])
        logits = np.asarray(lens(config, params, last))
        ranks.append(1 + np.sum(logits > logits[:, [right]], axis=1))
    return np.asarray(ranks, np.int64)


def loss_without(params, config, texts, layer, position, feature):
    r"""Set one number of the stream to zero, and measure the loss.

    .. math:: x^{(\ell)}_{pj} \leftarrow 0

    Parameters
    ----------
    params : dict of str to numpy.ndarray
    config : GPTConfig, LlamaConfig or RecurrentConfig
    texts : list of integer arrays, each (n,)
    layer : int or None
        :math:`\ell`: after so many layers. None to leave the stream as it is.
    position : int
        :math:`p`.
    feature : int
        :math:`j`.

    Returns
    -------
    numpy.ndarray of float64, shape (n_texts,)
        The mean loss of each text's tokens after ``position``, in nats per token.

    Raises
    ------
    ValueError
        If a text ends before there is a token to predict after ``position``.

    Examples
    --------
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> loss_without(params, config, [np.asarray([3, 1, 4, 1])], 1, 0, 1).round(3)
    array([2.197])
    """

    def edit(at, x):
        if at != layer:
            return x
        changed = np.array(x)
        changed[position, feature] = 0
        return changed

    losses = []
    for tokens in texts:
        if len(tokens) < position + 3:
            raise ValueError(
                f"texts must hold at least {position + 3} tokens each, got one of {len(tokens)}"
            )
        residuals, _ = trace(config, params, tokens, edit)
        after = residuals[-1][position + 1 : -1]
        logits = np.asarray(lens(config, params, after), np.float64)
        losses.append(cross_entropy(logits, tokens[position + 2 :]))
    return np.asarray(losses)
