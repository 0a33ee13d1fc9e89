"""Fable as text: words to letters and back."""

import re

_SPACED = re.compile(r" (?=[.,\n])|(?<=\n) ")
# A word may hold four separators that are white space to Python, but not to Unicode.
_WORD_OR_SIGN = re.compile(r"(?:[^\s.,]+|[\x1c-\x1f]+)+|[.,\n]")


def to_text(words):
    r"""Write words as a text.

    Parameters
    ----------
    words : sequence of str

    Returns
    -------
    str

    Examples
    --------
    >>> to_text(["They", "sang", ".", "\n", "There"])
    'They sang.\nThere'
    """
    return _SPACED.sub("", " ".join(words))


def to_words(text):
    r"""Cut a text into words.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> to_words('They sang.\nThere')
    ['They', 'sang', '.', '\n', 'There']
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    return _WORD_OR_SIGN.findall(text)
