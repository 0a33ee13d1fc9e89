"""Training: measure how surprised a model is, and move its parameters downhill."""

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
