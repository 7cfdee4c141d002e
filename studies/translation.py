"""Translated pictures before a judge, a classifier of the other set; the model card."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sbcore.data.pictures import load_images, load_labels
from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.plan import BridgePlan
from sbcore.ipf.reference import DIRECTIONS, opposite
from sbcore.plane.pairs import held_out
from sbcore.runtime import checks
from sbcore.runtime.metrics import frechet_distance
from studies.classifier import FEATURES, Classifier, accuracy, train_classifier
from studies.report import Progress, Report, Table, contact_sheet

CONFIDENT = 0.9  # probability of the likeliest class
REACHED = 0.01  # share of the pictures that a class has at least, to count as reached
SHOWN = 12  # pictures of the sheet, in each direction
OUTCOMES = 3
COLUMNS = ("direction", "pictures", "confident", "classes", "rarest class", "Frechet distance")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the table of pictures."""
    model = Path("checkpoints/digits-letters")
    parser.add_argument("--model", type=Path, default=model, help="translates between IDX sets")
    parser.add_argument("--source", help="IDX pictures that it starts from, labels beside them")
    parser.add_argument("--target", help="those that it ends in; without both: no such table")
    parser.add_argument("--count", type=int, default=500, help="held-out pictures translated")
    parser.add_argument("--epochs", type=int, default=20, help="of the classifiers")
    parser.add_argument("--write", action="store_true", help="write card and pictures there")


@dataclass(frozen=True)
class Judged:
    """One set: its held-out pictures and who judges what shall be like them."""

    name: str
    seen: Tensor
    """As many others of the set, (n, 1, h, w): the floor."""
    held_out: Tensor
    """(n, 1, h, w) in [0, 1]."""
    classifier: Classifier
    accuracy: float
    """Of the classifier on the set's unseen pictures."""
    confident_accuracy: float
    """On those that it is confident about."""

    def judge(self, pictures: Tensor) -> tuple[float, int, float, float]:
        """Share of confident ones, classes reached, share of the rarest, Frechet distance."""
        likeliest, found = self.classifier.probabilities(pictures).max(1)
        confident = likeliest >= CONFIDENT
        classes = self.classifier.head[-1].out_features
        shares = found[confident].bincount(minlength=classes) / len(pictures)
        features = [self.classifier.features(each) for each in (pictures, self.held_out)]
        return (
            float(confident.float().mean()),
            int((shares >= REACHED).sum()),
            float(shares.min()),
            frechet_distance(*features),
        )


def pictures_part(report: Report, options: argparse.Namespace, progress: Progress) -> None:
    """Add the table of translated pictures, by iteration, and a sheet; write the card."""
    count = checks.whole("count", options.count, least=10)
    epochs = checks.whole("epochs", options.epochs)
    if options.quick:
        count, epochs = 20, 1
    bridge = TranslationBridge.from_pretrained(options.model)
    sets = [
        open_set(name, path, bridge.shape, count, epochs, options.seed, progress)
        for name, path in zip(bridge.sets, (options.source, options.target), strict=True)
    ]
    table = Table("Translated pictures", COLUMNS)
    for direction, first, last in zip(DIRECTIONS, sets, sets[::-1], strict=True):
        way = f"{first.name} to {last.name}"
        table.rows.append((way, "not translated", *last.judge(first.held_out)))
        for title, model in iterations(options.model, bridge):
            progress(f"{way}, {title}", 0, 1)
            translated = (
                model.translate(first.held_out, direction, seed=options.seed).result().cpu()
            )
            table.rows.append((way, title, *last.judge(translated)))
            progress(f"{way}, {title}", 1, 1)
        table.rows.append((way, f"real {last.name} of the training set", *last.judge(last.seen)))
    table.note = note(sets, count)
    report.tables.append(table)
    sheet = contact_sheet(examples(bridge, sets, options.seed), SHOWN)
    report.pictures["translated"] = sheet
    if options.write:
        (options.model / "README.md").write_text(card(bridge, table), encoding="utf-8")
        sheet.save(options.model / "sheet.png", optimize=True)


def open_set(
    name: str,
    path: str,
    shape: tuple[int, ...],
    count: int,
    epochs: int,
    seed: int,
    progress: Progress,
) -> Judged:
    """Load a set, train its classifier on all but the held-out pictures, and test it on them.

    Raises:
        ValueError: If fewer than ``count`` are held out, or there are no labels for all.
    """
    pictures = load_images(path, shape[-1], shape[0]).float() / 255
    labels = load_labels(path)
    if len(labels) != len(pictures):
        raise ValueError(f"{path} has {len(pictures)} pictures, but {len(labels)} labels")
    held = held_out(len(pictures))
    if held < count:
        raise ValueError(f"{held} of the {len(pictures)} pictures of {path} are held out: too few")
    seen, unseen = pictures[:-held], pictures[-held:]
    what = f"classifier of {name}"
    classifier = train_classifier(seen, labels[:-held], epochs, seed, progress, what)
    right = [accuracy(classifier, unseen, labels[-held:], least) for least in (0.0, CONFIDENT)]
    return Judged(name, seen[-count:], unseen[-count:], classifier, *right)


def iterations(folder: Path, bridge: TranslationBridge) -> Iterator[tuple[str, TranslationBridge]]:
    """The model after each iteration, as far as its training is at hand, and as it is."""
    done = bridge.facts.get("training", {}).get("half_bridges", 0) / 2
    for number in range(1, math.ceil(done)):
        path = folder / "training" / f"iteration-{number}"
        if path.is_dir():
            yield f"iteration {number}", TranslationBridge.from_pretrained(path, bridge.device)
    yield f"iteration {done:g}", bridge


def note(sets: list[Judged], count: int) -> str:
    """What the numbers mean."""
    right = " and ".join(
        f"{each.accuracy:.1%} of {each.name} ({each.confident_accuracy:.1%} where confident)"
        for each in sets
    )
    return (
        f"{count} held-out pictures each. Classifiers trained beside it are right on {right} that "
        f"they have not seen. confident: share with a probability of {CONFIDENT:g} or more; "
        f"classes: those with {REACHED:.0%} of the pictures or more, confident; Frechet distance: "
        f"to as many held-out pictures, in the {FEATURES} features of the classifier."
    )


def examples(bridge: TranslationBridge, sets: list[Judged], seed: int) -> Tensor:
    """Pictures above their translations, both directions; made by the model, so free to share."""
    rows = []
    for direction, each in zip(DIRECTIONS, sets[::-1], strict=True):
        start = bridge.translate(each.held_out[:SHOWN], opposite(direction), seed=seed).result()
        found = bridge.translate(start, direction, n=OUTCOMES, seed=seed).result()
        rows += [start, *found.view(len(start), OUTCOMES, *start.shape[1:]).unbind(1)]
    return torch.cat(rows).cpu()


def card(bridge: TranslationBridge, table: Table) -> str:
    """The model card in Markdown."""
    facts: dict[str, Any] = bridge.facts
    training, about = facts["training"], facts.get("data", {})
    plan, licence = BridgePlan(**training["plan"]), about.get("license", "unknown")
    first, last = bridge.sets
    images = plan.batch_size * sum(map(plan.length, range(training["half_bridges"])))
    lines = [
        f"---\nlicense: other\nlicense_name: {licence!r}\nlibrary_name: sbcore\n---\n",
        f"# {bridge.name}\n",
        f"Translates {first} to {last} and back: a Schrödinger bridge between the two sets.\n",
        f"![{first} above {OUTCOMES} translations each; below, {last} to {first}](sheet.png)\n",
        f"Rows 1 and {OUTCOMES + 2} are the model's own, translated from held-out {last} and "
        f"{first}; below each its {OUTCOMES} translations, not selected.\n",
        f"- **Data**: {about.get('name', 'unknown')}.",
        f"- **Licence of the weights**: {licence}.",
        f"- **Method**: {bridge.method.upper()}, {training['half_bridges'] // 2} iterations; "
        f"reference of sigma = {bridge.sigma:g} on values in [-1, 1]; {bridge.steps} evaluations.",
        f"- **Training**: {images:,} pictures seen by the two networks together, "
        f"{training['seconds'] / 3600:.1f} hours on {training['device']}.\n",
        table.markdown(),
        "The table and the pictures are made by\n",
        f"    python evaluate.py dsb --parts pictures --model checkpoints/{bridge.name} "
        "--source IDX --target IDX --write\n",
        "Rows of earlier iterations need the training folder. A translation keeps what the "
        "cheapest path in pixels keeps: slant, weight, outline; it does not map a digit to a "
        "certain letter.\n",
    ]
    return "\n".join(lines)
