"""What Tables 1 and 2 share: drawing, measuring, sizes."""

from __future__ import annotations

import argparse
import copy
import math

from sbcore.runtime import checks
from sbcore.runtime.run import DivergedError
from sbcore.twostage.bridge import DEFAULTS, Bridge
from sbcore.twostage.paper import PaperMode
from sbcore.twostage.solvers import SOLVERS
from studies import distances
from studies.album import Album, paper_evaluations
from studies.report import Cell, Progress

CIFAR10 = "CIFAR-10, 50,000 pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of both tables."""
    distances.add_arguments(parser)
    parser.add_argument(
        "--paper-steps", type=int, default=PaperMode().n1, help="of each stage of paper mode"
    )


class Drawing:
    """The model of a table, its pictures and their distances.

    Args:
        options: Those of `add_arguments`; ``--quick`` makes them small.
        progress: Told what is drawn.
    """

    def __init__(self, options: argparse.Namespace, progress: Progress) -> None:
        self.count = checks.whole("count", options.count, least=4)
        self.steps = checks.whole("paper_steps", options.paper_steps)
        if options.quick:
            self.count, self.steps = min(self.count, 8), min(self.steps, 4)
        options = argparse.Namespace(**vars(options) | {"count": self.count})
        self.options, self.progress = options, progress
        self.bridge = Bridge.from_pretrained(options.model, bf16=options.bf16 or None)
        self.ruler = distances.make_ruler(options, self.bridge)

    def paper(self, drift: str) -> PaperMode:
        """Algorithm 1 with as many steps as the options say."""
        return PaperMode(n1=self.steps, n2=self.steps, drift=drift)

    def row(
        self, what: str, paper: PaperMode | None = None, tau: float | None = None
    ) -> list[Cell]:
        """Evaluations of a picture, then the distances of a set.

        Args:
            what: Name of the row, for people.
            paper: Algorithm 1; None: the fast default.
            tau: Variance of stage 1; None: the model's own.
        """
        bridge = copy.copy(self.bridge)  # shares the networks
        bridge.tau = self.bridge.tau if tau is None else tau
        mode = {"mode": "fast"} if paper is None else {"mode": "paper", "paper": paper}
        evaluations = paper_evaluations(paper) if paper else DEFAULTS["generate"].steps
        count, seed = self.count, self.options.seed
        album = Album(self.options.out, self.options.model, bridge)
        try:
            drawn = album.generate(what, count, seed, self.progress, **mode)
        except DivergedError:
            return [evaluations, math.nan, *[None] * (len(distances.COLUMNS) - 1)]
        return [evaluations, *self.ruler.cells(drawn.pictures)]

    def floor(self) -> list[float | None]:
        """The distances of as many real pictures."""
        found = self.ruler.floors()[distances.FLOOR]
        return [found.get(name) for name in distances.COLUMNS]

    def facts(self) -> dict[str, Cell]:
        """What the numbers depend on."""
        default = DEFAULTS["generate"]
        return {
            "model": self.bridge.name,
            "pictures": self.count,
            "against": f"the {self.options.half} half of the held-out pictures",
            "seed": self.options.seed,
            "fast default": f"{SOLVERS[default.solver].title}, {default.steps} evaluations",
            "device": self.bridge.device_name + (", bf16" if self.bridge.bf16 else ""),
        }
