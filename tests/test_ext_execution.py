"""Chapters run before the build, and only those that changed."""

import nbformat
from execution import execute  # book/_ext/execution.py
from nbformat.v4 import new_code_cell, new_notebook

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}


def test_what_has_run_does_not_run_again_until_it_changes(tmp_path):
    sources = {"good": "print(1)", "bad": "1 / 0"}
    paths = {name: tmp_path / f"{name}.ipynb" for name in sources}

    def write(name, source):
        notebook = new_notebook(cells=[new_code_cell(source)], metadata=KERNEL)
        nbformat.write(notebook, paths[name])

    for name, source in sources.items():
        write(name, source)
    cache = tmp_path / "cache"
    good = str(paths["good"])
    assert execute(paths.values(), cache) == [good]
    assert execute(paths.values(), cache) == []
    write("good", "print(2)")
    assert execute(paths.values(), cache) == [good]
