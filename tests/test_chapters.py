"""Every chapter keeps the book's rules: equations, exercises, clean outputs."""

import re
from pathlib import Path

import nbformat
import pytest

from lmmath.exercises import EXERCISES

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
pytestmark = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path, cell_type):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == cell_type]


def prose(path):
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


def test_the_title_has_the_number_of_the_file(path):
    number = int(path.stem[:2])
    assert re.match(rf"# {number}\. \w+", prose(path))
    assert len(re.findall(r"^# ", prose(path), re.MULTILINE)) == 1


def test_equations_are_numbered_in_order_and_references_resolve(path):
    number = int(path.stem[:2])
    tags = re.findall(r"\\tag\{([\d.]+)\}", prose(path))
    assert tags == [f"{number}.{i}" for i in range(1, len(tags) + 1)]
    referred = set(re.findall(rf"(?<!\{{)\(({number}\.\d+)\)", prose(path)))
    assert referred <= set(tags)


def test_a_numbered_equation_is_one_line(path):
    # Sphinx puts what has a line break into an environment that allows no number.
    for equation in re.findall(r"\$\$(.*?)\$\$", prose(path), re.DOTALL):
        assert not ("\\tag" in equation and "\\\\" in equation)


def test_plain_markdown_needs_no_extension(path):
    assert not re.search(r"^(:::|```\{)|\{[a-z:]+\}`", prose(path), re.MULTILINE)


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


def test_every_exercise_is_followed_by_its_folded_solution(path):
    code = "\n".join(cell.source for cell in cells(path, "code"))
    found = re.findall(
        r"^(check|show_source)\((?:solutions\.)?(\w+)\)", code, re.MULTILINE
    )
    order = [(verb, name) for verb, name in found if name in EXERCISES]
    asked = [name for verb, name in order if verb == "check"]
    assert len(asked) >= 3
    assert order == [
        (verb, name) for name in asked for verb in ("check", "show_source")
    ]
    for cell in filter(is_solution, cells(path, "code")):
        assert "hide-cell" in cell.metadata.tags
        assert cell.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}
        assert cell.metadata.mystnb.code_prompt_show == "Solution in code"


def test_hidden_code_says_what_it_makes(path):
    for cell in cells(path, "code"):
        if "hide-input" in cell.metadata.get("tags", []):
            makes = "figure" if "figures.show(" in cell.source else "question"
            assert makes == "figure" or cell.source.startswith(("Choice(", "Number("))
            assert cell.metadata.mystnb.code_prompt_show == f"The code of this {makes}"
            assert cell.metadata.mystnb.code_prompt_hide == "Hide the code"


def test_an_unsolved_exercise_says_so(path):
    for cell in cells(path, "code"):
        if re.search(r"^check\(", cell.source, re.MULTILINE):
            assert "returns nothing yet" in cell.outputs[0].data["text/plain"]


def test_a_chapter_defines_nothing_but_answers(path):
    for cell in cells(path, "code"):
        if re.search(r"^(def|class) ", cell.source, re.MULTILINE):
            assert re.search(r"^check\(", cell.source, re.MULTILINE)


def test_a_chapter_shows_figures_each_with_its_text(path):
    figures = [cell for cell in cells(path, "code") if "figures.show(" in cell.source]
    assert len(figures) >= 3
    for cell in figures:
        assert cell.outputs[0].data["text/plain"].startswith("Figure: ")
