"""Measure models: ``python evaluate.py card checkpoints/NAME --data TRAINING_PICTURES``.

Each command prints Markdown and writes it, with its pictures, under ``results/``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from sbcore import DEFAULTS, SOLVERS, Bridge, cards, data
from sbcore.bridge import Default


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    card = commands.add_parser("card", help="measure a model and write its card")
    card.add_argument("model", type=Path, help="checkpoint folder")
    card.add_argument("--data", required=True, help="the pictures that it was trained on")
    card.add_argument("--val", help="held-out pictures (default: val beside train)")
    card.add_argument("--count", type=int, default=500, help="pictures of each set")
    default = DEFAULTS["generate"]
    card.add_argument("--solver", choices=SOLVERS, default=default.solver)
    card.add_argument("--steps", type=int, default=default.steps, help="network evaluations")
    card.add_argument("--write", action="store_true", help="write README.md and sheet.png there")
    return parser.parse_args(arguments)


def card(options: argparse.Namespace) -> None:
    """Measure a model; print its card."""
    bridge = Bridge.from_pretrained(options.model)
    c, size, _ = bridge.shape
    val = options.val or data.split_validation(options.data)
    if val is None:
        raise ValueError("there is no val beside the training pictures; give --val")
    training = data.load_images(options.data, size, c)
    held_out = data.load_images(val, size, c)
    with tqdm(total=options.count, unit="img", desc="drawing", disable=None) as bar:
        found = cards.measure(
            bridge,
            training,
            held_out,
            options.count,
            lambda done, _: bar.update(done - bar.n),
            Default(options.solver, options.steps),
        )
    command = f"python evaluate.py card {options.model} --data {Path(options.data).name}"
    text = cards.card(bridge.name, bridge.facts, found, command)
    print(text)
    results = Path("results")
    results.mkdir(exist_ok=True)
    # Beside the card, not in it: these are training pictures.
    cards.neighbour_sheet(found).save(results / f"{bridge.name}-neighbours.png")
    folder = options.model if options.write else results / bridge.name
    folder.mkdir(exist_ok=True)
    cards.sheet(found["pictures"]).save(folder / "sheet.png", optimize=True)
    (folder / "README.md").write_text(text, encoding="utf-8")


def main() -> int:
    """Entry point."""
    options = parse_arguments()
    try:
        {"card": card}[options.command](options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
