r"""Quantization: weights in few bits, and the numbers they stand for.

A block of 32 weights shares one or two float16 numbers, and each weight is a small integer. So
4-bit weights take 4.5 or 5 bits each. The formats are those of GGUF files, which most programs
that run models on one's own machine read.
"""

import numpy as np

# Of each format: its number in GGUF files, weights in a block, bytes of a block.
FORMATS = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q4_1": (3, 32, 20),
    "Q8_0": (8, 32, 34),
    "BF16": (30, 1, 2),
}


def dequantize(blocks, kind):
    r"""Turn the blocks of a quantized array into numbers.

    .. math::

        \begin{aligned}
        \text{Q8\_0:} \quad w_i &= d\, q_i, & q_i &\in \{-128, \dots, 127\} \\
        \text{Q4\_0:} \quad w_i &= d\,(q_i - 8), & q_i &\in \{0, \dots, 15\} \\
        \text{Q4\_1:} \quad w_i &= d\, q_i + m, & q_i &\in \{0, \dots, 15\}
        \end{aligned}

    Parameters
    ----------
    blocks : numpy.ndarray of uint8, shape (..., n_bytes)
        Rows of whole blocks, as they lie in the file: first :math:`d`, then :math:`m` if there is
        one, both float16, then the :math:`q_i`. Of two that share a byte, one is in the first
        half of the block and the other in the second.
    kind : str
        One of the keys of ``FORMATS``; "F32", "F16" and "BF16" are no blocks but plain numbers.
        Other formats that the package ``gguf`` knows need that package.

    Returns
    -------
    numpy.ndarray of float32, shape (..., n)

    Raises
    ------
    ValueError
        If the format is unknown, or the rows do not hold whole blocks.
    ImportError
        If the format needs the package ``gguf``, which is not installed.

    References
    ----------
    ggml, ``ggml-common.h`` and ``ggml-quants.c``, where the formats are defined.

    Examples
    --------
    >>> d = np.asarray([0.5], "<f2").view(np.uint8)
    >>> q = np.arange(-16, 16, dtype=np.int8).view(np.uint8)
    >>> dequantize(np.concatenate([d, q]), "Q8_0")[:4]
    array([-8. , -7.5, -7. , -6.5], dtype=float32)
    """
    if kind not in FORMATS:
        return _by_library(blocks, kind)
    _, block_size, n_bytes = FORMATS[kind]
    if blocks.shape[-1] % n_bytes:
        raise ValueError(
            f"blocks must hold rows of whole blocks of {n_bytes} bytes, "
            f"got {blocks.shape[-1]} bytes"
        )
    rows = np.ascontiguousarray(blocks).reshape(-1, n_bytes)
    numbers = _DEQUANTIZE[kind](rows)
    return numbers.reshape(*blocks.shape[:-1], blocks.shape[-1] // n_bytes * block_size)


def _f32(rows):
    # A copy: a view would keep the file open, and could not be written to.
    return rows.view("<f4").astype(np.float32)


def _f16(rows):
    return rows.view("<f2").astype(np.float32)


def _bf16(rows):
    # The upper half of a float32.
    return (rows.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _q8_0(rows):
    return rows[:, 2:].view(np.int8) * _scale(rows, 0)


def _q4_0(rows):
    numbers = _nibbles(rows[:, 2:])
    numbers -= 8
    numbers *= _scale(rows, 0)
    return numbers


def _q4_1(rows):
    numbers = _nibbles(rows[:, 4:])
    numbers *= _scale(rows, 0)
    numbers += _scale(rows, 2)
    return numbers


def _scale(rows, at):
    return np.ascontiguousarray(rows[:, at : at + 2]).view("<f2").astype(np.float32)


def _nibbles(pairs):
    half = pairs.shape[1]
    numbers = np.empty((len(pairs), 2 * half), np.float32)
    np.bitwise_and(pairs, 15, out=numbers[:, :half], casting="unsafe")
    np.right_shift(pairs, 4, out=numbers[:, half:], casting="unsafe")
    return numbers


_DEQUANTIZE = {
    "F32": _f32,
    "F16": _f16,
    "BF16": _bf16,
    "Q8_0": _q8_0,
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
}


def _by_library(blocks, kind):
    try:
        import gguf
    except ImportError:
        raise ImportError(
            f"the format {kind} needs the package gguf: pip install gguf"
        ) from None
    try:
        return gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[kind])
    except (KeyError, NotImplementedError):
        known = ", ".join(FORMATS)
        raise ValueError(
            f"kind must be one of {known}, or another that gguf dequantizes, got {kind!r}"
        ) from None
