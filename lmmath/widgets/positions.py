"""The widget of chapter 4: two positions, their hands, and the dot product of their codes."""

import numpy as np
import traitlets

from lmmath import figures
from lmmath.positions import frequencies, rotary_embedding, sinusoidal_encoding
from lmmath.widgets.kit.base import Finite, Widget, module, style

LAST = 127  # position
WIDTHS = (4, 8, 16, 32)


class PositionsWidget(Widget):
    r"""Two positions :math:`p` and :math:`q` in three pictures of one fact.

    Above, the sine of each pair of features along the text. Below, each pair's hands at
    :math:`p` and :math:`q`, as the rotary embedding turns them; the cosines of the angles
    between them add up to :math:`PE_p \cdot PE_q`. Beside it, that dot product by distance. To
    move both positions turns all hands, and changes no angle between them.

    Everything shown is a trait: read it, set it, observe it, link it.

    Parameters
    ----------
    p, q : int
        The positions, from 0 to 127.
    d_model : int
        The number of features: 4, 8, 16 or 32.
    base : float
        :math:`b` in :math:`\omega_i = b^{-2i/d}`, from 10 to 1,000,000.

    Examples
    --------
    >>> for p in (10, 100):
    ...     print(round(PositionsWidget(p=p, q=p + 5).dot_product, 6))
    6.13704
    6.13704
    """

    _esm = module("positions.js")
    _css = style("positions.css")

    p = traitlets.Int(24, min=0, max=LAST).tag(sync=True)
    q = traitlets.Int(36, min=0, max=LAST).tag(sync=True)
    d_model = traitlets.Enum(WIDTHS, 16).tag(sync=True)
    base = Finite(10_000, min=10, max=1_000_000)

    @property
    def encodings(self):
        """The sinusoidal encodings of both positions: an array, shape (2, d_model)."""
        return self._all_encodings[[self.p, self.q]]

    @property
    def hands(self):
        """Where each pair's hand points: an array, shape (2, d_model / 2, 2).

        The rotary embedding turns them from (1, 0) to the angles of ``p`` and ``q``.
        """
        start = np.tile([1.0, 0.0], (2, self.d_model // 2))
        turned = rotary_embedding(start, np.asarray([self.p, self.q]), self.base)
        return turned.reshape(2, -1, 2)

    @property
    def dot_product(self):
        r"""The dot product of the encodings, :math:`PE_p \cdot PE_q`."""
        return float(self.encodings[0] @ self.encodings[1])

    @property
    def dot_products(self):
        """The dot product by distance, from 0 to 127: an array, shape (128,)."""
        return self._all_encodings @ self._all_encodings[0]

    @property
    def _all_encodings(self):
        return sinusoidal_encoding(LAST + 1, self.d_model, self.base)

    def picture(self):
        """Draw the sines along the text, and the dot product by distance."""
        figure, (sines, curve) = figures.subplots(rows=2, height=5.2)
        positions = np.linspace(0, LAST, 2 * LAST + 1)
        for i, speed in enumerate(frequencies(self.d_model, self.base)):
            sines.plot(positions, i + 0.4 * np.sin(positions * speed), "k-", lw=0.7)
        for position, name, look in [(self.p, "p", "-"), (self.q, "q", "--")]:
            color = figures.BLUE if name == "p" else figures.VERMILION
            sines.axvline(position, color=color, ls=look, label=f"{name} = {position}")
        sines.set(xlabel="position", yticks=[])
        sines.legend(fontsize=8, ncols=2, loc="upper right")
        distance = abs(self.p - self.q)
        curve.plot(self.dot_products)
        curve.plot(distance, self.dot_product, "D", color=figures.GREEN)
        half = self.d_model / 2
        curve.set(xlabel="distance |p − q|", ylabel="PE(p) · PE(q)", ylim=(-half, half))
        return figures.show(figure, self._description(distance))

    def _description(self, distance):
        return (
            f"Above, the sines of {self.d_model // 2} pairs of features along 128 positions, "
            f"with p = {self.p} and q = {self.q} marked. Below, the dot product of two "
            f"sinusoidal encodings by their distance, for base {self.base:,.10g}: "
            f"{self.d_model // 2} at distance 0, and {self.dot_product:.2f} at distance "
            f"{distance}, that of p and q."
        )
