"""Let folded cells be called what they say.

MyST-NB names each of them "Toggle hidden content", which hides the words that a reader sees, such
as "Solution in code", from one who listens, or who speaks to the page.
"""

LABEL = ' aria-label="Toggle hidden content"'


def drop_labels(app, pagename, templatename, context, doctree):
    """Leave the names to the words."""
    context["body"] = context.get("body", "").replace(LABEL, "")


def setup(app):
    """Register the extension."""
    app.connect("html-page-context", drop_labels)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
