"""English that was written for this book, to measure a real language model on.

16 short texts of four kinds, about 160 words each, and two long ones of some 800. They stood
nowhere before the book did, so no model that is older has read them. They are under CC BY 4.0,
like the book's text.
"""

from pathlib import Path
from typing import NamedTuple

KINDS = ("fact", "letter", "manual", "story")

_DIRECTORY = Path(__file__).parent / "texts"


class Text(NamedTuple):
    """A text and what it is.

    Attributes
    ----------
    kind : str
        "fact", "letter", "manual" or "story"; "long" for a long one.
    title : str
    text : str
        Without a line break at its end.
    """

    kind: str
    title: str
    text: str


def short_texts(kind=None):
    """List the short texts, or those of one kind.

    Parameters
    ----------
    kind : {"fact", "letter", "manual", "story"}, optional

    Returns
    -------
    list of Text

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> len(short_texts()), len(short_texts("story"))
    (16, 4)
    >>> short_texts("fact")[0].text[:44]
    'A lighthouse has to be seen from far away, a'
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return [
        text for text in _read() if text.kind in (KINDS if kind is None else [kind])
    ]


def long_texts():
    """List the long texts: a story and an essay that come back to what they began with.

    Returns
    -------
    list of Text

    Examples
    --------
    >>> [text.title for text in long_texts()]
    ['the inventory', 'on maps']
    """
    return [text for text in _read() if text.kind == "long"]


def _read():
    texts = []
    for file in sorted(_DIRECTORY.glob("*.txt")):
        kind, _, title = file.stem.split("-", 2)
        content = file.read_text(encoding="utf-8").removesuffix("\n")
        texts.append(Text(kind, title.replace("-", " "), content))
    return texts
