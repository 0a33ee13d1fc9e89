"""Models and unfinished trainings in files: safetensors, written whole or not at all.

A file holds arrays under their names and, as text in its metadata, what they belong to. It
runs no code when it is read, as a pickle would. A checksum tells a damaged file.
"""

import json
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from operator import methodcaller

import numpy as np

from lmmath._arrays import to_numpy
from lmmath._checks import require_floating
from lmmath._files import replacing
from lmmath.language_models import RecurrentConfig, shapes
from lmmath.safetensors_file import read_safetensors, to_safetensors
from lmmath.transformer import GPTConfig, LlamaConfig
from lmmath.transformer._checks import require_params

_MODEL = "lmmath.model 1"
_CHECKPOINT = "lmmath.checkpoint 1"


def save_model(path, params, config, dtype=None, **notes):
    r"""Write a model's parameters and sizes to one file; a complete one replaces an older.

    Parameters
    ----------
    path : str or path
        By convention with the ending ``.safetensors``.
    params : dict of str to array
        As ``init_gpt`` makes them.
    config : GPTConfig, LlamaConfig or RecurrentConfig
    dtype : NumPy dtype, optional
        What to store the numbers in, such as ``np.float16`` for half the size. As they are if
        not given.
    **notes : str
        Kept in the file's metadata beside ``config``, for people to read.

    Raises
    ------
    TypeError
        If a parameter is not a floating-point array, or a note is not a string.
    ValueError
        If ``params`` do not fit ``config``, a number is too large for ``dtype``, or a note has
        a name that the file needs itself.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from lmmath.transformer import init_gpt
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=6, n_layers=2, n_heads=2)
    >>> params = init_gpt(config, np.random.default_rng(0))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save_model(f"{directory}/model.safetensors", params, config, language="Fable")
    ...     loaded, its_config = load_model(f"{directory}/model.safetensors")
    >>> its_config == config, bool(np.all(loaded["wte.weight"] == params["wte.weight"]))
    (True, True)
    """
    require_params(params, shapes(config))
    _require_notes(notes)
    arrays = {name: _stored(name, array, dtype) for name, array in params.items()}
    _write(path, arrays, {"format": _MODEL, "config": _to_json(config), **notes})


def load_model(path, dtype=np.float32):
    r"""Read a model's parameters and sizes from a file that ``save_model`` wrote.

    Parameters
    ----------
    path : str or path
    dtype : NumPy dtype
        What to compute in, whatever the numbers are stored in.

    Returns
    -------
    params : dict of str to numpy.ndarray
        For ``gpt``.
    config : GPTConfig, LlamaConfig or RecurrentConfig

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is not of this kind, or its parameters do not fit its sizes.
        The message names the file.
    """
    with _reading(path, "model"):
        arrays, metadata = _read(path, _MODEL)
        config = _config_of(metadata)
        require_params(arrays, shapes(config))
        require_floating(**arrays)
    # In the order of the shapes: a safetensors file has an order of its own.
    params = {name: _stored(name, arrays[name], dtype) for name in shapes(config)}
    return params, config


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that a stopped training needs to go on as if nothing had happened.

    Parameters
    ----------
    params : dict of str to numpy.ndarray
        Those of a language model.
    optimizer : dict
        The state of AdamW, as ``adamw_update`` returned it, with NumPy arrays.
    config : GPTConfig, LlamaConfig or RecurrentConfig
    run : dict
        What else belongs to this training and to no other: anything that JSON can write.
    log : numpy.ndarray of float64, shape (n_rows, n_columns)
        What was measured so far.
    """

    params: dict
    optimizer: dict
    config: GPTConfig | LlamaConfig | RecurrentConfig
    run: dict
    log: np.ndarray

    def __post_init__(self):
        step = self.optimizer["step"]
        if not isinstance(step, int) or step < 0:
            raise ValueError(f"step must be an integer of at least 0, got {step!r}")
        for part in (self.params, self.optimizer["m"], self.optimizer["v"]):
            require_params(part, shapes(self.config))


def save_checkpoint(path, checkpoint):
    r"""Write an unfinished training to one file, which replaces an older one when complete.

    Every number is stored as it is, so that what goes on from the file does not differ by a bit
    from what was never stopped.

    Parameters
    ----------
    path : str or path
    checkpoint : Checkpoint
    """
    optimizer = checkpoint.optimizer
    parts = {"params": checkpoint.params, "m": optimizer["m"], "v": optimizer["v"]}
    arrays = {
        f"{part}/{name}": _stored(name, array)
        for part, named in parts.items()
        for name, array in named.items()
    }
    metadata = {
        "format": _CHECKPOINT,
        "config": _to_json(checkpoint.config),
        "run": json.dumps(checkpoint.run),
        "step": json.dumps(optimizer["step"]),
    }
    _write(path, {**arrays, "log": _stored("log", checkpoint.log)}, metadata)


def load_checkpoint(path):
    r"""Read an unfinished training from a file that ``save_checkpoint`` wrote.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or is not of this kind. The message names the file.
    """
    with _reading(path, "checkpoint"):
        arrays, metadata = _read(path, _CHECKPOINT)
        config = _config_of(metadata)
        params, m, v = (
            {name: arrays[f"{part}/{name}"] for name in shapes(config)}
            for part in ("params", "m", "v")
        )
        optimizer = {"step": json.loads(metadata["step"]), "m": m, "v": v}
        run = json.loads(metadata["run"])
        return Checkpoint(params, optimizer, config, run, arrays["log"])


def _write(path, arrays, metadata):
    metadata = {**metadata, "checksum": _checksum(arrays, metadata)}
    with replacing(path) as draft:
        draft.write_bytes(to_safetensors(arrays, metadata))


def _read(path, expected):
    arrays, metadata = read_safetensors(path)
    if metadata.get("format") != expected:
        came = metadata.get("format")
        raise ValueError(f"expected the format {expected!r}, got {came!r}")
    checksum = metadata.pop("checksum", None)
    if checksum != _checksum(arrays, metadata):
        raise ValueError("its contents do not match its checksum")
    return arrays, metadata


def _checksum(arrays, metadata):
    total = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        total = zlib.crc32(arrays[name], zlib.crc32(name.encode(), total))
    return f"{total:08x}"


@contextmanager
def _reading(path, kind):
    """Say of which file an error speaks."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} holds no {kind}: it lacks {error}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds no {kind}: {error}") from error


def _to_json(config):
    # A size may be one of NumPy's integers.
    return json.dumps(asdict(config), default=methodcaller("item"))


def _config_of(metadata):
    fields = json.loads(metadata["config"])
    if not isinstance(fields, dict):
        raise ValueError(f"config must be an object, got {fields!r}")
    # The fields tell which kind it is: files of the first edition name none.
    for mark, kind in (("cell", RecurrentConfig), ("n_kv_heads", LlamaConfig)):
        if mark in fields:
            return kind(**fields)
    return GPTConfig(**fields)


def _stored(name, array, dtype=None):
    """Copy an array to memory as it will lie in the file: in order, the low byte first."""
    array = to_numpy(array)
    require_floating(**{name: array})
    dtype = np.dtype(array.dtype if dtype is None else dtype).newbyteorder("<")
    with np.errstate(over="ignore"):
        stored = np.array(array, dtype, order="C")
    require_floating(**{name: stored})
    if not np.array_equal(np.isfinite(stored), np.isfinite(array)):
        raise ValueError(f"{name} must fit into {stored.dtype}, got a larger number")
    return stored


def _require_notes(notes):
    for name, note in notes.items():
        if name in ("format", "checksum"):
            raise ValueError(f"a note must not be called {name!r}, as the file has one")
        if not isinstance(note, str):
            raise TypeError(f"{name} must be a string, got {type(note).__name__}")
