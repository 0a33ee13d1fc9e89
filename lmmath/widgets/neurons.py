"""The widget of chapter 1: move the lines of neurons, or let them find their places."""

from collections.abc import Mapping

import numpy as np
import traitlets
from matplotlib.colors import to_rgb

from lmmath import figures
from lmmath.neurons import gelu, mlp, relu, sigmoid, tanh
from lmmath.widgets.kit import points
from lmmath.widgets.kit.base import Array, Widget, module, style

ACTIVATIONS = {"sigmoid": sigmoid, "tanh": tanh, "relu": relu, "gelu": gelu}
MOST_HIDDEN = 8  # the lines of more would hide each other
PLANE = (-0.5, 1.5)  # what is shown, in both directions

# From sure of 0 to sure of 1: ten shades of two colours.
_SHADES = [
    (*to_rgb(figures.VERMILION if output < 0.5 else figures.BLUE), abs(output - 0.5))
    for output in np.linspace(0.05, 0.95, 10)
]


class Params(traitlets.TraitType):
    """A trait that holds the parameters of a network of two inputs and one output.

    They have the names and shapes that ``mlp`` takes, and reach JavaScript as nested lists.
    """

    def __init__(self):
        super().__init__()
        self.tag(sync=True, to_json=self._to_json)

    def validate(self, widget, value):
        """Accept a single neuron, or a hidden layer and an output behind it."""
        if not isinstance(value, Mapping):
            raise traitlets.TraitError(
                f"{self.name} must be a dict of arrays, got {type(value).__name__}"
            )
        try:
            params = {
                name: np.array(array, dtype=float) for name, array in value.items()
            }
            outputs = mlp(params, np.zeros((1, 2)))
        except (TypeError, ValueError) as error:
            raise traitlets.TraitError(
                f"{self.name} must be what mlp takes for two inputs: {error}"
            ) from None
        n_hidden = _hidden(params)
        for wrong, expected, got in (
            (outputs.shape[1] > 1, "one output", outputs.shape[1]),
            (len(params) > 4, "at most one hidden layer", len(params) // 2 - 1),
            (n_hidden > MOST_HIDDEN, f"at most {MOST_HIDDEN} hidden neurons", n_hidden),
        ):
            if wrong:
                raise traitlets.TraitError(
                    f"{self.name} must have {expected}, got {got}"
                )
        if not all(np.all(np.isfinite(array)) for array in params.values()):
            raise traitlets.TraitError(
                f"{self.name} must be finite, got NaN or infinity"
            )
        for array in params.values():
            array.setflags(write=False)  # a change in place would not reach the page
        return params

    @staticmethod
    def _to_json(params, widget):
        return {name: array.tolist() for name, array in params.items()}


def _hidden(params):
    return len(params["0.bias"]) if "1.bias" in params else 0


class NeuronsWidget(Widget):
    """A neuron, or a hidden layer of a few and one behind them, at work on points of a plane.

    The output is ``sigmoid(mlp(params, x, activation))``. Everything shown is a trait: read it,
    set it, observe it, link it.

    Parameters
    ----------
    params : dict of array
        The weights and biases, as ``mlp`` takes them. ``"0.weight"`` of shape (2, 1) and
        ``"0.bias"`` are a single neuron; with ``"1.weight"`` and ``"1.bias"`` the first layer
        is a hidden layer, of at most 8 neurons.
    activation : {"tanh", "sigmoid", "relu", "gelu"}
        That of the hidden layer.
    neuron : int
        Index of the neuron that is in the reader's hand.
    data : int
        Index of the points shown.
    data_names : list of str
    points : array, shape (n_data, n_points, 2)
        The inputs. Shown is the square from -0.5 to 1.5.
    targets : array, shape (n_data, n_points)
        What the output shall be at each point, 0 or 1.

    Examples
    --------
    >>> widget = NeuronsWidget()
    >>> widget.n_hidden, widget.n_right, round(widget.error, 3)
    (0, 75, 0.264)
    """

    _esm = module("neurons.js")
    _css = style("neurons.css")

    params = Params()
    activation = traitlets.Enum(list(ACTIVATIONS), "tanh").tag(sync=True)
    neuron = traitlets.Int(0, min=0).tag(sync=True)

    data = traitlets.Int(0, min=0).tag(sync=True)
    data_names = traitlets.List(traitlets.Unicode(), points.NAMES).tag(sync=True)
    points = Array(n_axes=3)
    targets = Array(n_axes=2)

    @traitlets.default("params")
    def _default_params(self):
        return {"0.weight": [[4.0], [4.0]], "0.bias": [-2.0]}

    @traitlets.default("points")
    def _default_points(self):
        return points.POINTS

    @traitlets.default("targets")
    def _default_targets(self):
        return points.TARGETS

    def __init__(self, **traits):
        super().__init__(**traits)
        self._require_data_that_fit()

    def _require_data_that_fit(self):
        n_data = len(self.data_names)
        for name, array, expected in (
            ("points", self.points, (n_data, self.points.shape[1], 2)),
            ("targets", self.targets, self.points.shape[:2]),
        ):
            if array.shape != expected:
                raise ValueError(
                    f"{name} must have shape {expected}, got {array.shape}"
                )
        if not np.all(np.isin(self.targets, (0, 1))):
            raise ValueError("targets must be 0 or 1, got other numbers")
        if self.data >= n_data:
            raise ValueError(f"data must be less than {n_data}, got {self.data}")

    def _output(self, x):
        return sigmoid(mlp(self.params, x, ACTIVATIONS[self.activation]))[..., 0]

    @property
    def n_hidden(self):
        """The number of hidden neurons; 0 for a single neuron."""
        return _hidden(self.params)

    @property
    def outputs(self):
        """The output at each point shown: an array, shape (n_points,)."""
        self._require_data_that_fit()
        return self._output(self.points[self.data])

    @property
    def error(self):
        """The mean squared error over the points shown."""
        return float(np.mean((self.outputs - self.targets[self.data]) ** 2))

    @property
    def n_right(self):
        """How many points are on the right side: their output is above 1/2 if they ask for 1."""
        return int(np.sum((self.outputs > 0.5) == (self.targets[self.data] == 1)))

    def picture(self):
        """Draw the plane, shaded by the output, and the points."""
        figure, axes = figures.subplots(width=3.6, height=3.5)
        ticks = np.linspace(*PLANE, 61)
        x1, x2 = np.meshgrid(ticks, ticks)
        heights = self._output(np.stack([x1, x2], axis=-1))
        axes.contourf(x1, x2, heights, np.linspace(0, 1, 11), colors=_SHADES)
        axes.contour(x1, x2, heights, [0.5], colors="black")
        points, ones = self.points[self.data], self.targets[self.data] == 1
        axes.plot(*points[ones].T, "o", ms=4, color=figures.BLUE)
        axes.plot(*points[~ones].T, "s", ms=4, color=figures.VERMILION)
        axes.set(xlim=PLANE, ylim=PLANE, xlabel="$x_1$", ylabel="$x_2$")
        axes.set(xticks=[0, 1], yticks=[0, 1])
        axes.set_aspect("equal")
        return figures.show(figure, self._description())

    def _description(self):
        who = {0: "A single neuron has", 1: "1 hidden neuron has"}.get(
            self.n_hidden, f"{self.n_hidden} hidden neurons have"
        )
        return (
            f"A plane of two inputs, shaded by the output. {who} {self.n_right} of "
            f"{len(self.outputs)} points of “{self.data_names[self.data]}” on the right side of "
            f"the boundary; the mean squared error is {self.error:.3f}."
        )
