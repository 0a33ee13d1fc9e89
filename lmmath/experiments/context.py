r"""Context: what a model gains from seeing farther back.

``python -m lmmath.experiments.context`` measures it for SmolLM2 on the book's two long texts and
keeps the result. It takes some minutes.
"""

import numpy as np

from lmmath._checks import require_generator, require_positive_integer
from lmmath.english import long_texts
from lmmath.experiments.kept import keep
from lmmath.experiments.texts import tokens_of
from lmmath.language_models import lens, residual
from lmmath.training import token_losses
from lmmath.weights import load_smollm2

CONTEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
N_PLACES, SEED = 40, 2
_ROWS_AT_ONCE = 20


def places_in(tokens, longest, n_places, rng):
    """Draw places of a text that have so many tokens before them, in increasing order.

    Parameters
    ----------
    tokens : integer array, shape (n,)
    longest, n_places : int
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of int64, shape (n_places,)

    Raises
    ------
    ValueError
        If there are too few such places.

    Examples
    --------
    >>> places_in(np.arange(6), 3, 3, np.random.default_rng(0))
    array([3, 4, 5])
    """
    require_positive_integer(longest=longest, n_places=n_places)
    require_generator(rng)
    possible = np.arange(longest, len(tokens))
    if len(possible) < n_places:
        raise ValueError(
            f"tokens must have {n_places} places with {longest} before them, "
            f"got {len(possible)}"
        )
    return np.sort(rng.choice(possible, n_places, replace=False))


def losses_by_context(params, config, tokens, places, contexts, begin=None):
    r"""Predict tokens from the last few before them.

    .. math:: \ell_k(t) = -\log \hat{p}(x_t \mid x_{t-k}, \dots, x_{t-1})

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig, LlamaConfig or RecurrentConfig
    tokens : integer array, shape (n,)
    places : integer array, shape (n_places,)
        The :math:`t`.
    contexts : sequence of int
        The :math:`k`, at least 1.
    begin : int, optional
        A token that is put before the :math:`k`, as before every text.

    Returns
    -------
    numpy.ndarray of float64, shape (n_places, n_contexts)
        In nats.

    Raises
    ------
    ValueError
        If a place has too few tokens before it.

    References
    ----------
    Khandelwal et al. (2018), "Sharp nearby, fuzzy far away: How neural language models use
    context", section 3.

    Examples
    --------
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> losses_by_context(params, config, np.asarray([3, 1, 4, 1, 5]), [3, 4], [1, 3]).round(3)
    array([[2.197, 2.197],
           [2.197, 2.197]])
    """
    require_positive_integer(**{"each of contexts": min(contexts)})
    if min(places) < max(contexts):
        raise ValueError(
            f"places must have {max(contexts)} tokens before them, got {min(places)}"
        )
    losses = np.zeros((len(places), len(contexts)))
    for column, k in enumerate(contexts):
        for start in range(0, len(places), _ROWS_AT_ONCE):
            chosen = np.asarray(places[start : start + _ROWS_AT_ONCE])
            rows = tokens[chosen[:, None] + np.arange(-k, 0)]
            if begin is not None:
                rows = np.insert(rows, 0, begin, axis=1)
            x, _ = residual(config, params, rows)
            logits = np.asarray(lens(config, params, x[:, -1]), np.float64)
            loss = token_losses(logits, tokens[chosen])
            losses[start : start + _ROWS_AT_ONCE, column] = loss
    return losses


def main():
    """Measure the real model on the long texts, and keep the losses of each."""
    params, config, tokenizer = load_smollm2()
    losses = []
    for text in long_texts():
        begin, *tokens = tokens_of(text.text, tokenizer)
        tokens = np.asarray(tokens)
        places = places_in(tokens, max(CONTEXTS), N_PLACES, np.random.default_rng(SEED))
        of_text = losses_by_context(params, config, tokens, places, CONTEXTS, begin)
        losses.append(of_text.round(4).tolist())
        print(text.title, np.mean(of_text, axis=0).round(2))
    keep("context", {"contexts": CONTEXTS, "seed": SEED, "losses": losses})


if __name__ == "__main__":
    main()
