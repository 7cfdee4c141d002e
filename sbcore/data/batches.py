"""Random batches that are the same however many processes share them."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor


class Batches:
    """This process's rows of batches, and the pictures that those rows are drawn from.

    What is random is drawn for all rows, from a generator that all processes have alike; `own`
    takes the rows of this one. Row j of B has its pictures to itself, j, j + B, j + 2 B, ... (one,
    j mod n, if there are fewer than B), so that a process holds those of its own rows only.

    Args:
        pictures: All of them, uint8 (n, c, h, w), the same in every process.
        rows: Rows of a batch in each process.
        accelerator: Device and processes.
    """

    def __init__(self, pictures: Tensor, rows: int, accelerator: Accelerator) -> None:
        n, device = len(pictures), accelerator.device
        self._accelerator = accelerator
        self.size, self.first = rows * accelerator.num_processes, rows * accelerator.process_index
        self.shape = (self.size, *pictures.shape[1:])
        row = torch.arange(self.first, self.first + rows)
        held = (row + self.size * torch.arange(-(-n // self.size))[:, None]).flatten()
        held = held[held < n] if n >= self.size else row % n
        one = torch.equal(held, torch.arange(n))  # no copy: all of them may fill half the memory
        self.held = (pictures if one else pictures[held]).to(device)
        self._row = (row - self.first).to(device)
        self._choices = ((n - 1 - row) // self.size + 1).clamp(min=1).to(device)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Random pictures, one for each own row, (rows, c, h, w), float32 in [0, 1]."""
        draws = torch.rand(self.size, generator=generator, device=generator.device)
        choice = (self.own(draws) * self._choices).long()
        return self.held[choice * len(self._row) + self._row] / 255.0

    def own(self, values: Tensor) -> Tensor:
        """The rows of this process, of values for all rows."""
        return values[self.first : self.first + len(self._row)]

    def whole(self, values: Tensor) -> Tensor:
        """The rows of all processes, of values for the own rows.

        Where all processes compute one loss of them, the mean of their gradients is its gradient.
        """
        fixed, rows = values.detach(), len(values)
        every: Any = self._accelerator.gather(fixed)
        own = fixed + self.size // rows * (values - fixed)  # the others' shares of it are 0
        return torch.cat([every[: self.first], own, every[self.first + rows :]])
