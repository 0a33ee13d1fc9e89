"""GPT-2's parameters, from the library in which they are published."""

import numpy as np

from lmmath.transformer._checks import require_params
from lmmath.transformer.gpt2 import GPTConfig, gpt_shapes


def load_gpt2(source, n_heads=None):
    """Take GPT-2's parameters from a model of Hugging Face's ``transformers``.

    Parameters
    ----------
    source : GPT2LMHeadModel, GPT2Model, or dict of str to array
        A model, or what its ``state_dict()`` returns.
    n_heads : int, optional
        A state dict does not say how many heads there are: needed with it, and only with it.

    Returns
    -------
    params : dict of str to numpy.ndarray
        For ``gpt``.
    config : GPTConfig

    Raises
    ------
    ValueError
        If ``source`` is no GPT-2, or is one of a kind that ``gpt`` does not compute.

    Examples
    --------
    >>> import numpy as np
    >>> from lmmath.transformer import init_gpt
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> state = {"transformer." + name: array
    ...          for name, array in init_gpt(config, np.random.default_rng(0)).items()}
    >>> params, loaded = load_gpt2(state, n_heads=2)
    >>> loaded == config
    True
    """
    eps = 1e-5
    if not isinstance(source, dict):
        _require_plain_gpt2(source.config)
        if n_heads is not None:
            raise ValueError("n_heads must be left out when source is a model")
        n_heads, eps = source.config.n_head, source.config.layer_norm_epsilon
        source = source.state_dict()
    params = {
        name.removeprefix("transformer."): _to_numpy(array)
        for name, array in source.items()
        # Old checkpoints list their masks, and the output layer, which is wte again.
        if not name.endswith((".attn.bias", ".attn.masked_bias", "lm_head.weight"))
    }
    config = _infer_config(params, n_heads, eps)
    require_params(params, gpt_shapes(config))
    _require_tied(source, params)
    return params, config


def _infer_config(params, n_heads, eps):
    if "wte.weight" not in params or "wpe.weight" not in params:
        raise ValueError(
            "source must hold GPT-2's parameters, wte.weight among them, "
            f"got {', '.join(list(params)[:3]) or 'none'} ..."
        )
    if n_heads is None:
        raise ValueError("n_heads must be given with a state dict, got None")
    n_positions, d_model = params["wpe.weight"].shape
    c_fc = params.get("h.0.mlp.c_fc.weight")
    return GPTConfig(
        vocab_size=params["wte.weight"].shape[0],
        n_positions=n_positions,
        d_model=d_model,
        n_layers=sum(name.endswith(".ln_1.weight") for name in params),
        n_heads=n_heads,
        d_ff=None if c_fc is None else c_fc.shape[1],
        eps=eps,
    )


def _to_numpy(array):
    detach = getattr(array, "detach", None)
    return np.asarray(array if detach is None else detach().cpu())


def _require_plain_gpt2(config):
    needed = {
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
    }
    for name, value in needed.items():
        came = getattr(config, name, value)
        if came != value:
            raise ValueError(f"source must have {name} = {value!r}, got {came!r}")


def _require_tied(source, params):
    head = source.get("lm_head.weight")
    if head is not None and not np.array_equal(_to_numpy(head), params["wte.weight"]):
        raise ValueError("lm_head.weight must equal wte.weight, got another matrix")
