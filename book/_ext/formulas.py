"""The index of formulas: each with the place that derives it, its source, and its test.

``{formulas} attention`` lists the formulas of ``lmmath.attention``. All of it is read from the
package, the chapters and the tests, so none of it can drift.
"""

import ast
import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import sources
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

TESTS = Path(__file__).parents[2] / "tests"


class Formulas(SphinxDirective):
    """Leave a place for the formulas of a chapter's module."""

    required_arguments = 1

    def run(self):
        """Give the place."""
        return [place_of_formulas(chapter=self.arguments[0])]


class place_of_formulas(nodes.General, nodes.Element):  # noqa: N801  (docutils' style)
    """Where the formulas go, once all chapters have been read."""


def fill(app, doctree, docname):
    """Put the formulas into their places."""
    for place in list(doctree.findall(place_of_formulas)):
        chapter = place["chapter"]
        entries = [
            _entry(app, docname, chapter, function)
            for function in functions_with_formulas(f"lmmath.{chapter}")
        ]
        place.replace_self(entries)


def functions_with_formulas(module_name):
    """List a module's public functions that state a formula, in the order of their source.

    >>> functions_with_formulas("lmmath.attention")[0].__name__
    'softmax'
    """
    public = [
        function
        for name, function in vars(import_module(module_name)).items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and f"{function.__module__}.".startswith(f"{module_name}.")
        and formula(function)
    ]
    return sorted(
        public, key=lambda f: (inspect.getsourcefile(f), f.__code__.co_firstlineno)
    )


def formula(function):
    r"""Give the first formula of a function's docstring, or nothing.

    >>> def double(x):
    ...     '''Double a number.
    ...
    ...     .. math:: y = 2 x
    ...     '''
    >>> formula(double)
    'y = 2 x'
    """
    docstring = inspect.getdoc(function) or ""
    found = re.search(r"^\.\. math::(.*(?:\n(?:[ ].*)?)*)", docstring, re.MULTILINE)
    return inspect.cleandoc("\n" + found[1]).strip() if found else ""


def test_of(function, chapter):
    """Find the test of a function.

    Of all that use it, one that says what the function equals comes first, then the chapter's
    own, then the earliest.
    """
    own = TESTS / f"test_{chapter}.py"
    tests = [test for test in _tests() if function.__name__ in test.uses]
    if not tests:
        raise ExtensionError(f"No test uses {function.__module__}.{function.__name__}.")
    return min(tests, key=lambda test: (test.path != own, "equal" not in test.name))


class Test(NamedTuple):
    """A test function, and the names that it uses."""

    path: Path
    name: str
    line: int
    uses: frozenset


@cache
def _tests():
    return [
        Test(path, node.name, node.lineno, frozenset(_names(node)))
        for path in sorted(TESTS.glob("test_*.py"))
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def _names(tree):
    return (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def _section_of(app, chapter, function):
    """Find where a chapter shows a function, or imports it, or at least the chapter."""
    (document,) = [name for name in app.env.found_docs if name.endswith(f"-{chapter}")]
    doctree = app.env.get_doctree(document)
    name = re.escape(function.__name__)
    for pattern in [rf"show_source\([^)]*\b{name}\b", rf"\b{name}\b"]:
        for code in doctree.findall(nodes.literal_block):
            if re.search(pattern, code.astext()):
                section = code
                while not isinstance(section, nodes.section):
                    section = section.parent
                return document, section
    return document, next(doctree.findall(nodes.section))


def _entry(app, docname, chapter, function):
    document, section = _section_of(app, chapter, function)
    source = Path(inspect.getsourcefile(function))
    test = test_of(function, chapter)
    title = [part.deepcopy() for part in section.next_node(nodes.title).children]
    chapter_uri = app.builder.get_relative_uri(docname, document)
    links = [
        (title, f"{chapter_uri}#{section['ids'][0]}"),
        (
            [nodes.Text("source")],
            sources.address(source, function.__code__.co_firstlineno),
        ),
        (
            [nodes.Text(test.name.replace("_", " "))],
            sources.address(test.path, test.line),
        ),
    ]
    line = nodes.paragraph("", "", classes=["formula-links"])
    for content, uri in links:
        if line.children:
            line += nodes.Text(" · ")
        line += nodes.reference("", "", *content, refuri=uri, internal=True)
    name = nodes.paragraph("", "", nodes.literal(text=function.__name__))
    name += nodes.Text(f" – {inspect.getdoc(function).splitlines()[0]}")
    latex = formula(function)
    display = nodes.math_block(latex, latex, nowrap=False, number=None, label=None)
    return nodes.container("", name, display, line, classes=["formula"])


def _not_elsewhere(self, node):
    raise nodes.SkipNode


def setup(app):
    """Register the extension."""
    app.add_directive("formulas", Formulas)
    app.add_node(place_of_formulas, html=(_not_elsewhere, None))
    app.connect("doctree-resolved", fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
