"""The second widget of chapter 6: a GPT learns in the page, from Fable or the reader's text."""

import warnings
from functools import cache

import numpy as np
import traitlets

from lmmath import fable, figures
from lmmath.tokenization import BPETokenizer, pre_tokenize
from lmmath.weights import DIRECTORY
from lmmath.widgets.engines.fable import language
from lmmath.widgets.kit.base import Finite, Widget, module, style
from lmmath.widgets.kit.language_model import Tokenizer

# How large a model is, how many tokens it sees, and how many windows it reads in a step. A head
# has 8 numbers or 16, which the kernel in the browser multiplies fastest.
SIZES = {
    "small": {"d_model": 40, "n_layers": 2, "n_heads": 5},
    "medium": {"d_model": 56, "n_layers": 3, "n_heads": 7},
    "large": {"d_model": 80, "n_layers": 4, "n_heads": 5},
}
SIZES = {
    name: size | {"n_positions": 64, "batch_size": 8} for name, size in SIZES.items()
}

# As in engines/learning_text.js, in the characters of JavaScript, which are UTF-16's.
VOCABULARY = 512
SHORT = 2_000
READ = 1_000_000
LEARNED_FROM = 100_000
LONGEST_WORD = 1_000
FEW = 256


class LearningWidget(Widget):
    """A GPT that learns a text while the reader looks on: its loss falls, and it begins to write.

    The page computes everything: forward, backward and AdamW, in steps of 8 windows of 64 tokens.
    Fable is read with the tokens of the book's model, any other text with tokens that are learned
    from it. Losses are in nats per token.

    Parameters
    ----------
    text : str
        What to learn; Fable if it is empty. At least 65 bytes.
    size : str
        ``"small"``, ``"medium"`` or ``"large"``: some 60,000, 150,000 or 350,000 parameters.
    learning_rate : float
        AdamW's, from 0.0001 to 0.1. It may change while the model learns.
    seed : int
        Of the first parameters, of Fable's text, and of the windows that are drawn.
    temperature : float
        At which the model writes, from 0.1 to 2.

    Examples
    --------
    >>> widget = LearningWidget()
    >>> round(widget.floor, 2), round(widget.unigram, 1)
    (0.5, 4.5)
    >>> widget = LearningWidget(text="to be or not to be " * 10)
    >>> widget.floor, round(widget.unigram, 2)
    (None, 1.77)
    """

    _esm = module("learning.js")
    _css = style("learning.css")

    text = traitlets.Unicode("").tag(sync=True)
    size = traitlets.Enum(list(SIZES), "small").tag(sync=True)
    learning_rate = Finite(0.003, min=1e-4, max=0.1)
    seed = traitlets.Int(1, min=0, max=999_999).tag(sync=True)
    temperature = Finite(0.8, min=0.1, max=2)

    language = traitlets.Dict(read_only=True).tag(sync=True)
    fable_tokenizer = Tokenizer()
    fable_floor = traitlets.Float(read_only=True).tag(sync=True)
    sizes = traitlets.Dict(read_only=True).tag(sync=True)

    @traitlets.default("language")
    def _default_language(self):
        return language()

    @traitlets.default("fable_tokenizer")
    def _default_fable_tokenizer(self):
        return _fable_tokenizer()

    @traitlets.default("fable_floor")
    def _default_fable_floor(self):
        return _fable_losses()[0]

    @traitlets.default("sizes")
    def _default_sizes(self):
        return SIZES

    @property
    def tokenizer(self):
        """The tokenizer with which the text is read."""
        return tokenizer_of(_cut(self.text, READ)) if self.text else _fable_tokenizer()

    @property
    def floor(self):
        """The entropy of Fable, which no loss can stay below; None if the text is another."""
        return None if self.text else self.fable_floor

    @property
    def unigram(self):
        """The loss of who knows how often each token occurs, and nothing else."""
        if not self.text:
            return _fable_losses()[1]
        return unigram_entropy(self.tokenizer.encode(_cut(self.text, READ)))

    def picture(self):
        """Draw where the loss begins, what counting tokens reaches, and the floor."""
        losses = {
            "all tokens alike": np.log(self.tokenizer.vocab_size),
            "counting tokens": self.unigram,
            "the floor": self.floor,
        }
        losses = {name: loss for name, loss in losses.items() if loss is not None}
        figure, axes = figures.subplots(height=2.2)
        bars = axes.barh(list(losses), list(losses.values()), 0.6)
        axes.bar_label(bars, [f"{loss:.2f}" for loss in losses.values()], padding=4)
        axes.set_xlim(0, 1.12 * max(losses.values()))
        axes.invert_yaxis()
        axes.set_xlabel("loss, nats per token")
        learned = "a text" if self.text else "Fable"
        axes.set_title(f"A small GPT learns {learned} on the page", fontsize=9)
        axes.grid(axis="y", visible=False)
        return figures.show(figure, self._description(losses))

    def _description(self, losses):
        what = "a text of the reader’s" if self.text else "Fable"
        number = "Two" if self.text else "Three"
        says = (
            f"On the page a small GPT learns {what} here, and its loss falls as one looks on. "
            f"{number} losses to know it by, in nats per token: to find all tokens alike costs "
            f"{losses['all tokens alike']:.2f}, and to know how often each occurs "
            f"{losses['counting tokens']:.2f}."
        )
        if self.text:
            return says
        floor = losses["the floor"]
        return f"{says} The floor, Fable’s entropy, is {floor:.2f}: no model can do better."


def tokenizer_of(text):
    """Learn the tokens of a text from the text itself, as the widget does.

    Bytes alone are the tokens of a text that is short, or not made of words, or of so few that
    their repetition would be all.

    >>> tokenizer_of("one fish two fish " * 200).vocab_size
    266
    >>> tokenizer_of("o" * 3000).vocab_size
    256
    """
    sample = _cut(text, LEARNED_FROM)
    is_of_words = all(
        _length(word) <= LONGEST_WORD for word in pre_tokenize(sample, "gpt2")
    )
    if _length(text) >= SHORT and is_of_words:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that there are no more pairs
            learned = BPETokenizer.train(sample, VOCABULARY)
        if len(learned.encode(text)) >= FEW:
            return learned
    return BPETokenizer([])


def unigram_entropy(tokens):
    r"""Give :math:`-\sum_i p_i \log p_i`, with :math:`p_i` the share of token i.

    >>> round(unigram_entropy([5, 7, 5, 7]), 4)  # log 2
    0.6931
    """
    _, counts = np.unique(tokens, return_counts=True)
    shares = counts / counts.sum()
    return float(-np.sum(shares * np.log(shares)))


@cache
def _fable_tokenizer():
    return BPETokenizer.load(DIRECTORY / "tokenizer.json")


@cache
def _fable_losses():
    """Give Fable's entropy, which is exact, and the unigram entropy, of a long text of it."""
    tokenizer = _fable_tokenizer()
    text = fable.to_text(fable.sample(200_000, np.random.default_rng(0)))
    return float(fable.entropy_rate(tokenizer)), unigram_entropy(tokenizer.encode(text))


def _length(text):
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _cut(text, length):
    if _length(text) <= length:
        return text
    return text.encode("utf-16-le")[: 2 * length].decode("utf-16-le", "ignore")
