"""The widget of chapter 3: type a text, see where the heads of a trained model look."""

import numpy as np
import traitlets

from lmmath import figures
from lmmath.attention import attention_weights, causal_mask, split_heads
from lmmath.neurons import dense
from lmmath.transformer import gpt_trace, layer_norm
from lmmath.transformer.parameters import subset
from lmmath.widgets.kit.base import module, style
from lmmath.widgets.kit.reading import ReadingWidget, place_of
from lmmath.widgets.kit.real_reading import TwoSubjects

MOST_TOKENS_PRINTED = 32  # what is legible on paper


class AttentionWidget(TwoSubjects, ReadingWidget):
    """The attention of a trained GPT, head by head, on a text of the reader's.

    Everything shown is a trait: read it, set it, observe it, link it. The model is a trait too,
    so that another one is only other data.

    Parameters
    ----------
    text : str
        What the model reads, after a line break. Of a long text it reads the beginning.
    query : int
        Position of the token whose attention is shown, from 0, which is the line break;
        negative from the end, as in Python.
    layer, head : int
        Indices of the layer and of its head, from 0.
    causal, scaled : bool
        Whether the causal mask is on, and whether scores are divided by the square root of
        ``d_head``. The model was trained with both. Without them, what is shown is what the
        head's own queries and keys give; nothing else in the model changes.
    weights, tokenizer
        The model, as in ``ModelWidget``.

    Examples
    --------
    >>> widget = AttentionWidget()
    >>> widget.pieces[widget.place], widget.pieces[13], widget.pieces[20]
    ('gave', 'Kali', 'Kali')
    >>> round(float(widget.row[[13, 20]].sum()), 2)
    0.9
    """

    _esm = module("attention.js")
    _css = style("attention.css")

    text = traitlets.Unicode(
        "Leka the mouse lived in the desert. One day Leka met Kali the dog near the river. "
        "Kali was wise, so Leka gave her"
    ).tag(sync=True)
    query = traitlets.Int(26).tag(sync=True)
    layer = traitlets.Int(1, min=0).tag(sync=True)
    head = traitlets.Int(3, min=0).tag(sync=True)
    causal = traitlets.Bool(True).tag(sync=True)
    scaled = traitlets.Bool(True).tag(sync=True)

    @property
    def place(self):
        """Where the token stands whose attention is shown, from 0."""
        return place_of(self.query, len(self.tokens))

    @property
    def attention(self):
        """The attention weights of the head: an array, shape (n_tokens, n_tokens)."""
        query, key, _ = self._queries_keys_values()
        mask = causal_mask(len(query)) if self.causal else None
        return attention_weights(query, key, mask, scale=None if self.scaled else 1.0)

    @property
    def row(self):
        """The weights of the token whose attention is shown: an array, shape (n_tokens,)."""
        return self.attention[self.place]

    @property
    def shares(self):
        r"""How much of what the token fetches comes from where: an array, shape (n_tokens,).

        It fetches the sum of :math:`a_j v_j`. The share of token j is
        :math:`a_j \lVert v_j \rVert`, divided by the sum of these.
        """
        _, _, value = self._queries_keys_values()
        lengths = self.row * np.linalg.norm(value, axis=-1)
        return lengths / lengths.sum()

    def _queries_keys_values(self):
        """Give what the head makes of the stream: three arrays, each (n_tokens, d_head)."""
        params, config, _ = self.model
        self._require_head(config)
        residuals, _ = gpt_trace(params, self.tokens, config)
        block = subset(params, f"h.{self.layer}.")
        x = layer_norm(residuals[self.layer], **subset(block, "ln_1."), eps=config.eps)
        together = dense(x, block["attn.c_attn.weight"], block["attn.c_attn.bias"])
        parts = np.split(together, 3, axis=-1)
        return [split_heads(part, config.n_heads)[self.head] for part in parts]

    def _require_head(self, config):
        for name, count in {"layer": config.n_layers, "head": config.n_heads}.items():
            if getattr(self, name) >= count:
                raise ValueError(
                    f"{name} must be less than {count}, got {getattr(self, name)}"
                )

    def picture(self):
        """Draw the heat map of the weights, of a long text its beginning."""
        if self.subject == "SmolLM2":
            return self.picture_of_attention()
        printed = slice(MOST_TOKENS_PRINTED)
        pieces = self.pieces[printed]
        figure, axes = figures.subplots(width=4.6, height=4.4)
        figures.heat_map(axes, self.attention[printed, printed], pieces, pieces)
        axes.set_xlabel("… to this token")
        axes.set_ylabel("from this token …")
        return figures.show(figure, self._description(len(pieces)))

    def _description(self, n_printed):
        pieces, row = self.pieces, self.row
        most = np.argsort(-row, kind="stable")[:2]
        attends = " and ".join(f"“{pieces[i]}”, {row[i]:.2f}" for i in most)
        return (
            f"Heat map of the attention weights of head {self.head + 1} of layer "
            f"{self.layer + 1}, one row and one column for each of {n_printed} tokens. "
            f"“{pieces[self.place]}” attends most to {attends}."
        )
