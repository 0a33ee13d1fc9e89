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
    # five figures, a widget's picture
    assert page.locator("main figure svg").count() == 6
    # the widget and two questions
    assert page.locator(".live-widget").count() == 3


def test_mathematics_is_typeset_without_errors(page, site):
    page.goto(f"{site}/03-attention.html", wait_until="networkidle")
    page.wait_for_function("document.querySelectorAll('mjx-container').length > 50")
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
