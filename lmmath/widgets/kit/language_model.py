"""What widgets that show a trained GPT share: its weights and its tokenizer, as traits."""

import json
import tempfile
from functools import cache, lru_cache
from pathlib import Path

import traitlets

from lmmath.checkpoints import load_model
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import GPTConfig
from lmmath.weights import DIRECTORY, Model
from lmmath.widgets.kit.base import Widget


class Weights(traitlets.TraitType):
    """A trait that holds the file of a GPT, as bytes, and reaches JavaScript as a DataView."""

    def __init__(self):
        super().__init__()
        self.tag(sync=True, from_json=lambda data, widget: bytes(data))

    def validate(self, widget, value):
        """Accept the bytes of a whole file that ``save_model`` wrote of a GPT."""
        if not isinstance(value, bytes | bytearray | memoryview):
            raise traitlets.TraitError(
                f"{self.name} must be the bytes of a model's file, got {type(value).__name__}"
            )
        value = bytes(value)
        try:
            _read_model(value)
        except ValueError as error:
            problem = str(error).rpartition(" holds no model: ")[2]
            raise traitlets.TraitError(
                f"{self.name} must be the bytes of a GPT's file: {problem}"
            ) from None
        return value


class Tokenizer(traitlets.Instance):
    """A trait that holds a tokenizer, and reaches JavaScript as what is in its file."""

    klass = BPETokenizer

    def __init__(self):
        super().__init__()
        self.tag(sync=True, to_json=self._to_json, from_json=self._from_json)

    @staticmethod
    def _to_json(tokenizer, widget):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "tokenizer.json")
            tokenizer.save(file)
            return json.loads(file.read_text("utf-8"))

    @staticmethod
    def _from_json(content, widget):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "tokenizer.json")
            file.write_text(json.dumps(content), "utf-8")
            return BPETokenizer.load(file)


class ModelWidget(Widget):
    """A widget that shows a trained GPT at work; by default the one that has learned Fable.

    Its JavaScript gets the model from ``loadModel`` of ``language_model.js``.

    Parameters
    ----------
    weights : bytes
        The contents of a file that ``save_model`` wrote. On the book's website all widgets
        with the same weights share one file.
    tokenizer : BPETokenizer

    Examples
    --------
    >>> widget = ModelWidget()
    >>> widget.model.config.n_layers, widget.tokenizer.encode("The mouse")
    (3, [278, 303])
    """

    weights = Weights()
    tokenizer = Tokenizer()

    @traitlets.default("weights")
    def _default_weights(self):
        return _shipped_weights()

    @traitlets.default("tokenizer")
    def _default_tokenizer(self):
        return BPETokenizer.load(DIRECTORY / "tokenizer.json")

    def __init__(self, **traits):
        super().__init__(**traits)
        self._require_tokenizer_that_fits()

    def _require_tokenizer_that_fits(self):
        n_known = _read_model(self.weights)[1].vocab_size
        if self.tokenizer.vocab_size != n_known:
            raise ValueError(
                f"tokenizer must have the {n_known} tokens of the model, "
                f"got {self.tokenizer.vocab_size}"
            )

    @property
    def model(self):
        """The model shown, for computing in Python: ``params``, ``config``, ``tokenizer``."""
        self._require_tokenizer_that_fits()
        params, config = _read_model(self.weights)
        return Model(dict(params), config, self.tokenizer)


@cache
def _shipped_weights():
    """Read the file once, so that all widgets hold the same bytes."""
    return (DIRECTORY / "model.safetensors").read_bytes()


@lru_cache(maxsize=4)
def _read_model(weights):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.safetensors")
        file.write_bytes(weights)
        params, config = load_model(file)
    if not isinstance(config, GPTConfig):
        raise ValueError(f"it holds a {type(config).__name__}")
    for array in params.values():
        array.setflags(write=False)  # it belongs to all widgets
    return params, config
