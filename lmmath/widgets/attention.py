"""The widget of chapter 3: type a sentence, see which word attends to which."""

from itertools import groupby
from unicodedata import category

import numpy as np
import traitlets

from lmmath import figures, handmade
from lmmath.attention import attention_weights, causal_mask
from lmmath.widgets._base import Array, Widget, module

MOST_TOKENS = 512  # a heat map of more would show nothing
MOST_TOKENS_PRINTED = 24  # what is legible on paper


def tokenize(text):
    """Split a text into words and runs of other signs.

    A stand-in for a real tokenizer, simple enough to be the same in Python and JavaScript:
    a word is a run of letters, marks and digits; spaces and control characters only separate.

    >>> tokenize("Ça va, you two? 🦊🦊")
    ['Ça', 'va', ',', 'you', 'two', '?', '🦊🦊']
    """
    return [
        "".join(run) for kind, run in groupby(text, _kind_of_sign) if kind != "space"
    ]


def _kind_of_sign(sign):
    kind = category(sign)
    if kind[0] == "Z" or kind == "Cc":
        return "space"
    return "word" if kind[0] in "LMN" else "other"


class AttentionWidget(Widget):
    """One attention layer, head by head, on a sentence of the reader's.

    Everything shown is a trait: read it, set it, observe it, link it. The model comes in through
    traits too, so that another one is only other data.

    Parameters
    ----------
    text : str
        The sentence. Its first 512 tokens are used.
    query : int
        Position of the token whose attention is shown, from 0.
    head : int
        Index of the head.
    causal : bool
        Whether the causal mask is on.
    scaled : bool
        Whether scores are divided by the square root of ``d_head``.
    vocabulary : list of str
        The words that have a vector, in lower case.
    embeddings : array, shape (len(vocabulary), d_model)
        Their vectors. Other words get zeros.
    head_names : list of str
    w_q, w_k : array, shape (n_heads, d_model, d_head)
        The heads' matrices.

    Examples
    --------
    >>> widget = AttentionWidget(text="Tom saw the boat and it sank.", query=5)
    >>> widget.tokens[5], widget.tokens[3]
    ('it', 'boat')
    >>> float(widget.weights[5, 3].round(3))
    0.742
    """

    _esm = module("attention.js")

    text = traitlets.Unicode("Anna lent Tom the book because she had finished it.").tag(
        sync=True
    )
    query = traitlets.Int(6, min=0).tag(sync=True)
    head = traitlets.Int(0, min=0).tag(sync=True)
    causal = traitlets.Bool(False).tag(sync=True)
    scaled = traitlets.Bool(True).tag(sync=True)

    vocabulary = traitlets.List(traitlets.Unicode(), handmade.VOCABULARY).tag(sync=True)
    embeddings = Array(n_axes=2)
    head_names = traitlets.List(traitlets.Unicode(), handmade.HEAD_NAMES).tag(sync=True)
    w_q = Array(n_axes=3)
    w_k = Array(n_axes=3)

    @traitlets.default("embeddings")
    def _default_embeddings(self):
        return handmade.EMBEDDINGS

    @traitlets.default("w_q")
    def _default_w_q(self):
        return handmade.W_Q

    @traitlets.default("w_k")
    def _default_w_k(self):
        return handmade.W_K

    def __init__(self, **traits):
        super().__init__(**traits)
        self._require_model_that_fits()

    def _require_model_that_fits(self):
        n_heads, (n_words, d_model) = len(self.head_names), self.embeddings.shape
        if n_words != len(self.vocabulary):
            raise ValueError(
                "embeddings must have one row for each word of vocabulary, "
                f"got {n_words} rows and {len(self.vocabulary)} words"
            )
        expected = (n_heads, d_model, self.w_q.shape[2])
        for name, w in {"w_q": self.w_q, "w_k": self.w_k}.items():
            if w.shape != expected:
                raise ValueError(
                    f"{name} must have shape (n_heads, d_model, d_head) = {expected}, "
                    f"got {w.shape}"
                )
        if self.head >= n_heads:
            raise ValueError(f"head must be less than {n_heads}, got {self.head}")

    @property
    def tokens(self):
        """The tokens of ``text`` that are shown."""
        return tokenize(self.text)[:MOST_TOKENS]

    @property
    def weights(self):
        """The attention weights shown: an array, shape (n_tokens, n_tokens)."""
        self._require_model_that_fits()
        x = handmade.lookup(self.tokens, self.vocabulary, self.embeddings)
        if not len(x):
            return np.zeros((0, 0))
        return attention_weights(
            x @ self.w_q[self.head],
            x @ self.w_k[self.head],
            mask=causal_mask(len(x)) if self.causal else None,
            scale=None if self.scaled else 1.0,
        )

    @property
    def row(self):
        """The weights of the token whose attention is shown: an array, shape (n_tokens,)."""
        weights = self.weights
        return (
            weights[min(self.query, len(weights) - 1)] if len(weights) else np.zeros(0)
        )

    def picture(self):
        """Draw the heat map of the weights, of a long text its beginning."""
        tokens, weights = self.tokens, self.weights
        figure, axes = figures.subplots(width=4.0, height=3.7)
        printed = slice(MOST_TOKENS_PRINTED)
        if tokens:
            figures.heat_map(
                axes, weights[printed, printed], tokens[printed], tokens[printed]
            )
        axes.set_xlabel("… to this token")
        axes.set_ylabel("from this token …")
        return figures.show(figure, self._description(tokens))

    def _description(self, tokens):
        if not tokens:
            return "An empty heat map: there is no text to attend to."
        query = tokens[min(self.query, len(tokens) - 1)]
        rows = min(len(tokens), MOST_TOKENS_PRINTED)
        row = self.row
        if len(row) > 1 and np.all(row == row[0]):
            attends = f"attends to all equally, with weight {row[0]:.2f}"
        else:
            attends = f"attends most to “{tokens[np.argmax(row)]}”, with weight {row.max():.2f}"
        return (
            f"Heat map of attention weights, one row for each of {rows} tokens. "
            f"In the head “{self.head_names[self.head]}”, the token “{query}” {attends}."
        )
