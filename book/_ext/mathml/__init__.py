r"""Typeset mathematics when the site is built, as MathML, which browsers draw and read aloud.

Nothing is left for the page to compute: no script, no waiting, no jumping text. Temml
(https://temml.org, MIT licence) translates LaTeX; it is a JavaScript program, which QuickJS runs
here, so that nobody needs Node. The font is in ``book/_static/fonts``, the style in ``book.css``.
"""

import html
import re
from functools import cache
from pathlib import Path

import quickjs
from docutils.nodes import SkipNode
from sphinx.util import logging

logger = logging.getLogger(__name__)

TEMML = Path(__file__).parent / "temml-0.13.5.min.js"
_TAG = re.compile(r"\\tag\{([^}]*)\}")


class BadLatex(ValueError):
    """LaTeX that cannot be read, and why."""


@cache
def _temml():
    context = quickjs.Context()
    context.eval(TEMML.read_text("utf-8"))
    context.eval(
        "var typeset = (latex, displayMode) =>"
        " temml.renderToString(latex, { displayMode, throwOnError: true }).trim()"
    )
    return context.get("typeset")


def mathml(latex, display=False):
    r"""Translate LaTeX to MathML.

    Parameters
    ----------
    latex : str
        Without dollar signs.
    display : bool
        Whether it stands in a line of its own.

    Raises
    ------
    BadLatex
        If the formula has an error.

    Examples
    --------
    >>> mathml(r"\frac12")
    '<math><mfrac><mn>1</mn><mn>2</mn></mfrac></math>'
    >>> mathml(r"\nosuch")
    Traceback (most recent call last):
    mathml.BadLatex: Unsupported function name: \nosuch at position 1:
    """
    try:
        return _temml()(latex, display)
    except quickjs.JSException as error:
        message = str(error).partition("ParseError: ")[2].partition("\n")[0]
        raise BadLatex(message.strip() or str(error)) from None


def equation(latex):
    r"""Typeset a displayed formula. Its number, ``\tag{3.1}``, stands beside it, and is an anchor.

    >>> equation(r"x \tag{3.1}").partition(">")[0]
    '<div class="math" id="equation-3-1"'
    """
    tag = _TAG.search(latex)
    latex = _TAG.sub("", latex)
    shown = f'<div class="math-scroll">{mathml(latex, display=True)}</div>'
    if not tag:
        return f'<div class="math">{shown}</div>\n'
    number = html.escape(tag[1])
    anchor = "equation-" + re.sub(r"\W+", "-", tag[1])
    return f'<div class="math" id="{anchor}">{shown}<span class="eqno">({number})</span></div>\n'


def _written(self, node, typeset):
    try:
        self.body.append(typeset(node.astext()))
    except BadLatex as error:
        logger.warning("%s", error, location=node, type="mathml")
        self.body.append(f"<code>{html.escape(node.astext())}</code>")


def _visit_inline(self, node):
    _written(self, node, mathml)
    raise SkipNode


def _visit_display(self, node):
    _written(self, node, equation)
    raise SkipNode


def setup(app):
    """Register the renderer; ``html_math_renderer = "mathml"`` chooses it."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_display, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
