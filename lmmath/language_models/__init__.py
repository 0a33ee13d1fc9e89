"""Language models of one kind or another: which it is, the configuration says."""

from lmmath.language_models.architectures import (
    ARCHITECTURES,
    Architecture,
    activations,
    architecture,
    forward,
    init,
    lens,
    residual,
    shapes,
    trace,
    without_heads,
)
from lmmath.language_models.recurrent import (
    RecurrentConfig,
    init_recurrent,
    recurrent,
    recurrent_lens,
    recurrent_shapes,
    recurrent_states,
    recurrent_trace,
)

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "RecurrentConfig",
    "activations",
    "architecture",
    "forward",
    "init",
    "init_recurrent",
    "lens",
    "recurrent",
    "recurrent_lens",
    "recurrent_shapes",
    "recurrent_states",
    "recurrent_trace",
    "residual",
    "shapes",
    "trace",
    "without_heads",
]
