"""Writing with the model that comes with the book: with its cache, and without."""

from functools import partial

from measure import compare  # isort: skip  (first: it sets the number of threads)

import numpy as np

from lmmath.sampling import generate
from lmmath.weights import load_fable_gpt


def main():
    """Print one table."""
    params, config, tokenizer = load_fable_gpt()
    start = np.asarray(tokenizer.encode("\n"))

    def writing(use_cache):
        def prepare(n):
            rng = np.random.default_rng(0)
            return partial(generate, params, start, config, n, rng, use_cache=use_cache)

        return prepare

    contenders = {"with the cache": writing(True), "without": writing(False)}
    print(compare("Writing", "tokens", [30, 60, 120], contenders))


if __name__ == "__main__":
    main()
