"""The experiments of alignment: their pieces on small cases, and what is kept against itself."""

import numpy as np
import pytest
import torch
from libraries import close

from lmmath.alignment import best_of_n_kl_bound, kl_estimates
from lmmath.alignment.fable import (
    FRIENDLY_AND_BRIEF,
    frontier,
    least_beta,
    mean_reward,
    optimal_fable,
    reward_and_divergence,
)
from lmmath.experiments import alignment_goodhart as goodhart
from lmmath.experiments import alignment_lora as lora
from lmmath.experiments import alignment_tuning as tuning
from lmmath.experiments.kept import load_kept
from lmmath.fable import surprisals, to_words


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return tuning.torch_model()


@pytest.fixture(scope="module")
def drawn(model):
    return tuning.draw_stories(*model, 16, np.random.default_rng(0), n_tokens=50)


# Goodhart


def test_with_many_preferences_the_true_reward_is_learned():
    reward = goodhart.learned_reward(4000, np.random.default_rng(1))
    for word in goodhart.FEATURES:
        assert abs(reward[word] - goodhart.TRUE_REWARD.get(word, 0.0)) < 0.35


def test_optimized_meets_the_exact_policies_between_its_points():
    reward = {"gave": 1.3, "They": 0.9, ".": -0.8, "sad": 0.4}
    for beta in (3.0, 1.0, 0.8):
        policy = optimal_fable(reward, beta)
        mean, divergence = reward_and_divergence(policy)
        means, true_means = goodhart.optimized(reward, divergences=[divergence])
        close(means[0], mean, 0.01)
        close(true_means[0], mean_reward(policy, goodhart.TRUE_REWARD), 0.01)
    assert least_beta(reward) > 0
    means, true_means = goodhart.optimized(reward, divergences=[0.5, 20.0])
    assert means[1] > means[0]
    assert true_means[1] < true_means[0]


def test_no_reward_that_was_learned_beats_the_frontier():
    found = goodhart.goodhart(30, 3, np.random.default_rng(2))
    best, _ = goodhart.optimized(goodhart.TRUE_REWARD)
    assert np.all(found["true_rewards"] <= best + 0.01)
    few = goodhart.summary(found, np.random.default_rng(0))
    assert np.all(few["true_reward"]["low"] <= few["true_reward"]["mean"])
    assert few["peak"]["true_reward"] == max(few["true_reward"]["mean"])


def test_goodhart_refuses_what_it_cannot_use():
    with pytest.raises(
        ValueError, match="n_pairs must be an integer of at least 1, got 0"
    ):
        goodhart.learned_reward(0, np.random.default_rng(0))
    with pytest.raises(TypeError, match="rng must be"):
        goodhart.learned_reward(3, 0)


# Tuning


def test_stories_drawn_end_at_their_line_break_and_count_it(model, drawn):
    tokens, weights = drawn
    _, _, tokenizer = model
    assert tokens.shape[1] == weights.shape[1] + 1 <= 51
    n_whole = 0
    for row, kept in zip(tokens.tolist(), weights.tolist(), strict=True):
        n = sum(kept)
        assert kept == [True] * n + [False] * (len(kept) - n)
        story = tokenizer.decode(row[1 : n + 1])
        assert story.find("\n") in (-1, len(story) - 1)
        n_whole += story.endswith("\n")
        if not story.endswith("\n"):
            assert n == weights.shape[1]
    assert n_whole > 5


def test_log_probabilities_add_up_the_tokens_of_a_story(model, drawn):
    from lmmath.transformer import gpt

    params, config, _ = model
    tokens, weights = drawn
    ours = tuning.log_probabilities(params, config, tokens, weights)
    for row, kept, total in zip(tokens, weights, ours, strict=True):
        n = int(kept.sum())
        log_p = torch.log_softmax(gpt(params, row[:n][None], config)[0], dim=-1)
        close(log_p[torch.arange(n), row[1 : n + 1]].sum(), total, 1e-4)


def test_rewards_count_the_words_of_each_story(model, drawn):
    tokens, weights = drawn
    rewards = tuning.rewards_of(tokens, weights, model[2])
    for row, kept, reward in zip(tokens, weights, rewards, strict=True):
        words = to_words(model[2].decode(row[1:][kept].tolist()))
        assert (
            reward == words.count("gave") + words.count("They") - words.count(".") / 2
        )


@pytest.mark.parametrize("way", tuning.WAYS)
def test_at_the_reference_every_way_points_to_the_better_stories(way, model, drawn):
    tokens, weights = drawn
    params = {name: p.clone().requires_grad_() for name, p in model[0].items()}
    rewards = torch.zeros(16)
    rewards[:8] = 50.0  # in each pair of DPO's the first is surely preferred
    rng = np.random.default_rng(0)
    loss = tuning.loss_of(way, params, model, tokens, weights, rewards, rng)
    slopes = torch.autograd.grad(loss, list(params.values()))
    with torch.no_grad():
        moved = {
            n: p - 1e-3 * g / 10
            for (n, p), g in zip(params.items(), slopes, strict=True)
        }
        before, after = (
            tuning.log_probabilities(p, model[1], tokens, weights)
            for p in (params, moved)
        )
    change = after - before
    if way != "reinforce":  # which makes all of these more probable
        assert change[:8].mean() > change[8:].mean()
    assert change[:8].mean() > 0


def test_the_reference_is_judged_by_its_rewards_as_importance_weights_judge_it():
    rng = np.random.default_rng(3)
    rewards = rng.integers(-4, 4, 500) / 2
    found = tuning.reference_results(rewards)
    weights = np.exp(rewards / tuning.BETA)
    close(found["log_z"], np.log(weights.mean()))
    best = found["best of n"]
    assert best["n"][0] == 1
    close(best["reward"][0], rewards.mean())
    assert abs(best["divergence"][0]) < 1e-12
    assert np.all(np.diff(best["reward"]) > 0)
    for n, divergence in zip(best["n"], best["divergence"], strict=True):
        assert divergence <= best_of_n_kl_bound(n) + 1e-12
    line = found["frontier"]
    i = 17
    tilted = np.exp(rewards / line["beta"][i])
    close(line["reward"][i], tilted @ rewards / tilted.sum())


def test_tuning_for_a_step_moves_little_and_judging_sees_it(model):
    params = tuning.tune("grpo", model, seed=5, n_steps=1, report=lambda text: None)
    assert all(not p.requires_grad for p in params.values())
    rewards, ratios = tuning.judge(params, model, np.random.default_rng(0), 64)
    assert len(rewards) == len(ratios) == 64
    assert 0 < np.abs(ratios).mean() < 1
    _, none = tuning.judge(model[0], model, np.random.default_rng(0), 64)
    assert not none.any()
    assert kl_estimates(np.zeros(1), np.zeros(1)) == 0


# LoRA


def test_nearest_of_rank_is_nearer_than_others_and_loses_the_squares_left_out():
    rng = np.random.default_rng(4)
    w = rng.normal(size=(5, 7))
    values = np.linalg.svd(w, compute_uv=False)
    for rank in range(1, 6):
        cut = lora.nearest_of_rank(w, rank)
        assert np.linalg.matrix_rank(cut) == rank
        close(np.sum((w - cut) ** 2), np.sum(values[rank:] ** 2), 1e-12)
        close(lora.energy_by_rank(w)[rank - 1], np.sum(cut**2) / np.sum(w**2), 1e-12)
        for _ in range(20):
            other = rng.normal(size=(5, rank)) @ np.linalg.pinv(
                rng.normal(size=(7, rank))
            ).reshape(rank, 7)
            assert np.sum((w - other) ** 2) > np.sum((w - cut) ** 2)
    with pytest.raises(
        ValueError, match="rank must be an integer of at least 1, got 0"
    ):
        lora.nearest_of_rank(w, 0)


def test_the_floor_is_the_surprise_of_the_best_policy(model):
    tokenizer = model[2]
    tokens, lengths, floor = lora.best_stories(
        20, np.random.default_rng(5), tokenizer, 128
    )
    policy = optimal_fable(lora.REWARD, lora.BETA)
    total = 0.0
    for row, length in zip(tokens, lengths, strict=True):
        words = to_words(tokenizer.decode(row[1 : length + 1].tolist()))
        paid = sum(lora.REWARD.get(word, 0.0) for word in words) / lora.BETA
        total += surprisals(words).sum() - paid + policy.log_z
        assert row[0] == row[length] == tokenizer.encode("\n")[0]
    close(floor, total / lengths.sum(), 1e-12)


# What is kept


def test_what_is_kept_of_goodhart_is_what_the_code_says():
    kept = load_kept("alignment_goodhart")
    assert kept["true_reward"] == goodhart.TRUE_REWARD
    truth, _ = goodhart.optimized(goodhart.TRUE_REWARD)
    close(kept["frontier"], truth, 1e-4)
    for few in kept["by_pairs"].values():
        assert np.all(np.asarray(few["true_reward"]["mean"]) <= truth + 0.01)
        assert np.all(np.diff(few["reward"]["mean"]) >= 0)
    n_pairs = str(min(map(int, kept["by_pairs"])))
    rng = np.random.default_rng([goodhart.SEED, int(n_pairs)])
    first = goodhart.learned_reward(int(n_pairs), rng)
    assert np.all(np.isfinite(list(first.values())))


def test_what_is_kept_of_tuning_fits_together():
    kept = load_kept("alignment_tuning")
    fable = kept["fable"]
    rewards, divergences = frontier(FRIENDLY_AND_BRIEF, fable["frontier"]["beta"][:3])
    close(fable["frontier"]["reward"][:3], rewards, 1e-4)
    close(fable["frontier"]["divergence"][:3], divergences, 1e-4)
    ways = {(policy["way"], policy["seed"]) for policy in kept["policies"]}
    assert ways == {(way, seed) for way in tuning.WAYS for seed in tuning.SEEDS}
    for policy in kept["policies"]:
        short = kept["reference"]["log_z"] - (policy["reward"] - policy["divergence"])
        close(policy["from_best"], short, 1e-3)
        assert policy["from_best"] > -4 * policy["from_best_error"]


def test_what_is_kept_of_lora_fits_together():
    kept = load_kept("alignment_lora")
    for rank in map(str, lora.RANKS):
        assert kept["learned"][rank] < kept["learned"]["full"]
        after = kept["after"][rank]
        close(kept["before"]["loss"] - after["loss"], after["gained"], 1e-3)
    for energy in kept["energy"].values():
        assert np.all(np.diff(energy) >= 0)
        assert energy[-1] <= 1
