"""The widget of chapter 8: type a text, and see it merge pair by pair."""

from collections import Counter
from itertools import pairwise

import traitlets

from lmmath import figures
from lmmath.tokenization import BPETokenizer, pre_tokenize, train_merges
from lmmath.weights import DIRECTORY
from lmmath.widgets.kit.base import Widget, module, style
from lmmath.widgets.kit.language_model import Tokenizer

MOST_SIGNS = 10_000  # of the text that are read
MOST_MERGES = 1000  # that are learned from it
MOST_TOKENS_PRINTED = 100  # what is legible on paper
SIGNS_IN_A_LINE = 56


class TokenizationWidget(Widget):
    """Byte-pair encoding, merge by merge, learned from the text itself or from another.

    Parameters
    ----------
    text : str
        Its first 10,000 signs are used.
    n_merges : int
        How many merges are made. If there are not so many, all of them.
    source : str
        ``"text"``: the merges are learned from ``text``. ``"tokenizer"``: they are those of
        ``tokenizer``.
    tokenizer : BPETokenizer
        Which has been learned from another text; by default from Fable.
    tokenizer_name : str
        What that text was, for the reader.

    Examples
    --------
    >>> widget = TokenizationWidget(text="aaabdaaabac", n_merges=2)
    >>> widget.merges, widget.count
    ([(b'a', b'a'), (b'aa', b'a')], 2)
    >>> widget.ids
    [257, 98, 100, 257, 98, 97, 99]
    """

    _esm = module("tokenization.js")
    _css = style("tokenization.css")

    text = traitlets.Unicode(
        "She sells seashells by the seashore. The shells she sells are seashells, "
        "I'm sure. Voilà 🐚🐚, voilà 🐚!"
    ).tag(sync=True)
    n_merges = traitlets.Int(12, min=0).tag(sync=True)
    source = traitlets.Enum(["text", "tokenizer"], "text").tag(sync=True)
    tokenizer = Tokenizer()
    tokenizer_name = traitlets.Unicode("Fable").tag(sync=True)

    @traitlets.default("tokenizer")
    def _default_tokenizer(self):
        return BPETokenizer.load(DIRECTORY / "tokenizer.json")

    @property
    def merges(self):
        """The merges made: pairs of byte strings, in the order of learning."""
        if self.source == "tokenizer":
            return self.tokenizer.merges[: self.n_merges]
        words = Counter(pre_tokenize(self._text))
        return train_merges(words, min(self.n_merges, MOST_MERGES))

    @property
    def ids(self):
        """The text in tokens: the 256 bytes are numbered first, then the merges."""
        return BPETokenizer(self.merges).encode(self._text)

    @property
    def count(self):
        """How often the two tokens of the last merge stood side by side; 0 without one."""
        *before, last = [None, *self.merges]
        return self._frequencies(before[1:])[last] if last else 0

    @property
    def frequencies(self):
        """How often each pair of tokens stands side by side now: a ``Counter``."""
        return self._frequencies(self.merges)

    @property
    def _text(self):
        return self.text[:MOST_SIGNS]

    def _frequencies(self, merges):
        tokenizer = BPETokenizer(merges)
        counts = Counter()
        for word, times in Counter(pre_tokenize(self._text)).items():
            tokens = [tokenizer.vocab[token] for token in tokenizer.encode(word)]
            for pair in pairwise(tokens):
                counts[pair] += times
        return counts

    def picture(self):
        """Draw the text in its tokens, of a long text the beginning."""
        vocab = BPETokenizer(self.merges).vocab
        labels = [_label(vocab[token]) for token in self.ids[:MOST_TOKENS_PRINTED]]
        places, line, column = [], 0, 0
        for label in labels:
            if column + len(label) > SIGNS_IN_A_LINE:
                line, column = line + 1, 0
            places.append((column, line))
            column += len(label) + 1
        figure, axes = figures.subplots(width=6.4, height=0.5 + 0.32 * (line + 1))
        axes.set(xlim=(-1, SIGNS_IN_A_LINE + 8), ylim=(line + 0.7, -0.7))
        axes.set_axis_off()
        for (column, line), label in zip(places, labels, strict=True):
            axes.text(
                column,
                line,
                label,
                family="monospace",
                fontsize=8,
                parse_math=False,
                bbox={"boxstyle": "round,pad=0.15", "fill": False, "lw": 0.6},
            )
        return figures.show(figure, self._description(len(labels)))

    def _description(self, n_drawn):
        n_merges, n_tokens = len(self.merges), len(self.ids)
        if not n_tokens:
            return "No tokens: there is no text."
        part = (
            "" if n_drawn == n_tokens else f", of which the first {n_drawn} are drawn"
        )
        last = ""
        if n_merges:
            first, second = map(_label, self.merges[-1])
            last = (
                f" The last merge joined “{first}” and “{second}”, "
                f"{self.count} times side by side."
            )
        return (
            f"A text of {len(self._text)} characters, {len(self._text.encode())} bytes, cut into "
            f"{n_tokens} tokens by {n_merges} merges{part}.{last}"
        )


def _label(token):
    r"""Write a token in signs that can be seen, bytes that are no text in hexadecimal.

    >>> _label(b" the"), _label(b"\xf0\x9f")
    ('␣the', 'F0 9F')
    """
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return token.hex(" ").upper()
    text = text.replace(" ", "␣").replace("\n", "↵")
    return text if text.isprintable() else token.hex(" ").upper()
