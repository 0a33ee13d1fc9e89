"""Models of others' that the tests compare with, made to compute in float64 throughout."""

import numpy as np
import torch
import transformers
from transformers.models.llama import modeling_llama


class _Float64:
    """PyTorch, but that what is called single precision is double."""

    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def llama_of_transformers(monkeypatch, rng, **sizes):
    """Make a LlamaForCausalLM with random parameters, in double precision.

    Its norms, angles and attention weights are float32 whatever the model is. Until the end of
    the test, what it takes for float32 is float64.
    """
    monkeypatch.setattr(modeling_llama, "torch", _Float64())
    sizes = {"vocab_size": 23, "hidden_size": 36, "intermediate_size": 40} | sizes
    sizes = {"num_hidden_layers": 3, "num_attention_heads": 9} | sizes
    config = transformers.LlamaConfig(attn_implementation="eager", **sizes)
    model = transformers.LlamaForCausalLM(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter[...] = torch.from_numpy(rng.normal(size=parameter.shape) / 3)
    return model


def params_of_llama(model):
    """Bring its parameters to this package's names, transposed, with neighbours as pairs."""
    config = model.config
    d = getattr(config, "head_dim", None)
    d = d or config.hidden_size // config.num_attention_heads
    neighbours = np.stack([np.arange(d // 2), np.arange(d // 2) + d // 2], axis=1)
    params = {}
    for name, tensor in model.state_dict().items():
        name, array = name.removeprefix("model."), tensor.numpy()
        if array.ndim == 2 and name != "embed_tokens.weight":
            array = array.T
        if "q_proj" in name or "k_proj" in name:
            heads = array.reshape(len(array), -1, d)[:, :, neighbours.ravel()]
            array = heads.reshape(len(array), -1)
        params[name] = array
    if config.tie_word_embeddings:
        del params["lm_head.weight"]
    return params
