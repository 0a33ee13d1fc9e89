"""Models and unfinished trainings in files, whole and damaged."""

import json
import os
import pickle
import stat
import struct

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

import lmmath.checkpoints
from lmmath._files import replacing
from lmmath.autodiff import Tensor
from lmmath.checkpoints import (
    Checkpoint,
    load_checkpoint,
    load_model,
    save_checkpoint,
    save_model,
)
from lmmath.training import adamw_init, adamw_update
from lmmath.transformer import GPTConfig, LlamaConfig, gpt_shapes, init_gpt, init_llama

CONFIG = GPTConfig(5, n_positions=3, d_model=4, n_layers=2, n_heads=2, eps=1e-6)
FLOATS = [np.float16, np.float32, np.float64]


@pytest.fixture
def params():
    rng = np.random.default_rng(3)
    # No two numbers alike, biases and gains included.
    return {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in gpt_shapes(CONFIG).items()
    }


@pytest.fixture
def checkpoint(params):
    _, optimizer = adamw_update(params, params, adamw_init(params), 0.1)
    log = np.asarray([[1.0, np.nan, 1 / 3], [2.0, np.inf, -0.0]])
    return Checkpoint(params, optimizer, CONFIG, {"seed": [1, None], "ü": "é"}, log)


def same_bits(actual, expected):
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        assert actual[name].shape == array.shape
        assert actual[name].tobytes() == array.tobytes()


def header(path):
    """Read the metadata as the format's description says: a length, then JSON."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


# Models


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_model_comes_back_to_the_last_bit_and_in_order(tmp_path, params, dtype):
    params = {name: array.astype(dtype) for name, array in params.items()}
    save_model(tmp_path / "m", dict(reversed(params.items())), CONFIG)
    loaded, config = load_model(tmp_path / "m", dtype)
    same_bits(loaded, params)
    assert config == CONFIG
    assert all(array.flags.writeable for array in loaded.values())


@pytest.mark.parametrize("stored", [np.float16, "float64", None])
@pytest.mark.parametrize("read", FLOATS)
def test_a_model_is_stored_in_one_dtype_and_read_in_another(
    tmp_path, params, stored, read
):
    save_model(str(tmp_path / "m"), params, CONFIG, dtype=stored)
    loaded, _ = load_model(str(tmp_path / "m"), read)
    between = {n: a.astype(stored or a.dtype) for n, a in params.items()}
    same_bits(loaded, {name: array.astype(read) for name, array in between.items()})


def test_the_default_is_float32_and_float16_takes_half_the_room(tmp_path, params):
    save_model(tmp_path / "half", params, CONFIG, dtype=np.float16)
    save_model(tmp_path / "whole", params, CONFIG)
    loaded, _ = load_model(tmp_path / "half")
    assert {array.dtype for array in loaded.values()} == {np.dtype(np.float32)}
    n_numbers = sum(array.size for array in params.values())
    saved = (tmp_path / "whole").stat().st_size - (tmp_path / "half").stat().st_size
    assert abs(saved - 2 * n_numbers) < 300  # the headers differ a little


def test_other_programs_read_the_file(tmp_path, params):
    path = tmp_path / "m.safetensors"
    save_model(path, params, CONFIG, language="Fable", made_by="ü")
    same_bits(dict(sorted(safetensors.numpy.load_file(path).items())), dict(sorted(params.items())))  # fmt: skip
    of_torch = safetensors.torch.load_file(path)
    same_bits({name: of_torch[name].numpy() for name in params}, params)
    metadata = header(path)["__metadata__"]
    assert json.loads(metadata["config"])["d_ff"] == 16
    assert metadata["language"] == "Fable"
    assert metadata["made_by"] == "ü"


@pytest.mark.parametrize("tied", [False, True])
def test_a_llama_is_stored_with_its_sizes(tmp_path, tied):
    config = LlamaConfig(
        7, 9, 8, 2, 4, d_ff=5, n_kv_heads=2, rotary_base=7.0, tied=tied
    )
    params = init_llama(config, np.random.default_rng(0))
    save_model(tmp_path / "m.safetensors", params, config)
    loaded, loaded_config = load_model(tmp_path / "m.safetensors")
    assert loaded_config == config
    assert all(np.array_equal(loaded[name], array) for name, array in params.items())


def test_tensors_are_stored_with_their_gradient_left_out_and_bfloat16_widened(
    tmp_path, params
):
    for dtype in (torch.float32, torch.bfloat16):
        tensors = {
            name: torch.tensor(array, dtype=dtype, requires_grad=True)
            for name, array in params.items()
        }
        save_model(tmp_path / "m.safetensors", tensors, CONFIG)
        loaded, _ = load_model(tmp_path / "m.safetensors")
        for name, tensor in tensors.items():
            assert np.array_equal(loaded[name], tensor.detach().float().numpy())


def test_an_array_is_stored_as_it_reads_not_as_it_lies_in_memory(tmp_path, params):
    lying = {name: np.asfortranarray(array) for name, array in params.items()}
    lying["ln_f.bias"] = np.repeat(params["ln_f.bias"], 2)[::2]
    lying["ln_f.weight"] = params["ln_f.weight"].astype(">f4")
    save_model(tmp_path / "m", lying, CONFIG)
    same_bits(load_model(tmp_path / "m")[0], params)


def test_the_same_model_gives_the_same_file(tmp_path, params):
    notes = {f"note_{i}": "é" for i in range(20)}
    save_model(tmp_path / "a", params, CONFIG, **notes)
    save_model(tmp_path / "b", params, CONFIG, **dict(reversed(notes.items())))
    content = (tmp_path / "a").read_bytes()
    assert (tmp_path / "b").read_bytes() == content
    # The numbers begin where a processor likes to read them.
    assert int.from_bytes(content[:8], "little") % 8 == 0


def test_sizes_may_be_numpys_integers(tmp_path):
    config = GPTConfig(*np.asarray([5, 3, 4, 1, 2]), eps=np.float32(0.5))
    save_model(tmp_path / "m", init_gpt(config, np.random.default_rng(0)), config)
    assert load_model(tmp_path / "m")[1] == config


def test_a_new_file_may_be_read_by_whom_the_system_allows(tmp_path, params):
    save_model(tmp_path / "m", params, CONFIG)
    (tmp_path / "usual").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("m", "usual")]
    assert modes[0] == modes[1]


# Unfinished trainings


def test_a_checkpoint_comes_back_to_the_last_bit(tmp_path, checkpoint):
    save_checkpoint(tmp_path / "c", checkpoint)
    loaded = load_checkpoint(tmp_path / "c")
    same_bits(loaded.params, checkpoint.params)
    for average in ("m", "v"):
        same_bits(loaded.optimizer[average], checkpoint.optimizer[average])
    assert loaded.optimizer["step"] == 1
    assert loaded.run == checkpoint.run
    assert loaded.config == CONFIG
    same_bits({"log": loaded.log}, {"log": checkpoint.log})


def test_a_checkpoint_may_have_no_log_yet(tmp_path, checkpoint):
    empty = np.empty((0, 6))
    arguments = {**vars(checkpoint), "log": empty}
    save_checkpoint(tmp_path / "c", Checkpoint(**arguments))
    assert load_checkpoint(tmp_path / "c").log.shape == (0, 6)


# Whole or not at all


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_what_was_there_stays_until_the_new_file_is_complete(
    tmp_path, params, monkeypatch, broken
):
    path = tmp_path / "m"
    save_model(path, params, CONFIG)
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, broken, stop)
    changed = {name: array + 1 for name, array in params.items()}
    with pytest.raises(KeyboardInterrupt):
        save_model(path, changed, CONFIG)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]


def test_the_disk_has_the_bytes_before_the_file_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        function = getattr(os, name)

        def note(*arguments, name=name, function=function):
            calls.append(name)
            function(*arguments)

        monkeypatch.setattr(os, name, note)
    with replacing(tmp_path / "a") as draft:
        draft.write_text("new", "utf-8")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_text("utf-8") == "new"
    assert calls == ["fsync", "replace"]


def test_damage_is_noticed_wherever_it_is(tmp_path):
    path = tmp_path / "m"
    config = GPTConfig(2, n_positions=1, d_model=2, n_layers=1, n_heads=1)
    save_model(path, init_gpt(config, np.random.default_rng(0)), config)
    content = path.read_bytes()
    for i in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[i] ^= 1 << i % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="m holds no model: "):
            load_model(path)


def test_every_missing_end_is_noticed(tmp_path, checkpoint):
    path = tmp_path / "c"
    save_checkpoint(path, checkpoint)
    content = path.read_bytes()
    for length in (*range(0, len(content), 50), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="c holds no checkpoint: "):
            load_checkpoint(path)


# Bad input


def rewrite(path, arrays=None, **metadata):
    """Write a file that is whole, with a right checksum, and wrong in one thing."""
    arrays = {**init_gpt(CONFIG, np.random.default_rng(0)), **(arrays or {})}
    metadata = {"format": "lmmath.model 1", "config": sizes(), **metadata}
    lmmath.checkpoints._write(path, arrays, metadata)


def sizes(**changes):
    return json.dumps({**vars(CONFIG), **changes})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("Once upon a time", "utf-8"), "holds no model: "),
        (lambda path: path.write_bytes(b""), "holds no model: "),
        (lambda path: path.write_bytes(pickle.dumps(os.system)), "holds no model: "),
        (lambda path: safetensors.numpy.save_file({"w": np.zeros(2)}, path), "expected the format 'lmmath.model 1', got None"),
        (lambda path: rewrite(path, format="lmmath.model 2"), "expected the format 'lmmath.model 1', got 'lmmath.model 2'"),
        (lambda path: rewrite(path, config=sizes(vocab_size=6)), r"wte.weight must have shape \(6, 4\), got \(5, 4\)"),
        (lambda path: rewrite(path, config=sizes(n_layers=1)), r"0 missing \(\) and 12 unknown"),
        (lambda path: rewrite(path, config=sizes(n_layers=3)), r"12 missing .* and 0 unknown"),
        (lambda path: rewrite(path, {"wte.weight": np.zeros((5, 4), int)}), "wte.weight must be of F64, F32, F16, BF16, got I64"),
        (lambda path: rewrite(path, config='{"vocab_size": 5}'), "missing 4 required"),
        (lambda path: rewrite(path, config="[1]"), r"config must be an object, got \[1\]"),
        (lambda path: rewrite(path, config="{"), "Expecting"),
        (lambda path: rewrite(path, config="[" * 10**5), "recursion"),
        (lambda path: rewrite(path, config=sizes(n_heads=3)), "n_heads must divide d_model = 4, got 3"),
        (lambda path: rewrite(path, config=sizes(n_heads="2")), "n_heads must be an integer of at least 1, got '2'"),
        (lambda path: rewrite(path, config=sizes(n_layer=2)), "unexpected keyword argument 'n_layer'"),
        (
            lambda path: lmmath.checkpoints._write(path, {"w": np.zeros(2)}, {"format": "lmmath.model 1"}),
            "it lacks 'config'",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_model_is_named(tmp_path, write, message):
    path = tmp_path / "some.file"
    write(path)
    with pytest.raises(ValueError, match=message) as error:
        load_model(path)
    assert str(error.value).startswith(f"{path} holds no model: ")


def test_a_model_is_no_checkpoint(tmp_path, params):
    save_model(tmp_path / "m", params, CONFIG)
    with pytest.raises(ValueError, match=r"m holds no checkpoint: expected the format 'lmmath.checkpoint 1'"):  # fmt: skip
        load_checkpoint(tmp_path / "m")


@pytest.mark.parametrize("load", [load_model, load_checkpoint])
def test_the_system_says_what_it_cannot_open(tmp_path, load):
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path / "missing")
    assert error.value.filename == str(tmp_path / "missing")
    with pytest.raises(OSError, match="directory"):
        load(tmp_path)


def change(params, **arrays):
    return {**params, **{name.replace("__", "."): a for name, a in arrays.items()}}


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, lambda p: ({}, CONFIG), "params must have the names of this model"),
        (ValueError, lambda p: (change(p, x=np.zeros(1)), CONFIG), r"1 unknown \(x\)"),
        (ValueError, lambda p: (p, GPTConfig(5, 3, 4, 2, 2, d_ff=9)), r"h.0.mlp.c_fc.weight must have shape \(4, 9\), got \(4, 16\)"),
        (ValueError, lambda p: (change(p, ln_f__bias=[0.0] * 4), CONFIG), r"ln_f.bias must have shape \(4,\), got list"),
        (TypeError, lambda p: (change(p, ln_f__bias=np.zeros(4, int)), CONFIG), "ln_f.bias must be an array of floating-point numbers, got dtype int64"),
        (TypeError, lambda p: (change(p, ln_f__bias=Tensor(np.zeros(4))), CONFIG), "ln_f.bias must be an array of floating-point numbers, got dtype object"),
        (ValueError, lambda p: (change(p, ln_f__bias=np.full(4, 1e5)), CONFIG, np.float16), "ln_f.bias must fit into float16, got a larger number"),
        (TypeError, lambda p: (p, CONFIG, np.int64), "wte.weight must be .* got dtype int64"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_not_written(tmp_path, params, error, arguments, message):
    with pytest.raises(error, match=message):
        save_model(tmp_path / "m", *arguments(params))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "notes", "message"),
    [
        (TypeError, {"year": 2024}, "year must be a string, got int"),
        (ValueError, {"format": "x"}, "a note must not be called 'format'"),
        (ValueError, {"checksum": "x"}, "a note must not be called 'checksum'"),
    ],
)
def test_bad_notes_are_named(tmp_path, params, error, notes, message):
    with pytest.raises(error, match=message):
        save_model(tmp_path / "m", params, CONFIG, **notes)


def test_infinite_numbers_are_kept(tmp_path, params):
    params["ln_f.bias"][:] = [np.inf, -np.inf, np.nan, 0.0]
    save_model(tmp_path / "m", params, CONFIG, dtype=np.float16)
    same_bits({"b": load_model(tmp_path / "m")[0]["ln_f.bias"]}, {"b": params["ln_f.bias"]})  # fmt: skip


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("optimizer", {"step": -1, "m": {}, "v": {}}, "step must be an integer of at least 0, got -1"),
        ("optimizer", {"step": 1.5, "m": {}, "v": {}}, "step must be .* got 1.5"),
        ("optimizer", {"step": 1, "m": {}, "v": {}}, "params must have the names of this model"),
        ("config", GPTConfig(6, 3, 4, 2, 2), r"wte.weight must have shape \(6, 4\)"),
    ],
)  # fmt: skip
def test_a_checkpoint_whose_parts_do_not_fit_is_not_made(
    checkpoint, part, value, message
):
    with pytest.raises(ValueError, match=message):
        Checkpoint(**{**vars(checkpoint), part: value})
