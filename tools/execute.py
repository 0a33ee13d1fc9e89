"""Run the chapters that changed, all processors at work: ``python tools/execute.py CHAPTERS``.

The book's build takes their outputs from the same cache. A chapter that fails here is not kept,
so the build runs it again and shows what went wrong.
"""

import logging
import sys
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor

CACHE = Path(__file__).parents[1] / "_build" / ".jupyter_cache"


def execute(notebooks, cache=CACHE):
    """Run the notebooks that the cache has no outputs of, and return those that ran."""
    cache = get_cache(cache)
    for notebook in notebooks:
        cache.add_nb_to_project(str(Path(notebook).resolve()))
    quiet = logging.getLogger("execute")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    executor = load_executor("local-parallel", cache, logger=quiet)
    return executor.run_and_cache(timeout=300).succeeded


if __name__ == "__main__":
    execute(sys.argv[1:])
