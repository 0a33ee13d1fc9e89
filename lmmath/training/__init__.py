"""Training: measure how surprised a model is, and move its parameters downhill.

``train``, ``evaluate`` and ``TrainingConfig``, of ``lmmath.training.loop``, are here as well.
They need PyTorch, which is loaded when one of them is first asked for.
"""

from importlib import import_module

from lmmath.training.losses import (
    cross_entropy,
    cross_entropy_gradient,
    token_losses,
)
from lmmath.training.optimizers import (
    adamw_init,
    adamw_update,
    clip_by_global_norm,
    cosine_schedule,
    global_norm,
    sgd_update,
)

__all__ = [
    "adamw_init",
    "adamw_update",
    "clip_by_global_norm",
    "cosine_schedule",
    "cross_entropy",
    "cross_entropy_gradient",
    "global_norm",
    "sgd_update",
    "token_losses",
]

_IN_LOOP = ("TrainingConfig", "evaluate", "train")


def __getattr__(name):
    if name in _IN_LOOP:
        return getattr(import_module("lmmath.training.loop"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
