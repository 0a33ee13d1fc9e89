"""Put the package's source and its tests on the site, a page for each file, a line for each link.

So that a reader can open what a chapter imports wherever the site is, without a repository.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted(ROOT.glob("lmmath/**/*.py")),
    *sorted(ROOT.glob("lmmath/widgets/*.js")),
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
    """Highlight every file."""
    for path in FILES:
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


def setup(app):
    """Register the extension."""
    app.connect("html-collect-pages", pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
