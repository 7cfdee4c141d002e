"""Generative learning by Schrödinger bridges: the engine under the studio."""

from sbcore.bridge import DEFAULTS, Bridge, DivergedError
from sbcore.checkpoints import CheckpointError
from sbcore.masks import preset_holes
from sbcore.sampler import Evaluations, PaperMode, Step, frame_indices
from sbcore.solvers import SOLVERS
from sbcore.toy import (
    DISTRIBUTIONS,
    EXTENT,
    Distribution,
    PlaneBridge,
    PlaneProgress,
    drawn_distribution,
)
from sbcore.toy import SOLVER as PLANE_SOLVER

__all__ = [
    "DEFAULTS",
    "DISTRIBUTIONS",
    "EXTENT",
    "PLANE_SOLVER",
    "SOLVERS",
    "Bridge",
    "CheckpointError",
    "Distribution",
    "DivergedError",
    "Evaluations",
    "PaperMode",
    "PlaneBridge",
    "PlaneProgress",
    "Step",
    "drawn_distribution",
    "frame_indices",
    "preset_holes",
]
__version__ = "0.1.0"
