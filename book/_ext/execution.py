"""Run the chapters that changed, all processors at work, before the build reads them.

The build takes their outputs from the same cache. A chapter that fails here is not kept, so the
build runs it again and shows what went wrong.
"""

import logging

from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor


def execute(notebooks, cache):
    """Run the notebooks that the cache has no outputs of, and return those that ran."""
    cache = get_cache(cache)
    for notebook in notebooks:
        cache.add_nb_to_project(str(notebook))
    quiet = logging.getLogger("execute")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    executor = load_executor("local-parallel", cache, logger=quiet)
    return executor.run_and_cache(timeout=300).succeeded


def execute_changed(app, env, names):
    """Run those of the pages to be read that are notebooks."""
    paths = [env.doc2path(name) for name in names]
    notebooks = [path for path in paths if path.endswith(".ipynb")]
    if notebooks:
        execute(notebooks, env.mystnb_config.execution_cache_path)


def setup(app):
    """Register the extension."""
    app.connect("env-before-read-docs", execute_changed)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
