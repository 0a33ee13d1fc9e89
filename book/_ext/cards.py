"""Say what a page is about, to search engines and where a link to it is shared.

The description is the page's first paragraphs. A shared link needs whole addresses, so its
picture and its address are there only if `_config.yml` knows the site's, ``html: baseurl``.
"""

import re
import textwrap
from html import escape
from pathlib import Path
from urllib.parse import urljoin

from docutils import nodes

from lmmath import figures
from lmmath.widgets import AttentionWidget

LENGTH = 180
CARD = "_static/card.png"


def describe(doctree):
    r"""Give the beginning of a page's text, whole words only.

    >>> from docutils.core import publish_doctree
    >>> describe(publish_doctree("Who is *she*?\n\nYou knew as you read."))
    'Who is she? You knew as you read.'
    """
    paragraphs = (
        paragraph.astext()
        for paragraph in doctree.findall(nodes.paragraph)
        if not isinstance(paragraph.parent, nodes.entry)
    )
    text = re.sub(r"\s+", " ", " ".join(paragraphs)).strip()
    if len(text) <= LENGTH:
        return text
    return text[:LENGTH].rpartition(" ")[0].rstrip(" ,;:–") + " …"


def tags(title, description, site_name, address="", page=""):
    """Write a page's tags.

    Parameters
    ----------
    title, description, site_name : str
    address : str
        The site's, or nothing.
    page : str
        The page's, seen from there.
    """
    open_graph = {
        "title": title,
        "type": "article",
        "site_name": site_name,
        "description": description,
    }
    if address:
        open_graph |= {
            "url": urljoin(address, page),
            "image": urljoin(address, CARD),
            "image:alt": "The book's title over the weights of attention in a sentence",
        }
    lines = [f'<meta name="description" content="{escape(description)}" />']
    lines += [
        f'<meta property="og:{name}" content="{escape(content)}" />'
        for name, content in open_graph.items()
    ]
    if address:
        lines.append('<meta name="twitter:card" content="summary_large_image" />')
    return "\n".join(lines) + "\n"


def add_tags(app, pagename, templatename, context, doctree):
    """Put the tags into a page's head."""
    address = app.config.html_baseurl
    if address and not address.endswith("/"):
        address += "/"
    description = describe(doctree) if doctree else ""
    title = re.sub("<[^>]*>", "", context.get("title") or app.config.html_title)
    context["metatags"] = context.get("metatags", "") + tags(
        title,
        description or f"{title}: a part of {app.config.html_title}.",
        app.config.html_title,
        address,
        app.builder.get_target_uri(pagename),
    )


def draw(title, path):
    """Draw the card of the site: its title beside what the words of a sentence look at."""
    figure, axes = figures.subplots(width=12, height=6.3)
    figure.set_facecolor("#fffefb")
    figure.get_layout_engine().set(rect=(0.45, 0.04, 0.53, 0.92))
    widget = AttentionWidget()
    figures.heat_map(axes, widget.attention, widget.pieces, widget.pieces)
    axes.tick_params(labelsize=11)
    lines = "\n".join(textwrap.wrap(title, 15))
    figure.text(
        0.05, 0.5, lines, fontsize=34, family="serif", va="center", linespacing=1.4
    )
    figure.savefig(path, dpi=100)


def write_card(app, error):
    """Draw the card if a page refers to it."""
    if not error and app.config.html_baseurl:
        draw(app.config.html_title, Path(app.outdir, CARD))


def setup(app):
    """Register the extension."""
    app.connect("html-page-context", add_tags)
    app.connect("build-finished", write_card)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
