"""Let no script hold up a page, and write none into it.

Scripts wait until the page is read, but for the one that chooses its colours. A strict
``Content-Security-Policy`` allows only scripts in files: what the theme writes into pages, settings
for features that are off here, is left out.
"""

AT_ONCE = "_static/mode.js"


def defer(app, pagename, templatename, context, doctree):
    """Keep a page's script files, deferred, and its data."""
    kept = []
    for script in context["script_files"]:
        if script.filename:
            at_once = script.filename == AT_ONCE
            if not at_once and script.attributes.get("type") != "module":
                script.attributes["defer"] = "defer"
            kept.append(script)
        elif script.attributes.get("type") == "application/json":
            kept.append(script)
    context["script_files"] = kept


def setup(app):
    """Register the extension, after all that add scripts."""
    app.connect("html-page-context", defer, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
