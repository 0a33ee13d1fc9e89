"""Tokenizers in files: GPT-2's spelling of bytes as letters, and writing all or nothing."""

from contextlib import contextmanager
from itertools import count
from pathlib import Path

from lmmath._files import replacing


def _gpt2_alphabet():
    """Give each byte a sign that can be seen, as ``bytes_to_unicode`` of openai/gpt-2 does.

    Bytes that are visible in Latin-1 stand for themselves, the others for U+0100 and after.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = count(0x100)
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


_SIGNS = _gpt2_alphabet()
_BYTE_OF_SIGN = {sign: byte for byte, sign in enumerate(_SIGNS)}


def to_signs(token):
    """Spell a byte string in signs that can be seen."""
    return "".join(_SIGNS[byte] for byte in token)


def merge_lines(merges):
    """Write each merge as two tokens and a space, as in ``merges.txt``."""
    return [f"{to_signs(first)} {to_signs(second)}" for first, second in merges]


def parse_merges(lines):
    """Read merges from such lines."""
    if not isinstance(lines, list):
        raise TypeError(f"merges must be a list, got {type(lines).__name__}")
    merges = []
    for line in lines:
        pair = line.split(" ") if isinstance(line, str) else ()
        if len(pair) != 2 or not _BYTE_OF_SIGN.keys() >= set("".join(pair)):
            raise ValueError(f"a merge must be two tokens and a space, got {line!r}")
        merges.append([bytes(map(_BYTE_OF_SIGN.get, token)) for token in pair])
    return merges


def read(path):
    """Read a file of UTF-8 text."""
    return Path(path).read_text(encoding="utf-8")


def write(path, text):
    """Write a file whole, or leave what was there."""
    with replacing(path) as draft:
        draft.write_text(f"{text}\n", encoding="utf-8", newline="\n")


@contextmanager
def reading(path):
    """Say of which file an error speaks."""
    try:
        yield
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds no tokenizer: {error}") from error
