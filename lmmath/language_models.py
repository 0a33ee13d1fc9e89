r"""Language models of one kind or another: which it is, the configuration says.

A GPT and the two recurrent models have the same parts at both ends, a row of the embedding
for each token and a score for each row. So they are compared by what they put between.
"""

from dataclasses import dataclass
from functools import singledispatch
from math import sqrt

import numpy as np
from array_api_compat import array_namespace

from lmmath._checks import require_positive_integer
from lmmath.recurrence import lstm, rnn
from lmmath.transformer import GPTConfig, embed, gpt, gpt_shapes, init_gpt
from lmmath.transformer._checks import require_params, require_text
from lmmath.transformer.parameters import draw

_GATES = {"rnn": 1, "lstm": 4}


@dataclass(frozen=True)
class RecurrentConfig:
    """The sizes of a recurrent language model with one layer.

    Parameters
    ----------
    vocab_size : int
        Number of tokens.
    n_positions : int
        Longest text that it is trained on, in tokens. It can read longer ones.
    d_model : int
        Width of a token's vector, and of the state.
    cell : {"rnn", "lstm"}

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1, or ``cell`` is none of these.

    Examples
    --------
    >>> RecurrentConfig(vocab_size=512, n_positions=128, d_model=64, cell="gru")
    Traceback (most recent call last):
        ...
    ValueError: cell must be 'rnn' or 'lstm', got 'gru'
    """

    vocab_size: int
    n_positions: int
    d_model: int
    cell: str = "lstm"

    def __post_init__(self):
        sizes = {name: size for name, size in vars(self).items() if name != "cell"}
        require_positive_integer(**sizes)
        if self.cell not in _GATES:
            raise ValueError(f"cell must be 'rnn' or 'lstm', got {self.cell!r}")


def recurrent(params, tokens, config):
    r"""Predict the next token at each position from a state that has read all before it.

    .. math:: h_t = \operatorname{cell}(E_{x_t}, h_{t-1}), \qquad \text{logits}_t = h_t E^\top

    Parameters
    ----------
    params : dict of str to array
        As ``init_recurrent`` makes them.
    tokens : integer array, shape (..., n)
        Token ids. May be a NumPy array whatever the parameters are.
    config : RecurrentConfig

    Returns
    -------
    array, shape (..., n, vocab_size)
        Logits of the token that comes after each position.

    Raises
    ------
    TypeError
        If ``tokens`` is not an array of integers.
    ValueError
        If a token id is out of range, the text is empty, or ``params`` do not fit ``config``.

    References
    ----------
    Mikolov et al. (2010), "Recurrent neural network based language model"; Sundermeyer,
    Schlüter and Ney (2012), "LSTM neural networks for language modeling".

    Examples
    --------
    >>> config = RecurrentConfig(vocab_size=9, n_positions=8, d_model=4, cell="rnn")
    >>> params = init_recurrent(config, np.random.default_rng(0))
    >>> recurrent(params, np.asarray([3, 1, 4]), config).shape
    (3, 9)
    """
    require_params(params, recurrent_shapes(config))
    require_text("tokens", tokens, config.vocab_size)
    x = embed(params["wte.weight"], tokens)
    weights = params["cell.w_x"], params["cell.w_h"], params["cell.b"]
    h = rnn(x, *weights) if config.cell == "rnn" else lstm(x, *weights)[0]
    return h @ array_namespace(h).matrix_transpose(params["wte.weight"])


def recurrent_shapes(config):
    """List the parameters of a recurrent language model with their shapes.

    Parameters
    ----------
    config : RecurrentConfig

    Returns
    -------
    dict of str to tuple of int

    Examples
    --------
    >>> recurrent_shapes(RecurrentConfig(vocab_size=9, n_positions=8, d_model=4))["cell.w_h"]
    (4, 16)
    """
    d, width = config.d_model, _GATES[config.cell] * config.d_model
    return {
        "wte.weight": (config.vocab_size, d),
        "cell.w_x": (d, width),
        "cell.w_h": (d, width),
        "cell.b": (width,),
    }


def init_recurrent(config, rng, dtype=np.float32):
    r"""Draw the parameters of a recurrent language model that has learned nothing yet.

    All matrices are normal with variance :math:`1 / d_\text{model}`, so that the state neither
    fades nor grows at first. Biases are 0, but for the LSTM's forget gates: those are 1, which
    keeps most of what the cells hold.

    Parameters
    ----------
    config : RecurrentConfig
    rng : numpy.random.Generator
    dtype : NumPy dtype

    Returns
    -------
    dict of str to numpy.ndarray

    References
    ----------
    Jozefowicz, Zaremba and Sutskever (2015), "An empirical exploration of recurrent network
    architectures", for the forget gates.

    Examples
    --------
    >>> config = RecurrentConfig(vocab_size=9, n_positions=8, d_model=2)
    >>> init_recurrent(config, np.random.default_rng(0))["cell.b"]
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """
    d = config.d_model
    scale = 1 / sqrt(d)
    params = draw(recurrent_shapes(config), lambda name, shape: scale, rng, dtype)
    if config.cell == "lstm":
        params["cell.b"][d : 2 * d] = 1
    return params


@singledispatch
def forward(config, params, tokens):
    """Compute the logits of any of these models.

    Parameters
    ----------
    config : GPTConfig or RecurrentConfig
    params : dict of str to array
    tokens : integer array, shape (..., n)

    Returns
    -------
    array, shape (..., n, vocab_size)
    """
    raise _unknown(config)


@singledispatch
def shapes(config):
    """List the parameters of any of these models with their shapes.

    >>> shapes(RecurrentConfig(vocab_size=9, n_positions=8, d_model=4))["wte.weight"]
    (9, 4)
    """
    raise _unknown(config)


@singledispatch
def init(config, rng, dtype=np.float32):
    """Draw the parameters of any of these models.

    >>> init(RecurrentConfig(9, n_positions=8, d_model=4), np.random.default_rng(0)).keys()
    dict_keys(['wte.weight', 'cell.w_x', 'cell.w_h', 'cell.b'])
    """
    raise _unknown(config)


def _unknown(config):
    known = "a GPTConfig or a RecurrentConfig"
    return TypeError(f"config must be {known}, got {type(config).__name__}")


shapes.register(GPTConfig, gpt_shapes)
shapes.register(RecurrentConfig, recurrent_shapes)
init.register(GPTConfig, init_gpt)
init.register(RecurrentConfig, init_recurrent)


@forward.register
def _(config: GPTConfig, params, tokens):
    return gpt(params, tokens, config)


@forward.register
def _(config: RecurrentConfig, params, tokens):
    return recurrent(params, tokens, config)
