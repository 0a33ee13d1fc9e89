"""Link pages to the repository, to Colab and to the site itself, when `_config.yml` knows where.

What it does not know is not linked, so nothing is dead.
"""

from urllib.parse import urlsplit


def add_links(app, config):
    """Turn the theme's buttons on, and tell the page for missing addresses where the site is."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options["use_repository_button"] = True
        options["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}
    config.notfound_urls_prefix = site_path(config.html_baseurl)


def site_path(address):
    """Give the path at which a site begins.

    >>> site_path("https://example.org/lmmath"), site_path("")
    ('/lmmath/', '/')
    """
    path = urlsplit(address).path.strip("/")
    return f"/{path}/" if path else "/"


def setup(app):
    """Register the extension, before the theme reads its options."""
    app.connect("config-inited", add_links, priority=100)
    return {
        "version": "1",
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
