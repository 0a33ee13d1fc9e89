"""What matplotlib does at each start if nobody has done it before, and what a page has no use for.

It looks through all its fonts, for half a second to several, unless it finds the list of them. And
Pyodide's matplotlib draws into the page by a package of its own, which the pages do not have: a
figure is shown as the text of a picture.
"""

import io
import json

from matplotlib.font_manager import ttfFontProperty
from matplotlib.ft2font import FT2Font

# The version of the list that matplotlib 3.8 reads, and where Pyodide's looks for it.
LIST_VERSION, LIST = 330, "matplotlib/fontlist.json"
SETTINGS = "matplotlib/mpl-data/matplotlibrc"
DATA = "matplotlib/mpl-data/"
PROPERTIES = ("name", "style", "variant", "weight", "stretch", "size")
# Neither the default settings nor their formulas lead to these.
UNUSED_FONTS = ("DejaVuSerif", "DejaVuSansMono-", "Humor-Sans")


def prepared(files):
    """Give the files of matplotlib with a list of its fonts, a backend that is there, and no more.

    Parameters
    ----------
    files : dict of str to bytes
        By their path in ``site-packages``.

    Returns
    -------
    dict of str to bytes
    """
    files = {
        path: content
        for path, content in files.items()
        if not path.rpartition("/")[2].startswith(UNUSED_FONTS)
    }
    files[LIST] = font_list(
        {path: content for path, content in files.items() if path.endswith(".ttf")}
    )
    files[SETTINGS] = files[SETTINGS].replace(
        b"\n#backend: module://matplotlib_pyodide.wasm_backend\n", b"\n#backend: agg\n"
    )
    return files


def font_list(fonts):
    """Give the list of fonts as matplotlib would write it, but in the order of their names.

    Parameters
    ----------
    fonts : dict of str to bytes
        By their path in ``site-packages``.

    Returns
    -------
    bytes
    """
    entries = []
    for path in sorted(fonts):
        found = ttfFontProperty(FT2Font(io.BytesIO(fonts[path])))
        properties = {name: getattr(found, name) for name in PROPERTIES}
        fname = path.removeprefix(DATA)
        entries.append({"fname": fname, **properties, "__class__": "FontEntry"})
    manager = {
        "_version": LIST_VERSION,
        "_FontManager__default_weight": "normal",
        "default_size": None,
        "defaultFamily": {"ttf": "DejaVu Sans", "afm": "Helvetica"},
        "afmlist": [],
        "ttflist": entries,
        "__class__": "FontManager",
    }
    return json.dumps(manager).encode()
