"""Generative learning by Schrödinger bridges: the engine under the studio."""

from sbcore.bridge import DEFAULTS, Bridge, DivergedError
from sbcore.checkpoints import CheckpointError
from sbcore.halfbridges import DIRECTIONS, NetworkConfig, opposite
from sbcore.ipf import Fitter, Fitting
from sbcore.masks import preset_holes
from sbcore.pairs import plane_end
from sbcore.sampler import Evaluations, PaperMode, Step, follow, frame_indices
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
from sbcore.translation import TranslationBridge

__all__ = [
    "DEFAULTS",
    "DIRECTIONS",
    "DISTRIBUTIONS",
    "EXTENT",
    "PLANE_SOLVER",
    "SOLVERS",
    "Bridge",
    "CheckpointError",
    "Distribution",
    "DivergedError",
    "Evaluations",
    "Fitter",
    "Fitting",
    "NetworkConfig",
    "PaperMode",
    "PlaneBridge",
    "PlaneProgress",
    "Step",
    "TranslationBridge",
    "drawn_distribution",
    "follow",
    "frame_indices",
    "opposite",
    "plane_end",
    "preset_holes",
]
__version__ = "0.1.0"
