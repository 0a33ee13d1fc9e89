"""Every chapter runs in the page, cell by cell, and prints there what its notebook prints."""

from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(path.stem for path in BOOK.glob("*.ipynb"))
LIMIT = 180_000  # milliseconds for one cell, on a machine that is busy with other tests
# Cells that show something else there, by a line of their code: why.
OTHERWISE = {}
# What a cell shows, but for widgets, which other tests compare, and the lines of figures.
SHOWN = """
(cell) => {
  const of = (selector) => [...cell.querySelectorAll(`.cell_output ${selector}`)];
  const texts = of(".stream pre, .text_plain pre, .highlight-python pre, .text_markdown pre");
  const figures = of("figure > svg").filter((svg) => !svg.closest(".live-widget"));
  return [
    ...texts.map((pre) => pre.textContent.trimEnd()),
    ...figures.map((svg) => svg.getAttribute("aria-label")),
  ];
}
"""
UNFOLD = (
    "for (const details of document.querySelectorAll('details')) details.open = true"
)


def code_of(cell):
    return cell.locator("pre").first.text_content()


def is_otherwise(code):
    return any(line in code for line in OTHERWISE)


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_cell_prints_what_its_notebook_prints(new_page, strict_site, name):
    page = new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(LIMIT)
    page.goto(f"{strict_site}/{name}.html")
    page.evaluate(UNFOLD)
    cells = page.locator(".runs").all()
    published = [(code_of(cell), cell.evaluate(SHOWN)) for cell in cells]
    compared = 0
    for cell, (code, expected) in zip(cells, published, strict=True):
        kind = cell.get_attribute("class")
        if "needs-" in kind:
            continue
        cell.locator("[data-do=run]").click()
        end = cell.locator(".cell-status", has_text="Ran in")
        end.or_(cell.locator(".cell_output .error")).first.wait_for(state="attached")
        errors = cell.locator(".cell_output .error").all_text_contents()
        assert errors == [], code
        if "nbval-ignore-output" not in kind and not is_otherwise(code):
            assert cell.evaluate(SHOWN) == expected, code
            compared += 1
    assert compared > 0.5 * len(cells)


def test_what_is_said_to_differ_is_there():
    texts = [(BOOK / f"{name}.ipynb").read_text("utf-8") for name in CHAPTERS]
    for line, why in OTHERWISE.items():
        assert why
        assert any(line in text for text in texts)
