"""The Python that runs in the pages: which cells a cell needs, what it prints, shows and raises."""

import ast
import builtins
import json
import sys
import types
from pathlib import Path

import nbformat
import page_python
import pytest
from docutils import nodes
from docutils.utils import new_document
from hypothesis import given
from hypothesis import strategies as st
from page_python.page_kernel import cells as cells_module
from page_python.page_kernel.cells import imports_of, names_of, needed
from page_python.requirements import requirements

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))


# --- which cells a cell needs ---


@pytest.mark.parametrize(
    ("source", "uses", "binds", "changes"),
    [
        ("x = y", "y", "x", ""),
        ("x = 1\nprint(x)", "print", "x", ""),
        ("print(x)\nx = 1", "print x", "x", ""),
        ("x += y", "x y", "x", "x"),
        ("x[i] = y", "i x y", "", "x"),
        ("x.a.b = y", "x y", "", "x"),
        ("x[0].append(y)", "x y", "", "x"),
        ("n = x.append(y)", "x y", "n", ""),
        ("del x[0]", "x", "", "x"),
        ("for i in x:\n    y = i", "x", "", "i y"),
        ("if x:\n    y = 1\nprint(y)", "print x", "", "y"),
        ("with f() as g:\n    x = g", "f", "g x", ""),
        ("a, (b, *c) = d", "d", "a b c", ""),
        ("import a.b, c as d\nfrom e import f as g", "", "a d g", ""),
        ("[i * x for i in y if i]", "x y", "", ""),
        ("{i: j for i in x for j in i}", "x", "", ""),
        ("[i for i in i]", "i", "", ""),
        ("x: int = y\nz: int", "int y", "x", ""),
        ("(n := x) + n", "x", "n", ""),
        ("def f(a, b=c, *d, e, **g):\n    h = a + i\n    return h", "c i", "f", ""),
        ("def f():\n    return g()\ndef g():\n    return x", "g x", "f g", ""),
        ("f = lambda a, b=c: a + d", "c d", "f", ""),
        ("class A(B):\n    x = y\n    z = x", "B y", "A", ""),
        ("@d\ndef f(): pass", "d", "f", ""),
        ("try:\n    x = 1\nexcept E as e:\n    print(e)", "E print", "", "e x"),
        ("def f():\n    import a\n    return a", "", "f", ""),
        ("def f():\n    for i in x:\n        i.y = 1", "x", "f", ""),
    ],
)
def test_the_names_of_a_cell(source, uses, binds, changes):
    names = names_of(source)
    assert names.uses == set(uses.split())
    assert names.binds == set(binds.split())
    assert names.changes == set(changes.split())


def test_what_is_not_python_yet_has_no_names():
    assert names_of("def f(:") == cells_module.Names()
    assert names_of("x = '\0'") == cells_module.Names()


def test_a_cell_needs_those_that_made_and_changed_its_names():
    sources = ["x = []", "y = 1", "x.append(y)", "x = [2]", "x.append(3)", "print(x)"]
    cells = list(map(names_of, sources))
    assert needed(cells, 5) == {3: {"x"}, 4: {"x"}}
    assert needed(cells, 2) == {0: {"x"}, 1: {"y"}}


def test_a_call_of_a_module_changes_nothing():
    sources = ["from lmmath import figures", "figures.show(1)", "figures.show(2)"]
    assert list(needed(list(map(names_of, sources)), 2)) == [0]


def test_whoever_draws_from_a_generator_changes_it():
    sources = ["rng = np.random.default_rng(0)", "a = rng.normal()", "b = rng.normal()"]
    assert list(needed(list(map(names_of, sources)), 2)) == [0, 1]
    assert list(needed(list(map(names_of, ["r = f()", *sources[1:]])), 2)) == []


def test_a_branch_may_leave_a_name_as_it_was():
    cells = list(map(names_of, ["x = 1", "if f():\n    x = 2", "print(x)"]))
    assert list(needed(cells, 2)) == [0, 1]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_what_a_cell_of_a_chapter_needs_is_enough_to_name_all_that_it_uses(path):
    sources = code_cells(path)
    cells = list(map(names_of, sources))
    for i, cell in enumerate(cells):
        earlier = [cells[j] for j in needed(cells, i)]
        made = set().union(*(one.binds | one.changes for one in earlier))
        assert cell.uses <= made | set(dir(builtins))


def test_of_a_cell_that_only_imports_a_part_is_enough():
    source = "import numpy as np\nimport a.b\nfrom c import d, e as f"
    assert imports_of(source, {"a", "f"}) == "import a.b\nfrom c import e as f"
    assert imports_of(source, {"np"}) == "import numpy as np"
    assert imports_of(source + "\nx = 1", {"np"}) is None


# --- what no browser has ---


def test_a_cell_needs_what_those_before_it_need():
    sources = [
        "from lmmath.weights import load_smollm2",
        "real = load_smollm2()",
        "import torch",
        "x = 1",
        "print(real, x)",
        "print(torch.ones(x))",
    ]
    assert requirements(sources) == ["model", "model", "torch", None, "model", "torch"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_most_cells_of_a_chapter_run_in_a_page_and_all_exercises(path):
    sources = code_cells(path)
    found = requirements(sources)
    assert found.count(None) > 0.6 * len(sources)
    for source, missing in zip(sources, found, strict=True):
        if "check(" in source:
            assert missing is None


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


# --- marks on the page ---


def cell(source):
    box = nodes.container(classes=["cell"])
    inner = nodes.container(classes=["cell_input"])
    inner += nodes.literal_block(source, source)
    box += inner
    return box


@pytest.mark.parametrize("available", [True, False])
def test_cells_are_marked_if_python_is_there(monkeypatch, available):
    monkeypatch.setattr(page_python, "is_available", lambda: available)
    document = new_document("chapter")
    document += [cell("import torch"), cell("x = 1"), nodes.container(classes=["cell"])]
    page_python.mark_cells(None, document)
    marks = [box["classes"][1:] for box in document.findall(page_python._is_cell)]
    assert marks == (
        [["runs", "needs-torch"], ["runs"], []] if available else [[], [], []]
    )


# --- running ---


@pytest.fixture
def kernel(monkeypatch):
    """The modules that the worker imports, with a page that remembers what it is sent."""
    sent = []
    worker = types.ModuleType("page_of_worker")
    worker.send = lambda text, buffers: sent.append((json.loads(text), list(buffers)))
    monkeypatch.setitem(sys.modules, "page_of_worker", worker)
    monkeypatch.syspath_prepend(str(Path(page_python.__file__).parent))
    before = {name for name in sys.modules if name.startswith("page_kernel")}
    from page_kernel import completion, display, running

    running.NAMESPACE["display"] = display.display
    yield types.SimpleNamespace(
        run=running.run,
        needed=running.cells_needed,
        completions=running.completions,
        complete=completion.complete,
        namespace=running.NAMESPACE,
        sent=sent,
        texts=lambda: "".join(e["text"] for e, _ in sent if e["event"] == "stream"),
        shown=lambda: [e["data"] for e, _ in sent if e["event"] == "display"],
    )
    for name in [name for name in sys.modules if name.startswith("page_kernel")]:
        if name not in before:
            del sys.modules[name]


def test_a_cell_prints_and_shows_its_last_value(kernel):
    assert kernel.run(0, "x = 2\nprint('a', x)\nx + 1") is None
    assert kernel.texts() == "a 2\n"
    assert kernel.shown() == [{"text/plain": "3"}]
    assert kernel.run(1, "x;") is None
    assert kernel.run(2, "None") is None
    assert kernel.run(3, "") is None
    assert len(kernel.shown()) == 1
    assert kernel.run(4, "_ * x") is None
    assert kernel.shown()[-1] == {"text/plain": "6"}


def test_lines_are_sent_as_they_are_printed(kernel):
    kernel.run(0, "print('a')\nprint('b', end='')\nprint('c')\nprint('d', end='')")
    sent = [e["text"] for e, _ in kernel.sent]
    assert sent == ["a\n", "bc\n", "d"]


def test_warnings_come_as_errors_of_the_stream(kernel):
    kernel.run(0, "import sys\nprint('careful', file=sys.stderr)")
    assert kernel.sent[0][0] == {
        "event": "stream",
        "name": "stderr",
        "text": "careful\n",
    }


def test_what_a_cell_prints_has_an_end(kernel):
    kernel.run(0, "for _ in range(50):\n    print('x' * 9999)\nprint('last')")
    text = kernel.texts()
    assert len(text) < 201_000
    assert text.endswith("… what this cell prints from here on is not shown\n")
    kernel.run(1, "print('next')")
    assert kernel.texts().endswith("next\n")


def test_an_error_names_the_line_of_the_reader(kernel):
    error = kernel.run(3, "def f(x):\n    return 1 / x\n\nf(0)")
    traceback = error.pop("traceback")
    assert error == {
        "name": "ZeroDivisionError",
        "message": "division by zero",
        "cell": 3,
        "line": 2,
        "code": "return 1 / x",
    }
    assert "<cell 3>" in traceback
    assert "running.py" not in traceback


def test_an_error_within_a_library_names_the_line_that_called_it(kernel):
    error = kernel.run(5, "import numpy as np\nnp.ones(2) @ np.ones(3)")
    assert (error["cell"], error["line"]) == (5, 2)
    error = kernel.run(6, "import json\njson.loads('{')")
    assert (error["cell"], error["line"], error["code"]) == (6, 2, "json.loads('{')")
    assert "json" in error["traceback"]


def test_an_error_in_a_function_of_another_cell_names_that_cell(kernel):
    kernel.run(1, "def g():\n    raise KeyError('k')")
    error = kernel.run(2, "g()")
    assert (error["name"], error["cell"], error["line"]) == ("KeyError", 1, 2)


def test_an_error_of_syntax_names_its_line(kernel):
    error = kernel.run(1, "x = 1\nif x\n    y = 2")
    assert (error["name"], error["cell"], error["line"]) == ("SyntaxError", 1, 2)
    assert error["code"] == "if x"


def test_what_was_printed_before_an_error_stays(kernel):
    kernel.run(0, "print('a', end='')\n1 / 0")
    assert kernel.texts() == "a"


def test_exit_and_a_stop_are_errors_of_the_cell(kernel):
    assert kernel.run(0, "raise SystemExit")["name"] == "SystemExit"
    assert kernel.run(0, "raise KeyboardInterrupt")["name"] == "KeyboardInterrupt"
    assert kernel.run(0, "class E(BaseException): pass\nraise E('x')")["message"] == "x"


def test_a_function_of_a_cell_has_its_source(kernel):
    kernel.run(0, "import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))")
    assert kernel.texts() == "def f():\n    return 1\n\n"


def test_what_a_value_shows(kernel):
    kernel.run(
        0,
        "class A:\n    def _repr_html_(self):\n        return '<b>a</b>'\n"
        "    def __repr__(self):\n        return 'A'\nA()",
    )
    kernel.run(1, "A")
    kernel.run(2, "class B:\n    def _repr_mimebundle_(self, **kwargs):\n"
                  "        return {'text/plain': 'b', 'text/markdown': 'c'}, {}\nB()")  # fmt: skip
    kernel.run(3, "display(1)\ndisplay('x')")
    assert kernel.shown() == [
        {"text/html": "<b>a</b>", "text/plain": "A"},
        {"text/plain": "<class '__main__.A'>"},
        {"text/plain": "b", "text/markdown": "c"},
        {"text/plain": "1"},
        {"text/plain": "'x'"},
    ]


def test_figures_of_pyplot_are_shown_and_closed(kernel, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "svg")
    kernel.run(0, "import matplotlib\nmatplotlib.use('svg')\n"
                  "import matplotlib.pyplot as plt\nplt.plot([1, 2]);")  # fmt: skip
    (shown,) = kernel.shown()
    assert shown["image/svg+xml"].startswith("<?xml")
    kernel.run(1, "print(plt.get_fignums())")
    assert kernel.texts() == "[]\n"


def test_what_a_cell_needs_is_told_from_the_present_sources(kernel):
    sources = [
        "import numpy as np\nfrom lmmath import figures",
        "x = np.ones(3)",
        "print(x)",
    ]
    found = kernel.needed(sources, 2)
    assert found == [
        {"cell": 0, "part": "import numpy as np"},
        {"cell": 1, "part": None},
    ]


# --- completion ---


def labels(found):
    return [option["label"] for option in found["options"]]


def test_names_and_attributes_are_completed(kernel):
    kernel.run(0, "import math\nalphabet = 'abc'")
    assert labels(kernel.completions("alph", 4)) == ["alphabet"]
    assert labels(kernel.completions("1 + math.isc", 12)) == ["isclose"]
    assert labels(kernel.completions("math.nothing.x", 14)) == []
    assert labels(kernel.completions("own_name = 1\nprint(own", 22)) == ["own_name"]
    assert {"label": "while", "type": "keyword"} in kernel.completions("whi", 3)[
        "options"
    ]
    assert kernel.completions("x = alph + 1", 8)["from"] == 4


def test_private_names_come_only_when_asked_for(kernel):
    assert "_a" not in labels(kernel.complete("", 0, {"_a": 1, "a": 2}))
    assert labels(kernel.complete("_a", 2, {"_a": 1, "a": 2})) == ["_a"]


def test_completion_runs_nothing_of_the_reader(kernel):
    class Touchy:
        @property
        def danger(self):
            raise RuntimeError

    assert labels(kernel.complete("t.dan", 5, {"t": Touchy()})) == ["danger"]


@given(st.text(max_size=40), st.data())
def test_completion_takes_any_text(text, data):
    from page_python.page_kernel.completion import complete

    position = data.draw(st.integers(0, len(text)))
    found = complete(text, position, {})
    assert 0 <= found["from"] <= position
    for option in found["options"]:
        assert option["label"].startswith(text[found["from"] : position])


# --- layers ---


def make_layer(folder, name, files):
    import zipfile

    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture
def layered(tmp_path, kernel, monkeypatch):
    from page_kernel.layers import LayerFinder

    files, site = tmp_path / "files", tmp_path / "site"
    files.mkdir(), site.mkdir()
    make_layer(files, "a.zip", {"layer_a/__init__.py": "x = 1", "libfoo.so": ""})
    make_layer(files, "b.zip", {"layer_a/data/__init__.py": "y = 2"})
    layers = [
        {"name": "a", "file": "a.zip", "size": 1, "modules": ["layer_a"], "needs": [], "libraries": ["libfoo.so"]},
        {"name": "b", "file": "b.zip", "size": 1, "modules": ["layer_a.data"], "needs": ["a"]},
    ]  # fmt: skip
    fetched, libraries = [], []

    def fetch(file):
        fetched.append(file)
        return (files / file).read_bytes()

    finder = LayerFinder(layers, fetch, libraries.append, str(site))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    yield types.SimpleNamespace(
        fetched=fetched, libraries=libraries, files=files, site=site
    )
    for name in [name for name in sys.modules if name.startswith("layer_a")]:
        del sys.modules[name]


def test_a_layer_comes_with_the_first_import_of_a_module_in_it(layered):
    import layer_a

    assert layered.fetched == ["a.zip"]
    assert layer_a.x == 1
    assert layered.libraries == [f"{layered.site}/libfoo.so"]
    import layer_a.data

    assert layered.fetched == ["a.zip", "b.zip"]
    assert layer_a.data.y == 2


def test_a_module_that_no_layer_has_is_missing_as_ever(layered):
    with pytest.raises(ModuleNotFoundError, match=r"layer_a\.nothing"):
        import layer_a.nothing  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="no_layer"):
        import no_layer  # noqa: F401
    assert layered.fetched == ["a.zip"]


def test_a_layer_that_did_not_arrive_is_tried_again(layered):
    (layered.files / "a.zip").rename(layered.files / "kept")
    with pytest.raises(FileNotFoundError):
        import layer_a
    (layered.files / "kept").rename(layered.files / "a.zip")
    import layer_a

    assert layer_a.x == 1


def test_every_module_of_the_page_parses_in_python_3_12():
    for path in (ROOT / "book/_ext/page_python/page_kernel").glob("*.py"):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 12))


def test_many_lines_go_together(kernel):
    from page_kernel.streams import Stream

    sent, now = [], [0.0]
    stream = Stream(
        "stdout", lambda event, **data: sent.append(data["text"]), lambda: now[0]
    )
    for i in range(150):
        stream.write(f"{i}\n")
    assert sent == [f"{i}\n" for i in range(100)]
    now[0] += 1
    stream.write("last\n")
    assert sent[100:] == ["".join(f"{i}\n" for i in range(100, 150)) + "last\n"]
    stream.write("x")
    stream.flush()
    assert sent[-1] == "x"
