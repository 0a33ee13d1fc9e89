"""What measurements on any text share: its tokens after the mark that begins it, and intervals."""

import numpy as np

from lmmath._checks import require_generator, require_positive_integer

BEGIN = "<|endoftext|>"


def tokens_of(text, tokenizer):
    r"""Encode a text after the mark that stands between texts, so that its first token counts too.

    Parameters
    ----------
    text : str
    tokenizer : BPETokenizer
        With the special token ``<|endoftext|>``.

    Returns
    -------
    numpy.ndarray of int64, shape (n + 1,)

    Raises
    ------
    ValueError
        If the tokenizer has no such mark, or the text is empty.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> tokens_of("ab", BPETokenizer([], ["<|endoftext|>"]))
    array([256,  97,  98])
    """
    if BEGIN not in tokenizer.special_tokens:
        raise ValueError(f"tokenizer must have the special token {BEGIN}, got none")
    if not text:
        raise ValueError("text must hold at least one character, got ''")
    return np.asarray(
        [tokenizer.special_tokens[BEGIN], *tokenizer.encode(text)], np.int64
    )


def mean_and_interval(values, rng, level=0.9, n_resamples=2000):
    r"""Give the mean of some measurements, and an interval for it by the bootstrap.

    The measurements are drawn again, as many as there are and with replacement, and the mean of
    each draw is taken. The interval leaves out equal shares of these means at both ends. What is
    measured must be independent: texts, sentences or seeds, not the tokens of one text.

    Parameters
    ----------
    values : array, shape (n, ...)
    rng : numpy.random.Generator
    level : float
        The share of the means that the interval holds.
    n_resamples : int

    Returns
    -------
    mean, low, high : numpy.ndarray or numpy.float64, shape (...)

    Raises
    ------
    TypeError
        If ``rng`` is not a NumPy generator.
    ValueError
        If there is no measurement, ``level`` is not between 0 and 1, or ``n_resamples`` is not
        an integer of at least 1.

    References
    ----------
    Efron (1979), "Bootstrap methods: Another look at the jackknife".

    Examples
    --------
    >>> mean, low, high = mean_and_interval(np.arange(100.0), np.random.default_rng(0))
    >>> print(f"{mean:.1f} ({low:.0f} to {high:.0f})")
    49.5 (45 to 54)
    """
    require_generator(rng)
    require_positive_integer(n_resamples=n_resamples)
    values = np.asarray(values, np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"values must hold a measurement, got shape {values.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level must be a number between 0 and 1, got {level!r}")
    drawn = rng.integers(len(values), size=(n_resamples, len(values)))
    # In a browser NumPy counts 32 bits, and no more. Drawn with so many, others would come.
    drawn = drawn.astype(np.intp)
    counts = np.apply_along_axis(np.bincount, 1, drawn, minlength=len(values))
    means = np.tensordot(counts, values, axes=1) / len(values)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return values.mean(axis=0), low, high
