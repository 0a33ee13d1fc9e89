"""What Hugging Face's programs save: a folder with settings and tensors, a model, a state dict.

Here they become a dict of NumPy arrays under the names that the source gives them, and a dict of
settings. What they mean, ``published`` knows.
"""

import json
from pathlib import Path

from lmmath._arrays import to_numpy
from lmmath.safetensors_file import read_safetensors


def read_folder(path):
    """Read ``config.json`` and ``*.safetensors``, in one file or in several."""
    path = Path(path)
    settings = _read_json(path / "config.json")
    arrays = {}
    for file in _files(path):
        try:
            arrays |= read_safetensors(file)[0]
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    return arrays, settings


def read_model(model):
    """Take settings and parameters from a model of ``transformers``."""
    return read_state(model.state_dict()), model.config.to_dict()


def read_state(state):
    """Bring arrays of any library to NumPy, those that NumPy has no dtype for widened."""
    return {name: to_numpy(array) for name, array in state.items()}


def _files(path):
    """List the files with tensors, which an index names if there are several."""
    index = path / "model.safetensors.index.json"
    if not index.exists():
        return [path / "model.safetensors"]
    names = sorted(set(_read_json(index)["weight_map"].values()))
    for name in names:
        if Path(name).name != name:
            raise ValueError(f"{index} names a file outside its folder: {name!r}")
    return [path / name for name in names]


def _read_json(file):
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold an object")
    return content
