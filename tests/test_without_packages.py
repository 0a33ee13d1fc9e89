"""What a browser's Python has not: nothing needs it to be imported, and two packages not at all."""

import json

from test_package import run

from lmmath.checkpoints import save_model
from lmmath.fable import to_words
from lmmath.tokenization import PATTERNS, BPETokenizer
from lmmath.weights import load_fable_gpt

MISSING = (
    "IPython",
    "anywidget",
    "concurrent",
    "ipywidgets",
    "lzma",
    "matplotlib",
    "multiprocessing",
    "regex",
    "safetensors",
    "scipy",
    "torch",
    "tqdm",
    "traitlets",
)
WITHOUT = f"""
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Blocker())
"""

IMPORTS = """
import importlib
import json
import pkgutil

import lmmath

failed = {}
for module in pkgutil.walk_packages(lmmath.__path__, "lmmath."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            failed[module.name] = error.name
print(json.dumps(failed))
"""

TEXT = "Ça déçoit l'élève; they'LL count 1234 ½ 大語言 😀\x1c\x85\n\n  x² " * 3

FALLBACKS = f"""
import json

from lmmath.checkpoints import save_model
from lmmath.fable import to_words
from lmmath.tokenization import PATTERNS, BPETokenizer
from lmmath.weights import load_fable_gpt

for name in PATTERNS:
    tokenizer = BPETokenizer.train({TEXT!r}, 280, pattern=name)
    print(json.dumps(tokenizer.encode({TEXT[::-1]!r})))
params, config, tokenizer = load_fable_gpt()
save_model("copy.safetensors", params, config)
print(json.dumps(to_words({TEXT!r})))
print(json.dumps(tokenizer.encode("Leka the mouse")))
"""

LOADED = f"""
import sys
from importlib import import_module

for name in (
    "checkpoints", "exercises", "experiments", "fable", "scaling", "scaling.sweep", "tokenization",
    "training", "transformer", "weights", "widgets",
):
    import_module(f"lmmath.{{name}}")
loaded = {{name.partition(".")[0] for name in sys.modules}} & {{*{MISSING}}}
print(sorted(loaded - {{"lzma"}}))  # which Python itself loads where it is

"""


def test_all_modules_but_those_that_draw_or_train_are_imported_without():
    result = run(WITHOUT + IMPORTS)
    assert result.stderr == ""
    failed = json.loads(result.stdout)
    assert failed.pop("lmmath.figures") == "matplotlib"
    assert failed.pop("lmmath.training.loop") == "torch"
    assert failed.keys() == {
        name for name in failed if name.startswith("lmmath.widgets.")
    }
    assert set(failed.values()) <= {"anywidget", "matplotlib", "traitlets"}


def test_they_do_not_even_load_them_where_they_are_installed():
    result = run(LOADED)
    assert result.stderr == ""
    assert result.stdout == "[]\n"


def test_a_question_to_the_reader_loads_no_figures():
    program = "import sys\nfrom lmmath.widgets import Choice\n"
    program += (
        "print({'matplotlib', 'scipy', 'torch', 'lmmath.figures'} & set(sys.modules))"
    )
    result = run(program)
    assert result.stderr == ""
    assert result.stdout == "set()\n"


def test_texts_are_cut_and_models_are_read_as_with_the_packages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(WITHOUT + FALLBACKS)
    assert result.stderr == ""
    *ids, words, of_fable = map(json.loads, result.stdout.splitlines())
    for pattern, came in zip(PATTERNS, ids, strict=True):
        tokenizer = BPETokenizer.train(TEXT, 280, pattern=pattern)
        assert came == tokenizer.encode(TEXT[::-1])
    assert words == to_words(TEXT)
    params, config, tokenizer = load_fable_gpt()
    assert of_fable == tokenizer.encode("Leka the mouse")
    save_model("again.safetensors", params, config)
    copy, again = tmp_path / "copy.safetensors", tmp_path / "again.safetensors"
    assert copy.read_bytes() == again.read_bytes()
