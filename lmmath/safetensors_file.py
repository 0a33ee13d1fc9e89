"""Arrays in a file of the format safetensors: of any library's making, and read by any.

The package ``safetensors`` reads and writes them where it is installed. A browser's Python has
none. The format is plain enough to do without: the length of a header in 8 bytes, the header in
JSON, which says of each array its dtype, its shape and where it begins and ends, and then the
numbers, with no gap between them.
"""

import json
import reprlib
from math import prod
from pathlib import Path

import numpy as np

# bfloat16 is read as integers and widened; what else a model may be stored in, NumPy has.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items() if name != "BF16"}
# As in the package: what is longer than any real header must not be read as one.
_LONGEST_HEADER = 100_000_000


def read_safetensors(path):
    """Read all arrays of a file, and the texts that stand beside them.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    arrays : dict of str to numpy.ndarray
        Of float16, float32 or float64; bfloat16, which NumPy has not, as float32.
    metadata : dict of str to str

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or holds numbers that are not floating-point.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> content = to_safetensors({"w": np.ones((2, 3), np.float16)}, {"language": "Fable"})
    >>> with TemporaryDirectory() as directory:
    ...     file = Path(directory, "model.safetensors")
    ...     _ = file.write_bytes(content)
    ...     read_safetensors(file)
    ({'w': array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float16)}, {'language': 'Fable'})
    """
    content = Path(path).read_bytes()
    arrays = {name: _numbers(name, **stored) for name, stored in _deserialized(content)}
    header, _ = _header_and_numbers(content)
    return arrays, header.get("__metadata__") or {}


def to_safetensors(arrays, metadata):
    """Write arrays and texts as the content of a file; the same ones give the same bytes.

    Parameters
    ----------
    arrays : dict of str to numpy.ndarray
        Of float16, float32 or float64.
    metadata : dict of str to str

    Returns
    -------
    bytes

    Examples
    --------
    >>> content = to_safetensors({"b": np.zeros(2)}, {})
    >>> content[8:80]
    b'{"__metadata__": {}, "b": {"data_offsets": [0, 16], "dtype": "F64", "sha'
    """
    try:
        from safetensors.numpy import save
    except ImportError:
        return _serialized(arrays, metadata)
    header, numbers = _header_and_numbers(save(arrays, metadata))
    return _joined(header, numbers)


def _deserialized(content):
    """List the name of each array, and its dtype, shape and data."""
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError:
        return _deserialized_without_the_package(content)
    try:
        return deserialize(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _numbers(name, dtype, shape, data):
    if dtype not in _DTYPES:
        raise ValueError(f"{name} must be of {', '.join(_DTYPES)}, got {dtype}")
    try:
        array = np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
    except OverflowError as error:
        # There are no numbers, but an axis is longer than NumPy can count.
        raise ValueError(f"{name} has shape {shape}: {error}") from None
    if dtype == "BF16":
        # The upper half of a float32.
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _joined(header, numbers):
    """Put the header, filled up with spaces to a multiple of 8, before the numbers.

    Sorted: the package shuffles it.
    """
    header = json.dumps(header, sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + numbers


# --- without the package ---


def _serialized(arrays, metadata):
    header, parts, end = {"__metadata__": metadata}, [], 0
    # Wide ones first, as the package has them, so that each begins at a multiple of its width.
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        array = arrays[name]
        parts.append(array.tobytes())
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<")],
            "shape": array.shape,
            "data_offsets": [begin, end],
        }
    return _joined(header, b"".join(parts))


def _deserialized_without_the_package(content):
    tensors, numbers = _header_and_numbers(content)
    _require_texts(tensors.pop("__metadata__", None))
    n_bytes_of = {name: _n_bytes(name, entry) for name, entry in tensors.items()}
    end = 0
    for name in sorted(tensors, key=lambda name: tensors[name]["data_offsets"]):
        n_bytes, (begin, after) = n_bytes_of[name], tensors[name]["data_offsets"]
        if begin != end or after != end + n_bytes:
            raise ValueError(
                f"{name}, of {n_bytes} bytes, must begin at {end}, got {begin} to {after}"
            )
        end = after
    if end != len(numbers):
        raise ValueError(f"it must hold {end} bytes of numbers, got {len(numbers)}")
    for entry in tensors.values():
        begin, end = entry.pop("data_offsets")
        entry["data"] = bytearray(numbers[begin:end])
    return list(tensors.items())


def _header_and_numbers(content):
    """Cut a file's content into its header, as a dict, and the numbers."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, _LONGEST_HEADER):
        raise ValueError(
            f"it must begin with the length of its header, got {content[:8]!r} "
            f"of {len(content)} bytes"
        )
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header must be JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("its header must be an object")
    return header, memoryview(content)[8 + length :]


def _once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it names something twice")
    return found


def _require_texts(metadata):
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(
        isinstance(text, str) for text in metadata.values()
    ):
        raise ValueError("its __metadata__ must be texts under their names")


def _n_bytes(name, entry):
    """Check what the header says of one array, and tell how many bytes that takes."""
    fields = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or entry.keys() != fields:
        raise ValueError(f"{name} must have a dtype, a shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        came = reprlib.repr(dtype)
        raise ValueError(f"{name} must be of {', '.join(_DTYPES)}, got {came}")
    if not _are_counts(shape) or len(shape) > 32:
        came = reprlib.repr(shape)
        raise ValueError(f"{name} must have a shape of up to 32 integers, got {came}")
    if not _are_counts(offsets) or len(offsets) != 2:
        came = reprlib.repr(offsets)
        raise ValueError(f"{name} must have two data_offsets, got {came}")
    return prod(shape) * np.dtype(_DTYPES[dtype]).itemsize


def _are_counts(numbers):
    return isinstance(numbers, list) and all(
        type(number) is int and 0 <= number < 2**63 for number in numbers
    )
