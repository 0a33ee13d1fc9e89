"""The geometry widget's Python side: traits, the shares that it gives, the static picture."""

import numpy as np
import pytest
import traitlets
from scipy import stats

from lmmath.geometry import (
    cosine_similarity,
    radius_mean,
    radius_quantile,
    radius_rms,
    sample_ball,
    shell_fraction,
)
from lmmath.widgets import GeometryWidget

DIMENSIONS = [1, 2, 3, 10, 768, 1000]


def test_all_state_is_in_traits():
    assert {"n", "inner", "margin", "magnified"} <= set(GeometryWidget().keys)


@pytest.mark.parametrize("n", DIMENSIONS)
@pytest.mark.parametrize("inner", [0, 0.5, 0.99, 1])
def test_the_shell_is_the_formulas(n, inner):
    assert GeometryWidget(n=n, inner=inner).shell_share == shell_fraction(n, inner)


@pytest.mark.parametrize("n", DIMENSIONS[1:])
@pytest.mark.parametrize("margin", [0, 0.1, 10, 45, 90])
def test_the_share_of_angles_is_that_of_cosines(n, margin):
    half = (n - 1) / 2  # (1 + cosine) / 2 has a beta distribution
    edge = np.sin(np.radians(margin))
    expected = 1 - 2 * stats.beta.sf((1 + edge) / 2, half, half)
    share = GeometryWidget(n=n, margin=margin).angle_share
    np.testing.assert_allclose(share, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("margin", "expected"), [(0, 0), (89.9, 0), (90, 1)])
def test_in_one_dimension_no_angle_is_nearly_right(margin, expected):
    assert GeometryWidget(n=1, margin=margin).angle_share == expected


@pytest.mark.parametrize("n", [2, 3, 50])
def test_random_points_have_these_shares(n):
    widget = GeometryWidget(n=n, inner=0.9, margin=20)
    x, y = (sample_ball(n, 20_000, np.random.default_rng([n, i])) for i in range(2))
    in_shell = np.mean(np.linalg.norm(x, axis=1) > 0.9)
    angles = np.degrees(np.arccos(cosine_similarity(x, y)))
    near = np.mean(np.abs(angles - 90) < 20)
    np.testing.assert_allclose([in_shell, near], [widget.shell_share, widget.angle_share], atol=0.015)  # fmt: skip


@pytest.mark.parametrize("n", DIMENSIONS)
def test_the_marked_radii_are_the_formulas(n):
    radii = GeometryWidget(n=n).radii
    expected = {
        "mean": radius_mean(n),
        "rms": radius_rms(n),
        "median": radius_quantile(n, 0.5),
        "√(1 − 1/n)": np.sqrt(1 - 1 / n),
    }
    assert list(radii) == list(expected)
    for name, (radius, inside) in radii.items():
        assert radius == pytest.approx(expected[name], rel=1e-15)
        assert inside == pytest.approx(1 - shell_fraction(n, radius), abs=1e-12)


def test_the_radius_that_is_often_named_is_the_61st_percentile():
    share = GeometryWidget(n=1000).radii["√(1 − 1/n)"][1]
    assert share == pytest.approx(np.exp(-1 / 2), abs=2e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 0),
        ("n", 1001),
        ("n", 2.5),
        ("inner", -0.1),
        ("inner", 1.1),
        ("inner", np.nan),
        ("margin", 91),
        ("margin", "wide"),
    ],
)
def test_what_it_cannot_show_is_refused(name, value):
    widget = GeometryWidget()
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(widget, name, value)
    assert getattr(widget, name) == getattr(GeometryWidget(), name)


@pytest.mark.parametrize("n", DIMENSIONS)
@pytest.mark.parametrize("magnified", [False, True])
def test_the_picture_says_what_it_shows(n, magnified):
    widget = GeometryWidget(n=n, magnified=magnified, inner=0.8, margin=25)
    alt = widget.picture().alt
    assert f"{n} dimension{'' if n == 1 else 's'}." in alt
    assert f"{shell_fraction(n, 0.8):.1%} of the volume is beyond 0.8" in alt
    assert f"{widget.angle_share:.1%} are within 25 degrees" in alt
