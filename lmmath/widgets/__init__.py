"""The book's widgets: each is an ``anywidget.AnyWidget``, alive with and without a kernel.

The JavaScript beside each widget computes what it shows. In a live notebook its traits and
Python's stay in step; on a published page there is no Python, and it works all the same.
"""

from lmmath.widgets.attention import AttentionWidget
from lmmath.widgets.geometry import GeometryWidget
from lmmath.widgets.learning import LearningWidget
from lmmath.widgets.neurons import NeuronsWidget
from lmmath.widgets.positions import PositionsWidget
from lmmath.widgets.question import Choice, Number
from lmmath.widgets.real_model import RealModelWidget
from lmmath.widgets.recurrence import RecurrenceWidget
from lmmath.widgets.sampling import SamplingWidget
from lmmath.widgets.scaling import ScalingWidget
from lmmath.widgets.tokenization import TokenizationWidget
from lmmath.widgets.training import TrainingWidget
from lmmath.widgets.transformer import TransformerWidget

__all__ = [
    "AttentionWidget",
    "Choice",
    "GeometryWidget",
    "LearningWidget",
    "NeuronsWidget",
    "Number",
    "PositionsWidget",
    "RealModelWidget",
    "RecurrenceWidget",
    "SamplingWidget",
    "ScalingWidget",
    "TokenizationWidget",
    "TrainingWidget",
    "TransformerWidget",
]
