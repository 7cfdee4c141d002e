"""From particles in the plane to what the 2-D lab shows: film, numbers, loss curve, strip.

The film is one JSON text for `assets/plane.js`: positions as base64 of 16-bit whole numbers times
``step``, so that two thousand particles with forty states are one small download.

Clock of a film: 0 to 1 is stage 1 (bridge time t), 1 to 2 is stage 2 (1 - s / sigma).
"""

from __future__ import annotations

import base64
import colorsys
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from demo import curves, media
from demo import film as films
from sbcore import EXTENT, Distribution, PlaneBridge, Step

REACH = 4 * EXTENT  # positions further out are drawn there, beyond the canvas
STEP = REACH / 32767  # plane units of one whole number
HUES = 24  # colours of a distribution without modes
TRACK = (1, ("nothing", "deep in noise", "data"))  # where the second stage begins; texts below
GRID, FIELD_TIMES = 12, 12  # arrows along a side; times of each stage
STRIP_FRAMES, TILE = 10, 144  # pixels
BACKGROUND = (255, 255, 255)
NO_NUMBERS = '<div class="numbers"><p>No distances: the run diverged.</p></div>'


@dataclass
class Trajectory:
    """States of all particles that a film keeps."""

    sigma: float
    steps: list[Step] = field(default_factory=list)

    @property
    def states(self) -> list[np.ndarray]:
        """Positions at each step, (n, 2), finite."""
        return [_on_paper(step.x.numpy()) for step in self.steps]

    @property
    def clock(self) -> list[float]:
        """When each state is."""
        return [clock(step, self.sigma) for step in self.steps]


def clock(step: Step, sigma: float) -> float:
    """Time of a state in its film, in [0, 2]."""
    if step.stage == 1:
        return step.t
    return 2.0 if step.t == 1 else 2 - step.s / sigma


def kept(total: int, border: int, frames: int) -> list[int]:
    """Indices of about ``frames`` states of a run; start, q_sigma and end are among them."""
    frames = min(frames, total + 1)
    return sorted({round(total * k / (frames - 1)) for k in range(frames)} | {border})


def _on_paper(points: np.ndarray) -> np.ndarray:
    """Finite points within reach; those of a diverged run too."""
    return np.clip(np.nan_to_num(points, nan=REACH, posinf=REACH, neginf=-REACH), -REACH, REACH)


def _packed(values: np.ndarray) -> str:
    """Plane units as base64 of little-endian 16-bit numbers."""
    return _text(np.round(_on_paper(values) / STEP).astype("<i2"))


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def within(distribution: Distribution) -> str:
    """Title of a distribution within a sentence."""
    return distribution.title[:1].lower() + distribution.title[1:]


# ----------------------------------------------------------------------------------------------
# Colours


def palette(distribution: Distribution) -> list[str]:
    """Colours of the parts of a distribution, around the colour wheel."""
    count = HUES if distribution.modes is None else len(distribution.modes)
    wheel = (colorsys.hls_to_rgb((0.02 + k / count) % 1, 0.52, 0.62) for k in range(count))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in wheel]


def colours(points: np.ndarray, distribution: Distribution) -> np.ndarray:
    """Index into the palette by where a particle ends: nearest mode, or direction; (n,) uint8."""
    if distribution.modes is not None:
        apart = points[:, None] - distribution.modes.numpy()
        return (apart**2).sum(2).argmin(1).astype(np.uint8)
    x, y = (points - distribution.mean.numpy()).T
    return (np.arctan2(y, x) / (2 * np.pi) * HUES % HUES).astype(np.uint8) % HUES


# ----------------------------------------------------------------------------------------------
# The film


def film(
    trajectory: Trajectory,
    bridge: PlaneBridge,
    title: str,
    *,
    fields: dict[str, Any] | None = None,
    play: bool = True,
    drawing: bool = False,
) -> str:
    """The text that the player plays.

    Args:
        trajectory: States of the run.
        bridge: Where the run goes.
        title: Above the particles.
        fields: Of `velocities`.
        play: Start to play; else show the end.
        drawing: The visitor draws the distribution.
    """
    distribution, states = bridge.distribution, trajectory.states
    count = len(states[0])
    truth = _bridges(distribution, count)
    return films.particles(
        {
            "extent": EXTENT,
            "step": STEP,
            "count": count,
            "sigma": bridge.sigma,
            "tau": bridge.tau,
            "title": title,
            "particles": _packed(np.stack(states)),
            "colours": _text(colours(states[-1], distribution)),
            "palette": palette(distribution),
            "truth": _packed(truth),
            "truthColours": _text(colours(truth[:, :2], distribution)),
            "play": play,
            "drawing": drawing,
            **(fields or {}),
        },
        trajectory.clock,
        *TRACK,
    )


def one_way(
    states: Sequence[np.ndarray], ground: np.ndarray, start: Distribution, title: str
) -> dict[str, Any]:
    """One panel of `film_of_ways`: particles in the colours of where they start.

    Args:
        states: From the first to the last, each (n, 2).
        ground: Points of the set where they should end, (n, 2).
        start: Where they start.
        title: Above the panel.
    """
    return {
        "title": title,
        "particles": _packed(np.stack(states)),
        "colours": _text(colours(states[0], start)),
        "palette": palette(start),
        "ground": _packed(ground),
    }


def film_of_ways(
    ways: dict[str, dict[str, Any]], clock: Sequence[float], count: int, play: bool = True
) -> str:
    """The text that the player plays for two ways side by side, by panel; their clock ends at 2."""
    facts = {"extent": EXTENT, "step": STEP, "count": count, "play": play, "ways": ways}
    return films.particles(facts, clock, None, ("start", "", "end"))


def empty_film(hint: str, strokes: Any = None) -> str:
    """A film without particles, for a drawing that is yet to be made, or to be gone on with."""
    nothing = {"particles": "", "colours": "", "truth": "", "truthColours": ""}
    facts = {"extent": EXTENT, "step": STEP, "count": 0, "sigma": 1, "tau": 1, "palette": []}
    facts |= {"title": "particles", "hint": hint, "play": False, "drawing": True}
    facts |= {"strokes": strokes} if strokes else {}
    return films.particles(nothing | facts, [], *TRACK)


def _bridges(distribution: Distribution, count: int) -> np.ndarray:
    """Exact bridges through both stages: x0, the noise at q_sigma, that of stage 1; (n, 6)."""
    ends = distribution.sample(count, seed=1).numpy()
    return np.hstack([ends, np.random.default_rng(1).standard_normal((count, 4))])


def velocities(
    bridge: PlaneBridge, estimate: dict[str, Any] | None, grid: int = GRID
) -> dict[str, Any]:
    """Velocity fields of both stages, as arrows that are as long as a cell for a typical speed.

    Args:
        bridge: The bridge.
        estimate: Options of `PlaneBridge.velocity` for the field to compare; None for none.
        grid: Arrows along a side.
    """
    middles = EXTENT * ((2 * np.arange(grid) + 1) / grid - 1)
    where = np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2).astype(np.float32)
    part = (np.arange(FIELD_TIMES) + 0.5) / FIELD_TIMES
    times = [(1, t) for t in part] + [(2, 1 - (1 - w) ** 2) for w in part]  # s falls evenly
    truth, other = [], []
    for stage, t in times:
        exact = bridge.velocity(stage, t, where, networks="exact").numpy()
        unit = (2 * EXTENT / grid) / max(float(np.quantile(np.hypot(*exact.T), 0.75)), 1e-6)
        truth.append(_arrows(exact, unit, grid))
        if estimate is not None:
            found = bridge.velocity(stage, t, where, **estimate).numpy()
            other.append(_arrows(found, unit, grid))
    fields = {
        "fieldClock": [round(float(w), 5) for w in (*part, *(1 + part))],
        "where": _packed(where),
        "field": _packed(np.stack(truth)),
    }
    return fields | ({"estimate": _packed(np.stack(other))} if other else {})


def _arrows(field: np.ndarray, unit: float, grid: int) -> np.ndarray:
    """Vectors in plane units, none longer than a cell and a half; (k, 2)."""
    field = np.nan_to_num(field, posinf=1e6, neginf=-1e6) * 0.8 * unit
    longest = 1.5 * 2 * EXTENT / grid
    return field * np.minimum(1, longest / np.maximum(np.hypot(*field.T), 1e-9))[:, None]


# ----------------------------------------------------------------------------------------------
# Numbers and curves


def numbers(distances: dict[str, Any], distribution: Distribution, title: str) -> str:
    """Distances beside their floors, and the mass of each mode, as HTML."""
    names = (("sliced_w2", "floor", "sliced W2"), ("energy", "energy_floor", "energy distance"))
    rows = "".join(
        f"<tr><th>{name}</th><td>{distances[key]:.3f}</td><td>{distances[floor]:.3f}</td></tr>"
        for key, floor, name in names
        if key in distances
    )
    return (
        f'<div class="numbers"><table><thead><tr><th>distance to the truth</th>'
        f"<th>{html.escape(title)}</th><th>floor</th></tr></thead><tbody>{rows}</tbody></table>"
        "<p>Floor: the truth against itself, as many particles.</p>"
        f"{_mass(distances.get('mode_mass', []), palette(distribution))}</div>"
    )


def _mass(shares: Sequence[float], wheel: Sequence[str]) -> str:
    """A bar for the mass of each mode, with a mark at equal shares."""
    if not shares:
        return ""
    bars = "".join(
        f'<div><i style="height:{min(78, 60 * share * len(shares)):.0f}%;background:{colour}"></i>'
        f"<b>{100 * share:.1f}</b></div>"
        for share, colour in zip(shares, wheel, strict=True)
    )
    equal = f"{100 / len(shares):.1f}"
    return (
        f'<div class="mass" role="img" aria-label="mass of each mode in percent: '
        f'{", ".join(f"{100 * share:.1f}" for share in shares)}">{bars}</div>'
        f"<p>Mass of each mode in percent; the line is the truth, {equal}.</p>"
    )


def curve(history: Sequence[tuple[float, float, float]]) -> str:
    """Losses of both networks over the seconds of training, as SVG."""
    if not history:
        return '<div class="curves empty">The loss curves appear here while you train.</div>'
    seconds, score, ratio = np.asarray(history, float).T
    length = f"{seconds[-1]:.0f}"
    parts = (("denoiser (eq. 9)", score, "#0d8075"), ("density ratio (eq. 7)", ratio, "#be185d"))
    return curves.row(
        *(
            curves.Curve(
                seconds / max(float(seconds[-1]), 1e-3),
                losses,
                f"{losses.min():.3f}",
                f"{losses.max():.3f}",
                colour,
                f"loss from {losses[0]:.3f} to {losses[-1]:.3f} in {length} seconds",
                f"{name}: <b>{losses[-1]:.3f}</b>",
                f"{length} s",
            )
            for name, losses, colour in parts
        )
    )


# ----------------------------------------------------------------------------------------------
# Film strip


def strip(trajectory: Trajectory, distribution: Distribution) -> Image.Image:
    """Some states side by side, stage 1 and stage 2 marked."""
    states, last = trajectory.states, len(trajectory.steps) - 1
    count = min(STRIP_FRAMES, last + 1)
    border = max(k for k, step in enumerate(trajectory.steps) if step.stage == 1)
    chosen = sorted({round(last * k / max(count - 1, 1)) for k in range(count)} | {border})
    colour = colours(states[-1], distribution)
    frames = [_frame(states[k], colour, palette(distribution)) for k in chosen]
    steps = [trajectory.steps[k] for k in chosen]
    labels = [f"t = {s.t:.2f}" if s.stage == 1 else f"s = {s.s:.2f}" for s in steps]
    first = sum(step.stage == 1 for step in steps)
    groups = [("stage 1: from one point to noise", first)]
    groups.append(("stage 2: from noise to the data", len(steps) - first))
    return media.film_strip(frames, labels, groups, tile=TILE)


def _frame(points: np.ndarray, colour: np.ndarray, wheel: Sequence[str]) -> np.ndarray:
    """A picture (h, w, 3) of particles, drawn large for smooth edges."""
    side = 2 * TILE
    picture = Image.new("RGB", (side, side), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    spots = (points * (1, -1) / EXTENT + 1) * side / 2
    for index, shade in enumerate(wheel):
        for x, y in spots[colour == index]:
            draw.rectangle((x - 1, y - 1, x + 1, y + 1), fill=shade)
    return np.asarray(picture, np.float32) / 255
