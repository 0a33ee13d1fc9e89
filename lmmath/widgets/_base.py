"""What the widgets share: array traits, modules that import each other, a static picture."""

import base64
import re
from pathlib import Path

import anywidget
import numpy as np
import traitlets

_FOLDER = Path(__file__).parent


def module(name):
    """Read a JavaScript module, with the modules it imports inside it.

    A notebook takes a widget's JavaScript as one text, in which ``"./shared.js"`` would lead
    nowhere. So each relative import becomes a ``data:`` address that holds the imported module.
    The book's website turns those back into files.

    Parameters
    ----------
    name : str
        File name in this folder.

    Returns
    -------
    str
    """
    source = (_FOLDER / name).read_text("utf-8")
    return re.sub(
        r'(?<=from ")\./([\w-]+\.js)(?=";)', lambda found: _address(found[1]), source
    )


def _address(name):
    return (
        "data:text/javascript;base64,"
        + base64.b64encode(module(name).encode()).decode()
    )


class Array(traitlets.Instance):
    """A trait that holds a NumPy array of numbers, and reaches JavaScript as binary data.

    There it is ``{shape, data}``, with ``data`` a DataView of little-endian float64.
    """

    klass = np.ndarray

    def __init__(self, n_axes):
        super().__init__()
        self.n_axes = n_axes
        self.tag(sync=True, to_json=self._to_json, from_json=self._from_json)

    def validate(self, widget, value):
        """Accept an array of finite numbers with the right number of axes."""
        try:
            array = np.array(value, dtype="<f8")
        except (TypeError, ValueError):
            raise traitlets.TraitError(
                f"{self.name} must be an array of numbers, got {type(value).__name__}"
            ) from None
        if array.ndim != self.n_axes:
            raise traitlets.TraitError(
                f"{self.name} must have {self.n_axes} axes, got shape {array.shape}"
            )
        if not np.all(np.isfinite(array)):
            raise traitlets.TraitError(
                f"{self.name} must be finite, got NaN or infinity"
            )
        array.setflags(write=False)  # a change in place would not reach the page
        return array

    @staticmethod
    def _to_json(array, widget):
        return {
            "shape": list(array.shape),
            "data": memoryview(np.ascontiguousarray(array)),
        }

    @staticmethod
    def _from_json(value, widget):
        return np.frombuffer(value["data"], dtype="<f8").reshape(value["shape"])


class Widget(anywidget.AnyWidget):
    """A widget of the book.

    A subclass gives ``_esm`` (use ``module``), and ``picture``, a ``figures.show`` of its state:
    what stands in its place in print, and where no JavaScript runs.
    """

    _css = _FOLDER / "shared.css"

    def picture(self):
        """Draw the widget's present state as a figure."""
        raise NotImplementedError

    def __repr__(self):
        return f"{type(self).__name__}. {self.picture()!r}"

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {"text/html": self.picture()._repr_html_()}, metadata
