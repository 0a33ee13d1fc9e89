"""One look for every figure of the book, legible on a light and on a dark page.

A figure has no background, and what matplotlib draws in black takes the colour of the text
around it. The other colours have a contrast of at least 3 to 1 against both pages, and the
colour-blind can tell them apart (Okabe and Ito 2008). The widgets use the same ones.
"""

import functools
import html
import io
import re
import warnings

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"

STYLE = {
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.prop_cycle": matplotlib.cycler(color=[BLUE, VERMILION, GREEN, PURPLE]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "font.size": 10,
    "grid.alpha": 0.2,
    "grid.color": "black",
    "svg.fonttype": "none",
}

SHADES = LinearSegmentedColormap.from_list(
    "shades", [(0, 0.447, 0.698, 0), (0, 0.447, 0.698, 1)]
)


def subplots(rows=1, columns=1, width=4.6, height=3.0):
    """Make a figure in the book's style, and its axes.

    The default is narrow on purpose: it fits a telephone, and grows on a larger screen.

    Parameters
    ----------
    rows, columns : int
        How many axes.
    width, height : float
        Inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : matplotlib.axes.Axes or array of them

    Examples
    --------
    >>> figure, axes = subplots()
    >>> _ = axes.plot([1, 2, 3])
    >>> show(figure, "A line that rises from 1 to 3.")
    Figure: A line that rises from 1 to 3.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots(rows, columns)


def heat_map(axes, values, row_names, column_names):
    """Draw a matrix of numbers between 0 and 1, a stronger colour for a larger one.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    values : array, shape (n_rows, n_columns)
    row_names, column_names : sequence of str
        Row 0 is drawn on top.
    """
    lines = (0.5, 0.5, 0.5, 0.25)
    axes.pcolormesh(values, cmap=SHADES, vmin=0, vmax=1, edgecolors=lines)
    as_written = {"parse_math": False}  # a name may hold a dollar sign
    axes.set_xticks(_middles(column_names), column_names, rotation=90, **as_written)
    axes.set_yticks(_middles(row_names), row_names, **as_written)
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_frame_on(False)
    axes.set_aspect("equal")


def _middles(names):
    return [i + 0.5 for i in range(len(names))]


class show:  # noqa: N801  (used as a verb, at the end of a cell)
    """Show a figure with a text that says what it shows.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        The alternative text, for readers who do not see the figure: what it shows, not what it
        is. It must not be empty.

    Raises
    ------
    ValueError
        If ``alt`` is empty.
    """

    def __init__(self, figure, alt):
        if not alt.strip():
            raise ValueError(f"alt must say what the figure shows, got {alt!r}")
        for legend in filter(None, (axes.get_legend() for axes in figure.axes)):
            legend.set_frame_on(False)
        self.alt = alt
        self._figure = figure

    @functools.cached_property
    def svg(self):
        """The figure as SVG, drawn when it is first asked for: that takes longer than all else."""
        return _svg(self._figure, self.alt)

    def __repr__(self):
        return f"Figure: {self.alt}"

    def _repr_html_(self):
        return f'<figure class="lmmath-figure">{self.svg}</figure>'


def _svg(figure, alt):
    """Render to SVG that takes its ink and its font from the page it stands in."""
    buffer = io.StringIO()
    # The salt makes ids that no other figure of a page has, and the same ones on every run.
    with (
        matplotlib.rc_context(STYLE | {"svg.hashsalt": alt}),
        warnings.catch_warnings(),
    ):
        # Text stays text, so the reader's fonts draw it, whatever matplotlib's lack.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        # `savefig` would draw the figure twice.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    body = buffer.getvalue().split("</metadata>")[1]
    # matplotlib's style sheet would be the whole page's.
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]*>", lambda tag: _adapted(tag[0]), body)
    width, height = (72 * inches for inches in figure.get_size_inches())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width:g} {height:g}" width="{1.6 * width:.0f}" '
        f'style="max-width: 100%; height: auto" stroke-linejoin="round" fill="currentColor" '
        f'role="img" aria-label="{html.escape(alt)}">{body}'
    )


def _adapted(tag):
    """Adapt one SVG tag to the page: its colour, short numbers, attributes instead of a style."""
    # These names are matplotlib's own, the same in each figure.
    tag = re.sub(r' id="[\w.]+_\d+"', "", tag)
    tag = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)
    tag = re.sub(r' style="([^"]*)"', lambda style: _attributes(style[1]), tag)
    return tag.replace("#000000", "currentColor")


def _attributes(style):
    """Write a CSS style as SVG attributes, which a strict page allows too."""
    style = re.sub(r"font: (?:\w+ )*?([\d.]+px)[^;]*", r"font-size: \1", style)
    style = re.sub(r"font-family:[^;]*;?", "", style)  # the page's own
    pairs = (
        declaration.split(":")
        for declaration in style.split(";")
        if declaration.strip()
    )
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)
