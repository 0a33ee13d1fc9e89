"""Have Python's modules compiled by Pyodide itself, in a browser.

What it needs is the tests' browser (``tools/browser.py``). Where the Python that runs this has the
same version as Pyodide's, it compiles them itself.
"""

import base64
import io
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import browser
from playwright.sync_api import Error, sync_playwright

ROOT = Path(__file__).parents[1]
CODE = ROOT / "book" / "_ext" / "page_python" / "compiled.py"
ADDRESS = "http://pyodide.invalid/"  # the browser is given its files, and asks nobody
MOST_BYTES = 2 * 2**20  # of sources at a time; after each, what is done is kept
KINDS = {
    "js": "text/javascript",
    "mjs": "text/javascript",
    "wasm": "application/wasm",
    "json": "application/json",
}
START = """
async (code) => {
  const { loadPyodide } = await import("./pyodide.mjs");
  // With a fixed seed, sets of constants have a fixed order.
  const pyodide = await loadPyodide({ indexURL: "./", env: { PYTHONHASHSEED: "0" } });
  pyodide.runPython(code);
  const compileModules = pyodide.globals.get("compile_modules");
  window.compile = async (text) => {
    const sources = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const bytes = compileModules(pyodide.toPy(sources)).toJs();
    let letters = "";
    for (let i = 0; i < bytes.length; i += 32768) {
      letters += String.fromCharCode(...bytes.subarray(i, i + 32768));
    }
    return btoa(letters);
  };
}
"""


class NoCompiler(Exception):
    """There is nothing to compile with. The message is one line that says so."""


def compile_missing(core, compiled, sources, python, say):
    """Compile the modules that are not compiled yet.

    Parameters
    ----------
    core : dict of str to bytes
        The files of Pyodide's core, by name.
    compiled : page_python.compiled.Compiled
    sources : dict of str to bytes
        By their path in Pyodide.
    python : str
        The version of Pyodide's Python, such as "3.12.7".
    say : function
        Takes a line that tells what is going on.

    Raises
    ------
    NoCompiler
        If no browser starts, or none can run Pyodide.
    """
    missing = {
        path: source
        for path, source in sources.items()
        if compiled.get(path, source) is None
    }
    if not missing:
        return
    say(f"Compiling {len(missing)} modules for the pages (this is done once) ...")
    with _compiler(core, python) as compile_modules:
        for batch in _batches(missing):
            with zipfile.ZipFile(io.BytesIO(compile_modules(_zip(batch)))) as modules:
                done = set(modules.namelist())
                for path, source in batch.items():
                    # What does not compile is kept as nothing, or it would be tried each time.
                    name = path.removeprefix("/")
                    content = modules.read(name) if name in done else b""
                    compiled.put(path, source, content)


def _compiler(core, python):
    if python.split(".")[:2] == [str(part) for part in sys.version_info[:2]]:
        return _own_compiler()
    return _browsers_compiler(core)


@contextmanager
def _own_compiler():
    from page_python.compiled import compile_modules

    yield compile_modules


@contextmanager
def _browsers_compiler(core):
    if (path := browser.find()) is None:
        raise NoCompiler("there is no Chromium")
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox"]
            )
            page = chromium.new_page()
            page.set_default_timeout(0)
            page.route("**/*", lambda route: _answer(route, core))
            page.goto(ADDRESS)
            page.evaluate(START, CODE.read_text("utf-8"))

            def compile_modules(archive):
                text = base64.b64encode(archive).decode()
                return base64.b64decode(page.evaluate("(t) => compile(t)", text))

            yield compile_modules
            chromium.close()
    except Error as error:
        raise NoCompiler(f"Chromium: {error.message.splitlines()[0]}") from None


def _answer(route, core):
    name = route.request.url.removeprefix(ADDRESS)
    if name == "":
        route.fulfill(body="<!doctype html>", content_type="text/html")
    elif name in core:
        kind = KINDS.get(name.rpartition(".")[2], "application/octet-stream")
        route.fulfill(body=core[name], content_type=kind)
    else:
        route.fulfill(status=404)


def _batches(sources):
    batch, size = {}, 0
    for path, source in sources.items():
        batch[path] = source
        size += len(source)
        if size > MOST_BYTES:
            yield batch
            batch, size = {}, 0
    if batch:
        yield batch


def _zip(batch):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, source in batch.items():
            archive.writestr(path.removeprefix("/"), source)
    return buffer.getvalue()
