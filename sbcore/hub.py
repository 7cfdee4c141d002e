"""Publish a model: ``python -m sbcore.hub push checkpoints/mine user/name``.

`sbcore.load` and the ``from_pretrained`` of both bridges read it back by its id.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sbcore.load import load
from sbcore.runtime.checkpoints import CheckpointError
from sbcore.runtime.hub import HubError, upload

PUBLISHED = (".safetensors", ".json", ".md", ".png")  # weights, configs, the card, its pictures
EXAMPLES = """examples:
  python -m sbcore.hub push checkpoints/mine user/name
  python -m sbcore.hub push checkpoints/mine user/name --private --revision v2 --message "longer"

The token is that of hf auth login, or HF_TOKEN.
"""


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a checkpoint folder, once it has been loaded: address of the commit.

    Args:
        folder: Weights (safetensors), configs and a model card, README.md; what is in folders of
            it, such as the state of a training, stays here.
        repo_id: ``owner/name``; it is made if it is missing.
        private: Whether a new repository is private; None: as the Hub has it.
        revision: Branch; None: main.
        message: Of the commit.

    Raises:
        CheckpointError: If it is no usable checkpoint, or has no card.
        HubError: If there is no token, or the Hub cannot be reached or refuses.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"There is no checkpoint folder {folder}.")
    model = load(folder, "cpu")
    if not (folder / "README.md").is_file():
        raise CheckpointError(
            f"{folder} has no model card: write README.md, or let python evaluate.py card do it."
        )
    files = [path.name for path in sorted(folder.iterdir()) if path.suffix in PUBLISHED]
    message = message or f"{model.name}, weights {model.fingerprint}"
    return upload(folder, files, repo_id, private=private, revision=revision, message=message)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m sbcore.hub",
        description="Models on the Hugging Face Hub.",
        epilog=EXAMPLES,
        formatter_class=kind,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    about = "upload a checkpoint folder: safetensors, configs and its model card"
    command = commands.add_parser(
        "push", help=about, description=about, epilog=EXAMPLES, formatter_class=kind
    )
    command.add_argument("folder", type=Path, help="checkpoint folder, such as checkpoints/mine")
    command.add_argument("repo_id", metavar="owner/name", help="repository; made if it is missing")
    command.add_argument(
        "--private",
        action="store_true",
        default=None,
        help="make a new repository private (default: as the Hub has it)",
    )
    command.add_argument("--revision", metavar="BRANCH", help="branch to push to (default: main)")
    command.add_argument("--message", help="of the commit (default: name and fingerprint)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and do it: the exit code."""
    options = vars(parse_arguments(arguments))
    options.pop("command")
    try:
        sys.stdout.write(f"{push(**options)}\n")
    except (CheckpointError, HubError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
