"""Let readers change and run the code of a page, in the Python of their browser.

This extension

- marks the code cells (class ``runs``), and those of them that need what a page has not: PyTorch,
  the real model, another library (``needs-torch`` and so on; ``requirements.py`` finds them);
- gives their pages ``static/python/start.js``, which puts a bar below each; whatever else there is
  comes with the reader's first press;
- writes Python itself beside the pages, as ``distribution.py`` prepares it.

Where ``tools/pyodide.py`` could bring no Pyodide, the book is built without all this.
"""

from pathlib import Path

from docutils import nodes

from page_python.distribution import read_lock, write_python
from page_python.requirements import requirements

REPOSITORY = Path(__file__).parents[3]
PYODIDE = REPOSITORY / ".pyodide"


def is_available():
    """Tell whether every file of Pyodide is here; ``tools/pyodide.py`` has checked its sum."""
    return all((PYODIDE / file["name"]).is_file() for file in read_lock()["files"])


def _is_cell(node):
    return isinstance(node, nodes.container) and "cell" in node["classes"]


def _code(cell):
    for node in cell.findall(nodes.container):
        if "cell_input" in node["classes"]:
            return node.astext()
    return None


def mark_cells(app, doctree):
    """Give each code cell of a notebook the class ``runs``, and what it needs."""
    if not is_available():
        return
    cells = [cell for cell in doctree.findall(_is_cell) if _code(cell) is not None]
    for cell, missing in zip(cells, requirements(map(_code, cells)), strict=True):
        cell["classes"].append("runs")
        if missing:
            cell["classes"].append(f"needs-{missing}")


def add_script(app, pagename, templatename, context, doctree):
    """Give a page with such cells the script that begins."""
    if doctree is not None and any(
        "runs" in cell["classes"] for cell in doctree.findall(_is_cell)
    ):
        app.add_js_file("python/start.js", type="module")


def write(app, error):
    """Write Python itself."""
    if not error and app.builder.format == "html" and is_available():
        write_python(Path(app.outdir, "_static", "pyodide"), PYODIDE, REPOSITORY)


def _start(app, config):
    config.html_static_path.append(str(Path(__file__).parent / "static"))


def setup(app):
    """Register the extension."""
    app.connect("config-inited", _start)
    app.connect("doctree-read", mark_cells)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
