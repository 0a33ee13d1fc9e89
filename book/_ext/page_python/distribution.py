"""Put Python on the site: Pyodide's core, and its packages in layers.

A layer is a zip of what belongs into ``site-packages``. Its name is made of its content, and so is
that of the core's folder, so a browser may keep them for ever. ``index.json`` lists what there is.
"""

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

from page_python.compiled import SITE, Compiled
from page_python.packages import layers

LOCK = Path(__file__).with_name("lock.json")
CORE = ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm")
LIBRARY = "python_stdlib.zip"
LIBRARY_PATH = "/lib/python312.zip"  # where Pyodide has its standard library
OURS = re.compile(r"core\.[0-9a-f]{16}|[\w.]+\.[0-9a-f]{16}\.zip|.*\.part", re.ASCII)


def write_python(folder, pyodide, repository):
    """Write what the pages load; what is there already stays, and what is old goes.

    Other files in the folder are left alone. Modules that were compiled beforehand are in the
    layers as such; ``lmmath`` keeps its sources too, for readers look at them.

    Parameters
    ----------
    folder : path
        Gets the core, the layers and ``index.json``.
    pyodide : path
        The folder that ``tools/pyodide.py`` has filled.
    repository : path
        The checkout, whose ``lmmath`` becomes a layer.

    Raises
    ------
    FileNotFoundError
        If a file of Pyodide is not there.
    """
    folder, pyodide = Path(folder), Path(pyodide)
    folder.mkdir(parents=True, exist_ok=True)
    lock = read_lock()
    compiled = Compiled(pyodide / "compiled", lock["version"])
    core = _write_core(folder, core_files(pyodide, lock), compiled)
    entries = [_write(folder, layer, compiled) for layer in layers(pyodide, repository)]
    index = {"version": lock["version"], "core": core, "layers": entries}
    _put(folder / "index.json", json.dumps(index).encode())
    current = {core["folder"].rstrip("/"), *(entry["file"] for entry in entries)}
    for old in folder.iterdir():
        if OURS.fullmatch(old.name) and old.name not in current:
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def read_lock():
    """Read which files of Pyodide are needed, as ``tools/pyodide.py`` wrote them down."""
    return json.loads(LOCK.read_text("utf-8"))


def core_files(pyodide, lock):
    """Give the files that Pyodide starts from, by name.

    Its list of packages is empty, for the layers bring them.
    """
    listing = {"info": lock["info"], "packages": {}}
    return {
        **{name: Path(pyodide, name).read_bytes() for name in (*CORE, LIBRARY)},
        "pyodide-lock.json": json.dumps(listing).encode(),
    }


def module_sources(pyodide, repository):
    """Give the source of every module, by its path in Pyodide: what can be compiled beforehand."""
    library = _unzipped(Path(pyodide, LIBRARY).read_bytes())
    sources = {f"{LIBRARY_PATH}/{path}": source for path, source in library.items()}
    for layer in layers(pyodide, repository):
        sources |= {f"{SITE}/{path}": source for path, source in layer.files.items()}
    return {path: source for path, source in sources.items() if path.endswith(".py")}


def with_compiled(files, place, compiled, keeps_source=False):
    """Put the compiled modules in the place of their sources, or beside them.

    Parameters
    ----------
    files : dict of str to bytes
    place : str
        The folder in Pyodide to which they will belong.
    compiled : Compiled
    keeps_source : bool

    Returns
    -------
    dict of str to bytes
    """
    result = {}
    for path, content in files.items():
        module = path.endswith(".py") and compiled.get(f"{place}/{path}", content)
        if not module or keeps_source:
            result[path] = content
        if module:
            result[_beside(path) if keeps_source else f"{path}c"] = module
    return result


def _beside(path):
    """Give the path at which Python looks for what a source was compiled to."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.cpython-312.pyc"


def shared_libraries(paths):
    """List those of some files that extension modules need, and that nobody imports.

    The dynamic linker knows them by their names alone, so whoever unpacks them has to load them.

    >>> shared_libraries(["libopenblas.so", "numpy/_umath.cpython-312-wasm32-emscripten.so"])
    ['libopenblas.so']
    """
    return sorted(
        path for path in paths if path.endswith(".so") and ".cpython-" not in path
    )


def zipped(files):
    """Give a zip of files, the same bytes for the same files.

    Parameters
    ----------
    files : dict of str to bytes

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, compresslevel=9)
    return buffer.getvalue()


def _write(folder, layer, compiled):
    files = with_compiled(layer.files, SITE, compiled, layer.keeps_source)
    path = folder / f"{layer.name}.{_name_of(files)}.zip"
    if not zipfile.is_zipfile(path):  # a copy that was cut short is none
        _put(path, zipped(files))
    return {
        "name": layer.name,
        "file": path.name,
        "size": path.stat().st_size,
        "modules": layer.modules,
        "needs": layer.needs,
        "libraries": shared_libraries(files),
    }


def _write_core(folder, files, compiled):
    library = with_compiled(_unzipped(files[LIBRARY]), LIBRARY_PATH, compiled)
    rest = {name: content for name, content in files.items() if name != LIBRARY}
    inside = {f"{LIBRARY}/{path}": content for path, content in library.items()}
    core = folder / f"core.{_name_of(rest | inside)}"
    core.mkdir(exist_ok=True)
    if not zipfile.is_zipfile(core / LIBRARY):
        _put(core / LIBRARY, zipped(library))
    for name, content in rest.items():
        path = core / name
        if not path.exists() or path.stat().st_size != len(content):
            _put(path, content)
    size = sum((core / name).stat().st_size for name in files)
    return {"folder": f"{core.name}/", "size": size}


def _name_of(files):
    sha256 = hashlib.sha256()
    for name in sorted(files):
        sha256.update(f"{name}\0{len(files[name])}\0".encode())
        sha256.update(files[name])
    return sha256.hexdigest()[:16]


def _unzipped(archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        names = [name for name in members.namelist() if not name.endswith("/")]
        return {name: members.read(name) for name in names}


def _put(path, content):
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    draft.write_bytes(content)
    draft.replace(path)
