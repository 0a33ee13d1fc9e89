"""Every page of the built site: whole by itself, at any width, in both themes."""

from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "_build" / "html"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.glob("*.html"))


def test_there_are_pages():
    assert {"index.html", "03-attention.html", "references.html"} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_a_page_makes_no_outside_request_and_does_not_scroll_sideways(
    new_page, site, name, theme, width
):
    page = new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
    page.goto(f"{site}/{name}", wait_until="networkidle")
    for widget in page.locator(".live-widget").all():
        widget.scroll_into_view_if_needed()
    page.wait_for_function("!document.querySelector('.live-widget:not([data-state])')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", PAGES)
def test_pictures_have_alternative_text(page, site, name):
    page.goto(f"{site}/{name}")
    for picture in page.locator("main figure svg").all():
        assert len(picture.get_attribute("aria-label")) > 20
    for image in page.locator("main img").all():
        assert image.get_attribute("alt")


def test_the_chapter_has_its_pictures_and_its_widget(page, site):
    page.goto(f"{site}/03-attention.html")
    # four figures, a widget's picture
    assert page.locator("main figure svg").count() == 5
    # the widget and two questions
    assert page.locator(".live-widget").count() == 3


@pytest.mark.parametrize("name", [name for name in PAGES if name[0] in "01f"])
def test_mathematics_is_typeset_without_errors(page, site, name):
    page.goto(f"{site}/{name}", wait_until="networkidle")
    page.wait_for_function("document.querySelectorAll('mjx-container').length > 0")
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0


def test_every_link_of_the_index_of_formulas_leads_to_its_line(page, site):
    page.goto(f"{site}/formulas.html")
    addresses = page.locator(".formula-links a").evaluate_all(
        "all => all.map((a) => a.href)"
    )
    assert len(addresses) > 200
    for address, *anchors in _by_page(addresses).items():
        page.goto(address)
        (anchors,) = anchors
        missing = page.evaluate(
            "ids => ids.filter((id) => !document.getElementById(id))", sorted(anchors)
        )
        assert missing == [], address


def _by_page(addresses):
    pages = {}
    for address in addresses:
        page, _, anchor = address.partition("#")
        pages.setdefault(page, set()).add(anchor)
    return pages
