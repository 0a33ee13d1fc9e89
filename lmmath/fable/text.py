"""Fable as text: words to letters and back."""

import regex

_SPACED = regex.compile(r" (?=[.,\n])|(?<=\n) ")


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
    return regex.findall(r"[^\s.,]+|[.,\n]", text)
