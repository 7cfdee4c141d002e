"""What a study returns: Markdown tables, figures and pictures, and the same numbers as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total)."""
Cell = str | int | float | None


def silent(what: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


@dataclass
class Table:
    """A table; numbers are rounded for the page, not in the JSON."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    note: str = ""
    """A sentence below: units, floors, what is missing."""
    digits: int = 3
    """Significant digits of a number on the page."""

    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [f"## {self.title}", "", _row(self.columns), "|---" * len(self.columns) + "|"]
        lines += [_row([self._show(cell) for cell in row]) for row in self.rows]
        return "\n".join([*lines, *(["", self.note] if self.note else [])]) + "\n"

    def _show(self, cell: Cell) -> str:
        if cell is None:
            return "–"
        if not isinstance(cell, float):
            return str(cell)
        if not math.isfinite(cell):
            return "diverged"
        whole = len(str(int(abs(cell)))) if abs(cell) >= 1 else 0
        return f"{cell:.{max(0, self.digits - whole)}f}" if abs(cell) >= 1e-3 else f"{cell:.2g}"


def _plain(cell: Cell) -> Cell:
    """A value that JSON knows: it has no infinity."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@dataclass
class Report:
    """All that a study found."""

    name: str
    """Name of its folder under ``results/``; none if it is that of --out itself."""
    title: str
    tables: list[Table] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    """Plots by file name without ending."""
    pictures: dict[str, Image.Image] = field(default_factory=dict)
    """Pictures by file name without ending."""
    data: dict[str, Any] = field(default_factory=dict)
    """What else is written as JSON, by file name without ending."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the numbers depend on: model, seed, counts, device."""
    text: str = ""
    """Instead of the tables, if a study writes its own page."""

    def markdown(self) -> str:
        """The whole page."""
        if self.text:
            return self.text
        facts = " · ".join(f"{name} {value}" for name, value in self.facts.items())
        heads = [f"# {self.title}\n", *([facts + "\n"] if facts else [])]
        return "\n".join([*heads, *(table.markdown() for table in self.tables)])

    def write(self, folder: Path) -> None:
        """Write README.md, results.json, figures and pictures into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(self.markdown(), encoding="utf-8")
        tables = {
            table.title: [
                {name: _plain(cell) for name, cell in zip(table.columns, row, strict=True)}
                for row in table.rows
            ]
            for table in self.tables
        }
        found = json.dumps({"facts": self.facts, "tables": tables}, indent=1, default=str)
        (folder / "results.json").write_text(found, encoding="utf-8")
        for name, value in self.data.items():
            (folder / f"{name}.json").write_text(json.dumps(value, indent=1), encoding="utf-8")
        for name, figure in self.figures.items():
            figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
        for name, picture in self.pictures.items():
            picture.save(folder / f"{name}.png", optimize=True)


def contact_sheet(pictures: Tensor, columns: int = 8) -> Image.Image:
    """Pictures (n, c, h, w) in [0, 1] side by side, twice enlarged."""
    n, c, h, w = pictures.shape
    rows = -(-n // columns)
    grid = torch.ones(rows * columns, c, h, w)
    grid[:n] = pictures
    grid = grid.view(rows, columns, c, h, w).permute(0, 3, 1, 4, 2).reshape(rows * h, -1, c)
    image = Image.fromarray((grid.expand(-1, -1, 3) * 255).round().byte().numpy())
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.LANCZOS)
