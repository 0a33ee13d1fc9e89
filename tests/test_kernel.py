"""The WebAssembly kernel: assembled from its text, and right within the bound of its rounding."""

import gguf
import kernel  # tools/kernel.py
import numpy as np
import pytest
import wasmtime
from gguf import GGMLQuantizationType as Kind
from hypothesis import given, settings
from hypothesis import strategies as st

SOURCE = kernel.ENGINES / "kernel.wat"
SPACE = 256  # bytes before each array and after the last, which nothing may change
MARK = 0xA5
BYTES = {Kind.Q4_1: 20, Kind.Q8_0: 34}  # of a block
EPS = np.finfo(np.float32).eps


def test_the_module_is_what_the_text_assembles_to():
    module = SOURCE.with_suffix(".js").read_text("utf-8")
    assert module == kernel.assembled(SOURCE)


class Kernel:
    """The kernel with a memory of its own."""

    def __init__(self):
        self.store = wasmtime.Store()
        limits = wasmtime.Limits(32, 32)
        self.memory = wasmtime.Memory(self.store, wasmtime.MemoryType(limits))
        code = wasmtime.wat2wasm(SOURCE.read_text("utf-8"))
        module = wasmtime.Module(self.store.engine, code)
        exports = wasmtime.Instance(self.store, module, [self.memory]).exports(
            self.store
        )
        self.functions = {
            name: exports[name] for name in ("round", "multiply_q4_1", "multiply_q8_0")
        }

    def run(self, name, *arguments):
        """Call a function with arrays and numbers; what it does to each array comes back."""
        end, places = SPACE, []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                places.append(end)
                end += -(-argument.nbytes // 16) * 16 + SPACE
        self.memory.write(self.store, bytes([MARK]) * end)
        rest = iter(places)
        numbers = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                numbers.append(next(rest))
                self.memory.write(self.store, argument.tobytes(), numbers[-1])
            else:
                numbers.append(argument)
        self.functions[name](self.store, *numbers)
        content = np.frombuffer(self.memory.read(self.store, 0, end), np.uint8)
        untouched = np.ones(end, bool)
        found = []
        arrays = [one for one in arguments if isinstance(one, np.ndarray)]
        for array, place in zip(arrays, places, strict=True):
            untouched[place : place + array.nbytes] = False
            part = content[place : place + array.nbytes]
            found.append(part.view(array.dtype).reshape(array.shape))
        assert (content[untouched] == MARK).all()
        return found

    def round(self, x):
        """Round vectors, shape (n, d): the integers, the scales, and the scaled sums."""
        n_groups = x.size // 32
        k, s, sums = (
            np.zeros(size, dtype)
            for size, dtype in ((x.size, "i2"), (n_groups, "f4"), (n_groups, "f4"))
        )
        same, *found = self.run("round", x, n_groups, k, s, sums)
        assert same.tobytes() == x.tobytes()
        return found

    def product(self, kind, w, n_rows, x):
        """Multiply the bytes of a matrix with vectors, shape (n, d)."""
        k, s, sums = self.round(x)
        n, d = x.shape
        out = np.zeros((n, n_rows), "f4")
        half = np.arange(2**16, dtype="u2").view("f2").astype("f4")
        if kind == Kind.Q4_1:
            arguments = (w, n_rows, d // 32, n, k, s, sums, half, out)
        else:
            arguments = (w, n_rows, d // 32, n, k, s, half, out)
        *same, found = self.run(f"multiply_{kind.name.lower()}", *arguments)
        arrays = [one for one in arguments if isinstance(one, np.ndarray)]
        for before, after in zip(arrays, same, strict=False):
            assert before.tobytes() == after.tobytes()
        return found


@pytest.fixture(scope="module")
def wasm():
    return Kernel()


def vectors(rng, n, d, kind):
    x = rng.normal(size=(n, d))
    if kind == "zeros":
        x[:] = 0
        x[0, 0] = 1
    elif kind == "outliers":
        x[rng.random(x.shape) < 0.05] *= 1e5
    elif kind == "tiny":
        x *= 1e-25
    elif kind == "subnormal":
        x *= 1e-42
    elif kind == "huge":
        x *= 1e30
    elif kind == "mixed":
        x *= np.exp(rng.uniform(-60, 60, (n, d)))
    return x.astype("f4")


KINDS = ["plain", "zeros", "outliers", "tiny", "subnormal", "huge", "mixed"]
LEAST = 1e-34  # a group whose numbers are all smaller is taken for zeros


@pytest.mark.parametrize("kind", KINDS)
def test_rounding(wasm, kind):
    x = vectors(np.random.default_rng(KINDS.index(kind)), 4, 96, kind)
    k, s, sums = wasm.round(x)
    groups = x.reshape(-1, 32).astype("f8")
    largest = np.abs(groups).max(axis=1)
    np.testing.assert_allclose(s, largest / 32767, rtol=EPS, atol=1e-45)
    k = k.reshape(-1, 32).astype("f8")
    np.testing.assert_allclose(
        sums, s * k.sum(axis=1), rtol=2 * EPS, atol=1e-45 * np.abs(k).sum(axis=1).max()
    )
    error = np.abs(groups - s[:, None].astype("f8") * k)
    good = largest > LEAST
    # Half a step, and what the arithmetic of 24 bits adds to it.
    assert (error[good] <= (0.5 + 32767 * 2 * EPS) * s[good, None]).all()
    assert (np.abs(k) <= 32767).all()
    assert (k[~good] == 0).all()
    if kind == "plain":
        assert (np.abs(k).max(axis=1) == 32767).all()  # no bit is left unused
        assert error.max() > 0.4 * s.max()  # and there is something to bound


def test_halves_are_rounded_to_even(wasm):
    x = np.zeros((1, 32), "f4")
    x[0, :6] = [32767, 0.5, 1.5, 2.5, -0.5, -1.5]
    k, s, _ = wasm.round(x)
    assert k[:7].tolist() == [32767, 0, 2, 2, 0, -2, 0]
    assert s.tolist() == [1]


def matrix(rng, kind, n_rows, d, spread):
    """Give the bytes of a random matrix, and its numbers."""
    w = rng.normal(size=(n_rows, d)) * np.exp(rng.uniform(-spread, spread, (n_rows, 1)))
    if spread:
        w[rng.random(w.shape) < 0.02] *= 50
        w[:, : d // 2 : 7] = 0
    stored = gguf.quants.quantize(w.astype("f4"), kind)
    return stored, gguf.quants.dequantize(stored, kind).astype("f8")


def same(found, expected, bound):
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    error = np.abs(found - expected)
    assert (error <= bound).all(), (error - bound).max()


def check(wasm, kind, n, n_rows, n_blocks, x_kind, spread, seed):
    rng = np.random.default_rng(seed)
    d = 32 * n_blocks
    stored, w = matrix(rng, kind, n_rows, d, spread)
    assert stored.nbytes == n_rows * n_blocks * BYTES[kind]
    x = vectors(rng, n, d, x_kind)
    found = wasm.product(kind, stored, n_rows, x)
    x = x.astype("f8")
    largest = np.abs(x).reshape(n, n_blocks, 32).max(axis=2)
    of_group = np.abs(w).reshape(n_rows, n_blocks, 32).sum(axis=2)
    # Half a step of each group, and the arithmetic of 24 bits: of the integers' products, which a
    # least value of Q4_1 may nearly cancel, and of their sum over the blocks.
    step = largest / 32767 + LEAST
    reach = np.abs(w).reshape(n_rows, n_blocks, 32).max(axis=2) * 32 * 4
    bound = 0.51 * step @ of_group.T + (n_blocks + 8) * EPS * largest @ reach.T
    same(found, x @ w.T, bound + 1e-40)
    # What was rounded is multiplied exactly: a bound that does not hide an error in one integer.
    k, s, _ = wasm.round(x.astype("f4"))
    x = s.astype("f8").repeat(32).reshape(n, d) * k.reshape(n, d)
    same(found, x @ w.T, (n_blocks + 8) * EPS * largest @ reach.T + 1e-40)


@pytest.mark.parametrize("x_kind", KINDS)
@pytest.mark.parametrize("kind", BYTES)
def test_products(wasm, kind, x_kind):
    for n in range(1, 6):
        for n_rows, n_blocks in ((1, 1), (3, 2), (7, 5), (64, 18)):
            check(wasm, kind, n, n_rows, n_blocks, x_kind, 1.0, n * n_rows)


@given(
    kind=st.sampled_from(list(BYTES)),
    n=st.integers(1, 5),
    n_rows=st.integers(1, 9),
    n_blocks=st.integers(1, 9),
    x_kind=st.sampled_from(KINDS),
    spread=st.sampled_from([0.0, 3.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_any_product(wasm, kind, n, n_rows, n_blocks, x_kind, spread, seed):
    check(wasm, kind, n, n_rows, n_blocks, x_kind, spread, seed)


@pytest.mark.parametrize("kind", BYTES)
def test_each_integer_of_a_block_meets_its_number(wasm, kind):
    # With one number that is not zero, a row gives exactly one of its weights.
    rng = np.random.default_rng(5)
    stored, w = matrix(rng, kind, 4, 64, 0.0)
    for i in range(64):
        x = np.zeros((1, 64), "f4")
        x[0, i] = 1
        found = wasm.product(kind, stored, 4, x)
        np.testing.assert_allclose(found[0], w[:, i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", BYTES)
def test_the_largest_integers_do_not_overflow(wasm, kind):
    scale = np.asarray([1, 0], "f2") if kind == Kind.Q4_1 else np.asarray([1], "f2")
    for byte in (0x00, 0x7F, 0x80, 0xFF):
        numbers = np.full(BYTES[kind] - scale.nbytes, byte, "u1")
        block = np.concatenate([scale.view("u1"), numbers])
        stored = np.tile(block, (2, 3))
        w = gguf.quants.dequantize(stored, kind).astype("f8")
        for sign in (1, -1):
            x = np.full((2, 96), sign, "f4")
            found = wasm.product(kind, stored, 2, x)
            np.testing.assert_allclose(found, x @ w.T, rtol=1e-6)
