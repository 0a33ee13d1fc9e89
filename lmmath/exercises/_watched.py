"""Arrays that notice an overflow.

NumPy's own warnings will not do: in the page, WebAssembly has no flags from which to take them.
"""

import numpy as np


class Watched(np.ndarray):
    """An array that notes in ``overflows`` when finite numbers give an infinite one."""

    overflows: list

    def __array_finalize__(self, origin):
        """Share the notes with the array from which this one comes."""
        self.overflows = getattr(origin, "overflows", [])

    def __getitem__(self, key):
        """Give watched arrays, for single numbers too."""
        part = super().__getitem__(key)
        if isinstance(part, np.ndarray):
            return part
        return _like(self, part)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        """Compute with plain arrays, and look at the result."""
        keywords = {name: _plain(value) for name, value in keywords.items()}
        if out is not None:
            keywords["out"] = tuple(map(_plain, out))
        plain = [_plain(value) for value in inputs]
        result = getattr(ufunc, method)(*plain, **keywords)
        if np.any(np.isinf(result)) and all(np.all(np.isfinite(x)) for x in plain):
            self.overflows.append(ufunc.__name__)
        return out[0] if out is not None else _like(self, result)


def watched(value, overflows):
    """View an array as a watched one; leave anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view(Watched)
    view.overflows = overflows
    return view


def _plain(value):
    return value.view(np.ndarray) if isinstance(value, Watched) else value


def _like(origin, value):
    return watched(np.asarray(value), origin.overflows)
