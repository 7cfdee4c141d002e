"""Train a model: ``python train.py score --data PICTURES --out checkpoints/NAME``.

Runs on a CPU, a GPU, or, but for ``dsb``, several (``accelerate launch train.py ...``). Ctrl-C
stops with a usable checkpoint; ``--resume`` continues exactly where the run stopped.
``python train.py COMMAND --help`` lists the options of a command with their defaults.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import math
import os
import signal
import sys
import textwrap
from contextlib import nullcontext
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import torch
from torch import Tensor
from tqdm import tqdm

from sbcore.data.pictures import load_images, split_held_out, split_validation
from sbcore.features import feature_trainer
from sbcore.ipf.network import NetworkConfig
from sbcore.ipf.plan import BridgePlan
from sbcore.ipf.reference import DIRECTIONS, METHODS
from sbcore.ipf.training import BridgeTrainer
from sbcore.plane.pairs import PLANE, Loading, open_pair
from sbcore.runtime import checkpoints
from sbcore.runtime.learner import Plan
from sbcore.runtime.lock import locked
from sbcore.runtime.optimizers import OPTIMIZERS
from sbcore.runtime.trainer import NetworkPlan, Progress, Trainer, states
from sbcore.twostage.bridge import Bridge
from sbcore.twostage.denoiser import DenoiserConfig, load_denoiser, save_denoiser
from sbcore.twostage.instant import FEW, LEVELS, LONGER, TRUST, save_rule
from sbcore.twostage.instant import FILE as INSTANT
from sbcore.twostage.mixture import (
    COMPONENTS,
    WIDTH,
    fit_mixture,
    held_out_gain,
    mirrored,
    save_mixture,
)
from sbcore.twostage.mixture import FILE as MIXTURE
from sbcore.twostage.neon import choices, draw_own
from sbcore.twostage.training import PRESETS, ScorePlan, ratio_trainer, score_trainer

EXAMPLES = """
  python train.py score --data celeba.zip --out checkpoints/mine --images 400000
  python train.py score --data celeba.zip --out checkpoints/mine --optimizer muon --open-ended
  python train.py score --data celeba.zip --out checkpoints/mine --optimizer muon --finish 100000
  python train.py ratio --data celeba.zip --out checkpoints/mine --max-minutes 10
  python train.py mixture --data celeba.zip --out checkpoints/mine
  python train.py instant --out checkpoints/mine
  python train.py neon --data celeba.zip --out checkpoints/mine --overwrite
  python train.py features --data celeba.zip --out checkpoints/features --images 500000
  python train.py dsb --source digits-idx3-ubyte.gz --target letters.zip --out checkpoints/pair
  python train.py dsb --source moons --target spirals --out checkpoints/plane --resume
"""
IMAGES = 400_000  # of a run that is given no length
# Of each command: what it is for, the file that it publishes, the folder of its training state.
COMMANDS = {
    "score": ("train the denoiser", "config.json", "training"),
    "ratio": ("train the density-ratio network of paper mode", "ratio.json", "training-ratio"),
    "mixture": ("fit the closed form of q_sigma to training pictures", MIXTURE, ""),
    "instant": ("fit the few steps of instant mode to the model itself", INSTANT, ""),
    "neon": ("step away from what a model learns from its own pictures", "config.json", ""),
    "features": ("train the network that compares sets", "features.json", "training-features"),
    "dsb": ("train a bridge between two sets", "config.json", "training"),
}
CHOICES = {"optimizer": OPTIMIZERS, "method": METHODS}
FLAGS = {"learning_rate": "--lr"}
STOPS = (signal.SIGINT, signal.SIGTERM)  # also in the background, also from a scheduler
PlanT = TypeVar("PlanT", bound=Plan)


# ----------------------------------------------------------------------------------------------
# Command line


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    layout: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(description=__doc__, epilog=examples(), **layout)
    commands = parser.add_subparsers(dest="command", required=True)
    score, ratio, mixture, instant, neon, features, dsb = (
        commands.add_parser(
            name,
            help=purpose,
            description=f"{purpose.capitalize()}.",
            epilog=examples(name),
            **layout,
        )
        for name, (purpose, *_) in COMMANDS.items()
    )
    run = ("max_minutes", "batch_size", "learning_rate", "seed", "save_minutes")
    network_run = (*run, "evaluate_minutes")
    for sub in (score, ratio, mixture, neon, features):
        add(sub, "--data", "folder, zip, CIFAR archive or IDX file", required=True)
        add(sub, "--val", "held-out pictures; without: val beside train, or 5 % of the data")
        add(sub, "--limit", "use at most this many pictures; without: all", type=int)
    for sub in (score, ratio, features):
        length = f"training pictures in all; without: by --max-minutes, else {IMAGES:,}"
        add(sub, "--images", length, type=int)
    add_fields(score, ScorePlan, *network_run, "optimizer", "open_ended", "finish", "ema")
    add_fields(score, ScorePlan, "long_ema", "decay", "noise_mean", "noise_std", "noise_tail")
    add(score, "--preset", "picture size, network, sigma and tau", "celeba64", choices=PRESETS)
    network = ("rank", "channels", "blocks", "attention", "dropout")
    add_fields(score, DenoiserConfig, *network, **dict.fromkeys(network))
    add(score, "--init", "checkpoint whose weights a new run starts from; without: random ones")
    add(score, "--compile", "use torch.compile", action="store_true")
    add_fields(ratio, NetworkPlan, *network_run, learning_rate=1e-4)
    add(ratio, "--channels", "width of the network", 64, type=int)
    add(mixture, "--components", "leading ones that have kernels", COMPONENTS, type=int)
    add(mixture, "--width", "of a kernel, in standard deviations", WIDTH, type=float)
    add(instant, "--evaluations", f"of the network, at most {max(LEVELS)}", FEW, type=int)
    add(instant, "--starts", f"runs of {LONGER} evaluations to fit to", 512, type=int)
    add(instant, "--trust", "in the data's variances, 0 to 1, not the runs'", TRUST, type=float)
    add(instant, "--seed", "of their starts", 0, type=int)
    add(neon, "--samples", "pictures to draw and learn from", 6000, type=int)
    add(neon, "--fills", "holes of training pictures to fill and learn from", 1200, type=int)
    many: dict[str, Any] = {"nargs": "+", "metavar": "N"}
    add(neon, "--snapshots", "own pictures seen, rising", (2000, 4000, 8000), type=int, **many)
    add(neon, "--strengths", "w of the steps", (0.3, 0.4, 0.5, 0.6, 0.7), type=float, **many)
    add(neon, "--seed", "of everything random", 0, type=int)
    add_fields(features, NetworkPlan, *network_run, learning_rate=2e-3, batch_size=128)
    add(features, "--size", "side of the pictures, in pixels", 64, type=int)
    add(features, "--grey", "pictures without colours", action="store_true")
    sets = f"set to start from: pictures as for score, or one of {', '.join(PLANE)}"
    add(dsb, "--source", sets, required=True)
    add(dsb, "--target", "set to end in, likewise", required=True)
    add(dsb, "--names", "of the sets, for people; without: of their files", nargs=2)
    add_fields(dsb, BridgePlan, "method", "sigma", "steps", "contrast", "printed", "iterations")
    add_fields(dsb, BridgePlan, "half_steps", "first", "cache", "refresh", "evaluate", *run)
    add(dsb, "--size", "side of the pictures, in pixels", 28, type=int)
    add(dsb, "--colour", "pictures with colours", action="store_true")
    add(dsb, "--limit", "use at most this many pictures of a set; without: all", type=int)
    add_fields(dsb, NetworkConfig, "width", "patch", "channels")
    for sub in (score, features, dsb):
        add(sub, "--dataset", "name of the data, for the model card; without: of its files")
        add(sub, "--license", "terms of the weights, for the model card; without: unknown")
    for sub in (mixture, instant, neon):
        add(sub, "--out", "checkpoint folder, which holds the denoiser", required=True, type=Path)
    for sub in (score, ratio, features, dsb):
        add(sub, "--out", "checkpoint folder", required=True, type=Path)
        precisions = ("auto", "bf16", "fp32")
        add(sub, "--precision", "auto: bf16 where it is fast", "auto", choices=precisions)
        add(sub, "--cpu", "do not use a GPU", action="store_true")
        add(sub, "--resume", "go on with the run in --out, if there is one", action="store_true")
    for sub in (score, ratio, mixture, instant, neon, features, dsb):
        add(sub, "--overwrite", "replace what --out holds of this kind", action="store_true")
    return parser.parse_args(arguments)


def examples(command: str = "") -> str:
    """Those of a command, or all, for the end of a help text."""
    lines = [line for line in EXAMPLES.splitlines() if f"train.py {command}" in line]
    return "\n".join(["examples:", *lines])


def add(
    parser: argparse.ArgumentParser, flag: str, text: str, default: Any = None, **options: Any
) -> None:
    """Add an option; its help names its default."""
    if options.get("required"):
        text += " (required)"
    elif options.get("action") == "store_true":
        text += " (default: off)"
    elif default is not None:
        many = isinstance(default, tuple)
        text += f" (default: {' '.join(map(str, default)) if many else default})"
        options["default"] = default
    parser.add_argument(flag, help=text.replace("%", "%%"), **options)


def add_fields(parser: argparse.ArgumentParser, config: type, *names: str, **defaults: Any) -> None:
    """Add an option for each named field of a dataclass, with its type, docstring and default."""
    hints, docs = get_type_hints(config), field_docstrings(config)
    for name in names:
        default = defaults.get(name, getattr(config, name))
        text = docs[name].rstrip(".")
        if default is None:
            text += f" (default: {'as in the preset' if name in defaults else 'none'})"
        text = text[0].lower() + text[1:] if text[1].islower() else text
        options: dict[str, Any] = {"dest": name}
        kind = hints[name]
        if kind is bool:
            options["action"] = "store_true"
        elif kind == tuple[bool, ...]:
            options |= {"type": int, "nargs": "+", "metavar": "0|1"}
        else:
            inner = get_args(kind)
            options["type"] = inner[0] if inner else kind
            options |= {"nargs": "+"} if inner and inner[-1] is ... else {}
        if name in CHOICES:
            options["choices"] = CHOICES[name]
        add(parser, FLAGS.get(name, "--" + name.replace("_", "-")), text, default, **options)


def field_docstrings(config: type) -> dict[str, str]:
    """What stands below each field of a dataclass or of its bases."""
    found = {}
    for base in reversed(config.__mro__[:-1]):
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        for field, text in pairwise(getattr(tree, "body", [])):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                found[ast.unparse(field.target)] = ast.literal_eval(text.value)
    return found


# ----------------------------------------------------------------------------------------------
# What is trained


def make_trainer(options: argparse.Namespace) -> Trainer:
    """Load the data and build the trainer that the command line asks for.

    Raises:
        ValueError: If an option cannot be used, or a model or run would be lost.
    """
    makers = {"score": _score, "ratio": _ratio, "features": _features, "dsb": _bridge}
    common = {name: getattr(options, name) for name in ("precision", "resume", "cpu")}
    return makers[options.command](options, common)


def refuse_to_replace(options: argparse.Namespace) -> None:
    """A ValueError if the command would replace a model or run unasked."""
    _, published, training = COMMANDS[options.command]
    branch = getattr(options, "finish", None) is not None
    folder = options.out / (f"{training}-finish" if branch else training)
    begun = bool(training and states(folder))
    if options.overwrite or (begun and options.resume):
        return
    if begun:
        raise ValueError(
            f"{folder} holds the state of a run: --resume goes on, --overwrite begins anew"
        )
    if (options.out / published).exists() and not branch:
        what = "a finished model and no run to resume" if training else published
        raise ValueError(f"{options.out} holds {what}: --overwrite replaces it")


def _plan(kind: type[PlanT], options: argparse.Namespace, **more: Any) -> PlanT:
    given = {f.name: getattr(options, f.name) for f in fields(kind) if hasattr(options, f.name)}
    endless = given.get("open_ended") or given.get("finish") or given.get("max_minutes")
    if "images" in given and given["images"] is None and not endless:
        given["images"] = IMAGES
    return kind(**given | more)


def _facts(options: argparse.Namespace, name: str) -> dict[str, Any]:
    licence = {"license": options.license} if options.license else {}
    return {"data": {"name": options.dataset or name, **licence}}


def _score(options: argparse.Namespace, common: dict[str, Any]) -> Trainer:
    plan = _plan(ScorePlan, options)
    preset = PRESETS[options.preset]
    names = ("rank", "channels", "blocks", "attention", "dropout")
    chosen = {name: getattr(options, name) for name in names}
    if options.attention is not None:
        chosen["attention"] = tuple(map(bool, options.attention))
    given = {name: value for name, value in chosen.items() if value is not None}
    preset = replace(preset, name=options.out.name, network=replace(preset.network, **given))
    network = preset.network
    pictures, held_out = load_pictures(options, network.image_size, network.image_channels)
    more = {"compile": options.compile, "init": options.init}
    facts = _facts(options, Path(options.data).name)
    return score_trainer(
        pictures, held_out, preset, plan, options.out, **more, facts=facts, **common
    )


def _ratio(options: argparse.Namespace, common: dict[str, Any]) -> Trainer:
    # As the paper's code: the large weight decay keeps the log ratio bounded.
    plan = _plan(NetworkPlan, options, beta1=0.5, weight_decay=1.0)
    denoiser, config = load_denoiser(checkpoints.locate(options.out))
    c, size, _ = denoiser.shape
    pictures, held_out = load_pictures(options, size, c)
    bridge = {"sigma": config["sigma"], "tau": config["tau"]}
    bridge["flip"] = config.get("training", {}).get("flip", True)
    return ratio_trainer(
        pictures, held_out, denoiser.mean, plan, options.out, channels=options.channels,
        **bridge, **common,
    )  # fmt: skip


def _features(options: argparse.Namespace, common: dict[str, Any]) -> Trainer:
    plan = _plan(NetworkPlan, options, warmup_steps=100)
    pictures, held_out = load_pictures(options, options.size, 1 if options.grey else 3)
    facts = _facts(options, Path(options.data).name)
    return feature_trainer(pictures, held_out, plan, options.out, facts=facts, **common)


def _bridge(options: argparse.Namespace, common: dict[str, Any]) -> Trainer:
    plan = _plan(BridgePlan, options)
    loading = Loading(options.size, 3 if options.colour else 1, options.limit)
    source, target = open_pair(options.source, options.target, loading, options.seed)
    levels = len(options.channels)
    network = NetworkConfig(
        source.shape,
        width=options.width,
        patch=options.patch,
        channels=options.channels,
        blocks=(2,) * levels,
        attention=(*(False,) * (levels - 1), True),
    )
    facts = _facts(options, f"{source.name}, {target.name}")
    facts |= {"sets": options.names} if options.names else {}
    return BridgeTrainer(source, target, network, plan, options.out, facts=facts, **common)


def load_pictures(options: argparse.Namespace, size: int, channels: int) -> tuple[Tensor, Tensor]:
    """Training pictures, and those held out for selection, uint8 (n, c, size, size).

    Raises:
        ValueError: If they cannot be read, or no pixel differs from picture to picture.
    """
    with tqdm(unit="img", desc="loading", disable=None if first() else True) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if done == total:
                bar.close()  # a warning may follow

        pictures = load_images(options.data, size, channels, options.limit, show)
    val = options.val or split_validation(options.data)
    if val is not None:
        held_out = load_images(val, size, channels)
    else:
        held = max(1, min(500, len(pictures) // 20))
        pictures, held_out = pictures[:-held], pictures[-held:]
    if torch.equal(pictures.amin(0), pictures.amax(0)):
        raise ValueError(f"{options.data} holds one picture only, many times over")
    return pictures, split_held_out(held_out)[0]


def fit_mixture_of(options: argparse.Namespace) -> None:
    """Fit the mixture of a model; print what it gains on the pictures held out for selection."""
    denoiser, config = load_denoiser(checkpoints.locate(options.out))
    c, size, _ = denoiser.shape
    pictures, held_out = load_pictures(options, size, c)
    linear, flip = denoiser.linear, config.get("training", {}).get("flip", True)
    mixture = fit_mixture(pictures, denoiser.mean, linear, options.components, options.width)
    save_mixture(options.out, mixture, flip)
    whole = mirrored(mixture, linear, denoiser.shape) if flip else mixture
    gain = held_out_gain(whole, linear, held_out / 255.0 - denoiser.mean, config["sigma"])
    print(
        f"{len(whole):,} kernels on {options.components} components: held-out pictures gain "
        f"{gain:+.2f} in log q_sigma over the Gaussian."
    )


def fit_instant(options: argparse.Namespace) -> None:
    """Fit the rule of instant mode to a model's own runs."""
    folder = checkpoints.locate(options.out)
    bridge = Bridge.from_pretrained(folder)
    with tqdm(total=LONGER, desc="longer runs") as bar:
        rule = bridge.fit_rule(
            options.evaluations, options.starts, options.seed, options.trust, lambda _: bar.update()
        )
    save_rule(folder, rule, bridge.denoiser)


def step_by_neon(options: argparse.Namespace) -> None:
    """Publish the step away from a model's own pictures whose pictures are the best."""
    folder = checkpoints.locate(options.out)
    bridge = Bridge.from_pretrained(folder)
    config = bridge.facts
    if "neon" in config.get("training", {}):
        raise ValueError(f"{folder} has made this step already: begin with weights of a run")
    pictures, held_out = load_pictures(options, bridge.shape[-1], bridge.shape[0])
    with tqdm(unit="img", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        own = draw_own(bridge, pictures, options.samples, options.fills, options.seed, show)
        found = []
        for choice in choices(
            bridge, own, held_out, options.snapshots, options.strengths, options.seed, show
        ):
            found.append(choice)
            bar.write(f"{choice.images:,} images, w = {choice.w:g}: {choice.distance:.1f}")
    best = min(found, key=lambda choice: choice.distance)
    if not best.w:
        raise ValueError(f"no step makes the pictures better: {folder} stays as it is")
    step = {"images": best.images, "w": best.w, "distance": round(best.distance, 1)}
    step |= {"before": round(found[0].distance, 1), "samples": len(own.drawn)}
    training = config.get("training", {}) | {"neon": step}
    own_facts = {name: config[name] for name in ("name", "sigma", "tau", "data") if name in config}
    network = DenoiserConfig(**config["network"])
    save_denoiser(folder, best.denoiser, network, **own_facts, training=training)


FITS = {"mixture": fit_mixture_of, "instant": fit_instant, "neon": step_by_neon}

# ----------------------------------------------------------------------------------------------
# The run


def run(trainer: Trainer) -> None:
    """Train, with a progress bar; print what is measured as it goes."""
    main = trainer.accelerator.is_main_process
    if trainer.accelerator.num_processes > 1:
        for name in STOPS:
            signal.signal(name, lambda *_: trainer.stop())
    if trainer.finished and main:
        done = f"{trainer.images - trainer.branched:,} images are done"
        asked = f", {trainer.length:,} were asked for" if trainer.length < math.inf else ""
        print(f"Nothing is left to do: {done}{asked}.", file=sys.stderr)
    style = "{desc} {percentage:3.0f}%|{bar:20}| {postfix}"
    with tqdm(total=1000, desc="training", disable=not main, bar_format=style) as bar:
        for progress in trainer:
            bar.n = round(1000 * progress.fraction)
            left = ""
            if progress.seconds_left < float("inf"):
                minutes, seconds = divmod(round(progress.seconds_left), 60)
                left = f", {minutes}:{seconds:02d} left"
            bar.set_postfix_str(
                f"loss {progress.loss:.4f}, {progress.images:,} images, "
                f"{progress.images_per_second:.0f}/s{left}"
            )
            if progress.evaluation is not None and main:
                bar.write(describe(progress))
    if not trainer.finished and main:
        print(f"Out of time {trainer.place}; --resume continues.", file=sys.stderr)


def describe(progress: Progress) -> str:
    """What was measured, as a line of text: by noise level, or by direction."""
    found = progress.evaluation or {}
    if "trained" not in found:
        line = f"{progress.images:,} images: held-out {found['score']:.5f}"
        levels = found.get("by_noise_level", {})
        return line + "".join(f"  s={level}: {error:.5f}" for level, error in levels.items())
    line = f"iteration {found['iteration']}, {found['trained']} trained:"
    for way in DIRECTIONS:
        values = found[way]
        line += (
            f"  {way} distance {values['distance']:.4f} (floor {values['floor']:.4f}), "
            f"energy {values['energy']:.3f}, coupling {values['coupling']:.3f}"
        )
    return line


def first() -> bool:
    """Whether this is the first process of accelerate launch, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def main() -> int:
    """Entry point."""
    options = parse_arguments()
    for name in STOPS:
        signal.signal(name, signal.default_int_handler)
    try:
        with locked(options.out) if first() else nullcontext():
            refuse_to_replace(options)
            if options.command in FITS:
                FITS[options.command](options)
            else:
                run(make_trainer(options))
    except KeyboardInterrupt:
        published = options.out / COMMANDS[options.command][1]
        usable = hasattr(options, "resume") and published.exists()
        hint = f" {options.out} is usable; --resume continues." if usable else ""
        if first():
            print(f"\nStopped.{hint}", file=sys.stderr)
        return 130
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error
        print(f"error: {what}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
