"""Let parts of a page be called what they are, for readers who listen or speak to it.

MyST-NB names each folded cell "Toggle hidden content", which hides the words that others see, such
as "Solution in code". Docutils gives a reference a role that is no longer one, in a list of which
it should be an item.
"""

RIGHT_NAMES = {
    ' aria-label="Toggle hidden content"': "",
    'role="doc-biblioentry"': 'role="listitem"',
}


def correct(app, pagename, templatename, context, doctree):
    """Write the right names into a page."""
    for wrong, right in RIGHT_NAMES.items():
        context["body"] = context.get("body", "").replace(wrong, right)


def setup(app):
    """Register the extension."""
    app.connect("html-page-context", correct)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
