r"""What a text costs a model, in nats per token and in bits per byte.

In bits per byte models can be compared whatever their tokens are, and with programs that have none.
"""

import bz2
import zlib
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from lmmath.experiments.texts import tokens_of
from lmmath.language_models import forward
from lmmath.training import token_losses


class TextLoss(NamedTuple):
    """What texts cost, each by itself.

    Attributes
    ----------
    nats_per_token, bits_per_byte : numpy.ndarray of float64, shape (n_texts,)
    """

    nats_per_token: np.ndarray
    bits_per_byte: np.ndarray


def text_loss(params, config, tokenizer, texts):
    r"""Let a model read texts from their beginnings, each after the mark.

    .. math::

        \text{nats per token} = -\frac{1}{n} \sum_i \log \hat{p}(x_i), \qquad
        \text{bits per byte} = -\frac{1}{B \log 2} \sum_i \log \hat{p}(x_i)

    for a text of :math:`n` tokens and :math:`B` bytes.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig, LlamaConfig or RecurrentConfig
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``.
    texts : list of str

    Returns
    -------
    TextLoss

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=257, n_positions=40, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> letters = BPETokenizer([], ["<|endoftext|>"])
    >>> text_loss(params, config, letters, ["One byte each"]).bits_per_byte.round(3)
    array([8.006])
    """
    sums, n_tokens, n_bytes = [], [], []
    for text in texts:
        tokens = tokens_of(text, tokenizer)
        logits = np.asarray(forward(config, params, tokens), np.float64)
        sums.append(np.sum(token_losses(logits[:-1], tokens[1:])))
        n_tokens.append(len(tokens) - 1)
        n_bytes.append(len(text.encode()))
    return _text_loss(sums, n_tokens, n_bytes)


def unigram_loss(tokenizer, texts):
    r"""Guess each token by how often it stands in the *other* texts.

    .. math:: \hat{p}(v) = \frac{n_v + 1}{\sum_u n_u + V}

    where :math:`n_v` counts token :math:`v` in all texts but the one that is read.

    Parameters
    ----------
    tokenizer : BPETokenizer
    texts : list of str

    Returns
    -------
    TextLoss

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> unigram_loss(BPETokenizer([]), ["a", "aa"]).nats_per_token.round(3)
    array([4.454, 4.856])
    """
    spelled = [tokenizer.encode(text) for text in texts]
    total = Counter(token for tokens in spelled for token in tokens)
    sums = []
    for tokens in spelled:
        others = total - Counter(tokens)
        room = others.total() + tokenizer.vocab_size
        counts = np.asarray([others[token] + 1 for token in tokens])
        sums.append(-np.sum(np.log(counts / room)))
    n_bytes = [len(text.encode()) for text in texts]
    return _text_loss(sums, [len(tokens) for tokens in spelled], n_bytes)


def compressed_bits(texts):
    """Compress each text with programs that know no language, and give bits per byte.

    Parameters
    ----------
    texts : list of str

    Returns
    -------
    dict of str to numpy.ndarray, shape (n_texts,)
        For each of Python's compressors; a browser's Python has no lzma. Its own header is not
        counted against it: the size of a compressed empty text is taken off.

    Examples
    --------
    >>> sorted(compressed_bits(["abcabcabc" * 9]))
    ['bz2', 'lzma', 'zlib']
    """
    programs = {"zlib": zlib.compress, "bz2": bz2.compress}
    with suppress(ImportError):
        import lzma

        programs["lzma"] = lzma.compress
    bits = {}
    for name, compress in programs.items():
        header = len(compress(b""))
        sizes = [len(compress(text.encode())) - header for text in texts]
        bits[name] = np.asarray(
            [8 * n / len(t.encode()) for n, t in zip(sizes, texts, strict=True)]
        )
    return bits


def _text_loss(sums, n_tokens, n_bytes):
    sums = np.asarray(sums, np.float64)
    return TextLoss(sums / np.asarray(n_tokens), sums / np.log(2) / np.asarray(n_bytes))
