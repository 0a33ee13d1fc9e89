"""Every link that leaves the book is a citation, and names its source as the references do."""

import re
from pathlib import Path

import nbformat
import pytest
from pybtex.database import parse_file

BOOK = Path(__file__).parents[1] / "book"
CITING = [
    *sorted(BOOK.glob("*.ipynb")),
    BOOK / "conclusion.md",
    BOOK / "further-reading.md",
]
SOURCES = {
    entry.fields["url"]: entry
    for entry in parse_file(BOOK / "references.bib").entries.values()
}


def prose(path):
    if path.suffix == ".md":
        return path.read_text("utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def links_outside(path):
    return re.findall(r"\[([^]]+)\]\((https?:[^)]+)\)", prose(path))


def citation(source):
    first, *others = [
        " ".join(person.last_names).strip("{}") for person in source.persons["author"]
    ]
    match others:
        case []:
            names = first
        case [second] if second != "others":
            names = f"{first} and {second}"
        case _:
            names = f"{first} et al."
    return f"{names} ({source.fields['year']})"


@pytest.mark.parametrize("path", CITING, ids=lambda path: path.stem)
def test_a_link_outside_is_a_citation_that_names_its_source(path):
    for text, url in links_outside(path):
        assert text == citation(SOURCES[url])


def test_every_source_is_cited():
    cited = {url for path in CITING for _, url in links_outside(path)}
    assert set(SOURCES) - cited == set()
