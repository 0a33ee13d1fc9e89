"""GPT-2 and Llama as they are published: in GGUF files, in folders of Hugging Face, as models.

Each source becomes a dict of arrays and a dict of settings. The settings say the sizes, and
whether the model is one that this package computes; the arrays get this package's names, as
(d_in, d_out), and rotary pairs become neighbours.
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lmmath.gguf_file import GGUFFile, read_gguf
from lmmath.transformer._checks import require_params
from lmmath.transformer.gpt2 import GPTConfig, gpt_shapes
from lmmath.transformer.hugging_face import (
    read_folder,
    read_model,
    read_state,
)
from lmmath.transformer.llama import LlamaConfig, llama_shapes


def load_llama(source, config=None):
    r"""Load a model of the Llama family.

    Parameters
    ----------
    source : str or path, GGUFFile, LlamaForCausalLM, LlamaModel, or dict of str to array
        A GGUF file, which may be open already; a folder of Hugging Face with ``config.json`` and
        ``*.safetensors``; a model of ``transformers``; or what its ``state_dict()`` returns.
    config : LlamaConfig, optional
        A state dict does not say its sizes: needed with it, and only with it.

    Returns
    -------
    params : dict of str to numpy.ndarray
        For ``llama``. Numbers in fewer bits than float32 are widened to it; wider ones stay.
    config : LlamaConfig

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If the source holds no whole Llama, or one of a kind that ``llama`` does not compute. The
        message says what is wrong, and names the file.

    Notes
    -----
    GGUF files store the features of queries and keys with rotary pairs side by side, as this
    package has them. Hugging Face's models pair feature :math:`i` with :math:`i + d/2`: their
    columns are reordered here.

    Examples
    --------
    >>> from lmmath.transformer import init_llama
    >>> config = LlamaConfig(9, n_positions=8, d_model=8, n_layers=2, n_heads=4, d_ff=10)
    >>> state = {name if name.startswith("lm_head") else f"model.{name}": array.T
    ...          for name, array in init_llama(config, np.random.default_rng(0)).items()}
    >>> state["model.embed_tokens.weight"] = state["model.embed_tokens.weight"].T
    >>> params, loaded = load_llama(state, config)
    >>> loaded == config
    True
    """
    kind, read = _kind_of(source)
    with _naming(source, "Llama"):
        if kind == "gguf":
            _refuse("a file", config=config)
            return _llama_of_gguf(read(source))
        if kind != "state":
            _refuse(f"a {kind}", config=config)
            arrays, settings = read(source)
            config = _llama_config(settings, arrays)
        else:
            arrays = read(source)
        if config is None:
            raise ValueError("config must be given with a state dict, got None")
        return _llama_of_hugging_face(arrays, config), config


def load_gpt2(source, n_heads=None):
    """Load GPT-2, or another model of its kind.

    Parameters
    ----------
    source : str or path, GGUFFile, GPT2LMHeadModel, GPT2Model, or dict of str to array
        A GGUF file, which may be open already; a folder of Hugging Face with ``config.json`` and
        ``*.safetensors``; a model of ``transformers``; or what its ``state_dict()`` returns.
    n_heads : int, optional
        A state dict does not say how many heads there are: needed with it, and only with it.

    Returns
    -------
    params : dict of str to numpy.ndarray
        For ``gpt``. Numbers in fewer bits than float32 are widened to it; wider ones stay.
    config : GPTConfig

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If the source holds no whole GPT-2, or one of a kind that ``gpt`` does not compute. The
        message says what is wrong, and names the file.

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
    kind, read = _kind_of(source)
    with _naming(source, "GPT-2"):
        if kind == "gguf":
            _refuse("a file", n_heads=n_heads)
            return _gpt2_of_gguf(read(source))
        if kind == "state":
            return _gpt2_of_hugging_face(read(source), n_heads, 1e-5)
        _refuse(f"a {kind}", n_heads=n_heads)
        arrays, settings = read(source)
        _require_settings(settings, _PLAIN_GPT2)
        eps = settings.get("layer_norm_epsilon", 1e-5)
        return _gpt2_of_hugging_face(arrays, settings["n_head"], eps)


# --- what the source is ---


def _kind_of(source):
    """Tell which kind of source it is, and what reads it."""
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            return "folder", read_folder
        if path.is_file():
            return "gguf", read_gguf
        raise FileNotFoundError(
            f"source must be a file or a folder that is there, got {str(source)!r}"
        )
    if isinstance(source, GGUFFile):
        return "gguf", lambda file: file
    if isinstance(source, dict):
        return "state", read_state
    if hasattr(source, "state_dict") and hasattr(source, "config"):
        return "model", read_model
    raise TypeError(
        "source must be a path, a model of transformers or its state dict, "
        f"got {type(source).__name__}"
    )


@contextmanager
def _naming(source, kind):
    """Say of which file an error speaks."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(source, GGUFFile):
            source = source.path
        if not isinstance(source, str | Path):
            if isinstance(error, KeyError):
                raise ValueError(f"source holds no {kind}: it lacks {error}") from error
            raise
        problem = f"it lacks {error}" if isinstance(error, KeyError) else error
        message = f"{source} holds no {kind} that can be loaded: {problem}"
        raise ValueError(message) from error


def _refuse(source, **arguments):
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(f"{name} must be left out when source is {source}")


def _require_settings(settings, needed):
    for name, value in needed.items():
        came = settings.get(name, value)
        if came != value:
            raise ValueError(f"source must have {name} = {value!r}, got {came!r}")


def _at_least_float32(name, array):
    if array.dtype.kind != "f":
        raise TypeError(f"{name} must hold floating-point numbers, got {array.dtype}")
    return array if array.dtype.itemsize >= 4 else array.astype(np.float32)


def _require_layers(n_layers, arrays):
    """Raise unless there are enough arrays for the layers, before anything is made of them."""
    if isinstance(n_layers, int) and n_layers > len(arrays):
        raise ValueError(
            f"it should hold {n_layers} layers, and has {len(arrays)} tensors in all"
        )


# --- Llama ---

_PLAIN_LLAMA = {
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_scaling": None,
    "pretraining_tp": 1,
}


def _llama_config(settings, arrays):
    # Newer settings hold base and scaling together; older ones each by itself.
    rope = settings.get("rope_parameters") or {}
    if rope:
        settings = settings | {"rope_scaling": None}
    _require_settings(settings, _PLAIN_LLAMA)
    _require_settings(rope, {"rope_type": "default"})
    _require_layers(settings["num_hidden_layers"], arrays)
    return LlamaConfig(
        vocab_size=settings["vocab_size"],
        n_positions=settings["max_position_embeddings"],
        d_model=settings["hidden_size"],
        n_layers=settings["num_hidden_layers"],
        n_heads=settings["num_attention_heads"],
        d_ff=settings["intermediate_size"],
        n_kv_heads=settings.get("num_key_value_heads"),
        d_head=settings.get("head_dim"),
        rotary_base=float(rope.get("rope_theta", settings.get("rope_theta", 10_000.0))),
        eps=settings["rms_norm_eps"],
        # LlamaModel alone has no output matrix.
        tied=settings.get("tie_word_embeddings", False)
        or "lm_head.weight" not in arrays,
    )


def _llama_of_hugging_face(arrays, config):
    arrays = {
        name.removeprefix("model."): _at_least_float32(name, array)
        for name, array in arrays.items()
        if not name.endswith("rotary_emb.inv_freq")  # old checkpoints list it
    }
    if config.tied:
        head = arrays.pop("lm_head.weight", None)
        if head is not None and not np.array_equal(head, arrays["embed_tokens.weight"]):
            raise ValueError(
                "lm_head.weight must equal embed_tokens.weight in a tied model, "
                "got another matrix"
            )
    params = {}
    for name in llama_shapes(config):
        array = arrays.pop(name)
        if name.endswith("q_proj.weight"):
            array = _pairs_side_by_side(name, array, config.n_heads)
        elif name.endswith("k_proj.weight"):
            array = _pairs_side_by_side(name, array, config.n_kv_heads)
        params[name] = array.T if _is_product(name, array) else array
    require_params(params | arrays, llama_shapes(config))
    return params


def _pairs_side_by_side(name, matrix, n_heads):
    """Reorder rows (one for each feature) so that rotary pairs are neighbours."""
    n_features, d_model = matrix.shape
    if n_features % (2 * n_heads):
        raise ValueError(
            f"{name} must hold an even number of features for each of {n_heads} heads, "
            f"got {n_features}"
        )
    halves = matrix.reshape(n_heads, 2, -1, d_model)
    return halves.swapaxes(1, 2).reshape(n_features, d_model)


def _is_product(name, array):
    """Tell whether x is multiplied by it: then it is stored transposed."""
    return array.ndim == 2 and not name.startswith(("embed_tokens", "wte", "wpe"))


_LLAMA_TENSORS = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
    "token_embd.weight": "embed_tokens.weight",
    "output_norm.weight": "norm.weight",
    "output.weight": "lm_head.weight",
}


def _llama_of_gguf(file):
    of = _Metadata(file, "llama")
    of.require_absent("rope.scaling.type", "rope.scaling.factor", "expert_count")
    _require_layers(of["block_count"], file.tensors)
    config = LlamaConfig(
        vocab_size=_rows_of(file, "token_embd.weight"),
        n_positions=of["context_length"],
        d_model=of["embedding_length"],
        n_layers=of["block_count"],
        n_heads=of["attention.head_count"],
        d_ff=of["feed_forward_length"],
        n_kv_heads=of.get("attention.head_count_kv"),
        d_head=of.get("attention.key_length") or of.get("rope.dimension_count"),
        rotary_base=float(of.get("rope.freq_base", 10_000.0)),
        eps=of["attention.layer_norm_rms_epsilon"],
        tied="output.weight" not in file.tensors,
    )
    _require_settings(
        {"rope.dimension_count": of.get("rope.dimension_count", config.d_head)},
        {"rope.dimension_count": config.d_head},
    )
    return _named(file, _LLAMA_TENSORS, "layers", llama_shapes(config)), config


# --- GPT-2 ---

_PLAIN_GPT2 = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


def _gpt2_of_hugging_face(arrays, n_heads, eps):
    params = {
        name.removeprefix("transformer."): _at_least_float32(name, array)
        for name, array in arrays.items()
        # Old checkpoints list their masks, and the output layer, which is wte again.
        if not name.endswith((".attn.bias", ".attn.masked_bias", "lm_head.weight"))
    }
    config = _infer_gpt2_config(params, n_heads, eps)
    require_params(params, gpt_shapes(config))
    _require_tied(arrays.get("lm_head.weight"), params)
    return params, config


def _infer_gpt2_config(params, n_heads, eps):
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


def _require_tied(head, params):
    if head is None:
        return
    head = _at_least_float32("lm_head.weight", head)
    if not np.array_equal(head, params["wte.weight"]):
        raise ValueError("lm_head.weight must equal wte.weight, got another matrix")


_GPT2_TENSORS = {
    f"{theirs}.{part}": f"{ours}.{part}"
    for theirs, ours in {
        "attn_norm": "ln_1",
        "attn_qkv": "attn.c_attn",
        "attn_output": "attn.c_proj",
        "ffn_norm": "ln_2",
        "ffn_up": "mlp.c_fc",
        "ffn_down": "mlp.c_proj",
        "token_embd": "wte",
        "position_embd": "wpe",
        "output_norm": "ln_f",
    }.items()
    for part in ("weight", "bias")
}


def _gpt2_of_gguf(file):
    of = _Metadata(file, "gpt2")
    _require_layers(of["block_count"], file.tensors)
    config = GPTConfig(
        vocab_size=_rows_of(file, "token_embd.weight"),
        n_positions=of["context_length"],
        d_model=of["embedding_length"],
        n_layers=of["block_count"],
        n_heads=of["attention.head_count"],
        d_ff=of["feed_forward_length"],
        eps=of["attention.layer_norm_epsilon"],
    )
    # Some converters write the output layer, which is the embedding again.
    tensors = dict(file.tensors)
    head = tensors.pop("output.weight", None)
    params = _named(file, _GPT2_TENSORS, "h", gpt_shapes(config), tensors)
    if head is not None:
        _require_tied(head.numbers(), params)
    return params, config


# --- GGUF ---


class _Metadata:
    """The settings of one architecture in a file's metadata."""

    def __init__(self, file, architecture):
        self.metadata, self.architecture = file.metadata, architecture
        _require_settings(
            {"general.architecture": self.metadata["general.architecture"]},
            {"general.architecture": architecture},
        )

    def __getitem__(self, name):
        return self.metadata[f"{self.architecture}.{name}"]

    def get(self, name, default=None):
        return self.metadata.get(f"{self.architecture}.{name}", default)

    def require_absent(self, *names):
        for name in names:
            if self.get(name) not in (None, "none", 0):
                raise ValueError(
                    f"source must have no {self.architecture}.{name}, got {self.get(name)!r}"
                )


def _rows_of(file, name):
    if name not in file.tensors:
        raise ValueError(f"it lacks the tensor {name}")
    shape = file.tensors[name].shape
    if len(shape) != 2:
        raise ValueError(f"{name} must have two axes, got shape {shape}")
    return shape[0]


def _named(file, names, layers, shapes, tensors=None):
    """Give the tensors this package's names and orientation; check shapes before numbers."""
    ours = {}
    for name, tensor in (file.tensors if tensors is None else tensors).items():
        block, _, rest = name.removeprefix("blk.").partition(".")
        if name.startswith("blk."):
            known = names.get(rest)
            known = known and f"{layers}.{block}.{known}"
        else:
            known = names.get(name)
        if known is None:
            raise ValueError(f"it holds the tensor {name}, which this model has not")
        ours[known] = name, tensor
    for name, shape in shapes.items():
        if name not in ours:
            raise ValueError(f"it lacks the tensor for {name}")
        their_name, tensor = ours[name]
        wanted = shape[::-1] if _is_product(name, tensor.data) else shape
        if tensor.shape != wanted:
            raise ValueError(
                f"{their_name} must have shape {wanted} by the metadata, got {tensor.shape}"
            )
    if unknown := ours.keys() - shapes.keys():
        their_name, _ = ours[min(unknown)]
        raise ValueError(
            f"it holds the tensor {their_name}, for which the metadata have no layer"
        )
    params = {name: ours[name][1].numbers() for name in shapes}
    return {n: a.T if _is_product(n, a) else a for n, a in params.items()}
