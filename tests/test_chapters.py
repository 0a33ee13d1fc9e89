"""Every chapter keeps the book's rules: equations, exercises, clean outputs."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from page_python.page_kernel.cells import names_of

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


# What a reader's page does not have: libraries that judge the book's own code, and models.
JUDGES = {"torch", "transformers", "tiktoken", "mpmath"}
REAL_MODELS = {"load_smollm2", "find_smollm2", "load_published", "RealModelWidget"}
NOT_IN_A_PAGE = (*JUDGES, "tokenizers", "tqdm", "regex", "safetensors", "gguf")


def python_cells(path):
    return [cell for cell in cells(path, "code") if not is_setup(cell)]


def is_setup(cell):
    return "setup" in cell.metadata.get("tags", [])


def imports(source):
    """List the import statements of a cell, and all words in them."""
    found = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    lines = [ast.unparse(node) for node in found]
    return lines, set(re.findall(r"\w+", " ".join(lines)))


def is_judge(cell):
    return bool(imports(cell.source)[1] & JUDGES)


def makers(names):
    """Find for each cell the earlier cells that last bound, or changed, the names it uses."""
    imported = set().union(*(made for _, made in names))
    last, found = {}, []
    for cell, _ in names:
        found.append({last[name] for name in cell.uses if name in last})
        # A call like `figures.show` leaves the module as it is.
        changed = cell.binds | (cell.changes - imported)
        last |= dict.fromkeys(changed, len(found) - 1)
    return found


def names_and_imports(code):
    return [(names_of(cell.source), imports(cell.source)[1]) for cell in code]


def test_no_cell_needs_what_a_judge_left_behind(path):
    code = python_cells(path)
    judges = {i for i, cell in enumerate(code) if is_judge(cell)}
    needed = {
        f"cell {i} needs cell {j}, which imports a library that a page does not have"
        for i, made in enumerate(makers(names_and_imports(code)))
        for j in made & judges
    }
    assert not needed


def test_a_judge_draws_from_no_generator_of_the_chapter(path):
    code = python_cells(path)
    generators = set().union(*(names_of(cell.source).generators for cell in code))
    for cell in filter(is_judge, code):
        assert not names_of(cell.source).uses & generators, cell.source
        assert "default_rng" not in cell.source


def test_only_its_own_section_needs_the_real_model(path):
    section, sections, code = "", [], []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^## (.*)", cell.source, re.MULTILINE):
                section = heading
        elif not is_setup(cell):
            sections.append(section)
            code.append(cell)
    real = set()
    for i, made in enumerate(makers(names_and_imports(code))):
        if imports(code[i].source)[1] & REAL_MODELS or made & real:
            real.add(i)
    assert {sections[i] for i in real} <= {"In a real model"}


WITHOUT = """
import sys
import traceback

class NotThere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing, chapters = eval(sys.stdin.read())
sys.meta_path.insert(0, NotThere())
for name, lines in chapters.items():
    try:
        exec(lines, {})
    except Exception:
        print(name, traceback.format_exc())
"""


@cache
def import_errors():
    """Import what the chapters import in their other cells, where no judge is there."""
    chapters = {
        path.stem: "\n".join(
            line
            for cell in python_cells(path)
            if not is_judge(cell)
            for line in imports(cell.source)[0]
        )
        for path in CHAPTERS
    }
    return subprocess.run(
        [sys.executable, "-c", WITHOUT],
        input=repr((NOT_IN_A_PAGE, chapters)),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
    ).stdout


def test_what_a_page_runs_imports_no_library_that_it_does_not_have(path):
    assert path.stem not in import_errors()
