"""Train a model: ``python train.py score --data PICTURES --out checkpoints/NAME``.

``score`` trains the denoiser, ``ratio`` the density-ratio network of paper mode, ``features`` the
network whose features compare sets of pictures, ``dsb`` a bridge between two sets. Runs on a CPU,
a GPU, or, but for ``dsb``, several (``accelerate launch train.py ...``). Ctrl-C stops with a usable
checkpoint; ``--resume`` continues exactly where it stopped.
"""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sbcore import features
from sbcore.data.pictures import load_images, split_validation
from sbcore.ipf.network import NetworkConfig
from sbcore.ipf.reference import METHODS
from sbcore.ipf.training import SETTINGS, Fitter, Fitting
from sbcore.plane.pairs import PLANE, Loading, open_pair
from sbcore.runtime import checkpoints
from sbcore.runtime.optimizers import OPTIMIZERS
from sbcore.runtime.trainer import Plan, Progress, Trainer
from sbcore.twostage.denoiser import load_denoiser
from sbcore.twostage.training import PRESETS, ratio_trainer, score_trainer


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in (
        ("score", "train the denoiser"),
        ("ratio", "train the density-ratio network of paper mode"),
        ("features", "train the network that compares sets of pictures"),
    ):
        sub = commands.add_parser(command, help=text)
        sub.add_argument("--data", required=True, help="folder, zip, CIFAR archive or IDX file")
        sub.add_argument("--out", required=True, type=Path, help="checkpoint folder")
        sub.add_argument("--val", help="held-out pictures (default: val beside train, or 5 %%)")
        sub.add_argument("--limit", type=int, help="use at most this many pictures")
        sub.add_argument("--images", type=int, help="training images in all (default: 400,000)")
        sub.add_argument("--max-minutes", type=float, help="stop after this time")
        sub.add_argument("--batch-size", type=int, default=32)
        sub.add_argument("--lr", type=float, help="learning rate")
        sub.add_argument("--seed", type=int, default=0)
        sub.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
        sub.add_argument("--resume", action="store_true", help="continue the run in --out")
        sub.add_argument("--cpu", action="store_true", help="do not use a GPU")
        sub.add_argument("--save-minutes", type=float, default=5.0)
        sub.add_argument("--evaluate-minutes", type=float, default=10.0)
        if command == "ratio":
            sub.add_argument("--channels", type=int, default=64, help="width of the network")
            continue
        sub.add_argument("--dataset", help="name of the data set, for the model card")
        sub.add_argument("--license", help="terms of the weights, for the model card")
        if command == "features":
            sub.add_argument("--size", type=int, default=64, help="side of the pictures, in pixels")
            sub.add_argument("--grey", action="store_true", help="pictures without colours")
            sub.set_defaults(batch_size=128)
            continue
        sub.add_argument("--init", help="checkpoint whose weights a new run starts from")
        sub.add_argument("--optimizer", choices=OPTIMIZERS, default="adam")
        sub.add_argument(
            "--open-ended", action="store_true", help="constant learning rate until it is stopped"
        )
        sub.add_argument(
            "--finish",
            type=int,
            metavar="IMAGES",
            help="branch off the run in --out: the learning rate falls to 0 over so many images",
        )
        sub.add_argument("--long-ema", type=float, help="half-life of a second weight average")
        sub.add_argument("--preset", choices=PRESETS, default="celeba64")
        sub.add_argument("--rank", type=int, help="components of the Wiener filter; 0 = EDM")
        sub.add_argument("--channels", type=int, nargs="+", help="U-Net widths, finest first")
        sub.add_argument("--blocks", type=int, nargs="+", help="residual blocks of each width")
        sub.add_argument("--attention", type=int, nargs="+", help="1 for widths with attention")
        sub.add_argument("--dropout", type=float, help="dropout rate")
        sub.add_argument("--ema", type=float, default=0.05, help="half-life / images seen so far")
        sub.add_argument("--decay", type=float, default=0.3, help="part of the run with falling lr")
        sub.add_argument("--noise-mean", type=float, default=-1.6, help="mean of ln s")
        sub.add_argument("--noise-std", type=float, default=1.4, help="std of ln s")
        sub.add_argument("--noise-tail", type=float, default=0.1, help="part of s from [1, 40]")
        sub.add_argument("--compile", action="store_true", help="use torch.compile")
    add_dsb_arguments(commands.add_parser("dsb", help="train a bridge between two sets"))
    return parser.parse_args(arguments)


def add_dsb_arguments(sub: argparse.ArgumentParser) -> None:
    """Options of ``train.py dsb``; defaults of numbers are those of `ipf.Fitting`."""
    known = ", ".join(PLANE)
    plan = Fitting()
    sub.add_argument("--source", required=True, help=f"pictures as for score, or one of {known}")
    sub.add_argument("--target", required=True, help="likewise")
    sub.add_argument(
        "--names", nargs=2, metavar=("SOURCE", "TARGET"), help="of the sets, for people"
    )
    sub.add_argument("--out", required=True, type=Path, help="checkpoint folder")
    sub.add_argument("--method", choices=METHODS, default=plan.method)
    sub.add_argument("--sigma", type=float, default=plan.sigma, help="std of the reference")
    sub.add_argument("--steps", type=int, default=plan.steps, help="steps of a path")
    sub.add_argument("--contrast", type=float, default=plan.contrast, help="middle / end step")
    sub.add_argument("--printed", action="store_true", help="targets of dsb as in its paper")
    sub.add_argument("--iterations", type=int, default=plan.iterations)
    sub.add_argument("--half-steps", type=int, default=plan.half_steps, help="of a half-bridge")
    sub.add_argument("--first", type=float, default=plan.first, help="length of the first ones")
    sub.add_argument("--batch-size", type=int, default=plan.batch_size)
    sub.add_argument("--lr", dest="learning_rate", type=float, default=plan.learning_rate)
    sub.add_argument("--cache", type=int, default=plan.cache, help="paths simulated at once")
    sub.add_argument("--refresh", type=int, default=plan.refresh, help="steps between these")
    sub.add_argument("--evaluate", type=int, default=plan.evaluate, help="paths that are measured")
    sub.add_argument("--seed", type=int, default=plan.seed)
    sub.add_argument("--max-minutes", type=float, help="stop after this time")
    sub.add_argument("--save-minutes", type=float, default=plan.save_minutes)
    sub.add_argument("--size", type=int, default=28, help="side of the pictures, in pixels")
    sub.add_argument("--colour", action="store_true", help="pictures with colours")
    sub.add_argument("--limit", type=int, help="use at most this many pictures of a set")
    sub.add_argument("--width", type=int, default=128, help="of the network of points")
    sub.add_argument("--patch", type=int, default=2, help="of the U-Net")
    sub.add_argument("--channels", type=int, nargs="+", default=[64, 128], help="of the U-Net")
    sub.add_argument("--dataset", help="names of the data sets, for the model card")
    sub.add_argument("--license", help="terms of the weights, for the model card")
    sub.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    sub.add_argument("--resume", action="store_true", help="continue the run in --out")
    sub.add_argument("--cpu", action="store_true", help="do not use a GPU")


def make_fitter(options: argparse.Namespace) -> Fitter:
    """Load the sets and build the trainer of a bridge between them."""
    plan = Fitting(**{name: getattr(options, name) for name in SETTINGS})
    loading = Loading(options.size, 3 if options.colour else 1, options.limit)
    source, target = open_pair(options.source, options.target, loading, options.seed)
    levels = len(options.channels)
    network = NetworkConfig(
        source.shape,
        width=options.width,
        patch=options.patch,
        channels=tuple(options.channels),
        blocks=(2,) * levels,
        attention=(*(False,) * (levels - 1), True),
    )
    facts = {"data": {"name": options.dataset or f"{source.name}, {target.name}"}}
    if options.license:
        facts["data"]["license"] = options.license
    if options.names:
        facts["sets"] = options.names
    return Fitter(
        source,
        target,
        network,
        plan,
        options.out,
        resume=options.resume,
        cpu=options.cpu,
        precision=options.precision,
        facts=facts,
    )


def make_trainer(options: argparse.Namespace) -> Trainer:
    """Load the pictures and build the trainer that the command line asks for."""
    plan_options: dict[str, Any] = {
        "images": options.images,
        "max_minutes": options.max_minutes,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "save_minutes": options.save_minutes,
        "evaluate_minutes": options.evaluate_minutes,
    }
    endless = options.command == "score" and (options.open_ended or options.finish)
    if options.images is None and options.max_minutes is None and not endless:
        plan_options["images"] = 400_000
    common = {"precision": options.precision, "resume": options.resume, "cpu": options.cpu}
    if options.command == "ratio":
        denoiser, config = load_denoiser(checkpoints.locate(options.out))
        c, size, _ = denoiser.shape
        pictures, held_out = load_pictures(options, size, c)
        # As the paper's code: the large weight decay keeps the log ratio bounded.
        plan = Plan(
            **plan_options,
            learning_rate=1e-4 if options.lr is None else options.lr,
            beta1=0.5,
            weight_decay=1.0,
            flip=config.get("training", {}).get("flip", True),
        )
        bridge = {"sigma": config["sigma"], "tau": config["tau"]}
        return ratio_trainer(
            pictures,
            held_out,
            denoiser.mean,
            plan,
            options.out,
            channels=options.channels,
            **bridge,
            **common,
        )
    facts = {"data": {"name": options.dataset or Path(options.data).name}}
    if options.license:
        facts["data"]["license"] = options.license
    if options.command == "features":
        pictures, held_out = load_pictures(options, options.size, 1 if options.grey else 3)
        plan = Plan(
            **plan_options,
            learning_rate=2e-3 if options.lr is None else options.lr,
            warmup_steps=100,
        )
        return features.feature_trainer(
            pictures, held_out, plan, options.out, facts=facts, **common
        )
    preset = PRESETS[options.preset]
    network = preset.network
    if options.attention is not None:
        options.attention = [bool(level) for level in options.attention]
    chosen = {
        name: getattr(options, name)
        for name in ("rank", "dropout", "channels", "blocks", "attention")
        if getattr(options, name) is not None
    }
    network = replace(network, **chosen)
    preset = replace(preset, name=options.out.name, network=network)
    pictures, held_out = load_pictures(options, network.image_size, network.image_channels)
    plan = Plan(
        **plan_options,
        learning_rate=5e-4 if options.lr is None else options.lr,
        open_ended=options.open_ended,
        finish=options.finish,
        optimizer=options.optimizer,
        ema=options.ema,
        long_ema=options.long_ema,
        decay=options.decay,
        noise_mean=options.noise_mean,
        noise_std=options.noise_std,
        noise_tail=options.noise_tail,
    )
    return score_trainer(
        pictures,
        held_out,
        preset,
        plan,
        options.out,
        compile=options.compile,
        init=options.init,
        facts=facts,
        **common,
    )


def load_pictures(options: argparse.Namespace, size: int, channels: int) -> tuple[Any, Any]:
    """Training and held-out pictures, uint8 (n, c, size, size)."""
    with tqdm(unit="img", desc="loading", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        pictures = load_images(options.data, size, channels, options.limit, show)
    val = options.val or split_validation(options.data)
    if val is not None:
        return pictures, load_images(val, size, channels)
    held = max(1, min(500, len(pictures) // 20))
    return pictures[:-held], pictures[-held:]


def run(trainer: Trainer | Fitter) -> None:
    """Train, with a progress bar; print the held-out loss by noise level as it goes."""
    main = trainer.accelerator.is_main_process
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


def describe(progress: Progress) -> str:
    """One evaluation as a line of text."""
    evaluation = progress.evaluation
    if "trained" in evaluation:
        return describe_half_bridge(evaluation)
    line = f"{progress.images:,} images: held-out {evaluation['score']:.5f}"
    by_level = evaluation.get("by_noise_level", {})
    return line + "".join(f"  s={level}: {error:.5f}" for level, error in by_level.items())


def run_dsb(fitter: Fitter) -> None:
    """Train a bridge; draw its history beside the weights, also when it is stopped."""
    from studies.dsb import history_figure  # plots take a second to import

    try:
        run(fitter)
    finally:
        if fitter.history:
            name = fitter.folder.name
            figure = history_figure({name: fitter.history})
            figure.savefig(fitter.folder / "history.png", dpi=120)
    if not fitter.finished:
        print(f"Out of time in iteration {fitter.iteration}; --resume continues.", file=sys.stderr)


def describe_half_bridge(evaluation: dict[str, Any]) -> str:
    """What a half-bridge ended with, as a line of text."""
    line = f"iteration {evaluation['iteration']}, {evaluation['trained']} trained:"
    for direction in ("forward", "backward"):
        found = evaluation[direction]
        line += (
            f"  {direction} distance {found['distance']:.4f} (floor {found['floor']:.4f}), "
            f"energy {found['energy']:.3f}, coupling {found['coupling']:.3f}"
        )
    return line


def main() -> int:
    """Entry point."""
    options = parse_arguments()
    for name in (signal.SIGINT, signal.SIGTERM):  # also in the background, also from a scheduler
        signal.signal(name, signal.default_int_handler)
    try:
        if options.command == "dsb":
            run_dsb(make_fitter(options))
        else:
            run(make_trainer(options))
    except KeyboardInterrupt:
        stem = {"score": "config", "dsb": "config"}.get(options.command, options.command)
        usable = (options.out / f"{stem}.json").exists()
        hint = f" {options.out} is usable; --resume continues." if usable else ""
        print(f"\nStopped.{hint}", file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
