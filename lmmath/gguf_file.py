r"""GGUF files: a header that says what is in it, and tensors that stay on disk until asked for.

The layout: the letters ``GGUF``, a version, the number of tensors and of metadata; the metadata,
each a name, a type and a value; of each tensor its name, shape, format and place; and then the
tensors' data. All numbers have the low byte first.

The package ``gguf`` reads these files too, and is what this reader is tested against. It takes
some seconds for a vocabulary of 50,000 tokens, which is most of the time in which a model loads.
"""

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmmath.quantization import FORMATS, dequantize

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# Of each type of metadata its number, and how struct calls it.
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_MOST_AXES = 4


class StoredTensor(NamedTuple):
    """An array as it lies in the file.

    Attributes
    ----------
    kind : str
        Its format, such as "F32" or "Q4_1".
    shape : tuple of int
        As NumPy has it: the last axis is the one whose numbers lie side by side.
    data : numpy.ndarray of uint8, shape (..., n_bytes)
        A view of the file: nothing is read before it is looked at.
    """

    kind: str
    shape: tuple
    data: np.ndarray

    def numbers(self):
        """Dequantize it: an array of float32 with this shape."""
        return dequantize(self.data, self.kind).reshape(self.shape)


@dataclass(frozen=True)
class GGUFFile:
    """What a GGUF file holds.

    Parameters
    ----------
    path : pathlib.Path
    metadata : dict of str to str, int, float, bool or list
    tensors : dict of str to StoredTensor
    """

    path: Path
    metadata: dict
    tensors: dict


def read_gguf(path):
    r"""Open a GGUF file: its metadata are read, its tensors can be.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    GGUFFile

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no GGUF file, is cut short, or contradicts itself. The message names the file.

    References
    ----------
    ggml, ``docs/gguf.md``, the specification.
    """
    path = Path(path)
    with path.open("rb") as file:
        # An empty file cannot be mapped.
        if file.read(4) != _MAGIC:
            raise ValueError(f"{path} is no GGUF file: it does not begin with GGUF")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return GGUFFile(path, *_read(_Cursor(content)))
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no whole GGUF file: {error}") from error


class _Cursor:
    """A place in the file, which moves on with what is read."""

    def __init__(self, content):
        self.content = content
        self.at = len(_MAGIC)

    def left(self):
        return len(self.content) - self.at

    def take(self, n_bytes):
        if n_bytes > self.left():
            raise ValueError(
                f"its header goes on at byte {self.at} for {n_bytes} bytes, "
                f"and {self.left()} are left"
            )
        start = self.at
        self.at += n_bytes
        return start

    def number(self, code):
        (value,) = struct.unpack_from(
            f"<{code}", self.content, self.take(struct.calcsize(f"<{code}"))
        )
        return value

    def numbers(self, code, n):
        dtype = np.dtype({"?": "?"}.get(code, f"<{np.dtype(code).str[1:]}"))
        start = self.take(n * dtype.itemsize)
        return np.frombuffer(self.content, dtype, n, start).tolist()

    def string(self):
        start = self.take(self.number("Q"))
        return str(self.content[start : self.at], "utf-8")


def _read(cursor):
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise ValueError(f"its version must be 2 or 3, got {version}")
    n_tensors, n_metadata = cursor.number("Q"), cursor.number("Q")
    if 24 * n_tensors + 13 * n_metadata > cursor.left():  # the least that each takes
        raise ValueError(
            f"it should hold {n_tensors} tensors and {n_metadata} metadata, "
            "for which there is no room"
        )
    metadata = {}
    for _ in range(n_metadata):
        name = cursor.string()
        metadata[name] = _value(cursor, name, cursor.number("I"))
    places = [_place(cursor) for _ in range(n_tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"general.alignment must be at least 1, got {alignment!r}")
    begin = -(-cursor.at // alignment) * alignment
    tensors = {}
    for name, shape, number, offset in places:
        if name in tensors:
            raise ValueError(f"two tensors are called {name!r}")
        tensors[name] = _tensor(cursor.content, name, shape, number, begin + offset)
    return metadata, tensors


def _value(cursor, name, kind):
    if kind in _NUMBERS:
        return cursor.number(_NUMBERS[kind])
    if kind == _STRING:
        return cursor.string()
    if kind != _ARRAY:
        raise ValueError(f"{name} has the unknown type {kind}")
    kind, n = cursor.number("I"), cursor.number("Q")
    if kind in _NUMBERS:
        return cursor.numbers(_NUMBERS[kind], n)
    if kind != _STRING:
        raise ValueError(f"{name} is a list of the unknown type {kind}")
    if 8 * n > cursor.left():  # a string begins with its length
        raise ValueError(f"{name} should hold {n} strings, for which there is no room")
    return [cursor.string() for _ in range(n)]


def _place(cursor):
    """Read where a tensor is: name, shape, the number of its format, offset."""
    name, n_axes = cursor.string(), cursor.number("I")
    if n_axes > _MOST_AXES:
        raise ValueError(f"{name} has {n_axes} axes, more than {_MOST_AXES}")
    shape = tuple(cursor.number("Q") for _ in range(n_axes))[::-1]
    return name, shape, cursor.number("I"), cursor.number("Q")


def _tensor(content, name, shape, number, start):
    kind, block_size, n_bytes = _format(name, number)
    if 0 in shape:
        raise ValueError(f"{name} holds nothing: its shape is {shape}")
    row = shape[-1] if shape else 1
    if row % block_size:
        raise ValueError(
            f"{name} has rows of {row}, and {kind} stores {block_size} at a time"
        )
    row_bytes = row // block_size * n_bytes
    n_rows = prod(shape[:-1])
    if start + n_rows * row_bytes > len(content):
        raise ValueError(
            f"it is cut short: {name} ends at byte {start + n_rows * row_bytes}, "
            f"the file at {len(content)}"
        )
    data = np.frombuffer(content, np.uint8, n_rows * row_bytes, start)
    return StoredTensor(kind, shape, data.reshape(*shape[:-1], row_bytes))


def _format(name, number):
    for kind, (own, block_size, n_bytes) in FORMATS.items():
        if own == number:
            return kind, block_size, n_bytes
    try:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        kind = GGMLQuantizationType(number)
        return kind.name, *GGML_QUANT_SIZES[kind]
    except ImportError:
        raise ValueError(
            f"{name} has the format number {number}, for which the package gguf is "
            "needed: pip install gguf"
        ) from None
    except (ValueError, KeyError):
        raise ValueError(f"{name} has the unknown format number {number}") from None
