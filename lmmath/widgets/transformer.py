"""The widget of chapter 5: go up the stack of a trained model, see a word being decided."""

from math import prod

import numpy as np
import traitlets

from lmmath import figures
from lmmath.attention import softmax
from lmmath.traces import SENTENCES
from lmmath.transformer import (
    causal_self_attention,
    gpt_shapes,
    gpt_trace,
    layer_norm,
    logit_lens,
)
from lmmath.transformer.parameters import subset
from lmmath.widgets.kit.base import module, style
from lmmath.widgets.kit.reading import ReadingWidget, name_of, place_of
from lmmath.widgets.kit.real_reading import TwoSubjects


class TransformerWidget(TwoSubjects, ReadingWidget):
    """The steps of a trained GPT, and what the logit lens reads off the stream after each.

    Everything shown is a trait: read it, set it, observe it, link it.

    Parameters
    ----------
    text : str
        What the model reads, after a line break. Of a long text it reads the beginning.
    position : int
        Position of the token after which the next is guessed, from 0, which is the line break;
        negative from the end, as in Python.
    step : int
        Index of the step shown, from 0, the embedding.
    weights, tokenizer
        As in ``ModelWidget``.

    Examples
    --------
    >>> widget = TransformerWidget()
    >>> widget.pieces[widget.place - 1 : widget.place + 1]
    ['Kali', 'the']
    >>> names = list(widget.steps)
    >>> names[4], widget.best_guesses[4]
    ('block 2 feed-forward', 'mouse')
    >>> names[6], widget.best_guesses[6]
    ('block 3 feed-forward', 'dog')
    """

    _esm = module("transformer.js")
    _css = style("transformer.css")

    sentence = traitlets.Unicode(SENTENCES["a fact"]).tag(sync=True)
    token = traitlets.Int(-1).tag(sync=True)
    text = traitlets.Unicode(
        "Leka the mouse lived in the desert. "
        "One day Leka met Kali the dog near the river."
    ).tag(sync=True)
    position = traitlets.Int(14).tag(sync=True)
    step = traitlets.Int(4, min=0).tag(sync=True)

    @property
    def steps(self):
        """The model's steps from the bottom up: for each, the shapes of its own parameters."""
        _, config, _ = self.model
        prefixes = {"embedding": ("wte.", "wpe.")}
        for i in range(config.n_layers):
            prefixes |= {
                f"block {i + 1} attention": (f"h.{i}.ln_1.", f"h.{i}.attn."),
                f"block {i + 1} feed-forward": (f"h.{i}.ln_2.", f"h.{i}.mlp."),
            }
        # The unembedding has none: it is the embedding's matrix once more.
        prefixes |= {"final norm": ("ln_f.",), "unembedding": ()}
        shapes = gpt_shapes(config).items()
        return {
            step: {name: shape for name, shape in shapes if name.startswith(starts)}
            for step, starts in prefixes.items()
        }

    @property
    def n_parameters(self):
        """How many parameters each step has of its own: a dict of str to int."""
        return {
            step: sum(prod(shape) for shape in shapes.values())
            for step, shapes in self.steps.items()
        }

    @property
    def place(self):
        """Where the token stands after which the next is guessed, from 0."""
        return place_of(self.position, len(self.tokens))

    @property
    def probabilities(self):
        """What the lens reads off the stream after each step: an array (n_steps, vocab_size).

        The last two steps are the lens itself, so they change nothing.
        """
        params, config, _ = self.model
        stream = _stream(params, self.tokens, config)[:, self.place]
        lens = softmax(logit_lens(stream, params, config))
        return lens[[*range(len(lens)), -1, -1]]

    @property
    def best_guesses(self):
        """The likeliest next token after each step, as the page writes it: a list of str."""
        best = np.argmax(self.probabilities, axis=1)
        return [name_of(token, self.tokenizer) for token in best]

    def picture(self):
        """Draw the best guess after each step, the embedding at the bottom."""
        if self.subject == "SmolLM2":
            return self.picture_of_lens()
        names, guesses = list(self.steps), self.best_guesses
        sizes = np.max(self.probabilities, axis=1)
        figure, axes = figures.subplots(height=0.5 + 0.3 * len(names))
        chosen = min(self.step, len(names) - 1)
        colors = [figures.BLUE] * len(names)
        colors[chosen] = figures.VERMILION
        axes.barh(names, sizes, 0.6, color=colors)
        for height, (guess, size) in enumerate(zip(guesses, sizes, strict=True)):
            words = f" {guess} {size:.2f}"
            axes.text(size, height, words, va="center", parse_math=False)
        axes.set_xlim(0, 1.4)
        axes.set_xticks([0, 0.5, 1])
        axes.set_xlabel("probability of the best guess")
        axes.grid(axis="y", visible=False)
        said = ", ".join(
            f"{name} “{guess}” {size:.2f}"
            for name, guess, size in zip(names, guesses, sizes, strict=True)
        )
        return figures.show(
            figure,
            f"The best guess of what follows “{self.pieces[self.place]}”, with its "
            f"probability, as the logit lens reads it off the stream after each step: {said}.",
        )


def _stream(params, tokens, config):
    """Give the stream after the embedding and each half of a block: (2 n_layers + 1, n, d)."""
    residuals, _ = gpt_trace(params, tokens, config)
    stream = [residuals[0]]
    for i in range(config.n_layers):
        block = subset(params, f"h.{i}.")
        read = layer_norm(residuals[i], **subset(block, "ln_1."), eps=config.eps)
        written, _ = causal_self_attention(read, subset(block, "attn."), config.n_heads)
        stream += [residuals[i] + written, residuals[i + 1]]
    return np.stack(stream)
