"""What widgets share that show the real model reading a sentence."""

from functools import cache

import numpy as np
import traitlets

from lmmath import figures
from lmmath.experiments.head_roles import head_names
from lmmath.experiments.kept import load_kept
from lmmath.language_models import without_heads
from lmmath.tokenization import BPETokenizer
from lmmath.traces import SENTENCES, last_probabilities, pack, read_trace
from lmmath.weights import load_smollm2
from lmmath.weights.smollm2 import find_smollm2
from lmmath.widgets.kit.base import Widget
from lmmath.widgets.kit.reading import place_of, visible

FIRST = "The cat sat on the mat because it was tired."


class RealReading(Widget):
    """A widget that shows SmolLM2 reading a sentence; its JavaScript is in ``real_reading.js``.

    On the book's site it reads the sentences of ``lmmath.traces`` at once, and any text when the
    reader has loaded the model. In a notebook the kernel answers.

    Parameters
    ----------
    model : Model, optional
        What ``load_smollm2`` gave, if it is loaded already, so that it is not loaded once more.
    sentence : str
        What SmolLM2 reads.
    chat : bool
        Whether the sentence is put to it as a question, in its chat template.
    token : int
        Position of the chosen token, from 0; negative from the end, as in Python.
    real_layer, real_head : int
        Indices of one of its heads, from 0.
    head_off : bool
        Whether that head is switched off.
    stage, feature : int
        A feature of the residual stream after block ``stage``; 0 is before the first block.
    zeroed : bool
        Whether that feature is set to zero.
    without_largest : bool
        Whether angles are taken without the largest feature of the stream.
    """

    sentence = traitlets.Unicode(FIRST).tag(sync=True)
    chat = traitlets.Bool(False).tag(sync=True)
    token = traitlets.Int(8).tag(sync=True)
    real_layer = traitlets.Int(9, min=0).tag(sync=True)
    real_head = traitlets.Int(4, min=0).tag(sync=True)
    head_off = traitlets.Bool(False).tag(sync=True)
    stage = traitlets.Int(12, min=0).tag(sync=True)
    feature = traitlets.Int(507, min=0).tag(sync=True)
    zeroed = traitlets.Bool(False).tag(sync=True)
    without_largest = traitlets.Bool(False).tag(sync=True)

    def __init__(self, model=None, **traits):
        super().__init__(**traits)
        self._loaded = model
        self._readings = {}
        self.on_msg(self._answer)

    @property
    def reading(self):
        """What SmolLM2 does with the sentence: a ``Trace``."""
        text = _as_chat(self.sentence) if self.chat else self.sentence
        if text not in self._readings:
            # If the model is not given it is not kept: a chapter may hold one of its own.
            self._readings = {text: read_trace(*(self._loaded or load_smollm2()), text)}
        return self._readings[text]

    def _answer(self, widget, message, buffers):
        """Answer a view in a notebook: with the sentences, or with a packed trace."""
        try:
            if message["asked"] == "index":
                self.send({"id": message["id"], "index": _index()})
                return
            params, config, tokenizer = self._loaded or _smollm2()
            heads = [tuple(map(int, head.split("."))) for head in message["heads_off"]]
            if heads:
                params = without_heads(config, params, heads)
            text = _as_chat(message["text"]) if message["is_chat"] else message["text"]
            trace = read_trace(params, config, tokenizer, text, _edit(message["zeros"]))
            self.send({"id": message["id"]}, [pack(trace, tokenizer)])
        except (ValueError, TypeError, FileNotFoundError) as problem:
            self.send({"id": message["id"], "problem": str(problem)})

    def _real_pieces(self):
        return [visible(piece) for piece in self.reading.pieces]

    def _real_place(self):
        return place_of(self.token, len(self.reading.tokens))

    def picture_of_attention(self):
        """Draw the heat map of the chosen head of SmolLM2."""
        pieces = self._real_pieces()
        weights = self.reading.attention[self.real_layer, self.real_head]
        figure, axes = figures.subplots(width=4.6, height=4.4)
        figures.heat_map(axes, weights, pieces, pieces)
        axes.set_xlabel("… to this token")
        axes.set_ylabel("from this token …")
        row = weights[self._real_place()]
        most = np.argsort(-row, kind="stable")[:2]
        attends = " and ".join(f"“{pieces[i]}”, {row[i]:.2f}" for i in most)
        return figures.show(
            figure,
            f"Heat map of the attention weights of head {self.real_head + 1} of layer "
            f"{self.real_layer + 1} of SmolLM2, one row and one column for each of "
            f"{len(pieces)} tokens. “{pieces[self._real_place()]}” attends most to {attends}.",
        )

    def picture_of_lens(self):
        """Draw SmolLM2's best guess after each block, the embedding at the bottom."""
        trace, place = self.reading, self._real_place()
        tokenizer = _tokenizer()
        best = trace.lens_ids[:, place, 0]
        sizes = trace.lens_probabilities[:, place, 0]
        names = ["embedding", *(f"block {i}" for i in range(1, len(best)))]
        figure, axes = figures.subplots(height=0.5 + 0.22 * len(names))
        axes.barh(names, sizes, 0.6)
        guesses = [visible(tokenizer.decode([token])) for token in best]
        for height, (guess, size) in enumerate(zip(guesses, sizes, strict=True)):
            axes.text(
                size, height, f" {guess} {size:.2f}", va="center", parse_math=False
            )
        axes.set_xlim(0, 1.4)
        axes.set_xticks([0, 0.5, 1])
        axes.set_xlabel("probability of the best guess")
        axes.grid(axis="y", visible=False)
        return figures.show(
            figure,
            f"SmolLM2's best guess of what follows “{self._real_pieces()[place]}”, with its "
            "probability, as the logit lens reads it off the stream after each block. After the "
            f"last it is “{guesses[-1]}”, {sizes[-1]:.2f}.",
        )

    def picture_of_tokens(self):
        """Draw what each token of the sentence costs SmolLM2, in bits."""
        pieces, bits = self._real_pieces()[1:], self.reading.losses / np.log(2)
        figure, axes = figures.subplots(height=0.6 + 0.28 * len(pieces))
        places = np.arange(len(pieces))
        axes.barh(places, bits, 0.6)
        axes.set_yticks(places, pieces, parse_math=False)
        axes.invert_yaxis()
        axes.set_xlabel("cost of the token in bits")
        dearest = int(np.argmax(bits))
        return figures.show(
            figure,
            f"The {len(pieces)} tokens of “{self.sentence}”, and what each costs SmolLM2. The "
            f"least expected is “{pieces[dearest]}”, {bits[dearest]:.1f} bits.",
        )

    def picture_of_angles(self):
        """Draw the cosines between the tokens' vectors at the chosen stage."""
        pieces = self._real_pieces()
        cosines = self.reading.cosines[int(self.without_largest), self.stage]
        figure, axes = figures.subplots(width=4.6, height=4.4)
        figures.heat_map(axes, np.clip(cosines, 0, 1), pieces, pieces)
        mean = cosines[np.tril_indices(len(pieces), -1)].mean()
        return figures.show(
            figure,
            f"Heat map of the cosines between the vectors of {len(pieces)} tokens in the stream of "
            f"SmolLM2 after block {self.stage}. On average two have {mean:.2f}.",
        )

    def picture_of_next(self, temperature=1.0, n_shown=12):
        """Draw SmolLM2's most probable next tokens."""
        trace, tokenizer = self.reading, _tokenizer()
        listed, rest = last_probabilities(trace, temperature)
        names = [repr(tokenizer.decode([token])) for token in trace.last_ids[:n_shown]]
        others = rest + listed[n_shown:].sum()
        figure, axes = figures.subplots(height=4.2)
        places = np.arange(n_shown + 1)
        axes.barh(places, [*listed[:n_shown], others], 0.6)
        axes.set_yticks(places, [*names, "all others"], parse_math=False)
        axes.invert_yaxis()
        axes.set_xlabel("probability of the next token")
        return figures.show(
            figure,
            f"Bars for SmolLM2's {n_shown} most probable tokens after “{self.sentence}” and for "
            f"all others together, at temperature {temperature:g}. {names[0]} has probability "
            f"{listed[0]:.2f}, all others together {others:.2f}.",
        )


class TwoSubjects(RealReading):
    """A widget on two models: SmolLM2, which people use, and the one that has learned Fable.

    Parameters
    ----------
    subject : {"SmolLM2", "Fable"}
        Which of the two is shown.
    """

    # A published page fetches these only when they are asked for.
    _later = traitlets.List(traitlets.Unicode(), ["weights"]).tag(sync=True)

    subject = traitlets.Enum(["SmolLM2", "Fable"], "SmolLM2").tag(sync=True)


@cache
def _smollm2():
    return load_smollm2()


@cache
def _tokenizer():
    return BPETokenizer.from_gguf(find_smollm2())


def _as_chat(text):
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def _index():
    sentences = [{"label": label, "text": text} for label, text in SENTENCES.items()]
    return {
        "sentences": sentences,
        "heads": head_names(load_kept("head_roles")["scores"]),
    }


def _edit(zeros):
    """Make of "set these features to zero" what ``lmmath.language_models.trace`` takes."""
    if not zeros:
        return None

    def edit(stage, x):
        for zero in zeros:
            if zero["stage"] == stage:
                x = x.copy()
                x[..., zero["feature"]] = 0
        return x

    return edit
