"""The widget of chapter 2: how long a gradient is, the further it has gone back in time."""

import numpy as np
import traitlets

from lmmath import figures
from lmmath.neurons import sigmoid, tanh
from lmmath.recurrence import gradient_norms, lstm, lstm_jacobian, rnn, rnn_jacobian
from lmmath.widgets.kit.base import Array, Finite, Widget, module, style

# Each activation, and gamma, the steepest slope that it has anywhere.
ACTIVATIONS = {"tanh": (tanh, 1.0), "sigmoid": (sigmoid, 0.25), "none": (None, 1.0)}
N_STEPS, D = 50, 16  # of the networks that it shows if not given others
LENGTHS_SHOWN = (1e-20, 1e10)
DASHES = ("-", "--", "-.")


class RecurrenceWidget(Widget):
    r"""The length of a gradient on its way back through untrained recurrent networks.

    Two networks have the same largest singular value. One has a random W, with singular values
    of all sizes; the other an orthogonal one times a number, so that all are equal. Beside their
    gradients stands the bound :math:`(\gamma \sigma_{\max})^k`. An LSTM that reads the same
    inputs can be shown too, and beside it :math:`\sigma(b_f)^k`, what its cell alone would keep.

    Everything shown is a trait: read it, set it, observe it, link it.

    Parameters
    ----------
    sigma_max : float
        The largest singular value of both matrices W, from 0.25 to 8.
    activation : str
        ``"tanh"``, ``"sigmoid"`` or ``"none"``. Sigmoids get a bias that lets them work around
        the middle of their range.
    lstm : bool
        Whether the LSTM is shown.
    forget_bias : float
        The bias of its forget gates, from 0 to 6. Its other biases are 0.
    inputs : array, shape (n, d)
        What all networks read. The simple ones have a neuron for each of the d numbers.
    weights : array, shape (2, d, d)
        The random W and the orthogonal one, each with a largest singular value of 1.
    lstm_weights : array, shape (2, d, 4 * d)
        The LSTM's weights ``w_x`` and ``w_h``.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not fit together.

    Examples
    --------
    Without an activation, an orthogonal W reaches the bound:

    >>> widget = RecurrenceWidget(sigma_max=1.1, activation="none")
    >>> widget.bound[10].round(3), widget.norms["orthogonal"][10].round(3)
    (np.float64(2.594), np.float64(2.594))
    """

    _esm = module("recurrence.js")
    _css = style("recurrence.css")

    sigma_max = Finite(1.5, min=0.25, max=8)
    activation = traitlets.Enum(list(ACTIVATIONS), "tanh").tag(sync=True)
    lstm = traitlets.Bool(False).tag(sync=True)
    forget_bias = Finite(1.0, min=0, max=6)

    inputs = Array(n_axes=2)
    weights = Array(n_axes=3)
    lstm_weights = Array(n_axes=3)

    @traitlets.default("inputs")
    def _default_inputs(self):
        return 0.3 * np.random.default_rng(0).normal(size=(N_STEPS, D))

    @traitlets.default("weights")
    def _default_weights(self):
        u, s, vt = np.linalg.svd(np.random.default_rng(1).normal(size=(D, D)))
        return np.stack([(u * (s / s[0])) @ vt, u @ vt])

    @traitlets.default("lstm_weights")
    def _default_lstm_weights(self):
        limit = 1 / np.sqrt(D)
        return np.random.default_rng(2).uniform(-limit, limit, size=(2, D, 4 * D))

    def __init__(self, **traits):
        super().__init__(**traits)
        self._require_shapes_that_fit()

    def _require_shapes_that_fit(self):
        n, d = self.inputs.shape
        if n == 0:
            raise ValueError(f"inputs must hold at least one step, got shape {(n, d)}")
        for name, shape in {
            "weights": (2, d, d),
            "lstm_weights": (2, d, 4 * d),
        }.items():
            came = getattr(self, name).shape
            if came != shape:
                raise ValueError(f"{name} must have shape {shape}, got {came}")

    @property
    def bound(self):
        r"""What (2.6) allows, :math:`(\gamma\sigma_{\max})^k`: shape (n + 1,), by distance."""
        gamma = ACTIVATIONS[self.activation][1]
        return (gamma * self.sigma_max) ** self._distances

    @property
    def along_cell(self):
        r"""What the cell alone would keep, :math:`\sigma(b_f)^k`: shape (n + 1,), by distance."""
        return sigmoid(np.asarray(self.forget_bias)) ** self._distances

    @property
    def norms(self):
        """The lengths of the gradients shown, by name: arrays of shape (n + 1,), by distance."""
        self._require_shapes_that_fit()
        random, orthogonal = self.sigma_max * self.weights
        norms = {"random": self._rnn(random), "orthogonal": self._rnn(orthogonal)}
        return norms | ({"LSTM": self._lstm()} if self.lstm else {})

    @property
    def _distances(self):
        return np.arange(len(self.inputs) + 1)

    def _rnn(self, w_h):
        activation = ACTIVATIONS[self.activation][0]
        d = len(w_h)
        b = -w_h.sum(axis=0) / 2 if activation is sigmoid else np.zeros(d)
        h = rnn(self.inputs, np.eye(d), w_h, b, activation=activation)
        return gradient_norms(_last(d), rnn_jacobian(h, w_h, activation))

    def _lstm(self):
        w_x, w_h = self.lstm_weights
        d = len(w_h)
        b = np.zeros(4 * d)
        b[d : 2 * d] = self.forget_bias
        h, c = (_before(states) for states in lstm(self.inputs, w_x, w_h, b))
        jacobians = lstm_jacobian(self.inputs, h, c, w_x, w_h, b)
        # The loss sees the output only.
        return gradient_norms(np.append(_last(d), np.zeros(d)), jacobians)

    def picture(self):
        """Draw the lengths against the distance, with the bounds beside them."""
        figure, axes = figures.subplots()
        lines = {"bound (γσ_max)^k": (self.bound, "k:")}
        for (name, lengths), dash in zip(self.norms.items(), DASHES, strict=False):
            lines[name if name == "LSTM" else f"{name} W"] = lengths, dash
        if self.lstm:
            lines["cell alone, f^k"] = self.along_cell, "k-."
        for label, (lengths, look) in lines.items():
            axes.semilogy(self._distances, lengths, look, label=label)
        axes.set(
            ylim=LENGTHS_SHOWN, xlabel="steps back", ylabel="length of the gradient"
        )
        axes.legend(fontsize=8)
        return figures.show(figure, self._description())

    def _description(self):
        lengths = {name: f"{norms[-1]:.0e}" for name, norms in self.norms.items()}
        words = [
            f"{lengths['random']} with the random W",
            f"{lengths['orthogonal']} with the orthogonal one",
        ]
        if self.lstm:
            words.append(
                f"{lengths['LSTM']} in the LSTM with forget bias {self.forget_bias:.3g}"
            )
        activation = self.activation if self.activation != "none" else "no activation"
        return (
            "Length of a gradient against the steps back, on a logarithmic axis, for "
            f"networks with {activation} and largest singular value {self.sigma_max:.3g}. "
            f"After {len(self.inputs)} steps the bound is at {self.bound[-1]:.0e} and the "
            f"gradient at {', '.join(words)}."
        )


def _last(d):
    """Give the gradient at the end, of length 1: that of the sum of the state, over √d."""
    return np.full(d, 1 / np.sqrt(d))


def _before(states):
    """Give the states before each step, of which the first is zero."""
    return np.vstack([np.zeros_like(states[:1]), states[:-1]])
