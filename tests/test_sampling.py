"""Sampling against transformers, SciPy, exact fractions and the definition of a text."""

from fractions import Fraction
from itertools import islice

import array_api_strict
import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from libraries import LIBRARIES, close, numpy

from lmmath import sampling
from lmmath.attention import entropy
from lmmath.autodiff import Tensor
from lmmath.language_models import RecurrentConfig, forward, init, residual
from lmmath.sampling import (
    generate,
    kl_divergence,
    mass_left_out,
    min_p_filter,
    sample,
    stream,
    temperature_softmax,
    top_k_filter,
    top_p_filter,
)
from lmmath.transformer import GPTConfig, LlamaConfig, gpt, init_gpt, load_gpt2

INF = np.inf
LAST_BELOW_ONE = np.nextafter(1.0, 0.0)
SCORES = st.floats(-50, 50, allow_subnormal=False)
ROWS = hnp.arrays(float, st.integers(1, 8), elements=SCORES)
OTHER_LIBRARIES = [torch.from_numpy, array_api_strict.asarray, Tensor]


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def kept(filtered):
    return np.flatnonzero(np.asarray(filtered) > -INF).tolist()


# Temperature


@given(hnp.arrays(float, (2, 5), elements=SCORES), st.floats(0.1, 10))
def test_temperature_softmax_equals_scipy(logits, temperature):
    expected = scipy.special.softmax(logits / temperature, axis=-1)
    close(temperature_softmax(logits, temperature), expected, 1e-12)


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0, 2.0])
def test_temperature_takes_the_odds_to_the_power_of_its_inverse(temperature):
    weights = temperature_softmax(np.log([1.0, 16.0]), temperature)
    close(weights[1] / weights[0], 16 ** (1 / temperature))


@given(ROWS, st.floats(0.05, 20), st.floats(1.0, 5))
def test_entropy_rises_with_temperature(logits, temperature, factor):
    low, high = temperature, temperature * factor
    before = entropy(temperature_softmax(logits, low))
    assert entropy(temperature_softmax(logits, high)) >= before - 1e-12


@given(hnp.arrays(float, st.integers(1, 8), elements=st.integers(-50, 50)))
def test_towards_zero_the_largest_takes_all_and_towards_infinity_all_are_equal(logits):
    largest = logits == np.max(logits)
    for temperature in (1e-3, 1e-300, 5e-324):
        close(temperature_softmax(logits, temperature), largest / np.sum(largest))
    close(temperature_softmax(logits, 1e16), np.full(len(logits), 1 / len(logits)))
    close(temperature_softmax(logits, 1e308), np.full(len(logits), 1 / len(logits)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1e-6, 1e-50, 5e-324])
def test_a_tiny_temperature_does_not_overflow(dtype, temperature):
    logits = np.asarray([9e3, 1e4, -6e4, 1e4, -INF], dtype)
    for convert in (np.asarray, torch.from_numpy):
        weights = temperature_softmax(convert(logits), temperature)
        close(weights, [0.0, 0.5, 0.0, 0.5, 0.0])
        assert weights.dtype == convert(logits).dtype


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1e6, 1e50, 1e308])
def test_a_huge_temperature_makes_all_finite_logits_equal(dtype, temperature):
    weights = temperature_softmax(np.asarray([6e4, -6e4, -INF], dtype), temperature)
    assert np.max(np.abs(weights - np.asarray([0.5, 0.5, 0.0], dtype))) < 0.05
    assert weights[2] == 0
    assert weights.dtype == dtype


# Filters


@pytest.mark.parametrize("k", [1, 2, 5, 19, 20, 99])
def test_top_k_equals_transformers(rng, k):
    logits = rng.normal(size=(3, 20))
    expected = transformers.TopKLogitsWarper(k)(None, torch.from_numpy(logits))
    assert np.array_equal(top_k_filter(logits, k), expected.numpy())
    assert np.array_equal(top_k_filter(logits[:, None], k)[:, 0], expected.numpy())


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.9, 0.99, 0.999999, 1.0])
def test_top_p_equals_transformers(rng, p):
    logits = 3 * rng.normal(size=(5, 40))
    expected = transformers.TopPLogitsWarper(p)(None, torch.from_numpy(logits))
    assert np.array_equal(top_p_filter(logits, p), expected.numpy())
    assert np.array_equal(top_p_filter(logits[:, None], p)[:, 0], expected.numpy())


@pytest.mark.parametrize("min_p", [0.0, 1e-6, 0.01, 0.1, 0.5, 1.0])
def test_min_p_equals_transformers(rng, min_p):
    logits = 3 * rng.normal(size=(5, 40))
    expected = transformers.MinPLogitsWarper(min_p)(None, torch.from_numpy(logits))
    assert np.array_equal(min_p_filter(logits, min_p), expected.numpy())
    assert np.array_equal(min_p_filter(logits[:, None], min_p)[:, 0], expected.numpy())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_top_p_keeps_the_smallest_sufficient_set_by_exact_fractions(weights, data):
    # Halfway between two sums, where rounding decides nothing.
    p = Fraction(2 * data.draw(st.integers(1, sum(weights))) - 1, 2 * sum(weights))
    ids = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
    sizes = range(1, len(weights) + 1)
    enough = [n for n in sizes if sum(weights[i] for i in ids[:n]) >= p * sum(weights)]
    logits = np.log(np.asarray(weights, float))
    assert kept(top_p_filter(logits, float(p))) == sorted(ids[: enough[0]])


@given(hnp.arrays(float, st.integers(1, 9), elements=st.integers(0, 3)), st.data())
def test_top_k_keeps_exactly_k_and_of_equal_ones_the_lower_ids(logits, data):
    k = data.draw(st.integers(1, len(logits)))
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    assert kept(top_k_filter(logits, k)) == sorted(order[:k])


@pytest.mark.parametrize("to", [np.asarray, *LIBRARIES.values()])
def test_a_k_beyond_all_integers_keeps_all(to):
    logits = to(np.asarray([1.0, 2.0]))
    close(top_k_filter(logits, 10**30), logits)
    assert numpy(sample(logits, np.random.default_rng(0), top_k=10**30)) in (0, 1)


def test_of_equal_tokens_top_p_keeps_the_lower_ids_and_min_p_all():
    logits = np.zeros(100)
    assert kept(top_p_filter(logits, 0.895)) == list(range(90))
    assert kept(min_p_filter(logits, 1.0)) == list(range(100))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_top_p_sums_many_small_probabilities(dtype):
    # From 0.5 on, float16 would round each sum of 1/4096 back to what it was.
    assert kept(top_p_filter(np.zeros(4096, dtype), 0.75)) == list(range(3072))


@pytest.mark.parametrize("p", [0.9, 0.999, 0.9999])
@pytest.mark.parametrize("to", [np.asarray, *LIBRARIES.values()])
def test_top_p_keeps_its_mass_of_a_real_vocabulary_in_float32(to, p):
    logits = -np.log(np.arange(1.0, 128_257)).astype(np.float32)
    weights = np.exp(logits.astype(np.longdouble))
    total = np.cumsum(weights / np.sum(weights))
    kept_logits = numpy(top_p_filter(to(logits), p))
    n = np.sum(np.isfinite(kept_logits))
    assert total[n - 1] >= p - 1e-12
    assert total[n - 2] < p + 1e-12


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_top_p_of_one_keeps_all_whatever_rounding_makes_of_the_sum(dtype):
    logits = np.asarray([0.0, -50.0, -60.0], dtype)
    assert kept(top_p_filter(logits, 1)) == [0, 1, 2]
    assert kept(top_p_filter(logits, LAST_BELOW_ONE)) == [0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_min_p_sees_what_no_probability_can_hold(dtype):
    logits = np.asarray([3e4, 3e4 - 672, 3e4 - 704, -3e4], dtype)  # exact in float16
    assert kept(min_p_filter(logits, 1e-300)) == [0, 1]  # log 1e-300 = -690.8
    assert kept(min_p_filter(logits, 0)) == [0, 1, 2, 3]


@given(hnp.arrays(float, (2, 6), elements=SCORES), st.data())
def test_every_filter_keeps_the_most_probable_and_changes_no_logit_it_keeps(x, data):
    filtered = data.draw(
        st.sampled_from(
            [
                top_k_filter(x, data.draw(st.integers(1, 7))),
                top_p_filter(x, data.draw(st.floats(1e-300, 1))),
                min_p_filter(x, data.draw(st.floats(0, 1))),
            ]
        )
    )
    assert np.all((filtered == x) | (filtered == -INF))
    assert np.array_equal(np.argmax(filtered, axis=-1), np.argmax(x, axis=-1))
    left_out = np.where(filtered == -INF, scipy.special.softmax(x, axis=-1), 0)
    close(mass_left_out(x, filtered), np.sum(left_out, axis=-1))


def test_what_was_left_out_before_stays_out():
    logits = np.asarray([-INF, 1.0, 0.0])
    for filtered in (
        top_k_filter(logits, 3),
        top_p_filter(logits, 1.0),
        min_p_filter(logits, 0.0),
    ):
        assert filtered.tolist() == logits.tolist()
        assert mass_left_out(logits, filtered) == 0


def test_a_small_mass_left_out_keeps_its_digits():
    logits = np.asarray([0.0, -40.0, -41.0])
    mass = mass_left_out(logits, top_k_filter(logits, 1))
    close(mass * np.exp(40), 1 + np.exp(-1))
    assert np.sum(scipy.special.softmax(logits)[:1]) == 1  # so 1 - kept would be 0


# Drawing


class Fixed(np.random.Generator):
    """A generator that always gives the same number."""

    def __init__(self, number):
        super().__init__(np.random.PCG64())
        self.number = number

    def random(self, size=None):
        return np.full(size, self.number)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_k": 3},
        {"top_p": 0.8},
        {"min_p": 0.15},
        {"temperature": 1.5, "top_k": 4, "top_p": 0.9, "min_p": 0.3},
        {"temperature": 3.0, "top_k": 5, "top_p": 0.8},
    ],
)
def test_tokens_come_as_often_as_transformers_says(rng, choices):
    logits, n = np.asarray([0.3, -1.0, 1.2, -INF, 0.0, 0.9, -0.4]), 20_000
    warpers = {
        "temperature": transformers.TemperatureLogitsWarper,
        "top_k": transformers.TopKLogitsWarper,
        "top_p": transformers.TopPLogitsWarper,
        "min_p": transformers.MinPLogitsWarper,
    }
    scores = torch.from_numpy(logits)[None]
    for name, number in choices.items():
        scores = warpers[name](number)(None, scores)
    expected = n * scores.softmax(-1)[0].numpy()
    tokens = sample(np.broadcast_to(logits, (n, 7)), rng, **choices)
    counts = np.bincount(tokens, minlength=7)
    possible = expected > 0
    assert np.sum(counts[~possible]) == 0
    assert scipy.stats.chisquare(counts[possible], expected[possible]).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("u", [0.0, 0.5, LAST_BELOW_ONE])
@given(data=st.data())
def test_an_impossible_token_is_never_drawn(dtype, u, data):
    elements = st.just(-INF) | st.floats(-1e4, 1e4)
    logits = data.draw(hnp.arrays(float, (4, 7), elements=elements)).astype(dtype)
    # One token at least is possible.
    logits[:, data.draw(st.integers(0, 6))] = data.draw(st.floats(-1e4, 1e4))
    tokens = sample(logits, Fixed(u))
    drawn = temperature_softmax(logits.astype(float))[np.arange(4), tokens]
    assert np.all(drawn > 0)


def test_the_two_ends_of_the_unit_interval_give_the_first_and_last_possible_token():
    logits = np.asarray([-INF, -INF, 0.1, 0.7, -INF, 0.3, -INF])
    assert sample(logits, Fixed(0.0)) == 2
    assert sample(logits, Fixed(LAST_BELOW_ONE)) == 5


def test_sums_that_a_parallel_machine_rounds_apart_give_no_impossible_token(
    monkeypatch,
):
    class Parallel:
        def __getattr__(self, name):
            return getattr(np, name)

        def cumulative_sum(self, x, axis):
            return np.cumulative_sum(x, axis=axis) + np.asarray([0, 1e-15, 0, 1e-15])

    monkeypatch.setattr(sampling, "array_namespace", lambda *arrays: Parallel())
    logits = np.asarray([0.0, -INF, 0.0, -INF])
    assert sample(logits, Fixed(0.5)) == 2
    assert sample(logits, Fixed(LAST_BELOW_ONE)) == 2


def test_sample_inverts_the_cumulative_sum():
    logits = np.log([0.25, 0.5, 0.25])
    for u, token in [(0.2499, 0), (0.2501, 1), (0.7499, 1), (0.7501, 2)]:
        assert sample(logits, Fixed(u)) == token


def test_tokens_too_rare_for_a_float32_sum_keep_their_chance():
    logits = np.full(20_001, np.log(1e-8), np.float32)
    logits[0] = 0
    # The 20,000 rare ones hold 0.0002; halfway through them stands number 10,000.
    assert abs(int(sample(logits, Fixed(1 - 0.0001))) - 10_000) <= 5


def test_sample_takes_one_number_for_each_row_whatever_the_filters(rng):
    logits = rng.normal(size=(2, 3, 5))
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    together = sample(logits, one, temperature=0.7, top_k=4, top_p=0.9, min_p=0.01)
    apart = [
        sample(row, other, temperature=0.7, top_k=4, top_p=0.9, min_p=0.01)
        for row in logits.reshape(6, 5)
    ]
    assert together.shape == (2, 3)
    assert together.ravel().tolist() == apart
    sample(logits, one)
    other.random(6)
    assert one.random() == other.random()


def test_top_k_of_one_is_greedy_and_takes_the_lower_of_equal_ids(rng):
    assert sample(np.asarray([0.0, 2.0, 1.0, 2.0]), rng, top_k=1) == 1
    logits = rng.normal(size=(50, 9))
    greedy = sample(logits, rng, temperature=30.0, top_k=1)
    assert np.array_equal(greedy, np.argmax(logits, axis=-1))


@pytest.mark.parametrize("convert", OTHER_LIBRARIES)
def test_the_same_seed_draws_the_same_tokens_on_every_library(rng, convert):
    logits = rng.normal(size=(6, 5, 8))
    choices = {"temperature": 0.8, "top_k": 7, "top_p": 0.95, "min_p": 0.05}
    expected = sample(logits, np.random.default_rng(2), **choices)
    actual = sample(convert(logits), np.random.default_rng(2), **choices)
    assert type(actual) is type(convert(logits))
    close(actual, expected)


# Texts


CONFIG = GPTConfig(vocab_size=11, n_positions=8, d_model=12, n_layers=2, n_heads=3)


@pytest.fixture
def params(rng):
    """Weights large enough for every token and position to matter."""
    return {
        name: array + 0.4 * rng.normal(size=array.shape)
        for name, array in init_gpt(CONFIG, rng, dtype=np.float64).items()
    }


def generate_by_loops(params, text, n_tokens, rng, **choices):
    for _ in range(n_tokens):
        logits = gpt(params, text[..., -CONFIG.n_positions :], CONFIG)[..., -1, :]
        token = sample(logits, rng, **choices)
        text = np.concatenate([text, token[..., None]], axis=-1)
    return text


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("shape", [(1,), (3,), (8,), (11,), (2, 3), (2, 1, 8)])
@pytest.mark.parametrize(
    "choices", [{}, {"temperature": 1.7, "top_k": 9, "top_p": 0.95, "min_p": 0.01}]
)
def test_generate_equals_the_definition_across_the_windows_end(
    params, rng, shape, use_cache, choices
):
    prompt = rng.integers(11, size=shape)
    expected = generate_by_loops(
        params, prompt, 12, np.random.default_rng(4), **choices
    )
    text = generate(
        params,
        prompt,
        CONFIG,
        12,
        np.random.default_rng(4),
        **choices,
        use_cache=use_cache,
    )
    assert text.dtype == np.int64
    assert np.array_equal(text, expected)


def test_the_cache_changes_the_work_and_not_the_logits(params, rng, monkeypatch):
    n_read, logits = [], []

    def recording_residual(config, params, tokens, cache):
        n_read.append(tokens.shape[-1])
        return residual(config, params, tokens, cache)

    def recording_sample(row, *args, **kwargs):
        logits.append(row)
        return sample(row, *args, **kwargs)

    monkeypatch.setattr(sampling, "residual", recording_residual)
    monkeypatch.setattr(sampling, "sample", recording_sample)
    prompt = rng.integers(11, size=(2, 3))
    for use_cache in (True, False):
        seeded = np.random.default_rng(5)
        generate(params, prompt, CONFIG, 9, seeded, use_cache=use_cache)
    # Eight positions: 3 + 5 fit, and from then on the window moves.
    assert n_read[:9] == [3, 1, 1, 1, 1, 1, 8, 8, 8]
    assert n_read[9:] == [3, 4, 5, 6, 7, 8, 8, 8, 8]
    close(np.stack(logits[:9]), np.stack(logits[9:]), 1e-12)


def test_greedy_generation_equals_transformers(rng):
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=29,
            n_positions=32,
            n_embd=12,
            n_layer=2,
            n_head=3,
            initializer_range=0.5,
            bos_token_id=0,
            eos_token_id=None,
        )
    )
    model = model.double().eval()
    params, config = load_gpt2(model)
    prompt = rng.integers(29, size=(3, 4))
    expected = model.generate(
        torch.from_numpy(prompt),
        attention_mask=torch.ones(3, 4, dtype=torch.int64),
        max_new_tokens=28,
        do_sample=False,
        pad_token_id=0,
    )
    for use_cache in (True, False):
        text = generate(params, prompt, config, 28, rng, top_k=1, use_cache=use_cache)
        assert np.array_equal(text, expected.numpy())
    assert len(np.unique(text)) > 10  # or it would show little


@pytest.mark.parametrize("convert", OTHER_LIBRARIES)
def test_generate_writes_the_same_text_on_every_library(params, convert):
    prompt = np.asarray([[1, 2, 3], [4, 5, 6]], np.int32)
    expected = generate(params, prompt, CONFIG, 9, np.random.default_rng(6))
    converted = {name: convert(array) for name, array in params.items()}
    for tokens in (prompt, convert(prompt)):
        text = generate(converted, tokens, CONFIG, 9, np.random.default_rng(6))
        assert type(text) is type(convert(prompt))
        close(text, expected)


def test_stream_yields_what_generate_collects_and_has_no_end(params, rng):
    prompt = rng.integers(11, size=(2, 3))
    text = generate(params, prompt, CONFIG, 20, np.random.default_rng(7), top_p=0.9)
    tokens = stream(params, prompt, CONFIG, np.random.default_rng(7), top_p=0.9)
    close(np.stack(list(islice(tokens, 20)), axis=-1), text[:, 3:])
    assert next(tokens).shape == (2,)


def test_a_stream_computes_nothing_before_it_is_asked(params, monkeypatch):
    monkeypatch.setattr(sampling, "residual", None)
    seeded = np.random.default_rng(8)
    stream(params, np.asarray([1]), CONFIG, seeded)
    assert seeded.random() == np.random.default_rng(8).random()


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(11, 8, 12, 2, 6, d_ff=7, n_kv_heads=2),
        RecurrentConfig(11, 8, 12, "rnn"),
        RecurrentConfig(11, 8, 12, "lstm"),
    ],
)
def test_every_model_generates_the_same_with_the_cache_and_without(rng, config):
    params = {n: 5 * a for n, a in init(config, rng, np.float64).items()}
    prompt = rng.integers(11, size=(2, 3))
    texts = [
        generate(
            params, prompt, config, 9, np.random.default_rng(5), use_cache=use_cache
        )
        for use_cache in (True, False)
    ]
    assert np.array_equal(*texts)
    # By hand: a recurrent model sees everything, a Transformer the last eight.
    row, drawn = prompt, np.random.default_rng(5)
    for _ in range(9):
        seen = row if isinstance(config, RecurrentConfig) else row[:, -8:]
        token = sample(forward(config, params, seen)[:, -1], drawn)
        row = np.concatenate([row, token[:, None]], axis=1)
    assert np.array_equal(row, texts[0])


def test_no_tokens_asked_for_gives_the_prompt(params, rng):
    prompt = np.asarray([3, 1, 4])
    assert generate(params, prompt, CONFIG, 0, rng).tolist() == [3, 1, 4]


# Divergence


@given(hnp.arrays(float, (2, 3, 4), elements=SCORES), st.sampled_from([0, 1, -1]))
def test_kl_divergence_equals_scipy(x, axis):
    p, q = scipy.special.softmax(x, axis=axis + (axis >= 0))
    expected = scipy.special.rel_entr(p, q).sum(axis)
    close(kl_divergence(p, q, axis), expected, 1e-12)
    close(kl_divergence(p, q, axis), scipy.stats.entropy(p, q, axis=axis), 1e-12)
    assert np.all(kl_divergence(p, q, axis) >= -1e-14)
    assert np.all(kl_divergence(p, p, axis) == 0)


def test_kl_divergence_compares_many_beliefs_with_one_truth(rng):
    truth, beliefs = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5), size=(2, 3))
    expected = scipy.special.rel_entr(truth, beliefs).sum(-1)
    close(kl_divergence(truth, beliefs), expected)
    assert kl_divergence(beliefs, truth).shape == (2, 3)


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        ([0.5, 0.5, 0.0], [0.25, 0.25, 0.5], np.log(2)),
        ([1.0, 0.0], [1.0, 0.0], 0.0),
        ([0.5, 0.5], [1.0, 0.0], INF),
        ([1.0, 0.0], [0.0, 1.0], INF),
        ([1.0, 0.0], [1e-320, 1.0], -np.log(1e-320)),  # their quotient overflows
    ],
)
def test_kl_divergence_at_zero(p, q, expected):
    close(kl_divergence(np.asarray(p), np.asarray(q)), expected)


@pytest.mark.parametrize("to", [np.asarray, LIBRARIES["torch"], Tensor])
def test_the_divergence_of_many_float16_probabilities_is_added_up_in_float32(to):
    n = 2**16
    p = to(np.full(n, 1 / n, np.float16))
    q = to(np.full(n, 2 / n, np.float16))  # sums to two, which makes the answer known
    divergence = kl_divergence(p, q)
    assert divergence.dtype == p.dtype
    close(divergence, -np.log(2), 1e-3)


def test_the_gradient_of_the_divergence_is_finite_at_zero():
    p = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.2, 0.8, 0.0], dtype=torch.float64, requires_grad=True)
    kl_divergence(p, q).backward()
    close(q.grad, [-0.5 / 0.2, -0.5 / 0.8, 0.0])
    close(p.grad, [np.log(0.5 / 0.2) + 1, np.log(0.5 / 0.8) + 1, 0.0])


# Bad input


def zeros(*shape):
    return np.zeros(shape)


def row(*logits):
    return np.asarray(logits, float)


def text(*, tokens=(1, 2), n_tokens=1, call=generate, rng=None, **choices):
    params = init_gpt(CONFIG, np.random.default_rng(0))
    rng = np.random.default_rng(0) if rng is None else rng
    counts = (n_tokens,) if call is generate else ()
    return call(params, np.asarray(tokens), CONFIG, *counts, rng, **choices)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: temperature_softmax([1.0]), "logits must be an array of floating-point numbers, got list"),
        (TypeError, lambda: temperature_softmax(np.arange(3)), "logits must be .* got dtype int64"),
        (ValueError, lambda: temperature_softmax(zeros(3), 0), "temperature must be a finite number above 0, got 0"),
        (ValueError, lambda: temperature_softmax(zeros(3), -1.0), "temperature must be .* got -1.0"),
        (ValueError, lambda: temperature_softmax(zeros(3), np.nan), "temperature must be .* got nan"),
        (ValueError, lambda: temperature_softmax(zeros(3), INF), "temperature must be .* got inf"),
        (ValueError, lambda: temperature_softmax(zeros(2, 0)), r"logits must have shape \(..., vocab_size\) .* got shape \(2, 0\)"),
        (ValueError, lambda: temperature_softmax(zeros()), r"logits must have shape .* got shape \(\)"),
        (ValueError, lambda: temperature_softmax(row(0, np.nan)), "finite largest entry and no NaN in each row, got 1 of 1 rows without"),
        (ValueError, lambda: top_k_filter(np.asarray([row(0, 1), row(0, INF)]), 1), "logits must .* got 1 of 2 rows"),
        (ValueError, lambda: top_p_filter(row(-INF, -INF), 0.5), "logits must have a finite largest entry"),
        (ValueError, lambda: min_p_filter(row(np.nan, 0), 0.5), "logits must have a finite largest entry"),
        (ValueError, lambda: mass_left_out(row(np.nan, 0), zeros(2)), "logits must have a finite largest entry"),
        (ValueError, lambda: top_k_filter(zeros(3), 0), "k must be an integer of at least 1, got 0"),
        (ValueError, lambda: top_k_filter(zeros(3), -1), "k must be an integer of at least 1, got -1"),
        (ValueError, lambda: sample(zeros(3), RNG, top_k=-1), "top_k must be an integer of at least 1, got -1"),
        *[
            (ValueError, lambda axis=axis: kl_divergence(zeros(2), zeros(2), axis), f"axis must be one of the 1 axes of p and q, got {axis}")
            for axis in (None, 0.5, 1)
        ],
        (TypeError, lambda: generate(None, np.ones(1, int), CONFIG, 1, RNG), "params must be a dict of arrays, got NoneType"),
        (ValueError, lambda: generate({}, np.ones(1, int), CONFIG, 1, RNG), "params must have the names of this model, got .* missing"),
        (ValueError, lambda: top_k_filter(zeros(3), 1.5), "k must be an integer of at least 1, got 1.5"),
        (ValueError, lambda: top_p_filter(zeros(3), 0), "p must be a number above 0 and at most 1, got 0"),
        (ValueError, lambda: top_p_filter(zeros(3), 1.1), "p must be .* got 1.1"),
        (ValueError, lambda: top_p_filter(zeros(3), np.nan), "p must be .* got nan"),
        (ValueError, lambda: top_p_filter(zeros(3), None), "p must be .* got None"),
        (ValueError, lambda: min_p_filter(zeros(3), -0.1), "min_p must be a number from 0 to 1, got -0.1"),
        (ValueError, lambda: min_p_filter(zeros(3), 1.1), "min_p must be .* got 1.1"),
        (ValueError, lambda: min_p_filter(zeros(3), np.nan), "min_p must be .* got nan"),
        (ValueError, lambda: mass_left_out(zeros(3), zeros(2, 3)), r"same shape, got \(3,\) and \(2, 3\)"),
        (TypeError, lambda: mass_left_out(zeros(3), np.arange(3)), "filtered must be .* got dtype int64"),
        (ValueError, lambda: sample(row(np.nan, 0), RNG), "logits must have a finite largest entry"),
        (ValueError, lambda: sample(row(-INF), RNG), "logits must have a finite largest entry"),
        (TypeError, lambda: sample(np.arange(3), RNG), "logits must be .* got dtype int64"),
        (TypeError, lambda: sample(zeros(3), 0), "rng must be a numpy.random.Generator, got int"),
        (ValueError, lambda: sample(zeros(3), RNG, temperature=0.0), "temperature must be .* got 0.0"),
        (ValueError, lambda: sample(zeros(3), RNG, top_k=0), "top_k must be .* got 0"),
        (ValueError, lambda: sample(zeros(3), RNG, top_p=0.0), "top_p must be .* got 0.0"),
        (ValueError, lambda: sample(zeros(3), RNG, min_p=2), "min_p must be .* got 2"),
        (ValueError, lambda: text(tokens=zeros(0).astype(int)), r"tokens must hold at least one token, got shape \(0,\)"),
        (ValueError, lambda: text(tokens=3), r"tokens must hold at least one token, got shape \(\)"),
        (ValueError, lambda: text(tokens=(1, 11)), "tokens must lie between 0 and 10, got 11"),
        (ValueError, lambda: text(tokens=(-1, 1), n_tokens=0), "tokens must lie between 0 and 10, got -1"),
        (TypeError, lambda: text(tokens=(1.0, 2.0)), "tokens must be an array of integers, got dtype float64"),
        (ValueError, lambda: text(n_tokens=-1), "n_tokens must be an integer of at least 0, got -1"),
        (ValueError, lambda: text(n_tokens=1.0), "n_tokens must be an integer of at least 0, got 1.0"),
        (TypeError, lambda: text(rng=7), "rng must be a numpy.random.Generator, got int"),
        (ValueError, lambda: text(call=stream, tokens=(1, 11)), "tokens must lie between 0 and 10, got 11"),
        (ValueError, lambda: text(call=stream, temperature=0), "temperature must be .* got 0"),
        (ValueError, lambda: text(call=stream, top_k=0), "top_k must be .* got 0"),
        (TypeError, lambda: text(call=stream, rng=7), "rng must be a numpy.random.Generator, got int"),
        (TypeError, lambda: kl_divergence([1.0], row(1)), "p must be .* got list"),
        (TypeError, lambda: kl_divergence(row(1), np.asarray([1])), "q must be .* got dtype int64"),
        (ValueError, lambda: kl_divergence(row(-0.5, 1.5), row(0.5, 0.5)), "p must hold probabilities, but not all of it is 0 or more"),
        (ValueError, lambda: kl_divergence(row(0.5, 0.5), row(np.nan, 1)), "q must hold probabilities"),
        (ValueError, lambda: kl_divergence(zeros(3), zeros(4)), r"shapes that broadcast, got \(3,\) and \(4,\)"),
        (ValueError, lambda: kl_divergence(zeros(3), zeros(2, 3), axis=2), "axis must be one of the 2 axes of p and q, got 2"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
