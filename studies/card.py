"""A model card: distances with their floors, contrast, held-out loss, memorising.

Example: python evaluate.py card checkpoints/celeba64 --data train.zip --write
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from sbcore.runtime.metrics import Neighbours, nearest_neighbours
from sbcore.twostage.bridge import DEFAULTS, Bridge, Default
from sbcore.twostage.solvers import SOLVERS
from studies import distances
from studies.album import Album
from studies.distances import make_ruler, measured_tables
from studies.report import Progress, Report, Table, contact_sheet

SHOWN = 64  # pictures of the sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py card``."""
    distances.add_arguments(parser)
    default = DEFAULTS["generate"]
    parser.add_argument("--solver", choices=SOLVERS, default=default.solver, help="step rule")
    parser.add_argument("--steps", type=int, default=default.steps, help="network evaluations")
    parser.add_argument("--write", action="store_true", help="write README.md and sheet.png there")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Measure a model; with ``--write``, put card and sheet beside its weights."""
    if options.quick:
        options = argparse.Namespace(**vars(options) | {"count": min(options.count, 16)})
    bridge = Bridge.from_pretrained(options.model, bf16=options.bf16 or None)
    ruler = make_ruler(options, bridge)
    count, sampler = len(ruler.real), Default(options.solver, options.steps)
    album = Album(options.out, options.model, bridge)
    chosen = sampler._asdict() | {"start": "closed form"}  # named as in the table of samplers
    drawn = album.generate("drawing", count, options.seed, progress, **chosen).pictures
    gaussian = bridge.gaussian(count, options.seed).cpu()
    sets = {"**model**": drawn, "Gaussian (no network)": gaussian}
    found = {name: ruler.measure(pictures) for name, pictures in sets.items()} | ruler.floors()
    rows = [((name,), measured) for name, measured in found.items()]
    near = {
        "pictures of the model": nearest_neighbours(drawn, ruler.training),
        "held-out pictures": nearest_neighbours(ruler.real, ruler.training),
    }
    title = f"Distances to {count} held-out pictures"
    note = distances.NOTE if ruler.inception.missing else ruler.note
    tables = measured_tables(title, (f"{count} of",), rows, note)
    text = card(bridge, tables, near, sampler, options)
    sheet = contact_sheet(drawn[:SHOWN])
    if options.write:
        (Path(options.model) / "README.md").write_text(text, encoding="utf-8")
        sheet.save(Path(options.model) / "sheet.png", optimize=True)
    # The neighbours are training pictures: they stay out of the model's folder.
    nearest = ruler.training[near["pictures of the model"].index[:16]] / 255.0
    both = torch.cat([drawn[:8], nearest[:8], drawn[8:16], nearest[8:16]])
    pictures: dict[str, Image.Image] = {"sheet": sheet, "neighbours": contact_sheet(both)}
    return Report(f"card-{bridge.name}", bridge.name, tables, pictures=pictures, text=text)


def _command(options: argparse.Namespace) -> str:
    """What was typed, but for the folder of the pictures."""
    typed = ["python evaluate.py card", options.model, "--data", Path(options.data).name]
    defaults = DEFAULTS["generate"]._asdict() | {"count": distances.COUNT, "seed": 0}
    for name, usual in defaults.items():
        if getattr(options, name) != usual:
            typed += [f"--{name}", getattr(options, name)]
    return " ".join(map(str, [*typed, *(["--bf16"] if options.bf16 else [])]))


def card(
    bridge: Bridge,
    tables: list[Table],
    near: dict[str, Neighbours],
    sampler: Default,
    options: argparse.Namespace,
) -> str:
    """The model card in Markdown."""
    config: dict[str, Any] = bridge.facts
    training, data = config["training"], config.get("data", {})
    shown = min(SHOWN, options.count)
    seeds = f"seeds {options.seed} to {options.seed + shown - 1}"
    licence = data.get("license", "unknown")
    network, steps = config["network"], sampler.steps
    parts = [
        f"---\nlicense: other\nlicense_name: {licence!r}\nlibrary_name: sbcore\n---\n",
        f"# {bridge.name}\n",
        f"![{shown} random pictures, {seeds}](sheet.png)\n",
        f"{seeds.capitalize()}, not selected; {SOLVERS[sampler.solver].title}, "
        f"{steps} evaluations.\n",
        f"- **Data**: {data.get('name', 'unknown')}; {training['pictures']:,} pictures"
        f"{' and their mirror images' if training.get('flip') else ''}.",
        f"- **Licence of the weights**: {licence}.",
        f"- **Training**: {training['images']:,} images seen, {training['seconds'] / 3600:.1f} "
        f"hours on {training['device']}; the weight average that was best on held-out pictures.",
        f"- **Bridge**: sigma = {bridge.sigma:g}, tau = {bridge.tau:g}; "
        f"{network['rank']} principal components in the Wiener filter.",
        f"- **Cost**: {steps} evaluations of the network for a picture above; what one takes, "
        "`evaluate.py bench` measures.\n",
        *(table.markdown() for table in tables),
        _loss_table(training).markdown(),
        _memory_table(near).markdown(),
        f"All figures above are printed by\n\n    {_command(options)}\n",
        "Faces are drawn, not recognised: the model is for research and play. It has learned the "
        "biases of its training set, and it must not be used to depict real people.\n",
    ]
    return "\n".join(parts)


def _loss_table(training: dict[str, Any]) -> Table:
    """Held-out loss, as training measured it."""
    levels = list(training["by_noise_level"])
    table = Table("Held-out loss", ("s", *levels))
    for name, key in (("model", "by_noise_level"), ("Wiener filter alone", "linear")):
        table.rows.append([name, *(f"{training[key][level]:.5f}" for level in levels)])
    table.note = (
        "Mean squared error of the denoiser by noise level s, on the held-out pictures that "
        "selected the weights."
    )
    return table


def _memory_table(near: dict[str, Neighbours]) -> Table:
    """Nearest-neighbour test against memorising."""
    table = Table(
        "Memorising", ("", "nearest / second nearest < 1/3", "median distance", "smallest")
    )
    for name, found in near.items():
        distance = found.nearest
        table.rows.append(
            [name, f"{found.copies:.1%}", float(distance.median()), float(distance.min())]
        )
    table.note = (
        "Nearest training picture of each picture, mirrored ones included; root-mean-square "
        "distance per value."
    )
    return table
