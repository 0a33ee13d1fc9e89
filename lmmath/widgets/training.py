"""The widget of chapter 6: optimizers race down a surface from where the reader puts them."""

import numpy as np
import traitlets

from lmmath import figures
from lmmath.autodiff import Tensor
from lmmath.training import adamw_init, adamw_update, sgd_update
from lmmath.widgets.kit.base import Finite, Widget, module, style

N_STEPS = 150
X_LIMITS, Y_LIMITS = (-2.0, 2.0), (-1.2, 1.8)  # of the plane
LOSS_SHOWN = (1e-6, 1e3)
LEVELS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
STYLES = {
    "gradient descent": (":", "o"),
    "momentum": ("--", "s"),
    "Adam": ("-", "D"),
    "Adam without bias correction": ("-.", "^"),
}


def long_valley(x, y):
    r"""Give :math:`\frac{1}{2}(x^2 + 50 y^2)`, fifty times as steep along y as along x."""
    return (x**2 + 50 * y**2) / 2


def curved_valley(x, y):
    r"""Give :math:`\frac{1}{8}\big((1 - x)^2 + 10 (y - x^2)^2\big)`, a valley like Rosenbrock's."""
    return ((1 - x) ** 2 + 10 * (y - x**2) ** 2) / 8


def two_valleys(x, y):
    r"""Give :math:`(x^2 - 1)^2 + \frac{1}{5}(x - 1)^2 + 5 y^2`, with the deeper valley at x = 1."""
    return (x**2 - 1) ** 2 + (x - 1) ** 2 / 5 + 5 * y**2


SURFACES = {
    "long valley": long_valley,
    "curved valley": curved_valley,
    "two valleys": two_valleys,
}


class TrainingWidget(Widget):
    """Gradient descent, momentum and Adam, side by side on a surface of two parameters.

    Everything shown is a trait: read it, set it, observe it, link it.

    Parameters
    ----------
    surface : str
        ``"long valley"``, ``"curved valley"`` or ``"two valleys"``.
    start_x, start_y : float
        Where all begin, from -2 to 2 and from -1.2 to 1.8.
    step : int
        How many steps of the paths are shown, from 0 to 150.
    gradient_descent, momentum, adam, adam_uncorrected : bool
        Which optimizers take part; the last is Adam without bias correction.
    gradient_descent_rate, momentum_rate, adam_rate : float
        Their learning rates.
    mu : float
        How much of the last step momentum carries on.
    beta1, beta2, weight_decay : float
        Adam's settings, as in ``adamw_update``. With a weight decay it is AdamW.

    Examples
    --------
    >>> widget = TrainingWidget(step=1, adam_rate=0.1)
    >>> for name in ("Adam", "Adam without bias correction"):
    ...     start, first = widget.paths[name][:2]
    ...     print((first - start).round(3))
    [ 0.1 -0.1]
    [ 0.316 -0.316]
    """

    _esm = module("training.js")
    _css = style("training.css")

    surface = traitlets.Enum(list(SURFACES), "long valley").tag(sync=True)
    start_x = Finite(-1.6, min=X_LIMITS[0], max=X_LIMITS[1])
    start_y = Finite(1.0, min=Y_LIMITS[0], max=Y_LIMITS[1])
    step = traitlets.Int(60, min=0, max=N_STEPS).tag(sync=True)

    gradient_descent = traitlets.Bool(True).tag(sync=True)
    momentum = traitlets.Bool(True).tag(sync=True)
    adam = traitlets.Bool(True).tag(sync=True)
    adam_uncorrected = traitlets.Bool(True).tag(sync=True)

    gradient_descent_rate = Finite(0.036, min=0)
    momentum_rate = Finite(0.03, min=0)
    mu = Finite(0.85, min=0, max=0.9999)
    adam_rate = Finite(0.1, min=0)
    beta1 = Finite(0.9, min=0, max=0.9999)
    beta2 = Finite(0.999, min=0, max=0.9999)
    weight_decay = Finite(0.0, min=0)

    @property
    def paths(self):
        """The path of each optimizer that takes part: arrays of shape (151, 2), by its name."""
        updates = [
            self.gradient_descent and self._sgd(self.gradient_descent_rate, 0.0),
            self.momentum and self._sgd(self.momentum_rate, self.mu),
            self.adam and self._adamw(bias_correction=True),
            self.adam_uncorrected and self._adamw(bias_correction=False),
        ]
        return {
            name: self._path(update)
            for name, update in zip(STYLES, updates, strict=True)
            if update
        }

    @property
    def losses(self):
        """The losses on each path, before the first step and after each: arrays of shape (151,)."""
        return self._losses_on(self.paths)

    def _losses_on(self, paths):
        with np.errstate(over="ignore", invalid="ignore"):  # a path may diverge
            loss = SURFACES[self.surface]
            return {name: loss(*path.T) for name, path in paths.items()}

    def _sgd(self, rate, momentum):
        def update(theta, gradient, velocity):
            return sgd_update(theta, gradient, velocity, rate, momentum)

        return update

    def _adamw(self, bias_correction):
        def update(theta, gradient, state):
            return adamw_update(
                theta,
                gradient,
                state or adamw_init(theta),
                self.adam_rate,
                (self.beta1, self.beta2),
                weight_decay=self.weight_decay,
                bias_correction=bias_correction,
            )

        return update

    def _path(self, update):
        theta, memory = {"theta": np.asarray([self.start_x, self.start_y])}, None
        path = [theta["theta"]]
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(N_STEPS):
                point = Tensor(theta["theta"])
                SURFACES[self.surface](point[0], point[1]).backward()
                theta, memory = update(theta, {"theta": point.grad}, memory)
                path.append(theta["theta"])
        return np.stack(path)

    def picture(self):
        """Draw the paths on the surface, and the losses by step."""
        figure, (plane, curves) = figures.subplots(2, 1, height=6.4)
        self._draw_surface(plane)
        curves.set(yscale="log", ylim=LOSS_SHOWN, xlabel="step", ylabel="loss")
        paths = self.paths
        losses = self._losses_on(paths)
        for name, path in paths.items():
            line, marker = STYLES[name]
            look = {"ls": line, "marker": marker, "ms": 5, "lw": 1.2, "label": name}
            seen = path[: self.step + 1]
            inside = np.all(np.abs(seen) < 1e3, axis=1)  # farther off it diverges
            plane.plot(*seen[inside].T, markevery=[-1], **look)
            curves.plot(losses[name], markevery=[self.step], **look)
        plane.plot(self.start_x, self.start_y, "o", color="black")
        curves.axvline(self.step, color="black", lw=0.8, ls=":")
        if losses:
            curves.legend(fontsize=8)
        return figures.show(figure, self._description(losses))

    def _draw_surface(self, axes):
        x, y = np.meshgrid(np.linspace(*X_LIMITS, 101), np.linspace(*Y_LIMITS, 76))
        heights = SURFACES[self.surface](x, y)
        axes.contour(x, y, heights, LEVELS, colors="black", alpha=0.3, linewidths=0.7)
        axes.set(xlim=X_LIMITS, ylim=Y_LIMITS, aspect="equal")
        axes.set(xlabel="θ₁", ylabel="θ₂")
        axes.grid(False)

    def _description(self, losses):
        if not losses:
            return f"The contour lines of the {self.surface}. No optimizer takes part."
        reached = ", ".join(
            f"{name} {_loss_in_words(values[self.step])}"
            for name, values in losses.items()
        )
        return (
            f"Above, paths from ({self.start_x:g}, {self.start_y:g}) over the contour lines "
            f"of the {self.surface}. Below, the losses on them by step, on a logarithmic "
            f"scale. After {self.step} steps: {reached}."
        )


def _loss_in_words(loss):
    return f"{loss:.2g}" if np.isfinite(loss) else "has diverged"
