"""A GPU for as long as a run takes, where the package ``spaces`` is: on a ZeroGPU Space."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from demo.server.budget import BUDGET

MOST = 60  # seconds of one run on such a GPU; the Space ends what takes longer

try:  # a Space brings it; Gradio has imported it before torch, as it wants
    GPU = importlib.import_module("spaces").GPU
except ImportError:
    GPU = None


def seconds(*_: Any) -> float:
    """How long a run may take there."""
    return min(MOST, BUDGET.seconds)


def on_gpu(work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """A generator function that computes, as a ZeroGPU Space wants it; elsewhere it stays as it is.

    There it runs in a process of its own. What goes in and what it yields is pickled, of errors
    `gr.Error` alone comes through, and nothing can be thrown into it: leaving it ends it.
    """
    return GPU(duration=seconds)(work) if GPU else work
