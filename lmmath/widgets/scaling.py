"""The widget of chapter 7: split a budget between parameters and data."""

from functools import cache
from itertools import cycle

import numpy as np
import traitlets

from lmmath import figures
from lmmath.scaling import (
    BESIROGLU_2024,
    HOFFMANN_2022,
    KAPLAN_2020,
    ChinchillaLaw,
    KaplanLaw,
    chinchilla_loss,
    compute_optimal,
    fit_chinchilla,
    kaplan_loss,
)
from lmmath.scaling.sweep import read_sweep
from lmmath.widgets.kit.base import Array, Finite, Widget, module

FABLE = "Fable"  # the name of the law that is fitted to the book's own runs
PUBLISHED = {
    "Kaplan 2020": KAPLAN_2020,
    "Hoffmann 2022": HOFFMANN_2022,
    "Besiroglu 2024": BESIROGLU_2024,
}
# Parameters and tokens, as Brown et al. (2020), Rae et al. (2021), Hoffmann et al. (2022) and
# Touvron et al. (2023) give them.
MODELS = {
    "GPT-3": (175e9, 300e9),
    "Gopher": (280e9, 300e9),
    "Chinchilla": (70e9, 1.4e12),
    "Llama 2": (70e9, 2e12),
}
# What is drawn: parameters, tokens, losses; of published models, of the book's runs.
RANGES = {
    False: ((1e8, 1e13), (1e9, 1e14), (1.2, 3.6)),
    True: ((2e3, 2e6), (5e3, 5e6), (0.4, 2.8)),
}
BEST = {"marker": "D", "color": figures.GREEN, "linestyle": "none"}
HERE = {"marker": "o", "color": figures.VERMILION, "linestyle": "none"}


class Laws(traitlets.Dict):
    """A trait that holds scaling laws by name, and reaches JavaScript as their constants."""

    def __init__(self):
        super().__init__()
        self.tag(sync=True, to_json=self._to_json, from_json=self._from_json)

    def validate(self, widget, value):
        """Accept laws of the two kinds that there are."""
        value = super().validate(widget, value)
        for name, law in value.items():
            if not isinstance(law, ChinchillaLaw | KaplanLaw):
                raise traitlets.TraitError(
                    f"{self.name} must be ChinchillaLaws and KaplanLaws, "
                    f"got {type(law).__name__} for {name!r}"
                )
        return value

    @staticmethod
    def _to_json(laws, widget):
        return {name: law._asdict() for name, law in laws.items()}

    @staticmethod
    def _from_json(constants, widget):
        kinds = {True: ChinchillaLaw, False: KaplanLaw}
        return {name: kinds["E" in law](**law) for name, law in constants.items()}


class ScalingWidget(Widget):
    """A budget of operations, split between the parameters of a model and its text.

    Parameters
    ----------
    law : str
        The name of the law by which the loss is computed, one of ``laws``.
    flops : float
        The budget, from 1e20 to 1e26 operations.
    fable_flops : float
        The budget on Fable, from 1e9 to 1e13 operations: it counts if ``law`` is "Fable", the
        one that is fitted to the book's own runs.
    tokens_per_param : float
        How the budget is split: the ratio of tokens to parameters.
    laws : dict of str to ChinchillaLaw or KaplanLaw
    models : dict of str to (float, float)
        Published models, their parameters and tokens.
    runs : array, shape (n_runs, 3)
        Parameters, tokens and loss of the book's own runs.
    floor : float
        The exact floor of their losses.

    Examples
    --------
    >>> widget = ScalingWidget(law="Hoffmann 2022", flops=5.76e23, tokens_per_param=20)
    >>> n_params, n_tokens = widget.split
    >>> print(f"{n_params:.2e} parameters, {n_tokens:.2e} tokens: loss {widget.loss:.3f}")
    6.93e+10 parameters, 1.39e+12 tokens: loss 1.937
    >>> print(f"at best {widget.best_loss:.3f}, with {widget.best_split[0]:.2e} parameters")
    at best 1.931, with 3.22e+10 parameters
    """

    _esm = module("scaling.js")

    law = traitlets.Unicode("Kaplan 2020").tag(sync=True)
    flops = Finite(6 * 280e9 * 300e9, min=1e20, max=1e26)  # Gopher's
    fable_flops = Finite(1e11, min=1e9, max=1e13)
    tokens_per_param = Finite(300 / 280, min=1e-9, max=1e9)
    laws = Laws()
    models = traitlets.Dict(MODELS).tag(sync=True)
    runs = Array(n_axes=2)
    floor = Finite(min=0)

    @traitlets.default("laws")
    def _default_laws(self):
        return PUBLISHED | {FABLE: _fitted(self.runs.tobytes())}

    @traitlets.default("runs")
    def _default_runs(self):
        columns = ("n_params", "n_tokens", "loss")
        return np.asarray([[run[name] for name in columns] for run in read_sweep()])

    @traitlets.default("floor")
    def _default_floor(self):
        return read_sweep()[0]["floor"]

    @traitlets.validate("law")
    def _one_of_the_laws(self, proposal):
        if proposal.value not in self.laws:
            raise traitlets.TraitError(
                f"law must be one of {', '.join(self.laws)}, got {proposal.value!r}"
            )
        return proposal.value

    @traitlets.validate("runs")
    def _three_columns(self, proposal):
        n_runs, n_columns = proposal.value.shape
        if n_runs < 1 or n_columns != 3:
            raise traitlets.TraitError(
                "runs must have a row (parameters, tokens, loss) for each run, "
                f"got shape {proposal.value.shape}"
            )
        return proposal.value

    @property
    def budget(self):
        """The budget shown, in operations."""
        return self.fable_flops if self.law == FABLE else self.flops

    @property
    def split(self):
        """The number of parameters and of tokens that it is split into."""
        n_params = (self.budget / 6 / self.tokens_per_param) ** 0.5
        return n_params, self.budget / 6 / n_params

    @property
    def loss(self):
        """The loss of that split by the law, in nats per token."""
        return float(self._loss(*self.split))

    @property
    def best_split(self):
        """The number of parameters and of tokens for which the budget buys the lowest loss."""
        n_params, n_tokens = compute_optimal(self._law_of_sum, self.budget)
        return float(n_params), float(n_tokens)

    @property
    def best_loss(self):
        """The lowest loss that the budget buys by the law, in nats per token."""
        return float(self._loss(*self.best_split))

    @property
    def _law_of_sum(self):
        """The law; for Kaplan's, one with the same best split: the sum in its brackets."""
        law = self.laws[self.law]
        if isinstance(law, ChinchillaLaw):
            return law
        alpha = law.alpha_n / law.alpha_d
        return ChinchillaLaw(0, law.n_c**alpha, law.d_c, alpha, 1)

    def _loss(self, n_params, n_tokens):
        law = self.laws[self.law]
        formula = chinchilla_loss if isinstance(law, ChinchillaLaw) else kaplan_loss
        return formula(n_params, n_tokens, law)

    def picture(self):
        """Draw the plane of parameters and tokens, and the loss along the budget's line."""
        figure, (plane, valley) = figures.subplots(rows=2, height=6.8)
        parameters, tokens, losses = RANGES[self.law == FABLE]
        n, d = np.geomspace(*parameters, 101), np.geomspace(*tokens, 101)
        self._draw_plane(plane, n, d)
        valley.semilogx(n, self._loss(n, self.budget / 6 / n))
        valley.plot(self.best_split[0], self.best_loss, **BEST)
        valley.plot(self.split[0], self.loss, **HERE)
        valley.set(xlim=parameters, ylim=losses)
        valley.set(xlabel="parameters N", ylabel="loss on this budget, nats per token")
        return figures.show(figure, self._description())

    def _draw_plane(self, axes, n, d):
        style = {"colors": "black", "linewidths": 0.7, "linestyles": ":"}
        axes.set(xscale="log", yscale="log", xlim=n[[0, -1]], ylim=d[[0, -1]])
        curves = axes.contour(n, d, self._loss(n, d[:, None]), levels=8, **style)
        axes.clabel(curves, fontsize=7)
        axes.plot(n, self.budget / 6 / n, label="this budget")
        if self.law == FABLE:
            axes.plot(*self.runs.T[:2], "ok", markersize=4, label="runs")
        else:
            for (name, split), marker in zip(self.models.items(), cycle("os^D")):
                axes.plot(*split, marker + "k", markersize=5, label=name)
        axes.plot(*self.best_split, **BEST, label="best split")
        axes.plot(*self.split, **HERE, label="this split")
        axes.set(xlabel="parameters N", ylabel="tokens D")
        axes.legend(fontsize=7)

    def _description(self):
        splits = [
            f"{n_params:.3g} parameters on {n_tokens:.3g} tokens"
            for n_params, n_tokens in (self.split, self.best_split)
        ]
        return (
            "Above, the plane of parameters and tokens with curves of equal loss by the law "
            f"“{self.law}”, and the line of the budget, {self.budget:.3g} operations. Below, "
            f"the loss along that line. {splits[0]} have the loss {self.loss:.3f}; the best "
            f"split, {splits[1]}, has {self.best_loss:.3f}."
        )


@cache
def _fitted(runs):
    """Fit a law to the bytes of an array of runs; it takes a moment."""
    return fit_chinchilla(*np.frombuffer(runs).reshape(-1, 3).T)
