"""Modules that are compiled beforehand, so that a page need not do it each time it starts.

Only Python 3.12 writes what Pyodide's Python 3.12 reads. ``tools/pyodide.py`` has it done, and the
results stay in a folder, under names made of the sources: a source that has not changed is not
compiled again.
"""

import hashlib
import importlib.util
import io
import os
import warnings
import zipfile
from importlib._bootstrap_external import _code_to_hash_pyc
from pathlib import Path

SITE = "/lib/python3.12/site-packages"
# Their documentation is long, and matplotlib works on its own at each start.
# Asserts go with it, which both projects allow (``python -OO``).
WITHOUT_DOCUMENTATION = tuple(
    f"{SITE}/{name}/" for name in ("matplotlib", "mpl_toolkits", "scipy", "fontTools")
)


def level(path):
    """Give how far a module is reduced when it is compiled: 0, or 2, without documentation.

    >>> level(f"{SITE}/lmmath/attention.py"), level(f"{SITE}/scipy/optimize/_optimize.py")
    (0, 2)
    """
    return 2 if path.startswith(WITHOUT_DOCUMENTATION) else 0


class Compiled:
    """A folder of compiled modules.

    Parameters
    ----------
    folder : path
        It need not exist.
    version : str
        Pyodide's.
    """

    def __init__(self, folder, version):
        self.folder, self._version = Path(folder), version

    def get(self, path, source):
        """Give the compiled module of a source that stands at a path in Pyodide, or None."""
        try:
            return self._file(path, source).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, path, source, content):
        """Keep what a source was compiled to."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._file(path, source)
        draft = file.with_name(f"{file.name}.{os.getpid()}.part")
        draft.write_bytes(content)
        draft.replace(file)

    def keep_only(self, sources):
        """Remove what belongs to none of some sources, a dict by path."""
        wanted = {self._file(path, source) for path, source in sources.items()}
        for file in self.folder.glob("*"):
            if file not in wanted:
                file.unlink()

    def _file(self, path, source):
        about = f"{self._version}\0{path}\0{level(path)}\0".encode()
        return self.folder / f"{hashlib.sha256(about + source).hexdigest()[:32]}.pyc"


def compile_modules(archive):
    """Compile the modules in a zip, and give a zip of what they became, under the same names.

    The Python that runs this is the one that can load the result. A module that it cannot compile
    is left out. What is compiled is never compared with its source when it is loaded.

    Parameters
    ----------
    archive : bytes
        The name of a member is the path that tracebacks will show, without the first slash.

    Returns
    -------
    bytes
    """
    result = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as sources,
        zipfile.ZipFile(result, "w") as modules,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of others' escapes in strings
        for name in sources.namelist():
            source = sources.read(name)
            try:
                path = f"/{name}"
                code = compile(source, path, "exec", 0, True, level(path))
            except (SyntaxError, ValueError):
                continue
            checksum = importlib.util.source_hash(source)
            modules.writestr(name, bytes(_code_to_hash_pyc(code, checksum, False)))
    return result.getvalue()
