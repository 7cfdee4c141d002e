"""Small batches of a network by ONNX Runtime, where it is installed.

On CPUs PyTorch lays the weights of a convolution out anew in every call, and computes some small
ones in a slower way: of a single picture that is two fifths of the time.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 2  # pictures; of more, ONNX Runtime saves less than a fifth of the time
logger = logging.getLogger(__name__)


class SmallBatches:
    """A network whose batches of up to `LARGEST` pictures ONNX Runtime computes.

    The outputs are the network's but for their last bits. Larger batches, other devices and types,
    and what has gradients are the network's own affair; so is everything where onnx or
    onnxruntime is not installed.

    Args:
        network: Maps float32 tensors (b, ...) to one; its weights must not change any more.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network, self._example = network, tuple[Tensor, ...]()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The network's output, (b, ...)."""
        if all(map(_small, inputs)) and not torch.is_autocast_enabled("cpu"):
            self._example = self._example or inputs
            if self._session is not None:
                arrays = [x.numpy(force=True) for x in inputs]
                given = dict(zip(_names(inputs), arrays, strict=True))
                return torch.from_numpy(self._session.run(None, given)[0])
        return self.network(*inputs)

    def __reduce__(self) -> Any:
        """A copy has a session of its own."""
        return SmallBatches, (self.network,)

    @cached_property
    def _session(self) -> Any:
        """The network as ONNX Runtime holds it; None where that is impossible."""
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else its import tells its makers of the process
        try:
            import onnx  # noqa: F401  the export needs it
            import onnxruntime
        except ImportError:
            return None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Its threads would wait in a loop, on the cores that PyTorch's then need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(
                _exported(self.network, self._example), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # whatever it cannot do, PyTorch can
            logger.warning("ONNX Runtime does not take the network: %s", error)
            return None


def _small(x: Tensor) -> bool:
    cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return cpu and len(x) <= LARGEST and not (x.requires_grad and torch.is_grad_enabled())


def _exported(network: nn.Module, example: tuple[Tensor, ...]) -> bytes:
    """The network in ONNX, for batches of any size."""
    names, file = _names(example), io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter is the old one: seconds less, a package less
        torch.onnx.export(
            network, example, file, dynamo=False, input_names=names,  # pyright: ignore[reportArgumentType]
            dynamic_axes={name: {0: "b"} for name in names},
        )  # fmt: skip
    return file.getvalue()


def _names(inputs: tuple[Tensor, ...]) -> list[str]:
    return [f"input{i}" for i in range(len(inputs))]
