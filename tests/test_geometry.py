"""Geometry against mpmath, SciPy, torch and the distributions that theory predicts."""

import math

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from libraries import close
from scipy.spatial.distance import pdist

from lmmath.geometry import (
    ball_volume,
    cosine_similarity,
    johnson_lindenstrauss_dimension,
    log_ball_volume,
    radius_mean,
    radius_quantile,
    radius_rms,
    sample_ball,
    sample_sphere,
    shell_fraction,
)

DIMENSIONS = st.integers(1, 1000)
RADII = st.floats(1e-3, 1e3)
COORDINATES = st.floats(-10, 10).map(lambda x: round(x, 6))


@pytest.fixture
def rng():
    return np.random.default_rng(10)


# Volumes


def exact_log_volume(n, radius):
    """The logarithm of a ball's volume in 50 digits."""
    n = mpmath.mpf(n)
    return (
        n / 2 * mpmath.log(mpmath.pi)
        - mpmath.loggamma(n / 2 + 1)
        + n * mpmath.log(radius)
    )


@pytest.mark.parametrize("n", [1, 2, 3, 12, 13, 100, 768, 4096, 99_999, 100_000])
@pytest.mark.parametrize("radius", [1, 0.3, 1.7, 1e-200, 1e200])
def test_log_volume_equals_mpmath(n, radius):
    with mpmath.workdps(50):
        expected = float(exact_log_volume(n, radius))
    close(log_ball_volume(n, radius), expected, 4e-15)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 20, 100, 300])
@pytest.mark.parametrize("radius", [1, 0.7, 1.7])
def test_volume_equals_mpmath(n, radius):
    with mpmath.workdps(50):
        expected = mpmath.exp(exact_log_volume(n, radius))
        close(float(ball_volume(n, radius) / expected), 1.0, 1e-12)


@given(DIMENSIONS, st.lists(RADII, min_size=1, max_size=4))
def test_log_volume_equals_scipy_on_arrays(n, radii):
    radii = np.asarray(radii)
    unit = scipy.special.xlogy(n / 2, np.pi) - scipy.special.gammaln(n / 2 + 1)
    close(log_ball_volume(n, radii), unit + scipy.special.xlogy(n, radii))
    close(np.log(ball_volume(n % 40 + 1, radii)), log_ball_volume(n % 40 + 1, radii))


@given(st.integers(3, 1000), RADII)
def test_volume_follows_the_recurrence_over_two_dimensions(n, radius):
    step = math.log(2 * math.pi / n) + 2 * math.log(radius)
    close(log_ball_volume(n, radius), step + log_ball_volume(n - 2, radius), 1e-11)


def test_volumes_by_hand():
    close(ball_volume(1, 3), 6)
    close(ball_volume(2, 3), 9 * math.pi)
    close(ball_volume(3, 3), 36 * math.pi)
    close(ball_volume(4, 3), 81 * math.pi**2 / 2)


def test_a_ball_without_radius_is_empty():
    assert log_ball_volume(7, 0) == -math.inf
    assert ball_volume(7, 0.0) == 0
    radii = np.asarray([0.0, 1.0])
    assert np.array_equal(ball_volume(7, radii), [0, ball_volume(7)])
    assert np.array_equal(log_ball_volume(7, radii), [-np.inf, log_ball_volume(7)])


def test_the_volume_underflows_where_its_logarithm_does_not():
    assert ball_volume(440) > 0
    assert ball_volume(460) == 0
    assert math.isfinite(log_ball_volume(10_000_000))


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_float16_is_computed_in_float32(convert):
    radii = convert(np.asarray([1.0, 2.5], np.float16))
    volumes = ball_volume(100, radii)
    assert volumes.dtype == radii.dtype
    # The unit ball's 2e-40 is below the least float16, and 2.5**100 above the largest.
    close(volumes, [0, math.exp(log_ball_volume(100, 2.5))], 1e-3)
    # Multiplied in float16, 100,000 would be infinite.
    assert shell_fraction(100_000, convert(np.asarray([0.5], np.float16))) == 1


# Shells


@pytest.mark.parametrize("n", [1, 2, 100, 768, 100_000])
@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (0.99, 1),
        (1 - 2**-40, 1),
        (0.3 - 2**-40, 0.3),
        (1e-30, 2),
        (0.3, 0.7),
        (2**0.5, 1.5),
    ],
)
def test_shell_equals_mpmath_in_all_digits(n, inner, outer):
    with mpmath.workdps(50):
        expected = 1 - (mpmath.mpf(inner) / mpmath.mpf(outer)) ** n
        close(float(shell_fraction(n, inner, outer) / expected), 1.0, 1e-14)


@pytest.mark.parametrize(
    ("n", "percent", "decimals"), [(2, 2, 0), (10, 9.6, 1), (100, 63.4, 1), (768, 99.96, 2)]
)  # fmt: skip
def test_the_outer_hundredth_of_the_radius_comes_to_hold_everything(
    n, percent, decimals
):
    assert (100 * shell_fraction(n, 0.99)).round(decimals) == percent


@pytest.mark.parametrize("n", [10, 1000, 10**6])
def test_the_ball_within_the_root_of_1_minus_1_over_n_tends_to_a_fixed_fraction(n):
    within = 1 - shell_fraction(n, math.sqrt(1 - 1 / n))
    close(within, (1 - 1 / n) ** (n / 2), 1e-9)
    assert 0 < math.exp(-1 / 2) - within < 0.2 / n


@given(DIMENSIONS, RADII, st.floats(0, 1))
def test_a_shell_is_what_a_smaller_ball_leaves(n, outer, ratio):
    inner = ratio * outer
    left = -math.expm1(log_ball_volume(n, inner) - log_ball_volume(n, outer))
    close(shell_fraction(n, inner, outer), left, 1e-10)
    assert 0 <= shell_fraction(n, inner, outer) <= 1


def test_shells_that_are_empty_or_everything():
    assert shell_fraction(3, 0) == 1
    assert shell_fraction(3, 0.0, 5.0) == 1
    assert str(shell_fraction(3, 5.0, 5.0)) == "0.0"


def test_shell_radii_broadcast_and_either_may_be_a_number():
    inner, outer = np.asarray([[0.0], [0.5]]), np.asarray([1.0, 2.0, 4.0])
    expected = 1 - (inner / outer) ** 3
    close(shell_fraction(3, inner, outer), expected)
    close(shell_fraction(3, 0.5, outer), expected[1])
    close(shell_fraction(3, inner, 2), expected[:, 1:2])
    close(shell_fraction(3, 0.5, torch.from_numpy(outer)), expected[1])


# Radii


@pytest.mark.parametrize("n", [1, 3, 100, 100_000])
@pytest.mark.parametrize("p", [0, 1e-12, 0.5, 1 - 1e-12, 1])
def test_quantile_equals_mpmath(n, p):
    with mpmath.workdps(50):
        expected = float(mpmath.root(mpmath.mpf(p), n))
    close(radius_quantile(n, p), expected, 4e-15)


@given(DIMENSIONS, st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_the_shell_beyond_a_quantile_holds_the_rest(n, p):
    p = np.asarray(p)
    close(shell_fraction(n, radius_quantile(n, p)), 1 - p, 1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_mean_and_root_mean_square_equal_their_integrals(n):
    mean = mpmath.quad(lambda r: r * n * r ** (n - 1), [0, 1])
    square = mpmath.quad(lambda r: r**2 * n * r ** (n - 1), [0, 1])
    close(radius_mean(n), float(mean))
    close(radius_rms(n), float(mpmath.sqrt(square)))


def test_radii_in_a_hundred_dimensions():
    radii = [radius_mean(100), radius_rms(100), radius_quantile(100, 0.5)]
    assert [round(float(radius), 4) for radius in radii] == [0.9901, 0.9901, 0.9931]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_number_gives_a_numpy_float_and_an_array_keeps_its_dtype(dtype):
    for function in (log_ball_volume, ball_volume, shell_fraction, radius_quantile):
        for number in (0.5, 1, np.float64(0.5)):
            assert type(function(3, number)) is np.float64
        assert function(np.int64(3), np.asarray([0.5], dtype)).dtype == dtype
    x = np.asarray([0.5, 1.0], dtype)
    assert cosine_similarity(x, x).dtype == dtype


# Samples


@pytest.mark.parametrize("n", [1, 2, 3, 20, 768])
def test_ball_samples_have_a_uniform_power_of_the_radius(rng, n):
    points = sample_ball(n, 5000, rng)
    assert points.shape == (5000, n)
    radii = np.linalg.vector_norm(points, axis=1)
    assert scipy.stats.kstest(radii**n, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n", [2, 3, 20, 768])
@pytest.mark.parametrize("sample", [sample_sphere, sample_ball])
def test_directions_have_beta_distributed_coordinates(rng, n, sample):
    points = sample(n, 5000, rng)
    directions = points / np.linalg.vector_norm(points, axis=1, keepdims=True)
    beta = scipy.stats.beta((n - 1) / 2, (n - 1) / 2)
    for coordinate in (0, n - 1):
        marginal = (1 + directions[:, coordinate]) / 2
        assert scipy.stats.kstest(marginal, beta.cdf).pvalue > 0.01


@pytest.mark.parametrize("n", [1, 3, 8])
def test_samples_are_centred_and_prefer_no_direction(rng, n):
    size = 40_000
    for sample, variance in ((sample_sphere, 1 / n), (sample_ball, 1 / (n + 2))):
        points = sample(n, size, rng)
        assert np.all(np.abs(points.mean(0)) < 5 * math.sqrt(variance / size))
        close(points.T @ points / size, np.eye(n) * variance, 5 / math.sqrt(size))


def test_sphere_samples_have_length_one_and_come_from_the_generator(rng):
    points = sample_sphere(5, 100, rng)
    close(np.linalg.vector_norm(points, axis=1), np.ones(100), 1e-15)
    for sample in (sample_sphere, sample_ball):
        one, same, other = (sample(5, 9, np.random.default_rng(s)) for s in (1, 1, 2))
        assert np.array_equal(one, same)
        assert not np.any(one == other)


# Angles


@pytest.mark.parametrize(
    ("x_shape", "y_shape"), [((4,), (4,)), ((3, 4), (4,)), ((2, 1, 7), (3, 7)), ((5, 1), (5, 1))]
)  # fmt: skip
def test_cosine_equals_torch(rng, x_shape, y_shape):
    x, y = rng.normal(size=x_shape), rng.normal(size=y_shape)
    expected = torch.cosine_similarity(torch.from_numpy(x), torch.from_numpy(y), dim=-1)
    close(cosine_similarity(x, y), expected)


@given(st.lists(COORDINATES, min_size=1, max_size=5), st.floats(1e-3, 1e3))
def test_cosine_ignores_lengths_and_never_passes_one(x, factor):
    x = np.asarray(x)
    if np.any(x):
        assert 1 - 1e-14 < cosine_similarity(x, factor * x) <= 1
        assert -1 <= cosine_similarity(x, -factor * x) < -1 + 1e-14


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float16, 6e4), (np.float32, 1e38), (np.float64, 1e308), (np.float64, 1e-308)],
)
def test_cosine_of_vectors_whose_squares_leave_the_range(dtype, size):
    x = np.asarray([0.75 * size, size], dtype)
    close(cosine_similarity(x, np.asarray([1, 0], dtype)), 0.6, np.finfo(dtype).eps)


def test_cosines_of_random_directions_have_variance_1_over_n(rng):
    for n in (2, 16, 256):
        cosines = cosine_similarity(*rng.normal(size=(2, 10_000, n)))
        beta = scipy.stats.beta((n - 1) / 2, (n - 1) / 2)
        assert scipy.stats.kstest((1 + cosines) / 2, beta.cdf).pvalue > 0.01
        assert abs(n * np.mean(cosines**2) - 1) < 0.05
        assert abs(np.mean(cosines)) < 5 / math.sqrt(10_000 * n)


# Distances in fewer dimensions


@pytest.mark.parametrize("n_points", [2, 10, 1000, 50_000])
@pytest.mark.parametrize("distortion", [0.01, 0.1, 0.5, 0.99])
def test_dimension_is_the_smallest_that_meets_the_bound(n_points, distortion):
    with mpmath.workdps(50):
        eps = mpmath.mpf(distortion)
        bound = 4 * mpmath.log(n_points) / (eps**2 / 2 - eps**3 / 3)
        k = johnson_lindenstrauss_dimension(n_points, distortion)
        assert type(k) is int
        assert k - 1 < bound <= k
    # The proof: each of the N (N - 1) / 2 pairs fails with probability 2 / N^2 at most.
    ratio = scipy.stats.chi2(k, scale=1 / k)
    assert ratio.sf(1 + distortion) + ratio.cdf(1 - distortion) <= 2 / n_points**2


def test_one_point_needs_one_dimension():
    assert johnson_lindenstrauss_dimension(1, 0.5) == 1


@pytest.mark.parametrize(("n_points", "distortion"), [(10, 0.9), (60, 0.4)])
def test_a_random_projection_keeps_all_distances_within_the_distortion(
    rng, n_points, distortion
):
    k = johnson_lindenstrauss_dimension(n_points, distortion)
    points = rng.normal(size=(n_points, 2000)) * rng.exponential(size=(n_points, 1))
    projected = points @ rng.normal(scale=1 / math.sqrt(k), size=(2000, k))
    ratios = (pdist(projected) / pdist(points)) ** 2
    assert k < 2000
    assert np.all(np.abs(ratios - 1) <= distortion)
    # So few dimensions do change them: the bound is not met for want of a change.
    assert np.max(np.abs(ratios - 1)) > distortion / 4


# Bad input


def ones(*shape):
    return np.ones(shape)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: log_ball_volume(0), "n must be an integer of at least 1, got 0"),
        (ValueError, lambda: log_ball_volume(2.0), "n must be an integer of at least 1, got 2.0"),
        (ValueError, lambda: log_ball_volume(3, -1), "radius must be finite and at least 0, got -1.0"),
        (ValueError, lambda: log_ball_volume(3, np.asarray([1.0, np.nan])), "radius must be finite and at least 0, got nan"),
        (TypeError, lambda: log_ball_volume(3, [1.0]), "radius must be an array of floating-point numbers, got list"),
        (TypeError, lambda: log_ball_volume(3, np.arange(3)), "radius must be an array of floating-point numbers, got dtype int64"),
        (ValueError, lambda: ball_volume(-3), "n must be an integer of at least 1, got -3"),
        (ValueError, lambda: ball_volume(3, math.nan), "radius must be finite and at least 0, got nan"),
        (ValueError, lambda: ball_volume(3, math.inf), "radius must be finite and at least 0, got inf"),
        (ValueError, lambda: ball_volume(3, torch.tensor([1.0, -0.5], requires_grad=True)), "radius must be finite and at least 0, got -0.5"),
        (ValueError, lambda: shell_fraction(0, 0.5), "n must be an integer of at least 1, got 0"),
        (ValueError, lambda: shell_fraction(3, -0.5), "inner must be finite and at least 0, got -0.5"),
        (ValueError, lambda: shell_fraction(3, math.nan), "inner must be finite and at least 0, got nan"),
        (ValueError, lambda: shell_fraction(3, 1.5), "inner must be at most outer, got 1.5"),
        (ValueError, lambda: shell_fraction(3, np.asarray([0.5, 2.5]), 2), "inner must be at most outer, got 2.5"),
        (ValueError, lambda: shell_fraction(3, 0, 0), "outer must be above 0, got 0.0"),
        (ValueError, lambda: shell_fraction(3, 0.5, math.nan), "outer must be finite and at least 0, got nan"),
        (ValueError, lambda: shell_fraction(3, 0.5, math.inf), "outer must be finite and at least 0, got inf"),
        (ValueError, lambda: shell_fraction(3, ones(2), ones(3)), r"the shapes of inner and outer must broadcast, got \(2,\) and \(3,\)"),
        (TypeError, lambda: shell_fraction(3, 0.5, "1"), "outer must be an array of floating-point numbers, got str"),
        (ValueError, lambda: radius_quantile(0, 0.5), "n must be an integer of at least 1, got 0"),
        (ValueError, lambda: radius_quantile(3, 1.5), "p must lie between 0 and 1, got 1.5"),
        (ValueError, lambda: radius_quantile(3, np.asarray([0.5, -0.1])), "p must lie between 0 and 1, got -0.1"),
        (ValueError, lambda: radius_quantile(3, math.nan), "p must lie between 0 and 1, got nan"),
        (ValueError, lambda: radius_mean(0), "n must be an integer of at least 1, got 0"),
        (ValueError, lambda: radius_rms(1.5), "n must be an integer of at least 1, got 1.5"),
        (ValueError, lambda: sample_sphere(0, 1, RNG), "n must be an integer of at least 1, got 0"),
        (ValueError, lambda: sample_ball(3, 0, RNG), "size must be an integer of at least 1, got 0"),
        (TypeError, lambda: sample_ball(3, 1, 7), "rng must be a numpy.random.Generator, got int"),
        (TypeError, lambda: sample_sphere(3, 1, np.random), "rng must be a numpy.random.Generator, got module"),
        (TypeError, lambda: cosine_similarity([1.0], ones(1)), "x must be an array of floating-point numbers, got list"),
        (TypeError, lambda: cosine_similarity(ones(3), np.arange(3)), "y must be an array of floating-point numbers, got dtype int64"),
        (ValueError, lambda: cosine_similarity(ones(2, 64), ones(2, 32)), "x and y must have the same last dimension, got 64 and 32"),
        (ValueError, lambda: cosine_similarity(ones(2, 4), ones(3, 4)), r"the shapes of x and y must broadcast, got \(2, 4\) and \(3, 4\)"),
        (ValueError, lambda: cosine_similarity(ones(), ones(1)), r"x must have a last axis of at least one feature, got shape \(\)"),
        (ValueError, lambda: cosine_similarity(ones(1), ones(2, 0)), r"y must have a last axis of at least one feature, got shape \(2, 0\)"),
        (ValueError, lambda: cosine_similarity(ones(3), np.zeros(3)), "each vector of y must be finite and not 0, got 0.0"),
        (ValueError, lambda: cosine_similarity(np.asarray([1, np.nan]), ones(2)), "each vector of x must be finite and not 0, got nan"),
        (ValueError, lambda: johnson_lindenstrauss_dimension(0, 0.5), "n_points must be an integer of at least 1, got 0"),
        (ValueError, lambda: johnson_lindenstrauss_dimension(5, 0), "distortion must lie between 0 and 1, got 0"),
        (ValueError, lambda: johnson_lindenstrauss_dimension(5, 1.0), "distortion must lie between 0 and 1, got 1.0"),
        (ValueError, lambda: johnson_lindenstrauss_dimension(5, math.nan), "distortion must lie between 0 and 1, got nan"),
        (ValueError, lambda: johnson_lindenstrauss_dimension(5, "a"), "distortion must lie between 0 and 1, got 'a'"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
