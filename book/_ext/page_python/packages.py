"""The packages that a page can import, in layers that come when they are first used.

A layer is a set of files for ``site-packages``. Whoever imports one of its modules gets the layer,
so an exercise that draws nothing does not wait for matplotlib. What no module needs when it runs,
tests and headers and sample data, is left out; a module never is.
"""

import importlib.metadata
import pydoc_data
import tomllib
import zipfile
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath

from page_python import drawing

# A package of ours with more data than this beside its code is a layer of its own.
MOST_DATA = 16 * 2**10
# For compilers, type checkers and installers; and the fonts of PostScript and PDF.
UNUSED_ENDINGS = (
    *(".a", ".afm", ".c", ".f", ".f90", ".h", ".hpp", ".orig", ".pxd", ".pxi", ".pyi"),
    *(".pyx", ".typed"),
)
UNUSED_FOLDERS = (
    "array_api_compat/vendor_tests/",
    "matplotlib/mpl-data/fonts/pdfcorefonts/",
    "matplotlib/mpl-data/images/",
    "matplotlib/mpl-data/sample_data/",
)
UNUSED_FILES = ("scipy/misc/ascent.dat", "scipy/misc/ecg.dat", "scipy/misc/face.dat")
# Compiled for this machine.
NATIVE = (".so", ".pyd", ".dylib")
# Of what describes a package, importlib.metadata needs the first, and licences ask for the others.
KEPT_DESCRIPTIONS = ("METADATA", "LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")
# What the rest of SciPy imports only if it is asked for: half of it.
REST_OF_SCIPY = (
    *("cluster", "datasets", "fftpack", "integrate", "interpolate", "io", "misc"),
    *("ndimage", "odr", "signal", "stats"),
)
DRAWING = {
    "matplotlib": ["matplotlib", "mpl_toolkits", "pylab"],
    "pillow": ["PIL"],
    "contourpy": ["contourpy"],
    "cycler": ["cycler"],
    "python_dateutil": ["dateutil"],
    "kiwisolver": ["kiwisolver"],
    "packaging": ["packaging"],
    "pyparsing": ["pyparsing"],
    "six": ["six"],
}
WIDGETS = (
    *("anywidget", "comm", "ipywidgets", "psygnal", "traitlets"),
    "typing_extensions",
)


@dataclass
class Layer:
    """Files that come together.

    Attributes
    ----------
    name : str
    modules : list of str
        Who imports one of these, or a module inside one, gets the layer.
    needs : list of str
        The layers that come with it.
    files : dict of str to bytes
        By their path in ``site-packages``.
    keeps_source : bool
        Whether readers look at its sources.
    """

    name: str
    modules: list
    needs: list
    files: dict = field(repr=False)
    keeps_source: bool = False


def layers(pyodide, repository):
    """List all layers, with their modules as sources.

    Parameters
    ----------
    pyodide : path
        The folder that ``tools/pyodide.py`` has filled.
    repository : path
        The checkout with ``lmmath``.

    Returns
    -------
    list of Layer
    """
    pyodide, repository = Path(pyodide), Path(repository)
    scipy, rest = split_scipy(wheel_files(pyodide, "scipy"))
    drawing_files = drawing.prepared(wheel_files(pyodide, *DRAWING))
    kernel = repository / "book" / "_ext" / "page_python" / "page_kernel"
    return [
        Layer("page", ["page_kernel"], [], _tree(kernel, kernel.parent), True),
        Layer("numpy", ["numpy"], [], wheel_files(pyodide, "numpy")),
        *own_layers(repository),
        Layer("widgets", list(WIDGETS), [], _installed(*WIDGETS)),
        Layer("matplotlib", [*chain(*DRAWING.values())], ["numpy"], drawing_files),
        # A chapter reads the manual of the Python that builds the book; Pyodide has left it out.
        Layer("manual", ["pydoc_data"], [], _manual()),
        # Only PostScript and PDF need it.
        Layer("fonttools", ["fontTools"], [], wheel_files(pyodide, "fonttools")),
        Layer("openblas", [], [], wheel_files(pyodide, "openblas")),
        Layer("scipy", ["scipy"], ["numpy", "openblas"], scipy),
        Layer(
            "scipy.rest", [f"scipy.{name}" for name in REST_OF_SCIPY], ["scipy"], rest
        ),
    ]


def is_needed(path):
    """Tell whether a file of a package is for running it.

    >>> is_needed("numpy/f2py/rules.py"), is_needed("numpy/__init__.pyi")
    (True, False)
    """
    parts = PurePosixPath(path).parts
    if parts[0].endswith(".dist-info"):
        return parts[-1].startswith(KEPT_DESCRIPTIONS)
    return not (
        path.endswith(UNUSED_ENDINGS)
        or path.startswith(UNUSED_FOLDERS)
        or path in UNUSED_FILES
        or "tests" in parts
        or "__pycache__" in parts
    )


def wheel_files(folder, *names):
    """Give the files of packages whose wheels or archives lie in a folder, by their path.

    Raises
    ------
    FileNotFoundError
        If a package is not there.
    """
    files = {}
    for name in names:
        found = sorted(Path(folder).glob(f"{name}-*"))
        if len(found) != 1:
            raise FileNotFoundError(
                f"{folder} must have one {name}-*, got {len(found)}; "
                "`python tools/pyodide.py` brings it"
            )
        with zipfile.ZipFile(found[0]) as wheel:
            for path in wheel.namelist():
                if not path.endswith("/") and is_needed(path):
                    files[path] = wheel.read(path)
    return files


def split_scipy(files):
    """Split SciPy's files into what it imports itself, and what comes only if it is asked for."""
    asked_for = tuple(f"scipy/{name}/" for name in REST_OF_SCIPY)
    rest = {path: files[path] for path in files if path.startswith(asked_for)}
    return {path: files[path] for path in files if path not in rest}, rest


def own_layers(repository):
    """List the layers of ``lmmath``: its code, and each package with much data as a whole.

    Parameters
    ----------
    repository : path

    Returns
    -------
    list of Layer
        The first has all that is in no other.
    """
    files = _tree(Path(repository) / "lmmath", Path(repository))
    packages = [
        path.removesuffix("/__init__.py")
        for path in sorted(files)
        if path.endswith("/__init__.py")
    ]
    data = dict.fromkeys(packages, 0)
    for path, content in files.items():
        if not path.endswith(".py"):
            data[_owner(path, packages)] += len(content)
    apart = []
    for package in packages[1:]:
        if data[package] > MOST_DATA and not package.startswith(
            tuple(f"{other}/" for other in apart)
        ):
            apart.append(package)
    split = {package: {} for package in ("lmmath", *apart)}
    for path, content in files.items():
        split[_owner(path, split)][path] = content
    common = split.pop("lmmath") | _installed("array-api-compat") | _about(repository)
    return [
        Layer("lmmath", ["lmmath", "array_api_compat"], ["numpy"], common, True),
        *(
            Layer(name, [name], ["lmmath"], split[package], True)
            for package in apart
            for name in [package.replace("/", ".")]
        ),
    ]


def _owner(path, packages):
    """Give the innermost of some packages that a file is in."""
    return max((one for one in packages if path.startswith(f"{one}/")), key=len)


def _about(repository):
    """Give what importlib.metadata reads of ``lmmath``."""
    project = tomllib.loads(Path(repository, "pyproject.toml").read_text("utf-8"))
    name, version = project["project"]["name"], project["project"]["version"]
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {f"{name}-{version}.dist-info/METADATA": text.encode()}


def _manual():
    return {
        f"pydoc_data/{path.name}": path.read_bytes()
        for path in sorted(Path(pydoc_data.__file__).parent.glob("*.py"))
    }


def _installed(*names):
    """Give the files of packages of this environment that any Python can run."""
    files = {}
    for name in names:
        for file in importlib.metadata.distribution(name).files:
            path = file.as_posix()
            if ".." not in file.parts and not path.endswith(NATIVE) and is_needed(path):
                files[path] = Path(file.locate()).read_bytes()
    return files


def _tree(folder, root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
