"""Let no script hold up a page, and write none into it.

Scripts wait until the page is read, but for the one that chooses its colours. A strict
``Content-Security-Policy`` allows only scripts in files: what the theme writes into pages, settings
for features that are off here, is left out.

The theme's own script looks at every box of code, one after the other, to see which of them scroll,
at the start and after each change of the page. That takes longer than all the rest of it, so it is
taken out; ``page.js`` does the same, for those near the screen at once, for the others when there
is time.
"""

import re
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)

AT_ONCE = "_static/mode.js"
OF_THE_THEME = "_static/scripts/pydata-sphinx-theme.js"
_LOOK_AT_ALL = re.compile(
    r'function (\w+)\(\)\{const e=\(\)=>\{document\.querySelectorAll\(\["pre",.*?,e\(\)\}'
)


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


def without_looking_at_all(script):
    """Leave out of the theme's script what looks for boxes that scroll, and its map, now wrong.

    >>> theirs = 'function I(){const e=()=>{document.querySelectorAll(["pre",".x"])},t=1;t,e()}I()'
    >>> without_looking_at_all(theirs + "//# sourceMappingURL=theirs.js.map")
    'function I(){}I()'
    """
    script = re.sub(r"//# sourceMappingURL=\S+", "", script)
    return _LOOK_AT_ALL.sub(r"function \1(){}", script)


def shorten(app, error):
    """Write the theme's script without it."""
    path = Path(app.outdir, OF_THE_THEME)
    if error or app.builder.format != "html" or not path.exists():
        return
    script = without_looking_at_all(path.read_text("utf-8"))
    if "scrollWidth" in script:
        logger.warning("%s has changed: see scripts.py", path, type="scripts")
    path.write_text(script, "utf-8")


def setup(app):
    """Register the extension, after all that add scripts."""
    app.connect("html-page-context", defer, priority=900)
    app.connect("build-finished", shorten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
