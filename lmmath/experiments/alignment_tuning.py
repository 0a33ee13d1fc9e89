r"""Ways to a better policy, measured: the book's GPT is paid for friendly and brief stories.

A story is what follows a line break, up to the next one, or the first ``N_TOKENS`` tokens of it.
The exact best policy for the model has a worth of :math:`\beta \log Z`, and every other policy
falls short of it by :math:`\beta` times its divergence from it. So one mean says how far a tuned
model is from the best one.

``python -m lmmath.experiments.alignment_tuning`` tunes the model in four ways with three seeds
each, and keeps what came out. It takes ten minutes on a free processor, and needs PyTorch.
"""

import numpy as np

from lmmath.alignment import (
    best_of_n,
    dpo_loss,
    group_relative_advantages,
    kl_estimates,
    leave_one_out_advantages,
    optimal_policy,
    optimal_value,
    policy_gradient_loss,
    preference_probability,
)
from lmmath.alignment.fable import (
    FRIENDLY_AND_BRIEF,
    frontier,
    optimal_fable,
    reward_and_divergence,
    story_reward,
)
from lmmath.experiments.kept import keep
from lmmath.fable import to_words
from lmmath.language_models import forward, lens, residual
from lmmath.sampling import kl_divergence
from lmmath.training import adamw_init, adamw_update, clip_by_global_norm, token_losses
from lmmath.weights import load_fable_gpt

REWARD, BETA = FRIENDLY_AND_BRIEF, 1.0
N_TOKENS, N_STORIES, N_STEPS, LEARNING_RATE = 80, 64, 20, 5e-4
SEEDS, N_JUDGED, N_REFERENCE, N_GRADIENTS = (0, 1, 2), 512, 4096, 10
WAYS = ("dpo", "reinforce", "reinforce, leave one out", "grpo")
DRAWN = (1, 2, 4, 8, 16, 64)  # the n of best of n
BETAS = np.geomspace(20, 0.66, 40)


def draw_stories(params, config, tokenizer, n_stories, rng, n_tokens=N_TOKENS):
    """Let a model of PyTorch's write stories, each cut off where it ends.

    Parameters
    ----------
    params : dict of str to torch.Tensor
    config : GPTConfig
    tokenizer : BPETokenizer
    n_stories : int
    rng : numpy.random.Generator
    n_tokens : int
        The most that a story may have.

    Returns
    -------
    tokens : torch.Tensor of int64, shape (n_stories, length)
        From the line break before each story.
    weights : torch.Tensor of bool, shape (n_stories, length - 1)
        Which of ``tokens[:, 1:]`` belong to the story; its own line break does.
    """
    import torch

    (break_,) = tokenizer.encode("\n")
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    last = torch.full((n_stories, 1), break_)
    tokens, ongoing, cache, weights = (
        [last],
        torch.ones(n_stories, 1, dtype=bool),
        None,
        [],
    )
    with torch.no_grad():
        for _ in range(n_tokens):
            x, cache = residual(config, params, last, cache)
            odds = torch.softmax(lens(config, params, x[:, -1, :]), dim=-1)
            last = torch.multinomial(odds, 1, generator=generator)
            tokens.append(last)
            weights.append(ongoing)
            ongoing = ongoing & (last != break_)
            if not ongoing.any():
                break
    return torch.cat(tokens, dim=1), torch.cat(weights, dim=1)


def log_probabilities(params, config, tokens, weights):
    """Add up, story by story, what a model says of its tokens.

    Parameters
    ----------
    params : dict of str to torch.Tensor
    config : GPTConfig
    tokens, weights
        As ``draw_stories`` gives them.

    Returns
    -------
    torch.Tensor, shape (n_stories,)
        In nats.
    """
    losses = token_losses(forward(config, params, tokens[:, :-1]), tokens[:, 1:])
    return -(losses * weights).sum(dim=1)


def rewards_of(tokens, weights, tokenizer, reward=REWARD):
    """Pay for stories, whether Fable could have produced them or not: (n_stories,)."""
    return np.asarray(
        [
            story_reward(to_words(tokenizer.decode(row[1:][kept].tolist())), reward)
            for row, kept in zip(tokens, weights, strict=True)
        ]
    )


def tune(way, model, seed, n_steps=N_STEPS, report=print):
    """Tune a model in one of the ``WAYS``, and return its parameters.

    Each step sees ``N_STORIES`` stories, and moves by AdamW at the same rate, whichever the way.
    REINFORCE is paid the reward less ``BETA`` for each nat that a story has moved. GRPO divides
    rewards by their deviation, and pays for the nats in its loss. DPO sees stories of the
    reference, in pairs, and which of the two a reader preferred, drawn by Bradley and Terry.
    """
    import torch

    reference, config, tokenizer = model
    rng = np.random.default_rng([seed, WAYS.index(way)])
    params = {name: p.clone().requires_grad_() for name, p in reference.items()}
    state = adamw_init({name: p.detach() for name, p in params.items()})
    for step in range(n_steps):
        writer = reference if way == "dpo" else params
        tokens, weights = draw_stories(writer, config, tokenizer, N_STORIES, rng)
        rewards = torch.tensor(
            rewards_of(tokens, weights, tokenizer), dtype=torch.float32
        )
        loss = loss_of(way, params, model, tokens, weights, rewards, rng)
        gradients = dict(
            zip(params, torch.autograd.grad(loss, list(params.values())), strict=True)
        )
        gradients, _ = clip_by_global_norm(gradients, 1.0)
        with torch.no_grad():
            moved, state = adamw_update(
                params, gradients, state, LEARNING_RATE, weight_decay=0.0
            )
        params = {name: p.detach().requires_grad_() for name, p in moved.items()}
        if (step + 1) % 10 == 0:
            report(f"{way}, seed {seed}: {step + 1} steps, reward {rewards.mean():.3f}")
    return {name: p.detach() for name, p in params.items()}


def loss_of(way, params, model, tokens, weights, rewards, rng):
    """Make the loss of one step, whose slope is the way's estimate."""
    import torch

    reference, config, _ = model
    log_p = log_probabilities(params, config, tokens, weights)
    with torch.no_grad():
        log_ref = log_probabilities(reference, config, tokens, weights)
    if way == "dpo":
        half = len(rewards) // 2
        odds = preference_probability(rewards[:half], rewards[half:]).numpy()
        wins = torch.tensor(rng.random(half) < odds)
        # Of story i and story half + i, the one that was preferred and the other one.
        chosen = torch.arange(half) + half * ~wins
        rejected = torch.arange(half) + half * wins
        return dpo_loss(
            log_p[chosen], log_p[rejected], log_ref[chosen], log_ref[rejected], BETA
        )
    if way == "grpo":
        advantages = group_relative_advantages(rewards)
        moved = kl_estimates(log_p, log_ref).mean()
        return policy_gradient_loss(log_p, advantages) + BETA * moved
    paid = rewards - BETA * (log_p.detach() - log_ref)
    if way == "reinforce, leave one out":
        paid = leave_one_out_advantages(paid)
    return policy_gradient_loss(log_p, paid)


def judge(params, model, rng, n_stories=N_JUDGED):
    """Draw new stories of a tuned model: the reward and the log ratio of each, (n_stories,)."""
    import torch

    reference, config, tokenizer = model
    rewards, ratios = [], []
    for _ in range(n_stories // N_STORIES):
        tokens, weights = draw_stories(params, config, tokenizer, N_STORIES, rng)
        with torch.no_grad():
            ratio = log_probabilities(params, config, tokens, weights)
            ratio = ratio - log_probabilities(reference, config, tokens, weights)
        rewards.append(rewards_of(tokens, weights, tokenizer))
        ratios.append(ratio.numpy().astype(float))
    return np.concatenate(rewards), np.concatenate(ratios)


def gradient_noise(model, rng, n_gradients=N_GRADIENTS):
    r"""Compare the scatter of gradient estimates with their mean, at the reference.

    .. math:: \frac{\mathbb{E} \lVert g - \bar{g} \rVert^2}{\lVert \bar{g} \rVert^2}

    Each way sees the same stories. The square of the mean is estimated without bias, from
    products of different estimates.

    Returns
    -------
    dict of str to dict
        ``variance``, ``squared_mean`` and their ``ratio``, for each of the ``WAYS`` but DPO,
        whose slope is another one.
    """
    import torch

    reference, config, tokenizer = model
    params = {name: p.clone().requires_grad_() for name, p in reference.items()}
    estimates = {way: [] for way in WAYS[1:]}
    for _ in range(n_gradients):
        tokens, weights = draw_stories(params, config, tokenizer, N_STORIES, rng)
        rewards = torch.tensor(
            rewards_of(tokens, weights, tokenizer), dtype=torch.float32
        )
        for way, found in estimates.items():
            loss = loss_of(way, params, model, tokens, weights, rewards, rng)
            slopes = torch.autograd.grad(loss, list(params.values()))
            found.append(torch.cat([slope.ravel() for slope in slopes]).double())
    noise = {}
    for way, found in estimates.items():
        g = torch.stack(found)
        variance = float(g.var(dim=0, correction=1).sum())
        squared_mean = float((g.mean(dim=0) ** 2).sum()) - variance / len(g)
        noise[way] = {
            "variance": variance,
            "squared_mean": squared_mean,
            "ratio": variance / squared_mean,
        }
    return noise


def reference_results(rewards):
    r"""Say what is known of the reference from the rewards of its stories.

    The best policy and best of n choose among stories by their reward alone. So a nat counts the
    same for stories as for rewards, of which there are few.

    Returns
    -------
    dict
        ``log_z`` and its standard error; for each of ``BETAS`` the reward and the divergence
        of the best policy, under ``frontier``; and those of ``best of n``.
    """
    levels, counts = np.unique(rewards, return_counts=True)
    odds = counts / counts.sum()
    weights = np.exp(rewards / BETA)
    best = [np.exp(optimal_policy(np.log(odds), levels, beta)) for beta in BETAS]
    return {
        "n": len(rewards),
        "reward": rewards.mean(),
        "reward_error": rewards.std() / len(rewards) ** 0.5,
        "log_z": optimal_value(np.log(odds), levels, BETA) / BETA,
        "log_z_error": weights.std() / weights.mean() / len(weights) ** 0.5,
        "frontier": _points(best, levels, odds, beta=BETAS.tolist()),
        "best of n": _points(
            [best_of_n(odds, levels, n) for n in DRAWN], levels, odds, n=list(DRAWN)
        ),
    }


def _points(policies, levels, odds, **name):
    rewards = [policy @ levels for policy in policies]
    return {
        **name,
        "reward": rewards,
        "divergence": [kl_divergence(p, odds) for p in policies],
    }


def torch_model():
    """Give the book's GPT as tensors: (params, config, tokenizer)."""
    import torch

    params, config, tokenizer = load_fable_gpt()
    return (
        {name: torch.from_numpy(p.copy()) for name, p in params.items()},
        config,
        tokenizer,
    )


def measure_reference():
    """Draw stories of the reference, and estimate what they say of all policies."""
    model = torch_model()
    rewards, _ = judge(model[0], model, np.random.default_rng(100), N_REFERENCE)
    return reference_results(rewards)


def measure_policy(way, seed, reference):
    """Tune a model, and measure how far it has come."""
    model = torch_model()
    params = tune(way, model, seed)
    rewards, ratios = judge(params, model, np.random.default_rng([seed, 99]))
    worth, n = rewards - BETA * ratios, len(rewards) ** 0.5
    error = np.hypot(worth.std() / n / BETA, reference["log_z_error"])
    return {
        "way": way,
        "seed": seed,
        "reward": rewards.mean(),
        "reward_error": rewards.std() / n,
        "divergence": ratios.mean(),
        "divergence_error": ratios.std() / n,
        "from_best": reference["log_z"] - worth.mean() / BETA,
        "from_best_error": error,
    }


def main():
    """Tune the model in every way, judge what came out, and keep it."""
    import torch

    torch.set_num_threads(1)
    reference = measure_reference()
    noise = gradient_noise(torch_model(), np.random.default_rng(101))
    policies = [measure_policy(way, seed, reference) for seed in SEEDS for way in WAYS]
    keep("alignment_tuning", results(reference, noise, policies))


def results(reference, noise, policies):
    """Put together what is kept, with what is exactly true of Fable."""
    exact = optimal_fable(REWARD, BETA)
    reward, divergence = reward_and_divergence(exact)
    rewards, divergences = frontier(REWARD, BETAS)
    fable = {
        "log_z": exact.log_z,
        "reward": reward,
        "divergence": divergence,
        "frontier": {"beta": BETAS, "reward": rewards, "divergence": divergences},
    }
    settings = {
        "reward": REWARD,
        "beta": BETA,
        "n_tokens": N_TOKENS,
        "n_stories": N_STORIES,
        "n_steps": N_STEPS,
        "learning_rate": LEARNING_RATE,
        "n_judged": N_JUDGED,
        "n_gradients": N_GRADIENTS,
    }
    measured = {
        "reference": reference,
        "gradient_noise": noise,
        "policies": policies,
        "fable": fable,
    }
    return {"settings": settings, **_rounded(measured)}


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list | np.ndarray):
        return [_rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float | np.floating) else value


if __name__ == "__main__":
    main()
