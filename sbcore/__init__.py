"""Generative learning by Schrödinger bridges: the engine under the studio."""

from sbcore.data.masks import preset_holes
from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.network import NetworkConfig
from sbcore.ipf.plan import BridgePlan
from sbcore.ipf.reference import DIRECTIONS, opposite
from sbcore.ipf.training import BridgeTrainer
from sbcore.load import load
from sbcore.plane.bridge import SOLVER as PLANE_SOLVER
from sbcore.plane.bridge import PlaneBridge, PlaneProgress
from sbcore.plane.distributions import DISTRIBUTIONS, EXTENT, Distribution, drawn_distribution
from sbcore.plane.pairs import plane_end
from sbcore.runtime.checkpoints import CheckpointError
from sbcore.runtime.gather import GATHERING
from sbcore.runtime.hub import HubError, upload
from sbcore.runtime.run import DivergedError, Evaluations, Run, Step, follow
from sbcore.twostage.bridge import DEFAULTS, Bridge
from sbcore.twostage.inversion import path_positions
from sbcore.twostage.judge import TYPICAL
from sbcore.twostage.paper import PaperMode
from sbcore.twostage.repaint import EVALUATIONS as REPAINT_EVALUATIONS
from sbcore.twostage.solvers import SOLVERS

__all__ = [
    "DEFAULTS",
    "DIRECTIONS",
    "DISTRIBUTIONS",
    "EXTENT",
    "GATHERING",
    "PLANE_SOLVER",
    "REPAINT_EVALUATIONS",
    "SOLVERS",
    "TYPICAL",
    "Bridge",
    "BridgePlan",
    "BridgeTrainer",
    "CheckpointError",
    "Distribution",
    "DivergedError",
    "Evaluations",
    "HubError",
    "NetworkConfig",
    "PaperMode",
    "PlaneBridge",
    "PlaneProgress",
    "Run",
    "Step",
    "TranslationBridge",
    "__version__",
    "drawn_distribution",
    "follow",
    "load",
    "opposite",
    "path_positions",
    "plane_end",
    "preset_holes",
    "upload",
]
__version__ = "0.2.0"
