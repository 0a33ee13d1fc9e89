"""Run a cell as a notebook does, and say what went wrong in the reader's own lines first."""

import ast
import builtins
import linecache
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout

from page_kernel import display, ipython
from page_kernel.cells import imports_of, names_of, needed
from page_kernel.completion import complete
from page_kernel.streams import Stream

NAMESPACE = {"__name__": "__main__", "__builtins__": builtins}
_streams = [Stream("stdout"), Stream("stderr")]


def prepare():
    """Let what is printed and shown reach the page, from between two cells, too."""
    sys.stdout, sys.stderr = _streams
    builtins.display = display.display
    ipython.provide()
    _print_integers_as_notebooks_do()


def _print_integers_as_notebooks_do():
    """Let arrays of 64-bit integers print without their dtype.

    NumPy leaves it out where integers usually have 64 bits, and here they have 32.
    """
    import numpy as np

    np._core.arrayprint._typelessdata.append(np.int64)


def cells_needed(sources, index):
    """Give the earlier cells that a cell needs, from the present text of all of them.

    Each has its number, ``cell``, and, if it only imports, ``part``: what has to be imported.
    """
    found = needed([names_of(source) for source in sources], index)
    return [
        {"cell": i, "part": imports_of(sources[i], names)} for i, names in found.items()
    ]


def completions(source, position):
    """Propose how the name before a position may go on, among the names that cells have bound."""
    return complete(source, position, NAMESPACE)


def run(cell, source):
    """Run a cell.

    Parameters
    ----------
    cell : int
        Its number on the page.
    source : str

    Returns
    -------
    dict or None
        What went wrong, if something did: ``name`` and ``message`` of the error, the ``cell``
        and ``line`` where it happened with their ``code``, and the ``traceback``.
    """
    file = _file_of(cell)
    lines = source.splitlines(keepends=True)
    linecache.cache[file] = len(source), None, lines, file
    for stream in _streams:
        stream.begin()
    try:
        with redirect_stdout(_streams[0]), redirect_stderr(_streams[1]):
            _execute(source, file)
            display.show_open_figures()
    except BaseException as error:  # whatever the reader's code raises is an answer
        return _described(error, file)
    finally:
        for stream in _streams:
            stream.flush()


def _execute(source, file):
    tree = ast.parse(source, file)
    last = tree.body[-1] if tree.body else None
    shown = isinstance(last, ast.Expr) and not source.rstrip().endswith(";")
    if shown:
        tree.body.pop()
    exec(compile(tree, file, "exec"), NAMESPACE)
    if shown:
        expression = ast.Expression(last.value)
        value = eval(compile(expression, file, "eval"), NAMESPACE)
        if value is not None:
            NAMESPACE["_"] = value
            display.display(value)


def _file_of(cell):
    return f"<cell {cell}>"


def _described(error, file):
    trace = error.__traceback__
    while trace and not trace.tb_frame.f_code.co_filename.startswith("<cell "):
        trace = trace.tb_next  # what runs the cell
    error = error.with_traceback(trace)
    where, line = _place(error, file)
    return {
        "name": type(error).__name__,
        "message": str(error),
        "cell": int(where.removeprefix("<cell ").removesuffix(">")) if where else None,
        "line": line,
        "code": linecache.getline(where, line).strip() if where else "",
        "traceback": "".join(traceback.format_exception(error)),
    }


def _place(error, file):
    """Find the last of the reader's own lines on the way to an error."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return file, error.lineno
    own = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith("<cell ")
    ]
    return own[-1] if own else (None, None)
