"""Which cells of a chapter need what a page has not: PyTorch, the real model, another library."""

import ast

from page_python.page_kernel.cells import names_of, needed

# Module or name that a cell imports -> what that needs.
_NEEDS = {
    "torch": "torch",
    "lmmath.training.train": "torch",
    "lmmath.weights.load_smollm2": "model",
    "lmmath.widgets.RealModelWidget": "model",
    **dict.fromkeys(["mpmath", "tiktoken", "tokenizers", "transformers"], "library"),
    "lmmath.tokenization.load_published": "library",
}


def requirements(sources):
    """Tell for each cell what it needs that a page has not: ``torch``, ``model``, ``library``.

    None means that it runs. A cell needs what it imports, and what the earlier cells need whose
    names it uses.

    Examples
    --------
    >>> requirements(["import torch", "x = 1", "y = torch.ones(x)", "print(x)"])
    ['torch', None, 'torch', None]
    """
    sources = list(sources)
    cells = [names_of(source) for source in sources]
    found = []
    for i, source in enumerate(sources):
        of_others = [found[j] for j in needed(cells, i) if found[j]]
        own = [_NEEDS[name] for name in _imported(source) if name in _NEEDS]
        found.append(next(iter(own + of_others), None))
    return found


def _imported(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
