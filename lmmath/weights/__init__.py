"""The model that comes with the book: a small GPT that has learned Fable.

The folder ``fable`` is what the training command has written: the weights, the tokenizer, a log
with a row for each step, and ``settings.json``, which holds the command that makes all this
again, in half an hour on two processors. NumPy alone runs the model.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmmath.checkpoints import load_model
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import GPTConfig

DIRECTORY = Path(__file__).parent / "fable"


class Model(NamedTuple):
    """A trained model with all that is needed to read and write with it."""

    params: dict
    config: GPTConfig
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
