"""Training against torch, SciPy, mpmath and transformers, and by hand."""

import copy
import math

import mpmath
import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from libraries import LIBRARIES, close, convert, leaves, numpy
from transformers import (
    get_cosine_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
)

from lmmath.attention import entropy, softmax, softmax_jacobian
from lmmath.autodiff import Tensor
from lmmath.training import (
    adamw_init,
    adamw_update,
    clip_by_global_norm,
    cosine_schedule,
    cross_entropy,
    cross_entropy_gradient,
    global_norm,
    sgd_update,
    token_losses,
)

LOGITS = st.floats(-1e4, 1e4, allow_subnormal=False)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)
ENTRIES = hnp.arrays(float, SHAPES, elements=st.floats(-1e3, 1e3))
GRADIENTS = st.dictionaries(st.sampled_from("abc"), ENTRIES, min_size=1)


@pytest.fixture
def rng():
    return np.random.default_rng(6)


@st.composite
def logits_and_targets(draw):
    logits = draw(hnp.arrays(float, SHAPES, elements=LOGITS))
    *positions, vocab_size = logits.shape
    ids = st.integers(0, vocab_size - 1)
    return logits, draw(hnp.arrays(np.int64, tuple(positions), elements=ids))


# The loss


@given(logits_and_targets())
def test_the_losses_equal_torch_and_scipy(arrays):
    logits, targets = arrays
    correct = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    expected = scipy.special.logsumexp(logits, axis=-1) - correct
    close(token_losses(logits, targets), expected, 1e-11)
    reference = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits.reshape(-1, logits.shape[-1])),
        torch.from_numpy(targets.reshape(-1)),
    )
    close(cross_entropy(logits, targets), reference)


@given(logits_and_targets())
def test_the_gradient_equals_torch(arrays):
    logits, targets = arrays
    leaf = torch.from_numpy(logits).requires_grad_()
    torch.nn.functional.cross_entropy(
        leaf.reshape(-1, logits.shape[-1]), torch.from_numpy(targets.reshape(-1))
    ).backward()
    gradient = cross_entropy_gradient(logits, targets)
    close(gradient, leaf.grad)
    close(gradient.sum(-1), np.zeros(targets.shape))


def test_the_gradient_is_the_chain_rule_through_the_softmax(rng):
    logits, targets = rng.normal(size=(4, 5)), rng.integers(5, size=4)
    weights, one_hot = softmax(logits), np.eye(5)[targets]
    of_weights = -one_hot / weights / 4
    expected = of_weights[:, None, :] @ softmax_jacobian(weights)
    close(cross_entropy_gradient(logits, targets), expected[:, 0])


@pytest.mark.parametrize(
    "logits",
    [[0.0, 1e4, -1e4], [1e300, 1e300, 0.0], [3e4, 3e4 + 1e-3, 3e4 - 7], [-800.0] * 4],
)
def test_extreme_logits_give_the_losses_of_mpmath(logits):
    with mpmath.workdps(60):
        expected = [
            float(mpmath.log(sum(mpmath.exp(mpmath.mpf(y) - x) for y in logits)))
            for x in logits
        ]
    rows = np.tile(logits, (len(logits), 1))
    close(token_losses(rows, np.arange(len(logits))), expected, 1e-14)


def test_a_token_ruled_out_costs_infinity_and_the_others_nothing_more():
    logits = np.asarray([[0.0, -np.inf, 0.0]] * 2)
    close(token_losses(logits, np.asarray([2, 1])), [math.log(2), np.inf])
    close(cross_entropy_gradient(logits[:1], np.asarray([2])), [[0.5, 0.0, -0.5]])


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy, Tensor])
def test_float16_overflows_only_where_the_result_does(library):
    targets = np.arange(200) % 2
    logits = library(np.tile(np.asarray([1e4, -1e4], np.float16), (200, 1)))
    losses = token_losses(logits, targets)
    close(losses, 20_000.0 * targets)
    close(cross_entropy(logits, targets), 10_000.0)
    close(cross_entropy_gradient(logits, targets)[1, ...], [1 / 200, -1 / 200], 1e-5)
    assert losses.dtype == logits.dtype
    assert cross_entropy(logits, targets).dtype == logits.dtype
    assert cross_entropy_gradient(logits, targets).dtype == logits.dtype
    even = library(np.zeros((1, 70_000), np.float16))
    close(token_losses(even, np.asarray([5])), [math.log(70_000)], 1e-3)
    close(cross_entropy_gradient(even, np.asarray([5]))[0, 5], -1.0, 1e-3)


def test_a_loss_above_65504_is_infinite_in_float16_alone():
    logits = torch.tensor([6e4, -6e4])
    assert token_losses(logits, np.asarray(1)) == 120_000
    assert token_losses(logits.to(torch.float16), np.asarray(1)) == math.inf


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy, Tensor])
def test_targets_may_be_any_numpy_integers_even_read_only_or_a_view(rng, library):
    logits, targets = rng.normal(size=(2, 3, 7)), rng.integers(7, size=(2, 3))
    expected = cross_entropy(logits, targets)
    for dtype in ("uint8", "uint16", "int32", "uint64"):
        close(cross_entropy(library(logits), targets.astype(dtype)), expected)
    backwards = targets[:, ::-1].copy()[:, ::-1]
    backwards.setflags(write=False)
    close(cross_entropy(library(logits), backwards), expected)
    one = token_losses(library(logits[0, 0]), targets[0, 0])
    close(one, token_losses(logits, targets)[0, 0])


@given(
    hnp.arrays(float, 4, elements=st.floats(-20, 20)),
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
)
def test_no_prediction_gets_below_the_entropy_of_the_targets(logits, targets):
    frequencies = np.bincount(targets, minlength=4) / len(targets)
    floor = entropy(frequencies)
    rows = np.tile(logits, (len(targets), 1))
    assert cross_entropy(rows, np.asarray(targets)) >= floor - 1e-13
    possible = frequencies > 0
    truth = np.where(possible, np.log(np.where(possible, frequencies, 1)), -np.inf)
    rows = np.tile(truth, (len(targets), 1))
    close(cross_entropy(rows, np.asarray(targets)), floor)


@given(hnp.arrays(float, (2, 5), elements=st.floats(-50, 50)))
def test_the_expected_loss_is_the_entropy_plus_the_divergence(logits):
    truth, believed = softmax(logits)
    expected = np.sum(truth * token_losses(np.tile(logits[1], (5, 1)), np.arange(5)))
    divergence = np.sum(scipy.special.rel_entr(truth, believed))
    close(expected, entropy(truth) + divergence, 1e-12)


# The steps


def some_params(rng):
    shapes = {"w": (3, 4), "b": (4,), "gain": (2, 1, 3)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def torch_steps(optimizer, leaves, gradients, rates):
    for step, rate in zip(gradients, rates, strict=True):
        for name, leaf in leaves.items():
            leaf.grad = torch.from_numpy(step[name])
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    return [leaf.detach() for leaf in leaves.values()]


def leaf_tensors(params):
    return {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.95), (0.0, 0.9), (0.9, 0.0)])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 2.0])
def test_adamw_equals_torch_over_many_steps(rng, betas, eps, weight_decay):
    params = some_params(rng)
    gradients = [some_params(rng) for _ in range(100)]
    rates = [cosine_schedule(s, 100, 0.1, n_warmup=10) for s in range(100)]
    options = {"betas": betas, "eps": eps}
    decay = {"weight_decay": weight_decay}
    mine, state = params, adamw_init(params)
    for step, rate in zip(gradients, rates, strict=True):
        mine, state = adamw_update(mine, step, state, rate, **options, **decay)
    assert state["step"] == 100
    theirs = leaf_tensors(params)
    optimizer = torch.optim.AdamW(theirs.values(), **options, **decay)
    expected = torch_steps(optimizer, theirs, gradients, rates)
    for one, other in zip(leaves(mine), expected, strict=True):
        close(one, other, 1e-13)
    if weight_decay == 0:
        theirs = leaf_tensors(params)
        optimizer = torch.optim.Adam(theirs.values(), **options)
        adam = torch_steps(optimizer, theirs, gradients, rates)
        for one, other in zip(leaves(mine), adam, strict=True):
            close(one, other, 1e-13)


def test_adamw_has_the_defaults_of_torch(rng):
    params, gradients = some_params(rng), [some_params(rng)] * 2
    mine, state = params, adamw_init(params)
    for step in gradients:
        mine, state = adamw_update(mine, step, state, 0.5)
    theirs = leaf_tensors(params)
    expected = torch_steps(
        torch.optim.AdamW(theirs.values()), theirs, gradients, [0.5, 0.5]
    )
    for one, other in zip(leaves(mine), expected, strict=True):
        close(one, other)


def test_only_the_decayed_names_decay(rng):
    params, gradients = some_params(rng), [some_params(rng) for _ in range(5)]
    mine, state = params, adamw_init(params)
    for step in gradients:
        mine, state = adamw_update(
            mine, step, state, 0.1, weight_decay=0.5, decayed={"w"}
        )
    theirs = leaf_tensors(params)
    groups = [
        {"params": [theirs["w"]], "weight_decay": 0.5},
        {"params": [theirs["b"], theirs["gain"]], "weight_decay": 0.0},
    ]
    expected = torch_steps(torch.optim.AdamW(groups), theirs, gradients, [0.1] * 5)
    for one, other in zip(leaves(mine), expected, strict=True):
        close(one, other)
    nothing = adamw_update(params, step, adamw_init(params), 0.1, decayed=())[0]
    without = adamw_update(params, step, adamw_init(params), 0.1, weight_decay=0)[0]
    for one, other in zip(leaves(nothing), leaves(without), strict=True):
        close(one, other)


@pytest.mark.parametrize(
    ("bias_correction", "length"),
    [(True, 1.0), (False, (1 - 0.9) / math.sqrt(1 - 0.999))],
)
def test_the_first_step_is_3_16_times_as_long_without_bias_correction(
    bias_correction, length
):
    theta, gradient = {"w": np.zeros(3)}, {"w": np.asarray([2.0, -0.5, 1e3])}
    theta, _ = adamw_update(
        theta,
        gradient,
        adamw_init(theta),
        0.01,
        eps=1e-15,
        bias_correction=bias_correction,
    )
    close(theta["w"], [-0.01 * length, 0.01 * length, -0.01 * length])
    assert bias_correction or round(length, 2) == 3.16


def test_bias_correction_is_a_change_of_learning_rate_and_epsilon(rng):
    """Kingma and Ba (2015), the remark at the end of section 2."""
    params, (beta1, beta2) = some_params(rng), (0.8, 0.97)
    corrected, plain = [(params, adamw_init(params))] * 2
    for t in range(1, 20):
        gradients, longer = some_params(rng), math.sqrt(1 - beta2**t)
        corrected = adamw_update(
            corrected[0], gradients, corrected[1], 0.1, (beta1, beta2), 1e-3, 0.0
        )
        plain = adamw_update(
            plain[0],
            gradients,
            plain[1],
            0.1 * longer / (1 - beta1**t),
            (beta1, beta2),
            1e-3 * longer,
            0.0,
            bias_correction=False,
        )
    for one, other in zip(leaves(corrected[0]), leaves(plain[0]), strict=True):
        close(one, other)


@given(
    hnp.arrays(float, 5, elements=st.floats(1e-3, 10) | st.floats(-10, -1e-3)),
    st.floats(1e-3, 1e3),
)
def test_adam_ignores_the_size_of_the_gradients(gradient, factor):
    theta = {"w": np.zeros(5)}
    steps = [
        adamw_update(theta, {"w": g}, adamw_init(theta), 0.1, eps=1e-15)[0]["w"]
        for g in (gradient, gradient * factor)
    ]
    close(*steps, 1e-8)
    close(steps[0], -0.1 * np.sign(gradient), 1e-8)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy, Tensor])
@pytest.mark.parametrize("size", [0.0, 1e-7, 1e-3, 300.0, 6e4])
def test_steps_in_float16_neither_overflow_nor_divide_zero_by_zero(library, size):
    # The rate is a power of two, so that float16 holds the sums exactly.
    params = {"w": np.asarray([1.0, -1.0], np.float16)}
    gradients = {"w": (size * np.asarray([1.0, -1.0])).astype(np.float16)}
    theta, exact = convert(params, library), convert(params, np.float64)
    state, exact_state = adamw_init(theta), adamw_init(exact)
    for _ in range(3):
        step, exact_step = convert(gradients, library), convert(gradients, np.float64)
        theta, state = adamw_update(theta, step, state, 0.125)
        exact, exact_state = adamw_update(exact, exact_step, exact_state, 0.125)
    close(theta["w"], exact["w"], 2e-3)
    moved, velocity = sgd_update(theta, step, None, 0.125, momentum=0.5)
    assert str(theta["w"].dtype).endswith("float16")
    assert str(moved["w"].dtype).endswith("float16")
    begun = adamw_init(theta)
    for wide in (begun["m"], begun["v"], state["m"], state["v"], velocity):
        assert str(wide["w"].dtype).endswith("float32")


def test_numpy_numbers_do_not_widen_float32():
    theta = gradients = {"w": np.ones(3, np.float32)}
    state = {**adamw_init(theta), "step": np.asarray(4)}
    rate, betas = np.float64(0.1), (np.float64(0.9), np.float64(0.99))
    theta, state = adamw_update(theta, gradients, state, rate, betas, weight_decay=rate)
    moved, velocity = sgd_update(theta, gradients, None, rate, rate)
    clipped, norm = clip_by_global_norm(gradients, rate)
    for part in (theta, state["m"], state["v"], moved, velocity, clipped):
        assert part["w"].dtype == np.float32
    assert norm.dtype == np.float32
    assert state["step"] == 5


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
def test_sgd_equals_torch_over_many_steps(rng, momentum):
    params, gradients = some_params(rng), [some_params(rng) for _ in range(50)]
    rates = rng.random(50)
    mine, velocity = params, None
    for step, rate in zip(gradients, rates, strict=True):
        mine, velocity = sgd_update(mine, step, velocity, rate, momentum)
    theirs = leaf_tensors(params)
    optimizer = torch.optim.SGD(theirs.values(), momentum=momentum)
    expected = torch_steps(optimizer, theirs, gradients, rates)
    for one, other in zip(leaves(mine), expected, strict=True):
        close(one, other)
    plain = sgd_update(params, step, None, 0.1)[0]
    close(plain["w"], params["w"] - 0.1 * step["w"])


def test_three_ways_to_differentiate_train_the_same_model(rng):
    """The same few lines in NumPy, in ``autodiff`` and in torch with its own optimizer."""
    x, targets = rng.normal(size=(20, 3)), rng.integers(4, size=20)
    params = {"w": rng.normal(size=(3, 4)), "b": np.zeros(4)}
    by_formula, by_tape = params, params
    state, tape_state = adamw_init(params), adamw_init(params)
    theirs = leaf_tensors(params)
    optimizer = torch.optim.AdamW(theirs.values(), lr=0.1, weight_decay=0.01)
    for _ in range(20):
        error = cross_entropy_gradient(x @ by_formula["w"] + by_formula["b"], targets)
        gradients = {"w": x.T @ error, "b": error.sum(axis=0)}
        gradients, _ = clip_by_global_norm(gradients, 1e9)
        by_formula, state = adamw_update(by_formula, gradients, state, 0.1)

        tensors = {name: Tensor(array) for name, array in by_tape.items()}
        cross_entropy(x @ tensors["w"] + tensors["b"], targets).backward()
        gradients = {name: tensor.grad for name, tensor in tensors.items()}
        by_tape, tape_state = adamw_update(by_tape, gradients, tape_state, 0.1)

        optimizer.zero_grad()
        logits = torch.from_numpy(x) @ theirs["w"] + theirs["b"]
        cross_entropy(logits, targets).backward()
        optimizer.step()
    for name in params:
        close(by_formula[name], theirs[name], 1e-12)
        close(by_tape[name], theirs[name], 1e-12)


def test_nothing_is_changed_in_place(rng):
    def call_all(to):
        params, gradients = convert(some_params(rng), to), convert(some_params(rng), to)
        state = adamw_init(params)
        for _ in range(2):
            arguments = params, gradients, state
            before = copy.deepcopy(arguments)
            updated, state = adamw_update(*arguments, 0.1)
            _, velocity = sgd_update(params, gradients, state["m"], 0.0, 0.0)
            clipped, _ = clip_by_global_norm(gradients, 1e9)
            for one, other in zip(leaves(arguments), leaves(before), strict=True):
                assert one is other or bool((one == other).all())
            for new in (updated, velocity, clipped):
                assert not set(map(id, new.values())) & set(map(id, leaves(arguments)))

    call_all(np.asarray)
    call_all(torch.from_numpy)


# The schedule


@pytest.mark.parametrize(("n_steps", "n_warmup"), [(1, 0), (10, 0), (50, 7), (9, 9)])
def test_the_schedule_equals_transformers(n_steps, n_warmup):
    parameter = torch.zeros(1, requires_grad=True)
    for floor in (0.0, 0.03, 0.3):
        optimizer = torch.optim.SGD([parameter], lr=0.3)
        to_zero = get_cosine_schedule_with_warmup(optimizer, n_warmup, n_steps)
        to_floor = get_cosine_with_min_lr_schedule_with_warmup(
            optimizer, n_warmup, n_steps, min_lr=floor
        )
        for step in range(n_steps + 1):
            rate = cosine_schedule(step, n_steps, 0.3, n_warmup, floor)
            assert type(rate) is float
            close(rate, 0.3 * to_floor.lr_lambdas[0](step))
            if floor == 0:
                close(cosine_schedule(step, n_steps, 0.3, n_warmup), rate)
                close(rate, 0.3 * to_zero.lr_lambdas[0](step))


@given(
    st.integers(1, 1000),
    st.floats(1e-6, 10),
    st.floats(0, 1),
    st.floats(0, 1),
    st.data(),
)
def test_the_schedule_rises_to_the_peak_and_falls_to_the_floor(
    n_steps, peak, lowest, warm, data
):
    n_warmup, floor = int(warm * (n_steps - 1)), lowest * peak
    step = data.draw(st.integers(0, n_steps - 1))
    now, next_one = (
        cosine_schedule(np.int64(s), n_steps, peak, n_warmup, floor)
        for s in (step, step + 1)
    )
    assert now <= next_one if step < n_warmup else next_one <= now * (1 + 1e-15)
    assert cosine_schedule(n_warmup, n_steps, peak, n_warmup, floor) == peak
    assert cosine_schedule(n_steps, n_steps, peak, n_warmup, floor) == floor
    halfway = (n_warmup + n_steps) / 2
    close(
        cosine_schedule(halfway, n_steps, peak, n_warmup, floor),
        (peak + floor) / 2,
    )


# The norm


@given(GRADIENTS)
def test_the_global_norm_equals_the_hypotenuse_and_torch(gradients):
    norm = global_norm(gradients)
    close(norm, math.hypot(*(x for g in gradients.values() for x in g.flat)))
    tensors = list(convert(gradients, torch.from_numpy).values())
    close(norm, torch.nn.utils.get_total_norm(tensors))


@given(GRADIENTS, st.floats(1e-3, 1e4))
def test_clipping_equals_torch_but_for_its_epsilon(gradients, max_norm):
    clipped, norm = clip_by_global_norm(gradients, max_norm)
    theirs = {name: torch.zeros(g.shape, dtype=float) for name, g in gradients.items()}
    for name, tensor in theirs.items():
        tensor.grad = torch.from_numpy(gradients[name].copy())
    close(norm, torch.nn.utils.clip_grad_norm_(theirs.values(), max_norm))
    # They multiply by min(1, max_norm / (norm + 1e-6)), we by min(1, max_norm / norm).
    factor = 1.0 if norm <= max_norm else max_norm / norm
    ratio = min(1, max_norm / (norm + 1e-6)) / factor
    for name, tensor in theirs.items():
        close(clipped[name] * ratio, tensor.grad, 1e-12)


@given(GRADIENTS, st.floats(1e-3, 1e4))
def test_clipped_gradients_keep_their_direction_and_short_ones_every_bit(
    gradients, max_norm
):
    clipped, norm = clip_by_global_norm(gradients, max_norm)
    after = global_norm(clipped)
    close(after, min(norm, max_norm), 1e-12)
    for name, gradient in gradients.items():
        close(clipped[name] * norm, gradient * after, 1e-9)
        assert norm > max_norm or np.array_equal(clipped[name], gradient)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (np.float16, 300), (np.float16, 1e-5), (np.float32, 1e30), (np.float32, 1e-30),
        (np.float64, 1e200), (np.float64, 1e-200), (np.float64, 1e-310),
    ],
)  # fmt: skip
@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy, Tensor])
def test_the_norm_neither_overflows_nor_vanishes_and_is_float32_at_least(
    library, dtype, size
):
    size = dtype(size)
    array = library(np.full((2, 8), size, dtype))
    norm = global_norm({"a": array, "b": array[0, :2]})
    close(norm / float(size), math.sqrt(18), 2e-3 if dtype == np.float16 else 1e-6)
    wide = library(
        np.zeros(1, max(dtype, np.float32, key=lambda d: d().itemsize))
    ).dtype
    assert norm.dtype == wide
    clipped, norm = clip_by_global_norm({"a": array}, float(size))
    assert norm.dtype == wide
    assert clipped["a"].dtype == array.dtype
    if size > 1e-300:
        close(clipped["a"] / float(size), np.full((2, 8), 0.25), 2e-3)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy, Tensor])
def test_a_norm_that_float16_does_not_hold_comes_in_float32(library):
    gradients = {"w": library(np.full(4, 6e4, np.float16))}
    close(global_norm(gradients), 1.2e5, 1e-3)
    clipped, norm = clip_by_global_norm(gradients, 2.0)
    close(norm, 1.2e5, 1e-3)
    close(clipped["w"], np.ones(4), 1e-3)


def test_a_norm_of_bfloat16_comes_in_float32():
    gradients = {"w": torch.full((70_000,), 1.0, dtype=torch.bfloat16)}
    clipped, norm = clip_by_global_norm(gradients, 1.0)
    assert norm.dtype == torch.float32
    close(norm, 70_000**0.5, 1e-6)
    assert clipped["w"].dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("max_norm", [1e-5, 1.0, 1e300])
def test_zero_gradients_and_high_limits_change_nothing(dtype, max_norm):
    zeros, threes = {"w": np.zeros(4, dtype)}, {"w": np.full(4, 3, dtype)}
    clipped, norm = clip_by_global_norm(zeros, max_norm)
    assert norm == 0
    close(clipped["w"], zeros["w"])
    clipped, norm = clip_by_global_norm(threes, max_norm)
    assert norm == 6
    close(clipped["w"], threes["w"] * min(1, max_norm / 6), 1e-2)


def test_gradients_of_two_precisions_keep_their_own():
    gradients = {"a": np.full(1, 3, np.float16), "b": np.full(1, 4, np.float64)}
    clipped, norm = clip_by_global_norm(gradients, 1.0)
    assert norm.dtype == np.float64
    assert {name: g.dtype for name, g in clipped.items()} == {
        name: g.dtype for name, g in gradients.items()
    }
    assert norm == 5


def test_the_global_norm_of_what_is_not_finite_is_not_finite():
    entries = np.asarray([1.0, np.inf]), np.asarray([1.0, np.nan]), np.ones(2)
    assert global_norm({"a": entries[0], "b": entries[2]}) == np.inf
    assert np.isnan(global_norm({"a": entries[0], "b": entries[1]}))


# Where not all positions count alike


def by_hand(logits, targets, weights):
    losses = token_losses(logits, np.where(weights > 0, targets, 0))
    counted = [
        (w, x) for w, x in zip(weights.ravel(), losses.ravel(), strict=True) if w
    ]
    return math.fsum(w * x for w, x in counted) / math.fsum(w for w, _ in counted)


@pytest.mark.parametrize("to", [np.asarray, *LIBRARIES.values()])
def test_targets_that_do_not_count_are_left_out_as_by_torch(to):
    rng = np.random.default_rng(4)
    logits, targets = rng.normal(size=(3, 4, 6)), rng.integers(6, size=(3, 4))
    targets[0, 2:] = targets[2, 0] = -100
    theirs = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(
        theirs.flatten(0, 1), torch.from_numpy(targets.ravel())
    )
    expected.backward()
    for weights in (
        targets >= 0,
        (targets >= 0).astype(np.float32),
        to((targets >= 0) * 2.0),
    ):
        close(cross_entropy(to(logits), targets, weights), expected)
        gradient = cross_entropy_gradient(to(logits), targets, weights)
        close(gradient, theirs.grad)
        assert not np.any(numpy(gradient)[targets < 0])


@pytest.mark.parametrize("to", [np.asarray, *LIBRARIES.values()])
def test_weights_weigh_the_mean(to):
    rng = np.random.default_rng(4)
    logits, targets = rng.normal(size=(3, 4, 6)), rng.integers(6, size=(3, 4))
    weights = rng.uniform(size=(3, 4))
    weights[1, 1] = 0
    expected = by_hand(logits, targets, weights)
    close(cross_entropy(to(logits), targets, to(weights)), expected)
    close(cross_entropy(to(logits), targets, weights), expected)
    close(
        cross_entropy(to(logits), targets, np.ones((3, 4))),
        cross_entropy(logits, targets),
    )
    x = Tensor(logits)
    cross_entropy(x, targets, weights).backward()
    close(cross_entropy_gradient(to(logits), targets, weights), x.grad)
    x = torch.tensor(logits, requires_grad=True)
    cross_entropy(x, targets, weights).backward()
    close(cross_entropy_gradient(to(logits), targets, weights), x.grad)


@pytest.mark.parametrize("to", [np.asarray, *LIBRARIES.values()])
def test_an_infinite_loss_that_does_not_count_changes_nothing(to):
    logits = np.asarray([[0.0, -np.inf], [1.0, 1.0], [-np.inf, -np.inf]])
    targets, weights = np.asarray([1, 0, 0]), np.asarray([False, True, False])
    close(cross_entropy(to(logits), targets, weights), math.log(2))
    close(
        cross_entropy_gradient(to(logits), targets, weights),
        [[0, 0], [-0.5, 0.5], [0, 0]],
    )
    close(token_losses(to(logits), targets), [np.inf, math.log(2), np.inf])


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy, Tensor])
def test_many_weights_are_added_up_in_float32(library):
    logits = library(np.zeros((70_000, 2), np.float16))
    weights = library(np.ones(70_000, np.float16))
    loss = cross_entropy(logits, np.zeros(70_000, int), weights)
    assert loss.dtype == logits.dtype
    close(loss, math.log(2), 1e-3)


@pytest.mark.parametrize("function", [cross_entropy, cross_entropy_gradient])
@pytest.mark.parametrize("to", [np.asarray, *LIBRARIES.values()])
@pytest.mark.parametrize(
    ("error", "targets", "weights", "message"),
    [
        (ValueError, [0, 1], [False, False], "weights must let at least one position count"),
        (ValueError, [0, 1], [0.0, 0.0], "weights must let at least one position count"),
        (ValueError, [0, 1], [1.0, -1.0], "weights must be finite and 0 or more"),
        (ValueError, [0, 1], [1.0, math.nan], "weights must be finite and 0 or more"),
        (ValueError, [0, 1], [1.0, math.inf], "weights must be finite and 0 or more"),
        (ValueError, [0, 3], [False, True], "targets must lie between 0 and 2, got 3"),
        (ValueError, [-100, 0], [True, False], "targets must lie between 0 and 2, got -100"),
        (ValueError, [0, 1], [True], r"weights must have the shape of targets, \(2,\), got \(1,\)"),
        (TypeError, [0, 1], [1, 0], "weights must be an array of booleans or .* got dtype int"),
        (TypeError, [0.0, 1.0], [True, True], "targets must be an array of integers, got dtype float64"),
    ],
)  # fmt: skip
def test_bad_weights_are_named(function, to, error, targets, weights, message):
    with pytest.raises(error, match=message):
        function(to(np.zeros((2, 3))), np.asarray(targets), np.asarray(weights))
    with pytest.raises(TypeError, match="weights must be an array of booleans"):
        function(to(np.zeros((2, 3))), np.asarray([0, 1]), [True, False])


# Bad input


def zeros(*shape):
    return {"w": np.zeros(shape)}


def adamw(params=None, gradients=None, state=None, learning_rate=0.1, **options):
    params = zeros(2) if params is None else params
    gradients = zeros(2) if gradients is None else gradients
    state = adamw_init(zeros(2)) if state is None else state
    return adamw_update(params, gradients, state, learning_rate, **options)


@pytest.mark.parametrize(
    "function", [token_losses, cross_entropy, cross_entropy_gradient]
)
@pytest.mark.parametrize(
    ("error", "logits", "targets", "message"),
    [
        (TypeError, [[1.0]], np.zeros(1, int), "logits must be an array of floating-point numbers, got list"),
        (TypeError, np.zeros((2, 3), int), np.zeros(2, int), "logits must be .* got dtype int64"),
        (TypeError, np.zeros((2, 3)), np.zeros(2), "targets must be an array of integers, got dtype float64"),
        (TypeError, np.zeros((2, 3)), [0, 1], "targets must be an array of integers, got list"),
        (TypeError, np.zeros((2, 3)), np.zeros(2, bool), "targets must be an array of integers, got dtype bool"),
        (ValueError, np.zeros((2, 3)), np.asarray([0, 3]), "targets must lie between 0 and 2, got 3"),
        (ValueError, np.zeros((2, 3)), np.asarray([0, -1]), "targets must lie between 0 and 2, got -1"),
        (ValueError, np.zeros((2, 3)), np.zeros(3, int), r"targets must have the shape of logits without its last axis, \(2,\), got \(3,\)"),
        (ValueError, np.zeros((2, 3)), np.zeros((2, 1), int), r"\(2,\), got \(2, 1\)"),
        (ValueError, np.zeros(()), np.zeros((), int), r"logits must have shape \(..., vocab_size\) and not be empty, got shape \(\)"),
        (ValueError, np.zeros((2, 0)), np.zeros(2, int), r"not be empty, got shape \(2, 0\)"),
        (ValueError, np.zeros((0, 3)), np.zeros(0, int), r"not be empty, got shape \(0, 3\)"),
    ],
)  # fmt: skip
def test_bad_logits_and_targets_are_named(function, error, logits, targets, message):
    with pytest.raises(error, match=message):
        function(logits, targets)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: adamw_init([np.zeros(2)]), "params must be a dict of arrays, got list"),
        (TypeError, lambda: adamw_init({"w": np.arange(2)}), r"params\['w'\] must be .* got dtype int64"),
        (TypeError, lambda: adamw(gradients={"w": None}), r"gradients\['w'\] must be an array of floating-point numbers, got NoneType"),
        (TypeError, lambda: adamw(params={"w": [0.0]}), r"params\['w'\] must be .* got list"),
        (ValueError, lambda: adamw(gradients={"b": np.zeros(2), "a": np.zeros(2)}), r"gradients must have the names of params, got missing names \['w'\] and unknown names \['a', 'b'\]"),
        (ValueError, lambda: adamw(gradients=zeros(1)), r"gradients\['w'\] must have shape \(2,\), got \(1,\)"),
        (ValueError, lambda: adamw(zeros(3), zeros(3)), r"state\['m'\]\['w'\] must have shape \(3,\), got \(2,\)"),
        (ValueError, lambda: adamw(state={**adamw_init(zeros(2)), "v": {}}), r"state\['v'\] must have the names of params, got missing names \['w'\] and unknown names \[\]"),
        (ValueError, lambda: adamw(state={"m": zeros(2)}), r"state must have the keys m, step and v, got \['m'\]"),
        *[
            (ValueError, lambda step=step: adamw(state={**adamw_init(zeros(2)), "step": step}), rf"state\['step'\] must be an integer of at least 0, got {step}")
            for step in (-1, 1.5, None)
        ],
        (TypeError, lambda: adamw(decayed="w"), "decayed must be a collection of names, got 'w'"),
        (ValueError, lambda: cosine_schedule(1, 10, 0.1, 1.5), "n_warmup must be an integer of at least 0, got 1.5"),
        (ValueError, lambda: cosine_schedule(1, 10, 0.1, -1), "n_warmup must be an integer of at least 0, got -1"),
        (ValueError, lambda: cosine_schedule(1, 1.5, 0.1), "n_steps must be an integer of at least 1, got 1.5"),
        (ValueError, lambda: adamw(state=3), "state must have the keys m, step and v, got int"),
        (ValueError, lambda: adamw(learning_rate=-0.1), "learning_rate must be a number of at least 0 and below inf, got -0.1"),
        (ValueError, lambda: adamw(learning_rate=math.nan), "learning_rate must be .* got nan"),
        (ValueError, lambda: adamw(learning_rate="0.1"), "learning_rate must be .* got '0.1'"),
        (ValueError, lambda: adamw(weight_decay=math.inf), "weight_decay must be .* got inf"),
        (ValueError, lambda: adamw(eps=0.0), "eps must be a finite number above 0, got 0.0"),
        (ValueError, lambda: adamw(betas=(0.9, 1.0)), r"betas\[1\] must be a number of at least 0 and below 1, got 1.0"),
        (ValueError, lambda: adamw(betas=(-0.9, 0.9)), r"betas\[0\] must be .* got -0.9"),
        (ValueError, lambda: adamw(betas=0.9), "betas must be a pair of numbers, got 0.9"),
        (ValueError, lambda: adamw(betas=(0.9,)), r"betas must be a pair of numbers, got \(0.9,\)"),
        (ValueError, lambda: adamw(decayed={"w", "x"}), r"decayed must hold names of params, got \['x'\]"),
        (TypeError, lambda: sgd_update(zeros(2), None, None, 0.1), "gradients must be a dict of arrays, got NoneType"),
        (TypeError, lambda: sgd_update(None, zeros(2), None, 0.1), "params must be a dict of arrays, got NoneType"),
        (ValueError, lambda: sgd_update(zeros(2), {}, None, 0.1), r"gradients must have the names of params, got missing names \['w'\]"),
        (ValueError, lambda: sgd_update(zeros(2), zeros(2), {}, 0.1), r"velocity must have the names of params, got missing names \['w'\]"),
        (ValueError, lambda: sgd_update(zeros(2), zeros(2), None, math.inf), "learning_rate must be .* got inf"),
        (ValueError, lambda: sgd_update(zeros(2), zeros(2), None, 0.1, 1.0), "momentum must be a number of at least 0 and below 1, got 1.0"),
        (ValueError, lambda: cosine_schedule(-1, 10, 0.1), "step must be a number from 0 to 10, got -1"),
        (ValueError, lambda: cosine_schedule(11, 10, 0.1), "step must be a number from 0 to 10, got 11"),
        (ValueError, lambda: cosine_schedule(math.nan, 10, 0.1), "step must be .* got nan"),
        (ValueError, lambda: cosine_schedule(np.arange(3), 10, 0.1), "step must be a number from 0 to 10, got array"),
        (ValueError, lambda: cosine_schedule(0, 0, 0.1), "n_steps must be an integer of at least 1, got 0"),
        (ValueError, lambda: cosine_schedule(0, 10, 0.0), "peak must be a finite number above 0, got 0.0"),
        (ValueError, lambda: cosine_schedule(0, 10, 0.1, 11), "n_warmup must be a number from 0 to 10, got 11"),
        (ValueError, lambda: cosine_schedule(0, 10, 0.1, floor=0.2), "floor must be a number from 0 to 0.1, got 0.2"),
        (ValueError, lambda: cosine_schedule(0, 10, 0.1, floor=-0.2), "floor must be a number from 0 to 0.1, got -0.2"),
        (TypeError, lambda: global_norm([np.zeros(2)]), "gradients must be a dict of arrays, got list"),
        (TypeError, lambda: clip_by_global_norm({"w": None}, 1.0), r"gradients\['w'\] must be .* got NoneType"),
        (ValueError, lambda: global_norm({}), "gradients must hold at least one array and no empty one, got shapes {}"),
        (ValueError, lambda: clip_by_global_norm(zeros(0), 1.0), r"and no empty one, got shapes {'w': \(0,\)}"),
        (ValueError, lambda: clip_by_global_norm(zeros(2), 0.0), "max_norm must be a finite number above 0, got 0.0"),
        (
            ValueError,
            lambda: clip_by_global_norm({"a": np.full(2, np.nan), "b": np.zeros(2), "c": np.full(2, -np.inf)}, 1.0),
            r"gradients must have a finite norm, got nan: not finite is what \['a', 'c'\] hold",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
