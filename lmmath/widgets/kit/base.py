"""What the widgets share: traits for numbers and arrays, modules and styles, a picture."""

from math import isfinite
from numbers import Real

import anywidget
import numpy as np
import traitlets

from lmmath.widgets.kit.bundle import FOLDER, module, with_imports

__all__ = ["FOLDER", "Array", "Finite", "Widget", "module", "style", "with_imports"]


def style(name):
    """Read the style sheet that all widgets share, and a widget's own after it.

    A page may hold other widgets, whose style sheets come later. So let each rule of a widget
    begin with a class that only the widget has: ``.lm-neurons .lm-plot { ... }``.

    Parameters
    ----------
    name : str
        File name of the widget's own.

    Returns
    -------
    str
    """
    return "\n".join(
        (FOLDER / file).read_text("utf-8") for file in ("kit/shared.css", name)
    )


class Finite(traitlets.TraitType):
    """A trait that holds a finite number: neither NaN nor infinite, nor outside its bounds.

    Parameters
    ----------
    default : float
    min, max : float, optional
        The least and the largest that it takes.

    Examples
    --------
    >>> class Thermometer(Widget):
    ...     temperature = Finite(1.0, min=0.0)
    >>> Thermometer(temperature=2).temperature
    2.0
    >>> Thermometer(temperature=-1)
    Traceback (most recent call last):
    traitlets.traitlets.TraitError: temperature must be at least 0.0, got -1
    """

    def __init__(self, default=0.0, min=None, max=None):
        super().__init__(float(default))
        self.min, self.max = min, max
        self.tag(sync=True)

    def validate(self, widget, value):
        """Accept a finite number within the bounds."""
        if not isinstance(value, Real) or isinstance(value, bool):
            raise traitlets.TraitError(
                f"{self.name} must be a number, got {type(value).__name__}"
            )
        for wrong, expected in (
            (not isfinite(value), "finite"),
            (self.min is not None and value < self.min, f"at least {self.min}"),
            (self.max is not None and value > self.max, f"at most {self.max}"),
        ):
            if wrong:
                raise traitlets.TraitError(
                    f"{self.name} must be {expected}, got {value}"
                )
        return float(value)


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

    A subclass gives ``_esm`` (use ``module``), ``_css`` if it has styles of its own (use
    ``style``), and ``picture``, a ``figures.show`` of its state: what stands in its place in
    print, and where no JavaScript runs.
    """

    _css = FOLDER / "kit" / "shared.css"

    def picture(self):
        """Draw the widget's present state as a figure."""
        raise NotImplementedError

    def __repr__(self):
        return f"{type(self).__name__}. {self.picture()!r}"

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {"text/html": self.picture()._repr_html_()}, metadata
