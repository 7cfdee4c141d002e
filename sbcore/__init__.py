"""Generative learning by Schrödinger bridges: the engine under the studio."""

from sbcore.bridge import DEFAULTS, Bridge, DivergedError
from sbcore.checkpoints import CheckpointError
from sbcore.sampler import Evaluations, PaperMode, Step, frame_indices
from sbcore.solvers import SOLVERS

__all__ = [
    "DEFAULTS",
    "SOLVERS",
    "Bridge",
    "CheckpointError",
    "DivergedError",
    "Evaluations",
    "PaperMode",
    "Step",
    "frame_indices",
]
__version__ = "0.1.0"
