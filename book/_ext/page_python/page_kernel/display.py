"""What a cell shows, as data for the page: plain text, HTML, Markdown, a widget."""

import sys

from page_kernel import page

WIDGET = "application/vnd.jupyter.widget-view+json"
_METHODS = {  # the richest first
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "image/svg+xml": "_repr_svg_",
}


def mimebundle(value):
    """Give what a value shows, by MIME type, as notebooks ask for it.

    Examples
    --------
    >>> mimebundle(1 + 1)
    {'text/plain': '2'}
    """
    data = {}
    if make := _method(value, "_repr_mimebundle_"):
        made = make()
        data.update(made[0] if isinstance(made, tuple) else made or {})
    for mime, name in _METHODS.items():
        if mime not in data and (make := _method(value, name)):
            made = make()
            if made is not None:
                data[mime] = made
    data.setdefault("text/plain", repr(value))
    return data


def _method(value, name):
    if isinstance(value, type):  # a class has the methods of its instances, but no self
        return None
    return getattr(value, name, None)


def display(*values):
    """Show values on the page, below the running cell."""
    for value in values:
        sys.stdout.flush()
        page.send("display", data=mimebundle(value))


def clear_output(wait=False):
    """Take away what the running cell has shown so far."""
    page.send("clear", wait=bool(wait))


def show_open_figures():
    """Show the figures that the reader drew with ``matplotlib.pyplot``, and close them."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    import io

    for number in pyplot.get_fignums():
        figure, text = pyplot.figure(number), io.StringIO()
        figure.savefig(text, format="svg")
        page.send("display", data={"image/svg+xml": text.getvalue()})
    pyplot.close("all")
