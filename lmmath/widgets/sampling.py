"""The widget of chapter 9: draw a text token by token, from a model whose truth is known."""

import numpy as np
import traitlets

from lmmath import figures
from lmmath.attention import entropy, softmax
from lmmath.fable import next_token_probabilities
from lmmath.sampling import (
    mass_left_out,
    min_p_filter,
    temperature_softmax,
    top_k_filter,
    top_p_filter,
)
from lmmath.traces import SENTENCES
from lmmath.transformer import gpt
from lmmath.widgets.engines.fable import language
from lmmath.widgets.kit.base import Finite, module, style
from lmmath.widgets.kit.language_model import ModelWidget
from lmmath.widgets.kit.real_reading import TwoSubjects

N_SHOWN = 12  # tokens with a bar of their own


class SamplingWidget(TwoSubjects, ModelWidget):
    """The next token: what a model says, what is true, what is left after truncation.

    The model reads a line break, ``text``, and the tokens drawn so far. Of a text longer than
    it can see, it reads the end.

    Parameters
    ----------
    text : str
        The beginning of the story.
    drawn : list of int
        The tokens drawn since, or picked by hand.
    temperature : float
        As in ``lmmath.sampling.sample``, from 0.01 to 100.
    top_k : int
        As there. All tokens are kept if it is no less than the size of the vocabulary.
    top_p, min_p : float
        As there.
    seed : int
        Of the uniform numbers with which tokens are drawn.
    weights, tokenizer
        Another model, as in ``ModelWidget``.

    Examples
    --------
    >>> widget = SamplingWidget(text="Leka the mouse lived in the desert. She", top_p=0.9)
    >>> int(widget.kept.sum()), round(float(widget.mass_left_out), 3)
    (3, 0.039)
    >>> widget.tokenizer.decode([np.argmax(widget.truth)])
    ' ate'
    """

    _esm = module("sampling.js")
    _css = style("sampling.css")

    sentence = traitlets.Unicode(SENTENCES["a fact"]).tag(sync=True)
    token = traitlets.Int(-1).tag(sync=True)
    text = traitlets.Unicode(
        "Leka the mouse lived in the desert. One day Leka met"
    ).tag(sync=True)
    drawn = traitlets.List(traitlets.Int(min=0)).tag(sync=True)
    temperature = Finite(1.0, min=0.01, max=100)
    top_k = traitlets.Int(512, min=1).tag(sync=True)
    top_p = Finite(1.0, min=0.01, max=1)
    min_p = Finite(0.0, min=0, max=1)
    seed = traitlets.Int(9, min=0, max=999_999).tag(sync=True)
    language = traitlets.Dict(read_only=True).tag(sync=True)

    @traitlets.default("language")
    def _default_language(self):
        return language()

    @property
    def tokens(self):
        """All tokens of the text, the line break before it included."""
        typed = self.tokenizer.encode(self.text)
        return [*self.tokenizer.encode("\n"), *typed, *self.drawn]

    @property
    def story(self):
        """The text with what was drawn."""
        return self.text + self.tokenizer.decode(self.drawn)

    @property
    def logits(self):
        """What the model says of the next token: an array, shape (vocab_size,)."""
        params, config, _ = self.model
        seen = np.asarray(window(self.tokens, config.n_positions))
        return gpt(params, seen, config)[-1].astype(float)

    @property
    def probabilities(self):
        """The model's probabilities at the temperature, over the whole vocabulary."""
        return temperature_softmax(self.logits, self.temperature)

    @property
    def drawn_from(self):
        """The probabilities from which a token is drawn: zero for those left out."""
        return softmax(self._filtered)

    @property
    def kept(self):
        """Which tokens the truncation keeps: an array of bool, shape (vocab_size,)."""
        return np.isfinite(self._filtered)

    @property
    def mass_left_out(self):
        """The probability, by the model at the temperature, of the tokens left out."""
        return mass_left_out(self._cooled, self._filtered)

    @property
    def truth(self):
        """The true probabilities, or None if Fable cannot produce the text."""
        try:
            return next_token_probabilities(self.tokens[1:], self.tokenizer)
        except ValueError:
            return None

    @property
    def _cooled(self):
        return self.logits / self.temperature

    @property
    def _filtered(self):
        kept = top_p_filter(top_k_filter(self._cooled, self.top_k), self.top_p)
        return min_p_filter(kept, self.min_p)

    def picture(self):
        """Draw the most probable next tokens, the model's bar beside the true one."""
        if self.subject == "SmolLM2":
            return self.picture_of_next(self.temperature)
        model, truth, kept = self.probabilities, self.truth, self.kept
        top = np.argsort(-model, kind="stable")[:N_SHOWN]
        others = np.setdiff1d(np.arange(len(model)), top)
        names = [repr(self.tokenizer.decode([token])) for token in top]
        places = np.arange(len(top) + 1)
        figure, axes = figures.subplots(height=4.2)
        bars = axes.barh(places - 0.2, _with_rest(model, top, others), 0.38)
        for bar, is_kept in zip(bars, [*kept[top], kept[others].any()], strict=True):
            bar.set_alpha(1 if is_kept else 0.4)
        bars.set_label("model")
        if truth is not None:
            axes.barh(
                places + 0.2,
                _with_rest(truth, top, others),
                0.34,
                fill=False,
                edgecolor=figures.VERMILION,
                lw=1.5,
                label="truth",
            )
        axes.set_yticks(places, [*names, "all others"], parse_math=False)
        axes.invert_yaxis()
        axes.set_xlabel("probability of the next token")
        axes.legend()
        return figures.show(figure, self._description(model, truth, top[0]))

    def _description(self, model, truth, best):
        token = self.tokenizer.decode([best]).strip() or "a line break or a space"
        if truth is None:
            true = "Fable cannot produce this text, so there is no true one beside it"
        else:
            true = f"its true probability is {truth[best]:.2f}"
        return (
            f"Bars for the {N_SHOWN} most probable tokens after the story so far, and for all "
            f"others together, at temperature {self.temperature:g}. “{token}” has probability "
            f"{model[best]:.2f}; {true}. {self.kept.sum()} of {len(model)} tokens are kept for "
            f"drawing, {self.mass_left_out:.3f} of the probability is left out, and the entropy "
            f"is {entropy(self.drawn_from):.2f} nats."
        )


def window(tokens, n_positions):
    """Cut a text to the end that the model sees.

    It moves on by half its length at a time, so that what was read stays useful meanwhile.

    >>> window(list(range(5)), n_positions=4), window(list(range(7)), n_positions=4)
    ([2, 3, 4], [4, 5, 6])
    """
    half = n_positions // 2 or 1
    too_many = max(0, len(tokens) - n_positions)
    return tokens[-(-too_many // half) * half :]


def _with_rest(probabilities, top, others):
    return [*probabilities[top], probabilities[others].sum()]
