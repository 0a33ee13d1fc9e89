"""One text of JavaScript that holds several modules, each once.

A notebook takes a widget's JavaScript as one text, in which ``"./kit/plot.js"`` would lead nowhere.
So the text holds the sources of all modules, by name, and gives each an address when it starts. The
book's website makes files of them (``book/_ext/live_widgets/assets.py``).
"""

import json
import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1]  # of the widgets
_ADDRESS = re.compile(
    r'(?:(?<=from ")|(?<=import\(")|(?<=new URL\("))\.\.?/[\w/-]+\.js(?=")'
)
_START = """
const addresses = {};
function address(name) {
  addresses[name] ??= URL.createObjectURL(new Blob(
    [SOURCES[name].replace(/"@([\\w/-]+\\.js)"/g, (_, inner) => JSON.stringify(address(inner)))],
    { type: "text/javascript" },
  ));
  return addresses[name];
}
export default (await import(address(ENTRY))).default;
"""


@cache
def module(name):
    """Read a JavaScript module, with the modules that it imports or starts as workers.

    Parameters
    ----------
    name : str
        File name in the folder of the widgets: ``"attention.js"``, ``"kit/plot.js"``.

    Returns
    -------
    str
    """
    return _bundle({}, name, (FOLDER / name).read_text("utf-8"))


def with_imports(source):
    """Put the modules that a JavaScript text imports with it; it lies in the widgets' folder.

    Parameters
    ----------
    source : str

    Returns
    -------
    str
    """
    return _bundle({}, "this.js", source)


def _bundle(sources, name, source):
    _collect(sources, name, source)
    return f"const SOURCES = {json.dumps(sources)};\nconst ENTRY = {json.dumps(name)};{_START}"


def _collect(sources, name, source):
    """Add a source, in which each address becomes "@" and a name, and what it leads to."""

    def named(found):
        inner = (FOLDER / name).parent.joinpath(found[0]).resolve()
        inner_name = inner.relative_to(FOLDER).as_posix()
        if inner_name not in sources:
            _collect(sources, inner_name, inner.read_text("utf-8"))
        return f"@{inner_name}"

    sources[name] = None  # it is on its way
    sources[name] = _ADDRESS.sub(named, source)
