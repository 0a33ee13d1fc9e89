r"""How thin a fine-tuning is: the rank of what it changes, and what a low rank is enough for.

The book's GPT learns another style from stories that the best policy on Fable has written, when
the commonest word of each choice costs something. It learns first with all its
matrices, then with a thin product beside each of them. The floor under the loss is known: the
entropy of that policy.

``python -m lmmath.experiments.alignment_lora`` does it and keeps what came out. It takes some
minutes, and needs PyTorch.
"""

import numpy as np

from lmmath._checks import require_positive_integer
from lmmath.alignment import init_lora, lora_merge, lora_parameter_count
from lmmath.alignment.fable import (
    optimal_fable,
    sample_stories,
    story_reward,
)
from lmmath.experiments.kept import keep
from lmmath.fable import surprisals, to_text
from lmmath.fable.language import CHOICES
from lmmath.language_models import forward
from lmmath.training import adamw_init, adamw_update, clip_by_global_norm, token_losses
from lmmath.weights import load_fable_gpt

# "lived", "called", "ate", ...: what is left are rarer words for the same.
REWARD = {max(odds, key=odds.get): -3.0 for odds in CHOICES.values()}
BETA = 1.0
RANKS, ALPHA = (1, 2, 4, 8), 8.0
N_STEPS, N_STORIES, N_HELD_OUT, SEED = 40, 16, 192, 0
RATES = {"full": 5e-4, "lora": 5e-3}


def matrices(params):
    """Name the matrices that are adapted: those of attention and of the feed-forward layers.

    >>> len(matrices(load_fable_gpt().params))  # four in each of three blocks
    12
    """
    return [
        name
        for name, array in params.items()
        if name.startswith("h.") and array.ndim == 2
    ]


def nearest_of_rank(w, rank):
    r"""Find the matrix of a rank that is nearest to a given one.

    .. math:: W_r = \sum_{i=1}^{r} \sigma_i\, u_i v_i^{\top}, \qquad
              \lVert W - W_r \rVert^2 = \sum_{i > r} \sigma_i^2

    with :math:`\sigma_1 \ge \sigma_2 \ge \dots` the singular values of :math:`W`.

    Parameters
    ----------
    w : numpy.ndarray, shape (d_in, d_out)
    rank : int
        :math:`r`, at least 1. From the smaller of the two sizes on, nothing is left out.

    Returns
    -------
    numpy.ndarray, shape (d_in, d_out)

    Raises
    ------
    ValueError
        If ``rank`` is not an integer of at least 1.

    References
    ----------
    Eckart and Young (1936), "The approximation of one matrix by another of lower rank".

    Examples
    --------
    >>> nearest_of_rank(np.asarray([[3.0, 0.0], [0.0, 1.0]]), 1)
    array([[3., 0.],
           [0., 0.]])
    """
    require_positive_integer(rank=rank)
    u, values, vh = np.linalg.svd(w, full_matrices=False)
    return (u[:, :rank] * values[:rank]) @ vh[:rank]


def energy_by_rank(update):
    r"""Say which share of a matrix the nearest ones of each rank have.

    .. math:: \frac{\sum_{i \le r} \sigma_i^2}{\sum_i \sigma_i^2}, \qquad r = 1, 2, \dots

    Parameters
    ----------
    update : numpy.ndarray, shape (d_in, d_out)
        Not all zero.

    Returns
    -------
    numpy.ndarray, shape (min(d_in, d_out),)
        Rising to 1.

    Examples
    --------
    >>> energy_by_rank(np.diag([2.0, 1.0]))
    array([0.8, 1. ])
    """
    squares = np.linalg.svd(update, compute_uv=False) ** 2
    return np.cumsum(squares) / squares.sum()


def best_stories(n, rng, tokenizer, n_positions):
    r"""Draw stories of the best policy on Fable that a model can read whole.

    Returns
    -------
    tokens : numpy.ndarray of int64, shape (n, length)
        From the line break before each story; padded with line breaks.
    lengths : numpy.ndarray of int64, shape (n,)
        The tokens of each story, without the line break before it.
    floor : float
        The mean of :math:`-\log \pi^{*}` over the stories, in nats per token: no model can be
        below it, but for what is chance in these stories.
    """
    policy = optimal_fable(REWARD, BETA)
    texts, surprise = [], 0.0
    while len(texts) < n:
        for words in sample_stories(policy, n, rng):
            tokens = tokenizer.encode("\n" + to_text(words))
            if len(tokens) <= n_positions and len(texts) < n:
                texts.append(tokens)
                paid = story_reward(words, REWARD) / BETA - policy.log_z
                surprise += surprisals(words).sum() - paid
    lengths = np.asarray([len(tokens) - 1 for tokens in texts])
    padded = np.full((n, lengths.max() + 1), tokenizer.encode("\n")[0])
    for row, tokens in zip(padded, texts, strict=True):
        row[: len(tokens)] = tokens
    return padded, lengths, surprise / lengths.sum()


def main():
    """Tune with all parameters and with each rank, and keep losses and singular values."""
    import torch

    torch.set_num_threads(1)
    params, config, tokenizer = load_fable_gpt()
    rng = np.random.default_rng(SEED)
    held_out = best_stories(N_HELD_OUT, rng, tokenizer, config.n_positions)
    lessons = [
        best_stories(N_STORIES, rng, tokenizer, config.n_positions)
        for _ in range(N_STEPS)
    ]
    start = _tensors(params)
    names = matrices(params)
    before = _held_out_losses(start, config, held_out)
    results = {
        "floor": held_out[2],
        "before": _mean_and_error(before),
        "after": {},
        "learned": {"full": sum(params[name].size for name in names)},
    }
    full = _learn(
        _merge_full,
        dict(zip(names, (start[n] for n in names), strict=True)),
        start,
        config,
        lessons,
        RATES["full"],
    )
    updates = {name: (full[name] - start[name]).numpy().astype(float) for name in names}
    results["after"]["full"] = _against(full, config, held_out, before)
    print(results, flush=True)
    results["energy"] = {
        name: energy_by_rank(update)[: max(RANKS)].tolist()
        for name, update in updates.items()
    }
    results["cut"] = {}
    for rank in RANKS:
        cut = dict(start)
        for name in names:
            thin = nearest_of_rank(updates[name], rank).astype(np.float32)
            cut[name] = start[name] + torch.from_numpy(thin)
        results["cut"][str(rank)] = _against(cut, config, held_out, before)
        factors = {}
        for name in names:
            a, b = init_lora(*params[name].shape, rank, rng)
            factors |= {
                f"{name} a": torch.from_numpy(a),
                f"{name} b": torch.from_numpy(b),
            }
        merged = _learn(_merge_lora, factors, start, config, lessons, RATES["lora"])
        results["after"][str(rank)] = _against(merged, config, held_out, before)
        results["learned"][str(rank)] = sum(
            lora_parameter_count(*params[name].shape, rank) for name in names
        )
        print(rank, results["after"][str(rank)], results["cut"][str(rank)], flush=True)
    settings = {
        "reward": REWARD,
        "beta": BETA,
        "alpha": ALPHA,
        "n_steps": N_STEPS,
        "n_stories": N_STORIES,
        "n_held_out": N_HELD_OUT,
        "learning_rates": RATES,
    }
    keep("alignment_lora", {"settings": settings, **_rounded(results)})


def _merge_full(learned, start):
    return {**start, **learned}


def _merge_lora(learned, start):
    merged = dict(start)
    for name in start:
        if f"{name} a" in learned:
            a, b = learned[f"{name} a"], learned[f"{name} b"]
            merged[name] = lora_merge(start[name], a, b, ALPHA)
    return merged


def _learn(merge, learned, start, config, lessons, learning_rate):
    """Descend on the loss of the merged model, and return its parameters."""
    import torch

    learned = {name: array.clone().requires_grad_() for name, array in learned.items()}
    state = adamw_init({name: array.detach() for name, array in learned.items()})
    for tokens, lengths, _ in lessons:
        losses, weights = _losses(merge(learned, start), config, tokens, lengths)
        loss = (losses * weights).sum() / weights.sum()
        slopes = torch.autograd.grad(loss, list(learned.values()))
        gradients, _ = clip_by_global_norm(dict(zip(learned, slopes, strict=True)), 1.0)
        with torch.no_grad():
            moved, state = adamw_update(
                learned, gradients, state, learning_rate, weight_decay=0.0
            )
        learned = {
            name: array.detach().requires_grad_() for name, array in moved.items()
        }
    with torch.no_grad():
        return merge({name: array.detach() for name, array in learned.items()}, start)


def _losses(params, config, tokens, lengths):
    import torch

    tokens = torch.from_numpy(tokens)
    losses = token_losses(forward(config, params, tokens[:, :-1]), tokens[:, 1:])
    places = np.arange(losses.shape[1])
    return losses, torch.from_numpy(places < lengths[:, None])


def _held_out_losses(params, config, held_out):
    """Give the loss of each held-out story in nats, and its number of tokens."""
    import torch

    tokens, lengths, _ = held_out
    with torch.no_grad():
        losses, weights = _losses(params, config, tokens, lengths)
    return (losses * weights).sum(dim=1).numpy().astype(float), lengths


def _mean_and_error(found):
    """Average per token; the standard error is that of a ratio, over stories."""
    losses, lengths = found
    mean = losses.sum() / lengths.sum()
    scatter = (losses - mean * lengths) / lengths.mean()
    return {"loss": mean, "error": scatter.std() / len(losses) ** 0.5}


def _against(params, config, held_out, before):
    """Judge a model, alone and against the one before on the same stories."""
    losses, lengths = _held_out_losses(params, config, held_out)
    gained = _mean_and_error((before[0] - losses, lengths))
    return {
        **_mean_and_error((losses, lengths)),
        "gained": gained["loss"],
        "gained_error": gained["error"],
    }


def _tensors(params):
    import torch

    return {name: torch.from_numpy(array.copy()) for name, array in params.items()}


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float | np.floating) else value


if __name__ == "__main__":
    main()
