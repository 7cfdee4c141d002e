"""Generative learning by Schrödinger bridges: the engine under the studio."""

from sbcore.bridge import Bridge
from sbcore.checkpoints import CheckpointError
from sbcore.sampler import Evaluations, PaperMode, Step
from sbcore.solvers import SOLVERS

__all__ = ["SOLVERS", "Bridge", "CheckpointError", "Evaluations", "PaperMode", "Step"]
__version__ = "0.1.0"
