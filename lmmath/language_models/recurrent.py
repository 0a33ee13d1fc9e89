r"""Recurrent language models: a state that has read everything before predicts what comes.

They have the same parts at both ends as a GPT, a row of the embedding for each token and a score
for each row. So the two are compared by what they put between.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from array_api_compat import array_namespace

from lmmath._checks import require_positive_integer
from lmmath.recurrence import lstm, rnn
from lmmath.transformer import embed
from lmmath.transformer._checks import require_params, require_text
from lmmath.transformer.parameters import draw, unchanged

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
    h, _ = recurrent_states(params, tokens, config)
    return recurrent_lens(h, params, config)


def recurrent_states(params, tokens, config, cache=None):
    r"""Read tokens, and keep the state after the last, from which reading goes on.

    .. math:: h_t = \operatorname{cell}(E_{x_t}, h_{t-1})

    Parameters
    ----------
    params, tokens, config
        As in ``recurrent``.
    cache : tuple of array, each (..., d_model), optional
        The state that an earlier call left: the output, and for an LSTM the cell.

    Returns
    -------
    h : array, shape (..., n, d_model)
        The output after each token.
    cache : tuple of array, each (..., d_model)

    Raises
    ------
    TypeError, ValueError
        As in ``recurrent``; also if ``cache`` does not fit ``config`` or ``tokens``.

    Examples
    --------
    >>> config = RecurrentConfig(vocab_size=9, n_positions=8, d_model=4)
    >>> params = init_recurrent(config, np.random.default_rng(0))
    >>> whole, _ = recurrent_states(params, np.asarray([3, 1, 4]), config)
    >>> _, cache = recurrent_states(params, np.asarray([3, 1]), config)
    >>> last, _ = recurrent_states(params, np.asarray([4]), config, cache)
    >>> bool(np.allclose(last, whole[2:]))
    True
    """
    require_params(params, recurrent_shapes(config))
    require_text("tokens", tokens, config.vocab_size)
    x = embed(params["wte.weight"], tokens)
    if cache is not None:
        _require_state(cache, config, tokens.shape[:-1])
    states = _run_cell(x, params, config, () if cache is None else cache)
    return states[0], tuple(state[..., -1, :] for state in states)


def recurrent_lens(h, params, config):
    r"""Score every token by its likeness to an output, or to another row of that width.

    .. math:: \text{logits} = h E^\top

    Parameters
    ----------
    h : array, floating-point, shape (..., d_model)
    params, config
        As in ``recurrent``.

    Returns
    -------
    array, shape (..., vocab_size)

    Examples
    --------
    >>> config = RecurrentConfig(vocab_size=9, n_positions=8, d_model=4)
    >>> params = init_recurrent(config, np.random.default_rng(0))
    >>> recurrent_lens(np.ones((3, 4)), params, config).shape
    (3, 9)
    """
    return h @ array_namespace(h).matrix_transpose(params["wte.weight"])


def recurrent_trace(params, tokens, config, edit=None):
    r"""Run a recurrent model and keep what it takes in and what it gives out.

    Parameters
    ----------
    params, tokens, config
        As in ``recurrent``.
    edit : function of an integer and an array, optional
        ``edit(0, x)`` gets the tokens' vectors and ``edit(1, h)`` the outputs; each returns what
        goes on in its place.

    Returns
    -------
    residuals : list of array, each (..., n, d_model)
        The tokens' vectors and the outputs.
    attention : list
        Empty: nothing in it attends.

    Examples
    --------
    >>> config = RecurrentConfig(vocab_size=9, n_positions=8, d_model=4)
    >>> params = init_recurrent(config, np.random.default_rng(0))
    >>> residuals, attention = recurrent_trace(params, np.asarray([3, 1, 4]), config)
    >>> [x.shape for x in residuals], attention
    ([(3, 4), (3, 4)], [])
    """
    edit = unchanged if edit is None else edit
    require_params(params, recurrent_shapes(config))
    require_text("tokens", tokens, config.vocab_size)
    x = edit(0, embed(params["wte.weight"], tokens))
    h = _run_cell(x, params, config)[0]
    return [x, edit(1, h)], []


def _require_state(cache, config, batch):
    """Raise unless the cache holds the states of this cell, one for each text."""
    fitting = [(*batch, config.d_model)] * (2 if config.cell == "lstm" else 1)
    parts = cache if isinstance(cache, list | tuple) else [cache]
    came = [getattr(part, "shape", type(part).__name__) for part in parts]
    if came != fitting:
        raise ValueError(
            f"cache must hold {len(fitting)} of shape {fitting[0]}, "
            f"got {' and '.join(map(str, came)) or 'none'}"
        )


def _run_cell(x, params, config, first=()):
    """Give the outputs, and for an LSTM the cells, after each step."""
    weights = params["cell.w_x"], params["cell.w_h"], params["cell.b"]
    if config.cell == "rnn":
        return (rnn(x, *weights, *first),)
    return lstm(x, *weights, *first)


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
