"""Link pages to the repository and to Colab when `_config.yml` knows its address, and only then."""


def add_links(app, config):
    """Turn the theme's buttons on."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options["use_repository_button"] = True
        options["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}


def setup(app):
    """Register the extension, before the theme reads its options."""
    app.connect("config-inited", add_links, priority=100)
    return {
        "version": "1",
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
