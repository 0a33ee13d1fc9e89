"""The package as a whole: what it needs, and what it leaves alone."""

import ast
import subprocess
import sys
from pathlib import Path

FORMULAS = """
import importlib
import pkgutil
import sys

for missing in ("torch", "matplotlib", "ipywidgets", "anywidget", "IPython"):
    sys.modules[missing] = None  # importing it now raises ImportError

import numpy as np

import lmmath

for module in pkgutil.iter_modules(lmmath.__path__):
    if module.name not in ("figures", "notebook", "widgets"):
        importlib.import_module(f"lmmath.{module.name}")

from lmmath.sampling import generate
from lmmath.weights import load_fable_gpt

params, config, tokenizer = load_fable_gpt()
prompt = np.asarray(tokenizer.encode("\\nLeka the"))
tokens = generate(params, prompt, config, 2, np.random.default_rng(0), top_k=1)
print(tokenizer.decode(tokens))
"""


def run(program):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_formulas_need_neither_torch_nor_matplotlib_nor_widgets():
    result = run(FORMULAS)
    assert result.stderr == ""
    assert result.stdout == "\nLeka the mouse lived\n"


def test_the_formulas_do_not_even_load_them_where_they_are_installed():
    program = "import sys, lmmath.sampling, lmmath.training, lmmath.scaling\n"
    program += "print(sorted({'torch', 'matplotlib', 'IPython'} & set(sys.modules)))"
    result = run(program)
    assert result.stderr == ""
    assert result.stdout == "[]\n"


# Where the position of the encoding is, or of the mode that says it is no text.
READS_AND_WRITES = {"read_text": 0, "write_text": 1}


def without_encoding(path):
    """List the places where a file would be read or written in the system's own encoding."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        options = {option.arg: option.value for option in node.keywords}
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        if name in READS_AND_WRITES:
            said = "encoding" in options or len(node.args) > READS_AND_WRITES[name]
        elif name == "open" and "fileobj" not in options:
            owner = getattr(getattr(node.func, "value", None), "id", None)
            first = isinstance(node.func, ast.Name)  # open(path, mode), path.open(mode)
            modes = [*node.args[first : first + 1], options.get("mode")]
            binary = any("b" in str(getattr(mode, "value", "")) for mode in modes)
            said = "encoding" in options or len(node.args) > first + 2
            said = said or binary or owner in ("os", "tarfile")
        else:
            continue
        if not said:
            yield f"{path}:{node.lineno}"


def test_files_are_read_and_written_in_utf_8_wherever_the_system_is():
    root = Path(__file__).parents[1]
    folders = ("lmmath", "tests", "tools", "bench", "book")
    files = [file for folder in folders for file in root.joinpath(folder).rglob("*.py")]
    found = [place for file in files for place in without_encoding(file)]
    assert len(files) > 0
    assert not found


def test_a_file_in_the_systems_encoding_is_found(tmp_path):
    file = tmp_path / "a.py"
    wrong = [
        "p.read_text()",
        "p.write_text(x)",
        "open(p)",
        'p.open("w")',
        "open(p, 'r')",
    ]
    right = [
        'p.read_text("utf-8")',
        'p.open("rb")',
        'open(p, encoding="utf-8")',
        "os.open(p)",
    ]
    file.write_text("\n".join(wrong + right), "utf-8")
    places = [place.rsplit(":", 1)[1] for place in without_encoding(file)]
    assert sorted(places) == ["1", "2", "3", "4", "5"]
