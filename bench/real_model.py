"""SmolLM2: a prompt, a token after it, and loading, beside transformers and llama.cpp.

llama.cpp is another kind of contender: it computes with the 4-bit weights themselves and rounds
what they are multiplied by, where the others have widened them to float32. Install it with
``pip install llama-cpp-python``, which compiles it.
"""

from functools import partial

from measure import compare, installed  # isort: skip  (first: it sets the number of threads)

import subprocess
import sys

import numpy as np
import torch
import transformers

from lmmath.english import long_texts
from lmmath.language_models import lens, residual
from lmmath.weights import load_smollm2
from lmmath.weights.smollm2 import find_smollm2

LOADING = r"""
import re, time
began = time.perf_counter()
{program}
seconds = time.perf_counter() - began
status = open("/proc/self/status", encoding="utf-8").read()  # Linux alone tells
peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e6
print(f"{{seconds:.1f}} s, {{peak:.2f}} GB at the peak")
"""
PROGRAMS = {
    "lmmath": "from lmmath.weights import load_smollm2; model = load_smollm2()",
    "the gguf package": (
        "import gguf; from lmmath.weights.smollm2 import find_smollm2\n"
        "reader = gguf.GGUFReader(find_smollm2())\n"
        "model = [gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors]"
    ),
}


def main():
    """Print two tables and a list."""
    torch.set_num_threads(1)
    params, config, tokenizer = load_smollm2()
    tensors = {name: torch.from_numpy(array) for name, array in params.items()}
    theirs = _transformers(params, config)
    text = np.asarray(tokenizer.encode(long_texts()[0].text))
    ours = {"lmmath, PyTorch": tensors, "lmmath, NumPy": params}

    prompt = {
        name: partial(_prompt, params=p, config=config, text=text)
        for name, p in ours.items()
    }
    prompt["transformers"] = partial(_prompt_of_transformers, theirs, text)
    prompt["llama.cpp, 4 bits"] = _llama_cpp(text, one_more=False)
    print(compare("A prompt of SmolLM2", "tokens", [10, 30, 100], prompt, n_rounds=5))

    token = {
        name: partial(_token, params=p, config=config, text=text)
        for name, p in ours.items()
    }
    token["transformers"] = partial(_token_of_transformers, theirs, text)
    token["llama.cpp, 4 bits"] = _llama_cpp(text, one_more=True)
    print(
        compare("One more token of SmolLM2", "tokens before it", [30, 100, 300], token)
    )

    print("**Loading SmolLM2**, each in a process of its own\n")
    for name, program in PROGRAMS.items():
        code = LOADING.format(program=program)
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        print(f"- {name}: {run.stdout.strip()}")


def _prompt(n, params, config, text):
    def run():
        with torch.no_grad():
            x, _ = residual(config, params, text[:n])
            return lens(config, params, x[-1])

    return run


def _token(n, params, config, text):
    with torch.no_grad():
        _, cache = residual(config, params, text[:n])

    def run():
        with torch.no_grad():
            x, _ = residual(config, params, text[n : n + 1], cache)
            return lens(config, params, x[-1])

    return run


def _prompt_of_transformers(model, text, n):
    tokens = torch.from_numpy(text[None, :n])

    def run():
        with torch.no_grad():
            return model(tokens, use_cache=True, logits_to_keep=1)

    return run


def _token_of_transformers(model, text, n):
    with torch.no_grad():
        cache = model(torch.from_numpy(text[None, :n]), use_cache=True).past_key_values
    token = torch.from_numpy(text[None, n : n + 1])

    def run():
        with torch.no_grad():
            model(token, past_key_values=cache, use_cache=True)
        cache.crop(-1)  # take the token off again

    return run


def _transformers(params, config):
    """Give the same model to transformers, its pairs and matrices as it has them."""
    settings = transformers.LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        intermediate_size=config.d_ff,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        num_key_value_heads=config.n_kv_heads,
        max_position_embeddings=config.n_positions,
        rms_norm_eps=config.eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rotary_base},
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(settings).eval()
    state = {}
    for name, array in params.items():
        if array.ndim == 2 and not name.startswith("embed"):
            array = array.T
        if "q_proj" in name or "k_proj" in name:
            pairs = array.reshape(-1, config.d_head // 2, 2, config.d_model)
            array = pairs.swapaxes(1, 2).reshape(array.shape)
        state[f"model.{name}"] = torch.from_numpy(np.ascontiguousarray(array))
    model.load_state_dict(state, strict=False)
    with torch.no_grad():
        tokens = np.arange(100, 120)
        x, _ = residual(config, params, tokens)
        theirs = model(torch.from_numpy(tokens)[None]).logits[0, -1].numpy()
        np.testing.assert_allclose(lens(config, params, x[-1]), theirs, atol=1e-3)
    return model


def _llama_cpp(text, one_more):
    if not installed("llama-cpp-python"):
        return None
    import llama_cpp

    model = llama_cpp.Llama(
        str(find_smollm2()), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False
    )

    def prepare(n):
        model.reset()
        model.eval(text[:n].tolist())

        def run():
            if one_more:
                model.n_tokens = n
                model.eval(text[n : n + 1].tolist())
            else:
                model.reset()
                model.eval(text[:n].tolist())

        return run

    return prepare


if __name__ == "__main__":
    main()
