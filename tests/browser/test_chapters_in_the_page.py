"""Every chapter runs in the page, cell by cell, and prints there what its notebook prints."""

from pathlib import Path

import pytest
from page_python.page_kernel.cells import names_of, needed

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(path.stem for path in BOOK.glob("*.ipynb"))
LIMIT = 180_000  # milliseconds for one cell, on a machine that is busy with other tests
# Cells that are not run here, by a line of their code: why. Nor are those that need them.
LEFT_OUT = {
    "import loss_by_distance, mean_and_interval": "reads 64 long texts: two minutes",
    "import losses_by_context, places_in": "reads texts of many lengths: two minutes",
    "tiny = GPTConfig(config.vocab_size, n_positions=32": "trains: a minute",
    "kept of 3,000 for ε": "compares 3,000 vectors with each other: half a minute",
    "m, widths, n_active = 1024": "reads 1,024 features of every sum: half a minute",
}
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


def left_out(codes):
    """Tell of each cell whether it is left out, or needs one that is."""
    cells, found = [names_of(code) for code in codes], []
    for i, code in enumerate(codes):
        listed = any(line in code for line in LEFT_OUT)
        found.append(listed or any(found[j] for j in needed(cells, i)))
    return found


def texts_of(shown):
    """Give what is shown without its line breaks, of which the build may make more."""
    return [" ".join(text.split()) for text in shown]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_cell_prints_what_its_notebook_prints(new_page, strict_site, name):
    page = new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(LIMIT)
    page.goto(f"{strict_site}/{name}.html")
    page.evaluate(UNFOLD)
    cells = page.locator(".runs").all()
    published = [(code_of(cell), cell.evaluate(SHOWN)) for cell in cells]
    compared = 0
    absent = left_out([code for code, _ in published])
    for cell, (code, expected), is_absent in zip(cells, published, absent, strict=True):
        kind = cell.get_attribute("class")
        if "needs-" in kind or is_absent:
            continue
        cell.locator("[data-do=run]").click()
        end = cell.locator(".cell-status", has_text="Ran in")
        end.or_(cell.locator(".cell_output .error")).first.wait_for(state="attached")
        errors = cell.locator(".cell_output .error").all_text_contents()
        assert errors == [], code
        if "nbval-ignore-output" not in kind:
            assert texts_of(cell.evaluate(SHOWN)) == texts_of(expected), code
            compared += 1
    assert compared > 0.4 * len(cells)


def test_what_is_left_out_is_there():
    texts = [(BOOK / f"{name}.ipynb").read_text("utf-8") for name in CHAPTERS]
    for line, why in LEFT_OUT.items():
        assert why
        assert any(line in text for text in texts)
