"""Small curves as SVG, side by side (``.curves`` in ``assets/style.css``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """One curve, with its range on the left."""

    x: Sequence[float]
    """Shares of the width, 0 to 1."""
    y: Sequence[float]
    low: str
    high: str
    """The ends of the range, as they stand there; the curve reaches from one to the other."""
    colour: str
    label: str
    """For those who do not see it."""
    caption: str
    """HTML, below."""
    below: str = ""
    """At the right end of the axis."""
    dots: bool = False
    """Whether each value is marked."""

    def svg(self) -> str:
        """In a box of 240 x 90."""
        low, high = float(self.low), float(self.high)
        across = 36 + 200 * np.asarray(self.x)
        down = 72 - 62 * (np.asarray(self.y) - low) / max(high - low, 1e-3)
        places = [(f"{a:.1f}", f"{b:.1f}") for a, b in zip(across, down, strict=True)]
        points = " ".join(f"{a},{b}" for a, b in places)
        marks = "".join(
            f'<circle cx="{a}" cy="{b}" r="2" fill="{self.colour}"/>'
            for a, b in places
            if self.dots
        )
        return (
            f'<svg viewBox="0 0 240 90" role="img" aria-label="{self.label}">'
            f'<path d="M36 6V74H238" class="axis"/>'
            f'<text x="32" y="13" text-anchor="end">{self.high}</text>'
            f'<text x="32" y="75" text-anchor="end">{self.low}</text>'
            f'<text x="238" y="86" text-anchor="end">{self.below}</text>'
            f'<polyline points="{points}" stroke="{self.colour}"/>{marks}</svg>'
        )


def row(*curves: Curve) -> str:
    """Curves beside each other."""
    figures = "".join(
        f"<figure>{one.svg()}<figcaption>{one.caption}</figcaption></figure>" for one in curves
    )
    return f'<div class="curves">{figures}</div>'
