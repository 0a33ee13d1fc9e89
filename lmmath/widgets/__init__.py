"""The book's widgets: each is an ``anywidget.AnyWidget``, alive with and without a kernel.

The JavaScript beside each widget computes what it shows. In a live notebook its traits and
Python's stay in step; a published page has no Python until the reader runs a cell, and the
widgets work all the same.

Each is loaded when it is first asked for: a question to the reader needs no figures and no model.
"""

from importlib import import_module

_MODULE_OF = {
    "AttentionWidget": "attention",
    "Choice": "question",
    "GeometryWidget": "geometry",
    "LearningWidget": "learning",
    "NeuronsWidget": "neurons",
    "Number": "question",
    "PositionsWidget": "positions",
    "RealModelWidget": "real_model",
    "RecurrenceWidget": "recurrence",
    "SamplingWidget": "sampling",
    "ScalingWidget": "scaling",
    "TokenizationWidget": "tokenization",
    "TrainingWidget": "training",
    "TransformerWidget": "transformer",
}

__all__ = list(_MODULE_OF)


def __getattr__(name):
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
