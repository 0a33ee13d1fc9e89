"""Widgets of two models, on Fable's. The real model's side has tests of its own."""

from functools import partial

from lmmath import widgets

AttentionWidget = partial(widgets.AttentionWidget, subject="Fable")
SamplingWidget = partial(widgets.SamplingWidget, subject="Fable")
TransformerWidget = partial(widgets.TransformerWidget, subject="Fable")
