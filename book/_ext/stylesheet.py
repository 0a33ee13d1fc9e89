"""Give all pages one small style sheet, and no style within them.

The theme's sheets are made for any site: of their 400 kB this book uses a tenth, and a browser
shows nothing before it has read them all. So the rules that can apply to no page are left out, the
rest is one file, and a ``style="..."`` becomes a rule too, since a strict
``Content-Security-Policy`` allows none on a page. Highlighted code is full of marks that no rule
colours: they go as well.
"""

import hashlib
import re
from pathlib import Path

import tinycss2
from sphinx.util import logging

logger = logging.getLogger(__name__)

NAME = "site.css"
SHEETS = [  # patterns, in the order in which later rules win
    "basic.css",
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
    "copybutton.css",
    "mystnb.*.css",
    "widgets/host.css",
    "python/cells.css",
    "book.css",
]
MINIFIED = {"codemirror.js"}  # has nearly every short word, and no class of the page's
_ICON_FONT = "vendor/fontawesome"  # book.css has its own icons
_VALUE = (
    r"""(?:[^;{}"'()]|"[^"]*"|'[^']*'|\((?:[^()"']|"[^"]*"|'[^']*'|\([^()]*\))*\))*"""
)
_CUSTOM = re.compile(rf"(?<=[{{;\s])(--[\w-]+)\s*:{_VALUE}(?:;|(?=\}}))")
_STYLE = re.compile(r' (?:data-)?style="([^"]*)"')
_TOKEN = re.compile(r'<span class="(\w{1,3})">([^<]*)</span>')
_FUNCTION = re.compile(r":(?:not|is|where|has)\([^()]*(?:\([^()]*\))?[^()]*\)")
_NAMES = re.compile(r"[.#](-?[A-Za-z_](?:[\w-]|\\.)*)")


def used_rules(css, words):
    """Give the rules of a style sheet whose classes and ids are all among some words.

    Parameters
    ----------
    css : str or list
        The text of a sheet, or what ``tinycss2`` has parsed.
    words : set of str

    Examples
    --------
    >>> list(used_rules("a, .b .c {color: red} @media print {.b {margin: 0}}", {"b"}))
    ['a{color: red}', '@media print {.b{margin: 0}}']
    """
    for rule in tinycss2.parse_stylesheet(
        css, skip_comments=True, skip_whitespace=True
    ):
        if rule.type == "qualified-rule":
            selectors = [
                one for one in _selectors(rule.prelude) if _names(one) <= words
            ]
            if selectors:
                yield f"{','.join(selectors)}{{{_text(rule.content)}}}"
        elif rule.type == "at-rule" and rule.at_keyword in (
            "media",
            "supports",
            "layer",
        ):
            inside = "".join(used_rules(rule.content, words))
            if inside:
                yield f"@{rule.at_keyword}{_text(rule.prelude)}{{{inside}}}"
        elif rule.type == "at-rule" and _ICON_FONT not in rule.serialize():
            yield _text([rule])


def without_unread(css, read):
    """Leave out the custom properties that nothing reads: the theme's sheets define hundreds.

    Parameters
    ----------
    css : str
    read : set of str
        Those that are read elsewhere: by scripts, or by other sheets.

    Examples
    --------
    >>> without_unread("a{--x:1;--y:var(--x);--z:2;color:var(--z)}", set())
    'a{--z:2;color:var(--z)}'
    """
    known = read | set(re.findall(r"var\(\s*(--[\w-]+)", css))
    shorter = _CUSTOM.sub(lambda found: found[0] if found[1] in known else "", css)
    # What only those read that went is read by nobody now.
    return css if shorter == css else without_unread(shorter, read)


def _selectors(prelude):
    """Split at the commas that stand outside brackets."""
    selectors = [[]]
    for token in prelude:
        if token == ",":
            selectors.append([])
        else:
            selectors[-1].append(token)
    return [_text(selector).strip() for selector in selectors]


def _names(selector):
    """List the classes and ids that an element must have."""
    return set(_NAMES.findall(_FUNCTION.sub("", selector)))


def _text(tokens):
    written = tinycss2.serialize([token for token in tokens if token.type != "comment"])
    return re.sub(r"\s+", " ", written)


def style_rules(pages):
    """Write as rules what the pages have as styles of single elements."""
    styles = {style for page in pages for style in _STYLE.findall(page) if ":" in style}
    return [f'[data-style="{style}"]{{{style}}}' for style in sorted(styles)]


def use_one_sheet(app, pagename, templatename, context, doctree):
    """Let a page ask for the one sheet; warn of a sheet that is not in it."""
    for sheet in context["css_files"]:
        name = str(sheet.filename).removeprefix("_static/")
        if not any(Path(name).match(pattern) for pattern in SHEETS):
            logger.warning(
                "%s is not among the SHEETS of stylesheet.py", name, type="stylesheet"
            )
    context["css_files"] = []


def _other_sheets(static):
    """List the sheets that pages load by themselves: those of widgets and of the editor."""
    for folder in ("widgets", "python"):
        for path in static.glob(f"{folder}/*.css"):
            if path.relative_to(static).as_posix() not in SHEETS:
                yield path


def write_sheet(app, error):
    """Write the sheet, and its name into the pages."""
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    static = site / "_static"
    pages = {path: path.read_text("utf-8") for path in site.rglob("*.html")}
    scripts = [
        path.read_text("utf-8")
        for path in static.rglob("*.js")
        if path.name not in MINIFIED
    ]
    words = set(re.findall(r"[\w-]+", " ".join([*pages.values(), *scripts])))
    rules = []
    for pattern in SHEETS:
        for sheet in sorted(static.glob(pattern)):
            rules += used_rules(sheet.read_text("utf-8"), words)
    css = "\n".join([*rules, *style_rules(pages.values())])
    others = [*scripts, *(path.read_text("utf-8") for path in _other_sheets(static))]
    css = without_unread(css, set(re.findall(r"--[\w-]+", " ".join(others))))
    (static / NAME).write_text(css, "utf-8")
    version = hashlib.sha256(css.encode()).hexdigest()[:8]
    styled = set(_NAMES.findall(css))
    for path, page in pages.items():
        page = _STYLE.sub(r' data-style="\1"', page)
        page = _TOKEN.sub(lambda found: found[found[1] not in styled and 2], page)
        page = re.sub(rf"{NAME}(\?v=\w+)?", f"{NAME}?v={version}", page)
        path.write_text(page, "utf-8")


def setup(app):
    """Register the extension, after all that add sheets."""
    app.connect("html-page-context", use_one_sheet, priority=900)
    app.connect("build-finished", write_sheet, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
