"""Published models: each way to store one gives the same parameters, and wrong ones are named."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from libraries import close
from references import llama_of_transformers, params_of_llama

from lmmath.transformer import (
    LlamaConfig,
    gpt,
    init_llama,
    llama,
    llama_shapes,
    load_gpt2,
    load_llama,
)

SIZES = {"vocab_size": 23, "hidden_size": 32, "intermediate_size": 64}
SIZES |= {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
SIZES |= {"max_position_embeddings": 40, "rms_norm_eps": 1e-4, "head_dim": 16}
TOKENS = np.random.default_rng(1).integers(23, size=(2, 9))


def config_of(tied=False):
    return LlamaConfig(
        23, 40, 32, 2, 4, 64, n_kv_heads=2, d_head=16, rotary_base=500.0, eps=1e-4, tied=tied
    )  # fmt: skip


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def model(request, monkeypatch):
    rope = {"rope_type": "default", "rope_theta": 500.0}
    return llama_of_transformers(
        monkeypatch,
        np.random.default_rng(3),
        **SIZES,
        rope_parameters=rope,
        tie_word_embeddings=request.param,
    )


def logits_of(model):
    with torch.no_grad():
        return model(torch.from_numpy(TOKENS)).logits


def same(params, expected):
    assert params.keys() == expected.keys()
    for name, array in expected.items():
        assert np.array_equal(params[name], array), name


def test_llama_as_a_model(model):
    params, config = load_llama(model)
    assert config == config_of(model.config.tie_word_embeddings)
    same(params, params_of_llama(model))
    close(llama(params, TOKENS, config), logits_of(model), 1e-10)


def test_llama_without_its_output_matrix_is_tied(model):
    params, config = load_llama(model.model)
    assert config == config_of(tied=True)
    assert "lm_head.weight" not in params


def test_llama_as_a_state_dict(model):
    expected = config_of(model.config.tie_word_embeddings)
    params, config = load_llama(model.state_dict(), expected)
    assert config is expected
    same(params, params_of_llama(model))


@pytest.mark.parametrize("shards", ["5GB", "20kB"])
def test_llama_as_a_folder(model, tmp_path, shards):
    model.save_pretrained(tmp_path, max_shard_size=shards)
    n_files = len(list(tmp_path.glob("*.safetensors")))
    assert n_files == 1 if shards == "5GB" else n_files > 2
    for source in (tmp_path, str(tmp_path)):
        params, config = load_llama(source)
        assert config == config_of(model.config.tie_word_embeddings)
        same(params, params_of_llama(model))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(model, tmp_path, dtype):
    half = model.to(dtype)
    half.save_pretrained(tmp_path)
    expected = params_of_llama(half.to(torch.float32))
    half = half.to(dtype)
    for source in (tmp_path, half):
        params, _ = load_llama(source)
        same(params, expected)
        assert {array.dtype for array in params.values()} == {np.dtype("f4")}
    half.requires_grad_(True)
    same(
        load_llama(
            half.state_dict(keep_vars=True), config_of(half.config.tie_word_embeddings)
        )[0],
        expected,
    )


def test_settings_of_older_checkpoints(model, tmp_path):
    model.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    settings = json.loads(file.read_text("utf-8"))
    del settings["rope_parameters"]
    settings |= {"rope_theta": 500.0, "rope_scaling": None}
    file.write_text(json.dumps(settings), "utf-8")
    _, config = load_llama(tmp_path)
    assert config == config_of(model.config.tie_word_embeddings)


def write_llama(path, model, kind="F32", **spoiled):
    """Write a model as llama.cpp's converter does, with queries and keys reordered."""
    settings = model.config
    writer = gguf.GGUFWriter(path, spoiled.get("architecture", "llama"))
    writer.add_context_length(settings.max_position_embeddings)
    writer.add_embedding_length(settings.hidden_size)
    writer.add_block_count(spoiled.get("n_layers", settings.num_hidden_layers))
    writer.add_feed_forward_length(settings.intermediate_size)
    writer.add_head_count(settings.num_attention_heads)
    writer.add_head_count_kv(settings.num_key_value_heads)
    writer.add_key_length(settings.head_dim)
    writer.add_rope_dimension_count(spoiled.get("rope", settings.head_dim))
    writer.add_rope_freq_base(settings.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(settings.rms_norm_eps)
    if "scaling" in spoiled:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, settings.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and settings.tie_word_embeddings:
            continue
        array = tensor.float().numpy()
        for part, n_heads in (("q_proj", 4), ("k_proj", 2)):
            if part in name:
                halves = array.reshape(n_heads, 2, -1, array.shape[1])
                array = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(array.shape)
        their_name = names.get_name(name, try_suffixes=(".weight",))
        wanted = gguf.GGMLQuantizationType[kind if array.ndim == 2 else "F32"]
        if their_name != spoiled.get("missing"):
            writer.add_tensor(
                their_name, gguf.quants.quantize(array, wanted), raw_dtype=wanted
            )
    if "extra" in spoiled:
        writer.add_tensor(spoiled["extra"], np.ones(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# The greatest error of one weight, in units of the largest (which is about 1.3).
ERRORS = {
    "F32": 1e-7,
    "F16": 1e-3,
    "BF16": 8e-3,
    "Q8_0": 0.01,
    "Q4_0": 0.15,
    "Q4_1": 0.15,
}
ERRORS |= {"Q5_0": 0.08, "Q5_1": 0.08}


@pytest.mark.parametrize("kind", ERRORS)
def test_llama_as_a_gguf_file(model, tmp_path, kind):
    write_llama(tmp_path / "toy.gguf", model, kind)
    params, config = load_llama(tmp_path / "toy.gguf")
    expected = config_of(model.config.tie_word_embeddings)
    assert vars(config) == pytest.approx(vars(expected), rel=1e-6)
    for name, array in params_of_llama(model).items():
        assert np.abs(params[name] - array).max() <= ERRORS[kind], name
    if kind == "F32":
        close(llama(params, TOKENS, config), logits_of(model), 1e-4)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"architecture": "qwen2"}, "source must have general.architecture = 'llama', got 'qwen2'"),
        ({"n_layers": 3}, "it lacks the tensor for layers.2.input_layernorm.weight"),
        ({"n_layers": 1}, "it holds the tensor blk.1.attn_norm.weight, for which the metadata have no layer"),
        ({"n_layers": 2**31}, "it should hold 2147483648 layers, and has"),
        ({"missing": "blk.1.ffn_up.weight"}, "it lacks the tensor for layers.1.mlp.up_proj.weight"),
        ({"missing": "token_embd.weight"}, "it lacks the tensor token_embd.weight"),
        ({"extra": "rope_freqs.weight"}, "it holds the tensor rope_freqs.weight, which this model has not"),
        ({"extra": "blk.0.attn_q.bias"}, "it holds the tensor blk.0.attn_q.bias, which this model has not"),
        ({"rope": 8}, "source must have rope.dimension_count = 16, got 8"),
        ({"scaling": True}, "source must have no llama.rope.scaling.type, got 'yarn'"),
    ],
)  # fmt: skip
def test_a_gguf_file_of_something_else_is_named(model, tmp_path, spoiled, message):
    path = tmp_path / "toy.gguf"
    write_llama(path, model, **spoiled)
    with pytest.raises(ValueError, match=message) as caught:
        load_llama(path)
    assert "toy.gguf" in str(caught.value)


def test_a_tensor_of_another_shape_is_named(model, tmp_path):
    path = tmp_path / "toy.gguf"
    write_llama(path, model)
    content = path.read_bytes()
    place = content.index(b"llama.feed_forward_length") + 29
    assert content[place] == 64
    path.write_bytes(content[:place] + b"\x20" + content[place + 1 :])
    with pytest.raises(
        ValueError, match=r"must have shape \(32, 32\) by the metadata, got \(64, 32\)"
    ):
        load_llama(path)


def test_a_file_cut_short_is_named(model, tmp_path):
    path = tmp_path / "toy.gguf"
    write_llama(path, model)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"toy\.gguf .*it is cut short"):
        load_llama(path)


def test_folders_that_are_not_whole_are_named(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="20kB")
    index = tmp_path / "model.safetensors.index.json"
    content = json.loads(index.read_text("utf-8"))
    name, file = next(iter(content["weight_map"].items()))
    shard = tmp_path / file
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="holds no Llama that can be loaded"):
        load_llama(tmp_path)
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=file):
        load_llama(tmp_path)
    shard.write_bytes(whole)
    content["weight_map"][name] = "../elsewhere.safetensors"
    index.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ValueError, match="names a file outside its folder"):
        load_llama(tmp_path)
    (tmp_path / "config.json").write_text("[]", "utf-8")
    with pytest.raises(ValueError, match=r"config\.json must hold an object"):
        load_llama(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_type": "mistral"}, "source must have model_type = 'llama', got 'mistral'"),
        ({"hidden_act": "gelu"}, "source must have hidden_act = 'silu', got 'gelu'"),
        ({"attention_bias": True}, "source must have attention_bias = False, got True"),
        ({"mlp_bias": True}, "source must have mlp_bias = False, got True"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "source must have rope_type = 'default', got 'yarn'"),
        ({"rope_parameters": None, "rope_scaling": {"type": "linear"}}, "source must have rope_scaling = None"),
        ({"vocab_size": 24}, r"embed_tokens.weight must have shape \(24, 32\), got \(23, 32\)"),
        ({"num_hidden_layers": 10**15}, "it should hold 1000000000000000 layers"),
        ({"num_hidden_layers": "two"}, "n_layers must be an integer of at least 1, got 'two'"),
    ],
)  # fmt: skip
def test_a_folder_of_another_kind_is_named(model, tmp_path, changed, message):
    model.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changed), "utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        load_llama(tmp_path)
    assert str(tmp_path) in str(caught.value)


LLAMA = LlamaConfig(9, n_positions=8, d_model=8, n_layers=1, n_heads=2, d_ff=5)
STATE = {
    name: array.T for name, array in init_llama(LLAMA, np.random.default_rng(0)).items()
}
STATE["embed_tokens.weight"] = STATE["embed_tokens.weight"].T


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (FileNotFoundError, lambda: load_llama("llama-3"), "source must be a file or a folder that is there, got 'llama-3'"),
        (FileNotFoundError, lambda: load_gpt2("gpt2"), "source must be a file or a folder that is there, got 'gpt2'"),
        (TypeError, lambda: load_llama(3), "source must be a path, a model of transformers or its state dict, got int"),
        (ValueError, lambda: load_llama(STATE), "config must be given with a state dict, got None"),
        (ValueError, lambda: load_llama(Path(__file__)), "test_published_models.py holds no Llama that can be loaded: .* it does not begin with GGUF"),
        (ValueError, lambda: load_llama({}, LLAMA), "source holds no Llama: it lacks 'embed_tokens.weight'"),
        (ValueError, lambda: load_llama(STATE | {"more": np.ones(3)}, LLAMA), r"1 unknown \(more\)"),
        (TypeError, lambda: load_llama(STATE | {"norm.weight": np.ones(8, int)}, LLAMA), "norm.weight must hold floating-point numbers, got int64"),
        (ValueError, lambda: load_llama(STATE | {"norm.weight": np.ones(7)}, LLAMA), r"norm.weight must have shape \(8,\), got \(7,\)"),
    ],
)  # fmt: skip
def test_bad_sources_are_named(error, call, message):
    with pytest.raises(error, match=message):
        call()


def test_a_config_beside_a_source_that_has_one_is_refused(model):
    with pytest.raises(
        ValueError, match="config must be left out when source is a model"
    ):
        load_llama(model, LLAMA)


def test_a_tied_model_with_two_matrices_is_refused(model):
    state = model.state_dict() | {"lm_head.weight": torch.zeros(23, 32)}
    with pytest.raises(
        ValueError, match=r"lm_head\.weight must equal embed_tokens\.weight"
    ):
        load_llama(state, config_of(tied=True))


# GPT-2


@pytest.fixture
def gpt2():
    torch.manual_seed(0)
    settings = transformers.GPT2Config(
        vocab_size=23,
        n_positions=16,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.4,
    )
    return transformers.GPT2LMHeadModel(settings).eval()


def test_gpt2_as_a_folder(gpt2, tmp_path):
    gpt2.save_pretrained(tmp_path)
    params, config = load_gpt2(tmp_path)
    close(gpt(params, TOKENS, config), logits_of(gpt2), 1e-4)
    with pytest.raises(
        ValueError, match="n_heads must be left out when source is a folder"
    ):
        load_gpt2(tmp_path, 4)


def test_gpt2_in_bfloat16(gpt2):
    half = gpt2.to(torch.bfloat16)
    params, _ = load_gpt2(half)
    assert params["wte.weight"].dtype == np.float32
    expected = half.transformer.wte.weight.detach().float().numpy()
    assert np.array_equal(params["wte.weight"], expected)
    same(load_gpt2(half.state_dict(keep_vars=True), 4)[0], params)


@pytest.mark.parametrize("with_head", [False, True])
def test_gpt2_as_a_gguf_file(gpt2, tmp_path, with_head):
    path = tmp_path / "toy.gguf"
    settings = gpt2.config
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(settings.n_positions)
    writer.add_embedding_length(settings.n_embd)
    writer.add_block_count(settings.n_layer)
    writer.add_feed_forward_length(4 * settings.n_embd)
    writer.add_head_count(settings.n_head)
    writer.add_layer_norm_eps(settings.layer_norm_epsilon)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, settings.n_layer)
    for name, tensor in gpt2.state_dict().items():
        if name == "lm_head.weight" and not with_head:
            continue
        array = tensor.numpy()
        if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            array = np.ascontiguousarray(array.T)
        name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    params, config = load_gpt2(path)
    expected, expected_config = load_gpt2(gpt2)
    assert vars(config) == pytest.approx(vars(expected_config), rel=1e-6)
    same(params, expected)
    with pytest.raises(
        ValueError, match=r"general\.architecture = 'llama', got 'gpt2'"
    ):
        load_llama(path)


def test_the_real_models_shapes_are_its_own():
    config = LlamaConfig(49_152, 8192, 576, 30, 9, 1536, 3, rotary_base=1e5, tied=True)
    assert len(llama_shapes(config)) == 272
