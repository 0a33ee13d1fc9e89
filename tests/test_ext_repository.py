"""Pages link to the repository and to Colab if its address is set, and only then."""

from types import SimpleNamespace

import pytest
import repository  # book/_ext/repository.py


@pytest.mark.parametrize("options", [{}, {"repository_url": ""}])
def test_without_an_address_there_are_no_links(options):
    config = SimpleNamespace(html_theme_options=dict(options))
    repository.add_links(None, config)
    assert config.html_theme_options == options


def test_with_an_address_there_are_both():
    config = SimpleNamespace(
        html_theme_options={"repository_url": "https://example.org/x/y"}
    )
    repository.add_links(None, config)
    assert config.html_theme_options["use_repository_button"]
    assert config.html_theme_options["launch_buttons"]["colab_url"].startswith(
        "https://colab."
    )
