"""Measure models and redraw the paper: python evaluate.py STUDY ...

Each study prints Markdown and writes it, with JSON, plots and pictures, under results/.

Examples:
  python evaluate.py toy --quick
  python evaluate.py card checkpoints/celeba64 --data train.zip
  python evaluate.py samplers --help      (the options of a study, with their defaults)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from studies import STUDIES


class Bars:
    """Progress on the terminal: one bar for each thing that is being done."""

    def __init__(self) -> None:
        self.what, self.bar = None, tqdm(disable=True)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        if what != self.what:
            self.bar.close()
            self.what, self.bar = what, tqdm(desc=what, total=total)
        self.bar.total = total
        self.bar.update(done - self.bar.n)


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and keeps the lines of examples."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        """Lists of words read as they are typed; what is off or absent is called so."""
        text = action.help or ""
        if not action.option_strings or isinstance(action, argparse._HelpAction):
            return text
        if action.required:
            return f"{text} (required)"
        if action.default is None or action.default == []:
            said = "default" in text or "without" in text
            return text if said else f"{text} (default: none)"
        if action.default is False:
            return f"{text} (default: off)"
        if isinstance(action.default, (list, tuple)):
            typed = " ".join(map(str, action.default)).replace("%", "%%")
            return f"{action.help} (default: {typed})"
        return super()._get_help_string(action)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="study", required=True)
    for name, study in STUDIES.items():
        text = (study.__doc__ or "").strip()
        command = commands.add_parser(
            name, help=text.split("\n")[0], description=text, formatter_class=Help
        )
        study.add_arguments(command)
        command.add_argument("--seed", type=int, default=0, help="of everything random")
        command.add_argument("--quick", action="store_true", help="small, to see that it runs")
        out = getattr(study, "OUT", Path("results"))
        command.add_argument("--out", type=Path, default=out, help="folder of results")
    return parser.parse_args(arguments)


def main() -> int:
    """Entry point."""
    options = parse_arguments()
    bars = Bars()
    try:
        report = STUDIES[options.study].run(options, bars)
        if report is None:  # another process tells
            return 0
        report.write(options.out / report.name)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    finally:
        bars.bar.close()
    print(report.markdown())
    print(f"Written to {options.out / report.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
