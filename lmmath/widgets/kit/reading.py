"""What widgets share that show a trained GPT reading a text of the reader's."""

import re

import numpy as np
import traitlets

from lmmath.widgets.kit.language_model import ModelWidget

_SIGNS = {"\n": "⏎", " ": "␣"}


class ReadingWidget(ModelWidget):
    """A widget that shows how a GPT reads a text; its JavaScript follows it with ``reading.js``.

    Parameters
    ----------
    text : str
        What the model reads, after a line break, as before every story of Fable. Of a long
        text it reads the beginning, ``n_positions`` tokens.
    weights, tokenizer
        As in ``ModelWidget``.

    Examples
    --------
    >>> widget = ReadingWidget(text="Leka the mouse")
    >>> widget.tokens
    array([ 10, 276, 258, 303])
    >>> widget.pieces
    ['⏎', 'Leka', 'the', 'mouse']
    """

    text = traitlets.Unicode().tag(sync=True)

    @property
    def tokens(self):
        """The ids of the tokens that the model reads: an array, shape (n,), n ≥ 1."""
        _, config, tokenizer = self.model
        ids = tokenizer.encode(f"\n{self.text}")
        return np.asarray(ids[: config.n_positions])

    @property
    def pieces(self):
        """The tokens as the page writes them."""
        return [name_of(token, self.tokenizer) for token in self.tokens]


def name_of(token, tokenizer):
    r"""Write a token so that it can be seen, without the spaces at its ends.

    >>> from lmmath.weights import load_fable_gpt
    >>> tokenizer = load_fable_gpt().tokenizer
    >>> [name_of(token, tokenizer) for token in tokenizer.encode("The mouse\n\a")]
    ['The', 'mouse', '⏎', '�']
    """
    return visible(tokenizer.decode([token]))


def visible(text):
    r"""Write the text of a token so that it can be seen, without the spaces at its ends.

    >>> visible(" mat"), visible("\n")
    ('mat', '⏎')
    """
    text = text.strip(" ") or " "
    return re.sub(r"[\0- \x7f-\x9f]", lambda sign: _SIGNS.get(sign[0], "\ufffd"), text)


def place_of(position, n):
    """Find the place of a position among ``n``, or of the nearest one that is there.

    >>> [place_of(position, 5) for position in [0, 3, 9, -1, -2, -9]]
    [0, 3, 4, 4, 3, 0]
    """
    return min(max(position + n if position < 0 else position, 0), n - 1)
