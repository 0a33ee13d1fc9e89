"""The package as a whole: what it needs, and what it leaves alone."""

import subprocess
import sys

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
