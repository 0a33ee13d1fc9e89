"""The widget of chapter 10: add dimensions, see where volume and angles go."""

import numpy as np
import traitlets

from lmmath import figures
from lmmath.geometry import radius_mean, radius_quantile, radius_rms, shell_fraction
from lmmath.widgets.kit.base import Finite, Widget, module


class GeometryWidget(Widget):
    """A ball and two random directions in a space of few or many dimensions.

    Parameters
    ----------
    n : int
        Number of dimensions, from 1 to 1000.
    inner : float
        Where the shell begins, from 0 to 1. The ball has radius 1.
    margin : float
        How far from 90 an angle may be to count as nearly right, in degrees.
    magnified : bool
        Whether only the surface is drawn: the outermost ``5 / n`` of the radius.

    Examples
    --------
    >>> widget = GeometryWidget(n=100, inner=0.99)
    >>> round(widget.shell_share, 4)
    0.634
    >>> round(widget.angle_share, 4)
    0.9175
    """

    _esm = module("geometry.js")

    n = traitlets.Int(3, min=1, max=1000).tag(sync=True)
    inner = Finite(0.9, min=0, max=1)
    margin = Finite(10.0, min=0, max=90)
    magnified = traitlets.Bool(False).tag(sync=True)

    @property
    def shell_share(self):
        """The share of the ball's volume that is in the shell."""
        return float(shell_fraction(self.n, self.inner))

    @property
    def angle_share(self):
        """How probable it is that two random directions are nearly at a right angle."""
        if self.n == 1:  # there are only two directions
            return float(self.margin == 90)
        # Here and not above: SciPy takes long to load, and only these numbers need it.
        from scipy.special import betainc

        # The square of the cosine has a beta distribution.
        cosine = np.sin(np.radians(self.margin))
        return float(betainc(1 / 2, (self.n - 1) / 2, cosine**2))

    @property
    def radii(self):
        """The radii that are marked, and the share of the volume inside each, by name."""
        marked = {
            "mean": radius_mean(self.n),
            "rms": radius_rms(self.n),
            "median": float(radius_quantile(self.n, 0.5)),
            "√(1 − 1/n)": float(np.sqrt(1 - 1 / self.n)),
        }
        return {name: (radius, radius**self.n) for name, radius in marked.items()}

    def picture(self):
        """Draw the two densities, with the shell and the angles near 90 degrees shaded."""
        figure, (ball, angles) = figures.subplots(rows=2, height=5.0)
        self._draw_radius(ball)
        self._draw_angle(angles)
        return figures.show(figure, self._description())

    def _draw_radius(self, axes):
        start = max(0, 1 - 5 / self.n) if self.magnified else 0
        r = np.linspace(start, 1, 401)
        density = self.n * r ** (self.n - 1)
        axes.plot(r, density)
        axes.fill_between(
            r, density, where=r >= self.inner, color=figures.VERMILION, alpha=0.3
        )
        for (name, (radius, _)), marker in zip(self.radii.items(), "osD^", strict=True):
            height = self.n * radius ** (self.n - 1)
            axes.plot(radius, height, marker, color="black", markersize=5, label=name)
        axes.set_xlim(start, 1)
        axes.set_xlabel("distance from the centre")
        axes.set_ylabel("density")
        axes.legend(loc="upper left", fontsize=8)

    def _draw_angle(self, axes):
        angle = np.linspace(0, 180, 721)
        axes.set_xticks([0, 45, 90, 135, 180])
        axes.set_xlabel("angle between two directions, degrees")
        axes.set_ylabel("density per degree")
        if self.n == 1:
            axes.vlines([0, 180], 0, 1)
            return
        from scipy.special import beta

        whole = 180 / np.pi * beta((self.n - 1) / 2, 1 / 2)
        density = np.sin(np.radians(angle)) ** (self.n - 2) / whole
        near = np.abs(angle - 90) <= self.margin
        axes.plot(angle, density)
        axes.fill_between(
            angle, density, where=near, color=figures.VERMILION, alpha=0.3
        )
        axes.set_ylim(bottom=0)

    def _description(self):
        return (
            f"Two densities in {self.n} dimension{'s' * (self.n > 1)}. Above, of a point's "
            f"distance from the centre of a ball: {self.shell_share:.1%} of the volume is "
            f"beyond {self.inner:g}, shaded. Below, of the angle between two random "
            f"directions: {self.angle_share:.1%} are within {self.margin:g} degrees of a "
            "right angle, shaded."
        )
