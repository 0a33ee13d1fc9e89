"""The index of formulas leaves none out and leads to lines that say what they should."""

import inspect
import re
from pathlib import Path

import formulas  # book/_ext/formulas.py
import pytest
import sources  # book/_ext/sources.py
from sphinx.errors import ExtensionError

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = [path.stem.partition("-")[2] for path in sorted(BOOK.glob("*.ipynb"))]
ENTRIES = [
    pytest.param(chapter, function, id=function.__name__)
    for chapter in CHAPTERS
    for function in formulas.functions_with_formulas(f"lmmath.{chapter}")
]


def test_every_chapter_is_in_the_index_in_its_order():
    page = (BOOK / "formulas.md").read_text("utf-8")
    assert re.findall(r"```\{formulas\} (\w+)", page) == CHAPTERS


@pytest.mark.parametrize(("chapter", "function"), ENTRIES)
def test_an_entry_leads_to_a_test_of_its_function(chapter, function):
    test = formulas.test_of(function, chapter)
    lines = test.path.read_text("utf-8").splitlines()
    assert lines[test.line - 1].startswith(f"def {test.name}(")
    assert test.path in sources.FILES


@pytest.mark.parametrize(("chapter", "function"), ENTRIES)
def test_the_formula_is_that_of_the_docstring(chapter, function):
    latex = formulas.formula(function)
    assert re.sub(r"\s", "", latex) in re.sub(r"\s", "", inspect.getdoc(function))
    assert latex.count("{") == latex.count("}")
    assert ".. math::" not in latex


def test_a_formula_ends_where_its_block_ends():
    def twice(x):
        """Double a number.

        .. math::

            y = 2 x \\
            z = y

        What follows is text.

        .. math:: x = y / 2
        """

    assert formulas.formula(twice) == "y = 2 x \\\nz = y"
    assert formulas.formula(lambda x: x) == ""


def test_a_function_without_a_test_stops_the_build():
    def anything():
        """Do nothing."""

    anything.__name__ = "untested"
    with pytest.raises(ExtensionError, match=r"No test uses .*untested"):
        formulas.test_of(anything, "attention")


def test_every_file_has_a_page_of_its_own():
    names = [sources.page_name(path) for path in sources.FILES]
    assert len(set(names)) == len(names)
    assert "source/lmmath/attention.py" in names
    assert "source/lmmath/widgets/attention.js" in names
