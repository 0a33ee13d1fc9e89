"""GGUF files against the package gguf: whole ones, cut ones, and ones that lie."""

import struct

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmath.gguf_file import read_gguf
from lmmath.quantization import FORMATS, dequantize
from lmmath.weights.smollm2 import find_smollm2

# All that the package can also make; K-quants and others it can only read.
WRITABLE = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
READABLE = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL")


def kind_of(name):
    return gguf.GGMLQuantizationType[name]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write a file with one tensor of each format, and metadata of each type."""
    rng = np.random.default_rng(2)
    path = tmp_path_factory.mktemp("gguf") / "all.gguf"
    writer = gguf.GGUFWriter(path, "toy")
    writer.add_string("name", "Straße 😀")
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -100)
    writer.add_uint16("u16", 60_000)
    writer.add_int16("i16", -30_000)
    writer.add_uint32("u32", 4_000_000_000)
    writer.add_int32("i32", -2_000_000_000)
    writer.add_uint64("u64", 2**60)
    writer.add_int64("i64", -(2**60))
    writer.add_float32("f32", 0.5)
    writer.add_float64("f64", 0.1)
    writer.add_bool("yes", True)
    writer.add_array("strings", ["a", "", "é"])
    writer.add_array("integers", [1, -2, 3])
    writer.add_array("floats", [0.5, -2.0])
    writer.add_array("bools", [True, False])
    for name in WRITABLE:
        numbers = rng.normal(size=(3, 64)).astype(np.float32)
        kind = kind_of(name)
        writer.add_tensor(name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)
    for name in READABLE:
        block, n_bytes = gguf.GGML_QUANT_SIZES[kind_of(name)]
        # The bytes that would be scales must not be NaN: small ones all over will do.
        blocks = rng.integers(1, 60, size=(2, n_bytes * 256 // block), dtype=np.uint8)
        writer.add_tensor(name, blocks, raw_dtype=kind_of(name))
    writer.add_tensor("cube", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_metadata_and_tensors_are_those_that_the_library_reads(written):
    file, theirs = read_gguf(written), gguf.GGUFReader(written)
    expected = {
        name: field.contents()
        for name, field in theirs.fields.items()
        if not name.startswith("GGUF.")
    }
    assert file.metadata == expected
    assert file.metadata["name"] == "Straße 😀"
    assert file.metadata["strings"] == ["a", "", "é"]
    assert [*file.tensors] == [tensor.name for tensor in theirs.tensors]
    for tensor in theirs.tensors:
        ours = file.tensors[tensor.name]
        numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert ours.kind == tensor.tensor_type.name
        assert ours.shape == tuple(reversed(tensor.shape.tolist()))
        assert np.array_equal(ours.numbers(), numbers.reshape(ours.shape))
        assert ours.numbers().dtype == np.float32


def test_the_real_file_is_read_as_the_library_reads_it():
    file, theirs = read_gguf(find_smollm2()), gguf.GGUFReader(find_smollm2())
    assert len(file.tensors) == len(theirs.tensors) == 272
    for tensor in theirs.tensors[:12]:
        numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(file.tensors[tensor.name].numbers(), numbers)
    merges = theirs.fields["tokenizer.ggml.merges"].contents()
    assert file.metadata["tokenizer.ggml.merges"] == merges


@pytest.mark.parametrize("kind", FORMATS)
def test_our_formulas_equal_the_librarys_bit_for_bit(kind):
    rng = np.random.default_rng(7)
    _, block, n_bytes = FORMATS[kind]
    numbers = rng.normal(size=(4, 5, 96)).astype(np.float32)
    blocks = gguf.quants.quantize(numbers, kind_of(kind)).view(np.uint8)
    assert blocks.shape == (4, 5, 96 // block * n_bytes)
    expected = gguf.quants.dequantize(
        blocks if kind not in ("F32", "F16") else blocks.view(f"<f{n_bytes}"),
        kind_of(kind),
    )
    assert np.array_equal(dequantize(blocks, kind), expected)
    one_bit = {
        "F32": 0,
        "F16": 1e-3,
        "BF16": 1e-2,
        "Q8_0": 0.02,
        "Q4_0": 0.3,
        "Q4_1": 0.3,
    }
    assert np.abs(dequantize(blocks, kind) - numbers).max() <= one_bit[kind]


def test_formats_by_hand():
    d, m = (np.asarray([x], "<f2").view(np.uint8) for x in (2.0, -3.0))
    nibbles = (np.arange(16) + 16 * (15 - np.arange(16))).astype(np.uint8)
    up, down = np.arange(16.0), 15 - np.arange(16.0)
    q4_0 = dequantize(np.concatenate([d, nibbles]), "Q4_0")
    assert np.array_equal(q4_0, 2 * np.concatenate([up, down]) - 16)
    q4_1 = dequantize(np.concatenate([d, m, nibbles]), "Q4_1")
    assert np.array_equal(q4_1, 2 * np.concatenate([up, down]) - 3)


@pytest.mark.parametrize(
    ("blocks", "kind", "message"),
    [
        (np.zeros(19, np.uint8), "Q4_1", "blocks must hold rows of whole blocks of 20 bytes, got 19 bytes"),
        (np.zeros(20, np.uint8), "Q9", "kind must be one of F32, .* got 'Q9'"),
        (np.zeros(4, np.uint8), "I32", "kind must be one of F32, .* got 'I32'"),
    ],
)  # fmt: skip
def test_bad_blocks_are_named(blocks, kind, message):
    with pytest.raises(ValueError, match=message):
        dequantize(blocks, kind)


# Files that are not whole


@pytest.fixture
def small(tmp_path):
    """Write a small file, and give its path and bytes."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "toy")
    writer.add_array("strings", ["ab", "c"])
    writer.add_tensor("w", np.arange(64, dtype=np.float32).reshape(2, 32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, path.read_bytes()


def test_a_file_cut_anywhere_is_an_error_that_names_it(small):
    path, content = small
    tensor_ends = content.rindex(struct.pack("<f", 63.0)) + 4
    for n in range(tensor_ends):
        path.write_bytes(content[:n])
        with pytest.raises(ValueError, match=r"small\.gguf is no (whole )?GGUF file"):
            read_gguf(path)


def at(content, place, code, number):
    packed = struct.pack(f"<{code}", number)
    return content[:place] + packed + content[place + len(packed) :]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: b"PK" + c[2:], "it does not begin with GGUF"),
        (lambda c: b"", "it does not begin with GGUF"),
        (lambda c: at(c, 4, "I", 1), "its version must be 2 or 3, got 1"),
        (lambda c: at(c, 4, "I", 0x03000000), "its version must be 2 or 3, got 50331648"),
        (lambda c: at(c, 8, "Q", 2**60), "it should hold 1152921504606846976 tensors"),
        (lambda c: at(c, 16, "Q", 2**60), "and 1152921504606846976 metadata, for which there is no room"),
        (lambda c: at(c, 8, "Q", 2), "goes on at byte|no room|axes|format"),
        (lambda c: at(c, c.index(b"w\x02\0\0\0") + 13, "Q", 0), r"w holds nothing: its shape is \(0, 32\)"),
        (lambda c: at(c, 24, "Q", 2**62), "its header goes on at byte 32 for 4611686018427387904 bytes"),
        (lambda c: at(c, c.index(b"strings") + 15, "Q", 2**59), "strings should hold 576460752303423488 strings"),
        (lambda c: at(c, c.index(b"strings") + 11, "I", 77), "strings is a list of the unknown type 77"),
        (lambda c: at(c, c.index(b"strings") + 7, "I", 55), "strings has the unknown type 55"),
        (lambda c: at(c, c.index(b"w\x02\0\0\0") + 1, "I", 9), "w has 9 axes, more than 4"),
        (lambda c: at(c, c.index(b"w\x02\0\0\0") + 5, "Q", 2**61), "it is cut short: w ends at byte"),
        (lambda c: at(c, c.index(b"w\x02\0\0\0") + 21, "I", 99), "w has the unknown format number 99"),
        (lambda c: at(c, c.index(b"w\x02\0\0\0") + 21, "I", 12), "w has rows of 32, and Q4_K stores 256 at a time"),
        (lambda c: at(c, c.index(b"w\x02\0\0\0") + 25, "Q", 2**40), "it is cut short: w ends at byte"),
    ],
)  # fmt: skip
def test_a_file_that_lies_is_named(small, spoil, message):
    path, content = small
    path.write_bytes(spoil(content))
    with pytest.raises(ValueError, match=message) as caught:
        read_gguf(path)
    assert "small.gguf" in str(caught.value)


def test_a_file_that_is_not_there_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.gguf"):
        read_gguf(tmp_path / "no.gguf")


@given(st.data())
def test_no_change_of_bytes_is_more_than_an_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mutated.gguf"
    writer = gguf.GGUFWriter(path, "toy")
    writer.add_array("strings", ["ab", "c"])
    writer.add_tensor("w", np.arange(64, dtype=np.float32).reshape(2, 32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.sampled_from([0, 1, 8, 9, 127, 128, 255]))
    path.write_bytes(bytes(content))
    try:
        sizes = [tensor.data.size for tensor in read_gguf(path).tensors.values()]
    except ValueError as error:
        problem, sizes = str(error), []
    else:
        problem = "none in mutated.gguf"
    assert "mutated.gguf" in problem
    assert sum(sizes) <= len(content)
