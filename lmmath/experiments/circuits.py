r"""Circuits: which heads copy, and what is left of the copying without them.

Random tokens stand twice. Whoever predicts the second time better than the first has copied, for
nothing else tells what comes.
"""

import numpy as np

from lmmath._checks import require_generator, require_positive_integer
from lmmath.experiments.held_out import require_heads
from lmmath.experiments.texts import BEGIN
from lmmath.language_models import forward, without_heads
from lmmath.training import token_losses


def best_heads(scores, k):
    """List the heads with the highest scores, the best first.

    Parameters
    ----------
    scores : array, shape (n_layers, n_heads)
    k : int
        How many.

    Returns
    -------
    list of (int, int)
        Layer and head, both from 0.

    Examples
    --------
    >>> best_heads(np.asarray([[0.1, 0.9], [0.5, 0.2]]), 2)
    [(0, 1), (1, 0)]
    """
    require_positive_integer(k=k)
    order = np.argsort(-scores, axis=None, kind="stable")[:k]
    return [tuple(map(int, np.unravel_index(i, scores.shape))) for i in order]


def other_heads(config, heads, rng):
    """Draw as many other heads, each from the layer of one of these.

    Parameters
    ----------
    config : GPTConfig or LlamaConfig
    heads : list of (int, int)
    rng : numpy.random.Generator

    Returns
    -------
    list of (int, int)

    Raises
    ------
    ValueError
        If a layer has too few others.

    Examples
    --------
    >>> from lmmath.transformer import GPTConfig
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=3)
    >>> other_heads(config, [(0, 1), (0, 2)][:1], np.random.default_rng(0))
    [(0, 2)]
    """
    require_heads(config)
    require_generator(rng)
    drawn = []
    for layer in sorted({layer for layer, _ in heads}):
        own = [head for at, head in heads if at == layer]
        others = [head for head in range(config.n_heads) if head not in own]
        if len(others) < len(own):
            raise ValueError(
                f"heads must leave as many others in each layer, got {len(own)} of "
                f"{config.n_heads} in layer {layer}"
            )
        chosen = rng.choice(others, len(own), replace=False)
        drawn += [(layer, int(head)) for head in chosen]
    return drawn


def repeated_texts(tokenizer, drawn_from, n_random, n_sequences, rng):
    """Draw texts of random tokens, all different, that stand twice after the mark.

    Parameters
    ----------
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``.
    drawn_from : sequence of int
    n_random, n_sequences : int
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of int64, shape (n_sequences, 2 n_random + 1)
    """
    require_positive_integer(n_random=n_random, n_sequences=n_sequences)
    require_generator(rng)
    drawn = [
        rng.choice(drawn_from, n_random, replace=False) for _ in range(n_sequences)
    ]
    marks = np.full((n_sequences, 1), tokenizer.special_tokens[BEGIN])
    return np.concatenate([marks, drawn, drawn], axis=1)


def copying_losses(params, config, texts, removed):
    r"""Measure the loss on repeated texts, without some heads or others.

    .. math::

        \ell_1 = \operatorname{mean}_{1 \le i < n} \ell(x_{i+1}), \qquad
        \ell_2 = \operatorname{mean}_{n < i < 2n} \ell(x_{i+1})

    The first token of each half is left out.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig or LlamaConfig
    texts : integer array, shape (n_texts, 2 n + 1)
        As ``repeated_texts`` makes them.
    removed : list of list of (int, int)
        Which heads are switched off, each time.

    Returns
    -------
    first, second : numpy.ndarray, shape (len(removed), n_texts)
        In nats per token.

    References
    ----------
    Olsson et al. (2022), "In-context learning and induction heads", argument 3.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=257, n_positions=9, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> letters = BPETokenizer([], ["<|endoftext|>"])
    >>> texts = repeated_texts(letters, range(256), 4, 1, np.random.default_rng(0))
    >>> first, second = copying_losses(params, config, texts, [[], [(1, 0)]])
    >>> second.round(3)  # log(257)
    array([[5.549],
           [5.549]])
    """
    n = (texts.shape[1] - 1) // 2
    first, second = np.zeros((2, len(removed), len(texts)))
    for i, heads in enumerate(removed):
        logits = forward(config, without_heads(config, params, heads), texts)
        logits = np.asarray(logits, np.float64)
        losses = token_losses(logits[:, :-1], texts[:, 1:])
        first[i] = losses[:, 1:n].mean(axis=1)
        second[i] = losses[:, n + 1 :].mean(axis=1)
    return first, second
