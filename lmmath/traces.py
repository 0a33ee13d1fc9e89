r"""Traces: all that a model does with a text, small enough to be looked at without the model.

A page can so show how a model of 100 MB reads a sentence, in a file of some 50 kB.
"""

import gzip
import json
import zlib
from math import prod
from typing import NamedTuple

import numpy as np

from lmmath._checks import require_positive
from lmmath.attention import softmax
from lmmath.chat import START
from lmmath.experiments.held_out import require_heads, require_model
from lmmath.experiments.texts import tokens_of
from lmmath.language_models import lens, trace
from lmmath.training import token_losses

SENTENCES = {
    "a pronoun": "The cat sat on the mat because it was tired.",
    "a new name that comes back": (
        "Zorvik the miller met a fox in the woods. After a long walk, Zorvik the"
    ),
    "a fact": "The Eiffel Tower stands in the city of Paris, the capital of",
    "sums": "5 + 2 = 7\n1 + 3 = 4\n6 + 2 = 8",
    "code": "def area(width, height):\n    return width * height",
    "Spanish": "La capital de Francia es París y la capital de Italia es Roma.",
    "two names": "When Peter and Mark went to the school, Mark gave a key to",
    "agreement over a distance": (
        "The keys to the old wooden cabinet in the kitchen are on the table."
    ),
    "a bracket to close": (
        "The list (bread, milk, two eggs and a bag of apples) is on the door."
    ),
    "counting": "One, two, three, four, five, six, seven,",
    "a sentence three times": " ".join(["A small boat crossed the lake."] * 3),
    "a chat": (
        "<|im_start|>user\nWhat is the capital of Peru?<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
}
FORMAT = "lmmath.trace 1"
N_LENS, N_NEXT, N_LAST, N_BINS = 5, 20, 400, 64
_MOST_TOKENS = 2**16  # ids are stored in 16 bits


class Trace(NamedTuple):
    """What a model does with a text of n tokens.

    Where fewer tokens exist than are listed here, all are listed.

    Attributes
    ----------
    text : str
    tokens : numpy.ndarray of int64, shape (n,)
    pieces : list of str
        The text of each token. Bytes that are no text are U+FFFD.
    attention : numpy.ndarray of float32, shape (n_layers, n_heads, n, n)
        Row ``i`` is how position ``i`` looks back.
    lens_ids : numpy.ndarray of int64, shape (n_layers + 1, n, 5)
        What the stream says would come next before the first layer and after each, best first.
    lens_probabilities : numpy.ndarray of float32, shape (n_layers + 1, n, 5)
    lens_ranks : numpy.ndarray of int64, shape (n_layers + 1, n)
        The place of the token that came next: 1 is the best. 0 at the last position.
    next_ids : numpy.ndarray of int64, shape (n, 20)
        What the model expects after each token, best first.
    next_probabilities : numpy.ndarray of float32, shape (n, 20)
    last_ids : numpy.ndarray of int64, shape (400,)
        What it expects after the text, best first.
    last_logits : numpy.ndarray of float32, shape (400,)
        Less the largest, which changes no probability.
    tail_logits : numpy.ndarray of float32, shape (64,)
        All other logits in bins of one width, also less the largest: the mean of each bin, 0 for
        an empty one.
    tail_counts : numpy.ndarray of int64, shape (64,)
        How many logits are in each bin.
    losses : numpy.ndarray of float32, shape (n - 1,)
        Of each token after the first, given those before it, in nats.
    largest_features : numpy.ndarray of int64, shape (n_layers + 1,)
        At each stage the feature of the stream whose size is largest at some position.
    largest_sizes : numpy.ndarray of float32, shape (n_layers + 1,)
        That size.
    cosines : numpy.ndarray of float32, shape (2, n_layers + 1, n, n)
        Of the angles between the stream's vectors at two positions, at each stage: with all
        features, and without the largest.
    """

    text: str
    tokens: np.ndarray
    pieces: list
    attention: np.ndarray
    lens_ids: np.ndarray
    lens_probabilities: np.ndarray
    lens_ranks: np.ndarray
    next_ids: np.ndarray
    next_probabilities: np.ndarray
    last_ids: np.ndarray
    last_logits: np.ndarray
    tail_logits: np.ndarray
    tail_counts: np.ndarray
    losses: np.ndarray
    largest_features: np.ndarray
    largest_sizes: np.ndarray
    cosines: np.ndarray


def read_trace(params, config, tokenizer, text, edit=None):
    r"""Let a model read a text, and keep what can be seen in it.

    The first token is the mark ``<|endoftext|>``, which is put before the text, as between the
    texts of the model's training. A text that begins with ``<|im_start|>`` is a chat in the
    model's template: its marks are read as marks, the first token is its own, and nothing is put
    before it.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig or LlamaConfig
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``.
    text : str
    edit : function of an integer and an array, optional
        Changes the residual stream on its way, as in ``lmmath.language_models.trace``.

    Returns
    -------
    Trace

    Raises
    ------
    TypeError
        If the model has no heads.
    ValueError
        If the model's parts do not fit together, the text is empty, or it is longer than the
        model can read.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import LlamaConfig, init_llama
    >>> config = LlamaConfig(257, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> seen = read_trace(params, config, BPETokenizer([], ["<|endoftext|>"]), "hé")
    >>> seen.pieces
    ['<|endoftext|>', 'h', '�', '�']
    >>> seen.attention.shape, seen.lens_ids.shape, seen.losses.shape
    ((2, 4, 4, 4), (3, 4, 5), (3,))
    """
    require_model(params, config, tokenizer)
    require_heads(config)
    tokens = _tokens(text, tokenizer)
    residuals, attention = trace(config, params, tokens, edit)
    stages = []
    for x in residuals:
        logits = np.asarray(lens(config, params, x))
        ids = _largest(logits, N_LENS)
        stages.append((ids, _at(ids, softmax(logits)), _ranks(logits, tokens[1:])))
    lens_ids, lens_probabilities, lens_ranks = map(np.stack, zip(*stages, strict=True))
    logits = logits.astype(np.float64)  # of the last stage: what the model expects
    next_ids = _largest(logits, N_NEXT)
    last = logits[-1] - logits[-1].max()
    last_ids = _largest(last, N_LAST)
    tail_logits, tail_counts = _histogram(np.delete(last, last_ids))
    features, sizes, cosines = zip(*map(_angles, residuals), strict=True)
    return Trace(
        text,
        tokens,
        [tokenizer.decode([token]) for token in tokens],
        np.stack(attention).astype(np.float32),
        lens_ids,
        lens_probabilities.astype(np.float32),
        lens_ranks,
        next_ids,
        _at(next_ids, softmax(logits)).astype(np.float32),
        last_ids,
        last[last_ids].astype(np.float32),
        tail_logits.astype(np.float32),
        tail_counts,
        token_losses(logits[:-1], tokens[1:]).astype(np.float32),
        np.asarray(features),
        np.asarray(sizes, np.float32),
        np.stack(cosines, axis=1).astype(np.float32),
    )


def last_probabilities(trace, temperature=1.0):
    r"""Give the probabilities after the text at a temperature: of the likeliest, and of the rest.

    .. math::

        p_i = \frac{e^{z_i / T}}{Z}, \qquad \text{rest} = \frac{1}{Z} \sum_b c_b\, e^{\bar z_b / T},
        \qquad Z = \sum_i e^{z_i / T} + \sum_b c_b\, e^{\bar z_b / T}

    with :math:`z_i` the logits that are kept one by one, and :math:`c_b` others in the bin
    :math:`b`, :math:`\bar z_b` on average.

    Parameters
    ----------
    trace : Trace
    temperature : float
        :math:`T`, above 0.

    Returns
    -------
    probabilities : numpy.ndarray of float64, shape (400,)
        Of ``trace.last_ids``.
    rest : float
        Of all other tokens together.

    Raises
    ------
    ValueError
        If the temperature is not a finite number above 0.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import LlamaConfig, init_llama
    >>> config = LlamaConfig(1000, n_positions=8, d_model=8, n_layers=1, n_heads=4, d_ff=10)
    >>> zeros = {n: 0 * a for n, a in init_llama(config, np.random.default_rng(0)).items()}
    >>> words = [f"<{i}>" for i in range(743)]
    >>> even = read_trace(zeros, config, BPETokenizer([], ["<|endoftext|>", *words]), "h")
    >>> probabilities, rest = last_probabilities(even)  # 400 and 600 of 1000
    >>> round(probabilities.sum(), 3), round(rest, 3)
    (np.float64(0.4), 0.6)
    """
    require_positive(temperature=temperature)
    weights = np.exp(trace.last_logits.astype(np.float64) / temperature)
    of_bins = np.exp(trace.tail_logits.astype(np.float64) / temperature)
    tail = float(trace.tail_counts @ of_bins)
    total = weights.sum() + tail
    return weights / total, float(tail / total)


def pack(trace, tokenizer):
    r"""Write a trace as the bytes of a small file, always the same for the same trace.

    It is a gzip file. In it are the length of a header in 4 bytes, the header in JSON, and the
    arrays one after the other, the low byte of each number first. Attention is stored in 255ths
    and cosines in 127ths, the lower triangle row by row; probabilities and ``last_logits`` are
    float16, ids uint16.

    Parameters
    ----------
    trace : Trace
    tokenizer : BPETokenizer
        The model's, for the text of every id in the trace.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If the vocabulary has more than 65,536 tokens, or is not the trace's.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import LlamaConfig, init_llama
    >>> config = LlamaConfig(257, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> params = init_llama(config, np.random.default_rng(0))
    >>> letters = BPETokenizer([], ["<|endoftext|>"])
    >>> packed = pack(read_trace(params, config, letters, "hello"), letters)
    >>> seen, words = unpack(packed)
    >>> seen.text, words[seen.tokens[1]], pack(seen, letters) == packed
    ('hello', 'h', True)
    """
    n_layers, n_heads, n, _ = trace.attention.shape
    vocab_size = tokenizer.vocab_size
    if vocab_size > _MOST_TOKENS:
        raise ValueError(
            f"tokenizer must have at most {_MOST_TOKENS} tokens, got {vocab_size}"
        )
    layout, _ = _layout(n, vocab_size, n_layers, n_heads)
    rows, columns = np.tril_indices(n)
    in_small = {
        "attention": np.rint(255 * trace.attention[:, :, rows, columns]),
        "cosines": np.rint(127 * trace.cosines[:, :, rows, columns]),
    }
    body = []
    for name, place in layout.items():
        array = in_small.get(name, getattr(trace, name))
        if list(array.shape) != place["shape"]:
            raise ValueError(
                f"tokenizer must be that of the trace, got one of {vocab_size} tokens"
            )
        body.append(array.astype(_little(place["dtype"])).tobytes())
    header = {
        "format": FORMAT,
        "text": trace.text,
        "tokens": trace.tokens.tolist(),
        "pieces": trace.pieces,
        "vocab_size": vocab_size,
        "n_layers": n_layers,
        "n_heads": n_heads,
        "words": {i: tokenizer.decode([i]) for i in _ids(trace)},
        "arrays": layout,
    }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    content = b"".join([len(text).to_bytes(4, "little"), text, *body])
    return gzip.compress(content, 9, mtime=0)


def unpack(content):
    r"""Read a trace from the bytes that ``pack`` made of it.

    A weight of attention comes back with an error of at most 1/510, a cosine with one of 1/254, a
    number stored as float16 with a relative error of at most :math:`2^{-11}`, or an error of
    :math:`2^{-25}` near zero.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    trace : Trace
    words : dict of int to str
        The text of every id in the trace.

    Raises
    ------
    ValueError
        If the bytes are no whole trace. The message says what is wrong.

    Examples
    --------
    >>> unpack(b"<html>")
    Traceback (most recent call last):
        ...
    ValueError: The trace cannot be read: it is no whole gzip file.
    """
    header, body = _parts(content)
    sizes = [header.get(name) for name in ("vocab_size", "n_layers", "n_heads")]
    _require(all(type(n) is int and n > 0 for n in sizes), "its sizes are no sizes")
    text, tokens, pieces, words, arrays = (
        header.get(name) for name in ("text", "tokens", "pieces", "words", "arrays")
    )
    _require(_is_list_of(int, tokens) and tokens, "its tokens are no list of integers")
    _require(
        isinstance(text, str)
        and _is_list_of(str, pieces)
        and len(pieces) == len(tokens),
        "its text and its pieces are not those of its tokens",
    )
    layout, size = _layout(len(tokens), *sizes)
    _require(arrays == layout, "its list of arrays does not fit its sizes")
    _require(
        len(body) == size,
        f"its header speaks of {size} bytes of numbers, it has {len(body)}",
    )
    stored = {name: _array(body, place) for name, place in layout.items()}
    found = Trace(text, np.asarray(tokens), pieces, **stored)
    n, (_, n_layers, n_heads) = len(tokens), sizes
    rows, columns = np.tril_indices(n)
    attention = np.zeros((n_layers, n_heads, n, n), np.float32)
    attention[:, :, rows, columns] = found.attention / np.float32(255)
    cosines = np.zeros((2, n_layers + 1, n, n), np.float32)
    cosines[:, :, rows, columns] = found.cosines / np.float32(127)
    cosines[:, :, columns, rows] = cosines[:, :, rows, columns]
    named = {str(i) for i in _ids(found)}
    _require(
        isinstance(words, dict)
        and words.keys() == named
        and _is_list_of(str, [*words.values()]),
        "its words are not those of its ids",
    )
    found = found._replace(attention=attention, cosines=cosines)
    return found, {int(i): words[i] for i in words}


def _angles(x):
    """Give the largest feature of a stream (n, d_model), its size, and both kinds of cosines."""
    sizes = np.abs(x).max(axis=0)
    feature = int(np.argmax(sizes))
    others = np.delete(x, feature, axis=1)
    return feature, sizes[feature], [_cosines(x), _cosines(others)]


def _cosines(rows):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0, lengths, 1)
    return rows @ rows.T


def _tokens(text, tokenizer):
    if text.startswith(START):
        return np.asarray(tokenizer.encode(text, allow_special=True), np.int64)
    return tokens_of(text, tokenizer)


def _largest(logits, k):
    """Find the ids of the k largest in each row, best first: (..., k)."""
    k = min(k, logits.shape[-1])
    ids = np.sort(np.argpartition(logits, -k, axis=-1)[..., -k:], axis=-1)
    return _at(np.argsort(-_at(ids, logits), axis=-1, kind="stable"), ids)


def _at(ids, rows):
    return np.take_along_axis(rows, ids, axis=-1)


def _ranks(logits, following):
    right = _at(following[:, None], logits[:-1])
    return np.append(1 + np.sum(logits[:-1] > right, axis=1), 0)


def _histogram(values):
    """Give the mean of each bin, 0 for an empty one, and its count: (64,) each."""
    counts, edges = np.histogram(values, N_BINS)
    sums, _ = np.histogram(values, edges, weights=values)
    return sums / np.maximum(counts, 1), counts


def _layout(n, vocab_size, n_layers, n_heads):
    """Say how each array is stored and where it begins, and how many bytes all take."""
    k_lens, k_next, k_last = (min(k, vocab_size) for k in (N_LENS, N_NEXT, N_LAST))
    stages = n_layers + 1
    kinds = {
        "attention": ("uint8", [n_layers, n_heads, n * (n + 1) // 2]),
        "lens_ids": ("uint16", [stages, n, k_lens]),
        "lens_probabilities": ("float16", [stages, n, k_lens]),
        "lens_ranks": ("uint32", [stages, n]),
        "next_ids": ("uint16", [n, k_next]),
        "next_probabilities": ("float16", [n, k_next]),
        "last_ids": ("uint16", [k_last]),
        "last_logits": ("float16", [k_last]),
        "tail_logits": ("float32", [N_BINS]),
        "tail_counts": ("uint32", [N_BINS]),
        "losses": ("float32", [n - 1]),
        "largest_features": ("uint16", [stages]),
        "largest_sizes": ("float32", [stages]),
        "cosines": ("int8", [2, stages, n * (n + 1) // 2]),
    }
    layout, size = {}, 0
    for name, (dtype, shape) in kinds.items():
        layout[name] = {"dtype": dtype, "shape": shape, "offset": size}
        size += np.dtype(dtype).itemsize * prod(shape)
    return layout, size


def _little(dtype):
    return np.dtype(dtype).newbyteorder("<")


def _array(body, place):
    """Read an array: numbers with a fraction as float32, others as int64."""
    dtype = _little(place["dtype"])
    flat = np.frombuffer(body, dtype, prod(place["shape"]), place["offset"])
    kept_in = np.float32 if dtype.kind == "f" else np.int64
    return flat.astype(kept_in).reshape(place["shape"])


def _ids(trace):
    """List every id that occurs in a trace, in increasing order."""
    parts = trace.tokens, trace.lens_ids, trace.next_ids, trace.last_ids
    return np.unique(np.concatenate([part.ravel() for part in parts])).tolist()


def _parts(content):
    """Take a file apart: its header, and the bytes of its numbers."""
    try:
        whole = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        whole = None
    _require(whole is not None, "it is no whole gzip file")
    _require(len(whole) >= 4, f"it has only {len(whole)} bytes")
    end = 4 + int.from_bytes(whole[:4], "little")
    _require(end <= len(whole), "it ends within its header")
    try:
        header = json.loads(whole[4:end])
    except (ValueError, RecursionError):
        header = None
    _require(isinstance(header, dict), "its header cannot be read")
    came = header.get("format")
    _require(came == FORMAT, f"its format is {json.dumps(came)}")
    return header, whole[end:]


def _is_list_of(kind, values):
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _require(condition, problem):
    if not condition:
        raise ValueError(f"The trace cannot be read: {problem}.")
