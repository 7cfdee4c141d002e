"""The About tab: the method on one screen, where each equation lives, card, licences, privacy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from demo import imaging, media, runs, tab, views
from demo.models import Models
from demo.tabs.evolution import EXAMPLE_SEED, caption
from sbcore import (
    DISTRIBUTIONS,
    Bridge,
    CheckpointError,
    PaperMode,
    PlaneBridge,
    TranslationBridge,
)

# Of the drawing: particles behind the densities, paths drawn, steps of each stage.
PARTICLES, PATHS, STEPS = 2000, 56, 120
EXTENT = 7.5  # highest coordinate in the drawing
START, MIDDLE, END = 80.0, 470.0, 860.0  # of 1000: where the drawing has t = 0, q_sigma, t = 1
HEIGHT = 260.0
STATES = ((1, 0.0), (1, 0.5), (1, 1.0), (2, 0.75), (2, 1.0))  # (stage, t) of the pictures below it
MAX_CARD = 100_000
LATEX = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]


class Piece(NamedTuple):
    """One piece of the method and the functions that hold it."""

    title: str
    text: str
    places: tuple[tuple[str, str], ...]
    """(file, function) each."""

    def markdown(self) -> str:
        """Title, places and text."""
        places = " · ".join(f"`{file}: {name}`" for file, name in self.places)
        return f"#### {self.title}\n{places}\n\n{self.text}"


PROCESS, PAPER = "sbcore/twostage/process.py", "sbcore/twostage/paper.py"
WALKS, LOSSES = "sbcore/ipf/paths.py", "sbcore/ipf/losses.py"
STAGE1 = (
    Piece(
        "Stage 1: from a point to the smoothed data · eq. (3)",
        r"$$dX_t = u(X_t, t)\,dt + \sqrt\tau\,dW_t,\qquad X_0 = 0,\quad X_1 \sim q_\sigma$$"
        "\n\n"
        r"$$u(x, t) = \tau\,\nabla \log \mathbb{E}_{y \sim N(x,\,\tau(1-t)I)}\,f(y),"
        r"\qquad f = q_\sigma / N(0, \tau I)$$",
        ((PAPER, "algorithm1_stage1"),),
    ),
    Piece(
        "Its drift from samples · eq. (5)",
        r"$$u = x + \tau\,\frac{\mathbb{E}\,f(y)\,\big[\nabla\log q_\sigma(y) + "
        r"\sqrt{(1-t)/\tau}\;z\big]}{\mathbb{E}\,f(y)},\quad y = x + \sqrt{\tau(1-t)}\;z$$",
        ((PROCESS, "monte_carlo_stage1_drift"),),
    ),
    Piece(
        "The density ratio, learned · eq. (7)",
        r"$$\min_r\ \mathbb{E}_{q_\sigma} \log(1 + e^{-r}) + "
        r"\mathbb{E}_{N(0,\tau I)} \log(1 + e^{r}),\qquad r^* = \log f$$",
        (("sbcore/twostage/ratio.py", "density_ratio_loss"),),
    ),
)
STAGE2 = (
    Piece(
        "Stage 2: from the smoothed data to the data · eq. (8)",
        r"$$dX_t = \sigma^2\,\nabla \log q_{\sigma\sqrt{1-t}}(X_t)\,dt + \sigma\,dW_t,"
        r"\qquad X_0 \sim q_\sigma$$"
        "\n\n"
        r"$$q_s = \text{the data} + N(0, s^2 I),\qquad "
        r"\nabla \log q_s(v) = \frac{D(v, s) - v}{s^2}$$",
        ((PROCESS, "stage2_drift"), (PROCESS, "score_from_denoised")),
    ),
    Piece(
        "The score, learned · eq. (9)",
        r"$$\min_S\ \mathbb{E}_{s,\,x_0,\,n}\ \lambda(s)\,\big\lVert S(x_0 + s n, s) + n / s "
        r"\big\rVert^2$$",
        (("sbcore/twostage/losses.py", "denoising_loss"),),
    ),
    Piece(
        "Its linear part, in closed form",
        r"$$D(v, s) = W_s v + c_{\mathrm{out}}(s)\,F(\ldots;\,s),\qquad "
        r"W_s = \Sigma\,(\Sigma + s^2 I)^{-1}$$",
        (
            ("sbcore/twostage/wiener.py", "WienerFilter.forward"),
            ("sbcore/twostage/denoiser.py", "Denoiser.forward"),
        ),
    ),
)
PRINTED = (
    Piece(
        "Algorithm 1: draw a picture, as printed",
        r"$x \leftarrow 0$; then for $k = 0, 1, \ldots, N_1 - 1$"
        "\n\n"
        r"$$x \leftarrow x + \tfrac{1}{N_1}\,u(x, \tfrac{k}{N_1}) + \sqrt{\tau / N_1}\;\xi$$"
        "\n\n"
        r"and for $k = 0, 1, \ldots, N_2 - 1$ with $s_k^2 = \sigma^2 (1 - k / N_2)$"
        "\n\n"
        r"$$x \leftarrow x + \tfrac{\sigma^2}{N_2} \nabla \log q_{s_k}(x) + "
        r"\tfrac{\sigma}{\sqrt{N_2}}\;\xi$$",
        ((PAPER, "algorithm1_stage1"), (PAPER, "algorithm1_stage2")),
    ),
    Piece(
        "Algorithm 2: fill a hole, as printed",
        r"Stage 2, but before each step the known pixels are set to $\text{known} + s_k\,z$.",
        ((PAPER, "algorithm2"),),
    ),
)
FASTER = (
    Piece(
        "Both stages are one reverse SDE",
        r"$v = X_t / t$ is the data plus noise of level $s(t)$, so one denoiser, one solver and "
        r"one grid of noise levels serve both stages: ten evaluations instead of 2,000."
        "\n\n"
        r"$$s(t)^2 = \sigma^2 + \tau\,\frac{1 - t}{t}$$",
        ((PROCESS, "stage1_noise_level"), ("sbcore/twostage/sampler.py", "reverse_steps")),
    ),
    Piece(
        "The exact drift of stage 1, without a density ratio",
        r"$$u(x, t) = \frac{\tau\,D(x/t,\,s(t)) - (\tau - \sigma^2)\,x}"
        r"{\tau(1 - t) + t\,\sigma^2}$$",
        ((PROCESS, "exact_stage1_drift"),),
    ),
)
BETWEEN_SETS = (
    Piece(
        "Between any two sets: half-bridges in turn (DSB) · eqs. (26), (27)",
        r"Paths of one direction, $X_{k+1} = F_k(X_k) + \sqrt{2\gamma_{k+1}}\;\xi$, train the mean "
        r"of the other:"
        "\n\n"
        r"$$\min_B\ \mathbb{E}\,\big\lVert B_{k+1}(X_{k+1}) - "
        r"(X_{k+1} + F_k(X_k) - F_k(X_{k+1})) \big\rVert^2$$",
        ((LOSSES, "matching_targets"), (LOSSES, "matching_loss")),
    ),
    Piece(
        "The same by bridge matching (DSBM)",
        r"Only the ends of the paths are kept and joined by Brownian bridges; $D$ predicts the end."
        "\n\n"
        r"$$\min_D\ \mathbb{E}\,\frac{\lVert D(X_r, r) - X_{\mathrm{end}} \rVert^2}{r}$$",
        ((LOSSES, "bridge_loss"),),
    ),
)
SECOND_ORDER = (
    Piece(
        "Its steps: second order but for the last, one evaluation each",
        r"With $p = h / r$ and $J$ the Jacobian of $D$, the noise of a step has covariance "
        r"$\sigma^2 h\,(1 - p + pJ)$. On a bridge $D$ is a martingale, so its change is $J$ noise:"
        "\n\n"
        r"$$y = x + p\,(D - x) + \sigma\sqrt{h}\,(1 - \tfrac p2)\,\xi,\qquad "
        r"x' = y + \tfrac{p}{2 - p}\,\big(D(y, r - h) - D\big)$$",
        ((WALKS, "walk"),),
    ),
)
PIECES = (*STAGE1, *STAGE2, *PRINTED, *FASTER, *BETWEEN_SETS, *SECOND_ORDER)

PRIVACY = """\
Run on your own computer, nothing leaves it: the page talks to the program that you started and to
nobody else. There is no account, no analytics and no history of runs. Pictures that you upload are
kept in a temporary folder, for two hours at most while the program runs.

If you opened this page from elsewhere (a shared link, a hosted copy), your pictures travel to the
computer that serves it and are treated there in the same way."""
CITATIONS = r"""
```bibtex
@inproceedings{wang2021deep,
  title     = {Deep Generative Learning via Schr{\"o}dinger Bridge},
  author    = {Wang, Gefei and Jiao, Yuling and Xu, Qian and Wang, Yang and Yang, Can},
  booktitle = {International Conference on Machine Learning},
  year      = {2021}
}

@inproceedings{debortoli2021diffusion,
  title     = {Diffusion Schr{\"o}dinger Bridge with Applications to Score-Based Generative
               Modeling},
  author    = {De Bortoli, Valentin and Thornton, James and Heng, Jeremy and Doucet, Arnaud},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2021}
}

@inproceedings{shi2023diffusion,
  title     = {Diffusion Schr{\"o}dinger Bridge Matching},
  author    = {Shi, Yuyang and De Bortoli, Valentin and Campbell, Andrew and Doucet, Arnaud},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2023}
}
```
[arXiv 2106.10410](https://arxiv.org/abs/2106.10410) ·
[arXiv 2106.01357](https://arxiv.org/abs/2106.01357) ·
[arXiv 2303.16852](https://arxiv.org/abs/2303.16852)"""


# ----------------------------------------------------------------------------------------------
# Fig. 1 with our own particles


@lru_cache(maxsize=1)
def particles() -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 1 with the exact drift on the paper's six Gaussians, seen along one axis.

    Returns:
        Places (k,) in the drawing and coordinates (k, n), k = 2 STEPS + 1.
    """
    plane = PlaneBridge(DISTRIBUTIONS["six-gaussians"])
    settings = PaperMode(n1=STEPS, n2=STEPS, drift="exact")
    run = plane.generate(PARTICLES, mode="paper", paper=settings, networks="exact")
    places, states = zip(*((_place(s.stage, s.t), s.x[:, 0].numpy()) for s in run), strict=True)
    return np.array(places), np.stack(states)


def _place(stage: int, t: float) -> float:
    """Where a moment is in the drawing, from 0 to 1000."""
    return START + t * (MIDDLE - START) if stage == 1 else MIDDLE + t * (END - MIDDLE)


def _heights(coordinates: np.ndarray) -> np.ndarray:
    return HEIGHT * (1 - (coordinates / EXTENT + 1) / 2)


def paths_svg() -> str:
    """The particles' paths in two colours, and their densities at the ends of the stages."""
    places, states = particles()
    heights = _heights(states)
    lines = []
    for part, name in ((slice(0, STEPS + 1), "first"), (slice(STEPS, None), "second")):
        paths = " ".join(_polyline(places[part], path[part]) for path in heights[:, :PATHS].T)
        lines.append(f'<path class="{name}" d="{paths}"/>')
    ends = ((STEPS, MIDDLE, 90.0, "first"), (2 * STEPS, END, 120.0, "second"))
    hills = [_hill(states[index], place, width, name) for index, place, width, name in ends]
    label = (
        f"Paths of {PATHS} particles: from one point they spread to the smoothed data, "
        "and from there gather at the modes of the data."
    )
    return (
        f'<svg viewBox="0 0 1000 {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{"".join(lines)}{"".join(hills)}</svg>'
    )


def _polyline(x: np.ndarray, y: np.ndarray) -> str:
    points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f"M{points}"


def _hill(coordinates: np.ndarray, place: float, width: float, name: str) -> str:
    """The density of the coordinates, drawn to the right of ``place``."""
    counts, edges = np.histogram(coordinates, bins=75, range=(-EXTENT, EXTENT))
    y = _heights((edges[1:] + edges[:-1]) / 2)
    x = place + width * counts / counts.max()
    outline = _polyline(np.r_[place, x, place], np.r_[y[0], y, y[-1]])
    return f'<path class="hill {name}" d="{outline}Z"/>'


def states_html(bridge: Bridge) -> str:
    """One particle of the model at the moments `STATES`, each below its place in the drawing."""
    steps = list(bridge.evolve(24, EXAMPLE_SEED))
    tiles = []
    for stage, t in STATES:
        inside = [step for step in steps if step.stage == stage]
        step = min(inside, key=lambda step: abs(step.t - t))
        picture = media.normalise_contrast(runs.pictures(step.x)[0])
        left = _place(step.stage, step.t) / 10
        tiles.append(
            f'<img style="left:{left:.1f}%" src="{views.data_uri(picture)}" '
            f'alt="{caption(step)}" title="{caption(step)}">'
        )
    return f'<div class="states">{"".join(tiles)}</div>'


def drawing(bridge: Bridge) -> str:
    """Fig. 1 of the paper, redrawn."""
    ends = "".join(
        f'<span style="left:{place / 10:g}%">{text}</span>'
        for place, text in (
            (START, "nothing"),
            (MIDDLE, "smoothed data q<sub>σ</sub>"),
            (END, "data"),
        )
    )
    stages = "".join(
        f'<span class="{name}" style="left:{(a + b) / 20:g}%">{text}</span>'
        for a, b, name, text in (
            (START, MIDDLE, "first", "stage 1"),
            (MIDDLE, END, "second", "stage 2"),
        )
    )
    return (
        f'<figure class="bridges"><div class="names">{ends}{stages}</div>{paths_svg()}'
        f"{states_html(bridge)}</figure>"
    )


# ----------------------------------------------------------------------------------------------
# The model card


def card(models: Models, name: str | None) -> tuple[str, Image.Image | None]:
    """The model card without its front matter, and its picture; a sentence if there is none."""
    folder = Path(models.source(name))
    if not folder.is_dir():
        return f"The card is at [{folder}](https://huggingface.co/{folder}).", None
    readme = folder / "README.md"
    if not readme.is_file():
        return "This model comes without a card.", None
    text = readme.read_text(encoding="utf-8", errors="replace")[:MAX_CARD]
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    found = re.search(r"!\[[^\]]*\]\(([^()/\\]+)\)\n?", text)  # a file beside the card
    if found is None:
        return text.strip(), None
    try:
        sheet = imaging.open_picture(folder / found[1])
    except imaging.PictureError:
        sheet = None
    return text.replace(found[0], "", 1).strip(), sheet


def licences(bridge: Bridge, *others: TranslationBridge) -> str:
    """Licences of code and weights."""
    weights = [
        f"- **Weights of {model.name}**: "
        f"{model.facts.get('data', {}).get('license') or 'not stated in its checkpoint'}."
        for model in (bridge, *others)
    ]
    code = "- **Code**: Apache-2.0 (the file `LICENSE`)."
    pictures = "- **Pictures** that you draw are bound by the licence of the weights."
    return "\n".join([code, *weights, pictures])


def _translations(models: Models) -> Iterator[TranslationBridge]:
    """The models of the Translate tab that can be used."""
    for name in models.translations:
        with suppress(CheckpointError):
            yield models.translation(name)


def examples(models: Models, name: str | None) -> tuple[Any, ...]:
    """What depends on the model: drawing, card, its picture, licence, status."""
    bridge = models.get(name)
    text, sheet = card(models, name)
    status = (
        f"Above: {PATHS} of {PARTICLES:,} particles of Algorithm 1 on six Gaussians, seen along "
        f"one axis, and the densities of all; {2 * STEPS} evaluations of a closed form. "
        f"Below: one particle of {bridge.name} on the same way."
    )
    return (
        drawing(bridge),
        text,
        sheet,
        licences(bridge, *_translations(models)),
        views.note_html(status),
    )


# ----------------------------------------------------------------------------------------------
# Layout


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab."""
    with gr.Column(elem_classes="about"):
        figure = gr.HTML(min_height=348, elem_id="about-drawing")
        status = views.status_component()
        for left, right in ((STAGE1, STAGE2), (PRINTED, FASTER), (BETWEEN_SETS, SECOND_ORDER)):
            with gr.Row(elem_classes="pieces"):
                for pieces in (left, right):
                    _pieces(pieces)
        with gr.Accordion("The model", open=False):
            with gr.Row():
                with gr.Column(scale=3):
                    model_card = gr.Markdown(elem_classes="card", min_height=80)
                with gr.Column(scale=2):
                    sheet = gr.Image(
                        label="Random pictures of the model",
                        format="png",
                        interactive=False,
                        show_label=False,
                        buttons=["download", "fullscreen"],
                        elem_id="about-sheet",
                    )
        with gr.Accordion("Licences", open=False):
            licence_text = gr.Markdown()
        with gr.Accordion("Cite", open=False):
            gr.Markdown(CITATIONS)
        with gr.Accordion("What leaves your computer", open=False):
            gr.Markdown(PRIVACY)
    example = partial(examples, studio.models)
    return tab.Tab(status, example=example, fills=[figure, model_card, sheet, licence_text])


def _pieces(pieces: tuple[Piece, ...]) -> None:
    """A column of pieces."""
    text = "\n\n".join(piece.markdown() for piece in pieces)
    gr.Markdown(text, latex_delimiters=LATEX, elem_classes="piece")
