"""Attention of 4 texts in 8 heads of 64 features, against PyTorch's fused kernel."""

from functools import partial

from measure import compare  # isort: skip  (first: it sets the number of threads)

import numpy as np
import torch
from torch.nn import functional

from lmmath.attention import scaled_dot_product_attention


def main():
    """Print a table for NumPy, and one for PyTorch."""
    torch.set_num_threads(1)
    fused = functional.scaled_dot_product_attention
    contenders = {
        "lmmath on NumPy": _on(np.asarray, scaled_dot_product_attention),
        "PyTorch's kernel": _on(torch.from_numpy, fused),
        "NumPy, line by line": _on(np.asarray, _line_by_line),
    }
    print(compare("Attention in NumPy", "positions", [128, 256, 512], contenders, 15))
    contenders = {
        "lmmath on PyTorch": _on(torch.from_numpy, scaled_dot_product_attention),
        "PyTorch's kernel": _on(torch.from_numpy, fused),
    }
    print(compare("Attention in PyTorch", "positions", [128, 256, 512], contenders, 15))


def _on(convert, attention):
    def prepare(n):
        rng = np.random.default_rng(0)
        arrays = rng.standard_normal((3, 4, 8, n, 64), dtype=np.float32)
        mixed = np.asarray(attention(*map(convert, arrays)))
        np.testing.assert_allclose(mixed, _line_by_line(*arrays), rtol=0, atol=1e-5)
        return partial(attention, *map(convert, arrays))

    return prepare


def _line_by_line(query, key, value):
    scores = query @ np.swapaxes(key, -1, -2) / np.float32(query.shape[-1] ** 0.5)
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True) @ value


if __name__ == "__main__":
    main()
