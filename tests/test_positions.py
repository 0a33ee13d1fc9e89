"""Positions against mpmath, complex numbers, literal loops and transformers."""

import math

import mpmath
import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from libraries import close
from transformers import LlamaConfig
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb as rotate_gptj
from transformers.models.gptj.modeling_gptj import create_sinusoidal_positions
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.llama.modeling_llama import (
    apply_rotary_pos_emb as rotate_llama,
)

from lmmath.attention import attention_weights, causal_mask
from lmmath.positions import (
    alibi_bias,
    alibi_slopes,
    cosine_and_sine,
    frequencies,
    offset_rotation,
    rotary_embedding,
    sinusoidal_encoding,
    turn_pairs,
)

EVEN = st.integers(1, 12).map(lambda half: 2 * half)
BASES = st.floats(1.5, 1e6)
OFFSETS = st.floats(-50, 50)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


# Sinusoids


@pytest.mark.parametrize("d_model", [2, 6, 8, 64])
@pytest.mark.parametrize("base", [10_000, 500.0, 1, 0.25])
def test_frequencies_and_encoding_equal_mpmath(d_model, base):
    with mpmath.workdps(50):
        speeds = [
            mpmath.mpf(base) ** (-mpmath.mpf(2 * i) / d_model)
            for i in range(d_model // 2)
        ]
        expected = [
            [function(p * speed) for speed in speeds for function in (mpmath.sin, mpmath.cos)]
            for p in range(30)
        ]  # fmt: skip
    close(frequencies(d_model, base), np.asarray(speeds, float), 1e-15)
    close(sinusoidal_encoding(30, d_model, base), np.asarray(expected, float))


def test_default_base_is_ten_thousand():
    assert np.array_equal(frequencies(6), frequencies(6, 10_000))
    assert np.array_equal(sinusoidal_encoding(5, 6), sinusoidal_encoding(5, 6, 1e4))
    assert np.array_equal(offset_rotation(3, 6), offset_rotation(3, 6, 1e4))
    x = np.ones((3, 6))
    assert np.array_equal(rotary_embedding(x), rotary_embedding(x, base=1e4))


def test_encoding_equals_gptj_with_its_columns_interleaved():
    sines, cosines = create_sinusoidal_positions(40, 8).chunk(2, dim=1)
    encoding = sinusoidal_encoding(40, 8)
    # transformers computes in float32.
    close(encoding[:, 0::2], sines, 1e-5)
    close(encoding[:, 1::2], cosines, 1e-5)


def test_each_base_gives_its_own_encoding_in_any_order_of_calls():
    small, large = (sinusoidal_encoding(4, 6, base) for base in (100, 10_000))
    close(small[1, 2], math.sin(100 ** (-1 / 3)))
    close(large[1, 2], math.sin(10_000 ** (-1 / 3)))
    assert np.array_equal(small, sinusoidal_encoding(4, 6, 100))


@given(st.integers(1, 40), EVEN, BASES)
def test_dot_product_of_encodings_depends_on_the_distance_only(n, d_model, base):
    encoding = sinusoidal_encoding(n, d_model, base)
    distances = np.arange(n)[:, None] - np.arange(n)
    expected = np.cos(distances[..., None] * frequencies(d_model, base)).sum(-1)
    close(encoding @ encoding.T, expected, 1e-12)
    close((encoding**2).sum(-1), d_model / 2, 1e-12)


@given(st.integers(0, 30), EVEN, BASES)
def test_the_same_rotation_moves_every_encoding(offset, d_model, base):
    encoding = sinusoidal_encoding(40, d_model, base)
    rotation = offset_rotation(offset, d_model, base)
    close(encoding[: 40 - offset] @ rotation, encoding[offset:], 1e-12)
    close(encoding[offset:] @ rotation.T, encoding[: 40 - offset], 1e-12)


@given(OFFSETS, OFFSETS, EVEN, BASES)
def test_rotations_are_orthogonal_and_add_up(a, b, d_model, base):
    one, other = offset_rotation(a, d_model, base), offset_rotation(b, d_model, base)
    close(one @ one.T, np.eye(d_model), 1e-12)
    close(one @ other, offset_rotation(a + b, d_model, base), 1e-12)
    close(one.T, offset_rotation(-a, d_model, base))


def test_offset_rotation_by_hand():
    # Frequencies 1 and 1/2: half a turn of the first clock is a quarter turn of the second.
    expected = [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]]
    close(offset_rotation(math.pi, 4, base=4), expected)
    assert np.array_equal(offset_rotation(0, 4), np.eye(4))


# Rotary embedding


def rotary_by_loops(x, positions, base):
    n, d_head = x.shape
    turned = np.zeros((n, d_head))
    for row in range(n):
        for i in range(d_head // 2):
            angle = positions[row] / base ** (2 * i / d_head)
            first, second = x[row, 2 * i], x[row, 2 * i + 1]
            turned[row, 2 * i] = first * math.cos(angle) - second * math.sin(angle)
            turned[row, 2 * i + 1] = first * math.sin(angle) + second * math.cos(angle)
    return turned


def rotary_by_complex_numbers(x, positions, base):
    d_head = x.shape[-1]
    numbers = x[..., 0::2] + 1j * x[..., 1::2]
    speeds = base ** (-2 * np.arange(d_head // 2) / d_head)
    turned = numbers * np.exp(1j * np.multiply.outer(positions, speeds))
    return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


@pytest.mark.parametrize("d_head", [2, 4, 10])
@pytest.mark.parametrize("base", [10_000, 7.0])
@pytest.mark.parametrize("positions", [None, [0, 3, -2, 1000], [0.5, 2.25, 1e3, -8.0]])
def test_rotary_equals_the_loops_and_the_complex_numbers(rng, d_head, base, positions):
    x = rng.normal(size=(2, 3, 4, d_head))
    where = np.arange(4) if positions is None else np.asarray(positions)
    actual = rotary_embedding(x, None if positions is None else where, base)
    close(actual, rotary_by_complex_numbers(x, where, base), 1e-12)
    close(actual[1, 2], rotary_by_loops(x[1, 2], where, base), 1e-12)


@pytest.mark.parametrize(
    ("x_shape", "shape"),
    [
        ((2, 3, 4), (2, 3)),
        ((2, 5, 3, 4), (2, 1, 3)),
        ((2, 3, 4), (2, 1)),
        ((3, 4), (3,)),
    ],
)
def test_rotary_takes_positions_of_each_text_of_a_batch(rng, x_shape, shape):
    x, positions = rng.normal(size=x_shape), rng.integers(100, size=shape)
    actual = rotary_embedding(x, positions, base=50.0)
    everywhere = np.broadcast_to(positions, x_shape[:-1])
    for place in np.ndindex(x_shape[:-1]):
        row = rotary_by_loops(x[place][None], everywhere[place][None], 50.0)
        close(actual[place], row[0], 1e-12)
    close(rotary_embedding(torch.from_numpy(x), positions, base=50.0), actual, 1e-12)


def test_pairs_turn_as_complex_numbers_do(rng):
    x, positions = rng.normal(size=(3, 6)), np.asarray([0.0, 2.5, 70.0])
    cosine, sine = cosine_and_sine(positions, d_head=6, base=50.0)
    turns = np.exp(1j * positions[:, None] * 50.0 ** (-np.arange(3) / 3))
    close(cosine + 1j * sine, turns)
    turned = turn_pairs(x, cosine, sine)
    close(
        turned[:, 0::2] + 1j * turned[:, 1::2], (x[:, 0::2] + 1j * x[:, 1::2]) * turns
    )
    for part in cosine_and_sine(positions, 6, like=torch.zeros(1, dtype=torch.float16)):
        assert part.dtype == torch.float16
        assert part.shape == (3, 3)


def test_rotary_equals_gptj(rng):
    x, positions = rng.normal(size=(2, 3, 5, 8)), np.asarray([4, 0, 9, 1, 7])
    angles = torch.from_numpy(np.outer(positions, frequencies(8)))[None]
    # GPT-J's axes are (batch, positions, heads, features).
    theirs = rotate_gptj(
        torch.from_numpy(x).transpose(1, 2), angles.sin(), angles.cos()
    )
    close(rotary_embedding(x, positions), theirs.transpose(1, 2))


def test_rotary_equals_llama_with_the_features_in_another_order(rng):
    x, positions = rng.normal(size=(2, 3, 5, 8)), np.asarray([4, 0, 9, 1, 7])
    halves = np.concatenate([np.arange(0, 8, 2), np.arange(1, 8, 2)])
    angles = torch.from_numpy(np.tile(np.outer(positions, frequencies(8)), 2))[None]
    shuffled = torch.from_numpy(x[..., halves])
    theirs, _ = rotate_llama(shuffled, shuffled, angles.cos(), angles.sin())
    close(rotary_embedding(x, positions)[..., halves], theirs)
    assert not np.allclose(rotary_embedding(x[..., halves], positions), theirs)


@pytest.mark.parametrize("base", [10_000.0, 500.0])
def test_rotary_angles_equal_llamas(base):
    rope = {"rope_type": "default", "rope_theta": base}
    config = LlamaConfig(hidden_size=8, num_attention_heads=1, rope_parameters=rope)
    cosines, sines = LlamaRotaryEmbedding(config)(
        torch.zeros(1, 1, 8), torch.arange(50)[None]
    )
    units = np.tile([1.0, 0.0], (50, 4))
    turned = rotary_embedding(units, base=base)
    # transformers computes the angles in float32.
    close(turned[:, 0::2], cosines[0, :, :4], 1e-5)
    close(turned[:, 1::2], sines[0, :, :4], 1e-5)


@given(OFFSETS, st.lists(OFFSETS, min_size=3, max_size=3), EVEN, BASES)
def test_rotary_scores_depend_on_the_distance_only(shift, positions, d_head, base):
    query, key = np.random.default_rng(d_head).normal(size=(2, 3, d_head))

    def scores(positions):
        rotated_key = rotary_embedding(key, positions, base)
        return rotary_embedding(query, positions, base) @ rotated_key.T

    positions = np.asarray(positions)
    close(scores(positions + shift), scores(positions), 1e-11)


@given(st.lists(OFFSETS, min_size=2, max_size=2), OFFSETS, EVEN, BASES)
def test_rotary_keeps_norms_adds_up_and_equals_the_rotation(
    first, second, d_head, base
):
    x = np.random.default_rng(d_head).normal(size=(2, d_head))
    first, second = np.asarray(first), np.full(2, second)
    once = rotary_embedding(x, first, base)
    close((once**2).sum(-1), (x**2).sum(-1), 1e-12)
    twice = rotary_embedding(once, second, base)
    close(twice, rotary_embedding(x, first + second, base), 1e-11)
    # Sinusoids hold (sin, cos) in this order, and so turn the other way.
    close(once[0], x[0] @ offset_rotation(-first[0], d_head, base), 1e-11)


def test_rotary_by_hand():
    # Frequencies 1 and 1/2, so position pi turns by a half turn and by a quarter turn.
    x = np.asarray([[1.0, 2.0, 3.0, 4.0]])
    close(rotary_embedding(x, np.asarray([math.pi]), base=4), [[-1, -2, -4, 3]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("positions", [None, np.asarray([70_001, 2049, 0])])
def test_rotary_angles_are_exact_in_low_precision(rng, dtype, positions):
    x = rng.normal(size=(3, 4)).astype(dtype)
    expected = rotary_embedding(x.astype(float), positions)
    for convert in (np.asarray, torch.from_numpy):
        actual = rotary_embedding(convert(x), positions)
        assert actual.dtype == convert(x).dtype
        close(actual, expected, 8 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.float16, np.float64])
def test_positions_may_be_of_any_number_type_and_of_torch(rng, kind):
    x, positions = rng.normal(size=(3, 4)), np.asarray([7, 0, 200])
    expected = rotary_embedding(x, positions)
    assert np.array_equal(rotary_embedding(x, positions.astype(kind)), expected)
    ours = torch.from_numpy(positions.astype(kind))
    close(rotary_embedding(torch.from_numpy(x), ours), expected)


def test_rotary_goes_to_the_device_of_its_input():
    x = torch.zeros(3, 4, device="meta")
    assert rotary_embedding(x).device == x.device
    assert rotary_embedding(x, np.arange(3)).device == x.device


# ALiBi


def slopes_by_recursion(n_heads):
    power = 2 ** math.floor(math.log2(n_heads))
    if power == n_heads:
        ratio = 2 ** (-8 / n_heads)
        return [ratio * ratio**head for head in range(n_heads)]
    finer = slopes_by_recursion(2 * power)
    return slopes_by_recursion(power) + finer[0::2][: n_heads - power]


@pytest.mark.parametrize("n_heads", [*range(1, 18), 31, 32, 33, 112])
def test_slopes_equal_bloom_and_the_recursion(n_heads):
    close(alibi_slopes(n_heads), slopes_by_recursion(n_heads))
    bloom = build_alibi_tensor(torch.ones(1, 2), n_heads, torch.float32)
    # transformers computes in float32.
    close(alibi_slopes(n_heads), bloom[:, 0, 1], 1e-6)


def test_slopes_by_hand():
    assert alibi_slopes(8).tolist() == [2**-h for h in range(1, 9)]
    assert alibi_slopes(1).tolist() == [2**-8]
    assert alibi_slopes(6).tolist() == [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]
    assert np.array_equal(alibi_slopes(np.int64(6)), alibi_slopes(6))


@pytest.mark.parametrize("n_heads", [1, 3, 8])
@pytest.mark.parametrize(("n_queries", "n_keys"), [(1, 1), (4, 4), (2, 5), (1, 6)])
def test_bias_equals_the_loops(n_heads, n_queries, n_keys):
    expected = np.zeros((n_heads, n_queries, n_keys))
    for h in range(n_heads):
        for i in range(n_queries):
            for j in range(n_keys):
                position = n_keys - n_queries + i
                distance = position - j if j <= position else j - position
                expected[h, i, j] = -alibi_slopes(n_heads)[h] * distance
    close(alibi_bias(n_heads, n_queries, n_keys), expected)


def test_bias_is_square_if_no_keys_are_given_and_the_last_rows_serve_a_cache():
    assert np.array_equal(alibi_bias(3, 5), alibi_bias(3, 5, 5))
    assert np.array_equal(alibi_bias(3, 2, 5), alibi_bias(3, 5)[:, -2:])


@pytest.mark.parametrize("n_heads", [2, 5])
def test_causal_attention_with_the_bias_equals_blooms(rng, n_heads):
    query, key = rng.normal(size=(2, n_heads, 6, 4))
    bloom = build_alibi_tensor(torch.ones(1, 6), n_heads, torch.float64)
    blocked = np.where(causal_mask(6), 0.0, -np.inf)
    # Bloom adds slope * j, the same as slope * (j - i) to a softmax over j.
    scores = query @ key.mT / 2 + bloom.numpy() + blocked
    weights = attention_weights(query, key, causal_mask(6), bias=alibi_bias(n_heads, 6))
    close(weights, scipy.special.softmax(scores, axis=-1), 1e-6)


# Bad input


def zeros(*shape):
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: frequencies(5), "d_model must be an even integer of at least 2, got 5"),
        (ValueError, lambda: frequencies(0), "d_model must be an even integer of at least 2, got 0"),
        (ValueError, lambda: frequencies(4.0), "d_model must be an even integer of at least 2, got 4.0"),
        (ValueError, lambda: frequencies(True), "d_model must be an even integer of at least 2, got True"),
        (ValueError, lambda: frequencies(4, 0), "base must be a finite number above 0, got 0"),
        (ValueError, lambda: frequencies(4, -2.0), "base must be a finite number above 0, got -2.0"),
        (ValueError, lambda: frequencies(4, math.nan), "base must be a finite number above 0, got nan"),
        (ValueError, lambda: sinusoidal_encoding(0, 4), "n_positions must be an integer of at least 1, got 0"),
        (ValueError, lambda: sinusoidal_encoding(3, 7), "d_model must be an even integer of at least 2, got 7"),
        (ValueError, lambda: sinusoidal_encoding(3, 4, math.inf), "base must be a finite number above 0, got inf"),
        (ValueError, lambda: offset_rotation(math.nan, 4), "offset must be a finite number, got nan"),
        (ValueError, lambda: offset_rotation(-math.inf, 4), "offset must be a finite number, got -inf"),
        (ValueError, lambda: offset_rotation(1j, 4), "offset must be a finite number, got 1j"),
        (ValueError, lambda: offset_rotation(1, 3), "d_model must be an even integer of at least 2, got 3"),
        (ValueError, lambda: offset_rotation(1, 4, -1), "base must be a finite number above 0, got -1"),
        (TypeError, lambda: rotary_embedding([[1.0, 2.0]]), "x must be an array of floating-point numbers, got list"),
        (TypeError, lambda: rotary_embedding(np.ones((3, 4), int)), "x must be an array of floating-point numbers, got dtype int64"),
        (ValueError, lambda: rotary_embedding(zeros(4)), r"x must have at least two axes .* got shape \(4,\)"),
        (ValueError, lambda: rotary_embedding(zeros(3, 5)), "the last axis of x must be an even integer of at least 2, got 5"),
        (ValueError, lambda: rotary_embedding(zeros(3, 0)), "the last axis of x must be an even integer of at least 2, got 0"),
        (ValueError, lambda: rotary_embedding(zeros(3, 4), base=0), "base must be a finite number above 0, got 0"),
        (TypeError, lambda: rotary_embedding(zeros(3, 4), [0, 1, 2]), "positions must be an array of numbers, got list"),
        (TypeError, lambda: rotary_embedding(zeros(3, 4), np.ones(3, bool)), "positions must be an array of numbers, got dtype bool"),
        (TypeError, lambda: rotary_embedding(zeros(3, 4), np.ones(3, complex)), "positions must be an array of numbers, got dtype complex128"),
        (ValueError, lambda: rotary_embedding(zeros(3, 4), np.arange(4)), r"positions must broadcast against the rows of x, which have shape \(3,\), got shape \(4,\)"),
        (ValueError, lambda: rotary_embedding(zeros(3, 4), zeros(3, 1)), r"positions must broadcast against the rows of x, .* got shape \(3, 1\)"),
        (ValueError, lambda: rotary_embedding(zeros(3, 4), zeros(2, 3)), r"which have shape \(3,\), got shape \(2, 3\)"),
        (ValueError, lambda: rotary_embedding(zeros(3, 4), np.asarray(1)), r"got shape \(\)"),
        (ValueError, lambda: alibi_slopes(0), "n_heads must be an integer of at least 1, got 0"),
        (ValueError, lambda: alibi_slopes(2.5), "n_heads must be an integer of at least 1, got 2.5"),
        (ValueError, lambda: alibi_bias(0, 3), "n_heads must be an integer of at least 1, got 0"),
        (ValueError, lambda: alibi_bias(2, 0), "n_queries must be an integer of at least 1, got 0"),
        (ValueError, lambda: alibi_bias(2, 3, 4.0), "n_keys must be an integer of at least 1, got 4.0"),
        (ValueError, lambda: alibi_bias(2, 3, 2), "n_keys must be at least n_queries, 3, got 2"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
