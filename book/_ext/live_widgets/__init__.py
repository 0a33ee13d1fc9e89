"""Put the widgets that notebooks display on the static page, alive and without a kernel.

MyST-NB saves the state of every widget that a notebook shows. This extension

- takes that state and keeps what the page's widgets need (``page.py``);
- writes each JavaScript module, style sheet and binary buffer once, under a name made of its
  content, so that pages share them and browsers may keep them for ever (``assets.py``);
- leaves in place of each widget its static picture: the HTML or the image that the widget offers
  beside its live view. ``static/widgets/host.js`` starts the widget when it scrolls into view.

It hosts any anywidget, several views of one, and the links that ``jslink`` and ``jsdlink`` make.
What it cannot host is a warning that names the widget, so a build with warnings as errors stops.
"""

import json
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import WIDGET_VIEW_MIMETYPE
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.util import logging

from live_widgets.assets import Assets
from live_widgets.page import CannotHost, page_data

logger = logging.getLogger(__name__)

NO_PICTURE = "Here is an interactive widget. It needs JavaScript."


class live_widget(nodes.General, nodes.Element):  # noqa: N801  (docutils names nodes so)
    """A widget's place on the page. Its children are the static picture."""


def replace_widget_views(app, doctree):
    """Turn each displayed widget into a ``live_widget``, and collect the page's state."""
    docname = app.env.docname
    saved = NbMetadataCollector.get_js_files(app.env, docname).pop(
        "ipywidgets_state", None
    )
    models = json.loads(saved[1]["body"])["state"] if saved else {}
    shown = []
    for view in list(doctree.findall(_is_widget_view)):
        model_id = json.loads(view.astext().partition(">")[2].rpartition("<")[0])[
            "model_id"
        ]
        bundle = view.parent
        bundle.remove(view)
        place = live_widget(model=model_id)
        bundle.replace_self(place)
        place += _picture(bundle)
        shown.append(model_id)
    if not shown:
        return
    assets = Assets()
    try:
        data = page_data(models, shown, assets)
    except CannotHost as problem:
        logger.warning("%s", problem, location=docname, type="live_widgets")
        return
    keep(app.env, docname, data, assets.files)


def keep(env, docname, data, files):
    """Keep what a page needs; a file that pages share, such as a model, is stored once."""
    known = {
        name: content
        for _, others in env.live_widgets.values()
        for name, content in others.items()
    }
    shared = {name: known.get(name, content) for name, content in files.items()}
    env.live_widgets[docname] = (data, shared)


def _is_widget_view(node):
    return (
        isinstance(node, nodes.container)
        and node.get("mime_type") == WIDGET_VIEW_MIMETYPE
    )


def _picture(bundle):
    """Keep the other representations of the widget, of which MyST-NB will choose the best."""
    if any(child["mime_type"] != "text/plain" for child in bundle.children):
        return bundle
    return nodes.paragraph("", NO_PICTURE)


def add_page_data(app, pagename, templatename, context, doctree):
    """Give a page with widgets its state and the host that starts them."""
    if pagename not in app.env.live_widgets:
        return
    data, _ = app.env.live_widgets[pagename]
    body = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    app.add_css_file("widgets/host.css")
    app.add_js_file(None, body=body, type="application/json", id="live-widgets")
    app.add_js_file("widgets/host.js", type="module")


def write_assets(app, error):
    """Write every page's modules, style sheets and buffers, and which class has which."""
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir, "_static", "widgets")
    for old in folder.glob("*"):
        if not old.name.startswith("host."):
            old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    classes = {}
    for data, files in app.env.live_widgets.values():
        for name, content in files.items():
            (folder / name).write_bytes(content)
        for model in data["models"].values():
            files = {"module": model["module"], "css": model["css"]}
            classes[model["state"]["_anywidget_id"]] = files
    (folder / "modules.json").write_text(json.dumps(classes), "utf-8")


def _start(app):
    app.config.html_static_path.append(str(Path(__file__).parent / "static"))
    app.config.nb_ipywidgets_js = {}  # the stock player, from a CDN


def _prepare(app):
    if not hasattr(app.env, "live_widgets"):
        app.env.live_widgets = {}


def _purge(app, env, docname):
    env.live_widgets.pop(docname, None)


def _merge(app, env, docnames, other):
    for name in docnames:
        if name in other.live_widgets:
            keep(env, name, *other.live_widgets[name])


def _visit_html(self, node):
    self.body.append(f'<div class="live-widget" data-model="{node["model"]}">')
    self.body.append('<div class="live-widget-picture">')


def _depart_html(self, node):
    self.body.append("</div></div>")


def _pass(self, node):
    pass


def setup(app):
    """Register the extension."""
    app.add_node(live_widget, html=(_visit_html, _depart_html), latex=(_pass, _pass))
    app.connect("config-inited", lambda app, config: _start(app))
    app.connect("builder-inited", _prepare)
    app.connect("doctree-read", replace_widget_views)
    app.connect("env-purge-doc", _purge)
    app.connect("env-merge-info", _merge)
    app.connect("html-page-context", add_page_data)
    app.connect("build-finished", write_assets)
    return {
        "version": "1",
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
