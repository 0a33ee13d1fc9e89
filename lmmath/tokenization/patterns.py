r"""Patterns: where a text is cut before anything merges.

A pre-token is what merges never cross. Each published tokenizer says what one is by a regular
expression, and a text is cut into its matches.
"""

import re

from lmmath.tokenization._text import require_text
from lmmath.tokenization.unicode_classes import compile_regex

# From openai/gpt-2, src/encoder.py, where it is called `pat` (Radford et al. 2019). In order:
# English contractions, letters, digits, other signs, each with the space before it; then white
# space, of which the last character is left to the word that follows.
GPT2_PATTERN = (
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
)

PATTERNS = {
    "gpt2": GPT2_PATTERN,
    # GPT-4's and GPT-4o's, from openai/tiktoken, tiktoken_ext/openai_public.py. Digits go in
    # threes, a line ends with the signs before it, and in o200k a capital begins a word.
    "cl100k": (
        r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|"""
        r""" ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""
    ),
    "o200k": "|".join(
        [
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*"""
            r"""[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"""
            r"""[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""\p{N}{1,3}""",
            r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
            r"""\s*[\r\n]+""",
            r"""\s+(?!\S)""",
            r"""\s+""",
        ]
    ),
    # Llama 3's, from meta-llama/llama3, llama/tokenizer.py.
    "llama3": (
        r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"""
        r""" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
    ),
    # SmolLM2's: GPT-2's, after each digit has been cut out. A space stays apart from a digit.
    "smollm2": (
        r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|"""
        r"""\s+(?=\p{N})|\s+(?!\S)|\s+"""
    ),
}

# In all of them, a space is the first character of a pre-token or part of white space. So between
# something else and a space that comes before something else again, a pre-token ends, and no
# other choice depends on what stands beyond. A cut nearer to the ends of white space would not be
# safe: cl100k treats white space at the end of the text differently, and in SmolLM2's two spaces
# before a digit are one pre-token.
_WHERE_WORDS_BEGIN = re.compile(r"(?<=\S)(?= \S)")


def compiled(pattern):
    """Compile a pattern that is given by name or as it is.

    >>> compiled("gpt2").findall("two cats")
    ['two', ' cats']
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern must be a string, got {type(pattern).__name__}")
    try:
        expression = compile_regex(PATTERNS.get(pattern, pattern))
    except ValueError as error:
        known = ", ".join(PATTERNS)
        raise ValueError(
            f"pattern must be one of {known}, or a regular expression, got {pattern!r}: {error}"
        ) from None
    if expression.groups:
        raise ValueError(
            f"pattern must have no group that captures, such as (a), only such as (?:a), "
            f"got {pattern!r}"
        )
    return expression


def pre_tokenize(text, pattern="gpt2"):
    r"""Cut a text into the pieces that merges never cross: words, numbers, signs, white space.

    The pieces are the matches of a regular expression. By that of GPT-2, a space goes with the
    word after it.

    Parameters
    ----------
    text : str
    pattern : str
        One of the names in ``PATTERNS``: "gpt2", "cl100k", "o200k", "llama3", "smollm2"; or a
        regular expression, of which something matches everywhere. Without the package ``regex``
        it may hold, besides what Python's ``re`` knows, Unicode's categories, as in ``\p{L}``.

    Returns
    -------
    list of str
        Joined together they are the text again: nothing is dropped.

    Raises
    ------
    TypeError
        If ``text`` or ``pattern`` is not a string.
    ValueError
        If ``text`` holds a lone surrogate, which UTF-8 cannot write, or ``pattern`` is no regular
        expression, or leaves something out.

    References
    ----------
    Radford et al. (2019), "Language models are unsupervised multitask learners", section 2.2.

    Examples
    --------
    >>> pre_tokenize("We've 2 cats,  said the élève.")
    ['We', "'ve", ' 2', ' cats', ',', ' ', ' said', ' the', ' élève', '.']
    >>> pre_tokenize("1234567 cats", "cl100k"), pre_tokenize("12 cats", "smollm2")
    (['123', '456', '7', ' cats'], ['1', '2', ' cats'])
    """
    require_text(text=text)
    return whole_words(text, compiled(pattern), pattern)


def whole_words(text, expression, pattern):
    """List the matches, which must be the whole text if the pattern is not one of ours."""
    words = expression.findall(text)
    if pattern not in PATTERNS and "".join(words) != text:
        raise ValueError(
            f"pattern must match all of a text, got {pattern!r}, which leaves something out"
        )
    return words


def pieces(text, pattern="gpt2"):
    r"""Cut a text at many of the places where ``pre_tokenize`` does, in a fraction of the time.

    A text repeats its pieces: whoever remembers what has become of each need not look at it
    again. A pattern that is none of ``PATTERNS`` may cut anywhere, so its text stays whole.

    Parameters
    ----------
    text, pattern : str
        As in ``pre_tokenize``.

    Returns
    -------
    list of str
        Joined together they are the text again. The pre-tokens of each, one piece after the
        other, are the pre-tokens of the text.

    Examples
    --------
    >>> pieces("We've 2 cats,  said the élève.")
    ["We've", ' 2', ' cats,  said', ' the', ' élève.']
    """
    return _WHERE_WORDS_BEGIN.split(text) if pattern in PATTERNS else [text]
