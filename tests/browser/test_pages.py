"""Every page of the built site: whole by itself, for all readers, at any width, in both themes."""

import gzip
import html
import re
from pathlib import Path

import axe_playwright_python
import pytest
from fontTools.ttLib import TTFont

SITE = Path(__file__).parents[2] / "_build" / "html"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.glob("*.html"))
CHAPTERS = [name for name in PAGES if re.match(r"\d\d-", name)]
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8")
# Of code and of the dark page's text, one page with all their kinds is enough; widgets differ.
CHECK = """
async ({ rules, only, without }) => {
  const { violations } = await axe.run(
    only ? { include: only } : { exclude: without },
    {
      runOnly: rules
        ? { type: "rule", values: rules }
        : { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] },
      rules: rules ? {} : { "label-content-name-mismatch": { enabled: true } },
      resultTypes: ["violations"],
      preload: false,
    },
  );
  return violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html.slice(0, 200))]);
}
"""
CODE_AND_FIGURES = [[".highlight"], [".cell_output pre"], [".lmmath-figure svg > *"]]


def violations(page, rules=None, only=None, without=()):
    arguments = {"rules": rules, "only": only, "without": list(without)}
    return page.evaluate(CHECK, arguments)


# Waits until what scrolls by itself can be reached by keyboard; a script sees to it after a resize.
WHAT_SCROLLS_CAN_BE_REACHED = """
() => new Promise((done) => {
  const right = (one) => one.scrollWidth <= one.clientWidth || one.tabIndex === 0;
  const look = () => {
    if ([...document.querySelectorAll(".math-scroll, .pst-scrollable-table-container, pre")].every(right)) done();
    else setTimeout(look, 100);
  };
  look();
})
"""


def test_there_are_pages():
    assert {"index.html", "03-attention.html", "references.html"} <= set(PAGES)
    assert len(CHAPTERS) == 10


# What is folded, and what is cut off where the browser leaves out what is off the screen.
SHOW_ALL = """
() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  document.styleSheets[0].insertRule("* { content-visibility: visible !important }");
}
"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_for_all(new_page, strict_site, name):
    """Strict, without requests outside (both by ``new_page``), accessible, never sideways."""
    page = new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.set_default_timeout(60_000)
    page.goto(f"{strict_site}/{name}")
    start_widgets(page)
    assert not runs_sideways(page)
    assert_pictures_have_alternative_text(page)
    assert page.locator("main .math code, .temml-error").count() == 0
    page.evaluate(AXE)
    pattern = name in ("03-attention.html", "index.html", "search.html")
    assert violations(page, without=[] if pattern else CODE_AND_FIGURES) == []
    page.emulate_media(color_scheme="dark")
    page.locator("html[data-theme=dark]").wait_for()
    # as wide as a laptop's screen at 200 %, and as a telephone
    for width in [640, 360]:
        page.set_viewport_size({"width": width, "height": 800})
        assert not runs_sideways(page)
    page.evaluate(SHOW_ALL)
    assert not runs_sideways(page)
    page.evaluate(WHAT_SCROLLS_CAN_BE_REACHED)
    assert violations(page, ["scrollable-region-focusable"]) == []
    if pattern:
        assert violations(page, ["color-contrast", "target-size"]) == []
    elif page.locator(".live-widget").count():
        dark = ["color-contrast", "target-size"]
        assert violations(page, dark, only=[[".live-widget"]]) == []


def start_widgets(page):
    for widget in page.locator(".live-widget").all():
        widget.scroll_into_view_if_needed()
    page.locator(".live-widget:not([data-state=live])").first.wait_for(state="detached")


def runs_sideways(page):
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


def assert_pictures_have_alternative_text(page):
    svgs = page.locator("main figure svg")
    texts = svgs.evaluate_all(
        "all => all.map((one) => one.getAttribute('aria-label') ?? '')"
    )
    assert all(len(text) > 20 for text in texts)
    assert page.locator("main img:not([alt])").count() == 0


def test_the_chapter_has_its_pictures_and_its_widget(page, strict_site):
    page.goto(f"{strict_site}/03-attention.html")
    # five figures, the pictures of two widgets
    assert page.locator("main figure svg").count() == 7
    # the widgets and two questions
    assert page.locator(".live-widget").count() == 4


def test_formulas_are_set_and_numbered(page, strict_site):
    page.goto(f"{strict_site}/03-attention.html")
    assert page.locator("main math").count() > 50
    numbered = page.locator("#equation-3-1")
    assert numbered.locator(".eqno").text_content() == "(3.1)"
    assert numbered.locator("math").count() == 1


def test_the_font_for_formulas_has_every_sign_in_them():
    font = TTFont(SITE / "_static" / "fonts" / "stix-two-math.woff2").getBestCmap()
    formulas = re.findall(
        r"<math.*?</math>",
        "".join((SITE / name).read_text("utf-8") for name in PAGES),
        re.DOTALL,
    )
    signs = set(html.unescape(re.sub("<[^>]*>|\\s", "", "".join(formulas))))
    assert len(signs) > 80
    assert {sign for sign in signs if ord(sign) not in font} == set()


# The last section is too short to stand at the top.
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize(
    ("place", "lowest"), [("equation-6-9", 200), ("exercises", 200), ("reading", 700)]
)
def test_a_link_into_a_page_leads_there(new_page, strict_site, place, lowest, width):
    page = new_page(viewport={"width": width, "height": 800})
    page.goto(f"{strict_site}/06-training.html#{place}")
    page.wait_for_timeout(500)  # for what comes near the screen to take its true height
    assert 0 <= page.locator(f"#{place}").bounding_box()["y"] < lowest


HEADINGS = """
() => [...document.querySelectorAll(".bd-article :is(h1, h2, h3)")].map(
  (heading) => Math.round(heading.getBoundingClientRect().top + scrollY),
)
"""


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_moves_when_the_reader_first_acts(new_page, strict_site, width):
    page = new_page(viewport={"width": width, "height": 800})
    page.goto(f"{strict_site}/06-training.html")
    page.wait_for_timeout(1000)  # for the idle pass, which lays out what scrolls
    before = page.evaluate(HEADINGS)
    page.locator(".bd-article summary").first.evaluate(
        "(one) => one.focus({ preventScroll: true })"
    )
    page.wait_for_timeout(500)
    assert page.locator(".bd-article.in-use").count() == 1
    assert page.evaluate(HEADINGS) == before


def test_nothing_moves_when_widgets_start(new_page, strict_site):
    page = new_page(viewport={"width": 412, "height": 823})
    page.add_init_script("""
        window.shift = 0;
        new PerformanceObserver((list) => {
          for (const { value, hadRecentInput } of list.getEntries()) if (!hadRecentInput) shift += value;
        }).observe({ type: "layout-shift", buffered: true });
    """)
    page.goto(f"{strict_site}/index.html", wait_until="networkidle")
    start_widgets(page)
    assert page.evaluate("shift") < 0.02


def test_search_finds_formulas_by_their_names(page, strict_site):
    for words, found in [("softmax", "Attention"), ("rotary_embedding", "Positions")]:
        page.goto(f"{strict_site}/search.html?q={words}")
        page.locator("#search-results li a", has_text=found).first.wait_for()


def test_a_reader_gets_about_by_keyboard(page, strict_site):
    page.goto(f"{strict_site}/03-attention.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.keyboard.press("Control+k")
    page.locator("#pst-search-dialog input").wait_for()
    page.keyboard.press("Escape")
    switch = page.locator(".theme-switch-button")
    switch.focus()
    assert switch.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_printed_page_has_pictures_and_no_sidebars(page, strict_site):
    page.goto(f"{strict_site}/03-attention.html")
    start_widgets(page)
    page.emulate_media(media="print")
    assert page.locator(".live-widget-picture").first.is_visible()
    for hidden in (".live-widget-view", "#pst-primary-sidebar", ".bd-header-article"):
        assert not page.locator(hidden).first.is_visible()


def test_a_page_offers_its_notebook_and_the_sources_it_imports(page, strict_site):
    page.goto(f"{strict_site}/03-attention.html")
    notebook = page.locator("a[download]").get_attribute("href")
    assert notebook == "_sources/03-attention.ipynb"
    assert (SITE / notebook).exists()
    sources = page.locator(".imported-files a").all_text_contents()
    assert "lmmath/attention.py" in sources


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_is_light(page, strict_site, name):
    """Less than 250 KiB as a server sends it, the models' weights aside."""
    sizes = {}
    page.on(
        "response",
        lambda reply: sizes.setdefault(reply.url, len(gzip.compress(reply.body(), 6))),
    )
    page.goto(f"{strict_site}/{name}", wait_until="networkidle")
    start_widgets(page)
    page.wait_for_load_state("networkidle")
    assert (
        sum(size for url, size in sizes.items() if not url.endswith(".bin"))
        < 250 * 1024
    )
