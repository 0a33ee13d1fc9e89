"""What widgets are made of in Python: numbers that stay finite, style sheets."""

from fractions import Fraction

import numpy as np
import pytest
import traitlets

from lmmath.widgets.kit.base import Finite, Widget, style


class Gauge(Widget):
    level = Finite(0.5, min=0, max=1)
    free = Finite()


@pytest.mark.parametrize(
    "value", [1, 0.25, np.float32(0.25), np.int64(1), Fraction(1, 4)]
)
def test_a_finite_trait_takes_any_real_number_and_holds_a_float(value):
    gauge = Gauge(level=value)
    assert type(gauge.level) is float
    assert gauge.level == value
    assert "level" in gauge.keys


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "level must be finite, got nan"),
        (float("-inf"), "level must be finite, got -inf"),
        (-0.5, "level must be at least 0, got -0.5"),
        (2, "level must be at most 1, got 2"),
        ("0.5", "level must be a number, got str"),
        (None, "level must be a number, got NoneType"),
        (True, "level must be a number, got bool"),
        (1j, "level must be a number, got complex"),
    ],
)
def test_a_finite_trait_says_what_is_wrong(value, message):
    gauge = Gauge()
    with pytest.raises(traitlets.TraitError, match=message):
        gauge.level = value
    with pytest.raises(traitlets.TraitError, match=message):
        gauge.set_state({"level": value})
    assert gauge.level == 0.5


def test_without_bounds_any_finite_number_will_do():
    assert Gauge(free=-1e300).free == -1e300
    with pytest.raises(traitlets.TraitError, match="free must be finite, got inf"):
        Gauge(free=float("inf"))


def test_a_widgets_own_styles_follow_the_shared_ones():
    shared = style("kit/shared.css")
    assert shared.startswith("/* One look for all widgets.")
    assert shared.count("/* One look for all widgets.") == 2
