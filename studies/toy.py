"""Fig. 2 and 3 of the paper in the plane: densities, velocity fields, both drifts, a GAN.

Trains both networks on six Gaussians and on four other shapes, and holds samples, drifts and
modes against the truth, which is closed form. A vanilla GAN trained on the same points stands
beside them, and Algorithm 1 with either drift.

Example: python evaluate.py toy
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from sbcore.plane.bridge import HALF_LIFE, NETWORKS, PlaneBridge, lost
from sbcore.plane.distributions import DISTRIBUTIONS, EXTENT, Distribution
from sbcore.runtime.learner import WeightAverage
from sbcore.runtime.run import DivergedError
from sbcore.twostage.paper import PaperMode
from sbcore.twostage.process import stage1_noise_level, stage2_noise_level
from studies.report import Progress, Report, Table

PAPER = "six-gaussians"  # the distribution of the paper's figures
SIGMA, TAU = 1.0, 5.0
TIMES = ((1, 0.1), (1, 0.5), (1, 0.9), (2, 0.0), (2, 0.5), (2, 0.9))
DRAWS = 10_000  # drift samples a particle may cost; with N3 = 100 it takes fewer steps
PAPER_PARTICLES = 500
CELLS, WIDTH = 240, 0.12  # of a density estimate: cells a side, kernel width in plane units
SEEN = 1e-3  # part of the largest density from which on particles are seen
COLOURS, ARROWS = "Blues", "#b3123c"
GAN_LATENT, GAN_BATCH, GAN_RATE = 8, 512, 5e-4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py toy``."""
    parser.add_argument("--particles", type=int, default=5000, help="points of each sample")
    parser.add_argument("--steps", type=int, default=20, help="network evaluations of a run")
    parser.add_argument("--draws", type=int, default=4, help="samples behind each distance")
    parser.add_argument("--iterations", type=int, default=1200, help="training steps")
    parser.add_argument("--gan-iterations", type=int, default=6000, help="of the GAN")
    parser.add_argument("--paper-steps", type=int, default=1000, help="N1 = N2 of Algorithm 1")


class Sizes(NamedTuple):
    """How much is computed."""

    particles: int
    steps: int
    draws: int
    iterations: int
    gan_iterations: int
    paper_steps: int
    paper_particles: int = PAPER_PARTICLES


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Train, sample, measure and plot."""
    names = ("particles", "steps", "draws", "iterations", "gan_iterations", "paper_steps")
    for name in names:
        if getattr(options, name) < 2:
            raise ValueError(f"{name} must be at least 2, got {getattr(options, name)}")
    sizes = Sizes(*(getattr(options, name) for name in names))
    if options.quick:
        sizes = Sizes(300, sizes.steps, 2, 30, 30, 5, 40)
    bridges = {}
    for name, distribution in DISTRIBUTIONS.items():
        bridges[name] = PlaneBridge(distribution, SIGMA, TAU, options.seed)
        for done in bridges[name].train(iterations=sizes.iterations, seed=options.seed):
            progress(f"training on {name}", done.iteration, sizes.iterations)
    gan = train_gan(DISTRIBUTIONS[PAPER], sizes.gan_iterations, options.seed, progress)
    tables = [
        distance_table(bridges, gan, sizes, options.seed, progress),
        algorithm_table(bridges[PAPER], sizes, options.seed, progress),
        velocity_table(bridges[PAPER], sizes, options.seed),
    ]
    figures = {
        "densities": density_figure(bridges[PAPER], gan, sizes, options.seed),
        "velocities": velocity_figure(bridges[PAPER]),
        "shapes": shape_figure(bridges, sizes, options.seed),
    }
    facts = {"sigma": SIGMA, "tau": TAU, "seed": options.seed, **sizes._asdict()}
    return Report("toy", "The bridge in the plane", tables, figures, facts=facts)


# ----------------------------------------------------------------------------------------------
# The vanilla GAN of Fig. 2 (b)


def train_gan(
    distribution: Distribution, iterations: int, seed: int, progress: Progress
) -> Callable[[int, int], Tensor]:
    """Train a GAN with the non-saturating loss (Goodfellow et al. 2014) on fresh points.

    Returns:
        A function (n, seed) to n points (n, 2), by the weight average of the generator.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator, critic = _perceptron(GAN_LATENT, 2), _perceptron(2, 1)
    average = WeightAverage(generator, HALF_LIFE)
    source = torch.Generator().manual_seed(seed)
    scale = float(distribution.covariance.trace() / 2) ** 0.5
    optimizers = [
        torch.optim.Adam(net.parameters(), lr=GAN_RATE, betas=(0.5, 0.999), fused=True)
        for net in (generator, critic)
    ]

    def latent(n: int, source: torch.Generator) -> Tensor:
        return torch.randn(n, GAN_LATENT, generator=source)

    for iteration in range(1, iterations + 1):
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = GAN_RATE * min(1.0, 2 - 2 * iteration / iterations)
        real = distribution.draw(GAN_BATCH, source) / scale
        fake = generator(latent(GAN_BATCH, source))
        loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        loss = F.softplus(-critic(generator(latent(GAN_BATCH, source)))).mean()
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        average.follow(generator, iteration)
        if iteration % 50 == 0 or iteration == iterations:
            progress("training the GAN", iteration, iterations)

    @torch.no_grad()
    def draw(n: int, seed: int) -> Tensor:
        return scale * average.network(latent(n, torch.Generator().manual_seed(seed)))

    return draw


def _perceptron(inputs: int, outputs: int, width: int = 128) -> nn.Sequential:
    """Three hidden layers."""
    return nn.Sequential(
        *(nn.Linear(inputs, width), nn.LeakyReLU(0.2)),
        *(nn.Linear(width, width), nn.LeakyReLU(0.2)),
        *(nn.Linear(width, width), nn.LeakyReLU(0.2)),
        nn.Linear(width, outputs),
    )


# ----------------------------------------------------------------------------------------------
# Tables


def distance_table(
    bridges: dict[str, PlaneBridge],
    gan: Callable[[int, int], Tensor],
    sizes: Sizes,
    seed: int,
    progress: Progress,
) -> Table:
    """Distances of each sampler to the truth, beside those of the truth to itself."""
    columns = (
        *("distribution", "sampler", "evaluations", "sliced W2", "floor", "ratio"),
        *("smallest mode", "largest mode", "z of a sample", "z of all"),
    )
    table = Table(f"Samples of {sizes.particles} points", columns)
    for place, (name, bridge) in enumerate(bridges.items()):
        for networks in NETWORKS:

            def draw(
                n: int, seed: int, bridge: PlaneBridge = bridge, networks: str = networks
            ) -> Tensor:
                return bridge.generate(n, seed, steps=sizes.steps, networks=networks).result()

            row = _distances(bridge, draw, sizes, seed)
            table.rows.append((bridge.distribution.title, networks, sizes.steps, *row))
        if name == PAPER:
            row = _distances(bridge, gan, sizes, seed)
            table.rows.append((bridge.distribution.title, "vanilla GAN", 1, *row))
        progress("sampling", place + 1, len(bridges))
    table.note = (
        f"Sliced W2: mean over {sizes.draws} samples, each against 4 fresh samples of the truth of "
        "as many points; floor: fresh samples of the truth in place of the sample. A perfect "
        "sampler has ratio 1 up to chance. z: largest deviation of a mode's mass from 1/6 in "
        "standard errors, of a single sample (the median one) and of all samples together. "
        "exact: the closed-form denoiser in place of the network."
    )
    return table


def _distances(
    bridge: PlaneBridge, draw: Callable[[int, int], Tensor], sizes: Sizes, seed: int
) -> tuple[float | None, ...]:
    """The numbers of a row: W2, floor, ratio, smallest and largest mode, its z, z of all."""
    found = []
    for i in range(sizes.draws):
        points = draw(sizes.particles, 1000 * seed + i)
        found.append(bridge.distances(points, 1000 * seed + i))
    w2 = sum(each["sliced_w2"] for each in found) / len(found)
    floor = sum(each["floor"] for each in found) / len(found)
    if "mode_mass" not in found[0]:
        return w2, floor, w2 / floor, None, None, None, None
    mass = torch.tensor([each["mode_mass"] for each in found])  # (draws, modes)
    z = [deviation(each, sizes.particles) for each in mass]
    z.sort()
    pooled = mass.mean(0)
    return (
        *(w2, floor, w2 / floor, float(pooled.min()), float(pooled.max())),
        *(z[len(z) // 2], deviation(pooled, sizes.draws * sizes.particles)),
    )


def deviation(mass: Tensor, n: int) -> float:
    """Largest deviation of the modes' masses (m,) from 1/m, in standard errors of n points."""
    share = 1 / len(mass)
    return float((mass - share).abs().max() / math.sqrt(share * (1 - share) / n))


def algorithm_table(bridge: PlaneBridge, sizes: Sizes, seed: int, progress: Progress) -> Table:
    """Algorithm 1 with either drift, by learned and by exact networks."""
    columns = (
        *("drift of stage 1", "N3", "N1 = N2", "networks", "lost particles"),
        *("sliced W2", "floor", "ratio", "smallest mode", "largest mode", "z"),
    )
    table = Table(f"Algorithm 1, {sizes.paper_particles} particles", columns)
    settings = [("exact", PaperMode(n1=sizes.paper_steps, n2=sizes.paper_steps, drift="exact"))]
    for self_normalised, label in ((False, "as printed"), (True, "self-normalised")):
        for n3 in (1, 10, 100):
            steps = max(1, min(sizes.paper_steps, DRAWS // n3))
            paper = PaperMode(n1=steps, n2=steps, n3=n3, self_normalised=self_normalised)
            settings.append((f"density ratio, {label}", paper))
    for i, (label, paper) in enumerate(settings):
        for j, networks in enumerate(NETWORKS):
            row = algorithm_row(bridge, paper, networks, sizes.paper_particles, seed)
            n3 = None if paper.drift == "exact" else paper.n3
            table.rows.append((label, n3, paper.n1, networks, *row))
            progress("Algorithm 1", 2 * i + j + 1, 2 * len(settings))
    table.note = (
        "exact drift: from the denoiser alone. As printed, numerator and denominator of equation "
        "(5) have their own draws and their ratio has no bound; a run has diverged if a single "
        "particle is lost. Runs with many draws take fewer steps, to cost the same."
    )
    return table


def algorithm_row(
    bridge: PlaneBridge, paper: PaperMode, networks: str, n: int, seed: int
) -> tuple[Any, ...]:
    """Lost particles, then distances; diverged runs have no distances."""
    points = torch.zeros(n, 2)
    try:
        for step in bridge.generate(n, seed, mode="paper", paper=paper, networks=networks):
            points = step.x
    except DivergedError:
        return (f"{float(lost(points).float().mean()):.1%}", *[math.nan] * 6)
    found = bridge.distances(points, seed)
    mass = torch.tensor(found["mode_mass"])
    w2, floor = found["sliced_w2"], found["floor"]
    return "0", w2, floor, w2 / floor, float(mass.min()), float(mass.max()), deviation(mass, n)


def velocity_table(bridge: PlaneBridge, sizes: Sizes, seed: int) -> Table:
    """Errors of the estimated drifts where the particles are."""
    estimates = {
        "network, exact drift": {"networks": "learned", "drift": "exact"},
        **{
            f"{networks} ratio, N3 = {n3}": {
                **{"networks": networks, "drift": "ratio", "n3": n3},
                **{"self_normalised": True, "seed": seed},
            }
            for networks in NETWORKS
            for n3 in (1, 100)
        },
    }
    table = Table("Velocity: error of the estimate", ("stage", "t", "truth", *estimates))
    for stage, t in TIMES:
        where = states(bridge, stage, t, min(sizes.particles, 1000), seed)
        truth = bridge.velocity(stage, t, where, networks="exact")
        errors = [
            _rms(bridge.velocity(stage, t, where, **options) - truth)
            if stage == 1 or options["drift"] == "exact"
            else None
            for options in estimates.values()
        ]
        table.rows.append((stage, t, _rms(truth), *errors))
    table.note = (
        "Root mean square over the particles of that time, plane units per unit of t. The "
        "Monte-Carlo drifts are self-normalised; 'exact ratio' has no error but that of its N3 "
        "draws."
    )
    return table


def _rms(vectors: Tensor) -> float:
    return float(vectors.square().sum(1).mean().sqrt())


def states(bridge: PlaneBridge, stage: int, t: float, n: int, seed: int) -> Tensor:
    """Particles of the exact process at a time, (n, 2): drawn from their end, as it is a bridge."""
    generator = torch.Generator().manual_seed(seed)
    x0, first, second = (
        bridge.distribution.draw(n, generator),
        *torch.randn(2, n, 2, generator=generator),
    )
    if stage == 2:
        return x0 + bridge.sigma * math.sqrt(1 - t) * first
    end = x0 + bridge.sigma * first
    return t * end + math.sqrt(bridge.tau * t * (1 - t)) * second


# ----------------------------------------------------------------------------------------------
# Figures


def density_figure(
    bridge: PlaneBridge, gan: Callable[[int, int], Tensor], sizes: Sizes, seed: int
) -> Figure:
    """Fig. 2: the truth, the ends of both stages, and the GAN."""
    n = 4 * sizes.particles
    smoothed, drawn = ends(bridge, n, seed, sizes.steps)
    panels = {
        "data": bridge.distribution.sample(n, seed),
        "data + noise": states(bridge, 2, 0.0, n, seed),
        "end of stage 1": smoothed,
        "end of stage 2": drawn,
        "vanilla GAN": gan(n, seed),
    }
    figure = Figure(figsize=(15, 3.4), layout="constrained")
    for axes, (title, points) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        _show_density(axes, points, title)
    return figure


def shape_figure(bridges: dict[str, PlaneBridge], sizes: Sizes, seed: int) -> Figure:
    """Truth, end of stage 1 and end of stage 2 of every distribution."""
    figure = Figure(figsize=(3 * len(bridges), 9.2), layout="constrained")
    rows = figure.subplots(3, len(bridges))
    for column, bridge in enumerate(bridges.values()):
        n = 4 * sizes.particles
        points = (bridge.distribution.sample(n, seed), *ends(bridge, n, seed, sizes.steps))
        for axes, each in zip(rows[:, column], points, strict=True):
            _show_density(axes, each)
        rows[0, column].set_title(bridge.distribution.title)
    for axes, label in zip(rows[:, 0], ("data", "end of stage 1", "end of stage 2"), strict=True):
        axes.set_ylabel(label)
    return figure


def ends(bridge: PlaneBridge, n: int, seed: int, steps: int) -> tuple[Tensor, Tensor]:
    """Ends of stage 1 and of stage 2 of one run of the learned networks, (n, 2) each."""
    middle = last = None
    for last in bridge.generate(n, seed, steps=steps):
        middle = last if last.stage == 1 else middle
    return middle.x, last.x


def velocity_figure(bridge: PlaneBridge) -> Figure:
    """Fig. 3: the drift of both stages, truth above estimate, over the true density."""
    figure = Figure(figsize=(3 * len(TIMES), 6.4), layout="constrained")
    rows = figure.subplots(2, len(TIMES))
    line = torch.linspace(-EXTENT + 1, EXTENT - 1, 19)
    where = torch.cartesian_prod(line, line)
    for column, (stage, t) in enumerate(TIMES):
        truth, estimate = (
            bridge.velocity(stage, t, where, networks=networks) for networks in ("exact", "learned")
        )
        seen = state_density(bridge, stage, t, where)
        longest = float(truth[seen > SEEN].norm(dim=1).quantile(0.9))
        for axes, field in zip(rows[:, column], (truth, estimate), strict=True):
            side = torch.linspace(-EXTENT, EXTENT, CELLS)
            density = state_density(bridge, stage, t, torch.cartesian_prod(side, side))
            _show_image(axes, density.view(CELLS, CELLS).T)
            _show_arrows(axes, where, field / longest, seen)
        rows[0, column].set_title(f"stage {stage}, t = {t:g}")
    rows[0, 0].set_ylabel("truth")
    rows[1, 0].set_ylabel("estimate")
    return figure


def state_density(bridge: PlaneBridge, stage: int, t: float, x: Tensor) -> Tensor:
    """Density of X_t in closed form, as a part of its maximum over the points; (k,)."""
    if stage == 1:  # X_t / t is data plus noise
        log = bridge.distribution.log_density(x / t, stage1_noise_level(t, SIGMA, TAU))
    else:
        log = bridge.distribution.log_density(x, stage2_noise_level(t, SIGMA))
    return (log - log.max()).exp()


def _show_density(axes: Axes, points: Tensor, title: str = "") -> None:
    """A Gaussian kernel estimate of the density: a fine histogram, smoothed."""
    bounds = [-EXTENT, EXTENT, -EXTENT, EXTENT]
    counts = torch.histogramdd(points, bins=[CELLS, CELLS], range=bounds).hist
    smooth = gaussian_filter(counts.T.numpy(), WIDTH * CELLS / (2 * EXTENT))
    _show_image(axes, torch.from_numpy(smooth))
    axes.set_title(title)


def _show_image(axes: Axes, density: Tensor) -> None:
    """A density (rows from below); its root, else the sharpest mode alone is seen."""
    extent = (-EXTENT, EXTENT, -EXTENT, EXTENT)
    axes.imshow(density.sqrt().numpy(), origin="lower", extent=extent, cmap=COLOURS)
    axes.set_xticks([])
    axes.set_yticks([])


def _show_arrows(axes: Axes, where: Tensor, field: Tensor, seen: Tensor) -> None:
    """Arrows of a drift, pale where no particle comes: nothing is learned there."""
    length = field.norm(dim=1, keepdim=True).clamp(min=1e-9)
    shown = field * (length.clamp(max=1.2) / length)  # long ones would hide the others
    alpha = torch.where(seen > SEEN, 1.0, 0.15).numpy()
    x, y = where.T.numpy()
    axes.quiver(x, y, *shown.T.numpy(), color=ARROWS, alpha=alpha, scale=17, width=0.006)
