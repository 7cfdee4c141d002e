"""Put the studio on a Hugging Face Space: ``python -m demo.deploy user/name``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from sbcore import HubError, upload

ROOT = Path(__file__).parents[1]
NEEDED = ("app.py", "LICENSE", "README.md", "requirements.txt", "demo/**/*", "sbcore/**/*")
OF_A_MODEL = ("*.safetensors", "config.json", "ratio.json", "README.md", "*.png")
EXAMPLES = """examples:
  python -m demo.deploy user/name --dry-run     what would go there, and its size
  python -m demo.deploy user/name --private

It runs on the Space's CPU or ZeroGPU. The token is that of hf auth login, or HF_TOKEN.
"""


def needed(root: Path) -> list[str]:
    """The files that the studio runs on, relative to the root: no test, no study, no training."""
    models = sorted(path.parent for path in root.glob("checkpoints/*/config.json"))
    found = [path for pattern in NEEDED for path in root.glob(pattern)]
    found += [path for model in models for pattern in OF_A_MODEL for path in model.glob(pattern)]
    files = (path.relative_to(root) for path in found if path.is_file())
    return sorted(str(path) for path in files if "__pycache__" not in path.parts)


def listing(files: Iterable[str], root: Path) -> str:
    """The files with their sizes, and the total."""
    sizes = {name: (root / name).stat().st_size for name in files}
    lines = [f"{size:12,}  {name}" for name, size in sizes.items()]
    return "\n".join([*lines, f"{sum(sizes.values()):12,}  bytes in {len(sizes)} files"])


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.deploy",
        description="Upload what the studio needs to a Space; what else is there is removed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("space", metavar="user/name", help="the Space; made if it is missing")
    parser.add_argument(
        "--dry-run", action="store_true", help="only list the files (default: upload them)"
    )
    parser.add_argument(
        "--private",
        action="store_true",
        default=None,
        help="make a new Space private (default: as the Hub has it)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and do it: the exit code."""
    options, files = parse_arguments(arguments), needed(ROOT)
    if options.dry_run:
        print(listing(files, ROOT))
        return 0
    how = {"kind": "space", "private": options.private, "exactly": True}
    try:
        print(upload(ROOT, files, options.space, message="Deploy", **how))
    except HubError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
