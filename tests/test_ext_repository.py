"""Pages link to the repository and to Colab if its address is set, and only then."""

from types import SimpleNamespace

import pytest
import repository  # book/_ext/repository.py


@pytest.mark.parametrize("options", [{}, {"repository_url": ""}])
def test_without_an_address_there_are_no_links(options):
    config = SimpleNamespace(html_theme_options=dict(options), html_baseurl="")
    repository.add_links(None, config)
    assert config.html_theme_options == options


def test_with_an_address_there_are_both():
    config = SimpleNamespace(
        html_theme_options={"repository_url": "https://example.org/x/y"},
        html_baseurl="https://example.org/book/",
    )
    repository.add_links(None, config)
    assert config.html_theme_options["use_repository_button"]
    assert config.html_theme_options["launch_buttons"]["colab_url"].startswith(
        "https://colab."
    )


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("", "/"),
        ("https://example.org", "/"),
        ("https://example.org/", "/"),
        ("https://example.org/a/b", "/a/b/"),
    ],
)
def test_the_page_for_missing_addresses_knows_where_the_site_begins(address, path):
    config = SimpleNamespace(html_theme_options={}, html_baseurl=address)
    repository.add_links(None, config)
    assert config.notfound_urls_prefix == path
