"""Alignment: each formula against a literal loop, another library, or what it must obey."""

from itertools import product
from math import exp, log

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from libraries import close

from lmmath.alignment import (
    answer_mask,
    best_of_n,
    best_of_n_kl_bound,
    clipped_policy_loss,
    dpo_loss,
    fit_rewards,
    group_relative_advantages,
    implicit_reward,
    init_lora,
    kl_estimates,
    leave_one_out_advantages,
    log_sigmoid,
    lora_dense,
    lora_merge,
    lora_parameter_count,
    lora_update,
    optimal_policy,
    optimal_value,
    policy_gradient,
    policy_gradient_loss,
    preference_loss,
    preference_probability,
    regularized_reward,
)
from lmmath.attention import log_softmax, softmax
from lmmath.chat import chat_tokens
from lmmath.sampling import kl_divergence
from lmmath.tokenization import BPETokenizer
from lmmath.training import cross_entropy

INF = np.inf
NUMBERS = st.floats(-20, 20, allow_subnormal=False)
FIVE = hnp.arrays(float, 5, elements=NUMBERS)
BETAS = st.floats(0.1, 10)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


# Preferences


@given(FIVE, FIVE)
def test_a_preference_has_the_odds_of_the_two_exponentials(a, b):
    close(preference_probability(a, b), np.exp(a) / (np.exp(a) + np.exp(b)), 1e-12)


@given(FIVE, FIVE, FIVE)
def test_a_constant_for_each_prompt_changes_no_preference(a, b, constants):
    close(
        preference_probability(a + constants, b + constants),
        preference_probability(a, b),
        1e-12,
    )
    close(preference_loss(a + constants, b + constants), preference_loss(a, b), 1e-12)


def test_preference_loss_is_the_mean_of_minus_the_log_probabilities(rng):
    chosen, rejected = rng.normal(size=(2, 3, 4))
    total = 0.0
    for plus, minus in zip(chosen.ravel(), rejected.ravel(), strict=True):
        total -= log(exp(plus) / (exp(plus) + exp(minus)))
    close(preference_loss(chosen, rejected), total / 12)


@pytest.mark.parametrize("to", [np.asarray, torch.from_numpy])
def test_log_sigmoid_equals_torch_and_scipy_far_out(to):
    x = np.asarray([-1e4, -745.0, -30.0, -1e-9, 0.0, 1e-9, 30.0, 1e4])
    close(log_sigmoid(to(x)), scipy.special.log_expit(x), 1e-14)
    close(
        log_sigmoid(to(x)), torch.nn.functional.logsigmoid(torch.from_numpy(x)), 1e-14
    )


def test_fit_rewards_finds_what_another_optimizer_finds(rng):
    features, truth = rng.normal(size=(30, 4)), np.asarray([1.0, -2.0, 0.5, 0.0])
    one, other = rng.integers(30, size=(2, 400))
    wins = rng.random(400) < preference_probability(
        features[one] @ truth, features[other] @ truth
    )
    chosen, rejected = np.where(wins, one, other), np.where(wins, other, one)
    for l2 in (0.0, 3.0):

        def loss(w, l2=l2):
            margins = [
                features[c] @ w - features[r] @ w
                for c, r in zip(chosen, rejected, strict=True)
            ]
            return np.sum(np.log1p(np.exp(-np.asarray(margins)))) + l2 / 2 * np.sum(
                w**2
            )

        found = fit_rewards(features, chosen, rejected, l2)
        options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
        reference = scipy.optimize.minimize(
            loss, truth, method="Nelder-Mead", options=options
        )
        close(found, reference.x, 1e-5)
        assert loss(found) <= reference.fun + 1e-10


def test_fit_rewards_comes_near_the_truth_as_fast_as_statistics_says(rng):
    features, truth = rng.normal(size=(200, 3)), np.asarray([0.7, -0.4, 0.2])
    one, other = rng.integers(200, size=(2, 20_000))
    wins = rng.random(20_000) < preference_probability(
        features[one] @ truth, features[other] @ truth
    )
    fit = fit_rewards(features, np.where(wins, one, other), np.where(wins, other, one))
    difference = features[one] - features[other]
    p = preference_probability(features[one] @ truth, features[other] @ truth)
    information = (difference.T * (p * (1 - p))) @ difference
    # A chi-square of three degrees of freedom.
    assert (fit - truth) @ information @ (fit - truth) < scipy.stats.chi2(3).ppf(0.999)


def test_fit_rewards_says_when_the_pairs_do_not_determine_it():
    features = np.asarray([[1.0, 1.0], [0.0, 1.0], [2.0, 1.0]])
    chosen, rejected = np.asarray([0, 0, 1]), np.asarray([1, 2, 0])
    with pytest.raises(
        ValueError, match=r"differ in all 2 features independently, got .* rank 1"
    ):
        fit_rewards(features, chosen, rejected)
    assert (
        fit_rewards(features, chosen, rejected, l2=1.0)[1] == 0
    )  # a constant has no say
    with pytest.raises(ValueError, match="some preferences must contradict each other"):
        fit_rewards(features[:, :1], chosen[:1], rejected[:1])
    # A pair that only ties the features ranks none wrong: still no end.
    tied = np.asarray([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="contradict"):
        fit_rewards(tied, np.asarray([0, 1, 2]), np.asarray([1, 0, 3]))
    assert np.all(
        np.isfinite(fit_rewards(features[:, :1], chosen[:1], rejected[:1], l2=0.1))
    )


def test_fit_rewards_refuses_what_it_cannot_use():
    x, i = np.ones((3, 1)), np.asarray([0, 1])
    with pytest.raises(TypeError, match="features must be an array of floating"):
        fit_rewards(np.ones((3, 1), int), i, i)
    with pytest.raises(ValueError, match=r"features must have shape .*got \(3,\)"):
        fit_rewards(x[:, 0], i, i)
    with pytest.raises(ValueError, match="features must be finite"):
        fit_rewards(x * INF, i, i)
    with pytest.raises(ValueError, match="chosen must lie between 0 and 2, got 3"):
        fit_rewards(x, i + 2, i)
    with pytest.raises(ValueError, match=r"same shape .*got \(2,\) and \(1,\)"):
        fit_rewards(x, i, i[:1])
    with pytest.raises(ValueError, match="l2 must be a number of at least 0"):
        fit_rewards(x, i, i, l2=-1.0)


# The aim and its solution


@given(FIVE, FIVE, BETAS)
def test_the_optimal_policy_is_the_reference_times_the_exponential(
    reference, rewards, beta
):
    weights = [
        p * exp(r / beta - max(rewards) / beta)
        for p, r in zip(softmax(reference), rewards, strict=True)
    ]
    close(
        np.exp(optimal_policy(reference, rewards, beta)),
        np.asarray(weights) / sum(weights),
        1e-11,
    )


@given(FIVE, FIVE, BETAS)
def test_the_optimal_policy_is_worth_the_optimal_value(reference, rewards, beta):
    best = optimal_policy(reference, rewards, beta)
    value = optimal_value(reference, rewards, beta)
    close(regularized_reward(best, reference, rewards, beta), value, 1e-9)


@given(FIVE, FIVE, FIVE, BETAS)
def test_every_policy_falls_short_by_its_divergence_from_the_best(
    policy, reference, rewards, beta
):
    best = optimal_policy(reference, rewards, beta)
    short = optimal_value(reference, rewards, beta) - regularized_reward(
        policy, reference, rewards, beta
    )
    log_policy = log_softmax(policy)
    gap = np.sum(np.exp(log_policy) * (log_policy - best))
    close(short, beta * gap, 1e-8)
    assert short >= -1e-8


def test_the_optimal_policy_equals_a_numerical_search(rng):
    reference, rewards = np.log(rng.dirichlet(np.ones(6))), rng.normal(size=6)
    found = scipy.optimize.minimize(
        lambda x: -regularized_reward(x, reference, rewards, 0.7),
        np.zeros(6),
        tol=1e-12,
    )
    close(softmax(found.x), np.exp(optimal_policy(reference, rewards, 0.7)), 1e-5)


def test_the_slope_of_log_z_is_the_mean_reward(rng):
    reference, rewards = np.log(rng.dirichlet(np.ones(6))), rng.normal(size=6)
    h, strength = 1e-5, 1.7

    def log_z(s):
        return optimal_value(reference, rewards, 1 / s) * s

    slope = (log_z(strength + h) - log_z(strength - h)) / (2 * h)
    close(
        slope, np.exp(optimal_policy(reference, rewards, 1 / strength)) @ rewards, 1e-8
    )


def test_an_impossible_answer_stays_impossible():
    reference, rewards = np.asarray([0.0, -INF, 0.0]), np.asarray([1.0, 99.0, 0.0])
    best = optimal_policy(reference, rewards, 1.0)
    assert best[1] == -INF
    close(
        regularized_reward(best, reference, rewards, 1.0),
        optimal_value(reference, rewards, 1.0),
    )
    assert regularized_reward(np.zeros(3), reference, rewards, 1.0) == -INF


@pytest.mark.parametrize("function", [optimal_policy, optimal_value])
def test_beta_must_be_positive(function):
    for beta in (0, -1.0, INF, np.nan, "1"):
        with pytest.raises(ValueError, match="beta must be a finite number above 0"):
            function(np.zeros(2), np.zeros(2), beta)
    with pytest.raises(TypeError, match="rewards must be an array of floating"):
        function(np.zeros(2), [1.0, 2.0], 1.0)


# Best of n


def literal_best_of_n(probabilities, rewards, n):
    result = np.zeros(len(probabilities))
    for draws in product(range(len(probabilities)), repeat=n):
        winner = max(draws, key=lambda i: rewards[i])  # the first of equal ones
        result[winner] += np.prod(probabilities[list(draws)])
    return result


@given(
    hnp.arrays(float, 4, elements=st.integers(0, 2)),
    st.integers(1, 5),
    st.integers(0, 99),
)
def test_best_of_n_equals_all_draws_enumerated(rewards, n, seed):
    p = np.random.default_rng(seed).dirichlet(np.ones(4))
    close(best_of_n(p, rewards, n), literal_best_of_n(p, rewards, n), 1e-12)


@given(st.integers(1, 300), st.integers(2, 40), st.integers(0, 99))
def test_best_of_n_is_never_further_than_the_bound(n, m, seed):
    rng = np.random.default_rng(seed)
    p, rewards = rng.dirichlet(np.ones(m)), rng.integers(m, size=m).astype(float)
    best = best_of_n(p, rewards, n)
    assert kl_divergence(best / best.sum(), p) <= best_of_n_kl_bound(n) + 1e-12
    close(best.sum(), 1.0, 1e-12)


def test_the_bound_is_reached_by_many_different_answers():
    p, rewards = np.full(4000, 1 / 4000), np.arange(4000.0)
    for n in (2, 8, 32):
        reached = kl_divergence(best_of_n(p, rewards, n), p)
        assert 0 <= best_of_n_kl_bound(n) - reached < 1e-3
    two = best_of_n(np.asarray([0.5, 0.5]), np.asarray([0.0, 1.0]), 1000)
    assert (
        kl_divergence(two, np.asarray([0.5, 0.5])) < log(2) + 1e-12
    )  # the bound says 5.9


def test_best_of_n_keeps_improbable_answers_apart():
    p, rewards = np.asarray([1 - 1e-18, 1e-18]), np.asarray([0.0, 1.0])
    close(best_of_n(p, rewards, 10)[1], 1e-17, 1e-30)
    close(best_of_n(p, rewards, 10)[1] / 1e-17, 1.0, 1e-12)


# Policy gradients


def test_policy_gradient_is_the_slope_of_the_mean_reward(rng):
    logits, rewards = rng.normal(size=(2, 3, 5))
    x = torch.tensor(logits, requires_grad=True)
    (torch.softmax(x, -1) * torch.from_numpy(rewards)).sum().backward()
    close(policy_gradient(logits, rewards), x.grad)


@pytest.mark.parametrize("baseline", [0.0, 1.7])
def test_the_estimate_has_the_policy_gradient_as_its_mean(rng, baseline):
    logits, rewards = rng.normal(size=(2, 4))
    x = torch.tensor(logits, requires_grad=True)
    policy, mean = softmax(logits), torch.zeros(4, dtype=torch.float64)
    for i in range(4):  # every draw, as often as it comes
        loss = policy_gradient_loss(
            torch.log_softmax(x, -1)[i : i + 1], torch.tensor([rewards[i] - baseline])
        )
        mean -= policy[i] * torch.autograd.grad(loss, x)[0]
    close(mean, policy_gradient(logits, rewards), 1e-12)


def test_no_gradient_flows_through_advantages():
    log_p, a = torch.zeros(3, requires_grad=True), torch.ones(3, requires_grad=True)
    for loss in (policy_gradient_loss(log_p, a), clipped_policy_loss(log_p, a, a)):
        loss.backward()
        assert a.grad is None
        assert log_p.grad is not None


def test_leave_one_out_is_against_the_mean_of_the_others(rng):
    rewards = rng.normal(size=(2, 5))
    for row, advantages in zip(rewards, leave_one_out_advantages(rewards), strict=True):
        for i in range(5):
            others = [row[j] for j in range(5) if j != i]
            close(advantages[i], row[i] - sum(others) / 4)


def test_leave_one_out_has_no_bias_and_group_relative_has():
    logits, rewards = np.log([0.7, 0.3]), np.asarray([0.0, 1.0])
    score = np.eye(2) - softmax(logits)  # the slope of log p of each answer
    means = {}
    for make in (leave_one_out_advantages, group_relative_advantages):
        means[make] = np.zeros(2)
        for draws in product(range(2), repeat=3):
            advantages = make(rewards[list(draws)])
            weight = np.prod(softmax(logits)[list(draws)])
            means[make] += weight * advantages @ score[list(draws)] / 3
    exact = policy_gradient(logits, rewards)
    close(means[leave_one_out_advantages], exact)
    assert np.abs(means[group_relative_advantages] - exact).max() > 0.05


@given(hnp.arrays(float, (2, 4), elements=NUMBERS))
def test_group_relative_advantages_equal_scipy(rewards):
    advantages = group_relative_advantages(rewards)
    for row, ours in zip(rewards, advantages, strict=True):
        if len(set(row)) == 1:
            assert not ours.any()
        elif np.std(row) > 1e-3:
            close(ours, scipy.stats.zscore(row), 1e-9)
        else:
            close(np.mean(ours**2), 1.0, 1e-9)


def test_a_group_of_equal_rewards_says_nothing_whatever_rounding_makes_of_its_mean():
    assert not group_relative_advantages(np.full((3, 7), 0.1)).any()


def test_clipped_loss_equals_a_loop_and_its_slope_is_zero_where_it_is_clipped():
    new, old = np.log([0.5, 0.5, 0.5, 0.5]), np.log([0.25, 0.9, 0.25, 0.9])
    advantages = np.asarray([1.0, 1.0, -1.0, -1.0])
    total = 0.0
    for n, o, a in zip(new, old, advantages, strict=True):
        ratio = exp(n - o)
        total -= min(ratio * a, min(max(ratio, 0.7), 1.3) * a)
    close(clipped_policy_loss(new, old, advantages, epsilon=0.3), total / 4)
    x = torch.tensor(new, requires_grad=True)
    clipped_policy_loss(x, torch.tensor(old), torch.tensor(advantages), 0.3).backward()
    # Good and already more probable, or bad and already less: enough.
    assert (x.grad != 0).tolist() == [False, True, True, False]
    for epsilon in (-0.1, 1.0):
        with pytest.raises(
            ValueError, match="epsilon must be a number of at least 0 and below 1"
        ):
            clipped_policy_loss(new, old, advantages, epsilon)


def test_clipped_loss_has_the_slope_of_reinforce_where_the_policies_are_one(rng):
    log_p, a = rng.normal(size=5), torch.from_numpy(rng.normal(size=5))
    one, other = (torch.tensor(log_p, requires_grad=True) for _ in range(2))
    clipped_policy_loss(one, torch.tensor(log_p), a).backward()
    policy_gradient_loss(other, a).backward()
    close(one.grad, other.grad)


@given(FIVE, FIVE)
def test_kl_estimates_are_never_negative_and_have_the_divergence_as_mean(x, y):
    p, q = log_softmax(x), log_softmax(y)
    estimates = kl_estimates(p, q)
    assert np.all(estimates >= 0)
    close(np.sum(np.exp(p) * estimates), np.sum(np.exp(p) * (p - q)), 1e-9)


def test_the_slope_of_kl_estimates_is_that_of_the_divergence_the_other_way_round(rng):
    logits, reference = rng.normal(size=(2, 5))
    x, q = (
        torch.tensor(logits, requires_grad=True),
        torch.from_numpy(log_softmax(reference)),
    )
    p = torch.log_softmax(x, -1)
    drawn = (
        p.exp().detach() * kl_estimates(p, q)
    ).sum()  # every draw, as often as it comes
    other_way, this_way = (q.exp() * (q - p)).sum(), (p.exp() * (p - q)).sum()
    slopes = [
        torch.autograd.grad(f, x, retain_graph=True)[0]
        for f in (drawn, other_way, this_way)
    ]
    close(slopes[0], slopes[1], 1e-12)
    assert torch.abs(slopes[0] - slopes[2]).max() > 0.05


def test_groups_must_be_large_enough():
    with pytest.raises(ValueError, match=r"with G at least 2, got \(3, 1\)"):
        leave_one_out_advantages(np.zeros((3, 1)))
    with pytest.raises(ValueError, match=r"with G at least 1, got \(3, 0\)"):
        group_relative_advantages(np.zeros((3, 0)))
    with pytest.raises(TypeError, match="rewards must be an array of floating"):
        group_relative_advantages(np.zeros((3, 2), int))


# DPO


def test_dpo_loss_is_the_equation_in_a_loop(rng):
    chosen, rejected, reference_chosen, reference_rejected = rng.normal(size=(4, 6))
    total = 0.0
    for i in range(6):
        margin = 0.3 * (chosen[i] - reference_chosen[i]) - 0.3 * (
            rejected[i] - reference_rejected[i]
        )
        total -= log(1 / (1 + exp(-margin)))
    ours = dpo_loss(chosen, rejected, reference_chosen, reference_rejected, 0.3)
    close(ours, total / 6)


@given(FIVE, FIVE, BETAS)
def test_the_best_policy_has_the_reward_as_its_implicit_one_up_to_a_constant(
    reference, rewards, beta
):
    reference = log_softmax(reference)
    best = optimal_policy(reference, rewards, beta)
    constant = optimal_value(reference, rewards, beta)
    close(implicit_reward(best, reference, beta), rewards - constant, 1e-9)


def test_with_all_preferences_in_their_proportions_dpo_ends_at_the_best_policy(rng):
    reference, rewards, beta = log_softmax(rng.normal(size=4)), rng.normal(size=4), 0.5
    a, b = map(
        np.asarray,
        zip(*[(i, j) for i in range(4) for j in range(4) if i != j], strict=True),
    )
    weights = preference_probability(rewards[a], rewards[b])

    def loss(x):
        p = log_softmax(x)
        losses = [
            dpo_loss(p[[i]], p[[j]], reference[[i]], reference[[j]], beta)
            for i, j in zip(a, b, strict=True)
        ]
        return weights @ np.asarray(losses)

    found = scipy.optimize.minimize(loss, np.zeros(4), tol=1e-12)
    close(softmax(found.x), np.exp(optimal_policy(reference, rewards, beta)), 1e-4)


# LoRA


def test_merged_and_apart_compute_the_same(rng):
    x, w = rng.normal(size=(2, 5, 6)), rng.normal(size=(6, 4))
    a, b = rng.normal(size=(6, 2)), rng.normal(size=(2, 4))
    close(lora_dense(x, w, a, b, 3.0), x @ lora_merge(w, a, b, 3.0))
    close(lora_merge(w, a, b, 3.0) - w, lora_update(a, b, 3.0))
    for i, j in product(range(6), range(4)):
        close(
            lora_update(a, b, 3.0)[i, j],
            3.0 / 2 * sum(a[i, k] * b[k, j] for k in range(2)),
        )


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_an_update_has_at_most_its_rank_and_as_many_numbers_as_counted(
    d_in, d_out, data
):
    rank = data.draw(st.integers(1, min(d_in, d_out)))
    rng = np.random.default_rng(0)
    a, b = init_lora(d_in, d_out, rank, rng, np.float64)
    assert not lora_update(a, b, 1.0).any()
    assert a.size + b.size == lora_parameter_count(d_in, d_out, rank)
    update = lora_update(a, rng.normal(size=b.shape), 1.0)
    assert np.linalg.matrix_rank(update) == rank


def test_lora_refuses_shapes_that_do_not_fit():
    a, b = np.ones((6, 2)), np.ones((2, 4))
    with pytest.raises(
        ValueError, match=r"a and b must have shapes .*got \(6, 2\) and \(6, 2\)"
    ):
        lora_update(a, a, 1.0)
    with pytest.raises(
        ValueError, match=r"w must have the shape of the update, \(6, 4\), got \(4, 6\)"
    ):
        lora_merge(np.ones((4, 6)), a, b, 1.0)
    with pytest.raises(
        ValueError, match="alpha must be a finite number above 0, got 0"
    ):
        lora_update(a, b, 0)
    with pytest.raises(ValueError, match=r"smaller of d_in and d_out \(4\), got 5"):
        lora_parameter_count(6, 4, 5)
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator"):
        init_lora(6, 4, 2, 0)


# The loss of a chat


LETTERS = BPETokenizer([], special_tokens=["<|im_start|>", "<|im_end|>"])
MERGED = BPETokenizer(
    [(b"\n", b"\n"), (b"a", b"s")], special_tokens=["<|im_start|>", "<|im_end|>"]
)


@pytest.mark.parametrize("tokenizer", [LETTERS, MERGED])
def test_the_mask_leaves_the_answers_and_their_ends(tokenizer):
    chat = [
        {"role": "user", "content": "assistant\nis a word"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "<|im_start|>assistant\nNo."},
        {"role": "assistant", "content": "Goodbye\nassistant"},
    ]
    tokens = chat_tokens(chat, tokenizer, system="Be brief.")
    mask = answer_mask(tokens, tokenizer)
    assert (
        tokenizer.decode(tokens[mask]) == "Yes.<|im_end|>Goodbye\nassistant<|im_end|>"
    )
    assert answer_mask(tokens[:-3], tokenizer).tolist() == mask[:-3].tolist()


def test_a_line_break_at_the_beginning_of_an_answer_may_be_lost_with_the_role():
    chat = [{"role": "assistant", "content": "\n"}]
    tokens = chat_tokens(chat, MERGED, system=None)
    assert MERGED.decode(tokens[answer_mask(tokens, MERGED)]) == "<|im_end|>"


def test_the_chat_loss_is_the_mean_over_the_answers_alone(rng):
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    tokens = chat_tokens(chat, LETTERS, system=None)
    logits = rng.normal(size=(len(tokens) - 1, LETTERS.vocab_size))
    mask = answer_mask(tokens, LETTERS)
    losses = [
        -log_softmax(logits)[i, tokens[i + 1]]
        for i in range(len(tokens) - 1)
        if mask[i + 1]
    ]
    assert len(losses) == 3
    close(cross_entropy(logits, tokens[1:], weights=mask[1:]), sum(losses) / 3)


def test_the_mask_needs_the_marks():
    with pytest.raises(
        ValueError, match=r"special tokens .*got one without <\|im_start\|>"
    ):
        answer_mask(np.asarray([1]), BPETokenizer([]))
    with pytest.raises(TypeError, match="tokens must be an array of integers"):
        answer_mask([1], LETTERS)
    with pytest.raises(
        ValueError, match=r"tokens must have shape \(n,\), got \(1, 1\)"
    ):
        answer_mask(np.asarray([[1]]), LETTERS)
