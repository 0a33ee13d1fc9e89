r"""Reading held-out stories: what the model expects at each token, beside what is true.

A story is fed from its beginning, after the line break that ends the one before. So every
token is predicted with its whole story in view, as the truth is. Of a story with more than
``n_positions`` tokens, only the first ``n_positions`` are predicted and counted, for the model
and for the truth alike.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np

from lmmath.attention import log_softmax
from lmmath.fable.tokens import TokenReader
from lmmath.language_models import architecture, forward, shapes
from lmmath.transformer._checks import require_params

_TEXTS_AT_ONCE = 32


class StoryReading(NamedTuple):
    """One story, and what a model expected at each of its tokens.

    Attributes
    ----------
    tokens : numpy.ndarray of int64, shape (n + 1,)
        The line break before the story, and its tokens.
    log_probabilities : numpy.ndarray of float64, shape (n, vocab_size)
        In nats. Row ``i`` is what the model expects after ``tokens[: i + 1]``, where
        ``tokens[i + 1]`` comes.
    """

    tokens: np.ndarray
    log_probabilities: np.ndarray

    @property
    def targets(self):
        """The tokens that came, (n,)."""
        return self.tokens[1:]


class StoryLoss(NamedTuple):
    """What a model pays for held-out stories, and what the best of all models would pay.

    Attributes
    ----------
    loss : float
        The model's mean loss, in nats per token.
    floor : float
        The mean surprisal of the same tokens to one who knows the language, in nats per token.
    standard_error : float
        Of the difference ``loss - floor``, in nats per token; NaN for a single story.
    n_tokens : int
        How many tokens were predicted.
    """

    loss: float
    floor: float
    standard_error: float
    n_tokens: int


def split_stories(words):
    r"""Cut a text into whole stories.

    Parameters
    ----------
    words : sequence of str
        A Fable text from the beginning of a story.

    Returns
    -------
    list of list of str
        Each story ends with its line break. What comes after the last line break is left out.

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        If no story ends in ``words``.

    Examples
    --------
    >>> split_stories(["They", "sang", ".", "\n", "There", "was"])
    [['They', 'sang', '.', '\n']]
    """
    if isinstance(words, str):
        raise TypeError("words must be a sequence of words, got str")
    words = list(words)
    ends = [i + 1 for i, word in enumerate(words) if word == "\n"]
    if not ends:
        raise ValueError(
            f"words must hold at least one whole story, got {len(words)} words "
            "without a line break"
        )
    return [words[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def read_stories(params, config, tokenizer, words):
    r"""Let a model read stories, and keep what it expects at each token.

    .. math:: \log \hat{p}(x_{i+1} \mid x_0, \dots, x_i), \qquad x_0 = \text{line break}

    Parameters
    ----------
    params : dict of str to numpy.ndarray
    config : GPTConfig, LlamaConfig or RecurrentConfig
    tokenizer : BPETokenizer
        With the ``vocab_size`` of ``config``.
    words : sequence of str
        Held-out stories, as ``lmmath.fable.sample`` writes them. The last, if it does not end,
        is left out.

    Returns
    -------
    iterator of StoryReading
        The shorter stories come first: those of similar length are read together. A story of
        more than ``n_positions`` tokens is read as far as the model can see.

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        If no story ends in ``words``, the tokenizer has not the model's ``vocab_size``, or
        ``params`` do not fit ``config``.

    Examples
    --------
    A model of zeros expects everything alike:

    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=8, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> words, bytes_only = ["Leka", "the", "mouse", "\n"], BPETokenizer([])
    >>> (reading,) = read_stories(params, config, bytes_only, words)
    >>> bytes_only.decode(reading.tokens), bytes_only.decode(reading.targets)
    ('\nLeka the', 'Leka the')
    >>> bool(np.allclose(reading.log_probabilities, -np.log(256)))
    True
    """
    require_model(params, config, tokenizer)
    stories = [encode_story(story, tokenizer)[0] for story in split_stories(words)]
    return _read(params, config, stories)


def _read(params, config, stories):
    # The last token is not fed: nothing follows it.
    texts = [tokens[:-1] for tokens in stories]
    for chosen, padded in padded_batches(texts, config.n_positions):
        logits = np.asarray(forward(config, params, padded), np.float64)
        for i, rows in zip(chosen, logits, strict=True):
            tokens = stories[i][: config.n_positions + 1]
            yield StoryReading(tokens, log_softmax(rows[: len(tokens) - 1]))


def true_probabilities(tokens, reader):
    r"""Give the exact probabilities that a story's tokens were drawn with.

    .. math:: p(x_{i+1} \mid x_1, \dots, x_i)

    Parameters
    ----------
    tokens : sequence of int, length n + 1
        A story as in ``StoryReading``: the line break before it, then its tokens.
    reader : lmmath.fable.tokens.TokenReader
        Of the tokenizer. One serves many stories.

    Returns
    -------
    numpy.ndarray of float64, shape (n, vocab_size)
        Row ``i`` is the distribution after ``tokens[: i + 1]``. Each row sums to one.

    Raises
    ------
    ValueError
        If Fable cannot produce the tokens.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> truth = true_probabilities(b"\nThere was", TokenReader(BPETokenizer([])))
    >>> truth.shape, truth[-1, ord("s")]
    ((9, 256), np.float64(1.0))
    >>> truth[0, ord("T")] > 0.4  # "There", or a name
    np.True_
    """
    truth = np.empty((len(tokens) - 1, reader.vocab_size))
    state = reader.begin()
    for i, token in enumerate(map(int, tokens[1:])):
        truth[i] = reader.probabilities(state)
        if truth[i, token] == 0:
            raise ValueError(
                "words must be a text that Fable can produce, got one in which "
                f"token {token} comes at place {i + 1} of a story"
            )
        state = reader.read(state, token)
    return truth


def story_loss(params, config, tokenizer, words):
    r"""Measure a model's loss on held-out stories, and the floor under it.

    .. math::

        \begin{aligned}
        \text{loss} &= -\frac{1}{T} \sum_{t=1}^{T} \log \hat{p}(x_t \mid \text{before}) \\
        \text{floor} &= -\frac{1}{T} \sum_{t=1}^{T} \log p(x_t \mid \text{before})
        \end{aligned}

    The expectation of their difference, the mean of :math:`\log(p / \hat{p})`, is the
    Kullback-Leibler divergence of the model from the truth, per token. It varies far less from
    text to text than the loss does, for a story that is hard is hard for both.

    Parameters
    ----------
    params, config, tokenizer, words
        As in ``read_stories``.

    Returns
    -------
    StoryLoss
        ``loss``, ``floor``, the ``standard_error`` of their difference :math:`D`, and
        ``n_tokens``. Tokens of one story depend on each other, stories do not: with
        :math:`d_s` the sum of :math:`\log(p / \hat{p})` over the :math:`n_s` tokens of story
        :math:`s` of :math:`S`, it is

        .. math:: \frac{1}{T} \sqrt{\frac{S}{S - 1} \sum_s (d_s - n_s D)^2}

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        As in ``read_stories``, or if Fable cannot produce ``words``.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication". For the standard error of a
    ratio: Cochran (1977), "Sampling techniques", section 6.4.

    Examples
    --------
    >>> from lmmath.fable import sample
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=40, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> words = sample(100, np.random.default_rng(0))
    >>> result = story_loss(params, config, BPETokenizer([]), words)
    >>> round(result.loss, 4), result.floor < result.loss  # log(256)
    (5.5452, True)
    """
    reader = TokenReader(tokenizer)
    sums = []
    for reading in read_stories(params, config, tokenizer, words):
        truth = true_probabilities(reading.tokens, reader)
        loss = -np.sum(_of(reading.targets, reading.log_probabilities))
        floor = -np.sum(np.log(_of(reading.targets, truth)))
        sums.append((loss, floor, len(reading.targets)))
    losses, floors, lengths = np.asarray(sums).T
    n_tokens = lengths.sum()
    return StoryLoss(
        loss=float(losses.sum() / n_tokens),
        floor=float(floors.sum() / n_tokens),
        standard_error=_standard_error(losses - floors, lengths),
        n_tokens=int(n_tokens),
    )


def encode_story(story, tokenizer):
    r"""Spell a story in tokens, after the line break that comes before it.

    Parameters
    ----------
    story : list of str
        Its words, the line break at its end included.
    tokenizer : BPETokenizer

    Returns
    -------
    tokens : numpy.ndarray of int64, shape (n,)
    word_of_token : numpy.ndarray of int64, shape (n,)
        To which word each token belongs: 0 for the line break before the story, and ``i + 1``
        for ``story[i]``.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> bytes_only = BPETokenizer([])
    >>> tokens, word_of_token = encode_story(["She", "ate", "."], bytes_only)
    >>> bytes_only.decode(tokens), word_of_token
    ('\nShe ate.', array([0, 1, 1, 1, 2, 2, 2, 2, 3]))
    """
    # No token crosses from one of these pieces to the next.
    pieces = ["\n", *story[:1]]
    pieces += [word if word in ".,\n" else f" {word}" for word in story[1:]]
    spelled = [tokenizer.encode(piece) for piece in pieces]
    word_of_token = np.repeat(np.arange(len(spelled)), [len(ids) for ids in spelled])
    return np.concatenate(spelled, dtype=np.int64), word_of_token


def padded_batches(texts, n_positions):
    """Put texts of similar length into one array, with zeros after the end of the shorter.

    What comes after the end of a text changes nothing in it: these models look back only.

    Parameters
    ----------
    texts : list of arrays of int64, each (n,)
    n_positions : int
        What is beyond is left out.

    Yields
    ------
    chosen : list of int
        Which texts these are.
    padded : numpy.ndarray of int64, shape (n_chosen, n_longest)

    Examples
    --------
    >>> texts = [np.asarray([1, 2, 3]), np.asarray([4]), np.asarray([5, 6])]
    >>> list(padded_batches(texts, n_positions=2))
    [([1, 0, 2], array([[4, 0],
           [1, 2],
           [5, 6]]))]
    """
    texts = [text[:n_positions] for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), _TEXTS_AT_ONCE):
        chosen = order[start : start + _TEXTS_AT_ONCE]
        padded = np.zeros((len(chosen), len(texts[chosen[-1]])), np.int64)
        for row, i in zip(padded, chosen, strict=True):
            row[: len(texts[i])] = texts[i]
        yield chosen, padded


def require_model(params, config, tokenizer):
    """Raise ValueError unless the three parts of a model fit together."""
    require_params(params, shapes(config))
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(
            f"tokenizer must have the model's vocab_size, {config.vocab_size}, "
            f"got {tokenizer.vocab_size}"
        )


def require_heads(config):
    """Raise TypeError unless the model attends."""
    if architecture(config).output_matrix is None:
        came = type(config).__name__
        raise TypeError(f"config must be of a model with heads, got {came}")


def _of(targets, rows):
    return np.take_along_axis(rows, targets[:, None], axis=1)[:, 0]


def _standard_error(differences, lengths):
    n_stories, n_tokens = len(lengths), lengths.sum()
    if n_stories == 1:
        return float("nan")
    excess = differences - lengths * differences.sum() / n_tokens
    variance = np.sum(excess**2) * n_stories / (n_stories - 1)
    return float(sqrt(variance) / n_tokens)
