"""The command line: every operation of the studio on files, without its server.

The options of an operation are its parameters, with the checks and defaults of its endpoint. A
folder in place of a picture stands for each picture in it; what belongs to it, such as its mask,
is one file for all, or a folder of pictures with the same names.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from PIL import Image
from tqdm import tqdm

from demo import imaging, media
from demo.models import Models
from demo.operation import Operation
from demo.page import TABS
from demo.params import REQUIRED, Model, Param, Picture, Switch
from demo.runs import Result
from demo.wiring import sentence

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
OPERATIONS = {
    tab.OPERATION.name: tab.OPERATION for tab in TABS.values() if hasattr(tab, "OPERATION")
}
PROG = "python -m demo"
BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
REFUSED, INTERRUPTED = 2, 130  # exit codes
EPILOG = f"""examples:
  {PROG} generate --count 4 --out faces
  {PROG} inpaint --image photos --mask masks --out filled   folders: one run a picture
  {PROG} inpaint --help

Each run writes its pictures and report.json; the report is a line of JSON on stdout, too. Exit
codes: 0 done, {REFUSED} something was refused, {INTERRUPTED} stopped by Ctrl-C; what is done stays.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Exit without the usage that argparse puts before it."""
        self.exit(REFUSED, f"{sentence(ValueError(message))} See {self.prog} --help.\n")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; parameters that are not given are not there."""
    words = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    about = "Run an operation of Schrödinger Bridge Studio on files."
    parser = Parser(prog=PROG, description=about, epilog=EPILOG, **words)
    commands = parser.add_subparsers(dest="operation", metavar="OPERATION", required=True)
    for operation in OPERATIONS.values():
        doc = inspect.cleandoc(operation.doc).replace("``", "")
        example = f"example:\n  {operation.command()}"
        command = commands.add_parser(
            operation.name, help=doc.split("\n")[0], description=doc, epilog=example, **words
        )
        out = command.add_argument("--out", type=Path, required=True, metavar="FOLDER")
        out.help = "where the files go; of several pictures each has a folder of its own (required)"
        for param in operation.params:
            _add(command, param)
    return parser.parse_args(arguments)


def _add(command: argparse.ArgumentParser, param: Param) -> None:
    """Its option; for a model beside it where to look for it and where to compute."""
    absent = argparse.SUPPRESS
    if isinstance(param, Model):
        words = "name of a model on offer, checkpoint folder or Hub repository id"
        command.add_argument(
            "--model", default=absent, help=f"{words} (default: the first on offer)"
        )
        words = "folder of the checkpoint folders on offer (default: that of the studio)"
        options = {"type": Path, "default": CHECKPOINTS, "metavar": "FOLDER"}
        command.add_argument("--checkpoints", help=words, **options)
        command.add_argument("--device", help="cpu, cuda or mps (default: the best there is)")
        return
    required = param.default is REQUIRED and not param.optional
    default = "none" if param.default in (REQUIRED, None) else param.default
    words = param.describe().removeprefix(f"{param.name}: ")
    how: dict[str, Any] = {"type": param.parse, "metavar": "VALUE"}
    if isinstance(param, Switch):
        how = {"action": argparse.BooleanOptionalAction}
    elif isinstance(param, Picture):
        words, how = f"{words}; or a folder of them", {"metavar": "FILE"}
    help_text = f"{words} ({'required' if required else f'default: {default}'})".replace("%", "%%")
    how |= {"dest": param.name, "default": absent, "required": required, "help": help_text}
    command.add_argument(f"--{param.name.replace('_', '-')}", **how)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and do it: the exit code."""
    options = vars(parse_arguments(arguments))
    operation, out = OPERATIONS[options.pop("operation")], options.pop("out")
    imaging.restrict_decoders()
    done, refused, runs = 0, 0, {}
    try:
        models = _models(options)
        out.mkdir(parents=True, exist_ok=True)
        runs = batch(operation, options)
        for name, given in runs.items():
            try:
                print(json.dumps(_run(operation, models, given, out / name, name)), flush=True)
                done += 1
            except (ValueError, media.MediaError) as error:
                _say(f"Picture {name}: {error}" if name else error)
                refused += 1
    except KeyboardInterrupt:
        _say(f"Stopped; {done} of {len(runs)} are done, and in {out}")
        return INTERRUPTED
    except ValueError as error:
        _say(error)
        return REFUSED
    except OSError as error:
        _say(f"Nothing can be written to {error.filename or out}: {error.strerror}")
        return REFUSED
    return REFUSED if refused else 0


def _models(options: dict[str, Any]) -> Models:
    """The models on offer, and the one that is asked for, by the name that it has among them."""
    folder, device = options.pop("checkpoints", CHECKPOINTS), options.pop("device", None)
    source = options.get("model")
    if source is None:
        return Models(folder, device=device)
    options["model"] = source.rstrip("/").rsplit("/", 1)[-1]
    return Models(folder, () if (folder / source).is_dir() else (source,), device)


def batch(operation: Operation, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The runs that are asked for, by name: one, named "", or one for each picture of a folder.

    Raises:
        ValueError: If a file is missing, or a folder holds no picture, two of one name, or not
            those of another folder.
    """
    named = [p.name for p in operation.params if isinstance(p, Picture) and p.name in given]
    for name in named:
        if not Path(given[name]).exists():
            raise ValueError(f"there is no file {given[name]}")
    folders = {name: pictures(Path(given[name])) for name in named if Path(given[name]).is_dir()}
    if not folders:
        return {"": dict(given)}
    (first, wanted), *others = folders.items()
    for name, found in others:
        if missing := sorted(wanted.keys() - found.keys()):
            raise ValueError(
                f"the folder {given[name]} holds no {missing[0]}, but {given[first]} does"
            )
    return {
        stem: dict(given) | {name: str(found[stem]) for name, found in folders.items()}
        for stem in wanted
    }


def pictures(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix, in order; hidden files are none."""
    Image.init()
    kinds = {suffix for suffix, kind in Image.EXTENSION.items() if kind in imaging.FORMATS}
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in kinds]
    files = [path for path in files if not path.name.startswith(".")]
    found = {path.stem: path for path in files}
    if not found:
        raise ValueError(f"the folder {folder} holds no pictures")
    if len(found) < len(files):
        raise ValueError(f"the folder {folder} holds two pictures of one name")
    return found


def _run(
    operation: Operation, models: Models, given: Mapping[str, Any], out: Path, name: str
) -> dict[str, Any]:
    """One run, its files and its report."""
    moments = operation.start(models, given)
    first = next(moments)  # what is refused is refused here, before there is a bar
    with tqdm(total=1, desc=name or operation.name, bar_format=BAR) as bar:
        for moment in chain([first], moments):
            bar.update((1 if isinstance(moment, Result) else moment.fraction) - bar.n)
    files = operation.save(moment, out)
    report = moment.report.facts() | {"files": [*_flat(files)]}
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def _flat(files: Sequence[Any]) -> list[str]:
    """Paths, of which some are in lists."""
    return [path for one in files for path in (one if isinstance(one, list) else [one])]


def _say(error: object) -> None:
    """One sentence on stderr."""
    print(sentence(error), file=sys.stderr)
