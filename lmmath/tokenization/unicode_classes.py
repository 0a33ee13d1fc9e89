r"""Regular expressions that know Unicode's categories, with the package ``regex`` or without it.

``\p{L}``, a letter, and ``\p{N}``, a digit, are unknown to Python's own ``re``, and its ``\s``
counts four separators more than Unicode does. Where ``regex`` is installed, it is used. A
browser's Python has none: there such classes are written out, as ranges of characters.
"""

import re
import unicodedata
from functools import cache

_ESCAPE = r"\\(?:[pP]\{\w+\}|.)"
_SET_OR_ESCAPE = re.compile(rf"\[\^?\]?(?:{_ESCAPE}|[^\]\\])*\]|{_ESCAPE}", re.DOTALL)
_ESCAPE = re.compile(_ESCAPE, re.DOTALL)
# Of the control characters, these are the ones that Unicode counts as white space.
_WHITE_CONTROLS = "\t\n\v\f\r\x85"
# Of 17 planes of 65,536 characters each. The others are empty, or for private use from end to end.
_PLANES_IN_USE = (0, 1, 2, 3, 14)


def compile_regex(pattern):
    r"""Compile a regular expression.

    Parameters
    ----------
    pattern : str
        As ``regex`` takes it. Where that is not installed, as ``re`` does, and ``\p`` and ``\P``
        with a category.

    Returns
    -------
    compiled expression
        Of ``regex`` or of ``re``.

    Raises
    ------
    ValueError
        If it is no regular expression.

    Examples
    --------
    >>> compile_regex(r"\p{Lu}\p{Ll}+").findall("Émile et Zoé")
    ['Émile', 'Zoé']
    """
    try:
        import regex as engine
    except ImportError:
        engine, pattern = re, written_out(pattern)
    try:
        return engine.compile(pattern)
    except engine.error as error:
        raise ValueError(str(error)) from None


def written_out(pattern):
    r"""Write Unicode's classes in a pattern as ranges of characters.

    Parameters
    ----------
    pattern : str

    Returns
    -------
    str
        A pattern for ``re``.

    Raises
    ------
    ValueError
        If a class is not one of Unicode's categories.

    Examples
    --------
    >>> written_out(r"[^\p{Zl}x]+\p{Zl}")
    '[^\\U00002028-\\U00002028x]+[\\U00002028-\\U00002028]'
    """

    def replaced(match):
        part = match[0]
        if part.startswith("["):
            return _ESCAPE.sub(lambda escape: _ranges(escape[0]), part)
        ranges = _ranges(part)
        return part if ranges == part else f"[{ranges}]"

    return _SET_OR_ESCAPE.sub(replaced, pattern)


@cache
def _ranges(escape):
    """Write a class as it stands in a set of ``re``; leave what is no class of Unicode's."""
    kinds, kind_of_each = _kinds()
    if escape in (r"\s", r"\S"):
        wanted = "".join(
            kinds[name] for name in kinds if name[0] == "Z" or "white" in name
        )
    elif escape.endswith("}"):
        category = escape[3:-1]
        wanted = "".join(kinds[name] for name in kinds if name.startswith(category))
        if not wanted:
            raise ValueError(f"without the package regex, {escape} is not known")
    else:
        return escape
    runs = re.finditer(f"[{'^' if escape[1].isupper() else ''}{wanted}]+", kind_of_each)
    return "".join([rf"\U{run.start():08x}-\U{run.end() - 1:08x}" for run in runs])


@cache
def _kinds():
    """Give each category a letter, and write that of every character one after the other.

    A search in that text finds the ranges of a category in a moment.
    """
    of_each = []
    for plane in range(17):
        first = plane << 16
        if plane in _PLANES_IN_USE:
            signs = map(chr, range(first, first + 2**16))
            of_each += map(unicodedata.category, signs)
        else:
            of_each += [unicodedata.category(chr(first))] * 2**16
    for sign in _WHITE_CONTROLS:
        of_each[ord(sign)] += " white"
    kinds = {name: chr(0x100 + i) for i, name in enumerate(sorted(set(of_each)))}
    return kinds, "".join(map(kinds.get, of_each))
