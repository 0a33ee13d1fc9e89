"""Files of the format safetensors, without its package against the package."""

import json
import sys

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors import SafetensorError

from lmmath.safetensors_file import (
    _deserialized_without_the_package,
    _serialized,
    read_safetensors,
    to_safetensors,
)

NAMED_ARRAYS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(
        lambda name: name != "__metadata__"
    ),
    st.sampled_from(["<f2", "<f4", "<f8"]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=3))
    ),
    min_size=1,  # of none, the package has made a header that is no JSON
    max_size=5,
)
TEXTS = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
PARAMS = {"w": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.ones(2)}


@pytest.fixture
def no_package(monkeypatch):
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)


def same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        assert actual[name].shape == array.shape
        assert actual[name].tobytes() == array.tobytes()


def file_of(header, numbers=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + numbers


@given(params=NAMED_ARRAYS, texts=TEXTS)
def test_both_ways_write_the_same_bytes(params, texts):
    assert _serialized(params, texts) == to_safetensors(params, texts)


@given(params=NAMED_ARRAYS, texts=TEXTS)
def test_what_the_package_writes_is_read_without_it(params, texts):
    content = safetensors.numpy.save(params, texts)
    ours = dict(_deserialized_without_the_package(content))
    theirs = dict(safetensors.deserialize(content))
    assert ours.keys() == theirs.keys()
    for name, stored in theirs.items():
        assert ours[name]["dtype"] == stored["dtype"]
        assert list(ours[name]["shape"]) == list(stored["shape"])
        assert bytes(ours[name]["data"]) == bytes(stored["data"])


def test_a_file_comes_back_without_the_package(tmp_path, no_package):
    path = tmp_path / "m.safetensors"
    path.write_bytes(to_safetensors(PARAMS, {"language": "ü"}))
    params, texts = read_safetensors(path)
    same(params, PARAMS)
    assert texts == {"language": "ü"}
    params["w"] += 1  # may be written to, as with the package


@pytest.mark.parametrize("with_package", [True, False])
def test_bfloat16_is_widened(tmp_path, monkeypatch, with_package):
    numbers = torch.tensor([[1.5, -2.0], [3e38, 1e-40]]).bfloat16()
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors.torch.save({"w": numbers}))
    if not with_package:
        monkeypatch.setitem(sys.modules, "safetensors", None)
    params, _ = read_safetensors(path)
    same(params, {"w": numbers.float().numpy()})


@pytest.mark.parametrize("with_package", [True, False])
def test_other_numbers_are_refused_by_name(tmp_path, monkeypatch, with_package):
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors.numpy.save({"ids": np.arange(3)}))
    if not with_package:
        monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(
        ValueError, match=r"ids must be of F64, F32, F16, BF16, got .?I64"
    ):
        read_safetensors(path)


def test_a_file_that_ends_too_early_is_refused(tmp_path, no_package):
    content = to_safetensors(PARAMS, {"language": "Fable"})
    path = tmp_path / "m.safetensors"
    for n in range(len(content)):
        path.write_bytes(content[:n])
        with pytest.raises(ValueError, match="must"):
            read_safetensors(path)
    path.write_bytes(content + b"x")
    with pytest.raises(ValueError, match="must hold 40 bytes of numbers, got 41"):
        read_safetensors(path)


@given(data=st.data())
def test_what_is_accepted_of_a_damaged_header_the_package_accepts_too(data):
    content = bytearray(to_safetensors(PARAMS, {"language": "Fable"}))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 41))
        content[place] = data.draw(st.sampled_from(b'0123456789{}[]",: \0FB\xff'))
    try:
        ours = _deserialized_without_the_package(bytes(content))
    except ValueError:
        return
    theirs = dict(safetensors.deserialize(bytes(content)))
    for name, stored in ours:
        assert stored["data"] == theirs[name]["data"]
        assert list(stored["shape"]) == list(theirs[name]["shape"])


def entry(dtype="F32", shape=(1,), data_offsets=(0, 4), **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": data_offsets} | more


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with the length of its header"),
        (b"\xff" * 8, "must begin with the length of its header"),
        ((2**40).to_bytes(8, "little") + b"{}", "must begin with the length"),
        (file_of(b"{"), "must be JSON"),
        (file_of(b"\xff\xfe{}"), "must be JSON"),
        (file_of(b"[" * 10**5), "must be JSON"),
        (file_of(b'{"w": ' * 10**5), "must be JSON"),
        (file_of(b'{"w": ' + b"9" * 5000 + b"}"), "must be JSON"),
        (file_of(b'{"w": 1, "w": 1}'), "names something twice"),
        (file_of([]), "must be an object"),
        (file_of({"__metadata__": []}), "must be texts"),
        (file_of({"__metadata__": {"a": 1}}), "must be texts"),
        (file_of({"w": 3}), "w must have a dtype, a shape and data_offsets"),
        (file_of({"w": {}}), "w must have a dtype, a shape and data_offsets"),
        (file_of({"w": entry(more=1)}), "w must have a dtype, a shape and data_offsets"),
        (file_of({"w": entry("F31")}), "w must be of F64, F32, F16, BF16, got 'F31'"),
        (file_of({"w": entry(["F32"])}), r"got \['F32'\]"),
        (file_of({"w": entry(shape=3)}), "w must have a shape of up to 32 integers, got 3"),
        (file_of({"w": entry(shape=[-1])}), r"integers, got \[-1\]"),
        (file_of({"w": entry(shape=[1.0])}), r"integers, got \[1.0\]"),
        (file_of({"w": entry(shape=[True])}), r"integers, got \[True\]"),
        (file_of({"w": entry(shape=[1] * 33)}), "of up to 32 integers"),
        (file_of({"w": entry(shape=[2**64])}), "integers"),
        (file_of({"w": entry(data_offsets=[0])}), "two data_offsets"),
        (file_of({"w": entry(data_offsets=[-4, 0])}, b"1234"), "two data_offsets"),
        (file_of({"w": entry(data_offsets=[4, 0])}, b"1234"), "must begin at 0"),
        (file_of({"w": entry(data_offsets=[1, 5])}, b"12345"), "must begin at 0"),
        (file_of({"w": entry(data_offsets=[0, 8])}, b"12345678"), "w, of 4 bytes"),
        (file_of({"w": entry(shape=[2**40, 2**40])}, b"1234"), "must begin at 0"),
        (file_of({"v": entry(), "w": entry()}, b"1234"), "w, of 4 bytes, must begin at 4"),
        (file_of({"w": entry()}, b"123"), "must hold 4 bytes of numbers, got 3"),
        (file_of({"w": entry(shape=[2**61], data_offsets=[0, 2**63 - 1])}), "begin at 0"),
        (file_of({"w": entry(shape=[0, 2**62, 2**62], data_offsets=[0, 0])}), "array is too big"),
    ],
)  # fmt: skip
def test_a_hostile_header_is_refused(tmp_path, no_package, content, message):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_safetensors(path)


def test_the_package_s_own_errors_are_plain_ones(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"{")
    with pytest.raises(ValueError, match=r"(?i)header") as error:
        read_safetensors(path)
    assert isinstance(error.value.__cause__, SafetensorError)
