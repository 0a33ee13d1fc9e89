"""The widget of the sections "In a real model": SmolLM2 reads a sentence, and one sees how."""

import traitlets

from lmmath.widgets.kit.base import FOLDER, Finite, module
from lmmath.widgets.kit.real_reading import RealReading


class RealModelWidget(RealReading):
    """SmolLM2 reading a sentence, seen in one of five ways.

    Parameters
    ----------
    view : {"attention", "lens", "next", "tokens", "angles"}
        All its heads; what it would say after each block; what comes next; the tokens and what
        each costs; the angles between the tokens' vectors.
    temperature, top_k, top_p, min_p
        Of the next token, as in ``lmmath.sampling.sample``.
    seed : int
        Of the numbers with which tokens are drawn.
    sentence, chat, token, real_layer, real_head, head_off, stage, feature, zeroed
        As in ``RealReading``.

    Examples
    --------
    >>> widget = RealModelWidget(view="tokens", sentence="Hello!")
    >>> widget.reading.pieces  # doctest: +SKIP
    ['<|endoftext|>', 'Hello', '!']
    """

    _esm = module("real_model.js")
    _css = "\n".join(
        (FOLDER / name).read_text("utf-8")
        for name in (
            "kit/shared.css",
            "attention.css",
            "transformer.css",
            "sampling.css",
        )
    )

    view = traitlets.Enum(
        ["attention", "lens", "next", "tokens", "angles"], "attention"
    ).tag(sync=True)
    temperature = Finite(1.0, min=0.01, max=100)
    top_k = traitlets.Int(512, min=1).tag(sync=True)
    top_p = Finite(1.0, min=0.01, max=1)
    min_p = Finite(0.0, min=0, max=1)
    seed = traitlets.Int(9, min=0, max=999_999).tag(sync=True)

    def picture(self):
        """Draw what the view shows at first."""
        if self.view == "next":
            return self.picture_of_next(self.temperature)
        return getattr(self, f"picture_of_{self.view}")()
