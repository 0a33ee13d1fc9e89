"""Put the package's source and its tests on the site, a page for each file, a line for each link.

So that a reader can open what a chapter imports wherever the site is, without a repository. Each
notebook's page lists the files it imports.
"""

import ast
from pathlib import Path

import nbformat
from sphinx.environment import CONFIG_OK

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted(ROOT.glob("lmmath/**/*.py")),
    *sorted(ROOT.glob("lmmath/widgets/**/*.js")),
    *sorted(ROOT.glob("tests/test_*.py")),
]
LANGUAGES = {".py": "python", ".js": "javascript"}


def page_name(path):
    """Name the page of a file: ``source/lmmath/attention.py`` and so on.

    >>> page_name(ROOT / "lmmath" / "attention.py")
    'source/lmmath/attention.py'
    """
    return f"source/{path.relative_to(ROOT).as_posix()}"


def address(path, line):
    """Give the address of a line of a file, seen from the site's first folder.

    >>> address(ROOT / "lmmath" / "attention.py", 23)
    'source/lmmath/attention.py.html#line-23'
    """
    return f"{page_name(path)}.html#line-{line}"


def pages(app):
    """Highlight every file that has no page, or an old one."""
    for path in FILES:
        if _is_current(app, path):
            continue
        name = path.relative_to(ROOT).as_posix()
        code = app.builder.highlighter.highlight_block(
            path.read_text("utf-8"),
            LANGUAGES[path.suffix],
            force=True,
            lineanchors="line",
        )
        yield (
            page_name(path),
            {"title": name, "body": f"<h1>{name}</h1>{code}"},
            "page.html",
        )


def _is_current(app, path):
    page = Path(app.outdir, f"{page_name(path)}.html")
    if app.pages_have_changed or not page.exists():
        return False
    newest = max(path.stat().st_mtime, app.builder.templates.newest_template_mtime())
    return page.stat().st_mtime > newest


def note_changes(app, env):
    """Note whether what all pages show, the book's settings and the list of pages, has changed."""
    titles = {name: title.astext() for name, title in env.titles.items()}
    same = titles == getattr(env, "titles_in_sidebar", None)
    app.pages_have_changed = not same or env.config_status != CONFIG_OK
    env.titles_in_sidebar = titles


def imported_files(notebook):
    """List the package's files that the cells of a notebook import, in their order.

    >>> chapter = nbformat.read(ROOT / "book" / "03-attention.ipynb", as_version=4)
    >>> [path.relative_to(ROOT).as_posix() for path in imported_files(chapter)][:2]
    ['lmmath/figures.py', 'lmmath/handmade.py']
    """
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    names = [
        name
        for cell in cells
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "lmmath"
        for name in _modules(node)
    ]
    return list(dict.fromkeys(filter(None, map(_file_of, names))))


def _modules(node):
    """Name what may be modules: in ``from lmmath import figures``, the names."""
    if node.module == "lmmath":
        return [f"lmmath.{alias.name}" for alias in node.names]
    return [node.module]


def _file_of(module):
    path = ROOT / module.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate in FILES:
            return candidate
    return None


def list_imports(app, pagename, templatename, context, doctree):
    """Give the page's template the files, each with its address."""
    path = Path(app.srcdir, f"{pagename}.ipynb")
    files = imported_files(nbformat.read(path, as_version=4)) if path.exists() else []
    context["imported_files"] = [
        (_short(file.relative_to(ROOT)), context["pathto"](page_name(file)))
        for file in files
    ]


def _short(file):
    """Name a file as a reader would: that of a whole package by its folder."""
    return (
        f"{file.parent.as_posix()}/" if file.name == "__init__.py" else file.as_posix()
    )


def setup(app):
    """Register the extension."""
    app.pages_have_changed = False
    app.connect("env-updated", note_changes)
    app.connect("html-collect-pages", pages)
    app.connect("html-page-context", list_imports)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
