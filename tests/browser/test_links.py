"""Every link of the built site: a page and a place that are there, or a well-formed address."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

SITE = Path(__file__).parents[2] / "_build" / "html"
HERE = "http://here/"


class Page(HTMLParser):
    """The links of a page, and the places that links can lead to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = set(), {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if attributes.get("id"):
            self.places.add(attributes["id"])
        if tag == "a" and attributes.get("name"):
            self.places.add(attributes["name"])
        for name in ("href", "src"):
            if name in attributes:
                self.links.add(attributes[name])


@pytest.fixture(scope="module")
def pages():
    paths = [path for path in SITE.rglob("*.html") if "_static" not in path.parts]
    return {
        path.relative_to(SITE).as_posix(): Page(path.read_text("utf-8"))
        for path in paths
    }


def test_links_within_the_site_lead_to_a_place(pages):
    missing = []
    for name, page in pages.items():
        for link in page.links:
            address, place = urldefrag(urljoin(HERE + name, link))
            if not address.startswith(HERE):
                continue
            target = unquote(urlsplit(address).path.lstrip("/")) or "index.html"
            known = target in pages and unquote(place) in pages[target].places
            if not known and not (place == "" and (SITE / target).is_file()):
                missing.append(f"{name}: {link}")
    assert missing == []


def test_links_outside_are_well_formed(pages):
    outside = {
        link for page in pages.values() for link in page.links if urlsplit(link).scheme
    }
    assert len(outside) > 50
    for link in outside:
        parts = urlsplit(link)
        assert parts.scheme == "https", link
        assert "." in parts.netloc, link
        assert " " not in link
