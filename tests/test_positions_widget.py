"""The positions widget's Python side: its numbers by complex numbers, its bounds, its picture."""

import numpy as np
import pytest
import traitlets

from lmmath.widgets import PositionsWidget


@pytest.mark.parametrize("d_model", [4, 8, 16, 32])
@pytest.mark.parametrize(("p", "q"), [(0, 0), (5, 100), (127, 3)])
@pytest.mark.parametrize("base", [10, 10_000, 1e6])
def test_hands_and_codes_are_complex_numbers(d_model, p, q, base):
    widget = PositionsWidget(p=p, q=q, d_model=d_model, base=base)
    speeds = base ** (-np.arange(0, d_model, 2) / d_model)
    turning = np.exp(1j * np.outer([p, q], speeds))
    close = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(
        widget.hands[..., 0] + 1j * widget.hands[..., 1], turning, **close
    )
    np.testing.assert_allclose(widget.encodings[:, 0::2], turning.imag, **close)
    np.testing.assert_allclose(widget.encodings[:, 1::2], turning.real, **close)
    by_distance = np.cos(np.outer(np.arange(128), speeds)).sum(axis=1)
    np.testing.assert_allclose(widget.dot_products, by_distance, **close)
    assert widget.dot_product == pytest.approx(by_distance[abs(p - q)], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("p", -1), ("p", 128), ("q", 1.5), ("d_model", 6), ("base", 9), ("base", float("nan"))],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused(name, value):
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(PositionsWidget(), name, value)


def test_the_picture_says_what_it_shows():
    widget = PositionsWidget(p=90, q=10, d_model=8, base=1e6)
    alt = widget.picture().alt
    assert (
        "the sines of 4 pairs of features along 128 positions, with p = 90 and q = 10"
        in alt
    )
    assert "for base 1,000,000: 4 at distance 0" in alt
    assert f"and {widget.dot_product:.2f} at distance 80, that of p and q." in alt
    assert repr(widget) == f"PositionsWidget. Figure: {alt}"
