"""Network calls as CUDA graphs: one launch instead of some hundred."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KEPT = 8  # graphs; each holds the memory of its activations
logger = logging.getLogger(__name__)


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    output: Tensor


class Graphed:
    """A network whose calls are captured on CUDA, once for each shape, and replayed.

    On other devices, or where capturing fails, the network is called as it is. Safe to share
    between threads that use one stream.

    Args:
        network: Called as ``network(v, s, *conditions, **options)`` with tensors on one device,
            ``s`` also a number; must not wait for the device. Its weights may change in place.
    """

    def __init__(self, network: Callable[..., Tensor]) -> None:
        self.network = network
        self._graphs: dict[Any, _Graph] = {}  # the oldest first
        self._lock, self._fails = threading.Lock(), False

    def __call__(self, v: Tensor, s: Tensor | float, *conditions: Tensor, **options: Any) -> Tensor:
        """``network(v, s, *conditions, **options)``, a tensor of its own."""
        graded = torch.is_grad_enabled() and v.requires_grad
        if v.device.type == "cuda" and not graded:
            # Filled on the device: a number sent there would be waited for.
            inputs = (v, s if isinstance(s, Tensor) else v.new_full((len(v),), s), *conditions)
            with self._lock:
                captured = self._captured(inputs, options)
                if captured is not None:
                    for own, given in zip(captured.inputs, inputs, strict=True):
                        own.copy_(given)
                    captured.graph.replay()
                    return captured.output.clone()
        return self.network(v, s, *conditions, **options)

    def __reduce__(self) -> Any:
        """A copy captures anew."""
        return Graphed, (self.network,)

    def _captured(self, inputs: tuple[Tensor, ...], options: dict[str, Any]) -> _Graph | None:
        """The graph for such inputs; None where they cannot be captured."""
        shapes = tuple((one.shape, one.dtype, one.device) for one in inputs)
        key = shapes, tuple(sorted(options.items()))
        if self._fails or key in self._graphs:
            return self._graphs.get(key)
        if len(self._graphs) == KEPT:
            del self._graphs[next(iter(self._graphs))]
        try:
            self._graphs[key] = _capture(self.network, inputs, options)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._fails = True
            self._graphs.clear()
            logger.warning("The network cannot be captured as a CUDA graph: %s", error)
        return self._graphs.get(key)


@torch.no_grad()
def _capture(
    network: Callable[..., Tensor], inputs: tuple[Tensor, ...], options: dict[str, Any]
) -> _Graph:
    own = tuple(given.clone() for given in inputs)
    side = torch.cuda.Stream(own[0].device)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # libraries set themselves up, which is not to be captured
        for _ in range(3):
            network(*own, **options)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Another thread may allocate meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        output = network(*own, **options)
    return _Graph(graph, own, output)
