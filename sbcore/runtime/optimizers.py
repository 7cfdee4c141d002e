"""Muon: momentum whose update of a hidden weight matrix is made orthogonal (Jordan et al. 2024).

``torch.optim.Muon`` takes matrices only; most weights here are convolutions, so they are
reshaped to (out, rest). What is no hidden weight follows Adam, in the same optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ENDS = ("stem", "head", "position", "embedding")  # of a network: its first and last layers
MOMENTS = {  # of each optimiser: the entries of its state
    "muon": ("momentum", "first", "second", "step"),
    "adam": ("exp_avg", "exp_avg_sq", "step"),
}
OPTIMIZERS = tuple(MOMENTS)


def make_optimizer(
    name: str, network: nn.Module, lr: float, beta1: float = 0.9, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """An optimiser of `OPTIMIZERS` for a network; the second moment decays by 0.99."""
    if name == "muon":
        return Muon(network, lr, (beta1, 0.99))
    return torch.optim.Adam(
        network.parameters(), lr, betas=(beta1, 0.99), weight_decay=weight_decay, fused=True
    )


class Muon(torch.optim.Optimizer):
    """Muon on hidden weights, Adam on the rest.

    Args:
        network: Every parameter of it that requires a gradient is trained.
        lr: Learning rate of both: Muon's update is scaled to the size of Adam's.
        betas: Decay of Adam's moments.
        momentum: Of Muon, with Nesterov's look-ahead.
        eps: Added to Adam's denominator.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float = 5e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
        eps: float = 1e-8,
    ) -> None:
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        hidden = [p for name, p in named if is_hidden(name, p)]
        rest = [p for name, p in named if not is_hidden(name, p)]
        groups = [{"params": hidden, "muon": True}, {"params": rest, "muon": False}]
        defaults = {"lr": lr, "betas": betas, "momentum": momentum, "eps": eps}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: Callable[[], float] | None = None
    ) -> None:
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            update = self._muon if group["muon"] else self._adam
            for weight in group["params"]:
                if weight.grad is not None:
                    update(weight, weight.grad, self.state[weight], group)

    def _muon(
        self, weight: Tensor, grad: Tensor, state: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(grad, 1 - group["momentum"])
        ahead = torch.lerp(grad, momentum, group["momentum"])
        matrix = ahead.flatten(1)
        scale = 0.2 * max(matrix.shape) ** 0.5  # root mean square of an update of Adam
        weight.sub_(orthogonal(matrix).view_as(weight), alpha=group["lr"] * scale)

    def _adam(
        self, weight: Tensor, grad: Tensor, state: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        if not state:
            state["step"] = torch.zeros(())
            state["first"], state["second"] = torch.zeros_like(weight), torch.zeros_like(weight)
        beta1, beta2 = group["betas"]
        step = int(state["step"].add_(1))
        first = state["first"].lerp_(grad, 1 - beta1)
        second = state["second"].lerp_(grad.square(), 1 - beta2)
        size = (second / (1 - beta2**step)).sqrt_().add_(group["eps"])
        weight.addcdiv_(first, size, value=-group["lr"] / (1 - beta1**step))


def is_hidden(name: str, weight: Tensor) -> bool:
    """Whether a weight is a matrix or convolution between the first and the last layers."""
    return weight.dim() >= 2 and not any(part in ENDS for part in name.split("."))


def orthogonal(matrix: Tensor, iterations: int = 5) -> Tensor:
    """The nearest matrix with singular values of about 1, by Newton and Schulz; (m, n).

    The iteration runs on the Gram matrix, which is smaller: with ``G = X X^T`` each step is
    ``X <- P X``, ``G <- P G P`` for ``P = a + b G + c G^2``, all of which commute.
    """
    a, b, c = NEWTON_SCHULZ
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=1e-12)
    gram = wide @ wide.T
    product = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for _ in range(iterations):
        step = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        step.diagonal().add_(a)
        product, gram = step @ product, step @ gram @ step
    wide = product @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
