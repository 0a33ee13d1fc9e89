"""Random inputs that are short to print, and exact when they are typed in again."""

import numpy as np


class Draws:
    """A generator of random numbers with two decimals."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)
        self.choice = self._rng.choice
        self.integers = self._rng.integers

    def normal(self, scale=1.0, loc=0.0, size=None):
        """Draw normal numbers."""
        return np.round(self._rng.normal(loc, scale, size), 2)

    def uniform(self, low=0.0, high=1.0, size=None):
        """Draw numbers between ``low`` and ``high``, and neither of them."""
        drawn = self._rng.uniform(low, high, size)
        return np.round(np.clip(drawn, low + 0.01, high - 0.01), 2)

    def exponential(self, size=None):
        """Draw numbers of at least 0."""
        return np.round(self._rng.exponential(size=size), 2)

    def probabilities(self, n):
        """Draw ``n`` probabilities in multiples of 1/128, whose sum is exactly one."""
        return self._rng.multinomial(128, self._rng.dirichlet(np.ones(n))) / 128
